/* cmd_schedule: what is due when. `next` answers for an expression without a server, for a name with
 * one. */
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

/* The next five from after_s: a line each, or one document. */
static int print_next(const struct cli *cli, const struct schedule_expr *e, const char *zone_name,
                      int64_t after_s)
{
    struct zone *zone = zone_load(str_c(zone_name));
    json_t *times = json_array();
    char utc[25], local[25];
    int64_t t = after_s;
    if (!zone)
        return cli_fail(CLI_USAGE, "there is no time zone '%s' (such as Europe/Paris)", zone_name);
    for (int i = 0; i < NEXT && (t = schedule_next_s(e, zone, after_s, t)) >= 0; i++) {
        clock_iso8601(t * 1000, utc);
        clock_iso8601((t + zone_offset_s(zone, t)) * 1000, local);
        snprintf(utc + 19, 2, "Z");
        local[10] = ' ';
        local[19] = 0;
        json_array_append_new(times, json_pack("{s:s,s:s}", "utc", utc, "local", local));
    }
    zone_free(zone);
    if (cli_has(cli, "--json"))
        return out_json(json_pack("{s:s,s:o}", "timezone", zone_name, "next", times));
    size_t i;
    json_t *one;
    json_array_foreach(times, i, one)
        printf("%s %s   %s\n", out_str(one, "local"), zone_name, out_str(one, "utc"));
    if (json_array_size(times) == 0)
        puts("never");
    json_decref(times);
    return CLI_OK;
}

/* The expression and zone of the rule or schedule of that name. */
static int find(struct cli *cli, const char *name, char expr[static SCHEDULE_TEXT_MAX + 1],
                char zone[static ZONE_NAME_MAX + 1])
{
    json_t *rows, *row;
    size_t i;
    int rc = fetch(cli, &rows);
    if (rc)
        return rc;
    rc = CLI_NOT_FOUND;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(out_str(row, "name"), name) != 0)
            continue;
        snprintf(expr, SCHEDULE_TEXT_MAX + 1, "%s", out_str(row, "expression"));
        snprintf(zone, ZONE_NAME_MAX + 1, "%s", out_str(row, "timezone"));
        rc = CLI_OK;
    }
    json_decref(rows);
    return rc == CLI_OK ? rc : cli_fail(rc, "there is no rule or schedule '%s'", name);
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
    if (strchr(what, '(') || strchr(what, ' ')) {
        snprintf(expr, sizeof expr, "%s", what);
    } else {
        int rc = find(cli, what, expr, zone);
        if (rc)
            return rc;
    }
    if (schedule_parse(str_c(expr), &e, &err))
        return cli_fail(CLI_USAGE, "'%s': %s", expr, err.text);
    return print_next(cli, &e, zone, after_ms / 1000);
}

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
