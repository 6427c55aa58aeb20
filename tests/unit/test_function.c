/* test_function: records and cache in a real store: what is refused writes nothing, an update
 * leaves runs in flight their old code, policies decide who may call a URL. */
#include "svc/function_conf.h"

#include "base/rec.h"
#include "store_help.h"
#include "svc/package.h"
#include "svc/role.h"
#include "zipmake.h"

#define ROLE "arn:aws:iam::000000000000:role/good"

static struct fixture f;
static struct functions *fns;
static int changes;

/* In place of role.c: one role exists. */
int role_assumable_by_lambda(struct store_txn *t, struct str role_arn, struct err *err)
{
    (void)t;
    return str_is(role_arn, ROLE)
               ? 0
               : err_set(err, E_INVALID,
                         "The role defined for the function cannot be assumed by Lambda.");
}

static void changed(void *ctx, struct str name)
{
    (void)ctx;
    (void)name;
    changes++;
}

static int setup(void **state)
{
    (void)state;
    f = (struct fixture){0};
    fixture_init(&f);
    fns = functions_open(f.store, "us-east-1");
    functions_on_change(fns, changed, NULL);
    changes = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    functions_close(fns);
    fixture_deinit(&f);
    return 0;
}

struct building {
    bool done;
    struct package *pkg;
};

static void built(void *ctx, int rc, struct package *pkg, const struct err *err)
{
    struct building *b = ctx;
    (void)err;
    assert_int_equal(rc, 0);
    *b = (struct building){true, pkg};
}

/* A package of handler.lua with this text, and `extra` bytes of data so that it becomes a blob. */
static struct package *package(const char *text, size_t extra, const char *also)
{
    struct building b = {0};
    struct zm z = {0};
    zm_file(&z, "handler.lua", text);
    if (also)
        zm_file(&z, also, "x");
    char *data = malloc(extra + 1);
    for (size_t i = 0; i < extra; i++)
        data[i] = (char)(i * 2654435761u >> 23);
    if (extra)
        zm_add(&z, &(struct zm_entry){.name = STR("data"), .data = str_of(data, extra)});
    zm_end(&z, 0, 0);
    package_build(f.store, buf_str(&z.zip), built, &b);
    free(data);
    zm_free(&z);
    while (!b.done)
        uv_run(&f.loop, UV_RUN_ONCE);
    return b.pkg;
}

struct op {
    struct fn_spec spec;
    struct str name, sid, text;
    struct err err;
};

static int do_create(struct store_txn *t, void *ctx)
{
    struct op *o = ctx;
    return function_create(t, "us-east-1", &o->spec, &o->err);
}

static int do_update(struct store_txn *t, void *ctx)
{
    struct op *o = ctx;
    return function_update(t, "us-east-1", &o->spec, &o->err);
}

static int do_delete(struct store_txn *t, void *ctx)
{
    return function_delete(t, ((struct op *)ctx)->name, NULL);
}

static int do_policy_add(struct store_txn *t, void *ctx)
{
    struct op *o = ctx;
    return function_policy_add(t, o->name, STR(""), o->sid, o->text, &o->err);
}

static int do_policy_remove(struct store_txn *t, void *ctx)
{
    struct op *o = ctx;
    return function_policy_remove(t, o->name, STR(""), o->sid, &o->err);
}

static int do_url(struct store_txn *t, void *ctx)
{
    struct op *o = ctx;
    const struct fn_url url = {.auth = o->text};
    return function_url_set(t, o->name, STR(""), o->text.p ? &url : NULL, &o->err);
}

static struct fn_spec spec(const char *name, const struct package *pkg)
{
    return (struct fn_spec){.name = str_c(name),
                            .runtime = STR("lua"),
                            .role = STR(ROLE),
                            .handler = STR("handler.main"),
                            .package = pkg};
}

/* Runs a job on NAME as a handler would. */
static int run(int (*apply)(struct store_txn *t, void *ctx), struct op *o, const char *name)
{
    o->err = (struct err){0};
    int rc = call_run(&f, apply, o);
    if (rc == 0)
        function_changed(fns, str_c(name));
    return rc;
}

