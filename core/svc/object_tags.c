/* object_tags: one job: the record with other tags, and the event.
 *
 * Nothing else of the object changes, its time of modification neither, as in S3. The record is
 * encoded anew before anything is written, because what is read in a job is borrowed only until its
 * first write. */
#include "svc/object_tags.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "svc/bucket_rows.h"
#include "svc/object_rows.h"

enum { ARENA_MAX = 32 * 1024 };

struct retag {
    struct job job;
    struct objects *o;
    struct arena *arena;
    struct bucket_event event;
    struct str tags;
    uint64_t kicks[TRIGGERS_MAX];
    size_t kick_count;
    void (*done)(void *ctx, int rc, const struct err *err);
    void *ctx;
};

static int retag_apply(struct job *job, struct store_txn *t)
{
    struct retag *r = (struct retag *)job;
    struct bucket_row row;
    struct object_meta m;
    struct buf rec = BUF_INIT;
    r->kick_count = 0;
    int rc = object_get(t, r->event.bucket, r->event.key, &m);
    if (rc == 0)
        rc = bucket_row_get(t, r->event.bucket, &row);
    if (rc)
        return rc;
    m.tags = r->tags;
    object_encode(&rec, &m);
    r->event.etag = str_c(m.etag);
    r->event.size = m.size;
    r->event.sequencer = object_sequencer(r->o);
    rc = rec.rc ? E_INTERNAL
                : bucket_notify(t, r->o->queue, r->o->region, &r->event, r->kicks, TRIGGERS_MAX,
                                &r->kick_count);
    if (rc == 0) {
        rc = objkey_put(t, row.id, r->event.key, buf_str(&rec));
        rc = rc == E_NO_SPACE || rc == E_IO || rc == 0 ? rc : E_INTERNAL;
    }
    buf_deinit(&rec);
    return rc;
}

static void retag_done(struct job *job, int rc)
{
    struct retag *r = (struct retag *)job;
    objects_committed(r->o, rc, r->kicks, r->kick_count);
    r->done(r->ctx, rc, NULL);
    arena_free(r->arena);
    free(r);
}

void object_set_tags(struct objects *o, struct str bucket, struct str key, bool put,
                     struct str tags, const char *request_id, const char *peer,
                     const char *principal, void (*done)(void *ctx, int rc, const struct err *err),
                     void *ctx)
{
    struct retag *r = calloc(1, sizeof *r);
    if (!r)
        fatal("out of memory");
    r->arena = arena_new(ARENA_MAX);
    r->o = o;
    r->done = done;
    r->ctx = ctx;
    r->tags = arena_dup(r->arena, tags);
    r->event = (struct bucket_event){
        .name = put ? "ObjectTagging:Put" : "ObjectTagging:Delete",
        .bucket = arena_dup(r->arena, str_of(bucket.p, bucket.n < 64 ? bucket.n : 64)),
        .key = arena_dup(r->arena, str_of(key.p, key.n <= OBJKEY_MAX ? key.n : OBJKEY_MAX + 1)),
        .time_ms = clock_wall_ms(),
        .request_id = arena_dup(r->arena, str_c(request_id)).p,
        .peer = arena_dup(r->arena, str_c(peer)).p,
        .principal = arena_dup(r->arena, str_c(principal)).p,
    };
    r->job = (struct job){.apply = retag_apply, .done = retag_done};
    store_submit(o->store, &r->job);
}
