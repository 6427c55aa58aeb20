/* url: calls of function URLs, /url/<function>/…
 *
 * The way that has to be fast: a request without a body costs no allocation beyond its own arena.
 * The function comes from the cache, with the answer to "may anybody call it" worked out when it
 * was loaded; the event is one exactly sized run of fields (the runner makes the Lua table, no JSON
 * in between); the answer's fields go straight into the head. The request outlives the invocation,
 * so the event and what `done` needs lie in its arena.
 *
 * What is not ours to pass on stays here: hop-by-hop headers do not reach the function, and those
 * of an answer do not reach the client (net leaves out whatever decides about framing). */
#include "api/gate.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/rec.h"
#include "svc/function.h"
#include "svc/invoke.h"

enum { BODY_MAX = 6 * 1024 * 1024, FIELD = 6, REPLY_HEADERS_MAX = 100 };
enum { REPLY_HEAD_MAX = 64 * 1024, EVENT_IN_ARENA = 64 * 1024 };

struct url_call {
    struct services *svc;
    struct http_req *req;
    struct fn *fn;       /* until invoke has it */
    struct str raw_path; /* from the slash after the function's name on */
    struct buf event;    /* malloc'd when there is a large body, else in the arena */
    bool event_malloced;
};

/* --- plain answers -----------------------------------------------------------------------------
 */

static void reply_json(struct http_req *req, int status, const char *json)
{
    struct http_header headers[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("x-amzn-RequestId"), str_c(req->id)},
        {STR("Retry-After"), STR("1")},
    };
    http_reply(req, status, headers, status == 429 ? 3 : 2, str_c(json));
}

static void reply_error(struct http_req *req, int rc)
{
    int status = err_row(rc)->status;
    if (rc == E_NOT_FOUND)
        reply_json(req, 404, "{\"Message\":\"Not Found\"}");
    else if (rc == E_LIMIT || rc == E_PAYLOAD_LIMIT)
        reply_json(req, 413, "{\"Message\":\"Request Entity Too Large\"}");
    else if (rc == E_THROTTLED)
        reply_json(req, 429, "{\"Message\":\"Rate Exceeded.\"}");
    else if (rc == E_DENIED)
        reply_json(req, 403,
                   "{\"Message\":\"Forbidden. For troubleshooting Function URL authorization "
                   "issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html\"}");
    else if (status == 503)
        reply_json(req, 503, "{\"Message\":\"Service Unavailable\"}");
    else if (status == 408)
        reply_json(req, 408, "{\"Message\":\"Request Timeout\"}");
    else if (status < 500)
        reply_json(req, 400, "{\"Message\":\"Bad Request\"}");
    else
        reply_json(req, 502, "{\"Message\":\"Internal Server Error\"}");
}

/* --- the event ---------------------------------------------------------------------------------
 */

/* Headers that concern this connection only. */
static bool is_hop(struct str name)
{
    switch (name.n) {
    case 2:
        return str_ieq(name, STR("te"));
    case 7:
        return str_ieq(name, STR("trailer")) || str_ieq(name, STR("upgrade"));
    case 10:
        return str_ieq(name, STR("connection")) || str_ieq(name, STR("keep-alive"));
    case 16:
        return str_ieq(name, STR("proxy-connection"));
    case 17:
        return str_ieq(name, STR("transfer-encoding"));
    case 19:
        return str_ieq(name, STR("proxy-authorization"));
    }
    return false;
}

static bool is_cookie(struct str name)
{
    return name.n == 6 && str_ieq(name, STR("cookie"));
}

/* At least what put_event writes. */
static size_t event_bound(const struct url_call *u, struct str body)
{
    const struct http_req *r = u->req;
    size_t n = 11 * FIELD + r->method.n + u->raw_path.n + r->query.n + r->host.n + sizeof r->peer +
               u->fn->name.n + 8 + 8 + body.n;
    for (size_t i = 0; i < r->header_count; i++) {
        const struct http_header *h = &r->headers[i];
        n += 3 * FIELD + h->name.n + h->value.n + 1;
        if (is_cookie(h->name)) /* each cookie becomes a field: "a;b;c" */
            n += (h->value.n + 1) / 2 * FIELD;
    }
    return n;
}

