/* managed: rows of the account's policies, and the built-in ones.
 *
 * Built-in policies are what a tool that was written for AWS attaches without asking; they say what
 * AWS's say, as far as there is something here to say it about. */
#include "svc/managed.h"

#include "auth/arn.h"
#include "store/key.h"
#include "svc/entity.h"

#define SCOPE "arn:aws:iam::aws:policy/"
#define DOC(statements) "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define ALLOW(actions) DOC("{\"Effect\":\"Allow\",\"Action\":[" actions "],\"Resource\":\"*\"}")

/* By ARN. */
static const struct builtin {
    const char *path, *name, *id, *description, *document;
} builtins[] = {
    {"/", "AWSLambda_FullAccess", "ANPAPERILUNE000000001",
     "Everything about functions, their logs, and passing roles to them.",
     DOC("{\"Effect\":\"Allow\",\"Action\":[\"lambda:*\",\"iam:GetPolicy\",\"iam:"
         "GetPolicyVersion\","
         "\"iam:GetRole\",\"iam:GetRolePolicy\",\"iam:ListAttachedRolePolicies\","
         "\"iam:ListRolePolicies\",\"iam:ListRoles\"],\"Resource\":\"*\"},{\"Effect\":\"Allow\","
         "\"Action\":\"iam:PassRole\",\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{"
         "\"iam:PassedToService\":\"lambda.amazonaws.com\"}}},{\"Effect\":\"Allow\",\"Action\":["
         "\"logs:DescribeLogStreams\",\"logs:GetLogEvents\",\"logs:FilterLogEvents\"],"
         "\"Resource\":\"arn:aws:logs:*:*:log-group:/aws/lambda/*\"}")},
    {"/", "AWSLambda_ReadOnlyAccess", "ANPAPERILUNE000000002",
     "Looking at functions and their logs.",
     ALLOW("\"lambda:Get*\",\"lambda:List*\",\"iam:GetPolicy\",\"iam:GetPolicyVersion\","
           "\"iam:GetRole\",\"iam:GetRolePolicy\",\"iam:ListAttachedRolePolicies\","
           "\"iam:ListRolePolicies\",\"iam:ListRoles\",\"logs:DescribeLogGroups\","
           "\"logs:DescribeLogStreams\",\"logs:GetLogEvents\",\"logs:FilterLogEvents\"")},
    {"/", "AdministratorAccess", "ANPAPERILUNE000000003", "Everything.", ALLOW("\"*\"")},
    {"/", "AmazonS3FullAccess", "ANPAPERILUNE000000004", "Everything about buckets and objects.",
     ALLOW("\"s3:*\",\"s3-object-lambda:*\"")},
    {"/", "AmazonS3ReadOnlyAccess", "ANPAPERILUNE000000005", "Reading buckets and objects.",
     ALLOW("\"s3:Get*\",\"s3:List*\",\"s3:Describe*\",\"s3-object-lambda:Get*\","
           "\"s3-object-lambda:List*\"")},
    {"/", "CloudWatchLogsFullAccess", "ANPAPERILUNE000000006", "Everything about logs.",
     ALLOW("\"logs:*\"")},
    {"/", "CloudWatchLogsReadOnlyAccess", "ANPAPERILUNE000000007", "Reading logs.",
     ALLOW("\"logs:Describe*\",\"logs:Get*\",\"logs:List*\",\"logs:FilterLogEvents\"")},
    {"/", "IAMFullAccess", "ANPAPERILUNE000000008", "Everything about users, roles and policies.",
     ALLOW("\"iam:*\"")},
    {"/", "IAMReadOnlyAccess", "ANPAPERILUNE000000009", "Looking at users, roles and policies.",
     ALLOW("\"iam:Get*\",\"iam:List*\",\"iam:Simulate*\"")},
    {"/", "PowerUserAccess", "ANPAPERILUNE000000010", "Everything but users, roles and policies.",
     DOC("{\"Effect\":\"Allow\",\"NotAction\":[\"iam:*\"],\"Resource\":\"*\"},{\"Effect\":"
         "\"Allow\",\"Action\":[\"iam:ListRoles\"],\"Resource\":\"*\"}")},
    {"/service-role/", "AWSLambdaBasicExecutionRole", "ANPAPERILUNE000000011",
     "What a function needs to write its log.",
     ALLOW("\"logs:CreateLogGroup\",\"logs:CreateLogStream\",\"logs:PutLogEvents\"")},
    {"/service-role/", "AWSLambdaRole", "ANPAPERILUNE000000012", "Calling functions.",
     ALLOW("\"lambda:InvokeFunction\"")},
};
enum { BUILTINS = sizeof builtins / sizeof *builtins };
#define BUILTIN_CREATED_MS 1423215600000 /* 2015-02-06, the first of AWS's */

