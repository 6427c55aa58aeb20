/* test_gate_callers: who asks: signatures, keys and tokens that are missing, wrong or late. */
#include "gate_table.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_signature),
        cmocka_unit_test(bad_credentials),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests(tests, gate_begin, gate_end);
}
