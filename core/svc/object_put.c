/* object_put: one upload, from its first byte to the commit.
 *
 * The bytes are ingest.c's; here is what they become. When they are whole, right and safe on the
 * disk, one job writes the record, the blob's reference and the events of it. Not answered means
 * both or neither.
 *
 * The event is queued before the record is written: a full queue is then a clean refusal. */
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rec.h"
#include "svc/bucket_rows.h"
#include "svc/ingest.h"
#include "svc/object_rows.h"

enum { PUT_ARENA_MAX = 64 * 1024 }; /* copies of the request's strings */

struct object_put {
    struct job job;
    struct objects *o;
    struct arena *arena;
    struct object_put_req req; /* strings in the arena */
    int refused;               /* what was found wrong before the end */
    struct ingest *ingest;
    struct object_meta meta;
    struct buf rec;
    uint64_t kicks[TRIGGERS_MAX];
    size_t kick_count;
    void (*done)(void *ctx, int rc, const struct object_meta *m, const struct err *err);
    void *ctx;
};

static struct str keep(struct object_put *p, struct str s)
{
    return s.p ? arena_dup(p->arena, s) : s;
}

struct object_put *object_put_open(struct objects *o, const struct object_put_req *r)
{
    struct object_put *p = calloc(1, sizeof *p);
    if (!p)
        fatal("out of memory");
    p->o = o;
    p->arena = arena_new(PUT_ARENA_MAX);
    p->req = *r;
    p->req.bucket = keep(p, str_of(r->bucket.p, r->bucket.n < 64 ? r->bucket.n : 64));
    p->req.key = keep(p, str_of(r->key.p, r->key.n <= OBJKEY_MAX ? r->key.n : OBJKEY_MAX + 1));
    p->refused = r->key.n == 0 ? E_INVALID : object_meta_check(r);
    if (p->refused == 0) {
        p->req.content_type = keep(p, r->content_type);
        p->req.headers = keep(p, r->headers);
        p->req.user_meta = keep(p, r->user_meta);
        p->req.tags = keep(p, r->tags);
    }
    p->req.if_match = keep(p, r->if_match);
    p->req.request_id = arena_dup(p->arena, str_c(r->request_id)).p;
    p->req.peer = arena_dup(p->arena, str_c(r->peer)).p;
    p->req.principal = arena_dup(p->arena, str_c(r->principal)).p;
    p->req.cause = lineage_dup(p->arena, &r->cause);
    p->ingest = ingest_open(o, &r->promise, OBJECT_INLINE_MAX);
    return p;
}

struct ingest *object_put_ingest(struct object_put *p)
{
    return p->ingest;
}

bool object_put_write(struct object_put *p, struct str bytes)
{
    return ingest_write(p->ingest, bytes);
}

void object_put_on_drained(struct object_put *p, void (*drained)(void *ctx), void *ctx)
{
    ingest_on_drained(p->ingest, drained, ctx);
}

static void put_free(struct object_put *p)
{
    buf_deinit(&p->rec);
    arena_free(p->arena);
    free(p);
}

void object_put_abort(struct object_put *p)
{
    ingest_abort(p->ingest);
    put_free(p);
}

static void put_end(struct object_put *p, int rc, const struct err *err)
{
    p->done(p->ctx, rc, rc ? NULL : &p->meta, err);
    ingest_close(p->ingest, rc == 0);
    put_free(p);
}

/* --- commit -------------------------------------------------------------------------------------
 */

static int check_conditions(const struct object_put *p, int found, const struct object_meta *old)
{
    if (found && found != E_NO_KEY)
        return found;
    if (p->req.if_none_match && found == 0)
        return E_PRECONDITION;
    if (p->req.if_match.n == 0)
        return 0;
    if (found)
        return found;
    return str_is(p->req.if_match, old->etag) ? 0 : E_PRECONDITION;
}

static int put_apply(struct job *job, struct store_txn *t)
{
    struct object_put *p = (struct object_put *)job;
    struct object_meta old = {0};
    struct bucket_row row;
    int rc = check_conditions(p, object_get(t, p->req.bucket, p->req.key, &old), &old);
    if (rc == 0)
        rc = bucket_row_get(t, p->req.bucket, &row);
    if (rc)
        return rc;
    struct bucket_event e = {
        .name = p->req.event ? p->req.event : "ObjectCreated:Put",
        .bucket = p->req.bucket,
        .key = p->req.key,
        .etag = str_c(p->meta.etag),
        .size = p->meta.size,
        .sequencer = object_sequencer(p->o),
        .time_ms = p->meta.modified_ms,
        .cause = p->req.cause,
        .request_id = p->req.request_id,
        .peer = p->req.peer,
        .principal = p->req.principal,
    };
    rc = bucket_notify(t, p->o->queue, p->o->region, &e, p->kicks, TRIGGERS_MAX, &p->kick_count);
    if (rc)
        return rc;
    if (p->meta.blob)
        rc = blob_ref(t, p->meta.blob, p->meta.size);
    if (rc == 0)
        rc = objkey_put(t, row.id, p->req.key, buf_str(&p->rec));
    if (rc == 0)
        rc = object_body_drop(p->o, t, &old);
    return rc == E_NO_SPACE || rc == E_IO || rc == 0 ? rc : E_INTERNAL;
}

static void put_done(struct job *job, int rc)
{
    struct object_put *p = (struct object_put *)job;
    objects_committed(p->o, rc, p->kicks, p->kick_count);
    put_end(p, rc, NULL);
}

static void ingested(void *ctx, int rc, const struct ingest_facts *f, const struct err *err)
{
    struct object_put *p = ctx;
    if (rc) {
        put_end(p, rc, err);
        return;
    }
    p->meta = (struct object_meta){
        .key = p->req.key,
        .size = f->size,
        .modified_ms = clock_wall_ms(),
        .content_type = p->req.content_type,
        .headers = p->req.headers,
        .user_meta = p->req.user_meta,
        .tags = p->req.tags,
        .checksum_alg = str_c(checksum_name(f->checksum)),
        .checksum = str_c(f->checksum_text),
        .inline_body = f->bytes,
        .blob = f->blob,
    };
    memcpy(p->meta.etag, f->etag, sizeof f->etag);
    object_encode(&p->rec, &p->meta);
    p->job = (struct job){.apply = put_apply, .done = put_done};
    store_submit(p->o->store, &p->job);
}

void object_put_finish(struct object_put *p,
                       void (*done)(void *ctx, int rc, const struct object_meta *m,
                                    const struct err *err),
                       void *ctx)
{
    p->done = done;
    p->ctx = ctx;
    if (p->refused) {
        done(ctx, p->refused, NULL, NULL);
        object_put_abort(p);
        return;
    }
    ingest_finish(p->ingest, ingested, p);
}
