/* lineage: what led to a change or an event, in runs of functions.
 *
 * From outside it is empty. What a function does bears the lineage of its run and one link more: its
 * own name. An event keeps it as text (EV_CHAIN), so that a loop can be drawn when it is stopped. */
#ifndef SVC_LINEAGE_H
#define SVC_LINEAGE_H

#include "base/arena.h"
#include "base/buf.h"

struct lineage {
    uint32_t hops;    /* runs, the last one included; 0 from outside */
    struct str chain; /* that led to that run: "f > s3://bucket > g" */
    struct str via;   /* its function */
};

static inline struct lineage lineage_dup(struct arena *a, const struct lineage *l)
{
    return (struct lineage){l->hops, l->chain.n ? arena_dup(a, l->chain) : STR(""),
                            l->via.n ? arena_dup(a, l->via) : STR("")};
}

/* Appends the chain with its last link. Of one that has grown long (its functions may loop) the
 * oldest links are left out. */
void lineage_write(struct buf *out, const struct lineage *l);
/* Is that function one of its links? Of those that are not left out. */
bool lineage_has(const struct lineage *l, struct str function);
enum { LINEAGE_MAX = 3 * 1024 }; /* bytes at most */

#endif
