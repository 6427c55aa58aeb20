/* The core's side of a channel, against a runner that writes what it likes. The input is a program for
 * that runner: frames whole and broken, positions anywhere, and what the core does meanwhile.
 *
 * Whatever comes: nothing is read outside the mapping, no callback gets more than was announced, and
 * after `broken` no callback comes at all. */
#include <unistd.h>
#include <uv.h>

#include "base/rec.h"
#include "fuzz.h"
#include "proc/channel.h"

static struct channel *ch;
static struct ring_shm *shm;
static uint32_t out_at;
static bool broken, closed;
static char answer[PAYLOAD_MAX];

static void sum(struct str s)
{
    static volatile unsigned char all;
    for (size_t i = 0; i < s.n; i++)
        all ^= (unsigned char)s.p[i];
}

static void ready(void *ctx, uint32_t id, const struct frame_ready *r)
{
    (void)ctx, (void)id, (void)r;
    CHECK(!broken && !closed);
}

static void log_line(void *ctx, uint32_t id, int level, struct str line)
{
    (void)ctx, (void)id, (void)level;
    CHECK(!broken && !closed && line.n <= FRAME_BODY_MAX);
    sum(line);
}

static void call(void *ctx, uint32_t id, const struct frame_call *c, struct str args, char *owned)
{
    (void)ctx, (void)id;
    CHECK(!broken && !closed && args.n == (args.p ? c->size : 0));
    CHECK(args.n <= FRAME_REASSEMBLY_MAX);
    sum(args);
    rec_valid(args);
    free(owned);
}

static void reply(void *ctx, uint32_t id, const struct frame_reply *r, struct str bytes,
                  char **owned)
{
    (void)ctx, (void)id;
    CHECK(!broken && !closed && bytes.n == r->size && bytes.n <= CHANNEL_REPLY_MAX);
    sum(bytes);
    if (owned && bytes.n % 2) { /* taken */
        free(*owned);
        *owned = NULL;
    }
    channel_forget(ch, FRAME_F_INVOCATION, id);
}

static void broke(void *ctx, const char *what)
{
    (void)ctx;
    CHECK(!broken && !closed && what);
    broken = true;
}

static enum channel_room room(void *ctx, uint32_t size, uint64_t waited_ns)
{
    (void)ctx, (void)waited_ns;
    CHECK(!broken && !closed);
    return size / 1000 % 4 == 1 ? CHANNEL_DROP : CHANNEL_TAKE;
}

static const struct channel_ops ops = {ready, log_line, call, reply, broke, room};

/* Where the runner writes next, in its own mapping. */
static unsigned char *out_ring(void)
{
    return (unsigned char *)shm + RING_CTL_BYTES + 2 * RING_OUT * RING_BYTES + out_at % RING_BYTES;
}

static void write_frame(struct frame f, struct str a, struct str b)
{
    unsigned char *p = out_ring();
    memcpy(p, &f, sizeof f);
    if (a.n)
        memcpy(p + sizeof f, a.p, a.n);
    if (b.n)
        memcpy(p + sizeof f + a.n, b.p, b.n);
    out_at += (uint32_t)((sizeof f + a.n + b.n + 7) & ~7U);
    atomic_store(&shm->pos[RING_OUT].head, out_at);
}

static void frame_of(struct str *in, bool honest)
{
    struct frame f = {.type = (uint16_t)(32 + fuzz_u8(in) % 4), .flags = fuzz_u8(in) % 5};
    f.id = fuzz_u8(in) % 8;
    size_t n = fuzz_u8(in) * 64u;
    struct str body = fuzz_bytes(in, n);
    f.length = honest ? (uint32_t)body.n : fuzz_u32(in);
    if (!honest)
        f.type = fuzz_u8(in);
    write_frame(f, body, STR(""));
}

static void call_of(struct str *in)
{
    struct frame_call c = {.invocation = fuzz_u8(in) % 4, .number = fuzz_u8(in)};
    struct frame f = {.type = FRAME_CALL, .id = fuzz_u8(in) % 8};
    c.size = fuzz_u8(in) * 1000u;
    struct str body = fuzz_bytes(in, fuzz_u8(in) % 3 ? c.size : 100);
    f.length = (uint32_t)(sizeof c + body.n);
    write_frame(f, str_of((char *)&c, sizeof c), body);
}

