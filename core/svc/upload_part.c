/* upload_part: one part, from its first byte to its row; and the parts there are.
 *
 * A part is ingested as an object's body is, and its row refers to what came of it. A part that is
 * sent again replaces the older one: the later commit stands. Whether the upload is still open is
 * asked in the job itself, so that a part never comes to an upload that was completed or aborted
 * while its bytes were on the way. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/key.h"
#include "svc/ingest.h"
#include "svc/object_rows.h"
#include "svc/upload_rows.h"

struct upload_part {
    struct job job;
    struct objects *o;
    struct arena *arena;
    struct str bucket, key;
    uint64_t id;
    uint32_t number;
    struct ingest *ingest;
    const struct ingest_facts *facts;
    int64_t modified_ms;
    void (*done)(void *ctx, int rc, const struct ingest_facts *facts, const struct err *err);
    void *ctx;
};

struct upload_part *upload_part_open(struct objects *o, struct str bucket, struct str key,
                                     uint64_t id, uint32_t number,
                                     const struct body_promise *promise)
{
    struct upload_part *p = calloc(1, sizeof *p);
    if (!p)
        fatal("out of memory");
    ASSERT(number && number <= EXTENTS_MAX);
    p->o = o;
    p->arena = arena_new(8192);
    p->bucket = arena_dup(p->arena, bucket);
    p->key = arena_dup(p->arena, key);
    p->id = id;
    p->number = number;
    p->ingest = ingest_open(o, promise, OBJECT_INLINE_MAX);
    return p;
}

struct ingest *upload_part_ingest(struct upload_part *p)
{
    return p->ingest;
}

static void part_free(struct upload_part *p)
{
    arena_free(p->arena);
    free(p);
}

void upload_part_abort(struct upload_part *p)
{
    ingest_abort(p->ingest);
    part_free(p);
}

static void part_end(struct upload_part *p, int rc, const struct err *err)
{
    p->done(p->ctx, rc, p->facts, err);
    ingest_close(p->ingest, rc == 0);
    part_free(p);
}

/* --- commit ------------------------------------------------------------------------------------ */

uint64_t upload_changes(struct store_txn *t, uint64_t id)
{
    char space[EXTENT_KEY];
    struct str v;
    uint64_t n = 0;
    if (store_get(t, T_PARTS, extent_key(id, 0, space), &v) == 0)
        key_take_u64(&v, &n);
    return n;
}

int upload_changed(struct store_txn *t, uint64_t id)
{
    char space[EXTENT_KEY];
    struct key v = {0};
    key_u64(&v, upload_changes(t, id) + 1);
    return store_put(t, T_PARTS, extent_key(id, 0, space), key_str(&v));
}

static int write_row(struct upload_part *p, struct store_txn *t)
{
    const struct ingest_facts *f = p->facts;
    const struct extent x = {
        .number = p->number,
        .size = f->size,
        .modified_ms = p->modified_ms,
        .md5 = str_of((const char *)f->md5, sizeof f->md5),
        .checksum_alg = str_c(checksum_name(f->checksum)),
        .checksum = str_c(f->checksum_text),
        .bytes = f->bytes,
        .blob = f->blob,
    };
    char space[EXTENT_KEY];
    struct buf rec = BUF_INIT;
    extent_encode(&rec, &x);
    int rc = rec.rc ? E_INTERNAL
                    : store_put(t, T_PARTS, extent_key(p->id, p->number, space), buf_str(&rec));
    buf_deinit(&rec);
    return rc;
}

static int part_apply(struct job *job, struct store_txn *t)
{
    struct upload_part *p = (struct upload_part *)job;
    char id[UPLOAD_ID_MAX], space[EXTENT_KEY];
    struct upload u;
    struct extent old = {0};
    struct str rec;
    upload_id_text(p->id, id);
    int rc = upload_get_open(t, p->bucket, p->key, str_c(id), &u);
    if (rc)
        return rc;
    if (store_get(t, T_PARTS, extent_key(p->id, p->number, space), &rec) == 0 &&
        !extent_decode(rec, &old))
        return E_INTERNAL;
    if (p->facts->blob)
        rc = blob_ref(t, p->facts->blob, p->facts->size);
    if (rc == 0)
        rc = write_row(p, t);
    if (rc == 0)
        rc = upload_changed(t, p->id);
    if (rc == 0 && old.blob)
        rc = blob_unref(t, old.blob);
    return rc == 0 || rc == E_NO_SPACE || rc == E_IO ? rc : E_INTERNAL;
}

static void part_done(struct job *job, int rc)
{
    part_end((struct upload_part *)job, rc, NULL);
}

static void ingested(void *ctx, int rc, const struct ingest_facts *facts, const struct err *err)
{
    struct upload_part *p = ctx;
    p->facts = facts;
    if (rc) {
        part_end(p, rc, err);
        return;
    }
    p->modified_ms = clock_wall_ms();
    p->job = (struct job){.apply = part_apply, .done = part_done};
    store_submit(p->o->store, &p->job);
}

void upload_part_finish(struct upload_part *p,
                        void (*done)(void *ctx, int rc, const struct ingest_facts *facts,
                                     const struct err *err),
                        void *ctx)
{
    p->done = done;
    p->ctx = ctx;
    ingest_finish(p->ingest, ingested, p);
}

/* --- list -------------------------------------------------------------------------------------- */

int upload_parts(struct store_txn *t, uint64_t id, uint32_t after, size_t limit,
                 void (*each)(void *ctx, const struct extent *x), void *ctx, bool *truncated)
{
    char space[EXTENT_KEY];
    struct str k, v;
    int rc = 0;
    size_t n = 0;
    *truncated = false;
    struct store_cursor *c = store_cursor(t, T_PARTS);
    bool more = store_seek(c, extent_key(id, after + 1, space), &k, &v);
    for (; more && rc == 0; more = store_next(c, &k, &v)) {
        struct extent x;
        uint64_t list;
        uint32_t number;
        if (!key_take_u64(&k, &list) || list != id || !key_take_u32(&k, &number))
            break;
        if (n++ == limit) {
            *truncated = true;
            break;
        }
        if (!extent_decode(v, &x))
            rc = E_INTERNAL;
        x.number = number;
        if (rc == 0)
            each(ctx, &x);
    }
    store_cursor_close(c);
    return rc;
}
