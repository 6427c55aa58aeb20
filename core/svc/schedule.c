/* schedule: rows and the entries that stand for them on the loop.
 *
 * An entry holds the next due time and nothing of the row: when it comes up, the row is read, what is
 * due by now is worked out, and one job writes queue rows and the row's new SCHEDULE_LAST_S, provided
 * that the row is still the one that was read. Only then is the next time computed. So entries can be
 * wrong (a row changed meanwhile) without harm, and a job that is refused is tried again with nothing
 * lost.
 *
 * At a start, and when the wall clock was set back, all entries are looked at; that, and what is due
 * at once, is done a millisecond in a turn of the loop.
 *
 * There are two heaps, since there are two clocks: rates go by store time, all else by wall time. */
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
#include "svc/schedule_entry.h"

enum {
    LOOK_MS = 1000,        /* at least this often: the wall clock may jump */
    NEXT_TURN_MS = 1,      /* of the loop, for what did not fit in … */
    TURN_NS = 1000 * 1000, /* … this one */
    LATE_S = 60,           /* what is older was missed */
    RETRY_S = 1,           /* a full queue, a full disk */
    SLICE = 20             /* times for which it is run in one job */
};

struct schedules {
    struct schedules_opts o;
    uv_timer_t timer;
    struct schedule_entries entries;
    size_t unseen; /* the first so many of them are still to be looked at */
    struct schedule_heap by_wall, by_store;
    int64_t ahead_ms; /* wall time before store time when it was last looked at */
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

void schedule_each(struct store_txn *t, struct str kind, const struct schedule_name *from,
                   bool behind,
                   bool (*each)(void *ctx, const struct schedule_name *n, struct str rec),
                   void *ctx)
{
    struct store_cursor *c = store_cursor(t, T_SCHEDULES);
    struct key first = {0};
    struct str k, v;
    struct schedule_name n;
    key_name(&first, kind);
    if (from) {
        first = key_of(&(struct schedule_name){kind, from->group, from->name});
        if (behind)
            key_bytes(&first, STR("\0"));
    }
    for (bool more = store_seek(c, key_str(&first), &k, &v); more; more = store_next(c, &k, &v))
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
    const struct zone *zone;
    int64_t base_s, start_s, end_s, last_s;
    int64_t skipped_from_s, skipped_to_s; /* given up; to: 0 for none */
};

static bool times_of(struct str rec, struct times *t)
{
    struct str text = rec_str(rec, SCHEDULE_EXPR), zone = rec_str(rec, SCHEDULE_ZONE);
    if (!text.n || rec_u64(rec, SCHEDULE_DISABLED, 0) || schedule_parse(text, &t->expr, NULL))
        return false;
    t->zone = zone.n && !str_is(zone, "UTC") ? zone_named(zone) : NULL;
    int64_t created_ms = (int64_t)rec_u64(rec, SCHEDULE_CREATED_MS, 0);
    t->start_s = (int64_t)rec_u64(rec, SCHEDULE_START_MS, 0) / 1000;
    t->base_s = t->start_s ? t->start_s : created_ms / 1000;
    t->end_s = (int64_t)rec_u64(rec, SCHEDULE_END_MS, 0) / 1000;
    t->last_s = (int64_t)rec_u64(rec, SCHEDULE_LAST_S, (uint64_t)(created_ms / 1000));
    t->skipped_from_s = (int64_t)rec_u64(rec, SCHEDULE_SKIPPED_FROM_S, 0);
    t->skipped_to_s = (int64_t)rec_u64(rec, SCHEDULE_SKIPPED_TO_S, 0);
    return true;
}

static bool by_store_time(const struct times *t)
{
    return t->expr.kind == SCHEDULE_RATE;
}

/* On the clock by which it goes. */
static int64_t now_of(const struct times *t)
{
    return (by_store_time(t) ? clock_store_ms() : clock_wall_ms()) / 1000;
}

static bool is_rate(struct str expr)
{
    struct schedule_expr e;
    return schedule_parse(expr, &e, NULL) == 0 && e.kind == SCHEDULE_RATE;
}

/* Nothing from end_s on has been given up: with the clock set back, that is still to come. */
static void cut_skipped(int64_t *from_s, int64_t *to_s, int64_t end_s)
{
    if (*to_s > end_s)
        *to_s = end_s;
    if (*from_s >= *to_s)
        *from_s = *to_s = 0;
}

void schedule_put_place(struct buf *rec, struct str expr, struct str row)
{
    bool rate = is_rate(expr);
    int64_t now_s = (rate ? clock_store_ms() : clock_wall_ms()) / 1000, from_s = 0,
            to_s = now_s + 1;
    if (row.p && is_rate(rec_str(row, SCHEDULE_EXPR)) == rate) {
        from_s = (int64_t)rec_u64(row, SCHEDULE_SKIPPED_FROM_S, 0);
        to_s = (int64_t)rec_u64(row, SCHEDULE_SKIPPED_TO_S, 0);
    }
    cut_skipped(&from_s, &to_s, now_s + 1);
    rec_put_u64(rec, SCHEDULE_LAST_S, (uint64_t)now_s);
    rec_put_u64(rec, SCHEDULE_SKIPPED_FROM_S, (uint64_t)from_s);
    rec_put_u64(rec, SCHEDULE_SKIPPED_TO_S, (uint64_t)to_s);
}

/* After after_s, or -1. */
static int64_t next_of(const struct times *t, int64_t after_s)
{
    if (t->start_s && after_s < t->start_s - 1)
        after_s = t->start_s - 1;
    int64_t next = schedule_next_s(&t->expr, t->zone, t->base_s, after_s);
    return next >= 0 && t->end_s && next > t->end_s ? -1 : next;
}

/* The clock was set back into what had been given up: *from_s is what that begins with, now. */
static bool comes_again(const struct times *t, int64_t now_s, int64_t *from_s)
{
    *from_s = t->skipped_from_s > now_s ? t->skipped_from_s : now_s;
    return now_s < t->last_s && t->skipped_from_s <= t->last_s && *from_s < t->skipped_to_s;
}

/* The first that is to be run, seen at that time; -1: none. */
static int64_t due_of(const struct times *t, int64_t now_s)
{
    int64_t from_s, next;
    if (comes_again(t, now_s, &from_s) && (next = next_of(t, from_s - 1)) >= 0 &&
        next < t->skipped_to_s)
        return next;
    return next_of(t, t->last_s);
}

size_t schedule_upcoming(struct str rec, int64_t *out, size_t max)
{
    struct times t;
    size_t n = 0;
    if (!times_of(rec, &t))
        return 0;
    int64_t wall_s = clock_wall_ms() / 1000;
    int64_t ahead_s = by_store_time(&t) ? clock_store_ms() / 1000 - wall_s : 0;
    int64_t at = wall_s + ahead_s;
    while (n < max && (at = next_of(&t, at)) >= 0)
        out[n++] = at - ahead_s;
    return n;
}

/* --- running ------------------------------------------------------------------------------------ */

struct firing { /* one entry's job */
    struct job job;
    struct schedules *home;
    struct schedule_entry *entry; /* NULL: asked for by schedule_run_now */
    struct key key;
    struct buf rec; /* the row as it was read */
    int64_t *times; /* due and to be run */
    size_t count;
    int64_t until_s;                       /* SCHEDULE_LAST_S afterwards, … */
    int64_t skipped_from_s, skipped_to_s;  /* … and what of it was given up */
    int64_t ahead_s;                       /* of wall time: the clock it goes by */
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

/* Is that event still on its way? */
static bool still_there(struct store_txn *t, uint64_t id)
{
    struct event_row row;
    return id && event_row_get(t, id, &row) == 0 && row.state != EVENT_DONE_ROW &&
           row.state != EVENT_DEAD_ROW;
}

/* last: event of the target's last run, 0 for none; of this one when it is put. */
static int put_event(struct firing *f, struct store_txn *t, const struct schedule_name *n,
                     struct str target, int64_t due_s, const char *id, uint64_t *last)
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
        still_there(t, *last))
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
    if (rec_str(target, TARGET_RETRIES).p)
        e.max_tries = (uint32_t)rec_u64(target, TARGET_RETRIES, 0) + 1;
    e.max_age_ms = (int64_t)rec_u64(target, TARGET_MAX_AGE_S, 0) * 1000;
    e.id = store_new_id(s->o.store);
    snprintf(e.request_id, sizeof e.request_id, "%s", id);
    int rc = queue_put(s->o.queue, t, &e);
    if (rc == 0)
        *last = e.id;
    if (rc == 0 && (!f->kick_count || f->kicked[f->kick_count - 1] != e.function_id))
        f->kicked[f->kick_count++] = e.function_id; /* of one target all come in a row */
    buf_deinit(&event);
    buf_deinit(&arn);
    return rc;
}

