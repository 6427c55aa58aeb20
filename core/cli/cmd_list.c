/* cmd_list: which functions there are, all about one, and taking one away.
 *
 * What list and get print is read from the Lambda API. rm asks the server to undo the deployment,
 * so that role, notifications and URL go with the function; a function that was not deployed but
 * created through the Lambda API is deleted alone. */
#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

/* The Lambda API's configuration object under our own stable names. */
static json_t *describe(const json_t *c)
{
    static const char *const names[][2] = {
        {"name", "FunctionName"},      {"arn", "FunctionArn"},       {"version", "Version"},
        {"runtime", "Runtime"},        {"handler", "Handler"},       {"role", "Role"},
        {"memory_mb", "MemorySize"},   {"timeout_s", "Timeout"},     {"code_size", "CodeSize"},
        {"code_sha256", "CodeSha256"}, {"modified", "LastModified"}, {"description", "Description"},
    };
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *v = json_object_get(c, names[i][1]);
        json_object_set_new(out, names[i][0], v ? json_incref(v) : json_null());
    }
    return out;
}

static void print_functions(const json_t *list)
{
    static const char *const head[] = {"NAME", "HANDLER", "MEMORY", "TIMEOUT", "CODE", "MODIFIED"};
    struct out_table *t = out_table_new(6);
    size_t i;
    json_t *f;
    out_row(t, head);
    json_array_foreach(list, i, f)
    {
        char memory[32], timeout[32];
        snprintf(memory, sizeof memory, "%lld MB", out_int(f, "memory_mb"));
        snprintf(timeout, sizeof timeout, "%lld s", out_int(f, "timeout_s"));
        const char *row[] = {out_str(f, "name"),
                             out_str(f, "handler"),
                             memory,
                             timeout,
                             out_size((uint64_t)out_int(f, "code_size")),
                             out_str(f, "modified")};
        out_row(t, row);
    }
    out_table_end(t);
}

static int run_list(struct cli *cli)
{
    struct client c;
    struct buf path = BUF_INIT;
    json_t *all = json_array(), *page = NULL, *f;
    int rc = client_init(&c, cli);
    for (bool more = true; rc == CLI_OK && more;) {
        const char *marker = page ? out_str(page, "NextMarker") : "";
        size_t i;
        buf_clear(&path);
        buf_lit(&path, "/2015-03-31/functions?");
        if (*marker) {
            buf_lit(&path, "Marker=");
            uri_encode(&path, str_c(marker), false);
            buf_addc(&path, '&');
        }
        buf_lit(&path, "MaxItems=50");
        buf_addc(&path, 0);
        json_decref(page);
        page = NULL;
        rc = client_json(&c, "lambda", "GET", path.p, NULL, "list", &page);
        json_array_foreach(json_object_get(page, "Functions"), i, f)
            json_array_append_new(all, describe(f));
        more = *out_str(page, "NextMarker") != 0;
    }
    json_decref(page);
    buf_deinit(&path);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(json_pack("{s:o}", "functions", all));
    if (rc == CLI_OK && cli_has(cli, "--names"))
        out_names(all);
    else if (rc == CLI_OK && json_array_size(all))
        print_functions(all);
    else if (rc == CLI_OK)
        fputs("no functions yet: perilune deploy FILE.lua, or perilune blueprint list\n", stderr);
    json_decref(all);
    return rc;
}

/* "/2015-03-31/functions/NAME" + rest, NUL-terminated. */
static void function_path(struct buf *out, const char *version, const char *name, const char *rest)
{
    buf_clear(out);
    buf_printf(out, "/%s/functions/", version);
    uri_encode(out, str_c(name), false);
    buf_add(out, str_c(rest));
    buf_addc(out, 0);
}

/* Sends a GET whose 404 means "has none": *out stays NULL then. */
static int get_optional(struct client *c, const char *path, json_t **out)
{
    struct client_req req = {.service = "lambda", .method = "GET", .path = str_c(path)};
    struct client_res res;
    int rc = client_send(c, &req, &res);
    if (rc)
        return rc;
    if (res.status == 200)
        *out = json_parse(buf_str(&res.body), NULL);
    else if (res.status != 404)
        rc = client_check(c, &res, "get");
    client_res_free(&res);
    return rc;
}

