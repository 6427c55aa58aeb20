/* logs_ops: what is asked of groups: reading, listing, making, removing.
 *
 * An op waits in its group's queue until the group is open and it is its turn: ops that change the
 * files go alone, reads go beside a flush. A reader borrows the chunks as they are when it starts;
 * what the disk holds of them is skipped, so every event is seen once. */
#include "svc/logs_group.h"

#include "base/clock.h"
#include "base/log.h"

enum { INLINE_MAX = 64 * 1024 }; /* memory a search may look through on the loop */

static struct log_op *op_new(struct log_group *g, int kind, void *ctx)
{
    struct log_op *op = calloc(1, sizeof *op);
    if (!op)
        fatal("out of memory");
    op->kind = kind;
    op->group = g;
    op->ctx = ctx;
    op->work.data = op;
    return op;
}

static void op_submit(struct log_op *op)
{
    struct log_group *g = op->group;
    *g->ops_tail = op;
    g->ops_tail = &op->next;
    log_group_pump(g);
    log_group_settle(g);
}

/* Lends the group's chunks, as they are now, to a reader. */
static void borrow(struct log_op *op)
{
    struct log_group *g = op->group;
    size_t n = 0;
    for (struct log_chunk *c = g->first; c; c = c->next)
        n += c->n != 0;
    op->chunks = calloc(n + 1, sizeof(struct log_chunk *));
    op->slices = calloc(n + 1, sizeof *op->slices);
    if (!op->chunks || !op->slices)
        fatal("out of memory");
    for (struct log_chunk *c = g->first; c; c = c->next) {
        if (c->n == 0)
            continue;
        c->refs++;
        op->chunks[op->chunk_count] = c;
        op->slices[op->chunk_count++] = (struct log_slice){c->p, c->n};
    }
}

static void op_free(struct log_op *op)
{
    struct log_group *g = op->group;
    for (size_t i = 0; i < op->chunk_count; i++) {
        op->chunks[i]->refs--;
        log_chunk_release(g->logs, op->chunks[i]);
    }
    free(op->chunks);
    free(op->slices);
    log_search_free(op->search);
    if (op->streams)
        arena_free(op->streams->arena);
    free(op);
    g->used_ms = uv_now(g->logs->loop);
    log_group_settle(g);
}

static void read_work(uv_work_t *w)
{
    struct log_op *op = w->data;
    log_search_run(op->search);
    if (op->encode && op->search->rc == 0)
        op->encode(op->ctx, &op->search->page);
}

static void read_done(uv_work_t *w, int status)
{
    struct log_op *op = w->data;
    struct log_search *s = op->search;
    (void)status;
    log_job_end(op->group);
    op->page_done(op->ctx, s->rc, &s->page, &s->err);
    op_free(op);
}

/* A reader that only wants what is newer than all files is answered here and now. */
static bool read_inline(struct log_op *op)
{
    struct log_search *s = op->search;
    if (s->q.backward || s->q.stream_must_exist || log_filter_is_slow(s->filter) ||
        s->memory_count == 0 || (s->q.after + 1 < s->memory_first && op->group->on_disk))
        return false;
    size_t bytes = 0;
    for (size_t i = 0; i < s->memory_count; i++)
        bytes += s->memory[i].n;
    if (bytes > INLINE_MAX)
        return false;
    log_search_memory(s);
    if (op->encode)
        op->encode(op->ctx, &s->page);
    op->page_done(op->ctx, s->rc, &s->page, &s->err);
    op_free(op);
    return true;
}

static void start_read(struct log_op *op)
{
    struct log_search *s = op->search;
    borrow(op);
    s->disk = op->group->disk;
    s->memory = op->slices;
    s->memory_count = op->chunk_count;
    s->memory_first = op->chunk_count ? op->chunks[0]->first_id : 0;
    if (read_inline(op))
        return;
    log_job_begin(op->group);
    uv_queue_work(op->group->logs->loop, &op->work, read_work, read_done);
}

static void streams_work(uv_work_t *w)
{
    struct log_op *op = w->data;
    log_streams_run(op->streams);
}

