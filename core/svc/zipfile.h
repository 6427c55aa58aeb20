/* zipfile: small zips made and read in memory: a blueprint's or a single file's package, and the
 * one file of an uploaded package that describes it. Checking a package as a whole is package.c's.
 */
#ifndef SVC_ZIPFILE_H
#define SVC_ZIPFILE_H

#include "base/buf.h"
#include "base/err.h"

struct zipfile_entry {
    struct str path, bytes;
};
/* Appends a zip of the entries to out. Same entries, same bytes: times are fixed. E_INTERNAL. */
int zipfile_write(const struct zipfile_entry *entries, size_t n, struct buf *out);
/* Appends one file's bytes; E_NOT_FOUND, E_BAD_ZIP, E_LIMIT above `limit` bytes. Work grows with
 * the zip's directory: call it on the pool for a zip from outside. */
int zipfile_read(struct str zip, const char *path, size_t limit, struct buf *out);

#endif
