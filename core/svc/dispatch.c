/* dispatch: which runner takes an invocation, and those that wait.
 *
 *     1  an idle runner of the version, the one used last
 *     2  a new one, when none is idle
 *     3  the brisk runner with the shortest queue: it will be done before a bell could be rung
 *     4  the version's own queue, of limited length and patience; then "too many requests"
 *
 * 1 and 2 hold while fewer runners of the version are at work than there are cores, and whenever
 * none of those is brisk (all wait for a host call or have run for more than 2 ms). Otherwise one
 * more process would only cost switches, and 3 comes first.
 *
 * Whoever waits behind a head that turns out slow is taken back: by the tick, or as soon as the
 * head makes a host call. A call that another invocation waits for (nested) never waits behind a
 * runner, else two functions calling each other could wait for ever.
 *
 * Shares: versions that wait take turns, so that one with a long queue gets no more than its share of
 * what becomes free. While a version is starved (it waits and all places were taken), the others get
 * a further runner only in their turn: else the one that has just ended a run would take the place
 * again at once. And when nothing becomes free, the version with the most runners gives one up. */
#include "svc/pool_impl.h"

#include "base/clock.h"

/* --- choosing -----------------------------------------------------------------------------------
 */

static bool brisk(const struct runner *r, uint64_t now_ns)
{
    return (r->state == RUNNER_WARM || r->state == RUNNER_LOADING) && !r->version->owes &&
           r->calls_live == 0 &&
           /* what it has said and we have not read may be the reply */
           (now_ns - r->head_ns <= POOL_SLOW_NS || channel_speaks(r->channel));
}

/* Rule 3's choice, NULL when no runner at work is brisk. */
static struct runner *shortest(struct version *v, uint64_t now_ns)
{
    struct runner *best = NULL;
    for (struct runner *r = v->runners; r; r = r->sibling)
        if (r->count && brisk(r, now_ns) && (!best || r->count < best->count))
            best = r;
    return best;
}

/* Loading is computing: more at once than there are cores would not be ready earlier. */
static bool may_load(struct pool *p, struct version *v)
{
    uint32_t loading = 0, most = p->cores < 2 ? 2 : p->cores;
    for (struct runner *r = v->runners; r; r = r->sibling)
        loading += r->state == RUNNER_LOADING && r->calls_live == 0;
    return loading < most;
}

static void set_starved(struct pool *p, struct version *v, bool starved)
{
    p->starved += starved;
    p->starved -= v->starved;
    v->starved = starved;
}

/* Rule 2. *soon: there will be a runner, but not in this turn of the loop. */
static struct runner *another(struct pool *p, struct version *v, bool nested, bool *soon)
{
    bool others_first = p->turn != v && p->starved > v->starved;
    bool now = (nested || (may_load(p, v) && !others_first)) && runners_at_hand(p);
    if (!runners_may_grow(p, now))
        return NULL;
    struct runner *r = now ? runners_take(p, v) : NULL;
    *soon = !r;
    if (r)
        set_starved(p, v, false);
    return r;
}

bool dispatch_acquire(struct pool *p, struct invocation *inv, bool *soon)
{
    struct version *v = inv->version;
    uint64_t now_ns = clock_mono_ns();
    bool nested = inv->req.nested;
    *soon = false;
    struct runner *best = nested || v->busy < p->cores ? NULL : shortest(v, now_ns);
    if (best && runners_push(best, inv, now_ns))
        return true;
    if (v->idle && runners_push(v->idle, inv, now_ns))
        return true;
    if (best)
        return false; /* brisk ones, all full: the queue moves as fast as they do */
    struct runner *r = another(p, v, nested, soon);
    if (r && runners_push(r, inv, now_ns))
        return true;
    best = nested ? NULL : shortest(v, now_ns);
    return best && runners_push(best, inv, now_ns);
}

/* --- waiting ------------------------------------------------------------------------------------
 */

static void waiters_add(struct pool *p, struct version *v)
{
    if (v->wait_next)
        return;
    v->wait_prev = p->waiters.wait_prev;
    v->wait_next = &p->waiters;
    p->waiters.wait_prev->wait_next = v;
    p->waiters.wait_prev = v;
}

static void waiters_remove(struct version *v)
{
    if (!v->wait_next)
        return;
    v->wait_prev->wait_next = v->wait_next;
    v->wait_next->wait_prev = v->wait_prev;
    v->wait_next = v->wait_prev = NULL;
}

static void to_the_end(struct pool *p, struct version *v)
{
    if (!v->wait_next)
        return;
    waiters_remove(v);
    waiters_add(p, v);
}

