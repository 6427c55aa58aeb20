/* out: bytes on their way to the socket.
 *
 * Most answers leave by one write in the turn they were made, without being copied or queued. What
 * the socket does not take is copied once and handed to libuv; while that is under way later bytes
 * collect behind it and go as one write when it is done. Answers to pipelined requests collect
 * while input is left in the same turn, so that a burst costs one write. A failed write is a client
 * gone; it is never reported to the writer. */
#include "net/conn.h"

enum {
    KEEP_CAP = 4096,
    PIECES_MAX = 4,
    SLICE = 128 * 1024, /* of a large body, in one turn: the kernel copies it inside the call */
};

static void start_write(struct http_conn *c);

size_t out_waiting(const struct http_conn *c)
{
    return c->out.n + c->rest.n + c->tcp.write_queue_size;
}

void out_keep(struct http_conn *c, struct str bytes)
{
    if (c->state == CONN_CLOSED)
        return;
    buf_add(&c->out, bytes);
    if (c->out.rc)
        conn_lost(c);
}

static void release(struct buf *b)
{
    if (b->cap > KEEP_CAP)
        buf_deinit(b);
    else
        buf_clear(b);
}

static void on_written(uv_write_t *w, int status);

static void write_now(struct http_conn *c, struct str bytes)
{
    uv_buf_t b = {(char *)(uintptr_t)bytes.p, bytes.n};
    c->write.data = c;
    c->writing = true;
    c->flying_seen = bytes.n;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) < 0) {
        c->writing = false;
        conn_lost(c);
    }
}

static void on_written(uv_write_t *w, int status)
{
    struct http_conn *c = w->data;
    c->writing = false;
    buf_deinit(&c->flying);
    if (c->state == CONN_CLOSED)
        return;
    if (status < 0) {
        conn_lost(c);
        return;
    }
    c->progress = true;
    if (c->rest.n) {
        struct str slice = str_of(c->rest.p, c->rest.n < SLICE ? c->rest.n : SLICE);
        c->rest = str_from(c->rest, slice.n);
        write_now(c, slice);
        return;
    }
    free(c->owner);
    c->owner = NULL;
    conn_wake(c);
}

static void start_write(struct http_conn *c)
{
    struct buf swap = c->flying;
    c->flying = c->out;
    c->out = swap;
    write_now(c, buf_str(&c->flying));
}

/* Drops `sent` bytes from the front of `out` and the pieces; keeps a copy of the rest in `out`. */
static void keep_rest(struct http_conn *c, const uv_buf_t *pieces, unsigned count, size_t sent)
{
    size_t from_out = sent < c->out.n ? sent : c->out.n;
    buf_drop(&c->out, from_out);
    sent -= from_out;
    for (unsigned i = 0; i < count; i++) {
        size_t skip = sent < pieces[i].len ? sent : pieces[i].len;
        sent -= skip;
        out_keep(c, str_of(pieces[i].base + skip, pieces[i].len - skip));
    }
}

void out_send(struct http_conn *c, const uv_buf_t *pieces, unsigned count)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->writing || (c->cur && c->cur->n && c->out.n < OUT_PAUSE)) {
        keep_rest(c, pieces, count, 0);
        return;
    }
    uv_buf_t all[PIECES_MAX + 1];
    unsigned n = 0;
    if (c->out.n)
        all[n++] = uv_buf_init(c->out.p, (unsigned)c->out.n);
    for (unsigned i = 0; i < count; i++)
        all[n++] = pieces[i];
    if (n == 0)
        return;
    int sent = uv_try_write((uv_stream_t *)&c->tcp, all, n);
    if (sent < 0 && sent != UV_EAGAIN) {
        conn_lost(c);
        return;
    }
    keep_rest(c, pieces, count, sent < 0 ? 0 : (size_t)sent);
    if (c->out.n && c->state != CONN_CLOSED)
        start_write(c);
    else
        release(&c->out);
}

void out_send_owned(struct http_conn *c, struct str head, struct str body, char *owner)
{
    out_keep(c, head);
    if (c->state == CONN_CLOSED || c->writing || c->owner) { /* a client that pipelines: copied */
        out_keep(c, body);
        free(owner);
        return;
    }
    c->owner = owner;
    c->rest = body;
    start_write(c);
}

void out_flush(struct http_conn *c)
{
    if (c->out.n)
        out_send(c, NULL, 0);
}
