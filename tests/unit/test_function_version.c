/* test_function_version: versions and aliases in a real store: what publishing copies and when it makes
 * nothing, what holds a version, what an alias leads to, and the way back. */
#include "svc/alias.h"
#include "svc/function_conf.h"
#include "svc/function_version.h"

#include "base/hash.h"
#include "base/rec.h"
#include "store_help.h"
#include "svc/package.h"
#include "svc/role.h"
#include "zipmake.h"

#define REGION "us-east-1"
#define ROLE "arn:aws:iam::000000000000:role/good"

static struct fixture f;
static struct functions *fns;
static bool role_gone;

/* In place of role.c. */
int role_assumable_by_lambda(struct store_txn *t, struct str role_arn, struct err *err)
{
    (void)t, (void)role_arn;
    return role_gone ? err_set(err, E_INVALID, "no role") : 0;
}

static int setup(void **state)
{
    (void)state;
    f = (struct fixture){0};
    role_gone = false;
    fixture_init(&f);
    fns = functions_open(f.store, REGION);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    functions_close(fns);
    fixture_deinit(&f);
    return 0;
}

/* --- jobs as functions ------------------------------------------------------------------------- */

struct ask {
    struct fn_spec spec;
    struct fn_publish publish;
    struct alias_spec alias;
    struct str version;
    char made[24];
    uint64_t from, to;
    uint64_t executions;
    struct err err;
};

static int do_create(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    return function_create(t, REGION, &a->spec, &a->err);
}

static int do_update(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    return function_update(t, REGION, &a->spec, &a->err);
}

static int do_publish(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    return function_publish(t, REGION, STR("f"), &a->publish, a->made, &a->err);
}

static int do_delete_version(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    return function_version_delete(t, REGION, STR("f"), a->version, &a->err);
}

static int do_delete(struct store_txn *t, void *ctx)
{
    (void)ctx;
    return function_delete(t, STR("f"), NULL);
}

static int do_rollback(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    return function_rollback(t, REGION, STR("f"), &a->from, &a->to, &a->err);
}

static int do_alias(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    a->alias.function = STR("f");
    return alias_create(t, REGION, &a->alias, &a->err);
}

static int do_alias_update(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    a->alias.function = STR("f");
    return alias_update(t, REGION, &a->alias, &a->err);
}

static int do_alias_delete(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    return alias_delete(t, STR("f"), a->alias.name);
}

static int do_provision(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    return function_provision(t, REGION, STR("f"), a->version, a->executions, 1000, &a->err);
}

static int do_reserve(struct store_txn *t, void *ctx)
{
    struct ask *a = ctx;
    return function_reserve(t, REGION, STR("f"), (int64_t)a->executions, 1000, &a->err);
}

static int run(int (*apply)(struct store_txn *t, void *ctx), struct ask *a)
{
    a->err = (struct err){0};
    int rc = call_run(&f, apply, a);
    if (rc == 0)
        function_changed(fns, STR("f"));
    return rc;
}

static void built(void *ctx, int rc, struct package *pkg, const struct err *err)
{
    (void)err;
    assert_int_equal(rc, 0);
    *(struct package **)ctx = pkg;
}

static struct package *package(const char *text)
{
    struct package *pkg = NULL;
    struct zm z = {0};
    zm_file(&z, "handler.lua", text);
    zm_end(&z, 0, 0);
    package_build(f.store, buf_str(&z.zip), built, &pkg);
    zm_free(&z);
    while (!pkg)
        uv_run(&f.loop, UV_RUN_ONCE);
    return pkg;
}

static void create(const char *text)
{
    struct package *pkg = package(text);
    struct ask a = {.spec = {.name = STR("f"),
                             .runtime = STR("lua"),
                             .role = STR(ROLE),
                             .handler = STR("handler.main"),
                             .description = STR("own"),
                             .package = pkg}};
    assert_int_equal(run(do_create, &a), 0);
    package_free(pkg);
}

static void update(const char *text)
{
    struct package *pkg = package(text);
    struct ask a = {.spec = {.name = STR("f"), .package = pkg}};
    assert_int_equal(run(do_update, &a), 0);
    package_free(pkg);
}

static void configure(uint32_t timeout_s)
{
    struct ask a = {.spec = {.name = STR("f"), .timeout_s = timeout_s}};
    assert_int_equal(run(do_update, &a), 0);
}

