/* retry: when a failed event is tried again, and when it is given up. Pure arithmetic.
 *
 * A function that fails is called again after one and after two minutes, as Lambda does; then the
 * event is dead. What is not the function's fault (no capacity, a runner that we lost) burns no
 * try: it waits 1 s, 2 s, 4 s … 5 min until the event is too old. */
#ifndef SVC_RETRY_H
#define SVC_RETRY_H

#include <stdint.h>

enum retry_reason {
    RETRY_FUNCTION,  /* it returned an error, timed out, ran out of memory, crashed */
    RETRY_THROTTLED, /* no capacity */
    RETRY_PLATFORM,  /* our doing: the runner was lost, the store failed */
};

struct retry_rules {
    uint32_t max_retries; /* after the first try, 0..2 */
    int64_t max_age_ms;
};
extern const struct retry_rules retry_defaults; /* 2 retries, 6 hours */

/* Why an event is dead, as its record and destinations tell it. */
#define RETRY_EXHAUSTED "RetriesExhausted"
#define RETRY_TOO_OLD "EventAgeExceeded"

/* tries: calls of the function that ended in its failure, this one included (>= 1 for
 * RETRY_FUNCTION). defers: how often the event was put off before for the other reasons. age_ms:
 * since the event was accepted. Returns NULL and *wait_ms, or the reason to give up. */
const char *retry_decide(const struct retry_rules *rules, enum retry_reason reason, uint32_t tries,
                         uint32_t defers, int64_t age_ms, int64_t *wait_ms);

#endif
