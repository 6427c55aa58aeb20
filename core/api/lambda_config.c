/* lambda_config: function configurations as JSON, both ways.
 *
 * What AWS has and this server has not is refused by name when a request asks for it, so that
 * nobody believes it is in force; members that only tune AWS's own machinery are passed over. */
#include "api/lambda.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/rec.h"
#include "svc/alias.h"
#include "svc/function_conf.h"
#include "svc/function_version.h"

#if defined(__x86_64__)
#define ARCHITECTURE "x86_64"
#else
#define ARCHITECTURE "arm64"
#endif

/* --- names ----------------------------------------------------------------------------------- */

int lambda_name(struct call *c, struct str text, struct str *name, struct str *qualifier,
                struct err *err)
{
    int rc = arn_function(text, str_c(c->svc->region), name, qualifier);
    if (rc == E_NOT_FOUND)
        return err_set(err, rc, "Function not found: %.*s", STR_FMT(text));
    if (rc) /* its form is right, so its name is too long */
        return err_set(err, E_VALIDATION,
                       "1 validation error detected: Value '%.*s' at 'functionName' failed to "
                       "satisfy constraint: Member must have length less than or equal to %d",
                       text.n > 160 ? 160 : (int)text.n, text.p, FUNCTION_NAME_MAX);
    if (!qualifier->p)
        *qualifier = STR("");
    return 0;
}

int lambda_target(struct call *c, struct str *name, struct str *qualifier, struct err *err)
{
    struct str q = call_query(c, "Qualifier");
    int rc = lambda_check(c, err);
    if (rc == 0)
        rc = lambda_name(c, c->param[0], name, qualifier, err);
    if (rc || !q.n)
        return rc;
    if (qualifier->n && !str_eq(*qualifier, q))
        return err_set(err, E_INVALID,
                       "The derived qualifier from the function name does not match the specified "
                       "qualifier.");
    *qualifier = q;
    return 0;
}

static int whole(struct str qualifier, struct err *err)
{
    if (!qualifier.n || str_is(qualifier, "$LATEST"))
        return 0;
    return err_set(err, E_INVALID,
                   "This operation is permitted on Lambda functions only. Aliases and versions do "
                   "not support this operation. Please specify either a function name or an "
                   "unqualified function ARN.");
}

int lambda_whole_target(struct call *c, struct str *name, struct err *err)
{
    struct str qualifier;
    int rc = lambda_target(c, name, &qualifier, err);
    return rc ? rc : whole(qualifier, err);
}

int lambda_whole_name(struct call *c, struct str text, struct str *name, struct err *err)
{
    struct str qualifier;
    int rc = lambda_name(c, text, name, &qualifier, err);
    return rc ? rc : whole(qualifier, err);
}

/* --- out ------------------------------------------------------------------------------------- */

static void set_text(json_t *o, const char *member, struct str text)
{
    json_object_set_new(o, member, json_text(text));
}

static json_t *environment(struct str rec)
{
    json_t *variables = NULL;
    struct str v;
    uint16_t tag;
    while (rec_next(&rec, &tag, &v)) {
        if (tag != FN_ENV)
            continue;
        if (!variables)
            variables = json_object();
        struct str name = rec_str(v, 1);
        json_object_setn_new(variables, name.p, name.n, json_text(rec_str(v, 2)));
    }
    return variables;
}

static json_t *logging(struct call *c, struct str rec)
{
    struct str group = rec_str(rec, FN_LOG_GROUP), app = rec_str(rec, FN_LOG_APP_LEVEL);
    struct str format = rec_str(rec, FN_LOG_FORMAT), system = rec_str(rec, FN_LOG_SYSTEM_LEVEL);
    json_t *o = json_object();
    if (!group.n)
        group = arena_printf(c->arena, "/aws/lambda/%.*s", STR_FMT(rec_str(rec, FN_NAME)));
    set_text(o, "LogFormat", format);
    if (str_is(format, "JSON")) {
        set_text(o, "ApplicationLogLevel", app.n ? app : STR("INFO"));
        set_text(o, "SystemLogLevel", system.n ? system : STR("INFO"));
    }
    set_text(o, "LogGroup", group);
    return o;
}

static void set_code_sha256(json_t *o, struct str rec)
{
    struct buf code = BUF_INIT;
    base64_encode(&code, rec_str(rec, FN_PACKAGE));
    set_text(o, "CodeSha256", buf_str(&code));
    buf_deinit(&code);
}

