/* lambda_function: functions: list, create, get, update, delete.
 *
 * Creating and updating code are three steps: take the body (code_body.h), build the package
 * (svc/package.h), write (one job). Whatever fails, the package that nobody uses is given back and
 * its blobs go. Answers are encoded from the record that the commit has left. */
#include "api/code_body.h"
#include "api/lambda.h"
#include "base/json.h"
#include "base/rec.h"

enum { PAGE = 50, ITEMS_MAX = 10000 };

/* --- reading --------------------------------------------------------------------------------- */

/* Answers with the configuration as it is stored now. */
static void reply_configuration(struct call *c, int status, struct str name, struct str qualifier)
{
    struct store_txn *t = store_read(c->svc->store);
    struct err err = {0};
    struct str rec;
    json_t *o = NULL;
    int rc = function_record(t, c->svc->region, name, qualifier, &rec, &err);
    if (rc == 0)
        o = lambda_configuration(c, rec, qualifier);
    store_read_end(t);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, status, o);
}

void lambda_get_function_configuration(struct call *c)
{
    struct str name, qualifier;
    struct err err = {0};
    int rc = lambda_target(c, &name, &qualifier, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        reply_configuration(c, c->op->status, name, qualifier);
}

void lambda_get_function(struct call *c)
{
    struct str name, qualifier, rec;
    struct err err = {0};
    json_t *o = NULL;
    int rc = lambda_target(c, &name, &qualifier, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = function_record(t, c->svc->region, name, qualifier, &rec, &err);
        if (rc == 0)
            o = json_pack("{s:o,s:{s:s}}", "Configuration", lambda_configuration(c, rec, qualifier),
                          "Code", "RepositoryType", "S3");
        store_read_end(t);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

struct listing {
    struct call *c;
    json_t *functions;
    size_t limit;
    struct str last; /* name of the last one listed, in the arena */
    bool more;
};

static bool list_one(void *ctx, struct str name, struct str rec)
{
    struct listing *l = ctx;
    if (json_array_size(l->functions) == l->limit) {
        l->more = true;
        return false;
    }
    json_array_append_new(l->functions, lambda_configuration(l->c, rec, STR("")));
    l->last = arena_dup(l->c->arena, name);
    return true;
}

void lambda_list_functions(struct call *c)
{
    struct str marker = call_query(c, "Marker"), items = call_query(c, "MaxItems");
    struct listing l = {.c = c, .limit = PAGE};
    uint64_t n = PAGE;
    struct err err = {0};
    if (items.n && (!str_u64(items, &n) || n < 1 || n > ITEMS_MAX)) {
        int rc =
            err_set(&err, E_VALIDATION,
                    "1 validation error detected: Value '%.*s' at 'maxItems' failed to satisfy "
                    "constraint: Member must have value between 1 and %d",
                    items.n > 40 ? 40 : (int)items.n, items.p, ITEMS_MAX);
        call_error(c, rc, &err);
        return;
    }
    if (n < PAGE)
        l.limit = (size_t)n;
    l.functions = json_array();
    struct store_txn *t = store_read(c->svc->store);
    function_each(t, marker, list_one, &l);
    store_read_end(t);
    json_t *o = json_pack("{s:o}", "Functions", l.functions);
    if (l.more)
        json_object_set_new(o, "NextMarker", json_text(l.last));
    call_json(c, c->op->status, o);
}

/* --- code: create and update ----------------------------------------------------------------- */

struct coding {
    struct lambda_job j;
    struct fn_spec spec;
    struct package *package;
    bool create, dry_run;
};

static int apply_code(struct job *job, struct store_txn *t)
{
    struct coding *k = (struct coding *)job;
    const char *region = k->j.c->svc->region;
    return k->create ? function_create(t, region, &k->spec, &k->j.err)
                     : function_update(t, region, &k->spec, &k->j.err);
}

static void free_package(struct lambda_job *j)
{
    package_free(((struct coding *)j)->package);
}

static void reply_code(struct lambda_job *j)
{
    reply_configuration(j->c, j->c->op->status, j->name, STR(""));
}

/* What the update would answer, with nothing changed. */
static void reply_dry_run(struct coding *k)
{
    struct call *c = k->j.c;
    struct err err = {0};
    struct str rec;
    json_t *o = NULL;
    struct store_txn *t = store_read(c->svc->store);
    int rc = function_record(t, c->svc->region, k->spec.name, STR(""), &rec, &err);
    if (rc == 0 && k->spec.revision_id.n && !str_eq(k->spec.revision_id, rec_str(rec, FN_REVISION)))
        rc = E_PRECONDITION;
    if (rc == 0) {
        struct buf shown = BUF_INIT;
        struct str v;
        uint16_t tag;
        while (rec_next(&rec, &tag, &v)) {
            if (tag == FN_PACKAGE)
                v = str_of((const char *)k->package->sha256, sizeof k->package->sha256);
            if (tag == FN_CODE_SIZE)
                rec_put_u64(&shown, tag, k->package->zip_size);
            else
                rec_put_str(&shown, tag, v);
        }
        o = lambda_configuration(c, buf_str(&shown), STR(""));
        buf_deinit(&shown);
    }
    store_read_end(t);
    package_free(k->package);
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

static void packaged(void *ctx, int rc, struct package *package, const struct err *err)
{
    struct coding *k = ctx;
    if (rc) {
        call_error(k->j.c, rc, err);
        return;
    }
    k->package = package;
    k->spec.package = package;
    if (k->dry_run) {
        reply_dry_run(k);
        return;
    }
    k->j.clean = free_package;
    lambda_submit(&k->j, k->j.c, k->spec.name, apply_code, reply_code);
}

/* Code from a bucket: the object's bytes or blob. */
static int find_object(struct call *c, const json_t *code, struct package_source *src,
                       struct err *err)
{
    struct str bucket = {NULL, 0}, key = {NULL, 0}, version = {NULL, 0};
    struct object_meta m;
    int rc;
    if ((rc = json_member_str(code, "S3Bucket", &bucket, err)) ||
        (rc = json_member_str(code, "S3Key", &key, err)) ||
        (rc = json_member_str(code, "S3ObjectVersion", &version, err)))
        return rc;
    if (!bucket.n || !key.n)
        return err_set(err, E_INVALID, "Please provide a source for function code.");
    struct str arn =
        arena_printf(c->arena, "arn:aws:s3:::%.*s/%.*s", STR_FMT(bucket), STR_FMT(key));
    if ((rc = call_authorise(c, "s3:GetObject", arn, err)))
        return rc;
    struct store_txn *t = store_read(c->svc->store);
    rc = object_get(t, bucket, key, &m);
    if (rc == 0 && version.n && !str_is(version, "null"))
        rc = E_NO_VERSION;
    if (rc == 0 && m.blob)
        *src = (struct package_source){.blob = m.blob};
    else if (rc == 0)
        src->zip = arena_dup(c->arena, m.inline_body);
    store_read_end(t);
    return rc ? err_set(err, E_INVALID,
                        "Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s",
                        err_row(rc)->s3, err_row(rc)->text)
              : 0;
}

static int find_code(struct call *c, const json_t *code, struct package_source *src,
                     struct err *err)
{
    if (json_object_get(code, "ImageUri"))
        return err_set(err, E_INVALID, "ImageUri is not supported: use ZipFile or S3Bucket");
    if (src->zip.p || src->blob)
        return 0;
    return find_object(c, code, src, err);
}

/* A blob that came with a request which is refused before package_build took it over. */
static void refuse(struct call *c, const struct package_source *src, int rc, const struct err *err)
{
    if (src && src->blob && src->own_blob)
        blob_discard(c->svc->store, src->blob);
    call_error(c, rc, err);
}

static int create_spec(struct call *c, struct coding *k, struct err *err)
{
    struct str text = {NULL, 0}, qualifier;
    int rc = json_member_str(c->json, "FunctionName", &text, err);
    if (rc == 0 && !text.p)
        rc = function_name_check(text, err);
    if (rc == 0)
        rc = lambda_name(c, text, &k->spec.name, &qualifier, err);
    if (rc == 0)
        rc = call_authorise(c, "lambda:CreateFunction", lambda_arn(c, k->spec.name, STR("")), err);
    if (rc == 0)
        rc = lambda_read_spec(c, &k->spec, err);
    if (rc == 0)
        rc = fn_spec_check(&k->spec, true, err);
    return rc ? rc : call_authorise(c, "iam:PassRole", k->spec.role, err);
}

static void create_taken(struct call *c, int rc, const struct package_source *src,
                         const struct err *given)
{
    struct coding *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = given ? *given : (struct err){0};
    struct package_source code;
    json_t *member = NULL;
    if (!k)
        rc = E_LIMIT;
    if (rc == 0) {
        k->j.c = c;
        k->create = true;
        code = *src;
        rc = create_spec(c, k, &err);
    }
    if (rc == 0)
        rc = json_member_object(c->json, "Code", &member, &err);
    if (rc == 0)
        rc = find_code(c, member, &code, &err);
    if (rc)
        refuse(c, src, rc, &err);
    else
        package_build_from(c->svc->store, &code, packaged, k);
}

void lambda_create_function(struct call *c)
{
    code_body_take(c, true, create_taken);
}

static int update_spec(struct call *c, struct coding *k, struct err *err)
{
    struct str qualifier;
    bool publish = false;
    int rc;
    if ((rc = lambda_target(c, &k->spec.name, &qualifier, err)) ||
        (rc = json_member_bool(c->json, "DryRun", &k->dry_run, err)) ||
        (rc = json_member_bool(c->json, "Publish", &publish, err)) ||
        (rc = json_member_str(c->json, "RevisionId", &k->spec.revision_id, err)))
        return rc;
    if (publish)
        return err_set(err, E_NOT_IMPLEMENTED, "Publish: versions are not implemented");
    struct str rec;
    struct store_txn *t = store_read(c->svc->store);
    rc = function_record(t, c->svc->region, k->spec.name, qualifier, &rec, err);
    store_read_end(t);
    return rc;
}

static void update_taken(struct call *c, int rc, const struct package_source *src,
                         const struct err *given)
{
    struct coding *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = given ? *given : (struct err){0};
    struct package_source code;
    if (!k)
        rc = E_LIMIT;
    if (rc == 0) {
        k->j.c = c;
        code = *src;
        rc = update_spec(c, k, &err);
    }
    if (rc == 0)
        rc = find_code(c, c->json, &code, &err);
    if (rc)
        refuse(c, src, rc, &err);
    else
        package_build_from(c->svc->store, &code, packaged, k);
}

void lambda_update_function_code(struct call *c)
{
    code_body_take(c, false, update_taken);
}

/* --- configuration and delete ------------------------------------------------------------------
 */

struct configuring {
    struct lambda_job j;
    struct fn_spec spec;
};

static int apply_configuration(struct job *job, struct store_txn *t)
{
    struct configuring *k = (struct configuring *)job;
    return function_update(t, k->j.c->svc->region, &k->spec, &k->j.err);
}

void lambda_update_function_configuration(struct call *c)
{
    struct configuring *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str qualifier;
    int rc = k ? lambda_target(c, &k->spec.name, &qualifier, &err) : E_LIMIT;
    if (rc == 0)
        rc = lambda_read_spec(c, &k->spec, &err);
    if (rc == 0)
        rc = fn_spec_check(&k->spec, false, &err);
    if (rc == 0 && k->spec.role.p)
        rc = call_authorise(c, "iam:PassRole", k->spec.role, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, k->spec.name, apply_configuration, reply_code);
}

static int apply_delete(struct job *job, struct store_txn *t)
{
    struct lambda_job *j = (struct lambda_job *)job;
    struct str rec;
    int rc = function_record(t, j->c->svc->region, j->name, STR(""), &rec, &j->err);
    return rc ? rc : function_delete(t, j->name, &j->err);
}

static void reply_empty(struct lambda_job *j)
{
    call_empty(j->c, j->c->op->status);
}

void lambda_delete_function(struct call *c)
{
    struct lambda_job *j = arena_zalloc(c->arena, sizeof *j);
    struct err err = {0};
    struct str name, qualifier, rec;
    int rc = j ? lambda_target(c, &name, &qualifier, &err) : E_LIMIT;
    if (rc == 0 && qualifier.n) {
        struct store_txn *t = store_read(c->svc->store);
        rc = function_record(t, c->svc->region, name, qualifier, &rec, &err);
        store_read_end(t);
        if (rc == 0)
            rc = err_set(&err, E_INVALID,
                         "$LATEST version cannot be deleted without deleting the function.");
    }
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    j->job.frees_space = true;
    lambda_submit(j, c, name, apply_delete, reply_empty);
}
