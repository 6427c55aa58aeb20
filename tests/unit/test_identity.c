/* test_identity: keys, sessions and what their bearers may do, in a real store. */
#include "svc/identity.h"

#include "auth/arn.h"
#include "base/clock.h"
#include "base/codec.h"
#include "store_help.h"
#include "svc/managed.h"

#define DOC(effect, action)                                                                        \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"" effect "\",\"Action\":\"" action   \
    "\",\"Resource\":\"*\"}]}"
#define ROOT_KEY "AKIAROOTROOTROOTROOT"

static struct fixture f;
static struct roles *roles;
static struct identities *ids;
static struct arena *arena;

static void open_all(void)
{
    roles = roles_open(f.store, "us-east-1");
    struct identities_opts o = {&f.loop, f.store, roles, STR(ROOT_KEY), STR("root's secret")};
    ids = identities_open(&o);
    arena = arena_new(1 << 20);
}

static void close_all(void)
{
    arena_free(arena);
    identities_close(ids);
    roles_close(roles);
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    open_all();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_all();
    fixture_deinit(&f);
    return 0;
}

/* --- making things ---------------------------------------------------------------------------- */

struct change {
    const struct entity_kind *kind;
    const char *name, *id, *policy, *document, *attach;
    const char *key; /* access key id; its secret is "secret of ID" */
    bool inactive, drop_key;
    struct err err;
};

static int put_entity(struct store_txn *t, void *ctx)
{
    struct change *c = ctx;
    struct buf b = BUF_INIT;
    rec_put_str(&b, ENTITY_ID, str_c(c->id));
    rec_put_str(&b, ENTITY_PATH, STR("/"));
    if (c->attach)
        rec_put_str(&b, ENTITY_ATTACHED, str_c(c->attach));
    int rc = entity_put(t, c->kind, str_c(c->name), buf_str(&b));
    buf_deinit(&b);
    return rc          ? rc
           : c->policy ? entity_policy_put(t, c->kind, str_c(c->name), str_c(c->policy),
                                           str_c(c->document), &c->err)
                       : 0;
}

static int put_key(struct store_txn *t, void *ctx)
{
    struct change *c = ctx;
    struct buf b = BUF_INIT;
    char secret[KEY_SECRET_SIZE];
    if (c->drop_key)
        return access_key_del(t, str_c(c->name), str_c(c->key), &c->err);
    if (c->inactive)
        return access_key_set(t, str_c(c->name), str_c(c->key), false, &c->err);
    snprintf(secret, sizeof secret, "secret of %s", c->key);
    access_key_build(&b, f.store, str_c(c->name), str_c(c->key), str_c(secret), 77);
    int rc = access_key_add(t, str_c(c->name), str_c(c->key), buf_str(&b), &c->err);
    buf_deinit(&b);
    return rc;
}

static int del_entity(struct store_txn *t, void *ctx)
{
    struct change *c = ctx;
    return entity_del(t, c->kind, str_c(c->name));
}

static int change(int (*apply)(struct store_txn *, void *), struct change *c)
{
    int rc = call_run(&f, apply, c);
    if (c->kind == &entity_role)
        role_changed(roles, str_c(c->name));
    else
        identity_user_changed(ids, str_c(c->name));
    if (c->key)
        identity_key_changed(ids, str_c(c->key));
    return rc;
}
#define CHANGE(apply, ...) change(apply, &(struct change){__VA_ARGS__})
#define USER .kind = &entity_user, .name
#define ROLE .kind = &entity_role, .name

static struct identity who;
static struct str secret;

static int find(const char *key, struct str token)
{
    return identity_find(ids, str_c(key), token, arena, &who, &secret);
}

static int may(const char *action)
{
    struct policy_query q = {.action = str_c(action), .resource = STR("arn:aws:s3:::b/k")};
    return identity_allows(ids, &who, NULL, &q, NULL);
}

/* --- keys ------------------------------------------------------------------------------------- */

#define KEY "AKIAUUUUUUUUUUUUUUUU"

