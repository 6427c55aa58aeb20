/* logs_put: events that come from outside.
 *
 * Whether the stream is there is known at once when somebody has it open; else its group's folder is
 * asked on the pool. The events are then copied into the group's last chunk like any line: all that are
 * within the times that AWS takes, or none when they would have to be dropped. */
#include "svc/logs_group.h"

#include "base/clock.h"
#include "base/log.h"

#define DAY_MS INT64_C(86400000)
#define TOO_OLD_MS (14 * DAY_MS)
#define TOO_NEW_MS (DAY_MS / 12)

struct log_put {
    struct str stream;
    const struct log_put_event *events;
    size_t count;
    void (*done)(void *ctx, int rc, const struct log_put_result *r, const struct err *err);
};

static void end(struct log_op *op, int rc, const struct log_put_result *r, const struct err *err)
{
    struct log_put *put = op->put;
    put->done(op->ctx, rc, r, err);
    free(put);
    op->put = NULL;
    log_op_free(op);
}

/* The first and last of the events that are taken. */
static void judge(const struct log_op *op, int64_t now_ms, struct log_put_result *r, size_t *first,
                  size_t *end)
{
    const struct log_put *put = op->put;
    struct log_meta *meta = log_disk_meta(op->group->disk);
    int64_t expired_ms = log_meta_start(meta, now_ms), old_ms = now_ms - TOO_OLD_MS;
    log_meta_unref(meta);
    *r = (struct log_put_result){-1, -1, -1, 0};
    for (*end = put->count; *end && put->events[*end - 1].timestamp_ms > now_ms + TOO_NEW_MS;)
        --*end;
    if (*end < put->count)
        r->too_new_start = (long)*end;
    for (*first = 0; *first < *end; ++*first) {
        int64_t at = put->events[*first].timestamp_ms;
        if (at < old_ms)
            r->too_old_end = (long)*first + 1;
        else if (at < expired_ms)
            r->expired_end = (long)*first + 1;
        else
            break;
    }
}

static void append(struct log_op *op)
{
    enum { AROUND = 1024 }; /* of a record and its stream's name */
    struct log_put *put = op->put;
    struct log_group *g = op->group;
    struct log_put_result r;
    size_t first, last, bytes = 0;
    int64_t now_ms = clock_wall_ms();
    judge(op, now_ms, &r, &first, &last);
    for (size_t i = first; i < last; i++)
        bytes += put->events[i].message.n + LOG_HEAD;
    bytes += AROUND;
    if (g->failing) {
        end(op, E_NO_SPACE, NULL, NULL);
        return;
    }
    if (g->pending + bytes > GROUP_PENDING_MAX || g->logs->pending + bytes > ALL_PENDING_MAX) {
        end(op, E_THROTTLED, NULL, NULL);
        return;
    }
    struct log_stream *s = log_stream_open(g->logs, g->name, put->stream);
    for (size_t i = first; i < last; i++)
        log_line_at(s, put->events[i].timestamp_ms, now_ms, put->events[i].message);
    log_stream_close(s);
    r.last_id = g->last_id;
    end(op, 0, &r, NULL);
}

static void look_work(struct work *w)
{
    struct log_op *op = w->data;
    log_streams_run(op->streams);
}

static void look_done(struct work *w)
{
    struct log_op *op = w->data;
    struct log_group *g = op->group;
    struct err err = {0};
    log_job_end(g);
    g->jobs++; /* not freed before it is settled below */
    if (op->streams->rc)
        end(op, op->streams->rc, NULL, &op->streams->err);
    else if (op->streams->list.count == 0)
        end(op, err_set(&err, E_NOT_FOUND, "The specified log stream does not exist."), NULL, &err);
    else
        append(op);
    g->jobs--;
    log_group_settle(g);
}

static bool is_open(const struct log_group *g, struct str name)
{
    for (const struct log_stream *s = g->streams; s; s = s->next)
        if (s->created_ms && str_eq(str_of(s->name, s->name_n), name))
            return true;
    return false;
}

void log_put_start(struct log_op *op)
{
    struct log_group *g = op->group;
    struct log_meta *meta = log_disk_meta(g->disk);
    const struct log_mark *mark = log_meta_mark(meta, op->put->stream);
    bool known = mark && mark->created_ms;
    bool deleted = mark && mark->gone;
    log_meta_unref(meta);
    if (known || (!deleted && is_open(g, op->put->stream))) {
        append(op);
        return;
    }
    log_op_borrow(op);
    log_job_begin(g);
    work_start(g->logs->loop, &op->work, look_work, look_done);
}

void logs_put(struct logs *l, struct str group, struct str stream,
              const struct log_put_event *events, size_t count,
              void (*done)(void *ctx, int rc, const struct log_put_result *r,
                           const struct err *err),
              void *ctx)
{
    struct err err = {0};
    int rc = log_group_check(group, &err);
    if (rc) {
        done(ctx, rc, NULL, &err);
        return;
    }
    struct log_op *op = log_op_new(log_group_get(l, group), OP_PUT, ctx);
    op->put = malloc(sizeof *op->put);
    if (!op->put)
        fatal("out of memory");
    *op->put = (struct log_put){stream, events, count, done};
    log_op_streams(op, stream, true);
    log_op_submit(op);
}
