/* scheduler: EventBridge Scheduler: one function, on time, in a time zone.
 *
 * Who writes a schedule must be allowed to pass its target's role, and the service to assume it;
 * that it lets it invoke the function is asked when it is due. A flexible window is kept and
 * answered; runs come at its beginning. An at() that is past is taken, as AWS takes it. The one
 * group: scheduler_groups. Shapes: botocore's model scheduler/2021-06-30. */
#include "api/schedules.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rec.h"

enum { PAGE = 100, INPUT_MAX = 256 * 1024, TIMEZONE_MAX = 50 };
#define GROUP STR(SCHEDULER_GROUP)

static int absent(struct str name, struct err *err)
{
    return err_set(err, E_NOT_FOUND, "Schedule %.*s does not exist.", STR_FMT(name));
}

/* --- create, update ----------------------------------------------------------------------------- */

struct given {
    struct str expr, zone, state, description, arn, role, input, mode;
    double start_s, end_s; /* 0: not given */
    int64_t window_min;
    struct schedules_retry retry;
    struct str after;
    bool create;
};

/* Times in JSON are seconds since 1970. */
static int read_time(json_t *o, const char *name, double *out, struct err *err)
{
    json_t *v = json_object_get(o, name);
    if (v && !json_is_null(v) && (!json_is_number(v) || json_number_value(v) <= 0))
        return err_set(err, E_RULE_INVALID, "Invalid %s.", name);
    *out = json_is_number(v) ? json_number_value(v) : 0;
    return 0;
}

static int read_target(struct call *c, struct given *g, struct err *err)
{
    json_t *target = NULL;
    int rc = json_member_object(c->json, "Target", &target, err);
    if (rc == 0 && !target)
        rc = err_set(err, E_RULE_INVALID, "Target is required.");
    if (rc == 0)
        rc = json_member_str(target, "Arn", &g->arn, err);
    if (rc == 0)
        rc = json_member_str(target, "RoleArn", &g->role, err);
    if (rc == 0)
        rc = json_member_str(target, "Input", &g->input, err);
    if (rc == 0)
        rc = schedules_read_retry(target, "target", &g->retry, err);
    if (rc == 0)
        rc = schedules_check_target(c, g->arn, err);
    if (rc == 0 && !role_name_of(g->role).p)
        rc = err_set(err, E_RULE_INVALID, "Target.RoleArn must be the ARN of a role.");
    json_t *input = rc == 0 && g->input.n ? json_parse(g->input, NULL) : NULL;
    if (rc == 0 && g->input.n && (!input || g->input.n > INPUT_MAX))
        rc = err_set(err, E_RULE_INVALID, "Target.Input must be JSON of at most %d bytes.",
                     INPUT_MAX);
    json_decref(input);
    return rc;
}

static int read_window(struct call *c, struct given *g, struct err *err)
{
    json_t *window = NULL;
    int rc = json_member_object(c->json, "FlexibleTimeWindow", &window, err);
    if (rc == 0 && !window)
        rc = err_set(err, E_RULE_INVALID, "FlexibleTimeWindow is required.");
    if (rc == 0)
        rc = json_member_str(window, "Mode", &g->mode, err);
    if (rc == 0)
        rc = json_member_int(window, "MaximumWindowInMinutes", &g->window_min, err);
    bool flexible = str_is(g->mode, "FLEXIBLE");
    if (rc == 0 && ((!flexible && !str_is(g->mode, "OFF")) ||
                    (flexible ? g->window_min < 1 || g->window_min > 1440 : g->window_min != 0)))
        rc = err_set(err, E_RULE_INVALID, "Invalid FlexibleTimeWindow.");
    return rc;
}

