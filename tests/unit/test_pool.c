/* pool: real runners in real jails, driven by events that say what to do: answers, deadlines,
 * deaths, waiting, growing, host calls, logs, and every way of breaking the protocol. Each bad
 * runner ends with one defined error to its own caller while others are answered. */
#include "pool_fakes.h"
#include "pool_runner.h"

#include "base/clock.h"
#include "base/id.h"
#include "proc/zygote.h"
#include "svc/pool_impl.h"
#include <sys/wait.h>

#include "unit.h"

static uv_loop_t loop;
static struct pool *pool;
static int metered;

struct ask {
    bool done;
    int rc, kind;
    bool error, failure, reserved;
    char payload[400], type[64];
    size_t size;
    uint64_t first_ns, ns, billed_ms, duration_us, peak, init_us;
    char tail[5000];
    char id[37];
};

/* Lives until the pool is closed, after the test. */
static struct fn *fn_of(const char *name, uint32_t timeout_ms)
{
    static uint64_t ids;
    static struct fn all[200];
    struct fn *fn = &all[ids % 200];
    *fn = (struct fn){.refs = 1,
                      .id = ++ids,
                      .generation = 1,
                      .name = str_c(name),
                      .version = STR("$LATEST"),
                      .arn = STR("arn:aws:lambda:us-east-1:000000000000:function:x"),
                      .role = STR(""),
                      .handler = STR("handler.main"),
                      .timeout_ms = timeout_ms,
                      .memory_mb = 64,
                      .log_group = STR("/aws/lambda/x")};
    return fn;
}

static void got(void *ctx, const struct invoke_result *r)
{
    struct ask *a = ctx;
    assert_false(a->done); /* exactly once */
    a->done = true;
    a->rc = r->rc;
    a->kind = r->kind;
    a->error = r->error;
    a->failure = r->platform_failure;
    a->reserved = r->reserved;
    a->size = r->payload.n;
    a->billed_ms = r->billed_ms;
    a->duration_us = r->duration_us;
    a->peak = r->memory_peak;
    a->init_us = r->init_us;
    a->ns = clock_mono_ns() - a->first_ns;
    snprintf(a->payload, sizeof a->payload, "%.*s", STR_FMT(r->payload));
    snprintf(a->type, sizeof a->type, "%.*s", STR_FMT(r->error_type));
    snprintf(a->tail, sizeof a->tail, "%.*s", STR_FMT(r->log_tail));
}

static void ask_more(struct ask *a, struct fn *fn, struct str event, bool nested, bool async)
{
    struct invoke_req req = {.fn = fn,
                             .event = event,
                             .client_context = STR(""),
                             .arn = fn->arn,
                             .attempt = 1,
                             .tail = true,
                             .nested = nested,
                             .asynchronous = async,
                             .source = "test",
                             .done = got,
                             .ctx = a};
    *a = (struct ask){.first_ns = clock_mono_ns()};
    id_uuid(req.request_id);
    memcpy(a->id, req.request_id, sizeof a->id);
    invoke(pool, &req);
}

static void ask(struct ask *a, struct fn *fn, const char *event)
{
    ask_more(a, fn, str_c(event), false, false);
}

static void late(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

static void timer_gone(uv_handle_t *h)
{
    free(h);
}

/* Runs the loop until all asks are done, or fails after some seconds. */
static void wait_for(struct ask *a, size_t n, uint64_t seconds)
{
    bool over = false;
    uv_timer_t *t = malloc(sizeof *t);
    uv_timer_init(&loop, t);
    t->data = &over;
    uv_timer_start(t, late, seconds * 1000, 0);
    for (size_t i = 0; i < n && !over;)
        if (a[i].done)
            i++;
        else
            uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)t, timer_gone);
    assert_false(over);
}

static void run_ms(uint64_t ms)
{
    bool over = false;
    uv_timer_t *t = malloc(sizeof *t);
    uv_timer_init(&loop, t);
    t->data = &over;
    uv_timer_start(t, late, ms, 0);
    while (!over)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)t, timer_gone);
}

static struct ask one(struct fn *fn, const char *event)
{
    static struct ask a;
    ask(&a, fn, event);
    wait_for(&a, 1, 20);
    return a;
}

static void count_metered(void *ctx, struct fn *fn, const struct invoke_result *r)
{
    (void)ctx, (void)fn, (void)r;
    metered++;
}

static void open_pool(uint32_t max_runners, uint32_t idle_ms)
{
    struct err err = {0};
    struct pool_opts o = {.loop = &loop,
                          .functions = (struct functions *)&loop, /* the fakes look at none */
                          .region = "us-east-1",
                          .max_runners = max_runners,
                          .memory = 1ull << 30,
                          .idle_timeout_ms = idle_ms,
                          .jit = true,
                          .hostcall = fake_hostcall,
                          .hostcall_ctx = &loop,
                          .metered = count_metered};
    uv_loop_init(&loop);
    metered = fake_cancelled = 0;
    if (pool_open(&o, &pool, &err))
        fail_msg("pool_open: %s", err.text);
}

