/* iam_managed: policies that stand by themselves, and their versions. */
#include <jansson.h>

#include "api/iam.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "store/key.h"

enum { DESCRIPTION_MAX = 1000, LIST_MAX = 200 };

/* --- XML --------------------------------------------------------------------------------------
 */

static void policy_members(struct buf *b, struct str name, struct str arn, struct str rec,
                           uint64_t attached)
{
    struct str description = rec_str(rec, MANAGED_DESCRIPTION);
    xml_element(b, "PolicyName", name);
    xml_element(b, "PolicyId", rec_str(rec, MANAGED_ID));
    xml_element(b, "Arn", arn);
    xml_element(b, "Path", rec_str(rec, MANAGED_PATH));
    buf_printf(b, "<DefaultVersionId>v%llu</DefaultVersionId>",
               (unsigned long long)rec_u64(rec, MANAGED_DEFAULT, 0));
    iam_number_element(b, "AttachmentCount", attached);
    buf_lit(b, "<PermissionsBoundaryUsageCount>0</PermissionsBoundaryUsageCount>"
               "<IsAttachable>true</IsAttachable>");
    if (description.n)
        xml_element(b, "Description", description);
    iam_date_element(b, "CreateDate", (int64_t)rec_u64(rec, MANAGED_CREATED_MS, 0));
    iam_date_element(b, "UpdateDate", (int64_t)rec_u64(rec, MANAGED_UPDATED_MS, 0));
}

static void version_members(struct buf *b, struct str rec, const struct managed_version *v,
                            bool with_document)
{
    if (with_document)
        iam_document_element(b, "Document", v->document);
    buf_printf(b, "<VersionId>v%llu</VersionId>", (unsigned long long)v->number);
    buf_printf(b, "<IsDefaultVersion>%s</IsDefaultVersion>",
               v->number == rec_u64(rec, MANAGED_DEFAULT, 0) ? "true" : "false");
    iam_date_element(b, "CreateDate", v->created_ms);
}

static struct str name_in(struct str arn)
{
    struct str name;
    do
        name = str_cut(&arn, '/');
    while (arn.p);
    return name;
}

/* --- make, read, remove -----------------------------------------------------------------------
 */

/* White space does not count. */
static int document(struct call *c, struct str *out, struct err *err)
{
    size_t n = 0;
    int rc = iam_document(c, "PolicyDocument", POLICY_IDENTITY, out, err);
    for (size_t i = 0; rc == 0 && i < out->n; i++)
        n += !strchr(" \t\r\n", out->p[i]);
    return n > MANAGED_BYTES_MAX
               ? err_set(err, E_QUOTA, "Cannot exceed quota for PolicySize: %d", MANAGED_BYTES_MAX)
               : rc;
}

static int apply_create(struct iam_change *ch, struct store_txn *t)
{
    return managed_create(t, ch->name, ch->rec, &ch->err);
}

static void reply_create(struct iam_change *ch)
{
    struct buf b = BUF_INIT, arn = BUF_INIT;
    managed_arn(&arn, ch->name, ch->rec);
    buf_lit(&b, "<Policy>");
    policy_members(&b, ch->name, buf_str(&arn), ch->rec, 0);
    iam_tags_element(&b, ch->rec, MANAGED_TAG, false);
    buf_lit(&b, "</Policy>");
    call_result(ch->c, &b);
    buf_deinit(&b);
    buf_deinit(&arn);
}

void iam_create_policy(struct call *c)
{
    struct iam_change ch = {.apply = apply_create, .reply = reply_create};
    struct managed_spec spec = {.now_ms = clock_wall_ms()};
    struct buf b = BUF_INIT, tags = BUF_INIT;
    struct str rest, tag;
    int rc = iam_name(c, "PolicyName", MANAGED_NAME_MAX, &ch.name, &ch.err);
    if (rc == 0)
        rc = iam_path(c, "Path", true, &spec.path, &ch.err);
    if (rc == 0)
        rc = iam_text(c, "Description", DESCRIPTION_MAX, &spec.description, &ch.err);
    if (rc == 0)
        rc = document(c, &spec.document, &ch.err);
    if (rc == 0)
        rc = iam_tags(c, &tags, &ch.err);
    if (rc == 0) {
        managed_build(&b, &spec);
        for (rest = buf_str(&tags); entity_next(&rest, ENTITY_TAG, &tag);)
            rec_put_str(&b, MANAGED_TAG, tag);
        rc = iam_keep(c, &b, &ch.rec);
    }
    buf_deinit(&tags);
    iam_submit(c, &ch, rc);
}

