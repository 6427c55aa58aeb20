/* iam: roles and their inline policies, as IAM's Query API has them.
 *
 * Documents are checked before anything is written, so what lies in the store can be compiled (svc/
 * role.c). Writes are one job each; the compiled form is dropped when the job is done, before the
 * answer goes out: the next host call of a function sees the new policy.
 *
 * What is asked for and not done here (tags, permissions boundaries) is refused, never dropped. */
#include "api/gate.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "base/codec.h"
#include "store/key.h"

enum { NAME_MAX_ROLE = 64, NAME_MAX_POLICY = 128, TRUST_MAX = 2048, PAGE_MAX = 200 };

/* One write on its way. */
struct change {
    struct job job;
    struct call *c;
    struct err err;
    struct str role, policy, document, rec;
    int (*apply)(struct change *ch, struct store_txn *t);
    void (*reply)(struct change *ch);
};

/* --- parameters -------------------------------------------------------------------------------
 */

static int invalid(struct err *err, const char *member, struct str value, const char *constraint)
{
    if (!value.p)
        return err_set(err, E_VALIDATION,
                       "1 validation error detected: Value null at '%s' failed to satisfy "
                       "constraint: Member must not be null",
                       member);
    return err_set(err, E_VALIDATION,
                   "1 validation error detected: Value '%.*s' at '%s' failed to satisfy "
                   "constraint: %s",
                   (int)(value.n < 128 ? value.n : 128), value.p, member, constraint);
}

static bool name_bytes(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == 0 || !strchr("_+=,.@-", c)))
            return false;
    }
    return s.n > 0;
}

/* A required name: pattern and length. */
static int take_name(struct call *c, const char *field, const char *member, size_t max,
                     struct str *out, struct err *err)
{
    char limit[80];
    *out = call_query(c, field);
    snprintf(limit, sizeof limit, "Member must have length less than or equal to %zu", max);
    if (!out->p || !name_bytes(*out))
        return invalid(err, member, *out,
                       "Member must satisfy regular expression pattern: [\\w+=,.@-]+");
    return out->n > max ? invalid(err, member, *out, limit) : 0;
}

static int take_role(struct call *c, struct str *out, struct err *err)
{
    return take_name(c, "RoleName", "roleName", NAME_MAX_ROLE, out, err);
}

/* Paths begin and end in '/', and hold what can be seen. */
static int take_path(struct call *c, const char *field, const char *member, struct str *out,
                     struct err *err)
{
    *out = call_query(c, field);
    if (!out->p)
        *out = STR("/");
    bool ok = out->n && out->n <= 512 && out->p[0] == '/';
    for (size_t i = 0; ok && i < out->n; i++)
        ok = out->p[i] >= 0x21 && out->p[i] <= 0x7E;
    return ok ? 0
              : invalid(err, member, *out,
                        "Member must satisfy regular expression pattern: "
                        "(\\u002F)|(\\u002F[\\u0021-\\u007F]+\\u002F)");
}

static int take_number(struct call *c, const char *field, const char *member, uint64_t low,
                       uint64_t high, uint64_t *out, struct err *err)
{
    struct str s = call_query(c, field);
    char range[100];
    if (!s.p)
        return 0;
    snprintf(range, sizeof range, "Member must be a number between %llu and %llu",
             (unsigned long long)low, (unsigned long long)high);
    if (!str_u64(s, out) || *out < low || *out > high)
        return invalid(err, member, s, range);
    return 0;
}

static int take_document(struct call *c, const char *field, const char *member,
                         enum policy_kind kind, struct str *out, struct err *err)
{
    *out = call_query(c, field);
    if (!out->p)
        return invalid(err, member, *out, "");
    struct policy *p = policy_parse(*out, kind, err);
    policy_free(p);
    return p ? 0 : E_BAD_POLICY;
}

