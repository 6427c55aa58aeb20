/* conn: what the files of this folder share: the server, its connections, their requests.
 *
 * A connection is small while idle: no buffer, no request object. Bytes are read into one buffer of
 * the server's and worked on in place; only what must wait (part of a head, a next request while
 * one is being served) moves to the connection's own. A request object, with its arena and room for
 * the headers, is taken from the server's stock when a first byte comes and goes back when its
 * reply is complete.
 *
 * Who calls whom: listen.c makes connections; conn.c reads and advances them (the state machine);
 * intake.c gives body bytes to their taker; reply.c writes answers; out.c sends bytes. Callbacks of
 * the layers above run only from conn.c's loop entries, never inside one of their own http_* calls
 * (but http_body_collect with nothing to wait for, as its contract says). */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "net/body.h"
#include "net/deadline.h"
#include "net/http.h"
#include "net/scan.h"

enum {
    READ_SIZE = 64 * 1024,   /* the server's read buffer; most a connection keeps unread */
    READS_PER_TURN = 4,      /* of one connection, so that a fast upload cannot hold the loop */
    REQUESTS_PER_TURN = 16,  /* of one connection's pipeline */
    TURN_NS = 600 * 1000,    /* of all connections: then nothing more is read until the next turn */
    OUT_PAUSE = 64 * 1024,   /* unsent bytes above which no next request is begun */
    DRAIN_MAX = 256 * 1024,  /* unread body that is thrown away to keep a connection */
    ARENA_MAX = 2 << 20,     /* of one request */
    BODY_INLINE = 16 * 1024, /* collected bodies up to this size lie in the arena */
    BODY_RESERVE =
        8 << 20, /* collected bodies of announced size up to this get their room at once */
    SPARE_REQUESTS = 64,
};

enum conn_state {
    CONN_IDLE,    /* before the first byte of a request */
    CONN_HEAD,    /* part of a head is in; conn.req holds its scan */
    CONN_REQUEST, /* conn.req is with the layer above */
    CONN_DRAIN,   /* replied; the rest of the body is thrown away */
    CONN_CLOSING, /* last answer is being written, then closes as conn.close says */
    CONN_LINGER,  /* our side is shut; waits for the client's */
    CONN_CLOSED,  /* uv_close called; conn.req may still be out */
};

enum conn_close {
    CLOSE_NOT,
    CLOSE_CLEAN,   /* everything the client sent has been read */
    CLOSE_DISCARD, /* a well-formed body is still coming: read and drop for a while */
    CLOSE_BLIND,   /* after an error: no further byte is read */
};

enum intake { INTAKE_NONE, INTAKE_COLLECT, INTAKE_STREAM, INTAKE_DISCARD };

enum reply_mode {
    REPLY_NONE,
    REPLY_LENGTH,  /* request.left bytes to come */
    REPLY_CHUNKED, /* */
    REPLY_TO_EOF,  /* HTTP/1.0 without a length */
    REPLY_EMPTY,   /* HEAD, 204, 304: writes are swallowed */
};

struct request {
    struct http_req pub; /* first: the public pointer is this one */
    struct http_conn *conn;
    struct request *next; /* in the stock */
    struct scan scan;
    /* taking the body */
    void (*collected)(struct http_req *req, int rc, struct str body);
    const struct http_sink *sink;
    uint64_t limit, taken; /* bytes */
    bool limited;
    void (*grown)(struct http_req *req, struct str so_far);
    struct buf body; /* of a collected body that is not in the arena */
    char *inline_body;
    /* replying */
    enum reply_mode mode;
    uint64_t left;
    void (*drained)(struct http_req *req);
    void (*gone)(struct http_req *req);
    struct http_header headers[SCAN_HEADERS_MAX];
};

