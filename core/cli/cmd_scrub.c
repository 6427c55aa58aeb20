/* cmd_scrub: is every byte still what was stored? Exits 1 when one is not.
 *
 * A running server looks itself (api/upkeep.h) and sends a line of JSON for each finding; without one
 * the folder is looked at here, by the same code (svc/scrub.h). */
#include <jansson.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/folder.h"
#include "cli/out.h"
#include "store/blob.h"
#include "svc/scrub.h"

struct report {
    struct cli *cli;
    json_t *findings;
    json_t *counts; /* the last line; NULL while there is none */
    struct buf line;
    bool any;
};

static bool found(void *ctx, const char *kind, struct str name, const char *why)
{
    struct report *r = ctx;
    json_array_append_new(r->findings, json_pack("{s:s, s:o, s:s}", "kind", kind, "name",
                                                 json_text(name), "why", why));
    if (!cli_has(r->cli, "--json")) {
        printf("damaged  %-8s ", kind);
        out_text(name);
        printf(": %s\n", why);
        fflush(stdout);
    }
    return true;
}

static void progress(struct report *r, long long objects, uint64_t bytes)
{
    (void)r;
    if (isatty(2))
        fprintf(stderr, "\r%lld objects, %s … ", objects, out_size(bytes));
}

/* --- by the server ----------------------------------------------------------------------------- */

static void take_line(struct report *r, struct str line)
{
    json_t *o = json_loadb(line.p, line.n, 0, NULL);
    if (json_is_true(json_object_get(o, "done")))
        r->counts = json_incref(o);
    else if (json_is_false(json_object_get(o, "done")))
        progress(r, out_int(o, "objects"), (uint64_t)out_int(o, "bytes"));
    else if (o)
        found(r, out_str(o, "damaged"), json_bytes(json_object_get(o, "name")), out_str(o, "why"));
    json_decref(o);
}

static bool take(void *ctx, struct str bytes)
{
    struct report *r = ctx;
    ptrdiff_t end;
    r->any = true;
    buf_add(&r->line, bytes);
    while ((end = str_index(buf_str(&r->line), '\n', 0)) >= 0) {
        take_line(r, str_of(r->line.p, (size_t)end));
        buf_drop(&r->line, (size_t)end + 1);
    }
    return r->line.rc == 0;
}

static int by_server(struct cli *cli, struct report *r, bool needed)
{
    const struct client_req req = {.service = "perilune",
                                   .method = "POST",
                                   .path = STR("/perilune/v1/scrub"),
                                   .sink = take,
                                   .sink_ctx = r};
    int rc = client_stream(cli, &req, "scrub", needed, &r->any);
    return rc == CLI_OK && !r->counts
               ? cli_fail(CLI_FAILED, "the server did not come to the end of it")
               : rc;
}

/* --- by ourselves ------------------------------------------------------------------------------ */

static bool going(void *ctx, const struct scrub_result *so_far)
{
    static uint64_t last;
    if (so_far->bytes - last > 64 << 20)
        progress(ctx, (long long)so_far->objects, last = so_far->bytes);
    return true;
}

static void swept(void *ctx, size_t removed)
{
    *(size_t *)ctx = removed;
}

static int by_ourselves(struct cli *cli, struct report *r)
{
    struct folder f;
    struct store_copy *copy;
    struct scrub_result n;
    struct err err = {0};
    size_t orphans = 0;
    int rc = folder_open(cli, &f);
    if (rc)
        return rc;
    blob_sweep(f.store, swept, &orphans);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    rc = store_copy_begin(f.store, &copy, &err);
    if (rc == 0) {
        struct scrub_opts o = {.copy = copy, .tell = found, .going = going, .ctx = r};
        if ((rc = store_copy_make(copy, &err)) == 0)
            rc = scrub_run(&o, &n);
        store_copy_end(copy);
    }
    folder_close(&f);
    if (rc)
        return cli_fail(CLI_FAILED, "%s", err_text(&err, rc));
    r->counts = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "orphans", (json_int_t)orphans,
                          "objects", (json_int_t)n.objects, "parts", (json_int_t)n.parts,
                          "packages", (json_int_t)n.packages, "blobs", (json_int_t)n.blobs, "bytes",
                          (json_int_t)n.bytes, "damaged", (json_int_t)n.damaged);
    return CLI_OK;
}

static void print(struct cli *cli, struct report *r)
{
    if (isatty(2))
        fprintf(stderr, "\r");
    json_object_del(r->counts, "done");
    if (cli_has(cli, "--json")) {
        json_object_set(r->counts, "findings", r->findings);
        out_json(json_incref(r->counts));
        return;
    }
    printf("%lld objects, %lld parts, %lld packages, %lld files, %s read: %lld damaged; "
           "%lld files that nothing names removed\n",
           out_int(r->counts, "objects"), out_int(r->counts, "parts"),
           out_int(r->counts, "packages"), out_int(r->counts, "blobs"),
           out_size((uint64_t)out_int(r->counts, "bytes")), out_int(r->counts, "damaged"),
           out_int(r->counts, "orphans"));
}

static int run_scrub(struct cli *cli)
{
    struct report r = {.cli = cli, .findings = json_array()};
    bool needed = cli_value(cli, "--endpoint") != NULL;
    int rc;
    if (!needed && folder_is_meant(cli))
        rc = by_ourselves(cli, &r);
    else if ((rc = by_server(cli, &r, needed)) == CLI_UNREACHABLE && !needed && !r.any)
        rc = by_ourselves(cli, &r);
    if (rc == CLI_OK) {
        print(cli, &r);
        rc = out_int(r.counts, "damaged") ? CLI_FAILED : CLI_OK;
    }
    json_decref(r.findings);
    json_decref(r.counts);
    buf_deinit(&r.line);
    return rc;
}

const struct cli_command cmd_scrub = {
    .name = "scrub",
    .args = "",
    .help = "read everything that is stored and compare it with its checksums",
    .more =
        "Objects, parts of open uploads and code are compared with the hashes they were stored\n"
        "with; files that nothing names are removed. Exits 1 when something is damaged. When no\n"
        "server answers, or --data names a folder that none has open, the folder is read "
        "directly.\n",
    .kind = CLI_CLIENT,
    .run = run_scrub,
};
