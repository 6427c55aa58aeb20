/* writer: the store thread. The only writer of LMDB in the process.
 *
 * It takes all jobs that wait, applies them in one transaction, commits with LMDB's default
 * durability (two flushes) and only then hands them back to the loop. While a commit flushes, the
 * next batch gathers: load makes batches larger, not commits more frequent.
 *
 * A job that nobody waits for (`rides`) begins no batch: it goes with the next one, or when the
 * loop's timer says that none has come. Order stays that of submission.
 *
 * A batch that fails is undone and its jobs run again one by one, each in its own transaction, so
 * that one bad job takes nobody with it. A refusal is the caller's affair and spoils nothing, as
 * long as the job wrote nothing or asked for a nested transaction (`undo`).
 *
 * Trouble: the file system is at its floor, the map is full, or a commit failed. Then ordinary jobs
 * are refused at once; those that free space are still tried; and five times a second the thread
 * looks whether writing works again: an fsync of everything, then a commit of its own. Nothing is
 * acknowledged that has not been committed, and no restart is needed. LMDB refuses to go on after a
 * failed write of its meta page: the environment is then closed and opened again, and what the disk
 * has decides whether that last transaction counts.
 *
 * It does not retry jobs for their callers, and knows nothing of what rows mean. */
#include <errno.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/waker.h"
#include "store/inside.h"

enum {
    BATCH_JOBS = 4096,
    BATCH_ROWS = 8192,     /* in one transaction, and … */
    BATCH_BYTES = 4 << 20, /* … their size: LMDB holds their pages, and keeps some for the next */
    PROBE_MS = 200,
    RIDE_MS = 2,           /* a job that nobody waits for does, at most, or … */
    RIDERS = 64,           /* … until so many do */
    TURN_NS = 1000 * 1000, /* of done callbacks in one turn of the loop */
};
#define FLOOR_BYTES (64ull << 20)

enum trouble { FINE, DISK_LOW, MAP_IS_FULL, FAILING };
static const char disk_is_full[] = "the disk is nearly full";

struct list {
    struct job *head, **tail;
};

struct writer {
    struct store *store;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the next group */
    pthread_cond_t wake;  /* no semaphore as in base/work.c: see tests/bench/README.md */
    struct list queued, finished;
    struct buf dead;    /* blob ids of committed batches, for the loop */
    size_t riders;      /* of those queued, while `call` is false */
    bool call;          /* a batch is to begin */
    bool stop, no_room; /* no_room: a blob found none */

    struct waker waker;     /* there is something in `finished` */
    uv_timer_t *ride;       /* the loop's: runs while only riders are queued */
    struct list delivering; /* the loop's: finished jobs whose callbacks did not fit in a turn */
    size_t pending;         /* the loop's: submitted and not yet done */
    bool closing;

    _Atomic int trouble;
    int refusal;        /* the store thread's: E_* for ordinary jobs while in trouble */
    bool map_stretched; /* the reserve is mapped */
};

static void *thread_main(void *arg);
static void on_rung(struct waker *waker);
static void on_ride(uv_timer_t *timer);
static bool deliver(struct writer *w, bool all);
static struct list run_batch(struct writer *w, struct list *jobs);
static void set_trouble(struct writer *w, enum trouble trouble, int refusal, const char *why);
static void probe(struct writer *w);

