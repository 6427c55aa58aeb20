/* arena: memory of one request or one invocation, freed all at once.
 *
 * Allocation is a pointer bump; nothing is freed singly. A limit bounds what a client can make us
 * hold: beyond it allocation answers NULL and the caller returns E_LIMIT. The first block is part
 * of the arena, so that a small request never calls malloc twice. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena;

/* An empty arena that will hold at most `limit` bytes. Aborts when the process has no memory. */
struct arena *arena_new(size_t limit);
/* The same, for a few hundred bytes that stay: its first block is as small. */
struct arena *arena_small(size_t limit);
/* Frees everything; NULL is allowed. */
void arena_free(struct arena *a);
/* Forgets all allocations, keeps the first block for reuse. */
void arena_reset(struct arena *a);
/* n bytes aligned to 16, not cleared; NULL past the limit. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc, alloc_size(2)));
/* The same, cleared. */
void *arena_zalloc(struct arena *a, size_t n) __attribute__((malloc, alloc_size(2)));
/* A NUL-terminated copy of s; p is NULL past the limit. */
struct str arena_dup(struct arena *a, struct str s);
/* The parts one after the other, NUL-terminated; p is NULL past the limit. */
struct str arena_join(struct arena *a, const struct str *parts, size_t count);
/* Formatted text, NUL-terminated; p is NULL past the limit. */
struct str arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Bytes handed out so far. */
size_t arena_used(const struct arena *a);

#endif
