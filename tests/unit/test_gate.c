/* test_gate: requests through the gate, with a table of its own and a listener made of functions.
 *
 * Each request is signed here (test_sigv4 ties that to botocore), walks the real steps and ends in
 * an answer that is looked at as a client would: status, headers, body. */
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

static void set_policy(struct policy **p, enum policy_kind kind, const char *json)
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

/* --- the ways through -------------------------------------------------------------------------
 */

static void rest_json(void **state)
{
    (void)state;
    ASK("lambda", "GET", "/2015-03-31/functions");
    assert_string_equal(got.op, "List");
    assert_int_equal(got.status, 200);
    assert_head("Content-Type: application/json\n");
    assert_head("x-amzn-RequestId: 11111111-2222-4333-8444-555555555555\n");
    assert_head("x-own: 1\n");
    assert_body("{\"op\":\"List\"}");
    ASK("lambda", "GET", "/2015-03-31/functions/");
    assert_string_equal(got.op, "List");
    ASK("lambda", "POST", "/2015-03-31/functions/", .body = "{\"FunctionName\":\"f\"}");
    assert_string_equal(got.op, "Create");
    assert_int_equal(got.status, 201);
    ASK("lambda", "GET", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Ax%3Ay%3Afunction%3Af",
        "q=a+b%2B");
    assert_string_equal(got.op, "Get");
    assert_string_equal(got.param[0], "arn:aws:lambda:x:y:function:f");
    assert_string_equal(got.seen, "a b+");
    ASK("lambda", "GET", "/2015-03-31/functions/f/aliases/a%20b/");
    assert_string_equal(got.op, "Alias");
    assert_string_equal(got.param[1], "a b");
    ASK("lambda", "POST", "/2015-03-31/functions/f/invocations"); /* an empty body */
    assert_string_equal(got.op, "Invoke");
}

static void s3(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *query, *op, *bucket, *key;
    } t[] = {
        {"GET", "/", "", "ListBuckets", "", ""},
        {"GET", "/b", "", "ListObjects", "b", ""},
        {"GET", "/b/", "prefix=x", "ListObjects", "b", ""},
        {"GET", "/b", "list-type=2&prefix=", "ListObjectsV2", "b", ""},
        {"PUT", "/b", "notification", "PutNotification", "b", ""},
        {"PUT", "/b/", "notification=", "PutNotification", "b", ""},
        {"GET", "/b/k", "versionId=null", "GetObject", "b", "k"},
        {"GET", "/b/a//b/../c%2Fd/", "", "GetObject", "b", "a//b/../c/d/"},
        {"GET", "/b//", "", "GetObject", "b", "/"},
        {"GET", "/b/a+b%20c%C3%BC", "", "GetObject", "b", "a+b c\xc3\xbc"},
        {"HEAD", "/b/k", "", "HeadObject", "b", "k"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ASK("s3", t[i].method, t[i].path, t[i].query);
        if (strcmp(got.op, t[i].op) != 0)
            fail_msg("%s %s?%s is %s: %.*s", t[i].method, t[i].path, t[i].query, got.op,
                     STR_FMT(buf_str(&got.body)));
        assert_string_equal(got.param[0], t[i].bucket);
        assert_string_equal(got.param[1], t[i].key);
    }
    assert_head("x-amz-request-id: 11111111-2222-4333-8444-555555555555\n");
    assert_head("x-amz-id-2: ");
}

static void query(void **state)
{
    (void)state;
    ASK("sts", "POST", "/", .body = "Action=GetCallerIdentity&Version=2011-06-15&q=a+b%26");
    assert_string_equal(got.op, "GetCallerIdentity");
    assert_string_equal(got.seen, "a b&");
    assert_head("Content-Type: text/xml\n");
    assert_body("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                "<GetCallerIdentityResult><A/></GetCallerIdentityResult><ResponseMetadata>"
                "<RequestId>11111111-2222-4333-8444-555555555555</RequestId></ResponseMetadata>"
                "</GetCallerIdentityResponse>");
    ASK("sts", "GET", "/", "Action=GetCallerIdentity&Version=2011-06-15");
    assert_string_equal(got.op, "GetCallerIdentity");
    ASK("iam", "POST", "/", .body = "Action=GetRole&RoleName=r");
    assert_string_equal(got.op, "GetRole");
}

