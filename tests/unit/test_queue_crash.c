/* queue: crashes, a broken disk, drains. */
#include "queue_help.h"

/* --- crashes and trouble -----------------------------------------------------------------------
 */

static void test_crash_runs_again(void **state)
{
    (void)state;
    mode = HOLD;
    send_many(30, 3);
    wait_calls(24);
    turn(30);
    crash();
    wait_stats(0, 0, 0, 0);
    int seen[30] = {0}, again = 0;
    for (size_t i = 24; i < call_count; i++) {
        seen[atoi(calls[i].event)]++;
        again += calls[i].attempt == 2;
    }
    for (int i = 0; i < 30; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(again, 24); /* the lost tries are counted */
}

static void test_poison(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    mode = HOLD;
    assert_int_equal(send_event(event(1, "poison")), 0);
    for (uint32_t i = 1; i <= CRASHES_MAX; i++) {
        wait_calls(i);
        assert_int_equal(calls[i - 1].attempt, i);
        turn(15);
        close_queue();
        fixture_restart(&f);
        mode = HOLD;
        open_queue();
    }
    wait_stats(0, 0, 0, 1);
    assert_int_equal(call_count, CRASHES_MAX);
    read_dead(&row, error, payload);
    assert_int_equal(str_find(row.error_type, STR("PoisonEvent")), 0);
    assert_string_equal(payload, "poison");
}

/* Crashes are no failures of the function: it still gets its three tries. */
static void test_crashes_leave_the_retries(void **state)
{
    (void)state;
    mode = HOLD;
    assert_int_equal(send_event(event(1, "x")), 0);
    for (size_t i = 1; i <= 4; i++) {
        wait_calls(i);
        turn(15);
        close_queue();
        fixture_restart(&f);
        mode = i < 4 ? HOLD : FAIL;
        open_queue();
    }
    wait_calls(5);
    wait_stats(0, 0, 1, 0);
    pass(60 * 1000);
    wait_calls(6);
    wait_stats(0, 0, 1, 0);
    pass(120 * 1000);
    wait_calls(7);
    wait_stats(0, 0, 0, 1);
    assert_int_equal(calls[6].attempt, 7);
}

static void test_result_survives_a_broken_disk(void **state)
{
    (void)state;
    mode = HOLD;
    send_many(10, 2);
    wait_calls(10);
    turn(20);
    disk_broken = true;
    mode = SUCCEED;
    let_all_go();
    turn(1500); /* submitted again, refused again */
    assert_int_equal(call_count, 10);
    disk_broken = false;
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 10); /* nothing ran twice */
    assert_int_equal(rows_in(T_EVENTS), 0);
}

static void on_drained(void *ctx)
{
    ++*(int *)ctx;
}

static void test_drain(void **state)
{
    int drained = 0;
    (void)state;
    queue_drain(q, on_drained, &drained);
    assert_int_equal(drained, 1); /* nothing to wait for */
    close_queue();
    fixture_restart(&f);
    open_queue();
    mode = HOLD;
    send_many(40, 1);
    wait_calls(LANE_WINDOW_FIRST);
    queue_drain(q, on_drained, &drained);
    turn(30);
    assert_int_equal(drained, 1);
    mode = SUCCEED;
    let_all_go();
    while (drained == 1)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(drained, 2);
    assert_int_equal(call_count, LANE_WINDOW_FIRST); /* nothing new was started */
    assert_int_equal(stats().queued, 40 - LANE_WINDOW_FIRST);
    assert_int_equal(send_event(event(1, "late")), 0); /* still accepted, for the next start */
    turn(10);
    crash();
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 41);
}

/* A second signal closes it while jobs that are the queue's callers still wait for the store. */
static void test_jobs_after_the_close(void **state)
{
    (void)state;
    struct call late = {0};
    struct queue_event e = event(1, "late");
    mode = HOLD;
    send_many(20, 1);
    call_start(&f, &late, put, &e);
    queue_drain(q, on_drained, &(int){0});
    close_queue();
    uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_int_equal(call_wait(&f, &late), 0);
    queue_kick(q, 1);
    queue_resume(q, 1);
    fixture_restart(&f);
    mode = SUCCEED;
    open_queue();
    wait_stats(0, 0, 0, 0);
    assert_string_equal(calls[call_count - 1].event, "late");
}

static void test_dead_list_is_bounded(void **state)
{
    (void)state;
    close_queue();
    fixture_restart(&f);
    opts.max_rows = 40;
    open_queue();
    fn_gone[0] = true;
    for (int i = 0; i < 25; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(send_event(event(1, text)), 0);
        turn(5);
    }
    wait_stats(0, 0, 0, 10);
    struct event_row row;
    char error[256], payload[64];
    read_dead(&row, error, payload);
    assert_string_equal(payload, "15"); /* the oldest went */
    assert_int_equal(rows_in(T_EVENTS), 20);
    assert_int_equal(rows_in(T_DUE), 10);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_crash_runs_again),
        T(test_poison),
        T(test_crashes_leave_the_retries),
        T(test_result_survives_a_broken_disk),
        T(test_drain),
        T(test_jobs_after_the_close),
        T(test_dead_list_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
