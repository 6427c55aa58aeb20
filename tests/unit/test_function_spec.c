/* test_function_spec: limits and patterns of a function's settings, at each side of each edge. */
#include "svc/function.h"

#include "unit.h"

#define ROLE "arn:aws:iam::000000000000:role/r"

static struct fn_spec good(void)
{
    return (struct fn_spec){.name = STR("thumbs"),
                            .runtime = STR("lua"),
                            .role = STR(ROLE),
                            .handler = STR("handler.main")};
}

static void want(const struct fn_spec *s, bool create, int rc, const char *word)
{
    struct err err = {0};
    int got = fn_spec_check(s, create, &err);
    if (got != rc || (word && !strstr(err.text, word)))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, err.text, rc, word ? word : "");
}

static void names(void **state)
{
    (void)state;
    struct fn_spec s = good();
    char n[66];
    memset(n, 'n', sizeof n);
    want(&s, true, 0, NULL);
    s.name = str_of(n, 64);
    want(&s, true, 0, NULL);
    s.name = str_of(n, 65);
    want(&s, true, E_VALIDATION, "length less than or equal to 64");
    static const char *const bad[] = {"", "a b", "a.b", "a/b", "a:b", "caf\xc3\xa9", "$LATEST"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        s.name = str_c(bad[i]);
        if (!s.name.p)
            s.name = STR("");
        want(&s, true, E_VALIDATION,
             "at 'functionName' failed to satisfy constraint: Member must satisfy regular "
             "expression pattern: ");
    }
    s.name = STR("a\0b");
    want(&s, true, E_VALIDATION, "functionName");
    s.name = (struct str){NULL, 0};
    want(&s, true, E_VALIDATION, "Value null at 'functionName'");
}

static void runtimes(void **state)
{
    (void)state;
    struct fn_spec s = good();
    static const char *const yes[] = {"lua", "luajit", "lua5.1", "provided", "provided.al2023"};
    static const char *const no[] = {"python3.12", "nodejs20.x", "Lua", "lua5.4", "", "provided;"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        s.runtime = str_c(yes[i]);
        want(&s, true, 0, NULL);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        s.runtime = str_of(no[i], strlen(no[i]));
        want(&s, true, E_INVALID, "lua, luajit, lua5.1, provided*");
    }
    s.runtime = (struct str){NULL, 0};
    want(&s, true, E_INVALID, "Runtime and Handler are mandatory");
    want(&s, false, 0, NULL);
}

static void handlers(void **state)
{
    (void)state;
    struct fn_spec s = good();
    static const char *const yes[] = {"handler.main", "src/app.run", "a.b.c"};
    static const char *const form[] = {"handler", ".main", "handler.", "src/.main", ""};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        s.handler = str_c(yes[i]);
        want(&s, true, 0, NULL);
    }
    for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
        s.handler = str_of(form[i], strlen(form[i]));
        want(&s, true, E_INVALID, "file.function");
    }
    s.handler = STR("a b.main");
    want(&s, true, E_VALIDATION, "'handler'");
    char n[129];
    memset(n, 'n', sizeof n);
    n[4] = '.';
    s.handler = str_of(n, 128);
    want(&s, true, 0, NULL);
    s.handler = str_of(n, 129);
    want(&s, true, E_VALIDATION, "length less than or equal to 128");
}

static void numbers(void **state)
{
    (void)state;
    struct fn_spec s = good();
    s.timeout_s = 900;
    s.memory_mb = 10240;
    want(&s, true, 0, NULL);
    s.memory_mb = 1;
    s.timeout_s = 1;
    want(&s, true, 0, NULL);
    s.timeout_s = 901;
    want(&s, true, E_VALIDATION,
         "Value '901' at 'timeout' failed to satisfy constraint: Member "
         "must have value less than or equal to 900");
    s.timeout_s = 1;
    s.memory_mb = 10241;
    want(&s, true, E_VALIDATION, "Value '10241' at 'memorySize'");
}

static void roles(void **state)
{
    (void)state;
    struct fn_spec s = good();
    static const char *const bad[] = {"r",
                                      "arn:aws:iam::12:role/r",
                                      "arn:aws:iam::000000000000:r",
                                      "arn:aws:iam::000000000000:user/r",
                                      "arn:aws:s3:::000000000000:role/r",
                                      "arn:aws:iam::00000000000x:role/ "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        s.role = str_c(bad[i]);
        want(&s, true, E_VALIDATION, "'role'");
    }
    s.role = STR("arn:aws:iam::000000000000:role/service-role/thumbs@x");
    want(&s, true, 0, NULL);
    s.role = (struct str){NULL, 0};
    want(&s, true, E_VALIDATION, "Value null at 'role'");
}

static void environment(void **state)
{
    (void)state;
    struct fn_spec s = good();
    char big[4097];
    memset(big, 'v', sizeof big);
    struct fn_env e[2] = {{STR("KEY"), str_of(big, 4093)}, {STR("B2"), STR("")}};
    s.env = e;
    s.env_count = 1;
    s.env_set = true;
    want(&s, true, 0, NULL);
    e[0].value.n = 4094;
    want(&s, true, E_INVALID, "4KB");
    e[0].value.n = 4091;
    s.env_count = 2;
    want(&s, true, 0, NULL);
    e[1].value = STR("x");
    want(&s, true, E_INVALID, "4KB");
    e[0].value = STR("");
    static const char *const kept[] = {"AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "_HANDLER",
                                       "AWS_SECRET_ACCESS_KEY", "LAMBDA_TASK_ROOT"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        e[1].name = str_c(kept[i]);
        want(&s, true, E_INVALID, "Reserved keys used in this request: ");
    }
    static const char *const bad[] = {"1A", "A-B", "_AB", "A=B", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e[1].name = str_of(bad[i], strlen(bad[i]));
        want(&s, true, E_VALIDATION, "[a-zA-Z]([a-zA-Z0-9_])+");
    }
}

static void others(void **state)
{
    (void)state;
    struct fn_spec s = good();
    char text[257];
    memset(text, 't', sizeof text);
    s.description = str_of(text, 256);
    s.log_format = STR("JSON");
    want(&s, true, 0, NULL);
    s.description.n = 257;
    want(&s, true, E_VALIDATION, "'description'");
    s.description.n = 0;
    s.log_format = STR("XML");
    want(&s, true, E_VALIDATION, "logFormat");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),   cmocka_unit_test(runtimes), cmocka_unit_test(handlers),
        cmocka_unit_test(numbers), cmocka_unit_test(roles),    cmocka_unit_test(environment),
        cmocka_unit_test(others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
