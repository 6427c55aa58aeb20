/* watchdog: a check handle takes the time after the poll, a prepare handle before the next one.
 * Timers run before prepare and after the check of the turn before, so they are measured too. */
#include "svc/watchdog.h"

#include "base/clock.h"
#include "base/log.h"

static struct {
    uv_prepare_t prepare;
    uv_check_t check;
    uint64_t began_ns; /* 0: first turn */
    struct watchdog_stats stats;
} w;

static void before_poll(uv_prepare_t *h)
{
    (void)h;
    if (!w.began_ns)
        return;
    uint64_t us = (clock_mono_ns() - w.began_ns) / 1000;
    w.stats.turns++;
    if (us > w.stats.longest_us)
        w.stats.longest_us = us;
    if (us <= 2000)
        return;
    w.stats.over_2ms++;
    w.stats.over_20ms += us > 20000;
    log_debug("a loop turn took %.1f ms", (double)us / 1000);
}

static void after_poll(uv_check_t *h)
{
    (void)h;
    w.began_ns = clock_mono_ns();
}

void watchdog_start(uv_loop_t *loop)
{
    uv_prepare_init(loop, &w.prepare);
    uv_check_init(loop, &w.check);
    uv_prepare_start(&w.prepare, before_poll);
    uv_check_start(&w.check, after_poll);
    uv_unref((uv_handle_t *)&w.prepare);
    uv_unref((uv_handle_t *)&w.check);
}

void watchdog_stop(void)
{
    uv_close((uv_handle_t *)&w.prepare, NULL);
    uv_close((uv_handle_t *)&w.check, NULL);
}

void watchdog_stats(struct watchdog_stats *out)
{
    *out = w.stats;
}
