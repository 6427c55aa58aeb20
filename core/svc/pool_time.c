/* pool_time: what the pool does because time has passed.
 *
 * One timer for all deadlines: it is armed for the earliest, and since starting a run with a later
 * deadline touches nothing but the runner's own field, a quick invocation costs no timer work at
 * all. When the timer fires, all runners are looked at (some hundreds) and it is armed again.
 *
 * The tick runs only while someone waits. The keeper looks at idle runners: at those that have just
 * run, once, whether they hold more memory than they may; at the longest idle, whether it is time
 * to go. When all are idle and looked at, nothing is armed but the next eviction. */
#include "svc/pool_impl.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/jail.h"
#include "proc/slice.h"

enum { RSS_DELAY_MS = 1000 };

/* --- deadlines ----------------------------------------------------------------------------------
 */

static void on_deadline(uv_timer_t *t);

static void arm(struct pool *p, uint64_t at_ms)
{
    if (p->deadline_at && p->deadline_at <= at_ms)
        return;
    p->deadline_at = at_ms;
    uint64_t now = uv_now(p->opts.loop);
    uv_timer_start(&p->deadline, on_deadline, at_ms > now ? at_ms - now : 0, 0);
}

void pool_time_deadline(struct pool *p, struct runner *r, uint64_t now_ns, uint64_t ms)
{
    r->deadline_ms = now_ns / 1000000 + ms + 1; /* the loop's clock is the same one */
    arm(p, r->deadline_ms);
}

void pool_time_overdue(struct runner *r)
{
    struct outcome o;
    struct fn *fn = r->version->fn;
    while (r->state == RUNNER_GRACE && channel_drain(r->channel, CHANNEL_FRAMES_PER_TURN) > 0)
        ; /* its traceback */
    if (r->state != RUNNER_GRACE)
        return;
    outcome_timeout(&o, r->in_init ? POOL_INIT_MS : fn->timeout_ms);
    runners_kill(r);
    runners_give_up(r, &o);
}

/* The deadline itself: whoever waits behind goes elsewhere, the runner may say where it is. Unless
 * its REPLY (or READY) is there and has only not been read yet. */
static void signal_runner(struct runner *r)
{
    channel_drain(r->channel, CHANNEL_FRAMES_PER_TURN);
    if (r->deadline_ms || r->state == RUNNER_DYING || (r->state == RUNNER_WARM && !r->count))
        return;
    dispatch_revoke(r, 1);
    r->state = RUNNER_GRACE;
    pool_time_brisk(r); /* or it would not come to say anything in time */
    if (r->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, r->pidfd, JAIL_DEADLINE_SIGNAL, NULL, 0);
    pool_time_deadline(r->pool, r, clock_mono_ns(), POOL_GRACE_MS);
}

static void due(struct runner *r)
{
    r->deadline_ms = 0;
    switch (r->state) {
    case RUNNER_SPARE:
        log_warn("a spare runner did not come up: killed");
        runners_kill(r);
        break;
    case RUNNER_LOADING:
    case RUNNER_WARM:
        signal_runner(r);
        break;
    case RUNNER_GRACE:
        pool_time_overdue(r);
        break;
    case RUNNER_DYING:
        runners_kill(r);
        break;
    }
}

static void on_deadline(uv_timer_t *t)
{
    struct pool *p = t->data;
    uint64_t now = clock_mono_ns() / 1000000, next = 0;
    p->deadline_at = 0;
    for (struct runner *r = p->all; r; r = r->all_next)
        if (r->deadline_ms && r->deadline_ms <= now)
            due(r); /* frees no runner */
    for (struct runner *r = p->all; r; r = r->all_next)
        if (r->deadline_ms && (!next || r->deadline_ms < next))
            next = r->deadline_ms;
    if (next)
        arm(p, next);
    dispatch_waiting(p);
}

/* --- the tick -----------------------------------------------------------------------------------
 */

static void on_tick(uv_timer_t *t)
{
    struct pool *p = t->data;
    uint64_t now_ns = clock_mono_ns();
    if (!p->waiting && !p->behind) {
        uv_timer_stop(t);
        p->ticking = false;
        channels_nap(p->channels, false);
        return;
    }
    if (p->behind)
        for (struct runner *r = p->all; r; r = r->all_next)
            if (r->count > 1 && now_ns - r->head_ns > POOL_SLOW_NS && !channel_speaks(r->channel))
                dispatch_revoke(r, 1);
    dispatch_expire(p, now_ns);
    dispatch_waiting(p);
    if (p->waiting)
        dispatch_relieve(p, now_ns);
}

void pool_time_tick(struct pool *p)
{
    if (p->ticking || p->closed)
        return;
    p->ticking = true;
    channels_nap(p->channels, true);
    uv_timer_start(&p->tick, on_tick, POOL_TICK_MS, POOL_TICK_MS);
}

/* --- runs that compute --------------------------------------------------------------------------
 * A run that has used much of the processor yields to all who use little (proc/slice.h). Beside
 * eight hogs a core a hello's p90 and p99 were 4.1 and 13 ms before, 2.6 and 8 with long slices. Beside
 * sixteen hostile functions p99 was 4.7 ms with those alone and 3.1 with smaller shares after 20 ms (2.6
 * after 2 ms, 3.6 after 50). The share is made smaller only while runners want more processors than there
 * are: who computes beside programs of others alone keeps what it has. And init is no such run: what it
 * gives away may be gone for good. Nothing is armed while nobody runs, and quick runs cost a comparison. */

