/* cmd_versions: what was deployed before, and going back to it. Each deployment that changes
 * something publishes a version; rolling back gives $LATEST an earlier one's code and settings. */
#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

/* Is the version what $LATEST is, but for its own names and times? */
static bool is_current(const json_t *version, const json_t *latest)
{
    static const char *const same[] = {"CodeSha256", "Runtime", "Handler",     "Role",
                                       "MemorySize", "Timeout", "Environment", NULL};
    for (size_t i = 0; same[i]; i++)
        if (!json_equal(json_object_get(version, same[i]), json_object_get(latest, same[i])) &&
            (json_object_get(version, same[i]) || json_object_get(latest, same[i])))
            return false;
    return true;
}

static json_t *describe(const json_t *v, const json_t *latest)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:b}", "version", out_str(v, "Version"), "modified",
                     out_str(v, "LastModified"), "code_sha256", out_str(v, "CodeSha256"),
                     "code_size", (json_int_t)out_int(v, "CodeSize"), "description",
                     out_str(v, "Description"), "current", is_current(v, latest));
}

/* All versions, $LATEST first as the server lists it. */
static int fetch(struct client *c, const char *name, json_t *all)
{
    struct buf path = BUF_INIT;
    json_t *page = NULL;
    int rc = CLI_OK;
    for (bool more = true; rc == CLI_OK && more;) {
        const char *marker = page ? out_str(page, "NextMarker") : "";
        buf_clear(&path);
        buf_lit(&path, "/2015-03-31/functions/");
        uri_encode(&path, str_c(name), false);
        buf_lit(&path, "/versions?MaxItems=50");
        if (*marker) {
            buf_lit(&path, "&Marker=");
            uri_encode(&path, str_c(marker), false);
        }
        buf_addc(&path, 0);
        json_decref(page);
        page = NULL;
        rc = client_json(c, "lambda", "GET", path.p, NULL, name, &page);
        json_array_extend(all, json_object_get(page, "Versions"));
        more = *out_str(page, "NextMarker") != 0;
    }
    json_decref(page);
    buf_deinit(&path);
    return rc;
}

static void print_versions(const json_t *list)
{
    static const char *const head[] = {"VERSION", "DEPLOYED", "CODE", "SHA-256", ""};
    struct out_table *t = out_table_new(5);
    size_t i;
    json_t *v;
    out_row(t, head);
    json_array_foreach(list, i, v)
    {
        char sha[13];
        snprintf(sha, sizeof sha, "%.12s", out_str(v, "code_sha256"));
        const char *cells[] = {out_str(v, "version"), out_str(v, "modified"),
                               out_size((uint64_t)out_int(v, "code_size")), sha,
                               json_is_true(json_object_get(v, "current")) ? "serving" : ""};
        out_row(t, cells);
    }
    out_table_end(t);
}

static int run_versions(struct cli *cli)
{
    struct client c;
    const char *name = cli_arg(cli, 0);
    json_t *all = json_array(), *list = json_array(), *latest = NULL, *v;
    size_t i;
    int rc = client_init(&c, cli);
    if (rc == CLI_OK)
        rc = fetch(&c, name, all);
    json_array_foreach(all, i, v)
    {
        if (strcmp(out_str(v, "Version"), "$LATEST") == 0)
            latest = v;
        else
            json_array_insert_new(list, 0, describe(v, latest)); /* newest first */
    }
    bool found = false; /* of equal ones the newest serves */
    json_array_foreach(list, i, v)
    {
        bool current = json_is_true(json_object_get(v, "current"));
        json_object_set_new(v, "current", json_boolean(current && !found));
        found |= current;
    }
    json_decref(all);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(json_pack("{s:s, s:o}", "name", name, "versions", list));
    if (rc == CLI_OK && json_array_size(list))
        print_versions(list);
    else if (rc == CLI_OK)
        fprintf(stderr, "no versions of %s yet: each deployment makes one\n", name);
    json_decref(list);
    return rc;
}

static int run_rollback(struct cli *cli)
{
    struct client c;
    struct buf path = BUF_INIT;
    const char *name = cli_arg(cli, 0), *version = cli_arg(cli, 1);
    json_t *body = json_object(), *report = NULL;
    uint64_t number;
    if (version && (!str_u64(str_c(version), &number) || number == 0)) {
        json_decref(body);
        return cli_fail(CLI_USAGE, "'%s' is no version's number; 'perilune versions %s' lists them",
                        version, name);
    }
    if (version)
        json_object_set_new(body, "Version", json_string(version));
    int rc = client_init(&c, cli);
    buf_lit(&path, "/perilune/v1/functions/");
    uri_encode(&path, str_c(name), false);
    buf_lit(&path, "/rollback");
    buf_addc(&path, 0);
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", "POST", path.p, body, name, &report);
    else
        json_decref(body);
    buf_deinit(&path);
    if (rc)
        return rc;
    if (cli_has(cli, "--json"))
        return out_json(report);
    const char *from = out_str(report, "from");
    printf("%s is back at version %s%s%s\n", name, out_str(report, "version"),
           *from ? ", from " : "", from);
    json_decref(report);
    return CLI_OK;
}

const struct cli_command cmd_versions = {
    .name = "versions",
    .args = "NAME",
    .help = "what was deployed of a function",
    .kind = CLI_CLIENT,
    .run = run_versions,
};

const struct cli_command cmd_rollback = {
    .name = "rollback",
    .args = "NAME [VERSION]",
    .help = "back to an earlier version, else to the one before",
    .more = "Code and settings go back; triggers, permissions and the role stay as they are.",
    .kind = CLI_CLIENT,
    .run = run_rollback,
};
