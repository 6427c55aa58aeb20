/* extents: which rows make the body of an object that came in parts, and finding a byte in them.
 *
 * Part numbers are mostly 1…N, so they are kept as runs; whatever a client leaves out costs four
 * bytes. Offsets are kept sparsely and the rest added up from the rows: a record of eight parts is
 * some thirty bytes longer than one of a single blob, one of 10,000 parts some 1,300. */
#include "svc/extents.h"

#include "base/rec.h"
#include "store/key.h"

enum extents_tag { EXTENTS_LIST = 1, EXTENTS_COUNT, EXTENTS_RUNS, EXTENTS_INDEX };

enum extent_tag {
    EXTENT_SIZE = 1,
    EXTENT_MODIFIED_MS,
    EXTENT_MD5_RAW,
    EXTENT_CHECKSUM_ALG,
    EXTENT_CHECKSUM,
    EXTENT_BLOB,
    EXTENT_BYTES,
};

enum { RUN = 4, OFFSET = 8 };

/* --- the list in an object's record ------------------------------------------------------------ */

void extents_encode(struct buf *rec, const struct extents *e)
{
    rec_put_u64(rec, EXTENTS_LIST, e->list);
    rec_put_u64(rec, EXTENTS_COUNT, e->count);
    rec_put_str(rec, EXTENTS_RUNS, e->runs);
    rec_put_str(rec, EXTENTS_INDEX, e->index);
}

static uint32_t u16_at(const char *p)
{
    return (uint32_t)((unsigned char)p[0] | (unsigned char)p[1] << 8);
}

static uint64_t u64_at(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v); /* as rec has its integers */
    return v;
}

int extents_decode(struct str rec, struct extents *out)
{
    uint64_t count = rec_u64(rec, EXTENTS_COUNT, 0), sum = 0;
    *out = (struct extents){
        .list = rec_u64(rec, EXTENTS_LIST, 0),
        .count = (uint32_t)count,
        .runs = rec_str(rec, EXTENTS_RUNS),
        .index = rec_str(rec, EXTENTS_INDEX),
    };
    for (size_t i = 0; i + RUN <= out->runs.n; i += RUN)
        sum += u16_at(out->runs.p + i + 2);
    bool sound = out->list && count && count <= EXTENTS_MAX && sum == count &&
                 out->runs.n % RUN == 0 &&
                 out->index.n == (count + EXTENTS_STRIDE - 1) / EXTENTS_STRIDE * OFFSET;
    return sound ? 0 : E_INTERNAL;
}

void extents_add(struct extents_maker *m, uint32_t number, uint64_t size)
{
    if (m->count % EXTENTS_STRIDE == 0)
        buf_add(&m->index, str_of((const char *)&m->size, OFFSET));
    if (m->count && number == m->last + 1 && m->runs.rc == 0) {
        char *many = m->runs.p + m->runs.n - 2;
        uint32_t n = u16_at(many) + 1;
        many[0] = (char)n;
        many[1] = (char)(n >> 8);
    } else {
        const char run[RUN] = {(char)number, (char)(number >> 8), 1, 0};
        buf_add(&m->runs, str_of(run, RUN));
    }
    m->count++;
    m->last = number;
    m->size += size;
}

uint32_t extents_number(const struct extents *e, uint32_t i)
{
    for (size_t at = 0; at < e->runs.n; at += RUN) {
        uint32_t many = u16_at(e->runs.p + at + 2);
        if (i < many)
            return u16_at(e->runs.p + at) + i;
        i -= many;
    }
    return 0;
}

bool extents_holds(const struct extents *e, uint32_t number)
{
    size_t low = 0, high = e->runs.n / RUN;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        uint32_t first = u16_at(e->runs.p + mid * RUN);
        if (number < first)
            high = mid;
        else if (number - first < u16_at(e->runs.p + mid * RUN + 2))
            return true;
        else
            low = mid + 1;
    }
    return false;
}

