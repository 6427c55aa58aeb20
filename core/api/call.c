/* call: what handlers ask of a request: its fields, its headers, one more permission.
 *
 * The query is decoded once, when the gate parses the request; a form's fields are put behind it. A
 * field is found by walking: there are rarely more than ten. Names may repeat; the first counts. */
#include "api/gate_call.h"
#include "auth/arn.h"
#include "base/codec.h"
#include "svc/bucket_policy.h"

enum { FIELDS_MAX = 2000 };

/* s decoded into the arena; '+' is a blank. false on a broken escape or a full arena. */
static bool decoded(struct arena *a, struct str s, struct str *out)
{
    if (str_index(s, '%', 0) < 0 && str_index(s, '+', 0) < 0) {
        *out = s;
        return true;
    }
    struct buf b;
    buf_init(&b, s.n + 1);
    bool ok = uri_decode(&b, s, true);
    if (ok)
        *out = arena_dup(a, buf_str(&b));
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
        if (!decoded(c->arena, name, &p->name) ||
            !decoded(c->arena, value.p ? value : STR(""), &p->value))
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
        if (!in_link(c, v->params[i].name))
            continue;
        *name = v->params[i].name;
        *value = v->params[i].value;
        return true;
    }
    return false;
}

/* What a policy may ask about this call. */
static size_t condition_keys(struct call *c, const char *action, struct policy_key keys[4])
{
    const struct identity *who = &c->who;
    size_t n = 0;
    if (who->arn.n) {
        keys[n++] = (struct policy_key){STR("aws:principalarn"), who->arn};
        keys[n++] = (struct policy_key){STR("aws:principalaccount"), STR(ACCOUNT_ID)};
        keys[n++] = (struct policy_key){STR("aws:userid"), who->user_id};
    }
    if (strcmp(action, "s3:ListBucket") == 0) {
        struct str prefix = call_query(c, "prefix");
        keys[n++] = (struct policy_key){STR("s3:prefix"), prefix.p ? prefix : STR("")};
    }
    return n;
}

/* The policy of a bucket binds the root user too, but for taking that policy away. */
static bool root_may(const char *action, enum policy_effect by_bucket)
{
    static const char *const always[] = {"s3:GetBucketPolicy", "s3:PutBucketPolicy",
                                         "s3:DeleteBucketPolicy"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcmp(action, always[i]) == 0)
            return true;
    return by_bucket != POLICY_DENY;
}

int call_authorise(struct call *c, const char *action, struct str resource, struct err *err)
{
    const struct identity *who = &c->who;
    struct policy_key keys[4];
    if (who->root && c->protocol != PROTO_S3)
        return 0;
    struct policy_query q = {.action = str_c(action),
                             .resource = resource,
                             .principal = who->arn,
                             .keys = keys,
                             .key_count = condition_keys(c, action, keys)};
    enum policy_effect by_bucket;
    int rc = bucket_policy_effect(c->svc->policies, &q, &by_bucket);
    if (rc || (who->root && root_may(action, by_bucket)))
        return rc;
    enum policy_effect effect = policy_eval_all(who->policies, who->policy_count, &q);
    if (by_bucket == POLICY_DENY || (by_bucket == POLICY_ALLOW && effect == POLICY_NONE))
        effect = by_bucket;
    if (effect != POLICY_ALLOW && who->arn.n == 0)
        return err_set(err, E_DENIED, "Access Denied");
    return effect == POLICY_ALLOW ? 0 : policy_denied(err, who->arn, q.action, resource, effect);
}

int call_body_check(struct call *c, struct str sha256_hex, struct err *err)
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
