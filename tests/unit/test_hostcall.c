/* test_hostcall: every row of the table: what the role decides, and what each call does. */
#include "hostcall_help.h"

/* --- the role decides ----------------------------------------------------------------------------
 */

static void want_denied(int number, const char *word)
{
    args_for(number);
    struct answer *a = run(number);
    const struct hostcall_row *row = hostcall_row(number);
    char quoted[200];
    assert_int_equal(a->rc, E_DENIED);
    assert_int_equal(a->result.n, 0);
    snprintf(quoted, sizeof quoted, "\"%s\" on \"%s\"", row->action, arn_for(number));
    buf_addc(&a->log, 0);
    if (!strstr(a->text, quoted) || !strstr(a->text, "worker"))
        fail_msg("%s: \"%s\"", row->name, a->text);
    if (!strstr(a->log.p, row->action) || !strstr(a->log.p, arn_for(number)) ||
        !strstr(a->log.p, "worker") || !strstr(a->log.p, word))
        fail_msg("%s: logged \"%s\"", row->name, a->log.p);
}

static void every_row_is_checked(void **state)
{
    (void)state;
    char text[1024];
    size_t guarded = 0;
    for (int n = 1; n < HC_CALL_COUNT; n++) {
        const struct hostcall_row *row = hostcall_row(n);
        assert_int_equal(row->number, n);
        if (!*row->action) {
            assert_true(n == HC_PACKAGE_READ || n == HC_SLEEP || n == HC_CACHE_GET ||
                        n == HC_CACHE_SET || n == HC_RESPONSE_BEGIN || n == HC_RESPONSE_WRITE ||

                        n == HC_S3_READ || n == HC_S3_WRITE || n == HC_S3_FINISH ||
                        n == HC_S3_CLOSE);
            continue;
        }
        guarded++;
        grant("");
        want_denied(n, "\"Effect\":\"Allow\"");
        snprintf(text, sizeof text, "{\"Effect\":\"Allow\",\"Action\":\"%s\",\"Resource\":\"%sX\"}",
                 row->action, arn_for(n));
        grant(text);
        want_denied(n, "\"Effect\":\"Allow\"");
        snprintf(text, sizeof text,
                 "{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"},"
                 "{\"Effect\":\"Deny\",\"Action\":\"%s\",\"Resource\":\"%s\"}",
                 row->action, arn_for(n));
        grant(text);
        want_denied(n, "Deny");
        snprintf(text, sizeof text,
                 "{\"Effect\":\"Allow\",\"Action\":\"%s\",\"Resource\":\"%s\"},"
                 "{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\","
                 "\"Resource\":\"arn:aws:s3:::photos/from\"}", /* for s3.copy */
                 row->action, arn_for(n));
        grant(text);
        args_for(n);
        struct answer *a = run(n);
        if (a->rc == E_DENIED || a->log.n)
            fail_msg("%s: %s", row->name, a->text);
    }
    assert_int_equal(guarded, 19);
    assert_null(hostcall_row(0));
    assert_null(hostcall_row(HC_CALL_COUNT));
    assert_int_equal(invoked.count, 1);
    assert_int_equal(queued.puts, 1);
}

