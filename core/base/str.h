/* str: a borrowed run of bytes.
 *
 * Every text that is not a C literal travels as a struct str: pointer and length, no NUL needed,
 * any byte allowed. A str never owns its bytes; whoever hands one out says how long they live.
 * strcpy, strcat and sprintf are poisoned for every file that includes this one. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

/* A str over a string literal; usable in initialisers of automatic variables. */
#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
/* For printf's "%.*s". */
#define STR_FMT(s) (int)(s).n, (s).p

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){p, n};
}

/* NULL gives the empty str. */
static inline struct str str_c(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_c(z));
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* For tables in memory (FNV-1a, mixed): not against who chooses keys to collide. */
static inline uint64_t str_hash(struct str s, uint64_t seed)
{
    uint64_t h = 0xcbf29ce484222325u ^ seed * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* s without its first n bytes (n <= s.n). */
static inline struct str str_from(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

bool str_same_folded(const char *a, const char *b, size_t n);
/* ASCII case folded comparison. Most names differ in length already: that needs no call. */
static inline bool str_ieq(struct str a, struct str b)
{
    return a.n == b.n && str_same_folded(a.p, b.p, a.n);
}
/* Byte order, shorter first on a tie: <0, 0, >0. */
int str_cmp(struct str a, struct str b);
/* Index of byte c in s at or after `from`, or -1. */
ptrdiff_t str_index(struct str s, char c, size_t from);
/* Index of `needle` in s, or -1; an empty needle is found at 0. */
ptrdiff_t str_find(struct str s, struct str needle);
/* Without leading and trailing spaces and tabs. */
struct str str_trim(struct str s);
/* Cuts *rest at the first `sep`: returns what precedes it, leaves in *rest what follows (empty with
 * p NULL when there was no separator). */
struct str str_cut(struct str *rest, char sep);
/* Unsigned decimal, all of s, no sign, no blanks: true and *out, or false (empty, junk, overflow).
 */
bool str_u64(struct str s, uint64_t *out);
/* Length of the well-formed UTF-8 sequence that s begins with (1..4), or 0. Overlong forms,
 * surrogates and anything above U+10FFFF are none. */
size_t str_utf8_sequence(struct str s);
/* True when all of s is well-formed UTF-8. */
bool str_utf8(struct str s);
/* Equal length and content, time independent of where they differ. For MACs and tokens. */
bool str_eq_secret(struct str a, struct str b);

#pragma GCC poison strcpy strcat sprintf

#endif
