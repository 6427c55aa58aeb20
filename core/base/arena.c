/* arena: a chain of blocks. The first lies behind the header in the same malloc; later ones double
 * up to 256 KiB, larger requests get a block of their own size. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { FIRST = 4096 - 96, FIRST_SMALL = 512 - 96, GROWN_MAX = 256 * 1024 };

struct block {
    struct block *next;
    size_t size; /* bytes in data */
    _Alignas(16) char data[];
};

struct arena {
    char *at, *end;       /* free part of the current block */
    struct block *blocks; /* malloc'd blocks, newest first */
    size_t used, limit, grow, first_n;
    _Alignas(16) char first[];
};

static struct arena *make(size_t limit, size_t first_n)
{
    struct arena *a = malloc(sizeof *a + first_n);
    if (!a)
        fatal("out of memory");
    a->blocks = NULL;
    a->limit = limit;
    a->first_n = first_n;
    arena_reset(a);
    return a;
}

struct arena *arena_new(size_t limit)
{
    return make(limit, FIRST);
}

struct arena *arena_small(size_t limit)
{
    return make(limit, FIRST_SMALL);
}

void arena_reset(struct arena *a)
{
    struct block *next;
    for (struct block *b = a->blocks; b; b = next) {
        next = b->next;
        ASAN_UNPOISON_MEMORY_REGION(b->data, b->size);
        free(b);
    }
    a->blocks = NULL;
    a->used = 0;
    a->grow = 2 * a->first_n;
    a->at = a->first;
    a->end = a->first + a->first_n;
    ASAN_POISON_MEMORY_REGION(a->first, a->first_n);
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    arena_reset(a);
    ASAN_UNPOISON_MEMORY_REGION(a->first, a->first_n);
    free(a);
}

static bool add_block(struct arena *a, size_t need)
{
    size_t size = need > a->grow ? need : a->grow;
    struct block *b = malloc(sizeof *b + size);
    if (!b)
        return false;
    if (a->grow < GROWN_MAX)
        a->grow *= 2;
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    a->at = b->data;
    a->end = b->data + size;
    ASAN_POISON_MEMORY_REGION(b->data, size);
    return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->limit || a->used > a->limit - n)
        return NULL;
    size_t size = (n + 15) & ~(size_t)15;
    if ((size_t)(a->end - a->at) < size && !add_block(a, size))
        return NULL;
    void *p = a->at;
    a->at += size;
    a->used += n;
    ASAN_UNPOISON_MEMORY_REGION(p, n);
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    return p ? memset(p, 0, n) : NULL;
}

struct str arena_dup(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (!p)
        return (struct str){NULL, 0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return str_of(p, s.n);
}

struct str arena_join(struct arena *a, const struct str *parts, size_t count)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        n += parts[i].n;
    char *p = arena_alloc(a, n + 1);
    if (!p)
        return (struct str){NULL, 0};
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n)
            memcpy(p + at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    p[n] = 0;
    return str_of(p, n);
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p ? str_of(p, (size_t)n) : (struct str){NULL, 0};
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
