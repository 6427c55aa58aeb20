/* ticker: one timer a stream; closed before the memory that it points to goes. */
#include "api/ticker.h"

#include "base/clock.h"
#include "base/log.h"

enum { HEARTBEAT_MS = 15000 };

struct ticker {
    struct call *c;
    uv_timer_t timer;
    ticker_fill *fill;
    void *ctx;
    uint64_t sent_ns; /* when something was */
    bool sending;     /* the client has not taken the last of it */
};

static void freed(uv_handle_t *h)
{
    free(h->data);
}

static void finish(struct ticker *t, bool ok)
{
    call_stream_end(t->c, ok);
    uv_close((uv_handle_t *)&t->timer, freed);
}

static void gone(struct http_req *req)
{
    finish(((struct call *)req->user)->user, false);
}

static void drained(struct http_req *req)
{
    struct ticker *t = ((struct call *)req->user)->user;
    t->sending = false;
}

static void on_tick(uv_timer_t *timer)
{
    struct ticker *t = timer->data;
    struct buf b = BUF_INIT;
    if (!call_lives(t->c)) {
        finish(t, true);
        return;
    }
    if (t->sending)
        return;
    uint64_t now = clock_mono_ns();
    t->fill(t->c, t->ctx, &b);
    if (b.n == 0 && now - t->sent_ns > HEARTBEAT_MS * 1000000ull)
        buf_lit(&b, ": still here\n\n");
    if (b.n && b.rc == 0) {
        t->sent_ns = now;
        t->sending = true;
        http_reply_write(t->c->req, buf_str(&b));
        http_reply_drained(t->c->req, drained);
    }
    buf_deinit(&b);
}

void ticker_start(struct call *c, uint32_t every_ms, ticker_fill *fill, void *ctx)
{
    struct ticker *t = calloc(1, sizeof *t);
    if (!t)
        fatal("out of memory");
    *t = (struct ticker){.c = c, .fill = fill, .ctx = ctx, .sent_ns = clock_mono_ns()};
    c->user = t;
    uv_timer_init(c->svc->loop, &t->timer);
    t->timer.data = t;
    uv_timer_start(&t->timer, on_tick, 0, every_ms);
    call_set_header(c, "Cache-Control", STR("no-store"));
    call_stream_begin(c, 200, "text/event-stream", -1);
    http_reply_write(c->req, STR(": connected\n\n")); /* the head goes out now */
    http_on_gone(c->req, gone);
}

int ticker_last(const struct call *c, uint64_t *out, struct err *err)
{
    struct str last = call_header(c, "last-event-id");
    *out = 0;
    if (last.n && (!str_u64(last, out) || *out > INT64_MAX))
        return err_set(err, E_INVALID, "Last-Event-ID is none of this stream's");
    return 0;
}
