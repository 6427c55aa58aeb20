/* secret: named values that functions may read and nobody else can read back.
 *
 * T_SECRETS, NAME NUL -> {value sealed under the master key, bound to the name; when made, when last
 * changed}. Written and listed by the API, read by host calls only. */
#ifndef SVC_SECRET_H
#define SVC_SECRET_H

#include "store/store.h"

enum { SECRET_NAME_MAX = 128, SECRET_VALUE_MAX = 64 * 1024, SECRET_LIST_MAX = 1000 };

struct secret_info { /* borrowed from the transaction */
    struct str name;
    int64_t created_ms, changed_ms; /* wall */
};

/* 1 to 128 of A-Z a-z 0-9 - _ . / + = @, no "/" at either end: 0 or E_INVALID. */
int secret_name_check(struct str name);
/* Appends the value to out, which the caller wipes. E_INVALID, E_NOT_FOUND; E_INTERNAL when it was
 * not sealed by this server's key. */
int secret_get(struct store_txn *t, struct str name, struct buf *out);
/* In a job: makes or replaces. sealed: of secret_seal. */
int secret_put(struct store_txn *t, struct str name, struct str sealed, int64_t now_ms,
               bool *created);
/* In a job: E_NOT_FOUND. */
int secret_del(struct store_txn *t, struct str name);
/* Any thread: appends the value as secret_put stores it. */
void secret_seal(const struct store *s, struct str name, struct str value, struct buf *out);
/* Names after `after` in order, at most limit; false when there are no more. */
bool secret_list(struct store_txn *t, struct str after, size_t limit,
                 void (*entry)(void *ctx, const struct secret_info *s), void *ctx);

/* Overwrites and frees a buffer that has held a secret. */
void secret_wipe(struct buf *b);

#endif
