/* ahead: what a body is, found out while the rest of it is still coming.
 *
 * A large body's SHA-256, and whether it is one JSON text, are worked out on the pool's threads in
 * slices, as its bytes arrive: 6 MB took 6 ms after the last byte before, and are done with it now
 * where a processor is free. Loop thread, but for ahead_finish. */
#ifndef API_AHEAD_H
#define API_AHEAD_H

#include "api/call.h"

struct ahead;

/* NULL: not worth it, or no memory; all is then done at the end. For a body that http_body_watch can
 * watch. hash, json: what is to be found out. */
struct ahead *ahead_begin(struct call *c, bool hash, bool json);
/* So much of it is there, and stays there until ahead_ended has called back. */
void ahead_grown(struct ahead *a, struct str so_far);
/* No more of it will come: `then` is called at once, or when the slice that is being worked on is
 * done. Afterwards the bytes may go. */
void ahead_ended(struct ahead *a, void (*then)(struct call *c));
/* After that, on any one thread: the rest of the whole body. sha256: 64 hex digits and a NUL, when asked
 * for; returns whether the body is one JSON text, when that was. */
bool ahead_finish(struct ahead *a, struct str body, char sha256[65]);
void ahead_free(struct ahead *a);

#endif
