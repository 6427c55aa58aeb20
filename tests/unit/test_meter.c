/* meter: what was used is folded into a row a day, and old days go. */
#include "svc/meter.h"

#include "store_alone.h"
#include "svc/function.h"

#define DAY_MS 86400000ll

static uint32_t days[USAGE_DAYS + 100];
static size_t count;
static uint64_t requests;

static void each(void *ctx, const struct usage_row *r)
{
    uint64_t *function = ctx;
    if (r->function_id != *function)
        return;
    days[count++] = r->day;
    requests += r->v[USAGE_REQUESTS];
}

static void list(uint64_t function)
{
    struct usage_query q = {.to = UINT32_MAX, .limit = 10000};
    struct usage_cursor c = {0};
    count = requests = 0;
    struct store_txn *t = store_read(f.store);
    do {
        usage_list(t, &q, &c, each, &function);
    } while (c.more);
    store_read_end(t);
}

/* So many calls of it on that day, in the store. */
static void use(uint64_t function, uint32_t day, int calls)
{
    struct fn fn = {.id = function, .name = STR("f"), .memory_mb = 128};
    struct meter *m = meter_open(&f.loop, f.store);
    for (int i = 0; i < calls; i++)
        meter_count(m, &fn, &(struct invoke_result){.ended_ms = day * DAY_MS, .billed_ms = 2});
    meter_stop(m);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    meter_free(m);
}

static void test_days_add_up(void **state)
{
    (void)state;
    use(7, 20000, 3);
    use(7, 20000, 2);
    use(7, 20001, 1);
    use(8, 20001, 1);
    list(7);
    assert_int_equal(count, 2);
    assert_int_equal(requests, 6);
}

static void test_old_days_go(void **state)
{
    enum { FIRST = 20000, MORE = 5 };
    (void)state;
    use(6, FIRST - 1, 1);
    use(8, FIRST - 1, 1);
    for (uint32_t i = 0; i < USAGE_DAYS + MORE; i++)
        use(7, FIRST + i, 2);
    list(7);
    assert_int_equal(count, USAGE_DAYS);
    assert_int_equal(days[0], FIRST + MORE);
    list(6);
    assert_int_equal(count, 1); /* whose last day that was */
    list(8);
    assert_int_equal(count, 1);
    use(7, FIRST + 100000, 1); /* the clock was wrong */
    list(7);
    assert_int_equal(count, USAGE_DAYS);
    assert_int_equal(days[0], FIRST + MORE + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_days_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_days_go, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
