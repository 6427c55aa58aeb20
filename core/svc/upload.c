/* upload: beginning and ending an upload, and its rows.
 *
 * Nothing here touches bytes. Beginning writes two rows: the upload under its id, and the id in the
 * bucket's order of keys, so that a listing finds it. Aborting takes both away and marks the parts
 * as nobody's (object_body.c removes them). A part that is under way meanwhile finds no upload when
 * it wants to commit, and leaves nothing. */
#include "svc/upload.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/rec.h"
#include "store/key.h"
#include "svc/bucket_rows.h"
#include "svc/object_rows.h"
#include "svc/upload_rows.h"

enum upload_tag {
    UPLOAD_BUCKET = 1,
    UPLOAD_OF_KEY,
    UPLOAD_INITIATED_MS,
    UPLOAD_CONTENT_TYPE,
    UPLOAD_HEADERS,
    UPLOAD_USER_META,
    UPLOAD_TAGS,
    UPLOAD_CHECKSUM, /* name of the algorithm */
    UPLOAD_COMPOSITE,
    UPLOAD_ETAG,
    UPLOAD_CHECKSUM_TEXT,
    UPLOAD_SIZE,
};

enum { ARENA_MAX = 64 * 1024 };

/* --- rows -------------------------------------------------------------------------------------- */

/* A letter comes first: there are clients (MinIO's for JavaScript) whose XML reader takes what looks
 * like a number for one, and "0000010000000007" comes back without its zeros. */
void upload_id_text(uint64_t id, char out[static UPLOAD_ID_MAX])
{
    snprintf(out, UPLOAD_ID_MAX, "u%016llx", (unsigned long long)id);
}

uint64_t upload_id_read(struct str text)
{
    unsigned char be[8];
    uint64_t id = 0;
    struct str raw = str_of((const char *)be, sizeof be);
    if (text.n == UPLOAD_ID_MAX - 1 && text.p[0] == 'u' && hex_decode(str_from(text, 1), be))
        key_take_u64(&raw, &id);
    return id;
}

static void put_some(struct buf *rec, enum upload_tag tag, struct str s)
{
    if (s.n)
        rec_put_str(rec, (uint16_t)tag, s);
}

void upload_encode(struct buf *rec, const struct upload *u)
{
    rec_put_u64(rec, UPLOAD_BUCKET, u->bucket);
    rec_put_str(rec, UPLOAD_OF_KEY, u->key);
    rec_put_u64(rec, UPLOAD_INITIATED_MS, (uint64_t)u->initiated_ms);
    put_some(rec, UPLOAD_CONTENT_TYPE, u->content_type);
    put_some(rec, UPLOAD_HEADERS, u->headers);
    put_some(rec, UPLOAD_USER_META, u->user_meta);
    put_some(rec, UPLOAD_TAGS, u->tags);
    put_some(rec, UPLOAD_CHECKSUM, str_c(checksum_name(u->checksum)));
    if (u->composite)
        rec_put_u64(rec, UPLOAD_COMPOSITE, 1);
    if (u->etag.n) {
        rec_put_str(rec, UPLOAD_ETAG, u->etag);
        put_some(rec, UPLOAD_CHECKSUM_TEXT, u->checksum_text);
        rec_put_u64(rec, UPLOAD_SIZE, u->size);
    }
}

bool upload_decode(struct str rec, struct upload *out)
{
    *out = (struct upload){
        .bucket = rec_u64(rec, UPLOAD_BUCKET, 0),
        .key = rec_str(rec, UPLOAD_OF_KEY),
        .initiated_ms = (int64_t)rec_u64(rec, UPLOAD_INITIATED_MS, 0),
        .content_type = rec_str(rec, UPLOAD_CONTENT_TYPE),
        .headers = rec_str(rec, UPLOAD_HEADERS),
        .user_meta = rec_str(rec, UPLOAD_USER_META),
        .tags = rec_str(rec, UPLOAD_TAGS),
        .checksum = checksum_of_name(rec_str(rec, UPLOAD_CHECKSUM)),
        .composite = rec_u64(rec, UPLOAD_COMPOSITE, 0) == 1,
        .etag = rec_str(rec, UPLOAD_ETAG),
        .checksum_text = rec_str(rec, UPLOAD_CHECKSUM_TEXT),
        .size = rec_u64(rec, UPLOAD_SIZE, 0),
    };
    return out->bucket && out->key.n && rec_valid(rec);
}

