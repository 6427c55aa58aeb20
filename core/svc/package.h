/* package: a function's code, from zip bytes to what a runner loads.
 *
 * A zip is checked (names, links, sizes, ratio, overlaps) and unpacked once, at upload, on the
 * pool: into one flat run of bytes with an index. Zip and flat form are kept under the zip's
 * SHA-256, inline when small, else as blobs; reference counted by the functions that use them. */
#ifndef SVC_PACKAGE_H
#define SVC_PACKAGE_H

#include "store/blob.h"

struct package { /* result of package_build */
    unsigned char sha256[32];
    uint64_t zip_size;
    struct buf rec; /* T_PACKAGES record, references not yet counted */
    bool has_bootstrap, has_native;
    struct buf warning; /* e.g. native modules cannot load */
};

/* Checks, unpacks and writes blobs where needed, all on the pool. zip is copied when it must
 * outlive the call. done(ctx, 0, pkg) gives the package to the caller (package_free), or an error
 * with text (E_BAD_ZIP: "Could not unzip uploaded file. Please check your file, then try to upload
 * again."). */
void package_build(struct store *s, struct str zip,
                   void (*done)(void *ctx, int rc, struct package *pkg, const struct err *err),
                   void *ctx);
void package_free(struct package *p);
/* In a job: counts one reference, writing the record when it is the first. */
int package_ref(struct store_txn *t, const struct package *p);
int package_unref(struct store_txn *t, const unsigned char sha256[static 32]);

#endif