static void json11(void **state)
{
    (void)state;
    ASK("logs", "POST", "/", .headers = "X-Amz-Target:Logs_20140328.FilterLogEvents\n",
        .body = "{\"logGroupName\":\"g\"}");
    assert_string_equal(got.op, "FilterLogEvents");
    assert_head("Content-Type: application/x-amz-json-1.1\n");
}

static void open_paths(void **state)
{
    (void)state;
    ASK("s3", "GET", "/healthz", .unsigned_ = true);
    assert_int_equal(got.status, 200);
    assert_body("{\"status\":\"ok\",\"jail\":[\"seccomp\",\"landlock\"]}");
    struct store *keep = svc.store;
    svc.store = NULL;
    ASK("s3", "GET", "/healthz", .unsigned_ = true);
    svc.store = keep;
    assert_int_equal(got.status, 503);
    assert_body("\"status\":\"read-only\"");
    ASK("s3", "GET", "/metrics", .unsigned_ = true);
    assert_error(403, "AccessDenied");
    ASK("s3", "GET", "/metrics", .unsigned_ = true, .peer = "127.0.0.1");
    assert_int_equal(got.status, 200);
    assert_body("perilune_runners 7\n");
    assert_body("perilune_requests_total{service=\"lambda\",operation=\"List\",code=\"2xx\"} 2\n");
    ASK("s3", "GET", "/metrics", .unsigned_ = true, .peer = "127.0.0.1",
        .headers = "X-Forwarded-For:8.8.8.8\n");
    assert_int_equal(got.status, 403);
    ASK("s3", "GET", "/metrics");
    assert_int_equal(got.status, 200);
    assert_body("perilune_runners 7\n");
    ASK("lambda", "POST", "/url/f/x", .unsigned_ = true, .headers = "Authorization:Bearer x\n");
    assert_non_null(got.url);
    ASK("s3", "OPTIONS", "*", .unsigned_ = true);
    assert_int_equal(got.status, 204);
}

/* --- refusals ---------------------------------------------------------------------------------
 */

static void without_signature(void **state)
{
    (void)state;
    ASK("s3", "GET", "/b/k<", .unsigned_ = true);
    assert_error(403, "<Code>AccessDenied</Code><Message>Access Denied</Message>"
                      "<Resource>/b/k&lt;</Resource><RequestId>11111111-");
    assert_head("Content-Type: application/xml\n");
    ASK("s3", "HEAD", "/b/k", .unsigned_ = true);
    assert_int_equal(got.status, 403);
    assert_int_equal(got.body.n, 0);
    ASK("lambda", "GET", "/2015-03-31/functions", .unsigned_ = true);
    assert_error(403, "{\"Type\":\"User\",\"message\":\"Missing Authentication Token\"}");
    assert_head("x-amzn-ErrorType: MissingAuthenticationTokenException\n");
    ASK("perilune", "GET", "/perilune/v1/status", .unsigned_ = true);
    assert_error(403, "\"message\":\"Missing Authentication Token\"");
    ASK("logs", "POST", "/", .unsigned_ = true, .headers = "x-amz-target:Logs_20140328.X\n");
    assert_error(403, "{\"__type\":\"MissingAuthenticationTokenException\",\"message\":");
    ASK("sts", "POST", "/", .unsigned_ = true,
        .headers = "Content-Type:application/x-www-form-urlencoded; charset=utf-8\n",
        .body = "Action=GetCallerIdentity");
    assert_error(403, "<Error><Type>Sender</Type><Code>MissingAuthenticationToken</Code>");
    ASK("", "POST", "/", .unsigned_ = true);
    assert_error(403, "\"message\":\"Missing Authentication Token\"");
    ASK("s3", "GET", "/b", .unsigned_ = true, .headers = "Authorization:AWS " KEY ":c2ln\n");
    assert_error(400, "AWS4-HMAC-SHA256");
}

static void policy_of_the_bucket(void **state)
{
    (void)state;
    set_policy(&of_bucket, POLICY_RESOURCE,
               "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\","
               "\"Resource\":\"*\"}]}");
    ASK("s3", "GET", "/b/k", .unsigned_ = true);
    assert_int_equal(got.status, 200);
    assert_string_equal(got.op, "GetObject");
    ASK("s3", "GET", "/", .unsigned_ = true);
    assert_error(403, "<Code>AccessDenied</Code>");
    ASK("s3", "PATCH", "/b/k", .unsigned_ = true);
    assert_error(403, "<Code>AccessDenied</Code>");
    ASK("lambda", "GET", "/2015-03-31/functions", .unsigned_ = true);
    assert_int_equal(got.status, 403);
    set_policy(&of_bucket, POLICY_RESOURCE, /* for the root user too */
               "{\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\","
               "\"Resource\":\"*\"}]}");
    ASK("s3", "GET", "/b/k");
    assert_error(403, "<Code>AccessDenied</Code>");
    ASK("lambda", "GET", "/2015-03-31/functions");
    assert_int_equal(got.status, 200);
    set_policy(&of_bucket, POLICY_RESOURCE, NULL);
    ASK("s3", "GET", "/b/k", .unsigned_ = true);
    assert_int_equal(got.status, 403);
}

