/* pool: its processes: which are kept and which go, what they cost at rest, and whose end is whose. */
#include "pool_help.h"
#include <sys/wait.h>

/* --- who stays ----------------------------------------------------------------------------------
 */

static void idle_ones_make_place(void **state)
{
    (void)state;
    struct fn *fn[4];
    struct pool_stats s;
    for (int i = 0; i < 4; i++) {
        fn[i] = fn_of("place", 3000);
        assert_string_equal(one(fn[i], "echo here").payload, "here");
        pool_stats(pool, &s);
        assert_true(s.runners <= 2);
    }
}

/* The pool's memory is what runners have held, not what they may; the longest idle goes first. */
static void memory_makes_place(void **state)
{
    (void)state;
    struct fn *fn[4];
    struct pool_stats s;
    pool->opts.memory = 20 << 20; /* three runners that have held 3 MiB, and two spares */
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 500 && pool->spare_count < pool->spares_wanted; k++)
            run_ms(10); /* they take their part of it */
        fn[i] = fn_of("memory", 3000);
        assert_string_equal(one(fn[i], "echo here").payload, "here");
    }
    pool_stats(pool, &s);
    assert_in_range(s.runners, 2, 3);
    assert_int_equal(one(fn[3], "echo x").init_us, 0);
    assert_true(one(fn[0], "echo x").init_us > 0);
    assert_true(pool->memory <= (20 << 20) + (8 << 20));
}

static int setup_short_idle(void **state)
{
    (void)state;
    open_pool(32, 100);
    return 0;
}

static void idle_ones_retire(void **state)
{
    (void)state;
    struct fn *fn = fn_of("idle", 3000);
    struct pool_stats s;
    struct runner *r;
    one(fn, "echo here");
    pool_stats(pool, &s);
    assert_int_equal(s.runners, 1);
    run_ms(400);
    pool_stats(pool, &s);
    assert_int_equal(s.runners, 0);
    assert_int_equal(s.spares, pool->spares_wanted);
    int alive = 0;
    for (r = pool->all; r; r = r->all_next)
        alive++;
    assert_int_equal(alive, pool->spares_wanted); /* it has really ended */
    assert_int_equal(s.kills, 0);                 /* by itself */
    assert_int_equal(fn->refs, 1);
}

static void fat_ones_are_not_kept(void **state)
{
    (void)state;
    struct fn *slim = fn_of("slim", 3000), *fat = fn_of("fat", 5000);
    struct pool_stats s;
    one(slim, "fat 10");
    one(fat, "fat 100"); /* its function may have 64 MiB */
    pool_stats(pool, &s);
    assert_int_equal(s.runners, 2);
    run_ms(1400);
    pool_stats(pool, &s);
    assert_int_equal(s.runners, 1);
    assert_int_equal(one(slim, "echo x").init_us, 0); /* the other stayed warm */
    assert_true(one(fat, "echo x").init_us > 0);
}

/* --- processes ----------------------------------------------------------------------------------
 */

static int turns;

static void count_turn(uv_prepare_t *h)
{
    (void)h;
    turns++;
}

static void idle_costs_nothing(void **state)
{
    (void)state;
    struct fn *fn = fn_of("rests", 3000);
    static uv_prepare_t prepare; /* until its close is over */
    one(fn, "echo x");
    run_ms(1300); /* the look at its memory is over */
    uv_prepare_init(&loop, &prepare);
    uv_prepare_start(&prepare, count_turn);
    turns = 0;
    run_ms(500);
    uv_close((uv_handle_t *)&prepare, NULL);
    assert_true(turns < 5);
}

static pid_t zygote_pid(void)
{
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)getpid(), (int)getpid());
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    return (pid_t)atoi(text);
}

static void group_signals_leave_runners_alone(void **state)
{
    (void)state;
    struct fn *fn = fn_of("term", 3000);
    struct ask a;
    one(fn, "echo warm");
    ask(&a, fn, "call 100");
    run_ms(20);
    static const int sigs[] = {SIGTERM, SIGINT, SIGHUP};
    for (int i = 0; i < 3; i++) {
        assert_true(zygote_pid() > 1);
        kill(zygote_pid(), sigs[i]);
        for (struct runner *r = pool->all; r; r = r->all_next)
            if (r->pid > 1)
                kill(r->pid, sigs[i]);
    }
    wait_for(&a, 1, 10);
    assert_string_equal(a.payload, "0 0");
    assert_string_equal(one(fn, "echo still").payload, "still");
}

/* In a process of its own, which ends with the zygote. */
static void core_ends_with_its_zygote(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        open_pool(4, 60000);
        one(fn_of("x", 3000), "echo x");
        kill(zygote_pid(), SIGKILL);
        run_ms(5000);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

static bool all_have_pids(void)
{
    for (struct runner *r = pool->all; r; r = r->all_next)
        if (r->pid <= 1)
            return false;
    return true;
}

/* And all that it started ends with the core, however that ends. */
static void runners_end_with_the_core(void **state)
{
    (void)state;
    int status, pipes[2];
    pid_t pids[64] = {0};
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        open_pool(4, 60000);
        one(fn_of("x", 3000), "echo x");
        for (int i = 0; i < 1000 && !(pool->all && all_have_pids()); i++)
            run_ms(10);
        int n = 0;
        pids[n++] = zygote_pid();
        for (struct runner *r = pool->all; r && n < 64; r = r->all_next)
            pids[n++] = r->pid;
        if (write(pipes[1], pids, sizeof pids) < 0)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(read(pipes[0], pids, sizeof pids), sizeof pids);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(pids[0] > 0 && pids[1] > 0 && pids[2] > 0);
    for (int i = 0, tries = 0; i < 64 && pids[i];)
        if (kill(pids[i], 0) && errno == ESRCH)
            i++;
        else if (tries++ < 200)
            usleep(10000);
        else
            fail_msg("process %d outlives the core", (int)pids[i]);
}

int main(int argc, char **argv)
{
    if (zygote_is(argc, argv))
        return pool_zygote(argc, argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        T_OF(two, idle_ones_make_place),
        T(memory_makes_place),
        cmocka_unit_test_setup_teardown(idle_ones_retire, setup_short_idle, teardown),
        T(fat_ones_are_not_kept),
        T(idle_costs_nothing),
        T(group_signals_leave_runners_alone),
        cmocka_unit_test(core_ends_with_its_zygote),
        cmocka_unit_test(runners_end_with_the_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
