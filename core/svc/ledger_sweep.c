/* ledger_sweep: runs leave the ledger when they are old. A timer, and one job of some rows at a time.
 * The timer does not keep the loop alive. */
#include "base/clock.h"
#include "base/log.h"
#include "svc/ledger.h"

enum { LOOK_MS = 60 * 1000, SLICE = 100 };

struct ledger_sweep {
    struct job job; /* first: the slice under way */
    uv_timer_t timer;
    struct store *store;
    int64_t age_ms;
    uint64_t next; /* function to go on with */
    bool busy, stopped, closed;
};

static void free_when_over(struct ledger_sweep *w)
{
    if (w->closed && !w->busy)
        free(w);
}

static int slice_apply(struct job *job, struct store_txn *t)
{
    struct ledger_sweep *w = (struct ledger_sweep *)job;
    return ledger_expire(t, clock_store_ms() - w->age_ms, SLICE, &w->next);
}

static void slice_done(struct job *job, int rc)
{
    struct ledger_sweep *w = (struct ledger_sweep *)job;
    if (rc == 0 && w->next && !w->stopped) {
        store_submit(w->store, &w->job);
        return;
    }
    w->next = 0;
    w->busy = false;
    free_when_over(w);
}

static void on_look(uv_timer_t *timer)
{
    struct ledger_sweep *w = timer->data;
    if (w->busy)
        return;
    w->busy = true;
    w->job = (struct job){.apply = slice_apply, .done = slice_done, .frees_space = true};
    store_submit(w->store, &w->job);
}

struct ledger_sweep *ledger_sweep_start(struct store *s, int64_t age_ms)
{
    struct ledger_sweep *w = calloc(1, sizeof *w);
    uint64_t look_ms = age_ms < LOOK_MS ? 1000 : LOOK_MS;
    if (!w)
        fatal("out of memory");
    w->store = s;
    w->age_ms = age_ms;
    uv_timer_init(store_loop(s), &w->timer);
    w->timer.data = w;
    uv_timer_start(&w->timer, on_look, look_ms, look_ms);
    uv_unref((uv_handle_t *)&w->timer);
    return w;
}

static void on_closed(uv_handle_t *handle)
{
    struct ledger_sweep *w = handle->data;
    w->closed = true;
    free_when_over(w);
}

void ledger_sweep_stop(struct ledger_sweep *w)
{
    if (!w)
        return;
    w->stopped = true;
    uv_close((uv_handle_t *)&w->timer, on_closed);
}
