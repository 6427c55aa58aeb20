/* lambda_concurrency: how many may run: of one function (reserved) and of all others together (the
 * account's), which the pool enforces, and provisioned (answered as ready: a start takes a
 * millisecond here, so nothing has to be kept). */
#include "api/lambda.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rec.h"
#include "svc/alias.h"
#include "svc/function_conf.h"
#include "svc/function_version.h"
#include "svc/package.h"
#include "svc/queue.h"

struct reserving {
    struct lambda_job j;
    int64_t executions; /* reserved: -1 removes; provisioned: 0 removes */
    struct str qualifier;
    uint64_t function_id;
};

/* --- reserved ---------------------------------------------------------------------------------- */

static int apply_reserve(struct job *job, struct store_txn *t)
{
    struct reserving *k = (struct reserving *)job;
    struct str policy;
    function_find(t, k->j.name, STR(""), &k->function_id, &policy);
    const struct services *svc = k->j.c->svc;
    return function_reserve(t, svc->region, k->j.name, k->executions, svc->concurrency, &k->j.err);
}

static void reply_reserved(struct lambda_job *j)
{
    struct reserving *k = (struct reserving *)j;
    queue_resume(j->c->svc->queue, k->function_id);
    call_json(j->c, j->c->op->status,
              json_pack("{s:I}", "ReservedConcurrentExecutions", (json_int_t)k->executions));
}

void lambda_put_function_concurrency(struct call *c)
{
    struct reserving *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? lambda_whole_target(c, &name, &err) : E_LIMIT;
    if (rc == 0)
        rc = json_member_int(c->json, "ReservedConcurrentExecutions", &k->executions, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, name, apply_reserve, reply_reserved);
}

static void reply_unreserved(struct lambda_job *j)
{
    queue_resume(j->c->svc->queue, ((struct reserving *)j)->function_id);
    call_empty(j->c, j->c->op->status);
}

