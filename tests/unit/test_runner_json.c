/* ljson: round trips, hostile texts, numbers, depth, size; and the reader agrees with jscan. */
#include <luajit.h> /* before base/str.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "base/jscan.h"
#include "runner/ljson.h"
#include "runner/state.h"

static struct runner r;

static int setup(void **state)
{
    (void)state;
    memory_init(&r.memory, NULL, 256 * 1024 * 1024);
    state_open(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    state_close(&r);
    return 0;
}

/* Runs Lua code that must succeed. */
static void lua(const char *code)
{
    if (luaL_loadstring(r.L, code) || lua_pcall(r.L, 0, 0, 0))
        fail_msg("%s", lua_tostring(r.L, -1));
}

static bool read_json(struct str s, struct ljson_problem *problem)
{
    int top = lua_gettop(r.L);
    bool ok = ljson_read(r.L, s, 0, problem);
    assert_int_equal(lua_gettop(r.L), top + ok);
    return ok;
}

/* text -> value -> text */
static void round_trip(const char *text, const char *want)
{
    struct ljson_problem problem;
    struct buf out = BUF_INIT;
    if (!read_json(str_c(text), &problem))
        fail_msg("%s: %s at %zu", text, problem.what, problem.offset);
    if (!ljson_write(r.L, -1, &out, &ljson_strict, &problem))
        fail_msg("%s: %s at %s", text, problem.what, problem.path);
    if (!str_eq(buf_str(&out), str_c(want)))
        fail_msg("%s became %.*s", text, STR_FMT(buf_str(&out)));
    lua_pop(r.L, 1);
    buf_deinit(&out);
}

static void keeps_values(void **state)
{
    (void)state;
    static const char *const same[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "123456789012",
        "9007199254740992",
        "1152921504606846976",
        "0.5",
        "-0.25",
        "3.14",
        "1234.56",
        "0.1",
        "0.000001",
        "1e-07",
        "1e+300",
        "2.2250738585072014e-308",
        "4.94065645841247e-324",
        "1.7976931348623157e+308",
        "0.30000000000000004",
        "\"\"",
        "\"a\"",
        "\"\\\"\\\\/\"",
        "\"\\b\\f\\n\\r\\t\\u0000\\u001f\"",
        "\"\x7f\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\"",
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "{\"a\":[]}",
        "[1,2,3]",
        "[null,null]",
        "[null]",
        "{\"a\":null}",
        "{\"\":{\"b\":[true,{\"c\":\"d\"}]}}",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        round_trip(same[i], same[i]);
    round_trip(" [ 1 ,\t2 ]\n", "[1,2]");
    round_trip("{\"a\":1,\"a\":2}", "{\"a\":2}");
    round_trip("1E2", "100");
    round_trip("1.0", "1");
    round_trip("-1.50", "-1.5");
    round_trip("0.00000000000000000000001", "1e-23");
    round_trip("100000000000000000000000", "1e+23");
    round_trip("123456789012345678901234567890", "1.2345678901234568e+29");
    round_trip("9007199254740993", "9007199254740992");
    round_trip("\"\\/\\u0041\\u00e9\\u4e2d\\ud83d\\ude00\"",
               "\"/A\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\"");
    round_trip("\"\\ud83d\"", "\"\xef\xbf\xbd\"");
    round_trip("\"\\ude00\\ud83d\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    round_trip("\"\\ud83dx\\ud83d\\u0041\"", "\"\xef\xbf\xbdx\xef\xbf\xbd"
                                             "A\"");
}

/* Digits of a number's text without the zeros at either end. */
static size_t significant(const char *text)
{
    size_t n = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (n == 0 && *text == '0'))
            continue;
        n++;
        zeros = *text == '0' ? zeros + 1 : 0;
    }
    return n - zeros;
}

static size_t shortest(double d)
{
    char text[40];
    for (int precision = 1;; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, d);
        if (precision == 17 || strtod(text, NULL) == d)
            return significant(text);
    }
}

/* Every double reads back as itself: 64-bit patterns of a generator, and random decimals. */
static void keeps_numbers(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252ull;
    struct buf out = BUF_INIT;
    struct ljson_problem problem;
    for (int i = 0; i < 200000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        double d;
        if (i % 4 == 0)
            memcpy(&d, &x, 8);
        else if (i % 4 == 1)
            d = (double)(int64_t)x / 1e3;
        else if (i % 4 == 2)
            d = (double)(x % 100000000) / 100;
        else if (i % 8 == 3)
            d = ldexp((double)(x >> 11) / 9007199254740992.0, (int)(x % 75) - 22);
        else
            d = (double)(int32_t)x;
        if (d != d || d - d != 0)
            continue;
        buf_clear(&out);
        ljson_number(&out, d);
        assert_true(jscan_valid(buf_str(&out)));
        assert_true(read_json(buf_str(&out), &problem));
        double back = lua_tonumber(r.L, -1);
        lua_pop(r.L, 1);
        buf_addc(&out, 0);
        if (memcmp(&back, &d, sizeof d) != 0 || strtod(out.p, NULL) != d)
            fail_msg("%.17g became %s", d, out.p);
        if (d != floor(d) && significant(out.p) > shortest(d))
            fail_msg("%.17g became %s, which is longer than it need be", d, out.p);
    }
    buf_deinit(&out);
}