static void create(const char *name, const char *text, size_t extra)
{
    struct package *pkg = package(text, extra, NULL);
    struct op o = {.spec = spec(name, pkg)};
    assert_int_equal(run(do_create, &o, name), 0);
    package_free(pkg);
}

static int update_code(const char *name, const char *text, size_t extra)
{
    struct package *pkg = package(text, extra, NULL);
    struct op o = {.spec = {.name = str_c(name), .package = pkg}};
    int rc = run(do_update, &o, name);
    package_free(pkg);
    return rc;
}

static struct fn *get(const char *name)
{
    struct fn *fn = NULL;
    assert_int_equal(function_get(fns, str_c(name), STR(""), &fn, NULL), 0);
    return fn;
}

struct file {
    bool done;
    int rc;
    struct buf bytes;
};

static void got_file(void *ctx, int rc, struct str bytes)
{
    struct file *file = ctx;
    file->done = true;
    file->rc = rc;
    buf_add(&file->bytes, bytes);
}

/* rc of reading a file, whose bytes must begin with `want`. */
static int read_file(struct fn *fn, const char *path, const char *want)
{
    struct file file = {0};
    function_file(fns, fn, str_c(path), got_file, &file);
    while (!file.done)
        uv_run(&f.loop, UV_RUN_ONCE);
    if (file.rc == 0 && !str_starts(buf_str(&file.bytes), str_c(want)))
        fail_msg("%s holds \"%.*s\"", path, STR_FMT(buf_str(&file.bytes)));
    buf_deinit(&file.bytes);
    return file.rc;
}