static int read_given(struct call *c, struct given *g, struct err *err)
{
    static const char *const members[] = {"ScheduleExpression", "ScheduleExpressionTimezone",
                                          "State", "Description", "ActionAfterCompletion"};
    struct str *const into[] = {&g->expr, &g->zone, &g->state, &g->description, &g->after};
    struct schedule_expr e;
    struct str group;
    int rc = json_member_str(c->json, "GroupName", &group, err);
    for (size_t i = 0; i < sizeof members / sizeof *members && rc == 0; i++)
        rc = json_member_str(c->json, members[i], into[i], err);
    if (rc == 0)
        rc = scheduler_check_group(group, err);
    if (rc == 0)
        rc = schedules_check_name(c->param[0], "name", err);
    if (rc == 0 && schedule_parse(g->expr, &e, NULL))
        rc = err_set(err, E_RULE_INVALID, "Invalid Schedule Expression %.*s.",
                     g->expr.n > 100 ? 100 : (int)g->expr.n, g->expr.p ? g->expr.p : "");
    if (rc == 0)
        rc = schedules_check_zone(g->zone, err);
    if (rc == 0 && g->state.n && !str_is(g->state, "ENABLED") && !str_is(g->state, "DISABLED"))
        rc = err_set(err, E_RULE_INVALID, "State must be ENABLED or DISABLED.");
    if (rc == 0 && g->after.n && !str_is(g->after, "NONE") && !str_is(g->after, "DELETE"))
        rc = err_set(err, E_RULE_INVALID, "ActionAfterCompletion must be NONE or DELETE.");
    if (rc == 0 && g->description.n > 512)
        rc = err_set(err, E_RULE_INVALID, "A description has at most 512 characters.");
    if (rc == 0)
        rc = read_time(c->json, "StartDate", &g->start_s, err);
    if (rc == 0)
        rc = read_time(c->json, "EndDate", &g->end_s, err);
    if (rc == 0 && g->start_s > 0 && g->end_s > 0 && g->end_s <= g->start_s)
        rc = err_set(err, E_RULE_INVALID, "EndDate must be after StartDate.");
    if (rc == 0)
        rc = read_window(c, g, err);
    return rc ? rc : read_target(c, g, err);
}

static void put_text(struct buf *b, uint16_t tag, struct str v)
{
    if (v.n)
        rec_put_str(b, tag, v);
}

static void put_target(struct buf *b, const struct given *g)
{
    size_t mark = rec_begin(b, SCHEDULE_TARGET);
    rec_put_str(b, TARGET_ID, STR("target"));
    rec_put_str(b, TARGET_ARN, g->arn);
    put_text(b, TARGET_ROLE, g->role);
    put_text(b, TARGET_INPUT, g->input);
    schedules_put_retry(b, &g->retry);
    rec_end(b, mark);
}

/* What AWS has no member for stays when a schedule is written again. */
static void keep_policies(struct buf *b, struct str row)
{
    static const uint16_t tags[] = {SCHEDULE_MISSED_POLICY, SCHEDULE_OVERLAP_POLICY,
                                    SCHEDULE_LAST_EVENT};
    for (size_t i = 0; i < sizeof tags / sizeof *tags && row.p; i++)
        put_text(b, tags[i], rec_str(row, tags[i]));
}

static int change(struct schedules_job *j, struct str row)
{
    const struct given *g = j->user;
    struct buf *b = &j->rec;
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    if (g->create && row.p)
        return err_set(&j->err, E_SCHEDULE_EXISTS, "Schedule %.*s already exists.",
                       STR_FMT(j->name.name));
    if (!g->create && !row.p)
        return absent(j->name.name, &j->err);
    if (!g->role.n && rec_str(rec_str(row, SCHEDULE_TARGET), TARGET_ROLE).n)
        return E_CONFLICT; /* it is another one by now */
    rec_put_u64(b, SCHEDULE_ID,
                row.p ? rec_u64(row, SCHEDULE_ID, 0) : store_new_id(j->c->svc->store));
    rec_put_u64(b, SCHEDULE_CREATED_MS, row.p ? rec_u64(row, SCHEDULE_CREATED_MS, now_ms) : now_ms);
    rec_put_u64(b, SCHEDULE_MODIFIED_MS, now_ms);
    schedule_put_place(b, g->expr, row);
    rec_put_str(b, SCHEDULE_EXPR, g->expr);
    put_text(b, SCHEDULE_ZONE, g->zone);
    put_text(b, SCHEDULE_DESCRIPTION, g->description);
    if (str_is(g->state, "DISABLED"))
        rec_put_u64(b, SCHEDULE_DISABLED, 1);
    if (g->start_s > 0)
        rec_put_u64(b, SCHEDULE_START_MS, (uint64_t)(g->start_s * 1000));
    if (g->end_s > 0)
        rec_put_u64(b, SCHEDULE_END_MS, (uint64_t)(g->end_s * 1000));
    if (g->window_min)
        rec_put_u64(b, SCHEDULE_WINDOW_MIN, (uint64_t)g->window_min);
    if (str_is(g->after, "DELETE"))
        rec_put_u64(b, SCHEDULE_DELETE_AFTER, 1);
    keep_policies(b, row);
    put_target(b, g);
    return b->rc;
}

static void reply_arn(struct schedules_job *j)
{
    call_json(j->c, 200,
              json_pack("{s:o}", "ScheduleArn", json_text(schedules_arn(j->c, &j->name))));
}

