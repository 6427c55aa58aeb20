/* reply: answers on the wire.
 *
 * A whole reply is built in the server's scratch buffer and leaves by one write in the turn it was
 * made; nothing is allocated for it. A streamed reply collects small writes until the end of the
 * turn and passes large ones through. Whatever the layers above hand in, an answer cannot be split:
 * a header whose name is no token or whose value holds a control byte is left out, and so are the
 * headers that decide about framing, which are net's alone. */
#include "net/conn.h"

#include "base/clock.h"
#include "base/log.h"

enum { COPY_MAX = 8 * 1024 }; /* bodies up to this size are copied behind their head */

static struct request *of(struct http_req *req)
{
    return (struct request *)req;
}

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Status";
}

static bool is_empty_status(int status)
{
    return status == 204 || status == 304;
}

/* Ours to write; also what may not pass from one connection to another. */
static bool is_reserved(struct str name)
{
    switch (name.n) {
    case 4:
        return str_ieq(name, STR("date"));
    case 7:
        return str_ieq(name, STR("trailer")) || str_ieq(name, STR("upgrade"));
    case 10:
        return str_ieq(name, STR("connection")) || str_ieq(name, STR("keep-alive"));
    case 14:
        return str_ieq(name, STR("content-length"));
    case 17:
        return str_ieq(name, STR("transfer-encoding"));
    }
    return false;
}

static void put_date(struct http_server *s, struct buf *b)
{
    uint64_t now = uv_now(s->loop);
    if (now >= s->date_until_ms) {
        char text[30];
        int64_t wall = clock_wall_ms();
        clock_http(wall, text);
        s->date_n = (size_t)snprintf(s->date, sizeof s->date, "Date: %s\r\n", text);
        s->date_until_ms = now + 1000 - (uint64_t)(wall % 1000);
    }
    buf_add(b, str_of(s->date, s->date_n));
}

static void put_status(struct buf *b, int status)
{
    if (status == 200) {
        buf_lit(b, "HTTP/1.1 200 OK\r\n");
        return;
    }
    if (status < 200 || status > 999)
        status = 500;
    buf_lit(b, "HTTP/1.1 ");
    buf_u64(b, (uint64_t)status);
    buf_addc(b, ' ');
    buf_add(b, str_c(http_reason(status)));
    buf_lit(b, "\r\n");
}

static void put_headers(struct buf *b, const struct http_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct str name = headers[i].name, value = headers[i].value;
        if (!scan_token(name) || !scan_value(value) || is_reserved(name))
            continue;
        char *p = buf_reserve(b, name.n + value.n + 4);
        if (!p)
            return;
        memcpy(p, name.p, name.n);
        p += name.n;
        *p++ = ':';
        *p++ = ' ';
        if (value.n)
            memcpy(p, value.p, value.n);
        p += value.n;
        *p++ = '\r';
        *p++ = '\n';
        b->n += name.n + value.n + 4;
    }
}

/* What becomes of the connection after this answer. */
static void decide_close(struct http_conn *c)
{
    struct request *r = c->req;
    bool more = c->cur ? c->cur->n : c->in_n;
    if (c->close != CLOSE_NOT)
        return;
    /* who was promised an interim answer and got none would misread the next request's (botocore) */
    if (!r->scan.keep_alive || r->scan.expect || c->server->draining || (c->eof && !more))
        c->close = CLOSE_CLEAN;
    if (c->intake_failed) {
        c->close = CLOSE_BLIND;
    } else if (!body_ended(&c->body)) {
        bool small = r->pub.content_length < 0 || c->body.left <= DRAIN_MAX;
        if (c->close == CLOSE_CLEAN || r->scan.expect || !small)
            c->close = CLOSE_DISCARD;
    }
}

static void put_connection(struct http_conn *c, struct buf *b)
{
    if (c->close != CLOSE_NOT)
        buf_lit(b, "Connection: close\r\n");
    else if (c->req->pub.minor == 0)
        buf_lit(b, "Connection: keep-alive\r\n");
}

