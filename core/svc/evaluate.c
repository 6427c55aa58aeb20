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

static struct fn *sealed_fn(const struct zipfile_entry *files, size_t n, const char *function)
{
    struct arena *a = arena_new(4 * 1024 * 1024);
    struct fn *fn = arena_zalloc(a, sizeof *fn);
    struct str shim = embed_find(STR("lua/manifest.lua"));
    size_t total = shim.n;
    ASSERT(shim.p);
    for (size_t i = 0; i < n; i++)
        total += files[i].bytes.n;
    struct fn_file *list = arena_zalloc(a, (n + 1) * sizeof *list);
    char *bytes = arena_alloc(a, total);
    if (!list || !bytes) {
        arena_free(a);
        return NULL;
    }
    memcpy(bytes, shim.p, shim.n);
    list[0] = (struct fn_file){STR("manifest.lua"), 0, shim.n};
    size_t at = shim.n;
    for (size_t i = 0; i < n; i++) {
        memcpy(bytes + at, files[i].bytes.p, files[i].bytes.n);
        list[i + 1] = (struct fn_file){arena_dup(a, files[i].path), at, files[i].bytes.n};
        at += files[i].bytes.n;
    }
    *fn = (struct fn){
        .refs = 1,
        .id = 0,
        .generation = ++generation,
        .name = STR("manifest"),
        .version = STR("$LATEST"),
        .arn = STR("arn:aws:lambda:::function:manifest"),
        .runtime = STR("lua"),
        .handler = arena_printf(a, "manifest.%s", function),
        .timeout_ms = 2000,
        .memory_mb = 32,
        .log_group = STR("/perilune/manifest"),
        .files = list,
        .file_count = n + 1,
        .sealed = true,
        .inline_source = str_of(bytes, total),
        .arena = a,
    };
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
    struct fn *fn = sealed_fn(files, n, function);
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
