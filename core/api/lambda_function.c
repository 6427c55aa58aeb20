/* lambda_function: functions: list, create, get, update, delete.
 *
 * Creating and updating code are three steps: take the body (code_body.h), build the package
 * (svc/package.h), write (one job). Whatever fails, the package that nobody uses is given back and
 * its blobs go. Answers are encoded from the record that the commit has left. */
#include "api/code_body.h"
#include "api/lambda.h"
#include "base/json.h"
#include "base/rec.h"
#include "svc/function_version.h"
#include "svc/object_gather.h"

/* --- reading --------------------------------------------------------------------------------- */

/* Answers with the configuration as it is stored now. */
static void reply(struct call *c, int status, struct str name, struct str qualifier)
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

void lambda_reply_configuration(struct call *c, struct str name, struct str qualifier)
{
    reply(c, c->op->status, name, qualifier);
}

void lambda_get_function_configuration(struct call *c)
{
    struct str name, qualifier;
    struct err err = {0};
    int rc = lambda_target(c, &name, &qualifier, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        reply(c, c->op->status, name, qualifier);
}

/* GetFunction's answer from the version's row and $LATEST's. */
static json_t *whole(struct call *c, struct str rec, struct str latest, struct str qualifier)
{
    json_t *tags = lambda_tags(latest), *reserved = lambda_reserved(latest);
    json_t *o = json_pack("{s:o,s:{s:s,s:o}}", "Configuration",
                          lambda_configuration(c, rec, qualifier), "Code", "RepositoryType", "S3",
                          "Location", json_text(lambda_package_link(c, rec)));
    if (json_object_size(tags))
        json_object_set(o, "Tags", tags);
    if (json_object_size(reserved))
        json_object_set(o, "Concurrency", reserved);
    json_decref(tags);
    json_decref(reserved);
    return o;
}

void lambda_get_function(struct call *c)
{
    struct str name, qualifier, rec, latest;
    struct err err = {0};
    json_t *o = NULL;
    int rc = lambda_target(c, &name, &qualifier, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = function_record(t, c->svc->region, name, qualifier, &rec, &err);
        if (rc == 0)
            rc = function_row(t, c->svc->region, name, STR(""), &latest, &err);
        if (rc == 0)
            o = whole(c, rec, latest, qualifier);
        store_read_end(t);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

static bool list_latest(void *ctx, struct str name, struct str rec)
{
    struct lambda_page *p = ctx;
    return lambda_page_add(p, name, lambda_configuration(p->c, rec, STR("")));
}

static bool list_version(void *ctx, struct str version, struct str rec)
{
    struct lambda_page *p = ctx;
    struct str name = rec_str(rec, FN_NAME);
    struct str marker = arena_printf(p->c->arena, "%.*s:%.*s", STR_FMT(name), STR_FMT(version));
    return lambda_page_add(p, marker, lambda_configuration(p->c, rec, version));
}

struct every {
    struct lambda_page *page;
    struct store_txn *t;
};

static bool list_versions(void *ctx, struct str name, struct str rec)
{
    struct every *e = ctx;
    (void)rec;
    function_versions(e->t, name, STR(""), list_version, e->page);
    return !e->page->more;
}

/* All versions of all functions; a marker is NAME:VERSION. */
static void list_all(struct store_txn *t, struct lambda_page *p)
{
    struct str version = p->marker, name = str_cut(&version, ':');
    struct every e = {p, t};
    if (name.n)
        function_versions(t, name, version.p ? version : STR(""), list_version, p);
    if (!p->more)
        function_each(t, name, list_versions, &e);
}

void lambda_list_functions(struct call *c)
{
    struct lambda_page p;
    struct err err = {0};
    int rc = lambda_page_begin(&p, c, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct store_txn *t = store_read(c->svc->store);
    if (str_is(call_query(c, "FunctionVersion"), "ALL"))
        list_all(t, &p);
    else
        function_each(t, p.marker, list_latest, &p);
    store_read_end(t);
    lambda_page_end(&p, "Functions", 0, NULL);
}

/* --- code: create and update ----------------------------------------------------------------- */

struct coding {
    struct lambda_job j;
    struct fn_spec spec;
    struct package *package;
    bool create, dry_run, publish;
    char version[24];         /* published */
    struct object_read *read; /* of code in a bucket that came there in parts */
};

static int apply_code(struct job *job, struct store_txn *t)
{
    struct coding *k = (struct coding *)job;
    const struct fn_publish publish = {.deployed = false};
    const char *region = k->j.c->svc->region;
    int rc = k->create ? function_create(t, region, &k->spec, &k->j.err)
                       : function_update(t, region, &k->spec, &k->j.err);
    if (rc || !k->publish)
        return rc;
    return function_publish(t, region, k->spec.name, &publish, k->version, &k->j.err);
}

static void free_package(struct lambda_job *j)
{
    package_free(((struct coding *)j)->package);
}

static void reply_latest(struct lambda_job *j)
{
    lambda_reply_configuration(j->c, j->name, STR(""));
}

static void reply_code(struct lambda_job *j)
{
    lambda_reply_configuration(j->c, j->name, str_c(((struct coding *)j)->version));
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
    if (rc == 0)
        rc = function_check_revision(k->spec.revision_id, rec, &err);
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
    k->j.job.undo = k->publish; /* when its second half is refused */
    lambda_submit(&k->j, k->j.c, k->spec.name, apply_code, reply_code);
}

static void gathered(void *ctx, int rc, uint64_t blob)
{
    struct coding *k = ctx;
    const struct package_source src = {.blob = blob, .own_blob = true};
    if (rc)
        call_error(k->j.c, rc, NULL);
    else
        package_build_from(k->j.c->svc->store, &src, packaged, k);
}

static void build(struct coding *k, const struct package_source *src)
{
    if (k->read)
        object_gather(k->j.c->svc->store, k->read, gathered, k);
    else
        package_build_from(k->j.c->svc->store, src, packaged, k);
}

/* Code from a bucket: the object's bytes or blob, or a reader of its parts. */
static int find_object(struct coding *k, const json_t *code, struct package_source *src,
                       struct err *err)
{
    struct call *c = k->j.c;
    struct str bucket = {NULL, 0}, key = {NULL, 0}, version = {NULL, 0};
    struct object_meta m;
    int rc;
    if ((rc = json_member_str(code, "S3Bucket", &bucket, err)) ||
        (rc = json_member_str(code, "S3Key", &key, err)) ||
        (rc = json_member_str(code, "S3ObjectVersion", &version, err)))
        return rc;
    if (!bucket.n || !key.n)
        return err_set(err, E_INVALID, "Please provide a source for function code.");
    struct str arn = call_s3_arn(c, bucket, key);
    if (!arn.p)
        return E_LIMIT;
    if ((rc = call_authorise(c, "s3:GetObject", arn, NULL)))
        return err_set(err, rc,
                       "Your access has been denied by S3, please make sure your request "
                       "credentials have permission to GetObject for %.*s/%.*s. S3 Error Code: "
                       "AccessDenied. S3 Error Message: Access Denied",
                       STR_FMT(bucket), key.n > 300 ? 300 : (int)key.n, key.p);
    struct store_txn *t = store_read(c->svc->store);
    rc = object_get(t, bucket, key, &m);
    if (rc == 0 && version.n && !str_is(version, "null"))
        rc = E_NO_VERSION;
    if (rc == 0 && m.blob)
        *src = (struct package_source){.blob = m.blob};
    else if (rc == 0 && m.extents.list && m.size <= PACKAGE_ZIP_MAX)
        k->read = object_read_open(c->svc->objects, &m, 0, m.size, &rc);
    else if (rc == 0 && m.extents.list)
        rc = E_LIMIT;
    else if (rc == 0)
        src->zip = arena_dup(c->arena, m.inline_body);
    store_read_end(t);
    return rc ? err_set(err, E_INVALID,
                        "Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s",
                        err_row(rc)->s3, err_row(rc)->text)
              : 0;
}

static int find_code(struct coding *k, const json_t *code, struct package_source *src,
                     struct err *err)
{
    if (json_object_get(code, "ImageUri"))
        return err_set(err, E_INVALID, "ImageUri is not supported: use ZipFile or S3Bucket");
    bool given = src->zip.p || src->blob;
    if (given && (json_object_get(code, "S3Bucket") || json_object_get(code, "S3Key")))
        return err_set(err, E_INVALID,
                       "Please do not provide other FunctionCode parameters when providing a "
                       "ZipFile.");
    if (given)
        return 0;
    return find_object(k, code, src, err);
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
    struct str text = {NULL, 0};
    int rc = lambda_check(c, err);
    if (rc == 0)
        rc = json_member_str(c->json, "FunctionName", &text, err);
    if (rc == 0)
        rc = lambda_whole_name(c, text, &k->spec.name, err);
    if (rc == 0)
        rc = call_authorise(c, "lambda:CreateFunction", lambda_arn(c, k->spec.name, STR("")), err);
    if (rc == 0)
        rc = lambda_read_spec(c, &k->spec, err);
    if (rc == 0)
        rc = lambda_read_architecture(c, &k->spec, err);
    if (rc == 0)
        rc = lambda_read_tags(c, &k->spec.tags, &k->spec.tag_count, err);
    if (rc == 0)
        rc = json_member_bool(c->json, "Publish", &k->publish, err);
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
        rc = find_code(k, member, &code, &err);
    if (rc)
        refuse(c, src, rc, &err);
    else
        build(k, &code);
}

void lambda_create_function(struct call *c)
{
    code_body_take(c, true, create_taken);
}

static int update_spec(struct call *c, struct coding *k, struct err *err)
{
    struct str rec;
    int rc;
    if ((rc = lambda_whole_target(c, &k->spec.name, err)) ||
        (rc = json_member_bool(c->json, "DryRun", &k->dry_run, err)) ||
        (rc = json_member_bool(c->json, "Publish", &k->publish, err)) ||
        (rc = lambda_read_architecture(c, &k->spec, err)) ||
        (rc = json_member_str(c->json, "RevisionId", &k->spec.revision_id, err)))
        return rc;
    struct store_txn *t = store_read(c->svc->store);
    rc = function_record(t, c->svc->region, k->spec.name, STR(""), &rec, err);
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
        rc = find_code(k, c->json, &code, &err);
    if (rc)
        refuse(c, src, rc, &err);
    else
        build(k, &code);
}

void lambda_update_code(struct call *c, struct str name, struct str zip, bool publish,
                        struct str revision_id)
{
    struct coding *k = arena_zalloc(c->arena, sizeof *k);
    const struct package_source src = {.zip = zip};
    if (!k) {
        call_error(c, E_LIMIT, NULL);
        return;
    }
    k->j.c = c;
    k->publish = publish;
    k->spec.name = name;
    k->spec.revision_id = revision_id;
    build(k, &src);
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
    int rc = k ? lambda_whole_target(c, &k->spec.name, &err) : E_LIMIT;
    if (rc == 0)
        rc = lambda_read_spec(c, &k->spec, &err);
    if (rc == 0)
        rc = fn_spec_check(&k->spec, false, &err);
    if (rc == 0 && k->spec.role.p)
        rc = call_authorise(c, "iam:PassRole", k->spec.role, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&k->j, c, k->spec.name, apply_configuration, reply_latest);
}

struct deleting {
    struct lambda_job j;
    struct str version; /* "": the function */
};

static int apply_delete(struct job *job, struct store_txn *t)
{
    struct deleting *k = (struct deleting *)job;
    const char *region = k->j.c->svc->region;
    struct str rec;
    if (k->version.n)
        return function_version_delete(t, region, k->j.name, k->version, &k->j.err);
    int rc = function_record(t, region, k->j.name, STR(""), &rec, &k->j.err);
    return rc ? rc : function_delete(t, k->j.name, &k->j.err);
}

void lambda_delete_function(struct call *c)
{
    struct deleting *k = arena_zalloc(c->arena, sizeof *k);
    struct err err = {0};
    struct str name;
    int rc = k ? lambda_target(c, &name, &k->version, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    k->j.job.frees_space = true;
    lambda_submit(&k->j, c, name, apply_delete, lambda_reply_empty);
}
