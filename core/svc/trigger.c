/* trigger: matching, overlap, record form and event text of bucket notifications.
 *
 * A notification names events (with a trailing wildcard or not) and may narrow the keys by one
 * prefix and one suffix. Two notifications of a bucket must never both want the same change: S3
 * refuses such a pair when it is stored, so at delivery every match is sent and the order does not
 * matter. Overlap is judged the way S3 does: by event names that meet and by filters of which one
 * contains the other, not by searching for a key that satisfies both.
 *
 * The event text is written by hand: member names and order are those of AWS's records, the key is
 * form-encoded (a space is '+'), the sequencer is fixed-width hex so that it sorts as text. */
#include "svc/trigger.h"

#include "auth/arn.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/rec.h"

enum { TR_ID = 1, TR_FUNCTION, TR_EVENT /* repeated */, TR_PREFIX, TR_SUFFIX };

static const char *const known_events[] = {
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
};

bool trigger_event_known(struct str name)
{
    for (size_t i = 0; i < sizeof known_events / sizeof *known_events; i++)
        if (str_is(name, known_events[i]))
            return true;
    return false;
}

/* `pattern` is "s3:Kind:*" or "s3:Kind:Name"; event likewise or without the "s3:". */
static bool event_covers(struct str pattern, struct str event)
{
    if (str_starts(pattern, STR("s3:")))
        pattern = str_from(pattern, 3);
    if (str_starts(event, STR("s3:")))
        event = str_from(event, 3);
    if (str_ends(pattern, STR(":*")))
        return str_starts(event, str_of(pattern.p, pattern.n - 1));
    return str_eq(pattern, event);
}

bool trigger_matches(const struct trigger *t, struct str event, struct str key)
{
    if (!str_starts(key, t->prefix) || !str_ends(key, t->suffix))
        return false;
    for (size_t i = 0; i < t->event_count; i++)
        if (event_covers(t->events[i], event))
            return true;
    return false;
}

bool trigger_overlaps(const struct trigger *a, const struct trigger *b)
{
    bool prefixes = str_starts(a->prefix, b->prefix) || str_starts(b->prefix, a->prefix);
    bool suffixes = str_ends(a->suffix, b->suffix) || str_ends(b->suffix, a->suffix);
    if (!prefixes || !suffixes)
        return false;
    for (size_t i = 0; i < a->event_count; i++)
        for (size_t k = 0; k < b->event_count; k++)
            if (event_covers(a->events[i], b->events[k]) ||
                event_covers(b->events[k], a->events[i]))
                return true;
    return false;
}

void trigger_encode(struct buf *rec, const struct trigger *t)
{
    rec_put_str(rec, TR_ID, t->id);
    rec_put_str(rec, TR_FUNCTION, t->function_arn);
    for (size_t i = 0; i < t->event_count; i++)
        rec_put_str(rec, TR_EVENT, t->events[i]);
    rec_put_str(rec, TR_PREFIX, t->prefix);
    rec_put_str(rec, TR_SUFFIX, t->suffix);
}

bool trigger_decode(struct str rec, struct trigger *out)
{
    uint16_t tag;
    struct str v;
    *out = (struct trigger){0};
    while (rec_next(&rec, &tag, &v)) {
        if (tag == TR_ID)
            out->id = v;
        else if (tag == TR_FUNCTION)
            out->function_arn = v;
        else if (tag == TR_EVENT && out->event_count < TRIGGER_EVENTS_MAX)
            out->events[out->event_count++] = v;
        else if (tag == TR_PREFIX)
            out->prefix = v;
        else if (tag == TR_SUFFIX)
            out->suffix = v;
    }
    return rec.n == 0 && out->function_arn.n > 0;
}

static void member(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "\"%s\":", name);
    json_quote(out, value);
}

static void object_json(struct buf *out, const struct bucket_event *e)
{
    buf_lit(out, "\"object\":{\"key\":\"");
    form_encode(out, e->key);
    buf_lit(out, "\",");
    if (!str_starts(str_c(e->name), STR("ObjectRemoved:"))) {
        buf_lit(out, "\"size\":");
        buf_u64(out, e->size);
        buf_lit(out, ",");
        member(out, "eTag", e->etag);
        buf_lit(out, ",");
    }
    buf_printf(out, "\"sequencer\":\"%018llX\"}", (unsigned long long)e->sequencer);
}

void trigger_event_json(struct buf *out, const char *region, const struct trigger *t,
                        const struct bucket_event *e)
{
    char when[25];
    clock_iso8601(e->time_ms, when);
    struct str principal = str_c(e->principal), request_id = str_c(e->request_id);

    buf_lit(out, "{\"Records\":[{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\",");
    member(out, "awsRegion", str_c(region));
    buf_printf(out, ",\"eventTime\":\"%s\",\"eventName\":\"%s\",", when, e->name);
    buf_lit(out, "\"userIdentity\":{");
    member(out, "principalId", principal);
    buf_lit(out, "},\"requestParameters\":{");
    member(out, "sourceIPAddress", str_c(e->peer));
    buf_lit(out, "},\"responseElements\":{");
    member(out, "x-amz-request-id", request_id);
    buf_lit(out, ",");
    member(out, "x-amz-id-2", STR(TRIGGER_HOST_ID));
    buf_lit(out, "},\"s3\":{\"s3SchemaVersion\":\"1.0\",");
    member(out, "configurationId", t->id);
    buf_lit(out, ",\"bucket\":{");
    member(out, "name", e->bucket);
    buf_lit(out, ",\"ownerIdentity\":{");
    member(out, "principalId", STR(ACCOUNT_ID));
    buf_printf(out, "},\"arn\":\"arn:aws:s3:::%.*s\"},", STR_FMT(e->bucket));
    object_json(out, e);
    buf_lit(out, "}}]}");
}
