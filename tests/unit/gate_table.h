/* gate_table: a table of operations for the gate's tests, and what stands behind it: who asks, what
 * they may, and handlers that note what reached them.
 *
 * Each request is signed (gate_help), walks the real steps and ends in an answer that is looked at
 * as a client would: status, headers, body. */
#ifndef GATE_TABLE_H
#define GATE_TABLE_H

#include "auth/arn.h"
#include "base/json.h"
#include "gate_help.h"

/* --- the table --------------------------------------------------------------------------------
 */

static void echo(struct call *c);
static void stream(struct call *c);

#define REST(name, method, path, status, body, limit, action, resource, handler)                   \
    {                                                                                              \
        "lambda", name, PROTO_REST_JSON, method, path, "", status, body, limit, action, resource,  \
            handler                                                                                \
    }
#define S3ROW(name, method, scope, select, body, limit, resource, handler)                         \
    {                                                                                              \
        "s3", name, PROTO_S3, method, scope, select, 200, body, limit, "s3:Test", resource,        \
            handler                                                                                \
    }
const struct op gate_ops[] = {
    REST("Create", "POST", "/2015-03-31/functions", 201, BODY_JSON, 1000000, "lambda:Create",
         RES_FUNCTION_JSON, echo),
    REST("List", "GET", "/2015-03-31/functions", 200, BODY_NONE, 0, "lambda:List", RES_ANY, echo),
    REST("Get", "GET", "/2015-03-31/functions/{}", 200, BODY_NONE, 0, "lambda:Get", RES_FUNCTION,
         echo),
    REST("Alias", "GET", "/2015-03-31/functions/{}/aliases/{}", 200, BODY_NONE, 0, "", RES_ANY,
         echo),
    REST("Invoke", "POST", "/2015-03-31/functions/{}/invocations", 200, BODY_PAYLOAD, 100000,
         "lambda:Invoke", RES_FUNCTION, echo),
    REST("Upload", "PUT", "/2015-03-31/functions/{}/code", 200, BODY_STREAM, 0, "lambda:Upload",
         RES_FUNCTION, stream),
    S3ROW("ListBuckets", "GET", "/", "", BODY_NONE, 0, RES_ANY, echo),
    S3ROW("ListObjects", "GET", "/b", "", BODY_NONE, 0, RES_BUCKET, echo),
    S3ROW("ListObjectsV2", "GET", "/b", "list-type=2", BODY_NONE, 0, RES_BUCKET, echo),
    S3ROW("PutNotification", "PUT", "/b", "notification", BODY_BYTES, 1000, RES_BUCKET, echo),
    S3ROW("GetObject", "GET", "/b/k", "", BODY_NONE, 0, RES_OBJECT, echo),
    S3ROW("HeadObject", "HEAD", "/b/k", "", BODY_NONE, 0, RES_OBJECT, echo),
    S3ROW("PutObject", "PUT", "/b/k", "", BODY_STREAM, 1000, RES_OBJECT, stream),
    {"iam", "GetRole", PROTO_QUERY, "POST", "/", "", 200, BODY_FORM, 1 << 20, "iam:GetRole",
     RES_ROLE, echo},
    {"sts", "GetCallerIdentity", PROTO_QUERY, "POST", "/", "", 200, BODY_FORM, 1 << 20, "", RES_ANY,
     echo},
    {"logs", "FilterLogEvents", PROTO_JSON11, "POST", "Logs_20140328.FilterLogEvents", "", 200,
     BODY_JSON, 1 << 20, "logs:FilterLogEvents", RES_LOG_GROUP, echo},
};
const size_t gate_op_count = sizeof gate_ops / sizeof *gate_ops;

bool store_writable(const struct store *s)
{
    return s != NULL;
}

/* --- who asks, and what they may --------------------------------------------------------------
 */

static struct policy *of_bucket, *of_caller; /* compiled; NULL: none */
static int token_rc;                         /* what the token TOKEN is */
#define TOKEN "a/session=token"

int identity_find(struct identities *ids, struct str access_key, struct str token,
                  struct arena *arena, struct identity *out, struct str *secret)
{
    (void)ids, (void)arena;
    *out = (struct identity){.kind = IDENTITY_ANONYMOUS};
    if (!str_is(access_key, KEY))
        return E_BAD_ACCESS_KEY;
    if (token.n && !str_is(token, TOKEN))
        return E_BAD_TOKEN;
    *out = (struct identity){.kind = IDENTITY_ROOT,
                             .root = true,
                             .arn = STR("arn:aws:iam::" ACCOUNT_ID ":root"),
                             .token = token};
    *secret = STR(SECRET);
    return token.n ? token_rc : 0;
}

