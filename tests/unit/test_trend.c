/* trend: a function's last hour, and who makes room for whom. */
#include "svc/trend.h"

#include "svc/durations.h"
#include "unit.h"

static void run(struct trend *t, uint64_t id, uint64_t us, bool error)
{
    const struct fn fn = {.id = id, .name = {"f", 1}};
    const struct invoke_result r = {.duration_us = us, .error = error, .memory_peak = us * 10};
    trend_count(t, &fn, &r);
}

/* The sum over the hour; a run may have fallen into the next minute. */
static struct trend_point sum(const struct trend *t, uint64_t id)
{
    struct trend_point points[TREND_POINTS], all = {0};
    size_t n = trend_points(t, id, points);
    assert_in_range(n, 1, TREND_POINTS);
    for (size_t i = 0; i < n; i++) {
        all.requests += points[i].requests;
        all.errors += points[i].errors;
        if (points[i].max_ms > all.max_ms)
            all.max_ms = points[i].max_ms;
        if (points[i].memory_peak > all.memory_peak)
            all.memory_peak = points[i].memory_peak;
        assert_true(points[i].p50_ms <= points[i].p99_ms);
        assert_true(i == 0 || points[i].t_ms - points[i - 1].t_ms == TREND_STEP_MS);
    }
    return all;
}

static void test_counts(void **state)
{
    (void)state;
    struct trend *t = trend_open();
    assert_int_equal(sum(t, 7).requests, 0);
    for (int i = 0; i < 10; i++)
        run(t, 7, 1000, false);
    run(t, 7, 50000, true);
    run(t, 8, 9, false);
    trend_count(t, &(struct fn){.id = 7, .sealed = true},
                &(struct invoke_result){.duration_us = 5});
    trend_count(t, &(struct fn){.id = 7}, &(struct invoke_result){.rc = E_THROTTLED});
    struct trend_point p = sum(t, 7);
    assert_int_equal(p.requests, 11);
    assert_int_equal(p.errors, 1);
    assert_true(p.max_ms > 49.9 && p.max_ms < 50.1);
    assert_int_equal(p.memory_peak, 500000);
    assert_int_equal(sum(t, 8).requests, 1);
    trend_close(t);
}

static void test_many_functions(void **state)
{
    (void)state;
    struct trend *t = trend_open();
    size_t known = 0;
    for (uint64_t id = 1; id <= 10 * TREND_FUNCTIONS; id++)
        run(t, id, 100, false);
    for (uint64_t id = 1; id <= 10 * TREND_FUNCTIONS; id++)
        known += sum(t, id).requests;
    assert_int_equal(known, TREND_FUNCTIONS);
    run(t, 1, 100, false);
    assert_int_equal(sum(t, 1).requests, 1);
    trend_close(t);
}

static void test_durations(void **state)
{
    (void)state;
    uint32_t counts[62] = {0};
    assert_true(duration_percentile(counts, 62, 2, 0.5) == 0);
    assert_int_equal(duration_class(0, 2, 62), 0);
    assert_int_equal(duration_class(UINT64_MAX, 2, 62), 61);
    for (uint64_t us = 1; us < 1000000; us = us * 5 / 4 + 1)
        assert_true(duration_class(us, 2, 62) <= duration_class(us + 1, 2, 62));
    counts[duration_class(900 * 1000 * 1000, 2, 62)]++; /* the longest timeout still has a class */
    double ms = duration_percentile(counts, 62, 2, 0.5);
    assert_true(ms > 600000 && ms < 1300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_many_functions),
        cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
