/* key: how composite keys are written, so that LMDB's byte order is the order of their parts.
 *
 * Fixed-width integers are big endian; names end in NUL, so that no name sorts inside another's
 * rows; a last part of free length comes without an end mark. The same parts read back with
 * key_take_*. No allocation: a key is built on the stack and lives there. */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include "base/str.h"

enum { KEY_MAX = 511 }; /* LMDB's limit */

struct key {
    size_t n; /* > KEY_MAX: it did not fit */
    char b[KEY_MAX + 1];
};

static inline struct str key_str(const struct key *k)
{
    return str_of(k->b, k->n);
}

/* Appends raw bytes (a last part). */
static inline struct key *key_bytes(struct key *k, struct str v)
{
    if (k->n <= KEY_MAX && v.n && v.n <= KEY_MAX - k->n)
        memcpy(k->b + k->n, v.p, v.n);
    k->n += v.n;
    return k;
}

static inline struct key *key_u64(struct key *k, uint64_t v)
{
    uint64_t be = __builtin_bswap64(v);
    return key_bytes(k, str_of((const char *)&be, 8));
}

static inline struct key *key_u32(struct key *k, uint32_t v)
{
    uint32_t be = __builtin_bswap32(v);
    return key_bytes(k, str_of((const char *)&be, 4));
}

/* Appends v and a NUL; v must hold none. */
static inline struct key *key_name(struct key *k, struct str v)
{
    key_bytes(k, v);
    return key_bytes(k, str_of("", 1));
}

/* Each removes its part from the front of *rest; false when it is not there. */
static inline bool key_take_u64(struct str *rest, uint64_t *v)
{
    if (rest->n < 8)
        return false;
    memcpy(v, rest->p, 8);
    *v = __builtin_bswap64(*v);
    *rest = str_from(*rest, 8);
    return true;
}

static inline bool key_take_u32(struct str *rest, uint32_t *v)
{
    if (rest->n < 4)
        return false;
    memcpy(v, rest->p, 4);
    *v = __builtin_bswap32(*v);
    *rest = str_from(*rest, 4);
    return true;
}

static inline bool key_take_name(struct str *rest, struct str *v)
{
    ptrdiff_t end = str_index(*rest, 0, 0);
    if (end < 0)
        return false;
    *v = str_of(rest->p, (size_t)end);
    *rest = str_from(*rest, (size_t)end + 1);
    return true;
}

#endif
