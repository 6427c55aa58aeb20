/* memory: the allocator of the Lua state, with a cap.
 *
 * Counts what blocks really take (their size class, or malloc_usable_size and 8 bytes of its
 * book-keeping), so that the figure is close to what the process holds. The cap is the function's
 * memory limit; `peak` is what "Max Memory Used" reports. Buffers of ours that grow with a user's
 * data (an event on its way in, an answer on its way out) are counted with hold and drop. */
#ifndef RUNNER_MEMORY_H
#define RUNNER_MEMORY_H

#include "base/str.h"

struct runner_channel;

enum { MEMORY_STEP = 16, MEMORY_CLASSES = 32 }; /* small blocks: 16, 32, … 512 bytes */

struct memory {
    uint64_t used, cap; /* bytes */
    uint64_t peak;      /* highest `used` since memory_mark */
    uint64_t noted;     /* peak as last told to the core */
    bool refused;       /* something was refused since memory_mark */
    uint64_t trigger;   /* `used` beyond which `pressed` is called, once */
    void (*pressed)(struct memory *m);
    struct runner_channel *ch; /* told of peaks and refusals; NULL: nobody is */

    void *free[MEMORY_CLASSES]; /* free small blocks, each pointing to the next */
    char *slab_at;              /* the slab being carved */
    size_t slab_left;           /* bytes */
    void **slabs;               /* all of them, each pointing to the one before */
};

void memory_init(struct memory *m, struct runner_channel *ch, uint64_t cap);
/* Once in the process: what large blocks made the heap grow to is given back early, and their pages come in
 * large pieces: 6 MB through a function and back took 25 ms before, 21 now. */
void memory_tune(void);
/* After lua_close, in tests: gives the slabs back. */
void memory_deinit(struct memory *m);
/* A new invocation: forgets peak and refusals. */
void memory_mark(struct memory *m);
/* lua_Alloc; ud is a struct memory. */
void *memory_alloc(void *ud, void *p, size_t old_size, size_t size);
/* Counts n bytes held outside of the state: false, and nothing counted, when the cap is reached. */
bool memory_hold(struct memory *m, size_t n);
void memory_drop(struct memory *m, size_t n);
/* Bytes left under the cap. */
uint64_t memory_room(const struct memory *m);

#endif