/* --- rows -------------------------------------------------------------------------------------- */

struct str extent_key(uint64_t list, uint32_t number, char space[static EXTENT_KEY])
{
    struct key k = {0};
    key_u32(key_u64(&k, list), number);
    memcpy(space, k.b, EXTENT_KEY);
    return str_of(space, EXTENT_KEY);
}

void extent_encode(struct buf *rec, const struct extent *x)
{
    rec_put_u64(rec, EXTENT_SIZE, x->size);
    rec_put_u64(rec, EXTENT_MODIFIED_MS, (uint64_t)x->modified_ms);
    rec_put_str(rec, EXTENT_MD5_RAW, x->md5);
    if (x->checksum_alg.n) {
        rec_put_str(rec, EXTENT_CHECKSUM_ALG, x->checksum_alg);
        rec_put_str(rec, EXTENT_CHECKSUM, x->checksum);
    }
    if (x->blob)
        rec_put_u64(rec, EXTENT_BLOB, x->blob);
    else
        rec_put_str(rec, EXTENT_BYTES, x->bytes);
}

bool extent_decode(struct str rec, struct extent *out)
{
    uint16_t tag;
    struct str v;
    *out = (struct extent){0};
    while (rec_next(&rec, &tag, &v)) {
        if (tag == EXTENT_SIZE)
            out->size = rec_int(v, 0);
        else if (tag == EXTENT_MODIFIED_MS)
            out->modified_ms = (int64_t)rec_int(v, 0);
        else if (tag == EXTENT_MD5_RAW)
            out->md5 = v;
        else if (tag == EXTENT_CHECKSUM_ALG)
            out->checksum_alg = v;
        else if (tag == EXTENT_CHECKSUM)
            out->checksum = v;
        else if (tag == EXTENT_BLOB)
            out->blob = rec_int(v, 0);
        else if (tag == EXTENT_BYTES)
            out->bytes = v;
    }
    return rec.n == 0 && out->md5.n == EXTENT_MD5 &&
           (out->blob || (out->bytes.p && out->bytes.n == out->size));
}

static int part_get(struct store_txn *t, uint64_t list, uint32_t number, struct extent *out)
{
    char space[EXTENT_KEY];
    struct str rec;
    int rc = store_get(t, T_PARTS, extent_key(list, number, space), &rec);
    if (rc == 0 && !extent_decode(rec, out))
        rc = E_INTERNAL;
    out->number = number;
    return rc == E_NOT_FOUND ? E_INTERNAL : rc;
}

int extents_get(struct store_txn *t, const struct extents *e, uint32_t i, struct extent *out)
{
    return part_get(t, e->list, extents_number(e, i), out);
}

int extents_place(struct store_txn *t, const struct extents *e, uint32_t i, struct extent *out,
                  uint64_t *begins)
{
    uint32_t known = i / EXTENTS_STRIDE;
    int rc = 0;
    *begins = u64_at(e->index.p + (size_t)known * OFFSET);
    for (uint32_t k = known * EXTENTS_STRIDE; k < i && rc == 0; k++) {
        rc = extents_get(t, e, k, out);
        *begins += out->size;
    }
    return rc ? rc : extents_get(t, e, i, out);
}

int extents_find(struct store_txn *t, const struct extents *e, uint64_t offset, uint32_t *i,
                 uint64_t *begins)
{
    size_t low = 0, high = e->index.n / OFFSET; /* the offset at low is not above */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (u64_at(e->index.p + mid * OFFSET) <= offset)
            low = mid;
        else
            high = mid;
    }
    *begins = u64_at(e->index.p + low * OFFSET);
    for (*i = (uint32_t)low * EXTENTS_STRIDE; *i < e->count; ++*i) {
        struct extent x;
        int rc = extents_get(t, e, *i, &x);
        if (rc)
            return rc;
        if (offset < *begins + x.size)
            return 0;
        *begins += x.size;
    }
    return E_INTERNAL;
}