/* --- names ------------------------------------------------------------------------------------
 */

static struct str last_segment(struct str path)
{
    struct str name;
    do
        name = str_cut(&path, '/');
    while (path.p);
    return name;
}

struct str managed_name_of(struct str arn)
{
    struct arn a;
    struct str none = {NULL, 0};
    if (!arn_parse(arn, &a) || !str_is(a.partition, "aws") || !str_is(a.service, "iam") ||
        a.region.n || !str_is(a.account, ACCOUNT_ID) || !str_starts(a.resource, STR("policy/")))
        return none;
    struct str name = last_segment(str_from(a.resource, 7));
    return name.n && name.n <= MANAGED_NAME_MAX && str_index(name, 0, 0) < 0 ? name : none;
}

void managed_arn(struct buf *out, struct str name, struct str rec)
{
    struct str path = rec_str(rec, MANAGED_PATH);
    buf_lit(out, "arn:aws:iam::" ACCOUNT_ID ":policy");
    buf_add(out, path.n ? path : STR("/"));
    buf_add(out, name);
}

/* The path after "…:policy", name included, of an ARN: is it this built-in one's? */
static const struct builtin *find_builtin(struct str arn)
{
    if (!str_starts(arn, STR(SCOPE)))
        return NULL;
    struct str rest = str_from(arn, sizeof SCOPE - 2); /* from the slash on */
    for (size_t i = 0; i < BUILTINS; i++) {
        struct str path = str_c(builtins[i].path);
        if (str_starts(rest, path) && str_is(str_from(rest, path.n), builtins[i].name))
            return &builtins[i];
    }
    return NULL;
}

/* --- records ----------------------------------------------------------------------------------
 */

static void put_version(struct buf *out, uint64_t number, struct str document, int64_t now_ms)
{
    size_t mark = rec_begin(out, MANAGED_VERSION);
    rec_put_u64(out, 1, number);
    rec_put_str(out, 2, document);
    rec_put_u64(out, 3, (uint64_t)now_ms);
    rec_end(out, mark);
}

static void build(struct buf *out, struct str id, const struct managed_spec *spec)
{
    rec_put_str(out, MANAGED_ID, id);
    rec_put_str(out, MANAGED_PATH, spec->path);
    rec_put_str(out, MANAGED_DESCRIPTION, spec->description);
    rec_put_u64(out, MANAGED_CREATED_MS, (uint64_t)spec->now_ms);
    rec_put_u64(out, MANAGED_UPDATED_MS, (uint64_t)spec->now_ms);
    rec_put_u64(out, MANAGED_DEFAULT, 1);
    rec_put_u64(out, MANAGED_LAST, 1);
    put_version(out, 1, spec->document, spec->now_ms);
}

void managed_build(struct buf *out, const struct managed_spec *spec)
{
    char id[ENTITY_ID_SIZE];
    entity_id("ANPA", id);
    build(out, str_c(id), spec);
}

static void builtin_rec(const struct builtin *b, struct buf *out)
{
    struct managed_spec spec = {str_c(b->path), str_c(b->description), str_c(b->document),
                                BUILTIN_CREATED_MS};
    build(out, str_c(b->id), &spec);
}

bool managed_builtin(size_t i, struct str *arn, struct str *name, struct buf *rec)
{
    static char arns[BUILTINS][128];
    if (i >= BUILTINS)
        return false;
    snprintf(arns[i], sizeof arns[i], "arn:aws:iam::aws:policy%s%s", builtins[i].path,
             builtins[i].name);
    *arn = str_c(arns[i]);
    *name = str_c(builtins[i].name);
    builtin_rec(&builtins[i], rec);
    return true;
}

