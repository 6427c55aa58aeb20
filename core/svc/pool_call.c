/* pool_call: host calls, from the CALL frame to the RESULT frame.
 *
 * A call belongs to the invocation that made it, or to the init phase. When that ends first, or the
 * runner dies, the call is abandoned: its handler is told and must still finish it, but nothing is
 * sent any more. What a runner can have open is bounded, and so is what it has been given and does
 * not take. */
#include "svc/pool_impl.h"

#include <stdlib.h>

#include "base/id.h"
#include "base/rec.h"
#include "svc/hostcall_tags.h"

static void link_call(struct call **list, struct call *c)
{
    c->next = *list;
    c->at = list;
    if (*list)
        (*list)->at = &c->next;
    *list = c;
}

static void unlink_call(struct call *c)
{
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
}

/* --- results ------------------------------------------------------------------------------------
 */

static void send_result(struct runner *r, uint32_t id, int rc, struct str rec, char *owned)
{
    struct frame_result head = {.rc = rc, .size = (uint32_t)rec.n};
    channel_send(r->channel, FRAME_RESULT, id, FRAME_F_CALL,
                 str_of((const char *)&head, sizeof head), rec, owned);
}

static void send_error(struct runner *r, uint32_t id, int rc, const struct err *err)
{
    struct buf b = BUF_INIT;
    rec_put_str(&b, HC_ERR_CODE, str_c(err_row(rc)->lua));
    rec_put_str(&b, HC_ERR_TEXT, str_c(err_text(err, rc)));
    send_result(r, id, rc, buf_str(&b), NULL);
    buf_deinit(&b);
}

/* Whether the runner may be given n bytes more before it has taken what it has. They lie in the
 * core, and a function can begin calls and never look at what comes: sixteen such held half a GiB. */
static bool fits(const struct runner *r, size_t n)
{
    const struct pool *p = r->pool;
    size_t held = channel_pending(r->channel) + r->reserved;
    size_t all = channels_pending(p->channels) + p->reserved;
    size_t most = all + n <= POOL_RESULTS_ALL ? POOL_RESULTS_MAX : POOL_RESULTS_LEAST;
    return held == 0 || held + n <= most;
}

/* --- arguments ----------------------------------------------------------------------------------
 */

/* Whether the runner may have n bytes of arguments more in the core. A call lasts as long as whom it
 * calls, and a function may make many: what all hold is bounded. A function may hold as much as it
 * leaves free, so whoever is greedy leaves half, two such a third, and small calls go through beside
 * any number of them. */
static bool args_fit(const struct runner *r, size_t n)
{
    size_t all = r->pool->args_bytes, left = all < POOL_ARGS_ALL ? POOL_ARGS_ALL - all : 0;
    size_t own = r->args_bytes + n;
    return own <= POOL_ARGS_MAX &&
           (own <= POOL_ARGS_LEAST || r->version->tally->args_bytes + n <= left);
}

static void args_count(struct runner *r, size_t n)
{
    r->args_bytes += n;
    r->version->tally->args_bytes += n;
    r->pool->args_bytes += n;
}

static void args_release(struct runner *r, size_t n)
{
    r->args_bytes -= n;
    r->version->tally->args_bytes -= n;
    r->pool->args_bytes -= n;
}

enum channel_room pool_call_room(struct runner *r, uint32_t size, uint64_t waited_ns)
{
    if (size <= FRAME_REASSEMBLY_MAX && args_fit(r, size)) {
        args_count(r, size);
        return CHANNEL_TAKE;
    }
    bool patient = waited_ns < POOL_ARGS_WAIT_MS * 1000000ull && size <= FRAME_REASSEMBLY_MAX;
    return patient ? CHANNEL_LATER : CHANNEL_DROP;
}

void pool_call_drop(struct runner *r, struct str args, char *owned)
{
    if (owned)
        args_release(r, args.n);
    free(owned);
}

static void call_release(struct call *c)
{
    struct pool *p = c->pub.pool;
    fn_unref(c->pub.fn);
    free(c->owned);
    free(c->chain);
    c->owned = c->chain = NULL;
    if (!p || c->args.cap > FRAME_MAX) {
        buf_deinit(&c->args);
        free(c);
        return;
    }
    c->next = p->free_calls;
    p->free_calls = c;
}

