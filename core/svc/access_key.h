/* access_key: long-lived keys of users.
 *
 * A row of T_KEYS is found by the key's id and says whose it is; the user's record lists the ids.
 * The secret lies there sealed, bound to the id. What was asked for lately is kept open in memory,
 * bounded, until access_key_changed; so is when a key was last used, which goes to the store once a
 * minute. */
#ifndef SVC_ACCESS_KEY_H
#define SVC_ACCESS_KEY_H

#include "base/rec.h"
#include "store/store.h"

enum { /* stored: never renumber */
       KEY_USER = 1,
       KEY_SECRET,       /* sealed */
       KEY_INACTIVE,     /* u64 1; absent: active */
       KEY_CREATED_MS,   /* u64 */
       KEY_USED_MS,      /* u64 */
       KEY_USED_SERVICE, /* "s3" */
       KEY_USED_REGION,
};
enum { KEYS_PER_USER = 2, KEY_ID_SIZE = 21, KEY_SECRET_SIZE = 41 };

/* --- rows --------------------------------------------------------------------------------------- */

/* A new id with that prefix ("AKIA", "ASIA") and a new secret. */
void access_key_make(const char *prefix, char id[static KEY_ID_SIZE],
                     char secret[static KEY_SECRET_SIZE]);
/* Appends the record of a new, active key. */
void access_key_build(struct buf *out, const struct store *s, struct str user, struct str id,
                      struct str secret, int64_t now_ms);
/* In any transaction; E_NOT_FOUND with AWS's text. With `user` not empty it must be that user's. */
int access_key_get(struct store_txn *t, struct str id, struct str user, struct str *rec,
                   struct err *err);
/* In a job; the user's list goes with it. E_NOT_FOUND, E_QUOTA. */
int access_key_add(struct store_txn *t, struct str user, struct str id, struct str rec,
                   struct err *err);
int access_key_set(struct store_txn *t, struct str user, struct str id, bool active,
                   struct err *err);
int access_key_del(struct store_txn *t, struct str user, struct str id, struct err *err);

/* --- in memory (loop thread) --------------------------------------------------------------------- */

struct access_keys;

struct access_key {
    struct str user, secret; /* until the next call of a function here */
    bool active;
};
struct access_key_use {
    int64_t ms; /* 0: never */
    char service[32], region[32];
};

struct access_keys *access_keys_open(uv_loop_t *loop, struct store *s);
/* Submits what is not yet written; the store must still be open. The loop must turn afterwards. */
void access_keys_close(struct access_keys *k);
/* 0, E_NOT_FOUND, or E_IO. */
int access_key_find(struct access_keys *k, struct str id, struct access_key *out);
/* A request of that key was found good. */
void access_key_used(struct access_keys *k, struct str id, struct str service, struct str region);
/* Last use, of memory or record. */
void access_key_last_use(struct access_keys *k, struct str id, struct str rec,
                         struct access_key_use *out);
/* After the commit. */
void access_key_changed(struct access_keys *k, struct str id);

#endif
