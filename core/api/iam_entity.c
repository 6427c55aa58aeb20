/* iam_entity: roles and users: made, read, listed, changed, removed; their tags.
 *
 * Both kinds go the same way; where they differ (a role's trust, a user's keys) the code says so. */
#include "api/iam.h"
#include "base/clock.h"
#include "store/key.h"

enum { TRUST_MAX = 2048, DESCRIPTION_MAX = 1000 };

static const char *element_of(const struct entity_kind *kind)
{
    return kind->Word;
}

static void entity_element(struct buf *b, const struct entity_kind *kind, struct str name,
                           struct str rec)
{
    buf_printf(b, "<%s>", element_of(kind));
    iam_entity_members(b, kind, name, rec, true);
    buf_printf(b, "</%s>", element_of(kind));
}

static void reply_entity(struct iam_change *ch)
{
    struct buf b = BUF_INIT;
    entity_element(&b, ch->kind, ch->name, ch->rec);
    call_result(ch->c, &b);
    buf_deinit(&b);
}

/* --- make -------------------------------------------------------------------------------------
 */

static int apply_create(struct iam_change *ch, struct store_txn *t)
{
    struct str old;
    int rc = entity_get(t, ch->kind, ch->name, &old, NULL);
    if (rc == 0)
        return err_set(&ch->err, E_EXISTS, "%s with name %.*s already exists.", ch->kind->Word,
                       STR_FMT(ch->name));
    return rc == E_NOT_FOUND ? entity_put(t, ch->kind, ch->name, ch->rec) : rc;
}

static int trust_document(struct call *c, const char *field, struct str *out, struct err *err)
{
    int rc = iam_document(c, field, POLICY_TRUST, out, err);
    if (rc == 0 && out->n > TRUST_MAX)
        rc = err_set(err, E_QUOTA, "Cannot exceed quota for ACLSizePerRole: %d", TRUST_MAX);
    return rc;
}

static int role_record(struct call *c, struct buf *b, struct err *err)
{
    struct role_spec spec = {.created_ms = clock_wall_ms(), .max_session_s = 3600};
    int rc = iam_path(c, "Path", true, &spec.path, err);
    if (rc == 0)
        rc = iam_text(c, "Description", DESCRIPTION_MAX, &spec.description, err);
    if (rc == 0)
        rc = iam_number(c, "MaxSessionDuration", 3600, 43200, &spec.max_session_s, err);
    if (rc == 0)
        rc = trust_document(c, "AssumeRolePolicyDocument", &spec.trust, err);
    if (rc == 0)
        role_build(b, &spec);
    return rc;
}

static int user_record(struct call *c, struct buf *b, struct err *err)
{
    char id[ENTITY_ID_SIZE];
    struct str path;
    int rc = iam_path(c, "Path", true, &path, err);
    if (rc)
        return rc;
    entity_id(entity_user.id_prefix, id);
    rec_put_str(b, ENTITY_ID, str_c(id));
    rec_put_str(b, ENTITY_PATH, path);
    rec_put_u64(b, ENTITY_CREATED_MS, (uint64_t)clock_wall_ms());
    return 0;
}

void iam_create(struct call *c)
{
    struct iam_change ch = {.kind = iam_kind(c), .apply = apply_create, .reply = reply_entity};
    struct buf b = BUF_INIT;
    int rc = iam_entity_name(c, ch.kind, false, &ch.name, &ch.err);
    if (rc == 0)
        rc = iam_refuse_boundary(c, &ch.err);
    if (rc == 0)
        rc = ch.kind == &entity_role ? role_record(c, &b, &ch.err) : user_record(c, &b, &ch.err);
    if (rc == 0)
        rc = iam_tags(c, &b, &ch.err);
    if (rc == 0)
        rc = iam_keep(c, &b, &ch.rec);
    buf_deinit(&b);
    iam_submit(c, &ch, rc);
}

/* --- read -------------------------------------------------------------------------------------
 */

/* The root user is a user of no row. */
static void root_element(struct buf *b, const struct call *c)
{
    buf_lit(b, "<User>");
    xml_element(b, "Path", STR("/"));
    xml_element(b, "UserName", STR("root"));
    xml_element(b, "UserId", c->who.user_id);
    xml_element(b, "Arn", c->who.arn);
    iam_date_element(b, "CreateDate", c->svc->started_ms);
    buf_lit(b, "</User>");
}

