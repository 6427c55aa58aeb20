/* cmd_schedule: what is due when, and what a person does about it. `next` answers for an expression
 * without a server, for a name with one. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "svc/schedule_expr.h"

enum { NEXT = 5 };

/* --- list --------------------------------------------------------------------------------------- */

/* All rows of all pages. */
static int fetch(struct cli *cli, json_t **rows)
{
    struct client c;
    struct buf path = BUF_INIT;
    int rc = client_init(&c, cli);
    *rows = json_array();
    buf_lit(&path, "/perilune/v1/schedules");
    while (rc == CLI_OK && path.n) {
        json_t *page = NULL;
        buf_addc(&path, 0);
        rc = client_json(&c, "perilune", "GET", path.p, NULL, "schedules", &page);
        struct str cursor = json_bytes(json_object_get(page, "cursor"));
        if (rc == CLI_OK)
            json_array_extend(*rows, json_object_get(page, "schedules"));
        buf_clear(&path);
        if (cursor.n) {
            buf_lit(&path, "/perilune/v1/schedules?cursor=");
            uri_encode(&path, cursor, false);
        }
        json_decref(page);
    }
    buf_deinit(&path);
    if (rc)
        json_decref(*rows);
    return rc;
}

static int run_list(struct cli *cli)
{
    json_t *rows, *row;
    size_t i;
    int rc = fetch(cli, &rows);
    if (rc)
        return rc;
    if (cli_has(cli, "--json"))
        return out_json(json_pack("{s:o}", "schedules", rows));
    struct out_table *t = out_table_new(5);
    const char *const head[] = {"NAME", "KIND", "EXPRESSION", "STATE", "NEXT"};
    out_row(t, head);
    json_array_foreach(rows, i, row)
    {
        const char *next = json_string_value(json_array_get(json_object_get(row, "next"), 0));
        const char *const cells[] = {out_str(row, "name"), out_str(row, "kind"),
                                     out_str(row, "expression"), out_str(row, "state"), next};
        out_row(t, cells);
    }
    out_table_end(t);
    json_decref(rows);
    return CLI_OK;
}

/* --- next --------------------------------------------------------------------------------------- */

static void add_time(json_t *times, const struct zone *zone, int64_t t)
{
    char utc[25], local[25];
    clock_iso8601(t * 1000, utc);
    clock_iso8601((t + zone_offset_s(zone, t)) * 1000, local);
    snprintf(utc + 19, 2, "Z");
    local[10] = ' ';
    local[19] = 0;
    json_array_append_new(times, json_pack("{s:s,s:s}", "utc", utc, "local", local));
}

/* The next five: a line each, or one document. Of an expression (e) from after_s, or as the server says
 * of a row. */
static int print_next(const struct cli *cli, const struct schedule_expr *e, const char *zone_name,
                      int64_t after_s, json_t *row)
{
    struct zone *zone = zone_load(str_c(zone_name));
    json_t *times = json_array(), *one;
    int64_t t = after_s, ms;
    size_t i;
    if (!zone)
        return cli_fail(CLI_USAGE, "there is no time zone '%s' (such as Europe/Paris)", zone_name);
    for (i = 0; e && i < NEXT && (t = schedule_next_s(e, zone, after_s, t)) >= 0; i++)
        add_time(times, zone, t);
    json_array_foreach(json_object_get(row, "next"), i, one)
    {
        if (clock_parse(json_bytes(one), &ms))
            add_time(times, zone, ms / 1000);
    }
    zone_free(zone);
    if (cli_has(cli, "--json"))
        return out_json(json_pack("{s:s,s:o}", "timezone", zone_name, "next", times));
    json_array_foreach(times, i, one)
        printf("%s %s   %s\n", out_str(one, "local"), zone_name, out_str(one, "utc"));
    if (json_array_size(times) == 0)
        puts(row && strcmp(out_str(row, "state"), "DISABLED") == 0 ? "never: it is paused"
                                                                   : "never");
    json_decref(times);
    return CLI_OK;
}

/* The rule or schedule of that name, the caller's. */
static int find(struct cli *cli, const char *name, json_t **out)
{
    const char *kind = cli_value(cli, "--kind");
    json_t *rows, *row;
    size_t i;
    int rc = fetch(cli, &rows);
    *out = NULL;
    if (rc)
        return rc;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(out_str(row, "name"), name) != 0 ||
            (kind && strcmp(out_str(row, "kind"), kind) != 0))
            continue;
        if (*out)
            rc = cli_fail(CLI_USAGE, "there are a rule and a schedule '%s': say --kind", name);
        json_decref(*out);
        *out = json_incref(row);
    }
    json_decref(rows);
    if (rc == CLI_OK && !*out)
        rc = cli_fail(CLI_NOT_FOUND, "there is no rule or schedule '%s'", name);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

