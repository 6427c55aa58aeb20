/* module_time: wall time in seconds, and the one text form of it; the function's environment. */
#include "runner/module.h"

#include <math.h>

#include "base/clock.h"
#include "runner/call.h"

static int now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_wall_ms() / 1000.0);
    return 1;
}

/* iso8601([t]): up to the year 9999 */
static int iso8601(lua_State *L)
{
    char text[25];
    lua_Number t =
        lua_isnoneornil(L, 1) ? (lua_Number)clock_wall_ms() / 1000.0 : luaL_checknumber(L, 1);
    luaL_argcheck(L, t >= -62167219200.0 && t <= 253402300799.0, 1, "year 0 to 9999");
    clock_iso8601((int64_t)floor(t * 1000 + 0.5), text);
    lua_pushstring(L, text);
    return 1;
}

/* What follows the seconds of ISO 8601, "+02:00" or "-0330": minutes; s without it. False: no such
 * thing. */
static bool cut_offset(struct str *s, int *minutes)
{
    int digit[4], n = 0;
    size_t at = s->n;
    while (at > 0 && n < 4 && s->n - at < 5) {
        char c = s->p[--at];
        if (c >= '0' && c <= '9')
            digit[n++] = c - '0';
        else if (c != ':' || n != 2)
            return false;
    }
    if (n < 4 || at < 20 || (s->p[at - 1] != '+' && s->p[at - 1] != '-'))
        return false;
    int h = digit[3] * 10 + digit[2], m = digit[1] * 10 + digit[0];
    *minutes = (h * 60 + m) * (s->p[at - 1] == '-' ? -1 : 1);
    s->n = at - 1;
    return h <= 23 && m <= 59;
}

/* Times with a zone of their own, and days alone: what AWS never signs, but people write. */
static bool parse_more(struct str s, int64_t *ms)
{
    char text[64];
    int minutes = 0, n = 0;
    if (s.n == 10)
        n = snprintf(text, sizeof text, "%.*sT00:00:00Z", STR_FMT(s));
    else if (s.n < 40 && cut_offset(&s, &minutes))
        n = snprintf(text, sizeof text, "%.*sZ", STR_FMT(s));
    if (n <= 0 || !clock_parse(str_of(text, (size_t)n), ms))
        return false;
    *ms -= minutes * 60000ll;
    return true;
}

static int parse(lua_State *L)
{
    struct str s;
    int64_t ms;
    s.p = luaL_checklstring(L, 1, &s.n);
    if (clock_parse(s, &ms) || parse_more(s, &ms)) {
        lua_pushnumber(L, (lua_Number)ms / 1000.0);
        return 1;
    }
    lua_pushnil(L);
    call_push_error(L, STR("InvalidArgument"), STR("not a time like 2026-11-23T11:32:04.123Z"));
    return 2;
}

LJMP void module_time(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"now", now}, {"iso8601", iso8601}, {"parse", parse}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}

/* Made of the request id, so that a client that sends it on can be followed by it. */
static LJMP void push_trace_id(lua_State *L)
{
    const char *id = runner_of(L)->request_id; /* 8-4-4-4-12 */
    char text[80];
    int n = snprintf(text, sizeof text, "Root=1-%.8s-%.4s%.4s%.4s%.12s;Sampled=0", id, id + 9,
                     id + 14, id + 19, id + 24);
    lua_pushlstring(L, text, (size_t)n);
}

/* Names are the function's variables only: there is no other environment here. */
static int get_env(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    if (strcmp(name, "_X_AMZN_TRACE_ID") == 0) {
        push_trace_id(L);
        return 1;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_ENV);
    if (!lua_istable(L, -1))
        return 0;
    lua_pushvalue(L, 1);
    lua_rawget(L, -2);
    return 1;
}

LJMP void module_os(lua_State *L)
{
    lua_pushcfunction(L, get_env);
    lua_setfield(L, -2, "getenv");
}