static void publish(const char *want)
{
    struct ask a = {.publish = {.deployed = false}};
    assert_int_equal(run(do_publish, &a), 0);
    assert_string_equal(a.made, want);
}

static int alias(const char *name, const char *version, const char *other, uint32_t weight)
{
    struct ask a = {.alias = {.name = str_c(name),
                              .version = str_c(version),
                              .routing = true,
                              .other = str_c(other),
                              .weight = weight}};
    return run(do_alias, &a);
}

static int drop(const char *version)
{
    struct ask a = {.version = str_c(version)};
    return run(do_delete_version, &a);
}

static bool join(void *ctx, struct str version, struct str rec)
{
    (void)rec;
    buf_add(ctx, version);
    buf_addc(ctx, ' ');
    return true;
}

static void versions_are(const char *want)
{
    struct buf got = BUF_INIT;
    struct store_txn *t = store_read(f.store);
    function_versions(t, STR("f"), STR(""), join, &got);
    store_read_end(t);
    assert_true(str_is(buf_str(&got), want));
    buf_deinit(&got);
}

/* The text of one field of the row of a qualifier, followed through an alias. */
static void field_is(const char *qualifier, uint16_t tag, const char *want)
{
    struct str rec;
    struct store_txn *t = store_read(f.store);
    assert_int_equal(function_record(t, REGION, STR("f"), str_c(qualifier), &rec, NULL), 0);
    if (!str_is(rec_str(rec, tag), want))
        fail_msg("%.*s", STR_FMT(rec_str(rec, tag)));
    store_read_end(t);
}

static uint64_t timeout_of(const char *qualifier)
{
    struct str rec;
    struct store_txn *t = store_read(f.store);
    assert_int_equal(function_record(t, REGION, STR("f"), str_c(qualifier), &rec, NULL), 0);
    uint64_t n = rec_u64(rec, FN_TIMEOUT_S, 0);
    store_read_end(t);
    return n;
}

static size_t packages(void)
{
    return fixture_rows(&f, T_PACKAGES);
}

/* --- tests ------------------------------------------------------------------------------------- */

static void publishes(void **state)
{
    (void)state;
    create("return 1");
    struct ask a = {.publish = {.description = STR("first")}};
    assert_int_equal(run(do_publish, &a), 0);
    assert_string_equal(a.made, "1");
    publish("1"); /* nothing has changed, the description is not $LATEST's */
    field_is("1", FN_DESCRIPTION, "first");
    field_is("1", FN_VERSION, "1");
    field_is("", FN_DESCRIPTION, "own");
    configure(9);
    publish("2");
    configure(3); /* as version 1 was, but not as the last one is */
    publish("3");
    assert_int_equal(timeout_of("2"), 9);
    assert_int_equal(timeout_of("3"), 3);
    assert_int_equal(drop("3"), 0);
    publish("4"); /* the last one is gone, its number is not used again */
    versions_are("$LATEST 1 2 4 ");
    for (int i = 5; i < 12; i++) {
        char want[8];
        snprintf(want, sizeof want, "%d", i);
        configure((uint32_t)i + 10);
        publish(want);
    }
    versions_are("$LATEST 1 2 4 5 6 7 8 9 10 11 ");
}

static void refuses_to_publish(void **state)
{
    (void)state;
    struct ask a = {.publish = {.revision_id = STR("other")}};
    assert_int_equal(run(do_publish, &a), E_NOT_FOUND);
    create("return 1");
    assert_int_equal(run(do_publish, &a), E_PRECONDITION);
    a.publish = (struct fn_publish){.code_sha256 = STR("AAAA")};
    assert_int_equal(run(do_publish, &a), E_INVALID);
    versions_are("$LATEST ");
}

static void keys(void **state)
{
    (void)state;
    struct str rec;
    create("return 1");
    publish("1");
    struct store_txn *t = store_read(f.store);
    static const char *const none[] = {"0",           "01", "0000000001", "2",
                                       "12345678901", "1x", "live",       "."};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(function_record(t, REGION, STR("f"), str_c(none[i]), &rec, NULL),
                         E_NOT_FOUND);
    assert_int_equal(function_record(t, REGION, STR("f"), str_of("1\0", 2), &rec, NULL),
                     E_NOT_FOUND);
    store_read_end(t);
}