/* On behalf of the group: what AWS has trust policies name as the source. */
static int check_role(struct call *c, struct str role, struct err *err)
{
    struct store_txn *t = store_read(c->svc->store);
    int rc = role_assumable(t, role, "scheduler.amazonaws.com", scheduler_group_arn(c));
    store_read_end(t);
    return rc != E_INVALID ? rc
                           : err_set(err, E_RULE_INVALID,
                                     "The execution role you provide must allow AWS EventBridge "
                                     "Scheduler to assume the role.");
}

/* A deployed schedule has no role of its own; clients expect one, and its function has one. */
static struct str role_of(struct call *c, struct store_txn *t, struct str target)
{
    struct str role = rec_str(target, TARGET_ROLE), name, qualifier, rec;
    if (!role.n &&
        arn_function(rec_str(target, TARGET_ARN), str_c(c->svc->region), &name, &qualifier) == 0 &&
        function_record(t, c->svc->region, name, qualifier, &rec, NULL) == 0)
        role = rec_str(rec, FN_ROLE);
    return role;
}

/* A client writes back what it has read of a deployed schedule, the function's role too: it stays one
 * that needs none, as long as it calls the same. */
static bool is_deployed(struct call *c, const struct given *g)
{
    struct schedule_name n = {STR(SCHEDULE_KIND_SCHEDULE), GROUP, c->param[0]};
    struct store_txn *t = store_read(c->svc->store);
    struct str rec, target;
    bool same = !g->create && schedule_get(t, &n, &rec) == 0 &&
                (target = rec_str(rec, SCHEDULE_TARGET)).n && !rec_str(target, TARGET_ROLE).n &&
                str_eq(rec_str(target, TARGET_ARN), g->arn) &&
                str_eq(role_of(c, t, target), g->role);
    store_read_end(t);
    return same;
}

static void write_schedule(struct call *c, bool create)
{
    struct err err = {0};
    struct given *g = arena_zalloc(c->arena, sizeof *g);
    struct schedules_job *j = schedules_job(c, SCHEDULE_KIND_SCHEDULE, GROUP, c->param[0]);
    if (!j)
        return;
    if (!g) {
        call_error(c, E_LIMIT, NULL);
        return;
    }
    g->create = create;
    int rc = read_given(c, g, &err);
    if (rc == 0 && is_deployed(c, g)) {
        g->role = STR("");
    } else if (rc == 0) {
        rc = call_authorise(c, "iam:PassRole", g->role, &err);
        if (rc == 0)
            rc = check_role(c, g->role, &err);
    }
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    j->user = g;
    j->change = change;
    j->reply = reply_arn;
    schedules_submit(j);
}

void scheduler_create(struct call *c)
{
    write_schedule(c, true);
}

void scheduler_update(struct call *c)
{
    write_schedule(c, false);
}

/* --- get, delete, list -------------------------------------------------------------------------- */

static void set_time(json_t *o, const char *name, struct str rec, uint16_t tag)
{
    uint64_t ms = rec_u64(rec, tag, 0);
    if (ms)
        json_object_set_new(o, name, json_real((double)ms / 1000));
}

static void set_text(json_t *o, const char *name, struct str v)
{
    if (v.n)
        json_object_set_new(o, name, json_text(v));
}

static json_t *summary(struct call *c, const struct schedule_name *n, struct str rec)
{
    json_t *o = json_object();
    json_object_set_new(o, "Name", json_text(n->name));
    json_object_set_new(o, "GroupName", json_text(n->group));
    json_object_set_new(o, "Arn", json_text(schedules_arn(c, n)));
    json_object_set_new(o, "State",
                        json_string(rec_u64(rec, SCHEDULE_DISABLED, 0) ? "DISABLED" : "ENABLED"));
    set_time(o, "CreationDate", rec, SCHEDULE_CREATED_MS);
    set_time(o, "LastModificationDate", rec, SCHEDULE_MODIFIED_MS);
    return o;
}

static json_t *target_json(struct str target, struct str role)
{
    json_t *o = json_object();
    uint64_t retries = rec_u64(target, TARGET_RETRIES, 185),
             age = rec_u64(target, TARGET_MAX_AGE_S, 86400);
    json_object_set_new(o, "Arn", json_text(rec_str(target, TARGET_ARN)));
    json_object_set_new(o, "RoleArn", json_text(role));
    set_text(o, "Input", rec_str(target, TARGET_INPUT));
    json_object_set_new(o, "RetryPolicy",
                        json_pack("{s:I,s:I}", "MaximumRetryAttempts", (json_int_t)retries,
                                  "MaximumEventAgeInSeconds", (json_int_t)age));
    return o;
}

