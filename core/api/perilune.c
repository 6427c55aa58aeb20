/* perilune: what AWS has no call for: blueprints, deployments, the server's status.
 *
 * Bodies and answers are JSON; the paths are under /perilune/v1/ and signed as service "perilune".
 * Blueprints and deployments end in the same transaction (svc/deploy.c). */
#include "api/gate.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/work.h"
#include "svc/blueprint.h"
#include "svc/evaluate.h"
#include "svc/watchdog.h"

/* A report or error of svc/ as the call's answer. */
static void answer(void *ctx, int rc, json_t *json, const struct err *err)
{
    struct call *c = ctx;
    if (rc)
        call_error(c, rc, err);
    else
        call_json(c, c->op->status, json_incref(json));
}

/* --- blueprints --------------------------------------------------------------------------------
 */

struct listing {
    struct call *call;
    json_t *names, *rows;
};

static void list_next(struct listing *l);

static void listed(void *ctx, int rc, json_t *json, const struct err *err)
{
    struct listing *l = ctx;
    if (rc) {
        json_decref(l->names);
        json_decref(l->rows);
        call_error(l->call, rc, err);
        return;
    }
    json_array_append(l->rows, json);
    list_next(l);
}

/* Describes one after the other: each needs a run in a sealed runner. */
static void list_next(struct listing *l)
{
    size_t i = json_array_size(l->rows);
    if (i < json_array_size(l->names)) {
        blueprint_describe(l->call->svc->blueprint, json_bytes(json_array_get(l->names, i)), listed,
                           l);
        return;
    }
    json_decref(l->names);
    call_json(l->call, 200, json_pack("{s:o}", "blueprints", l->rows));
}

void perilune_blueprint_list(struct call *c)
{
    struct listing *l = arena_zalloc(c->arena, sizeof *l);
    if (!l) {
        call_error(c, E_LIMIT, NULL);
        return;
    }
    *l = (struct listing){c, blueprint_names(), json_array()};
    list_next(l);
}

void perilune_blueprint_get(struct call *c)
{
    blueprint_describe(c->svc->blueprint, c->param[0], answer, c);
}

static int may(void *ctx, const char *action, struct str resource, struct err *err)
{
    return call_authorise(ctx, action, resource, err);
}

/* {"name"?, "parameters"?: {…}, "dry_run"?}; name is short for the parameter of that name. */
void perilune_blueprint_new(struct call *c)
{
    struct err err = {0};
    struct str name = {NULL, 0};
    json_t *given = NULL;
    bool dry_run = false;
    int rc;
    if ((rc = json_member_str(c->json, "name", &name, &err)) ||
        (rc = json_member_object(c->json, "parameters", &given, &err)) ||
        (rc = json_member_bool(c->json, "dry_run", &dry_run, &err))) {
        call_error(c, rc, &err);
        return;
    }
    json_t *parameters = given ? json_copy(given) : json_object();
    if (name.p)
        json_object_set_new(parameters, "name", json_text(name));
    blueprint_instantiate(c->svc->blueprint, c->param[0], parameters, dry_run, may, answer, c);
    json_decref(parameters);
}

/* --- deployments -------------------------------------------------------------------------------
 */

struct deploying {
    struct call *call;
    struct work work;
    struct str zip_base64;
    struct buf zip;
    struct buf project; /* function.lua, when the zip has one */
    int rc;             /* of the work */
    struct err err;
    struct package *package;
    struct manifest manifest;
    json_t *manifest_json;
    struct arena *arena;
    struct str name; /* overrides the manifest's; p NULL */
    bool dry_run;
    uint64_t began_ns;
};

static void deploy_end(struct deploying *d, int rc, json_t *report, const struct err *err)
{
    struct call *c = d->call;
    if (rc == 0) {
        struct buf url = BUF_INIT;
        if (d->manifest.url) {
            buf_printf(&url, "%.*s/url/%.*s/", STR_FMT(call_base_url(c)),
                       STR_FMT(d->manifest.name));
            json_object_set_new(report, "url", json_text(buf_str(&url)));
            buf_deinit(&url);
        }
        if (!json_object_get(report, "version")) /* a preview publishes none */
            json_object_set_new(report, "version", json_string("$LATEST"));
        json_object_set_new(report, "dry_run", json_boolean(d->dry_run));
        json_t *warnings = json_array();
        if (d->package && d->package->warning.n)
            json_array_append_new(warnings, json_text(buf_str(&d->package->warning)));
        json_object_set_new(report, "warnings", warnings);
        json_object_set_new(report, "ms",
                            json_integer((json_int_t)((clock_mono_ns() - d->began_ns) / 1000000)));
    }
    if (d->package)
        package_free(d->package);
    json_decref(d->manifest_json);
    buf_deinit(&d->zip);
    buf_deinit(&d->project);
    arena_free(d->arena);
    answer(c, rc, report, err);
}

static void deploy_applied(void *ctx, int rc, json_t *report, const struct err *err)
{
    deploy_end(ctx, rc, report, err);
}

static int deploy_may(void *ctx, const char *action, struct str resource, struct err *err)
{
    struct deploying *d = ctx;
    return call_authorise(d->call, action, resource, err);
}

