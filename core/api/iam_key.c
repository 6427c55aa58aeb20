/* iam_key: access keys of users. The secret is told once, in the answer that makes it. */
#include <openssl/crypto.h>

#include "api/iam.h"
#include "base/clock.h"

static int take_user(struct call *c, struct iam_change *ch)
{
    ch->kind = &entity_user;
    return iam_entity_name(c, ch->kind, true, &ch->name, &ch->err);
}

static int take_key(struct call *c, struct str *id, struct err *err)
{
    *id = call_query(c, "AccessKeyId");
    bool ok = id->n >= 16 && id->n <= 128;
    for (size_t i = 0; ok && i < id->n; i++)
        ok = (id->p[i] >= 'a' && id->p[i] <= 'z') || (id->p[i] >= 'A' && id->p[i] <= 'Z') ||
             (id->p[i] >= '0' && id->p[i] <= '9') || id->p[i] == '_';
    if (id->p && id->n < 16)
        return iam_invalid(err, "AccessKeyId", *id,
                           "Member must have length greater than or equal to 16");
    return ok ? 0
              : iam_invalid(err, "AccessKeyId", *id,
                            "Member must satisfy regular expression pattern: [\\w]+");
}

/* --- make -------------------------------------------------------------------------------------
 */

static int apply_create(struct iam_change *ch, struct store_txn *t)
{
    return access_key_add(t, ch->name, ch->arn, ch->rec, &ch->err);
}

static void reply_create(struct iam_change *ch)
{
    struct buf b = BUF_INIT;
    buf_lit(&b, "<AccessKey>");
    xml_element(&b, "UserName", ch->name);
    xml_element(&b, "AccessKeyId", ch->arn);
    xml_element(&b, "Status", STR("Active"));
    xml_element(&b, "SecretAccessKey", ch->value);
    iam_date_element(&b, "CreateDate", ch->now_ms);
    buf_lit(&b, "</AccessKey>");
    call_result(ch->c, &b);
    OPENSSL_cleanse(b.p, b.n);
    buf_deinit(&b);
}

/* arn: the key's id; value: its secret. */
void iam_create_access_key(struct call *c)
{
    struct iam_change ch = {
        .apply = apply_create, .reply = reply_create, .now_ms = clock_wall_ms(), .job.undo = true};
    char id[KEY_ID_SIZE], secret[KEY_SECRET_SIZE];
    struct buf b = BUF_INIT;
    int rc = take_user(c, &ch);
    if (rc == 0) {
        access_key_make("AKIA", id, secret);
        access_key_build(&b, c->svc->store, ch.name, str_c(id), str_c(secret), ch.now_ms);
        ch.arn = arena_dup(c->arena, str_c(id));
        snprintf(ch.keys[0], sizeof ch.keys[0], "%s", id); /* may be known as not there */
        ch.value = arena_dup(c->arena, str_c(secret));
        rc = iam_keep(c, &b, &ch.rec);
        if (!ch.arn.p || !ch.value.p)
            rc = E_LIMIT;
        OPENSSL_cleanse(secret, sizeof secret);
    }
    iam_submit(c, &ch, rc);
}

/* --- change, remove ---------------------------------------------------------------------------
 */

static int apply_update(struct iam_change *ch, struct store_txn *t)
{
    return access_key_set(t, ch->name, str_c(ch->keys[0]), ch->flag, &ch->err);
}

static int take_both(struct call *c, struct iam_change *ch)
{
    struct str id = {NULL, 0};
    int rc = take_user(c, ch);
    if (rc == 0)
        rc = take_key(c, &id, &ch->err);
    if (rc == 0 && id.n >= sizeof ch->keys[0])
        rc = err_set(&ch->err, E_NOT_FOUND, "The Access Key with id %.*s cannot be found.",
                     STR_FMT(id));
    if (rc == 0)
        snprintf(ch->keys[0], sizeof ch->keys[0], "%.*s", STR_FMT(id));
    return rc;
}

