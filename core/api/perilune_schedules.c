/* perilune_schedules: rules and schedules alike, for people and their tools.
 *
 *   GET  /perilune/v1/schedules?cursor=              {"schedules":[ROW, …], "cursor": text or null}
 *   GET  /perilune/v1/schedules/KIND/NAME            ROW
 *   POST /perilune/v1/schedules/KIND/NAME/run        202: runs now, beside its times
 *   POST /perilune/v1/schedules/KIND/NAME/pause      ROW
 *   POST /perilune/v1/schedules/KIND/NAME/resume     ROW; what was due meanwhile is not made up for
 *
 * KIND is "rule" or "schedule". ROW: {"kind","name","expression","timezone","state","description",
 * "targets":[ARN, …],"next":["2026-11-27T09:00:00Z", … five at most]}. */
#include "api/schedules.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rec.h"

enum { PAGE = 100, NEXT = 5 };

static json_t *row_json(const struct schedule_name *n, struct str rec)
{
    int64_t next[NEXT];
    char text[25];
    struct str zone = rec_str(rec, SCHEDULE_ZONE), rest = rec, v;
    json_t *o = json_object(), *targets = json_array(), *times = json_array();
    uint16_t tag;
    json_object_set_new(o, "kind", json_text(n->kind));
    json_object_set_new(o, "name", json_text(n->name));
    json_object_set_new(o, "expression", json_text(rec_str(rec, SCHEDULE_EXPR)));
    json_object_set_new(o, "timezone", json_text(zone.n ? zone : STR("UTC")));
    json_object_set_new(o, "state",
                        json_string(rec_u64(rec, SCHEDULE_DISABLED, 0) ? "DISABLED" : "ENABLED"));
    json_object_set_new(o, "description", json_text(rec_str(rec, SCHEDULE_DESCRIPTION)));
    while (rec_next(&rest, &tag, &v))
        if (tag == SCHEDULE_TARGET)
            json_array_append_new(targets, json_text(rec_str(v, TARGET_ARN)));
    json_object_set_new(o, "targets", targets);
    size_t count = schedule_upcoming(rec, clock_wall_ms() / 1000, next, NEXT);
    for (size_t i = 0; i < count; i++) {
        clock_iso8601(next[i] * 1000, text);
        snprintf(text + 19, 2, "Z");
        json_array_append_new(times, json_string(text));
    }
    json_object_set_new(o, "next", times);
    return o;
}

/* --- the list ----------------------------------------------------------------------------------- */

struct listing {
    json_t *items;
    struct arena *arena;
    struct str last; /* KIND/NAME of the last row */
    bool more;
};

static bool list_one(void *ctx, const struct schedule_name *n, struct str rec)
{
    struct listing *l = ctx;
    if (json_array_size(l->items) == PAGE)
        return !(l->more = true);
    json_array_append_new(l->items, row_json(n, rec));
    l->last = arena_printf(l->arena, "%.*s/%.*s", STR_FMT(n->kind), STR_FMT(n->name));
    return true;
}

void perilune_schedule_list(struct call *c)
{
    static const char *const kinds[] = {SCHEDULE_KIND_RULE, SCHEDULE_KIND_SCHEDULE};
    struct listing l = {.items = json_array(), .arena = c->arena};
    struct str cursor = call_query(c, "cursor"), name = cursor, kind = str_cut(&name, '/');
    struct store_txn *t = store_read(c->svc->store);
    for (size_t i = 0; i < 2 && !l.more; i++) {
        struct schedule_name after = {str_c(kinds[i]), STR("default"), name};
        bool from_here = name.p && str_is(kind, kinds[i]);
        if (name.p && !from_here && str_is(kind, SCHEDULE_KIND_SCHEDULE))
            continue; /* the page before ended in the second kind */
        schedule_each(t, str_c(kinds[i]), from_here ? &after : NULL, list_one, &l);
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
        o = row_json(n, rec);
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

static void set_state(struct call *c, void *disabled)
{
    struct schedule_name n;
    struct err err = {0};
    int rc = read_place(c, &n, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    bool rule = str_is(n.kind, SCHEDULE_KIND_RULE);
    struct schedules_job *j =
        schedules_job(c, rule ? SCHEDULE_KIND_RULE : SCHEDULE_KIND_SCHEDULE, n.group, n.name);
    if (!j)
        return;
    j->user = disabled;
    j->change = change_state;
    j->reply = reply_changed;
    schedules_submit(j);
}

void perilune_schedule_pause(struct call *c)
{
    set_state(c, c);
}

void perilune_schedule_resume(struct call *c)
{
    set_state(c, NULL);
}
