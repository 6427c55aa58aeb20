/* pulse: what has just been going on: rates, durations, failures, and what roles lacked.
 *
 * Counted in memory as runs end, for whoever looks at the server now; nothing is stored, and a restart
 * begins anew (usage by day is svc/meter's). Durations fall into classes a sixth of a power of two
 * wide, so a percentile is exact to some 12 %. All of it is bounded. Loop thread only. */
#ifndef SVC_PULSE_H
#define SVC_PULSE_H

#include "svc/invoke.h"

enum {
    PULSE_STEP_MS = 10000,
    PULSE_POINTS = 180, /* half an hour */
    PULSE_WINDOW_S = 60,
    PULSE_RUNS = 1024,
    PULSE_FAILURES = 20,
    PULSE_DENIALS = 256, /* functions, one each */
    PULSE_TEXT_MAX = 512,
};

struct pulse;

struct pulse *pulse_open(void);
void pulse_close(struct pulse *p);

/* After a run, as meter_count; before the answer is handed on, when it failed. `pulse` is one. */
void pulse_count(struct pulse *p, const struct fn *fn, const struct invoke_result *r);
void pulse_failed(struct pulse *p, const struct fn *fn, const struct invoke_result *r);
/* A role lacked that statement. */
void pulse_denied(struct pulse *p, const struct fn *fn, const char *request_id, const char *action,
                  struct str resource);

struct pulse_now { /* of the last minute */
    double rate, error_rate;
    double p50_ms, p99_ms; /* 0 when nothing ran */
};
void pulse_now(struct pulse *p, struct pulse_now *out);

struct pulse_point {
    int64_t t_ms; /* wall, when it began */
    uint32_t requests, errors;
    double p50_ms, p99_ms;
};
/* Complete points that began after that time, oldest first: how many of them are in out[]. */
size_t pulse_points(struct pulse *p, int64_t after_ms, struct pulse_point out[static PULSE_POINTS]);

struct pulse_run { /* one that ended */
    uint64_t seq;  /* grows, over restarts too; 0: none */
    int64_t timestamp_ms;
    char function[65], version[24], request_id[37], source[16];
    bool error;
    uint64_t duration_us, init_us, billed_ms, memory_peak;
};
/* The oldest that is still known after that seq; NULL: none. */
const struct pulse_run *pulse_run_after(const struct pulse *p, uint64_t seq);

struct pulse_failure {
    int64_t timestamp_ms;
    char function[65], request_id[37], error[65];
    char message[PULSE_TEXT_MAX];
};
/* The i-th newest; NULL: there are no more. */
const struct pulse_failure *pulse_failure(const struct pulse *p, size_t i);

struct pulse_denial {
    uint64_t function_id; /* 0: free */
    int64_t timestamp_ms;
    char request_id[37];
    const char *action; /* of hostcall.def */
    char role[65];
    char resource[1400]; /* ARN; a longer one is not kept */
};
/* The last one of that function; NULL: none. Until the next call of a function here. */
const struct pulse_denial *pulse_denial(const struct pulse *p, uint64_t function_id);

#endif
