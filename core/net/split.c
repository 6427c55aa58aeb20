/* split: http-parser at the one job it is trusted with.
 *
 * The scan has already decided what the head means. http-parser cuts it; where its view of header
 * count, framing or version differs from the scan's, the request is refused: two readers that
 * disagree are how requests get smuggled. It is fed the whole head at once, so each callback sees a
 * whole name or value. */
#include "net/split.h"

#include <http_parser.h>

struct cut {
    struct http_header *headers;
    size_t count;
    struct str target;
    bool whole;
};

static int on_url(http_parser *p, const char *at, size_t n)
{
    struct cut *c = p->data;
    c->target = str_of(at, n);
    return 0;
}

static int on_name(http_parser *p, const char *at, size_t n)
{
    struct cut *c = p->data;
    if (c->count == SCAN_HEADERS_MAX)
        return -1;
    c->headers[c->count++] = (struct http_header){.name = str_of(at, n)};
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct cut *c = p->data;
    if (c->count == 0)
        return -1;
    c->headers[c->count - 1].value = str_trim(str_of(at, n));
    return 0;
}

static int on_head_end(http_parser *p)
{
    struct cut *c = p->data;
    c->whole = true;
    return 1; /* no body: ours is decoded elsewhere */
}

static const http_parser_settings settings = {.on_url = on_url,
                                              .on_header_field = on_name,
                                              .on_header_value = on_value,
                                              .on_headers_complete = on_head_end};

/* http://host/path?query becomes /path?query, its authority the Host. */
static bool reduce_absolute(struct http_req *req)
{
    struct str rest = str_from(req->target, (size_t)str_find(req->target, STR("://")) + 3);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    req->host = str_of(rest.p, n);
    rest = str_from(rest, n);
    if (rest.n == 0 || rest.p[0] == '?')
        rest = arena_printf(req->arena, "/%.*s", STR_FMT(rest));
    req->target = rest;
    return rest.p;
}

int split_head(struct str head, const struct scan *scan, struct http_req *req,
               struct http_header *headers)
{
    struct cut cut = {.headers = headers};
    http_parser p;
    http_parser_init(&p, HTTP_REQUEST);
    p.data = &cut;
    size_t taken = http_parser_execute(&p, &settings, head.p, head.n);
    enum http_errno rc = HTTP_PARSER_ERRNO(&p);
    if (rc == HPE_INVALID_METHOD)
        return 501;
    if (rc != HPE_OK || taken != head.n || !cut.whole || cut.count != scan->headers ||
        p.http_major != 1 || p.http_minor != scan->minor ||
        ((p.flags & F_CHUNKED) != 0) != (scan->content_length < 0))
        return 400;
    if (!str_eq(cut.target, str_of(head.p + scan->target_at, scan->target_n)))
        return 400;
    req->method = str_of(head.p + scan->start, scan->method_n);
    req->target = cut.target;
    req->host = str_of(head.p + scan->host_at, scan->host_n);
    req->headers = headers;
    req->header_count = cut.count;
    req->content_length = scan->content_length;
    req->minor = scan->minor;
    if (req->target.p[0] != '/' && !str_is(req->target, "*") && !reduce_absolute(req))
        return 400;
    req->path = req->target;
    ptrdiff_t mark = str_index(req->target, '?', 0);
    req->query = STR("");
    if (mark >= 0) {
        req->path.n = (size_t)mark;
        req->query = str_from(req->target, (size_t)mark + 1);
    }
    return 0;
}
