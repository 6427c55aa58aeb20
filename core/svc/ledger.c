/* ledger: four ways through the rows.
 *
 * All functions: T_EVENTS backwards, since ids grow with time. The dead: their part of T_DUE
 * backwards. What is to run: the rest of T_DUE, function after function. One function: what is to run from T_DUE, then what has ended from T_RUNS, newest first
 * over its classes. None sorts, none holds more than one row. */
#include "svc/ledger.h"

enum { LOOKS_MAX = 2000 }; /* rows looked at for one page */

struct page {
    struct store_txn *t;
    const struct ledger_query *q;
    struct ledger_cursor *c;
    void (*each)(void *ctx, const struct event_row *r);
    void *ctx;
    size_t count, looks;
};

/* Hands the row up when it is wanted; false when the page is at its end. */
static bool look(struct page *p, uint64_t id)
{
    struct event_row r;
    const struct ledger_query *q = p->q;
    p->looks++;
    if (event_row_get(p->t, id, &r) == 0 && (!q->state || r.state == q->state) &&
        (!q->function_id || r.function_id == q->function_id) &&
        (!q->function.n || str_eq(r.function, q->function)) &&
        (!q->source.n || str_eq(r.source, q->source)) &&
        (!q->source_arn.n || str_eq(r.source_arn, q->source_arn)) && r.accepted_ms >= q->since_ms &&
        (!q->until_ms || r.accepted_ms < q->until_ms)) {
        p->each(p->ctx, &r);
        p->count++;
    }
    p->c->more = p->count >= q->limit || p->looks >= LOOKS_MAX;
    return !p->c->more;
}

static void walk_all(struct page *p)
{
    struct store_cursor *c = store_cursor(p->t, T_EVENTS);
    struct key k = {0};
    struct str at, v;
    uint64_t id = p->c->id ? p->c->id : UINT64_MAX;
    p->c->more = false;
    do {
        k.n = 0;
        if (!store_seek_before(c, key_str(key_u64(&k, id)), &at, &v) || !key_take_u64(&at, &id))
            break;
        p->c->id = id;
    } while (look(p, id));
    store_cursor_close(c);
}

static void walk_pending(struct page *p)
{
    struct store_cursor *c = store_cursor(p->t, T_DUE);
    struct key k = {0};
    struct str at, v;
    uint64_t lane, ms, id;
    p->c->more = false;
    key_u64(key_u64(key_u64(&k, p->c->lane), (uint64_t)p->c->ms), p->c->id ? p->c->id + 1 : 0);
    for (bool more = store_seek(c, key_str(&k), &at, &v); more; more = store_next(c, &at, &v)) {
        if (!key_take_u64(&at, &lane) || lane == EVENT_DEAD || !key_take_u64(&at, &ms) ||
            !key_take_u64(&at, &id))
            break;
        p->c->lane = lane;
        p->c->ms = (int64_t)ms;
        p->c->id = id;
        if (!look(p, id))
            break;
    }
    store_cursor_close(c);
}

static void walk_dead(struct page *p)
{
    struct store_cursor *c = store_cursor(p->t, T_DUE);
    struct key k = {0};
    struct str at, v;
    uint64_t lane, ms = p->c->id ? (uint64_t)p->c->ms : UINT64_MAX, id = p->c->id;
    p->c->more = false;
    do {
        k.n = 0;
        key_u64(key_u64(key_u64(&k, EVENT_DEAD), ms), id);
        if (!store_seek_before(c, key_str(&k), &at, &v) || !key_take_u64(&at, &lane) ||
            lane != EVENT_DEAD || !key_take_u64(&at, &ms) || !key_take_u64(&at, &id))
            break;
        p->c->ms = (int64_t)ms;
        p->c->id = id;
    } while (look(p, id));
    store_cursor_close(c);
}

/* False when the page has ended in this part. */
static bool walk_due(struct page *p)
{
    struct store_cursor *c = store_cursor(p->t, T_DUE);
    struct key k = {0};
    struct str at, v;
    uint64_t lane, ms, id;
    bool room = true;
    key_u64(key_u64(key_u64(&k, p->q->function_id), (uint64_t)p->c->ms),
            p->c->id ? p->c->id + 1 : 0);
    for (bool more = store_seek(c, key_str(&k), &at, &v); more && room;
         more = store_next(c, &at, &v)) {
        if (!key_take_u64(&at, &lane) || lane != p->q->function_id || !key_take_u64(&at, &ms) ||
            !key_take_u64(&at, &id))
            break;
        p->c->ms = (int64_t)ms;
        p->c->id = id;
        room = look(p, id);
    }
    store_cursor_close(c);
    return room;
}

static bool class_wanted(const struct ledger_query *q, enum run_class class)
{
    return !q->state || (q->state == EVENT_DEAD_ROW) == (class == RUN_DEAD);
}

/* The newest of one class that ended before (ms, id). */
static bool newest(struct store_cursor *c, uint64_t function_id, enum run_class class, int64_t ms,
                   uint64_t id, int64_t *found_ms, uint64_t *found_id)
{
    struct key k;
    struct str at, v;
    uint64_t f, m;
    uint32_t cl;
    return store_seek_before(c, event_run_key(&k, function_id, class, ms, id), &at, &v) &&
           key_take_u64(&at, &f) && f == function_id && key_take_u32(&at, &cl) &&
           cl == (uint32_t) class && key_take_u64(&at, &m) && key_take_u64(&at, found_id) &&
           ((*found_ms = (int64_t)m), true);
}

