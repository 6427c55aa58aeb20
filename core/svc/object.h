/* object: objects in buckets: put, get, head, delete, list.
 *
 * Bodies up to 16 KiB lie inside the record, larger ones are blobs. A put's record and the events
 * it causes are one transaction. Used by the S3 API and by host calls alike. */
#ifndef SVC_OBJECT_H
#define SVC_OBJECT_H

#include "base/checksum.h"
#include "store/blob.h"
#include "store/objkey.h"
#include "svc/bucket.h"
#include "svc/extents.h"

enum {
    OBJECT_INLINE_MAX = 16 * 1024,
    OBJECT_USER_META_MAX = 2048, /* bytes of names and values, as S3 counts them */
    OBJECT_HEADERS_MAX = 8192,
};

struct objects;
struct objects *objects_open(uv_loop_t *loop, struct store *s, struct queue *q, const char *region);
/* Ends what runs by itself; before the queue or the store goes. What is under way still ends, so
 * objects_close comes when nothing is: after store_close. */
void objects_stop(struct objects *o);
void objects_close(struct objects *o);
/* Removes, some at a time, what is left of uploads and bodies in parts that nobody owns any more.
 */
void objects_sweep(struct objects *o);

struct object_meta { /* borrowed where read, copied where put */
    struct str key;
    uint64_t size;
    char etag[48]; /* hex md5, without quotes */
    int64_t modified_ms;
    struct str content_type; /* "" : none given */
    struct str headers;   /* pairs (see object_pair_put): cache-control, … as they were given */
    struct str user_meta; /* pairs: x-amz-meta-*, names without that prefix, lower case */
    struct str tags;      /* pairs */
    struct str checksum_alg, checksum; /* "CRC32", base64; "" none */
    bool composite;                    /* the checksum is one of the parts' checksums, "…-N" */
    struct str inline_body;            /* small objects; p NULL when elsewhere */
    uint64_t blob;                     /* 0 when elsewhere */
    struct extents extents;            /* list 0 when elsewhere */
};

/* Among an object's headers, when it is another than STANDARD: a label, all bytes lie alike. */
#define OBJECT_CLASS "x-amz-storage-class"
struct str object_storage_class(const struct object_meta *m);

/* Pairs: a rec whose fields, of any tag, are recs {1 name, 2 value}. */
void object_pair_put(struct buf *pairs, struct str name, struct str value);
/* Walks them: *rest starts as the pairs; false at the end. */
bool object_pair_next(struct str *rest, struct str *name, struct str *value);

/* Reads the record; borrowed from t. E_NO_BUCKET, E_NO_KEY, E_KEY_TOO_LONG. */
int object_get(struct store_txn *t, struct str bucket, struct str key, struct object_meta *out);

/* What an HTTP Range header means for a body of `size` bytes ("bytes=0-99", "bytes=5-",
 * "bytes=-3"): 1 and a part, 0 and the whole (no header, another unit, several ranges, nonsense:
 * HTTP says to ignore those), or E_BAD_RANGE when no byte of it exists. */
int object_range(struct str header, uint64_t size, uint64_t *first, uint64_t *count);

/* --- put: open, write*, then finish or abort ----------------------------------------------------
 */
/* What the sender says of the bytes, raw digests, p NULL: nothing. A mismatch leaves nothing. */
struct body_promise {
    struct str md5;             /* 16 bytes: E_BAD_DIGEST */
    struct str sha256;          /* 32 bytes: E_BAD_SHA256 */
    enum checksum_alg checksum; /* to compute, store and return; CHECKSUM_NONE: none */
    struct str checksum_raw;    /* its value: E_BAD_DIGEST */
};

struct object_put;
struct object_put_req {
    struct str bucket, key;                      /* copied */
    struct str content_type, headers, user_meta; /* copied */
    struct str tags;                             /* copied */
    bool if_none_match;                          /* E_PRECONDITION when there is one */
    struct str if_match;         /* ETag without quotes: E_PRECONDITION, E_NO_KEY; "" not asked */
    struct body_promise promise; /* copied */
    const char *event;           /* a literal; NULL: "ObjectCreated:Put" */
    const char *request_id, *peer, *principal; /* for the event; copied */
    struct lineage cause;                      /* of the event; copied */
};
/* 0; E_META_LIMIT when names and values of user_meta pass 2 KiB or those of headers and
 * content_type together 8 KiB; E_INVALID when one could not be an HTTP header. object_put_open asks
 * too; a streaming caller asks before the body.
 */
int object_meta_check(const struct object_put_req *r);
/* Never NULL; what is wrong with the request is told by object_put_finish. */
struct object_put *object_put_open(struct objects *o, const struct object_put_req *r);
/* Copies. False: enough waits, the source should pause until `drained` (what comes meanwhile is
 * still taken). Large bodies are hashed off the loop. */
bool object_put_write(struct object_put *p, struct str bytes);
/* Called from the loop after writes that answered false; ctx stays the caller's. */
void object_put_on_drained(struct object_put *p, void (*drained)(void *ctx), void *ctx);
/* Where its bytes go, for who feeds object bodies and parts alike (ingest.h). */
struct ingest *object_put_ingest(struct object_put *p);
/* Commits. done(ctx, rc, meta, err): meta valid during the call; may be called before this returns.
 * p is gone afterwards. */
void object_put_finish(struct object_put *p,
                       void (*done)(void *ctx, int rc, const struct object_meta *m,
                                    const struct err *err),
                       void *ctx);
void object_put_abort(struct object_put *p);

/* Deletes; absent keys succeed (existed false). Everything is copied. */
void object_delete(struct objects *o, struct str bucket, struct str key, const char *request_id,
                   const char *peer, const char *principal,
                   void (*done)(void *ctx, int rc, bool existed, const struct err *err), void *ctx);
/* The same of one state of the object: E_PRECONDITION when it is another. */
struct object_delete_req {
    struct str bucket, key;
    struct str if_match;                       /* ETag without quotes; "": any */
    int64_t modified_ms;                       /* 0: any */
    const char *event;                         /* a literal: "ObjectRemoved:Delete" */
    const char *request_id, *peer, *principal; /* for the event */
    struct lineage cause;                      /* of the event; copied */
};
void object_delete_if(struct objects *o, const struct object_delete_req *r,
                      void (*done)(void *ctx, int rc, bool existed, const struct err *err),
                      void *ctx);

/* --- list ----------------------------------------------------------------------------------------
 */
struct object_list {
    struct str bucket, prefix, delimiter;
    struct str after; /* keys > after (start-after, marker, continuation) */
    size_t limit;     /* entries and common prefixes together, <= 1000 */
};
/* entry() per object, common() per common prefix, in key order; *truncated; *last is the last key
 * or prefix returned, copied into the caller's buffer. 0 or E_NO_BUCKET. */
int object_list(struct store_txn *t, const struct object_list *l,
                void (*entry)(void *ctx, const struct object_meta *m),
                void (*common)(void *ctx, struct str prefix), void *ctx, bool *truncated,
                struct buf *last);

#endif
