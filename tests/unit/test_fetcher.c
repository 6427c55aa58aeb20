/* The core's side of perilune-fetch against a child that does what it likes: this very program,
 * executed under that name. What it is to do is the path of the URL it is asked for. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rec.h"
#include "svc/fetch_wire.h"
#include "svc/fetcher.h"

/* --- the child ---------------------------------------------------------------------------------- */

static void say(uint16_t type, uint32_t id, uint32_t size, struct str body)
{
    struct fetch_frame f = {.size = size, .type = type, .id = id};
    if (write(FETCH_SOCKET, &f, sizeof f) != sizeof f ||
        write(FETCH_SOCKET, body.p, body.n) != (ssize_t)body.n)
        _exit(9);
}

static void say_rec(uint16_t type, uint32_t id, const struct buf *rec)
{
    say(type, id, (uint32_t)rec->n, buf_str(rec));
}

static void say_end(uint32_t id, uint64_t how, const char *text)
{
    struct buf b = BUF_INIT;
    rec_put_u64(&b, FETCH_HOW, how);
    rec_put_str(&b, FETCH_TEXT, str_c(text));
    say_rec(FETCH_END, id, &b);
    buf_deinit(&b);
}

static void say_answer(uint32_t id, uint64_t size)
{
    struct buf b = BUF_INIT;
    rec_put_u64(&b, FETCH_STATUS, 200);
    rec_put_u64(&b, FETCH_SIZE, size);
    say_rec(FETCH_ANSWER, id, &b);
    buf_deinit(&b);
}

static bool wants(struct str url, const char *path)
{
    return str_ends(url, str_c(path));
}

static bool deaf;

static void misbehave(uint32_t id, struct str rec)
{
    static char junk[300000];
    struct str url = rec_str(rec, FETCH_URL), body = rec_str(rec, FETCH_CONTENT);
    memset(junk, 0xee, sizeof junk);
    if (wants(url, "/echo")) {
        say_answer(id, body.n);
        say(FETCH_BODY, id, (uint32_t)body.n, body);
        say_end(id, FETCH_OK, "");
    } else if (wants(url, "/refused")) {
        say_end(id, FETCH_REFUSED, "it is private");
    } else if (wants(url, "/odd-how")) {
        say_end(id, 77, "");
    } else if (wants(url, "/other-id")) {
        say_end(id + 1, FETCH_OK, "");
        say_end(0, FETCH_OK, "");
        say_end(id, FETCH_FAILED, "at last");
    } else if (wants(url, "/twice")) {
        say_end(id, FETCH_FAILED, "once");
        say_end(id, FETCH_OK, "twice");
    } else if (wants(url, "/junk")) {
        say(0xeeee, id, 10, str_of(junk, 10));
    } else if (wants(url, "/huge")) {
        say(FETCH_END, id, UINT32_MAX, str_of(junk, 100));
    } else if (wants(url, "/huge-body")) {
        say_answer(id, 10);
        say(FETCH_BODY, id, FETCH_BODY_MAX + 1, str_of(junk, 100));
    } else if (wants(url, "/no-rec")) {
        say(FETCH_END, id, 100, str_of(junk, 100));
    } else if (wants(url, "/body-first")) {
        say(FETCH_BODY, id, 10, str_of(junk, 10));
    } else if (wants(url, "/too-much")) { /* more than it said */
        say_answer(id, 10);
        say(FETCH_BODY, id, 300000, str_of(junk, 300000));
        say_end(id, FETCH_OK, "");
    } else if (wants(url, "/larger")) { /* than was asked for */
        say_answer(id, 1 << 20);
        say_end(id, FETCH_OK, "");
    } else if (wants(url, "/short")) { /* less than it said */
        say_answer(id, 10);
        say(FETCH_BODY, id, 3, str_of(junk, 3));
        say_end(id, FETCH_OK, "");
    } else if (wants(url, "/only-end")) {
        say_end(id, FETCH_OK, "");
    } else if (wants(url, "/deaf")) {
        deaf = true;
    } else if (wants(url, "/exit")) {
        _exit(0);
    } else if (wants(url, "/half")) {
        say_answer(id, 1000);
        say(FETCH_BODY, id, 1000, str_of(junk, 10));
        _exit(0);
    } /* else it says nothing */
}

