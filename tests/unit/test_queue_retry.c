/* queue: events that fail, and functions that change while they wait. */
#include "queue_help.h"

/* --- failures ----------------------------------------------------------------------------------
 */

static void test_retries_then_dead(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    mode = FAIL;
    assert_int_equal(send_event(event(1, "{\"n\":7}")), 0);
    wait_calls(1);
    wait_stats(0, 0, 1, 0);
    pass(59 * 1000);
    turn(30);
    assert_int_equal(call_count, 1);
    pass(1000);
    wait_calls(2);
    assert_int_equal(calls[1].attempt, 2);
    wait_stats(0, 0, 1, 0);
    pass(119 * 1000);
    turn(30);
    assert_int_equal(call_count, 2);
    pass(1000);
    wait_calls(3);
    assert_int_equal(calls[2].attempt, 3);
    wait_stats(0, 0, 0, 1);
    pass(3600 * 1000);
    turn(30);
    assert_int_equal(call_count, 3);
    read_dead(&row, error, payload);
    assert_int_equal(row.tries, 3);
    assert_int_equal(row.function_id, 1);
    assert_string_equal(payload, "{\"n\":7}");
    assert_string_equal(error, "RetriesExhausted|{\"errorMessage\":\"too slow\"}");
    assert_non_null(strstr(last_line, "/aws/lambda/f Event given up after 3 tries"));
    assert_int_equal(last_level, LOG_ERROR);
    crash();
    turn(20);
    assert_int_equal(stats().dead, 1); /* the dead stay dead */
    assert_int_equal(call_count, 3);
}

static void test_error_then_success(void **state)
{
    (void)state;
    mode = FAIL;
    assert_int_equal(send_event(event(1, "x")), 0);
    wait_calls(1);
    wait_stats(0, 0, 1, 0);
    mode = SUCCEED;
    crash(); /* waiting rows outlive it */
    assert_int_equal(stats().waiting, 1);
    turn(20);
    assert_int_equal(call_count, 1);
    pass(60 * 1000);
    wait_calls(2);
    assert_int_equal(calls[1].attempt, 2);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(rows_in(T_EVENTS), 0);
}

static void test_throttled_burns_no_try(void **state)
{
    (void)state;
    mode = THROTTLE;
    send_many(5, 1);
    turn(30);
    assert_int_equal(call_count, 1); /* one is refused, the others do not knock */
    assert_int_equal(stats().queued, 5);
    pass(400); /* time goes on by itself too */
    turn(20);
    assert_int_equal(call_count, 1);
    pass(600);
    wait_calls(2);
    turn(20);
    assert_int_equal(call_count, 2);
    pass(1200); /* the second pause is two seconds */
    turn(20);
    assert_int_equal(call_count, 2);
    mode = SUCCEED;
    assert_int_equal(send_event(event(2, "other")), 0); /* nobody else is held up */
    wait_calls(3);
    assert_int_equal(calls[2].function_id, 2);
    pass(800);
    wait_stats(0, 0, 0, 0);
    for (size_t i = 3; i < call_count; i++)
        assert_int_equal(calls[i].attempt, 1);
}

static void test_throttled_late(void **state)
{
    (void)state;
    mode = HOLD;
    send_many(20, 1);
    wait_calls(LANE_WINDOW_FIRST);
    turn(20); /* "running" is in the store by now */
    mode = THROTTLE;
    let_go(&calls[0]);
    let_go(&calls[1]);
    mode = HOLD;
    turn(30);
    assert_int_equal(call_count, LANE_WINDOW_FIRST); /* the window fell to what runs */
    crash();
    wait_stats(0, 0, 0, 0);
    int again = 0;
    for (size_t i = LANE_WINDOW_FIRST; i < call_count; i++) {
        bool was_running = atoi(calls[i].event) >= 2 && atoi(calls[i].event) < LANE_WINDOW_FIRST;
        assert_int_equal(calls[i].attempt, was_running ? 2 : 1);
        again++;
    }
    assert_int_equal(again, 20);
}

static void test_platform_failure(void **state)
{
    (void)state;
    mode = PLATFORM;
    assert_int_equal(send_event(event(1, "x")), 0);
    for (size_t i = 1; i <= 12; i++) {
        wait_calls(i);
        wait_stats(0, 0, 1, 0);
        assert_int_equal(calls[i - 1].attempt, 1);
        pass(i == 1 ? 1000 : 300 * 1000);
    }
    mode = SUCCEED;
    pass(300 * 1000);
    wait_stats(0, 0, 0, 0);
}

static void test_too_old(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    mode = THROTTLE;
    assert_int_equal(send_event(event(1, "old")), 0);
    wait_calls(1);
    pass(6 * 3600 * 1000 + 1000);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_int_equal(str_find(row.error_type, STR("EventAgeExceeded")), 0);
    assert_int_equal(row.tries, 0);
}

/* What a function's own configuration says goes before the defaults. */
static void test_own_retries(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    fns[0].retries_set = fns[1].retries_set = true;
    fns[1].retries = 1;
    mode = FAIL;
    assert_int_equal(send_event(event(1, "none")), 0);
    wait_stats(0, 0, 0, 1);
    assert_int_equal(call_count, 1);
    read_dead(&row, error, payload);
    assert_non_null(strstr(error, "RetriesExhausted"));
    assert_int_equal(send_event(event(2, "one")), 0);
    wait_calls(2);
    wait_stats(0, 0, 1, 1);
    pass(60 * 1000);
    wait_calls(3);
    wait_stats(0, 0, 0, 2);
}

