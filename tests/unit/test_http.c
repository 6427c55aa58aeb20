/* http: requests of all shapes and what is answered, by raw sockets. */
#include "http_help.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
