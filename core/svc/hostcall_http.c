/* hostcall_http: http.request: the one way out of the house for a function.
 *
 * Every URL, the first and each that a redirect names, goes through the same three steps: made
 * canonical, asked of the role, handed to perilune-fetch with the word whether its address may be a
 * private one. That is so only where a statement of the role spells out the host: a star means the
 * internet, not the neighbours. The time is one for all hops; what a redirect must not carry on (the
 * body of a POST that becomes a GET, credentials for another origin) is left out. */
#include "base/log.h"
#include "base/rec.h"
#include "svc/fetch_wire.h"
#include "svc/fetcher.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"

enum {
    HOPS_MAX = 5,
    METHOD_MAX = 31,
    HEADERS_MAX = 100,
    HEADER_BYTES_MAX = 32 * 1024,
    TIMEOUT_DEFAULT_MS = 30 * 1000,
    TIMEOUT_MAX_MS = 900 * 1000,
    BODY_DEFAULT_MAX = 10 * 1024 * 1024,
};

struct request {
    struct fetch fetch;
    struct hostcalls *h;
    struct hostcall *call;
    struct outbound url;
    char method[METHOD_MAX + 1];
    struct buf headers; /* of this hop */
    struct str body;
    bool plain;   /* a redirect has made it a GET without body */
    bool foreign; /* a redirect has led to another origin */
    unsigned hops;
    uint64_t status;
    struct buf location; /* n 0: the answer is no redirect */
    struct buf result;
};

/* --- headers ------------------------------------------------------------------------------------ */

static bool in_list(struct str name, const char *const *list)
{
    for (; *list; list++)
        if (str_ieq(name, str_c(*list)))
            return true;
    return false;
}

static bool token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return s.n > 0;
}

static bool printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

static int check_header(struct str name, struct str value, struct err *err)
{
    static const char *const ours[] = {"host",       "content-length", "transfer-encoding",
                                       "connection", "keep-alive",     "upgrade",
                                       "te",         "trailer",        "expect",
                                       NULL};
    if (!token(name) || name.n > 256)
        return err_set(err, E_INVALID, "'%.*s' is no name of a header",
                       (int)(name.n < 100 ? name.n : 100), name.p);
    if (!printable(value))
        return err_set(err, E_INVALID, "The header '%.*s' holds control bytes", STR_FMT(name));
    if (in_list(name, ours) || str_ieq(str_of(name.p, name.n < 6 ? name.n : 6), STR("proxy-")))
        return err_set(err, E_INVALID, "The header '%.*s' is not the function's to set",
                       STR_FMT(name));
    return 0;
}

/* Not carried on by a redirect. */
static bool left_behind(const struct request *x, struct str name)
{
    static const char *const secret[] = {"authorization", "cookie", NULL};
    bool about_body = str_ieq(str_of(name.p, name.n < 8 ? name.n : 8), STR("content-"));
    return (x->plain && about_body) || (x->foreign && in_list(name, secret));
}

static int put_headers(struct request *x, struct err *err)
{
    struct str rest = x->call->args, v;
    uint16_t tag;
    size_t count = 0, bytes = 0;
    buf_clear(&x->headers);
    while (rec_next(&rest, &tag, &v)) {
        if (tag != HC_HEADERS)
            continue;
        struct str name = rec_str(v, 1), value = str_trim(rec_str(v, 2));
        int rc = check_header(name, value, err);
        if (rc)
            return rc;
        bytes += name.n + value.n;
        if (++count > HEADERS_MAX || bytes > HEADER_BYTES_MAX)
            return err_set(err, E_INVALID, "A request has at most %d headers of %d bytes",
                           HEADERS_MAX, HEADER_BYTES_MAX);
        if (left_behind(x, name))
            continue;
        size_t mark = rec_begin(&x->headers, FETCH_HEADER);
        buf_add(&x->headers, name);
        buf_lit(&x->headers, ": ");
        buf_add(&x->headers, value);
        rec_end(&x->headers, mark);
    }
    return x->headers.rc;
}

/* --- one hop ------------------------------------------------------------------------------------ */

static bool names_host(struct request *x, struct str resource)
{
    struct policy_query q = {
        .action = str_c(hostcall_row(HC_HTTP_REQUEST)->action),
        .resource = resource,
        .literal_host = true,
    };
    return role_check(x->h->o.roles, x->call->fn->role, x->call->fn->name, NULL, &q, NULL, NULL) ==
           0;
}