json_t *lambda_configuration(struct call *c, struct str rec, struct str qualifier)
{
    json_t *o = json_object(), *variables = environment(rec);
    struct str dead = rec_str(rec, FN_DEAD_LETTER), tracing = rec_str(rec, FN_TRACING);
    struct str architecture = rec_str(rec, FN_ARCHITECTURE);
    char modified[29];
    clock_lambda((int64_t)rec_u64(rec, FN_MODIFIED_MS, 0), modified);
    set_text(o, "FunctionName", rec_str(rec, FN_NAME));
    set_text(o, "FunctionArn", lambda_arn(c, rec_str(rec, FN_NAME), qualifier));
    set_text(o, "Runtime", rec_str(rec, FN_RUNTIME));
    set_text(o, "Role", rec_str(rec, FN_ROLE));
    set_text(o, "Handler", rec_str(rec, FN_HANDLER));
    json_object_set_new(o, "CodeSize", json_integer((json_int_t)rec_u64(rec, FN_CODE_SIZE, 0)));
    set_text(o, "Description", rec_str(rec, FN_DESCRIPTION));
    json_object_set_new(o, "Timeout", json_integer((json_int_t)rec_u64(rec, FN_TIMEOUT_S, 3)));
    json_object_set_new(o, "MemorySize", json_integer((json_int_t)rec_u64(rec, FN_MEMORY_MB, 128)));
    set_text(o, "LastModified", str_c(modified));
    set_code_sha256(o, rec);
    set_text(o, "Version", rec_str(rec, FN_VERSION));
    if (variables)
        json_object_set_new(o, "Environment", json_pack("{s:o}", "Variables", variables));
    if (dead.n)
        json_object_set_new(o, "DeadLetterConfig",
                            json_pack("{s:o}", "TargetArn", json_text(dead)));
    json_object_set_new(
        o, "TracingConfig",
        json_pack("{s:o}", "Mode", json_text(tracing.n ? tracing : STR("PassThrough"))));
    set_text(o, "RevisionId", rec_str(rec, FN_REVISION));
    set_text(o, "State", STR("Active"));
    set_text(o, "LastUpdateStatus", STR("Successful"));
    set_text(o, "PackageType", STR("Zip"));
    json_object_set_new(
        o, "Architectures",
        json_pack("[o]", json_text(architecture.n ? architecture : STR(ARCHITECTURE))));
    json_object_set_new(o, "EphemeralStorage",
                        json_pack("{s:I}", "Size", (json_int_t)rec_u64(rec, FN_EPHEMERAL_MB, 512)));
    json_object_set_new(o, "LoggingConfig", logging(c, rec));
    json_object_set_new(o, "SnapStart",
                        json_pack("{s:s,s:s}", "ApplyOn", "None", "OptimizationStatus", "Off"));
    return o;
}

/* --- in -------------------------------------------------------------------------------------- */

/* Whose range has been checked. */
static int read_number(struct call *c, const char *member, uint32_t *out, struct err *err)
{
    int64_t v = 0;
    int rc = json_member_int(c->json, member, &v, err);
    *out = (uint32_t)v;
    return rc;
}

static int read_environment(struct call *c, struct fn_spec *out, struct err *err)
{
    json_t *environment_json = NULL, *variables = NULL, *value;
    const char *key;
    int rc = json_member_object(c->json, "Environment", &environment_json, err);
    if (rc || !environment_json)
        return rc;
    rc = json_member_object(environment_json, "Variables", &variables, err);
    if (rc)
        return rc;
    size_t n = json_object_size(variables);
    struct fn_env *env = arena_zalloc(c->arena, (n + 1) * sizeof *env);
    if (!env)
        return E_LIMIT;
    out->env = env;
    out->env_set = true;
    json_object_foreach(variables, key, value)
    {
        if (!json_is_string(value))
            return err_set(err, E_BAD_JSON,
                           "Could not parse request body into json: the environment variable %s is "
                           "no string",
                           key);
        env[out->env_count++] = (struct fn_env){str_c(key), json_bytes(value)};
    }
    return 0;
}

/* Is there anything in it? */
static bool asks(const json_t *v)
{
    const char *key;
    json_t *member, *object = (json_t *)(uintptr_t)v;
    if (json_is_string(v))
        return json_string_length(v) > 0;
    if (json_is_array(v))
        return json_array_size(v) > 0;
    if (json_is_object(v))
        json_object_foreach(object, key, member) if (asks(member)) return true;
    return json_is_true(v) || json_is_number(v);
}

