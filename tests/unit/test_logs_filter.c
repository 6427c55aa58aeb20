/* Filter patterns: a table of what matches what, and what is refused. */
#include "unit.h"

#include <regex.h>

#include "svc/logs_filter.h"

static const char line[] = "[ERROR 400] BAD REQUEST: disk \"sda\" is full";
static const char event[] =
    " {\"level\":\"ERROR\",\"code\":503,\"ratio\":0.25,\"neg\":-4,\"big\":9007199254740993,"
    "\"ok\":true,\"bad\":false,\"nil\":null,\"empty\":\"\",\"num\":\"42\","
    "\"user\":{\"email\":\"a.b@example.com\",\"ids\":[1,2,[30,31]]},"
    "\"items\":[{\"name\":\"x\",\"n\":1},{\"name\":\"y\",\"n\":20}],"
    "\"a b\":1,\"a.b\":2,\"msg\":\"disk is full\",\"\xc3\xa9t\xc3\xa9\":7,\"ip\":\"10.1.2.3\"}\n";

static const struct {
    const char *pattern, *text;
    bool matches;
} rows[] = {
    {"", line, true},
    {"   ", line, true},
    {"ERROR", line, true},
    {"error", line, false},
    {"ERROR BAD", line, true},
    {"BAD ERROR", line, true},
    {"ERROR WARN", line, false},
    {"\"BAD REQUEST\"", line, true},
    {"\"REQUEST BAD\"", line, false},
    {"\"disk \\\"sda\\\"\"", line, true},
    {"?WARN ?ERROR", line, true},
    {"?WARN ?INFO", line, false},
    {"?WARN ?\"is full\"", line, true},
    {"-WARN", line, true},
    {"-ERROR", line, false},
    {"ERROR -full", line, false},
    {"ERROR -\"is empty\"", line, true},
    {"ERROR ?WARN ?full", line, true},
    {"400]", line, true},
    {"\"\"", line, true},
    /* fields */
    {"{ $.level = \"ERROR\" }", event, true},
    {"{$.level=ERROR}", event, true},
    {"{ $.level = \"error\" }", event, false},
    {"{ $.level != \"ERROR\" }", event, false},
    {"{ $.level != \"WARN\" }", event, true},
    {"{ $.level = ERR* }", event, true},
    {"{ $.level = \"*RR*\" }", event, true},
    {"{ $.level = \"*X*\" }", event, false},
    {"{ $.level = * }", event, true},
    {"{ $.level = \"E*R*R\" }", event, true},
    {"{ $.level = \"E*R*RX\" }", event, false},
    {"{ $.msg = \"disk*full\" }", event, true},
    {"{ $.msg = disk }", event, false},
    {"{ $.nothing = \"x\" }", event, false},
    {"{ $.nothing != \"x\" }", event, false},
    {"{ $.code = 503 }", event, true},
    {"{ $.code = 503.0 }", event, true},
    {"{ $.code = 5.03e2 }", event, true},
    {"{ $.code = \"503\" }", event, true},
    {"{ $.code = 5* }", event, true},
    {"{ $.code != 503 }", event, false},
    {"{ $.code != 404 }", event, true},
    {"{ $.code > 500 }", event, true},
    {"{ $.code > 503 }", event, false},
    {"{ $.code >= 503 }", event, true},
    {"{ $.code < 503 }", event, false},
    {"{ $.code <= 503 }", event, true},
    {"{ $.neg < -3.5 }", event, true},
    {"{ $.ratio = .25 }", event, true},
    {"{ $.ratio > 0.2 && $.ratio < 0.3 }", event, true},
    {"{ $.num = 42 }", event, true},
    {"{ $.num > 1 }", event, false},
    {"{ $.level > 1 }", event, false},
    {"{ $.ok = true }", event, true},
    {"{ $.ok IS TRUE }", event, true},
    {"{ $.ok IS FALSE }", event, false},
    {"{ $.bad IS FALSE }", event, true},
    {"{ $.nil IS NULL }", event, true},
    {"{ $.nothing IS NULL }", event, false},
    {"{ $.empty IS NULL }", event, false},
    {"{ $.empty = \"\" }", event, true},
    {"{ $.nil != x }", event, true},
    {"{ $.user != x }", event, false},
    {"{ $.user EXISTS }", event, true},
    {"{ $.nil EXISTS }", event, true},
    {"{ $.nothing EXISTS }", event, false},
    {"{ $.nothing NOT EXISTS }", event, true},
    {"{ $.nil NOT EXISTS }", event, false},
    {"{ $.user.email = \"*@example.com\" }", event, true},
    {"{ $.user.email.x EXISTS }", event, false},
    {"{ $.user.ids[1] = 2 }", event, true},
    {"{ $.user.ids[2][1] = 31 }", event, true},
    {"{ $.user.ids[9] EXISTS }", event, false},
    {"{ $.user.ids[*] = 2 }", event, true},
    {"{ $.user.ids[*] = 3 }", event, false},
    {"{ $.items[1].name = y }", event, true},
    {"{ $.items[*].n > 10 }", event, true},
    {"{ $.items[*].n > 20 }", event, false},
    {"{ $.items[*].z EXISTS }", event, false},
    {"{ $.items.name EXISTS }", event, false},
    {"{ $.*.email EXISTS }", event, true},
    {"{ $[\"a b\"] = 1 }", event, true},
    {"{ $.['a.b'] = 2 }", event, true},
    {"{ $.\xc3\xa9t\xc3\xa9 = 7 }", event, true},
    {"{ $.ip = 10.1.* }", event, true},
    {"{ $.ip != 10.2.* }", event, true},
    {"{ ($.code = 1 || $.code = 503) && $.ok IS TRUE }", event, true},
    {"{ $.code = 1 || $.code = 503 && $.ok IS FALSE }", event, false},
    {"{ $.code = 503 || $.code = 1 && $.ok IS FALSE }", event, true},
    {"{ ($.code = 503 || $.code = 1) && $.ok IS FALSE }", event, false},
    {"{ (($.code = 503)) }", event, true},
    {"{ $.level = \"ERROR\" }", line, false},
    {"{ $.level = \"ERROR\" }", "{\"level\":\"ERROR\"", false},
    {"{ $.level = \"ERROR\" }", "{\"level\":\"ERROR\"} x", false},
    {"{ $.nothing NOT EXISTS }", "not json", false},
    {"{ $[0] = 1 }", "[1,2]", true},
    {"{ $.a = 1 }", "{\"a\":2,\"a\":1}", true},
    /* expressions */
    {"%ERROR%", line, true},
    {"%^ERROR%", line, false},
    {"%^.ERROR%", line, true},
    {"%full$%", line, true},
    {"%disk$%", line, false},
    {"%^\\[ERROR 4[0-9]{2}\\]%", line, true},
    {"%4[0-9]{3}%", line, false},
    {"%4[0-9]{1,5} *\\]%", line, true},
    {"%colou?r%", "the color", true},
    {"%colou?r%", "the colour", true},
    {"%colou?r%", "the colouur", false},
    {"%gray|grey%", "it is grey", true},
    {"%gray|^grey%", "it is grey", false},
    {"%^a+b*c$%", "aaac", true},
    {"%^a+b*c$%", "aaabbbc", true},
    {"%^a+b*c$%", "bbbc", false},
    {"%^a{2}$%", "aa", true},
    {"%^a{2}$%", "aaa", false},
    {"%^a{2,}$%", "aaaaa", true},
    {"%^a{0,2}$%", "", true},
    {"%^a{0,2}$%", "aaa", false},
    {"%10\\.10\\.0\\.1%", "from 10.10.0.1 port", true},
    {"%10\\.10\\.0\\.1%", "from 10a10.0.1 port", false},
    {"%[^a-z]%", "abc", false},
    {"%[^a-z]%", "abCd", true},
    {"%[]x]%", "]", true},
    {"%[a-]%", "-", true},
    {"%\\d+\\s\\w%", "12 x", true},
    {"%^\\D+$%", "abc", true},
    {"%[\\d,]+x%", "1,2x", true},
    {"%x*%", "", true},
    {"{ $.msg = %disk.*full% }", event, true},
    {"{ $.msg != %disk% }", event, false},
    {"{ $.code = %^5[0-9]{2}$% && $.ok = %true% }", event, true},
    {"{ $.a = \"\\\"q\\\"\" }", "{\"a\":\"\\\"q\\\"\"}", true},
};

