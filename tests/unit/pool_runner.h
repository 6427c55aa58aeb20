/* pool_runner: a small runner in C that does what its event says, good and bad, for tests of the
 * pool and of the jail's real processes. It speaks through channel_runner like the real one, and
 * through the shared memory itself where it plays a runner that was taken over. */
#ifndef POOL_RUNNER_H
#define POOL_RUNNER_H

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/rec.h"
#include "proc/channel_runner.h"
#include "svc/hostcall_tags.h"

struct play {
    struct runner_channel *ch;
    uint32_t id; /* invocation, 0 in init */
    uint32_t next_call;
    char event[PAYLOAD_MAX + 1];
    uint32_t event_size;
    int event_kind;
};

static struct play play;
static volatile int *volatile nowhere = (volatile int *)(uintptr_t)8;
static volatile sig_atomic_t signalled;

static void play_signalled(void *ctx)
{
    (void)ctx;
    signalled = 1;
}

static uint64_t play_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void play_reply_full(struct str answer, uint32_t error, const char *type, uint32_t kind)
{
    struct frame_reply r = {.kind = kind,
                            .error = error,
                            .size = (uint32_t)answer.n,
                            .duration_us = 1234,
                            .memory_peak = 3 << 20};
    snprintf(r.error_type, sizeof r.error_type, "%s", type);
    channel_runner_send_payload(play.ch, FRAME_REPLY, play.id, str_of((const char *)&r, sizeof r),
                                answer, FRAME_F_INVOCATION);
}

static void play_reply(struct str answer)
{
    play_reply_full(answer, FRAME_ERROR_NONE, "", REPLY_JSON);
}

static void play_log(uint8_t level, struct str line)
{
    channel_runner_send(play.ch, FRAME_LOG, 0, play.id, str_of((const char *)&level, 1), line);
}

static uint32_t play_call_with(uint16_t number, uint32_t invocation, uint64_t ms, struct str more)
{
    struct buf b = BUF_INIT;
    rec_put_u64(&b, HC_MS, ms);
    if (more.n)
        rec_put_str(&b, HC_BODY, more);
    struct frame_call c = {.invocation = invocation, .number = number, .size = (uint32_t)b.n};
    uint32_t id = ++play.next_call;
    channel_runner_send_payload(play.ch, FRAME_CALL, id, str_of((const char *)&c, sizeof c),
                                buf_str(&b), FRAME_F_CALL);
    buf_deinit(&b);
    return id;
}

static uint32_t play_call(uint16_t number, uint32_t invocation, uint64_t ms)
{
    return play_call_with(number, invocation, ms, STR(""));
}

/* Waits for one RESULT, whole; returns its rc and the bytes it had. */
static int play_result(uint32_t *bytes)
{
    static char room[8 << 20];
    struct runner_inbox in = {0};
    struct frame_result head = {0};
    bool have = false, whole = false;
    while (!whole) {
        struct runner_frame f;
        channel_runner_next(play.ch, false, &f);
        if (f.type == FRAME_RESULT && !have) {
            memcpy(&head, f.body.p, sizeof head);
            have = true;
            whole = channel_runner_inbox_open(play.ch, &in, room, head.size,
                                              str_from(f.body, sizeof head), FRAME_F_CALL, f.id);
        } else if (f.type == FRAME_CHUNK && f.flags == FRAME_F_CALL) {
            whole = channel_runner_inbox_add(&in, f.body);
        }
        channel_runner_pop(play.ch);
    }
    *bytes = in.size;
    for (uint32_t i = 0; i < 1; i++)
        if (head.rc == 0 && in.size > 1000 && room[in.size - 1] != 'z')
            return 12345;
    return head.rc;
}

static unsigned char *play_ring(int which)
{
    return (unsigned char *)play.ch->shm + RING_CTL_BYTES + 2 * which * RING_BYTES;
}

/* A frame written past all helpers. */
static void play_raw(uint32_t length, uint16_t type, uint16_t flags, uint32_t id, const void *body,
                     uint32_t n)
{
    struct ring *w = &play.ch->out;
    struct frame f = {.length = length, .type = type, .flags = flags, .id = id};
    unsigned char *at = play_ring(RING_OUT) + (w->at & (RING_BYTES - 1));
    memcpy(at, &f, sizeof f);
    if (n)
        memcpy(at + sizeof f, body, n);
    w->at += (uint32_t)((sizeof f + n + 7) & ~7U);
    atomic_store(w->mine, w->at);
}

static void play_bell(void)
{
    uint64_t one = 1;
    if (write(play.ch->bell, &one, 8) < 0)
        errno = 0;
}

static noreturn void play_wait_for_ever(void)
{
    for (;;)
        ring_sleep_runner(play.ch->shm, atomic_load(&play.ch->shm->runner_waits));
}

