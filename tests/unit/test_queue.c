/* queue: events from their row to their end, with a pretended pool, functions and logs.
 *
 * Time is moved by raising the floor of store time: what would wait a minute is due at once. A
 * crash is a queue that is closed before it could store what became of its events. */
#include "svc/queue.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "store/key.h"
#include "store_help.h"
#include "svc/ledger.h"
#include "svc/logs.h"
#include "svc/queue_lane.h"
#include "svc/role.h"

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
static char last_line[512];

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

int function_find(struct store_txn *t, struct str name, struct str qualifier, uint64_t *id,
                  struct str *policy_json)
{
    (void)t;
    (void)qualifier;
    (void)policy_json;
    *id = (uint64_t)(name.p[1] - '0');
    return 0;
}

bool function_exists(struct store_txn *t, struct str name)
{
    (void)t;
    (void)name;
    return true;
}

int role_allows(struct roles *r, struct str role, struct str action, struct str resource,
                struct err *err)
{
    (void)r;
    (void)role;
    (void)action;
    (void)resource;
    (void)err;
    return 0;
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

struct log_stream *log_stream_open(struct logs *l, struct str group, struct str stream)
{
    (void)l;
    (void)stream;
    snprintf(last_line, sizeof last_line, "%.*s ", STR_FMT(group));
    return NULL;
}

void log_stream_close(struct log_stream *s)
{
    (void)s;
}

void log_line(struct log_stream *s, int64_t wall_ms, enum log_severity level,
              const char *request_id, struct str text)
{
    (void)s;
    (void)wall_ms;
    (void)request_id;
    assert_int_equal(level, LOG_ERROR);
    size_t n = strlen(last_line);
    snprintf(last_line + n, sizeof last_line - n, "%.*s", STR_FMT(text));
}

static void answer(const struct invoke_req *req)
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

static void let_go(struct called *c)
{
    assert_true(c->held);
    c->held = false;
    running_now--;
    answer(&c->req);
}

static void let_all_go(void)
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

static void on_beat(uv_timer_t *t)
{
    (void)t;
}

static void open_queue(void)
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

static void close_queue(void)
{
    uv_close((uv_handle_t *)&beat, NULL);
    queue_close(q);
    let_all_go();
}

/* As after kill -9: what the queue knew is gone, the store has what was committed. */
static void crash(void)
{
    close_queue();
    fixture_restart(&f);
    mode = SUCCEED;
    open_queue();
}

static int setup(void **state)
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

static int teardown(void **state)
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

static void turn(int ms)
{
    uint64_t end = clock_mono_ns() + (uint64_t)ms * 1000000;
    while (clock_mono_ns() < end)
        uv_run(&f.loop, UV_RUN_ONCE);
}

static void wait_calls(size_t n)
{
    uint64_t end = clock_mono_ns() + 5000000000ull;
    while (call_count < n) {
        assert_true(clock_mono_ns() < end);
        uv_run(&f.loop, UV_RUN_ONCE);
    }
}

static struct queue_stats stats(void)
{
    struct queue_stats s;
    queue_stats(q, &s);
    return s;
}

static void wait_stats(uint64_t queued, uint64_t running, uint64_t waiting, uint64_t dead)
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

static size_t rows_in(enum table table)
{
    return fixture_rows(&f, table);
}

/* An hour, say, goes by. */
static void pass(int64_t ms)
{
    clock_store_floor(clock_store_ms() + ms);
    for (uint64_t id = 0; id <= 4; id++)
        queue_kick(q, id);
}

static struct queue_event event(uint64_t function_id, const char *payload)
{
    struct queue_event e = {.function_id = function_id,
                            .payload = str_c(payload),
                            .source = "invoke",
                            .request_id = "11111111-2222-4333-8444-555555555555"};
    e.function_name = fns[function_id - 1].name;
    return e;
}

static int put(struct store_txn *t, void *ctx)
{
    return queue_put(q, t, ctx);
}

static int send_event(struct queue_event e)
{
    int rc = call_run(&f, put, &e);
    queue_kick(q, e.function_id);
    return rc;
}

/* The only dead event's record. */
static void read_dead(struct event_row *out, char error[static 256], char payload[static 64])
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

/* --- the plain way -----------------------------------------------------------------------------
 */

static void test_delivery(void **state)
{
    (void)state;
    struct queue_event e = event(1, "{\"a\":1}");
    e.qualifier = STR("$LATEST");
    assert_int_equal(send_event(e), 0);
    wait_calls(1);
    assert_string_equal(calls[0].event, "{\"a\":1}");
    assert_string_equal(calls[0].arn, "arn:aws:lambda:us-east-1:000000000000:function:f1:$LATEST");
    assert_string_equal(calls[0].request_id, e.request_id);
    assert_string_equal(calls[0].source, "invoke");
    assert_int_equal(calls[0].attempt, 1);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(send_event(event(2, "null")), 0);
    wait_calls(2);
    assert_string_equal(calls[1].arn, "arn:aws:lambda:us-east-1:000000000000:function:f2");
    wait_stats(0, 0, 0, 0);
    turn(20);
    assert_int_equal(call_count, 2);
    assert_int_equal(rows_in(T_EVENTS), 0);
    assert_int_equal(rows_in(T_DUE), 0);
}

static void send_many(size_t n, uint64_t functions)
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

static void test_many_once_each_in_order(void **state)
{
    static int seen[1500];
    int last[5] = {-1, -1, -1, -1, -1};
    (void)state;
    memset(seen, 0, sizeof seen);
    send_many(1500, 4);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 1500);
    for (size_t i = 0; i < call_count; i++) {
        int n = atoi(calls[i].event);
        assert_int_equal(seen[n]++, 0);
        assert_true(n > last[calls[i].function_id]); /* oldest first */
        last[calls[i].function_id] = n;
    }
    assert_int_equal(rows_in(T_DUE), 0);
}

