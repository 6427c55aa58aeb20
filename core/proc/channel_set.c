/* channel_set: all channels on the loop.
 *
 * A bell costs two system calls, one on each side, so bells are for sleepers. The hot channels are
 * those whose runner has work or has just spoken: their rings are looked at after and before each
 * poll, and only when the loop is about to sleep are they told to ring (core_sleeps), looked at
 * once more, and left alone. A channel that stays silent for a while turns cold: it keeps the
 * order to ring.
 *
 * Fairness: a runner gets CHANNEL_FRAMES_PER_TURN frames, then the next one has its turn, and all
 * together CHANNEL_FRAMES_OF_ALL, so that many that talk at once do not make a turn long (64 runners
 * that each call 60 functions: 10 ms before, 3 ms now); what is left keeps the loop from sleeping. */
#include "proc/channel_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

enum { QUIET_TURNS = 64, BRISK_NS = 150 * 1000, AWAIT_NS = 100 * 1000, HOLD_MS = 5 };

/* --- hot and cold -------------------------------------------------------------------------------
 */

static void link_last(struct channel *head, struct channel *ch)
{
    ch->prev = head->prev;
    ch->next = head;
    head->prev->next = ch;
    head->prev = ch;
}

void channel_make_hot(struct channel *ch)
{
    ch->quiet = 0;
    if (ch->next || ch->broken || ch->closed)
        return;
    link_last(&ch->set->hot, ch);
    ch->set->hot_count++;
}

void channel_make_cold(struct channel *ch)
{
    if (!ch->next)
        return;
    ch->prev->next = ch->next;
    ch->next->prev = ch->prev;
    ch->prev = ch->next = NULL;
    ch->set->hot_count -= !ch->held;
    ch->held = false;
}

static void look_again(uv_timer_t *t)
{
    struct channels *set = t->data;
    while (set->held.next != &set->held) {
        struct channel *ch = set->held.next;
        channel_make_cold(ch);
        channel_make_hot(ch);
    }
}

void channel_hold(struct channel *ch)
{
    struct channels *set = ch->set;
    channel_make_cold(ch);
    link_last(&set->held, ch);
    ch->held = true;
    if (!ch->held_ns)
        ch->held_ns = clock_mono_ns();
    if (!uv_is_active((uv_handle_t *)&set->again))
        uv_timer_start(&set->again, look_again, HOLD_MS, 0);
}

/* Orders the runner to ring, and looks once more so that nothing said before is missed. */
static bool cool_down(struct channel *ch)
{
    atomic_store(&ch->shm->core_sleeps, RING_CORE_SLEEPS);
    atomic_thread_fence(memory_order_seq_cst);
    return ring_empty(&ch->out);
}

/* Every hot channel once, each moving to the end of the ring: whoever was cut short is not first
 * again. */
static void drain_hot(struct channels *set)
{
    for (uint32_t n = set->hot_count; n > 0 && set->left > 0 && set->hot.next != &set->hot; n--) {
        struct channel *ch = set->hot.next;
        uint32_t quiet = ch->quiet;
        channel_make_cold(ch);
        channel_make_hot(ch);
        int most = set->left < CHANNEL_FRAMES_PER_TURN ? set->left : CHANNEL_FRAMES_PER_TURN;
        int taken = channel_drain(ch, most);
        set->left -= taken;
        if (taken > 0 || !ch->next || ch->held)
            continue;
        ch->quiet = quiet + !set->awaited;
        if (ch->quiet > QUIET_TURNS && cool_down(ch))
            channel_make_cold(ch);
    }
}

/* --- staying awake ------------------------------------------------------------------------------
 * Two that wait for each other on two processors pay for each other's waking, 50 us each where a
 * processor that idles is given back to a hypervisor: kv.get 100 us there and back, and 4 where both
 * stay awake for the next word. So while a processor each is free for that (`near`), the runner waits
 * for a result awake as long as the core is (channel_runner.c), and the core stays awake for a runner
 * whose last call followed soon upon an answer. Both give up after a time in which they could have
 * slept and woken; who calls but once, or computes between its calls, costs nothing. The loop turns
 * meanwhile: nobody else waits. */

