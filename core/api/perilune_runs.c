/* perilune_runs: the ledger of events, for people and their tools.
 *
 *   GET    /perilune/v1/runs                {"runs":[{"id","function","qualifier","source","state",
 *          ?function=&state=&source=         "attempts","request_id","accepted",…}], "cursor"}
 *          &source_arn=&since=MS&until=MS
 *          &limit=&cursor=
 *   GET    /perilune/v1/runs/ID             the same with "tries", "chain", "result" and "event"
 *   POST   /perilune/v1/runs/ID/replay      body: another event, or none for its own
 *                                           -> {"id","request_id","function"}
 *   GET    /perilune/v1/dead                as runs, of state dead
 *   POST   /perilune/v1/dead/ID/redrive     -> {"redriven":1,"skipped":0}
 *   POST   /perilune/v1/dead/redrive        those of a function, or all: {"redriven","skipped"}
 *          ?function=NAME | ?all=1
 *   DELETE /perilune/v1/dead/ID             -> {"dropped":1}
 *   DELETE /perilune/v1/dead                {"dropped"}
 *          ?function=NAME | ?all=1
 *
 * "result" and "event" are JSON as it is stored. An event is run again for whatever function has its
 * name now, and whoever wants that must be allowed to invoke the function. */
#include "api/gate.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/jscan.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rec.h"
#include "base/work.h"
#include "svc/ledger.h"

enum { SCAN_ON_LOOP = 64 * 1024 };

static const char *const state_names[] = {
    [EVENT_QUEUED_ROW] = "queued", [EVENT_RUNNING_ROW] = "running", [EVENT_WAITING_ROW] = "waiting",
    [EVENT_DEAD_ROW] = "dead",     [EVENT_DONE_ROW] = "done",
};
enum { STATES = sizeof state_names / sizeof *state_names };

/* What sends events: struct invoke_req's and struct queue_event's source. */
static const char *const source_names[] = {"invoke", "url",       "s3",    "lambda",
                                           "events", "scheduler", "replay"};

/* --- rows as JSON ------------------------------------------------------------------------------
 */

static void set_time(json_t *o, const char *name, int64_t ms)
{
    char text[25];
    if (!ms)
        return;
    clock_iso8601(ms, text);
    json_object_set_new(o, name, json_string(text));
}

static void set_text(json_t *o, const char *name, struct str s)
{
    if (s.n)
        json_object_set_new(o, name, json_text(s));
}

static json_t *id_text(uint64_t id)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)id);
    return json_string(text);
}

/* How long the last try took. */
static void set_duration(json_t *o, struct str history)
{
    struct str each, last = {NULL, 0};
    uint16_t tag;
    while (rec_next(&history, &tag, &each))
        last = each;
    if (last.p)
        json_object_set_new(o, "duration_ms",
                            json_real((double)rec_u64(last, TRY_DURATION_US, 0) / 1000));
}

static json_t *row_json(const struct event_row *r)
{
    bool ended = r->state == EVENT_DONE_ROW || r->state == EVENT_DEAD_ROW;
    int state = r->state > 0 && r->state < STATES ? r->state : EVENT_QUEUED_ROW;
    json_t *o = json_object();
    json_object_set_new(o, "id", id_text(r->id));
    json_object_set_new(o, "function", json_text(r->function));
    set_text(o, "qualifier", r->qualifier);
    json_object_set_new(o, "source", json_text(r->source));
    set_text(o, "source_arn", r->source_arn);
    json_object_set_new(o, "state", json_string(state_names[state]));
    json_object_set_new(o, "attempts", json_integer(r->tries));
    json_object_set_new(o, "request_id", json_text(r->request_id));
    json_object_set_new(o, "synchronous", json_boolean(r->sync));
    set_time(o, "accepted", r->accepted_ms);
    set_time(o, ended ? "ended" : "due", ended ? r->ended_ms : r->due_ms);
    set_duration(o, r->history);
    json_object_set_new(o, "bytes", json_integer((json_int_t)r->bytes));
    json_object_set_new(o, "hops", json_integer(r->hops));
    if (r->replay_of)
        json_object_set_new(o, "replay_of", id_text(r->replay_of));
    set_text(o, "error_type", r->error_type);
    set_text(o, "error", r->error);
    return o;
}

