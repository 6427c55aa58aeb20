/* test_iam: IAM's and STS's operations through the gate on a real store. The bodies are what the
 * aws CLI sends; the answers are looked at as XML text, element by element. */
#include "auth/arn.h"
#include "base/codec.h"
#include "folder_help.h"
#include "gate_help.h"

const struct op gate_ops[] = {
#define QUERY(service_, name_, action_, resource_, handler_)                                       \
    {service_,  name_,       PROTO_QUERY, "POST",          "/",     "", 200,                       \
     BODY_FORM, 1024 * 1024, action_,     RES_##resource_, handler_},
#include "api/ops_iam.def"
};
const size_t gate_op_count = sizeof gate_ops / sizeof *gate_ops;

/* Functions and buckets have no part in this. */
void guard_find(const struct guards *g, struct str action, struct str resource, bool stranger,
                struct guard *out)
{
    (void)g, (void)stranger;
    *out = (struct guard){.own_ = NULL};
    if (!str_is(action, "sts:AssumeRole"))
        return;
    out->policy.policy = out->own_ = role_trust(svc.store, resource);
    out->policy.must = true;
}

void guard_end(struct guard *out)
{
    policy_free(out->own_);
}

#define TRUST                                                                                      \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":" \
    "\"lambda.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}"
#define READS "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"s3:Get*\",\"Resource\":\"*\"}]}"

static void iam(const char *form)
{
    char body[20000];
    snprintf(body, sizeof body, "%s&Version=2010-05-08", form);
    ASK("iam", "POST", "/", .body = body);
}

/* form plus one encoded field. */
static void iam_with(const char *form, const char *field, const char *value)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s&%s=", form, field);
    uri_encode(&b, str_c(value), false);
    buf_addc(&b, 0);
    iam(b.p);
    buf_deinit(&b);
}

static void create(const char *form)
{
    iam_with(form, "AssumeRolePolicyDocument", TRUST);
}

static void assert_refused(int status, const char *code, const char *text)
{
    char part[400];
    if (got.status != status)
        fail_msg("status %d, want %d: %.*s", got.status, status, STR_FMT(buf_str(&got.body)));
    snprintf(part, sizeof part, "<Code>%s</Code><Message>%s</Message>", code, text);
    assert_body(part);
}

static void assert_ok(const char *part)
{
    if (got.status != 200)
        fail_msg("status %d: %.*s", got.status, STR_FMT(buf_str(&got.body)));
    assert_body(part);
}

static bool allowed(const char *action)
{
    return role_allows(svc.roles, STR("arn:aws:iam::" ACCOUNT_ID ":role/r"), str_c(action),
                       STR("arn:aws:s3:::b/k"), NULL) == 0;
}

static void roles(void **state)
{
    (void)state;
    create("Action=CreateRole&RoleName=r&Description=a+%3Cb%3E");
    assert_ok("<CreateRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">"
              "<CreateRoleResult><Role><Path>/</Path><RoleName>r</RoleName><RoleId>AROA");
    assert_body("<Arn>arn:aws:iam::" ACCOUNT_ID ":role/r</Arn><CreateDate>20");
    assert_body("<AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22");
    assert_body("<Description>a &lt;b&gt;</Description>"
                "<MaxSessionDuration>3600</MaxSessionDuration></Role></CreateRoleResult>");
    iam("Action=GetRole&RoleName=r");
    assert_ok("<GetRoleResult><Role><Path>/</Path><RoleName>r</RoleName>");
    create("Action=CreateRole&RoleName=r");
    assert_refused(409, "EntityAlreadyExists", "Role with name r already exists.");
    create("Action=CreateRole&RoleName=p&Path=%2Fteam%2F&MaxSessionDuration=7200");
    assert_ok("<Arn>arn:aws:iam::" ACCOUNT_ID ":role/team/p</Arn>");
    assert_body("<MaxSessionDuration>7200</MaxSessionDuration>");
    iam("Action=ListRoles");
    assert_ok("<IsTruncated>false</IsTruncated>");
    assert_body("<RoleName>r</RoleName>");
    assert_body("<RoleName>p</RoleName>");
    iam("Action=ListRoles&MaxItems=1");
    assert_ok("<RoleName>p</RoleName>");
    assert_body("<IsTruncated>true</IsTruncated><Marker>p</Marker>");
    assert_null(strstr(got.body.p, "<RoleName>r</RoleName>"));
    iam("Action=ListRoles&MaxItems=1&Marker=p");
    assert_ok("<RoleName>r</RoleName>");
    assert_body("<IsTruncated>false</IsTruncated>");
    iam("Action=ListRoles&PathPrefix=%2Fteam%2F");
    assert_ok("<RoleName>p</RoleName>");
    assert_null(strstr(got.body.p, "<RoleName>r</RoleName>"));
    iam("Action=DeleteRole&RoleName=p");
    assert_ok("<DeleteRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">"
              "<ResponseMetadata><RequestId>");
    iam("Action=DeleteRole&RoleName=p");
    assert_refused(404, "NoSuchEntity", "The role with name p cannot be found.");
    iam("Action=GetRole&RoleName=p");
    assert_refused(404, "NoSuchEntity", "The role with name p cannot be found.");
}

