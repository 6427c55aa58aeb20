/* perilune_logs: a function's log lines as server-sent events.
 *
 *   GET /perilune/v1/logs/{function}?since=MS&level=L&request=ID&follow=1
 *
 *   id: POSITION
 *   data: {"timestamp":ms,"level":"info","request_id":"…","stream":"…","message":"…"}
 *
 * Oldest first; without follow the answer ends after the newest. A client that comes back sends
 * Last-Event-ID and misses nothing. One page is read at a time, the next when the client has taken
 * what was sent; news that arrive meanwhile are remembered, not queued. A comment every 15 s keeps
 * proxies from closing a quiet stream. Action perilune:FollowLogs on …:logs/FUNCTION. */
#include "api/gate.h"
#include "base/json.h"
#include "base/log.h"
#include "svc/function.h"
#include "svc/logs.h"

enum { PAGE = 500, HEARTBEAT_MS = 15000 };

struct tail {
    struct call *c;
    struct log_query q;
    struct log_follower *follower; /* NULL: ends after the newest */
    struct buf text;               /* made on the pool */
    uv_timer_t heartbeat;
    bool reading;  /* a page is on its way */
    bool sending;  /* the client has not taken the last one */
    bool news;     /* something came since the page began */
    bool begun;    /* the head is out */
    bool finished; /* nothing may be read or sent any more */
    bool quiet;    /* nothing was sent since the last heartbeat */
};

static void pump(struct tail *t);

/* --- the end ---------------------------------------------------------------------------------- */

static void freed(uv_handle_t *h)
{
    struct tail *t = h->data;
    buf_deinit(&t->text);
    free(t);
}

/* Ends the answer; the struct goes when its timer is closed. Not while a page is being read. */
static void finish(struct tail *t, int rc, const struct err *err)
{
    if (t->follower)
        logs_unfollow(t->follower);
    t->follower = NULL;
    t->finished = true;
    if (!t->begun && rc)
        call_error(t->c, rc, err);
    else
        call_stream_end(t->c, rc == 0);
    uv_close((uv_handle_t *)&t->heartbeat, freed);
}

static void gone(struct http_req *req)
{
    struct tail *t = ((struct call *)req->user)->user;
    if (!t->reading) /* else its page ends it */
        finish(t, E_ABORTED, NULL);
}

/* --- pages ------------------------------------------------------------------------------------ */

static void put_event(struct buf *b, const struct log_event *e)
{
    char level[8] = "";
    const char *name = log_severity_name(e->level);
    for (size_t i = 0; i < sizeof level - 1 && name[i]; i++)
        level[i] = (char)(name[i] | 0x20);
    buf_printf(b, "id: %llu\ndata: {\"timestamp\":%lld,\"level\":\"%s\",\"request_id\":",
               (unsigned long long)e->id, (long long)e->timestamp_ms, level);
    json_quote(b, e->request_id);
    buf_lit(b, ",\"stream\":");
    json_quote(b, e->stream);
    buf_lit(b, ",\"message\":");
    json_quote(b, e->message);
    buf_lit(b, "}\n\n");
}

/* A pool thread. */
static void encode(void *ctx, const struct log_page *page)
{
    struct tail *t = ctx;
    buf_clear(&t->text);
    for (size_t i = 0; i < page->count; i++)
        put_event(&t->text, &page->events[i]);
}

static void drained(struct http_req *req)
{
    struct tail *t = ((struct call *)req->user)->user;
    t->sending = false;
    pump(t);
}

static void begin(struct tail *t)
{
    if (t->begun)
        return;
    t->begun = true;
    call_set_header(t->c, "Cache-Control", STR("no-store"));
    call_stream_begin(t->c, 200, "text/event-stream", -1);
    if (t->follower) /* the head goes out now, so that the client knows it is connected */
        http_reply_write(t->c->req, STR(": connected\n\n"));
}

static void paged(void *ctx, int rc, const struct log_page *page, const struct err *err)
{
    struct tail *t = ctx;
    t->reading = false;
    bool none = rc == E_NOT_FOUND; /* the function has not logged anything yet */
    if (t->c->req->gone || (rc && !none) || t->text.rc) {
        finish(t, rc ? rc : E_ABORTED, err);
        return;
    }
    begin(t);
    if (!none && page->last > t->q.after)
        t->q.after = page->last;
    bool more = !none && page->more;
    if (!none && t->text.n) {
        t->sending = true;
        t->quiet = false;
        http_reply_write(t->c->req, buf_str(&t->text));
        http_reply_drained(t->c->req, drained);
    }
    t->news = t->news || more;
    if (t->follower || more)
        pump(t);
    else
        finish(t, 0, NULL);
}

/* Reads the next page, when there may be one and somebody to take it. */
static void pump(struct tail *t)
{
    if (t->reading || t->sending || t->finished)
        return;
    if (!t->news) {
        if (!t->follower)
            finish(t, 0, NULL);
        return;
    }
    t->news = false;
    t->reading = true;
    logs_read(t->c->svc->logs, &t->q, encode, paged, t);
}

static void on_news(void *ctx)
{
    struct tail *t = ctx;
    t->news = true;
    pump(t);
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct tail *t = timer->data;
    if (t->begun && !t->reading && !call_lives(t->c)) {
        finish(t, 0, NULL);
        return;
    }
    if (t->begun && t->quiet && !t->sending)
        http_reply_write(t->c->req, STR(": still here\n\n"));
    t->quiet = true;
}

/* --- the request ------------------------------------------------------------------------------ */

static int read_query(struct call *c, struct log_query *q, struct err *err)
{
    struct str since = call_query(c, "since"), level = call_query(c, "level");
    struct str request = call_query(c, "request"), last = call_header(c, "last-event-id");
    uint64_t ms = 0;
    *q = (struct log_query){.limit = PAGE, .stream_prefix = STR(""), .pattern = STR("")};
    if (since.p && (!str_u64(since, &ms) || ms > INT64_MAX))
        return err_set(err, E_INVALID, "'since' is a time in milliseconds since 1970");
    if (level.p && !log_severity_parse(level, &q->level))
        return err_set(err, E_INVALID, "'level' is trace, debug, info, warn, error or fatal");
    if (last.p && last.n && !str_u64(last, &q->after))
        return err_set(err, E_INVALID, "Last-Event-ID is none of this stream's");
    q->start_ms = (int64_t)ms;
    q->request_id = request.p ? request : STR("");
    q->group = arena_printf(c->arena, "/aws/lambda/%.*s", STR_FMT(c->param[0]));
    return q->group.p ? 0 : E_LIMIT;
}

void perilune_logs(struct call *c)
{
    struct err err = {0};
    struct log_query q;
    struct fn *fn = NULL;
    int rc = read_query(c, &q, &err);
    struct str follow = call_query(c, "follow");
    bool stay = follow.p && !str_is(follow, "0");
    if (rc == 0)
        rc = function_get(c->svc->functions, c->param[0], STR(""), &fn, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    fn_unref(fn);
    struct tail *t = calloc(1, sizeof *t);
    if (!t)
        fatal("out of memory");
    t->c = c;
    t->q = q;
    t->news = true;
    c->user = t;
    uv_timer_init(c->svc->loop, &t->heartbeat);
    t->heartbeat.data = t;
    if (stay) {
        t->follower = logs_follow(c->svc->logs, q.group, on_news, t);
        uv_timer_start(&t->heartbeat, on_heartbeat, HEARTBEAT_MS, HEARTBEAT_MS);
    }
    http_on_gone(c->req, gone);
    pump(t);
}
