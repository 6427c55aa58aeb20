/* logs_change: making and removing groups and streams, retention, tags.
 *
 * A change goes alone: no flush and no other change of its group beside it, readers keep the meta they
 * began with. What is there is asked on the loop, what is written on the pool, and only when it is on
 * the disk does anybody see it. */
#include "svc/logs_group.h"

#include "base/clock.h"
#include "base/log.h"

struct log_change {
    struct arena *arena; /* holds this */
    enum {
        MAKE_GROUP,
        REMOVE_GROUP,
        SET_RETENTION,
        SET_TAGS,
        DROP_TAGS,
        MAKE_STREAM,
        REMOVE_STREAM,
        LIST_TAGS, /* changes nothing */
    } what;
    bool no_group; /* that is what was not found */
    uint32_t days;
    struct log_tag *tags;
    size_t count;
    struct str stream;
    uint64_t last_id; /* of the group, when it began */
    int64_t now_ms;
    log_done_cb *done;
    void (*tags_done)(void *ctx, int rc, const struct log_tag *tags, size_t count,
                      const struct err *err);
};

enum { CHANGE_BYTES_MAX = 1 << 20 };

/* --- on the pool -------------------------------------------------------------------------------- */

static bool stream_there(const struct log_op *op)
{
    log_streams_run(op->streams);
    return op->streams->rc == 0 && op->streams->list.count > 0;
}

static int change_stream(struct log_op *op, struct log_meta *m)
{
    const struct log_change *c = op->change;
    bool there = stream_there(op), make = c->what == MAKE_STREAM;
    const struct log_mark *old = log_meta_mark(m, c->stream);
    struct log_mark mark = {c->stream, make ? c->now_ms : 0, make ? 0 : c->last_id};
    if (there == make)
        return make ? E_EXISTS : E_NOT_FOUND;
    if (make && old)
        mark.gone = old->gone;
    return log_meta_set_mark(m, mark);
}

static int alter(struct log_op *op, struct log_meta *m)
{
    const struct log_change *c = op->change;
    int rc = 0;
    switch (c->what) {
    case SET_RETENTION:
        m->retention_days = c->days;
        return 0;
    case MAKE_GROUP:
    case SET_TAGS:
        for (size_t i = 0; rc == 0 && i < c->count; i++)
            rc = log_meta_set_tag(m, c->tags[i]);
        return rc;
    case DROP_TAGS:
        for (size_t i = 0; i < c->count; i++)
            log_meta_drop_tag(m, c->tags[i].key);
        return 0;
    case MAKE_STREAM:
    case REMOVE_STREAM:
        return change_stream(op, m);
    default:
        return E_INTERNAL;
    }
}

static int change_meta(struct log_op *op)
{
    struct log_disk *d = op->group->disk;
    struct log_meta *old = log_disk_meta(d), *m = log_meta_copy(old);
    log_meta_unref(old);
    if (m->created_ms == 0)
        m->created_ms = op->change->now_ms;
    int rc = alter(op, m);
    if (rc) {
        log_meta_unref(m);
        return rc;
    }
    return log_disk_set_meta(d, m);
}

static void change_work(struct work *w)
{
    struct log_op *op = w->data;
    struct log_disk *d = op->group->disk;
    if (op->change->what == REMOVE_GROUP)
        op->rc = log_disk_remove(d);
    else if (op->change->what == MAKE_GROUP && op->change->count == 0)
        op->rc = log_disk_create(d, op->change->now_ms, true);
    else
        op->rc = change_meta(op);
}

/* --- on the loop -------------------------------------------------------------------------------- */

static void explain(const struct log_change *c, int rc, struct err *err)
{
    bool stream = c->what == MAKE_STREAM || c->what == REMOVE_STREAM;
    if (rc == E_EXISTS)
        err_set(err, rc, "The specified log %s already exists", stream ? "stream" : "group");
    else if (rc == E_NOT_FOUND)
        err_set(err, rc, "The specified log %s does not exist.",
                c->what == REMOVE_STREAM && !c->no_group ? "stream" : "group");
    else if (rc == E_QUOTA)
        err_set(err, rc, "Resource limit exceeded: %d log streams of a group", LOG_MARKS_MAX);
}

static void end(struct log_op *op)
{
    const struct log_change *c = op->change;
    struct err err = {0};
    explain(c, op->rc, &err);
    if (c->tags_done) {
        struct log_meta *m = log_disk_meta(op->group->disk);
        c->tags_done(op->ctx, op->rc, m->tags, m->tag_count, &err);
        log_meta_unref(m);
    } else if (c->done) {
        c->done(op->ctx, op->rc, &err);
    }
    op->change = NULL;
    log_op_free(op);
    arena_free(c->arena);
}

static void change_done(struct work *w)
{
    struct log_op *op = w->data;
    struct log_group *g = op->group;
    log_job_end(g);
    g->exclusive = false;
    g->on_disk = g->disk->exists;
    g->unsynced = g->on_disk;
    if (g->unsynced && !g->active)
        log_flush_want(g);
    if (op->rc == 0 && op->change->what == SET_RETENTION)
        uv_timer_start(&g->logs->expiry, g->logs->expiry.timer_cb, 2 * SYNC_MS, EXPIRY_MS);
    g->jobs++; /* not freed by what its end sets going */
    end(op);
    log_group_pump(g);
    g->jobs--;
    log_group_settle(g);
}

