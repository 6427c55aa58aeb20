/* queue: events from their row to their end, lanes and brakes. */
#include "queue_help.h"

/* --- the plain way -----------------------------------------------------------------------------
 */

static void test_delivery(void **state)
{
    (void)state;
    struct queue_event e = event(1, "{\"a\":1}");
    e.qualifier = STR("$LATEST");
    assert_int_equal(send_event(e), 0);
    wait_calls(1);
    assert_string_equal(calls[0].event, "{\"a\":1}");
    assert_string_equal(calls[0].arn, "arn:aws:lambda:us-east-1:000000000000:function:f1:$LATEST");
    assert_string_equal(calls[0].request_id, e.request_id);
    assert_string_equal(calls[0].source, "invoke");
    assert_int_equal(calls[0].attempt, 1);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(send_event(event(2, "null")), 0);
    wait_calls(2);
    assert_string_equal(calls[1].arn, "arn:aws:lambda:us-east-1:000000000000:function:f2");
    wait_stats(0, 0, 0, 0);
    turn(20);
    assert_int_equal(call_count, 2);
    assert_int_equal(rows_in(T_EVENTS), 0);
    assert_int_equal(rows_in(T_DUE), 0);
}

static void test_many_once_each_in_order(void **state)
{
    static int seen[1500];
    int last[5] = {-1, -1, -1, -1, -1};
    (void)state;
    memset(seen, 0, sizeof seen);
    send_many(1500, 4);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 1500);
    for (size_t i = 0; i < call_count; i++) {
        int n = atoi(calls[i].event);
        assert_int_equal(seen[n]++, 0);
        assert_true(n > last[calls[i].function_id]); /* oldest first */
        last[calls[i].function_id] = n;
    }
    assert_int_equal(rows_in(T_DUE), 0);
}

static void test_bounded_and_fair(void **state)
{
    (void)state;
    mode = HOLD;
    hold_only = "f1";
    send_many(600, 1);
    wait_calls(LANE_WINDOW_FIRST);
    turn(30);
    assert_int_equal(call_count, LANE_WINDOW_FIRST);
    assert_int_equal(send_event(event(2, "other")), 0); /* not behind f1's backlog */
    wait_calls(LANE_WINDOW_FIRST + 1);
    assert_string_equal(calls[LANE_WINDOW_FIRST].event, "other");
    for (int i = 0; i < 60; i++) { /* success widens the window, to its bound */
        mode = SUCCEED;
        hold_only = NULL;
        let_all_go();
        mode = HOLD;
        hold_only = "f1";
        turn(10);
    }
    assert_true(running_most > LANE_WINDOW_FIRST && running_most <= LANE_WINDOW_MAX);
    mode = SUCCEED;
    let_all_go();
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 601);
}

static void test_functions_take_turns(void **state)
{
    size_t at[5] = {0};
    (void)state;
    mode = HOLD; /* nothing ends: only the windows fill */
    send_many(400, 1);
    turn(10);
    mode = SUCCEED;
    struct queue_event e = event(2, "x");
    for (int i = 0; i < 20; i++) {
        struct queue_event copy = e;
        assert_int_equal(call_run(&f, put, &copy), 0);
    }
    queue_kick(q, 2);
    let_all_go();
    wait_stats(0, 0, 0, 0);
    for (size_t i = 0; i < call_count; i++)
        if (calls[i].function_id == 2)
            at[2] = i;
    assert_true(at[2] < 300); /* f2's last event did not wait for all of f1's */
}

static void test_delay(void **state)
{
    (void)state;
    struct queue_event e = event(1, "later");
    e.delay_ms = 30;
    uint64_t start = clock_mono_ns();
    assert_int_equal(send_event(e), 0);
    wait_calls(1);
    assert_true(clock_mono_ns() - start >= 28000000);
    e.delay_ms = 3600 * 1000;
    assert_int_equal(send_event(e), 0);
    turn(30);
    assert_int_equal(call_count, 1);
    pass(3600 * 1000);
    wait_calls(2);
}

static void test_limits(void **state)
{
    static char big[EVENT_PAYLOAD_MAX + 1];
    (void)state;
    mode = HOLD;
    struct queue_event e = event(1, "x");
    e.payload = str_of(big, sizeof big);
    assert_int_equal(send_event(e), E_LIMIT);
    e.payload.n--;
    assert_int_equal(send_event(e), 0);
    close_queue();
    fixture_restart(&f);
    opts.max_rows = 3;
    mode = HOLD;
    open_queue();
    assert_int_equal(send_event(event(1, "x")), 0);
    assert_int_equal(send_event(event(2, "x")), 0);
    assert_int_equal(send_event(event(1, "x")), E_THROTTLED); /* the large one still counts */
    close_queue();
    fixture_restart(&f);
    opts.max_rows = 100;
    opts.max_bytes = EVENT_PAYLOAD_MAX + 3000;
    mode = HOLD;
    open_queue();
    assert_int_equal(send_event(event(1, "x")), 0);
    e.payload.n = 5000;
    assert_int_equal(send_event(e), E_THROTTLED);
    mode = SUCCEED;
    let_all_go();
    wait_stats(0, 0, 0, 0);
    assert_int_equal(send_event(e), 0); /* room again */
}

