/* test_aws_chunked: whole bodies fed whole, byte by byte and cut at every place must read the same;
 * every prefix of one is unfinished; what is malformed is refused wherever it is cut; random bytes
 * end. */
#include "net/aws_chunked.h"

#include "unit.h"

#define SIG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SIG2 "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define S(sig) ";chunk-signature=" sig "\r\n"

enum form { UNSIGNED, SIGNED, SIGNED_TRAILER };

/* What came out, as one text: data, "<sig>" at the end of a chunk, "{name=value}", "!" when bad. */
static void feed(struct aws_chunked *d, struct str in, struct buf *out)
{
    struct str run;
    for (;;) {
        switch (aws_chunked_next(d, &in, &run)) {
        case AWS_CHUNKED_MORE:
            assert_int_equal(in.n, 0);
            return;
        case AWS_CHUNKED_DATA:
            assert_true(run.n > 0);
            buf_add(out, run);
            break;
        case AWS_CHUNKED_CHUNK:
            buf_printf(out, "<%.2s>", run.n ? run.p : "");
            break;
        case AWS_CHUNKED_TRAILER:
            buf_printf(out, "{%.*s=%.*s}", STR_FMT(d->name), STR_FMT(d->value));
            break;
        case AWS_CHUNKED_BAD:
            buf_lit(out, "!");
            return;
        }
    }
}

static void begin(struct aws_chunked *d, enum form form)
{
    aws_chunked_init(d, form != UNSIGNED, form != SIGNED);
}

/* Reads `in` in every way; `want` must come out of each, and "." at the end of a whole body. */
static void reads(enum form form, const char *in, const char *want)
{
    struct str all = str_c(in);
    struct aws_chunked d;
    struct buf out = BUF_INIT;
    for (size_t cut = 0; cut <= all.n + 1; cut++) { /* n + 1: byte by byte */
        begin(&d, form);
        buf_clear(&out);
        if (cut <= all.n) {
            feed(&d, str_of(all.p, cut), &out);
            if (out.n == 0 || out.p[out.n - 1] != '!')
                feed(&d, str_from(all, cut), &out);
        } else {
            for (size_t i = 0; i < all.n && (out.n == 0 || out.p[out.n - 1] != '!'); i++)
                feed(&d, str_of(all.p + i, 1), &out);
        }
        if (aws_chunked_ended(&d))
            buf_lit(&out, ".");
        assert_str(buf_str(&out), want);
    }
    buf_deinit(&out);
}

static void bodies(void **state)
{
    (void)state;
    reads(UNSIGNED, "0\r\n\r\n", "<>.");
    reads(UNSIGNED, "5\r\nhello\r\n0\r\n\r\n", "hello<><>.");
    reads(UNSIGNED, "5\r\nhello\r\n00A\r\n0123456789\r\n0\r\nx-a:b\r\n\r\n",
          "hello<>0123456789<><>{x-a=b}.");
    reads(UNSIGNED, "1;any=thing\r\nx\r\n0\r\nx-a: b \r\nx-c:\r\n\r\n", "x<><>{x-a=b}{x-c=}.");
    reads(SIGNED, "2" S(SIG) "ab\r\n0" S(SIG2) "\r\n", "ab<01><11>.");
    reads(SIGNED_TRAILER, "2" S(SIG) "ab\r\n0" S(SIG2) "x-a:b\r\nx-amz-trailer-signature:s\r\n\r\n",
          "ab<01><11>{x-a=b}{x-amz-trailer-signature=s}.");
    /* habits: LF before a trailer's CRLF, one more CRLF at the end */
    reads(UNSIGNED, "1\r\nx\r\n0\r\nx-a:b\n\r\n\r\n", "x<><>{x-a=b}.");
    reads(UNSIGNED, "1\r\nx\r\n0\r\nx-a:b\n\r\n\r\n\r\n", "x<><>{x-a=b}.");
    reads(UNSIGNED, "0\r\n\r\n\r\n", "<>.");
    reads(SIGNED_TRAILER, "0" S(SIG) "x-a:b\n\r\nx-s:c\r\n\r\n", "<01>{x-a=b}{x-s=c}.");
}