static void finish(struct request *x, int rc, const struct err *err)
{
    struct hostcall *call = x->call;
    struct buf result = x->result;
    buf_deinit(&x->headers);
    buf_deinit(&x->location);
    free(x);
    call->cancel = NULL;
    hostcall_end(call, rc, &result, err);
}

/* The role has allowed x->url. */
static void send_hop(struct request *x)
{
    struct err err = {0};
    int rc = put_headers(x, &err);
    if (rc) {
        finish(x, rc, &err);
        return;
    }
    buf_clear(&x->location);
    x->fetch.url = &x->url;
    x->fetch.method = str_c(x->method);
    x->fetch.headers = buf_str(&x->headers);
    x->fetch.body = x->plain ? (struct str){NULL, 0} : x->body;
    x->fetch.private_ok = names_host(x, str_of(x->url.url, x->url.scope_n));
    fetch_start(x->h->o.fetcher, &x->fetch);
}

/* --- answers ------------------------------------------------------------------------------------ */

static bool is_redirect(uint64_t status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* All values of a header that has not come before in `head`, joined. */
static void put_joined(struct buf *out, struct str head, struct str at, struct str name)
{
    struct str rest = head, v;
    uint16_t tag;
    while (rec_next(&rest, &tag, &v) && v.p != at.p)
        if (tag == FETCH_HEADER && str_eq(rec_str(v, 1), name))
            return;
    size_t outer = rec_begin(out, HC_HEADERS);
    rec_put_str(out, 1, name);
    size_t inner = rec_begin(out, 2);
    buf_add(out, rec_str(at, 2));
    while (rec_next(&rest, &tag, &v))
        if (tag == FETCH_HEADER && str_eq(rec_str(v, 1), name)) {
            buf_lit(out, ", ");
            buf_add(out, rec_str(v, 2));
        }
    rec_end(out, inner);
    rec_end(out, outer);
}

static struct buf *answered(struct fetch *fetch, struct str head, size_t size)
{
    struct request *x = (struct request *)(void *)fetch; /* its first member */
    struct str rest = head, v;
    uint16_t tag;
    x->status = rec_u64(head, FETCH_STATUS, 0);
    buf_clear(&x->result);
    rec_put_u64(&x->result, HC_STATUS, x->status);
    while (rec_next(&rest, &tag, &v)) {
        if (tag != FETCH_HEADER)
            continue;
        struct str name = rec_str(v, 1);
        if (is_redirect(x->status) && str_is(name, "location") && x->location.n == 0)
            buf_add(&x->location, rec_str(v, 2));
        put_joined(&x->result, head, v, name);
    }
    size_t mark = rec_begin(&x->result, HC_BODY);
    if (!buf_reserve(&x->result, size))
        return NULL;
    x->result.n += size; /* so that the field's head says what is going to be there */
    rec_end(&x->result, mark);
    x->result.n = mark;
    return &x->result;
}

static bool same_origin(const struct outbound *a, const struct outbound *b)
{
    return str_eq(str_of(a->url, a->origin_n), str_of(b->url, b->origin_n));
}

static int ask_role(struct request *x, const struct outbound *url, struct err *err)
{
    struct buf args = BUF_INIT;
    rec_put_str(&args, HC_URL, str_of(url->url, url->url_n));
    int rc = args.rc;
    if (rc == 0)
        rc = hostcall_allow(x->h, x->call, buf_str(&args), hostcall_row(HC_HTTP_REQUEST)->action,
                            HOSTCALL_URL, err);
    buf_deinit(&args);
    return rc;
}

/* 0 when the next hop is under way. */
static int redirect(struct request *x, struct err *err)
{
    struct outbound next;
    int rc = outbound_join(&x->url, buf_str(&x->location), &next, err);
    if (++x->hops > HOPS_MAX)
        return err_set(err, E_IO, "There were more than %d redirects", HOPS_MAX);
    if (rc == 0)
        rc = ask_role(x, &next, err);
    if (rc)
        return rc;
    x->foreign = x->foreign || !same_origin(&x->url, &next);
    bool post = strcmp(x->method, "POST") == 0, head = strcmp(x->method, "HEAD") == 0;
    if ((x->status == 303 && !head) || (x->status < 303 && post)) {
        snprintf(x->method, sizeof x->method, "GET");
        x->plain = true;
    }
    x->url = next;
    send_hop(x);
    return 0;
}

static int explain(struct request *x, const struct fetch_outcome *o, struct err *err)
{
    struct buf line = BUF_INIT;
    struct str url = str_of(x->url.url, x->url.scope_n < 300 ? x->url.scope_n : 300);
    struct str role = role_name_of(x->call->fn->role);
    if (o->rc == E_DENIED) {
        buf_printf(&line,
                   "AccessDenied: %.*s: %s; role \"%.*s\" must name the host literally: "
                   "{\"Effect\":\"Allow\",\"Action\":\"perilune:HttpRequest\",\"Resource\":"
                   "\"%.*s/*\"}",
                   STR_FMT(url), o->why, STR_FMT(role), (int)x->url.origin_n, x->url.url);
        hostcall_log(x->call, buf_str(&line));
        buf_deinit(&line);
    }
    return err_set(err, o->rc, "%.*s: %s", STR_FMT(url), o->why);
}

static void done(struct fetch *fetch, const struct fetch_outcome *o)
{
    struct request *x = (struct request *)(void *)fetch;
    struct err err = {0};
    int rc = x->call->abandoned ? E_ABORTED : o->rc;
    if (rc == 0 && x->location.n) {
        rc = redirect(x, &err);
        if (rc == 0)
            return;
    } else if (rc) {
        rc = explain(x, o, &err);
    }
    finish(x, rc, &err);
}

/* --- the call ----------------------------------------------------------------------------------- */

static void cancel(struct hostcall *call)
{
    struct request *x = call->user;
    fetch_cancel(&x->fetch);
}

static int read_method(struct request *x, struct err *err)
{
    struct str m = rec_str(x->call->args, HC_METHOD);
    static const char *const never[] = {"CONNECT", "TRACE", "TRACK", NULL};
    if (!m.p)
        m = STR("GET");
    if (!token(m) || m.n > METHOD_MAX || in_list(m, never))
        return err_set(err, E_INVALID, "'%.*s' is no method that can be asked for",
                       (int)(m.n < 60 ? m.n : 60), m.p);
    for (size_t i = 0; i < m.n; i++)
        x->method[i] = (char)(m.p[i] >= 'a' && m.p[i] <= 'z' ? m.p[i] - 32 : m.p[i]);
    return 0;
}

static int read_limits(struct request *x, struct err *err)
{
    uint64_t ms = rec_u64(x->call->args, HC_MS, TIMEOUT_DEFAULT_MS);
    uint64_t most = rec_u64(x->call->args, HC_MAX_BYTES, BODY_DEFAULT_MAX);
    if (ms == 0 || ms > TIMEOUT_MAX_MS)
        return err_set(err, E_INVALID, "A timeout is more than 0 and at most %d s",
                       TIMEOUT_MAX_MS / 1000);
    if (most > FETCH_BODY_MAX)
        return err_set(err, E_INVALID, "max_bytes is at most %d", FETCH_BODY_MAX);
    uv_update_time(x->h->o.loop); /* else the time would begin with the turn of the loop */
    x->fetch.deadline = uv_now(x->h->o.loop) + ms;
    x->fetch.max_bytes = most;
    return 0;
}

void hostcall_http_request(struct hostcalls *h, struct hostcall *call)
{
    struct err err = {0};
    struct request *x = calloc(1, sizeof *x);
    if (!x)
        fatal("out of memory");
    x->h = h;
    x->call = call;
    x->body = rec_str(call->args, HC_BODY);
    x->fetch.answered = answered;
    x->fetch.done = done;
    x->fetch.owner = call->fn;
    int rc = outbound_parse(rec_str(call->args, HC_URL), &x->url, &err);
    if (rc == 0)
        rc = read_method(x, &err);
    if (rc == 0)
        rc = read_limits(x, &err);
    if (rc == 0 && !h->o.fetcher)
        rc = err_set(&err, E_IO, "There is no perilune-fetch");
    if (rc) {
        finish(x, rc, &err);
        return;
    }
    call->user = x;
    call->cancel = cancel;
    send_hop(x);
}
