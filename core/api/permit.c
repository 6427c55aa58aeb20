/* permit: may the caller of this request do that?
 *
 * The decision is svc/identity's; here are the condition keys that a request answers, each worked
 * out when a policy asks for it, and the resource's own policy. */
#include "api/gate_call.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "base/json.h"

struct permit {
    struct call *c;
    const char *action;
    const struct policy_key *keys; /* of the handler */
    size_t key_count;
    char text[32]; /* a number or a time: one key is looked at at a time */
};

static size_t one(struct str *values, struct str v)
{
    values[0] = v;
    return v.p ? 1 : 0;
}

/* Keys that only listings have. */
static size_t list_key(struct permit *p, struct str name, struct str *values)
{
    struct str prefix;
    if (strncmp(p->action, "s3:ListBucket", 13) != 0)
        return 0;
    if (str_is(name, "delimiter"))
        return one(values, call_query(p->c, "delimiter"));
    if (str_is(name, "max-keys"))
        return one(values, call_query(p->c, "max-keys"));
    prefix = call_query(p->c, "prefix");
    return one(values, prefix.p ? prefix : STR(""));
}

/* "Name=value&…" of x-amz-tagging, decoded: the value of one key, or all keys. */
static size_t tag_key(struct permit *p, struct str key, struct str *values, size_t max)
{
    struct str header = call_header(p->c, "x-amz-tagging");
    size_t n = 0;
    while (header.n && n < max) {
        struct str value = str_cut(&header, '&'), name = str_cut(&value, '=');
        if (!call_decode(p->c, name, &name) || !call_decode(p->c, value, &value))
            return 0;
        if (!key.p)
            values[n++] = name;
        else if (str_ieq(name, key))
            return one(values, value.p ? value : STR(""));
    }
    return n;
}

/* A tag of the object that the row names, as it is now. Keys of conditions come in lower case. */
static size_t existing_tag(struct permit *p, struct str key, struct str *values)
{
    struct call *c = p->c;
    struct str found = {NULL, 0}, rest, name, value;
    struct object_meta m;
    if (!c->op || c->op->resource != RES_OBJECT)
        return 0;
    struct store_txn *t = store_read(c->svc->store);
    rest = object_get(t, c->param[0], c->param[1], &m) == 0 ? m.tags : STR("");
    while (!found.p && object_pair_next(&rest, &name, &value))
        if (str_ieq(name, key))
            found = arena_dup(c->arena, value);
    store_read_end(t);
    return one(values, found);
}

static size_t s3_key(struct permit *p, struct str name, struct str *values, size_t max)
{
    const struct sigv4_claim *claim = &p->c->private_->claim;
    char header[80];
    if (str_is(name, "prefix") || str_is(name, "delimiter") || str_is(name, "max-keys"))
        return list_key(p, name, values);
    if (str_is(name, "versionid"))
        return one(values, call_query(p->c, "versionId"));
    if (str_is(name, "resourceaccount"))
        return one(values, STR(ACCOUNT_ID));
    if (str_is(name, "signatureversion"))
        return claim->signature.n ? one(values, STR("AWS4-HMAC-SHA256")) : 0;
    if (str_is(name, "authtype"))
        return claim->signature.n
                   ? one(values, claim->presigned ? STR("REST-QUERY-STRING") : STR("REST-HEADER"))
                   : 0;
    if (str_is(name, "signatureage") && claim->signature.n) {
        int64_t age = clock_wall_ms() - claim->time_ms;
        snprintf(p->text, sizeof p->text, "%lld", (long long)(age > 0 ? age : 0));
        return one(values, str_c(p->text));
    }
    if (str_is(name, "requestobjecttagkeys"))
        return tag_key(p, (struct str){NULL, 0}, values, max);
    if (str_starts(name, STR("requestobjecttag/")))
        return tag_key(p, str_from(name, 17), values, max);
    if (str_starts(name, STR("existingobjecttag/")))
        return existing_tag(p, str_from(name, 18), values);
    if (!str_starts(name, STR("x-amz-")))
        return 0;
    snprintf(header, sizeof header, "%.*s", STR_FMT(name));
    return one(values, call_header(p->c, header));
}

/* aws:RequestTag/key and aws:TagKeys of a form's Tags.member.N. */
static size_t form_tags(struct permit *p, struct str key, struct str *values, size_t max)
{
    size_t n = 0;
    char field[40];
    for (int i = 1; n < max; i++) {
        snprintf(field, sizeof field, "Tags.member.%d.Key", i);
        struct str name = call_query(p->c, field);
        if (!name.p)
            break;
        if (key.p && !str_ieq(name, key))
            continue;
        snprintf(field, sizeof field, "Tags.member.%d.Value", i);
        if (key.p)
            return one(values, call_query(p->c, field));
        values[n++] = name;
    }
    return n;
}

