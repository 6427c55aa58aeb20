/* cmd_test: the project's specs, run in the runtime that its function will have.
 *
 * Each file of specs gets a jailed runner of its own, with the project's files and lua/spec/, which
 * is busted's grammar and host calls played in memory. The runner is asked to load the file, then to
 * run its tests one by one: so each test has a time limit, and one that kills its runner is reported
 * and costs nobody else anything: the rest go on in a new one. */
#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/tree.h"
#include "cli/workshop.h"

enum { LIMIT_MS = 10000, MEMORY_MB = 512 };

enum status { SUCCESS, FAILURE, ERROR, PENDING, STATUSES };
static const char *const status_names[] = {"success", "failure", "error", "pending"};

struct testing {
    struct workshop *workshop;
    struct project project;
    const char *filter;
    char name[65]; /* of the function, without function.lua */
    uint32_t limit_ms;
    bool json, verbose;
    json_t *results; /* of all tests, in order */
    int counts[STATUSES];
};

static bool is_spec(struct str path)
{
    return (str_ends(path, STR("_spec.lua")) || str_ends(path, STR("_test.lua"))) &&
           !str_starts(path, STR("lua_modules/"));
}

static enum status status_of(const json_t *result)
{
    for (int s = 0; s < STATUSES; s++)
        if (strcmp(out_str(result, "status"), status_names[s]) == 0)
            return (enum status)s;
    return ERROR;
}

/* --- printing ----------------------------------------------------------------------------------
 */

static const enum out_colour colours[] = {OUT_GREEN, OUT_RED, OUT_MAGENTA, OUT_YELLOW};

static void print_dot(const struct testing *t, const json_t *r)
{
    static const char *const dots[] = {"●", "◼", "✱", "◌"};
    enum status s = status_of(r);
    out_colour(colours[s]);
    fputs(dots[s], stdout);
    out_colour(OUT_PLAIN);
    if (t->verbose) {
        putchar(' ');
        out_text(str_c(out_str(r, "name")));
        out_colour(OUT_DIM);
        printf(" (%.1f ms)\n", json_number_value(json_object_get(r, "ms")));
        out_colour(OUT_PLAIN);
    }
    fflush(stdout);
}

static void print_logs(const json_t *r)
{
    size_t i;
    json_t *line;
    out_colour(OUT_DIM);
    json_array_foreach(json_object_get(r, "logs"), i, line)
    {
        fputs("  log ", stdout);
        out_text(json_bytes(line));
        putchar('\n');
    }
    out_colour(OUT_PLAIN);
}

static void print_detail(const json_t *r)
{
    static const char *const titles[] = {"Success", "Failure", "Error", "Pending"};
    enum status s = status_of(r);
    const char *where = out_str(r, "where"), *at = out_str(r, "failed_at");
    const char *colon = strrchr(where, ':'), *what = out_str(r, "what");
    struct str message = json_bytes(json_object_get(r, "message"));
    size_t i;
    json_t *line;
    putchar('\n');
    out_colour(colours[s]);
    printf("%s", titles[s]);
    out_colour(OUT_PLAIN);
    printf(" → ");
    out_colour(OUT_CYAN);
    out_text(colon ? str_of(where, (size_t)(colon - where)) : str_c(where));
    out_colour(OUT_PLAIN);
    if (colon)
        printf(" @ %s", colon + 1);
    putchar('\n');
    out_colour(OUT_BOLD);
    out_text(str_c(out_str(r, "name")));
    out_colour(OUT_PLAIN);
    printf("%s%s%s\n", *what ? " (in " : "", what, *what ? ")" : "");
    if (message.n) {
        if (*at && !str_starts(message, str_c(at)))
            printf("%s: ", at);
        out_text(message);
        putchar('\n');
    }
    json_array_foreach(json_object_get(r, "trace"), i, line)
    {
        fputs(i ? "\t" : "stack traceback:\n\t", stdout);
        out_text(json_bytes(line));
        putchar('\n');
    }
    print_logs(r);
}

static void print_summary(const struct testing *t, double seconds)
{
    size_t i;
    json_t *r;
    const int *n = t->counts;
    if (!t->verbose)
        putchar('\n');
    out_colour(OUT_GREEN);
    printf("%d", n[SUCCESS]);
    out_colour(OUT_PLAIN);
    printf(" success%s / ", n[SUCCESS] == 1 ? "" : "es");
    out_colour(OUT_RED);
    printf("%d", n[FAILURE]);
    out_colour(OUT_PLAIN);
    printf(" failure%s / ", n[FAILURE] == 1 ? "" : "s");
    out_colour(OUT_MAGENTA);
    printf("%d", n[ERROR]);
    out_colour(OUT_PLAIN);
    printf(" error%s / ", n[ERROR] == 1 ? "" : "s");
    out_colour(OUT_YELLOW);
    printf("%d", n[PENDING]);
    out_colour(OUT_PLAIN);
    printf(" pending : %.3f seconds\n", seconds);
    json_array_foreach(t->results, i, r) if (status_of(r) != SUCCESS) print_detail(r);
}

