/* logs: CloudWatch Logs over svc/logs.
 *
 * Pages of events become JSON on the pool thread that read them (the encode callback), so that a
 * large answer costs the loop nothing. Tokens are positions: FilterLogEvents and DescribeLog… give
 * the last one looked at; GetLogEvents gives "f/ID" (events after ID) and "b/ID" (events before
 * ID), which answer themselves at either end of the stream, as AWS's do. Shapes: botocore's model
 * logs/2014-03-28. */
#include "svc/logs.h"
#include "api/gate.h"
#include "auth/arn.h"
#include "base/json.h"

enum { EVENTS_MAX = 10000, LIST_MAX = 50, STREAMS_MAX = 100 };

/* --- members ---------------------------------------------------------------------------------- */

static int invalid(struct err *err, const char *member, const char *constraint)
{
    return err_set(err, E_INVALID,
                   "1 validation error detected: Value at '%s' failed to satisfy constraint: %s",
                   member, constraint);
}

/* logGroupName, or the name inside logGroupIdentifier (a name or an ARN). */
static int take_group(struct call *c, struct str *out, struct err *err)
{
    struct arn arn;
    int rc = json_member_str(c->json, "logGroupName", out, err);
    if (rc == 0 && !out->p) {
        rc = json_member_str(c->json, "logGroupIdentifier", out, err);
        if (rc == 0 && out->p && arn_parse(*out, &arn)) {
            struct str name = arn.resource;
            *out = str_starts(name, STR("log-group:")) ? str_from(name, 10) : name;
            if (str_ends(*out, STR(":*")))
                out->n -= 2;
        }
    }
    if (rc == 0 && !out->p)
        return invalid(err, "logGroupName", "Member must not be null");
    if (rc == 0 && (out->n == 0 || out->n > 512))
        return invalid(err, "logGroupName", "Member must have length between 1 and 512");
    return rc;
}

static int take_limit(struct call *c, int64_t max, size_t *out, struct err *err)
{
    int64_t limit = max;
    int rc = json_member_int(c->json, "limit", &limit, err);
    if (rc == 0 && (limit < 1 || limit > max)) {
        char text[80];
        snprintf(text, sizeof text, "Member must have value between 1 and %lld", (long long)max);
        return invalid(err, "limit", text);
    }
    *out = (size_t)limit;
    return rc;
}

static int take_times(struct call *c, struct log_query *q, bool end_inclusive, struct err *err)
{
    int64_t start = 0, end = 0;
    int rc = json_member_int(c->json, "startTime", &start, err);
    if (rc == 0)
        rc = json_member_int(c->json, "endTime", &end, err);
    if (rc == 0 && (start < 0 || end < 0))
        return invalid(err, start < 0 ? "startTime" : "endTime",
                       "Member must have value greater than or equal to 0");
    q->start_ms = start;
    q->end_ms = end && end_inclusive ? end + 1 : end;
    return rc;
}

static int take_prefix(struct call *c, const char *member, struct str *out, struct err *err)
{
    int rc = json_member_str(c->json, member, out, err);
    if (!out->p)
        *out = STR("");
    return rc;
}

static int bad_token(struct err *err)
{
    return err_set(err, E_INVALID, "The specified nextToken is invalid.");
}

/* --- a page of events ------------------------------------------------------------------------- */

struct reading {
    struct call *c;
    struct log_query q;
    struct str streams[STREAMS_MAX];
    bool get;         /* GetLogEvents, else FilterLogEvents */
    struct str token; /* GetLogEvents: the one that was given */
    struct buf body;
};

static void put_event(struct buf *b, const struct log_event *e, bool get)
{
    if (!get) {
        buf_lit(b, "{\"logStreamName\":");
        json_quote(b, e->stream);
        buf_lit(b, ",\"eventId\":\"");
        buf_printf(b, "%020llu\",", (unsigned long long)e->id);
    } else {
        buf_addc(b, '{');
    }
    buf_printf(b,
               "\"timestamp\":%lld,\"ingestionTime\":%lld,\"message\":", (long long)e->timestamp_ms,
               (long long)e->ingestion_ms);
    json_quote(b, e->message);
    buf_addc(b, '}');
}

