/* tar: POSIX ustar archives, written and read as streams.
 *
 * Plain files only. Names longer than a header's field travel in a pax header, sizes past 8 GiB in
 * base 256, as GNU tar writes and reads both. The writer keeps the SHA-256 of every file and writes
 * them as the archive's last file, in sha256sum's format: who reads it to the end knows that all is
 * there and as it was written. Blocking; whoever calls brings the bytes. */
#ifndef BASE_TAR_H
#define BASE_TAR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#define TAR_SUMS "SHA256SUMS"
enum { TAR_BLOCK = 512, TAR_NAME_MAX = 1024 };

/* --- writing ---------------------------------------------------------------------------------- */

struct tar_writer {
    bool (*put)(void *ctx, struct str bytes); /* false: no more is wanted */
    void *ctx;
    int64_t time_s; /* of every file */
    struct buf sums;
    struct hash *hash; /* of the file being written */
    struct buf name;
    uint64_t size, left; /* its bytes; those to come */
    bool failed;
};
/* put, ctx and time_s are set, the rest is zero. False once put has said so. */
bool tar_file(struct tar_writer *w, const char *name, uint64_t size);
/* Bytes of that file; as many as were announced, in any pieces. */
bool tar_bytes(struct tar_writer *w, struct str bytes);
/* The sums and the end. */
bool tar_end(struct tar_writer *w);
void tar_deinit(struct tar_writer *w);

/* --- reading ---------------------------------------------------------------------------------- */

struct tar_reader {
    /* Fills p with up to n bytes: how many, 0 at the end, -1 when it cannot. */
    ssize_t (*get)(void *ctx, char *p, size_t n);
    void *ctx;
    char name[TAR_NAME_MAX];
    uint64_t left, pad;      /* of the file at hand */
    struct hash *hash;       /* of that */
    struct buf sums, listed; /* what was computed; what TAR_SUMS says */
    bool in_sums;
};
/* The next file: 1 with its name and left; 0 at the end, when the sums of all files were there and
 * right; else E_INVALID (no archive, cut off, other bytes) or E_IO, with text. What is left of the
 * file before is passed over. */
int tar_next(struct tar_reader *r, struct err *err);
/* Up to n of its bytes: how many, 0 at its end, or E_*. */
ssize_t tar_read(struct tar_reader *r, char *p, size_t n, struct err *err);
void tar_reader_deinit(struct tar_reader *r);

#endif
