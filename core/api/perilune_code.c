/* perilune_code: a function's files as text, to be read and changed in place.
 *
 *   POST /perilune/v1/check              {"files":{PATH:TEXT}} -> {"errors":[{"file","line","message"}]}
 *   GET  /perilune/v1/functions/F/code   {"files":[{"path","size","text"}],"sha256","version"}
 *   PUT  /perilune/v1/functions/F/code   {"files":{PATH:TEXT or null},"publish"?} -> a configuration
 *
 * The compiler that judges is the one that will run the code, in a sealed runner: nothing of it runs.
 * A change is the whole package read, the files put in or taken out, a new zip: the same as an upload
 * of that. Packages that are too large to be edited as text are refused and stay as they are. */
#include "api/lambda.h"
#include "base/json.h"
#include "base/log.h"
#include "base/work.h"
#include "svc/evaluate.h"

enum {
    FILES_MAX = 500,
    TEXT_MAX = 256 * 1024,        /* of one file that is shown */
    SHOWN_MAX = 2 * 1024 * 1024,  /* of all that are */
    EDITED_MAX = 8 * 1024 * 1024, /* bytes of a package that is edited */
    PATH_MAX_LEN = 255,
};

struct editing {
    struct call *c;
    struct fn *fn;
    size_t at; /* file being read */
    /* reading */
    json_t *shown;
    size_t shown_bytes;
    /* writing */
    json_t *changes; /* borrowed from c->json */
    struct buf bytes;
    struct zipfile_entry *entries; /* bytes.p of those that stay is an offset until all are read */
    size_t count, kept;
    struct buf zip;
    struct work work;
    int rc;
    bool publish;
    struct str revision_id;
};

static void edit_end(struct editing *e, int rc, const struct err *err)
{
    struct call *c = e->c;
    if (e->fn)
        fn_unref(e->fn);
    buf_deinit(&e->bytes);
    buf_deinit(&e->zip);
    free(e->entries);
    json_t *shown = e->shown;
    free(e);
    if (rc) {
        json_decref(shown);
        call_error(c, rc, err);
    } else if (shown) {
        call_json(c, 200, shown);
    }
}

static struct editing *edit_begin(struct call *c, struct str qualifier)
{
    struct err err = {0};
    struct str name, in_name;
    struct fn *fn = NULL;
    int rc = lambda_name(c, c->param[0], &name, &in_name, &err);
    if (rc == 0)
        rc = function_get(c->svc->functions, name, in_name.n ? in_name : qualifier, &fn, &err);
    if (rc) {
        call_error(c, rc, &err);
        return NULL;
    }
    struct editing *e = calloc(1, sizeof *e);
    if (!e)
        fatal("out of memory");
    e->c = c;
    e->fn = fn;
    return e;
}

/* --- reading ----------------------------------------------------------------------------------- */

static void show_next(struct editing *e);

static void shown(void *ctx, int rc, struct str bytes)
{
    struct editing *e = ctx;
    const struct fn_file *f = &e->fn->files[e->at++];
    if (rc) {
        edit_end(e, rc, NULL);
        return;
    }
    json_t *text = json_stringn(bytes.n ? bytes.p : "", bytes.n); /* NULL: no UTF-8 */
    e->shown_bytes += bytes.n;
    json_array_append_new(json_object_get(e->shown, "files"),
                          json_pack("{s:o, s:I, s:o}", "path", json_text(f->path), "size",
                                    (json_int_t)f->size, "text", text ? text : json_null()));
    show_next(e);
}

static void show_next(struct editing *e)
{
    json_t *rows = json_object_get(e->shown, "files");
    for (; e->at < e->fn->file_count && e->at < FILES_MAX; e->at++) {
        const struct fn_file *f = &e->fn->files[e->at];
        if (f->size <= TEXT_MAX && e->shown_bytes + f->size <= SHOWN_MAX) {
            function_file(e->c->svc->functions, e->fn, f->path, shown, e);
            return;
        }
        json_array_append_new(rows, json_pack("{s:o, s:I, s:n}", "path", json_text(f->path), "size",
                                              (json_int_t)f->size, "text"));
    }
    json_object_set_new(e->shown, "more", json_boolean(e->at < e->fn->file_count));
    edit_end(e, 0, NULL);
}

