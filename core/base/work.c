/* work: a queue for four threads and one for a fifth, and for each loop an inbox with a waker.
 *
 * A thread that has run a job puts it into the inbox of its loop without a lock and then rings. It rings
 * for each job, so that none waits for a thread that was put aside between the two; the loop never waits
 * for a thread at all, but for the instructions under the queue's lock. libuv's pool wakes its loop by an
 * async handle, whose receiver does wait (base/waker.h). And threads wait at a semaphore: who signals
 * a condition variable sleeps until those woken before have left it (glibc 2.36: the loop did so 440 times
 * in 360 uploads and 120 functions beside busy processors, 59 ms the longest).
 *
 * An inbox is never freed, and its waker's descriptor never closed: the thread whose job was the last may
 * still be about to ring when the loop has taken that job and has ended. It then rings at nobody, or at the
 * inbox's next owner, who finds nothing. There are as many inboxes as loops had jobs at once.
 *
 * Threads are made together at the first job and stay; they have the niceness and the slice of who gave
 * it. Nothing of libuv's own pool is used, and so that never starts. */
#include "base/work.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/waker.h"

enum { TURN_NS = 500 * 1000 }; /* of `after` in one turn of the loop */
enum { LATER_NICE = 5 };       /* as runners are: see proc/zygote_main.c */

struct work_inbox {
    struct waker waker;
    struct work_inbox *next;         /* of all */
    uv_loop_t *loop;                 /* whose it is; NULL while it is closed or closing */
    bool used;                       /* … and false once another loop may have it */
    _Atomic(struct work *) finished; /* newest first */
    /* the loop's */
    struct work *first; /* taken out, oldest first */
    size_t under_way;
    bool kept, delivering;
};

struct queue {
    sem_t count; /* of jobs in it */
    struct work *first, **last;
};

static struct {
    pthread_mutex_t lock;
    struct queue soon, later;
    bool running;
    struct work_inbox *inboxes;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_rung(struct waker *waker);
static void *thread_main(void *arg);

/* --- inboxes ------------------------------------------------------------------------------------ */

/* The loop's, or NULL. */
static struct work_inbox *inbox_find(const uv_loop_t *loop)
{
    pthread_mutex_lock(&pool.lock);
    struct work_inbox *b = pool.inboxes;
    while (b && b->loop != loop)
        b = b->next;
    pthread_mutex_unlock(&pool.lock);
    return b;
}

static struct work_inbox *inbox_unused(void)
{
    pthread_mutex_lock(&pool.lock);
    struct work_inbox *b = pool.inboxes;
    while (b && b->used)
        b = b->next;
    if (b)
        b->used = true;
    pthread_mutex_unlock(&pool.lock);
    return b;
}

static struct work_inbox *inbox_new(void)
{
    struct work_inbox *b = calloc(1, sizeof *b);
    if (!b || waker_init(&b->waker) != 0)
        fatal("work: no memory or no descriptor to wake a loop with");
    b->used = true;
    b->waker.data = b;
    pthread_mutex_lock(&pool.lock);
    b->next = pool.inboxes;
    pool.inboxes = b;
    pthread_mutex_unlock(&pool.lock);
    return b;
}

static struct work_inbox *inbox_of(uv_loop_t *loop)
{
    struct work_inbox *b = inbox_find(loop);
    if (b)
        return b;
    b = inbox_unused();
    if (!b)
        b = inbox_new();
    if (waker_listen(&b->waker, loop, on_rung) != 0)
        fatal("work: the loop cannot be woken");
    waker_unref(&b->waker);
    pthread_mutex_lock(&pool.lock);
    b->loop = loop;
    pthread_mutex_unlock(&pool.lock);
    return b;
}

static void on_closed(struct waker *waker)
{
    struct work_inbox *b = waker->data;
    pthread_mutex_lock(&pool.lock);
    b->used = false;
    pthread_mutex_unlock(&pool.lock);
}

static void inbox_close(struct work_inbox *b)
{
    pthread_mutex_lock(&pool.lock);
    b->loop = NULL;
    pthread_mutex_unlock(&pool.lock);
    waker_close(&b->waker, on_closed);
}

/* --- the loop's side ---------------------------------------------------------------------------- */

static void queue_clear(struct queue *q)
{
    sem_init(&q->count, 0, 0);
    q->first = NULL;
    q->last = &q->first;
}

/* In a forked child: its threads, its jobs and its loops are the parent's. */
static void forget_all(void)
{
    pthread_mutex_init(&pool.lock, NULL);
    pool.running = false;
    pool.inboxes = NULL;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, forget_all);
}

