/* ingest: from the first byte to digests that are right and a file that is safe.
 *
 *   write  -> small: kept in memory, hashed at the end
 *          -> large: into the blob writer's pieces, which are written and hashed at the same time
 *   finish -> hashes ready -> compared -> blob synced -> done
 *
 * A large body's MD5 runs beside its checksum and SHA-256 on two pool threads over the same run of
 * pieces, while the next run gathers and the blob writer writes. The source is told to pause when
 * any of them falls behind, so that a transfer of any size holds less than 1 MiB. The digests are
 * compared before anything can refer to the bytes: a body that is not what its sender said leaves
 * no file. */
#include "svc/ingest.h"

#include "base/codec.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/work.h"
#include "svc/object_rows.h"

enum {
    RUN_MAX = 4,             /* pieces that may gather while the pool works on a run */
    BLOB_PAUSE = 448 * 1024, /* bytes that may wait for the disk; pieces are shared */
    DIGESTS_FAST = 0,        /* works[]: MD5 */
    DIGESTS_OTHER = 1,       /* works[]: checksum and SHA-256 */
};

enum ingest_state {
    INGEST_OPEN,    /* taking bytes */
    INGEST_HASHING, /* finish was called, hashes are not ready */
    INGEST_SYNCING, /* blob_finish is under way */
    INGEST_DONE,    /* the caller has been told */
    INGEST_ABORTED, /* waits for the pool to let go of it */
};

struct ingest {
    struct objects *o;
    enum ingest_state state;
    size_t inline_max;

    /* the promise */
    bool md5_promised, sha256_promised, checksum_promised;
    unsigned char md5_want[16], sha256_want[32], checksum_want[CHECKSUM_MAX];

    bool lost;                /* memory ran out: the digests would be of something else */
    struct buf small;         /* the body so far, while it may stay in memory */
    struct blob_writer *blob; /* NULL while small */
    bool blob_behind;         /* its drained callback is due */

    struct hash *md5, *sha256;    /* of large bodies; sha256 NULL when not needed */
    struct checksum checksum;     /* of any but SHA-256, which sha256 serves */
    struct buf gathered, hashing; /* struct blob_piece *: for the pool; those it works on */
    struct work works[2];
    int working; /* of works[] */

    void (*drained)(void *ctx);
    void *drained_ctx;
    bool source_waits;

    struct ingest_facts facts;
    struct err err;
    void (*done)(void *ctx, int rc, const struct ingest_facts *facts, const struct err *err);
    void *ctx;
};

static void ingest_step(struct ingest *g);

static bool copy_promise(unsigned char *to, struct str raw, size_t size)
{
    if (!raw.p)
        return false;
    ASSERT(raw.n == size);
    memcpy(to, raw.p, size);
    return true;
}

struct ingest *ingest_open(struct objects *o, const struct body_promise *promise, size_t inline_max)
{
    struct ingest *g = calloc(1, sizeof *g);
    if (!g)
        fatal("out of memory");
    g->o = o;
    g->inline_max = inline_max;
    g->facts.checksum = promise->checksum;
    g->md5_promised = copy_promise(g->md5_want, promise->md5, sizeof g->md5_want);
    g->sha256_promised = copy_promise(g->sha256_want, promise->sha256, sizeof g->sha256_want);
    g->checksum_promised =
        copy_promise(g->checksum_want, promise->checksum_raw, checksum_size(promise->checksum));
    return g;
}

void ingest_promise_checksum(struct ingest *g, const unsigned char *raw)
{
    memcpy(g->checksum_want, raw, checksum_size(g->facts.checksum));
    g->checksum_promised = true;
}

uint64_t ingest_size(const struct ingest *g)
{
    return g->facts.size;
}

static size_t piece_count(const struct buf *pieces)
{
    return pieces->n / sizeof(struct blob_piece *);
}

static struct blob_piece *piece_at(const struct buf *pieces, size_t i)
{
    struct blob_piece *p;
    memcpy(&p, pieces->p + i * sizeof p, sizeof p);
    return p;
}

static void pieces_done(struct buf *pieces)
{
    for (size_t i = 0; i < piece_count(pieces); i++)
        blob_piece_done(piece_at(pieces, i));
    buf_clear(pieces);
}

