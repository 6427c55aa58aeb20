/* hostcall: what a function may ask of the core, performed after checking its role.
 *
 * One table (hostcall.def) gives each call its number, name, action and resource; hostcall_dispatch
 * builds the resource's ARN from the arguments, asks the execution role, and only then runs the
 * call's handler. Every call is finished exactly once, abandoned ones too. A denial names the
 * action, the resource and the role, to the function and in the run's log. */
#ifndef SVC_HOSTCALL_H
#define SVC_HOSTCALL_H

#include "svc/guard.h"
#include "svc/object_read.h"
#include "svc/pool.h"

enum {
    HOSTCALL_BODY_MAX = 6 * 1024 * 1024, /* bytes of an object that one call gets or puts */
    HOSTCALL_SLEEP_MAX_MS = 900 * 1000,  /* longest sleep */
    HOSTCALL_MEMORY_MAX =
        64 * 1024 * 1024, /* object bytes that all calls hold at once; more wait */
};

struct hostcalls;

struct fetcher;

struct hostcalls_opts {
    uv_loop_t *loop;
    struct store *store;
    struct functions *functions;
    struct roles *roles;
    const char *region;
    struct fetcher *fetcher; /* NULL: no HTTP */
    struct pulse *pulse;     /* told of denials; NULL: nobody is */
};
struct hostcalls *hostcalls_open(const struct hostcalls_opts *o);
/* Objects and queue are made after the pool that calls us: before the first run they are handed in
 * here. */
void hostcalls_connect(struct hostcalls *h, struct objects *objects, struct queue *queue,
                       struct bucket_policies *buckets);
/* How clients reach the server ("http://127.0.0.1:1969"), for links; copied. */
void hostcalls_endpoint(struct hostcalls *h, const char *url);
/* After pool_close: no call is open any more. */
void hostcalls_close(struct hostcalls *h);

/* pool_opts.hostcall; ctx is a struct hostcalls. */
void hostcall_dispatch(void *ctx, struct hostcall *call);

/* Rows of the table, for tests and for the tools that list permissions. NULL past the end. */
struct hostcall_row {
    int number;
    const char *name, *action;
};
const struct hostcall_row *hostcall_row(int number);

/* --- for the handlers (hostcall_*.c) -------------------------------------------------------------
 */

struct hostcalls {
    struct hostcalls_opts o;
    struct objects *objects;
    struct queue *queue;
    char endpoint[512];
    struct cache *cache; /* what functions keep in this node's memory */
    struct guards guards;
    size_t streams;                         /* objects that all functions have open */
    size_t memory;                          /* object bytes held by open calls */
    struct hostcall_get *waiting, **newest; /* for memory, oldest first */
    struct hostcall_get *starting;          /* have it, begin now */
    uv_timer_t *retry;                      /* while some wait for their runner to take results */
};

/* One per row: performs the call, which the role allows, and finishes it now or later. */
typedef void hostcall_handler(struct hostcalls *h, struct hostcall *call);
hostcall_handler hostcall_s3_get, hostcall_s3_head, hostcall_s3_put, hostcall_s3_delete,
    hostcall_s3_list, hostcall_kv_get, hostcall_kv_set, hostcall_kv_incr, hostcall_kv_delete,
    hostcall_kv_list, hostcall_kv_commit, hostcall_lambda_invoke, hostcall_lambda_invoke_async,
    hostcall_secret_get, hostcall_cache_get, hostcall_cache_set, hostcall_http_request,
    hostcall_response_begin, hostcall_response_write, hostcall_s3_open, hostcall_s3_read,
    hostcall_s3_create, hostcall_s3_write, hostcall_s3_finish, hostcall_s3_close, hostcall_s3_copy,
    hostcall_s3_presign;

/* --- between hostcall_s3.c and hostcall_stream.c --- */

/* Appends what is known of an object but its body. */
void hostcall_put_meta(struct buf *result, const struct object_meta *m);
/* Reads `count` bytes, which must be there, into result (taken) as its last field HC_BODY, once
 * there is memory for them; then done(ctx, rc, result), perhaps before this returns. Result is the
 * callee's then; so is `read`, which is not closed. An abandoned call ends early with E_ABORTED. */
void hostcall_fetch(struct hostcalls *h, struct hostcall *call, struct object_read *read,
                    size_t count, struct buf *result,
                    void (*done)(void *ctx, int rc, struct buf *result), void *ctx);
/* The arguments of s3.put and s3.create; the strings stay theirs. meta: memory for the pairs. */
struct object_put_req hostcall_put_req(const struct hostcall *call, struct buf *meta);

/* Ends the call with what `result` holds (0) and frees it, or with rc and err. */
void hostcall_end(struct hostcall *call, int rc, struct buf *result, const struct err *err);
/* The function that a rec of arguments names, qualifier "" when none. E_INVALID, E_NOT_FOUND. */
int hostcall_function_name(struct hostcalls *h, struct str args, struct str *name,
                           struct str *qualifier, struct err *err);
/* 0 when the role allows the action on what the arguments name; else E_DENIED, told to the log too.
 * For handlers of rows whose resource is EACH, and for redirects. kind: of hostcall.def. */
enum hostcall_resource {
    HOSTCALL_NONE,
    HOSTCALL_OBJECT,
    HOSTCALL_BUCKET,
    HOSTCALL_KV,
    HOSTCALL_FUNCTION,
    HOSTCALL_SECRET,
    HOSTCALL_EACH,
    HOSTCALL_URL,
};
int hostcall_allow(struct hostcalls *h, struct hostcall *call, struct str args, const char *action,
                   enum hostcall_resource kind, struct err *err);
/* What lambda.invoke_async may ask for, its payload apart. */
enum { HOSTCALL_ASYNC_MAX = 1024 * 1024 };
#define HOSTCALL_DELAY_MAX_MS (365 * 86400000ull)

#endif
