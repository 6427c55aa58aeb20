/* ledger: the events that are, were or may again be run: listed, shown, run again, swept.
 *
 * The rows are the queue's own (svc/queue_row): what is to run, what has run (done; kept by number
 * and age) and what was given up (dead; kept until somebody drops it or there are too many). A
 * listing is a page and a cursor; it looks at a bounded number of rows, so a page may be short, or
 * empty, and still have a next one. */
#ifndef SVC_LEDGER_H
#define SVC_LEDGER_H

#include "svc/queue_row.h"

enum { LEDGER_PAGE_MAX = 1000 };

struct ledger_query {
    uint64_t function_id;       /* 0: of all functions, or … */
    struct str function;        /* … of those that bore this name; "": any */
    struct str source;          /* "": any */
    struct str source_arn;      /* "": any */
    int64_t since_ms, until_ms; /* accepted then or later; before then; 0: any time */
    int state;                  /* EVENT_*_ROW; 0: any */
    size_t limit;               /* 1 .. LEDGER_PAGE_MAX */
};
struct ledger_cursor { /* where a page begins; zeros: at the newest */
    uint32_t phase;
    uint64_t lane;
    int64_t ms;
    uint64_t id;
    bool more; /* after a page: there may be a next one */
};
/* Calls each with the rows of a page, what is to run first and then the newest first, and moves the
 * cursor on. Rows are borrowed from t. */
void ledger_list(struct store_txn *t, const struct ledger_query *q, struct ledger_cursor *c,
                 void (*each)(void *ctx, const struct event_row *r), void *ctx);

/* --- in a job --- */

/* Puts the event of that row into the queue once more, as a new event with this id of request;
 * payload p NULL: its own. The row stays. E_NOT_FOUND, E_THROTTLED. */
struct ledger_replay {
    uint64_t id, function_id;
    struct str payload;
    char request_id[37];
    uint64_t max_rows, max_bytes;
    uint64_t new_id; /* set by it: the new event's */
};
int ledger_replay(struct store_txn *t, struct ledger_replay *r);

/* Dead events of that name (p NULL: of all), oldest first, after the place where the slice stands,
 * which moves on; `more` tells whether it is to be gone on with. Their ids into out. */
enum { LEDGER_SLICE = 100 };
struct ledger_slice {
    struct str function;
    int64_t after_ms;
    uint64_t after_id;
    bool more;
};
size_t ledger_dead(struct store_txn *t, struct ledger_slice *s, uint64_t out[LEDGER_SLICE]);

/* Removes at most max runs that ended before before_ms (not the dead); *next is where it goes on, 0 to
 * begin with and when it is through. */
int ledger_expire(struct store_txn *t, int64_t before_ms, size_t max, uint64_t *next);

/* --- the sweep: once a minute, in slices --- */
struct ledger_sweep;
struct ledger_sweep *ledger_sweep_start(struct store *s, int64_t age_ms);
void ledger_sweep_stop(struct ledger_sweep *w);

#endif
