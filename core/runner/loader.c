/* loader: looks files up in the record that LOAD brought. It is searched from its start each time:
 * a package has few files that are required, and an index of many would cost the function memory.
 */
#include "runner/loader.h"

#include "base/rec.h"

enum { FILE_PATH = 1, FILE_SIZE, FILE_BYTES };

static int file(lua_State *L)
{
    struct runner *r = runner_of(L);
    struct str path, rest = r->load, v;
    uint16_t tag;
    path.p = luaL_checklstring(L, 1, &path.n);
    while (rec_next(&rest, &tag, &v)) {
        if (tag != LOAD_FILE || !str_eq(rec_str(v, FILE_PATH), path))
            continue;
        struct str bytes = rec_str(v, FILE_BYTES);
        uint64_t size = rec_u64(v, FILE_SIZE, bytes.n);
        if (bytes.p)
            lua_pushlstring(L, bytes.p, bytes.n);
        else
            lua_pushnil(L);
        lua_pushnumber(L, (lua_Number)size);
        return 2;
    }
    lua_pushnil(L);
    return 1;
}

static int compile(lua_State *L)
{
    size_t n;
    const char *source = luaL_checklstring(L, 1, &n), *path = luaL_checkstring(L, 2);
    if (n && source[0] == '\x1b') {
        lua_pushnil(L);
        lua_pushfstring(L, "%s:1: compiled Lua is not accepted, only source text", path);
        return 2;
    }
    lua_pushfstring(L, "@%s", path);
    if (luaL_loadbufferx(L, source, n, lua_tostring(L, -1), "t") == 0)
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int note(lua_State *L)
{
    static const char *const types[] = {"Runtime.ImportModuleError", "Runtime.UserCodeSyntaxError",
                                        "Runtime.HandlerNotFound", NULL};
    struct runner *r = runner_of(L);
    int type = luaL_checkoption(L, 1, NULL, types);
    size_t n;
    const char *message = luaL_checklstring(L, 2, &n);
    size_t from = n < sizeof r->note ? 0 : n - sizeof r->note + 1; /* its end is compared */
    memcpy(r->note, message + from, n - from + 1);
    r->note_type = types[type];
    return 0;
}

LJMP void loader_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"file", file}, {"compile", compile}, {"note", note}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
