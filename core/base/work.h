/* work: what would hold up a loop is done by a thread: files, hashes, large texts.
 *
 * `run` is called on one of WORK_THREADS threads, which all loops share, and after it `after` on the loop
 * that gave the job. Jobs begin in the order in which they were given; they end in any order. What `run`
 * touches nobody else may until `after`.
 *
 * What nobody waits for, and what there may be much of at once, is given to work_start_later: one thread
 * more does that, in order, and yields to all others of this process.
 *
 * A loop with jobs under way stays alive, and may be closed when they have all been through `after`.
 * There is no cancelling: whoever closes waits. A forked child begins with no job and no thread. */
#ifndef BASE_WORK_H
#define BASE_WORK_H

#include <stdatomic.h>
#include <uv.h>

enum { WORK_THREADS = 4 };

/* The caller's storage, untouched by him from work_start to `after`; that may free it or start it again. */
struct work {
    void *data; /* the caller's */
    /* inside */
    struct work *next;
    struct work_inbox *inbox;
    void (*run)(struct work *w);
    void (*after)(struct work *w);
};

/* Loop thread. Both return at once; nothing is allocated for the job. */
void work_start(uv_loop_t *loop, struct work *w, void (*run)(struct work *w),
                void (*after)(struct work *w));

void work_start_later(uv_loop_t *loop, struct work *w, void (*run)(struct work *w),
                      void (*after)(struct work *w));

/* For a loop that lasts: what wakes it is made now and kept between jobs, so that no job finds the
 * process short of descriptors. Others have it only while they have jobs. Also starts the threads. */
void work_keep(uv_loop_t *loop);
/* The loop will be closed: after its next turn nothing of it is left, once its jobs have ended. */
void work_leave(uv_loop_t *loop);

#endif
