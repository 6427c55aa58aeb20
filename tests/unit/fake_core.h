/* fake_core: the core's side of a runner's channel for unit tests: starts runner_main in a child
 * without a jail, loads a function from a string, invokes it, answers its host calls by a callback
 * and collects what it sends. Everything runs over the real rings. */
#ifndef FAKE_CORE_H
#define FAKE_CORE_H

#include <luajit.h> /* before base/str.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rec.h"
#include "proc/channel_runner.h"
#include "runner/runner.h"
#include "svc/hostcall_tags.h"

struct fake_core;
typedef void fake_handler(struct fake_core *f, const struct frame_call *call, struct str args,
                          struct buf *result, int32_t *rc);

struct fake_core {
    struct ring_shm *shm;
    struct ring work, data, out;
    int bell;
    pid_t pid;
    bool ended;
    int status; /* of waitpid, once ended */
    uint32_t id;
    fake_handler *handler;
    struct frame_ready ready;
    struct frame_reply reply;
    struct buf answer; /* of the last reply */
    struct buf log;    /* lines "LEVEL id text\n" */
    struct buf call;   /* arguments being reassembled */
    struct frame_call call_head;
    uint32_t call_id;
    uint32_t chunks;    /* frames that carried the last answer */
    struct str pending; /* rest of a payload that waits for credit */
    uint16_t pending_flags;
    uint32_t pending_id;
};

static inline void fake_push(struct fake_core *f, struct ring *r, uint16_t type, uint16_t flags,
                             uint32_t id, struct str a, struct str b)
{
    while (!ring_write(r, type, flags, id, a, b)) {
        ring_wake_runner(f->shm, RING_WAIT_WORK | RING_WAIT_DATA);
        usleep(100);
    }
    ring_wake_runner(f->shm, RING_WAIT_WORK | RING_WAIT_DATA);
}

/* First part in the frame, the rest when the runner grants credit. */
static inline void fake_push_payload(struct fake_core *f, struct ring *r, uint16_t type,
                                     uint16_t flags, uint32_t id, struct str head,
                                     struct str payload)
{
    struct str part = payload;
    if (part.n > FRAME_BODY_MAX - head.n)
        part.n = FRAME_BODY_MAX - head.n;
    f->pending = str_from(payload, part.n);
    f->pending_flags = flags;
    f->pending_id = id;
    fake_push(f, r, type, 0, id, head, part);
}

static inline void fake_credit(struct fake_core *f)
{
    while (f->pending.n) {
        struct str part = str_of(f->pending.p, f->pending.n < 9000 ? f->pending.n : 9000);
        fake_push(f, &f->data, FRAME_CHUNK, f->pending_flags, f->pending_id, part, STR(""));
        f->pending = str_from(f->pending, part.n);
    }
}

static inline void fake_answer_call(struct fake_core *f)
{
    static struct buf result;
    struct frame_result head = {0};
    buf_clear(&result);
    if (f->handler)
        f->handler(f, &f->call_head, buf_str(&f->call), &result, &head.rc);
    head.size = (uint32_t)result.n;
    fake_push_payload(f, &f->data, FRAME_RESULT, FRAME_F_CALL, f->call_id,
                      str_of((const char *)&head, sizeof head), buf_str(&result));
}

/* One frame of `out`: its type. */
static inline int fake_take(struct fake_core *f, const struct frame *h, const unsigned char *body)
{
    struct str b = str_of((const char *)body, h->length);
    switch (h->type) {
    case FRAME_READY:
        memcpy(&f->ready, b.p, sizeof f->ready);
        break;
    case FRAME_LOG:
        buf_printf(&f->log, "%d %u ", b.p[0], h->id);
        buf_add(&f->log, str_from(b, 1));
        buf_addc(&f->log, '\n');
        break;
    case FRAME_CREDIT:
        fake_credit(f);
        break;
    case FRAME_CALL:
        memcpy(&f->call_head, b.p, sizeof f->call_head);
        f->call_id = h->id;
        buf_clear(&f->call);
        buf_add(&f->call, str_from(b, sizeof f->call_head));
        break;
    case FRAME_REPLY:
        memcpy(&f->reply, b.p, sizeof f->reply);
        buf_clear(&f->answer);
        buf_add(&f->answer, str_from(b, sizeof f->reply));
        f->chunks = 1;
        break;
    case FRAME_CHUNK:
        buf_add(h->flags & FRAME_F_CALL ? &f->call : &f->answer, b);
        f->chunks += !(h->flags & FRAME_F_CALL);
        break;
    default:
        fail_msg("frame of type %d", h->type);
    }
    return h->type;
}