static void put_lower(struct buf *b, uint16_t tag, struct str s)
{
    rec_put_str(b, tag, s);
    for (size_t i = b->n - s.n; i < b->n; i++)
        if (b->p[i] >= 'A' && b->p[i] <= 'Z')
            b->p[i] += 32;
}

static void put_cookies(struct buf *b, struct str value)
{
    while (value.p) {
        struct str one = str_trim(str_cut(&value, ';'));
        if (one.n)
            rec_put_str(b, URL_COOKIE, one);
    }
}

/* One field per name, in order of first appearance, the values of a name that comes more than once
 * joined by commas. At most 100 headers, so comparing all with all is cheap. */
static void put_headers(struct buf *b, const struct http_req *r)
{
    for (size_t i = 0; i < r->header_count; i++) {
        const struct http_header *h = &r->headers[i];
        bool seen = false;
        if (is_hop(h->name))
            continue;
        if (is_cookie(h->name)) {
            put_cookies(b, h->value);
            continue;
        }
        for (size_t k = 0; k < i && !seen; k++)
            seen = str_ieq(r->headers[k].name, h->name);
        if (seen)
            continue;
        size_t mark = rec_begin(b, URL_HEADER);
        put_lower(b, 1, h->name);
        size_t value = rec_begin(b, 2);
        buf_add(b, h->value);
        for (size_t k = i + 1; k < r->header_count; k++) {
            if (!str_ieq(r->headers[k].name, h->name))
                continue;
            buf_addc(b, ',');
            buf_add(b, r->headers[k].value);
        }
        rec_end(b, value);
        rec_end(b, mark);
    }
}

static void put_event(struct url_call *u, struct str body)
{
    const struct http_req *r = u->req;
    struct buf *b = &u->event;
    rec_put_str(b, URL_METHOD, r->method);
    rec_put_str(b, URL_RAW_PATH, u->raw_path);
    rec_put_str(b, URL_RAW_QUERY, r->query);
    put_headers(b, r);
    rec_put_str(b, URL_DOMAIN, r->host);
    rec_put_str(b, URL_SOURCE_IP, str_c(r->peer));
    rec_put_str(b, URL_API_ID, u->fn->name);
    rec_put_u64(b, URL_TIME_MS, (uint64_t)clock_wall_ms());
    rec_put_str(b, URL_PROTOCOL, r->minor ? STR("HTTP/1.1") : STR("HTTP/1.0"));
    if (body.n)
        rec_put_str(b, URL_BODY, body);
}

/* Room for the event, so that writing it never grows the buffer. */
static int reserve_event(struct url_call *u, size_t bound)
{
    u->event = (struct buf){.cap = bound, .limit = bound};
    u->event_malloced = bound > EVENT_IN_ARENA;
    u->event.p = u->event_malloced ? malloc(bound) : arena_alloc(u->req->arena, bound);
    return u->event.p ? 0 : E_LIMIT;
}

/* --- the answer --------------------------------------------------------------------------------
 */

/* The head and body that a rec of URL_* fields (from a runner: hostile) asks for. */
static void reply_http(struct http_req *req, const struct invoke_result *r)
{
    struct str rec = r->payload;
    struct http_header headers[REPLY_HEADERS_MAX + 2];
    size_t count = 0, bytes = 0;
    bool typed = false;
    struct str body = STR(""), v;
    uint16_t tag;
    uint64_t status = 200;
    while (rec_next(&rec, &tag, &v)) {
        if (tag == URL_STATUS)
            status = rec_int(v, 0);
        else if (tag == URL_BODY)
            body = v;
        if (tag != URL_HEADER && tag != URL_COOKIE)
            continue;
        bytes += v.n;
        if (count == REPLY_HEADERS_MAX || bytes > REPLY_HEAD_MAX) {
            reply_error(req, E_INTERNAL);
            return;
        }
        struct http_header h = {STR("Set-Cookie"), v};
        if (tag == URL_HEADER)
            h = (struct http_header){rec_str(v, 1), rec_str(v, 2)};
        if (!h.name.n || !h.value.p || is_hop(h.name) || str_ieq(h.name, STR("x-amzn-requestid")))
            continue;
        typed = typed || (h.name.n == 12 && str_ieq(h.name, STR("content-type")));
        headers[count++] = h;
    }
    if (status < 200 || status > 599) {
        reply_error(req, E_INTERNAL);
        return;
    }
    if (!typed && body.n)
        headers[count++] = (struct http_header){STR("Content-Type"), STR("application/json")};
    headers[count++] = (struct http_header){STR("x-amzn-RequestId"), str_c(req->id)};
    http_reply_owned(req, (int)status, headers, count, body, invoke_take(r));
}