static void odd_arguments(void **state)
{
    (void)state;
    grant("{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}");
    char key[1026];
    memset(key, 'k', 1025);
    key[1025] = 0;
    for (int n = 1; n < HC_CALL_COUNT; n++) { /* nothing given at all */
        struct answer *a = run(n);
        if (*hostcall_row(n)->action && a->rc != E_INVALID && a->rc != E_BUCKET_NAME)
            fail_msg("%s without arguments: %d", hostcall_row(n)->name, a->rc);
    }
    arg(HC_BUCKET, "photos/a");
    arg(HC_KEY, "k");
    assert_int_equal(run(HC_S3_GET)->rc, E_BUCKET_NAME);
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, key);
    assert_int_equal(run(HC_S3_GET)->rc, E_INVALID);
    arg(HC_NAMESPACE, "a/b");
    arg(HC_KEY, "k");
    assert_int_equal(run(HC_KV_GET)->rc, E_INVALID);
    arg(HC_NAMESPACE, "a");
    arg(HC_KEY, key + 1025 - 401);
    assert_int_equal(run(HC_KV_SET)->rc, E_INVALID);
    static const char *const functions[] = {"a b", "other:", "other:a:b",
                                            "arn:aws:lambda:us-east-1:000000000000:layer:x"};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        arg(HC_FUNCTION, functions[i]);
        assert_int_equal(run(HC_LAMBDA_INVOKE)->rc, E_INVALID);
    }
    arg(HC_FUNCTION, "arn:aws:lambda:eu-west-1:000000000000:function:other");
    assert_int_equal(run(HC_LAMBDA_INVOKE)->rc, E_NOT_FOUND);
    arg(HC_FUNCTION, "other:7");
    arg(HC_QUALIFIER, "8");
    assert_int_equal(run(HC_LAMBDA_INVOKE)->rc, E_INVALID);
    arg(HC_FUNCTION, "other");
    arg(HC_QUALIFIER, "../x");
    assert_int_equal(run(HC_LAMBDA_INVOKE)->rc, E_INVALID);
    assert_int_equal(invoked.count, 0);
}

/* --- each call -----------------------------------------------------------------------------------
 */

static void s3_round(void **state)
{
    (void)state;
    grant("{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}");
    args_for(HC_S3_GET);
    struct answer *a = run(HC_S3_GET);
    assert_int_equal(a->rc, E_NO_KEY);
    args_for(HC_S3_PUT);
    arg(HC_CONTENT_TYPE, "text/x");
    size_t mark = rec_begin(&args, HC_META);
    rec_put_str(&args, 1, STR("Owner"));
    rec_put_str(&args, 2, STR("me"));
    rec_end(&args, mark);
    a = run(HC_S3_PUT);
    assert_int_equal(a->rc, 0);
    assert_str(field(a, HC_ETAG), "841a2d689ad86bd1611447453c22c6fc");
    for (int n = HC_S3_GET; n <= HC_S3_HEAD; n++) {
        args_for(n);
        a = run(n);
        assert_int_equal(a->rc, 0);
        assert_str(field(a, HC_ETAG), "841a2d689ad86bd1611447453c22c6fc");
        assert_str(field(a, HC_CONTENT_TYPE), "text/x");
        assert_str(rec_str(field(a, HC_META), 1), "owner");
        assert_str(rec_str(field(a, HC_META), 2), "me");
        assert_int_equal(rec_u64(buf_str(&a->result), HC_SIZE, 0), 4);
        assert_true(rec_u64(buf_str(&a->result), HC_LAST_MODIFIED, 0) > 0);
        if (n == HC_S3_GET)
            assert_str(field(a, HC_BODY), "body");
        else
            assert_null(field(a, HC_BODY).p);
    }
    args_for(HC_S3_GET);
    arg(HC_RANGE, "bytes=1-2");
    a = run(HC_S3_GET);
    assert_str(field(a, HC_BODY), "od");
    assert_int_equal(rec_u64(buf_str(&a->result), HC_SIZE, 0), 4);
    args_for(HC_S3_GET);
    arg(HC_RANGE, "bytes=9-");
    assert_int_equal(run(HC_S3_GET)->rc, E_BAD_RANGE);
    args_for(HC_S3_PUT);
    rec_put_u64(&args, HC_IF_NONE_MATCH, 1);
    assert_int_equal(run(HC_S3_PUT)->rc, E_PRECONDITION);
    args_for(HC_S3_LIST);
    a = run(HC_S3_LIST);
    assert_str(rec_str(field(a, HC_ENTRY), HC_KEY), "a b/ü.jpg");
    assert_null(field(a, HC_CURSOR).p);
    args_for(HC_S3_LIST);
    arg(HC_DELIMITER, "/");
    a = run(HC_S3_LIST);
    assert_null(field(a, HC_ENTRY).p);
    assert_str(field(a, HC_COMMON_PREFIX), "a b/");
    args_for(HC_S3_DELETE);
    assert_int_equal(run(HC_S3_DELETE)->rc, 0);
    args_for(HC_S3_HEAD);
    assert_int_equal(run(HC_S3_HEAD)->rc, E_NO_KEY);
    arg(HC_BUCKET, "absent-bucket");
    arg(HC_KEY, "k");
    assert_int_equal(run(HC_S3_GET)->rc, E_NO_BUCKET);
}