static int child(void)
{
    struct fetch_frame f;
    static char body[FETCH_REQUEST_MAX];
    for (;;) {
        for (size_t n = 0; n < sizeof f;) { /* "/deaf" reads no more */
            if (deaf)
                pause();
            ssize_t k = read(FETCH_SOCKET, (char *)&f + n, sizeof f - n);
            if (k <= 0)
                _exit(0);
            n += (size_t)k;
        }
        for (size_t n = 0; n < f.size;) {
            ssize_t k = read(FETCH_SOCKET, body + n, f.size - n);
            if (k <= 0)
                _exit(0);
            n += (size_t)k;
        }
        if (f.type == FETCH_REQUEST)
            misbehave(f.id, str_of(body, f.size));
    }
}

/* --- the core's side ---------------------------------------------------------------------------- */

static uv_loop_t loop;
static struct fetcher *fetcher;

struct asked {
    struct fetch fetch;
    struct outbound url;
    struct buf into;
    bool done;
    int rc;
    char why[300];
};

static struct buf *answered(struct fetch *x, struct str rec, size_t size)
{
    struct asked *a = (struct asked *)(void *)x;
    assert_int_equal(rec_u64(rec, FETCH_STATUS, 0), 200);
    buf_init(&a->into, size + 1);
    return &a->into;
}

static void done(struct fetch *x, const struct fetch_outcome *o)
{
    struct asked *a = (struct asked *)(void *)x;
    assert_false(a->done);
    a->done = true;
    a->rc = o->rc;
    snprintf(a->why, sizeof a->why, "%s", o->why);
}

static void start(struct asked *a, const char *path, struct str body, uint64_t ms,
                  const void *owner)
{
    char url[200];
    snprintf(url, sizeof url, "http://a.example%s", path);
    *a = (struct asked){.fetch = {.method = STR("POST"),
                                  .headers = STR(""),
                                  .body = body,
                                  .max_bytes = 500000,
                                  .owner = owner,
                                  .answered = answered,
                                  .done = done}};
    assert_int_equal(outbound_parse(str_c(url), &a->url, NULL), 0);
    a->fetch.url = &a->url;
    uv_update_time(&loop);
    a->fetch.deadline = uv_now(&loop) + ms;
    fetch_start(fetcher, &a->fetch);
    assert_false(a->done);
}

static void wait_for(struct asked *a)
{
    while (!a->done)
        uv_run(&loop, UV_RUN_ONCE);
}

static int ask(const char *path, struct str body, char why[static 300])
{
    struct asked a;
    start(&a, path, body, 20000, NULL);
    wait_for(&a);
    snprintf(why, 300, "%s", a.why);
    if (a.rc == 0)
        assert_true(str_eq(buf_str(&a.into), body));
    buf_deinit(&a.into);
    return a.rc;
}

static int set_up(void **state)
{
    (void)state;
    uv_loop_init(&loop);
    struct fetcher_opts o = {&loop, open("/proc/self/exe", O_PATH | O_CLOEXEC), -1, 60000};
    fetcher = fetcher_open(&o);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fetcher_close(fetcher);
    uv_run(&loop, UV_RUN_NOWAIT);
    return uv_loop_close(&loop);
}

static void a_good_child(void **state)
{
    (void)state;
    static char big[400000];
    char why[300];
    memset(big, 'b', sizeof big);
    assert_int_equal(ask("/echo", STR("text"), why), 0);
    assert_int_equal(ask("/echo", STR(""), why), 0);
    assert_int_equal(ask("/echo", str_of(big, sizeof big), why), 0);
    assert_int_equal(ask("/refused", STR("x"), why), E_DENIED);
    assert_string_equal(why, "it is private");
}

