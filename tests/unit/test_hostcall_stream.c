/* test_hostcall_stream: objects in pieces, and answers in pieces. */
#include "hostcall_help.h"

/* --- streams ------------------------------------------------------------------------------------
 */

static struct answer *stream_call(int number, uint64_t handle, const char *body)
{
    rec_put_u64(&args, HC_HANDLE, handle);
    if (body)
        arg(HC_BODY, body);
    return run(number);
}

static uint64_t open_stream(int number, const char *key)
{
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, key);
    struct answer *a = run(number);
    assert_int_equal(a->rc, 0);
    return rec_u64(buf_str(&a->result), HC_HANDLE, 0);
}

static int head(const char *key)
{
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, key);
    return run(HC_S3_HEAD)->rc;
}

static void writes_and_reads_in_pieces(void **state)
{
    (void)state;
    grant("{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}");
    enum { PIECE = 700 * 1000 };
    char *piece = malloc(PIECE + 1);
    memset(piece, 'p', PIECE);
    piece[PIECE] = 0;
    uint64_t w = open_stream(HC_S3_CREATE, "big");
    for (int i = 0; i < 3; i++)
        assert_int_equal(stream_call(HC_S3_WRITE, w, piece)->rc, 0);
    assert_int_equal(head("big"), E_NO_KEY);
    struct answer *a = stream_call(HC_S3_FINISH, w, NULL);
    assert_int_equal(a->rc, 0);
    assert_int_equal(rec_u64(buf_str(&a->result), HC_SIZE, 0), 3 * PIECE);
    assert_int_equal(field(a, HC_ETAG).n, 32);
    assert_int_equal(stream_call(HC_S3_WRITE, w, "x")->rc, E_INVALID);
    assert_int_equal(stream_call(HC_S3_FINISH, w, NULL)->rc, E_INVALID);
    assert_null(kept);

    uint64_t r = open_stream(HC_S3_OPEN, "big");
    size_t got = 0;
    uint64_t left = 3 * PIECE;
    while (left) {
        rec_put_u64(&args, HC_LIMIT, 1000 * 1000);
        a = stream_call(HC_S3_READ, r, NULL);
        assert_int_equal(a->rc, 0);
        struct str body = field(a, HC_BODY);
        left = rec_u64(buf_str(&a->result), HC_LEFT, 99);
        got += body.n;
        assert_true((body.n == 1000 * 1000 || left == 0) && got + left == 3 * PIECE);
    }
    assert_null(kept); /* the end closes */
    assert_int_equal(stream_call(HC_S3_READ, r, NULL)->rc, E_INVALID);
    rec_put_u64(&args, HC_LIMIT, HOSTCALL_BODY_MAX + 1);
    r = open_stream(HC_S3_OPEN, "big");
    rec_put_u64(&args, HC_LIMIT, HOSTCALL_BODY_MAX + 1);
    assert_int_equal(stream_call(HC_S3_READ, r, NULL)->rc, E_INVALID);
    assert_int_equal(stream_call(HC_S3_WRITE, r, "x")->rc, E_INVALID);
    assert_int_equal(stream_call(HC_S3_FINISH, r, NULL)->rc, E_INVALID);
    assert_int_equal(stream_call(HC_S3_CLOSE, r, NULL)->rc, 0);
    assert_int_equal(stream_call(HC_S3_CLOSE, r, NULL)->rc, 0);
    free(piece);
    assert_int_equal(hc->streams, 0);
}

static void streams_end_with_the_invocation(void **state)
{
    (void)state;
    static struct answer reading, writing, second;
    grant("{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}");
    char *big = malloc(6 << 20);
    memset(big, 'b', 6 << 20);
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "big");
    rec_put_str(&args, HC_BODY, str_of(big, HOSTCALL_BODY_MAX));
    assert_int_equal(run(HC_S3_PUT)->rc, 0);
    uint64_t r = open_stream(HC_S3_OPEN, "big"), w = open_stream(HC_S3_CREATE, "never");
    open_stream(HC_S3_CREATE, "neither");
    rec_put_u64(&args, HC_HANDLE, r);
    begin(HC_S3_READ, &reading);
    begin(HC_S3_READ, &second);
    assert_true(second.done && second.rc == E_CONFLICT); /* one thing at a time */
    buf_deinit(&args);
    rec_put_u64(&args, HC_HANDLE, w);
    rec_put_str(&args, HC_BODY, str_of(big, 5 << 20));
    begin(HC_S3_WRITE, &writing);
    assert_false(reading.done || writing.done);
    reading.call.abandoned = writing.call.abandoned = true;
    end_invocation();
    assert_true(writing.done && writing.rc == E_ABORTED);
    end(&reading);
    assert_int_equal(reading.rc, E_ABORTED);
    buf_clear(&args);
    assert_int_equal(hc->streams, 0);
    assert_int_equal(hc->memory, 0);
    assert_int_equal(head("never"), E_NO_KEY);
    free(big);
    for (int i = 0; i < HOSTCALL_HANDLES_MAX; i++)
        open_stream(HC_S3_OPEN, "big");
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "big");
    assert_int_equal(run(HC_S3_OPEN)->rc, E_THROTTLED);
    end_invocation();
    assert_int_equal(hc->streams, 0);
}

static bool head_too_large; /* for whoever streams */

