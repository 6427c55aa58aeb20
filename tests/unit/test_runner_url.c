/* runner: a function URL's requests and answers. */
#include "runner_help.h"

static struct buf url_event(const char *query, struct str body)
{
    struct buf b = BUF_INIT;
    static const char *const headers[][2] = {{"host", "fn.example.org:1969"},
                                             {"user-agent", "curl/7.88"},
                                             {"x-two", "a,b"},
                                             {"x-bad", "\xff"}};
    rec_put_str(&b, URL_METHOD, STR("POST"));
    rec_put_str(&b, URL_RAW_PATH, STR("/a/b%20c"));
    rec_put_str(&b, URL_RAW_QUERY, str_c(query));
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        size_t mark = rec_begin(&b, URL_HEADER);
        rec_put_str(&b, 1, str_c(headers[i][0]));
        rec_put_str(&b, 2, str_c(headers[i][1]));
        rec_end(&b, mark);
    }
    rec_put_str(&b, URL_COOKIE, STR("c1=1"));
    rec_put_str(&b, URL_COOKIE, STR("c2=2"));
    rec_put_str(&b, URL_DOMAIN, STR("fn.example.org:1969"));
    rec_put_str(&b, URL_SOURCE_IP, STR("192.0.2.7"));
    rec_put_str(&b, URL_API_ID, STR("thumbs"));
    rec_put_u64(&b, URL_TIME_MS, 1795433524123);
    rec_put_str(&b, URL_PROTOCOL, STR("HTTP/1.1"));
    if (body.n)
        rec_put_str(&b, URL_BODY, body);
    return b;
}

static void invoke_url(struct fake_core *f, const char *query, struct str body)
{
    struct buf event = url_event(query, body);
    assert_true(fake_invoke(f, EVENT_URL, buf_str(&event)));
    buf_deinit(&event);
}

static struct str reply_header(struct fake_core *f, const char *name)
{
    struct str rest = buf_str(&f->answer), v;
    uint16_t tag;
    while (rec_next(&rest, &tag, &v))
        if (tag == URL_HEADER && str_is(rec_str(v, 1), name))
            return rec_str(v, 2);
    return str_of(NULL, 0);
}

static void expect_url(struct fake_core *f, uint64_t status, const char *type, const char *body)
{
    struct str answer = buf_str(&f->answer);
    if (f->reply.error)
        fail_msg("%.*s", STR_FMT(answer));
    assert_int_equal(f->reply.kind, REPLY_HTTP);
    assert_true(rec_valid(answer));
    assert_int_equal(rec_u64(answer, URL_STATUS, 0), status);
    assert_str(reply_header(f, "content-type"), type);
    assert_str(rec_str(answer, URL_BODY), body);
}

static void makes_payload_2_0(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(
        &f,
        "return function(e)\n"
        "  assert(e.version == '2.0' and e.routeKey == '$default')\n"
        "  assert(e.rawPath == '/a/b%20c' and #e.cookies == 2 and e.cookies[2] == 'c2=2')\n"
        "  assert(e.headers['x-two'] == 'a,b' and e.headers['x-bad'] == '\\239\\191\\189')\n"
        "  local c = e.requestContext\n"
        "  assert(c.accountId == 'anonymous' and c.apiId == 'thumbs')\n"
        "  assert(c.domainName == 'fn.example.org:1969' and c.domainPrefix == 'fn')\n"
        "  assert(c.http.method == 'POST' and c.http.path == e.rawPath)\n"
        "  assert(c.http.protocol == 'HTTP/1.1' and c.http.sourceIp == '192.0.2.7')\n"
        "  assert(c.http.userAgent == 'curl/7.88' and c.stage == '$default')\n"
        "  assert(c.requestId == '11111111-2222-4333-8444-555555555555')\n"
        "  assert(c.time == '23/Nov/2026:11:32:04 +0000', c.time)\n"
        "  assert(c.timeEpoch == 1795433524123 and events.source(e) == 'url')\n"
        "  return { q = e.queryStringParameters, raw = e.rawQueryString, body = e.body,\n"
        "    b64 = e.isBase64Encoded }\n"
        "end",
        128);
    invoke_url(&f, "", STR(""));
    assert_str(reply_header(&f, "content-type"), "application/json");
    assert_has(buf_str(&f.answer), "\"raw\":\"\"");
    assert_has(buf_str(&f.answer), "\"b64\":false");
    assert_true(str_find(buf_str(&f.answer), STR("\"q\"")) < 0);
    invoke_url(&f, "a=1&b=x%20y+z&a=2&flag&=v&bad=%zz&%C3%A9=%ff", STR("plain \xc3\xa9"));
    assert_has(buf_str(&f.answer), "\"a\":\"1,2\"");
    assert_has(buf_str(&f.answer), "\"b\":\"x y z\"");
    assert_has(buf_str(&f.answer), "\"flag\":\"\"");
    assert_has(buf_str(&f.answer), "\"bad\":\"%zz\"");
    assert_has(buf_str(&f.answer), "\"\xc3\xa9\":\"%ff\"");
    assert_has(buf_str(&f.answer), "\"body\":\"plain \xc3\xa9\"");
    invoke_url(&f, "", STR("\x89PNG\0\xff"));
    assert_has(buf_str(&f.answer), "\"body\":\"iVBORwD/\"");
    assert_has(buf_str(&f.answer), "\"b64\":true");
    fake_stop(&f);
}

