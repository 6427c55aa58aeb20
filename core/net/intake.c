/* intake: request bodies on their way to whoever takes them.
 *
 * Body bytes are decoded in place and handed over at once: collected into the request, or run by
 * run into a sink; nothing is read ahead of a sink that has paused. A request that was answered
 * before its body came has the rest thrown away while it is small (DRAIN_MAX), so that the
 * connection lives on. `100 Continue` is sent when a body is taken and none of it has come. */
#include "net/conn.h"

#include "base/err.h"
#include "base/log.h"

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

static struct request *of(struct http_req *req)
{
    return (struct request *)req;
}

static struct str collected(const struct request *r)
{
    return r->inline_body ? str_of(r->inline_body, (size_t)r->taken) : buf_str(&r->body);
}

void intake_end(struct http_conn *c, int rc)
{
    struct request *r = c->req;
    enum intake kind = (enum intake)c->intake;
    c->intake = INTAKE_NONE;
    if (kind == INTAKE_COLLECT) {
        if (rc && !r->grown)
            buf_deinit(&r->body);
        r->collected(&r->pub, rc, rc ? STR("") : collected(r));
    } else if (kind == INTAKE_STREAM) {
        r->sink->end(&r->pub, rc);
    }
}

/* The decoder found garbage: the answer is net's own, whoever waits is told that it is over. */
static void broken(struct http_conn *c)
{
    c->intake_failed = true;
    if (c->state == CONN_DRAIN) {
        conn_lost(c);
        return;
    }
    conn_refuse(c, 400, "the chunked body is malformed");
    intake_end(c, E_ABORTED);
}

static void take(struct http_conn *c, struct str bytes)
{
    struct request *r = c->req;
    if (c->intake == INTAKE_DISCARD) {
        c->discarded += bytes.n;
        if (c->discarded > DRAIN_MAX)
            conn_lost(c);
        return;
    }
    r->taken += bytes.n;
    if (r->limited && r->taken > r->limit) {
        intake_end(c, E_LIMIT);
    } else if (c->intake == INTAKE_STREAM) {
        r->sink->data(&r->pub, bytes);
    } else if (r->inline_body) {
        memcpy(r->inline_body + r->taken - bytes.n, bytes.p, bytes.n);
    } else {
        buf_add(&r->body, bytes);
        if (r->body.rc)
            intake_end(c, E_LIMIT);
        else if (r->grown)
            r->grown(&r->pub, buf_str(&r->body));
    }
}

static void whole(struct http_conn *c)
{
    if (c->state == CONN_DRAIN) {
        c->intake = INTAKE_NONE;
        c->state = CONN_IDLE;
    } else if (c->intake != INTAKE_NONE) {
        intake_end(c, 0);
    }
}

bool intake_step(struct http_conn *c, struct str *in)
{
    struct str run;
    if (c->intake == INTAKE_NONE || c->paused)
        return false;
    c->progress = true;
    if (body_ended(&c->body)) { /* the taker had paused on the last bytes */
        whole(c);
        return true;
    }
    switch (body_next(&c->body, in, &run)) {
    case BODY_MORE:
        return false;
    case BODY_BAD:
        broken(c);
        return true;
    case BODY_DATA:
        take(c, run);
        if (body_ended(&c->body) && c->intake != INTAKE_NONE && !c->paused)
            whole(c);
        return true;
    case BODY_END:
        whole(c);
        return true;
    }
    return false;
}

/* Common beginning of both takers: false when rc is known from the head alone. */
static bool begin(struct request *r, uint64_t limit, bool limited, int *rc)
{
    struct http_conn *c = r->conn;
    ASSERT(c->req == r && c->intake == INTAKE_NONE && r->taken == 0);
    *rc = 0;
    if (r->pub.gone || c->intake_failed)
        *rc = E_ABORTED;
    else if (limited && r->pub.content_length > 0 && (uint64_t)r->pub.content_length > limit)
        *rc = E_LIMIT;
    if (*rc)
        return false;
    /* also for an empty body: botocore reads the next answer wrongly when it gets none */
    if (r->scan.expect && (body_ended(&c->body) || (c->cur ? c->cur->n : c->in_n) == 0))
        out_keep(c, STR(continue_line));
    r->scan.expect = false;
    if (!c->cur)
        conn_wake(c); /* sends the line, takes what has come */
    if (body_ended(&c->body))
        return false;
    r->limit = limit;
    r->limited = limited;
    c->progress = true;
    return true;
}

void http_body_collect(struct http_req *req, size_t limit,
                       void (*done)(struct http_req *req, int rc, struct str body))
{
    struct request *r = of(req);
    int rc;
    if (!begin(r, limit, true, &rc)) {
        done(req, rc, STR(""));
        return;
    }
    r->collected = done;
    if (req->content_length > 0 && req->content_length <= BODY_INLINE)
        r->inline_body = arena_alloc(req->arena, (size_t)req->content_length);
    buf_init(&r->body, limit);
    if (!r->inline_body && req->content_length > 0 && req->content_length <= BODY_RESERVE)
        buf_reserve(&r->body, (size_t)req->content_length); /* growing would copy megabytes */
    else
        r->grown = NULL; /* the bytes may move */
    r->conn->intake = INTAKE_COLLECT;
}

void http_body_watch(struct http_req *req, void (*grown)(struct http_req *req, struct str so_far))
{
    of(req)->grown = grown;
}

void http_body_stream(struct http_req *req, uint64_t limit, const struct http_sink *sink)
{
    struct request *r = of(req);
    int rc;
    r->conn->paused = false;
    if (!begin(r, limit, limit != 0, &rc)) {
        sink->end(req, rc);
        return;
    }
    r->sink = sink;
    r->conn->intake = INTAKE_STREAM;
}

void http_body_pause(struct http_req *req)
{
    of(req)->conn->paused = true;
}

void http_body_resume(struct http_req *req)
{
    struct http_conn *c = of(req)->conn;
    if (!c->paused)
        return;
    c->paused = false;
    c->progress = true;
    if (!c->cur)
        conn_wake(c);
}
