/* cmd_check: what can be said of a project without running it on a server.
 *
 * Every Lua file is compiled as a deployment would; function.lua is evaluated and read as the server
 * does; the handler's file is loaded in the real runtime; and lua/lint.lua, in a runner as well,
 * reads what compiles. All findings come as "file:line:column: level: text". */
#include <lauxlib.h> /* before base/str.h, which poisons what it mentions */
#include <lua.h>

#include <errno.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/embed.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/tree.h"
#include "cli/workshop.h"
#include "svc/hostcall.h"
#include "svc/manifest.h"

enum { LINT_MS = 30000, LINT_MB = 256, LOAD_MS = 10000, LOAD_MB = 512 };

struct checking {
    struct project project;
    struct workshop *workshop;
    json_t *findings;
    json_t *compiled;    /* paths of files that compile and are the author's */
    json_t *manifest;    /* as function.lua gives it; NULL */
    const char *handler; /* "handler.main" */
    size_t files;
    bool broken; /* something does not compile, or function.lua is no manifest */
};

static void add(struct checking *c, const char *file, long line, long column, const char *level,
                const char *text)
{
    json_array_append_new(c->findings, json_pack("{s:s, s:i, s:i, s:s, s:o}", "file", file, "line",
                                                 (int)line, "column", (int)column, "level", level,
                                                 "text", json_text(str_c(text))));
}

/* An error of Lua's, "file:line: text"; else it belongs to line 1 of `file`. Its first line says it.
 */
static void add_lua_error(struct checking *c, const char *file, const char *whole)
{
    char message[1024];
    snprintf(message, sizeof message, "%.*s", (int)strcspn(whole, "\n"), whole);
    const char *colon = strchr(message, ':');
    char *end = NULL;
    long line = colon ? strtol(colon + 1, &end, 10) : 0;
    char name[1100];
    if (line > 0 && end && strncmp(end, ": ", 2) == 0) {
        snprintf(name, sizeof name, "%.*s", (int)(colon - message), message);
        add(c, name, line, 1, "error", end + 2);
    } else {
        add(c, file, 1, 1, "error", message);
    }
    c->broken = true;
}

/* --- compiling ---------------------------------------------------------------------------------
 */

static void compile_all(struct checking *c)
{
    lua_State *L = luaL_newstate();
    if (!L)
        fatal("out of memory");
    for (size_t i = 0; i < c->project.count; i++) {
        char name[1100];
        struct str path = c->project.files[i].path, text = c->project.files[i].bytes;
        if (!str_ends(path, STR(".lua")))
            continue;
        c->files++;
        snprintf(name, sizeof name, "@%.*s", STR_FMT(path));
        if (str_starts(text, STR("\033")))
            add_lua_error(c, name + 1, "bytecode cannot be deployed, only source text");
        else if (luaL_loadbufferx(L, text.p ? text.p : "", text.n, name, "t") != 0)
            add_lua_error(c, name + 1, lua_tostring(L, -1));
        else if (!str_starts(path, STR("lua_modules/")))
            json_array_append_new(c->compiled, json_text(path));
        lua_settop(L, 0);
    }
    lua_close(L);
}

/* --- function.lua ------------------------------------------------------------------------------
 */

static void read_manifest(struct checking *c)
{
    struct str source = project_file(&c->project, "function.lua");
    struct err err = {0};
    if (!source.p || c->broken)
        return;
    if (workshop_manifest(c->workshop, source, &c->manifest, &err) != 0) {
        add_lua_error(c, "function.lua", err.text);
        return;
    }
    struct arena *a = arena_new(1 << 20);
    struct manifest m;
    if (manifest_parse(c->manifest, "us-east-1", a, &m, &err) != 0)
        add_lua_error(c, "function.lua", err.text);
    arena_free(a);
    const char *handler = json_string_value(json_object_get(c->manifest, "handler"));
    c->handler = handler ? handler : "handler.main";
}

/* --- loading and linting -----------------------------------------------------------------------
 */

static void load_handler(struct checking *c)
{
    struct sealed s = {c->project.files, c->project.count, "check", "check.main",
                       LOAD_MS,          LOAD_MB,          true};
    struct err err = {0};
    json_t *result = NULL;
    if (c->broken || !c->manifest)
        return;
    struct fn *fn = sealed_fn(&s);
    if (!fn) {
        add(c, "function.lua", 1, 1, "warning",
            "the project is too large to load its handler here");
        return;
    }
    json_t *event = json_pack("{s:s, s:b}", "op", "try_handler", "manifest", 1);
    int rc = workshop_call(c->workshop, fn, event, &result, &err);
    json_t *problem = json_object_get(result, "problem");
    bool missing = strstr(out_str(problem, "message"), "' not found:") != NULL; /* lint tells it */
    if (rc)
        add(c, "function.lua", 1, 1, "error", err.text);
    else if (json_is_object(problem) && out_int(result, "calls") == 0 && !missing)
        add_lua_error(c, "function.lua", out_str(problem, "message"));
    json_decref(result);
    fn_unref(fn);
}

static json_t *actions(void)
{
    json_t *calls = json_object();
    const struct hostcall_row *row;
    for (int n = 1; (row = hostcall_row(n)); n++)
        json_object_set_new(calls, row->name, json_string(row->action));
    return calls;
}

