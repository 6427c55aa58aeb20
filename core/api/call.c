/* call: what handlers ask of a request: its fields, its headers, its body's hash.
 *
 * The query is decoded once, when the gate parses the request; a form's fields are put behind it. A
 * field is found by walking: there are rarely more than ten. Names may repeat; the first counts. */
#include "api/gate_call.h"
#include "base/codec.h"

enum { FIELDS_MAX = 2000 };

bool call_decode(struct call *c, struct str s, struct str *out)
{
    if (str_index(s, '%', 0) < 0 && str_index(s, '+', 0) < 0) {
        *out = s;
        return true;
    }
    struct buf b;
    buf_init(&b, s.n + 1);
    bool ok = uri_decode(&b, s, true);
    if (ok)
        *out = arena_dup(c->arena, buf_str(&b));
    buf_deinit(&b);
    return ok && out->p;
}

int call_fields(struct call *c, struct str text, struct err *err)
{
    struct call_private *v = c->private_;
    size_t n = v->param_count + 1;
    if (text.n == 0)
        return 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '&';
    if (n > FIELDS_MAX)
        return err_set(err, E_BAD_REQUEST, "More than %d parameters.", FIELDS_MAX);
    struct call_param *all = arena_alloc(c->arena, n * sizeof *all);
    if (!all)
        return E_LIMIT;
    if (v->param_count)
        memcpy(all, v->params, v->param_count * sizeof *all);
    v->params = all;
    while (text.n) {
        struct str value = str_cut(&text, '&'), name = str_cut(&value, '=');
        struct call_param *p = &all[v->param_count];
        if (name.n == 0 && !value.p)
            continue;
        if (!call_decode(c, name, &p->name) ||
            !call_decode(c, value.p ? value : STR(""), &p->value))
            return err_set(err, E_BAD_URI, "A parameter is not percent-encoded correctly.");
        v->param_count++;
    }
    return 0;
}

struct str call_query(struct call *c, const char *name)
{
    const struct call_private *v = c->private_;
    struct str want = str_c(name);
    for (size_t i = 0; i < v->param_count; i++)
        if (str_eq(v->params[i].name, want))
            return v->params[i].value;
    return (struct str){NULL, 0};
}

/* May a presigned link's query stand for this header? */
static bool in_link(const struct call *c, struct str name)
{
    const struct sigv4_claim *claim = &c->private_->claim;
    if (claim->older && (str_ieq(name, STR("content-type")) || str_ieq(name, STR("content-md5"))))
        return true;
    return claim->presigned && name.n > 6 && str_ieq(str_of(name.p, 6), STR("x-amz-")) &&
           checksum_of_header(name) == CHECKSUM_NONE &&
           !str_ieq(name, STR("x-amz-sdk-checksum-algorithm")) &&
           !str_ieq(name, STR("x-amz-trailer"));
}

struct str call_header(const struct call *c, const char *name)
{
    const struct call_private *v = c->private_;
    struct str want = str_c(name), found = http_header(c->req, name);
    if (found.p || !in_link(c, want))
        return found;
    for (size_t i = 0; i < v->param_count; i++)
        if (str_ieq(v->params[i].name, want))
            return v->params[i].value;
    return found;
}

struct str call_base_url(struct call *c)
{
    struct str host = c->req->host;
    if (*c->svc->public_url)
        return str_c(c->svc->public_url);
    return arena_printf(c->arena, "%s://%.*s", c->svc->behind_tls_proxy ? "https" : "http",
                        STR_FMT(host.n ? host : STR("localhost")));
}

static bool has_header(const struct http_req *req, struct str name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (str_ieq(req->headers[i].name, name))
            return true;
    return false;
}

bool call_header_next(const struct call *c, size_t *at, struct str *name, struct str *value)
{
    const struct call_private *v = c->private_;
    const struct http_req *req = c->req;
    if (*at < req->header_count) {
        *name = req->headers[*at].name;
        *value = req->headers[(*at)++].value;
        return true;
    }
    for (size_t i = *at - req->header_count; i < v->param_count; i++) {
        (*at)++;
        if (!in_link(c, v->params[i].name) || has_header(req, v->params[i].name))
            continue;
        *name = v->params[i].name;
        *value = v->params[i].value;
        return true;
    }
    return false;
}

int call_body_check(struct call *c, struct str sha256_hex, struct err *err)
{
    int rc = gate_body_check(c, sha256_hex, err);
    return rc ? rc : gate_authorise(c, err);
}

int gate_body_check(struct call *c, struct str sha256_hex, struct err *err)
{
    struct call_private *v = c->private_;
    if (c->expect_sha256.p && !str_eq(c->expect_sha256, sha256_hex))
        return err_set(err, E_BAD_SHA256, "%s", err_row(E_BAD_SHA256)->text);
    if (v->verified)
        return 0;
    int rc = gate_verify(c, sha256_hex, err);
    v->verified = rc == 0;
    return rc;
}
