/* queue_help: a queue over a real store, with a pretended pool, functions and logs.
 *
 * Time is moved by raising the floor of store time: what would wait a minute is due at once. A
 * crash is a queue that is closed before it could store what became of its events. */
#ifndef QUEUE_HELP_H
#define QUEUE_HELP_H

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "log_fake.h"
#include "store/key.h"
#include "store_help.h"
#include "svc/ledger.h"
#include "svc/queue_lane.h"
#include "target_help.h"

enum { CALLS = 4000 };

/* --- what the queue is given -------------------------------------------------------------------
 */

static enum { SUCCEED, FAIL, PLATFORM, THROTTLE, HOLD } mode;

static struct called {
    uint64_t function_id;
    char request_id[37], event[64], arn[128], source[16];
    uint32_t attempt;
    struct invoke_req req; /* while held */
    bool held;
} calls[CALLS];
static size_t call_count, running_now, running_most;
static const char *hold_only; /* function that is held; NULL: all, in HOLD */

static struct fn fns[4]; /* ids 1.. ; "f1" "f2" … */
static bool fn_gone[4];

int function_get(struct functions *f, struct str name, struct str qualifier, struct fn **out,
                 struct err *err)
{
    (void)f;
    (void)qualifier;
    for (size_t i = 0; i < 4; i++)
        if (str_eq(fns[i].name, name) && !fn_gone[i]) {
            fns[i].refs++;
            *out = &fns[i];
            return 0;
        }
    return err_set(err, E_NOT_FOUND, "Function not found: %.*s", STR_FMT(name));
}

bool function_exists(struct store_txn *t, struct str name)
{
    (void)t;
    (void)name;
    return true;
}

void fn_ref(struct fn *fn)
{
    fn->refs++;
}

void fn_unref(struct fn *fn)
{
    assert_true(fn->refs > 0);
    fn->refs--;
}

static inline void answer(const struct invoke_req *req)
{
    struct invoke_result r = {.payload = STR("null"), .error_type = STR("")};
    if (mode == FAIL) {
        r.error = true;
        r.error_type = STR("Sandbox.Timedout");
        r.payload = STR("{\"errorMessage\":\"too slow\"}");
    }
    r.platform_failure = r.error = mode == PLATFORM || r.error;
    if (mode == PLATFORM)
        r.rc = 0;
    else
        r.platform_failure = false;
    if (mode == THROTTLE)
        r.rc = E_THROTTLED;
    req->done(req->ctx, &r);
}

void invoke(struct pool *p, const struct invoke_req *req)
{
    struct called *c = &calls[call_count++];
    (void)p;
    assert_true(call_count < CALLS);
    assert_true(req->asynchronous && req->event_kind == EVENT_JSON);
    c->function_id = req->fn->id;
    c->attempt = req->attempt;
    snprintf(c->request_id, sizeof c->request_id, "%s", req->request_id);
    snprintf(c->event, sizeof c->event, "%.*s", STR_FMT(req->event));
    snprintf(c->arn, sizeof c->arn, "%.*s", STR_FMT(req->arn));
    snprintf(c->source, sizeof c->source, "%s", req->source);
    c->req = *req;
    c->held = mode == HOLD && (!hold_only || str_is(req->fn->name, hold_only));
    running_now++;
    if (running_now > running_most)
        running_most = running_now;
    if (!c->held) {
        running_now--;
        if (mode == HOLD) {
            mode = SUCCEED;
            answer(req);
            mode = HOLD;
        } else {
            answer(req);
        }
    }
}

static inline void let_go(struct called *c)
{
    assert_true(c->held);
    c->held = false;
    running_now--;
    answer(&c->req);
}

static inline void let_all_go(void)
{
    for (size_t i = 0; i < call_count; i++)
        if (calls[i].held)
            let_go(&calls[i]);
}

/* The disk: LMDB's writes fail while this is set. */
static _Atomic bool disk_broken;
ssize_t pwrite(int fd, const void *p, size_t n, off_t at);

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    if (disk_broken) {
        errno = EIO;
        return -1;
    }
    return real(fd, p, n, at);
}

/* -----------------------------------------------------------------------------------------------
 */

static struct fixture f;
static struct queue *q;
static struct queue_opts opts;
static uv_timer_t beat; /* keeps the loop turning while nothing else would */

static inline void on_beat(uv_timer_t *t)
{
    (void)t;
}

static inline void open_queue(void)
{
    opts.loop = &f.loop;
    opts.store = f.store;
    if (q)
        queue_free(q);
    q = queue_open(&opts);
    queue_start(q);
    uv_timer_init(&f.loop, &beat);
    uv_timer_start(&beat, on_beat, 5, 5);
}

static inline void close_queue(void)
{
    uv_close((uv_handle_t *)&beat, NULL);
    queue_close(q);
    let_all_go();
}

/* As after kill -9: what the queue knew is gone, the store has what was committed. */
static inline void crash(void)
{
    close_queue();
    fixture_restart(&f);
    mode = SUCCEED;
    open_queue();
}