/* Whatever the bytes, reader and validator say the same. Mutations of a seed text. */
static void agrees_with_the_validator(void **state)
{
    (void)state;
    static const char seed[] =
        "{\"a\":[1,-2.5e3,true,null,\"x\\n\\u00e9\xc3\xa9\xf0\x9f\x98\x80\"],\"b\":{\"c\":[[],{}]},"
        "\"d\":\"\\ud83d\\ude00\",\"e\":false}";
    static const char odd[] = "{}[]\",:\\0123eE+-.tfn u/\x80\xc3\xff\x01";
    char text[sizeof seed];
    struct ljson_problem problem;
    uint32_t x = 12345, agreed[2] = {0};
    for (int i = 0; i < 300000; i++) {
        size_t n = sizeof seed - 1;
        memcpy(text, seed, n);
        x = x * 1664525 + 1013904223;
        for (uint32_t k = 0; k <= x >> 30; k++) {
            x = x * 1664525 + 1013904223;
            text[(x >> 8) % n] = odd[(x >> 20) % (sizeof odd - 1)];
        }
        if (i % 7 == 0)
            n = (x >> 10) % n;
        bool valid = jscan_valid(str_of(text, n));
        bool read = read_json(str_of(text, n), &problem);
        if (read)
            lua_pop(r.L, 1);
        if (valid != read)
            fail_msg("%.*s: jscan %d, ljson %d (%s)", (int)n, text, valid, read, problem.what);
        agreed[valid]++;
    }
    assert_true(agreed[0] > 1000 && agreed[1] > 1000);
}

static void bounds_the_depth(void **state)
{
    (void)state;
    struct ljson_problem problem;
    for (int depth = 99; depth <= 101; depth++) {
        struct buf b = BUF_INIT, out = BUF_INIT;
        for (int i = 0; i < depth; i++)
            buf_add(&b, i % 2 ? STR("{\"k\":") : STR("["));
        buf_lit(&b, "7");
        for (int i = depth; i-- > 0;)
            buf_addc(&b, i % 2 ? '}' : ']');
        bool ok = read_json(buf_str(&b), &problem);
        assert_int_equal(ok, depth <= 100);
        if (ok) {
            assert_true(ljson_write(r.L, -1, &out, &ljson_strict, &problem));
            assert_true(str_eq(buf_str(&out), buf_str(&b)));
            lua_pop(r.L, 1);
        } else {
            assert_string_equal(problem.what, "more than 100 levels");
        }
        buf_deinit(&b);
        buf_deinit(&out);
    }
}

static void reads_large_ones(void **state)
{
    (void)state;
    struct ljson_problem problem;
    struct buf b = BUF_INIT, out = BUF_INIT;
    enum { N = 70000 };
    buf_addc(&b, '[');
    for (int i = 0; i < N; i++)
        buf_printf(&b, "%s{\"i\":%d,\"s\":\"value \\\"%d\\\"\"}", i ? "," : "", i, i);
    buf_addc(&b, ']');
    assert_true(read_json(buf_str(&b), &problem));
    assert_int_equal(lua_objlen(r.L, -1), N);
    lua_rawgeti(r.L, -1, N);
    lua_getfield(r.L, -1, "s");
    assert_string_equal(lua_tostring(r.L, -1), "value \"69999\"");
    lua_pop(r.L, 2);
    assert_true(ljson_write(r.L, -1, &out, &ljson_strict, &problem));
    lua_pop(r.L, 1);
    assert_true(read_json(buf_str(&out), &problem));
    assert_int_equal(lua_objlen(r.L, -1), N);
    lua_pop(r.L, 1);
    buf_clear(&b);
    buf_addc(&b, '{'); /* more members than wait on the stack */
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%s\"k%d\":%d", i ? "," : "", i % 900, i);
    buf_addc(&b, '}');
    assert_true(read_json(buf_str(&b), &problem));
    lua_getfield(r.L, -1, "k5");
    assert_int_equal(lua_tointeger(r.L, -1), 905);
    lua_getfield(r.L, -2, "k899");
    assert_int_equal(lua_tointeger(r.L, -1), 899);
    lua_pop(r.L, 3);
    buf_deinit(&b);
    buf_deinit(&out);
}

