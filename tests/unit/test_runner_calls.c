/* runner: its host calls, answered by a core that is played here. */
#include "runner_help.h"

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
        cmocka_unit_test(makes_host_calls),
        cmocka_unit_test(raises_misuse_at_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
