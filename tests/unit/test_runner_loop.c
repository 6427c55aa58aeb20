/* runner: a real runner process over real rings: load, invoke, errors with their lines, host calls,
 * memory, large payloads, logs. */
#include "fake_core.h"

static void invoke(struct fake_core *f, const char *event)
{
    if (!fake_invoke(f, EVENT_JSON, str_c(event)))
        fail_msg("the runner ended with status %x; log: %.*s", (unsigned)f->status,
                 STR_FMT(buf_str(&f->log)));
}

static void expect(struct fake_core *f, const char *event, const char *want)
{
    invoke(f, event);
    assert_str(buf_str(&f->answer), want);
    assert_int_equal(f->reply.error, 0);
}

/* A handler whose body is `body`, called once with `event`. */
static void one(const char *body, const char *event, const char *want)
{
    struct fake_core f;
    struct buf source = BUF_INIT;
    buf_printf(&source, "return function(event, context) %s end", body);
    buf_addc(&source, 0);
    fake_function(&f, source.p, 128);
    expect(&f, event, want);
    fake_stop(&f);
    buf_deinit(&source);
}

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

/* --- host calls --- */

static void serve_calls(struct fake_core *f, const struct frame_call *call, struct str args,
                        struct buf *result, int32_t *rc)
{
    (void)f;
    struct str key = rec_str(args, HC_KEY);
    switch (call->number) {
    case HC_S3_GET:
        if (str_is(key, "denied")) {
            *rc = E_DENIED;
            rec_put_str(result, HC_ERR_CODE, STR("AccessDenied"));
            rec_put_str(result, HC_ERR_TEXT, STR("\"s3:GetObject\" on \"arn:x\" is not allowed"));
            return;
        }
        if (str_is(key, "missing")) {
            *rc = E_NO_KEY; /* no text: the table's */
            return;
        }
        rec_put_str(result, HC_BODY, rec_str(args, HC_RANGE));
        rec_put_str(result, HC_CONTENT_TYPE, STR("text/plain"));
        rec_put_str(result, HC_ETAG, STR("abc"));
        rec_put_u64(result, HC_SIZE, 123456789012);
        rec_put_u64(result, HC_LAST_MODIFIED, 1500);
        for (int i = 0; i < 2; i++) {
            size_t mark = rec_begin(result, HC_META);
            rec_put_str(result, 1, i ? STR("b") : STR("a"));
            rec_put_str(result, 2, STR("v"));
            rec_end(result, mark);
        }
        return;
    case HC_S3_PUT:
        assert_int_equal(rec_u64(args, HC_IF_NONE_MATCH, 0), 1);
        assert_true(str_is(rec_str(args, HC_CONTENT_TYPE), "image/png"));
        assert_true(str_is(rec_str(rec_str(args, HC_META), 2), "200"));
        rec_put_u64(result, HC_SIZE, rec_str(args, HC_BODY).n);
        rec_put_str(result, HC_ETAG, STR("new"));
        return;
    case HC_S3_LIST: {
        struct str cursor = rec_str(args, HC_CURSOR);
        if (str_is(cursor, "broken")) {
            *rc = E_IO;
            return;
        }
        size_t mark = rec_begin(result, HC_ENTRY);
        rec_put_str(result, HC_KEY, cursor.p ? STR("z") : STR("b"));
        rec_put_u64(result, HC_SIZE, 5);
        rec_end(result, mark);
        if (!cursor.p) {
            rec_put_str(result, HC_COMMON_PREFIX, STR("a/"));
            rec_put_str(result, HC_COMMON_PREFIX, STR("c/"));
            rec_put_str(result, HC_CURSOR,
                        str_is(rec_str(args, HC_PREFIX), "bad") ? STR("broken") : STR("next"));
        }
        return;
    }
    case HC_KV_GET:
        if (str_is(key, "there")) {
            rec_put_u64(result, HC_EXISTS, 1);
            rec_put_str(result, HC_VALUE, STR("v\0w"));
            rec_put_u64(result, HC_VERSION, 7);
        }
        return;
    case HC_KV_SET:
        assert_true(str_is(rec_str(args, HC_VALUE), "0.5"));
        assert_int_equal(rec_u64(args, HC_TTL_MS, 0), 1500);
        assert_int_equal(rec_u64(args, HC_IF_VERSION, 0), 7);
        rec_put_u64(result, HC_VERSION, 8);
        return;
    case HC_KV_INCR:
        rec_put_u64(result, HC_N, rec_u64(args, HC_N, 1) + rec_u64(args, HC_INIT, 0));
        return;
    case HC_LAMBDA_INVOKE:
        if (str_is(rec_str(args, HC_FUNCTION), "fails")) {
            rec_put_u64(result, HC_FUNCTION_ERROR, 1);
            rec_put_str(result, HC_PAYLOAD,
                        STR("{\"errorType\":\"Bad\",\"errorMessage\":\"it is\"}"));
        } else {
            rec_put_str(result, HC_PAYLOAD, rec_str(args, HC_PAYLOAD));
        }
        return;
    case HC_LAMBDA_INVOKE_ASYNC:
        assert_int_equal(rec_u64(args, HC_DELAY_MS, 0), 2000);
        rec_put_str(result, HC_REQUEST_ID, STR("rid"));
        return;
    case HC_SLEEP:
        assert_int_equal(rec_u64(args, HC_MS, 0), 250);
        return;
    default:
        return;
    }
}

