/* loop: timers, checks and idle handles in virtual time, with the names that libuv gives them. The
 * program's calls find these instead of the library's. As there, timers go by a time that is taken at
 * the beginning of a turn, and a handle is let go in the turn after uv_close. */
#include "sim.h"

enum { HANDLES = 16 };

uv_loop_t sim_loop;
static int64_t now_ms; /* of this turn */

static struct handle {
    uv_handle_t *uv; /* NULL: free */
    enum { TIMER, CHECK, IDLE } kind;
    bool active;
    int64_t due_ms, repeat_ms;
    union {
        uv_timer_cb timer;
        uv_check_cb check;
        uv_idle_cb idle;
    } run;
    uv_close_cb closed;
    bool closing;
} handles[HANDLES];

static struct handle *find(const void *uv)
{
    for (size_t i = 0; i < HANDLES; i++)
        if (handles[i].uv == uv)
            return &handles[i];
    broken("a handle is used that was not initialised, or after it was closed");
}

static int add(void *uv, int kind)
{
    for (size_t i = 0; i < HANDLES; i++)
        if (!handles[i].uv) {
            handles[i] = (struct handle){.uv = uv, .kind = kind};
            return 0;
        }
    broken("too many handles");
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *h)
{
    (void)loop;
    return add(h, TIMER);
}

int uv_check_init(uv_loop_t *loop, uv_check_t *h)
{
    (void)loop;
    return add(h, CHECK);
}

int uv_idle_init(uv_loop_t *loop, uv_idle_t *h)
{
    (void)loop;
    return add(h, IDLE);
}

int uv_timer_start(uv_timer_t *uv, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    struct handle *h = find(uv);
    MUST(!h->closing, "a timer is started while it is being closed");
    h->run.timer = cb;
    h->due_ms = now_ms + (int64_t)timeout;
    h->repeat_ms = (int64_t)repeat;
    h->active = true;
    return 0;
}

int uv_timer_stop(uv_timer_t *uv)
{
    find(uv)->active = false;
    return 0;
}

int uv_check_start(uv_check_t *uv, uv_check_cb cb)
{
    struct handle *h = find(uv);
    h->run.check = cb;
    h->active = true;
    return 0;
}

int uv_check_stop(uv_check_t *uv)
{
    find(uv)->active = false;
    return 0;
}

int uv_idle_start(uv_idle_t *uv, uv_idle_cb cb)
{
    struct handle *h = find(uv);
    h->run.idle = cb;
    h->active = true;
    return 0;
}

int uv_idle_stop(uv_idle_t *uv)
{
    find(uv)->active = false;
    return 0;
}

void uv_close(uv_handle_t *uv, uv_close_cb cb)
{
    struct handle *h = find(uv);
    h->active = false;
    h->closing = true;
    h->closed = cb;
}

int uv_is_active(const uv_handle_t *uv)
{
    return find(uv)->active;
}

void uv_ref(uv_handle_t *uv)
{
    (void)uv;
}

void uv_unref(uv_handle_t *uv)
{
    (void)uv;
}

void uv_update_time(uv_loop_t *loop)
{
    (void)loop;
    now_ms = world.boot_ns / 1000000;
}

void loop_begin(void)
{
    uv_update_time(&sim_loop);
}

static void run_timers(void)
{
    for (struct handle *h = handles; h < handles + HANDLES; h++) {
        if (!h->uv || h->kind != TIMER || !h->active || h->due_ms > now_ms)
            continue;
        h->active = h->repeat_ms > 0;
        h->due_ms = now_ms + h->repeat_ms;
        h->run.timer((uv_timer_t *)h->uv);
    }
}

void loop_turn(void)
{
    uv_update_time(&sim_loop);
    run_timers();
    for (struct handle *h = handles; h < handles + HANDLES; h++)
        if (h->uv && h->kind == IDLE && h->active)
            h->run.idle((uv_idle_t *)h->uv);
    for (struct handle *h = handles; h < handles + HANDLES; h++)
        if (h->uv && h->kind == CHECK && h->active)
            h->run.check((uv_check_t *)h->uv);
    for (struct handle *h = handles; h < handles + HANDLES; h++)
        if (h->uv && h->closing) {
            uv_handle_t *uv = h->uv;
            uv_close_cb closed = h->closed;
            *h = (struct handle){0};
            if (closed)
                closed(uv);
        }
}

int64_t loop_next_ns(void)
{
    int64_t next = INT64_MAX;
    for (struct handle *h = handles; h < handles + HANDLES; h++) {
        if (!h->uv || !h->active)
            continue;
        int64_t at = h->kind == TIMER ? h->due_ms * 1000000 : 0;
        next = at < next ? at : next;
    }
    return next;
}
