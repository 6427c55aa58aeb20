/* upload_complete: from parts to an object, without touching their bytes.
 *
 *   read a slice of rows -> fold it (pool) -> … -> all read: judge -> one small commit
 *
 * The rows are compared with what the client says of them, some hundreds in a turn of the loop, and
 * what they add to the object's checksum and offsets is worked out on the pool. Nothing is
 * written meanwhile. The commit then writes the record that names the rows, the events, and that
 * the upload is done: whoever looks sees all of that or nothing. Parts may still arrive while the
 * rows are read; a number that grows with each (upload_rows.h) tells the commit, and then it all
 * begins again.
 *
 * Parts that the client leaves out are nobody's from that commit on; object_body.c removes them.
 *
 * An upload that is done already answers as it did, when it is asked for the same parts: the client
 * whose answer was lost asks again. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/work.h"
#include "store/key.h"
#include "svc/bucket_rows.h"
#include "svc/object_rows.h"
#include "svc/upload_rows.h"

enum {
    ARENA_MAX = 64 * 1024,
    SLICE_PARTS = 512,  /* of the claims, in one turn */
    SLICE_LOOKS = 1000, /* rows */
    TRIES = 16,
};
#define OBJECT_SIZE_MAX (5ull << 40)

struct completing {
    struct job job;
    struct work work;
    struct objects *o;
    struct arena *arena;
    struct upload_complete_req req; /* strings in the arena */

    struct upload u; /* of the upload: id, checksum, composite; the rest is read in the commit */
    uint64_t changes;
    int tries;

    /* reading */
    size_t at;        /* claims that have been folded */
    size_t slice;     /* claims read after those */
    uint32_t row;     /* number above which rows are still to be looked at */
    bool leftovers;   /* there are rows that no claim names */
    bool tail_looked; /* rows above the last claim have been looked at */
    uint64_t sizes[SLICE_PARTS];
    unsigned char sums[SLICE_PARTS][CHECKSUM_MAX];

    /* folding */
    struct extents_maker maker;
    struct checksum of_sums; /* composite: of the parts' checksums */
    unsigned char sum[CHECKSUM_MAX];

    char checksum_text[CHECKSUM_TEXT_MAX + 8];
    struct object_meta meta;
    uint64_t kicks[TRIGGERS_MAX];
    size_t kick_count;
    bool changed; /* the commit found that the rows are not those that were read */
    struct err err;
    void (*done)(void *ctx, int rc, const struct object_meta *m, const struct err *err);
    void *ctx;
};

static void begin(struct completing *c);
static void read_slice(struct completing *c);

static void drop_folds(struct completing *c)
{
    checksum_deinit(&c->of_sums);
    buf_deinit(&c->maker.runs);
    buf_deinit(&c->maker.index);
    c->maker = (struct extents_maker){0};
}

static void complete_end(struct completing *c, int rc)
{
    c->done(c->ctx, rc, rc ? NULL : &c->meta, c->err.code ? &c->err : NULL);
    drop_folds(c);
    free(c->req.claims);
    arena_free(c->arena);
    free(c);
}

static struct str keep(struct completing *c, struct str s)
{
    return s.p ? arena_dup(c->arena, str_of(s.p, s.n <= OBJKEY_MAX ? s.n : OBJKEY_MAX + 1)) : s;
}

void upload_complete(struct objects *o, const struct upload_complete_req *r,
                     void (*done)(void *ctx, int rc, const struct object_meta *m,
                                  const struct err *err),
                     void *ctx)
{
    struct completing *c = calloc(1, sizeof *c);
    if (!c)
        fatal("out of memory");
    ASSERT(r->count && r->count <= EXTENTS_MAX);
    c->o = o;
    c->arena = arena_new(ARENA_MAX);
    c->req = *r;
    c->req.bucket = keep(c, r->bucket);
    c->req.key = keep(c, r->key);
    c->req.id = keep(c, r->id);
    c->req.if_match = keep(c, r->if_match);
    c->req.checksum = keep(c, r->checksum);
    c->req.checksum_type = keep(c, r->checksum_type);
    c->req.request_id = arena_dup(c->arena, str_c(r->request_id)).p;
    c->req.peer = arena_dup(c->arena, str_c(r->peer)).p;
    c->req.principal = arena_dup(c->arena, str_c(r->principal)).p;
    c->done = done;
    c->ctx = ctx;
    c->work.data = c;
    begin(c);
}

