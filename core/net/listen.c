/* listen: the listening socket and the server's life.
 *
 * Accepting is done here and not by libuv's listener, because that one answers a lack of
 * descriptors by closing waiting clients, or by spinning. Here the socket is simply not polled
 * while there is no room: clients wait in the kernel's queue, and a timer or the next connection
 * that ends tries again. Connections may use three quarters of the process's descriptors, so that
 * runners, blobs and the store always find some.
 *
 * Draining: what waits in the kernel's queue is accepted and served; idle connections get a short
 * moment for a request that is already on the wire; every answer says Connection: close. */
#include "net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum { ACCEPTS_PER_TURN = 64, BACKLOG = 4096 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse_address(const char *text, union address *out)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || !str_u64(str_c(colon + 1), &port) || port > 65535)
        return false;
    size_t n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof host)
        return false;
    memcpy(host, text, n);
    host[n] = 0;
    const char *literal = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    return uv_ip4_addr(literal, (int)port, &out->v4) == 0 ||
           uv_ip6_addr(literal, (int)port, &out->v6) == 0;
}

/* A bound, listening socket, or -1 with errno set. TCP_NODELAY is inherited by what it accepts. */
static int open_socket(const union address *a)
{
    int one = 1, fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    socklen_t size = a->any.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6;
    if (bind(fd, &a->any, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int bound_port(int fd)
{
    union address a;
    socklen_t size = sizeof a;
    if (getsockname(fd, &a.any, &size) < 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
}

static void peer_text(const union address *a, char out[static 46])
{
    if (a->any.sa_family == AF_INET)
        uv_ip4_name(&a->v4, out, 46);
    else if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], out, 46);
    else
        uv_ip6_name(&a->v6, out, 46);
}

static void stop_accepting(struct http_server *s)
{
    if (s->accepting)
        uv_poll_stop(&s->poll);
    s->accepting = false;
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void start_accepting(struct http_server *s)
{
    if (s->accepting || !s->listening || s->conn_count >= s->conn_max)
        return;
    s->accepting = true;
    uv_poll_start(&s->poll, UV_READABLE, on_acceptable);
}

/* True while there may be more to accept. */
static bool accept_one(struct http_server *s)
{
    union address a;
    socklen_t size = sizeof a;
    char peer[46] = "";
    if (s->conn_count >= s->conn_max) {
        stop_accepting(s); /* server_conn_freed starts again */
        return false;
    }
    int fd = accept4(s->fd, &a.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        peer_text(&a, peer);
        conn_open(s, fd, peer);
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return false;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        stop_accepting(s);
        deadline_set(&s->deadlines, &s->retry, DEADLINE_ACCEPT);
        return false;
    }
    return true; /* that client has gone */
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct http_server *s = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(s); i++)
        ;
}

static void on_expired(struct deadline *d, enum deadline_kind kind)
{
    if (kind == DEADLINE_ACCEPT)
        start_accepting((struct http_server *)((char *)d - offsetof(struct http_server, retry)));
    else
        conn_expired((struct http_conn *)((char *)d - offsetof(struct http_conn, deadline)), kind);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct http_server *s = prepare->data;
    s->turn++;
    if (!s->ready) /* else it is still the turn of those that were late */
        s->busy_ns = 0;
}

static size_t connection_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY || r.rlim_cur > 1 << 20)
        return 3 << 18;
    return (size_t)(r.rlim_cur - r.rlim_cur / 4);
}

static struct http_server *server_new(uv_loop_t *loop, int fd)
{
    struct http_server *s = malloc(sizeof *s);
    if (!s)
        fatal("out of memory");
    memset(s, 0, offsetof(struct http_server, read_buf));
    s->loop = loop;
    s->fd = fd;
    s->port = bound_port(fd);
    s->conn_max = connection_limit();
    s->ready_tail = &s->ready;
    buf_init(&s->scratch, 0);
    deadlines_init(&s->deadlines, loop, on_expired);
    uv_idle_init(loop, &s->idle);
    uv_prepare_init(loop, &s->prepare);
    uv_prepare_start(&s->prepare, on_prepare);
    uv_poll_init(loop, &s->poll, fd);
    s->idle.data = s->prepare.data = s->poll.data = s;
    s->handles = 4;
    s->listening = true;
    return s;
}

