/* s3_copy: the source of a copy, whole or into a part. */
#ifndef API_S3_COPY_H
#define API_S3_COPY_H

#include "api/s3.h"

struct s3_copy_source { /* decoded, in the call's arena */
    struct str bucket, key;
};
/* Reads x-amz-copy-source, percent-encoded, with or without a leading slash and ?versionId=null. 0,
 * E_INVALID, E_NO_VERSION. */
int s3_copy_source(struct call *c, struct s3_copy_source *out, struct err *err);
/* In a snapshot: the source's record, when the caller may read it and the conditions of
 * x-amz-copy-source-if-* hold. E_NO_BUCKET, E_NO_KEY, E_DENIED, E_PRECONDITION. */
int s3_copy_find(struct call *c, const struct s3_copy_source *s, struct store_txn *t,
                 struct object_meta *m, struct err *err);

#endif
