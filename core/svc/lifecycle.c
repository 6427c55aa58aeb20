/* lifecycle: rules as records, and when something is due. Pure functions.
 *
 * Ages are of store time, which does not run backwards, against the wall time that objects carry:
 * after the wall clock was set back things live longer, never shorter. */
#include "svc/lifecycle.h"

#include "base/rec.h"

enum rule_tag {
    RULE_ENABLED = 1,
    RULE_PREFIX,
    RULE_TAGS,
    RULE_LARGER,
    RULE_SMALLER,
    RULE_DAYS,
    RULE_DATE,
    RULE_ABORT_DAYS,
    RULE_NONCURRENT_DAYS,
    RULE_DELETE_MARKER,
    RULE_ID,
};

static const int64_t DAY_MS = 24 * 3600 * 1000;

void lifecycle_encode(struct buf *rules, const struct lifecycle_rule *r)
{
    size_t mark = rec_begin(rules, LIFECYCLE_RULE);
    rec_put_u64(rules, RULE_ENABLED, r->enabled);
    if (r->prefix.n)
        rec_put_str(rules, RULE_PREFIX, r->prefix);
    if (r->tags.n)
        rec_put_str(rules, RULE_TAGS, r->tags);
    if (r->has_larger)
        rec_put_u64(rules, RULE_LARGER, r->larger_than);
    if (r->has_smaller)
        rec_put_u64(rules, RULE_SMALLER, r->smaller_than);
    if (r->days)
        rec_put_u64(rules, RULE_DAYS, r->days);
    if (r->has_date)
        rec_put_u64(rules, RULE_DATE, (uint64_t)r->date_ms);
    if (r->abort_days)
        rec_put_u64(rules, RULE_ABORT_DAYS, r->abort_days);
    if (r->noncurrent_days)
        rec_put_u64(rules, RULE_NONCURRENT_DAYS, r->noncurrent_days);
    if (r->expired_delete_marker)
        rec_put_u64(rules, RULE_DELETE_MARKER, 1);
    if (r->id.n)
        rec_put_str(rules, RULE_ID, r->id);
    rec_end(rules, mark);
}

bool lifecycle_decode(struct str rec, struct lifecycle_rule *out)
{
    uint16_t tag;
    struct str v;
    *out = (struct lifecycle_rule){.id = STR(""), .prefix = STR("")};
    while (rec_next(&rec, &tag, &v)) {
        uint64_t n = rec_int(v, 0);
        if (tag == RULE_ENABLED)
            out->enabled = n != 0;
        else if (tag == RULE_PREFIX)
            out->prefix = v;
        else if (tag == RULE_TAGS)
            out->tags = v;
        else if (tag == RULE_LARGER)
            out->larger_than = n, out->has_larger = true;
        else if (tag == RULE_SMALLER)
            out->smaller_than = n, out->has_smaller = true;
        else if (tag == RULE_DAYS)
            out->days = n;
        else if (tag == RULE_DATE)
            out->date_ms = (int64_t)n, out->has_date = true;
        else if (tag == RULE_ABORT_DAYS)
            out->abort_days = n;
        else if (tag == RULE_NONCURRENT_DAYS)
            out->noncurrent_days = n;
        else if (tag == RULE_DELETE_MARKER)
            out->expired_delete_marker = n != 0;
        else if (tag == RULE_ID)
            out->id = v;
    }
    return rec.n == 0;
}

/* --- due ----------------------------------------------------------------------------------------
 */

static bool has_tag(struct str tags, struct str name, struct str value)
{
    struct str n, v;
    while (object_pair_next(&tags, &n, &v))
        if (str_eq(n, name) && str_eq(v, value))
            return true;
    return false;
}

static bool concerns(const struct lifecycle_rule *r, const struct object_meta *m)
{
    struct str wanted = r->tags, name, value;
    if (!r->enabled || !str_starts(m->key, r->prefix))
        return false;
    if ((r->has_larger && m->size <= r->larger_than) ||
        (r->has_smaller && m->size >= r->smaller_than))
        return false;
    while (object_pair_next(&wanted, &name, &value))
        if (!has_tag(m->tags, name, value))
            return false;
    return true;
}

/* When days come to their end: begun_ms + days, put off to the next midnight. */
static int64_t end_of(int64_t begun_ms, uint64_t days, int64_t day_ms)
{
    int64_t end_ms = begun_ms + (int64_t)days * day_ms;
    return day_ms == DAY_MS ? (end_ms + DAY_MS - 1) / DAY_MS * DAY_MS : end_ms;
}

bool lifecycle_object_end(struct str rules, const struct object_meta *m, int64_t day_ms,
                          int64_t *end_ms, struct str *id)
{
    uint16_t tag;
    struct str rec;
    struct lifecycle_rule r;
    *end_ms = INT64_MAX;
    while (rec_next(&rules, &tag, &rec)) {
        if (tag != LIFECYCLE_RULE || !lifecycle_decode(rec, &r) || !concerns(&r, m) ||
            (!r.days && !r.has_date))
            continue;
        int64_t end = r.has_date ? r.date_ms : end_of(m->modified_ms, r.days, day_ms);
        if (end >= *end_ms)
            continue;
        *end_ms = end;
        *id = r.id;
    }
    return *end_ms != INT64_MAX;
}

bool lifecycle_object_due(struct str rules, const struct object_meta *m, int64_t now_ms,
                          int64_t day_ms)
{
    int64_t end_ms;
    struct str id;
    return lifecycle_object_end(rules, m, day_ms, &end_ms, &id) && now_ms >= end_ms;
}

bool lifecycle_upload_due(struct str rules, struct str key, int64_t initiated_ms, int64_t now_ms,
                          int64_t day_ms)
{
    uint16_t tag;
    struct str rec;
    struct lifecycle_rule r;
    while (rec_next(&rules, &tag, &rec)) {
        if (tag != LIFECYCLE_RULE || !lifecycle_decode(rec, &r) || !r.enabled || !r.abort_days)
            continue;
        if (str_starts(key, r.prefix) && now_ms >= end_of(initiated_ms, r.abort_days, day_ms))
            return true;
    }
    return false;
}
