/* retry: the table of waits. An event is also given up when its next try would come too late: it
 * would only be found too old then, and whoever waits for its fate learns it sooner. */
#include "svc/retry.h"

#include <stddef.h>

const struct retry_rules retry_defaults = {2, 6ll * 3600 * 1000};

static const int64_t function_waits_ms[] = {60 * 1000, 120 * 1000};
enum { WAITS = sizeof function_waits_ms / sizeof *function_waits_ms };
enum { DEFER_FIRST_MS = 1000, DEFER_MAX_MS = 300 * 1000, DEFER_DOUBLINGS = 9 };

const char *retry_decide(const struct retry_rules *rules, enum retry_reason reason, uint32_t tries,
                         uint32_t defers, int64_t age_ms, int64_t *wait_ms)
{
    if (reason == RETRY_FUNCTION) {
        uint32_t max = rules->max_retries < WAITS ? rules->max_retries : WAITS;
        if (tries == 0 || tries > max)
            return RETRY_EXHAUSTED;
        *wait_ms = function_waits_ms[tries - 1];
    } else {
        int64_t wait = (int64_t)DEFER_FIRST_MS
                       << (defers < DEFER_DOUBLINGS ? defers : DEFER_DOUBLINGS);
        *wait_ms = wait < DEFER_MAX_MS ? wait : DEFER_MAX_MS;
    }
    return age_ms > rules->max_age_ms - *wait_ms ? RETRY_TOO_OLD : NULL;
}
