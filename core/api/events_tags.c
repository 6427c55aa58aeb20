/* events_tags: TagResource, UntagResource, ListTagsForResource. Rules have tags, and are named by their
 * ARN; PutRule may give a new one its first. They say nothing to this server.
 *
 * Shapes: botocore's model events/2015-10-07. */
#include "api/events.h"
#include "auth/arn.h"
#include "base/rec.h"

enum { TAGS_MAX = 50, KEY_MAX = 128, VALUE_MAX = 256 }; /* characters: counted as bytes */
enum { TAG_KEY = 1, TAG_VALUE };                        /* in a SCHEDULE_TAG */

static struct str key_of(const json_t *tag)
{
    return json_bytes(json_object_get(tag, "Key"));
}

static int check_tag(const json_t *tag, struct err *err)
{
    struct str key = key_of(tag), value = json_bytes(json_object_get(tag, "Value"));
    if (!key.n || key.n > KEY_MAX || !value.p || value.n > VALUE_MAX)
        return err_set(err, E_RULE_INVALID,
                       "1 validation error detected: Value at 'tags' failed to satisfy constraint: "
                       "Member must have a Key of 1 to %d characters and a Value of at most %d.",
                       KEY_MAX, VALUE_MAX);
    if (key.n >= 4 && str_ieq(str_of(key.p, 4), STR("aws:")))
        return err_set(err, E_RULE_INVALID, "Tag keys cannot begin with aws:.");
    return 0;
}

int events_take_tags(struct call *c, json_t **out, struct err *err)
{
    *out = NULL;
    int rc = json_member_array(c->json, "Tags", out, err);
    size_t n = rc ? 0 : json_array_size(*out);
    if (n > TAGS_MAX)
        rc = err_set(err, E_RULE_INVALID, "A rule has at most %d tags.", TAGS_MAX);
    for (size_t i = 0; i < n && rc == 0; i++) {
        const json_t *tag = json_array_get(*out, i);
        rc = check_tag(tag, err);
        for (size_t k = 0; k < i && rc == 0; k++)
            if (str_eq(key_of(json_array_get(*out, k)), key_of(tag)))
                rc = err_set(err, E_RULE_INVALID, "Tag keys must be unique: %.*s.",
                             STR_FMT(key_of(tag)));
    }
    return rc;
}

void events_put_tags(struct buf *rec, const json_t *tags)
{
    for (size_t i = 0; i < json_array_size(tags); i++) {
        const json_t *tag = json_array_get(tags, i);
        size_t mark = rec_begin(rec, SCHEDULE_TAG);
        rec_put_str(rec, TAG_KEY, key_of(tag));
        rec_put_str(rec, TAG_VALUE, json_bytes(json_object_get(tag, "Value")));
        rec_end(rec, mark);
    }
}

/* The rule of that ARN. */
static int read_rule(struct call *c, struct str *name, struct err *err)
{
    struct str arn;
    struct arn parts;
    int rc = json_member_str(c->json, "ResourceARN", &arn, err);
    if (rc)
        return rc;
    if (!arn_parse(arn, &parts))
        return err_set(err, E_RULE_INVALID,
                       "Parameter %.*s is not valid. Reason: Provided Arn is "
                       "not in correct format.",
                       arn.n > 200 ? 200 : (int)arn.n, arn.p ? arn.p : "");
    *name = str_starts(parts.resource, STR("rule/")) ? str_from(parts.resource, 5) : STR("");
    struct schedule_name n = {STR(SCHEDULE_KIND_RULE), EVENTS_BUS, *name};
    if (schedules_check_name(*name, "resourceARN", NULL) || !str_eq(arn, schedules_arn(c, &n)))
        return err_set(err, E_NOT_FOUND, "Resource %.*s does not exist: rules have tags here.",
                       arn.n > 200 ? 200 : (int)arn.n, arn.p);
    *name = arena_dup(c->arena, *name);
    return 0;
}

/* Writes the row without the tags of j->user, whose keys `key` tells, and returns how many are left. */
static size_t keep_others(struct schedules_job *j, struct str row,
                          struct str (*key)(const json_t *v))
{
    uint16_t tag;
    struct str v;
    size_t left = 0, i;
    json_t *each;
    while (rec_next(&row, &tag, &v)) {
        bool drop = false;
        if (tag == SCHEDULE_TAG)
            json_array_foreach((json_t *)j->user, i, each) drop |=
                str_eq(key(each), rec_str(v, TAG_KEY));
        if (!drop)
            rec_put_str(&j->rec, tag, v);
        left += !drop && tag == SCHEDULE_TAG;
    }
    return left;
}

static int change_add(struct schedules_job *j, struct str row)
{
    if (!row.p)
        return events_absent(j->name.name, &j->err);
    if (keep_others(j, row, key_of) + json_array_size(j->user) > TAGS_MAX)
        return err_set(&j->err, E_QUOTA,
                       "The requested resource exceeds the maximum number allowed.");
    events_put_tags(&j->rec, j->user);
    return j->rec.rc;
}

static int change_remove(struct schedules_job *j, struct str row)
{
    if (!row.p)
        return events_absent(j->name.name, &j->err);
    keep_others(j, row, json_bytes);
    return j->rec.rc;
}

static void change(struct call *c, int rc, struct err *err, struct str name, json_t *user,
                   int (*how)(struct schedules_job *j, struct str row))
{
    struct schedules_job *j = rc ? NULL : schedules_job(c, SCHEDULE_KIND_RULE, EVENTS_BUS, name);
    if (rc)
        call_error(c, rc, err);
    if (!j)
        return;
    j->user = user;
    j->change = how;
    schedules_submit(j);
}

void events_tag_resource(struct call *c)
{
    struct err err = {0};
    struct str name;
    json_t *tags = NULL;
    int rc = read_rule(c, &name, &err);
    if (rc == 0)
        rc = events_take_tags(c, &tags, &err);
    if (rc == 0 && !tags)
        rc = err_set(&err, E_RULE_INVALID, "Tags is required.");
    change(c, rc, &err, name, tags, change_add);
}

void events_untag_resource(struct call *c)
{
    struct err err = {0};
    struct str name;
    json_t *keys = NULL;
    int rc = read_rule(c, &name, &err);
    if (rc == 0)
        rc = json_member_array(c->json, "TagKeys", &keys, &err);
    if (rc == 0 && !keys)
        rc = err_set(&err, E_RULE_INVALID, "TagKeys is required.");
    change(c, rc, &err, name, keys, change_remove);
}

void events_list_tags_for_resource(struct call *c)
{
    struct err err = {0};
    struct str name, rec, v;
    uint16_t tag;
    json_t *tags = json_array();
    int rc = read_rule(c, &name, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = events_get(t, name, &rec, &err);
        while (rc == 0 && rec_next(&rec, &tag, &v))
            if (tag == SCHEDULE_TAG)
                json_array_append_new(tags,
                                      json_pack("{s:o,s:o}", "Key", json_text(rec_str(v, TAG_KEY)),
                                                "Value", json_text(rec_str(v, TAG_VALUE))));
        store_read_end(t);
    }
    json_t *o = json_pack("{s:o}", "Tags", tags);
    if (rc) {
        json_decref(o);
        call_error(c, rc, &err);
    } else {
        call_json(c, 200, o);
    }
}
