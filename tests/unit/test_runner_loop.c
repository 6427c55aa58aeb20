/* runner: a real runner process over real rings: load, invoke, errors with their lines, host calls,
 * memory, large payloads, logs. */
#include "fake_core.h"

__attribute__((unused)) static void invoke_json(struct fake_core *f, const char *event,
                                                const char *want)
{
    assert_true(fake_invoke(f, EVENT_JSON, str_c(event)));
    assert_str(buf_str(&f->answer), want);
    assert_int_equal(f->reply.error, 0);
}

static void answers_an_invocation(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f,
                  "local M = {}\n"
                  "local n = 0\n"
                  "function M.main(event, context)\n"
                  "  n = n + 1\n"
                  "  return { n = n, got = event.x, id = context.aws_request_id }\n"
                  "end\n"
                  "return M\n",
                  128);
    assert_int_equal(f.ready.ok, 1);
    assert_true(f.ready.memory_peak > 1000 && f.ready.memory_peak < 700 * 1000);
    for (int i = 1; i <= 3; i++) {
        assert_true(fake_invoke(&f, EVENT_JSON, STR("{\"x\":[1,{}]}")));
        char n[16];
        snprintf(n, sizeof n, "\"n\":%d", i);
        assert_has(buf_str(&f.answer), n);
        assert_has(buf_str(&f.answer), "\"got\":[1,{}]");
        assert_has(buf_str(&f.answer), "\"id\":\"11111111-2222-4333-8444-555555555555\"");
    }
    assert_true(f.reply.memory_peak > 1000);
    fake_stop(&f);
    assert_true(WIFEXITED(f.status) && WEXITSTATUS(f.status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_an_invocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
