/* test_trigger: which keys and events a notification wants, which pairs S3 refuses, the record's
 * round trip, and the event document member by member. */
#include "svc/trigger.h"

#include "base/json.h"
#include "unit.h"

static struct trigger rule(const char *event, const char *prefix, const char *suffix)
{
    return (struct trigger){.id = STR("r"),
                            .function_arn = STR("arn:aws:lambda:us-east-1:000000000000:function:f"),
                            .events = {str_c(event)},
                            .event_count = 1,
                            .prefix = str_c(prefix),
                            .suffix = str_c(suffix)};
}

static bool wants(const char *pattern, const char *prefix, const char *suffix, const char *event,
                  const char *key)
{
    struct trigger t = rule(pattern, prefix, suffix);
    return trigger_matches(&t, str_c(event), str_c(key));
}

static void events(void **state)
{
    (void)state;
    assert_true(wants("s3:ObjectCreated:*", "", "", "ObjectCreated:Put", "k"));
    assert_true(wants("s3:ObjectCreated:*", "", "", "ObjectCreated:CompleteMultipartUpload", "k"));
    assert_true(wants("s3:ObjectCreated:Put", "", "", "ObjectCreated:Put", "k"));
    assert_true(wants("s3:ObjectRemoved:*", "", "", "ObjectRemoved:Delete", "k"));
    assert_false(wants("s3:ObjectCreated:Put", "", "", "ObjectCreated:Copy", "k"));
    assert_false(wants("s3:ObjectCreated:Put", "", "", "ObjectCreated:PutX", "k"));
    assert_false(wants("s3:ObjectCreated:*", "", "", "ObjectRemoved:Delete", "k"));
    assert_false(wants("s3:ObjectRemoved:*", "", "", "ObjectCreated:Put", "k"));
    struct trigger two = rule("s3:ObjectCreated:Copy", "", "");
    two.events[two.event_count++] = STR("s3:ObjectRemoved:Delete");
    assert_true(trigger_matches(&two, STR("ObjectRemoved:Delete"), STR("k")));
    assert_false(trigger_matches(&two, STR("ObjectCreated:Put"), STR("k")));
}

static void filters(void **state)
{
    (void)state;
    assert_true(wants("s3:ObjectCreated:*", "in/", ".jpg", "ObjectCreated:Put", "in/a.jpg"));
    assert_false(wants("s3:ObjectCreated:*", "in/", ".jpg", "ObjectCreated:Put", "in/a.jpeg"));
    assert_false(wants("s3:ObjectCreated:*", "in/", ".jpg", "ObjectCreated:Put", "out/a.jpg"));
    assert_false(wants("s3:ObjectCreated:*", "in/", "", "ObjectCreated:Put", "in"));
    assert_false(wants("s3:ObjectCreated:*", "", ".jpg", "ObjectCreated:Put", "jpg"));
    /* prefix and suffix may lie over each other */
    assert_true(wants("s3:ObjectCreated:*", "ab", "bc", "ObjectCreated:Put", "abc"));
    /* letter case counts */
    assert_false(wants("s3:ObjectCreated:*", "", ".jpg", "ObjectCreated:Put", "a.JPG"));
}

static bool meet(struct trigger a, struct trigger b)
{
    bool ab = trigger_overlaps(&a, &b);
    assert_int_equal(ab, trigger_overlaps(&b, &a));
    return ab;
}

static void overlaps(void **state)
{
    (void)state;
    const char *all = "s3:ObjectCreated:*", *put = "s3:ObjectCreated:Put";
    assert_true(meet(rule(all, "", ""), rule(put, "", "")));
    assert_true(meet(rule(put, "a", ""), rule(put, "ab", "")));
    assert_true(meet(rule(put, "", ".jpg"), rule(all, "x/", "")));
    assert_true(meet(rule(put, "", "g"), rule(put, "", ".jpg")));
    assert_false(meet(rule(put, "a/", ""), rule(put, "b/", "")));
    assert_false(meet(rule(put, "", ".jpg"), rule(put, "", ".png")));
    assert_false(meet(rule(put, "a/", ".jpg"), rule(put, "a/", ".png")));
    assert_false(meet(rule(put, "", ""), rule("s3:ObjectCreated:Copy", "", "")));
    assert_false(meet(rule(all, "", ""), rule("s3:ObjectRemoved:*", "", "")));
}

static void known_names(void **state)
{
    (void)state;
    assert_true(trigger_event_known(STR("s3:ObjectCreated:*")));
    assert_true(trigger_event_known(STR("s3:ObjectRemoved:DeleteMarkerCreated")));
    assert_false(trigger_event_known(STR("s3:ObjectCreated")));
    assert_false(trigger_event_known(STR("ObjectCreated:*")));
    assert_false(trigger_event_known(STR("s3:*")));
    assert_false(trigger_event_known(STR("")));
}

