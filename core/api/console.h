/* console: the listener of the web console: its pages, its sessions, its calls.
 *
 * A second HTTP server on the loop, so that what functions and buckets serve lives on another origin
 * and can reach nothing here. A request passes in this order: Host (a name we do not know was rebound
 * to us), Origin and Sec-Fetch-Site (nobody else's page calls us), then pages, or a session's token
 * and the API's gate. Which calls there are is told by core/console/README.md. */
#ifndef API_CONSOLE_H
#define API_CONSOLE_H

#include "api/gate.h"

struct console_opts {
    struct services *svc;
    const char *listen; /* HOST:PORT; PORT 0 picks one */
    const char *url;    /* --console-url, how browsers reach it; NULL: as it listens */
    int dir;            /* descriptor of a built tree to serve instead of the embedded one; -1 */
};

struct console;

/* NULL with *err set when it cannot listen. Sets svc->console_url; svc must be complete. */
struct console *console_open(const struct console_opts *o, char *err, size_t err_size);
const char *console_url(const struct console *c);
/* Appends a link that signs its bearer in, once, as that access key. */
void console_link(struct services *svc, struct str access_key, struct buf *url);
void console_drain(struct console *c, void (*done)(void *ctx), void *ctx);
/* The loop must turn once between the two. */
void console_close(struct console *c);
void console_free(struct console *c);

#endif
