/* manifest: reads the JSON form member by member; a wrong type or an unknown member is an error
 * that names it, since a misspelt "permission" must not silently grant nothing. */
#include "svc/manifest.h"

#include <string.h>

#include "auth/arn.h"
#include "base/buf.h"
#include "base/json.h"
#include "svc/schedule.h"

enum { ITEMS_MAX = 100 };

struct reader {
    struct arena *arena;
    const char *region;
    struct err *err;
    struct manifest *out;
    json_t *statements; /* of the role's policy */
};

static int read_permissions(struct reader *r, json_t *list);
static int read_triggers(struct reader *r, json_t *list);
static int read_env(struct reader *r, json_t *env);
static int check_members(struct reader *r, json_t *object, const char *const *known,
                         const char *where);
static int read_str(struct reader *r, json_t *object, const char *key, const char *dflt,
                    struct str *out);
static int read_u32(struct reader *r, json_t *object, const char *key, uint32_t dflt,
                    uint32_t *out);
static int dump_policy(struct reader *r);

static const char *const members[] = {"name",      "description", "handler",     "runtime",
                                      "memory_mb", "timeout_s",   "environment", "permissions",
                                      "triggers",  NULL};

int manifest_parse(json_t *json, const char *region, struct arena *a, struct manifest *out,
                   struct err *err)
{
    struct reader r = {.arena = a, .region = region, .err = err, .out = out};
    int rc;
    memset(out, 0, sizeof *out);
    if (!json_is_object(json))
        return err_set(err, E_INVALID, "a manifest is a table, like return { name = \"thumbs\" }");
    if ((rc = check_members(&r, json, members, "the manifest")) ||
        (rc = read_str(&r, json, "name", "", &out->name)) ||
        (rc = read_str(&r, json, "description", "", &out->description)) ||
        (rc = read_str(&r, json, "handler", "handler.main", &out->handler)) ||
        (rc = read_str(&r, json, "runtime", "lua", &out->runtime)) ||
        (rc = read_u32(&r, json, "memory_mb", 128, &out->memory_mb)) ||
        (rc = read_u32(&r, json, "timeout_s", 3, &out->timeout_s)) ||
        (rc = read_env(&r, json_object_get(json, "environment"))))
        return rc;
    if (out->name.n == 0)
        return err_set(err, E_INVALID, "the manifest has no name");
    r.statements = json_array();
    rc = read_permissions(&r, json_object_get(json, "permissions"));
    if (rc == 0)
        rc = dump_policy(&r);
    json_decref(r.statements);
    return rc ? rc : read_triggers(&r, json_object_get(json, "triggers"));
}

static int check_members(struct reader *r, json_t *object, const char *const *known,
                         const char *where)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return err_set(r->err, E_INVALID, "unknown member '%.64s' in %s", key, where);
    }
    return 0;
}

static int copy_str(struct reader *r, json_t *v, struct str *out)
{
    *out = arena_dup(r->arena, str_of(json_string_value(v), json_string_length(v)));
    if (!out->p)
        return err_set(r->err, E_LIMIT, "the manifest is too large");
    return memchr(out->p, 0, out->n) ? err_set(r->err, E_INVALID, "a NUL byte in the manifest") : 0;
}

static int read_str(struct reader *r, json_t *object, const char *key, const char *dflt,
                    struct str *out)
{
    json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v)) {
        *out = str_c(dflt);
        return 0;
    }
    if (!json_is_string(v))
        return err_set(r->err, E_INVALID, "'%s' must be a string", key);
    return copy_str(r, v, out);
}

static int read_u32(struct reader *r, json_t *object, const char *key, uint32_t dflt, uint32_t *out)
{
    json_t *v = json_object_get(object, key);
    *out = dflt;
    if (!v || json_is_null(v))
        return 0;
    double d = json_number_value(v);
    if (!json_is_number(v) || d < 0 || d > 1e9 || d != (uint32_t)d)
        return err_set(r->err, E_INVALID, "'%s' must be a whole number", key);
    *out = (uint32_t)d;
    return 0;
}

