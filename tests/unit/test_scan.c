/* The strict head scan, case by case, whole and in pieces; then the split. */
#include "unit.h"

#include "net/scan.h"
#include "net/split.h"

static char big[64 * 1024];

/* Feeds s in steps of `piece` bytes; the verdict must not depend on it. */
static enum scan_rc feed(struct scan *scan, struct str s, size_t piece)
{
    enum scan_rc rc = SCAN_MORE;
    *scan = (struct scan){0};
    for (size_t n = piece; rc == SCAN_MORE; n += piece) {
        if (n > s.n)
            n = s.n;
        /* a copy of exactly n bytes, so that a sanitizer sees any look beyond */
        char *copy = malloc(n ? n : 1);
        memcpy(copy, s.p, n);
        rc = scan_head(scan, str_of(copy, n));
        free(copy);
        if (n == s.n)
            break;
    }
    return rc;
}

static int status_of(struct str s)
{
    struct scan whole, bytes, odd;
    enum scan_rc rc = feed(&whole, s, s.n);
    assert_int_equal(feed(&bytes, s, 1), rc);
    assert_int_equal(feed(&odd, s, 7), rc);
    if (rc == SCAN_BAD) {
        assert_non_null(whole.why);
        assert_int_equal(whole.status, bytes.status);
        assert_int_equal(whole.status, odd.status);
        return whole.status;
    }
    assert_int_equal(whole.at, bytes.at);
    assert_int_equal(whole.content_length, bytes.content_length);
    return rc == SCAN_DONE ? 200 : 0;
}

struct row {
    int status; /* 200 passes, 0 wants more */
    struct str head;
};
#define ROW(status, text)                                                                          \
    {                                                                                              \
        status,                                                                                    \
        {                                                                                          \
            text, sizeof(text) - 1                                                                 \
        }                                                                                          \
    }
#define H "Host: h\r\n"
#define G "GET / HTTP/1.1\r\n"