/* The streams that are open begin anew. */
static void forget_memory(struct log_group *g)
{
    log_chunks_drop(g, true);
    g->dropped = 0;
    g->created_ms = 0;
    for (struct log_stream *s = g->streams; s; s = s->next)
        s->created_ms = 0;
}

void log_change_start(struct log_op *op)
{
    struct log_group *g = op->group;
    /* the op's own: nobody else has a pointer that is not const */
    struct log_change *c = (struct log_change *)(uintptr_t)op->change;
    bool there = g->on_disk || g->first, make = c->what == MAKE_GROUP;
    if (there == make || c->what == LIST_TAGS) {
        op->rc = there ? (make ? E_EXISTS : 0) : E_NOT_FOUND;
        c->no_group = !there;
        end(op);
        return;
    }
    c->last_id = g->last_id;
    if (c->what == REMOVE_GROUP)
        forget_memory(g);
    if (op->streams)
        log_op_borrow(op);
    g->exclusive = true;
    log_job_begin(g);
    work_start(g->logs->loop, &op->work, change_work, change_done);
}

/* --- what the header promises ------------------------------------------------------------------- */

static struct log_change *change_new(int what)
{
    struct arena *a = arena_new(CHANGE_BYTES_MAX);
    struct log_change *c = arena_zalloc(a, sizeof *c);
    c->arena = a;
    c->what = what;
    c->now_ms = clock_wall_ms();
    return c;
}

static void submit(struct logs *l, struct str group, struct log_change *c, void *ctx)
{
    struct err err = {0};
    int rc = log_group_check(group, &err);
    if (rc) {
        if (c->tags_done)
            c->tags_done(ctx, rc, NULL, 0, &err);
        else if (c->done)
            c->done(ctx, rc, &err);
        arena_free(c->arena);
        return;
    }
    struct log_op *op = log_op_new(log_group_get(l, group), OP_CHANGE, ctx);
    op->change = c;
    if (c->stream.p)
        log_op_streams(op, c->stream, true);
    log_op_submit(op);
}

/* Values may be missing (keys alone). What does not fit is refused as too many. */
static void copy_tags(struct log_change *c, const struct log_tag *tags, size_t count)
{
    size_t n = count < LOG_TAGS_MAX + 1 ? count : LOG_TAGS_MAX + 1;
    c->tags = arena_alloc(c->arena, (n + 1) * sizeof *c->tags);
    for (size_t i = 0; c->tags && i < n; i++)
        c->tags[c->count++] =
            (struct log_tag){arena_dup(c->arena, tags[i].key), arena_dup(c->arena, tags[i].value)};
}

void logs_create_group(struct logs *l, struct str group, const struct log_tag *tags, size_t count,
                       log_done_cb *done, void *ctx)
{
    struct log_change *c = change_new(MAKE_GROUP);
    copy_tags(c, tags, count);
    c->done = done;
    submit(l, group, c, ctx);
}

void logs_remove_group(struct logs *l, struct str group, log_done_cb *done, void *ctx)
{
    struct log_change *c = change_new(REMOVE_GROUP);
    c->done = done;
    submit(l, group, c, ctx);
}

int logs_delete_group(struct logs *l, struct str group)
{
    logs_remove_group(l, group, NULL, NULL);
    return 0;
}

void logs_set_retention(struct logs *l, struct str group, uint32_t days, log_done_cb *done,
                        void *ctx)
{
    struct log_change *c = change_new(SET_RETENTION);
    c->days = days;
    c->done = done;
    submit(l, group, c, ctx);
}

void logs_set_tags(struct logs *l, struct str group, const struct log_tag *tags, size_t count,
                   log_done_cb *done, void *ctx)
{
    struct log_change *c = change_new(SET_TAGS);
    copy_tags(c, tags, count);
    c->done = done;
    submit(l, group, c, ctx);
}

void logs_drop_tags(struct logs *l, struct str group, const struct str *keys, size_t count,
                    log_done_cb *done, void *ctx)
{
    struct log_change *c = change_new(DROP_TAGS);
    c->tags = arena_alloc(c->arena, (count + 1) * sizeof *c->tags);
    for (size_t i = 0; c->tags && i < count; i++)
        c->tags[c->count++] = (struct log_tag){arena_dup(c->arena, keys[i]), STR("")};
    c->done = done;
    submit(l, group, c, ctx);
}

void logs_tags(struct logs *l, struct str group,
               void (*done)(void *ctx, int rc, const struct log_tag *tags, size_t count,
                            const struct err *err),
               void *ctx)
{
    struct log_change *c = change_new(LIST_TAGS);
    c->tags_done = done;
    submit(l, group, c, ctx);
}

static void change_one_stream(struct logs *l, struct str group, struct str stream, int what,
                              log_done_cb *done, void *ctx)
{
    struct log_change *c = change_new(what);
    c->stream = arena_dup(c->arena, stream);
    c->done = done;
    submit(l, group, c, ctx);
}

void logs_create_stream(struct logs *l, struct str group, struct str stream, log_done_cb *done,
                        void *ctx)
{
    change_one_stream(l, group, stream, MAKE_STREAM, done, ctx);
}

void logs_remove_stream(struct logs *l, struct str group, struct str stream, log_done_cb *done,
                        void *ctx)
{
    change_one_stream(l, group, stream, REMOVE_STREAM, done, ctx);
}
