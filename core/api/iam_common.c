/* iam_common: parameters of IAM's forms, the one way of its writes, pieces of its answers.
 *
 * Documents are checked before anything is written, so what lies in the store can be compiled.
 * Writes are one job each; compiled forms are dropped when the job is done, before the answer goes
 * out: the next request sees the new policy. */
#include "api/iam.h"
#include "auth/arn.h"
#include "base/clock.h"
#include "base/codec.h"

enum { TAG_KEY_MAX = 128, TAG_VALUE_MAX = 256 };

/* --- parameters -------------------------------------------------------------------------------
 */

/* "RoleName" -> "roleName", as AWS names members in its complaints. */
static const char *member_of(const char *field, char out[static 64])
{
    snprintf(out, 64, "%s", field);
    if (out[0] >= 'A' && out[0] <= 'Z')
        out[0] += 32;
    return out;
}

int iam_invalid(struct err *err, const char *field, struct str value, const char *constraint)
{
    char member[64];
    member_of(field, member);
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

static int too_long(struct err *err, const char *field, struct str value, size_t max)
{
    char limit[80];
    snprintf(limit, sizeof limit, "Member must have length less than or equal to %zu", max);
    return iam_invalid(err, field, value, limit);
}

int iam_name(struct call *c, const char *field, size_t max, struct str *out, struct err *err)
{
    char member[64];
    *out = call_query(c, field);
    if (!out->p)
        return iam_invalid(err, field, *out, "");
    if (out->n == 0)
        return iam_invalid(err, field, *out, "Member must have length greater than or equal to 1");
    if (out->n > max)
        return too_long(err, field, *out, max);
    return name_bytes(*out)
               ? 0
               : err_set(err, E_VALIDATION,
                         "The specified value for %s is invalid. It must contain only alphanumeric "
                         "characters and/or the following: +=,.@_-",
                         member_of(field, member));
}

const struct entity_kind *iam_kind(const struct call *c)
{
    return strstr(c->op->name, "User") || strstr(c->op->name, "AccessKey") ? &entity_user
                                                                           : &entity_role;
}

int iam_entity_name(struct call *c, const struct entity_kind *kind, bool self, struct str *out,
                    struct err *err)
{
    const char *field = kind == &entity_user ? "UserName" : "RoleName";
    *out = call_query(c, field);
    if (out->p || !self)
        return iam_name(c, field, ENTITY_NAME_MAX, out, err);
    *out = c->who.name;
    return c->who.kind == IDENTITY_USER
               ? 0
               : err_set(err, E_VALIDATION,
                         "Must specify userName when calling with non-User credentials");
}

int iam_path(struct call *c, const char *field, bool whole, struct str *out, struct err *err)
{
    char member[64];
    *out = call_query(c, field);
    if (!out->p)
        *out = STR("/");
    if (out->n > 512)
        return too_long(err, field, *out, 512);
    bool ok = out->n && out->p[0] == '/' && (!whole || out->p[out->n - 1] == '/');
    for (size_t i = 0; ok && i < out->n; i++)
        ok = out->p[i] >= 0x21 && out->p[i] <= 0x7E;
    return ok ? 0
              : err_set(err, E_VALIDATION,
                        "The specified value for %s is invalid. It must begin and end with / and "
                        "contain only alphanumeric characters and/or / characters.",
                        member_of(field, member));
}

int iam_number(struct call *c, const char *field, uint64_t low, uint64_t high, uint64_t *out,
               struct err *err)
{
    struct str s = call_query(c, field);
    uint64_t n = 0;
    char limit[96];
    if (!s.p)
        return 0;
    bool ok = str_u64(s, &n);
    if (ok && n >= low && n <= high) {
        *out = n;
        return 0;
    }
    snprintf(limit, sizeof limit, "Member must have value %s than or equal to %llu",
             ok && n > high ? "less" : "greater",
             (unsigned long long)(ok && n > high ? high : low));
    return iam_invalid(err, field, s, limit);
}

int iam_bool(struct call *c, const char *field, bool *out, struct err *err)
{
    struct str s = call_query(c, field);
    if (!s.p)
        return 0;
    *out = str_ieq(s, STR("true"));
    return *out || str_ieq(s, STR("false"))
               ? 0
               : iam_invalid(err, field, s, "Member must be true or false");
}

int iam_text(struct call *c, const char *field, size_t max, struct str *out, struct err *err)
{
    struct str s = call_query(c, field);
    if (!s.p)
        return 0;
    *out = s;
    return s.n > max ? too_long(err, field, s, max) : 0;
}

int iam_document(struct call *c, const char *field, enum policy_kind kind, struct str *out,
                 struct err *err)
{
    *out = call_query(c, field);
    if (!out->p)
        return iam_invalid(err, field, *out, "");
    if (out->n == 0)
        return iam_invalid(err, field, *out, "Member must have length greater than or equal to 1");
    struct policy *p = policy_parse(*out, kind, err);
    policy_free(p);
    return p ? 0 : E_BAD_POLICY;
}

int iam_arn(struct call *c, const char *field, struct str *out, struct err *err)
{
    struct arn a;
    *out = call_query(c, field);
    if (!out->p)
        return iam_invalid(err, field, *out, "");
    if (out->n < 20)
        return iam_invalid(err, field, *out, "Member must have length greater than or equal to 20");
    if (out->n > 2048)
        return too_long(err, field, *out, 2048);
    return arn_parse(*out, &a) ? 0
                               : err_set(err, E_VALIDATION, "ARN %.*s is not valid.",
                                         (int)(out->n < 256 ? out->n : 256), out->p);
}

struct str iam_member(struct call *c, const char *list, int i, const char *member)
{
    char field[96];
    snprintf(field, sizeof field, "%s.member.%d%s%s", list, i, *member ? "." : "", member);
    return call_query(c, field);
}

int iam_tags(struct call *c, struct buf *out, struct err *err)
{
    struct str key, value;
    size_t from = out->n;
    int n = 0;
    for (int i = 1; (key = iam_member(c, "Tags", i, "Key")).p; i++) {
        value = iam_member(c, "Tags", i, "Value");
        if (!value.p)
            return iam_invalid(err, "tags.value", value, "");
        if (key.n == 0 || key.n > TAG_KEY_MAX)
            return iam_invalid(err, "tags.key", key,
                               "Member must have length between 1 and 128, inclusive");
        if (value.n > TAG_VALUE_MAX)
            return too_long(err, "tags.value", value, TAG_VALUE_MAX);
        if (str_starts(key, STR("aws:")))
            return err_set(err, E_INVALID,
                           "System tags (keys that begin with aws:) cannot be set by anybody.");
        if (entity_tag(str_from(buf_str(out), from), key).p)
            return err_set(err, E_INVALID,
                           "Duplicate tag keys found. Please note that Tag keys are case "
                           "insensitive.");
        if (++n > ENTITY_TAGS_MAX)
            return err_set(err, E_QUOTA, "The number of tags has reached the maximum limit.");
        size_t mark = rec_begin(out, ENTITY_TAG);
        rec_put_str(out, 1, key);
        rec_put_str(out, 2, value);
        rec_end(out, mark);
    }
    return 0;
}

int iam_refuse_boundary(struct call *c, struct err *err)
{
    return call_query(c, "PermissionsBoundary").p
               ? err_set(err, E_INVALID, "Permissions boundaries are not supported.")
               : 0;
}

/* --- writes -----------------------------------------------------------------------------------
 */

static int change_apply(struct job *job, struct store_txn *t)
{
    struct iam_change *ch = (struct iam_change *)job;
    ch->err = (struct err){0};
    return ch->apply(ch, t);
}

static void forget(struct iam_change *ch)
{
    struct services *svc = ch->c->svc;
    if (!ch->kind)
        identity_policy_changed(svc->identities);
    else if (ch->kind == &entity_role)
        role_changed(svc->roles, ch->name);
    else
        identity_user_changed(svc->identities, ch->name);
    for (size_t i = 0; i < KEYS_PER_USER; i++)
        if (*ch->keys[i])
            identity_key_changed(svc->identities, str_c(ch->keys[i]));
}

static void change_done(struct job *job, int rc)
{
    struct iam_change *ch = (struct iam_change *)job;
    forget(ch);
    if (rc)
        call_error(ch->c, rc, &ch->err);
    else if (ch->reply)
        ch->reply(ch);
    else
        call_result(ch->c, NULL);
}

void iam_submit(struct call *c, const struct iam_change *from, int rc)
{
    struct iam_change *ch = rc ? NULL : arena_alloc(c->arena, sizeof *ch);
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

int iam_keep(struct call *c, struct buf *b, struct str *rec)
{
    int rc = b->rc;
    *rec = arena_dup(c->arena, buf_str(b));
    buf_deinit(b);
    return rc ? rc : rec->p ? 0 : E_LIMIT;
}

/* --- reads ------------------------------------------------------------------------------------
 */

void iam_reply(struct call *c, int rc, const struct err *err, struct buf *b)
{
    if (rc)
        call_error(c, rc, err);
    else
        call_result(c, b);
    buf_deinit(b);
}

int iam_page(struct call *c, struct iam_page *p, struct err *err)
{
    struct str marker = call_query(c, "Marker");
    *p = (struct iam_page){.max = 100};
    if (marker.p && !str_u64(marker, &p->skip))
        return iam_invalid(err, "Marker", marker, "Member must be a marker of an earlier answer");
    return iam_number(c, "MaxItems", 1, IAM_PAGE_MAX, &p->max, err);
}

bool iam_page_has(struct iam_page *p)
{
    uint64_t at = p->seen++;
    if (at < p->skip)
        return false;
    if (at - p->skip < p->max)
        return true;
    p->more = true;
    return false;
}

void iam_page_end(const struct iam_page *p, struct buf *b)
{
    buf_printf(b, "<IsTruncated>%s</IsTruncated>", p->more ? "true" : "false");
    if (p->more)
        iam_number_element(b, "Marker", p->skip + p->max);
}

void iam_list_members(struct call *c, const char *list, struct str prefix,
                      bool (*next)(struct str *rest, struct str *key, struct str *value),
                      void (*add)(struct buf *b, struct str key, struct str value))
{
    const struct entity_kind *kind = iam_kind(c);
    struct err err = {0};
    struct iam_page page;
    struct str name, rec, key, value;
    struct buf b = BUF_INIT;
    int rc = iam_entity_name(c, kind, false, &name, &err);
    if (rc == 0)
        rc = iam_page(c, &page, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = entity_get(t, kind, name, &rec, &err);
        buf_printf(&b, "<%s>", list);
        while (rc == 0 && next(&rec, &key, &value))
            if (str_starts(value, prefix) && iam_page_has(&page))
                add(&b, key, value);
        buf_printf(&b, "</%s>", list);
        iam_page_end(&page, &b);
        store_read_end(t);
    }
    iam_reply(c, rc, &err, &b);
}

/* --- XML --------------------------------------------------------------------------------------
 */

/* Documents travel percent-encoded inside XML. */
void iam_document_element(struct buf *b, const char *name, struct str document)
{
    buf_printf(b, "<%s>", name);
    uri_encode(b, document, false);
    buf_printf(b, "</%s>", name);
}

void iam_date_element(struct buf *b, const char *name, int64_t ms)
{
    char when[25];
    clock_iso8601(ms, when);
    buf_printf(b, "<%s>%.19sZ</%s>", name, when, name);
}

void iam_number_element(struct buf *b, const char *name, uint64_t n)
{
    buf_printf(b, "<%s>%llu</%s>", name, (unsigned long long)n, name);
}

void iam_name_element(struct buf *b, const struct entity_kind *kind, struct str name)
{
    xml_element(b, kind == &entity_user ? "UserName" : "RoleName", name);
}

void iam_tags_element(struct buf *b, struct str rec, uint16_t tag, bool always)
{
    struct str v;
    bool any = always;
    if (always)
        buf_lit(b, "<Tags>");
    while (entity_next(&rec, tag, &v)) {
        if (!any)
            buf_lit(b, "<Tags>");
        any = true;
        buf_lit(b, "<member>");
        xml_element(b, "Key", rec_str(v, 1));
        xml_element(b, "Value", rec_str(v, 2));
        buf_lit(b, "</member>");
    }
    if (any)
        buf_lit(b, "</Tags>");
}

void iam_entity_members(struct buf *b, const struct entity_kind *kind, struct str name,
                        struct str rec, bool with_tags)
{
    bool role = kind == &entity_role;
    struct buf arn = BUF_INIT;
    struct str description = rec_str(rec, ENTITY_DESCRIPTION);
    entity_arn(kind, &arn, name, rec);
    xml_element(b, "Path", rec_str(rec, ENTITY_PATH));
    iam_name_element(b, kind, name);
    xml_element(b, role ? "RoleId" : "UserId", rec_str(rec, ENTITY_ID));
    xml_element(b, "Arn", buf_str(&arn));
    iam_date_element(b, "CreateDate", (int64_t)rec_u64(rec, ENTITY_CREATED_MS, 0));
    if (role)
        iam_document_element(b, "AssumeRolePolicyDocument", rec_str(rec, ENTITY_TRUST));
    if (role && description.n)
        xml_element(b, "Description", description);
    if (role)
        iam_number_element(b, "MaxSessionDuration", rec_u64(rec, ENTITY_MAX_SESSION_S, 3600));
    if (with_tags)
        iam_tags_element(b, rec, ENTITY_TAG, false);
    buf_deinit(&arn);
}
