/* ljson_write: one pass over the value, one more over the keys of what may be an array.
 *
 * A table whose first key is a string is written as an object at once; any other is looked at as a
 * whole first. (Beginning an array on trust and taking the output back costs 2^depth when every
 * level disappoints.) Raw access throughout: no metamethod of the function runs in here. */
#include "runner/ljson.h"

#include <math.h>

#include "base/jscan.h"

struct writer {
    lua_State *L;
    struct buf *out;
    struct ljson_problem *problem;
    const void *array; /* the array metatable */
    int flags;
    int depth;
    const void *open[JSCAN_DEPTH_MAX]; /* tables being written */
};

static LJMP bool write_value(struct writer *w, int idx);

LJMP bool ljson_write(lua_State *L, int idx, struct buf *out, int flags,
                      struct ljson_problem *problem)
{
    struct writer w = {.L = L, .out = out, .problem = problem, .flags = flags};
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

/* A byte that jscan_plain stopped at, below 0x80. */
static void put_escape(struct buf *out, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char s[6] = {'\\', c};
    size_t n = 2;
    if (c >= 0 && c < 0x20) {
        s[1] = named[(int)c];
        if (!s[1]) {
            memcpy(s + 1, "u00", 3);
            s[4] = hex[c >> 4];
            s[5] = hex[c & 15];
            n = 6;
        }
    }
    buf_add(out, str_of(s, n));
}

/* False at the first byte that is not UTF-8, unless mend. */
static bool put_string(struct buf *out, struct str s, bool mend)
{
    const char *start = s.p, *p = s.p, *end = s.p + s.n;
    char *to = buf_reserve(out, s.n + 2);
    if (!to)
        return true;                        /* out->rc tells */
    if ((p = jscan_plain(p, end)) == end) { /* nearly all are: one copy */
        to[0] = '"';
        memcpy(to + 1, s.n ? s.p : "", s.n);
        to[s.n + 1] = '"';
        out->n += s.n + 2;
        return true;
    }
    buf_addc(out, '"');
    for (; p < end; p = jscan_plain(p, end)) {
        size_t n = *p < 0 ? jscan_utf8(p, end) : 0;
        if (n) {
            p += n;
            continue;
        }
        buf_add(out, str_of(start, (size_t)(p - start)));
        if (*p >= 0)
            put_escape(out, *p);
        else if (mend)
            buf_lit(out, "\xef\xbf\xbd");
        else
            return false;
        start = ++p;
    }
    buf_add(out, str_of(start, (size_t)(end - start)));
    buf_addc(out, '"');
    return true;
}

void ljson_quote(struct buf *out, struct str s)
{
    put_string(out, s, true);
}

static void put_whole(struct buf *out, uint64_t v, bool minus)
{
    enum { DIGITS = 20 };
    char *to = buf_reserve(out, DIGITS + 1), digit[DIGITS];
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

/* x in as few decimals as make it up exactly: prices, seconds, percentages. */
static bool put_short(struct buf *out, double x)
{
    double scale = 1, magnitude = fabs(x);
    for (int places = 1; places <= 6; places++) {
        scale *= 10;
        double scaled = nearbyint(magnitude * scale);
        if (scaled >= 1e15)
            return false;
        if (scaled / scale == magnitude) { /* both exact: the division rounds as reading does */
            uint64_t whole = (uint64_t)scaled / (uint64_t)scale;
            uint64_t rest = (uint64_t)scaled % (uint64_t)scale;
            char digit[8];
            for (int i = places; i-- > 0; rest /= 10)
                digit[i] = (char)('0' + rest % 10);
            if (x < 0)
                buf_addc(out, '-');
            buf_u64(out, whole);
            buf_addc(out, '.');
            buf_add(out, str_of(digit, (size_t)places));
            return true;
        }
    }
    return false;
}

void ljson_number(struct buf *out, double x)
{
    if (fabs(x) < 9.2e18 && x == (double)(int64_t)x) {
        put_whole(out, (uint64_t)fabs(x), signbit(x)); /* a sign of -0 too */
        return;
    }
    if (put_short(out, x))
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
        buf_addc(w->out, '"');
        buf_add(w->out, str_c(what));
        buf_addc(w->out, '"');
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
    if (!(w->flags & LJSON_INDENT))
        return;
    buf_addc(w->out, '\n');
    for (int i = 0; i < w->depth; i++)
        buf_lit(w->out, "  ");
}

enum shape { SEQUENCE, SPARSE, NAMES, MIXED };

/* Looks at all keys: what the table is, and the largest index. */
static LJMP enum shape shape_of(struct writer *w, int t, size_t *max)
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
    if (indices == 0)
        return odd ? MIXED : NAMES;
    return names ? MIXED : *max == indices ? SEQUENCE : SPARSE;
}

/* Elements 1…n by index; what is missing is null. */
static LJMP bool write_indices(struct writer *w, int t, size_t n)
{
    for (size_t i = 1; i <= n && w->out->rc == 0; i++) {
        if (i > 1)
            buf_addc(w->out, ',');
        new_line(w);
        lua_rawgeti(w->L, t, (int)i);
        if (!write_value(w, lua_gettop(w->L))) {
            lua_pushnumber(w->L, (lua_Number)i);
            return blame(w, -1);
        }
        lua_pop(w->L, 1);
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
    buf_addc(w->out, ':');
    if (w->flags & LJSON_INDENT)
        buf_addc(w->out, ' ');
    return true;
}

static LJMP bool write_members(struct writer *w, int t)
{
    lua_State *L = w->L;
    bool first = true;
    lua_pushnil(L);
    while (w->out->rc == 0 && lua_next(L, t)) {
        if (!first)
            buf_addc(w->out, ',');
        first = false;
        new_line(w);
        if (!write_name(w, -2))
            return false;
        int value = lua_gettop(L);
        if (!write_value(w, value))
            return blame(w, value - 1);
        lua_pop(L, 1);
    }
    return true;
}

static void begin(struct writer *w, char bracket)
{
    buf_addc(w->out, bracket);
    w->depth++;
}

static bool end(struct writer *w, char bracket)
{
    w->depth--;
    new_line(w);
    buf_addc(w->out, bracket);
    return true;
}

static LJMP bool write_object(struct writer *w, int t)
{
    begin(w, '{');
    return write_members(w, t) && end(w, '}');
}

/* The table is marked as an array or its first key is no string. */
static LJMP bool write_by_shape(struct writer *w, int t, bool tagged)
{
    size_t max;
    switch (shape_of(w, t, &max)) {
    case SEQUENCE:
        break;
    case SPARSE:
        if (w->flags & LJSON_CJSON && (max <= 10 || max <= 2 * lua_objlen(w->L, t)))
            break;
        if (w->flags & LJSON_LENIENT)
            return write_object(w, t);
        return cannot(w,
                      w->flags & LJSON_CJSON ? "excessively sparse array" : "an array with holes");
    case NAMES:
        if (tagged && !(w->flags & LJSON_LENIENT))
            return cannot(w, "an array with string keys");
        return write_object(w, t);
    case MIXED:
        if (!(w->flags & (LJSON_CJSON | LJSON_LENIENT)))
            return cannot(w, "number and string keys mixed in one table");
        return write_object(w, t);
    }
    begin(w, '[');
    return write_indices(w, t, max) && end(w, ']');
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
        buf_add(w->out, tagged ? STR("[]") : STR("{}"));
        return true;
    }
    if (lua_type(L, -2) == LUA_TSTRING && !tagged) {
        lua_pop(L, 2);
        return write_object(w, t);
    }
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
    if (w->depth == JSCAN_DEPTH_MAX)
        return cannot(w, "more than 100 levels");
    luaL_checkstack(w->L, 8, "JSON");
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
        if (isnan(x))
            return cannot(w, "NaN");
        if (isinf(x))
            return cannot(w, "an infinite number");
        ljson_number(w->out, x);
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