static void deploy_packaged(void *ctx, int rc, struct package *pkg, const struct err *err)
{
    struct deploying *d = ctx;
    if (rc) {
        deploy_end(d, rc, NULL, err);
        return;
    }
    d->package = pkg;
    if (d->name.p)
        json_object_set_new(d->manifest_json, "name", json_text(d->name));
    rc = manifest_parse(d->manifest_json, d->call->svc->region, d->arena, &d->manifest, &d->err);
    if (rc) {
        deploy_end(d, rc, NULL, &d->err);
        return;
    }
    struct deploy_req req = {
        .manifest = &d->manifest,
        .package = d->package,
        .source = STR("deploy"),
        .dry_run = d->dry_run,
        .update = true,
        .done = deploy_applied,
        .ctx = d,
        .may = deploy_may,
    };
    deploy_apply(d->call->svc->deploy, &req);
}

static void deploy_package(struct deploying *d)
{
    struct package_source source = {.zip = buf_str(&d->zip)};
    package_build_from(d->call->svc->store, &source, deploy_packaged, d);
}

static void deploy_described(void *ctx, int rc, json_t *manifest, const struct err *err)
{
    struct deploying *d = ctx;
    if (rc) {
        deploy_end(d, rc, NULL, err);
        return;
    }
    d->manifest_json = json_incref(manifest);
    deploy_package(d);
}

/* Pool: base64, and function.lua out of the zip. */
static void deploy_work(struct work *w)
{
    struct deploying *d = w->data;
    if (!base64_decode(&d->zip, d->zip_base64))
        d->rc = err_set(&d->err, E_INVALID, "'zip' is not base64");
    else if (!d->manifest_json)
        d->rc = zipfile_read(buf_str(&d->zip), "function.lua", 256 * 1024, &d->project);
    if (d->rc == E_NOT_FOUND)
        err_set(&d->err, d->rc = E_INVALID, "the package has no function.lua");
}

static void deploy_worked(struct work *w)
{
    struct deploying *d = w->data;
    if (d->rc) {
        deploy_end(d, d->rc, NULL, &d->err);
        return;
    }
    if (d->manifest_json) {
        deploy_package(d);
        return;
    }
    struct zipfile_entry file = {STR("function.lua"), buf_str(&d->project)};
    evaluate(d->call->svc->pool, &file, 1, "project", STR("{}"), deploy_described, d);
}

/* {"zip": base64, "manifest"?: {…}, "name"?, "dry_run"?}: without a manifest the zip's function.lua
 * is evaluated. */
void perilune_deploy(struct call *c)
{
    struct deploying *d = arena_zalloc(c->arena, sizeof *d);
    struct err err = {0};
    json_t *manifest = NULL;
    int rc = d ? 0 : E_LIMIT;
    if (rc || (rc = json_member_str(c->json, "zip", &d->zip_base64, &err)) ||
        (rc = json_member_str(c->json, "name", &d->name, &err)) ||
        (rc = json_member_object(c->json, "manifest", &manifest, &err)) ||
        (rc = json_member_bool(c->json, "dry_run", &d->dry_run, &err)) ||
        (rc = d->zip_base64.p ? 0 : err_set(&err, E_INVALID, "'zip' is missing"))) {
        call_error(c, rc, &err);
        return;
    }
    d->call = c;
    d->began_ns = clock_mono_ns();
    d->arena = arena_new(1024 * 1024);
    d->manifest_json = json_incref(manifest);
    d->work.data = d;
    work_start(c->svc->loop, &d->work, deploy_work, deploy_worked);
}

void perilune_deployment_list(struct call *c)
{
    call_json(c, 200, json_pack("{s:o}", "deployments", deploy_list(c->svc->deploy)));
}

void perilune_deployment_remove(struct call *c)
{
    struct str name = c->param[0];
    if (memchr(name.p, 0, name.n)) /* whose beginning may be another's name */
        call_error(c, E_NOT_FOUND, NULL);
    else
        deploy_remove(c->svc->deploy, name, answer, c);
}

/* --- status ------------------------------------------------------------------------------------
 */

void perilune_status(struct call *c)
{
    struct services *v = c->svc;
    struct pool_stats p;
    struct queue_stats q;
    struct watchdog_stats w;
    pool_stats(v->pool, &p);
    queue_stats(v->queue, &q);
    watchdog_stats(&w);
    json_t *runners = json_pack("{s:i, s:i, s:i, s:i}", "running", (int)p.runners, "spare",
                                (int)p.spares, "busy", (int)p.busy, "waiting", (int)p.waiting);
    json_t *runs =
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "invocations", (json_int_t)p.invocations, "errors",
                  (json_int_t)p.errors, "throttles", (json_int_t)p.throttles, "kills",
                  (json_int_t)p.kills, "cold_starts", (json_int_t)p.cold_starts);
    json_t *queue = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "queued", (json_int_t)q.queued,
                              "running", (json_int_t)q.running, "waiting", (json_int_t)q.waiting,
                              "dead", (json_int_t)q.dead, "bytes", (json_int_t)q.bytes, "late_ms",
                              (json_int_t)q.late_ms);
    json_t *loop =
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "turns", (json_int_t)w.turns, "over_2ms",
                  (json_int_t)w.over_2ms, "longest_us", (json_int_t)w.longest_us, "cpu_over_2ms",
                  (json_int_t)w.cpu_over_2ms, "cpu_longest_us", (json_int_t)w.cpu_longest_us);
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "status",
                          store_writable(v->store) ? "ok" : "read-only", "region", v->region,
                          "jail", pool_jail_layers(v->pool), "uptime_ms",
                          (json_int_t)(clock_wall_ms() - v->started_ms), "runners", runners, "runs",
                          runs, "queue", queue, "loop", loop);
    call_json(c, 200, o);
}
