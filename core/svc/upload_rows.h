/* upload_rows: what the upload*.c files know of each other's rows.
 *
 * An upload is found by its id ('U' of T_UPLOADS, see object_body.c) and, while it is open, in its
 * bucket's order of keys: a tree of T_OBJECTS (objkey.h) of its own, whose node the bucket's row
 * names, with the ids (u64, rising) of a key's uploads as that key's record. Parts are rows of
 * T_PARTS (extents.h); row 0 there is a number that grows with each part, so that completing can
 * tell whether what it has read still holds. */
#ifndef SVC_UPLOAD_ROWS_H
#define SVC_UPLOAD_ROWS_H

#include "svc/upload.h"

void upload_encode(struct buf *rec, const struct upload *u);
bool upload_decode(struct str rec, struct upload *out);
int upload_row_get(struct store_txn *t, uint64_t id, struct upload *out);
int upload_row_put(struct store_txn *t, const struct upload *u);

/* Takes an id out of the bucket's order of keys, whose node this is; `key` must not be borrowed from
 * t. */
int upload_forget(struct store_txn *t, uint64_t node, struct str key, uint64_t id);
/* The i-th of the ids in a record of that order, rising; 0: there are no more. */
uint64_t upload_listed(struct str rec, size_t i);
/* In a job: gives up at most `max` of the uploads under a node; *finished: there are no more. */
int uploads_clear(struct objects *o, struct store_txn *t, uint64_t node, size_t max,
                  bool *finished);

/* Row 0 of the parts; 0 before the first part. */
uint64_t upload_changes(struct store_txn *t, uint64_t id);
int upload_changed(struct store_txn *t, uint64_t id);

#endif
