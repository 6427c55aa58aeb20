/* The HTTP server end to end: a loop in a thread, raw sockets outside. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "net/http.h"

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

static void plain(struct http_req *req, int status, struct str body)
{
    struct http_header h[] = {{STR("Content-Type"), STR("text/plain")}};
    http_reply(req, status, h, 1, body);
}

static void on_held(uv_timer_t *t)
{
    (void)t;
    int n = held_count;
    held_count = 0;
    for (int i = 0; i < n; i++)
        plain(held[i], 200, held[i]->path);
}

static void on_collected(struct http_req *req, int rc, struct str body)
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
static void echo_owned(struct http_req *req, int rc, struct str body)
{
    char *copy = malloc(body.n + 7);
    memcpy(copy + 7, body.p, body.n);
    http_reply_owned(req, rc ? 413 : 200, NULL, 0, str_of(copy + 7, body.n), copy);
}

static void on_sink_closed(uv_handle_t *h)
{
    free(h->data);
}

static void on_sink_timer(uv_timer_t *t)
{
    struct sinking *s = t->data;
    http_body_resume(s->req);
}

static void sink_data(struct http_req *req, struct str bytes)
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

static void sink_end(struct http_req *req, int rc)
{
    struct sinking *s = req->user;
    char text[80];
    int n = snprintf(text, sizeof text, "%d %llu %llu", rc, (unsigned long long)s->bytes,
                     (unsigned long long)s->sum);
    plain(req, rc ? err_row(rc)->status : 200, str_of(text, (size_t)n));
    uv_close((uv_handle_t *)&s->timer, on_sink_closed);
}

static const struct http_sink sink = {sink_data, sink_end};

static void start_sink(struct http_req *req, uint64_t limit)
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

static void pour(struct http_req *req)
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

static void start_pour(struct http_req *req, bool sized)
{
    struct pouring *p = arena_zalloc(req->arena, sizeof *p);
    str_u64(req->query, &p->left);
    req->user = p;
    http_reply_begin(req, 200, NULL, 0, sized ? (int64_t)p->left : -1);
    pour(req);
}

static void on_gone(struct http_req *req)
{
    gone_calls++;
    http_reply_end(req, true);
}

static void on_request(struct http_req *req, void *ctx)
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

static void on_drained(void *ctx)
{
    (void)ctx;
    drain_done = 1;
}

static void on_stop(uv_async_t *a)
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

static void serve(void *arg)
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

static void start(uint32_t *deadlines)
{
    port = requests = gone_calls = drained_calls = most_waiting = drain_done = want_drain = 0;
    held_count = 0;
    uv_thread_create(&thread, serve, deadlines);
    while (!port)
        usleep(1000);
}

static int set_up(void **state)
{
    (void)state;
    start(NULL);
    return 0;
}

static int set_up_hasty(void **state)
{
    static uint32_t hasty[] = {200, 200, 300};
    (void)state;
    start(hasty);
    return 0;
}

static int tear_down(void **state)
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

static struct client *client_open(void)
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

static void client_close(struct client *c)
{
    close(c->fd);
    free(c);
}

static void say(struct client *c, const char *text)
{
    struct str s = str_c(text);
    while (s.n) {
        ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
        assert_true(n > 0);
        s = str_from(s, (size_t)n);
    }
}

/* Reads until `text` has come; fails on the end or a time-out. */
static void hear(struct client *c, const char *text)
{
    while (str_find(str_of(c->in, c->n), str_c(text)) < 0) {
        ssize_t n = recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0);
        if (n <= 0)
            fail_msg("no \"%s\" in \"%.*s\"", text, (int)c->n, c->in);
        c->n += (size_t)n;
    }
}

/* Drops what was heard up to and including `text`. */
static void past(struct client *c, const char *text)
{
    hear(c, text);
    size_t end = (size_t)str_find(str_of(c->in, c->n), str_c(text)) + strlen(text);
    memmove(c->in, c->in + end, c->n - end);
    c->n -= end;
}

