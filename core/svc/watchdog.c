/* watchdog: busy time of a turn is wall time less what the loop slept in its poll.
 *
 * libuv runs the callbacks of sockets, pool work and async handles inside the poll phase, between
 * the prepare and the check handles, so a pair of those would miss nearly all work. Instead a check
 * handle looks once a turn at the clock and at the time that libuv says it has slept in the kernel
 * (UV_METRICS_IDLE_TIME: two readings of the clock a poll). */
#include "svc/watchdog.h"

#include "base/clock.h"
#include "base/log.h"

static struct {
    uv_check_t check;
    uint64_t seen_ns, slept_ns; /* at the turn before; 0: none yet */
    struct watchdog_stats stats;
} w;

static void each_turn(uv_check_t *h)
{
    uint64_t now = clock_mono_ns(), slept = uv_metrics_idle_time(h->loop);
    uint64_t us = (now - w.seen_ns - (slept - w.slept_ns)) / 1000;
    bool first = w.seen_ns == 0;
    w.seen_ns = now;
    w.slept_ns = slept;
    if (first)
        return;
    w.stats.turns++;
    if (us > w.stats.longest_us)
        w.stats.longest_us = us;
    if (us <= 2000)
        return;
    w.stats.over_2ms++;
    w.stats.over_20ms += us > 20000;
    log_debug("a loop turn took %.1f ms", (double)us / 1000);
}

void watchdog_start(uv_loop_t *loop)
{
    uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    w.seen_ns = 0;
    uv_check_init(loop, &w.check);
    uv_check_start(&w.check, each_turn);
    uv_unref((uv_handle_t *)&w.check);
}

void watchdog_stop(void)
{
    uv_close((uv_handle_t *)&w.check, NULL);
}

void watchdog_stats(struct watchdog_stats *out)
{
    *out = w.stats;
}
