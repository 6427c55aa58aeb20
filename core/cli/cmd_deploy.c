/* cmd_deploy: code on this machine becomes a function on the server, which makes or updates role,
 * function, triggers and URL in one transaction. */
#include "cli/commands.h"
#include "cli/deliver.h"
#include "cli/out.h"

static int run_deploy(struct cli *cli)
{
    struct client c;
    struct buf zip = BUF_INIT;
    bool dry_run = cli_has(cli, "--dry-run");
    json_t *body = json_object(), *report = NULL;
    int rc = client_init(&c, cli);
    if (rc == CLI_OK)
        rc = deliver_pack(cli_arg(cli, 0), cli_value(cli, "--name"), body, &zip);
    if (rc == CLI_OK)
        rc = deliver_send(&c, body, &zip, dry_run, &report);
    else
        json_decref(body);
    buf_deinit(&zip);
    if (rc)
        return rc;
    if (cli_has(cli, "--json"))
        return out_json(report);
    deliver_print(report, dry_run);
    json_decref(report);
    return CLI_OK;
}

static const struct cli_flag flags[] = {
    {"--name", 0, "NAME", "call the function this", false},
    {"--dry-run", 0, NULL, "show what would be made and granted, change nothing", false},
    {0},
};

const struct cli_command cmd_deploy = {
    .name = "deploy",
    .args = "PATH",
    .help = "make or update a function from a .lua file or a folder",
    .more = "  perilune deploy hello.lua        a function named hello, whose handler is M.main\n"
            "  perilune deploy thumbs/          a folder with a function.lua",
    .flags = flags,
    .kind = CLI_CLIENT,
    .run = run_deploy,
};
