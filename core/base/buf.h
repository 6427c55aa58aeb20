/* buf: a growing run of bytes with a limit.
 *
 * Writers may append without checking each step: the first failure (limit reached, no memory) is
 * remembered and later appends do nothing; buf_rc says so at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/str.h"

struct buf {
    char *p;      /* malloc'd, NULL while empty */
    size_t n;     /* bytes used */
    size_t cap;   /* bytes allocated */
    size_t limit; /* 0: no limit */
    int rc;       /* 0 or E_LIMIT */
};

#define BUF_INIT ((struct buf){0})

/* limit 0: none. */
void buf_init(struct buf *b, size_t limit);
/* Frees the bytes; b is empty and usable again. */
void buf_deinit(struct buf *b);
/* Keeps the allocation, forgets the content and the error. */
void buf_clear(struct buf *b);
/* Room for n more bytes: pointer to the first free byte, or NULL (rc set). The caller adds to b->n.
 */
char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Unsigned decimal, without printf's cost. */
void buf_u64(struct buf *b, uint64_t v);
/* Removes the first n bytes (n <= b->n). */
void buf_drop(struct buf *b, size_t n);

/* buf_reserve and buf_addc for inner loops: no call where there is room. */
static inline char *buf_room(struct buf *b, size_t n)
{
    return b->p && b->rc == 0 && b->cap - b->n >= n ? b->p + b->n : buf_reserve(b, n);
}

static inline void buf_put(struct buf *b, char c)
{
    char *p = buf_room(b, 1);
    if (p) {
        *p = c;
        b->n++;
    }
}

static inline struct str buf_str(const struct buf *b)
{
    return str_of(b->p, b->n);
}

#define buf_lit(b, lit) buf_add((b), STR(lit))

#endif
