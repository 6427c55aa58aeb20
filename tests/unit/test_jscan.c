/* jscan: every text of the lists is fed whole and byte by byte, and both ways must agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/jscan.h"

static bool bytewise(struct str s)
{
    struct jscan j;
    jscan_init(&j);
    for (size_t i = 0; i < s.n; i++)
        if (!jscan_feed(&j, s.p + i, 1)) {
            assert_int_equal(j.offset, i);
            assert_false(jscan_feed(&j, "1", 1)); /* it stays false */
            return false;
        }
    assert_int_equal(j.offset, s.n);
    return jscan_end(&j);
}

static bool valid(struct str s)
{
    bool whole = jscan_valid(s);
    assert_int_equal(whole, bytewise(s));
    for (size_t cut = 1; cut < s.n && s.n < 200; cut++) {
        struct jscan j;
        jscan_init(&j);
        bool ok = jscan_feed(&j, s.p, cut) && jscan_feed(&j, s.p + cut, s.n - cut);
        assert_int_equal(ok && jscan_end(&j), whole);
    }
    return whole;
}

static void takes_what_the_grammar_has(void **state)
{
    (void)state;
    static const char *good[] = {
        "0",
        "-0",
        "1",
        "-12",
        "0.5",
        "10.25e+3",
        "1E9",
        "1e-0",
        "true",
        "false",
        "null",
        "\"\"",
        " \t\r\n[ ] ",
        "[]",
        "{}",
        "[1]",
        "[1,2 , 3]",
        "{\"a\":1}",
        "{ \"a\" : { \"b\" : [ true , null ] } , \"c\" : \"\" }",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\ude00\"",
        "\"\\ud800\"",
        "\"\x7f\"",
        "\"\xc2\x80\xdf\xbf\"",
        "\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"",
        "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
        "[[],[{}],{\"\":[]}]",
        "\"0123456789abcdef0123456789abcdef\\n0123456789abcdef\xc3\xa9"
        "0123456789abcdef\"",
        "{\"a\":1,\"a\":2}",
        "123456789012345678901234567890123456789012345678901234567890e999999",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!valid(str_c(good[i])))
            fail_msg("refused: %s", good[i]);
}

static void refuses_all_else(void **state)
{
    (void)state;
    static const char *bad[] = {
        "",
        " ",
        "[",
        "]",
        "{",
        "}",
        "[1",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{,}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\"::1}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1]",
        "[1}",
        "1 2",
        "1,2",
        "{}{}",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e1",
        "1e",
        "1e+",
        "0x10",
        "1a",
        "--1",
        "-a",
        "tru",
        "truee",
        "True",
        "nul",
        "falsey",
        "NaN",
        "Infinity",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "'a'",
        "\"a\nb\"",
        "\"a\tb\"",
        "\"a\x1f\"",
        "[1]//",
        "/**/1",
        "\xef\xbb\xbf{}",
        "\"\x80\"",
        "\"\xbf\"",
        "\"\xc0\x80\"",
        "\"\xc1\xbf\"",
        "\"\xc2\"",
        "\"\xc2\x41\"",
        "\"\xe0\x9f\xbf\"",
        "\"\xe0\xa0\"",
        "\"\xed\xa0\x80\"",
        "\"\xed\xbf\xbf\"",
        "\"\xf0\x8f\xbf\xbf\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"\xff\"",
        "\x80",
        "[\"a\",\n\"\\",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (valid(str_c(bad[i])))
            fail_msg("taken: %s", bad[i]);
    assert_false(valid(STR("1\0")));
    assert_false(valid(STR("\"\0\"")));
    assert_false(valid(STR("[\0]")));
}

static void bounds_the_depth(void **state)
{
    (void)state;
    for (int depth = 98; depth <= 103; depth++) {
        struct buf b = BUF_INIT;
        for (int i = 0; i < depth; i++)
            buf_add(&b, i % 3 ? STR("[") : STR("{\"k\":"));
        buf_lit(&b, "1");
        for (int i = depth; i-- > 0;)
            buf_addc(&b, i % 3 ? ']' : '}');
        assert_int_equal(valid(buf_str(&b)), depth <= JSCAN_DEPTH_MAX);
        buf_deinit(&b);
    }
}

static void tells_where_it_broke(void **state)
{
    (void)state;
    struct jscan j;
    jscan_init(&j);
    assert_true(jscan_feed(&j, "{\"a\":", 5));
    assert_false(jscan_feed(&j, " x}", 3));
    assert_int_equal(j.offset, 6);
    assert_false(jscan_end(&j));
}

/* The helpers agree with a plain loop and with the automaton at every alignment and length. */
static void finds_the_first_odd_byte(void **state)
{
    (void)state;
    static const char odd[] = {'"', '\\', 0, 0x1f, '\n', (char)0x80, (char)0xff};
    char text[96];
    for (size_t start = 0; start < 17; start++)
        for (size_t n = 0; n < 70; n++)
            for (size_t o = 0; o < sizeof odd; o++) {
                memset(text, 'a', sizeof text);
                text[start + n] = odd[o];
                assert_ptr_equal(jscan_plain(text + start, text + sizeof text), text + start + n);
                assert_ptr_equal(jscan_plain(text + start, text + start + n), text + start + n);
            }
    memset(text, 0x7f, sizeof text);
    text[0] = ' ';
    assert_ptr_equal(jscan_plain(text, text + sizeof text), text + sizeof text);
}

static void agrees_on_every_sequence(void **state)
{
    (void)state;
    static const unsigned char tail[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                         0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xff};
    enum { N = sizeof tail };
    for (unsigned lead = 0x80; lead <= 0xff; lead++)
        for (unsigned i = 0; i < N * N * N; i++) {
            char s[6] = {
                '"', (char)lead, (char)tail[i % N], (char)tail[i / N % N], (char)tail[i / N / N],
                '"'};
            size_t n = jscan_utf8(s + 1, s + 5);
            assert_true(n == 0 || (n >= 2 && n <= 4));
            for (size_t length = 1; length <= 4; length++) {
                char quoted[6] = {'"'};
                memcpy(quoted + 1, s + 1, length);
                quoted[length + 1] = '"';
                bool rest = true;
                for (size_t k = n; k < length; k++)
                    rest = rest && s[1 + k] >= 0x20; /* one sequence, then ASCII */
                if (n && n <= length && rest)
                    assert_true(jscan_valid(str_of(quoted, length + 2)));
                if (n == 0 || n > length)
                    assert_false(jscan_valid(str_of(quoted, length + 2)));
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_the_grammar_has), cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(bounds_the_depth),           cmocka_unit_test(tells_where_it_broke),
        cmocka_unit_test(finds_the_first_odd_byte),   cmocka_unit_test(agrees_on_every_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
