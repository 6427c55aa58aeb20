/* ljson_write: one pass over the value, one more over the keys of what may be an array.
 *
 * A table whose first key is a string is written as an object at once, one whose first key is 1 as
 * an array where anything else would be an error; any other is looked at as a whole first. No output
 * is ever taken back: that would cost 2^depth when every level disappoints. Raw access throughout: no metamethod of the function runs in here. */
#include "runner/ljson.h"

#include <math.h>

#include "base/jscan.h"

struct writer {
    lua_State *L;
    struct buf *out;
    struct ljson_problem *problem;
    const void *array; /* the array metatable */
    const struct ljson_style *style;
    int flags; /* the style's */
    int depth, depth_max;
    const void *open[JSCAN_DEPTH_MAX]; /* tables being written */
};

const struct ljson_style ljson_strict = {.flags = 0}, ljson_lenient = {.flags = LJSON_LENIENT};

static LJMP bool write_value(struct writer *w, int idx);

LJMP bool ljson_write(lua_State *L, int idx, struct buf *out, const struct ljson_style *style,
                      struct ljson_problem *problem)
{
    struct writer w = {
        .L = L, .out = out, .problem = problem, .style = style, .flags = style->flags};
    w.depth_max = style->depth && style->depth < JSCAN_DEPTH_MAX ? style->depth : JSCAN_DEPTH_MAX;
    w.array = runner_of(L)->array;
    problem->what[0] = problem->path[0] = 0;
    if (idx < 0)
        idx += lua_gettop(L) + 1;
    int top = lua_gettop(L);
    bool ok = write_value(&w, idx) && out->rc == 0;
    lua_settop(L, top);
    return ok;
}

/* --- strings and numbers --- */

enum { PIECE = 512, PIECE_ROOM = 6 * PIECE + 8, STACK_LEVELS = 8 };

/* What stands for a byte below 0x80 that jscan_plain stops at; its length. */
static size_t escape_of(char out[6], char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    out[0] = '\\';
    out[1] = c >= 0x20 ? c : named[(int)c];
    if (out[1])
        return 2;
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

/* Writes at most PIECE bytes of [p, end) to `to`, which has room for 6 times that and what a sequence
 * adds; *done is where it stopped: the end, or a byte that is not UTF-8. The end of what it wrote. */
static char *put_piece(char *to, const char *p, const char *end, const char **done)
{
    const char *stop = end - p > PIECE ? p + PIECE : end;
    char escape[6];
    while (p < stop) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            const char *plain = jscan_plain(p, stop);
            memcpy(to, p, (size_t)(plain - p));
            to += plain - p;
            p = plain;
            continue;
        }
        size_t n = c < 0x80 ? escape_of(escape, *p) : jscan_utf8(p, end);
        if (n == 0)
            break;
        memcpy(to, c < 0x80 ? escape : p, n);
        to += n;
        p += c < 0x80 ? 1 : n;
    }
    *done = p;
    return to;
}

/* False at the first byte that is not UTF-8, unless mend. */
static bool put_string(struct buf *out, struct str s, bool mend)
{
    const char *p = s.p, *end = s.p + s.n;
    char *to = buf_reserve(out, s.n + 2);
    if (!to)
        return true;                  /* out->rc tells */
    if (jscan_plain(p, end) == end) { /* nearly all are: one copy */
        to[0] = '"';
        memcpy(to + 1, s.n ? s.p : "", s.n);
        to[s.n + 1] = '"';
        out->n += s.n + 2;
        return true;
    }
    buf_put(out, '"');
    while (p < end && (to = buf_room(out, PIECE_ROOM))) {
        const char *at;
        out->n += (size_t)(put_piece(to, p, end, &at) - to);
        if (at < end && at - p < PIECE) {
            if (!mend)
                return false;
            buf_lit(out, "\xef\xbf\xbd");
            at++;
        }
        p = at;
    }
    buf_put(out, '"');
    return true;
}

void ljson_quote(struct buf *out, struct str s)
{
    put_string(out, s, true);
}

static void put_whole(struct buf *out, uint64_t v, bool minus)
{
    enum { DIGITS = 20 };
    char *to = buf_room(out, DIGITS + 1), digit[DIGITS];
    if (!to)
        return;
    size_t i = DIGITS;
    do
        digit[--i] = (char)('0' + v % 10);
    while (v /= 10);
    *to = '-';
    memcpy(to + minus, digit + i, DIGITS - i);
    out->n += DIGITS - i + minus;
}

/* The digits of a fraction between 1e-6 and 2^53, exactly: with x = m / 2^e and p decimals,
 * m * 10^p and all that it is compared with fit 128 bits. Of 15, 16, 17 significant digits the
 * first that reads back as x; zeros at the end go, so the shortest text is found. */
