/* test_gate: requests find their operation, and answers have their protocol's form. */
#include "gate_table.h"

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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rest_json),
        cmocka_unit_test(s3),
        cmocka_unit_test(query),
        cmocka_unit_test(json11),
        cmocka_unit_test(open_paths),
        cmocka_unit_test(hosts_and_origins),
        cmocka_unit_test(unknown_operations),
        cmocka_unit_test(escapes),
    };
    return cmocka_run_group_tests(tests, gate_begin, gate_end);
}
