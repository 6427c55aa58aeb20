/* runner: a real runner process over real rings: load, invoke, errors with their lines, modules, large
 * payloads, logs, order and time. */
#include "runner_help.h"

static void answers_an_invocation(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f,
                  "local M = {}\n"
                  "local n = 0\n"
                  "function M.main(event, context)\n"
                  "  n = n + 1\n"
                  "  return { n = n, got = event.x, id = context.aws_request_id }\n"
                  "end\n"
                  "return M\n",
                  128);
    assert_int_equal(f.ready.ok, 1);
    assert_true(f.ready.memory_peak > 1000 && f.ready.memory_peak < 700 * 1000);
    for (int i = 1; i <= 3; i++) {
        invoke(&f, "{\"x\":[1,{}]}");
        char n[16];
        snprintf(n, sizeof n, "\"n\":%d", i);
        assert_has(buf_str(&f.answer), n);
        assert_has(buf_str(&f.answer), "\"got\":[1,{}]");
        assert_has(buf_str(&f.answer), "\"id\":\"11111111-2222-4333-8444-555555555555\"");
    }
    assert_true(f.reply.memory_peak > 1000);
    fake_stop(&f);
    assert_true(WIFEXITED(f.status) && WEXITSTATUS(f.status) == 0);
}

static void finds_the_handler(void **state)
{
    (void)state;
    one("return event", "{\"a\":[]}", "{\"a\":[]}");
    one("", "1", "null");
    one("return nil, 'ignored'", "1", "null");
    struct fake_core f;
    fake_function(&f, "function main(e) return e + 1 end", 128);
    expect(&f, "41", "42");
    fake_stop(&f);
    fake_function(&f, "return { main = function(e) return 'm' .. e end }", 128);
    expect(&f, "1", "\"m1\"");
    fake_stop(&f);
}

static void gives_a_context(void **state)
{
    (void)state;
    one("assert(context.function_name == 'thumbs' and context.function_version == '$LATEST')\n"
        "assert(context.memory_limit_in_mb == 128 and context.attempt == 1)\n"
        "assert(context.invoked_function_arn == "
        "'arn:aws:lambda:us-east-1:000000000000:function:thumbs')\n"
        "assert(context.log_group_name == '/aws/lambda/thumbs')\n"
        "assert(context.log_stream_name == '2026/11/23/[$LATEST]00')\n"
        "assert(context.aws_request_id == context.request_id and #context.request_id == 36)\n"
        "assert(context.client_context.custom.a == 1)\n"
        "local ms = context.get_remaining_time_in_millis()\n"
        "assert(ms > 2000 and ms <= 3000 and ms % 1 == 0)\n"
        "assert(context.remaining_s() > 2 and context.remaining_s() <= 3)\n"
        "assert(os.getenv 'SIZE' == '200' and os.getenv 'HOME' == nil and os.getenv 'PATH' == "
        "nil)\n"
        "assert(os.getenv 'AWS_REGION' == 'us-east-1')\n"
        "assert(os.getenv 'AWS_LAMBDA_FUNCTION_MEMORY_SIZE' == '128')\n"
        "assert(os.getenv '_HANDLER' == 'handler.main')\n"
        "assert(os.getenv '_X_AMZN_TRACE_ID' == "
        "'Root=1-11111111-222243338444555555555555;Sampled=0')\n"
        "return true",
        "{}", "true");
}

/* --- errors --- */

static void error_is(struct fake_core *f, const char *event, const char *type, const char *part)
{
    invoke(f, event);
    assert_int_equal(f->reply.error, FRAME_ERROR_FUNCTION);
    assert_string_equal(f->reply.error_type, type);
    assert_has(buf_str(&f->answer), part);
    assert_has(buf_str(&f->answer), "\"requestId\":\"11111111-2222-4333-8444-555555555555\"");
}

