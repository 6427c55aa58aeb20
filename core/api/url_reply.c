/* url_reply: what a function URL answers: the function's answer, whole or in parts, or an error in
 * the words of AWS's URLs. */
#include "api/url_call.h"
#include "base/json.h"
#include "base/rec.h"

enum { REPLY_HEADERS_MAX = 100, REPLY_HEAD_MAX = 64 * 1024, PAUSE_ABOVE = 256 * 1024 };
enum { OURS_MAX = 4 + URL_CORS_HEADERS }; /* headers besides the function's */

/* --- errors ------------------------------------------------------------------------------------
 */

static void reply_json(struct http_req *req, const struct url_call *u, int status, struct str json)
{
    struct http_header headers[OURS_MAX] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("x-amzn-RequestId"), str_c(req->id)},
    };
    size_t n = 2;
    if (status == 429)
        headers[n++] = (struct http_header){STR("Retry-After"), STR("1")};
    for (size_t i = 0; u && i < u->cors_count; i++)
        headers[n++] = u->cors_headers[i];
    http_reply(req, status, headers, n, json);
}

#define FORBIDDEN                                                                                  \
    "{\"Message\":\"Forbidden. For troubleshooting Function URL authorization issues, see: "       \
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html\"}"

/* The words of AWS for what is no fault of the function. */
static const char *words(int rc, int *status)
{
    *status = err_row(rc)->status;
    if (rc == E_NOT_FOUND)
        return "{\"Message\":\"Not Found\"}";
    if (*status == 413)
        return "{\"Message\":\"Request Entity Too Large\"}";
    if (*status == 429)
        return "{\"Message\":\"Rate Exceeded.\"}";
    if (rc == E_DENIED || rc == E_NO_AUTH)
        return FORBIDDEN;
    if (*status == 503)
        return "{\"Message\":\"Service Unavailable\"}";
    if (*status == 408)
        return "{\"Message\":\"Request Timeout\"}";
    if (*status == 403)
        return NULL;
    if (*status < 500) {
        *status = 400;
        return "{\"Message\":\"Bad Request\"}";
    }
    *status = 502;
    return "{\"Message\":\"Internal Server Error\"}";
}

void url_reply_error(struct http_req *req, const struct url_call *u, int rc, const struct err *err)
{
    struct buf b = BUF_INIT;
    int status;
    const char *text = words(rc, &status);
    if (text) {
        reply_json(req, u, status, str_c(text));
        return;
    }
    buf_lit(&b, "{\"Message\":"); /* a signature that is not good: what is wrong with it */
    json_quote(&b, str_c(err_text(err, rc)));
    buf_addc(&b, '}');
    reply_json(req, u, status, buf_str(&b));
    buf_deinit(&b);
}

/* --- the function's answer ---------------------------------------------------------------------
 */

/* What a rec of URL_* fields (from a runner: hostile) asks for. */
struct head {
    uint64_t status;
    struct http_header headers[REPLY_HEADERS_MAX + OURS_MAX];
    size_t count;
    struct str body;
    bool typed;
};

static bool ours(const struct url_call *u, struct str name)
{
    return url_is_hop(name) || str_ieq(name, STR("x-amzn-requestid")) ||
           (u->cors && name.n > 15 && str_ieq(str_of(name.p, 15), STR("access-control-")));
}

static int read_head(const struct url_call *u, struct str rec, struct head *out)
{
    size_t bytes = 0;
    struct str v;
    uint16_t tag;
    out->status = 200;
    out->count = 0;
    out->typed = false;
    out->body = STR("");
    while (rec_next(&rec, &tag, &v)) {
        if (tag == URL_STATUS)
            out->status = rec_int(v, 0);
        else if (tag == URL_BODY)
            out->body = v;
        if (tag != URL_HEADER && tag != URL_COOKIE)
            continue;
        bytes += v.n;
        if (out->count == REPLY_HEADERS_MAX || bytes > REPLY_HEAD_MAX)
            return E_INTERNAL;
        struct http_header h = {STR("Set-Cookie"), v};
        if (tag == URL_HEADER)
            h = (struct http_header){rec_str(v, 1), rec_str(v, 2)};
        if (!h.name.n || !h.value.p || ours(u, h.name))
            continue;
        out->typed = out->typed || (h.name.n == 12 && str_ieq(h.name, STR("content-type")));
        out->headers[out->count++] = h;
    }
    return out->status < 200 || out->status > 599 ? E_INTERNAL : 0;
}

/* Ours behind the function's. */
static void finish_head(const struct url_call *u, struct head *h, struct str type)
{
    if (!h->typed && type.n)
        h->headers[h->count++] = (struct http_header){STR("Content-Type"), type};
    h->headers[h->count++] = (struct http_header){STR("x-amzn-RequestId"), str_c(u->req->id)};
    for (size_t i = 0; i < u->cors_count; i++)
        h->headers[h->count++] = u->cors_headers[i];
}

static void reply_whole(struct url_call *u, const struct invoke_result *r)
{
    struct head h; /* not cleared: it is large */
    h.status = 200;
    h.count = 0;
    h.typed = false;
    h.body = r->payload.n ? r->payload : STR("null");
    int rc = r->kind == REPLY_HTTP ? read_head(u, r->payload, &h) : 0;
    if (rc) {
        url_reply_error(u->req, u, rc, NULL);
        return;
    }
    finish_head(u, &h, h.body.n ? STR("application/json") : STR(""));
    http_reply_owned(u->req, (int)h.status, h.headers, h.count, h.body, invoke_take(r));
}

void url_invoked(void *ctx, const struct invoke_result *r)
{
    struct url_call *u = ctx;
    if (u->event_malloced)
        free(u->event.p);
    u->resume = NULL;
    if (u->stream.begun)
        http_reply_end(u->req, r->rc == 0 && !r->error);
    else if (r->rc)
        url_reply_error(u->req, u, r->rc, NULL);
    else if (r->error)
        url_reply_error(u->req, u, E_INTERNAL, NULL);
    else
        reply_whole(u, r);
}

/* --- in parts ----------------------------------------------------------------------------------
 */

static bool begin(void *ctx, struct str rec)
{
    struct url_call *u = ctx;
    struct head h;
    if (read_head(u, rec, &h) != 0)
        return false;
    finish_head(u, &h, STR("application/octet-stream"));
    http_reply_begin(u->req, (int)h.status, h.headers, h.count, -1);
    return true;
}

static void drained(struct http_req *req)
{
    struct url_call *u = req->user;
    void (*resume)(void *) = u->resume;
    u->resume = NULL;
    if (resume)
        resume(u->resume_arg);
}

static bool write_part(void *ctx, struct str bytes, void (*resume)(void *arg), void *arg)
{
    struct url_call *u = ctx;
    if (u->req->gone || http_reply_write(u->req, bytes) <= PAUSE_ABOVE)
        return true;
    u->resume = resume;
    u->resume_arg = arg;
    http_reply_drained(u->req, drained);
    return false;
}

struct invoke_stream *url_stream(struct url_call *u)
{
    u->stream = (struct invoke_stream){.ctx = u, .begin = begin, .write = write_part};
    return &u->stream;
}
