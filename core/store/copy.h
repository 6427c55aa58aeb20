/* copy: the rows of one moment in a database of their own, while the server goes on writing.
 *
 * What backup and scrub look at. From store_copy_begin to store_copy_end no blob's file is removed,
 * so that all that the copied rows name can be read meanwhile, by any thread. Only the making of
 * the copy holds a snapshot of the store; however slow its user is, LMDB's pages are free again.
 *
 *   loop    store_copy_begin
 *   thread  store_copy_make, then store_copy_rows, store_copy_fd, blob_file
 *   loop    store_copy_end, once that thread is done */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/store.h"

struct store_copy;

/* Loop thread. E_CONFLICT while there is another one. */
int store_copy_begin(struct store *s, struct store_copy **out, struct err *err);
/* Copies every row, as of now. 0; E_NO_SPACE (the copy leaves the disk its floor), E_IO (also when
 * the store met trouble meanwhile), E_ABORTED after store_copy_cancel. */
int store_copy_make(struct store_copy *c, struct err *err);
/* Any thread: the making ends soon, and store_copy_cancelled tells whoever works on the copy. Done by
 * the store itself when deletes must free space. */
void store_copy_cancel(struct store_copy *c);
bool store_copy_cancelled(const struct store_copy *c);
/* After store_copy_make: the rows, as a store for store_read alone, by one thread at a time. Borrowed. */
struct store *store_copy_rows(struct store_copy *c);
/* The database itself, its size in *size; the caller closes it. -1 when it cannot be opened. */
int store_copy_fd(struct store_copy *c, uint64_t *size);
/* Loop thread: removes the copy, then the files whose last reference went meanwhile. */
void store_copy_end(struct store_copy *c);

/* A database that such a copy was, in `dir` with its blobs; to be read only. E_IO, E_INVALID. */
int store_rows_open(const char *dir, const char *file, struct store **out);
void store_rows_close(struct store *s);

#endif
