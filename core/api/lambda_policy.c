/* lambda_policy: who else may call a function: AddPermission, GetPolicy, RemovePermission.
 *
 * A permission becomes one statement of the function's resource policy, written the way AWS writes
 * it, so that what GetPolicy shows can be read by the tools that read AWS's. */
#include "api/lambda.h"
#include "auth/arn.h"
#include "base/json.h"
#include "base/rec.h"

struct permission {
    struct lambda_job j;
    struct str qualifier, sid, statement, revision;
};

/* --- the statement -----------------------------------------------------------------------------
 */

static bool word(struct str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool alnum =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
        if (!alnum && (ch == 0 || !strchr(more, ch)))
            return false;
    }
    return s.n > 0;
}

/* "*", {"Service": …} or {"AWS": …}; NULL when it is none of them. */
static json_t *principal(struct call *c, struct str p)
{
    struct arn arn;
    bool account = p.n == 12 && word(p, "") && p.p[0] <= '9';
    for (size_t i = 0; account && i < p.n; i++)
        account = p.p[i] >= '0' && p.p[i] <= '9';
    if (str_is(p, "*"))
        return json_string("*");
    if (str_ends(p, STR(".amazonaws.com")) && word(p, ".-"))
        return json_pack("{s:o}", "Service", json_text(p));
    if (account)
        return json_pack("{s:o}", "AWS",
                         json_text(arena_printf(c->arena, "arn:aws:iam::%.*s:root", STR_FMT(p))));
    if (arn_parse(p, &arn) && (str_is(arn.service, "iam") || str_is(arn.service, "sts")))
        return json_pack("{s:o}", "AWS", json_text(p));
    return NULL;
}

static void condition(json_t **conditions, const char *operator, const char * key, struct str value)
{
    if (!value.n)
        return;
    if (!*conditions)
        *conditions = json_object();
    json_t *keys = json_object_get(*conditions, operator);
    if (!keys) {
        keys = json_object();
        json_object_set_new(*conditions, operator, keys);
    }
    json_object_set_new(keys, key, json_text(value));
}

/* The request's statement as compact JSON in the arena. */
static int build(struct call *c, struct permission *p, struct str arn, struct err *err)
{
    struct str none = {NULL, 0}, action = none, who = none, source_arn = none, account = none,
               token = none, org = none, url_auth = none;
    json_t *conditions = NULL;
    bool via_url = false;
    int rc;
    if ((rc = json_member_str(c->json, "StatementId", &p->sid, err)) ||
        (rc = json_member_str(c->json, "Action", &action, err)) ||
        (rc = json_member_str(c->json, "Principal", &who, err)) ||
        (rc = json_member_str(c->json, "SourceArn", &source_arn, err)) ||
        (rc = json_member_str(c->json, "SourceAccount", &account, err)) ||
        (rc = json_member_str(c->json, "EventSourceToken", &token, err)) ||
        (rc = json_member_str(c->json, "PrincipalOrgID", &org, err)) ||
        (rc = json_member_str(c->json, "FunctionUrlAuthType", &url_auth, err)) ||
        (rc = json_member_bool(c->json, "InvokedViaFunctionUrl", &via_url, err)) ||
        (rc = json_member_str(c->json, "RevisionId", &p->revision, err)))
        return rc;
    json_t *principal_json = principal(c, who);
    if (!principal_json)
        return err_set(err, E_INVALID,
                       "The provided principal was invalid. Please check the principal and try "
                       "again.");
    condition(&conditions, "StringEquals", "AWS:SourceAccount", account);
    condition(&conditions, "StringEquals", "lambda:EventSourceToken", token);
    condition(&conditions, "StringEquals", "aws:PrincipalOrgID", org);
    condition(&conditions, "StringEquals", "lambda:FunctionUrlAuthType", url_auth);
    condition(&conditions, "Bool", "lambda:InvokedViaFunctionUrl", via_url ? STR("true") : STR(""));
    condition(&conditions, "ArnLike", "AWS:SourceArn", source_arn);
    json_t *s = json_object();
    json_object_set_new(s, "Sid", json_text(p->sid));
    json_object_set_new(s, "Effect", json_string("Allow"));
    json_object_set_new(s, "Principal", principal_json);
    json_object_set_new(s, "Action", json_text(action));
    json_object_set_new(s, "Resource", json_text(arn));
    if (conditions)
        json_object_set_new(s, "Condition", conditions);
    struct buf text = BUF_INIT;
    json_write(&text, s);
    json_decref(s);
    p->statement = arena_dup(c->arena, buf_str(&text));
    buf_deinit(&text);
    return p->statement.p ? 0 : E_LIMIT;
}

