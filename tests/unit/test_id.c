/* test_id: shape and uniqueness of identifiers. */
#include "base/id.h"

#include "unit.h"

static int order(const void *a, const void *b)
{
    return memcmp(a, b, 37);
}

static void uuids(void **state)
{
    (void)state;
    enum { N = 10000 };
    char(*ids)[37] = calloc(N, sizeof *ids);
    assert_non_null(ids);
    for (int i = 0; i < N; i++) {
        id_uuid(ids[i]);
        assert_true(id_is_uuid(str_c(ids[i])));
        assert_true(ids[i][14] == '4');
        assert_non_null(strchr("89ab", ids[i][19]));
    }
    qsort(ids, N, sizeof *ids, order);
    for (int i = 1; i < N; i++)
        assert_memory_not_equal(ids[i - 1], ids[i], 37);
    free(ids);
}

static void shapes(void **state)
{
    (void)state;
    assert_true(id_is_uuid(STR("00000000-0000-4000-8000-00000000ABCD")));
    assert_false(id_is_uuid(STR("")));
    assert_false(id_is_uuid(STR("00000000-0000-4000-8000-00000000000")));
    assert_false(id_is_uuid(STR("00000000-0000-4000-8000-0000000000000")));
    assert_false(id_is_uuid(STR("0000000000000-4000-8000-00000000000g")));
    assert_false(id_is_uuid(STR("00000000+0000-4000-8000-000000000000")));
    char out[100];
    for (size_t n = 0; n < 99; n++) {
        memset(out, 'x', sizeof out);
        id_hex(out, n);
        assert_int_equal(strlen(out), n);
        assert_int_equal(strspn(out, "0123456789abcdef"), n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(uuids), cmocka_unit_test(shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
