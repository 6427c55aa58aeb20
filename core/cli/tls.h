/* tls: a server behind https://, reached through perilune-fetch, which does the TLS. */
#ifndef CLI_TLS_H
#define CLI_TLS_H

#include <sys/types.h>

/* Starts `perilune-fetch --tunnel HOST PORT`: a non-blocking stream that first carries one line, "ok"
 * or why there is no connection, and then the bytes of it. Certificates are checked against
 * AWS_CA_BUNDLE, SSL_CERT_FILE or the system's. -1 when it cannot be started. */
int tls_dial(const char *host, const char *port, pid_t *pid);
/* Closes both. */
void tls_close(int fd, pid_t pid);

#endif
