/* console: what comes to the console's port, and who it is from.
 *
 * There is no cookie, so no page but ours can act in a session's name; the checks of Host, Origin and
 * Sec-Fetch-Site stand before that as a second wall, and because what needs no session (signing in)
 * should not be reachable for other pages either. A session holds no rights: at each call the identity
 * behind its access key is found anew and asked as if it had signed. */
#include "api/console.h"

#include <uv.h>

#include "api/console_page.h"
#include "api/gate_call.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/version.h"
#include "svc/signin.h"

enum { BODY_MAX = 4096, HOST_MAX_LEN = 255, KEY_ARENA = 64 * 1024 };

static const char headers[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n";

struct console {
    struct services *svc;
    struct http_server *http;
    int dir;
    bool loopback;      /* listens there only */
    char url[512];      /* without a slash at the end */
    struct str outside; /* "name" or "name:port" of --console-url; "" without */
};

/* --- small answers ----------------------------------------------------------------------------- */

static void answer(struct http_req *req, int status, const char *error, struct str body)
{
    struct http_header h[5] = {{STR("Content-Type"), STR("application/json")},
                               {STR("Cache-Control"), STR("no-store")},
                               {STR("x-amzn-RequestId"), str_c(req->id)}};
    size_t n = 3;
    if (error)
        h[n++] = (struct http_header){STR("x-amzn-ErrorType"), str_c(error)};
    if (status == 401)
        h[n++] = (struct http_header){STR("WWW-Authenticate"), STR("Bearer")};
    http_reply(req, status, status == 204 ? h + 1 : h, status == 204 ? n - 1 : n, body);
}

static void answer_json(struct http_req *req, int status, json_t *json)
{
    struct buf b = BUF_INIT;
    json_write(&b, json);
    json_decref(json);
    answer(req, status, NULL, buf_str(&b));
    buf_deinit(&b);
}

static void refuse(struct http_req *req, int status, const char *error, const char *text)
{
    struct buf b = BUF_INIT;
    buf_lit(&b, "{\"Type\":\"User\",\"message\":");
    json_quote(&b, str_c(text));
    buf_addc(&b, '}');
    answer(req, status, error, buf_str(&b));
    buf_deinit(&b);
}

static void refuse_method(struct http_req *req, const char *allow)
{
    struct http_header h[] = {{STR("Allow"), str_c(allow)},
                              {STR("Content-Type"), STR("application/json")},
                              {STR("x-amzn-ErrorType"), STR("MethodNotAllowedException")}};
    http_reply(req, 405, h, 3,
               STR("{\"Type\":\"User\",\"message\":\"The method is not allowed here.\"}"));
}

/* --- whose page asks --------------------------------------------------------------------------- */

/* "[::1]:1970" -> "[::1]", "1970"; the port's p is NULL when there is none. */
static struct str split_port(struct str host, struct str *port)
{
    size_t i = host.n;
    while (i > 0 && host.p[i - 1] >= '0' && host.p[i - 1] <= '9')
        i--;
    *port = (struct str){NULL, 0};
    if (i == 0 || host.p[i - 1] != ':')
        return host;
    *port = str_from(host, i);
    return str_of(host.p, i - 1);
}

/* Is it an address, or localhost? Nobody can point those at us from outside. */
static bool is_literal(struct str name, bool loopback_only)
{
    char text[64];
    struct in_addr four;
    struct in6_addr six;
    bool six_form = name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';
    if (str_ieq(name, STR("localhost")))
        return true;
    if (six_form)
        name = str_of(name.p + 1, name.n - 2);
    if (name.n >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", STR_FMT(name));
    if (six_form)
        return uv_inet_pton(AF_INET6, text, &six) == 0 &&
               (!loopback_only || IN6_IS_ADDR_LOOPBACK(&six));
    return uv_inet_pton(AF_INET, text, &four) == 0 &&
           (!loopback_only || str_starts(name, STR("127.")));
}

static bool host_known(const struct console *c, struct str host)
{
    struct str port, name = split_port(host, &port);
    uint64_t n = 80;
    if (host.n == 0 || host.n > HOST_MAX_LEN)
        return false;
    if (c->outside.n && str_ieq(host, c->outside))
        return true;
    return is_literal(name, c->loopback) && (!port.p || str_u64(port, &n)) &&
           n == (uint64_t)http_port(c->http);
}

/* Is "scheme://host" the origin of this very request's host? */
static bool origin_is_own(const struct console *c, struct str origin, struct str host)
{
    bool plain = str_starts(origin, STR("http://")), tls = str_starts(origin, STR("https://"));
    if (tls && !c->svc->behind_tls_proxy && !(c->outside.n && str_ieq(host, c->outside)))
        return false;
    return (plain || tls) && str_ieq(str_from(origin, plain ? 7 : 8), host);
}

/* Requests that other pages make, as far as browsers tell. A page may be opened from anywhere. */
static bool is_foreign(const struct console *c, const struct http_req *req, bool page)
{
    struct str origin = http_header(req, "origin"), site = http_header(req, "sec-fetch-site");
    if (origin.p && !origin_is_own(c, origin, req->host))
        return true;
    if (!site.p || str_is(site, "same-origin") || str_is(site, "none"))
        return false;
    return !(page && str_is(http_header(req, "sec-fetch-mode"), "navigate") &&
             str_is(http_header(req, "sec-fetch-dest"), "document"));
}

/* --- sessions ---------------------------------------------------------------------------------- */

static json_t *identity_json(const struct identity *who)
{
    static const char *const kinds[] = {"anonymous", "root", "user", "role"};
    return json_pack("{s:s, s:o, s:o}", "kind", kinds[who->kind], "arn", json_text(who->arn),
                     "name", json_text(who->name.n ? who->name : STR("root")));
}

/* The owner of a key; false when the key no longer signs. */
static bool owner_of(struct services *svc, struct arena *a, const char *access_key,
                     struct identity *who)
{
    struct str secret;
    return identity_find(svc->identities, str_c(access_key), STR(""), a, who, &secret) == 0;
}

static json_t *session_json(const struct signin *s, const struct identity *who)
{
    return json_pack("{s:s, s:o, s:o, s:I, s:I}", "id", s->id, "identity", identity_json(who),
                     "access_key", json_text(str_c(s->access_key)), "created_ms",
                     (json_int_t)s->created_ms, "expires_ms",
                     (json_int_t)(s->seen_ms + SIGNIN_IDLE_MS));
}

static void add_server(const struct console *c, json_t *o)
{
    json_object_set_new(o, "server",
                        json_pack("{s:s, s:s, s:s, s:s}", "version", PERILUNE_VERSION, "region",
                                  c->svc->region, "account", ACCOUNT_ID, "endpoint",
                                  c->svc->endpoint));
}

static void open_session(struct console *c, struct http_req *req, const char *access_key,
                         const struct identity *who)
{
    char token[SIGNIN_TOKEN_SIZE];
    struct str agent = http_header(req, "user-agent");
    const struct signin *s = signin_open(c->svc->signins, str_c(access_key), str_c(req->peer),
                                         agent, clock_store_ms(), token);
    json_t *o = session_json(s, who);
    json_object_set_new(o, "token", json_string(token));
    add_server(c, o);
    log_info("console: %.*s signed in from %s", STR_FMT(who->arn), req->peer);
    answer_json(req, 201, o);
}

/* The access key that a sign-in's body proves to have. */
static bool proven(struct console *c, struct http_req *req, const json_t *body,
                   char access_key[static SIGNIN_KEY_MAX + 1], struct identity *who)
{
    struct str link = {NULL, 0}, key = {NULL, 0}, given = {NULL, 0}, secret;
    struct err err = {0};
    if (json_member_str(body, "link", &link, &err) ||
        json_member_str(body, "access_key", &key, &err) ||
        json_member_str(body, "secret_key", &given, &err))
        return false;
    if (link.p)
        return signin_redeem(c->svc->signins, link, clock_store_ms(), access_key) &&
               owner_of(c->svc, req->arena, access_key, who);
    if (key.n == 0 || key.n > SIGNIN_KEY_MAX || given.n == 0)
        return false;
    int rc = identity_find(c->svc->identities, key, STR(""), req->arena, who, &secret);
    if (rc || !str_eq_secret(secret, given))
        return false;
    snprintf(access_key, SIGNIN_KEY_MAX + 1, "%.*s", STR_FMT(key));
    identity_used(c->svc->identities, who, STR("perilune"), str_c(c->svc->region));
    return true;
}

static void refuse_for(struct http_req *req, int64_t wait_ms)
{
    char text[24];
    struct http_header h[] = {{STR("Retry-After"), STR("")},
                              {STR("Content-Type"), STR("application/json")},
                              {STR("x-amzn-ErrorType"), STR("TooManyRequestsException")}};
    snprintf(text, sizeof text, "%lld", (long long)(wait_ms / 1000 + 1));
    h[0].value = str_c(text);
    http_reply(req, 429, h, 3,
               STR("{\"Type\":\"User\",\"message\":\"Too many failed sign-ins from this address. "
                   "Try again later.\"}"));
}

static void sign_in(struct http_req *req, int rc, struct str body)
{
    struct console *c = req->user;
    struct err err = {0};
    char access_key[SIGNIN_KEY_MAX + 1];
    struct identity who;
    int64_t now = clock_store_ms(), wait = signin_wait(c->svc->signins, str_c(req->peer), now);
    if (wait > 0) {
        refuse_for(req, wait);
        return;
    }
    json_t *json = rc ? NULL : json_parse(body, &err);
    if (!json_is_object(json)) {
        refuse(req, rc == E_LIMIT ? 413 : 400, "InvalidRequestContentException",
               "The body must be a JSON object of at most 4096 bytes.");
    } else if (proven(c, req, json, access_key, &who)) {
        open_session(c, req, access_key, &who);
    } else {
        bool link = json_object_get(json, "link");
        signin_failed(c->svc->signins, str_c(req->peer), now);
        log_warn("console: a sign-in from %s failed", req->peer);
        refuse(req, 403, "AccessDeniedException",
               link ? "This link has been used, or is too old. 'perilune console-link' makes a new "
                      "one."
                    : "There is no such access key, or the secret is another.");
    }
    json_decref(json);
}

/* The session whose token the request bears, with its owner. */
static const struct signin *session_of(struct console *c, struct http_req *req,
                                       struct gate_session *out)
{
    struct str given = http_header(req, "authorization");
    if (given.n < 7 || !str_ieq(str_of(given.p, 7), STR("bearer ")))
        return NULL;
    const struct signin *s =
        signin_find(c->svc->signins, str_trim(str_from(given, 7)), clock_store_ms());
    if (!s)
        return NULL;
    if (!owner_of(c->svc, req->arena, s->access_key, &out->who)) {
        signin_end(c->svc->signins, str_c(s->id));
        return NULL;
    }
    memcpy(out->id, s->id, sizeof out->id);
    return s;
}

static void list_sessions(struct console *c, struct http_req *req, const struct gate_session *own)
{
    json_t *rows = json_array();
    int64_t now = clock_store_ms();
    for (const struct signin *s = NULL; (s = signin_next(c->svc->signins, s, now));) {
        struct identity who;
        if (!owner_of(c->svc, req->arena, s->access_key, &who) ||
            (!own->who.root && !str_eq(who.arn, own->who.arn)))
            continue;
        json_t *o = session_json(s, &who);
        json_object_set_new(o, "current", json_boolean(strcmp(s->id, own->id) == 0));
        json_object_set_new(o, "seen_ms", json_integer((json_int_t)s->seen_ms));
        json_object_set_new(o, "address", json_text(str_c(s->address)));
        json_object_set_new(o, "agent", json_text(str_c(s->agent)));
        json_array_append_new(rows, o);
    }
    answer_json(req, 200, json_pack("{s:o}", "sessions", rows));
}

/* Others' sessions are no business of anybody's but root's. */
static void end_session(struct console *c, struct http_req *req, const struct gate_session *own,
                        struct str id)
{
    struct identity who;
    const struct signin *s = signin_by_id(c->svc->signins, id, clock_store_ms());
    if (!s || !owner_of(c->svc, req->arena, s->access_key, &who) ||
        (!own->who.root && !str_eq(who.arn, own->who.arn))) {
        refuse(req, 404, "ResourceNotFoundException", "There is no such session.");
        return;
    }
    signin_end(c->svc->signins, id);
    answer(req, 204, NULL, STR(""));
}

/* /v1/session, /v1/sessions[/ID]; false: another path. */
static bool session_call(struct console *c, struct http_req *req, const struct signin *s,
                         const struct gate_session *own)
{
    bool get = str_is(req->method, "GET"), del = str_is(req->method, "DELETE");
    if (str_is(req->path, "/v1/session")) {
        if (get) {
            json_t *o = session_json(s, &own->who);
            add_server(c, o);
            answer_json(req, 200, o);
        } else if (del) {
            end_session(c, req, own, str_c(own->id));
        } else {
            refuse_method(req, "GET, POST, DELETE");
        }
    } else if (str_is(req->path, "/v1/sessions")) {
        if (get)
            list_sessions(c, req, own);
        else
            refuse_method(req, "GET");
    } else if (str_starts(req->path, STR("/v1/sessions/"))) {
        if (del)
            end_session(c, req, own, str_from(req->path, 13));
        else
            refuse_method(req, "DELETE");
    } else {
        return false;
    }
    return true;
}

/* --- calls ------------------------------------------------------------------------------------- */

/* Gives the request the path and host that it would have at the API. The service, or NULL. */
static const char *translate(struct console *c, struct http_req *req)
{
    static const char *const services[] = {"lambda", "s3",     "logs",     "iam",
                                           "sts",    "events", "scheduler"};
    struct str rest = str_from(req->path, 4), host = str_c(c->svc->endpoint);
    ptrdiff_t scheme = str_find(host, STR("://"));
    const char *service = NULL;
    if (str_starts(rest, STR("aws/"))) {
        struct str name;
        rest = str_from(rest, 4);
        name = str_cut(&rest, '/');
        for (size_t i = 0; i < sizeof services / sizeof *services; i++)
            if (str_is(name, services[i]))
                service = services[i];
        req->path = arena_printf(req->arena, "/%.*s", STR_FMT(rest));
    } else {
        service = "perilune";
        req->path = arena_printf(req->arena, "/perilune/v1/%.*s", STR_FMT(rest));
    }
    req->host = scheme < 0 ? host : str_from(host, (size_t)scheme + 3);
    return req->path.p ? service : NULL;
}

bool call_lives(struct call *c)
{
    const struct gate_session *s = c->private_->session;
    struct identity who;
    struct str secret;
    if (s && !signin_lives(c->svc->signins, str_c(s->id), clock_store_ms()))
        return false;
    struct arena *a = arena_new(KEY_ARENA); /* the call's own would grow as long as it goes on */
    int rc = identity_find(c->svc->identities, c->who.access_key, c->who.token, a, &who, &secret);
    arena_free(a);
    return rc == 0;
}

static void pass_call(struct console *c, struct http_req *req)
{
    struct gate_session *own = arena_zalloc(req->arena, sizeof *own);
    if (str_is(req->method, "OPTIONS")) {
        refuse_method(req, "GET, HEAD, POST, PUT, DELETE");
        return;
    }
    if (str_is(req->method, "POST") && str_is(req->path, "/v1/session")) {
        req->user = c;
        http_body_collect(req, BODY_MAX, sign_in);
        return;
    }
    const struct signin *s = own ? session_of(c, req, own) : NULL;
    if (!s) {
        refuse(req, 401, "UnauthorizedException", "You are not signed in, or no longer.");
        return;
    }
    if (session_call(c, req, s, own))
        return;
    const char *service = translate(c, req);
    if (service)
        gate_request_as(req, c->svc, own, service);
    else
        refuse(req, 404, "UnknownOperationException", "There is no such call.");
}

static void on_request(struct http_req *req, void *ctx)
{
    struct console *c = ctx;
    gate_take_peer(c->svc, req);
    bool is_call = str_starts(req->path, STR("/v1/")) || str_is(req->path, "/v1");
    if (!host_known(c, req->host)) {
        refuse(req, 421, "MisdirectedRequestException",
               "This console does not know itself by that host name; see --console-url.");
    } else if (is_foreign(c, req, !is_call)) {
        refuse(req, 403, "AccessDeniedException",
               "Another origin's page may not call the console.");
    } else if (is_call && req->path.n > 4) {
        pass_call(c, req);
    } else if (is_call) {
        refuse(req, 404, "UnknownOperationException", "There is no such call.");
    } else if (!str_is(req->method, "GET") && !str_is(req->method, "HEAD")) {
        refuse_method(req, "GET, HEAD");
    } else {
        console_page(req, c->dir);
    }
}

/* --- life -------------------------------------------------------------------------------------- */

static bool is_loopback(struct str name)
{
    return str_starts(name, STR("127.")) || str_is(name, "localhost") || str_is(name, "[::1]");
}

static void set_url(struct console *c, const struct console_opts *o)
{
    struct str port, host = split_port(str_c(o->listen), &port);
    c->loopback = is_loopback(host);
    if (host.n == 0 || str_is(host, "0.0.0.0") || str_is(host, "[::]"))
        host = STR("127.0.0.1");
    snprintf(c->url, sizeof c->url, "http://%.*s:%d", STR_FMT(host), http_port(c->http));
    if (!o->url)
        return;
    size_t n = strlen(o->url);
    while (n && o->url[n - 1] == '/')
        n--;
    snprintf(c->url, sizeof c->url, "%.*s", (int)n, o->url);
    struct str url = str_c(c->url);
    ptrdiff_t scheme = str_find(url, STR("://"));
    struct str rest = str_from(url, scheme < 0 ? 0 : (size_t)scheme + 3);
    c->outside = str_cut(&rest, '/');
}

struct console *console_open(const struct console_opts *o, char *err, size_t err_size)
{
    struct console *c = calloc(1, sizeof *c);
    if (!c)
        fatal("out of memory");
    c->svc = o->svc;
    c->dir = o->dir;
    c->http = http_listen(o->svc->loop, o->listen, on_request, c, err, err_size);
    if (!c->http) {
        free(c);
        return NULL;
    }
    http_set_headers(c->http, headers);
    set_url(c, o);
    o->svc->console_url = c->url;
    return c;
}

const char *console_url(const struct console *c)
{
    return c->url;
}

void console_link(struct services *svc, struct str access_key, struct buf *url)
{
    char token[SIGNIN_TOKEN_SIZE];
    signin_link(svc->signins, access_key, clock_store_ms(), token);
    buf_printf(url, "%s/#link=%s", svc->console_url, token);
}

void console_drain(struct console *c, void (*done)(void *ctx), void *ctx)
{
    http_drain(c->http, done, ctx);
}

void console_close(struct console *c)
{
    http_close(c->http);
}

void console_free(struct console *c)
{
    http_free(c->http);
    free(c);
}