static void with_calls(const char *body, const char *want)
{
    struct fake_core f;
    struct buf source = BUF_INIT;
    buf_printf(&source, "return function(event)\n%s\nend", body);
    buf_addc(&source, 0);
    fake_function(&f, source.p, 128);
    f.handler = serve_calls;
    expect(&f, "{}", want);
    fake_stop(&f);
    buf_deinit(&source);
}

static void makes_host_calls(void **state)
{
    (void)state;
    with_calls("local o = s3.get('b', 'k', { range = { 0, 99 } })\n"
               "assert(o.body == 'bytes=0-99' and o.content_type == 'text/plain')\n"
               "assert(o.etag == 'abc' and o.size == 123456789012 and o.last_modified == 1.5)\n"
               "assert(o.metadata.a == 'v' and o.metadata.b == 'v')\n"
               "assert(s3.get('b', 'k').body == '')\n"
               "local none, err = s3.get('b', 'denied')\n"
               "assert(none == nil and err.code == 'AccessDenied')\n"
               "assert(err.message:find 's3:GetObject' and tostring(err):find '^AccessDenied: ')\n"
               "none, err = s3.get('b', 'missing')\n"
               "assert(none == nil and err.code == 'NoSuchKey' and #err.message > 10)\n"
               "return s3.put('b', 'k', ('x'):rep(3000000), { content_type = 'image/png',\n"
               "  metadata = { size = 200 }, if_none_match = true }).size",
               "3000000");
    with_calls(
        "local seen = {}\n"
        "for o in s3.list('b', { delimiter = '/' }) do seen[#seen + 1] = o.key or o.prefix end\n"
        "local it = s3.list('b', { prefix = 'bad' })\n"
        "assert(it().prefix == 'a/' and it().key == 'b' and it().prefix == 'c/')\n"
        "local ok, err = pcall(it)\n"
        "assert(not ok and err.code == 'Unavailable')\n"
        "return seen",
        "[\"a/\",\"b\",\"c/\",\"z\"]");
    with_calls("local t = kv.open 'ns'\n"
               "local v, version = t:get 'there'\n"
               "assert(v == 'v\\0w' and version == 7)\n"
               "assert(t:get 'absent' == nil and select('#', t:get 'absent') == 1)\n"
               "assert(t:set('k', 0.5, { ttl = 1.5, if_version = 7 }) == 8)\n"
               "assert(t:incr 'n' == 1 and t:incr('n', -5) == -5 and t:incr('n', 2, { init = 40 }) "
               "== 42)\n"
               "assert(t:delete 'k' == true and time.sleep(0.25) == true)\n"
               "assert(s3.delete('b', 'k') == true)\n"
               "return lambda.invoke('f', { a = { 1 } })",
               "{\"a\":[1]}");
    with_calls(
        "local v, err = lambda.invoke('fails', {})\n"
        "assert(v == nil and err.code == 'Bad' and err.message == 'it is')\n"
        "assert(err.error.errorType == 'Bad')\n"
        "assert(lambda.invoke_async('f', nil, { delay = 2 }) == 'rid')\n"
        /* inside a callback of the library, a coroutine, a comparator */
        "local s = ('k'):gsub('k', function(k) return s3.get('b', k, { range = 'r' }).body end)\n"
        "local w = coroutine.wrap(function() coroutine.yield(s3.get('b', 'k').etag) end)()\n"
        "local n = 0\n"
        "table.sort({ 3, 1, 2 }, function(a, b) kv.open 'x':get 'y'; n = n + 1; return a < b end)\n"
        "return s .. w .. (n > 1 and '!' or '?')",
        "\"rabc!\"");
}

static void raises_misuse_at_its_line(void **state)
{
    (void)state;
    with_calls(
        "local function at(n, text, f)\n"
        "  local ok, err = pcall(f)\n"
        "  assert(not ok)\n"
        "  assert(err == 'handler.lua:' .. n .. ': ' .. text, err)\n"
        "end\n"
        "at(8, \"bad argument #1 to 's3.get' (a string expected, got no value)\",\n"
        "  function() s3.get() end)\n"
        "at(9, \"bad argument #2 to 's3.get' (it is empty)\", function() s3.get('b', '') end)\n"
        "at(11, \"bad argument #3 to 's3.get' (unknown option 'rnge')\",\n"
        "  function() s3.get('b', 'k', { rnge = 1 }) end)\n"
        "at(13, \"bad argument #1 to 'get' (a string expected, got table)\",\n"
        "  function() kv.open 'x':get {} end)\n"
        "return 1",
        "1");
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
        cmocka_unit_test(makes_host_calls),
        cmocka_unit_test(raises_misuse_at_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
