/* kv: the functions' key-value store.
 *
 * One row a key: version, expiry, value. Versions come from one counter for the whole store, so a
 * key that was deleted and set again never bears a version that somebody still holds. An expired
 * row is absent to every reader from that moment; its bytes go with the next sweep, which finds it
 * in T_KV_DUE: a row that expires has exactly one row there. Refusals write nothing, as store.h
 * asks of a job. */
#include "svc/kv.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/rec.h"
#include "store/key.h"

enum { KV_VERSION = 1, KV_EXPIRES_MS, KV_VALUE };
enum { LIST_VISITS_MAX = 4000 }; /* rows that one page looks at, expired ones included */
#define TTL_MAX_MS (100ull * 366 * 86400 * 1000)

int kv_namespace_check(struct str ns)
{
    if (ns.n < 1 || ns.n > 64)
        return E_INVALID;
    for (size_t i = 0; i < ns.n; i++) {
        char c = ns.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
        if (!ok)
            return E_INVALID;
    }
    return 0;
}

static int key_of(struct str ns, struct str key, struct key *out)
{
    int rc = kv_namespace_check(ns);
    if (rc == 0 && (key.n < 1 || key.n > KV_KEY_MAX))
        rc = E_INVALID;
    out->n = 0;
    if (rc == 0)
        key_bytes(key_name(out, ns), key);
    return rc;
}

/* False when it has expired. */
static bool read_row(struct str row, struct kv_item *out)
{
    out->version = rec_u64(row, KV_VERSION, 0);
    out->expires_ms = (int64_t)rec_u64(row, KV_EXPIRES_MS, 0);
    out->value = rec_str(row, KV_VALUE);
    return !out->expires_ms || out->expires_ms > clock_store_ms();
}

/* The row, or E_NOT_FOUND when it is absent or expired; out->expires_ms is that of the row itself,
 * 0 when there is none. */
static int find(struct store_txn *t, const struct key *k, struct kv_item *out)
{
    struct str row;
    out->expires_ms = 0;
    int rc = store_get(t, T_KV, key_str(k), &row);
    if (rc)
        return rc;
    return read_row(row, out) ? 0 : E_NOT_FOUND;
}

/* The key, and the row as find() gives it; one that is not there is no error: *existed. */
static int look(struct store_txn *t, struct str ns, struct str key, struct key *k,
                struct kv_item *out, bool *existed)
{
    int rc = key_of(ns, key, k);
    if (rc == 0)
        rc = find(t, k, out);
    *existed = rc == 0;
    return rc == E_NOT_FOUND ? 0 : rc;
}

static struct key due_key(const struct key *k, int64_t expires_ms)
{
    struct key due = {0};
    key_bytes(key_u64(&due, (uint64_t)expires_ms), key_str(k));
    return due;
}

/* Moves the row's entry of T_KV_DUE; 0 stands for no expiry. */
static int set_due(struct store_txn *t, const struct key *k, int64_t old_ms, int64_t new_ms)
{
    struct key from = due_key(k, old_ms), to = due_key(k, new_ms);
    int rc = 0;
    if (old_ms == new_ms)
        return 0;
    if (old_ms)
        rc = store_del(t, T_KV_DUE, key_str(&from));
    if (rc == 0 && new_ms)
        rc = store_put(t, T_KV_DUE, key_str(&to), STR(""));
    return rc;
}

