/* route: from a request to its row of ops.def.
 *
 * The credential scope names the service; the service decides how the operation is found: by method
 * and path, by bucket, key and sub-resource, by X-Amz-Target, or by the form's Action. Nothing
 * falls through: a path or action without a row is an error of that protocol, and an S3
 * sub-resource without a row is NotImplemented, never the plain operation of the same path (a PUT
 * ?acl must not become an object). */
#include "api/gate_call.h"
#include "base/codec.h"
#include "svc/bucket.h"

/* Query keys and headers that choose among S3's operations, the more telling ones first. Some are no
 * operation of ours. */
static const char *const s3_selectors[] = {"uploadId&@x-amz-copy-source",
                                           "uploadId",
                                           "acl",
                                           "accelerate",
                                           "analytics",
                                           "append",
                                           "attributes",
                                           "cors",
                                           "delete",
                                           "encryption",
                                           "intelligent-tiering",
                                           "inventory",
                                           "legal-hold",
                                           "lifecycle",
                                           "list-type=2",
                                           "list-type",
                                           "location",
                                           "logging",
                                           "metadataConfiguration",
                                           "metadataTable",
                                           "metrics",
                                           "notification",
                                           "object-lock",
                                           "ownershipControls",
                                           "partNumber",
                                           "policy",
                                           "policyStatus",
                                           "publicAccessBlock",
                                           "renameObject",
                                           "replication",
                                           "requestPayment",
                                           "restore",
                                           "retention",
                                           "select",
                                           "session",
                                           "tagging",
                                           "torrent",
                                           "uploads",
                                           "versioning",
                                           "versions",
                                           "website",

                                           "@x-amz-copy-source"};

static const struct {
    const char *service;
    enum protocol protocol;
} services[] = {
    {"lambda", PROTO_REST_JSON},    {"s3", PROTO_S3},         {"logs", PROTO_JSON11},
    {"iam", PROTO_QUERY},           {"sts", PROTO_QUERY},     {"perilune", PROTO_REST_JSON},
    {"scheduler", PROTO_REST_JSON}, {"events", PROTO_JSON11},
};

/* A form's operation before the form is read. */
static const struct op form_op = {.service = "",
                                  .name = "",
                                  .protocol = PROTO_QUERY,
                                  .method = "POST",
                                  .body = BODY_FORM,
                                  .body_limit = 1024 * 1024,
                                  .action = "",
                                  .status = 200};

bool route_protocol(struct str service, enum protocol *out)
{
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        if (str_is(service, services[i].service)) {
            *out = services[i].protocol;
            return true;
        }
    }
    return false;
}

/* "/2015-03-31/…", "/perilune/…": no bucket can be named like that. "/schedules/…" and
 * "/schedule-groups/…": one may be, and a stranger can go nowhere else there. */
static bool service_path(const struct services *svc, struct str path)
{
    static const char shape[] = "/0000-00-00";
    struct str rest = path, first;
    str_cut(&rest, '/');
    first = str_cut(&rest, '/');
    if (str_is(first, "perilune"))
        return true;
    if (str_is(first, "schedules") || str_is(first, "schedule-groups"))
        return bucket_check(svc->store, first) != 0;
    if (first.n != sizeof shape - 2)
        return false;
    for (size_t i = 0; i < first.n; i++) {
        char c = first.p[i];
        if (shape[i + 1] == '-' ? c != '-' : c < '0' || c > '9')
            return false;
    }
    return true;
}

enum protocol route_guess(const struct services *svc, const struct http_req *req)
{
    if (route_host_bucket(svc, req).n)
        return PROTO_S3;
    if (http_header(req, "x-amz-target").p)
        return PROTO_JSON11;
    if (service_path(svc, req->path))
        return PROTO_REST_JSON;
    if (str_is(req->method, "POST") && str_is(req->path, "/"))
        return str_starts(http_header(req, "content-type"),
                          STR("application/x-www-form-urlencoded"))
                   ? PROTO_QUERY
                   : PROTO_REST_JSON;
    return PROTO_S3;
}

/* s decoded into the arena; p NULL on a broken escape. */
static struct str decode(struct call *c, struct str s)
{
    struct str out = {NULL, 0};
    struct buf b;
    if (str_index(s, '%', 0) < 0)
        return s.p ? s : STR("");
    buf_init(&b, s.n + 1);
    if (uri_decode(&b, s, false))
        out = arena_dup(c->arena, buf_str(&b));
    buf_deinit(&b);
    return out;
}

/* --- REST-JSON --------------------------------------------------------------------------------
 */

