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
    if (rc) {
        struct str rest = text, bare = str_cut(&rest, ':');
        rc = rest.p ? E_VALIDATION : function_name_check(bare, err);
        if (rc == 0 || rest.p)
            rc = err_set(err, E_VALIDATION,
                         "1 validation error detected: Value '%.*s' at 'functionName' failed to "
                         "satisfy constraint: Member must satisfy regular expression pattern: "
                         "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-"
                         "\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-"
                         "_]+))?",
                         text.n > 160 ? 160 : (int)text.n, text.p);
        return rc;
    }
    if (!qualifier->p)
        *qualifier = STR("");
    return 0;
}

int lambda_target(struct call *c, struct str *name, struct str *qualifier, struct err *err)
{
    struct str q = call_query(c, "Qualifier"), unused;
    int rc = lambda_name(c, c->param[0], name, qualifier, err);
    if (rc || !q.n)
        return rc;
    if (qualifier->n && !str_eq(*qualifier, q))
        return err_set(err, E_INVALID,
                       "The derived qualifier from the function name does not match the specified "
                       "qualifier.");
    struct str both = arena_printf(c->arena, "%.*s:%.*s", STR_FMT(*name), STR_FMT(q));
    if (!both.p || arn_function(both, str_c(c->svc->region), &unused, qualifier) != 0)
        return err_set(err, E_VALIDATION,
                       "1 validation error detected: Value '%.*s' at 'qualifier' failed to satisfy "
                       "constraint: Member must satisfy regular expression pattern: "
                       "(|[a-zA-Z0-9$_-]+)",
                       q.n > 160 ? 160 : (int)q.n, q.p);
    return 0;
}

int lambda_whole_target(struct call *c, struct str *name, struct err *err)
{
    struct str qualifier;
    int rc = lambda_target(c, name, &qualifier, err);
    if (rc || !qualifier.n || str_is(qualifier, "$LATEST"))
        return rc;
    return err_set(err, E_INVALID,
                   "This operation is permitted on Lambda functions only. Aliases and versions do "
                   "not support this operation. Please specify either a function name or an "
                   "unqualified function ARN.");
}