/* The row again, with another place and other last runs. */
static int put_row(struct firing *f, struct store_txn *t, const uint64_t *last, size_t targets)
{
    struct buf rec = BUF_INIT;
    struct str rest = buf_str(&f->rec), v;
    uint16_t tag;
    while (rec_next(&rest, &tag, &v))
        if (tag != SCHEDULE_LAST_S && tag != SCHEDULE_SKIPPED_FROM_S &&
            tag != SCHEDULE_SKIPPED_TO_S && tag != SCHEDULE_LAST_EVENT)
            rec_put_str(&rec, tag, v);
    rec_put_u64(&rec, SCHEDULE_LAST_S, (uint64_t)f->until_s);
    if (f->skipped_from_s < f->skipped_to_s) {
        rec_put_u64(&rec, SCHEDULE_SKIPPED_FROM_S, (uint64_t)f->skipped_from_s);
        rec_put_u64(&rec, SCHEDULE_SKIPPED_TO_S, (uint64_t)f->skipped_to_s);
    }
    for (size_t i = 0; i < targets; i++)
        rec_put_u64(&rec, SCHEDULE_LAST_EVENT, last[i]);
    int rc = store_put(t, T_SCHEDULES, key_str(&f->key), buf_str(&rec));
    buf_deinit(&rec);
    return rc;
}

