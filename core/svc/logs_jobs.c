/* logs_jobs: opening a group, writing it out, syncing.
 *
 * One job at a time changes a group's files; reads and the sync go beside it. A flush takes what
 * has come since the last one; if it fails, the bytes stay in memory and are tried again each
 * second, until so much has gathered that new lines are dropped. One sync job a second brings what
 * all groups have written to the disk: file by file while they are few, else by one syncfs. */
#include "svc/logs_group.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { SYNC_EACH_MAX = 16 };

void log_job_begin(struct log_group *g)
{
    g->jobs++;
    g->logs->jobs++;
}

void log_job_end(struct log_group *g)
{
    g->jobs--;
    g->logs->jobs--;
}

static bool may_flush(const struct log_group *g)
{
    return g->opened && !g->flushing && !g->exclusive;
}

/* --- opening ---------------------------------------------------------------------------------- */

static void open_work(struct work *w)
{
    struct log_group *g = w->data;
    g->open_rc = log_disk_open(g->disk, &g->open_id);
}

static void shift_ids(struct log_group *g, uint64_t delta)
{
    for (struct log_chunk *c = g->first; c; c = c->next) {
        size_t size;
        for (size_t at = 0; at < c->n; at += size) {
            size = log_record_get(str_of(c->p + at, c->n - at), false, NULL);
            ASSERT(size);
            log_record_shift(c->p + at, delta);
        }
        c->first_id += delta;
    }
    g->last_id += delta;
}

static void open_done(struct work *w)
{
    struct log_group *g = w->data;
    log_job_end(g);
    g->opened = true;
    g->on_disk = g->disk->exists;
    if (g->open_rc)
        log_warn("logs: %s cannot be read", g->disk->dir);
    if (g->first && g->open_id >= g->first->first_id)
        shift_ids(g, g->open_id + 1 - g->first->first_id);
    else if (!g->first && g->open_id > g->last_id)
        g->last_id = g->open_id;
    if (g->pending)
        log_group_told(g);
    if (g->pending && may_flush(g) && !g->logs->closing)
        log_flush_start(g);
    log_group_pump(g);
    log_group_settle(g);
}