struct http_server *http_listen(uv_loop_t *loop, const char *address, http_request_cb *cb,
                                void *ctx, char *err, size_t err_size)
{
    union address a;
    if (!parse_address(address, &a)) {
        snprintf(err, err_size, "\"%s\" is not HOST:PORT with an address as HOST", address);
        return NULL;
    }
    int fd = open_socket(&a);
    if (fd < 0) {
        snprintf(err, err_size, "cannot listen on %s: %s", address,
                 errno == EADDRINUSE ? "address in use" : strerror(errno));
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN); /* a client that has gone is an error of the write, not a signal */
    struct http_server *s = server_new(loop, fd);
    s->cb = cb;
    s->ctx = ctx;
    start_accepting(s);
    return s;
}

int http_port(const struct http_server *s)
{
    return s->port;
}

void http_set_headers(struct http_server *s, const char *lines)
{
    s->lines = str_c(lines);
}

void http_set_deadlines(struct http_server *s, uint32_t head_ms, uint32_t body_ms, uint32_t idle_ms)
{
    uint32_t *length = s->deadlines.length_ms;
    length[DEADLINE_HEAD] = head_ms ? head_ms : length[DEADLINE_HEAD];
    length[DEADLINE_PROGRESS] = body_ms ? body_ms : length[DEADLINE_PROGRESS];
    length[DEADLINE_IDLE] = idle_ms ? idle_ms : length[DEADLINE_IDLE];
}

static void free_if_done(struct http_server *s)
{
    if (!s->freed || s->handles || s->conn_count)
        return;
    struct request *next;
    for (struct request *r = s->stock; r; r = next) {
        next = r->next;
        arena_free(r->pub.arena);
        free(r);
    }
    buf_deinit(&s->scratch);
    free(s);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct http_server *s = h->data;
    s->handles--;
    free_if_done(s);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct deadlines *all = h->data;
    struct http_server *s =
        (struct http_server *)((char *)all - offsetof(struct http_server, deadlines));
    s->handles--;
    free_if_done(s);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct http_server *s = h->data;
    close(s->fd);
    on_handle_closed(h);
}

static void stop_listening(struct http_server *s)
{
    if (!s->listening)
        return;
    s->listening = s->accepting = false;
    deadline_set(&s->deadlines, &s->retry, DEADLINE_NONE);
    uv_close((uv_handle_t *)&s->poll, on_poll_closed);
}

static void tell_drained(struct http_server *s)
{
    void (*done)(void *) = s->drained;
    if (!done || s->conn_count)
        return;
    s->drained = NULL;
    done(s->drained_ctx);
}

void server_conn_freed(struct http_server *s)
{
    s->conn_count--;
    start_accepting(s);
    tell_drained(s);
    free_if_done(s);
}

void http_drain(struct http_server *s, void (*done)(void *ctx), void *ctx)
{
    if (s->listening)
        while (accept_one(s))
            ;
    stop_listening(s);
    s->draining = true;
    s->drained = done;
    s->drained_ctx = ctx;
    for (struct http_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (c->state <= CONN_HEAD)
            conn_settle(c);
    }
    tell_drained(s);
}

void http_close(struct http_server *s)
{
    if (s->closed)
        return;
    stop_listening(s);
    for (struct http_conn *c = s->conns; c; c = c->next)
        conn_lost(c);
    while (s->ready)
        conn_run_ready(&s->idle);
    s->closed = true;
    deadlines_close(&s->deadlines, on_timer_closed);
    uv_close((uv_handle_t *)&s->idle, on_handle_closed);
    uv_close((uv_handle_t *)&s->prepare, on_handle_closed);
}

void http_free(struct http_server *s)
{
    ASSERT(s->closed);
    s->freed = true;
    free_if_done(s);
}
