/* resource: from a row's kind of resource and the request's parameters to the ARN that policies are
 * asked about.
 *
 * A name that is malformed is put into the ARN as it came: the handler refuses it later with the
 * right error, and until then it can only match less. */
#include "api/gate_call.h"
#include "api/lambda.h"
#include "auth/arn.h"
#include "base/json.h"

bool resource_in_body(const struct op *op)
{
    return op->resource == RES_FUNCTION_JSON || op->resource == RES_LOG_GROUP ||
           op->resource == RES_RULE || op->resource == RES_RULE_TARGETS ||
           op->resource == RES_RULE_ARN || op->protocol == PROTO_QUERY;
}

struct str lambda_arn(struct call *c, struct str name, struct str qualifier)
{
    const struct str parts[] = {STR("arn:aws:lambda:"),           str_c(c->svc->region),
                                STR(":" ACCOUNT_ID ":function:"), name,
                                qualifier.n ? STR(":") : STR(""), qualifier};
    return arena_join(c->arena, parts, sizeof parts / sizeof *parts);
}

static struct str function_arn(struct call *c, struct str given)
{
    struct str name, qualifier, region = str_c(c->svc->region);
    struct str asked = call_query(c, "Qualifier");
    int rc = arn_function(given, region, &name, &qualifier);
    if (rc && str_starts(given, STR("arn:")))
        return given;
    if (rc)
        name = given;
    if (!qualifier.n)
        qualifier = asked;
    /* what touches all of it is not allowed by a statement on one alias, nor hidden from a denial */
    return lambda_arn(c, name, c->op->resource == RES_WHOLE_FUNCTION ? STR("") : qualifier);
}

/* prefix, then bytes: a name may hold any, NUL too. */
static struct str joined(struct arena *a, const char *prefix, struct str name, const char *between,
                         struct str more)
{
    const struct str parts[] = {str_c(prefix), name, str_c(between), more};
    return arena_join(a, parts, 4);
}

struct str call_s3_arn(struct call *c, struct str bucket, struct str key)
{
    struct str arn = joined(c->arena, "arn:aws:s3:::", bucket, key.p ? "/" : "", key);
    return arn.p ? arn : (struct str){NULL, 0};
}

/* A user or role that is there has its own path; one that is to be made has the form's. */
static struct str entity_of(struct call *c, const struct entity_kind *kind, struct str name)
{
    struct principals *all =
        kind == &entity_user ? identity_users(c->svc->identities) : role_principals(c->svc->roles);
    const struct principal *p =
        name.n && name.n <= ENTITY_NAME_MAX ? principal_find(all, name) : NULL;
    struct str path = call_query(c, "Path");
    char prefix[64];
    if (p && p->exists)
        return arena_dup(c->arena, p->arn);
    snprintf(prefix, sizeof prefix, "arn:aws:iam::" ACCOUNT_ID ":%s", kind->word);
    return joined(c->arena, prefix, path.n && path.p[0] == '/' ? path : STR("/"), "", name);
}

static struct str user_of(struct call *c)
{
    struct str name = call_query(c, "UserName");
    bool list = strcmp(c->op->name, "ListUsers") == 0;
    if (!name.p && !list && c->who.kind != IDENTITY_ROLE)
        return c->who.principal_arn;
    return entity_of(c, &entity_user, name);
}

static struct str key_owner(struct call *c)
{
    struct str rec, owner;
    struct store_txn *t = store_read(c->svc->store);
    int rc = access_key_get(t, call_query(c, "AccessKeyId"), STR(""), &rec, NULL);
    owner = entity_of(c, &entity_user, rc ? STR("") : rec_str(rec, KEY_USER));
    store_read_end(t);
    return owner;
}

static struct str policy_of(struct call *c)
{
    struct str arn = call_query(c, "PolicyArn"), path = call_query(c, "Path");
    if (arn.p)
        return arn;
    return joined(c->arena, "arn:aws:iam::" ACCOUNT_ID ":policy",
                  path.n && path.p[0] == '/' ? path : STR("/"), "", call_query(c, "PolicyName"));
}

/* A field that holds the ARN itself. */
static struct str arn_in(struct call *c, const char *field)
{
    struct str arn = call_query(c, field);
    return arn.n ? arn : STR("*");
}

