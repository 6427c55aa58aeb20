/* deploy: one write job per deployment, undone as a whole when any step refuses.
 *
 * The same function, make_all, produces the preview and does the work: with `t` a read transaction
 * it only looks (steps that write are skipped), inside a job it writes. So a preview cannot promise
 * what the deployment does not do. */
#include "svc/deploy.h"

#include <stdlib.h>
#include <string.h>

#include "auth/arn.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rec.h"
#include "svc/deploy_report.h"
#include "svc/function_conf.h"
#include "svc/function_version.h"
#include "svc/kv.h"
#include "svc/schedule.h"

/* Fields of a T_LINKS record. */
enum {
    LINK_SOURCE = 1,
    LINK_CREATED_MS, /* u64 */
    LINK_ROLE,       /* role name */
    LINK_BUCKET,     /* repeated: buckets that were missing and were made */
    LINK_TRIGGER,    /* repeated: rec {1 bucket, 2 notification id} */
    LINK_NAMESPACE,  /* repeated: kv namespaces that belong to the function alone */
    LINK_URL,        /* u64 1 */
    LINK_SCHEDULE,   /* repeated: names of schedules */
};

static const char trust[] =
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":"
    "\"lambda.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}";

struct deployment {
    struct job job;
    const struct deploy_env *env;
    struct deploy_req req;
    char *source; /* req.source's copy */
    char *before; /* the T_LINKS record of the deployment before this one; NULL: none */
    size_t before_size;
    char role[80];
    json_t *report;
    struct err err;
};

static int make_all(struct deployment *d, struct store_txn *t, bool write);
static struct schedule_name schedule_of(struct str name);

/* Tells of those that a T_LINKS record names. */
static void schedules_of(const struct deploy_env *env, struct str link)
{
    uint16_t tag;
    struct str v;
    while (rec_next(&link, &tag, &v)) {
        struct schedule_name n = schedule_of(v);
        if (tag == LINK_SCHEDULE)
            schedules_changed(env->schedules, &n);
    }
}

static int apply_job(struct job *job, struct store_txn *t)
{
    struct deployment *d = (struct deployment *)job;
    return make_all(d, t, true);
}

static void apply_done(struct job *job, int rc)
{
    struct deployment *d = (struct deployment *)job;
    if (rc == 0 && !d->req.dry_run) {
        role_changed(d->env->roles, str_c(d->role));
        function_changed(d->env->functions, d->req.manifest->name);
        schedules_of(d->env, str_of(d->before, d->before_size));
        for (size_t i = 0; i < d->req.manifest->schedule_count; i++) {
            struct schedule_name n = schedule_of(d->req.manifest->schedules[i].name);
            schedules_changed(d->env->schedules, &n);
        }
    }
    if (rc && !d->err.code)
        d->err.code = rc;
    d->req.done(d->req.ctx, rc, d->report, &d->err);
    json_decref(d->report);
    free(d->source);
    free(d->before);
    free(d);
}

/* A preview tells too what would be refused. */
static int permitted(struct deployment *d)
{
    char arn[128];
    snprintf(arn, sizeof arn, "arn:aws:iam::" ACCOUNT_ID ":role/%s", d->role);
    int rc = d->req.may(d->req.ctx, "iam:PutRolePolicy", str_c(arn), &d->err);
    return rc ? rc : d->req.may(d->req.ctx, "iam:PassRole", str_c(arn), &d->err);
}

void deploy_apply(const struct deploy_env *env, const struct deploy_req *req)
{
    struct deployment *d = calloc(1, sizeof *d);
    if (!d || !(d->source = strndup(req->source.p, req->source.n)))
        fatal("out of memory");
    d->env = env;
    d->req = *req;
    d->req.source = str_c(d->source);
    d->job = (struct job){.apply = apply_job, .done = apply_done, .undo = true};
    snprintf(d->role, sizeof d->role, "%.*s-role", STR_FMT(req->manifest->name));
    int rc = permitted(d);
    if (rc) {
        apply_done(&d->job, rc);
        return;
    }
    if (!req->dry_run) {
        store_submit(env->store, &d->job);
        return;
    }
    struct store_txn *t = store_read(env->store);
    rc = make_all(d, t, false);
    store_read_end(t);
    apply_done(&d->job, rc);
}

