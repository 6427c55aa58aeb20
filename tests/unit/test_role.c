/* test_role: roles in a real store: what they may do before and after each change, and every way in
 * which a role can be no role. */
#include "svc/role.h"

#include "auth/arn.h"
#include "store_help.h"

#define ROLE "arn:aws:iam::" ACCOUNT_ID ":role/"
#define TRUST(service)                                                                             \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":" \
    "\"" service "\"},\"Action\":\"sts:AssumeRole\"}]}"
#define GRANT(effect, action, resource)                                                            \
    "{\"Statement\":[{\"Effect\":\"" effect "\",\"Action\":\"" action                              \
    "\",\"Resource\":\"" resource "\"}]}"

static struct fixture f;
static struct roles *roles;

struct change {
    const char *name, *path, *trust, *policy, *document;
    struct err err;
};

static int create(struct store_txn *t, void *ctx)
{
    struct change *c = ctx;
    struct buf b = BUF_INIT;
    struct role_spec spec = {.path = str_c(c->path),
                             .trust = str_c(c->trust ? c->trust : TRUST("lambda.amazonaws.com")),
                             .description = STR("d"),
                             .created_ms = 77};
    role_build(&b, &spec);
    int rc = role_put(t, str_c(c->name), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

static int put_policy(struct store_txn *t, void *ctx)
{
    struct change *c = ctx;
    return entity_policy_put(t, &entity_role, str_c(c->name), str_c(c->policy), str_c(c->document),
                             &c->err);
}

static int del_policy(struct store_txn *t, void *ctx)
{
    struct change *c = ctx;
    return entity_policy_del(t, &entity_role, str_c(c->name), str_c(c->policy), &c->err);
}

static int del_role(struct store_txn *t, void *ctx)
{
    return role_del(t, str_c(((struct change *)ctx)->name));
}

static int change(int (*apply)(struct store_txn *, void *), struct change *c)
{
    int rc = call_run(&f, apply, c);
    role_changed(roles, str_c(c->name));
    return rc;
}
#define CHANGE(apply, ...) change(apply, &(struct change){__VA_ARGS__})

static int allows(const char *arn, const char *action, const char *resource, struct err *err)
{
    return role_allows(roles, str_c(arn), str_c(action), str_c(resource), err);
}

static void setup_store(void)
{
    fixture_init(&f);
    roles = roles_open(f.store, "us-east-1");
}

static void teardown_store(void)
{
    roles_close(roles);
    fixture_deinit(&f);
}

static void permissions(void **state)
{
    (void)state;
    struct err err = {0};
    setup_store();
    assert_int_equal(allows(ROLE "r", "s3:GetObject", "arn:aws:s3:::b/k", &err), E_DENIED);
    assert_int_equal(CHANGE(create, .name = "r"), 0);
    assert_int_equal(allows(ROLE "r", "s3:GetObject", "arn:aws:s3:::b/k", &err), E_DENIED);
    assert_string_equal(err.text, "User: " ROLE "r is not authorized to perform: s3:GetObject on "
                                  "resource: arn:aws:s3:::b/k because no identity-based policy "
                                  "allows the s3:GetObject action");
    assert_int_equal(CHANGE(put_policy, .name = "r", .policy = "a",
                            .document = GRANT("Allow", "s3:Get*", "arn:aws:s3:::b/*")),
                     0);
    assert_int_equal(allows(ROLE "r", "s3:GetObject", "arn:aws:s3:::b/k", &err), 0);
    assert_int_equal(allows(ROLE "r", "s3:PutObject", "arn:aws:s3:::b/k", &err), E_DENIED);
    assert_int_equal(allows(ROLE "r", "s3:GetObject", "arn:aws:s3:::c/k", &err), E_DENIED);
    /* a second policy adds, a Deny takes */
    assert_int_equal(CHANGE(put_policy, .name = "r", .policy = "b",
                            .document = GRANT("Allow", "s3:Put*", "arn:aws:s3:::b/*")),
                     0);
    assert_int_equal(allows(ROLE "r", "s3:PutObject", "arn:aws:s3:::b/k", NULL), 0);
    assert_int_equal(allows(ROLE "r", "s3:GetObject", "arn:aws:s3:::b/k", NULL), 0);
    assert_int_equal(CHANGE(put_policy, .name = "r", .policy = "c",
                            .document = GRANT("Deny", "*", "arn:aws:s3:::b/secret")),
                     0);
    bool denied = false;
    struct policy_query q = {.action = STR("s3:GetObject"),
                             .resource = STR("arn:aws:s3:::b/secret")};
    assert_int_equal(role_check(roles, STR(ROLE "r"), STR("f"), NULL, &q, &denied, &err), E_DENIED);
    assert_true(denied);
    assert_non_null(strstr(err.text, "explicit deny"));
    q.resource = STR("arn:aws:s3:::x");
    assert_int_equal(role_check(roles, STR(ROLE "r"), STR("f"), NULL, &q, &denied, &err), E_DENIED);
    assert_false(denied);
    /* replacing and removing */
    assert_int_equal(CHANGE(put_policy, .name = "r", .policy = "a",
                            .document = GRANT("Allow", "s3:Get*", "arn:aws:s3:::z/*")),
                     0);
    assert_int_equal(allows(ROLE "r", "s3:GetObject", "arn:aws:s3:::b/k", NULL), E_DENIED);
    assert_int_equal(CHANGE(del_policy, .name = "r", .policy = "b"), 0);
    assert_int_equal(allows(ROLE "r", "s3:PutObject", "arn:aws:s3:::b/k", NULL), E_DENIED);
    assert_int_equal(CHANGE(del_policy, .name = "r", .policy = "b"), E_NOT_FOUND);
    assert_int_equal(allows(ROLE "r", "s3:GetObject", "arn:aws:s3:::z/k", NULL), 0);
    assert_int_equal(CHANGE(del_role, .name = "r"), 0);
    assert_int_equal(allows(ROLE "r", "s3:GetObject", "arn:aws:s3:::z/k", NULL), E_DENIED);
    teardown_store();
}

static void no_role(void **state)
{
    (void)state;
    static const char *const arns[] = {"",
                                       "r",
                                       "*",
                                       "role/r",
                                       ROLE,
                                       ROLE "R",
                                       ROLE "r/",
                                       ROLE "other/r",
                                       ROLE "/r",
                                       "arn:aws:iam::111111111111:role/r",
                                       "arn:aws:iam:us-east-1:" ACCOUNT_ID ":role/r",
                                       "arn:aws:iam::" ACCOUNT_ID ":user/r",
                                       "arn:aws:sts::" ACCOUNT_ID ":role/r",
                                       "arn:aws-cn:iam::" ACCOUNT_ID ":role/r",
                                       ROLE "p"};
    setup_store();
    assert_int_equal(CHANGE(create, .name = "r"), 0);
    assert_int_equal(CHANGE(create, .name = "p", .path = "/team/x/"), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(CHANGE(put_policy, .name = i ? "p" : "r", .policy = "all",
                                .document = GRANT("Allow", "*", "*")),
                         0);
    assert_int_equal(allows(ROLE "r", "a:b", "x", NULL), 0);
    assert_int_equal(allows(ROLE "team/x/p", "a:b", "x", NULL), 0);
    for (size_t i = 0; i < sizeof arns / sizeof *arns; i++) {
        struct err err = {0};
        if (allows(arns[i], "a:b", "x", &err) != E_DENIED)
            fail_msg("%s may", arns[i]);
        struct store_txn *t = store_read(f.store);
        assert_int_equal(role_assumable_by_lambda(t, str_c(arns[i]), &err), E_INVALID);
        store_read_end(t);
    }
    assert_str(role_name_of(STR(ROLE "team/x/p")), "p");
    assert_null(role_name_of(STR(ROLE)).p);
    teardown_store();
}

static void trust(void **state)
{
    (void)state;
    struct err err = {0};
    setup_store();
    assert_int_equal(CHANGE(create, .name = "l"), 0);
    assert_int_equal(CHANGE(create, .name = "e", .trust = TRUST("ec2.amazonaws.com")), 0);
    assert_int_equal(CHANGE(create, .name = "n", .trust = "nonsense"), 0);
    struct store_txn *t = store_read(f.store);
    assert_int_equal(role_assumable_by_lambda(t, STR(ROLE "l"), &err), 0);
    assert_int_equal(role_assumable_by_lambda(t, STR("l"), &err), E_INVALID);
    assert_int_equal(role_assumable_by_lambda(t, STR(ROLE "e"), &err), E_INVALID);
    assert_string_equal(err.text, "The role defined for the function cannot be assumed by Lambda.");
    assert_int_equal(role_assumable_by_lambda(t, STR(ROLE "n"), &err), E_INVALID);
    assert_int_equal(role_assumable_by_lambda(t, STR(ROLE "absent"), &err), E_INVALID);
    assert_int_equal(role_assumable(t, STR(ROLE "e"), "ec2.amazonaws.com", STR("")), 0);
    assert_int_equal(role_assumable(t, STR(ROLE "e"), "ec2.amazonaws.com", STR("arn:x")), 0);
    assert_int_equal(role_assumable(t, STR(ROLE "e"), "lambda.amazonaws.com", STR("")), E_INVALID);
    store_read_end(t);
    teardown_store();
}

static void records(void **state)
{
    (void)state;
    struct str rec, doc, rest, name;
    static char huge[11000];
    setup_store();
    assert_int_equal(CHANGE(create, .name = "r", .path = "/p/"), 0);
    assert_int_equal(
        CHANGE(put_policy, .name = "r", .policy = "one", .document = GRANT("Allow", "a:b", "*")),
        0);
    memset(huge, 'x', sizeof huge - 1);
    struct change c = {.name = "r", .policy = "big", .document = huge};
    assert_int_equal(change(put_policy, &c), E_QUOTA);
    assert_string_equal(c.err.text, "Maximum policy size of 10240 bytes exceeded for role r");
    memset(huge, ' ', sizeof huge - 1); /* blanks do not count */
    assert_int_equal(CHANGE(put_policy, .name = "r", .policy = "blank", .document = huge), 0);
    assert_int_equal(CHANGE(put_policy, .name = "absent", .policy = "x", .document = "{}"),
                     E_NOT_FOUND);
    /* a document that cannot be read denies all */
    assert_int_equal(allows(ROLE "p/r", "a:b", "x", NULL), E_DENIED);
    assert_int_equal(CHANGE(del_policy, .name = "r", .policy = "blank"), 0);
    assert_int_equal(allows(ROLE "p/r", "a:b", "x", NULL), 0);
    fixture_restart(&f);
    struct store_txn *t = store_read(f.store);
    assert_int_equal(role_get(t, STR("r"), &rec), 0);
    assert_int_equal(role_get(t, STR(ROLE "p/r"), &rec), 0);
    assert_int_equal(role_get(t, STR(ROLE "r"), &rec), E_NOT_FOUND);
    assert_int_equal(role_get(t, STR(""), &rec), E_NOT_FOUND);
    assert_int_equal(role_get(t, STR("r\0"), &rec), E_NOT_FOUND);
    assert_int_equal(role_get(t, STR("r"), &rec), 0);
    assert_int_equal(rec_str(rec, ENTITY_ID).n, 21);
    assert_true(str_starts(rec_str(rec, ENTITY_ID), STR("AROA")));
    assert_int_equal(rec_u64(rec, ENTITY_CREATED_MS, 0), 77);
    assert_int_equal(rec_u64(rec, ENTITY_MAX_SESSION_S, 0), 3600);
    assert_int_equal(entity_policy_get(&entity_role, rec, STR("one"), &doc, NULL), 0);
    assert_str(doc, GRANT("Allow", "a:b", "*"));
    rest = rec;
    assert_true(entity_policy_next(&rest, &name, &doc));
    assert_str(name, "one");
    assert_false(entity_policy_next(&rest, &name, &doc));
    store_read_end(t);
    teardown_store();
}

enum { MANY = 400 };

static int create_many(struct store_txn *t, void *ctx)
{
    (void)ctx;
    for (int i = 0; i < MANY; i++) {
        char name[16], doc[160];
        snprintf(name, sizeof name, "r%d", i);
        snprintf(doc, sizeof doc, GRANT("Allow", "s3:x", "arn:aws:s3:::b%d"), i);
        struct change c = {.name = name, .policy = "p", .document = doc};
        int rc = create(t, &c);
        if (rc == 0)
            rc = put_policy(t, &c);
        if (rc)
            return rc;
    }
    return 0;
}

/* Many more roles than are kept compiled; each must go on answering for itself. */
static void many(void **state)
{
    (void)state;
    setup_store();
    assert_int_equal(call_run(&f, create_many, NULL), 0);
    for (int i = 0; i < 3 * MANY; i++) {
        char arn[80], res[32];
        snprintf(arn, sizeof arn, ROLE "r%d", i % MANY);
        snprintf(res, sizeof res, "arn:aws:s3:::b%d", i % MANY);
        assert_int_equal(allows(arn, "s3:x", res, NULL), 0);
        assert_int_equal(allows(arn, "s3:x", "arn:aws:s3:::b", NULL), E_DENIED);
        assert_int_equal(allows(ROLE "r0", "s3:x", "arn:aws:s3:::b0", NULL), 0);
    }
    teardown_store();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permissions), cmocka_unit_test(no_role), cmocka_unit_test(trust),
        cmocka_unit_test(records),     cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
