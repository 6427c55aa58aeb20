/* watch: tells when anything in a folder changes, however deep.
 *
 * Every folder is watched (inotify, through libuv); hidden ones are not. Editors write a file in
 * several steps, so a change is told once nothing more has happened for a moment. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include <uv.h>

enum { WATCH_QUIET_MS = 30 };

struct watch;

/* changed(ctx) on the loop. NULL after a message. */
struct watch *watch_open(uv_loop_t *loop, const char *folder, void (*changed)(void *ctx),
                         void *ctx);
/* Frees it when the loop has turned. */
void watch_close(struct watch *w);

#endif
