/* split: cuts a head by its lines, with http-parser as the second reader of what frames the message.
 *
 * The scan has already decided what the head means. http-parser is given the request line and the lines
 * that it acts upon; where its view of framing or version differs from the scan's, the request is
 * refused: two readers that disagree are how requests get smuggled. The other lines it would only hand
 * back: of a signed head, which is mostly such lines, it took a sixth of what the signature costs. It is
 * fed whole lines, so each callback sees a whole target or name. */
#include "net/split.h"

#include <http_parser.h>

struct seen {
    struct str target;
    size_t names;
    bool whole;
};

static int on_url(http_parser *p, const char *at, size_t n)
{
    struct seen *seen = p->data;
    seen->target = str_of(at, n);
    return 0;
}

static int on_name(http_parser *p, const char *at, size_t n)
{
    struct seen *seen = p->data;
    (void)at, (void)n;
    seen->names++;
    return 0;
}

static int on_head_end(http_parser *p)
{
    struct seen *seen = p->data;
    seen->whole = true;
    return 1; /* no body: ours is decoded elsewhere */
}

static const http_parser_settings settings = {
    .on_url = on_url, .on_header_field = on_name, .on_headers_complete = on_head_end};

/* As long as the name of a header that http-parser acts upon: Upgrade, Connection, Content-Length,
 * Proxy-Connection, Transfer-Encoding. */
static bool may_frame(struct str name)
{
    return name.n == 7 || name.n == 10 || name.n == 14 || name.n == 16 || name.n == 17;
}

/* False when http-parser finds an error, or leaves something of the line. */
static bool feed(http_parser *p, struct str line)
{
    return http_parser_execute(p, &settings, line.p, line.n) == line.n &&
           HTTP_PARSER_ERRNO(p) == HPE_OK;
}

/* Cuts the first line of *rest, which has one, its line feed included. */
static struct str next_line(struct str *rest)
{
    size_t n = (size_t)(str_index(*rest, '\n', 0) + 1);
    struct str line = str_of(rest->p, n);
    *rest = str_from(*rest, n);
    return line;
}

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

/* Do both readers see the same body follow? (Without a length http-parser says the largest.) */
static bool same_framing(const http_parser *p, const struct scan *scan)
{
    bool chunked = (p->flags & F_CHUNKED) != 0;
    uint64_t length = p->content_length == UINT64_MAX ? 0 : p->content_length;
    return scan->content_length < 0 ? chunked
                                    : !chunked && length == (uint64_t)scan->content_length;
}

int split_head(struct str head, const struct scan *scan, struct http_req *req,
               struct http_header *headers)
{
    struct str rest = str_from(head, scan->start), line = next_line(&rest);
    struct seen seen = {.names = 0};
    size_t count = 0, fed = 0;
    http_parser p;
    http_parser_init(&p, HTTP_REQUEST);
    p.data = &seen;
    bool agrees = feed(&p, line);
    if (HTTP_PARSER_ERRNO(&p) == HPE_INVALID_METHOD)
        return 501;
    for (; agrees && rest.n > 2; count++) {
        line = next_line(&rest);
        struct str value = str_of(line.p, line.n - 2), name = str_cut(&value, ':');
        if (count == SCAN_HEADERS_MAX)
            return 400;
        headers[count] = (struct http_header){name, str_trim(value)};
        if (!may_frame(name))
            continue;
        fed++;
        agrees = feed(&p, line);
    }
    if (!agrees || !feed(&p, rest) || !seen.whole || seen.names != fed || count != scan->headers ||
        p.http_major != 1 || p.http_minor != scan->minor || !same_framing(&p, scan))
        return 400;
    if (!str_eq(seen.target, str_of(head.p + scan->target_at, scan->target_n)))
        return 400;
    req->method = str_of(head.p + scan->start, scan->method_n);
    req->target = seen.target;
    req->host = str_of(head.p + scan->host_at, scan->host_n);
    req->headers = headers;
    req->header_count = count;
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
