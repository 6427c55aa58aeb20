/* jscan: is this run of bytes one JSON text? Answered as the bytes arrive.
 *
 * RFC 8259, strictly: one value, no trailing comma, no comment, no byte order mark, UTF-8 checked
 * (no overlong form, no surrogate, nothing above U+10FFFF), containers nested at most
 * JSCAN_DEPTH_MAX deep. Escaped lone surrogates ("\ud800") pass, as the grammar lets them; numbers
 * of any size pass. Nothing is built and nothing is allocated: a scanner is 40 bytes and may be
 * fed one byte at a time.
 *
 * The two inline helpers are what a decoder shares with the scanner, so that both agree on what a
 * plain string byte and a well-formed sequence are. */
#ifndef BASE_JSCAN_H
#define BASE_JSCAN_H

#include "base/str.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { JSCAN_DEPTH_MAX = 100 };

struct jscan {
    uint64_t offset;                         /* bytes accepted; after an error: where it is */
    uint8_t state;                           /* of the automaton in jscan.c */
    uint8_t depth;                           /* containers open */
    bool key;                                /* the string being read is an object's key */
    uint8_t object[JSCAN_DEPTH_MAX / 8 + 1]; /* bit per open container: it is an object */
};

void jscan_init(struct jscan *j);
/* False once the bytes so far begin no JSON text; it stays false. */
bool jscan_feed(struct jscan *j, const void *p, size_t n);
/* True when all that was fed is one whole JSON text. */
bool jscan_end(const struct jscan *j);
/* The three in one. */
bool jscan_valid(struct str s);

/* True when none of the 8 bytes at p is odd; may be false for no reason. */
static inline bool jscan_plain8(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
    uint64_t w, quote, slash;
    memcpy(&w, p, 8);
    quote = w ^ (ones * '"');
    slash = w ^ (ones * '\\');
    return ((w | (w - ones * 0x20) | (quote - ones) | (slash - ones)) & tops) == 0;
}

/* First byte in [p, end) that is not a plain one of a string: a quote, a backslash, a control byte
 * or a byte >= 0x80; end when there is none. */
static inline const char *jscan_plain(const char *p, const char *end)
{
    size_t n = (size_t)(end - p);
#ifdef __SSE2__
    const __m128i blank = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"'),
                  slash = _mm_set1_epi8('\\');
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* signed: bytes >= 0x80 are below the blank too */
        __m128i odd =
            _mm_or_si128(_mm_cmplt_epi8(x, blank),
                         _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(odd);
        if (mask)
            return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    /* what is left, and perhaps some bytes before it once more */
    if (n >= 8 && end - p <= 16 && jscan_plain8(end - 8) && (end - p <= 8 || jscan_plain8(p)))
        return end;
    while (p < end && (signed char)*p >= 0x20 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Length (2 to 4) of the well-formed multi-byte sequence at p, 0 when there is none. *p >= 0x80. */
static inline size_t jscan_utf8(const char *p, const char *end)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t n = (size_t)(end - p);
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return n >= 2 && (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((s[0] & 0xf0) == 0xe0) {
        unsigned char low = s[0] == 0xe0 ? 0xa0 : 0x80, high = s[0] == 0xed ? 0x9f : 0xbf;
        return n >= 3 && s[1] >= low && s[1] <= high && (s[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        unsigned char low = s[0] == 0xf0 ? 0x90 : 0x80, high = s[0] == 0xf4 ? 0x8f : 0xbf;
        return n >= 4 && s[1] >= low && s[1] <= high && (s[2] & 0xc0) == 0x80 &&
                       (s[3] & 0xc0) == 0x80
                   ? 4
                   : 0;
    }
    return 0;
}

#endif
