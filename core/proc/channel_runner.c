/* channel_runner: see the header. Whoever sleeps here says what for, looks once more and only then
 * sleeps; the fence between the two makes it impossible that the core's frame and our going to
 * sleep miss each other. The same dance, mirrored, decides whether the bell is rung. */
#include "proc/channel_runner.h"
#include "proc/jail.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"

enum { EXIT_PROTOCOL = 70, OWED_MAX_NS = 100 * 1000, LINGER_NS = 50 * 1000, LOOKS = 8 };

static struct {
    void (*volatile passed)(void *ctx);
    void *volatile ctx;
} deadline;

static void deadline_signal(int sig)
{
    (void)sig;
    void (*passed)(void *ctx) = deadline.passed;
    if (passed)
        passed(deadline.ctx);
}

int channel_runner_attach(struct runner_channel *ch, int memfd, int bell)
{
    *ch = (struct runner_channel){.shm = ring_map(memfd), .bell = bell};
    if (!ch->shm)
        return -errno;
    ring_init(&ch->work, ch->shm, RING_WORK, false);
    ring_init(&ch->data, ch->shm, RING_DATA, false);
    ring_init(&ch->out, ch->shm, RING_OUT, true);
    struct sigaction sa = {.sa_handler = deadline_signal, .sa_flags = SA_RESTART};
    return sigaction(JAIL_DEADLINE_SIGNAL, &sa, NULL) ? -errno : 0;
}

void channel_runner_on_deadline(void (*passed)(void *ctx), void *ctx)
{
    deadline.passed = NULL;
    deadline.ctx = ctx;
    deadline.passed = passed;
}

static void ring_bell(struct runner_channel *ch)
{
    uint64_t one = 1;
    if (write(ch->bell, &one, sizeof one) < 0)
        return; /* full: it has been rung */
}

static uint32_t core_state(struct runner_channel *ch)
{
    return atomic_load_explicit(&ch->shm->core_sleeps, memory_order_relaxed);
}

static bool hears(uint32_t core)
{
    return core == RING_CORE_AWAKE || core == RING_CORE_NEAR;
}

/* Rings for all that has been sent, when the core sleeps. */
static void tell(struct runner_channel *ch)
{
    ch->owed = false;
    atomic_thread_fence(memory_order_seq_cst);
    if (!hears(core_state(ch)) && !hears(atomic_exchange(&ch->shm->core_sleeps, RING_CORE_AWAKE)))
        ring_bell(ch);
}

static void pay_bell(struct runner_channel *ch)
{
    if (ch->owed)
        tell(ch);
}

/* --- receiving ----------------------------------------------------------------------------------
 */

static bool show(struct runner_channel *ch, struct ring *r, struct runner_frame *out)
{
    const unsigned char *body;
    int rc = ring_peek(r, &ch->frame, &body);
    if (rc < 0)
        channel_runner_exit(EXIT_PROTOCOL);
    if (rc == 0)
        return false;
    ch->showed = r;
    *out = (struct runner_frame){.type = ch->frame.type,
                                 .flags = ch->frame.flags,
                                 .id = ch->frame.id,
                                 .body = str_of((const char *)body, ch->frame.length)};
    return true;
}

bool channel_runner_poll(struct runner_channel *ch, bool work, struct runner_frame *out)
{
    return show(ch, &ch->data, out) || (work && show(ch, &ch->work, out));
}

/* Waits, awake, for data or for room of n bytes, while the core says that this is worth it. */
static bool comes_soon(struct runner_channel *ch, bool data, uint32_t n)
{
    if (core_state(ch) != RING_CORE_NEAR)
        return false;
    uint64_t until = clock_mono_ns() + LINGER_NS;
    do {
        for (int i = 0; i < LOOKS; i++) {
            if (data ? !ring_empty(&ch->data) : ring_room(&ch->out) >= (int)n)
                return true;
            ring_pause();
        }
    } while (core_state(ch) == RING_CORE_NEAR && clock_mono_ns() < until);
    return false;
}

void channel_runner_next(struct runner_channel *ch, bool work, struct runner_frame *out)
{
    uint32_t waits = RING_WAIT_DATA | (work ? RING_WAIT_WORK : 0);
    while (!channel_runner_poll(ch, work, out)) {
        if (!work && comes_soon(ch, true, 0))
            continue;
        atomic_store(&ch->shm->runner_waits, waits);
        atomic_thread_fence(memory_order_seq_cst);
        if (ring_empty(&ch->data) && (!work || ring_empty(&ch->work))) {
            pay_bell(ch);
            ring_sleep_runner(ch->shm, waits);
        }
        atomic_store_explicit(&ch->shm->runner_waits, 0, memory_order_relaxed);
    }
}

void channel_runner_pop(struct runner_channel *ch)
{
    struct ring *r = ch->showed;
    ch->showed = NULL;
    ring_pop(r, &ch->frame);
    if (r != &ch->data)
        return;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&ch->shm->core_wants_room, memory_order_relaxed) &&
        atomic_load_explicit(r->other, memory_order_relaxed) - r->at <= RING_BYTES / 2 &&
        atomic_exchange(&ch->shm->core_wants_room, 0))
        ring_bell(ch);
}

