/* cmd_brake: a cap on how many events of one function begin in a second. */
#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

static int run(struct cli *cli)
{
    const char *rate = cli_arg(cli, 1);
    struct client c;
    struct buf path = BUF_INIT;
    json_t *body = NULL, *doc = NULL;
    uint64_t n = 0;
    if (rate && strcmp(rate, "off") != 0 && (!str_u64(str_c(rate), &n) || n == 0))
        return cli_fail(CLI_USAGE, "'%s' should be a number of events a second, or off", rate);
    int rc = client_init(&c, cli);
    if (rc)
        return rc;
    buf_lit(&path, "/perilune/v1/functions/");
    uri_encode(&path, str_c(cli_arg(cli, 0)), false);
    buf_lit(&path, "/event-rate");
    buf_addc(&path, 0);
    if (rate)
        body = json_pack("{s:o}", "event_rate", n ? json_integer((json_int_t)n) : json_null());
    rc = client_json(&c, "perilune", rate ? "PUT" : "GET", path.p, body, cli_arg(cli, 0), &doc);
    buf_deinit(&path);
    if (rc)
        return rc;
    if (cli_has(cli, "--json"))
        return out_json(doc);
    json_t *now = json_object_get(doc, "event_rate");
    if (json_is_integer(now))
        printf("%lld events a second\n", (long long)json_integer_value(now));
    else
        puts("as the server has it (serve --event-rate)");
    json_decref(doc);
    return CLI_OK;
}

const struct cli_command cmd_brake = {
    .name = "brake",
    .args = "NAME [RATE|off]",
    .help = "show or set how many of a function's events begin in a second at most",
    .kind = CLI_CLIENT,
    .run = run,
};