/* --- the handlers ------------------------------------------------------------------------------
 */

/* What the policy belongs to is there, and as the caller has seen it. */
static int check_revision(struct permission *p, struct store_txn *t)
{
    struct lambda_job *j = &p->j;
    struct str rec;
    int rc = function_row(t, j->c->svc->region, j->name, p->qualifier, &rec, &j->err);
    return rc ? rc : function_check_revision(p->revision, rec, &j->err);
}

static int apply_add(struct job *job, struct store_txn *t)
{
    struct permission *p = (struct permission *)job;
    int rc = check_revision(p, t);
    return rc ? rc
              : function_policy_add(t, p->j.name, p->qualifier, p->sid, p->statement, &p->j.err);
}

static void reply_statement(struct lambda_job *j)
{
    struct permission *p = (struct permission *)j;
    call_json(j->c, j->c->op->status, json_pack("{s:o}", "Statement", json_text(p->statement)));
}

void lambda_add_permission(struct call *c)
{
    struct permission *p = arena_zalloc(c->arena, sizeof *p);
    struct str name;
    struct err err = {0};
    int rc = p ? lambda_target(c, &name, &p->qualifier, &err) : E_LIMIT;
    if (rc == 0 && str_is(p->qualifier, "$LATEST"))
        rc = err_set(&err, E_INVALID, "We currently do not support adding policies for $LATEST.");
    if (rc == 0)
        rc = build(c, p, lambda_arn(c, name, p->qualifier), &err);
    if (rc)
        call_error(c, rc, &err);
    else
        lambda_submit(&p->j, c, name, apply_add, reply_statement);
}

void lambda_get_policy(struct call *c)
{
    struct str name, qualifier, rec;
    struct err err = {0};
    json_t *o = NULL;
    int rc = lambda_target(c, &name, &qualifier, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = function_row(t, c->svc->region, name, qualifier, &rec, &err);
        struct str policy = rc ? (struct str){NULL, 0} : rec_str(rec, FN_POLICY_JSON);
        if (rc == 0 && !policy.n)
            rc = err_set(&err, E_NOT_FOUND, "The resource you requested does not exist.");
        if (rc == 0)
            o = json_pack("{s:o,s:o}", "Policy", json_text(policy), "RevisionId",
                          json_text(rec_str(rec, FN_REVISION)));
        store_read_end(t);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, c->op->status, o);
}

static int apply_remove(struct job *job, struct store_txn *t)
{
    struct permission *p = (struct permission *)job;
    int rc = check_revision(p, t);
    return rc ? rc : function_policy_remove(t, p->j.name, p->qualifier, p->sid, &p->j.err);
}

void lambda_remove_permission(struct call *c)
{
    struct permission *p = arena_zalloc(c->arena, sizeof *p);
    struct str name;
    struct err err = {0};
    int rc = p ? lambda_target(c, &name, &p->qualifier, &err) : E_LIMIT;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    p->sid = c->param[1];
    p->revision = call_query(c, "RevisionId");
    p->j.job.frees_space = true;
    lambda_submit(&p->j, c, name, apply_remove, lambda_reply_empty);
}
