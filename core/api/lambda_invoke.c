/* lambda_invoke: Invoke: wait for the answer, queue it, or only ask whether one may.
 *
 * The payload is passed on as the bytes that came. It is checked to be JSON, on the pool when it is
 * long, and never parsed here. An event is a committed row before its 202. */
#include "api/lambda.h"
#include "base/codec.h"
#include "base/jscan.h"
#include "base/log.h"
#include "base/work.h"
#include "svc/invoke.h"
#include "svc/pool.h"
#include "svc/queue.h"

enum { SCAN_ON_LOOP = 64 * 1024, EVENT_MAX = 1024 * 1024, CONTEXT_MAX = 3583 };

enum kind { SYNC, EVENT, DRY_RUN, STREAM };

struct invoking {
    struct work work;
    struct job job;
    struct call *c;
    struct fn *fn; /* until the invocation or the row has it */
    enum kind kind;
    struct str payload, context, qualifier, arn;
    bool valid, legacy; /* legacy: InvokeAsync */
};

/* --- the answer ------------------------------------------------------------------------------ */

static void reply_throttled(struct call *c, const char *reason, const char *message)
{
    call_set_header(c, "x-amzn-ErrorType", STR("TooManyRequestsException"));
    call_set_header(c, "Retry-After", STR("1"));
    call_json(c, 429,
              json_pack("{s:s,s:s,s:s}", "Reason", reason, "Type", "User", "message", message));
}

void lambda_reply_unrun(struct call *c, const struct invoke_result *r)
{
    if (r->rc == E_THROTTLED)
        reply_throttled(c,
                        r->reserved ? "ReservedFunctionConcurrentInvocationLimitExceeded"
                                    : "ConcurrentInvocationLimitExceeded",
                        "Rate Exceeded.");
    else
        call_error(c, r->rc, NULL);
}

static void invoked(void *ctx, const struct invoke_result *r)
{
    struct invoking *k = ctx;
    struct call *c = k->c;
    if (r->rc) {
        lambda_reply_unrun(c, r);
        return;
    }
    call_set_header(c, "X-Amz-Executed-Version", r->version);
    if (r->error)
        call_set_header(c, "X-Amz-Function-Error", r->handled ? STR("Handled") : STR("Unhandled"));
    if (r->log_tail.n) {
        struct buf tail = BUF_INIT;
        base64_encode(&tail, r->log_tail);
        call_set_header(c, "X-Amz-Log-Result", buf_str(&tail));
        buf_deinit(&tail);
    }
    call_owned(c, 200, "application/json", r->payload.n ? r->payload : STR("null"), invoke_take(r));
}

static void run(struct invoking *k)
{
    struct fn *fn = k->fn;
    struct invoke_req req = {
        .fn = fn,
        .event_kind = EVENT_JSON,
        .event = k->payload,
        .client_context = k->context,
        .arn = k->arn,
        .attempt = 1,
        .tail = str_is(call_header(k->c, "x-amz-log-type"), "Tail"),
        .source = "invoke",
        .done = invoked,
        .ctx = k,
    };
    memcpy(req.request_id, k->c->req->id, sizeof req.request_id);
    if (k->kind == STREAM) {
        req.stream = lambda_stream(k->c, fn);
        req.done = lambda_stream_invoked;
        req.ctx = req.stream ? req.stream->ctx : NULL;
    }
    if (k->kind == STREAM && !req.stream)
        call_error(k->c, E_LIMIT, NULL);
    else
        invoke(k->c->svc->pool, &req);
    fn_unref(fn);
}

/* --- an event -------------------------------------------------------------------------------- */

static struct invoking *invoking_of(struct job *job)
{
    return (struct invoking *)((char *)job - offsetof(struct invoking, job));
}

static int put_event(struct job *job, struct store_txn *t)
{
    struct invoking *k = invoking_of(job);
    struct queue_event e = {
        .function_id = k->fn->id,
        .function_name = k->fn->name,
        .qualifier = k->qualifier,
        .payload = k->payload,
        .client_context = k->context,
        .source = "invoke",
        .source_arn = STR(""),
    };
    memcpy(e.request_id, k->c->req->id, sizeof e.request_id);
    return queue_put(k->c->svc->queue, t, &e);
}

