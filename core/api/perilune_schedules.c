/* perilune_schedules: rules and schedules alike, for people and their tools.
 *
 *   GET  /perilune/v1/schedules?cursor=              {"schedules":[ROW, …], "cursor": text or null}
 *   GET  /perilune/v1/schedules/KIND/NAME            ROW
 *   POST /perilune/v1/schedules/KIND/NAME/run        202: runs now, beside its times
 *   POST /perilune/v1/schedules/KIND/NAME/pause      ROW
 *   POST /perilune/v1/schedules/KIND/NAME/resume     ROW; what was due meanwhile is not made up for
 *   POST /perilune/v1/schedules/KIND/NAME/policy     {"missed","overlap"}, either: ROW
 *   POST /perilune/v1/check-schedule                 {"expression","timezone"}:
 *                                                    {"error": text or null, "next":[…]}
 *
 * KIND is "rule" or "schedule". ROW: {"kind","name","arn","expression","timezone","state",
 * "description","missed":"once"|"skip"|"all","overlap":"run"|"skip","targets":[ARN, …],
 * "next":["2026-11-27T09:00:00Z", … five at most]}. */
#include "api/schedules.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rec.h"

enum { PAGE = 100, NEXT = 5 };

static const char *const missed_names[] = {
    [MISSED_ONCE] = "once", [MISSED_SKIP] = "skip", [MISSED_ALL] = "all"};
static const char *const overlap_names[] = {[OVERLAP_RUN] = "run", [OVERLAP_SKIP] = "skip"};

static const char *policy_name(const char *const *names, size_t count, struct str rec, uint16_t tag)
{
    uint64_t v = rec_u64(rec, tag, 0);
    return names[v < count ? v : 0];
}

static json_t *times_json(const int64_t *next, size_t count)
{
    char text[25];
    json_t *times = json_array();
    for (size_t i = 0; i < count; i++) {
        clock_iso8601(next[i] * 1000, text);
        snprintf(text + 19, 2, "Z");
        json_array_append_new(times, json_string(text));
    }
    return times;
}

static json_t *row_json(struct call *c, const struct schedule_name *n, struct str rec)
{
    int64_t next[NEXT];
    struct str zone = rec_str(rec, SCHEDULE_ZONE), rest = rec, v;
    json_t *o = json_object(), *targets = json_array();
    uint16_t tag;
    json_object_set_new(o, "kind", json_text(n->kind));
    json_object_set_new(o, "name", json_text(n->name));
    json_object_set_new(o, "arn", json_text(schedules_arn(c, n)));
    json_object_set_new(o, "expression", json_text(rec_str(rec, SCHEDULE_EXPR)));
    json_object_set_new(o, "timezone", json_text(zone.n ? zone : STR("UTC")));
    json_object_set_new(o, "state",
                        json_string(rec_u64(rec, SCHEDULE_DISABLED, 0) ? "DISABLED" : "ENABLED"));
    json_object_set_new(o, "description", json_text(rec_str(rec, SCHEDULE_DESCRIPTION)));
    json_object_set_new(o, "missed",
                        json_string(policy_name(missed_names, 3, rec, SCHEDULE_MISSED_POLICY)));
    json_object_set_new(o, "overlap",
                        json_string(policy_name(overlap_names, 2, rec, SCHEDULE_OVERLAP_POLICY)));
    while (rec_next(&rest, &tag, &v))
        if (tag == SCHEDULE_TARGET)
            json_array_append_new(targets, json_text(rec_str(v, TARGET_ARN)));
    json_object_set_new(o, "targets", targets);
    size_t count = schedule_upcoming(rec, next, NEXT);
    json_object_set_new(o, "next", times_json(next, count));
    return o;
}

/* --- the list ----------------------------------------------------------------------------------- */

struct listing {
    json_t *items;
    struct call *c;
    struct str last; /* KIND/NAME of the last row */
    bool more;
};