void iam_get_policy(struct call *c)
{
    struct err err = {0};
    struct str arn;
    struct buf b = BUF_INIT, rec = BUF_INIT;
    int rc = iam_arn(c, "PolicyArn", &arn, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = managed_get(t, arn, &rec, &err);
        if (rc == 0) {
            buf_lit(&b, "<Policy>");
            policy_members(&b, name_in(arn), arn, buf_str(&rec), managed_attached(t, arn));
            iam_tags_element(&b, buf_str(&rec), MANAGED_TAG, true);
            buf_lit(&b, "</Policy>");
        }
        store_read_end(t);
    }
    buf_deinit(&rec);
    iam_reply(c, rc, &err, &b);
}

static int apply_delete(struct iam_change *ch, struct store_txn *t)
{
    return managed_delete(t, ch->arn, &ch->err);
}

void iam_delete_policy(struct call *c)
{
    struct iam_change ch = {.apply = apply_delete, .job = {.frees_space = true}};
    iam_submit(c, &ch, iam_arn(c, "PolicyArn", &ch.arn, &ch.err));
}

/* --- list -------------------------------------------------------------------------------------
 */

/* How often each policy is attached: {ARN: count}. One walk for the whole page. */
static void count_in(struct store_txn *t, enum table table, json_t *counts)
{
    struct store_cursor *cur = store_cursor(t, table);
    struct str k, v, arn;
    for (bool ok = store_seek(cur, STR(""), &k, &v); ok; ok = store_next(cur, &k, &v)) {
        while (entity_next(&v, ENTITY_ATTACHED, &arn)) {
            json_t *n = json_object_getn(counts, arn.p, arn.n);
            if (n)
                json_integer_set(n, json_integer_value(n) + 1);
            else
                json_object_setn_new(counts, arn.p, arn.n, json_integer(1));
        }
    }
    store_cursor_close(cur);
}

struct listing {
    struct buf *b;
    json_t *counts;
    struct str path;
    bool only_attached;
    uint64_t left;
    bool more;
    char last[MANAGED_NAME_MAX + 8]; /* the marker */
};

/* False: the page is full. */
static bool list_one(struct listing *l, char scope, struct str mark, struct str name,
                     struct str arn, struct str rec)
{
    json_t *n = json_object_getn(l->counts, arn.p, arn.n);
    if (!str_starts(rec_str(rec, MANAGED_PATH), l->path) || (l->only_attached && !n))
        return true;
    if (l->left == 0) {
        l->more = true;
        return false;
    }
    l->left--;
    snprintf(l->last, sizeof l->last, "%c%.*s", scope, STR_FMT(mark));
    buf_lit(l->b, "<member>");
    policy_members(l->b, name, arn, rec, n ? (uint64_t)json_integer_value(n) : 0);
    buf_lit(l->b, "</member>");
    return true;
}

/* Markers: "a3" after the third built-in one, "lNAME" after one of the account. */
static void list_builtin(struct listing *l, uint64_t from)
{
    struct str arn, name;
    bool going = true;
    for (size_t i = (size_t)from; going; i++) {
        struct buf rec = BUF_INIT;
        char mark[24];
        going = managed_builtin(i, &arn, &name, &rec);
        snprintf(mark, sizeof mark, "%zu", i + 1);
        if (going)
            going = list_one(l, 'a', str_c(mark), name, arn, buf_str(&rec));
        buf_deinit(&rec);
    }
}

static void list_own(struct listing *l, struct store_txn *t, struct str after)
{
    struct key from = {0};
    struct str k, v, name;
    struct store_cursor *cur = store_cursor(t, T_POLICIES);
    bool going = true;
    if (after.n)
        key_bytes(key_name(&from, after), STR("\0"));
    for (bool ok = store_seek(cur, key_str(&from), &k, &v); ok && going;
         ok = store_next(cur, &k, &v)) {
        struct buf arn = BUF_INIT;
        if (!key_take_name(&k, &name))
            continue;
        managed_arn(&arn, name, v);
        going = list_one(l, 'l', name, name, buf_str(&arn), v);
        buf_deinit(&arn);
    }
    store_cursor_close(cur);
}