static void test_bounded_and_fair(void **state)
{
    (void)state;
    mode = HOLD;
    hold_only = "f1";
    send_many(600, 1);
    wait_calls(LANE_WINDOW_FIRST);
    turn(30);
    assert_int_equal(call_count, LANE_WINDOW_FIRST);
    assert_int_equal(send_event(event(2, "other")), 0); /* not behind f1's backlog */
    wait_calls(LANE_WINDOW_FIRST + 1);
    assert_string_equal(calls[LANE_WINDOW_FIRST].event, "other");
    for (int i = 0; i < 60; i++) { /* success widens the window, to its bound */
        mode = SUCCEED;
        hold_only = NULL;
        let_all_go();
        mode = HOLD;
        hold_only = "f1";
        turn(10);
    }
    assert_true(running_most > LANE_WINDOW_FIRST && running_most <= LANE_WINDOW_MAX);
    mode = SUCCEED;
    let_all_go();
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 601);
}

static void test_functions_take_turns(void **state)
{
    size_t at[5] = {0};
    (void)state;
    mode = HOLD; /* nothing ends: only the windows fill */
    send_many(400, 1);
    turn(10);
    mode = SUCCEED;
    struct queue_event e = event(2, "x");
    for (int i = 0; i < 20; i++) {
        struct queue_event copy = e;
        assert_int_equal(call_run(&f, put, &copy), 0);
    }
    queue_kick(q, 2);
    let_all_go();
    wait_stats(0, 0, 0, 0);
    for (size_t i = 0; i < call_count; i++)
        if (calls[i].function_id == 2)
            at[2] = i;
    assert_true(at[2] < 300); /* f2's last event did not wait for all of f1's */
}

static void test_delay(void **state)
{
    (void)state;
    struct queue_event e = event(1, "later");
    e.delay_ms = 30;
    uint64_t start = clock_mono_ns();
    assert_int_equal(send_event(e), 0);
    wait_calls(1);
    assert_true(clock_mono_ns() - start >= 28000000);
    e.delay_ms = 3600 * 1000;
    assert_int_equal(send_event(e), 0);
    turn(30);
    assert_int_equal(call_count, 1);
    pass(3600 * 1000);
    wait_calls(2);
}

static void test_limits(void **state)
{
    static char big[EVENT_PAYLOAD_MAX + 1];
    (void)state;
    mode = HOLD;
    struct queue_event e = event(1, "x");
    e.payload = str_of(big, sizeof big);
    assert_int_equal(send_event(e), E_LIMIT);
    e.payload.n--;
    assert_int_equal(send_event(e), 0);
    close_queue();
    fixture_restart(&f);
    opts.max_rows = 3;
    mode = HOLD;
    open_queue();
    assert_int_equal(send_event(event(1, "x")), 0);
    assert_int_equal(send_event(event(2, "x")), 0);
    assert_int_equal(send_event(event(1, "x")), E_THROTTLED); /* the large one still counts */
    close_queue();
    fixture_restart(&f);
    opts.max_rows = 100;
    opts.max_bytes = EVENT_PAYLOAD_MAX + 3000;
    mode = HOLD;
    open_queue();
    assert_int_equal(send_event(event(1, "x")), 0);
    e.payload.n = 5000;
    assert_int_equal(send_event(e), E_THROTTLED);
    mode = SUCCEED;
    let_all_go();
    wait_stats(0, 0, 0, 0);
    assert_int_equal(send_event(e), 0); /* room again */
}

