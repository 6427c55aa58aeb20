/* pool: real runners in real jails, driven by events that say what to do: answers, logs, host calls,
 * and a version's life from its first run to the pool's end. */
#include "pool_help.h"

/* --- answers ------------------------------------------------------------------------------------
 */

static void answers(void **state)
{
    (void)state;
    struct fn *fn = fn_of("answers", 3000);
    struct ask a = one(fn, "echo hello");
    assert_int_equal(a.rc, 0);
    assert_false(a.error);
    assert_string_equal(a.payload, "hello");
    assert_true(a.init_us > 0);
    assert_int_equal(a.peak, 3 << 20);
    a = one(fn, "echo again");
    assert_string_equal(a.payload, "again");
    assert_int_equal(a.init_us, 0);
    assert_int_equal(metered, 2);
    a = one(fn, "error");
    assert_int_equal(a.rc, 0);
    assert_true(a.error);
    assert_string_equal(a.type, "OrderRejected");
    a = one(fn, "http");
    assert_int_equal(a.kind, REPLY_HTTP);
    struct pool_stats s;
    pool_stats(pool, &s);
    assert_int_equal(s.cold_starts, 1); /* all on one runner, the error too */
    assert_int_equal(s.invocations, 4);
    assert_int_equal(s.busy, 0);
}

static void log_of_a_run(void **state)
{
    (void)state;
    struct fn *fn = fn_of("logs", 3000);
    fn->handler = STR("init.log");
    struct ask a = one(fn, "log 2");
    struct buf want = BUF_INIT;
    const char *at = fake_log.p;
    buf_addc(&fake_log, 0);
    assert_non_null(strstr(at, "LINE 2  hello from init\n"));
    buf_printf(&want, "START %s $LATEST\n", a.id);
    at = strstr(at, want.p);
    assert_non_null(at);
    at = strstr(at, "lll\n");
    assert_non_null(at);
    at = strstr(at, " last line\n");
    assert_non_null(at);
    at = strstr(at, "END ");
    assert_non_null(at);
    at = strstr(at, "REPORT ");
    assert_non_null(at);
    assert_non_null(strstr(at, "init 1 status -"));
    buf_deinit(&want);
    /* the tail has all of it */
    assert_int_equal(strncmp(a.tail, "START RequestId: ", 17), 0);
    assert_non_null(strstr(a.tail, "\nEND RequestId: "));
    assert_non_null(strstr(a.tail, "\nREPORT "));
    a = one(fn, "log 20");
    assert_int_equal(strlen(a.tail), POOL_TAIL_MAX);
    assert_non_null(strstr(a.tail, "last line\nEND RequestId"));
}

static void log_is_bounded(void **state)
{
    (void)state;
    struct fn *fn = fn_of("floods", 20000);
    struct ask a = one(fn, "log 5000");
    assert_string_equal(a.payload, "logged");
    assert_true(fake_log.n < (1 << 20) + 200 * 1024);
    buf_addc(&fake_log, 0);
    char *cut = strstr(fake_log.p, " bytes of log output were cut");
    assert_non_null(cut);
    assert_null(strstr(cut + 30, "were cut"));
    assert_non_null(strstr(a.tail, "were cut"));
}

static void large_both_ways(void **state)
{
    (void)state;
    struct fn *fn = fn_of("large", 20000);
    struct ask a;
    static const size_t sizes[] = {1001, FRAME_BODY_MAX, 65536, 1 << 20, PAYLOAD_MAX};
    char *event = malloc(PAYLOAD_MAX);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        char want[64];
        uint64_t sum = 0;
        for (size_t i = 0; i < sizes[k]; i++) {
            event[i] = (char)(i * 7 + k);
            sum += (unsigned char)event[i] * (uint64_t)(i % 251 + 1);
        }
        snprintf(want, sizeof want, "%zu %llu", sizes[k], (unsigned long long)sum);
        ask_more(&a, fn, str_of(event, sizes[k]), false, false);
        wait_for(&a, 1, 20);
        assert_string_equal(a.payload, want);
        snprintf(want, sizeof want, "size %zu", sizes[k]);
        a = one(fn, want);
        assert_int_equal(a.size, sizes[k]);
        assert_int_equal(a.payload[0], 'x');
    }
    free(event);
    ask_more(&a, fn, str_of("", PAYLOAD_MAX + 1), false, false);
    assert_int_equal(a.rc, E_PAYLOAD_LIMIT);
}