void iam_list_policies(struct call *c)
{
    struct err err = {0};
    struct buf b = BUF_INIT;
    struct listing l = {.b = &b};
    struct str scope = call_query(c, "Scope"), marker = call_query(c, "Marker");
    uint64_t max = 100, from = 0;
    bool aws = !scope.p || str_is(scope, "All") || str_is(scope, "AWS");
    bool local = !scope.p || str_is(scope, "All") || str_is(scope, "Local");
    int rc = iam_path(c, "PathPrefix", false, &l.path, &err);
    if (rc == 0 && !aws && !local)
        rc = iam_invalid(&err, "Scope", scope,
                         "Member must satisfy enum value set: [All, AWS, Local]");
    if (rc == 0)
        rc = iam_bool(c, "OnlyAttached", &l.only_attached, &err);
    if (rc == 0)
        rc = iam_number(c, "MaxItems", 1, IAM_PAGE_MAX, &max, &err);
    bool in_own = marker.n > 1 && marker.p[0] == 'l';
    if (rc == 0 && marker.p && !in_own &&
        !(marker.n > 1 && marker.p[0] == 'a' && str_u64(str_from(marker, 1), &from)))
        rc = iam_invalid(&err, "Marker", marker, "Member must be a marker of an earlier answer");
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        l.left = max < LIST_MAX ? max : LIST_MAX;
        l.counts = json_object();
        count_in(t, T_ROLES, l.counts);
        count_in(t, T_USERS, l.counts);
        buf_lit(&b, "<Policies>");
        if (aws && !in_own)
            list_builtin(&l, from);
        if (local && !l.more)
            list_own(&l, t, in_own ? str_from(marker, 1) : STR(""));
        buf_printf(&b, "</Policies><IsTruncated>%s</IsTruncated>", l.more ? "true" : "false");
        if (l.more)
            xml_element(&b, "Marker", str_c(l.last));
        json_decref(l.counts);
        store_read_end(t);
    }
    iam_reply(c, rc, &err, &b);
}

static void entities_with(struct store_txn *t, const struct entity_kind *kind, struct str arn,
                          struct str path, struct iam_page *page, struct buf *b)
{
    struct store_cursor *cur = store_cursor(t, kind->table);
    struct str k, v, name;
    buf_printf(b, "<Policy%ss>", kind->Word);
    for (bool ok = store_seek(cur, STR(""), &k, &v); ok; ok = store_next(cur, &k, &v)) {
        if (!key_take_name(&k, &name) || !entity_has(v, ENTITY_ATTACHED, arn) ||
            !str_starts(rec_str(v, ENTITY_PATH), path) || !iam_page_has(page))
            continue;
        buf_lit(b, "<member>");
        iam_name_element(b, kind, name);
        xml_element(b, kind == &entity_user ? "UserId" : "RoleId", rec_str(v, ENTITY_ID));
        buf_lit(b, "</member>");
    }
    store_cursor_close(cur);
    buf_printf(b, "</Policy%ss>", kind->Word);
}

void iam_list_entities_for_policy(struct call *c)
{
    struct err err = {0};
    struct iam_page page;
    struct str arn, path, filter = call_query(c, "EntityFilter");
    struct buf b = BUF_INIT, rec = BUF_INIT;
    int rc = iam_arn(c, "PolicyArn", &arn, &err);
    if (rc == 0)
        rc = iam_path(c, "PathPrefix", false, &path, &err);
    if (rc == 0 && filter.p && !str_is(filter, "User") && !str_is(filter, "Role") &&
        !str_is(filter, "Group") && !str_is(filter, "LocalManagedPolicy") &&
        !str_is(filter, "AWSManagedPolicy"))
        rc = iam_invalid(&err, "EntityFilter", filter,
                         "Member must satisfy enum value set: [User, Role, Group, "
                         "LocalManagedPolicy, AWSManagedPolicy]");
    if (rc == 0)
        rc = iam_page(c, &page, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = managed_get(t, arn, &rec, &err);
        buf_lit(&b, "<PolicyGroups></PolicyGroups>");
        if (rc == 0 && (!filter.p || str_is(filter, "Role")))
            entities_with(t, &entity_role, arn, path, &page, &b);
        if (rc == 0 && (!filter.p || str_is(filter, "User")))
            entities_with(t, &entity_user, arn, path, &page, &b);
        iam_page_end(&page, &b);
        store_read_end(t);
    }
    buf_deinit(&rec);
    iam_reply(c, rc, &err, &b);
}

/* --- versions ---------------------------------------------------------------------------------
 */

