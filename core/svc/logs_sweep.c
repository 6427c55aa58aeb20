/* logs_sweep: the cap on all groups together.
 *
 * At the start, and when the groups have grown past the cap, the folder is added up on the pool and
 * the oldest segments of all are found by their times. Those of groups that are not in memory are
 * unlinked at once; an open group is told how many of its oldest to give up with its next flush,
 * which is the only job that changes its list. */
#include "svc/logs_group.h"

#include "base/log.h"

struct sweep {
    struct work work;
    struct logs *logs;
    struct log_sweep sweep;
    struct log_group **open; /* held while the victims are unlinked */
    size_t *give;            /* by open group: its segments that have to go */
    size_t open_count;
    int64_t freed;
};

static void sweep_work(struct work *w)
{
    struct sweep *x = w->data;
    log_sweep_run(&x->sweep);
}

/* Index of the open group that the victim belongs to, or open_count. */
static size_t owner(const struct sweep *x, const struct log_victim *v)
{
    size_t i = 0;
    while (i < x->open_count && strcmp(strrchr(x->open[i]->disk->dir, '/') + 1, v->folder) != 0)
        i++;
    return i;
}

/* Segments of groups that are not in memory go here; those of open groups by the group's own next
 * flush, which is the only one to change its list. */
static void unlink_work(struct work *w)
{
    struct sweep *x = w->data;
    for (size_t i = 0; i < x->sweep.victim_count; i++) {
        const struct log_victim *v = &x->sweep.victims[i];
        size_t open = owner(x, v);
        if (open < x->open_count) {
            x->give[open]++;
            continue;
        }
        log_victim_unlink(x->logs->root, v);
        x->freed += (int64_t)v->bytes;
    }
}

static void sweep_end(struct sweep *x)
{
    struct logs *l = x->logs;
    int64_t total = (int64_t)x->sweep.bytes - x->freed;
    l->jobs--;
    l->total = total;
    l->sweeping = false;
    free(x->sweep.victims);
    free(x->open);
    free(x->give);
    free(x);
}

static void unlink_done(struct work *w)
{
    struct sweep *x = w->data;
    for (size_t i = 0; i < x->open_count; i++) {
        struct log_group *g = x->open[i];
        log_job_end(g);
        g->give = x->give[i];
        if (g->give && !g->active)
            log_flush_want(g);
    }
    sweep_end(x);
}

static void sweep_done(struct work *w)
{
    struct sweep *x = w->data;
    struct logs *l = x->logs;
    if (x->sweep.victim_count == 0 || l->stop) {
        sweep_end(x);
        return;
    }
    x->open = calloc(l->groups + 1, sizeof(struct log_group *));
    x->give = calloc(l->groups + 1, sizeof *x->give);
    if (!x->open || !x->give)
        fatal("out of memory");
    for (size_t i = 0; i < TABLE; i++)
        for (struct log_group *g = l->table[i]; g; g = g->hash_next) {
            x->open[x->open_count++] = g;
            log_job_begin(g);
        }
    work_start(l->loop, &x->work, unlink_work, unlink_done);
}

void log_sweep_start(struct logs *l)
{
    uint64_t now = uv_now(l->loop);
    if (l->sweeping || l->closing || now < l->sweep_after_ms)
        return;
    l->sweep_after_ms = now + SYNC_MS;
    struct sweep *x = calloc(1, sizeof *x);
    if (!x)
        fatal("out of memory");
    x->logs = l;
    x->sweep = (struct log_sweep){.root = l->root, .total_max = l->total_max, .stop = &l->stop};
    x->work.data = x;
    l->sweeping = true;
    l->jobs++;
    work_start(l->loop, &x->work, sweep_work, sweep_done);
}
