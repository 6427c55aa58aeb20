/* fetcher: one child process, one stream socket, many requests.
 *
 * The child's side is core/fetch; it is told what to do and never trusted with a decision, and what
 * it sends is checked like any input. A request's time runs here: at its deadline it is answered
 * whatever the child does, also while it still waits for its turn. When the socket ends, all that
 * were sent fail and the next that waits starts a new child.
 *
 * A request whose bytes are being written is not let go before they are, because they are borrowed
 * from its caller. */
#include "svc/fetcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rec.h"
#include "base/work.h"
#include "svc/fetch_wire.h"

enum {
    FLIGHT_MAX = 256,
    OWNER_MAX = 64,
    FLIGHT_BYTES_MAX = 64 << 20,
    READ_STEP = 64 * 1024,
    STALL_MS = 500
};

enum child { CHILD_NONE, CHILD_STARTING, CHILD_UP };

struct fetcher {
    struct fetcher_opts o;
    enum child child;
    pid_t pid;
    uv_pipe_t pipe;
    uv_timer_t idle;
    struct fetch *waiting, **newest; /* oldest first */
    struct fetch *sent, *ended;
    size_t sent_count, sent_bytes, count;
    uint32_t last_id;
    struct buf in;
    struct fetch_frame frame; /* of the body that is coming: */
    size_t body_left;
    int jobs, handles;
    bool closing;
};

static void pump(struct fetcher *f);
static void child_start(struct fetcher *f);
static void child_down(struct fetcher *f, const char *why);
static void fail_all(struct fetch *list, int rc, const char *why);

/* --- the program ------------------------------------------------------------------------------- */

int fetcher_program(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    if (n <= 0)
        return -1;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    if (!slash)
        return -1;
    snprintf(slash + 1, 32, "perilune-fetch");
    int low = open(path, O_PATH | O_CLOEXEC);
    if (low < 0)
        return -1;
    int fd = fcntl(low, F_DUPFD_CLOEXEC, FETCH_CA + 1); /* not where the child gets another */
    close(low);
    return fd;
}

/* --- life -------------------------------------------------------------------------------------- */

static void on_idle(uv_timer_t *t)
{
    struct fetcher *f = t->data;
    if (f->child == CHILD_UP && f->count == 0)
        child_down(f, NULL);
}

struct fetcher *fetcher_open(const struct fetcher_opts *o)
{
    struct fetcher *f = calloc(1, sizeof *f);
    if (!f)
        fatal("out of memory");
    f->o = *o;
    f->newest = &f->waiting;
    uv_timer_init(o->loop, &f->idle);
    f->idle.data = f;
    uv_unref((uv_handle_t *)&f->idle);
    f->handles = 1;
    return f;
}

static void on_handle_closed(uv_handle_t *h)
{
    struct fetcher *f = h->data;
    f->handles--;
}

void fetcher_close(struct fetcher *f)
{
    f->closing = true;
    if (f->child == CHILD_UP)
        child_down(f, "the server is shutting down");
    fail_all(f->waiting, E_SHUTDOWN, "the server is shutting down");
    uv_close((uv_handle_t *)&f->idle, on_handle_closed);
    while (f->jobs || f->handles || f->count)
        uv_run(f->o.loop, UV_RUN_ONCE);
    if (f->o.program >= 0)
        close(f->o.program);
    if (f->o.ca >= 0)
        close(f->o.ca);
    buf_deinit(&f->in);
    free(f);
}

/* --- one request ------------------------------------------------------------------------------- */

static void list_add(struct fetch **list, struct fetch *x)
{
    x->next = *list;
    x->at = list;
    if (*list)
        (*list)->at = &x->next;
    *list = x;
}

static void list_remove(struct fetch *x)
{
    struct fetcher *f = x->fetcher;
    *x->at = x->next;
    if (x->next)
        x->next->at = x->at;
    else if (x->state == FETCH_WAITS)
        f->newest = x->at;
}

