/* logs_json: events as JSON texts, for functions whose LogFormat is JSON.
 *
 *   {"timestamp":"…Z","level":"INFO","requestId":"…","message":"text"}
 *   {"time":"…Z","type":"platform.start","record":{"requestId":"…","version":"$LATEST"}}
 *   {"time":"…Z","type":"platform.report","record":{"requestId":"…","metrics":{…},"status":"success"}}
 *
 * What a function logs is stored as it was said and takes this form when it is read. A message that is
 * itself a JSON object is shown as one; fields that follow a message (log.info("m", {k = 1})) become
 * members beside it. */
#include "svc/logs_record.h"

#include "base/clock.h"
#include "base/jscan.h"
#include "base/json.h"

static void put_time(struct buf *out, const char *name, int64_t ms)
{
    char when[25];
    clock_iso8601(ms, when);
    buf_printf(out, "{\"%s\":\"%s\"", name, when);
}

static bool is_object(struct str s)
{
    return s.n >= 2 && s.p[0] == '{' && s.p[s.n - 1] == '}' && jscan_valid(s);
}

/* Where the fields behind a message begin, or -1. A few places are tried: it is a guess at what
 * log.info wrote. */
static ptrdiff_t fields_at(struct str text)
{
    enum { TRIES = 8 };
    ptrdiff_t at = -1;
    if (text.n == 0 || text.p[text.n - 1] != '}')
        return -1;
    for (int i = 0; i < TRIES; i++) {
        ptrdiff_t next = str_index(text, '{', (size_t)(at + 1));
        if (next < 0)
            return -1;
        at = next;
        if (at > 0 && text.p[at - 1] == ' ' && is_object(str_from(text, (size_t)at)))
            return at;
    }
    return -1;
}

/* Members that would be there twice go below one of their own. */
static bool clashes(struct str fields)
{
    static const char *const ours[] = {"\"timestamp\"", "\"level\"", "\"requestId\"",
                                       "\"message\""};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (str_find(fields, str_c(ours[i])) >= 0)
            return true;
    return false;
}

static void put_message(struct buf *out, struct str text)
{
    ptrdiff_t at = fields_at(text);
    if (is_object(text)) {
        buf_add(out, text);
        return;
    }
    json_quote(out, at < 0 ? text : str_of(text.p, (size_t)at - 1));
    if (at < 0)
        return;
    struct str fields = str_from(text, (size_t)at), inner = str_of(fields.p + 1, fields.n - 2);
    if (clashes(fields)) {
        buf_lit(out, ",\"fields\":");
        buf_add(out, fields);
    } else if (str_trim(inner).n) {
        buf_addc(out, ',');
        buf_add(out, inner);
    }
}

void log_line_json(struct buf *out, int64_t wall_ms, enum log_severity level, struct str request_id,
                   struct str text)
{
    put_time(out, "timestamp", wall_ms);
    buf_printf(out, ",\"level\":\"%s\"", log_severity_name(level));
    if (request_id.n) {
        buf_lit(out, ",\"requestId\":");
        json_quote(out, request_id);
    }
    buf_lit(out, ",\"message\":");
    put_message(out, text);
    buf_addc(out, '}');
}

static void put_platform(struct buf *out, int64_t wall_ms, const char *type, struct str request_id)
{
    put_time(out, "time", wall_ms);
    buf_printf(out, ",\"type\":\"platform.%s\",\"record\":{\"requestId\":", type);
    json_quote(out, request_id);
}

void log_start_json(struct buf *out, int64_t wall_ms, struct str request_id, struct str version)
{
    put_platform(out, wall_ms, "start", request_id);
    buf_lit(out, ",\"version\":");
    json_quote(out, version.n ? version : STR("$LATEST"));
    buf_lit(out, "}}");
}

static void put_ms(struct buf *out, const char *name, uint64_t us)
{
    uint64_t thousandths = us;
    buf_printf(out, "\"%s\":%llu.%03u,", name, (unsigned long long)(thousandths / 1000),
               (unsigned)(thousandths % 1000));
}

void log_report_json(struct buf *out, int64_t wall_ms, struct str request_id,
                     const struct log_report *r, struct str status)
{
    put_platform(out, wall_ms, "report", request_id);
    buf_lit(out, ",\"metrics\":{");
    put_ms(out, "durationMs", r->duration_us);
    buf_printf(out, "\"billedDurationMs\":%llu,\"memorySizeMB\":%u,",
               (unsigned long long)r->billed_ms, r->memory_mb);
    if (r->init_us)
        put_ms(out, "initDurationMs", r->init_us);
    buf_printf(out, "\"maxMemoryUsedMB\":%llu},\"status\":",
               (unsigned long long)((r->memory_peak + (1 << 20) - 1) >> 20));
    json_quote(out, status.n ? status : STR("success"));
    buf_lit(out, "}}");
}
