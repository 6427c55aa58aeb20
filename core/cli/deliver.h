/* deliver: code on this machine, on its way to becoming a function on the server.
 *
 * A folder is zipped as it is; its function.lua, which says what the function needs, is evaluated
 * by the server inside a jail. A single .lua file needs no function.lua: the manifest is its name. */
#ifndef CLI_DELIVER_H
#define CLI_DELIVER_H

#include "cli/client.h"

/* Makes the package of a folder or a .lua file, and what goes with it into *body (an object). name
 * (NULL: the project's own) overrides the function's. 0 and *zip for the caller to buf_deinit, or an
 * exit code after a message. */
int deliver_pack(const char *path, const char *name, json_t *body, struct buf *zip);
/* Sends it; takes body. 0 and the server's report with "ms" as measured here, the caller's, or an
 * exit code after a message. */
int deliver_send(struct client *c, json_t *body, const struct buf *zip, bool dry_run,
                 json_t **report);
/* What was or would be made, for people; warnings on stderr. */
void deliver_print(const json_t *report, bool dry_run);

#endif
