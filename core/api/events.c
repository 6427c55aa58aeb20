/* events: rules of EventBridge that fire on a schedule and call functions of this server.
 *
 * One bus, "default". Rules by event pattern have nobody who sends events, so they are refused with
 * that reason. Shapes: botocore's model events/2015-10-07. */
#include "api/events.h"
#include "base/clock.h"
#include "base/rec.h"

enum { PAGE = 100, INPUT_MAX = 8192 };

/* The rule's name in `member`, and the bus, which is the one there is. */
static int read_name(struct call *c, const char *member, struct str *name, struct err *err)
{
    struct str bus;
    int rc = json_member_str(c->json, member, name, err);
    if (rc == 0)
        rc = json_member_str(c->json, "EventBusName", &bus, err);
    if (rc == 0 && bus.n && !str_is(bus, "default") && !str_ends(bus, STR(":event-bus/default")))
        rc = err_set(err, E_NOT_FOUND, "Event bus %.*s does not exist.",
                     bus.n > 80 ? 80 : (int)bus.n, bus.p);
    if (rc == 0)
        rc = schedules_check_name(*name, member, err);
    if (rc == 0)
        *name = arena_dup(c->arena, *name);
    return rc;
}

int events_absent(struct str rule, struct err *err)
{
    return err_set(err, E_NOT_FOUND, "Rule %.*s does not exist on EventBus default.",
                   STR_FMT(rule));
}

int events_get(struct store_txn *t, struct str rule, struct str *rec, struct err *err)
{
    struct schedule_name n = {STR(SCHEDULE_KIND_RULE), EVENTS_BUS, rule};
    int rc = schedule_get(t, &n, rec);
    return rc == E_NOT_FOUND ? events_absent(rule, err) : rc;
}

static struct schedules_job *begin(struct call *c, const char *member)
{
    struct str name;
    struct err err = {0};
    int rc = read_name(c, member, &name, &err);
    if (rc) {
        call_error(c, rc, &err);
        return NULL;
    }
    return schedules_job(c, SCHEDULE_KIND_RULE, EVENTS_BUS, name);
}

/* --- rules -------------------------------------------------------------------------------------- */

struct put_rule {
    struct str expr, description;
    json_t *tags; /* of one that is new */
    bool disabled;
};

static int change_rule(struct schedules_job *j, struct str row)
{
    static const uint16_t set[] = {SCHEDULE_EXPR,        SCHEDULE_DISABLED, SCHEDULE_MODIFIED_MS,
                                   SCHEDULE_DESCRIPTION, SCHEDULE_PLACE,    0};
    struct put_rule *r = j->user;
    struct buf *b = &j->rec;
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    if (row.p) {
        schedules_keep(b, row, set);
    } else {
        rec_put_u64(b, SCHEDULE_ID, store_new_id(j->c->svc->store));
        rec_put_u64(b, SCHEDULE_CREATED_MS, now_ms);
        events_put_tags(b, r->tags);
    }
    rec_put_str(b, SCHEDULE_EXPR, r->expr);
    if (r->description.n)
        rec_put_str(b, SCHEDULE_DESCRIPTION, r->description);
    if (r->disabled)
        rec_put_u64(b, SCHEDULE_DISABLED, 1);
    rec_put_u64(b, SCHEDULE_MODIFIED_MS, now_ms);
    schedule_put_place(b, r->expr, row);
    return b->rc;
}

static void reply_rule_arn(struct schedules_job *j)
{
    struct str arn = schedules_arn(j->c, &j->name);
    call_json(j->c, 200, json_pack("{s:s%}", "RuleArn", arn.p, arn.n));
}

