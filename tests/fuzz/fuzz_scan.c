/* The head scan: the same verdict however the bytes arrive, and what it lets pass is split, as http-parser
 * splits it when it is given the whole of it. */
#include <http_parser.h>

#include "base/arena.h"
#include "fuzz.h"
#include "net/http.h"
#include "net/scan.h"
#include "net/split.h"

static enum scan_rc in_pieces(struct scan *s, struct str in, size_t piece)
{
    enum scan_rc rc = SCAN_MORE;
    *s = (struct scan){0};
    for (size_t n = 0; rc == SCAN_MORE && n < in.n;) {
        n = n + piece < in.n ? n + piece : in.n;
        rc = scan_head(s, str_of(in.p, n));
    }
    return rc;
}

struct reading {
    const struct http_req *req;
    size_t names, values;
};

static int on_name(http_parser *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    CHECK(r->names < r->req->header_count);
    CHECK(str_eq(r->req->headers[r->names++].name, str_of(at, n)));
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    CHECK(str_eq(r->req->headers[r->values++].value, str_trim(str_of(at, n))));
    return 0;
}

static int on_head_end(http_parser *p)
{
    (void)p;
    return 1;
}

static void read_whole(struct str head, const struct http_req *req)
{
    static const http_parser_settings settings = {.on_header_field = on_name,
                                                  .on_header_value = on_value,
                                                  .on_headers_complete = on_head_end};
    struct reading r = {.req = req};
    http_parser p;
    http_parser_init(&p, HTTP_REQUEST);
    p.data = &r;
    CHECK(http_parser_execute(&p, &settings, head.p, head.n) == head.n);
    CHECK(HTTP_PARSER_ERRNO(&p) == HPE_OK && r.names == req->header_count);
    CHECK(r.values == r.names);
}

static void split(struct str in, const struct scan *s)
{
    struct arena *a = arena_new(1 << 20);
    struct http_header headers[SCAN_HEADERS_MAX];
    struct http_req req = {.arena = a};
    int rc = split_head(str_of(in.p, s->at), s, &req, headers);
    CHECK(rc == 0 || rc == 400 || rc == 501);
    if (rc == 0) {
        CHECK(req.header_count <= SCAN_HEADERS_MAX);
        CHECK(scan_token(req.method) && req.path.n > 0);
        for (size_t i = 0; i < req.header_count; i++)
            CHECK(scan_token(headers[i].name) && scan_value(headers[i].value));
        read_whole(str_of(in.p, s->at), &req);
    }
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    char *copy = fuzz_copy(in);
    struct scan whole, bytewise;
    in.p = copy;
    enum scan_rc a = in_pieces(&whole, in, size ? size : 1), b = in_pieces(&bytewise, in, 1);
    CHECK(a == b);
    if (a == SCAN_DONE) {
        CHECK(whole.at == bytewise.at && whole.at <= size && (whole.has_host || whole.minor == 0));
        CHECK(whole.content_length == bytewise.content_length);
        split(in, &whole);
    } else if (a == SCAN_BAD) {
        CHECK(whole.status == bytewise.status && whole.status >= 400 && whole.why);
    }
    free(copy);
    return 0;
}