static size_t bytes_of(const struct fetch *x)
{
    return x->headers.n + x->body.n + x->url->url_n;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct fetch *x = h->data;
    x->fetcher->count--;
    if (x->fetcher->count == 0 && x->fetcher->child == CHILD_UP && !x->fetcher->closing)
        uv_timer_start(&x->fetcher->idle, on_idle, x->fetcher->o.idle_ms, 0);
    x->done(x, &x->outcome);
}

/* Both its outcome is known and its bytes are free. */
static void maybe_done(struct fetch *x)
{
    if (x->state != FETCH_ENDED || x->writing)
        return;
    list_remove(x);
    uv_close((uv_handle_t *)&x->timer, on_timer_closed);
}

/* Over, but its bytes are still on their way. A child that takes nothing for a while is of no use. */
static void on_stall(uv_timer_t *t)
{
    struct fetch *x = t->data;
    size_t waiting = uv_stream_get_write_queue_size((uv_stream_t *)&x->fetcher->pipe);
    if (!x->writing)
        return;
    if (waiting == x->stalled)
        child_down(x->fetcher, "perilune-fetch takes nothing any more");
    x->stalled = waiting;
}

static void end(struct fetch *x, int rc, const char *why)
{
    struct fetcher *f = x->fetcher;
    if (x->state == FETCH_ENDED)
        return;
    list_remove(x);
    if (x->state == FETCH_SENT) {
        f->sent_count--;
        f->sent_bytes -= bytes_of(x);
    }
    x->state = FETCH_ENDED;
    list_add(&f->ended, x);
    uv_timer_stop(&x->timer);
    snprintf(x->text, sizeof x->text, "%s", why ? why : "");
    x->outcome = (struct fetch_outcome){rc, x->text};
    x->stalled = 0;
    if (x->writing)
        uv_timer_start(&x->timer, on_stall, STALL_MS, STALL_MS);
    maybe_done(x);
}

struct message { /* being written */
    uv_write_t write;
    struct fetch *x; /* NULL: a cancellation */
    struct buf head;
};

static void on_written(uv_write_t *w, int status)
{
    struct message *m = (struct message *)(void *)w;
    (void)status; /* a socket that fails also ends: see on_read */
    if (m->x) {
        m->x->writing = false;
        maybe_done(m->x);
    }
    buf_deinit(&m->head);
    free(m);
}

static struct message *message_new(uint16_t type, uint32_t id)
{
    struct message *m = calloc(1, sizeof *m);
    struct fetch_frame frame = {.type = type, .id = id};
    if (!m)
        fatal("out of memory");
    buf_add(&m->head, str_of((const char *)&frame, sizeof frame));
    return m;
}

static void message_send(struct fetcher *f, struct message *m, struct str body)
{
    uint32_t size = (uint32_t)(m->head.n - sizeof(struct fetch_frame) + body.n);
    uv_buf_t parts[] = {uv_buf_init(m->head.p, (unsigned)m->head.n),
                        uv_buf_init((char *)(uintptr_t)body.p, (unsigned)body.n)};
    memcpy(m->head.p, &size, sizeof size);
    if (uv_write(&m->write, (uv_stream_t *)&f->pipe, parts, body.n ? 2 : 1, on_written))
        on_written(&m->write, UV_EPIPE);
}

static void tell_cancel(struct fetch *x)
{
    struct fetcher *f = x->fetcher;
    if (x->state == FETCH_SENT && f->child == CHILD_UP)
        message_send(f, message_new(FETCH_CANCEL, x->id), STR(""));
}

static void on_deadline(uv_timer_t *t)
{
    struct fetch *x = t->data;
    struct fetcher *f = x->fetcher;
    tell_cancel(x);
    end(x, x->outcome.rc, x->outcome.why);
    pump(f);
}

void fetch_cancel(struct fetch *x)
{
    if (x->state == FETCH_ENDED)
        return;
    x->outcome = (struct fetch_outcome){E_ABORTED, "it was given up"};
    uv_timer_start(&x->timer, on_deadline, 0, 0);
}

static size_t owned_by(struct fetcher *f, const void *owner)
{
    size_t n = 0;
    for (struct fetch *x = f->waiting; x; x = x->next)
        n += x->owner == owner;
    for (struct fetch *x = f->sent; x; x = x->next)
        n += x->owner == owner;
    return n;
}

