/* test_policy: what documents are taken, and a table of documents x questions x answers. The rows
 * to read twice are those where something is not understood: such an Allow gives nothing, such a
 * Deny takes. */
#include "auth/policy.h"

#include "base/clock.h"
#include "unit.h"

#define DOC(statement) "{\"Version\":\"2012-10-17\",\"Statement\":[" statement "]}"
#define ALLOW(more) "{\"Effect\":\"Allow\"," more "}"
#define DENY(more) "{\"Effect\":\"Deny\"," more "}"
#define GET "\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/*\""
#define KEY "arn:aws:s3:::b/k"
#define LAMBDA_ARN "arn:aws:lambda:us-east-1:000000000000:function:f"

static struct policy *parse(const char *json, enum policy_kind kind)
{
    struct err err = {0};
    struct policy *p = policy_parse(str_c(json), kind, &err);
    if (!p)
        fail_msg("%s: %s", json, err.text);
    return p;
}

static void identity(void **state)
{
    (void)state;
    static const struct {
        const char *json, *action, *resource;
        enum policy_effect want;
    } t[] = {
        {DOC(ALLOW(GET)), "s3:GetObject", KEY, POLICY_ALLOW},
        {DOC(ALLOW(GET)), "S3:getobject", KEY, POLICY_ALLOW},
        {DOC(ALLOW(GET)), "s3:PutObject", KEY, POLICY_NONE},
        {DOC(ALLOW(GET)), "s3:GetObject", "arn:aws:s3:::B/k", POLICY_NONE},
        {DOC(ALLOW(GET)), "s3:GetObject", "arn:aws:s3:::b", POLICY_NONE},
        {DOC(ALLOW(GET)), "s3:GetObject", "*", POLICY_NONE},
        {DOC(ALLOW(GET)), "", "", POLICY_NONE},
        {DOC(ALLOW("\"Action\":\"*\",\"Resource\":\"*\"")), "a:B", "x", POLICY_ALLOW},
        {DOC(ALLOW("\"Action\":\"s3:Get*\",\"Resource\":[\"arn:aws:s3:::x\",\"*\"]")),
         "s3:GetObject", KEY, POLICY_ALLOW},
        {DOC(ALLOW("\"Action\":[\"s3:?etObject\"],\"Resource\":\"*\"")), "s3:GetObject", KEY,
         POLICY_ALLOW},
        {DOC(ALLOW("\"NotAction\":\"s3:Delete*\",\"Resource\":\"*\"")), "s3:GetObject", KEY,
         POLICY_ALLOW},
        {DOC(ALLOW("\"NotAction\":\"s3:Delete*\",\"Resource\":\"*\"")), "s3:DeleteObject", KEY,
         POLICY_NONE},
        {DOC(ALLOW("\"Action\":\"*\",\"NotResource\":\"arn:aws:s3:::b/*\"")), "s3:GetObject", KEY,
         POLICY_NONE},
        {DOC(ALLOW("\"Action\":\"*\",\"NotResource\":\"arn:aws:s3:::c/*\"")), "s3:GetObject", KEY,
         POLICY_ALLOW},
        /* Deny wins, in either order */
        {DOC(ALLOW(GET) "," DENY(GET)), "s3:GetObject", KEY, POLICY_DENY},
        {DOC(DENY(GET) "," ALLOW(GET)), "s3:GetObject", KEY, POLICY_DENY},
        {DOC(ALLOW(GET) "," DENY("\"Action\":\"s3:Put*\",\"Resource\":\"*\"")), "s3:GetObject", KEY,
         POLICY_ALLOW},
        /* a single statement needs no array */
        {"{\"Statement\":" ALLOW(GET) "}", "s3:GetObject", KEY, POLICY_ALLOW},
        /* not understood */
        {DOC(ALLOW(GET ",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}")),
         "s3:GetObject", KEY, POLICY_NONE},
        {DOC(ALLOW(GET ",\"Condition\":{\"StringEquals\":{\"aws:Unheard\":\"x\"}}")),
         "s3:GetObject", KEY, POLICY_NONE},
        {DOC(ALLOW(GET ",\"Condition\":{\"Null\":{\"aws:Unheard\":\"true\"}}")), "s3:GetObject",
         KEY, POLICY_NONE},
        {DOC(ALLOW(GET ",\"Condition\":{\"Unheard\":{}}")), "s3:GetObject", KEY, POLICY_NONE},
        {DOC(ALLOW(GET ",\"Condition\":{\"StringEqualsIfExists\":{\"aws:SourceArn\":\"x\"}}")),
         "s3:GetObject", KEY, POLICY_ALLOW},
        {DOC(ALLOW(GET ",\"Unheard\":1")), "s3:GetObject", KEY, POLICY_NONE},
        {DOC(ALLOW("\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::${aws:username}/*\"")),
         "s3:GetObject", "arn:aws:s3:::${aws:username}/x", POLICY_NONE},
        {DOC(ALLOW("\"Action\":\"s3:*\",\"NotResource\":\"arn:aws:s3:::${aws:username}/*\"")),
         "s3:GetObject", KEY, POLICY_NONE},
        {DOC(ALLOW(GET) "," DENY(GET ",\"Condition\":{\"Unheard\":{\"k\":\"v\"}}")), "s3:GetObject",
         KEY, POLICY_DENY},
        {DOC(ALLOW(GET) "," DENY(GET ",\"Unheard\":1")), "s3:GetObject", KEY, POLICY_DENY},
        {DOC(ALLOW(GET) "," DENY("\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::${x}/k\"")),
         "s3:GetObject", KEY, POLICY_DENY},
        {DOC(ALLOW(GET) "," DENY("\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::${x}/j\"")),
         "s3:GetObject", KEY, POLICY_ALLOW},
        {DOC(ALLOW(GET) "," DENY("\"Action\":\"s3:*\",\"NotResource\":\"arn:aws:s3:::${x}/k\"")),
         "s3:GetObject", KEY, POLICY_DENY},
        /* URLs are resources too */
        {DOC(ALLOW("\"Action\":\"perilune:HttpRequest\",\"Resource\":\"https://h/*\"")),
         "perilune:HttpRequest", "https://h/x", POLICY_ALLOW},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct policy *p = parse(t[i].json, POLICY_IDENTITY);
        struct policy_query q = {.action = str_c(t[i].action), .resource = str_c(t[i].resource)};
        enum policy_effect got = policy_eval(p, &q);
        if (got != t[i].want)
            fail_msg("%s\n%s on %s: %d, want %d", t[i].json, t[i].action, t[i].resource, got,
                     t[i].want);
        policy_free(p);
    }
}

