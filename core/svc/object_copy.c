/* object_copy: one job: read the source's record, write it under the target's key, count one owner
 * more of the bytes and one fewer of those that were overwritten.
 *
 * The source is read inside the job, so what is copied is one state of it; who has judged a state
 * before (its conditions, its checksum) says which, and is told when it is no longer that. The
 * target's record is encoded before anything is written, because what is read in a job is borrowed
 * only until its first write. */
#include "svc/object_copy.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "svc/bucket_rows.h"
#include "svc/object_rows.h"

enum { ARENA_MAX = 64 * 1024 };

struct copy {
    struct job job;
    struct objects *o;
    struct arena *arena;
    struct object_copy_req req; /* strings in the arena */
    struct object_meta meta;    /* of the target; only its fixed fields outlive the job */
    char checksum_alg[16], checksum[64];
    uint64_t kicks[TRIGGERS_MAX];
    size_t kick_count;
    void (*done)(void *ctx, int rc, const struct object_meta *m, const struct err *err);
    void *ctx;
};

/* --- the job ------------------------------------------------------------------------------------
 */

static int check_target(const struct object_copy_req *r, int found, const struct object_meta *old)
{
    if (found && found != E_NO_KEY)
        return found;
    if (r->if_none_match && found == 0)
        return E_PRECONDITION;
    if (r->if_match.n == 0)
        return 0;
    return found ? found : str_is(r->if_match, old->etag) ? 0 : E_PRECONDITION;
}

static int read_source(struct copy *p, struct store_txn *t, struct object_meta *m)
{
    const struct object_copy_req *r = &p->req;
    int rc = object_get(t, r->from_bucket, r->from_key, m);
    if (rc)
        return rc;
    if (r->expect_etag.n &&
        (!str_is(r->expect_etag, m->etag) || r->expect_modified_ms != m->modified_ms))
        return E_CONFLICT;
    return 0;
}

/* A copy has the class that was asked for, whatever the source's is. */
static void change_class(const struct object_copy_req *r, struct str headers, struct buf *out)
{
    struct str name, value;
    while (object_pair_next(&headers, &name, &value))
        if (!str_is(name, OBJECT_CLASS))
            object_pair_put(out, name, value);
    if (r->storage_class.n && !str_is(r->storage_class, "STANDARD"))
        object_pair_put(out, STR(OBJECT_CLASS), r->storage_class);
}

/* The target's record, from the source's. */
static int make_record(struct copy *p, struct object_meta *m, struct buf *rec)
{
    struct buf headers = BUF_INIT;
    const struct object_copy_req *r = &p->req;
    m->modified_ms = clock_wall_ms();
    if (r->replace_meta) {
        m->content_type = r->content_type;
        m->headers = r->headers;
        m->user_meta = r->user_meta;
    } else {
        change_class(r, m->headers, &headers);
        m->headers = buf_str(&headers);
    }
    if (r->replace_tags)
        m->tags = r->tags;
    if (r->checksum_alg.n) {
        m->checksum_alg = r->checksum_alg;
        m->checksum = r->checksum;
        m->composite = false;
    }
    object_encode(rec, m);
    snprintf(p->checksum_alg, sizeof p->checksum_alg, "%.*s", STR_FMT(m->checksum_alg));
    snprintf(p->checksum, sizeof p->checksum, "%.*s", STR_FMT(m->checksum));
    p->meta = (struct object_meta){
        .size = m->size, .modified_ms = m->modified_ms, .composite = m->composite};
    memcpy(p->meta.etag, m->etag, sizeof m->etag);
    int rc = rec->rc || headers.rc ? E_INTERNAL : 0;
    buf_deinit(&headers);
    return rc;
}

static int notify(struct copy *p, struct store_txn *t)
{
    const struct object_copy_req *r = &p->req;
    struct bucket_event e = {
        .name = "ObjectCreated:Copy",
        .bucket = r->bucket,
        .key = r->key,
        .etag = str_c(p->meta.etag),
        .size = p->meta.size,
        .sequencer = object_sequencer(p->o),
        .time_ms = p->meta.modified_ms,
        .cause = r->cause,
        .request_id = r->request_id,
        .peer = r->peer,
        .principal = r->principal,
    };
    return bucket_notify(t, p->o->queue, p->o->region, &e, p->kicks, TRIGGERS_MAX, &p->kick_count);
}

