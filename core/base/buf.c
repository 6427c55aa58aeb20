/* buf: doubles up to its limit; remembers the first failure. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/pages.h"

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_deinit(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.limit = b->limit};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->rc = 0;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->rc)
        return NULL;
    if (b->cap - b->n >= n && b->p)
        return b->p + b->n;
    size_t need, cap = b->cap ? b->cap : 256;
    if (__builtin_add_overflow(b->n, n, &need) || need > SIZE_MAX / 2 ||
        (b->limit && need > b->limit)) {
        b->rc = E_LIMIT;
        return NULL;
    }
    while (cap < need)
        cap *= 2;
    if (b->limit && cap > b->limit && need <= b->limit)
        cap = b->limit;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->rc = E_LIMIT;
        return NULL;
    }
    b->p = p;
    b->cap = cap;
    pages_large(p, cap);
    return p + b->n;
}

void buf_add(struct buf *b, struct str s)
{
    if (s.n == 0)
        return;
    char *p = buf_room(b, s.n);
    if (p) {
        memcpy(p, s.p, s.n);
        b->n += s.n;
    }
}

void buf_addc(struct buf *b, char c)
{
    buf_put(b, c);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (p) {
        vsnprintf(p, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_u64(struct buf *b, uint64_t v)
{
    char tmp[20];
    size_t i = sizeof tmp;
    do
        tmp[--i] = (char)('0' + v % 10);
    while (v /= 10);
    buf_add(b, str_of(tmp + i, sizeof tmp - i));
}

void buf_drop(struct buf *b, size_t n)
{
    b->n -= n;
    if (b->n)
        memmove(b->p, b->p + n, b->n);
}
