/* cache: expiry, replacement, the two bounds and who goes first. */
#include "svc/cache.h"

#include "base/err.h"
#include "unit.h"

static struct cache *c;
static char big[CACHE_VALUE_MAX + 1];

static int setup(void **state)
{
    (void)state;
    c = cache_open();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cache_close(c);
    return 0;
}

static const char *get(uint64_t fn, const char *key, uint64_t now_ms)
{
    static char text[64];
    struct str v;
    if (!cache_get(c, fn, str_c(key), now_ms, &v))
        return NULL;
    snprintf(text, sizeof text, "%.*s", (int)(v.n < 60 ? v.n : 60), v.n ? v.p : "");
    return text;
}

static void set(uint64_t fn, const char *key, const char *value, uint64_t ttl_ms, uint64_t now_ms)
{
    assert_int_equal(cache_set(c, fn, str_c(key), str_c(value), ttl_ms, now_ms), 0);
}

static void keeps_and_forgets(void **state)
{
    (void)state;
    assert_null(get(1, "k", 0));
    set(1, "k", "v", 0, 0);
    set(2, "k", "w", 10, 100);
    assert_string_equal(get(1, "k", 1000000), "v");
    assert_string_equal(get(2, "k", 109), "w");
    assert_null(get(2, "k", 110));
    set(1, "k", "", 0, 0);
    assert_string_equal(get(1, "k", 0), "");
    cache_delete(c, 1, STR("k"));
    cache_delete(c, 1, STR("k"));
    assert_null(get(1, "k", 0));
    assert_int_equal(cache_bytes(c), 0);
    assert_int_equal(cache_set(c, 1, STR(""), STR("v"), 0, 0), E_INVALID);
    assert_int_equal(cache_set(c, 1, str_of(big, CACHE_KEY_MAX + 1), STR("v"), 0, 0), E_INVALID);
    assert_int_equal(cache_set(c, 1, STR("k"), str_of(big, CACHE_VALUE_MAX + 1), 0, 0), E_LIMIT);
    assert_int_equal(cache_set(c, 1, str_of(big, CACHE_KEY_MAX), STR("v"), 0, 0), 0);
}

static void is_bounded(void **state)
{
    (void)state;
    char key[32];
    set(99, "small", "stays while it is used", 0, 0);
    for (int fn = 1; fn <= 12; fn++)
        for (int i = 0; i < 20; i++) {
            snprintf(key, sizeof key, "k%d", i);
            struct str value = str_of(big, 700 * 1000);
            assert_int_equal(cache_set(c, (uint64_t)fn, str_c(key), value, 0, 0), 0);
            assert_non_null(get(99, "small", 0));
            assert_true(cache_bytes(c) <= CACHE_ALL_MAX);
        }
    int kept = 0;
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "k%d", i);
        kept += get(12, key, 0) != NULL;
    }
    assert_int_equal(kept, CACHE_FUNCTION_MAX / (700 * 1000));
    assert_null(get(12, "k0", 0));
    assert_non_null(get(12, "k19", 0));
    assert_null(get(1, "k19", 0));     /* pushed out by the others */
    for (int i = 0; i < 200000; i++) { /* many small ones: chains, and what an entry costs */
        snprintf(key, sizeof key, "%d", i);
        set(7, key, "x", 0, 0);
    }
    assert_true(cache_bytes(c) <= CACHE_ALL_MAX);
    assert_null(get(7, "0", 0));
    assert_non_null(get(7, "199999", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_and_forgets, setup, teardown),
        cmocka_unit_test_setup_teardown(is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
