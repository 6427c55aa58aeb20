/* channel: the protocol of one channel, the core's side.
 *
 * Everything read here was written by a process that may have been taken over. A frame is copied
 * before it is judged, sizes are checked against what was announced and against fixed limits, and
 * whatever no honest runner would send ends the conversation. Nothing that a runner can do makes
 * the core wait: writing into a full ring leaves the message in a list, to go on when the runner
 * has made room. */
#include "proc/channel_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

static uint32_t least(uint32_t a, size_t b)
{
    return b < a ? (uint32_t)b : a;
}

void channel_mute(struct channel *ch)
{
    if (ch->broken || ch->closed)
        return;
    ch->broken = true;
    channel_make_cold(ch);
    uv_poll_stop(&ch->poll);
}

void channel_break(struct channel *ch, const char *what)
{
    if (ch->broken || ch->closed)
        return;
    channel_mute(ch);
    ch->set->ops.broken(ch->ctx, what);
}

bool channel_speaks(struct channel *ch)
{
    return !ch->broken && !ch->held && !ring_empty(&ch->out);
}

uint64_t channel_memory_peak(const struct channel *ch)
{
    return atomic_load_explicit(&ch->shm->memory_peak, memory_order_relaxed);
}

bool channel_memory_refused(const struct channel *ch)
{
    return atomic_load_explicit(&ch->shm->memory_refused, memory_order_relaxed) != 0;
}

/* --- sending: data ------------------------------------------------------------------------------
 */

static void stream_add(struct channel *ch, const struct stream *from)
{
    struct stream *s = malloc(sizeof *s);
    if (!s)
        abort(); /* small and fixed */
    *s = *from;
    s->next = NULL;
    *ch->streams_end = s;
    ch->streams_end = &s->next;
}

static void stream_remove(struct channel *ch, struct stream **at)
{
    struct stream *s = *at;
    *at = s->next;
    if (!s->next)
        ch->streams_end = at;
    ch->stream_bytes -= s->owned_n;
    ch->set->stream_bytes -= s->owned_n;
    free(s->owned);
    free(s);
}

/* The next frame of s, when it may be sent and the ring has room. */
static bool stream_step(struct channel *ch, struct stream *s)
{
    int room = ring_room(&ch->data);
    uint32_t head = s->announced ? 0 : s->head_n;
    if (room < (int)head || (room < FRAME_BODY_MAX && (size_t)room < head + s->rest.n &&
                             room < FRAME_BODY_MAX / 2)) /* no crumbs */
        return false;
    uint32_t n = least((uint32_t)room - head, s->rest.n);
    if (s->announced)
        n = least(s->credit, n);
    struct str part = str_of(s->rest.p, n);
    ring_write(&ch->data, s->announced ? FRAME_CHUNK : s->type, s->announced ? s->chunk_flags : 0,
               s->id, str_of(s->head, head), part);
    s->rest = n ? str_from(s->rest, n) : s->rest;
    s->credit -= s->announced ? n : 0;
    s->announced = true;
    ch->frames++; /* its room may be worth a bell */
    return true;
}

static bool stream_may(const struct stream *s)
{
    return !s->announced || s->credit > 0;
}

/* One frame of each message that may go on, round and round, until no room or nothing to do.
 * True when it stopped for lack of room. */
static bool pump_round(struct channel *ch)
{
    bool any;
    do {
        any = false;
        for (struct stream **at = &ch->streams; *at;) {
            struct stream *s = *at;
            if (stream_may(s)) {
                if (!stream_step(ch, s))
                    return true;
                any = true;
            }
            if (s->announced && s->rest.n == 0)
                stream_remove(ch, at);
            else
                at = &s->next;
        }
    } while (any);
    return false;
}

