/* object_copy: an object under another name, without copying its bytes. */
#ifndef SVC_OBJECT_COPY_H
#define SVC_OBJECT_COPY_H

#include "svc/object.h"

struct object_copy_req {
    struct str from_bucket, from_key, bucket, key; /* copied, as all that follows */
    /* The source that the caller has judged; E_CONFLICT when it is another by now. "": any. */
    struct str expect_etag;
    int64_t expect_modified_ms;
    bool replace_meta; /* else the source's */
    struct str content_type, headers, user_meta;
    struct str storage_class; /* else of the target: "" STANDARD */
    bool replace_tags;
    struct str tags;
    /* Instead of the source's checksum, when alg is given: of the same bytes, base64. */
    struct str checksum_alg, checksum;
    bool if_none_match;  /* of the target: E_PRECONDITION when there is one */
    struct str if_match; /* of the target: ETag without quotes; E_PRECONDITION, E_NO_KEY */
    const char *request_id, *peer, *principal; /* for the event */
    struct lineage cause;                      /* of the event */
};
/* The target gets the source's bytes by reference (small ones lie in its own record), the event
 * ObjectCreated:Copy goes with it. done(ctx, rc, target, err): target valid during the call.
 * E_NO_BUCKET, E_NO_KEY (of either), E_META_LIMIT, E_INVALID, E_PRECONDITION, E_CONFLICT. */
void object_copy(struct objects *o, const struct object_copy_req *r,
                 void (*done)(void *ctx, int rc, const struct object_meta *m,
                              const struct err *err),
                 void *ctx);

#endif