void channels_near(struct channels *set, bool near)
{
    set->near = near;
}

void channel_answered(struct channel *ch)
{
    struct channels *set = ch->set;
    ch->answered_ns = set->near ? clock_mono_ns() : 0;
    if (!set->near || !ch->brisk)
        return;
    set->awaited = ch;
    set->await_until_ns = ch->answered_ns + AWAIT_NS;
}

void channel_heard(struct channel *ch, bool calls)
{
    if (ch->set->awaited == ch)
        ch->set->awaited = NULL;
    ch->brisk = calls && ch->answered_ns && clock_mono_ns() - ch->answered_ns < BRISK_NS;
}

void channel_amid(struct channel *ch)
{
    struct channels *set = ch->set;
    if (!set->near)
        return;
    set->awaited = ch;
    set->await_until_ns = clock_mono_ns() + AWAIT_NS;
}

static bool awaits(struct channels *set)
{
    if (set->awaited && (!set->near || clock_mono_ns() >= set->await_until_ns))
        set->awaited = NULL;
    return set->awaited != NULL;
}

/* --- the loop -----------------------------------------------------------------------------------
 */

static void stay_awake(uv_idle_t *h)
{
    (void)h; /* an active idle handle makes the poll return at once */
}

/* Wakes the runner once for all that this turn has brought it. Woken at the first entry, it would on
 * a shared processor take the core's place there, run that entry and sleep again: a switch there and
 * back for each. With replies that ring together (channel_runner.h): 0.10 switches of the core a
 * hello before, 0.02 now; 64 connections, one processor: 1.16 times as many hellos. */
static void wake_runner(struct channel *ch)
{
    if (!ch->unrung)
        return;
    ch->unrung = 0;
    ring_wake_runner(ch->shm, RING_WAIT_WORK);
}

static uint32_t awake(const struct channels *set)
{
    return set->near ? RING_CORE_NEAR : RING_CORE_AWAKE;
}

static void before_poll(uv_prepare_t *h)
{
    struct channels *set = h->data;
    drain_hot(set);
    bool more = awaits(set);
    uint32_t asleep = more ? awake(set) : set->naps ? RING_CORE_NAPS : RING_CORE_SLEEPS;
    for (struct channel *ch = set->hot.next; ch != &set->hot; ch = ch->next) {
        atomic_store_explicit(&ch->shm->core_sleeps, asleep, memory_order_relaxed);
        wake_runner(ch);
    }
    atomic_thread_fence(memory_order_seq_cst);
    for (struct channel *ch = set->hot.next; ch != &set->hot && !more; ch = ch->next)
        more = !ring_empty(&ch->out);
    if (more)
        uv_idle_start(&set->idle, stay_awake);
    else
        uv_idle_stop(&set->idle);
    set->left = CHANNEL_FRAMES_OF_ALL;
}

static void after_poll(uv_check_t *h)
{
    struct channels *set = h->data;
    for (struct channel *ch = set->hot.next; ch != &set->hot; ch = ch->next)
        atomic_store_explicit(&ch->shm->core_sleeps, awake(set), memory_order_relaxed);
    drain_hot(set);
}

/* True while a runner rings for nothing less than is bearable. */
static bool bell_is_honest(struct channel *ch, uint64_t now)
{
    if (now - ch->second >= 1000) {
        ch->second = now;
        ch->bells = ch->frames = 0;
    }
    return ++ch->bells <= CHANNEL_BELLS_PER_SECOND + ch->frames;
}

static void rung(uv_poll_t *h, int status, int events)
{
    struct channel *ch = h->data;
    uint64_t n;
    (void)status, (void)events;
    if (read(ch->bell, &n, sizeof n) < 0 && errno != EAGAIN)
        return channel_break(ch, "a bell that cannot be read");
    if (!bell_is_honest(ch, uv_now(ch->set->loop)))
        return channel_break(ch, "a flood of bells");
    /* A bell is also how room in `data` is announced. */
    if (ch->streams)
        channel_pump(ch);
    channel_make_hot(ch); /* its turn comes after the poll, with the others' */
}