void channel_pump(struct channel *ch)
{
    uint32_t before = ch->data.at;
    if (pump_round(ch)) {
        /* ask for a bell, then look once more: the runner may have made room in between */
        atomic_store(&ch->shm->core_wants_room, 1);
        atomic_thread_fence(memory_order_seq_cst);
        pump_round(ch);
    }
    if (ch->data.at == before)
        return;
    ring_wake_runner(ch->shm, RING_WAIT_DATA);
    if (ch->streams)
        channel_amid(ch);
}

bool channel_send(struct channel *ch, uint16_t type, uint32_t id, uint16_t chunk_flags,
                  struct str head, struct str payload, char *owned)
{
    if (type == FRAME_RESULT)
        channel_answered(ch);
    if (!ch->streams && head.n + payload.n <= FRAME_BODY_MAX &&
        ring_write(&ch->data, type, 0, id, head, payload)) {
        free(owned);
        ring_wake_runner(ch->shm, RING_WAIT_DATA);
        return true;
    }
    struct stream s = {.type = type,
                       .chunk_flags = chunk_flags,
                       .id = id,
                       .head_n = (uint32_t)head.n,
                       .rest = payload,
                       .owned = owned};
    memcpy(s.head, head.p, head.n);
    if (!owned && payload.n) {
        s.owned = malloc(payload.n);
        if (!s.owned)
            return false;
        memcpy(s.owned, payload.p, payload.n);
        s.rest.p = s.owned;
    }
    s.owned_n = s.owned ? payload.n : 0;
    ch->stream_bytes += s.owned_n;
    ch->set->stream_bytes += s.owned_n;
    stream_add(ch, &s);
    channel_pump(ch);
    return true;
}

void channel_forget(struct channel *ch, uint16_t chunk_flags, uint32_t id)
{
    for (struct stream **at = &ch->streams; *at;)
        if ((*at)->chunk_flags == chunk_flags && (id == 0 || (*at)->id == id))
            stream_remove(ch, at);
        else
            at = &(*at)->next;
}

size_t channel_pending(const struct channel *ch)
{
    return ch->stream_bytes;
}

size_t channels_pending(const struct channels *set)
{
    return set->stream_bytes;
}

/* --- sending: work ------------------------------------------------------------------------------
 */

bool channel_invoke(struct channel *ch, const struct channel_work *w)
{
    struct frame_invoke head = w->head;
    size_t fixed = sizeof head + w->arn.n + w->context.n;
    if (fixed > FRAME_BODY_MAX)
        return false;
    uint32_t first = least((uint32_t)(FRAME_BODY_MAX - fixed), w->event.n);
    unsigned char *p = ring_reserve(&ch->work, (uint32_t)fixed + first);
    if (!p)
        return false;
    head.event_size = (uint32_t)w->event.n;
    head.arn_size = (uint16_t)w->arn.n;
    head.context_size = (uint16_t)w->context.n;
    memcpy(p, &head, sizeof head);
    p += sizeof head;
    if (w->arn.n)
        memcpy(p, w->arn.p, w->arn.n);
    p += w->arn.n;
    if (w->context.n)
        memcpy(p, w->context.p, w->context.n);
    p += w->context.n;
    if (first)
        memcpy(p, w->event.p, first);
    atomic_store_explicit(&ch->shm->entry[head.slot], entry_word(w->id, ENTRY_QUEUED),
                          memory_order_relaxed);
    ring_commit(&ch->work, FRAME_INVOKE, 0, w->id, (uint32_t)fixed + first);
    if (first < w->event.n) {
        struct stream s = {.chunk_flags = FRAME_F_INVOCATION,
                           .id = w->id,
                           .rest = str_from(w->event, first),
                           .announced = true};
        stream_add(ch, &s);
    }
    channel_make_hot(ch);
    ch->unrung++;
    return true;
}

bool channel_revoke(struct channel *ch, uint32_t slot, uint32_t id)
{
    if (!ring_entry_take(ch->shm, slot, id, ENTRY_REVOKED))
        return false;
    channel_forget(ch, FRAME_F_INVOCATION, id);
    return true;
}

