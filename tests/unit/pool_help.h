/* pool_help: a pool of real runners in real jails, and callers that note the one answer they get. The
 * programs test_pool*.c are its runners' program too: what runs there is pool_runner.h. */
#ifndef POOL_HELP_H
#define POOL_HELP_H

#include "pool_fakes.h"
#include "pool_runner.h"

#include "base/clock.h"
#include "base/id.h"
#include "proc/zygote.h"
#include "svc/pool_impl.h"

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
static inline struct fn *fn_of(const char *name, uint32_t timeout_ms)
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

static inline void got(void *ctx, const struct invoke_result *r)
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

static inline void ask_more(struct ask *a, struct fn *fn, struct str event, bool nested, bool async)
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

static inline void ask(struct ask *a, struct fn *fn, const char *event)
{
    ask_more(a, fn, str_c(event), false, false);
}

static inline void late(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

static inline void timer_gone(uv_handle_t *h)
{
    free(h);
}

/* Runs the loop until all asks are done, or fails after some seconds. */
static inline void wait_for(struct ask *a, size_t n, uint64_t seconds)
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

static inline void run_ms(uint64_t ms)
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

static inline struct ask one(struct fn *fn, const char *event)
{
    static struct ask a;
    ask(&a, fn, event);
    wait_for(&a, 1, 20);
    return a;
}

static inline void count_metered(void *ctx, struct fn *fn, const struct invoke_result *r)
{
    (void)ctx, (void)fn, (void)r;
    metered++;
}

static inline void open_pool(uint32_t max_runners, uint32_t idle_ms)
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

static inline int setup(void **state)
{
    (void)state;
    open_pool(32, 60000);
    return 0;
}

static inline int teardown(void **state)
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

static inline int setup_two(void **state)
{
    (void)state;
    open_pool(2, 60000);
    return 0;
}

static inline int setup_four(void **state)
{
    (void)state;
    open_pool(4, 60000);
    return 0;
}

static inline int setup_one(void **state)
{
    (void)state;
    open_pool(1, 60000);
    return 0;
}

static inline int pool_zygote(int argc, char **argv)
{
    return zygote_main(argc, argv, &(struct zygote_program){.run = pool_runner});
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_OF(how_many, name) cmocka_unit_test_setup_teardown(name, setup_##how_many, teardown)

#endif
