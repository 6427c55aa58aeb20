/* fetcher: perilune-fetch as the core sees it: started when first needed, ended when idle, started
 * again when it broke.
 *
 * Requests wait in order while FLIGHT_MAX are under way or their bodies are more than
 * FLIGHT_BYTES_MAX. All functions are the loop thread's; starting and reaping the process happen on
 * the pool. */
#ifndef SVC_FETCHER_H
#define SVC_FETCHER_H

#include <uv.h>

#include "auth/outbound.h"
#include "base/buf.h"

struct fetcher;

/* perilune-fetch beside the running program, as a descriptor that can be executed later by whoever
 * this process has become; -1 when it is not there. Any process, any thread. */
int fetcher_program(void);

struct fetcher_opts {
    uv_loop_t *loop;
    int program;      /* from fetcher_program; owned from now on */
    int ca;           /* descriptor of a file of trusted certificates, owned; -1: the system's */
    uint64_t idle_ms; /* the process ends after that */
};
struct fetcher *fetcher_open(const struct fetcher_opts *o);
/* No request is open any more. Runs the loop until its own work is done. */
void fetcher_close(struct fetcher *f);

/* What came back. rc: 0, E_TIMEOUT, E_IO (could not be done: why), E_DENIED (its address is not
 * public: why), E_LIMIT (more than max_bytes), E_THROTTLED. */
struct fetch_outcome {
    int rc;
    const char *why; /* valid during the callback */
};

/* One request, embedded by the caller; its strings stay valid until `done`. */
struct fetch {
    /* the caller's */
    const struct outbound *url;
    struct str method;
    struct str headers; /* FETCH_HEADER fields of fetch_wire.h */
    struct str body;    /* p NULL: none */
    uint64_t deadline;  /* uv_now */
    uint64_t max_bytes; /* at most FETCH_BODY_MAX */
    bool private_ok;    /* the role names the host literally */
    const void *owner;  /* one owner has OWNER_MAX requests at most, others are E_THROTTLED */
    /* The head of the answer is there: status and FETCH_HEADER fields in `rec`, `size` bytes follow:
     * returns what they are appended to, NULL when there is no memory for them. */
    struct buf *(*answered)(struct fetch *x, struct str rec, size_t size);
    /* Always once, not during fetch_start. */
    void (*done)(struct fetch *x, const struct fetch_outcome *o);
    /* fetcher's own */
    struct fetcher *fetcher;
    struct fetch *next, **at;
    enum { FETCH_WAITS, FETCH_SENT, FETCH_ENDED } state;
    uint32_t id;
    struct buf *into;
    size_t left; /* bytes of the body that are still to come */
    uv_timer_t timer;
    bool writing;   /* its bytes are on their way: it cannot go yet */
    size_t stalled; /* bytes that waited to be written when it was last looked at */
    struct fetch_outcome outcome;
    char text[300];
};

void fetch_start(struct fetcher *f, struct fetch *x);
/* Ends it early: `done` comes soon, with E_ABORTED. Harmless when it has ended. */
void fetch_cancel(struct fetch *x);

#endif
