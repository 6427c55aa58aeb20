/* trend: what each function has been doing this past hour, minute by minute.
 *
 * Counted in memory as runs end, for whoever looks at one function now; a restart begins anew, and
 * what must last is svc/meter's. Only functions that run cost anything, 17 KiB each, and at most
 * TREND_FUNCTIONS of them: another one takes the place of one that has been quiet for longer. Loop
 * thread only. */
#ifndef SVC_TREND_H
#define SVC_TREND_H

#include "svc/invoke.h"

enum { TREND_STEP_MS = 60000, TREND_POINTS = 60, TREND_FUNCTIONS = 128 };

struct trend;

struct trend *trend_open(void);
void trend_close(struct trend *t);

/* After a run, as meter_count. */
void trend_count(struct trend *t, const struct fn *fn, const struct invoke_result *r);

struct trend_point {
    int64_t t_ms; /* wall, when the minute began */
    uint32_t requests, errors;
    double p50_ms, p99_ms, max_ms; /* 0 when nothing ran */
    uint64_t memory_peak;          /* bytes */
};
/* The last hour of that function, oldest first, the minute that is going on last. A function that
 * has not run has points of zeros: TREND_POINTS of them, or as many as the server is old. */
size_t trend_points(const struct trend *t, uint64_t function_id,
                    struct trend_point out[static TREND_POINTS]);

#endif