static void list_init(struct list *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static void list_push(struct list *l, struct job *job)
{
    job->next = NULL;
    *l->tail = job;
    l->tail = &job->next;
}

static struct job *list_pop(struct list *l)
{
    struct job *job = l->head;
    if (job && !(l->head = job->next))
        l->tail = &l->head;
    return job;
}

/* Moves all of `from` behind `to`. */
static void list_move(struct list *to, struct list *from)
{
    if (!from->head)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    list_init(from);
}

/* --- the loop's side ---------------------------------------------------------------------------
 */

void writer_open(struct store *s)
{
    struct writer *w = calloc(1, sizeof *w);
    if (!w || !(w->ride = malloc(sizeof *w->ride)))
        fatal("out of memory");
    w->store = s;
    s->writer = w;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    list_init(&w->queued);
    list_init(&w->finished);
    list_init(&w->delivering);
    w->waker.data = w->ride->data = w;
    uv_timer_init(s->loop, w->ride);
    uv_unref((uv_handle_t *)w->ride); /* whose jobs keep the loop alive */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop thread's */
    if (waker_init(&w->waker) != 0 || waker_listen(&w->waker, s->loop, on_rung) != 0 ||
        pthread_create(&w->thread, NULL, thread_main, w) != 0)
        fatal("store: the store thread cannot be started");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    waker_unref(&w->waker); /* an idle store keeps no loop alive */
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void writer_free(struct waker *waker)
{
    struct writer *w = waker->data;
    waker_deinit(waker);
    free(w);
}

void writer_stop(struct store *s)
{
    struct writer *w = s->writer;
    w->closing = true;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
}

bool writer_flush(struct store *s)
{
    bool any = s->writer->pending;
    deliver(s->writer, true);
    return any;
}

void writer_close(struct store *s)
{
    struct writer *w = s->writer;
    uv_close((uv_handle_t *)w->ride, free_handle);
    buf_deinit(&w->dead);
    waker_close(&w->waker, writer_free);
    s->writer = NULL;
}

void writer_submit(struct store *s, struct job *job)
{
    struct writer *w = s->writer;
    if (w->pending++ == 0)
        waker_ref(&w->waker);
    job->rc = 0;
    if (w->closing) {
        job->rc = E_SHUTDOWN;
        list_push(&w->delivering, job);
        return;
    }
    pthread_mutex_lock(&w->lock);
    bool idle = !w->call;
    list_push(&w->queued, job);
    if (job->rides && idle)
        w->riders++;
    w->call = !idle || !job->rides || w->riders == RIDERS;
    bool begins = idle && w->call, waits = !w->call && w->riders == 1;
    pthread_mutex_unlock(&w->lock);
    if (begins)
        pthread_cond_signal(&w->wake);
    if (waits)
        uv_timer_start(w->ride, on_ride, RIDE_MS, 0);
}

/* The riders for whom it was started may have gone with others: then the next ones go a little early. */
static void on_ride(uv_timer_t *timer)
{
    struct writer *w = timer->data;
    pthread_mutex_lock(&w->lock);
    bool begins = !w->call && w->riders;
    w->call |= begins;
    pthread_mutex_unlock(&w->lock);
    if (begins)
        pthread_cond_signal(&w->wake);
}

bool writer_writable(const struct store *s)
{
    return s->writer->trouble == FINE;
}

static void on_rung(struct waker *waker)
{
    if (deliver(waker->data, false))
        waker_ring(waker);
}

/* Runs done callbacks, all or for one turn's time; true when some are left. */
static bool deliver(struct writer *w, bool all)
{
    struct buf dead;
    uint64_t start = clock_mono_ns();
    pthread_mutex_lock(&w->lock);
    list_move(&w->delivering, &w->finished);
    dead = w->dead;
    w->dead = BUF_INIT;
    pthread_mutex_unlock(&w->lock);
    if (dead.n)
        blobs_dead(w->store, buf_str(&dead));
    buf_deinit(&dead);
    struct job *job;
    while ((all || clock_mono_ns() - start < TURN_NS) && (job = list_pop(&w->delivering))) {
        if (--w->pending == 0)
            waker_unref(&w->waker);
        job->done(job, job->rc);
    }
    return w->delivering.head != NULL;
}

/* --- the store thread --------------------------------------------------------------------------
 */

static void wait_for_work(struct writer *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PROBE_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!w->call && !w->stop && !w->no_room)
        if (w->trouble == FINE)
            pthread_cond_wait(&w->wake, &w->lock);
        else if (pthread_cond_timedwait(&w->wake, &w->lock, &until) == ETIMEDOUT)
            break;
}

void writer_no_room(struct store *s)
{
    struct writer *w = s->writer;
    pthread_mutex_lock(&w->lock);
    w->no_room = true;
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->wake);
}