/* The whole head into the scratch buffer; length < 0: none is announced. */
static struct buf *make_head(struct http_conn *c, int status, const struct http_header *headers,
                             size_t count, int64_t length)
{
    struct buf *b = &c->server->scratch;
    buf_clear(b);
    put_status(b, status);
    put_date(c->server, b);
    put_headers(b, headers, count);
    buf_add(b, c->server->lines);
    if (length >= 0 && !is_empty_status(status)) {
        buf_lit(b, "Content-Length: ");
        buf_u64(b, (uint64_t)length);
        buf_lit(b, "\r\n");
    }
    put_connection(c, b);
    return b;
}

/* owner: NULL, or malloc'd memory that holds the body and is taken. */
static void send_whole(struct http_conn *c, struct buf *head, struct str body, char *owner)
{
    unsigned count = 1;
    buf_lit(head, "\r\n");
    if (body.n <= COPY_MAX) {
        buf_add(head, body);
        body.n = 0;
    }
    if (head->rc) { /* no memory: nothing can be said */
        free(owner);
        conn_cut(c);
        return;
    }
    if (owner && body.n) {
        out_send_owned(c, buf_str(head), body, owner);
        return;
    }
    free(owner);
    uv_buf_t pieces[2] = {uv_buf_init(head->p, (unsigned)head->n)};
    if (body.n)
        pieces[count++] = (uv_buf_t){(char *)(uintptr_t)body.p, body.n};
    out_send(c, pieces, count);
    if (head->cap > READ_SIZE)
        buf_deinit(head);
}

static void reply(struct http_req *req, int status, const struct http_header *headers, size_t count,
                  uint64_t length, struct str body, char *owner)
{
    struct request *r = of(req);
    struct http_conn *c = r->conn;
    ASSERT(c->req == r && r->mode == REPLY_NONE);
    c->intake = INTAKE_NONE;
    if (!req->gone && c->state == CONN_REQUEST) {
        decide_close(c);
        struct buf *head = make_head(c, status, headers, count, (int64_t)length);
        bool empty = is_empty_status(status) || str_is(req->method, "HEAD");
        send_whole(c, head, empty ? STR("") : body, owner);
    } else {
        free(owner);
    }
    conn_replied(c);
}

void http_reply(struct http_req *req, int status, const struct http_header *headers, size_t count,
                struct str body)
{
    reply(req, status, headers, count, body.n, body, NULL);
}

void http_reply_owned(struct http_req *req, int status, const struct http_header *headers,
                      size_t count, struct str body, char *owner)
{
    reply(req, status, headers, count, body.n, body, owner);
}

void http_reply_head(struct http_req *req, int status, const struct http_header *headers,
                     size_t count, uint64_t content_length)
{
    reply(req, status, headers, count, content_length, STR(""), NULL);
}

void reply_refusal(struct http_conn *c, int status, const char *why)
{
    struct request *r = c->req;
    char text[256];
    struct http_header headers[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("x-amzn-RequestId"), str_c(r->pub.id)},
        {STR("x-amz-request-id"), str_c(r->pub.id)},
        {STR("Allow"), STR("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS")},
    };
    snprintf(text, sizeof text, "{\"Type\":\"User\",\"message\":\"%s: %s.\"}", http_reason(status),
             why);
    struct buf *head = make_head(c, status, headers, status == 405 ? 4 : 3, (int64_t)strlen(text));
    send_whole(c, head, str_c(text), NULL);
}

/* --- streamed --------------------------------------------------------------------------------- */