void perilune_code_get(struct call *c)
{
    struct str qualifier = call_query(c, "qualifier");
    struct editing *e = edit_begin(c, qualifier.p ? qualifier : STR(""));
    if (!e)
        return;
    e->shown = json_pack("{s:o, s:o, s:o, s:o, s:[]}", "sha256", json_text(e->fn->code_sha256),
                         "version", json_text(e->fn->version), "handler", json_text(e->fn->handler),
                         "revision_id", json_text(e->fn->revision_id), "files");
    show_next(e);
}

/* --- compiling --------------------------------------------------------------------------------- */

/* The event for lua/manifest.lua's check: the files that are Lua. */
static int check_event(json_t *files, struct buf *out, struct err *err)
{
    const char *path;
    json_t *text, *lua = json_object();
    int rc = 0;
    json_object_foreach(files, path, text)
    {
        if (json_is_string(text) && str_ends(str_c(path), STR(".lua")))
            json_object_set(lua, path, text);
        else if (!json_is_string(text) && !json_is_null(text))
            rc = err_set(err, E_BAD_JSON, "'files' holds a file that is no text");
    }
    json_t *event = json_pack("{s:o}", "files", lua);
    json_write(out, event);
    json_decref(event);
    return rc;
}

static void checked(void *ctx, int rc, json_t *result, const struct err *err)
{
    struct call *c = ctx;
    if (rc)
        call_error(c, rc, err);
    else
        call_json(c, 200, json_incref(result));
}

void perilune_check(struct call *c)
{
    struct err err = {0};
    struct buf event = BUF_INIT;
    json_t *files = NULL;
    int rc = json_member_object(c->json, "files", &files, &err);
    if (rc == 0)
        rc = files ? check_event(files, &event, &err)
                   : err_set(&err, E_INVALID, "'files' is missing");
    if (rc)
        call_error(c, rc, &err);
    else
        evaluate(c->svc->pool, NULL, 0, "check", buf_str(&event), checked, c);
    buf_deinit(&event);
}

/* --- writing ----------------------------------------------------------------------------------- */

static void make_zip(struct work *w)
{
    struct editing *e = w->data;
    e->rc = zipfile_write(e->entries, e->count, &e->zip);
}

static void zipped(struct work *w)
{
    struct editing *e = w->data;
    struct call *c = e->c;
    struct err err = {0};
    int rc = e->rc;
    struct str zip = rc ? STR("") : arena_dup(c->arena, buf_str(&e->zip));
    struct str name = arena_dup(c->arena, e->fn->name);
    bool publish = e->publish;
    struct str revision_id = e->revision_id;
    if (rc == 0 && (!zip.p || !name.p))
        rc = err_set(&err, E_LIMIT, "The package is too large to be edited; upload it as a zip.");
    edit_end(e, rc, &err);
    if (rc == 0)
        lambda_update_code(c, name, zip, publish, revision_id);
}

/* All that stay have been read: puts in what is given. */
static void put_in(struct editing *e)
{
    const char *path;
    json_t *text;
    for (size_t i = 0; i < e->kept; i++)
        e->entries[i].bytes.p = e->bytes.p + (size_t)(uintptr_t)e->entries[i].bytes.p;
    e->count = e->kept;
    json_object_foreach(e->changes, path, text)
    {
        if (json_is_string(text))
            e->entries[e->count++] = (struct zipfile_entry){str_c(path), json_bytes(text)};
    }
    if (e->count == 0) {
        struct err err = {0};
        edit_end(e, err_set(&err, E_INVALID, "A function needs at least one file."), &err);
        return;
    }
    e->work.data = e;
    work_start(e->c->svc->loop, &e->work, make_zip, zipped);
}