/* A pattern's "?Name=value", where it has one. */
static bool query_matches(struct call *c, const char *pattern)
{
    const char *query = strchr(pattern, '?');
    if (!query)
        return true;
    struct str value = str_c(query + 1), name = str_cut(&value, '=');
    char text[32];
    snprintf(text, sizeof text, "%.*s", STR_FMT(name));
    return str_eq(call_query(c, text), value);
}

/* Fills raw[] with what stands for each "{}". */
static bool path_matches(const char *pattern, struct str path, struct str raw[3])
{
    struct str want = str_of(pattern, strcspn(pattern, "?"));
    size_t n = 0;
    while (want.p) {
        struct str w = str_cut(&want, '/'), got;
        if (!path.p)
            return false;
        got = str_cut(&path, '/');
        if (str_is(w, "{}")) {
            if (got.n == 0 || n == 3)
                return false;
            raw[n++] = got;
        } else if (!str_eq(w, got)) {
            return false;
        }
    }
    return !path.p;
}

/* The rows of REST-JSON by how many slashes their paths have, in the order of ops.def, each with what a
 * path must begin and end with. Worked out once: comparing the pieces of the patterns that begin alike
 * was a seventh of what a signature costs. */
struct shape {
    const struct op *op;
    struct str head, tail;
};
enum { SLASHES_MAX = 12 };
static struct shape shapes[GATE_OPS_MAX];
static size_t shapes_begin[SLASHES_MAX + 3]; /* each run ends where the next begins */

static size_t slashes_of(struct str path)
{
    size_t n = 0;
    for (size_t i = 0; i < path.n; i++)
        n += path.p[i] == '/';
    return n;
}

static void make_shapes(void)
{
    size_t count = 0;
    for (size_t slashes = 0; slashes <= SLASHES_MAX; slashes++) {
        for (size_t i = 0; i < gate_op_count; i++) {
            const char *pattern = gate_ops[i].pattern;
            size_t n = strcspn(pattern, "?"), from = n, to = strcspn(pattern, "{?");
            if (gate_ops[i].protocol != PROTO_REST_JSON ||
                slashes_of(str_of(pattern, n)) != slashes)
                continue;
            while (from > to && pattern[from - 1] != '}')
                from--;
            shapes[count++] =
                (struct shape){&gate_ops[i], str_of(pattern, to), str_of(pattern + from, n - from)};
        }
        shapes_begin[slashes + 1] = count;
    }
    shapes_begin[SLASHES_MAX + 2] = count;
}

/* The last byte tells most apart. */
static bool may_match(const struct shape *e, struct str path)
{
    size_t n = e->tail.n;
    return path.n >= e->head.n + n && (n == 0 || path.p[path.n - 1] == e->tail.p[n - 1]) &&
           str_ends(path, e->tail) && str_starts(path, e->head);
}

static int find_rest(struct call *c, struct err *err)
{
    struct str path = c->req->path, raw[3];
    bool other_method = false;
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    size_t slashes = slashes_of(path);
    if (!shapes_begin[SLASHES_MAX + 1])
        make_shapes();
    if (slashes > SLASHES_MAX)
        slashes = SLASHES_MAX + 1; /* where no row is */
    for (size_t i = shapes_begin[slashes]; i < shapes_begin[slashes + 1]; i++) {
        const struct op *op = shapes[i].op;
        if (!may_match(&shapes[i], path))
            continue;
        memset(raw, 0, sizeof raw);
        if (!str_is(c->private_->claim.service, op->service) ||
            !path_matches(op->pattern, path, raw) || !query_matches(c, op->pattern))
            continue;
        if (!str_is(c->req->method, op->method)) {
            other_method = true;
            continue;
        }
        for (int k = 0; k < 3; k++) {
            if (raw[k].p && !(c->param[k] = decode(c, raw[k])).p)
                return err_set(err, E_BAD_URI, "The path is not percent-encoded correctly.");
        }
        c->op = op;
        return 0;
    }
    return err_set(err, other_method ? E_METHOD : E_UNKNOWN_OPERATION,
                   "There is no operation %.*s %.*s here.", STR_FMT(c->req->method),
                   (int)(path.n < 200 ? path.n : 200), path.p);
}

/* --- S3 ---------------------------------------------------------------------------------------
 */

static bool selected(struct call *c, const char *selector)
{
    const char *eq = strchr(selector, '='), *both = strchr(selector, '&');
    char key[64];
    if (both) {
        snprintf(key, sizeof key, "%.*s", (int)(both - selector), selector);
        return selected(c, key) && selected(c, both + 1);
    }
    if (*selector == '@')
        return call_header(c, selector + 1).p != NULL;
    if (!eq)
        return call_query(c, selector).p != NULL;
    snprintf(key, sizeof key, "%.*s", (int)(eq - selector), selector);
    return str_is(call_query(c, key), eq + 1);
}

