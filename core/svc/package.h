/* package: a function's code, from zip bytes to what a runner loads.
 *
 * A zip is checked (names, links, sizes, ratio, overlaps: zipscan.h) and unpacked once, at upload,
 * on the pool: into one flat run of bytes with a sorted index. Zip and flat form are kept under the
 * zip's SHA-256, inline when at most PACKAGE_INLINE_MAX, else as blobs; reference counted by the
 * functions that use them. Memory while building: a few MiB, whatever the zip holds. */
#ifndef SVC_PACKAGE_H
#define SVC_PACKAGE_H

#include "store/blob.h"

enum {
    PACKAGE_INLINE_MAX = 16 * 1024,           /* zip and flat form, each */
    PACKAGE_ZIP_MAX = 50 * 1024 * 1024,       /* bytes of zip */
    PACKAGE_UNPACKED_MAX = 250 * 1024 * 1024, /* bytes of all files together */
};

/* T_PACKAGES record, key: the zip's SHA-256 (32 bytes). */
enum {
    PACKAGE_SHA256 = 1, /* 32 bytes, the row's key */
    PACKAGE_REFS,       /* u64: functions that use it */
    PACKAGE_ZIP_SIZE,   /* u64 */
    PACKAGE_ZIP,        /* bytes, when inline */
    PACKAGE_ZIP_BLOB,   /* u64, when not */
    PACKAGE_FLAT_SIZE,  /* u64 */
    PACKAGE_FLAT,       /* bytes, when inline */
    PACKAGE_FLAT_BLOB,  /* u64, when not */
    PACKAGE_BOOTSTRAP,  /* u64 1: holds a file "bootstrap" */
    PACKAGE_NATIVE,     /* u64 1: holds .so files, which cannot load */
    PACKAGE_FILE_COUNT, /* u64 */
    PACKAGE_NAMES_SIZE, /* u64: bytes of all paths */
    PACKAGE_FILE,       /* repeated, sorted by path: rec {1 path, 2 offset u64, 3 size u64} */
};

struct package { /* result of package_build */
    unsigned char sha256[32];
    uint64_t zip_size;
    struct buf rec; /* T_PACKAGES record, references not yet counted */
    bool has_bootstrap, has_native;
    struct buf warning; /* e.g. native modules cannot load; empty when there is nothing to say */
    struct store *store;
};

/* Where a zip comes from. */
struct package_source {
    struct str zip; /* in memory, borrowed until done; p NULL: in the blob */
    uint64_t blob;  /* a finished blob */
    bool own_blob;  /* it has no reference yet and is given away: becomes the package's zip, or is
                       discarded; else it is copied */
};
typedef void package_done(void *ctx, int rc, struct package *pkg, const struct err *err);

/* Checks, unpacks and writes blobs where needed, all on the pool. done(ctx, 0, pkg) gives the
 * package to the caller, who ends with package_free after its job; or an error with text
 * (E_BAD_ZIP: "Could not unzip uploaded file. Please check your file, then try to upload again."
 * and perhaps what is wrong; E_INVALID, E_LIMIT, E_IO, E_NO_SPACE) and nothing left behind. done is
 * never called before this returns. */
void package_build_from(struct store *s, const struct package_source *src, package_done *done,
                        void *ctx);
/* The same for bytes that do not outlive the call: they are copied. For small zips. */
void package_build(struct store *s, struct str zip, package_done *done, void *ctx);
/* Loop thread, after the job that used it (committed, refused or never submitted): blobs that no
 * stored package refers to are discarded. NULL is allowed. */
void package_free(struct package *p);

/* In a job: counts one reference, writing the record when it is the first. */
int package_ref(struct store_txn *t, const struct package *p);
/* One more for a package that some row uses already. */
int package_hold(struct store_txn *t, const unsigned char sha256[static 32]);
int package_unref(struct store_txn *t, const unsigned char sha256[static 32]);

#endif