/* The last runs as the row has them, one a target. */
static void read_last(struct str rec, uint64_t last[SCHEDULE_TARGETS_MAX])
{
    struct str id;
    uint16_t tag;
    for (size_t i = 0; i < SCHEDULE_TARGETS_MAX && rec_next(&rec, &tag, &id);)
        if (tag == SCHEDULE_LAST_EVENT)
            last[i++] = rec_int(id, 0); /* earlier servers wrote a request id: none */
}

static int fire_apply(struct job *job, struct store_txn *t)
{
    struct firing *f = (struct firing *)job;
    struct schedule_name n;
    struct str row, rest = buf_str(&f->rec), target;
    uint64_t last[SCHEDULE_TARGETS_MAX] = {0};
    uint16_t tag;
    size_t run = 0, targets = 0;
    if (store_get(t, T_SCHEDULES, key_str(&f->key), &row) || !str_eq(row, buf_str(&f->rec)))
        return E_CONFLICT;
    f->kick_count = 0;
    name_of(key_str(&f->key), &n);
    read_last(rest, last);
    while (targets < SCHEDULE_TARGETS_MAX && rec_next(&rest, &tag, &target)) {
        if (tag != SCHEDULE_TARGET)
            continue;
        for (size_t i = 0; i < f->count; i++) {
            int rc = put_event(f, t, &n, target, f->times[i] - f->ahead_s, f->ids[run++],
                               &last[targets]);
            if (rc)
                return rc;
        }
        targets++;
    }
    if (!f->entry) /* beside its times */
        return f->kick_count
                   ? 0
                   : err_set(&f->err, E_CONFLICT,
                             "Nothing to run: it has no target, its functions are gone, or "
                             "the last run is still on its way and must not overlap.");
    if (f->last && rec_u64(buf_str(&f->rec), SCHEDULE_DELETE_AFTER, 0))
        return store_del(t, T_SCHEDULES, key_str(&f->key));
    return put_row(f, t, last, targets);
}

static void arm(struct schedules *s);
static void look_again(struct schedule_entry *e);

