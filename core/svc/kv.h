/* kv: the functions' key-value store. T_KV, namespace NUL key -> {value, version, expiry}. */
#ifndef SVC_KV_H
#define SVC_KV_H

#include "store/store.h"

enum { KV_KEY_MAX = 400, KV_VALUE_MAX = 256 * 1024 };

struct kv_item {
    struct str value;
    uint64_t version;
    int64_t expires_ms; /* store time; 0 never */
};
/* [A-Za-z0-9-_.]{1,64}: 0 or E_INVALID. */
int kv_namespace_check(struct str ns);
/* Loop thread or job; E_NOT_FOUND when absent or expired. Borrowed from t. */
int kv_get(struct store_txn *t, struct str ns, struct str key, struct kv_item *out);
/* In a job. conditions: if_absent, or if_version (0: none). *version is the new one.
 * E_PRECONDITION. */
int kv_set(struct store_txn *t, struct str ns, struct str key, struct str value, uint64_t ttl_ms,
           bool if_absent, uint64_t if_version, uint64_t *version);
/* Adds n to the decimal number stored (or init); E_INVALID when the value is no integer. */
int kv_incr(struct store_txn *t, struct str ns, struct str key, int64_t n, int64_t init,
            int64_t *out);
int kv_delete(struct store_txn *t, struct str ns, struct str key, uint64_t if_version,
              bool *existed);

/* Removes up to `limit` rows of a namespace; *more tells whether some are left. */
int kv_wipe(struct store_txn *t, struct str ns, size_t limit, bool *more);

#endif