static void ingest_free(struct ingest *g)
{
    hash_free(g->md5);
    hash_free(g->sha256);
    checksum_deinit(&g->checksum);
    buf_deinit(&g->small);
    pieces_done(&g->gathered);
    pieces_done(&g->hashing);
    buf_deinit(&g->gathered);
    buf_deinit(&g->hashing);
    free(g);
}

/* --- bytes --------------------------------------------------------------------------------------
 */

/* Should the source wait? */
static bool is_behind(const struct ingest *g)
{
    return g->blob_behind || (g->working && piece_count(&g->gathered) >= RUN_MAX);
}

static void hash_fast(struct work *w)
{
    struct ingest *g = w->data;
    for (size_t i = 0; i < piece_count(&g->hashing); i++) {
        const struct blob_piece *p = piece_at(&g->hashing, i);
        hash_update(g->md5, p->bytes, p->n);
    }
}

static void hash_other(struct work *w)
{
    struct ingest *g = w->data;
    for (size_t i = 0; i < piece_count(&g->hashing); i++) {
        const struct blob_piece *p = piece_at(&g->hashing, i);
        checksum_update(&g->checksum, str_of(p->bytes, p->n));
        if (g->sha256)
            hash_update(g->sha256, p->bytes, p->n);
    }
}

static void hashed(struct work *w)
{
    struct ingest *g = w->data;
    if (--g->working)
        return;
    pieces_done(&g->hashing);
    ingest_step(g);
}

/* Hands what has gathered to the pool when that is free. */
static void hash_next(struct ingest *g)
{
    if (g->working || g->gathered.n == 0)
        return;
    struct buf run = g->gathered;
    g->gathered = g->hashing;
    g->hashing = run;
    g->working = 1;
    work_start(g->o->loop, &g->works[DIGESTS_FAST], hash_fast, hashed);
    if (g->checksum.alg != CHECKSUM_NONE || g->sha256) {
        g->working = 2;
        work_start(g->o->loop, &g->works[DIGESTS_OTHER], hash_other, hashed);
    }
}

static void piece_full(void *ctx, struct blob_piece *p)
{
    struct ingest *g = ctx;
    buf_add(&g->gathered, str_of((const char *)&p, sizeof p));
    if (g->gathered.rc) {
        g->lost = true;
        blob_piece_done(p);
    }
    hash_next(g);
}

static void tell_drained(struct ingest *g)
{
    if (!g->source_waits || g->state != INGEST_OPEN || is_behind(g))
        return;
    g->source_waits = false;
    if (g->drained)
        g->drained(g->drained_ctx);
}

static void blob_drained(void *ctx)
{
    struct ingest *g = ctx;
    g->blob_behind = false;
    tell_drained(g);
}

static void add_large(struct ingest *g, struct str bytes)
{
    if (bytes.n == 0)
        return;
    g->blob_behind = blob_write(g->blob, bytes) > BLOB_PAUSE;
}

static void become_large(struct ingest *g)
{
    enum checksum_alg alg = g->facts.checksum;
    g->works[0].data = g->works[1].data = g;
    g->md5 = hash_new(HASH_MD5);
    if (g->sha256_promised || alg == CHECKSUM_SHA256)
        g->sha256 = hash_new(HASH_SHA256);
    if (alg != CHECKSUM_SHA256)
        checksum_init(&g->checksum, alg);
    g->blob = blob_create(g->o->store);
    blob_pause_above(g->blob, BLOB_PAUSE);
    blob_on_drained(g->blob, blob_drained, g);
    blob_on_piece(g->blob, piece_full, g);
    add_large(g, buf_str(&g->small));
    buf_deinit(&g->small);
}

bool ingest_write(struct ingest *g, struct str bytes)
{
    g->facts.size += bytes.n;
    if (!g->blob && g->facts.size <= g->inline_max) {
        buf_add(&g->small, bytes);
        if (g->small.rc)
            g->lost = true;
        return true;
    }
    if (bytes.n == 0)
        return true;
    if (!g->blob)
        become_large(g);
    add_large(g, bytes);
    g->source_waits = is_behind(g);
    return !g->source_waits;
}

void ingest_on_drained(struct ingest *g, void (*drained)(void *ctx), void *ctx)
{
    g->drained = drained;
    g->drained_ctx = ctx;
}