int upload_row_get(struct store_txn *t, uint64_t id, struct upload *out)
{
    char space[UPLOAD_KEY];
    struct str rec;
    int rc = store_get(t, T_UPLOADS, upload_key('U', id, space), &rec);
    if (rc)
        return rc == E_NOT_FOUND ? E_NO_UPLOAD : rc;
    if (!upload_decode(rec, out))
        return E_INTERNAL;
    out->id = id;
    return 0;
}

int upload_row_put(struct store_txn *t, const struct upload *u)
{
    char space[UPLOAD_KEY];
    struct buf rec = BUF_INIT;
    upload_encode(&rec, u);
    int rc =
        rec.rc ? E_INTERNAL : store_put(t, T_UPLOADS, upload_key('U', u->id, space), buf_str(&rec));
    buf_deinit(&rec);
    return rc;
}

int upload_get(struct store_txn *t, struct str bucket, struct str key, struct str id,
               struct upload *out)
{
    struct bucket_row row;
    int rc = bucket_row_get(t, bucket, &row);
    if (rc == 0)
        rc = upload_row_get(t, upload_id_read(id), out);
    if (rc)
        return rc;
    return out->bucket == row.id && str_eq(out->key, key) ? 0 : E_NO_UPLOAD;
}

int upload_get_open(struct store_txn *t, struct str bucket, struct str key, struct str id,
                    struct upload *out)
{
    int rc = upload_get(t, bucket, key, id, out);
    return rc == 0 && out->etag.n ? E_NO_UPLOAD : rc;
}

/* --- the bucket's order of keys ---------------------------------------------------------------- */

enum { LISTED = sizeof(uint64_t) };

uint64_t upload_listed(struct str rec, size_t i)
{
    uint64_t id = 0;
    if (rec.n / LISTED > i)
        memcpy(&id, rec.p + i * LISTED, LISTED);
    return id;
}

static int remember(struct store_txn *t, uint64_t node, struct str key, uint64_t id)
{
    struct str rec = {0};
    struct buf ids = BUF_INIT;
    int rc = objkey_get(t, node, key, &rec);
    if (rc && rc != E_NOT_FOUND)
        return rc;
    if (rec.n / LISTED >= UPLOADS_PER_KEY)
        return E_QUOTA;
    buf_add(&ids, rec);
    buf_add(&ids, str_of((const char *)&id, LISTED));
    rc = ids.rc ? E_INTERNAL : objkey_put(t, node, key, buf_str(&ids));
    buf_deinit(&ids);
    return rc;
}

int upload_forget(struct store_txn *t, uint64_t node, struct str key, uint64_t id)
{
    struct str rec;
    struct buf ids = BUF_INIT;
    uint64_t one;
    int rc = objkey_get(t, node, key, &rec);
    if (rc)
        return rc == E_NOT_FOUND ? 0 : rc;
    for (size_t i = 0; (one = upload_listed(rec, i)); i++)
        if (one != id)
            buf_add(&ids, str_of((const char *)&one, LISTED));
    if (ids.rc)
        rc = E_INTERNAL;
    else
        rc = ids.n ? objkey_put(t, node, key, buf_str(&ids)) : objkey_del(t, node, key);
    buf_deinit(&ids);
    return rc;
}

/* The bucket's node, made when there is none. */
static int node_of(struct store_txn *t, struct str bucket, struct bucket_row *row)
{
    if (row->uploads)
        return 0;
    int rc = store_counter(t, OBJKEY_NODE_COUNTER, &row->uploads);
    return rc ? rc : bucket_row_put(t, bucket, row);
}

int uploads_clear(struct objects *o, struct store_txn *t, uint64_t node, size_t max, bool *finished)
{
    int rc = 0;
    *finished = false;
    for (size_t n = 0; n < max && rc == 0 && !*finished;) {
        struct objkey_iter it;
        struct str found, rec;
        char key[OBJKEY_MAX];
        uint64_t ids[64];
        size_t size = 0, count = 0;
        objkey_iter_init(&it, t, node);
        *finished = !objkey_seek(&it, STR(""), &found, &rec);
        if (!*finished) {
            size = found.n;
            memcpy(key, found.p, size);
            while (count < 64 && (ids[count] = upload_listed(rec, count)))
                count++;
        }
        objkey_iter_deinit(&it);
        for (size_t i = 0; i < count && rc == 0; i++, n++) {
            rc = upload_condemn(o, t, ids[i]);
            if (rc == 0)
                rc = upload_forget(t, node, str_of(key, size), ids[i]);
        }
    }
    return rc;
}

/* --- begin ------------------------------------------------------------------------------------- */