void fetch_start(struct fetcher *f, struct fetch *x)
{
    uint64_t now = uv_now(f->o.loop);
    bool many = f->count >= OWNER_MAX && owned_by(f, x->owner) >= OWNER_MAX;
    x->fetcher = f;
    x->writing = false;
    x->into = NULL;
    x->left = 0;
    x->outcome = (struct fetch_outcome){E_TIMEOUT, "the request did not end in time"};
    f->count++;
    uv_timer_stop(&f->idle);
    uv_timer_init(f->o.loop, &x->timer);
    x->timer.data = x;
    if (many || f->o.program < 0 || f->closing) {
        x->outcome = many ? (struct fetch_outcome){E_THROTTLED, "the function has too many open"}
                          : (struct fetch_outcome){E_IO, "perilune-fetch is not there"};
        x->state = FETCH_ENDED;
        list_add(&f->ended, x);
        maybe_done(x);
        return;
    }
    x->state = FETCH_WAITS;
    x->next = NULL;
    x->at = f->newest;
    *f->newest = x;
    f->newest = &x->next;
    uv_timer_start(&x->timer, on_deadline, x->deadline > now ? x->deadline - now : 0, 0);
    pump(f);
}

static void send_request(struct fetcher *f, struct fetch *x)
{
    uint64_t now = uv_now(f->o.loop);
    list_remove(x);
    x->state = FETCH_SENT;
    list_add(&f->sent, x);
    f->sent_count++;
    f->sent_bytes += bytes_of(x);
    x->id = ++f->last_id ? f->last_id : ++f->last_id;
    struct message *m = message_new(FETCH_REQUEST, x->id);
    struct buf *b = &m->head;
    rec_put_str(b, FETCH_URL, str_of(x->url->url, x->url->url_n));
    rec_put_str(b, FETCH_HOST, str_c(x->url->host));
    rec_put_u64(b, FETCH_PORT, x->url->port);
    rec_put_str(b, FETCH_METHOD, x->method);
    rec_put_u64(b, FETCH_TIMEOUT_MS, x->deadline > now ? x->deadline - now : 1);
    rec_put_u64(b, FETCH_MAX_BYTES, x->max_bytes);
    rec_put_u64(b, FETCH_PRIVATE, x->private_ok);
    buf_add(b, x->headers);
    if (x->body.p) { /* the field's head; its bytes follow as they lie */
        uint32_t n = (uint32_t)x->body.n;
        size_t mark = rec_begin(b, FETCH_CONTENT);
        rec_end(b, mark);
        memcpy(b->p + mark - sizeof n, &n, sizeof n);
    }
    m->x = x;
    x->writing = true;
    message_send(f, m, x->body);
}

/* Sends what may be sent; starts a child for it when there is none. */
static void pump(struct fetcher *f)
{
    while (f->waiting && f->child == CHILD_UP && f->sent_count < FLIGHT_MAX &&
           (f->sent_count == 0 || f->sent_bytes + bytes_of(f->waiting) <= FLIGHT_BYTES_MAX))
        send_request(f, f->waiting);
    if (f->waiting && f->child == CHILD_NONE && !f->closing)
        child_start(f);
}

/* --- what comes back --------------------------------------------------------------------------- */

static struct fetch *find(struct fetcher *f, uint32_t id)
{
    struct fetch *x = f->sent;
    while (x && x->id != id)
        x = x->next;
    return x;
}

static void take_answer(struct fetch *x, struct str rec)
{
    uint64_t size = rec_u64(rec, FETCH_SIZE, UINT64_MAX);
    if (size > x->max_bytes)
        end(x, E_IO, "the answer is broken");
    else if (!(x->into = x->answered(x, rec, (size_t)size)))
        end(x, E_LIMIT, "there is no memory for the answer");
    else
        x->left = (size_t)size;
}