static void policies(void **state)
{
    (void)state;
    create("Action=CreateRole&RoleName=r");
    assert_false(allowed("s3:GetObject"));
    iam_with("Action=PutRolePolicy&RoleName=r&PolicyName=reads", "PolicyDocument", READS);
    assert_ok("<PutRolePolicyResponse");
    assert_true(allowed("s3:GetObject")); /* at once */
    assert_false(allowed("s3:PutObject"));
    iam("Action=GetRolePolicy&RoleName=r&PolicyName=reads");
    assert_ok("<GetRolePolicyResult><RoleName>r</RoleName><PolicyName>reads</PolicyName>"
              "<PolicyDocument>%7B%22Statement%22%3A%5B");
    iam("Action=ListRolePolicies&RoleName=r");
    assert_ok("<PolicyNames><member>reads</member></PolicyNames><IsTruncated>false</IsTruncated>");
    iam("Action=DeleteRole&RoleName=r");
    assert_refused(409, "DeleteConflict", "Cannot delete entity, must delete policies first.");
    iam("Action=DeleteRolePolicy&RoleName=r&PolicyName=reads");
    assert_ok("<DeleteRolePolicyResponse");
    assert_false(allowed("s3:GetObject"));
    iam("Action=DeleteRolePolicy&RoleName=r&PolicyName=reads");
    assert_refused(404, "NoSuchEntity", "The role policy with name reads cannot be found.");
    iam("Action=GetRolePolicy&RoleName=r&PolicyName=reads");
    assert_refused(404, "NoSuchEntity", "The role policy with name reads cannot be found.");
    iam_with("Action=PutRolePolicy&RoleName=no&PolicyName=x", "PolicyDocument", READS);
    assert_refused(404, "NoSuchEntity", "The role with name no cannot be found.");
    iam("Action=DeleteRolePolicy&RoleName=no&PolicyName=x");
    assert_refused(404, "NoSuchEntity", "The role with name no cannot be found.");
    iam("Action=ListRolePolicies&RoleName=no");
    assert_refused(404, "NoSuchEntity", "The role with name no cannot be found.");
    iam("Action=DeleteRole&RoleName=r");
    assert_ok("<DeleteRoleResponse");
}

#define NULL_AT(member)                                                                            \
    "1 validation error detected: Value null at &#39;" member                                      \
    "&#39; failed to satisfy constraint: Member must not be null"

