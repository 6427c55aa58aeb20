/* upkeep: the calls that read the whole store, for as long as that takes.
 *
 *   GET  /perilune/v1/backup[?without_key=1]   the archive of svc/backup.h
 *   POST /perilune/v1/scrub                    a line of JSON for each finding and, each second, for the
 *                                              progress; the last one has "done"
 *
 * Their work blocks, so a thread does it, and hands over what it makes through a buffer that holds
 * BUFFER_MAX bytes at most: a client that takes nothing stops the thread, and the thread alone. The
 * answer begins with the first bytes, so what is wrong before that is an ordinary error; what is wrong
 * later cuts the connection, and the client sees that it has not everything. */
#include "api/upkeep.h"

#include "api/gate.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/waker.h"
#include "svc/backup.h"
#include "svc/scrub.h"

enum { BUFFER_MAX = 1 << 20, SENT_MAX = 256 * 1024, PROGRESS_MS = 1000 };

struct upkeep {
    struct call *c;
    struct services *svc;
    struct store_copy *copy;
    void (*work)(struct upkeep *u); /* the thread's: backup or scrub */
    bool without_key;
    uv_thread_t thread;
    struct waker waker;
    uv_mutex_t lock;
    uv_cond_t taken;
    struct buf out; /* under the lock, as … */
    bool ended;     /* … this */
    bool stopped;   /* nobody takes any more; under the lock too */
    /* the thread's until it has ended */
    int rc;
    struct err err;
    struct scrub_result found;
    uint64_t told_ns;
    /* the loop's */
    bool begun, waiting, joined;
};

/* --- the thread's side ------------------------------------------------------------------------ */

static bool put(void *ctx, struct str bytes)
{
    struct upkeep *u = ctx;
    uv_mutex_lock(&u->lock);
    while (u->out.n >= BUFFER_MAX && !u->stopped)
        uv_cond_wait(&u->taken, &u->lock);
    bool wanted = !u->stopped;
    if (wanted)
        buf_add(&u->out, bytes);
    uv_mutex_unlock(&u->lock);
    if (wanted)
        waker_ring(&u->waker);
    return wanted;
}

static void back_up(struct upkeep *u)
{
    struct backup_opts o = {.copy = u->copy,
                            .dir = store_dir(u->svc->store),
                            .without_key = u->without_key,
                            .put = put,
                            .ctx = u};
    u->rc = backup_write(&o, &u->err);
}

static bool tell(void *ctx, const char *kind, struct str name, const char *why)
{
    struct buf line = BUF_INIT;
    buf_printf(&line, "{\"damaged\":\"%s\",\"name\":", kind);
    json_quote(&line, name);
    buf_printf(&line, ",\"why\":\"%s\"}\n", why);
    bool wanted = put(ctx, buf_str(&line));
    buf_deinit(&line);
    return wanted;
}

static void put_counts(struct buf *b, const struct scrub_result *r)
{
    buf_printf(b,
               "\"objects\":%llu,\"parts\":%llu,\"packages\":%llu,\"blobs\":%llu,\"bytes\":%llu,"
               "\"damaged\":%llu}\n",
               (unsigned long long)r->objects, (unsigned long long)r->parts,
               (unsigned long long)r->packages, (unsigned long long)r->blobs,
               (unsigned long long)r->bytes, (unsigned long long)r->damaged);
}

static bool going(void *ctx, const struct scrub_result *so_far)
{
    struct upkeep *u = ctx;
    uint64_t now_ns = clock_mono_ns();
    if (now_ns - u->told_ns < PROGRESS_MS * 1000000ull)
        return true;
    u->told_ns = now_ns;
    struct buf line = BUF_INIT;
    buf_lit(&line, "{\"done\":false,");
    put_counts(&line, so_far);
    bool wanted = put(u, buf_str(&line));
    buf_deinit(&line);
    return wanted;
}

static void scrub(struct upkeep *u)
{
    struct scrub_opts o = {.copy = u->copy, .tell = tell, .going = going, .ctx = u};
    u->rc = store_copy_make(u->copy, &u->err);
    if (u->rc == 0)
        u->rc = scrub_run(&o, &u->found);
}

static void thread_main(void *arg)
{
    struct upkeep *u = arg;
    u->work(u);
    uv_mutex_lock(&u->lock);
    u->ended = true;
    uv_mutex_unlock(&u->lock);
    waker_ring(&u->waker);
}

/* --- the loop's side -------------------------------------------------------------------------- */

static void freed(struct waker *waker)
{
    struct upkeep *u = waker->data;
    waker_deinit(waker);
    buf_deinit(&u->out);
    uv_mutex_destroy(&u->lock);
    uv_cond_destroy(&u->taken);
    free(u);
}

