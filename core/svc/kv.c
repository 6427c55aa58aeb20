/* kv: the functions' key-value store.
 *
 * One row a key: version, expiry, value. Versions come from one counter for the whole store, so a
 * key that was deleted and set again never bears a version that somebody still holds. An expired
 * row is absent to every reader from that moment; its bytes go when the key is next written or its
 * namespace wiped. Refusals write nothing, as store.h asks of a job. */
#include "svc/kv.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/rec.h"
#include "store/key.h"

enum { KV_VERSION = 1, KV_EXPIRES_MS, KV_VALUE };
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

/* The row, or E_NOT_FOUND when it is absent or expired. */
static int find(struct store_txn *t, const struct key *k, struct kv_item *out)
{
    struct str row;
    int rc = store_get(t, T_KV, key_str(k), &row);
    if (rc)
        return rc;
    out->version = rec_u64(row, KV_VERSION, 0);
    out->expires_ms = (int64_t)rec_u64(row, KV_EXPIRES_MS, 0);
    out->value = rec_str(row, KV_VALUE);
    return out->expires_ms && out->expires_ms <= clock_store_ms() ? E_NOT_FOUND : 0;
}

static int write_row(struct store_txn *t, const struct key *k, struct str value, int64_t expires_ms,
                     uint64_t *version)
{
    struct buf b = BUF_INIT;
    int rc = store_counter(t, "kv-version", version);
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
    int rc = key_of(ns, key, &k);
    if (rc == 0 && ttl_ms > TTL_MAX_MS)
        rc = E_INVALID;
    if (rc == 0 && value.n > KV_VALUE_MAX)
        rc = E_LIMIT;
    if (rc)
        return rc;
    rc = find(t, &k, &old);
    if (rc && rc != E_NOT_FOUND)
        return rc;
    if ((if_absent && rc == 0) || (if_version && (rc || old.version != if_version)))
        return E_PRECONDITION;
    return write_row(t, &k, value, ttl_ms ? clock_store_ms() + (int64_t)ttl_ms : 0, version);
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
    struct kv_item old = {.expires_ms = 0};
    struct key k;
    char text[24];
    uint64_t version;
    int64_t v = init;
    int rc = key_of(ns, key, &k);
    if (rc == 0)
        rc = find(t, &k, &old);
    if (rc == E_NOT_FOUND)
        old.expires_ms = 0;
    else if (rc)
        return rc;
    else if (!parse_number(old.value, &v))
        return E_INVALID;
    if (__builtin_add_overflow(v, n, out))
        return E_INVALID;
    int len = snprintf(text, sizeof text, "%" PRId64, *out);
    return write_row(t, &k, str_of(text, (size_t)len), old.expires_ms, &version);
}

int kv_delete(struct store_txn *t, struct str ns, struct str key, uint64_t if_version,
              bool *existed)
{
    struct kv_item old;
    struct key k;
    int rc = key_of(ns, key, &k);
    if (rc)
        return rc;
    rc = find(t, &k, &old);
    if (rc && rc != E_NOT_FOUND)
        return rc;
    *existed = rc == 0;
    if (if_version && (!*existed || old.version != if_version))
        return E_PRECONDITION;
    return store_del(t, T_KV, key_str(&k)); /* an expired row goes too */
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
        if (any)
            key_bytes(&found, k);
        store_cursor_close(c);
        *more = any;
        if (!any || n == limit)
            break;
        rc = store_del(t, T_KV, key_str(&found));
    }
    return rc;
}
