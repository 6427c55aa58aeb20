/* schedule_entry: an array for walking, a table for finding, binary heaps for time. */
#include "svc/schedule_entry.h"

#include <stdlib.h>

#include "base/log.h"

/* --- all of them -------------------------------------------------------------------------------- */

static struct schedule_entry **slot_of(struct schedule_entries *s, struct str key)
{
    return &s->slots[str_hash(key, 0) % (sizeof s->slots / sizeof *s->slots)];
}

struct schedule_entry *entry_add(struct schedule_entries *s, const struct key *k)
{
    struct schedule_entry *e = calloc(1, sizeof *e), **slot = slot_of(s, key_str(k));
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 16;
        s->all = realloc(s->all, s->cap * sizeof *s->all);
    }
    if (!e || !s->all)
        fatal("out of memory");
    e->key = *k;
    e->due_s = SCHEDULE_NEVER;
    e->hash_next = *slot;
    *slot = e;
    e->place = s->count;
    return s->all[s->count++] = e;
}

struct schedule_entry *entry_find(struct schedule_entries *s, struct str key)
{
    struct schedule_entry *e = *slot_of(s, key);
    while (e && !str_eq(key_str(&e->key), key))
        e = e->hash_next;
    return e;
}

void entry_forget(struct schedule_entries *s, struct schedule_entry *e)
{
    struct schedule_entry **at = slot_of(s, key_str(&e->key));
    entry_due(e->heap, e, SCHEDULE_NEVER);
    while (*at != e)
        at = &(*at)->hash_next;
    *at = e->hash_next;
    s->all[e->place] = s->all[--s->count];
    s->all[e->place]->place = e->place;
    free(e);
}

/* --- heaps -------------------------------------------------------------------------------------- */

static void place(struct schedule_heap *h, size_t i, struct schedule_entry *e)
{
    h->of[i] = e;
    e->at = i;
}

static void sift(struct schedule_heap *h, struct schedule_entry *e, size_t i)
{
    while (i > 0 && e->due_s < h->of[(i - 1) / 2]->due_s) {
        place(h, i, h->of[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (size_t k; (k = 2 * i + 1) < h->n; i = k) {
        if (k + 1 < h->n && h->of[k + 1]->due_s < h->of[k]->due_s)
            k++;
        if (h->of[k]->due_s >= e->due_s)
            break;
        place(h, i, h->of[k]);
    }
    place(h, i, e);
}

static void take_out(struct schedule_entry *e)
{
    struct schedule_heap *h = e->heap;
    if (e->due_s == SCHEDULE_NEVER)
        return;
    struct schedule_entry *last = h->of[--h->n];
    e->due_s = SCHEDULE_NEVER;
    if (last != e)
        sift(h, last, e->at);
}

void entry_due(struct schedule_heap *h, struct schedule_entry *e, int64_t due_s)
{
    take_out(e);
    e->heap = h;
    e->due_s = due_s;
    if (due_s == SCHEDULE_NEVER)
        return;
    if (h->n == h->cap) {
        h->cap = h->cap ? 2 * h->cap : 16;
        h->of = realloc(h->of, h->cap * sizeof *h->of);
        if (!h->of)
            fatal("out of memory");
    }
    sift(h, e, h->n++);
}
