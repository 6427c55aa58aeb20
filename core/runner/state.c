/* state: libraries, allow-list, modules, in that order; then the globals are exchanged.
 *
 * Our Lua modules (lua/NAME.lua) are chunks that get two tables: `core`, the C functions of this
 * folder, and `env`, the environment under construction. They are compiled before the first fork to
 * bytecode without names of files and lines, which is also how failure.c knows their frames. */
#include "runner/state.h"

#include <luajit.h>
#include <lualib.h>

#include "base/embed.h"
#include "base/hash.h"
#include "base/log.h"
#include "runner/call.h"
#include "runner/collect.h"
#include "runner/failure.h"
#include "runner/loader.h"
#include "runner/module.h"

/* What functions see of the libraries, by name. "": globals. What is missing here does not exist;
 * what needs a guard is replaced by lua/base.lua under the same name. */
static const struct allowed {
    const char *library, *names;
} allowed[] = {
    {"", "_VERSION assert error getmetatable ipairs next pairs pcall rawequal rawget rawset select "
         "setmetatable tonumber type unpack xpcall"},
    {"string", "byte char find gmatch gsub len lower match rep reverse sub upper"},
    {"table", "concat foreach foreachi getn insert maxn move remove sort"},
    {"math", "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 "
             "max min modf pi pow rad random randomseed sin sinh sqrt tan tanh"},
    {"bit", "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex"},
    {"coroutine", "create isyieldable resume running status wrap yield"},
    {"os", "clock date difftime time"},
};

/* The order matters: later ones use what earlier ones put into core. */
static const char *const sources[] = {
    "lua/base.lua",  "lua/check.lua",  "lua/buffer.lua",      "lua/log.lua",     "lua/task.lua",
    "lua/time.lua",  "lua/s3.lua",     "lua/s3_stream.lua",   "lua/kv.lua",      "lua/lambda.lua",
    "lua/http.lua",  "lua/events.lua", "lua/transaction.lua", "lua/cache.lua",   "lua/secrets.lua",
    "lua/asset.lua", "lua/cjson.lua",  "lua/stream.lua",      "lua/payload.lua", "lua/require.lua",
};
enum { SOURCES = sizeof sources / sizeof *sources };

/* What 'perilune test' adds, compiled only by a runner of specs. Host calls played in memory come
 * before all others, which keep `core.call`; the rest is busted's grammar. */
static const char spec_first[] = "lua/spec/fakes.lua";
static const char *const spec_last[] = {"lua/spec/plays.lua",  "lua/spec/text.lua",
                                        "lua/spec/assert.lua", "lua/spec/double.lua",
                                        "lua/spec/event.lua",  "lua/spec/run.lua"};

static struct str bytecode[SOURCES]; /* kept for the life of the process */

/* --- preparing --- */

/* Pushes the bytecode of an embedded module, in a state with Lua's own globals. */
static LJMP void push_compiled(lua_State *L, const char *name)
{
    struct str source = embed_find(str_c(name));
    if (!source.p)
        luaL_error(L, "%s is not in the binary", name);
    lua_getglobal(L, "string");
    lua_getfield(L, -1, "dump");
    lua_remove(L, -2);
    if (luaL_loadbuffer(L, source.p, source.n, name))
        lua_error(L);
    lua_pushboolean(L, 1);
    lua_call(L, 2, 1);
}

static int compile_sources(lua_State *L)
{
    luaopen_base(L);
    luaopen_string(L);
    for (int i = 0; i < SOURCES; i++) {
        struct str code;
        push_compiled(L, sources[i]);
        code.p = lua_tolstring(L, -1, &code.n);
        char *copy = malloc(code.n);
        if (!copy)
            return luaL_error(L, "out of memory");
        memcpy(copy, code.p, code.n);
        bytecode[i] = str_of(copy, code.n);
        lua_settop(L, 0);
    }
    return 0;
}

/* The first error a process raises makes the C unwinder set itself up, which wakes a futex: a call
 * the jail does not allow. */
static int raise_once(lua_State *L)
{
    return luaL_error(L, "once");
}