void http_reply_begin(struct http_req *req, int status, const struct http_header *headers,
                      size_t count, int64_t length)
{
    struct request *r = of(req);
    struct http_conn *c = r->conn;
    ASSERT(c->req == r && r->mode == REPLY_NONE);
    if (length >= 0) {
        r->mode = REPLY_LENGTH;
        r->left = (uint64_t)length;
    } else {
        r->mode = req->minor == 1 ? REPLY_CHUNKED : REPLY_TO_EOF;
    }
    if (req->gone || c->state != CONN_REQUEST)
        return;
    decide_close(c);
    bool empty = is_empty_status(status) || str_is(req->method, "HEAD");
    if (r->mode == REPLY_TO_EOF && !empty && c->close == CLOSE_NOT)
        c->close = CLOSE_CLEAN;
    struct buf *head = make_head(c, status, headers, count, length);
    if (r->mode == REPLY_CHUNKED && !is_empty_status(status))
        buf_lit(head, "Transfer-Encoding: chunked\r\n");
    buf_lit(head, "\r\n");
    if (empty)
        r->mode = REPLY_EMPTY;
    if (head->rc) {
        conn_cut(c);
        return;
    }
    out_keep(c, buf_str(head));
    if (!c->cur)
        conn_wake(c); /* sent with what follows in this turn */
}

size_t http_reply_write(struct http_req *req, struct str bytes)
{
    struct request *r = of(req);
    struct http_conn *c = r->conn;
    char size[24];
    ASSERT(c->req == r && r->mode != REPLY_NONE);
    if (req->gone || c->state != CONN_REQUEST || r->mode == REPLY_EMPTY)
        return 0;
    if (r->mode == REPLY_LENGTH) {
        if (bytes.n > r->left)
            bytes.n = (size_t)r->left;
        r->left -= bytes.n;
    }
    if (bytes.n == 0)
        return out_waiting(c);
    uv_buf_t pieces[3];
    unsigned count = 0;
    if (r->mode == REPLY_CHUNKED)
        pieces[count++] =
            uv_buf_init(size, (unsigned)snprintf(size, sizeof size, "%zx\r\n", bytes.n));
    pieces[count++] = (uv_buf_t){(char *)(uintptr_t)bytes.p, bytes.n};
    if (r->mode == REPLY_CHUNKED)
        pieces[count++] = (uv_buf_t){(char *)(uintptr_t) "\r\n", 2};
    if (bytes.n > COPY_MAX) {
        out_send(c, pieces, count);
    } else {
        for (unsigned i = 0; i < count; i++)
            out_keep(c, str_of(pieces[i].base, pieces[i].len));
        if (!c->writing && !c->cur)
            conn_wake(c);
    }
    return out_waiting(c);
}

void http_reply_drained(struct http_req *req, void (*drained)(struct http_req *req))
{
    struct http_conn *c = of(req)->conn;
    of(req)->drained = drained;
    if (req->gone)
        c->tell = true;
    conn_wake(c);
}

void http_reply_end(struct http_req *req, bool ok)
{
    struct request *r = of(req);
    struct http_conn *c = r->conn;
    ASSERT(c->req == r && r->mode != REPLY_NONE);
    c->intake = INTAKE_NONE;
    if (!req->gone && c->state == CONN_REQUEST) {
        if (!ok || (r->mode == REPLY_LENGTH && r->left))
            conn_cut(c);
        else if (r->mode == REPLY_CHUNKED)
            out_keep(c, STR("0\r\n\r\n"));
    }
    conn_replied(c);
}

void http_on_gone(struct http_req *req, void (*gone)(struct http_req *req))
{
    struct http_conn *c = of(req)->conn;
    of(req)->gone = gone;
    if (c->eof)
        conn_lost(c);
    if (c->state == CONN_CLOSED || req->gone) {
        c->tell = true;
        conn_wake(c);
    }
}

struct str http_header(const struct http_req *req, const char *name)
{
    struct str want = str_c(name);
    for (size_t i = 0; i < req->header_count; i++)
        if (str_ieq(req->headers[i].name, want))
            return req->headers[i].value;
    return (struct str){NULL, 0};
}