/* Whatever it does, that request has one end, and the next is served. */
static void a_bad_child(void **state)
{
    (void)state;
    static const char *const ways[] = {
        "/odd-how",    "/other-id", "/twice",  "/junk",  "/huge",     "/huge-body", "/no-rec",
        "/body-first", "/too-much", "/larger", "/short", "/only-end", "/exit",      "/half"};
    char why[300];
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int rc = ask(ways[i], STR("x"), why);
        if (rc != E_IO || !why[0] == (strcmp(ways[i], "/odd-how") != 0))
            fail_msg("%s: %d %s", ways[i], rc, why);
        assert_int_equal(ask("/echo", STR("again"), why), 0);
    }
}

static void time_runs_here(void **state)
{
    (void)state;
    struct asked a, b, late;
    start(&a, "/silence", STR("x"), 60, NULL);
    start(&b, "/silence", STR("x"), 20000, NULL);
    start(&late, "/echo", STR("x"), 0, NULL);
    wait_for(&a);
    assert_int_equal(a.rc, E_TIMEOUT);
    assert_false(b.done);
    wait_for(&late);
    assert_int_equal(late.rc, E_TIMEOUT);
    buf_deinit(&late.into);
    fetch_cancel(&b.fetch);
    fetch_cancel(&b.fetch);
    assert_false(b.done);
    wait_for(&b);
    assert_int_equal(b.rc, E_ABORTED);
}

/* It takes no bytes: those that wait behind it end in their time (and some), the next is served. */
static void a_deaf_child(void **state)
{
    (void)state;
    static char big[7000000];
    struct asked a, b;
    char why[300];
    start(&a, "/deaf", STR("x"), 100, NULL);
    start(&b, "/echo", str_of(big, sizeof big), 200, NULL);
    wait_for(&a);
    uint64_t began = uv_hrtime();
    wait_for(&b);
    assert_int_equal(a.rc, E_TIMEOUT);
    assert_int_equal(b.rc, E_TIMEOUT);
    assert_true(uv_hrtime() - began < 5 * UINT64_C(1000000000));
    assert_int_equal(ask("/echo", STR("again"), why), 0);
}

static void owners_are_bounded(void **state)
{
    (void)state;
    enum { MANY = 70 };
    static struct asked many[MANY], other;
    static int owner, neighbour;
    size_t refused = 0;
    for (int i = 0; i < MANY; i++)
        start(&many[i], "/silence", STR("x"), 150, &owner);
    start(&other, "/echo", STR("y"), 20000, &neighbour);
    wait_for(&other);
    assert_int_equal(other.rc, 0);
    buf_deinit(&other.into);
    for (int i = 0; i < MANY; i++) {
        wait_for(&many[i]);
        refused += many[i].rc == E_THROTTLED;
        assert_true(many[i].rc == E_THROTTLED || many[i].rc == E_TIMEOUT);
    }
    assert_int_equal(refused, MANY - 64);
}

/* Closed in the middle of it: everything ends. */
static void closing(void **state)
{
    (void)state;
    static char big[7000000];
    struct asked a, b;
    start(&a, "/silence", str_of(big, sizeof big), 900000, NULL);
    start(&b, "/echo", STR("x"), 900000, NULL);
    fetcher_close(fetcher);
    assert_true(a.done && b.done && a.rc && (b.rc || b.into.n == 1));
    buf_deinit(&b.into);
    struct fetcher_opts o = {&loop, -1, -1, 60000}; /* and where there is no program */
    fetcher = fetcher_open(&o);
    char why[300];
    assert_int_equal(ask("/echo", STR("x"), why), E_IO);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (strcmp(argv[0], "perilune-fetch") == 0)
        return child();
    signal(SIGPIPE, SIG_IGN);
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_good_child), CASE(a_bad_child),        CASE(time_runs_here),
        CASE(a_deaf_child), CASE(owners_are_bounded), CASE(closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