static int copy_apply(struct job *job, struct store_txn *t)
{
    struct copy *p = (struct copy *)job;
    struct object_meta source, old = {0};
    struct bucket_row row;
    struct buf rec = BUF_INIT;
    p->kick_count = 0;
    int rc = read_source(p, t, &source);
    if (rc == 0)
        rc = check_target(&p->req, object_get(t, p->req.bucket, p->req.key, &old), &old);
    if (rc == 0)
        rc = bucket_row_get(t, p->req.bucket, &row);
    if (rc == 0)
        rc = make_record(p, &source, &rec);
    if (rc == 0)
        rc = notify(p, t);
    if (rc == 0) { /* from here on a refusal has written something */
        rc = object_body_ref(t, &source);
        if (rc == 0)
            rc = objkey_put(t, row.id, p->req.key, buf_str(&rec));
        if (rc == 0)
            rc = object_body_drop(p->o, t, &old);
        rc = rc == E_NO_SPACE || rc == E_IO || rc == 0 ? rc : E_INTERNAL;
    }
    buf_deinit(&rec);
    return rc;
}

static void copy_end(struct copy *p, int rc)
{
    p->done(p->ctx, rc, rc ? NULL : &p->meta, NULL);
    arena_free(p->arena);
    free(p);
}

static void copy_done(struct job *job, int rc)
{
    struct copy *p = (struct copy *)job;
    p->meta.key = p->req.key;
    p->meta.checksum_alg = str_c(p->checksum_alg);
    p->meta.checksum = str_c(p->checksum);
    objects_committed(p->o, rc, p->kicks, p->kick_count);
    copy_end(p, rc);
}

/* --- the request --------------------------------------------------------------------------------
 */

static struct str keep(struct copy *p, struct str s, size_t max)
{
    return s.p ? arena_dup(p->arena, str_of(s.p, s.n < max ? s.n : max)) : s;
}

static int keep_request(struct copy *p, const struct object_copy_req *r)
{
    struct object_put_req judged = {
        .content_type = r->content_type, .headers = r->headers, .user_meta = r->user_meta};
    int rc = r->replace_meta ? object_meta_check(&judged) : 0;
    size_t key_max = OBJKEY_MAX + 1; /* one byte too many is kept: it is then refused */
    p->req = *r;
    p->req.from_bucket = keep(p, r->from_bucket, 64);
    p->req.from_key = keep(p, r->from_key, key_max);
    p->req.bucket = keep(p, r->bucket, 64);
    p->req.key = keep(p, r->key, key_max);
    p->req.expect_etag = keep(p, r->expect_etag, 64);
    p->req.if_match = keep(p, r->if_match, 64);
    p->req.cause = lineage_dup(p->arena, &r->cause);
    p->req.content_type = rc ? STR("") : keep(p, r->content_type, SIZE_MAX);
    p->req.headers = rc ? STR("") : keep(p, r->headers, SIZE_MAX);
    p->req.user_meta = rc ? STR("") : keep(p, r->user_meta, SIZE_MAX);
    p->req.storage_class = keep(p, r->storage_class, 31);
    p->req.tags = keep(p, r->tags, SIZE_MAX);
    p->req.checksum_alg = keep(p, r->checksum_alg, 15);
    p->req.checksum = keep(p, r->checksum, 63);
    p->req.request_id = arena_dup(p->arena, str_c(r->request_id)).p;
    p->req.peer = arena_dup(p->arena, str_c(r->peer)).p;
    p->req.principal = arena_dup(p->arena, str_c(r->principal)).p;
    if (rc == 0 && (p->req.key.n == 0 || (r->tags.n && !p->req.tags.p)))
        rc = E_INVALID;
    return rc ? rc : p->req.key.n > OBJKEY_MAX ? E_KEY_TOO_LONG : 0;
}

void object_copy(struct objects *o, const struct object_copy_req *r,
                 void (*done)(void *ctx, int rc, const struct object_meta *m,
                              const struct err *err),
                 void *ctx)
{
    struct copy *p = calloc(1, sizeof *p);
    if (!p)
        fatal("out of memory");
    p->o = o;
    p->arena = arena_new(ARENA_MAX);
    p->done = done;
    p->ctx = ctx;
    int rc = keep_request(p, r);
    if (rc) {
        copy_end(p, rc);
        return;
    }
    p->job = (struct job){.apply = copy_apply, .done = copy_done};
    store_submit(o->store, &p->job);
}