static const char *const refused[] = {
    "\"open",
    "?\"open",
    "{",
    "{}",
    "{ }",
    "{ $ = 1 }",
    "{ $. = 1 }",
    "{ $.a }",
    "{ $.a = }",
    "{ $.a == 1 }",
    "{ $.a = 1",
    "{ $.a = 1 } x",
    "{ $.a = 1 && }",
    "{ && $.a = 1 }",
    "{ $.a = 1 & $.b = 2 }",
    "{ $.a = 1 || }",
    "{ ($.a = 1 }",
    "{ $.a = 1) }",
    "{ a = 1 }",
    "{ $.a IS }",
    "{ $.a IS 1 }",
    "{ $.a NOT }",
    "{ $.a ISNULL }",
    "{ $.a EXISTSX }",
    "{ $.a > x }",
    "{ $.a > \"1\" }",
    "{ $.a < 1e999 }",
    "{ $.a[ = 1 }",
    "{ $.a[x] = 1 }",
    "{ $.a[-1] = 1 }",
    "{ $.a[1 = 1 }",
    "{ $.a[99999999999] = 1 }",
    "{ $.a[\"x] = 1 }",
    "{ $.a = \"x }",
    "{ $.a = %x }",
    "{ $.a..b = 1 }",
    "{ $.a = 1 $.b = 2 }",
    "[a, b]",
    "%x",
    "%",
    "%%",
    "%(a)%",
    "%a|%",
    "%|a%",
    "%^$%",
    "%a**%",
    "%*a%",
    "%[a%",
    "%[b-a]%",
    "%a{2%",
    "%a{3,2}%",
    "%a{256}%",
    "%a\\%",
    "%a^b%",
    "%a$b%",
    "{ $.a > %x% }",
    "%a{100}b{100}c{100}%",
    "{{ $.a = 1 }}",
};

