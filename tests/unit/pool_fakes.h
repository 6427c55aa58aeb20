/* pool_fakes: the parts beside the pool, as small as tests need them: functions that are handed in,
 * a log that is one text, host calls that sleep or return bytes. */
#ifndef POOL_FAKES_H
#define POOL_FAKES_H

#include <uv.h>

#include "base/rec.h"
#include "svc/function.h"
#include "svc/hostcall_tags.h"
#include "svc/logs.h"
#include "svc/pool.h"

static struct buf fake_log;
static int fake_streams;
static void (*fake_changed)(void *ctx, struct str name);
static void *fake_changed_ctx;
static struct str fake_bytes; /* of every file */

void functions_on_change(struct functions *f, void (*changed)(void *ctx, struct str name),
                         void *ctx)
{
    (void)f;
    fake_changed = changed;
    fake_changed_ctx = ctx;
}

static uint64_t fake_reservations;

uint64_t function_reservations(const struct functions *f)
{
    (void)f;
    return fake_reservations;
}

static bool fake_current; /* is a version what the store has? */

bool function_current(struct functions *f, const struct fn *fn)
{
    (void)f, (void)fn;
    return fake_current;
}

void fn_ref(struct fn *fn)
{
    fn->refs++;
}

void fn_unref(struct fn *fn)
{
    fn->refs--;
}

void function_file(struct functions *f, struct fn *fn, struct str path,
                   void (*done)(void *ctx, int rc, struct str bytes), void *ctx)
{
    (void)f, (void)fn, (void)path;
    done(ctx, 0, fake_bytes);
}

struct log_stream *log_stream_open(struct logs *l, struct str group, struct str stream)
{
    (void)l, (void)group, (void)stream;
    fake_streams++;
    return (struct log_stream *)&fake_log;
}

void log_stream_close(struct log_stream *s)
{
    (void)s;
    fake_streams--;
}

void log_stream_as_json(struct log_stream *s)
{
    (void)s;
}

void log_line(struct log_stream *s, int64_t wall_ms, enum log_severity level,
              const char *request_id, struct str text)
{
    (void)s, (void)wall_ms;
    buf_printf(&fake_log, "LINE %d %s %.*s\n", (int)level, request_id, STR_FMT(text));
}

void log_start(struct log_stream *s, int64_t wall_ms, const char *request_id, struct str version)
{
    (void)s, (void)wall_ms;
    buf_printf(&fake_log, "START %s %.*s\n", request_id, STR_FMT(version));
}

void log_end(struct log_stream *s, int64_t wall_ms, const char *request_id)
{
    (void)s, (void)wall_ms;
    buf_printf(&fake_log, "END %s\n", request_id);
}

void log_report_text(struct buf *out, const char *request_id, const struct log_report *r)
{
    buf_printf(out, "REPORT %s billed %llu memory %u init %d status %s", request_id,
               (unsigned long long)r->billed_ms, r->memory_mb, r->init_us > 0,
               r->status ? r->status : "-");
}

void log_report(struct log_stream *s, int64_t wall_ms, const char *request_id,
                const struct log_report *r)
{
    (void)s, (void)wall_ms;
    log_report_text(&fake_log, request_id, r);
    buf_addc(&fake_log, '\n');
}

/* HC_SLEEP waits HC_MS; HC_S3_GET answers HC_MS bytes at once. */
struct fake_call {
    uv_timer_t timer;
    struct hostcall *call;
};
static int fake_open_calls, fake_cancelled, fake_begun;

static void fake_free(uv_handle_t *h)
{
    free(h->data);
}

static void fake_end(struct fake_call *f, int rc)
{
    fake_open_calls--;
    uv_timer_stop(&f->timer);
    hostcall_finish(f->call, rc, STR(""), NULL);
    uv_close((uv_handle_t *)&f->timer, fake_free);
}

static void fake_slept(uv_timer_t *t)
{
    fake_end(t->data, 0);
}

static void fake_cancel(struct hostcall *call)
{
    fake_cancelled++;
    fake_end(call->user, E_ABORTED);
}

static void fake_hostcall(void *ctx, struct hostcall *call)
{
    uint64_t n = rec_u64(call->args, HC_MS, 0);
    fake_begun++;
    if (call->number == HC_S3_GET) {
        struct buf b = BUF_INIT;
        char *bytes = malloc(n + 1);
        memset(bytes, 'z', n);
        rec_put_str(&b, HC_BODY, str_of(bytes, n));
        hostcall_finish(call, 0, buf_str(&b), NULL);
        buf_deinit(&b);
        free(bytes);
        return;
    }
    struct fake_call *f = calloc(1, sizeof *f);
    f->call = call;
    f->timer.data = f;
    call->user = f;
    call->cancel = fake_cancel;
    fake_open_calls++;
    uv_timer_init(ctx, &f->timer);
    uv_timer_start(&f->timer, fake_slept, n, 0);
}

#endif
