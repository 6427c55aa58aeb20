/* plans: the other opinion on schedules.
 *
 * Each committed change of a schedule's row is compared with the events that were written beside it.
 * What was due between the old place and the new one must have been run, once, but for what was missed
 * by more than a minute and given up as the policy says. A time that was run never comes again, however
 * the wall clock is set; and what the wall clock passes while all is well has been run, also when it
 * had been given up before the clock was set back. */
#include "sim.h"

#include <inttypes.h>

enum { PLANS = 6, LATE_S = 60, DUE_MAX = 1000 };

static struct plan {
    char name[4], target[8];
    bool there; /* as far as is committed */
    struct schedule_expr expr;
    const struct zone *zone;
    int64_t base_s;
    uint64_t policy;
    int64_t *ran; /* wall s, ascending: its times that were run */
    size_t ran_n, ran_cap;
    int64_t skipped_to_s; /* of the last interval that was given up, and … */
    unsigned skips;       /* … how many there were */
} plans[PLANS];

static struct zone *paris;
static int64_t calm_wall_s; /* since then all is well */

void plans_begin(void)
{
    paris = zone_load(STR("Europe/Paris"));
    MUST(paris, "there is no tzdata");
    for (int i = 0; i < PLANS; i++) {
        free(plans[i].ran);
        plans[i] = (struct plan){0};
        snprintf(plans[i].name, sizeof plans[i].name, "p%d", i);
    }
}

static struct schedule_name name_of(const struct plan *p)
{
    return (struct schedule_name){STR(SCHEDULE_KIND_RULE), STR("default"), str_c(p->name)};
}

/* --- what somebody asks for --------------------------------------------------------------------- */

struct wish {
    struct job job;
    struct plan *plan;
    bool remove;
    struct buf rec;
};

static int wish_apply(struct job *job, struct store_txn *t)
{
    struct wish *w = (struct wish *)job;
    struct schedule_name n = name_of(w->plan);
    return w->remove ? schedule_del(t, &n) : schedule_put(t, &n, buf_str(&w->rec));
}

static void wish_done(struct job *job, int rc)
{
    struct wish *w = (struct wish *)job;
    struct schedule_name n = name_of(w->plan);
    if (rc == 0 && !world.ending)
        schedules_changed(schedules, &n);
    buf_deinit(&w->rec);
    free(w);
}

static struct str write_expr(char out[static 64])
{
    static const char *const texts[] = {
        "rate(1 minute)",    "rate(1 minute)",      "rate(7 minutes)",    "cron(* * * * ? *)",
        "cron(* * * * ? *)", "cron(0/5 * * * ? *)", "cron(30 2 * * ? *)", "cron(0 0/3 ? * * *)"};
    struct clock_parts c;
    if (!once_in(10))
        return str_c(texts[pick(8)]);
    clock_split(clock_wall_ms() + (int64_t)pick(900) * 1000, &c);
    return str_of(out, (size_t)snprintf(out, 64, "at(%04d-%02d-%02dT%02d:%02d:%02d)", c.year,
                                        c.month, c.day, c.hour, c.minute, c.second));
}

void plans_change(void)
{
    struct plan *p = &plans[pick(PLANS)];
    struct wish *w = calloc(1, sizeof *w);
    char expr_text[64], arn[100];
    if (!w)
        abort();
    w->job = (struct job){.apply = wish_apply, .done = wish_done};
    w->plan = p;
    w->remove = p->there && once_in(4);
    struct str expr = write_expr(expr_text);
    snprintf(arn, sizeof arn, "arn:aws:lambda:us-east-1:000000000000:function:f%d",
             (int)pick(FUNCTIONS));
    rec_put_u64(&w->rec, SCHEDULE_ID, store_new_id(disk));
    rec_put_u64(&w->rec, SCHEDULE_CREATED_MS, (uint64_t)clock_wall_ms());
    schedule_put_place(&w->rec, expr, (struct str){0});
    rec_put_str(&w->rec, SCHEDULE_EXPR, expr);
    if (once_in(3))
        rec_put_str(&w->rec, SCHEDULE_ZONE, STR("Europe/Paris"));
    if (once_in(8))
        rec_put_u64(&w->rec, SCHEDULE_DISABLED, 1);
    rec_put_u64(&w->rec, SCHEDULE_MISSED_POLICY, pick(3));
    size_t mark = rec_begin(&w->rec, SCHEDULE_TARGET);
    rec_put_str(&w->rec, TARGET_ID, STR("t"));
    rec_put_str(&w->rec, TARGET_ARN, str_c(arn));
    rec_end(&w->rec, mark);
    trace("%s: %s %.*s", p->name, w->remove ? "removed" : "put", STR_FMT(expr));
    store_submit(disk, &w->job);
}