/* Waits for one frame; 0 when the runner has ended. */
static inline int fake_next(struct fake_core *f)
{
    struct frame h;
    const unsigned char *body;
    for (;;) {
        int rc = ring_peek(&f->out, &h, &body);
        assert_true(rc >= 0);
        if (rc) {
            int type = fake_take(f, &h, body);
            ring_pop(&f->out, &h);
            ring_wake_runner(f->shm, RING_WAIT_ROOM);
            if (f->call_id && f->call.n == f->call_head.size &&
                (type == FRAME_CALL || type == FRAME_CHUNK)) {
                fake_answer_call(f);
                f->call_id = 0;
            }
            return type;
        }
        atomic_store(&f->shm->core_sleeps, 1);
        atomic_thread_fence(memory_order_seq_cst);
        if (!ring_empty(&f->out))
            continue;
        if (f->ended)
            return 0;
        f->ended = waitpid(f->pid, &f->status, WNOHANG) == f->pid;
        struct pollfd p = {.fd = f->bell, .events = POLLIN};
        uint64_t rings;
        if (!f->ended && poll(&p, 1, 20) > 0 && read(f->bell, &rings, sizeof rings) < 0)
            fail_msg("the bell cannot be read");
    }
}

/* Frames until one of that type has come, and a reply is whole; false when the runner ended. */
static inline bool fake_until(struct fake_core *f, int type)
{
    int got;
    while ((got = fake_next(f)) != 0)
        if (got == type || (got == FRAME_CHUNK && type == FRAME_REPLY && f->answer.n))
            if (type != FRAME_REPLY || f->answer.n >= f->reply.size)
                return true;
    return false;
}

static inline void fake_start(struct fake_core *f)
{
    *f = (struct fake_core){0};
    int memfd = ring_memfd();
    assert_true(memfd >= 0);
    f->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->shm = ring_map(memfd);
    assert_non_null(f->shm);
    ring_init(&f->work, f->shm, RING_WORK, true);
    ring_init(&f->data, f->shm, RING_DATA, true);
    ring_init(&f->out, f->shm, RING_OUT, false);
    runner_prepare();
    fflush(NULL);
    f->pid = fork();
    if (f->pid == 0) {
        struct runner_channel ch;
        signal(SIGSEGV, SIG_DFL);
        alarm(30);
        if (channel_runner_attach(&ch, memfd, f->bell))
            _exit(99);
        runner_main(&ch);
    }
    close(memfd);
    assert_true(fake_until(f, FRAME_READY));
}

static inline void fake_put_file(struct buf *rec, const char *path, struct str bytes, bool inline_)
{
    size_t mark = rec_begin(rec, LOAD_FILE);
    rec_put_str(rec, 1, str_c(path));
    rec_put_u64(rec, 2, bytes.n);
    if (inline_)
        rec_put_str(rec, 3, bytes);
    rec_end(rec, mark);
}