void ingest_abort(struct ingest *g)
{
    if (g->blob)
        blob_abort(g->blob);
    g->blob = NULL;
    g->state = INGEST_ABORTED;
    ingest_step(g);
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void small_digests(struct ingest *g, unsigned char sha256[32])
{
    struct ingest_facts *f = &g->facts;
    struct str bytes = buf_str(&g->small);
    hash_once(HASH_MD5, bytes, f->md5);
    if (g->sha256_promised || f->checksum == CHECKSUM_SHA256)
        hash_once(HASH_SHA256, bytes, sha256);
    if (f->checksum != CHECKSUM_SHA256)
        checksum_once(f->checksum, bytes, f->checksum_raw);
}

static void large_digests(struct ingest *g, unsigned char sha256[32])
{
    struct ingest_facts *f = &g->facts;
    hash_final(g->md5, f->md5);
    g->md5 = NULL;
    if (g->sha256)
        hash_final(g->sha256, sha256);
    g->sha256 = NULL;
    if (f->checksum != CHECKSUM_SHA256)
        checksum_final(&g->checksum, f->checksum_raw);
}

/* Finishes the digests and compares. */
static int check_digests(struct ingest *g)
{
    struct ingest_facts *f = &g->facts;
    unsigned char sha256[32];
    if (g->blob)
        large_digests(g, sha256);
    else
        small_digests(g, sha256);
    if (f->checksum == CHECKSUM_SHA256)
        memcpy(f->checksum_raw, sha256, sizeof sha256);
    if (g->sha256_promised && memcmp(g->sha256_want, sha256, sizeof sha256) != 0)
        return E_BAD_SHA256;
    if (g->md5_promised && memcmp(g->md5_want, f->md5, sizeof f->md5) != 0)
        return E_BAD_DIGEST;
    if (g->checksum_promised &&
        memcmp(g->checksum_want, f->checksum_raw, checksum_size(f->checksum)) != 0)
        return err_set(&g->err, E_BAD_DIGEST,
                       "The %s you specified did not match the calculated checksum.",
                       checksum_name(f->checksum));
    hex_encode(f->md5, sizeof f->md5, f->etag);
    checksum_encode(f->checksum, f->checksum_raw, f->checksum_text);
    return 0;
}

static void tell_done(struct ingest *g, int rc)
{
    g->state = INGEST_DONE;
    g->done(g->ctx, rc, &g->facts, g->err.code ? &g->err : NULL);
}

static void blob_finished(void *ctx, int rc, uint64_t id, uint64_t size)
{
    struct ingest *g = ctx;
    g->blob = NULL;
    if (rc == 0) {
        ASSERT(size == g->facts.size);
        g->facts.blob = id;
    }
    tell_done(g, rc);
}

static void check(struct ingest *g)
{
    int rc = g->lost ? E_INTERNAL : check_digests(g);
    if (rc == 0 && g->blob) {
        g->state = INGEST_SYNCING;
        blob_finish(g->blob, blob_finished, g);
        return;
    }
    if (g->blob)
        blob_abort(g->blob);
    else
        g->facts.bytes = g->small.p ? buf_str(&g->small) : STR("");
    g->blob = NULL;
    tell_done(g, rc);
}

/* The pool has let go of the bytes: what comes next. */
static void ingest_step(struct ingest *g)
{
    switch (g->state) {
    case INGEST_OPEN:
        hash_next(g);
        tell_drained(g);
        break;
    case INGEST_HASHING:
        hash_next(g);
        if (!g->working)
            check(g);
        break;
    case INGEST_ABORTED:
        if (!g->working)
            ingest_free(g);
        break;
    case INGEST_SYNCING:
    case INGEST_DONE:
        break;
    }
}

void ingest_finish(struct ingest *g,
                   void (*done)(void *ctx, int rc, const struct ingest_facts *facts,
                                const struct err *err),
                   void *ctx)
{
    g->done = done;
    g->ctx = ctx;
    g->state = INGEST_HASHING;
    if (g->blob)
        blob_end(g->blob);
    ingest_step(g);
}

void ingest_close(struct ingest *g, bool kept)
{
    ASSERT(g->state == INGEST_DONE);
    if (g->facts.blob && !kept)
        blob_discard(g->o->store, g->facts.blob);
    ingest_free(g);
}