void events_put_rule(struct call *c)
{
    struct err err = {0};
    struct str expr, pattern, state, description;
    struct schedule_expr e;
    json_t *tags = NULL;
    struct schedules_job *j = begin(c, "Name");
    struct put_rule *r = j ? arena_zalloc(c->arena, sizeof *r) : NULL;
    if (!r)
        return;
    int rc = json_member_str(c->json, "ScheduleExpression", &expr, &err);
    if (rc == 0)
        rc = json_member_str(c->json, "EventPattern", &pattern, &err);
    if (rc == 0)
        rc = json_member_str(c->json, "State", &state, &err);
    if (rc == 0)
        rc = json_member_str(c->json, "Description", &description, &err);
    if (rc == 0 && pattern.n)
        rc = err_set(&err, E_RULE_INVALID,
                     "EventPattern is not supported here: rules fire on a ScheduleExpression.");
    if (rc == 0 && !expr.n)
        rc = err_set(&err, E_RULE_INVALID,
                     "Parameter(s) EventPattern or ScheduleExpression must be specified.");
    if (rc == 0 && schedule_parse(expr, &e, &err))
        rc = err.code = E_RULE_INVALID;
    if (rc == 0 && e.kind == SCHEDULE_AT)
        rc = err_set(&err, E_RULE_INVALID, "Parameter ScheduleExpression is not valid.");
    if (rc == 0 && state.n && !str_is(state, "ENABLED") && !str_is(state, "DISABLED"))
        rc = err_set(&err, E_RULE_INVALID,
                     "1 validation error detected: Value '%.*s' at 'state' failed to satisfy "
                     "constraint: Member must satisfy enum value set: [ENABLED, DISABLED]",
                     state.n > 40 ? 40 : (int)state.n, state.p);
    if (rc == 0 && description.n > 512)
        rc = err_set(&err, E_RULE_INVALID, "A description has at most 512 characters.");
    if (rc == 0)
        rc = events_take_tags(c, &tags, &err);
    if (rc == 0 && tags)
        rc = call_authorise(c, "events:TagResource", schedules_arn(c, &j->name), &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    *r = (struct put_rule){.expr = expr,
                           .description = description,
                           .tags = tags,
                           .disabled = str_is(state, "DISABLED")};
    j->user = r;
    j->change = change_rule;
    j->reply = reply_rule_arn;
    schedules_submit(j);
}

static int change_state(struct schedules_job *j, struct str row)
{
    return row.p ? schedules_set_state(j, row, j->user != NULL)
                 : events_absent(j->name.name, &j->err);
}

static void set_state(struct call *c, void *disabled)
{
    struct schedules_job *j = begin(c, "Name");
    if (!j)
        return;
    j->user = disabled;
    j->change = change_state;
    schedules_submit(j);
}

void events_enable_rule(struct call *c)
{
    set_state(c, NULL);
}

void events_disable_rule(struct call *c)
{
    set_state(c, c);
}

static int remove_rule(struct schedules_job *j, struct str row)
{
    return rec_str(row, SCHEDULE_TARGET).p
               ? err_set(&j->err, E_RULE_INVALID, "Rule can't be deleted since it has targets.")
               : 0; /* one that is not there is gone, as AWS has it */
}

void events_delete_rule(struct call *c)
{
    struct schedules_job *j = begin(c, "Name");
    if (!j)
        return;
    j->change = remove_rule;
    schedules_submit(j);
}

static json_t *rule_json(struct call *c, const struct schedule_name *n, struct str rec)
{
    struct str arn = schedules_arn(c, n), description = rec_str(rec, SCHEDULE_DESCRIPTION);
    json_t *o = json_object();
    json_object_set_new(o, "Name", json_text(n->name));
    json_object_set_new(o, "Arn", json_text(arn));
    json_object_set_new(o, "ScheduleExpression", json_text(rec_str(rec, SCHEDULE_EXPR)));
    json_object_set_new(o, "State",
                        json_string(rec_u64(rec, SCHEDULE_DISABLED, 0) ? "DISABLED" : "ENABLED"));
    if (description.n)
        json_object_set_new(o, "Description", json_text(description));
    json_object_set_new(o, "EventBusName", json_string("default"));
    return o;
}

void events_describe_rule(struct call *c)
{
    struct err err = {0};
    struct str name, rec;
    json_t *o = NULL;
    int rc = read_name(c, "Name", &name, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        struct schedule_name n = {STR(SCHEDULE_KIND_RULE), EVENTS_BUS, name};
        rc = events_get(t, name, &rec, &err);
        if (rc == 0)
            o = rule_json(c, &n, rec);
        store_read_end(t);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, 200, o);
}

struct listing {
    struct call *c;
    struct str prefix, target; /* target: only rules that have it, and only their names */
    json_t *items;
    size_t limit, looks;
    bool more;
};

static bool has_target(struct str rec, struct str arn)
{
    uint16_t tag;
    struct str v;
    while (rec_next(&rec, &tag, &v))
        if (tag == SCHEDULE_TARGET && str_eq(rec_str(v, TARGET_ARN), arn))
            return true;
    return false;
}

static bool list_one(void *ctx, const struct schedule_name *n, struct str rec)
{
    struct listing *l = ctx;
    if (json_array_size(l->items) == l->limit || l->looks++ == SCHEDULES_LOOKS)
        return !(l->more = true);
    if (!l->target.p || has_target(rec, l->target))
        json_array_append_new(l->items, l->target.p ? json_text(n->name) : rule_json(l->c, n, rec));
    return true;
}

static void list(struct call *c, const char *member, struct listing *l, struct err *err)
{
    struct str token;
    int64_t limit = PAGE;
    int rc = json_member_str(c->json, "NextToken", &token, err);
    if (rc == 0)
        rc = json_member_int(c->json, "Limit", &limit, err);
    if (rc == 0 && (limit < 1 || limit > PAGE))
        rc = err_set(err, E_RULE_INVALID, "Limit must be 1 to %d.", PAGE);
    if (rc) {
        call_error(c, rc, err);
        return;
    }
    l->c = c;
    l->limit = (size_t)limit;
    l->items = json_array();
    struct str last = schedules_page(c, SCHEDULE_KIND_RULE, l->prefix, token, list_one, l);
    json_t *o = json_object();
    json_object_set_new(o, member, l->items);
    if (l->more)
        json_object_set_new(o, "NextToken", json_text(last));
    call_json(c, 200, o);
}

void events_list_rules(struct call *c)
{
    struct listing l = {0};
    struct err err = {0};
    int rc = json_member_str(c->json, "NamePrefix", &l.prefix, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        list(c, "Rules", &l, &err);
}

void events_list_rule_names_by_target(struct call *c)
{
    struct listing l = {0};
    struct err err = {0};
    int rc = json_member_str(c->json, "TargetArn", &l.target, &err);
    if (rc == 0 && !l.target.n)
        rc = err_set(&err, E_RULE_INVALID, "TargetArn is required.");
    if (rc)
        call_error(c, rc, &err);
    else
        list(c, "RuleNames", &l, &err);
}

/* --- targets ------------------------------------------------------------------------------------ */

static int check_targets(struct call *c, json_t **out, struct err *err)
{
    int rc = json_member_array(c->json, "Targets", out, err);
    size_t n = rc ? 0 : json_array_size(*out);
    if (rc == 0 && (n == 0 || n > SCHEDULE_TARGETS_MAX))
        rc = err_set(err, E_RULE_INVALID, "Targets must have 1 to %d members.",
                     SCHEDULE_TARGETS_MAX);
    for (size_t i = 0; i < n && rc == 0; i++) {
        json_t *t = json_array_get(*out, i);
        struct str id, arn, input = {0}, path = {0};
        struct schedules_retry retry;
        rc = json_member_str(t, "Id", &id, err);
        if (rc == 0)
            rc = json_member_str(t, "Arn", &arn, err);
        if (rc == 0)
            rc = json_member_str(t, "Input", &input, err);
        if (rc == 0)
            rc = json_member_str(t, "InputPath", &path, err);
        if (rc == 0)
            rc = schedules_check_name(id, "targets.id", err);
        if (rc == 0)
            rc = schedules_check_target(c, arn, err);
        if (rc == 0)
            rc = schedules_read_retry(t, "targets", &retry, err);
        json_t *parsed = rc == 0 && input.n ? json_parse(input, NULL) : NULL;
        if (rc == 0 && input.n && (!parsed || input.n > INPUT_MAX))
            rc = err_set(err, E_RULE_INVALID,
                         "JSON syntax error in input for target %.*s, or more than %d bytes.",
                         STR_FMT(id), INPUT_MAX);
        json_decref(parsed);
        if (rc == 0 && (path.n || json_object_get(t, "InputTransformer")))
            rc = err_set(err, E_RULE_INVALID,
                         "InputPath and InputTransformer are not supported here: give an Input.");
    }
    return rc;
}

static bool named_in(json_t *targets, struct str id)
{
    size_t i;
    json_t *t;
    json_array_foreach(targets, i,
                       t) if (str_eq(json_bytes(json_object_get(t, "Id")), id)) return true;
    return false;
}

static int change_targets(struct schedules_job *j, struct str row)
{
    static const uint16_t none[] = {SCHEDULE_TARGET, 0};
    json_t *targets = j->user, *t;
    struct str rest = row, v;
    uint16_t tag;
    size_t i, count = json_array_size(targets);
    if (!row.p)
        return events_absent(j->name.name, &j->err);
    schedules_keep(&j->rec, row, none);
    while (rec_next(&rest, &tag, &v)) {
        if (tag != SCHEDULE_TARGET || named_in(targets, rec_str(v, TARGET_ID)))
            continue;
        rec_put_str(&j->rec, tag, v);
        count++;
    }
    if (count > SCHEDULE_TARGETS_MAX)
        return err_set(&j->err, E_QUOTA,
                       "The requested resource exceeds the maximum number allowed.");
    json_array_foreach(targets, i, t)
    {
        struct str input = json_bytes(json_object_get(t, "Input"));
        struct schedules_retry retry;
        size_t mark = rec_begin(&j->rec, SCHEDULE_TARGET);
        rec_put_str(&j->rec, TARGET_ID, json_bytes(json_object_get(t, "Id")));
        rec_put_str(&j->rec, TARGET_ARN, json_bytes(json_object_get(t, "Arn")));
        if (input.n)
            rec_put_str(&j->rec, TARGET_INPUT, input);
        if (schedules_read_retry(t, "targets", &retry, NULL) == 0)
            schedules_put_retry(&j->rec, &retry);
        rec_end(&j->rec, mark);
    }
    return j->rec.rc;
}

static void reply_entries(struct schedules_job *j)
{
    call_json(j->c, 200, json_pack("{s:i,s:[]}", "FailedEntryCount", 0, "FailedEntries"));
}

void events_put_targets(struct call *c)
{
    struct err err = {0};
    json_t *targets = NULL;
    struct schedules_job *j = begin(c, "Rule");
    if (!j)
        return;
    int rc = check_targets(c, &targets, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    j->user = targets;
    j->change = change_targets;
    j->reply = reply_entries;
    schedules_submit(j);
}

static json_t *target_json(struct str target)
{
    json_t *o = json_object(), *retry = json_object();
    json_object_set_new(o, "Id", json_text(rec_str(target, TARGET_ID)));
    json_object_set_new(o, "Arn", json_text(rec_str(target, TARGET_ARN)));
    if (rec_str(target, TARGET_INPUT).n)
        json_object_set_new(o, "Input", json_text(rec_str(target, TARGET_INPUT)));
    if (rec_str(target, TARGET_RETRIES).p)
        json_object_set_new(retry, "MaximumRetryAttempts",
                            json_integer((json_int_t)rec_u64(target, TARGET_RETRIES, 0)));
    if (rec_str(target, TARGET_MAX_AGE_S).p)
        json_object_set_new(retry, "MaximumEventAgeInSeconds",
                            json_integer((json_int_t)rec_u64(target, TARGET_MAX_AGE_S, 0)));
    if (json_object_size(retry))
        json_object_set(o, "RetryPolicy", retry);
    json_decref(retry);
    return o;
}

static int drop_targets(struct schedules_job *j, struct str row)
{
    json_t *ids = j->user;
    uint16_t tag;
    struct str v;
    if (!row.p)
        return events_absent(j->name.name, &j->err);
    while (rec_next(&row, &tag, &v)) {
        size_t i;
        json_t *id;
        bool drop = false;
        if (tag == SCHEDULE_TARGET)
            json_array_foreach(ids, i, id) drop |= str_eq(json_bytes(id), rec_str(v, TARGET_ID));
        if (!drop)
            rec_put_str(&j->rec, tag, v);
    }
    return j->rec.rc;
}

void events_remove_targets(struct call *c)
{
    struct err err = {0};
    json_t *ids = NULL;
    struct schedules_job *j = begin(c, "Rule");
    if (!j)
        return;
    int rc = json_member_array(c->json, "Ids", &ids, &err);
    if (rc == 0 && (json_array_size(ids) == 0 || json_array_size(ids) > PAGE))
        rc = err_set(&err, E_RULE_INVALID, "Ids must have 1 to %d members.", PAGE);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    j->user = ids;
    j->change = drop_targets;
    j->reply = reply_entries;
    schedules_submit(j);
}

void events_list_targets_by_rule(struct call *c)
{
    struct err err = {0};
    struct str name, rec, v;
    uint16_t tag;
    json_t *items = json_array();
    int rc = read_name(c, "Rule", &name, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = events_get(t, name, &rec, &err);
        while (rc == 0 && rec_next(&rec, &tag, &v))
            if (tag == SCHEDULE_TARGET)
                json_array_append_new(items, target_json(v));
        store_read_end(t);
    }
    if (rc) {
        json_decref(items);
        call_error(c, rc, &err);
        return;
    }
    json_t *o = json_object();
    json_object_set_new(o, "Targets", items);
    call_json(c, 200, o);
}
