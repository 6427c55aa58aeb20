/* cmd_logs: a function's log lines, pushed by the server as it writes them.
 *
 * GET /perilune/v1/logs/NAME?since=MS&level=L&request=ID[&follow=1] answers server-sent events:
 *
 *   id: POSITION
 *   data: {"timestamp": ms, "level": "info", "request_id": "…", "stream": "…", "message": "…"}
 *
 * oldest first; without follow the answer ends after the newest. A follower that loses its server
 * comes back with Last-Event-ID for ten seconds, so that a restart costs no line and shows none
 * twice. */
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/sse.h"

enum { RECONNECT_MS = 10000, PAUSE_MS = 250, FOLLOW_SINCE_MS = 10 * 60 * 1000 };

struct reader {
    struct sse sse;
    bool follow, json;
    bool any;       /* the server has answered at least once */
    json_t *events; /* gathered for the one document; NULL when lines are printed as they come */
};

static bool print_event(void *ctx, struct str type, struct str data);
static bool feed(void *ctx, struct str bytes);
static int connect_once(struct client *c, struct reader *r, struct str path, struct str query);
static int follow(struct client *c, struct reader *r, struct str path, struct str query);

static int make_query(struct cli *cli, struct buf *q)
{
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error", "fatal", NULL};
    const char *since = cli_value(cli, "--since"), *level = cli_value(cli, "--level");
    const char *request = cli_value(cli, "--request");
    int64_t ms = FOLLOW_SINCE_MS;
    size_t i = 0;
    if (since && !cli_duration(since, &ms))
        return cli_fail(CLI_USAGE, "--since '%s' should be like 90s, 10m, 2h or 7d", since);
    while (level && levels[i] && strcmp(levels[i], level) != 0)
        i++;
    if (level && !levels[i])
        return cli_fail(CLI_USAGE, "--level is trace, debug, info, warn, error or fatal");
    bool from = since || cli_has(cli, "--follow");
    buf_printf(q, "since=%lld", from ? (long long)(clock_wall_ms() - ms) : 0);
    if (level)
        buf_printf(q, "&level=%s", level);
    if (request) {
        buf_lit(q, "&request=");
        uri_encode(q, str_c(request), false);
    }
    if (cli_has(cli, "--follow"))
        buf_lit(q, "&follow=1");
    return CLI_OK;
}

static int run_logs(struct cli *cli)
{
    struct client c;
    struct reader r = {.follow = cli_has(cli, "--follow"), .json = cli_has(cli, "--json")};
    struct buf path = BUF_INIT, query = BUF_INIT;
    int rc = client_init(&c, cli);
    if (rc == CLI_OK)
        rc = make_query(cli, &query);
    if (rc == CLI_OK) {
        buf_lit(&path, "/perilune/v1/logs/");
        uri_encode(&path, str_c(cli_arg(cli, 0)), false);
        r.events = r.json && !r.follow ? json_array() : NULL;
        sse_init(&r.sse, print_event, &r);
        rc = r.follow ? follow(&c, &r, buf_str(&path), buf_str(&query))
                      : connect_once(&c, &r, buf_str(&path), buf_str(&query));
        if (rc == CLI_OK && r.events)
            out_json(json_pack("{s:O}", "events", r.events));
        json_decref(r.events);
        sse_deinit(&r.sse);
    }
    buf_deinit(&path);
    buf_deinit(&query);
    return rc;
}

/* --- the connection ----------------------------------------------------------------------------
 */

static int connect_once(struct client *c, struct reader *r, struct str path, struct str query)
{
    struct sigv4_header headers[2] = {{STR("accept"), STR("text/event-stream")},
                                      {STR("last-event-id"), str_c(r->sse.last_id)}};
    struct client_req req = {
        .service = "perilune",
        .method = "GET",
        .path = path,
        .query = query,
        .headers = headers,
        .header_count = r->sse.last_id[0] ? 2 : 1,
        .sink = feed,
        .sink_ctx = r,
    };
    struct client_res res;
    int rc = client_send(c, &req, &res);
    if (rc)
        return rc;
    rc = client_check(c, &res, "logs");
    client_res_free(&res);
    return rc;
}

static int64_t now_ms(void)
{
    return (int64_t)(clock_mono_ns() / 1000000);
}

static int follow(struct client *c, struct reader *r, struct str path, struct str query)
{
    for (;;) {
        int64_t lost_ms;
        r->any = false;
        int rc = connect_once(c, r, path, query);
        if (rc != CLI_OK && rc != CLI_UNREACHABLE)
            return rc;
        if (rc == CLI_UNREACHABLE && !r->any && !c->quiet)
            return rc; /* was never there, and it has been said */
        c->quiet = true;
        for (lost_ms = now_ms();; usleep(PAUSE_MS * 1000)) {
            r->any = false;
            rc = connect_once(c, r, path, query);
            if (rc == CLI_OK || r->any)
                lost_ms = now_ms();
            else if (rc != CLI_UNREACHABLE)
                return rc;
            else if (now_ms() - lost_ms > RECONNECT_MS)
                return cli_fail(CLI_UNREACHABLE, "no server at %s any more", c->target.url);
        }
    }
}

static bool feed(void *ctx, struct str bytes)
{
    struct reader *r = ctx;
    r->any = true;
    bool go_on = sse_feed(&r->sse, bytes);
    if (r->follow)
        fflush(stdout);
    return go_on;
}

/* --- the events --------------------------------------------------------------------------------
 */

static void print_line(const json_t *e)
{
    const char *level = out_str(e, "level");
    struct str text = json_bytes(json_object_get(e, "message"));
    char when[25];
    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    clock_iso8601(out_int(e, "timestamp"), when);
    out_colour(OUT_DIM);
    printf("%s ", when);
    out_colour(OUT_PLAIN);
    if (strcmp(level, "error") == 0 || strcmp(level, "fatal") == 0)
        out_colour(OUT_RED);
    else if (strcmp(level, "warn") == 0)
        out_colour(OUT_YELLOW);
    out_text(text);
    out_colour(OUT_PLAIN);
    putchar('\n');
}

static bool print_event(void *ctx, struct str type, struct str data)
{
    struct reader *r = ctx;
    json_t *e = json_parse(data, NULL);
    if (!json_is_object(e) || (type.n && !str_is(type, "log"))) {
        json_decref(e);
        return true; /* another kind of event, of a newer server */
    }
    if (r->events)
        json_array_append(r->events, e);
    else if (r->json) { /* following: one object a line */
        out_dump(e, JSON_COMPACT);
        putchar('\n');
    } else
        print_line(e);
    json_decref(e);
    return true;
}

static const struct cli_flag flags[] = {
    {"--follow", 'f', NULL, "go on with new lines as they are written", false},
    {"--since", 0, "10m", "no older than that (with -f 10m, else all that is kept)", false},
    {"--level", 0, "LEVEL", "this level and above: trace debug info warn error fatal", false},
    {"--request", 0, "ID", "one invocation's lines", false},
    {0},
};

const struct cli_command cmd_logs = {
    .name = "logs",
    .args = "NAME",
    .help = "a function's log",
    .more = "With -f and --json each line is one JSON object.",
    .flags = flags,
    .kind = CLI_CLIENT,
    .run = run_logs,
};
