/* deliver: packing, sending, telling. */
#include "cli/deliver.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/codec.h"
#include "cli/bundle.h"
#include "cli/out.h"

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", s.p[i]))
            return false;
    return s.n > 0 && s.n <= 64;
}

/* One file: zipped under its own name, so that error messages name the file the user knows. */
static int bundle_one(const char *path, const char *name, json_t *body, struct buf *zip)
{
    const char *slash = strrchr(path, '/');
    struct str stem = str_c(slash ? slash + 1 : path);
    char entry[80], handler[80], function[65];
    stem.n -= strlen(".lua");
    if (!name && !is_name(stem))
        return cli_fail(CLI_USAGE,
                        "'%.*s' cannot name a function (A-Z, a-z, 0-9, '-' and '_'): "
                        "give one with --name",
                        STR_FMT(stem));
    struct str module = is_name(stem) ? stem : str_c(name);
    struct str called = name ? str_c(name) : stem;
    if (!is_name(called))
        return cli_fail(CLI_USAGE, "'%s' cannot name a function: use A-Z, a-z, 0-9, '-' and '_'",
                        name);
    snprintf(function, sizeof function, "%.*s", STR_FMT(called));
    snprintf(entry, sizeof entry, "%.*s.lua", STR_FMT(module));
    snprintf(handler, sizeof handler, "%.*s.main", STR_FMT(module));
    json_object_set_new(body, "manifest",
                        json_pack("{s:s, s:s}", "name", function, "handler", handler));
    return bundle_file(path, entry, zip);
}

static int bundle_project(const char *path, const char *name, json_t *body, struct buf *zip)
{
    char manifest[4096];
    struct stat st;
    snprintf(manifest, sizeof manifest, "%s/function.lua", path);
    if (stat(manifest, &st) != 0)
        return cli_fail(CLI_USAGE,
                        "%s holds no function.lua, which says what the function is; a "
                        "single file needs none: perilune deploy %s/handler.lua",
                        path, path);
    if (name)
        json_object_set_new(body, "name", json_string(name));
    return bundle_folder(path, zip);
}

void deliver_print(const json_t *r, bool dry_run)
{
    size_t i;
    json_t *text;
    if (dry_run)
        printf("%s: nothing is changed; this would be\n", out_str(r, "name"));
    else
        printf("deployed %s (version %s) in %lld ms\n", out_str(r, "name"), out_str(r, "version"),
               out_int(r, "ms"));
    out_things("created", json_object_get(r, "created"));
    out_things("updated", json_object_get(r, "updated"));
    out_things("removed", json_object_get(r, "removed"));
    out_things("granted", json_object_get(r, "granted"));
    out_things("revoked", json_object_get(r, "revoked"));
    if (*out_str(r, "url"))
        printf("  url       %s\n", out_str(r, "url"));
    json_array_foreach(json_object_get(r, "warnings"), i, text)
        fprintf(stderr, "perilune: warning: %s\n", json_string_value(text));
}

int deliver_pack(const char *path, const char *name, json_t *body, struct buf *zip)
{
    struct stat st;
    *zip = BUF_INIT;
    if (stat(path, &st) != 0)
        return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s", path,
                        strerror(errno));
    if (S_ISDIR(st.st_mode))
        return bundle_project(path, name, body, zip);
    if (str_ends(str_c(path), STR(".lua")))
        return bundle_one(path, name, body, zip);
    return cli_fail(CLI_USAGE, "%s is neither a folder nor a .lua file", path);
}

int deliver_send(struct client *c, json_t *body, const struct buf *zip, bool dry_run,
                 json_t **report)
{
    struct buf encoded = BUF_INIT;
    uint64_t start = clock_mono_ns();
    base64_encode(&encoded, buf_str(zip));
    json_object_set_new(body, "zip", json_stringn_nocheck(encoded.p, encoded.n));
    json_object_set_new(body, "dry_run", json_boolean(dry_run));
    buf_deinit(&encoded);
    int rc = client_json(c, "perilune", "POST", "/perilune/v1/deployments", body, "deploy", report);
    if (rc == CLI_OK)
        json_object_set_new(*report, "ms",
                            json_integer((json_int_t)((clock_mono_ns() - start) / 1000000)));
    return rc;
}