bool managed_version_next(struct str *rest, struct managed_version *v)
{
    struct str one;
    if (!entity_next(rest, MANAGED_VERSION, &one))
        return false;
    *v = (struct managed_version){rec_u64(one, 1, 0), rec_str(one, 2), (int64_t)rec_u64(one, 3, 0)};
    return true;
}

static bool find_version(struct str rec, uint64_t number, struct managed_version *v)
{
    while (managed_version_next(&rec, v))
        if (v->number == number)
            return true;
    return false;
}

int managed_version_get(struct str rec, struct str arn, struct str version,
                        struct managed_version *v, struct err *err)
{
    uint64_t number;
    if (version.n > 1 && version.p[0] == 'v' && str_u64(str_from(version, 1), &number) &&
        find_version(rec, number, v))
        return 0;
    return err_set(err, E_NOT_FOUND,
                   "Policy %.*s version %.*s does not exist or is not attachable.", STR_FMT(arn),
                   STR_FMT(version));
}

/* --- rows -------------------------------------------------------------------------------------
 */

static int not_found(struct str arn, struct err *err)
{
    return err_set(err, E_NOT_FOUND, "Policy %.*s was not found.", STR_FMT(arn));
}

/* A row of the account's. */
static int get(struct store_txn *t, struct str arn, struct str *name, struct str *rec,
               struct err *err)
{
    struct key k = {0};
    struct buf right = BUF_INIT;
    *name = managed_name_of(arn);
    int rc = name->p ? store_get(t, T_POLICIES, key_str(key_name(&k, *name)), rec) : E_NOT_FOUND;
    if (rc == 0) {
        managed_arn(&right, *name, *rec);
        if (!str_eq(buf_str(&right), arn))
            rc = E_NOT_FOUND;
        buf_deinit(&right);
    }
    return rc == E_NOT_FOUND ? not_found(arn, err) : rc;
}

int managed_get(struct store_txn *t, struct str arn, struct buf *out, struct err *err)
{
    const struct builtin *b = find_builtin(arn);
    struct str name, rec;
    int rc = 0;
    if (b)
        builtin_rec(b, out);
    else if ((rc = get(t, arn, &name, &rec, err)) == 0)
        buf_add(out, rec);
    return rc ? rc : out->rc;
}

int managed_document(struct store_txn *t, struct str arn, struct str *document)
{
    const struct builtin *b = find_builtin(arn);
    struct managed_version v;
    struct str name, rec;
    if (b) {
        *document = str_c(b->document);
        return 0;
    }
    int rc = get(t, arn, &name, &rec, NULL);
    if (rc == 0 && !find_version(rec, rec_u64(rec, MANAGED_DEFAULT, 0), &v))
        rc = E_INTERNAL;
    if (rc == 0)
        *document = v.document;
    return rc;
}

int managed_put(struct store_txn *t, struct str name, struct str rec)
{
    struct key k = {0};
    return store_put(t, T_POLICIES, key_str(key_name(&k, name)), rec);
}

int managed_create(struct store_txn *t, struct str name, struct str rec, struct err *err)
{
    struct key k = {0};
    struct str old;
    int rc = store_get(t, T_POLICIES, key_str(key_name(&k, name)), &old);
    if (rc == 0)
        return err_set(err, E_EXISTS,
                       "A policy called %.*s already exists. Duplicate names are not allowed.",
                       STR_FMT(name));
    return rc == E_NOT_FOUND ? managed_put(t, name, rec) : rc;
}

static size_t count_attached(struct store_txn *t, enum table table, struct str arn)
{
    struct store_cursor *c = store_cursor(t, table);
    struct str k, v;
    size_t n = 0;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok; ok = store_next(c, &k, &v))
        n += entity_has(v, ENTITY_ATTACHED, arn);
    store_cursor_close(c);
    return n;
}

size_t managed_attached(struct store_txn *t, struct str arn)
{
    return count_attached(t, T_ROLES, arn) + count_attached(t, T_USERS, arn);
}

/* A row that may be changed: built-in ones may not. */
static int get_own(struct store_txn *t, struct str arn, struct str *name, struct str *rec,
                   struct err *err)
{
    if (find_builtin(arn))
        return err_set(err, E_DENIED,
                       "Cannot perform this operation on an AWS managed policy: %.*s",
                       STR_FMT(arn));
    return get(t, arn, name, rec, err);
}