struct http_conn {
    uv_tcp_t tcp; /* first */
    struct http_server *server;
    struct http_conn *prev, *next; /* server.conns */
    struct http_conn *ready_next;  /* server.ready */
    struct deadline deadline;
    struct request *req;
    struct str *cur; /* input being worked on by conn_run, else NULL */
    char *in;        /* own input: in_n unread bytes of in_cap */
    size_t in_n, in_cap;
    struct buf out;    /* to be sent */
    struct buf flying; /* with uv_write */
    char *owner;       /* holds `rest`; freed when that is sent */
    struct str rest;   /* of a body given away: sent after flying, before out */
    uv_write_t write;
    struct body body;
    uint64_t discarded;
    uint64_t flying_seen; /* libuv's queue size when last looked at */
    uint32_t turn, reads; /* reads in that turn */
    uint8_t state, close, intake;
    bool reading, paused, queued, eof, writing;
    bool handed;        /* req is with the layer above, which will reply */
    bool progress;      /* something moved: deadlines start anew */
    bool intake_failed; /* bad chunk or timeout: the rest cannot be read */
    bool tell;          /* conn_resume tells the request that its client is gone */
    bool late;          /* had something to read when the turn was over: conn_resume reads it */
    bool held;          /* conn_resume is working on it: not to be freed */
    bool handle_closed; /* libuv is done with tcp */
    char peer[46];
};

struct http_server {
    uv_loop_t *loop;
    http_request_cb *cb;
    void *ctx;
    int fd, port;
    uv_poll_t poll;       /* the listening socket */
    uv_idle_t idle;       /* runs `ready`; active only while it is not empty */
    uv_prepare_t prepare; /* counts turns */
    struct deadlines deadlines;
    struct deadline retry; /* DEADLINE_ACCEPT */
    int handles;           /* of ours, not yet closed */
    struct http_conn *conns;
    size_t conn_count, conn_max;
    struct http_conn *ready, **ready_tail;
    struct request *stock;
    size_t stock_count;
    struct buf scratch; /* head under construction */
    struct str lines;   /* of http_set_headers */
    uint32_t turn;
    uint64_t busy_ns;       /* since when this turn reads; 0: it has not begun to */
    uint64_t date_until_ms; /* loop time */
    char date[64];          /* "Date: …\r\n" */
    size_t date_n;
    bool accepting, listening, draining, closed, freed;
    void (*drained)(void *ctx);
    void *drained_ctx;
    char read_buf[READ_SIZE];
};

/* conn.c */
void conn_open(struct http_server *s, int fd, const char *peer);
/* Puts the connection on the ready list: conn_resume runs it from the loop. */
void conn_wake(struct http_conn *c);
void conn_resume(struct http_conn *c);
void conn_run_ready(uv_idle_t *idle);
void conn_expired(struct http_conn *c, enum deadline_kind kind);
/* After anything changed outside conn_run: sends, adjusts reading and deadline, closes if due. */
void conn_settle(struct http_conn *c);
/* The reply is complete: the request goes back to the stock; next request, drain or close. */
void conn_replied(struct http_conn *c);
/* Closes the socket at once; a request in flight is told from the loop. */
void conn_lost(struct http_conn *c);
/* The same with a reset, so that a client cannot take what it has for the whole. */
void conn_cut(struct http_conn *c);
/* net's own answer to a request that cannot be served; then no further byte is read. */
void conn_refuse(struct http_conn *c, int status, const char *why);

/* listen.c */
void server_conn_freed(struct http_server *s);

/* intake.c */
/* One step on *in; false: nothing to do until more comes or the taker moves. */
bool intake_step(struct http_conn *c, struct str *in);
/* Ends the taking with rc; calls the taker. */
void intake_end(struct http_conn *c, int rc);

/* reply.c */
void reply_refusal(struct http_conn *c, int status, const char *why);

/* out.c */
/* Sends what waits and then the pieces, as far as the socket takes them; keeps a copy of the rest.
 * While more input of this turn is to be worked on, everything is kept for one write. */
void out_send(struct http_conn *c, const uv_buf_t *pieces, unsigned count);
/* Sends what waits, the head, then the body in slices; owner, which holds the body, is taken. */
void out_send_owned(struct http_conn *c, struct str head, struct str body, char *owner);
/* Keeps the bytes for the next out_flush. */
void out_keep(struct http_conn *c, struct str bytes);
void out_flush(struct http_conn *c);
/* Bytes not yet taken by the socket. */
size_t out_waiting(const struct http_conn *c);

#endif