static void reports_errors(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f,
                  "local M = {}\n"
                  "local function inner(e)\n"
                  "  error(e.text)\n"
                  "end\n"
                  "function M.main(e)\n"
                  "  if e.code then return load(e.code)() end\n"
                  "  inner(e)\n"
                  "  return 1\n"
                  "end\n"
                  "return M\n",
                  128);
    error_is(&f, "{\"text\":\"boom\"}", "Runtime.LuaError",
             "{\"errorMessage\":\"handler.lua:3: boom\",\"errorType\":\"Runtime.LuaError\"");
    assert_has(buf_str(&f.answer), "\"stackTrace\":[\"[C]: in function 'error'\","
                                   "\"handler.lua:3: in function 'inner'\","
                                   "\"handler.lua:7: in function <handler.lua:5>\"]}");
    assert_has(buf_str(&f.log), "4 1 Runtime.LuaError: handler.lua:3: boom\n"
                                "[C]: in function 'error'\nhandler.lua:3: in function 'inner'");
    error_is(&f, "{\"code\":\"error({errorType='OrderRejected', message='no stock'})\"}",
             "OrderRejected", "{\"errorMessage\":\"no stock\",\"errorType\":\"OrderRejected\"");
    error_is(&f, "{\"code\":\"error({errorType='bad type\\\\n', errorMessage='m'})\"}",
             "Runtime.LuaError", "{\"errorMessage\":\"m\"");
    error_is(&f, "{\"code\":\"error({})\"}", "Runtime.LuaError", "\"errorMessage\":\"{}\"");
    error_is(&f, "{\"code\":\"error({a=1})\"}", "Runtime.LuaError", "\"{\\\"a\\\":1}\"");
    error_is(&f, "{\"code\":\"error()\"}", "Runtime.LuaError", "\"errorMessage\":\"nil\"");
    error_is(&f, "{\"code\":\"error(false)\"}", "Runtime.LuaError", "\"errorMessage\":\"false\"");
    error_is(&f, "{\"code\":\"error(setmetatable({}, {__tostring=function() return 'T' end}))\"}",
             "Runtime.LuaError", "\"errorMessage\":\"T\"");
    error_is(&f, "{\"code\":\"error(setmetatable({}, {__tostring=function() error{} end}))\"}",
             "Runtime.LuaError", "cannot be made a string");
    error_is(&f, "{\"code\":\"coroutine.yield(1)\"}", "Runtime.LuaError",
             "attempt to yield outside of a coroutine");
    error_is(&f, "{\"code\":\"error('\\\\255\\\\1', 0)\"}", "Runtime.LuaError",
             "\"errorMessage\":\"\xef\xbf\xbd\\u0001\"");
    error_is(&f, "{\"code\":\"error(('x'):rep(1e7), 0)\"}", "Runtime.LuaError", "xxxx");
    assert_true(f.answer.n < 40 * 1024);
    error_is(&f, "{\"code\":\"local function f() return 1 + f() end return f()\"}",
             "Runtime.LuaError", "stack overflow");
    assert_has(buf_str(&f.answer), "\"...\"");
    error_is(&f, "{\"code\":\"local x = nil; return x.y\"}", "Runtime.LuaError",
             "(load):1: attempt to index local 'x' (a nil value)");
    error_is(&f, "{\"code\":\"return 0/0\"}", "Runtime.MarshalError", "as JSON: NaN\"");
    error_is(&f, "{\"code\":\"return {a={print}}\"}", "Runtime.MarshalError",
             "a function at result.a[1]");
    /* and it still works, with the state it had */
    expect(&f, "{\"code\":\"return 7\"}", "7");
    fake_stop(&f);
}

/* handler.lua = source, other.lua = other; every invocation gets this error. */
static void init_fails(const char *handler, const char *source, const char *other, const char *type,
                       const char *part)
{
    struct fake_core f;
    struct buf rec = BUF_INIT;
    fake_start(&f);
    fake_begin_load(&rec, handler, 128);
    fake_put_file(&rec, "handler.lua", str_c(source), true);
    fake_put_file(&rec, "lib/other.lua", str_c(other), true);
    fake_load(&f, &rec);
    assert_int_equal(f.ready.ok, 0);
    for (int i = 0; i < 2; i++) {
        invoke(&f, "{}");
        assert_int_equal(f.reply.error, FRAME_ERROR_INIT);
        assert_string_equal(f.reply.error_type, type);
        assert_has(buf_str(&f.answer), part);
        assert_has(buf_str(&f.answer), "\"requestId\":\"11111111-2222-4333-8444-555555555555\"");
    }
    assert_has(buf_str(&f.log), type);
    fake_stop(&f);
}

