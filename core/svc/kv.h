/* kv: the functions' key-value store. T_KV, namespace NUL key -> {value, version, expiry}; rows that
 * expire are also in T_KV_DUE, by the time, for the sweep (kv_sweep.h). */
#ifndef SVC_KV_H
#define SVC_KV_H

#include "store/store.h"

enum {
    KV_KEY_MAX = 400,
    KV_VALUE_MAX = 256 * 1024,
    KV_LIST_MAX = 1000, /* rows of a page */
};

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
/* For transactions, in a job: E_CONFLICT unless the key bears that version now (0: is absent); and
 * a write that leaves the expiry as it is. */
int kv_unchanged(struct store_txn *t, struct str ns, struct str key, uint64_t version);
int kv_replace(struct store_txn *t, struct str ns, struct str key, struct str value,
               uint64_t *version);

struct kv_list {
    struct str ns, prefix;
    struct str after; /* keys > after */
    size_t limit;     /* rows, 1 to KV_LIST_MAX */
    size_t max_bytes; /* ends the page once that many are given: keys, and values unless … */
    bool keys_only;   /* … they do not count */
};
/* entry() per key in order, borrowed from t. A page ends at the limit, with its bytes, or when it
 * has passed too many expired rows: then *truncated, and *last is where to go on (it may be a key
 * that was not given). 0 or E_INVALID. */
int kv_list(struct store_txn *t, const struct kv_list *l,
            void (*entry)(void *ctx, struct str key, const struct kv_item *item), void *ctx,
            bool *truncated, struct buf *last);
/* The first namespace with rows that sorts after `after`, borrowed from t; false: none. Rows may
 * all be expired. */
bool kv_namespace_next(struct store_txn *t, struct str after, struct str *ns);

/* In a job: removes up to `limit` rows whose time has come; *more tells whether some are left. */
int kv_expire(struct store_txn *t, size_t limit, bool *more);
/* Store time when the next row expires; INT64_MAX when none does. */
int64_t kv_next_expiry(struct store_txn *t);
/* Removes up to `limit` rows of a namespace; *more tells whether some are left. */
int kv_wipe(struct store_txn *t, struct str ns, size_t limit, bool *more);

#endif
