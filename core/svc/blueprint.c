/* blueprint: build() in the jail -> manifest -> package -> deployment, one step after the other. */
#include "svc/blueprint.h"

#include <stdlib.h>

#include "base/embed.h"
#include "base/json.h"
#include "base/log.h"
#include "svc/evaluate.h"

enum { FILES_MAX = 16, ARENA_MAX = 1024 * 1024 };

struct instance {
    const struct blueprint_env *env;
    struct arena *arena;
    char name[64];
    bool dry_run;
    blueprint_may *may; /* NULL: it is only described */
    blueprint_done *done;
    void *ctx;
    json_t *built; /* what build() answered */
    struct manifest manifest;
    struct package *package;
    char source[80];
};

static const char prefix[] = "blueprints/";

/* A file of a blueprint; p NULL when there is none. */
static struct str file_of(const char *name, const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s/%s", prefix, name, file);
    return embed_find(str_c(path));
}

json_t *blueprint_names(void)
{
    json_t *names = json_array();
    struct str path, bytes;
    for (size_t i = 0; embed_at(str_c(prefix), i, &path, &bytes); i++) {
        struct str dir = str_from(path, sizeof prefix - 1), file = dir;
        dir = str_cut(&file, '/');
        if (str_is(file, "blueprint.lua"))
            json_array_append_new(names, json_text(dir));
    }
    return names;
}

static bool known(struct str name, char out[static 64])
{
    if (name.n == 0 || name.n >= 64 || memchr(name.p, '/', name.n) || memchr(name.p, 0, name.n))
        return false;
    memcpy(out, name.p, name.n);
    out[name.n] = 0;
    return file_of(out, "blueprint.lua").p != NULL;
}

static void end(struct instance *in, int rc, json_t *json, const struct err *err)
{
    in->done(in->ctx, rc, json, err);
    if (in->package)
        package_free(in->package);
    json_decref(in->built);
    arena_free(in->arena);
    free(in);
}

static void fail(struct instance *in, int rc, const struct err *err)
{
    end(in, rc, NULL, err);
}

static struct instance *instance_new(const struct blueprint_env *env, struct str name, bool dry_run,
                                     blueprint_done *done, void *ctx)
{
    struct instance *in = calloc(1, sizeof *in);
    if (!in)
        fatal("out of memory");
    *in = (struct instance){.env = env, .dry_run = dry_run, .done = done, .ctx = ctx};
    in->arena = arena_new(ARENA_MAX);
    if (!known(name, in->name)) {
        struct err err = {0};
        fail(in, err_set(&err, E_NOT_FOUND, "there is no blueprint '%.*s'", STR_FMT(name)), &err);
        return NULL;
    }
    snprintf(in->source, sizeof in->source, "blueprint %s", in->name);
    return in;
}

/* --- description -------------------------------------------------------------------------------
 */

static void described(void *ctx, int rc, json_t *result, const struct err *err)
{
    struct instance *in = ctx;
    if (rc == 0) {
        json_object_set_new(result, "name", json_string(in->name));
    }
    end(in, rc, rc ? NULL : result, err);
}

void blueprint_describe(const struct blueprint_env *env, struct str name, blueprint_done *done,
                        void *ctx)
{
    struct instance *in = instance_new(env, name, true, done, ctx);
    if (!in)
        return;
    struct zipfile_entry file = {STR("blueprint.lua"), file_of(in->name, "blueprint.lua")};
    evaluate(env->pool, &file, 1, "describe", STR("{}"), described, in);
}

/* --- instantiation -----------------------------------------------------------------------------
 */

static int may(void *ctx, const char *action, struct str resource, struct err *err)
{
    struct instance *in = ctx;
    return in->may(in->ctx, action, resource, err);
}

/* "url", and "try" as the template has it: with the URL where it says @URL@. */
static void add_url(struct instance *in, json_t *report)
{
    struct buf url = BUF_INIT, text = BUF_INIT;
    struct str rest = json_bytes(json_object_get(in->built, "try"));
    buf_printf(&url, "%s/url/%.*s/", in->env->endpoint, STR_FMT(in->manifest.name));
    if (in->manifest.url)
        json_object_set_new(report, "url", json_text(buf_str(&url)));
    for (ptrdiff_t at; (at = str_find(rest, STR("@URL@"))) >= 0;
         rest = str_from(rest, (size_t)at + 5)) {
        buf_add(&text, str_of(rest.p, (size_t)at));
        buf_add(&text, buf_str(&url));
    }
    buf_add(&text, rest);
    if (text.n)
        json_object_set_new(report, "try", json_text(buf_str(&text)));
    buf_deinit(&url);
    buf_deinit(&text);
}

