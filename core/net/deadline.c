/* deadline: see the header. The timer is armed for the earliest head that was seen and re-armed
 * when it fires; a deadline that was moved back meanwhile costs one early look, nothing else. */
#include "net/deadline.h"

enum { LATE_MS = 50 };

static const uint32_t default_ms[DEADLINE_KINDS] = {
    [DEADLINE_IDLE] = 75000, [DEADLINE_HEAD] = 10000,  [DEADLINE_PROGRESS] = 60000,
    [DEADLINE_GRACE] = 250,  [DEADLINE_LINGER] = 2000, [DEADLINE_ACCEPT] = 100,
};

static void on_timer(uv_timer_t *timer);

void deadlines_init(struct deadlines *all, uv_loop_t *loop,
                    void (*expired)(struct deadline *d, enum deadline_kind kind))
{
    uv_timer_init(loop, &all->timer);
    all->timer.data = all;
    all->armed_ms = 0;
    all->expired = expired;
    memcpy(all->length_ms, default_ms, sizeof default_ms);
    for (int i = 0; i < DEADLINE_KINDS; i++)
        all->heads[i].prev = all->heads[i].next = &all->heads[i];
}

void deadlines_close(struct deadlines *all, uv_close_cb closed)
{
    uv_close((uv_handle_t *)&all->timer, closed);
}

static void arm(struct deadlines *all, uint64_t at_ms)
{
    uint64_t now = uv_now(all->timer.loop);
    if (uv_is_closing((uv_handle_t *)&all->timer))
        return;
    all->armed_ms = at_ms + LATE_MS;
    uv_timer_start(&all->timer, on_timer, at_ms > now ? at_ms - now + LATE_MS : LATE_MS, 0);
}

static void unlink_one(struct deadline *d)
{
    d->prev->next = d->next;
    d->next->prev = d->prev;
    d->prev = d->next = NULL;
    d->kind = DEADLINE_NONE;
}

void deadline_set(struct deadlines *all, struct deadline *d, enum deadline_kind kind)
{
    if (d->kind != DEADLINE_NONE)
        unlink_one(d);
    if (kind == DEADLINE_NONE)
        return;
    struct deadline *head = &all->heads[kind];
    d->kind = kind;
    d->at_ms = uv_now(all->timer.loop) + all->length_ms[kind];
    d->prev = head->prev;
    d->next = head;
    head->prev->next = d;
    head->prev = d;
    if (all->armed_ms == 0 || d->at_ms + LATE_MS < all->armed_ms)
        arm(all, d->at_ms);
}

static void on_timer(uv_timer_t *timer)
{
    struct deadlines *all = timer->data;
    uint64_t now = uv_now(timer->loop), next = UINT64_MAX;
    all->armed_ms = 0;
    for (int kind = DEADLINE_NONE + 1; kind < DEADLINE_KINDS; kind++) {
        struct deadline *head = &all->heads[kind];
        while (head->next != head && head->next->at_ms <= now) {
            struct deadline *d = head->next;
            unlink_one(d);
            all->expired(d, (enum deadline_kind)kind);
        }
        if (head->next != head && head->next->at_ms < next)
            next = head->next->at_ms;
    }
    if (next != UINT64_MAX && (all->armed_ms == 0 || next + LATE_MS < all->armed_ms))
        arm(all, next);
}
