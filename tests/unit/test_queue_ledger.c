/* queue: what has ended stays, is listed, run again, dropped. */
#include "queue_help.h"

/* --- the ledger --------------------------------------------------------------------------------
 */

struct seen {
    size_t n;
    uint64_t ids[64];
    int states[64];
    char last_chain[256];
};

static void see(void *ctx, const struct event_row *r)
{
    struct seen *s = ctx;
    s->states[s->n] = r->state;
    s->ids[s->n++] = r->id;
    snprintf(s->last_chain, sizeof s->last_chain, "%.*s", STR_FMT(r->chain));
}

static struct seen look(struct ledger_query query, size_t page)
{
    struct seen s = {0};
    struct ledger_cursor at = {.more = true};
    query.limit = page;
    while (at.more) {
        struct store_txn *t = store_read(f.store);
        ledger_list(t, &query, &at, see, &s);
        store_read_end(t);
    }
    return s;
}

static int expire(struct store_txn *t, void *ctx)
{
    uint64_t next = 0;
    return ledger_expire(t, *(int64_t *)ctx, 1000, &next);
}

static void test_ledger_keeps_and_lists(void **state)
{
    (void)state;
    q->o.keep_rows = 5;
    send_many(12, 2);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(rows_in(T_EVENTS), 2 * 2 * 5); /* the newest five of each */
    assert_int_equal(rows_in(T_RUNS), 2 * 5 + 2);
    assert_int_equal(rows_in(T_DUE), 0);
    struct seen all = look((struct ledger_query){0}, 3), one, none;
    assert_int_equal(all.n, 10);
    for (size_t i = 1; i < all.n; i++)
        assert_true(all.ids[i] < all.ids[i - 1]);
    one = look((struct ledger_query){.function_id = 2}, 2);
    assert_int_equal(one.n, 5);
    assert_int_equal(one.states[4], EVENT_DONE_ROW);
    none = look((struct ledger_query){.function_id = 2, .state = EVENT_DEAD_ROW}, 2);
    assert_int_equal(none.n, 0);
    mode = FAIL;
    assert_int_equal(send_event(event(2, "1")), 0);
    wait_stats(0, 0, 1, 0);
    one = look((struct ledger_query){.function_id = 2}, 2);
    assert_int_equal(one.n, 6);
    assert_int_equal(one.states[0], EVENT_WAITING_ROW); /* what is to run comes first */
    int64_t before = clock_store_ms() - 3600000;
    assert_int_equal(call_run(&f, expire, &before), 0);
    assert_int_equal(look((struct ledger_query){0}, 10).n, 11);
    before = clock_store_ms() + 1;
    assert_int_equal(call_run(&f, expire, &before), 0);
    assert_int_equal(look((struct ledger_query){0}, 10).n, 1); /* it is to run yet */
    assert_int_equal(rows_in(T_RUNS), 0);
}

static uint64_t dead_id;

static int redrive(struct store_txn *t, void *ctx)
{
    return event_row_redrive(t, dead_id, *(uint64_t *)ctx, opts.max_rows, opts.max_bytes);
}

static int drop(struct store_txn *t, void *ctx)
{
    (void)ctx;
    return event_row_drop(t, dead_id);
}

static struct ledger_replay again;

static int replay(struct store_txn *t, void *ctx)
{
    (void)ctx;
    return ledger_replay(t, &again);
}

static void test_ledger_redrive_replay_drop(void **state)
{
    (void)state;
    uint64_t one = 1;
    struct ledger_query of_one = {.function_id = 1};
    q->o.keep_rows = 100;
    fns[0].retries_set = true;
    mode = FAIL;
    struct queue_event e = event(1, "\"x\"");
    e.cause = (struct lineage){3, STR("a > b"), STR("c")};
    e.source_arn = STR("");
    assert_int_equal(send_event(e), 0);
    wait_stats(0, 0, 0, 1);
    struct seen s = look(of_one, 10);
    assert_int_equal(s.states[0], EVENT_DEAD_ROW);
    assert_string_equal(s.last_chain, "a > b > c");
    dead_id = s.ids[0];
    mode = SUCCEED;
    assert_int_equal(call_run(&f, redrive, &one), 0);
    queue_kick(q, 1);
    wait_calls(2);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(calls[1].attempt, 1);
    s = look(of_one, 10);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.states[0], EVENT_DONE_ROW);
    assert_string_equal(s.last_chain, ""); /* a lineage of its own */
    assert_int_equal(call_run(&f, redrive, &one), E_CONFLICT);
    again = (struct ledger_replay){.id = dead_id,
                                   .function_id = 1,
                                   .payload = STR("\"y\""),
                                   .max_rows = opts.max_rows,
                                   .max_bytes = opts.max_bytes};
    assert_int_equal(call_run(&f, replay, NULL), 0);
    queue_kick(q, 1);
    wait_calls(3);
    assert_string_equal(calls[2].event, "\"y\"");
    wait_stats(0, 0, 0, 0);
    assert_int_equal(look(of_one, 10).n, 2);
    assert_int_equal(call_run(&f, drop, NULL), 0);
    assert_int_equal(call_run(&f, drop, NULL), E_NOT_FOUND);
    assert_int_equal(look(of_one, 10).n, 1);
    fns[0].retries_set = false;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_ledger_keeps_and_lists),
        T(test_ledger_redrive_replay_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