static inline int setup(void **state)
{
    (void)state;
    static const char *const names[] = {"f1", "f2", "f3", "f4"};
    static const char *const arns[] = {"arn:aws:lambda:us-east-1:000000000000:function:f1",
                                       "arn:aws:lambda:us-east-1:000000000000:function:f2",
                                       "arn:aws:lambda:us-east-1:000000000000:function:f3",
                                       "arn:aws:lambda:us-east-1:000000000000:function:f4"};
    for (size_t i = 0; i < 4; i++) {
        fns[i] = (struct fn){.id = i + 1, .name = str_c(names[i]), .arn = str_c(arns[i])};
        fns[i].log_group = STR("/aws/lambda/f");
        fn_gone[i] = false;
    }
    f = (struct fixture){0};
    opts = (struct queue_opts){.max_rows = 100000, .max_bytes = 1ull << 30};
    mode = SUCCEED;
    hold_only = NULL;
    disk_broken = false;
    call_count = running_now = running_most = 0;
    last_line[0] = 0;
    fixture_init(&f);
    open_queue();
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    disk_broken = false;
    close_queue();
    fixture_deinit(&f);
    queue_free(q);
    q = NULL;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(fns[i].refs, 0);
    return 0;
}

static inline void turn(int ms)
{
    uint64_t end = clock_mono_ns() + (uint64_t)ms * 1000000;
    while (clock_mono_ns() < end)
        uv_run(&f.loop, UV_RUN_ONCE);
}

static inline void wait_calls(size_t n)
{
    uint64_t end = clock_mono_ns() + 5000000000ull;
    while (call_count < n) {
        assert_true(clock_mono_ns() < end);
        uv_run(&f.loop, UV_RUN_ONCE);
    }
}

static inline struct queue_stats stats(void)
{
    struct queue_stats s;
    queue_stats(q, &s);
    return s;
}

static inline void wait_stats(uint64_t queued, uint64_t running, uint64_t waiting, uint64_t dead)
{
    uint64_t end = clock_mono_ns() + 5000000000ull;
    for (;;) {
        struct queue_stats s = stats();
        if (s.queued == queued && s.running == running && s.waiting == waiting && s.dead == dead)
            return;
        if (clock_mono_ns() > end)
            fail_msg("queued %d running %d waiting %d dead %d", (int)s.queued, (int)s.running,
                     (int)s.waiting, (int)s.dead);
        uv_run(&f.loop, UV_RUN_ONCE);
    }
}

static inline size_t rows_in(enum table table)
{
    return fixture_rows(&f, table);
}

/* An hour, say, goes by. */
static inline void pass(int64_t ms)
{
    clock_store_floor(clock_store_ms() + ms);
    for (uint64_t id = 0; id <= 4; id++)
        queue_kick(q, id);
}

static inline struct queue_event event(uint64_t function_id, const char *payload)
{
    struct queue_event e = {.function_id = function_id,
                            .payload = str_c(payload),
                            .source = "invoke",
                            .request_id = "11111111-2222-4333-8444-555555555555"};
    e.function_name = fns[function_id - 1].name;
    return e;
}

static inline int put(struct store_txn *t, void *ctx)
{
    return queue_put(q, t, ctx);
}

static inline int send_event(struct queue_event e)
{
    int rc = call_run(&f, put, &e);
    queue_kick(q, e.function_id);
    return rc;
}

/* The only dead event's record. */
static inline void read_dead(struct event_row *out, char error[static 256], char payload[static 64])
{
    struct str k, v;
    struct key from = {0};
    uint64_t lane = 0, due = 0, id = 0;
    struct store_txn *t = store_read(f.store);
    struct store_cursor *c = store_cursor(t, T_DUE);
    assert_true(store_seek(c, key_str(key_u64(&from, EVENT_DEAD)), &k, &v));
    assert_true(key_take_u64(&k, &lane) && key_take_u64(&k, &due) && key_take_u64(&k, &id));
    assert_int_equal(event_row_get(t, id, out), 0);
    assert_int_equal(event_row_payload(t, id, &v), 0);
    snprintf(payload, 64, "%.*s", STR_FMT(v));
    snprintf(error, 256, "%.*s|%.*s", STR_FMT(out->error_type), STR_FMT(out->error));
    assert_int_equal(out->state, EVENT_DEAD_ROW);
    store_cursor_close(c);
    store_read_end(t);
}

static inline void send_many(size_t n, uint64_t functions)
{
    struct call *jobs = calloc(n, sizeof *jobs);
    struct queue_event *e = calloc(n, sizeof *e);
    char(*texts)[16] = calloc(n, sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        snprintf(texts[i], sizeof texts[i], "%zu", i);
        e[i] = event(1 + i % functions, texts[i]);
        call_start(&f, &jobs[i], put, &e[i]);
    }
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(call_wait(&f, &jobs[i]), 0);
        queue_kick(q, e[i].function_id);
    }
    free(jobs);
    free(e);
    free(texts);
}

#endif