static void end(struct hostcall *call, int rc, struct str result, char *owned,
                const struct err *err)
{
    struct call *c = (struct call *)call; /* its first member */
    struct runner *r = c->runner;
    if (c->pub.pool)
        unlink_call(c);
    if (!call->abandoned) {
        r->calls_live--;
        if (!rc && !c->reserved && !fits(r, result.n))
            rc = E_LIMIT;
        if (rc)
            send_error(r, c->id, rc, err);
        else
            send_result(r, c->id, 0, result, owned);
    }
    if (call->abandoned || rc)
        free(owned);
    if (r) {
        r->calls_open--;
        args_release(r, call->args.n);
        r->reserved -= c->reserved;
    } else if (c->pub.pool) {
        c->pub.pool->args_bytes -= call->args.n;
    }
    if (c->pub.pool)
        c->pub.pool->reserved -= c->reserved;
    call_release(c);
}

bool hostcall_reserve(struct hostcall *call, size_t n)
{
    struct call *c = (struct call *)call;
    struct runner *r = c->runner;
    if (call->abandoned)
        return true;
    if (!fits(r, n))
        return false;
    r->reserved += n;
    r->pool->reserved += n;
    c->reserved += n;
    return true;
}

void hostcall_finish(struct hostcall *call, int rc, struct str result, const struct err *err)
{
    end(call, rc, result, NULL, err);
}

void hostcall_give(struct hostcall *call, struct buf *result)
{
    struct buf given = *result;
    *result = BUF_INIT;
    end(call, 0, buf_str(&given), given.p, NULL);
}

struct invoke_stream *hostcall_stream(struct hostcall *call)
{
    struct call *c = (struct call *)call;
    struct invocation *inv = call->abandoned ? NULL : runner_head(c->runner);
    return inv && inv->id == c->invocation ? inv->req.stream : NULL;
}