static int apply_version(struct iam_change *ch, struct store_txn *t)
{
    return managed_version_add(t, ch->arn, ch->document, ch->now_ms, ch->flag, &ch->number,
                               &ch->err);
}

static void reply_version(struct iam_change *ch)
{
    struct buf b = BUF_INIT;
    buf_printf(&b,
               "<PolicyVersion><VersionId>v%llu</VersionId><IsDefaultVersion>%s</IsDefaultVersion>",
               (unsigned long long)ch->number, ch->flag ? "true" : "false");
    iam_date_element(&b, "CreateDate", ch->now_ms);
    buf_lit(&b, "</PolicyVersion>");
    call_result(ch->c, &b);
    buf_deinit(&b);
}

void iam_create_policy_version(struct call *c)
{
    struct iam_change ch = {
        .apply = apply_version, .reply = reply_version, .now_ms = clock_wall_ms()};
    int rc = iam_arn(c, "PolicyArn", &ch.arn, &ch.err);
    if (rc == 0)
        rc = document(c, &ch.document, &ch.err);
    if (rc == 0)
        rc = iam_bool(c, "SetAsDefault", &ch.flag, &ch.err);
    iam_submit(c, &ch, rc);
}

static int take_version(struct call *c, struct iam_change *ch)
{
    int rc = iam_arn(c, "PolicyArn", &ch->arn, &ch->err);
    ch->version = call_query(c, "VersionId");
    if (rc)
        return rc;
    bool ok = ch->version.n > 1 && ch->version.n < 20 && ch->version.p[0] == 'v';
    for (size_t i = 1; ok && i < ch->version.n; i++)
        ok = ch->version.p[i] >= '0' && ch->version.p[i] <= '9';
    return ok ? 0
              : iam_invalid(&ch->err, "VersionId", ch->version,
                            "Member must satisfy regular expression pattern: "
                            "v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?");
}

static int apply_delete_version(struct iam_change *ch, struct store_txn *t)
{
    return managed_version_del(t, ch->arn, ch->version, &ch->err);
}

void iam_delete_policy_version(struct call *c)
{
    struct iam_change ch = {.apply = apply_delete_version, .job = {.frees_space = true}};
    iam_submit(c, &ch, take_version(c, &ch));
}

static int apply_set_default(struct iam_change *ch, struct store_txn *t)
{
    return managed_version_set(t, ch->arn, ch->version, &ch->err);
}

void iam_set_default_policy_version(struct call *c)
{
    struct iam_change ch = {.apply = apply_set_default};
    iam_submit(c, &ch, take_version(c, &ch));
}

void iam_get_policy_version(struct call *c)
{
    struct iam_change ch = {.err = {0}};
    struct managed_version v;
    struct buf b = BUF_INIT, rec = BUF_INIT;
    int rc = take_version(c, &ch);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = managed_get(t, ch.arn, &rec, &ch.err);
        store_read_end(t);
    }
    if (rc == 0)
        rc = managed_version_get(buf_str(&rec), ch.arn, ch.version, &v, &ch.err);
    if (rc == 0) {
        buf_lit(&b, "<PolicyVersion>");
        version_members(&b, buf_str(&rec), &v, true);
        buf_lit(&b, "</PolicyVersion>");
    }
    buf_deinit(&rec);
    iam_reply(c, rc, &ch.err, &b);
}

void iam_list_policy_versions(struct call *c)
{
    struct err err = {0};
    struct iam_page page;
    struct managed_version all[MANAGED_VERSIONS_MAX], v;
    struct str arn, rest;
    struct buf b = BUF_INIT, rec = BUF_INIT;
    size_t n = 0;
    int rc = iam_arn(c, "PolicyArn", &arn, &err);
    if (rc == 0)
        rc = iam_page(c, &page, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = managed_get(t, arn, &rec, &err);
        store_read_end(t);
    }
    for (rest = buf_str(&rec);
         rc == 0 && n < MANAGED_VERSIONS_MAX && managed_version_next(&rest, &v);)
        all[n++] = v;
    buf_lit(&b, "<Versions>");
    while (rc == 0 && n-- > 0) { /* the newest first */
        if (!iam_page_has(&page))
            continue;
        buf_lit(&b, "<member>");
        version_members(&b, buf_str(&rec), &all[n], false);
        buf_lit(&b, "</member>");
    }
    buf_lit(&b, "</Versions>");
    if (rc == 0)
        iam_page_end(&page, &b);
    buf_deinit(&rec);
    iam_reply(c, rc, &err, &b);
}