static int read_env(struct reader *r, json_t *env)
{
    const char *key;
    json_t *value;
    /* an empty Lua table arrives as an array or an object */
    if (!env || json_is_null(env) || (json_is_array(env) && json_array_size(env) == 0))
        return 0;
    if (!json_is_object(env))
        return err_set(r->err, E_INVALID, "'environment' must be a table of NAME = \"value\"");
    r->out->env = arena_zalloc(r->arena, json_object_size(env) * sizeof *r->out->env);
    if (!r->out->env)
        return err_set(r->err, E_LIMIT, "the manifest is too large");
    json_object_foreach(env, key, value)
    {
        struct fn_env *e = &r->out->env[r->out->env_count++];
        int rc;
        if (!json_is_string(value))
            return err_set(r->err, E_INVALID, "environment variable '%.64s' must be a string", key);
        e->name = arena_dup(r->arena, str_c(key));
        if ((rc = copy_str(r, value, &e->value)))
            return rc;
    }
    return 0;
}

/* --- permissions -------------------------------------------------------------------------------
 */

/* A short resource in full, by the service of the action. */
static struct str full_resource(struct reader *r, struct str action, struct str res)
{
    if (str_starts(res, STR("arn:")) || str_is(res, "*") || str_find(res, STR("://")) >= 0)
        return res;
    if (str_starts(action, STR("s3:")))
        return arena_printf(r->arena, "arn:aws:s3:::%.*s", STR_FMT(res));
    if (str_starts(action, STR("perilune:Kv")))
        return arena_printf(r->arena, "arn:aws:perilune:%s:%s:kv/%.*s", r->region, ACCOUNT_ID,
                            STR_FMT(res));
    if (str_starts(action, STR("perilune:Secret")))
        return arena_printf(r->arena, "arn:aws:perilune:%s:%s:secret/%.*s", r->region, ACCOUNT_ID,
                            STR_FMT(res));
    if (str_starts(action, STR("lambda:")))
        return arena_printf(r->arena, "arn:aws:lambda:%s:%s:function:%.*s", r->region, ACCOUNT_ID,
                            STR_FMT(res));
    return res;
}

/* One string or an array of them, as a fresh array; NULL when it is neither. */
static json_t *as_array(json_t *v)
{
    if (json_is_string(v))
        return json_pack("[O]", v);
    if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > ITEMS_MAX)
        return NULL;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i)))
            return NULL;
    return json_incref(v);
}

/* One statement: an action on its resources. */
static int grant(struct reader *r, struct str action, json_t *resources)
{
    struct manifest *m = r->out;
    if (str_index(action, ':', 0) <= 0)
        return err_set(r->err, E_INVALID, "'%.64s' is no action; one is like \"s3:GetObject\"",
                       action.p);
    json_t *full = json_array();
    int rc = 0;
    for (size_t i = 0; i < json_array_size(resources); i++) {
        struct str res;
        if ((rc = copy_str(r, json_array_get(resources, i), &res)))
            break;
        struct str whole = full_resource(r, action, res);
        m->granted[m->granted_count++] =
            arena_printf(r->arena, "%.*s on %.*s", STR_FMT(action), STR_FMT(whole));
        if (str_starts(action, STR("perilune:Kv")) && !memchr(res.p, '*', res.n) &&
            !memchr(res.p, ':', res.n))
            m->namespaces[m->namespace_count++] = res;
        json_array_append_new(full, json_stringn(whole.p, whole.n));
    }
    if (rc == 0)
        json_array_append_new(r->statements,
                              json_pack("{s:s, s:s#, s:O}", "Effect", "Allow", "Action", action.p,
                                        (int)action.n, "Resource", full));
    json_decref(full);
    return rc;
}

static int grant_all(struct reader *r, json_t *actions, json_t *resources)
{
    int rc = 0;
    for (size_t i = 0; i < json_array_size(actions) && rc == 0; i++) {
        struct str action;
        rc = copy_str(r, json_array_get(actions, i), &action);
        if (rc == 0)
            rc = grant(r, action, resources);
    }
    return rc;
}