/* --- making and ending --------------------------------------------------------------------------
 */

struct channels *channels_new(uv_loop_t *loop, const struct channel_ops *ops)
{
    struct channels *set = calloc(1, sizeof *set);
    if (!set)
        abort();
    set->loop = loop;
    set->ops = *ops;
    set->left = CHANNEL_FRAMES_OF_ALL;
    set->hot.prev = set->hot.next = &set->hot;
    set->held.prev = set->held.next = &set->held;
    uv_prepare_init(loop, &set->prepare);
    uv_check_init(loop, &set->check);
    uv_idle_init(loop, &set->idle);
    uv_timer_init(loop, &set->again);
    set->prepare.data = set->check.data = set->idle.data = set->again.data = set;
    uv_prepare_start(&set->prepare, before_poll);
    uv_check_start(&set->check, after_poll);
    uv_unref((uv_handle_t *)&set->prepare);
    uv_unref((uv_handle_t *)&set->check);
    uv_unref((uv_handle_t *)&set->again);
    set->open_handles = 4;
    return set;
}

void channels_nap(struct channels *set, bool naps)
{
    set->naps = naps;
}

static void set_handle_closed(uv_handle_t *h)
{
    struct channels *set = h->data;
    if (--set->open_handles == 0)
        free(set);
}

void channels_free(struct channels *set)
{
    uv_close((uv_handle_t *)&set->prepare, set_handle_closed);
    uv_close((uv_handle_t *)&set->check, set_handle_closed);
    uv_close((uv_handle_t *)&set->idle, set_handle_closed);
    uv_close((uv_handle_t *)&set->again, set_handle_closed);
}

static void release(struct channel *ch)
{
    ring_unmap(ch->shm);
    if (ch->memfd >= 0)
        close(ch->memfd);
    if (ch->bell >= 0)
        close(ch->bell);
    free(ch);
}

struct channel *channel_open(struct channels *set, void *ctx)
{
    struct channel *ch = calloc(1, sizeof *ch);
    if (!ch)
        return NULL;
    ch->set = set;
    ch->ctx = ctx;
    ch->streams_end = &ch->streams;
    ch->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ch->memfd = ring_memfd();
    ch->shm = ch->memfd < 0 ? NULL : ring_map(ch->memfd);
    if (!ch->shm || ch->bell < 0 || uv_poll_init(set->loop, &ch->poll, ch->bell)) {
        release(ch);
        return NULL;
    }
    ring_init(&ch->work, ch->shm, RING_WORK, true);
    ring_init(&ch->data, ch->shm, RING_DATA, true);
    ring_init(&ch->out, ch->shm, RING_OUT, false);
    atomic_store(&ch->shm->core_sleeps, RING_CORE_SLEEPS);
    ch->poll.data = ch;
    uv_poll_start(&ch->poll, UV_READABLE, rung);
    return ch;
}

int channel_memfd(const struct channel *ch)
{
    return ch->memfd;
}

int channel_bell(const struct channel *ch)
{
    return ch->bell;
}

void channel_spawned(struct channel *ch)
{
    close(ch->memfd);
    ch->memfd = -1;
}

static void bell_closed(uv_handle_t *h)
{
    release(h->data);
}

void channel_close(struct channel *ch)
{
    if (ch->closed)
        return;
    channel_make_cold(ch);
    channel_heard(ch, false);
    ch->closed = true;
    channel_forget(ch, FRAME_F_INVOCATION, 0);
    channel_forget(ch, FRAME_F_CALL, 0);
    channel_forget(ch, FRAME_F_LOAD, 0);
    channel_forget(ch, 0, 0); /* a RETIRE that its ring had no room for */
    while (ch->inbound) {
        struct inbound *in = ch->inbound;
        ch->inbound = in->next;
        free(in->p);
        free(in);
    }
    uv_close((uv_handle_t *)&ch->poll, bell_closed);
}
