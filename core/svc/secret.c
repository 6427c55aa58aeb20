/* secret: one row a name. The value never leaves this file unsealed but into the buffer of whoever
 * asks for it, and the label of the seal holds the name, so that a row copied over another one does
 * not open. */
#include "svc/secret.h"

#include <openssl/crypto.h>

#include "base/rec.h"
#include "store/key.h"

enum { SECRET_SEALED = 1, SECRET_CREATED_MS, SECRET_CHANGED_MS };

int secret_name_check(struct str name)
{
    if (name.n < 1 || name.n > SECRET_NAME_MAX || name.p[0] == '/' || name.p[name.n - 1] == '/')
        return E_INVALID;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || !strchr("-_./+=@", c)))
            return E_INVALID;
    }
    return 0;
}

static struct key key_of(struct str name)
{
    struct key k = {0};
    key_name(&k, name);
    return k;
}

static void label_of(struct buf *label, struct str name)
{
    buf_lit(label, "secret/");
    buf_add(label, name);
}

int secret_get(struct store_txn *t, struct str name, struct buf *out)
{
    struct str row;
    struct buf label = BUF_INIT;
    int rc = secret_name_check(name);
    if (rc)
        return rc;
    struct key k = key_of(name);
    rc = store_get(t, T_SECRETS, key_str(&k), &row);
    if (rc)
        return rc;
    label_of(&label, name);
    if (!store_unseal(store_of(t), buf_str(&label), rec_str(row, SECRET_SEALED), out))
        rc = E_INTERNAL;
    buf_deinit(&label);
    return rc;
}

void secret_seal(const struct store *s, struct str name, struct str value, struct buf *out)
{
    struct buf label = BUF_INIT;
    label_of(&label, name);
    store_seal(s, buf_str(&label), value, out);
    buf_deinit(&label);
}

int secret_put(struct store_txn *t, struct str name, struct str sealed, int64_t now_ms,
               bool *created)
{
    struct str row;
    struct buf b = BUF_INIT;
    int rc = secret_name_check(name);
    if (rc)
        return rc;
    struct key k = key_of(name);
    rc = store_get(t, T_SECRETS, key_str(&k), &row);
    if (rc && rc != E_NOT_FOUND)
        return rc;
    *created = rc == E_NOT_FOUND;
    uint64_t now = (uint64_t)now_ms;
    rec_put_str(&b, SECRET_SEALED, sealed);
    rec_put_u64(&b, SECRET_CREATED_MS, *created ? now : rec_u64(row, SECRET_CREATED_MS, now));
    rec_put_u64(&b, SECRET_CHANGED_MS, now);
    rc = b.rc ? E_INTERNAL : store_put(t, T_SECRETS, key_str(&k), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

int secret_del(struct store_txn *t, struct str name)
{
    struct str row;
    int rc = secret_name_check(name);
    if (rc)
        return rc;
    struct key k = key_of(name);
    rc = store_get(t, T_SECRETS, key_str(&k), &row);
    return rc ? rc : store_del(t, T_SECRETS, key_str(&k));
}

bool secret_list(struct store_txn *t, struct str after, size_t limit,
                 void (*entry)(void *ctx, const struct secret_info *s), void *ctx)
{
    struct key from = {0};
    struct str k, v;
    if (after.n)
        key_bytes(key_bytes(&from, after), STR("\1")); /* after NAME NUL */
    struct store_cursor *c = store_cursor(t, T_SECRETS);
    bool any = store_seek(c, key_str(&from), &k, &v);
    for (size_t n = 0; any && n < limit; n++) {
        struct secret_info s = {
            .created_ms = (int64_t)rec_u64(v, SECRET_CREATED_MS, 0),
            .changed_ms = (int64_t)rec_u64(v, SECRET_CHANGED_MS, 0),
        };
        if (key_take_name(&k, &s.name))
            entry(ctx, &s);
        any = store_next(c, &k, &v);
    }
    store_cursor_close(c);
    return any;
}

void secret_wipe(struct buf *b)
{
    if (b->p)
        OPENSSL_cleanse(b->p, b->cap);
    buf_deinit(b);
}
