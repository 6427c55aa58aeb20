/* fault: the table of faults, compiled here with faults on whatever the library was built with. */
#ifndef PERILUNE_FAULTS
#define PERILUNE_FAULTS
#endif
#include "base/fault.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../core/base/fault.c" /* NOLINT */
#include "unit.h"

static void test_counts(void **state)
{
    (void)state;
    fault_set("");
    assert_int_equal(FAULT(store_commit), 0);
    fault_set("store_commit EIO 2 3\n\n  blob_write ENOSPC\nother 7 0 1\n");
    static const int want[] = {0, 0, EIO, EIO, EIO, 0, 0};
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(FAULT(store_commit), want[i]);
    for (int i = 0; i < 5; i++)
        assert_int_equal(FAULT(blob_write), ENOSPC); /* for good */
    assert_int_equal(FAULT(other), 7);
    assert_int_equal(FAULT(other), 0);
    assert_int_equal(FAULT(blob_fsync), 0);
    fault_set("");
    assert_int_equal(FAULT(blob_write), 0);
}

static void write_control(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_control_file(void **state)
{
    char path[] = "/tmp/perilune-fault-XXXXXX";
    (void)state;
    close(mkstemp(path));
    setenv("PERILUNE_FAULT_FILE", path, 1);
    assert_int_equal(FAULT(store_commit), 0);
    write_control(path, "store_commit EIO\n");
    assert_int_equal(FAULT(store_commit), EIO);
    assert_int_equal(FAULT(store_commit), EIO);
    write_control(path, "store_commit ENOSPC 0 1\n");
    assert_int_equal(FAULT(store_commit), ENOSPC);
    assert_int_equal(FAULT(store_commit), 0); /* counted, not read again */
    unlink(path);
    assert_int_equal(FAULT(store_commit), 0);
    unsetenv("PERILUNE_FAULT_FILE");
}

static int child(const char *spec)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        fault_set(spec);
        (void)FAULT(here);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void test_kill_and_bad_lines(void **state)
{
    (void)state;
    assert_int_equal(child(""), 0);
    int killed = child("here KILL\n"), bad = child("here\n"), unknown = child("here EWHAT\n");
    assert_true(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL);
    assert_true(bad != 0 && unknown != 0); /* a fault that cannot happen is an error */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_control_file),
        cmocka_unit_test(test_kill_and_bad_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
