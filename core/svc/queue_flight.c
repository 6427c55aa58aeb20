/* queue_flight: one event from its row to its result.
 *
 * start: the row is read and checked in a snapshot (does the function still exist, is it the same
 * one, does its policy still let the source in, is the event too old, did it bring the core down
 * too often), the payload copied, and the function invoked. "Running" is then written by a job
 * that nothing waits for. end: what became of it is one more job; only when that is committed does
 * the flight end. If the store will not take it now (disk full), the flight stays and the job is
 * submitted again: a result is never dropped, and the row never runs twice meanwhile.
 *
 * A crash in between leaves the row in T_DUE, marked as running by an earlier boot: it is found
 * like any due row, and the lost try is counted. */
#include "auth/arn.h"
#include "base/clock.h"
#include "base/log.h"
#include "svc/logs.h"
#include "svc/queue_lane.h"
#include "svc/retry.h"

enum { GAVE_UP_LINES = 10 }; /* a second, in our own log */
#define RECURSION "RecursiveInvocationException"

static void end(struct flight *f, enum event_outcome outcome);
static void end_with(struct flight *f, enum retry_reason reason, struct str type, struct str text);
static void give_up(struct flight *f, const char *type, struct str text);
static void settle(struct flight *f);

/* --- the set of flights ------------------------------------------------------------------------
 */

static struct flight **slot_of(const struct queue *q, uint64_t id)
{
    struct flight *const *p = &q->flights[id % (sizeof q->flights / sizeof *q->flights)];
    while (*p && (*p)->id != id)
        p = &(*p)->hash_next;
    return (struct flight **)(uintptr_t)p;
}

bool flight_exists(const struct queue *q, uint64_t id)
{
    return *slot_of(q, id) != NULL;
}

static struct flight *flight_new(struct queue *q, struct lane *lane, const struct event_row *row)
{
    struct flight *f = calloc(1, sizeof *f), **p = slot_of(q, row->id);
    if (!f)
        fatal("out of memory");
    ASSERT(!*p);
    *p = f;
    f->queue = q;
    f->lane = lane;
    f->id = row->id;
    f->function_id = lane->function_id;
    f->due_ms = row->due_ms;
    f->accepted_ms = row->accepted_ms;
    f->tries = row->tries;
    f->crashes = row->crashes;
    f->defers = row->defers;
    f->hops = row->hops;
    f->max_tries = row->max_tries;
    f->max_age_ms = row->max_age_ms;
    buf_add(&f->chain, row->chain);
    snprintf(f->function, sizeof f->function, "%.*s", STR_FMT(row->function));
    snprintf(f->request_id, sizeof f->request_id, "%.*s", STR_FMT(row->request_id));
    if (row->state == EVENT_RUNNING_ROW && row->boot != store_boot(q->o.store)) {
        f->tries++;
        f->crashes++;
    }
    q->in_flight++;
    lane->in_flight++;
    return f;
}

/* What running needed is let go; the flight itself stays until its result is stored. */
static void release(struct flight *f)
{
    if (f->fn)
        fn_unref(f->fn);
    f->fn = NULL;
    buf_deinit(&f->bytes);
    f->payload = f->response = f->response_version = STR("");
    f->queue->payload_bytes -= f->payload_bytes;
    f->payload_bytes = 0;
}

/* Over: out of the set, freed (once the store has let go of the mark). */
static void land(struct flight *f)
{
    struct queue *q = f->queue;
    struct lane *lane = f->lane;
    release(f);
    f->landed = true;
    if (f->mark_pending)
        return;
    *slot_of(q, f->id) = f->hash_next;
    q->in_flight--;
    if (!q->closed) {
        lane->in_flight--;
        if (lane_open(lane))
            lane_wake(q, lane, clock_store_ms());
        lane_settle(q, lane);
    }
    send_done(f, E_SHUTDOWN);
    buf_deinit(&f->error);
    buf_deinit(&f->chain);
    free(f);
    queue_landed(q);
}

/* --- starting ----------------------------------------------------------------------------------
 */

static void on_invoked(void *ctx, const struct invoke_result *r);

