/* scrub: is every byte that the store keeps still what was stored?
 *
 * Looks at a copy of the rows (store/copy.h) and at the files that they name: objects and the parts of
 * open uploads by their MD5, packages by their SHA-256 (their unpacked form, of which no hash is
 * kept, by its size), and whether each blob is counted as often as it is named. It changes nothing;
 * files that nothing names are blob_sweep's. Blocks: a thread's or the command line's. */
#ifndef SVC_SCRUB_H
#define SVC_SCRUB_H

#include "store/copy.h"

struct scrub_result {
    uint64_t objects, parts, packages, blobs, bytes;
    uint64_t damaged;
};
struct scrub_opts {
    struct store_copy *copy; /* made */
    /* What is wrong with what: "object" "s3://bucket/key" "other bytes". False ends the scrub. */
    bool (*tell)(void *ctx, const char *kind, struct str name, const char *why);
    /* Now and then, so far. False ends the scrub. */
    bool (*going)(void *ctx, const struct scrub_result *so_far);
    void *ctx;
};
/* 0 whatever was found, or E_ABORTED. */
int scrub_run(const struct scrub_opts *o, struct scrub_result *out);

#endif
