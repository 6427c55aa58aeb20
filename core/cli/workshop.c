/* workshop: a loop that turns only while somebody waits for an answer. */
#include "cli/workshop.h"

#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "svc/pool.h"

enum { RUNNERS = 8 };

struct workshop {
    uv_loop_t loop;
    struct pool *pool;
};

struct waiting { /* for one answer */
    uv_loop_t *loop;
    bool done;
    int rc;
    json_t *result;
    struct err *err;
};

struct workshop *workshop_open(void)
{
    struct workshop *w = calloc(1, sizeof *w);
    struct err err = {0};
    const char *weak = getenv("PERILUNE_ALLOW_WEAK_JAIL");
    if (!w || uv_loop_init(&w->loop) != 0)
        fatal("out of memory");
    log_init("perilune", LOG_LEVEL_ERROR);
    struct pool_opts o = {
        .loop = &w->loop,
        .region = "us-east-1",
        .max_runners = RUNNERS,
        .memory = uv_get_total_memory() / 2,
        .idle_timeout_ms = 60000,
        .spares = 1,
        .jit = true,
        .allow_weak_jail = weak && *weak && strcmp(weak, "0") != 0 && strcmp(weak, "no") != 0,
    };
    int rc = pool_open(&o, &w->pool, &err);
    if (rc == 0)
        return w;
    cli_fail(CLI_FAILED, "the runtime could not be started: %s", err_text(&err, rc));
    free(w);
    return NULL;
}

static void close_handle(uv_handle_t *h, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

void workshop_close(struct workshop *w)
{
    if (!w)
        return;
    pool_close(w->pool);
    uv_walk(&w->loop, close_handle, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_loop_close(&w->loop);
    free(w);
}

/* The answer may come in the turn's last moment before it sleeps: it shall not. */
static void end_wait(struct waiting *a)
{
    a->done = true;
    uv_stop(a->loop);
}

static void wait_for(struct workshop *w, struct waiting *a)
{
    while (!a->done)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void answered(void *ctx, const struct invoke_result *r)
{
    struct waiting *a = ctx;
    end_wait(a);
    a->rc = r->rc;
    if (a->rc == 0)
        a->result = json_parse(r->payload, a->err);
    if (a->rc == 0 && !a->result) {
        a->rc = a->err->code;
    } else if (a->rc == 0 && r->error) {
        struct str text = json_bytes(json_object_get(a->result, "errorMessage"));
        a->rc = err_set(a->err, E_INVALID, "%.*s", STR_FMT(text));
        json_decref(a->result);
        a->result = NULL;
    } else if (a->rc) {
        err_set(a->err, a->rc, "the runtime did not take it: %s", err_row(a->rc)->text);
    }
}

int workshop_call(struct workshop *w, struct fn *fn, json_t *event, json_t **result,
                  struct err *err)
{
    struct waiting a = {.loop = &w->loop, .err = err};
    struct buf text = BUF_INIT;
    json_write(&text, event);
    json_decref(event);
    struct invoke_req req = {
        .fn = fn,
        .event_kind = EVENT_JSON,
        .event = buf_str(&text),
        .arn = fn->arn,
        .attempt = 1,
        .source = "workshop",
        .done = answered,
        .ctx = &a,
    };
    id_uuid(req.request_id);
    invoke(w->pool, &req);
    wait_for(w, &a);
    buf_deinit(&text);
    *result = a.result;
    return a.rc;
}

static void evaluated(void *ctx, int rc, json_t *result, const struct err *err)
{
    struct waiting *a = ctx;
    end_wait(a);
    a->rc = rc;
    if (rc == 0)
        a->result = json_incref(result);
    else
        *a->err = *err;
}

int workshop_manifest(struct workshop *w, struct str function_lua, json_t **out, struct err *err)
{
    struct waiting a = {.loop = &w->loop, .err = err};
    struct zipfile_entry file = {STR("function.lua"), function_lua};
    evaluate(w->pool, &file, 1, "project", STR("{}"), evaluated, &a);
    wait_for(w, &a);
    *out = a.result;
    return a.rc;
}
