/* gate_help: the gate with a listener made of functions.
 *
 * A test asks (struct ask): the request is signed here (test_sigv4 ties that to botocore), walks
 * the real steps with the test's own gate_ops, and the one answer is recorded in `got`. The
 * functions of net/http.h and the figures of pool, queue and watchdog are replaced. */
#ifndef GATE_HELP_H
#define GATE_HELP_H

#include "api/gate_call.h"
#include "api/s3.h"
#include "api/s3_cors.h"
#include "base/clock.h"
#include "base/hash.h"
#include "svc/pool.h"
#include "svc/queue.h"
#include "svc/watchdog.h"
#include "unit.h"

#define KEY "AKIAPERILUNE"
#define SECRET "a secret of forty characters or about so"

/* --- what the gate calls ----------------------------------------------------------------------
 */

static struct {
    int answers, status, collects, used;
    struct buf head, body; /* head: "name: value\n" */
    char op[64], param[2][256], seen[256];
    int body_rc; /* of call_body_check */
    const char *url;
} got;

static struct str request_body;

bool s3_bucket_missing(struct call *c)
{
    return str_is(c->param[0], "missing");
}

void s3_cors_headers(struct call *c)
{
    call_set_header(c, "x-cors", c->param[0]);
}

void s3_cors_preflight(struct call *c)
{
    call_empty(c, 299);
}

static void record(int status, const struct http_header *h, size_t n, struct str body)
{
    got.answers++;
    got.status = status;
    for (size_t i = 0; i < n; i++)
        buf_printf(&got.head, "%.*s: %.*s\n", STR_FMT(h[i].name), STR_FMT(h[i].value));
    buf_add(&got.body, body);
}

void http_reply(struct http_req *req, int status, const struct http_header *headers, size_t count,
                struct str body)
{
    (void)req;
    record(status, headers, count, body);
}

void http_reply_owned(struct http_req *req, int status, const struct http_header *headers,
                      size_t count, struct str body, char *owner)
{
    http_reply(req, status, headers, count, body);
    free(owner);
}

void http_reply_begin(struct http_req *req, int status, const struct http_header *headers,
                      size_t count, int64_t length)
{
    (void)req, (void)length;
    record(status, headers, count, STR(""));
}

void http_reply_end(struct http_req *req, bool ok)
{
    (void)req;
    assert_true(ok);
}

struct str http_header(const struct http_req *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (str_ieq(req->headers[i].name, str_c(name)))
            return req->headers[i].value;
    return (struct str){NULL, 0};
}

static void (*body_grown)(struct http_req *req, struct str so_far);

void http_body_watch(struct http_req *req, void (*grown)(struct http_req *req, struct str so_far))
{
    (void)req;
    body_grown = grown;
}

void http_body_collect(struct http_req *req, size_t limit,
                       void (*done)(struct http_req *req, int rc, struct str body))
{
    got.collects++;
    if (body_grown)
        body_grown(req, str_of(request_body.p, request_body.n / 2));
    body_grown = NULL;
    done(req, request_body.n > limit ? E_LIMIT : 0, request_body);
}

int bucket_check(struct store *s, struct str name)
{
    (void)s, (void)name;
    return E_NO_BUCKET;
}

const char *pool_jail_layers(const struct pool *p)
{
    (void)p;
    return "seccomp,landlock";
}

void pool_stats(const struct pool *p, struct pool_stats *out)
{
    (void)p;
    *out = (struct pool_stats){.runners = 7};
}

void queue_stats(const struct queue *q, struct queue_stats *out)
{
    (void)q;
    *out = (struct queue_stats){0};
}

void watchdog_stats(struct watchdog_stats *out)
{
    *out = (struct watchdog_stats){0};
}

void url_request(struct services *svc, struct http_req *req)
{
    (void)svc;
    got.url = req->path.p;
}

void lambda_package_request(struct services *svc, struct http_req *req)
{
    (void)svc;
    got.url = req->path.p;
}

int object_get(struct store_txn *t, struct str bucket, struct str key, struct object_meta *out)
{
    (void)t, (void)bucket, (void)key, (void)out;
    return E_NO_KEY;
}

bool object_pair_next(struct str *rest, struct str *name, struct str *value)
{
    (void)rest, (void)name, (void)value;
    return false;
}

/* --- making requests --------------------------------------------------------------------------
 */

static uv_loop_t loop;
static struct services svc;