static void *thread_main(void *arg)
{
    struct writer *w = arg;
    uint64_t probed_ns = 0;
    struct list jobs, finished;
    list_init(&jobs);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        if (!jobs.head)
            wait_for_work(w);
        list_move(&jobs, &w->queued);
        w->call = false;
        w->riders = 0;
        if (!jobs.head && w->stop)
            break;
        bool no_room = w->no_room;
        w->no_room = false;
        pthread_mutex_unlock(&w->lock);
        if (no_room && w->trouble == FINE)
            set_trouble(w, DISK_LOW, E_NO_SPACE, disk_is_full);
        if (w->trouble != FINE && clock_mono_ns() - probed_ns >= PROBE_MS * 1000000ull) {
            probe(w);
            probed_ns = clock_mono_ns();
        }
        finished = run_batch(w, &jobs);
        pthread_mutex_lock(&w->lock);
        list_move(&w->finished, &finished);
        if (!w->finished.head)
            continue;
        pthread_mutex_unlock(&w->lock);
        /* not under the lock: on a shared processor who is woken runs at once */
        waker_ring(&w->waker);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- trouble -----------------------------------------------------------------------------------
 */

static void set_trouble(struct writer *w, enum trouble trouble, int refusal, const char *why)
{
    if (w->trouble == FINE && trouble != FINE)
        log_error("store: writes are refused: %s", why);
    if (w->trouble != FINE && trouble == FINE)
        log_info("store: writes are taken again");
    w->refusal = refusal;
    w->trouble = trouble;
}

/* What the file system of DATA lets us take, and how much of it must be left. */
static bool disk_space(const struct store *s, uint64_t *avail, uint64_t *least)
{
    struct statvfs v;
    if (statvfs(s->dir, &v) != 0 || v.f_blocks == 0)
        return false;
    uint64_t unit = v.f_frsize ? v.f_frsize : v.f_bsize;
    *avail = (uint64_t)v.f_bavail * unit;
    *least = (uint64_t)v.f_blocks * unit / 20;
    if (*least > FLOOR_BYTES)
        *least = FLOOR_BYTES;
    return true;
}

bool writer_disk_low(const struct store *s)
{
    uint64_t avail, least;
    return FAULT(store_disk_low) || (disk_space(s, &avail, &least) && avail < least);
}

/* Bytes of pages in LMDB's free list (table 0): each row is a list that begins with its length.
 * Counts no further than `enough`. */
static uint64_t free_bytes(struct writer *w, uint64_t enough)
{
    MDB_txn *txn;
    MDB_cursor *c;
    MDB_val k, v;
    MDB_stat st;
    uint64_t bytes = 0;
    size_t n;
    if (mdb_txn_begin(w->store->env, NULL, MDB_RDONLY, &txn) != 0)
        return 0;
    mdb_env_stat(w->store->env, &st);
    if (mdb_cursor_open(txn, 0, &c) == 0) {
        while (bytes < enough && mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0) {
            memcpy(&n, v.mv_data, sizeof n);
            bytes += (uint64_t)n * st.ms_psize;
        }
        mdb_cursor_close(c);
    }
    mdb_txn_abort(txn);
    return bytes;
}

/* The disk is low and LMDB has no pages of its own to use instead: after many deletes it has. Its
 * file does not shrink, so it must not grow then: each time that the disk is filled it would take
 * more of it for good, until there is no room left for anything else. Once low, it is so until there
 * is some room to spare: what takes small objects only would call itself well between two refusals. */
static bool rows_have_no_room(struct writer *w)
{
    uint64_t avail, least;
    if (FAULT(store_disk_low))
        return true;
    if (!disk_space(w->store, &avail, &least))
        return false;
    uint64_t wanted = least + (w->trouble == DISK_LOW ? least / 16 : 0);
    return avail < wanted && free_bytes(w, least) < least;
}

static bool map_has_room(struct writer *w)
{
    MDB_envinfo info;
    MDB_stat st;
    mdb_env_info(w->store->env, &info);
    mdb_env_stat(w->store->env, &st);
    uint64_t used = (info.me_last_pgno + 1) * st.ms_psize,
             room = free_bytes(w, w->store->map_reserve);
    if (used < w->store->map_size)
        room += w->store->map_size - used;
    return room >= w->store->map_reserve;
}

static void map_resize(struct writer *w, bool stretched)
{
    struct store *s = w->store;
    env_exclusive(s, true);
    mdb_env_set_mapsize(s->env, s->map_size + (stretched ? s->map_reserve : 0));
    env_exclusive(s, false);
    w->map_stretched = stretched;
}

/* Opens the environment again if LMDB gave it up. True when transaction `id` is found in it. */
static bool revive(struct writer *w, size_t id)
{
    struct store *s = w->store;
    MDB_txn *txn;
    MDB_envinfo info;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc == 0)
        mdb_txn_abort(txn);
    if (rc != MDB_PANIC)
        return false;
    env_exclusive(s, true);
    for (int i = 0; (rc = env_reopen(s)) != 0; i++) {
        if (i == 50)
            fatal("store: %s/meta.mdb cannot be opened again: %s", s->shown, mdb_strerror(rc));
        usleep(20 * 1000);
    }
    w->map_stretched = false;
    mdb_env_info(s->env, &info);
    env_exclusive(s, false);
    return info.me_last_txnid >= id;
}

