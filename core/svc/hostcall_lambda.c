/* hostcall_lambda: a function invokes another one.
 *
 * The payload is what a runner says is JSON: it is checked before anything is made of it, on the
 * pool when it is long. A synchronous invoke is nested: it gets a runner of its own or is
 * throttled, so that functions that wait for each other cannot lock up. An asynchronous one is
 * answered when its event is committed. */
#include "auth/arn.h"
#include "base/id.h"
#include "base/jscan.h"
#include "base/log.h"
#include "base/rec.h"
#include "base/work.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"
#include "svc/invoke.h"
#include "svc/queue.h"

enum { SCAN_ON_LOOP = 64 * 1024 };

struct calling {
    struct work work;
    struct job job;
    struct hostcalls *h;
    struct hostcall *call;
    struct fn *fn;
    struct str qualifier, payload;
    char arn[256];
    struct buf chain; /* of a synchronous one: what leads to it, as text */
    char request_id[37];
    uint64_t delay_ms;
    bool valid; /* payload is JSON */
};

static void end(struct calling *c, int rc, struct buf *result, const struct err *err)
{
    struct hostcall *call = c->call;
    if (c->fn)
        fn_unref(c->fn);
    buf_deinit(&c->chain);
    free(c);
    hostcall_end(call, rc, result, err);
}

/* --- synchronous ----------------------------------------------------------------------------- */

static void invoked(void *ctx, const struct invoke_result *r)
{
    struct buf result = BUF_INIT;
    if (r->rc == 0) {
        buf_reserve(&result, r->payload.n + 32); /* in one piece */
        rec_put_u64(&result, HC_FUNCTION_ERROR, r->error);
        rec_put_str(&result, HC_PAYLOAD, r->payload);
    }
    end(ctx, r->rc, &result, NULL);
}

static void start_invoke(struct calling *c)
{
    const struct lineage cause = hostcall_cause(c->call);
    lineage_write(&c->chain, &cause);
    struct invoke_req req = {
        .fn = c->fn,
        .event_kind = EVENT_JSON,
        .event = c->payload,
        .arn = str_c(c->arn),
        .attempt = 1,
        .hops = c->call->hops + 1,
        .chain = buf_str(&c->chain),
        .nested = true,
        .source = "lambda",
        .done = invoked,
        .ctx = c,
    };
    memcpy(req.request_id, c->request_id, sizeof req.request_id);
    invoke(c->call->pool, &req);
}

/* --- asynchronous ---------------------------------------------------------------------------- */

static struct calling *calling_of(struct job *job)
{
    return (struct calling *)((char *)job - offsetof(struct calling, job));
}

static int put_event(struct job *job, struct store_txn *t)
{
    struct calling *c = calling_of(job);
    struct queue_event e = {
        .function_id = c->fn->id,
        .function_name = c->fn->name,
        .qualifier = c->qualifier,
        .payload = c->payload,
        .source = "lambda",
        .source_arn = STR(""),
        .cause = hostcall_cause(c->call),
        .delay_ms = c->delay_ms,
    };
    memcpy(e.request_id, c->request_id, sizeof e.request_id);
    return queue_put(c->h->queue, t, &e);
}

static void event_stored(struct job *job, int rc)
{
    struct calling *c = calling_of(job);
    struct buf result = BUF_INIT;
    rec_put_str(&result, HC_REQUEST_ID, str_c(c->request_id));
    if (rc == 0)
        queue_kick(c->h->queue, c->fn->id);
    end(c, rc, &result, NULL);
}

/* --- both ------------------------------------------------------------------------------------ */

static void scanned(struct calling *c)
{
    struct err err = {0};
    if (!c->valid) {
        int rc = err_set(&err, E_BAD_JSON, "The payload is no JSON text");
        end(c, rc, NULL, &err);
    } else if (c->call->number == HC_LAMBDA_INVOKE) {
        start_invoke(c);
    } else {
        c->job = (struct job){.apply = put_event, .done = event_stored};
        store_submit(c->h->o.store, &c->job);
    }
}

static void scan(struct work *work)
{
    struct calling *c = work->data;
    c->valid = jscan_valid(c->payload);
}

static void scan_done(struct work *work)
{
    scanned(work->data);
}

static void tell_loop(struct hostcall *call, const struct fn *fn, const char *text)
{
    const struct lineage cause = hostcall_cause(call);
    struct buf line = BUF_INIT;
    buf_printf(&line, "%s The loop: ", text);
    lineage_write(&line, &cause);
    buf_printf(&line, " > %.*s, which was not invoked", STR_FMT(fn->name));
    hostcall_log(call, buf_str(&line));
    buf_deinit(&line);
}

static void start(struct hostcalls *h, struct hostcall *call, size_t payload_max)
{
    struct err err = {0};
    struct str name, qualifier, payload = rec_str(call->args, HC_PAYLOAD);
    struct fn *fn = NULL;
    uint64_t delay_ms = rec_u64(call->args, HC_DELAY_MS, 0);
    int rc = hostcall_function_name(h, call->args, &name, &qualifier, &err);
    if (rc == 0 && payload.n > payload_max)
        rc = err_set(&err, E_LIMIT, "A payload of %zu bytes is more than the %zu that are allowed",
                     payload.n, payload_max);
    if (rc == 0 && delay_ms > HOSTCALL_DELAY_MAX_MS)
        rc = err_set(&err, E_INVALID, "A delay lasts at most 365 days");
    if (rc == 0)
        rc = function_get(h->o.functions, name, qualifier, &fn, &err);
    bool nested = call->number == HC_LAMBDA_INVOKE;
    if (rc == 0 && nested && call->hops + 1 >= INVOKE_HOPS_MAX && !fn->loops) {
        rc = err_set(&err, E_RECURSION, "%s", err_row(E_RECURSION)->text);
        tell_loop(call, fn, err.text);
        fn_unref(fn);
    }
    if (rc) {
        hostcall_end(call, rc, NULL, &err);
        return;
    }
    struct calling *c = calloc(1, sizeof *c);
    if (!c)
        fatal("out of memory");
    c->h = h;
    c->call = call;
    c->fn = fn;
    c->qualifier = qualifier;
    c->payload = payload.n ? payload : STR("null");
    c->delay_ms = delay_ms;
    c->work.data = c;
    id_uuid(c->request_id);
    snprintf(c->arn, sizeof c->arn, "%.*s%s%.*s", STR_FMT(fn->arn), qualifier.n ? ":" : "",
             STR_FMT(qualifier));
    if (c->payload.n <= SCAN_ON_LOOP) {
        scan(&c->work);
        scanned(c);
    } else {
        work_start(h->o.loop, &c->work, scan, scan_done);
    }
}

void hostcall_lambda_invoke(struct hostcalls *h, struct hostcall *call)
{
    start(h, call, PAYLOAD_MAX);
}

void hostcall_lambda_invoke_async(struct hostcalls *h, struct hostcall *call)
{
    start(h, call, HOSTCALL_ASYNC_MAX);
}
