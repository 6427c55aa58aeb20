/* object_rows: what the object_*.c and upload*.c files share: the service's own state, the record of
 * an object, and the owners of its bytes. */
#ifndef SVC_OBJECT_ROWS_H
#define SVC_OBJECT_ROWS_H

#include "svc/object.h"

struct objects {
    uv_loop_t *loop;
    struct store *store;
    struct queue *queue;
    const char *region;
    uint64_t sequencer; /* last one given; store thread only */
    /* object_body.c's */
    struct list_pin **pins;
    struct object_sweep *sweep;
    _Atomic bool condemned; /* since the sweep was last woken */
    bool passed_over;       /* the sweep met a list that is being read */
    bool closing;           /* nobody is kicked or swept any more */
    bool closed;            /* freed when the sweep's job is back */
};

/* Store thread: a number that exceeds all earlier ones, those of earlier starts too. */
uint64_t object_sequencer(struct objects *o);
/* Appends the T_OBJECTS record of m (the key is not part of it). */
void object_encode(struct buf *rec, const struct object_meta *m);
/* Borrows from rec; the key is the caller's to set. False when it is none. */
bool object_decode(struct str rec, struct object_meta *out);

/* --- walking a tree of keys as a listing sees it (object_list.c) ---------------------------------
 */

struct key_walk {
    struct str prefix, delimiter; /* the caller's, before key_walk_init */
    struct str key, rec;          /* the row it is at, borrowed; when it begins with … */
    struct str group; /* … a common prefix that ends in the delimiter, that; else "" */
    bool more;
    struct objkey_iter it;
    char space[OBJKEY_MAX + 1]; /* seek keys */
};
/* To the first key above `after` (or, inclusive, at it) with the prefix; a group named by `after`
 * is passed whole. */
void key_walk_init(struct key_walk *w, struct store_txn *t, uint64_t node, struct str after,
                   bool inclusive);
/* Is it at a row? Sets the group. Then key_walk_next goes on: past the group when there is one. */
bool key_walk_at(struct key_walk *w);
void key_walk_next(struct key_walk *w);
void key_walk_deinit(struct key_walk *w);

/* --- bodies (object_body.c) ----------------------------------------------------------------------
 */

/* In a job: one owner more of the bytes that m names (a copy of its record), or one fewer. Only
 * m's numbers are looked at. */
int object_body_ref(struct store_txn *t, const struct object_meta *m);
int object_body_drop(struct objects *o, struct store_txn *t, const struct object_meta *m);
/* Loop thread, in the done of a job that may have dropped one or queued events: wakes the sweep and,
 * when rc is 0, the functions to kick. */
void objects_committed(struct objects *o, int rc, const uint64_t *kicks, size_t n);
/* Loop thread: holds the parts of a list that a record of this callback's snapshot names. */
void objects_pin(struct objects *o, uint64_t list);
void objects_unpin(struct objects *o, uint64_t list);

/* Rows of T_UPLOADS; the kinds are told in object_body.c. */
enum { UPLOAD_KEY = 9 };
struct str upload_key(char kind, uint64_t list, char space[static UPLOAD_KEY]);
/* In a job: sets the number of owners; gives the list up, whatever it was. */
int upload_owners_put(struct store_txn *t, uint64_t list, uint64_t n);
int upload_condemn(struct objects *o, struct store_txn *t, uint64_t list);
/* In a job: gives up all uploads under a bucket's node, later. */
int uploads_condemn(struct store_txn *t, uint64_t node);

#endif