static void reply_of(struct str *in)
{
    struct frame_reply r = {.kind = fuzz_u8(in) % 3, .error = fuzz_u8(in) % 5};
    struct frame f = {.type = FRAME_REPLY, .id = fuzz_u8(in) % 4};
    r.size = fuzz_u8(in) * 1000u;
    struct str body = fuzz_bytes(in, fuzz_u8(in) % 3 ? r.size : 50);
    f.length = (uint32_t)(sizeof r + body.n);
    write_frame(f, str_of((char *)&r, sizeof r), body);
}

static void chunk_of(struct str *in)
{
    struct frame f = {.type = fuzz_u8(in) % 2 ? FRAME_CHUNK : FRAME_CREDIT,
                      .flags = fuzz_u8(in) % 5,
                      .id = fuzz_u8(in) % 8};
    struct str body =
        f.type == FRAME_CREDIT ? fuzz_bytes(in, 4) : fuzz_bytes(in, fuzz_u8(in) * 60u);
    f.length = (uint32_t)body.n;
    write_frame(f, body, STR(""));
}

static void invoke_of(struct str *in)
{
    struct channel_work w = {.id = 1 + fuzz_u8(in) % 4, .arn = STR("arn"), .context = STR("")};
    w.head.slot = fuzz_u8(in) % FRAME_SLOTS;
    w.event = str_of(answer, fuzz_u8(in) * 9999u);
    channel_invoke(ch, &w);
}

static void step(struct str *in)
{
    switch (fuzz_u8(in) % 12) {
    case 0:
        frame_of(in, true);
        break;
    case 1:
        frame_of(in, false);
        break;
    case 2:
        call_of(in);
        break;
    case 3:
        reply_of(in);
        break;
    case 4:
        chunk_of(in);
        break;
    case 5: /* positions anywhere */
        atomic_store(&shm->pos[fuzz_u8(in) % RING_COUNT].head, fuzz_u32(in));
        break;
    case 6:
        atomic_store(&shm->pos[fuzz_u8(in) % RING_COUNT].tail, fuzz_u32(in));
        break;
    case 7: /* an honest reader */
        atomic_store(&shm->pos[RING_DATA].tail, atomic_load(&shm->pos[RING_DATA].head));
        atomic_store(&shm->pos[RING_WORK].tail, atomic_load(&shm->pos[RING_WORK].head));
        break;
    case 8: {
        uint32_t n = fuzz_u8(in) * 1000u; /* more than a ring; much more would be time in malloc */
        if (n == 0)
            channel_send(ch, FRAME_RETIRE, 0, 0, STR(""), STR(""), NULL);
        channel_send(ch, FRAME_RESULT, fuzz_u8(in) % 8, FRAME_F_CALL, STR("headhead"),
                     str_of(answer, n), NULL);
        break;
    }
    case 9:
        invoke_of(in);
        break;
    case 10:
        channel_revoke(ch, fuzz_u8(in) % FRAME_SLOTS, 1 + fuzz_u8(in) % 4);
        channel_forget(ch, 1 + fuzz_u8(in) % 4, fuzz_u8(in) % 8);
        break;
    default:
        channel_drain(ch, 1 + fuzz_u8(in) % CHANNEL_FRAMES_PER_TURN);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uv_loop_t loop;
    static struct channels *set;
    struct str in = {(const char *)data, size};
    if (!set) {
        CHECK(uv_loop_init(&loop) == 0);
        set = channels_new(&loop, &ops);
    }
    ch = channel_open(set, NULL);
    CHECK(ch);
    shm = ring_map(channel_memfd(ch));
    CHECK(shm);
    out_at = 0;
    broken = closed = false;
    while (in.n && !broken)
        step(&in);
    channel_drain(ch, 1000);
    uv_run(&loop, UV_RUN_NOWAIT);
    closed = true;
    channel_close(ch);
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
    ring_unmap(shm);
    return 0;
}