/* --- the steps -------------------------------------------------------------------------------- */

static int make_role(struct deployment *d, struct store_txn *t, bool write)
{
    const struct manifest *m = d->req.manifest;
    struct str old;
    int rc = role_get(t, str_c(d->role), &old);
    bool exists = rc == 0;
    if (rc && rc != E_NOT_FOUND)
        return rc;
    deploy_report_add(d->report, exists ? "updated" : "created", "role", str_c(d->role));
    struct str rest = exists ? old : STR(""), v;
    uint16_t tag;
    while (rec_next(&rest, &tag, &v))
        if (tag == ENTITY_POLICY && str_is(rec_str(v, 1), "permissions"))
            deploy_report_revoked(d->report, rec_str(v, 2));
    if (!write)
        return 0;
    struct buf b = BUF_INIT;
    struct role_spec spec = {
        .id = exists ? rec_str(old, ENTITY_ID) : STR(""),
        .trust = str_of(trust, sizeof trust - 1),
        .description = STR("Made by a deployment"),
        .created_ms = exists ? (int64_t)rec_u64(old, ENTITY_CREATED_MS, 0) : clock_wall_ms(),
    };
    role_build(&b, &spec);
    if (m->role_policy.n) {
        size_t mark = rec_begin(&b, ENTITY_POLICY);
        rec_put_str(&b, 1, STR("permissions"));
        rec_put_str(&b, 2, m->role_policy);
        rec_end(&b, mark);
    }
    /* what others have attached to it stays */
    for (rest = exists ? old : STR(""); rec_next(&rest, &tag, &v);)
        if (tag == ENTITY_ATTACHED || tag == ENTITY_TAG)
            rec_put_str(&b, tag, v);
    rc = b.rc ? b.rc : role_put(t, str_c(d->role), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

static int make_function(struct deployment *d, struct store_txn *t, bool write)
{
    const struct manifest *m = d->req.manifest;
    const struct fn_publish publish = {.deployed = true};
    char role_arn[128], version[24];
    snprintf(role_arn, sizeof role_arn, "arn:aws:iam::%s:role/%s", ACCOUNT_ID, d->role);
    struct fn_spec spec = {
        .name = m->name,
        .runtime = m->runtime,
        .role = str_c(role_arn),
        .handler = m->handler,
        .description = m->description,
        .timeout_s = m->timeout_s,
        .memory_mb = m->memory_mb,
        .env = m->env,
        .env_count = m->env_count,
        .env_set = true,
        .package = d->req.package,
    };
    bool exists = function_exists(t, m->name);
    if (exists && !d->req.update)
        return err_set(&d->err, E_EXISTS, "Function already exist: %.*s", STR_FMT(m->name));
    deploy_report_add(d->report, exists ? "updated" : "created", "function", m->name);
    int rc = fn_spec_check(&spec, true, &d->err);
    if (rc || !write)
        return rc;
    rc = exists ? function_update(t, d->env->region, &spec, &d->err)
                : function_create(t, d->env->region, &spec, &d->err);
    if (rc == 0)
        rc = function_publish(t, d->env->region, m->name, &publish, version, &d->err);
    if (rc == 0)
        json_object_set_new(d->report, "version", json_string(version));
    return rc;
}

static int make_bucket(struct deployment *d, struct store_txn *t, bool write, struct str bucket,
                       struct buf *link)
{
    uint64_t id;
    int64_t created;
    int rc = bucket_name_check(bucket);
    if (rc)
        return err_set(&d->err, rc, "'%.*s' is no bucket name", STR_FMT(bucket));
    rc = bucket_get(t, bucket, &id, &created);
    if (rc != E_NO_BUCKET)
        return rc;
    deploy_report_add(d->report, "created", "bucket", bucket);
    rec_put_str(link, LINK_BUCKET, bucket);
    return write ? bucket_create(t, bucket, &id) : 0;
}

/* The statement that lets one bucket's events in. */
static int permit_bucket(struct deployment *d, struct store_txn *t, const struct manifest_bucket *b)
{
    struct buf sid = BUF_INIT, s = BUF_INIT;
    buf_printf(&sid, "s3-%.*s", STR_FMT(b->bucket));
    for (size_t i = 0; i < sid.n; i++)
        if (sid.p[i] == '.')
            sid.p[i] = '_';
    buf_printf(
        &s,
        "{\"Sid\":\"%.*s\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"s3.amazonaws.com\"},"
        "\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"%.*s\",\"Condition\":{\"ArnLike\":"
        "{\"AWS:SourceArn\":\"arn:aws:s3:::%.*s\"},\"StringEquals\":{\"AWS:SourceAccount\":\"%s\"}}"
        "}",
        STR_FMT(buf_str(&sid)), STR_FMT(b->trigger.function_arn), STR_FMT(b->bucket), ACCOUNT_ID);
    struct str name = d->req.manifest->name;
    int rc = function_policy_remove(t, name, STR(""), buf_str(&sid), NULL);
    if (rc == 0 || rc == E_NOT_FOUND)
        rc = function_policy_add(t, name, STR(""), buf_str(&sid), buf_str(&s), &d->err);
    buf_deinit(&sid);
    buf_deinit(&s);
    return rc;
}

/* Did the deployment before make that: the notification of that id, the URL? */
static bool had(const struct deployment *d, uint16_t wanted, struct str id)
{
    struct str rest = str_of(d->before, d->before_size), v;
    uint16_t tag;
    while (rec_next(&rest, &tag, &v))
        if (tag == wanted && (tag != LINK_TRIGGER || str_eq(rec_str(v, 2), id)) &&
            (tag != LINK_SCHEDULE || str_eq(v, id)))
            return true;
    return false;
}

static int make_triggers(struct deployment *d, struct store_txn *t, bool write, struct buf *link)
{
    const struct manifest *m = d->req.manifest;
    for (size_t i = 0; i < m->trigger_count; i++) {
        const struct manifest_bucket *b = &m->triggers[i];
        int rc = make_bucket(d, t, write, b->bucket, link);
        if (rc == 0 && write)
            rc = permit_bucket(d, t, b);
        if (rc == 0 && write)
            rc = bucket_trigger_add(t, d->env->region, b->bucket, &b->trigger, &d->err);
        if (rc)
            return rc;
        deploy_report_add(d->report, had(d, LINK_TRIGGER, b->trigger.id) ? "updated" : "created",
                          "notification", b->trigger.id);
        size_t mark = rec_begin(link, LINK_TRIGGER);
        rec_put_str(link, 1, b->bucket);
        rec_put_str(link, 2, b->trigger.id);
        rec_end(link, mark);
    }
    return 0;
}

static struct schedule_name schedule_of(struct str name)
{
    return (struct schedule_name){STR(SCHEDULE_KIND_SCHEDULE), STR("default"), name};
}

static int put_schedule(struct deployment *d, struct store_txn *t,
                        const struct manifest_schedule *s)
{
    struct buf rec = BUF_INIT;
    struct schedule_name n = schedule_of(s->name);
    struct str row = {NULL, 0};
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    char arn[160];
    (void)schedule_get(t, &n, &row); /* of an earlier deployment: a rate goes on counting */
    snprintf(arn, sizeof arn, "arn:aws:lambda:%s:%s:function:%.*s", d->env->region, ACCOUNT_ID,
             STR_FMT(d->req.manifest->name));
    rec_put_u64(&rec, SCHEDULE_ID, store_new_id(d->env->store));
    rec_put_u64(&rec, SCHEDULE_CREATED_MS, rec_u64(row, SCHEDULE_CREATED_MS, now_ms));
    rec_put_u64(&rec, SCHEDULE_MODIFIED_MS, now_ms);
    schedule_put_place(&rec, s->expr, row);
    rec_put_str(&rec, SCHEDULE_EXPR, s->expr);
    if (s->zone.n)
        rec_put_str(&rec, SCHEDULE_ZONE, s->zone);
    rec_put_u64(&rec, SCHEDULE_MISSED_POLICY, s->missed);
    rec_put_u64(&rec, SCHEDULE_OVERLAP_POLICY, s->overlap);
    size_t mark = rec_begin(&rec, SCHEDULE_TARGET);
    rec_put_str(&rec, TARGET_ID, STR("target"));
    rec_put_str(&rec, TARGET_ARN, str_c(arn));
    if (s->input.n)
        rec_put_str(&rec, TARGET_INPUT, s->input);
    rec_end(&rec, mark);
    int rc = rec.rc ? rec.rc : schedule_put(t, &n, buf_str(&rec));
    buf_deinit(&rec);
    return rc;
}

static int make_schedules(struct deployment *d, struct store_txn *t, bool write, struct buf *link)
{
    const struct manifest *m = d->req.manifest;
    for (size_t i = 0; i < m->schedule_count; i++) {
        const struct manifest_schedule *s = &m->schedules[i];
        int rc = write ? put_schedule(d, t, s) : 0;
        if (rc)
            return rc;
        deploy_report_add(d->report, had(d, LINK_SCHEDULE, s->name) ? "updated" : "created",
                          "schedule", s->name);
        rec_put_str(link, LINK_SCHEDULE, s->name);
    }
    return 0;
}

static int make_url(struct deployment *d, struct store_txn *t, bool write, struct buf *link)
{
    const struct manifest *m = d->req.manifest;
    int rc = 0;
    if (write) /* the previous deployment's, if any */
        function_policy_remove(t, m->name, STR(""), STR("url-public"), NULL);
    bool before = had(d, LINK_URL, STR(""));
    if (!m->url && before)
        deploy_report_add(d->report, "removed", "url", m->name);
    if (!m->url)
        return write ? function_url_set(t, m->name, STR(""), NULL, NULL) == E_IO ? E_IO : 0 : 0;
    deploy_report_add(d->report, before ? "updated" : "created", "url", m->name);
    rec_put_u64(link, LINK_URL, 1);
    if (!write)
        return 0;
    struct buf s = BUF_INIT;
    buf_printf(&s,
               "{\"Sid\":\"url-public\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
               "\"lambda:InvokeFunctionUrl\",\"Resource\":\"arn:aws:lambda:%s:%s:function:%.*s\","
               "\"Condition\":{\"StringEquals\":{\"lambda:FunctionUrlAuthType\":\"NONE\"}}}",
               d->env->region, ACCOUNT_ID, STR_FMT(m->name));
    const struct fn_url url = {.auth = STR("NONE")};
    rc = function_url_set(t, m->name, STR(""), &url, &d->err);
    if (rc == 0)
        rc = function_policy_add(t, m->name, STR(""), STR("url-public"), buf_str(&s), &d->err);
    buf_deinit(&s);
    return rc;
}

static int read_before(struct deployment *d, struct store_txn *t)
{
    struct str old;
    free(d->before);
    d->before = NULL;
    d->before_size = 0;
    int rc = store_get(t, T_LINKS, d->req.manifest->name, &old);
    if (rc)
        return rc == E_NOT_FOUND ? 0 : rc;
    d->before = malloc(old.n + 1); /* `old` dies with the next write */
    if (!d->before)
        fatal("out of memory");
    memcpy(d->before, old.p, old.n);
    d->before_size = old.n;
    return 0;
}

static bool is_scheduled(const struct manifest *m, struct str name)
{
    for (size_t i = 0; i < m->schedule_count; i++)
        if (str_eq(m->schedules[i].name, name))
            return true;
    return false;
}

static bool is_wanted(const struct manifest *m, struct str trigger_id)
{
    for (size_t i = 0; i < m->trigger_count; i++)
        if (str_eq(m->triggers[i].trigger.id, trigger_id))
            return true;
    return false;
}

/* Takes away the notifications of the deployment before; what is still wanted is added again.
 * Buckets that it made stay noted as made. */
static int carry_over(struct deployment *d, struct store_txn *t, bool write, struct buf *link)
{
    struct str rest = str_of(d->before, d->before_size), v;
    uint16_t tag;
    int rc = 0;
    while (rc == 0 && rec_next(&rest, &tag, &v)) {
        if (tag == LINK_BUCKET)
            rec_put_str(link, LINK_BUCKET, v);
        if (tag == LINK_TRIGGER && !is_wanted(d->req.manifest, rec_str(v, 2)))
            deploy_report_add(d->report, "removed", "notification", rec_str(v, 2));
        if (tag == LINK_TRIGGER && write)
            rc = bucket_trigger_remove(t, rec_str(v, 1), rec_str(v, 2));
        if (tag == LINK_SCHEDULE && !is_scheduled(d->req.manifest, v)) {
            struct schedule_name n = schedule_of(v);
            deploy_report_add(d->report, "removed", "schedule", v);
            rc = write ? schedule_del(t, &n) : 0;
        }
        if (rc == E_NOT_FOUND || rc == E_NO_BUCKET)
            rc = 0;
    }
    return rc;
}

static int make_all(struct deployment *d, struct store_txn *t, bool write)
{
    const struct manifest *m = d->req.manifest;
    struct buf link = BUF_INIT;
    json_decref(d->report); /* a job may run more than once */
    char arn[160];
    snprintf(arn, sizeof arn, "arn:aws:lambda:%s:%s:function:%.*s", d->env->region, ACCOUNT_ID,
             STR_FMT(m->name));
    d->report =
        json_pack("{s:s#, s:s, s:[], s:[], s:[], s:[], s:[]}", "name", m->name.p, (int)m->name.n,
                  "arn", arn, "created", "updated", "removed", "granted", "revoked");
    for (size_t i = 0; i < m->granted_count; i++)
        json_array_append_new(json_object_get(d->report, "granted"),
                              json_stringn(m->granted[i].p, m->granted[i].n));
    rec_put_str(&link, LINK_SOURCE, d->req.source);
    rec_put_u64(&link, LINK_CREATED_MS, (uint64_t)clock_wall_ms());
    rec_put_str(&link, LINK_ROLE, str_c(d->role));
    for (size_t i = 0; i < m->namespace_count; i++)
        if (str_eq(m->namespaces[i], m->name))
            rec_put_str(&link, LINK_NAMESPACE, m->namespaces[i]);
    int rc = read_before(d, t);
    if (rc == 0)
        rc = carry_over(d, t, write, &link);
    if (rc == 0)
        rc = make_role(d, t, write);
    if (rc == 0)
        rc = make_function(d, t, write);
    if (rc == 0)
        rc = make_triggers(d, t, write, &link);
    if (rc == 0)
        rc = make_schedules(d, t, write, &link);
    if (rc == 0)
        rc = make_url(d, t, write, &link);
    if (rc == 0 && write)
        rc = link.rc ? link.rc : store_put(t, T_LINKS, m->name, buf_str(&link));
    buf_deinit(&link);
    return rc;
}

/* --- removal -----------------------------------------------------------------------------------
 */

struct removal {
    struct job job;
    const struct deploy_env *env;
    char name[72];
    char role[80];
    char namespace[72]; /* "" none */
    void (*done)(void *ctx, int rc, json_t *report, const struct err *err);
    void *ctx;
    json_t *report;
    struct err err;
    char *link; /* the T_LINKS record */
    size_t link_size;
    bool more; /* kv rows are left */
};

static int remove_item(struct removal *r, struct store_txn *t, uint16_t tag, struct str v)
{
    int rc = 0;
    if (tag == LINK_TRIGGER) {
        rc = bucket_trigger_remove(t, rec_str(v, 1), rec_str(v, 2));
        if (rc == 0)
            deploy_report_add(r->report, "removed", "notification", rec_str(v, 2));
    } else if (tag == LINK_SCHEDULE) {
        struct schedule_name n = schedule_of(v);
        rc = schedule_del(t, &n);
        deploy_report_add(r->report, "removed", "schedule", v);
    } else if (tag == LINK_BUCKET) {
        rc = bucket_delete(t, v);
        if (rc == 0)
            deploy_report_add(r->report, "removed", "bucket", v);
        else if (rc == E_BUCKET_NOT_EMPTY)
            deploy_report_add(r->report, "kept", "bucket", v);
    } else if (tag == LINK_ROLE) {
        snprintf(r->role, sizeof r->role, "%.*s", STR_FMT(v));
        rc = role_del(t, v);
        deploy_report_add(r->report, "removed", "role", v);
    } else if (tag == LINK_NAMESPACE) {
        snprintf(r->namespace, sizeof r->namespace, "%.*s", STR_FMT(v));
    }
    return rc == E_NOT_FOUND || rc == E_NO_BUCKET || rc == E_BUCKET_NOT_EMPTY ? 0 : rc;
}

static int remove_apply(struct job *job, struct store_txn *t)
{
    struct removal *r = (struct removal *)job;
    struct str name = str_c(r->name), link, v;
    uint16_t tag;
    json_decref(r->report);
    r->report = json_pack("{s:s, s:[], s:[]}", "name", r->name, "removed", "kept");
    int rc = store_get(t, T_LINKS, name, &link);
    if (rc)
        return rc == E_NOT_FOUND ? err_set(&r->err, rc, "there is no deployment named %s", r->name)
                                 : rc;
    free(r->link);
    r->link = malloc(link.n + 1); /* `link` dies with the next write */
    if (!r->link)
        fatal("out of memory");
    memcpy(r->link, link.p, r->link_size = link.n);
    struct str rest = str_of(r->link, link.n);
    while (rc == 0 && rec_next(&rest, &tag, &v))
        rc = remove_item(r, t, tag, v);
    if (rc == 0) {
        rc = function_delete(t, name, NULL);
        if (rc == 0)
            deploy_report_add(r->report, "removed", "function", name);
    }
    if (rc == 0 || rc == E_NOT_FOUND)
        rc = store_del(t, T_LINKS, name);
    return rc;
}

static int wipe_apply(struct job *job, struct store_txn *t)
{
    struct removal *r = (struct removal *)job;
    return kv_wipe(t, str_c(r->namespace), 500, &r->more);
}

static void remove_done(struct job *job, int rc)
{
    struct removal *r = (struct removal *)job;
    if (rc == 0 && job->apply == remove_apply) {
        char group[96];
        function_changed(r->env->functions, str_c(r->name));
        role_changed(r->env->roles, str_c(r->role));
        schedules_of(r->env, str_of(r->link, r->link_size));
        snprintf(group, sizeof group, "/aws/lambda/%s", r->name);
        pool_mute(r->env->pool, str_c(r->name));
        logs_delete_group(r->env->logs, str_c(group));
        r->more = r->namespace[0] != 0;
        job->apply = wipe_apply;
    }
    if (rc == 0 && r->more) {
        store_submit(r->env->store, job);
        return;
    }
    r->done(r->ctx, rc, r->report, &r->err);
    json_decref(r->report);
    free(r->link);
    free(r);
}

void deploy_remove(const struct deploy_env *env, struct str name,
                   void (*done)(void *ctx, int rc, json_t *report, const struct err *err),
                   void *ctx)
{
    struct removal *r = calloc(1, sizeof *r);
    if (!r)
        fatal("out of memory");
    r->env = env;
    r->done = done;
    r->ctx = ctx;
    r->job =
        (struct job){.apply = remove_apply, .done = remove_done, .undo = true, .frees_space = true};
    snprintf(r->name, sizeof r->name, "%.*s", STR_FMT(name));
    store_submit(env->store, &r->job);
}

json_t *deploy_list(const struct deploy_env *env)
{
    json_t *list = json_array();
    struct store_txn *t = store_read(env->store);
    struct store_cursor *c = store_cursor(t, T_LINKS);
    struct str k, v;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok; ok = store_next(c, &k, &v)) {
        struct str source = rec_str(v, LINK_SOURCE);
        json_array_append_new(list, json_pack("{s:s#, s:s#, s:I}", "name", k.p, (int)k.n, "source",
                                              source.p, (int)source.n, "created_ms",
                                              (json_int_t)rec_u64(v, LINK_CREATED_MS, 0)));
    }
    store_cursor_close(c);
    store_read_end(t);
    return list;
}