static void event_stored(struct job *job, int rc)
{
    struct invoking *k = invoking_of(job);
    uint64_t id = k->fn->id;
    struct queue *queue = k->c->svc->queue;
    fn_unref(k->fn);
    if (rc == E_THROTTLED)
        reply_throttled(k->c, "CallerRateLimitExceeded",
                        "Rate Exceeded. The queue of asynchronous events is full "
                        "(--queue-max-rows, --queue-max-bytes).");
    else if (rc)
        call_error(k->c, rc, NULL);
    else if (k->legacy)
        call_json(k->c, 202, json_object());
    else
        call_empty(k->c, 202);
    if (rc == 0)
        queue_kick(queue, id);
}

/* --- the request ----------------------------------------------------------------------------- */

static void scanned(struct invoking *k)
{
    struct err err;
    struct call *c = k->c;
    if (!k->valid) {
        err_clear(&err);
        fn_unref(k->fn);
        err_set(&err, E_BAD_JSON,
                "Could not parse request body into json: the payload is not valid JSON");
        call_error(c, E_BAD_JSON, &err);
    } else if (k->kind == SYNC || k->kind == STREAM) {
        run(k);
    } else if (k->kind == EVENT) {
        k->job = (struct job){.apply = put_event, .done = event_stored};
        store_submit(c->svc->store, &k->job);
    } else {
        fn_unref(k->fn);
        call_empty(c, 204);
    }
}

static void scan(struct work *work)
{
    struct invoking *k = work->data;
    k->valid = jscan_valid(k->payload);
}

static void scan_done(struct work *work)
{
    scanned(work->data);
}

static enum kind read_kind(const struct call *c)
{
    struct str type = call_header(c, "x-amz-invocation-type");
    if (c->op->handler == lambda_invoke_with_response_stream)
        return str_is(type, "DryRun") ? DRY_RUN : STREAM;
    return str_is(type, "Event") ? EVENT : str_is(type, "DryRun") ? DRY_RUN : SYNC;
}

static int read_context(struct call *c, struct str *out, struct err *err)
{
    struct str text = call_header(c, "x-amz-client-context");
    struct buf json = BUF_INIT;
    *out = STR("");
    if (!text.n)
        return 0;
    bool ok = text.n <= CONTEXT_MAX && base64_decode(&json, text) && jscan_valid(buf_str(&json));
    if (ok)
        *out = arena_dup(c->arena, buf_str(&json));
    buf_deinit(&json);
    return ok ? 0
              : err_set(err, E_BAD_JSON,
                        "Client context must be a valid Base64-encoded JSON object of at most %d "
                        "bytes.",
                        CONTEXT_MAX);
}

static int read_request(struct call *c, struct invoking *k, struct err *err)
{
    struct str name;
    int rc = lambda_target(c, &name, &k->qualifier, err);
    k->kind = read_kind(c);
    if (rc == 0)
        rc = read_context(c, &k->context, err);
    if (rc == 0 && k->kind == EVENT && c->body.n > EVENT_MAX)
        rc = err_set(err, E_PAYLOAD_LIMIT,
                     "Request must be smaller than %d bytes for the InvokeFunction operation",
                     EVENT_MAX);
    if (rc == 0) {
        k->arn = lambda_arn(c, name, k->qualifier);
        rc = k->arn.p ? function_get(c->svc->functions, name, k->qualifier, &k->fn, err) : E_LIMIT;
    }
    return rc;
}

static void take(struct call *c, struct invoking *k)
{
    k->c = c;
    k->work.data = k;
    k->payload = c->body.n ? c->body : STR("{}"); /* what a function sees when nothing is sent */
    if (c->scanned) {
        k->valid = c->is_json;
        scanned(k);
    } else if (k->payload.n <= SCAN_ON_LOOP) {
        scan(&k->work);
        scanned(k);
    } else {
        work_start(c->svc->loop, &k->work, scan, scan_done);
    }
}

void lambda_invoke(struct call *c)
{
    struct invoking *k = arena_zalloc(c->arena, sizeof *k);
    struct err err;
    err_clear(&err);
    int rc = k ? read_request(c, k, &err) : E_LIMIT;
    if (rc)
        call_error(c, rc, &err);
    else
        take(c, k);
}

/* The older form of an event: no headers, and a body in the answer. */
void lambda_invoke_async(struct call *c)
{
    struct invoking *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? lambda_target(c, &name, &k->qualifier, &err) : E_LIMIT;
    if (rc == 0)
        rc = function_get(c->svc->functions, name, k->qualifier, &k->fn, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->kind = EVENT;
    k->legacy = true;
    k->context = STR("");
    take(c, k);
}

void lambda_invoke_with_response_stream(struct call *c)
{
    lambda_invoke(c);
}
