/* codec: hex, base64 and percent-encoding.
 *
 * Every decoder is strict, because what it decodes came from a client and is compared, hashed or
 * stored afterwards: two spellings of one value would be two ways past a check. So base64 must be
 * padded and its unused bits zero, and a '%' must be followed by two hex digits. Where a decoder
 * says false, an appended-to buffer is as long as it was before (uri_decode excepted, as its header
 * says). Lookups go through 256-entry tables built by the compiler; nothing here allocates but
 * through the caller's buffer. */
#include "base/codec.h"

static const char hex_digits[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Eight digits at once: each nibble is moved to a byte of its own, then becomes its digit. */
static uint64_t hex_of_four(const unsigned char *p)
{
    const uint64_t ones = 0x0101010101010101u;
    uint32_t v;
    memcpy(&v, p, 4);
    uint64_t x = __builtin_bswap32(v);
    x = (x << 16 | x) & 0x0000ffff0000ffffu;
    x = (x << 8 | x) & 0x00ff00ff00ff00ffu;
    x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0fu;
    uint64_t letter = (x + 6 * ones) >> 4 & ones; /* 1 in each byte above 9 */
    return __builtin_bswap64(x + '0' * ones + letter * ('a' - '0' - 10));
}

/* Four bytes a step: a request's id and, when it is signed, four digests. */
void hex_encode(const void *in, size_t n, char *out)
{
    const unsigned char *p = in;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        uint64_t eight = hex_of_four(p + i);
        memcpy(out + 2 * i, &eight, 8);
    }
    for (; i < n; i++) {
        out[2 * i] = hex_digits[p[i] >> 4];
        out[2 * i + 1] = hex_digits[p[i] & 15];
    }
    out[2 * n] = 0;
}

bool hex_decode(struct str s, void *out)
{
    unsigned char *p = out;
    if (s.n % 2)
        return false;
    for (size_t i = 0; i < s.n; i += 2) {
        int hi = hex_value(s.p[i]), lo = hex_value(s.p[i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        p[i / 2] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}

/* --- base64 ----------------------------------------------------------------------------------- */

static const char alphabet_std[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Value plus one, 0 for bytes outside the alphabet; the two last digits differ by alphabet. */
#define LETTERS_AND_DIGITS                                                                         \
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,        \
    ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, \
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23,            \
    ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,            \
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37,            \
    ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44,            \
    ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51,            \
    ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58,            \
    ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62
static const unsigned char values_std[256] = {LETTERS_AND_DIGITS, ['+'] = 63, ['/'] = 64};
static const unsigned char values_url[256] = {LETTERS_AND_DIGITS, ['-'] = 63, ['_'] = 64};

static void encode64(struct buf *out, struct str in, const char *abc, bool pad)
{
    const unsigned char *p = (const unsigned char *)in.p;
    char *o = buf_reserve(out, in.n / 3 * 4 + 4);
    if (!o)
        return;
    char *start = o;
    size_t i = 0;
    for (; i + 3 <= in.n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
        *o++ = abc[v >> 18];
        *o++ = abc[v >> 12 & 63];
        *o++ = abc[v >> 6 & 63];
        *o++ = abc[v & 63];
    }
    if (i < in.n) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < in.n ? (uint32_t)p[i + 1] << 8 : 0);
        *o++ = abc[v >> 18];
        *o++ = abc[v >> 12 & 63];
        if (i + 1 < in.n)
            *o++ = abc[v >> 6 & 63];
        for (size_t left = 3 - (in.n - i); pad && left > 0; left--)
            *o++ = '=';
    }
    out->n += (size_t)(o - start);
}

/* in holds no padding here. */
static bool decode64(struct buf *out, struct str in, const unsigned char *val)
{
    const unsigned char *p = (const unsigned char *)in.p;
    if (in.n % 4 == 1)
        return false;
    unsigned char *start = (unsigned char *)buf_reserve(out, in.n / 4 * 3 + 3), *o = start;
    if (!o)
        return false;
    size_t i = 0;
    for (; i + 4 <= in.n; i += 4) {
        uint32_t a = val[p[i]], b = val[p[i + 1]], c = val[p[i + 2]], d = val[p[i + 3]];
        if (!a || !b || !c || !d)
            return false;
        uint32_t v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
        *o++ = (unsigned char)(v >> 16);
        *o++ = (unsigned char)(v >> 8);
        *o++ = (unsigned char)v;
    }
    if (i < in.n) {
        uint32_t a = val[p[i]], b = val[p[i + 1]], c = i + 2 < in.n ? val[p[i + 2]] : 1;
        if (!a || !b || !c)
            return false;
        uint32_t v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6;
        *o++ = (unsigned char)(v >> 16);
        if (i + 2 < in.n)
            *o++ = (unsigned char)(v >> 8);
        if (v & (i + 2 < in.n ? 0xFFu : 0xFFFFu))
            return false; /* bits that the padding leaves unused must be zero */
    }
    out->n += (size_t)(o - start);
    return true;
}

/* in without its one or two trailing '='. */
static struct str unpadded(struct str in)
{
    for (int i = 0; i < 2 && in.n && in.p[in.n - 1] == '='; i++)
        in.n--;
    return in;
}

void base64_encode(struct buf *out, struct str in)
{
    encode64(out, in, alphabet_std, true);
}

bool base64_decode(struct buf *out, struct str in)
{
    return in.n % 4 == 0 && decode64(out, unpadded(in), values_std);
}

void base64url_encode(struct buf *out, struct str in)
{
    encode64(out, in, alphabet_url, false);
}

bool base64url_decode(struct buf *out, struct str in)
{
    struct str bare = unpadded(in);
    return (bare.n == in.n || in.n % 4 == 0) && decode64(out, bare, values_url);
}

/* --- percent-encoding --------------------------------------------------------------------------
 */

static inline bool unreserved(char c)
{
    static const unsigned char set[256] = {
        LETTERS_AND_DIGITS, ['-'] = 1, ['.'] = 1, ['_'] = 1, ['~'] = 1};
    return set[(unsigned char)c];
}

static void percent(struct buf *out, char c)
{
    char *o = buf_reserve(out, 3);
    if (!o)
        return;
    o[0] = '%';
    o[1] = hex_upper[(unsigned char)c >> 4];
    o[2] = hex_upper[(unsigned char)c & 15];
    out->n += 3;
}

void uri_encode(struct buf *out, struct str in, bool keep_slash)
{
    size_t from = 0;
    if (in.n == 0)
        return;
    for (size_t i = 0; i < in.n; i++) {
        if (unreserved(in.p[i]) || (keep_slash && in.p[i] == '/'))
            continue;
        buf_add(out, str_of(in.p + from, i - from));
        percent(out, in.p[i]);
        from = i + 1;
    }
    buf_add(out, str_of(in.p + from, in.n - from));
}

void form_encode(struct buf *out, struct str in)
{
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == ' ')
            buf_addc(out, '+');
        else if (c != '~' && (unreserved(c) || c == '/' || c == '*'))
            buf_addc(out, c);
        else
            percent(out, c);
    }
}

bool uri_decode(struct buf *out, struct str in, bool plus_is_space)
{
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            int hi = i + 2 < in.n ? hex_value(in.p[i + 1]) : -1;
            int lo = i + 2 < in.n ? hex_value(in.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return false;
            buf_addc(out, (char)(hi << 4 | lo));
            i += 2;
        } else {
            buf_addc(out, c == '+' && plus_is_space ? ' ' : c);
        }
    }
    return out->rc == 0;
}
