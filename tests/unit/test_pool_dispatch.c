/* pool: who gets which runner, who waits, and who is refused. */
#include "pool_help.h"

/* --- dispatch -----------------------------------------------------------------------------------
 */

static void quick_ones_share_a_runner(void **state)
{
    (void)state;
    static struct ask a[300];
    struct fn *fn = fn_of("quick", 3000);
    struct pool_stats s;
    one(fn, "echo warm");
    for (int i = 0; i < 300; i++)
        ask(&a[i], fn, "echo quick");
    wait_for(a, 300, 20);
    for (int i = 0; i < 300; i++)
        assert_string_equal(a[i].payload, "quick");
    pool_stats(pool, &s);
    assert_true(s.cold_starts <= 32); /* a few, more when the machine is busy */
    assert_int_equal(s.waiting, 0);
    assert_int_equal(s.busy, 0);
}

/* Whoever stands behind a slow head gets another runner. */
static void slow_head_blocks_nobody(void **state)
{
    (void)state;
    struct ask a[12];
    struct fn *fn = fn_of("slow", 3000);
    struct pool_stats s;
    one(fn, "echo warm");
    for (int i = 0; i < 4; i++)
        ask(&a[i], fn, "call 1000");
    for (int i = 4; i < 12; i++)
        ask(&a[i], fn, "echo quick");
    wait_for(a + 4, 8, 10);
    for (int i = 0; i < 4; i++)
        assert_false(a[i].done);
    for (int i = 4; i < 12; i++)
        assert_string_equal(a[i].payload, "quick");
    pool_stats(pool, &s);
    assert_true(s.runners >= 5);
    wait_for(a, 4, 10);
    for (int i = 0; i < 4; i++)
        assert_string_equal(a[i].payload, "0 0");
}

static void queue_is_bounded_and_fair(void **state)
{
    (void)state;
    static struct ask a[1200], b;
    struct fn *busy = fn_of("busy", 3000), *other = fn_of("other", 3000);
    int throttled = 0;
    for (int i = 0; i < 1200; i++)
        ask(&a[i], busy, i < 2 ? "call 300" : "work 100");
    ask(&b, other, "echo other"); /* two runners at most, both taken */
    wait_for(&b, 1, 10);
    assert_string_equal(b.payload, "other");
    wait_for(a, 1200, 30);
    for (int i = 0; i < 1200; i++) {
        throttled += a[i].rc == E_THROTTLED;
        assert_true(a[i].rc == 0 || a[i].rc == E_THROTTLED);
    }
    assert_true(throttled > 0 && throttled < 200);
}

static void nested_and_async_never_queue(void **state)
{
    (void)state;
    struct ask a[6];
    struct fn *fn = fn_of("both", 3000);
    ask(&a[0], fn, "call 200");
    ask(&a[1], fn, "call 200");
    while (fake_open_calls < 2)
        uv_run(&loop, UV_RUN_ONCE);
    ask_more(&a[2], fn, STR("echo n"), true, false);
    assert_true(a[2].done); /* no third runner, no waiting */
    assert_int_equal(a[2].rc, E_THROTTLED);
    ask_more(&a[3], fn, STR("echo a"), false, true);
    assert_true(a[3].done);
    assert_int_equal(a[3].rc, E_THROTTLED);
    ask(&a[4], fn, "echo w"); /* an ordinary one waits */
    assert_false(a[4].done);
    wait_for(a, 5, 10);
    assert_string_equal(a[4].payload, "w");
    ask_more(&a[5], fn, STR("echo n"), true, false);
    wait_for(&a[5], 1, 10);
    assert_string_equal(a[5].payload, "n");
}

/* More nested calls than places wait for the runners that are being made, and no longer. */
static void nested_wait_for_new_runners_only(void **state)
{
    (void)state;
    enum { PLACES = 8, CALLS = 12 };
    static struct ask a[CALLS];
    struct fn *fn = fn_of("nested", 9000);
    int answered = 0, refused = 0;
    pool->opts.max_runners = PLACES;
    for (int i = 0; i < CALLS; i++)
        ask_more(&a[i], fn, STR("call 2000"), true, false);
    wait_for(a, CALLS, 20);
    for (int i = 0; i < CALLS; i++) {
        answered += a[i].rc == 0 && !a[i].error;
        refused += a[i].rc == E_THROTTLED;
    }
    assert_int_equal(answered, PLACES);
    assert_int_equal(refused, CALLS - PLACES);
}

