/* invoke: one invocation, from admission to its metered end.
 *
 *     admit     a recycled struct, the function's version
 *     acquire   a runner by the rules of dispatch.c, or a place in the queue
 *     run       the runner's business; START is logged when it becomes the head
 *     settle    reply, deadline or death: END and REPORT are logged, the runner goes on
 *     meter     the caller is told, then the books
 *
 * No step allocates when warm, none makes a system call but for a bell. */
#include "svc/pool_impl.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rec.h"

/* --- admit and acquire --------------------------------------------------------------------------
 */

static struct invocation *invocation_new(struct pool *p, const struct invoke_req *req)
{
    struct invocation *inv = p->free_invocations;
    if (inv) {
        p->free_invocations = inv->next;
    } else if (!(inv = malloc(sizeof *inv))) {
        return NULL;
    }
    *inv = (struct invocation){.req = *req, .asked_ns = clock_mono_ns()};
    inv->req.request_id[36] = 0;
    inv->version = pool_version(p, req->fn);
    fn_ref(req->fn);
    inv->over = req->fn->limited && inv->version->tally->live >= req->fn->reserved;
    inv->shared = !req->fn->limited && !req->fn->sealed;
    inv->version->tally->live++;
    p->shared += inv->shared;
    p->live++;
    p->stats.invocations++;
    return inv;
}

/* A function that has reserved concurrency has that much and no more; all others share what is left
 * of the account's. Whoever is refused here is refused at once, a nested call too: it must not wait
 * for its caller. */
static bool over_limit(const struct pool *p, const struct invocation *inv)
{
    return inv->over || (inv->shared && p->shared > p->shared_max);
}

/* The end of every invocation: nothing of it is in any list any more. */
static void finish(struct pool *p, struct invocation *inv, struct invoke_result *res)
{
    struct fn *fn = inv->req.fn;
    char source[24]; /* the request's own is gone once done has been called */
    struct str from = str_c(inv->req.source); /* printf here was a percent of a hello */
    if (from.n >= sizeof source)
        from.n = sizeof source - 1;
    if (from.n)
        memcpy(source, from.p, from.n);
    source[from.n] = 0;
    res->version = fn->version;
    res->request_id = inv->req.request_id;
    res->source = source;
    inv->version->tally->live--;
    p->shared -= inv->shared;
    p->live--;
    p->stats.errors += res->error;
    p->stats.throttles += res->rc == E_THROTTLED;
    if (res->rc == 0 && res->error && p->opts.failed)
        p->opts.failed(p->opts.failed_ctx, fn, res);
    if (res->rc == 0 && p->opts.ended)
        p->opts.ended(p->opts.ended_ctx, &inv->req, res);
    inv->req.done(inv->req.ctx, res);
    if (res->rc == 0 && p->opts.metered)
        p->opts.metered(p->opts.metered_ctx, fn, res);
    buf_deinit(&inv->tail);
    version_unref(p, inv->version);
    fn_unref(fn);
    inv->next = p->free_invocations;
    p->free_invocations = inv;
    pool_check_drained(p);
}

void invoke_refuse(struct pool *p, struct invocation *inv, int rc)
{
    struct invoke_result res = {.rc = rc,
                                .payload = STR(""),
                                .error_type = STR(""),
                                .log_tail = STR(""),
                                .reserved = inv->over,
                                .platform_failure = rc == E_INTERNAL};
    finish(p, inv, &res);
}

bool invoke_is_patient(const struct invocation *inv)
{
    return !inv->req.nested && !inv->req.asynchronous;
}

/* For those that found no runner. What another invocation or the durable queue waits for does not
 * stand behind others here, but it may wait for a runner that is being made; of those that do, no more
 * than could have one. */
static void wait_or_refuse(struct pool *p, struct invocation *inv, bool soon)
{
    uint32_t most = invoke_is_patient(inv) ? POOL_FIFO_MAX : soon ? p->opts.max_runners : 0;
    if (inv->version->waiting < (most < POOL_FIFO_MAX ? most : POOL_FIFO_MAX))
        dispatch_wait(p, inv, inv->req.nested);
    else
        invoke_refuse(p, inv, E_THROTTLED);
}

void invoke(struct pool *p, const struct invoke_req *req)
{
    /* what running functions wait for is still served while draining */
    int rc = p->closed || (p->draining && !req->nested) ? E_SHUTDOWN : 0;
    if (!rc && req->event.n > PAYLOAD_MAX)
        rc = E_PAYLOAD_LIMIT;
    struct invocation *inv = rc ? NULL : invocation_new(p, req);
    if (!inv) {
        struct invoke_result res = {.rc = rc ? rc : E_INTERNAL, .version = req->fn->version};
        req->done(req->ctx, &res);
        return;
    }
    if (over_limit(p, inv)) {
        invoke_refuse(p, inv, E_THROTTLED);
        return;
    }
    bool queue = inv->version->first && !req->nested, soon = false; /* nobody overtakes */
    if (queue || !dispatch_acquire(p, inv, &soon))
        wait_or_refuse(p, inv, soon);
}

