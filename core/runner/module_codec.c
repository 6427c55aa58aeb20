/* module_codec: base64 and hex. Decoders answer nil and an error object for a text that is not in
 * the encoding. */
#include "runner/module.h"

#include "base/codec.h"
#include "runner/call.h"

static LJMP int give(lua_State *L, struct buf *out, bool ok, const char *what)
{
    if (out->rc)
        runner_no_memory(L);
    if (!ok) {
        lua_pushnil(L);
        call_push_error(L, STR("InvalidArgument"), str_c(what));
        return 2;
    }
    lua_pushlstring(L, out->n ? out->p : "", out->n);
    runner_trim(runner_of(L));
    return 1;
}

static LJMP struct str check_bytes(lua_State *L)
{
    struct str s;
    s.p = luaL_checklstring(L, 1, &s.n);
    return s;
}

static int encode64(lua_State *L)
{
    struct str s = check_bytes(L);
    struct buf *out = runner_scratch(L);
    base64_encode(out, s);
    return give(L, out, true, "");
}

static int decode64(lua_State *L)
{
    struct str s = check_bytes(L);
    struct buf *out = runner_scratch(L);
    return give(L, out, base64_decode(out, s), "not base64");
}

static int url_encode(lua_State *L)
{
    struct str s = check_bytes(L);
    struct buf *out = runner_scratch(L);
    base64url_encode(out, s);
    return give(L, out, true, "");
}

static int url_decode(lua_State *L)
{
    struct str s = check_bytes(L);
    struct buf *out = runner_scratch(L);
    return give(L, out, base64url_decode(out, s), "not base64 for URLs");
}

static int encode_hex(lua_State *L)
{
    struct str s = check_bytes(L);
    struct buf *out = runner_scratch(L);
    char *to = buf_reserve(out, 2 * s.n + 1);
    if (to) {
        hex_encode(s.p, s.n, to);
        out->n = 2 * s.n;
    }
    return give(L, out, true, "");
}

static int decode_hex(lua_State *L)
{
    struct str s = check_bytes(L);
    struct buf *out = runner_scratch(L);
    char *to = buf_reserve(out, s.n / 2 + 1);
    bool ok = to && hex_decode(s, to);
    if (ok)
        out->n = s.n / 2;
    return give(L, out, ok, "not hex");
}

LJMP void module_base64(lua_State *L)
{
    static const luaL_Reg functions[] = {{"encode", encode64},
                                         {"decode", decode64},
                                         {"url_encode", url_encode},
                                         {"url_decode", url_decode},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}

LJMP void module_hex(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", encode_hex}, {"decode", decode_hex}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