static const struct row rows[] = {
    /* well-formed */
    ROW(200, G H "\r\n"),
    ROW(200, "\r\n" G H "\r\n"),
    ROW(200, "GET / HTTP/1.0\r\n\r\n"),
    ROW(200, "GET /a?b=c%20d HTTP/1.1\r\nHost: a.b:80\r\nX-Y:\r\nZ: \t v \t\r\n\r\n"),
    ROW(200, G "Host: [::1]:1969\r\n\r\n"),
    ROW(200, "GET http://other/x HTTP/1.1\r\n" H "\r\n"),
    ROW(200, "GET http://other HTTP/1.1\r\n" H "\r\n"),
    ROW(200, "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    ROW(200, "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"),
    ROW(200, "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n"),
    ROW(200, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
    ROW(200, "POST / HTTP/1.1\r\n" H "transfer-encoding:\tCHUNKED \r\n\r\n"),
    ROW(200, "PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"),
    ROW(200, G H "X: caf\xc3\xa9\r\n\r\n"),
    ROW(200, G H "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
    /* incomplete */
    ROW(0, ""),
    ROW(0, "\r"),
    ROW(0, "\r\n"),
    ROW(0, "GET / HTTP/1.1"),
    ROW(0, G),
    ROW(0, G H),
    ROW(0, G H "\r"),
    /* blanks */
    ROW(400, G "Host : h\r\n\r\n"),
    ROW(400, G "Host\t: h\r\n\r\n"),
    ROW(400, G " Host: h\r\n\r\n"),
    ROW(400, G "\tHost: h\r\n\r\n"),
    ROW(400, G H " folded: x\r\n\r\n"),
    ROW(400, G H "A: b\r\n\tfolded\r\n\r\n"),
    ROW(400, " GET / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "\r\n\r\n" G H "\r\n"),
    ROW(400, "GET  / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET /  HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET / HTTP/1.1 \r\n" H "\r\n"),
    ROW(400, "GET /\tHTTP/1.1\r\n" H "\r\n"),
    /* line ends */
    ROW(400, "GET / HTTP/1.1\n" H "\r\n"),
    ROW(400, G "Host: h\n\r\n"),
    ROW(400, G H "\n"),
    ROW(400, "\n" G H "\r\n"),
    ROW(400, G "Host: h\r\r\n\r\n"),
    ROW(400, G "Host: h\rX: y\r\n\r\n"),
    ROW(400, "GET / HTTP/1.1\r\r\n" H "\r\n"),
    /* control bytes and names */
    ROW(400, G H "X: a\0b\r\n\r\n"),
    ROW(400, G H "X: a\x01\r\n\r\n"),
    ROW(400, G H "X: a\x7f\r\n\r\n"),
    ROW(400, G H "X\0: a\r\n\r\n"),
    ROW(400, G H ": a\r\n\r\n"),
    ROW(400, G H "no colon\r\n\r\n"),
    ROW(400, G H "X(y): a\r\n\r\n"),
    ROW(400, G H "X\xc3\xa9: a\r\n\r\n"),
    ROW(400, "G\0T / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "G@T / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "\x16\x03\x01\x02"),
    /* Host */
    ROW(400, G "\r\n"),
    ROW(400, G H H "\r\n"),
    ROW(400, G H "hOST: h\r\n\r\n"),
    ROW(400, G "Host:\r\n\r\n"),
    ROW(400, G "Host: a b\r\n\r\n"),
    ROW(400, G "Host: u@h\r\n\r\n"),
    ROW(400, G "Host: h/x\r\n\r\n"),
    ROW(400, "GET / HTTP/1.0\r\n" H H "\r\n"),
    ROW(400, "GET http://other/ HTTP/1.1\r\n\r\n"),
    /* version */
    ROW(400, "GET / HTTP/1.2\r\n" H "\r\n"),
    ROW(400, "GET / HTTP/0.9\r\n" H "\r\n"),
    ROW(400, "GET / HTTP/2.0\r\n" H "\r\n"),
    ROW(400, "GET / HTTP/11\r\n" H "\r\n"),
    ROW(400, "GET / HTTP/1.10\r\n" H "\r\n"),
    ROW(400, "GET / http/1.1\r\n" H "\r\n"),
    ROW(400, "GET /\r\n\r\n"),
    ROW(400, "GET\r\n\r\n"),
    ROW(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    /* Transfer-Encoding */
    ROW(400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
             "Transfer-Encoding: chunked\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"),
    ROW(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"),
    ROW(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    ROW(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    ROW(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"),
    ROW(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;x\r\n\r\n"),
    ROW(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
             "chunked\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n"),
    /* Content-Length */
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\nContent-Length: 4\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\ncontent-length: 5\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: 4, 4\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: +4\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: -4\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x4\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: 4a\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: 4 4\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n"),
    ROW(400, "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551620\r\n\r\n"),
    /* targets */
    ROW(400, "GET /a#b HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET /\x7f HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET /a\0b HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET * HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "OPTIONS *x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET a/b HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET ?x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET http:///x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET http://u@h/x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET http:/h/x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, "GET ftp://h/x HTTP/1.1\r\n" H "\r\n"),
    ROW(405, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"),
};

static void each_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = status_of(rows[i].head);
        if (got != rows[i].status)
            fail_msg("row %zu: %d instead of %d for %.*s", i, got, rows[i].status,
                     STR_FMT(rows[i].head));
    }
}

static struct str text(size_t n)
{
    return str_of(big, n);
}

static void caps(void **state)
{
    (void)state;
    struct scan s;
    /* a target of exactly the cap passes, one more byte does not */
    for (size_t extra = 0; extra < 2; extra++) {
        size_t n = (size_t)snprintf(big, sizeof big, "GET /");
        memset(big + n, 'a', SCAN_TARGET_MAX - 1 + extra);
        n += SCAN_TARGET_MAX - 1 + extra;
        n += (size_t)snprintf(big + n, sizeof big - n, " HTTP/1.1\r\n" H "\r\n");
        assert_int_equal(feed(&s, text(n), n), extra ? SCAN_BAD : SCAN_DONE);
        assert_int_equal(s.status, extra ? 414 : 0);
    }
    /* an endless target is refused before its line ends */
    memset(big, 'a', sizeof big);
    memcpy(big, "GET /", 5);
    assert_int_equal(feed(&s, text(SCAN_TARGET_MAX + 100), 1000), SCAN_BAD);
    assert_int_equal(s.status, 414);
    /* a head of exactly the cap passes, one more byte does not; an endless one is refused */
    for (size_t extra = 0; extra < 2; extra++) {
        size_t n = (size_t)snprintf(big, sizeof big, G H "X: ");
        size_t fill = SCAN_HEAD_MAX - n - 4 + extra;
        memset(big + n, 'a', fill);
        memcpy(big + n + fill, "\r\n\r\n", 4);
        assert_int_equal(feed(&s, text(n + fill + 4), n + fill + 4), extra ? SCAN_BAD : SCAN_DONE);
        assert_int_equal(s.status, extra ? 431 : 0);
        assert_int_equal(feed(&s, text(SCAN_HEAD_MAX), 1), extra ? SCAN_BAD : SCAN_DONE);
    }
    memcpy(big, G H "X: ", sizeof(G H "X: ") - 1);
    memset(big + sizeof(G H "X: ") - 1, 'a', sizeof big - sizeof(G H "X: "));
    assert_int_equal(feed(&s, text(sizeof big), 4096), SCAN_BAD);
    assert_int_equal(s.status, 431);
}

static void header_count(void **state)
{
    (void)state;
    struct scan s;
    for (int count = 100; count <= 101; count++) {
        size_t n = (size_t)snprintf(big, sizeof big, G H);
        for (int i = 1; i < count; i++)
            n += (size_t)snprintf(big + n, sizeof big - n, "X-%d: %d\r\n", i, i);
        n += (size_t)snprintf(big + n, sizeof big - n, "\r\n");
        assert_int_equal(feed(&s, text(n), n), count == 100 ? SCAN_DONE : SCAN_BAD);
        assert_int_equal(s.status, count == 100 ? 0 : 431);
    }
}

static void connection_and_expect(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool keep, expect;
    } cases[] = {
        {G H "\r\n", true, false},
        {G H "Connection: close\r\n\r\n", false, false},
        {G H "Connection: x, Close\r\n\r\n", false, false},
        {G H "Connection: keep-alive\r\nConnection: close\r\n\r\n", false, false},
        {G H "Connection: closed\r\n\r\n", true, false},
        {"GET / HTTP/1.0\r\n\r\n", false, false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false},
        {"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false, false},
        {"PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", true, true},
        {"PUT / HTTP/1.1\r\n" H "Expect: the-unexpected\r\n\r\n", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scan s;
        assert_int_equal(feed(&s, str_c(cases[i].head), 3), SCAN_DONE);
        assert_int_equal(s.keep_alive, cases[i].keep);
        assert_int_equal(s.expect, cases[i].expect);
    }
}

static int split(const char *text_, struct http_req *req, struct http_header *headers)
{
    struct scan s;
    struct str head = str_c(text_);
    assert_int_equal(feed(&s, head, head.n), SCAN_DONE);
    assert_int_equal(s.at, head.n);
    return split_head(head, &s, req, headers);
}

static void splits(void **state)
{
    (void)state;
    struct http_header headers[SCAN_HEADERS_MAX];
    struct http_req req = {.arena = arena_new(65536)};
    assert_int_equal(split("\r\nPUT /a%2Fb?c=d?e HTTP/1.1\r\nHost: h:1\r\nEmpty:\r\nX:  y z \t\r\n"
                           "Content-Length: 12\r\n\r\n",
                           &req, headers),
                     0);
    assert_str(req.method, "PUT");
    assert_str(req.target, "/a%2Fb?c=d?e");
    assert_str(req.path, "/a%2Fb");
    assert_str(req.query, "c=d?e");
    assert_str(req.host, "h:1");
    assert_int_equal(req.content_length, 12);
    assert_int_equal(req.header_count, 4);
    assert_str(req.headers[1].name, "Empty");
    assert_str(req.headers[1].value, "");
    assert_str(req.headers[2].value, "y z");
    assert_str(http_header(&req, "content-length"), "12");
    assert_null(http_header(&req, "absent").p);

    static const struct {
        const char *target, *path, *query, *host;
    } forms[] = {
        {"http://a.b:8/p?q", "/p", "q", "a.b:8"},
        {"HTTP://a.b", "/", "", "a.b"},
        {"http://a.b?q=/", "/", "q=/", "a.b"},
        {"https://a/", "/", "", "a"},
        {"/only", "/only", "", "h"},
        {"//x/y", "//x/y", "", "h"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        snprintf(big, sizeof big, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", forms[i].target);
        assert_int_equal(split(big, &req, headers), 0);
        assert_str(req.path, forms[i].path);
        assert_str(req.query, forms[i].query);
        assert_str(req.host, forms[i].host);
    }
    assert_int_equal(split("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", &req, headers), 0);
    assert_str(req.path, "*");
    assert_int_equal(
        split("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n", &req, headers),
        0);
    assert_int_equal(req.content_length, -1);
    assert_int_equal(split("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                           &req, headers),
                     0);
    assert_int_equal(req.header_count, 3);
    /* the second reader is asked about lines as long as those it knows */
    assert_int_equal(
        split("POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Date: d\r\nUpgrade:\r\nConnection: close\r\n"
              "content-length: 007\r\nProxy-Connection: x\r\n\r\n",
              &req, headers),
        0);
    assert_int_equal(req.header_count, 6);
    assert_int_equal(req.content_length, 7);
    assert_int_equal(split("BREW / HTTP/1.1\r\nHost: h\r\n\r\n", &req, headers), 501);
    assert_int_equal(split("get / HTTP/1.1\r\nHost: h\r\n\r\n", &req, headers), 501);
    arena_free(req.arena);
}

/* What passes the scan can be cut: mutations of good heads never reach a disagreement. */
static void mutations(void **state)
{
    (void)state;
    static const char good[] =
        "POST http://a.b:80/x?y=z HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
        "Connection: keep-alive, upgrade\r\nUpgrade: w\r\nExpect: "
        "100-continue\r\nX-Empty:\r\n\r\n";
    struct http_header headers[SCAN_HEADERS_MAX];
    struct arena *arena = arena_new(1 << 20);
    unsigned seed = 1969, passed = 0;
    for (int i = 0; i < 200000; i++) {
        char m[sizeof good];
        memcpy(m, good, sizeof good);
        for (int k = 0; k < 1 + i % 3; k++) {
            seed = seed * 1103515245u + 12345u;
            m[(seed >> 8) % (sizeof good - 1)] =
                i % 2 ? (char)(seed >> 24) : good[(seed >> 16) % (sizeof good - 1)];
        }
        struct scan s = {0};
        if (scan_head(&s, str_of(m, sizeof good - 1)) != SCAN_DONE)
            continue;
        struct http_req req = {.arena = arena};
        int status = split_head(str_of(m, s.at), &s, &req, headers);
        if (status != 0 && status != 501)
            fail_msg("scan and split disagree about %.*s", (int)s.at, m);
        passed++;
        arena_reset(arena);
    }
    assert_true(passed > 1000);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),     cmocka_unit_test(caps),
        cmocka_unit_test(header_count), cmocka_unit_test(connection_and_expect),
        cmocka_unit_test(splits),       cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
