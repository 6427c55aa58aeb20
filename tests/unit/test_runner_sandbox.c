/* The environment of functions: everything that can be reached from _G and from an instance of each
 * type that an allowed call makes is compared with a list kept here; then the known ways out are
 * tried. */
#include <luajit.h> /* before base/str.h */
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "runner/self.h"
#include "runner/state.h"

static struct runner r;

static int setup(void **state)
{
    (void)state;
    memory_init(&r.memory, NULL, 64 * 1024 * 1024);
    state_open(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    state_close(&r);
    return 0;
}

static void lua(const char *code)
{
    if (luaL_loadstring(r.L, code) || lua_pcall(r.L, 0, 0, 0))
        fail_msg("%s\nin: %s", lua_tostring(r.L, -1), code);
}

/* Walks with the function's own means, in a coroutine as functions run in. */
static const char walker[] =
    "local seen, lines = {}, {}\n"
    "local function line(text) lines[#lines + 1] = text end\n"
    "local walk\n"
    "local function walk_table(v, path)\n"
    "  local keys, functions, others = {}, {}, {}\n"
    "  for k in next, v do keys[#keys + 1] = k end\n"
    "  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)\n"
    "  for _, k in ipairs(keys) do\n"
    "    if type(k) ~= 'string' and type(k) ~= 'number' then walk(k, path .. '<key>') end\n"
    "    local x = v[k]\n"
    "    if type(x) == 'function' and not seen[x] then\n"
    "      seen[x] = path .. '.' .. k\n"
    "      functions[#functions + 1] = k\n"
    "    else\n"
    "      others[#others + 1] = k\n"
    "    end\n"
    "  end\n"
    "  line(path .. ': ' .. table.concat(functions, ' '))\n"
    "  for _, k in ipairs(others) do walk(v[k], path .. '.' .. tostring(k)) end\n"
    "end\n"
    "function walk(v, path)\n"
    "  local t = type(v)\n"
    "  if t == 'nil' then return end\n"
    "  if seen[v] then return line(path .. ' = ' .. seen[v]) end\n"
    "  if t == 'table' or t == 'function' or t == 'userdata' or t == 'thread' then\n"
    "    seen[v] = path\n"
    "  end\n"
    "  if t == 'cdata' then return line(path .. ' cdata ' .. tostring(v)) end\n"
    "  if t ~= 'table' then line(path .. ' ' .. t) end\n"
    "  local m = getmetatable(v)\n"
    "  if m ~= nil then\n"
    "    if type(m) == 'table' then walk(m, path .. '<meta>')\n"
    "    else line(path .. '<meta> ' .. tostring(m)) end\n"
    "  end\n"
    "  if t == 'table' then walk_table(v, path) end\n"
    "end\n"
    "walk(_G, '_G')\n"
    "for _, name in ipairs { 'string.buffer', 'table.new', 'table.clear', 'cjson', 'cjson.safe',\n"
    "    'perilune.json', 'perilune.s3' } do\n"
    "  walk(require(name), 'require ' .. name)\n"
    "end\n"
    "local buffer = require 'string.buffer'.new()\n"
    "walk(buffer, 'buffer')\n"
    "for _, m in ipairs { 'put', 'putf', 'get', 'set', 'tostring', 'reset', 'skip', 'free',\n"
    "    'reserve', 'commit', 'ref', 'putcdata', 'encode', 'decode', '__gc', '__index', '__len',\n"
    "    '__tostring', '__metatable', '__concat' } do\n"
    "  walk(buffer[m], 'buffer:' .. m)\n"
    "end\n"
    "local store = kv.open 'n'\n"
    "walk(store, 'store')\n"
    "for _, m in ipairs { 'get', 'set', 'incr', 'delete', 'list', '__index' } do\n"
    "  walk(store[m], 'store:' .. m)\n"
    "end\n"
    "kv.transaction(function(tx)\n"
    "  walk(tx, 'tx')\n"
    "  for _, m in ipairs { 'open', 'invoke_async', 'state', '__index' } do\n"
    "    walk(tx[m], 'tx:' .. m)\n"
    "  end\n"
    "  local s = tx:open 'n'\n"
    "  walk(s, 'tx store')\n"
    "  for _, m in ipairs { 'get', 'set', 'incr', 'delete', 'list', 'state', '__index' } do\n"
    "    walk(s[m], 'tx store:' .. m)\n"
    "  end\n"
    "end)\n"
    "walk(task.all {}, 'results')\n"
    "walk(task.all { function() return coroutine.running() end }[1], 'task')\n"
    "walk('', 'string')\n"
    "for _, m in ipairs { 'dump', 'gfind', '__index' } do walk((('')[m]), 'string:' .. m) end\n"
    "walk(1LL, 'int64') walk(1ULL, 'uint64') walk(1i, 'complex')\n"
    "walk(coroutine.create(print), 'thread') walk(coroutine.wrap(print), 'wrap')\n"
    "walk(coroutine.running(), 'running')\n"
    "walk(('x'):gmatch 'x', 'gmatch')\n"
    "walk(json.decode '[1]', 'array') walk(json.decode '{}', 'object')\n"
    "walk(select(2, json.decode 'x'), 'error object')\n"
    "walk(events.records {}, 'records')\n"
    "walk(os.date '*t', 'date') walk(table.pack(1), 'pack')\n"
    "walk(load 'return 1', 'load') walk(pairs {}, 'pairs') walk(ipairs {}, 'ipairs')\n"
    "walk(select(2, pcall(error)), 'pcall')\n"
    "return table.concat(lines, '\\n') .. '\\n'\n";

static const char reachable[] =
    "_G: assert collectgarbage error getmetatable ipairs load loadstring next pairs "
    "pcall print rawequal rawget rawset require select setmetatable tonumber tostring "
    "type unpack xpcall\n"
    "_G._G = _G\n"
    "_G._VERSION string\n"
    "_G._VERSION<meta> string\n"
    "_G.asset: read\n"
    "_G.base64: decode encode url_decode url_encode\n"
    "_G.bit: arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex\n"
    "_G.cache: get set\n"
    "_G.coroutine: create isyieldable resume running status wrap yield\n"
    "_G.crypto: equals hmac hmac_hex md5 md5_hex random sha1 sha1_hex sha256 sha256_hex "
    "uuid\n"
    "_G.debug: traceback\n"
    "_G.events: decode_key records source\n"
    "_G.hex: decode encode\n"
    "_G.http: get post request respond_stream\n"
    "_G.io: \n"
    "_G.io.stderr: flush write\n"
    "_G.io.stdout: flush write\n"
    "_G.json: array decode encode\n"
    "_G.json.empty_array userdata\n"
    "_G.json.null userdata\n"
    "_G.kv: open transaction\n"
    "_G.lambda: invoke invoke_async\n"
    "_G.log: debug error info warn\n"
    "_G.math: abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp ldexp log "
    "log10 max min modf pow rad random randomseed sin sinh sqrt tan tanh\n"
    "_G.math.huge number\n"
    "_G.math.pi number\n"
    "_G.os: clock date difftime getenv time\n"
    "_G.package: \n"
    "_G.package.config string\n"
    "_G.package.config<meta> string\n"
    "_G.package.loaded: \n"
    "_G.package.loaded._G = _G\n"
    "_G.package.loaded.bit = _G.bit\n"
    "_G.package.loaded.coroutine = _G.coroutine\n"
    "_G.package.loaded.debug = _G.debug\n"
    "_G.package.loaded.io = _G.io\n"
    "_G.package.loaded.math = _G.math\n"
    "_G.package.loaded.os = _G.os\n"
    "_G.package.loaded.package = _G.package\n"
    "_G.package.loaded.string: byte char find format gmatch gsub len lower match rep "
    "reverse sub upper\n"
    "_G.package.loaded.table: clear concat foreach foreachi getn insert maxn move new "
    "pack remove sort\n"
    "_G.package.loaded.table.unpack = _G.unpack\n"
    "_G.package.preload: \n"
    "_G.s3: chunks copy delete get head lines list presign put writer\n"
    "_G.secrets: get\n"
    "_G.string = _G.package.loaded.string\n"
    "_G.table = _G.package.loaded.table\n"
    "_G.task: all\n"
    "_G.time: iso8601 now parse sleep\n"
    "require string.buffer: new\n"
    "require table.new = _G.package.loaded.table.new\n"
    "require table.clear = _G.package.loaded.table.clear\n"
    "require cjson: decode decode_array_with_array_mt decode_invalid_numbers decode_max_depth "
    "encode encode_empty_table_as_object encode_escape_forward_slash encode_invalid_numbers "
    "encode_keep_buffer encode_max_depth encode_number_precision encode_sparse_array new\n"
    "require cjson._NAME string\n"
    "require cjson._NAME<meta> string\n"
    "require cjson._VERSION string\n"
    "require cjson._VERSION<meta> string\n"
    "require cjson.array_mt: \n"
    "require cjson.empty_array = _G.json.empty_array\n"
    "require cjson.empty_array_mt = require cjson.array_mt\n"
    "require cjson.null = _G.json.null\n"
    "require cjson.safe: decode decode_array_with_array_mt decode_invalid_numbers decode_max_depth "
    "encode encode_empty_table_as_object encode_escape_forward_slash encode_invalid_numbers "
    "encode_keep_buffer encode_max_depth encode_number_precision encode_sparse_array new\n"
    "require cjson.safe._NAME string\n"
    "require cjson.safe._NAME<meta> string\n"
    "require cjson.safe._VERSION string\n"
    "require cjson.safe._VERSION<meta> string\n"
    "require cjson.safe.array_mt = require cjson.array_mt\n"
    "require cjson.safe.empty_array = _G.json.empty_array\n"
    "require cjson.safe.empty_array_mt = require cjson.array_mt\n"
    "require cjson.safe.null = _G.json.null\n"
    "require perilune.json = _G.json\n"
    "require perilune.s3 = _G.s3\n"
    "buffer userdata\n"
    "buffer<meta> buffer\n"
    "buffer:put function\n"
    "buffer:putf function\n"
    "buffer:get function\n"
    "buffer:tostring function\n"
    "buffer:reset function\n"
    "buffer:skip function\n"
    "store<meta> kv\n"
    "store: \n"
    "store:get function\n"
    "store:set function\n"
    "store:incr function\n"
    "store:delete function\n"
    "store:list function\n"
    "tx<meta> transaction\n"
    "tx: \n"
    "tx:open function\n"
    "tx:invoke_async function\n"
    "tx store<meta> kv\n"
    "tx store: \n"
    "tx store:get function\n"
    "tx store:set function\n"
    "tx store:incr function\n"
    "tx store:delete function\n"
    "tx store:list function\n"
    "results: \n"
    "task thread\n"
    "string string\n"
    "string<meta> string\n"
    "int64 cdata 1LL\n"
    "uint64 cdata 1ULL\n"
    "complex cdata 0+1i\n"
    "thread thread\n"
    "wrap function\n"
    "running thread\n"
    "gmatch function\n"
    "array<meta> = require cjson.array_mt\n"
    "array: \n"
    "array.1 number\n"
    "object: \n"
    "error object<meta> error\n"
    "error object: \n"
    "error object.code string\n"
    "error object.code<meta> string\n"
    "error object.message string\n"
    "error object.message<meta> string\n"
    "records function\n"
    "date: \n"
    "date.day number\n"
    "date.hour number\n"
    "date.isdst boolean\n"
    "date.min number\n"
    "date.month number\n"
    "date.sec number\n"
    "date.wday number\n"
    "date.yday number\n"
    "date.year number\n"
    "pack: \n"
    "pack.1 number\n"
    "pack.n number\n"
    "load function\n"
    "pairs = _G.next\n"
    "ipairs function\n";

static void reaches_only_what_is_listed(void **state)
{
    (void)state;
    lua_State *co = lua_newthread(r.L);
    if (luaL_loadstring(co, walker) || lua_resume(co, 0))
        fail_msg("%s", lua_tostring(co, -1));
    const char *got = lua_tostring(co, -1);
    if (strcmp(got, reachable) != 0)
        fail_msg("what can be reached is not what the list says:%d",
                 fprintf(stderr, "%s", got)); /* whole, which fail_msg would cut */
    lua_pop(r.L, 1);
}

/* Names that Lua has and functions have not, tried through every table that could hold them. */
static void lacks_what_is_gone(void **state)
{
    (void)state;
    lua("for _, name in ipairs { 'ffi', 'jit', 'dofile', 'loadfile', 'newproxy', 'getfenv', "
        "'setfenv',\n"
        "    'gcinfo', 'module', 'rawlen', 'jit.util', 'jit.opt', 'thread.exdata' } do\n"
        "  assert(_G[name] == nil, name)\n"
        "  assert(package.loaded[name] == nil, name)\n"
        "  assert(not pcall(require, name), name)\n"
        "end\n"
        "for _, name in ipairs { 'execute', 'exit', 'remove', 'rename', 'tmpname', 'setlocale' } "
        "do\n"
        "  assert(os[name] == nil, name)\n"
        "end\n"
        "for _, name in ipairs { 'open', 'popen', 'lines', 'read', 'tmpfile', 'input', 'output' } "
        "do\n"
        "  assert(io[name] == nil and io.stdout[name] == nil, name)\n"
        "end\n"
        "for name in pairs(debug) do assert(name == 'traceback') end\n"
        "assert(require 'debug' == debug and string.dump == nil and package.loadlib == nil)\n"
        "assert(package.path == nil and package.cpath == nil and package.searchers == nil)\n");
}

static void takes_text_only(void **state)
{
    (void)state;
    static const char code[] = "\x1bLJ\x02\x00";
    /* real bytecode, made by the libraries that functions do not have */
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    assert_int_equal(luaL_dostring(L, "return string.dump(function() return 1 end)"), 0);
    lua_pushlstring(r.L, code, sizeof code - 1);
    lua_setglobal(r.L, "header");
    size_t n;
    const char *p = lua_tolstring(L, -1, &n);
    lua_pushlstring(r.L, p, n);
    lua_setglobal(r.L, "bytecode");
    lua_close(L);
    lua("for _, bad in ipairs { header, bytecode } do\n"
        "  local f, err = load(bad)\n"
        "  assert(f == nil and err:find 'binary' or err:find 'wrong mode', err)\n"
        "  assert(load(bad, 'x', 'b') == nil and load(bad, 'x', 'bt') == nil)\n"
        "  assert(load(bad, '=x', nil, {}) == nil and loadstring(bad) == nil)\n"
        "  local sent = false\n"
        "  assert(load(function() if not sent then sent = true return bad end end) == nil)\n"
        "  local i = 0\n"
        "  assert(load(function() i = i + 1 if i <= #bad then return bad:sub(i, i) end end) == "
        "nil)\n"
        "end\n"
        "header, bytecode = nil\n"
        "assert(load('return 1')() == 1 and load('return x', 'n', 't', { x = 5 })() == 5)\n"
        "local f, err = load('a b', '@handler.lua')\n"
        "assert(f == nil and err:find '^%(load%):1:', err) -- names cannot be faked\n"
        "assert(select(2, load(function() return 5 end)):find 'must return a string')\n"
        "assert(load(function() return nil end))\n"
        "local depth = 0 -- a reader that loads in turn\n"
        "local function reader() depth = depth + 1 return load(reader) and '' end\n"
        "assert(not pcall(load, reader) and depth > 100)\n");
}

static void hides_addresses(void **state)
{
    (void)state;
    lua("local function clean(s) assert(not s:find '0x%x%x%x%x%x%x%x%x%x', s) return s end\n"
        "local things = { {}, print, function() end, coroutine.create(print),\n"
        "  require 'string.buffer'.new(), kv.open 'n', json.null, json.empty_array, io.stdout,\n"
        "  ('x'):gmatch '.', setmetatable({}, {}), 1LL }\n"
        "for _, v in ipairs(things) do\n"
        "  clean(tostring(v)) clean(('%s'):format(v)) clean(string.format('%20s %s', v, v))\n"
        "  clean(string.format('%s %s %s %s %s %s', 1, 2, 3, 4, 5, v))\n"
        "  local b = require 'string.buffer'.new()\n"
        "  clean(b:putf('%s|%s', v, 1):tostring())\n"
        "  pcall(b.put, b, v) clean(b:tostring())\n"
        "  local ok, err = pcall(error, v) clean(tostring(err))\n"
        "  ok, err = pcall(function() return v .. 'x' end) clean(tostring(err))\n"
        "  ok, err = pcall(function() return v.a.b.c end) clean(tostring(err))\n"
        "  ok, err = pcall(table.concat, { v }) clean(tostring(err))\n"
        "  ok, err = pcall(json.encode, v) clean(tostring(err))\n"
        "end\n"
        "clean(debug.traceback('m')) clean(debug.traceback(coroutine.create(print)))\n"
        "for _, bad in ipairs { '%p', '%5p', '%-10p', '%.3p', '%%%p', '%s%p', '%%%%%p' } do\n"
        "  local ok, err = pcall(string.format, bad, {}, {})\n"
        "  assert(not ok and err:find 'not available', bad)\n"
        "  ok, err = pcall(function() return bad:format(print, 'text') end)\n"
        "  assert(not ok and err:find 'not available', bad)\n"
        "  local b = require 'string.buffer'.new()\n"
        "  assert(not pcall(b.putf, b, bad, {}, {}))\n"
        "end\n"
        "assert(('%%p %d%%p'):format(5) == '%p 5%p')\n"
        "local a, b = {}, {} -- and still tells values apart\n"
        "assert(tostring(a) == tostring(a) and tostring(a) ~= tostring(b))\n"
        "assert(tostring(a):find '^table: 0x%x+$')\n"
        "assert(tostring(setmetatable({}, { __tostring = function() return 'T' end })) == 'T')\n"
        "assert(('%s'):format(setmetatable({}, { __tostring = function() return 'T' end })) == "
        "'T')\n"
        "for i = 1, 600 do assert(('%d' .. i):format(1) == '1' .. i) end -- more than are "
        "remembered\n"
        "assert(tostring(1) == '1' and tostring(nil) == 'nil' and tostring(2^53) == "
        "'9.007199254741e+15')\n"
        "assert(not pcall(tostring))\n");
}

static void gives_no_pointers(void **state)
{
    (void)state;
    lua("local buffer = require 'string.buffer'\n"
        "local b = buffer.new()\n"
        "for _, m in ipairs { 'reserve', 'commit', 'ref', 'putcdata', 'set', 'free', 'encode', "
        "'decode' } do\n"
        "  assert(b[m] == nil and buffer[m] == nil, m)\n"
        "end\n"
        "assert(not pcall(function() b.x = 1 end) and getmetatable(b) == 'buffer')\n"
        "assert(not pcall(setmetatable, b, {}))\n"
        "assert(b:put('a', 1, buffer.new():put 'n'):tostring() == 'a1n' and #b == 3)\n"
        "assert(b:get(1) == 'a' and b:skip(1):get() == 'n' and #b:reset() == 0)\n"
        "assert(b:putf('%d-%s', 5, 'x'):tostring() == '5-x' and buffer.new(100):tostring() == '')\n"
        "assert(not pcall(buffer.new, {}) and not pcall(buffer.new, -1))\n"
        /* int64 literals bring the ffi library to life inside LuaJIT; it stays out of reach */
        "local n = load 'return 5LL'()\n"
        "assert(getmetatable(n) == 'ffi' and package.loaded.ffi == nil and _G.ffi == nil)\n"
        "assert(not pcall(require, 'ffi'))\n"
        "for _, access in ipairs { function() return n.x end, function() return n[0] end,\n"
        "    function() n.x = 1 end, function() return n() end, function() return #n end,\n"
        "    function() return n .. '' end, function() for _ in pairs(n) do end end } do\n"
        "  assert(not pcall(access))\n"
        "end\n"
        "assert(type(n + 1) == 'cdata' and n + 1 == 6LL and tostring(-n) == '-5LL')\n"
        "assert(not pcall(function() return n + 'x' end) and not pcall(function() return n + {} "
        "end))\n"
        "for _, f in ipairs { string.rep, string.char, table.concat, unpack, select, "
        "setmetatable,\n"
        "    rawset, next, coroutine.create, table.new } do\n"
        "  pcall(f, n, n, n)\n"
        "end\n");
}

static void locks_metatables(void **state)
{
    (void)state;
    lua("assert(getmetatable('') == 'string' and not pcall(setmetatable, '', {}))\n"
        "assert(getmetatable(kv.open 'n') == 'kv' and not pcall(setmetatable, kv.open 'n', {}))\n"
        "local store = kv.open 'n'\n"
        "assert(not pcall(store.get, {}, 'k') and not pcall(store.get, setmetatable({}, {}), "
        "'k'))\n"
        "local _, err = json.decode 'x'\n"
        "assert(getmetatable(err) == 'error' and not pcall(setmetatable, err, {}))\n"
        "assert(tostring(err):find '^InvalidArgument: ')\n"
        "assert(not pcall(collectgarbage, 'stop') and not pcall(collectgarbage, 'setpause', 1))\n"
        "assert(collectgarbage() == 0 and collectgarbage 'count' > 10)\n"
        /* a table's __gc has no meaning, so nothing of the function runs in the collector */
        "for i = 1, 1000 do setmetatable({}, { __gc = function() error 'ran' end }) end\n");
    lua_gc(r.L, LUA_GCCOLLECT, 0);
}

/* Fast functions must stay themselves under the compiler: the same code hot and cold. */
static void holds_under_the_compiler(void **state)
{
    (void)state;
    lua("local t = {}\n"
        "for i = 1, 300 do\n"
        "  local s = ('%d %s %5.2f'):format(i, 'x', i / 4)\n"
        "  assert(s == i .. ' x ' .. ('%5.2f'):format(i / 4))\n"
        "  assert(tostring(t):find '^table: 0x%x%x%x%x%x%x%x%x$' and tostring(i) == i .. '')\n"
        "  assert(not pcall(string.format, '%p', t))\n"
        "  assert(#tostring(('%s'):format(t)) == 17)\n"
        "  local b = require 'string.buffer'.new()\n"
        "  assert(b:put(i, 'x'):tostring() == i .. 'x' and b.ref == nil and b.reserve == nil)\n"
        "  assert(string.dump == nil and getmetatable('') == 'string')\n"
        "end\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reaches_only_what_is_listed),
        cmocka_unit_test(lacks_what_is_gone),
        cmocka_unit_test(takes_text_only),
        cmocka_unit_test(hides_addresses),
        cmocka_unit_test(gives_no_pointers),
        cmocka_unit_test(locks_metatables),
        cmocka_unit_test(holds_under_the_compiler),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
