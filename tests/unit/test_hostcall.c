/* test_hostcall: every row of the table with a real store, roles and objects; the pool, the queue
 * and invoke are played by this file. */
#include "svc/hostcall.h"

#include "auth/arn.h"
#include "base/rec.h"
#include "store_help.h"
#include "svc/hostcall_tags.h"
#include "svc/invoke.h"
#include "svc/kv.h"
#include "svc/package.h"
#include "svc/queue.h"
#include "zipmake.h"

static struct fixture f;
static struct functions *fns;
static struct roles *roles;
static struct objects *objects;
static struct hostcalls *hc;
static struct fn *caller;

/* --- the parts that are played ------------------------------------------------------------------
 */

static const struct hostcall *not_yet; /* whose runner has to take results first */

struct answer {
    struct hostcall call; /* first */
    bool done;
    int rc;
    char text[1024];
    struct buf result, log;
};

void hostcall_finish(struct hostcall *call, int rc, struct str result, const struct err *err)
{
    struct answer *a = (struct answer *)call;
    assert_false(a->done);
    a->done = true;
    a->rc = rc;
    assert_true(rec_valid(result));
    buf_add(&a->result, result);
    snprintf(a->text, sizeof a->text, "%s", err_text(err, rc));
}

void hostcall_give(struct hostcall *call, struct buf *result)
{
    hostcall_finish(call, 0, buf_str(result), NULL);
    buf_deinit(result);
}

void hostcall_log(struct hostcall *call, struct str line)
{
    buf_add(&((struct answer *)call)->log, line);
}

bool hostcall_reserve(struct hostcall *call, size_t n)
{
    (void)n;
    return call != not_yet;
}

static struct hostcall_handle *kept; /* of the one invocation there is here */
static uint64_t last_handle;

int hostcall_keep(struct hostcall *call, struct hostcall_handle *handle)
{
    int n = 0;
    for (struct hostcall_handle *h = kept; h; h = h->next)
        n++;
    if (call->abandoned || n == HOSTCALL_HANDLES_MAX)
        return call->abandoned ? E_ABORTED : E_THROTTLED;
    handle->id = ++last_handle;
    handle->next = kept;
    handle->at = &kept;
    if (kept)
        kept->at = &handle->next;
    kept = handle;
    return 0;
}

struct hostcall_handle *hostcall_kept(const struct hostcall *call, uint64_t id)
{
    struct hostcall_handle *h = call->abandoned ? NULL : kept;
    while (h && h->id != id)
        h = h->next;
    return h;
}

void hostcall_unkeep(struct hostcall_handle *handle)
{
    *handle->at = handle->next;
    if (handle->next)
        handle->next->at = handle->at;
}

static struct {
    struct invoke_stream s;
    struct buf head, body;
    bool full;
    void (*resume)(void *arg);
    void *arg;
} streamed;

struct invoke_stream *hostcall_stream(struct hostcall *call)
{
    (void)call;
    return streamed.s.ctx ? &streamed.s : NULL;
}

static struct {
    int count;
    struct invoke_req req;
    char event[64], arn[200];
    struct invoke_result result;
} invoked;

void invoke(struct pool *p, const struct invoke_req *req)
{
    (void)p;
    invoked.count++;
    invoked.req = *req;
    snprintf(invoked.event, sizeof invoked.event, "%.*s", STR_FMT(req->event));
    snprintf(invoked.arn, sizeof invoked.arn, "%.*s", STR_FMT(req->arn));
    req->done(req->ctx, &invoked.result);
}

static struct {
    int puts, kicks, rc;
    struct queue_event event;
    char payload[64], source[16];
} queued;

int queue_put(struct queue *q, struct store_txn *t, const struct queue_event *e)
{
    (void)q;
    (void)t;
    queued.event = *e;
    snprintf(queued.payload, sizeof queued.payload, "%.*s", STR_FMT(e->payload));
    snprintf(queued.source, sizeof queued.source, "%s", e->source);
    queued.puts += queued.rc == 0;
    return queued.rc;
}

void queue_kick(struct queue *q, uint64_t function_id)
{
    (void)q;
    (void)function_id;
    queued.kicks++;
}

/* --- the world -----------------------------------------------------------------------------------
 */

#define TRUST                                                                                      \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":" \
    "\"lambda.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}"