/* May this source still invoke the function? A schedule's target has a role, which was asked when
 * it was due. */
static bool source_allowed(const struct fn *fn, const struct event_row *row, struct str arn)
{
    char service[64];
    const struct policy_key keys[] = {{STR("aws:sourcearn"), row->source_arn},
                                      {STR("aws:sourceaccount"), STR(ACCOUNT_ID)}};
    snprintf(service, sizeof service, "%.*s.amazonaws.com", STR_FMT(row->source));
    struct policy_query q = {
        .action = STR("lambda:InvokeFunction"),
        .resource = arn,
        .principal_service = str_c(service),
        .keys = keys,
        .key_count = 2,
    };
    return row->source_arn.n == 0 || str_is(row->source, "scheduler") ||
           (fn->policy && policy_eval(fn->policy, &q) == POLICY_ALLOW);
}

static struct str keep(struct buf *b, struct str s)
{
    char *at = b->p + b->n;
    buf_add(b, s);
    buf_addc(b, 0);
    return str_of(at, s.n);
}

/* Copies all that invoke borrows, in one piece; false when memory is short. */
static bool copy_request(struct flight *f, const struct event_row *row, struct str payload,
                         struct invoke_req *req)
{
    struct buf *b = &f->bytes;
    size_t arn = f->fn->arn.n + 1 + row->qualifier.n;
    if (!buf_reserve(b, payload.n + row->client_context.n + arn + row->source.n + 4))
        return false;
    req->event = f->payload = keep(b, payload);
    req->client_context = keep(b, row->client_context);
    req->source = keep(b, row->source).p;
    req->arn = str_of(b->p + b->n, row->qualifier.n ? arn : f->fn->arn.n);
    buf_add(b, f->fn->arn);
    buf_addc(b, row->qualifier.n ? ':' : 0);
    buf_add(b, row->qualifier);
    memcpy(req->request_id, f->request_id, sizeof req->request_id);
    f->payload_bytes = payload.n;
    f->queue->payload_bytes += payload.n;
    return true;
}

/* When the function's configuration gives up, else AWS's defaults; earlier if the source says so. */
static struct retry_rules rules_of(const struct flight *f)
{
    struct retry_rules rules = retry_defaults;
    if (f->fn && f->fn->retries_set)
        rules.max_retries = f->fn->retries;
    if (f->fn && f->fn->max_age_ms)
        rules.max_age_ms = f->fn->max_age_ms;
    if (f->max_tries && f->max_tries - 1 < rules.max_retries)
        rules.max_retries = f->max_tries - 1;
    if (f->max_age_ms && f->max_age_ms < rules.max_age_ms)
        rules.max_age_ms = f->max_age_ms;
    return rules;
}

/* What speaks against running this row at all: NULL, or why it is given up. */
static const char *objection(struct flight *f, const struct event_row *row, struct err *err)
{
    int rc = function_get(f->queue->o.functions, row->function, row->qualifier, &f->fn, err);
    if (f->crashes >= CRASHES_MAX) {
        err_set(err, E_INTERNAL, "the server ended %u times while this event ran", f->crashes);
        return "PoisonEvent";
    }
    if (rc == E_NOT_FOUND)
        return "FunctionNotFound";
    if (rc)
        return NULL; /* f->fn stays NULL: put off */
    queue_learn_rate(f->queue, f->fn);
    if (f->fn->id != row->function_id) {
        err_set(err, E_NOT_FOUND, "the function was deleted and another created under its name");
        return "FunctionNotFound";
    }
    if (f->hops >= INVOKE_HOPS_MAX && !f->fn->loops) {
        err_set(err, E_RECURSION, "%s It was run %u times in one chain of events.",
                err_row(E_RECURSION)->text, f->hops);
        return RECURSION;
    }
    if (f->fn->limited && f->fn->reserved == 0) {
        err_set(err, E_THROTTLED, "the function's reserved concurrency is zero");
        return "ZeroReservedConcurrency";
    }
    int64_t max_age_ms = rules_of(f).max_age_ms;
    if (clock_store_ms() - f->accepted_ms > max_age_ms) {
        err_set(err, E_INTERNAL, "the event is older than %lld seconds",
                (long long)max_age_ms / 1000);
        return RETRY_TOO_OLD;
    }
    struct buf arn = BUF_INIT;
    buf_printf(&arn, "%.*s%s%.*s", STR_FMT(f->fn->arn), row->qualifier.n ? ":" : "",
               STR_FMT(row->qualifier));
    bool allowed = source_allowed(f->fn, row, buf_str(&arn));
    buf_deinit(&arn);
    if (!allowed) {
        err_set(err, E_DENIED, "the function's policy does not let %.*s invoke it any more",
                STR_FMT(row->source_arn));
        return "AccessDenied";
    }
    return NULL;
}

