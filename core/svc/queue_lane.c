/* queue_lane: memory of the queue: one small entry for each function that has rows.
 *
 * However many events wait in the store, memory holds one lane a function, in a binary heap by the
 * time of its next due row. A lane that was just served goes behind those that were due before, so
 * functions take turns whatever their backlogs. A throttled function's lane pauses alone.
 *
 * A lane remembers how far it has scanned its rows, so that claiming does not walk over rows that
 * are in flight. Rows that come later are due later, but for those of a batch that was under way
 * while the snapshot was taken: the place never moves past the time of the snapshot's last commit,
 * also where a row that was put off until after it has been found.
 *
 * The window of events running at once follows the capacity that the pool shows: it grows with each
 * success and falls to what runs when one is throttled. */
#include "svc/queue_lane.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/key.h"
#include "svc/retry.h"

static struct lane **slot_of(struct queue *q, uint64_t function_id)
{
    struct lane **p = &q->lanes[(function_id * 0x9e3779b97f4a7c15u) >> 54];
    while (*p && (*p)->function_id != function_id)
        p = &(*p)->hash_next;
    return p;
}

struct lane *lane_of(struct queue *q, uint64_t function_id, bool make)
{
    struct lane **p = slot_of(q, function_id);
    if (!*p && make) {
        *p = calloc(1, sizeof **p);
        if (!*p)
            fatal("out of memory");
        (*p)->function_id = function_id;
        (*p)->heap_at = SIZE_MAX;
        (*p)->window = LANE_WINDOW_FIRST;
    }
    return *p;
}

void lane_settle(struct queue *q, struct lane *lane)
{
    if (lane->in_flight || lane->heap_at != SIZE_MAX)
        return;
    *slot_of(q, lane->function_id) = lane->hash_next;
    free(lane);
}

void lanes_free(struct queue *q)
{
    for (size_t i = 0; i < sizeof q->lanes / sizeof *q->lanes; i++)
        for (struct lane *lane = q->lanes[i], *next; lane; lane = next) {
            next = lane->hash_next;
            free(lane);
        }
    free(q->heap);
}

/* --- the heap ----------------------------------------------------------------------------------
 */

static bool before(const struct lane *a, const struct lane *b)
{
    return a->next_ms != b->next_ms ? a->next_ms < b->next_ms : a->turn < b->turn;
}

static void place(struct queue *q, size_t at, struct lane *lane)
{
    q->heap[at] = lane;
    lane->heap_at = at;
}

static void sift_up(struct queue *q, struct lane *lane)
{
    size_t at = lane->heap_at;
    for (; at > 0 && before(lane, q->heap[(at - 1) / 2]); at = (at - 1) / 2)
        place(q, at, q->heap[(at - 1) / 2]);
    place(q, at, lane);
}

static void sift_down(struct queue *q, struct lane *lane)
{
    size_t at = lane->heap_at;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < q->heap_n && before(q->heap[child + 1], q->heap[child]))
            child++;
        if (child >= q->heap_n || !before(q->heap[child], lane))
            break;
        place(q, at, q->heap[child]);
        at = child;
    }
    place(q, at, lane);
}

void lane_wake(struct queue *q, struct lane *lane, int64_t when_ms)
{
    if (when_ms < lane->paused_ms)
        when_ms = lane->paused_ms;
    if (lane->heap_at != SIZE_MAX) {
        if (when_ms < lane->next_ms) {
            lane->next_ms = when_ms;
            sift_up(q, lane);
        }
        return;
    }
    lane->next_ms = when_ms;
    lane->turn = ++q->turns;
    lane_put_back(q, lane);
}

void lane_put_back(struct queue *q, struct lane *lane)
{
    if (q->heap_n == q->heap_cap) {
        q->heap_cap = q->heap_cap ? 2 * q->heap_cap : 64;
        q->heap = realloc(q->heap, q->heap_cap * sizeof *q->heap);
        if (!q->heap)
            fatal("out of memory");
    }
    lane->heap_at = q->heap_n++;
    sift_up(q, lane);
}

struct lane *lane_pop(struct queue *q, int64_t now_ms)
{
    if (lane_next_ms(q) > now_ms)
        return NULL;
    struct lane *top = q->heap[0], *last = q->heap[--q->heap_n];
    if (last != top) {
        last->heap_at = 0;
        sift_down(q, last);
    }
    top->heap_at = SIZE_MAX;
    return top;
}

int64_t lane_next_ms(const struct queue *q)
{
    return q->heap_n ? q->heap[0]->next_ms : INT64_MAX;
}

/* --- scanning ----------------------------------------------------------------------------------
 */

struct str lane_scan_key(const struct lane *lane, struct key *k)
{
    k->n = 0;
    return key_str(key_u64(key_u64(key_u64(k, lane->function_id), (uint64_t)lane->scan_due_ms),
                           lane->scan_id));
}

void lane_scanned(struct lane *lane, int64_t due_ms, uint64_t id, int64_t safe_ms)
{
    bool late = due_ms >= safe_ms;
    lane->scan_due_ms = late ? safe_ms : due_ms;
    lane->scan_id = late ? 0 : id + 1;
}

void lane_rescan(struct lane *lane, int64_t due_ms, uint64_t id)
{
    if (due_ms < lane->scan_due_ms || (due_ms == lane->scan_due_ms && id < lane->scan_id)) {
        lane->scan_due_ms = due_ms;
        lane->scan_id = id;
    }
}

/* --- the window --------------------------------------------------------------------------------
 */

bool lane_open(const struct lane *lane)
{
    return lane->running < lane->window && lane->in_flight < LANE_FLIGHTS_MAX;
}

void lane_succeeded(struct lane *lane)
{
    lane->throttles = 0;
    lane->paused_ms = 0;
    if (lane->window < LANE_WINDOW_MAX && ++lane->credit >= lane->window) {
        lane->credit = 0;
        lane->window++;
    }
}

void lane_throttled(struct queue *q, struct lane *lane)
{
    int64_t wait_ms = 0;
    lane->window = lane->running ? lane->running : 1;
    lane->credit = 0;
    if (lane->running)
        return; /* the next one that ends makes room */
    retry_decide(&retry_defaults, RETRY_THROTTLED, 0, lane->throttles++, 0, &wait_ms);
    lane->paused_ms = clock_store_ms() + wait_ms;
    lane_wake(q, lane, lane->paused_ms);
}

void lane_resume(struct queue *q, struct lane *lane)
{
    lane->throttles = 0;
    lane->paused_ms = 0;
    lane_wake(q, lane, clock_store_ms());
}
