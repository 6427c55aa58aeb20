/* logs_groups: log groups: what there are, how long they keep, what they are tagged with. */
#include "api/logs.h"
#include "auth/arn.h"
#include "base/json.h"

enum { LIST_MAX = 50, TAGS_MAX = 50 };

/* The group of a request that says nothing else; false: refused, and answered. */
static bool take_group_alone(struct call *c, struct str *group)
{
    struct err err = {0};
    int rc = logs_api_take_group(c, group, &err);
    if (rc)
        call_error(c, rc, &err);
    return rc == 0;
}

/* --- describing --------------------------------------------------------------------------------- */

static json_t *group_json(struct call *c, const struct log_group_info *g)
{
    struct str arn = arena_printf(c->arena, "arn:aws:logs:%s:" ACCOUNT_ID ":log-group:%.*s",
                                  c->svc->region, STR_FMT(g->name));
    struct str all = arena_printf(c->arena, "%.*s:*", STR_FMT(arn));
    json_t *o = json_object();
    json_object_set_new(o, "logGroupName", json_text(g->name));
    json_object_set_new(o, "creationTime", json_integer(g->created_ms));
    if (g->retention_days)
        json_object_set_new(o, "retentionInDays", json_integer(g->retention_days));
    json_object_set_new(o, "metricFilterCount", json_integer(0));
    json_object_set_new(o, "arn", json_text(all));
    json_object_set_new(o, "storedBytes", json_integer((json_int_t)g->stored_bytes));
    json_object_set_new(o, "logGroupClass", json_string("STANDARD"));
    json_object_set_new(o, "logGroupArn", json_text(arn));
    return o;
}

static void listed(void *ctx, int rc, const struct log_group_list *list)
{
    struct call *c = ctx;
    if (rc) {
        call_error(c, rc, NULL);
        return;
    }
    json_t *out = json_object(), *groups = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(groups, group_json(c, &list->groups[i]));
    json_object_set_new(out, "logGroups", groups);
    if (list->more && list->count)
        json_object_set_new(out, "nextToken", json_text(list->groups[list->count - 1].name));
    call_json(c, 200, out);
}

void logs_api_describe_groups(struct call *c)
{
    struct err err = {0};
    struct str prefix = STR(""), part = STR(""), after = STR(""), class = STR("");
    size_t limit;
    int rc;
    if ((rc = logs_api_take_prefix(c, "logGroupNamePrefix", &prefix, &err)) ||
        (rc = logs_api_take_prefix(c, "logGroupNamePattern", &part, &err)) ||
        (rc = logs_api_take_prefix(c, "logGroupClass", &class, &err)) ||
        (rc = logs_api_take_limit(c, LIST_MAX, &limit, &err)) ||
        (rc = logs_api_take_prefix(c, "nextToken", &after, &err)))
        ;
    else if (prefix.n && part.n)
        rc = err_set(&err, E_INVALID,
                     "LogGroup name prefix and LogGroup name pattern are mutually exclusive "
                     "parameters.");
    else if (class.n && !str_is(class, "STANDARD") && !str_is(class, "INFREQUENT_ACCESS") &&
             !str_is(class, "DELIVERY"))
        rc = logs_api_invalid(c, &err, "logGroupClass",
                              "Member must satisfy enum value set: [STANDARD, INFREQUENT_ACCESS, "
                              "DELIVERY]");
    if (rc) {
        call_error(c, rc, &err);
    } else if (class.n && !str_is(class, "STANDARD")) { /* there are none of those */
        struct log_group_list none = {0};
        listed(c, 0, &none);
    } else {
        logs_groups(c->svc->logs, prefix, part, after, limit, listed, c);
    }
}

/* --- tags --------------------------------------------------------------------------------------- */

static size_t characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static int check_tag(struct call *c, struct str key, struct str value, struct err *err)
{
    if (key.n == 0 || characters(key) > 128)
        return logs_api_invalid(c, err, "tags", "Map keys must have length between 1 and 128");
    if (key.n >= 4 && str_ieq(str_of(key.p, 4), STR("aws:")))
        return err_set(err, E_INVALID, "Tag keys cannot begin with aws:");
    if (!value.p || characters(value) > 256)
        return logs_api_invalid(c, err, "tags",
                                "Map values must be strings of at most 256 characters");
    return 0;
}

/* The member tags, a map; required says that it must be there and hold something. */
static int take_tags(struct call *c, bool required, struct log_tag *tags, size_t *count,
                     struct err *err)
{
    json_t *map = NULL, *value;
    const char *key;
    int rc = json_member_object(c->json, "tags", &map, err);
    *count = 0;
    if (rc)
        return rc;
    if (json_object_size(map) == 0 && (map || required))
        return logs_api_invalid(c, err, "tags",
                                "Member must have length greater than or equal to 1");
    if (json_object_size(map) > TAGS_MAX)
        return logs_api_invalid(c, err, "tags", "Member must have length less than or equal to 50");
    json_object_foreach(map, key, value)
    {
        struct log_tag t = {str_c(key), json_bytes(value)};
        if ((rc = check_tag(c, t.key, t.value, err)))
            return rc;
        tags[(*count)++] = t;
    }
    return 0;
}

