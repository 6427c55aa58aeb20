/* bucket: buckets, their notifications, and which function an object's event goes to. */
#ifndef SVC_BUCKET_H
#define SVC_BUCKET_H

#include "store/store.h"
#include "svc/queue.h"

/* Validates by AWS's rules (3–63, no IP form, none of our own routes). 0 or E_BUCKET_NAME. */
int bucket_name_check(struct str name);

enum { BUCKET_ID = 1 /* u64 */, BUCKET_CREATED_MS /* u64 */, BUCKET_TRIGGERS /* u64 count */ };

/* In any transaction: id and creation time; E_NO_BUCKET. */
int bucket_get(struct store_txn *t, struct str name, uint64_t *id, int64_t *created_ms);
/* In a job: E_EXISTS/E_BUCKET_OWNED, E_BUCKET_NAME. */
int bucket_create(struct store_txn *t, struct str name, uint64_t *id);
/* E_NO_BUCKET, E_BUCKET_NOT_EMPTY. */
int bucket_delete(struct store_txn *t, struct str name);

struct trigger { /* one CloudFunctionConfiguration */
    struct str id;
    struct str function_arn;
    struct str events[16]; /* "s3:ObjectCreated:*" */
    size_t event_count;
    struct str prefix, suffix;
};
/* In a job: replaces all notifications of the bucket. Checks bad ARN, unknown function, missing
 * permission, overlapping rules: E_INVALID with AWS's text and argument names. */
int bucket_triggers_put(struct store_txn *t, const char *region, struct str bucket,
                        const struct trigger *tr, size_t n, bool skip_validation, struct err *err);
/* In a job: appends one (for deployments), replacing one of the same id; removes by id. */
int bucket_trigger_add(struct store_txn *t, const char *region, struct str bucket,
                       const struct trigger *tr, struct err *err);
int bucket_trigger_remove(struct store_txn *t, struct str bucket, struct str id);
/* Calls each for every notification of the bucket; borrowed. */
int bucket_triggers(struct store_txn *t, struct str bucket,
                    bool (*each)(void *ctx, const struct trigger *tr), void *ctx);

struct bucket_event {
    const char *name; /* "ObjectCreated:Put" */
    struct str bucket, key, etag;
    uint64_t size;
    uint64_t sequencer;
    const char *request_id, *peer, *principal;
};
/* In a job: queues the event for each matching notification. The ids of the functions to kick after
 * the commit are added to kicks (at most max). */
int bucket_notify(struct store_txn *t, struct queue *q, const char *region,
                  const struct bucket_event *e, uint64_t *kicks, size_t max, size_t *count);

#endif
