/* ljson_read: a recursive descent over the bytes, values pushed as they are met.
 *
 * Members and elements wait on the Lua stack until a container ends or BATCH of them are there, so
 * that the table of a small container is made once with its right size (growing one by single
 * insertions costs three times as much). Recursion is bounded by the depth. */
#include "runner/ljson.h"

#include <math.h>

#include "base/jscan.h"

enum { BATCH = 32, EXACT_DIGITS = 19, EXACT_POWER = 22 };

struct reader {
    lua_State *L;
    struct buf *scratch;
    const char *p, *end;
    const char *what; /* what is wrong at p */
    int depth;
    bool tag;
    bool escaped; /* the last string had escapes */
};

static LJMP bool read_value(struct reader *r);

LJMP bool ljson_read(lua_State *L, struct str text, int flags, struct ljson_problem *problem)
{
    int top = lua_gettop(L);
    struct reader r = {L, &runner_of(L)->scratch,        text.p, text.p + text.n, NULL,
                       0, !(flags & LJSON_PLAIN_ARRAYS), false};
    bool ok = read_value(&r);
    if (ok && r.p != r.end) {
        r.what = "something follows the value";
        ok = false;
    }
    if (!ok) {
        lua_settop(L, top);
        problem->offset = (size_t)(r.p - text.p);
        snprintf(problem->what, sizeof problem->what, "%s",
                 r.what         ? r.what
                 : r.p == r.end ? "the text ends too early"
                                : "unexpected byte");
        problem->path[0] = 0;
    }
    return ok;
}

static inline void skip_blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