static void print_function(const json_t *f)
{
    char text[64];
    json_t *value;
    const char *key;
    out_field("name", out_str(f, "name"));
    out_field("arn", out_str(f, "arn"));
    out_field("version", out_str(f, "version"));
    out_field("runtime", out_str(f, "runtime"));
    out_field("handler", out_str(f, "handler"));
    out_field("role", out_str(f, "role"));
    snprintf(text, sizeof text, "%lld MB", out_int(f, "memory_mb"));
    out_field("memory", text);
    snprintf(text, sizeof text, "%lld s", out_int(f, "timeout_s"));
    out_field("timeout", text);
    snprintf(text, sizeof text, "%s", out_size((uint64_t)out_int(f, "code_size")));
    out_field("code", text);
    out_field("modified", out_str(f, "modified"));
    out_field("description", out_str(f, "description"));
    out_field("url", out_str(f, "url"));
    json_object_foreach(json_object_get(f, "environment"), key, value)
    {
        printf("%-12s ", "environment");
        out_text(str_c(key));
        putchar('=');
        out_text(json_bytes(value));
        putchar('\n');
    }
}

static int run_get(struct cli *cli)
{
    struct client c;
    struct buf path = BUF_INIT;
    const char *name = cli_arg(cli, 0);
    json_t *function = NULL, *url = NULL;
    int rc = client_init(&c, cli);
    function_path(&path, "2015-03-31", name, "");
    if (rc == CLI_OK)
        rc = client_json(&c, "lambda", "GET", path.p, NULL, name, &function);
    function_path(&path, "2021-10-31", name, "/url");
    if (rc == CLI_OK)
        rc = get_optional(&c, path.p, &url);
    buf_deinit(&path);
    if (rc == CLI_OK) {
        const json_t *configuration = json_object_get(function, "Configuration");
        json_t *doc = describe(configuration);
        json_t *env = json_object_get(json_object_get(configuration, "Environment"), "Variables");
        json_t *address = json_object_get(url, "FunctionUrl");
        json_object_set_new(doc, "environment", env ? json_incref(env) : json_object());
        json_object_set_new(doc, "url", address ? json_incref(address) : json_null());
        if (cli_has(cli, "--json")) {
            out_json(doc);
        } else {
            print_function(doc);
            json_decref(doc);
        }
    }
    json_decref(function);
    json_decref(url);
    return rc;
}

static int run_rm(struct cli *cli)
{
    struct client c;
    struct client_res res;
    struct buf path = BUF_INIT;
    const char *name = cli_arg(cli, 0);
    json_t *report = NULL;
    int rc = client_init(&c, cli);
    if (rc)
        return rc;
    buf_lit(&path, "/perilune/v1/deployments/");
    uri_encode(&path, str_c(name), false);
    struct client_req req = {.service = "perilune", .method = "DELETE", .path = buf_str(&path)};
    rc = client_send(&c, &req, &res);
    if (rc) {
        buf_deinit(&path);
        return rc;
    }
    if (res.status == 404) {
        function_path(&path, "2015-03-31", name, "");
        rc = client_json(&c, "lambda", "DELETE", path.p, NULL, name, NULL);
        report = json_pack("{s:s, s:[{s:s, s:s}]}", "name", name, "removed", "type", "function",
                           "name", name);
    } else {
        rc = client_check(&c, &res, name);
        report = res.body.n ? json_parse(buf_str(&res.body), NULL) : json_object();
    }
    client_res_free(&res);
    buf_deinit(&path);
    if (rc == CLI_OK && cli_has(cli, "--json")) {
        return out_json(report);
    } else if (rc == CLI_OK) {
        out_things("removed", json_object_get(report, "removed"));
        out_things("kept", json_object_get(report, "kept"));
    }
    json_decref(report);
    return rc;
}

static const struct cli_flag list_flags[] = {
    {"--names", 0, NULL, "names only, one a line", false},
    {0},
};

const struct cli_command cmd_list = {
    .name = "list",
    .args = "",
    .help = "the functions",
    .flags = list_flags,
    .kind = CLI_CLIENT,
    .run = run_list,
};

const struct cli_command cmd_get = {
    .name = "get",
    .args = "NAME",
    .help = "all about one function",
    .kind = CLI_CLIENT,
    .run = run_get,
};

const struct cli_command cmd_rm = {
    .name = "rm",
    .args = "NAME",
    .help = "remove a function and what its deployment made",
    .more = "Role, notifications and URL go with it. Buckets that still hold objects are kept.",
    .kind = CLI_CLIENT,
    .run = run_rm,
};
