/* runners: the life of a runner, from spare to its reported end.
 *
 *     SPARE -> LOADING -> WARM -> DYING -> (end reported) gone
 *                 \         \-> GRACE -/
 *
 * A runner takes part in the books (spares, its version, counts) until runner_leave; after that
 * only its end matters. It is freed in exactly one place, when the zygote has reported that end, so
 * whatever happens inside a callback, the struct stays. */
#include "svc/pool_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "proc/jail.h"

void runners_signal(struct runner *r, int sig)
{
    if (r->pidfd >= 0 && syscall(SYS_pidfd_send_signal, r->pidfd, sig, NULL, 0) && errno != ESRCH)
        log_warn("signal %d to runner %d: %s", sig, (int)r->pid, strerror(errno));
}

/* --- lists --------------------------------------------------------------------------------------
 */

static void list_add(struct runner **first, struct runner **last, struct runner *r)
{
    r->next = NULL;
    r->prev = *last;
    *(*last ? &(*last)->next : first) = r;
    *last = r;
}

static void list_remove(struct runner **first, struct runner **last, struct runner *r)
{
    *(r->prev ? &r->prev->next : first) = r->next;
    *(r->next ? &r->next->prev : last) = r->prev;
    r->next = r->prev = NULL;
}

static void idle_add(struct runner *r)
{
    struct version *v = r->version;
    r->idle_next = v->idle;
    r->idle_at = &v->idle;
    if (v->idle)
        v->idle->idle_at = &r->idle_next;
    v->idle = r;
    list_add(&r->pool->idle_first, &r->pool->idle_last, r);
}

static void idle_remove(struct runner *r)
{
    if (!r->idle_at)
        return;
    *r->idle_at = r->idle_next;
    if (r->idle_next)
        r->idle_next->idle_at = r->idle_at;
    r->idle_at = NULL;
    r->idle_next = NULL;
    list_remove(&r->pool->idle_first, &r->pool->idle_last, r);
}

static void sibling_add(struct version *v, struct runner *r)
{
    r->version = v;
    r->sibling = v->runners;
    r->sibling_at = &v->runners;
    if (v->runners)
        v->runners->sibling_at = &r->sibling;
    v->runners = r;
    v->count++;
    v->tally->count++;
    v->refs++;
}

static void sibling_remove(struct runner *r)
{
    *r->sibling_at = r->sibling;
    if (r->sibling)
        r->sibling->sibling_at = r->sibling_at;
    r->sibling_at = NULL;
    r->version->count--;
    r->version->tally->count--;
}

/* Off the books: nobody will find it any more. Its entries stay where they are. */
void runners_leave(struct runner *r)
{
    struct pool *p = r->pool;
    if (r->state == RUNNER_DYING)
        return;
    if (r->state == RUNNER_SPARE) {
        list_remove(&p->spare_first, &p->spare_last, r);
        p->spare_count--;
    } else {
        idle_remove(r);
        sibling_remove(r);
        p->assigned--;
    }
    if (!r->up)
        p->starting--;
    p->memory -= r->charge;
    r->charge = 0;
    r->state = RUNNER_DYING;
    r->deadline_ms = 0;
}

/* --- making -------------------------------------------------------------------------------------
 */

static struct runner *runner_new(struct pool *p)
{
    struct runner *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->pool = p;
    r->pidfd = -1;
    r->token = ++p->last_token;
    r->channel = channel_open(p->channels, r);
    if (!r->channel ||
        zygote_spawn(p->zygote, r->token, channel_memfd(r->channel), channel_bell(r->channel))) {
        if (r->channel)
            channel_close(r->channel);
        free(r);
        return NULL;
    }
    channel_spawned(r->channel);
    r->all_next = p->all;
    r->all_at = &p->all;
    if (p->all)
        p->all->all_at = &r->all_next;
    p->all = r;
    p->made++;
    list_add(&p->spare_first, &p->spare_last, r);
    p->spare_count++;
    p->starting++;
    r->charge = POOL_RUNNER_BYTES;
    p->memory += r->charge;
    pool_time_deadline(p, r, clock_mono_ns(), POOL_INIT_MS);
    return r;
}

/* Making a runner costs the loop some hundred microseconds: a few in one turn, no more. */
static bool may_make(struct pool *p)
{
    uint64_t now = uv_now(p->opts.loop); /* the same in all of a turn */
    if (p->made_ms != now) {
        p->made_ms = now;
        p->made = 0;
    }
    return p->made < POOL_MADE_MAX && p->starting < POOL_STARTING_MAX;
}