struct str route_host_bucket(const struct services *svc, const struct http_req *req)
{
    struct str domain = svc->domain, rest = req->host, host;
    if (domain.n == 0)
        return STR("");
    host = str_cut(&rest, ':');
    if (host.n < domain.n + 2)
        return STR("");
    size_t n = host.n - domain.n;
    if (host.p[n - 1] != '.' || !str_ieq(str_from(host, n), domain))
        return STR("");
    return str_of(host.p, n - 1);
}

/* "/b/k", or "/k" at a host that names the bucket. */
const char *route_s3_split(struct call *c)
{
    struct str rest = c->req->path, bucket = route_host_bucket(c->svc, c->req);
    str_cut(&rest, '/');
    if (bucket.n == 0)
        bucket = str_cut(&rest, '/');
    if (bucket.n == 0 && rest.n == 0)
        return "/";
    c->param[0] = decode(c, bucket);
    c->param[1] = rest.n ? decode(c, rest) : STR("");
    if (!c->param[0].p || !c->param[1].p)
        return NULL;
    return c->param[1].n ? "/b/k" : "/b";
}

static int find_s3(struct call *c, struct err *err)
{
    const char *scope = route_s3_split(c), *select = "";
    if (!scope)
        return err_set(err, E_BAD_URI, "Couldn't parse the specified URI.");
    for (size_t i = 0; i < sizeof s3_selectors / sizeof *s3_selectors && !*select; i++)
        if (selected(c, s3_selectors[i]))
            select = s3_selectors[i];
    for (size_t i = 0; i < gate_op_count; i++) {
        const struct op *op = &gate_ops[i];
        if (op->protocol != PROTO_S3 || strcmp(op->pattern, scope) != 0 ||
            strcmp(op->select, select) != 0)
            continue;
        if (!str_is(c->req->method, op->method))
            continue;
        c->op = op;
        return 0;
    }
    if (*select)
        return err_set(err, E_NOT_IMPLEMENTED,
                       "A header or query you provided implies functionality that is not "
                       "implemented: %s",
                       *select == '@' ? select + 1 : select);
    return err_set(err, E_METHOD, "%s", err_row(E_METHOD)->text);
}

/* --- JSON 1.1 and Query -----------------------------------------------------------------------
 */

static int find_target(struct call *c, struct err *err)
{
    struct str target = call_header(c, "x-amz-target");
    for (size_t i = 0; i < gate_op_count; i++) {
        const struct op *op = &gate_ops[i];
        if (op->protocol == PROTO_JSON11 && str_is(c->private_->claim.service, op->service) &&
            str_is(target, op->pattern) && str_is(c->req->method, "POST") &&
            str_is(c->req->path, "/")) {
            c->op = op;
            return 0;
        }
    }
    return err_set(err, E_UNKNOWN_ACTION, "There is no operation \"%.*s\" here.",
                   (int)(target.n < 200 ? target.n : 200), target.p ? target.p : "");
}

int route_action(struct call *c, struct err *err)
{
    struct str action = call_query(c, "Action");
    for (size_t i = 0; i < gate_op_count; i++) {
        const struct op *op = &gate_ops[i];
        if (op->protocol == PROTO_QUERY && str_is(c->private_->claim.service, op->service) &&
            str_is(action, op->name)) {
            c->op = op;
            return 0;
        }
    }
    if (!action.p)
        return err_set(err, E_MISSING_ACTION, "%s", err_row(E_MISSING_ACTION)->text);
    struct str version = call_query(c, "Version");
    return err_set(err, E_UNKNOWN_ACTION, "Could not find operation %.*s for version %.*s",
                   (int)(action.n < 200 ? action.n : 200), action.p,
                   (int)(version.n < 50 ? version.n : 50), version.p ? version.p : "");
}

int route_find(struct call *c, struct err *err)
{
    switch (c->protocol) {
    case PROTO_REST_JSON:
        return find_rest(c, err);
    case PROTO_S3:
        return find_s3(c, err);
    case PROTO_JSON11:
        return find_target(c, err);
    case PROTO_QUERY:
        if (!str_is(c->req->method, "POST") && !str_is(c->req->method, "GET"))
            return err_set(err, E_METHOD, "%s", err_row(E_METHOD)->text);
        c->op = &form_op;
        return 0;
    case PROTO_PLAIN:
        break;
    }
    return E_UNKNOWN_OPERATION;
}
