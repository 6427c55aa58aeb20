/* iam_account: what tools ask of an account that has no groups, devices or passwords: polite answers,
 * and the summary, which is counted. */
#include "api/iam.h"

static void reply_lit(struct call *c, const char *inner)
{
    struct buf b = BUF_INIT;
    buf_add(&b, str_c(inner));
    iam_reply(c, 0, NULL, &b);
}

void iam_list_account_aliases(struct call *c)
{
    reply_lit(c, "<AccountAliases></AccountAliases><IsTruncated>false</IsTruncated>");
}

void iam_list_virtual_mfa_devices(struct call *c)
{
    reply_lit(c, "<VirtualMFADevices></VirtualMFADevices><IsTruncated>false</IsTruncated>");
}

/* An empty list in the element that the row's operation has, for a role or user that is there. */
static void none_of(struct call *c, const struct entity_kind *kind, const char *element)
{
    struct err err = {0};
    struct str name, rec;
    struct buf b = BUF_INIT;
    bool root = c->who.root && kind == &entity_user && !call_query(c, "UserName").p;
    int rc = root ? 0 : iam_entity_name(c, kind, kind == &entity_user, &name, &err);
    if (rc == 0 && !root) {
        struct store_txn *t = store_read(c->svc->store);
        rc = entity_get(t, kind, name, &rec, &err);
        store_read_end(t);
    }
    buf_printf(&b, "<%s></%s><IsTruncated>false</IsTruncated>", element, element);
    iam_reply(c, rc, &err, &b);
}

void iam_list_instance_profiles_for_role(struct call *c)
{
    none_of(c, &entity_role, "InstanceProfiles");
}

void iam_list_groups_for_user(struct call *c)
{
    none_of(c, &entity_user, "Groups");
}

void iam_list_mfa_devices(struct call *c)
{
    none_of(c, &entity_user, "MFADevices");
}

void iam_list_signing_certificates(struct call *c)
{
    none_of(c, &entity_user, "Certificates");
}

void iam_list_ssh_public_keys(struct call *c)
{
    none_of(c, &entity_user, "SSHPublicKeys");
}

void iam_list_service_specific_credentials(struct call *c)
{
    reply_lit(c, "<ServiceSpecificCredentials></ServiceSpecificCredentials>");
}

/* Nobody has a password. */
void iam_get_login_profile(struct call *c)
{
    struct err err = {0};
    struct str name;
    int rc = iam_entity_name(c, &entity_user, true, &name, &err);
    if (rc == 0)
        rc = err_set(&err, E_NOT_FOUND, "Login Profile for User %.*s cannot be found.",
                     STR_FMT(name));
    call_error(c, rc, &err);
}

static uint64_t rows(struct store_txn *t, enum table table)
{
    struct store_cursor *cur = store_cursor(t, table);
    struct str k, v;
    uint64_t n = 0;
    for (bool ok = store_seek(cur, STR(""), &k, &v); ok; ok = store_next(cur, &k, &v))
        n++;
    store_cursor_close(cur);
    return n;
}

static void entry(struct buf *b, const char *key, uint64_t n)
{
    buf_printf(b, "<entry><key>%s</key><value>%llu</value></entry>", key, (unsigned long long)n);
}

void iam_get_account_summary(struct call *c)
{
    struct buf b = BUF_INIT;
    struct store_txn *t = store_read(c->svc->store);
    buf_lit(&b, "<SummaryMap>");
    entry(&b, "Users", rows(t, T_USERS));
    entry(&b, "UsersQuota", 5000);
    entry(&b, "Roles", rows(t, T_ROLES));
    entry(&b, "RolesQuota", 1000);
    entry(&b, "Policies", rows(t, T_POLICIES));
    entry(&b, "PoliciesQuota", 1500);
    entry(&b, "Groups", 0);
    entry(&b, "GroupsQuota", 0);
    entry(&b, "AccessKeysPerUserQuota", KEYS_PER_USER);
    entry(&b, "AttachedPoliciesPerUserQuota", ENTITY_ATTACHED_MAX);
    entry(&b, "AttachedPoliciesPerRoleQuota", ENTITY_ATTACHED_MAX);
    entry(&b, "PolicySizeQuota", MANAGED_BYTES_MAX);
    entry(&b, "VersionsPerPolicyQuota", MANAGED_VERSIONS_MAX);
    entry(&b, "UserPolicySizeQuota", entity_user.policy_bytes_max);
    entry(&b, "RolePolicySizeQuota", entity_role.policy_bytes_max);
    entry(&b, "AccountAccessKeysPresent", 1);
    entry(&b, "AccountMFAEnabled", 0);
    entry(&b, "MFADevices", 0);
    entry(&b, "ServerCertificates", 0);
    entry(&b, "InstanceProfiles", 0);
    buf_lit(&b, "</SummaryMap>");
    store_read_end(t);
    iam_reply(c, 0, NULL, &b);
}
