/* kv: conditions, expiry, counting, wiping, limits. */
#include "svc/kv.h"

#include "base/clock.h"
#include "store_help.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    f = (struct fixture){0};
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_deinit(&f);
    return 0;
}

struct op {
    struct str ns, key, value;
    uint64_t ttl_ms, if_version, version;
    bool if_absent, existed;
    int64_t n, init, out;
};

static int do_set(struct store_txn *t, void *ctx)
{
    struct op *o = ctx;
    return kv_set(t, o->ns, o->key, o->value, o->ttl_ms, o->if_absent, o->if_version, &o->version);
}

static int do_incr(struct store_txn *t, void *ctx)
{
    struct op *o = ctx;
    return kv_incr(t, o->ns, o->key, o->n, o->init, &o->out);
}

static int do_delete(struct store_txn *t, void *ctx)
{
    struct op *o = ctx;
    return kv_delete(t, o->ns, o->key, o->if_version, &o->existed);
}

/* The value, "" when absent. */
static int look(struct str ns, struct str key, char value[static 64], uint64_t *version)
{
    struct kv_item item;
    struct store_txn *t = store_read(f.store);
    int rc = kv_get(t, ns, key, &item);
    value[0] = 0;
    if (rc == 0) {
        snprintf(value, 64, "%.*s", STR_FMT(item.value));
        *version = item.version;
    }
    store_read_end(t);
    return rc;
}

static void test_set_get_conditions(void **state)
{
    char v[64];
    uint64_t version;
    (void)state;
    struct op o = {.ns = STR("n"), .key = STR("k"), .value = STR("one"), .if_absent = true};
    assert_int_equal(look(o.ns, o.key, v, &version), E_NOT_FOUND);
    assert_int_equal(call_run(&f, do_set, &o), 0);
    uint64_t first = o.version;
    assert_int_equal(call_run(&f, do_set, &o), E_PRECONDITION);
    o.if_absent = false;
    o.value = STR("two");
    o.if_version = first + 1000;
    assert_int_equal(call_run(&f, do_set, &o), E_PRECONDITION);
    assert_int_equal(look(o.ns, o.key, v, &version), 0);
    assert_string_equal(v, "one");
    assert_int_equal(version, first);
    o.if_version = first;
    assert_int_equal(call_run(&f, do_set, &o), 0);
    assert_true(o.version > first);
    assert_int_equal(call_run(&f, do_set, &o), E_PRECONDITION); /* the old version again */
    o.if_version = first;
    assert_int_equal(call_run(&f, do_delete, &o), E_PRECONDITION);
    o.if_version = 0;
    assert_int_equal(call_run(&f, do_delete, &o), 0);
    assert_true(o.existed);
    assert_int_equal(call_run(&f, do_delete, &o), 0);
    assert_false(o.existed);
    /* set again: no version comes back */
    uint64_t last = o.version;
    assert_int_equal(call_run(&f, do_set, &o), 0);
    assert_true(o.version > last);
    o.ns = STR("m"); /* another namespace is another world */
    assert_int_equal(look(o.ns, o.key, v, &version), E_NOT_FOUND);
}

static void test_expiry(void **state)
{
    char v[64];
    uint64_t version;
    (void)state;
    struct op o = {.ns = STR("n"), .key = STR("k"), .value = STR("7"), .ttl_ms = 40};
    assert_int_equal(call_run(&f, do_set, &o), 0);
    assert_int_equal(look(o.ns, o.key, v, &version), 0);
    o.n = 1; /* counting keeps the expiry */
    assert_int_equal(call_run(&f, do_incr, &o), 0);
    assert_int_equal(o.out, 8);
    usleep(60 * 1000);
    assert_int_equal(look(o.ns, o.key, v, &version), E_NOT_FOUND);
    o.init = 100; /* absent: counts from init, without the old expiry */
    assert_int_equal(call_run(&f, do_incr, &o), 0);
    assert_int_equal(o.out, 101);
    usleep(60 * 1000);
    assert_int_equal(look(o.ns, o.key, v, &version), 0);
    o.if_absent = true;
    assert_int_equal(call_run(&f, do_set, &o), E_PRECONDITION);
    o.if_absent = false;
    o.ttl_ms = 1;
    assert_int_equal(call_run(&f, do_set, &o), 0);
    usleep(5 * 1000);
    assert_int_equal(call_run(&f, do_delete, &o), 0);
    assert_false(o.existed);
    o.ttl_ms = UINT64_MAX;
    assert_int_equal(call_run(&f, do_set, &o), E_INVALID);
}

