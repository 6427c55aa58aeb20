/* test_json: strictness, depth, duplicates, typed members, and text that is not UTF-8. */
#include "base/json.h"

#include "unit.h"

static void refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "{\"a\":1,}",
                                      "[1,]",
                                      "{a:1}",
                                      "'a'",
                                      "01",
                                      "+1",
                                      "1.",
                                      ".5",
                                      "NaN",
                                      "Infinity",
                                      "[1 2]",
                                      "{} x",
                                      "\"\t\"",
                                      "\"\\x\"",
                                      "nul",
                                      "\"\xff\"",
                                      "\xef\xbb\xbf{}",
                                      "\"\xed\xa0\x80\"",
                                      "// c",
                                      "{\"a\" 1}",
                                      "[\"\\ud800\"]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        if (json_parse(str_c(bad[i]), &err))
            fail_msg("accepted %s", bad[i]);
        assert_int_equal(err.code, E_BAD_JSON);
        assert_non_null(strstr(err.text, "Could not parse request body into json"));
    }
    assert_null(json_parse((struct str){NULL, 0}, NULL));
    assert_null(json_parse(STR("{}\0"), NULL));
    assert_null(json_parse(STR("1\0 2"), NULL));
}

static void depth(void **state)
{
    (void)state;
    char text[2 * 101 + 1];
    memset(text, '[', 101);
    memset(text + 101, ']', 101);
    assert_null(json_parse(str_of(text, 202), NULL));
    json_t *v = json_parse(str_of(text + 1, 200), NULL);
    assert_non_null(v);
    json_decref(v);
    v = json_parse(STR("\"[[[\\\"[[[\""), NULL); /* brackets in strings do not count */
    assert_non_null(v);
    json_decref(v);
}

static void duplicates_and_nul(void **state)
{
    (void)state;
    json_t *v = json_parse(STR("{\"a\":1,\"a\":2,\"s\":\"x\\u0000y\"}"), NULL);
    int64_t n = 0;
    struct str s;
    assert_int_equal(json_member_int(v, "a", &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(json_member_str(v, "s", &s, NULL), 0);
    assert_true(str_eq(s, STR("x\0y")));
    json_decref(v);
}

static void members(void **state)
{
    (void)state;
    json_t *v = json_parse(
        STR("{\"s\":\"t\",\"i\":-7,\"r\":1.5,\"b\":true,\"n\":null,\"o\":{},\"a\":[1]}"), NULL);
    struct err err = {0};
    struct str s;
    int64_t i = 42;
    bool b = false;
    json_t *sub;
    assert_int_equal(json_member_str(v, "s", &s, &err), 0);
    assert_str(s, "t");
    assert_int_equal(json_member_str(v, "n", &s, &err), 0);
    assert_null(s.p);
    assert_int_equal(json_member_str(v, "absent", &s, &err), 0);
    assert_null(s.p);
    assert_int_equal(json_member_str(v, "i", &s, &err), E_BAD_JSON);
    assert_non_null(strstr(err.text, "i is not a string"));
    assert_int_equal(json_member_int(v, "n", &i, &err), 0);
    assert_int_equal(i, 42);
    assert_int_equal(json_member_int(v, "i", &i, &err), 0);
    assert_int_equal(i, -7);
    assert_int_equal(json_member_int(v, "r", &i, &err), E_BAD_JSON);
    assert_int_equal(json_member_int(v, "s", &i, &err), E_BAD_JSON);
    assert_int_equal(json_member_bool(v, "b", &b, &err), 0);
    assert_true(b);
    assert_int_equal(json_member_bool(v, "i", &b, &err), E_BAD_JSON);
    assert_int_equal(json_member_object(v, "o", &sub, &err), 0);
    assert_non_null(sub);
    assert_int_equal(json_member_object(v, "a", &sub, &err), E_BAD_JSON);
    assert_null(sub);
    assert_int_equal(json_member_array(v, "a", &sub, &err), 0);
    assert_non_null(sub);
    assert_int_equal(json_member_array(v, "n", &sub, &err), 0);
    assert_null(sub);
    assert_int_equal(json_member_array(NULL, "n", &sub, &err), 0); /* not an object: not given */
    json_decref(v);
}

static void text(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } t[] = {
        {"plain", "\"plain\""},
        {"q\"b\\n\n\t\r\x01", "\"q\\\"b\\\\n\\n\\t\\r\\u0001\""},
        {"\xc3\xa9\xf0\x9f\x8c\x99", "\"\xc3\xa9\xf0\x9f\x8c\x99\""},
        {"a\xff"
         "b",
         "\"a\xEF\xBF\xBD"
         "b\""},
        {"\xed\xa0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xc3", "\"\xEF\xBF\xBD\""},
        {"\xe2\x82", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xc0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xf4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct buf b = BUF_INIT;
        json_quote(&b, str_c(t[i].in));
        assert_str(buf_str(&b), t[i].out);
        json_t *back = json_parse(buf_str(&b), NULL), *made = json_text(str_c(t[i].in));
        assert_non_null(back);
        assert_true(json_equal(back, made));
        json_decref(back);
        json_decref(made);
        buf_deinit(&b);
    }
    json_t *v = json_parse(STR("{ \"b\" : [ 1 , 2.5 ], \"a\" : \"\\u00e9\" }"), NULL);
    struct buf b = BUF_INIT;
    json_write(&b, v);
    assert_str(buf_str(&b), "{\"b\":[1,2.5],\"a\":\"\xc3\xa9\"}");
    json_decref(v);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses), cmocka_unit_test(depth), cmocka_unit_test(duplicates_and_nul),
        cmocka_unit_test(members), cmocka_unit_test(text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
