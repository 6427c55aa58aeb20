/* conn: one connection's life: read, scan, hand over, answer, next.
 *
 * The state machine is step(): it takes bytes from the front of the input until it needs more or
 * has to wait for the layer above. Entries from the loop are on_read (bytes, end, error),
 * conn_resume (the ready list: work put off because it must not happen inside a caller's stack) and
 * conn_expired. Each ends with conn_settle, which sends, decides whether to read on, and sets the
 * one deadline the state calls for.
 *
 * A turn of the loop reads for TURN_NS. Whoever has sent something that it does not come to is late, waits on
 * the ready list and is read from there before anybody else: sixty clients that asked at once made most of
 * the turns above 2 ms (tests/bench/README.md).
 *
 * Invariants: requests of a connection are served in order, one at a time; bytes kept unread are at
 * most READ_SIZE; no callback of the layer above runs inside one of its own calls; after an error
 * no byte is read. While a request is being served reading goes on (stopping and starting would
 * cost two system calls a request), so a closing client is noticed. A client that only ends its
 * sending side still gets its answer, unless the request asked to hear of it (http_on_gone). */
#include "net/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "net/split.h"

static struct request *request_take(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct request *r = s->stock;
    struct arena *arena;
    if (r) {
        s->stock = r->next;
        s->stock_count--;
        arena = r->pub.arena;
    } else {
        r = malloc(sizeof *r);
        if (!r)
            fatal("out of memory");
        arena = arena_new(ARENA_MAX);
    }
    memset(r, 0, offsetof(struct request, headers));
    r->pub.arena = arena;
    r->conn = c;
    id_uuid(r->pub.id);
    memcpy(r->pub.peer, c->peer, sizeof r->pub.peer);
    return r;
}

static void request_release(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct request *r = c->req;
    c->req = NULL;
    c->handed = false;
    buf_deinit(&r->body);
    if (s->stock_count == SPARE_REQUESTS || s->closed) {
        arena_free(r->pub.arena);
        free(r);
        return;
    }
    arena_reset(r->pub.arena);
    r->next = s->stock;
    s->stock = r;
    s->stock_count++;
}

static void free_if_done(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (!c->handle_closed || c->queued || c->held || c->handed)
        return;
    if (c->req)
        request_release(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c->in);
    buf_deinit(&c->out);
    buf_deinit(&c->flying);
    free(c->owner);
    free(c);
    server_conn_freed(s);
}

static void on_closed(uv_handle_t *h)
{
    struct http_conn *c = (struct http_conn *)h;
    c->handle_closed = true;
    free_if_done(c);
}

static bool closing(struct http_conn *c)
{
    if (c->state == CONN_CLOSED)
        return false;
    c->state = CONN_CLOSED;
    c->reading = false;
    deadline_set(&c->server->deadlines, &c->deadline, DEADLINE_NONE);
    if (c->handed) {
        c->tell = true;
        conn_wake(c);
    }
    return true;
}