static void tells_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what;
        size_t offset;
    } rows[] = {
        {"", "the text ends too early", 0},
        {"[1,", "the text ends too early", 3},
        {"{\"a\":}", "unexpected byte", 5},
        {"[1 2]", "unexpected byte", 3},
        {"1 2", "something follows the value", 2},
        {"{a:1}", "a name in quotes must stand here", 1},
        {"\"\\q\"", "unknown escape", 2},
        {"\"\\u12\"", "\\u needs four hex digits", 2},
        {"\"a\nb\"", "a control byte in a string", 2},
        {"\"\xff\"", "not UTF-8", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ljson_problem problem;
        assert_false(read_json(str_c(rows[i].text), &problem));
        assert_string_equal(problem.what, rows[i].what);
        if (problem.offset != rows[i].offset)
            fail_msg("%s: broken at %zu", rows[i].text, problem.offset);
    }
}

/* --- by the Lua functions ----------------------------------------------------------------------
 */

static void refuses_what_has_no_form(void **state)
{
    (void)state;
    lua("local function bad(v, text)\n"
        "  local ok, err = pcall(json.encode, v)\n"
        "  assert(not ok and err:find(text, 1, true), tostring(err))\n"
        "end\n"
        "bad(0/0, 'NaN')\n"
        "bad({ a = { b = { 1, 1/0 } } }, 'an infinite number at value.a.b[2]')\n"
        "bad({ 1, nil, 3 }, 'an array with holes')\n"
        "bad({ [5] = 1 }, 'an array with holes')\n"
        "bad({ 1, x = 2 }, 'mixed')\n"
        "bad({ x = 2, [1] = 1, [2] = 2 }, 'mixed')\n"
        "bad({ [1.5] = 1 }, 'number and string keys')\n"
        "bad({ [true] = 1 }, 'mixed')\n"
        "bad({ f = print }, 'a function at value.f')\n"
        "bad(coroutine.create(print), 'a thread')\n"
        "bad({ 1LL }, 'a cdata at value[1]')\n"
        "bad('\\255', 'a string that is not UTF-8')\n"
        "bad({ ['\\255'] = 1 }, 'a name that is not UTF-8')\n"
        "local t = {}; t.a = { t }\n"
        "bad(t, 'contains itself at value.a[1]')\n"
        "local deep = {}; for i = 1, 101 do deep = { deep } end\n"
        "bad(deep, 'more than 100 levels')\n"
        "local tagged = json.array({ 1 }); tagged.x = 1\n"
        "bad(tagged, 'mixed')\n"
        "local named = json.array({}); named.x = 1\n"
        "bad(named, 'an array with string keys')\n");
}

static void keeps_arrays_arrays(void **state)
{
    (void)state;
    lua("local e = json.encode\n"
        "assert(e {} == '{}' and e(json.array {}) == '[]' and e(json.empty_array) == '[]')\n"
        "assert(e(json.array()) == '[]')\n"
        "local v = json.decode '{\"a\":[1],\"b\":{},\"c\":[],\"d\":[[]]}'\n"
        "table.remove(v.a)\n"
        "assert(e(v.a) == '[]' and e(v.b) == '{}' and e(v.c) == '[]' and e(v.d) == '[[]]')\n"
        "v.c[1] = 'x'\n"
        "assert(e(v.c) == '[\"x\"]')\n"
        "local unordered = {}\n"
        "for i = 40, 1, -1 do unordered[i] = i end\n"
        "assert(#json.decode(e(unordered)) == 40 and json.decode(e(unordered))[40] == 40)\n"
        "assert(json.decode('null') == json.null and tostring(json.null) == 'null')\n"
        "assert(e { x = json.null } == '{\"x\":null}')\n"
        "assert(e({ a = { 1, 2 } }, { indent = true }) ==\n"
        "  '{\\n  \"a\": [\\n    1,\\n    2\\n  ]\\n}')\n"
        "local nothing, err = json.decode '[1,]'\n"
        "assert(nothing == nil and err.code == 'InvalidArgument')\n"
        "assert(tostring(err):find 'at byte 4')\n"
        "assert(e({ 1 }, { indent = 4 }) == '[\\n    1\\n]' and e({ 1 }, { indent = 0 }) == "
        "'[1]')\n"
        "assert(e({}, { indent = 2 }) == '{}' and e(json.array {}, { indent = 2 }) == '[]')\n"
        "assert(not pcall(e, {}, { indent = 17 }) and not pcall(e, {}, 1))\n"
        "local mixed_order = { 1, 2, 3 }\n"
        "mixed_order[5] = 5 mixed_order[6] = 6 mixed_order[4] = 4\n"
        "assert(e(mixed_order) == '[1,2,3,4,5,6]' and e { { mixed_order } } == "
        "'[[[1,2,3,4,5,6]]]')\n"
        "local holes = { 1, 2, { 3, 4 } } holes[5] = 1\n"
        "assert(not pcall(e, holes) and not pcall(e, { a = { holes } }))\n"
        "holes[4] = { x = {} }\n"
        "assert(e(holes) == '[1,2,[3,4],{\"x\":{}},1]')\n"
        "assert(e(holes, { indent = 1 }):find('\\n [\\n  3,\\n  4\\n ]', 1, true))\n"
        "local same = json.decode '{\"a\":1,\"b\":2,\"a\":3,\"\\\\u0061\":4}'\n"
        "assert(same.a == 4 and same.b == 2)\n"
        "local many = {} for i = 1, 50 do many[i] = ('\"k%d\":%d'):format(i % 20, i) end\n"
        "many = json.decode('{' .. table.concat(many, ',') .. '}')\n"
        "for i = 0, 19 do assert(many['k' .. i] == (i <= 10 and 40 + i or 20 + i), i) end\n"
        "assert(not pcall(json.decode, nil) and not pcall(json.encode))\n");
}