static void url_is(struct fake_core *f, const char *returns, uint64_t status, const char *type,
                   const char *body)
{
    invoke_url(f, "", str_c(returns));
    expect_url(f, status, type, body);
}

static void url_fails(struct fake_core *f, const char *returns, const char *part)
{
    invoke_url(f, "", str_c(returns));
    assert_int_equal(f->reply.error, FRAME_ERROR_FUNCTION);
    assert_int_equal(f->reply.kind, REPLY_JSON);
    assert_has(buf_str(&f->answer), part);
}

static void answers_http(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f, "return function(e) return load('return ' .. e.body)() end", 128);
    url_is(&f, "nil", 200, "application/json", "null");
    url_is(&f, "'hi'", 200, "application/json", "\"hi\"");
    url_is(&f, "{ a = 1 }", 200, "application/json", "{\"a\":1}");
    url_is(&f, "{ statusCode = 204 }", 204, "application/json", "");
    url_is(&f, "{ statusCode = 201, body = 'x', headers = { ['Content-Type'] = 't' } }", 201, NULL,
           "x");
    assert_str(reply_header(&f, "Content-Type"), "t");
    url_is(&f, "{ statusCode = '404', body = { no = true } }", 404, "application/json",
           "{\"no\":true}");
    url_is(&f, "{ statusCode = 200, body = 'iVBORw==', isBase64Encoded = true }", 200,
           "application/json", "\x89PNG");
    url_is(&f, "{ statusCode = 200, headers = { n = 5, b = true }, cookies = { 'a=1', 'b=2' } }",
           200, "application/json", "");
    assert_str(reply_header(&f, "n"), "5");
    assert_str(reply_header(&f, "b"), "true");
    assert_str(rec_str(buf_str(&f.answer), URL_COOKIE), "a=1");
    url_is(&f, "{ statusCode = 200, body = json.null, headers = json.null }", 200,
           "application/json", "");
    url_fails(&f, "{ statusCode = 99 }", "statusCode must be");
    url_fails(&f, "{ statusCode = 200.5 }", "statusCode must be");
    url_fails(&f, "{ statusCode = {} }", "statusCode must be");
    url_fails(&f, "{ statusCode = 0/0 }", "statusCode must be");
    url_fails(&f, "{ statusCode = 200, headers = 1 }", "headers must be a table");
    url_fails(&f, "{ statusCode = 200, headers = { ['a b'] = 'c' } }", "a header's name");
    url_fails(&f, "{ statusCode = 200, headers = { a = 'b\\r\\nc: d' } }", "control characters");
    url_fails(&f, "{ statusCode = 200, headers = { a = {} } }", "no string");
    url_fails(&f, "{ statusCode = 200, cookies = { 'a\\nb' } }", "control characters");
    url_fails(&f, "{ statusCode = 200, body = '!', isBase64Encoded = true }", "not base64");
    url_fails(&f, "{ statusCode = 200, body = print }", "neither a string nor a table");
    url_fails(&f, "{ statusCode = 200, body = ('x'):rep(6291557) }", "ResponseSizeTooLarge");
    url_fails(&f, "{ x = 0/0 }", "Runtime.MarshalError");
    invoke_url(&f, "", STR("{ statusCode = 200, body = ('x'):rep(6291556) }"));
    assert_int_equal(rec_str(buf_str(&f.answer), URL_BODY).n, PAYLOAD_MAX);
    fake_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_payload_2_0),
        cmocka_unit_test(answers_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
