/* logs_members: members that several operations of CloudWatch Logs have. */
#include "api/logs.h"
#include "auth/arn.h"
#include "base/json.h"

static const char MIN_1[] = "Member must have length greater than or equal to 1";
static const char MAX_512[] = "Member must have length less than or equal to 512";

/* A member's value as AWS shows it, cut to what is readable. */
static void show(const json_t *v, char *out, size_t size)
{
    enum { SHOWN = 200 };
    struct buf text = BUF_INIT;
    if (json_is_string(v))
        buf_add(&text, json_bytes(v));
    else if (v)
        json_write(&text, v);
    size_t n = text.n < SHOWN ? text.n : SHOWN;
    while (n && n < text.n && ((unsigned char)text.p[n] & 0xc0) == 0x80)
        n--; /* not within a character */
    snprintf(out, size, v ? " '%.*s'" : "%.*s", (int)n, text.p ? text.p : "");
    buf_deinit(&text);
}

int logs_api_invalid(const struct call *c, struct err *err, const char *member,
                     const char *constraint)
{
    char value[256];
    const json_t *v = c ? json_object_get(c->json, member) : NULL;
    if (json_is_null(v)) /* as if it were not there */
        v = NULL;
    show(v, value, sizeof value);
    if (!v && strstr(constraint, "not be null"))
        snprintf(value, sizeof value, " null");
    return err_set(err, E_INVALID,
                   "1 validation error detected: Value%s at '%s' failed to satisfy constraint: %s",
                   value, member, constraint);
}

int logs_api_bad_token(struct err *err)
{
    return err_set(err, E_INVALID, "The specified nextToken is invalid.");
}

/* The name inside an ARN: "arn:aws:logs:REGION:ACCOUNT:log-group:NAME[:*]". */
static int from_arn(const struct call *c, const struct arn *arn, struct str *out, struct err *err)
{
    struct str name = arn->resource;
    if (!str_is(arn->service, "logs") || !str_starts(name, STR("log-group:")))
        return err_set(err, E_INVALID, "The specified resource is no log group.");
    if (!str_is(arn->partition, "aws") || !str_is(arn->region, c->svc->region) ||
        !str_is(arn->account, ACCOUNT_ID))
        return err_set(err, E_NOT_FOUND, "The specified log group does not exist.");
    name = str_from(name, 10);
    if (str_ends(name, STR(":*")))
        name.n -= 2;
    *out = name;
    return 0;
}

int logs_api_take_group(struct call *c, struct str *out, struct err *err)
{
    static const char *const members[] = {"logGroupName", "logGroupIdentifier", "resourceArn"};
    struct arn arn;
    size_t which = 3;
    int rc = 0;
    *out = (struct str){NULL, 0};
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        struct str v = {NULL, 0};
        rc = json_member_str(c->json, members[i], &v, err);
        if (rc == 0 && v.p && out->p)
            return err_set(err, E_INVALID,
                           "LogGroup name and LogGroup identifier cannot be given together.");
        if (v.p) {
            *out = v;
            which = i;
        }
    }
    if (rc == 0 && !out->p)
        return logs_api_invalid(c, err, "logGroupName", "Member must not be null");
    if (rc == 0 && which > 0 && arn_parse(*out, &arn))
        rc = from_arn(c, &arn, out, err);
    if (rc == 0 && (out->n == 0 || out->n > 512))
        return logs_api_invalid(c, err, members[which], out->n ? MAX_512 : MIN_1);
    return rc;
}

int logs_api_take_stream(struct call *c, struct str *out, struct err *err)
{
    *out = (struct str){NULL, 0};
    int rc = json_member_str(c->json, "logStreamName", out, err);
    if (rc)
        return rc;
    if (!out->p)
        return logs_api_invalid(c, err, "logStreamName", "Member must not be null");
    if (out->n == 0 || out->n > 512)
        return logs_api_invalid(c, err, "logStreamName", out->n ? MAX_512 : MIN_1);
    if (str_index(*out, ':', 0) >= 0 || str_index(*out, '*', 0) >= 0)
        return logs_api_invalid(c, err, "logStreamName",
                                "Member must satisfy regular expression pattern: [^:*]*");
    return 0;
}

int logs_api_take_limit(struct call *c, int64_t max, size_t *out, struct err *err)
{
    int64_t limit = max;
    int rc = json_member_int(c->json, "limit", &limit, err);
    if (rc == 0 && (limit < 1 || limit > max)) {
        char text[80];
        snprintf(text, sizeof text, "Member must have value %s than or equal to %lld",
                 limit < 1 ? "greater" : "less", (long long)(limit < 1 ? 1 : max));
        return logs_api_invalid(c, err, "limit", text);
    }
    *out = (size_t)limit;
    return rc;
}

int logs_api_take_prefix(struct call *c, const char *member, struct str *out, struct err *err)
{
    int rc = json_member_str(c->json, member, out, err);
    if (!out->p)
        *out = STR("");
    return rc;
}

void logs_api_changed(void *ctx, int rc, const struct err *err)
{
    struct call *c = ctx;
    if (rc)
        call_error(c, rc, err);
    else
        call_bytes(c, 200, "application/x-amz-json-1.1", STR(""));
}
