/* watchdog: how long the loop's turns take.
 *
 * A turn is what the loop does from one sleep to the next. Turns above 2 ms are counted and the longest
 * is kept, twice: by the wall clock, which is what callers wait, and by the thread's own time on the
 * processor. A turn that is long by the first only was not slow, something else had the processor. */
#ifndef SVC_WATCHDOG_H
#define SVC_WATCHDOG_H

#include <uv.h>

struct watchdog_stats {
    uint64_t turns, over_2ms, over_20ms;
    uint64_t longest_us;
    uint64_t cpu_over_2ms, cpu_longest_us; /* the same by the processor's time */
};

/* Watches `loop` from now on; the handle does not keep it alive. Before the loop first runs. One per
 * process. */
void watchdog_start(uv_loop_t *loop);
void watchdog_stop(void);
void watchdog_stats(struct watchdog_stats *out);

#endif
