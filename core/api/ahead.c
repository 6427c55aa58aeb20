/* ahead: one job at a time, each over all that has come since the one before began. */
#include "api/ahead.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/jscan.h"
#include "base/work.h"

enum { WORTH = 512 * 1024, SLICE = 256 * 1024 };

struct ahead {
    struct call *c;
    struct work work;
    struct hash *hash; /* NULL: not asked for */
    struct jscan scan;
    bool json;
    struct str there; /* what has come */
    size_t taken;     /* bytes of it that are worked out, or being … */
    struct str slice; /* … by the job under way */
    bool busy;
    void (*then)(struct call *c);
};

struct ahead *ahead_begin(struct call *c, bool hash, bool json)
{
    struct ahead *a =
        c->req->content_length >= WORTH && (hash || json) ? calloc(1, sizeof *a) : NULL;
    if (!a)
        return NULL;
    a->c = c;
    a->work.data = a;
    a->hash = hash ? hash_new(HASH_SHA256) : NULL;
    a->json = json;
    jscan_init(&a->scan);
    return a;
}

static void take(struct ahead *a, struct str bytes)
{
    if (a->hash)
        hash_update(a->hash, bytes.p, bytes.n);
    if (a->json)
        jscan_feed(&a->scan, bytes.p, bytes.n);
}

static void slice_run(struct work *work)
{
    struct ahead *a = work->data;
    take(a, a->slice);
}

static void slice_done(struct work *work);

static void next_slice(struct ahead *a)
{
    a->slice = str_from(a->there, a->taken);
    a->taken = a->there.n;
    a->busy = true;
    work_start(a->c->svc->loop, &a->work, slice_run, slice_done);
}

static void slice_done(struct work *work)
{
    struct ahead *a = work->data;
    a->busy = false;
    if (a->then)
        a->then(a->c);
    else if (a->there.n - a->taken >= SLICE)
        next_slice(a);
}

void ahead_grown(struct ahead *a, struct str so_far)
{
    a->there = so_far;
    if (!a->busy && so_far.n - a->taken >= SLICE)
        next_slice(a);
}

void ahead_ended(struct ahead *a, void (*then)(struct call *c))
{
    a->then = then;
    if (!a->busy)
        then(a->c);
}

bool ahead_finish(struct ahead *a, struct str body, char sha256[65])
{
    unsigned char digest[HASH_MAX];
    take(a, str_from(body, a->taken));
    a->taken = body.n;
    if (a->hash) {
        hash_final(a->hash, digest);
        a->hash = NULL;
        hex_encode(digest, hash_size(HASH_SHA256), sha256);
    }
    return a->json && jscan_end(&a->scan);
}

void ahead_free(struct ahead *a)
{
    if (a)
        hash_free(a->hash);
    free(a);
}
