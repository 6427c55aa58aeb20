/* module_log: emit(level, message, fields), write(stream, text) and mask(text): what print, log,
 * io.stdout and secrets come down to. Fields follow the message as one JSON object, written leniently: logging never
 * fails because of what is logged. */
#include "runner/module.h"

#include "runner/ljson.h"
#include "runner/output.h"
#include "svc/logs.h"

static LJMP void append_json(lua_State *L, int idx, struct buf *out)
{
    struct ljson_problem problem;
    ljson_write(L, idx, out, &ljson_lenient, &problem); /* cut short when out is full */
}

static int emit(lua_State *L)
{
    struct runner *r = runner_of(L);
    struct str message;
    int level = (int)luaL_checkinteger(L, 1);
    luaL_argcheck(L, level >= LOG_TRACE && level <= LOG_FATAL, 1, "not a level");
    bool fields = lua_type(L, 3) == LUA_TTABLE;
    if (lua_type(L, 2) == LUA_TSTRING && !fields) {
        message.p = lua_tolstring(L, 2, &message.n);
        output_line(r, level, message);
        return 0;
    }
    buf_clear(&r->out);
    r->out.limit = LOG_LINES_MAX + 1;
    if (lua_type(L, 2) == LUA_TSTRING) {
        message.p = lua_tolstring(L, 2, &message.n);
        buf_add(&r->out, str_of(message.p, message.n < LOG_LINES_MAX ? message.n : LOG_LINES_MAX));
    } else {
        append_json(L, 2, &r->out);
    }
    if (fields) {
        buf_addc(&r->out, ' ');
        append_json(L, 3, &r->out);
    }
    output_line(r, level, buf_str(&r->out));
    runner_trim(r);
    return 0;
}

static int write_stream(lua_State *L)
{
    struct str text;
    int stream = (int)luaL_checkinteger(L, 1);
    luaL_argcheck(L, stream == 0 || stream == 1, 1, "not a stream");
    text.p = luaL_checklstring(L, 2, &text.n);
    output_write(runner_of(L), stream, text);
    return 0;
}

static int mask(lua_State *L)
{
    struct str text;
    text.p = luaL_checklstring(L, 1, &text.n);
    output_mask(runner_of(L), text);
    return 0;
}

LJMP void module_log(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"emit", emit}, {"write", write_stream}, {"mask", mask}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