void hostcall_log(struct hostcall *call, struct str line)
{
    struct call *c = (struct call *)call;
    struct runner *r = c->runner;
    if (call->abandoned)
        return;
    struct invocation *inv = runner_head(r);
    invoke_log(r, inv && inv->id == c->invocation ? inv : NULL, LOG_ERROR, line);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static struct call *call_new(struct pool *p)
{
    struct call *c = p->free_calls;
    if (c) {
        p->free_calls = c->next;
        struct buf args = c->args;
        buf_clear(&args);
        *c = (struct call){.args = args};
    } else if (!(c = calloc(1, sizeof *c))) {
        abort(); /* small and fixed */
    }
    return c;
}

/* What an honest runner never does; NULL when all is well. */
static const char *offence(struct runner *r, uint32_t id, const struct frame_call *f,
                           struct str args)
{
    if (f->number <= HC_CALL_NONE_ || f->number >= HC_CALL_COUNT)
        return "a CALL of an unknown number";
    if (!rec_valid(args))
        return "a CALL whose arguments are no record";
    if (r->calls_live >= FRAME_CALLS_MAX)
        return "too many open CALLs";
    for (struct call *c = r->calls; c; c = c->next)
        if (c->id == id)
            return "a CALL with the id of an open one";
    return NULL;
}

/* What an honest runner may be told instead of a result; 0: the call begins. */
static int refusal(const struct runner *r, const struct frame_call *f, struct str args,
                   const char *owned, struct err *err)
{
    const struct invocation *inv = r->in_init || !r->count ? NULL : r->entries[r->first];
    if (r->in_init ? f->invocation != 0 : !inv || inv->id != f->invocation)
        return err_set(err, E_CONFLICT,
                       "The invocation that this call belongs to has ended."); /* or was revoked */
    if (r->version->fn->sealed)
        return E_DENIED;
    if (r->calls_open >= POOL_CALLS_MAX)
        return E_THROTTLED;
    if (args.n < f->size || (!owned && !args_fit(r, args.n)))
        return err_set(err, E_THROTTLED,
                       "Too many bytes of arguments are in open calls of functions: %d MiB are "
                       "shared by all, %d MiB are the most for one.",
                       POOL_ARGS_ALL >> 20, POOL_ARGS_MAX >> 20);
    return 0;
}

void pool_call_begin(struct runner *r, uint32_t id, const struct frame_call *f, struct str args,
                     char *owned)
{
    struct invocation *inv = r->in_init ? NULL : runner_head(r);
    const char *what = offence(r, id, f, args);
    struct err err = {0};
    int refused = what ? 0 : refusal(r, f, args, owned, &err);
    if (what || refused) {
        pool_call_drop(r, args, owned);
        if (what)
            runner_events_broke(r, what);
        else
            send_error(r, id, refused, &err);
        return;
    }
    struct call *c = call_new(r->pool);
    c->id = id;
    c->invocation = f->invocation;
    c->owned = owned;
    if (!owned)
        buf_add(&c->args, args);
    c->pub = (struct hostcall){.pool = r->pool,
                               .fn = r->version->fn,
                               .number = f->number,
                               .hops = inv ? inv->req.hops : 0,
                               .args = owned ? args : buf_str(&c->args)};
    snprintf(c->pub.request_id, sizeof c->pub.request_id, "%s",
             inv ? inv->req.request_id : "00000000-0000-0000-0000-000000000000");
    if (inv && inv->req.chain.n) { /* it may outlive the invocation */
        size_t n = inv->req.chain.n;
        if ((c->chain = malloc(n)))
            memcpy(c->chain, inv->req.chain.p, n);
        c->pub.chain = str_of(c->chain, c->chain ? n : 0);
    }
    if (inv)
        inv->touched = true;
    fn_ref(c->pub.fn);
    c->runner = r;
    link_call(&r->calls, c);
    r->calls_live++;
    r->calls_open++;
    if (!owned)
        args_count(r, args.n);
    struct version *v = r->version;
    if (r->count > 1) /* it waits now: whoever is behind it need not */
        dispatch_revoke(r, 1);
    r->pool->opts.hostcall(r->pool->opts.hostcall_ctx, &c->pub);
    if (v->first)
        dispatch_version(r->pool, v);
}

/* --- handles ------------------------------------------------------------------------------------
 */

int hostcall_keep(struct hostcall *call, struct hostcall_handle *handle)
{
    struct runner *r = ((struct call *)call)->runner;
    uint32_t n = 0;
    if (call->abandoned)
        return E_ABORTED;
    for (struct hostcall_handle *h = r->handles; h; h = h->next)
        n++;
    if (n >= HOSTCALL_HANDLES_MAX)
        return E_THROTTLED;
    handle->id = ++r->last_handle;
    handle->next = r->handles;
    handle->at = &r->handles;
    if (handle->next)
        handle->next->at = &handle->next;
    r->handles = handle;
    return 0;
}

struct hostcall_handle *hostcall_kept(const struct hostcall *call, uint64_t id)
{
    const struct runner *r = ((const struct call *)call)->runner;
    struct hostcall_handle *h = call->abandoned ? NULL : r->handles;
    while (h && h->id != id)
        h = h->next;
    return h;
}

void hostcall_unkeep(struct hostcall_handle *handle)
{
    *handle->at = handle->next;
    if (handle->next)
        handle->next->at = handle->at;
}

/* --- ends ---------------------------------------------------------------------------------------
 */

/* Tells the handlers; c may be finished and gone when its cancel returns. */
void pool_call_abandon(struct runner *r)
{
    channel_forget(r->channel, FRAME_F_CALL, 0);
    while (r->calls) {
        struct call *c = r->calls;
        unlink_call(c);
        link_call(&r->left, c);
        r->calls_live--;
        c->pub.abandoned = true;
        if (c->pub.cancel)
            c->pub.cancel(&c->pub);
    }
    while (r->handles) {
        struct hostcall_handle *h = r->handles;
        hostcall_unkeep(h);
        h->release(h);
    }
}

void pool_call_orphan(struct runner *r)
{
    while (r->left) {
        struct call *c = r->left;
        unlink_call(c);
        link_call(&r->pool->orphans, c);
        c->runner = NULL;
        args_release(r, c->pub.args.n);
        r->pool->args_bytes += c->pub.args.n;
    }
    if (r->args_bytes) /* of calls that were still on their way */
        args_release(r, r->args_bytes);
}

void pool_call_close(struct pool *p)
{
    for (; p->orphans; p->orphans = p->orphans->next)
        p->orphans->pub.pool = NULL;
    while (p->free_calls) {
        struct call *c = p->free_calls;
        p->free_calls = c->next;
        buf_deinit(&c->args);
        free(c);
    }
}