static int put_role(struct store_txn *t, void *ctx)
{
    struct buf rec = BUF_INIT;
    const char *policy = ctx;
    rec_put_str(&rec, ENTITY_ID, STR("AROATEST"));
    rec_put_str(&rec, ENTITY_PATH, STR("/"));
    rec_put_str(&rec, ENTITY_TRUST, STR(TRUST));
    if (policy) {
        size_t mark = rec_begin(&rec, ENTITY_POLICY);
        rec_put_str(&rec, 1, STR("p"));
        rec_put_str(&rec, 2, str_c(policy));
        rec_end(&rec, mark);
    }
    int rc = role_put(t, STR("worker"), buf_str(&rec));
    buf_deinit(&rec);
    return rc;
}

/* Gives the caller's role these statements only. */
static void grant(const char *statements)
{
    char policy[2048];
    snprintf(policy, sizeof policy, "{\"Version\":\"2012-10-17\",\"Statement\":[%s]}", statements);
    assert_int_equal(call_run(&f, put_role, *statements ? policy : NULL), 0);
    role_changed(roles, STR("worker"));
}

static void built(void *ctx, int rc, struct package *pkg, const struct err *err)
{
    (void)err;
    assert_int_equal(rc, 0);
    *(struct package **)ctx = pkg;
}

static int create(struct store_txn *t, void *ctx)
{
    return function_create(t, "us-east-1", ctx, NULL);
}

static int create_bucket(struct store_txn *t, void *ctx)
{
    uint64_t id;
    return bucket_create(t, str_c(ctx), &id);
}

static void make_functions(void)
{
    struct zm z = {0};
    struct package *pkg = NULL;
    zm_file(&z, "handler.lua", "return 1");
    zm_file(&z, "data.txt", "the data");
    zm_end(&z, 0, 0);
    package_build(f.store, buf_str(&z.zip), built, &pkg);
    while (!pkg)
        uv_run(&f.loop, UV_RUN_ONCE);
    zm_free(&z);
    static const char *const names[] = {"caller", "other"};
    for (size_t i = 0; i < 2; i++) {
        struct fn_spec spec = {.name = str_c(names[i]),
                               .runtime = STR("lua"),
                               .role = STR("arn:aws:iam::000000000000:role/worker"),
                               .handler = STR("handler.main"),
                               .package = pkg};
        assert_int_equal(call_run(&f, create, &spec), 0);
    }
    package_free(pkg);
    assert_int_equal(function_get(fns, STR("caller"), STR(""), &caller, NULL), 0);
}

static int setup(void **state)
{
    (void)state;
    f = (struct fixture){0};
    fixture_init(&f);
    fns = functions_open(f.store, "us-east-1");
    roles = roles_open(f.store, "us-east-1");
    objects = objects_open(&f.loop, f.store, NULL, "us-east-1");
    struct hostcalls_opts o = {&f.loop, f.store, fns, roles, "us-east-1", NULL, NULL};
    hc = hostcalls_open(&o);
    hostcalls_connect(hc, objects, NULL, NULL);
    memset(&invoked, 0, sizeof invoked);
    memset(&queued, 0, sizeof queued);
    grant("");
    make_functions();
    assert_int_equal(call_run(&f, create_bucket, "photos"), 0);
    return 0;
}

static void end_invocation(void)
{
    while (kept) {
        struct hostcall_handle *h = kept;
        hostcall_unkeep(h);
        h->release(h);
    }
}

static int teardown(void **state)
{
    (void)state;
    end_invocation();
    fn_unref(caller);
    hostcalls_close(hc);
    objects_close(objects);
    roles_close(roles);
    functions_close(fns);
    fixture_deinit(&f);
    return 0;
}

/* Arguments: tag and text pairs for make(); numbers are added with arg_u64. */
static struct buf args;

static void arg(uint16_t tag, const char *text)
{
    rec_put_str(&args, tag, str_c(text));
}

static void begin(int number, struct answer *a)
{
    *a = (struct answer){.call = {.fn = caller, .number = number, .args = buf_str(&args)}};
    strncpy(a->call.request_id, "11111111-2222-4333-8444-555555555555", 37);
    hostcall_dispatch(hc, &a->call);
}

static void end(struct answer *a)
{
    while (!a->done)
        uv_run(&f.loop, UV_RUN_ONCE);
}

/* Runs the call with what args holds and clears them. */
static struct answer *run(int number)
{
    static struct answer a;
    buf_deinit(&a.result);
    buf_deinit(&a.log);
    begin(number, &a);
    end(&a);
    buf_clear(&args);
    return &a;
}