static void record_round_trip(void **state)
{
    (void)state;
    struct trigger t = rule("s3:ObjectCreated:*", "p/", ".s"), back;
    t.events[t.event_count++] = STR("s3:ObjectRemoved:Delete");
    struct buf b = BUF_INIT;
    trigger_encode(&b, &t);
    assert_true(trigger_decode(buf_str(&b), &back));
    assert_str(back.id, "r");
    assert_str(back.function_arn, "arn:aws:lambda:us-east-1:000000000000:function:f");
    assert_int_equal(back.event_count, 2);
    assert_str(back.events[1], "s3:ObjectRemoved:Delete");
    assert_str(back.prefix, "p/");
    assert_str(back.suffix, ".s");
    for (size_t n = 0; n < b.n; n++) /* a torn record is no trigger or one with fewer fields */
        if (trigger_decode(str_of(b.p, n), &back))
            assert_true(back.function_arn.n > 0);
    buf_deinit(&b);
}

static const char *text(const json_t *o, const char *a, const char *b, const char *c)
{
    for (const char *const *k = (const char *const[]){a, b, c, NULL}; *k; k++)
        o = json_object_get(o, *k);
    return json_string_value(o);
}

static json_t *event_of(const struct trigger *t, const struct bucket_event *e)
{
    struct buf b = BUF_INIT;
    trigger_event_json(&b, "eu-west-1", t, e);
    json_t *doc = json_parse(buf_str(&b), NULL);
    assert_non_null(doc);
    buf_deinit(&b);
    return doc;
}

static void event_document(void **state)
{
    (void)state;
    struct trigger t = rule("s3:ObjectCreated:*", "", "");
    t.id = STR("say \"hi\"");
    struct bucket_event e = {.name = "ObjectCreated:Put",
                             .bucket = STR("photos"),
                             .key = STR("a b/\xc3\xa9+&.jpg"),
                             .etag = STR("0123456789abcdef0123456789abcdef"),
                             .size = 5000000000,
                             .sequencer = 0x1A2B,
                             .time_ms = 1795692724123,
                             .request_id = "11111111-2222-4333-8444-555555555555",
                             .peer = "127.0.0.1",
                             .principal = "AWS:ROOT"};
    json_t *doc = event_of(&t, &e);
    json_t *records = json_object_get(doc, "Records");
    assert_int_equal(json_array_size(records), 1);
    json_t *r = json_array_get(records, 0), *s3 = json_object_get(r, "s3");
    assert_int_equal(json_object_size(r), 9);
    assert_string_equal(text(r, "eventVersion", NULL, NULL), "2.1");
    assert_string_equal(text(r, "eventSource", NULL, NULL), "aws:s3");
    assert_string_equal(text(r, "awsRegion", NULL, NULL), "eu-west-1");
    assert_string_equal(text(r, "eventTime", NULL, NULL), "2026-11-26T11:32:04.123Z");
    assert_string_equal(text(r, "eventName", NULL, NULL), "ObjectCreated:Put");
    assert_string_equal(text(r, "userIdentity", "principalId", NULL), "AWS:ROOT");
    assert_string_equal(text(r, "requestParameters", "sourceIPAddress", NULL), "127.0.0.1");
    assert_string_equal(text(r, "responseElements", "x-amz-request-id", NULL), e.request_id);
    assert_string_equal(text(r, "responseElements", "x-amz-id-2", NULL), TRIGGER_HOST_ID);
    assert_string_equal(text(s3, "s3SchemaVersion", NULL, NULL), "1.0");
    assert_string_equal(text(s3, "configurationId", NULL, NULL), "say \"hi\"");
    assert_string_equal(text(s3, "bucket", "name", NULL), "photos");
    assert_string_equal(text(s3, "bucket", "arn", NULL), "arn:aws:s3:::photos");
    assert_string_equal(text(s3, "bucket", "ownerIdentity", "principalId"), "000000000000");
    assert_string_equal(text(s3, "object", "key", NULL), "a+b/%C3%A9%2B%26.jpg");
    assert_string_equal(text(s3, "object", "eTag", NULL), "0123456789abcdef0123456789abcdef");
    assert_string_equal(text(s3, "object", "sequencer", NULL), "000000000000001A2B");
    assert_true(json_integer_value(json_object_get(json_object_get(s3, "object"), "size")) ==
                5000000000);
    json_decref(doc);
}

static void removal_document(void **state)
{
    (void)state;
    struct trigger t = rule("s3:ObjectRemoved:*", "", "");
    struct bucket_event e = {.name = "ObjectRemoved:Delete",
                             .bucket = STR("photos"),
                             .key = STR("k"),
                             .request_id = "r",
                             .peer = "::1",
                             .principal = "p"};
    json_t *doc = event_of(&t, &e);
    json_t *r = json_array_get(json_object_get(doc, "Records"), 0);
    json_t *object = json_object_get(json_object_get(r, "s3"), "object");
    assert_int_equal(json_object_size(object), 2);
    assert_non_null(json_object_get(object, "key"));
    assert_non_null(json_object_get(object, "sequencer"));
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),
        cmocka_unit_test(filters),
        cmocka_unit_test(overlaps),
        cmocka_unit_test(known_names),
        cmocka_unit_test(record_round_trip),
        cmocka_unit_test(event_document),
        cmocka_unit_test(removal_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