/* --- asked again ------------------------------------------------------------------------------- */

/* The ETag that these claims make. */
static void etag_of_claims(const struct completing *c, char etag[static 48])
{
    unsigned char md5[HASH_MAX];
    char hex[33];
    struct hash *h = hash_new(HASH_MD5);
    for (size_t i = 0; i < c->req.count; i++)
        hash_update(h, c->req.claims[i].md5, EXTENT_MD5);
    hash_final(h, md5);
    hex_encode(md5, EXTENT_MD5, hex);
    snprintf(etag, 48, "%s-%zu", hex, c->req.count);
}

/* The upload is done: with these parts? Then meta tells what came of it. */
static int same_again(struct completing *c, const struct upload *u)
{
    char etag[48];
    etag_of_claims(c, etag);
    if (!str_is(u->etag, etag))
        return E_NO_UPLOAD;
    c->meta = (struct object_meta){
        .key = c->req.key,
        .size = u->size,
        .checksum_alg = str_c(checksum_name(u->checksum)),
        .checksum = keep(c, u->checksum_text),
        .composite = u->composite,
    };
    memcpy(c->meta.etag, etag, sizeof etag);
    return 0;
}

/* --- reading ----------------------------------------------------------------------------------- */

static int check_type(struct completing *c)
{
    const char *type = c->u.composite ? "COMPOSITE" : "FULL_OBJECT";
    if (c->req.checksum_type.n && !str_is(c->req.checksum_type, type))
        return err_set(&c->err, E_BAD_REQUEST,
                       "The upload was created using the %s checksum mode. The complete request "
                       "must use the same checksum mode.",
                       type);
    if (!c->u.checksum)
        c->req.alg = CHECKSUM_NONE; /* what is told of one that nobody asked for is not looked at */
    if (c->req.alg && c->req.alg != c->u.checksum)
        return err_set(&c->err, E_BAD_REQUEST,
                       "Checksum Type mismatch occurred, expected checksum Type: %s, actual "
                       "checksum Type: %s",
                       checksum_word(c->u.checksum), checksum_word(c->req.alg));
    return 0;
}

/* The object's checksum is not what the request says. */
static int bad_digest(struct completing *c)
{
    return err_set(&c->err, E_BAD_DIGEST,
                   "The %s you specified did not match the calculated checksum.",
                   checksum_word(c->u.checksum));
}

static void begin(struct completing *c)
{
    struct upload u;
    struct store_txn *t = store_read(c->o->store);
    int rc = upload_get(t, c->req.bucket, c->req.key, c->req.id, &u);
    bool done = rc == 0 && u.etag.n;
    if (done)
        rc = same_again(c, &u);
    c->changes = rc == 0 ? upload_changes(t, u.id) : 0;
    store_read_end(t);
    if (rc || done) {
        complete_end(c, rc);
        return;
    }
    c->u = (struct upload){.id = u.id, .checksum = u.checksum, .composite = u.composite};
    rc = check_type(c);
    if (rc) {
        complete_end(c, rc);
        return;
    }
    drop_folds(c);
    c->at = c->slice = 0;
    c->row = 0;
    c->leftovers = c->tail_looked = c->changed = false;
    checksum_init(&c->of_sums, c->u.composite ? c->u.checksum : CHECKSUM_NONE);
    memset(c->sum, 0, sizeof c->sum);
    read_slice(c);
}

/* The answer names the part. */
static int bad_part(struct completing *c, const struct upload_claim *k)
{
    char id[UPLOAD_ID_MAX], etag[2 * EXTENT_MD5 + 1];
    upload_id_text(c->u.id, id);
    hex_encode(k->md5, EXTENT_MD5, etag);
    err_set(&c->err, E_NO_PART, "%s", err_row(E_NO_PART)->text);
    snprintf(c->err.detail, sizeof c->err.detail,
             "<UploadId>%s</UploadId><PartNumber>%u</PartNumber><ETag>%s</ETag>", id, k->number,
             etag);
    return E_NO_PART;
}