static void take_end(struct fetch *x, struct str rec)
{
    static const int codes[] = {[FETCH_OK] = 0,
                                [FETCH_TIMEOUT] = E_TIMEOUT,
                                [FETCH_FAILED] = E_IO,
                                [FETCH_REFUSED] = E_DENIED,
                                [FETCH_TOO_LARGE] = E_LIMIT};
    char text[sizeof x->text];
    uint64_t how = rec_u64(rec, FETCH_HOW, FETCH_FAILED);
    if (how == FETCH_OK && (!x->into || x->left)) {
        end(x, E_IO, "the answer is broken");
        return;
    }
    struct str why = rec_str(rec, FETCH_TEXT);
    snprintf(text, sizeof text, "%.*s", (int)(why.n < 250 ? why.n : 250), why.p ? why.p : "");
    end(x, how < sizeof codes / sizeof *codes ? codes[how] : E_IO, text);
}

/* One whole frame, or the head of a BODY. False when the child does not keep to the protocol. */
static bool take_frame(struct fetcher *f, const struct fetch_frame *frame, struct str body)
{
    struct fetch *x = find(f, frame->id);
    if (!rec_valid(body))
        return false;
    if (!x)
        return true; /* given up meanwhile */
    if (frame->type == FETCH_ANSWER)
        take_answer(x, body);
    else
        take_end(x, body);
    return true;
}

static bool take_bytes(struct fetcher *f, struct str bytes)
{
    struct fetch *x = find(f, f->frame.id);
    f->body_left -= bytes.n;
    if (!x)
        return true;
    if (!x->into || bytes.n > x->left)
        return false;
    x->left -= bytes.n;
    buf_add(x->into, bytes);
    return x->into->rc == 0;
}

/* As far as `in` holds whole frames; bodies as they come. */
static bool take(struct fetcher *f)
{
    struct str rest = buf_str(&f->in);
    bool ok = true;
    while (ok) {
        if (f->body_left) {
            size_t n = rest.n < f->body_left ? rest.n : f->body_left;
            if (n == 0)
                break;
            ok = take_bytes(f, str_of(rest.p, n));
            rest = str_from(rest, n);
            continue;
        }
        if (rest.n < sizeof f->frame)
            break;
        memcpy(&f->frame, rest.p, sizeof f->frame);
        uint32_t size = f->frame.size;
        bool is_body = f->frame.type == FETCH_BODY;
        ok = is_body ? size <= FETCH_BODY_MAX
                     : size <= FETCH_REST_MAX &&
                           (f->frame.type == FETCH_ANSWER || f->frame.type == FETCH_END);
        if (!ok || (!is_body && rest.n - sizeof f->frame < size))
            break;
        rest = str_from(rest, sizeof f->frame);
        if (is_body) {
            f->body_left = size;
            continue;
        }
        ok = take_frame(f, &f->frame, str_of(rest.p, size));
        rest = str_from(rest, size);
    }
    buf_drop(&f->in, f->in.n - rest.n);
    return ok;
}

static void on_room(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct fetcher *f = h->data;
    (void)suggested;
    char *p = buf_reserve(&f->in, READ_STEP);
    *out = uv_buf_init(p, p ? READ_STEP : 0);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct fetcher *f = s->data;
    (void)b;
    if (n > 0)
        f->in.n += (size_t)n;
    if (n < 0)
        child_down(f, "perilune-fetch ended unexpectedly");
    else if (!take(f))
        child_down(f, "perilune-fetch did not keep to the protocol");
    else
        pump(f);
}

/* --- the child --------------------------------------------------------------------------------- */

struct starting {
    struct work work;
    struct fetcher *f;
    pid_t pid;
    int ours, rc;
};

/* A pool thread: fork and exec would hold the loop. All else in this process is close-on-exec. */
static void start_work(struct work *w)
{
    struct starting *s = w->data;
    char path[32], name[] = "perilune-fetch", tz[] = "TZ=UTC0", *argv[] = {name, NULL};
    char *env[] = {tz, NULL, NULL};
    int pair[2], theirs, high = FETCH_CA + 1;
    posix_spawn_file_actions_t a;
    posix_spawnattr_t attr;
    sigset_t none;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        s->rc = -errno;
        return;
    }
    s->ours = pair[0];
    theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, high); /* dup2 onto itself keeps close-on-exec */
    close(pair[1]);
    int ca = s->f->o.ca >= 0 ? fcntl(s->f->o.ca, F_DUPFD_CLOEXEC, high) : -1;