/* old_ms: the expiry of the row that is there, 0 when none is. */
static int write_row(struct store_txn *t, const struct key *k, struct str value, int64_t old_ms,
                     int64_t expires_ms, uint64_t *version)
{
    struct buf b = BUF_INIT;
    int rc = set_due(t, k, old_ms, expires_ms);
    if (rc == 0)
        rc = store_counter(t, "kv-version", version);
    rec_put_u64(&b, KV_VERSION, *version);
    rec_put_u64(&b, KV_EXPIRES_MS, (uint64_t)expires_ms);
    rec_put_str(&b, KV_VALUE, value);
    if (rc == 0)
        rc = b.rc ? E_INTERNAL : store_put(t, T_KV, key_str(k), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

int kv_get(struct store_txn *t, struct str ns, struct str key, struct kv_item *out)
{
    struct key k;
    int rc = key_of(ns, key, &k);
    return rc ? rc : find(t, &k, out);
}

int kv_set(struct store_txn *t, struct str ns, struct str key, struct str value, uint64_t ttl_ms,
           bool if_absent, uint64_t if_version, uint64_t *version)
{
    struct kv_item old;
    struct key k;
    bool existed;
    int rc = look(t, ns, key, &k, &old, &existed);
    if (rc == 0 && ttl_ms > TTL_MAX_MS)
        rc = E_INVALID;
    if (rc == 0 && value.n > KV_VALUE_MAX)
        rc = E_LIMIT;
    if (rc)
        return rc;
    if ((if_absent && existed) || (if_version && (!existed || old.version != if_version)))
        return E_PRECONDITION;
    return write_row(t, &k, value, old.expires_ms, ttl_ms ? clock_store_ms() + (int64_t)ttl_ms : 0,
                     version);
}

/* All of s as a decimal number, a minus sign allowed. */
static bool parse_number(struct str s, int64_t *out)
{
    bool minus = s.n && s.p[0] == '-';
    uint64_t v;
    if (!str_u64(minus ? str_from(s, 1) : s, &v) || v > (uint64_t)INT64_MAX + minus)
        return false;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

int kv_incr(struct store_txn *t, struct str ns, struct str key, int64_t n, int64_t init,
            int64_t *out)
{
    struct kv_item old;
    struct key k;
    char text[24];
    uint64_t version;
    int64_t v = init;
    bool existed;
    int rc = look(t, ns, key, &k, &old, &existed);
    if (rc)
        return rc;
    if (existed && !parse_number(old.value, &v))
        return E_INVALID;
    if (__builtin_add_overflow(v, n, out))
        return E_INVALID;
    int len = snprintf(text, sizeof text, "%" PRId64, *out);
    return write_row(t, &k, str_of(text, (size_t)len), old.expires_ms, existed ? old.expires_ms : 0,
                     &version);
}

int kv_delete(struct store_txn *t, struct str ns, struct str key, uint64_t if_version,
              bool *existed)
{
    struct kv_item old;
    struct key k;
    int rc = look(t, ns, key, &k, &old, existed);
    if (rc)
        return rc;
    if (if_version && (!*existed || old.version != if_version))
        return E_PRECONDITION;
    rc = set_due(t, &k, old.expires_ms, 0);
    return rc ? rc : store_del(t, T_KV, key_str(&k)); /* an expired row goes too */
}

int kv_unchanged(struct store_txn *t, struct str ns, struct str key, uint64_t version)
{
    struct kv_item now;
    struct key k;
    bool existed;
    int rc = look(t, ns, key, &k, &now, &existed);
    if (rc)
        return rc;
    return (existed ? now.version : 0) == version ? 0 : E_CONFLICT;
}

int kv_replace(struct store_txn *t, struct str ns, struct str key, struct str value,
               uint64_t *version)
{
    struct kv_item old;
    struct key k;
    bool existed;
    int rc = look(t, ns, key, &k, &old, &existed);
    if (rc == 0 && value.n > KV_VALUE_MAX)
        rc = E_LIMIT;
    if (rc)
        return rc;
    return write_row(t, &k, value, old.expires_ms, existed ? old.expires_ms : 0, version);
}

/* --- many rows --------------------------------------------------------------------------------
 */

int kv_list(struct store_txn *t, const struct kv_list *l,
            void (*entry)(void *ctx, struct str key, const struct kv_item *item), void *ctx,
            bool *truncated, struct buf *last)
{
    struct key head = {0}, from = {0};
    struct str k, v, key = {NULL, 0};
    struct kv_item item;
    size_t given = 0, bytes = 0, visits = 0;
    *truncated = false;
    if (kv_namespace_check(l->ns) != 0 || l->prefix.n > KV_KEY_MAX || l->after.n > KV_KEY_MAX)
        return E_INVALID;
    key_name(&head, l->ns);
    bool resume = str_cmp(l->after, l->prefix) >= 0;
    key_bytes(key_name(&from, l->ns), resume ? l->after : l->prefix);
    struct store_cursor *c = store_cursor(t, T_KV);
    bool any = store_seek(c, key_str(&from), &k, &v);
    if (any && resume && l->after.n && str_eq(k, key_str(&from)))
        any = store_next(c, &k, &v);
    for (; any && str_starts(k, key_str(&head)); any = store_next(c, &k, &v)) {
        struct str here = str_from(k, head.n);
        if (!str_starts(here, l->prefix))
            break;
        if (given == l->limit || (given && bytes >= l->max_bytes) || visits == LIST_VISITS_MAX) {
            *truncated = true;
            buf_add(last, key);
            break;
        }
        key = here;
        visits++;
        if (!read_row(v, &item))
            continue;
        entry(ctx, key, &item);
        given++;
        bytes += key.n + (l->keys_only ? 0 : item.value.n);
    }
    store_cursor_close(c);
    return 0;
}

bool kv_namespace_next(struct store_txn *t, struct str after, struct str *ns)
{
    struct key from = {0};
    struct str k, v;
    key_bytes(&from, after);
    key_bytes(&from, str_of("\1", after.n ? 1 : 0)); /* past NAME NUL … */
    struct store_cursor *c = store_cursor(t, T_KV);
    bool any = store_seek(c, key_str(&from), &k, &v) && key_take_name(&k, ns);
    store_cursor_close(c);
    return any;
}

int kv_expire(struct store_txn *t, size_t limit, bool *more)
{
    uint64_t now = (uint64_t)clock_store_ms(), due;
    struct str k, v, row;
    int rc = 0;
    *more = false;
    for (size_t n = 0; rc == 0; n++) {
        struct store_cursor *c = store_cursor(t, T_KV_DUE);
        struct key found = {0};
        bool any = store_seek(c, STR(""), &k, &v);
        if (any)
            key_bytes(&found, k);
        store_cursor_close(c);
        struct str place = key_str(&found);
        *more = any && key_take_u64(&place, &due) && due <= now;
        if (!*more || n == limit)
            break;
        /* a row that bears another time is not this entry's */
        if (store_get(t, T_KV, place, &row) == 0 && rec_u64(row, KV_EXPIRES_MS, 0) == due)
            rc = store_del(t, T_KV, place);
        if (rc == 0)
            rc = store_del(t, T_KV_DUE, key_str(&found));
    }
    return rc;
}

int64_t kv_next_expiry(struct store_txn *t)
{
    struct str k, v;
    uint64_t due;
    struct store_cursor *c = store_cursor(t, T_KV_DUE);
    bool any = store_seek(c, STR(""), &k, &v) && key_take_u64(&k, &due);
    store_cursor_close(c);
    return any ? (int64_t)due : INT64_MAX;
}

int kv_wipe(struct store_txn *t, struct str ns, size_t limit, bool *more)
{
    struct key prefix = {0};
    struct str k, v;
    int rc = kv_namespace_check(ns);
    *more = false;
    if (rc)
        return rc;
    key_name(&prefix, ns);
    for (size_t n = 0; rc == 0; n++) {
        struct store_cursor *c = store_cursor(t, T_KV);
        struct key found = {0};
        bool any = store_seek(c, key_str(&prefix), &k, &v) && str_starts(k, key_str(&prefix));
        int64_t expires_ms = any ? (int64_t)rec_u64(v, KV_EXPIRES_MS, 0) : 0;
        if (any)
            key_bytes(&found, k);
        store_cursor_close(c);
        *more = any;
        if (!any || n == limit)
            break;
        rc = set_due(t, &found, expires_ms, 0);
        if (rc == 0)
            rc = store_del(t, T_KV, key_str(&found));
    }
    return rc;
}
