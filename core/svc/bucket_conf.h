/* bucket_conf: what is configured on a bucket besides its notifications: tags, policy, CORS, …
 *
 * One row of T_BUCKET_CONF a kind: the text that a GET answers, and, where somebody acts on it, the
 * same as records. Who keeps a compiled form compares `version`: no two rows ever written, of any
 * bucket, have the same. The rows go with their bucket. */
#ifndef SVC_BUCKET_CONF_H
#define SVC_BUCKET_CONF_H

#include "store/store.h"

enum bucket_conf { /* stored: never renumber */
                   CONF_TAGGING = 1,
                   CONF_POLICY, /* text: the document */
                   CONF_CORS,
                   CONF_LIFECYCLE,
                   CONF_PUBLIC_ACCESS,
                   CONF_OWNERSHIP,
                   CONF_ENCRYPTION,
                   CONF_VERSIONING,
                   CONF_END
};

struct bucket_conf_row {
    uint64_t version;
    struct str text;  /* borrowed from the transaction */
    struct str rules; /* rec of the kind's own tags; empty when it has none */
};

/* In any transaction. E_NO_BUCKET; E_NOT_FOUND when the bucket has none of that kind. */
int bucket_conf_get(struct store_txn *t, struct str bucket, enum bucket_conf kind,
                    struct bucket_conf_row *out);
/* In a job: writes or replaces; removes (absent is 0). E_NO_BUCKET. */
int bucket_conf_put(struct store_txn *t, struct str bucket, enum bucket_conf kind, struct str text,
                    struct str rules);
int bucket_conf_del(struct store_txn *t, struct str bucket, enum bucket_conf kind);
/* In a job: all of the bucket with that id. */
int bucket_conf_clear(struct store_txn *t, uint64_t bucket_id);

#endif