static void names_what_init_lacks(void **state)
{
    (void)state;
    init_fails("nowhere.main", "", "", "Runtime.ImportModuleError",
               "Unable to import module 'nowhere': no file 'nowhere.lua' in the package");
    init_fails("handler.nothing", "return {}", "", "Runtime.HandlerNotFound",
               "Handler 'nothing' not found in 'handler.lua'");
    init_fails("handler.main", "return { main = 5 }", "", "Runtime.HandlerNotFound", "'main'");
    init_fails("handler", "return {}", "", "Runtime.HandlerNotFound", "it must be file.function");
    init_fails("", "return {}", "", "Runtime.HandlerNotFound", "it must be file.function");
    init_fails("handler.main", "local x = 1\nlocal y = = 2\n", "", "Runtime.UserCodeSyntaxError",
               "\"errorMessage\":\"handler.lua:2: unexpected symbol near '='\"");
    init_fails("handler.main", "local o = require 'other'", "return {\n\n  a b\n}",
               "Runtime.UserCodeSyntaxError", "lib/other.lua:3: ");
    init_fails("handler.main", "\n\nrequire 'missing.module'", "", "Runtime.ImportModuleError",
               "handler.lua:3: module 'missing.module' not found:\\n\\tno file "
               "'missing/module.lua'");
    init_fails("handler.main", "\n\nerror 'top'", "", "Runtime.LuaError", "handler.lua:3: top");
    init_fails("handler.main", "\x1bLJ\x02", "", "Runtime.UserCodeSyntaxError",
               "handler.lua:1: compiled Lua is not accepted");
    init_fails("handler.main", "require 'other'", "require 'other'", "Runtime.LuaError",
               "lib/other.lua:1: loop or previous error loading module 'other'");
}

/* --- modules of the package --- */

static void requires_modules(void **state)
{
    (void)state;
    struct fake_core f;
    struct buf rec = BUF_INIT;
    fake_start(&f);
    fake_begin_load(&rec, "src/handler.main", 128);
    fake_put_file(
        &rec, "src/handler.lua",
        STR("local a, b, c, d = require 'a', require 'dir.b', require 'c', require 'rock'\n"
            "assert(require 'a' == a and package.loaded.a == a)\n"
            "assert(a.name == 'a' and a.file == 'a.lua')\n"
            "assert(require 'string' == string and require '_G' == _G)\n"
            "assert(require 'perilune.json' == json and require 'kv' == kv)\n"
            "assert(require 'json'.mine)\n"
            "package.preload.p = function(name) return 'preloaded ' .. name end\n"
            "assert(require 'p' == 'preloaded p')\n"
            "assert(require 'nothing' == true)\n"
            "local ok, err = pcall(require, 'absent')\n"
            "assert(not ok and err:find('no file .lib/absent.lua'))\n"
            "return { main = function() return { a.name, b, c, d } end }"),
        true);
    fake_put_file(&rec, "a.lua", STR("local n, f = ... return { name = n, file = f }"), true);
    fake_put_file(&rec, "dir/b.lua", STR("return 'b'"), true);
    fake_put_file(&rec, "c/init.lua", STR("return 'c'"), true);
    fake_put_file(&rec, "json.lua", STR("return { mine = true }"), true);
    fake_put_file(&rec, "nothing.lua", STR(""), true);
    fake_put_file(&rec, "lua_modules/share/lua/5.1/rock.lua", STR("return 'rock'"), true);
    fake_load(&f, &rec);
    if (!f.ready.ok)
        fail_msg("%.*s", STR_FMT(buf_str(&f.log)));
    expect(&f, "{}", "[\"a\",\"b\",\"c\",\"rock\"]");
    fake_stop(&f);
}

static void package_read(struct fake_core *f, const struct frame_call *call, struct str args,
                         struct buf *result, int32_t *rc)
{
    (void)f;
    assert_int_equal(call->number, HC_PACKAGE_READ);
    struct str name = rec_str(args, HC_NAME);
    if (str_is(name, "big.bin")) {
        char *big = calloc(1, 1000000);
        big[999999] = 'z';
        rec_put_str(result, HC_BODY, str_of(big, 1000000));
        free(big);
    } else if (str_is(name, "mod.lua")) {
        assert_int_equal(call->invocation, 0); /* asked for in the init phase */
        rec_put_str(result, HC_BODY, STR("return 'fetched'"));
    } else {
        *rc = E_IO;
    }
}