static void test_payloads_in_memory(void **state)
{
    static char big[EVENT_PAYLOAD_MAX];
    (void)state;
    mode = HOLD;
    for (int i = 0; i < 24; i++) {
        struct queue_event e = event(1 + (uint64_t)i % 4, "");
        e.payload = str_of(big, sizeof big);
        assert_int_equal(send_event(e), 0);
    }
    turn(50);
    assert_int_equal(call_count, 16); /* 16 MiB of the 24 */
    assert_true(q->payload_bytes <= FLIGHT_BYTES_MAX);
    mode = SUCCEED;
    let_all_go();
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 24);
    assert_int_equal(q->payload_bytes, 0);
}

/* --- failures ----------------------------------------------------------------------------------
 */

static void test_retries_then_dead(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    mode = FAIL;
    assert_int_equal(send_event(event(1, "{\"n\":7}")), 0);
    wait_calls(1);
    wait_stats(0, 0, 1, 0);
    pass(59 * 1000);
    turn(30);
    assert_int_equal(call_count, 1);
    pass(1000);
    wait_calls(2);
    assert_int_equal(calls[1].attempt, 2);
    wait_stats(0, 0, 1, 0);
    pass(119 * 1000);
    turn(30);
    assert_int_equal(call_count, 2);
    pass(1000);
    wait_calls(3);
    assert_int_equal(calls[2].attempt, 3);
    wait_stats(0, 0, 0, 1);
    pass(3600 * 1000);
    turn(30);
    assert_int_equal(call_count, 3);
    read_dead(&row, error, payload);
    assert_int_equal(row.tries, 3);
    assert_int_equal(row.function_id, 1);
    assert_string_equal(payload, "{\"n\":7}");
    assert_string_equal(error, "RetriesExhausted|{\"errorMessage\":\"too slow\"}");
    assert_non_null(strstr(last_line, "/aws/lambda/f Event given up after 3 tries"));
    crash();
    turn(20);
    assert_int_equal(stats().dead, 1); /* the dead stay dead */
    assert_int_equal(call_count, 3);
}

static void test_error_then_success(void **state)
{
    (void)state;
    mode = FAIL;
    assert_int_equal(send_event(event(1, "x")), 0);
    wait_calls(1);
    wait_stats(0, 0, 1, 0);
    mode = SUCCEED;
    crash(); /* waiting rows outlive it */
    assert_int_equal(stats().waiting, 1);
    turn(20);
    assert_int_equal(call_count, 1);
    pass(60 * 1000);
    wait_calls(2);
    assert_int_equal(calls[1].attempt, 2);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(rows_in(T_EVENTS), 0);
}

static void test_throttled_burns_no_try(void **state)
{
    (void)state;
    mode = THROTTLE;
    send_many(5, 1);
    turn(30);
    assert_int_equal(call_count, 1); /* one is refused, the others do not knock */
    assert_int_equal(stats().queued, 5);
    pass(400); /* time goes on by itself too */
    turn(20);
    assert_int_equal(call_count, 1);
    pass(600);
    wait_calls(2);
    turn(20);
    assert_int_equal(call_count, 2);
    pass(1200); /* the second pause is two seconds */
    turn(20);
    assert_int_equal(call_count, 2);
    mode = SUCCEED;
    assert_int_equal(send_event(event(2, "other")), 0); /* nobody else is held up */
    wait_calls(3);
    assert_int_equal(calls[2].function_id, 2);
    pass(800);
    wait_stats(0, 0, 0, 0);
    for (size_t i = 3; i < call_count; i++)
        assert_int_equal(calls[i].attempt, 1);
}

static void test_throttled_late(void **state)
{
    (void)state;
    mode = HOLD;
    send_many(20, 1);
    wait_calls(LANE_WINDOW_FIRST);
    turn(20); /* "running" is in the store by now */
    mode = THROTTLE;
    let_go(&calls[0]);
    let_go(&calls[1]);
    mode = HOLD;
    turn(30);
    assert_int_equal(call_count, LANE_WINDOW_FIRST); /* the window fell to what runs */
    crash();
    wait_stats(0, 0, 0, 0);
    int again = 0;
    for (size_t i = LANE_WINDOW_FIRST; i < call_count; i++) {
        bool was_running = atoi(calls[i].event) >= 2 && atoi(calls[i].event) < LANE_WINDOW_FIRST;
        assert_int_equal(calls[i].attempt, was_running ? 2 : 1);
        again++;
    }
    assert_int_equal(again, 20);
}

