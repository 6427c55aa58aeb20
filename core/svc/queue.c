/* queue: asynchronous events: the module's face and its turn.
 *
 * A turn takes the lanes whose time has come and starts some of each one's due rows: eight for one
 * function, then the next function, for a millisecond at most. It runs after the callbacks of a
 * loop turn in which something happened (a commit brought rows, a run ended, a time came), so that
 * a batch of commits is one scan. Events in flight, and the bytes of their payloads, are bounded;
 * everything else stays in the store.
 *
 * Nothing is rebuilt at a start but one lane a function: T_DUE is skipped through with one seek for
 * each. A drain starts nothing more and waits until results are stored. */
#include "svc/queue.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/key.h"
#include "svc/queue_lane.h"

enum { QUANTUM = 8, TURN_NS = 1000 * 1000 };
enum { LOOK_MS = 1000 }; /* store time goes on while the machine sleeps, the loop's does not */

static void on_check(uv_check_t *check);
static void on_idle(uv_idle_t *idle);
static void on_timer(uv_timer_t *timer);
static void turn(struct queue *q);

struct queue *queue_open(const struct queue_opts *o)
{
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        fatal("out of memory");
    q->o = *o;
    uv_check_init(o->loop, &q->check);
    uv_idle_init(o->loop, &q->idle);
    uv_timer_init(o->loop, &q->timer);
    q->check.data = q->idle.data = q->timer.data = q;
    q->open_handles = 3;
    return q;
}

int queue_put(struct queue *q, struct store_txn *t, const struct queue_event *e)
{
    return event_row_add(t, q->o.max_rows, q->o.max_bytes, e);
}

void queue_kick(struct queue *q, uint64_t function_id)
{
    if (!q->started || q->draining || q->closed)
        return;
    lane_wake(q, lane_of(q, function_id, true), clock_store_ms());
    queue_schedule(q);
}

/* Those of seconds that are over are used again. */
static struct brake *brake_of(struct queue *q, uint64_t function_id)
{
    struct brake **slot = &q->brakes[function_id % (sizeof q->brakes / sizeof *q->brakes)],
                 *spare = NULL;
    int64_t second = clock_store_ms() / 1000;
    for (struct brake *b = *slot; b; b = b->next) {
        if (b->function_id == function_id)
            return b;
        if (b->second < second)
            spare = b;
    }
    if (!spare) {
        spare = calloc(1, sizeof *spare);
        if (!spare)
            fatal("out of memory");
        spare->next = *slot;
        *slot = spare;
    }
    *spare = (struct brake){.next = spare->next, .function_id = function_id};
    return spare;
}

static void brakes_free(struct queue *q)
{
    for (size_t i = 0; i < sizeof q->brakes / sizeof *q->brakes; i++)
        for (struct brake *b = q->brakes[i], *next; b; b = next) {
            next = b->next;
            free(b);
        }
}

void queue_resume(struct queue *q, uint64_t function_id)
{
    bool open = q->started && !q->draining && !q->closed;
    struct lane *lane = open ? lane_of(q, function_id, false) : NULL;
    if (!lane)
        return;
    brake_of(q, function_id)->own_rate = 0; /* it may be another now */
    lane_resume(q, lane);
    queue_schedule(q);
}

void queue_start(struct queue *q)
{
    struct store_txn *t = store_read(q->o.store);
    struct store_cursor *c = store_cursor(t, T_DUE);
    struct key from = {0};
    struct str k, v;
    uint64_t id, due_ms;
    q->started = true;
    key_u64(&from, 0);
    while (store_seek(c, key_str(&from), &k, &v) && key_take_u64(&k, &id) &&
           key_take_u64(&k, &due_ms) && id != EVENT_DEAD) {
        lane_wake(q, lane_of(q, id, true), (int64_t)due_ms);
        from.n = 0;
        key_u64(&from, id + 1);
    }
    store_cursor_close(c);
    store_read_end(t);
    queue_schedule(q);
}

void queue_drain(struct queue *q, void (*done)(void *ctx), void *ctx)
{
    q->draining = true;
    q->drained = done;
    q->drained_ctx = ctx;
    flights_drop_stuck(q);
    queue_landed(q);
}

static void on_closed(uv_handle_t *handle)
{
    struct queue *q = handle->data;
    q->open_handles--;
}

void queue_close(struct queue *q)
{
    q->closed = true;
    lanes_free(q);
    uv_close((uv_handle_t *)&q->check, on_closed);
    uv_close((uv_handle_t *)&q->idle, on_closed);
    uv_close((uv_handle_t *)&q->timer, on_closed);
    flights_drop_stuck(q);
}

void queue_free(struct queue *q)
{
    ASSERT(q->closed && q->open_handles == 0 && q->in_flight == 0);
    brakes_free(q);
    free(q);
}

void queue_limits(const struct queue *q, uint64_t *max_rows, uint64_t *max_bytes)
{
    *max_rows = q->o.max_rows;
    *max_bytes = q->o.max_bytes;
}

/* Of the first rows of functions, one seek each: exact while they are not too many. */
static int64_t longest_due(struct store_txn *t)
{
    enum { LOOKS = 500 };
    struct store_cursor *c = store_cursor(t, T_DUE);
    struct key from = {0};
    struct str k, v;
    uint64_t id, due_ms, first = UINT64_MAX;
    key_u64(&from, 0);
    for (int n = 0; n < LOOKS && store_seek(c, key_str(&from), &k, &v) && key_take_u64(&k, &id) &&
                    key_take_u64(&k, &due_ms) && id != EVENT_DEAD;
         n++) {
        first = due_ms < first ? due_ms : first;
        from.n = 0;
        key_u64(&from, id + 1);
    }
    store_cursor_close(c);
    int64_t now_ms = clock_store_ms();
    return first < (uint64_t)now_ms ? now_ms - (int64_t)first : 0;
}