static int read_permissions(struct reader *r, json_t *list)
{
    if (!list || json_is_null(list) || (json_is_object(list) && json_object_size(list) == 0))
        return 0;
    if (!json_is_array(list) || json_array_size(list) > ITEMS_MAX)
        return err_set(r->err, E_INVALID,
                       "'permissions' must be a list like { { \"s3:GetObject\", \"uploads/*\" } }");
    size_t total = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *p = json_array_get(list, i);
        json_t *a = json_array_get(p, 0), *b = json_array_get(p, 1);
        total += (json_is_array(a) ? json_array_size(a) : 1) *
                 (json_is_array(b) ? json_array_size(b) : 1);
    }
    r->out->granted = arena_alloc(r->arena, total * sizeof(struct str));
    r->out->namespaces = arena_alloc(r->arena, total * sizeof(struct str));
    if (!r->out->granted || !r->out->namespaces)
        return err_set(r->err, E_LIMIT, "the manifest is too large");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *p = json_array_get(list, i);
        json_t *actions =
            json_is_array(p) && json_array_size(p) == 2 ? as_array(json_array_get(p, 0)) : NULL;
        json_t *resources = actions ? as_array(json_array_get(p, 1)) : NULL;
        int rc = resources ? grant_all(r, actions, resources)
                           : err_set(r->err, E_INVALID,
                                     "permission %zu must be { ACTION, RESOURCE }", i + 1);
        json_decref(actions);
        json_decref(resources);
        if (rc)
            return rc;
    }
    return 0;
}

static int dump_policy(struct reader *r)
{
    if (json_array_size(r->statements) == 0)
        return 0;
    json_t *doc = json_pack("{s:s, s:O}", "Version", "2012-10-17", "Statement", r->statements);
    char *text = json_dumps(doc, JSON_COMPACT);
    r->out->role_policy = arena_dup(r->arena, str_c(text));
    free(text);
    json_decref(doc);
    return r->out->role_policy.p ? 0 : err_set(r->err, E_LIMIT, "the manifest is too large");
}

/* --- triggers ----------------------------------------------------------------------------------
 */

static int read_s3(struct reader *r, json_t *v)
{
    static const char *const known[] = {"s3", "events", "prefix", "suffix", NULL};
    struct manifest_bucket *b = &r->out->triggers[r->out->trigger_count];
    struct trigger *t = &b->trigger;
    json_t *events = json_object_get(v, "events");
    int rc;
    if ((rc = check_members(r, v, known, "an s3 trigger")) ||
        (rc = read_str(r, v, "s3", "", &b->bucket)) ||
        (rc = read_str(r, v, "prefix", "", &t->prefix)) ||
        (rc = read_str(r, v, "suffix", "", &t->suffix)))
        return rc;
    json_t *list = events ? as_array(events) : json_pack("[s]", "ObjectCreated:*");
    if (!list || json_array_size(list) > sizeof t->events / sizeof *t->events) {
        json_decref(list);
        return err_set(r->err, E_INVALID, "'events' must be a list like { \"ObjectCreated:*\" }");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct str e = str_c(json_string_value(json_array_get(list, i)));
        t->events[t->event_count++] =
            arena_printf(r->arena, "%s%.*s", str_starts(e, STR("s3:")) ? "" : "s3:", STR_FMT(e));
    }
    json_decref(list);
    t->id = arena_printf(r->arena, "%.*s-%zu", STR_FMT(r->out->name), r->out->trigger_count + 1);
    t->function_arn = arena_printf(r->arena, "arn:aws:lambda:%s:%s:function:%.*s", r->region,
                                   ACCOUNT_ID, STR_FMT(r->out->name));
    r->out->trigger_count++;
    return 0;
}

