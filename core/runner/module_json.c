/* module_json: the codec as Lua functions, under two contracts.
 *
 * json: decode answers nil and an error object for a text that is none, since texts come from
 * outside; encode raises for a value that has no JSON form, since values come from the program.
 * cjson: both raise; sparse arrays and number keys are written as that module writes them; arrays
 * are plain tables. Its settings come as arguments from lua/cjson.lua, which keeps them. */
#include "runner/module.h"

#include <limits.h>

#include "runner/call.h"
#include "runner/ljson.h"

static LJMP int encode(lua_State *L, const struct ljson_style *style, const char *name)
{
    struct runner *r = runner_of(L);
    struct ljson_problem problem;
    uint64_t room = runner_room(L);
    luaL_checkany(L, 1);
    buf_clear(&r->out);
    r->out.limit = room ? room : 1;
    if (!ljson_write(L, 1, &r->out, style, &problem)) {
        if (r->out.rc)
            runner_no_memory(L);
        return luaL_error(L, "%s: %s%s%s cannot be written", name, problem.what,
                          problem.path[0] ? " at value" : "", problem.path);
    }
    lua_pushlstring(L, r->out.p, r->out.n);
    runner_trim(r);
    return 1;
}

/* {indent = 4}: blanks a level; true: 2. */
static LJMP int read_indent(lua_State *L, int idx)
{
    lua_Number n = 0;
    luaL_checktype(L, idx, LUA_TTABLE);
    lua_getfield(L, idx, "indent");
    if (lua_type(L, -1) == LUA_TNUMBER)
        n = lua_tonumber(L, -1);
    else if (lua_toboolean(L, -1))
        n = 2;
    lua_pop(L, 1);
    luaL_argcheck(L, n >= 0 && n <= 16, idx, "indent: 0 to 16 blanks");
    return (int)n;
}

static int json_encode(lua_State *L)
{
    struct ljson_style style = ljson_strict;
    if (!lua_isnoneornil(L, 2))
        style.indent = read_indent(L, 2);
    return encode(L, &style, "json.encode");
}

static int json_decode(lua_State *L)
{
    struct ljson_problem problem;
    struct str text;
    char message[160];
    text.p = luaL_checklstring(L, 1, &text.n);
    if (ljson_read(L, text, 0, &problem))
        return 1;
    int n = snprintf(message, sizeof message, "not JSON: %s at byte %zu", problem.what,
                     problem.offset + 1);
    lua_pushnil(L);
    call_push_error(L, STR("InvalidArgument"), str_of(message, (size_t)n));
    return 2;
}

static int json_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_ARRAY);
    lua_setmetatable(L, 1);
    return 1;
}

static LJMP int bounded(lua_State *L, int idx, int dflt, int max)
{
    lua_Number n = luaL_optnumber(L, idx, dflt);
    return n < 0 ? 0 : n > max ? max : (int)n;
}

/* encode(value, ratio, safe, sparse_names, empty_arrays, nan_null, digits, depth) */
static int cjson_encode(lua_State *L)
{
    struct ljson_style style = {
        .flags = LJSON_CJSON | (lua_toboolean(L, 5) ? LJSON_EMPTY_ARRAYS : 0) |
                 (lua_toboolean(L, 6) ? LJSON_NAN_NULL : 0),
        .ratio = bounded(L, 2, 2, INT_MAX),
        .safe = bounded(L, 3, 10, INT_MAX),
        .sparse_names = lua_toboolean(L, 4),
        .digits = bounded(L, 7, 0, 17),
        .depth = bounded(L, 8, 0, INT_MAX),
    };
    return encode(L, &style, "cjson.encode");
}

/* decode(text, array_metatable) */
static int cjson_decode(lua_State *L)
{
    struct ljson_problem problem;
    struct str text;
    int flags = lua_toboolean(L, 2) ? 0 : LJSON_PLAIN_ARRAYS;
    text.p = luaL_checklstring(L, 1, &text.n);
    if (ljson_read(L, text, flags, &problem))
        return 1;
    return luaL_error(L, "Expected value but found invalid token at character %d (%s)",
                      (int)problem.offset + 1, problem.what);
}

static LJMP void set_constants(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_pushlightuserdata(L, LJSON_EMPTY_ARRAY);
    lua_setfield(L, -2, "empty_array");
}

LJMP void module_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", json_encode}, {"decode", json_decode}, {"array", json_array}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    set_constants(L);
}

LJMP void module_cjson(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", cjson_encode}, {"decode", cjson_decode}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    set_constants(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_ARRAY);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "array_mt");
    lua_setfield(L, -2, "empty_array_mt");
}