/* --- what was run ------------------------------------------------------------------------------- */

/* Its place in p->ran, or where it would be. */
static size_t place_of(const struct plan *p, int64_t at_s)
{
    size_t low = 0, high = p->ran_n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (p->ran[mid] < at_s)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool has_run(const struct plan *p, int64_t at_s)
{
    size_t i = place_of(p, at_s);
    return i < p->ran_n && p->ran[i] == at_s;
}

static void note_run(struct plan *p, int64_t at_s)
{
    size_t i = place_of(p, at_s);
    MUST(!has_run(p, at_s), "%s runs twice for %" PRId64, p->name, at_s);
    if (p->ran_n == p->ran_cap) {
        p->ran_cap = p->ran_cap ? 2 * p->ran_cap : 64;
        p->ran = realloc(p->ran, p->ran_cap * sizeof *p->ran);
        if (!p->ran)
            abort();
    }
    memmove(p->ran + i + 1, p->ran + i, (p->ran_n++ - i) * sizeof *p->ran);
    p->ran[i] = at_s;
}

static bool is_rate(const struct plan *p)
{
    return p->expr.kind == SCHEDULE_RATE;
}

static int64_t after(const struct plan *p, int64_t at_s)
{
    return schedule_next_s(&p->expr, p->zone, p->base_s, at_s);
}

/* The times that a job's events were made for. */
static size_t times_in(const struct plan *p, const struct change *c, size_t n, int64_t out[DUE_MAX])
{
    char rule[32];
    size_t count = 0;
    snprintf(rule, sizeof rule, "rule/%s\"]", p->name);
    for (size_t i = 0; i < n; i++) {
        if (c[i].table != T_EVENTS || c[i].old || row_key(c[i].new).n != 9)
            continue;
        struct str text = row_val(c[i].new);
        ptrdiff_t at = str_find(text, STR("\"time\":\""));
        int64_t ms = 0;
        MUST(at > 0 && str_find(text, str_c(rule)) > 0 && count < DUE_MAX &&
                 clock_parse(str_of(text.p + at + 8, 20), &ms),
             "an event of %s: %.*s", p->name, STR_FMT(text));
        out[count++] = ms / 1000;
    }
    return count;
}

/* What was to be run of (last, now]; old: the row before. What was due before recent_s was missed. */
static size_t expected(const struct plan *p, struct str old, int64_t now_s, int64_t recent_s,
                       int64_t out[DUE_MAX])
{
    int64_t last_s = (int64_t)rec_u64(old, SCHEDULE_LAST_S, 0),
            from_s = (int64_t)rec_u64(old, SCHEDULE_SKIPPED_FROM_S, 0),
            to_s = (int64_t)rec_u64(old, SCHEDULE_SKIPPED_TO_S, 0), first = -1;
    size_t n = 0;
    if (to_s > now_s + 1) /* the clock was set back: that had not been missed after all */
        to_s = recent_s;
    for (int64_t at = after(p, last_s); at >= 0 && at <= now_s && n < DUE_MAX; at = after(p, at)) {
        if (at >= from_s && at < to_s) {
            at = to_s - 1; /* given up before */
            continue;
        }
        first = first < 0 ? at : first;
        if (p->policy != MISSED_ALL && at < recent_s) {
            if (at == first && p->policy == MISSED_ONCE)
                out[n++] = at;
            at = at < recent_s - 1 ? recent_s - 1 : at; /* the rest of them is given up */
            continue;
        }
        out[n++] = at;
    }
    return n;
}

/* It was put anew: what it did before is not compared. */
static void begins(struct plan *p, struct str rec)
{
    struct str arn, zone = rec_str(rec, SCHEDULE_ZONE);
    p->there = schedule_parse(rec_str(rec, SCHEDULE_EXPR), &p->expr, NULL) == 0 &&
               !rec_u64(rec, SCHEDULE_DISABLED, 0);
    p->zone = zone.n ? paris : NULL;
    p->base_s = (int64_t)rec_u64(rec, SCHEDULE_CREATED_MS, 0) / 1000;
    p->policy = rec_u64(rec, SCHEDULE_MISSED_POLICY, MISSED_ONCE);
    p->ran_n = 0;
    p->skips = 0;
    p->skipped_to_s = (int64_t)rec_u64(rec, SCHEDULE_SKIPPED_TO_S, 0);
    arn = rec_str(rec_str(rec, SCHEDULE_TARGET), TARGET_ARN);
    snprintf(p->target, sizeof p->target, "%.*s", STR_FMT(str_from(arn, arn.n - 2)));
}

static void moves(struct plan *p, struct str old, struct str new, const struct change *c, size_t n)
{
    static int64_t ran[DUE_MAX], want[DUE_MAX];
    int64_t last_s = (int64_t)rec_u64(old, SCHEDULE_LAST_S, 0),
            now_s = (int64_t)rec_u64(new, SCHEDULE_LAST_S, 0),
            to_s = (int64_t)rec_u64(new, SCHEDULE_SKIPPED_TO_S, 0);
    /* it may have been run in parts: what was missed is seen from where the first of them was */
    int64_t recent_s = to_s && to_s != p->skipped_to_s ? to_s : now_s - LATE_S;
    size_t count = times_in(p, c, n, ran), want_n = expected(p, old, now_s, recent_s, want);
    trace("%s: %" PRId64 " -> %" PRId64 ", runs %zu of %zu from %" PRId64 ", given up %" PRId64
          " to %" PRId64,
          p->name, last_s, now_s, count, want_n, count ? ran[0] : 0,
          (int64_t)rec_u64(new, SCHEDULE_SKIPPED_FROM_S, 0), to_s);
    MUST(now_s >= last_s && recent_s >= now_s - LATE_S, "%s goes back", p->name);
    MUST(!is_rate(p) || p->policy == MISSED_ALL || recent_s <= clock_store_ms() / 1000 - LATE_S,
         "%s gives up what is due", p->name);
    stats.fired += count;
    if (to_s && to_s != p->skipped_to_s)
        p->skips++;
    p->skipped_to_s = to_s;
    const struct actor *target = actor_named(str_c(p->target));
    if (count == 0 && (!target->fn || target->gone_ns >= 0)) { /* whom it runs may have been gone */
        for (size_t k = 0; k < want_n && !is_rate(p); k++)
            note_run(p, want[k]);
        return;
    }
    if (now_s == last_s) { /* the clock was set back */
        for (size_t i = 0; i < count; i++)
            MUST(ran[i] >= (int64_t)rec_u64(old, SCHEDULE_SKIPPED_FROM_S, 0) &&
                     ran[i] < (int64_t)rec_u64(old, SCHEDULE_SKIPPED_TO_S, 0) &&
                     after(p, ran[i] - 1) == ran[i],
                 "%s runs for %" PRId64 ", which had not been given up", p->name, ran[i]);
    } else {
        MUST(count == want_n, "%s runs %zu times instead of %zu", p->name, count, want_n);
        for (size_t i = 0; i < count && !is_rate(p); i++)
            MUST(ran[i] == want[i], "%s runs for %" PRId64 " instead of %" PRId64, p->name, ran[i],
                 want[i]);
    }
    for (size_t i = 0; i < count && !is_rate(p); i++)
        note_run(p, ran[i]);
}

void plans_committed(const struct change *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (c[i].table != T_SCHEDULES)
            continue;
        struct str key = row_key(c[i].new ? c[i].new : c[i].old), old = row_val(c[i].old),
                   new = row_val(c[i].new);
        struct plan *p = &plans[key.p[key.n - 2] - '0'];
        if (!c[i].new)
            p->there = false;
        else if (rec_u64(old, SCHEDULE_ID, 0) != rec_u64(new, SCHEDULE_ID, 0))
            begins(p, new);
        else
            moves(p, old, new, c, n);
    }
}