static void test_own_age(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    fns[0].max_age_ms = fns[1].max_age_ms = 60 * 1000;
    mode = THROTTLE;
    assert_int_equal(send_event(event(1, "waits")), 0);
    wait_calls(1);
    pass(61 * 1000);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_non_null(strstr(error, "EventAgeExceeded|the event is older than 60 seconds"));
    mode = FAIL; /* the next try would come too late */
    size_t before = call_count;
    assert_int_equal(send_event(event(2, "fails")), 0);
    wait_calls(before + 1);
    turn(20);
    pass(59 * 1000);
    turn(20);
    assert_int_equal(call_count, before + 1);
    pass(2 * 1000);
    wait_stats(0, 0, 0, 2);
}

/* Once its limit is raised nobody waits for the end of a pause. */
static void test_resume(void **state)
{
    (void)state;
    mode = THROTTLE;
    assert_int_equal(send_event(event(1, "x")), 0);
    wait_calls(1);
    for (int i = 0; i < 6; i++) { /* the pause is 64 s long now */
        pass(1000 << i);
        wait_calls((size_t)i + 2);
    }
    mode = SUCCEED;
    turn(20);
    assert_int_equal(call_count, 7);
    queue_resume(q, 1);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 8);
    queue_resume(q, 1); /* nothing waits */
    queue_resume(q, 77);
}

/* --- functions that change, policies -----------------------------------------------------------
 */

static void test_deleted_and_recreated(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    fn_gone[0] = true;
    assert_int_equal(send_event(event(1, "gone")), 0);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_non_null(strstr(error, "FunctionNotFound|Function not found: f1"));
    assert_string_equal(last_line, ""); /* no log group is made for what is gone */
    fn_gone[0] = false;
    struct queue_event e = event(1, "another's");
    e.function_id = 99; /* the one that was deleted */
    assert_int_equal(send_event(e), 0);
    wait_stats(0, 0, 0, 2);
    e.function_id = 0; /* there was none when the event was sent */
    assert_int_equal(send_event(e), 0);
    wait_stats(0, 0, 0, 3);
    assert_int_equal(call_count, 0);
}

static void test_policy_at_delivery(void **state)
{
    static const char policy[] =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"s\",\"Effect\":\"Allow\","
        "\"Principal\":{\"Service\":\"s3.amazonaws.com\"},\"Action\":\"lambda:InvokeFunction\","
        "\"Resource\":\"arn:aws:lambda:us-east-1:000000000000:function:f1\","
        "\"Condition\":{\"ArnLike\":{\"AWS:SourceArn\":\"arn:aws:s3:::photos\"}}}]}";
    struct err err = {0};
    (void)state;
    struct queue_event e = event(1, "put");
    e.source = "s3";
    e.source_arn = STR("arn:aws:s3:::photos");
    assert_int_equal(send_event(e), 0); /* no policy: refused */
    wait_stats(0, 0, 0, 1);
    assert_non_null(strstr(last_line, "AccessDenied"));
    fns[0].policy = policy_parse(STR(policy), POLICY_RESOURCE, &err);
    assert_non_null(fns[0].policy);
    assert_int_equal(send_event(e), 0);
    wait_calls(1);
    assert_string_equal(calls[0].source, "s3");
    e.source_arn = STR("arn:aws:s3:::other");
    assert_int_equal(send_event(e), 0);
    wait_stats(0, 0, 0, 2);
    assert_int_equal(call_count, 1);
    policy_free(fns[0].policy);
}

/* The outcome takes the place of the event: it is sent on though the queue is full. */
static void test_outcome_of_a_full_queue(void **state)
{
    static char roles;
    (void)state;
    close_queue();
    fixture_restart(&f);
    opts.max_rows = 1;
    opts.roles = (struct roles *)&roles; /* only asked whether there are any */
    open_queue();
    fns[0].on_success = STR("arn:aws:lambda:us-east-1:000000000000:function:f2");
    assert_int_equal(send_event(event(1, "1")), 0);
    wait_calls(2);
    assert_int_equal(calls[1].function_id, 2);
    wait_stats(0, 0, 0, 0);
}

/* As on Lambda: what a function may not run at all does not wait for the day when it may. */
static void test_zero_reserved_concurrency(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    fns[0].limited = true;
    assert_int_equal(send_event(event(1, "shut out")), 0);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_true(str_starts(str_c(error), STR("ZeroReservedConcurrency|")));
    assert_string_equal(payload, "shut out");
    assert_int_equal(row.tries, 0);
    fns[0].reserved = 1;
    assert_int_equal(send_event(event(1, "let in")), 0);
    wait_calls(1);
}

/* One that waits for its retry when that comes about ends at its next time. */
static void test_zero_reserved_concurrency_while_it_waits(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    mode = FAIL;
    assert_int_equal(send_event(event(1, "failed")), 0);
    wait_stats(0, 0, 1, 0);
    fns[0].limited = true;
    pass(61 * 1000);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_true(str_starts(str_c(error), STR("ZeroReservedConcurrency|")));
    assert_int_equal(row.tries, 1);
    assert_int_equal(call_count, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_retries_then_dead),
        T(test_error_then_success),
        T(test_throttled_burns_no_try),
        T(test_throttled_late),
        T(test_platform_failure),
        T(test_too_old),
        T(test_own_retries),
        T(test_own_age),
        T(test_resume),
        T(test_deleted_and_recreated),
        T(test_policy_at_delivery),
        T(test_outcome_of_a_full_queue),
        T(test_zero_reserved_concurrency),
        T(test_zero_reserved_concurrency_while_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
