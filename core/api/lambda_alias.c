/* lambda_alias: CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases. */
#include "svc/alias.h"

#include "api/lambda.h"
#include "base/json.h"
#include "base/rec.h"

struct aliasing {
    struct lambda_job j;
    struct alias_spec spec;
};

static json_t *configuration(struct call *c, struct str function, struct str rec)
{
    struct str name = rec_str(rec, FN_ALIAS);
    uint32_t weight;
    struct str other = alias_other(rec, &weight);
    json_t *o =
        json_pack("{s:o,s:o,s:o,s:o,s:o}", "AliasArn", json_text(lambda_arn(c, function, name)),
                  "Name", json_text(name), "FunctionVersion", json_text(rec_str(rec, FN_VERSION)),
                  "Description", json_text(rec_str(rec, FN_DESCRIPTION)), "RevisionId",
                  json_text(rec_str(rec, FN_REVISION)));
    if (other.n) {
        json_t *weights = json_object();
        json_object_setn_new(weights, other.p, other.n,
                             json_real((double)weight / FUNCTION_WEIGHT_ALL));
        json_object_set_new(o, "RoutingConfig",
                            json_pack("{s:o}", "AdditionalVersionWeights", weights));
    }
    return o;
}

static void show(struct call *c, struct str function, struct str name)
{
    struct err err = {0};
    struct str rec;
    json_t *o = NULL;
    struct store_txn *t = store_read(c->svc->store);
    int rc = alias_get(t, c->svc->region, function, name, &rec, &err);
    if (rc == 0)
        o = configuration(c, function, rec);
    store_read_end(t);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

/* --- writing ----------------------------------------------------------------------------------- */

static int read_routing(struct call *c, struct alias_spec *s, struct err *err)
{
    json_t *routing = NULL, *weights = NULL, *value;
    const char *key;
    int rc = json_member_object(c->json, "RoutingConfig", &routing, err);
    if (rc == 0 && routing)
        rc = json_member_object(routing, "AdditionalVersionWeights", &weights, err);
    if (rc || !routing)
        return rc;
    s->routing = true;
    if (json_object_size(weights) > 1)
        return err_set(err, E_INVALID,
                       "Number of items in AdditionalVersionWeights cannot be greater than 1");
    json_object_foreach(weights, key, value)
    {
        if (!json_is_number(value))
            return err_set(err, E_BAD_JSON,
                           "Could not parse request body into json: a weight is no number");
        s->other = str_c(key);
        s->weight = (uint32_t)(json_number_value(value) * FUNCTION_WEIGHT_ALL + 0.5);
    }
    return 0;
}

static int read_request(struct call *c, struct alias_spec *s, struct err *err)
{
    int rc;
    if ((rc = json_member_str(c->json, "FunctionVersion", &s->version, err)) ||
        (rc = json_member_str(c->json, "Description", &s->description, err)) ||
        (rc = json_member_str(c->json, "RevisionId", &s->revision_id, err)))
        return rc;
    return read_routing(c, s, err);
}

static int apply_create(struct job *job, struct store_txn *t)
{
    struct aliasing *k = (struct aliasing *)job;
    return alias_create(t, k->j.c->svc->region, &k->spec, &k->j.err);
}

static int apply_update(struct job *job, struct store_txn *t)
{
    struct aliasing *k = (struct aliasing *)job;
    return alias_update(t, k->j.c->svc->region, &k->spec, &k->j.err);
}

static int apply_delete(struct job *job, struct store_txn *t)
{
    struct aliasing *k = (struct aliasing *)job;
    struct str rec;
    int rc = function_row(t, k->j.c->svc->region, k->j.name, STR(""), &rec, &k->j.err);
    return rc ? rc : alias_delete(t, k->j.name, k->spec.name);
}

static void reply_alias(struct lambda_job *j)
{
    show(j->c, j->name, ((struct aliasing *)j)->spec.name);
}

void lambda_create_alias(struct call *c)
{
    struct aliasing *k = arena_zalloc(c->arena, sizeof *k);
    struct str qualifier;
    struct err err = {0};
    int rc = k ? lambda_target(c, &k->spec.function, &qualifier, &err) : E_LIMIT;
    if (rc == 0)
        rc = json_member_str(c->json, "Name", &k->spec.name, &err);
    if (rc == 0)
        rc = read_request(c, &k->spec, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, k->spec.function, apply_create, reply_alias);
}

/* The function and the alias that the path names. */
static int target(struct call *c, struct alias_spec *s, struct err *err)
{
    struct str qualifier;
    s->name = c->param[1];
    return lambda_target(c, &s->function, &qualifier, err);
}

void lambda_update_alias(struct call *c)
{
    struct aliasing *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    int rc = k ? target(c, &k->spec, &err) : E_LIMIT;
    if (rc == 0)
        rc = read_request(c, &k->spec, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, k->spec.function, apply_update, reply_alias);
}

void lambda_delete_alias(struct call *c)
{
    struct aliasing *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    int rc = k ? target(c, &k->spec, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->j.job.frees_space = true;
    lambda_submit(&k->j, c, k->spec.function, apply_delete, lambda_reply_empty);
}

/* --- reading ----------------------------------------------------------------------------------- */

void lambda_get_alias(struct call *c)
{
    struct alias_spec s = {0};
    struct err err = {0};
    int rc = target(c, &s, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        show(c, s.function, s.name);
}

struct listing {
    struct lambda_page page;
    struct str function, version; /* of those wanted; version "": all */
};

static bool list_one(void *ctx, struct str name, struct str rec)
{
    struct listing *l = ctx;
    uint32_t weight;
    if (l->version.n && !str_eq(rec_str(rec, FN_VERSION), l->version) &&
        !str_eq(alias_other(rec, &weight), l->version))
        return true;
    return lambda_page_add(&l->page, name, configuration(l->page.c, l->function, rec));
}

void lambda_list_aliases(struct call *c)
{
    struct listing l = {.version = call_query(c, "FunctionVersion")};
    struct str qualifier, rec;
    struct err err = {0};
    int rc = lambda_target(c, &l.function, &qualifier, &err);
    if (rc == 0)
        rc = lambda_page_begin(&l.page, c, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct store_txn *t = store_read(c->svc->store);
    rc = function_row(t, c->svc->region, l.function, STR(""), &rec, &err);
    if (rc == 0)
        alias_each(t, l.function, l.page.marker, list_one, &l);
    store_read_end(t);
    lambda_page_end(&l.page, "Aliases", rc, &err);
}