/* --- at the end --------------------------------------------------------------------------------- */

void plans_calm(void)
{
    calm_wall_s = clock_wall_ms() / 1000;
}

void plans_settled(void)
{
    int64_t wall_s = clock_wall_ms() / 1000, store_s = clock_store_ms() / 1000;
    for (struct plan *p = plans; p < plans + PLANS; p++) {
        struct schedule_name n = name_of(p);
        struct key k = {0};
        key_name(key_name(key_name(&k, n.kind), n.group), n.name);
        const struct row *r = disk_find(T_SCHEDULES, key_str(&k));
        if (!p->there || !r)
            continue;
        int64_t last_s = (int64_t)rec_u64(row_val(r), SCHEDULE_LAST_S, 0);
        int64_t next = after(p, last_s), now_s = is_rate(p) ? store_s : wall_s;
        MUST(next < 0 || next > now_s - 2, "%s has not run for %" PRId64, p->name, next);
        int64_t from_s = (int64_t)rec_u64(row_val(r), SCHEDULE_SKIPPED_FROM_S, 0);
        bool forgotten = p->skips + (calm_wall_s < p->base_s) > 1 || calm_wall_s < from_s;
        if (is_rate(p) || forgotten) /* of what was given up one part is remembered */
            continue;
        for (int64_t at = after(p, calm_wall_s + LATE_S); at >= 0 && at < wall_s - 2;
             at = after(p, at))
            MUST(has_run(p, at), "%s was due at %" PRId64 " and did not run", p->name, at);
    }
}
