/* cmd_secret: values that functions read with secrets.get and nobody else can. A value comes on
 * standard input, never on the command line, where others would see it; it is never shown. */
#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/stdin.h"

enum { VALUE_MAX = 64 * 1024 };

static void put_path(struct buf *out, const char *name)
{
    buf_lit(out, "/perilune/v1/secrets/");
    uri_encode(out, str_c(name), false);
}

static int run_set(struct cli *cli)
{
    struct client c;
    struct client_res res;
    struct buf path = BUF_INIT, value;
    int rc = client_init(&c, cli);
    if (rc)
        return rc;
    buf_init(&value, VALUE_MAX);
    rc = stdin_secret("Value (not shown): ", &value);
    if (rc == CLI_OK && value.n == 0)
        rc = cli_fail(CLI_USAGE, "the value is empty; give it on standard input");
    put_path(&path, cli_arg(cli, 0));
    struct client_req req = {
        .service = "perilune", .method = "PUT", .path = buf_str(&path), .body = buf_str(&value)};
    if (rc == CLI_OK && (rc = client_send(&c, &req, &res)) == CLI_OK) {
        rc = client_check(&c, &res, cli_arg(cli, 0));
        json_t *answer = rc == CLI_OK ? json_parse(buf_str(&res.body), NULL) : NULL;
        bool created = json_is_true(json_object_get(answer, "created"));
        if (rc == CLI_OK && cli_has(cli, "--json"))
            out_json(json_incref(answer));
        else if (rc == CLI_OK)
            printf("  %-9s secret       %s\n", created ? "created" : "changed", cli_arg(cli, 0));
        json_decref(answer);
        client_res_free(&res);
    }
    if (value.p)
        explicit_bzero(value.p, value.cap);
    buf_deinit(&value);
    buf_deinit(&path);
    return rc;
}

static int run_list(struct cli *cli)
{
    static const char *const head[] = {"NAME", "CREATED", "CHANGED"};
    struct client c;
    struct buf path = BUF_INIT;
    json_t *all = json_array(), *page = NULL, *s;
    size_t i;
    int rc = client_init(&c, cli);
    for (bool more = true; rc == CLI_OK && more;) {
        const char *cursor = page ? out_str(page, "cursor") : "";
        buf_clear(&path);
        buf_printf(&path, "/perilune/v1/secrets%s%s%c", *cursor ? "?cursor=" : "", cursor, 0);
        json_decref(page);
        page = NULL;
        rc = client_json(&c, "perilune", "GET", path.p, NULL, "secret list", &page);
        json_array_extend(all, json_object_get(page, "secrets"));
        more = *out_str(page, "cursor") != 0;
    }
    json_decref(page);
    buf_deinit(&path);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(json_pack("{s:o}", "secrets", all));
    if (rc == CLI_OK) {
        struct out_table *t = out_table_new(3);
        out_row(t, head);
        json_array_foreach(all, i, s)
        {
            const char *cells[] = {out_str(s, "name"), out_str(s, "created"),
                                   out_str(s, "changed")};
            out_row(t, cells);
        }
        out_table_end(t);
    }
    json_decref(all);
    return rc;
}

static int run_rm(struct cli *cli)
{
    struct client c;
    struct buf path = BUF_INIT;
    int rc = client_init(&c, cli);
    put_path(&path, cli_arg(cli, 0));
    buf_addc(&path, 0);
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", "DELETE", path.p, NULL, cli_arg(cli, 0), NULL);
    buf_deinit(&path);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(json_pack("{s:s}", "removed", cli_arg(cli, 0)));
    return rc;
}

const struct cli_command cmd_secret_set = {
    .name = "secret set",
    .args = "SECRET",
    .help = "set a secret; its value comes on standard input",
    .more = "  perilune secret set api-token < token.txt\n\n"
            "One newline at the end is not part of it. A function needs perilune:SecretRead on it.",
    .kind = CLI_CLIENT,
    .run = run_set,
};

const struct cli_command cmd_secret_list = {
    .name = "secret list",
    .args = "",
    .help = "the names of the secrets",
    .kind = CLI_CLIENT,
    .run = run_list,
};

const struct cli_command cmd_secret_rm = {
    .name = "secret rm",
    .args = "SECRET",
    .help = "remove a secret",
    .kind = CLI_CLIENT,
    .run = run_rm,
};
