/* load: the code that a spare is given.
 *
 * LOAD carries the function's settings and its files. A package of up to INLINE_ALL bytes travels
 * whole, so that a cold start costs no further round trip; of a larger one only the handler's file
 * and small files up to INLINE_BUDGET, the rest are names and sizes that the runner reads with
 * HC_PACKAGE_READ when they are asked for. Files may come from disk, so this is asynchronous: the
 * runner may be gone when the bytes arrive. */
#include "svc/pool_impl.h"

#include <stdlib.h>

#include "base/rec.h"

enum {
    INLINE_ALL = 256 * 1024,
    INLINE_SMALL = 16 * 1024,
    INLINE_BUDGET = 128 * 1024,
    HANDLER_MAX = 1024 * 1024,
    LOAD_MAX = 4 * 1024 * 1024,
    LOAD_SPEC_MAX = 64 * 1024 * 1024,
};

struct load {
    struct runner *runner; /* NULL: cancelled */
    struct fn *fn;
    struct buf rec;
    size_t next; /* file */
    uint64_t total, given;
    enum { LOAD_STEPPING, LOAD_ASKED, LOAD_WAITING } state;
};

static bool jit_on(const struct runner *r)
{
    const struct fn *fn = r->version->fn;
    for (size_t i = 0; i < fn->env_count; i++)
        if (str_is(fn->env[i].name, "PERILUNE_JIT") && str_is(fn->env[i].value, "off"))
            return false;
    return r->pool->opts.jit;
}

static void put_settings(struct load *l)
{
    struct runner *r = l->runner;
    const struct fn *fn = l->fn;
    struct buf *b = &l->rec;
    rec_put_str(b, LOAD_NAME, fn->name);
    rec_put_str(b, LOAD_VERSION, fn->version);
    rec_put_str(b, LOAD_ARN, fn->arn);
    rec_put_str(b, LOAD_HANDLER, fn->handler);
    rec_put_u64(b, LOAD_MEMORY_MB, fn->memory_mb);
    rec_put_u64(b, LOAD_TIMEOUT_MS, fn->timeout_ms);
    rec_put_str(b, LOAD_REGION, str_c(r->pool->opts.region));
    rec_put_str(b, LOAD_LOG_GROUP, fn->log_group);
    rec_put_str(b, LOAD_LOG_STREAM, str_c(r->stream_name));
    rec_put_u64(b, LOAD_JIT, jit_on(r));
    rec_put_u64(b, LOAD_SEALED, fn->sealed);
    rec_put_u64(b, LOAD_SPEC, fn->spec);
    for (size_t i = 0; i < fn->env_count; i++) {
        size_t mark = rec_begin(b, LOAD_ENV);
        rec_put_str(b, 1, fn->env[i].name);
        rec_put_str(b, 2, fn->env[i].value);
        rec_end(b, mark);
    }
}

/* bytes.p NULL: name and size only. */
static void put_file(struct load *l, const struct fn_file *file, struct str bytes)
{
    size_t mark = rec_begin(&l->rec, LOAD_FILE);
    rec_put_str(&l->rec, 1, file->path);
    rec_put_u64(&l->rec, 2, file->size);
    if (bytes.p)
        rec_put_str(&l->rec, 3, bytes);
    rec_end(&l->rec, mark);
}

/* "dir/file.function" names dir/file.lua. */
static bool is_handler(const struct fn *fn, struct str path)
{
    ptrdiff_t dot = -1;
    for (size_t i = 0; i < fn->handler.n; i++)
        if (fn->handler.p[i] == '.')
            dot = (ptrdiff_t)i;
    struct str stem = str_of(fn->handler.p, dot < 0 ? fn->handler.n : (size_t)dot);
    return str_starts(path, stem) && str_is(str_from(path, stem.n), ".lua");
}

static bool wanted(const struct load *l, const struct fn_file *file)
{
    if (l->total <= INLINE_ALL || l->fn->sealed)
        return true;
    if (is_handler(l->fn, file->path))
        return file->size <= HANDLER_MAX;
    return file->size <= INLINE_SMALL && l->given + file->size <= INLINE_BUDGET;
}

static struct str sealed_bytes(const struct fn *fn, const struct fn_file *file)
{
    bool inside =
        file->offset <= fn->inline_source.n && file->size <= fn->inline_source.n - file->offset;
    return inside ? str_of(fn->inline_source.p + file->offset, file->size) : STR("");
}

static void load_free(struct load *l)
{
    if (l->runner)
        l->runner->load = NULL;
    buf_deinit(&l->rec);
    fn_unref(l->fn);
    free(l);
}

static void send_load(struct load *l)
{
    struct runner *r = l->runner;
    uint32_t total = (uint32_t)l->rec.n;
    struct str payload = buf_str(&l->rec);
    bool ok = l->rec.rc == 0;
    if (ok) {
        l->rec = BUF_INIT; /* the channel owns the bytes now */
        channel_send(r->channel, FRAME_LOAD, 0, FRAME_F_LOAD,
                     str_of((const char *)&total, sizeof total), payload,
                     (char *)(uintptr_t)payload.p);
    }
    load_free(l);
    if (!ok)
        runner_events_broke(r, "its function's files do not fit a LOAD");
}

static void step(struct load *l);

static void got(void *ctx, int rc, struct str bytes)
{
    struct load *l = ctx;
    bool waited = l->state == LOAD_WAITING;
    l->state = LOAD_STEPPING;
    if (!l->runner) { /* cancelled while it waited */
        load_free(l);
        return;
    }
    const struct fn_file *file = &l->fn->files[l->next++];
    l->given += bytes.n;
    /* what cannot be read now will be asked for, and fail where the user sees it */
    put_file(l, file, rc ? str_of(NULL, 0) : bytes.p ? bytes : STR(""));
    if (waited)
        step(l);
}

static void step(struct load *l)
{
    while (l->next < l->fn->file_count) {
        const struct fn_file *file = &l->fn->files[l->next];
        if (!wanted(l, file)) {
            put_file(l, file, str_of(NULL, 0));
            l->next++;
        } else if (l->fn->sealed) {
            put_file(l, file, sealed_bytes(l->fn, file));
            l->next++;
        } else {
            l->state = LOAD_ASKED;
            function_file(l->runner->pool->opts.functions, l->fn, file->path, got, l);
            if (l->state == LOAD_ASKED) {
                l->state = LOAD_WAITING;
                return;
            }
        }
    }
    send_load(l);
}

void load_begin(struct runner *r)
{
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    l->runner = r;
    l->fn = r->version->fn;
    fn_ref(l->fn);
    r->load = l;
    buf_init(&l->rec, l->fn->spec ? LOAD_SPEC_MAX : LOAD_MAX);
    for (size_t i = 0; i < l->fn->file_count; i++)
        l->total += l->fn->files[i].size;
    put_settings(l);
    step(l);
}

void load_cancel(struct runner *r)
{
    if (!r->load)
        return;
    r->load->runner = NULL; /* its last callback frees it */
    r->load = NULL;
}