void conn_lost(struct http_conn *c)
{
    if (closing(c))
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void conn_cut(struct http_conn *c)
{
    if (closing(c) && uv_tcp_close_reset(&c->tcp, on_closed) < 0)
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void conn_wake(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (c->queued || s->closed)
        return;
    c->queued = true;
    c->ready_next = NULL;
    *s->ready_tail = c;
    s->ready_tail = &c->ready_next;
    uv_idle_start(&s->idle, conn_run_ready); /* does nothing when it is active */
}

void conn_run_ready(uv_idle_t *idle)
{
    struct http_server *s = idle->data;
    struct http_conn *c = s->ready, *next;
    s->ready = NULL;
    s->ready_tail = &s->ready;
    uv_idle_stop(idle);
    s->busy_ns = 0;
    for (; c; c = next) {
        next = c->ready_next;
        c->queued = false;
        conn_resume(c);
    }
}

/* --- the state machine ------------------------------------------------------------------------ */

void conn_refuse(struct http_conn *c, int status, const char *why)
{
    if (c->req->mode != REPLY_NONE) { /* an answer has begun: it cannot become another */
        c->req->pub.gone = true;
        conn_cut(c);
        return;
    }
    c->close = CLOSE_BLIND;
    reply_refusal(c, status, why);
    if (c->state != CONN_CLOSED)
        c->state = CONN_CLOSING;
    if (c->handed)
        c->req->pub.gone = true;
    else
        request_release(c);
}

static void begin(struct http_conn *c)
{
    c->req = request_take(c);
    c->state = CONN_HEAD;
    deadline_set(&c->server->deadlines, &c->deadline, DEADLINE_NONE);
}

/* The head has passed: it is copied, because it must outlive the buffer, and cut. */
static void dispatch(struct http_conn *c, struct str *in)
{
    struct request *r = c->req;
    size_t n = r->scan.at;
    struct str head = arena_dup(r->pub.arena, str_of(in->p, n));
    ASSERT(head.p);
    *in = str_from(*in, n);
    int status = split_head(head, &r->scan, &r->pub, r->headers);
    if (status) {
        conn_refuse(c, status,
                    status == 501 ? "the method is not known" : "the request head is malformed");
        return;
    }
    body_init(&c->body, r->pub.content_length);
    c->state = CONN_REQUEST;
    c->close = CLOSE_NOT;
    c->intake = INTAKE_NONE;
    c->paused = false;
    c->discarded = 0;
    c->handed = true;
    c->server->cb(&r->pub, c->server->ctx);
}

static bool head_step(struct http_conn *c, struct str *in)
{
    struct scan *scan = &c->req->scan;
    switch (scan_head(scan, *in)) {
    case SCAN_MORE:
        return false;
    case SCAN_BAD:
        conn_refuse(c, scan->status, scan->why);
        return true;
    case SCAN_DONE:
        dispatch(c, in);
        return true;
    }
    return false;
}

/* One step on the input; false: more bytes, or somebody's move, are needed. */
static bool step(struct http_conn *c, struct str *in, int *budget)
{
    switch ((enum conn_state)c->state) {
    case CONN_IDLE:
        if (out_waiting(c) > OUT_PAUSE)
            return false; /* on_written wakes it */
        if ((*budget)-- == 0) {
            conn_wake(c);
            return false;
        }
        begin(c);
        return true;
    case CONN_HEAD:
        return head_step(c, in);
    case CONN_REQUEST:
    case CONN_DRAIN:
        return intake_step(c, in);
    case CONN_CLOSING:
    case CONN_LINGER:
    case CONN_CLOSED:
        in->n = 0; /* nothing is parsed any more */
        return false;
    }
    return false;
}

/* Keeps what a run left over for later, in the connection's own input. */
static void keep_input(struct http_conn *c, struct str rest)
{
    bool own = c->in && rest.p >= c->in && rest.p <= c->in + c->in_cap;
    if (rest.n == 0 || c->state >= CONN_CLOSING) {
        free(c->in);
        c->in = NULL;
        c->in_n = c->in_cap = 0;
    } else if (own) {
        memmove(c->in, rest.p, rest.n);
        c->in_n = rest.n;
    } else {
        c->in_cap = rest.n <= 2048 ? 4096 : READ_SIZE;
        c->in = malloc(c->in_cap);
        if (!c->in)
            fatal("out of memory");
        memcpy(c->in, rest.p, rest.n);
        c->in_n = rest.n;
    }
}

static void run(struct http_conn *c, struct str in)
{
    int budget = REQUESTS_PER_TURN;
    c->cur = &in;
    while (in.n && step(c, &in, &budget))
        ;
    c->cur = NULL;
    if (in.n || c->in)
        keep_input(c, in);
}

/* --- after each entry --------------------------------------------------------------------------
 */

static bool wants_input(const struct http_conn *c)
{
    if (c->eof || c->in_n >= READ_SIZE)
        return false;
    switch ((enum conn_state)c->state) {
    case CONN_REQUEST:
        return !c->intake_failed && !(c->paused && c->intake == INTAKE_STREAM);
    case CONN_CLOSING:
    case CONN_LINGER:
        return c->close == CLOSE_DISCARD;
    default:
        return true;
    }
}

static enum deadline_kind wants_deadline(const struct http_conn *c)
{
    bool draining = c->server->draining, writing = out_waiting(c) != 0;
    switch ((enum conn_state)c->state) {
    case CONN_IDLE:
        return writing ? DEADLINE_PROGRESS : draining ? DEADLINE_GRACE : DEADLINE_IDLE;
    case CONN_HEAD:
        return draining ? DEADLINE_GRACE : DEADLINE_HEAD;
    case CONN_REQUEST:
        if (writing || (c->intake != INTAKE_NONE && !c->paused))
            return DEADLINE_PROGRESS;
        return DEADLINE_NONE;
    case CONN_LINGER:
        return DEADLINE_LINGER;
    default:
        return DEADLINE_PROGRESS;
    }
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b);
static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b);

static void set_reading(struct http_conn *c, bool want)
{
    if (want == c->reading)
        return;
    c->reading = want;
    if (want)
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

/* The last answer has left. A close with bytes unread would reset the connection and could take
 * the answer with it, so unless all is read our side is shut first and the client gets a moment. */
static void end(struct http_conn *c)
{
    int fd;
    if (c->close == CLOSE_CLEAN || c->eof || uv_fileno((uv_handle_t *)&c->tcp, &fd) < 0) {
        conn_lost(c);
        return;
    }
    shutdown(fd, SHUT_WR);
    c->state = CONN_LINGER;
}

void conn_settle(struct http_conn *c)
{
    out_flush(c);
    bool between = c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_DRAIN;
    if (c->eof && between && !(c->state == CONN_IDLE && c->in_n)) {
        if (c->req)
            request_release(c);
        c->state = CONN_CLOSING;
        c->close = CLOSE_CLEAN;
    }
    if (c->state == CONN_CLOSING && out_waiting(c) == 0)
        end(c);
    if (c->state == CONN_CLOSED)
        return;
    set_reading(c, wants_input(c));
    enum deadline_kind kind = wants_deadline(c);
    bool total = kind == DEADLINE_HEAD || kind == DEADLINE_GRACE || kind == DEADLINE_LINGER;
    if (kind != c->deadline.kind || (c->progress && !total))
        deadline_set(&c->server->deadlines, &c->deadline, kind);
    c->progress = false;
    bool due = (c->state == CONN_IDLE && c->in_n) || (c->handed && c->req->drained);
    if (due && out_waiting(c) == 0)
        conn_wake(c);
}

void conn_replied(struct http_conn *c)
{
    request_release(c);
    if (c->state >= CONN_CLOSING) {
        free_if_done(c);
        return;
    }
    c->progress = true;
    if (c->close != CLOSE_NOT) {
        c->state = CONN_CLOSING;
    } else if (!body_ended(&c->body)) {
        c->state = CONN_DRAIN;
        c->intake = INTAKE_DISCARD;
        c->paused = false;
    } else {
        c->state = CONN_IDLE;
    }
    if (!c->cur)
        conn_settle(c);
}

/* --- entries from the loop ---------------------------------------------------------------------
 */

/* The request's client is gone: whoever waits for something of it is told. Each callback may
 * reply, which ends the request. */
static void tell(struct http_conn *c)
{
    struct request *r = c->req;
    r->pub.gone = true;
    if (c->intake != INTAKE_NONE)
        intake_end(c, E_ABORTED);
    if (c->req == r && r->drained) {
        void (*drained)(struct http_req *) = r->drained;
        r->drained = NULL;
        drained(&r->pub);
    }
    if (c->req == r && r->gone) {
        void (*gone)(struct http_req *) = r->gone;
        r->gone = NULL;
        gone(&r->pub);
    }
}

/* What callbacks of the layer above are due although no byte has come. */
static void call_due(struct http_conn *c)
{
    struct request *r = c->req;
    if (c->state != CONN_REQUEST)
        return;
    if (r->drained && out_waiting(c) == 0) {
        void (*drained)(struct http_req *) = r->drained;
        r->drained = NULL;
        drained(&r->pub);
    }
}

/* Before libuv reports any: it begins with the same ones each time. */
static void read_late(struct http_conn *c)
{
    uv_buf_t b;
    int fd;
    c->late = false;
    if (!c->reading || c->state == CONN_CLOSED || uv_fileno((uv_handle_t *)&c->tcp, &fd) < 0)
        return;
    on_alloc((uv_handle_t *)&c->tcp, READ_SIZE, &b);
    if (b.len == 0)
        return; /* late again */
    ssize_t n = read(fd, b.base, b.len);
    if (n >= 0 || (errno != EAGAIN && errno != EINTR))
        on_read((uv_stream_t *)&c->tcp, n > 0 ? n : n == 0 ? UV_EOF : -errno, &b);
}

void conn_resume(struct http_conn *c)
{
    struct str none = STR("");
    c->held = true;
    if (c->late)
        read_late(c);
    if (c->tell && c->handed)
        tell(c);
    c->tell = false;
    call_due(c);
    if (c->state == CONN_REQUEST || c->state == CONN_DRAIN)
        intake_step(c, &none);
    if (c->in_n)
        run(c, str_of(c->in, c->in_n));
    if (c->eof && c->state == CONN_REQUEST && c->intake != INTAKE_NONE && !c->paused &&
        c->in_n == 0 && !body_ended(&c->body))
        conn_lost(c);
    if (c->state != CONN_CLOSED)
        conn_settle(c);
    c->held = false;
    free_if_done(c);
}

void conn_expired(struct http_conn *c, enum deadline_kind kind)
{
    size_t waiting = c->tcp.write_queue_size;
    switch (c->state) {
    case CONN_HEAD:
        conn_refuse(c, 408, "the request head did not come in time");
        break;
    case CONN_REQUEST:
    case CONN_IDLE:
    case CONN_CLOSING:
        if (kind == DEADLINE_PROGRESS && waiting != c->flying_seen) {
            c->flying_seen = waiting;
        } else if (c->state == CONN_REQUEST && !waiting && c->intake != INTAKE_NONE) {
            c->intake_failed = true;
            intake_end(c, E_BODY_TIMEOUT);
        } else {
            conn_lost(c);
        }
        break;
    default:
        conn_lost(c);
    }
    if (c->state != CONN_CLOSED)
        conn_settle(c);
}

static bool turn_is_over(struct http_server *s)
{
    uint64_t now = clock_mono_ns();
    if (!s->busy_ns)
        s->busy_ns = now;
    return now - s->busy_ns > TURN_NS;
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct http_conn *c = (struct http_conn *)h;
    struct http_server *s = c->server;
    (void)hint;
    *b = uv_buf_init(s->read_buf, READ_SIZE);
    if (c->turn != s->turn) {
        c->turn = s->turn;
        c->reads = 0;
    }
    if (c->reads++ == READS_PER_TURN) {
        b->len = 0; /* ends libuv's read loop; what is left is reported next turn */
        return;
    }
    if (turn_is_over(s)) {
        b->len = 0;
        c->late = true;
        conn_wake(c);
        return;
    }
    if (c->in_n == 0)
        return;
    if (c->in_cap < READ_SIZE && c->in_cap - c->in_n < 1024) {
        char *p = realloc(c->in, READ_SIZE);
        if (!p)
            fatal("out of memory");
        c->in = p;
        c->in_cap = READ_SIZE;
    }
    *b = uv_buf_init(c->in + c->in_n, (unsigned)(c->in_cap - c->in_n));
}

static void ended(struct http_conn *c, ssize_t why)
{
    uv_read_stop((uv_stream_t *)&c->tcp);
    c->reading = false;
    bool body_due = c->state == CONN_REQUEST && !body_ended(&c->body) && c->in_n == 0;
    if (why != UV_EOF || (body_due && !c->paused)) {
        conn_lost(c);
        return;
    }
    c->eof = true;
    if (c->state == CONN_LINGER || (c->handed && c->req->gone))
        conn_lost(c);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
    struct http_conn *c = (struct http_conn *)h;
    if (n == 0 || n == UV_ENOBUFS)
        return;
    if (n < 0) {
        ended(c, n);
    } else if (c->in_n) {
        c->in_n += (size_t)n;
        run(c, str_of(c->in, c->in_n));
    } else {
        run(c, str_of(b->base, (size_t)n));
    }
    if (c->state != CONN_CLOSED)
        conn_settle(c);
}

void conn_open(struct http_server *s, int fd, const char *peer)
{
    struct http_conn *c = calloc(1, sizeof *c);
    if (!c)
        fatal("out of memory");
    c->server = s;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    c->next = s->conns;
    if (s->conns)
        s->conns->prev = c;
    s->conns = c;
    s->conn_count++;
    uv_tcp_init(s->loop, &c->tcp);
    if (uv_tcp_open(&c->tcp, fd) < 0) {
        close(fd);
        conn_lost(c);
        return;
    }
    conn_settle(c);
}
