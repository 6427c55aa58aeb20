/* queue_row: rows alone, in a real store: what the totals say is what is there. */
#include "svc/queue_row.h"

#include "store_alone.h"

/* More of one function's events die than its part of the ledger holds. */
static int let_die(struct store_txn *t, void *ctx)
{
    static char payload[EVENT_PAYLOAD_MAX];
    struct event_change c = {.outcome = EVENT_GIVEN_UP,
                             .function_id = 1,
                             .max_dead_rows = 1000,
                             .max_dead_bytes = 1ull << 30};
    int rc = 0;
    for (int i = 0; i < *(int *)ctx && rc == 0; i++) {
        struct queue_event e = {.id = store_new_id(f.store),
                                .function_id = 1,
                                .function_name = STR("f"),
                                .payload = str_of(payload, sizeof payload),
                                .source = "invoke"};
        rc = event_row_add(t, 1000, 1ull << 30, &e);
        if (rc == 0)
            rc = event_row_change(t, e.id, &c);
    }
    return rc;
}

static void test_the_dead_are_counted(void **state)
{
    struct queue_totals q;
    struct queue_totals sum = {0};
    struct str k, v;
    struct key from = {0};
    int n = RUN_BYTES_MAX / EVENT_PAYLOAD_MAX + 2;
    (void)state;
    assert_int_equal(call_run(&f, let_die, &n), 0);
    struct store_txn *t = store_read(f.store);
    struct store_cursor *c = store_cursor(t, T_DUE);
    for (bool more = store_seek(c, key_str(key_u64(&from, EVENT_DEAD)), &k, &v); more;
         more = store_next(c, &k, &v)) {
        struct event_row r;
        uint64_t lane = 0, due = 0, id = 0;
        assert_true(key_take_u64(&k, &lane) && key_take_u64(&k, &due) && key_take_u64(&k, &id));
        assert_int_equal(event_row_get(t, id, &r), 0);
        sum.rows++;
        sum.bytes += r.bytes;
    }
    store_cursor_close(c);
    queue_totals_get(t, &q);
    store_read_end(t);
    assert_in_range(sum.rows, n - 10, n - 1); /* the oldest made room */
    assert_int_equal(q.dead_rows, sum.rows);
    assert_int_equal(q.dead_bytes, sum.bytes);
    assert_int_equal(q.rows, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_dead_are_counted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