/* --- the run's log ------------------------------------------------------------------------------
 */

/* The tail keeps at least the last POOL_TAIL_MAX bytes and at most twice that. */
static void tail_add(struct invocation *inv, struct str line)
{
    if (!inv->req.tail)
        return;
    if (line.n > POOL_TAIL_MAX)
        line = str_from(line, line.n - POOL_TAIL_MAX);
    buf_add(&inv->tail, line);
    buf_addc(&inv->tail, '\n');
    if (inv->tail.n > 2 * POOL_TAIL_MAX)
        buf_drop(&inv->tail, inv->tail.n - POOL_TAIL_MAX);
}

/* One text of the tail, made by whoever has it. */
static void tail_take(struct invocation *inv, struct buf *text)
{
    tail_add(inv, buf_str(text));
    buf_deinit(text);
}

static void tail_line(struct runner *r, struct invocation *inv, int64_t wall_ms,
                      enum log_severity level, struct str line)
{
    struct buf text = BUF_INIT;
    if (!inv->req.tail)
        return;
    if (!r->version->fn->log_json) {
        tail_add(inv, line);
        return;
    }
    log_line_json(&text, wall_ms, level, str_c(inv->req.request_id), line);
    tail_take(inv, &text);
}

void invoke_log(struct runner *r, struct invocation *inv, enum log_severity level, struct str line)
{
    uint64_t *bytes = inv ? &inv->log_bytes : &r->init_log_bytes;
    int64_t wall_ms = clock_wall_ms();
    if (!r->stream)
        return;
    if (r->version->fn->log_json && (int)level < r->version->fn->log_app_level)
        return;
    if (*bytes + line.n > POOL_LOG_MAX) {
        if (inv)
            inv->log_cut += line.n;
        return;
    }
    *bytes += line.n;
    log_line(r->stream, wall_ms, level, inv ? inv->req.request_id : "", line);
    if (inv)
        tail_line(r, inv, wall_ms, level, line);
}

/* START and REPORT are at level INFO. */
static bool system_logged(const struct fn *fn)
{
    return !fn->log_json || fn->log_system_level <= LOG_INFO;
}

void invoke_began(struct runner *r, struct invocation *inv)
{
    const struct fn *fn = inv->req.fn;
    struct buf text = BUF_INIT;
    int64_t wall_ms = clock_wall_ms();
    if (!r->stream || inv->announced)
        return;
    inv->announced = true;
    if (!system_logged(fn))
        return;
    log_start(r->stream, wall_ms, inv->req.request_id, fn->version);
    if (!inv->req.tail)
        return;
    if (fn->log_json)
        log_start_json(&text, wall_ms, str_c(inv->req.request_id), fn->version);
    else
        buf_printf(&text, "START RequestId: %s Version: %.*s", inv->req.request_id,
                   STR_FMT(fn->version));
    tail_take(inv, &text);
}

static void tail_report(struct invocation *inv, int64_t wall_ms, const struct log_report *report)
{
    const char *id = inv->req.request_id;
    struct buf text = BUF_INIT;
    if (inv->req.fn->log_json) {
        log_report_json(&text, wall_ms, str_c(id), report, str_c(report->status));
    } else {
        buf_printf(&text, "END RequestId: %s\n", id);
        log_report_text(&text, id, report);
    }
    tail_take(inv, &text);
}

/* END and REPORT, preceded by what the log has to say about itself. */
static void log_ended(struct runner *r, struct invocation *inv, const struct invoke_result *res,
                      const char *status)
{
    if (!r->stream)
        return;
    const char *id = inv->req.request_id;
    int64_t wall = res->ended_ms;
    struct log_report report = {.duration_us = res->duration_us,
                                .billed_ms = res->billed_ms,
                                .init_us = res->init_us,
                                .memory_mb = inv->req.fn->memory_mb,
                                .memory_peak = res->memory_peak,
                                .status = status};
    if (!status && res->error && inv->req.fn->log_json)
        report.status = "error";
    if (inv->log_cut) {
        char line[96];
        int n = snprintf(line, sizeof line, "%llu bytes of log output were cut (limit %d bytes)",
                         (unsigned long long)inv->log_cut, POOL_LOG_MAX);
        log_line(r->stream, wall, LOG_WARN, id, str_of(line, (size_t)n));
        tail_line(r, inv, wall, LOG_WARN, str_of(line, (size_t)n));
    }
    if (!system_logged(inv->req.fn))
        return;
    if (!inv->req.fn->log_json)
        log_end(r->stream, wall, id);
    log_report(r->stream, wall, id, &report);
    if (inv->req.tail)
        tail_report(inv, wall, &report);
}

static struct str tail_of(const struct invocation *inv)
{
    struct str t = buf_str(&inv->tail);
    return t.n > POOL_TAIL_MAX ? str_from(t, t.n - POOL_TAIL_MAX) : t.n ? t : STR("");
}

/* --- settle -------------------------------------------------------------------------------------
 */