void log_group_open(struct log_group *g)
{
    if (g->opening)
        return;
    g->opening = true;
    g->open.data = g;
    log_job_begin(g);
    work_start(g->logs->loop, &g->open, open_work, open_done);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void flush_work(struct work *w)
{
    struct log_group *g = w->data;
    g->flush_rc = log_disk_append(g->disk, g->pieces, g->piece_count, g->flush_ms, &g->written);
}

static void add_piece(struct log_group *g, struct log_chunk *c)
{
    if (g->piece_count == g->piece_capacity) {
        size_t n = g->piece_capacity ? 2 * g->piece_capacity : 4;
        g->pieces = realloc(g->pieces, n * sizeof *g->pieces);
        g->piece_chunks = realloc(g->piece_chunks, n * sizeof(struct log_chunk *));
        if (!g->pieces || !g->piece_chunks)
            fatal("out of memory");
        g->piece_capacity = n;
    }
    g->piece_chunks[g->piece_count] = c;
    g->pieces[g->piece_count++] =
        (struct log_piece){c->p, c->written, c->n, c->sealed, c->first_id};
}

static void settle_pieces(struct log_group *g)
{
    for (size_t i = 0; i < g->piece_count; i++) {
        struct log_chunk *c = g->piece_chunks[i];
        size_t n = g->pieces[i].to - c->written;
        c->refs--;
        if (i < g->written) {
            c->written = g->pieces[i].to;
            c->ended = g->pieces[i].sealed;
            g->pending -= n;
            g->logs->pending -= n;
        }
    }
    log_chunks_drop(g, false);
}

static void note_failure(struct log_group *g)
{
    if (!g->failing)
        log_warn("logs: %s cannot be written: %s", g->disk->dir,
                 g->flush_rc == E_NO_SPACE ? "no space" : "I/O error");
    g->failing = true;
    g->retry_ms = uv_now(g->logs->loop) + SYNC_MS;
}

static void flush_done(struct work *w)
{
    struct log_group *g = w->data;
    struct logs *l = g->logs;
    log_job_end(g);
    g->flushing = false;
    settle_pieces(g);
    g->on_disk = g->disk->exists;
    g->unsynced = g->unsynced || g->written;
    if (g->flush_rc) {
        note_failure(g);
    } else {
        g->failing = false;
        log_group_confess(g);
    }
    if (l->total > (int64_t)l->total_max)
        log_sweep_start(l);
    log_group_pump(g);
}

void log_flush_start(struct log_group *g)
{
    g->piece_count = g->written = 0;
    for (struct log_chunk *c = g->first; c; c = c->next)
        if (c->written < c->n || (c->sealed && !c->ended)) {
            add_piece(g, c);
            c->refs++;
        }
    if (g->give)
        g->disk->give = g->give;
    g->give = 0;
    g->flush_ms = g->created_ms ? g->created_ms : clock_wall_ms();
    g->flushing = true;
    g->flush.data = g;
    log_job_begin(g);
    work_start_later(g->logs->loop, &g->flush, flush_work, flush_done);
}

void log_flush_want(struct log_group *g)
{
    struct logs *l = g->logs;
    if (!l->active) /* the first write after a pause is synced a second later, not at once */
        l->sync_after_ms = uv_now(l->loop) + SYNC_MS;
    g->active = true;
    g->active_next = l->active;
    l->active = g;
    if (l->closing ||
        (uv_is_active((uv_handle_t *)&l->timer) && uv_timer_get_due_in(&l->timer) <= FLUSH_MS))
        return;
    uv_timer_start(&l->timer, log_flush_tick, FLUSH_MS, 0);
}

void log_flush_early(struct log_group *g)
{
    log_group_open(g);
    if (may_flush(g) && !g->failing && !g->logs->closing)
        log_flush_start(g);
}

/* ms until the group needs the timer again; 0: nothing is left to do for it. */
static uint64_t flush_due(struct log_group *g, uint64_t now)
{
    bool waits = g->failing && now < g->retry_ms;
    if (!g->pending && !g->unsynced && !g->flushing && !g->give)
        return 0;
    log_group_open(g);
    if (may_flush(g) && !waits && (g->pending || g->give))
        log_flush_start(g);
    if (waits)
        return g->retry_ms - now;
    return g->pending || g->flushing ? FLUSH_MS : SYNC_MS;
}

void log_flush_tick(uv_timer_t *t)
{
    struct logs *l = t->data;
    uint64_t now = uv_now(l->loop), next = 0;
    size_t unsynced = 0;
    for (struct log_group **p = &l->active, *g; (g = *p);) {
        uint64_t due = flush_due(g, now);
        if (due == 0) {
            *p = g->active_next;
            g->active = false;
            continue;
        }
        unsynced += g->unsynced;
        next = next == 0 || due < next ? due : next;
        p = &g->active_next;
    }
    if (unsynced && now >= l->sync_after_ms)
        log_sync_start(l, unsynced);
    if (l->total > (int64_t)l->total_max) {
        log_sweep_start(l);
        next = next && next < SYNC_MS ? next : SYNC_MS;
    }
    if (next)
        uv_timer_start(&l->timer, log_flush_tick, next, 0);
}

/* --- syncing ---------------------------------------------------------------------------------- */

struct syncing {
    struct work work;
    struct logs *logs;
    size_t count;
    int rc;
    struct log_group *groups[]; /* held until it is done */
};

static void sync_work(struct work *w)
{
    struct syncing *x = w->data;
    x->rc = 0;
    if (x->count > SYNC_EACH_MAX) {
        int fd = open(x->logs->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        x->rc = fd >= 0 && syncfs(fd) == 0 ? 0 : E_IO;
        if (fd >= 0)
            close(fd);
        return;
    }
    for (size_t i = 0; i < x->count; i++) {
        int rc = log_disk_sync(x->groups[i]->disk);
        x->rc = x->rc ? x->rc : rc;
    }
}

static void sync_done(struct work *w)
{
    struct syncing *x = w->data;
    if (x->rc)
        log_warn("logs: %s cannot be synced", x->logs->root);
    for (size_t i = 0; i < x->count; i++) {
        if (x->rc)
            x->groups[i]->unsynced = true;
        log_job_end(x->groups[i]);
    }
    x->logs->syncing = false;
    x->logs->sync_after_ms = uv_now(x->logs->loop) + SYNC_MS;
    free(x);
}

void log_sync_start(struct logs *l, size_t count)
{
    if (l->syncing)
        return;
    struct syncing *x = calloc(1, sizeof *x + count * sizeof(struct log_group *));
    if (!x)
        fatal("out of memory");
    x->logs = l;
    x->work.data = x;
    for (struct log_group *g = l->active; g && x->count < count; g = g->active_next)
        if (g->unsynced) {
            g->unsynced = false;
            log_job_begin(g);
            x->groups[x->count++] = g;
        }
    l->syncing = true;
    work_start(l->loop, &x->work, sync_work, sync_done);
}
