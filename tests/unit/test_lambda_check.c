/* test_lambda_check: the table of constraints, with a few rows of ops.def and requests made of members:
 * what passes, what is told of each kind of failure, and all failures together. */
#include "api/lambda.h"

#include "base/json.h"
#include "unit.h"

#define ROW(name, pattern, resource)                                                               \
    {                                                                                              \
        "lambda", name, PROTO_REST_JSON, "POST", pattern, "", 200, BODY_JSON, 1000, "", resource,  \
            NULL                                                                                   \
    }
const struct op gate_ops[] = {
    ROW("CreateFunction", "/2015-03-31/functions", RES_ANY),
    ROW("UpdateFunctionConfiguration", "/2015-03-31/functions/{}/configuration", RES_FUNCTION),
    ROW("Invoke", "/2015-03-31/functions/{}/invocations", RES_FUNCTION),
    ROW("CreateAlias", "/2015-03-31/functions/{}/aliases", RES_FUNCTION),
    ROW("ListFunctions", "/2015-03-31/functions", RES_ANY),
    ROW("PutProvisionedConcurrencyConfig", "/2019-09-30/functions/{}/provisioned-concurrency",
        RES_FUNCTION),
    ROW("TagResource", "/2017-03-31/tags/{}", RES_FUNCTION),
};
const size_t gate_op_count = sizeof gate_ops / sizeof *gate_ops;
enum { CREATE, CONFIGURE, INVOKE, ALIAS, LIST, PROVISION, TAG };

static const char *query_name, *query_value, *header_name, *header_value;

struct str call_query(struct call *c, const char *name)
{
    (void)c;
    return query_name && strcmp(name, query_name) == 0 ? str_c(query_value) : (struct str){NULL, 0};
}

struct str call_header(const struct call *c, const char *name)
{
    (void)c;
    return header_name && strcmp(name, header_name) == 0 ? str_c(header_value)
                                                         : (struct str){NULL, 0};
}

static char text[1536];

/* What is told about a request; "" when nothing is wrong. */
static const char *told(int op, const char *param, const char *json)
{
    struct err err = {0};
    struct arena *a = arena_new(1 << 20);
    struct call c = {.op = &gate_ops[op], .arena = a};
    c.param[0] = str_c(param);
    c.json = json ? json_parse(str_c(json), NULL) : NULL;
    int rc = lambda_check(&c, &err);
    assert_int_equal(rc, err.text[0] ? E_VALIDATION : 0);
    snprintf(text, sizeof text, "%s", err.text);
    json_decref(c.json);
    arena_free(a);
    return text;
}

#define ONE "1 validation error detected: "
#define AT(value, member)                                                                          \
    "Value '" value "' at '" member "' failed to satisfy constraint: Member must "