static void streams_done(uv_work_t *w, int status)
{
    struct log_op *op = w->data;
    (void)status;
    log_job_end(op->group);
    op->streams_done(op->ctx, op->streams->rc, &op->streams->list, &op->streams->err);
    op_free(op);
}

static void start_streams(struct log_op *op)
{
    struct log_streams *s = op->streams;
    borrow(op);
    s->disk = op->group->disk;
    s->memory = op->slices;
    s->memory_count = op->chunk_count;
    s->memory_first = op->chunk_count ? op->chunks[0]->first_id : 0;
    log_job_begin(op->group);
    uv_queue_work(op->group->logs->loop, &op->work, streams_work, streams_done);
}

static void change_work(uv_work_t *w)
{
    struct log_op *op = w->data;
    struct log_disk *d = op->group->disk;
    op->rc = op->kind == OP_CREATE ? log_disk_create(d, op->now_ms) : log_disk_remove(d);
}

static void change_tell(struct log_op *op)
{
    struct err err = {0};
    if (op->rc == E_NOT_FOUND)
        err_set(&err, op->rc, "The specified log group does not exist.");
    else if (op->rc == E_EXISTS)
        err_set(&err, op->rc, "The specified log group already exists");
    if (op->done)
        op->done(op->ctx, op->rc, &err);
}

static void change_done(uv_work_t *w, int status)
{
    struct log_op *op = w->data;
    struct log_group *g = op->group;
    (void)status;
    log_job_end(g);
    g->exclusive = false;
    g->on_disk = g->disk->exists;
    g->unsynced = g->on_disk;
    if (g->unsynced && !g->active)
        log_flush_want(g);
    change_tell(op);
    log_group_pump(g);
    op_free(op);
}

static void start_change(struct log_op *op)
{
    struct log_group *g = op->group;
    bool there = g->on_disk || g->first;
    if (there != (op->kind == OP_REMOVE)) {
        op->rc = there ? E_EXISTS : E_NOT_FOUND;
        change_tell(op);
        op_free(op);
        return;
    }
    if (op->kind == OP_REMOVE) {
        log_chunks_drop(g, true);
        g->dropped = 0;
        g->created_ms = 0;
        for (struct log_stream *s = g->streams; s; s = s->next)
            s->created_ms = 0;
    }
    g->exclusive = true;
    log_job_begin(g);
    uv_queue_work(g->logs->loop, &op->work, change_work, change_done);
}

void log_group_pump(struct log_group *g)
{
    struct log_op *op;
    g->jobs++; /* not freed by an op that ends at once */
    while ((op = g->ops) && g->opened && !g->exclusive) {
        bool change = op->kind == OP_CREATE || op->kind == OP_REMOVE;
        if (change && g->flushing)
            break;
        g->ops = op->next;
        if (!g->ops)
            g->ops_tail = &g->ops;
        op->next = NULL;
        if (op->kind == OP_READ)
            start_read(op);
        else if (op->kind == OP_STREAMS)
            start_streams(op);
        else
            start_change(op);
    }
    g->jobs--;
}

/* --- what the header promises ------------------------------------------------------------------
 */

static int check_name(struct str group, struct err *err)
{
    if (log_group_name_ok(group))
        return 0;
    return err_set(err, E_VALIDATION,
                   "1 validation error detected: Value '%.*s' at 'logGroupName' failed to satisfy "
                   "constraint: Member must satisfy regular expression pattern: "
                   "[\\.\\-_/#A-Za-z0-9]+",
                   (int)(group.n < 200 ? group.n : 200), group.p);
}

void logs_read(struct logs *l, const struct log_query *q, log_encode_cb *encode, log_page_cb *done,
               void *ctx)
{
    struct err err = {0};
    struct log_page none = {0};
    struct log_search *search = NULL;
    int rc = check_name(q->group, &err);
    if (rc == 0)
        search = log_search_new(q, &rc, &err);
    if (rc) {
        done(ctx, rc, &none, &err);
        return;
    }
    struct log_op *op = op_new(log_group_get(l, q->group), OP_READ, ctx);
    op->search = search;
    op->encode = encode;
    op->page_done = done;
    op_submit(op);
}