bool channel_started(const struct channel *ch, uint32_t slot, uint32_t id)
{
    return atomic_load(&ch->shm->entry[slot]) != entry_word(id, ENTRY_QUEUED);
}

/* --- receiving ----------------------------------------------------------------------------------
 */

static struct inbound **inbound_find(struct channel *ch, uint16_t chunk_flags, uint32_t id)
{
    struct inbound **at = &ch->inbound;
    while (*at && ((*at)->chunk_flags != chunk_flags || (*at)->id != id))
        at = &(*at)->next;
    return at;
}

static struct inbound *inbound_take(struct channel *ch, struct inbound **at)
{
    struct inbound *in = *at;
    *at = in->next;
    ch->inbound_bytes -= in->size;
    return in;
}

/* Announces a message of `size` bytes whose first part is there. NULL: the limits forbid it. */
static struct inbound *inbound_open(struct channel *ch, uint16_t chunk_flags, uint32_t id,
                                    uint32_t size, struct str first, bool keep)
{
    uint32_t count = 0;
    for (struct inbound *in = ch->inbound; in; in = in->next)
        count++;
    if (size > FRAME_REASSEMBLY_MAX - ch->inbound_bytes || count > FRAME_CALLS_MAX ||
        *inbound_find(ch, chunk_flags, id))
        return NULL;
    struct inbound *in = calloc(1, sizeof *in);
    if (!in || (keep && !(in->p = malloc(size)))) {
        free(in);
        return NULL;
    }
    in->chunk_flags = chunk_flags;
    in->id = id;
    in->size = size;
    in->got = (uint32_t)first.n;
    if (first.n && keep)
        memcpy(in->p, first.p, first.n);
    in->next = ch->inbound;
    ch->inbound = in;
    ch->inbound_bytes += size;
    return in;
}

static void got_call(struct channel *ch, uint32_t id, struct str body, bool keep)
{
    struct frame_call c;
    if (body.n < sizeof c)
        return channel_break(ch, "a CALL that is too short");
    memcpy(&c, body.p, sizeof c);
    channel_heard(ch, true);
    struct str first = str_from(body, sizeof c);
    if (first.n == c.size)
        return ch->set->ops.call(ch->ctx, id, &c, first, NULL);
    struct inbound *in =
        first.n < c.size ? inbound_open(ch, FRAME_F_CALL, id, c.size, first, keep) : NULL;
    if (!in)
        return channel_break(ch, "a CALL beyond the limits");
    in->head.call = c;
}

static void got_reply(struct channel *ch, uint32_t id, struct str body)
{
    struct frame_reply r;
    if (body.n < sizeof r)
        return channel_break(ch, "a REPLY that is too short");
    memcpy(&r, body.p, sizeof r);
    channel_heard(ch, false);
    struct str first = str_from(body, sizeof r);
    if (first.n == r.size)
        return ch->set->ops.reply(ch->ctx, id, &r, first, NULL);
    struct inbound *in = first.n < r.size && r.size <= CHANNEL_REPLY_MAX
                             ? inbound_open(ch, FRAME_F_INVOCATION, id, r.size, first, true)
                             : NULL;
    if (!in)
        return channel_break(ch, "a REPLY beyond the limits");
    in->head.reply = r;
}

static void whole(struct channel *ch, struct inbound *in)
{
    struct str bytes = str_of(in->p, in->p ? in->size : 0);
    if (in->chunk_flags == FRAME_F_CALL) {
        char *owned = in->p;
        in->p = NULL;
        ch->set->ops.call(ch->ctx, in->id, &in->head.call, bytes, owned);
    } else {
        ch->set->ops.reply(ch->ctx, in->id, &in->head.reply, bytes, &in->p);
    }
    free(in->p);
    free(in);
}

