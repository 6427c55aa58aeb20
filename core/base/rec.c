/* rec: see the header for the layout. x86-64 and arm64 are little endian; the static assertion
 * keeps a big-endian port from writing records that others cannot read. */
#include "base/rec.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little endian");

enum { HEAD = 6 };

/* One look at the room for head and value: an event has twenty fields. */
static void put(struct buf *b, uint16_t tag, uint32_t n, const void *v, size_t size)
{
    char *p = buf_room(b, HEAD + size);
    if (!p)
        return;
    memcpy(p, &tag, 2);
    memcpy(p + 2, &n, 4);
    if (size)
        memcpy(p + HEAD, v, size);
    b->n += HEAD + size;
}

void rec_put_str(struct buf *b, uint16_t tag, struct str v)
{
    put(b, tag, (uint32_t)v.n, v.p, v.n);
}

void rec_put_u64(struct buf *b, uint16_t tag, uint64_t v)
{
    put(b, tag, 8, &v, 8);
}

size_t rec_begin(struct buf *b, uint16_t tag)
{
    put(b, tag, 0, NULL, 0);
    return b->n;
}

void rec_end(struct buf *b, size_t mark)
{
    uint32_t n = (uint32_t)(b->n - mark);
    if (b->rc == 0)
        memcpy(b->p + mark - 4, &n, 4);
}

bool rec_next(struct str *rest, uint16_t *tag, struct str *v)
{
    uint32_t n;
    if (rest->n < HEAD)
        return false;
    memcpy(tag, rest->p, 2);
    memcpy(&n, rest->p + 2, 4);
    if (n > rest->n - HEAD)
        return false;
    *v = str_of(rest->p + HEAD, n);
    *rest = str_from(*rest, HEAD + (size_t)n);
    return true;
}

struct str rec_str(struct str r, uint16_t tag)
{
    uint16_t t;
    struct str v;
    while (rec_next(&r, &t, &v))
        if (t == tag)
            return v;
    return (struct str){NULL, 0};
}

uint64_t rec_int(struct str v, uint64_t dflt)
{
    uint64_t x = dflt;
    if (v.p && v.n == 8)
        memcpy(&x, v.p, 8);
    return x;
}

uint64_t rec_u64(struct str r, uint16_t tag, uint64_t dflt)
{
    return rec_int(rec_str(r, tag), dflt);
}

bool rec_valid(struct str r)
{
    uint16_t t;
    struct str v;
    while (rec_next(&r, &t, &v))
        ;
    return r.n == 0;
}
