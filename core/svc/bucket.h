/* bucket: buckets, their notifications, and which function an object's event goes to. */
#ifndef SVC_BUCKET_H
#define SVC_BUCKET_H

#include "store/store.h"
#include "svc/queue.h"
#include "svc/trigger.h"

/* The one owner of every bucket and object, as S3 answers name it. */
#define BUCKET_OWNER_ID "5f0c6d0f3e9a4b7d8c1e2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f"
#define BUCKET_OWNER_NAME "root"

/* Validates by AWS's rules (3–63, no IP form, none of our own routes). 0 or E_BUCKET_NAME. */
int bucket_name_check(struct str name);

enum {
    BUCKET_ID = 1 /* u64 */,
    BUCKET_CREATED_MS /* u64 */,
    BUCKET_TRIGGERS /* u64 count */,
    BUCKET_CONFS /* u64 */,
    BUCKET_UPLOADS /* u64 node */
};

/* Calls each for every bucket in name order until it answers false. */
void bucket_list(struct store_txn *t, bool (*each)(void *ctx, struct str name, int64_t created_ms),
                 void *ctx);
/* In any transaction: id and creation time; E_NO_BUCKET. */
int bucket_get(struct store_txn *t, struct str name, uint64_t *id, int64_t *created_ms);
/* The same question outside of one: 0 or E_NO_BUCKET. */
int bucket_check(struct store *s, struct str name);
/* In a job: E_EXISTS/E_BUCKET_OWNED, E_BUCKET_NAME. */
int bucket_create(struct store_txn *t, struct str name, uint64_t *id);
/* E_NO_BUCKET, E_BUCKET_NOT_EMPTY. Uploads in progress go with it: objects_sweep after the commit.
 */
int bucket_delete(struct store_txn *t, struct str name);

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

/* In a job: queues the event for each matching notification. The ids of the functions to kick after
 * the commit are added to kicks (at most max). Call it before the job's own writes: E_THROTTLED
 * (queue full) has written nothing; when some events are in and another is refused, the answer is
 * E_INTERNAL and the transaction must be undone. */
int bucket_notify(struct store_txn *t, struct queue *q, const char *region,
                  const struct bucket_event *e, uint64_t *kicks, size_t max, size_t *count);

#endif
