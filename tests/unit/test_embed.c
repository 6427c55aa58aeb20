/* The table of embedded files: exact bytes, order, and what is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/embed.h"

/* Every row's bytes are those of the file in the tree, NUL after the end. */
static void test_bytes_are_the_files(void **state)
{
    (void)state;
    struct str path, bytes;
    for (size_t i = 0; embed_at(STR(""), i, &path, &bytes); i++) {
        FILE *f = fopen(path.p, "rb");
        assert_non_null(f);
        char *copy = malloc(bytes.n + 2);
        assert_int_equal(fread(copy, 1, bytes.n + 2, f), bytes.n);
        assert_memory_equal(copy, bytes.p, bytes.n);
        assert_int_equal(bytes.p[bytes.n], 0);
        struct str again = embed_find(path);
        assert_ptr_equal(again.p, bytes.p);
        free(copy);
        fclose(f);
    }
}

static void test_order_and_prefix(void **state)
{
    (void)state;
    struct str path, bytes, previous = STR("");
    for (size_t i = 0; embed_at(STR("blueprints/"), i, &path, &bytes); i++) {
        assert_true(str_starts(path, STR("blueprints/")));
        assert_true(str_cmp(previous, path) < 0);
        previous = path;
    }
}

static void test_absent(void **state)
{
    (void)state;
    struct str path, bytes;
    assert_null(embed_find(STR("blueprints/none/blueprint.lua")).p);
    assert_null(embed_find(STR("")).p);
    assert_false(embed_at(STR("core/"), 0, &path, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_the_files),
        cmocka_unit_test(test_order_and_prefix),
        cmocka_unit_test(test_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