static size_t aws_key(struct permit *p, struct str name, struct str *values, size_t max)
{
    struct call *c = p->c;
    if (str_is(name, "sourceip"))
        return one(values, str_c(c->req->peer));
    if (str_is(name, "currenttime")) {
        clock_iso8601(clock_wall_ms(), p->text);
        return one(values, str_c(p->text));
    }
    if (str_is(name, "epochtime")) {
        snprintf(p->text, sizeof p->text, "%lld", (long long)(clock_wall_ms() / 1000));
        return one(values, str_c(p->text));
    }
    if (str_is(name, "securetransport"))
        return one(values, c->svc->behind_tls_proxy ? STR("true") : STR("false"));
    if (str_is(name, "useragent"))
        return one(values, call_header(c, "user-agent"));
    if (str_is(name, "referer"))
        return one(values, call_header(c, "referer"));
    if (str_is(name, "requestedregion"))
        return one(values, str_c(c->svc->region));
    if (str_is(name, "resourceaccount"))
        return one(values, STR(ACCOUNT_ID));
    if (str_is(name, "tagkeys"))
        return form_tags(p, (struct str){NULL, 0}, values, max);
    if (str_starts(name, STR("requesttag/")))
        return form_tags(p, str_from(name, 11), values, max);
    return 0;
}

/* A text of the JSON body under one of two names. */
static struct str in_body(const struct call *c, const char *name, const char *other)
{
    struct str v = json_bytes(json_object_get(c->json, name));
    return v.p ? v : json_bytes(json_object_get(c->json, other));
}

static size_t find(void *ctx, struct str name, struct str *values, size_t max)
{
    struct permit *p = ctx;
    for (size_t i = 0; i < p->key_count; i++)
        if (str_eq(p->keys[i].name, name))
            return one(values, p->keys[i].value);
    if (str_starts(name, STR("aws:")))
        return aws_key(p, str_from(name, 4), values, max);
    if (str_starts(name, STR("s3:")) && p->c->protocol == PROTO_S3)
        return s3_key(p, str_from(name, 3), values, max);
    if (str_is(name, "lambda:functionurlauthtype"))
        return one(values, in_body(p->c, "AuthType", "FunctionUrlAuthType"));
    if (str_is(name, "lambda:principal"))
        return one(values, in_body(p->c, "Principal", ""));
    if (str_is(name, "iam:policyarn"))
        return one(values, call_query(p->c, "PolicyArn"));
    if (str_is(name, "iam:passedtoservice") && strcmp(p->action, "iam:PassRole") == 0)
        return one(values, strcmp(p->c->op->service, "scheduler") == 0
                               ? STR("scheduler.amazonaws.com")
                               : STR("lambda.amazonaws.com"));
    if (str_is(name, "sts:externalid"))
        return one(values, call_query(p->c, "ExternalId"));
    if (str_is(name, "sts:rolesessionname"))
        return one(values, call_query(p->c, "RoleSessionName"));
    return 0;
}

int call_authorise_with(struct call *c, const char *action, struct str resource,
                        const struct policy_key *keys, size_t key_count, struct err *err)
{
    struct permit p = {c, action, keys, key_count, ""};
    struct policy_query q = {
        .action = str_c(action), .resource = resource, .find = find, .find_ctx = &p};
    struct guard guard;
    guard_find(&c->svc->guards, q.action, resource, c->who.kind == IDENTITY_ANONYMOUS, &guard);
    int rc = identity_allows(c->svc->identities, &c->who, &guard.policy, &q, err);
    guard_end(&guard);
    if (rc == E_DENIED && c->who.kind == IDENTITY_ANONYMOUS)
        return err_set(err, rc, "%s", err_row(rc)->text);
    return rc;
}

bool call_stranger_is_heard(struct call *c)
{
    struct guard guard;
    struct str arn = arena_printf(c->arena, "arn:aws:s3:::%.*s", STR_FMT(c->param[0]));
    if (!arn.p)
        return false;
    guard_find(&c->svc->guards, STR("s3:*"), arn, true, &guard);
    bool heard = guard.policy.policy != NULL;
    guard_end(&guard);
    return heard;
}

int call_authorise(struct call *c, const char *action, struct str resource, struct err *err)
{
    return call_authorise_with(c, action, resource, NULL, 0, err);
}
