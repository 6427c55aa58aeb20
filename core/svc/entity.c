/* entity: records of roles and users, field by field.
 *
 * A change copies the record without what is to go and appends what is new; fields that a later
 * version may have added are carried along. */
#include "svc/entity.h"

#include "auth/arn.h"
#include "base/hash.h"
#include "store/key.h"

enum { POLICIES_MAX = 64 };

const struct entity_kind entity_role = {T_ROLES, "role", "Role", "AROA", 10240};
const struct entity_kind entity_user = {T_USERS, "user", "User", "AIDA", 2048};

/* --- names ------------------------------------------------------------------------------------
 */

void entity_id(const char *prefix, char out[static ENTITY_ID_SIZE])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned char random[ENTITY_ID_SIZE];
    random_bytes(random, sizeof random);
    size_t n = (size_t)snprintf(out, ENTITY_ID_SIZE, "%s", prefix);
    for (; n < ENTITY_ID_SIZE - 1; n++)
        out[n] = alphabet[random[n] % 32];
    out[n] = 0;
}

void entity_arn(const struct entity_kind *kind, struct buf *out, struct str name, struct str rec)
{
    struct str path = rec_str(rec, ENTITY_PATH);
    buf_printf(out, "arn:aws:iam::" ACCOUNT_ID ":%s", kind->word);
    buf_add(out, path.n ? path : STR("/"));
    buf_add(out, name);
}

struct str entity_name_of(const struct entity_kind *kind, struct str arn)
{
    struct arn a;
    struct str none = {NULL, 0}, name, rest, word = str_c(kind->word);
    if (!arn_parse(arn, &a) || !str_is(a.partition, "aws") || !str_is(a.service, "iam") ||
        a.region.n || !str_is(a.account, ACCOUNT_ID) || !str_starts(a.resource, word) ||
        a.resource.n <= word.n || a.resource.p[word.n] != '/')
        return none;
    rest = str_from(a.resource, word.n + 1);
    do
        name = str_cut(&rest, '/');
    while (rest.p);
    return name.n && name.n <= ENTITY_NAME_MAX ? name : none;
}

/* --- rows -------------------------------------------------------------------------------------
 */

int entity_get(struct store_txn *t, const struct entity_kind *kind, struct str name,
               struct str *rec, struct err *err)
{
    struct key k = {0};
    int rc = E_NOT_FOUND;
    if (name.n && name.n <= ENTITY_NAME_MAX && str_index(name, 0, 0) < 0)
        rc = store_get(t, kind->table, key_str(key_name(&k, name)), rec);
    if (rc == E_NOT_FOUND)
        err_set(err, rc, "The %s with name %.*s cannot be found.", kind->word, STR_FMT(name));
    return rc;
}

int entity_put(struct store_txn *t, const struct entity_kind *kind, struct str name, struct str rec)
{
    struct key k = {0};
    return store_put(t, kind->table, key_str(key_name(&k, name)), rec);
}

int entity_del(struct store_txn *t, const struct entity_kind *kind, struct str name)
{
    struct key k = {0};
    return store_del(t, kind->table, key_str(key_name(&k, name)));
}

/* --- inline policies --------------------------------------------------------------------------
 */

bool entity_policy_next(struct str *rest, struct str *name, struct str *document)
{
    struct str v;
    if (!entity_next(rest, ENTITY_POLICY, &v))
        return false;
    *name = rec_str(v, 1);
    *document = rec_str(v, 2);
    return true;
}

int entity_policy_get(const struct entity_kind *kind, struct str rec, struct str policy,
                      struct str *document, struct err *err)
{
    struct str name;
    while (entity_policy_next(&rec, &name, document))
        if (str_eq(name, policy))
            return 0;
    return err_set(err, E_NOT_FOUND, "The %s policy with name %.*s cannot be found.", kind->word,
                   STR_FMT(policy));
}

/* White space does not count. */
static size_t policy_bytes(struct str document)
{
    size_t n = 0;
    for (size_t i = 0; i < document.n; i++)
        n += !strchr(" \t\r\n", document.p[i]);
    return n;
}

/* Copies all of rec but the policy of that name; counts the policies copied. */
static void copy_others(struct buf *out, struct str rec, struct str policy, size_t *count,
                        size_t *bytes)
{
    struct str v;
    uint16_t tag;
    while (rec_next(&rec, &tag, &v)) {
        if (tag == ENTITY_POLICY) {
            if (str_eq(rec_str(v, 1), policy))
                continue;
            *bytes += policy_bytes(rec_str(v, 2));
            ++*count;
        }
        rec_put_str(out, tag, v);
    }
}

int entity_policy_put(struct store_txn *t, const struct entity_kind *kind, struct str name,
                      struct str policy, struct str document, struct err *err)
{
    struct str rec;
    struct buf b = BUF_INIT;
    size_t count = 0, bytes = policy_bytes(document);
    int rc = entity_get(t, kind, name, &rec, err);
    if (rc)
        return rc;
    copy_others(&b, rec, policy, &count, &bytes);
    size_t mark = rec_begin(&b, ENTITY_POLICY);
    rec_put_str(&b, 1, policy);
    rec_put_str(&b, 2, document);
    rec_end(&b, mark);
    if (bytes > kind->policy_bytes_max || count >= POLICIES_MAX)
        rc = err_set(err, E_QUOTA, "Maximum policy size of %u bytes exceeded for %s %.*s",
                     kind->policy_bytes_max, kind->word, STR_FMT(name));
    else
        rc = b.rc ? b.rc : entity_put(t, kind, name, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

int entity_policy_del(struct store_txn *t, const struct entity_kind *kind, struct str name,
                      struct str policy, struct err *err)
{
    struct str rec, document;
    struct buf b = BUF_INIT;
    size_t count = 0, bytes = 0;
    int rc = entity_get(t, kind, name, &rec, err);
    if (rc == 0)
        rc = entity_policy_get(kind, rec, policy, &document, err);
    if (rc)
        return rc;
    copy_others(&b, rec, policy, &count, &bytes);
    rc = b.rc ? b.rc : entity_put(t, kind, name, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

/* --- lists ------------------------------------------------------------------------------------
 */

bool entity_next(struct str *rest, uint16_t tag, struct str *value)
{
    uint16_t got;
    while (rec_next(rest, &got, value))
        if (got == tag)
            return true;
    return false;
}

bool entity_has(struct str rec, uint16_t tag, struct str value)
{
    struct str v;
    while (entity_next(&rec, tag, &v))
        if (str_eq(v, value))
            return true;
    return false;
}

bool entity_tag_next(struct str *rest, struct str *key, struct str *value)
{
    struct str v;
    if (!entity_next(rest, ENTITY_TAG, &v))
        return false;
    *key = rec_str(v, 1);
    *value = rec_str(v, 2);
    return true;
}

struct str entity_tag(struct str rec, struct str key)
{
    struct str k, v;
    while (entity_tag_next(&rec, &k, &v))
        if (str_ieq(k, key))
            return v;
    return (struct str){NULL, 0};
}

void entity_copy_but(struct buf *out, struct str rec, uint16_t tag, struct str value)
{
    struct str v;
    uint16_t got;
    while (rec_next(&rec, &got, &v))
        if (got != tag || (value.p && !str_eq(v, value)))
            rec_put_str(out, got, v);
}

void entity_copy_but_tag(struct buf *out, struct str rec, struct str key)
{
    struct str v;
    uint16_t got;
    while (rec_next(&rec, &got, &v))
        if (got != ENTITY_TAG || !str_ieq(rec_str(v, 1), key))
            rec_put_str(out, got, v);
}
