/* channel: the core's end of the channel to one runner, and the set of all of them on the loop.
 *
 * Sending: a message is a fixed head and a payload. What does not fit the first frame waits for the
 * receiver's credit; what does not fit the ring waits for room; no message waits for another.
 * Receiving: frames are copied out of the shared memory before anyone looks at them, payloads are
 * put together within FRAME_REASSEMBLY_MAX, and the first frame that breaks the protocol ends the
 * conversation: `broken` is called once and nothing is read any more.
 *
 * On the loop: bells are read when they ring; besides, the rings of runners that have lately said
 * something are looked at in every turn without a bell, at most CHANNEL_FRAMES_PER_TURN frames
 * each, in turn. Before the loop sleeps those runners are told to ring, and those that have been
 * given work in this turn are woken. For a runner that makes one call after the other the loop stays
 * awake a little instead of sleeping. Loop thread only. */
#ifndef PROC_CHANNEL_H
#define PROC_CHANNEL_H

#include <uv.h>

#include "base/err.h"
#include "proc/ring.h"

enum {
    CHANNEL_FRAMES_PER_TURN = 32,    /* of one runner */
    CHANNEL_FRAMES_OF_ALL = 256,     /* of all together: some 5 µs each */
    CHANNEL_BELLS_PER_SECOND = 1000, /* beyond the frames that went either way */
    CHANNEL_REPLY_MAX =
        PAYLOAD_MAX + 64 * 1024, /* an HTTP answer carries headers beside its body */
};

struct channel;

/* What is to become of a CALL whose arguments come in parts. */
enum channel_room {
    CHANNEL_TAKE,  /* it is put together */
    CHANNEL_LATER, /* it stays in the ring, and what is behind it too; asked again in some ms */
    CHANNEL_DROP,  /* its parts are read and not kept: `call` gets args.p NULL */
};

/* What a runner says. Strings are valid during the call. Any of these may call channel_close. */
struct channel_ops {
    void (*ready)(void *ctx, uint32_t id, const struct frame_ready *r);
    void (*log)(void *ctx, uint32_t id, int level, struct str line);
    /* A whole host call. `owned` is NULL or the malloc'd memory of args, the callee's from now on.
     */
    void (*call)(void *ctx, uint32_t id, const struct frame_call *c, struct str args, char *owned);
    /* owned: NULL, or where the malloc'd memory of a large answer is: the callee may take it and leave
     * NULL there. */
    void (*reply)(void *ctx, uint32_t id, const struct frame_reply *r, struct str answer,
                  char **owned);
    void (*broken)(void *ctx, const char *what);
    /* Before anything of size bytes of arguments is kept; waited_ns: since it was first told LATER,
     * else 0. NULL: every CALL is taken. Closes nothing. */
    enum channel_room (*room)(void *ctx, uint32_t size, uint64_t waited_ns);
};

/* --- the set ------------------------------------------------------------------------------------
 */

struct channels;
struct channels *channels_new(uv_loop_t *loop, const struct channel_ops *ops);
/* All channels must have been closed. Memory goes with the loop's next turn. */
void channels_free(struct channels *set);

/* Whether the loop turns at least every few milliseconds, whatever happens: then runners that have
 * more work may put off their bells until then. */
void channels_nap(struct channels *set, bool naps);

/* Whether there is a processor for the core and one for each runner at work: then those that talk to
 * each other may wait for the next word awake. */
void channels_near(struct channels *set, bool near);

/* --- one channel --------------------------------------------------------------------------------
 */

/* Makes memory and bell. NULL when the system has no descriptor or memory left. */
struct channel *channel_open(struct channels *set, void *ctx);
/* Descriptors for zygote_spawn; the memfd is closed by channel_spawned, once they have been sent.
 */
int channel_memfd(const struct channel *ch);
int channel_bell(const struct channel *ch);
void channel_spawned(struct channel *ch);
/* Reads nothing any more, without telling `broken`: the owner has had enough. */
void channel_mute(struct channel *ch);
/* No callback comes any more. Safe inside callbacks. */
void channel_close(struct channel *ch);

/* Looks at `out` now, up to `frames` frames; returns how many it took. For the last words of a
 * runner that is about to die or has died. */
int channel_drain(struct channel *ch, int frames);
/* True when there is something to drain now. */
bool channel_speaks(struct channel *ch);
/* The shared memory's notes: hostile numbers. */
uint64_t channel_memory_peak(const struct channel *ch);
bool channel_memory_refused(const struct channel *ch);

/* --- work ---------------------------------------------------------------------------------------
 */

struct channel_work {
    struct frame_invoke head; /* slot, event kind, attempt, request id; sizes are filled in here */
    uint32_t id;              /* of the invocation, 1…ENTRY_ID_MAX */
    struct str arn, context;
    struct str event; /* borrowed until channel_forget of its id or channel_close */
};
/* Queues an entry, for which the runner is woken at the end of the turn; false when the ring has no
 * room for it now. */
bool channel_invoke(struct channel *ch, const struct channel_work *w);
/* Takes a waiting entry back: true: the runner will never start it. */
bool channel_revoke(struct channel *ch, uint32_t slot, uint32_t id);
/* True when the runner has taken the entry, or claims anything but that it still waits. */
bool channel_started(const struct channel *ch, uint32_t slot, uint32_t id);

/* --- data ---------------------------------------------------------------------------------------
 */

/* Sends a message: head, then payload, in CHUNKs with `chunk_flags` (FRAME_F_*) as far as needed.
 * `owned` is NULL (then the payload is copied if it cannot be sent at once) or payload's malloc'd
 * memory, freed when sent. False when there is no memory for it: the message is lost. */
bool channel_send(struct channel *ch, uint16_t type, uint32_t id, uint16_t chunk_flags,
                  struct str head, struct str payload, char *owned);
/* Forgets what is still to be sent of that payload (an ended invocation's event or results); id 0:
 * of all with that flag. */
void channel_forget(struct channel *ch, uint16_t chunk_flags, uint32_t id);

/* Payload bytes that are held here because the runner has not taken them yet. */
size_t channel_pending(const struct channel *ch);
size_t channels_pending(const struct channels *set); /* of all */

#endif