typedef unsigned __int128 wide;

static const uint64_t tens[20] = {1ull,
                                  10ull,
                                  100ull,
                                  1000ull,
                                  10000ull,
                                  100000ull,
                                  1000000ull,
                                  10000000ull,
                                  100000000ull,
                                  1000000000ull,
                                  10000000000ull,
                                  100000000000ull,
                                  1000000000000ull,
                                  10000000000000ull,
                                  100000000000000ull,
                                  1000000000000000ull,
                                  10000000000000000ull,
                                  100000000000000000ull,
                                  1000000000000000000ull,
                                  10000000000000000000ull};

static wide ten_to(int p)
{
    return p < 20 ? tens[p] : (wide)tens[19] * tens[p - 19];
}

/* m / 2^e to p decimals, as a whole number of them; false when that does not read back. */
static bool round_to(uint64_t m, int e, int p, uint64_t *out)
{
    wide power = ten_to(p), exact = (wide)m * power, half = (wide)1 << (e - 1);
    uint64_t digits = (uint64_t)((exact + half) >> e);
    wide got = (wide)digits << e, off = got > exact ? got - exact : exact - got;
    *out = digits;
    /* within half the distance to the next double; below a power of two that is a quarter */
    bool edge = m == 1ull << 52 && got < exact;
    return edge ? 4 * off < power : 2 * off < power;
}

static void put_fraction(struct buf *out, uint64_t digits, int places, bool minus)
{
    char text[40], *end = text + sizeof text, *to = end;
    for (; places && digits % 10 == 0; places--)
        digits /= 10;
    for (; places; places--, digits /= 10)
        *--to = (char)('0' + digits % 10);
    *--to = '.';
    do
        *--to = (char)('0' + digits % 10);
    while (digits /= 10);
    if (minus)
        *--to = '-';
    buf_add(out, str_of(to, (size_t)(end - to)));
}

static bool put_exact(struct buf *out, double x)
{
    double magnitude = fabs(x);
    int e, whole = 0;
    uint64_t digits;
    if (magnitude < 1e-6 || magnitude >= 9007199254740992.0)
        return false;
    uint64_t m = (uint64_t)ldexp(frexp(magnitude, &e), 53);
    e = 53 - e;
    while (whole < 16 && magnitude >= (double)tens[whole])
        whole++; /* digits before the point; below 1 they count from the first that is not 0 */
    for (double least = 0.1; magnitude < least && whole > -5; least /= 10)
        whole--;
    int most = e <= 70 ? 17 : 16; /* more would not fit */
    for (int significant = 15; significant <= most; significant++)
        if (significant > whole && round_to(m, e, significant - whole, &digits)) {
            put_fraction(out, digits, significant - whole, x < 0);
            return true;
        }
    return false;
}

void ljson_number(struct buf *out, double x)
{
    if (fabs(x) < 9.2e18 && x == (double)(int64_t)x) {
        put_whole(out, (uint64_t)fabs(x), signbit(x)); /* a sign of -0 too */
        return;
    }
    if (put_exact(out, x))
        return;
    char text[40];
    int n = 0;
    for (int precision = 15; precision <= 17; precision++) {
        n = snprintf(text, sizeof text, "%.*g", precision, x);
        if (strtod(text, NULL) == x)
            break;
    }
    buf_add(out, str_of(text, (size_t)n));
}

/* --- problems --- */

/* In lenient mode what cannot be written becomes a text and is no problem. */
static bool cannot(struct writer *w, const char *what)
{
    if (w->flags & LJSON_LENIENT) {
        buf_put(w->out, '"');
        buf_add(w->out, str_c(what));
        buf_put(w->out, '"');
        return true;
    }
    snprintf(w->problem->what, sizeof w->problem->what, "%s", what);
    return false;
}

/* The value under the key at idx had a problem: its name goes before the path so far. */
static bool blame(struct writer *w, int key)
{
    struct ljson_problem *p = w->problem;
    char old[sizeof p->path];
    if (w->out->rc)
        return false;
    memcpy(old, p->path, sizeof old);
    if (lua_type(w->L, key) == LUA_TNUMBER)
        snprintf(p->path, sizeof p->path, "[%.14g]%.120s", lua_tonumber(w->L, key), old);
    else
        snprintf(p->path, sizeof p->path, ".%.40s%.110s", lua_tostring(w->L, key), old);
    return false;
}

/* --- tables --- */

static void new_line(struct writer *w)
{
    if (!w->style->indent)
        return;
    buf_put(w->out, '\n');
    for (int i = 0; i < w->depth * w->style->indent; i++)
        buf_put(w->out, ' ');
}

