/* watchdog: a turn's time is wall time less what the loop slept in its poll; and beside it what the
 * thread has used of a processor (one system call a turn, 0.2 us). That contains what the kernel does in
 * the poll itself, waking and going to sleep, so it counts up to the wall's time only: a turn of 0.2 ms
 * was seen to have used 2.5.
 *
 * libuv runs the callbacks of sockets, pool work and async handles inside the poll phase, between
 * the prepare and the check handles, so a pair of those would miss nearly all work. Instead a check
 * handle looks once a turn at the clock and at the time that libuv says it has slept in the kernel
 * (UV_METRICS_IDLE_TIME: two readings of the clock a poll). */
#include "svc/watchdog.h"

#include <time.h>

#include "base/clock.h"
#include "base/log.h"

static struct {
    uv_check_t check;
    uint64_t seen_ns, slept_ns, used_ns; /* at the turn before; 0: none yet */
    struct watchdog_stats stats;
} w;

static uint64_t processor_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void count(uint64_t us, uint64_t cpu_us)
{
    w.stats.turns++;
    if (us > w.stats.longest_us)
        w.stats.longest_us = us;
    if (cpu_us > w.stats.cpu_longest_us)
        w.stats.cpu_longest_us = cpu_us;
    w.stats.over_2ms += us > 2000;
    w.stats.over_20ms += us > 20000;
    w.stats.cpu_over_2ms += cpu_us > 2000;
    if (us > 2000)
        log_debug("a loop turn took %.1f ms, %.1f of them on a processor", (double)us / 1000,
                  (double)cpu_us / 1000);
}

static void each_turn(uv_check_t *h)
{
    uint64_t now = clock_mono_ns(), slept = uv_metrics_idle_time(h->loop), used = processor_ns();
    if (w.seen_ns) {
        uint64_t us = (now - w.seen_ns - (slept - w.slept_ns)) / 1000;
        uint64_t cpu_us = (used - w.used_ns) / 1000;
        count(us, cpu_us < us ? cpu_us : us);
    }
    w.seen_ns = now;
    w.slept_ns = slept;
    w.used_ns = used;
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