/* Nanoseconds of the processor; 0 when it has ended. */
static uint64_t cpu_ns(pid_t pid)
{
    struct timespec t;
    clockid_t clock;
    if (!pid || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
        return 0;
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void look_at(struct runner *r)
{
    uint32_t id = runner_head(r)->id;
    uint64_t now_ns = cpu_ns(r->pid);
    if (r->looked_id != id) {
        r->looked_id = id;
        r->looked_ns = now_ns;
    } else if (!r->hog && now_ns > r->looked_ns + POOL_HOG_NS) {
        r->hog = true;
        if (!r->nice)
            r->nice = slice_nice(r->pid);
        slice_set(r->pid, true, r->nice);
    } else if (r->state == RUNNER_WARM && r->pool->busy > r->pool->cores &&
               now_ns > r->looked_ns + POOL_YIELD_NS) {
        r->yields = true;
        slice_set(r->pid, true, slice_nicer(r->nice));
    }
}

static void on_look(uv_timer_t *t)
{
    struct pool *p = t->data;
    bool more = false;
    for (struct runner *r = p->all; r; r = r->all_next)
        if (r->count && !r->yields && (r->state == RUNNER_WARM || r->state == RUNNER_LOADING)) {
            look_at(r);
            more |= r->calls_live == 0; /* who waits is looked at again when somebody runs */
        }
    p->looking = false;
    if (more)
        pool_time_look(p);
}

void pool_time_look(struct pool *p)
{
    if (p->looking || p->closed)
        return;
    p->looking = true;
    uv_timer_start(&p->look, on_look, POOL_LOOK_MS, 0);
}

void pool_time_brisk(struct runner *r)
{
    if (!r->hog)
        return;
    r->hog = r->yields = false;
    slice_set(r->pid, false, r->nice);
}

/* --- idle runners -------------------------------------------------------------------------------
 */

/* VmHWM of a process, in bytes; 0 when it cannot be read. */
static uint64_t peak_rss(pid_t pid)
{
    char path[40], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *at = strstr(text, "\nVmHWM:");
    return at ? strtoull(at + 7, NULL, 10) * 1024 : 0;
}

/* The allocator's cap does not see all memory; a runner that once held much more than its limit is
 * not kept. */
static bool too_fat(struct runner *r)
{
    const uint64_t may = ((uint64_t)r->version->fn->memory_mb << 20) + POOL_RSS_SLACK;
    uint64_t rss = r->pid ? peak_rss(r->pid) : 0;
    if (rss <= may)
        return false;
    log_info("runner %d of %.*s held %llu MiB, over its limit: retired", (int)r->pid,
             STR_FMT(r->version->fn->name), (unsigned long long)(rss >> 20));
    return true;
}

static void on_keep(uv_timer_t *t);

static void keep(struct pool *p, uint64_t at_ms)
{
    uint64_t now = uv_now(p->opts.loop);
    if (p->closed || (p->keeper_at && p->keeper_at <= at_ms))
        return;
    p->keeper_at = at_ms;
    uv_timer_start(&p->keeper, on_keep, at_ms > now ? at_ms - now : 0, 0);
}

void pool_time_idle(struct runner *r)
{
    uint64_t ms = r->pool->opts.idle_timeout_ms;
    if (r->rss_due && ms > RSS_DELAY_MS)
        ms = RSS_DELAY_MS;
    keep(r->pool, r->idle_ms + ms);
}

static void on_keep(uv_timer_t *t)
{
    struct pool *p = t->data;
    uint64_t now = uv_now(p->opts.loop);
    p->keeper_at = 0;
    for (struct runner *r = p->idle_first, *after; r; r = after) {
        after = r->next;
        bool look = r->rss_due && r->idle_ms + RSS_DELAY_MS <= now;
        if (look)
            r->rss_due = false;
        if (r->idle_ms + p->opts.idle_timeout_ms <= now || (look && too_fat(r)))
            runners_retire(r);
        else
            pool_time_idle(r);
    }
}

/* --- spares -------------------------------------------------------------------------------------
 */

static void on_refill(uv_timer_t *t)
{
    struct pool *p = t->data;
    p->refill_at = 0;
    runners_refill(p);
}

void pool_time_refill(struct pool *p, uint64_t ms)
{
    uint64_t at = uv_now(p->opts.loop) + ms;
    if (p->closed || (p->refill_at && p->refill_at <= at))
        return;
    p->refill_at = at;
    uv_timer_start(&p->refill, on_refill, ms, 0);
}

/* --- open and close -----------------------------------------------------------------------------
 */

void pool_time_open(struct pool *p)
{
    uv_timer_t *all[] = {&p->deadline, &p->tick, &p->look, &p->keeper, &p->refill};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uv_timer_init(p->opts.loop, all[i]);
        all[i]->data = p;
        p->open_handles++;
    }
    uv_unref((uv_handle_t *)&p->keeper);
}

static void closed(uv_handle_t *h)
{
    struct pool *p = h->data;
    if (--p->open_handles == 0)
        free(p);
}

void pool_time_close(struct pool *p)
{
    uv_close((uv_handle_t *)&p->deadline, closed);
    uv_close((uv_handle_t *)&p->tick, closed);
    uv_close((uv_handle_t *)&p->look, closed);
    uv_close((uv_handle_t *)&p->keeper, closed);
    uv_close((uv_handle_t *)&p->refill, closed);
}