void runners_refill(struct pool *p)
{
    while (!p->closed && p->spare_count < p->spares_wanted)
        if (!may_make(p)) {
            pool_time_refill(p, 1);
            return;
        } else if (!runner_new(p)) {
            pool_time_refill(p, 100);
            return;
        }
}

bool runners_at_hand(struct pool *p)
{
    return p->spare_first || may_make(p);
}

bool runners_may_grow(struct pool *p, bool now)
{
    while (!p->closed) {
        bool place = p->assigned < p->opts.max_runners;
        bool memory = p->memory + POOL_RUNNER_BYTES <= p->opts.memory || p->assigned == 0;
        if (place && memory)
            return true;
        if (!p->idle_first || !now)
            return p->idle_first != NULL;
        runners_retire(p->idle_first);
    }
    return false;
}

struct runner *runners_take(struct pool *p, struct version *v)
{
    struct runner *r = p->spare_first ? p->spare_first : runner_new(p);
    if (!r)
        return NULL;
    list_remove(&p->spare_first, &p->spare_last, r);
    p->spare_count--;
    p->assigned++;
    p->stats.cold_starts++;
    r->state = RUNNER_LOADING;
    r->in_init = true;
    r->head_ns = clock_mono_ns();
    sibling_add(v, r);
    pool_time_deadline(p, r, r->head_ns, POOL_INIT_MS);
    pool_time_look(p);
    pool_time_refill(p, POOL_REFILL_MS);
    if (!v->fn->sealed && !v->mute) {
        struct clock_parts t;
        char hex[33];
        clock_split(clock_wall_ms(), &t);
        id_hex(hex, 32);
        snprintf(r->stream_name, sizeof r->stream_name, "%04d/%02d/%02d/[%.*s]%s", t.year, t.month,
                 t.day, v->fn->version.n < 12 ? (int)v->fn->version.n : 12, v->fn->version.p, hex);
        r->stream = log_stream_open(p->opts.logs, v->fn->log_group, str_c(r->stream_name));
        if (v->fn->log_json)
            log_stream_as_json(r->stream);
    }
    return r;
}

void runners_charge(struct runner *r, uint64_t peak)
{
    uint64_t limit = (uint64_t)r->version->fn->memory_mb << 20;
    uint64_t now = POOL_RUNNER_BYTES + (peak < limit ? peak : limit);
    struct pool *p = r->pool;
    p->memory += now - r->charge;
    r->charge = now;
    while (p->memory > p->opts.memory && p->idle_first)
        runners_retire(p->idle_first);
}

/* --- entries ------------------------------------------------------------------------------------
 */

static void begin_head(struct runner *r, uint64_t now_ns)
{
    struct invocation *inv = runner_head(r);
    r->head_ns = now_ns;
    inv->begun_ns = now_ns;
    pool_time_deadline(r->pool, r, now_ns, r->version->fn->timeout_ms);
    pool_time_look(r->pool);
    invoke_began(r, inv);
}

bool runners_push(struct runner *r, struct invocation *inv, uint64_t now_ns)
{
    if (r->count == FRAME_SLOTS)
        return false;
    uint32_t slot = (r->first + r->count) % FRAME_SLOTS;
    uint32_t id = r->last_id >= ENTRY_ID_MAX ? 1 : r->last_id + 1;
    struct channel_work w = {.id = id,
                             .arn = inv->req.arn,
                             .context = inv->req.client_context,
                             .event = inv->req.event,
                             .head = {.slot = slot,
                                      .event_kind = (uint32_t)inv->req.event_kind,
                                      .attempt = inv->req.attempt}};
    memcpy(w.head.request_id, inv->req.request_id, sizeof w.head.request_id);
    if (!channel_invoke(r->channel, &w))
        return false;
    r->last_id = id;
    r->entries[slot] = inv;
    inv->id = id;
    inv->pushed_ns = now_ns;
    inv->begun_ns = 0;
    inv->touched = false;
    if (r->count++ > 0) {
        r->pool->behind++;
        pool_time_tick(r->pool);
        return true;
    }
    r->pool->busy++;
    r->version->busy++;
    channels_near(r->pool->channels, r->pool->busy < r->pool->cores);
    r->rss_due = true;
    idle_remove(r);
    if (r->state == RUNNER_WARM)
        begin_head(r, now_ns);
    return true;
}