struct ask {
    const char *service, *method, *path, *query, *body;
    const char *headers; /* "Name:value\n"… beside those made here */
    const char *sha;     /* x-amz-content-sha256; NULL: right for s3, none for others; "" none */
    const char *key, *secret;
    const char *break_body; /* sent instead of body after signing */
    int64_t skew_ms;
    bool unsigned_;
    int64_t length; /* 0: of the body */
    const char *peer;
    const char *host; /* NULL: "h:1969" */
    int pad;
};

static size_t add_lines(struct http_header *h, const char *lines)
{
    size_t n = 0;
    struct str rest = str_c(lines);
    while (rest.n) {
        struct str value = str_cut(&rest, '\n'), name = str_cut(&value, ':');
        h[n++] = (struct http_header){name, value};
    }
    return n;
}

static void run_gate(struct http_req *req)
{
    gate_request(req, &svc);
    while (!got.answers && !got.url)
        uv_run(&loop, UV_RUN_ONCE);
}

static void ask(const struct ask *a)
{
    struct http_header h[120];
    struct sigv4_header s[120];
    struct http_req req = {.method = str_c(a->method),
                           .path = str_c(a->path),
                           .query = str_c(a->query ? a->query : ""),
                           .host = str_c(a->host ? a->host : "h:1969"),
                           .headers = h,
                           .id = "11111111-2222-4333-8444-555555555555",
                           .arena = arena_new(8 << 20)};
    char sha[65], stamp[32];
    struct clock_parts t;
    struct buf auth = BUF_INIT;
    struct str body = str_c(a->body ? a->body : "");
    buf_clear(&got.head);
    buf_clear(&got.body);
    got.answers = got.status = got.collects = got.used = got.body_rc = 0;
    got.op[0] = got.seen[0] = got.param[0][0] = got.param[1][0] = 0;
    got.url = NULL;
    snprintf(req.peer, sizeof req.peer, "%s", a->peer ? a->peer : "10.0.0.1");
    sha256_hex(body, sha);
    clock_split(clock_wall_ms() + a->skew_ms, &t);
    snprintf(stamp, sizeof stamp, "%04d%02d%02dT%02d%02d%02dZ", t.year % 10000, t.month % 100,
             t.day % 100, t.hour % 100, t.minute % 100, t.second % 100);
    h[req.header_count++] = (struct http_header){STR("Host"), req.host};
    req.header_count += add_lines(h + req.header_count, a->headers ? a->headers : "");
    const char *given = a->sha ? a->sha : str_is(str_c(a->service), "s3") ? sha : "";
    if (*given)
        h[req.header_count++] = (struct http_header){STR("x-amz-content-sha256"), str_c(given)};
    if (!a->unsigned_) {
        h[req.header_count++] = (struct http_header){STR("X-Amz-Date"), str_c(stamp)};
        for (size_t i = 0; i < req.header_count; i++)
            s[i] = (struct sigv4_header){h[i].name, h[i].value};
        struct sigv4_request sr = {.method = req.method,
                                   .path = req.path,
                                   .query = req.query,
                                   .headers = s,
                                   .header_count = req.header_count};
        sigv4_sign(&sr, str_c(a->key ? a->key : KEY), str_c(a->secret ? a->secret : SECRET),
                   STR("eu-west-1"), str_c(a->service), str_c(stamp), str_c(*given ? given : sha),
                   &auth);
        h[req.header_count++] = (struct http_header){STR("Authorization"), buf_str(&auth)};
    }
    request_body = a->break_body ? str_c(a->break_body) : body;
    req.content_length = a->length ? a->length : (int64_t)request_body.n;
    run_gate(&req);
    if (!got.url)
        assert_int_equal(got.answers, 1);
    arena_free(req.arena);
    buf_deinit(&auth);
}

#define ASK(...) ask(&(struct ask){__VA_ARGS__, .pad = 0})

static inline void assert_head(const char *line)
{
    buf_addc(&got.head, 0);
    got.head.n--;
    if (!got.head.p || !strstr(got.head.p, line))
        fail_msg("no \"%s\" in\n%s", line, got.head.p);
}

static inline void assert_body(const char *part)
{
    buf_addc(&got.body, 0);
    got.body.n--;
    if (!strstr(got.body.p, part))
        fail_msg("no \"%s\" in\n%s", part, got.body.p);
}

static inline void assert_error(int status, const char *part)
{
    if (got.status != status)
        fail_msg("status %d, want %d: %.*s", got.status, status, STR_FMT(buf_str(&got.body)));
    assert_string_equal(got.op, "");
    assert_body(part);
}

#endif