/* A function policy such as AddPermission makes, asked with and without its keys. */
static void conditions(void **state)
{
    (void)state;
    static const struct {
        const char *condition, *name, *value;
        enum policy_effect want;
    } t[] = {
        {"{\"ArnLike\":{\"AWS:SourceArn\":\"arn:aws:s3:::b\"}}", "aws:sourcearn", "arn:aws:s3:::b",
         POLICY_ALLOW},
        {"{\"ArnLike\":{\"AWS:SourceArn\":\"arn:aws:s3:::b\"}}", "aws:sourcearn", "arn:aws:s3:::c",
         POLICY_NONE},
        {"{\"ArnLike\":{\"AWS:SourceArn\":\"arn:aws:s3:::b\"}}", NULL, NULL, POLICY_NONE},
        {"{\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:s3:::b*\"}}", "aws:sourcearn",
         "arn:aws:s3:::bucket", POLICY_ALLOW},
        {"{\"ArnEquals\":{\"aws:SourceArn\":\"arn:aws:s3:::b*\"}}", "aws:sourcearn",
         "arn:aws:s3:::bucket", POLICY_ALLOW},
        {"{\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:*:::b\"}}", "aws:sourcearn", "arn:aws:x:y:z:b",
         POLICY_NONE},
        {"{\"ArnLike\":{\"aws:SourceArn\":\"*\"}}", "aws:sourcearn", "arn:aws:s3:::b", POLICY_NONE},
        {"{\"StringEquals\":{\"aws:SourceAccount\":[\"1\",\"2\"]}}", "aws:sourceaccount", "2",
         POLICY_ALLOW},
        {"{\"StringEquals\":{\"aws:SourceAccount\":[\"1\",\"2\"]}}", "aws:sourceaccount", "3",
         POLICY_NONE},
        {"{\"StringEquals\":{\"aws:SourceAccount\":2}}", "aws:sourceaccount", "2", POLICY_ALLOW},
        {"{\"StringEquals\":{\"aws:SourceAccount\":\"a*\"}}", "aws:sourceaccount", "ab",
         POLICY_NONE},
        {"{\"StringLike\":{\"aws:SourceAccount\":\"a*\"}}", "aws:sourceaccount", "ab",
         POLICY_ALLOW},
        {"{\"StringLike\":{\"aws:SourceAccount\":[]}}", "aws:sourceaccount", "ab", POLICY_NONE},
        {"{\"Bool\":{\"aws:PrincipalIsAWSService\":true}}", "aws:principalisawsservice", "true",
         POLICY_ALLOW},
        {"{\"Bool\":{\"aws:PrincipalIsAWSService\":\"false\"}}", "aws:principalisawsservice",
         "true", POLICY_NONE},
        {"{\"Null\":{\"aws:SourceArn\":\"true\"}}", NULL, NULL, POLICY_ALLOW},
        {"{\"Null\":{\"aws:SourceArn\":\"true\"}}", "aws:sourcearn", "x", POLICY_NONE},
        {"{\"Null\":{\"aws:SourceArn\":false}}", "aws:sourcearn", "x", POLICY_ALLOW},
        {"{\"StringLike\":{\"aws:SourceAccount\":\"${aws:x}\"}}", "aws:sourceaccount", "${aws:x}",
         POLICY_NONE},
        /* all operators and keys must hold */
        {"{\"StringLike\":{\"aws:SourceAccount\":\"*\"},\"Null\":{\"aws:SourceArn\":\"false\"}}",
         "aws:sourceaccount", "1", POLICY_NONE},
        {"{}", NULL, NULL, POLICY_ALLOW},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char json[1024];
        snprintf(json, sizeof json,
                 DOC(ALLOW("\"Principal\":{\"Service\":\"s3.amazonaws.com\"},\"Action\":\"lambda:"
                           "InvokeFunction\",\"Resource\":\"" LAMBDA_ARN "\",\"Condition\":%s")),
                 t[i].condition);
        struct policy *p = parse(json, POLICY_RESOURCE);
        struct policy_key key = {str_c(t[i].name), str_c(t[i].value)};
        struct policy_query q = {.action = STR("lambda:InvokeFunction"),
                                 .resource = STR(LAMBDA_ARN),
                                 .principal_service = STR("s3.amazonaws.com"),
                                 .keys = &key,
                                 .key_count = t[i].name ? 1 : 0};
        if (policy_eval(p, &q) != t[i].want)
            fail_msg("%s with %s=%s: want %d", t[i].condition, t[i].name, t[i].value, t[i].want);
        q.principal_service = STR("events.amazonaws.com");
        assert_int_equal(policy_eval(p, &q), POLICY_NONE);
        policy_free(p);
    }
}

