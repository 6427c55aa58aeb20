/* stdin: what a command is given on standard input or in a file. */
#ifndef CLI_STDIN_H
#define CLI_STDIN_H

#include "base/buf.h"

/* Appends all of fd within out's limit; name is for messages. 0 or an exit code after one. */
int stdin_read(int fd, const char *name, struct buf *out);
/* All of a file, or of standard input when it is "-". */
int stdin_file(const char *path, struct buf *out);
/* A secret: from a terminal one line that is not shown, asked for by prompt; else all of standard
 * input. One newline at the end is not part of it. */
int stdin_secret(const char *prompt, struct buf *out);

#endif
