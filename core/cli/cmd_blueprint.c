/* cmd_blueprint: the gallery, and a function made from one of its templates.
 *
 * `new` first asks on a terminal for the parameters that were not given, and the server for a preview; shows what would be made and granted, and goes on when
 * told so: by --yes, or by an answer on a terminal. Elsewhere it refuses rather than guess. */
#include <unistd.h>

#include "base/codec.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

static int print_or_json(struct cli *cli, int rc, json_t *doc, void (*print)(const json_t *doc))
{
    if (rc)
        return rc;
    if (cli_has(cli, "--json"))
        return out_json(doc);
    print(doc);
    json_decref(doc);
    return CLI_OK;
}

/* prefix + encoded name, NUL-terminated. */
static void name_path(struct buf *out, const char *prefix, const char *name)
{
    buf_add(out, str_c(prefix));
    uri_encode(out, str_c(name), false);
    buf_addc(out, 0);
}

/* --- list and show -----------------------------------------------------------------------------
 */

static void print_list(const json_t *doc)
{
    static const char *const head[] = {"BLUEPRINT", "WHAT IT MAKES"};
    struct out_table *t = out_table_new(2);
    size_t i;
    json_t *b;
    out_row(t, head);
    json_array_foreach(json_object_get(doc, "blueprints"), i, b)
    {
        const char *row[] = {out_str(b, "name"), out_str(b, "title")};
        out_row(t, row);
    }
    out_table_end(t);
}

static void print_names(const json_t *doc)
{
    out_names(json_object_get(doc, "blueprints"));
}

static int run_list(struct cli *cli)
{
    struct client c;
    json_t *doc = NULL;
    int rc = client_init(&c, cli);
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", "GET", "/perilune/v1/blueprints", NULL, "blueprint list",
                         &doc);
    return print_or_json(cli, rc, doc, cli_has(cli, "--names") ? print_names : print_list);
}

static void print_blueprint(const json_t *doc)
{
    static const char *const head[] = {"PARAMETER", "TYPE", "DEFAULT", "WHAT IT IS"};
    size_t i;
    json_t *p;
    out_field("name", out_str(doc, "name"));
    out_field("title", out_str(doc, "title"));
    out_field("summary", out_str(doc, "summary"));
    putchar('\n');
    struct out_table *t = out_table_new(4);
    out_row(t, head);
    json_array_foreach(json_object_get(doc, "params"), i, p)
    {
        json_t *dflt = json_object_get(p, "default");
        char *text = dflt && !json_is_string(dflt) ? out_dumps(dflt, 0) : NULL;
        const char *type = out_str(p, "type");
        const char *row[] = {out_str(p, "name"), *type ? type : "string",
                             text   ? text
                             : dflt ? json_string_value(dflt)
                                    : "(required)",
                             out_str(p, "prompt")};
        out_row(t, row);
        free(text);
    }
    out_table_end(t);
}

static int run_show(struct cli *cli)
{
    struct client c;
    struct buf path = BUF_INIT;
    json_t *doc = NULL;
    int rc = client_init(&c, cli);
    name_path(&path, "/perilune/v1/blueprints/", cli_arg(cli, 0));
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", "GET", path.p, NULL, cli_arg(cli, 0), &doc);
    buf_deinit(&path);
    return print_or_json(cli, rc, doc, print_blueprint);
}

/* --- new ---------------------------------------------------------------------------------------
 */

static int read_parameters(struct cli *cli, json_t *parameters)
{
    const char *given;
    for (int i = 0; (given = cli_nth(cli, "--set", i)); i++) {
        struct str value = str_c(given), key = str_cut(&value, '=');
        if (!value.p || key.n == 0)
            return cli_fail(CLI_USAGE, "--set '%s' should be like --set bucket=photos", given);
        json_t *text = json_stringn(value.p, value.n);
        if (!text || json_object_setn_new(parameters, key.p, key.n, text) != 0)
            return cli_fail(CLI_USAGE, "--set '%s' is not UTF-8", given);
    }
    return CLI_OK;
}

/* Sends the request; body stays the caller's. */
static int instantiate(struct cli *cli, struct client *c, const json_t *body, bool dry_run,
                       json_t **report)
{
    struct buf path = BUF_INIT;
    json_t *copy = json_deep_copy(body);
    json_object_set_new(copy, "dry_run", json_boolean(dry_run));
    name_path(&path, "/perilune/v1/blueprints/", cli_arg(cli, 0));
    int rc = client_json(c, "perilune", "POST", path.p, copy, cli_arg(cli, 0), report);
    buf_deinit(&path);
    return rc;
}

static void print_preview(const json_t *r)
{
    const json_t *preview = json_object_get(r, "preview");
    printf("%s would be made of:\n", out_str(r, "name"));
    out_things("create", preview ? preview : json_object_get(r, "created"));
    out_things("grant", json_object_get(r, "granted"));
}

static void print_made(const json_t *r)
{
    printf("made %s\n", out_str(r, "name"));
    out_things("created", json_object_get(r, "created"));
    out_things("updated", json_object_get(r, "updated"));
    out_things("granted", json_object_get(r, "granted"));
    if (*out_str(r, "url"))
        printf("  url       %s\n", out_str(r, "url"));
    if (*out_str(r, "try"))
        printf("try it:\n  %s\n", out_str(r, "try"));
}

