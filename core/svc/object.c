/* object: one object's record, and removing it.
 *
 * A record holds everything HEAD answers plus either the body itself (small objects: one read, no
 * file) or the id of a blob. Times are wall time, since clients compare them with their own clocks;
 * the sequencer is not: it grows with store time, so events of one key sort in the order of their
 * commits even after the wall clock was set back.
 *
 * Removing takes the record, drops the blob's reference and queues the event in one job. */
#include "svc/object.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rec.h"
#include "svc/bucket_rows.h"
#include "svc/object_rows.h"

enum object_tag {
    OBJ_SIZE = 1,
    OBJ_ETAG,
    OBJ_MODIFIED_MS,
    OBJ_CONTENT_TYPE,
    OBJ_HEADERS,
    OBJ_USER_META,
    OBJ_CHECKSUM_ALG,
    OBJ_CHECKSUM,
    OBJ_BLOB,
    OBJ_BODY, /* written last: listing reads the first page of a row only */
    OBJ_TAGS,
    OBJ_COMPOSITE,
    OBJ_EXTENTS, /* a record of its own: extents.h */
};

uint64_t object_sequencer(struct objects *o)
{
    uint64_t now = (uint64_t)clock_store_ms() << 16;
    o->sequencer = now > o->sequencer ? now : o->sequencer + 1;
    return o->sequencer;
}

void object_encode(struct buf *rec, const struct object_meta *m)
{
    rec_put_u64(rec, OBJ_SIZE, m->size);
    rec_put_str(rec, OBJ_ETAG, str_c(m->etag));
    rec_put_u64(rec, OBJ_MODIFIED_MS, (uint64_t)m->modified_ms);
    if (m->content_type.n)
        rec_put_str(rec, OBJ_CONTENT_TYPE, m->content_type);
    if (m->headers.n)
        rec_put_str(rec, OBJ_HEADERS, m->headers);
    if (m->user_meta.n)
        rec_put_str(rec, OBJ_USER_META, m->user_meta);
    if (m->checksum_alg.n) {
        rec_put_str(rec, OBJ_CHECKSUM_ALG, m->checksum_alg);
        rec_put_str(rec, OBJ_CHECKSUM, m->checksum);
        if (m->composite)
            rec_put_u64(rec, OBJ_COMPOSITE, 1);
    }
    if (m->tags.n)
        rec_put_str(rec, OBJ_TAGS, m->tags);
    if (m->blob) {
        rec_put_u64(rec, OBJ_BLOB, m->blob);
    } else if (m->extents.list) {
        size_t mark = rec_begin(rec, OBJ_EXTENTS);
        extents_encode(rec, &m->extents);
        rec_end(rec, mark);
    } else {
        rec_put_str(rec, OBJ_BODY, m->inline_body);
    }
}

bool object_decode(struct str rec, struct object_meta *out)
{
    uint16_t tag;
    struct str v;
    bool sound = true;
    *out = (struct object_meta){0};
    while (rec_next(&rec, &tag, &v)) {
        if (tag == OBJ_SIZE)
            out->size = rec_int(v, 0);
        else if (tag == OBJ_ETAG && v.n < sizeof out->etag)
            memcpy(out->etag, v.p, v.n);
        else if (tag == OBJ_MODIFIED_MS)
            out->modified_ms = (int64_t)rec_int(v, 0);
        else if (tag == OBJ_CONTENT_TYPE)
            out->content_type = v;
        else if (tag == OBJ_HEADERS)
            out->headers = v;
        else if (tag == OBJ_USER_META)
            out->user_meta = v;
        else if (tag == OBJ_CHECKSUM_ALG)
            out->checksum_alg = v;
        else if (tag == OBJ_CHECKSUM)
            out->checksum = v;
        else if (tag == OBJ_BLOB)
            out->blob = rec_int(v, 0);
        else if (tag == OBJ_BODY)
            out->inline_body = v;
        else if (tag == OBJ_TAGS)
            out->tags = v;
        else if (tag == OBJ_COMPOSITE)
            out->composite = rec_int(v, 0) == 1;
        else if (tag == OBJ_EXTENTS)
            sound = extents_decode(v, &out->extents) == 0;
    }
    return rec.n == 0 && sound && (out->blob || out->extents.list || out->inline_body.p);
}