static void principals(void **state)
{
    (void)state;
    static const struct {
        const char *effect, *principal, *arn, *service;
        enum policy_effect want;
    } t[] = {
        {"Allow", "\"*\"", "", "", POLICY_ALLOW},
        {"Allow", "{\"AWS\":\"*\"}", "", "", POLICY_ALLOW},
        {"Allow", "{\"AWS\":\"arn:aws:iam::000000000000:role/r\"}",
         "arn:aws:iam::000000000000:role/r", "", POLICY_ALLOW},
        {"Allow", "{\"AWS\":\"arn:aws:iam::000000000000:role/r\"}",
         "arn:aws:iam::000000000000:role/rr", "", POLICY_NONE},
        {"Allow", "{\"AWS\":\"arn:aws:iam::000000000000:role/*\"}",
         "arn:aws:iam::000000000000:role/r", "", POLICY_NONE},
        {"Allow", "{\"AWS\":\"000000000000\"}", "arn:aws:iam::000000000000:root", "", POLICY_ALLOW},
        {"Allow", "{\"AWS\":\"000000000000\"}", "arn:aws:iam::000000000000:user/u", "",
         POLICY_DELEGATE},
        {"Deny", "{\"AWS\":\"000000000000\"}", "arn:aws:iam::000000000000:user/u", "", POLICY_DENY},
        {"Deny", "{\"AWS\":\"arn:aws:iam::000000000000:root\"}", "arn:aws:iam::000000000000:user/u",
         "", POLICY_DENY},
        {"Deny", "{\"AWS\":\"111111111111\"}", "arn:aws:iam::000000000000:user/u", "", POLICY_NONE},
        {"Allow", "{\"Service\":[\"a.b\",\"lambda.amazonaws.com\"]}", "", "lambda.amazonaws.com",
         POLICY_ALLOW},
        {"Allow", "{\"Service\":\"lambda.amazonaws.com\"}", "lambda.amazonaws.com", "",
         POLICY_NONE},
        {"Allow", "{\"Service\":\"\\u0000\"}", "", "", POLICY_NONE},
        {"Allow", "{\"Unheard\":\"x\"}", "x", "x", POLICY_NONE},
        {"Deny", "{\"Unheard\":\"x\"}", "y", "", POLICY_DENY},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char json[512];
        snprintf(json, sizeof json,
                 DOC("{\"Effect\":\"%s\",\"Principal\":%s,\"Action\":\"sts:AssumeRole\"}"),
                 t[i].effect, t[i].principal);
        struct policy *p = parse(json, POLICY_TRUST);
        struct policy_query q = {.action = STR("sts:AssumeRole"),
                                 .principal = str_c(t[i].arn),
                                 .principal_service = str_c(t[i].service)};
        if (policy_eval(p, &q) != t[i].want)
            fail_msg("%s %s: want %d", t[i].effect, t[i].principal, t[i].want);
        policy_free(p);
    }
    struct policy *p = parse(DOC("{\"Effect\":\"Allow\",\"NotPrincipal\":{\"AWS\":\"x\"},"
                                 "\"Action\":\"a:b\",\"Resource\":\"*\"}"),
                             POLICY_RESOURCE);
    struct policy_query q = {.action = STR("a:b"), .resource = STR("*"), .principal = STR("y")};
    assert_int_equal(policy_eval(p, &q), POLICY_NONE);
    policy_free(p);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        enum policy_kind kind;
        const char *json, *text;
    } t[] = {
        {POLICY_IDENTITY, "", "invalid Json"},
        {POLICY_IDENTITY, "{", "invalid Json"},
        {POLICY_IDENTITY, "[]", "Syntax errors"},
        {POLICY_IDENTITY, "\"x\"", "Syntax errors"},
        {POLICY_IDENTITY, "{}", "Syntax errors"},
        {POLICY_IDENTITY, "{\"Statement\":[]}", "Syntax errors"},
        {POLICY_IDENTITY, "{\"Statement\":[1]}", "Syntax errors"},
        {POLICY_IDENTITY, "{\"Statement\":\"x\"}", "Syntax errors"},
        {POLICY_IDENTITY, "{\"Version\":\"2012-10-18\",\"Statement\":" ALLOW(GET) "}", "version"},
        {POLICY_IDENTITY, "{\"Version\":1,\"Statement\":" ALLOW(GET) "}", "version"},
        {POLICY_IDENTITY, "{\"Extra\":1,\"Statement\":" ALLOW(GET) "}", "Syntax errors"},
        {POLICY_IDENTITY, DOC("{" GET "}"), "Syntax errors"},
        {POLICY_IDENTITY, DOC("{\"Effect\":\"allow\"," GET "}"), "effect"},
        {POLICY_IDENTITY, DOC("{\"Effect\":\"Allow\",\"Resource\":\"*\"}"), "contain actions"},
        {POLICY_IDENTITY, DOC("{\"Effect\":\"Allow\",\"Action\":\"a:b\"}"), "contain resources"},
        {POLICY_IDENTITY, DOC(ALLOW("\"Action\":[],\"Resource\":\"*\"")), "contain actions"},
        {POLICY_IDENTITY, DOC(ALLOW("\"Action\":\"a:b\",\"Resource\":[]")), "contain resources"},
        {POLICY_IDENTITY, DOC(ALLOW("\"Action\":\"get\",\"Resource\":\"*\"")), "vendor"},
        {POLICY_IDENTITY, DOC(ALLOW("\"Action\":\"s3:\",\"Resource\":\"*\"")), "vendor"},
        {POLICY_IDENTITY, DOC(ALLOW("\"Action\":\"*:x\",\"Resource\":\"*\"")), "vendor"},
        {POLICY_IDENTITY, DOC(ALLOW("\"Action\":\"a:${x}\",\"Resource\":\"*\"")), "vendor"},
        {POLICY_IDENTITY, DOC(ALLOW("\"Action\":\"a:b\",\"Resource\":\"bucket/x\"")), "ARN format"},
        {POLICY_IDENTITY, DOC(ALLOW("\"Action\":\"a:b\",\"Resource\":7")), "contain resources"},
        {POLICY_IDENTITY, DOC(ALLOW(GET ",\"NotAction\":\"a:b\"")), "both Action"},
        {POLICY_IDENTITY, DOC(ALLOW(GET ",\"NotResource\":\"*\"")), "both Resource"},
        {POLICY_IDENTITY, DOC(ALLOW(GET ",\"Principal\":\"*\"")), "principal"},
        {POLICY_IDENTITY, DOC(ALLOW(GET ",\"NotPrincipal\":\"*\"")), "principal"},
        {POLICY_IDENTITY, DOC(ALLOW(GET ",\"Sid\":\"a b\"")), "alpha-numeric"},
        {POLICY_IDENTITY, DOC(ALLOW(GET ",\"Sid\":\"a\"") "," ALLOW(GET ",\"Sid\":\"a\"")),
         "unique"},
        {POLICY_IDENTITY, DOC(ALLOW(GET ",\"Condition\":[]")), "Syntax errors"},
        {POLICY_IDENTITY, DOC(ALLOW(GET ",\"Condition\":{\"Bool\":1}")), "Syntax errors"},
        {POLICY_IDENTITY, DOC(ALLOW(GET ",\"Condition\":{\"Bool\":{\"a\":{}}}")), "Syntax errors"},
        {POLICY_RESOURCE, DOC(ALLOW(GET)), "Principal"},
        {POLICY_RESOURCE, DOC(ALLOW(GET ",\"Principal\":\"x\"")), "principal"},
        {POLICY_RESOURCE, DOC(ALLOW(GET ",\"Principal\":{}")), "principal"},
        {POLICY_RESOURCE, DOC(ALLOW(GET ",\"Principal\":{\"AWS\":1}")), "principal"},
        {POLICY_TRUST, DOC(ALLOW(GET ",\"Principal\":\"*\"")), "prohibited field Resource"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct err err = {0};
        if (policy_parse(str_c(t[i].json), t[i].kind, &err))
            fail_msg("accepted %s", t[i].json);
        assert_int_equal(err.code, E_BAD_POLICY);
        if (!strstr(err.text, t[i].text))
            fail_msg("%s: \"%s\", want \"%s\"", t[i].json, err.text, t[i].text);
    }
    struct policy *p = parse("{\"Statement\":[]}", POLICY_RESOURCE);
    policy_free(p);
    policy_free(NULL);
}

