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
 * Shares: functions that wait take turns, and within a function its versions, so that one with a long
 * queue gets no more than its share of what becomes free, however many versions it has. While a
 * version is starved (it waits and all places were taken), the others get a further runner only in
 * their turn: else the one that has just ended a run would take the place again at once. And when
 * nothing becomes free, the function with the most runners gives one up, or, to a version of its own,
 * the version with the most. */
#include "svc/pool_impl.h"

#include <stddef.h>

#include "base/clock.h"

/* --- choosing -----------------------------------------------------------------------------------
 */

static bool owes(const struct version *v)
{
    return v->owes || v->tally->owes;
}

static bool brisk(const struct runner *r, uint64_t now_ns)
{
    return (r->state == RUNNER_WARM || r->state == RUNNER_LOADING) && !owes(r->version) &&
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
    bool pushed = r && runners_push(r, inv, now_ns);
    if (r)
        load_begin(r); /* its bell is for both */
    if (pushed)
        return true;
    best = nested ? NULL : shortest(v, now_ns);
    return best && runners_push(best, inv, now_ns);
}

/* --- waiting ------------------------------------------------------------------------------------
 */

static void turns_add(struct turns *head, struct turns *link)
{
    if (link->next)
        return;
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static void turns_remove(struct turns *link)
{
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

static void turns_last(struct turns *head, struct turns *link)
{
    if (!link->next)
        return;
    turns_remove(link);
    turns_add(head, link);
}

static struct tally *tally_in(struct turns *link)
{
    return (struct tally *)((char *)link - offsetof(struct tally, wait));
}

static struct version *version_in(struct turns *link)
{
    return (struct version *)((char *)link - offsetof(struct version, wait));
}

/* Function and version have had their turn. */
static void to_the_end(struct pool *p, struct version *v)
{
    turns_last(&v->tally->waiters, &v->wait);
    turns_last(&p->waiters, &v->tally->wait);
}

static void waiters_add(struct pool *p, struct version *v)
{
    turns_add(&v->tally->waiters, &v->wait);
    turns_add(&p->waiters, &v->tally->wait);
}

static void waiters_remove(struct version *v)
{
    turns_remove(&v->wait);
    if (v->tally->waiters.next == &v->tally->waiters)
        turns_remove(&v->tally->wait);
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
    if (!soon && !invoke_is_patient(inv)) { /* others have got the place that it waited for */
        invoke_refuse(p, inv, E_THROTTLED);
        return true;
    }
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

/* One of the function's versions takes what is free, if any can. */
static bool take_turn(struct pool *p, struct tally *t)
{
    uint32_t versions = 0;
    bool any = false;
    for (struct turns *at = t->waiters.next; at != &t->waiters; at = at->next)
        versions++;
    t->refs++;
    while (!any && versions-- > 0 && t->waiters.next != &t->waiters) {
        struct version *v = version_in(t->waiters.next);
        v->refs++;
        to_the_end(p, v);
        p->turn = v;
        any = advance(p, v);
        p->turn = NULL;
        version_unref(p, v);
    }
    pool_tally_unref(p, t);
    return any;
}

void dispatch_waiting(struct pool *p)
{
    for (bool any = true; any && p->waiters.next != &p->waiters;) {
        uint32_t rounds = 0;
        any = false;
        for (struct turns *at = p->waiters.next; at != &p->waiters; at = at->next)
            rounds++;
        while (rounds-- > 0 && p->waiters.next != &p->waiters)
            any = take_turn(p, tally_in(p->waiters.next)) || any;
    }
}

/* The first version, in the order of turns, whose first caller asked before then_ns. */
static struct version *waits_since(struct pool *p, uint64_t then_ns)
{
    for (struct turns *f = p->waiters.next; f != &p->waiters; f = f->next)
        for (struct turns *at = tally_in(f)->waiters.next; at != &tally_in(f)->waiters;
             at = at->next)
            if (version_in(at)->first->asked_ns <= then_ns)
                return version_in(at);
    return NULL;
}

void dispatch_expire(struct pool *p, uint64_t now_ns)
{
    const uint64_t patience = (uint64_t)POOL_FIFO_MS * 1000000;
    struct version *v;
    while (now_ns > patience &&
           (v = waits_since(p, now_ns - patience))) /* refusing may change all */
        invoke_refuse(p, unwait(p, v), E_THROTTLED);
}

void dispatch_forget_all(struct pool *p)
{
    struct version *v;
    while ((v = waits_since(p, UINT64_MAX)))
        invoke_refuse(p, unwait(p, v), E_SHUTDOWN);
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

/* The function with the most runners, more than `than`. */
static struct tally *richest_function(struct pool *p, uint32_t than)
{
    struct tally *best = NULL;
    for (uint32_t i = 0; i < POOL_BUCKETS; i++)
        for (struct tally *t = p->tallies[i]; t; t = t->chain)
            if (t->count > than && (!best || t->count > best->count))
                best = t;
    return best;
}

/* The version with the most runners among v's siblings, more than v's own. */
static struct version *richest_sibling(struct pool *p, struct version *v)
{
    struct version *best = NULL;
    for (struct runner *r = p->all; r; r = r->all_next) {
        struct version *of = r->state == RUNNER_DYING ? NULL : r->version;
        if (of && of != v && of->tally == v->tally && of->count > (v->count ? v->count + 1 : 0) &&
            (!best || of->count > best->count))
            best = of;
    }
    return best;
}

/* Nobody stays behind the heads of runners that owe a place: one whose queue never empties would not
 * be asked for it. */
static void clear_behind(struct pool *p)
{
    for (struct runner *r = p->all; r; r = r->all_next)
        if (r->count > 1 && r->state != RUNNER_DYING && owes(r->version))
            dispatch_revoke(r, 1);
}

static void relieve(struct pool *p, struct version *v)
{
    struct tally *own = v->tally, *from = richest_function(p, own->count ? own->count + 1 : 0);
    struct version *sibling = from ? NULL : richest_sibling(p, v);
    bool *debt = from ? &from->owes : sibling ? &sibling->owes : NULL;
    if (!debt || *debt)
        return;
    *debt = true;
    clear_behind(p);
}

/* A version whose caller has waited in vain gets a place of the richest function, or of a richer
 * version of its own: whichever of those runners is the first to end a run goes. */
void dispatch_relieve(struct pool *p, uint64_t now_ns)
{
    if (!p->starved || runners_may_grow(p, false))
        return; /* what they wait for is not a place */
    for (struct turns *f = p->waiters.next; f != &p->waiters; f = f->next)
        for (struct turns *at = tally_in(f)->waiters.next; at != &tally_in(f)->waiters;
             at = at->next)
            if (now_ns - version_in(at)->first->asked_ns >= POOL_STARVED_NS)
                relieve(p, version_in(at));
}

bool dispatch_gives_way(struct pool *p, struct version *v)
{
    if (!owes(v))
        return false;
    v->owes = v->tally->owes = false;
    if (p->starved == v->starved)
        return false; /* they have been helped otherwise */
    to_the_end(p, v);
    return true;
}