static int run_next(struct cli *cli)
{
    char expr[SCHEDULE_TEXT_MAX + 1], zone[ZONE_NAME_MAX + 1];
    const char *what = cli_arg(cli, 0), *from = cli_value(cli, "--from"),
               *timezone = cli_value(cli, "--timezone");
    int64_t after_ms = clock_wall_ms();
    struct schedule_expr e;
    struct err err = {0};
    if (from && !clock_parse(str_c(from), &after_ms))
        return cli_fail(CLI_USAGE, "--from '%s' should be like 2026-03-28T12:00:00Z", from);
    snprintf(zone, sizeof zone, "%s", timezone ? timezone : "UTC");
    json_t *row = NULL;
    if (strchr(what, '(') || strchr(what, ' ')) {
        snprintf(expr, sizeof expr, "%s", what);
    } else {
        int rc = find(cli, what, &row);
        if (rc)
            return rc;
        snprintf(expr, sizeof expr, "%s", out_str(row, "expression"));
        snprintf(zone, sizeof zone, "%s", out_str(row, "timezone"));
    }
    int rc = schedule_parse(str_c(expr), &e, &err) ? cli_fail(CLI_USAGE, "'%s': %s", expr, err.text)
                                                   : print_next(cli, row && !from ? NULL : &e, zone,
                                                                after_ms / 1000, from ? NULL : row);
    json_decref(row);
    return rc;
}

/* --- changes ------------------------------------------------------------------------------------ */

/* POSTs body to an action of the one that is named, and says what became of it. */
static int act(struct cli *cli, const char *action, json_t *body, const char *done)
{
    struct client c;
    struct buf path = BUF_INIT;
    json_t *row, *answer = NULL;
    const char *name = cli_arg(cli, 0);
    int rc = find(cli, name, &row);
    if (rc == CLI_OK)
        rc = client_init(&c, cli);
    if (rc) {
        json_decref(body);
        json_decref(row);
        return rc;
    }
    buf_printf(&path, "/perilune/v1/schedules/%s/", out_str(row, "kind"));
    uri_encode(&path, str_c(name), false);
    buf_printf(&path, "/%s%c", action, 0);
    json_decref(row);
    rc = client_json(&c, "perilune", "POST", path.p, body, name, &answer);
    buf_deinit(&path);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(answer);
    if (rc == CLI_OK)
        printf("%s %s\n", name, done);
    json_decref(answer);
    return rc;
}

static int run_now(struct cli *cli)
{
    return act(cli, "run", json_object(), "runs now, beside its times");
}

static int run_pause(struct cli *cli)
{
    return act(cli, "pause", json_object(), "is paused");
}

static int run_resume(struct cli *cli)
{
    return act(cli, "resume", json_object(), "is on again");
}

static int run_policy(struct cli *cli)
{
    const char *missed = cli_value(cli, "--missed"), *overlap = cli_value(cli, "--overlap");
    json_t *body = json_object();
    if (!missed && !overlap) {
        json_decref(body);
        return cli_fail(CLI_USAGE, "give --missed, --overlap, or both");
    }
    if (missed)
        json_object_set_new(body, "missed", json_string(missed));
    if (overlap)
        json_object_set_new(body, "overlap", json_string(overlap));
    return act(cli, "policy", body, "has that policy");
}

static const struct cli_flag kind_flags[] = {
    {"--kind", 0, "KIND", "rule or schedule, where both have that name", false},
    {0},
};

static const struct cli_flag policy_flags[] = {
    {"--missed", 0, "POLICY", "runs missed while the server was off: once, skip or all", false},
    {"--overlap", 0, "POLICY", "when the last run is still on its way: run or skip", false},
    {"--kind", 0, "KIND", "rule or schedule, where both have that name", false},
    {0},
};

const struct cli_command cmd_schedule_run = {
    .name = "schedule run",
    .args = "NAME",
    .help = "run a rule or schedule now, beside its times",
    .flags = kind_flags,
    .kind = CLI_CLIENT,
    .run = run_now,
};

const struct cli_command cmd_schedule_pause = {
    .name = "schedule pause",
    .args = "NAME",
    .help = "stop it until it is resumed",
    .flags = kind_flags,
    .kind = CLI_CLIENT,
    .run = run_pause,
};

const struct cli_command cmd_schedule_resume = {
    .name = "schedule resume",
    .args = "NAME",
    .help = "go on; what was due meanwhile is not made up for",
    .flags = kind_flags,
    .kind = CLI_CLIENT,
    .run = run_resume,
};

const struct cli_command cmd_schedule_policy = {
    .name = "schedule policy",
    .args = "NAME",
    .help = "what becomes of runs that were missed or would overlap",
    .flags = policy_flags,
    .kind = CLI_CLIENT,
    .run = run_policy,
};

const struct cli_command cmd_schedule_list = {
    .name = "schedule list",
    .args = "",
    .help = "rules and schedules, and when each is due next",
    .kind = CLI_CLIENT,
    .run = run_list,
};

static const struct cli_flag next_flags[] = {
    {"--timezone", 0, "ZONE", "the expression's time zone (default UTC)", false},
    {"--from", 0, "TIME", "the times after that one instead of now (2026-03-28T12:00:00Z)", false},
    {"--kind", 0, "KIND", "rule or schedule, where both have that name", false},
    {0},
};

const struct cli_command cmd_schedule_next = {
    .name = "schedule next",
    .args = "NAME-OR-EXPRESSION",
    .help = "the next five times of a schedule, or of an expression",
    .flags = next_flags,
    .kind = CLI_CLIENT,
    .run = run_next,
};
