/* iam_policy: the inline policies of roles and users, and what is attached to them. */
#include "api/iam.h"
#include "base/clock.h"

/* --- inline -----------------------------------------------------------------------------------
 */

static int take(struct call *c, struct iam_change *ch)
{
    ch->kind = iam_kind(c);
    int rc = iam_entity_name(c, ch->kind, false, &ch->name, &ch->err);
    return rc ? rc : iam_name(c, "PolicyName", IAM_NAME_MAX, &ch->policy, &ch->err);
}

static int apply_put(struct iam_change *ch, struct store_txn *t)
{
    return entity_policy_put(t, ch->kind, ch->name, ch->policy, ch->document, &ch->err);
}

void iam_put_policy(struct call *c)
{
    struct iam_change ch = {.apply = apply_put};
    int rc = take(c, &ch);
    if (rc == 0)
        rc = iam_document(c, "PolicyDocument", POLICY_IDENTITY, &ch.document, &ch.err);
    iam_submit(c, &ch, rc);
}

static int apply_delete(struct iam_change *ch, struct store_txn *t)
{
    return entity_policy_del(t, ch->kind, ch->name, ch->policy, &ch->err);
}

void iam_delete_entity_policy(struct call *c)
{
    struct iam_change ch = {.apply = apply_delete, .job = {.frees_space = true}};
    iam_submit(c, &ch, take(c, &ch));
}

void iam_get_entity_policy(struct call *c)
{
    struct iam_change ch = {.err = {0}};
    struct str rec, document;
    struct buf b = BUF_INIT;
    int rc = take(c, &ch);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = entity_get(t, ch.kind, ch.name, &rec, &ch.err);
        if (rc == 0)
            rc = entity_policy_get(ch.kind, rec, ch.policy, &document, &ch.err);
        if (rc == 0) {
            iam_name_element(&b, ch.kind, ch.name);
            xml_element(&b, "PolicyName", ch.policy);
            iam_document_element(&b, "PolicyDocument", document);
        }
        store_read_end(t);
    }
    iam_reply(c, rc, &ch.err, &b);
}

static void policy_member(struct buf *b, struct str policy, struct str document)
{
    (void)document;
    xml_element(b, "member", policy);
}

void iam_list_entity_policies(struct call *c)
{
    iam_list_members(c, "PolicyNames", STR(""), entity_policy_next, policy_member);
}

/* --- attached ---------------------------------------------------------------------------------
 */

static int take_arn(struct call *c, struct iam_change *ch)
{
    ch->kind = iam_kind(c);
    int rc = iam_entity_name(c, ch->kind, false, &ch->name, &ch->err);
    return rc ? rc : iam_arn(c, "PolicyArn", &ch->arn, &ch->err);
}

static int apply_attach(struct iam_change *ch, struct store_txn *t)
{
    struct str rec, rest, document, v;
    struct buf b = BUF_INIT;
    size_t n = 0;
    int rc = entity_get(t, ch->kind, ch->name, &rec, &ch->err);
    if (rc == 0 && (rc = managed_document(t, ch->arn, &document)) == E_NOT_FOUND)
        err_set(&ch->err, rc, "Policy %.*s does not exist or is not attachable.", STR_FMT(ch->arn));
    if (rc || entity_has(rec, ENTITY_ATTACHED, ch->arn))
        return rc;
    for (rest = rec; entity_next(&rest, ENTITY_ATTACHED, &v);)
        n++;
    if (n >= ENTITY_ATTACHED_MAX)
        return err_set(&ch->err, E_QUOTA, "Cannot exceed quota for PoliciesPer%s: %d",
                       ch->kind->Word, ENTITY_ATTACHED_MAX);
    buf_add(&b, rec);
    rec_put_str(&b, ENTITY_ATTACHED, ch->arn);
    rc = b.rc ? b.rc : entity_put(t, ch->kind, ch->name, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

void iam_attach_policy(struct call *c)
{
    struct iam_change ch = {.apply = apply_attach};
    iam_submit(c, &ch, take_arn(c, &ch));
}

static int apply_detach(struct iam_change *ch, struct store_txn *t)
{
    struct str rec;
    struct buf b = BUF_INIT;
    int rc = entity_get(t, ch->kind, ch->name, &rec, &ch->err);
    if (rc)
        return rc;
    if (!entity_has(rec, ENTITY_ATTACHED, ch->arn))
        return err_set(&ch->err, E_NOT_FOUND, "Policy %.*s was not found.", STR_FMT(ch->arn));
    entity_copy_but(&b, rec, ENTITY_ATTACHED, ch->arn);
    rc = b.rc ? b.rc : entity_put(t, ch->kind, ch->name, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

void iam_detach_policy(struct call *c)
{
    struct iam_change ch = {.apply = apply_detach, .job = {.frees_space = true}};
    iam_submit(c, &ch, take_arn(c, &ch));
}

static struct str last_part(struct str arn)
{
    struct str name;
    do
        name = str_cut(&arn, '/');
    while (arn.p);
    return name;
}

/* The path inside a policy's ARN: what stands between "policy" and the name. */
static struct str path_part(struct str arn)
{
    ptrdiff_t from = str_find(arn, STR(":policy/"));
    struct str name = last_part(arn);
    return from < 0 ? STR("/") : str_of(arn.p + from + 7, arn.n - (size_t)from - 7 - name.n);
}

static bool attached_next(struct str *rest, struct str *arn, struct str *path)
{
    if (!entity_next(rest, ENTITY_ATTACHED, arn))
        return false;
    *path = path_part(*arn);
    return true;
}

static void attached_member(struct buf *b, struct str arn, struct str path)
{
    (void)path;
    buf_lit(b, "<member>");
    xml_element(b, "PolicyName", last_part(arn));
    xml_element(b, "PolicyArn", arn);
    buf_lit(b, "</member>");
}

void iam_list_attached(struct call *c)
{
    struct err err = {0};
    struct str name, prefix;
    int rc = iam_entity_name(c, iam_kind(c), false, &name, &err);
    if (rc == 0)
        rc = iam_path(c, "PathPrefix", false, &prefix, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        iam_list_members(c, "AttachedPolicies", prefix, attached_next, attached_member);
}