struct str lambda_arn(struct call *c, struct str name, struct str qualifier)
{
    return arena_printf(c->arena, "arn:aws:lambda:%s:" ACCOUNT_ID ":function:%.*s%s%.*s",
                        c->svc->region, STR_FMT(name), qualifier.n ? ":" : "", STR_FMT(qualifier));
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

json_t *lambda_configuration(struct call *c, struct str rec, struct str qualifier)
{
    json_t *o = json_object(), *variables = environment(rec);
    struct str name = rec_str(rec, FN_NAME), sha = rec_str(rec, FN_PACKAGE);
    struct buf code = BUF_INIT;
    char modified[29];
    base64_encode(&code, sha);
    clock_lambda((int64_t)rec_u64(rec, FN_MODIFIED_MS, 0), modified);
    set_text(o, "FunctionName", name);
    set_text(o, "FunctionArn", lambda_arn(c, name, qualifier));
    set_text(o, "Runtime", rec_str(rec, FN_RUNTIME));
    set_text(o, "Role", rec_str(rec, FN_ROLE));
    set_text(o, "Handler", rec_str(rec, FN_HANDLER));
    json_object_set_new(o, "CodeSize", json_integer((json_int_t)rec_u64(rec, FN_CODE_SIZE, 0)));
    set_text(o, "Description", rec_str(rec, FN_DESCRIPTION));
    json_object_set_new(o, "Timeout", json_integer((json_int_t)rec_u64(rec, FN_TIMEOUT_S, 3)));
    json_object_set_new(o, "MemorySize", json_integer((json_int_t)rec_u64(rec, FN_MEMORY_MB, 128)));
    set_text(o, "LastModified", str_c(modified));
    set_text(o, "CodeSha256", buf_str(&code));
    set_text(o, "Version", rec_str(rec, FN_VERSION));
    if (variables)
        json_object_set_new(o, "Environment", json_pack("{s:o}", "Variables", variables));
    json_object_set_new(o, "TracingConfig", json_pack("{s:s}", "Mode", "PassThrough"));
    set_text(o, "RevisionId", rec_str(rec, FN_REVISION));
    set_text(o, "State", STR("Active"));
    set_text(o, "LastUpdateStatus", STR("Successful"));
    set_text(o, "PackageType", STR("Zip"));
    json_object_set_new(o, "Architectures", json_pack("[s]", ARCHITECTURE));
    json_object_set_new(o, "EphemeralStorage", json_pack("{s:i}", "Size", 512));
    struct str group = arena_printf(c->arena, "/aws/lambda/%.*s", STR_FMT(name));
    json_t *logging = json_object();
    set_text(logging, "LogFormat", rec_str(rec, FN_LOG_FORMAT));
    set_text(logging, "LogGroup", group);
    json_object_set_new(o, "LoggingConfig", logging);
    json_object_set_new(o, "SnapStart",
                        json_pack("{s:s,s:s}", "ApplyOn", "None", "OptimizationStatus", "Off"));
    buf_deinit(&code);
    return o;
}

/* --- in -------------------------------------------------------------------------------------- */

/* A number with a least value of 1; its greatest is fn_spec_check's. */
static int read_number(struct call *c, const char *member, const char *shown, uint32_t *out,
                       struct err *err)
{
    int64_t v = 0;
    bool given =
        json_object_get(c->json, member) && !json_is_null(json_object_get(c->json, member));
    int rc = json_member_int(c->json, member, &v, err);
    if (rc || !given)
        return rc;
    if (v < 1)
        return err_set(err, E_VALIDATION,
                       "1 validation error detected: Value '%lld' at '%s' failed to satisfy "
                       "constraint: Member must have value greater than or equal to 1",
                       (long long)v, shown);
    *out = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    return 0;
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
        "Layers",      "FileSystemConfigs", "VpcConfig",           "DeadLetterConfig",
        "ImageConfig", "KMSKeyArn",         "CodeSigningConfigArn"};
    struct str type = {NULL, 0};
    int rc;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (asks(json_object_get(c->json, members[i])))
            return err_set(err, E_INVALID, "%s is not supported", members[i]);
    if ((rc = json_member_str(c->json, "PackageType", &type, err)))
        return rc;
    if (type.n && !str_is(type, "Zip"))
        return err_set(err, E_INVALID, "PackageType %.*s is not supported: use Zip", STR_FMT(type));
    return 0;
}

int lambda_read_spec(struct call *c, struct fn_spec *out, struct err *err)
{
    json_t *logging = NULL;
    int rc;
    if ((rc = refuse_unknown(c, err)) ||
        (rc = json_member_str(c->json, "Runtime", &out->runtime, err)) ||
        (rc = json_member_str(c->json, "Role", &out->role, err)) ||
        (rc = json_member_str(c->json, "Handler", &out->handler, err)) ||
        (rc = json_member_str(c->json, "Description", &out->description, err)) ||
        (rc = json_member_str(c->json, "RevisionId", &out->revision_id, err)) ||
        (rc = json_member_object(c->json, "LoggingConfig", &logging, err)) ||
        (rc = read_number(c, "Timeout", "timeout", &out->timeout_s, err)) ||
        (rc = read_number(c, "MemorySize", "memorySize", &out->memory_mb, err)) ||
        (rc = read_environment(c, out, err)))
        return rc;
    return logging ? json_member_str(logging, "LogFormat", &out->log_format, err) : 0;
}

/* --- pages ------------------------------------------------------------------------------------- */

int lambda_page_begin(struct lambda_page *p, struct call *c, struct err *err)
{
    struct str items = call_query(c, "MaxItems"), marker = call_query(c, "Marker");
    uint64_t n = LAMBDA_PAGE;
    if (items.n && (!str_u64(items, &n) || n < 1))
        return err_set(err, E_VALIDATION,
                       "1 validation error detected: Value '%.*s' at 'maxItems' failed to satisfy "
                       "constraint: Member must have value greater than or equal to 1",
                       items.n > 40 ? 40 : (int)items.n, items.p);
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
