/* runner: what a function's memory limit does to it. */
#include "runner_help.h"

static void runs_out_of_memory(const char *body, const char *event)
{
    struct fake_core f;
    struct buf source = BUF_INIT;
    buf_printf(&source, "return function(event)\n%s\nend", body);
    buf_addc(&source, 0);
    fake_function(&f, source.p, 16);
    if (!fake_invoke(&f, EVENT_JSON, str_c(event))) {
        /* a crash at the cap counts too, and the core can tell: the refusal was noted */
        assert_true(WIFSIGNALED(f.status) && WTERMSIG(f.status) == SIGSEGV);
        assert_int_equal(atomic_load(&f.shm->memory_refused), 1);
    } else {
        if (f.reply.error != FRAME_ERROR_MEMORY)
            fail_msg("%s: %.*s", body, STR_FMT(buf_str(&f.answer)));
        assert_string_equal(f.reply.error_type, "Runtime.OutOfMemory");
        assert_has(buf_str(&f.answer),
                   "\"errorMessage\":\"RequestId: 11111111-2222-4333-8444-555555555555 Error: "
                   "memory limit of 16 MB exceeded\"");
        if (f.reply.memory_peak < 50 * 1000 || f.reply.memory_peak > 17 << 20)
            fail_msg("%s: peak %llu", body, (unsigned long long)f.reply.memory_peak);
        assert_int_equal(fake_next(&f), 0); /* and it has ended */
        assert_true(WIFEXITED(f.status));
    }
    fake_stop(&f);
    buf_deinit(&source);
}

static void ends_when_memory_is_gone(void **state)
{
    (void)state;
    runs_out_of_memory("local s = 'x' while true do s = s .. s end", "{}");
    runs_out_of_memory("local t = {} while true do t[#t + 1] = { #t } end", "{}");
    runs_out_of_memory("return ('x'):rep(1e9)", "{}");
    runs_out_of_memory(
        "local function f() return coroutine.wrap(function() return f(), f() end)() end "
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(f) end",
        "{}");
    runs_out_of_memory("local ok, err = pcall(string.rep, 'x', 1e9) error(err)", "{}");
    runs_out_of_memory("local t = {} for i = 1, 5e5 do t[i] = i end return t, json.encode("
                       "{ t, t, t, t, t, t, t, t })",
                       "{}");
    runs_out_of_memory(
        "local b = require 'string.buffer'.new() while true do b:put('0123456789') end", "{}");
    runs_out_of_memory("return base64.encode(('x'):rep(7e6))", "{}");
    struct fake_core f; /* an event that does not fit */
    struct buf event = BUF_INIT;
    fake_function(&f, "return function(e) return #e end", 4);
    buf_addc(&event, '"');
    for (int i = 0; i < 5000000; i++)
        buf_addc(&event, 'a');
    buf_addc(&event, '"');
    assert_true(fake_invoke(&f, EVENT_JSON, buf_str(&event)));
    assert_int_equal(f.reply.error, FRAME_ERROR_MEMORY);
    assert_int_equal(fake_next(&f), 0);
    fake_stop(&f);
    buf_deinit(&event);
}

static void survives_what_it_catches(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f,
                  "require 'debug'\n"
                  "return function()\n"
                  "  for i = 1, 300 do\n"
                  "    local ok, err = pcall(string.rep, 'x', 1e9)\n"
                  "    assert(not ok and err:find 'not enough memory')\n"
                  "  end\n"
                  "  return 'alive'\n"
                  "end",
                  16);
    for (int i = 0; i < 3; i++)
        expect(&f, "{}", "\"alive\"");
    fake_stop(&f);
}

static void big_object(struct fake_core *f, const struct frame_call *call, struct str args,
                       struct buf *result, int32_t *rc)
{
    static char zeros[1500000];
    (void)f, (void)call, (void)args, (void)rc;
    rec_put_str(result, HC_BODY, str_of(zeros, sizeof zeros));
}

/* Garbage alone never fills the cap, in whatever pieces it comes. */
static void collects_before_it_refuses(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f,
                  "return function(e)\n"
                  "  local n = 0\n"
                  "  for i = 1, 60 do n = n + #('x'):rep(3e6 + i) end\n"
                  "  for i = 1, 30 do n = n + #s3.get('b', 'k').body end\n"
                  "  for i = 1, 30 do n = n + #json.encode { ('y'):rep(1e6 + i) } end\n"
                  "  for i = 1, 5e5 do local t = { i, { i } } n = n + #t end\n"
                  "  local keep = {}\n"
                  "  for i = 1, 5 do keep[i] = ('z'):rep(1e6 + i) end\n"
                  "  for i = 1, 60 do n = n + #('x'):rep(1e6 + i) end\n"
                  "  return n > 3e8 and #keep\n"
                  "end",
                  16);
    f.handler = big_object;
    for (int i = 0; i < 2; i++)
        expect(&f, "{}", "5");
    assert_true(f.reply.memory_peak <= 16 << 20);
    fake_stop(&f);
}

static void fits_a_megabyte(void **state)
{
    (void)state;
    struct fake_core f;
    fake_function(&f, "return function(e) return { e, kv.open 'x':incr 'n' } end", 1);
    if (!f.ready.ok)
        fail_msg("%.*s", STR_FMT(buf_str(&f.log)));
    f.handler = serve_calls;
    for (int i = 0; i < 300; i++)
        expect(&f, "{\"a\":1}", "[{\"a\":1},1]");
    assert_true(f.reply.memory_peak < 1 << 20);
    fake_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_when_memory_is_gone),
        cmocka_unit_test(survives_what_it_catches),
        cmocka_unit_test(collects_before_it_refuses),
        cmocka_unit_test(fits_a_megabyte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
