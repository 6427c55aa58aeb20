/* queue: asynchronous events, durable in T_EVENTS and T_DUE.
 *
 * queued -> running -> done | waiting (retry at) | dead. Rows that are done or dead stay (svc/ledger).
 * A row is written inside the transaction
 * that acknowledges its cause; dispatch follows the commit. At least once, never lost. */
#ifndef SVC_QUEUE_H
#define SVC_QUEUE_H

#include "svc/lineage.h"
#include "svc/pool.h"

struct queue;

struct queue_opts {
    uv_loop_t *loop;
    struct store *store;
    struct functions *functions;
    struct pool *pool;
    struct logs *logs;
    struct roles *roles; /* asked before an outcome is sent on; NULL: none is */
    uint64_t max_rows, max_bytes;
    uint64_t event_rate; /* events of one function begun in a second at most, unless its own
                            configuration says how many; 0: any number */
    uint64_t keep_rows;  /* runs of each function that stay in the ledger, … */
    int64_t keep_age_ms; /* … for that long */
};
struct queue *queue_open(const struct queue_opts *o);
/* After start: rows left running by a crash are queued again; dispatch begins. */
void queue_start(struct queue *q);
/* Stops dispatching, waits for running rows, then done. */
void queue_drain(struct queue *q, void (*done)(void *ctx), void *ctx);
/* Stops at once, also while it drains. Jobs that wait in the store may still put and kick; */
void queue_close(struct queue *q);
/* … once those have ended (the store is closed) and the loop has turned: */
void queue_free(struct queue *q);

struct queue_event {
    uint64_t id;              /* from store_new_id; 0: a new one */
    uint64_t function_id;     /* fn->id */
    struct str function_name; /* without qualifier */
    struct str qualifier;     /* "" or "$LATEST", … */
    struct str payload;       /* JSON text, <= 1 MiB */
    struct str client_context;
    char request_id[37];
    const char *source;    /* "invoke" "s3" "lambda" "url" … */
    struct str source_arn; /* for delivery-time policy checks: bucket ARN for s3, else "" */
    struct lineage cause;  /* of it */
    uint64_t replay_of;    /* event id */
    uint64_t delay_ms;
    /* What its source allows at most, within what the function's configuration does; 0: that alone. */
    uint32_t max_tries; /* the first included */
    int64_t max_age_ms;
};
/* In a job: writes the row. E_THROTTLED when the queue is full. */
int queue_put(struct queue *q, struct store_txn *t, const struct queue_event *e);
/* Loop thread, after that commit: look at this function's rows now. */
void queue_kick(struct queue *q, uint64_t function_id);

/* Loop thread: this function's limits have changed: what was held back by them is looked at now. */
void queue_resume(struct queue *q, uint64_t function_id);

/* What it holds at most. */
void queue_limits(const struct queue *q, uint64_t *max_rows, uint64_t *max_bytes);

struct queue_stats {
    uint64_t queued, running, waiting, dead, bytes;
    int64_t late_ms; /* how long the one that is due longest has waited, of the first few hundred
                        functions that have any */
};
void queue_stats(const struct queue *q, struct queue_stats *out);

#endif