/* Where GetLogEvents may go on in both directions; at an end the token given answers itself. */
static void put_tokens(struct reading *r, const struct log_page *p)
{
    uint64_t first = 0, last = 0;
    if (p->count) {
        const struct log_event *a = &p->events[0], *z = &p->events[p->count - 1];
        first = r->q.backward ? z->id : a->id;
        last = r->q.backward ? a->id : z->id;
    } else if (r->q.backward) {
        first = r->q.before; /* nothing is older */
        last = r->q.before ? r->q.before - 1 : 0;
    } else {
        last = r->q.after; /* nothing is newer */
        first = r->q.after + 1;
    }
    buf_printf(&r->body, ",\"nextForwardToken\":\"f/%020llu\",\"nextBackwardToken\":\"b/%020llu\"}",
               (unsigned long long)last, (unsigned long long)first);
}

/* A pool thread. */
static void encode(void *ctx, const struct log_page *p)
{
    struct reading *r = ctx;
    buf_lit(&r->body, "{\"events\":[");
    for (size_t i = 0; i < p->count; i++) {
        if (i)
            buf_addc(&r->body, ',');
        put_event(&r->body, &p->events[r->get && r->q.backward ? p->count - 1 - i : i], r->get);
    }
    buf_addc(&r->body, ']');
    if (r->get) {
        put_tokens(r, p);
        return;
    }
    buf_lit(&r->body, ",\"searchedLogStreams\":[]");
    if (p->more)
        buf_printf(&r->body, ",\"nextToken\":\"%020llu\"", (unsigned long long)p->last);
    buf_addc(&r->body, '}');
}

static void answer(void *ctx, int rc, const struct log_page *page, const struct err *err)
{
    struct reading *r = ctx;
    (void)page;
    if (rc == 0)
        rc = r->body.rc;
    struct buf body = r->body; /* r goes with the call */
    if (rc)
        call_error(r->c, rc, err);
    else
        call_bytes(r->c, 200, "application/x-amz-json-1.1", buf_str(&body));
    buf_deinit(&body);
}

static struct reading *reading_new(struct call *c, bool get)
{
    struct reading *r = arena_zalloc(c->arena, sizeof *r);
    if (!r) {
        call_error(c, E_LIMIT, NULL);
        return NULL;
    }
    r->c = c;
    r->get = get;
    r->q.streams = r->streams;
    return r;
}

static int take_streams(struct reading *r, struct err *err)
{
    json_t *list = NULL, *name;
    size_t i;
    int rc = json_member_array(r->c->json, "logStreamNames", &list, err);
    if (rc)
        return rc;
    if (json_array_size(list) > STREAMS_MAX)
        return invalid(err, "logStreamNames", "Member must have length less than or equal to 100");
    json_array_foreach(list, i, name)
    {
        if (!json_is_string(name))
            return invalid(err, "logStreamNames", "Members must be strings");
        r->streams[r->q.stream_count++] = json_bytes(name);
    }
    return 0;
}

static int read_filter(struct reading *r, struct err *err)
{
    struct call *c = r->c;
    struct str token = {NULL, 0};
    int rc;
    if ((rc = take_group(c, &r->q.group, err)) || (rc = take_streams(r, err)) ||
        (rc = take_prefix(c, "logStreamNamePrefix", &r->q.stream_prefix, err)) ||
        (rc = take_prefix(c, "filterPattern", &r->q.pattern, err)) ||
        (rc = take_times(c, &r->q, true, err)) ||
        (rc = take_limit(c, EVENTS_MAX, &r->q.limit, err)) ||
        (rc = json_member_str(c->json, "nextToken", &token, err)))
        return rc;
    if (r->q.stream_count && r->q.stream_prefix.n)
        return err_set(err, E_INVALID,
                       "LogStreamNamePrefix and LogStreamNames cannot be given together.");
    if (r->q.pattern.n > 1024)
        return invalid(err, "filterPattern", "Member must have length less than or equal to 1024");
    return !token.p || str_u64(token, &r->q.after) ? 0 : bad_token(err);
}