static void fire_done(struct job *job, int rc)
{
    struct firing *f = (struct firing *)job;
    struct schedules *s = f->home;
    struct schedule_entry *e = f->entry;
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
        e->refused = rc == E_THROTTLED;
        if (rc == 0 || rc == E_CONFLICT || e->again)
            look_again(e);
        else
            entry_due(e->heap, e, e->heap->now_ms() / 1000 + RETRY_S);
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

/* The first after after_s that has not been given up. */
static int64_t next_kept(const struct firing *f, const struct times *t, int64_t after_s)
{
    int64_t at = next_of(t, after_s);
    bool given_up = at >= f->skipped_from_s && at < f->skipped_to_s;
    return given_up ? next_of(t, f->skipped_to_s - 1) : at;
}

/* The clock was set back: of what had been given up, that which is due now. */
static void choose_again(const struct times *t, int64_t now_s, struct firing *f)
{
    int64_t end_s = now_s < t->skipped_to_s ? now_s + 1 : t->skipped_to_s;
    int64_t at = next_of(t, t->skipped_from_s - 1);
    if (at >= 0 && at < now_s - LATE_S)
        at = next_of(t, now_s - LATE_S - 1);
    for (; at >= 0 && at < end_s && f->count < SCHEDULE_MISSED_MAX; at = next_of(t, at))
        f->times[f->count++] = at;
    if (f->skipped_from_s <= now_s)
        f->skipped_from_s = now_s + 1;
}

/* Which of the times in (last, now] are run: the one that has just come, and of those that were
 * missed what the policy says. Never walks through what is not run: that may be years of minutes. At
 * most `slice` of them, so that they find room in the queue: the others the next time. */
static void choose(const struct times *t, uint64_t policy, int64_t now_s, size_t slice,
                   struct firing *f)
{
    int64_t recent = now_s - LATE_S, from_s;
    f->until_s = now_s > t->last_s ? now_s : t->last_s;
    f->skipped_from_s = t->skipped_from_s;
    f->skipped_to_s = t->skipped_to_s;
    if (comes_again(t, now_s, &from_s)) {
        choose_again(t, now_s, f);
        return;
    }
    if (f->skipped_to_s > now_s + 1) /* set back, in the middle of making up for what was missed */
        cut_skipped(&f->skipped_from_s, &f->skipped_to_s, recent);
    int64_t at = next_kept(f, t, t->last_s);
    if (policy != MISSED_ALL && at >= 0 && at < recent) {
        bool once = policy == MISSED_ONCE;
        int64_t gone = once ? next_kept(f, t, at) : at; /* the first that is given up, if any */
        if (once)
            f->times[f->count++] = at;
        if (gone >= 0 && gone < recent) { /* else what was given up before stays remembered */
            f->skipped_from_s = once ? at + 1 : at;
            f->skipped_to_s = recent;
        }
        at = next_of(t, recent - 1);
    }
    for (; at >= 0 && at <= now_s && f->count < SCHEDULE_MISSED_MAX; at = next_kept(f, t, at))
        f->times[f->count++] = at;
    if (at >= 0 && at <= now_s) { /* too many */
        f->skipped_from_s = at;
        f->skipped_to_s = now_s + 1;
    }
    if (f->count > slice) {
        f->count = slice;
        f->until_s = f->times[slice - 1];
    }
}

/* Its time has come: works out what is to be run and submits it, or finds out that it is nothing. */
static void fire(struct schedule_entry *e)
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
        struct firing found = {.times = due};
        int64_t now_s = now_of(&times); /* the row may have become one of another clock */
        choose(&times, rec_u64(rec, SCHEDULE_MISSED_POLICY, MISSED_ONCE), now_s,
               e->refused ? 1 : SLICE, &found);
        if (!role_lets(s, &n, rec, &err)) {
            log_warn("schedule %.*s: %s", STR_FMT(n.name), err.text);
            found.count = 0;
        }
        f = firing_new(s, &e->key, rec, found.count);
        f->entry = e;
        f->count = found.count;
        memcpy(f->times, due, found.count * sizeof *due);
        f->until_s = found.until_s;
        f->skipped_from_s = found.skipped_from_s;
        f->skipped_to_s = found.skipped_to_s;
        f->ahead_s = by_store_time(&times) ? now_s - clock_wall_ms() / 1000 : 0;
        f->last = next_of(&times, f->until_s) < 0;
    }
    store_read_end(t);
    entry_due(e->heap, e, SCHEDULE_NEVER);
    if (!f)
        return;
    e->busy = true;
    e->again = false;
    s->jobs++;
    store_submit(s->o.store, &f->job);
}

/* Reads the row again: when is it due next, if at all? */
static void look_again(struct schedule_entry *e)
{
    struct schedules *s = e->home;
    struct store_txn *t = store_read(s->o.store);
    struct times times;
    struct str rec;
    int64_t due = SCHEDULE_NEVER;
    struct schedule_heap *h = &s->by_wall;
    bool there = store_get(t, T_SCHEDULES, key_str(&e->key), &rec) == 0;
    if (there && times_of(rec, &times)) {
        h = by_store_time(&times) ? &s->by_store : h;
        int64_t next = due_of(&times, now_of(&times));
        due = next < 0 ? SCHEDULE_NEVER : next;
    }
    store_read_end(t);
    if (there)
        entry_due(h, e, due);
    else
        entry_forget(&s->entries, e);
}

