/* logs_ops: what is asked of groups: reading, listing, making, removing.
 *
 * An op waits in its group's queue until the group is open and it is its turn: ops that change the
 * files go alone, reads go beside a flush. A reader borrows the chunks as they are when it starts;
 * what the disk holds of them is skipped, so every event is seen once. */
#include "svc/logs_group.h"

#include "base/log.h"

enum { INLINE_MAX = 64 * 1024 }; /* memory a search may look through on the loop */

struct log_op *log_op_new(struct log_group *g, int kind, void *ctx)
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

void log_op_submit(struct log_op *op)
{
    struct log_group *g = op->group;
    *g->ops_tail = op;
    g->ops_tail = &op->next;
    log_group_pump(g);
    log_group_settle(g);
}

void log_op_borrow(struct log_op *op)
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
    if (op->streams) {
        op->streams->disk = g->disk;
        op->streams->memory = op->slices;
        op->streams->memory_count = op->chunk_count;
        op->streams->memory_first = op->chunk_count ? op->chunks[0]->first_id : 0;
    }
}

void log_op_free(struct log_op *op)
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

static void read_work(struct work *w)
{
    struct log_op *op = w->data;
    log_search_run(op->search);
    if (op->encode && op->search->rc == 0)
        op->encode(op->ctx, &op->search->page);
}

static void read_done(struct work *w)
{
    struct log_op *op = w->data;
    struct log_search *s = op->search;
    log_job_end(op->group);
    op->page_done(op->ctx, s->rc, &s->page, &s->err);
    log_op_free(op);
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
    log_op_free(op);
    return true;
}

static void start_read(struct log_op *op)
{
    struct log_search *s = op->search;
    log_op_borrow(op);
    s->disk = op->group->disk;
    s->memory = op->slices;
    s->memory_count = op->chunk_count;
    s->memory_first = op->chunk_count ? op->chunks[0]->first_id : 0;
    if (read_inline(op))
        return;
    log_job_begin(op->group);
    work_start(op->group->logs->loop, &op->work, read_work, read_done);
}

static void streams_work(struct work *w)
{
    struct log_op *op = w->data;
    log_streams_run(op->streams);
    if (op->streams_encode && op->streams->rc == 0)
        op->streams_encode(op->ctx, &op->streams->list);
}

static void streams_done(struct work *w)
{
    struct log_op *op = w->data;
    log_job_end(op->group);
    op->streams_done(op->ctx, op->streams->rc, &op->streams->list, &op->streams->err);
    log_op_free(op);
}

static void start_streams(struct log_op *op)
{
    log_op_borrow(op);
    log_job_begin(op->group);
    work_start(op->group->logs->loop, &op->work, streams_work, streams_done);
}

void log_group_pump(struct log_group *g)
{
    struct log_op *op;
    g->jobs++; /* not freed by an op that ends at once */
    if (g->ops)
        log_group_open(g);
    while ((op = g->ops) && g->opened && !g->exclusive) {
        if (op->kind == OP_CHANGE && g->flushing)
            break;
        g->ops = op->next;
        if (!g->ops)
            g->ops_tail = &g->ops;
        op->next = NULL;
        if (op->kind == OP_READ)
            start_read(op);
        else if (op->kind == OP_STREAMS)
            start_streams(op);
        else if (op->kind == OP_PUT)
            log_put_start(op);
        else
            log_change_start(op);
    }
    g->jobs--;
}

/* --- what the header promises ------------------------------------------------------------------
 */

int log_group_check(struct str group, struct err *err)
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
    int rc = log_group_check(q->group, &err);
    if (rc == 0)
        search = log_search_new(q, &rc, &err);
    if (rc) {
        done(ctx, rc, &none, &err);
        return;
    }
    struct log_op *op = log_op_new(log_group_get(l, q->group), OP_READ, ctx);
    op->search = search;
    op->encode = encode;
    op->page_done = done;
    log_op_submit(op);
}

void log_op_streams(struct log_op *op, struct str name, bool exact)
{
    struct arena *a = arena_new(16 << 20);
    op->streams = arena_zalloc(a, sizeof *op->streams);
    op->streams->arena = a;
    op->streams->prefix = arena_dup(a, name);
    op->streams->exact = exact;
}

void logs_streams(struct logs *l, struct str group, struct str prefix, log_stream_list_cb *encode,
                  void (*done)(void *ctx, int rc, const struct log_stream_list *list,
                               const struct err *err),
                  void *ctx)
{
    struct err err = {0};
    struct log_stream_list none = {0};
    int rc = log_group_check(group, &err);
    if (rc) {
        done(ctx, rc, &none, &err);
        return;
    }
    struct log_op *op = log_op_new(log_group_get(l, group), OP_STREAMS, ctx);
    log_op_streams(op, prefix, false);
    op->streams_encode = encode;
    op->streams_done = done;
    log_op_submit(op);
}

/* --- listing groups --------------------------------------------------------------------------- */

struct listing {
    struct work work;
    struct logs *logs;
    struct log_groups groups;
    void (*done)(void *ctx, int rc, const struct log_group_list *list);
    void *ctx;
};

static void groups_work(struct work *w)
{
    struct listing *x = w->data;
    log_groups_run(&x->groups);
}

static void groups_done(struct work *w)
{
    struct listing *x = w->data;
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

void logs_groups(struct logs *l, struct str prefix, struct str part, struct str after, size_t limit,
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
    x->groups.part = arena_dup(x->groups.arena, part);
    x->groups.after = arena_dup(x->groups.arena, after);
    x->groups.limit = limit;
    add_fresh(x);
    x->work.data = x;
    l->jobs++;
    work_start(l->loop, &x->work, groups_work, groups_done);
}