static void walk_ended(struct page *p)
{
    struct store_cursor *c = store_cursor(p->t, T_RUNS);
    int64_t ms = p->c->id ? p->c->ms : INT64_MAX;
    uint64_t id = p->c->id;
    p->c->more = false;
    for (bool room = true; room;) {
        int64_t best_ms = -1, found_ms = 0;
        uint64_t best_id = 0, found_id = 0;
        for (enum run_class class = RUN_DONE; class < RUN_CLASS_END; class ++)
            if (class_wanted(p->q, class) &&
                newest(c, p->q->function_id, class, ms, id, &found_ms, &found_id) &&
                (found_ms > best_ms || (found_ms == best_ms && found_id > best_id))) {
                best_ms = found_ms;
                best_id = found_id;
            }
        if (best_ms < 0)
            break;
        p->c->ms = ms = best_ms;
        p->c->id = id = best_id;
        room = look(p, best_id);
    }
    store_cursor_close(c);
}

static void walk_function(struct page *p)
{
    bool ended = p->q->state == EVENT_DONE_ROW || p->q->state == EVENT_DEAD_ROW;
    p->c->more = false;
    if (p->c->phase == 0 && !ended && !walk_due(p))
        return;
    if (p->c->phase == 0)
        *p->c = (struct ledger_cursor){.phase = 1};
    if (ended || !p->q->state)
        walk_ended(p);
}

void ledger_list(struct store_txn *t, const struct ledger_query *q, struct ledger_cursor *c,
                 void (*each)(void *ctx, const struct event_row *r), void *ctx)
{
    struct page p = {.t = t, .q = q, .c = c, .each = each, .ctx = ctx};
    if (q->function_id)
        walk_function(&p);
    else if (q->state == EVENT_DEAD_ROW)
        walk_dead(&p);
    else if (q->state && q->state != EVENT_DONE_ROW)
        walk_pending(&p);
    else
        walk_all(&p);
}

/* --- changes -----------------------------------------------------------------------------------
 */

int ledger_replay(struct store_txn *t, struct ledger_replay *p)
{
    struct event_row r;
    struct str payload = p->payload;
    struct buf b = BUF_INIT;
    int rc = event_row_get(t, p->id, &r);
    if (rc == 0 && !payload.p)
        rc = event_row_payload(t, p->id, &payload);
    if (rc)
        return rc;
    /* what is borrowed ends with the first write */
    struct str *const texts[] = {&payload, &r.function, &r.qualifier, &r.client_context};
    for (size_t i = 0; i < 4; i++)
        buf_add(&b, *texts[i]);
    const char *at = b.p;
    for (size_t i = 0; i < 4 && b.rc == 0 && b.n; i++) {
        texts[i]->p = at;
        at += texts[i]->n;
    }
    struct queue_event e = {
        .function_id = p->function_id,
        .function_name = r.function,
        .qualifier = r.qualifier,
        .payload = payload,
        .client_context = r.client_context,
        .id = p->new_id = store_new_id(store_of(t)),
        .source = "replay",
        .source_arn = STR(""),
        .replay_of = p->id,
    };
    memcpy(e.request_id, p->request_id, sizeof e.request_id);
    rc = b.rc ? E_LIMIT : event_row_add(t, p->max_rows, p->max_bytes, &e);
    buf_deinit(&b);
    return rc;
}

size_t ledger_dead(struct store_txn *t, struct ledger_slice *s, uint64_t out[LEDGER_SLICE])
{
    struct store_cursor *c = store_cursor(t, T_DUE);
    struct key k = {0};
    struct str at, v;
    struct event_row r;
    uint64_t lane, ms, id;
    size_t n = 0, looks = 0;
    s->more = false;
    key_u64(key_u64(key_u64(&k, EVENT_DEAD), (uint64_t)s->after_ms), s->after_id + 1);
    for (bool more = store_seek(c, key_str(&k), &at, &v); more; more = store_next(c, &at, &v)) {
        if (!key_take_u64(&at, &lane) || !key_take_u64(&at, &ms) || !key_take_u64(&at, &id))
            break;
        if (n == LEDGER_SLICE || looks++ == LOOKS_MAX) {
            s->more = true;
            break;
        }
        s->after_ms = (int64_t)ms;
        s->after_id = id;
        if (event_row_get(t, id, &r) == 0 && (!s->function.p || str_eq(r.function, s->function)))
            out[n++] = id;
    }
    store_cursor_close(c);
    return n;
}

int ledger_expire(struct store_txn *t, int64_t before_ms, size_t max, uint64_t *next)
{
    struct key k;
    struct str at, v;
    uint64_t function_id = *next, owner, ms, id;
    uint32_t class = 0, kind;
    int rc = 0;
    for (size_t n = 0; n < max && rc == 0; n++) {
        struct store_cursor *c = store_cursor(t, T_RUNS);
        k.n = 0;
        key_u32(key_u64(&k, function_id), class);
        bool any = store_seek(c, key_str(&k), &at, &v) && key_take_u64(&at, &function_id) &&
                   key_take_u32(&at, &class);
        bool row = any && (at.n || (store_next(c, &at, &v) && key_take_u64(&at, &owner) &&
                                    key_take_u32(&at, &kind) && owner == function_id &&
                                    kind == class)); /* its count comes before */
        bool old = row && class != RUN_DEAD && key_take_u64(&at, &ms) && key_take_u64(&at, &id) &&
                   (int64_t)ms < before_ms;
        store_cursor_close(c);
        *next = any ? function_id : 0;
        if (!any)
            break;
        if (!old) {
            class ++; /* the next class, or with it the next function */
            continue;
        }
        rc = event_row_drop(t, id);
        if (rc == E_NOT_FOUND || rc == E_CONFLICT)
            rc = store_del(t, T_RUNS, event_run_key(&k, function_id, class, (int64_t)ms, id));
    }
    return rc;
}
