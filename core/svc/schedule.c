/* schedule: rows and the entries that stand for them on the loop.
 *
 * An entry holds the next due time and nothing of the row: when it comes up, the row is read, what is
 * due by now is worked out, and one job writes queue rows and the row's new SCHEDULE_LAST_S, provided
 * that the row is still the one that was read. Only then is the next time computed. So entries can be
 * wrong (a row changed meanwhile) without harm, and a job that is refused is tried again with nothing
 * lost. */
#include "svc/schedule.h"

#include <stdlib.h>

#include "auth/arn.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rec.h"
#include "store/key.h"
#include "svc/queue_row.h"
#include "svc/role.h"

enum {
    LOOK_MS = 1000,    /* at least this often: the wall clock may jump */
    LATE_S = 60,       /* what is older was missed */
    RETRY_S = 1,       /* a full queue, a full disk */
    OVERLAP_LOOK = 256 /* rows of a function that are searched for the last run */
};
#define NEVER INT64_MAX

struct entry {
    struct schedules *home;
    struct key key;
    size_t at;     /* in the heap */
    int64_t due_s; /* NEVER: not in the heap */
    bool busy, again, gone;
};

struct schedules {
    struct schedules_opts o;
    uv_timer_t timer;
    struct entry **all, **heap; /* all: unordered; heap: by due_s, earliest first */
    size_t count, cap, due_count;
    size_t jobs;
    bool started, closed;
};

/* --- rows --------------------------------------------------------------------------------------- */

static struct key key_of(const struct schedule_name *n)
{
    struct key k = {0};
    key_name(key_name(key_name(&k, n->kind), n->group), n->name);
    return k;
}

static bool name_of(struct str key, struct schedule_name *n)
{
    return key_take_name(&key, &n->kind) && key_take_name(&key, &n->group) &&
           key_take_name(&key, &n->name);
}

int schedule_get(struct store_txn *t, const struct schedule_name *n, struct str *rec)
{
    struct key k = key_of(n);
    return store_get(t, T_SCHEDULES, key_str(&k), rec);
}

int schedule_put(struct store_txn *t, const struct schedule_name *n, struct str rec)
{
    struct key k = key_of(n);
    if (k.n > KEY_MAX)
        return E_INVALID;
    return store_put(t, T_SCHEDULES, key_str(&k), rec);
}

int schedule_del(struct store_txn *t, const struct schedule_name *n)
{
    struct key k = key_of(n);
    return store_del(t, T_SCHEDULES, key_str(&k));
}

void schedule_each(struct store_txn *t, struct str kind, const struct schedule_name *after,
                   bool (*each)(void *ctx, const struct schedule_name *n, struct str rec),
                   void *ctx)
{
    struct store_cursor *c = store_cursor(t, T_SCHEDULES);
    struct key from = {0};
    struct str k, v;
    struct schedule_name n;
    key_name(&from, kind);
    if (after) {
        from = key_of(&(struct schedule_name){kind, after->group, after->name});
        key_bytes(&from, STR("\0")); /* just behind it */
    }
    for (bool more = store_seek(c, key_str(&from), &k, &v); more; more = store_next(c, &k, &v))
        if (!name_of(k, &n) || !str_eq(n.kind, kind) || !each(ctx, &n, v))
            break;
    store_cursor_close(c);
}

void schedule_arn(struct buf *out, const char *region, const struct schedule_name *n)
{
    bool rule = str_is(n->kind, SCHEDULE_KIND_RULE);
    buf_printf(out, "arn:aws:%s:%s:" ACCOUNT_ID ":%s/", rule ? "events" : "scheduler", region,
               rule ? "rule" : "schedule");
    if (!rule) {
        buf_add(out, n->group);
        buf_addc(out, '/');
    }
    buf_add(out, n->name);
}

/* --- times -------------------------------------------------------------------------------------- */

/* What of a row says when it is due. */
struct times {
    struct schedule_expr expr;
    struct zone *zone;
    int64_t base_s, start_s, end_s, last_s;
};

static bool times_of(struct str rec, struct times *t)
{
    struct str text = rec_str(rec, SCHEDULE_EXPR), zone = rec_str(rec, SCHEDULE_ZONE);
    if (!text.n || rec_u64(rec, SCHEDULE_DISABLED, 0) || schedule_parse(text, &t->expr, NULL))
        return false;
    t->zone = zone.n && !str_is(zone, "UTC") ? zone_load(zone) : NULL;
    int64_t created_ms = (int64_t)rec_u64(rec, SCHEDULE_CREATED_MS, 0);
    t->start_s = (int64_t)rec_u64(rec, SCHEDULE_START_MS, 0) / 1000;
    t->base_s = t->start_s ? t->start_s : created_ms / 1000;
    t->end_s = (int64_t)rec_u64(rec, SCHEDULE_END_MS, 0) / 1000;
    t->last_s = (int64_t)rec_u64(rec, SCHEDULE_LAST_S, (uint64_t)(created_ms / 1000));
    return true;
}

