/* url_json: requests and answers of function URLs as JSON; what any runner and client may put in them. */
#include "unit.h"

#include "base/json.h"
#include "base/rec.h"
#include "proc/frame.h"
#include "svc/url_json.h"

static void put_pair(struct buf *b, uint16_t tag, const char *name, const char *value)
{
    size_t mark = rec_begin(b, tag);
    rec_put_str(b, 1, str_c(name));
    rec_put_str(b, 2, str_c(value));
    rec_end(b, mark);
}

static json_t *parsed(struct buf *b)
{
    json_t *o = json_parse(buf_str(b), NULL);
    assert_non_null(o);
    buf_deinit(b);
    return o;
}

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static void an_event_keeps_no_credentials(void **state)
{
    struct buf rec = BUF_INIT, out = BUF_INIT;
    (void)state;
    rec_put_str(&rec, URL_METHOD, STR("POST"));
    rec_put_str(&rec, URL_RAW_PATH, STR("/a"));
    rec_put_str(&rec, URL_RAW_QUERY, STR("x=1&x=2&%zz=%&=&y"));
    put_pair(&rec, URL_HEADER, "authorization", "Bearer top-secret");
    put_pair(&rec, URL_HEADER, "user-agent", "curl");
    put_pair(&rec, URL_HEADER, "x-latin", "caf\xE9");
    rec_put_str(&rec, URL_COOKIE, STR("sid=top-secret"));
    rec_put_str(&rec, URL_COOKIE, STR("bare"));
    rec_put_str(&rec, URL_BODY, str_of("\xFF\x00", 2));
    url_json_event(&out, buf_str(&rec), "id");
    assert_int_equal(str_find(buf_str(&out), STR("top-secret")), -1);
    json_t *o = parsed(&out), *headers = json_object_get(o, "headers"),
           *query = json_object_get(o, "queryStringParameters"),
           *context = json_object_get(o, "requestContext");
    assert_string_equal(text(headers, "authorization"), "(not kept)");
    assert_string_equal(text(headers, "x-latin"), "caf\xEF\xBF\xBD");
    assert_string_equal(text(query, "x"), "1,2");
    assert_string_equal(text(query, "%zz"), "%");
    assert_string_equal(text(query, "y"), "");
    assert_string_equal(text(o, "body"), "/wA=");
    assert_true(json_is_true(json_object_get(o, "isBase64Encoded")));
    assert_string_equal(text(json_object_get(context, "http"), "userAgent"), "curl");
    assert_string_equal(text(context, "requestId"), "id");
    json_decref(o);
    buf_deinit(&rec);
}

static void an_answer_is_cut_between_characters(void **state)
{
    struct buf rec = BUF_INIT, cut = BUF_INIT, out = BUF_INIT;
    (void)state;
    rec_put_u64(&rec, URL_STATUS, 404);
    put_pair(&rec, URL_HEADER, "x-kind", "made");
    rec_put_str(&rec, URL_BODY, STR("a\xC3\xA9\xC3\xA9"));
    url_json_cut(&cut, buf_str(&rec), 4);
    assert_true(rec_valid(buf_str(&cut)));
    url_json_answer(&out, buf_str(&cut));
    json_t *o = parsed(&out);
    assert_int_equal(json_integer_value(json_object_get(o, "statusCode")), 404);
    assert_string_equal(text(json_object_get(o, "headers"), "x-kind"), "made");
    assert_string_equal(text(o, "body"), "a\xC3\xA9");
    json_decref(o);
    buf_deinit(&cut);
    url_json_cut(&cut, buf_str(&rec), 0);
    url_json_answer(&out, buf_str(&cut));
    o = parsed(&out);
    assert_null(json_object_get(o, "body"));
    json_decref(o);
    buf_deinit(&cut);
    buf_deinit(&rec);
}

static void an_empty_record_is_an_event(void **state)
{
    struct buf out = BUF_INIT;
    (void)state;
    url_json_event(&out, STR(""), "id");
    json_t *o = parsed(&out);
    assert_string_equal(text(o, "version"), "2.0");
    assert_null(json_object_get(o, "cookies"));
    json_decref(o);
    url_json_answer(&out, STR(""));
    json_decref(parsed(&out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_keeps_no_credentials),
        cmocka_unit_test(an_answer_is_cut_between_characters),
        cmocka_unit_test(an_empty_record_is_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