static int mark_apply(struct job *job, struct store_txn *t)
{
    struct flight *f = (struct flight *)((char *)job - offsetof(struct flight, mark));
    return event_row_change(t, f->id, &f->started);
}

/* Not taken (disk full): a crash would then not be counted, and nothing else depends on it. */
static void mark_done(struct job *job, int rc)
{
    struct flight *f = (struct flight *)((char *)job - offsetof(struct flight, mark));
    (void)rc;
    f->mark_pending = false;
    if (f->landed)
        land(f);
}

/* The mark counts crashes and nothing else, so one that goes down with the server is lost without
 * harm, once: an event of an earlier boot may be what ended that one, and is marked at once. */
static void mark_running(struct flight *f)
{
    f->started = (struct event_change){
        .outcome = EVENT_STARTED, .tries = f->tries, .crashes = f->crashes, .defers = f->defers};
    f->mark = (struct job){.apply = mark_apply,
                           .done = mark_done,
                           .frees_space = true,
                           .rides = store_id_boot(f->id) == store_boot(f->queue->o.store)};
    f->marked = f->mark_pending = true;
    store_submit(f->queue->o.store, &f->mark);
}

bool flight_start(struct queue *q, struct lane *lane, struct store_txn *t, int64_t due_ms,
                  uint64_t id)
{
    struct event_row row;
    struct str payload = STR("");
    struct err err = {0};
    if (event_row_get(t, id, &row) != 0)
        row = (struct event_row){.id = id, .due_ms = due_ms, .accepted_ms = clock_store_ms()};
    row.due_ms = due_ms;
    struct flight *f = flight_new(q, lane, &row);
    const char *why = objection(f, &row, &err);
    int rc = event_row_payload(t, id, &payload);
    struct invoke_req req = {
        .fn = f->fn,
        .event_kind = EVENT_JSON,
        .attempt = f->tries + 1,
        .hops = f->hops,
        .chain = buf_str(&f->chain),
        .asynchronous = true,
        .done = on_invoked,
        .ctx = f,
    };
    if (why) {
        f->payload = payload; /* as long as t lasts */
        give_up(f, why, str_c(err_text(&err, err.code)));
        return true;
    }
    if (!f->fn || rc || !copy_request(f, &row, payload, &req)) {
        end_with(f, RETRY_PLATFORM, STR("ServiceException"), STR("the event could not be read"));
        return true;
    }
    lane->running++;
    q->running++;
    f->started_ms = clock_store_ms();
    f->starting = true;
    invoke(q->o.pool, &req);
    f->starting = false;
    if (!f->ended) {
        mark_running(f);
        return true;
    }
    /* It ended at once: only now may the flight go. */
    bool throttled = f->change.outcome == EVENT_RELEASED;
    settle(f);
    return !throttled;
}

/* --- ending ------------------------------------------------------------------------------------
 */

