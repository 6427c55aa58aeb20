/* test_out: JSON as commands print it. */
#include "cli/out.h"

#include "cli_alone.h"
#include "unit.h"

/* text -> parsed -> printed */
static void expect(const char *text, size_t flags, const char *want)
{
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    char *got = out_dumps(v, flags);
    assert_string_equal(got, want);
    free(got);
    json_decref(v);
}

static void numbers(void **state)
{
    (void)state;
    static const char *const same[] = {
        "0.1",     "0.3",    "-0.1",   "1.0",  "-0.0", "100.0", "0.30000000000000004",
        "1e-07",   "5e-324", "1e+300", "3.14", "7",    "-3",    "9007199254740993",
        "0.12345", "1e+22",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        expect(same[i], JSON_COMPACT, same[i]);
    expect("1.7976931348623157e308", JSON_COMPACT, "1.7976931348623157e+308");
    expect("0.10000000000000001", JSON_COMPACT, "0.1");
    expect("1e2", JSON_COMPACT, "100.0");
}

static void random_numbers(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252;
    for (int i = 0; i < 20000; i++) {
        union {
            uint64_t bits;
            double v;
        } n;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        n.bits = x;
        json_t *v = json_real(n.v);
        if (!v)
            continue; /* no number, or none that JSON has */
        char *text = out_dumps(v, 0);
        json_t *back = json_loads(text, JSON_DECODE_ANY, NULL);
        assert_true(json_is_real(back) && json_real_value(back) == n.v);
        free(text);
        json_decref(back);
        json_decref(v);
    }
}

static void the_rest(void **state)
{
    (void)state;
    static const char all[] = "{\"a \\\"0.10000000000000001\\\\\":[true,false,null,0.5,{}],"
                              "\"e\":{\"x\":\"1e5 \\\\\"},\"-\":[]}";
    expect(all, JSON_COMPACT, all);
    expect("[0.1,\"é\"]", JSON_INDENT(2), "[\n  0.1,\n  \"é\"\n]");
    expect("\"0.10000000000000001\"", 0, "\"0.10000000000000001\"");
    expect("true", 0, "true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(random_numbers),
        cmocka_unit_test(the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
