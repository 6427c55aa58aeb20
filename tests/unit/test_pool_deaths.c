/* pool: deadlines, deaths, and every way of breaking the protocol. Each bad runner ends with one
 * defined error to its own caller while others are answered. */
#include "pool_help.h"

/* --- deadlines and deaths -----------------------------------------------------------------------
 */

static void timeouts_while_others_are_answered(void **state)
{
    (void)state;
    struct fn *bad = fn_of("bad", 200), *good = fn_of("good", 3000);
    static const char *ways[] = {"spin", "call 60000", "traceback", "late", "hostile stop"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct ask a[2];
        ask(&a[0], bad, ways[i]);
        ask(&a[1], good, "echo fine");
        wait_for(a, 2, 10);
        assert_string_equal(a[1].payload, "fine");
        assert_int_equal(a[0].rc, 0);
        assert_true(a[0].error);
        assert_string_equal(a[0].type, "Sandbox.Timedout");
        assert_non_null(strstr(a[0].payload, "Error: Task timed out after 0.20 seconds"));
        assert_true(a[0].ns >= 200000000);
        assert_int_equal(a[0].billed_ms, 200);
    }
    buf_addc(&fake_log, 0);
    assert_non_null(strstr(fake_log.p, "stack traceback: here"));
    assert_non_null(strstr(fake_log.p, "status timeout"));
    assert_int_equal(fake_open_calls, 0); /* the sleeping call was cancelled */
    assert_int_equal(fake_cancelled, 1);
}

static void deaths_are_attributed(void **state)
{
    (void)state;
    struct fn *fn = fn_of("dies", 3000);
    static const struct {
        const char *event, *type, *text;
    } deaths[] = {
        {"segv", "Runtime.ExitError", "signal: segmentation fault"},
        {"refused-segv", "Runtime.OutOfMemory", "memory limit of 64 MB exceeded"},
        {"exit 0", "Runtime.ExitError", "exited without providing a reason"},
        {"exit 3", "Runtime.ExitError", "exit status 3"},
        {"sys 57", "Runtime.ExitError", "signal: bad system call"},
        {"sys 41", "Runtime.ExitError", "signal: bad system call"},
        {"memory", "Runtime.OutOfMemory", "memory limit of 64 MB exceeded"},
        {"half", "Runtime.ExitError", "exited without providing a reason"},
    };
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
        struct ask a = one(fn, deaths[i].event);
        assert_int_equal(a.rc, 0);
        assert_true(a.error);
        assert_string_equal(a.type, deaths[i].type);
        assert_non_null(strstr(a.payload, deaths[i].text));
        assert_non_null(strstr(a.payload, a.id));
        a = one(fn, "echo next");
        assert_string_equal(a.payload, "next");
    }
    buf_addc(&fake_log, 0);
    assert_non_null(strstr(fake_log.p, "Sandbox violation"));
}

/* What a runner said before it died counts. */
static void last_words_count(void **state)
{
    (void)state;
    struct fn *fn = fn_of("last", 3000);
    struct ask a = one(fn, "reply-exit");
    assert_false(a.error);
    assert_string_equal(a.payload, "my last");
    assert_string_equal(one(fn, "echo next").payload, "next");
}

static void who_waits_in_a_dying_runner_is_answered(void **state)
{
    (void)state;
    static struct ask a[41];
    static const char *deaths[] = {"segv", "memory", "exit 1", "hostile garbage"};
    struct fn *fn = fn_of("crowd", 3000);
    for (size_t k = 0; k < 4; k++) {
        for (int i = 0; i < 41; i++)
            ask(&a[i], fn, i % 10 == 3 ? deaths[k] : "echo ok");
        wait_for(a, 41, 20);
        int errors = 0;
        for (int i = 0; i < 41; i++) {
            assert_int_equal(a[i].rc, 0);
            errors += a[i].error;
            if (k == 3)
                continue; /* garbage also hits replies that have not been read yet */
            assert_int_equal(a[i].error, i % 10 == 3);
            if (!a[i].error)
                assert_string_equal(a[i].payload, "ok");
        }
        assert_true(errors >= 4 && errors < 41);
    }
}

