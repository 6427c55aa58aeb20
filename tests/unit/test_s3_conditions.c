/* test_s3_conditions: which answer the four conditional headers give, alone and together. */
#include "api/s3.h"
#include "base/clock.h"
#include "unit.h"

static int judge(const char *match, const char *none, const char *since, const char *unmodified)
{
    struct s3_conditions k = {str_c(match), str_c(none), str_c(since), str_c(unmodified)};
    /* Mon, 23 Nov 2026 11:32:04.500 GMT */
    return s3_conditions_judge(&k, STR("abc"), clock_join(2026, 11, 23, 11, 32, 4) + 500);
}

static const char at[] = "Mon, 23 Nov 2026 11:32:04 GMT";
static const char before[] = "Mon, 23 Nov 2026 11:32:03 GMT";
static const char after[] = "Mon, 23 Nov 2026 11:32:05 GMT";

static void alone(void **state)
{
    (void)state;
    assert_int_equal(judge(NULL, NULL, NULL, NULL), 200);
    assert_int_equal(judge("\"abc\"", NULL, NULL, NULL), 200);
    assert_int_equal(judge("abc", NULL, NULL, NULL), 200);
    assert_int_equal(judge("*", NULL, NULL, NULL), 200);
    assert_int_equal(judge("\"x\", \"abc\"", NULL, NULL, NULL), 200);
    assert_int_equal(judge("\"abcd\"", NULL, NULL, NULL), 412);
    assert_int_equal(judge("", NULL, NULL, NULL), 412);
    assert_int_equal(judge(NULL, "\"abc\"", NULL, NULL), 304);
    assert_int_equal(judge(NULL, "W/\"abc\"", NULL, NULL), 304);
    assert_int_equal(judge(NULL, "*", NULL, NULL), 304);
    assert_int_equal(judge(NULL, "\"x\"", NULL, NULL), 200);
    assert_int_equal(judge(NULL, NULL, at, NULL), 304);
    assert_int_equal(judge(NULL, NULL, after, NULL), 304);
    assert_int_equal(judge(NULL, NULL, before, NULL), 200);
    assert_int_equal(judge(NULL, NULL, NULL, at), 200);
    assert_int_equal(judge(NULL, NULL, NULL, after), 200);
    assert_int_equal(judge(NULL, NULL, NULL, before), 412);
    /* a time that is none is no condition */
    assert_int_equal(judge(NULL, NULL, "yesterday", NULL), 200);
    assert_int_equal(judge(NULL, NULL, NULL, "yesterday"), 200);
}

static void together(void **state)
{
    (void)state;
    /* a matching If-Match makes If-Unmodified-Since count for nothing */
    assert_int_equal(judge("\"abc\"", NULL, NULL, before), 200);
    /* a failing If-None-Match makes If-Modified-Since count for nothing */
    assert_int_equal(judge(NULL, "\"x\"", at, NULL), 200);
    assert_int_equal(judge(NULL, "\"abc\"", before, NULL), 304);
    assert_int_equal(judge("\"x\"", "\"abc\"", NULL, NULL), 412);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(alone), cmocka_unit_test(together)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
