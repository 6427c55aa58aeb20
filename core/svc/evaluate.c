/* evaluate: an internal function version that exists for one invocation only. */
#include "svc/evaluate.h"

#include <stdlib.h>

#include "base/embed.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"

struct evaluation {
    char *event;
    void (*done)(void *ctx, int rc, json_t *result, const struct err *err);
    void *ctx;
};

static uint64_t generation;

struct fn *sealed_fn(const struct sealed *s)
{
    enum { MANIFEST_MAX = 4 << 20, SPEC_MAX = 48 << 20 };
    struct arena *a = arena_new(s->spec ? SPEC_MAX : MANIFEST_MAX);
    struct fn *fn = arena_zalloc(a, sizeof *fn);
    size_t total = 0, at = 0;
    for (size_t i = 0; i < s->count; i++)
        total += s->files[i].bytes.n;
    struct fn_file *list = arena_zalloc(a, (s->count + 1) * sizeof *list);
    char *bytes = arena_alloc(a, total + 1);
    if (!list || !bytes) {
        arena_free(a);
        return NULL;
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct zipfile_entry *f = &s->files[i];
        if (f->bytes.n)
            memcpy(bytes + at, f->bytes.p, f->bytes.n);
        list[i] = (struct fn_file){arena_dup(a, f->path), at, f->bytes.n};
        at += f->bytes.n;
    }
    *fn = (struct fn){
        .refs = 1,
        .id = 0,
        .generation = ++generation,
        .name = arena_dup(a, str_c(s->name)),
        .version = STR("$LATEST"),
        .arn = arena_printf(a, "arn:aws:lambda:::function:%s", s->name),
        .runtime = STR("lua"),
        .handler = arena_dup(a, str_c(s->handler)),
        .timeout_ms = s->timeout_ms,
        .memory_mb = s->memory_mb,
        .log_group = arena_printf(a, "/perilune/%s", s->name),
        .files = list,
        .file_count = s->count,
        .sealed = true,
        .spec = s->spec,
        .inline_source = str_of(bytes, total),
        .arena = a,
    };
    return fn;
}

/* The author's files beside our manifest.lua. */
static struct fn *manifest_fn(const struct zipfile_entry *files, size_t n, const char *function)
{
    char handler[64];
    struct zipfile_entry *all = calloc(n + 1, sizeof *all);
    if (!all)
        fatal("out of memory");
    all[0] = (struct zipfile_entry){STR("manifest.lua"), embed_find(STR("lua/manifest.lua"))};
    ASSERT(all[0].bytes.p);
    for (size_t i = 0; i < n; i++)
        all[i + 1] = files[i];
    snprintf(handler, sizeof handler, "manifest.%s", function);
    struct sealed s = {all, n + 1, "manifest", handler, 2000, 32, false};
    struct fn *fn = sealed_fn(&s);
    free(all);
    return fn;
}

static void invoked(void *ctx, const struct invoke_result *r)
{
    struct evaluation *e = ctx;
    struct err err = {0};
    json_t *result = NULL;
    int rc = r->rc;
    if (rc == 0)
        result = json_parse(r->payload, &err);
    if (rc == 0 && (r->error || !result)) {
        const char *text = json_string_value(json_object_get(result, "errorMessage"));
        rc = err_set(&err, E_INVALID, "%s", text ? text : "the manifest could not be evaluated");
    }
    e->done(e->ctx, rc, rc ? NULL : result, &err);
    json_decref(result);
    free(e->event);
    free(e);
}

void evaluate(struct pool *p, const struct zipfile_entry *files, size_t n, const char *function,
              struct str event,
              void (*done)(void *ctx, int rc, json_t *result, const struct err *err), void *ctx)
{
    struct fn *fn = manifest_fn(files, n, function);
    if (!fn) {
        struct err err = {0};
        done(ctx, err_set(&err, E_LIMIT, "the manifest's files are too large"), NULL, &err);
        return;
    }
    struct evaluation *e = calloc(1, sizeof *e);
    if (!e || !(e->event = malloc(event.n + 1)))
        fatal("out of memory");
    memcpy(e->event, event.p, event.n);
    e->done = done;
    e->ctx = ctx;
    struct invoke_req req = {
        .fn = fn,
        .event_kind = EVENT_JSON,
        .event = str_of(e->event, event.n),
        .arn = fn->arn,
        .attempt = 1,
        .source = "manifest",
        .done = invoked,
        .ctx = e,
    };
    id_uuid(req.request_id);
    invoke(p, &req);
    fn_unref(fn);
}
