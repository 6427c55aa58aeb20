/* cmd_console_link: a link that signs a browser in, once, as whoever asks for it.
 *
 * With the data folder's root.credentials (the default on the server's machine) that is root; with a
 * user's keys in the environment it is that user. */
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

static int run(struct cli *cli)
{
    struct client c;
    json_t *link = NULL;
    int rc = client_init(&c, cli);
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", "POST", "/perilune/v1/console-link", NULL, "console-link",
                         &link);
    if (rc)
        return rc;
    if (cli_has(cli, "--json"))
        return out_json(link);
    puts(out_str(link, "url"));
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "It works once, within 15 minutes.\n");
    json_decref(link);
    return CLI_OK;
}

const struct cli_command cmd_console_link = {
    .name = "console-link",
    .args = "",
    .help = "print a link that signs in to the web console, once",
    .kind = CLI_CLIENT,
    .run = run,
};
