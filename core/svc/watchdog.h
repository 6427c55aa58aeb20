/* watchdog: how long the loop's turns take.
 *
 * A turn runs from the end of one poll to the start of the next. Turns above 2 ms are counted and
 * the longest is kept; /metrics shows both. */
#ifndef SVC_WATCHDOG_H
#define SVC_WATCHDOG_H

#include <uv.h>

struct watchdog_stats {
    uint64_t turns, over_2ms, over_20ms;
    uint64_t longest_us;
};

/* Watches `loop` from now on; the handles do not keep it alive. One per process. */
void watchdog_start(uv_loop_t *loop);
void watchdog_stop(void);
void watchdog_stats(struct watchdog_stats *out);

#endif
