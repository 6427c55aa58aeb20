/* object_read: an object's bytes in order, wherever they lie.
 *
 * One reader over a body in the record, in a blob, or in the parts of an upload. What it reads is
 * held from object_read_open to object_read_close: an overwrite or a delete meanwhile changes
 * nothing for it. It keeps at most one file open and, between two reads, no bytes but those of a
 * small body. Loop thread. */
#ifndef SVC_OBJECT_READ_H
#define SVC_OBJECT_READ_H

#include "svc/object.h"

struct object_read;

/* Bytes first … first + count of the object whose record m is (first + count <= m->size). Within
 * the snapshot that m was read from, or in the same callback of the loop. NULL and *rc on trouble.
 */
struct object_read *object_read_open(struct objects *o, const struct object_meta *m, uint64_t first,
                                     uint64_t count, int *rc);
/* The next bytes, at most max (1 … BLOB_READ_MAX); fewer where a part ends. done(ctx, rc, bytes)
 * with bytes valid during the call; none: the end. Small bodies are there at once: done then runs
 * before this returns. One read at a time; done may read on or close. */
void object_read_next(struct object_read *r, size_t max,
                      void (*done)(void *ctx, int rc, struct str bytes), void *ctx);
/* The same into memory of the caller, of max bytes; r is not closed before done is called. */
void object_read_into(struct object_read *r, char *to, size_t max,
                      void (*done)(void *ctx, int rc, struct str bytes), void *ctx);
/* Bytes that are still to come. */
uint64_t object_read_left(const struct object_read *r);
/* Lets go of everything. A read under way is dropped: its done is not called. NULL is allowed. */
void object_read_close(struct object_read *r);

#endif