static void good_ones(void **state)
{
    (void)state;
    static const char *const names[] = {"f",
                                        "f:$LATEST",
                                        "f:1",
                                        "f:live",
                                        "function:f",
                                        "000000000000:function:f:live",
                                        "arn:aws:lambda:us-east-1:000000000000:function:f",
                                        "a-b_C9"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(told(INVOKE, names[i], NULL), "");
    assert_string_equal(told(CONFIGURE, "f", "{}"), "");
    assert_string_equal(
        told(
            CONFIGURE, "f",
            "{\"Timeout\":900,\"MemorySize\":1,\"Description\":\"\",\"Environment\":{\"Variables\":"
            "{"
            "\"A\":\"\",\"A_b1\":\"x\"}},\"KMSKeyArn\":\"\",\"DeadLetterConfig\":{},\"Unknown\":7,"
            "\"EphemeralStorage\":{\"Size\":512},\"LoggingConfig\":{\"LogGroup\":\"/a.b-c_d#1\"}}"),
        "");
    assert_string_equal(
        told(CREATE, "",
             "{\"FunctionName\":\"f\",\"Role\":\"arn:aws:iam::000000000000:role/a/b\","
             "\"Code\":{},\"Architectures\":[\"arm64\"]}"),
        "");
}

static void each_kind(void **state)
{
    (void)state;
    assert_string_equal(told(CONFIGURE, "f", "{\"Timeout\":0}"),
                        ONE AT("0", "timeout") "have value greater than or equal to 1");
    assert_string_equal(told(CONFIGURE, "f", "{\"Timeout\":901}"),
                        ONE AT("901", "timeout") "have value less than or equal to 900");
    assert_string_equal(told(CONFIGURE, "f", "{\"TracingConfig\":{\"Mode\":\"x\"}}"),
                        ONE AT("x", "tracingConfig.mode") "satisfy enum value set: [PassThrough, "
                                                          "Active]");
    assert_string_equal(told(CONFIGURE, "f", "{\"Handler\":\"a b\"}"),
                        ONE AT("a b", "handler") "satisfy regular expression pattern: [^\\s]+");
    assert_string_equal(
        told(CONFIGURE, "f", "{\"EphemeralStorage\":{}}"), ONE
        "Value null at 'ephemeralStorage.size' failed to satisfy constraint: Member must not be "
        "null");
    assert_string_equal(
        told(ALIAS, "f",
             "{\"Name\":\"a\",\"FunctionVersion\":\"1\",\"RoutingConfig\":{"
             "\"AdditionalVersionWeights\":{\"2\":-0.1}}}"),
        ONE "Value '{2=-0.1}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
            "constraint: Map value must satisfy constraint: [Member must have value less than or "
            "equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be "
            "null]");
    assert_string_equal(
        told(TAG, "arn:aws:lambda:us-east-1:000000000000:function:f", "{\"Tags\":{\"\":\"x\"}}"),
        ONE
        "Value '{=x}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: "
        "[Member must have length less than or equal to 128, Member must have length greater "
        "than or equal to 1, Member must not be null]");
}

static void path_query_header(void **state)
{
    (void)state;
    assert_true(strstr(told(INVOKE, "a b", NULL), AT("a b", "functionName") "satisfy regular") !=
                NULL);
    query_name = "Qualifier";
    query_value = "a.b";
    header_name = "x-amz-log-type";
    header_value = "tail";
    assert_string_equal(
        told(INVOKE, "f", NULL),
        "2 validation errors detected: " AT(
            "a.b", "qualifier") "satisfy regular "
                                "expression pattern: (|[a-zA-Z0-9$_-]+); " AT(
                                    "tail", "logType") "satisfy "
                                                       "enum value set: [None, Tail]");
    header_name = NULL;
    query_value = ""; /* as if it were not there */
    assert_string_equal(told(INVOKE, "f", NULL), "");
    assert_true(strstr(told(PROVISION, "f", "{\"ProvisionedConcurrentExecutions\":1}"),
                       "Value null at 'qualifier'") != NULL);
    query_name = "MaxItems";
    static const char *const bad[] = {"0", "-1", "x", "1x", "10001", "99999999999999999999", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        query_value = bad[i];
        assert_true(strstr(told(LIST, "", NULL), "at 'maxItems'") != NULL);
    }
    query_value = "10000";
    assert_string_equal(told(LIST, "", NULL), "");
    query_name = NULL;
}

static void all_together(void **state)
{
    (void)state;
    assert_string_equal(
        told(CREATE, "", "{\"Timeout\":0,\"MemorySize\":10241}"),
        "5 validation errors detected: Value null at 'functionName' failed to satisfy constraint: "
        "Member must not be null; Value null at 'role' failed to satisfy constraint: Member must "
        "not "
        "be null; Value null at 'code' failed to satisfy constraint: Member must not be null; " AT(
            "0",
            "timeout") "have value greater than or equal to 1; " AT("10241",
                                                                    "memorySize") "have value less "
                                                                                  "than or equal "
                                                                                  "to 10240");
    struct buf b = BUF_INIT; /* long values are cut, long lists of failures too */
    buf_lit(&b, "{\"Description\":\"");
    for (int i = 0; i < 100000; i++)
        buf_addc(&b, 'x');
    buf_lit(&b, "\",\"Handler\":\"");
    for (int i = 0; i < 1000; i++)
        buf_lit(&b, " y");
    buf_lit(&b, "\"}");
    buf_addc(&b, 0);
    const char *got = told(CONFIGURE, "f", b.p);
    assert_true(strstr(got, "3 validation errors detected: ") == got && strlen(got) < 1500);
    buf_deinit(&b);
}

/* Of another type than the model's: for the one who reads the member. */
static void other_types(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"Timeout\":\"7\",\"Description\":7,\"Environment\":[],\"TracingConfig\":\"x\","
        "\"LoggingConfig\":{\"LogFormat\":[]}}",
        "{\"Environment\":{\"Variables\":[1,2]},\"Timeout\":null,\"DeadLetterConfig\":null}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_string_equal(told(CONFIGURE, "f", bodies[i]), "");
    assert_string_equal(told(ALIAS, "f",
                             "{\"Name\":\"a\",\"FunctionVersion\":\"1\",\"RoutingConfig\":{"
                             "\"AdditionalVersionWeights\":{\"2\":\"x\"}}}"),
                        "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),         cmocka_unit_test(each_kind),
        cmocka_unit_test(path_query_header), cmocka_unit_test(all_together),
        cmocka_unit_test(other_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