static void start_threads(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_mutex_lock(&pool.lock);
    bool running = pool.running;
    pool.running = true;
    if (!running) {
        queue_clear(&pool.soon);
        queue_clear(&pool.later);
    }
    pthread_mutex_unlock(&pool.lock);
    pthread_attr_t attr;
    if (running)
        return;
    pthread_once(&once, watch_forks);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i <= WORK_THREADS; i++) {
        pthread_t thread;
        struct queue *q = i < WORK_THREADS ? &pool.soon : &pool.later;
        if (pthread_create(&thread, &attr, thread_main, q) != 0)
            fatal("work: a thread cannot be started");
    }
    pthread_attr_destroy(&attr);
}

void work_keep(uv_loop_t *loop)
{
    inbox_of(loop)->kept = true;
    start_threads();
}

void work_leave(uv_loop_t *loop)
{
    struct work_inbox *b = inbox_find(loop);
    if (!b)
        return;
    b->kept = false;
    if (b->under_way == 0)
        inbox_close(b);
}

static void start(struct queue *q, uv_loop_t *loop, struct work *w, void (*run)(struct work *w),
                  void (*after)(struct work *w))
{
    struct work_inbox *b = inbox_of(loop);
    if (b->under_way++ == 0)
        waker_ref(&b->waker);
    start_threads();
    w->next = NULL;
    w->inbox = b;
    w->run = run;
    w->after = after;
    pthread_mutex_lock(&pool.lock);
    *q->last = w;
    q->last = &w->next;
    pthread_mutex_unlock(&pool.lock);
    sem_post(&q->count); /* not under the lock: who is woken wants it */
}

void work_start(uv_loop_t *loop, struct work *w, void (*run)(struct work *w),
                void (*after)(struct work *w))
{
    start(&pool.soon, loop, w, run, after);
}

void work_start_later(uv_loop_t *loop, struct work *w, void (*run)(struct work *w),
                      void (*after)(struct work *w))
{
    start(&pool.later, loop, w, run, after);
}

/* In the order in which they have ended. */
static struct work *next_out(struct work_inbox *b)
{
    if (!b->first) {
        struct work *w = atomic_exchange_explicit(&b->finished, NULL, memory_order_acquire);
        for (struct work *before; w; w = before) {
            before = w->next;
            w->next = b->first;
            b->first = w;
        }
    }
    struct work *w = b->first;
    if (w)
        b->first = w->next;
    return w;
}

/* `after` may turn the loop, and so come here again: who began it ends it. */
static void on_rung(struct waker *waker)
{
    struct work_inbox *b = waker->data;
    bool outer = !b->delivering;
    uint64_t start = clock_mono_ns();
    struct work *w;
    b->delivering = true;
    while (clock_mono_ns() - start < TURN_NS && (w = next_out(b))) {
        if (--b->under_way == 0)
            waker_unref(waker);
        w->after(w);
    }
    if (b->first || atomic_load_explicit(&b->finished, memory_order_relaxed))
        waker_ring(waker); /* the ring of those that are finished may have been this one */
    if (!outer)
        return;
    b->delivering = false;
    if (b->under_way == 0 && !b->kept && b->loop)
        inbox_close(b);
}

/* --- a thread's side ---------------------------------------------------------------------------- */

static struct work *next_job(struct queue *q)
{
    while (sem_wait(&q->count) != 0)
        ;
    pthread_mutex_lock(&pool.lock);
    struct work *w = q->first;
    if (!(q->first = w->next))
        q->last = &q->first;
    pthread_mutex_unlock(&pool.lock);
    return w;
}

static void *thread_main(void *arg)
{
    struct queue *q = arg;
    if (q == &pool.later && getpriority(PRIO_PROCESS, 0) < LATER_NICE)
        setpriority(PRIO_PROCESS, 0, LATER_NICE); /* of this thread; it is a wish */
    for (;;) {
        struct work *w = next_job(q);
        struct work_inbox *b = w->inbox;
        w->run(w);
        struct work *before = atomic_load_explicit(&b->finished, memory_order_relaxed);
        do
            w->next = before;
        while (!atomic_compare_exchange_weak_explicit(&b->finished, &before, w,
                                                      memory_order_release, memory_order_relaxed));
        waker_ring(&b->waker); /* w is the loop's already */
    }
    return NULL;
}