static void s3_pages(void **state)
{
    (void)state;
    grant("{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}");
    char key[16], cursor[64] = "";
    int seen = 0, pages = 0;
    for (int i = 0; i < 7; i++) {
        snprintf(key, sizeof key, "k%d", i);
        arg(HC_BUCKET, "photos");
        arg(HC_KEY, key);
        arg(HC_BODY, "x");
        assert_int_equal(run(HC_S3_PUT)->rc, 0);
    }
    do {
        arg(HC_BUCKET, "photos");
        rec_put_u64(&args, HC_LIMIT, 3);
        if (*cursor)
            arg(HC_CURSOR, cursor);
        struct answer *a = run(HC_S3_LIST);
        struct str rest = buf_str(&a->result), v;
        uint16_t tag;
        assert_int_equal(a->rc, 0);
        while (rec_next(&rest, &tag, &v))
            if (tag == HC_ENTRY) {
                snprintf(key, sizeof key, "k%d", seen++);
                assert_str(rec_str(v, HC_KEY), key);
            }
        snprintf(cursor, sizeof cursor, "%.*s", STR_FMT(field(a, HC_CURSOR)));
        pages++;
    } while (*cursor && pages < 9);
    assert_int_equal(seen, 7);
    assert_int_equal(pages, 3);
}

static void s3_large(void **state)
{
    (void)state;
    enum { N = HOSTCALL_BODY_MAX, CALLS = 14 };
    grant("{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}");
    char *body = malloc(N + 1);
    for (size_t i = 0; i < N + 1; i++)
        body[i] = (char)(i * 2654435761u >> 24);
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "big");
    rec_put_str(&args, HC_BODY, str_of(body, N));
    assert_int_equal(run(HC_S3_PUT)->rc, 0);
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "big");
    rec_put_str(&args, HC_BODY, str_of(body, N + 1));
    assert_int_equal(run(HC_S3_PUT)->rc, E_LIMIT);

    /* who waits for its runner holds nobody up */
    static struct answer slow, quick;
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "big");
    not_yet = &slow.call;
    begin(HC_S3_GET, &slow);
    begin(HC_S3_GET, &quick);
    end(&quick);
    assert_false(slow.done);
    not_yet = NULL;
    uv_ref((uv_handle_t *)hc->retry);
    end(&slow);
    uv_unref((uv_handle_t *)hc->retry);
    assert_true(slow.rc == 0 && field(&slow, HC_BODY).n == N);
    buf_deinit(&slow.result);
    buf_deinit(&quick.result);
    buf_clear(&args);

    /* together more than may be held: all are answered, never above the bound */
    static struct answer a[CALLS];
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "big");
    for (int i = 0; i < CALLS; i++) {
        begin(HC_S3_GET, &a[i]);
        if (i == CALLS - 1)
            a[i].call.abandoned = true;
    }
    bool all = false;
    while (!all) {
        assert_true(hc->memory <= HOSTCALL_MEMORY_MAX);
        uv_run(&f.loop, UV_RUN_ONCE);
        all = true;
        for (int i = 0; i < CALLS; i++)
            all = all && a[i].done;
    }
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(a[i].rc, i == CALLS - 1 ? E_ABORTED : 0);
        if (!a[i].rc)
            assert_true(str_eq(field(&a[i], HC_BODY), str_of(body, N)));
        buf_deinit(&a[i].result);
    }
    assert_int_equal(hc->memory, 0);
    assert_null(hc->waiting);
    buf_clear(&args);
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "big");
    arg(HC_RANGE, "bytes=1048575-1048578");
    struct answer *one = run(HC_S3_GET);
    assert_true(str_eq(field(one, HC_BODY), str_of(body + 1048575, 4)));
    free(body);
}

