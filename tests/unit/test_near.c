/* test_near: slips of the finger, and words that are none. */
#include "cli/near.h"

#include "unit.h"

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        size_t n;
    } cases[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"deploy", "deploy", 0},
        {"delpoy", "deploy", 1},
        {"deplo", "deploy", 1},
        {"deeploy", "deploy", 1},
        {"dexloy", "deploy", 1},
        {"ab", "ba", 1},
        {"kitten", "sitting", 3},
        {"abcdefghijklmnopqrstuvwxyzabcdefg", "a", NEAR_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(near_distance(cases[i].a, cases[i].b), cases[i].n);
        assert_int_equal(near_distance(cases[i].b, cases[i].a), cases[i].n);
    }
}

static const char *guess(const char *word)
{
    struct near n = {.word = word, .best = ""};
    static const char *const known[] = {"deploy", "dev", "logs", "list", "rollback", "rm"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        near_offer(&n, known[i]);
    return n.best;
}

static void guesses(void **state)
{
    (void)state;
    assert_string_equal(guess("delpoy"), "deploy");
    assert_string_equal(guess("log"), "logs");
    assert_string_equal(guess("roll"), "rollback");
    assert_string_equal(guess("lits"), "list");
    assert_string_equal(guess("frobnicate"), "");
    assert_string_equal(guess(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(distances), cmocka_unit_test(guesses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