static int read_get(struct reading *r, struct err *err)
{
    struct call *c = r->c;
    bool from_head = false;
    int rc;
    if ((rc = take_group(c, &r->q.group, err)) ||
        (rc = json_member_str(c->json, "logStreamName", &r->streams[0], err)) ||
        (rc = take_times(c, &r->q, false, err)) ||
        (rc = take_limit(c, EVENTS_MAX, &r->q.limit, err)) ||
        (rc = json_member_bool(c->json, "startFromHead", &from_head, err)) ||
        (rc = json_member_str(c->json, "nextToken", &r->token, err)))
        return rc;
    if (!r->streams[0].p || r->streams[0].n == 0)
        return invalid(err, "logStreamName", "Member must not be null");
    r->q.stream_count = 1;
    r->q.stream_must_exist = true;
    r->q.backward = !from_head;
    if (!r->token.p)
        return 0;
    r->q.backward = str_starts(r->token, STR("b/"));
    if (!r->q.backward && !str_starts(r->token, STR("f/")))
        return bad_token(err);
    struct str id = str_from(r->token, 2);
    return str_u64(id, r->q.backward ? &r->q.before : &r->q.after) ? 0 : bad_token(err);
}

static void serve(struct call *c, bool get, int (*read)(struct reading *r, struct err *err))
{
    struct err err = {0};
    struct reading *r = reading_new(c, get);
    int rc = r ? read(r, &err) : 0;
    if (rc)
        call_error(c, rc, &err);
    else if (r)
        logs_read(c->svc->logs, &r->q, encode, answer, r);
}

void logs_api_filter_events(struct call *c)
{
    serve(c, false, read_filter);
}

void logs_api_get_events(struct call *c)
{
    serve(c, true, read_get);
}

/* --- groups ----------------------------------------------------------------------------------- */

static void put_arn(json_t *o, const struct call *c, struct str group, const char *rest,
                    struct str stream)
{
    struct str arn = arena_printf(c->arena, "arn:aws:logs:%s:" ACCOUNT_ID ":log-group:%.*s%s%.*s",
                                  c->svc->region, STR_FMT(group), rest, STR_FMT(stream));
    json_object_set_new(o, "arn", json_text(arn));
}

static void listed(void *ctx, int rc, const struct log_group_list *list)
{
    struct call *c = ctx;
    if (rc) {
        call_error(c, rc, NULL);
        return;
    }
    json_t *out = json_object(), *groups = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct log_group_info *g = &list->groups[i];
        json_t *o = json_object();
        json_object_set_new(o, "logGroupName", json_text(g->name));
        json_object_set_new(o, "creationTime", json_integer(g->created_ms));
        json_object_set_new(o, "metricFilterCount", json_integer(0));
        put_arn(o, c, g->name, ":*", STR(""));
        json_object_set_new(o, "storedBytes", json_integer((json_int_t)g->stored_bytes));
        json_array_append_new(groups, o);
    }
    json_object_set_new(out, "logGroups", groups);
    if (list->more && list->count)
        json_object_set_new(out, "nextToken", json_text(list->groups[list->count - 1].name));
    call_json(c, 200, out);
}

void logs_api_describe_groups(struct call *c)
{
    struct err err = {0};
    struct str prefix, after = {NULL, 0};
    size_t limit;
    int rc;
    if ((rc = take_prefix(c, "logGroupNamePrefix", &prefix, &err)) ||
        (rc = take_limit(c, LIST_MAX, &limit, &err)) ||
        (rc = json_member_str(c->json, "nextToken", &after, &err)))
        call_error(c, rc, &err);
    else
        logs_groups(c->svc->logs, prefix, after.p ? after : STR(""), limit, listed, c);
}

static void changed(void *ctx, int rc, const struct err *err)
{
    struct call *c = ctx;
    if (rc)
        call_error(c, rc, err);
    else
        call_bytes(c, 200, "application/x-amz-json-1.1", STR(""));
}