static void stored_done(void *ctx, int rc, const struct object_meta *m, const struct err *err)
{
    (void)m;
    (void)err;
    assert_int_equal(rc, 0);
    *(bool *)ctx = true;
}

static void s3_too_large(void **state)
{
    (void)state;
    grant("{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}");
    struct object_put_req req = {.bucket = STR("photos"),
                                 .key = STR("huge"),
                                 .request_id = "r",
                                 .peer = "p",
                                 .principal = "x"};
    struct object_put *p = object_put_open(objects, &req);
    char *mib = calloc(1, 1 << 20);
    for (int i = 0; i < 7; i++) {
        object_put_write(p, str_of(mib, 1 << 20));
        for (int k = 0; k < 5; k++)
            uv_run(&f.loop, UV_RUN_NOWAIT);
    }
    free(mib);
    bool stored = false;
    object_put_finish(p, stored_done, &stored);
    while (!stored)
        uv_run(&f.loop, UV_RUN_ONCE);
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "huge");
    struct answer *a = run(HC_S3_GET);
    assert_int_equal(a->rc, E_LIMIT);
    assert_non_null(strstr(a->text, "range"));
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "huge");
    a = run(HC_S3_HEAD);
    assert_int_equal(rec_u64(buf_str(&a->result), HC_SIZE, 0), 7 << 20);
    arg(HC_BUCKET, "photos");
    arg(HC_KEY, "huge");
    arg(HC_RANGE, "bytes=-5");
    assert_int_equal(field(run(HC_S3_GET), HC_BODY).n, 5);
}

