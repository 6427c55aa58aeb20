/* meter: what each function used, by day: requests, errors, billed ms, GB-ms, peak memory.
 *
 * Counted in memory on the invoke path and folded into T_USAGE once a second, so that a synchronous
 * run costs no write. A crash may cost that second. Days older than
 * USAGE_DAYS go. */
#ifndef SVC_METER_H
#define SVC_METER_H

#include <uv.h>

#include "base/rec.h"
#include "store/store.h"
#include "svc/invoke.h"

struct meter;

struct meter *meter_open(uv_loop_t *loop, struct store *s);
/* Stops the timer and submits what is left; call before store_close. */
void meter_stop(struct meter *m);
void meter_free(struct meter *m);
/* Matches pool_opts.metered. */
void meter_count(void *meter, struct fn *fn, const struct invoke_result *r);

enum { USAGE_DAYS = 400 }; /* a year, and its month beside the same one of the year before */
/* Fields of a T_USAGE record, u64 but for the name; the key is function id and day since 1970. */
enum {
    USAGE_REQUESTS = 1,
    USAGE_ERRORS,
    USAGE_BILLED_MS,
    USAGE_MB_MS, /* memory size in MB times billed ms; GB-s is this / 1,024,000 */
    USAGE_DURATION_US,
    USAGE_PEAK_BYTES,
    USAGE_COUNT_ = USAGE_PEAK_BYTES,
    USAGE_NAME, /* the function's: usage outlives it */
};

/* What one function used on one day; borrowed from the transaction. */
struct usage_row {
    uint64_t function_id;
    struct str function;
    uint32_t day; /* since 1970 */
    uint64_t v[USAGE_COUNT_ + 1];
};
struct usage_query {
    uint32_t from, to;   /* days, both included */
    struct str function; /* "": any */
    size_t limit;        /* rows a page */
};
struct usage_cursor { /* where a page begins; zeros: at the first */
    uint64_t function_id;
    uint32_t day;
    bool more; /* after a page: there may be a next one */
};
/* Calls each for the rows of a page, function after function, and moves the cursor on. It looks at a
 * bounded number of rows, so a page may be short and still have a next one. */
void usage_list(struct store_txn *t, const struct usage_query *q, struct usage_cursor *c,
                void (*each)(void *ctx, const struct usage_row *r), void *ctx);

#endif
