/* watchdog: how long the loop's turns take.
 *
 * A turn is what the loop does from one sleep to the next. Turns above 2 ms of work are counted and
 * the longest is kept; /metrics shows both. */
#ifndef SVC_WATCHDOG_H
#define SVC_WATCHDOG_H

#include <uv.h>

struct watchdog_stats {
    uint64_t turns, over_2ms, over_20ms;
    uint64_t longest_us;
};

/* Watches `loop` from now on; the handle does not keep it alive. Before the loop first runs. One per
 * process. */
void watchdog_start(uv_loop_t *loop);
void watchdog_stop(void);
void watchdog_stats(struct watchdog_stats *out);

#endif
