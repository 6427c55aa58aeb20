/* runner_help: calls of a function in a real runner whose core is fake_core.h. */
#ifndef RUNNER_HELP_H
#define RUNNER_HELP_H

#include "fake_core.h"

static inline void invoke(struct fake_core *f, const char *event)
{
    if (!fake_invoke(f, EVENT_JSON, str_c(event)))
        fail_msg("the runner ended with status %x; log: %.*s", (unsigned)f->status,
                 STR_FMT(buf_str(&f->log)));
}

static inline void expect(struct fake_core *f, const char *event, const char *want)
{
    invoke(f, event);
    assert_str(buf_str(&f->answer), want);
    assert_int_equal(f->reply.error, 0);
}

/* A handler whose body is `body`, called once with `event`. */
static inline void one(const char *body, const char *event, const char *want)
{
    struct fake_core f;
    struct buf source = BUF_INIT;
    buf_printf(&source, "return function(event, context) %s end", body);
    buf_addc(&source, 0);
    fake_function(&f, source.p, 128);
    expect(&f, event, want);
    fake_stop(&f);
    buf_deinit(&source);
}

/* A core that has what the functions of these programs ask for. */
static inline void serve_calls(struct fake_core *f, const struct frame_call *call, struct str args,
                               struct buf *result, int32_t *rc)
{
    (void)f;
    struct str key = rec_str(args, HC_KEY);
    switch (call->number) {
    case HC_S3_GET:
        if (str_is(key, "denied")) {
            *rc = E_DENIED;
            rec_put_str(result, HC_ERR_CODE, STR("AccessDenied"));
            rec_put_str(result, HC_ERR_TEXT, STR("\"s3:GetObject\" on \"arn:x\" is not allowed"));
            return;
        }
        if (str_is(key, "missing")) {
            *rc = E_NO_KEY; /* no text: the table's */
            return;
        }
        rec_put_str(result, HC_BODY, rec_str(args, HC_RANGE));
        rec_put_str(result, HC_CONTENT_TYPE, STR("text/plain"));
        rec_put_str(result, HC_ETAG, STR("abc"));
        rec_put_u64(result, HC_SIZE, 123456789012);
        rec_put_u64(result, HC_LAST_MODIFIED, 1500);
        for (int i = 0; i < 2; i++) {
            size_t mark = rec_begin(result, HC_META);
            rec_put_str(result, 1, i ? STR("b") : STR("a"));
            rec_put_str(result, 2, STR("v"));
            rec_end(result, mark);
        }
        return;
    case HC_S3_PUT:
        assert_int_equal(rec_u64(args, HC_IF_NONE_MATCH, 0), 1);
        assert_true(str_is(rec_str(args, HC_CONTENT_TYPE), "image/png"));
        assert_true(str_is(rec_str(rec_str(args, HC_META), 2), "200"));
        rec_put_u64(result, HC_SIZE, rec_str(args, HC_BODY).n);
        rec_put_str(result, HC_ETAG, STR("new"));
        return;
    case HC_S3_LIST: {
        struct str cursor = rec_str(args, HC_CURSOR);
        if (str_is(cursor, "broken")) {
            *rc = E_IO;
            return;
        }
        size_t mark = rec_begin(result, HC_ENTRY);
        rec_put_str(result, HC_KEY, cursor.p ? STR("z") : STR("b"));
        rec_put_u64(result, HC_SIZE, 5);
        rec_end(result, mark);
        if (!cursor.p) {
            rec_put_str(result, HC_COMMON_PREFIX, STR("a/"));
            rec_put_str(result, HC_COMMON_PREFIX, STR("c/"));
            rec_put_str(result, HC_CURSOR,
                        str_is(rec_str(args, HC_PREFIX), "bad") ? STR("broken") : STR("next"));
        }
        return;
    }
    case HC_KV_GET:
        if (str_is(key, "there")) {
            rec_put_u64(result, HC_EXISTS, 1);
            rec_put_str(result, HC_VALUE, STR("v\0w"));
            rec_put_u64(result, HC_VERSION, 7);
        }
        return;
    case HC_KV_SET:
        assert_true(str_is(rec_str(args, HC_VALUE), "0.5"));
        assert_int_equal(rec_u64(args, HC_TTL_MS, 0), 1500);
        assert_int_equal(rec_u64(args, HC_IF_VERSION, 0), 7);
        rec_put_u64(result, HC_VERSION, 8);
        return;
    case HC_KV_INCR:
        rec_put_u64(result, HC_N, rec_u64(args, HC_N, 1) + rec_u64(args, HC_INIT, 0));
        return;
    case HC_LAMBDA_INVOKE:
        if (str_is(rec_str(args, HC_FUNCTION), "fails")) {
            rec_put_u64(result, HC_FUNCTION_ERROR, 1);
            rec_put_str(result, HC_PAYLOAD,
                        STR("{\"errorType\":\"Bad\",\"errorMessage\":\"it is\"}"));
        } else {
            rec_put_str(result, HC_PAYLOAD, rec_str(args, HC_PAYLOAD));
        }
        return;
    case HC_LAMBDA_INVOKE_ASYNC:
        assert_int_equal(rec_u64(args, HC_DELAY_MS, 0), 2000);
        rec_put_str(result, HC_REQUEST_ID, STR("rid"));
        return;
    case HC_SLEEP:
        assert_int_equal(rec_u64(args, HC_MS, 0), 250);
        return;
    default:
        return;
    }
}

#endif