static void test_platform_failure(void **state)
{
    (void)state;
    mode = PLATFORM;
    assert_int_equal(send_event(event(1, "x")), 0);
    for (size_t i = 1; i <= 12; i++) {
        wait_calls(i);
        wait_stats(0, 0, 1, 0);
        assert_int_equal(calls[i - 1].attempt, 1);
        pass(i == 1 ? 1000 : 300 * 1000);
    }
    mode = SUCCEED;
    pass(300 * 1000);
    wait_stats(0, 0, 0, 0);
}

static void test_too_old(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    mode = THROTTLE;
    assert_int_equal(send_event(event(1, "old")), 0);
    wait_calls(1);
    pass(6 * 3600 * 1000 + 1000);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_int_equal(str_find(row.error_type, STR("EventAgeExceeded")), 0);
    assert_int_equal(row.tries, 0);
}

/* What a function's own configuration says goes before the defaults. */
static void test_own_retries(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    fns[0].retries_set = fns[1].retries_set = true;
    fns[1].retries = 1;
    mode = FAIL;
    assert_int_equal(send_event(event(1, "none")), 0);
    wait_stats(0, 0, 0, 1);
    assert_int_equal(call_count, 1);
    read_dead(&row, error, payload);
    assert_non_null(strstr(error, "RetriesExhausted"));
    assert_int_equal(send_event(event(2, "one")), 0);
    wait_calls(2);
    wait_stats(0, 0, 1, 1);
    pass(60 * 1000);
    wait_calls(3);
    wait_stats(0, 0, 0, 2);
}

static void test_own_age(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    fns[0].max_age_ms = fns[1].max_age_ms = 60 * 1000;
    mode = THROTTLE;
    assert_int_equal(send_event(event(1, "waits")), 0);
    wait_calls(1);
    pass(61 * 1000);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_non_null(strstr(error, "EventAgeExceeded|the event is older than 60 seconds"));
    mode = FAIL; /* the next try would come too late */
    size_t before = call_count;
    assert_int_equal(send_event(event(2, "fails")), 0);
    wait_calls(before + 1);
    turn(20);
    pass(59 * 1000);
    turn(20);
    assert_int_equal(call_count, before + 1);
    pass(2 * 1000);
    wait_stats(0, 0, 0, 2);
}

/* Once its limit is raised nobody waits for the end of a pause. */
static void test_resume(void **state)
{
    (void)state;
    mode = THROTTLE;
    assert_int_equal(send_event(event(1, "x")), 0);
    wait_calls(1);
    for (int i = 0; i < 6; i++) { /* the pause is 64 s long now */
        pass(1000 << i);
        wait_calls((size_t)i + 2);
    }
    mode = SUCCEED;
    turn(20);
    assert_int_equal(call_count, 7);
    queue_resume(q, 1);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 8);
    queue_resume(q, 1); /* nothing waits */
    queue_resume(q, 77);
}

/* --- functions that change, policies -----------------------------------------------------------
 */

static void test_deleted_and_recreated(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    fn_gone[0] = true;
    assert_int_equal(send_event(event(1, "gone")), 0);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_non_null(strstr(error, "FunctionNotFound|Function not found: f1"));
    assert_string_equal(last_line, ""); /* no log group is made for what is gone */
    fn_gone[0] = false;
    struct queue_event e = event(1, "another's");
    e.function_id = 99; /* the one that was deleted */
    assert_int_equal(send_event(e), 0);
    wait_stats(0, 0, 0, 2);
    e.function_id = 0; /* there was none when the event was sent */
    assert_int_equal(send_event(e), 0);
    wait_stats(0, 0, 0, 3);
    assert_int_equal(call_count, 0);
}

