/* secret: names, sealing, listing. */
#include "svc/secret.h"

#include "base/rec.h"
#include "store/key.h"
#include "store_alone.h"

struct op {
    struct str name, sealed;
    bool created;
};

static int do_put(struct store_txn *t, void *ctx)
{
    struct op *o = ctx;
    return secret_put(t, o->name, o->sealed, 1700000000000, &o->created);
}

static int do_del(struct store_txn *t, void *ctx)
{
    return secret_del(t, ((struct op *)ctx)->name);
}

/* A row under another's name, as somebody with the disk in hand could make it. */
static int do_copy(struct store_txn *t, void *ctx)
{
    struct str row;
    (void)ctx;
    struct key from = {0}, to = {0};
    key_name(&from, STR("db/password"));
    key_name(&to, STR("other"));
    char copy[512];
    int rc = store_get(t, T_SECRETS, key_str(&from), &row);
    assert_int_equal(rc, 0);
    memcpy(copy, row.p, row.n);
    return store_put(t, T_SECRETS, key_str(&to), str_of(copy, row.n));
}

static int put(const char *name, const char *value, bool *created)
{
    struct buf sealed = BUF_INIT;
    struct op o = {.name = str_c(name)};
    secret_seal(f.store, o.name, str_c(value), &sealed);
    o.sealed = buf_str(&sealed);
    int rc = call_run(&f, do_put, &o);
    *created = o.created;
    buf_deinit(&sealed);
    return rc;
}

static int get(const char *name, char out[static 64])
{
    struct buf b = BUF_INIT;
    struct store_txn *t = store_read(f.store);
    int rc = secret_get(t, str_c(name), &b);
    store_read_end(t);
    snprintf(out, 64, "%.*s", STR_FMT(buf_str(&b)));
    secret_wipe(&b);
    return rc;
}

static void keeps_values_sealed(void **state)
{
    (void)state;
    char v[64];
    bool created;
    assert_int_equal(get("db/password", v), E_NOT_FOUND);
    assert_int_equal(put("db/password", "hunter2 hunter2", &created), 0);
    assert_true(created);
    assert_int_equal(get("db/password", v), 0);
    assert_string_equal(v, "hunter2 hunter2");
    assert_int_equal(put("db/password", "another", &created), 0);
    assert_false(created);
    fixture_restart(&f);
    assert_int_equal(get("db/password", v), 0);
    assert_string_equal(v, "another");
    struct str row;
    struct key k = {0};
    key_name(&k, STR("db/password"));
    struct store_txn *t = store_read(f.store);
    assert_int_equal(store_get(t, T_SECRETS, key_str(&k), &row), 0);
    assert_null(memmem(row.p, row.n, "another", 7));
    store_read_end(t);
    assert_int_equal(call_run(&f, do_copy, NULL), 0);
    assert_int_equal(get("other", v), E_INTERNAL);
    struct op o = {.name = STR("db/password")};
    assert_int_equal(call_run(&f, do_del, &o), 0);
    assert_int_equal(call_run(&f, do_del, &o), E_NOT_FOUND);
    assert_int_equal(get("db/password", v), E_NOT_FOUND);
}

static void refuses_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "/a", "a/", "a b", "a\x80", "a\n", "a*", "a:b"};
    static char long_name[SECRET_NAME_MAX + 1];
    memset(long_name, 'a', sizeof long_name);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(secret_name_check(str_c(bad[i])), E_INVALID);
    assert_int_equal(secret_name_check(str_of("a\0b", 3)), E_INVALID);
    assert_int_equal(secret_name_check(str_of(long_name, SECRET_NAME_MAX + 1)), E_INVALID);
    assert_int_equal(secret_name_check(str_of(long_name, SECRET_NAME_MAX)), 0);
    assert_int_equal(secret_name_check(STR("A-z_0./+=@9")), 0);
}

static void add_name(void *ctx, const struct secret_info *s)
{
    struct buf *b = ctx;
    assert_true(s->created_ms == 1700000000000 && s->changed_ms == s->created_ms);
    buf_add(b, s->name);
    buf_addc(b, ' ');
}

static void lists_names(void **state)
{
    (void)state;
    bool created;
    struct buf b = BUF_INIT;
    static const char *const names[] = {"b", "a-b", "a", "a/b", "c"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(put(names[i], "v", &created), 0);
    struct store_txn *t = store_read(f.store);
    assert_true(secret_list(t, STR(""), 2, add_name, &b));
    assert_true(secret_list(t, STR("a-b"), 2, add_name, &b));
    assert_false(secret_list(t, STR("b"), 1, add_name, &b));
    assert_false(secret_list(t, STR("c"), 1, add_name, &b));
    store_read_end(t);
    buf_addc(&b, 0);
    assert_string_equal(b.p, "a a-b a/b b c ");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_values_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_names, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_names, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
