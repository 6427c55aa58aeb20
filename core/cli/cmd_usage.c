/* cmd_usage: what functions used, by day, and what AWS would ask for the same at its list price. */
#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

enum { COLUMNS = 8 };

/* The rows of all pages; the last page, for what it says beside them. */
static int fetch(struct cli *cli, json_t *rows, json_t **last)
{
    static const char *const flags[][2] = {{"from", "--from"}, {"to", "--to"}};
    struct client c;
    struct buf path = BUF_INIT;
    const char *function = cli_arg(cli, 0);
    int rc = client_init(&c, cli);
    *last = NULL;
    for (bool more = true; rc == CLI_OK && more;) {
        buf_clear(&path);
        buf_printf(&path, "/perilune/v1/usage?cursor=%s", *last ? out_str(*last, "cursor") : "");
        for (size_t i = 0; i < 2; i++) {
            if (!cli_value(cli, flags[i][1]))
                continue;
            buf_printf(&path, "&%s=", flags[i][0]);
            uri_encode(&path, str_c(cli_value(cli, flags[i][1])), false);
        }
        if (function) {
            buf_lit(&path, "&function=");
            uri_encode(&path, str_c(function), false);
        }
        buf_addc(&path, 0);
        json_decref(*last);
        *last = NULL;
        rc = client_json(&c, "perilune", "GET", path.p, NULL, "usage", last);
        json_array_extend(rows, json_object_get(*last, "usage"));
        more = *out_str(*last, "cursor") != 0;
    }
    buf_deinit(&path);
    return rc;
}

/* --- sums --------------------------------------------------------------------------------------- */

static void add_number(json_t *into, const json_t *row, const char *member)
{
    json_t *sum = json_object_get(into, member), *v = json_object_get(row, member);
    if (json_is_integer(v))
        json_object_set_new(into, member,
                            json_integer(json_integer_value(sum) + json_integer_value(v)));
    else
        json_object_set_new(into, member, json_real(json_number_value(sum) + json_number_value(v)));
}

static void add_row(json_t *into, const json_t *row)
{
    static const char *const members[] = {"requests", "errors",      "billed_ms",
                                          "gb_s",     "duration_ms", "list_usd"};
    long long peak = out_int(row, "peak_bytes");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        add_number(into, row, members[i]);
    if (peak > out_int(into, "peak_bytes") || !json_object_get(into, "peak_bytes"))
        json_object_set_new(into, "peak_bytes", json_integer(peak));
}

/* Rows with the same `member` become one, in the order of their first. */
static json_t *grouped(const json_t *rows, const char *member)
{
    json_t *by = json_object(), *all = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const char *name = out_str(row, member);
        json_t *sum = json_object_get(by, name);
        if (!sum) {
            sum = json_pack("{s:s}", member, name);
            if (strcmp(member, "function") == 0)
                json_object_set(sum, "deleted", json_object_get(row, "deleted"));
            json_object_set(by, name, sum);
            json_array_append_new(all, sum);
        }
        add_row(sum, row);
    }
    json_decref(by);
    return all;
}

static json_t *total_of(const json_t *rows)
{
    json_t *total = json_object(), *row;
    size_t i;
    json_array_foreach(rows, i, row) add_row(total, row);
    return total;
}

/* --- printing ----------------------------------------------------------------------------------- */

struct cells {
    char text[COLUMNS][80];
    const char *at[COLUMNS];
};