static void test_payloads_in_memory(void **state)
{
    static char big[EVENT_PAYLOAD_MAX];
    (void)state;
    mode = HOLD;
    for (int i = 0; i < 24; i++) {
        struct queue_event e = event(1 + (uint64_t)i % 4, "");
        e.payload = str_of(big, sizeof big);
        assert_int_equal(send_event(e), 0);
    }
    turn(50);
    assert_int_equal(call_count, 16); /* 16 MiB of the 24 */
    assert_true(q->payload_bytes <= FLIGHT_BYTES_MAX);
    mode = SUCCEED;
    let_all_go();
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 24);
    assert_int_equal(q->payload_bytes, 0);
}

/* --- lanes ------------------------------------------------------------------------------------- */

static void test_heap_of_lanes(void **state)
{
    struct queue h = {0};
    uint32_t seed = 7;
    (void)state;
    for (uint64_t id = 1; id <= 300; id++) {
        seed = seed * 1664525u + 1013904223u;
        lane_wake(&h, lane_of(&h, id, true), 100 + (seed >> 8) % 50);
    }
    for (uint64_t id = 1; id <= 300; id += 3) { /* sooner counts, later does not */
        struct lane *lane = lane_of(&h, id, false);
        int64_t was = lane->next_ms;
        lane_wake(&h, lane, was + 10);
        assert_int_equal(lane->next_ms, was);
        lane_wake(&h, lane, was - 3);
        assert_int_equal(lane->next_ms, was - 3);
    }
    assert_null(lane_pop(&h, 96));
    int64_t last = INT64_MIN;
    int n = 0;
    for (struct lane *lane; (lane = lane_pop(&h, 1000)); n++) {
        assert_true(lane->next_ms >= last);
        last = lane->next_ms;
    }
    assert_int_equal(n, 300);
    assert_int_equal(lane_next_ms(&h), INT64_MAX);
    /* due at the same time, they take turns */
    for (uint64_t id = 1; id <= 3; id++)
        lane_wake(&h, lane_of(&h, id, false), 5);
    for (uint64_t i = 0; i < 30; i++) {
        struct lane *lane = lane_pop(&h, 5);
        assert_int_equal(lane->function_id, 1 + i % 3);
        lane_wake(&h, lane, 5);
    }
    lanes_free(&h);
}

static bool scans_from(const struct lane *lane, uint64_t due_ms, uint64_t id)
{
    struct key k, want = {0};
    key_u64(key_u64(key_u64(&want, lane->function_id), due_ms), id);
    return str_eq(lane_scan_key(lane, &k), key_str(&want));
}

static void test_scan_place(void **state)
{
    struct lane lane = {.function_id = 9};
    (void)state;
    assert_true(scans_from(&lane, 0, 0));
    lane_scanned(&lane, 900, 5, 1000);
    assert_true(scans_from(&lane, 900, 6));
    lane_rescan(&lane, 950, 1);
    assert_true(scans_from(&lane, 900, 6));
    lane_rescan(&lane, 900, 4);
    assert_true(scans_from(&lane, 900, 4));
    lane_rescan(&lane, 100, 77);
    assert_true(scans_from(&lane, 100, 77));
    /* a batch under way may still bring rows due at or after the last commit */
    lane_scanned(&lane, 1200, 8, 1000);
    assert_true(scans_from(&lane, 1000, 0));
    lane_scanned(&lane, 1000, 8, 1000);
    assert_true(scans_from(&lane, 1000, 0));
}

static void test_storm_brake(void **state)
{
    (void)state;
    q->o.event_rate = 4;
    send_many(30, 1);
    int64_t began = clock_store_ms() / 1000;
    wait_calls(4);
    turn(50);
    size_t seconds = (size_t)(clock_store_ms() / 1000 - began) + 2; /* it may have begun before */
    assert_true(call_count <= 4 * seconds);
    assert_int_equal(send_event(event(2, "1")), 0); /* another's is not held back */
    uint64_t calls_of_1 = call_count;
    wait_calls(calls_of_1 + 1);
    turn(1100); /* the next second lets some more go */
    assert_true(call_count >= calls_of_1 + 4);
    q->o.event_rate = 0;
    pass(1000);
    wait_stats(0, 0, 0, 0);
}

/* Two functions whose ids meet in the table do not wear off each other's brake. */
static void test_two_brakes(void **state)
{
    (void)state;
    fns[0].event_rate = fns[1].event_rate = 3;
    fns[1].id = 1 + 1024;
    int64_t began = clock_store_ms() / 1000;
    for (int i = 0; i < 20; i++)
        for (uint64_t id = 1; id <= 2; id++) {
            struct queue_event e = event(id, "1");
            e.function_id = fns[id - 1].id;
            assert_int_equal(send_event(e), 0);
        }
    wait_calls(6);
    turn(30);
    size_t seconds = (size_t)(clock_store_ms() / 1000 - began) + 1;
    assert_true(call_count <= 2 * 3 * seconds);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_storm_brake),
        T(test_two_brakes),
        T(test_delivery),
        T(test_many_once_each_in_order),
        T(test_bounded_and_fair),
        T(test_functions_take_turns),
        T(test_delay),
        T(test_limits),
        T(test_payloads_in_memory),
        cmocka_unit_test(test_heap_of_lanes),
        cmocka_unit_test(test_scan_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
