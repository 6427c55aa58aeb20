/* scheduler_groups: the groups of EventBridge Scheduler. There is one, "default", as every account
 * of AWS has it; others are refused with a text that says so. */
#include "api/schedules.h"
#include "auth/arn.h"
#include "base/json.h"

enum { PAGE = 100 };

int scheduler_check_group(struct str group, struct err *err)
{
    return !group.n || str_is(group, SCHEDULER_GROUP)
               ? 0
               : err_set(err, E_NOT_FOUND, "Schedule group %.*s does not exist.",
                         group.n > 80 ? 80 : (int)group.n, group.p);
}

struct str scheduler_group_arn(struct call *c)
{
    return arena_printf(c->arena, "arn:aws:scheduler:%s:" ACCOUNT_ID ":schedule-group/%s",
                        c->svc->region, SCHEDULER_GROUP);
}

/* It has no dates: it was always there. */
static json_t *default_group(struct call *c)
{
    json_t *o = json_pack("{s:s,s:s}", "Name", SCHEDULER_GROUP, "State", "ACTIVE");
    json_object_set_new(o, "Arn", json_text(scheduler_group_arn(c)));
    return o;
}

void scheduler_list_groups(struct call *c)
{
    struct err err = {0};
    struct str max = call_query(c, "MaxResults"), prefix = call_query(c, "NamePrefix");
    uint64_t limit = PAGE;
    if (max.p && (!str_u64(max, &limit) || limit < 1 || limit > PAGE)) {
        call_error(c, err_set(&err, E_RULE_INVALID, "MaxResults must be 1 to %d.", PAGE), &err);
        return;
    }
    json_t *groups = json_array();
    if (str_starts(STR(SCHEDULER_GROUP), prefix) && !call_query(c, "NextToken").n)
        json_array_append_new(groups, default_group(c));
    call_json(c, 200, json_pack("{s:o}", "ScheduleGroups", groups));
}

/* The group that the path names. */
static int check_named(struct call *c, struct err *err)
{
    int rc = schedules_check_name(c->param[0], "name", err);
    return rc ? rc : scheduler_check_group(c->param[0], err);
}

void scheduler_get_group(struct call *c)
{
    struct err err = {0};
    int rc = check_named(c, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, 200, default_group(c));
}

void scheduler_create_group(struct call *c)
{
    struct err err = {0};
    int rc = schedules_check_name(c->param[0], "name", &err);
    if (rc == 0 && str_is(c->param[0], SCHEDULER_GROUP))
        rc = err_set(&err, E_SCHEDULE_EXISTS, "Schedule group %s already exists.", SCHEDULER_GROUP);
    else if (rc == 0)
        rc = err_set(&err, E_RULE_INVALID, "Schedules have one group here, '%s'.", SCHEDULER_GROUP);
    call_error(c, rc, &err);
}

void scheduler_delete_group(struct call *c)
{
    struct err err = {0};
    int rc = check_named(c, &err);
    if (rc == 0)
        rc = err_set(&err, E_RULE_INVALID, "The group '%s' cannot be deleted.", SCHEDULER_GROUP);
    call_error(c, rc, &err);
}