static bool list_one(void *ctx, const struct schedule_name *n, struct str rec)
{
    struct listing *l = ctx;
    if (json_array_size(l->items) == PAGE)
        return !(l->more = true);
    json_array_append_new(l->items, row_json(l->c, n, rec));
    l->last = arena_printf(l->c->arena, "%.*s/%.*s", STR_FMT(n->kind), STR_FMT(n->name));
    return true;
}

void perilune_schedule_list(struct call *c)
{
    static const char *const kinds[] = {SCHEDULE_KIND_RULE, SCHEDULE_KIND_SCHEDULE};
    struct listing l = {.items = json_array(), .c = c};
    struct str cursor = call_query(c, "cursor"), name = cursor, kind = str_cut(&name, '/');
    struct store_txn *t = store_read(c->svc->store);
    for (size_t i = 0; i < 2 && !l.more; i++) {
        struct schedule_name after = {str_c(kinds[i]), STR("default"), name};
        bool from_here = name.p && str_is(kind, kinds[i]);
        if (name.p && !from_here && str_is(kind, SCHEDULE_KIND_SCHEDULE))
            continue; /* the page before ended in the second kind */
        schedule_each(t, str_c(kinds[i]), from_here ? &after : NULL, true, list_one, &l);
    }
    store_read_end(t);
    json_t *o = json_object();
    json_object_set_new(o, "schedules", l.items);
    json_object_set_new(o, "cursor", l.more ? json_text(l.last) : json_null());
    call_json(c, 200, o);
}

/* --- one ---------------------------------------------------------------------------------------- */

static int read_place(struct call *c, struct schedule_name *n, struct err *err)
{
    struct str kind = c->param[0];
    if (!str_is(kind, SCHEDULE_KIND_RULE) && !str_is(kind, SCHEDULE_KIND_SCHEDULE))
        return err_set(err, E_NOT_FOUND, "There are rules and schedules (\"rule\", \"schedule\").");
    *n = (struct schedule_name){kind, STR("default"), c->param[1]};
    return schedules_check_name(n->name, "name", err);
}

static int not_there(const struct schedule_name *n, struct err *err)
{
    return err_set(err, E_NOT_FOUND, "There is no %.*s %.*s.", STR_FMT(n->kind), STR_FMT(n->name));
}

static void reply_row(struct call *c, const struct schedule_name *n)
{
    struct err err = {0};
    struct str rec;
    json_t *o = NULL;
    struct store_txn *t = store_read(c->svc->store);
    int rc = schedule_get(t, n, &rec);
    if (rc == 0)
        o = row_json(c, n, rec);
    store_read_end(t);
    if (rc == E_NOT_FOUND)
        not_there(n, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, 200, o);
}