/* What runs and what waits counts, over all versions of a function and whoever asks. */
static void reserved_places(void **state)
{
    (void)state;
    struct fn *fn = fn_of("reserved", 3000), *version = fn_of("reserved", 3000);
    struct fn *other = fn_of("other", 3000);
    struct ask a[6], b;
    version->id = fn->id;
    version->generation = 2;
    version->version = STR("1");
    fn->limited = version->limited = true;
    fn->reserved = version->reserved = 2;
    ask(&a[0], fn, "call 200");
    ask(&a[1], version, "call 200");
    ask(&a[2], fn, "echo x");
    ask_more(&a[3], version, STR("echo x"), false, true);
    ask_more(&a[4], fn, STR("echo x"), true, false);
    for (int i = 2; i < 5; i++) {
        assert_true(a[i].done && a[i].reserved);
        assert_int_equal(a[i].rc, E_THROTTLED);
    }
    b = one(other, "echo x"); /* not its concern */
    assert_int_equal(b.rc, 0);
    wait_for(a, 2, 5);
    assert_int_equal(a[0].rc | a[1].rc, 0);
    b = one(fn, "exit 3"); /* a place comes back after a death, too */
    assert_true(b.error && !b.reserved);
    ask(&a[0], fn, "echo x");
    ask(&a[1], version, "echo x");
    wait_for(a, 2, 5);
    assert_int_equal(a[0].rc | a[1].rc, 0);
    fn->reserved = 0;
    b = one(fn, "echo x");
    assert_true(b.rc == E_THROTTLED && b.reserved);
}

/* What is not reserved is for all the others together, whoever asks; evaluations of manifests are
 * none of it. */
static void account_limit(void **state)
{
    (void)state;
    struct fn *one_fn = fn_of("one", 3000), *two = fn_of("two", 3000), *kept = fn_of("kept", 3000);
    static struct fn_file file = {{"handler.lua", 11}, 0, 6};
    struct fn *sealed = fn_of("sealed", 3000);
    struct ask a[9], b;
    pool->opts.concurrency = 5;
    fake_reservations = 2;
    fake_changed(fake_changed_ctx, STR("kept"));
    kept->limited = true;
    kept->reserved = 2;
    ask(&a[0], one_fn, "call 200");
    ask(&a[1], one_fn, "call 200");
    ask(&a[2], two, "call 200");
    ask(&a[3], one_fn, "echo x");
    ask(&a[4], two, "echo x");
    ask_more(&a[5], two, STR("echo x"), true, false);
    ask_more(&a[6], one_fn, STR("echo x"), false, true);
    for (int i = 3; i < 7; i++) {
        assert_true(a[i].done && !a[i].reserved);
        assert_int_equal(a[i].rc, E_THROTTLED);
    }
    ask(&a[3], kept, "call 200"); /* its own two places are there, and no third */
    ask(&a[4], kept, "call 200");
    ask(&a[5], kept, "echo x");
    assert_true(a[5].done && a[5].reserved);
    sealed->sealed = true;
    sealed->inline_source = STR("return");
    sealed->files = &file;
    sealed->file_count = 1;
    assert_int_equal(one(sealed, "echo x").rc, 0);
    wait_for(a, 5, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(a[i].rc, 0);
    ask(&a[0], two, "exit 3"); /* a place comes back after a death, too */
    ask(&a[1], two, "echo x");
    ask(&a[2], one_fn, "echo x");
    wait_for(a, 3, 5);
    assert_int_equal(a[0].rc | a[1].rc | a[2].rc, 0);
    fake_reservations = 5; /* all of it: nothing is left for others */
    fake_changed(fake_changed_ctx, STR("kept"));
    b = one(two, "echo x");
    assert_true(b.rc == E_THROTTLED && !b.reserved);
    fake_reservations = 0;
}

int main(int argc, char **argv)
{
    if (zygote_is(argc, argv))
        return pool_zygote(argc, argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        T(quick_ones_share_a_runner),
        T(slow_head_blocks_nobody),
        T_OF(two, queue_is_bounded_and_fair),
        T_OF(two, nested_and_async_never_queue),
        T(nested_wait_for_new_runners_only),
        T(reserved_places),
        T(account_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