/* The fields every LOAD has; the caller adds files and sends with fake_load. */
static inline void fake_begin_load(struct buf *rec, const char *handler, uint32_t memory_mb)
{
    rec_put_str(rec, LOAD_NAME, STR("thumbs"));
    rec_put_str(rec, LOAD_VERSION, STR("$LATEST"));
    rec_put_str(rec, LOAD_ARN, STR("arn:aws:lambda:us-east-1:000000000000:function:thumbs"));
    rec_put_str(rec, LOAD_HANDLER, str_c(handler));
    rec_put_u64(rec, LOAD_MEMORY_MB, memory_mb);
    rec_put_u64(rec, LOAD_TIMEOUT_MS, 3000);
    rec_put_str(rec, LOAD_REGION, STR("us-east-1"));
    rec_put_str(rec, LOAD_LOG_GROUP, STR("/aws/lambda/thumbs"));
    rec_put_str(rec, LOAD_LOG_STREAM, STR("2026/11/23/[$LATEST]00"));
    size_t mark = rec_begin(rec, LOAD_ENV);
    rec_put_str(rec, 1, STR("SIZE"));
    rec_put_str(rec, 2, STR("200"));
    rec_end(rec, mark);
    rec_put_u64(rec, LOAD_JIT, 1);
}

static inline void fake_load(struct fake_core *f, struct buf *rec)
{
    uint32_t total = (uint32_t)rec->n;
    fake_push_payload(f, &f->data, FRAME_LOAD, FRAME_F_LOAD, 0,
                      str_of((const char *)&total, sizeof total), buf_str(rec));
    bool ready = fake_until(f, FRAME_READY);
    buf_deinit(rec);
    if (!ready)
        fail_msg("the runner ended while loading: status %x", (unsigned)f->status);
}

/* A runner with handler.lua = source. */
static inline void fake_function(struct fake_core *f, const char *source, uint32_t memory_mb)
{
    struct buf rec = BUF_INIT;
    fake_start(f);
    fake_begin_load(&rec, "handler.main", memory_mb);
    fake_put_file(&rec, "handler.lua", str_c(source), true);
    fake_load(f, &rec);
}

static inline void fake_send(struct fake_core *f, int kind, struct str event)
{
    static const char arn[] = "arn:aws:lambda:us-east-1:000000000000:function:thumbs";
    static const char context[] = "{\"custom\":{\"a\":1}}";
    struct frame_invoke head = {.slot = 0,
                                .event_kind = (uint32_t)kind,
                                .event_size = (uint32_t)event.n,
                                .attempt = 1,
                                .arn_size = sizeof arn - 1,
                                .context_size = sizeof context - 1};
    char fixed[sizeof head + sizeof arn + sizeof context];
    memcpy(head.request_id, "11111111-2222-4333-8444-555555555555", 36);
    memcpy(fixed, &head, sizeof head);
    memcpy(fixed + sizeof head, arn, sizeof arn - 1);
    memcpy(fixed + sizeof head + sizeof arn - 1, context, sizeof context - 1);
    atomic_store(&f->shm->entry[0], entry_word(++f->id, ENTRY_QUEUED));
    fake_push_payload(f, &f->work, FRAME_INVOKE, FRAME_F_INVOCATION, f->id,
                      str_of(fixed, sizeof fixed - 2), event);
}

/* Invokes and waits for the reply; false when the runner ended without one. */
static inline bool fake_invoke(struct fake_core *f, int kind, struct str event)
{
    fake_send(f, kind, event);
    return fake_until(f, FRAME_REPLY);
}

static inline void fake_stop(struct fake_core *f)
{
    if (!f->ended) {
        fake_push(f, &f->data, FRAME_RETIRE, 0, 0, STR(""), STR(""));
        while (fake_next(f))
            ;
    }
    close(f->bell);
    ring_unmap(f->shm);
    buf_deinit(&f->answer);
    buf_deinit(&f->log);
    buf_deinit(&f->call);
}

static inline void assert_str(struct str got, const char *want)
{
    if (!str_eq(got, str_c(want)))
        fail_msg("got «%.*s»\nwant «%s»", STR_FMT(got), want);
}

static inline void assert_has(struct str text, const char *part)
{
    if (str_find(text, str_c(part)) < 0)
        fail_msg("«%.*s»\nlacks «%s»", STR_FMT(text), part);
}

#endif
