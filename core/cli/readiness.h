/* readiness: tells the service manager that started us how far we are (systemd's sd_notify protocol:
 * one datagram to the socket that NOTIFY_SOCKET names). */
#ifndef CLI_READINESS_H
#define CLI_READINESS_H

#include <stdbool.h>

/* Does a service manager listen? */
bool readiness_wanted(void);
/* "READY=1", "STOPPING=1", lines of NAME=VALUE. Nothing happens when nobody listens. */
void readiness_tell(const char *state);

#endif
