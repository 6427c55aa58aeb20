/* luadoc: what the annotations become, and that odd ones do no harm. */
#include "svc/luadoc.h"

#include "base/json.h"
#include "unit.h"

static void is(struct str source, const char *expected)
{
    struct buf b = BUF_INIT;
    json_t *m = luadoc_parse(STR("m"), source);
    json_write(&b, m);
    json_decref(m);
    buf_addc(&b, 0);
    assert_string_equal(b.p, expected);
    buf_deinit(&b);
}

static void reads_annotations(void **state)
{
    (void)state;
    is(STR("---@meta\n"
           "--- About m.\n"
           "--- More.\n"
           "---@class m\n"
           "---@field null userdata Nothing.\n"
           "m = {}\n"
           "\n"
           "---@class m.Options: m.Base\n"
           "---@field a? { x: integer, y: string } Both of them.\n"
           "\n"
           "---@class m.Thing\n"
           "local Thing = {}\n"
           "\n"
           "--- Does it.\n"
           "---@generic T\n"
           "---@param f fun(a: string): T, b The function.\n"
           "---@param way? \"to here\"|\"there\"\n"
           "---@return (fun(): T?)? done When done.\n"
           "function Thing:run(f, way) end\n"
           "\n"
           "--- A comment on its own.\n"
           "\n"
           "function m.make() end\n"
           "return m\n"),
       "{\"name\":\"m\",\"text\":\"About m. More.\","
       "\"fields\":[{\"name\":\"null\",\"type\":\"userdata\",\"text\":\"Nothing.\"}],"
       "\"functions\":[{\"name\":\"m.make\",\"signature\":\"m.make()\",\"text\":\"\",\"params\":[],"
       "\"returns\":[]}],"
       "\"classes\":[{\"name\":\"m.Options\",\"text\":\"\",\"fields\":[{\"name\":\"a?\","
       "\"type\":\"{ x: integer, y: string }\",\"text\":\"Both of them.\"}],\"methods\":[]},"
       "{\"name\":\"m.Thing\",\"text\":\"\",\"fields\":[],\"methods\":[{\"name\":\"Thing:run\","
       "\"signature\":\"Thing:run(f, way?)\",\"text\":\"Does it.\",\"params\":[{\"name\":\"f\","
       "\"type\":\"fun(a: string): T,\",\"text\":\"b The function.\"},{\"name\":\"way?\","
       "\"type\":\"\\\"to here\\\"|\\\"there\\\"\",\"text\":\"\"}],\"returns\":[{\"name\":\"done\","
       "\"type\":\"(fun(): T?)?\",\"text\":\"When done.\"}]}]}]}");
}

static void survives_odd_ones(void **state)
{
    (void)state;
    static const char empty[] =
        "{\"name\":\"m\",\"text\":\"\",\"fields\":[],\"functions\":[],\"classes\":[]}";
    is(STR(""), empty);
    is(STR("---@\n---@param\n---@return\n---@field\n---@unknown x\n\n--\n = {}x\n"), empty);
    is(STR("---@param a fun(("), empty);
    json_t *all = luadoc_all();
    assert_true(json_array_size(all) >= 16);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_annotations),
        cmocka_unit_test(survives_odd_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