void iam_get(struct call *c)
{
    const struct entity_kind *kind = iam_kind(c);
    struct err err = {0};
    struct str name, rec;
    struct buf b = BUF_INIT;
    bool root = kind == &entity_user && c->who.root && !call_query(c, "UserName").p;
    int rc = root ? 0 : iam_entity_name(c, kind, kind == &entity_user, &name, &err);
    if (root) {
        root_element(&b, c);
    } else if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        rc = entity_get(t, kind, name, &rec, &err);
        if (rc == 0)
            entity_element(&b, kind, name, rec);
        store_read_end(t);
    }
    iam_reply(c, rc, &err, &b);
}

/* Those after `marker` whose path begins with `path`, as members; true when more follow. */
static bool list_page(struct store_txn *t, const struct entity_kind *kind, struct buf *b,
                      struct str path, struct str marker, uint64_t max, struct str *last)
{
    struct key from = {0};
    struct str k, v, name;
    struct store_cursor *cur = store_cursor(t, kind->table);
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
        iam_entity_members(b, kind, name, v, false);
        buf_lit(b, "</member>");
        *last = name;
    }
    store_cursor_close(cur);
    return more;
}

void iam_list(struct call *c)
{
    enum { AT_ONCE = 200 }; /* documents make a role's element long */
    const struct entity_kind *kind = iam_kind(c);
    struct err err = {0};
    struct str path, marker = call_query(c, "Marker"), last = {NULL, 0};
    struct buf b = BUF_INIT;
    uint64_t max = 100;
    int rc = iam_path(c, "PathPrefix", false, &path, &err);
    if (rc == 0)
        rc = iam_number(c, "MaxItems", 1, IAM_PAGE_MAX, &max, &err);
    if (rc == 0 && marker.p)
        rc = iam_name(c, "Marker", ENTITY_NAME_MAX, &marker, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        buf_printf(&b, "<%ss>", element_of(kind));
        bool more = list_page(t, kind, &b, path, marker, max < AT_ONCE ? max : AT_ONCE, &last);
        buf_printf(&b, "</%ss><IsTruncated>%s</IsTruncated>", element_of(kind),
                   more ? "true" : "false");
        if (more)
            xml_element(&b, "Marker", last);
        store_read_end(t);
    }
    iam_reply(c, rc, &err, &b);
}

/* --- remove -----------------------------------------------------------------------------------
 */

static int apply_delete(struct iam_change *ch, struct store_txn *t)
{
    struct str rec, v, rest;
    int rc = entity_get(t, ch->kind, ch->name, &rec, &ch->err);
    static const struct {
        uint16_t tag;
        const char *text;
    } first[] = {
        {ENTITY_POLICY, "Cannot delete entity, must delete policies first."},
        {ENTITY_ATTACHED, "Cannot delete entity, must detach all policies first."},
        {ENTITY_KEY, "Cannot delete entity, must delete access keys first."},
    };
    for (size_t i = 0; rc == 0 && i < sizeof first / sizeof *first; i++) {
        rest = rec;
        if (entity_next(&rest, first[i].tag, &v))
            rc = err_set(&ch->err, E_CONFLICT, "%s", first[i].text);
    }
    return rc ? rc : entity_del(t, ch->kind, ch->name);
}

void iam_delete(struct call *c)
{
    struct iam_change ch = {
        .kind = iam_kind(c), .apply = apply_delete, .job = {.frees_space = true}};
    iam_submit(c, &ch, iam_entity_name(c, ch.kind, false, &ch.name, &ch.err));
}

/* --- change: roles ----------------------------------------------------------------------------
 */

/* value: description, p NULL: stays; number: session's length, 0: stays; document: trust, likewise.
 */
