/* outcome: every way a runner can end, in the words its caller reads. */
#include "svc/outcome.h"

#include <signal.h>

#include "unit.h"

static int by_signal(int sig)
{
    return sig;
}

static int by_exit(int code)
{
    return code << 8;
}

static void timeout_has_two_decimals(void **state)
{
    (void)state;
    struct outcome o;
    outcome_timeout(&o, 1000);
    assert_string_equal(o.type, "Sandbox.Timedout");
    assert_string_equal(o.status, "timeout");
    assert_string_equal(o.text, "Task timed out after 1.00 seconds");
    outcome_timeout(&o, 900000);
    assert_string_equal(o.text, "Task timed out after 900.00 seconds");
    outcome_timeout(&o, 2050);
    assert_string_equal(o.text, "Task timed out after 2.05 seconds");
}

static void memory_is_named(void **state)
{
    (void)state;
    struct outcome o;
    outcome_memory(&o, 128);
    assert_string_equal(o.type, "Runtime.OutOfMemory");
    assert_string_equal(o.text, "memory limit of 128 MB exceeded");
}

static void a_sigkill_not_ours_is_memory(void **state)
{
    (void)state;
    struct outcome o;
    outcome_exit(&o, by_signal(SIGKILL), false, 64);
    assert_string_equal(o.type, "Runtime.OutOfMemory");
    assert_false(o.violation);
}

static void a_crash_at_the_cap_is_memory(void **state)
{
    (void)state;
    static const int sigs[] = {SIGSEGV, SIGBUS, SIGABRT};
    for (size_t i = 0; i < 3; i++) {
        struct outcome o;
        outcome_exit(&o, by_signal(sigs[i]), true, 64);
        assert_string_equal(o.type, "Runtime.OutOfMemory");
        outcome_exit(&o, by_signal(sigs[i]), false, 64);
        assert_string_equal(o.type, "Runtime.ExitError");
        /* a core dump changes nothing */
        outcome_exit(&o, by_signal(sigs[i]) | 0x80, false, 64);
        assert_string_equal(o.type, "Runtime.ExitError");
    }
    struct outcome o;
    outcome_exit(&o, by_exit(1), true, 64);
    assert_string_equal(o.type, "Runtime.OutOfMemory");
    /* leaving the jail is never the memory's fault */
    outcome_exit(&o, by_signal(SIGSYS), true, 64);
    assert_string_equal(o.type, "Runtime.ExitError");
    assert_true(o.violation);
}

static void signals_are_named(void **state)
{
    (void)state;
    struct outcome o;
    outcome_exit(&o, by_signal(SIGSEGV), false, 64);
    assert_string_equal(o.text, "Runtime exited with error: signal: segmentation fault");
    outcome_exit(&o, by_signal(SIGSYS), false, 64);
    assert_string_equal(o.text, "Runtime exited with error: signal: bad system call");
    assert_true(o.violation);
    outcome_exit(&o, by_signal(SIGRTMIN + 3), false, 64);
    assert_non_null(strstr(o.text, "signal: 3"));
    outcome_exit(&o, by_exit(3), false, 64);
    assert_string_equal(o.text, "Runtime exited with error: exit status 3");
    outcome_exit(&o, by_exit(0), false, 64);
    assert_string_equal(o.text, "Runtime exited without providing a reason");
    outcome_broken(&o);
    assert_string_equal(o.text, "Runtime exited without providing a reason");
}

static void json_is_as_aws_writes_it(void **state)
{
    (void)state;
    struct outcome o;
    struct buf b = BUF_INIT;
    outcome_timeout(&o, 1000);
    outcome_json(&o, "11111111-2222-4333-8444-555555555555", &b);
    assert_str(buf_str(&b),
               "{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"RequestId: "
               "11111111-2222-4333-8444-555555555555 Error: Task timed out after 1.00 seconds\"}");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeout_has_two_decimals),
        cmocka_unit_test(memory_is_named),
        cmocka_unit_test(a_sigkill_not_ours_is_memory),
        cmocka_unit_test(a_crash_at_the_cap_is_memory),
        cmocka_unit_test(signals_are_named),
        cmocka_unit_test(json_is_as_aws_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