static bool stream_begin(void *ctx, struct str head)
{
    assert_ptr_equal(ctx, &streamed);
    assert_true(rec_valid(head));
    if (!head_too_large)
        buf_add(&streamed.head, head);
    return !head_too_large;
}

static bool stream_write(void *ctx, struct str bytes, void (*resume)(void *arg), void *arg)
{
    assert_ptr_equal(ctx, &streamed);
    buf_add(&streamed.body, bytes);
    streamed.resume = resume;
    streamed.arg = arg;
    return !streamed.full;
}

static void write_args(const char *text)
{
    buf_clear(&args);
    rec_put_str(&args, HC_BODY, str_c(text));
}

/* A head with one header and cookies, as a runner may send them: response.begin's answer. */
static int begin_with(const char *name, struct str value, const char *cookies)
{
    buf_clear(&args);
    size_t mark = rec_begin(&args, HC_META);
    rec_put_str(&args, 1, str_c(name));
    rec_put_str(&args, 2, value);
    rec_end(&args, mark);
    rec_put_str(&args, HC_VALUE, str_c(cookies));
    return run(HC_RESPONSE_BEGIN)->rc;
}

static void bad_heads(void **state)
{
    (void)state;
    static char large[16 * 1024 + 1];
    char name[258];
    memset(large, 'x', sizeof large);
    memset(name, 'x', sizeof name - 1);
    name[257] = 0;
    streamed.s = (struct invoke_stream){&streamed, stream_begin, stream_write, false, 0};
    static const char *const names[] = {"", "a b", "a:", "a\nb", "\xc3\xbc"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(begin_with(names[i], STR("v"), ""), E_INVALID);
    static const struct str values[] = {{"a\nb", 3}, {"a\r", 2}, {"\0", 1}, {"\x7f", 1}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_int_equal(begin_with("x", values[i], ""), E_INVALID);
    assert_int_equal(begin_with(name, STR("v"), ""), E_INVALID);
    assert_int_equal(begin_with("x", str_of(large, sizeof large), ""), E_INVALID);
    assert_int_equal(begin_with("x", STR("v"), "a=1\nb=\r2"), E_INVALID);
    head_too_large = true;
    assert_int_equal(begin_with("x", STR("v"), ""), E_INVALID);
    head_too_large = false;
    assert_false(streamed.s.begun);
    assert_int_equal(streamed.head.n, 0);
    write_args("early");
    assert_int_equal(run(HC_RESPONSE_WRITE)->rc, E_CONFLICT);
    assert_int_equal(begin_with(name + 1, str_of(large, sizeof large - 1), "a=\t1"), 0);
    assert_true(streamed.s.begun);
    buf_deinit(&streamed.head);
    streamed.s.ctx = NULL;
}

static void streams(void **state)
{
    (void)state;
    struct answer a = {0};
    buf_clear(&args);
    assert_int_equal(rec_u64(buf_str(&run(HC_RESPONSE_BEGIN)->result), HC_EXISTS, 9), 0);
    write_args("early");
    assert_int_equal(run(HC_RESPONSE_WRITE)->rc, E_CONFLICT);
    streamed.s = (struct invoke_stream){&streamed, stream_begin, stream_write, false, 0};
    assert_int_equal(run(HC_RESPONSE_WRITE)->rc, E_CONFLICT);
    buf_clear(&args);
    rec_put_u64(&args, HC_N, 99);
    assert_int_equal(run(HC_RESPONSE_BEGIN)->rc, E_INVALID);
    buf_clear(&args);
    rec_put_u64(&args, HC_N, 201);
    size_t mark = rec_begin(&args, HC_META);
    rec_put_str(&args, 1, STR("x-kind"));
    rec_put_str(&args, 2, STR("test"));
    rec_end(&args, mark);
    rec_put_str(&args, HC_VALUE, STR("a=1\nb=2"));
    assert_int_equal(rec_u64(buf_str(&run(HC_RESPONSE_BEGIN)->result), HC_EXISTS, 9), 1);
    struct str head = buf_str(&streamed.head);
    assert_int_equal(rec_u64(head, URL_STATUS, 0), 201);
    assert_true(str_is(rec_str(rec_str(head, URL_HEADER), 2), "test"));
    assert_true(str_is(rec_str(head, URL_COOKIE), "a=1"));
    assert_int_equal(run(HC_RESPONSE_BEGIN)->rc, E_CONFLICT);
    write_args("one ");
    assert_int_equal(run(HC_RESPONSE_WRITE)->rc, 0);
    streamed.full = true;
    write_args("two");
    begin(HC_RESPONSE_WRITE, &a);
    assert_false(a.done);
    streamed.resume(streamed.arg);
    assert_true(a.done);
    end(&a);
    begin(HC_RESPONSE_WRITE, &a);
    a.call.abandoned = true; /* the deadline has passed while the client did not read */
    a.call.cancel(&a.call);
    end(&a);
    assert_int_equal(a.rc, E_ABORTED);
    assert_true(str_is(buf_str(&streamed.body), "one twotwo"));
    assert_int_equal(streamed.s.sent, 10);
    buf_deinit(&streamed.head);
    buf_deinit(&streamed.body);
    streamed.s.ctx = NULL;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(writes_and_reads_in_pieces),
        T(streams_end_with_the_invocation),
        T(bad_heads),
        T(streams),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&args);
    return rc;
}