static int refuse_unknown(struct call *c, struct err *err)
{
    if (call_query(c, "PermissionsBoundary").p)
        return err_set(err, E_INVALID, "Permissions boundaries are not supported.");
    if (call_query(c, "Tags.member.1.Key").p)
        return err_set(err, E_INVALID, "Tags on roles are not supported.");
    return 0;
}

static int no_role(struct err *err, struct str name)
{
    return err_set(err, E_NOT_FOUND, "The role with name %.*s cannot be found.", STR_FMT(name));
}

/* --- XML --------------------------------------------------------------------------------------
 */

/* Documents travel percent-encoded inside XML. */
static void document_element(struct buf *b, const char *name, struct str document)
{
    buf_printf(b, "<%s>", name);
    uri_encode(b, document, false);
    buf_printf(b, "</%s>", name);
}

static void role_element(struct buf *b, struct str name, struct str rec)
{
    char when[25];
    struct buf arn = BUF_INIT;
    struct str description = rec_str(rec, ENTITY_DESCRIPTION);
    entity_arn(&entity_role, &arn, name, rec);
    clock_iso8601((int64_t)rec_u64(rec, ENTITY_CREATED_MS, 0), when);
    xml_element(b, "Path", rec_str(rec, ENTITY_PATH));
    xml_element(b, "RoleName", name);
    xml_element(b, "RoleId", rec_str(rec, ENTITY_ID));
    xml_element(b, "Arn", buf_str(&arn));
    buf_printf(b, "<CreateDate>%.19sZ</CreateDate>", when);
    document_element(b, "AssumeRolePolicyDocument", rec_str(rec, ENTITY_TRUST));
    if (description.n)
        xml_element(b, "Description", description);
    buf_printf(b, "<MaxSessionDuration>%llu</MaxSessionDuration>",
               (unsigned long long)rec_u64(rec, ENTITY_MAX_SESSION_S, 3600));
    buf_deinit(&arn);
}

/* --- writes -----------------------------------------------------------------------------------
 */

static int change_apply(struct job *job, struct store_txn *t)
{
    struct change *ch = (struct change *)job;
    ch->err = (struct err){0};
    return ch->apply(ch, t);
}

static void change_done(struct job *job, int rc)
{
    struct change *ch = (struct change *)job;
    struct call *c = ch->c;
    role_changed(c->svc->roles, ch->role);
    if (rc)
        call_error(c, rc, &ch->err);
    else if (ch->reply)
        ch->reply(ch);
    else
        call_result(c, NULL);
}

/* rc != 0: answers that instead. */
static void change_submit(struct call *c, struct change *from, int rc)
{
    struct change *ch = rc ? NULL : arena_alloc(c->arena, sizeof *ch);
    if (!ch) {
        call_error(c, rc ? rc : E_LIMIT, &from->err);
        return;
    }
    *ch = *from;
    ch->c = c;
    ch->job.apply = change_apply;
    ch->job.done = change_done;
    store_submit(c->svc->store, &ch->job);
}

static int apply_create(struct change *ch, struct store_txn *t)
{
    struct str old;
    int rc = role_get(t, ch->role, &old);
    if (rc == 0)
        return err_set(&ch->err, E_EXISTS, "Role with name %.*s already exists.",
                       STR_FMT(ch->role));
    return rc == E_NOT_FOUND ? role_put(t, ch->role, ch->rec) : rc;
}

static void reply_create(struct change *ch)
{
    struct buf b = BUF_INIT;
    buf_lit(&b, "<Role>");
    role_element(&b, ch->role, ch->rec);
    buf_lit(&b, "</Role>");
    call_result(ch->c, &b);
    buf_deinit(&b);
}