void dispatch_wait(struct pool *p, struct invocation *inv, bool front)
{
    struct version *v = inv->version;
    if (front) {
        inv->next = v->first;
        v->first = inv;
        if (!inv->next)
            v->last = &inv->next;
    } else {
        inv->next = NULL;
        *v->last = inv;
        v->last = &inv->next;
    }
    v->waiting++;
    p->waiting++;
    waiters_add(p, v);
    if (!v->starved && !runners_may_grow(p, false))
        set_starved(p, v, true);
    pool_time_tick(p);
}

static struct invocation *unwait(struct pool *p, struct version *v)
{
    struct invocation *inv = v->first;
    v->first = inv->next;
    if (!v->first) {
        v->last = &v->first;
        waiters_remove(v);
        set_starved(p, v, false);
    }
    inv->next = NULL;
    v->waiting--;
    p->waiting--;
    return inv;
}

/* The first of v's queue onto a runner. False when there is none for it. */
static bool advance(struct pool *p, struct version *v)
{
    struct invocation *inv = v->first;
    if (inv->lost > POOL_LOST_MAX) {
        invoke_refuse(p, unwait(p, v), E_INTERNAL);
        return true;
    }
    /* off the queue first: what acquire does may change it */
    bool soon, starved = v->starved;
    unwait(p, v);
    if (dispatch_acquire(p, inv, &soon))
        return true;
    dispatch_wait(p, inv, true);
    if (starved)
        set_starved(p, v, true);
    return false;
}

void dispatch_version(struct pool *p, struct version *v)
{
    v->refs++;
    while (v->first && advance(p, v))
        ;
    version_unref(p, v);
}

void dispatch_waiting(struct pool *p)
{
    bool any = true;
    while (any && p->waiters.wait_next != &p->waiters) {
        any = false;
        uint32_t rounds = 0;
        for (struct version *v = p->waiters.wait_next; v != &p->waiters; v = v->wait_next)
            rounds++;
        while (rounds-- > 0 && p->waiters.wait_next != &p->waiters) {
            struct version *v = p->waiters.wait_next;
            v->refs++;
            to_the_end(p, v);
            p->turn = v;
            any = advance(p, v) || any;
            p->turn = NULL;
            version_unref(p, v);
        }
    }
}

void dispatch_expire(struct pool *p, uint64_t now_ns)
{
    const uint64_t patience = (uint64_t)POOL_FIFO_MS * 1000000;
    struct version *v = p->waiters.wait_next;
    while (v != &p->waiters) {
        if (v->first->asked_ns + patience > now_ns) {
            v = v->wait_next;
            continue;
        }
        invoke_refuse(p, unwait(p, v), E_THROTTLED);
        v = p->waiters.wait_next; /* the caller may have changed the ring */
    }
}

void dispatch_forget_all(struct pool *p)
{
    while (p->waiters.wait_next != &p->waiters)
        invoke_refuse(p, unwait(p, p->waiters.wait_next), E_SHUTDOWN);
}

/* --- slow heads and starving versions -----------------------------------------------------------
 */

void dispatch_revoke(struct runner *r, uint32_t from)
{
    struct pool *p = r->pool;
    while (r->count > from) {
        uint32_t slot = (r->first + r->count - 1) % FRAME_SLOTS;
        struct invocation *inv = r->entries[slot];
        if (!channel_revoke(r->channel, slot, inv->id))
            return; /* the runner is faster: it has come to this entry */
        runners_shorten(r);
        dispatch_wait(p, inv, true);
    }
}

/* The version with the most runners, more than `than`. */
static struct version *richest(struct pool *p, uint32_t than)
{
    struct version *best = NULL;
    for (uint32_t i = 0; i < POOL_BUCKETS; i++)
        for (struct version *v = p->table[i]; v; v = v->chain)
            if (v->count > than && (!best || v->count > best->count))
                best = v;
    return best;
}

/* A version whose caller has waited in vain gets a place of the richest: whichever of its runners is
 * the first to end a run goes. Until then none of them has anybody behind its head, because a runner
 * whose queue never empties would not be asked. */
void dispatch_relieve(struct pool *p, uint64_t now_ns)
{
    if (!p->starved || runners_may_grow(p, false))
        return; /* what they wait for is not a place */
    for (struct version *v = p->waiters.wait_next; v != &p->waiters; v = v->wait_next) {
        if (now_ns - v->first->asked_ns < POOL_STARVED_NS)
            continue;
        struct version *from = richest(p, v->count ? v->count + 1 : 0);
        if (!from || from == v || from->owes)
            continue;
        from->owes = true;
        for (struct runner *r = from->runners; r; r = r->sibling)
            dispatch_revoke(r, 1);
    }
}

bool dispatch_gives_way(struct pool *p, struct version *v)
{
    if (!v->owes)
        return false;
    v->owes = false;
    if (p->starved == v->starved)
        return false; /* they have been helped otherwise */
    to_the_end(p, v);
    return true;
}
