/* s3_slices: an XML answer of many rows, made a slice a turn of the loop.
 *
 * A document of one slice leaves as a whole, a longer one is streamed, so that a thousand rows
 * neither hold up the loop nor lie in memory together. What is known only at the end of the rows
 * stands behind them: the order of elements means nothing to XML's readers. */
#ifndef API_S3_SLICES_H
#define API_S3_SLICES_H

#include "api/call.h"

enum { S3_SLICE_ROWS = 64 };

struct s3_slices { /* in the request's arena */
    struct call *c;
    struct buf doc; /* not yet sent; the caller begins it */
    /* Appends at most S3_SLICE_ROWS rows from a snapshot of its own: 0, *more: there are more to
     * come in this answer; or E_*. */
    int (*rows)(struct s3_slices *s, bool *more);
    /* Appends what stands behind the rows. */
    void (*end)(struct s3_slices *s);
    /* Lets go of what the caller holds besides; always called, once. */
    void (*release)(struct s3_slices *s);
    bool streaming;
};
/* Answers the call; s->c->user is taken for it. */
void s3_slices_send(struct s3_slices *s);

#endif
