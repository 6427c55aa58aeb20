/* channel_runner: the runner's end of the channel.
 *
 * The code inside the jail receives frames, sends frames and starts entries through this file
 * alone; it never touches a ring. The core is trusted here, so frames are read in place. Sending
 * blocks while the core has not yet read what is in `out`; it never fails.
 *
 * A bell costs two system calls and, where core and runner share a processor, two switches. So while
 * more work waits and the core only naps, quick replies ring once together: the last of them does,
 * or whatever else is sent, or our going to sleep.
 *
 * While the core is awake and both have a processor, a result is waited for awake, for as long as a
 * sleep and a waking would take (channel_set.c).
 *
 * The order that the core relies on: `data` before `work`, always, and `work` only between
 * invocations of a loaded function (pass work = false until READY with id 1 has been sent, and
 * while an invocation runs). */
#ifndef PROC_CHANNEL_RUNNER_H
#define PROC_CHANNEL_RUNNER_H

#include <stdnoreturn.h>

#include "proc/ring.h"

struct runner_channel {
    struct ring_shm *shm;
    struct ring work, data, out;
    int bell;            /* non-blocking eventfd, the process's only descriptor */
    bool owed;           /* a reply has been sent for which it has not been rung … */
    uint64_t owed_ns;    /* … since then */
    struct ring *showed; /* ring whose frame the last next/poll showed, NULL after pop */
    struct frame frame;  /* its header */
};

struct runner_frame {
    uint16_t type, flags;
    uint32_t id;
    struct str body; /* in the ring: valid until channel_runner_pop */
};

/* Maps the channel; called by the zygote's child before the jail is closed. 0 or -errno. */
int channel_runner_attach(struct runner_channel *ch, int memfd, int bell);

/* The next frame of `data`, else (with work) of `work`; sleeps until there is one. Each frame must
 * be popped before the next is asked for. */
void channel_runner_next(struct runner_channel *ch, bool work, struct runner_frame *out);
/* The same without sleeping: false when there is none. */
bool channel_runner_poll(struct runner_channel *ch, bool work, struct runner_frame *out);
void channel_runner_pop(struct runner_channel *ch);

/* For an INVOKE frame, before anything else is done with it: true: it is this runner's to execute;
 * false: the core has revoked it, pop and forget it. Also clears the memory notes. */
bool channel_runner_start(struct runner_channel *ch, uint32_t slot, uint32_t id);

/* One frame whose body is a then b (together <= FRAME_BODY_MAX). */
void channel_runner_send(struct runner_channel *ch, uint16_t type, uint16_t flags, uint32_t id,
                         struct str a, struct str b);
/* A REPLY that is one frame (head and payload together <= FRAME_BODY_MAX), to a run of began_ns to
 * now_ns (clock_mono_ns): its bell may be put off. */
void channel_runner_reply(struct runner_channel *ch, uint32_t id, struct str head,
                          struct str payload, uint64_t began_ns, uint64_t now_ns);
/* A frame with the fixed struct `head` and as much of payload as fits, then the rest as CHUNKs that
 * carry `chunk_flags` (FRAME_F_INVOCATION for REPLY, FRAME_F_CALL for CALL). The size field inside
 * head is the caller's to fill. */
void channel_runner_send_payload(struct runner_channel *ch, uint16_t type, uint32_t id,
                                 struct str head, struct str payload, uint16_t chunk_flags);

/* --- payloads that arrive in parts --------------------------------------------------------------
 * An INVOKE, RESULT or LOAD announces its whole size and brings the first part. open() takes that
 * part into the caller's buffer of `size` bytes and grants the core credit for the rest; add()
 * takes each CHUNK frame with the same id and flags. Both return true when the payload is whole. */
struct runner_inbox {
    char *p;
    uint32_t size, got;
};
bool channel_runner_inbox_open(struct runner_channel *ch, struct runner_inbox *in, char *p,
                               uint32_t size, struct str first, uint16_t chunk_flags, uint32_t id);
bool channel_runner_inbox_add(struct runner_inbox *in, struct str chunk);

/* --- notes for the core -------------------------------------------------------------------------
 */

/* The allocator's peak of this invocation, for the report of a run that gets no reply. Cheap. */
void channel_runner_note_peak(struct runner_channel *ch, uint64_t bytes);
/* The allocator has refused memory: a crash from now on counts as out of memory. */
void channel_runner_note_refused(struct runner_channel *ch);

/* Called in the signal handler when the deadline of the running invocation has passed: `passed`
 * may only do what a signal handler may (lua_sethook is allowed). SIGKILL follows 50 ms later. */
void channel_runner_on_deadline(void (*passed)(void *ctx), void *ctx);

/* Lowers RLIMIT_AS for a function of memory_mb; once, at LOAD, the only rlimit the jail lets
 * change. */
void channel_runner_limit_memory(uint32_t memory_mb);
/* Ends the process at once, without exit handlers. */
noreturn void channel_runner_exit(int code);

#endif