int managed_delete(struct store_txn *t, struct str arn, struct err *err)
{
    struct key k = {0};
    struct managed_version v;
    struct str name, rec, rest;
    size_t versions = 0;
    int rc = get_own(t, arn, &name, &rec, err);
    if (rc)
        return rc;
    if (managed_attached(t, arn))
        return err_set(err, E_CONFLICT, "Cannot delete a policy attached to entities.");
    for (rest = rec; managed_version_next(&rest, &v);)
        versions++;
    if (versions > 1)
        return err_set(
            err, E_CONFLICT,
            "This policy has more than one version. Before you delete a policy, you must "
            "delete the policy's versions. The default version is deleted with the "
            "policy.");
    return store_del(t, T_POLICIES, key_str(key_name(&k, name)));
}

/* --- versions ---------------------------------------------------------------------------------
 */

/* rec without the version of that number (0: all stay) and without the fields that are put anew. */
static void copy(struct buf *out, struct str rec, uint64_t without)
{
    struct str v;
    uint16_t tag;
    while (rec_next(&rec, &tag, &v))
        if (tag != MANAGED_DEFAULT && tag != MANAGED_LAST && tag != MANAGED_UPDATED_MS &&
            (tag != MANAGED_VERSION || rec_u64(v, 1, 0) != without || !without))
            rec_put_str(out, tag, v);
}

static int put_back(struct store_txn *t, struct str name, struct buf *b, uint64_t in_force,
                    uint64_t last, int64_t updated_ms)
{
    rec_put_u64(b, MANAGED_DEFAULT, in_force);
    rec_put_u64(b, MANAGED_LAST, last);
    rec_put_u64(b, MANAGED_UPDATED_MS, (uint64_t)updated_ms);
    int rc = b->rc ? b->rc : managed_put(t, name, buf_str(b));
    buf_deinit(b);
    return rc;
}

int managed_version_add(struct store_txn *t, struct str arn, struct str document, int64_t now_ms,
                        bool make_default, uint64_t *number, struct err *err)
{
    struct managed_version v;
    struct str name, rec, rest;
    struct buf b = BUF_INIT;
    size_t versions = 0;
    int rc = get_own(t, arn, &name, &rec, err);
    if (rc)
        return rc;
    for (rest = rec; managed_version_next(&rest, &v);)
        versions++;
    if (versions >= MANAGED_VERSIONS_MAX)
        return err_set(err, E_QUOTA,
                       "A managed policy can have up to %d versions. Before you create a new "
                       "version, you must delete an existing version.",
                       MANAGED_VERSIONS_MAX);
    *number = rec_u64(rec, MANAGED_LAST, 0) + 1;
    copy(&b, rec, 0);
    put_version(&b, *number, document, now_ms);
    return put_back(t, name, &b, make_default ? *number : rec_u64(rec, MANAGED_DEFAULT, 0), *number,
                    now_ms);
}

int managed_version_del(struct store_txn *t, struct str arn, struct str version, struct err *err)
{
    struct managed_version v;
    struct str name, rec;
    struct buf b = BUF_INIT;
    int rc = get_own(t, arn, &name, &rec, err);
    if (rc == 0)
        rc = managed_version_get(rec, arn, version, &v, err);
    if (rc)
        return rc;
    uint64_t in_force = rec_u64(rec, MANAGED_DEFAULT, 0);
    if (v.number == in_force)
        return err_set(err, E_CONFLICT, "Cannot delete the default version of a policy.");
    copy(&b, rec, v.number);
    return put_back(t, name, &b, in_force, rec_u64(rec, MANAGED_LAST, 0),
                    (int64_t)rec_u64(rec, MANAGED_UPDATED_MS, 0));
}

int managed_version_set(struct store_txn *t, struct str arn, struct str version, struct err *err)
{
    struct managed_version v;
    struct str name, rec;
    struct buf b = BUF_INIT;
    int rc = get_own(t, arn, &name, &rec, err);
    if (rc == 0)
        rc = managed_version_get(rec, arn, version, &v, err);
    if (rc)
        return rc;
    copy(&b, rec, 0);
    return put_back(t, name, &b, v.number, rec_u64(rec, MANAGED_LAST, 0), store_time(t));
}
