/* logs: CloudWatch Logs over svc/logs.
 *
 * Pages of events become JSON on the pool thread that read them (the encode callback), so that a
 * large answer costs the loop nothing. Tokens are positions: FilterLogEvents and DescribeLog… give
 * the last one looked at; GetLogEvents gives "f/ID" (events after ID) and "b/ID" (events before
 * ID), which answer themselves at either end of the stream, as AWS's do. Shapes: botocore's model
 * logs/2014-03-28. */
#include "api/logs.h"

#include "base/json.h"
#include "base/log.h"

enum { EVENTS_MAX = 10000, STREAMS_MAX = 100 };

static int take_times(struct call *c, struct log_query *q, bool end_inclusive, struct err *err)
{
    int64_t start = 0, end = 0;
    int rc = json_member_int(c->json, "startTime", &start, err);
    if (rc == 0)
        rc = json_member_int(c->json, "endTime", &end, err);
    if (rc == 0 && (start < 0 || end < 0))
        return logs_api_invalid(c, err, start < 0 ? "startTime" : "endTime",
                                "Member must have value greater than or equal to 0");
    q->start_ms = start;
    q->end_ms = end && end_inclusive ? end + 1 : end;
    return rc;
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

/* By their stamps: events put in from outside may have come in another order. */
static int by_stamp(const void *a, const void *b)
{
    const struct log_event *const *x = a, *const *y = b;
    if ((*x)->timestamp_ms != (*y)->timestamp_ms)
        return (*x)->timestamp_ms < (*y)->timestamp_ms ? -1 : 1;
    return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

/* A pool thread. */
static void encode(void *ctx, const struct log_page *p)
{
    struct reading *r = ctx;
    const struct log_event **order = malloc((p->count + 1) * sizeof *order);
    if (!order)
        fatal("out of memory");
    for (size_t i = 0; i < p->count; i++)
        order[i] = &p->events[i];
    qsort(order, p->count, sizeof *order, by_stamp);
    buf_lit(&r->body, "{\"events\":[");
    for (size_t i = 0; i < p->count; i++) {
        if (i)
            buf_addc(&r->body, ',');
        put_event(&r->body, order[i], r->get);
    }
    free(order);
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
        return logs_api_invalid(r->c, err, "logStreamNames",
                                "Member must have length less than or equal to 100");
    json_array_foreach(list, i, name)
    {
        if (!json_is_string(name))
            return logs_api_invalid(r->c, err, "logStreamNames", "Members must be strings");
        r->streams[r->q.stream_count++] = json_bytes(name);
    }
    return 0;
}

static int read_filter(struct reading *r, struct err *err)
{
    struct call *c = r->c;
    struct str token = {NULL, 0};
    int rc;
    if ((rc = logs_api_take_group(c, &r->q.group, err)) || (rc = take_streams(r, err)) ||
        (rc = logs_api_take_prefix(c, "logStreamNamePrefix", &r->q.stream_prefix, err)) ||
        (rc = logs_api_take_prefix(c, "filterPattern", &r->q.pattern, err)) ||
        (rc = take_times(c, &r->q, true, err)) ||
        (rc = logs_api_take_limit(c, EVENTS_MAX, &r->q.limit, err)) ||
        (rc = json_member_str(c->json, "nextToken", &token, err)))
        return rc;
    if (r->q.stream_count && r->q.stream_prefix.n)
        return err_set(err, E_INVALID,
                       "LogStreamNamePrefix and LogStreamNames cannot be given together.");
    if (r->q.pattern.n > 1024)
        return logs_api_invalid(c, err, "filterPattern",
                                "Member must have length less than or equal to 1024");
    return !token.p || str_u64(token, &r->q.after) ? 0 : logs_api_bad_token(err);
}

static int read_get(struct reading *r, struct err *err)
{
    struct call *c = r->c;
    bool from_head = false;
    int rc;
    if ((rc = logs_api_take_group(c, &r->q.group, err)) ||
        (rc = json_member_str(c->json, "logStreamName", &r->streams[0], err)) ||
        (rc = take_times(c, &r->q, false, err)) ||
        (rc = logs_api_take_limit(c, EVENTS_MAX, &r->q.limit, err)) ||
        (rc = json_member_bool(c->json, "startFromHead", &from_head, err)) ||
        (rc = json_member_str(c->json, "nextToken", &r->token, err)))
        return rc;
    if (!r->streams[0].p || r->streams[0].n == 0)
        return logs_api_invalid(c, err, "logStreamName", "Member must not be null");
    r->q.stream_count = 1;
    r->q.stream_must_exist = true;
    r->q.backward = !from_head;
    if (!r->token.p)
        return 0;
    r->q.backward = str_starts(r->token, STR("b/"));
    if (!r->q.backward && !str_starts(r->token, STR("f/")))
        return logs_api_bad_token(err);
    struct str id = str_from(r->token, 2);
    return str_u64(id, r->q.backward ? &r->q.before : &r->q.after) ? 0 : logs_api_bad_token(err);
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
