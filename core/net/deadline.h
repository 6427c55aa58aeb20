/* deadline: coarse deadlines of many connections on one timer.
 *
 * All deadlines of a kind have the same length, so each kind is a queue in order of expiry: setting
 * one is two pointer swaps at the tail, and the timer only ever looks at the heads. It fires up to
 * 50 ms late and is not armed while nothing is set. */
#ifndef NET_DEADLINE_H
#define NET_DEADLINE_H

#include <uv.h>

#include "base/str.h"

enum deadline_kind {
    DEADLINE_NONE,
    DEADLINE_IDLE,     /* keep-alive: no byte of a next request */
    DEADLINE_HEAD,     /* from the first byte of a head to its last */
    DEADLINE_PROGRESS, /* a body or an answer that moves no byte */
    DEADLINE_GRACE,    /* while draining: last chance for a request on the wire */
    DEADLINE_LINGER,   /* answer sent, the client has not closed */
    DEADLINE_ACCEPT,   /* out of descriptors: try again */
    DEADLINE_KINDS,
};

struct deadline {
    struct deadline *prev, *next; /* NULL while not set */
    uint64_t at_ms;               /* loop time */
    enum deadline_kind kind;      /* DEADLINE_NONE while not set */
};

struct deadlines {
    uv_timer_t timer;
    uint64_t armed_ms; /* loop time the timer fires at; 0: not armed */
    uint32_t length_ms[DEADLINE_KINDS];
    struct deadline heads[DEADLINE_KINDS];
    void (*expired)(struct deadline *d, enum deadline_kind kind);
};

/* `expired` is called from the loop with the deadline already cleared. */
void deadlines_init(struct deadlines *all, uv_loop_t *loop,
                    void (*expired)(struct deadline *d, enum deadline_kind kind));
void deadlines_close(struct deadlines *all, uv_close_cb closed);
/* Sets d anew, whatever it was; DEADLINE_NONE clears it. */
void deadline_set(struct deadlines *all, struct deadline *d, enum deadline_kind kind);

#endif