static void fetches_files(void **state)
{
    (void)state;
    struct fake_core f;
    struct buf rec = BUF_INIT;
    fake_start(&f);
    f.handler = package_read;
    fake_begin_load(&rec, "handler.main", 128);
    fake_put_file(&rec, "handler.lua",
                  STR("local m = require 'mod'\n"
                      "return function()\n"
                      "  local big = asset.read './big.bin'\n"
                      "  local none, err = asset.read 'none'\n"
                      "  local broken, err2 = asset.read 'broken'\n"
                      "  assert(none == nil and broken == nil)\n"
                      "  return { m, #big, big:byte(-1), asset.read 'text', err.code, err2.code,\n"
                      "    asset.read 'empty' }\n"
                      "end"),
                  true);
    fake_put_file(&rec, "text", STR("inline"), true);
    fake_put_file(&rec, "empty", STR(""), false);
    fake_put_file(&rec, "mod.lua", STR("0123456789abcdef"), false);
    fake_put_file(&rec, "big.bin", STR("1"), false);
    fake_put_file(&rec, "broken", STR("1"), false);
    fake_load(&f, &rec);
    if (!f.ready.ok)
        fail_msg("%.*s", STR_FMT(buf_str(&f.log)));
    expect(&f, "{}", "[\"fetched\",1000000,122,\"inline\",\"NotFound\",\"Unavailable\",\"\"]");
    fake_stop(&f);
}

/* --- large payloads --- */

static void carries_large_payloads(void **state)
{
    (void)state;
    struct fake_core f;
    struct buf event = BUF_INIT;
    fake_function(&f,
                  "return function(e)\n"
                  "  if type(e) == 'table' then return ('y'):rep(e.n) end\n"
                  "  return e\n"
                  "end",
                  128);
    buf_addc(&event, '"');
    while (event.n < PAYLOAD_MAX - 1)
        buf_addc(&event, (char)('a' + event.n % 26));
    buf_addc(&event, '"');
    assert_true(fake_invoke(&f, EVENT_JSON, buf_str(&event)));
    assert_int_equal(f.reply.error, 0);
    assert_int_equal(f.answer.n, PAYLOAD_MAX);
    assert_memory_equal(f.answer.p, event.p, event.n);
    assert_true(f.chunks > 300);
    assert_true(f.reply.memory_peak > 2 * PAYLOAD_MAX);
    invoke(&f, "{\"n\":6291554}");
    assert_int_equal(f.answer.n, PAYLOAD_MAX);
    error_is(&f, "{\"n\":6291555}", "Function.ResponseSizeTooLarge",
             "\"errorMessage\":\"Response payload size exceeded maximum allowed payload size "
             "(6291556 bytes).\"");
    int runs = 0; /* peaks belong to one invocation, and the memory comes back within some */
    do
        expect(&f, "1", "1");
    while (f.reply.memory_peak > PAYLOAD_MAX && ++runs < 300);
    assert_true(runs < 300);
    fake_stop(&f);
    buf_deinit(&event);
}

/* --- logs --- */

