/* channel_impl: what channel.c (the protocol of one channel) and channel_set.c (all of them on the
 * loop) share. Nobody else includes this. */
#ifndef PROC_CHANNEL_IMPL_H
#define PROC_CHANNEL_IMPL_H

#include "proc/channel.h"

struct stream { /* a message that is not yet sent to its end */
    struct stream *next;
    uint16_t type, chunk_flags;
    uint32_t id;
    char head[16];
    uint32_t head_n;
    struct str rest; /* payload still to send */
    char *owned;     /* its memory, or NULL when borrowed */
    size_t owned_n;  /* bytes of it */
    uint32_t credit; /* bytes the receiver takes beyond the first frame */
    bool announced;  /* the first frame is out */
};

struct inbound { /* a message of the runner that is not yet whole */
    struct inbound *next;
    uint16_t chunk_flags;
    uint32_t id;
    union {
        struct frame_call call;
        struct frame_reply reply;
    } head;
    char *p; /* NULL: the parts are not kept */
    uint32_t size, got;
};

struct channel {
    struct channels *set;
    void *ctx; /* for the callbacks */
    struct ring_shm *shm;
    struct ring work, data, out;
    int memfd, bell;
    uv_poll_t poll; /* the bell */
    struct stream *streams, **streams_end;
    size_t stream_bytes; /* payload memory that the streams own */
    struct inbound *inbound;
    uint32_t inbound_bytes;        /* announced sizes of all inbound */
    struct channel *prev, *next;   /* in the set's ring of hot or of held ones; NULL: in none */
    uint32_t quiet;                /* turns without a frame while hot */
    uint32_t unrung;               /* entries in work that the runner has not been woken for */
    uint64_t answered_ns;          /* when its last RESULT was sent; 0: not known */
    bool brisk;                    /* its last CALL followed soon after that */
    uint32_t bells, frames;        /* heard; frames either way: in the second that began at … */
    uint64_t second;               /* … this time, ms of the loop */
    bool closed, broken, draining; /* draining: inside channel_drain */
    bool held;                     /* in the ring of held ones: a CALL waits for room … */
    uint64_t held_ns;              /* … since then; 0: none does */
};

struct channels {
    uv_loop_t *loop;
    struct channel_ops ops;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t again;         /* while some are held */
    struct channel hot, held; /* heads of the rings; only prev and next are used */
    uint32_t hot_count;
    size_t stream_bytes;     /* of all channels */
    int left;                /* frames that this turn has still room for */
    bool naps;               /* the loop turns every few milliseconds whatever happens */
    bool near;               /* core and runners have a processor each */
    struct channel *awaited; /* the loop stays awake for what its runner says next; or NULL … */
    uint64_t await_until_ns; /* … no longer than this */
    int open_handles;
};

/* Puts the channel among those looked at in every turn. */
void channel_make_hot(struct channel *ch);
void channel_make_cold(struct channel *ch);
/* Leaves the channel alone for some milliseconds. */
void channel_hold(struct channel *ch);
/* A RESULT goes out; a CALL or the REPLY has come in: whether the loop stays awake for the next one. */
void channel_answered(struct channel *ch);
void channel_heard(struct channel *ch, bool calls);
/* A part of a large message has gone out or come in: the loop stays awake for the next one. */
void channel_amid(struct channel *ch);
/* Sends what may be sent now. */
void channel_pump(struct channel *ch);
/* Ends the conversation, telling the owner why. */
void channel_break(struct channel *ch, const char *what);

#endif