static void keep_next(struct editing *e);

static void kept(void *ctx, int rc, struct str bytes)
{
    struct editing *e = ctx;
    struct err err = {0};
    const struct fn_file *f = &e->fn->files[e->at++];
    if (rc == 0) {
        e->entries[e->kept++] =
            (struct zipfile_entry){f->path, str_of((const char *)(uintptr_t)e->bytes.n, bytes.n)};
        buf_add(&e->bytes, bytes);
        rc = e->bytes.rc;
    }
    if (rc)
        edit_end(e, err_set(&err, rc, "The package is too large to be edited; upload it as a zip."),
                 &err);
    else
        keep_next(e);
}

/* Paths of a package have no NUL at their end; jansson wants one. */
static bool is_changed(const struct editing *e, struct str path)
{
    char name[PATH_MAX_LEN + 1];
    if (path.n > PATH_MAX_LEN || memchr(path.p, 0, path.n))
        return false;
    snprintf(name, sizeof name, "%.*s", STR_FMT(path));
    return json_object_get(e->changes, name) != NULL;
}

static void keep_next(struct editing *e)
{
    while (e->at < e->fn->file_count && is_changed(e, e->fn->files[e->at].path))
        e->at++;
    if (e->at < e->fn->file_count)
        function_file(e->c->svc->functions, e->fn, e->fn->files[e->at].path, kept, e);
    else
        put_in(e);
}

static void write_checked(void *ctx, int rc, json_t *result, const struct err *given)
{
    struct editing *e = ctx;
    struct err err = given ? *given : (struct err){0};
    const json_t *first = json_array_get(json_object_get(result, "errors"), 0);
    if (rc == 0 && first)
        rc = err_set(&err, E_INVALID, "%s:%lld: %s",
                     json_string_value(json_object_get(first, "file")),
                     (long long)json_integer_value(json_object_get(first, "line")),
                     json_string_value(json_object_get(first, "message")));
    if (rc)
        edit_end(e, rc, &err);
    else
        keep_next(e);
}

static int read_changes(struct editing *e, struct buf *event, struct err *err)
{
    const char *path;
    json_t *text;
    uint64_t size = 0;
    int rc;
    if ((rc = json_member_object(e->c->json, "files", &e->changes, err)) ||
        (rc = json_member_bool(e->c->json, "publish", &e->publish, err)) ||
        (rc = json_member_str(e->c->json, "revision_id", &e->revision_id, err)))
        return rc;
    if (!e->changes || json_object_size(e->changes) > FILES_MAX)
        return err_set(err, E_INVALID, "'files' names 1 to %d files", FILES_MAX);
    json_object_foreach(e->changes, path, text)
    {
        if (!*path || strlen(path) > PATH_MAX_LEN)
            return err_set(err, E_INVALID, "A file's path has 1 to %d bytes", PATH_MAX_LEN);
    }
    for (size_t i = 0; i < e->fn->file_count; i++)
        size += e->fn->files[i].size;
    if (e->fn->file_count > FILES_MAX || size > EDITED_MAX)
        return err_set(err, E_LIMIT, "The package is too large to be edited; upload it as a zip.");
    return check_event(e->changes, event, err);
}

void perilune_code_put(struct call *c)
{
    struct err err = {0};
    struct buf event = BUF_INIT;
    struct editing *e = edit_begin(c, STR(""));
    if (!e)
        return;
    int rc = read_changes(e, &event, &err);
    if (rc == 0) {
        buf_init(&e->bytes, EDITED_MAX);
        e->entries =
            calloc(e->fn->file_count + json_object_size(e->changes) + 1, sizeof *e->entries);
        rc = e->entries ? 0 : E_LIMIT;
    }
    if (rc)
        edit_end(e, rc, &err);
    else
        evaluate(c->svc->pool, NULL, 0, "check", buf_str(&event), write_checked, e);
    buf_deinit(&event);
}