void identity_used(struct identities *ids, const struct identity *who, struct str service,
                   struct str region)
{
    (void)ids, (void)who, (void)service, (void)region;
    got.used++;
}

int identity_allows(struct identities *ids, const struct identity *who,
                    const struct policy_guard *guard, const struct policy_query *q, struct err *err)
{
    (void)ids;
    struct policy_caller caller = {
        .root = who->root, .policies = &of_caller, .count = of_caller ? 1 : 0};
    enum policy_side side;
    struct policy_query asked = *q;
    asked.principal = who->arn;
    enum policy_effect effect = policy_decide(&caller, guard, &asked, &side);
    return effect == POLICY_ALLOW
               ? 0
               : policy_denied(err, who->arn, q->action, q->resource, effect, side);
}

void guard_find(const struct guards *g, struct str action, struct str resource, bool stranger,
                struct guard *out)
{
    (void)g, (void)action, (void)stranger;
    *out = (struct guard){.policy = {.policy = NULL}};
    if (str_starts(resource, STR("arn:aws:s3:::")) && !str_is(resource, "arn:aws:s3:::*"))
        out->policy.policy = of_bucket;
}

void guard_end(struct guard *out)
{
    (void)out;
}

/* Nobody has a path. */
const struct entity_kind entity_role = {T_ROLES, "role", "Role", "AROA", 10240};
const struct entity_kind entity_user = {T_USERS, "user", "User", "AIDA", 2048};

struct principals *identity_users(struct identities *ids)
{
    (void)ids;
    return NULL;
}

struct principals *role_principals(struct roles *r)
{
    (void)r;
    return NULL;
}

const struct principal *principal_find(struct principals *p, struct str name)
{
    (void)p, (void)name;
    return NULL;
}

int access_key_get(struct store_txn *t, struct str id, struct str user, struct str *rec,
                   struct err *err)
{
    (void)t, (void)id, (void)user, (void)rec, (void)err;
    return E_NOT_FOUND;
}

struct store_txn *store_read(struct store *s)
{
    (void)s;
    return NULL;
}

void store_read_end(struct store_txn *t)
{
    (void)t;
}

static inline void set_policy(struct policy **p, enum policy_kind kind, const char *json)
{
    policy_free(*p);
    *p = json ? policy_parse(str_c(json), kind, NULL) : NULL;
    assert_true(!json || *p);
}

/* --- handlers ---------------------------------------------------------------------------------
 */

static void note(struct call *c)
{
    snprintf(got.op, sizeof got.op, "%s", c->op->name);
    for (int i = 0; i < 2; i++)
        snprintf(got.param[i], sizeof got.param[i], "%.*s", STR_FMT(c->param[i]));
}

static void echo(struct call *c)
{
    note(c);
    assert_true(c->private_->verified);
    snprintf(got.seen, sizeof got.seen, "%.*s", STR_FMT(call_query(c, "q")));
    if (c->op->body == BODY_JSON)
        assert_true(json_is_object(c->json));
    call_set_header(c, "x-own", STR("1"));
    if (c->protocol == PROTO_QUERY)
        call_result(c, &(struct buf){.p = (char[]){"<A/>"}, .n = 4});
    else if (c->protocol == PROTO_S3)
        call_empty(c, c->op->status);
    else
        call_json(c, c->op->status, json_pack("{s:s}", "op", c->op->name));
}

static void stream(struct call *c)
{
    char hex[65];
    struct err err = {0};
    note(c);
    sha256_hex(request_body, hex);
    got.body_rc = call_body_check(c, str_of(hex, 64), &err);
    snprintf(got.seen, sizeof got.seen, "%.*s", STR_FMT(c->expect_sha256));
    if (got.body_rc)
        call_error(c, got.body_rc, &err);
    else
        call_empty(c, 200);
}

/* -----------------------------------------------------------------------------------------------
 */

static inline int gate_begin(void **state)
{
    (void)state;
    uv_loop_init(&loop);
    svc = (struct services){.loop = &loop, .region = "eu-west-1", .store = (struct store *)&svc};
    return 0;
}

static inline int gate_end(void **state)
{
    (void)state;
    buf_deinit(&got.head);
    buf_deinit(&got.body);
    return uv_loop_close(&loop);
}

#endif