void logs_streams(struct logs *l, struct str group, struct str prefix,
                  void (*done)(void *ctx, int rc, const struct log_stream_list *list,
                               const struct err *err),
                  void *ctx)
{
    struct err err = {0};
    struct log_stream_list none = {0};
    int rc = check_name(group, &err);
    if (rc) {
        done(ctx, rc, &none, &err);
        return;
    }
    struct log_op *op = op_new(log_group_get(l, group), OP_STREAMS, ctx);
    struct arena *a = arena_new(16 << 20);
    op->streams = arena_zalloc(a, sizeof *op->streams);
    op->streams->arena = a;
    op->streams->prefix = arena_dup(a, prefix);
    op->streams_done = done;
    op_submit(op);
}

static void change(struct logs *l, struct str group, int kind,
                   void (*done)(void *ctx, int rc, const struct err *err), void *ctx)
{
    struct err err = {0};
    int rc = check_name(group, &err);
    if (rc) {
        if (done)
            done(ctx, rc, &err);
        return;
    }
    struct log_op *op = op_new(log_group_get(l, group), kind, ctx);
    op->done = done;
    op->now_ms = clock_wall_ms();
    op_submit(op);
}

void logs_create_group(struct logs *l, struct str group,
                       void (*done)(void *ctx, int rc, const struct err *err), void *ctx)
{
    change(l, group, OP_CREATE, done, ctx);
}

void logs_remove_group(struct logs *l, struct str group,
                       void (*done)(void *ctx, int rc, const struct err *err), void *ctx)
{
    change(l, group, OP_REMOVE, done, ctx);
}

int logs_delete_group(struct logs *l, struct str group)
{
    change(l, group, OP_REMOVE, NULL, NULL);
    return 0;
}

/* --- listing groups --------------------------------------------------------------------------- */

struct listing {
    uv_work_t work;
    struct logs *logs;
    struct log_groups groups;
    void (*done)(void *ctx, int rc, const struct log_group_list *list);
    void *ctx;
};

static void groups_work(uv_work_t *w)
{
    struct listing *x = w->data;
    log_groups_run(&x->groups);
}

static void groups_done(uv_work_t *w, int status)
{
    struct listing *x = w->data;
    (void)status;
    x->logs->jobs--;
    x->done(x->ctx, x->groups.rc, &x->groups.list);
    arena_free(x->groups.arena);
    free(x);
}

/* Groups that have been written to but have no folder yet. */
static void add_fresh(struct listing *x)
{
    struct logs *l = x->logs;
    size_t n = 0, count = 0;
    struct log_group *g;
    for (size_t i = 0; i < TABLE; i++)
        for (g = l->table[i]; g; g = g->hash_next)
            n += g->first && !g->on_disk;
    struct log_group_info *fresh = arena_zalloc(x->groups.arena, (n + 1) * sizeof *fresh);
    for (size_t i = 0; fresh && i < TABLE; i++)
        for (g = l->table[i]; g; g = g->hash_next)
            if (g->first && !g->on_disk) {
                fresh[count].name = arena_dup(x->groups.arena, g->name);
                fresh[count++].created_ms = g->created_ms;
            }
    x->groups.fresh = fresh;
    x->groups.fresh_count = count;
}

void logs_groups(struct logs *l, struct str prefix, struct str after, size_t limit,
                 void (*done)(void *ctx, int rc, const struct log_group_list *list), void *ctx)
{
    struct listing *x = calloc(1, sizeof *x);
    if (!x)
        fatal("out of memory");
    x->logs = l;
    x->done = done;
    x->ctx = ctx;
    x->groups.arena = arena_new(64 << 20);
    x->groups.root = l->root;
    x->groups.prefix = arena_dup(x->groups.arena, prefix);
    x->groups.after = arena_dup(x->groups.arena, after);
    x->groups.limit = limit;
    add_fresh(x);
    x->work.data = x;
    l->jobs++;
    uv_queue_work(l->loop, &x->work, groups_work, groups_done);
}