int object_get(struct store_txn *t, struct str bucket, struct str key, struct object_meta *out)
{
    struct bucket_row row;
    struct str rec;
    int rc = bucket_row_get(t, bucket, &row);
    if (rc)
        return rc;
    if (key.n > OBJKEY_MAX)
        return E_KEY_TOO_LONG;
    rc = key.n ? objkey_get(t, row.id, key, &rec) : E_NOT_FOUND;
    if (rc)
        return rc == E_NOT_FOUND ? E_NO_KEY : rc;
    if (!object_decode(rec, out))
        return E_INTERNAL;
    out->key = key;
    return 0;
}

/* --- delete -------------------------------------------------------------------------------------
 */

enum { DELETE_ARENA_MAX = 16 * 1024 };

struct object_delete {
    struct job job;
    struct objects *o;
    struct arena *arena;
    struct bucket_event event;
    struct str if_match;
    int64_t modified_ms;
    bool existed;
    uint64_t kicks[TRIGGERS_MAX];
    size_t kick_count;
    void (*done)(void *ctx, int rc, bool existed, const struct err *err);
    void *ctx;
};

static int delete_apply(struct job *job, struct store_txn *t)
{
    struct object_delete *d = (struct object_delete *)job;
    struct bucket_row row;
    struct object_meta old;
    d->existed = false;
    d->kick_count = 0;
    int rc = object_get(t, d->event.bucket, d->event.key, &old);
    if (rc)
        return rc == E_NO_KEY ? 0 : rc;
    if ((d->if_match.n && !str_is(d->if_match, old.etag)) ||
        (d->modified_ms && d->modified_ms != old.modified_ms))
        return E_PRECONDITION;
    rc = bucket_row_get(t, d->event.bucket, &row);
    if (rc)
        return rc;
    d->event.sequencer = object_sequencer(d->o);
    rc = bucket_notify(t, d->o->queue, d->o->region, &d->event, d->kicks, TRIGGERS_MAX,
                       &d->kick_count);
    if (rc)
        return rc;
    rc = objkey_del(t, row.id, d->event.key);
    if (rc == 0)
        rc = object_body_drop(d->o, t, &old);
    d->existed = true;
    return rc ? E_INTERNAL : 0;
}

static void delete_done(struct job *job, int rc)
{
    struct object_delete *d = (struct object_delete *)job;
    objects_committed(d->o, rc, d->kicks, d->kick_count);
    d->done(d->ctx, rc, d->existed, NULL);
    arena_free(d->arena);
    free(d);
}

void object_delete(struct objects *o, struct str bucket, struct str key, const char *request_id,
                   const char *peer, const char *principal,
                   void (*done)(void *ctx, int rc, bool existed, const struct err *err), void *ctx)
{
    struct object_delete_req r = {.bucket = bucket,
                                  .key = key,
                                  .event = "ObjectRemoved:Delete",
                                  .request_id = request_id,
                                  .peer = peer,
                                  .principal = principal};
    object_delete_if(o, &r, done, ctx);
}

/* At most max bytes and one: what is longer than any is then refused as such. */
static struct str keep(struct arena *a, struct str s, size_t max)
{
    return arena_dup(a, str_of(s.p, s.n <= max ? s.n : max + 1));
}

void object_delete_if(struct objects *o, const struct object_delete_req *r,
                      void (*done)(void *ctx, int rc, bool existed, const struct err *err),
                      void *ctx)
{
    struct object_delete *d = calloc(1, sizeof *d);
    if (!d)
        fatal("out of memory");
    d->arena = arena_new(DELETE_ARENA_MAX);
    d->o = o;
    d->done = done;
    d->ctx = ctx;
    d->if_match = keep(d->arena, r->if_match, sizeof((struct object_meta *)0)->etag);
    d->modified_ms = r->modified_ms;
    d->event = (struct bucket_event){
        .name = r->event,
        .cause = lineage_dup(d->arena, &r->cause),
        .bucket = keep(d->arena, r->bucket, 63),
        .key = keep(d->arena, r->key, OBJKEY_MAX),
        .time_ms = clock_wall_ms(),
        .request_id = arena_dup(d->arena, str_c(r->request_id)).p,
        .peer = arena_dup(d->arena, str_c(r->peer)).p,
        .principal = arena_dup(d->arena, str_c(r->principal)).p,
    };
    d->job = (struct job){.apply = delete_apply, .done = delete_done, .frees_space = true};
    store_submit(o->store, &d->job);
}