static void the_table(void **state)
{
    (void)state;
    if (!log_filter_match(NULL, str_c(line)))
        fail_msg("no filter matches everything");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = arena_new(1 << 20);
        struct err err = {0};
        int rc = 0;
        /* bytes of exactly that length: the sanitizer sees a read too far */
        char *copy = malloc(strlen(rows[i].text) + 1);
        memcpy(copy, rows[i].text, strlen(rows[i].text));
        const struct log_filter *f = log_filter_parse(a, str_c(rows[i].pattern), &rc, &err);
        if (rc)
            fail_msg("%s: %s", rows[i].pattern, err.text);
        if (log_filter_match(f, str_of(copy, strlen(rows[i].text))) != rows[i].matches)
            fail_msg("%s on %s", rows[i].pattern, rows[i].text);
        free(copy);
        arena_free(a);
    }
}

static void what_is_no_pattern_is_refused(void **state)
{
    (void)state;
    char deep[1200];
    for (size_t i = 0; i <= sizeof refused / sizeof *refused; i++) {
        struct arena *a = arena_new(1 << 20);
        struct err err = {0};
        int rc = 0;
        memset(deep, '(', sizeof deep);
        deep[0] = '{';
        deep[1000] = 0;
        const char *p = i < sizeof refused / sizeof *refused ? refused[i] : deep;
        const struct log_filter *f = log_filter_parse(a, str_c(p), &rc, &err);
        if (f || rc != E_INVALID || !strstr(err.text, "Invalid filter pattern"))
            fail_msg("%s: %d %s", p, rc, err.text);
        arena_free(a);
    }
}

/* Every pattern cut at every byte, and with bytes changed: whatever comes of it, it ends well. */
static void cut_and_changed(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].pattern);
        for (size_t k = 0; k < 3 * n; k++) {
            struct arena *a = arena_new(1 << 20);
            int rc;
            size_t m = k < n ? k : n;
            char *p = malloc(m + 1);
            memcpy(p, rows[i].pattern, m);
            if (m && k >= n) {
                seed = seed * 1103515245 + 12345;
                p[(seed >> 8) % m] = "{}()$.[]*\"=<&| 1a\\"[(seed >> 20) % 18];
            }
            const struct log_filter *f = log_filter_parse(a, str_of(p, m), &rc, NULL);
            if (rc == 0) {
                log_filter_match(f, str_c(event));
                log_filter_match(f, str_c(line));
            }
            free(p);
            arena_free(a);
        }
    }
}

/* Random expressions and texts over two letters mean what POSIX says. */
static void as_posix_has_it(void **state)
{
    (void)state;
    static const char *const parts[] = {"a",    "b",      ".",         "[ab]",  "[^a]",   "a?",
                                        "b*",   "a+",     ".*",        "|a",    "|b",     "|.",
                                        "b{2}", "a{0,2}", "[ab]{1,3}", "b{2,}", "a{0,1}", ".?"};
    unsigned seed = 7, tried = 0;
    for (int round = 0; round < 20000; round++) {
        char pattern[80], quoted[90], text[12];
        size_t n = 0, m;
        seed = seed * 1103515245 + 12345;
        n += (size_t)snprintf(pattern, sizeof pattern, "%s", seed >> 30 == 0 ? "^" : "");
        for (unsigned k = seed >> 16 & 7; k + 1; k--) {
            seed = seed * 1103515245 + 12345;
            n += (size_t)snprintf(pattern + n, sizeof pattern - n, "%s", parts[(seed >> 12) % 18]);
        }
        seed = seed * 1103515245 + 12345;
        n += (size_t)snprintf(pattern + n, sizeof pattern - n, "%s", seed >> 30 == 0 ? "$" : "");
        for (m = 0; m < (seed >> 8 & 7) + 1; m++)
            text[m] = (char)('a' + (seed >> (12 + m) & 1));
        text[m] = 0;
        snprintf(quoted, sizeof quoted, "%%%s%%", pattern);
        struct arena *a = arena_new(1 << 20);
        int rc;
        const struct log_filter *f = log_filter_parse(a, str_c(quoted), &rc, NULL);
        regex_t posix;
        if (rc == 0 && regcomp(&posix, pattern, REG_EXTENDED | REG_NOSUB) == 0) {
            bool want = regexec(&posix, text, 0, NULL, 0) == 0;
            if (log_filter_match(f, str_c(text)) != want)
                fail_msg("%s on %s", pattern, text);
            regfree(&posix);
            tried++;
        }
        arena_free(a);
    }
    assert_true(tried > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(what_is_no_pattern_is_refused),
        cmocka_unit_test(cut_and_changed),
        cmocka_unit_test(as_posix_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
