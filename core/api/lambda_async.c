/* lambda_async: how asynchronous calls are tried again and where their outcome goes:
 * Put-, Update-, Get-, Delete- and ListFunctionEventInvokeConfig. The queue obeys it. */
#include "api/lambda.h"
#include "auth/arn.h"
#include "base/json.h"
#include "base/rec.h"
#include "svc/alias.h"
#include "svc/function_conf.h"
#include "svc/function_version.h"

struct configuring {
    struct lambda_job j;
    struct str qualifier;
    struct fn_async async;
    bool merge, remove;
};

/* {} or {"Destination": arn} */
static json_t *destination(struct str arn)
{
    return arn.n ? json_pack("{s:o}", "Destination", json_text(arn)) : json_object();
}

static json_t *configuration(struct call *c, struct str name, struct str qualifier, struct str rec)
{
    struct str a = rec_str(rec, FN_ASYNC);
    json_t *o = json_pack("{s:f,s:o}", "LastModified",
                          (double)rec_u64(a, FN_ASYNC_MODIFIED_MS, 0) / 1000, "FunctionArn",
                          json_text(lambda_arn(c, name, qualifier.n ? qualifier : STR("$LATEST"))));
    if (rec_str(a, FN_ASYNC_RETRIES).p)
        json_object_set_new(o, "MaximumRetryAttempts",
                            json_integer((json_int_t)rec_u64(a, FN_ASYNC_RETRIES, 0)));
    if (rec_str(a, FN_ASYNC_MAX_AGE_S).p)
        json_object_set_new(o, "MaximumEventAgeInSeconds",
                            json_integer((json_int_t)rec_u64(a, FN_ASYNC_MAX_AGE_S, 0)));
    json_object_set_new(o, "DestinationConfig",
                        json_pack("{s:o,s:o}", "OnSuccess",
                                  destination(rec_str(a, FN_ASYNC_ON_SUCCESS)), "OnFailure",
                                  destination(rec_str(a, FN_ASYNC_ON_FAILURE))));
    return o;
}

static void show(struct call *c, struct str name, struct str qualifier)
{
    struct err err = {0};
    struct str rec, q = qualifier.n ? qualifier : STR("$LATEST");
    json_t *o = NULL;
    struct store_txn *t = store_read(c->svc->store);
    int rc = function_row(t, c->svc->region, name, qualifier, &rec, &err);
    if (rc == E_NOT_FOUND || (rc == 0 && !rec_str(rec, FN_ASYNC).p))
        rc = err_set(&err, E_NOT_FOUND, "The function %.*s doesn't have an EventInvokeConfig",
                     STR_FMT(lambda_arn(c, name, q)));
    if (rc == 0)
        o = configuration(c, name, qualifier, rec);
    store_read_end(t);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

/* --- writing ----------------------------------------------------------------------------------- */

static int read_number(struct call *c, const char *member, bool *set, uint64_t *out,
                       struct err *err)
{
    int64_t n = 0;
    json_t *v = json_object_get(c->json, member);
    int rc = json_member_int(c->json, member, &n, err);
    *set = v && !json_is_null(v);
    *out = (uint64_t)n;
    return rc;
}

static int read_destination(json_t *config, const char *member, bool *set, struct str *out,
                            struct err *err)
{
    json_t *o = NULL;
    int rc = json_member_object(config, member, &o, err);
    if (rc == 0 && o)
        rc = json_member_str(o, "Destination", out, err);
    *set = o != NULL;
    return rc;
}

/* What the function may not call by itself it may not send its outcome to. Whether the two are there
 * is for the job to tell. */
static int check_role(struct call *c, struct str name, struct str qualifier, struct str target,
                      struct err *err)
{
    struct str rec, other, other_qualifier, role = STR("");
    if (!target.n || arn_function(target, str_c(c->svc->region), &other, &other_qualifier) != 0)
        return 0;
    struct store_txn *t = store_read(c->svc->store);
    bool there = function_row(t, c->svc->region, other, other_qualifier, &rec, NULL) == 0 &&
                 function_record(t, c->svc->region, name, qualifier, &rec, NULL) == 0;
    if (there)
        role = arena_dup(c->arena, rec_str(rec, FN_ROLE));
    store_read_end(t);
    if (!there || str_eq(other, name) ||
        role_allows(c->svc->roles, role, STR("lambda:InvokeFunction"), target, NULL) == 0)
        return 0;
    return err_set(err, E_INVALID,
                   "The provided execution role does not have permissions to call Invoke on %.*s",
                   target.n > 300 ? 300 : (int)target.n, target.p);
}

static int read_request(struct call *c, struct fn_async *a, struct err *err)
{
    json_t *config = NULL;
    int rc;
    if ((rc = read_number(c, "MaximumRetryAttempts", &a->retries_set, &a->retries, err)) ||
        (rc = read_number(c, "MaximumEventAgeInSeconds", &a->age_set, &a->max_age_s, err)) ||
        (rc = json_member_object(c->json, "DestinationConfig", &config, err)) ||
        (rc = config ? read_destination(config, "OnSuccess", &a->success_set, &a->on_success, err)
                     : 0) ||
        (rc = config ? read_destination(config, "OnFailure", &a->failure_set, &a->on_failure, err)
                     : 0))
        return rc;
    if (!a->retries_set && !a->age_set && !config)
        return err_set(err, E_INVALID,
                       "You must specify at least one of error handling or destination setting.");
    return 0;
}

static int apply(struct job *job, struct store_txn *t)
{
    struct configuring *k = (struct configuring *)job;
    return function_async_set(t, k->j.c->svc->region, k->j.name, k->qualifier,
                              k->remove ? NULL : &k->async, k->merge, &k->j.err);
}

static void reply(struct lambda_job *j)
{
    show(j->c, j->name, ((struct configuring *)j)->qualifier);
}

static void put(struct call *c, bool merge)
{
    struct configuring *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? lambda_target(c, &name, &k->qualifier, &err) : E_LIMIT;
    if (rc == 0)
        rc = read_request(c, &k->async, &err);
    if (rc == 0)
        rc = check_role(c, name, k->qualifier, k->async.on_success, &err);
    if (rc == 0)
        rc = check_role(c, name, k->qualifier, k->async.on_failure, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->merge = merge;
    lambda_submit(&k->j, c, name, apply, reply);
}

void lambda_put_function_event_invoke_config(struct call *c)
{
    put(c, false);
}

void lambda_update_function_event_invoke_config(struct call *c)
{
    put(c, true);
}

void lambda_delete_function_event_invoke_config(struct call *c)
{
    struct configuring *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? lambda_target(c, &name, &k->qualifier, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->remove = true;
    k->j.job.frees_space = true;
    lambda_submit(&k->j, c, name, apply, lambda_reply_empty);
}

/* --- reading ----------------------------------------------------------------------------------- */

void lambda_get_function_event_invoke_config(struct call *c)
{
    struct err err = {0};
    struct str name, qualifier;
    int rc = lambda_target(c, &name, &qualifier, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        show(c, name, qualifier);
}

static bool list_one(void *ctx, struct str qualifier, struct str rec)
{
    struct lambda_listing *l = ctx;
    return !rec_str(rec, FN_ASYNC).p ||
           lambda_page_add(&l->page, qualifier, configuration(l->page.c, l->name, qualifier, rec));
}

void lambda_list_function_event_invoke_configs(struct call *c)
{
    lambda_list_qualifiers(c, "FunctionEventInvokeConfigs", "The function doesn't exist.",
                           list_one);
}
