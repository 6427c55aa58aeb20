/* pool: runners, warm and spare, and which of them runs what (dispatch.c). */
#ifndef SVC_POOL_H
#define SVC_POOL_H

#include <uv.h>

#include "svc/invoke.h"
#include "svc/lineage.h"

struct hostcall;
struct logs;
struct log_stream;
struct zygote;

struct pool_opts {
    uv_loop_t *loop;
    struct functions *functions; /* with logs: NULL when every fn is a sealed one */
    struct logs *logs;
    const char *region;
    uint32_t max_runners;     /* 256 */
    uint64_t concurrency;     /* invocations under way at most, sealed ones apart; 0: any number */
    uint64_t memory;          /* bytes all runners may hold together */
    uint32_t idle_timeout_ms; /* 60,000 */
    uint32_t spares;          /* 0: max(2, cores) */
    bool jit;                 /* --jit off: false */
    struct zygote *zygote;    /* begun before the store was opened (zygote_begin), now the pool's;
                                 NULL: the pool begins one */
    bool allow_weak_jail;
    /* A runner asks: the pool hands it up. `hostcall_finish` answers. */
    void (*hostcall)(void *ctx, struct hostcall *call);
    void *hostcall_ctx;
    /* After each run, for usage and metrics. */
    void (*metered)(void *ctx, struct fn *fn, const struct invoke_result *r);
    void *metered_ctx;
    /* After each run and before its `done`, which may end what the request borrows. */
    void (*ended)(void *ctx, const struct invoke_req *req, const struct invoke_result *r);
    void *ended_ctx;
    /* Before the answer of a run that ended in an error is handed on. NULL: nobody is told. */
    void (*failed)(void *ctx, struct fn *fn, const struct invoke_result *r);
    void *failed_ctx;
};

/* Starts zygote and spares; err names the jail layer that cannot be applied. */
int pool_open(const struct pool_opts *opts, struct pool **out, struct err *err);
/* Refuses new runs, waits for running ones (`done` on the loop). */
void pool_drain(struct pool *p, void (*done)(void *ctx), void *ctx);
/* Kills what is left, reaps, frees. */
void pool_close(struct pool *p);

struct pool_stats {
    uint32_t runners, spares, busy, waiting;
    uint64_t invocations, errors, throttles, kills, cold_starts;
    uint64_t memory, memory_max; /* bytes of all runners, and what they may have together */
};
void pool_stats(const struct pool *p, struct pool_stats *out);
/* A function is gone and its log with it: its runs that are still under way log no more. */
void pool_mute(struct pool *p, struct str function);
/* Layers in force, e.g. "no_new_privs,rlimits,descriptors,seccomp,landlock". */
const char *pool_jail_layers(const struct pool *p);

/* --- one host call, as the pool hands it up ----------------------------------------------------
 */

struct hostcall {
    struct pool *pool;
    struct fn *fn;       /* valid until finished */
    int number;          /* HC_*, already checked to be in range */
    struct str args;     /* a valid rec, valid until finished */
    char request_id[37]; /* of the invocation; of the init phase: zeros */
    uint32_t hops;       /* of the invocation */
    struct str chain;    /* … and what led to it, as text; valid until finished */
    bool abandoned;      /* the runner is gone; finish all the same */
    void *user;          /* the handler's */
    /* called once when the runner dies or the invocation ends first; the handler stops early if it
     * can */
    void (*cancel)(struct hostcall *call);
};
/* The lineage of what the call makes; valid until it is finished. */
static inline struct lineage hostcall_cause(const struct hostcall *call)
{
    return (struct lineage){call->hops + 1, call->chain, call->fn->name};
}
/* Ends the call: rc 0 and a rec of HC_* fields, or E_* and err's text (NULL: the table's). */
void hostcall_finish(struct hostcall *call, int rc, struct str result, const struct err *err);
/* The same for a success, without a copy: the result's memory goes over, *result is empty after. */
void hostcall_give(struct hostcall *call, struct buf *result);
/* Where the call's invocation takes its answer in parts; NULL: nowhere. */
struct invoke_stream *hostcall_stream(struct hostcall *call);
/* Sets aside room for n bytes of result in what the runner may be given before it has taken it; false
 * while there is none, when the call should wait. Ends with the call. */
bool hostcall_reserve(struct hostcall *call, size_t n);
/* What a call has opened and later calls of the same invocation (or init phase) name by its id. When
 * that ends, or the runner does, `release` is called once: the handle is off the list then and its
 * calls are abandoned, which release may finish. */
struct hostcall_handle {
    struct hostcall_handle *next, **at;
    uint64_t id; /* never given twice to one runner */
    void (*release)(struct hostcall_handle *handle);
};
/* 0; E_THROTTLED when the invocation has HOSTCALL_HANDLES_MAX open; E_ABORTED when it has ended. */
enum { HOSTCALL_HANDLES_MAX = 64 };
int hostcall_keep(struct hostcall *call, struct hostcall_handle *handle);
/* One that the invocation of this call has open, else NULL. */
struct hostcall_handle *hostcall_kept(const struct hostcall *call, uint64_t id);
/* Takes it off the list without calling release. */
void hostcall_unkeep(struct hostcall_handle *handle);
/* Writes a line into the run's log, as the platform (used for denials). */
void hostcall_log(struct hostcall *call, struct str line);

#endif