static void keys(void **state)
{
    (void)state;
    assert_int_equal(find(KEY, STR("")), E_BAD_ACCESS_KEY);
    assert_null(secret.p);
    assert_int_equal(CHANGE(put_key, USER = "u", .key = KEY), E_NOT_FOUND); /* no such user */
    assert_int_equal(CHANGE(put_entity, USER = "u", .id = "AIDAU", .policy = "p",
                            .document = DOC("Allow", "s3:GetObject")),
                     0);
    assert_int_equal(CHANGE(put_key, USER = "u", .key = KEY), 0);
    assert_int_equal(find(KEY, STR("")), 0);
    assert_str(secret, "secret of " KEY);
    assert_str(who.arn, "arn:aws:iam::" ACCOUNT_ID ":user/u");
    assert_str(who.user_id, "AIDAU");
    assert_int_equal(who.kind, IDENTITY_USER);
    assert_int_equal(may("s3:GetObject"), 0);
    assert_int_equal(may("s3:PutObject"), E_DENIED);
    /* a token does not go with it */
    assert_int_equal(find(KEY, STR("x")), E_BAD_TOKEN);
    assert_null(secret.p);
    /* two at most */
    assert_int_equal(CHANGE(put_key, USER = "u", .key = "AKIAVVVVVVVVVVVVVVVV"), 0);
    assert_int_equal(CHANGE(put_key, USER = "u", .key = "AKIAWWWWWWWWWWWWWWWW"), E_QUOTA);
    /* off, gone, and its user gone: each at once */
    assert_int_equal(CHANGE(put_key, USER = "u", .key = KEY, .inactive = true), 0);
    assert_int_equal(find(KEY, STR("")), E_BAD_ACCESS_KEY);
    assert_null(secret.p);
    assert_int_equal(find("AKIAVVVVVVVVVVVVVVVV", STR("")), 0);
    assert_int_equal(CHANGE(put_key, USER = "u", .key = "AKIAVVVVVVVVVVVVVVVV", .drop_key = true),
                     0);
    assert_int_equal(find("AKIAVVVVVVVVVVVVVVVV", STR("")), E_BAD_ACCESS_KEY);
    assert_int_equal(CHANGE(put_key, USER = "u", .key = "AKIAWWWWWWWWWWWWWWWW"), 0);
    assert_int_equal(find("AKIAWWWWWWWWWWWWWWWW", STR("")), 0);
    assert_int_equal(CHANGE(del_entity, USER = "u"), 0);
    assert_int_equal(may("s3:GetObject"), E_DENIED); /* in the middle of a request */
    assert_int_equal(find("AKIAWWWWWWWWWWWWWWWW", STR("")), E_BAD_ACCESS_KEY);
    /* names that are none */
    char huge[4000];
    memset(huge, 'A', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    assert_int_equal(find(huge, STR("")), E_BAD_ACCESS_KEY);
    assert_int_equal(find("", STR("")), E_BAD_ACCESS_KEY);
    assert_int_equal(find("AKIA../../etc/passwd", STR("")), E_BAD_ACCESS_KEY);
    assert_int_equal(find(ROOT_KEY, STR("")), 0);
    assert_true(who.root);
    assert_int_equal(may("any:Thing"), 0);
}

/* A row that was copied under another id, or sealed under another master key, does not open. */
static int misplace(struct store_txn *t, void *ctx)
{
    struct str rec;
    (void)ctx;
    int rc = access_key_get(t, STR(KEY), STR(""), &rec, NULL);
    if (rc)
        return rc;
    struct buf b = BUF_INIT;
    buf_add(&b, rec);
    rc = store_put(t, T_KEYS, STR("AKIACOPYCOPYCOPYCOPY"), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

static void misplaced(void **state)
{
    (void)state;
    assert_int_equal(CHANGE(put_entity, USER = "u", .id = "AIDAU"), 0);
    assert_int_equal(CHANGE(put_key, USER = "u", .key = KEY), 0);
    assert_int_equal(call_run(&f, misplace, NULL), 0);
    assert_int_equal(find("AKIACOPYCOPYCOPYCOPY", STR("")), E_BAD_ACCESS_KEY);
    assert_int_equal(find(KEY, STR("")), 0);
}

enum { MANY = 600 }; /* more than are kept */

static int put_many(struct store_txn *t, void *ctx)
{
    char name[24], id[24];
    int rc = 0;
    (void)ctx;
    for (int i = 0; i < MANY && rc == 0; i++) {
        snprintf(name, sizeof name, "u%d", i);
        snprintf(id, sizeof id, "AKIA%016d", i);
        struct change c = {USER = name, .id = "AIDAX", .key = id};
        rc = put_entity(t, &c);
        if (rc == 0)
            rc = put_key(t, &c);
    }
    return rc;
}

/* When a key was used is known at once, and after a restart; also of keys that made room. */
static void last_use(void **state)
{
    (void)state;
    struct access_key_use use;
    struct str rec;
    char id[24];
    assert_int_equal(call_run(&f, put_many, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "AKIA%016d", i);
        assert_int_equal(find(id, STR("")), 0);
        identity_used(ids, &who, i % 2 ? STR("s3") : STR("lambda"), STR("eu-west-1"));
        arena_reset(arena);
    }
    struct store_txn *t = store_read(f.store);
    assert_int_equal(access_key_get(t, str_c(id), STR(""), &rec, NULL), 0);
    access_key_last_use(identity_keys(ids), str_c(id), rec, &use);
    store_read_end(t);
    assert_string_equal(use.service, "s3");
    assert_true(use.ms > 0);
    close_all();
    fixture_restart(&f);
    open_all();
    t = store_read(f.store);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "AKIA%016d", i);
        assert_int_equal(access_key_get(t, str_c(id), STR(""), &rec, NULL), 0);
        access_key_last_use(identity_keys(ids), str_c(id), rec, &use);
        if (!use.ms || strcmp(use.region, "eu-west-1") != 0)
            fail_msg("the use of %s is forgotten", id);
    }
    store_read_end(t);
}

/* --- sessions --------------------------------------------------------------------------------- */

#define TEMP "ASIASSSSSSSSSSSSSSSS"

static struct buf token;

static void make_token(struct session_spec spec)
{
    int64_t now = clock_wall_ms();
    spec.access_key = STR(TEMP);
    spec.secret = STR("its secret");
    spec.issued_ms = now;
    if (!spec.expires_ms)
        spec.expires_ms = now + 900 * 1000;
    buf_clear(&token);
    session_token(f.store, &spec, &token);
}
#define TOKEN(...) make_token((struct session_spec){__VA_ARGS__})
#define OF_ROLE                                                                                    \
    .of = SESSION_OF_ROLE, .name = STR("r"), .id = STR("AROAR"), .session_name = STR("s")

static void sessions(void **state)
{
    (void)state;
    assert_int_equal(CHANGE(put_entity, ROLE = "r", .id = "AROAR", .policy = "p",
                            .document = DOC("Allow", "s3:*")),
                     0);
    TOKEN(OF_ROLE);
    for (int i = 0; i < 2; i++) { /* opened, then kept open */
        assert_int_equal(find(TEMP, buf_str(&token)), 0);
        assert_str(secret, "its secret");
        assert_str(who.arn, "arn:aws:sts::" ACCOUNT_ID ":assumed-role/r/s");
        assert_str(who.user_id, "AROAR:s");
        assert_str(who.principal_arn, "arn:aws:iam::" ACCOUNT_ID ":role/r");
        assert_int_equal(may("s3:GetObject"), 0);
        assert_int_equal(may("iam:GetUser"), E_DENIED);
    }
    assert_int_equal(find("ASIATTTTTTTTTTTTTTTT", buf_str(&token)), E_BAD_TOKEN);
    assert_int_equal(find(TEMP, STR("")), E_BAD_ACCESS_KEY);
    /* its own policy limits it */
    TOKEN(OF_ROLE, .policy = STR(DOC("Allow", "s3:Get*")));
    assert_int_equal(find(TEMP, buf_str(&token)), 0);
    assert_int_equal(may("s3:GetObject"), 0);
    assert_int_equal(may("s3:PutObject"), E_DENIED);
    struct str arn = STR("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess");
    TOKEN(OF_ROLE, .policy_arns = &arn, .policy_arn_count = 1);
    assert_int_equal(find(TEMP, buf_str(&token)), 0);
    assert_int_equal(may("s3:GetObject"), 0);
    assert_int_equal(may("s3:PutObject"), E_DENIED);
    arn = STR("arn:aws:iam::" ACCOUNT_ID ":policy/gone");
    TOKEN(OF_ROLE, .policy_arns = &arn, .policy_arn_count = 1);
    assert_int_equal(find(TEMP, buf_str(&token)), 0);
    assert_int_equal(may("s3:GetObject"), E_DENIED);
    /* expired: who it was is known, so that the signature can be checked */
    TOKEN(OF_ROLE, .expires_ms = clock_wall_ms() - 1);
    assert_int_equal(find(TEMP, buf_str(&token)), E_TOKEN_EXPIRED);
    assert_str(secret, "its secret");
    /* another role under the old name */
    TOKEN(OF_ROLE);
    assert_int_equal(CHANGE(put_entity, ROLE = "r", .id = "AROAOTHER", .policy = "p",
                            .document = DOC("Allow", "s3:*")),
                     0);
    assert_int_equal(find(TEMP, buf_str(&token)), 0);
    assert_int_equal(may("s3:GetObject"), E_DENIED);
    assert_int_equal(CHANGE(del_entity, ROLE = "r"), 0);
    assert_int_equal(may("s3:GetObject"), E_DENIED);
}

static void user_sessions(void **state)
{
    (void)state;
    assert_int_equal(CHANGE(put_entity, USER = "u", .id = "AIDAU", .policy = "p",
                            .document = DOC("Allow", "s3:*")),
                     0);
    TOKEN(.of = SESSION_OF_USER, .name = STR("u"), .id = STR("AIDAU"));
    assert_int_equal(find(TEMP, buf_str(&token)), 0);
    assert_str(who.arn, "arn:aws:iam::" ACCOUNT_ID ":user/u");
    assert_int_equal(may("s3:GetObject"), 0);
    TOKEN(.of = SESSION_OF_USER, .name = STR("u"), .id = STR("AIDAOLD"));
    assert_int_equal(find(TEMP, buf_str(&token)), E_BAD_TOKEN);
    TOKEN(.of = SESSION_OF_ROOT);
    assert_int_equal(find(TEMP, buf_str(&token)), 0);
    assert_true(who.root);
}

/* No other text is a token: every byte changed, every length cut. */
static void forged(void **state)
{
    (void)state;
    TOKEN(.of = SESSION_OF_ROOT);
    assert_int_equal(find(TEMP, buf_str(&token)), 0);
    char *copy = malloc(token.n + 1);
    for (size_t i = 0; i < token.n; i++) {
        memcpy(copy, token.p, token.n);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        if (find(TEMP, str_of(copy, token.n)) != E_BAD_TOKEN)
            fail_msg("taken with byte %zu changed", i);
        assert_null(secret.p);
    }
    for (size_t n = 1; n < token.n; n++)
        if (find(TEMP, str_of(token.p, n)) != E_BAD_TOKEN)
            fail_msg("taken when cut at %zu", n);
    memcpy(copy, token.p, token.n);
    copy[token.n] = '=';
    assert_int_equal(find(TEMP, str_of(copy, token.n + 1)), E_BAD_TOKEN);
    free(copy);
    copy = calloc(1, SESSION_TOKEN_MAX + 10);
    memset(copy, 'A', SESSION_TOKEN_MAX + 4);
    assert_int_equal(find(TEMP, str_of(copy, SESSION_TOKEN_MAX + 4)), E_BAD_TOKEN);
    free(copy);
    /* another server's */
    assert_int_equal(find(TEMP, buf_str(&token)), 0);
    close_all();
    fixture_deinit(&f);
    fixture_init(&f);
    open_all();
    assert_int_equal(find(TEMP, buf_str(&token)), E_BAD_TOKEN);
}

/* --- managed policies ---------------------------------------------------------------------------
 */

struct managing {
    const char *name, *document, *version;
    struct err err;
    uint64_t number;
    int step;
};
enum { CREATE, ADD, SET, DEL_VERSION, DEL };
#define POLICY_ARN "arn:aws:iam::" ACCOUNT_ID ":policy/p"

static int manage_apply(struct store_txn *t, void *ctx)
{
    struct managing *m = ctx;
    struct buf b = BUF_INIT;
    int rc = 0;
    struct managed_spec spec = {STR("/"), STR(""), str_c(m->document), 77};
    switch (m->step) {
    case CREATE:
        managed_build(&b, &spec);
        rc = managed_create(t, str_c(m->name), buf_str(&b), &m->err);
        buf_deinit(&b);
        break;
    case ADD:
        rc = managed_version_add(t, STR(POLICY_ARN), str_c(m->document), 88, false, &m->number,
                                 &m->err);
        break;
    case SET:
        rc = managed_version_set(t, STR(POLICY_ARN), str_c(m->version), &m->err);
        break;
    case DEL_VERSION:
        rc = managed_version_del(t, STR(POLICY_ARN), str_c(m->version), &m->err);
        break;
    case DEL:
        rc = managed_delete(t, STR(POLICY_ARN), &m->err);
        break;
    }
    return rc;
}

static int manage(struct managing *m)
{
    int rc = call_run(&f, manage_apply, m);
    identity_policy_changed(ids);
    return rc;
}
#define MANAGE(...) manage(&(struct managing){__VA_ARGS__})

static void managed(void **state)
{
    (void)state;
    assert_int_equal(MANAGE(.step = DEL), E_NOT_FOUND);
    assert_int_equal(MANAGE(.step = CREATE, .name = "p", .document = DOC("Allow", "s3:Get*")), 0);
    assert_int_equal(MANAGE(.step = CREATE, .name = "p", .document = DOC("Allow", "s3:*")),
                     E_EXISTS);
    assert_int_equal(CHANGE(put_entity, USER = "u", .id = "AIDAU", .attach = POLICY_ARN), 0);
    assert_int_equal(CHANGE(put_key, USER = "u", .key = KEY), 0);
    assert_int_equal(find(KEY, STR("")), 0);
    assert_int_equal(may("s3:GetObject"), 0);
    assert_int_equal(may("s3:PutObject"), E_DENIED);
    struct managing add = {.step = ADD, .document = DOC("Allow", "s3:Put*")};
    assert_int_equal(manage(&add), 0);
    assert_int_equal(add.number, 2);
    assert_int_equal(may("s3:PutObject"), E_DENIED);
    assert_int_equal(MANAGE(.step = SET, .version = "v2"), 0);
    assert_int_equal(may("s3:PutObject"), 0);
    assert_int_equal(may("s3:GetObject"), E_DENIED);
    assert_int_equal(MANAGE(.step = SET, .version = "v3"), E_NOT_FOUND);
    assert_int_equal(MANAGE(.step = DEL_VERSION, .version = "v2"), E_CONFLICT);
    assert_int_equal(MANAGE(.step = DEL_VERSION, .version = "v1"), 0);
    for (uint64_t i = 3; i < 7; i++) { /* numbers are not used again */
        assert_int_equal(manage(&add), 0);
        assert_int_equal(add.number, i);
    }
    assert_int_equal(manage(&add), E_QUOTA);
    assert_int_equal(MANAGE(.step = DEL), E_CONFLICT);
    /* attached and gone: the user may do nothing, since it may have been a Deny */
    assert_int_equal(CHANGE(put_entity, USER = "u", .id = "AIDAU", .policy = "q",
                            .document = DOC("Allow", "s3:*"),
                            .attach = "arn:aws:iam::" ACCOUNT_ID ":policy/gone"),
                     0);
    assert_int_equal(may("s3:GetObject"), E_DENIED);
    /* built-in ones parse, each */
    struct store_txn *t = store_read(f.store);
    struct str arn, name, document;
    size_t n = 0;
    for (struct buf rec = BUF_INIT; managed_builtin(n, &arn, &name, &rec); n++) {
        struct err err = {0};
        assert_int_equal(managed_document(t, arn, &document), 0);
        struct policy *p = policy_parse(document, POLICY_IDENTITY, &err);
        if (!p)
            fail_msg("%.*s: %s", STR_FMT(arn), err.text);
        policy_free(p);
        buf_deinit(&rec);
    }
    assert_true(n >= 4);
    assert_int_equal(managed_document(t, STR("arn:aws:iam::aws:policy/Nope"), &document),
                     E_NOT_FOUND);
    assert_int_equal(
        managed_document(t, STR("arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole"), &document),
        E_NOT_FOUND); /* its path is another */
    assert_int_equal(managed_document(t, STR("arn:aws:iam::1:policy/p"), &document), E_NOT_FOUND);
    store_read_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys, setup, teardown),
        cmocka_unit_test_setup_teardown(misplaced, setup, teardown),
        cmocka_unit_test_setup_teardown(last_use, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(user_sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(forged, setup, teardown),
        cmocka_unit_test_setup_teardown(managed, setup, teardown),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&token);
    return rc;
}