static void several(void **state)
{
    (void)state;
    struct policy *p[] = {
        parse(DOC(ALLOW(GET)), POLICY_IDENTITY),
        parse(DOC(ALLOW("\"Action\":\"a:b\",\"Resource\":\"*\"")), POLICY_IDENTITY),
        parse(DOC(DENY(GET)), POLICY_IDENTITY)};
    struct policy_query q = {.action = STR("s3:GetObject"), .resource = STR(KEY)};
    assert_int_equal(policy_eval_all(p, 0, &q), POLICY_NONE);
    assert_int_equal(policy_eval_all(p, 2, &q), POLICY_ALLOW);
    assert_int_equal(policy_eval_all(p, 3, &q), POLICY_DENY);
    char huge[200];
    memset(huge, 'a', sizeof huge);
    q.action = str_of(huge, sizeof huge);
    assert_int_equal(policy_eval(p[0], &q), POLICY_DENY);
    for (size_t i = 0; i < 3; i++)
        policy_free(p[i]);
}

/* Fifty statements that all have to be looked at. The bound is loose: it catches an order of
 * magnitude, not a slow machine. */
static void quick(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    buf_lit(&b, "{\"Statement\":[");
    for (int i = 0; i < 50; i++)
        buf_printf(
            &b,
            "%s{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:Put*\"],\"Resource\":["
            "\"arn:aws:s3:::bucket-%d/*\",\"arn:aws:s3:::other-%d/*/thumb.jpg\"]}",
            i ? "," : "", i, i);
    buf_lit(&b, "]}");
    struct policy *p = policy_parse(buf_str(&b), POLICY_IDENTITY, NULL);
    assert_non_null(p);
    struct policy_query q = {.action = STR("s3:GetObject"),
                             .resource = STR("arn:aws:s3:::bucket-50/a/picture.jpg")};
    enum { N = 2000 };
    uint64_t t0 = clock_mono_ns();
    for (int i = 0; i < N; i++)
        assert_int_equal(policy_eval(p, &q), POLICY_NONE);
    uint64_t ns = (clock_mono_ns() - t0) / N;
    print_message("           50 statements: %llu ns\n", (unsigned long long)ns);
    assert_true(ns < 100 * 1000);
    policy_free(p);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity), cmocka_unit_test(conditions), cmocka_unit_test(principals),
        cmocka_unit_test(refused),  cmocka_unit_test(several),    cmocka_unit_test(quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
