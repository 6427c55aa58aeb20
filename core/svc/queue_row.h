/* queue_row: an asynchronous event in the store, and its moves from state to state.
 *
 * T_EVENTS holds two rows an event, under its id: `id` the record of EV_* fields, `id "p"` the
 * payload, which is written once and read at dispatch. T_DUE holds one row an event from first to
 * last: function id + due time + event id while it is to run (also while it runs, so that a start
 * finds after a crash what was running), EVENT_DEAD + time of death + event id once it is dead.
 * T_META "queue" holds the totals. What has ended stays as the ledger of runs, indexed by T_RUNS
 * (svc/ledger). All of one event's rows change in one transaction. */
#ifndef SVC_QUEUE_ROW_H
#define SVC_QUEUE_ROW_H

#include "store/key.h"
#include "store/store.h"
#include "svc/queue.h"

enum { /* fields of the record; numbers are u64 */
       EV_FUNCTION_ID = 1,
       EV_FUNCTION, /* name */
       EV_QUALIFIER,
       EV_SOURCE,
       EV_SOURCE_ARN,
       EV_REQUEST_ID,
       EV_CLIENT_CONTEXT,
       EV_HOPS,
       EV_STATE,   /* EVENT_* */
       EV_TRIES,   /* calls that have ended, in any way */
       EV_CRASHES, /* of those, how many ended with the core */
       EV_DEFERS,  /* times put off for want of capacity or by our fault */
       EV_ACCEPTED_MS,
       EV_DUE_MS,     /* as in T_DUE */
       EV_BOOT,       /* that wrote EVENT_RUNNING */
       EV_BYTES,      /* payload */
       EV_ERROR_TYPE, /* of the last try; when dead: why */
       EV_ERROR,      /* text of the last try */
       EV_CHAIN,      /* what led here: "f > s3://bucket > g"; "" from outside */
       EV_HISTORY,    /* rec of TRY_EACH: the last tries, oldest first */
       EV_RESULT,     /* what the function returned, cut to EVENT_RESULT_MAX */
       EV_RESULT_BYTES,
       EV_ENDED_MS,  /* done or dead since */
       EV_REPLAY_OF, /* event id */
       EV_SYNC,      /* 1: a run that somebody waited for; it never was in the queue */
       EV_MAX_TRIES, /* what the source allows; absent: not given */
       EV_MAX_AGE_MS,
};
enum { TRY_EACH = 1 }; /* in EV_HISTORY: a rec of */
enum { TRY_STARTED_MS = 1, TRY_ENDED_MS, TRY_DURATION_US, TRY_ERROR_TYPE };
enum {
    EVENT_QUEUED_ROW = 1,
    EVENT_RUNNING_ROW,
    EVENT_WAITING_ROW,
    EVENT_DEAD_ROW,
    EVENT_DONE_ROW
};                            /* EV_STATE */
#define EVENT_DEAD UINT64_MAX /* stands for the function id in T_DUE */
enum {
    EVENT_PAYLOAD_MAX = 1024 * 1024,
    EVENT_ERROR_MAX = 2048,
    EVENT_RESULT_MAX = 4096,
    EVENT_HISTORY_MAX = 1024, /* bytes */
};

struct event_row { /* borrowed from the transaction */
    uint64_t id, function_id, boot, bytes;
    struct str function, qualifier, source, source_arn, request_id, client_context;
    struct str error_type, error, chain, history, result;
    uint64_t result_bytes, replay_of;
    uint32_t hops, tries, crashes, defers, max_tries; /* max_…: as queue_event has them */
    int state;
    bool sync;
    int64_t accepted_ms, due_ms, ended_ms, max_age_ms;
};

/* T_RUNS: function id + class (u32) + time of its end + event id -> "", for what has ended; function
 * id + class -> how many there are (u64) and their bytes (u64). */
enum run_class {
    RUN_DONE = 1, /* of the queue */
    RUN_DEAD,
    RUN_SAMPLE, /* somebody waited for it */
    RUN_FAILED, /* … and got an error */
    RUN_CLASS_END
};
enum { RUN_BYTES_MAX = 64 << 20 }; /* of one function and class */
struct str event_run_key(struct key *k, uint64_t function_id, enum run_class class,
                         int64_t ended_ms, uint64_t id);

struct queue_totals {
    uint64_t rows, bytes;           /* to run, running or waiting */
    uint64_t waiting;               /* of rows: after a failed try */
    uint64_t dead_rows, dead_bytes; /* dead list */
};

/* In any transaction. E_NOT_FOUND. */
int event_row_get(struct store_txn *t, uint64_t id, struct event_row *out);
int event_row_payload(struct store_txn *t, uint64_t id, struct str *out);
void queue_totals_get(struct store_txn *t, struct queue_totals *out);

/* --- in a job ----------------------------------------------------------------------------------
 */

/* E_THROTTLED when full, E_LIMIT when the payload is too large; nothing is written then. */
int event_row_add(struct store_txn *t, uint64_t max_rows, uint64_t max_bytes,
                  const struct queue_event *e);

enum event_outcome {
    EVENT_STARTED,  /* runs now, in this boot */
    EVENT_RELEASED, /* did not run after all: as it was before EVENT_STARTED */
    EVENT_SUCCEEDED,
    EVENT_PUT_OFF, /* runs again at due_ms */
    EVENT_GIVEN_UP,
};
struct event_change {
    enum event_outcome outcome;
    uint64_t function_id; /* these two: the T_DUE row by which the event was found */
    int64_t found_ms;
    uint32_t tries, crashes, defers;        /* new values */
    int64_t due_ms;                         /* of EVENT_PUT_OFF */
    struct str error_type, error;           /* cut to EVENT_ERROR_MAX */
    uint64_t max_dead_rows, max_dead_bytes; /* the oldest dead events go beyond these */
    int64_t started_ms, ended_ms;           /* of a try that ran; else 0 */
    uint64_t duration_us;
    struct str try_type;   /* what that try ended with, "" for a success */
    struct str result;     /* of a success, cut to EVENT_RESULT_MAX, … */
    uint64_t result_bytes; /* … and how long it was */
    uint64_t keep_rows;    /* done ones of this function that stay; 0: none */
};
/* A dead event to the queue again, as if it were new, for that function: its id. E_NOT_FOUND,
 * E_CONFLICT when it is not dead, E_THROTTLED when the queue is full; nothing is written then. */
int event_row_redrive(struct store_txn *t, uint64_t id, uint64_t function_id, uint64_t max_rows,
                      uint64_t max_bytes);
/* Removes an event that is done or dead. E_NOT_FOUND, or E_CONFLICT when it is to run; nothing is
 * written then. */
int event_row_drop(struct store_txn *t, uint64_t id);
/* Writes a run that has ended and never was in the queue: r with its id and ended_ms set. */
int event_row_record(struct store_txn *t, const struct event_row *r, struct str payload,
                     uint64_t keep_rows);

/* 0 also when the event is gone; its T_DUE row goes then. */
int event_row_change(struct store_txn *t, uint64_t id, const struct event_change *c);

#endif