static void counts_packages(void **state)
{
    (void)state;
    create("return 1");
    publish("1");
    update("return 2");
    publish("2");
    update("return 1"); /* the same package as version 1 has */
    assert_int_equal(packages(), 2);
    assert_int_equal(drop("2"), 0);
    assert_int_equal(packages(), 1);
    assert_int_equal(drop("1"), 0);
    assert_int_equal(packages(), 1);
    update("return 3");
    assert_int_equal(packages(), 1);
    publish("3");
    struct ask a = {0};
    assert_int_equal(alias("live", "3", "", 0), 0);
    assert_int_equal(run(do_delete, &a), 0);
    assert_int_equal(packages(), 0);
    versions_are("");
    create("return 1"); /* nothing of the old one shows */
    struct store_txn *t = store_read(f.store);
    struct str rec;
    assert_int_equal(alias_get(t, REGION, STR("f"), STR("live"), &rec, NULL), E_NOT_FOUND);
    store_read_end(t);
    publish("1");
}

static void holds_versions(void **state)
{
    (void)state;
    create("return 1");
    publish("1");
    configure(5);
    publish("2");
    assert_int_equal(alias("live", "1", "2", 1), 0);
    assert_int_equal(drop("1"), E_CONFLICT);
    assert_int_equal(drop("2"), E_CONFLICT);
    assert_int_equal(drop("$LATEST"), E_INVALID);
    assert_int_equal(drop("live"), E_INVALID);
    assert_int_equal(drop("7"), E_NOT_FOUND);
    struct ask a = {.alias = {.name = STR("live"), .routing = true}};
    assert_int_equal(run(do_alias_update, &a), 0); /* no second version any more */
    assert_int_equal(drop("2"), 0);
    assert_int_equal(run(do_alias_delete, &a), 0);
    assert_int_equal(run(do_alias_delete, &a), 0);
    assert_int_equal(drop("1"), 0);
}

static void refuses_aliases(void **state)
{
    (void)state;
    assert_int_equal(alias("live", "1", "", 0), E_NOT_FOUND);
    create("return 1");
    assert_int_equal(alias("live", "1", "", 0), E_NOT_FOUND);
    assert_int_equal(alias("live", "$LATEST", "", 0), 0);
    assert_int_equal(alias("live", "$LATEST", "", 0), E_EXISTS);
    publish("1");
    assert_int_equal(alias("a", "1", "1", 5), E_INVALID);
    assert_int_equal(alias("a", "$LATEST", "1", 5), E_INVALID);
    assert_int_equal(alias("a", "1", "2", 5), E_NOT_FOUND);
    assert_int_equal(alias("a", "live", "", 0), E_NOT_FOUND); /* no alias of an alias */
    struct ask a = {.alias = {.name = STR("live"), .revision_id = STR("other")}};
    assert_int_equal(run(do_alias_update, &a), E_PRECONDITION);
    a.alias = (struct alias_spec){.name = STR("none")};
    assert_int_equal(run(do_alias_update, &a), E_NOT_FOUND);
}

static unsigned count_of(const char *version, unsigned calls)
{
    unsigned n = 0;
    for (unsigned i = 0; i < calls; i++) {
        struct fn *fn = NULL;
        assert_int_equal(function_get(fns, STR("f"), STR("live"), &fn, NULL), 0);
        assert_str(fn->qualifier, "live");
        n += str_is(fn->version, version);
        fn_unref(fn);
    }
    return n;
}

static void leads_through_aliases(void **state)
{
    (void)state;
    create("return 1");
    publish("1");
    configure(5);
    publish("2");
    assert_int_equal(alias("live", "1", "", 0), 0);
    assert_int_equal(count_of("1", 10), 10);
    assert_int_equal(timeout_of("live"), 3);
    struct ask a = {.alias = {.name = STR("live"), .version = STR("2")}};
    assert_int_equal(run(do_alias_update, &a), 0);
    assert_int_equal(count_of("2", 10), 10);
    a.alias = (struct alias_spec){.name = STR("live"),
                                  .routing = true,
                                  .other = STR("1"),
                                  .weight = FUNCTION_WEIGHT_ALL / 10};
    assert_int_equal(run(do_alias_update, &a), 0);
    unsigned n = count_of("1", 10000);
    assert_true(n > 700 && n < 1300);
    for (uint32_t weight = 0; weight <= FUNCTION_WEIGHT_ALL; weight += FUNCTION_WEIGHT_ALL) {
        a.alias.weight = weight;
        assert_int_equal(run(do_alias_update, &a), 0);
        assert_int_equal(count_of("1", 1000), weight ? 1000 : 0);
    }
    struct fn *one = NULL, *two = NULL; /* a version held while all of it goes */
    assert_int_equal(function_get(fns, STR("f"), STR("live"), &one, NULL), 0);
    assert_int_equal(function_get(fns, STR("f"), STR("1"), &two, NULL), 0);
    assert_int_equal(one->generation, two->generation);
    assert_true(function_current(fns, one));
    assert_int_equal(run(do_delete, &a), 0);
    assert_false(function_current(fns, one));
    assert_str(one->version, "1");
    fn_unref(one);
    fn_unref(two);
}

