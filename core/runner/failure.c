/* failure: see the header. Lines of the stack are kept as one text, a line each, and become a JSON
 * array when they are written. Frames of the runtime's own Lua modules, which are compiled without
 * names of files, do not show. */
#include "runner/failure.h"

#include <stdarg.h>

#include "runner/ljson.h"
#include "runner/output.h"
#include "runner/text.h"
#include "svc/logs.h"

enum { MESSAGE_MAX = 32 * 1024, TOP_LINES = 25, BOTTOM_LINES = 25, LEVELS_MAX = 100000 };

void failure_deinit(struct failure *f)
{
    buf_deinit(&f->message);
    buf_deinit(&f->trace);
    *f = (struct failure){0};
}

static void start(struct failure *f, uint32_t code, const char *type)
{
    buf_clear(&f->message);
    buf_clear(&f->trace);
    f->code = code;
    snprintf(f->type, sizeof f->type, "%s", type);
}

void failure_set(struct failure *f, uint32_t code, const char *type, const char *fmt, ...)
{
    va_list ap;
    start(f, code, type);
    va_start(ap, fmt);
    buf_vprintf(&f->message, fmt, ap);
    va_end(ap);
}

void failure_memory(struct runner *r, struct failure *f)
{
    failure_set(f, FRAME_ERROR_MEMORY, "Runtime.OutOfMemory",
                "RequestId: %s Error: memory limit of %u MB exceeded", r->request_id, r->memory_mb);
}

/* --- the stack --- */

static bool own_frame(const lua_Debug *ar)
{
    return *ar->what != 'C' && ar->source[0] == '=' && ar->source[1] == '?';
}

/* One line, without newline. */
static void put_frame(lua_State *co, lua_Debug *ar, struct buf *out)
{
    lua_getinfo(co, "nSl", ar);
    if (own_frame(ar) || (*ar->what == 'C' && !ar->name))
        return;
    if (ar->currentline > 0)
        buf_printf(out, "%s:%d: ", ar->short_src, ar->currentline);
    else
        buf_printf(out, "%s: ", *ar->what == 'C' ? "[C]" : ar->short_src);
    if (*ar->what == 'm')
        buf_lit(out, "in main chunk");
    else if (ar->name && *ar->name)
        buf_printf(out, "in function '%.100s'", ar->name);
    else
        buf_printf(out, "in function <%s:%d>", ar->short_src, ar->linedefined);
    buf_addc(out, '\n');
}

/* Levels of the stack. Each look-up walks from the top, so a deep stack is searched by halves. */
static int stack_depth(lua_State *co)
{
    lua_Debug ar;
    int low = 0, high = 64; /* low: that many there are; high: at least one too many */
    while (high < LEVELS_MAX && lua_getstack(co, high - 1, &ar)) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (lua_getstack(co, middle - 1, &ar))
            low = middle;
        else
            high = middle;
    }
    return low;
}

void failure_trace(lua_State *co, int level, struct buf *out)
{
    lua_Debug ar;
    int depth = stack_depth(co), shown = depth - level;
    for (int i = level; i < depth; i++) {
        if (shown > TOP_LINES + BOTTOM_LINES && i == level + TOP_LINES) {
            i = depth - BOTTOM_LINES;
            buf_lit(out, "...\n");
        }
        if (lua_getstack(co, i, &ar))
            put_frame(co, &ar, out);
    }
}

int failure_traceback(lua_State *L)
{
    lua_State *of = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
    int arg = of == L ? 0 : 1;
    if (!lua_isstring(L, arg + 1) && !lua_isnoneornil(L, arg + 1)) {
        lua_pushvalue(L, arg + 1); /* an error object is given back as it is */
        return 1;
    }
    int level = (int)luaL_optinteger(L, arg + 2, of == L ? 1 : 0);
    struct buf *out = runner_scratch(L);
    if (lua_isstring(L, arg + 1)) {
        size_t n;
        const char *message = lua_tolstring(L, arg + 1, &n);
        buf_add(out, str_of(message, n));
        buf_addc(out, '\n');
    }
    buf_lit(out, "stack traceback:");
    size_t mark = out->n;
    failure_trace(of, level < 0 ? 0 : level, out);
    if (out->rc)
        runner_no_memory(L);
    struct str head = str_of(out->p, mark), rest = str_from(buf_str(out), mark);
    int parts = 1;
    lua_pushlstring(L, head.p, head.n);
    while (rest.n) { /* each line indented, no newline at the end */
        struct str line = str_cut(&rest, '\n');
        luaL_checkstack(L, 3, "traceback");
        lua_pushliteral(L, "\n\t");
        lua_pushlstring(L, line.p, line.n);
        parts += 2;
    }
    lua_concat(L, parts);
    return 1;
}

int failure_misuse(lua_State *L)
{
    lua_Debug ar;
    luaL_checkstring(L, 1);
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (*ar.what == 'C' || own_frame(&ar) || ar.currentline <= 0)
            continue;
        lua_pushfstring(L, "%s:%d: %s", ar.short_src, ar.currentline, lua_tostring(L, 1));
        return lua_error(L);
    }
    lua_settop(L, 1);
    return lua_error(L);
}

/* --- the error value --- */

static void set_message(struct failure *f, struct str s)
{
    buf_clear(&f->message);
    text_mend(&f->message, text_cut(s, MESSAGE_MAX));
}

