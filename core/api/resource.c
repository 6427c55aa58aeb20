/* resource: from a row's kind of resource and the request's parameters to the ARN that policies are
 * asked about.
 *
 * A name that is malformed is put into the ARN as it came: the handler refuses it later with the
 * right error, and until then it can only match less. */
#include "api/gate_call.h"
#include "auth/arn.h"
#include "base/json.h"

bool resource_in_body(const struct op *op)
{
    return op->resource == RES_FUNCTION_JSON || op->resource == RES_ROLE ||
           op->resource == RES_LOG_GROUP;
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
    return arena_printf(c->arena, "arn:aws:lambda:%s:" ACCOUNT_ID ":function:%.*s%s%.*s",
                        c->svc->region, STR_FMT(name), qualifier.n ? ":" : "", STR_FMT(qualifier));
}

static struct str log_group_arn(struct call *c)
{
    struct str group = json_bytes(json_object_get(c->json, "logGroupName"));
    struct str stream = json_bytes(json_object_get(c->json, "logStreamName"));
    if (!group.p)
        group = json_bytes(json_object_get(c->json, "logGroupIdentifier"));
    if (str_starts(group, STR("arn:")))
        return group;
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

int resource_arn(struct call *c, struct str *out)
{
    struct arena *a = c->arena;
    struct str *p = c->param;
    *out = (struct str){NULL, 0};
    switch (c->op->resource) {
    case RES_ANY:
        *out = STR("*");
        break;
    case RES_FUNCTION:
        *out = function_arn(c, p[0]);
        break;
    case RES_FUNCTION_JSON:
        *out = function_arn(c, json_bytes(json_object_get(c->json, "FunctionName")));
        break;
    case RES_BUCKET:
        *out = arena_printf(a, "arn:aws:s3:::%.*s", STR_FMT(p[0]));
        break;
    case RES_OBJECT:
        *out = arena_printf(a, "arn:aws:s3:::%.*s/%.*s", STR_FMT(p[0]), STR_FMT(p[1]));
        break;
    case RES_ROLE:
        *out = arena_printf(a, "arn:aws:iam::" ACCOUNT_ID ":role/%.*s",
                            STR_FMT(call_query(c, "RoleName")));
        break;
    case RES_LOG_GROUP:
        *out = log_group_arn(c);
        break;
    case RES_PERILUNE: {
        struct str kind = perilune_kind(c->req->path);
        *out = arena_printf(a, "arn:aws:perilune:%s:" ACCOUNT_ID ":%.*s%s%.*s", c->svc->region,
                            STR_FMT(kind), p[0].n ? "/" : "", STR_FMT(p[0]));
        break;
    }
    }
    return out->p ? 0 : E_LIMIT;
}