static void fill(struct cells *c, const json_t *row, bool plain)
{
    const char *function = out_str(row, "function"), *day = out_str(row, "day");
    double gb_s = json_number_value(json_object_get(row, "gb_s")),
           usd = json_number_value(json_object_get(row, "list_usd"));
    long long peak = out_int(row, "peak_bytes");
    snprintf(c->text[2], sizeof c->text[2], "%lld", out_int(row, "requests"));
    snprintf(c->text[3], sizeof c->text[3], "%lld", out_int(row, "errors"));
    snprintf(c->text[4], sizeof c->text[4], "%lld", out_int(row, "billed_ms"));
    snprintf(c->text[5], sizeof c->text[5], "%.3f", gb_s);
    if (plain)
        snprintf(c->text[6], sizeof c->text[6], "%lld", peak);
    else
        snprintf(c->text[6], sizeof c->text[6], "%s", out_size((uint64_t)peak));
    snprintf(c->text[7], sizeof c->text[7], "%.*f", plain ? 9 : 6, usd);
    snprintf(c->text[0], sizeof c->text[0], "%s (deleted)", function);
    bool deleted = !plain && json_is_true(json_object_get(row, "deleted"));
    c->at[0] = deleted ? c->text[0] : *function ? function : plain ? "" : "all";
    c->at[1] = *day ? day : plain ? "" : "all";
    for (int i = 2; i < COLUMNS; i++)
        c->at[i] = c->text[i];
}

static void print_csv(const json_t *rows)
{
    json_t *row;
    size_t i;
    puts("function,day,requests,errors,billed_ms,gb_s,peak_bytes,list_usd");
    json_array_foreach(rows, i, row)
    {
        struct cells c;
        fill(&c, row, true);
        for (int k = 0; k < COLUMNS; k++) /* names have no comma and no quote */
            printf("%s%s", c.at[k], k == COLUMNS - 1 ? "\n" : ",");
    }
}

static void print_table(const json_t *rows, const json_t *total)
{
    static const char *const head[COLUMNS] = {"FUNCTION",  "DAY",  "REQUESTS", "ERRORS",
                                              "BILLED MS", "GB-S", "PEAK",     "AT AWS, USD"};
    struct out_table *t = out_table_new(COLUMNS);
    struct cells c;
    json_t *row;
    size_t i;
    out_row(t, head);
    json_array_foreach(rows, i, row)
    {
        fill(&c, row, false);
        out_row(t, c.at);
    }
    if (json_array_size(rows) > 1) {
        fill(&c, total, false);
        out_row(t, c.at);
    }
    out_table_end(t);
}

static int run_usage(struct cli *cli)
{
    const char *by = cli_value(cli, "--by");
    json_t *rows = json_array(), *page;
    if (by && strcmp(by, "day") != 0 && strcmp(by, "function") != 0) {
        json_decref(rows);
        return cli_fail(CLI_USAGE, "--by '%s' should be day or function", by);
    }
    int rc = fetch(cli, rows, &page);
    if (rc == CLI_OK && by) {
        json_t *sums = grouped(rows, by);
        json_decref(rows);
        rows = sums;
    }
    json_t *total = total_of(rows);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        out_json(json_pack("{s:O, s:O, s:O, s:O, s:O}", "from", json_object_get(page, "from"), "to",
                           json_object_get(page, "to"), "usage", rows, "total", total, "list_price",
                           json_object_get(page, "list_price")));
    else if (rc == CLI_OK && cli_has(cli, "--csv"))
        print_csv(rows);
    else if (rc == CLI_OK)
        print_table(rows, total);
    json_decref(total);
    json_decref(rows);
    json_decref(page);
    return rc;
}

static const struct cli_flag flags[] = {
    {"--from", 0, "DAY", "first day, UTC, such as 2026-11-01 (default: 30 days back)", false},
    {"--to", 0, "DAY", "last day (default: today)", false},
    {"--by", 0, "WHAT", "one line for each day, or for each function", false},
    {"--csv", 0, NULL, "comma-separated values", false},
    {0},
};

const struct cli_command cmd_usage = {
    .name = "usage",
    .args = "[FUNCTION]",
    .help = "requests, billed time, GB-seconds and memory by function and day",
    .more = "  perilune usage --from 2026-11-01 --by function\n\n"
            "The last column is AWS Lambda's list price (x86, us-east-1) for the same. The last "
            "400 days that a\n"
            "function was called on are kept.",
    .flags = flags,
    .kind = CLI_CLIENT,
    .run = run_usage,
};
