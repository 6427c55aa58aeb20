/* http_help: the HTTP server in a thread, whose paths say what becomes of a request, and clients that
 * speak byte by byte. */
#ifndef HTTP_HELP_H
#define HTTP_HELP_H

#include "base/clock.h"
#include "base/err.h"
#include "net/http.h"
#include "unit.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the server ------------------------------------------------------------------------------- */

static uv_thread_t thread;
static uv_loop_t loop;
static uv_async_t stop;
static struct http_server *server;
static atomic_int port, requests, gone_calls, drained_calls, most_waiting, drain_done;
static atomic_int want_drain;
static struct http_req *held[64];
static int held_count;
static uv_timer_t held_timer;

static inline void plain(struct http_req *req, int status, struct str body)
{
    struct http_header h[] = {{STR("Content-Type"), STR("text/plain")}};
    http_reply(req, status, h, 1, body);
}

static inline void on_held(uv_timer_t *t)
{
    (void)t;
    int n = held_count;
    held_count = 0;
    for (int i = 0; i < n; i++)
        plain(held[i], 200, held[i]->path);
}

static inline void on_collected(struct http_req *req, int rc, struct str body)
{
    if (rc == 0)
        plain(req, 200, body);
    else
        plain(req, err_row(rc)->status, STR("refused"));
}

/* A sink that pauses after every run and goes on a moment later. */
struct sinking {
    uint64_t bytes, sum;
    int rc, runs;
    bool ended;
    uv_timer_t timer;
    struct http_req *req;
};

/* The body, in memory that is given away. */
static inline void echo_owned(struct http_req *req, int rc, struct str body)
{
    char *copy = malloc(body.n + 7);
    memcpy(copy + 7, body.p, body.n);
    http_reply_owned(req, rc ? 413 : 200, NULL, 0, str_of(copy + 7, body.n), copy);
}

static inline void on_sink_closed(uv_handle_t *h)
{
    free(h->data);
}

static inline void on_sink_timer(uv_timer_t *t)
{
    struct sinking *s = t->data;
    http_body_resume(s->req);
}

static inline void sink_data(struct http_req *req, struct str bytes)
{
    struct sinking *s = req->user;
    s->bytes += bytes.n;
    for (size_t i = 0; i < bytes.n; i++)
        s->sum = s->sum * 31 + (unsigned char)bytes.p[i];
    s->runs++;
    if (str_is(req->path, "/slow-sink")) {
        http_body_pause(req);
        uv_timer_start(&s->timer, on_sink_timer, 1, 0);
    }
}

static inline void sink_end(struct http_req *req, int rc)
{
    struct sinking *s = req->user;
    char text[80];
    int n = snprintf(text, sizeof text, "%d %llu %llu", rc, (unsigned long long)s->bytes,
                     (unsigned long long)s->sum);
    plain(req, rc ? err_row(rc)->status : 200, str_of(text, (size_t)n));
    uv_close((uv_handle_t *)&s->timer, on_sink_closed);
}

static const struct http_sink sink = {sink_data, sink_end};

static inline void start_sink(struct http_req *req, uint64_t limit)
{
    struct sinking *s = calloc(1, sizeof *s);
    s->req = req;
    req->user = s;
    uv_timer_init(&loop, &s->timer);
    s->timer.data = s;
    http_body_stream(req, limit, &sink);
}

/* A streamed reply of req->query bytes, as fast as the client reads. */
struct pouring {
    uint64_t left;
};

static inline void pour(struct http_req *req)
{
    static char block[32 * 1024];
    struct pouring *p = req->user;
    memset(block, 'x', sizeof block);
    while (p->left && !req->gone) {
        size_t n = p->left < sizeof block ? (size_t)p->left : sizeof block;
        size_t waiting = http_reply_write(req, str_of(block, n));
        p->left -= n;
        if ((int)waiting > most_waiting)
            most_waiting = (int)waiting;
        if (waiting > 256 * 1024) {
            http_reply_drained(req, pour);
            return;
        }
    }
    drained_calls++;
    http_reply_end(req, true);
}

static inline void start_pour(struct http_req *req, bool sized)
{
    struct pouring *p = arena_zalloc(req->arena, sizeof *p);
    str_u64(req->query, &p->left);
    req->user = p;
    http_reply_begin(req, 200, NULL, 0, sized ? (int64_t)p->left : -1);
    pour(req);
}

static inline void on_gone(struct http_req *req)
{
    gone_calls++;
    http_reply_end(req, true);
}