static void on_invoked(void *ctx, const struct invoke_result *r)
{
    struct flight *f = ctx;
    struct queue *q = f->queue;
    struct str type = r->error_type.n ? r->error_type : STR("Unhandled");
    q->running--;
    if (q->closed) {
        f->ended = true;
        land(f);
        return;
    }
    f->lane->running--;
    f->change.duration_us = r->duration_us;
    if (r->rc == 0) {
        f->response = r->payload;
        f->response_version = r->version;
        f->response_error = r->error;
    }
    if (r->rc == E_THROTTLED || r->rc == E_SHUTDOWN) {
        lane_throttled(q, f->lane);
        f->started_ms = 0; /* it did not run */
        end(f, EVENT_RELEASED);
    } else if (r->rc || r->platform_failure) {
        end_with(f, RETRY_PLATFORM, STR("ServiceException"),
                 r->rc ? str_c(err_row(r->rc)->text) : r->payload);
    } else if (r->error) {
        end_with(f, RETRY_FUNCTION, type, r->payload);
    } else {
        f->tries++;
        lane_succeeded(f->lane);
        send_outcome(f, "Success");
        buf_add(&f->error,
                str_of(r->payload.p,
                       r->payload.n < EVENT_RESULT_MAX ? r->payload.n : EVENT_RESULT_MAX));
        f->change.result = buf_str(&f->error);
        f->change.result_bytes = r->payload.n;
        end(f, EVENT_SUCCEEDED);
    }
}

/* A try failed: again later, or never. */
static void end_with(struct flight *f, enum retry_reason reason, struct str type, struct str text)
{
    int64_t wait_ms = 0, age_ms = clock_store_ms() - f->accepted_ms;
    const struct retry_rules rules = rules_of(f);
    if (reason == RETRY_FUNCTION)
        f->tries++;
    const char *why =
        retry_decide(&rules, reason, f->tries - f->crashes, f->defers, age_ms, &wait_ms);
    if (reason != RETRY_FUNCTION)
        f->defers++;
    snprintf(f->try_type, sizeof f->try_type, "%.*s", STR_FMT(type));
    buf_clear(&f->error);
    buf_add(&f->error, type);
    buf_add(&f->error, str_of(text.p, text.n < EVENT_ERROR_MAX ? text.n : EVENT_ERROR_MAX));
    f->change.error_type = str_of(f->error.p, f->error.rc ? 0 : type.n);
    f->change.error = f->error.rc ? STR("") : str_from(buf_str(&f->error), type.n);
    f->change.due_ms = clock_store_ms() + wait_ms;
    if (why)
        give_up(f, why, text);
    else
        end(f, EVENT_PUT_OFF);
}

/* Draws the loop, and says how to let it go on. */
static void tell_loop(struct flight *f, struct log_stream *s, struct buf *line)
{
    buf_clear(line);
    buf_lit(line, "The loop: ");
    buf_add(line, buf_str(&f->chain));
    buf_printf(line,
               " > %s, which was stopped. If it is meant: aws lambda put-function-recursion-config "
               "--function-name %s --recursive-loop Allow",
               f->function, f->function);
    log_line(s, clock_wall_ms(), LOG_ERROR, f->request_id, buf_str(line));
}

/* A line in our log (not too many) and one in the function's, if there still is one. */
/* A removed function's log is not begun again. */
static bool is_there(struct store *store, struct str function)
{
    struct store_txn *t = store_read(store);
    bool there = function_exists(t, function);
    store_read_end(t);
    return there;
}

static void tell(struct flight *f, const char *why, struct str text)
{
    struct queue *q = f->queue;
    int64_t second = clock_store_ms() / 1000;
    if (second != q->gave_up_s) {
        if (q->gave_up_more)
            log_warn("queue: and %u more events given up", q->gave_up_more);
        q->gave_up_s = second;
        q->gave_up_lines = q->gave_up_more = 0;
    }
    if (q->gave_up_lines++ < GAVE_UP_LINES)
        log_warn("queue: event %016llx given up after %u tries: %s: %.*s",
                 (unsigned long long)f->id, f->tries, why, text.n < 300 ? (int)text.n : 300,
                 text.p ? text.p : "");
    else
        q->gave_up_more++;
    if (!f->fn || f->fn->id != f->function_id || !is_there(q->o.store, f->fn->name))
        return;
    struct buf line = BUF_INIT;
    struct log_stream *s = log_stream_open(q->o.logs, f->fn->log_group, STR("asynchronous"));
    buf_printf(&line, "Event given up after %u %s: %s", f->tries, f->tries == 1 ? "try" : "tries",
               why);
    if (text.n) {
        buf_lit(&line, ": ");
        buf_add(&line, text);
    }
    log_line(s, clock_wall_ms(), LOG_ERROR, f->request_id, buf_str(&line));
    if (strcmp(why, RECURSION) == 0)
        tell_loop(f, s, &line);
    log_stream_close(s);
    buf_deinit(&line);
}

