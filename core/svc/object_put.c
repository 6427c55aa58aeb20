/* object_put: one upload, from its first byte to the commit.
 *
 *   write -> small: kept in memory, hashed at the end
 *         -> large: copied to a blob writer and, in runs of 64 KiB, hashed on the pool
 *   finish -> hashes ready -> checks -> blob synced -> one job: record, references, events -> done
 *
 * A large body's MD5 runs beside its CRC-32 and SHA-256 on two pool threads over the same run of
 * bytes, while the next run fills and the blob writer writes; the source is told to pause when
 * either falls behind, so that a transfer of any size holds less than 1 MiB. The digests are
 * compared before anything is committed: a body that is not what its sender said leaves no record,
 * no event and no file.
 *
 * The event is queued before the record is written: a full queue is then a clean refusal. */
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/crc.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rec.h"
#include "svc/bucket_rows.h"
#include "svc/object.h"
#include "svc/object_rows.h"

enum {
    HASH_RUN = 64 * 1024,      /* bytes that go to the pool together */
    BLOB_PAUSE = 448 * 1024,   /* the blob writer holds two of its pieces, not five */
    PUT_ARENA_MAX = 64 * 1024, /* copies of the request's strings */
    DIGESTS_FAST = 0,          /* works[]: MD5 */
    DIGESTS_OTHER = 1,         /* works[]: CRC-32 and SHA-256 */
};

enum put_state {
    PUT_OPEN,    /* taking bytes */
    PUT_HASHING, /* finish was called, hashes are not ready */
    PUT_SYNCING, /* blob_finish is under way */
    PUT_COMMIT,  /* the job is under way */
    PUT_ABORTED, /* waits for the pool to let go of it */
};

struct object_put {
    struct job job;
    struct objects *o;
    struct arena *arena;
    enum put_state state;
    struct object_put_req req; /* strings in the arena */

    int refused; /* what was found wrong before the end */
    uint64_t size;
    struct buf small;         /* the body so far, while it may stay inline */
    struct blob_writer *blob; /* NULL while small */
    bool blob_behind;         /* its drained callback is due */

    struct hash *md5, *sha256; /* sha256 NULL when not asked for */
    uint32_t crc;
    bool want_crc;
    struct buf filling, hashing; /* bytes for the pool; bytes it works on */
    uv_work_t works[2];
    int working; /* of works[] */

    void (*drained)(void *ctx);
    void *drained_ctx;
    bool source_waits;

    struct object_meta meta;
    char checksum[16]; /* base64 of a CRC-32 */
    struct buf rec;
    uint64_t kicks[TRIGGERS_MAX];
    size_t kick_count;
    struct err err;
    void (*done)(void *ctx, int rc, const struct object_meta *m, const struct err *err);
    void *ctx;
};

static void put_step(struct object_put *p);

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
    }
    p->req.if_match = keep(p, r->if_match);
    p->req.content_md5 = keep(p, r->content_md5);
    p->req.crc32 = keep(p, r->crc32);
    p->req.sha256 = keep(p, r->sha256);
    p->req.checksum_alg = keep(p, r->checksum_alg);
    p->req.request_id = arena_dup(p->arena, str_c(r->request_id)).p;
    p->req.peer = arena_dup(p->arena, str_c(r->peer)).p;
    p->req.principal = arena_dup(p->arena, str_c(r->principal)).p;
    p->want_crc = r->crc32.n || r->checksum_alg.n;
    p->md5 = hash_new(HASH_MD5);
    p->sha256 = r->sha256.n ? hash_new(HASH_SHA256) : NULL;
    return p;
}

static void put_free(struct object_put *p)
{
    hash_free(p->md5);
    hash_free(p->sha256);
    buf_deinit(&p->small);
    buf_deinit(&p->filling);
    buf_deinit(&p->hashing);
    buf_deinit(&p->rec);
    arena_free(p->arena);
    free(p);
}

/* --- bytes --------------------------------------------------------------------------------------
 */

/* Should the source wait? */
static bool is_behind(const struct object_put *p)
{
    return p->blob_behind || (p->working && p->filling.n >= HASH_RUN);
}

static void hash_fast(uv_work_t *w)
{
    struct object_put *p = w->data;
    hash_update(p->md5, p->hashing.p, p->hashing.n);
}