/* Was the wall clock set back since this was asked last? Then what had been given up may come again. */
static bool set_back(struct schedules *s)
{
    int64_t was_ms = s->ahead_ms;
    s->ahead_ms = clock_wall_ms() - clock_store_ms();
    return s->ahead_ms < was_ms - 500;
}

/* However many are due at once, nobody else on the loop waits for all of them. */
static bool in_time(uint64_t start_ns)
{
    return clock_mono_ns() - start_ns < TURN_NS;
}

static void fire_due(struct schedule_heap *h, uint64_t start_ns)
{
    int64_t now_s = h->now_ms() / 1000;
    while (h->n && h->of[0]->due_s <= now_s && in_time(start_ns))
        fire(h->of[0]);
}

static void look_at_all(struct schedules *s, uint64_t start_ns)
{
    while (s->unseen > 0 && in_time(start_ns)) {
        if (s->unseen > s->entries.count)
            s->unseen = s->entries.count; /* some have gone */
        else if (!s->entries.all[--s->unseen]->busy)
            look_again(s->entries.all[s->unseen]);
    }
}

static void on_time(uv_timer_t *timer)
{
    struct schedules *s = timer->data;
    uint64_t start_ns = clock_mono_ns();
    if (set_back(s))
        s->unseen = s->entries.count;
    look_at_all(s, start_ns);
    fire_due(&s->by_wall, start_ns);
    fire_due(&s->by_store, start_ns);
    arm(s);
}

static int64_t left_ms(const struct schedule_heap *h)
{
    return h->n ? h->of[0]->due_s * 1000 - h->now_ms() : LOOK_MS;
}

/* The timer wakes when the first is due (in another turn, for what did not fit in this one), and each
 * second: the wall clock may be set. */
static void arm(struct schedules *s)
{
    if (s->closed || !s->started)
        return;
    int64_t wall = left_ms(&s->by_wall), store = left_ms(&s->by_store);
    int64_t wait = wall < store ? wall : store;
    if (s->unseen || wait < NEXT_TURN_MS)
        wait = NEXT_TURN_MS;
    if (wait > LOOK_MS)
        wait = LOOK_MS;
    uv_timer_start(&s->timer, on_time, (uint64_t)wait, 0);
}

/* --- life --------------------------------------------------------------------------------------- */

struct schedules *schedules_open(const struct schedules_opts *o)
{
    struct schedules *s = calloc(1, sizeof *s);
    if (!s)
        fatal("out of memory");
    s->o = *o;
    s->by_wall.now_ms = clock_wall_ms;
    s->by_store.now_ms = clock_store_ms;
    s->ahead_ms = clock_wall_ms() - clock_store_ms();
    s->timer.data = s;
    uv_timer_init(o->loop, &s->timer);
    uv_unref((uv_handle_t *)&s->timer);
    return s;
}

static struct schedule_entry *entry_new(struct schedules *s, const struct key *k)
{
    struct schedule_entry *e = entry_add(&s->entries, k);
    e->home = s;
    e->heap = &s->by_wall;
    return e;
}

void schedules_start(struct schedules *s)
{
    struct store_txn *t = store_read(s->o.store);
    struct store_cursor *c = store_cursor(t, T_SCHEDULES);
    struct str k, v;
    for (bool more = store_seek(c, STR(""), &k, &v); more; more = store_next(c, &k, &v)) {
        struct key key = {0};
        key_bytes(&key, k);
        entry_new(s, &key);
    }
    store_cursor_close(c);
    store_read_end(t);
    s->started = true;
    s->unseen = s->entries.count;
    arm(s);
}

void schedules_changed(struct schedules *s, const struct schedule_name *n)
{
    struct key k = key_of(n);
    struct schedule_entry *e = entry_find(&s->entries, key_str(&k));
    if (!e)
        e = entry_new(s, &k);
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
    while (s->entries.count)
        entry_forget(&s->entries, s->entries.all[0]);
    free(s->entries.all);
    free(s->by_wall.of);
    free(s->by_store.of);
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
    f->times[0] = clock_wall_ms() / 1000;
    f->count = 1;
    f->done = done;
    f->ctx = ctx;
    s->jobs++;
    store_submit(s->o.store, &f->job);
}
