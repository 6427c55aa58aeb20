/* upload: objects that come in parts: begin, parts in any order, then complete or abort.
 *
 * Parts are rows and blobs of their own from the moment they are acknowledged. Completing copies no
 * byte: it writes the object's record, which names the parts' rows (extents.h), in one small commit
 * together with the events. An upload stays until somebody completes or aborts it or its bucket
 * goes; after it was completed it is remembered as long as that object's bytes are, so that a
 * client whose answer was lost may ask again. */
#ifndef SVC_UPLOAD_H
#define SVC_UPLOAD_H

#include "svc/object.h"

struct ingest; /* ingest.h */
struct ingest_facts;

enum {
    UPLOAD_PART_MIN = 5 * 1024 * 1024, /* bytes of every part but the last */
    UPLOAD_ID_MAX = 18,                /* characters of an id and a NUL */
    UPLOADS_PER_KEY = 10000,           /* at once */
};

struct upload { /* borrowed where read, copied where given */
    uint64_t id;
    uint64_t bucket; /* id */
    struct str key;
    int64_t initiated_ms;
    struct str content_type, headers, user_meta, tags; /* of the object, as in object_meta */
    enum checksum_alg checksum;
    bool composite;  /* the type of the checksum: of the parts' ones, else of all bytes */
    struct str etag; /* "" until it is completed; then also: */
    struct str checksum_text;
    uint64_t size;
};

/* The id as clients see it. */
void upload_id_text(uint64_t id, char out[static UPLOAD_ID_MAX]);
/* The other way; 0 when it is none. */
uint64_t upload_id_read(struct str text);

/* In any transaction: the upload of that name, borrowed from t. E_NO_BUCKET, E_NO_UPLOAD (also for
 * one of another key). upload_get_open refuses completed ones too. */
int upload_get(struct store_txn *t, struct str bucket, struct str key, struct str id,
               struct upload *out);
int upload_get_open(struct store_txn *t, struct str bucket, struct str key, struct str id,
                    struct upload *out);

/* Begins one. r's strings are copied; of it bucket and key, content_type, headers, user_meta and
 * tags, judged by object_meta_check. done gets the id, or 0 with E_NO_BUCKET, E_QUOTA, … */
void upload_create(struct objects *o, const struct object_put_req *r, enum checksum_alg checksum,
                   bool composite, void (*done)(void *ctx, int rc, uint64_t id), void *ctx);

/* --- a part: open, write*, then finish or abort --------------------------------------------------
 */
struct upload_part;
/* Number 1 … EXTENTS_MAX of the upload that upload_get has found under that name. Strings and
 * promise are copied. Never NULL. */
struct upload_part *upload_part_open(struct objects *o, struct str bucket, struct str key,
                                     uint64_t id, uint32_t number,
                                     const struct body_promise *promise);
/* Takes the bytes: ingest_write and ingest_on_drained (ingest.h). */
struct ingest *upload_part_ingest(struct upload_part *p);
/* Commits, in the place of an older part of that number. done(ctx, rc, facts, err): facts valid
 * during the call; E_NO_UPLOAD when it was aborted or completed meanwhile. p is gone afterwards. */
void upload_part_finish(struct upload_part *p,
                        void (*done)(void *ctx, int rc, const struct ingest_facts *facts,
                                     const struct err *err),
                        void *ctx);
void upload_part_abort(struct upload_part *p);

/* Ends one and gives up its parts. E_NO_UPLOAD. Strings are copied. */
void upload_abort(struct objects *o, struct str bucket, struct str key, struct str id,
                  void (*done)(void *ctx, int rc), void *ctx);

/* Parts with numbers above `after`, in order, at most limit; *truncated: there are more. */
int upload_parts(struct store_txn *t, uint64_t id, uint32_t after, size_t limit,
                 void (*each)(void *ctx, const struct extent *x), void *ctx, bool *truncated);

/* --- list ----------------------------------------------------------------------------------------
 */
struct upload_list {
    struct str bucket, prefix, delimiter;
    struct str after;  /* keys > after; with after_id also that key's uploads > after_id */
    uint64_t after_id; /* 0: not asked */
    size_t limit;      /* uploads and common prefixes together, <= 1000 */
};
/* In the order of keys, then of their beginnings. *truncated; *last_key (a key or a common prefix)
 * and *last_id (0 for a prefix) are where the page ends. E_NO_BUCKET. */
int upload_list(struct store_txn *t, const struct upload_list *l,
                void (*entry)(void *ctx, const struct upload *u),
                void (*common)(void *ctx, struct str prefix), void *ctx, bool *truncated,
                struct buf *last_key, uint64_t *last_id);

/* --- complete ------------------------------------------------------------------------------------
 */
struct upload_claim { /* what the client says of one part */
    uint32_t number;
    unsigned char md5[EXTENT_MD5];
    unsigned char checksum[32]; /* raw; of `alg` */
    uint8_t alg;                /* enum checksum_alg; CHECKSUM_NONE: nothing is said */
};
struct upload_complete_req {
    struct str bucket, key, id;  /* copied */
    struct upload_claim *claims; /* taken: free()d at the end; numbers rise */
    size_t count;                /* 1 … EXTENTS_MAX */
    bool if_none_match;          /* as in object_put_req */
    struct str if_match;         /* copied */
    enum checksum_alg alg;       /* of the object's checksum, CHECKSUM_NONE: not told; */
    struct str checksum;         /* base64, with "-N" or without. Copied */
    struct str checksum_type;    /* "COMPOSITE", "FULL_OBJECT"; "" not told. Copied */
    uint64_t size;               /* what the object must measure; UINT64_MAX: not told */
    const char *request_id, *peer, *principal; /* for the event; copied */
    struct lineage cause;                      /* of the event: from outside */
};
/* E_NO_UPLOAD, E_NO_PART, E_PART_SIZE, E_PRECONDITION, E_NO_KEY, E_BAD_DIGEST, … m (its key, size,
 * etag, checksum) is valid during the call. */
void upload_complete(struct objects *o, const struct upload_complete_req *r,
                     void (*done)(void *ctx, int rc, const struct object_meta *m,
                                  const struct err *err),
                     void *ctx);

#endif
