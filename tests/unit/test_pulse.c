/* pulse: what the last minute looked like, the newest failures, the last denial of each function. */
#include "svc/pulse.h"

#include "unit.h"

static const struct fn fn = {
    .id = 7, .name = {"thumbs", 6}, .role = {"arn:aws:iam::000000000000:role/thumbs-role", 42}};
static const struct fn sealed = {.id = 0, .name = {"manifest", 8}, .sealed = true};

static void run(struct pulse *p, uint64_t us, bool error)
{
    const struct invoke_result r = {.duration_us = us, .error = error};
    pulse_count(p, &fn, &r);
}

static void test_percentiles(void **state)
{
    (void)state;
    struct pulse *p = pulse_open();
    struct pulse_now now;
    pulse_now(p, &now);
    assert_true(now.rate == 0 && now.error_rate == 0 && now.p50_ms == 0 && now.p99_ms == 0);
    for (int i = 0; i < 98; i++)
        run(p, 1000, false);
    run(p, 800000, true);
    run(p, 800000, true);
    pulse_count(p, &sealed, &(struct invoke_result){.duration_us = 5});
    pulse_count(p, &fn, &(struct invoke_result){.rc = E_THROTTLED});
    pulse_now(p, &now);
    assert_true(now.rate > 1.66 && now.rate < 1.67);
    assert_true(now.error_rate > 0.019 && now.error_rate < 0.021);
    assert_true(now.p50_ms > 0.88 && now.p50_ms < 1.13);
    assert_true(now.p99_ms > 700 && now.p99_ms < 900);
    run(p, 0, false);
    run(p, UINT64_MAX, false); /* the last class takes it */
    struct pulse_point points[PULSE_POINTS];
    assert_int_equal(pulse_points(p, 0, points), 0); /* none is complete */
    pulse_close(p);
}

static void test_failures(void **state)
{
    (void)state;
    struct pulse *p = pulse_open();
    char json[64];
    assert_null(pulse_failure(p, 0));
    for (int i = 0; i < PULSE_FAILURES + 5; i++) {
        snprintf(json, sizeof json, "{\"errorMessage\":\"no. %d\",\"errorType\":\"Oops\"}", i);
        const struct invoke_result r = {
            .error = true, .payload = str_c(json), .request_id = "a-request"};
        pulse_failed(p, &fn, &r);
    }
    const struct invoke_result bad = {
        .error = true, .payload = STR("not json"), .error_type = STR("Sandbox.Timedout")};
    pulse_failed(p, &fn, &bad);
    pulse_failed(p, &sealed, &bad);
    assert_string_equal(pulse_failure(p, 0)->error, "Sandbox.Timedout");
    assert_string_equal(pulse_failure(p, 0)->message, "");
    assert_string_equal(pulse_failure(p, 1)->message, "no. 24");
    assert_string_equal(pulse_failure(p, 1)->error, "Oops");
    assert_string_equal(pulse_failure(p, 1)->function, "thumbs");
    assert_non_null(pulse_failure(p, PULSE_FAILURES - 1));
    assert_null(pulse_failure(p, PULSE_FAILURES));
    pulse_close(p);
}

static void test_runs(void **state)
{
    (void)state;
    struct pulse *p = pulse_open();
    assert_null(pulse_run_after(p, 0));
    const struct invoke_result r = {
        .duration_us = 5, .request_id = "a-request", .source = "a source with a long name"};
    pulse_count(p, &fn, &r);
    const struct pulse_run *run = pulse_run_after(p, 0);
    assert_string_equal(run->function, "thumbs");
    assert_string_equal(run->request_id, "a-request");
    assert_string_equal(run->source, "a source with a");
    uint64_t first = run->seq;
    assert_null(pulse_run_after(p, first));
    for (int i = 0; i < PULSE_RUNS + 10; i++)
        pulse_count(p, &fn, &r);
    assert_int_equal(pulse_run_after(p, first)->seq, first + 11);
    assert_int_equal(pulse_run_after(p, first + 500)->seq, first + 501);
    assert_int_equal(pulse_run_after(p, first + PULSE_RUNS + 9)->seq, first + PULSE_RUNS + 10);
    assert_null(pulse_run_after(p, first + PULSE_RUNS + 10));
    assert_int_equal(pulse_run_after(p, first + 100000)->seq, first + 11);
    assert_int_equal(pulse_run_after(p, UINT64_MAX)->seq, first + 11);
    pulse_close(p);
}

static void test_denials(void **state)
{
    (void)state;
    struct pulse *p = pulse_open();
    char large[2000];
    memset(large, 'x', sizeof large);
    assert_null(pulse_denial(p, 7));
    assert_null(pulse_denial(p, 0));
    pulse_denied(p, &fn, "r1", "s3:GetObject", STR("arn:aws:s3:::a/b"));
    pulse_denied(p, &fn, "r2", "s3:PutObject", STR("arn:aws:s3:::a/c"));
    pulse_denied(p, &fn, "r3", "s3:PutObject", str_of(large, sizeof large));
    assert_string_equal(pulse_denial(p, 7)->action, "s3:PutObject");
    assert_string_equal(pulse_denial(p, 7)->resource, "arn:aws:s3:::a/c");
    assert_string_equal(pulse_denial(p, 7)->role, "thumbs-role");
    for (uint64_t id = 100; id < 100 + 2 * PULSE_DENIALS; id++) {
        struct fn other = fn;
        other.id = id;
        pulse_denied(p, &other, "r", "s3:GetObject", STR("arn:aws:s3:::a/b"));
    }
    assert_non_null(pulse_denial(p, 99 + 2 * PULSE_DENIALS));
    pulse_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_denials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