void queue_stats(const struct queue *q, struct queue_stats *out)
{
    struct queue_totals totals;
    struct store_txn *t = store_read(q->o.store);
    queue_totals_get(t, &totals);
    int64_t late_ms = totals.rows ? longest_due(t) : 0;
    store_read_end(t);
    uint64_t busy = totals.waiting + q->running;
    *out = (struct queue_stats){.queued = totals.rows > busy ? totals.rows - busy : 0,
                                .running = q->running,
                                .waiting = totals.waiting,
                                .bytes = totals.bytes,
                                .late_ms = late_ms,
                                .dead = totals.dead_rows};
}

/* --- turns -------------------------------------------------------------------------------------
 */

void queue_schedule(struct queue *q)
{
    if (q->closed)
        return;
    uv_check_start(&q->check, on_check);
    uv_idle_start(&q->idle, on_idle);
}

void queue_landed(struct queue *q)
{
    if (q->closed)
        return;
    if (!q->draining)
        queue_schedule(q);
    else if (q->in_flight == 0 && q->drained) {
        void (*done)(void *ctx) = q->drained;
        q->drained = NULL;
        done(q->drained_ctx);
    }
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* while it is active the loop does not sleep */
}

static void on_check(uv_check_t *check)
{
    struct queue *q = check->data;
    uv_check_stop(&q->check);
    uv_idle_stop(&q->idle);
    if (q->started && !q->draining)
        turn(q);
}

static void on_timer(uv_timer_t *timer)
{
    queue_schedule(timer->data);
}

static bool full(const struct queue *q)
{
    return q->in_flight >= FLIGHTS_MAX || q->payload_bytes >= FLIGHT_BYTES_MAX;
}

void queue_learn_rate(struct queue *q, const struct fn *fn)
{
    brake_of(q, fn->id)->own_rate = fn->event_rate;
}

/* The storm brake: takes one of the function's events for this second. False when there is none. */
static bool brake_grants(struct queue *q, uint64_t function_id, int64_t now_ms)
{
    struct brake *b = brake_of(q, function_id);
    uint64_t rate = b->own_rate ? b->own_rate : q->o.event_rate;
    if (b->second != now_ms / 1000) {
        b->second = now_ms / 1000;
        b->begun = 0;
    }
    return b->begun++ < rate || !rate;
}

/* Starts some of a lane's due rows and says when to look at it again. */
static void serve(struct queue *q, struct lane *lane, struct store_txn *t, struct store_cursor *c,
                  uint64_t start_ns)
{
    int64_t now_ms = clock_store_ms();
    struct key from;
    struct str k, v;
    uint64_t function_id, due_ms, id;
    bool more = store_seek(c, lane_scan_key(lane, &from), &k, &v);
    for (int n = 0; n < QUANTUM; more = store_next(c, &k, &v)) {
        if (!more || !key_take_u64(&k, &function_id) || function_id != lane->function_id ||
            !key_take_u64(&k, &due_ms) || !key_take_u64(&k, &id)) {
            lane_settle(q, lane); /* nothing waits */
            return;
        }
        if ((int64_t)due_ms > now_ms) {
            lane_wake(q, lane, (int64_t)due_ms);
            return;
        }
        if (flight_exists(q, id))
            continue;
        if (!lane_open(lane))
            return; /* the next flight that lands wakes it */
        if (full(q) || clock_mono_ns() - start_ns >= TURN_NS) {
            if (n == 0) {
                lane_put_back(q, lane); /* else it would be passed over by who uses up the turns */
                return;
            }
            break;
        }
        if (!brake_grants(q, lane->function_id, now_ms)) {
            lane_wake(q, lane, (now_ms / 1000 + 1) * 1000);
            return;
        }
        lane_scanned(lane, (int64_t)due_ms, id, store_time(t));
        if (!flight_start(q, lane, t, (int64_t)due_ms, id))
            return; /* throttled: it pauses, or waits for one that runs */
        n++;
    }
    lane_wake(q, lane, now_ms);
}

static void turn(struct queue *q)
{
    uint64_t start_ns = clock_mono_ns();
    int64_t now_ms = clock_store_ms();
    struct store_txn *t = store_read(q->o.store);
    struct store_cursor *c = store_cursor(t, T_DUE);
    struct lane *lane;
    if (q->stuck && now_ms >= q->unstick_ms)
        flights_unstick(q);
    while (!q->stuck && !full(q) && clock_mono_ns() - start_ns < TURN_NS &&
           (lane = lane_pop(q, now_ms)))
        serve(q, lane, t, c, start_ns);
    store_cursor_close(c);
    store_read_end(t);
    int64_t wait_ms = lane_next_ms(q) - clock_store_ms();
    if (wait_ms <= 0 && !q->stuck && !full(q))
        queue_schedule(q);
    if (wait_ms <= 0 || wait_ms > LOOK_MS)
        wait_ms = LOOK_MS;
    if (!q->heap_n && !q->stuck)
        uv_timer_stop(&q->timer); /* whoever brings something says so */
    else
        uv_timer_start(&q->timer, on_timer, (uint64_t)wait_ms, 0);
}