static void stop(struct upkeep *u)
{
    store_copy_cancel(u->copy);
    uv_mutex_lock(&u->lock);
    u->stopped = true;
    uv_cond_signal(&u->taken);
    uv_mutex_unlock(&u->lock);
}

static void begin(struct upkeep *u)
{
    if (u->begun)
        return;
    u->begun = true;
    call_stream_begin(u->c, 200, u->work == back_up ? "application/x-tar" : "application/x-ndjson",
                      -1);
}

/* The answer's end, and that of u. */
static void answer(struct upkeep *u)
{
    if (u->rc && !u->begun)
        call_error(u->c, u->rc, &u->err);
    else
        call_stream_end(u->c, u->rc == 0);
    waker_close(&u->waker, freed);
}

/* The files that nothing names have been removed too. */
static void swept(void *ctx, size_t removed)
{
    struct upkeep *u = ctx;
    struct buf line = BUF_INIT;
    buf_printf(&line, "{\"done\":true,\"orphans\":%zu,", removed);
    put_counts(&line, &u->found);
    begin(u);
    http_reply_write(u->c->req, buf_str(&line));
    buf_deinit(&line);
    answer(u);
}

/* The thread has ended, and all that it made is out. */
static void end(struct upkeep *u)
{
    bool sweeps = u->work == scrub && u->rc == 0;
    if (u->rc == 0 && u->work == back_up)
        begin(u);
    if (u->rc && u->rc != E_ABORTED)
        log_warn("%s: %s", u->work == back_up ? "backup" : "scrub", err_text(&u->err, u->rc));
    u->joined = true;
    uv_thread_join(&u->thread);
    store_copy_end(u->copy);
    u->svc->upkeep = NULL;
    if (sweeps)
        blob_sweep(u->svc->store, swept, u);
    else
        answer(u);
}

static void drained(struct http_req *req);

static void pump(struct upkeep *u)
{
    if (u->waiting || u->joined)
        return;
    uv_mutex_lock(&u->lock);
    struct buf out = u->out;
    bool ended = u->ended;
    u->out = BUF_INIT;
    uv_cond_signal(&u->taken);
    uv_mutex_unlock(&u->lock);
    if (out.n)
        begin(u);
    size_t waits = out.n ? http_reply_write(u->c->req, buf_str(&out)) : 0;
    buf_deinit(&out);
    if (ended) {
        end(u);
    } else if (waits > SENT_MAX) {
        u->waiting = true;
        http_reply_drained(u->c->req, drained);
    }
}

static void drained(struct http_req *req)
{
    struct upkeep *u = ((struct call *)req->user)->user;
    u->waiting = false;
    pump(u);
}

static void on_rung(struct waker *waker)
{
    pump(waker->data);
}

static void gone(struct http_req *req)
{
    struct upkeep *u = ((struct call *)req->user)->user;
    if (!u->joined)
        stop(u); /* the thread ends soon, and then the answer */
}

static void start(struct call *c, void (*work)(struct upkeep *u), bool without_key)
{
    struct err err = {0};
    struct store_copy *copy;
    int rc = store_copy_begin(c->svc->store, &copy, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct upkeep *u = calloc(1, sizeof *u);
    if (!u)
        fatal("out of memory");
    rc = waker_init(&u->waker);
    if (rc == 0 && (rc = waker_listen(&u->waker, c->svc->loop, on_rung)))
        waker_deinit(&u->waker);
    if (rc) {
        store_copy_end(copy);
        free(u);
        call_error(c, rc, NULL);
        return;
    }
    u->c = c;
    u->svc = c->svc;
    u->copy = copy;
    u->work = work;
    u->without_key = without_key;
    u->told_ns = clock_mono_ns();
    u->waker.data = u;
    c->user = u;
    c->svc->upkeep = u;
    uv_mutex_init(&u->lock);
    uv_cond_init(&u->taken);
    http_on_gone(c->req, gone);
    if (uv_thread_create(&u->thread, thread_main, u) != 0)
        fatal("upkeep: no thread can be started");
}

void upkeep_stop(struct services *svc)
{
    struct upkeep *u = svc->upkeep;
    if (!u)
        return;
    stop(u);
    uv_thread_join(&u->thread);
    u->joined = true;
    u->rc = E_SHUTDOWN;
    store_copy_end(u->copy);
    svc->upkeep = NULL;
    answer(u);
}

void perilune_backup(struct call *c)
{
    struct str without_key = call_query(c, "without_key");
    start(c, back_up, without_key.p && !str_is(without_key, "0"));
}

void perilune_scrub(struct call *c)
{
    start(c, scrub, false);
}