/* Events that fill the work ring and stream behind it, taken back and given again on the way. */
static void many_large_events(void **state)
{
    (void)state;
    enum { N = 60 };
    static struct ask a[N];
    static char *events[N];
    struct fn *fn = fn_of("many", 20000);
    size_t sizes[N];
    for (int k = 0; k < N; k++) {
        sizes[k] = k % 3 == 0 ? 15000 : k % 3 == 1 ? 1001 + (size_t)k * 17 : 200000 + (size_t)k;
        events[k] = malloc(sizes[k]);
        for (size_t i = 0; i < sizes[k]; i++)
            events[k][i] = (char)(i * 3 + (size_t)k);
        ask_more(&a[k], fn, str_of(events[k], sizes[k]), false, false);
    }
    wait_for(a, N, 30);
    for (int k = 0; k < N; k++) {
        char want[64];
        uint64_t sum = 0;
        for (size_t i = 0; i < sizes[k]; i++)
            sum += (unsigned char)events[k][i] * (uint64_t)(i % 251 + 1);
        snprintf(want, sizeof want, "%zu %llu", sizes[k], (unsigned long long)sum);
        assert_string_equal(a[k].payload, want);
        free(events[k]);
    }
}

/* --- a version's life ----------------------------------------------------------------------------
 */

static void changed_function_runs_new_code(void **state)
{
    (void)state;
    struct fn *old = fn_of("changes", 3000), *new = fn_of("changes", 3000);
    struct ask a;
    struct pool_stats s;
    new->id = old->id;
    new->generation = 2;
    one(old, "echo old");
    ask(&a, old, "call 100");
    run_ms(20);
    fake_changed(fake_changed_ctx, STR("changes"));
    assert_string_equal(one(new, "echo new").payload, "new");
    wait_for(&a, 1, 10); /* the one in flight ends on the old */
    assert_string_equal(a.payload, "0 0");
    run_ms(50);
    pool_stats(pool, &s);
    assert_int_equal(s.runners, 1);
    assert_int_equal(old->refs, 1);
}

/* A change of a policy or an alias is none of the version's. */
static void what_is_said_keeps_runners(void **state)
{
    (void)state;
    struct fn *fn = fn_of("same", 3000);
    struct pool_stats before, after;
    one(fn, "echo x");
    pool_stats(pool, &before);
    fake_current = true;
    fake_changed(fake_changed_ctx, STR("same"));
    fake_current = false;
    one(fn, "echo x");
    pool_stats(pool, &after);
    assert_int_equal(after.cold_starts, before.cold_starts);
}

static void drain_waits(void **state)
{
    (void)state;
    struct fn *fn = fn_of("drain", 3000);
    struct ask a[2], late_one;
    bool drained = false;
    ask(&a[0], fn, "call 100");
    ask(&a[1], fn, "echo x");
    pool_drain(pool, (void (*)(void *))(void *)late, &(uv_timer_t){.data = &drained});
    assert_false(drained);
    ask(&late_one, fn, "echo late");
    assert_int_equal(late_one.rc, E_SHUTDOWN);
    wait_for(a, 2, 10);
    assert_true(drained);
}

static void close_answers_everybody(void **state)
{
    struct fn *fn = fn_of("close", 3000);
    static struct ask a[40];
    for (int i = 0; i < 40; i++)
        ask(&a[i], fn, "call 5000");
    run_ms(30);
    teardown(state);
    for (int i = 0; i < 40; i++) {
        assert_true(a[i].done);
        assert_int_equal(a[i].rc, E_SHUTDOWN);
    }
    assert_int_equal(fn->refs, 1);
}

static void sealed_ones_run_once_without_calls_or_log(void **state)
{
    (void)state;
    struct fn *fn = fn_of("sealed", 3000);
    static struct fn_file file = {{"handler.lua", 11}, 0, 6};
    fn->sealed = true;
    fn->inline_source = STR("return");
    fn->files = &file;
    fn->file_count = 1;
    struct ask a = one(fn, "call 1");
    assert_int_equal(atoi(a.payload), E_DENIED);
    a = one(fn, "log 3");
    assert_string_equal(a.payload, "logged");
    assert_true(a.init_us > 0);
    assert_int_equal(fake_log.n, 0);
    assert_string_equal(a.tail, "");
}

/* --- host calls ---------------------------------------------------------------------------------
 */

static void host_calls(void **state)
{
    (void)state;
    struct fn *fn = fn_of("calls", 20000);
    struct ask a = one(fn, "call 5");
    assert_string_equal(a.payload, "0 0");
    a = one(fn, "get 100");
    assert_string_equal(a.payload, "0 106");
    a = one(fn, "get 6000000"); /* in chunks, by credit */
    assert_string_equal(a.payload, "0 6000006");
    a = one(fn, "ended");
    assert_int_equal(atoi(a.payload), E_CONFLICT);
    a = one(fn, "leave 60");
    assert_string_equal(a.payload, "left");
    assert_int_equal(fake_cancelled, 60);
    assert_int_equal(fake_open_calls, 0);
    a = one(fn, "calls 900"); /* sixty-four results do not fit the ring at once */
    assert_string_equal(a.payload, "all");
    assert_string_equal(one(fn, "echo on").payload, "on");
    struct pool_stats s;
    pool_stats(pool, &s);
    assert_int_equal(s.cold_starts, 1);
}