void runners_shorten(struct runner *r)
{
    if (--r->count > 0) {
        r->pool->behind--;
    } else {
        r->pool->busy--;
        r->version->busy--;
        channels_near(r->pool->channels, r->pool->busy < r->pool->cores);
    }
}

struct invocation *runners_pop(struct runner *r)
{
    struct invocation *inv = r->entries[r->first];
    r->first = (r->first + 1) % FRAME_SLOTS;
    runners_shorten(r);
    return inv;
}

void runners_next(struct runner *r, uint64_t now_ns)
{
    if (r->state != RUNNER_WARM)
        return;
    pool_time_brisk(r);
    if (r->count > 0) {
        begin_head(r, now_ns);
        return;
    }
    r->deadline_ms = 0;
    const struct fn *fn = r->version->fn;
    if (r->version->stale || (fn->sealed && !fn->spec) || dispatch_gives_way(r->pool, r->version)) {
        runners_retire(r);
        return;
    }
    r->idle_ms = uv_now(r->pool->opts.loop);
    idle_add(r);
    pool_time_idle(r);
}

/* --- ending -------------------------------------------------------------------------------------
 */

void runners_retire(struct runner *r)
{
    runners_leave(r);
    pool_call_abandon(r);
    channel_send(r->channel, FRAME_RETIRE, 0, 0, STR(""), STR(""), NULL);
    pool_time_deadline(r->pool, r, clock_mono_ns(), POOL_RETIRE_MS);
}

void runners_kill(struct runner *r)
{
    runners_leave(r);
    pool_call_abandon(r);
    r->pool->stats.kills++;
    r->killed = true;
    runners_signal(r, SIGKILL); /* without a pidfd yet: when it comes */
}

/* Whether the head had begun when its runner died. Its state word is the runner's claim; what the
 * core has seen of it counts more. */
bool runners_head_started(struct runner *r)
{
    struct invocation *inv = runner_head(r);
    return inv && (inv->touched || channel_started(r->channel, r->first, inv->id));
}

/* All entries back to where they wait, in their order. */
static void requeue(struct runner *r, bool lost_head)
{
    struct pool *p = r->pool;
    if (lost_head && r->count)
        runner_head(r)->lost++;
    while (r->count > 0) {
        struct invocation *inv = r->entries[(r->first + r->count - 1) % FRAME_SLOTS];
        runners_shorten(r);
        channel_forget(r->channel, FRAME_F_INVOCATION, inv->id);
        dispatch_wait(p, inv, true);
    }
}

void runners_end(struct runner *r)
{
    runners_leave(r);
    requeue(r, false);
    pool_call_abandon(r);
    pool_time_deadline(r->pool, r, clock_mono_ns(), POOL_RETIRE_MS);
}

void runners_give_up(struct runner *r, const struct outcome *o)
{
    struct pool *p = r->pool;
    struct version *v = r->version;
    struct invocation *failed[FRAME_SLOTS];
    uint32_t n = 0;
    uint64_t now_ns = clock_mono_ns();
    runners_leave(r);
    if (!v)
        return;
    v->refs++;
    /* the head; and what started after it, when the REPLY between the two has been destroyed */
    while (o && r->count && (n == 0 || runners_head_started(r)))
        failed[n++] = runners_pop(r);
    requeue(r, !o);
    pool_call_abandon(r);
    for (uint32_t i = 0; i < n; i++)
        invoke_failed(r, failed[i], o, now_ns);
    dispatch_version(p, v);
    version_unref(p, v);
}

void runners_free(struct runner *r)
{
    struct pool *p = r->pool;
    *r->all_at = r->all_next;
    if (r->all_next)
        r->all_next->all_at = r->all_at;
    load_cancel(r);
    pool_call_abandon(r);
    pool_call_orphan(r);
    channel_close(r->channel);
    if (r->pidfd >= 0)
        close(r->pidfd);
    if (r->stream)
        log_stream_close(r->stream);
    if (r->version)
        version_unref(p, r->version);
    free(r);
}

void runners_forget_all(struct pool *p)
{
    while (p->all) {
        struct runner *r = p->all;
        runners_leave(r);
        requeue(r, false);
        runners_free(r);
    }
}
