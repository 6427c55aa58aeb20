/* kv_sweep: a timer and one job at a time. The timer does not keep the loop alive. */
#include "svc/kv_sweep.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/kv.h"

enum { LOOK_MS = 1000, SLICE = 400 }; /* rows; each is two deletions */

struct kv_sweep {
    struct job job; /* first: the slice under way */
    uv_timer_t timer;
    struct store *store;
    bool busy, more, stopped, closed;
};

static void free_when_over(struct kv_sweep *k)
{
    if (k->closed && !k->busy)
        free(k);
}

static int slice_apply(struct job *job, struct store_txn *t)
{
    struct kv_sweep *k = (struct kv_sweep *)job;
    return kv_expire(t, SLICE, &k->more);
}

static void slice_done(struct job *job, int rc)
{
    struct kv_sweep *k = (struct kv_sweep *)job;
    if (rc == 0 && k->more && !k->stopped) {
        store_submit(k->store, &k->job);
        return;
    }
    k->busy = false;
    free_when_over(k);
}

static void on_look(uv_timer_t *timer)
{
    struct kv_sweep *k = timer->data;
    if (k->busy)
        return;
    struct store_txn *t = store_read(k->store);
    bool due = kv_next_expiry(t) <= clock_store_ms();
    store_read_end(t);
    if (!due)
        return;
    k->busy = true;
    k->job = (struct job){.apply = slice_apply, .done = slice_done, .frees_space = true};
    store_submit(k->store, &k->job);
}

struct kv_sweep *kv_sweep_start(struct store *s)
{
    struct kv_sweep *k = calloc(1, sizeof *k);
    if (!k)
        fatal("out of memory");
    k->store = s;
    k->timer.data = k;
    uv_timer_init(store_loop(s), &k->timer);
    uv_timer_start(&k->timer, on_look, LOOK_MS, LOOK_MS);
    uv_unref((uv_handle_t *)&k->timer);
    return k;
}

static void timer_closed(uv_handle_t *timer)
{
    struct kv_sweep *k = timer->data;
    k->closed = true;
    free_when_over(k);
}

void kv_sweep_stop(struct kv_sweep *k)
{
    k->stopped = true;
    uv_close((uv_handle_t *)&k->timer, timer_closed);
}