static void play_hostile(const char *what)
{
    if (!strcmp(what, "garbage")) {
        for (uint32_t i = 0; i < RING_BYTES; i++)
            play_ring(RING_OUT)[i] = (unsigned char)(i * 37 + 11);
        atomic_store(play.ch->out.mine, play.ch->out.at + 4096);
    } else if (!strcmp(what, "head")) {
        atomic_store(play.ch->out.mine, play.ch->out.at + RING_BYTES + 64);
    } else if (!strcmp(what, "length")) {
        play_raw(0xffffffff, FRAME_LOG, 0, play.id, "x", 1);
    } else if (!strcmp(what, "type")) {
        play_raw(0, 999, 0, play.id, NULL, 0);
    } else if (!strcmp(what, "reply-id")) {
        play.id += 7;
        play_reply(STR("stolen"));
    } else if (!strcmp(what, "reply-size")) {
        struct frame_reply r = {.size = 0xfffffff0};
        play_raw(sizeof r, FRAME_REPLY, 0, play.id, &r, sizeof r);
    } else if (!strcmp(what, "reply-short")) {
        play_raw(4, FRAME_REPLY, 0, play.id, "abcd", 4);
    } else if (!strcmp(what, "call-size")) {
        struct frame_call c = {.invocation = play.id, .number = HC_SLEEP, .size = 9 << 20};
        play_raw(sizeof c, FRAME_CALL, 0, 1, &c, sizeof c);
    } else if (!strcmp(what, "call-sum")) { /* each is small enough, all together are not */
        for (uint32_t i = 1; i <= 3; i++) {
            struct frame_call c = {.invocation = play.id, .number = HC_SLEEP, .size = 3 << 20};
            channel_runner_send(play.ch, FRAME_CALL, 0, i, str_of((char *)&c, sizeof c), STR(""));
        }
    } else if (!strcmp(what, "call-number")) {
        play_call(HC_CALL_COUNT, play.id, 1);
    } else if (!strcmp(what, "call-rec")) {
        struct frame_call c = {.invocation = play.id, .number = HC_SLEEP, .size = 3};
        channel_runner_send(play.ch, FRAME_CALL, 0, 1, str_of((char *)&c, sizeof c), STR("abc"));
    } else if (!strcmp(what, "call-twice")) {
        play_call(HC_SLEEP, play.id, 5000);
        play.next_call--;
        play_call(HC_SLEEP, play.id, 5000);
    } else if (!strcmp(what, "call-many")) {
        for (int i = 0; i <= FRAME_CALLS_MAX; i++)
            play_call(HC_SLEEP, play.id, 5000);
    } else if (!strcmp(what, "chunk")) {
        channel_runner_send(play.ch, FRAME_CHUNK, FRAME_F_CALL, 4711, STR("abc"), STR(""));
    } else if (!strcmp(what, "chunk-long")) {
        struct frame_reply r = {.size = 20};
        channel_runner_send(play.ch, FRAME_REPLY, 0, play.id, str_of((char *)&r, sizeof r),
                            STR("0123456789"));
        channel_runner_send(play.ch, FRAME_CHUNK, FRAME_F_INVOCATION, play.id, STR("01234567890"),
                            STR(""));
    } else if (!strcmp(what, "ready")) {
        struct frame_ready r = {.ok = 1};
        channel_runner_send(play.ch, FRAME_READY, 0, 1, str_of((char *)&r, sizeof r), STR(""));
    } else if (!strcmp(what, "credit")) {
        channel_runner_send(play.ch, FRAME_CREDIT, FRAME_F_CALL, 1, STR("abc"), STR(""));
    } else if (!strcmp(what, "bells")) {
        for (;;)
            play_bell();
    } else if (!strcmp(what, "full-bell")) { /* one more and a blocking write would wait */
        uint64_t all = UINT64_MAX - 1;
        if (write(play.ch->bell, &all, sizeof all) < 0)
            _exit(1);
    } else if (!strcmp(what, "shrink")) { /* of whatever descriptor may be the shared memory's */
        for (int fd = 0; fd < 64; fd++)
            if (ftruncate(fd, 4096) == 0)
                _exit(1);
    } else if (!strcmp(what,
                       "entries")) { /* says of all that they have begun, and under other names */
        for (int i = 0; i < FRAME_SLOTS; i++)
            atomic_store(&play.ch->shm->entry[i], (uint32_t)i * 0x9e3779b9u);
    } else if (!strcmp(what, "positions")) { /* of the core's own writing, too */
        for (int i = 0; i < RING_COUNT; i++) {
            atomic_store(&play.ch->shm->pos[i].head, 0xfffffff8u);
            atomic_store(&play.ch->shm->pos[i].tail, 0x80000000u);
        }
    } else if (!strcmp(what, "tail")) {
        atomic_store(play.ch->data.mine, play.ch->data.at + 4096);
        play_call(HC_S3_GET, play.id, 100 * 1024);
    }
    play_bell();
    play_wait_for_ever();
}