static void hash_other(uv_work_t *w)
{
    struct object_put *p = w->data;
    if (p->want_crc)
        p->crc = crc32_update(p->crc, p->hashing.p, p->hashing.n);
    if (p->sha256)
        hash_update(p->sha256, p->hashing.p, p->hashing.n);
}

static void hashed(uv_work_t *w, int status)
{
    struct object_put *p = w->data;
    (void)status; /* pool work is never cancelled */
    if (--p->working == 0)
        put_step(p);
}

/* Hands the filled run to the pool when it is free and the run is worth it. */
static void hash_next(struct object_put *p, size_t at_least)
{
    if (p->working || p->filling.n < at_least)
        return;
    struct buf run = p->filling;
    p->filling = p->hashing;
    buf_clear(&p->filling);
    p->hashing = run;
    p->working = 1;
    uv_queue_work(p->o->loop, &p->works[DIGESTS_FAST], hash_fast, hashed);
    if (p->want_crc || p->sha256) {
        p->working = 2;
        uv_queue_work(p->o->loop, &p->works[DIGESTS_OTHER], hash_other, hashed);
    }
}

static void tell_drained(struct object_put *p)
{
    if (!p->source_waits || p->state != PUT_OPEN || is_behind(p))
        return;
    p->source_waits = false;
    if (p->drained)
        p->drained(p->drained_ctx);
}

static void blob_drained(void *ctx)
{
    struct object_put *p = ctx;
    p->blob_behind = false;
    tell_drained(p);
}

static void add_large(struct object_put *p, struct str bytes)
{
    if (bytes.n == 0)
        return;
    p->blob_behind = blob_write(p->blob, bytes) > BLOB_PAUSE;
    buf_add(&p->filling, bytes);
    if (p->filling.rc) /* no memory: the digests would be of something else */
        p->refused = E_INTERNAL;
    hash_next(p, HASH_RUN);
}

static void become_large(struct object_put *p)
{
    p->works[0].data = p->works[1].data = p;
    p->blob = blob_create(p->o->store);
    blob_pause_above(p->blob, BLOB_PAUSE);
    blob_on_drained(p->blob, blob_drained, p);
    add_large(p, buf_str(&p->small));
    buf_deinit(&p->small);
}

bool object_put_write(struct object_put *p, struct str bytes)
{
    p->size += bytes.n;
    if (!p->blob && p->size <= OBJECT_INLINE_MAX) {
        buf_add(&p->small, bytes);
        if (p->small.rc)
            p->refused = E_INTERNAL;
        return true;
    }
    if (!p->blob)
        become_large(p);
    add_large(p, bytes);
    p->source_waits = is_behind(p);
    return !p->source_waits;
}

void object_put_on_drained(struct object_put *p, void (*drained)(void *ctx), void *ctx)
{
    p->drained = drained;
    p->drained_ctx = ctx;
}

void object_put_abort(struct object_put *p)
{
    if (p->blob)
        blob_abort(p->blob);
    p->blob = NULL;
    p->state = PUT_ABORTED;
    put_step(p);
}

/* --- checks -------------------------------------------------------------------------------------
 */

static void put_end(struct object_put *p, int rc)
{
    p->done(p->ctx, rc, rc ? NULL : &p->meta, p->err.code ? &p->err : NULL);
    put_free(p);
}