/* Which of the words the member is; the first when it is not given. */
static int read_word(struct reader *r, json_t *v, const char *name, const char *const *words,
                     uint64_t *out)
{
    struct str given;
    int rc = read_str(r, v, name, words[0], &given);
    for (*out = 0; rc == 0 && words[*out]; ++*out)
        if (str_is(given, words[*out]))
            return 0;
    return rc ? rc
              : err_set(r->err, E_INVALID, "a schedule's '%s' cannot be \"%.*s\"", name,
                        given.n > 40 ? 40 : (int)given.n, given.p);
}

static int read_schedule(struct reader *r, json_t *v)
{
    static const char *const known[] = {"schedule", "timezone", "input", "missed", "overlap", NULL};
    static const char *const missed[] = {"once", "skip", "all", NULL};
    static const char *const overlap[] = {"run", "skip", NULL};
    struct manifest_schedule *s = &r->out->schedules[r->out->schedule_count];
    json_t *input = json_object_get(v, "input");
    struct schedule_expr e;
    struct buf text = BUF_INIT;
    int rc;
    if ((rc = check_members(r, v, known, "a schedule trigger")) ||
        (rc = read_str(r, v, "schedule", "", &s->expr)) ||
        (rc = read_str(r, v, "timezone", "", &s->zone)) ||
        (rc = read_word(r, v, "missed", missed, &s->missed)) ||
        (rc = read_word(r, v, "overlap", overlap, &s->overlap)))
        return rc;
    if (schedule_parse(s->expr, &e, NULL))
        return err_set(r->err, E_INVALID, "'%.*s' is no schedule expression",
                       s->expr.n > 100 ? 100 : (int)s->expr.n, s->expr.p);
    struct zone *zone = s->zone.n ? zone_load(s->zone) : NULL;
    zone_free(zone);
    if (s->zone.n && !zone)
        return err_set(r->err, E_INVALID, "there is no time zone '%.*s'",
                       s->zone.n > 80 ? 80 : (int)s->zone.n, s->zone.p);
    if (input)
        json_write(&text, input);
    s->input = text.n ? arena_dup(r->arena, buf_str(&text)) : STR("");
    buf_deinit(&text);
    s->name = arena_printf(r->arena, "%.*s-%zu", STR_FMT(r->out->name), ++r->out->schedule_count);
    return s->name.p && s->input.p ? 0 : err_set(r->err, E_LIMIT, "the manifest is too large");
}

static int read_url(struct reader *r, json_t *v)
{
    static const char *const known[] = {"url", "auth", NULL};
    struct str auth;
    int rc = check_members(r, v, known, "a url trigger");
    if (rc == 0)
        rc = read_str(r, v, "auth", "none", &auth);
    if (rc)
        return rc;
    if (!str_ieq(auth, STR("none")))
        return err_set(r->err, E_INVALID, "a url's 'auth' can only be \"none\" so far");
    r->out->url = json_is_true(json_object_get(v, "url"));
    return 0;
}

static int read_triggers(struct reader *r, json_t *list)
{
    if (!list || json_is_null(list) || (json_is_object(list) && json_object_size(list) == 0))
        return 0;
    if (!json_is_array(list) || json_array_size(list) > ITEMS_MAX)
        return err_set(r->err, E_INVALID, "'triggers' must be a list of tables");
    r->out->triggers = arena_zalloc(r->arena, json_array_size(list) * sizeof *r->out->triggers);
    r->out->schedules = arena_zalloc(r->arena, json_array_size(list) * sizeof *r->out->schedules);
    if (!r->out->triggers || !r->out->schedules)
        return err_set(r->err, E_LIMIT, "the manifest is too large");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *v = json_array_get(list, i);
        int rc;
        if (json_object_get(v, "s3"))
            rc = read_s3(r, v);
        else if (json_object_get(v, "schedule"))
            rc = read_schedule(r, v);
        else if (json_object_get(v, "url"))
            rc = read_url(r, v);
        else
            rc = err_set(r->err, E_INVALID, "trigger %zu must have 's3', 'schedule' or 'url'",
                         i + 1);
        if (rc)
            return rc;
    }
    return 0;
}
