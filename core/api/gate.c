/* gate: walks a request through the fixed steps, on a row of ops.def.
 *
 *   parse         query and headers, once
 *   authenticate  who signs; at once when the head holds (or the lack of a body gives) the payload's
 *                 hash, else when the body has been hashed: no handler runs before
 *   route         the row (a form's Action is known only after its body)
 *   authorise     the row's action on the row's resource, once the signature is known to be good (and
 *                 the body read, when the resource lies in it)
 *   limit         from the head alone, so that nobody is told to continue with what is too large
 *   take body     collected, or left to a streaming handler, or none
 *   check, parse  hash, signature, JSON; off the loop above 64 KiB
 *   handler
 *
 * Default deny: each step ends the call with an error of the row's protocol, or lets it pass. The
 * order matters in two places. An unknown key is refused before a body is taken, after work that
 * costs what a wrong signature costs. And a streaming row of a service whose clients send no
 * payload hash runs its handler with an identity that is only claimed: call_body_check closes that
 * gap, and the handler must call it before anything lasts.
 *
 * Bodies that wait in memory are bounded together: BUDGET over all requests in flight. */
#include "api/ahead.h"
#include "api/gate_call.h"
#include "api/health.h"
#include "api/s3.h"
#include "api/s3_cors.h"
#include "api/xml.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"

enum { SMALL = 64 * 1024 };
static const uint64_t BUDGET = 384 * 1024 * 1024;
static uint64_t budget_used;

#define EMPTY_SHA256 STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

/* --- parse ------------------------------------------------------------------------------------
 */

static struct call *call_new(struct http_req *req, struct services *svc)
{
    struct call *c = arena_zalloc(req->arena, sizeof *c);
    struct call_private *v = arena_zalloc(req->arena, sizeof *v);
    struct sigv4_header *h = arena_alloc(req->arena, (req->header_count + 1) * sizeof *h);
    if (!c || !v || !h)
        return NULL;
    *c = (struct call){.req = req, .svc = svc, .arena = req->arena, .private_ = v};
    for (size_t i = 0; i < req->header_count; i++) {
        h[i] = (struct sigv4_header){req->headers[i].name, req->headers[i].value};
        if (str_ieq(h[i].name, STR("host")))
            h[i].value = req->host; /* of an absolute-form target: its authority */
    }
    v->sig = (struct sigv4_request){.method = req->method,
                                    .path = req->path,
                                    .query = req->query,
                                    .headers = h,
                                    .header_count = req->header_count,
                                    .host_bucket = route_host_bucket(svc, req)};
    v->headers_end = &v->headers;
    v->began_ns = clock_mono_ns();
    c->protocol = route_guess(svc, req);
    req->user = c;
    return c;
}

/* --- authenticate -----------------------------------------------------------------------------
 */

/* The identity behind an access key and its session token. What is wrong with them is told once the
 * signature has been checked against whatever secret there is: see gate_verify. */
static void find_key(struct call *c, struct str access_key, struct str token)
{
    struct call_private *v = c->private_;
    v->key_rc = identity_find(c->svc->identities, access_key, token, c->arena, &c->who, &v->secret);
    if (v->key_rc && v->key_rc != E_TOKEN_EXPIRED)
        v->secret = (struct str){NULL, 0};
}

static int bad_key(struct call *c, int rc, struct err *err)
{
    bool s3 = c->protocol == PROTO_S3;
    if (rc == E_BAD_ACCESS_KEY && s3)
        return err_set(err, rc,
                       "The AWS Access Key Id you provided does not exist in our records.");
    if (s3 && (rc == E_BAD_TOKEN || rc == E_TOKEN_EXPIRED))
        rc = rc == E_BAD_TOKEN ? E_S3_BAD_TOKEN : E_S3_TOKEN_EXPIRED;
    return err_set(err, rc, "%s", err_row(rc)->text);
}

int gate_verify(struct call *c, struct str payload_hash, struct err *err)
{
    struct call_private *v = c->private_;
    int rc = sigv4_verify(&v->sig, &v->claim, v->secret, payload_hash, clock_wall_ms(), err);
    if (v->key_rc && (rc == 0 || (rc == E_BAD_SIGNATURE && !v->secret.p)))
        return bad_key(c, v->key_rc, err);
    if (rc == 0)
        v->used = true;
    return rc;
}

static bool is_sha256(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == 64;
}

