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

/* "name=value;name=value" */
static size_t split_keys(const char *text, struct policy_key keys[8])
{
    struct str rest = str_c(text);
    size_t n = 0;
    while (rest.n && n < 8) {
        struct str value = str_cut(&rest, ';'), name = str_cut(&value, '=');
        keys[n++] = (struct policy_key){name, value};
    }
    return n;
}

static enum policy_effect ask_with(const char *json, const char *resource, const char *keys)
{
    struct policy_key k[8];
    struct policy *p = parse(json, POLICY_IDENTITY);
    struct policy_query q = {.action = STR("s3:GetObject"),
                             .resource = str_c(resource),
                             .keys = k,
                             .key_count = split_keys(keys, k)};
    enum policy_effect got = policy_eval(p, &q);
    policy_free(p);
    return got;
}

/* Each operator met, not met, and with its key absent. An Allow under the condition gives, a Deny
 * takes. */
static void operators(void **state)
{
    (void)state;
    static const struct {
        const char *condition, *keys;
        bool met;
    } t[] = {
        {"\"StringEquals\":{\"aws:username\":\"a\"}", "aws:username=a", true},
        {"\"StringEquals\":{\"aws:username\":\"a\"}", "aws:username=A", false},
        {"\"StringEquals\":{\"aws:username\":\"a\"}", "", false},
        {"\"stringequals\":{\"AWS:UserName\":\"a\"}", "aws:username=a", true},
        {"\"StringEquals\":{\"aws:username\":\"a*\"}", "aws:username=a*", true},
        {"\"StringEquals\":{\"aws:username\":\"a*\"}", "aws:username=ab", false},
        {"\"StringNotEquals\":{\"aws:username\":[\"a\",\"b\"]}", "aws:username=c", true},
        {"\"StringNotEquals\":{\"aws:username\":[\"a\",\"b\"]}", "aws:username=b", false},
        {"\"StringNotEquals\":{\"aws:username\":\"a\"}", "", true},
        {"\"StringEqualsIgnoreCase\":{\"aws:username\":\"aB\"}", "aws:username=Ab", true},
        {"\"StringEqualsIgnoreCase\":{\"aws:username\":\"a*\"}", "aws:username=ab", false},
        {"\"StringNotEqualsIgnoreCase\":{\"aws:username\":\"aB\"}", "aws:username=Ab", false},
        {"\"StringNotEqualsIgnoreCase\":{\"aws:username\":\"aB\"}", "aws:username=x", true},
        {"\"StringLike\":{\"aws:username\":\"a?c*\"}", "aws:username=abcd", true},
        {"\"StringLike\":{\"aws:username\":\"a?c*\"}", "aws:username=ac", false},
        {"\"StringNotLike\":{\"aws:username\":\"a*\"}", "aws:username=b", true},
        {"\"StringNotLike\":{\"aws:username\":\"a*\"}", "aws:username=ab", false},
        {"\"StringNotLike\":{\"aws:username\":\"a*\"}", "", true},
        {"\"ArnEquals\":{\"aws:SourceArn\":\"arn:aws:s3:::b\"}", "aws:sourcearn=arn:aws:s3:::b",
         true},
        {"\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:*:*:*:f*\"}",
         "aws:sourcearn=arn:aws:lambda:r:1:function:x", true},
        {"\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:*:function:x\"}",
         "aws:sourcearn=arn:aws:lambda:r:1:function:x", false},
        {"\"ArnNotEquals\":{\"aws:SourceArn\":\"arn:aws:s3:::b\"}", "aws:sourcearn=arn:aws:s3:::b",
         false},
        {"\"ArnNotLike\":{\"aws:SourceArn\":\"arn:aws:s3:::b*\"}", "aws:sourcearn=arn:aws:s3:::c",
         true},
        {"\"ArnNotLike\":{\"aws:SourceArn\":\"arn:aws:s3:::b*\"}", "", true},
        {"\"NumericEquals\":{\"s3:max-keys\":10}", "s3:max-keys=10.0", true},
        {"\"NumericEquals\":{\"s3:max-keys\":\"10\"}", "s3:max-keys=ten", false},
        {"\"NumericNotEquals\":{\"s3:max-keys\":\"10\"}", "s3:max-keys=10", false},
        {"\"NumericNotEquals\":{\"s3:max-keys\":\"10\"}", "s3:max-keys=11", true},
        {"\"NumericLessThan\":{\"s3:max-keys\":\"10\"}", "s3:max-keys=9", true},
        {"\"NumericLessThan\":{\"s3:max-keys\":\"10\"}", "s3:max-keys=10", false},
        {"\"NumericLessThan\":{\"s3:max-keys\":\"10\"}", "", false},
        {"\"NumericLessThanEquals\":{\"s3:max-keys\":\"10\"}", "s3:max-keys=10", true},
        {"\"NumericGreaterThan\":{\"s3:max-keys\":\"10\"}", "s3:max-keys=1e2", true},
        {"\"NumericGreaterThan\":{\"s3:max-keys\":\"10\"}", "s3:max-keys=10", false},
        {"\"NumericGreaterThanEquals\":{\"s3:max-keys\":\"-1.5\"}", "s3:max-keys=-1.5", true},
        {"\"DateEquals\":{\"aws:CurrentTime\":\"2026-11-27T10:00:00Z\"}",
         "aws:currenttime=2026-11-27T11:00:00+01:00", true},
        {"\"DateEquals\":{\"aws:CurrentTime\":\"2026-11-27\"}",
         "aws:currenttime=2026-11-27T00:00:00.000Z", true},
        {"\"DateNotEquals\":{\"aws:CurrentTime\":\"2026\"}", "aws:currenttime=2026-01-01", false},
        {"\"DateLessThan\":{\"aws:CurrentTime\":\"2026-11-27T10:00Z\"}",
         "aws:currenttime=2026-11-27T09:59:59.999Z", true},
        {"\"DateLessThan\":{\"aws:CurrentTime\":\"2026-11-27T10:00Z\"}",
         "aws:currenttime=2026-11-27T10:00:00Z", false},
        {"\"DateLessThanEquals\":{\"aws:EpochTime\":\"1970-01-02T00:00:00Z\"}",
         "aws:epochtime=86400", true},
        {"\"DateGreaterThan\":{\"aws:CurrentTime\":1577836800}",
         "aws:currenttime=2020-01-01T00:00:01Z", true},
        {"\"DateGreaterThan\":{\"aws:CurrentTime\":1577836800}",
         "aws:currenttime=2020-01-01T00:00:00Z", false},
        {"\"DateGreaterThanEquals\":{\"aws:CurrentTime\":1577836800}",
         "aws:currenttime=2020-01-01T00:00:00Z", true},
        {"\"DateLessThan\":{\"aws:CurrentTime\":\"2026-01-01\"}", "aws:currenttime=soon", false},
        {"\"Bool\":{\"aws:SecureTransport\":\"TRUE\"}", "aws:securetransport=true", true},
        {"\"Bool\":{\"aws:SecureTransport\":false}", "aws:securetransport=true", false},
        {"\"Bool\":{\"aws:SecureTransport\":false}", "", false},
        {"\"BoolIfExists\":{\"aws:MultiFactorAuthPresent\":false}", "", true},
        {"\"IpAddress\":{\"aws:SourceIp\":[\"10.0.0.0/8\",\"192.168.1.7\"]}",
         "aws:sourceip=192.168.1.7", true},
        {"\"IpAddress\":{\"aws:SourceIp\":[\"10.0.0.0/8\",\"192.168.1.7\"]}",
         "aws:sourceip=192.168.1.8", false},
        {"\"IpAddress\":{\"aws:SourceIp\":\"10.20.30.0/23\"}", "aws:sourceip=10.20.31.255", true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"10.20.30.0/23\"}", "aws:sourceip=10.20.32.0", false},
        {"\"IpAddress\":{\"aws:SourceIp\":\"0.0.0.0/0\"}", "aws:sourceip=1.2.3.4", true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"0.0.0.0/0\"}", "aws:sourceip=2001:db8::1", false},
        {"\"IpAddress\":{\"aws:SourceIp\":\"::/0\"}", "aws:sourceip=2001:db8::1", true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"2001:db8::/33\"}", "aws:sourceip=2001:db8:7fff::1",
         true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"2001:db8::/33\"}", "aws:sourceip=2001:db8:8000::1",
         false},
        {"\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "aws:sourceip=::ffff:10.1.2.3", true},
        {"\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "aws:sourceip=10.1.2.3", false},
        {"\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "aws:sourceip=11.1.2.3", true},
        {"\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "", true},
        {"\"BinaryEquals\":{\"aws:userid\":\"AQID\"}", "aws:userid=AQID", true},
        {"\"BinaryEquals\":{\"aws:userid\":\"AQID\"}", "aws:userid=AQIE", false},
        {"\"Null\":{\"aws:username\":\"true\"}", "aws:username=", false},
        {"\"Null\":{\"aws:username\":[\"true\",\"false\"]}", "", true},
        {"\"StringEqualsIfExists\":{\"aws:username\":\"a\"}", "", true},
        {"\"StringEqualsIfExists\":{\"aws:username\":\"a\"}", "aws:username=b", false},
        {"\"NumericLessThanIfExists\":{\"s3:max-keys\":1}", "", true},
        {"\"IpAddressIfExists\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "aws:sourceip=1.1.1.1", false},
        /* many values */
        {"\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"a\",\"b\"]}",
         "aws:tagkeys=a;aws:tagkeys=b", true},
        {"\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"a\",\"b\"]}",
         "aws:tagkeys=a;aws:tagkeys=c", false},
        {"\"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"a\"]}", "", true},
        {"\"ForAnyValue:StringEquals\":{\"aws:TagKeys\":[\"a\"]}", "aws:tagkeys=b;aws:tagkeys=a",
         true},
        {"\"ForAnyValue:StringEquals\":{\"aws:TagKeys\":[\"a\"]}", "aws:tagkeys=b", false},
        {"\"ForAnyValue:StringEquals\":{\"aws:TagKeys\":[\"a\"]}", "", false},
        {"\"ForAllValues:StringNotLike\":{\"aws:TagKeys\":[\"x*\"]}",
         "aws:tagkeys=a;aws:tagkeys=x1", false},
        {"\"ForAnyValue:StringNotLike\":{\"aws:TagKeys\":[\"x*\"]}", "aws:tagkeys=a;aws:tagkeys=x1",
         true},
        {"\"ForAnyValue:StringNotEquals\":{\"aws:TagKeys\":[\"a\"]}", "aws:tagkeys=a", false},
        /* keys with a part of the user's */
        {"\"StringEquals\":{\"s3:ExistingObjectTag/Kind\":\"x\"}", "s3:existingobjecttag/kind=x",
         true},
        {"\"StringEquals\":{\"aws:PrincipalTag/team\":\"x\"}", "", false},
        /* variables */
        {"\"StringEquals\":{\"s3:prefix\":\"home/${aws:username}\"}",
         "aws:username=u;s3:prefix=home/u", true},
        {"\"StringEquals\":{\"s3:prefix\":\"home/${aws:username}\"}",
         "aws:username=u;s3:prefix=home/v", false},
        {"\"StringLike\":{\"s3:prefix\":\"${aws:username}/*\"}", "aws:username=*;s3:prefix=x/k",
         false},
        {"\"StringLike\":{\"s3:prefix\":\"${aws:username}/*\"}", "aws:username=*;s3:prefix=*/k",
         true},
        {"\"StringLike\":{\"s3:prefix\":\"a${*}b*\"}", "s3:prefix=a*bc", true},
        {"\"StringLike\":{\"s3:prefix\":\"a${*}b*\"}", "s3:prefix=axbc", false},
        {"\"StringEquals\":{\"s3:prefix\":\"${$}{x}\"}", "s3:prefix=${x}", true},
        {"\"StringEquals\":{\"s3:prefix\":\"${aws:username, 'nobody'}\"}", "s3:prefix=nobody",
         true},
        {"\"StringEqualsIgnoreCase\":{\"s3:prefix\":\"X${aws:username}\"}",
         "aws:username=u;s3:prefix=xU", true},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char json[1024];
        snprintf(json, sizeof json, DOC(ALLOW(GET ",\"Condition\":{%s}")), t[i].condition);
        if (ask_with(json, KEY, t[i].keys) != (t[i].met ? POLICY_ALLOW : POLICY_NONE))
            fail_msg("Allow %s with %s: want %d", t[i].condition, t[i].keys, t[i].met);
        snprintf(json, sizeof json, DOC(DENY(GET ",\"Condition\":{%s}")), t[i].condition);
        if (ask_with(json, KEY, t[i].keys) != (t[i].met ? POLICY_DENY : POLICY_NONE))
            fail_msg("Deny %s with %s: want %d", t[i].condition, t[i].keys, t[i].met);
    }
}

#define HOME "\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/${aws:username}/*\""
#define ELSEWHERE "\"Action\":\"s3:*\",\"NotResource\":\"arn:aws:s3:::b/${aws:username}/*\""

/* A variable without a value matches nothing; where that would widen an Allow, it does not apply. */
static void variables(void **state)
{
    (void)state;
    static const struct {
        const char *json, *resource, *keys;
        enum policy_effect want;
    } t[] = {
        {DOC(ALLOW(HOME)), "arn:aws:s3:::b/u/k", "aws:username=u", POLICY_ALLOW},
        {DOC(ALLOW(HOME)), "arn:aws:s3:::b/v/k", "aws:username=u", POLICY_NONE},
        {DOC(ALLOW(HOME)), "arn:aws:s3:::b/v/k", "aws:username=*", POLICY_NONE},
        {DOC(ALLOW(HOME)), "arn:aws:s3:::b/v/k", "aws:username=?", POLICY_NONE},
        {DOC(ALLOW(HOME)), "arn:aws:s3:::b/v/k", "aws:username=\xff", POLICY_NONE},
        {DOC(ALLOW(HOME)), "arn:aws:s3:::b//k", "", POLICY_NONE},
        {DOC(ALLOW(HOME)), "arn:aws:s3:::b/${aws:username}/k", "", POLICY_NONE},
        {DOC(ALLOW(HOME)), "arn:aws:s3:::b/u/k", "aws:username=u;aws:username=v", POLICY_NONE},
        {DOC(DENY(HOME)), "arn:aws:s3:::b/u/k", "aws:username=u", POLICY_DENY},
        {DOC(DENY(HOME)), "arn:aws:s3:::b/u/k", "", POLICY_NONE},
        {DOC(ALLOW(ELSEWHERE)), "arn:aws:s3:::b/v/k", "aws:username=u", POLICY_ALLOW},
        {DOC(ALLOW(ELSEWHERE)), "arn:aws:s3:::b/u/k", "aws:username=u", POLICY_NONE},
        {DOC(ALLOW(ELSEWHERE)), "arn:aws:s3:::b/v/k", "", POLICY_NONE},
        {DOC(DENY(ELSEWHERE)), "arn:aws:s3:::b/v/k", "", POLICY_DENY},
        {DOC(DENY(ELSEWHERE)), "arn:aws:s3:::b/u/k", "aws:username=u", POLICY_NONE},
        /* only the later version of the language has them */
        {"{\"Version\":\"2008-10-17\",\"Statement\":" ALLOW(HOME) "}", "arn:aws:s3:::b/u/k",
         "aws:username=u", POLICY_NONE},
        {"{\"Statement\":" ALLOW(HOME) "}", "arn:aws:s3:::b/${aws:username}/k", "aws:username=u",
         POLICY_ALLOW},
        {DOC(ALLOW("\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/${*}\"")), "arn:aws:s3:::b/*",
         "", POLICY_ALLOW},
        {DOC(ALLOW("\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/${*}\"")), "arn:aws:s3:::b/x",
         "", POLICY_NONE},
        {DOC(ALLOW(GET ",\"Condition\":{\"StringNotEquals\":{\"s3:prefix\":\"${aws:username}\"}}")),
         KEY, "s3:prefix=x", POLICY_NONE},
        {DOC(DENY(GET ",\"Condition\":{\"StringNotEquals\":{\"s3:prefix\":\"${aws:username}\"}}")),
         KEY, "s3:prefix=x", POLICY_DENY},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        enum policy_effect got = ask_with(t[i].json, t[i].resource, t[i].keys);
        if (got != t[i].want)
            fail_msg("%s\non %s with %s: %d, want %d", t[i].json, t[i].resource, t[i].keys, got,
                     t[i].want);
    }
}

/* The longest of headers against a pattern that has to be tried everywhere. */
static void long_values(void **state)
{
    (void)state;
    struct buf json = BUF_INIT, value = BUF_INIT;
    buf_lit(&json, "{\"Statement\":[{\"Effect\":\"Allow\"," GET ",\"Condition\":{\"StringLike\":{"
                   "\"aws:UserAgent\":\"*");
    for (int i = 0; i < 20000; i++)
        buf_addc(&json, '?');
    buf_lit(&json, "b*\"}}}]}");
    for (int i = 0; i < 32000; i++)
        buf_addc(&value, 'a');
    struct policy *p = policy_parse(buf_str(&json), POLICY_IDENTITY, NULL);
    assert_non_null(p);
    struct policy_key key = {STR("aws:useragent"), buf_str(&value)};
    struct policy_query q = {
        .action = STR("s3:GetObject"), .resource = STR(KEY), .keys = &key, .key_count = 1};
    uint64_t began = clock_mono_ns();
    assert_int_equal(policy_eval(p, &q), POLICY_NONE);
    assert_true(clock_mono_ns() - began < 100 * 1000 * 1000);
    policy_free(p);
    p = parse(DOC(ALLOW(GET ",\"Condition\":{\"StringLike\":{\"aws:UserAgent\":\"*\"}}")),
              POLICY_IDENTITY);
    assert_int_equal(policy_eval(p, &q), POLICY_ALLOW);
    policy_free(p);
    buf_deinit(&json);
    buf_deinit(&value);
}

static size_t finder(void *ctx, struct str name, struct str *values, size_t max)
{
    assert_true(max >= 1);
    ++*(int *)ctx;
    values[0] = STR("u");
    return str_is(name, "aws:username") ? 1 : 0;
}

/* Keys that are worked out are asked for only when something needs them. */
static void found_keys(void **state)
{
    (void)state;
    int asked = 0;
    struct policy *p = parse(DOC(ALLOW(HOME) "," ALLOW("\"Action\":\"x:y\",\"Resource\":\"*\","
                                                       "\"Condition\":{\"Null\":{\"aws:userid\":"
                                                       "\"true\"}}")),
                             POLICY_IDENTITY);
    struct policy_query q = {.action = STR("s3:GetObject"),
                             .resource = STR("arn:aws:s3:::b/u/k"),
                             .find = finder,
                             .find_ctx = &asked};
    assert_int_equal(policy_eval(p, &q), POLICY_ALLOW);
    assert_int_equal(asked, 1);
    q.action = STR("a:b");
    assert_int_equal(policy_eval(p, &q), POLICY_NONE);
    assert_int_equal(asked, 1);
    q.action = STR("x:y");
    assert_int_equal(policy_eval(p, &q), POLICY_ALLOW);
    assert_int_equal(asked, 2);
    policy_free(p);
}

/* --- joining --------------------------------------------------------------------------------- */

#define ACCOUNT "arn:aws:iam::000000000000:"
#define ROLE ACCOUNT "role/r"
#define SESSION "arn:aws:sts::000000000000:assumed-role/r/s"
#define FOR(who) "\"Principal\":" who ",\"Action\":\"s3:*\",\"Resource\":\"*\""
#define ANYTHING "\"Action\":\"s3:*\",\"Resource\":\"*\""
#define OTHER "\"Action\":\"x:*\",\"Resource\":\"*\""

static void joined(void **state)
{
    (void)state;
    static const struct {
        const char *own, *theirs, *session, *who, *role;
        enum policy_effect want;
        enum policy_side side;
    } t[] = {
        /* a user */
        {NULL, NULL, NULL, ACCOUNT "user/u", "", POLICY_NONE, POLICY_BY_IDENTITY},
        {ALLOW(ANYTHING), NULL, NULL, ACCOUNT "user/u", "", POLICY_ALLOW, 0},
        {NULL, ALLOW(FOR("\"*\"")), NULL, ACCOUNT "user/u", "", POLICY_ALLOW, 0},
        {NULL, ALLOW(FOR("{\"AWS\":\"" ACCOUNT "user/u\"}")), NULL, ACCOUNT "user/u", "",
         POLICY_ALLOW, 0},
        {NULL, ALLOW(FOR("{\"AWS\":\"" ACCOUNT "user/v\"}")), NULL, ACCOUNT "user/u", "",
         POLICY_NONE, POLICY_BY_IDENTITY},
        {NULL, ALLOW(FOR("{\"AWS\":\"000000000000\"}")), NULL, ACCOUNT "user/u", "", POLICY_NONE,
         POLICY_BY_IDENTITY},
        {ALLOW(ANYTHING), DENY(FOR("\"*\"")), NULL, ACCOUNT "user/u", "", POLICY_DENY,
         POLICY_BY_RESOURCE},
        {DENY(ANYTHING), ALLOW(FOR("\"*\"")), NULL, ACCOUNT "user/u", "", POLICY_DENY,
         POLICY_BY_IDENTITY},
        {ALLOW(ANYTHING),
         "{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"" ACCOUNT
         "user/u\"},\"Action\":\"s3:*\",\"Resource\":\"*\"}",
         NULL, ACCOUNT "user/u", "", POLICY_ALLOW, 0},
        {ALLOW(ANYTHING),
         "{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"" ACCOUNT
         "user/u\"},\"Action\":\"s3:*\",\"Resource\":\"*\"}",
         NULL, ACCOUNT "user/v", "", POLICY_DENY, POLICY_BY_RESOURCE},
        /* a role's session */
        {ALLOW(ANYTHING), NULL, NULL, SESSION, ROLE, POLICY_ALLOW, 0},
        {NULL, ALLOW(FOR("{\"AWS\":\"" ROLE "\"}")), NULL, SESSION, ROLE, POLICY_ALLOW, 0},
        {NULL, ALLOW(FOR("{\"AWS\":\"" SESSION "\"}")), NULL, SESSION, ROLE, POLICY_ALLOW, 0},
        {NULL, DENY(FOR("{\"AWS\":\"" ROLE "\"}")), NULL, SESSION, ROLE, POLICY_DENY,
         POLICY_BY_RESOURCE},
        /* with a session policy */
        {ALLOW(ANYTHING), NULL, ALLOW(GET), SESSION, ROLE, POLICY_ALLOW, 0},
        {ALLOW(ANYTHING), NULL, ALLOW(OTHER), SESSION, ROLE, POLICY_NONE, POLICY_BY_SESSION},
        {NULL, NULL, ALLOW(ANYTHING), SESSION, ROLE, POLICY_NONE, POLICY_BY_IDENTITY},
        {ALLOW(ANYTHING), NULL, DENY(GET), SESSION, ROLE, POLICY_DENY, POLICY_BY_SESSION},
        {NULL, ALLOW(FOR("{\"AWS\":\"" ROLE "\"}")), ALLOW(OTHER), SESSION, ROLE, POLICY_NONE,
         POLICY_BY_SESSION},
        {NULL, ALLOW(FOR("{\"AWS\":\"" ROLE "\"}")), ALLOW(GET), SESSION, ROLE, POLICY_ALLOW, 0},
        {NULL, ALLOW(FOR("{\"AWS\":\"" SESSION "\"}")), ALLOW(OTHER), SESSION, ROLE, POLICY_ALLOW,
         0},
        {NULL, ALLOW(FOR("\"*\"")), ALLOW(OTHER), SESSION, ROLE, POLICY_NONE, POLICY_BY_SESSION},
        /* nobody */
        {NULL, NULL, NULL, "", "", POLICY_NONE, POLICY_BY_IDENTITY},
        {NULL, ALLOW(FOR("\"*\"")), NULL, "", "", POLICY_ALLOW, 0},
        {NULL, ALLOW(FOR("{\"AWS\":\"000000000000\"}")), NULL, "", "", POLICY_NONE,
         POLICY_BY_IDENTITY},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char json[1024];
        struct policy *p[3] = {NULL};
        const char *text[] = {t[i].own, t[i].theirs, t[i].session};
        for (int k = 0; k < 3; k++) {
            snprintf(json, sizeof json, DOC("%s"), text[k] ? text[k] : "");
            if (text[k])
                p[k] = parse(json, k == 1 ? POLICY_RESOURCE : POLICY_IDENTITY);
        }
        struct policy_query q = {.action = STR("s3:GetObject"),
                                 .resource = STR(KEY),
                                 .principal = str_c(t[i].who),
                                 .principal_role = str_c(t[i].role)};
        struct policy_caller who = {.policies = &p[0],
                                    .count = p[0] ? 1 : 0,
                                    .limited = p[2] != NULL,
                                    .session = &p[2],
                                    .session_count = p[2] ? 1 : 0};
        struct policy_guard guard = {.policy = p[1]};
        enum policy_side side = 0;
        enum policy_effect got = policy_decide(&who, &guard, &q, &side);
        if (got != t[i].want || (got != POLICY_ALLOW && side != t[i].side))
            fail_msg("row %zu: %d by %d, want %d by %d", i, got, side, t[i].want, t[i].side);
        for (int k = 0; k < 3; k++)
            policy_free(p[k]);
    }
}

/* root and trust: the two that have rules of their own. */
static void root_and_trust(void **state)
{
    (void)state;
    enum policy_side side;
    struct policy *deny = parse(DOC(DENY(FOR("\"*\""))), POLICY_RESOURCE);
    struct policy_query q = {
        .action = STR("s3:GetObject"), .resource = STR(KEY), .principal = STR(ACCOUNT "root")};
    struct policy_caller root = {.root = true}, user = {.root = false};
    struct policy_guard guard = {.policy = deny};
    assert_int_equal(policy_decide(&root, NULL, &q, &side), POLICY_ALLOW);
    assert_int_equal(policy_decide(&root, &guard, &q, &side), POLICY_DENY);
    guard.owner_exempt = true;
    assert_int_equal(policy_decide(&root, &guard, &q, &side), POLICY_ALLOW);
    policy_free(deny);
    static const struct {
        const char *trusted, *who;
        bool own, may;
    } t[] = {
        {"{\"AWS\":\"" ACCOUNT "user/u\"}", ACCOUNT "user/u", false, true},
        {"{\"AWS\":\"" ACCOUNT "user/u\"}", ACCOUNT "user/v", true, false},
        {"{\"AWS\":\"" ACCOUNT "root\"}", ACCOUNT "user/u", false, false},
        {"{\"AWS\":\"" ACCOUNT "root\"}", ACCOUNT "user/u", true, true},
        {"{\"AWS\":\"000000000000\"}", ACCOUNT "root", false, true},
        {"{\"Service\":\"lambda.amazonaws.com\"}", ACCOUNT "user/u", true, false},
        {"{\"Service\":\"lambda.amazonaws.com\"}", ACCOUNT "root", false, false},
    };
    struct policy *own =
        parse(DOC(ALLOW("\"Action\":\"sts:*\",\"Resource\":\"*\"")), POLICY_IDENTITY);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char json[512];
        snprintf(json, sizeof json,
                 DOC("{\"Effect\":\"Allow\",\"Principal\":%s,\"Action\":\"sts:AssumeRole\"}"),
                 t[i].trusted);
        struct policy *trust = parse(json, POLICY_TRUST);
        guard = (struct policy_guard){.policy = trust, .must = true};
        user.root = str_ends(str_c(t[i].who), STR("root"));
        user.policies = &own;
        user.count = t[i].own ? 1 : 0;
        q = (struct policy_query){
            .action = STR("sts:AssumeRole"), .resource = STR(ROLE), .principal = str_c(t[i].who)};
        if ((policy_decide(&user, &guard, &q, &side) == POLICY_ALLOW) != t[i].may)
            fail_msg("%s by %s: want %d", t[i].trusted, t[i].who, t[i].may);
        policy_free(trust);
    }
    policy_free(own);
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
        {POLICY_IDENTITY,
         DOC(ALLOW(GET ",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/33\"}}")),
         "Syntax errors"},
        {POLICY_IDENTITY,
         DOC(ALLOW(GET ",\"Condition\":{\"DateLessThan\":{\"aws:CurrentTime\":\"soon\"}}")),
         "Syntax errors"},
        {POLICY_IDENTITY,
         DOC(DENY(GET ",\"Condition\":{\"NumericLessThan\":{\"s3:max-keys\":\"few\"}}")),
         "Syntax errors"},
        {POLICY_IDENTITY,
         DOC(DENY(GET ",\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"yes\"}}")),
         "Syntax errors"},
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
 * magnitude, not a slow machine; tests/bench/policy.c has the figure. */
static void quick(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    buf_lit(&b, "{\"Version\":\"2012-10-17\",\"Statement\":[");
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
        cmocka_unit_test(identity),    cmocka_unit_test(conditions),
        cmocka_unit_test(operators),   cmocka_unit_test(variables),
        cmocka_unit_test(found_keys),  cmocka_unit_test(joined),
        cmocka_unit_test(long_values), cmocka_unit_test(principals),
        cmocka_unit_test(refused),     cmocka_unit_test(several),
        cmocka_unit_test(quick),       cmocka_unit_test(root_and_trust),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
