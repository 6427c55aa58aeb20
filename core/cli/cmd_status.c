/* cmd_status: is the server well, and which programs are these. */
#include <luajit.h>

#include <lmdb.h>
#include <uv.h>

#include "base/version.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

/* One line a value; a nested object's members are indented under its name. */
static void print_members(const json_t *object, int indent)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        printf("%*s%-*s ", indent, "", 20 - indent, name);
        if (json_is_string(value)) {
            out_text(str_of(json_string_value(value), json_string_length(value)));
        } else if (json_is_object(value)) {
            putchar('\n');
            print_members(value, indent + 2);
            continue;
        } else {
            out_dump(value, JSON_COMPACT);
        }
        putchar('\n');
    }
}

static int run_status(struct cli *cli)
{
    struct client c;
    json_t *status = NULL;
    int rc = client_init(&c, cli);
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", "GET", "/perilune/v1/status", NULL, "status", &status);
    if (rc)
        return rc;
    if (!json_object_get(status, "endpoint"))
        json_object_set_new(status, "endpoint", json_string(c.target.url));
    if (cli_has(cli, "--json"))
        return out_json(status);
    print_members(status, 0);
    json_decref(status);
    return CLI_OK;
}

static int run_version(struct cli *cli)
{
    char lmdb[32];
    int major, minor, patch;
    mdb_version(&major, &minor, &patch);
    snprintf(lmdb, sizeof lmdb, "%d.%d.%d", major, minor, patch);
    if (cli_has(cli, "--json"))
        return out_json(json_pack("{s:s, s:s, s:s, s:s}", "version", PERILUNE_VERSION, "luajit",
                                  LUAJIT_VERSION, "libuv", uv_version_string(), "lmdb", lmdb));
    printf("perilune %s\n%s, libuv %s, LMDB %s\n", PERILUNE_VERSION, LUAJIT_VERSION,
           uv_version_string(), lmdb);
    return CLI_OK;
}

static const struct cli_flag version_flags[] = {
    {"--json", 0, NULL, "print one JSON document", false},
    {0},
};

const struct cli_command cmd_status = {
    .name = "status",
    .args = "",
    .help = "how the server is doing",
    .kind = CLI_CLIENT,
    .run = run_status,
};

const struct cli_command cmd_version = {
    .name = "version",
    .args = "",
    .help = "which release this is",
    .flags = version_flags,
    .kind = CLI_LOCAL,
    .run = run_version,
};
