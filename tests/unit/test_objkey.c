/* objkey and key: order, round trips, and the iterator against a sorted array. */
#include "store/objkey.h"

#include "store/key.h"
#include "store_help.h"

enum { KEYS = 1200, BUCKET = 7, OTHER = 8 };

static struct str model[KEYS];
static size_t model_n;
static uint32_t seed = 12345;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* Keys that share whole segments, differ just before and after a cut, or are plain. */
static struct str make_key(void)
{
    static const size_t sizes[] = {1, 2, 479, 480, 481, 482, 959, 960, 961, 1023, 1024};
    char *p = malloc(OBJKEY_MAX);
    size_t n = rnd(3) ? sizes[rnd(11)] : 1 + rnd(OBJKEY_MAX);
    memset(p, 'a' + (int)rnd(2), n);
    for (uint32_t i = rnd(4); i > 0; i--)
        p[rnd(2) ? n - 1 - rnd(n < 4 ? (uint32_t)n : 4) : rnd((uint32_t)n)] =
            (char)(rnd(2) ? rnd(256) : '/');
    return str_of(p, n);
}

static int by_key(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static size_t lower_bound(struct str key)
{
    size_t lo = 0, hi = model_n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (str_cmp(model[mid], key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int put_all(struct store_txn *t, void *ctx)
{
    int rc = 0;
    (void)ctx;
    for (size_t i = 0; i < model_n && rc == 0; i++) {
        rc = objkey_put(t, BUCKET, model[i], model[i]);
        if (rc == 0 && i % 7 == 0)
            rc = objkey_put(t, OTHER, model[i], STR(""));
    }
    return rc;
}

static void check_walk(struct fixture *f)
{
    struct objkey_iter it;
    struct str key, rec;
    struct store_txn *t = store_read(f->store);
    objkey_iter_init(&it, t, BUCKET);
    size_t n = 0;
    for (bool ok = objkey_seek(&it, STR(""), &key, &rec); ok; ok = objkey_next(&it, &key, &rec)) {
        assert_true(n < model_n);
        assert_true(str_eq(key, model[n]));
        assert_true(str_eq(rec, model[n]));
        n++;
    }
    assert_int_equal(n, model_n);
    for (int round = 0; round < 2000; round++) {
        struct str from = make_key();
        size_t at = lower_bound(from);
        bool ok = objkey_seek(&it, from, &key, &rec);
        for (int i = 0; i < 4; i++, at++, ok = ok && objkey_next(&it, &key, &rec)) {
            assert_int_equal(ok, at < model_n);
            if (at < model_n)
                assert_true(str_eq(key, model[at]));
        }
        free((void *)(uintptr_t)from.p);
    }
    objkey_iter_deinit(&it);
    store_read_end(t);
}

struct deletion {
    size_t from, to;
};

static int del_some(struct store_txn *t, void *ctx)
{
    struct deletion *d = ctx;
    int rc = 0;
    for (size_t i = d->from; i < d->to && rc == 0; i++)
        rc = objkey_del(t, BUCKET, model[i]);
    return rc;
}

static void drop_model(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        free((void *)(uintptr_t)model[i].p);
    memmove(model + from, model + to, (model_n - to) * sizeof *model);
    model_n -= to - from;
}

static void test_against_model(void **state)
{
    struct fixture f = {0};
    struct str key, rec;
    (void)state;
    fixture_init(&f);
    for (size_t i = 0; i < KEYS; i++)
        model[i] = make_key();
    qsort(model, KEYS, sizeof *model, by_key);
    model_n = 0;
    for (size_t i = 0; i < KEYS; i++)
        if (model_n && str_eq(model[i], model[model_n - 1]))
            free((void *)(uintptr_t)model[i].p);
        else
            model[model_n++] = model[i];
    assert_true(model_n > KEYS / 2);
    assert_int_equal(call_run(&f, put_all, NULL), 0);
    assert_int_equal(call_run(&f, put_all, NULL), 0); /* replacing changes nothing */
    check_walk(&f);

    struct store_txn *t = store_read(f.store);
    for (size_t i = 0; i < model_n; i++) {
        assert_int_equal(objkey_get(t, BUCKET, model[i], &rec), 0);
        assert_true(str_eq(rec, model[i]));
        assert_int_equal(objkey_get(t, OTHER, model[i], &rec), i % 7 ? E_NOT_FOUND : 0);
    }
    store_read_end(t);

    while (model_n > 0) { /* random runs go; the rest stays in order */
        size_t from = rnd((uint32_t)model_n), to = from + 1 + rnd(200);
        struct deletion d = {from, to < model_n ? to : model_n};
        assert_int_equal(call_run(&f, del_some, &d), 0);
        assert_int_equal(call_run(&f, del_some, &d), 0); /* twice is once */
        drop_model(d.from, d.to);
        check_walk(&f);
    }
    t = store_read(f.store); /* nothing of this bucket is left, of the other all */
    struct store_cursor *c = store_cursor(t, T_OBJECTS);
    struct key k = {0};
    assert_false(store_seek(c, key_str(key_u64(&k, BUCKET)), &key, &rec) &&
                 str_starts(key, key_str(&k)));
    k.n = 0;
    assert_true(store_seek(c, key_str(key_u64(&k, OTHER)), &key, &rec));
    assert_true(str_starts(key, key_str(&k)));
    store_cursor_close(c);
    store_read_end(t);
    fixture_deinit(&f);
}

static int put_bad(struct store_txn *t, void *ctx)
{
    return objkey_put(t, BUCKET, *(struct str *)ctx, STR("x"));
}

static void test_limits(void **state)
{
    struct fixture f = {0};
    static char big[OBJKEY_MAX + 500];
    struct str empty = STR(""), long_key = str_of(big, OBJKEY_MAX + 1), key, rec;
    struct objkey_iter it;
    (void)state;
    memset(big, 'z', sizeof big);
    fixture_init(&f);
    assert_int_equal(call_run(&f, put_bad, &empty), E_KEY_TOO_LONG);
    assert_int_equal(call_run(&f, put_bad, &long_key), E_KEY_TOO_LONG);
    long_key.n = OBJKEY_MAX;
    assert_int_equal(call_run(&f, put_bad, &long_key), 0);
    struct store_txn *t = store_read(f.store);
    assert_int_equal(objkey_get(t, BUCKET, str_of(big, 480), &rec), E_NOT_FOUND);
    assert_int_equal(objkey_get(t, BUCKET, str_of(big, 960), &rec), E_NOT_FOUND);
    assert_int_equal(objkey_get(t, BUCKET, str_of(big, 1025), &rec), E_NOT_FOUND);
    objkey_iter_init(&it, t, BUCKET);
    assert_true(objkey_seek(&it, long_key, &key, &rec));
    assert_int_equal(key.n, OBJKEY_MAX);
    assert_false(objkey_next(&it, &key, &rec));
    assert_false(objkey_seek(&it, str_of(big, sizeof big), &key, &rec));
    objkey_iter_deinit(&it);
    objkey_iter_init(&it, t, BUCKET + 1);
    assert_false(objkey_seek(&it, empty, &key, &rec));
    objkey_iter_deinit(&it);
    store_read_end(t);
    fixture_deinit(&f);
}

static void test_key_encoding(void **state)
{
    static const uint64_t v[] = {0, 1, 255, 256, 65535, 1ull << 32, INT64_MAX, UINT64_MAX};
    uint64_t a = 0;
    uint32_t b = 0;
    struct str name = STR("");
    (void)state;
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < 8; j++) {
            struct key x = {0}, y = {0};
            key_name(key_u32(key_u64(&x, v[i]), 5), STR("n"));
            key_name(key_u32(key_u64(&y, v[j]), 4), STR("n"));
            int d = str_cmp(key_str(&x), key_str(&y));
            assert_true(i < j ? d < 0 : d > 0); /* equal ids: the second part decides */
            struct str rest = key_str(&x);
            assert_true(key_take_u64(&rest, &a) && key_take_u32(&rest, &b) &&
                        key_take_name(&rest, &name));
            assert_true(a == v[i] && b == 5 && str_is(name, "n") && rest.n == 0);
            assert_false(key_take_u64(&rest, &a) || key_take_u32(&rest, &b) ||
                         key_take_name(&rest, &name));
        }
    /* a name never sorts inside another's rows */
    struct key p = {0}, q = {0};
    key_bytes(key_name(&p, STR("ab")), STR("\xff"));
    key_bytes(key_name(&q, STR("ab!")), STR(""));
    assert_true(str_cmp(key_str(&p), key_str(&q)) < 0);
    /* what does not fit says so and is not written */
    static char big[600];
    struct key r = {0};
    key_u64(key_bytes(&r, str_of(big, 508)), 1);
    assert_true(r.n > KEY_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_encoding),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
