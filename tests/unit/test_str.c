/* Comparisons that go eight bytes at a time. */
#include "unit.h"

#include "base/str.h"

static int fold(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* Every pair of bytes, at every place of texts of up to three steps. */
static void folded(void **state)
{
    (void)state;
    char a[25], b[25];
    for (size_t n = 1; n <= sizeof a; n++) {
        memset(a, 'x', n);
        memset(b, 'X', n);
        assert_true(str_ieq(str_of(a, n), str_of(b, n)));
        for (size_t at = 0; at < n; at++)
            for (int x = 0; x < 256; x++)
                for (int y = 0; y < 256; y++) {
                    a[at] = (char)x, b[at] = (char)y;
                    if (str_ieq(str_of(a, n), str_of(b, n)) != (fold(x) == fold(y)))
                        fail_msg("%d and %d at %zu of %zu", x, y, at, n);
                    a[at] = 'x', b[at] = 'X';
                }
    }
    assert_false(str_ieq(STR("abc"), STR("abcd")));
    assert_true(str_ieq(STR(""), STR("")));
}

static void secrets(void **state)
{
    (void)state;
    char a[25] = "a secret of 24 bytes 1234", b[25];
    for (size_t n = 0; n <= sizeof a; n++) {
        memcpy(b, a, sizeof a);
        assert_true(str_eq_secret(str_of(a, n), str_of(b, n)));
        for (size_t bit = 0; bit < 8 * n; bit++) {
            b[bit / 8] ^= (char)(1 << bit % 8);
            assert_false(str_eq_secret(str_of(a, n), str_of(b, n)));
            b[bit / 8] ^= (char)(1 << bit % 8);
        }
        if (n)
            assert_false(str_eq_secret(str_of(a, n), str_of(b, n - 1)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folded),
        cmocka_unit_test(secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