static void hosts_and_origins(void **state)
{
    (void)state;
    ASK("s3", "OPTIONS", "/b/k", .unsigned_ = true);
    assert_int_equal(got.status, 299);
    ASK("s3", "GET", "/b/k", .headers = "Origin:http://a\n");
    assert_head("x-cors: b\n");
    ASK("s3", "GET", "/b/k", .unsigned_ = true, .headers = "Origin:http://a\n");
    assert_int_equal(got.status, 403);
    assert_head("x-cors: b\n");
    svc.domain = STR("localhost");
    ASK("s3", "GET", "/healthz", .host = "bkt.LOCALHOST:80");
    assert_int_equal(got.status, 200);
    assert_string_equal(got.op, "GetObject");
    assert_string_equal(got.param[0], "bkt");
    assert_string_equal(got.param[1], "healthz");
    ASK("s3", "GET", "/b/k", .host = "localhost");
    assert_string_equal(got.param[0], "b");
    ASK("s3", "GET", "/b/k", .host = ".localhost");
    assert_string_equal(got.param[0], "b");
    ASK("s3", "GET", "/b/k", .host = "xlocalhost");
    assert_string_equal(got.param[0], "b");
    svc.domain = STR("");
    ASK("s3", "GET", "/b/k", .host = "bkt.localhost");
    assert_string_equal(got.param[0], "b");
}

static void buckets_that_are_not_there(void **state)
{
    (void)state;
    ASK("s3", "GET", "/missing/k", .unsigned_ = true);
    assert_error(404, "<Code>NoSuchBucket</Code>");
    ASK("s3", "GET", "/there/k", .unsigned_ = true);
    assert_error(403, "<Code>AccessDenied</Code>");
}

static void bad_credentials(void **state)
{
    (void)state;
    ASK("lambda", "GET", "/2015-03-31/functions", .secret = "wrong");
    assert_error(403, "signature");
    assert_head("x-amzn-ErrorType: InvalidSignatureException\n");
    ASK("lambda", "GET", "/2015-03-31/functions", .key = "AKIDUNKNOWN");
    assert_error(403, "security token");
    assert_head("x-amzn-ErrorType: UnrecognizedClientException\n");
    ASK("lambda", "GET", "/2015-03-31/functions", .key = "");
    assert_int_equal(got.status, 400);
    ASK("lambda", "POST", "/2015-03-31/functions", .key = "AKIDUNKNOWN", .body = "{}");
    assert_error(403, "security token");
    assert_int_equal(got.collects, 0); /* no body is taken from strangers */
    ASK("lambda", "POST", "/2015-03-31/functions", .secret = "wrong", .body = "{}");
    assert_error(403, "signature");
    ASK("lambda", "POST", "/2015-03-31/functions", .body = "{}", .break_body = "{ }");
    assert_error(403, "signature");
    ASK("lambda", "GET", "/2015-03-31/functions", .skew_ms = 16 * 60 * 1000);
    assert_error(403, "too large");
    ASK("lambda", "GET", "/2015-03-31/functions", .headers = "X-Amz-Security-Token:t\n");
    assert_error(403, "security token");
    ASK("s3", "GET", "/b", .secret = "wrong");
    assert_error(403, "<Code>SignatureDoesNotMatch</Code>");
    ASK("s3", "GET", "/b", .key = "AKIDUNKNOWN");
    assert_error(403, "<Code>InvalidAccessKeyId</Code>");
    ASK("s3", "GET", "/b", .skew_ms = -16 * 60 * 1000);
    assert_error(403, "<Code>RequestTimeTooSkewed</Code>");
    ASK("sts", "POST", "/", .key = "AKIDUNKNOWN", .body = "Action=GetCallerIdentity");
    assert_error(403, "<Code>InvalidClientTokenId</Code>");
    ASK("sts", "POST", "/", .secret = "wrong", .body = "Action=GetCallerIdentity");
    assert_error(403, "<Code>SignatureDoesNotMatch</Code>");
    ASK("logs", "POST", "/", .secret = "wrong", .body = "{}",
        .headers = "X-Amz-Target:Logs_20140328.FilterLogEvents\n");
    assert_error(400, "\"__type\":\"InvalidSignatureException\"");
}

