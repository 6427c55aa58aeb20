/* chunk_chain: two runs, one that gathers and one that the pool works on.
 *
 * A run goes to the pool when it is full, of bytes or of marks (a body may come in chunks of a
 * byte); what little is left at the end is checked in place. */
#include "api/chunk_chain.h"

#include "base/err.h"
#include "base/hash.h"

enum {
    RUN_BYTES = 64 * 1024, /* what goes to the pool together: bytes, */
    RUN_MARKS = 512,       /* or ends of chunks */
    LOOP_MARKS = 64,       /* as many signatures are checked in place */
};

struct mark {
    size_t at; /* in the run */
    char signature[64];
};

static size_t mark_count(const struct chunk_run *r)
{
    return r->marks.n / sizeof(struct mark);
}

static bool is_full(const struct chunk_run *r)
{
    return r->bytes.n >= RUN_BYTES || mark_count(r) >= RUN_MARKS;
}

void chunk_chain_init(struct chunk_chain *k, uv_loop_t *loop, const struct sigv4_claim *claim,
                      struct str secret, void (*moved)(void *ctx), void *ctx)
{
    *k = (struct chunk_chain){.loop = loop, .moved = moved, .ctx = ctx};
    k->work.data = k;
    sigv4_chain_init(&k->links, claim, secret);
}

/* On the pool, or in place when it is little. */
static void check(struct chunk_chain *k, const struct chunk_run *r)
{
    size_t at = 0, count = mark_count(r);
    unsigned char sha256[32];
    for (size_t i = 0; i <= count && !k->broken; i++) {
        struct mark m = {.at = r->bytes.n};
        if (i < count)
            memcpy(&m, r->marks.p + i * sizeof m, sizeof m);
        if (!k->chunk)
            k->chunk = hash_new(HASH_SHA256);
        hash_update(k->chunk, r->bytes.p + at, m.at - at);
        at = m.at;
        if (i == count)
            break;
        hash_final(k->chunk, sha256);
        k->chunk = NULL;
        k->broken = !sigv4_chain_chunk(&k->links, sha256, str_of(m.signature, sizeof m.signature));
    }
}

static void step(struct chunk_chain *k);

static void run_check(struct work *w)
{
    struct chunk_chain *k = w->data;
    check(k, &k->checking);
}

static void run_checked(struct work *w)
{
    struct chunk_chain *k = w->data;
    k->busy = false;
    buf_clear(&k->checking.bytes);
    buf_clear(&k->checking.marks);
    step(k);
    k->moved(k->ctx);
}

static void step(struct chunk_chain *k)
{
    bool rest = k->ended && k->gathered.marks.n;
    if (k->busy || k->broken || !(rest || is_full(&k->gathered)))
        return;
    if (rest && k->gathered.bytes.n <= RUN_BYTES && mark_count(&k->gathered) <= LOOP_MARKS) {
        check(k, &k->gathered);
        buf_clear(&k->gathered.marks);
        return;
    }
    struct chunk_run run = k->gathered;
    k->gathered = k->checking;
    k->checking = run;
    k->busy = true;
    work_start(k->loop, &k->work, run_check, run_checked);
}

void chunk_chain_add(struct chunk_chain *k, struct str bytes)
{
    buf_add(&k->gathered.bytes, bytes);
    k->no_memory |= k->gathered.bytes.rc != 0;
    step(k);
}

void chunk_chain_mark(struct chunk_chain *k, struct str signature)
{
    struct mark m = {.at = k->gathered.bytes.n};
    memcpy(m.signature, signature.p, sizeof m.signature);
    buf_add(&k->gathered.marks, str_of((char *)&m, sizeof m));
    k->no_memory |= k->gathered.marks.rc != 0;
    step(k);
}

void chunk_chain_end(struct chunk_chain *k)
{
    k->ended = true;
    step(k);
}

bool chunk_chain_behind(const struct chunk_chain *k)
{
    return k->busy && is_full(&k->gathered);
}

int chunk_chain_rc(const struct chunk_chain *k)
{
    return k->no_memory ? E_INTERNAL : !k->busy && k->broken ? E_BAD_SIGNATURE : 0;
}

bool chunk_chain_trailer(struct chunk_chain *k, struct str lines, struct str signature)
{
    unsigned char sha256[32];
    hash_once(HASH_SHA256, lines, sha256);
    return sigv4_chain_trailer(&k->links, sha256, signature);
}

void chunk_chain_deinit(struct chunk_chain *k)
{
    buf_deinit(&k->gathered.bytes);
    buf_deinit(&k->gathered.marks);
    buf_deinit(&k->checking.bytes);
    buf_deinit(&k->checking.marks);
    hash_free(k->chunk);
    sigv4_chain_wipe(&k->links);
}