/* 0 or an LMDB or system error. After a failed commit the kernel may hold pages that the disk has
 * not, the old meta page that LMDB put back among them. A new transaction would overwrite what a
 * newer meta page on the disk may refer to, so they are written first or nothing is. */
static int begin(struct writer *w, struct store_txn *t)
{
    int rc = 0;
    *t = (struct store_txn){.store = w->store, .write = true};
    if (w->trouble == FAILING && (rc = FAULT(store_sync)) == 0)
        rc = mdb_env_sync(w->store->env, 1);
    return rc ? rc : mdb_txn_begin(w->store->env, NULL, 0, &t->txn);
}

static void abandon(struct store_txn *t)
{
    mdb_txn_abort(t->txn);
    buf_deinit(&t->dead);
}

/* Writing works again, unless there is no room. */
static void mended(struct writer *w)
{
    bool no_room = rows_have_no_room(w);
    if (w->map_stretched)
        map_resize(w, false);
    set_trouble(w, no_room ? DISK_LOW : FINE, no_room ? E_NO_SPACE : 0, NULL);
}

/* 0, or the E_* with which it failed, after which nothing of t is in the store. */
static int commit(struct writer *w, struct store_txn *t)
{
    size_t id = mdb_txn_id(t->txn);
    store_meta_put(t, "time", (uint64_t)clock_store_ms());
    int rc = FAULT(store_commit);
    if (t->broken || t->dead.rc) {
        rc = t->broken ? t->broken : E_INTERNAL;
        abandon(t);
        return rc;
    }
    if (rc)
        mdb_txn_abort(t->txn);
    else
        rc = mdb_txn_commit(t->txn);
    if (rc) {
        if (rc == EIO && writer_disk_low(w->store))
            rc = ENOSPC; /* LMDB's word for a write that was cut short */
        const char *why = mdb_strerror(rc);
        if (revive(w, id) && mdb_env_sync(w->store->env, 1) == 0)
            rc = 0; /* the disk has it after all */
        else if (rc == MDB_MAP_FULL)
            set_trouble(w, MAP_IS_FULL, E_NO_SPACE, why);
        else
            set_trouble(w, FAILING, store_rc(rc) == E_NO_SPACE ? E_NO_SPACE : E_IO, why);
    } else if (w->trouble == FAILING) {
        mended(w);
    }
    if (rc == 0 && t->dead.n) {
        pthread_mutex_lock(&w->lock);
        buf_add(&w->dead, buf_str(&t->dead));
        pthread_mutex_unlock(&w->lock);
    }
    buf_deinit(&t->dead);
    return rc ? w->refusal : 0;
}

static void probe(struct writer *w)
{
    struct store_txn t;
    if (w->trouble == DISK_LOW && rows_have_no_room(w))
        return;
    if (w->trouble == MAP_IS_FULL && !map_has_room(w))
        return;
    if (w->trouble != FAILING)
        mended(w);
    else if (begin(w, &t) == 0)
        commit(w, &t);
}

/* --- batches -----------------------------------------------------------------------------------
 */

