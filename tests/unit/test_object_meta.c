/* test_object_meta: what Range means for bodies of every small size, checked against the plain
 * reading of the rule, and which metadata is refused. */
#include "svc/object.h"

#include "unit.h"

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint64_t size;
        int rc;
        uint64_t first, count;
    } v[] = {
        {"bytes=0-99", 1000, 1, 0, 100},
        {"bytes=0-99", 50, 1, 0, 50},
        {"bytes=10-", 50, 1, 10, 40},
        {"bytes=49-49", 50, 1, 49, 1},
        {"bytes=-5", 50, 1, 45, 5},
        {"bytes=-500", 50, 1, 0, 50},
        {"bytes=50-", 50, E_BAD_RANGE, 0, 0},
        {"bytes=50-60", 50, E_BAD_RANGE, 0, 0},
        {"bytes=-0", 50, E_BAD_RANGE, 0, 0},
        {"bytes=0-", 0, E_BAD_RANGE, 0, 0},
        {"bytes=-1", 0, E_BAD_RANGE, 0, 0},
        {"", 50, 0, 0, 50},
        {"bytes=", 50, 0, 0, 50},
        {"bytes=-", 50, 0, 0, 50},
        {"bytes=5-4", 50, 0, 0, 50},
        {"bytes=a-b", 50, 0, 0, 50},
        {"bytes=1", 50, 0, 0, 50},
        {"bytes=1-2,4-5", 50, 0, 0, 50},
        {"bytes=+1-2", 50, 0, 0, 50},
        {"items=0-1", 50, 0, 0, 50},
        {"bytes=99999999999999999999-", 50, E_BAD_RANGE, 0, 0},
        {"bytes=7-99999999999999999999", 50, 1, 7, 43},
        {"bytes=-99999999999999999999", 50, 1, 0, 50},
        {"Bytes=0-1", 50, 1, 0, 2},
        {"bytes=0-18446744073709551615", 50, 1, 0, 50},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        uint64_t first, count;
        assert_int_equal(object_range(str_c(v[i].header), v[i].size, &first, &count), v[i].rc);
        if (v[i].rc >= 0) {
            assert_int_equal(first, v[i].first);
            assert_int_equal(count, v[i].count);
        }
    }
    uint64_t first, count;
    assert_int_equal(object_range(str_of(NULL, 0), 7, &first, &count), 0);
    assert_int_equal(count, 7);
}

static void ranges_stay_inside(void **state)
{
    (void)state;
    for (uint64_t size = 1; size < 8; size++)
        for (unsigned a = 0; a < 10; a++)
            for (unsigned b = a; b < 10; b++) {
                char h[64];
                uint64_t first, count;
                snprintf(h, sizeof h, "bytes=%u-%u", a, b);
                int rc = object_range(str_c(h), size, &first, &count);
                assert_int_equal(rc, a < size ? 1 : E_BAD_RANGE);
                if (rc == 1) {
                    assert_int_equal(first, a);
                    assert_int_equal(first + count - 1, b < size ? b : size - 1);
                }
            }
}

static int check(const char *name, struct str value)
{
    struct buf b = BUF_INIT;
    object_pair_put(&b, str_c(name), value);
    struct object_put_req r = {.user_meta = buf_str(&b)};
    int rc = object_meta_check(&r);
    buf_deinit(&b);
    return rc;
}

static void metadata(void **state)
{
    (void)state;
    char big[2100];
    memset(big, 'v', sizeof big);
    assert_int_equal(check("a", STR("value with blanks")), 0);
    assert_int_equal(check("a", STR("caf\xc3\xa9")), 0);
    assert_int_equal(check("a", STR("")), 0);
    assert_int_equal(check("abcd", str_of(big, 2044)), 0);
    assert_int_equal(check("abcd", str_of(big, 2045)), E_META_LIMIT);
    assert_int_equal(check("a", STR("x\r\nSet-Cookie: y")), E_INVALID);
    assert_int_equal(check("a", STR("x\0y")), E_INVALID);
    assert_int_equal(check("a b", STR("x")), E_INVALID);
    assert_int_equal(check("a:", STR("x")), E_INVALID);
    assert_int_equal(check("", STR("x")), E_INVALID);
    struct object_put_req r = {.content_type = STR("text/plain\n")};
    assert_int_equal(object_meta_check(&r), E_INVALID);
    r = (struct object_put_req){.user_meta = STR("\x01\x00\xff\xff\xff\xffzz")};
    assert_int_equal(object_meta_check(&r), E_INVALID);
}

static void pairs(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct str rest, name, value;
    object_pair_put(&b, STR("one"), STR("1"));
    object_pair_put(&b, STR("two"), STR(""));
    rest = buf_str(&b);
    assert_true(object_pair_next(&rest, &name, &value));
    assert_str(name, "one");
    assert_str(value, "1");
    assert_true(object_pair_next(&rest, &name, &value));
    assert_str(name, "two");
    assert_int_equal(value.n, 0);
    assert_false(object_pair_next(&rest, &name, &value));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(ranges_stay_inside),
        cmocka_unit_test(metadata),
        cmocka_unit_test(pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
