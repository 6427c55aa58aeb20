/* bucket_rows: a bucket's row and its notification rows, between bucket.c, notify.c and object.c.
 *
 * T_BUCKETS is keyed NAME\0; T_TRIGGERS by the bucket's id (u64 big endian) and a number (u32 big
 * endian) that counts from 0 in the order of the configuration. */
#ifndef SVC_BUCKET_ROWS_H
#define SVC_BUCKET_ROWS_H

#include "store/store.h"

struct bucket_row {
    uint64_t id;
    int64_t created_ms;
    uint64_t triggers; /* number of rows in T_TRIGGERS */
    uint64_t confs;    /* bits: 1 << enum bucket_conf of the rows in T_BUCKET_CONF */
    uint64_t uploads;  /* node of T_OBJECTS under which its uploads are listed; 0: none yet */
};

/* In any transaction: 0, or E_NO_BUCKET. */
int bucket_row_get(struct store_txn *t, struct str name, struct bucket_row *out);
/* In a job: writes or replaces. */
int bucket_row_put(struct store_txn *t, struct str name, const struct bucket_row *row);
/* In a job: removes every notification row of the bucket; the caller writes the count. */
int bucket_rows_clear_triggers(struct store_txn *t, uint64_t id);

#endif