static void args_for(int number)
{
    const char *name = hostcall_row(number)->name;
    if (strncmp(name, "s3.", 3) == 0) {
        arg(HC_BUCKET, "photos");
        if (number != HC_S3_LIST)
            arg(HC_KEY, "a b/ü.jpg");
        arg(HC_FROM_BUCKET, "photos");
        arg(HC_FROM_KEY, "from");
        arg(HC_BODY, "body");
    } else if (number == HC_KV_COMMIT) {
        size_t mark = rec_begin(&args, HC_OP);
        rec_put_u64(&args, HC_KIND, OP_SET);
        arg(HC_NAMESPACE, "counts");
        arg(HC_KEY, "k");
        rec_end(&args, mark);
    } else if (number == HC_HTTP_REQUEST) {
        arg(HC_URL, "HTTPS://A.example.:443/b/../x?key=1#y");
    } else if (number == HC_SECRET_GET) {
        arg(HC_NAME, "db/password");
    } else if (strncmp(name, "kv.", 3) == 0) {
        arg(HC_NAMESPACE, "counts");
        arg(HC_KEY, "k");
        if (number == HC_KV_SET)
            arg(HC_VALUE, "v");
    } else {
        arg(HC_FUNCTION, "other");
        arg(HC_PAYLOAD, "{\"a\":1}");
    }
}

static const char *arn_for(int number)
{
    const char *name = hostcall_row(number)->name;
    if (number == HC_S3_LIST)
        return "arn:aws:s3:::photos";
    if (strncmp(name, "s3.", 3) == 0)
        return "arn:aws:s3:::photos/a b/ü.jpg";
    if (strncmp(name, "kv.", 3) == 0)
        return "arn:aws:perilune:us-east-1:000000000000:kv/counts";
    if (number == HC_HTTP_REQUEST)
        return "https://a.example/x";
    if (number == HC_SECRET_GET)
        return "arn:aws:perilune:us-east-1:000000000000:secret/db/password";
    return "arn:aws:lambda:us-east-1:000000000000:function:other";
}

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

static struct str field(const struct answer *a, uint16_t tag)
{
    return rec_str(buf_str(&a->result), tag);
}

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

/* --- transactions -------------------------------------------------------------------------------
 */

static void part(enum hostcall_op kind, const char *key, const char *value, uint64_t version)
{
    size_t mark = rec_begin(&args, HC_OP);
    rec_put_u64(&args, HC_KIND, kind);
    if (kind == OP_INVOKE) {
        arg(HC_FUNCTION, key);
        arg(HC_PAYLOAD, value);
    } else {
        arg(HC_NAMESPACE, "n");
        arg(HC_KEY, key);
        rec_put_u64(&args, HC_VERSION, version);
        if (value)
            arg(HC_VALUE, value);
    }
    rec_end(&args, mark);
}

static struct str value_of(const char *key, uint64_t *version)
{
    arg(HC_NAMESPACE, "n");
    arg(HC_KEY, key);
    struct answer *a = run(HC_KV_GET);
    *version = rec_u64(buf_str(&a->result), HC_VERSION, 0);
    return field(a, HC_VALUE);
}

