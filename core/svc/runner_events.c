/* runner_events: what the zygote reports of runners, and what they say themselves.
 *
 * A runner that has left the books is not heard any more, with one exception: when its end is
 * reported and nobody had ended it, what it had said before is read first, so that a reply already
 * given counts. Nothing here trusts the runner: each message is judged by what was due. */
#include "svc/pool_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/jail.h"

/* --- what the zygote reports --------------------------------------------------------------------
 */

static struct runner *find(struct pool *p, uint32_t token)
{
    struct runner *r = p->all;
    while (r && r->token != token)
        r = r->all_next;
    return r;
}

static void spawned(void *ctx, uint32_t token, pid_t pid, int pidfd)
{
    struct runner *r = find(ctx, token);
    if (!r || r->pidfd >= 0) {
        close(pidfd);
        return;
    }
    r->pid = pid;
    r->pidfd = pidfd;
    if (r->killed)
        runners_signal(r, SIGKILL);
}

static void died(struct runner *r, int status)
{
    struct outcome o;
    runners_leave(r);
    r->last_words = true;
    while (channel_drain(r->channel, CHANNEL_FRAMES_PER_TURN) > 0)
        ;
    r->last_words = false;
    if (!r->version)
        return;
    outcome_exit(&o, status, channel_memory_refused(r->channel), r->version->fn->memory_mb);
    /* a jail that could not be closed is nobody's fault */
    runners_give_up(r, r->up && (r->in_init || runners_head_started(r)) ? &o : NULL);
}

static void exited(void *ctx, uint32_t token, int status, uint64_t peak_rss)
{
    struct pool *p = ctx;
    struct runner *r = find(p, token);
    if (!r)
        return;
    int layer = jail_failed_layer(status);
    if (!r->up && layer >= 0)
        log_error("a runner could not close its jail: layer %s", jail_layer_name((unsigned)layer));
    log_debug("runner %d ended: status %#x, peak %llu KiB", (int)r->pid, status,
              (unsigned long long)(peak_rss / 1024));
    if (r->state != RUNNER_DYING)
        died(r, status);
    bool up = r->up;
    runners_free(r);
    pool_time_refill(p, up ? 1 : 1000); /* no fast loop of runners that fail at their start */
    dispatch_waiting(p);
}

static void failed(void *ctx, uint32_t token, int error)
{
    struct pool *p = ctx;
    struct runner *r = find(p, token);
    log_error("a runner could not be forked: %s", strerror(error));
    if (!r)
        return;
    runners_give_up(r, NULL);
    runners_free(r);
    pool_time_refill(p, 1000);
}

static void zygote_died(void *ctx)
{
    (void)ctx;
    log_error("the zygote is gone: ending; whoever supervises this process starts it again");
    _exit(1); /* what was acknowledged is on disk */
}

const struct zygote_ops runner_events_zygote = {
    .spawned = spawned, .exited = exited, .failed = failed, .died = zygote_died};

/* --- what a runner says -------------------------------------------------------------------------
 */

static bool deaf(const struct runner *r)
{
    return r->state == RUNNER_DYING && !r->last_words;
}

static void broken(void *ctx, const char *what)
{
    struct runner *r = ctx;
    struct outcome o;
    if (deaf(r))
        return;
    struct str name = r->version ? r->version->fn->name : STR("(spare)");
    log_warn("runner %d of %.*s broke the protocol: %s", (int)r->pid, STR_FMT(name), what);
    bool started = r->in_init || runners_head_started(r);
    channel_mute(r->channel);
    runners_kill(r);
    outcome_broken(&o);
    runners_give_up(r, started ? &o : NULL);
}

static void loaded(struct runner *r, const struct frame_ready *ready)
{
    uint64_t now_ns = clock_mono_ns();
    r->state = RUNNER_WARM;
    r->in_init = false;
    r->cold = true;
    r->init_us = (now_ns - r->head_ns) / 1000;
    if (ready->init_us < r->init_us)
        r->init_us = ready->init_us;
    runners_charge(r, ready->memory_peak);
    pool_call_abandon(r);
    runners_next(r, now_ns);
    if (r->version->first)
        dispatch_version(r->pool, r->version);
}

static void on_ready(void *ctx, uint32_t id, const struct frame_ready *ready)
{
    struct runner *r = ctx;
    if (deaf(r) || r->state == RUNNER_GRACE)
        return;
    if (r->last_words) { /* it may have lived through all of it unheard */
        r->up = true;
        r->cold = id == 1 && r->in_init;
        r->in_init = r->in_init && id != 1;
        r->init_us = ready->init_us;
    } else if (id == 0 && !r->up) {
        r->up = true;
        r->pool->starting--;
        if (r->state == RUNNER_SPARE)
            r->deadline_ms = 0;
        dispatch_waiting(r->pool);
    } else if (id == 1 && r->up && r->state == RUNNER_LOADING && !r->load) {
        loaded(r, ready);
    } else {
        broken(r, "a READY that was not due");
    }
}

static void on_log(void *ctx, uint32_t id, int level, struct str line)
{
    struct runner *r = ctx;
    struct invocation *inv = runner_head(r);
    enum log_severity severity = level > LOG_FATAL ? LOG_FATAL : (enum log_severity)level;
    if (deaf(r) || !r->version)
        return;
    if (id == 0)
        return invoke_log(r, NULL, severity, line);
    if (!inv || inv->id != id)
        return; /* of a run that has ended */
    inv->touched = true;
    invoke_began(r, inv);
    invoke_log(r, inv, severity, line);
}

static void on_call(void *ctx, uint32_t id, const struct frame_call *c, struct str args,
                    char *owned)
{
    struct runner *r = ctx;
    if (deaf(r) || r->last_words || r->state == RUNNER_GRACE || r->state == RUNNER_SPARE) {
        pool_call_drop(r, args, owned);
        return;
    }
    pool_call_begin(r, id, c, args, owned);
}

static enum channel_room on_room(void *ctx, uint32_t size, uint64_t waited_ns)
{
    struct runner *r = ctx;
    bool heard = (r->state == RUNNER_WARM || r->state == RUNNER_LOADING) && !r->last_words;
    return heard ? pool_call_room(r, size, waited_ns) : CHANNEL_DROP;
}

static void on_reply(void *ctx, uint32_t id, const struct frame_reply *reply, struct str answer,
                     char **owned)
{
    struct runner *r = ctx;
    struct invocation *inv = runner_head(r);
    if (deaf(r))
        return;
    if (!inv || inv->id != id || r->in_init)
        return broken(r, "a REPLY that was not due");
    if (r->state == RUNNER_GRACE)
        return pool_time_overdue(r); /* too late: its caller gets the timeout */
    invoke_replied(r, reply, answer, owned);
}

void runner_events_broke(struct runner *r, const char *what)
{
    broken(r, what);
}

const struct channel_ops runner_events_channel = {
    .ready = on_ready,
    .log = on_log,
    .call = on_call,
    .reply = on_reply,
    .broken = broken,
    .room = on_room,
};