static void test_policy_at_delivery(void **state)
{
    static const char policy[] =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"s\",\"Effect\":\"Allow\","
        "\"Principal\":{\"Service\":\"s3.amazonaws.com\"},\"Action\":\"lambda:InvokeFunction\","
        "\"Resource\":\"arn:aws:lambda:us-east-1:000000000000:function:f1\","
        "\"Condition\":{\"ArnLike\":{\"AWS:SourceArn\":\"arn:aws:s3:::photos\"}}}]}";
    struct err err = {0};
    (void)state;
    struct queue_event e = event(1, "put");
    e.source = "s3";
    e.source_arn = STR("arn:aws:s3:::photos");
    assert_int_equal(send_event(e), 0); /* no policy: refused */
    wait_stats(0, 0, 0, 1);
    assert_non_null(strstr(last_line, "AccessDenied"));
    fns[0].policy = policy_parse(STR(policy), POLICY_RESOURCE, &err);
    assert_non_null(fns[0].policy);
    assert_int_equal(send_event(e), 0);
    wait_calls(1);
    assert_string_equal(calls[0].source, "s3");
    e.source_arn = STR("arn:aws:s3:::other");
    assert_int_equal(send_event(e), 0);
    wait_stats(0, 0, 0, 2);
    assert_int_equal(call_count, 1);
    policy_free(fns[0].policy);
}

/* The outcome takes the place of the event: it is sent on though the queue is full. */
static void test_outcome_of_a_full_queue(void **state)
{
    static char roles;
    (void)state;
    close_queue();
    fixture_restart(&f);
    opts.max_rows = 1;
    opts.roles = (struct roles *)&roles; /* only asked whether there are any */
    open_queue();
    fns[0].on_success = STR("arn:aws:lambda:us-east-1:000000000000:function:f2");
    assert_int_equal(send_event(event(1, "1")), 0);
    wait_calls(2);
    assert_int_equal(calls[1].function_id, 2);
    wait_stats(0, 0, 0, 0);
}

/* As on Lambda: what a function may not run at all does not wait for the day when it may. */
static void test_zero_reserved_concurrency(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    fns[0].limited = true;
    assert_int_equal(send_event(event(1, "shut out")), 0);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_true(str_starts(str_c(error), STR("ZeroReservedConcurrency|")));
    assert_string_equal(payload, "shut out");
    assert_int_equal(row.tries, 0);
    fns[0].reserved = 1;
    assert_int_equal(send_event(event(1, "let in")), 0);
    wait_calls(1);
}

/* One that waits for its retry when that comes about ends at its next time. */
static void test_zero_reserved_concurrency_while_it_waits(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    mode = FAIL;
    assert_int_equal(send_event(event(1, "failed")), 0);
    wait_stats(0, 0, 1, 0);
    fns[0].limited = true;
    pass(61 * 1000);
    wait_stats(0, 0, 0, 1);
    read_dead(&row, error, payload);
    assert_true(str_starts(str_c(error), STR("ZeroReservedConcurrency|")));
    assert_int_equal(row.tries, 1);
    assert_int_equal(call_count, 1);
}

/* --- crashes and trouble -----------------------------------------------------------------------
 */

static void test_crash_runs_again(void **state)
{
    (void)state;
    mode = HOLD;
    send_many(30, 3);
    wait_calls(24);
    turn(30);
    crash();
    wait_stats(0, 0, 0, 0);
    int seen[30] = {0}, again = 0;
    for (size_t i = 24; i < call_count; i++) {
        seen[atoi(calls[i].event)]++;
        again += calls[i].attempt == 2;
    }
    for (int i = 0; i < 30; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(again, 24); /* the lost tries are counted */
}

static void test_poison(void **state)
{
    struct event_row row;
    char error[256], payload[64];
    (void)state;
    mode = HOLD;
    assert_int_equal(send_event(event(1, "poison")), 0);
    for (uint32_t i = 1; i <= CRASHES_MAX; i++) {
        wait_calls(i);
        assert_int_equal(calls[i - 1].attempt, i);
        turn(15);
        close_queue();
        fixture_restart(&f);
        mode = HOLD;
        open_queue();
    }
    wait_stats(0, 0, 0, 1);
    assert_int_equal(call_count, CRASHES_MAX);
    read_dead(&row, error, payload);
    assert_int_equal(str_find(row.error_type, STR("PoisonEvent")), 0);
    assert_string_equal(payload, "poison");
}

/* Crashes are no failures of the function: it still gets its three tries. */
static void test_crashes_leave_the_retries(void **state)
{
    (void)state;
    mode = HOLD;
    assert_int_equal(send_event(event(1, "x")), 0);
    for (size_t i = 1; i <= 4; i++) {
        wait_calls(i);
        turn(15);
        close_queue();
        fixture_restart(&f);
        mode = i < 4 ? HOLD : FAIL;
        open_queue();
    }
    wait_calls(5);
    wait_stats(0, 0, 1, 0);
    pass(60 * 1000);
    wait_calls(6);
    wait_stats(0, 0, 1, 0);
    pass(120 * 1000);
    wait_calls(7);
    wait_stats(0, 0, 0, 1);
    assert_int_equal(calls[6].attempt, 7);
}

static void test_result_survives_a_broken_disk(void **state)
{
    (void)state;
    mode = HOLD;
    send_many(10, 2);
    wait_calls(10);
    turn(20);
    disk_broken = true;
    mode = SUCCEED;
    let_all_go();
    turn(1500); /* submitted again, refused again */
    assert_int_equal(call_count, 10);
    disk_broken = false;
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 10); /* nothing ran twice */
    assert_int_equal(rows_in(T_EVENTS), 0);
}

