/* bundle: a function's package, made from a file or a folder on this machine.
 *
 * A zip in memory, the same bytes for the same content: entries in order of name, one fixed time.
 * Hidden files are left out, symbolic links too (with a line on stderr), and what is neither file
 * nor folder is refused. Every .lua file is compiled first (never run), so that a syntax error is
 * told with the user's file and line before anything is sent. */
#ifndef CLI_BUNDLE_H
#define CLI_BUNDLE_H

#include "base/buf.h"

enum { BUNDLE_FILES_MAX = 10000, BUNDLE_BYTES_MAX = 250 << 20 };

/* Files of a folder, under their paths in it. 0, or an exit code after a message. The zip's bytes
 * are the caller's to buf_deinit. */
int bundle_folder(const char *folder, struct buf *zip);
/* One .lua file, as `entry` in the zip. */
int bundle_file(const char *path, const char *entry, struct buf *zip);

#endif