static void broken(void **state)
{
    (void)state;
    reads(UNSIGNED, "\r\n", "!");
    reads(UNSIGNED, ";\r\n", "!");
    reads(UNSIGNED, "x\r\n", "!");
    reads(UNSIGNED, "-1\r\n", "!");
    reads(UNSIGNED, " 1\r\n", "!");
    reads(UNSIGNED, "1 \r\n", "!");
    reads(UNSIGNED, "0x1\r\n", "!");
    reads(UNSIGNED, "00000000001\r\n", "!");
    reads(UNSIGNED, "1\n", "!");
    reads(UNSIGNED, "1\rx", "!");
    reads(UNSIGNED, "1;a\nb\r\n", "!");
    reads(UNSIGNED, "1;a\001\r\n", "!");
    reads(UNSIGNED, "1\r\nxy\r\n", "x!");
    reads(UNSIGNED, "1\r\nx\ry", "x!");
    reads(UNSIGNED, "1\r\nx\n", "x!");
    reads(UNSIGNED, "0\r\n:b\r\n\r\n", "<>!");
    reads(UNSIGNED, "0\r\na b:c\r\n\r\n", "<>!");
    reads(UNSIGNED, "0\r\na\r\n\r\n", "<>!");
    reads(UNSIGNED, "0\r\n a:b\r\n\r\n", "<>!");
    reads(UNSIGNED, "0\r\na:b\nc:d\r\n\r\n", "<>!");
    reads(UNSIGNED, "0\r\na:b\rc\r\n\r\n", "<>!");
    reads(UNSIGNED, "0\r\n\r\n\r\n\r\n", "<>!");
    reads(UNSIGNED, "0\r\n\r\nx", "<>!");
    reads(SIGNED, "1\r\nx\r\n", "!");
    reads(SIGNED, "1;\r\n", "!");
    reads(SIGNED, "1;chunk-signature=\r\n", "!");
    reads(SIGNED, "1;chunk-signature=" SIG "0\r\n", "!");
    reads(SIGNED,
          "1;chunk-signature=g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
          "\r\n",
          "!");
    reads(SIGNED, "1;Chunk-Signature=" SIG "\r\n", "!");
    reads(SIGNED, "0" S(SIG) "x-a:b\r\n\r\n", "<01>!");
}

/* No prefix of a body is a whole one. */
static void prefixes(void **state)
{
    (void)state;
    static const char whole[] = "3" S(SIG) "abc\r\n0" S(SIG2) "x-a:b\r\nx-s:c\r\n\r\n";
    struct buf out = BUF_INIT;
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        struct aws_chunked d;
        begin(&d, SIGNED_TRAILER);
        buf_clear(&out);
        feed(&d, str_of(whole, n), &out);
        assert_false(aws_chunked_ended(&d));
        assert_true(out.n == 0 || out.p[out.n - 1] != '!');
    }
    buf_deinit(&out);
}

static void too_long(void **state)
{
    (void)state;
    struct buf in = BUF_INIT, out = BUF_INIT;
    struct aws_chunked d;
    for (int what = 0; what < 3; what++) {
        buf_clear(&in);
        buf_clear(&out);
        buf_add(&in, what == 0 ? STR("1;") : what == 1 ? STR("0\r\n") : STR("0\r\nx:"));
        for (int i = 0; i < AWS_CHUNKED_LINE_MAX + 1; i++)
            buf_addc(&in, 'a');
        begin(&d, UNSIGNED);
        feed(&d, buf_str(&in), &out);
        assert_true(str_ends(buf_str(&out), STR("!")));
        assert_int_equal(aws_chunked_in_trailer(&d), what > 0);
    }
    buf_clear(&in);
    buf_clear(&out);
    buf_lit(&in, "0\r\n");
    for (int i = 0; i <= AWS_CHUNKED_TRAILERS_MAX; i++)
        buf_lit(&in, "a:b\r\n");
    begin(&d, UNSIGNED);
    feed(&d, buf_str(&in), &out);
    assert_true(str_ends(buf_str(&out), STR("!")));
    buf_deinit(&in);
    buf_deinit(&out);
}

/* A chunk of a TiB less one is announced, and no byte of it is waited for in memory. */
static void large(void **state)
{
    (void)state;
    struct aws_chunked d;
    struct buf out = BUF_INIT;
    begin(&d, UNSIGNED);
    feed(&d, STR("ffffffffff\r\nabc"), &out);
    assert_str(buf_str(&out), "abc");
    assert_true(d.left == 0xFFFFFFFFFFu - 3);
    buf_deinit(&out);
}

static void noise(void **state)
{
    (void)state;
    static const char alphabet[] = "0123f;\r\n:ax\0-=";
    static const char near[] = "3\r\nabc\r\n0\r\nx-a:b\r\n\r\n";
    struct buf out = BUF_INIT;
    uint32_t x = 2463534242u;
    for (int round = 0; round < 200000; round++) {
        char in[40];
        struct aws_chunked d;
        size_t n = sizeof near - 1;
        memcpy(in, near, n);
        for (int i = 0; i < 3; i++) {
            x ^= x << 13, x ^= x >> 17, x ^= x << 5;
            in[x % n] = alphabet[(x >> 8) % (sizeof alphabet - 1)];
        }
        buf_clear(&out);
        begin(&d, (enum form)(x >> 16) % 3);
        feed(&d, str_of(in, n), &out);
        assert_true(out.n < 200);
    }
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),   cmocka_unit_test(broken), cmocka_unit_test(prefixes),
        cmocka_unit_test(too_long), cmocka_unit_test(large),  cmocka_unit_test(noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