enum shape { SEQUENCE, SPARSE, NAMES, MIXED };

/* Looks at all keys: what the table is, its largest index and how many indices there are. */
static LJMP enum shape shape_of(struct writer *w, int t, size_t *max, size_t *count)
{
    lua_State *L = w->L;
    size_t indices = 0, names = 0;
    bool odd = false;
    *max = 0;
    lua_pushnil(L);
    while (lua_next(L, t)) {
        lua_Number k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (k >= 1 && k <= 1e9 && k == floor(k)) {
            indices++;
            *max = (size_t)k > *max ? (size_t)k : *max;
        } else {
            names++;
            odd |= lua_type(L, -2) != LUA_TSTRING;
        }
        lua_pop(L, 1);
    }
    *count = indices;
    if (indices == 0)
        return odd ? MIXED : NAMES;
    return names ? MIXED : *max == indices ? SEQUENCE : SPARSE;
}

/* Elements first…n by index; what is missing is null. */
static LJMP bool write_indices(struct writer *w, int t, size_t first, size_t n)
{
    int value = lua_gettop(w->L) + 1;
    for (size_t i = first; i <= n && w->out->rc == 0; i++) {
        if (i > first)
            buf_put(w->out, ',');
        new_line(w);
        lua_rawgeti(w->L, t, (int)i);
        if (!write_value(w, value)) {
            lua_pushnumber(w->L, (lua_Number)i);
            return blame(w, -1);
        }
        lua_settop(w->L, value - 1);
    }
    return true;
}

/* "name": — false for a key that is none. */
static LJMP bool write_name(struct writer *w, int key)
{
    int type = lua_type(w->L, key);
    if (type == LUA_TSTRING) {
        struct str s;
        s.p = lua_tolstring(w->L, key, &s.n);
        if (!put_string(w->out, s, w->flags & LJSON_LENIENT))
            return cannot(w, "a name that is not UTF-8");
    } else if (type == LUA_TNUMBER && w->flags & (LJSON_CJSON | LJSON_LENIENT)) {
        buf_printf(w->out, "\"%.14g\"", lua_tonumber(w->L, key));
    } else if (w->flags & LJSON_LENIENT) {
        buf_printf(w->out, "\"(%s)\"", luaL_typename(w->L, key));
    } else {
        return cannot(w, type == LUA_TNUMBER ? "number and string keys mixed in one table"
                                             : "a key that is no string");
    }
    buf_put(w->out, ':');
    if (w->style->indent)
        buf_put(w->out, ' ');
    return true;
}

/* The first key and value are on the stack. */
static LJMP bool write_members(struct writer *w, int t)
{
    lua_State *L = w->L;
    int value = lua_gettop(L);
    for (bool more = true; more; more = lua_next(L, t)) {
        new_line(w);
        if (!write_name(w, value - 1))
            return false;
        if (!write_value(w, value))
            return blame(w, value - 1);
        lua_settop(L, value - 1);
        if (w->out->rc)
            return true;
        buf_put(w->out, ',');
    }
    w->out->n--; /* the last comma */
    return true;
}

static void begin(struct writer *w, char bracket)
{
    buf_put(w->out, bracket);
    w->depth++;
}

static bool end(struct writer *w, char bracket)
{
    w->depth--;
    new_line(w);
    buf_put(w->out, bracket);
    return true;
}

/* The first key and value are on the stack. */
static LJMP bool write_object(struct writer *w, int t)
{
    begin(w, '{');
    return write_members(w, t) && end(w, '}');
}

static LJMP bool write_as_object(struct writer *w, int t)
{
    lua_pushnil(w->L);
    lua_next(w->L, t); /* it has one */
    return write_object(w, t);
}

static bool too_sparse(const struct ljson_style *style, size_t max, size_t count)
{
    return style->ratio && max > (size_t)style->safe && max > count * (size_t)style->ratio;
}

/* The table is marked as an array or its first key is no string. */
static LJMP bool write_by_shape(struct writer *w, int t, bool tagged)
{
    size_t max, count;
    switch (shape_of(w, t, &max, &count)) {
    case SEQUENCE:
        break;
    case SPARSE:
        if (w->flags & LJSON_CJSON && !too_sparse(w->style, max, count))
            break;
        if (w->flags & LJSON_LENIENT || w->style->sparse_names)
            return write_as_object(w, t);
        return cannot(w,
                      w->flags & LJSON_CJSON ? "excessively sparse array" : "an array with holes");
    case NAMES:
        if (tagged && !(w->flags & LJSON_LENIENT))
            return cannot(w, "an array with string keys");
        return write_as_object(w, t);
    case MIXED:
        if (!(w->flags & (LJSON_CJSON | LJSON_LENIENT)))
            return cannot(w, "number and string keys mixed in one table");
        return write_as_object(w, t);
    }
    begin(w, '[');
    return write_indices(w, t, 1, max) && end(w, ']');
}