static int apply_update_role(struct iam_change *ch, struct store_txn *t)
{
    struct str rec, v;
    struct buf b = BUF_INIT;
    uint16_t tag;
    int rc = entity_get(t, ch->kind, ch->name, &rec, &ch->err);
    if (rc)
        return rc;
    while (rec_next(&rec, &tag, &v))
        if (!(tag == ENTITY_DESCRIPTION && ch->value.p) &&
            !(tag == ENTITY_MAX_SESSION_S && ch->number) &&
            !(tag == ENTITY_TRUST && ch->document.p))
            rec_put_str(&b, tag, v);
    if (ch->value.p)
        rec_put_str(&b, ENTITY_DESCRIPTION, ch->value);
    if (ch->number)
        rec_put_u64(&b, ENTITY_MAX_SESSION_S, ch->number);
    if (ch->document.p)
        rec_put_str(&b, ENTITY_TRUST, ch->document);
    rc = b.rc ? b.rc : entity_put(t, ch->kind, ch->name, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

/* An empty result element, which UpdateRole's model has. */
static void reply_empty_result(struct iam_change *ch)
{
    struct buf b = BUF_INIT;
    call_result(ch->c, &b);
    buf_deinit(&b);
}

void iam_update_role(struct call *c)
{
    struct iam_change ch = {
        .kind = &entity_role, .apply = apply_update_role, .reply = reply_empty_result};
    int rc = iam_entity_name(c, ch.kind, false, &ch.name, &ch.err);
    if (rc == 0)
        rc = iam_text(c, "Description", DESCRIPTION_MAX, &ch.value, &ch.err);
    if (rc == 0)
        rc = iam_number(c, "MaxSessionDuration", 3600, 43200, &ch.number, &ch.err);
    iam_submit(c, &ch, rc);
}

/* As it is now. */
static void reply_read(struct iam_change *ch)
{
    struct str rec;
    struct buf b = BUF_INIT;
    struct store_txn *t = store_read(ch->c->svc->store);
    int rc = entity_get(t, ch->kind, ch->name, &rec, &ch->err);
    if (rc == 0)
        entity_element(&b, ch->kind, ch->name, rec);
    store_read_end(t);
    iam_reply(ch->c, rc, &ch->err, &b);
}

void iam_update_role_description(struct call *c)
{
    struct iam_change ch = {.kind = &entity_role, .apply = apply_update_role, .reply = reply_read};
    int rc = iam_entity_name(c, ch.kind, false, &ch.name, &ch.err);
    if (rc == 0 && !call_query(c, "Description").p)
        rc = iam_invalid(&ch.err, "Description", call_query(c, "Description"), "");
    if (rc == 0)
        rc = iam_text(c, "Description", DESCRIPTION_MAX, &ch.value, &ch.err);
    iam_submit(c, &ch, rc);
}

void iam_update_assume_role_policy(struct call *c)
{
    struct iam_change ch = {.kind = &entity_role, .apply = apply_update_role};
    int rc = iam_entity_name(c, ch.kind, false, &ch.name, &ch.err);
    if (rc == 0)
        rc = trust_document(c, "PolicyDocument", &ch.document, &ch.err);
    iam_submit(c, &ch, rc);
}

/* --- change: users ----------------------------------------------------------------------------
 */

/* The keys say whose they are. */
static int rename_keys(struct iam_change *ch, struct store_txn *t, struct str rec)
{
    struct str id, old, v;
    size_t n = 0;
    int rc = 0;
    while (rc == 0 && n < KEYS_PER_USER && entity_next(&rec, ENTITY_KEY, &id)) {
        struct buf b = BUF_INIT;
        uint16_t tag;
        snprintf(ch->keys[n++], KEY_ID_SIZE, "%.*s", STR_FMT(id));
        rc = access_key_get(t, id, ch->name, &old, &ch->err);
        while (rc == 0 && rec_next(&old, &tag, &v))
            rec_put_str(&b, tag, tag == KEY_USER ? ch->value : v);
        if (rc == 0)
            rc = b.rc ? b.rc : store_put(t, T_KEYS, str_c(ch->keys[n - 1]), buf_str(&b));
        buf_deinit(&b);
    }
    return rc;
}

/* value: the new name; rec: the new path, p NULL: stays. */
static int apply_update_user(struct iam_change *ch, struct store_txn *t)
{
    struct str rec, other, kept;
    struct buf b = BUF_INIT;
    bool renamed = !str_eq(ch->value, ch->name);
    int rc = entity_get(t, ch->kind, ch->name, &rec, &ch->err);
    if (rc == 0 && renamed && entity_get(t, ch->kind, ch->value, &other, NULL) == 0)
        rc = err_set(&ch->err, E_EXISTS, "User with name %.*s already exists.", STR_FMT(ch->value));
    if (rc)
        return rc;
    if (ch->rec.p) {
        entity_copy_but(&b, rec, ENTITY_PATH, (struct str){NULL, 0});
        rec_put_str(&b, ENTITY_PATH, ch->rec);
    } else {
        buf_add(&b, rec);
    }
    kept = buf_str(&b);
    rc = b.rc ? b.rc : renamed ? rename_keys(ch, t, kept) : 0;
    if (rc == 0)
        rc = entity_put(t, ch->kind, ch->value, kept);
    if (rc == 0 && renamed)
        rc = entity_del(t, ch->kind, ch->name);
    buf_deinit(&b);
    return rc;
}

static void reply_update_user(struct iam_change *ch)
{
    identity_user_changed(ch->c->svc->identities, ch->value); /* may be known as not there */
    call_result(ch->c, NULL);
}

void iam_update_user(struct call *c)
{
    struct iam_change ch = {.kind = &entity_user,
                            .apply = apply_update_user,
                            .reply = reply_update_user,
                            .job = {.undo = true}};
    int rc = iam_entity_name(c, ch.kind, false, &ch.name, &ch.err);
    ch.value = ch.name;
    if (rc == 0 && call_query(c, "NewUserName").p)
        rc = iam_name(c, "NewUserName", ENTITY_NAME_MAX, &ch.value, &ch.err);
    if (rc == 0 && call_query(c, "NewPath").p)
        rc = iam_path(c, "NewPath", true, &ch.rec, &ch.err);
    iam_submit(c, &ch, rc);
}

/* --- tags -------------------------------------------------------------------------------------
 */

/* rec: the new tags as fields. */
static int apply_tag(struct iam_change *ch, struct store_txn *t)
{
    struct str rec, rest, key, value;
    struct buf b = BUF_INIT, next = BUF_INIT;
    size_t n = 0;
    int rc = entity_get(t, ch->kind, ch->name, &rec, &ch->err);
    if (rc)
        return rc;
    buf_add(&b, rec);
    for (rest = ch->rec; entity_tag_next(&rest, &key, &value);) {
        entity_copy_but_tag(&next, buf_str(&b), key);
        buf_deinit(&b);
        b = next;
        next = BUF_INIT;
    }
    buf_add(&b, ch->rec);
    for (rest = buf_str(&b); entity_tag_next(&rest, &key, &value);)
        n++;
    if (n > ENTITY_TAGS_MAX)
        rc = err_set(&ch->err, E_QUOTA, "The number of tags has reached the maximum limit.");
    else
        rc = b.rc ? b.rc : entity_put(t, ch->kind, ch->name, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

void iam_tag(struct call *c)
{
    struct iam_change ch = {.kind = iam_kind(c), .apply = apply_tag};
    struct buf b = BUF_INIT;
    int rc = iam_entity_name(c, ch.kind, false, &ch.name, &ch.err);
    if (rc == 0)
        rc = iam_tags(c, &b, &ch.err);
    if (rc == 0 && b.n == 0)
        rc = iam_invalid(&ch.err, "Tags", (struct str){NULL, 0}, "");
    if (rc == 0)
        rc = iam_keep(c, &b, &ch.rec);
    buf_deinit(&b);
    iam_submit(c, &ch, rc);
}

static int apply_untag(struct iam_change *ch, struct store_txn *t)
{
    struct str rec, key;
    struct buf b = BUF_INIT, next = BUF_INIT;
    int rc = entity_get(t, ch->kind, ch->name, &rec, &ch->err);
    if (rc)
        return rc;
    buf_add(&b, rec);
    for (rec = ch->rec; entity_next(&rec, 1, &key);) {
        entity_copy_but_tag(&next, buf_str(&b), key);
        buf_deinit(&b);
        b = next;
        next = BUF_INIT;
    }
    rc = b.rc ? b.rc : entity_put(t, ch->kind, ch->name, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

void iam_untag(struct call *c)
{
    struct iam_change ch = {.kind = iam_kind(c), .apply = apply_untag};
    struct buf b = BUF_INIT;
    struct str key;
    int rc = iam_entity_name(c, ch.kind, false, &ch.name, &ch.err);
    for (int i = 1; (key = iam_member(c, "TagKeys", i, "")).p && i <= ENTITY_TAGS_MAX; i++)
        rec_put_str(&b, 1, key);
    if (rc == 0 && b.n == 0)
        rc = iam_invalid(&ch.err, "TagKeys", (struct str){NULL, 0}, "");
    if (rc == 0)
        rc = iam_keep(c, &b, &ch.rec);
    buf_deinit(&b);
    iam_submit(c, &ch, rc);
}

static void tag_member(struct buf *b, struct str key, struct str value)
{
    buf_lit(b, "<member>");
    xml_element(b, "Key", key);
    xml_element(b, "Value", value);
    buf_lit(b, "</member>");
}

void iam_list_tags(struct call *c)
{
    iam_list_members(c, "Tags", STR(""), entity_tag_next, tag_member);
}