static int refuse_unknown(struct call *c, struct err *err)
{
    static const char *const members[] = {
        "Layers",    "FileSystemConfigs",     "VpcConfig",     "ImageConfig",
        "KMSKeyArn", "CodeSigningConfigArn",  "DurableConfig", "TenancyConfig",
        "PublishTo", "CapacityProviderConfig"};
    struct str type = {NULL, 0}, snap = {NULL, 0};
    json_t *snap_start = NULL;
    int rc;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (asks(json_object_get(c->json, members[i])))
            return err_set(err, E_INVALID, "%s is not supported", members[i]);
    if ((rc = json_member_str(c->json, "PackageType", &type, err)) ||
        (rc = json_member_object(c->json, "SnapStart", &snap_start, err)) ||
        (rc = snap_start ? json_member_str(snap_start, "ApplyOn", &snap, err) : 0))
        return rc;
    if (type.n && !str_is(type, "Zip"))
        return err_set(err, E_INVALID, "PackageType %.*s is not supported: use Zip", STR_FMT(type));
    if (str_is(snap, "PublishedVersions"))
        return err_set(err, E_INVALID, "lua is not supported for SnapStart enabled functions.");
    return 0;
}

/* A text in an object that is a member itself. given: "" stands for an object without it. */
static int read_inner(struct call *c, const char *object, const char *member, bool given,
                      struct str *out, struct err *err)
{
    json_t *o = NULL;
    int rc = json_member_object(c->json, object, &o, err);
    if (rc == 0 && o)
        rc = json_member_str(o, member, out, err);
    if (rc == 0 && o && given && !out->p)
        *out = STR("");
    return rc;
}

static int read_logging(struct call *c, struct fn_spec *out, struct err *err)
{
    int rc;
    if ((rc = read_inner(c, "LoggingConfig", "LogFormat", false, &out->log_format, err)) ||
        (rc = read_inner(c, "LoggingConfig", "LogGroup", false, &out->log_group, err)) ||
        (rc = read_inner(c, "LoggingConfig", "ApplicationLogLevel", false, &out->app_log_level,
                         err)) ||
        (rc = read_inner(c, "LoggingConfig", "SystemLogLevel", false, &out->system_log_level, err)))
        return rc;
    if (!str_is(out->log_format, "Text"))
        return 0;
    if (out->app_log_level.p || out->system_log_level.p)
        return err_set(
            err, E_INVALID,
            "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel "
            "from your request or change the LogFormat to \"JSON\" and try again.");
    out->app_log_level = out->system_log_level = STR("");
    return 0;
}

static int read_ephemeral(struct call *c, struct fn_spec *out, struct err *err)
{
    json_t *o = NULL;
    int64_t mb = 0;
    int rc = json_member_object(c->json, "EphemeralStorage", &o, err);
    if (rc == 0 && o)
        rc = json_member_int(o, "Size", &mb, err);
    out->ephemeral_mb = (uint32_t)mb;
    return rc;
}

int lambda_read_architecture(struct call *c, struct fn_spec *out, struct err *err)
{
    json_t *list = NULL;
    int rc = json_member_array(c->json, "Architectures", &list, err);
    if (rc == 0 && list)
        out->architecture = json_bytes(json_array_get(list, 0));
    return rc;
}

int lambda_read_tags(struct call *c, const struct fn_env **out, size_t *count, struct err *err)
{
    json_t *tags = NULL, *value;
    const char *key;
    int rc = json_member_object(c->json, "Tags", &tags, err);
    if (rc || !tags)
        return rc;
    struct fn_env *list = arena_zalloc(c->arena, (json_object_size(tags) + 1) * sizeof *list);
    if (!list)
        return E_LIMIT;
    json_object_foreach(tags, key, value)
    {
        if (!json_is_string(value))
            return err_set(err, E_BAD_JSON,
                           "Could not parse request body into json: the tag %s is no string", key);
        list[(*count)++] = (struct fn_env){str_c(key), json_bytes(value)};
    }
    *out = list;
    return *count > FUNCTION_TAGS_MAX
               ? err_set(err, E_INVALID, "Number of tags exceeds resource tag limit.")
               : 0;
}