static uint64_t back(uint64_t to, uint64_t *from)
{
    struct ask a = {.to = to};
    int rc = run(do_rollback, &a);
    *from = a.from;
    return rc ? 0 : a.to;
}

static void goes_back(void **state)
{
    (void)state;
    uint64_t from;
    create("return 1");
    assert_int_equal(back(0, &from), 0); /* nothing published */
    publish("1");
    assert_int_equal(back(0, &from), 0);
    update("return 2");
    struct ask a = {.publish = {.description = STR("another")}};
    assert_int_equal(run(do_publish, &a), 0);
    update("return 3");
    publish("3");
    assert_int_equal(back(0, &from), 2);
    assert_int_equal(from, 3);
    field_is("", FN_DESCRIPTION, "own"); /* not the version's */
    assert_int_equal(back(0, &from), 1);
    assert_int_equal(from, 2);
    assert_int_equal(back(0, &from), 0);
    assert_int_equal(back(3, &from), 3);
    assert_int_equal(from, 1);
    assert_int_equal(back(9, &from), 0);
    configure(77); /* like no version */
    assert_int_equal(back(0, &from), 3);
    assert_int_equal(from, 0);
    assert_int_equal(timeout_of(""), 3);
    role_gone = true;
    assert_int_equal(back(1, &from), 0);
    role_gone = false;
    assert_int_equal(packages(), 3);
    publish("3"); /* back where it was: nothing new */
}

static void keeps_some_deployments(void **state)
{
    (void)state;
    create("return 1");
    for (uint32_t i = 1; i <= FUNCTION_VERSIONS_KEPT + 3; i++) {
        struct ask a = {.publish = {.deployed = true}};
        configure(i);
        assert_int_equal(run(do_publish, &a), 0);
        if (i == 1)
            assert_int_equal(alias("first", "1", "", 0), 0);
    }
    struct buf got = BUF_INIT;
    struct store_txn *t = store_read(f.store);
    function_versions(t, STR("f"), STR(""), join, &got);
    store_read_end(t);
    assert_true(str_starts(buf_str(&got), STR("$LATEST 1 5 6 ")));
    buf_deinit(&got);
}

static void limits(void **state)
{
    (void)state;
    create("return 1");
    publish("1");
    assert_int_equal(alias("live", "1", "", 0), 0);
    struct ask a = {.version = STR("live"), .executions = 10};
    assert_int_equal(run(do_provision, &a), 0);
    a.version = STR("1");
    assert_int_equal(run(do_provision, &a), E_CONFLICT);
    a.executions = 9;
    assert_int_equal(run(do_reserve, &a), E_INVALID);
    a.executions = 900;
    assert_int_equal(run(do_reserve, &a), 0);
    a.executions = 901;
    assert_int_equal(run(do_reserve, &a), E_INVALID);
    a.executions = 0;
    a.version = STR("live");
    assert_int_equal(run(do_provision, &a), 0); /* removes */
    assert_int_equal(run(do_reserve, &a), 0);
    struct fn *fn = NULL;
    assert_int_equal(function_get(fns, STR("f"), STR("live"), &fn, NULL), 0);
    assert_true(fn->limited && fn->reserved == 0);
    fn_unref(fn);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(publishes),
        T(refuses_to_publish),
        T(keys),
        T(counts_packages),
        T(holds_versions),
        T(refuses_aliases),
        T(leads_through_aliases),
        T(goes_back),
        T(keeps_some_deployments),
        T(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