void perilune_schedule_get(struct call *c)
{
    struct schedule_name n;
    struct err err = {0};
    int rc = read_place(c, &n, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        reply_row(c, &n);
}

static void ran(void *ctx, int rc, const struct err *err)
{
    struct call *c = ctx;
    if (rc)
        call_error(c, rc, err && err->code ? err : NULL);
    else
        call_json(c, 202, json_object());
}

void perilune_schedule_run(struct call *c)
{
    struct schedule_name n;
    struct err err = {0};
    int rc = read_place(c, &n, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        schedule_run_now(c->svc->schedules, &n, ran, c);
}

static int change_state(struct schedules_job *j, struct str row)
{
    return row.p ? schedules_set_state(j, row, j->user != NULL) : not_there(&j->name, &j->err);
}

static void reply_changed(struct schedules_job *j)
{
    reply_row(j->c, &j->name);
}

/* Changes that row and answers with what it has become. */
static void submit(struct call *c, const struct schedule_name *n,
                   int (*change)(struct schedules_job *j, struct str row), void *user)
{
    bool rule = str_is(n->kind, SCHEDULE_KIND_RULE);
    struct schedules_job *j =
        schedules_job(c, rule ? SCHEDULE_KIND_RULE : SCHEDULE_KIND_SCHEDULE, n->group, n->name);
    if (!j)
        return;
    j->user = user;
    j->change = change;
    j->reply = reply_changed;
    schedules_submit(j);
}

static void set_state(struct call *c, void *disabled)
{
    struct schedule_name n;
    struct err err = {0};
    int rc = read_place(c, &n, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        submit(c, &n, change_state, disabled);
}

void perilune_schedule_pause(struct call *c)
{
    set_state(c, c);
}

void perilune_schedule_resume(struct call *c)
{
    set_state(c, NULL);
}

/* --- policies ----------------------------------------------------------------------------------- */

enum { KEPT = -1 };

struct policies {
    int missed, overlap; /* KEPT: as it is */
};

static int change_policies(struct schedules_job *j, struct str row)
{
    const struct policies *p = j->user;
    uint16_t set[] = {SCHEDULE_MODIFIED_MS, 0, 0, 0};
    size_t n = 1;
    if (!row.p)
        return not_there(&j->name, &j->err);
    if (p->missed != KEPT)
        set[n++] = SCHEDULE_MISSED_POLICY;
    if (p->overlap != KEPT)
        set[n++] = SCHEDULE_OVERLAP_POLICY;
    schedules_keep(&j->rec, row, set);
    rec_put_u64(&j->rec, SCHEDULE_MODIFIED_MS, (uint64_t)clock_wall_ms());
    if (p->missed != KEPT)
        rec_put_u64(&j->rec, SCHEDULE_MISSED_POLICY, (uint64_t)p->missed);
    if (p->overlap != KEPT)
        rec_put_u64(&j->rec, SCHEDULE_OVERLAP_POLICY, (uint64_t)p->overlap);
    return j->rec.rc;
}

static int read_policy(struct call *c, const char *member, const char *const *names, int count,
                       const char *choices, int *out, struct err *err)
{
    struct str s;
    int rc = json_member_str(c->json, member, &s, err);
    *out = KEPT;
    for (int i = 0; i < count && rc == 0; i++)
        if (str_is(s, names[i]))
            *out = i;
    return rc || !s.n || *out != KEPT ? rc
                                      : err_set(err, E_INVALID, "'%s' must be %s", member, choices);
}

void perilune_schedule_policy(struct call *c)
{
    struct schedule_name n;
    struct err err = {0};
    struct policies *p = arena_zalloc(c->arena, sizeof *p);
    int rc = p ? read_place(c, &n, &err) : E_LIMIT;
    if (rc == 0)
        rc = read_policy(c, "missed", missed_names, 3, "once, skip or all", &p->missed, &err);
    if (rc == 0)
        rc = read_policy(c, "overlap", overlap_names, 2, "run or skip", &p->overlap, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        submit(c, &n, change_policies, p);
}

/* --- an expression, before it is anybody's -------------------------------------------------------- */

void perilune_schedule_check(struct call *c)
{
    struct err err = {0};
    struct str expr, zone_name;
    struct schedule_expr e;
    struct zone *zone = NULL;
    int64_t next[NEXT], now_s = clock_wall_ms() / 1000, at = now_s;
    size_t count = 0;
    int rc = json_member_str(c->json, "expression", &expr, &err);
    if (rc == 0)
        rc = json_member_str(c->json, "timezone", &zone_name, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    rc = schedule_parse(expr, &e, &err);
    if (rc == 0 && !(zone = zone_load(zone_name.n ? zone_name : STR("UTC"))))
        rc = err_set(&err, E_INVALID, "There is no time zone %.*s (such as Europe/Paris)",
                     zone_name.n > 80 ? 80 : (int)zone_name.n, zone_name.p);
    while (rc == 0 && count < NEXT && (at = schedule_next_s(&e, zone, now_s, at)) >= 0)
        next[count++] = at;
    zone_free(zone);
    json_t *o = json_object();
    json_object_set_new(o, "error", rc ? json_string(err_text(&err, rc)) : json_null());
    json_object_set_new(o, "next", times_json(next, count));
    call_json(c, 200, o);
}
