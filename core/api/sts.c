/* sts: who am I, and credentials for a while.
 *
 * The gate has asked whether the caller may assume the role: the role's trust must let him in
 * (svc/guard), and where it names the account only, his own policies too. What is given out is not
 * stored: see svc/session. */
#include "api/iam.h"
#include "auth/arn.h"
#include "base/clock.h"

enum { POLICY_MAX = 2048, POLICY_ARNS_MAX = 10, SESSION_NAME_MAX = 64, CHAINED_MAX_S = 3600 };

void sts_get_caller_identity(struct call *c)
{
    struct buf b = BUF_INIT;
    xml_element(&b, "Arn", c->who.arn);
    xml_element(&b, "UserId", c->who.user_id);
    xml_element(&b, "Account", STR(ACCOUNT_ID));
    iam_reply(c, 0, NULL, &b);
}

void sts_get_access_key_info(struct call *c)
{
    struct str id = call_query(c, "AccessKeyId");
    struct err err = {0};
    struct buf b = BUF_INIT;
    int rc = id.n >= 16 && id.n <= 128
                 ? 0
                 : iam_invalid(&err, "AccessKeyId", id,
                               "Member must have length greater than or equal to 16");
    xml_element(&b, "Account", STR(ACCOUNT_ID));
    iam_reply(c, rc, &err, &b);
}

/* --- credentials ------------------------------------------------------------------------------
 */

/* Makes keys and token for the spec and appends <Credentials>. */
static void credentials(struct call *c, struct session_spec *spec, struct buf *b)
{
    char id[KEY_ID_SIZE], secret[KEY_SECRET_SIZE];
    struct buf token = BUF_INIT;
    access_key_make("ASIA", id, secret);
    spec->access_key = str_c(id);
    spec->secret = str_c(secret);
    session_token(c->svc->store, spec, &token);
    buf_lit(b, "<Credentials>");
    xml_element(b, "AccessKeyId", spec->access_key);
    xml_element(b, "SecretAccessKey", spec->secret);
    xml_element(b, "SessionToken", buf_str(&token));
    iam_date_element(b, "Expiration", spec->expires_ms);
    buf_lit(b, "</Credentials>");
    buf_deinit(&token);
}

/* Session policies: one document, and ARNs of managed ones. */
static int take_policies(struct call *c, struct session_spec *spec, struct err *err)
{
    struct str *arns = arena_alloc(c->arena, POLICY_ARNS_MAX * sizeof *arns), arn, document;
    int rc = 0, n = 0;
    if (!arns)
        return E_LIMIT;
    if (call_query(c, "Policy").p)
        rc = iam_document(c, "Policy", POLICY_IDENTITY, &spec->policy, err);
    if (rc == 0 && spec->policy.n > POLICY_MAX)
        rc = iam_invalid(err, "Policy", spec->policy,
                         "Member must have length less than or equal to 2048");
    for (int i = 1; rc == 0 && (arn = iam_member(c, "PolicyArns", i, "arn")).p; i++) {
        if (n == POLICY_ARNS_MAX)
            return err_set(err, E_VALIDATION,
                           "1 validation error detected: Value at 'policyArns' failed to satisfy "
                           "constraint: Member must have length less than or equal to %d",
                           POLICY_ARNS_MAX);
        struct store_txn *t = store_read(c->svc->store);
        rc = managed_document(t, arn, &document);
        store_read_end(t);
        if (rc == E_NOT_FOUND)
            rc = err_set(err, E_VALIDATION, "The policy %.*s does not exist or is not attachable.",
                         (int)(arn.n < 200 ? arn.n : 200), arn.p);
        arns[n++] = arn;
    }
    spec->policy_arns = arns;
    spec->policy_arn_count = (size_t)n;
    return rc;
}

/* What is not done here is refused: whoever asks for it counts on it. */
static int refuse_rest(struct call *c, struct err *err)
{
    if (call_query(c, "SerialNumber").p || call_query(c, "TokenCode").p)
        return err_set(err, E_DENIED,
                       "MultiFactorAuthentication failed with invalid MFA one time pass code.");
    if (call_query(c, "Tags.member.1.Key").p || call_query(c, "TransitiveTagKeys.member.1").p)
        return err_set(err, E_INVALID, "Session tags are not supported.");
    if (call_query(c, "SourceIdentity").p)
        return err_set(err, E_INVALID, "A source identity is not supported.");
    return 0;
}