static void on_drained(void *ctx)
{
    ++*(int *)ctx;
}

static void test_drain(void **state)
{
    int drained = 0;
    (void)state;
    queue_drain(q, on_drained, &drained);
    assert_int_equal(drained, 1); /* nothing to wait for */
    close_queue();
    fixture_restart(&f);
    open_queue();
    mode = HOLD;
    send_many(40, 1);
    wait_calls(LANE_WINDOW_FIRST);
    queue_drain(q, on_drained, &drained);
    turn(30);
    assert_int_equal(drained, 1);
    mode = SUCCEED;
    let_all_go();
    while (drained == 1)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(drained, 2);
    assert_int_equal(call_count, LANE_WINDOW_FIRST); /* nothing new was started */
    assert_int_equal(stats().queued, 40 - LANE_WINDOW_FIRST);
    assert_int_equal(send_event(event(1, "late")), 0); /* still accepted, for the next start */
    turn(10);
    crash();
    wait_stats(0, 0, 0, 0);
    assert_int_equal(call_count, 41);
}

/* A second signal closes it while jobs that are the queue's callers still wait for the store. */
static void test_jobs_after_the_close(void **state)
{
    (void)state;
    struct call late = {0};
    struct queue_event e = event(1, "late");
    mode = HOLD;
    send_many(20, 1);
    call_start(&f, &late, put, &e);
    queue_drain(q, on_drained, &(int){0});
    close_queue();
    uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_int_equal(call_wait(&f, &late), 0);
    queue_kick(q, 1);
    queue_resume(q, 1);
    fixture_restart(&f);
    mode = SUCCEED;
    open_queue();
    wait_stats(0, 0, 0, 0);
    assert_string_equal(calls[call_count - 1].event, "late");
}

static void test_dead_list_is_bounded(void **state)
{
    (void)state;
    close_queue();
    fixture_restart(&f);
    opts.max_rows = 40;
    open_queue();
    fn_gone[0] = true;
    for (int i = 0; i < 25; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(send_event(event(1, text)), 0);
        turn(5);
    }
    wait_stats(0, 0, 0, 10);
    struct event_row row;
    char error[256], payload[64];
    read_dead(&row, error, payload);
    assert_string_equal(payload, "15"); /* the oldest went */
    assert_int_equal(rows_in(T_EVENTS), 20);
    assert_int_equal(rows_in(T_DUE), 10);
}

/* --- lanes ------------------------------------------------------------------------------------- */

static void test_heap_of_lanes(void **state)
{
    struct queue h = {0};
    uint32_t seed = 7;
    (void)state;
    for (uint64_t id = 1; id <= 300; id++) {
        seed = seed * 1664525u + 1013904223u;
        lane_wake(&h, lane_of(&h, id, true), 100 + (seed >> 8) % 50);
    }
    for (uint64_t id = 1; id <= 300; id += 3) { /* sooner counts, later does not */
        struct lane *lane = lane_of(&h, id, false);
        int64_t was = lane->next_ms;
        lane_wake(&h, lane, was + 10);
        assert_int_equal(lane->next_ms, was);
        lane_wake(&h, lane, was - 3);
        assert_int_equal(lane->next_ms, was - 3);
    }
    assert_null(lane_pop(&h, 96));
    int64_t last = INT64_MIN;
    int n = 0;
    for (struct lane *lane; (lane = lane_pop(&h, 1000)); n++) {
        assert_true(lane->next_ms >= last);
        last = lane->next_ms;
    }
    assert_int_equal(n, 300);
    assert_int_equal(lane_next_ms(&h), INT64_MAX);
    /* due at the same time, they take turns */
    for (uint64_t id = 1; id <= 3; id++)
        lane_wake(&h, lane_of(&h, id, false), 5);
    for (uint64_t i = 0; i < 30; i++) {
        struct lane *lane = lane_pop(&h, 5);
        assert_int_equal(lane->function_id, 1 + i % 3);
        lane_wake(&h, lane, 5);
    }
    lanes_free(&h);
}

