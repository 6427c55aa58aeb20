/* backup: a whole data folder as one stream, taken while the server runs, and back again.
 *
 * The stream is a tar archive (base/tar.h):
 *
 *   perilune-backup        text: "format 1", "made TIME", "version V", "blobs N", "bytes N", "key yes|no"
 *   meta.mdb               the rows of one moment
 *   master.key, root.credentials   unless they were to stay out
 *   blobs/xx/ID            every file that those rows name
 *   logs/…                 as they are when their turn comes: at least what that moment had
 *   SHA256SUMS
 *
 * Everything here blocks: a thread's or the command line's. */
#ifndef SVC_BACKUP_H
#define SVC_BACKUP_H

#include "base/tar.h"
#include "store/copy.h"

enum { BACKUP_FORMAT = 1 };

struct backup_opts {
    struct store_copy *copy; /* begun, not made yet */
    const char *dir;         /* the data folder */
    bool without_key;        /* neither master.key nor root.credentials */
    /* Takes the stream; false: no more is wanted. The first call comes when all is known to be there. */
    bool (*put)(void *ctx, struct str bytes);
    void *ctx;
};
/* 0; E_ABORTED when put or the copy's owner stopped it; E_IO with the name of a blob that is missing or
 * cannot be read; or store_copy_make's. After a failure what was put is no whole archive. */
int backup_write(const struct backup_opts *o, struct err *err);

struct backup_facts {
    uint64_t files, blobs, bytes; /* bytes: of all files */
    bool key;
    char made[32];
};
/* Reads an archive to its end and judges it: E_INVALID, E_IO. With dir the files are made there, the
 * folder too (E_CONFLICT when something is in it already): under another name until all is there, is
 * on the disk and fits together; nothing is left of a failure. */
int backup_read(ssize_t (*get)(void *ctx, char *p, size_t n), void *ctx, const char *dir,
                struct backup_facts *out, struct err *err);

#endif