static void invoked(void *ctx, const struct invoke_result *r)
{
    struct url_call *u = ctx;
    struct http_req *req = u->req;
    if (u->event_malloced)
        free(u->event.p);
    if (r->rc)
        reply_error(req, r->rc);
    else if (r->error)
        reply_error(req, E_INTERNAL);
    else if (r->kind == REPLY_HTTP)
        reply_http(req, r);
    else {
        struct http_header headers[] = {
            {STR("Content-Type"), STR("application/json")},
            {STR("x-amzn-RequestId"), str_c(req->id)},
        };
        http_reply_owned(req, 200, headers, 2, r->payload.n ? r->payload : STR("null"),
                         invoke_take(r));
    }
}

/* --- the request -------------------------------------------------------------------------------
 */

static void run(struct url_call *u, struct str body)
{
    struct fn *fn = u->fn;
    size_t bound = event_bound(u, body);
    int rc = bound > PAYLOAD_MAX ? E_LIMIT : reserve_event(u, bound);
    if (rc) {
        fn_unref(fn);
        reply_error(u->req, rc);
        return;
    }
    put_event(u, body);
    ASSERT(u->event.rc == 0);
    struct invoke_req req = {
        .fn = fn,
        .event_kind = EVENT_URL,
        .event = buf_str(&u->event),
        .arn = fn->arn,
        .attempt = 1,
        .source = "url",
        .done = invoked,
        .ctx = u,
    };
    memcpy(req.request_id, u->req->id, sizeof req.request_id);
    invoke(u->svc->pool, &req);
    fn_unref(fn);
}

static void collected(struct http_req *req, int rc, struct str body)
{
    struct url_call *u = req->user;
    if (rc) {
        fn_unref(u->fn);
        reply_error(req, rc);
        return;
    }
    run(u, body);
}

/* "/url/NAME/rest" into name and the path that the function sees. */
static bool split_path(struct str path, struct str *name, struct str *raw_path)
{
    static const char prefix[] = "/url/";
    if (!str_starts(path, STR(prefix)))
        return false;
    struct str rest = str_from(path, sizeof prefix - 1);
    ptrdiff_t slash = str_index(rest, '/', 0);
    *name = slash < 0 ? rest : str_of(rest.p, (size_t)slash);
    *raw_path = slash < 0 ? STR("/") : str_from(rest, (size_t)slash);
    return name->n > 0;
}

void url_request(struct services *svc, struct http_req *req)
{
    struct str name, raw_path;
    struct fn *fn = NULL;
    int rc = split_path(req->path, &name, &raw_path)
                 ? function_get(svc->functions, name, STR(""), &fn, NULL)
                 : E_NOT_FOUND;
    if (rc == 0 && !fn->url)
        rc = E_NOT_FOUND;
    if (rc == 0 && !fn->url_open)
        rc = E_DENIED;
    if (rc == 0 && req->content_length > BODY_MAX)
        rc = E_LIMIT;
    struct url_call *u = rc ? NULL : arena_zalloc(req->arena, sizeof *u);
    if (!u) {
        if (fn)
            fn_unref(fn);
        reply_error(req, rc ? rc : E_LIMIT);
        return;
    }
    u->svc = svc;
    u->req = req;
    u->fn = fn;
    u->raw_path = raw_path;
    if (req->content_length == 0) {
        run(u, STR(""));
    } else {
        req->user = u;
        http_body_collect(req, BODY_MAX, collected);
    }
}
