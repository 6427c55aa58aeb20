/* ring: the memory that the core and one runner share, and its three rings of frames.
 *
 * One sealed memfd per runner (its size can never change, so that no access can fault):
 *
 *     control page      struct ring_shm
 *     work   64 KiB     core -> runner   INVOKE only, read between invocations
 *     data   64 KiB     core -> runner   LOAD, RESULT, CHUNK, CREDIT, RETIRE
 *     out    64 KiB     runner -> core   READY, CALL, LOG, REPLY, CHUNK, CREDIT
 *
 * Each ring has one writer and one reader; positions count bytes and wrap at 2^32. Every ring is
 * mapped twice, back to back, so that a frame is always one contiguous run of bytes. Frames start
 * at multiples of 8.
 *
 * Either side keeps its own position privately and publishes it; the other side's published
 * position is a claim that is range-checked at each use. For the core all of this memory is
 * hostile: a header is copied once and judged as the copy, bodies are copied out before anything
 * looks into them. Memory accesses never leave the mapping, whatever the positions say.
 *
 * Sleeping: a side that finds nothing says so in a word, looks again, and sleeps. The writer looks
 * at the word after each frame and wakes only a sleeper: the core wakes a runner with FUTEX_WAKE on
 * `runner_waits`, a runner wakes the core through its bell, a non-blocking eventfd. Both are done
 * once for several frames: the core's at the end of its turn, the runner's see channel_runner.h. */
#ifndef PROC_RING_H
#define PROC_RING_H

#include <stdatomic.h>

#include "base/str.h"
#include "proc/frame.h"

enum { RING_WORK, RING_DATA, RING_OUT, RING_COUNT };
enum {
    RING_CTL_BYTES = 4096,
    RING_SHM_BYTES = RING_CTL_BYTES + RING_COUNT * RING_BYTES,     /* size of the memfd */
    RING_MAP_BYTES = RING_CTL_BYTES + 2 * RING_COUNT * RING_BYTES, /* address space of a mapping */
};

/* What a sleeping runner waits for: bits of runner_waits. */
enum {
    RING_WAIT_WORK = 1, /* a frame in work */
    RING_WAIT_DATA = 2, /* a frame in data */
    RING_WAIT_ROOM = 4, /* room in out */
};

/* core_sleeps: what a frame in out means for the bell. */
enum {
    RING_CORE_AWAKE,  /* nothing: the core will look */
    RING_CORE_SLEEPS, /* ring it */
    RING_CORE_NAPS,   /* ring it soon: the core looks by itself some milliseconds from now */
    RING_CORE_NEAR,   /* nothing, and an answer is worth waiting for awake: both have a processor */
};

/* An entry's state word is id << 2 | state, so that a reused slot never matches an older id.
 * QUEUED -> STARTED by the runner, QUEUED -> REVOKED by the core: whoever swaps first has it. */
enum { ENTRY_FREE, ENTRY_QUEUED, ENTRY_STARTED, ENTRY_REVOKED };
enum { ENTRY_ID_MAX = 0x3fffffff };

struct ring_shm { /* the control page */
    struct {
        _Alignas(64) _Atomic uint32_t head; /* bytes written, published by the writer */
        _Alignas(64) _Atomic uint32_t tail; /* bytes read, published by the reader */
    } pos[RING_COUNT];
    _Alignas(64) _Atomic uint32_t runner_waits; /* futex word: RING_WAIT_* of a sleeping runner */
    _Alignas(64) _Atomic uint32_t core_sleeps;  /* RING_CORE_* */
    _Atomic uint32_t core_wants_room;           /* 1: ring the bell once data has room again */
    _Alignas(64) _Atomic uint32_t entry[FRAME_SLOTS];
    _Alignas(64) _Atomic uint64_t memory_peak; /* the allocator's peak of this invocation, bytes */
    _Atomic uint32_t memory_refused;           /* 1: it has refused memory in this invocation */
};

struct ring {                /* one side's handle on one ring */
    unsigned char *bytes;    /* mapped twice */
    _Atomic uint32_t *mine;  /* where this side publishes its position */
    _Atomic uint32_t *other; /* where the other side publishes its own */
    uint32_t at;             /* this side's position */
    uint32_t seen;           /* the other side's position when last looked at */
};

/* A new memfd of RING_SHM_BYTES, zeroed, sealed against any change of its size; or -errno. */
int ring_memfd(void);
/* Maps the memfd; NULL when that fails. The descriptor is not needed afterwards. */
struct ring_shm *ring_map(int fd);
void ring_unmap(struct ring_shm *shm);
/* The handle of one side on ring `which` of a mapping. */
void ring_init(struct ring *r, struct ring_shm *shm, int which, bool writer);

/* --- the writing side ---------------------------------------------------------------------------
 */

/* Where the body of a frame of `n` bytes (<= FRAME_BODY_MAX) may be written: NULL when the ring has
 * no room for it now. Nothing is visible to the reader before ring_commit, which must follow with
 * the same or a smaller n. */
unsigned char *ring_reserve(struct ring *r, uint32_t n);
void ring_commit(struct ring *r, uint16_t type, uint16_t flags, uint32_t id, uint32_t n);
/* The two in one: body is a followed by b. False when there is no room. */
bool ring_write(struct ring *r, uint16_t type, uint16_t flags, uint32_t id, struct str a,
                struct str b);
/* Body bytes that a frame may have now: 0…FRAME_BODY_MAX, or -1 when not even an empty one fits. */
int ring_room(struct ring *r);
/* True when the reader's position is one it cannot have: the other side breaks the protocol. */
bool ring_broken(struct ring *r);

/* --- the reading side ---------------------------------------------------------------------------
 */

/* 1: *f is the next frame's header, copied, with a length that was checked, and *body its bytes in
 * the ring (they may still change there when the writer is hostile). 0: none. E_INVALID: what is
 * there is no frame. */
int ring_peek(struct ring *r, struct frame *f, const unsigned char **body);
/* Gives the room of the frame that ring_peek showed back to the writer. */
void ring_pop(struct ring *r, const struct frame *f);
/* Cheap look, no check. */
bool ring_empty(struct ring *r);

/* --- entries and sleep --------------------------------------------------------------------------
 */

static inline uint32_t entry_word(uint32_t id, uint32_t state)
{
    return id << 2 | state;
}
/* Swaps entry `slot` of `id` from QUEUED to `state`; false when the other side was faster. */
bool ring_entry_take(struct ring_shm *shm, uint32_t slot, uint32_t id, uint32_t state);

/* Between two looks at a ring: leaves the processor's other thread some room. */
static inline void ring_pause(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

/* Core: wakes the runner when it sleeps for one of `waits`. At most one system call. */
void ring_wake_runner(struct ring_shm *shm, uint32_t waits);
/* Runner: sleeps until woken, or not at all when runner_waits is no longer `waits`. */
void ring_sleep_runner(struct ring_shm *shm, uint32_t waits);

#endif