static void commits_all_or_nothing(void **state)
{
    (void)state;
    uint64_t a = 0, none = 0;
    grant("{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}");
    int puts = queued.puts, kicks = queued.kicks;
    part(OP_CHECK, "a", NULL, 0);
    part(OP_SET, "a", "1", 0);
    part(OP_SET, "b", "1", 0);
    part(OP_INVOKE, "other", "{\"x\":1}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, 0);
    assert_true(queued.puts == puts + 1 && queued.kicks == kicks + 1);
    assert_string_equal(queued.payload, "{\"x\":1}");
    assert_true(str_is(value_of("a", &a), "1") && a > 0);
    part(OP_CHECK, "a", NULL, 0); /* it is there by now */
    part(OP_SET, "a", "2", 0);
    part(OP_INVOKE, "other", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_CONFLICT);
    assert_int_equal(queued.puts, puts + 1);
    part(OP_CHECK, "a", NULL, a);
    part(OP_CHECK, "never", NULL, 0);
    part(OP_DELETE, "b", NULL, 0);
    part(OP_SET, "a", "2", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, 0);
    assert_true(str_is(value_of("a", &a), "2") && value_of("b", &none).n == 0 && none == 0);
    queued.rc = E_THROTTLED; /* the queue is full: what was written before is undone */
    part(OP_SET, "a", "3", 0);
    part(OP_INVOKE, "other", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_THROTTLED);
    queued.rc = 0;
    assert_true(str_is(value_of("a", &none), "2") && none == a);
    part(OP_INVOKE, "other", "{", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_BAD_JSON);
    part(OP_INVOKE, "nobody", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_NOT_FOUND);
    part((enum hostcall_op)9, "a", NULL, 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_INVALID);
    part(OP_SET, "", "v", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_INVALID);
    for (int i = 0; i < 201; i++)
        part(OP_CHECK, "a", NULL, a);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_LIMIT);
    for (int i = 0; i < 101; i++)
        part(OP_INVOKE, "other", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_LIMIT);
    char *big = malloc(250001);
    memset(big, '1', 250000);
    big[250000] = 0;
    for (int i = 0; i < 4; i++)
        part(OP_INVOKE, "other", big, 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, 0); /* looked at off the loop */
    for (int i = 0; i < 5; i++)
        part(OP_SET, "a", big, 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_LIMIT);
    free(big);
    grant("{\"Effect\":\"Allow\",\"Action\":\"perilune:KvWrite\",\"Resource\":\"*\"}");
    part(OP_SET, "a", "9", 0);
    part(OP_CHECK, "a", NULL, a);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_DENIED);
    part(OP_SET, "a", "9", 0);
    part(OP_INVOKE, "other", "{}", 0);
    assert_int_equal(run(HC_KV_COMMIT)->rc, E_DENIED);
}

static void kv_round(void **state)
{
    (void)state;
    grant("{\"Effect\":\"Allow\",\"Action\":\"perilune:Kv*\",\"Resource\":\"*\"}");
    args_for(HC_KV_GET);
    struct answer *a = run(HC_KV_GET);
    assert_int_equal(a->rc, 0);
    assert_int_equal(rec_u64(buf_str(&a->result), HC_EXISTS, 9), 0);
    args_for(HC_KV_SET);
    a = run(HC_KV_SET);
    uint64_t version = rec_u64(buf_str(&a->result), HC_VERSION, 0);
    assert_true(version > 0);
    args_for(HC_KV_GET);
    a = run(HC_KV_GET);
    assert_str(field(a, HC_VALUE), "v");
    assert_int_equal(rec_u64(buf_str(&a->result), HC_VERSION, 0), version);
    args_for(HC_KV_SET);
    rec_put_u64(&args, HC_IF_ABSENT, 1);
    assert_int_equal(run(HC_KV_SET)->rc, E_PRECONDITION);
    args_for(HC_KV_SET);
    rec_put_u64(&args, HC_IF_VERSION, version + 7);
    assert_int_equal(run(HC_KV_SET)->rc, E_PRECONDITION);
    args_for(HC_KV_INCR);
    assert_int_equal(run(HC_KV_INCR)->rc, E_INVALID); /* "v" is no number */
    args_for(HC_KV_DELETE);
    a = run(HC_KV_DELETE);
    assert_int_equal(rec_u64(buf_str(&a->result), HC_EXISTS, 9), 1);
    args_for(HC_KV_DELETE);
    a = run(HC_KV_DELETE);
    assert_int_equal(rec_u64(buf_str(&a->result), HC_EXISTS, 9), 0);
    args_for(HC_KV_INCR);
    rec_put_u64(&args, HC_N, (uint64_t)-3);
    rec_put_u64(&args, HC_INIT, 10);
    a = run(HC_KV_INCR);
    assert_int_equal((int64_t)rec_u64(buf_str(&a->result), HC_N, 0), 7);
    char *big = calloc(1, KV_VALUE_MAX + 1);
    arg(HC_NAMESPACE, "counts");
    arg(HC_KEY, "k");
    rec_put_str(&args, HC_VALUE, str_of(big, KV_VALUE_MAX + 1));
    assert_int_equal(run(HC_KV_SET)->rc, E_LIMIT);
    free(big);
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

static void stream_begin(void *ctx, struct str head)
{
    assert_ptr_equal(ctx, &streamed);
    assert_true(rec_valid(head));
    buf_add(&streamed.head, head);
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
        T(every_row_is_checked),
        T(odd_arguments),
        T(s3_round),
        T(s3_pages),
        T(s3_large),
        T(s3_too_large),
        T(writes_and_reads_in_pieces),
        T(streams_end_with_the_invocation),
        T(commits_all_or_nothing),
        T(kv_round),
        T(invokes),
        T(package_files),
        T(sleeps),
        T(streams),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&args);
    return rc;
}