static int too_small(struct completing *c, const struct upload_claim *k, uint64_t size)
{
    char etag[2 * EXTENT_MD5 + 1];
    hex_encode(k->md5, EXTENT_MD5, etag);
    err_set(&c->err, E_PART_SIZE, "%s", err_row(E_PART_SIZE)->text);
    snprintf(c->err.detail, sizeof c->err.detail,
             "<ProposedSize>%llu</ProposedSize><MinSizeAllowed>%d</MinSizeAllowed>"
             "<PartNumber>%u</PartNumber><ETag>%s</ETag>",
             (unsigned long long)size, UPLOAD_PART_MIN, k->number, etag);
    return E_PART_SIZE;
}

/* Does the claim say what the part's checksum is, as it must where the object's is made of them? */
static int check_sum(struct completing *c, const struct upload_claim *k, const struct extent *x)
{
    unsigned char raw[CHECKSUM_MAX];
    enum checksum_alg alg = checksum_of_name(x->checksum_alg);
    if (!k->alg && c->u.composite)
        return err_set(&c->err, E_BAD_REQUEST,
                       "The upload was created using a %s checksum. The complete request must "
                       "include the checksum for each part. It was missing for part %u in the "
                       "request.",
                       checksum_word(c->u.checksum), k->number);
    if (k->alg && c->u.checksum && k->alg != c->u.checksum)
        return err_set(&c->err, E_BAD_DIGEST,
                       "The %s you specified for part %u did not match what we received.",
                       checksum_word(k->alg), k->number);
    if (!k->alg || (k->alg == alg && checksum_decode(alg, x->checksum, raw) &&
                    memcmp(raw, k->checksum, checksum_size(alg)) == 0))
        return 0;
    return c->req.alg ? bad_digest(c) : bad_part(c, k);
}

/* The row of the next claim: is it what the claim says? */
static int check_row(struct completing *c, const struct upload_claim *k, const struct extent *x)
{
    size_t n = checksum_size(c->u.checksum), i = c->slice;
    bool last = c->at + i + 1 == c->req.count;
    int rc = 0;
    if (memcmp(x->md5.p, k->md5, EXTENT_MD5) != 0)
        rc = bad_part(c, k);
    else if (x->size < UPLOAD_PART_MIN && !last)
        rc = too_small(c, k, x->size);
    if (rc == 0)
        rc = check_sum(c, k, x);
    if (rc)
        return rc;
    enum checksum_alg alg = checksum_of_name(x->checksum_alg);
    if (n && (alg != c->u.checksum || !checksum_decode(alg, x->checksum, c->sums[i])))
        return E_INTERNAL; /* parts are taken with the upload's checksum only */
    c->sizes[i] = x->size;
    c->slice++;
    return 0;
}

/* Looks at one row. */
static int look(struct completing *c, uint32_t number, struct str rec)
{
    struct extent x;
    const struct upload_claim *k = &c->req.claims[c->at + c->slice];
    c->row = number;
    if (c->at + c->slice == c->req.count || number < k->number) {
        c->leftovers = true;
        return 0;
    }
    if (number > k->number)
        return bad_part(c, k);
    return extent_decode(rec, &x) ? check_row(c, k, &x) : E_INTERNAL;
}

static int read_rows(struct completing *c, struct store_txn *t)
{
    char space[EXTENT_KEY];
    struct str k, v;
    int rc = 0;
    size_t looks = 0;
    bool more = true;
    struct store_cursor *cursor = store_cursor(t, T_PARTS);
    for (more = store_seek(cursor, extent_key(c->u.id, c->row + 1, space), &k, &v);
         more && rc == 0 && c->slice < SLICE_PARTS && looks < SLICE_LOOKS && !c->tail_looked;
         more = store_next(cursor, &k, &v), looks++) {
        uint64_t list;
        uint32_t number;
        if (!key_take_u64(&k, &list) || list != c->u.id || !key_take_u32(&k, &number)) {
            more = false;
            break;
        }
        c->tail_looked = c->at + c->slice == c->req.count; /* one such row is enough to know */
        rc = look(c, number, v);
    }
    store_cursor_close(cursor);
    if (rc == 0 && !more && c->at + c->slice < c->req.count)
        rc = bad_part(c, &c->req.claims[c->at + c->slice]);
    c->tail_looked |= !more;
    return rc;
}