void iam_create_role(struct call *c)
{
    struct change ch = {.apply = apply_create, .reply = reply_create};
    struct role_spec spec = {.created_ms = clock_wall_ms(),
                             .description = call_query(c, "Description")};
    int rc = take_role(c, &ch.role, &ch.err);
    if (rc == 0)
        rc = refuse_unknown(c, &ch.err);
    if (rc == 0)
        rc = take_path(c, "Path", "path", &spec.path, &ch.err);
    if (rc == 0 && spec.path.p[spec.path.n - 1] != '/')
        rc = invalid(&ch.err, "path", spec.path, "Member must begin and end with /");
    if (rc == 0 && spec.description.n > 1000)
        rc = invalid(&ch.err, "description", spec.description,
                     "Member must have length less than or equal to 1000");
    if (rc == 0)
        rc = take_number(c, "MaxSessionDuration", "maxSessionDuration", 3600, 43200,
                         &spec.max_session_s, &ch.err);
    if (rc == 0)
        rc = take_document(c, "AssumeRolePolicyDocument", "assumeRolePolicyDocument", POLICY_TRUST,
                           &spec.trust, &ch.err);
    if (rc == 0 && spec.trust.n > TRUST_MAX)
        rc = err_set(&ch.err, E_QUOTA, "Cannot exceed quota for ACLSizePerRole: %d", TRUST_MAX);
    if (rc == 0) {
        struct buf b = BUF_INIT;
        role_build(&b, &spec);
        ch.rec = arena_dup(c->arena, buf_str(&b));
        rc = ch.rec.p ? 0 : E_LIMIT;
        buf_deinit(&b);
    }
    change_submit(c, &ch, rc);
}

static int apply_delete(struct change *ch, struct store_txn *t)
{
    struct str rec, name, document;
    int rc = role_get(t, ch->role, &rec);
    if (rc == E_NOT_FOUND)
        return no_role(&ch->err, ch->role);
    if (rc == 0 && entity_policy_next(&rec, &name, &document))
        return err_set(&ch->err, E_CONFLICT, "Cannot delete entity, must delete policies first.");
    return rc ? rc : role_del(t, ch->role);
}

void iam_delete_role(struct call *c)
{
    struct change ch = {.apply = apply_delete, .job = {.frees_space = true}};
    change_submit(c, &ch, take_role(c, &ch.role, &ch.err));
}

static int apply_put_policy(struct change *ch, struct store_txn *t)
{
    int rc = entity_policy_put(t, &entity_role, ch->role, ch->policy, ch->document, &ch->err);
    return rc == E_NOT_FOUND ? no_role(&ch->err, ch->role) : rc;
}

static int take_policy(struct call *c, struct change *ch)
{
    int rc = take_role(c, &ch->role, &ch->err);
    return rc ? rc
              : take_name(c, "PolicyName", "policyName", NAME_MAX_POLICY, &ch->policy, &ch->err);
}

void iam_put_role_policy(struct call *c)
{
    struct change ch = {.apply = apply_put_policy};
    int rc = take_policy(c, &ch);
    if (rc == 0)
        rc = take_document(c, "PolicyDocument", "policyDocument", POLICY_IDENTITY, &ch.document,
                           &ch.err);
    change_submit(c, &ch, rc);
}

static int apply_delete_policy(struct change *ch, struct store_txn *t)
{
    struct str rec;
    int rc = role_get(t, ch->role, &rec);
    if (rc == E_NOT_FOUND)
        return no_role(&ch->err, ch->role);
    return rc ? rc : entity_policy_del(t, &entity_role, ch->role, ch->policy, &ch->err);
}

void iam_delete_role_policy(struct call *c)
{
    struct change ch = {.apply = apply_delete_policy, .job = {.frees_space = true}};
    change_submit(c, &ch, take_policy(c, &ch));
}

/* --- reads ------------------------------------------------------------------------------------
 */

static int read_role(struct store_txn *t, struct str name, struct str *rec, struct err *err)
{
    int rc = role_get(t, name, rec);
    return rc == E_NOT_FOUND ? no_role(err, name) : rc;
}