/* --- strings --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at p, or -1. */
static int hex4(const struct reader *r, const char *p)
{
    int v = 0;
    if (r->end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

static inline void put_run(struct buf *b, const char *p, size_t n)
{
    char *to = buf_room(b, n);
    if (to && n) {
        memcpy(to, p, n);
        b->n += n;
    }
}

static void put_utf8(struct buf *b, uint32_t c)
{
    char s[4];
    size_t n = 0;
    if (c < 0x80) {
        s[n++] = (char)c;
    } else if (c < 0x800) {
        s[n++] = (char)(0xc0 | c >> 6);
        s[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        s[n++] = (char)(0xe0 | c >> 12);
        s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        s[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        s[n++] = (char)(0xf0 | c >> 18);
        s[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        s[n++] = (char)(0x80 | (c & 0x3f));
    }
    put_run(b, s, n);
}

/* r->p is at the 'u' of an escape: appends the character, of both halves of a pair when there are
 * two. */
static bool read_unicode(struct reader *r)
{
    int c = hex4(r, r->p + 1);
    if (c < 0) {
        r->what = "\\u needs four hex digits";
        return false;
    }
    r->p += 5;
    uint32_t full = (uint32_t)c;
    if (c >= 0xd800 && c <= 0xdfff) {
        int low = -1;
        if (c < 0xdc00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u')
            low = hex4(r, r->p + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            full = 0x10000 + ((uint32_t)(c - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
            r->p += 6;
        } else {
            full = 0xfffd;
        }
    }
    put_utf8(r->scratch, full);
    return true;
}

/* r->p is at a backslash. */
static bool read_escape(struct reader *r)
{
    static const char plain[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    if (++r->p == r->end)
        return false;
    if (*r->p == 'u')
        return read_unicode(r);
    char c = *r->p >= 0 ? plain[(int)*r->p] : 0;
    if (!c) {
        r->what = "unknown escape";
        return false;
    }
    buf_put(r->scratch, c);
    r->p++;
    return true;
}

/* Steps over plain bytes and whole sequences; false at a byte that no string may hold. */
static bool string_run(struct reader *r)
{
    for (;;) {
        r->p = jscan_plain(r->p, r->end);
        if (r->p == r->end)
            return false;
        if (*r->p >= 0)
            break;
        size_t n = jscan_utf8(r->p, r->end);
        if (n == 0) {
            r->what = "not UTF-8";
            return false;
        }
        r->p += n;
    }
    if (*r->p == '"' || *r->p == '\\')
        return true;
    r->what = "a control byte in a string";
    return false;
}

/* r->p is at the opening quote: pushes the string. */
static LJMP bool read_string(struct reader *r)
{
    const char *start = ++r->p;
    if (!string_run(r))
        return false;
    r->escaped = *r->p != '"';
    if (!r->escaped) {
        lua_pushlstring(r->L, start, (size_t)(r->p++ - start));
        return true;
    }
    runner_scratch(r->L);
    for (;;) {
        put_run(r->scratch, start, (size_t)(r->p - start));
        if (*r->p == '"')
            break;
        if (!read_escape(r))
            return false;
        start = r->p;
        if (!string_run(r))
            return false;
    }
    r->p++;
    if (r->scratch->rc)
        runner_no_memory(r->L);
    lua_pushlstring(r->L, r->scratch->p ? r->scratch->p : "", r->scratch->n);
    return true;
}

/* --- numbers --- */

struct number {
    uint64_t digits; /* the first EXACT_DIGITS significant ones */
    int count;       /* of them */
    int64_t power;   /* value = digits * 10^power, when none were dropped */
    bool dropped;
};

static bool digits(struct reader *r, struct number *n, bool fraction)
{
    const char *start = r->p;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        if (n->count == EXACT_DIGITS) {
            n->dropped = true;
            continue;
        }
        n->digits = n->digits * 10 + (uint64_t)(*r->p - '0');
        n->count += n->digits != 0;
        n->power -= fraction;
    }
    return r->p > start;
}

static bool exponent(struct reader *r, struct number *n)
{
    int64_t e = 0;
    r->p++;
    bool minus = r->p < r->end && *r->p == '-';
    if (r->p < r->end && (*r->p == '-' || *r->p == '+'))
        r->p++;
    const char *start = r->p;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++)
        e = e < 100000 ? e * 10 + (*r->p - '0') : e;
    n->power += minus ? -e : e;
    return r->p > start;
}

/* The general case, from the text itself. */
static double slow_number(struct reader *r, struct str text)
{
    runner_scratch(r->L);
    buf_add(r->scratch, text);
    buf_addc(r->scratch, 0);
    return r->scratch->rc ? NAN : strtod(r->scratch->p, NULL);
}

static LJMP bool read_number(struct reader *r)
{
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *start = r->p;
    struct number n = {0};
    bool minus = *r->p == '-';
    r->p += minus;
    if (r->p < r->end && *r->p == '0')
        r->p++;
    else if (!digits(r, &n, false))
        return false;
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!digits(r, &n, true))
            return false;
    }
    if (r->p < r->end && (*r->p | 0x20) == 'e' && !exponent(r, &n))
        return false;
    double x;
    if (!n.dropped && n.digits <= 1ull << 53 && n.power >= -EXACT_POWER && n.power <= EXACT_POWER) {
        /* both operands are exact, so the one rounding is the right one */
        x = (double)n.digits;
        x = n.power < 0 ? x / powers[-n.power] : x * powers[n.power];
        x = minus ? -x : x;
    } else {
        x = slow_number(r, str_of(start, (size_t)(r->p - start)));
    }
    lua_pushnumber(r->L, x);
    return true;
}

/* --- containers --- */

static LJMP bool open_container(struct reader *r)
{
    if (++r->depth > JSCAN_DEPTH_MAX) {
        r->what = "more than 100 levels";
        return false;
    }
    luaL_checkstack(r->L, BATCH + 8, "JSON");
    r->p++;
    skip_blanks(r);
    return r->p < r->end;
}

/* Moves the `count` values on the stack into the array below them, making it at first. */
static LJMP void flush_elements(struct reader *r, int base, int count, int at, bool made)
{
    if (!made) {
        lua_createtable(r->L, count, 0);
        lua_insert(r->L, base);
    }
    while (count > 0)
        lua_rawseti(r->L, base, at + count--);
}

static LJMP bool read_array(struct reader *r)
{
    int base = lua_gettop(r->L) + 1, waiting = 0, done = 0;
    bool made = false;
    if (!open_container(r))
        return false;
    if (*r->p == ']') {
        r->p++;
    } else {
        for (;;) {
            if (!read_value(r))
                return false;
            if (++waiting == BATCH) {
                flush_elements(r, base, waiting, done, made);
                done += waiting;
                waiting = 0;
                made = true;
            }
            if (r->p == r->end)
                return false;
            char c = *r->p;
            if (c != ',' && c != ']')
                return false;
            r->p++;
            if (c == ']')
                break;
        }
    }
    flush_elements(r, base, waiting, done, made);
    if (r->tag) {
        lua_rawgeti(r->L, LUA_REGISTRYINDEX, SLOT_ARRAY);
        lua_setmetatable(r->L, base);
    }
    return true;
}

/* The same for pairs of key and value. From the last one on, which takes one call a pair; in order,
 * so that the last of equal names stays, when two of them might be equal. */
static LJMP void flush_members(struct reader *r, int base, int pairs, bool made, bool equal)
{
    lua_State *L = r->L;
    if (!made) {
        lua_createtable(L, 0, pairs);
        lua_insert(L, base);
    }
    for (int i = 0; i < pairs && equal; i++) {
        lua_pushvalue(L, base + 1 + 2 * i);
        lua_pushvalue(L, base + 2 + 2 * i);
        lua_rawset(L, base);
    }
    if (equal)
        lua_settop(L, base);
    else
        for (int i = 0; i < pairs; i++)
            lua_rawset(L, base);
}

/* Marks a name of an object as seen; true when an equal one may have been. */
static bool seen_before(uint64_t seen[4], const char *p, size_t n)
{
    unsigned h = (unsigned)n * 7;
    if (n)
        h ^= (unsigned char)p[0] * 31u ^ (unsigned char)p[n / 2] * 59u ^
             (unsigned char)p[n - 1] * 3u;
    uint64_t bit = 1ull << (h & 63), *word = &seen[h >> 6 & 3];
    bool before = (*word & bit) != 0;
    *word |= bit;
    return before;
}

/* "name": value */
static LJMP bool read_member(struct reader *r, uint64_t seen[4], bool *equal)
{
    if (*r->p != '"') {
        r->what = "a name in quotes must stand here";
        return false;
    }
    const char *name = r->p;
    if (!read_string(r))
        return false;
    if (r->escaped)
        *equal = true; /* another spelling of the same name is possible */
    else
        *equal |= seen_before(seen, name, (size_t)(r->p - name));
    skip_blanks(r);
    if (r->p == r->end || *r->p != ':')
        return false;
    r->p++;
    return read_value(r);
}

static LJMP bool read_object(struct reader *r)
{
    int base = lua_gettop(r->L) + 1, pairs = 0;
    bool made = false, equal = false;
    uint64_t seen[4] = {0};
    if (!open_container(r))
        return false;
    if (*r->p == '}') {
        r->p++;
    } else {
        for (;;) {
            if (!read_member(r, seen, &equal))
                return false;
            if (++pairs == BATCH / 2) {
                flush_members(r, base, pairs, made, equal);
                pairs = 0;
                made = true;
                equal = false;
                memset(seen, 0, sizeof seen);
            }
            if (r->p == r->end)
                return false;
            char c = *r->p;
            if (c != ',' && c != '}')
                return false;
            r->p++;
            if (c == '}')
                break;
            skip_blanks(r);
            if (r->p == r->end)
                return false;
        }
    }
    flush_members(r, base, pairs, made, equal);
    return true;
}

/* --- values --- */

static LJMP bool read_word(struct reader *r)
{
    size_t left = (size_t)(r->end - r->p);
    if (left >= 4 && memcmp(r->p, "true", 4) == 0) {
        lua_pushboolean(r->L, 1);
        r->p += 4;
    } else if (left >= 5 && memcmp(r->p, "false", 5) == 0) {
        lua_pushboolean(r->L, 0);
        r->p += 5;
    } else if (left >= 4 && memcmp(r->p, "null", 4) == 0) {
        lua_pushlightuserdata(r->L, NULL);
        r->p += 4;
    } else {
        return false;
    }
    return true;
}

/* One value with the blanks around it. */
static LJMP bool read_value(struct reader *r)
{
    bool ok;
    skip_blanks(r);
    if (r->p == r->end)
        return false;
    switch (*r->p) {
    case '"':
        ok = read_string(r);
        break;
    case '{':
        ok = read_object(r);
        r->depth--;
        break;
    case '[':
        ok = read_array(r);
        r->depth--;
        break;
    case 't':
    case 'f':
    case 'n':
        ok = read_word(r);
        break;
    default:
        ok = (*r->p == '-' || (*r->p >= '0' && *r->p <= '9')) && read_number(r);
        break;
    }
    if (ok)
        skip_blanks(r);
    return ok;
}
