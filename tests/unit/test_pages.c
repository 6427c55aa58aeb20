/* test_pages: what is given back is gone from memory, and there again when it is used. */
#include "base/pages.h"

#include <stdio.h>

#include "base/hash.h"
#include "unit.h"

/* KiB of program text that are mapped in. */
static long resident_text(void)
{
    char line[512], perms[8];
    long sum = 0, kib;
    bool text = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*x-%*x %7s", perms) == 1)
            text = str_is(str_c(perms), "r-xp") && strstr(line, "/");
        else if (text && sscanf(line, "Rss: %ld kB", &kib) == 1)
            sum += kib;
    }
    fclose(f);
    return sum;
}

static void given_back(void **state)
{
    (void)state;
    char before[65], after[65];
    sha256_hex(STR("perilune"), before);
    long had = resident_text();
    pages_give_back();
    long has = resident_text();
    assert_true(has < had / 2);
    sha256_hex(STR("perilune"), after);
    assert_string_equal(before, after);
}

static void zeros(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    for (int i = 0; i < 2; i++) { /* the second time it might be the same memory */
        char *p = pages_zero(SIZE);
        assert_non_null(p);
        for (int at = 0; at < SIZE; at += 512)
            assert_int_equal(p[at], 0);
        memset(p, 1, SIZE);
        pages_zero_free(p, SIZE);
    }
    pages_zero_free(NULL, SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(given_back), cmocka_unit_test(zeros)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