/* After after_s, or -1. */
static int64_t next_of(const struct times *t, int64_t after_s)
{
    if (t->start_s && after_s < t->start_s - 1)
        after_s = t->start_s - 1;
    int64_t next = schedule_next_s(&t->expr, t->zone, t->base_s, after_s);
    return next >= 0 && t->end_s && next > t->end_s ? -1 : next;
}

size_t schedule_upcoming(struct str rec, int64_t after_s, int64_t *out, size_t max)
{
    struct times t;
    size_t n = 0;
    if (!times_of(rec, &t))
        return 0;
    while (n < max && (after_s = next_of(&t, after_s)) >= 0)
        out[n++] = after_s;
    zone_free(t.zone);
    return n;
}

/* --- the heap ----------------------------------------------------------------------------------- */

static void place(struct schedules *s, size_t i, struct entry *e)
{
    s->heap[i] = e;
    e->at = i;
}

static void sift(struct schedules *s, struct entry *e, size_t i)
{
    while (i > 0 && e->due_s < s->heap[(i - 1) / 2]->due_s) {
        place(s, i, s->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (size_t k; (k = 2 * i + 1) < s->due_count; i = k) {
        if (k + 1 < s->due_count && s->heap[k + 1]->due_s < s->heap[k]->due_s)
            k++;
        if (s->heap[k]->due_s >= e->due_s)
            break;
        place(s, i, s->heap[k]);
    }
    place(s, i, e);
}

static void take_out(struct schedules *s, struct entry *e)
{
    if (e->due_s == NEVER)
        return;
    struct entry *last = s->heap[--s->due_count];
    e->due_s = NEVER;
    if (last != e)
        sift(s, last, e->at);
}

static void put_in(struct schedules *s, struct entry *e, int64_t due_s)
{
    take_out(s, e);
    e->due_s = due_s;
    if (due_s != NEVER)
        sift(s, e, s->due_count++);
}

static void forget(struct entry *e)
{
    struct schedules *s = e->home;
    take_out(s, e);
    for (size_t i = 0; i < s->count; i++) {
        if (s->all[i] != e)
            continue;
        s->all[i] = s->all[--s->count];
        break;
    }
    free(e);
}

static struct entry *find(struct schedules *s, const struct key *k, bool make)
{
    for (size_t i = 0; i < s->count; i++)
        if (str_eq(key_str(&s->all[i]->key), key_str(k)))
            return s->all[i];
    if (!make)
        return NULL;
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 16;
        s->all = realloc(s->all, s->cap * sizeof *s->all);
        s->heap = realloc(s->heap, s->cap * sizeof *s->heap);
        if (!s->all || !s->heap)
            fatal("out of memory");
    }
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        fatal("out of memory");
    e->home = s;
    e->key = *k;
    e->due_s = NEVER;
    return s->all[s->count++] = e;
}

/* --- running ------------------------------------------------------------------------------------ */

static int64_t wall_ms(const struct schedules *s)
{
    return s->o.wall_ms ? s->o.wall_ms() : clock_wall_ms();
}

struct firing { /* one entry's job */
    struct job job;
    struct schedules *home;
    struct entry *entry; /* NULL: asked for by schedule_run_now */
    struct key key;
    struct buf rec; /* the row as it was read */
    int64_t *times; /* due and to be run */
    size_t count;
    int64_t until_s;                       /* SCHEDULE_LAST_S afterwards */
    bool last;                             /* nothing comes after these */
    char (*ids)[37];                       /* request ids, targets × times */
    uint64_t kicked[SCHEDULE_TARGETS_MAX]; /* functions */
    size_t kick_count;
    struct err err;
    void (*done)(void *ctx, int rc, const struct err *err);
    void *ctx;
};

static void firing_free(struct firing *f)
{
    buf_deinit(&f->rec);
    free(f->times);
    free(f->ids);
    free(f);
}

/* The event that a target without an Input gets. */
static void default_event(struct buf *out, const struct schedules *s, const struct schedule_name *n,
                          int64_t due_s, const char *id)
{
    char time[25];
    bool rule = str_is(n->kind, SCHEDULE_KIND_RULE);
    struct buf arn = BUF_INIT;
    clock_iso8601(due_s * 1000, time);
    schedule_arn(&arn, s->o.region, n);
    buf_printf(
        out,
        "{\"version\":\"0\",\"id\":\"%s\",\"detail-type\":\"Scheduled Event\",\"source\":\"%s\","
        "\"account\":\"" ACCOUNT_ID "\",\"time\":\"%.19sZ\",\"region\":\"%s\",\"resources\":[",
        id, rule ? "aws.events" : "aws.scheduler", time, s->o.region);
    json_quote(out, buf_str(&arn));
    buf_printf(out, "],\"detail\":%s}", rule ? "{}" : "\"{}\"");
    buf_deinit(&arn);
}

/* Is the last run of it still on its way? Looks at that many of the function's rows at most. */
static bool still_there(struct store_txn *t, uint64_t function_id, struct str request_id)
{
    struct store_cursor *c = store_cursor(t, T_DUE);
    struct key from = {0};
    struct str k, v;
    bool found = false;
    key_u64(&from, function_id);
    bool more = store_seek(c, key_str(&from), &k, &v);
    for (int n = 0; more && !found && n < OVERLAP_LOOK; n++, more = store_next(c, &k, &v)) {
        uint64_t function, due, id;
        struct event_row row;
        if (!key_take_u64(&k, &function) || function != function_id || !key_take_u64(&k, &due) ||
            !key_take_u64(&k, &id))
            break;
        found = event_row_get(t, id, &row) == 0 && str_eq(row.request_id, request_id);
    }
    store_cursor_close(c);
    return found;
}

static int put_event(struct firing *f, struct store_txn *t, const struct schedule_name *n,
                     struct str target, int64_t due_s, const char *id)
{
    struct schedules *s = f->home;
    struct str function, qualifier, input = rec_str(target, TARGET_INPUT);
    struct buf event = BUF_INIT, arn = BUF_INIT;
    struct str policy;
    struct queue_event e = {.source = "events"};
    if (arn_function(rec_str(target, TARGET_ARN), str_c(s->o.region), &function, &qualifier) ||
        function_find(t, function, qualifier, &e.function_id, &policy))
        return 0; /* it is gone: nothing to run, as AWS has it */
    if (rec_u64(buf_str(&f->rec), SCHEDULE_OVERLAP_POLICY, OVERLAP_RUN) == OVERLAP_SKIP &&
        still_there(t, e.function_id, rec_str(buf_str(&f->rec), SCHEDULE_LAST_EVENT)))
        return 0;
    if (!input.n)
        default_event(&event, s, n, due_s, id);
    if (!str_is(n->kind, SCHEDULE_KIND_RULE))
        e.source = "scheduler"; /* of a rule the function's policy is asked at delivery */
    schedule_arn(&arn, s->o.region, n);
    e.function_name = function;
    e.qualifier = qualifier;
    e.payload = input.n ? input : buf_str(&event);
    e.client_context = STR("");
    e.source_arn = buf_str(&arn);
    snprintf(e.request_id, sizeof e.request_id, "%s", id);
    int rc = queue_put(s->o.queue, t, &e);
    if (rc == 0 && f->kick_count < SCHEDULE_TARGETS_MAX)
        f->kicked[f->kick_count++] = e.function_id;
    buf_deinit(&event);
    buf_deinit(&arn);
    return rc;
}

/* The row again, with another SCHEDULE_LAST_S and SCHEDULE_LAST_EVENT. */
static int put_row(struct firing *f, struct store_txn *t, const char *last_id)
{
    struct buf rec = BUF_INIT;
    struct str rest = buf_str(&f->rec), v;
    uint16_t tag;
    while (rec_next(&rest, &tag, &v))
        if (tag != SCHEDULE_LAST_S && !(last_id && tag == SCHEDULE_LAST_EVENT))
            rec_put_str(&rec, tag, v);
    rec_put_u64(&rec, SCHEDULE_LAST_S, (uint64_t)f->until_s);
    if (last_id)
        rec_put_str(&rec, SCHEDULE_LAST_EVENT, str_c(last_id));
    int rc = store_put(t, T_SCHEDULES, key_str(&f->key), buf_str(&rec));
    buf_deinit(&rec);
    return rc;
}

static int fire_apply(struct job *job, struct store_txn *t)
{
    struct firing *f = (struct firing *)job;
    struct schedule_name n;
    struct str row, rest = buf_str(&f->rec), target;
    uint16_t tag;
    size_t run = 0;
    if (store_get(t, T_SCHEDULES, key_str(&f->key), &row) || !str_eq(row, buf_str(&f->rec)))
        return E_CONFLICT;
    f->kick_count = 0;
    name_of(key_str(&f->key), &n);
    while (rec_next(&rest, &tag, &target)) {
        if (tag != SCHEDULE_TARGET)
            continue;
        for (size_t i = 0; i < f->count; i++) {
            int rc = put_event(f, t, &n, target, f->times[i], f->ids[run++]);
            if (rc)
                return rc;
        }
    }
    if (!f->entry) /* beside its times */
        return 0;
    if (f->last && rec_u64(buf_str(&f->rec), SCHEDULE_DELETE_AFTER, 0))
        return store_del(t, T_SCHEDULES, key_str(&f->key));
    return put_row(f, t, run ? f->ids[run - 1] : NULL);
}

static void arm(struct schedules *s);
static void look_again(struct entry *e);

static void fire_done(struct job *job, int rc)
{
    struct firing *f = (struct firing *)job;
    struct schedules *s = f->home;
    struct entry *e = f->entry;
    s->jobs--;
    if (rc == 0 && !s->closed)
        for (size_t i = 0; i < f->kick_count; i++)
            queue_kick(s->o.queue, f->kicked[i]);
    if (f->done)
        f->done(f->ctx, rc, &f->err);
    if (s->closed) {
        if (e)
            e->busy = false;
    } else if (e) {
        e->busy = false;
        if (rc == 0 || rc == E_CONFLICT || e->again)
            look_again(e);
        else
            put_in(s, e, wall_ms(s) / 1000 + RETRY_S);
        arm(s);
    }
    firing_free(f);
}

static size_t count_targets(struct str rec)
{
    size_t n = 0;
    uint16_t tag;
    struct str v;
    while (rec_next(&rec, &tag, &v))
        n += tag == SCHEDULE_TARGET;
    return n;
}

/* scheduler: the target's role is asked before its event is made. */
static bool role_lets(struct schedules *s, const struct schedule_name *n, struct str rec,
                      struct err *err)
{
    uint16_t tag;
    struct str v;
    if (str_is(n->kind, SCHEDULE_KIND_RULE))
        return true;
    while (rec_next(&rec, &tag, &v))
        if (tag == SCHEDULE_TARGET && rec_str(v, TARGET_ROLE).n &&
            role_allows(s->o.roles, rec_str(v, TARGET_ROLE), STR("lambda:InvokeFunction"),
                        rec_str(v, TARGET_ARN), err))
            return false;
    return true;
}

static struct firing *firing_new(struct schedules *s, const struct key *key, struct str rec,
                                 size_t times)
{
    size_t ids = count_targets(rec) * times;
    struct firing *f = calloc(1, sizeof *f);
    if (!f)
        fatal("out of memory");
    f->home = s;
    f->key = *key;
    f->rec = BUF_INIT;
    buf_add(&f->rec, rec);
    f->times = calloc(times + 1, sizeof *f->times);
    f->ids = calloc(ids + 1, sizeof *f->ids);
    if (!f->times || !f->ids)
        fatal("out of memory");
    for (size_t i = 0; i < ids; i++)
        id_uuid(f->ids[i]);
    f->job = (struct job){.apply = fire_apply, .done = fire_done, .undo = true};
    return f;
}

/* Which of the times in (last, now] are run: the one that has just come, and of those that were
 * missed what the policy says. Never walks through what is not run: that may be years of minutes. */
static size_t choose(const struct times *t, uint64_t policy, int64_t now_s, int64_t *out)
{
    int64_t recent = now_s - LATE_S, at = next_of(t, t->last_s);
    size_t n = 0;
    if (policy != MISSED_ALL && at >= 0 && at < recent) {
        if (policy == MISSED_ONCE)
            out[n++] = at;
        at = next_of(t, recent - 1);
    }
    for (; at >= 0 && at <= now_s && n < SCHEDULE_MISSED_MAX; at = next_of(t, at))
        out[n++] = at;
    return n;
}

/* Its time has come: works out what is to be run and submits it, or finds out that it is nothing. */
static void fire(struct entry *e, int64_t now_s)
{
    static int64_t due[SCHEDULE_MISSED_MAX];
    struct schedules *s = e->home;
    struct store_txn *t = store_read(s->o.store);
    struct schedule_name n;
    struct times times;
    struct str rec;
    struct firing *f = NULL;
    struct err err = {0};
    name_of(key_str(&e->key), &n);
    if (store_get(t, T_SCHEDULES, key_str(&e->key), &rec) == 0 && times_of(rec, &times)) {
        size_t count =
            choose(&times, rec_u64(rec, SCHEDULE_MISSED_POLICY, MISSED_ONCE), now_s, due);
        if (!role_lets(s, &n, rec, &err)) {
            log_warn("schedule %.*s: %s", STR_FMT(n.name), err.text);
            count = 0;
        }
        f = firing_new(s, &e->key, rec, count);
        f->entry = e;
        f->count = count;
        memcpy(f->times, due, count * sizeof *due);
        f->until_s = now_s > times.last_s ? now_s : times.last_s;
        f->last = next_of(&times, f->until_s) < 0;
        zone_free(times.zone);
    }
    store_read_end(t);
    take_out(s, e);
    if (!f)
        return;
    e->busy = true;
    e->again = false;
    s->jobs++;
    store_submit(s->o.store, &f->job);
}

/* Reads the row again: when is it due next, if at all? */
static void look_again(struct entry *e)
{
    struct schedules *s = e->home;
    struct store_txn *t = store_read(s->o.store);
    struct times times;
    struct str rec;
    int64_t due = NEVER;
    bool there = store_get(t, T_SCHEDULES, key_str(&e->key), &rec) == 0;
    if (there && times_of(rec, &times)) {
        int64_t next = next_of(&times, times.last_s);
        due = next < 0 ? NEVER : next;
        zone_free(times.zone);
    }
    store_read_end(t);
    if (there)
        put_in(s, e, due);
    else
        forget(e);
}

static void on_time(uv_timer_t *timer)
{
    struct schedules *s = timer->data;
    int64_t now_s = wall_ms(s) / 1000;
    while (s->due_count && s->heap[0]->due_s <= now_s)
        fire(s->heap[0], now_s);
    arm(s);
}

/* The timer wakes when the first is due, and each second: the wall clock may be set. */
static void arm(struct schedules *s)
{
    uint64_t wait = LOOK_MS;
    if (s->closed || !s->started)
        return;
    if (s->due_count) {
        int64_t left = s->heap[0]->due_s * 1000 - wall_ms(s);
        wait = left <= 0 ? 0 : left < LOOK_MS ? (uint64_t)left : LOOK_MS;
    }
    uv_timer_start(&s->timer, on_time, wait, 0);
}

/* --- life --------------------------------------------------------------------------------------- */

struct schedules *schedules_open(const struct schedules_opts *o)
{
    struct schedules *s = calloc(1, sizeof *s);
    if (!s)
        fatal("out of memory");
    s->o = *o;
    s->timer.data = s;
    uv_timer_init(o->loop, &s->timer);
    uv_unref((uv_handle_t *)&s->timer);
    return s;
}

void schedules_start(struct schedules *s)
{
    struct store_txn *t = store_read(s->o.store);
    struct store_cursor *c = store_cursor(t, T_SCHEDULES);
    struct str k, v;
    for (bool more = store_seek(c, STR(""), &k, &v); more; more = store_next(c, &k, &v)) {
        struct key key = {0};
        key_bytes(&key, k);
        find(s, &key, true);
    }
    store_cursor_close(c);
    store_read_end(t);
    s->started = true;
    for (size_t i = s->count; i-- > 0;)
        look_again(s->all[i]);
    uv_update_time(s->o.loop);
    arm(s);
}

void schedules_changed(struct schedules *s, const struct schedule_name *n)
{
    struct key k = key_of(n);
    struct entry *e = find(s, &k, true);
    if (e->busy)
        e->again = true;
    else
        look_again(e);
    arm(s);
}

void schedules_stop(struct schedules *s)
{
    s->closed = true;
    uv_close((uv_handle_t *)&s->timer, NULL);
}

void schedules_close(struct schedules *s)
{
    ASSERT(s->closed && s->jobs == 0);
    while (s->count)
        forget(s->all[0]);
    free(s->all);
    free(s->heap);
    free(s);
}

void schedule_run_now(struct schedules *s, const struct schedule_name *n,
                      void (*done)(void *ctx, int rc, const struct err *err), void *ctx)
{
    struct store_txn *t = store_read(s->o.store);
    struct key k = key_of(n);
    struct str rec;
    struct firing *f = NULL;
    struct err err = {0};
    int rc = store_get(t, T_SCHEDULES, key_str(&k), &rec);
    if (rc == 0 && !role_lets(s, n, rec, &err))
        rc = E_DENIED;
    if (rc == 0)
        f = firing_new(s, &k, rec, 1);
    store_read_end(t);
    if (!f) {
        done(ctx, rc, &err);
        return;
    }
    f->times[0] = wall_ms(s) / 1000;
    f->count = 1;
    f->done = done;
    f->ctx = ctx;
    s->jobs++;
    store_submit(s->o.store, &f->job);
}
