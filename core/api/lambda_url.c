/* lambda_url: a function's URL configuration: create, get, delete. Calls of the URL itself are
 * url.c's. */
#include "api/lambda.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rec.h"

struct configuring {
    struct lambda_job j;
    struct str auth; /* p NULL: remove */
};

static json_t *configuration(struct call *c, struct str rec, bool with_modified)
{
    struct str name = rec_str(rec, FN_NAME);
    char created[25], modified[25];
    clock_iso8601((int64_t)rec_u64(rec, FN_URL_CREATED, 0), created);
    clock_iso8601((int64_t)rec_u64(rec, FN_URL_MODIFIED, 0), modified);
    struct str url =
        arena_printf(c->arena, "http://%.*s/url/%.*s/", STR_FMT(c->req->host), STR_FMT(name));
    json_t *o = json_pack("{s:o,s:o,s:o,s:s}", "FunctionUrl", json_text(url), "FunctionArn",
                          json_text(lambda_arn(c, name, STR(""))), "AuthType",
                          json_text(rec_str(rec, FN_URL_AUTH)), "CreationTime", created);
    if (with_modified)
        json_object_set_new(o, "LastModifiedTime", json_string(modified));
    json_object_set_new(o, "InvokeMode", json_string("BUFFERED"));
    return o;
}

static int apply(struct job *job, struct store_txn *t)
{
    struct configuring *k = (struct configuring *)job;
    struct lambda_job *j = &k->j;
    struct str rec;
    int rc = function_record(t, j->c->svc->region, j->name, STR(""), &rec, &j->err);
    if (rc)
        return rc;
    bool there = rec_str(rec, FN_URL_AUTH).n > 0;
    if (there && k->auth.p)
        return err_set(&j->err, E_EXISTS,
                       "Failed to create function url config for [functionArn = %.*s]. Error "
                       "message:  FunctionUrlConfig exists for this Lambda function",
                       STR_FMT(lambda_arn(j->c, j->name, STR(""))));
    if (!there && !k->auth.p)
        return err_set(&j->err, E_NOT_FOUND, "The resource you requested does not exist.");
    return function_url_set(t, j->name, k->auth, &j->err);
}

/* The target, which must be unqualified: only $LATEST has a URL. */
static int target(struct call *c, struct str *name, struct err *err)
{
    struct str qualifier, rec;
    int rc = lambda_target(c, name, &qualifier, err);
    if (rc || !qualifier.n)
        return rc;
    if (str_is(qualifier, "$LATEST"))
        return err_set(err, E_VALIDATION,
                       "1 validation error detected: Value '$LATEST' at 'qualifier' failed to "
                       "satisfy constraint: Member must satisfy regular expression pattern: "
                       "((?!^\\d+$)^[0-9a-zA-Z-_]+$)");
    struct store_txn *t = store_read(c->svc->store);
    rc = function_record(t, c->svc->region, *name, qualifier, &rec, err);
    store_read_end(t);
    return rc;
}

static void show(struct call *c, struct str name, bool with_modified)
{
    struct err err = {0};
    struct str rec;
    json_t *o = NULL;
    struct store_txn *t = store_read(c->svc->store);
    int rc = function_record(t, c->svc->region, name, STR(""), &rec, &err);
    if (rc == 0 && !rec_str(rec, FN_URL_AUTH).n)
        rc = err_set(&err, E_NOT_FOUND, "The resource you requested does not exist.");
    if (rc == 0)
        o = configuration(c, rec, with_modified);
    store_read_end(t);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

static void reply_created(struct lambda_job *j)
{
    show(j->c, j->name, false);
}

static int read_request(struct call *c, struct configuring *k, struct err *err)
{
    struct str mode = {NULL, 0};
    json_t *cors = NULL;
    int rc;
    if ((rc = json_member_str(c->json, "AuthType", &k->auth, err)) ||
        (rc = json_member_str(c->json, "InvokeMode", &mode, err)) ||
        (rc = json_member_object(c->json, "Cors", &cors, err)))
        return rc;
    if (str_is(k->auth, "AWS_IAM"))
        return err_set(err, E_NOT_IMPLEMENTED, "AuthType AWS_IAM is not implemented: use NONE");
    if (!str_is(k->auth, "NONE"))
        return err_set(err, E_VALIDATION,
                       "1 validation error detected: Value '%.*s' at 'authType' failed to satisfy "
                       "constraint: Member must satisfy enum value set: [NONE, AWS_IAM]",
                       k->auth.n > 80 ? 80 : (int)k->auth.n, k->auth.p ? k->auth.p : "");
    if (mode.n && !str_is(mode, "BUFFERED"))
        return err_set(err, E_NOT_IMPLEMENTED, "InvokeMode %.*s is not implemented: use BUFFERED",
                       mode.n > 80 ? 80 : (int)mode.n, mode.p);
    return json_object_size(cors)
               ? err_set(err, E_NOT_IMPLEMENTED, "Cors is not implemented for function URLs")
               : 0;
}

void lambda_create_function_url_config(struct call *c)
{
    struct configuring *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? target(c, &name, &err) : E_LIMIT;
    if (rc == 0)
        rc = read_request(c, k, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, name, apply, reply_created);
}

void lambda_get_function_url_config(struct call *c)
{
    struct err err = {0};
    struct str name;
    int rc = target(c, &name, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        show(c, name, true);
}

static void reply_empty(struct lambda_job *j)
{
    call_empty(j->c, j->c->op->status);
}

void lambda_delete_function_url_config(struct call *c)
{
    struct configuring *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? target(c, &name, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->j.job.frees_space = true;
    lambda_submit(&k->j, c, name, apply, reply_empty);
}
