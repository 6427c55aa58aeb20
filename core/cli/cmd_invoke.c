/* cmd_invoke: calls a function. The payload goes to stdout and nothing else does, so that it can be
 * piped on; the log and all remarks go to stderr. */
#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/stdin.h"

enum { PAYLOAD_READ_MAX = 64 << 20 }; /* the server's own limit is lower and better explained */

static int read_payload(struct cli *cli, struct buf *out)
{
    const char *data = cli_value(cli, "--payload"), *file = cli_value(cli, "--file");
    const char *dash = cli_arg(cli, 1);
    buf_init(out, PAYLOAD_READ_MAX);
    if (dash && strcmp(dash, "-") != 0)
        return cli_fail(CLI_USAGE,
                        "'%s': give the payload with -d JSON or -f FILE, or '-' for "
                        "standard input",
                        dash);
    if ((data != NULL) + (file != NULL) + (dash != NULL) > 1)
        return cli_fail(CLI_USAGE, "give the payload once: -d, -f or '-'");
    if (dash || file)
        return stdin_file(dash ? dash : file, out);
    buf_add(out, str_c(data ? data : "{}"));
    return out->rc ? cli_fail(CLI_FAILED, "the payload is too large") : CLI_OK;
}

static void print_tail(const struct client_res *res)
{
    struct buf text = BUF_INIT;
    if (base64_decode(&text, client_header(res, "x-amz-log-result")) && text.n)
        fwrite(text.p, 1, text.n, stderr);
    if (text.n && text.p[text.n - 1] != '\n')
        fputc('\n', stderr);
    buf_deinit(&text);
}

static json_t *header_json(const struct client_res *res, const char *name)
{
    struct str v = client_header(res, name);
    return v.p ? json_text(v) : json_null();
}

static int print_json(const struct client_res *res)
{
    struct buf tail = BUF_INIT;
    struct str log = client_header(res, "x-amz-log-result");
    json_t *payload = res->body.n ? json_parse(buf_str(&res->body), NULL) : json_null();
    json_t *doc = json_object();
    json_object_set_new(doc, "status", json_integer(res->status));
    json_object_set_new(doc, "request_id", header_json(res, "x-amzn-requestid"));
    json_object_set_new(doc, "version", header_json(res, "x-amz-executed-version"));
    json_object_set_new(doc, "error", header_json(res, "x-amz-function-error"));
    json_object_set_new(doc, "payload", payload ? payload : json_text(buf_str(&res->body)));
    if (log.p && base64_decode(&tail, log))
        json_object_set_new(doc, "log", json_text(buf_str(&tail)));
    buf_deinit(&tail);
    return out_json(doc);
}

static int report(struct cli *cli, const struct client_res *res)
{
    struct str error = client_header(res, "x-amz-function-error");
    struct str id = client_header(res, "x-amzn-requestid");
    if (cli_has(cli, "--json")) {
        print_json(res);
        return error.p ? CLI_FAILED : CLI_OK;
    }
    if (cli_has(cli, "--tail"))
        print_tail(res);
    if (cli_has(cli, "--async"))
        fprintf(stderr, "accepted; request id %.*s\n", STR_FMT(id));
    out_text(buf_str(&res->body));
    if (res->body.n && res->body.p[res->body.n - 1] != '\n')
        putchar('\n');
    if (error.p)
        return cli_fail(CLI_FAILED, "the function failed (%.*s); request id %.*s", STR_FMT(error),
                        STR_FMT(id));
    return CLI_OK;
}

static int run_invoke(struct cli *cli)
{
    struct client c;
    struct client_res res;
    struct buf payload, path = BUF_INIT;
    struct sigv4_header headers[2];
    int rc = client_init(&c, cli);
    if (rc)
        return rc;
    rc = read_payload(cli, &payload);
    if (rc) {
        buf_deinit(&payload);
        return rc;
    }
    buf_lit(&path, "/2015-03-31/functions/");
    uri_encode(&path, str_c(cli_arg(cli, 0)), false);
    buf_lit(&path, "/invocations");
    size_t n = 0;
    headers[n++] =
        (struct sigv4_header){STR("x-amz-invocation-type"),
                              cli_has(cli, "--async") ? STR("Event") : STR("RequestResponse")};
    if (cli_has(cli, "--tail"))
        headers[n++] = (struct sigv4_header){STR("x-amz-log-type"), STR("Tail")};
    struct client_req req = {
        .service = "lambda",
        .method = "POST",
        .path = buf_str(&path),
        .headers = headers,
        .header_count = n,
        .body = buf_str(&payload),
    };
    rc = client_send(&c, &req, &res);
    if (rc == CLI_OK) {
        rc = client_check(&c, &res, cli_arg(cli, 0));
        if (rc == CLI_OK)
            rc = report(cli, &res);
        client_res_free(&res);
    }
    buf_deinit(&payload);
    buf_deinit(&path);
    return rc;
}

static const struct cli_flag flags[] = {
    {"--payload", 'd', "JSON", "the event; {} when nothing is given", false},
    {"--file", 'f', "FILE", "the event from a file", false},
    {"--async", 0, NULL, "queue it and do not wait", false},
    {"--tail", 0, NULL, "show the end of the run's log on stderr", false},
    {0},
};

const struct cli_command cmd_invoke = {
    .name = "invoke",
    .args = "NAME [-]",
    .help = "call a function; its answer on stdout",
    .more = "  perilune invoke hello -d '{\"name\": \"Ada\"}'\n"
            "  perilune invoke hello - < event.json\n\n"
            "Exits 1 when the function fails.",
    .flags = flags,
    .kind = CLI_CLIENT,
    .run = run_invoke,
};
