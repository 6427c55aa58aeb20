/* object_gather: an object's bytes in one blob, for who needs one file. */
#ifndef SVC_OBJECT_GATHER_H
#define SVC_OBJECT_GATHER_H

#include "svc/object_read.h"

/* Copies what is left of r, which is taken, into a new blob without a reference: the next job must
 * blob_ref it, or blob_discard is called. done(ctx, rc, blob). */
void object_gather(struct store *s, struct object_read *r,
                   void (*done)(void *ctx, int rc, uint64_t blob), void *ctx);

#endif
