/* url: calls of function URLs, /url/FUNCTION/… and /url/FUNCTION:ALIAS/…
 *
 * The way that has to be fast: a request without a body costs no allocation beyond its own arena.
 * The function comes from the cache, with the answer to "may anybody call it" worked out when it
 * was loaded; the event is one exactly sized run of fields (the runner makes the Lua table, no JSON
 * in between); the answer's fields go straight into the head. The request outlives the invocation,
 * so the event and what `done` needs lie in its arena.
 *
 * A URL of type AWS_IAM asks the gate who signs, and the policies whether they may, before anything
 * of the body reaches the function.
 *
 * What is not ours to pass on stays here: hop-by-hop headers do not reach the function, and those
 * of an answer do not reach the client (net leaves out whatever decides about framing). */
#include "api/gate_call.h"
#include "api/url_call.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rec.h"

enum {
    BODY_MAX = 6 * 1024 * 1024,
    FIELD = 6,
    EVENT_IN_ARENA = 64 * 1024,
    HASH_ON_LOOP = 64 * 1024
};

/* --- the event ---------------------------------------------------------------------------------
 */

bool url_is_hop(struct str name)
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
    if (u->caller) {
        const struct identity *who = &u->caller->who;
        n += 4 * FIELD + who->access_key.n + who->arn.n + who->user_id.n;
    }
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
        if (url_is_hop(h->name))
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

/* requestContext.authorizer.iam */
static void put_identity(struct buf *b, const struct identity *who)
{
    size_t mark = rec_begin(b, URL_IAM);
    rec_put_str(b, 1, who->access_key);
    rec_put_str(b, 2, who->arn);
    rec_put_str(b, 3, who->user_id);
    rec_end(b, mark);
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
    if (u->caller)
        put_identity(b, &u->caller->who);
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

/* --- the request -------------------------------------------------------------------------------
 */

/* Ends the request before the function has it. */
static void refuse(struct url_call *u, int rc, const struct err *err)
{
    fn_unref(u->fn);
    url_reply_error(u->req, u, rc, err);
}

static void run(struct url_call *u, struct str body)
{
    struct fn *fn = u->fn;
    size_t bound = event_bound(u, body);
    int rc = bound > PAYLOAD_MAX ? E_LIMIT : reserve_event(u, bound);
    if (rc) {
        refuse(u, rc, NULL);
        return;
    }
    put_event(u, body);
    ASSERT(u->event.rc == 0);
    struct invoke_req req = {
        .fn = fn,
        .event_kind = EVENT_URL,
        .event = buf_str(&u->event),
        .arn = u->arn,
        .attempt = 1,
        .source = "url",
        .stream = fn->url_streams ? url_stream(u) : NULL,
        .done = url_invoked,
        .ctx = u,
    };
    memcpy(req.request_id, u->req->id, sizeof req.request_id);
    invoke(u->svc->pool, &req);
    fn_unref(fn);
}

/* The body was what was signed: now the policies, the caller's and the function's. */
static void checked(struct url_call *u)
{
    struct policy_key auth = {STR("lambda:functionurlauthtype"), u->fn->url_auth};
    int rc = u->body_rc;
    gate_note_use(u->caller);
    if (rc == 0)
        rc = call_authorise_with(u->caller, "lambda:InvokeFunctionUrl", u->arn, &auth, 1,
                                 u->body_err);
    if (rc)
        refuse(u, rc, u->body_err);
    else
        run(u, u->body);
}

static void check_body(struct work *work)
{
    struct url_call *u = work->data;
    char hex[65];
    sha256_hex(u->body, hex);
    u->body_rc = gate_body_check(u->caller, str_of(hex, 64), u->body_err);
}

static void body_checked(struct work *work)
{
    checked(work->data);
}

static void collected(struct http_req *req, int rc, struct str body)
{
    struct url_call *u = req->user;
    if (rc) {
        refuse(u, rc, NULL);
    } else if (!u->caller) {
        run(u, body);
    } else {
        u->body = body;
        u->work.data = u;
        if (body.n > HASH_ON_LOOP) {
            work_start(u->svc->loop, &u->work, check_body, body_checked);
            return;
        }
        check_body(&u->work);
        checked(u);
    }
}

/* "/url/NAME[:ALIAS]/rest" into name, alias ("" none) and the path that the function sees. */
static bool split_path(struct http_req *req, struct str *name, struct str *alias,
                       struct str *raw_path)
{
    static const char prefix[] = "/url/";
    struct str path = req->path;
    if (!str_starts(path, STR(prefix)))
        return false;
    struct str rest = str_from(path, sizeof prefix - 1);
    ptrdiff_t slash = str_index(rest, '/', 0);
    *alias = slash < 0 ? rest : str_of(rest.p, (size_t)slash);
    *raw_path = slash < 0 ? STR("/") : str_from(rest, (size_t)slash);
    ptrdiff_t escape = str_index(*alias, '%', 0);
    if (escape >= 0 && (escape = str_find(*alias, STR("%3A"))) < 0)
        escape = str_find(*alias, STR("%3a"));
    *name = str_cut(alias, ':');
    if (escape >= 0 && !alias->p) {
        *alias = str_from(*name, (size_t)escape + 3);
        name->n = (size_t)escape;
    }
    if (!alias->p)
        *alias = STR("");
    return name->n > 0;
}

/* The function behind the URL. */
static int find(struct services *svc, struct http_req *req, struct url_call *u)
{
    struct str name, alias;
    if (!split_path(req, &name, &alias, &u->raw_path))
        return E_NOT_FOUND;
    int rc = function_get(svc->functions, name, alias, &u->fn, NULL);
    if (rc)
        return rc;
    u->arn = u->fn->arn;
    if (alias.n)
        u->arn = arena_printf(req->arena, "%.*s:%.*s", STR_FMT(u->fn->arn), STR_FMT(alias));
    return !u->fn->url ? E_NOT_FOUND : u->arn.p ? 0 : E_LIMIT;
}

/* Whether the caller may, as far as the head tells. */
static int admit(struct url_call *u, struct err *err)
{
    if (u->req->content_length > BODY_MAX)
        return E_LIMIT;
    if (str_is(u->fn->url_auth, "NONE"))
        return u->fn->url_open ? 0 : E_DENIED;
    u->body_err = arena_zalloc(u->req->arena, sizeof *u->body_err);
    if (!u->body_err)
        return E_LIMIT;
    return gate_identify(u->svc, u->req, "lambda", &u->caller, err);
}

void url_request(struct services *svc, struct http_req *req)
{
    struct url_call *u = arena_zalloc(req->arena, sizeof *u);
    struct err err;
    err_clear(&err);
    if (!u) {
        url_reply_error(req, NULL, E_LIMIT, NULL);
        return;
    }
    u->svc = svc;
    u->req = req;
    int rc = find(svc, req, u);
    if (rc) {
        if (u->fn)
            fn_unref(u->fn);
        url_reply_error(req, NULL, rc, NULL);
        return;
    }
    if (u->fn->url_cors) {
        struct fn *fn = u->fn; /* u goes with the reply */
        if (url_cors_preflight(u)) {
            fn_unref(fn);
            return;
        }
        url_cors_headers(u);
    }
    rc = admit(u, &err);
    req->user = u; /* the gate had it for a moment */
    if (rc)
        refuse(u, rc, &err);
    else if (req->content_length == 0)
        collected(req, 0, STR(""));
    else
        http_body_collect(req, BODY_MAX, collected);
}