static void test_incr_edges(void **state)
{
    static const struct {
        const char *value;
        int64_t n;
        int rc;
        int64_t out;
    } rows[] = {
        {"41", 1, 0, 42},
        {"-1", 1, 0, 0},
        {"0", -1, 0, -1},
        {"9223372036854775807", 1, E_INVALID, 0},
        {"9223372036854775807", -1, 0, INT64_MAX - 1},
        {"-9223372036854775808", 0, 0, INT64_MIN},
        {"-9223372036854775808", -1, E_INVALID, 0},
        {"9223372036854775808", 0, E_INVALID, 0},
        {"", 1, E_INVALID, 0},
        {"-", 1, E_INVALID, 0},
        {"1.5", 1, E_INVALID, 0},
        {" 1", 1, E_INVALID, 0},
        {"x", 1, E_INVALID, 0},
    };
    char v[64];
    uint64_t version;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct op o = {
            .ns = STR("n"), .key = STR("k"), .value = str_c(rows[i].value), .n = rows[i].n};
        assert_int_equal(call_run(&f, do_set, &o), 0);
        assert_int_equal(call_run(&f, do_incr, &o), rows[i].rc);
        assert_int_equal(look(o.ns, o.key, v, &version), 0);
        if (rows[i].rc == 0)
            assert_true(o.out == rows[i].out && strtoll(v, NULL, 10) == rows[i].out);
        else
            assert_string_equal(v, rows[i].value);
    }
}

static void test_limits(void **state)
{
    static char big[KV_VALUE_MAX + 1];
    (void)state;
    struct op o = {
        .ns = STR("n"), .key = str_of(big, KV_KEY_MAX), .value = str_of(big, KV_VALUE_MAX)};
    assert_int_equal(call_run(&f, do_set, &o), 0);
    o.value.n++;
    assert_int_equal(call_run(&f, do_set, &o), E_LIMIT);
    o.value.n = 0;
    assert_int_equal(call_run(&f, do_set, &o), 0);
    o.key.n++;
    assert_int_equal(call_run(&f, do_set, &o), E_INVALID);
    assert_int_equal(call_run(&f, do_incr, &o), E_INVALID);
    assert_int_equal(call_run(&f, do_delete, &o), E_INVALID);
    o.key = STR("");
    assert_int_equal(call_run(&f, do_set, &o), E_INVALID);
    o.key = STR("k");
    static const char *const bad[] = {
        "",      "a/b", "a b",
        "a\x80", "*",   "12345678901234567890123456789012345678901234567890123456789012345"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.ns = str_c(bad[i]);
        assert_int_equal(call_run(&f, do_set, &o), E_INVALID);
    }
    o.ns = str_of("a\0b", 3);
    assert_int_equal(call_run(&f, do_set, &o), E_INVALID);
    assert_int_equal(kv_namespace_check(STR("Az0-_.")), 0);
}

struct wipe {
    struct str ns;
    bool more;
};

static int do_wipe(struct store_txn *t, void *ctx)
{
    struct wipe *w = ctx;
    return kv_wipe(t, w->ns, 4, &w->more);
}

static void test_wipe(void **state)
{
    char v[64], key[8];
    uint64_t version;
    (void)state;
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "k%d", i);
        struct op o = {.ns = STR("n"), .key = str_c(key), .value = STR("v")};
        assert_int_equal(call_run(&f, do_set, &o), 0);
    }
    struct op other = {.ns = STR("n2"), .key = STR("k"), .value = STR("stays")};
    assert_int_equal(call_run(&f, do_set, &other), 0);
    struct wipe w = {.ns = STR("n")};
    int rounds = 0;
    do {
        assert_int_equal(call_run(&f, do_wipe, &w), 0);
        rounds++;
    } while (w.more);
    assert_int_equal(rounds, 3);
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(look(STR("n"), str_c(key), v, &version), E_NOT_FOUND);
    }
    assert_int_equal(look(other.ns, other.key, v, &version), 0);
    assert_string_equal(v, "stays");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_set_get_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_incr_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wipe, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
