/* recent: a hash table with chains, and a ring of its entries in which a hand goes round: whoever
 * was asked for since it last came by is passed over once.
 *
 * Names come from clients. The hash is seeded at random, so that nobody can make one long chain. */
#include "svc/recent.h"

#include "base/hash.h"
#include "base/log.h"

struct recent {
    size_t max, count, hand, mask;
    uint64_t seed;
    void (*drop)(void *ctx, struct recent_entry *e);
    void *ctx;
    struct recent_entry **slots;
    struct recent_entry *ring[]; /* max */
};

struct recent *recent_new(size_t max, void (*drop)(void *ctx, struct recent_entry *e), void *ctx)
{
    struct recent *r = calloc(1, sizeof *r + max * sizeof *r->ring);
    size_t slots = 16;
    while (slots < max)
        slots *= 2;
    struct recent_entry **table = calloc(slots, sizeof *table);
    if (!r || !table)
        fatal("out of memory");
    r->max = max;
    r->mask = slots - 1;
    r->drop = drop;
    r->ctx = ctx;
    r->slots = table;
    random_bytes(&r->seed, sizeof r->seed);
    return r;
}

void recent_free(struct recent *r)
{
    if (!r)
        return;
    recent_clear(r);
    free(r->slots);
    free(r);
}

static struct recent_entry **slot(struct recent *r, struct str name)
{
    uint64_t h = r->seed ^ 14695981039346656037u;
    for (size_t i = 0; i < name.n; i++) {
        h = (h ^ (unsigned char)name.p[i]) * 1099511628211u;
        h ^= h >> 29;
    }
    return &r->slots[h & r->mask];
}

struct recent_entry *recent_find(struct recent *r, struct str name)
{
    struct recent_entry *e = *slot(r, name);
    while (e && !str_eq(e->name, name))
        e = e->next;
    if (e)
        e->asked = true;
    return e;
}

static void take_out(struct recent *r, size_t at)
{
    struct recent_entry *e = r->ring[at], **link = slot(r, e->name);
    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    r->ring[at] = r->ring[--r->count];
    r->drop(r->ctx, e);
}

void recent_add(struct recent *r, struct recent_entry *e)
{
    if (r->count == r->max) {
        while (r->ring[r->hand % r->count]->asked)
            r->ring[r->hand++ % r->count]->asked = false;
        take_out(r, r->hand % r->count);
    }
    struct recent_entry **link = slot(r, e->name);
    e->next = *link;
    e->asked = false;
    *link = e;
    r->ring[r->count++] = e;
}

void recent_remove(struct recent *r, struct str name)
{
    for (struct recent_entry *e = *slot(r, name); e; e = e->next) {
        if (!str_eq(e->name, name))
            continue;
        size_t at = 0;
        while (r->ring[at] != e)
            at++;
        take_out(r, at);
        return;
    }
}

void recent_clear(struct recent *r)
{
    while (r->count)
        take_out(r, r->count - 1);
}

void recent_each(struct recent *r, void (*each)(void *ctx, struct recent_entry *e), void *ctx)
{
    for (size_t i = 0; i < r->count; i++)
        each(ctx, r->ring[i]);
}