/* One answer from the terminal, without its newline: NULL at its end. */
static char *ask(char *line, int size)
{
    fflush(stdout);
    if (!fgets(line, size, stdin))
        return NULL;
    line[strcspn(line, "\r\n")] = 0;
    return line;
}

/* Asks for each parameter that was not given; nothing typed takes the default. */
static int ask_parameters(struct cli *cli, struct client *c, json_t *body)
{
    json_t *parameters = json_object_get(body, "parameters"), *doc = NULL, *p;
    struct buf path = BUF_INIT;
    char line[1024], *answer = line;
    size_t i;
    name_path(&path, "/perilune/v1/blueprints/", cli_arg(cli, 0));
    int rc = client_json(c, "perilune", "GET", path.p, NULL, cli_arg(cli, 0), &doc);
    buf_deinit(&path);
    json_array_foreach(json_object_get(doc, "params"), i, p)
    {
        const char *name = out_str(p, "name");
        json_t *dflt = json_object_get(p, "default");
        bool given = json_object_get(parameters, name) ||
                     (strcmp(name, "name") == 0 && json_object_get(body, "name"));
        if (given || !answer)
            continue;
        char *text = dflt ? out_dumps(dflt, JSON_COMPACT) : NULL;
        const char *shown = json_is_string(dflt) ? json_string_value(dflt) : text;
        out_text(str_c(out_str(p, "prompt")));
        fputs(" [", stdout);
        out_text(str_c(shown ? shown : ""));
        fputs("]: ", stdout);
        free(text);
        answer = ask(line, sizeof line);
        if (answer && *answer)
            json_object_set_new(parameters, name, json_string(answer));
    }
    json_decref(doc);
    return rc ? rc : answer ? CLI_OK : cli_fail(CLI_FAILED, "nothing was changed");
}

/* Asks on the terminal; 0 to go on. */
static int confirm(struct cli *cli, struct client *c, json_t *body)
{
    json_t *report = NULL;
    char answer[16] = "";
    if (!isatty(0) || !isatty(1))
        return cli_fail(CLI_USAGE,
                        "this is no terminal to ask on: add --yes, or --dry-run to look");
    int rc = ask_parameters(cli, c, body);
    if (rc == CLI_OK)
        rc = instantiate(cli, c, body, true, &report);
    if (rc)
        return rc;
    print_preview(report);
    json_decref(report);
    printf("Go on? [y/N] ");
    if (!ask(answer, sizeof answer) || (answer[0] != 'y' && answer[0] != 'Y'))
        return cli_fail(CLI_FAILED, "nothing was changed");
    return CLI_OK;
}

static int run_new(struct cli *cli)
{
    struct client c;
    const char *name = cli_value(cli, "--name");
    bool dry_run = cli_has(cli, "--dry-run");
    json_t *body = json_object(), *parameters = json_object(), *report = NULL;
    json_object_set_new(body, "parameters", parameters);
    if (name)
        json_object_set_new(body, "name", json_string(name));
    int rc = client_init(&c, cli);
    if (rc == CLI_OK)
        rc = read_parameters(cli, parameters);
    if (rc == CLI_OK && !dry_run && !cli_has(cli, "--yes"))
        rc = confirm(cli, &c, body);
    if (rc == CLI_OK)
        rc = instantiate(cli, &c, body, dry_run, &report);
    json_decref(body);
    return print_or_json(cli, rc, report, dry_run ? print_preview : print_made);
}

/* --- remove ------------------------------------------------------------------------------------
 */

static void print_removed(const json_t *r)
{
    out_things("removed", json_object_get(r, "removed"));
    out_things("kept", json_object_get(r, "kept"));
}

static int run_remove(struct cli *cli)
{
    struct client c;
    struct buf path = BUF_INIT;
    json_t *report = NULL;
    int rc = client_init(&c, cli);
    name_path(&path, "/perilune/v1/deployments/", cli_arg(cli, 0));
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", "DELETE", path.p, NULL, cli_arg(cli, 0), &report);
    buf_deinit(&path);
    return print_or_json(cli, rc, report, print_removed);
}

static const struct cli_flag new_flags[] = {
    {"--name", 0, "NAME", "call the function this", false},
    {"--set", 0, "KEY=VALUE", "a parameter (may be repeated); the others take their defaults",
     false},
    {"--dry-run", 0, NULL, "show what would be made and granted, change nothing", false},
    {"--yes", 'y', NULL, "do not ask", false},
    {0},
};

static const struct cli_flag list_flags[] = {
    {"--names", 0, NULL, "names only, one a line", false},
    {0},
};

const struct cli_command cmd_blueprint_list = {
    .name = "blueprint list",
    .args = "",
    .help = "the templates to make functions from",
    .flags = list_flags,
    .kind = CLI_CLIENT,
    .run = run_list,
};

const struct cli_command cmd_blueprint_show = {
    .name = "blueprint show",
    .args = "BLUEPRINT",
    .help = "what a template makes, and its parameters",
    .kind = CLI_CLIENT,
    .run = run_show,
};

const struct cli_command cmd_blueprint_new = {
    .name = "blueprint new",
    .args = "BLUEPRINT",
    .help = "make a function from a template",
    .more = "  perilune blueprint new s3-upload --name pictures --set bucket=photos --yes",
    .flags = new_flags,
    .kind = CLI_CLIENT,
    .run = run_new,
};

const struct cli_command cmd_blueprint_remove = {
    .name = "blueprint remove",
    .args = "NAME",
    .help = "remove all that a template made",
    .kind = CLI_CLIENT,
    .run = run_remove,
};