/* rc and err, or the result; frees b. */
static void reply_read(struct call *c, int rc, struct err *err, struct buf *b)
{
    if (rc)
        call_error(c, rc, err);
    else
        call_result(c, b);
    buf_deinit(b);
}

void iam_get_role(struct call *c)
{
    struct err err = {0};
    struct str name, rec;
    struct buf b = BUF_INIT;
    int rc = take_role(c, &name, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = read_role(t, name, &rec, &err);
        if (rc == 0) {
            buf_lit(&b, "<Role>");
            role_element(&b, name, rec);
            buf_lit(&b, "</Role>");
        }
        store_read_end(t);
    }
    reply_read(c, rc, &err, &b);
}

void iam_get_role_policy(struct call *c)
{
    struct change ch = {.err = {0}};
    struct str rec, document;
    struct buf b = BUF_INIT;
    int rc = take_policy(c, &ch);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = read_role(t, ch.role, &rec, &ch.err);
        if (rc == 0)
            rc = entity_policy_get(&entity_role, rec, ch.policy, &document, &ch.err);
        if (rc == 0) {
            xml_element(&b, "RoleName", ch.role);
            xml_element(&b, "PolicyName", ch.policy);
            document_element(&b, "PolicyDocument", document);
        }
        store_read_end(t);
    }
    reply_read(c, rc, &ch.err, &b);
}

void iam_list_role_policies(struct call *c)
{
    struct err err = {0};
    struct str role, rec, name, document;
    struct buf b = BUF_INIT;
    int rc = take_role(c, &role, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = read_role(t, role, &rec, &err);
        buf_lit(&b, "<PolicyNames>");
        while (rc == 0 && entity_policy_next(&rec, &name, &document))
            xml_element(&b, "member", name);
        buf_lit(&b, "</PolicyNames><IsTruncated>false</IsTruncated>");
        store_read_end(t);
    }
    reply_read(c, rc, &err, &b);
}

/* Roles after `marker` whose path begins with `path`, as members; true when more follow. */
static bool list_page(struct store_txn *t, struct buf *b, struct str path, struct str marker,
                      uint64_t max, struct str *last)
{
    struct key from = {0};
    struct str k, v, name;
    struct store_cursor *cur = store_cursor(t, T_ROLES);
    uint64_t n = 0;
    if (marker.n)
        key_bytes(key_name(&from, marker), STR("\0"));
    bool more = store_seek(cur, key_str(&from), &k, &v);
    for (; more; more = store_next(cur, &k, &v)) {
        struct str rest = k;
        if (!key_take_name(&rest, &name) || !str_starts(rec_str(v, ENTITY_PATH), path))
            continue;
        if (n++ == max)
            break;
        buf_lit(b, "<member>");
        role_element(b, name, v);
        buf_lit(b, "</member>");
        *last = name;
    }
    store_cursor_close(cur);
    return more;
}

void iam_list_roles(struct call *c)
{
    struct err err = {0};
    struct str path, marker = call_query(c, "Marker"), last = {NULL, 0};
    struct buf b = BUF_INIT;
    uint64_t max = 100;
    int rc = take_path(c, "PathPrefix", "pathPrefix", &path, &err);
    if (rc == 0)
        rc = take_number(c, "MaxItems", "maxItems", 1, 1000, &max, &err);
    if (rc == 0 && marker.p && (!name_bytes(marker) || marker.n > NAME_MAX_ROLE))
        rc = invalid(&err, "marker", marker, "Member must be a marker of an earlier answer");
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        buf_lit(&b, "<Roles>");
        bool more = list_page(t, &b, path, marker, max < PAGE_MAX ? max : PAGE_MAX, &last);
        buf_printf(&b, "</Roles><IsTruncated>%s</IsTruncated>", more ? "true" : "false");
        if (more)
            xml_element(&b, "Marker", last);
        store_read_end(t);
    }
    reply_read(c, rc, &err, &b);
}