static inline void on_request(struct http_req *req, void *ctx)
{
    (void)ctx;
    struct str path = req->path;
    requests++;
    if (str_is(path, "/hello")) {
        plain(req, 200, STR("hello"));
    } else if (str_is(path, "/echo")) {
        http_body_collect(req, 8 << 20, on_collected);
    } else if (str_is(path, "/echo-owned")) {
        http_body_collect(req, 8 << 20, echo_owned);
    } else if (str_is(path, "/small")) {
        http_body_collect(req, 10, on_collected);
    } else if (str_is(path, "/nothing")) {
        http_body_collect(req, 0, on_collected);
    } else if (str_starts(path, STR("/later"))) {
        held[held_count++] = req;
        uv_timer_start(&held_timer, on_held, 20, 0);
    } else if (str_is(path, "/sink") || str_is(path, "/slow-sink")) {
        start_sink(req, str_is(req->query, "limited") ? 100 : 0);
    } else if (str_is(path, "/pour") || str_is(path, "/pour-sized")) {
        start_pour(req, str_is(path, "/pour-sized"));
    } else if (str_is(path, "/events")) {
        http_reply_begin(req, 200, NULL, 0, -1);
        http_reply_write(req, STR("first\n"));
        http_on_gone(req, on_gone);
    } else if (str_is(path, "/deny")) {
        plain(req, 403, STR("no"));
    } else if (str_is(path, "/empty")) {
        http_reply(req, 204, NULL, 0, STR("never sent"));
    } else if (str_is(path, "/inject")) {
        struct http_header h[] = {{STR("X-Good"), STR("1")},
                                  {STR("X-Bad"), STR("1\r\nSet-Cookie: evil")},
                                  {STR("X Bad"), STR("1")},
                                  {STR("Content-Length"), STR("999")},
                                  {STR("Transfer-Encoding"), STR("chunked")},
                                  {STR("connection"), STR("upgrade")}};
        http_reply(req, 200, h, 6, STR("ok"));
    } else if (str_is(path, "/cut")) {
        http_reply_begin(req, 200, NULL, 0, -1);
        http_reply_write(req, STR("partial"));
        http_reply_end(req, false);
    } else if (str_is(path, "/short")) {
        http_reply_begin(req, 200, NULL, 0, 100);
        http_reply_write(req, STR("partial"));
        http_reply_end(req, true);
    } else if (str_is(path, "/head")) {
        http_reply_head(req, 200, NULL, 0, 123456);
    } else if (str_is(path, "/what")) {
        char text[600];
        int n = snprintf(text, sizeof text, "%.*s|%.*s|%.*s|%.*s|%s|%d", STR_FMT(req->method),
                         STR_FMT(req->target), STR_FMT(req->host), STR_FMT(req->query), req->peer,
                         (int)strlen(req->id));
        plain(req, 200, str_of(text, (size_t)n));
    } else {
        plain(req, str_is(path, "*") ? 204 : 404, STR("not here"));
    }
}

static inline void on_drained(void *ctx)
{
    (void)ctx;
    drain_done = 1;
}

static inline void on_stop(uv_async_t *a)
{
    if (want_drain == 1) {
        want_drain = 2;
        http_drain(server, on_drained, NULL);
        return;
    }
    http_close(server);
    uv_close((uv_handle_t *)&held_timer, NULL);
    uv_close((uv_handle_t *)a, NULL);
}

static inline void serve(void *arg)
{
    char err[200];
    uint32_t *deadlines = arg;
    uv_loop_init(&loop);
    uv_async_init(&loop, &stop, on_stop);
    uv_timer_init(&loop, &held_timer);
    server = http_listen(&loop, "127.0.0.1:0", on_request, NULL, err, sizeof err);
    if (deadlines)
        http_set_deadlines(server, deadlines[0], deadlines[1], deadlines[2]);
    port = http_port(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    http_free(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        port = -1; /* seen by tear_down */
}

static inline void start(uint32_t *deadlines)
{
    port = requests = gone_calls = drained_calls = most_waiting = drain_done = want_drain = 0;
    held_count = 0;
    uv_thread_create(&thread, serve, deadlines);
    while (!port)
        usleep(1000);
}

static inline int set_up(void **state)
{
    (void)state;
    start(NULL);
    return 0;
}

static inline int set_up_hasty(void **state)
{
    static uint32_t hasty[] = {200, 200, 300};
    (void)state;
    start(hasty);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    want_drain = 0;
    uv_async_send(&stop);
    uv_thread_join(&thread);
    return port == -1 ? -1 : 0;
}

/* --- the client ------------------------------------------------------------------------------- */

struct client {
    int fd;
    char in[256 * 1024];
    size_t n;
};

static inline struct client *client_open(void)
{
    struct client *c = calloc(1, sizeof *c);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = 5};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof a), 0);
    return c;
}

static inline void client_close(struct client *c)
{
    close(c->fd);
    free(c);
}

static inline void say(struct client *c, const char *text)
{
    struct str s = str_c(text);
    while (s.n) {
        ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
        assert_true(n > 0);
        s = str_from(s, (size_t)n);
    }
}

/* Reads until `text` has come; fails on the end or a time-out. */
static inline void hear(struct client *c, const char *text)
{
    while (str_find(str_of(c->in, c->n), str_c(text)) < 0) {
        ssize_t n = recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0);
        if (n <= 0)
            fail_msg("no \"%s\" in \"%.*s\"", text, (int)c->n, c->in);
        c->n += (size_t)n;
    }
}

/* Drops what was heard up to and including `text`. */
static inline void past(struct client *c, const char *text)
{
    hear(c, text);
    size_t end = (size_t)str_find(str_of(c->in, c->n), str_c(text)) + strlen(text);
    memmove(c->in, c->in + end, c->n - end);
    c->n -= end;
}

/* Reads to the end of the connection; true when it ended in time. */
static inline bool hear_end(struct client *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return true;
        if (n < 0)
            return false;
        c->n += (size_t)n;
    }
}

static inline bool quiet(struct client *c, int ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return poll(&p, 1, ms) == 0;
}

static inline bool heard(struct client *c, const char *text)
{
    return str_find(str_of(c->in, c->n), str_c(text)) >= 0;
}

/* One exchange on a new connection that the server closes. */
static inline struct client *ask(const char *text)
{
    struct client *c = client_open();
    say(c, text);
    assert_true(hear_end(c));
    return c;
}

static const char hello_request[] = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define HASTY(f) cmocka_unit_test_setup_teardown(f, set_up_hasty, tear_down)

#endif
