/* objkey: object keys of up to 1,024 bytes in a table whose keys end at 511.
 *
 * A key is cut into segments of 480 bytes. A row of T_OBJECTS is keyed `node id (u64 BE) + segment`
 * and holds an optional record and an optional child node id; the bucket's id is the first node.
 * Order is byte order of the whole keys. */
#ifndef STORE_OBJKEY_H
#define STORE_OBJKEY_H

#include "store/store.h"

enum { OBJKEY_MAX = 1024, OBJKEY_SEGMENT = 480 };

/* store_counter that both bucket ids and inner node ids come from, so that they never meet. */
#define OBJKEY_NODE_COUNTER "node"

/* The record of `key` in bucket `bucket`; as store_get. */
int objkey_get(struct store_txn *t, uint64_t bucket, struct str key, struct str *rec);
/* In a job. E_KEY_TOO_LONG; deleting what is absent is 0. Bucket ids must be below 2^63: those
 * above are the nodes made here. */
int objkey_put(struct store_txn *t, uint64_t bucket, struct str key, struct str rec);
int objkey_del(struct store_txn *t, uint64_t bucket, struct str key);

struct objkey_iter {
    struct store_txn *txn;
    struct store_cursor *cursor;
    uint64_t bucket;
    int depth;                /* segments above the current row: 0..2 */
    uint64_t node[3];         /* node id per level */
    uint64_t child;           /* child node of the current row, 0 for none */
    char key[OBJKEY_MAX + 1]; /* current key; level i's segment begins at i * OBJKEY_SEGMENT */
    size_t n;
};
/* One iterator reads one snapshot; in a job the rows may change behind it between two calls. */
void objkey_iter_init(struct objkey_iter *it, struct store_txn *t, uint64_t bucket);
void objkey_iter_deinit(struct objkey_iter *it);
/* First key >= from (any bytes, up to OBJKEY_MAX); false at the end. *key is valid until the next
 * call. */
bool objkey_seek(struct objkey_iter *it, struct str from, struct str *key, struct str *rec);
bool objkey_next(struct objkey_iter *it, struct str *key, struct str *rec);

#endif