static json_t *tries_json(struct str history)
{
    json_t *list = json_array();
    struct str each;
    uint16_t tag;
    while (rec_next(&history, &tag, &each)) {
        json_t *o = json_object();
        set_time(o, "started", (int64_t)rec_u64(each, TRY_STARTED_MS, 0));
        set_time(o, "ended", (int64_t)rec_u64(each, TRY_ENDED_MS, 0));
        json_object_set_new(o, "duration_ms",
                            json_real((double)rec_u64(each, TRY_DURATION_US, 0) / 1000));
        set_text(o, "error_type", rec_str(each, TRY_ERROR_TYPE));
        json_array_append_new(list, o);
    }
    return list;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static int read_id(struct call *c, uint64_t *id, struct err *err)
{
    struct str s = c->param[0];
    *id = 0;
    for (size_t i = 0; i < s.n && s.n == 16; i++) {
        char ch = s.p[i];
        int v = ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
        if (v < 0)
            return err_set(err, E_NOT_FOUND, "There is no such run");
        *id = *id << 4 | (uint64_t)v;
    }
    return *id ? 0 : err_set(err, E_NOT_FOUND, "There is no such run");
}

/* A time of the query, in ms since 1970; 0 when it is not given. */
static int read_ms(struct call *c, const char *name, int64_t *out, struct err *err)
{
    struct str s = call_query(c, name);
    uint64_t ms = 0;
    if (s.n && (!str_u64(s, &ms) || ms > INT64_MAX))
        return err_set(err, E_INVALID, "'%s' must be a time in milliseconds since 1970", name);
    *out = (int64_t)ms;
    return 0;
}

static int no_function(struct str name, struct err *err)
{
    return err_set(err, E_NOT_FOUND, "Function not found: %.*s", name.n < 200 ? (int)name.n : 200,
                   name.p);
}

static bool is_source(struct str s)
{
    for (size_t i = 0; i < sizeof source_names / sizeof *source_names; i++)
        if (str_is(s, source_names[i]))
            return true;
    return false;
}

static int read_query(struct call *c, struct ledger_query *q, struct err *err)
{
    struct str limit = call_query(c, "limit"), state = call_query(c, "state");
    uint64_t n = 100;
    if (limit.p && (!str_u64(limit, &n) || n < 1 || n > LEDGER_PAGE_MAX))
        return err_set(err, E_INVALID, "'limit' must be a number from 1 to %d", LEDGER_PAGE_MAX);
    q->limit = (size_t)n;
    q->source = call_query(c, "source");
    q->source_arn = call_query(c, "source_arn");
    int rc = read_ms(c, "since", &q->since_ms, err);
    if (rc == 0)
        rc = read_ms(c, "until", &q->until_ms, err);
    if (rc)
        return rc;
    for (int i = 1; i < STATES && state.n; i++)
        if (str_is(state, state_names[i]))
            q->state = i;
    if (state.n && !q->state)
        return err_set(err, E_INVALID, "'state' must be queued, running, waiting, done or dead");
    if (q->source.n && !is_source(q->source))
        return err_set(err, E_INVALID,
                       "'source' must be invoke, url, s3, lambda, events, scheduler or replay");
    return 0;
}

static int read_cursor(struct call *c, struct ledger_cursor *at, struct err *err)
{
    struct str s = call_query(c, "cursor");
    uint64_t v[4];
    for (int i = 0; i < 4 && s.n; i++) {
        struct str part = str_cut(&s, '.');
        if (!str_u64(part, &v[i]) || (i < 3) != (s.n > 0))
            return err_set(err, E_INVALID, "'cursor' is none that was given here");
        if (i == 3)
            *at = (struct ledger_cursor){
                .phase = v[0] > 0, .lane = v[1], .ms = (int64_t)v[2], .id = v[3]};
    }
    return 0;
}

/* The function asked for: by its id, or by name when it is gone but its rows may be there. */
static int read_function(struct call *c, struct store_txn *t, struct ledger_query *q)
{
    struct str policy, name = call_query(c, "function");
    if (!name.n)
        return 0;
    int rc = function_find(t, name, STR(""), &q->function_id, &policy);
    if (rc == E_NOT_FOUND)
        q->function = name;
    return rc == E_NOT_FOUND ? 0 : rc;
}

static void add_row(void *ctx, const struct event_row *r)
{
    json_array_append_new(ctx, row_json(r));
}

static void list(struct call *c, int state)
{
    struct err err = {0};
    struct ledger_query q = {0};
    struct ledger_cursor at = {0};
    char cursor[96];
    json_t *rows = json_array();
    struct store_txn *t = store_read(c->svc->store);
    int rc = read_query(c, &q, &err);
    if (state)
        q.state = state;
    if (rc == 0)
        rc = read_cursor(c, &at, &err);
    if (rc == 0)
        rc = read_function(c, t, &q);
    if (rc == 0)
        ledger_list(t, &q, &at, add_row, rows);
    store_read_end(t);
    if (rc == 0 && q.function.n && !json_array_size(rows) && !at.more && !call_query(c, "cursor").n)
        rc = no_function(q.function, &err);
    if (rc) {
        json_decref(rows);
        call_error(c, rc, &err);
        return;
    }
    snprintf(cursor, sizeof cursor, "%u.%llu.%lld.%llu", at.phase, (unsigned long long)at.lane,
             (long long)at.ms, (unsigned long long)at.id);
    json_t *page = json_object();
    json_object_set_new(page, state == EVENT_DEAD_ROW ? "dead" : "runs", rows);
    json_object_set_new(page, "cursor", at.more ? json_string(cursor) : json_null());
    call_json(c, 200, page);
}

void perilune_run_list(struct call *c)
{
    list(c, 0);
}

void perilune_dead_list(struct call *c)
{
    list(c, EVENT_DEAD_ROW);
}

/* Payload and result are not made into trees: they may be large. */
static void write_run(struct store_txn *t, const struct event_row *r, struct buf *out)
{
    struct str payload = STR("null");
    json_t *o = row_json(r);
    set_text(o, "chain", r->chain);
    json_object_set_new(o, "tries", tries_json(r->history));
    if (r->result_bytes)
        json_object_set_new(o, "result_bytes", json_integer((json_int_t)r->result_bytes));
    if (r->result_bytes > r->result.n)
        json_object_set_new(o, "result_text", json_text(r->result)); /* cut, so no JSON */
    json_write(out, o);
    json_decref(o);
    out->n--;
    if (r->result_bytes && r->result_bytes == r->result.n) {
        buf_lit(out, ",\"result\":");
        buf_add(out, r->result);
    }
    (void)event_row_payload(t, r->id, &payload);
    buf_lit(out, ",\"event\":");
    buf_add(out, payload.n ? payload : STR("null"));
    buf_addc(out, '}');
}

void perilune_run_get(struct call *c)
{
    struct err err = {0};
    struct event_row r;
    struct buf out = BUF_INIT;
    uint64_t id;
    struct store_txn *t = store_read(c->svc->store);
    int rc = read_id(c, &id, &err);
    if (rc == 0 && (rc = event_row_get(t, id, &r)) == E_NOT_FOUND)
        err_set(&err, rc, "There is no such run");
    if (rc == 0)
        write_run(t, &r, &out);
    store_read_end(t);
    if (rc == 0)
        call_bytes(c, 200, "application/json", buf_str(&out));
    else
        call_error(c, rc, &err);
    buf_deinit(&out);
}

/* --- running again -----------------------------------------------------------------------------
 */

struct change { /* in the call's arena */
    struct job job;
    struct work work;
    struct call *call;
    uint64_t id;
    struct str function, qualifier;
    bool valid; /* the body is JSON, or empty */
    struct ledger_replay replay;
    struct ledger_slice slice, after; /* where the one under way begins; where it ends */
    uint64_t kicks[LEDGER_SLICE];
    size_t kick_count, slice_done, slice_skipped;
    uint64_t done, skipped;
    bool full;
};

static struct change *change_new(struct call *c, int (*apply)(struct job *job, struct store_txn *t),
                                 void (*done)(struct job *job, int rc))
{
    struct change *k = arena_zalloc(c->arena, sizeof *k);
    if (!k) {
        call_error(c, E_LIMIT, NULL);
        return NULL;
    }
    k->call = c;
    k->job = (struct job){.apply = apply, .done = done};
    return k;
}

static int may_invoke(struct call *c, struct str function, struct err *err)
{
    struct str arn = arena_printf(c->arena, "arn:aws:lambda:%s:" ACCOUNT_ID ":function:%.*s",
                                  c->svc->region, STR_FMT(function));
    return arn.p ? call_authorise(c, "lambda:InvokeFunction", arn, err) : E_LIMIT;
}

/* The run that the path names, and whether the caller may run its function. */
static int read_run(struct change *k, int wanted_state, struct err *err)
{
    struct call *c = k->call;
    struct event_row r;
    int rc = read_id(c, &k->id, err);
    if (rc)
        return rc;
    struct store_txn *t = store_read(c->svc->store);
    rc = event_row_get(t, k->id, &r);
    if (rc == 0) {
        k->function = arena_dup(c->arena, r.function);
        k->qualifier = arena_dup(c->arena, r.qualifier);
    }
    store_read_end(t);
    if (rc)
        return rc == E_NOT_FOUND ? err_set(err, rc, "There is no such run") : rc;
    if (wanted_state && r.state != wanted_state)
        return err_set(err, E_CONFLICT, "The event is not on the dead list: it is %s",
                       r.state > 0 && r.state < STATES ? state_names[r.state] : "unknown");
    return 0;
}

static int find_function(struct store_txn *t, struct str name, struct str qualifier, uint64_t *id)
{
    struct str policy;
    return function_find(t, name, qualifier, id, &policy);
}

static void fail(struct change *k, int rc)
{
    struct err err = {0};
    if (rc == E_NOT_FOUND)
        err_set(&err, rc, "Function not found: %.*s, or the run is gone", STR_FMT(k->function));
    else if (rc == E_THROTTLED)
        err_set(&err, rc, "The queue is full (--queue-max-rows, --queue-max-bytes).");
    else if (rc == E_CONFLICT)
        err_set(&err, rc, "The event is not on the dead list");
    call_error(k->call, rc, &err);
}

static int replay_apply(struct job *job, struct store_txn *t)
{
    struct change *k = (struct change *)job;
    int rc = find_function(t, k->function, k->qualifier, &k->replay.function_id);
    return rc ? rc : ledger_replay(t, &k->replay);
}

static void replay_done(struct job *job, int rc)
{
    struct change *k = (struct change *)job;
    struct queue *queue = k->call->svc->queue;
    uint64_t function_id = k->replay.function_id;
    if (rc) {
        fail(k, rc);
        return;
    }
    json_t *o = json_object();
    json_object_set_new(o, "id", id_text(k->replay.new_id));
    json_object_set_new(o, "request_id", json_string(k->replay.request_id));
    json_object_set_new(o, "function", json_text(k->function));
    call_json(k->call, k->call->op->status, o);
    queue_kick(queue, function_id);
}

static void scan(struct work *work)
{
    struct change *k = work->data;
    k->valid = k->call->body.n == 0 || jscan_valid(k->call->body);
}

static void scanned(struct change *k)
{
    struct err err = {0};
    if (k->valid) {
        store_submit(k->call->svc->store, &k->job);
        return;
    }
    err_set(&err, E_BAD_JSON,
            "Could not parse request body into json: the event is not valid JSON");
    call_error(k->call, E_BAD_JSON, &err);
}

static void scan_done(struct work *work)
{
    scanned(work->data);
}

void perilune_run_replay(struct call *c)
{
    struct err err = {0};
    struct change *k = change_new(c, replay_apply, replay_done);
    if (!k)
        return;
    int rc = read_run(k, 0, &err);
    if (rc == 0)
        rc = may_invoke(c, k->function, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->replay.id = k->id;
    k->replay.payload = c->body.n ? c->body : (struct str){NULL, 0};
    id_uuid(k->replay.request_id);
    queue_limits(c->svc->queue, &k->replay.max_rows, &k->replay.max_bytes);
    k->work.data = k;
    if (c->body.n <= SCAN_ON_LOOP) {
        scan(&k->work);
        scanned(k);
    } else {
        work_start(c->svc->loop, &k->work, scan, scan_done);
    }
}

/* --- the dead ----------------------------------------------------------------------------------
 */

static int redrive_one(struct change *k, struct store_txn *t, uint64_t id)
{
    struct event_row r;
    uint64_t function_id, max_rows, max_bytes;
    int rc = event_row_get(t, id, &r);
    queue_limits(k->call->svc->queue, &max_rows, &max_bytes);
    if (rc == 0)
        rc = find_function(t, r.function, r.qualifier, &function_id);
    if (rc == 0)
        rc = event_row_redrive(t, id, function_id, max_rows, max_bytes);
    if (rc == 0)
        k->kicks[k->kick_count++] = function_id;
    return rc;
}

static int redrive_apply(struct job *job, struct store_txn *t)
{
    struct change *k = (struct change *)job;
    k->kick_count = 0;
    return redrive_one(k, t, k->id);
}

static void redrive_done(struct job *job, int rc)
{
    struct change *k = (struct change *)job;
    struct queue *queue = k->call->svc->queue;
    uint64_t function_id = k->kicks[0];
    if (rc) {
        fail(k, rc);
        return;
    }
    call_json(k->call, k->call->op->status, json_pack("{s:i, s:i}", "redriven", 1, "skipped", 0));
    queue_kick(queue, function_id);
}

void perilune_dead_redrive(struct call *c)
{
    struct err err = {0};
    struct change *k = change_new(c, redrive_apply, redrive_done);
    if (!k)
        return;
    int rc = read_run(k, EVENT_DEAD_ROW, &err);
    if (rc == 0)
        rc = may_invoke(c, k->function, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        store_submit(c->svc->store, &k->job);
}

static int drop_apply(struct job *job, struct store_txn *t)
{
    struct event_row r;
    uint64_t id = ((struct change *)job)->id;
    int rc = event_row_get(t, id, &r);
    if (rc == 0 && r.state != EVENT_DEAD_ROW)
        rc = E_CONFLICT;
    return rc ? rc : event_row_drop(t, id);
}

static void drop_done(struct job *job, int rc)
{
    struct change *k = (struct change *)job;
    if (rc)
        fail(k, rc);
    else
        call_json(k->call, k->call->op->status, json_pack("{s:i}", "dropped", 1));
}

void perilune_dead_drop(struct call *c)
{
    struct err err = {0};
    struct change *k = change_new(c, drop_apply, drop_done);
    if (!k)
        return;
    k->job.frees_space = true;
    int rc = read_run(k, EVENT_DEAD_ROW, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        store_submit(c->svc->store, &k->job);
}

/* --- many of them: slice after slice ------------------------------------------------------------
 */

static int read_which(struct call *c, struct change *k, struct err *err)
{
    struct str function = call_query(c, "function"), all = call_query(c, "all");
    if (!function.n == !str_is(all, "1"))
        return err_set(err, E_INVALID,
                       "Give 'function', or 'all=1' for the events of all functions");
    k->slice.function = function.n ? function : (struct str){NULL, 0};
    return 0;
}

/* One slice; when it is applied a second time it begins where it began. */
static int slice_apply(struct change *k, struct store_txn *t,
                       int (*one)(struct change *k, struct store_txn *t, uint64_t id))
{
    uint64_t ids[LEDGER_SLICE];
    struct ledger_slice at = k->slice;
    size_t n = ledger_dead(t, &at, ids);
    k->kick_count = k->slice_done = k->slice_skipped = 0;
    k->full = false;
    for (size_t i = 0; i < n && !k->full; i++) {
        int rc = one(k, t, ids[i]);
        if (rc == 0)
            k->slice_done++;
        else if (rc == E_NOT_FOUND || rc == E_CONFLICT)
            k->slice_skipped++;
        else if (rc == E_THROTTLED)
            k->full = true;
        else
            return rc;
    }
    k->after = at;
    return 0;
}

/* True when another slice was submitted. */
static bool slice_next(struct change *k, int rc)
{
    if (rc)
        return false;
    k->done += k->slice_done;
    k->skipped += k->slice_skipped;
    k->slice = k->after;
    for (size_t i = 0; i < k->kick_count; i++)
        queue_kick(k->call->svc->queue, k->kicks[i]);
    if (!k->slice.more || k->full)
        return false;
    store_submit(k->call->svc->store, &k->job);
    return true;
}

static int redrive_all_apply(struct job *job, struct store_txn *t)
{
    return slice_apply((struct change *)job, t, redrive_one);
}

/* Ends the call when there was nothing to do because there is no such function. A function that is
 * gone may have left events. */
static bool found_nobody(struct change *k)
{
    struct err err = {0};
    uint64_t id;
    struct str name = k->slice.function;
    if (!name.p || k->done || k->skipped || k->full)
        return false;
    struct store_txn *t = store_read(k->call->svc->store);
    int rc = find_function(t, name, STR(""), &id);
    store_read_end(t);
    if (rc == E_NOT_FOUND)
        call_error(k->call, no_function(name, &err), &err);
    return rc == E_NOT_FOUND;
}

static void redrive_all_done(struct job *job, int rc)
{
    struct change *k = (struct change *)job;
    if (slice_next(k, rc))
        return;
    if (rc || (k->full && k->done == 0))
        fail(k, rc ? rc : E_THROTTLED);
    else if (!found_nobody(k))
        call_json(k->call, k->call->op->status,
                  json_pack("{s:I, s:I}", "redriven", (json_int_t)k->done, "skipped",
                            (json_int_t)k->skipped));
}

void perilune_dead_redrive_all(struct call *c)
{
    struct err err = {0};
    struct change *k = change_new(c, redrive_all_apply, redrive_all_done);
    if (!k)
        return;
    int rc = read_which(c, k, &err);
    if (rc == 0)
        rc = may_invoke(c, k->slice.function.p ? k->slice.function : STR("*"), &err);
    if (rc)
        call_error(c, rc, &err);
    else
        store_submit(c->svc->store, &k->job);
}

static int drop_one(struct change *k, struct store_txn *t, uint64_t id)
{
    (void)k;
    return event_row_drop(t, id);
}

static int drop_all_apply(struct job *job, struct store_txn *t)
{
    return slice_apply((struct change *)job, t, drop_one);
}

static void drop_all_done(struct job *job, int rc)
{
    struct change *k = (struct change *)job;
    if (slice_next(k, rc))
        return;
    if (rc)
        fail(k, rc);
    else if (!found_nobody(k))
        call_json(k->call, k->call->op->status, json_pack("{s:I}", "dropped", (json_int_t)k->done));
}

void perilune_dead_drop_all(struct call *c)
{
    struct err err = {0};
    struct change *k = change_new(c, drop_all_apply, drop_all_done);
    if (!k)
        return;
    k->job.frees_space = true;
    int rc = read_which(c, k, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        store_submit(c->svc->store, &k->job);
}