static int check_duration(struct call *c, uint64_t seconds, uint64_t max, struct err *err)
{
    if (c->who.kind == IDENTITY_ROLE && seconds > CHAINED_MAX_S)
        return err_set(err, E_VALIDATION,
                       "The requested DurationSeconds exceeds the 1 hour session limit for roles "
                       "assumed by role chaining.");
    if (seconds > max)
        return err_set(err, E_VALIDATION,
                       "The requested DurationSeconds exceeds the MaxSessionDuration set for this "
                       "role.");
    return 0;
}

static int read_role(struct call *c, struct str arn, struct session_spec *spec, uint64_t *max,
                     struct err *err)
{
    struct str rec;
    struct store_txn *t = store_read(c->svc->store);
    int rc = role_get(t, arn, &rec);
    if (rc == 0) {
        *max = rec_u64(rec, ENTITY_MAX_SESSION_S, 3600);
        spec->id = arena_dup(c->arena, rec_str(rec, ENTITY_ID));
        spec->name = role_name_of(arn);
        rc = spec->id.p ? 0 : E_LIMIT;
    } else if (rc == E_NOT_FOUND) { /* root, whom no missing trust keeps out */
        rc = policy_denied(err, c->who.arn, STR("sts:AssumeRole"), arn, POLICY_NONE,
                           POLICY_BY_RESOURCE);
    }
    store_read_end(t);
    return rc;
}

void sts_assume_role(struct call *c)
{
    struct session_spec spec = {.of = SESSION_OF_ROLE, .issued_ms = clock_wall_ms()};
    struct err err = {0};
    struct buf b = BUF_INIT;
    struct str arn;
    uint64_t seconds = 3600, max = 3600;
    int rc = iam_arn(c, "RoleArn", &arn, &err);
    if (rc == 0)
        rc = iam_name(c, "RoleSessionName", SESSION_NAME_MAX, &spec.session_name, &err);
    if (rc == 0 && spec.session_name.n < 2)
        rc = iam_invalid(&err, "RoleSessionName", spec.session_name,
                         "Member must have length greater than or equal to 2");
    if (rc == 0)
        rc = iam_number(c, "DurationSeconds", 900, 43200, &seconds, &err);
    if (rc == 0)
        rc = refuse_rest(c, &err);
    if (rc == 0)
        rc = take_policies(c, &spec, &err);
    if (rc == 0)
        rc = read_role(c, arn, &spec, &max, &err);
    if (rc == 0)
        rc = check_duration(c, seconds, max, &err);
    if (rc == 0) {
        spec.expires_ms = spec.issued_ms + (int64_t)seconds * 1000;
        credentials(c, &spec, &b);
        buf_printf(&b,
                   "<AssumedRoleUser><AssumedRoleId>%.*s:%.*s</AssumedRoleId><Arn>arn:aws:sts::"
                   "" ACCOUNT_ID ":assumed-role/%.*s/%.*s</Arn></AssumedRoleUser>",
                   STR_FMT(spec.id), STR_FMT(spec.session_name), STR_FMT(spec.name),
                   STR_FMT(spec.session_name));
        if (spec.policy.n)
            iam_number_element(&b, "PackedPolicySize", 1 + spec.policy.n * 99 / POLICY_MAX);
    }
    iam_reply(c, rc, &err, &b);
}

void sts_get_session_token(struct call *c)
{
    struct session_spec spec = {.issued_ms = clock_wall_ms(), .name = c->who.name, .id = c->who.id};
    struct err err = {0};
    struct buf b = BUF_INIT;
    uint64_t seconds = c->who.root ? 3600 : 43200;
    int rc = iam_number(c, "DurationSeconds", 900, 129600, &seconds, &err);
    if (rc == 0)
        rc = refuse_rest(c, &err);
    if (rc == 0 && c->who.token.n)
        rc = err_set(&err, E_DENIED, "Cannot call GetSessionToken with session credentials");
    if (rc == 0) {
        if (c->who.root && seconds > 3600)
            seconds = 3600;
        spec.of = c->who.root ? SESSION_OF_ROOT : SESSION_OF_USER;
        spec.expires_ms = spec.issued_ms + (int64_t)seconds * 1000;
        credentials(c, &spec, &b);
    }
    iam_reply(c, rc, &err, &b);
}
