/* perilune_overview: what runs, what fails, what waits, as one document or as a stream of them.
 *
 *   GET /perilune/v1/overview[?follow=1]
 *
 * A stream's event comes every two seconds; its id is the time of the newest point it has told, so a
 * client that comes back with Last-Event-ID gets the points it missed. An answer costs some tens of
 * microseconds, and one event is on its way to a client at most. */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "api/ticker.h"
#include "base/clock.h"
#include "base/json.h"
#include "svc/pool.h"
#include "svc/pulse.h"
#include "svc/queue.h"

enum { EVERY_MS = 2000 };

/* --- the document ------------------------------------------------------------------------------ */

static json_t *disk_json(struct services *v)
{
    struct statvfs fs = {0};
    struct stat st = {0};
    char path[4200];
    snprintf(path, sizeof path, "%s/meta.mdb", store_dir(v->store));
    if (statvfs(store_dir(v->store), &fs) != 0 || stat(path, &st) != 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I}", "total_bytes", (json_int_t)(fs.f_blocks * fs.f_frsize),
                     "free_bytes", (json_int_t)(fs.f_bavail * fs.f_frsize), "store_bytes",
                     (json_int_t)st.st_blocks * 512);
}

static json_t *memory_json(const struct pool_stats *p)
{
    size_t own = 0;
    uv_resident_set_memory(&own);
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "total_bytes", (json_int_t)uv_get_total_memory(),
                     "available_bytes", (json_int_t)uv_get_free_memory(), "server_bytes",
                     (json_int_t)own, "runners_bytes", (json_int_t)p->memory, "runners_max_bytes",
                     (json_int_t)p->memory_max);
}

static json_t *failures_json(struct services *v)
{
    json_t *rows = json_array();
    const struct pulse_failure *f;
    for (size_t i = 0; (f = pulse_failure(v->pulse, i)); i++)
        json_array_append_new(rows, json_pack("{s:I, s:o, s:s, s:o, s:o}", "timestamp",
                                              (json_int_t)f->timestamp_ms, "function",
                                              json_text(str_c(f->function)), "request_id",
                                              f->request_id, "error", json_text(str_c(f->error)),
                                              "message", json_text(str_c(f->message))));
    return rows;
}

/* Points that began after *after_ms, which moves on. */
static json_t *series_json(struct services *v, int64_t *after_ms)
{
    struct pulse_point points[PULSE_POINTS];
    json_t *rows = json_array();
    size_t n = pulse_points(v->pulse, *after_ms, points);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            rows, json_pack("{s:I, s:i, s:i, s:f, s:f}", "t", (json_int_t)points[i].t_ms,
                            "requests", (int)points[i].requests, "errors", (int)points[i].errors,
                            "p50_ms", points[i].p50_ms, "p99_ms", points[i].p99_ms));
    if (n)
        *after_ms = points[n - 1].t_ms;
    return json_pack("{s:i, s:o}", "step_ms", PULSE_STEP_MS, "points", rows);
}

static json_t *overview(struct services *v, int64_t *after_ms)
{
    struct pool_stats p;
    struct queue_stats q;
    struct pulse_now now;
    pool_stats(v->pool, &p);
    queue_stats(v->queue, &q);
    pulse_now(v->pulse, &now);
    json_t *o = json_pack(
        "{s:I, s:s, s:i, s:f, s:f, s:f, s:f}", "now_ms", (json_int_t)clock_wall_ms(), "status",
        store_writable(v->store) ? "ok" : "read-only", "window_s", PULSE_WINDOW_S, "rate", now.rate,
        "error_rate", now.error_rate, "p50_ms", now.p50_ms, "p99_ms", now.p99_ms);
    json_object_set_new(o, "queue",
                        json_pack("{s:I, s:I, s:I, s:I, s:I}", "queued", (json_int_t)q.queued,
                                  "running", (json_int_t)q.running, "waiting",
                                  (json_int_t)q.waiting, "dead", (json_int_t)q.dead, "oldest_ms",
                                  (json_int_t)q.late_ms));
    json_object_set_new(o, "runners",
                        json_pack("{s:i, s:i, s:i, s:i}", "running", (int)p.runners, "spare",
                                  (int)p.spares, "busy", (int)p.busy, "waiting", (int)p.waiting));
    json_object_set_new(o, "disk", disk_json(v));
    json_object_set_new(o, "memory", memory_json(&p));
    json_object_set_new(o, "series", series_json(v, after_ms));
    json_object_set_new(o, "failures", failures_json(v));
    return o;
}

/* --- the answer -------------------------------------------------------------------------------- */

static void tell(struct call *c, void *ctx, struct buf *out)
{
    int64_t *told_ms = ctx;
    json_t *o = overview(c->svc, told_ms);
    struct buf text = BUF_INIT;
    json_write(&text, o);
    json_decref(o);
    buf_printf(out, "id: %lld\ndata: ", (long long)*told_ms);
    buf_add(out, buf_str(&text));
    buf_lit(out, "\n\n");
    buf_deinit(&text);
}

void perilune_overview(struct call *c)
{
    struct err err = {0};
    struct str follow = call_query(c, "follow");
    uint64_t last = 0;
    int64_t *told_ms = arena_zalloc(c->arena, sizeof *told_ms);
    int rc = told_ms ? ticker_last(c, &last, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    *told_ms = (int64_t)last;
    if (follow.n && !str_is(follow, "0"))
        ticker_start(c, EVERY_MS, tell, told_ms);
    else
        call_json(c, 200, overview(c->svc, told_ms));
}