/* --- folding (pool) ---------------------------------------------------------------------------- */

static void fold(struct work *work)
{
    struct completing *c = work->data;
    size_t n = checksum_size(c->u.checksum);
    for (size_t i = 0; i < c->slice; i++) {
        const struct upload_claim *k = &c->req.claims[c->at + i];
        if (c->u.composite)
            checksum_update(&c->of_sums, str_of((const char *)c->sums[i], n));
        else if (n)
            checksum_combine(c->u.checksum, c->sum, c->sums[i], c->sizes[i]);
        extents_add(&c->maker, k->number, c->sizes[i]);
    }
}

static void judge(struct completing *c);

static void folded(struct work *work)
{
    struct completing *c = work->data;
    c->at += c->slice;
    c->slice = 0;
    if (c->at == c->req.count && c->tail_looked)
        judge(c);
    else
        read_slice(c);
}

static void read_slice(struct completing *c)
{
    struct store_txn *t = store_read(c->o->store);
    int rc = read_rows(c, t);
    store_read_end(t);
    if (rc)
        complete_end(c, rc);
    else
        work_start(c->o->loop, &c->work, fold, folded);
}

/* --- the commit -------------------------------------------------------------------------------- */

static int check_conditions(const struct completing *c, int found, const struct object_meta *old)
{
    if (found && found != E_NO_KEY)
        return found;
    if (c->req.if_none_match && found == 0)
        return E_PRECONDITION;
    if (c->req.if_match.n == 0)
        return 0;
    if (found)
        return found;
    return str_is(c->req.if_match, old->etag) ? 0 : E_PRECONDITION;
}

/* The object's record, with what the upload has kept for it since its beginning. */
static int write_record(struct completing *c, struct store_txn *t, uint64_t bucket,
                        const struct upload *u)
{
    struct buf rec = BUF_INIT;
    struct object_meta m = c->meta;
    m.content_type = u->content_type;
    m.headers = u->headers;
    m.user_meta = u->user_meta;
    m.tags = u->tags;
    object_encode(&rec, &m);
    int rc = rec.rc ? E_INTERNAL : objkey_put(t, bucket, c->req.key, buf_str(&rec));
    buf_deinit(&rec);
    return rc;
}

static int write_upload(struct completing *c, struct store_txn *t, uint64_t bucket, uint64_t node,
                        int64_t initiated_ms)
{
    char space[UPLOAD_KEY];
    const struct upload done = {
        .id = c->u.id,
        .bucket = bucket,
        .key = c->req.key,
        .initiated_ms = initiated_ms,
        .checksum = c->u.checksum,
        .composite = c->u.composite,
        .etag = str_c(c->meta.etag),
        .checksum_text = c->meta.checksum,
        .size = c->meta.size,
    };
    int rc = upload_row_put(t, &done);
    if (rc == 0)
        rc = upload_forget(t, node, c->req.key, c->u.id);
    if (rc == 0)
        rc = upload_owners_put(t, c->u.id, 1);
    if (rc == 0 && c->leftovers)
        rc = store_put(t, T_UPLOADS, upload_key('T', c->u.id, space), c->meta.extents.runs);
    return rc;
}

static int notify(struct completing *c, struct store_txn *t)
{
    const struct bucket_event e = {
        .name = "ObjectCreated:CompleteMultipartUpload",
        .bucket = c->req.bucket,
        .key = c->req.key,
        .etag = str_c(c->meta.etag),
        .size = c->meta.size,
        .sequencer = object_sequencer(c->o),
        .time_ms = c->meta.modified_ms,
        .cause = c->req.cause,
        .request_id = c->req.request_id,
        .peer = c->req.peer,
        .principal = c->req.principal,
    };
    return bucket_notify(t, c->o->queue, c->o->region, &e, c->kicks, TRIGGERS_MAX, &c->kick_count);
}