static void writes_log_lines(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f,
                  "print 'init'\n"
                  "return function(e)\n"
                  "  print('a', 1, nil, true, {}, 'two\\nlines')\n"
                  "  print()\n"
                  "  log.debug 'd'\n"
                  "  log.info('i', { k = 1, f = print, s = { 1, nil, 3 }, nan = 0/0 })\n"
                  "  log.warn { only = 'fields' }\n"
                  "  log.error(42)\n"
                  "  log.info('bad \\255', { x = '\\254' })\n"
                  "  io.stdout:write('par', 't', 1, '\\nnext ')\n"
                  "  io.stderr:write('err')\n"
                  "  io.stdout:write('end')\n"
                  "  local loop = {}; loop.loop = loop; log.info('l', loop)\n"
                  "  assert(not pcall(log.info, 'x', 'not a table'))\n"
                  "end",
                  128);
    expect(&f, "{}", "null");
    struct str log = buf_str(&f.log);
    assert_has(log, "2 0 init\n");
    assert_has(log, "2 1 a\t1\tnil\ttrue\ttable: 0x00000001\ttwo\nlines\n2 1 \n1 1 d\n");
    assert_has(log, "2 1 i {");
    assert_has(log, "\"f\":\"a function\"");
    assert_has(log, "\"nan\":\"NaN\"");
    assert_has(log, "\"s\":{\"1\":1,\"3\":3}");
    assert_has(log, "3 1 {\"only\":\"fields\"}\n4 1 42\n");
    assert_has(log, "2 1 bad \xef\xbf\xbd {\"x\":\"\xef\xbf\xbd\"}\n");
    assert_has(log, "2 1 part1\n");
    assert_has(log, "2 1 l {\"loop\":\"a table that contains itself\"}\n");
    assert_has(log, "2 1 next end\n4 1 err\n"); /* begun lines come at the end */
    fake_stop(&f);
}

static void bounds_the_log(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f,
                  "return function(e)\n"
                  "  local line = ('x'):rep(999)\n"
                  "  for i = 1, e.lines do print(line) end\n"
                  "  if e.long then print(('\\195\\169'):rep(e.long)) end\n"
                  "end",
                  128);
    expect(&f, "{\"lines\":2000}", "null");
    assert_true(f.log.n > 1024 * 1024 && f.log.n < 1024 * 1024 + 32 * 1024);
    assert_has(buf_str(&f.log), "3 1 951423 bytes of this invocation's log were cut.\n");
    buf_clear(&f.log);
    expect(&f, "{\"lines\":1}", "null"); /* the bound is of one invocation */
    assert_true(f.log.n > 999 && f.log.n < 1100);
    buf_clear(&f.log);
    expect(&f, "{\"lines\":0,\"long\":20000}", "null"); /* longer than a frame: parts, cut between
                                                           characters */
    assert_true(f.log.n > 40000 && f.log.n < 40100);
    for (struct str rest = buf_str(&f.log), line; rest.n;) {
        line = str_cut(&rest, '\n');
        assert_true(line.n > 4 && line.n % 2 == 0 && (unsigned char)line.p[4] == 0xc3);
    }
    fake_stop(&f);
}

/* --- order and time --- */

static void leaves_revoked_entries(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f, "local n = 0 return function() n = n + 1 return n end", 128);
    fake_send(&f, EVENT_JSON, STR("{}"));
    assert_true(fake_until(&f, FRAME_REPLY));
    kill(f.pid, SIGSTOP); /* it may be anywhere but in this entry */
    fake_send(&f, EVENT_JSON, STR("{}"));
    assert_true(ring_entry_take(f.shm, 0, f.id, ENTRY_REVOKED));
    kill(f.pid, SIGCONT);
    usleep(20000);
    assert_true(ring_empty(&f.out));
    expect(&f, "{}", "2");
    fake_stop(&f);
}

static void shows_where_time_ran_out(void **state)
{
    (void)state;
    struct fake_core f;
    struct buf rec = BUF_INIT;
    fake_start(&f);
    fake_begin_load(&rec, "handler.main", 128);
    size_t mark = rec_begin(&rec, LOAD_ENV);
    rec_put_str(&rec, 1, STR("PERILUNE_JIT"));
    rec_put_str(&rec, 2, STR("off"));
    rec_end(&rec, mark);
    fake_put_file(&rec, "handler.lua",
                  STR("local function spin()\n"
                      "  while true do end\n"
                      "end\n"
                      "return function() print 'go' spin() end\n"),
                  true);
    fake_load(&f, &rec);
    fake_send(&f, EVENT_JSON, STR("{}"));
    assert_true(fake_until(&f, FRAME_LOG));
    usleep(20000);
    kill(f.pid, SIGUSR1);
    assert_true(fake_until(&f, FRAME_LOG));
    assert_has(buf_str(&f.log), "3 1 The time limit was reached in:\nhandler.lua:2: in function "
                                "'spin'\nhandler.lua:4: in function <handler.lua:4>\n");
    kill(f.pid, SIGKILL);
    assert_int_equal(fake_next(&f), 0);
    fake_stop(&f);
}