struct upload_create {
    struct job job;
    struct arena *arena;
    struct str bucket;
    struct upload u;
    int refused;
    void (*done)(void *ctx, int rc, uint64_t id);
    void *ctx;
};

static int create_apply(struct job *job, struct store_txn *t)
{
    struct upload_create *c = (struct upload_create *)job;
    struct bucket_row row;
    if (c->refused)
        return c->refused;
    int rc = bucket_row_get(t, c->bucket, &row);
    if (rc)
        return rc;
    c->u.bucket = row.id;
    rc = node_of(t, c->bucket, &row);
    if (rc == 0)
        rc = remember(t, row.uploads, c->u.key, c->u.id);
    if (rc == 0)
        rc = upload_row_put(t, &c->u);
    return rc;
}

static void create_done(struct job *job, int rc)
{
    struct upload_create *c = (struct upload_create *)job;
    c->done(c->ctx, rc, rc ? 0 : c->u.id);
    arena_free(c->arena);
    free(c);
}

void upload_create(struct objects *o, const struct object_put_req *r, enum checksum_alg checksum,
                   bool composite, void (*done)(void *ctx, int rc, uint64_t id), void *ctx)
{
    struct upload_create *c = calloc(1, sizeof *c);
    if (!c)
        fatal("out of memory");
    c->arena = arena_new(ARENA_MAX);
    c->done = done;
    c->ctx = ctx;
    c->refused = r->key.n == 0           ? E_INVALID
                 : r->key.n > OBJKEY_MAX ? E_KEY_TOO_LONG
                                         : object_meta_check(r);
    if (c->refused == 0) {
        c->bucket = arena_dup(c->arena, str_of(r->bucket.p, r->bucket.n < 64 ? r->bucket.n : 64));
        c->u = (struct upload){
            .id = store_new_id(o->store),
            .key = arena_dup(c->arena, r->key),
            .initiated_ms = clock_wall_ms(),
            .content_type = arena_dup(c->arena, r->content_type),
            .headers = arena_dup(c->arena, r->headers),
            .user_meta = arena_dup(c->arena, r->user_meta),
            .tags = arena_dup(c->arena, r->tags),
            .checksum = checksum,
            .composite = composite,
        };
    }
    /* A full list of a key's uploads is found after the bucket's node was made. */
    c->job = (struct job){.apply = create_apply, .done = create_done, .undo = true};
    store_submit(o->store, &c->job);
}

/* --- abort ------------------------------------------------------------------------------------- */

struct upload_abort {
    struct job job;
    struct objects *o;
    struct arena *arena;
    struct str bucket, key, id;
    void (*done)(void *ctx, int rc);
    void *ctx;
};

static int abort_apply(struct job *job, struct store_txn *t)
{
    struct upload_abort *a = (struct upload_abort *)job;
    struct bucket_row row;
    struct upload u;
    int rc = upload_get_open(t, a->bucket, a->key, a->id, &u);
    if (rc == 0)
        rc = bucket_row_get(t, a->bucket, &row);
    if (rc)
        return rc;
    rc = upload_forget(t, row.uploads, a->key, u.id);
    if (rc == 0)
        rc = upload_condemn(a->o, t, u.id);
    return rc == 0 || rc == E_NO_SPACE || rc == E_IO ? rc : E_INTERNAL;
}

static void abort_done(struct job *job, int rc)
{
    struct upload_abort *a = (struct upload_abort *)job;
    objects_committed(a->o, rc, NULL, 0);
    a->done(a->ctx, rc);
    arena_free(a->arena);
    free(a);
}

void upload_abort(struct objects *o, struct str bucket, struct str key, struct str id,
                  void (*done)(void *ctx, int rc), void *ctx)
{
    struct upload_abort *a = calloc(1, sizeof *a);
    if (!a)
        fatal("out of memory");
    a->arena = arena_new(ARENA_MAX);
    a->o = o;
    a->bucket = arena_dup(a->arena, str_of(bucket.p, bucket.n < 64 ? bucket.n : 64));
    a->key = arena_dup(a->arena, str_of(key.p, key.n <= OBJKEY_MAX ? key.n : OBJKEY_MAX + 1));
    a->id = arena_dup(a->arena, str_of(id.p, id.n < UPLOAD_ID_MAX ? id.n : UPLOAD_ID_MAX));
    a->done = done;
    a->ctx = ctx;
    a->job = (struct job){.apply = abort_apply, .done = abort_done, .frees_space = true};
    store_submit(o->store, &a->job);
}
