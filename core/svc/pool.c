/* pool: opening and closing, and the table of function versions that have runners or callers.
 *
 * A version is entered when first asked for and leaves when its last runner and its last
 * invocation are gone, so the table is as large as what is going on, not as what is stored. */
#include "svc/pool_impl.h"

#include <stdlib.h>

#include "base/log.h"
#include "proc/jail.h"

/* --- versions -----------------------------------------------------------------------------------
 */

static struct version **bucket(struct pool *p, const struct fn *fn)
{
    uint64_t h = (fn->id * 0x9e3779b97f4a7c15u) ^ (fn->generation * 0xc2b2ae3d27d4eb4fu);
    return &p->table[(h ^ h >> 29) % POOL_BUCKETS];
}

static bool same(const struct fn *a, const struct fn *b)
{
    return a == b || (!a->sealed && !b->sealed && a->id == b->id &&
                      a->generation == b->generation && str_eq(a->version, b->version));
}

static struct tally **tally_at(struct pool *p, uint64_t function_id)
{
    struct tally **at = &p->tallies[(function_id * 0x9e3779b97f4a7c15u) >> 56];
    while (*at && (*at)->function_id != function_id)
        at = &(*at)->chain;
    return at;
}

static struct tally *tally_ref(struct pool *p, uint64_t function_id)
{
    struct tally **at = tally_at(p, function_id);
    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (!*at)
            abort(); /* small and fixed */
        (*at)->function_id = function_id;
        (*at)->waiters.next = (*at)->waiters.prev = &(*at)->waiters;
    }
    (*at)->refs++;
    return *at;
}

void pool_tally_unref(struct pool *p, struct tally *tally)
{
    if (--tally->refs > 0)
        return;
    *tally_at(p, tally->function_id) = tally->chain;
    free(tally);
}

struct version *pool_version(struct pool *p, struct fn *fn)
{
    struct version **at = bucket(p, fn);
    for (struct version *v = *at; v; v = v->chain)
        if (same(v->fn, fn)) {
            v->stale = false; /* somebody was told that this is the one */
            v->refs++;
            return v;
        }
    struct version *v = calloc(1, sizeof *v);
    if (!v)
        abort(); /* small and fixed */
    v->fn = fn;
    fn_ref(fn);
    v->tally = tally_ref(p, fn->id);
    v->refs = 1;
    v->last = &v->first;
    v->chain = *at;
    *at = v;
    return v;
}

void version_unref(struct pool *p, struct version *v)
{
    if (--v->refs > 0)
        return;
    struct version **at = bucket(p, v->fn);
    while (*at != v)
        at = &(*at)->chain;
    *at = v->chain;
    pool_tally_unref(p, v->tally);
    fn_unref(v->fn);
    free(v);
}

/* What functions that have reserved nothing may use together: all but what the others reserved. */
static void share(struct pool *p)
{
    uint64_t all = p->opts.concurrency ? p->opts.concurrency : UINT64_MAX;
    uint64_t kept = p->opts.functions ? function_reservations(p->opts.functions) : 0;
    p->shared_max = kept < all ? all - kept : 0;
}

/* What has changed was a version's code or configuration, or only what is said about it. In the
 * first case its idle runners go now, the busy ones after their run. */
static void changed(void *ctx, struct str name)
{
    struct pool *p = ctx;
    share(p);
    for (size_t i = 0; i < POOL_BUCKETS; i++)
        for (struct version *v = p->table[i]; v; v = v->chain) {
            if (!str_eq(v->fn->name, name) || v->fn->sealed ||
                function_current(p->opts.functions, v->fn))
                continue;
            v->stale = true;
            while (v->idle)
                runners_retire(v->idle);
        }
}

void pool_mute(struct pool *p, struct str function)
{
    for (size_t i = 0; i < POOL_BUCKETS; i++)
        for (struct version *v = p->table[i]; v; v = v->chain)
            v->mute = v->mute || (v->stale && str_eq(v->fn->name, function));
    for (struct runner *r = p->all; r; r = r->all_next)
        if (r->stream && r->version->mute) {
            log_stream_close(r->stream);
            r->stream = NULL;
        }
}

/* --- open, drain, close -------------------------------------------------------------------------
 */

int pool_open(const struct pool_opts *opts, struct pool **out, struct err *err)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return E_INTERNAL;
    p->opts = *opts;
    p->cores = uv_available_parallelism();
    p->spares_wanted = opts->spares ? opts->spares : p->cores < 2 ? 2 : p->cores;
    p->waiters.next = p->waiters.prev = &p->waiters;
    p->zygote = opts->zygote;
    int rc = p->zygote ? 0 : zygote_begin(opts->allow_weak_jail, &p->zygote, err);
    if (!rc)
        rc = zygote_ready(p->zygote, opts->loop, &runner_events_zygote, p, &p->layers, err);
    if (rc) {
        free(p);
        return rc;
    }
    jail_layers_text(p->layers, p->layers_text, sizeof p->layers_text);
    p->channels = channels_new(opts->loop, &runner_events_channel);
    pool_time_open(p);
    if (opts->functions)
        functions_on_change(opts->functions, changed, p);
    share(p);
    runners_refill(p);
    *out = p;
    return 0;
}

void pool_check_drained(struct pool *p)
{
    if (!p->draining || p->live || !p->drained)
        return;
    void (*done)(void *ctx) = p->drained;
    p->drained = NULL;
    done(p->drained_ctx);
}

void pool_drain(struct pool *p, void (*done)(void *ctx), void *ctx)
{
    p->draining = true;
    p->drained = done;
    p->drained_ctx = ctx;
    pool_check_drained(p);
}

void pool_close(struct pool *p)
{
    p->closed = p->draining = true;
    if (p->opts.functions)
        functions_on_change(p->opts.functions, NULL, NULL);
    zygote_close(p->zygote); /* no report comes any more, every runner ends */
    runners_forget_all(p);
    dispatch_forget_all(p);
    channels_free(p->channels);
    pool_call_close(p);
    while (p->free_invocations) {
        struct invocation *inv = p->free_invocations;
        p->free_invocations = inv->next;
        free(inv);
    }
    pool_time_close(p); /* frees p once its timers are closed */
}

/* --- looking ------------------------------------------------------------------------------------
 */

void pool_stats(const struct pool *p, struct pool_stats *out)
{
    *out = p->stats;
    out->runners = p->assigned;
    out->spares = p->spare_count;
    out->busy = p->busy;
    out->waiting = p->waiting + p->behind;
    out->memory = p->memory;
    out->memory_max = p->opts.memory;
}

const char *pool_jail_layers(const struct pool *p)
{
    return p->layers_text;
}
