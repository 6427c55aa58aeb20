/* test_bucket_name: S3's naming rules and this server's own paths. */
#include "svc/bucket.h"
#include "unit.h"

static void good(void **state)
{
    (void)state;
    static const char *const names[] = {
        "abc",       "a1b",
        "my-bucket", "my.bucket",
        "0-9",       "photos.2026-11",
        "1.2.3",     "1.2.3.4.5",
        "1.2.3.a",   "2015-03-31-x",
        "urls",      "x--y",
        "schedules", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk", /* 63 */
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bucket_name_check(str_c(names[i])))
            fail_msg("%s was refused", names[i]);
}

static void bad(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "a",
        "ab",
        "Abc",
        "aBc",
        "a_b",
        "a b",
        "-abc",
        "abc-",
        ".abc",
        "abc.",
        "a..b",
        "a-.b",
        "a.-b",
        "192.168.5.4",
        "999.1.1.1",
        "xn--abc",
        "sthree-abc",
        "amzn-s3-demo-x",
        "abc-s3alias",
        "abc--ol-s3",
        "abc.mrap",
        "abc--x-s3",
        "abc--table-s3",
        "url",
        "healthz",
        "metrics",
        "perilune",
        "2015-03-31",
        "2021-10-31",
        "caf\xc3\xa9",
        "a/b",
        "abc\n",
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl", /* 64 */
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bucket_name_check(str_c(names[i])) != E_BUCKET_NAME)
            fail_msg("%s was taken", names[i]);
    assert_int_equal(bucket_name_check(STR("ab\0c")), E_BUCKET_NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