void logs_api_create_group(struct call *c)
{
    struct err err = {0};
    struct str group = {NULL, 0};
    int rc = take_group(c, &group, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        logs_create_group(c->svc->logs, group, changed, c);
}

void logs_api_delete_group(struct call *c)
{
    struct err err = {0};
    struct str group = {NULL, 0};
    int rc = take_group(c, &group, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        logs_remove_group(c->svc->logs, group, changed, c);
}

/* --- streams ---------------------------------------------------------------------------------- */

struct describing {
    struct call *c;
    struct str group, token;
    bool by_time, descending;
    size_t limit;
};

static int by_name(const void *a, const void *b)
{
    const struct log_stream_info *const *x = a, *const *y = b;
    return str_cmp((*x)->name, (*y)->name);
}

static int by_time(const void *a, const void *b)
{
    const struct log_stream_info *const *x = a, *const *y = b;
    if ((*x)->last_ms != (*y)->last_ms)
        return (*x)->last_ms < (*y)->last_ms ? -1 : 1;
    return by_name(a, b);
}

static json_t *stream_json(const struct describing *d, const struct log_stream_info *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "logStreamName", json_text(s->name));
    json_object_set_new(o, "creationTime", json_integer(s->created_ms));
    json_object_set_new(o, "firstEventTimestamp", json_integer(s->first_ms));
    json_object_set_new(o, "lastEventTimestamp", json_integer(s->last_ms));
    json_object_set_new(o, "lastIngestionTime", json_integer(s->last_ingestion_ms));
    json_object_set_new(o, "uploadSequenceToken", json_string("1"));
    put_arn(o, d->c, d->group, ":log-stream:", s->name);
    json_object_set_new(o, "storedBytes", json_integer(0));
    return o;
}

/* The token is the name of the last stream given; a page goes on behind it in the same order. */
static void described(void *ctx, int rc, const struct log_stream_list *list, const struct err *err)
{
    struct describing *d = ctx;
    if (rc) {
        call_error(d->c, rc, err);
        return;
    }
    const struct log_stream_info **order = malloc((list->count + 1) * sizeof *order);
    if (!order) {
        call_error(d->c, E_LIMIT, NULL);
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        order[i] = &list->streams[i];
    qsort(order, list->count, sizeof *order, d->by_time ? by_time : by_name);
    json_t *out = json_object(), *streams = json_array();
    bool begun = !d->token.p;
    for (size_t i = 0; i < list->count; i++) {
        const struct log_stream_info *s = order[d->descending ? list->count - 1 - i : i];
        if (!begun) {
            begun = str_eq(s->name, d->token);
            continue;
        }
        if (json_array_size(streams) == d->limit) {
            json_t *last = json_array_get(streams, d->limit - 1);
            json_object_set(out, "nextToken", json_object_get(last, "logStreamName"));
            break;
        }
        json_array_append_new(streams, stream_json(d, s));
    }
    free(order);
    json_object_set_new(out, "logStreams", streams);
    call_json(d->c, 200, out);
}

static int read_describe(struct describing *d, struct str *prefix, struct err *err)
{
    struct call *c = d->c;
    struct str order = {NULL, 0};
    int rc;
    if ((rc = take_group(c, &d->group, err)) ||
        (rc = take_prefix(c, "logStreamNamePrefix", prefix, err)) ||
        (rc = json_member_str(c->json, "orderBy", &order, err)) ||
        (rc = json_member_bool(c->json, "descending", &d->descending, err)) ||
        (rc = take_limit(c, LIST_MAX, &d->limit, err)) ||
        (rc = json_member_str(c->json, "nextToken", &d->token, err)))
        return rc;
    d->by_time = str_is(order, "LastEventTime");
    if (order.p && !d->by_time && !str_is(order, "LogStreamName"))
        return invalid(err, "orderBy",
                       "Member must satisfy enum value set: [LogStreamName, LastEventTime]");
    if (d->by_time && prefix->n)
        return err_set(err, E_INVALID, "Cannot order by LastEventTime with a logStreamNamePrefix.");
    return 0;
}

void logs_api_describe_streams(struct call *c)
{
    struct err err = {0};
    struct str prefix = STR("");
    struct describing *d = arena_zalloc(c->arena, sizeof *d);
    int rc = d ? 0 : E_LIMIT;
    if (d) {
        d->c = c;
        rc = read_describe(d, &prefix, &err);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        logs_streams(c->svc->logs, d->group, prefix, described, d);
}
