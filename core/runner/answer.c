/* answer: fields of the table are read raw and judged one by one, so that what the function got
 * wrong is named; the core still treats all of it as hostile. */
#include "runner/answer.h"

#include "base/codec.h"
#include "base/rec.h"
#include "runner/failure.h"
#include "runner/ljson.h"

/* Room for the record's own bytes beside a body of full size. */
enum { RECORD_EXTRA = 64 * 1024, HEADERS_MAX = 100 };

static bool wrong(struct failure *f, const char *what)
{
    failure_set(f, FRAME_ERROR_FUNCTION, "Runtime.InvalidResponse",
                "The answer to an HTTP request is wrong: %s", what);
    return false;
}

/* JSON of the value at idx, appended. */
static LJMP bool write_json(lua_State *L, int idx, struct failure *f)
{
    struct runner *r = runner_of(L);
    struct ljson_problem problem;
    if (ljson_write(L, idx, &r->out, &ljson_strict, &problem) || r->out.rc)
        return true;
    failure_set(f, FRAME_ERROR_FUNCTION, "Runtime.MarshalError",
                "The result cannot be written as JSON: %s%s%s", problem.what,
                problem.path[0] ? " at result" : "", problem.path);
    return false;
}

/* Pushes the field, and returns its type. */
static LJMP int get(lua_State *L, int t, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, t);
    if (lua_islightuserdata(L, -1)) { /* json.null counts as not given */
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    return lua_type(L, -1);
}

static bool header_name_ok(struct str s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr(marks, c))))
            return false;
    }
    return s.n > 0 && s.n <= 256;
}

static bool header_value_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 ? s.p[i] != '\t' : s.p[i] == 0x7f)
            return false;
    return s.n <= 16 * 1024;
}

static void put_header(struct buf *out, struct str name, struct str value)
{
    size_t mark = rec_begin(out, URL_HEADER);
    rec_put_str(out, 1, name);
    rec_put_str(out, 2, value);
    rec_end(out, mark);
}

/* Name at -2 and value at -1. */
static LJMP bool write_header(lua_State *L, struct buf *out, bool *typed, struct failure *f)
{
    struct str name = {NULL, 0}, value;
    if (lua_type(L, -2) != LUA_TSTRING)
        return wrong(f, "a header's name is no string");
    name.p = lua_tolstring(L, -2, &name.n);
    if (!header_name_ok(name))
        return wrong(f, "a header's name has characters that no name may have");
    if (lua_type(L, -1) == LUA_TBOOLEAN)
        value = lua_toboolean(L, -1) ? STR("true") : STR("false");
    else if (!(value.p = lua_tolstring(L, -1, &value.n)))
        return wrong(f, "a header's value is no string");
    if (!header_value_ok(value))
        return wrong(f, "a header's value has control characters or is too long");
    *typed |= str_ieq(name, STR("content-type"));
    put_header(out, name, value);
    return true;
}

static LJMP bool write_headers(lua_State *L, int t, struct buf *out, struct failure *f)
{
    bool typed = false;
    int type = get(L, t, "headers"), count = 0;
    if (type == LUA_TTABLE) {
        int headers = lua_gettop(L);
        lua_pushnil(L);
        while (lua_next(L, headers)) {
            if (++count > HEADERS_MAX)
                return wrong(f, "more than 100 headers");
            if (!write_header(L, out, &typed, f))
                return false;
            lua_pop(L, 1);
        }
    } else if (type != LUA_TNIL) {
        return wrong(f, "headers must be a table");
    }
    lua_pop(L, 1);
    if (!typed)
        put_header(out, STR("content-type"), STR("application/json"));
    return true;
}