static void refusals(void **state)
{
    (void)state;
    char form[12000], name[200];
    create("Action=CreateRole");
    assert_refused(400, "ValidationError", NULL_AT("roleName"));
    iam("Action=CreateRole&RoleName=x");
    assert_refused(400, "ValidationError", NULL_AT("assumeRolePolicyDocument"));
    iam("Action=PutRolePolicy&RoleName=x");
    assert_refused(400, "ValidationError", NULL_AT("policyName"));
    iam("Action=PutRolePolicy&RoleName=x&PolicyName=y");
    assert_refused(400, "ValidationError", NULL_AT("policyDocument"));
    static const char *const bad[] = {"RoleName=a+b",
                                      "RoleName=",
                                      "RoleName=a%2Fb",
                                      "RoleName=%00",
                                      "RoleName=x&Path=a",
                                      "RoleName=x&Path=%2Fa",
                                      "RoleName=x&Path=%2F+%2F",
                                      "RoleName=x&Path=",
                                      "RoleName=x&MaxSessionDuration=60",
                                      "RoleName=x&MaxSessionDuration=-1",
                                      "RoleName=x&MaxSessionDuration=1e4",
                                      "RoleName=x&PermissionsBoundary=arn",
                                      "RoleName=x&Tags.member.1.Key=k"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(form, sizeof form, "Action=CreateRole&%s", bad[i]);
        create(form);
        if (got.status != 400)
            fail_msg("%s: %d", bad[i], got.status);
        assert_body("<Code>ValidationError</Code>");
    }
    memset(name, 'n', sizeof name);
    snprintf(form, sizeof form, "Action=CreateRole&RoleName=%.65s", name);
    create(form);
    assert_body("length less than or equal to 64");
    iam_with("Action=CreateRole&RoleName=x", "AssumeRolePolicyDocument", READS);
    assert_refused(400, "MalformedPolicyDocument", "Missing required field Principal");
    iam_with("Action=CreateRole&RoleName=x", "AssumeRolePolicyDocument", "{");
    assert_refused(400, "MalformedPolicyDocument", "This policy contains invalid Json");
    iam_with("Action=PutRolePolicy&RoleName=x&PolicyName=y", "PolicyDocument", TRUST);
    assert_refused(400, "MalformedPolicyDocument",
                   "Policy document should not specify a principal.");
    snprintf(form, sizeof form, "%-3000s", TRUST);
    iam_with("Action=CreateRole&RoleName=x", "AssumeRolePolicyDocument", form);
    assert_refused(409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048");
    iam("Action=ListRoles&MaxItems=0");
    assert_body("<Code>ValidationError</Code>");
    iam("Action=ListRoles&Marker=a+b");
    assert_body("<Code>ValidationError</Code>");
    iam("Action=ListRoles");
    assert_ok("<Roles></Roles>"); /* nothing half-made */
}

static void whoami(void **state)
{
    (void)state;
    ASK("sts", "POST", "/", .body = "Action=GetCallerIdentity&Version=2011-06-15");
    assert_ok("<GetCallerIdentityResult><Arn>arn:aws:iam::" ACCOUNT_ID ":root</Arn>"
              "<UserId>" ACCOUNT_ID "</UserId><Account>" ACCOUNT_ID "</Account>");
}

/* --- a store for each test -----------------------------------------------------------------------
 */

static char dir[FOLDER_MAX];

static int open_store(void **state)
{
    (void)state;
    struct err err = {0};
    struct store_opts o = {.dir = dir, .map_size = 1u << 28, .loop = &loop};
    folder_make(dir);
    uv_loop_init(&loop);
    svc = (struct services){.loop = &loop, .region = "us-east-1"};
    if (store_open(&o, &svc.store, &err))
        fail_msg("%s", err.text);
    svc.roles = roles_open(svc.store, svc.region);
    struct identities_opts io = {.loop = &loop,
                                 .store = svc.store,
                                 .roles = svc.roles,
                                 .root_access_key = STR(KEY),
                                 .root_secret = STR(SECRET)};
    svc.identities = identities_open(&io);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    identities_close(svc.identities);
    roles_close(svc.roles);
    store_close(svc.store);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    folder_remove(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(roles, open_store, close_store),
        cmocka_unit_test_setup_teardown(policies, open_store, close_store),
        cmocka_unit_test_setup_teardown(refusals, open_store, close_store),
        cmocka_unit_test_setup_teardown(whoami, open_store, close_store),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&got.head);
    buf_deinit(&got.body);
    return rc;
}
