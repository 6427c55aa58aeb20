/* lambda_url: URL configurations of functions and aliases: create, get, update, delete, list. Calls
 * of the URL itself are url.c's. */
#include "api/lambda.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rec.h"
#include "svc/alias.h"
#include "svc/function_conf.h"

struct configuring {
    struct lambda_job j;
    struct str qualifier;
    struct fn_url url;
    enum { CREATE, UPDATE, REMOVE } what;
};

static void set_text(json_t *o, const char *member, struct str text)
{
    json_object_set_new(o, member, json_text(text));
}

/* /url/NAME/ or /url/NAME:ALIAS/ where the caller reaches us. */
static struct str address(struct call *c, struct str name, struct str qualifier)
{
    return arena_printf(c->arena, "%.*s/url/%.*s%s%.*s/", STR_FMT(call_base_url(c)), STR_FMT(name),
                        qualifier.n ? ":" : "", STR_FMT(qualifier));
}

static json_t *configuration(struct call *c, struct str rec, bool created)
{
    struct str name = rec_str(rec, FN_NAME), alias = rec_str(rec, FN_ALIAS);
    struct str cors = rec_str(rec, FN_URL_CORS), mode = rec_str(rec, FN_URL_MODE);
    char time[25];
    json_t *o = json_object();
    set_text(o, "FunctionUrl", address(c, name, alias));
    set_text(o, "FunctionArn", lambda_arn(c, name, alias.p ? alias : STR("")));
    set_text(o, "AuthType", rec_str(rec, FN_URL_AUTH));
    if (cors.n)
        json_object_set_new(o, "Cors", json_parse(cors, NULL));
    clock_iso8601((int64_t)rec_u64(rec, FN_URL_CREATED, 0), time);
    set_text(o, "CreationTime", str_c(time));
    clock_iso8601((int64_t)rec_u64(rec, FN_URL_MODIFIED, 0), time);
    if (!created)
        set_text(o, "LastModifiedTime", str_c(time));
    set_text(o, "InvokeMode", mode.n ? mode : STR("BUFFERED"));
    return o;
}

/* --- writing ----------------------------------------------------------------------------------- */

static int apply(struct job *job, struct store_txn *t)
{
    struct configuring *k = (struct configuring *)job;
    struct lambda_job *j = &k->j;
    struct str rec;
    int rc = function_row(t, j->c->svc->region, j->name, k->qualifier, &rec, &j->err);
    if (rc)
        return rc;
    bool there = rec_str(rec, FN_URL_AUTH).n > 0;
    if (there && k->what == CREATE)
        return err_set(&j->err, E_EXISTS,
                       "Failed to create function url config for [functionArn = %.*s]. Error "
                       "message:  FunctionUrlConfig exists for this Lambda function",
                       STR_FMT(lambda_arn(j->c, j->name, k->qualifier)));
    if (!there && k->what != CREATE)
        return err_set(&j->err, E_NOT_FOUND, "The resource you requested does not exist.");
    return function_url_set(t, j->name, k->qualifier, k->what == REMOVE ? NULL : &k->url, &j->err);
}

/* What a URL may lead to: the function, or an alias. */
static int target(struct call *c, struct str *name, struct str *qualifier, struct err *err)
{
    uint64_t n;
    int rc = lambda_target(c, name, qualifier, err);
    if (rc || !(str_is(*qualifier, "$LATEST") || str_u64(*qualifier, &n)))
        return rc;
    return err_set(err, E_VALIDATION,
                   "1 validation error detected: Value '%.*s' at 'qualifier' failed to satisfy "
                   "constraint: Member must satisfy regular expression pattern: "
                   "((?!^\\d+$)^[0-9a-zA-Z-_]+$)",
                   STR_FMT(*qualifier));
}

/* A list of texts, or nothing. */
static int copy_list(const json_t *from, json_t *to, const char *member, struct err *err)
{
    json_t *list = NULL, *item;
    size_t i;
    int rc = json_member_array(from, member, &list, err);
    if (rc || !list)
        return rc;
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item))
            return err_set(err, E_BAD_JSON,
                           "Could not parse request body into json: an item of %s is no string",
                           member);
    }
    return json_object_set(to, member, list) ? E_LIMIT : 0;
}

