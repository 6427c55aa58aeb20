/* fetch: the parts of perilune-fetch: outbound HTTP for functions, TLS for the command line.
 *
 * A process of its own because libcurl and a TLS library are large, slow to load and parse what
 * strangers send: they do not belong beside the core's keys. It decides nothing: which URL may be
 * asked for, and whether the address may be a private one, the core has decided; here it is only
 * held to it. */
#ifndef FETCH_FETCH_H
#define FETCH_FETCH_H

#include <curl/curl.h>

#include "base/str.h"

/* cage.c: limits, then no way to files, other programs or other processes. Before the first byte from
 * outside. */
void cage_enter(void);

/* transfer.c: serves the core on FETCH_SOCKET until that ends. Returns the exit status. */
int transfer_serve(void);

/* tunnel.c: `perilune-fetch --tunnel HOST PORT`: TLS to there, its bytes on standard input (a
 * socket). First a line, "ok" or why not. */
int tunnel_serve(const char *host, const char *port);

/* trust.c: the certificates that are trusted: those of descriptor FETCH_CA, of the file
 * AWS_CA_BUNDLE or SSL_CERT_FILE names (the tunnel only), or the system's. Read once, before the
 * cage. */
void trust_load(bool from_environment);
void trust_apply(CURL *easy);

#endif
