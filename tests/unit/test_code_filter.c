/* test_code_filter: ZipFile cut out of a body, however the body is cut into pieces. */
#include "api/code_body.h"
#include "base/codec.h"
#include "unit.h"

static struct buf zip;
static int agains;

static void add(void *ctx, struct str bytes)
{
    (void)ctx;
    buf_add(&zip, bytes);
}

static void again(void *ctx)
{
    (void)ctx;
    agains++;
    buf_clear(&zip);
}

/* Feeds text in pieces of `step` bytes; returns the filter's rc. */
static int feed(const char *text, size_t n, bool nested, size_t step, struct buf *json, bool *found)
{
    struct code_filter f;
    code_filter_init(&f, nested);
    f.zip = add;
    f.again = again;
    buf_clear(&zip);
    agains = 0;
    for (size_t i = 0; i < n; i += step) {
        size_t k = n - i < step ? n - i : step;
        char *exact = malloc(k); /* so that a sanitizer sees a read past it */
        memcpy(exact, text + i, k);
        code_filter_feed(&f, str_of(exact, k));
        free(exact);
    }
    code_filter_end(&f);
    int rc = f.rc;
    *found = f.found;
    buf_clear(json);
    buf_add(json, buf_str(&f.json));
    code_filter_deinit(&f);
    return rc;
}

/* want_zip NULL: not found. */
static void want(const char *text, bool nested, const char *want_json, const char *want_zip)
{
    struct buf json = BUF_INIT;
    bool found;
    for (size_t step = 1; step < 40; step++) {
        int rc = feed(text, strlen(text), nested, step, &json, &found);
        assert_int_equal(rc, 0);
        assert_str(buf_str(&json), want_json);
        assert_int_equal(found, want_zip != NULL);
        assert_str(buf_str(&zip), want_zip ? want_zip : "");
    }
    buf_deinit(&json);
}

static void cuts(void **state)
{
    (void)state;
    want("{\"ZipFile\":\"aGVsbG8=\",\"DryRun\":true}", false, "{\"ZipFile\":\"\",\"DryRun\":true}",
         "hello");
    want("{\"Code\":{\"ZipFile\":\"aGVsbG8=\"},\"FunctionName\":\"f\"}", true,
         "{\"Code\":{\"ZipFile\":\"\"},\"FunctionName\":\"f\"}", "hello");
    want(" { \"A\" : [ 1 , \"ZipFile\" ] , \"ZipFile\" : \"aGVsbG8h\" } ", false,
         " { \"A\" : [ 1 , \"ZipFile\" ] , \"ZipFile\" : \"\" } ", "hello!");
    want("{\"ZipFile\":\"\"}", false, "{\"ZipFile\":\"\"}", "");
}

static void only_there(void **state)
{
    (void)state;
    static const char *const plain[] = {
        "{\"Environment\":{\"ZipFile\":\"aGVsbG8=\"}}",
        "{\"Code\":{\"X\":{\"ZipFile\":\"aGVsbG8=\"}}}",
        "{\"Code\":[{\"ZipFile\":\"aGVsbG8=\"}]}",
        "{\"Code\":[\"ZipFile\",\"aGVsbG8=\"]}",
        "{\"ZipFile\":\"aGVsbG8=\"}",
        "{\"Code\":{\"a\":\"ZipFile\",\"b\":\"aGVsbG8=\"}}",
        "{\"Code\":1,\"Other\":{\"ZipFile\":\"aGVsbG8=\"}}",
        "{\"Code\":{\"ZipFile\":null,\"b\":\"aGVsbG8=\"}}",
        "{\"Code\":{\"ZipFile\":[\"aGVsbG8=\"]}}",
        "{\"Code\":{\"zipFile\":\"aGVsbG8=\",\"ZipFileX\":\"a\",\"ZipFil\":\"b\"}}",
        "{\"a\\\"b\":\"\\\\\",\"Code\":{\"Zip\\u0046ile\":\"aGVsbG8=\"}}",
        "[{\"ZipFile\":\"aGVsbG8=\"}]",
        "\"ZipFile\"",
        "",
        "}}}}]]]{{{{",
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        want(plain[i], true, plain[i], NULL);
}

static void escapes(void **state)
{
    (void)state;
    want("{\"ZipFile\":\"\\/\\/\\u002B+\"}", false, "{\"ZipFile\":\"\"}", "\xff\xff\xbe");
    want("{\"ZipFile\":\"\\u0061GVsbG8\\u003d\"}", false, "{\"ZipFile\":\"\"}", "hello");
}

static void twice(void **state)
{
    (void)state;
    want("{\"ZipFile\":\"aGVsbG8=\",\"ZipFile\":\"YWdhaW4=\"}", false,
         "{\"ZipFile\":\"\",\"ZipFile\":\"\"}", "again");
    assert_int_equal(agains, 1);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"ZipFile\":\"!\"}",          "{\"ZipFile\":\"aGVsbG8\"}",
        "{\"ZipFile\":\"aGVs bG8=\"}",  "{\"ZipFile\":\"aG==Vsbg==\"}",
        "{\"ZipFile\":\"aGVsbG9=\"}",   "{\"ZipFile\":\"a\\n\"}",
        "{\"ZipFile\":\"\\u00e9AAA\"}", "{\"ZipFile\":\"\\uzzzzAAA\"}",
        "{\"ZipFile\":\"=\"}",          "{\"ZipFile\":\"\\u0000AAA\"}"};
    struct buf json = BUF_INIT;
    bool found;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t step = 1; step < 20; step++)
            if (feed(bad[i], strlen(bad[i]), false, step, &json, &found) != E_INVALID)
                fail_msg("accepted %s", bad[i]);
    static const char open[] = "{\"ZipFile\":\"aGVs";
    assert_int_equal(feed(open, sizeof open - 1, false, 7, &json, &found), E_BAD_JSON);

    /* other members may not be large */
    char *big = malloc(70000);
    memset(big, 'x', 70000);
    memcpy(big, "{\"a\":\"", 6);
    assert_int_equal(feed(big, 70000, false, 4096, &json, &found), E_LIMIT);
    free(big);
    buf_deinit(&json);
}

/* A large value in pieces that never meet the groups of four. */
static void large(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT, text = BUF_INIT, json = BUF_INIT;
    bool found;
    for (uint32_t i = 0; i < 300001; i++)
        buf_addc(&bytes, (char)(i * 2654435761u >> 24));
    buf_lit(&text, "{\"FunctionName\":\"f\",\"Code\":{\"ZipFile\":\"");
    base64_encode(&text, buf_str(&bytes));
    buf_lit(&text, "\"},\"Timeout\":3}");
    static const size_t steps[] = {1, 3, 4093, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(feed(text.p, text.n, true, steps[i], &json, &found), 0);
        assert_true(found);
        assert_true(str_eq(buf_str(&zip), buf_str(&bytes)));
        assert_str(buf_str(&json),
                   "{\"FunctionName\":\"f\",\"Code\":{\"ZipFile\":\"\"},\"Timeout\":3}");
    }
    buf_deinit(&bytes);
    buf_deinit(&text);
    buf_deinit(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts),  cmocka_unit_test(only_there), cmocka_unit_test(escapes),
        cmocka_unit_test(twice), cmocka_unit_test(refuses),    cmocka_unit_test(large),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&zip);
    return rc;
}
