/* lambda_version: PublishVersion, ListVersionsByFunction, and going back to an earlier version. */
#include "svc/function_version.h"

#include "api/lambda.h"
#include "base/json.h"
#include "base/rec.h"

/* --- publish ----------------------------------------------------------------------------------- */

struct publishing {
    struct lambda_job j;
    struct fn_publish publish;
    char version[24];
};

static int apply_publish(struct job *job, struct store_txn *t)
{
    struct publishing *k = (struct publishing *)job;
    return function_publish(t, k->j.c->svc->region, k->j.name, &k->publish, k->version, &k->j.err);
}

static void reply_version(struct lambda_job *j)
{
    struct publishing *k = (struct publishing *)j;
    lambda_reply_configuration(j->c, j->name, str_c(k->version));
}

void lambda_publish_version(struct call *c)
{
    struct publishing *k = arena_zalloc(c->arena, sizeof *k);
    struct str name;
    struct err err = {0};
    int rc = k ? lambda_whole_target(c, &name, &err) : E_LIMIT;
    if (rc == 0)
        rc = json_member_str(c->json, "CodeSha256", &k->publish.code_sha256, &err);
    if (rc == 0)
        rc = json_member_str(c->json, "Description", &k->publish.description, &err);
    if (rc == 0)
        rc = json_member_str(c->json, "RevisionId", &k->publish.revision_id, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, name, apply_publish, reply_version);
}

/* --- list -------------------------------------------------------------------------------------- */

static bool list_one(void *ctx, struct str version, struct str rec)
{
    struct lambda_page *p = ctx;
    return lambda_page_add(p, version, lambda_configuration(p->c, rec, version));
}

void lambda_list_versions_by_function(struct call *c)
{
    struct lambda_page p;
    struct str name, qualifier, rec;
    struct err err = {0};
    int rc = lambda_target(c, &name, &qualifier, &err);
    if (rc == 0)
        rc = lambda_page_begin(&p, c, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct store_txn *t = store_read(c->svc->store);
    rc = function_row(t, c->svc->region, name, STR(""), &rec, &err);
    if (rc == 0)
        function_versions(t, name, p.marker, list_one, &p);
    store_read_end(t);
    lambda_page_end(&p, "Versions", rc, &err);
}

/* --- roll back --------------------------------------------------------------------------------- */

struct rolling {
    struct lambda_job j;
    uint64_t asked, from, to;
};

static int apply_rollback(struct job *job, struct store_txn *t)
{
    struct rolling *k = (struct rolling *)job;
    k->to = k->asked;
    return function_rollback(t, k->j.c->svc->region, k->j.name, &k->from, &k->to, &k->j.err);
}

/* {"name","arn","from":"4" or null,"version":"3"} */
static void reply_rolled(struct lambda_job *j)
{
    struct rolling *k = (struct rolling *)j;
    struct call *c = j->c;
    struct str from = arena_printf(c->arena, "%llu", (unsigned long long)k->from);
    struct str to = arena_printf(c->arena, "%llu", (unsigned long long)k->to);
    call_json(c, c->op->status,
              json_pack("{s:o,s:o,s:o,s:o}", "name", json_text(j->name), "arn",
                        json_text(lambda_arn(c, j->name, STR(""))), "from",
                        k->from ? json_text(from) : json_null(), "version", json_text(to)));
}

/* The member Version: a number, or its text as versions are shown; absent or null: the previous. */
static int read_version(struct call *c, uint64_t *out, struct err *err)
{
    json_t *v = json_object_get(c->json, "Version");
    struct str text = json_bytes(v);
    bool ok = !v || json_is_null(v);
    if (json_is_integer(v) && json_integer_value(v) > 0) {
        *out = (uint64_t)json_integer_value(v);
        ok = true;
    } else if (text.p) {
        ok = str_u64(text, out) && *out > 0;
    }
    return ok ? 0 : err_set(err, E_INVALID, "Version is not the number of a version");
}

void perilune_rollback(struct call *c)
{
    struct rolling *k = arena_zalloc(c->arena, sizeof *k);
    struct str name;
    struct err err = {0};
    int rc = k ? lambda_whole_name(c, c->param[0], &name, &err) : E_LIMIT;
    if (rc == 0)
        rc = read_version(c, &k->asked, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, name, apply_rollback, reply_rolled);
}