static void unknown_operations(void **state)
{
    (void)state;
    ASK("lambda", "GET", "/2015-03-31/nothing");
    assert_error(404, "\"Message\":\"There is no operation GET /2015-03-31/nothing here.\"");
    assert_head("x-amzn-ErrorType: UnknownOperationException\n");
    ASK("lambda", "PATCH", "/2015-03-31/functions");
    assert_error(405, "PATCH");
    ASK("lambda", "GET", "/2015-03-31/functions/f/aliases/");
    assert_error(404, "Message");
    ASK("lambda", "GET", "/2015-03-31/functions//aliases/a");
    assert_error(404, "Message");
    ASK("lambda", "GET", "/2015-03-31/functions/%zz");
    assert_error(400, "percent");
    ASK("s3", "DELETE", "/");
    assert_error(405, "<Code>MethodNotAllowed</Code>");
    ASK("s3", "GET", "/b/%");
    assert_int_equal(got.status, 403); /* cannot be what was signed */
    static const char *const missing[] = {"acl", "tagging", "uploads=", "list-type=3", "cors"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        ASK("s3", "GET", "/b", missing[i]);
        assert_error(501, "<Code>NotImplemented</Code>");
        ASK("s3", "PUT", "/b/k", missing[i], .body = "x");
        assert_error(501, "<Code>NotImplemented</Code>");
    }
    ASK("s3", "PUT", "/b/k", .headers = "x-amz-copy-source:/b/j\n");
    assert_error(501, "x-amz-copy-source");
    ASK("sts", "POST", "/", .body = "Action=Nothing&Version=1");
    assert_error(400, "<Code>InvalidAction</Code>"
                      "<Message>Could not find operation Nothing for version 1</Message>");
    ASK("sts", "POST", "/", .body = "Action=GetRole");
    assert_error(400, "InvalidAction");
    ASK("sts", "POST", "/", .body = "");
    assert_error(400, "MissingAction");
    ASK("iam", "POST", "/", .body = "Action=%");
    assert_error(400, "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">");
    ASK("logs", "POST", "/", .headers = "X-Amz-Target:Logs_20140328.Nothing\n", .body = "{}");
    assert_error(400, "\"__type\":\"UnknownOperationException\"");
    ASK("logs", "POST", "/", .headers = "X-Amz-Target:Logs_20140328.Nothing\n", .body = "{}",
        .secret = "wrong");
    assert_error(400, "\"__type\":\"InvalidSignatureException\"");
    ASK("lambda", "POST", "/2015-03-31/nothing", .body = "{}", .break_body = "{ }");
    assert_error(403, "signature");
    ASK("lambda", "POST", "/2015-03-31/nothing", .body = "{}");
    assert_error(404, "no operation POST");
    ASK("dynamodb", "POST", "/", .headers = "X-Amz-Target:DynamoDB_20120810.ListTables\n",
        .body = "{}");
    assert_error(400, "\"__type\":\"UnknownOperationException\"");
    ASK("sqs", "POST", "/", .headers = "Content-Type:application/x-www-form-urlencoded\n",
        .body = "Action=ListQueues");
    assert_error(400, "<Code>InvalidAction</Code>");
    ASK("ec2", "GET", "/2015-03-31/functions");
    assert_error(400, "ec2");
    ASK("lambda", "GET", "/2015-03-31/functions", "a=%zz");
    assert_error(400, "percent");
}

static void bodies(void **state)
{
    (void)state;
    char *big = malloc(300001);
    assert_non_null(big);
    ASK("lambda", "POST", "/2015-03-31/functions", .body = "{");
    assert_error(400, "Could not parse request body into json");
    assert_head("x-amzn-ErrorType: InvalidRequestContentException\n");
    ASK("lambda", "POST", "/2015-03-31/functions", .body = "[]");
    assert_error(400, "not an object");
    ASK("lambda", "POST", "/2015-03-31/functions", .body = "");
    assert_string_equal(got.op, "Create");
    ASK("logs", "POST", "/", .headers = "X-Amz-Target:Logs_20140328.FilterLogEvents\n",
        .body = "nonsense");
    assert_error(400, "\"__type\":\"SerializationException\"");
    /* off the loop */
    memset(big, ' ', 300000);
    memcpy(big, "{\"FunctionName\":\"f\"}", 20);
    big[300000] = 0;
    ASK("lambda", "POST", "/2015-03-31/functions", .body = big);
    assert_string_equal(got.op, "Create");
    big[0] = '[';
    ASK("lambda", "POST", "/2015-03-31/functions", .body = big);
    assert_error(400, "Could not parse");
    ASK("lambda", "POST", "/2015-03-31/functions", .body = big, .break_body = big + 1);
    assert_error(403, "signature");
    /* from the head alone */
    ASK("lambda", "POST", "/2015-03-31/functions/f/invocations", .body = big);
    assert_error(413, "6291556");
    assert_head("x-amzn-ErrorType: RequestTooLargeException\n");
    assert_int_equal(got.collects, 0);
    ASK("lambda", "POST", "/2015-03-31/functions", .length = 1000001, .body = "{}");
    assert_error(413, "too large");
    assert_head("x-amzn-ErrorType: RequestEntityTooLargeException\n");
    assert_int_equal(got.collects, 0);
    ASK("s3", "PUT", "/b/k", .length = 1001, .body = "x");
    assert_error(413, "<Code>EntityTooLarge</Code>");
    /* length unknown */
    ASK("lambda", "POST", "/2015-03-31/functions/f/invocations", .length = -1, .body = big);
    assert_error(413, "6291556");
    ASK("lambda", "GET", "/2015-03-31/functions", .body = "ignored");
    assert_string_equal(got.op, "List");
    ASK("lambda", "GET", "/2015-03-31/functions", .body = "ignored", .break_body = "changed");
    assert_error(403, "signature");
    free(big);
}

static void payload_hashes(void **state)
{
    (void)state;
    char hex[65];
    sha256_hex(STR("body"), hex);
    ASK("s3", "PUT", "/b/k", .body = "body");
    assert_string_equal(got.op, "PutObject");
    assert_int_equal(got.status, 200);
    assert_string_equal(got.seen, hex);
    ASK("s3", "PUT", "/b/k", .body = "body", .break_body = "bodx");
    assert_int_equal(got.body_rc, E_BAD_SHA256);
    assert_body("<Code>XAmzContentSHA256Mismatch</Code>");
    ASK("s3", "PUT", "/b/k", .body = "body", .sha = "UNSIGNED-PAYLOAD", .break_body = "any");
    assert_int_equal(got.status, 200);
    assert_string_equal(got.seen, "");
    ASK("s3", "PUT", "/b", "notification", .body = "<x/>", .break_body = "<y/>");
    assert_error(400, "XAmzContentSHA256Mismatch");
    ASK("s3", "PUT", "/b/k", .body = "x", .sha = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    assert_int_equal(got.status, 200);
    ASK("s3", "PUT", "/b", "notification", .body = "x",
        .sha = "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    assert_error(501, "<Code>NotImplemented</Code>");
    ASK("s3", "PUT", "/b/k", .body = "x", .sha = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILE");
    assert_error(400, "<Code>InvalidArgument</Code>");
    ASK("s3", "PUT", "/b/k", .body = "x", .sha = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        .secret = "wrong");
    assert_error(403, "SignatureDoesNotMatch");
    ASK("s3", "PUT", "/b/k", .body = "x", .sha = "");
    assert_error(400, "Missing required header");
    ASK("s3", "PUT", "/b/k", .body = "x", .sha = "nonsense");
    assert_error(400, "must be UNSIGNED-PAYLOAD");
    ASK("lambda", "POST", "/2015-03-31/functions", .body = "{}", .sha = "UNSIGNED-PAYLOAD");
    assert_error(400, "must be a valid sha256");
    sha256_hex(STR("{}"), hex);
    ASK("lambda", "POST", "/2015-03-31/functions", .body = "{}", .sha = hex);
    assert_string_equal(got.op, "Create");
    ASK("lambda", "POST", "/2015-03-31/functions", .body = "{}", .sha = hex, .break_body = "{ }");
    assert_error(400, "does not match");
    /* a streaming row whose hash is known only at the end */
    ASK("lambda", "PUT", "/2015-03-31/functions/f/code", .body = "zip");
    assert_int_equal(got.status, 200);
    ASK("lambda", "PUT", "/2015-03-31/functions/f/code", .body = "zip", .break_body = "zap");
    assert_int_equal(got.body_rc, E_BAD_SIGNATURE);
    ASK("lambda", "PUT", "/2015-03-31/functions/f/code", .body = "zip", .secret = "wrong");
    assert_int_equal(got.body_rc, E_BAD_SIGNATURE);
    assert_int_equal(got.status, 403);
}

/* --- permission -------------------------------------------------------------------------------
 */

static int asks(struct call *c, const char *action, const char *resource, struct err *err)
{
    return call_authorise(c, action, str_c(resource), err);
}

static void authorise(void **state)
{
    (void)state;
    struct http_header headers[] = {{STR("User-Agent"), STR("a tool")},
                                    {STR("x-amz-acl"), STR("private")},
                                    {STR("x-amz-tagging"), STR("a=b%20c&d=")}};
    struct http_req req = {.peer = "10.1.2.3", .headers = headers, .header_count = 3};
    req.arena = arena_new(1 << 16);
    struct call_private v = {.param_count = 0};
    struct call call = {
        .req = &req, .svc = &svc, .arena = req.arena, .protocol = PROTO_S3, .private_ = &v};
    struct call *c = &call;
    struct err err = {0};
    assert_int_equal(call_fields(c, STR("prefix=home%2Fme&delimiter=/&max-keys=10"), &err), 0);
    assert_int_equal(asks(c, "s3:GetObject", "arn:aws:s3:::b/k", &err), E_DENIED);
    assert_string_equal(err.text, "Access Denied");
    c->who = (struct identity){.kind = IDENTITY_USER, .arn = STR("arn:aws:iam::1:user/u")};
    assert_int_equal(asks(c, "s3:GetObject", "arn:aws:s3:::b/k", &err), E_DENIED);
    assert_string_equal(err.text, "User: arn:aws:iam::1:user/u is not authorized to perform: "
                                  "s3:GetObject on resource: arn:aws:s3:::b/k because no "
                                  "identity-based policy allows the s3:GetObject action");
    static const struct {
        const char *condition;
        const char *action;
        bool met;
    } t[] = {
        {"{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}", "s3:GetObject", true},
        {"{\"IpAddress\":{\"aws:SourceIp\":\"11.0.0.0/8\"}}", "s3:GetObject", false},
        {"{\"DateGreaterThan\":{\"aws:CurrentTime\":\"2020-01-01T00:00:00Z\"}}", "s3:GetObject",
         true},
        {"{\"NumericLessThan\":{\"aws:EpochTime\":\"1577836800\"}}", "s3:GetObject", false},
        {"{\"Bool\":{\"aws:SecureTransport\":\"false\"}}", "s3:GetObject", true},
        {"{\"StringLike\":{\"aws:UserAgent\":\"a*l\"}}", "s3:GetObject", true},
        {"{\"Null\":{\"aws:Referer\":\"true\"}}", "s3:GetObject", true},
        {"{\"StringEquals\":{\"s3:x-amz-acl\":\"private\"}}", "s3:PutObject", true},
        {"{\"StringEquals\":{\"s3:RequestObjectTag/a\":\"b c\"}}", "s3:PutObject", true},
        {"{\"ForAllValues:StringEquals\":{\"s3:RequestObjectTagKeys\":[\"a\",\"d\"]}}",
         "s3:PutObject", true},
        {"{\"ForAllValues:StringEquals\":{\"s3:RequestObjectTagKeys\":[\"a\"]}}", "s3:PutObject",
         false},
        {"{\"StringLike\":{\"s3:prefix\":\"home/*\"}}", "s3:ListBucket", true},
        {"{\"StringEquals\":{\"s3:delimiter\":\"/\"}}", "s3:ListBucket", true},
        {"{\"NumericLessThanEquals\":{\"s3:max-keys\":\"10\"}}", "s3:ListBucket", true},
        {"{\"NumericLessThanEquals\":{\"s3:max-keys\":\"9\"}}", "s3:ListBucket", false},
        {"{\"StringLike\":{\"s3:prefix\":\"home/*\"}}", "s3:GetObject", false},
        {"{\"StringEquals\":{\"s3:prefix\":\"\"}}", "s3:GetObject", false},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char json[512];
        snprintf(json, sizeof json,
                 "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\","
                 "\"Condition\":%s}]}",
                 t[i].condition);
        set_policy(&of_caller, POLICY_IDENTITY, json);
        if ((asks(c, t[i].action, "arn:aws:s3:::b", &err) == 0) != t[i].met)
            fail_msg("%s for %s", t[i].condition, t[i].action);
    }
    set_policy(&of_caller, POLICY_IDENTITY, NULL);
    c->who = (struct identity){.kind = IDENTITY_ROOT, .root = true};
    assert_int_equal(asks(c, "s3:PutObject", "arn:aws:s3:::b/secret", &err), 0);
    arena_free(req.arena);
}

static void tokens(void **state)
{
    (void)state;
    ASK("lambda", "GET", "/2015-03-31/functions", .headers = "X-Amz-Security-Token:" TOKEN "\n");
    assert_int_equal(got.status, 200);
    assert_int_equal(got.used, 1);
    ASK("s3", "GET", "/b", .headers = "X-Amz-Security-Token:forged\n");
    assert_error(400, "<Code>InvalidToken</Code><Message>The provided token is malformed or "
                      "otherwise invalid.</Message>");
    assert_int_equal(got.used, 0);
    ASK("sts", "POST", "/", .headers = "X-Amz-Security-Token:forged\n",
        .body = "Action=GetCallerIdentity");
    assert_error(403, "<Code>InvalidClientTokenId</Code>");
    token_rc = E_TOKEN_EXPIRED;
    ASK("s3", "GET", "/b", .headers = "X-Amz-Security-Token:" TOKEN "\n");
    assert_error(400, "<Code>ExpiredToken</Code><Message>The provided token has expired.");
    ASK("s3", "GET", "/b", .headers = "X-Amz-Security-Token:" TOKEN "\n", .secret = "wrong");
    assert_error(403, "<Code>SignatureDoesNotMatch</Code>");
    ASK("lambda", "GET", "/2015-03-31/functions", .headers = "X-Amz-Security-Token:" TOKEN "\n");
    assert_error(403, "is expired");
    assert_head("x-amzn-ErrorType: ExpiredTokenException\n");
    ASK("sts", "POST", "/", .headers = "X-Amz-Security-Token:" TOKEN "\n",
        .body = "Action=GetCallerIdentity");
    assert_error(403, "<Code>ExpiredToken</Code>");
    ASK("logs", "POST", "/", .body = "{}",
        .headers = "X-Amz-Target:Logs_20140328.FilterLogEvents\nX-Amz-Security-Token:" TOKEN "\n");
    assert_error(400, "\"__type\":\"ExpiredTokenException\"");
    token_rc = 0;
}

#define FN "arn:aws:lambda:eu-west-1:" ACCOUNT_ID ":function:"
#define RULE "arn:aws:events:eu-west-1:" ACCOUNT_ID ":rule/"
#define LOGS "arn:aws:logs:eu-west-1:" ACCOUNT_ID ":log-group:"

static void resources(void **state)
{
    (void)state;
    static const struct {
        enum op_resource kind;
        const char *path, *query, *json, *param0, *param1, *want;
    } t[] = {
        {RES_ANY, "/", "", "{}", "", "", "*"},
        {RES_FUNCTION, "/", "", "{}", "f", "", FN "f"},
        {RES_FUNCTION, "/", "Qualifier=2", "{}", "f", "", FN "f:2"},
        {RES_FUNCTION, "/", "", "{}", "f:prod", "", FN "f:prod"},
        {RES_FUNCTION, "/", "", "{}", FN "f:prod", "", FN "f:prod"},
        {RES_FUNCTION, "/", "", "{}", "arn:aws:lambda:x:1:function:f", "",
         "arn:aws:lambda:x:1:function:f"},
        {RES_FUNCTION, "/", "", "{}", "a b", "", FN "a b"},
        {RES_WHOLE_FUNCTION, "/", "Qualifier=2", "{}", "f", "", FN "f"},
        {RES_WHOLE_FUNCTION, "/", "", "{}", "f:$LATEST", "", FN "f"},
        {RES_FUNCTION_JSON, "/", "", "{\"FunctionName\":\"f\"}", "", "", FN "f"},
        {RES_FUNCTION_JSON, "/", "", "{\"FunctionName\":1}", "", "", FN},
        {RES_BUCKET, "/b", "", "{}", "b", "", "arn:aws:s3:::b"},
        {RES_OBJECT, "/b/k", "", "{}", "b", "k/l", "arn:aws:s3:::b/k/l"},
        {RES_ROLE, "/", "RoleName=r", "{}", "", "", "arn:aws:iam::" ACCOUNT_ID ":role/r"},
        {RES_LOG_GROUP, "/", "", "{\"logGroupName\":\"/a\"}", "", "", LOGS "/a:log-stream:"},
        {RES_LOG_GROUP, "/", "", "{\"logGroupName\":\"/a\",\"logStreamName\":\"s\"}", "", "",
         LOGS "/a:log-stream:s"},
        {RES_LOG_GROUP, "/", "", "{\"logGroupIdentifier\":\"" LOGS "/a\"}", "", "",
         LOGS "/a:log-stream:"},
        {RES_LOG_GROUP, "/", "", "{\"resourceArn\":\"" LOGS "/a:*\"}", "", "",
         LOGS "/a:log-stream:"},
        {RES_PERILUNE, "/perilune/v1/blueprints/x", "", "{}", "x", "",
         "arn:aws:perilune:eu-west-1:" ACCOUNT_ID ":blueprints/x"},
        {RES_PERILUNE, "/perilune/v1/functions/x/rollback", "", "{}", FN "f", "",
         "arn:aws:perilune:eu-west-1:" ACCOUNT_ID ":functions/f"},
        {RES_PERILUNE, "/perilune/v1/schedules/rule/r/run", "", "{}", "rule", "r",
         "arn:aws:perilune:eu-west-1:" ACCOUNT_ID ":schedules/rule/r"},
        {RES_PERILUNE, "/perilune/v1/kv/space/key", "", "{}", "space", "key",
         "arn:aws:perilune:eu-west-1:" ACCOUNT_ID ":kv/space"},
        {RES_RULE, "/", "", "{\"Name\":\"a\",\"Rule\":\"b\"}", "", "", RULE "a"},
        {RES_RULE_TARGETS, "/", "", "{\"Name\":\"a\",\"Rule\":\"b\"}", "", "", RULE "b"},
        {RES_RULE_ARN, "/", "", "{\"Name\":\"a\",\"ResourceARN\":\"" RULE "c\"}", "", "", RULE "c"},
        {RES_PERILUNE, "/perilune/v1/status", "", "{}", "", "",
         "arn:aws:perilune:eu-west-1:" ACCOUNT_ID ":status"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct op op = {.resource = t[i].kind};
        struct http_req req = {.path = str_c(t[i].path)};
        struct call_private v = {.param_count = 0};
        struct call c = {.req = &req,
                         .svc = &svc,
                         .op = &op,
                         .arena = arena_new(10000),
                         .param = {str_c(t[i].param0), str_c(t[i].param1)},
                         .json = json_parse(str_c(t[i].json), NULL),
                         .private_ = &v};
        struct str got_arn;
        assert_int_equal(call_fields(&c, str_c(t[i].query), NULL), 0);
        assert_int_equal(resource_arn(&c, &got_arn), 0);
        assert_str(got_arn, t[i].want);
        json_decref(c.json);
        arena_free(c.arena);
    }
}

static void escapes(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    xml_escape(&b, STR("a<b>&\"'\r\n\tc\x01\xff\xc3\xa9\xEF\xBF\xBE\0"));
    assert_str(buf_str(&b),
               "a&lt;b&gt;&amp;&quot;&#39;&#13;&#10;&#9;c\xEF\xBF\xBD\xEF\xBF\xBD\xc3\xa9"
               "\xEF\xBF\xBD\xEF\xBF\xBD");
    buf_clear(&b);
    xml_element(&b, "K", STR("a&b"));
    assert_str(buf_str(&b), "<K>a&amp;b</K>");
    buf_deinit(&b);
}

int main(void)
{
    uv_loop_init(&loop);
    svc = (struct services){.loop = &loop, .region = "eu-west-1", .store = (struct store *)&svc};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rest_json),
        cmocka_unit_test(s3),
        cmocka_unit_test(query),
        cmocka_unit_test(json11),
        cmocka_unit_test(open_paths),
        cmocka_unit_test(without_signature),
        cmocka_unit_test(policy_of_the_bucket),
        cmocka_unit_test(buckets_that_are_not_there),
        cmocka_unit_test(hosts_and_origins),
        cmocka_unit_test(bad_credentials),
        cmocka_unit_test(unknown_operations),
        cmocka_unit_test(bodies),
        cmocka_unit_test(payload_hashes),
        cmocka_unit_test(authorise),
        cmocka_unit_test(tokens),
        cmocka_unit_test(resources),
        cmocka_unit_test(escapes),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&got.head);
    buf_deinit(&got.body);
    uv_loop_close(&loop);
    return rc;
}
