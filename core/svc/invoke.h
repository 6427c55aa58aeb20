/* invoke: one invocation, from admission to its metered end.
 *
 * admit -> acquire (pool: dispatch rules) -> run -> settle -> meter. Every invocation ends with
 * exactly one call of `done`, by the function's deadline plus 250 ms once it has started, whatever
 * the function does. */
#ifndef SVC_INVOKE_H
#define SVC_INVOKE_H

#include "base/arena.h"
#include "proc/frame.h"
#include "svc/function.h"

struct pool;

struct invoke_result {
    int rc; /* 0: it ran (a function error too); E_THROTTLED, E_SHUTDOWN, E_INTERNAL: it did not */
    bool reserved;         /* E_THROTTLED by the function's reserved concurrency */
    bool error;            /* function error: payload is the error object */
    bool handled;          /* "Handled" instead of "Unhandled" */
    int kind;              /* REPLY_JSON or REPLY_HTTP (a rec of URL_*) */
    struct str payload;    /* valid during done() */
    char **owned;          /* malloc'd memory that holds payload, or NULL: see invoke_take */
    struct str error_type; /* "" or "Sandbox.Timedout", … */
    struct str log_tail;   /* last 4 KiB of the run's log when asked for; valid during done() */
    struct str version;    /* executed version; valid during done() */
    uint64_t duration_us, billed_ms, init_us;
    uint64_t memory_peak;            /* bytes */
    int64_t ended_ms;                /* wall; of those that ran */
    const char *request_id, *source; /* of the request; in pool_opts' hooks only */
    bool platform_failure;           /* the runner died of our doing, not the function's */
};

/* In done(): the memory that holds a large payload, the caller's from now on; NULL when the payload
 * dies with done(). */
static inline char *invoke_take(const struct invoke_result *r)
{
    char *p = r->owned ? *r->owned : NULL;
    if (p)
        *r->owned = NULL;
    return p;
}

/* Takes a function's answer while it is being made (http.respond_stream). All calls come on the loop,
 * from host calls of the invocation; `done` ends it, with an error when the function failed midway. */
struct invoke_stream {
    void *ctx;
    /* Before any write. head: a valid rec of URL_* fields without a body, for this call only; headers
     * and cookies are such as HTTP allows. False: they are more than an answer may have, and nothing
     * has begun. */
    bool (*begin)(void *ctx, struct str head);
    /* Copies. False: enough waits for the client; resume(arg) when it has taken that, unless `done`
     * comes first. */
    bool (*write)(void *ctx, struct str bytes, void (*resume)(void *arg), void *arg);
    /* kept by svc/hostcall_response.c */
    bool begun;
    uint64_t sent;
};

enum { INVOKE_HOPS_MAX = 16 }; /* runs in one chain, of functions that do not allow loops */

struct invocation;
typedef void invoke_done(void *ctx, const struct invoke_result *r);

struct invoke_req {
    struct fn *fn;             /* invoke takes its own reference */
    int event_kind;            /* EVENT_* */
    struct str event;          /* valid until done: owned by the caller */
    struct str client_context; /* JSON text or "" */
    struct str arn;            /* as invoked (with qualifier), valid until done */
    char request_id[37];
    uint32_t attempt;   /* from 1 */
    uint32_t hops;      /* runs before this one in the chain that led to it, … */
    struct str chain;   /* … as text (svc/lineage.h), valid until done */
    bool tail;          /* log_tail wanted */
    bool nested;        /* called by a function that waits: never queues behind a runner */
    bool asynchronous;  /* from the queue: E_THROTTLED at once instead of waiting in the FIFO */
    const char *source; /* "invoke" "url" "s3" … for metrics */
    struct invoke_stream *stream; /* valid until done; NULL: the answer comes whole */
    invoke_done *done;
    void *ctx;
};
/* May call done before it returns. */
void invoke(struct pool *p, const struct invoke_req *req);

#endif