static void give_up(struct flight *f, const char *type, struct str text)
{
    const struct queue_opts *o = &f->queue->o;
    send_outcome(f, type);
    tell(f, type, text);
    struct str last = f->change.error.n ? f->change.error : text; /* of the last try, or why not */
    struct buf b = BUF_INIT;
    buf_add(&b, str_c(type));
    buf_add(&b, str_of(last.p, last.n < EVENT_ERROR_MAX ? last.n : EVENT_ERROR_MAX));
    buf_deinit(&f->error);
    f->error = b;
    f->change.error_type = str_of(b.p, b.rc ? 0 : strlen(type));
    f->change.error = b.rc ? STR("") : str_from(buf_str(&b), strlen(type));
    f->change.max_dead_rows = o->max_rows / 4;
    f->change.max_dead_bytes = o->max_bytes / 4;
    end(f, EVENT_GIVEN_UP);
}

static void end(struct flight *f, enum event_outcome outcome)
{
    f->ended = true;
    f->change.outcome = outcome;
    f->change.function_id = f->function_id;
    f->change.found_ms = f->due_ms;
    f->change.tries = f->tries;
    f->change.crashes = f->crashes;
    f->change.defers = f->defers;
    f->change.started_ms = f->started_ms;
    f->change.ended_ms = clock_store_ms();
    f->change.try_type = str_c(f->try_type);
    f->change.keep_rows = f->queue->o.keep_rows;
    release(f);
    if (!f->starting)
        settle(f);
}

static int settle_apply(struct job *job, struct store_txn *t)
{
    struct flight *f = (struct flight *)((char *)job - offsetof(struct flight, settle));
    int rc = event_row_change(t, f->id, &f->change);
    return rc ? rc : send_put(f, t); /* a full queue has room for it now */
}

static void settle_done(struct job *job, int rc)
{
    struct flight *f = (struct flight *)((char *)job - offsetof(struct flight, settle));
    struct queue *q = f->queue;
    if (rc && !q->closed && !q->draining) {
        if (!q->stuck)
            q->unstick_ms = clock_store_ms() + FLIGHT_STUCK_MS;
        f->stuck_next = q->stuck;
        q->stuck = f;
        queue_schedule(q);
        return;
    }
    if (!q->closed && f->change.outcome == EVENT_PUT_OFF) {
        lane_rescan(f->lane, f->change.due_ms, f->id);
        lane_wake(q, f->lane, f->change.due_ms);
    }
    if (!q->closed && f->change.outcome == EVENT_RELEASED)
        lane_rescan(f->lane, f->due_ms, f->id);
    if (!q->closed)
        send_done(f, rc);
    land(f);
}

/* Nobody waits for a success that is sent nowhere; a kill before its commit has it run again, as
 * one a moment earlier would have. */
static void settle(struct flight *f)
{
    if (f->change.outcome == EVENT_RELEASED && !f->marked) { /* its row is as it was */
        lane_rescan(f->lane, f->due_ms, f->id);
        land(f);
        return;
    }
    f->settle = (struct job){.apply = settle_apply,
                             .done = settle_done,
                             .frees_space = true,
                             .rides = f->change.outcome == EVENT_SUCCEEDED && !f->sends};
    store_submit(f->queue->o.store, &f->settle);
}

void flights_unstick(struct queue *q)
{
    struct flight *f = q->stuck;
    q->stuck = NULL;
    for (struct flight *next; f; f = next) {
        next = f->stuck_next;
        settle(f);
    }
}

void flights_drop_stuck(struct queue *q)
{
    struct flight *f = q->stuck;
    q->stuck = NULL;
    for (struct flight *next; f; f = next) {
        next = f->stuck_next;
        land(f);
    }
}