static void invokes(void **state)
{
    (void)state;
    grant("{\"Effect\":\"Allow\",\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"*\"}");
    invoked.result = (struct invoke_result){.payload = STR("[1]"), .version = STR("$LATEST")};
    args_for(HC_LAMBDA_INVOKE);
    struct answer *a = run(HC_LAMBDA_INVOKE);
    assert_int_equal(a->rc, 0);
    assert_str(field(a, HC_PAYLOAD), "[1]");
    assert_int_equal(rec_u64(buf_str(&a->result), HC_FUNCTION_ERROR, 9), 0);
    assert_string_equal(invoked.event, "{\"a\":1}");
    assert_string_equal(invoked.arn, "arn:aws:lambda:us-east-1:000000000000:function:other");
    assert_true(invoked.req.nested);
    assert_int_equal(invoked.req.event_kind, EVENT_JSON);

    invoked.result = (struct invoke_result){.error = true, .payload = STR("{}")};
    arg(HC_FUNCTION, "arn:aws:lambda:us-east-1:000000000000:function:other:$LATEST");
    a = run(HC_LAMBDA_INVOKE);
    assert_int_equal(rec_u64(buf_str(&a->result), HC_FUNCTION_ERROR, 9), 1);
    assert_string_equal(invoked.event, "null");
    assert_string_equal(invoked.arn,
                        "arn:aws:lambda:us-east-1:000000000000:function:other:$LATEST");

    invoked.result = (struct invoke_result){.rc = E_THROTTLED};
    args_for(HC_LAMBDA_INVOKE);
    assert_int_equal(run(HC_LAMBDA_INVOKE)->rc, E_THROTTLED);
    assert_int_equal(invoked.count, 3);
    arg(HC_FUNCTION, "absent");
    a = run(HC_LAMBDA_INVOKE);
    assert_int_equal(a->rc, E_NOT_FOUND);
    assert_non_null(strstr(a->text, "Function not found: arn:aws:lambda"));
    arg(HC_FUNCTION, "other");
    arg(HC_PAYLOAD, "{\"a\":");
    assert_int_equal(run(HC_LAMBDA_INVOKE)->rc, E_BAD_JSON);

    char *big = malloc(PAYLOAD_MAX + 1);
    memset(big, ' ', PAYLOAD_MAX + 1);
    big[0] = '1';
    arg(HC_FUNCTION, "other");
    rec_put_str(&args, HC_PAYLOAD, str_of(big, PAYLOAD_MAX));
    invoked.result = (struct invoke_result){.payload = STR("1")};
    assert_int_equal(run(HC_LAMBDA_INVOKE)->rc, 0);
    arg(HC_FUNCTION, "other");
    rec_put_str(&args, HC_PAYLOAD, str_of(big, PAYLOAD_MAX + 1));
    assert_int_equal(run(HC_LAMBDA_INVOKE)->rc, E_LIMIT);
    big[100000] = 'x';
    arg(HC_FUNCTION, "other");
    rec_put_str(&args, HC_PAYLOAD, str_of(big, 200000));
    assert_int_equal(run(HC_LAMBDA_INVOKE)->rc, E_BAD_JSON);
    assert_int_equal(invoked.count, 4);

    args_for(HC_LAMBDA_INVOKE_ASYNC);
    rec_put_u64(&args, HC_DELAY_MS, 5000);
    a = run(HC_LAMBDA_INVOKE_ASYNC);
    assert_int_equal(a->rc, 0);
    assert_int_equal(field(a, HC_REQUEST_ID).n, 36);
    assert_memory_equal(field(a, HC_REQUEST_ID).p, queued.event.request_id, 36);
    assert_string_equal(queued.payload, "{\"a\":1}");
    assert_string_equal(queued.source, "lambda");
    assert_int_equal(queued.event.delay_ms, 5000);
    assert_int_equal(queued.event.cause.hops, 1);
    assert_int_equal(queued.kicks, 1);
    queued.rc = E_THROTTLED; /* the queue is full */
    args_for(HC_LAMBDA_INVOKE_ASYNC);
    assert_int_equal(run(HC_LAMBDA_INVOKE_ASYNC)->rc, E_THROTTLED);
    assert_int_equal(queued.kicks, 1);
    big[100000] = ' ';
    arg(HC_FUNCTION, "other");
    rec_put_str(&args, HC_PAYLOAD, str_of(big, 1024 * 1024 + 1));
    assert_int_equal(run(HC_LAMBDA_INVOKE_ASYNC)->rc, E_LIMIT);
    args_for(HC_LAMBDA_INVOKE_ASYNC);
    rec_put_u64(&args, HC_DELAY_MS, UINT64_MAX);
    assert_int_equal(run(HC_LAMBDA_INVOKE_ASYNC)->rc, E_INVALID);
    free(big);
}

static void package_files(void **state)
{
    (void)state;
    arg(HC_NAME, "data.txt");
    assert_str(field(run(HC_PACKAGE_READ), HC_BODY), "the data");
    arg(HC_NAME, "../data.txt");
    struct answer *a = run(HC_PACKAGE_READ);
    assert_int_equal(a->rc, E_NOT_FOUND);
    assert_non_null(strstr(a->text, "../data.txt"));
}

static void sleeps(void **state)
{
    (void)state;
    static struct answer a, b;
    uint64_t began = uv_hrtime();
    rec_put_u64(&args, HC_MS, 30);
    begin(HC_SLEEP, &a);
    assert_false(a.done);
    end(&a);
    assert_int_equal(a.rc, 0);
    assert_in_range((uv_hrtime() - began) / 1000000, 29, 1000);
    buf_clear(&args);
    rec_put_u64(&args, HC_MS, 900000);
    begin(HC_SLEEP, &b);
    b.call.abandoned = true; /* the runner has died */
    b.call.cancel(&b.call);
    end(&b);
    assert_int_equal(b.rc, E_ABORTED);
    buf_clear(&args);
    rec_put_u64(&args, HC_MS, 900001);
    assert_int_equal(run(HC_SLEEP)->rc, E_INVALID);
    uv_run(&f.loop, UV_RUN_NOWAIT); /* the timers close */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_row_is_checked), T(odd_arguments), T(s3_round),      T(s3_pages), T(s3_large),
        T(s3_too_large),         T(invokes),       T(package_files), T(sleeps),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&args);
    return rc;
}
