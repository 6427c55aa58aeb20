/* object_read: a pinned walk over the pieces of a body.
 *
 * A piece is what lies in one place: the record's own bytes, a blob, or one part of an upload. The
 * reader stands in one piece; when that is used up it looks for the next in a snapshot of its own.
 * A blob is pinned by being open. Of a body in parts only the list is pinned, whatever the number of
 * its blobs, since their references go with the list and not before (extents.h); so one file is
 * open at a time. */
#include "svc/object_read.h"

#include "base/log.h"
#include "svc/object_rows.h"

struct object_read {
    struct objects *o;
    uint64_t left; /* bytes to deliver */

    /* where it stands */
    struct str small; /* what is left of a small piece, in `held`; or */
    uint64_t blob;    /* a file, */
    int fd;           /* open while >= 0, */
    uint64_t at;      /* read up to here, */
    uint64_t in_blob; /* with so many bytes of it to come */

    struct extents extents; /* list 0: one piece only; its strings are in `list` */
    uint32_t next_part;
    struct buf list, held;

    bool reading, closed;
    void (*done)(void *ctx, int rc, struct str bytes);
    void *ctx;
};

static uint64_t in_piece(const struct object_read *r)
{
    return r->fd >= 0 ? r->in_blob : r->small.n;
}

static void leave_piece(struct object_read *r)
{
    if (r->fd >= 0)
        blob_close(r->o->store, r->blob, r->fd);
    r->fd = -1;
    r->small = STR("");
}

/* Stands at byte `skip` of a piece. */
static int enter_piece(struct object_read *r, uint64_t blob, struct str bytes, uint64_t size,
                       uint64_t skip)
{
    int rc = 0;
    if (!blob) {
        buf_clear(&r->held);
        buf_add(&r->held, bytes);
        if (r->held.rc || skip > bytes.n)
            return E_INTERNAL;
        r->small = str_from(buf_str(&r->held), (size_t)skip);
        return 0;
    }
    r->fd = blob_open(r->o->store, blob, &rc);
    if (r->fd < 0)
        return rc == E_NOT_FOUND ? E_IO : rc; /* a row names it: the file must be there */
    r->blob = blob;
    r->at = skip;
    r->in_blob = size - skip;
    return 0;
}

static int enter_part(struct object_read *r, struct store_txn *t, uint32_t i, uint64_t skip)
{
    struct extent x;
    int rc = i < r->extents.count ? extents_get(t, &r->extents, i, &x) : E_INTERNAL;
    r->next_part = i + 1;
    return rc ? rc : enter_piece(r, x.blob, x.bytes, x.size, skip);
}

static int next_piece(struct object_read *r)
{
    int rc = 0;
    struct store_txn *t = store_read(r->o->store);
    while (rc == 0 && in_piece(r) == 0) {
        leave_piece(r);
        rc = enter_part(r, t, r->next_part, 0);
    }
    store_read_end(t);
    return rc;
}

static int open_parts(struct object_read *r, const struct extents *e, uint64_t first)
{
    uint32_t i;
    uint64_t begins;
    buf_add(&r->list, e->runs);
    buf_add(&r->list, e->index);
    if (r->list.rc)
        return E_INTERNAL;
    r->extents = *e;
    r->extents.runs = str_of(r->list.p, e->runs.n);
    r->extents.index = str_of(r->list.p + e->runs.n, e->index.n);
    objects_pin(r->o, e->list);
    struct store_txn *t = store_read(r->o->store);
    int rc = extents_find(t, &r->extents, first, &i, &begins);
    if (rc == 0)
        rc = enter_part(r, t, i, first - begins);
    store_read_end(t);
    return rc;
}

struct object_read *object_read_open(struct objects *o, const struct object_meta *m, uint64_t first,
                                     uint64_t count, int *rc)
{
    struct object_read *r = calloc(1, sizeof *r);
    if (!r)
        fatal("out of memory");
    ASSERT(first <= m->size && count <= m->size - first);
    r->o = o;
    r->fd = -1;
    r->left = count;
    *rc = 0;
    if (count && m->extents.list)
        *rc = open_parts(r, &m->extents, first);
    else if (count)
        *rc = enter_piece(r, m->blob, m->inline_body, m->size, first);
    if (*rc == 0)
        return r;
    object_read_close(r);
    return NULL;
}

static void read_free(struct object_read *r)
{
    leave_piece(r);
    if (r->extents.list)
        objects_unpin(r->o, r->extents.list);
    buf_deinit(&r->list);
    buf_deinit(&r->held);
    free(r);
}

static void got(void *ctx, int rc, struct str bytes)
{
    struct object_read *r = ctx;
    r->reading = false;
    if (r->closed) {
        read_free(r);
        return;
    }
    r->at += bytes.n;
    r->in_blob -= bytes.n;
    r->left -= bytes.n;
    r->done(r->ctx, rc, bytes);
}

void object_read_into(struct object_read *r, char *to, size_t max,
                      void (*done)(void *ctx, int rc, struct str bytes), void *ctx)
{
    ASSERT(!r->reading && max && max <= BLOB_READ_MAX);
    int rc = r->left && in_piece(r) == 0 ? next_piece(r) : 0;
    uint64_t n = in_piece(r) < r->left ? in_piece(r) : r->left;
    if (n > max)
        n = max;
    if (rc || n == 0) {
        done(ctx, rc, STR(""));
        return;
    }
    if (r->fd < 0) {
        struct str bytes = str_of(r->small.p, (size_t)n);
        r->small = str_from(r->small, (size_t)n);
        r->left -= n;
        if (to)
            bytes = str_of(memcpy(to, bytes.p, bytes.n), bytes.n);
        done(ctx, 0, bytes);
        return;
    }
    r->reading = true;
    r->done = done;
    r->ctx = ctx;
    blob_read_into(r->o->store, r->fd, r->at, to, (size_t)n, got, r);
}

void object_read_next(struct object_read *r, size_t max,
                      void (*done)(void *ctx, int rc, struct str bytes), void *ctx)
{
    object_read_into(r, NULL, max, done, ctx);
}

uint64_t object_read_left(const struct object_read *r)
{
    return r->left;
}

void object_read_close(struct object_read *r)
{
    if (!r)
        return;
    r->closed = true;
    if (!r->reading)
        read_free(r);
}