#ifdef PERILUNE_FAULTS
    char row[300];
    const char *host = getenv("PERILUNE_FETCH_HOST");
    if (host && snprintf(row, sizeof row, "PERILUNE_FETCH_HOST=%s", host) < (int)sizeof row)
        env[1] = row;
#endif
    snprintf(path, sizeof path, "/proc/self/fd/%d", s->f->o.program);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&a);
    posix_spawn_file_actions_adddup2(&a, theirs, FETCH_SOCKET);
    posix_spawn_file_actions_addopen(&a, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (ca >= 0)
        posix_spawn_file_actions_adddup2(&a, ca, FETCH_CA);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    if (ca >= 0)
        lseek(ca, 0, SEEK_SET);
    s->rc = theirs < 0 ? -EMFILE : -posix_spawn(&s->pid, path, &a, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&a);
    if (theirs >= 0)
        close(theirs);
    if (ca >= 0)
        close(ca);
}

static void fail_all(struct fetch *list, int rc, const char *why)
{
    for (struct fetch *x = list, *next; x; x = next) {
        next = x->next;
        end(x, rc, why);
    }
}

static void start_done(struct work *w)
{
    struct starting *s = w->data;
    struct fetcher *f = s->f;
    f->jobs--;
    if (s->rc) {
        log_warn("perilune-fetch cannot be started: %s", strerror(-s->rc));
        if (s->ours >= 0)
            close(s->ours);
        f->child = CHILD_NONE;
        fail_all(f->waiting, E_IO, "perilune-fetch cannot be started");
        free(s);
        return;
    }
    f->pid = s->pid;
    f->child = CHILD_UP;
    f->body_left = 0;
    buf_clear(&f->in);
    uv_pipe_init(f->o.loop, &f->pipe, 0);
    f->pipe.data = f;
    f->handles++;
    uv_pipe_open(&f->pipe, s->ours);
    uv_read_start((uv_stream_t *)&f->pipe, on_room, on_read);
    free(s);
    if (f->closing)
        child_down(f, "the server is shutting down");
    else if (f->count == 0)
        uv_timer_start(&f->idle, on_idle, f->o.idle_ms, 0);
    pump(f);
}

static void child_start(struct fetcher *f)
{
    struct starting *s = calloc(1, sizeof *s);
    if (!s)
        fatal("out of memory");
    s->f = f;
    s->ours = -1;
    s->work.data = s;
    f->child = CHILD_STARTING;
    f->jobs++;
    work_start(f->o.loop, &s->work, start_work, start_done);
}

struct reaping {
    struct work work;
    struct fetcher *f;
    pid_t pid;
};

static void reap_work(struct work *w)
{
    struct reaping *r = w->data;
    while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void reap_done(struct work *w)
{
    struct reaping *r = w->data;
    struct fetcher *f = r->f;
    f->jobs--;
    free(r);
}

static void on_pipe_closed(uv_handle_t *h)
{
    struct fetcher *f = h->data;
    f->handles--;
    f->child = CHILD_NONE;
    pump(f);
}

/* The child is not needed any more (why NULL), or is of no use. A new one is started, if one is
 * needed, when the pipe of this one is closed. */
static void child_down(struct fetcher *f, const char *why)
{
    if (f->child != CHILD_UP)
        return;
    if (why && !f->closing)
        log_warn("%s", why);
    f->child = CHILD_STARTING; /* not before the old pipe is closed */
    uv_timer_stop(&f->idle);
    kill(f->pid, SIGKILL);
    struct reaping *r = calloc(1, sizeof *r);
    if (!r)
        fatal("out of memory");
    r->f = f;
    r->pid = f->pid;
    r->work.data = r;
    f->jobs++;
    work_start(f->o.loop, &r->work, reap_work, reap_done);
    uv_close((uv_handle_t *)&f->pipe, on_pipe_closed);
    fail_all(f->sent, E_IO, why);
}
