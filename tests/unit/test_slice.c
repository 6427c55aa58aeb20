/* slice: niceness of another process, with and without the privilege to take it back. */
#include "proc/slice.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

enum { NOBODY = 65534 };

static pid_t pause_in_child(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* 0, or what is wrong: in a process that gives its privileges away. */
static int without_privilege(void)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_NICE, &none) || (geteuid() == 0 && setuid(NOBODY)))
        return 1;
    pid_t pid = pause_in_child();
    int before = slice_nice(pid), wrong = 0;
    slice_set(pid, true, slice_nicer(before));
    if (slice_nice(pid) != slice_nicer(before))
        wrong = 2;
    slice_set(pid, false, before);
    if (slice_nice(pid) != slice_nicer(before))
        wrong = 3;
    end(pid);
    return wrong;
}

static void a_smaller_share_stays_without_the_privilege(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(without_privilege());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_smaller_share_is_given_back(void **state)
{
    (void)state;
    struct rlimit r;
    if (geteuid() != 0 && (getrlimit(RLIMIT_NICE, &r) || r.rlim_cur < 20))
        skip();
    pid_t pid = pause_in_child();
    int before = slice_nice(pid);
    slice_set(pid, true, slice_nicer(before));
    assert_int_equal(slice_nice(pid), slice_nicer(before));
    slice_set(pid, false, before);
    assert_int_equal(slice_nice(pid), before);
    end(pid);
}

static void nobody_is_nicer_than_nicest(void **state)
{
    (void)state;
    assert_int_equal(slice_nicer(0), 10);
    assert_int_equal(slice_nicer(5), 15);
    assert_int_equal(slice_nicer(12), 19);
    assert_int_equal(slice_nicer(19), 19);
}

static void a_process_that_has_ended_is_no_failure(void **state)
{
    (void)state;
    pid_t pid = pause_in_child();
    end(pid);
    slice_set(pid, true, 5);
    slice_set(pid, false, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_smaller_share_stays_without_the_privilege),
        cmocka_unit_test(a_smaller_share_is_given_back),
        cmocka_unit_test(nobody_is_nicer_than_nicest),
        cmocka_unit_test(a_process_that_has_ended_is_no_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