static int setup(void **state)
{
    (void)state;
    open_pool(32, 60000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pool_close(pool);
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(fake_open_calls, 0);
    assert_int_equal(fake_streams, 0);
    assert_int_equal(uv_loop_close(&loop), 0); /* no handle is left */
    buf_deinit(&fake_log);
    return 0;
}

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

static int setup_two(void **state)
{
    (void)state;
    open_pool(2, 60000);
    return 0;
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

/* --- shares -------------------------------------------------------------------------------------
 */

/* Callers who ask again as soon as they are answered, until told to stop. */
struct crowd {
    struct fn *fn;
    const char *event;
    int answered, refused, asking;
    bool stop;
};

static void ask_again(void *ctx, const struct invoke_result *r);

static void crowd_ask(struct crowd *c)
{
    struct invoke_req req = {.fn = c->fn,
                             .event = str_c(c->event),
                             .client_context = STR(""),
                             .arn = c->fn->arn,
                             .attempt = 1,
                             .source = "test",
                             .done = ask_again,
                             .ctx = c};
    id_uuid(req.request_id);
    c->asking++;
    invoke(pool, &req);
}

static void ask_again(void *ctx, const struct invoke_result *r)
{
    struct crowd *c = ctx;
    c->asking--;
    c->answered += r->rc == 0;
    c->refused += r->rc != 0;
    if (!c->stop && r->rc != E_SHUTDOWN)
        crowd_ask(c);
}

static void crowd_come(struct crowd *c, int many)
{
    for (int i = 0; i < many; i++)
        crowd_ask(c);
}

/* Until as many more have been answered; not for ever. */
static void crowd_wait(const struct crowd *c, int answers)
{
    const uint64_t end = clock_mono_ns() + 15000000000u;
    for (answers += c->answered; c->answered < answers && clock_mono_ns() < end;)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(c->answered >= answers);
}

static void crowd_go(struct crowd *c)
{
    for (c->stop = true; c->asking;)
        uv_run(&loop, UV_RUN_ONCE);
}

/* One function's callers hold all runners and would take every place that becomes free; those of
 * another come through all the same, one at a time or as many. */
static void a_crowd_starves_nobody(void **state)
{
    (void)state;
    static struct crowd many, few, slow; /* those of a test that fails are still called */
    many = (struct crowd){.fn = fn_of("many", 3000), .event = "call 20"};
    few = (struct crowd){.fn = fn_of("few", 3000), .event = "call 20"};
    slow = (struct crowd){.fn = fn_of("slow", 3000), .event = "call 2000"};
    struct pool_stats s;
    crowd_come(&many, 40);
    run_ms(200);
    assert_string_equal(one(fn_of("once", 3000), "echo hello").payload, "hello");
    crowd_come(&few, 1);
    crowd_wait(&few, 3);
    crowd_come(&few, 39);
    crowd_wait(&few, 10);
    many.answered = few.answered = 0;
    crowd_wait(&few, 25);
    pool_stats(pool, &s);
    assert_true(s.runners <= pool->opts.max_runners);
    if (few.answered * 4 < many.answered || many.answered * 4 < few.answered)
        fail_msg("%d answers and %d", many.answered, few.answered);
    crowd_come(&slow, 1); /* gets its place, too */
    slow.stop = true;
    run_ms(1000);
    pool_stats(pool, &s);
    crowd_go(&slow);
    assert_int_equal(many.refused + few.refused + slow.refused, 0);
    crowd_go(&many);
    crowd_go(&few);
}

static struct fn *version_of(const struct fn *fn, uint64_t number)
{
    static char names[16][8];
    struct fn *v = fn_of("versions", 3000);
    v->id = fn->id;
    v->generation = number + 1;
    snprintf(names[number], sizeof names[number], "%d", (int)number);
    v->version = str_c(names[number]);
    return v;
}

/* However many versions of it are asked for, a function gets one function's part. */
static void shares_are_of_functions(void **state)
{
    (void)state;
    enum { VERSIONS = 8 };
    static struct crowd many[VERSIONS], other;
    struct fn *fn = fn_of("versions", 3000);
    int theirs = 0;
    for (uint64_t i = 0; i < VERSIONS; i++) {
        many[i] = (struct crowd){.fn = version_of(fn, i), .event = "call 20"};
        crowd_come(&many[i], 6);
    }
    other = (struct crowd){.fn = fn_of("other", 3000), .event = "call 20"};
    crowd_come(&other, 6);
    crowd_wait(&other, 10);
    for (int i = 0; i < VERSIONS; i++)
        many[i].answered = 0;
    other.answered = 0;
    crowd_wait(&other, 40);
    for (int i = 0; i < VERSIONS; i++)
        theirs += many[i].answered;
    if (theirs > 3 * other.answered || other.answered > 3 * theirs)
        fail_msg("%d answers of %d versions, %d of the other", theirs, VERSIONS, other.answered);
    for (int i = 0; i < VERSIONS; i++)
        assert_true(many[i].answered > 0);
    for (int i = 0; i < VERSIONS; i++)
        crowd_go(&many[i]);
    crowd_go(&other);
}

/* Nor does a version's crowd keep the function's places from a sibling. */
static void a_crowd_starves_no_sibling(void **state)
{
    (void)state;
    static struct crowd many, few;
    struct fn *fn = fn_of("versions", 3000);
    many = (struct crowd){.fn = version_of(fn, 1), .event = "call 20"};
    few = (struct crowd){.fn = version_of(fn, 2), .event = "call 20"};
    crowd_come(&many, 40);
    run_ms(200);
    crowd_come(&few, 1);
    crowd_wait(&few, 5);
    assert_int_equal(many.refused + few.refused, 0);
    crowd_go(&many);
    crowd_go(&few);
}

/* All runners but one are in long runs: the one that ends its run first makes the place. */
static void long_runs_hold_no_share_back(void **state)
{
    (void)state;
    struct fn *busy = fn_of("busy", 9000);
    static struct crowd quick;
    static struct ask slow[3], other;
    quick = (struct crowd){.fn = busy, .event = "call 20"};
    crowd_come(&quick, 8);
    for (int i = 0; i < 3; i++)
        ask(&slow[i], busy, "call 3000");
    run_ms(300);
    ask(&other, fn_of("other", 3000), "echo hello");
    wait_for(&other, 1, 2);
    assert_string_equal(other.payload, "hello");
    crowd_go(&quick);
    wait_for(slow, 3, 9);
}

static int setup_four(void **state)
{
    (void)state;
    open_pool(4, 60000);
    return 0;
}

static int setup_one(void **state)
{
    (void)state;
    open_pool(1, 60000);
    return 0;
}

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
        return zygote_main(argc, argv, &(struct zygote_program){.run = pool_runner});
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(answers),
        T(log_of_a_run),
        T(log_is_bounded),
        T(large_both_ways),
        T(many_large_events),
        T(timeouts_while_others_are_answered),
        T(deaths_are_attributed),
        T(last_words_count),
        T(who_waits_in_a_dying_runner_is_answered),
        T(a_life_unheard_counts),
        T(init_phase),
        T(large_package),
        T(quick_ones_share_a_runner),
        T(slow_head_blocks_nobody),
        cmocka_unit_test_setup_teardown(queue_is_bounded_and_fair, setup_two, teardown),
        cmocka_unit_test_setup_teardown(nested_and_async_never_queue, setup_two, teardown),
        T(nested_wait_for_new_runners_only),
        T(reserved_places),
        T(account_limit),
        T(what_is_said_keeps_runners),
        cmocka_unit_test_setup_teardown(a_crowd_starves_nobody, setup_four, teardown),
        cmocka_unit_test_setup_teardown(a_crowd_starves_nobody, setup_one, teardown),
        cmocka_unit_test_setup_teardown(shares_are_of_functions, setup_four, teardown),
        cmocka_unit_test_setup_teardown(shares_are_of_functions, setup_one, teardown),
        cmocka_unit_test_setup_teardown(a_crowd_starves_no_sibling, setup_four, teardown),
        cmocka_unit_test_setup_teardown(a_crowd_starves_no_sibling, setup_one, teardown),
        cmocka_unit_test_setup_teardown(long_runs_hold_no_share_back, setup_four, teardown),
        cmocka_unit_test_setup_teardown(idle_ones_make_place, setup_two, teardown),
        T(memory_makes_place),
        cmocka_unit_test_setup_teardown(idle_ones_retire, setup_short_idle, teardown),
        T(fat_ones_are_not_kept),
        T(sealed_ones_run_once_without_calls_or_log),
        T(idle_costs_nothing),
        T(group_signals_leave_runners_alone),
        cmocka_unit_test(core_ends_with_its_zygote),
        cmocka_unit_test(runners_end_with_the_core),
        T(changed_function_runs_new_code),
        T(drain_waits),
        cmocka_unit_test_setup_teardown(close_answers_everybody, setup, NULL),
        T(host_calls),
        T(a_turn_has_its_measure),
        T(hostile_runners_are_retired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
