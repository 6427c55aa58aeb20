/* rehearsal: what a runner's first invocation touches, learned once and touched beforehand.
 *
 * A forked process shares its parent's pages until it writes to them, and has no program text mapped
 * in. Loading a function and running it once makes about forty page faults, some 3 us each: most of a
 * cold start's work. So a child that is thrown away plays one, and what that has changed or mapped is
 * noted; every spare then touches the same pages while nobody waits. Touching changes nothing: a byte
 * is written as it is. */
#ifndef PROC_REHEARSAL_H
#define PROC_REHEARSAL_H

#include <stdint.h>

enum { REHEARSAL_PAGES = 508 };

struct rehearsal { /* shared between the zygote and the child that plays */
    uint32_t writes, reads;
    uintptr_t page[REHEARSAL_PAGES]; /* `writes` from the front, `reads` from the back */
};

/* NULL: no memory; then nothing is learned. */
struct rehearsal *rehearsal_new(void);
/* In the child: plays and notes. The child is of no other use afterwards. */
void rehearsal_learn(struct rehearsal *r, void (*play)(void));
/* In a spare. What is no longer mapped is passed over. */
void rehearsal_apply(const struct rehearsal *r);

#endif
