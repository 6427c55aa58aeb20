/* signin: links once, sessions while they are used, failures by address; over a restart. */
#include "svc/signin.h"

#include "store_help.h"

enum { MINUTE = 60 * 1000 };
static const int64_t now = 1700000000000;

static int nothing(struct store_txn *t, void *ctx)
{
    (void)t, (void)ctx;
    return 0;
}

/* What was submitted so far is in the store. */
static void settle(struct fixture *f)
{
    assert_int_equal(call_run(f, nothing, NULL), 0);
}

static void test_link(void **state)
{
    (void)state;
    struct fixture f = {0};
    char token[SIGNIN_TOKEN_SIZE], other[SIGNIN_TOKEN_SIZE], key[SIGNIN_KEY_MAX + 1];
    fixture_init(&f);
    struct signins *s = signins_open(f.store);
    signin_link(s, STR("AKIAONE"), now, token);
    signin_link(s, STR("AKIATWO"), now, other);
    assert_int_equal(strlen(token), SIGNIN_TOKEN_SIZE - 1);
    assert_string_not_equal(token, other);
    assert_false(signin_redeem(s, STR(""), now, key));
    assert_false(signin_redeem(s, STR("x"), now, key));
    assert_true(signin_redeem(s, str_c(token), now + SIGNIN_LINK_MS - 1, key));
    assert_string_equal(key, "AKIAONE");
    assert_false(signin_redeem(s, str_c(token), now, key));
    assert_false(signin_redeem(s, str_c(other), now + SIGNIN_LINK_MS, key));
    assert_false(signin_redeem(s, str_c(other), now, key)); /* tried too late: gone */
    signin_link(s, STR("AKIAONE"), now, token);
    for (int i = 0; i < SIGNIN_LINKS_MAX; i++)
        signin_link(s, STR("AKIATWO"), now, other);
    assert_false(signin_redeem(s, str_c(token), now, key));
    signins_close(s);
    fixture_deinit(&f);
}

static void test_session(void **state)
{
    (void)state;
    struct fixture f = {0};
    char token[SIGNIN_TOKEN_SIZE], id[SIGNIN_ID_SIZE];
    fixture_init(&f);
    struct signins *s = signins_open(f.store);
    const struct signin *e =
        signin_open(s, STR("AKIAONE"), STR("127.0.0.1"), STR("browser"), now, token);
    memcpy(id, e->id, sizeof id);
    assert_null(signin_find(s, STR("nonsense"), now));
    int64_t at = now;
    for (int i = 0; i < 3; i++) {
        at += SIGNIN_IDLE_MS - 1;
        e = signin_find(s, str_c(token), at);
        assert_non_null(e);
        assert_string_equal(e->access_key, "AKIAONE");
    }
    assert_true(signin_lives(s, str_c(id), at + SIGNIN_IDLE_MS - 1));
    assert_false(signin_lives(s, str_c(id), at + SIGNIN_IDLE_MS));
    settle(&f);
    signins_close(s);
    fixture_restart(&f);
    s = signins_open(f.store);
    e = signin_find(s, str_c(token), at + MINUTE);
    assert_non_null(e);
    assert_string_equal(e->id, id);
    assert_string_equal(e->address, "127.0.0.1");
    assert_null(signin_find(s, str_c(token), at + MINUTE + SIGNIN_IDLE_MS));
    assert_null(signin_find(s, str_c(token), at + MINUTE));
    settle(&f);
    signins_close(s);
    s = signins_open(f.store);
    assert_null(signin_next(s, NULL, at));
    signins_close(s);
    fixture_deinit(&f);
}

static size_t count(struct signins *s, int64_t now_ms)
{
    size_t n = 0;
    for (const struct signin *e = NULL; (e = signin_next(s, e, now_ms));)
        n++;
    return n;
}

static void test_end_and_room(void **state)
{
    (void)state;
    struct fixture f = {0};
    char first[SIGNIN_TOKEN_SIZE], other[SIGNIN_TOKEN_SIZE], token[SIGNIN_TOKEN_SIZE], key[16];
    fixture_init(&f);
    struct signins *s = signins_open(f.store);
    signin_open(s, STR("AKIAONE"), STR("::1"), STR(""), now - 1, other);
    signin_open(s, STR("AKIATWO"), STR("::1"), STR(""), now, first);
    for (int i = 0; i < SIGNIN_KEY_SESSIONS; i++)
        signin_open(s, STR("AKIATWO"), STR("::1"), STR(""), now + 1, token);
    assert_int_equal(count(s, now + 1), SIGNIN_KEY_SESSIONS + 1); /* a key's own make room */
    assert_null(signin_find(s, str_c(first), now + 1));
    assert_non_null(signin_find(s, str_c(token), now + 1));
    for (int i = 0; i < SIGNIN_MAX; i++) {
        snprintf(key, sizeof key, "AKIA%d", i);
        signin_open(s, str_c(key), STR("::1"), STR(""), now + 2 + i, token);
    }
    assert_int_equal(count(s, now + MINUTE), SIGNIN_MAX);
    assert_null(signin_find(s, str_c(other), now + MINUTE));
    const struct signin *e = signin_find(s, str_c(token), now + MINUTE);
    assert_non_null(e);
    signin_end(s, STR("0123456789abcdef"));
    signin_end(s, str_c(e->id));
    assert_null(signin_find(s, str_c(token), now + MINUTE));
    settle(&f);
    signins_close(s);
    fixture_deinit(&f);
}

/* The row holds a digest: whoever reads the disk has no token. */
static void test_stored_hashed(void **state)
{
    (void)state;
    struct fixture f = {0};
    char token[SIGNIN_TOKEN_SIZE];
    struct str k, v;
    fixture_init(&f);
    struct signins *s = signins_open(f.store);
    signin_open(s, STR("AKIAONE"), STR("::1"), STR("agent"), now, token);
    settle(&f);
    struct store_txn *t = store_read(f.store);
    struct store_cursor *c = store_cursor(t, T_SIGNINS);
    assert_true(store_seek(c, STR(""), &k, &v));
    assert_int_equal(k.n, 32);
    assert_true(str_find(k, str_c(token)) < 0 && str_find(v, str_c(token)) < 0);
    assert_false(store_next(c, &k, &v));
    store_cursor_close(c);
    store_read_end(t);
    signins_close(s);
    fixture_deinit(&f);
}

static void test_failures(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_init(&f);
    struct signins *s = signins_open(f.store);
    for (int i = 0; i < SIGNIN_TRIES; i++) {
        assert_int_equal(signin_wait(s, STR("10.0.0.1"), now + i), 0);
        signin_failed(s, STR("10.0.0.1"), now + i);
    }
    assert_int_equal(signin_wait(s, STR("10.0.0.1"), now + 10), SIGNIN_TRIES_MS - 10);
    assert_int_equal(signin_wait(s, STR("10.0.0.2"), now + 10), 0);
    assert_int_equal(signin_wait(s, STR("10.0.0.1"), now + SIGNIN_TRIES_MS), 0);
    signin_failed(s, STR("10.0.0.1"), now + SIGNIN_TRIES_MS);
    assert_int_equal(signin_wait(s, STR("10.0.0.1"), now + SIGNIN_TRIES_MS), 0);
    signins_close(s);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link),         cmocka_unit_test(test_session),
        cmocka_unit_test(test_end_and_room), cmocka_unit_test(test_stored_hashed),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