/* A runner whose whole life was over before anything of it was read. */
static void a_life_unheard_counts(void **state)
{
    (void)state;
    static struct ask a[6];
    for (int k = 0; k < 10; k++) {
        struct fn *fn = fn_of("short", 3000);
        for (int i = 0; i < 6; i++)
            ask(&a[i], fn, i == 3 ? "segv" : "echo ok");
        usleep(20000); /* the loop sleeps; the runners live and die */
        wait_for(a, 6, 10);
        for (int i = 0; i < 6; i++)
            assert_string_equal(a[i].error ? a[i].type : a[i].payload,
                                i == 3 ? "Runtime.ExitError" : "ok");
    }
}

static void init_phase(void **state)
{
    (void)state;
    struct fn *fn = fn_of("init", 3000);
    fn->handler = STR("init.call");
    struct ask a = one(fn, "echo up");
    assert_string_equal(a.payload, "up");
    struct fn *dies = fn_of("init2", 3000);
    dies->handler = STR("init.exit");
    a = one(dies, "echo up");
    assert_true(a.error);
    assert_string_equal(a.type, "Runtime.ExitError");
    assert_non_null(strstr(a.payload, "exit status 9"));
    /* several callers of one that dies in init: each gets its answer */
    struct ask many[5];
    for (int i = 0; i < 5; i++)
        ask(&many[i], dies, "echo up");
    wait_for(many, 5, 10);
    for (int i = 0; i < 5; i++)
        assert_string_equal(many[i].type, "Runtime.ExitError");
}

static void large_package(void **state)
{
    (void)state;
    struct fn *fn = fn_of("package", 3000);
    static struct fn_file files[] = {{{"handler.lua", sizeof "handler.lua" - 1}, 0, 200000},
                                     {{"big.bin", sizeof "big.bin" - 1}, 200000, 9000000},
                                     {{"small.lua", sizeof "small.lua" - 1}, 9200000, 100}};
    static char bytes[200000];
    fake_bytes = str_of(bytes, sizeof bytes);
    fn->files = files;
    fn->file_count = 3;
    assert_string_equal(one(fn, "echo loaded").payload, "loaded");
    fake_bytes = STR("");
}

/* --- runners that were taken over ---------------------------------------------------------------
 */

static void hostile_runners_are_retired(void **state)
{
    (void)state;
    struct fn *bad = fn_of("hostile", 2000), *good = fn_of("healthy", 3000);
    static const char *ways[] = {"garbage",   "head",        "length",      "type",
                                 "reply-id",  "reply-size",  "reply-short", "call-size",
                                 "call-sum",  "call-number", "call-rec",    "call-twice",
                                 "call-many", "chunk",       "chunk-long",  "ready",
                                 "credit",    "bells",       "shrink",      "positions"};
    one(good, "echo warm");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct ask a[2];
        char event[64];
        snprintf(event, sizeof event, "hostile %s", ways[i]);
        ask(&a[0], bad, event);
        ask(&a[1], good, "echo fine");
        wait_for(a, 2, 10);
        assert_string_equal(a[1].payload, "fine");
        assert_true(a[0].error);
        if (strcmp(a[0].type, "Runtime.ExitError"))
            fail_msg("%s: %s %s", ways[i], a[0].type, a[0].payload);
        assert_string_equal(one(bad, "echo again").payload, "again");
    }
    /* lies about what it has read or begun stop its own work only; the deadline ends it */
    static const char *lies[] = {"hostile tail", "hostile full-bell", "hostile entries"};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct ask a[3];
        ask(&a[0], bad, lies[i]);
        ask(&a[1], bad, "echo behind");
        ask(&a[2], good, "echo fine");
        wait_for(a, 3, 10);
        assert_string_equal(a[0].type, "Sandbox.Timedout");
        assert_true(a[1].rc == 0);
        assert_string_equal(a[2].payload, "fine");
        assert_true(a[2].ns < 1500000000);
        assert_string_equal(one(bad, "echo again").payload, "again");
        assert_int_equal(fake_open_calls, 0);
    }
}

int main(int argc, char **argv)
{
    if (zygote_is(argc, argv))
        return pool_zygote(argc, argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        T(timeouts_while_others_are_answered),
        T(deaths_are_attributed),
        T(last_words_count),
        T(who_waits_in_a_dying_runner_is_answered),
        T(a_life_unheard_counts),
        T(init_phase),
        T(large_package),
        T(hostile_runners_are_retired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
