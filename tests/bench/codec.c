/* codec: the runner's JSON codec beside lua-cjson, on the same texts in the same run, each in a Lua
 * state of its own.
 *
 *     codec PATH-OF-CJSON.SO [ROUNDS [CASE]]
 *
 * One line a case: name, then medians in MB/s of decoding (ours, theirs) and encoding (ours,
 * theirs). Rounds alternate, so that both meet the same machine. */
#include <luajit.h> /* before base/str.h */
#include <lualib.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runner/self.h"
#include "runner/state.h"

enum { TARGET = 6 * 1000 * 1000, ROUNDS_MAX = 99 };

static struct runner ours;
static lua_State *theirs;

/* Each makes a text of about TARGET bytes. */
static const struct {
    const char *name, *lua;
} cases[] = {
    {"records",
     "local t = {}\n"
     "for i = 1, 26000 do t[i] = { id = i, name = 'user number ' .. i, email = 'user' .. i .. "
     "'@example.com',\n"
     "  price = i * 1.25, active = i % 2 == 0, tags = { 'alpha', 'beta', 'gamma' },\n"
     "  address = { street = 'Main Street ' .. i, city = 'Springfield', zip = '1234' .. i % 10 },\n"
     "  note = 'The quick brown fox jumps over the lazy dog' } end\n"
     "return t"},
    {"text", "return { text = ('x'):rep(6000000) }"},
    {"escapes",
     "local t = {}\n"
     "for i = 1, 60000 do t[i] = 'line ' .. i .. '\\n\\t\"quoted\" back\\\\slash and gr\\195\\188n "
     "\\226\\130\\172 ' .. ('y'):rep(40) end\n"
     "return t"},
    {"numbers", "local t = {}\n"
                "for i = 1, 440000 do t[i] = i % 3 == 0 and i * 7919 or i * 1.37 + 0.001 end\n"
                "return t"},
    {"nested", "local function tree(n) if n == 0 then return { leaf = true, v = n } end\n"
               "  return { l = tree(n - 1), r = tree(n - 1), n = n, s = 'node' } end\n"
               "return { tree(16), tree(16) }"},
};

static void run(lua_State *L, const char *code, int results)
{
    if (luaL_loadstring(L, code) || lua_pcall(L, 0, results, 0)) {
        fprintf(stderr, "codec: %s\n", lua_tostring(L, -1));
        exit(1);
    }
}

/* Of this thread: other programs on the machine take none of it. */
static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Milliseconds of CPU of one call of the global function f on the global value x; its result becomes the
 * global `result`. */
static double once(lua_State *L, const char *f, const char *x)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    lua_getglobal(L, f);
    lua_getglobal(L, x);
    double began = cpu_ms();
    if (lua_pcall(L, 1, 1, 0)) {
        fprintf(stderr, "codec: %s\n", lua_tostring(L, -1));
        exit(1);
    }
    double ms = cpu_ms() - began;
    lua_setglobal(L, "result");
    return ms;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static void measure(const char *name, int rounds)
{
    double ms[4][ROUNDS_MAX];
    size_t n;
    lua_getglobal(ours.L, "text");
    const char *text = lua_tolstring(ours.L, -1, &n);
    lua_pushlstring(theirs, text, n);
    lua_setglobal(theirs, "text");
    lua_pop(ours.L, 1);
    for (int i = 0; i < rounds; i++) {
        lua_State *L[2] = {ours.L, theirs};
        for (int k = 0; k < 2; k++) {
            int who = (i + k) % 2; /* who is first changes */
            ms[who][i] = once(L[who], "decode", "text");
            lua_getglobal(L[who], "result");
            lua_setglobal(L[who], "value");
            ms[2 + who][i] = once(L[who], "encode", "value");
            run(L[who], "value, result = nil", 0);
        }
    }
    double mb = (double)n / 1e6 * 1e3;
    printf("%s %.0f %.0f %.0f %.0f\n", name, mb / median(ms[0], rounds), mb / median(ms[1], rounds),
           mb / median(ms[2], rounds), mb / median(ms[3], rounds));
}

int main(int argc, char **argv)
{
    int rounds = argc > 2 ? atoi(argv[2]) : 11;
    void *so = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) : NULL;
    lua_CFunction open_cjson = NULL;
    if (so)
        *(void **)&open_cjson = dlsym(so, "luaopen_cjson");
    if (!open_cjson || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: codec cjson.so [ROUNDS [CASE]]%s%s\n", so ? "" : ": ",
                so ? "" : dlerror());
        return 2;
    }
    memory_init(&ours.memory, NULL, 1ull << 30);
    state_open(&ours);
    run(ours.L, "encode, decode = json.encode, json.decode", 0);
    theirs = luaL_newstate();
    luaL_openlibs(theirs);
    lua_pushcfunction(theirs, open_cjson);
    lua_call(theirs, 0, 1);
    lua_setglobal(theirs, "cjson");
    run(theirs, "encode, decode = cjson.encode, cjson.decode", 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc > 3 && strcmp(argv[3], cases[i].name) != 0)
            continue;
        run(ours.L, cases[i].lua, 1);
        lua_setglobal(ours.L, "value");
        run(ours.L, "text = encode(value) value = nil", 0);
        measure(cases[i].name, rounds);
    }
    return 0;
}
