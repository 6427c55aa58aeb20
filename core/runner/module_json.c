/* module_json: the codec as Lua functions, under two contracts.
 *
 * json: decode answers nil and an error object for a text that is none, since texts come from
 * outside; encode raises for a value that has no JSON form, since values come from the program.
 * cjson: both raise; sparse arrays and number keys are written as that module writes them; arrays
 * are plain tables. */
#include "runner/module.h"

#include "runner/call.h"
#include "runner/ljson.h"

static LJMP int encode(lua_State *L, int flags, const char *name)
{
    struct runner *r = runner_of(L);
    struct ljson_problem problem;
    uint64_t room = runner_room(L);
    luaL_checkany(L, 1);
    buf_clear(&r->out);
    r->out.limit = room ? room : 1;
    if (!ljson_write(L, 1, &r->out, flags, &problem)) {
        if (r->out.rc)
            runner_no_memory(L);
        return luaL_error(L, "%s: %s%s%s cannot be written", name, problem.what,
                          problem.path[0] ? " at value" : "", problem.path);
    }
    lua_pushlstring(L, r->out.p, r->out.n);
    runner_trim(r);
    return 1;
}

static int json_encode(lua_State *L)
{
    int flags = 0;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "indent");
        flags = lua_toboolean(L, -1) ? LJSON_INDENT : 0;
        lua_pop(L, 1);
    }
    return encode(L, flags, "json.encode");
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

static int cjson_encode(lua_State *L)
{
    return encode(L, LJSON_CJSON, "cjson.encode");
}

static int cjson_decode(lua_State *L)
{
    struct ljson_problem problem;
    struct str text;
    text.p = luaL_checklstring(L, 1, &text.n);
    if (ljson_read(L, text, LJSON_PLAIN_ARRAYS, &problem))
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