/* Finishes the digests and compares; sets meta's etag and checksum. */
static int check_digests(struct object_put *p)
{
    unsigned char md5[HASH_MAX], sha[HASH_MAX];
    unsigned char crc[4] = {(unsigned char)(p->crc >> 24), (unsigned char)(p->crc >> 16),
                            (unsigned char)(p->crc >> 8), (unsigned char)p->crc};
    hash_final(p->md5, md5);
    p->md5 = NULL;
    if (p->sha256) {
        hash_final(p->sha256, sha);
        p->sha256 = NULL;
        if (!str_eq(p->req.sha256, str_of((char *)sha, 32)))
            return E_BAD_SHA256;
    }
    if (p->req.content_md5.n && !str_eq(p->req.content_md5, str_of((char *)md5, 16)))
        return E_BAD_DIGEST;
    if (p->req.crc32.n && !str_eq(p->req.crc32, str_of((char *)crc, 4)))
        return err_set(&p->err, E_BAD_DIGEST,
                       "The CRC32 you specified did not match the calculated checksum.");
    hex_encode(md5, 16, p->meta.etag);
    if (p->req.checksum_alg.n) {
        struct buf b = BUF_INIT;
        base64_encode(&b, str_of((char *)crc, 4));
        memcpy(p->checksum, b.p, b.n);
        p->meta.checksum = str_of(p->checksum, b.n);
        p->meta.checksum_alg = STR("CRC32");
        buf_deinit(&b);
    }
    return 0;
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
        .name = "ObjectCreated:Put",
        .bucket = p->req.bucket,
        .key = p->req.key,
        .etag = str_c(p->meta.etag),
        .size = p->size,
        .sequencer = object_sequencer(p->o),
        .time_ms = p->meta.modified_ms,
        .hops = p->req.hops,
        .request_id = p->req.request_id,
        .peer = p->req.peer,
        .principal = p->req.principal,
    };
    rc = bucket_notify(t, p->o->queue, p->o->region, &e, p->kicks, TRIGGERS_MAX, &p->kick_count);
    if (rc)
        return rc;
    if (p->meta.blob)
        rc = blob_ref(t, p->meta.blob, p->size);
    if (rc == 0)
        rc = objkey_put(t, row.id, p->req.key, buf_str(&p->rec));
    if (rc == 0)
        rc = object_body_drop(p->o, t, &old);
    return rc == E_NO_SPACE || rc == E_IO || rc == 0 ? rc : E_INTERNAL;
}

static void put_done(struct job *job, int rc)
{
    struct object_put *p = (struct object_put *)job;
    if (rc && p->meta.blob)
        blob_discard(p->o->store, p->meta.blob);
    if (rc == 0)
        for (size_t i = 0; i < p->kick_count; i++)
            queue_kick(p->o->queue, p->kicks[i]);
    objects_dropped(p->o);
    put_end(p, rc);
}

static void put_commit(struct object_put *p)
{
    p->state = PUT_COMMIT;
    p->meta.key = p->req.key;
    p->meta.size = p->size;
    p->meta.modified_ms = clock_wall_ms();
    p->meta.content_type = p->req.content_type;
    p->meta.headers = p->req.headers;
    p->meta.user_meta = p->req.user_meta;
    p->meta.inline_body = p->meta.blob ? str_of(NULL, 0) : buf_str(&p->small);
    object_encode(&p->rec, &p->meta);
    p->job = (struct job){.apply = put_apply, .done = put_done};
    store_submit(p->o->store, &p->job);
}

static void blob_finished(void *ctx, int rc, uint64_t id, uint64_t size)
{
    struct object_put *p = ctx;
    p->blob = NULL;
    if (rc) {
        put_end(p, rc);
        return;
    }
    ASSERT(size == p->size);
    p->meta.blob = id;
    put_commit(p);
}

static void put_checked(struct object_put *p)
{
    int rc = p->refused ? p->refused : check_digests(p);
    if (rc) {
        if (p->blob)
            blob_abort(p->blob);
        put_end(p, rc);
        return;
    }
    if (!p->blob) {
        put_commit(p);
        return;
    }
    p->state = PUT_SYNCING;
    blob_finish(p->blob, blob_finished, p);
}

/* The pool has let go of the bytes: what comes next. */
static void put_step(struct object_put *p)
{
    switch (p->state) {
    case PUT_OPEN:
        hash_next(p, HASH_RUN);
        tell_drained(p);
        break;
    case PUT_HASHING:
        hash_next(p, 1);
        if (!p->working)
            put_checked(p);
        break;
    case PUT_ABORTED:
        if (!p->working)
            put_free(p);
        break;
    case PUT_SYNCING:
    case PUT_COMMIT:
        break;
    }
}

void object_put_finish(struct object_put *p,
                       void (*done)(void *ctx, int rc, const struct object_meta *m,
                                    const struct err *err),
                       void *ctx)
{
    p->done = done;
    p->ctx = ctx;
    p->state = PUT_HASHING;
    if (p->blob) {
        put_step(p);
        return;
    }
    hash_update(p->md5, p->small.p, p->small.n);
    if (p->sha256)
        hash_update(p->sha256, p->small.p, p->small.n);
    p->crc = crc32_update(0, p->small.p, p->small.n);
    put_checked(p);
}
