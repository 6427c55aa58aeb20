/* logs_streams: log streams, and what others than functions put into them. */
#include "api/logs.h"
#include "auth/arn.h"
#include "base/json.h"
#include "base/log.h"

enum { LIST_MAX = 50, EVENTS_MAX = 10000, EVENT_EXTRA = 26 };
#define BATCH_MAX ((size_t)1048576)
#define MESSAGE_MAX ((size_t)262144)
#define BATCH_SPAN_MS (24 * 3600 * 1000)

/* --- describing --------------------------------------------------------------------------------- */

struct describing {
    struct call *c;
    struct str group, token;
    bool by_time, descending;
    size_t limit;
    struct buf body;
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

static void put_stream(struct describing *d, const struct log_stream_info *s)
{
    struct buf *b = &d->body;
    buf_lit(b, "{\"logStreamName\":");
    json_quote(b, s->name);
    buf_printf(b, ",\"creationTime\":%lld", (long long)s->created_ms);
    if (s->has_events)
        buf_printf(b,
                   ",\"firstEventTimestamp\":%lld,\"lastEventTimestamp\":%lld,"
                   "\"lastIngestionTime\":%lld",
                   (long long)s->first_ms, (long long)s->last_ms, (long long)s->last_ingestion_ms);
    buf_lit(b, ",\"uploadSequenceToken\":\"1\",\"arn\":");
    struct buf arn = BUF_INIT;
    buf_printf(&arn, "arn:aws:logs:%s:" ACCOUNT_ID ":log-group:%.*s:log-stream:%.*s",
               d->c->svc->region, STR_FMT(d->group), STR_FMT(s->name));
    json_quote(b, buf_str(&arn));
    buf_deinit(&arn);
    buf_lit(b, ",\"storedBytes\":0}");
}

/* A pool thread. The token is the name of the last stream given; a page goes on behind it in the same
 * order. */
static void encode(void *ctx, const struct log_stream_list *list)
{
    struct describing *d = ctx;
    const struct log_stream_info **order = malloc((list->count + 1) * sizeof *order), *last = NULL;
    if (!order)
        fatal("out of memory");
    for (size_t i = 0; i < list->count; i++)
        order[i] = &list->streams[i];
    qsort(order, list->count, sizeof *order, d->by_time ? by_time : by_name);
    buf_lit(&d->body, "{\"logStreams\":[");
    bool begun = !d->token.p, more = false;
    for (size_t i = 0, n = 0; i < list->count && !more; i++) {
        const struct log_stream_info *s = order[d->descending ? list->count - 1 - i : i];
        if (!begun) {
            begun = str_eq(s->name, d->token);
        } else if (n == d->limit) {
            more = true;
        } else {
            if (n++)
                buf_addc(&d->body, ',');
            put_stream(d, s);
            last = s;
        }
    }
    buf_addc(&d->body, ']');
    if (more) {
        buf_lit(&d->body, ",\"nextToken\":");
        json_quote(&d->body, last->name);
    }
    buf_addc(&d->body, '}');
    free(order);
}

static void described(void *ctx, int rc, const struct log_stream_list *list, const struct err *err)
{
    struct describing *d = ctx;
    struct buf body = d->body; /* d goes with the call */
    (void)list;
    if (rc == 0)
        rc = body.rc;
    if (rc)
        call_error(d->c, rc, err);
    else
        call_bytes(d->c, 200, "application/x-amz-json-1.1", buf_str(&body));
    buf_deinit(&body);
}

static int read_describe(struct describing *d, struct str *prefix, struct err *err)
{
    struct call *c = d->c;
    struct str order = {NULL, 0};
    int rc;
    if ((rc = logs_api_take_group(c, &d->group, err)) ||
        (rc = logs_api_take_prefix(c, "logStreamNamePrefix", prefix, err)) ||
        (rc = json_member_str(c->json, "orderBy", &order, err)) ||
        (rc = json_member_bool(c->json, "descending", &d->descending, err)) ||
        (rc = logs_api_take_limit(c, LIST_MAX, &d->limit, err)) ||
        (rc = json_member_str(c->json, "nextToken", &d->token, err)))
        return rc;
    d->by_time = str_is(order, "LastEventTime");
    if (order.p && !d->by_time && !str_is(order, "LogStreamName"))
        return logs_api_invalid(c, err, "orderBy",
                                "Member must satisfy enum value set: [LogStreamName, "
                                "LastEventTime]");
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
        logs_streams(c->svc->logs, d->group, prefix, encode, described, d);
}

/* --- making and removing ------------------------------------------------------------------------ */

static int take_both(struct call *c, struct str *group, struct str *stream, struct err *err)
{
    int rc = logs_api_take_group(c, group, err);
    return rc ? rc : logs_api_take_stream(c, stream, err);
}

void logs_api_create_stream(struct call *c)
{
    struct err err = {0};
    struct str group, stream;
    int rc = take_both(c, &group, &stream, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        logs_create_stream(c->svc->logs, group, stream, logs_api_changed, c);
}

void logs_api_delete_stream(struct call *c)
{
    struct err err = {0};
    struct str group, stream;
    int rc = take_both(c, &group, &stream, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        logs_remove_stream(c->svc->logs, group, stream, logs_api_changed, c);
}

/* --- putting ------------------------------------------------------------------------------------ */

static int take_event(const json_t *v, size_t i, struct log_put_event *out, struct err *err)
{
    char member[64];
    int64_t at = INT64_MIN;
    struct str text = {NULL, 0};
    snprintf(member, sizeof member, "logEvents.%zu.member", i + 1);
    if (!json_is_object(v))
        return err_set(err, E_BAD_JSON,
                       "Could not parse request body into json: logEvents must "
                       "hold objects");
    int rc = json_member_int(v, "timestamp", &at, err);
    if (rc == 0)
        rc = json_member_str(v, "message", &text, err);
    if (rc)
        return rc;
    if (at == INT64_MIN || !text.p)
        return logs_api_invalid(NULL, err, member, "Member must not be null");
    if (at < 0)
        return logs_api_invalid(NULL, err, member,
                                "Member must have value greater than or equal to 0");
    if (text.n == 0)
        return logs_api_invalid(NULL, err, member,
                                "Member must have length greater than or equal to 1");
    if (text.n + EVENT_EXTRA > MESSAGE_MAX)
        return err_set(err, E_INVALID, "Log event too large: %zu bytes exceeds limit of %zu",
                       text.n + EVENT_EXTRA, MESSAGE_MAX);
    *out = (struct log_put_event){at, text};
    return 0;
}

static int take_events(struct call *c, struct log_put_event **events, size_t *count,
                       struct err *err)
{
    json_t *list = NULL, *v;
    size_t i, bytes = 0;
    int rc = json_member_array(c->json, "logEvents", &list, err);
    *count = json_array_size(list);
    if (rc)
        return rc;
    if (*count == 0)
        return logs_api_invalid(c, err, "logEvents",
                                list ? "Member must have length greater than or equal to 1"
                                     : "Member must not be null");
    if (*count > EVENTS_MAX)
        return logs_api_invalid(c, err, "logEvents",
                                "Member must have length less than or equal to 10000");
    *events = arena_alloc(c->arena, *count * sizeof **events);
    if (!*events)
        return E_LIMIT;
    json_array_foreach(list, i, v)
    {
        struct log_put_event *e = &(*events)[i];
        if ((rc = take_event(v, i, e, err)))
            return rc;
        bytes += e->message.n + EVENT_EXTRA;
        if (i && e->timestamp_ms < e[-1].timestamp_ms)
            return err_set(err, E_INVALID,
                           "Log events in a single PutLogEvents request must be in "
                           "chronological order.");
    }
    if (bytes > BATCH_MAX)
        return err_set(err, E_INVALID, "Upload too large: %zu bytes exceeds limit of %zu", bytes,
                       BATCH_MAX);
    if ((*events)[*count - 1].timestamp_ms - (*events)[0].timestamp_ms > BATCH_SPAN_MS)
        return err_set(err, E_INVALID,
                       "The batch of log events in a single PutLogEvents request "
                       "cannot span more than 24 hours.");
    return 0;
}

static void put(void *ctx, int rc, const struct log_put_result *r, const struct err *err)
{
    struct call *c = ctx;
    char token[60];
    if (rc) {
        call_error(c, rc, err);
        return;
    }
    json_t *out = json_object(), *not = json_object();
    snprintf(token, sizeof token, "%056llu", (unsigned long long)r->last_id);
    json_object_set_new(out, "nextSequenceToken", json_string(token));
    if (r->too_new_start >= 0)
        json_object_set_new(not, "tooNewLogEventStartIndex", json_integer(r->too_new_start));
    if (r->too_old_end >= 0)
        json_object_set_new(not, "tooOldLogEventEndIndex", json_integer(r->too_old_end));
    if (r->expired_end >= 0)
        json_object_set_new(not, "expiredLogEventEndIndex", json_integer(r->expired_end));
    if (json_object_size(not ))
        json_object_set(out, "rejectedLogEventsInfo", not );
    json_decref(not );
    call_json(c, 200, out);
}

void logs_api_put_events(struct call *c)
{
    struct err err = {0};
    struct str group, stream, sequence = STR("");
    struct log_put_event *events = NULL;
    size_t count = 0;
    int rc;
    if ((rc = take_both(c, &group, &stream, &err)) ||
        (rc = logs_api_take_prefix(c, "sequenceToken", &sequence, &err)) || /* of no use any more */
        (rc = take_events(c, &events, &count, &err)))
        call_error(c, rc, &err);
    else
        logs_put(c->svc->logs, group, stream, events, count, put, c);
}
