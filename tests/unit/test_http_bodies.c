/* http: bodies, taken and sent as fast as the other side goes. */
#include "http_help.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(sinks),         CASE(large_upload),  CASE(large_echo),
        CASE(gone_in_owned), CASE(back_pressure), CASE(cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
