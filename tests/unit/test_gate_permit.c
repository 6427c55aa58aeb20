/* test_gate_permit: what is asked of the policies, and of what resource. */
#include "gate_table.h"

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

static void buckets_that_are_not_there(void **state)
{
    (void)state;
    ASK("s3", "GET", "/missing/k", .unsigned_ = true);
    assert_error(404, "<Code>NoSuchBucket</Code>");
    ASK("s3", "GET", "/there/k", .unsigned_ = true);
    assert_error(403, "<Code>AccessDenied</Code>");
}

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

#define FN "arn:aws:lambda:eu-west-1:" ACCOUNT_ID ":function:"
#define RULE "arn:aws:events:eu-west-1:" ACCOUNT_ID ":rule/"
#define TIMES "arn:aws:scheduler:eu-west-1:" ACCOUNT_ID ":"
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
        {RES_SCHEDULE, "/schedules/s", "", "{}", "s", "", TIMES "schedule/default/s"},
        {RES_SCHEDULE_GROUP, "/schedule-groups/g", "", "{}", "g", "", TIMES "schedule-group/g"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_of_the_bucket),
        cmocka_unit_test(buckets_that_are_not_there),
        cmocka_unit_test(authorise),
        cmocka_unit_test(resources),
    };
    return cmocka_run_group_tests(tests, gate_begin, gate_end);
}
