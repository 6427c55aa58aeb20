/* http: the server side of HTTP/1.x as the layers above see it.
 *
 * A listener hands each request to one callback when its head has passed the strict scan. The
 * callee decides from the head alone: it replies at once, or takes the body (collected or streamed)
 * and replies later, from any callback of the loop. `100 Continue` goes out only when a body is
 * taken. A request object stays valid until its reply is complete, even when the client has gone:
 * replies to a gone client are swallowed. Requests of one connection are served in order, one at a
 * time.
 *
 * Everything here runs on the loop's thread. Bytes are borrowed; each function says for how long.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <uv.h>

#include "base/arena.h"
#include "base/buf.h"

struct http_server;
struct http_conn;

struct http_header {
    struct str name, value; /* name as sent; value without surrounding blanks */
};

struct http_req {
    struct str method;      /* "GET" */
    struct str target;      /* as sent, absolute-form already reduced to path and query */
    struct str path, query; /* target cut at the first '?'; still percent-encoded */
    struct str host;        /* Host header, or the authority of an absolute-form target */
    const struct http_header *headers;
    size_t header_count;
    int64_t content_length; /* bytes; 0 when there is no body, -1 when chunked */
    int minor;              /* HTTP/1.minor */
    char id[37];            /* request id, a UUID */
    char peer[46];          /* client's address */
    struct arena *arena;    /* freed when the reply is complete */
    bool gone;              /* the client has closed: whatever is replied is dropped */
    void *user;             /* the upper layer's */
};

typedef void http_request_cb(struct http_req *req, void *ctx);

/* Listens on "HOST:PORT" (HOST an IPv4 or [IPv6] literal or "localhost"; PORT 0 picks one). NULL
 * with *err text set when it cannot ("address in use" names the address). */
struct http_server *http_listen(uv_loop_t *loop, const char *address, http_request_cb *cb,
                                void *ctx, char *err, size_t err_size);
/* The bound port. */
int http_port(const struct http_server *s);
/* Other deadlines than 10 s for a head, 60 s without progress of a body or an answer, 75 s idle; 0
 * keeps one. Before the first request. */
void http_set_deadlines(struct http_server *s, uint32_t head_ms, uint32_t body_ms,
                        uint32_t idle_ms);
/* Header lines ("Name: value\r\n"…) of every answer of this server, net's own refusals too; borrowed
 * for as long as it lives. Before the first request. */
void http_set_headers(struct http_server *s, const char *lines);
/* Stops accepting, closes idle connections, lets requests in flight end (their replies carry
 * Connection: close); `done` is called once the last connection is gone. */
void http_drain(struct http_server *s, void (*done)(void *ctx), void *ctx);
/* Closes everything now. The loop must run once more before http_free. */
void http_close(struct http_server *s);
void http_free(struct http_server *s);

/* First header of that name (ASCII case-insensitive); p NULL when absent. */
struct str http_header(const struct http_req *req, const char *name);

/* --- body ------------------------------------------------------------------------------------ */

/* Collects the whole body (decoded). rc 0 and the bytes (valid until the reply is complete), or
 * E_LIMIT (413 is then the caller's to reply), E_ABORTED (client gone or bad chunk: reply is
 * swallowed), E_BODY_TIMEOUT. Called at once when there is no body. */
void http_body_collect(struct http_req *req, size_t limit,
                       void (*done)(struct http_req *req, int rc, struct str body));

/* Before http_body_collect: what has come, each time that there is more. The bytes stay where they are until
 * the reply is complete, also when `done` is given an error instead of them. Not called for bodies
 * of no announced size, nor of less than 16 KiB or more than 8 MiB. */
void http_body_watch(struct http_req *req, void (*grown)(struct http_req *req, struct str so_far));

struct http_sink {
    /* Some body bytes, valid during the call. */
    void (*data)(struct http_req *req, struct str bytes);
    /* The body ended: 0, E_LIMIT, E_ABORTED or E_BODY_TIMEOUT. Called exactly once. */
    void (*end)(struct http_req *req, int rc);
};
/* Streams the body into sink; limit in bytes, 0 none. */
void http_body_stream(struct http_req *req, uint64_t limit, const struct http_sink *sink);
/* Stops and restarts the flow of data() calls; counts nothing, the last call decides. */
void http_body_pause(struct http_req *req);
void http_body_resume(struct http_req *req);

/* --- reply ----------------------------------------------------------------------------------- */

/* Whole reply. Content-Length, Date and Connection are added here; the caller's headers must not
 * hold them (HEAD: Content-Length is body.n, the body is not sent; 204 and 304 carry neither).
 * Headers and body are copied or written before this returns. The request is gone afterwards. An
 * unread body is drained when small, else the connection closes. */
void http_reply(struct http_req *req, int status, const struct http_header *headers, size_t count,
                struct str body);
/* The same for a large body: it lies inside malloc'd memory, `owner`, which is freed here once it has
 * been sent. It is not copied, and leaves a slice in each turn of the loop. owner NULL: http_reply. */
void http_reply_owned(struct http_req *req, int status, const struct http_header *headers,
                      size_t count, struct str body, char *owner);
/* For HEAD with a length that is not the body's. */
void http_reply_head(struct http_req *req, int status, const struct http_header *headers,
                     size_t count, uint64_t content_length);

/* Streamed reply: begin, any number of writes, end. length < 0: chunked (or until close for 1.0).
 * http_reply_write copies what it cannot write at once and returns the bytes now waiting; a caller
 * that sees more than 256 KiB waits for `drained` before it writes on. */
void http_reply_begin(struct http_req *req, int status, const struct http_header *headers,
                      size_t count, int64_t length);
size_t http_reply_write(struct http_req *req, struct str bytes);
/* `drained(req)` is called once, from the loop, when nothing waits any more or the client is gone.
 */
void http_reply_drained(struct http_req *req, void (*drained)(struct http_req *req));
/* ok false: cut the connection, so that the client sees the answer is not whole. */
void http_reply_end(struct http_req *req, bool ok);

/* `gone(req)` is called once, from the loop, if the client goes before the reply is complete (for
 * event streams). For a request that asks for this, a client that only ends its sending side has
 * gone too; others still get their reply then. */
void http_on_gone(struct http_req *req, void (*gone)(struct http_req *req));

/* Reason phrase of a status. */
const char *http_reason(int status);

#endif