int lambda_read_spec(struct call *c, struct fn_spec *out, struct err *err)
{
    int rc;
    if ((rc = refuse_unknown(c, err)) ||
        (rc = json_member_str(c->json, "Runtime", &out->runtime, err)) ||
        (rc = json_member_str(c->json, "Role", &out->role, err)) ||
        (rc = json_member_str(c->json, "Handler", &out->handler, err)) ||
        (rc = json_member_str(c->json, "Description", &out->description, err)) ||
        (rc = json_member_str(c->json, "RevisionId", &out->revision_id, err)) ||
        (rc = read_inner(c, "DeadLetterConfig", "TargetArn", true, &out->dead_letter, err)) ||
        (rc = read_inner(c, "TracingConfig", "Mode", false, &out->tracing, err)) ||
        (rc = read_number(c, "Timeout", &out->timeout_s, err)) ||
        (rc = read_number(c, "MemorySize", &out->memory_mb, err)) ||
        (rc = read_ephemeral(c, out, err)) || (rc = read_logging(c, out, err)))
        return rc;
    if (str_is(out->tracing, "PassThrough"))
        out->tracing = STR("");
    return read_environment(c, out, err);
}

/* --- pages ------------------------------------------------------------------------------------- */

int lambda_page_begin(struct lambda_page *p, struct call *c, struct err *err)
{
    struct str items = call_query(c, "MaxItems"), marker = call_query(c, "Marker");
    uint64_t n = LAMBDA_PAGE;
    int rc = c->op->resource != RES_ANY ? 0 : lambda_check(c, err); /* else lambda_target did */
    if (rc)
        return rc;
    if (items.n)
        str_u64(items, &n);
    *p = (struct lambda_page){
        .c = c, .marker = marker.p ? marker : STR(""), .limit = n < LAMBDA_PAGE ? n : LAMBDA_PAGE};
    p->items = json_array();
    return 0;
}

bool lambda_page_add(struct lambda_page *p, struct str marker, json_t *item)
{
    if (json_array_size(p->items) == p->limit) {
        p->more = true;
        json_decref(item);
        return false;
    }
    json_array_append_new(p->items, item);
    p->last = arena_dup(p->c->arena, marker);
    return true;
}

void lambda_page_end(struct lambda_page *p, const char *member, int rc, const struct err *err)
{
    if (rc) {
        json_decref(p->items);
        call_error(p->c, rc, err);
        return;
    }
    json_t *o = json_pack("{s:o}", member, p->items);
    if (p->more)
        json_object_set_new(o, "NextMarker", json_text(p->last));
    call_json(p->c, p->c->op->status, o);
}

void lambda_list_qualifiers(struct call *c, const char *member, const char *absent,
                            bool (*one)(void *listing, struct str qualifier, struct str rec))
{
    struct lambda_listing l = {.name = STR("")};
    struct err err = {0};
    struct str rec;
    uint64_t n;
    int rc = lambda_whole_target(c, &l.name, &err);
    if (rc == 0)
        rc = lambda_page_begin(&l.page, c, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct str marker = l.page.marker;
    bool among_aliases = marker.n && !str_u64(marker, &n) && !str_is(marker, "$LATEST");
    struct store_txn *t = store_read(c->svc->store);
    rc = function_row(t, c->svc->region, l.name, STR(""), &rec, &err);
    if (rc == E_NOT_FOUND && absent)
        err_set(&err, rc, "%s", absent);
    if (rc == 0 && !among_aliases)
        function_versions(t, l.name, marker, one, &l);
    if (rc == 0 && !l.page.more)
        alias_each(t, l.name, among_aliases ? marker : STR(""), one, &l);
    store_read_end(t);
    lambda_page_end(&l.page, member, rc, &err);
}

/* --- jobs ------------------------------------------------------------------------------------ */

static void job_done(struct job *job, int rc)
{
    struct lambda_job *j = (struct lambda_job *)job;
    struct call *c = j->c;
    if (rc == 0)
        function_changed(c->svc->functions, j->name);
    if (j->clean)
        j->clean(j);
    if (rc)
        call_error(c, rc, &j->err);
    else
        j->reply(j);
}

void lambda_reply_empty(struct lambda_job *j)
{
    call_empty(j->c, j->c->op->status);
}

void lambda_submit(struct lambda_job *j, struct call *c, struct str name,
                   int (*apply)(struct job *job, struct store_txn *t),
                   void (*reply)(struct lambda_job *j))
{
    j->job.apply = apply;
    j->job.done = job_done;
    j->c = c;
    j->name = name;
    j->reply = reply;
    store_submit(c->svc->store, &j->job);
}
