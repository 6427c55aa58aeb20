/* test_gate_bodies: bodies: parsed, too large, other than what was signed. */
#include "gate_table.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
        cmocka_unit_test(payload_hashes),
    };
    return cmocka_run_group_tests(tests, gate_begin, gate_end);
}