static void got_chunk(struct channel *ch, const struct frame *f, struct str body)
{
    struct inbound **at = inbound_find(ch, f->flags, f->id);
    if (!*at || body.n == 0 || body.n > (*at)->size - (*at)->got)
        return channel_break(ch, "a CHUNK of nothing announced");
    if ((*at)->p)
        memcpy((*at)->p + (*at)->got, body.p, body.n);
    (*at)->got += (uint32_t)body.n;
    if ((*at)->got == (*at)->size)
        whole(ch, inbound_take(ch, at));
}

static void got_credit(struct channel *ch, const struct frame *f, struct str body)
{
    uint32_t n;
    if (body.n != sizeof n)
        return channel_break(ch, "a CREDIT of the wrong size");
    memcpy(&n, body.p, sizeof n);
    for (struct stream *s = ch->streams; s; s = s->next) {
        if (s->chunk_flags != f->flags || s->id != f->id)
            continue;
        if (__builtin_add_overflow(s->credit, n, &s->credit))
            s->credit = UINT32_MAX;
        return;
    } /* else: of a message that was forgotten meanwhile */
}

/* Asks the owner, when it is a CALL whose arguments come in parts. */
static enum channel_room room_for(struct channel *ch, const struct frame *f, struct str body)
{
    struct frame_call c;
    if (f->type != FRAME_CALL || !ch->set->ops.room || body.n < sizeof c)
        return CHANNEL_TAKE;
    memcpy(&c, body.p, sizeof c);
    if (body.n - sizeof c >= c.size)
        return CHANNEL_TAKE;
    return ch->set->ops.room(ch->ctx, c.size, ch->held_ns ? clock_mono_ns() - ch->held_ns : 0);
}

static void got_frame(struct channel *ch, const struct frame *f, struct str body, bool keep)
{
    struct frame_ready ready;
    switch (f->type) {
    case FRAME_REPLY:
        return got_reply(ch, f->id, body);
    case FRAME_LOG:
        if (body.n == 0)
            return channel_break(ch, "a LOG without a level");
        return ch->set->ops.log(ch->ctx, f->id, (unsigned char)body.p[0], str_from(body, 1));
    case FRAME_CALL:
        return got_call(ch, f->id, body, keep);
    case FRAME_CHUNK:
        return got_chunk(ch, f, body);
    case FRAME_CREDIT:
        return got_credit(ch, f, body);
    case FRAME_READY:
        if (body.n != sizeof ready)
            return channel_break(ch, "a READY of the wrong size");
        memcpy(&ready, body.p, sizeof ready);
        return ch->set->ops.ready(ch->ctx, f->id, &ready);
    default:
        return channel_break(ch, "a frame of an unknown type");
    }
}

int channel_drain(struct channel *ch, int frames)
{
    _Alignas(16) char copy[FRAME_MAX];
    int taken = 0;
    if (ch->draining || ch->broken || ch->closed)
        return 0;
    ch->draining = true;
    while (taken < frames && !ch->broken && !ch->closed) {
        struct frame f;
        const unsigned char *body;
        int rc = ring_peek(&ch->out, &f, &body);
        if (rc < 0)
            channel_break(ch, "a frame that cannot be one");
        if (rc <= 0)
            break;
        memcpy(copy, body, f.length);
        enum channel_room room = room_for(ch, &f, str_of(copy, f.length));
        if (room == CHANNEL_LATER) {
            channel_hold(ch);
            break;
        }
        ch->held_ns = 0;
        ring_pop(&ch->out, &f);
        taken++;
        got_frame(ch, &f, str_of(copy, f.length), room == CHANNEL_TAKE);
    }
    ch->draining = false;
    ch->frames += (uint32_t)taken;
    if (taken && !ch->broken && !ch->closed) {
        ring_wake_runner(ch->shm, RING_WAIT_ROOM);
        if (ch->inbound)
            channel_amid(ch);
        if (ch->streams)
            channel_pump(ch);
    }
    return taken;
}