static LJMP bool write_cookies(lua_State *L, int t, struct buf *out, struct failure *f)
{
    int type = get(L, t, "cookies");
    if (type != LUA_TTABLE && type != LUA_TNIL)
        return wrong(f, "cookies must be an array of strings");
    for (int i = 1; type == LUA_TTABLE; i++) {
        struct str v;
        lua_rawgeti(L, -1, i);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            break;
        }
        if (i > HEADERS_MAX)
            return wrong(f, "more than 100 cookies");
        if (lua_type(L, -1) != LUA_TSTRING)
            return wrong(f, "a cookie is no string");
        v.p = lua_tolstring(L, -1, &v.n);
        if (!header_value_ok(v))
            return wrong(f, "a cookie has control characters or is too long");
        rec_put_str(out, URL_COOKIE, v);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return true;
}

static LJMP bool write_body(lua_State *L, int t, struct buf *out, struct failure *f)
{
    struct str s;
    get(L, t, "isBase64Encoded");
    bool encoded = lua_toboolean(L, -1);
    lua_pop(L, 1);
    int type = get(L, t, "body");
    size_t mark = rec_begin(out, URL_BODY);
    if (type == LUA_TTABLE || type == LUA_TBOOLEAN) {
        if (!write_json(L, lua_gettop(L), f))
            return false;
    } else if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        s.p = lua_tolstring(L, -1, &s.n);
        if (!encoded)
            buf_add(out, s);
        else if (!base64_decode(out, s) && !out->rc)
            return wrong(f, "isBase64Encoded is set and the body is not base64");
    } else if (type != LUA_TNIL) {
        return wrong(f, "the body is neither a string nor a table");
    }
    rec_end(out, mark);
    lua_pop(L, 1);
    return true;
}

/* The table at the top has a statusCode, which is at status. */
static LJMP bool write_response(lua_State *L, int t, double status, struct failure *f)
{
    struct buf *out = &runner_of(L)->out;
    if (!(status >= 200 && status <= 599 && status == (int)status))
        return wrong(f, "statusCode must be a whole number from 200 to 599");
    rec_put_u64(out, URL_STATUS, (uint64_t)status);
    return write_headers(L, t, out, f) && write_cookies(L, t, out, f) && write_body(L, t, out, f);
}

static LJMP bool write_http(lua_State *L, struct failure *f)
{
    struct buf *out = &runner_of(L)->out;
    int t = lua_gettop(L);
    if (lua_istable(L, t)) {
        int type = get(L, t, "statusCode");
        double status = type == LUA_TNUMBER || type == LUA_TSTRING ? lua_tonumber(L, -1) : 0;
        lua_pop(L, 1);
        if (type != LUA_TNIL)
            return write_response(L, t, status, f);
    }
    rec_put_u64(out, URL_STATUS, 200);
    put_header(out, STR("content-type"), STR("application/json"));
    size_t mark = rec_begin(out, URL_BODY);
    if (!write_json(L, t, f))
        return false;
    rec_end(out, mark);
    return true;
}

static size_t body_size(const struct runner *r, uint32_t event_kind)
{
    return event_kind == EVENT_URL ? rec_str(buf_str(&r->out), URL_BODY).n : r->out.n;
}

LJMP bool answer_write(lua_State *L, uint32_t event_kind, struct failure *f)
{
    struct runner *r = runner_of(L);
    uint64_t room = runner_room(L);
    size_t most = PAYLOAD_MAX + (event_kind == EVENT_URL ? RECORD_EXTRA : 0);
    bool tight = room < most;
    int top = lua_gettop(L);
    buf_clear(&r->out);
    r->out.limit = tight ? (room ? room : 1) : most;
    bool ok = event_kind == EVENT_URL ? write_http(L, f) : write_json(L, top, f);
    lua_settop(L, top);
    if (r->out.rc && tight)
        runner_no_memory(L);
    if (r->out.rc || (ok && body_size(r, event_kind) > PAYLOAD_MAX)) {
        failure_set(f, FRAME_ERROR_FUNCTION, "Function.ResponseSizeTooLarge",
                    "Response payload size exceeded maximum allowed payload size (%d bytes).",
                    PAYLOAD_MAX);
        return false;
    }
    if (ok && memory_hold(&r->memory, r->out.n)) /* seen by the peak */
        memory_drop(&r->memory, r->out.n);
    return ok;
}