/* --- running -----------------------------------------------------------------------------------
 */

static void note(struct testing *t, const char *file, json_t *result)
{
    json_object_set_new(result, "file", json_string(file));
    json_object_del(result, "id");
    t->counts[status_of(result)]++;
    json_array_append_new(t->results, result);
    if (!t->json)
        print_dot(t, result);
}

/* What a runner's end means for the test that it ran. */
static json_t *result_of_end(const char *file, const json_t *test, const struct err *err)
{
    const char *text = err->text, *cut = strstr(text, " Error: ");
    if (strncmp(text, "RequestId: ", 11) == 0 && cut)
        text = cut + 8;
    const char *where = out_str(test, "where");
    return json_pack("{s:s, s:s, s:s, s:s}", "name",
                     *out_str(test, "name") ? out_str(test, "name") : file, "where",
                     *where ? where : file, "status", "error", "message", text);
}

static json_t *result_of_problem(const char *file, const json_t *problem, const char *what)
{
    json_t *r = json_copy((json_t *)(uintptr_t)problem);
    const char *at = out_str(problem, "where");
    json_object_set_new(r, "name", json_string(file));
    json_object_set_new(r, "failed_at", json_string(at));
    json_object_set_new(r, "where", json_string(*at ? at : file));
    json_object_set_new(r, "what", json_string(what));
    return r;
}

static struct fn *open_file(struct testing *t, const char *file, json_t **tests)
{
    struct err err = {0};
    struct sealed s = {t->project.files, t->project.count, "spec", "spec.main",
                       t->limit_ms,      MEMORY_MB,        true};
    json_t *loaded = NULL;
    struct fn *fn = sealed_fn(&s);
    if (!fn) {
        note(t, file,
             json_pack("{s:s, s:s, s:s, s:s}", "name", file, "where", file, "status", "error",
                       "message", "the project's files are too large for a runner"));
        return NULL;
    }
    json_t *event = json_pack("{s:s, s:s, s:s, s:b}", "op", "load", "file", file, "name", t->name,
                              "manifest", project_file(&t->project, "function.lua").p != NULL);
    if (t->filter)
        json_object_set_new(event, "filter", json_string(t->filter));
    if (workshop_call(t->workshop, fn, event, &loaded, &err) != 0) {
        note(t, file, result_of_end(file, NULL, &err));
        fn_unref(fn);
        return NULL;
    }
    json_t *problem = json_object_get(loaded, "problem");
    if (json_is_object(problem) && !*tests)
        note(t, file, result_of_problem(file, problem, "loading"));
    if (!*tests)
        *tests = json_incref(json_object_get(loaded, "tests"));
    json_decref(loaded);
    return fn;
}

static void run_file(struct testing *t, const char *file)
{
    json_t *tests = NULL, *test;
    size_t i;
    struct fn *fn = open_file(t, file, &tests);
    json_array_foreach(tests, i, test)
    {
        struct err err = {0};
        json_t *result = NULL,
               *event = json_pack("{s:s, s:O}", "op", "run", "id", json_object_get(test, "id"));
        if (!fn && !(fn = open_file(t, file, &tests))) {
            json_decref(event);
            break;
        }
        uint64_t start = clock_mono_ns();
        if (workshop_call(t->workshop, fn, event, &result, &err) == 0) {
            json_object_set_new(result, "ms", json_real((double)(clock_mono_ns() - start) / 1e6));
            json_t *behind = json_object_get(result, "behind"); /* of the block before it */
            if (json_is_object(behind))
                note(t, file, result_of_problem(file, behind, "teardown"));
            json_object_del(result, "behind");
            note(t, file, result);
        } else {
            note(t, file, result_of_end(file, test, &err));
            fn_unref(fn); /* what comes next gets a new runner */
            fn = NULL;
        }
    }
    if (fn) {
        struct err err = {0};
        json_t *end = NULL, *problem;
        if (workshop_call(t->workshop, fn, json_pack("{s:s}", "op", "finish"), &end, &err) == 0 &&
            json_is_object(problem = json_object_get(end, "problem")))
            note(t, file, result_of_problem(file, problem, "teardown"));
        json_decref(end);
        fn_unref(fn);
    }
    json_decref(tests);
}

/* --- the command -------------------------------------------------------------------------------
 */

