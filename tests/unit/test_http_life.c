/* http: connections that end, are late, are drained, or are many. */
#include "http_help.h"

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

/* 0.3 ms a request, and told by its path whose it was. */
static int served[16], served_all;
static void slow_request(struct http_req *req, void *ctx)
{
    (void)ctx;
    uint64_t end = clock_mono_ns() + 300 * 1000;
    while (clock_mono_ns() < end)
        ;
    served[req->path.p[1] - 'a']++;
    served_all++;
    plain(req, 200, STR("hello"));
}

/* Many send at once: a turn serves a few of them, and who was left over comes before those that send again. */
static void turn_has_its_end(void **state)
{
    (void)state;
    enum { N = 16, ROUNDS = 5 };
    uv_loop_t l;
    char err[200];
    int fds[N];
    uv_loop_init(&l);
    struct http_server *s = http_listen(&l, "127.0.0.1:0", slow_request, NULL, err, sizeof err);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(s))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < N; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&a, sizeof a), 0);
    }
    for (int i = 0; i < 10; i++)
        uv_run(&l, UV_RUN_NOWAIT); /* all are accepted */
    memset(served, 0, sizeof served);
    int sent[N] = {0};
    for (served_all = 0; served_all < N * ROUNDS;) {
        for (int i = 0; i < N; i++)
            if (sent[i] == served[i] && sent[i] < ROUNDS) {
                char text[60];
                int n = snprintf(text, sizeof text, "GET /%c HTTP/1.1\r\nHost: h\r\n\r\n", 'a' + i);
                assert_int_equal(send(fds[i], text, (size_t)n, 0), n);
                sent[i]++;
            }
        int before = served_all, least = ROUNDS, most = 0;
        uv_run(&l, UV_RUN_NOWAIT);
        assert_true(served_all - before <=
                    6); /* 0.6 ms of those that were late, and as much of others */
        for (int i = 0; i < N; i++) {
            least = served[i] < least ? served[i] : least;
            most = served[i] > most ? served[i] : most;
        }
        assert_true(most - least <= 2);
    }
    http_close(s);
    uv_run(&l, UV_RUN_DEFAULT);
    http_free(s);
    uv_run(&l, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&l), 0);
    for (int i = 0; i < N; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(client_gone),      HASTY(deadlines),        HASTY(progress_prolongs),
        CASE(drains),           CASE(refuses_addresses), CASE(out_of_descriptors),
        CASE(many_connections), CASE(turn_has_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
