/* Manifests: what is read, how short resources are written in full, which mistakes are named. */
#include "unit.h"

#include "svc/manifest.h"

static struct arena *arena;
static struct manifest m;
static struct err err;

static int parse(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    arena_free(arena);
    arena = arena_new(1 << 20);
    memset(&err, 0, sizeof err);
    int rc = manifest_parse(json, "us-east-1", arena, &m, &err);
    json_decref(json);
    return rc;
}

static void reads_every_member(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"name\":\"thumbs\",\"handler\":\"a.b\",\"memory_mb\":64,\"timeout_s\":10,"
              "\"environment\":{\"SIZE\":\"200\"},"
              "\"permissions\":[[\"s3:GetObject\",\"uploads/*\"],"
              "[[\"perilune:KvRead\",\"perilune:KvWrite\"],[\"thumbs\",\"shared-*\"]]],"
              "\"triggers\":[{\"s3\":\"uploads\",\"suffix\":\".jpg\"},{\"url\":true}]}"),
        0);
    assert_str(m.name, "thumbs");
    assert_str(m.handler, "a.b");
    assert_int_equal(m.memory_mb, 64);
    assert_int_equal(m.timeout_s, 10);
    assert_int_equal(m.env_count, 1);
    assert_str(m.env[0].name, "SIZE");
    assert_str(m.env[0].value, "200");
    assert_int_equal(m.granted_count, 5);
    assert_str(m.granted[0], "s3:GetObject on arn:aws:s3:::uploads/*");
    assert_str(m.granted[1],
               "perilune:KvRead on arn:aws:perilune:us-east-1:000000000000:kv/thumbs");
    assert_int_equal(m.namespace_count, 2); /* the pattern is no namespace */
    assert_str(m.namespaces[0], "thumbs");
    assert_true(m.url);
    assert_int_equal(m.trigger_count, 1);
    assert_str(m.triggers[0].bucket, "uploads");
    assert_str(m.triggers[0].trigger.id, "thumbs-1");
    assert_str(m.triggers[0].trigger.events[0], "s3:ObjectCreated:*");
    assert_str(m.triggers[0].trigger.suffix, ".jpg");
    assert_str(m.triggers[0].trigger.function_arn,
               "arn:aws:lambda:us-east-1:000000000000:function:thumbs");
}

static void policy_has_a_statement_per_action(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"name\":\"f\",\"permissions\":[[[\"s3:GetObject\",\"perilune:KvRead\"],"
              "\"x\"],[\"lambda:InvokeFunction\",\"g\"],[\"s3:ListBucket\",\"*\"]]}"),
        0);
    json_t *doc = json_loadb(m.role_policy.p, m.role_policy.n, 0, NULL);
    json_t *list = json_object_get(doc, "Statement");
    static const char *const resources[] = {
        "arn:aws:s3:::x", "arn:aws:perilune:us-east-1:000000000000:kv/x",
        "arn:aws:lambda:us-east-1:000000000000:function:g", "*"};
    assert_int_equal(json_array_size(list), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(json_string_value(json_array_get(
                                json_object_get(json_array_get(list, i), "Resource"), 0)),
                            resources[i]);
    json_decref(doc);
}

static void empty_lua_tables_are_empty_lists(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"name\":\"f\",\"permissions\":{},\"triggers\":{},\"environment\":[]}"), 0);
    assert_int_equal(m.role_policy.n, 0);
    assert_int_equal(m.timeout_s, 3);
    assert_str(m.handler, "handler.main");
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"7", "table"},
        {"{}", "no name"},
        {"{\"name\":3}", "'name'"},
        {"{\"name\":\"f\",\"permisions\":[]}", "permisions"},
        {"{\"name\":\"f\",\"timeout_s\":\"soon\"}", "timeout_s"},
        {"{\"name\":\"f\",\"timeout_s\":1.5}", "timeout_s"},
        {"{\"name\":\"f\",\"memory_mb\":-1}", "memory_mb"},
        {"{\"name\":\"f\",\"permissions\":[\"s3:GetObject\"]}", "permission 1"},
        {"{\"name\":\"f\",\"permissions\":[[\"s3:GetObject\"]]}", "permission 1"},
        {"{\"name\":\"f\",\"permissions\":[[\"GetObject\",\"x\"]]}", "GetObject"},
        {"{\"name\":\"f\",\"environment\":{\"A\":1}}", "'A'"},
        {"{\"name\":\"f\",\"triggers\":[{}]}", "trigger 1"},
        {"{\"name\":\"f\",\"triggers\":[{\"s3\":\"b\",\"sufix\":\"x\"}]}", "sufix"},
        {"{\"name\":\"f\",\"triggers\":[{\"s3\":\"b\",\"events\":[]}]}", "events"},
        {"{\"name\":\"f\",\"triggers\":[{\"url\":true,\"auth\":\"aws_iam\"}]}", "auth"},
        {"{\"name\":\"f\\u0000g\"}", "NUL"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(parse(cases[i].text), E_INVALID);
        if (!strstr(err.text, cases[i].word))
            fail_msg("%s: \"%s\" does not say %s", cases[i].text, err.text, cases[i].word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_member),
        cmocka_unit_test(policy_has_a_statement_per_action),
        cmocka_unit_test(empty_lua_tables_are_empty_lists),
        cmocka_unit_test(mistakes_are_named),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return rc;
}