/* A file of specs belongs to the folder above it that has a function.lua; else to the one that holds
 * spec/, or its own. `only` is its path from there. */
static int find_root(const char *path, char *root, size_t size, const char **only)
{
    struct stat st;
    *only = NULL;
    if (stat(path, &st) != 0)
        return cli_fail(CLI_NOT_FOUND, "%s: %s", path, strerror(errno));
    char *real = realpath(path, NULL);
    if (!real)
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    snprintf(root, size, "%s", real);
    if (S_ISDIR(st.st_mode)) {
        free(real);
        return CLI_OK;
    }
    char *slash = strrchr(root, '/'), probe[4200];
    for (char *p = slash; p && p > root; p = strrchr(root, '/')) {
        *p = 0;
        snprintf(probe, sizeof probe, "%s/function.lua", root);
        if (stat(probe, &st) == 0)
            break;
    }
    if (stat(probe, &st) != 0) {
        snprintf(root, size, "%s", real);
        *strrchr(root, '/') = 0;
        if (str_ends(str_c(root), STR("/spec")))
            *strrchr(root, '/') = 0;
    }
    static char inside[4200];
    snprintf(inside, sizeof inside, "%s", real + strlen(root) + 1);
    *only = inside;
    free(real);
    return CLI_OK;
}

static int run_all(struct testing *t, const char *only)
{
    int files = 0;
    for (size_t i = 0; i < t->project.count; i++) {
        struct str path = t->project.files[i].path;
        char file[1100];
        if (only ? !str_is(path, only) : !is_spec(path))
            continue;
        snprintf(file, sizeof file, "%.*s", STR_FMT(path));
        run_file(t, file);
        files++;
    }
    return files;
}

static int run_test(struct cli *cli)
{
    struct testing t = {.filter = cli_value(cli, "--filter"), .limit_ms = LIMIT_MS};
    const char *path = cli_arg(cli, 0) ? cli_arg(cli, 0) : ".", *only;
    const char *limit = cli_value(cli, "--limit");
    char root[4096];
    int64_t ms = LIMIT_MS;
    if (limit && (!cli_duration(limit, &ms) || ms < 10 || ms > 900000))
        return cli_fail(CLI_USAGE, "--limit '%s' should be like 10 or 500ms, 900 at most", limit);
    t.limit_ms = (uint32_t)ms;
    t.json = cli_has(cli, "--json");
    t.verbose = cli_has(cli, "--verbose");
    int rc = find_root(path, root, sizeof root, &only);
    if (rc == CLI_OK)
        rc = project_read(root, &t.project);
    if (rc)
        return rc;
    snprintf(t.name, sizeof t.name, "%.64s", strrchr(root, '/') ? strrchr(root, '/') + 1 : root);
    t.workshop = workshop_open();
    if (!t.workshop) {
        project_free(&t.project);
        return CLI_FAILED;
    }
    t.results = json_array();
    uint64_t start = clock_mono_ns();
    int files = run_all(&t, only);
    double seconds = (double)(clock_mono_ns() - start) / 1e9;
    workshop_close(t.workshop);
    project_free(&t.project);
    bool failed = t.counts[FAILURE] || t.counts[ERROR];
    if (files == 0)
        rc = cli_fail(CLI_FAILED, "%s holds no specs: files spec/*_spec.lua or *_test.lua", path);
    else if (t.json)
        out_json(json_pack("{s:i, s:i, s:i, s:i, s:f, s:O}", "successes", t.counts[SUCCESS],
                           "failures", t.counts[FAILURE], "errors", t.counts[ERROR], "pending",
                           t.counts[PENDING], "seconds", seconds, "tests", t.results));
    else
        print_summary(&t, seconds);
    json_decref(t.results);
    return rc ? rc : failed ? CLI_FAILED : CLI_OK;
}

static const struct cli_flag flags[] = {
    {"--filter", 0, "PATTERN", "only tests whose full name matches this Lua pattern", false},
    {"--limit", 0, "SECONDS", "time that one test may take (10)", false},
    {"--verbose", 'v', NULL, "a line for each test", false},
    {"--json", 0, NULL, "print one JSON document", false},
    {0},
};

const struct cli_command cmd_test = {
    .name = "test",
    .args = "[PATH]",
    .help = "run a project's specs in the real runtime, without a server",
    .more =
        "Files spec/*_spec.lua and *_test.lua, in busted's grammar: describe, it, before_each,\n"
        "assert.are.same, spy, stub. Host calls (kv, s3, http, …) are played in memory; the\n"
        "module test makes events: test.event(\"s3:put\", { bucket = …, key = … }).\n\n"
        "Exits 1 when a test fails.",
    .flags = flags,
    .kind = CLI_LOCAL,
    .run = run_test,
};
