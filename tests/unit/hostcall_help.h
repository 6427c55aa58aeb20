/* hostcall_help: host calls on a real store, roles and objects; the pool, the queue and invoke are played
 * here. */
#ifndef HOSTCALL_HELP_H
#define HOSTCALL_HELP_H

#include "auth/arn.h"
#include "base/rec.h"
#include "store_help.h"
#include "svc/hostcall.h"
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

static inline int put_role(struct store_txn *t, void *ctx)
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
static inline void grant(const char *statements)
{
    char policy[2048];
    snprintf(policy, sizeof policy, "{\"Version\":\"2012-10-17\",\"Statement\":[%s]}", statements);
    assert_int_equal(call_run(&f, put_role, *statements ? policy : NULL), 0);
    role_changed(roles, STR("worker"));
}

static inline void built(void *ctx, int rc, struct package *pkg, const struct err *err)
{
    (void)err;
    assert_int_equal(rc, 0);
    *(struct package **)ctx = pkg;
}

static inline int create(struct store_txn *t, void *ctx)
{
    return function_create(t, "us-east-1", ctx, NULL);
}

static inline int create_bucket(struct store_txn *t, void *ctx)
{
    uint64_t id;
    return bucket_create(t, str_c(ctx), &id);
}

static inline void make_functions(void)
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

static inline int setup(void **state)
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

static inline void end_invocation(void)
{
    while (kept) {
        struct hostcall_handle *h = kept;
        hostcall_unkeep(h);
        h->release(h);
    }
}

static inline int teardown(void **state)
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

static inline void arg(uint16_t tag, const char *text)
{
    rec_put_str(&args, tag, str_c(text));
}

static inline void begin(int number, struct answer *a)
{
    *a = (struct answer){.call = {.fn = caller, .number = number, .args = buf_str(&args)}};
    strncpy(a->call.request_id, "11111111-2222-4333-8444-555555555555", 37);
    hostcall_dispatch(hc, &a->call);
}

static inline void end(struct answer *a)
{
    while (!a->done)
        uv_run(&f.loop, UV_RUN_ONCE);
}

/* Runs the call with what args holds and clears them. */
static inline struct answer *run(int number)
{
    static struct answer a;
    buf_deinit(&a.result);
    buf_deinit(&a.log);
    begin(number, &a);
    end(&a);
    buf_clear(&args);
    return &a;
}

static inline void args_for(int number)
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

static inline const char *arn_for(int number)
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

static inline struct str field(const struct answer *a, uint16_t tag)
{
    return rec_str(buf_str(&a->result), tag);
}

#endif