/* Many that talk at once do not make a turn of the loop long. */
static void a_turn_has_its_measure(void **state)
{
    (void)state;
    enum { RUNNERS = 20 };
    struct ask a[RUNNERS];
    struct fn *fn[RUNNERS];
    int most = 0;
    for (int i = 0; i < RUNNERS; i++) {
        fn[i] = fn_of("talks", 9000);
        one(fn[i], "echo warm");
    }
    for (int i = 0; i < RUNNERS; i++)
        ask(&a[i], fn[i], "leave 60");
    uv_run(&loop, UV_RUN_NOWAIT); /* they are woken, and talk while nobody listens */
    usleep(300000);
    for (int turns_left = 20, begun = fake_begun; turns_left > 0;
         turns_left--, begun = fake_begun) {
        uv_run(&loop, UV_RUN_NOWAIT);
        most = fake_begun - begun > most ? fake_begun - begun : most;
    }
    wait_for(a, RUNNERS, 10);
    for (int i = 0; i < RUNNERS; i++)
        assert_string_equal(a[i].payload, "left");
    assert_in_range(most, 1, 2 * CHANNEL_FRAMES_OF_ALL); /* before and after the poll */
}

/* Twenty functions that each hold twelve MiB of arguments in long calls, as far as they may. */
static void arguments_of_all_are_bounded(void **state)
{
    (void)state;
    enum { N = 20, BYTES = 6 << 20 };
    static struct ask a[N + 1];
    char event[32];
    size_t most = 0;
    int begun = 0, refused = 0;
    snprintf(event, sizeof event, "fill %d", BYTES);
    for (int i = 0; i < N; i++)
        ask(&a[i], fn_of("greedy", 20000), event);
    for (uint64_t until = clock_mono_ns() + 1000000000; clock_mono_ns() < until;) {
        uv_run(&loop, UV_RUN_ONCE);
        most = pool->args_bytes > most ? pool->args_bytes : most;
    }
    assert_in_range(most, POOL_ARGS_ALL / 2, POOL_ARGS_ALL);
    a[N] = one(fn_of("small", 20000), "call 1"); /* beside them, without waiting for any */
    assert_string_equal(a[N].payload, "0 0");
    assert_true(a[N].ns < 1000000000);
    wait_for(a, N, 30);
    for (int i = 0; i < N; i++) {
        int first = 1, second = 1;
        assert_int_equal(sscanf(a[i].payload, "%d %d", &first, &second), 2);
        begun += (first == 0) + (second == 0);
        refused += (first == E_THROTTLED) + (second == E_THROTTLED);
    }
    assert_int_equal(begun + refused, 2 * N);
    assert_in_range(begun, 8, 2 * N - 1);
    assert_int_equal(pool->args_bytes, 0);
    /* and what a runner leaves behind that dies on the way */
    ask(&a[0], fn_of("dies", 200), event);
    run_ms(100);
    assert_in_range(pool->args_bytes, BYTES, 2 * BYTES + 1000);
    wait_for(a, 1, 20);
    run_ms(300);
    assert_int_equal(pool->args_bytes, 0);
}

/* Of one function that makes such calls, all runners together leave half to the others. */
static void arguments_of_a_function_leave_room(void **state)
{
    (void)state;
    enum { N = 12 };
    static struct ask a[N + 1];
    struct fn *greedy = fn_of("greedy", 20000);
    for (int i = 0; i < N; i++)
        ask(&a[i], greedy, "fill 6000000");
    run_ms(1000);
    assert_in_range(pool->args_bytes, 6000000, POOL_ARGS_ALL / 2 + 3000000 + 1000);
    a[N] = one(fn_of("decent", 20000), "fill 7000000");
    assert_string_equal(a[N].payload, "0 0");
    wait_for(a, N, 30);
    assert_int_equal(pool->args_bytes, 0);
}

int main(int argc, char **argv)
{
    if (zygote_is(argc, argv))
        return pool_zygote(argc, argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        T(answers),
        T(log_of_a_run),
        T(log_is_bounded),
        T(large_both_ways),
        T(many_large_events),
        T(what_is_said_keeps_runners),
        T(sealed_ones_run_once_without_calls_or_log),
        T(changed_function_runs_new_code),
        T(drain_waits),
        cmocka_unit_test_setup_teardown(close_answers_everybody, setup, NULL),
        T(host_calls),
        T(arguments_of_all_are_bounded),
        T(arguments_of_a_function_leave_room),
        T(a_turn_has_its_measure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
