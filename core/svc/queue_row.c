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

/* One field of the record; one that is not known is of a later version. */
static void read_field(struct event_row *r, uint16_t tag, struct str v)
{
    uint64_t n = rec_int(v, 0);
    switch (tag) {
    case EV_FUNCTION_ID:
        r->function_id = n;
        break;
    case EV_FUNCTION:
        r->function = v;
        break;
    case EV_QUALIFIER:
        r->qualifier = v;
        break;
    case EV_SOURCE:
        r->source = v;
        break;
    case EV_SOURCE_ARN:
        r->source_arn = v;
        break;
    case EV_REQUEST_ID:
        r->request_id = v;
        break;
    case EV_CLIENT_CONTEXT:
        r->client_context = v;
        break;
    case EV_HOPS:
        r->hops = (uint32_t)n;
        break;
    case EV_STATE:
        r->state = (int)n;
        break;
    case EV_TRIES:
        r->tries = (uint32_t)n;
        break;
    case EV_CRASHES:
        r->crashes = (uint32_t)n;
        break;
    case EV_DEFERS:
        r->defers = (uint32_t)n;
        break;
    case EV_ACCEPTED_MS:
        r->accepted_ms = (int64_t)n;
        break;
    case EV_DUE_MS:
        r->due_ms = (int64_t)n;
        break;
    case EV_BOOT:
        r->boot = n;
        break;
    case EV_BYTES:
        r->bytes = n;
        break;
    case EV_ERROR_TYPE:
        r->error_type = v;
        break;
    case EV_ERROR:
        r->error = v;
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
    int rc = b.rc ? E_INTERNAL : store_put(t, T_EVENTS, id_key(&k, r->id), buf_str(&b));
    buf_deinit(&b);
    return rc;
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
        .id = store_new_id(store_of(t)),
        .function_id = e->function_id,
        .bytes = bytes,
        .function = e->function_name,
        .qualifier = e->qualifier,
        .source = str_c(e->source),
        .source_arn = e->source_arn,
        .request_id = str_c(e->request_id),
        .client_context = e->client_context,
        .hops = e->hops,
        .state = EVENT_QUEUED_ROW,
        .accepted_ms = now,
        .due_ms = now + (int64_t)e->delay_ms,
    };
    q.rows++;
    q.bytes += bytes;
    int rc = put_row(t, &r);
    if (rc == 0)
        rc = store_put(t, T_EVENTS, payload_key(&k, r.id), e->payload);
    if (rc == 0)
        rc = store_put(t, T_DUE, due_key(&k, r.function_id, r.due_ms, r.id), STR(""));
    return rc ? rc : put_totals(t, &q);
}

static int del_rows(struct store_txn *t, uint64_t function_id, int64_t due_ms, uint64_t id)
{
    struct key k;
    int rc = store_del(t, T_EVENTS, id_key(&k, id));
    if (rc == 0)
        rc = store_del(t, T_EVENTS, payload_key(&k, id));
    return rc ? rc : store_del(t, T_DUE, due_key(&k, function_id, due_ms, id));
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
            q->dead_rows--;
            q->dead_bytes -= r.bytes;
        }
        rc = del_rows(t, EVENT_DEAD, (int64_t)due, id);
    }
    return rc;
}

/* The record's texts are borrowed from the store and end with its next write, so they are copied
 * before the first one. */
static void copy_texts(struct event_row *r, const struct event_change *c, struct buf *b)
{
    struct str *const texts[] = {&r->function,   &r->qualifier,      &r->source,     &r->source_arn,
                                 &r->request_id, &r->client_context, &r->error_type, &r->error};
    enum { COUNT = sizeof texts / sizeof *texts };
    if (c->error_type.n) {
        r->error_type = c->error_type;
        r->error = c->error;
    }
    if (r->error.n > EVENT_ERROR_MAX)
        r->error.n = EVENT_ERROR_MAX;
    for (int i = 0; i < COUNT; i++)
        buf_add(b, *texts[i]);
    const char *at = b->p;
    for (int i = 0; i < COUNT && b->rc == 0 && b->n; i++) {
        texts[i]->p = at;
        at += texts[i]->n;
    }
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
        r->due_ms = clock_store_ms();
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

int event_row_change(struct store_txn *t, uint64_t id, const struct event_change *c)
{
    struct event_row old, new;
    struct queue_totals q;
    struct buf b = BUF_INIT;
    struct key k;
    int rc = event_row_get(t, id, &old);
    if (rc == E_NOT_FOUND || (rc == 0 && old.state == EVENT_DEAD_ROW))
        return store_del(t, T_DUE, due_key(&k, c->function_id, c->found_ms, id));
    if (rc)
        return rc;
    new = old;
    uint64_t lane = old.function_id;
    copy_texts(&new, c, &b);
    advance(&new, c, store_boot(store_of(t)), &lane);
    queue_totals_get(t, &q);
    account(&q, &old, &new, c->outcome);
    if (c->outcome == EVENT_SUCCEEDED)
        rc = del_rows(t, old.function_id, old.due_ms, id);
    else
        rc = b.rc ? E_INTERNAL : write_change(t, &old, &new, lane);
    if (rc == 0 && c->outcome == EVENT_GIVEN_UP)
        rc = trim_dead(t, c, &q);
    buf_deinit(&b);
    return rc ? rc : put_totals(t, &q);
}