static int complete_apply(struct job *job, struct store_txn *t)
{
    struct completing *c = (struct completing *)job;
    struct object_meta old = {0};
    struct bucket_row row;
    struct upload u;
    c->kick_count = 0;
    int rc = upload_get(t, c->req.bucket, c->req.key, c->req.id, &u);
    c->changed = rc == 0 && (u.etag.n || upload_changes(t, c->u.id) != c->changes);
    if (rc || c->changed)
        return rc ? rc : E_CONFLICT;
    rc = check_conditions(c, object_get(t, c->req.bucket, c->req.key, &old), &old);
    if (rc == 0)
        rc = bucket_row_get(t, c->req.bucket, &row);
    if (rc == 0)
        rc = notify(c, t);
    if (rc)
        return rc;
    int64_t initiated_ms = u.initiated_ms;
    rc = upload_get(t, c->req.bucket, c->req.key, c->req.id, &u); /* what it lent is gone */
    if (rc == 0)
        rc = write_record(c, t, row.id, &u);
    if (rc == 0)
        rc = object_body_drop(c->o, t, &old);
    if (rc == 0)
        rc = write_upload(c, t, row.id, row.uploads, initiated_ms);
    return rc == 0 || rc == E_NO_SPACE || rc == E_IO ? rc : E_INTERNAL;
}

static void complete_done(struct job *job, int rc)
{
    struct completing *c = (struct completing *)job;
    if (rc == E_CONFLICT && c->changed && ++c->tries < TRIES) {
        begin(c);
        return;
    }
    objects_committed(c->o, rc, c->kicks, c->kick_count);
    if (rc == 0 && c->leftovers)
        objects_sweep(c->o);
    complete_end(c, rc);
}

/* --- judging ----------------------------------------------------------------------------------- */

static int finish_checksum(struct completing *c)
{
    int n;
    if (!c->u.checksum)
        return 0;
    if (c->u.composite)
        checksum_final(&c->of_sums, c->sum);
    checksum_encode(c->u.checksum, c->sum, c->checksum_text);
    struct str plain = str_c(c->checksum_text), count = c->req.checksum,
               said = str_cut(&count, '-');
    uint64_t parts = c->req.count;
    if (said.n &&
        (!str_eq(said, plain) || (count.p && (!str_u64(count, &parts) || parts != c->req.count))))
        return bad_digest(c);
    n = (int)plain.n;
    if (c->u.composite)
        snprintf(c->checksum_text + n, sizeof c->checksum_text - (size_t)n, "-%zu", c->req.count);
    c->meta.checksum_alg = str_c(checksum_name(c->u.checksum));
    c->meta.checksum = str_c(c->checksum_text);
    c->meta.composite = c->u.composite;
    return 0;
}

static int judge_size(struct completing *c)
{
    if (c->req.size != UINT64_MAX && c->req.size != c->maker.size)
        return err_set(&c->err, E_BAD_REQUEST,
                       "The provided 'x-amz-mp-object-size' header value %llu does not match what "
                       "was computed: %llu",
                       (unsigned long long)c->req.size, (unsigned long long)c->maker.size);
    if (c->maker.size > OBJECT_SIZE_MAX)
        return err_set(&c->err, E_LIMIT,
                       "Your proposed upload exceeds the maximum allowed object size");
    return c->maker.runs.rc || c->maker.index.rc ? E_INTERNAL : 0;
}

static void judge(struct completing *c)
{
    c->meta = (struct object_meta){
        .key = c->req.key,
        .size = c->maker.size,
        .modified_ms = clock_wall_ms(),
        .extents = {.list = c->u.id,
                    .count = c->maker.count,
                    .runs = buf_str(&c->maker.runs),
                    .index = buf_str(&c->maker.index)},
    };
    etag_of_claims(c, c->meta.etag);
    int rc = judge_size(c);
    if (rc == 0)
        rc = finish_checksum(c);
    if (rc) {
        complete_end(c, rc);
        return;
    }
    c->job = (struct job){.apply = complete_apply, .done = complete_done};
    store_submit(c->o->store, &c->job);
}