bool channel_runner_start(struct runner_channel *ch, uint32_t slot, uint32_t id)
{
    atomic_store_explicit(&ch->shm->memory_peak, 0, memory_order_relaxed);
    atomic_store_explicit(&ch->shm->memory_refused, 0, memory_order_relaxed);
    return ring_entry_take(ch->shm, slot, id, ENTRY_STARTED);
}

/* --- sending ------------------------------------------------------------------------------------
 */

static unsigned char *reserve(struct runner_channel *ch, uint32_t n)
{
    unsigned char *p;
    while (!(p = ring_reserve(&ch->out, n))) {
        if (comes_soon(ch, false, n))
            continue;
        atomic_store(&ch->shm->runner_waits, RING_WAIT_ROOM);
        atomic_thread_fence(memory_order_seq_cst);
        if (ring_room(&ch->out) < (int)n) {
            pay_bell(ch);
            ring_sleep_runner(ch->shm, RING_WAIT_ROOM);
        }
        atomic_store_explicit(&ch->shm->runner_waits, 0, memory_order_relaxed);
    }
    return p;
}

static void put(struct runner_channel *ch, uint16_t type, uint16_t flags, uint32_t id, struct str a,
                struct str b)
{
    if (a.n > FRAME_BODY_MAX || b.n > FRAME_BODY_MAX - a.n)
        channel_runner_exit(EXIT_PROTOCOL);
    unsigned char *p = reserve(ch, (uint32_t)(a.n + b.n));
    if (a.n)
        memcpy(p, a.p, a.n);
    if (b.n)
        memcpy(p + a.n, b.p, b.n);
    ring_commit(&ch->out, type, flags, id, (uint32_t)(a.n + b.n));
}

void channel_runner_send(struct runner_channel *ch, uint16_t type, uint16_t flags, uint32_t id,
                         struct str a, struct str b)
{
    put(ch, type, flags, id, a, b);
    tell(ch);
}

void channel_runner_reply(struct runner_channel *ch, uint32_t id, struct str head,
                          struct str payload, uint64_t began_ns, uint64_t now_ns)
{
    put(ch, FRAME_REPLY, 0, id, head, payload);
    if (!ch->owed)
        ch->owed_ns = began_ns;
    ch->owed = true;
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t core = core_state(ch);
    bool late = now_ns - ch->owed_ns > OWED_MAX_NS || ring_empty(&ch->work);
    if (core == RING_CORE_SLEEPS || (core == RING_CORE_NAPS && late))
        tell(ch);
    else if (hears(core))
        ch->owed = false;
}

void channel_runner_send_payload(struct runner_channel *ch, uint16_t type, uint32_t id,
                                 struct str head, struct str payload, uint16_t chunk_flags)
{
    struct str part = payload;
    if (part.n > FRAME_BODY_MAX - head.n)
        part.n = FRAME_BODY_MAX - head.n;
    channel_runner_send(ch, type, 0, id, head, part);
    for (payload = str_from(payload, part.n); payload.n; payload = str_from(payload, part.n)) {
        part = str_of(payload.p, payload.n < FRAME_BODY_MAX ? payload.n : FRAME_BODY_MAX);
        channel_runner_send(ch, FRAME_CHUNK, chunk_flags, id, part, STR(""));
    }
}

/* --- payloads that arrive in parts --------------------------------------------------------------
 */

bool channel_runner_inbox_open(struct runner_channel *ch, struct runner_inbox *in, char *p,
                               uint32_t size, struct str first, uint16_t chunk_flags, uint32_t id)
{
    *in = (struct runner_inbox){.p = p, .size = size};
    if (channel_runner_inbox_add(in, first))
        return true;
    uint32_t rest = in->size - in->got;
    channel_runner_send(ch, FRAME_CREDIT, chunk_flags, id, str_of((const char *)&rest, sizeof rest),
                        STR(""));
    return false;
}

bool channel_runner_inbox_add(struct runner_inbox *in, struct str chunk)
{
    if (chunk.n > in->size - in->got)
        channel_runner_exit(EXIT_PROTOCOL);
    if (chunk.n)
        memcpy(in->p + in->got, chunk.p, chunk.n);
    in->got += (uint32_t)chunk.n;
    return in->got == in->size;
}

/* --- notes and ends -----------------------------------------------------------------------------
 */

void channel_runner_note_peak(struct runner_channel *ch, uint64_t bytes)
{
    atomic_store_explicit(&ch->shm->memory_peak, bytes, memory_order_relaxed);
}

void channel_runner_note_refused(struct runner_channel *ch)
{
    atomic_store_explicit(&ch->shm->memory_refused, 1, memory_order_relaxed);
}

void channel_runner_limit_memory(uint32_t memory_mb)
{
    jail_limit_memory(memory_mb);
}

noreturn void channel_runner_exit(int code)
{
    _exit(code);
}
