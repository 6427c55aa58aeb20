/* test_codec: known answers, round trips of every length, and what strict decoders must refuse. */
#include "base/codec.h"

#include "base/err.h"
#include "unit.h"

static void hex(void **state)
{
    (void)state;
    char out[9];
    unsigned char back[4];
    hex_encode("\x00\x9f\xff\x10", 4, out);
    assert_string_equal(out, "009fff10");
    assert_true(hex_decode(STR("009fFF10"), back));
    assert_memory_equal(back, "\x00\x9f\xff\x10", 4);
    assert_true(hex_decode(STR(""), back));
    assert_false(hex_decode(STR("0"), back));
    assert_false(hex_decode(STR("0g"), back));
    assert_false(hex_decode(STR("-1"), back));
}

/* Every byte at every place of a run that is read four bytes at a time. */
static void hex_of_every_byte(void **state)
{
    (void)state;
    unsigned char in[7] = {0};
    char out[2 * sizeof in + 1], want[sizeof out];
    for (size_t n = 0; n <= sizeof in; n++)
        for (size_t at = 0; at < n; at++)
            for (int b = 0; b < 256; b++) {
                in[at] = (unsigned char)b;
                for (size_t i = 0; i < n; i++)
                    snprintf(want + 2 * i, 3, "%02x", in[i]);
                hex_encode(in, n, out);
                assert_string_equal(out, want);
            }
}

static void base64_vectors(void **state)
{
    (void)state;
    static const char *const v[][2] = {{"", ""},
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        struct buf b = BUF_INIT;
        base64_encode(&b, str_c(v[i][0]));
        assert_str(buf_str(&b), v[i][1]);
        buf_clear(&b);
        assert_true(base64_decode(&b, str_c(v[i][1])));
        assert_str(buf_str(&b), v[i][0]);
        buf_deinit(&b);
    }
}

static void base64_round_trip(void **state)
{
    (void)state;
    unsigned char in[256];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 167 + 13);
    for (size_t n = 0; n <= sizeof in; n++) {
        struct str s = str_of((char *)in, n);
        struct buf enc = BUF_INIT, dec = BUF_INIT;
        base64_encode(&enc, s);
        assert_true(base64_decode(&dec, buf_str(&enc)));
        assert_true(str_eq(buf_str(&dec), s));
        buf_clear(&enc);
        buf_clear(&dec);
        base64url_encode(&enc, s);
        assert_true(base64url_decode(&dec, buf_str(&enc)));
        assert_true(str_eq(buf_str(&dec), s));
        buf_deinit(&enc);
        buf_deinit(&dec);
    }
}

static void base64_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",     "Zg",   "Zg=",      "Zg===",    "Zh==",     "Zm9=",
        "Zm9v=", "====", "=",        "Zm 9",     "Zm9v\n",   "Zm9-",
        "Zm9_",  "Z===", "Zg==Zg==", "AAAA====", "AAAAA===", "\xc3\xa9=="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b = BUF_INIT;
        buf_lit(&b, "kept");
        if (base64_decode(&b, str_c(bad[i])))
            fail_msg("accepted \"%s\"", bad[i]);
        assert_str(buf_str(&b), "kept");
        buf_deinit(&b);
    }
    struct buf b = BUF_INIT;
    assert_true(base64url_decode(&b, STR("-_8=")));
    assert_true(base64url_decode(&b, STR("-_8")));
    assert_str(buf_str(&b), "\xfb\xff\xfb\xff");
    assert_false(base64url_decode(&b, STR("+_8")));
    assert_false(base64url_decode(&b, STR("-_9")));
    assert_false(base64url_decode(&b, STR("-_8==")));
    buf_deinit(&b);
    buf_init(&b, 2);
    assert_false(base64_decode(&b, STR("Zm9vZm9v")));
    assert_int_equal(b.rc, E_LIMIT);
    buf_deinit(&b);
}

static void uri(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    uri_encode(&b, STR("a b/c~d+\xc3\xa9*"), false);
    assert_str(buf_str(&b), "a%20b%2Fc~d%2B%C3%A9%2A");
    buf_clear(&b);
    uri_encode(&b, STR("/a b/%"), true);
    assert_str(buf_str(&b), "/a%20b/%25");
    buf_clear(&b);
    form_encode(&b, STR("dir/a b+~*\xc3\xa9.jpg"));
    assert_str(buf_str(&b), "dir/a+b%2B%7E*%C3%A9.jpg");
    buf_clear(&b);
    assert_true(uri_decode(&b, STR("a+b%20c%2f"), false));
    assert_str(buf_str(&b), "a+b c/");
    buf_clear(&b);
    assert_true(uri_decode(&b, STR("a+b%2B"), true));
    assert_str(buf_str(&b), "a b+");
    buf_clear(&b);
    assert_false(uri_decode(&b, STR("%"), false));
    assert_false(uri_decode(&b, STR("%1"), false));
    assert_false(uri_decode(&b, STR("%1g"), false));
    assert_false(uri_decode(&b, STR("%%30"), false));
    buf_deinit(&b);
    for (int c = 0; c < 256; c++) {
        char one = (char)c;
        struct buf e = BUF_INIT, d = BUF_INIT;
        uri_encode(&e, str_of(&one, 1), false);
        assert_true(uri_decode(&d, buf_str(&e), false));
        assert_int_equal(d.n, 1);
        assert_true(d.p[0] == one);
        buf_deinit(&e);
        buf_deinit(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex),
        cmocka_unit_test(hex_of_every_byte),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(base64_round_trip),
        cmocka_unit_test(base64_refuses),
        cmocka_unit_test(uri),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