static bool scans_from(const struct lane *lane, uint64_t due_ms, uint64_t id)
{
    struct key k, want = {0};
    key_u64(key_u64(key_u64(&want, lane->function_id), due_ms), id);
    return str_eq(lane_scan_key(lane, &k), key_str(&want));
}

static void test_scan_place(void **state)
{
    struct lane lane = {.function_id = 9};
    (void)state;
    assert_true(scans_from(&lane, 0, 0));
    lane_scanned(&lane, 900, 5, 1000);
    assert_true(scans_from(&lane, 900, 6));
    lane_rescan(&lane, 950, 1);
    assert_true(scans_from(&lane, 900, 6));
    lane_rescan(&lane, 900, 4);
    assert_true(scans_from(&lane, 900, 4));
    lane_rescan(&lane, 100, 77);
    assert_true(scans_from(&lane, 100, 77));
    /* a batch under way may still bring rows due at or after the last commit */
    lane_scanned(&lane, 1200, 8, 1000);
    assert_true(scans_from(&lane, 1000, 0));
    lane_scanned(&lane, 1000, 8, 1000);
    assert_true(scans_from(&lane, 1000, 0));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void test_storm_brake(void **state)
{
    (void)state;
    q->o.event_rate = 4;
    send_many(30, 1);
    int64_t began = clock_store_ms() / 1000;
    wait_calls(4);
    turn(50);
    size_t seconds = (size_t)(clock_store_ms() / 1000 - began) + 2; /* it may have begun before */
    assert_true(call_count <= 4 * seconds);
    assert_int_equal(send_event(event(2, "1")), 0); /* another's is not held back */
    uint64_t calls_of_1 = call_count;
    wait_calls(calls_of_1 + 1);
    turn(1100); /* the next second lets some more go */
    assert_true(call_count >= calls_of_1 + 4);
    q->o.event_rate = 0;
    pass(1000);
    wait_stats(0, 0, 0, 0);
}

/* Two functions whose ids meet in the table do not wear off each other's brake. */
static void test_two_brakes(void **state)
{
    (void)state;
    fns[0].event_rate = fns[1].event_rate = 3;
    fns[1].id = 1 + 1024;
    int64_t began = clock_store_ms() / 1000;
    for (int i = 0; i < 20; i++)
        for (uint64_t id = 1; id <= 2; id++) {
            struct queue_event e = event(id, "1");
            e.function_id = fns[id - 1].id;
            assert_int_equal(send_event(e), 0);
        }
    wait_calls(6);
    turn(30);
    size_t seconds = (size_t)(clock_store_ms() / 1000 - began) + 1;
    assert_true(call_count <= 2 * 3 * seconds);
}

/* --- the ledger --------------------------------------------------------------------------------
 */

struct seen {
    size_t n;
    uint64_t ids[64];
    int states[64];
    char last_chain[256];
};

static void see(void *ctx, const struct event_row *r)
{
    struct seen *s = ctx;
    s->states[s->n] = r->state;
    s->ids[s->n++] = r->id;
    snprintf(s->last_chain, sizeof s->last_chain, "%.*s", STR_FMT(r->chain));
}

static struct seen look(struct ledger_query query, size_t page)
{
    struct seen s = {0};
    struct ledger_cursor at = {.more = true};
    query.limit = page;
    while (at.more) {
        struct store_txn *t = store_read(f.store);
        ledger_list(t, &query, &at, see, &s);
        store_read_end(t);
    }
    return s;
}

static int expire(struct store_txn *t, void *ctx)
{
    uint64_t next = 0;
    return ledger_expire(t, *(int64_t *)ctx, 1000, &next);
}

static void test_ledger_keeps_and_lists(void **state)
{
    (void)state;
    q->o.keep_rows = 5;
    send_many(12, 2);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(rows_in(T_EVENTS), 2 * 2 * 5); /* the newest five of each */
    assert_int_equal(rows_in(T_RUNS), 2 * 5 + 2);
    assert_int_equal(rows_in(T_DUE), 0);
    struct seen all = look((struct ledger_query){0}, 3), one, none;
    assert_int_equal(all.n, 10);
    for (size_t i = 1; i < all.n; i++)
        assert_true(all.ids[i] < all.ids[i - 1]);
    one = look((struct ledger_query){.function_id = 2}, 2);
    assert_int_equal(one.n, 5);
    assert_int_equal(one.states[4], EVENT_DONE_ROW);
    none = look((struct ledger_query){.function_id = 2, .state = EVENT_DEAD_ROW}, 2);
    assert_int_equal(none.n, 0);
    mode = FAIL;
    assert_int_equal(send_event(event(2, "1")), 0);
    wait_stats(0, 0, 1, 0);
    one = look((struct ledger_query){.function_id = 2}, 2);
    assert_int_equal(one.n, 6);
    assert_int_equal(one.states[0], EVENT_WAITING_ROW); /* what is to run comes first */
    int64_t before = clock_store_ms() - 3600000;
    assert_int_equal(call_run(&f, expire, &before), 0);
    assert_int_equal(look((struct ledger_query){0}, 10).n, 11);
    before = clock_store_ms() + 1;
    assert_int_equal(call_run(&f, expire, &before), 0);
    assert_int_equal(look((struct ledger_query){0}, 10).n, 1); /* it is to run yet */
    assert_int_equal(rows_in(T_RUNS), 0);
}

static uint64_t dead_id;

static int redrive(struct store_txn *t, void *ctx)
{
    return event_row_redrive(t, dead_id, *(uint64_t *)ctx, opts.max_rows, opts.max_bytes);
}

static int drop(struct store_txn *t, void *ctx)
{
    (void)ctx;
    return event_row_drop(t, dead_id);
}

static struct ledger_replay again;

static int replay(struct store_txn *t, void *ctx)
{
    (void)ctx;
    return ledger_replay(t, &again);
}

static void test_ledger_redrive_replay_drop(void **state)
{
    (void)state;
    uint64_t one = 1;
    struct ledger_query of_one = {.function_id = 1};
    q->o.keep_rows = 100;
    fns[0].retries_set = true;
    mode = FAIL;
    struct queue_event e = event(1, "\"x\"");
    e.cause = (struct lineage){3, STR("a > b"), STR("c")};
    e.source_arn = STR("");
    assert_int_equal(send_event(e), 0);
    wait_stats(0, 0, 0, 1);
    struct seen s = look(of_one, 10);
    assert_int_equal(s.states[0], EVENT_DEAD_ROW);
    assert_string_equal(s.last_chain, "a > b > c");
    dead_id = s.ids[0];
    mode = SUCCEED;
    assert_int_equal(call_run(&f, redrive, &one), 0);
    queue_kick(q, 1);
    wait_calls(2);
    wait_stats(0, 0, 0, 0);
    assert_int_equal(calls[1].attempt, 1);
    s = look(of_one, 10);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.states[0], EVENT_DONE_ROW);
    assert_string_equal(s.last_chain, ""); /* a lineage of its own */
    assert_int_equal(call_run(&f, redrive, &one), E_CONFLICT);
    again = (struct ledger_replay){.id = dead_id,
                                   .function_id = 1,
                                   .payload = STR("\"y\""),
                                   .max_rows = opts.max_rows,
                                   .max_bytes = opts.max_bytes};
    assert_int_equal(call_run(&f, replay, NULL), 0);
    queue_kick(q, 1);
    wait_calls(3);
    assert_string_equal(calls[2].event, "\"y\"");
    wait_stats(0, 0, 0, 0);
    assert_int_equal(look(of_one, 10).n, 2);
    assert_int_equal(call_run(&f, drop, NULL), 0);
    assert_int_equal(call_run(&f, drop, NULL), E_NOT_FOUND);
    assert_int_equal(look(of_one, 10).n, 1);
    fns[0].retries_set = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_storm_brake),
        T(test_two_brakes),
        T(test_ledger_keeps_and_lists),
        T(test_ledger_redrive_replay_drop),
        T(test_delivery),
        T(test_many_once_each_in_order),
        T(test_bounded_and_fair),
        T(test_functions_take_turns),
        T(test_delay),
        T(test_limits),
        T(test_payloads_in_memory),
        T(test_retries_then_dead),
        T(test_error_then_success),
        T(test_throttled_burns_no_try),
        T(test_throttled_late),
        T(test_platform_failure),
        T(test_too_old),
        T(test_own_retries),
        T(test_own_age),
        T(test_resume),
        T(test_deleted_and_recreated),
        T(test_policy_at_delivery),
        T(test_outcome_of_a_full_queue),
        T(test_zero_reserved_concurrency),
        T(test_zero_reserved_concurrency_while_it_waits),
        T(test_crash_runs_again),
        T(test_poison),
        T(test_crashes_leave_the_retries),
        T(test_result_survives_a_broken_disk),
        T(test_drain),
        T(test_jobs_after_the_close),
        T(test_dead_list_is_bounded),
        cmocka_unit_test(test_heap_of_lanes),
        cmocka_unit_test(test_scan_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
