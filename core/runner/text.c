/* text: eight bytes at a time while they are ASCII, sequence by sequence otherwise. */
#include "runner/text.h"

#include "base/jscan.h"

/* Whether fewer than eight bytes are all ASCII. */
static bool few_ascii(const char *p, size_t n)
{
    uint32_t a, b;
    if (n >= 4) {
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        return ((a | b) & 0x80808080u) == 0;
    }
    return n == 0 || (p[0] | p[n / 2] | p[n - 1]) >= 0;
}

static const char *skip_valid(const char *p, const char *end)
{
    while (p < end) {
        uint64_t eight;
        if (end - p >= 8 && (memcpy(&eight, p, 8), (eight & 0x8080808080808080u) == 0)) {
            p += 8;
            continue;
        }
        if (end - p < 8 && few_ascii(p, (size_t)(end - p)))
            return end;
        size_t n = *p < 0 ? jscan_utf8(p, end) : 1;
        if (n == 0)
            return p;
        p += n;
    }
    return p;
}

bool text_valid(struct str s)
{
    return s.n == 0 || skip_valid(s.p, s.p + s.n) == s.p + s.n;
}

void text_mend(struct buf *out, struct str s)
{
    const char *p = s.p, *end = s.p + s.n;
    while (p < end) {
        const char *bad = skip_valid(p, end);
        buf_add(out, str_of(p, (size_t)(bad - p)));
        p = bad;
        if (p < end) {
            buf_lit(out, "\xef\xbf\xbd");
            p++;
        }
    }
}

struct str text_cut(struct str s, size_t n)
{
    if (s.n <= n)
        return s;
    size_t at = n;
    while (at > 0 && n - at < 3 && (s.p[at] & 0xc0) == 0x80)
        at--;
    return str_of(s.p, (s.p[at] & 0xc0) == 0x80 ? n : at);
}
