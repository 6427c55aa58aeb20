/* test_sse: events cut at every byte, all three line ends, resuming, and what is too large. */
#include "cli/sse.h"

#include "unit.h"

struct seen {
    struct buf text; /* "type|data;" of each event */
    int stop_after;  /* events until the callback says stop; 0: never */
    int count;
};

static bool note(void *ctx, struct str type, struct str data)
{
    struct seen *s = ctx;
    buf_printf(&s->text, "%.*s|%.*s;", STR_FMT(type), STR_FMT(data));
    return ++s->count != s->stop_after;
}

static const char stream[] = ": a comment\n"
                             "id: 7\n"
                             "data: one\n"
                             "\n"
                             "event: log\r\n"
                             "data:two\r\n"
                             "data: lines\r\n"
                             "\r\n"
                             "id: 9\r"
                             "data:  padded \r"
                             "\r"
                             "unknown: field\n"
                             "data\n"
                             "\n"
                             "event: no data\n"
                             "\n"
                             "data: not ended";
static const char expected[] = "|one;log|two\nlines;| padded ;|;";

static void any_cut(void **state)
{
    (void)state;
    struct str all = STR(stream);
    for (size_t cut = 0; cut <= all.n; cut++) {
        struct seen seen = {0};
        struct sse s;
        sse_init(&s, note, &seen);
        assert_true(sse_feed(&s, str_of(all.p, cut)));
        assert_true(sse_feed(&s, str_from(all, cut)));
        assert_str(buf_str(&seen.text), expected);
        assert_string_equal(s.last_id, "9");
        sse_deinit(&s);
        buf_deinit(&seen.text);
    }
}

static void byte_by_byte(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct sse s;
    sse_init(&s, note, &seen);
    for (size_t i = 0; i < sizeof stream - 1; i++)
        assert_true(sse_feed(&s, str_of(stream + i, 1)));
    assert_str(buf_str(&seen.text), expected);
    sse_deinit(&s);
    buf_deinit(&seen.text);
}

static void stops(void **state)
{
    (void)state;
    struct seen seen = {.stop_after = 2};
    struct sse s;
    sse_init(&s, note, &seen);
    assert_false(sse_feed(&s, STR(stream)));
    assert_int_equal(seen.count, 2);
    sse_deinit(&s);
    buf_deinit(&seen.text);
}

/* A line or event over the limit costs itself only. */
static void too_large(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct sse s;
    char *block = malloc(1 << 20);
    memset(block, 'x', 1 << 20);
    sse_init(&s, note, &seen);
    sse_feed(&s, STR("data: "));
    for (int i = 0; i < 3; i++)
        sse_feed(&s, str_of(block, 1 << 20));
    sse_feed(&s, STR("\n\ndata: small\n\n"));
    assert_str(buf_str(&seen.text), "|small;");
    for (int i = 0; i < 10; i++) { /* many lines of one event */
        sse_feed(&s, STR("data: "));
        sse_feed(&s, str_of(block, 1 << 20));
        sse_feed(&s, STR("\n"));
    }
    sse_feed(&s, STR("\ndata: again\n\n"));
    assert_str(buf_str(&seen.text), "|small;|again;");
    sse_deinit(&s);
    buf_deinit(&seen.text);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(stops),
        cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
