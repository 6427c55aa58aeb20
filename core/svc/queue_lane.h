/* queue_lane: inside the queue: which function's events are looked at next, and events in flight.
 *
 *   queue.c        the turn: from the heap to rows that are due, and the module's face
 *   queue_lane.c   one entry of memory for each function that has rows; a heap of them by time
 *   queue_flight.c one event from its row to its settled result
 *   queue_send.c   what is sent on when it has ended: destinations, dead letters */
#ifndef SVC_QUEUE_LANE_H
#define SVC_QUEUE_LANE_H

#include "svc/queue_row.h"

enum {
    LANE_WINDOW_FIRST = 8,
    LANE_WINDOW_MAX = 64,   /* running at once for one function */
    LANE_FLIGHTS_MAX = 512, /* … or done and not settled yet */
    FLIGHTS_MAX = 1024,
    FLIGHT_BYTES_MAX = 16 << 20, /* payloads in memory */
    FLIGHT_STUCK_MS = 1000,
    CRASHES_MAX = 10,
};

struct lane { /* one function's rows */
    uint64_t function_id;
    struct lane *hash_next;
    size_t heap_at;      /* SIZE_MAX: not in the heap */
    int64_t next_ms;     /* when to look again, store time */
    uint64_t turn;       /* breaks ties: who was looked at longest ago comes first */
    int64_t scan_due_ms; /* rows before this place are in flight */
    uint64_t scan_id;
    int64_t paused_ms;           /* not before this: throttled */
    unsigned running, in_flight; /* in_flight: running or not settled yet */
    unsigned window, credit;     /* of running; grows while nothing is throttled */
    unsigned throttles;          /* in a row */
};

struct flight { /* one event that left its row */
    struct queue *queue;
    struct lane *lane;
    struct flight *hash_next, *stuck_next;
    uint64_t id, function_id;
    int64_t due_ms, accepted_ms, started_ms;
    char try_type[65];               /* what this run ended with; "" for a success */
    uint32_t tries, crashes, defers; /* before this run */
    uint32_t max_tries;              /* as the row has them */
    int64_t max_age_ms;
    size_t payload_bytes;
    uint32_t hops;
    char request_id[37], function[FUNCTION_NAME_MAX + 1];
    struct buf chain; /* what led to it, as text */
    struct fn *fn;
    struct str payload;                    /* in bytes */
    struct str response, response_version; /* of this run, while it ends; version "": none */
    bool response_error;
    struct sending *sends;               /* where its outcome goes, with its settling */
    struct buf bytes;                    /* payload, context, ARN, source: what invoke borrows */
    struct event_change started, change; /* one is the store thread's while the other is filled */
    struct buf error;                    /* holds change.error_type and .error, or .result */
    struct job mark, settle;
    bool marked;       /* EVENT_STARTED was submitted, … */
    bool mark_pending; /* … and is still the store's */
    bool landed;
    bool starting; /* invoke has not returned yet */
    bool ended;
};

struct brake { /* of one function, in the second in which it begins events */
    struct brake *next;
    uint64_t function_id;
    int64_t second; /* of store time, and what was begun in it */
    uint64_t begun;
    uint64_t own_rate; /* as its configuration said when one was begun last; 0: the server's */
};

struct queue {
    struct queue_opts o;
    struct lane *lanes[1024];
    struct lane **heap;
    size_t heap_n, heap_cap;
    uint64_t turns;
    struct brake *brakes[1024];
    struct flight *flights[1024];
    size_t in_flight, running, payload_bytes;
    struct flight *stuck; /* the store did not take their result: submitted again, … */
    int64_t unstick_ms;   /* … then; nothing is started meanwhile */
    uv_check_t check;     /* runs the turn after the callbacks of this loop turn */
    uv_idle_t idle;       /* … and keeps it from sleeping before */
    uv_timer_t timer;
    int open_handles;
    bool started, draining, closed;
    int64_t gave_up_s; /* log lines about dead events: at most some in a second */
    unsigned gave_up_lines, gave_up_more;
    void (*drained)(void *ctx);
    void *drained_ctx;
};

/* --- queue.c */
/* Runs a turn soon, in this turn of the loop. */
void queue_schedule(struct queue *q);
/* The function's configuration, as one of its events is begun. */
void queue_learn_rate(struct queue *q, const struct fn *fn);
/* A flight is over: lane and limits have room, a drain may be complete. */
void queue_landed(struct queue *q);

/* --- queue_lane.c */
struct lane *lane_of(struct queue *q, uint64_t function_id, bool make);
/* Looked at from when_ms on (sooner if it was to be sooner). */
void lane_wake(struct queue *q, struct lane *lane, int64_t when_ms);
/* First lane whose time has come, taken out of the heap; NULL. */
struct lane *lane_pop(struct queue *q, int64_t now_ms);
/* It was taken out and nothing of it was begun: it keeps its place. */
void lane_put_back(struct queue *q, struct lane *lane);
/* When the next lane's time comes; INT64_MAX: none waits. */
int64_t lane_next_ms(const struct queue *q);
/* Forgets the lane when nothing of it is in flight or in the heap. */
void lane_settle(struct queue *q, struct lane *lane);
/* May one more event of it run? */
bool lane_open(const struct lane *lane);
/* The place from which rows have not been looked at. */
struct str lane_scan_key(const struct lane *lane, struct key *k);
/* That row is in flight now. It was found in a snapshot of which holds: all rows that are not in it
 * yet are due at or after safe_ms. */
void lane_scanned(struct lane *lane, int64_t due_ms, uint64_t id, int64_t safe_ms);
/* That row is to be found again. */
void lane_rescan(struct lane *lane, int64_t due_ms, uint64_t id);
void lane_succeeded(struct lane *lane);
/* Narrows the window; with nothing running it pauses. */
void lane_throttled(struct queue *q, struct lane *lane);
/* No longer paused. */
void lane_resume(struct queue *q, struct lane *lane);
void lanes_free(struct queue *q);

/* --- queue_flight.c */
bool flight_exists(const struct queue *q, uint64_t id);
/* Reads the row, checks that it may go, runs it or gives it up. False when the lane should rest. */
bool flight_start(struct queue *q, struct lane *lane, struct store_txn *t, int64_t due_ms,
                  uint64_t id);
/* Submits again what the store did not take. */
void flights_unstick(struct queue *q);
/* At the end: those whose result nobody will store. */
void flights_drop_stuck(struct queue *q);

/* --- queue_send.c */
/* The event has succeeded ("Success") or was given up (why): makes what its function's configuration
 * wants sent on. */
void send_outcome(struct flight *f, const char *why);
/* In the job that settles f, once it has. 0 also for what cannot be sent. */
int send_put(struct flight *f, struct store_txn *t);
/* After that job's commit (rc 0) or at the end: wakes those who got something, frees. */
void send_done(struct flight *f, int rc);

#endif
