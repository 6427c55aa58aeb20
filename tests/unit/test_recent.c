/* test_recent: what is asked for stays, what is not makes room, everything is let go of once. */
#include "svc/recent.h"

#include "unit.h"

struct thing {
    struct recent_entry entry;
    char name[16];
};

static int alive;

static void drop(void *ctx, struct recent_entry *e)
{
    assert_ptr_equal(ctx, &alive);
    alive--;
    free(e);
}

static void add(struct recent *r, int n)
{
    struct thing *t = calloc(1, sizeof *t);
    snprintf(t->name, sizeof t->name, "thing %d", n);
    t->entry.name = str_c(t->name);
    alive++;
    recent_add(r, &t->entry);
}

static bool has(struct recent *r, int n)
{
    char name[16];
    snprintf(name, sizeof name, "thing %d", n);
    struct recent_entry *e = recent_find(r, str_c(name));
    assert_true(!e || str_is(e->name, name));
    return e != NULL;
}

static void count(void *ctx, struct recent_entry *e)
{
    (void)e;
    ++*(int *)ctx;
}

static void bounded(void **state)
{
    (void)state;
    struct recent *r = recent_new(8, drop, &alive);
    int n = 0;
    for (int i = 0; i < 1000; i++) {
        add(r, i);
        assert_true(alive <= 8);
        assert_true(has(r, i));
    }
    recent_each(r, count, &n);
    assert_int_equal(n, 8);
    assert_false(has(r, 0));
    recent_clear(r);
    assert_int_equal(alive, 0);
    assert_false(has(r, 999));
    recent_free(r);
    recent_free(NULL);
}

/* Whoever is asked for between two rounds of the hand is not the one that goes. */
static void second_chance(void **state)
{
    (void)state;
    struct recent *r = recent_new(4, drop, &alive);
    for (int i = 0; i < 4; i++)
        add(r, i);
    for (int i = 4; i < 200; i++) {
        assert_true(has(r, 0));
        add(r, i);
    }
    assert_true(has(r, 0));
    assert_false(has(r, 1));
    recent_free(r);
    assert_int_equal(alive, 0);
}

static void removal(void **state)
{
    (void)state;
    struct recent *r = recent_new(64, drop, &alive);
    for (int i = 0; i < 64; i++)
        add(r, i);
    for (int i = 0; i < 64; i += 2) {
        char name[16];
        snprintf(name, sizeof name, "thing %d", i);
        recent_remove(r, str_c(name));
        recent_remove(r, str_c(name)); /* twice is once */
    }
    assert_int_equal(alive, 32);
    for (int i = 0; i < 64; i++)
        assert_int_equal(has(r, i), i % 2);
    recent_free(r);
    assert_int_equal(alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bounded), cmocka_unit_test(second_chance),
                                       cmocka_unit_test(removal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