static struct str log_group_arn(struct call *c)
{
    static const char *const members[] = {"logGroupName", "logGroupIdentifier", "resourceArn"};
    struct str stream = json_bytes(json_object_get(c->json, "logStreamName")), group = STR("");
    struct arn arn;
    for (size_t i = 0; i < 3 && !group.n; i++)
        group = json_bytes(json_object_get(c->json, members[i]));
    if (arn_parse(group, &arn)) { /* the handler refuses those of other places */
        group = arn.resource;
        if (str_starts(group, STR("log-group:")))
            group = str_from(group, 10);
        if (str_ends(group, STR(":*")))
            group.n -= 2;
    }
    return arena_printf(c->arena, "arn:aws:logs:%s:" ACCOUNT_ID ":log-group:%.*s:log-stream:%.*s",
                        c->svc->region, STR_FMT(group), STR_FMT(stream));
}

/* "/perilune/v1/KIND/…" -> KIND; functions know a secret as secret/NAME. */
static struct str perilune_kind(struct str path)
{
    struct str kind = {NULL, 0};
    for (int i = 0; i < 4; i++)
        kind = str_cut(&path, '/');
    return str_is(kind, "secrets") ? STR("secret") : kind;
}

/* However its function is named in the path: policies know it by its name. */
static struct str perilune_arn(struct call *c)
{
    struct str kind = perilune_kind(c->req->path), *p = c->param, name, qualifier;
    struct str first = p[0], second = str_is(kind, "schedules") ? p[1] : STR("");
    if (str_is(kind, "functions") &&
        arn_function(first, str_c(c->svc->region), &name, &qualifier) == 0)
        first = name;
    const struct str parts[] = {STR("arn:aws:perilune:"),      str_c(c->svc->region),
                                STR(":" ACCOUNT_ID ":"),       kind,
                                first.n ? STR("/") : STR(""),  first,
                                second.n ? STR("/") : STR(""), second};
    return arena_join(c->arena, parts, sizeof parts / sizeof *parts);
}

static struct str rule_arn(struct call *c, const char *member)
{
    return arena_printf(c->arena, "arn:aws:events:%s:" ACCOUNT_ID ":rule/%.*s", c->svc->region,
                        STR_FMT(json_bytes(json_object_get(c->json, member))));
}

/* What concerns no single thing. Policies name it as AWS's documents do. */
static struct str all_of(struct call *c)
{
    if (c->op->protocol == PROTO_S3)
        return STR("arn:aws:s3:::*");
    if (str_is(str_c(c->op->service), "logs"))
        return arena_printf(
            c->arena, "arn:aws:logs:%s:" ACCOUNT_ID ":log-group::log-stream:", c->svc->region);
    return STR("*");
}

int resource_arn(struct call *c, struct str *out)
{
    struct arena *a = c->arena;
    struct str *p = c->param;
    *out = (struct str){NULL, 0};
    switch (c->op->resource) {
    case RES_ANY:
        *out = all_of(c);
        break;
    case RES_FUNCTION:
    case RES_WHOLE_FUNCTION:
        *out = function_arn(c, p[0]);
        break;
    case RES_FUNCTION_JSON:
        *out = function_arn(c, json_bytes(json_object_get(c->json, "FunctionName")));
        break;
    case RES_BUCKET:
        *out = call_s3_arn(c, p[0], (struct str){NULL, 0});
        break;
    case RES_OBJECT:
        *out = call_s3_arn(c, p[0], p[1]);
        break;
    case RES_ROLE:
        *out = entity_of(c, &entity_role, call_query(c, "RoleName"));
        break;
    case RES_USER:
        *out = user_of(c);
        break;
    case RES_KEY_OWNER:
        *out = key_owner(c);
        break;
    case RES_POLICY:
        *out = policy_of(c);
        break;
    case RES_POLICY_SOURCE:
        *out = arn_in(c, "PolicySourceArn");
        break;
    case RES_ROLE_ARN:
        *out = arn_in(c, "RoleArn");
        break;
    case RES_LOG_GROUP:
        *out = log_group_arn(c);
        break;
    case RES_RULE:
        *out = rule_arn(c, "Name");
        break;
    case RES_RULE_TARGETS:
        *out = rule_arn(c, "Rule");
        break;
    case RES_RULE_ARN:
        *out = arena_dup(a, json_bytes(json_object_get(c->json, "ResourceARN")));
        break;
    case RES_SCHEDULE:
        *out = arena_printf(a, "arn:aws:scheduler:%s:" ACCOUNT_ID ":schedule/default/%.*s",
                            c->svc->region, STR_FMT(p[0]));
        break;
    case RES_SCHEDULE_GROUP:
        *out = arena_printf(a, "arn:aws:scheduler:%s:" ACCOUNT_ID ":schedule-group/%.*s",
                            c->svc->region, STR_FMT(p[0]));
        break;
    case RES_PERILUNE:
        *out = perilune_arn(c);
        break;
    }
    return out->p ? 0 : E_LIMIT;
}