static void deployed(void *ctx, int rc, json_t *report, const struct err *err)
{
    struct instance *in = ctx;
    if (rc) {
        fail(in, rc, err);
        return;
    }
    json_object_set_new(report, "blueprint", json_string(in->name));
    json_object_set(report, "parameters", json_object_get(in->built, "parameters"));
    json_object_set_new(report, "dry_run", json_boolean(in->dry_run));
    add_url(in, report);
    end(in, 0, report, NULL);
}

static void deploy(struct instance *in)
{
    struct deploy_req req = {
        .manifest = &in->manifest,
        .package = in->package,
        .source = str_c(in->source),
        .dry_run = in->dry_run,
        .done = deployed,
        .ctx = in,
        .may = may,
    };
    deploy_apply(in->env->deploy, &req);
}

static void packaged(void *ctx, int rc, struct package *pkg, const struct err *err)
{
    struct instance *in = ctx;
    if (rc) {
        fail(in, rc, err);
        return;
    }
    in->package = pkg;
    deploy(in);
}

/* The files that the template names, zipped. */
static int pack(struct instance *in, struct buf *zip, struct err *err)
{
    struct zipfile_entry entries[FILES_MAX];
    json_t *files = json_object_get(in->built, "files"), *f;
    size_t i;
    if (json_array_size(files) == 0 || json_array_size(files) > FILES_MAX)
        return err_set(err, E_INVALID, "a blueprint has 1 to %d files", FILES_MAX);
    json_array_foreach(files, i, f)
    {
        const char *path = json_string_value(f);
        struct str bytes = path ? file_of(in->name, path) : (struct str){NULL, 0};
        if (!bytes.p)
            return err_set(err, E_INVALID, "blueprint '%s' lacks its file '%s'", in->name,
                           path ? path : "?");
        entries[i] = (struct zipfile_entry){str_c(path), bytes};
    }
    return zipfile_write(entries, json_array_size(files), zip);
}

static void built(void *ctx, int rc, json_t *result, const struct err *err)
{
    struct instance *in = ctx;
    struct err e = {0};
    if (rc) {
        fail(in, rc, err);
        return;
    }
    json_t *errors = json_object_get(result, "errors"), *item;
    if (json_array_size(errors)) {
        struct buf text = BUF_INIT;
        size_t i;
        json_array_foreach(errors, i, item)
            buf_printf(&text, "%s%s", i ? "; " : "", json_string_value(item));
        rc = err_set(&e, E_INVALID, "%.*s", STR_FMT(buf_str(&text)));
        buf_deinit(&text);
        fail(in, rc, &e);
        return;
    }
    in->built = json_incref(result);
    rc = manifest_parse(json_object_get(result, "manifest"), in->env->deploy->region, in->arena,
                        &in->manifest, &e);
    if (rc) {
        fail(in, rc, &e);
        return;
    }
    if (in->dry_run) {
        deploy(in);
        return;
    }
    struct buf zip = BUF_INIT;
    rc = pack(in, &zip, &e);
    if (rc)
        fail(in, rc, &e);
    else
        package_build(in->env->deploy->store, buf_str(&zip), packaged, in);
    buf_deinit(&zip);
}

void blueprint_instantiate(const struct blueprint_env *env, struct str name, json_t *parameters,
                           bool dry_run, blueprint_may *allowed, blueprint_done *done, void *ctx)
{
    struct instance *in = instance_new(env, name, dry_run, done, ctx);
    if (!in)
        return;
    in->may = allowed;
    struct zipfile_entry file = {STR("blueprint.lua"), file_of(in->name, "blueprint.lua")};
    struct buf event = BUF_INIT;
    buf_lit(&event, "{\"parameters\":");
    if (json_object_size(parameters))
        json_write(&event, parameters);
    else
        buf_lit(&event, "{}");
    buf_lit(&event, "}");
    evaluate(env->pool, &file, 1, "build", buf_str(&event), built, in);
    buf_deinit(&event);
}