/* The members that there are, each of its type. */
static int copy_cors(const json_t *from, json_t *to, struct err *err)
{
    static const char *const lists[] = {"AllowHeaders", "AllowMethods", "AllowOrigins",
                                        "ExposeHeaders"};
    const json_t *given = json_object_get(from, "AllowCredentials");
    bool credentials = false;
    int64_t age = 0;
    int rc = json_member_bool(from, "AllowCredentials", &credentials, err);
    if (rc == 0 && given)
        json_object_set_new(to, "AllowCredentials", json_boolean(credentials));
    for (size_t i = 0; rc == 0 && i < sizeof lists / sizeof *lists; i++)
        rc = copy_list(from, to, lists[i], err);
    if (rc == 0)
        rc = json_member_int(from, "MaxAge", &age, err);
    if (rc == 0 && json_is_integer(json_object_get(from, "MaxAge")))
        json_object_set_new(to, "MaxAge", json_integer((json_int_t)age));
    return rc;
}

/* As text that the row keeps; its members have been checked by the table of constraints. */
static int read_cors(struct call *c, struct fn_url *url, struct err *err)
{
    json_t *cors = NULL;
    struct buf text = BUF_INIT;
    int rc = json_member_object(c->json, "Cors", &cors, err);
    if (rc || !cors)
        return rc;
    json_t *kept = json_object();
    rc = copy_cors(cors, kept, err);
    json_write(&text, kept);
    json_decref(kept);
    url->cors = arena_dup(c->arena, buf_str(&text));
    buf_deinit(&text);
    return rc || url->cors.p ? rc : E_LIMIT;
}

static int read_request(struct call *c, struct fn_url *url, struct err *err)
{
    int rc;
    if ((rc = json_member_str(c->json, "AuthType", &url->auth, err)) ||
        (rc = json_member_str(c->json, "InvokeMode", &url->mode, err)))
        return rc;
    return read_cors(c, url, err);
}

static void show(struct call *c, struct str name, struct str qualifier, bool created)
{
    struct err err = {0};
    struct str rec;
    json_t *o = NULL;
    struct store_txn *t = store_read(c->svc->store);
    int rc = function_row(t, c->svc->region, name, qualifier, &rec, &err);
    if (rc == 0 && !rec_str(rec, FN_URL_AUTH).n)
        rc = err_set(&err, E_NOT_FOUND, "The resource you requested does not exist.");
    if (rc == 0)
        o = configuration(c, rec, created);
    store_read_end(t);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

static void reply(struct lambda_job *j)
{
    struct configuring *k = (struct configuring *)j;
    if (k->what == REMOVE)
        call_empty(j->c, j->c->op->status);
    else
        show(j->c, j->name, k->qualifier, k->what == CREATE);
}

static void configure(struct call *c, int what)
{
    struct configuring *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? target(c, &name, &k->qualifier, &err) : E_LIMIT;
    if (rc == 0 && what != REMOVE)
        rc = read_request(c, &k->url, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->what = what;
    k->j.job.frees_space = what == REMOVE;
    lambda_submit(&k->j, c, name, apply, reply);
}

void lambda_create_function_url_config(struct call *c)
{
    configure(c, CREATE);
}

void lambda_update_function_url_config(struct call *c)
{
    configure(c, UPDATE);
}

void lambda_delete_function_url_config(struct call *c)
{
    configure(c, REMOVE);
}

/* --- reading ----------------------------------------------------------------------------------- */

void lambda_get_function_url_config(struct call *c)
{
    struct err err = {0};
    struct str name, qualifier;
    int rc = target(c, &name, &qualifier, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        show(c, name, qualifier, false);
}

static bool list_one(void *ctx, struct str alias, struct str rec)
{
    struct lambda_page *p = ctx;
    return !rec_str(rec, FN_URL_AUTH).n ||
           lambda_page_add(p, alias, configuration(p->c, rec, false));
}

/* The function's own URL comes first, then those of its aliases; "$LATEST" is its marker. */
void lambda_list_function_url_configs(struct call *c)
{
    struct lambda_page p;
    struct str name, rec;
    struct err err = {0};
    int rc = lambda_whole_target(c, &name, &err);
    if (rc == 0)
        rc = lambda_page_begin(&p, c, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    bool own = str_is(p.marker, "$LATEST");
    struct store_txn *t = store_read(c->svc->store);
    rc = function_row(t, c->svc->region, name, STR(""), &rec, &err);
    if (rc == 0 && !p.marker.n)
        list_one(&p, STR("$LATEST"), rec);
    if (rc == 0)
        alias_each(t, name, own ? STR("") : p.marker, list_one, &p);
    store_read_end(t);
    lambda_page_end(&p, "FunctionUrlConfigs", rc, &err);
}