/* The field of the table at idx when it is a string: pushed; else nothing. */
static LJMP bool string_field(lua_State *L, int idx, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, idx);
    if (lua_type(L, -1) == LUA_TSTRING)
        return true;
    lua_pop(L, 1);
    return false;
}

/* Types end up in a header: letters, digits and a few marks. */
static bool type_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-' || c == ':'))
            return false;
    }
    return s.n > 0 && s.n < sizeof((struct failure *)0)->type;
}

/* What tostring makes of the value at idx; the function's __tostring may run, and fail. */
static LJMP void describe(lua_State *L, int idx, struct failure *f)
{
    struct str s;
    lua_rawgeti(L, LUA_REGISTRYINDEX, SLOT_TOSTRING);
    lua_pushvalue(L, idx);
    if (lua_pcall(L, 1, 1, 0) == 0 && (s.p = lua_tolstring(L, -1, &s.n)))
        set_message(f, s);
    else
        set_message(f, STR("(error object that cannot be made a string)"));
    lua_pop(L, 1);
}

static LJMP void take_table(lua_State *L, int idx, struct failure *f)
{
    struct str s;
    struct ljson_problem problem;
    if (string_field(L, idx, "errorType") || string_field(L, idx, "code")) {
        s.p = lua_tolstring(L, -1, &s.n);
        if (type_ok(s))
            snprintf(f->type, sizeof f->type, "%.*s", STR_FMT(s));
        lua_pop(L, 1);
    }
    if (string_field(L, idx, "message") || string_field(L, idx, "errorMessage")) {
        s.p = lua_tolstring(L, -1, &s.n);
        set_message(f, s);
        lua_pop(L, 1);
    } else if (luaL_getmetafield(L, idx, "__tostring")) {
        lua_pop(L, 1);
        describe(L, idx, f);
    } else {
        f->message.limit = MESSAGE_MAX;
        if (!ljson_write(L, idx, &f->message, &ljson_lenient, &problem))
            set_message(f, STR("(a table)"));
        f->message.limit = 0;
    }
}

/* True when message ends with what require noted. */
static bool is_noted(const struct runner *r, struct str message)
{
    return r->note_type && str_ends(message, str_c(r->note));
}

static LJMP void take_value(lua_State *L, int idx, struct failure *f)
{
    struct runner *r = runner_of(L);
    struct str s;
    if (lua_type(L, idx) == LUA_TSTRING) {
        s.p = lua_tolstring(L, idx, &s.n);
        if (is_noted(r, s))
            snprintf(f->type, sizeof f->type, "%s", r->note_type);
        set_message(f, s);
    } else if (lua_type(L, idx) == LUA_TTABLE) {
        take_table(L, idx, f);
    } else {
        describe(L, idx, f);
    }
}

static bool out_of_memory(lua_State *L, int status)
{
    size_t n;
    if (status == LUA_ERRMEM)
        return true;
    if (!runner_of(L)->memory.refused || lua_type(L, -1) != LUA_TSTRING)
        return false;
    const char *p = lua_tolstring(L, -1, &n);
    return str_ends(str_of(p, n), STR("not enough memory"));
}

LJMP void failure_take(lua_State *L, lua_State *co, int status, struct failure *f)
{
    start(f, FRAME_ERROR_FUNCTION, "Runtime.LuaError");
    if (status == LUA_YIELD) {
        failure_set(f, FRAME_ERROR_FUNCTION, "Runtime.LuaError",
                    "attempt to yield outside of a coroutine");
        failure_trace(co, 0, &f->trace);
        return;
    }
    lua_xmove(co, L, 1);
    if (out_of_memory(L, status)) {
        failure_memory(runner_of(L), f);
        failure_trace(co, 0, &f->trace);
        return;
    }
    take_value(L, lua_gettop(L), f);
    failure_trace(co, 0, &f->trace);
    lua_pop(L, 1);
}

/* --- writing --- */

void failure_write(const struct failure *f, const char *request_id, struct buf *out)
{
    struct str rest = buf_str(&f->trace);
    buf_lit(out, "{\"errorMessage\":");
    ljson_quote(out, buf_str(&f->message));
    buf_lit(out, ",\"errorType\":");
    ljson_quote(out, str_c(f->type));
    buf_lit(out, ",\"requestId\":");
    ljson_quote(out, str_c(request_id));
    buf_lit(out, ",\"stackTrace\":[");
    for (bool first = true; rest.n; first = false) {
        if (!first)
            buf_addc(out, ',');
        ljson_quote(out, str_cut(&rest, '\n'));
    }
    buf_lit(out, "]}");
}

void failure_log(struct runner *r, const struct failure *f)
{
    struct buf text = BUF_INIT;
    struct str trace = buf_str(&f->trace);
    if (f->code == FRAME_ERROR_MEMORY && trace.n == 0)
        return; /* the core's own line says all there is */
    if (f->code == FRAME_ERROR_MEMORY)
        buf_lit(&text, "The memory limit was reached in:");
    else
        buf_printf(&text, "%s: %.*s", f->type, STR_FMT(buf_str(&f->message)));
    if (trace.n) {
        buf_addc(&text, '\n');
        buf_add(&text, str_of(trace.p, trace.n - 1));
    }
    output_line(r, LOG_ERROR, buf_str(&text));
    buf_deinit(&text);
}
