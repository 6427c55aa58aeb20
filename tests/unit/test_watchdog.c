/* test_watchdog: work in the poll phase, where libuv runs nearly everything, must be seen; sleep must
 * not. */
#include "svc/watchdog.h"

#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

static void spin(unsigned ms)
{
    uint64_t end = clock_mono_ns() + ms * 1000000ull;
    while (clock_mono_ns() < end)
        ;
}

static void nothing(uv_timer_t *t)
{
    (void)t;
}

static void in_timer(uv_timer_t *t)
{
    (void)t;
    spin(8);
}

static void in_async(uv_async_t *a)
{
    spin(30);
    uv_close((uv_handle_t *)a, NULL);
}

static void in_async_waiting(uv_async_t *a)
{
    usleep(50 * 1000);
    uv_close((uv_handle_t *)a, NULL);
}

static void turns(void **state)
{
    (void)state;
    struct watchdog_stats s;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_async_t async;
    uv_loop_init(&loop);
    watchdog_start(&loop);
    uv_timer_init(&loop, &timer);

    uv_timer_start(&timer, nothing, 400, 0); /* sleeps only */
    uv_run(&loop, UV_RUN_DEFAULT);
    watchdog_stats(&s);
    assert_true(s.longest_us < 200000);

    uv_timer_start(&timer, in_timer, 1, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_timer_start(&timer, nothing, 1, 0); /* the turn in which it is noticed */
    uv_run(&loop, UV_RUN_DEFAULT);
    watchdog_stats(&s);
    assert_true(s.over_2ms >= 1);
    assert_true(s.longest_us >= 8000);
    uint64_t over = s.over_20ms;

    uv_async_init(&loop, &async, in_async);
    uv_async_send(&async);
    uv_run(&loop, UV_RUN_DEFAULT);
    watchdog_stats(&s);
    assert_true(s.over_20ms > over);
    assert_true(s.longest_us >= 30000);
    assert_true(s.cpu_longest_us > 0 && s.cpu_longest_us <= s.longest_us + 1000);

    /* a turn that waits for something is long by the wall's clock only */
    struct watchdog_stats before = s;
    uv_async_init(&loop, &async, in_async_waiting);
    uv_async_send(&async);
    uv_run(&loop, UV_RUN_DEFAULT);
    watchdog_stats(&s);
    assert_true(s.over_20ms > before.over_20ms);
    assert_true(s.longest_us >= 50000);
    assert_int_equal(s.cpu_over_2ms, before.cpu_over_2ms);

    watchdog_stop();
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(turns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