/* Reads to the end of the connection; true when it ended in time. */
static bool hear_end(struct client *c)
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

static bool quiet(struct client *c, int ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return poll(&p, 1, ms) == 0;
}

static bool heard(struct client *c, const char *text)
{
    return str_find(str_of(c->in, c->n), str_c(text)) >= 0;
}

/* One exchange on a new connection that the server closes. */
static struct client *ask(const char *text)
{
    struct client *c = client_open();
    say(c, text);
    assert_true(hear_end(c));
    return c;
}

static const char hello_request[] = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";

/* --- cases ------------------------------------------------------------------------------------ */

static void hello(void **state)
{
    (void)state;
    struct client *c = client_open();
    for (int i = 0; i < 3; i++) {
        say(c, hello_request);
        hear(c, "\r\n\r\nhello");
        assert_true(heard(c, "HTTP/1.1 200 OK\r\n"));
        assert_true(heard(c, "Content-Length: 5\r\n"));
        assert_true(heard(c, "Date: "));
        assert_false(heard(c, "Connection"));
        past(c, "hello");
    }
    say(c, "GET http://a.b:1/what?q=1 HTTP/1.1\r\nHost: h\r\n\r\n");
    past(c, "GET|/what?q=1|a.b:1|q=1|127.0.0.1|36");
    say(c, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    past(c, "204 No Content\r\n");
    say(c, "HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    past(c, "Content-Length: 5\r\n\r\n");
    say(c, "HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n");
    past(c, "Content-Length: 123456\r\n\r\n");
    assert_int_equal(c->n, 0);
    say(c, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(c, "\r\n\r\n");
    assert_false(heard(c, "Content-Length"));
    past(c, "\r\n\r\n");
    say(c, "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_true(hear_end(c));
    assert_true(heard(c, "Connection: close\r\n"));
    client_close(c);
    c = ask("GET /hello HTTP/1.0\r\n\r\n");
    assert_true(heard(c, "Connection: close\r\n"));
    client_close(c);
    c = client_open();
    say(c, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    hear(c, "hello");
    assert_true(heard(c, "Connection: keep-alive\r\n"));
    assert_true(quiet(c, 50));
    client_close(c);
}

static void byte_by_byte(void **state)
{
    (void)state;
    struct client *c = client_open();
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const char *text = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nT: v\r\n\r\n"
                       "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz";
    for (const char *p = text; *p; p++) {
        char piece[2] = {*p, 0};
        say(c, piece);
        if ((p - text) % 8 == 0)
            usleep(500);
    }
    past(c, "\r\n\r\nabcdefg");
    past(c, "\r\n\r\nxyz");
    client_close(c);
}

static void pipelined(void **state)
{
    (void)state;
    enum { N = 200 };
    struct client *c = client_open();
    struct buf b;
    char want[80];
    buf_init(&b, 0);
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0)
            buf_printf(&b, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n%06d", i);
        else if (i % 40 == 1)
            buf_printf(&b, "GET /later/%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
        else
            buf_printf(&b, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
    }
    buf_addc(&b, 0);
    say(c, b.p);
    for (int i = 0; i < N; i++) { /* in order */
        if (i % 3 == 0)
            snprintf(want, sizeof want, "\r\n\r\n%06d", i);
        else if (i % 40 == 1)
            snprintf(want, sizeof want, "\r\n\r\n/later/%d", i);
        else
            snprintf(want, sizeof want, "\r\n\r\nnot here");
        hear(c, want);
        assert_int_equal(str_find(str_of(c->in, c->n), STR("HTTP/1.1 ")), 0);
        size_t first_head = (size_t)str_find(str_of(c->in, c->n), STR("\r\n\r\n"));
        assert_int_equal(str_find(str_of(c->in, c->n), str_c(want)), first_head);
        past(c, want);
    }
    assert_int_equal(c->n, 0);
    assert_int_equal(requests, N);
    buf_deinit(&b);
    client_close(c);
}

/* A client that sends requests and reads nothing must not fill the server's memory. */
static void pipelined_unread(void **state)
{
    (void)state;
    struct client *c = client_open();
    static char many[1 << 20];
    size_t n = 0, sent = 0;
    while (n + 64 < sizeof many)
        n += (size_t)snprintf(many + n, sizeof many - n, "%s", hello_request);
    struct timeval little = {.tv_usec = 300000};
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &little, sizeof little);
    for (int i = 0; i < 40; i++) {
        ssize_t k = send(c->fd, many + sent % n, n - sent % n, MSG_NOSIGNAL);
        if (k <= 0)
            break;
        sent += (size_t)k;
    }
    int before = requests;
    usleep(100000);
    assert_int_equal(requests, before); /* it has stopped by itself */
    assert_true(sent < 40 * n);
    while ((size_t)requests * strlen(hello_request) + strlen(hello_request) <=
           sent) { /* and goes on when read */
        ssize_t k = recv(c->fd, c->in, sizeof c->in, 0);
        assert_true(k > 0);
    }
    client_close(c);
}

static void continue_only_when_taken(void **state)
{
    (void)state;
    struct client *c = client_open();
    say(c, "PUT /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    past(c, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_true(quiet(c, 30));
    say(c, "body");
    past(c, "\r\n\r\nbody");
    /* the head in two pieces */
    say(c, "PUT /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-conti");
    usleep(20000);
    say(c, "nue\r\nContent-Length: 4\r\n\r\n");
    past(c, "HTTP/1.1 100 Continue\r\n\r\n");
    say(c, "BODY");
    past(c, "\r\n\r\nBODY");
    /* the body is already there: no interim answer */
    say(c, "PUT /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nxy");
    hear(c, "\r\n\r\nxy");
    assert_false(heard(c, "100 Continue"));
    client_close(c);
    /* an empty body: clients that wait want to be told all the same */
    c = client_open();
    say(c, "PUT /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    past(c, "HTTP/1.1 100 Continue\r\n\r\n");
    past(c, "HTTP/1.1 200 OK\r\n");
    past(c, "\r\n\r\n");
    say(c, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nz");
    past(c, "\r\n\r\nz");
    client_close(c);
    c = ask("PUT /deny HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    assert_true(heard(c, "HTTP/1.1 403 Forbidden\r\n"));
    assert_true(heard(c, "Connection: close\r\n"));
    assert_false(heard(c, "100 Continue"));
    client_close(c);
    /* refused from the head: the final answer only, and the connection is over */
    c = ask("PUT /deny HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_true(heard(c, "HTTP/1.1 403 Forbidden\r\n"));
    assert_true(heard(c, "Connection: close\r\n"));
    assert_false(heard(c, "100 Continue"));
    client_close(c);
    c = ask("PUT /small HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    assert_true(heard(c, "HTTP/1.1 413 "));
    assert_false(heard(c, "100 Continue"));
    client_close(c);
}

static void limits(void **state)
{
    (void)state;
    struct client *c = client_open();
    say(c, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789");
    past(c, "\r\n\r\n0123456789");
    /* a small body that was not wanted is thrown away, the connection lives */
    say(c, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n01234567890");
    past(c, "HTTP/1.1 413 ");
    past(c, "refused");
    say(c, "POST /deny HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5\r\nhello\r\n0\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    past(c, "HTTP/1.1 403 ");
    past(c, "\r\n\r\nhello");
    say(c, "POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
           "8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n");
    past(c, "HTTP/1.1 413 ");
    past(c, "refused");
    say(c, "POST /nothing HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
           "1\r\nx\r\n0\r\n\r\n");
    past(c, "HTTP/1.1 413 ");
    past(c, "refused");
    say(c, "POST /nothing HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    past(c, "HTTP/1.1 200 ");
    client_close(c);
    /* a large one ends the connection, and the answer still arrives */
    c = client_open();
    say(c, "POST /deny HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n");
    static char chunk[100001];
    memset(chunk, 'x', sizeof chunk - 1);
    for (int i = 0; i < 20; i++)
        say(c, chunk);
    shutdown(c->fd, SHUT_WR);
    assert_true(hear_end(c));
    assert_true(heard(c, "HTTP/1.1 403 "));
    assert_true(heard(c, "Connection: close\r\n"));
    client_close(c);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/1.1\nHost: h\n\n", "HTTP/1.1 400 "},
        {"\x16\x03\x01\x02", "HTTP/1.1 400 "},
        {"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "HTTP/1.1 405 "},
        {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 501 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 "},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
         "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client *c = client_open();
        say(c, cases[i].request);
        hear(c, "}");
        assert_true(heard(c, cases[i].status));
        assert_true(heard(c, "Connection: close\r\n"));
        assert_true(heard(c, "x-amzn-RequestId: "));
        assert_true(heard(c, "x-amz-request-id: "));
        assert_true(heard(c, "Content-Type: application/json\r\n"));
        int before = requests;
        /* what follows an error is not looked at */
        send(c->fd, hello_request, strlen(hello_request), MSG_NOSIGNAL);
        assert_true(hear_end(c));
        assert_false(heard(c, "hello"));
        assert_int_equal(requests, before);
        client_close(c);
    }
    struct client *c = ask("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
                           "GET /deny HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(heard(c, "hello"));
    assert_false(heard(c, "403"));
    client_close(c);
    /* answers to what came before the bad request are not lost */
    c = ask("GET /hello HTTP/1.1\r\nHost: h\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n"
            "bad request\r\n\r\n");
    past(c, "\r\n\r\nhello");
    past(c, "\r\n\r\nhello");
    past(c, "400 Bad Request");
    client_close(c);
}

static void caps(void **state)
{
    (void)state;
    static char text[80 * 1024];
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "GET /", 5);
    struct client *c = client_open();
    say(c, text);
    hear(c, "HTTP/1.1 414 ");
    assert_true(hear_end(c));
    client_close(c);
    memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
    c = client_open();
    say(c, text);
    hear(c, "HTTP/1.1 431 ");
    assert_true(hear_end(c));
    client_close(c);
}

static void headers_cannot_be_injected(void **state)
{
    (void)state;
    struct client *c = client_open();
    say(c, "GET /inject HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(c, "\r\n\r\nok");
    assert_true(heard(c, "X-Good: 1\r\n"));
    assert_true(heard(c, "Content-Length: 2\r\n"));
    assert_false(heard(c, "evil"));
    assert_false(heard(c, "X Bad"));
    assert_false(heard(c, "999"));
    assert_false(heard(c, "chunked"));
    assert_false(heard(c, "upgrade"));
    client_close(c);
}

static void sinks(void **state)
{
    (void)state;
    static char body[300001];
    char want[100];
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof body - 1; i++) {
        body[i] = (char)('a' + i * 7 % 26);
        sum = sum * 31 + (unsigned char)body[i];
    }
    snprintf(want, sizeof want, "\r\n\r\n0 300000 %llu", (unsigned long long)sum);
    static const char *const paths[] = {"/sink", "/slow-sink"};
    for (int i = 0; i < 4; i++) {
        struct client *c = client_open();
        char head[200];
        snprintf(head, sizeof head, "PUT %s HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", paths[i % 2],
                 i < 2 ? "Content-Length: 300000" : "Transfer-Encoding: chunked");
        say(c, head);
        if (i >= 2)
            say(c, "493e0\r\n");
        say(c, body);
        if (i >= 2)
            say(c, "\r\n0\r\n\r\n");
        say(c, hello_request);
        past(c, want);
        past(c, "\r\n\r\nhello");
        client_close(c);
    }
    struct client *c = client_open();
    say(c, "PUT /sink?limited HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n");
    hear(c, "HTTP/1.1 413 ");
    client_close(c);
    c = client_open();
    say(c, "PUT /sink?limited HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n");
    body[0x50] = 0;
    say(c, body);
    say(c, "\r\n50\r\n");
    say(c, body);
    hear(c, "HTTP/1.1 413 ");
    client_close(c);
}

/* The process must not grow with the size of an upload. */
static void large_upload(void **state)
{
    (void)state;
    static char chunk[256 * 1024 + 1];
    struct rusage before, after;
    struct client *c = client_open();
    memset(chunk, 'u', sizeof chunk - 1);
    say(c, "PUT /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 268435456\r\n\r\n");
    say(c, chunk);
    getrusage(RUSAGE_SELF, &before);
    for (int i = 1; i < 1024; i++)
        say(c, chunk);
    hear(c, "\r\n\r\n0 268435456 ");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 2048);
    client_close(c);
}

static void echo_large(const char *path)
{
    enum { SIZE = 6291556 };
    struct client *c = client_open();
    char *body = malloc(SIZE + 1), head[100];
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (char)('A' + i % 57);
    body[SIZE] = 0;
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", path,
             SIZE);
    say(c, head);
    say(c, body);
    say(c, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"); /* waits its turn behind the answer */
    past(c, "\r\n\r\n");
    for (size_t at = 0; at < SIZE;) {
        size_t n = c->n < SIZE - at ? c->n : SIZE - at;
        assert_memory_equal(c->in, body + at, n);
        at += n;
        memmove(c->in, c->in + n, c->n - n);
        c->n -= n;
        if (at == SIZE)
            break;
        ssize_t more = recv(c->fd, c->in, sizeof c->in, 0);
        assert_true(more > 0);
        c->n = (size_t)more;
    }
    past(c, "HTTP/1.1 200 OK\r\n");
    free(body);
    client_close(c);
}

static void large_echo(void **state)
{
    (void)state;
    echo_large("/echo");
    echo_large("/echo-owned");
}

/* Gone in the middle of a large answer: the memory is freed, the server goes on. */
static void gone_in_owned(void **state)
{
    (void)state;
    struct client *c = client_open();
    say(c, "POST /echo-owned HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n");
    static char block[80001];
    memset(block, 'x', sizeof block - 1);
    for (int i = 0; i < 100; i++)
        say(c, block);
    past(c, "\r\n\r\n");
    client_close(c);
    c = client_open();
    say(c, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    past(c, "HTTP/1.1 200 OK\r\n");
    client_close(c);
}

static void back_pressure(void **state)
{
    (void)state;
    static const char *const paths[] = {"/pour-sized?30000000", "/pour?30000000"};
    for (int i = 0; i < 2; i++) {
        struct client *c = client_open();
        char head[100];
        snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", paths[i]);
        say(c, head);
        usleep(100000); /* reads nothing: the server has to wait */
        assert_int_equal(drained_calls, i);
        past(c, "\r\n\r\n");
        size_t x = 0, other = 0;
        while (x < 30000000) {
            for (size_t k = 0; k < c->n; k++)
                if (c->in[k] == 'x')
                    x++;
                else
                    other++;
            c->n = 0;
            if (x == 30000000)
                break;
            ssize_t n = recv(c->fd, c->in, sizeof c->in, 0);
            assert_true(n > 0);
            c->n = (size_t)n;
        }
        assert_int_equal(x, 30000000);
        assert_true(i ? other > 0 : other == 0);
        client_close(c);
    }
    assert_true(most_waiting < 600 * 1024);
    struct client *c = ask("GET /pour?5 HTTP/1.0\r\n\r\n");
    assert_true(heard(c, "\r\n\r\nxxxxx"));
    assert_false(heard(c, "chunked"));
    client_close(c);
    c = client_open();
    say(c, "GET /pour?5 HTTP/1.1\r\nHost: h\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    past(c, "\r\n\r\n5\r\nxxxxx\r\n0\r\n\r\n");
    past(c, "\r\n\r\nhello");
    say(c, "HEAD /pour-sized?5 HTTP/1.1\r\nHost: h\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    past(c, "Content-Length: 5\r\n\r\nHTTP/1.1 200 OK");
    client_close(c);
}

static void cut_short(void **state)
{
    (void)state;
    struct client *c = ask("GET /cut HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(heard(c, "0\r\n\r\n"));
    client_close(c);
    c = ask("GET /short HTTP/1.1\r\nHost: h\r\n\r\n");
    client_close(c);
}

static void wait_for(atomic_int *what, int value)
{
    for (int i = 0; *what != value && i < 3000; i++)
        usleep(1000);
    assert_int_equal(*what, value);
}

static void client_gone(void **state)
{
    (void)state;
    /* an event stream hears that its client has left */
    struct client *c = client_open();
    say(c, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(c, "first");
    assert_int_equal(gone_calls, 0);
    client_close(c);
    wait_for(&gone_calls, 1);
    c = client_open();
    say(c, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(c, "first");
    shutdown(c->fd, SHUT_WR);
    wait_for(&gone_calls, 2);
    assert_true(hear_end(c));
    client_close(c);
    /* a reply to nobody is swallowed */
    c = client_open();
    say(c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    usleep(5000);
    struct linger hard = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    client_close(c);
    /* a client that goes in the middle of its body, or of an answer */
    c = client_open();
    say(c, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf");
    usleep(5000);
    client_close(c);
    c = client_open();
    say(c, "POST /slow-sink HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf");
    client_close(c);
    c = client_open();
    say(c, "GET /pour?30000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    hear(c, "xxx");
    client_close(c);
    wait_for(&drained_calls, 1);
    /* ending one's own side is not leaving */
    c = client_open();
    say(c, "GET /later/a HTTP/1.1\r\nHost: h\r\n\r\nGET /later/b HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(c->fd, SHUT_WR);
    assert_true(hear_end(c));
    assert_true(heard(c, "\r\n\r\n/later/a"));
    assert_true(heard(c, "\r\n\r\n/later/b"));
    client_close(c);
    c = client_open();
    say(c, hello_request);
    hear(c, "hello");
    client_close(c);
}

static void deadlines(void **state)
{
    (void)state;
    struct client *silent = client_open(), *slow = client_open(), *body = client_open(),
                  *stream = client_open(), *idle = client_open(), *deaf = client_open();
    uint64_t begin = clock_mono_ns();
    say(slow, "GET /hello HT");
    say(body, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    say(stream, "POST /sink HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    say(idle, hello_request);
    say(deaf, "GET /pour?30000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 4; i++) { /* bytes of the head do not prolong its deadline */
        usleep(30000);
        send(slow->fd, "x", 1, MSG_NOSIGNAL);
    }
    assert_true(hear_end(slow));
    assert_true(heard(slow, "HTTP/1.1 408 "));
    assert_true(clock_mono_ns() - begin < 1500000000u);
    hear(body, "HTTP/1.1 408 ");
    hear(stream, "HTTP/1.1 408 ");
    assert_true(heard(body, "Connection: close\r\n"));
    assert_true(hear_end(silent));
    assert_int_equal(silent->n, 0);
    assert_true(hear_end(idle));
    assert_true(heard(idle, "hello"));
    wait_for(&drained_calls, 1); /* the deaf client was given up */
    assert_true(clock_mono_ns() - begin < 3000000000u);
    client_close(silent);
    client_close(slow);
    client_close(body);
    client_close(stream);
    client_close(idle);
    client_close(deaf);
}

static void progress_prolongs(void **state)
{
    (void)state;
    struct client *c = client_open();
    say(c, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n");
    for (int i = 0; i < 8; i++) { /* 800 ms in all, more than the deadline */
        usleep(100000);
        say(c, "p");
    }
    hear(c, "\r\n\r\npppppppp");
    client_close(c);
}

static void drains(void **state)
{
    (void)state;
    struct client *busy = client_open(), *idle = client_open(), *last = client_open();
    say(idle, hello_request);
    hear(idle, "hello");
    say(busy, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    usleep(5000);
    want_drain = 1;
    uv_async_send(&stop);
    while (want_drain != 2)
        usleep(100);
    say(last, hello_request); /* was on its way */
    hear(last, "hello");
    assert_true(heard(last, "Connection: close\r\n"));
    assert_true(hear_end(busy));
    assert_true(heard(busy, "\r\n\r\n/later"));
    assert_true(heard(busy, "Connection: close\r\n"));
    assert_true(hear_end(idle));
    assert_true(hear_end(last));
    wait_for(&drain_done, 1);
    client_close(busy);
    client_close(idle);
    client_close(last);
}

static void refuses_addresses(void **state)
{
    (void)state;
    uv_loop_t l;
    char err[200], taken[40];
    uv_loop_init(&l);
    static const char *const bad[] = {
        "", "1969", "nowhere:1969", "127.0.0.1:", "1.2.3:4", "127.0.0.1:65536", ":80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(http_listen(&l, bad[i], on_request, NULL, err, sizeof err));
    snprintf(taken, sizeof taken, "127.0.0.1:%d", port);
    assert_null(http_listen(&l, taken, on_request, NULL, err, sizeof err));
    assert_non_null(strstr(err, taken));
    assert_non_null(strstr(err, "address in use"));
    assert_int_equal(uv_loop_close(&l), 0);
}

/* Out of descriptors: clients wait in the kernel's queue, the loop does not spin, and service goes
 * on when some are free again. */
static void out_of_descriptors(void **state)
{
    (void)state;
    struct rlimit old, low;
    int spare[512], n = 0;
    getrlimit(RLIMIT_NOFILE, &old);
    struct client *c = client_open();
    say(c, hello_request);
    past(c, "hello");
    struct client *late = calloc(1, sizeof *late);
    late->fd = socket(AF_INET, SOCK_STREAM, 0);
    low = (struct rlimit){(rlim_t)late->fd + 1, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    while (n < 512 && (spare[n] = dup(0)) >= 0)
        n++;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(late->fd, (struct sockaddr *)&a, sizeof a), 0);
    say(late, hello_request);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    assert_true(quiet(late, 300));
    getrusage(RUSAGE_SELF, &after);
    long us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec -
               before.ru_stime.tv_sec) *
                  1000000 +
              after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
              before.ru_stime.tv_usec;
    assert_true(us < 50000);
    say(c, hello_request); /* old connections are served */
    past(c, "hello");
    while (n > 0)
        close(spare[--n]);
    setrlimit(RLIMIT_NOFILE, &old);
    hear(late, "hello");
    client_close(late);
    client_close(c);
}

static void many_connections(void **state)
{
    (void)state;
    enum { N = 300 };
    static int fds[N];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < N; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&a, sizeof a), 0);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            assert_int_equal(send(fds[i], hello_request, strlen(hello_request), 0),
                             strlen(hello_request));
        for (int i = 0; i < N; i++) {
            char in[400];
            ssize_t n = recv(fds[i], in, sizeof in, 0);
            assert_true(n > 100);
            assert_int_equal(in[n - 1], 'o');
        }
    }
    for (int i = 0; i < N; i++)
        close(fds[i]);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define HASTY(f) cmocka_unit_test_setup_teardown(f, set_up_hasty, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(hello),
        CASE(byte_by_byte),
        CASE(pipelined),
        CASE(pipelined_unread),
        CASE(continue_only_when_taken),
        CASE(limits),
        CASE(refusals),
        CASE(caps),
        CASE(headers_cannot_be_injected),
        CASE(sinks),
        CASE(large_upload),
        CASE(large_echo),
        CASE(gone_in_owned),
        CASE(back_pressure),
        CASE(cut_short),
        CASE(client_gone),
        HASTY(deadlines),
        HASTY(progress_prolongs),
        CASE(drains),
        CASE(refuses_addresses),
        CASE(out_of_descriptors),
        CASE(many_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
