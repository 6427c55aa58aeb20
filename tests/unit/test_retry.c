/* retry: every row of the arithmetic. */
#include "svc/retry.h"

#include "unit.h"

static void test_function_errors(void **state)
{
    int64_t wait = 0;
    const struct retry_rules *d = &retry_defaults;
    (void)state;
    assert_null(retry_decide(d, RETRY_FUNCTION, 1, 0, 0, &wait));
    assert_int_equal(wait, 60000);
    assert_null(retry_decide(d, RETRY_FUNCTION, 2, 9, 60000, &wait));
    assert_int_equal(wait, 120000);
    assert_string_equal(retry_decide(d, RETRY_FUNCTION, 3, 0, 0, &wait), RETRY_EXHAUSTED);
    assert_string_equal(retry_decide(d, RETRY_FUNCTION, UINT32_MAX, 0, 0, &wait), RETRY_EXHAUSTED);
    assert_string_equal(retry_decide(d, RETRY_FUNCTION, 0, 0, 0, &wait), RETRY_EXHAUSTED);
    /* fewer retries, and more than there are waits for */
    struct retry_rules none = {0, d->max_age_ms}, one = {1, d->max_age_ms},
                       many = {9, d->max_age_ms};
    assert_string_equal(retry_decide(&none, RETRY_FUNCTION, 1, 0, 0, &wait), RETRY_EXHAUSTED);
    assert_null(retry_decide(&one, RETRY_FUNCTION, 1, 0, 0, &wait));
    assert_string_equal(retry_decide(&one, RETRY_FUNCTION, 2, 0, 0, &wait), RETRY_EXHAUSTED);
    assert_string_equal(retry_decide(&many, RETRY_FUNCTION, 3, 0, 0, &wait), RETRY_EXHAUSTED);
}

static void test_defers(void **state)
{
    static const int64_t seconds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300};
    int64_t wait = 0;
    (void)state;
    for (uint32_t i = 0; i < 12; i++) {
        assert_null(retry_decide(&retry_defaults, RETRY_THROTTLED, 0, i, 0, &wait));
        assert_int_equal(wait, seconds[i] * 1000);
        assert_null(retry_decide(&retry_defaults, RETRY_PLATFORM, 7, i, 0, &wait));
        assert_int_equal(wait, seconds[i] * 1000);
    }
    assert_null(retry_decide(&retry_defaults, RETRY_THROTTLED, 0, UINT32_MAX, 0, &wait));
    assert_int_equal(wait, 300000);
}

static void test_age(void **state)
{
    int64_t wait, max = retry_defaults.max_age_ms;
    (void)state;
    assert_int_equal(max, 6 * 3600 * 1000);
    assert_null(retry_decide(&retry_defaults, RETRY_FUNCTION, 1, 0, max - 60000, &wait));
    assert_string_equal(retry_decide(&retry_defaults, RETRY_FUNCTION, 1, 0, max - 59999, &wait),
                        RETRY_TOO_OLD);
    assert_null(retry_decide(&retry_defaults, RETRY_PLATFORM, 0, 0, max - 1000, &wait));
    assert_string_equal(retry_decide(&retry_defaults, RETRY_PLATFORM, 0, 0, max - 999, &wait),
                        RETRY_TOO_OLD);
    assert_string_equal(retry_decide(&retry_defaults, RETRY_THROTTLED, 0, 50, INT64_MAX, &wait),
                        RETRY_TOO_OLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_function_errors),
        cmocka_unit_test(test_defers),
        cmocka_unit_test(test_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
