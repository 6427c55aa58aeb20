/* object_rows: what object.c, object_put.c and object_list.c share: the service's own state and the
 * record of an object. */
#ifndef SVC_OBJECT_ROWS_H
#define SVC_OBJECT_ROWS_H

#include "svc/object.h"

struct objects {
    uv_loop_t *loop;
    struct store *store;
    struct queue *queue;
    const char *region;
    uint64_t sequencer; /* last one given; store thread only */
};

/* Store thread: a number that exceeds all earlier ones, those of earlier starts too. */
uint64_t object_sequencer(struct objects *o);
/* Appends the T_OBJECTS record of m (the key is not part of it). */
void object_encode(struct buf *rec, const struct object_meta *m);
/* Borrows from rec; the key is the caller's to set. False when it is none. */
bool object_decode(struct str rec, struct object_meta *out);

#endif