static size_t rows(enum table table)
{
    return fixture_rows(&f, table);
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void creates(void **state)
{
    (void)state;
    struct fn *fn = NULL;
    struct err err = {0};
    assert_int_equal(function_get(fns, STR("f"), STR(""), &fn, &err), E_NOT_FOUND);
    assert_string_equal(err.text,
                        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f");
    create("f", "return 1", 0);
    fn = get("f");
    assert_str(fn->name, "f");
    assert_str(fn->version, "$LATEST");
    assert_str(fn->arn, "arn:aws:lambda:us-east-1:000000000000:function:f");
    assert_str(fn->log_group, "/aws/lambda/f");
    assert_int_equal(fn->timeout_ms, 3000);
    assert_int_equal(fn->memory_mb, 128);
    assert_int_equal(fn->revision_id.n, 36);
    assert_int_equal(fn->code_sha256.n, 44);
    assert_int_equal(fn->file_count, 1);
    assert_false(fn->url);
    assert_int_equal(read_file(fn, "handler.lua", "return 1"), 0);
    assert_int_equal(read_file(fn, "absent.lua", ""), E_NOT_FOUND);
    assert_ptr_equal(get("f"), fn); /* cached */
    fn_unref(fn);
    fn_unref(fn);
    assert_int_equal(function_get(fns, STR("f"), STR("7"), &fn, &err), E_NOT_FOUND);
    assert_non_null(strstr(err.text, "function:f:7"));
    fixture_restart(&f);
    functions_close(fns);
    fns = functions_open(f.store, "us-east-1");
    fn = get("f");
    assert_int_equal(read_file(fn, "handler.lua", "return 1"), 0);
    fn_unref(fn);
}

static void refusals(void **state)
{
    (void)state;
    struct package *pkg = package("return 1", 0, NULL), *boot = package("return 1", 0, "bootstrap");
    struct op o = {.spec = spec("f", pkg)};
    assert_int_equal(run(do_create, &o, "f"), 0);
    size_t functions = rows(T_FUNCTIONS), packages = rows(T_PACKAGES);

    assert_int_equal(run(do_create, &o, "f"), E_EXISTS);
    assert_string_equal(o.err.text, "Function already exist: f");
    o.spec = spec("g", pkg);
    o.spec.role = STR("arn:aws:iam::000000000000:role/other");
    assert_int_equal(run(do_create, &o, "g"), E_INVALID);
    assert_string_equal(o.err.text,
                        "The role defined for the function cannot be assumed by Lambda.");
    o.spec = spec("g", NULL);
    assert_int_equal(run(do_create, &o, "g"), E_INVALID);
    o.spec = spec("g", boot);
    o.spec.runtime = STR("provided.al2023");
    assert_int_equal(run(do_create, &o, "g"), E_INVALID);
    assert_non_null(strstr(o.err.text, "lua, luajit, lua5.1"));
    o.spec = (struct fn_spec){.name = STR("f"), .revision_id = STR("no")};
    assert_int_equal(run(do_update, &o, "f"), E_PRECONDITION);
    assert_non_null(strstr(o.err.text, "The Revision Id provided does not match"));
    o.spec = (struct fn_spec){.name = STR("absent"), .timeout_s = 5};
    assert_int_equal(run(do_update, &o, "absent"), E_NOT_FOUND);
    o.spec = (struct fn_spec){.name = STR("f"), .timeout_s = 901};
    assert_int_equal(run(do_update, &o, "f"), E_VALIDATION);
    o.name = STR("absent");
    assert_int_equal(run(do_delete, &o, "absent"), E_NOT_FOUND);
    assert_int_equal(rows(T_FUNCTIONS), functions);
    assert_int_equal(rows(T_PACKAGES), packages);

    /* a bootstrap is fine where it is not run, and refused once it would be */
    o.spec = spec("g", boot);
    assert_int_equal(run(do_create, &o, "g"), 0);
    o.spec = (struct fn_spec){.name = STR("g"), .runtime = STR("provided")};
    assert_int_equal(run(do_update, &o, "g"), E_INVALID);
    o.spec = (struct fn_spec){.name = STR("f"), .runtime = STR("provided")};
    assert_int_equal(run(do_update, &o, "f"), 0);
    o.spec = (struct fn_spec){.name = STR("f"), .package = boot};
    assert_int_equal(run(do_update, &o, "f"), E_INVALID);
    package_free(pkg);
    package_free(boot);
}

static void updates(void **state)
{
    (void)state;
    create("f", "return 1", 0);
    struct fn *old = get("f");
    struct fn_env env[] = {{STR("KEY"), STR("value")}, {STR("OTHER"), STR("")}};
    struct op o = {.spec = {.name = STR("f"),
                            .timeout_s = 9,
                            .description = STR("text"),
                            .env = env,
                            .env_count = 2,
                            .env_set = true,
                            .revision_id = old->revision_id}};
    changes = 0;
    assert_int_equal(run(do_update, &o, "f"), 0);
    assert_int_equal(changes, 1);
    struct fn *fn = get("f");
    assert_ptr_not_equal(fn, old);
    assert_int_equal(fn->id, old->id);
    assert_true(fn->generation > old->generation);
    assert_false(str_eq(fn->revision_id, old->revision_id));
    assert_int_equal(fn->timeout_ms, 9000);
    assert_str(fn->description, "text");
    assert_str(fn->handler, "handler.main");
    assert_int_equal(fn->env_count, 2);
    assert_str(fn->env[0].name, "KEY");
    assert_str(fn->env[1].value, "");
    assert_true(str_eq(fn->code_sha256, old->code_sha256));
    fn_unref(fn);
    /* what is not named stays, what is named empty goes */
    o.spec = (struct fn_spec){.name = STR("f"), .memory_mb = 1};
    assert_int_equal(run(do_update, &o, "f"), 0);
    fn = get("f");
    assert_int_equal(fn->env_count, 2);
    assert_int_equal(fn->memory_mb, 1);
    assert_str(fn->description, "text");
    fn_unref(fn);
    o.spec = (struct fn_spec){.name = STR("f"), .env_set = true, .description = STR("")};
    assert_int_equal(run(do_update, &o, "f"), 0);
    fn = get("f");
    assert_int_equal(fn->env_count, 0);
    assert_str(fn->description, "");
    fn_unref(fn);
    fn_unref(old);
}

/* A run in flight reads its own version's files whatever happens to the function. */
static void keeps_old_code(size_t extra)
{
    create("f", "return 1", extra);
    struct fn *one = get("f"), *two, *three;
    assert_int_equal(update_code("f", "return 2", extra), 0);
    two = get("f");
    assert_int_equal(read_file(one, "handler.lua", "return 1"), 0);
    assert_int_equal(read_file(two, "handler.lua", "return 2"), 0);
    assert_int_equal(rows(T_PACKAGES), 1);
    struct op o = {.name = STR("f")};
    assert_int_equal(run(do_delete, &o, "f"), 0);
    for (int i = 0; i < 20; i++) { /* the files would go now */
        uv_run(&f.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(rows(T_PACKAGES), 0);
    assert_int_equal(rows(T_BLOBS), 0);
    assert_int_equal(read_file(one, "handler.lua", "return 1"), 0);
    assert_int_equal(read_file(two, "handler.lua", "return 2"), 0);
    assert_int_equal(function_get(fns, STR("f"), STR(""), &three, NULL), E_NOT_FOUND);
    create("f", "return 3", extra);
    three = get("f");
    assert_true(three->id != one->id);
    assert_int_equal(read_file(three, "handler.lua", "return 3"), 0);
    fn_unref(one);
    fn_unref(two);
    fn_unref(three);
}

static void keeps_old_code_inline(void **state)
{
    (void)state;
    keeps_old_code(0);
}

static void keeps_old_code_blob(void **state)
{
    (void)state;
    keeps_old_code(2500000);
    struct fn *fn = get("f");
    assert_int_equal(read_file(fn, "data", ""), 0); /* in more than one piece */
    fn_unref(fn);
}

/* What nobody uses is forgotten, what somebody holds stays the one that others get. */
static void forgotten(void **state)
{
    (void)state;
    create("f", "return 1", 0);
    create("g", "return 2", 0);
    struct fn *held = get("f");
    fn_unref(get("g"));
    assert_true(functions_forget(fns));
    assert_false(functions_forget(fns));
    struct fn *again = get("f"), *g = get("g");
    assert_ptr_equal(again, held);
    assert_int_equal(read_file(g, "handler.lua", "return 2"), 0);
    fn_unref(again);
    fn_unref(g);
    fn_unref(held);
    assert_true(functions_forget(fns));
}

/* Between the commit of an update and function_changed: the blob is gone, the cache does not know.
 */
static void late_news(void **state)
{
    (void)state;
    create("f", "return 1", 40000);
    struct fn *fn = get("f");
    fn_unref(fn); /* cached, nobody uses it */
    struct package *pkg = package("return 2", 40000, NULL);
    struct op o = {.spec = {.name = STR("f"), .package = pkg}};
    assert_int_equal(call_run(&f, do_update, &o), 0);
    for (int i = 0; i < 20; i++) {
        uv_run(&f.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    fn = get("f");
    assert_int_equal(read_file(fn, "handler.lua", "return 2"), 0);
    fn_unref(fn);
    package_free(pkg);
}

#define URL_STATEMENT                                                                              \
    "{\"Sid\":\"u\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"                          \
    "\"lambda:InvokeFunctionUrl\",\"Resource\":"                                                   \
    "\"arn:aws:lambda:us-east-1:000000000000:function:f\",\"Condition\":{\"StringEquals\":"        \
    "{\"lambda:FunctionUrlAuthType\":\"%s\"}}}"

static void policies(void **state)
{
    (void)state;
    char text[512];
    create("f", "return 1", 0);
    struct fn *fn = get("f");
    uint64_t generation = fn->generation, id;
    fn_unref(fn);
    snprintf(text, sizeof text, URL_STATEMENT, "NONE");
    struct op o = {.name = STR("f"), .sid = STR("u"), .text = str_c(text)};
    assert_int_equal(run(do_policy_add, &o, "f"), 0);
    assert_int_equal(run(do_policy_add, &o, "f"), E_EXISTS);
    assert_string_equal(o.err.text,
                        "The statement id (u) provided already exists. Please provide a new "
                        "statement id, or remove the existing statement.");
    fn = get("f");
    assert_int_equal(fn->generation, generation); /* no runner has to go */
    assert_non_null(fn->policy);
    assert_true(
        str_starts(fn->policy_json,
                   STR("{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[{\"Sid\"")));
    assert_false(fn->url_open); /* no URL yet */
    fn_unref(fn);

    o.text = STR("NONE");
    assert_int_equal(run(do_url, &o, "f"), 0);
    fn = get("f");
    assert_true(fn->url && fn->url_open);
    fn_unref(fn);

    struct str policy;
    struct store_txn *t = store_read(f.store);
    assert_int_equal(function_find(t, STR("f"), STR("$LATEST"), &id, &policy), 0);
    assert_true(str_find(policy, str_c(text)) > 0);
    assert_int_equal(function_find(t, STR("g"), STR(""), &id, &policy), E_NOT_FOUND);
    store_read_end(t);

    assert_int_equal(run(do_policy_remove, &o, "f"), 0);
    fn = get("f");
    assert_null(fn->policy);
    assert_true(fn->url && !fn->url_open);
    fn_unref(fn);
    assert_int_equal(run(do_policy_remove, &o, "f"), E_NOT_FOUND);

    snprintf(text, sizeof text, URL_STATEMENT, "AWS_IAM"); /* for another kind of URL */
    o.text = str_c(text);
    assert_int_equal(run(do_policy_add, &o, "f"), 0);
    fn = get("f");
    assert_false(fn->url_open);
    fn_unref(fn);
    o.text = (struct str){NULL, 0};
    assert_int_equal(run(do_url, &o, "f"), 0);
    fn = get("f");
    assert_false(fn->url);
    fn_unref(fn);

    o.sid = STR("bad");
    o.text = STR("{\"Sid\":\"bad\",\"Effect\":\"Maybe\"}");
    assert_int_equal(run(do_policy_add, &o, "f"), E_BAD_POLICY);
}

static void policy_size(void **state)
{
    (void)state;
    char sid[16], text[512];
    int n = 0, rc = 0;
    create("f", "return 1", 0);
    while (rc == 0 && n < 200) {
        snprintf(sid, sizeof sid, "s%d", n++);
        snprintf(text, sizeof text,
                 "{\"Sid\":\"%s\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":"
                 "\"s3.amazonaws.com\"},\"Action\":\"lambda:InvokeFunction\",\"Resource\":"
                 "\"arn:aws:lambda:us-east-1:000000000000:function:f\"}",
                 sid);
        struct op o = {.name = STR("f"), .sid = str_c(sid), .text = str_c(text)};
        rc = run(do_policy_add, &o, "f");
    }
    assert_int_equal(rc, E_POLICY_LENGTH);
    assert_in_range(n, 100, 140);
}

static bool each(void *ctx, struct str name, struct str rec)
{
    assert_true(str_eq(rec_str(rec, FN_NAME), name));
    buf_add(ctx, name);
    buf_addc(ctx, ' ');
    return !str_is(name, "b-");
}

static void lists(void **state)
{
    (void)state;
    static const char *const names[] = {"b", "a", "b-", "b-1", "B", "b_"};
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        create(names[i], "return 1", 0);
    assert_int_equal(rows(T_PACKAGES), 1);
    static const struct {
        const char *after, *want;
    } cases[] = {
        {"", "B a b b- "}, {"a", "b b- "}, {"b-", "b-1 b_ "}, {"b-0", "b-1 b_ "}, {"b_", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_txn *t = store_read(f.store);
        buf_clear(&out);
        function_each(t, str_c(cases[i].after), each, &out);
        store_read_end(t);
        assert_str(buf_str(&out), cases[i].want);
    }
    buf_deinit(&out);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(creates),   T(refusals),  T(updates),  T(keeps_old_code_inline), T(keeps_old_code_blob),
        T(forgotten), T(late_news), T(policies), T(policy_size),           T(lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