static void outlives_poisoned_globals(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(
        &f,
        "return function(e)\n"
        "  if e.again then return load(e.again)() end\n"
        "  for _, lib in pairs { string, table, math, os, json, package, io, debug, kv, s3,\n"
        "      crypto, log, events, lambda, base64, coroutine, bit } do\n"
        "    for k in pairs(lib) do lib[k] = nil end\n"
        "  end\n"
        "  local keep = load\n"
        "  for k in pairs(_G) do if k ~= 'load' and k ~= '_G' then _G[k] = nil end end\n"
        "  load = keep\n"
        "  local meta = nil\n"
        "end",
        128);
    f.handler = serve_calls;
    buf_clear(&f.log);
    expect(&f, "{}", "null");
    expect(&f, "{\"again\":\"return 5\"}", "5");
    error_is(&f, "{\"again\":\"return x.y\"}", "Runtime.LuaError", "attempt to index global 'x'");
    error_is(&f, "{\"again\":\"return function() end\"}", "Runtime.MarshalError", "a function");
    fake_stop(&f);
    /* our own modules do not use what the function has broken */
    fake_function(
        &f,
        "return function(e)\n"
        "  local s, k, l, b, r, p, t = s3, kv.open 'n', lambda, base64, require, print, time\n"
        "  local ev, lo, buffer, say = events, log, require 'string.buffer', tostring\n"
        "  setmetatable(_G, { __index = error, __newindex = error })\n"
        "  for _, lib in pairs { string, table, math, os } do\n"
        "    for name in pairs(lib) do lib[name] = nil end\n"
        "  end\n"
        "  for _, name in ipairs { 'type', 'tostring', 'select', 'next', 'pairs', 'error',\n"
        "      'setmetatable', 'getmetatable', 'rawget', 'unpack', 'pcall' } do\n"
        "    rawset(_G, name, false)\n"
        "  end\n"
        "  local o = s.get('b', 'k', { range = { 1, 2 } })\n"
        "  local it = s.list('b')\n"
        "  it()\n"
        "  k:get 'there' k:incr('n', 2) k:set('k', 0.5, { ttl = 1.5, if_version = 7 })\n"
        "  local v = l.invoke('f', { 1 })\n"
        "  p('x', {}, v) lo.info('y', { a = 1 }) t.sleep(0.25) buffer.new():putf('%d', 5)\n"
        "  return { o.body, v[1], b.encode 'x', r 'hex'.encode 'x', ev.decode_key 'a+b%20c',\n"
        "    say {} ~= nil }\n"
        "end",
        128);
    f.handler = serve_calls;
    expect(&f, "{}", "[\"bytes=1-2\",1,\"eA==\",\"78\",\"a b c\",true]");
    fake_stop(&f);
}

static void refuses_calls_when_sealed(void **state)
{
    (void)state;
    struct fake_core f;
    struct buf rec = BUF_INIT;
    fake_start(&f);
    fake_begin_load(&rec, "handler.main", 16);
    rec_put_u64(&rec, LOAD_SEALED, 1);
    fake_put_file(&rec, "handler.lua",
                  STR("return function()\n"
                      "  local v, err = kv.open 'a':get 'b'\n"
                      "  assert(v == nil)\n"
                      "  return err.code\n"
                      "end"),
                  true);
    fake_load(&f, &rec);
    expect(&f, "{}", "\"AccessDenied\"");
    assert_int_equal(f.call_head.number, 0);
    fake_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_an_invocation),
        cmocka_unit_test(finds_the_handler),
        cmocka_unit_test(gives_a_context),
        cmocka_unit_test(reports_errors),
        cmocka_unit_test(names_what_init_lacks),
        cmocka_unit_test(requires_modules),
        cmocka_unit_test(fetches_files),
        cmocka_unit_test(carries_large_payloads),
        cmocka_unit_test(writes_log_lines),
        cmocka_unit_test(bounds_the_log),
        cmocka_unit_test(leaves_revoked_entries),
        cmocka_unit_test(shows_where_time_ran_out),
        cmocka_unit_test(outlives_poisoned_globals),
        cmocka_unit_test(refuses_calls_when_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