void lambda_delete_function_concurrency(struct call *c)
{
    struct reserving *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? lambda_whole_target(c, &name, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->executions = -1;
    k->j.job.frees_space = true;
    lambda_submit(&k->j, c, name, apply_reserve, reply_unreserved);
}

json_t *lambda_reserved(struct str rec)
{
    json_t *o = json_object();
    if (rec_str(rec, FN_RESERVED).p)
        json_object_set_new(o, "ReservedConcurrentExecutions",
                            json_integer((json_int_t)rec_u64(rec, FN_RESERVED, 0)));
    return o;
}

void lambda_get_function_concurrency(struct call *c)
{
    struct err err = {0};
    struct str name, rec;
    json_t *o = NULL;
    int rc = lambda_whole_target(c, &name, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = function_row(t, c->svc->region, name, STR(""), &rec, &err);
        if (rc == 0)
            o = lambda_reserved(rec);
        store_read_end(t);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

/* --- provisioned ------------------------------------------------------------------------------- */

static json_t *provisioned(struct str rec)
{
    struct str p = rec_str(rec, FN_PROVISIONED);
    json_int_t n = (json_int_t)rec_u64(p, 1, 0);
    char modified[29];
    clock_lambda((int64_t)rec_u64(p, 2, 0), modified);
    return json_pack("{s:I,s:I,s:I,s:s,s:s}", "RequestedProvisionedConcurrentExecutions", n,
                     "AvailableProvisionedConcurrentExecutions", n,
                     "AllocatedProvisionedConcurrentExecutions", n, "Status", "READY",
                     "LastModified", modified);
}

/* The row of the version or alias, which must be there. */
static int provisioned_row(struct call *c, struct store_txn *t, struct str name,
                           struct str qualifier, struct str *rec, struct err *err)
{
    uint64_t n;
    if (str_u64(qualifier, &n))
        return function_row(t, c->svc->region, name, qualifier, rec, err);
    return alias_get(t, c->svc->region, name, qualifier, rec, err);
}

static int provisioned_target(struct call *c, struct str *name, struct str *qualifier,
                              const char *text, struct err *err)
{
    int rc = lambda_target(c, name, qualifier, err);
    return rc == 0 && str_is(*qualifier, "$LATEST") ? err_set(err, E_INVALID, "%s", text) : rc;
}

static int apply_provision(struct job *job, struct store_txn *t)
{
    struct reserving *k = (struct reserving *)job;
    struct call *c = k->j.c;
    struct str rec;
    int rc = provisioned_row(c, t, k->j.name, k->qualifier, &rec, &k->j.err);
    if (rc == 0)
        rc = function_provision(t, c->svc->region, k->j.name, k->qualifier, (uint64_t)k->executions,
                                c->svc->concurrency, &k->j.err);
    return rc;
}

static void show_provisioned(struct call *c, struct str name, struct str qualifier)
{
    struct err err = {0};
    struct str rec;
    json_t *o = NULL;
    struct store_txn *t = store_read(c->svc->store);
    int rc = provisioned_row(c, t, name, qualifier, &rec, &err);
    if (rc == 0 && !rec_str(rec, FN_PROVISIONED).p)
        rc = err_set(&err, E_NO_PROVISIONED, "%s", err_row(E_NO_PROVISIONED)->text);
    if (rc == 0)
        o = provisioned(rec);
    store_read_end(t);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

static void reply_provisioned(struct lambda_job *j)
{
    show_provisioned(j->c, j->name, ((struct reserving *)j)->qualifier);
}

void lambda_put_provisioned_concurrency_config(struct call *c)
{
    struct reserving *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? provisioned_target(c, &name, &k->qualifier,
                                    "Provisioned Concurrency Configs cannot be applied to "
                                    "unpublished function versions.",
                                    &err)
               : E_LIMIT;
    if (rc == 0)
        rc = json_member_int(c->json, "ProvisionedConcurrentExecutions", &k->executions, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, name, apply_provision, reply_provisioned);
}

#define NO_VERSION "The function resource provided must be an alias or a published version."

void lambda_delete_provisioned_concurrency_config(struct call *c)
{
    struct reserving *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? provisioned_target(c, &name, &k->qualifier, NO_VERSION, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->j.job.frees_space = true;
    lambda_submit(&k->j, c, name, apply_provision, lambda_reply_empty);
}

static bool list_one(void *ctx, struct str qualifier, struct str rec)
{
    struct lambda_listing *l = ctx;
    if (!rec_str(rec, FN_PROVISIONED).p)
        return true;
    json_t *o = provisioned(rec);
    json_object_set_new(o, "FunctionArn", json_text(lambda_arn(l->page.c, l->name, qualifier)));
    return lambda_page_add(&l->page, qualifier, o);
}

void lambda_list_provisioned_concurrency_configs(struct call *c)
{
    lambda_list_qualifiers(c, "ProvisionedConcurrencyConfigs", NULL, list_one);
}

void lambda_get_provisioned_concurrency_config(struct call *c)
{
    struct err err = {0};
    struct str name, qualifier;
    int rc = provisioned_target(c, &name, &qualifier, NO_VERSION, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        show_provisioned(c, name, qualifier);
}

/* --- the account -------------------------------------------------------------------------------
 */

enum { ROWS_A_JOB = 500 };

struct figures {
    json_int_t functions, bytes, reserved;
    char last[FUNCTION_NAME_MAX + 1]; /* name of the last function counted */
};

/* All rows are looked at, some in each job: the loop's thread has no time for that. */
struct account {
    struct job job;
    struct call *c;
    struct figures sure, now; /* before this job; in it, which may run more than once */
    struct store_txn *t;
    unsigned rows;
    bool more;
};

static bool add_version(void *ctx, struct str version, struct str rec)
{
    struct account *a = ctx;
    (void)version;
    a->rows++;
    a->now.bytes += (json_int_t)rec_u64(rec, FN_CODE_SIZE, 0);
    return true;
}

static bool add_function(void *ctx, struct str name, struct str rec)
{
    struct account *a = ctx;
    a->more = a->rows >= ROWS_A_JOB;
    if (a->more)
        return false;
    a->now.functions++;
    a->now.reserved += (json_int_t)rec_u64(rec, FN_RESERVED, 0);
    if (!rec_str(rec, FN_RESERVED).p)
        a->now.reserved += (json_int_t)function_provisioned(a->t, name, STR(""));
    snprintf(a->now.last, sizeof a->now.last, "%.*s", STR_FMT(name));
    function_versions(a->t, name, STR(""), add_version, a);
    return true;
}

static int count_some(struct job *job, struct store_txn *t)
{
    struct account *a = (struct account *)job;
    a->now = a->sure;
    a->t = t;
    a->rows = 0;
    a->more = false;
    function_each(t, str_c(a->sure.last), add_function, a);
    return 0;
}

static void reply_account(struct call *c, const struct figures *f)
{
    json_int_t all = (json_int_t)c->svc->concurrency;
    call_json(c, c->op->status,
              json_pack("{s:{s:I,s:I,s:I,s:I,s:I},s:{s:I,s:I}}", "AccountLimit", "TotalCodeSize",
                        (json_int_t)80530636800, "CodeSizeUnzipped",
                        (json_int_t)PACKAGE_UNPACKED_MAX, "CodeSizeZipped",
                        (json_int_t)PACKAGE_ZIP_MAX, "ConcurrentExecutions", all,
                        "UnreservedConcurrentExecutions", f->reserved < all ? all - f->reserved : 0,
                        "AccountUsage", "TotalCodeSize", f->bytes, "FunctionCount", f->functions));
}

static void counted(struct job *job, int rc)
{
    struct account *a = (struct account *)job;
    a->sure = a->now;
    if (rc)
        call_error(a->c, rc, NULL);
    else if (a->more)
        store_submit(a->c->svc->store, &a->job);
    else
        reply_account(a->c, &a->sure);
}

void lambda_get_account_settings(struct call *c)
{
    struct account *a = arena_zalloc(c->arena, sizeof *a);
    if (!a) {
        call_error(c, E_LIMIT, NULL);
        return;
    }
    a->job = (struct job){.apply = count_some, .done = counted, .frees_space = true};
    a->c = c;
    store_submit(c->svc->store, &a->job);
}