void state_prepare(void)
{
    unsigned char digest[HASH_MAX];
    if (bytecode[0].p)
        return;
    lua_State *L = luaL_newstate();
    if (!L || lua_cpcall(L, compile_sources, NULL))
        fatal("lua modules: %s", L ? lua_tostring(L, -1) : "out of memory");
    lua_cpcall(L, raise_once, NULL);
    lua_close(L);
    for (int alg = HASH_MD5; alg <= HASH_SHA512; alg++) /* fetches them all, makes the context */
        hash_once((enum hash_alg)alg, STR(""), digest);
}

/* --- the environment --- */

static LJMP void open_libraries(lua_State *L)
{
    static const lua_CFunction libraries[] = {luaopen_base, luaopen_table, luaopen_string,
                                              luaopen_math, luaopen_bit,   luaopen_os,
                                              luaopen_jit};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        lua_pushcfunction(L, libraries[i]);
        lua_pushliteral(L, "");
        lua_call(L, 1, 0);
    }
}

/* Calls a function of an original library with one string or number argument. */
static LJMP void call_library(lua_State *L, const char *library, const char *name, int args)
{
    lua_getglobal(L, library);
    if (strchr(name, '.')) {
        lua_getfield(L, -1, "opt");
        lua_remove(L, -2);
        name = strchr(name, '.') + 1;
    }
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    lua_insert(L, -1 - args);
    lua_call(L, args, 0);
}

static LJMP void tune(lua_State *L)
{
    lua_pushliteral(L, "maxtrace=2000"); /* code of hot loops, held beside the cap: ≤ 4 MiB */
    lua_pushliteral(L, "maxmcode=4096");
    call_library(L, "jit", "opt.start", 2);
}

/* The table `library` of env at idx, made when missing. */
static LJMP void push_env_table(lua_State *L, int env, const char *library)
{
    if (!*library) {
        lua_pushvalue(L, env);
        return;
    }
    lua_getfield(L, env, library);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, env, library);
    }
}

static LJMP void copy_allowed(lua_State *L, int env, const struct allowed *row)
{
    struct str names = str_c(row->names);
    push_env_table(L, env, row->library);
    if (*row->library)
        lua_getglobal(L, row->library);
    else
        lua_pushvalue(L, LUA_GLOBALSINDEX);
    while (names.n) {
        struct str name = str_cut(&names, ' ');
        lua_pushlstring(L, name.p, name.n);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1))
            lua_pop(L, 2); /* not in this LuaJIT */
        else
            lua_rawset(L, -4);
    }
    lua_pop(L, 2);
}

/* A module of C functions as a field of the table at idx. */
static LJMP void add_module(lua_State *L, int idx, const char *name, void (*fill)(lua_State *L))
{
    push_env_table(L, idx, name);
    fill(L);
    lua_pop(L, 1);
}

/* package.preload of the original libraries: "string.buffer", "table.new", …: called, their value
 * becomes a field of core. */
static LJMP void add_preloads(lua_State *L, int core)
{
    static const char *const names[] = {"string.buffer", "table.new", "table.clear"};
    lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lua_getfield(L, -1, names[i]);
        lua_pushstring(L, names[i]);
        lua_call(L, 1, 1);
        lua_setfield(L, core, names[i]);
    }
    lua_pop(L, 1);
}

/* string.buffer's methods: only those on the list stay reachable. reserve, commit and ref hand out
 * raw pointers, putcdata reads any memory. */
static LJMP void narrow_buffers(lua_State *L, int core)
{
    static const char *const methods[] = {"put", "putf", "get", "tostring", "reset", "skip"};
    lua_getfield(L, core, "string.buffer");
    lua_getfield(L, -1, "new");
    lua_call(L, 0, 1);
    lua_getmetatable(L, -1);
    lua_getfield(L, -1, "__index");
    lua_createtable(L, 0, 6);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        lua_getfield(L, -2, methods[i]);
        lua_setfield(L, -2, methods[i]);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, core, "buffer_methods");
    lua_setfield(L, -3, "__index");
    lua_pop(L, 4);
}