static void tag(struct call *c)
{
    struct err err = {0};
    struct str group;
    struct log_tag tags[TAGS_MAX];
    size_t count;
    int rc = logs_api_take_group(c, &group, &err);
    if (rc == 0)
        rc = take_tags(c, true, tags, &count, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        logs_set_tags(c->svc->logs, group, tags, count, logs_api_changed, c);
}

static void untag(struct call *c, const char *member)
{
    struct err err = {0};
    struct str group, keys[TAGS_MAX];
    json_t *list = NULL, *key;
    size_t i, count = 0;
    int rc = logs_api_take_group(c, &group, &err);
    if (rc == 0)
        rc = json_member_array(c->json, member, &list, &err);
    if (rc == 0 && (!list || json_array_size(list) > TAGS_MAX))
        rc = logs_api_invalid(c, &err, member,
                              list ? "Member must have length less than or equal to 50"
                                   : "Member must not be null");
    if (rc == 0)
        json_array_foreach(list, i, key)
        {
            if (json_is_string(key))
                keys[count++] = json_bytes(key);
            else
                rc = logs_api_invalid(c, &err, member, "Members must be strings");
        }
    if (rc)
        call_error(c, rc, &err);
    else
        logs_drop_tags(c->svc->logs, group, keys, count, logs_api_changed, c);
}

void logs_api_tag_group(struct call *c)
{
    tag(c);
}

void logs_api_tag_resource(struct call *c)
{
    tag(c);
}

void logs_api_untag_group(struct call *c)
{
    untag(c, "tags");
}

void logs_api_untag_resource(struct call *c)
{
    untag(c, "tagKeys");
}

static void tags_listed(void *ctx, int rc, const struct log_tag *tags, size_t count,
                        const struct err *err)
{
    struct call *c = ctx;
    if (rc) {
        call_error(c, rc, err);
        return;
    }
    json_t *map = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_setn_new(map, tags[i].key.p, tags[i].key.n, json_text(tags[i].value));
    call_json(c, 200, json_pack("{s:o}", "tags", map));
}

void logs_api_list_tags(struct call *c)
{
    struct str group;
    if (take_group_alone(c, &group))
        logs_tags(c->svc->logs, group, tags_listed, c);
}

/* --- making, removing, keeping ------------------------------------------------------------------ */

void logs_api_create_group(struct call *c)
{
    struct err err = {0};
    struct str group, key = STR("");
    struct log_tag tags[TAGS_MAX];
    size_t count = 0;
    int rc;
    if ((rc = logs_api_take_group(c, &group, &err)) == 0 &&
        (rc = take_tags(c, false, tags, &count, &err)) == 0 &&
        (rc = logs_api_take_prefix(c, "kmsKeyId", &key, &err)) == 0 && key.n)
        rc = err_set(&err, E_INVALID, "Encryption with a KMS key is not available here.");
    if (rc == 0 && str_starts(group, STR("aws/")))
        rc = err_set(&err, E_INVALID, "Log groups starting with aws/ are reserved for AWS.");
    if (rc)
        call_error(c, rc, &err);
    else
        logs_create_group(c->svc->logs, group, tags, count, logs_api_changed, c);
}

void logs_api_delete_group(struct call *c)
{
    struct str group;
    if (take_group_alone(c, &group))
        logs_remove_group(c->svc->logs, group, logs_api_changed, c);
}

static bool days_ok(int64_t days)
{
    static const int16_t known[] = {1,   3,   5,   7,   14,   30,   60,   90,   120,  150,  180,
                                    365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (days == known[i])
            return true;
    return false;
}

void logs_api_put_retention(struct call *c)
{
    struct err err = {0};
    struct str group;
    int64_t days = INT64_MIN;
    int rc = logs_api_take_group(c, &group, &err);
    if (rc == 0)
        rc = json_member_int(c->json, "retentionInDays", &days, &err);
    if (rc == 0 && days == INT64_MIN)
        rc = logs_api_invalid(c, &err, "retentionInDays", "Member must not be null");
    else if (rc == 0 && !days_ok(days))
        rc = err_set(&err, E_INVALID,
                     "1 validation error detected: Value '%lld' at 'retentionInDays' failed to "
                     "satisfy constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, "
                     "60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, "
                     "3288, 3653]",
                     (long long)days);
    if (rc)
        call_error(c, rc, &err);
    else
        logs_set_retention(c->svc->logs, group, (uint32_t)days, logs_api_changed, c);
}

void logs_api_delete_retention(struct call *c)
{
    struct str group;
    if (take_group_alone(c, &group))
        logs_set_retention(c->svc->logs, group, 0, logs_api_changed, c);
}