/* x-amz-content-sha256 as given: which of the forms this protocol knows? */
static int payload_form(struct call *c, struct str given, struct err *err)
{
    static const char *const s3_forms[] = {
        [PAYLOAD_UNSIGNED] = "UNSIGNED-PAYLOAD",
        [PAYLOAD_CHUNKS] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        [PAYLOAD_CHUNKS_TRAILER] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        [PAYLOAD_UNSIGNED_TRAILER] = "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    };
    bool s3 = c->protocol == PROTO_S3;
    if (!given.p)
        return s3 ? err_set(err, E_BAD_REQUEST,
                            "Missing required header for this request: x-amz-content-sha256")
                  : 0;
    if (is_sha256(given))
        return 0;
    for (int i = PAYLOAD_UNSIGNED; s3 && i <= PAYLOAD_UNSIGNED_TRAILER; i++) {
        if (str_is(given, s3_forms[i])) {
            c->payload = (enum payload)i;
            return 0;
        }
    }
    return err_set(err, s3 ? E_INVALID : E_BAD_REQUEST,
                   "x-amz-content-sha256 must be %sa valid sha256 value.",
                   s3 ? "UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
                        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or "
                      : "");
}

/* Chunks are for rows whose handler takes its body as it comes. */
static bool in_chunks(const struct call *c)
{
    return c->payload >= PAYLOAD_CHUNKS;
}

/* Nothing of the request is signed; what it says of its body's hash is compared all the same. */
static int unsigned_call(struct call *c, const char *service, struct err *err)
{
    struct call_private *v = c->private_;
    struct str given = call_header(c, "x-amz-content-sha256");
    v->claim.service = str_c(service);
    v->verified = true;
    c->payload = c->protocol == PROTO_S3 ? PAYLOAD_UNSIGNED : PAYLOAD_WHOLE;
    if (given.p && payload_form(c, given, err))
        return E_INVALID;
    if (is_sha256(given))
        c->expect_sha256 = given;
    bool needs_key = c->payload == PAYLOAD_CHUNKS || c->payload == PAYLOAD_CHUNKS_TRAILER;
    return needs_key ? err_set(err, E_DENIED, "Access Denied") : 0;
}

/* Nobody signs: in S3 a stranger, who may do what a bucket's policy lets everybody do. */
static int anonymous(struct call *c, struct err *err)
{
    if (c->protocol != PROTO_S3)
        return err_set(err, E_NO_AUTH, "%s", err_row(E_NO_AUTH)->text);
    return unsigned_call(c, "s3", err);
}

/* A link bears it encoded. */
static struct str session_token_of(struct call *c)
{
    struct sigv4_claim *claim = &c->private_->claim;
    struct str token = claim->session_token;
    struct buf b = BUF_INIT;
    if (claim->presigned && str_index(token, '%', 0) >= 0) {
        if (uri_decode(&b, token, false))
            token = arena_dup(c->arena, buf_str(&b));
        buf_deinit(&b);
    }
    return token;
}

static int authenticate(struct call *c, struct err *err)
{
    struct call_private *v = c->private_;
    struct sigv4_claim *claim = &v->claim;
    if (!sigv4_present(&v->sig) && !call_header(c, "authorization").n)
        return anonymous(c, err);
    int rc = sigv4_claim(&v->sig, claim, err);
    if (rc)
        return rc;
    route_protocol(claim->service, &c->protocol);
    rc = payload_form(c, claim->content_sha256, err);
    if (rc)
        return rc;
    find_key(c, claim->access_key, session_token_of(c));
    bool known = v->secret.p != NULL;
    if (claim->content_sha256.p) {
        rc = gate_verify(c, claim->content_sha256, err);
        if (is_sha256(claim->content_sha256))
            c->expect_sha256 = claim->content_sha256;
    } else if (c->req->content_length == 0 || !known) {
        rc = gate_verify(c, EMPTY_SHA256, err);
    } else {
        return 0; /* once the body is hashed */
    }
    v->verified = rc == 0;
    return rc;
}

int gate_identify(struct services *svc, struct http_req *req, const char *service,
                  struct call **out, struct err *err)
{
    struct call *c = call_new(req, svc);
    if (!c)
        return E_LIMIT;
    c->protocol = PROTO_REST_JSON; /* also where the path looks like an object's */
    int rc = call_fields(c, req->query, err);
    if (rc == 0)
        rc = authenticate(c, err);
    if (rc == 0 && !str_is(c->private_->claim.service, service))
        rc = err_set(err, E_BAD_AUTH, "Credential should be scoped to correct service: '%s'.",
                     service);
    *out = c;
    return rc;
}

/* --- route, authorise, limit ------------------------------------------------------------------
 */

static int route(struct call *c, struct err *err)
{
    struct str service = c->private_->claim.service;
    enum protocol p;
    if (!route_protocol(service, &p))
        return err_set(err, E_UNKNOWN_ACTION, "The service \"%.*s\" is not served here.",
                       STR_FMT(service));
    return route_find(c, err);
}

/* Stands in for the row that was not found while the signature has yet to be checked: strangers do
 * not learn which operations there are. */
static void refuse(struct call *c)
{
    call_error(c, c->private_->refusal->code, c->private_->refusal);
}

static const struct op refused_op = {.service = "",
                                     .name = "",
                                     .method = "",
                                     .pattern = "",
                                     .select = "",
                                     .body = BODY_BYTES,
                                     .body_limit = SMALL,
                                     .action = "",
                                     .handler = refuse};

static int route_or_refuse(struct call *c, struct err *err)
{
    struct call_private *v = c->private_;
    int rc = route(c, err);
    if (rc && c->who.kind == IDENTITY_ANONYMOUS)
        return err_set(err, E_DENIED, "%s", err_row(E_DENIED)->text);
    if (rc == 0 || v->verified)
        return rc;
    v->refusal = arena_alloc(c->arena, sizeof *v->refusal);
    if (!v->refusal)
        return E_LIMIT;
    *v->refusal = *err;
    v->refusal->code = rc;
    c->op = &refused_op;
    return 0;
}

/* Rows without an action ask for themselves: any signed caller reaches them, and in S3, where they
 * ask for each key, strangers too; but those whose body waits in memory only where strangers may do
 * anything at all. */
static int authorise_nothing(struct call *c, struct err *err)
{
    if (c->who.kind != IDENTITY_ANONYMOUS)
        return 0;
    if (c->protocol == PROTO_S3 && (c->op->body == BODY_STREAM || call_stranger_is_heard(c)))
        return 0;
    return err_set(err, E_DENIED, "%s", err_row(E_DENIED)->text);
}

/* x-amz-expected-bucket-owner and its like for the source of a copy: one account owns everything. */
static bool owner_is_expected(const struct call *c)
{
    if (c->protocol != PROTO_S3)
        return true;
    struct str owner = call_header(c, "x-amz-expected-bucket-owner");
    struct str source = call_header(c, "x-amz-source-expected-bucket-owner");
    return (!owner.p || str_is(owner, ACCOUNT_ID)) && (!source.p || str_is(source, ACCOUNT_ID));
}

int gate_authorise(struct call *c, struct err *err)
{
    struct str resource = STR("*");
    if (c->private_->authorised)
        return 0;
    c->private_->authorised = true;
    if (!owner_is_expected(c))
        return err_set(err, E_DENIED, "%s", err_row(E_DENIED)->text);
    int rc = *c->op->action ? resource_arn(c, &resource) : authorise_nothing(c, err);
    if (rc == 0 && *c->op->action)
        rc = call_authorise(c, c->op->action, resource, err);
    if (rc == E_DENIED && c->protocol == PROTO_S3 && c->who.kind == IDENTITY_ANONYMOUS &&
        s3_bucket_missing(c))
        return err_set(err, E_NO_BUCKET, "%s", err_row(E_NO_BUCKET)->text);
    return rc;
}

/* The resource lies in the body, or conditions may ask for what does; then it is small. */
static bool asked_after_body(const struct op *op)
{
    return op->body == BODY_FORM || resource_in_body(op) ||
           (op->body == BODY_JSON && op->body_limit <= SMALL);
}

static uint64_t body_limit(const struct op *op)
{
    return op->body == BODY_NONE ? SMALL : op->body_limit;
}

static int too_large(const struct op *op, struct err *err)
{
    int code = op->body == BODY_PAYLOAD ? E_PAYLOAD_LIMIT : E_LIMIT;
    return err_set(err, code, "%s", err_row(code)->text);
}

static int limit(struct call *c, struct err *err)
{
    struct call_private *v = c->private_;
    uint64_t max = body_limit(c->op);
    int64_t announced = c->req->content_length;
    if (in_chunks(c) && c->op->body != BODY_STREAM)
        return err_set(err, E_NOT_IMPLEMENTED,
                       "Transferring payloads in multiple chunks using aws-chunked is not "
                       "supported by this operation.");
    if (max && announced > 0 && (uint64_t)announced > max && !in_chunks(c)) /* framing counts */
        return too_large(c->op, err);
    if (c->op->body == BODY_STREAM || announced == 0)
        return 0;
    uint64_t want = announced > 0 ? (uint64_t)announced : max;
    if (want <= SMALL)
        return 0;
    if (budget_used + want > BUDGET)
        return err_set(err, E_BUSY, "%s", err_row(E_BUSY)->text);
    budget_used += want;
    v->budget = want;
    return 0;
}

/* --- the body ---------------------------------------------------------------------------------
 */

static bool is_hashed(const struct call *c)
{
    return c->expect_sha256.p || !c->private_->verified;
}

/* Hash, signature, form, JSON, XML. Touches nothing that another thread may: runs on the loop or on the pool.
 */
static void examine(struct call *c)
{
    struct call_private *v = c->private_;
    int rc = 0;
    if (v->ahead)
        c->is_json = ahead_finish(v->ahead, c->body, v->sha256);
    c->scanned = v->ahead && c->op->body == BODY_PAYLOAD;
    if (is_hashed(c)) {
        if (!v->ahead)
            sha256_hex(c->body, v->sha256);
        rc = gate_body_check(c, str_of(v->sha256, 64), v->json_err);
    }
    if (rc == 0 && c->protocol == PROTO_S3)
        rc = s3_digest_check(c, c->body, &c->promised, v->json_err);
    if (rc == 0 && c->op->body == BODY_FORM)
        rc = call_fields(c, c->body, v->json_err);
    if (rc == 0 && c->op->body == BODY_JSON) {
        v->json = json_parse(c->body.n ? c->body : STR("{}"), v->json_err);
        if (!v->json)
            rc = E_BAD_JSON;
        else if (!json_is_object(v->json))
            rc = err_set(v->json_err, E_BAD_JSON,
                         "Could not parse request body into json: not an object");
    }
    if (rc == 0 && c->op->body == BODY_XML && c->body.n) {
        struct xml_node *root;
        rc = xml_parse(c->arena, c->body, &root);
        c->xml = root;
    }
    v->json_rc = rc;
}

/* Loop thread again: what is left before the handler. */
static void examined(struct call *c)
{
    struct call_private *v = c->private_;
    struct err *err = v->json_err;
    int rc = v->json_rc;
    bool in_body = resource_in_body(c->op);
    c->json = v->json;
    if (rc == 0 && c->op->body == BODY_FORM) {
        rc = route_action(c, err);
        in_body = true;
    }
    /* what is wrong with a body is told to those only who may */
    if (rc == 0 || (v->verified && !in_body)) {
        struct err denied;
        err_clear(&denied);
        int may = gate_authorise(c, &denied);
        if (may)
            *err = denied;
        rc = may ? may : rc;
    }
    if (rc)
        call_error(c, rc, err);
    else
        c->op->handler(c);
}

static void work_run(struct work *w)
{
    examine(w->data);
}

static void work_done(struct work *w)
{
    examined(w->data);
}

static void collected(struct call *c)
{
    struct call_private *v = c->private_;
    int rc = v->json_rc;
    v->json_err = arena_alloc(c->arena, sizeof *v->json_err);
    if (v->json_err)
        err_clear(v->json_err);
    else if (rc == 0)
        rc = E_LIMIT;
    if (rc == E_LIMIT && c->op->body == BODY_PAYLOAD)
        rc = E_PAYLOAD_LIMIT;
    if (rc) {
        call_error(c, rc, NULL);
        return;
    }
    if (c->body.n <= SMALL) {
        examine(c);
        examined(c);
        return;
    }
    v->work.data = c;
    work_start(c->svc->loop, &v->work, work_run, work_done);
}

static void body_collected(struct http_req *req, int rc, struct str body)
{
    struct call *c = req->user;
    struct call_private *v = c->private_;
    v->json_rc = rc;
    c->body = body;
    if (v->ahead)
        ahead_ended(v->ahead, collected);
    else
        collected(c);
}

static void body_grown(struct http_req *req, struct str so_far)
{
    struct call *c = req->user;
    ahead_grown(c->private_->ahead, so_far);
}

static void take_body(struct call *c)
{
    struct call_private *v = c->private_;
    if (c->op->body == BODY_STREAM) {
        c->op->handler(c);
        return;
    }
    v->ahead = ahead_begin(c, is_hashed(c), c->op->body == BODY_PAYLOAD);
    if (v->ahead)
        http_body_watch(c->req, body_grown);
    http_body_collect(c->req, body_limit(c->op), body_collected);
}

/* --- the walk ---------------------------------------------------------------------------------
 */

/* An answer without a body, outside of any protocol. */
static void bare(struct http_req *req, int status)
{
    struct http_header id = {STR("x-amzn-RequestId"), str_c(req->id)};
    http_reply(req, status, &id, 1, STR(""));
}

static bool is_reading(const struct http_req *req)
{
    return str_is(req->method, "GET") || str_is(req->method, "HEAD");
}

/* What is answered without an identity, or judges identity by itself. */
static bool open_path(struct services *svc, struct http_req *req)
{
    bool reading = is_reading(req);
    if (route_host_bucket(svc, req).n)
        return false; /* all paths are keys there */
    if (str_is(req->method, "OPTIONS") && str_is(req->path, "*"))
        bare(req, 204);
    else if (str_is(req->path, "/healthz") && reading)
        health_reply(svc, req);
    else if (str_is(req->path, "/metrics") && reading && health_is_local(req))
        health_metrics(svc, req);
    else if (str_starts(req->path, STR("/url/")))
        url_request(svc, req);
    else if (str_starts(req->path, STR(LAMBDA_PACKAGES)) && reading)
        lambda_package_request(svc, req);
    else
        return false;
    return true;
}

/* What follows once it is known who asks. */
static void walk(struct call *c, int rc, struct err *err)
{
    if (rc == 0)
        rc = route_or_refuse(c, err);
    if (rc == 0 && c->private_->verified && !asked_after_body(c->op))
        rc = gate_authorise(c, err);
    if (rc == 0)
        rc = limit(c, err);
    if (rc)
        call_error(c, rc, err);
    else
        take_body(c);
}

/* From the one proxy that is trusted, the client's address is the last that X-Forwarded-For names:
 * those before it are what the client has said. */
void gate_take_peer(const struct services *svc, struct http_req *req)
{
    struct str rest = {NULL, 0}, last = {NULL, 0};
    char text[sizeof req->peer];
    struct sockaddr_in6 six;
    struct sockaddr_in four;
    if (svc->trusted_proxy.n == 0 || !str_is(svc->trusted_proxy, req->peer))
        return;
    for (size_t i = 0; i < req->header_count; i++)
        if (str_ieq(req->headers[i].name, STR("x-forwarded-for")))
            rest = req->headers[i].value;
    while (rest.p)
        last = str_trim(str_cut(&rest, ','));
    if (last.n == 0 || last.n >= sizeof text || memchr(last.p, 0, last.n))
        return;
    snprintf(text, sizeof text, "%.*s", STR_FMT(last));
    if (uv_ip4_addr(text, 0, &four) == 0 || uv_ip6_addr(text, 0, &six) == 0)
        memcpy(req->peer, text, last.n + 1);
}

void gate_request(struct http_req *req, void *ctx)
{
    struct err err;
    err_clear(&err);
    gate_take_peer(ctx, req);
    if (open_path(ctx, req))
        return;
    struct call *c = call_new(req, ctx);
    if (!c) {
        bare(req, 503);
        return;
    }
    if (c->protocol == PROTO_S3 && str_is(req->method, "OPTIONS") && route_s3_split(c)) {
        s3_cors_preflight(c);
        return;
    }
    int rc = call_fields(c, req->query, &err);
    if (rc == 0 && c->protocol == PROTO_S3 && call_header(c, "origin").p && route_s3_split(c))
        s3_cors_headers(c);
    if (rc == 0)
        rc = authenticate(c, &err);
    if (rc == 0 && str_is(req->path, "/metrics") && is_reading(req) && c->private_->verified &&
        c->who.root) {
        gate_settle(c, 200);
        health_metrics(ctx, req);
        return;
    }
    walk(c, rc, &err);
}

void gate_request_as(struct http_req *req, struct services *svc, const struct gate_session *session,
                     const char *service)
{
    struct err err = {0};
    struct call *c = call_new(req, svc);
    if (!c) {
        bare(req, 503);
        return;
    }
    c->who = session->who;
    c->private_->session = session;
    route_protocol(str_c(service), &c->protocol);
    int rc = call_fields(c, req->query, &err);
    if (rc == 0)
        rc = unsigned_call(c, service, &err);
    walk(c, rc, &err);
}

void gate_note_use(struct call *c)
{
    struct call_private *v = c->private_;
    if (v->used)
        identity_used(c->svc->identities, &c->who, v->claim.service, v->claim.region);
}

void gate_settle(struct call *c, int status)
{
    struct call_private *v = c->private_;
    gate_note_use(c);
    health_count(c->op, status, clock_mono_ns() - v->began_ns);
    budget_used -= v->budget;
    v->budget = 0;
    ahead_free(v->ahead);
    v->ahead = NULL;
    if (c->json != v->json) /* a streaming handler's */
        json_decref(c->json);
    json_decref(v->json);
    v->json = c->json = NULL;
}