static void lint(struct checking *c)
{
    struct zipfile_entry *all = calloc(c->project.count + 1, sizeof *all);
    struct err err = {0};
    json_t *result = NULL, *paths = json_array(), *f;
    size_t i;
    if (!all)
        fatal("out of memory");
    all[0] = (struct zipfile_entry){STR("perilune-lint.lua"), embed_find(STR("lua/lint.lua"))};
    for (i = 0; i < c->project.count; i++) {
        all[i + 1] = c->project.files[i];
        json_array_append_new(paths, json_text(c->project.files[i].path));
    }
    struct sealed s = {all,  c->project.count + 1, "lint", "perilune-lint.run", LINT_MS, LINT_MB,
                       false};
    struct fn *fn = sealed_fn(&s);
    free(all);
    json_t *event = json_pack("{s:o, s:O, s:o, s:s}", "all_files", paths, "files", c->compiled,
                              "calls", actions(), "handler", c->handler);
    if (c->manifest && !c->broken)
        json_object_set(event, "manifest", c->manifest);
    if (!fn) {
        json_decref(event);
        return;
    }
    if (workshop_call(c->workshop, fn, event, &result, &err) != 0)
        add(c, "function.lua", 1, 1, "error", err.text);
    json_array_foreach(json_object_get(result, "findings"), i, f) json_array_append(c->findings, f);
    json_decref(result);
    fn_unref(fn);
}

/* --- telling -----------------------------------------------------------------------------------
 */

static int in_order(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int by_file = strcmp(out_str(x, "file"), out_str(y, "file"));
    if (by_file)
        return by_file;
    long long by_line = out_int(x, "line") - out_int(y, "line");
    if (by_line == 0)
        by_line = out_int(x, "column") - out_int(y, "column");
    return by_line < 0 ? -1 : by_line > 0;
}

static json_t *sorted(json_t *list)
{
    size_t n = json_array_size(list), i;
    json_t **rows = calloc(n + 1, sizeof *rows), *out = json_array(), *row;
    if (!rows)
        fatal("out of memory");
    json_array_foreach(list, i, row) rows[i] = row;
    qsort(rows, n, sizeof *rows, in_order);
    for (i = 0; i < n; i++)
        json_array_append(out, rows[i]);
    free(rows);
    json_decref(list);
    return out;
}

static void print_finding(const char *prefix, const json_t *f)
{
    bool error = strcmp(out_str(f, "level"), "error") == 0;
    out_text(str_c(prefix));
    out_text(str_c(out_str(f, "file")));
    printf(":%lld:%lld: ", out_int(f, "line"), out_int(f, "column"));
    out_colour(error ? OUT_RED : OUT_YELLOW);
    fputs(out_str(f, "level"), stdout);
    out_colour(OUT_PLAIN);
    fputs(": ", stdout);
    out_text(json_bytes(json_object_get(f, "text")));
    putchar('\n');
}

static int report(struct cli *cli, struct checking *c, const char *path)
{
    size_t i, n = json_array_size(c->findings), errors = 0;
    char prefix[4200] = "";
    struct stat st;
    json_t *f;
    json_array_foreach(c->findings, i, f) errors += strcmp(out_str(f, "level"), "error") == 0;
    if (strcmp(path, ".") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        snprintf(prefix, sizeof prefix, "%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/");
    if (cli_has(cli, "--json")) {
        out_json(json_pack("{s:i, s:i, s:i, s:O}", "files", (int)c->files, "errors", (int)errors,
                           "warnings", (int)(n - errors), "findings", c->findings));
        return n ? CLI_FAILED : CLI_OK;
    }
    json_array_foreach(c->findings, i, f) print_finding(prefix, f);
    fprintf(stderr, "checked %zu file%s: %zu error%s, %zu warning%s\n", c->files,
            c->files == 1 ? "" : "s", errors, errors == 1 ? "" : "s", n - errors,
            n - errors == 1 ? "" : "s");
    return n ? CLI_FAILED : CLI_OK;
}

static int run_check(struct cli *cli)
{
    struct checking c = {.handler = ""};
    const char *path = cli_arg(cli, 0) ? cli_arg(cli, 0) : ".";
    int rc = project_read(path, &c.project);
    if (rc)
        return rc;
    c.findings = json_array();
    c.compiled = json_array();
    compile_all(&c);
    c.workshop = c.files ? workshop_open() : NULL;
    if (c.files == 0)
        rc = cli_fail(CLI_FAILED, "%s holds no Lua file", path);
    else if (!c.workshop)
        rc = CLI_FAILED;
    if (rc == CLI_OK) {
        read_manifest(&c);
        load_handler(&c);
        lint(&c);
        c.findings = sorted(c.findings);
        rc = report(cli, &c, path);
    }
    workshop_close(c.workshop);
    json_decref(c.findings);
    json_decref(c.compiled);
    json_decref(c.manifest);
    project_free(&c.project);
    return rc;
}

static const struct cli_flag flags[] = {
    {"--json", 0, NULL, "print one JSON document", false},
    {0},
};

const struct cli_command cmd_check = {
    .name = "check",
    .args = "[PATH]",
    .help = "compile and lint a project, compare permissions with what the code calls",
    .more =
        "Finds what functions do not have (io.open, os.execute), unknown and accidental globals,\n"
        "unused locals, missing modules and handlers, permissions that nothing needs and calls\n"
        "that no permission allows. A line that ends in '-- luacheck: ignore' is left alone.\n\n"
        "Exits 1 when there is anything to say.",
    .flags = flags,
    .kind = CLI_LOCAL,
    .run = run_check,
};
