/* queue_row: encoding of events, and the one place where their rows change.
 *
 * The record is small and rewritten at each change; the payload is written once and never moved.
 * The totals cost one more row in a table that is dirty anyway, and give the limits and the gauges
 * in constant time, at a start too. The dead list is bounded to a quarter of the queue: the oldest
 * go, so that a broken function cannot fill the disk with its failures. */
#include "svc/queue_row.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rec.h"
#include "store/key.h"

enum { ROW_COST = 512 }; /* bytes counted for an event besides its payload */
enum { TRIM = 8 };       /* dead events removed at most for each that is added */

static struct str id_key(struct key *k, uint64_t id)
{
    k->n = 0;
    return key_str(key_u64(k, id));
}

static struct str payload_key(struct key *k, uint64_t id)
{
    k->n = 0;
    return key_str(key_bytes(key_u64(k, id), STR("p")));
}

static struct str due_key(struct key *k, uint64_t function_id, int64_t due_ms, uint64_t id)
{
    k->n = 0;
    return key_str(key_u64(key_u64(key_u64(k, function_id), (uint64_t)due_ms), id));
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* Where the fields of the record go. */
enum field_type { FIELD_NONE, FIELD_TEXT, FIELD_U32, FIELD_U64, FIELD_FLAG };
#define FIELD(type, member)                                                                        \
    {                                                                                              \
        FIELD_##type, offsetof(struct event_row, member)                                           \
    }
static const struct field {
    enum field_type type;
    size_t at;
} fields[] = {
    [EV_FUNCTION_ID] = FIELD(U64, function_id),
    [EV_FUNCTION] = FIELD(TEXT, function),
    [EV_QUALIFIER] = FIELD(TEXT, qualifier),
    [EV_SOURCE] = FIELD(TEXT, source),
    [EV_SOURCE_ARN] = FIELD(TEXT, source_arn),
    [EV_REQUEST_ID] = FIELD(TEXT, request_id),
    [EV_CLIENT_CONTEXT] = FIELD(TEXT, client_context),
    [EV_HOPS] = FIELD(U32, hops),
    [EV_STATE] = FIELD(U32, state),
    [EV_TRIES] = FIELD(U32, tries),
    [EV_CRASHES] = FIELD(U32, crashes),
    [EV_DEFERS] = FIELD(U32, defers),
    [EV_ACCEPTED_MS] = FIELD(U64, accepted_ms),
    [EV_DUE_MS] = FIELD(U64, due_ms),
    [EV_BOOT] = FIELD(U64, boot),
    [EV_BYTES] = FIELD(U64, bytes),
    [EV_ERROR_TYPE] = FIELD(TEXT, error_type),
    [EV_ERROR] = FIELD(TEXT, error),
    [EV_CHAIN] = FIELD(TEXT, chain),
    [EV_HISTORY] = FIELD(TEXT, history),
    [EV_RESULT] = FIELD(TEXT, result),
    [EV_RESULT_BYTES] = FIELD(U64, result_bytes),
    [EV_ENDED_MS] = FIELD(U64, ended_ms),
    [EV_REPLAY_OF] = FIELD(U64, replay_of),
    [EV_SYNC] = FIELD(FLAG, sync),
    [EV_MAX_TRIES] = FIELD(U32, max_tries),
    [EV_MAX_AGE_MS] = FIELD(U64, max_age_ms),
};
#undef FIELD

/* One field of the record; one that is not known is of a later version. */
static void read_field(struct event_row *r, uint16_t tag, struct str v)
{
    const struct field none = {0}, *f = tag < sizeof fields / sizeof *fields ? &fields[tag] : &none;
    void *to = (char *)r + f->at;
    switch (f->type) {
    case FIELD_NONE:
        break;
    case FIELD_TEXT:
        *(struct str *)to = v;
        break;
    case FIELD_U32: /* also of an int … */
        *(uint32_t *)to = (uint32_t)rec_int(v, 0);
        break;
    case FIELD_U64: /* … and of an int64_t */
        *(uint64_t *)to = rec_int(v, 0);
        break;
    case FIELD_FLAG:
        *(bool *)to = rec_int(v, 0) == 1;
        break;
    }
}

int event_row_get(struct store_txn *t, uint64_t id, struct event_row *out)
{
    struct key k;
    struct str rec, v;
    uint16_t tag;
    int rc = store_get(t, T_EVENTS, id_key(&k, id), &rec);
    *out = (struct event_row){.id = id};
    while (rc == 0 && rec_next(&rec, &tag, &v))
        read_field(out, tag, v);
    return rc;
}

int event_row_payload(struct store_txn *t, uint64_t id, struct str *out)
{
    struct key k;
    return store_get(t, T_EVENTS, payload_key(&k, id), out);
}

void queue_totals_get(struct store_txn *t, struct queue_totals *out)
{
    struct str v;
    *out = (struct queue_totals){0};
    if (store_get(t, T_META, STR("queue"), &v) == 0)
        (void)(key_take_u64(&v, &out->rows) && key_take_u64(&v, &out->bytes) &&
               key_take_u64(&v, &out->waiting) && key_take_u64(&v, &out->dead_rows) &&
               key_take_u64(&v, &out->dead_bytes));
}

/* --- writing -----------------------------------------------------------------------------------
 */

static int put_totals(struct store_txn *t, const struct queue_totals *q)
{
    struct key k = {0};
    key_u64(key_u64(key_u64(&k, q->rows), q->bytes), q->waiting);
    return store_put(t, T_META, STR("queue"),
                     key_str(key_u64(key_u64(&k, q->dead_rows), q->dead_bytes)));
}

static int put_row(struct store_txn *t, const struct event_row *r)
{
    struct buf b = BUF_INIT;
    struct key k;
    rec_put_u64(&b, EV_FUNCTION_ID, r->function_id);
    rec_put_str(&b, EV_FUNCTION, r->function);
    rec_put_str(&b, EV_QUALIFIER, r->qualifier);
    rec_put_str(&b, EV_SOURCE, r->source);
    rec_put_str(&b, EV_SOURCE_ARN, r->source_arn);
    rec_put_str(&b, EV_REQUEST_ID, r->request_id);
    if (r->client_context.n)
        rec_put_str(&b, EV_CLIENT_CONTEXT, r->client_context);
    rec_put_u64(&b, EV_HOPS, r->hops);
    rec_put_u64(&b, EV_STATE, (uint64_t)r->state);
    rec_put_u64(&b, EV_TRIES, r->tries);
    rec_put_u64(&b, EV_CRASHES, r->crashes);
    rec_put_u64(&b, EV_DEFERS, r->defers);
    rec_put_u64(&b, EV_ACCEPTED_MS, (uint64_t)r->accepted_ms);
    rec_put_u64(&b, EV_DUE_MS, (uint64_t)r->due_ms);
    rec_put_u64(&b, EV_BOOT, r->boot);
    rec_put_u64(&b, EV_BYTES, r->bytes);
    if (r->error_type.n)
        rec_put_str(&b, EV_ERROR_TYPE, r->error_type);
    if (r->error.n)
        rec_put_str(&b, EV_ERROR, r->error);
    if (r->chain.n)
        rec_put_str(&b, EV_CHAIN, r->chain);
    if (r->history.n)
        rec_put_str(&b, EV_HISTORY, r->history);
    if (r->result_bytes) {
        rec_put_str(&b, EV_RESULT, r->result);
        rec_put_u64(&b, EV_RESULT_BYTES, r->result_bytes);
    }
    if (r->ended_ms)
        rec_put_u64(&b, EV_ENDED_MS, (uint64_t)r->ended_ms);
    if (r->replay_of)
        rec_put_u64(&b, EV_REPLAY_OF, r->replay_of);
    if (r->sync)
        rec_put_u64(&b, EV_SYNC, 1);
    if (r->max_tries)
        rec_put_u64(&b, EV_MAX_TRIES, r->max_tries);
    if (r->max_age_ms)
        rec_put_u64(&b, EV_MAX_AGE_MS, (uint64_t)r->max_age_ms);
    int rc = b.rc ? E_INTERNAL : store_put(t, T_EVENTS, id_key(&k, r->id), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

/* What led to it, its bucket included. */
static void write_chain(struct buf *b, const struct queue_event *e)
{
    lineage_write(b, &e->cause);
    if (b->n && str_starts(e->source_arn, STR("arn:aws:s3:::"))) {
        buf_lit(b, " > s3://");
        buf_add(b, str_from(e->source_arn, 13));
    }
}

int event_row_add(struct store_txn *t, uint64_t max_rows, uint64_t max_bytes,
                  const struct queue_event *e)
{
    struct queue_totals q;
    struct key k;
    int64_t now = clock_store_ms();
    uint64_t bytes = e->payload.n + ROW_COST;
    queue_totals_get(t, &q);
    if (e->payload.n > EVENT_PAYLOAD_MAX)
        return E_LIMIT;
    if (q.rows >= max_rows || bytes > max_bytes || q.bytes > max_bytes - bytes)
        return E_THROTTLED;
    struct event_row r = {
        .id = e->id ? e->id : store_new_id(store_of(t)),
        .function_id = e->function_id,
        .bytes = bytes,
        .function = e->function_name,
        .qualifier = e->qualifier,
        .source = str_c(e->source),
        .source_arn = e->source_arn,
        .request_id = str_c(e->request_id),
        .client_context = e->client_context,
        .hops = e->cause.hops,
        .replay_of = e->replay_of,
        .state = EVENT_QUEUED_ROW,
        .accepted_ms = now,
        .due_ms = now + (int64_t)e->delay_ms,
        .max_tries = e->max_tries,
        .max_age_ms = e->max_age_ms,
    };
    struct buf chain = BUF_INIT;
    write_chain(&chain, e);
    r.chain = buf_str(&chain);
    q.rows++;
    q.bytes += bytes;
    int rc = chain.rc ? E_INTERNAL : put_row(t, &r);
    buf_deinit(&chain);
    if (rc == 0)
        rc = store_put(t, T_EVENTS, payload_key(&k, r.id), e->payload);
    if (rc == 0)
        rc = store_put(t, T_DUE, due_key(&k, r.function_id, r.due_ms, r.id), STR(""));
    return rc ? rc : put_totals(t, &q);
}

static int del_event(struct store_txn *t, uint64_t id)
{
    struct key k;
    int rc = store_del(t, T_EVENTS, id_key(&k, id));
    return rc ? rc : store_del(t, T_EVENTS, payload_key(&k, id));
}

/* --- what has ended ------------------------------------------------------------------------------
 */

static enum run_class class_of(const struct event_row *r)
{
    if (r->state == EVENT_DEAD_ROW)
        return RUN_DEAD;
    if (!r->sync)
        return RUN_DONE;
    return r->error_type.n ? RUN_FAILED : RUN_SAMPLE;
}

struct str event_run_key(struct key *k, uint64_t function_id, enum run_class class,
                         int64_t ended_ms, uint64_t id)
{
    k->n = 0;
    key_u32(key_u64(k, function_id), (uint32_t) class);
    return key_str(key_u64(key_u64(k, (uint64_t)ended_ms), id));
}

static struct str count_key(struct key *k, uint64_t function_id, enum run_class class)
{
    k->n = 0;
    return key_str(key_u32(key_u64(k, function_id), (uint32_t) class));
}

/* Adds to a function's count of a class: rows and bytes as they are then. */
static int count_runs(struct store_txn *t, const struct event_row *r, int sign, uint64_t *rows,
                      uint64_t *bytes)
{
    struct key k, v = {0};
    struct str old;
    *rows = *bytes = 0;
    if (store_get(t, T_RUNS, count_key(&k, r->function_id, class_of(r)), &old) == 0)
        (void)(key_take_u64(&old, rows) && key_take_u64(&old, bytes));
    if (sign > 0) {
        *rows += 1;
        *bytes += r->bytes;
    } else {
        *rows -= *rows > 0;
        *bytes -= *bytes < r->bytes ? *bytes : r->bytes;
    }
    key_u64(key_u64(&v, *rows), *bytes);
    return *rows ? store_put(t, T_RUNS, key_str(&k), key_str(&v))
                 : store_del(t, T_RUNS, key_str(&k));
}

static int unindex(struct store_txn *t, const struct event_row *r)
{
    struct key k;
    struct str v;
    uint64_t rows, bytes;
    if (store_get(t, T_RUNS, event_run_key(&k, r->function_id, class_of(r), r->ended_ms, r->id),
                  &v) != 0)
        return 0; /* of a server that kept no index */
    int rc = store_del(t, T_RUNS, key_str(&k));
    return rc ? rc : count_runs(t, r, -1, &rows, &bytes);
}

/* An ended event's rows, all of them. The totals are the caller's business. */
static int del_ended(struct store_txn *t, const struct event_row *r)
{
    struct key k;
    const struct event_row gone = *r; /* its strings are not looked at after the first write */
    int rc = unindex(t, &gone);
    if (rc == 0 && gone.state == EVENT_DEAD_ROW)
        rc = store_del(t, T_DUE, due_key(&k, EVENT_DEAD, gone.due_ms, gone.id));
    return rc ? rc : del_event(t, gone.id);
}

static void count_dead_out(struct queue_totals *q, const struct event_row *r)
{
    if (r->state != EVENT_DEAD_ROW)
        return;
    q->dead_rows -= q->dead_rows > 0;
    q->dead_bytes -= q->dead_bytes < r->bytes ? q->dead_bytes : r->bytes;
}

/* Puts an ended event into the index; the oldest of its kind go when there are more than
 * keep_rows or their bytes are too many. q: the totals, from which dead ones that go are taken; NULL
 * where r, and so those that go with it, are not dead. */
static int index_run(struct store_txn *t, const struct event_row *r, uint64_t keep_rows,
                     struct queue_totals *q)
{
    struct key k;
    struct str found, v;
    uint64_t rows, bytes;
    ASSERT(q || class_of(r) != RUN_DEAD);
    int rc = store_put(t, T_RUNS,
                       event_run_key(&k, r->function_id, class_of(r), r->ended_ms, r->id), STR(""));
    if (rc == 0)
        rc = count_runs(t, r, 1, &rows, &bytes);
    for (int i = 0; i < TRIM && rc == 0 && (rows > keep_rows || bytes > RUN_BYTES_MAX); i++) {
        uint64_t function_id, ended_ms, id;
        uint32_t class;
        struct event_row old;
        struct store_cursor *c = store_cursor(t, T_RUNS);
        bool any =
            store_seek(c, event_run_key(&k, r->function_id, class_of(r), 0, 0), &found, &v) &&
            key_take_u64(&found, &function_id) && key_take_u32(&found, &class) &&
            key_take_u64(&found, &ended_ms) && key_take_u64(&found, &id) &&
            function_id == r->function_id && class == (uint32_t)class_of(r);
        store_cursor_close(c);
        if (!any || id == r->id)
            break;
        if (event_row_get(t, id, &old) == 0) {
            rows--;
            bytes -= bytes < old.bytes ? bytes : old.bytes;
            count_dead_out(q, &old);
            rc = del_ended(t, &old);
        } else {
            rc = store_del(t, T_RUNS,
                           event_run_key(&k, function_id, class_of(r), (int64_t)ended_ms, id));
        }
    }
    return rc;
}

/* Removes the oldest dead events while there are too many. */
static int trim_dead(struct store_txn *t, const struct event_change *c, struct queue_totals *q)
{
    struct str k, v;
    int rc = 0;
    for (int i = 0; i < TRIM && rc == 0; i++) {
        if (q->dead_rows <= c->max_dead_rows && q->dead_bytes <= c->max_dead_bytes)
            break;
        uint64_t dead = 0, due = 0, id = 0;
        struct key from = {0};
        struct event_row r;
        struct store_cursor *cur = store_cursor(t, T_DUE);
        bool any = store_seek(cur, key_str(key_u64(&from, EVENT_DEAD)), &k, &v) &&
                   key_take_u64(&k, &dead) && key_take_u64(&k, &due) && key_take_u64(&k, &id);
        store_cursor_close(cur);
        if (!any)
            break;
        if (event_row_get(t, id, &r) == 0) {
            count_dead_out(q, &r);
            rc = del_ended(t, &r);
        } else {
            struct key gone;
            rc = store_del(t, T_DUE, due_key(&gone, EVENT_DEAD, (int64_t)due, id));
        }
    }
    return rc;
}

int event_row_drop(struct store_txn *t, uint64_t id)
{
    struct event_row r;
    struct queue_totals q;
    int rc = event_row_get(t, id, &r);
    if (rc == 0 && r.state != EVENT_DEAD_ROW && r.state != EVENT_DONE_ROW)
        rc = E_CONFLICT;
    if (rc)
        return rc;
    queue_totals_get(t, &q);
    count_dead_out(&q, &r);
    rc = del_ended(t, &r);
    return rc ? rc : put_totals(t, &q);
}

int event_row_record(struct store_txn *t, const struct event_row *r, struct str payload,
                     uint64_t keep_rows)
{
    struct key k;
    int rc = put_row(t, r);
    if (rc == 0)
        rc = store_put(t, T_EVENTS, payload_key(&k, r->id), payload);
    return rc ? rc : index_run(t, r, keep_rows, NULL); /* none of them is dead */
}

/* --- changes -------------------------------------------------------------------------------------
 */

/* The tries so far and the one that has ended, in *b; the oldest make room. */
static void add_try(struct buf *b, struct str history, const struct event_change *c)
{
    struct buf one = BUF_INIT;
    struct str rest = history, each;
    uint16_t tag;
    size_t mark = rec_begin(&one, TRY_EACH);
    rec_put_u64(&one, TRY_STARTED_MS, (uint64_t)c->started_ms);
    rec_put_u64(&one, TRY_ENDED_MS, (uint64_t)c->ended_ms);
    rec_put_u64(&one, TRY_DURATION_US, c->duration_us);
    if (c->outcome != EVENT_SUCCEEDED)
        rec_put_str(&one, TRY_ERROR_TYPE,
                    str_of(c->try_type.p, c->try_type.n < 64 ? c->try_type.n : 64));
    rec_end(&one, mark);
    while (rest.n + one.n > EVENT_HISTORY_MAX && rec_next(&rest, &tag, &each))
        ;
    buf_add(b, rest);
    buf_add(b, buf_str(&one));
    buf_deinit(&one);
}

/* The record's texts are borrowed from the store and end with its next write, so they are copied
 * before the first one. */
static void copy_texts(struct event_row *r, const struct event_change *c, struct buf *b)
{
    struct str *const texts[] = {&r->function,   &r->qualifier,      &r->source,     &r->source_arn,
                                 &r->request_id, &r->client_context, &r->error_type, &r->error,
                                 &r->chain,      &r->history,        &r->result};
    enum { COUNT = sizeof texts / sizeof *texts };
    struct buf history = BUF_INIT;
    if (c->error_type.n) {
        r->error_type = c->error_type;
        r->error = c->error;
    }
    if (r->error.n > EVENT_ERROR_MAX)
        r->error.n = EVENT_ERROR_MAX;
    if (c->started_ms) {
        add_try(&history, r->history, c);
        r->history = buf_str(&history);
    }
    if (c->outcome == EVENT_SUCCEEDED) {
        r->error_type = r->error = STR("");
        r->result = c->result;
        r->result_bytes = c->result_bytes;
        if (r->result.n > EVENT_RESULT_MAX)
            r->result.n = EVENT_RESULT_MAX;
    }
    for (int i = 0; i < COUNT; i++)
        buf_add(b, *texts[i]);
    const char *at = b->p;
    for (int i = 0; i < COUNT && b->rc == 0 && b->n; i++) {
        texts[i]->p = at;
        at += texts[i]->n;
    }
    buf_deinit(&history);
}

/* The row as it will be, and in *lane the first part of its key in T_DUE. */
static void advance(struct event_row *r, const struct event_change *c, uint64_t boot,
                    uint64_t *lane)
{
    r->tries = c->tries;
    r->crashes = c->crashes;
    r->defers = c->defers;
    switch (c->outcome) {
    case EVENT_SUCCEEDED:
        r->state = EVENT_DONE_ROW;
        r->ended_ms = clock_store_ms();
        break;
    case EVENT_STARTED:
        r->state = EVENT_RUNNING_ROW;
        r->boot = boot;
        break;
    case EVENT_RELEASED:
        r->state = r->tries ? EVENT_WAITING_ROW : EVENT_QUEUED_ROW;
        break;
    case EVENT_PUT_OFF:
        r->state = EVENT_WAITING_ROW;
        r->due_ms = c->due_ms;
        break;
    case EVENT_GIVEN_UP:
        r->state = EVENT_DEAD_ROW;
        r->due_ms = r->ended_ms = clock_store_ms();
        *lane = EVENT_DEAD;
        break;
    }
}

static void account(struct queue_totals *q, const struct event_row *old,
                    const struct event_row *new, enum event_outcome outcome)
{
    q->waiting -= old->state == EVENT_WAITING_ROW;
    if (outcome == EVENT_SUCCEEDED || outcome == EVENT_GIVEN_UP) {
        q->rows--;
        q->bytes -= old->bytes;
    } else {
        q->waiting += new->state == EVENT_WAITING_ROW;
    }
    if (outcome == EVENT_GIVEN_UP) {
        q->dead_rows++;
        q->dead_bytes += old->bytes;
    }
}

static int write_change(struct store_txn *t, const struct event_row *old,
                        const struct event_row *new, uint64_t lane)
{
    struct key k;
    int rc = 0;
    if (lane != old->function_id || new->due_ms != old->due_ms) {
        rc = store_del(t, T_DUE, due_key(&k, old->function_id, old->due_ms, old->id));
        if (rc == 0)
            rc = store_put(t, T_DUE, due_key(&k, lane, new->due_ms, old->id), STR(""));
    }
    return rc ? rc : put_row(t, new);
}

/* It has run: its record stays as a row of the ledger. */
static int finish(struct store_txn *t, const struct event_row *old, const struct event_row *new,
                  uint64_t keep_rows)
{
    struct key k;
    int rc = store_del(t, T_DUE, due_key(&k, old->function_id, old->due_ms, old->id));
    if (rc == 0 && keep_rows == 0)
        return del_event(t, old->id);
    if (rc == 0)
        rc = put_row(t, new);
    return rc ? rc : index_run(t, new, keep_rows, NULL); /* nor are these */
}

int event_row_change(struct store_txn *t, uint64_t id, const struct event_change *c)
{
    struct event_row old, new;
    struct queue_totals q;
    struct buf b = BUF_INIT;
    struct key k;
    int rc = event_row_get(t, id, &old);
    bool ended = rc == 0 && (old.state == EVENT_DEAD_ROW || old.state == EVENT_DONE_ROW);
    if (rc == E_NOT_FOUND || ended)
        return store_del(t, T_DUE, due_key(&k, c->function_id, c->found_ms, id));
    if (rc)
        return rc;
    new = old;
    uint64_t lane = old.function_id;
    copy_texts(&new, c, &b);
    advance(&new, c, store_boot(store_of(t)), &lane);
    queue_totals_get(t, &q);
    account(&q, &old, &new, c->outcome);
    if (b.rc)
        rc = E_INTERNAL;
    else if (c->outcome == EVENT_SUCCEEDED)
        rc = finish(t, &old, &new, c->keep_rows);
    else
        rc = write_change(t, &old, &new, lane);
    if (rc == 0 && c->outcome == EVENT_GIVEN_UP)
        rc = index_run(t, &new, UINT64_MAX, &q);
    if (rc == 0 && c->outcome == EVENT_GIVEN_UP)
        rc = trim_dead(t, c, &q);
    buf_deinit(&b);
    return rc ? rc : put_totals(t, &q);
}

int event_row_redrive(struct store_txn *t, uint64_t id, uint64_t function_id, uint64_t max_rows,
                      uint64_t max_bytes)
{
    const struct event_change afresh = {0};
    struct event_row old, new;
    struct queue_totals q;
    struct buf b = BUF_INIT;
    struct key k;
    int rc = event_row_get(t, id, &old);
    if (rc == 0 && old.state != EVENT_DEAD_ROW)
        rc = E_CONFLICT;
    if (rc)
        return rc;
    queue_totals_get(t, &q);
    if (q.rows >= max_rows || old.bytes > max_bytes || q.bytes > max_bytes - old.bytes)
        return E_THROTTLED;
    new = old;
    new.chain = STR(""); /* whoever redrives it begins a new lineage */
    copy_texts(&new, &afresh, &b);
    new.function_id = function_id;
    new.state = EVENT_QUEUED_ROW;
    new.tries = new.crashes = new.defers = new.hops = 0;
    new.accepted_ms = new.due_ms = clock_store_ms();
    new.ended_ms = 0;
    q.rows++;
    q.bytes += old.bytes;
    count_dead_out(&q, &old);
    rc = b.rc ? E_INTERNAL : unindex(t, &old);
    if (rc == 0)
        rc = store_del(t, T_DUE, due_key(&k, EVENT_DEAD, old.due_ms, id));
    if (rc == 0)
        rc = store_put(t, T_DUE, due_key(&k, function_id, new.due_ms, id), STR(""));
    if (rc == 0)
        rc = put_row(t, &new);
    buf_deinit(&b);
    return rc ? rc : put_totals(t, &q);
}