/* Under the strict rules a table with the key 1 is an array or an error, so it is written as one
 * while its keys come in order, as those of most arrays do. The first key and value are on the
 * stack. */
static LJMP bool write_sequence(struct writer *w, int t)
{
    lua_State *L = w->L;
    int value = lua_gettop(L);
    size_t i = 1, max, count;
    begin(w, '[');
    do {
        if (lua_type(L, value - 1) != LUA_TNUMBER || lua_tonumber(L, value - 1) != (lua_Number)i)
            break;
        new_line(w);
        if (!write_value(w, value))
            return blame(w, value - 1);
        lua_settop(L, value - 1);
        if (w->out->rc)
            return true;
        buf_put(w->out, ',');
        i++;
    } while (lua_next(L, t));
    if (lua_gettop(L) == value) { /* the rest lies in another order, or is something else */
        lua_settop(L, value - 2);
        enum shape shape = shape_of(w, t, &max, &count);
        if (shape != SEQUENCE)
            return cannot(w, shape == SPARSE ? "an array with holes"
                                             : "number and string keys mixed in one table");
        return write_indices(w, t, i, max) && end(w, ']');
    }
    w->out->n--; /* the last comma */
    return end(w, ']');
}

static LJMP bool write_table(struct writer *w, int t)
{
    lua_State *L = w->L;
    bool tagged = false;
    if (lua_getmetatable(L, t)) {
        tagged = lua_topointer(L, -1) == w->array;
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    if (!lua_next(L, t)) {
        bool array = tagged || w->flags & LJSON_EMPTY_ARRAYS;
        buf_add(w->out, array ? STR("[]") : STR("{}"));
        return true;
    }
    int key = lua_type(L, -2);
    if (key == LUA_TSTRING && !tagged)
        return write_object(w, t);
    if (key == LUA_TNUMBER && !(w->flags & (LJSON_CJSON | LJSON_LENIENT)) &&
        lua_tonumber(L, -2) == 1)
        return write_sequence(w, t);
    lua_pop(L, 2);
    return write_by_shape(w, t, tagged);
}

/* Keeps the path of open tables. */
static LJMP bool enter_table(struct writer *w, int t)
{
    const void *self = lua_topointer(w->L, t);
    for (int i = 0; i < w->depth; i++)
        if (w->open[i] == self)
            return cannot(w, "a table that contains itself");
    if (w->depth == w->depth_max) {
        char what[40];
        snprintf(what, sizeof what, "more than %d levels", w->depth_max);
        return cannot(w, what);
    }
    if (w->depth % STACK_LEVELS == 0)
        luaL_checkstack(w->L, 4 * STACK_LEVELS + 8, "JSON");
    w->open[w->depth] = self;
    int depth = w->depth;
    bool ok = write_table(w, t);
    if (ok)
        w->depth = depth;
    return ok;
}

static LJMP bool write_value(struct writer *w, int idx)
{
    lua_State *L = w->L;
    struct str s;
    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        s.p = lua_tolstring(L, idx, &s.n);
        if (put_string(w->out, s, w->flags & LJSON_LENIENT))
            return true;
        return cannot(w, "a string that is not UTF-8");
    case LUA_TNUMBER: {
        double x = lua_tonumber(L, idx);
        if (isfinite(x) && !w->style->digits)
            ljson_number(w->out, x);
        else if (isfinite(x))
            buf_printf(w->out, "%.*g", w->style->digits, x);
        else if (w->flags & LJSON_NAN_NULL)
            buf_lit(w->out, "null");
        else
            return cannot(w, isnan(x) ? "NaN" : "an infinite number");
        return true;
    }
    case LUA_TBOOLEAN:
        buf_add(w->out, lua_toboolean(L, idx) ? STR("true") : STR("false"));
        return true;
    case LUA_TNIL:
        buf_lit(w->out, "null");
        return true;
    case LUA_TLIGHTUSERDATA:
        buf_add(w->out, lua_touserdata(L, idx) == LJSON_EMPTY_ARRAY ? STR("[]") : STR("null"));
        return true;
    case LUA_TTABLE:
        return enter_table(w, idx);
    default: {
        char what[40];
        snprintf(what, sizeof what, "a %s", luaL_typename(L, idx));
        return cannot(w, what);
    }
    }
}
