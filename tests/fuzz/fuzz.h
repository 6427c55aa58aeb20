/* fuzz: what the fuzz targets share.
 *
 * A target is one program with one function, LLVMFuzzerTestOneInput, which takes any bytes and holds
 * what it reads against something: the same bytes in other pieces, the result read again, another
 * implementation. CHECK is what must be true. Linked with libFuzzer it searches (`make fuzz`); linked
 * with replay.c it runs the corpus once (part of `make test`). */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond);                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Takes values from the front of an input; zeros at its end. */
static inline uint8_t fuzz_u8(struct str *in)
{
    if (!in->n)
        return 0;
    uint8_t v = (uint8_t)in->p[0];
    *in = str_from(*in, 1);
    return v;
}

static inline uint32_t fuzz_u32(struct str *in)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 8 | fuzz_u8(in);
    return v;
}

/* n bytes, or as many as there are. */
static inline struct str fuzz_bytes(struct str *in, size_t n)
{
    struct str got = str_of(in->p, n < in->n ? n : in->n);
    *in = str_from(*in, got.n);
    return got;
}

/* What comes before the next NUL, which is passed over; all when there is none. */
static inline struct str fuzz_line(struct str *in)
{
    size_t n = 0;
    while (n < in->n && in->p[n])
        n++;
    struct str got = str_of(in->p, n);
    *in = str_from(*in, n < in->n ? n + 1 : n);
    return got;
}

/* A copy that ends where a sanitizer sees an overrun; freed by the caller. */
static inline char *fuzz_copy(struct str s)
{
    char *p = malloc(s.n ? s.n : 1);
    if (!p)
        abort();
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

#endif