/* Methods of strings are the environment's string table, and the metatable stays hidden. */
static LJMP void lock_strings(lua_State *L, int env)
{
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_getfield(L, env, "string");
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

/* Arrays are known by an empty metatable. A function may put something into it, which then is the
 * function's own affair: we read and write arrays raw. */
static LJMP void make_array_metatable(lua_State *L)
{
    struct runner *r = runner_of(L);
    lua_newtable(L);
    r->array = lua_topointer(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_ARRAY);
}

static LJMP void fill_core(lua_State *L, int core)
{
    add_preloads(L, core);
    narrow_buffers(L, core);
    lua_pushvalue(L, core);
    call_register(L);
    lua_pop(L, 1);
    call_push_numbers(L);
    lua_setfield(L, core, "numbers");
    lua_pushcfunction(L, failure_traceback);
    lua_setfield(L, core, "traceback");
    lua_pushcfunction(L, failure_misuse);
    lua_setfield(L, core, "misuse");
    lua_pushcfunction(L, call_new_error);
    lua_setfield(L, core, "new_error");
    lua_pushvalue(L, core);
    loader_register(L);
    module_log(L);
    lua_pop(L, 1);
    add_module(L, core, "cjson", module_cjson);
}

static LJMP void fill_env(lua_State *L, int env)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        copy_allowed(L, env, &allowed[i]);
    lua_pushvalue(L, env);
    lua_setfield(L, env, "_G");
    add_module(L, env, "json", module_json);
    add_module(L, env, "crypto", module_crypto);
    add_module(L, env, "base64", module_base64);
    add_module(L, env, "hex", module_hex);
    add_module(L, env, "time", module_time);
    add_module(L, env, "os", module_os);
    lock_strings(L, env);
}

static LJMP void run_module(lua_State *L, struct str code, int core, int env)
{
    if (luaL_loadbufferx(L, code.p, code.n, "=?", "b"))
        lua_error(L);
    lua_pushvalue(L, core);
    lua_pushvalue(L, env);
    lua_call(L, 2, 0);
}

static LJMP void run_spec_module(lua_State *L, const char *name, int core, int env)
{
    struct str code;
    push_compiled(L, name);
    code.p = lua_tolstring(L, -1, &code.n);
    run_module(L, code, core, env);
    lua_pop(L, 1);
}

static LJMP void run_sources(lua_State *L, int core, int env)
{
    bool spec = runner_of(L)->spec;
    if (spec)
        run_spec_module(L, spec_first, core, env);
    for (int i = 0; i < SOURCES; i++)
        run_module(L, bytecode[i], core, env);
    for (size_t i = 0; spec && i < sizeof spec_last / sizeof *spec_last; i++)
        run_spec_module(L, spec_last[i], core, env);
}

/* Keeps out of core what C calls later. */
static LJMP void keep(lua_State *L, int core, const char *name, enum slot slot)
{
    lua_getfield(L, core, name);
    if (!lua_isfunction(L, -1))
        luaL_error(L, "core.%s is missing", name);
    lua_rawseti(L, LUA_REGISTRYINDEX, slot);
}

static int build(lua_State *L)
{
    enum { CORE = 1, ENV = 2 };
    lua_settop(L, 0);
    open_libraries(L);
    tune(L);
    make_array_metatable(L);
    lua_newtable(L);
    lua_newtable(L);
    fill_core(L, CORE);
    fill_env(L, ENV);
    run_sources(L, CORE, ENV);
    keep(L, CORE, "load_handler", SLOT_LOAD);
    keep(L, CORE, "tostring", SLOT_TOSTRING);
    keep(L, CORE, "make_request", SLOT_MAKE_REQUEST);
    keep(L, CORE, "make_context", SLOT_MAKE_CONTEXT);
    lua_pushvalue(L, ENV);
    lua_replace(L, LUA_GLOBALSINDEX); /* of this C function's thread: all that comes is in env */
    static const char *const gone[] = {"_LOADED", "_PRELOAD"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        lua_newtable(L);
        lua_setfield(L, LUA_REGISTRYINDEX, gone[i]);
    }
    lua_newthread(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, SLOT_THREAD);
    collect_open(L);
    return 0;
}

void state_open(struct runner *r)
{
    state_prepare();
    r->L = lua_newstate(memory_alloc, r);
    if (!r->L)
        fatal("no memory for a Lua state");
    if (lua_cpcall(r->L, build, NULL))
        fatal("lua modules: %s", lua_tostring(r->L, -1));
}

int state_own_seed(lua_State *L)
{
    uint32_t seed;
    random_bytes(&seed, sizeof seed);
    lua_pushnumber(L, seed);
    call_library(L, "math", "randomseed", 1);
    return 0;
}

void state_close(struct runner *r)
{
    lua_close(r->L);
    memory_deinit(&r->memory);
    r->L = NULL;
}
