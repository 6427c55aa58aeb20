/* perilune_activity: runs as they end.
 *
 *   GET /perilune/v1/activity?function=NAME[&follow=1]
 *
 * The last thousand are known, in memory: this is for watching, the history is kept elsewhere. Without
 * follow {"runs":[…]}, oldest first; with it a stream whose ids let a client come back. */
#include "api/ticker.h"
#include "base/json.h"
#include "svc/pulse.h"

enum { EVERY_MS = 250, AT_ONCE = 200 };

struct watching {
    struct str function; /* "": all */
    uint64_t seq;        /* told up to here */
};

static const struct pulse_run *next(struct call *c, struct watching *w)
{
    const struct pulse_run *r;
    while ((r = pulse_run_after(c->svc->pulse, w->seq))) {
        w->seq = r->seq;
        if (w->function.n == 0 || str_is(w->function, r->function))
            return r;
    }
    return NULL;
}

static json_t *run_json(const struct pulse_run *r)
{
    return json_pack("{s:I, s:o, s:o, s:s, s:o, s:b, s:f, s:f, s:I, s:I}", "timestamp",
                     (json_int_t)r->timestamp_ms, "function", json_text(str_c(r->function)),
                     "version", json_text(str_c(r->version)), "request_id", r->request_id, "source",
                     json_text(str_c(r->source)), "error", r->error, "duration_ms",
                     (double)r->duration_us / 1000, "init_ms", (double)r->init_us / 1000,
                     "billed_ms", (json_int_t)r->billed_ms, "memory_bytes",
                     (json_int_t)r->memory_peak);
}

static void tell(struct call *c, void *ctx, struct buf *out)
{
    const struct pulse_run *r;
    for (int i = 0; i < AT_ONCE && (r = next(c, ctx)); i++) {
        struct buf text = BUF_INIT;
        json_t *o = run_json(r);
        json_write(&text, o);
        json_decref(o);
        buf_printf(out, "id: %llu\ndata: ", (unsigned long long)r->seq);
        buf_add(out, buf_str(&text));
        buf_lit(out, "\n\n");
        buf_deinit(&text);
    }
}

void perilune_activity(struct call *c)
{
    struct err err = {0};
    struct str follow = call_query(c, "follow"), function = call_query(c, "function");
    struct watching *w = arena_zalloc(c->arena, sizeof *w);
    const struct pulse_run *r;
    int rc = w ? ticker_last(c, &w->seq, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    w->function = function.p ? function : STR("");
    if (follow.n && !str_is(follow, "0")) {
        ticker_start(c, EVERY_MS, tell, w);
        return;
    }
    json_t *rows = json_array();
    while ((r = next(c, w)))
        json_array_append_new(rows, run_json(r));
    call_json(c, 200, json_pack("{s:o}", "runs", rows));
}
