/* The body decoders: every case whole, byte by byte and in random pieces. */
#include "unit.h"

#include "base/buf.h"
#include "net/body.h"

static unsigned seed = 7;

static size_t next_piece(int how, size_t left)
{
    size_t n = left;
    if (how == 1) {
        n = 1;
    } else if (how > 1) {
        seed = seed * 1103515245u + 12345u;
        n = 1 + (seed >> 16) % 9;
    }
    return n < left ? n : left;
}

/* Decodes `wire`; returns the last rc, the decoded bytes in out, what was not taken in *rest. */
static enum body_rc decode(int64_t length, struct str wire, int how, struct buf *out,
                           struct str *rest)
{
    struct body b;
    enum body_rc rc = BODY_MORE;
    size_t at = 0;
    buf_clear(out);
    body_init(&b, length);
    while (at < wire.n) {
        size_t n = next_piece(how, wire.n - at);
        char *copy = malloc(n); /* exactly n bytes: reading past them is seen */
        memcpy(copy, wire.p + at, n);
        struct str in = str_of(copy, n), run;
        do {
            rc = body_next(&b, &in, &run);
            if (rc == BODY_DATA) {
                assert_true(run.n > 0);
                buf_add(out, run);
            }
        } while (rc == BODY_DATA);
        at += n - in.n;
        free(copy);
        if (rc != BODY_MORE)
            break;
    }
    *rest = str_from(wire, at);
    if (rc == BODY_END)
        assert_true(body_ended(&b));
    return rc;
}

struct row {
    enum body_rc rc;
    const char *wire, *body, *rest;
};

static const struct row chunked[] = {
    {BODY_END, "0\r\n\r\n", "", ""},
    {BODY_END, "5\r\nhello\r\n0\r\n\r\nGET /", "hello", "GET /"},
    {BODY_END, "00000005\r\nhello\r\n00000000\r\n\r\n", "hello", ""},
    {BODY_END, "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""},
    {BODY_END, "1;a=b;c=\"d e\"\r\nx\r\n0;last\r\n\r\n", "x", ""},
    {BODY_END, "1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", "\r\n", ""},
    {BODY_END, "0\r\nX-Trailer: v\r\nY:\r\n\r\nrest", "", "rest"},
    {BODY_MORE, "5\r\nhel", "hel", ""},
    {BODY_MORE, "5\r\nhello\r\n0\r\n", "hello", ""},
    {BODY_MORE, "5\r\nhello\r\n0\r\nX: y\r\n\r", "hello", ""},
    {BODY_BAD, "\r\n", "", NULL},
    {BODY_BAD, "g\r\n", "", NULL},
    {BODY_BAD, "-1\r\n", "", NULL},
    {BODY_BAD, "+1\r\n", "", NULL},
    {BODY_BAD, " 1\r\nx\r\n", "", NULL},
    {BODY_BAD, "1 \r\nx\r\n", "", NULL},
    {BODY_BAD, "0x1\r\nx\r\n", "", NULL},
    {BODY_BAD, "000000001\r\nx\r\n", "", NULL},
    {BODY_BAD, "100000000\r\n", "", NULL},
    {BODY_BAD, "1\nx\r\n", "", NULL},
    {BODY_BAD, "1\rx\r\n", "", NULL},
    {BODY_BAD, "1;e\nx\r\n", "", NULL},
    {BODY_BAD, "1;e\r\r\nx\r\n", "", NULL},
    {BODY_BAD, "1;e\x01\r\nx\r\n", "", NULL},
    {BODY_BAD, "1\r\nxy\r\n0\r\n\r\n", "x", NULL},
    {BODY_BAD, "1\r\nx\n0\r\n\r\n", "x", NULL},
    {BODY_BAD, "1\r\nx\rx0\r\n\r\n", "x", NULL},
    {BODY_BAD, "0\r\n X: y\r\n\r\n", "", NULL},
    {BODY_BAD, "0\r\nX : y\r\n\r\n", "", NULL},
    {BODY_BAD, "0\r\nX\r\n\r\n", "", NULL},
    {BODY_BAD, "0\r\nX: y\n\r\n", "", NULL},
    {BODY_BAD, "0\r\nX: \x02\r\n\r\n", "", NULL},
    {BODY_BAD, "0\r\n\n", "", NULL},
    {BODY_BAD, "0\r\n\rx", "", NULL},
};

static void chunked_rows(void **state)
{
    (void)state;
    struct buf out;
    struct str rest;
    buf_init(&out, 0);
    for (size_t i = 0; i < sizeof chunked / sizeof *chunked; i++) {
        const struct row *r = &chunked[i];
        for (int how = 0; how < 20; how++) {
            enum body_rc rc = decode(-1, str_c(r->wire), how, &out, &rest);
            if (rc != r->rc || !str_is(buf_str(&out), r->body) ||
                (r->rest && !str_is(rest, r->rest)))
                fail_msg("row %zu (%s), way %d: rc %d, body \"%.*s\"", i, r->wire, how, (int)rc,
                         STR_FMT(buf_str(&out)));
        }
    }
    buf_deinit(&out);
}

static void broken_stays_broken(void **state)
{
    (void)state;
    struct body b;
    struct str in = STR("zz"), run;
    body_init(&b, -1);
    assert_int_equal(body_next(&b, &in, &run), BODY_BAD);
    in = STR("0\r\n\r\n");
    assert_int_equal(body_next(&b, &in, &run), BODY_BAD);
    assert_int_equal(in.n, 5);
}

/* Extensions and trailers carry nothing for us and may not go on for ever. */
static void bounded_overhead(void **state)
{
    (void)state;
    static char wire[32 * 1024];
    struct buf out;
    struct str rest;
    buf_init(&out, 0);
    memset(wire, 'e', sizeof wire);
    memcpy(wire, "1;", 2);
    assert_int_equal(decode(-1, str_of(wire, sizeof wire), 0, &out, &rest), BODY_BAD);
    memcpy(wire, "0\r\n", 3);
    assert_int_equal(decode(-1, str_of(wire, sizeof wire), 0, &out, &rest), BODY_BAD);
    for (size_t i = 3; i + 5 <= sizeof wire; i += 5)
        memcpy(wire + i, "a:b\r\n", 5);
    assert_int_equal(decode(-1, str_of(wire, sizeof wire - 100), 0, &out, &rest), BODY_BAD);
    buf_deinit(&out);
}

static void lengths(void **state)
{
    (void)state;
    struct buf out;
    struct str rest, run;
    buf_init(&out, 0);
    for (int how = 0; how < 10; how++) {
        struct str wire = STR("hello worldGET / HTTP/1.1");
        assert_int_equal(decode(11, wire, how, &out, &rest), BODY_END);
        assert_true(str_is(buf_str(&out), "hello world"));
        assert_true(str_is(rest, "GET / HTTP/1.1"));
        assert_int_equal(decode(26, wire, how, &out, &rest), BODY_MORE);
        assert_int_equal(out.n, wire.n);
    }
    struct body b;
    body_init(&b, 0);
    assert_true(body_ended(&b));
    body_init(&b, 3);
    struct str in = STR("abc");
    assert_int_equal(body_next(&b, &in, &run), BODY_DATA);
    assert_true(body_ended(&b)); /* known without another byte */
    body_init(&b, -1);
    assert_false(body_ended(&b));
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunked_rows),
        cmocka_unit_test(broken_stays_broken),
        cmocka_unit_test(bounded_overhead),
        cmocka_unit_test(lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