void iam_update_access_key(struct call *c)
{
    struct iam_change ch = {.apply = apply_update};
    struct str status = call_query(c, "Status");
    int rc = take_both(c, &ch);
    ch.flag = str_is(status, "Active");
    if (rc == 0 && !ch.flag && !str_is(status, "Inactive"))
        rc = iam_invalid(&ch.err, "Status", status,
                         "Member must satisfy enum value set: [Active, Inactive]");
    iam_submit(c, &ch, rc);
}

static int apply_delete(struct iam_change *ch, struct store_txn *t)
{
    return access_key_del(t, ch->name, str_c(ch->keys[0]), &ch->err);
}

void iam_delete_access_key(struct call *c)
{
    struct iam_change ch = {.apply = apply_delete, .job = {.frees_space = true, .undo = true}};
    iam_submit(c, &ch, take_both(c, &ch));
}

/* --- read -------------------------------------------------------------------------------------
 */

static void key_member(struct buf *b, struct str user, struct str id, bool active, int64_t created)
{
    buf_lit(b, "<member>");
    xml_element(b, "UserName", user);
    xml_element(b, "AccessKeyId", id);
    xml_element(b, "Status", active ? STR("Active") : STR("Inactive"));
    iam_date_element(b, "CreateDate", created);
    buf_lit(b, "</member>");
}

static int list_keys(struct store_txn *t, struct str user, struct iam_page *page, struct buf *b,
                     struct err *err)
{
    struct str rec, id, key;
    int rc = entity_get(t, &entity_user, user, &rec, err);
    while (rc == 0 && entity_next(&rec, ENTITY_KEY, &id)) {
        if (!iam_page_has(page))
            continue;
        rc = access_key_get(t, id, user, &key, err);
        if (rc == 0)
            key_member(b, user, id, !rec_u64(key, KEY_INACTIVE, 0),
                       (int64_t)rec_u64(key, KEY_CREATED_MS, 0));
    }
    return rc;
}

void iam_list_access_keys(struct call *c)
{
    struct iam_change ch = {.err = {0}};
    struct iam_page page;
    struct buf b = BUF_INIT;
    bool root = c->who.root && !call_query(c, "UserName").p;
    int rc = root ? 0 : take_user(c, &ch);
    if (rc == 0)
        rc = iam_page(c, &page, &ch.err);
    if (rc == 0) {
        struct store_txn *t = store_read(c->svc->store);
        buf_lit(&b, "<AccessKeyMetadata>");
        if (root && iam_page_has(&page))
            key_member(&b, STR("root"), c->svc->root_access_key, true, c->svc->started_ms);
        else if (!root)
            rc = list_keys(t, ch.name, &page, &b, &ch.err);
        buf_lit(&b, "</AccessKeyMetadata>");
        iam_page_end(&page, &b);
        store_read_end(t);
    }
    iam_reply(c, rc, &ch.err, &b);
}

void iam_get_access_key_last_used(struct call *c)
{
    struct err err = {0};
    struct str id, rec;
    struct buf b = BUF_INIT;
    int rc = take_key(c, &id, &err);
    if (rc == 0) {
        struct access_key_use use;
        struct store_txn *t = store_read(c->svc->store);
        rc = access_key_get(t, id, STR(""), &rec, &err);
        if (rc == 0) {
            access_key_last_use(identity_keys(c->svc->identities), id, rec, &use);
            xml_element(&b, "UserName", rec_str(rec, KEY_USER));
            buf_lit(&b, "<AccessKeyLastUsed>");
            if (use.ms)
                iam_date_element(&b, "LastUsedDate", use.ms);
            xml_element(&b, "ServiceName", use.ms ? str_c(use.service) : STR("N/A"));
            xml_element(&b, "Region", use.ms ? str_c(use.region) : STR("N/A"));
            buf_lit(&b, "</AccessKeyLastUsed>");
        }
        store_read_end(t);
    }
    iam_reply(c, rc, &err, &b);
}
