/* text: what counts as UTF-8, at every length and every place, since the scan takes eight bytes at a
 * time and the last few in one look. */
#include "runner/text.h"

#include "unit.h"

enum { LENGTH_MAX = 40 };

static void a_bad_byte_is_seen_at_every_place(void **state)
{
    (void)state;
    static const char bad[] = {'\x80', '\xbf', '\xc0', '\xc3', '\xff'};
    char s[LENGTH_MAX];
    for (size_t n = 0; n <= LENGTH_MAX; n++) {
        memset(s, 'a', sizeof s);
        assert_true(text_valid(str_of(s, n)));
        for (size_t at = 0; at < n; at++)
            for (size_t k = 0; k < sizeof bad; k++) {
                s[at] = bad[k];
                assert_false(text_valid(str_of(s, n)));
                s[at] = 'a';
            }
    }
}

static void a_letter_of_two_bytes_is_fine_at_every_place(void **state)
{
    (void)state;
    char s[LENGTH_MAX];
    for (size_t n = 2; n <= LENGTH_MAX; n++)
        for (size_t at = 0; at + 2 <= n; at++) {
            memset(s, 'a', sizeof s);
            memcpy(s + at, "\xc3\xa9", 2);
            assert_true(text_valid(str_of(s, n)));
            assert_int_equal(text_valid(str_of(s, at + 1)), false); /* cut within it */
        }
}

static void what_is_mended_is_valid(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    char s[LENGTH_MAX];
    for (size_t n = 1; n <= LENGTH_MAX; n++)
        for (size_t at = 0; at < n; at++) {
            memset(s, 'a', sizeof s);
            s[at] = '\xff';
            buf_clear(&out);
            text_mend(&out, str_of(s, n));
            assert_true(text_valid(buf_str(&out)));
            assert_int_equal(out.n, n + 2);
            assert_memory_equal(out.p + at, "\xef\xbf\xbd", 3);
        }
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_byte_is_seen_at_every_place),
        cmocka_unit_test(a_letter_of_two_bytes_is_fine_at_every_place),
        cmocka_unit_test(what_is_mended_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