static json_t *whole(struct call *c, struct store_txn *t, const struct schedule_name *n,
                     struct str rec)
{
    json_t *o = summary(c, n, rec), *window = json_object();
    struct str target = rec_str(rec, SCHEDULE_TARGET);
    uint64_t minutes = rec_u64(rec, SCHEDULE_WINDOW_MIN, 0);
    struct str zone = rec_str(rec, SCHEDULE_ZONE);
    json_object_set_new(o, "ScheduleExpression", json_text(rec_str(rec, SCHEDULE_EXPR)));
    json_object_set_new(o, "ScheduleExpressionTimezone", json_text(zone.n ? zone : STR("UTC")));
    set_text(o, "Description", rec_str(rec, SCHEDULE_DESCRIPTION));
    set_time(o, "StartDate", rec, SCHEDULE_START_MS);
    set_time(o, "EndDate", rec, SCHEDULE_END_MS);
    json_object_set_new(window, "Mode", json_string(minutes ? "FLEXIBLE" : "OFF"));
    if (minutes)
        json_object_set_new(window, "MaximumWindowInMinutes", json_integer((json_int_t)minutes));
    json_object_set_new(o, "FlexibleTimeWindow", window);
    json_object_set_new(o, "ActionAfterCompletion",
                        json_string(rec_u64(rec, SCHEDULE_DELETE_AFTER, 0) ? "DELETE" : "NONE"));
    json_object_set_new(o, "Target", target_json(target, role_of(c, t, target)));
    return o;
}

void scheduler_get(struct call *c)
{
    struct err err = {0};
    struct str rec;
    json_t *o = NULL;
    int rc = scheduler_check_group(call_query(c, "groupName"), &err);
    if (rc == 0)
        rc = schedules_check_name(c->param[0], "name", &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        struct schedule_name n = {STR(SCHEDULE_KIND_SCHEDULE), GROUP, c->param[0]};
        rc = schedule_get(t, &n, &rec);
        if (rc == 0)
            o = whole(c, t, &n, rec);
        store_read_end(t);
        if (rc == E_NOT_FOUND)
            absent(c->param[0], &err);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, 200, o);
}

static int remove_schedule(struct schedules_job *j, struct str row)
{
    return row.p ? 0 : absent(j->name.name, &j->err);
}

void scheduler_delete(struct call *c)
{
    struct err err = {0};
    int rc = scheduler_check_group(call_query(c, "groupName"), &err);
    if (rc == 0)
        rc = schedules_check_name(c->param[0], "name", &err);
    struct schedules_job *j =
        rc ? NULL : schedules_job(c, SCHEDULE_KIND_SCHEDULE, GROUP, c->param[0]);
    if (rc)
        call_error(c, rc, &err);
    if (!j)
        return;
    j->change = remove_schedule;
    schedules_submit(j);
}

struct listing {
    struct call *c;
    struct str state;
    json_t *items;
    size_t limit, looks;
    bool more;
};

static bool list_one(void *ctx, const struct schedule_name *n, struct str rec)
{
    struct listing *l = ctx;
    bool disabled = rec_u64(rec, SCHEDULE_DISABLED, 0) != 0;
    if (json_array_size(l->items) == l->limit || l->looks++ == SCHEDULES_LOOKS)
        return !(l->more = true);
    if (l->state.n && !str_is(l->state, disabled ? "DISABLED" : "ENABLED"))
        return true;
    json_t *o = summary(l->c, n, rec), *target = json_object();
    json_object_set_new(target, "Arn",
                        json_text(rec_str(rec_str(rec, SCHEDULE_TARGET), TARGET_ARN)));
    json_object_set_new(o, "Target", target);
    json_array_append_new(l->items, o);
    return true;
}

void scheduler_list(struct call *c)
{
    struct err err = {0};
    struct str max = call_query(c, "MaxResults"), token = call_query(c, "NextToken");
    struct listing l = {.c = c, .state = call_query(c, "State")};
    uint64_t limit = PAGE;
    int rc = scheduler_check_group(call_query(c, "ScheduleGroup"), &err);
    if (rc == 0 && max.p && (!str_u64(max, &limit) || limit < 1 || limit > PAGE))
        rc = err_set(&err, E_RULE_INVALID, "MaxResults must be 1 to %d.", PAGE);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    l.limit = (size_t)limit;
    l.items = json_array();
    struct str last =
        schedules_page(c, SCHEDULE_KIND_SCHEDULE, call_query(c, "NamePrefix"), token, list_one, &l);
    json_t *o = json_object();
    json_object_set_new(o, "Schedules", l.items);
    if (l.more)
        json_object_set_new(o, "NextToken", json_text(last));
    call_json(c, 200, o);
}