static bool is_failure(int rc)
{
    return rc == E_IO || rc == E_NO_SPACE || rc == E_INTERNAL;
}

/* Applies in a nested transaction: a refusal leaves no trace. */
static int apply_nested(struct job *job, struct store_txn *t)
{
    struct store_txn outer = *t;
    int rc = mdb_txn_begin(t->store->env, outer.txn, 0, &t->txn);
    if (rc)
        return store_rc(rc);
    rc = job->apply(job, t);
    if (rc == 0 && !t->broken) {
        rc = store_rc(mdb_txn_commit(t->txn));
        t->txn = outer.txn;
        return rc;
    }
    mdb_txn_abort(t->txn);
    t->txn = outer.txn;
    t->changes = outer.changes;
    t->dead.n = outer.dead.n;
    return rc ? rc : t->broken;
}

/* 0, or the job's refusal with *spoilt false, or *spoilt true: t must be undone. */
static int apply(struct job *job, struct store_txn *t, bool *spoilt)
{
    uint64_t changes = t->changes;
    int rc = job->undo ? apply_nested(job, t) : job->apply(job, t);
    if (t->broken)
        rc = t->broken;
    *spoilt = t->broken || is_failure(rc) || (rc && t->changes != changes);
    return rc;
}

static int run_alone(struct writer *w, struct job *job)
{
    struct store_txn t;
    bool spoilt;
    int rc = begin(w, &t);
    if (rc)
        return store_rc(rc);
    rc = apply(job, &t, &spoilt);
    if (rc || t.changes == 0) {
        abandon(&t);
        return rc;
    }
    return commit(w, &t);
}

/* Until there are no more, or the disk is well again: those that are left can share transactions. */
static struct list run_one_by_one(struct writer *w, struct list *jobs)
{
    struct list finished;
    struct job *job;
    bool failing = false, broken = false; /* broken: it failed one alone, so it would fail all */
    list_init(&finished);
    while (!(failing && w->trouble == FINE) && (job = list_pop(jobs))) {
        failing = w->trouble == FAILING;
        if (w->trouble != FINE && (!job->frees_space || broken)) {
            job->rc = w->refusal;
        } else {
            job->rc = run_alone(w, job);
            broken = job->rc == E_IO && w->trouble == FAILING;
            if (job->rc == E_NO_SPACE && w->trouble == FINE && !map_has_room(w))
                set_trouble(w, MAP_IS_FULL, E_NO_SPACE, "the store has reached its largest size");
            if (job->rc == E_NO_SPACE && w->trouble == MAP_IS_FULL && job->frees_space &&
                !w->map_stretched) {
                map_resize(w, true); /* deletes copy pages before they free any */
                job->rc = run_alone(w, job);
            }
        }
        list_push(&finished, job);
    }
    return finished;
}

/* Takes jobs from the front of the list until the batch is full; returns them with their results.
 */
static struct list run_batch(struct writer *w, struct list *jobs)
{
    struct list taken;
    struct store_txn t;
    struct job *job;
    bool spoilt = false, begun = false;
    list_init(&taken);
    if (jobs->head && w->trouble == FINE && rows_have_no_room(w))
        set_trouble(w, DISK_LOW, E_NO_SPACE, disk_is_full);
    for (int n = 0; n < BATCH_JOBS && !spoilt && (job = list_pop(jobs)); n++) {
        list_push(&taken, job);
        job->rc = w->refusal;
        if (w->trouble != FINE && !job->frees_space)
            continue;
        if (!begun && begin(w, &t) != 0) {
            spoilt = true;
            break;
        }
        begun = true;
        job->rc = apply(job, &t, &spoilt);
        if (t.bytes >= BATCH_BYTES || t.changes >= BATCH_ROWS)
            break;
    }
    if (begun && (spoilt || t.changes == 0)) {
        abandon(&t);
    } else if (begun && commit(w, &t) != 0) {
        spoilt = true;
        probe(w); /* a passing fault fails nobody */
    }
    if (!spoilt)
        return taken;
    struct list finished = run_one_by_one(w, &taken);
    list_move(&taken, jobs); /* what it left comes first */
    list_move(jobs, &taken);
    return finished;
}