static void play_command(char *cmd)
{
    char *arg = strchr(cmd, ' ');
    long n = arg ? strtol(arg + 1, NULL, 0) : 0;
    char out[256];
    uint32_t bytes;
    if (arg)
        *arg++ = 0;
    if (!strcmp(cmd, "echo")) {
        play_reply(str_c(arg ? arg : ""));
    } else if (!strcmp(cmd, "pid")) {
        snprintf(out, sizeof out, "%p", (void *)play.ch->shm);
        play_reply(str_c(out));
    } else if (!strcmp(cmd, "size")) {
        char *p =
            mmap(NULL, (size_t)n + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(p, 'x', (size_t)n);
        play_reply(str_of(p, (size_t)n));
        munmap(p, (size_t)n + 1);
    } else if (!strcmp(cmd, "fat")) { /* holds n MiB beside its allocator for a moment */
        char *p =
            mmap(NULL, (size_t)n << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (size_t i = 0; i < (size_t)n << 20; i += 4096)
            p[i] = 1;
        munmap(p, (size_t)n << 20);
        play_reply(STR("fat"));
    } else if (!strcmp(cmd, "spin")) {
        for (;;)
            signalled = signalled + 0;
    } else if (!strcmp(cmd, "traceback")) {
        signalled = 0;
        while (!signalled)
            ;
        play_log(4, STR("stack traceback: here"));
        play_wait_for_ever();
    } else if (!strcmp(cmd, "late")) {
        signalled = 0;
        while (!signalled)
            ;
        play_reply(STR("too late"));
        play_wait_for_ever();
    } else if (!strcmp(cmd, "work")) { /* microseconds of computing */
        for (uint64_t end = play_us() + (uint64_t)n; play_us() < end;)
            ;
        play_reply(STR("worked"));
    } else if (!strcmp(cmd, "segv")) {
        *nowhere = 1;
    } else if (!strcmp(cmd, "refused-segv")) {
        channel_runner_note_refused(play.ch);
        *nowhere = 1;
    } else if (!strcmp(cmd, "exit")) {
        _exit((int)n);
    } else if (!strcmp(cmd, "sys")) {
        syscall(n, 0, 0, 0, 0, 0, 0);
        play_reply(STR("survived"));
    } else if (!strcmp(cmd, "memory")) {
        play_reply_full(STR("{}"), FRAME_ERROR_MEMORY, "x", REPLY_JSON);
        _exit(0);
    } else if (!strcmp(cmd, "error")) {
        play_reply_full(STR("{\"errorMessage\":\"no\"}"), FRAME_ERROR_FUNCTION, "OrderRejected",
                        REPLY_JSON);
    } else if (!strcmp(cmd, "http")) {
        struct buf b = BUF_INIT;
        rec_put_u64(&b, URL_STATUS, 201);
        play_reply_full(buf_str(&b), 0, "", REPLY_HTTP);
        buf_deinit(&b);
    } else if (!strcmp(cmd, "log")) { /* n lines of 1000 bytes */
        static char line[1000];
        memset(line, 'l', sizeof line);
        for (long i = 0; i < n; i++)
            play_log(2, str_of(line, sizeof line));
        play_log(2, STR("last line"));
        play_reply(STR("logged"));
    } else if (!strcmp(cmd, "call") || !strcmp(cmd, "get")) { /* sleep ms, or get n bytes */
        play_call(*cmd == 'c' ? HC_SLEEP : HC_S3_GET, play.id, (uint64_t)n);
        int rc = play_result(&bytes);
        snprintf(out, sizeof out, "%d %u", rc, bytes);
        play_reply(str_c(out));
    } else if (!strcmp(cmd, "calls")) { /* sixty-four at once */
        for (int i = 0; i < FRAME_CALLS_MAX; i++)
            play_call(HC_S3_GET, play.id, (uint64_t)n);
        for (int i = 0; i < FRAME_CALLS_MAX; i++)
            if (play_result(&bytes))
                n = -1;
        play_reply(n < 0 ? STR("bad") : STR("all"));
    } else if (!strcmp(cmd, "fill")) { /* two long calls of n bytes at once, how they ended */
        static char bytes_of[7 << 20];
        for (int i = 0; i < 2; i++)
            play_call_with(HC_SLEEP, play.id, 3000, str_of(bytes_of, (size_t)n));
        int first = play_result(&bytes), second = play_result(&bytes);
        snprintf(out, sizeof out, "%d %d", first, second);
        play_reply(str_c(out));
    } else if (!strcmp(cmd, "leave")) { /* returns with n calls open */
        for (long i = 0; i < n; i++)
            play_call(HC_SLEEP, play.id, 60000);
        play_reply(STR("left"));
    } else if (!strcmp(cmd, "ended")) { /* a call in the name of another invocation */
        play_call(HC_SLEEP, play.id + 1, 1);
        int rc = play_result(&bytes);
        snprintf(out, sizeof out, "%d", rc);
        play_reply(str_c(out));
    } else if (!strcmp(cmd, "half")) {
        struct frame_reply r = {.size = 1 << 20};
        channel_runner_send(play.ch, FRAME_REPLY, 0, play.id, str_of((char *)&r, sizeof r),
                            STR("the beginning"));
        _exit(0);
    } else if (!strcmp(cmd, "reply-exit")) {
        play_reply(STR("my last"));
        _exit(1);
    } else if (!strcmp(cmd, "hostile")) {
        play_hostile(arg);
    } else {
        snprintf(out, sizeof out, "?%.100s %u", cmd, play.event_size);
        play_reply(str_c(out));
    }
}

static void play_init(struct str load)
{
    struct frame_ready r = {.ok = 1, .init_us = 500};
    struct str handler = rec_str(load, LOAD_HANDLER);
    if (str_is(handler, "init.spin"))
        for (;;)
            signalled = signalled + 0;
    if (str_is(handler, "init.exit"))
        _exit(9);
    if (str_is(handler, "init.log"))
        play_log(2, STR("hello from init"));
    if (str_is(handler, "init.call")) {
        uint32_t bytes;
        play_call(HC_SLEEP, 0, 1);
        r.ok = play_result(&bytes) == 0;
    }
    if (str_is(handler, "init.slow"))
        for (uint64_t end = play_us() + 30000; play_us() < end;)
            ;
    channel_runner_send(play.ch, FRAME_READY, 0, 1, str_of((char *)&r, sizeof r), STR(""));
}

static void play_invoke(struct runner_frame *f)
{
    struct frame_invoke head;
    struct runner_inbox in;
    memcpy(&head, f->body.p, sizeof head);
    uint32_t id = f->id;
    if (!channel_runner_start(play.ch, head.slot, id)) {
        channel_runner_pop(play.ch);
        return;
    }
    struct str rest = str_from(f->body, sizeof head + head.arn_size + head.context_size);
    play.event_size = head.event_size;
    bool whole = channel_runner_inbox_open(play.ch, &in, play.event, head.event_size, rest,
                                           FRAME_F_INVOCATION, id);
    channel_runner_pop(play.ch);
    while (!whole) {
        struct runner_frame c;
        channel_runner_next(play.ch, false, &c);
        if (c.type == FRAME_CHUNK && c.flags == FRAME_F_INVOCATION && c.id == id)
            whole = channel_runner_inbox_add(&in, c.body);
        channel_runner_pop(play.ch);
    }
    play.event[head.event_size] = 0;
    play.id = id;
    if (head.event_size > 1000) { /* a large event is only counted */
        char text[64];
        uint64_t sum = 0;
        for (uint32_t i = 0; i < head.event_size; i++)
            sum += (unsigned char)play.event[i] * (uint64_t)(i % 251 + 1);
        snprintf(text, sizeof text, "%u %llu", head.event_size, (unsigned long long)sum);
        play_reply(str_c(text));
    } else {
        play_command(play.event);
    }
    play.id = 0;
}

static void pool_runner(struct runner_channel *ch)
{
    static char load[5 << 20];
    struct runner_inbox in = {0};
    struct frame_ready r = {.ok = 1};
    bool loaded = false;
    play.ch = ch;
    channel_runner_on_deadline(play_signalled, NULL);
    channel_runner_send(ch, FRAME_READY, 0, 0, str_of((char *)&r, sizeof r), STR(""));
    for (;;) {
        struct runner_frame f;
        bool whole = false;
        channel_runner_next(ch, loaded, &f);
        if (f.type == FRAME_INVOKE) {
            play_invoke(&f);
            continue;
        }
        if (f.type == FRAME_RETIRE)
            channel_runner_exit(0);
        if (f.type == FRAME_LOAD) {
            uint32_t total;
            memcpy(&total, f.body.p, sizeof total);
            whole = channel_runner_inbox_open(ch, &in, load, total, str_from(f.body, 4),
                                              FRAME_F_LOAD, f.id);
        } else if (f.type == FRAME_CHUNK && f.flags == FRAME_F_LOAD) {
            whole = channel_runner_inbox_add(&in, f.body);
        }
        channel_runner_pop(ch);
        if (whole) {
            play_init(str_of(load, in.size));
            loaded = true;
        }
    }
}

#endif