/* Times, memory, logs: the parts that every end has. */
static void settle(struct runner *r, struct invocation *inv, struct invoke_result *res,
                   const char *status)
{
    uint64_t limit = (uint64_t)inv->req.fn->memory_mb << 20;
    if (res->memory_peak > limit)
        res->memory_peak = limit;
    res->billed_ms = res->duration_us ? (res->duration_us + 999) / 1000 : 1;
    if (r->cold) {
        r->cold = false;
        pool_time_refill(r->pool, 0); /* off the way of the first answer */
        res->init_us = r->init_us ? r->init_us : 1;
    }
    res->ended_ms = clock_wall_ms();
    log_ended(r, inv, res, status);
    res->log_tail = tail_of(inv);
}

/* The type that the runner gave, up to the first byte that is none of a name. */
static struct str error_type(const struct frame_reply *reply)
{
    size_t n = 0;
    while (n < sizeof reply->error_type && (unsigned char)reply->error_type[n] > 0x20 &&
           reply->error_type[n] != 0x7f)
        n++;
    return str_of(reply->error_type, n);
}

/* The runner measures its run; the core bounds it by what has passed since it handed it over (its
 * own measure would be wrong by the time that a batch of replies waited). */
static uint64_t duration_us(const struct invocation *inv, uint32_t claimed, uint64_t now_ns)
{
    uint64_t passed = (now_ns - inv->pushed_ns) / 1000;
    return claimed < passed ? claimed : passed;
}

/* What the caller reads, for the reader of the log. */
static void log_outcome(struct runner *r, struct invocation *inv, const struct outcome *o)
{
    char line[256];
    int n = snprintf(line, sizeof line, "RequestId: %s Error: %s", inv->req.request_id, o->text);
    invoke_log(r, inv, LOG_ERROR, str_of(line, (size_t)n));
    if (!o->violation)
        return;
    invoke_log(r, inv, LOG_ERROR,
               STR("Sandbox violation: the function made a system call that is not allowed"));
    log_warn("sandbox violation by function %.*s, request %s", STR_FMT(inv->req.fn->name),
             inv->req.request_id);
}

void invoke_replied(struct runner *r, const struct frame_reply *reply, struct str answer,
                    char **owned)
{
    struct pool *p = r->pool;
    struct version *v = r->version;
    if (reply->kind == REPLY_HTTP && !reply->error && !rec_valid(answer))
        return runner_events_broke(r, "a REPLY that is no record");
    uint64_t now_ns = clock_mono_ns();
    struct invocation *inv = runners_pop(r);
    invoke_began(r, inv); /* when it is read as the last words of a runner */
    struct buf json = BUF_INIT;
    struct invoke_result res = {.error = reply->error != FRAME_ERROR_NONE,
                                .kind = reply->error ? REPLY_JSON : (int)reply->kind,
                                .payload = answer,
                                .owned = owned,
                                .error_type = reply->error ? error_type(reply) : STR(""),
                                .duration_us = duration_us(inv, reply->duration_us, now_ns),
                                .memory_peak = reply->memory_peak};
    const char *status = NULL;
    struct outcome o;
    if (reply->error == FRAME_ERROR_MEMORY) {
        outcome_memory(&o, inv->req.fn->memory_mb);
        outcome_json(&o, inv->req.request_id, &json);
        res.payload = buf_str(&json);
        res.owned = NULL;
        res.error_type = str_c(o.type);
        status = o.status;
        log_outcome(r, inv, &o);
    }
    channel_forget(r->channel, FRAME_F_INVOCATION, inv->id);
    if (r->calls_live || r->handles)
        pool_call_abandon(r);
    settle(r, inv, &res, status);
    v->refs++;
    if (reply->error == FRAME_ERROR_MEMORY) {
        runners_end(r);
    } else {
        runners_charge(r, reply->memory_peak);
        runners_next(r, now_ns);
    }
    if (v->first)
        dispatch_version(p, v);
    finish(p, inv, &res);
    buf_deinit(&json);
    version_unref(p, v);
    if (p->waiting)
        dispatch_waiting(p); /* an idle runner of this version may make place for another */
}

void invoke_failed(struct runner *r, struct invocation *inv, const struct outcome *o,
                   uint64_t now_ns)
{
    struct buf json = BUF_INIT;
    uint64_t timeout_us = (uint64_t)inv->req.fn->timeout_ms * 1000;
    struct invoke_result res = {.error = true,
                                .error_type = str_c(o->type),
                                .duration_us = inv->begun_ns ? (now_ns - inv->begun_ns) / 1000 : 0,
                                .memory_peak = channel_memory_peak(r->channel)};
    if (res.duration_us > timeout_us)
        res.duration_us = timeout_us; /* the grace after the deadline is ours */
    outcome_json(o, inv->req.request_id, &json);
    res.payload = buf_str(&json);
    invoke_began(r, inv);
    log_outcome(r, inv, o);
    settle(r, inv, &res, o->status);
    finish(r->pool, inv, &res);
    buf_deinit(&json);
}
