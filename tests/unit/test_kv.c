/* kv: conditions, expiry, counting, wiping, limits. */
#include "svc/kv.h"

#include "base/clock.h"
#include "store_alone.h"
#include "svc/kv_sweep.h"

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

/* --- listing ---------------------------------------------------------------------------------- */

static void add_key(void *ctx, struct str key, const struct kv_item *item)
{
    struct buf *b = ctx;
    buf_add(b, key);
    buf_addc(b, '=');
    buf_add(b, item->value);
    buf_addc(b, ' ');
}

/* The page as "k=v k=v " and, after "|", where to go on. */
static void page(struct kv_list l, const char *expected)
{
    struct buf b = BUF_INIT, last = BUF_INIT;
    bool truncated;
    struct store_txn *t = store_read(f.store);
    assert_int_equal(kv_list(t, &l, add_key, &b, &truncated, &last), 0);
    store_read_end(t);
    assert_int_equal(truncated, last.n > 0);
    if (truncated) {
        buf_addc(&b, '|');
        buf_add(&b, buf_str(&last));
    }
    buf_addc(&b, 0);
    assert_string_equal(b.p, expected);
    buf_deinit(&b);
    buf_deinit(&last);
}

static void put(const char *ns, const char *key, const char *value, uint64_t ttl_ms)
{
    struct op o = {.ns = str_c(ns), .key = str_c(key), .value = str_c(value), .ttl_ms = ttl_ms};
    assert_int_equal(call_run(&f, do_set, &o), 0);
}

static void test_list(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "a/1", "a/2", "a/3", "b", "a0"};
    for (size_t i = 0; i < 6; i++)
        put("n", keys[i], "v", 0);
    put("n", "a/15", "gone", 1);
    put("m", "zzz", "before", 0);
    put("n-", "a/", "after", 0);
    usleep(3000);
    struct kv_list l = {.ns = STR("n"), .limit = 1000, .max_bytes = 1000};
    page(l, "a=v a/1=v a/2=v a/3=v a0=v b=v ");
    l.prefix = STR("a/");
    page(l, "a/1=v a/2=v a/3=v ");
    l.limit = 2;
    page(l, "a/1=v a/2=v |a/2");
    l.after = STR("a/2");
    page(l, "a/3=v ");
    l.after = STR("a/15"); /* a key that is no more */
    page(l, "a/2=v a/3=v ");
    l.after = STR("b"); /* past the prefix */
    page(l, "");
    l.after = STR("0"); /* before it */
    page(l, "a/1=v a/2=v |a/2");
    l = (struct kv_list){.ns = STR("n"), .limit = 10, .max_bytes = 3};
    page(l, "a=v a/1=v |a/1");
    l.keys_only = true;
    l.max_bytes = 1;
    page(l, "a=v |a");
    l.ns = STR("none");
    page(l, "");
    struct str ns = {NULL, 0};
    struct store_txn *t = store_read(f.store);
    assert_true(kv_namespace_next(t, STR(""), &ns) && str_is(ns, "m"));
    assert_true(kv_namespace_next(t, ns, &ns) && str_is(ns, "n"));
    assert_true(kv_namespace_next(t, ns, &ns) && str_is(ns, "n-"));
    assert_false(kv_namespace_next(t, ns, &ns));
    store_read_end(t);
}

/* --- the sweep -------------------------------------------------------------------------------- */

static size_t rows(enum table table)
{
    struct str k, v;
    size_t n = 0;
    struct store_txn *t = store_read(f.store);
    struct store_cursor *c = store_cursor(t, table);
    for (bool any = store_seek(c, STR(""), &k, &v); any; any = store_next(c, &k, &v))
        n++;
    store_cursor_close(c);
    store_read_end(t);
    return n;
}

static int do_expire(struct store_txn *t, void *ctx)
{
    struct wipe *w = ctx;
    return kv_expire(t, 4, &w->more);
}

static void test_expired_rows_leave(void **state)
{
    (void)state;
    char key[8];
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put("n", key, "v", 1);
    }
    put("n", "later", "v", 3600000);
    put("n", "ever", "v", 0);
    put("n", "k0", "v", 0);       /* does not expire any more */
    put("n", "k1", "v", 3600000); /* later than it did */
    assert_int_equal(rows(T_KV_DUE), 10);
    usleep(3000);
    struct wipe w = {.more = true};
    int rounds = 0;
    for (; w.more; rounds++)
        assert_int_equal(call_run(&f, do_expire, &w), 0);
    assert_int_equal(rounds, 2);
    assert_int_equal(rows(T_KV), 4);
    assert_int_equal(rows(T_KV_DUE), 2);
    struct op o = {.ns = STR("n"), .key = STR("later")};
    assert_int_equal(call_run(&f, do_delete, &o), 0);
    assert_int_equal(rows(T_KV_DUE), 1);
    struct op count = {.ns = STR("n"), .key = STR("n"), .n = 1}; /* no expiry: none is noted */
    assert_int_equal(call_run(&f, do_incr, &count), 0);
    assert_int_equal(rows(T_KV_DUE), 1);
    w.ns = STR("n");
    do
        assert_int_equal(call_run(&f, do_wipe, &w), 0);
    while (w.more);
    assert_int_equal(rows(T_KV) + rows(T_KV_DUE), 0);
}

static int do_fill(struct store_txn *t, void *ctx)
{
    int rc = 0;
    char key[16];
    uint64_t version;
    (void)ctx;
    for (int i = 0; i < 900 && rc == 0; i++) {
        snprintf(key, sizeof key, "k%d", i);
        rc = kv_set(t, STR("n"), str_c(key), STR("v"), 1, false, 0, &version);
    }
    return rc;
}

static void stop(uv_timer_t *timer)
{
    uv_timer_stop(timer);
}

static void test_sweeps_by_itself(void **state)
{
    (void)state;
    assert_int_equal(call_run(&f, do_fill, NULL), 0); /* more than one slice */
    put("n", "stays", "v", 3600000);
    struct kv_sweep *sweep = kv_sweep_start(f.store);
    uv_timer_t awake; /* the sweep's own timer does not keep a loop */
    uv_timer_init(&f.loop, &awake);
    uv_timer_start(&awake, stop, 10000, 0);
    while (rows(T_KV) > 1 && uv_is_active((uv_handle_t *)&awake))
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(rows(T_KV), 1);
    assert_int_equal(rows(T_KV_DUE), 1);
    kv_sweep_stop(sweep);
    uv_close((uv_handle_t *)&awake, NULL);
    uv_run(&f.loop, UV_RUN_NOWAIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_set_get_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_incr_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wipe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired_rows_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweeps_by_itself, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