/* The same codec as cjson has it. */
static void serves_cjson(void **state)
{
    (void)state;
    lua("local cjson, safe = require 'cjson', require 'cjson.safe'\n"
        "assert(cjson.encode { 1, nil, 3 } == '[1,null,3]')\n"
        "assert(cjson.encode { [1] = 1, x = 2 }:find('\"1\":1', 1, true))\n"
        "assert(not pcall(cjson.encode, { [1000] = 1 }))\n"
        "assert(not pcall(cjson.decode, '{'))\n"
        "local v, err = safe.decode '{'\n"
        "assert(v == nil and type(err) == 'string')\n"
        "v, err = safe.encode(print)\n"
        "assert(v == nil and type(err) == 'string')\n"
        "assert(safe.decode '[1,2]'[2] == 2 and getmetatable(safe.decode '[]') == nil)\n"
        "assert(cjson.null == json.null and cjson.encode(cjson.empty_array) == '[]')\n"
        "assert(cjson.encode(setmetatable({}, cjson.empty_array_mt)) == '[]')\n"
        "assert(cjson.encode { [1] = 1, [10] = 2 } == "
        "'[1,null,null,null,null,null,null,null,null,2]')\n"
        "local mine = cjson.new()\n"
        "assert(mine ~= cjson and mine.encode {} == '{}')\n"
        "assert(mine.encode_empty_table_as_object(false) == false and mine.encode {} == '[]')\n"
        "assert(cjson.encode {} == '{}' and cjson.encode_empty_table_as_object() == true)\n"
        "local convert, ratio, from = mine.encode_sparse_array(true)\n"
        "assert(convert == true and ratio == 2 and from == 10)\n"
        "assert(mine.encode { [1000] = 1 } == '{\"1000\":1}')\n"
        "mine.encode_sparse_array(false, 0)\n"
        "assert(#mine.encode { [1000] = 1 } == 2 + 999 * 5 + 1)\n"
        "assert(not pcall(mine.encode, 0/0) and mine.encode_invalid_numbers 'null' == 'null')\n"
        "assert(mine.encode { 0/0, 1/0 } == '[null,null]' and not "
        "pcall(mine.encode_invalid_numbers, true))\n"
        "assert(cjson.encode(0.1 + 0.2) == '0.30000000000000004')\n"
        "assert(cjson.encode_number_precision() == 14 and mine.encode_number_precision(14) == 14)\n"
        "assert(mine.encode(0.1 + 0.2) == '0.3' and mine.encode(1/3) == '0.33333333333333')\n"
        "assert(mine.encode_max_depth(3) == 3 and not pcall(mine.encode, { { { {} } } }))\n"
        "assert(mine.encode { { {} } } == '[[[]]]' and mine.decode_max_depth(5) == 5)\n"
        "assert(getmetatable(mine.decode '[]') == nil and mine.decode_array_with_array_mt(true))\n"
        "assert(getmetatable(mine.decode '[]') == cjson.array_mt)\n"
        "for _, name in ipairs { 'encode_keep_buffer', 'decode_invalid_numbers', "
        "'encode_escape_forward_slash' } do\n"
        "  assert(mine[name](false) == false)\n"
        "end\n"
        "assert(not pcall(mine.encode_max_depth, 0) and not pcall(mine.encode_number_precision, "
        "18))\n"
        "assert(safe.new().encode(print) == nil)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_values),
        cmocka_unit_test(keeps_numbers),
        cmocka_unit_test(agrees_with_the_validator),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(reads_large_ones),
        cmocka_unit_test(tells_what_is_wrong),
        cmocka_unit_test(refuses_what_has_no_form),
        cmocka_unit_test(keeps_arrays_arrays),
        cmocka_unit_test(serves_cjson),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
