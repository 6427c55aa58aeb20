/* cmd_runs: the server's ledger of events: what ran, what is to run, what was given up.
 *
 * replay sends a run's event again, as it was or another: from the command line, a file, standard
 * input, or the person's own editor. redrive puts dead events back into the queue. */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/stdin.h"

enum { EVENT_MAX = 1024 * 1024, PAGE = 200, LIST_DEFAULT = 50 };

/* "/perilune/v1/KIND/ID/ACTION", NUL-terminated; id and action may be NULL. */
static void put_path(struct buf *out, const char *kind, const char *id, const char *action)
{
    buf_printf(out, "/perilune/v1/%s", kind);
    if (id) {
        buf_addc(out, '/');
        uri_encode(out, str_c(id), false);
    }
    if (action)
        buf_printf(out, "/%s", action);
}

/* --- lists -------------------------------------------------------------------------------------
 */

static void add_filter(struct buf *query, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(query, "&%s=", name);
    uri_encode(query, str_c(value), false);
}

static int count_wanted(struct cli *cli, uint64_t *out)
{
    const char *limit = cli_value(cli, "--limit");
    *out = LIST_DEFAULT;
    if (limit && (!str_u64(str_c(limit), out) || *out == 0))
        return cli_fail(CLI_USAGE, "--limit '%s' should be a number above 0", limit);
    return CLI_OK;
}

/* Gathers `member` of the pages, at most `want` rows. */
static int pages(struct client *c, const char *kind, struct str filters, uint64_t want, json_t *all)
{
    struct buf path = BUF_INIT;
    json_t *page = NULL;
    int rc = CLI_OK;
    for (bool more = true; rc == CLI_OK && more;) {
        uint64_t left = want - json_array_size(all);
        const char *cursor = page ? out_str(page, "cursor") : "";
        buf_clear(&path);
        buf_printf(&path, "/perilune/v1/%s?limit=%d%.*s%s%s%c", kind,
                   left < PAGE ? (int)left : PAGE, STR_FMT(filters), *cursor ? "&cursor=" : "",
                   cursor, 0);
        json_decref(page);
        page = NULL;
        rc = client_json(c, "perilune", "GET", path.p, NULL, "list", &page);
        json_array_extend(all, json_object_get(page, kind));
        more = *out_str(page, "cursor") != 0 && json_array_size(all) < want;
    }
    json_decref(page);
    buf_deinit(&path);
    return rc;
}

static void print_rows(const json_t *rows)
{
    static const char *const head[] = {"ID",    "FUNCTION", "SOURCE",  "STATE",
                                       "TRIES", "ACCEPTED", "REQUEST", "ERROR"};
    struct out_table *t = out_table_new(8);
    size_t i;
    json_t *row;
    out_row(t, head);
    json_array_foreach(rows, i, row)
    {
        char tries[32];
        snprintf(tries, sizeof tries, "%lld", out_int(row, "attempts"));
        const char *cells[] = {out_str(row, "id"),
                               out_str(row, "function"),
                               out_str(row, "source"),
                               out_str(row, "state"),
                               tries,
                               out_str(row, "accepted"),
                               out_str(row, "request_id"),
                               out_str(row, "error_type")};
        out_row(t, cells);
    }
    out_table_end(t);
}

static int list(struct cli *cli, const char *kind, const char *state, const char *source)
{
    struct client c;
    struct buf filters = BUF_INIT;
    uint64_t want = 0;
    int rc = count_wanted(cli, &want);
    if (rc == CLI_OK)
        rc = client_init(&c, cli);
    if (rc)
        return rc;
    json_t *rows = json_array();
    add_filter(&filters, "function", cli_arg(cli, 0));
    add_filter(&filters, "state", state);
    add_filter(&filters, "source", source);
    rc = pages(&c, kind, buf_str(&filters), want, rows);
    buf_deinit(&filters);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(json_pack("{s:o}", kind, rows));
    if (rc == CLI_OK)
        print_rows(rows);
    json_decref(rows);
    return rc;
}

static int run_list(struct cli *cli)
{
    return list(cli, "runs", cli_value(cli, "--state"), cli_value(cli, "--source"));
}

static int run_dead_list(struct cli *cli)
{
    return list(cli, "dead", NULL, NULL);
}

/* --- one ---------------------------------------------------------------------------------------
 */

static void print_json(const char *name, const json_t *v)
{
    char *text = v ? out_dumps(v, JSON_COMPACT) : NULL;
    out_field(name, text);
    free(text);
}

static void print_run(const json_t *run)
{
    static const char *const fields[] = {
        "id",       "function", "qualifier", "source",    "source_arn", "state", "request_id",
        "accepted", "due",      "ended",     "replay_of", "error_type", "error", "chain"};
    char tries[32];
    size_t i;
    json_t *each;
    for (size_t n = 0; n < sizeof fields / sizeof *fields; n++)
        out_field(fields[n], out_str(run, fields[n]));
    snprintf(tries, sizeof tries, "%lld", out_int(run, "attempts"));
    out_field("attempts", tries);
    json_array_foreach(json_object_get(run, "tries"), i, each)
    {
        char line[256];
        double ms = json_number_value(json_object_get(each, "duration_ms"));
        snprintf(line, sizeof line, "%s  %.2f ms  %s", out_str(each, "started"), ms,
                 *out_str(each, "error_type") ? out_str(each, "error_type") : "ok");
        out_field("try", line);
    }
    print_json("result", json_object_get(run, "result"));
    out_field("result", out_str(run, "result_text"));
    print_json("event", json_object_get(run, "event"));
}

static int show(struct cli *cli, bool dead)
{
    struct client c;
    struct buf path = BUF_INIT;
    json_t *run = NULL;
    int rc = client_init(&c, cli);
    put_path(&path, "runs", cli_arg(cli, 0), NULL);
    buf_addc(&path, 0);
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", "GET", path.p, NULL, cli_arg(cli, 0), &run);
    buf_deinit(&path);
    if (rc == CLI_OK && dead && strcmp(out_str(run, "state"), "dead") != 0)
        rc = cli_fail(CLI_CONFLICT, "%s is not on the dead list: it is %s", cli_arg(cli, 0),
                      out_str(run, "state"));
    else if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(run);
    else if (rc == CLI_OK)
        print_run(run);
    json_decref(run);
    return rc;
}

static int run_show(struct cli *cli)
{
    return show(cli, false);
}

static int run_dead_show(struct cli *cli)
{
    return show(cli, true);
}

/* --- replay ------------------------------------------------------------------------------------
 */

/* Runs the editor on the file; the shell takes what $EDITOR says, arguments too. */
static int edit_file(const char *file)
{
    const char *editor = getenv("VISUAL") ? getenv("VISUAL") : getenv("EDITOR");
    int status = 0;
    if (!editor || !*editor)
        editor = "vi";
    pid_t pid = fork();
    if (pid == 0) {
        char command[4096];
        snprintf(command, sizeof command, "%s \"$1\"", editor);
        execl("/bin/sh", "sh", "-c", command, "sh", file, (char *)NULL);
        _exit(127);
    }
    if (pid < 0)
        return cli_fail(CLI_FAILED, "%s: %s", editor, strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status ? cli_fail(CLI_FAILED, "%s did not end well: nothing is replayed", editor)
                  : CLI_OK;
}

static int write_event(int fd, const json_t *event)
{
    char *text = out_dumps(event, JSON_INDENT(2));
    size_t n = strlen(text);
    bool written = write(fd, text, n) == (ssize_t)n && write(fd, "\n", 1) == 1;
    free(text);
    return written ? CLI_OK : cli_fail(CLI_FAILED, "cannot write the event to edit");
}

/* The run's event, as the person leaves it in the editor. */
static int edited_event(struct cli *cli, struct client *c, struct buf *out)
{
    const char *dir = getenv("TMPDIR");
    char file[512];
    struct buf path = BUF_INIT;
    json_t *run = NULL;
    put_path(&path, "runs", cli_arg(cli, 0), NULL);
    buf_addc(&path, 0);
    int rc = client_json(c, "perilune", "GET", path.p, NULL, cli_arg(cli, 0), &run);
    buf_deinit(&path);
    if (rc)
        return rc;
    snprintf(file, sizeof file, "%s/perilune-event-XXXXXX", dir && *dir ? dir : "/tmp");
    int fd = mkstemp(file);
    if (fd < 0) {
        json_decref(run);
        return cli_fail(CLI_FAILED, "%s: %s", file, strerror(errno));
    }
    rc = write_event(fd, json_object_get(run, "event"));
    close(fd);
    json_decref(run);
    if (rc == CLI_OK)
        rc = edit_file(file);
    if (rc == CLI_OK)
        rc = stdin_file(file, out);
    unlink(file);
    return rc;
}

static int read_event(struct cli *cli, struct client *c, struct buf *out)
{
    const char *data = cli_value(cli, "--event"), *file = cli_value(cli, "--file");
    struct err err = {0};
    buf_init(out, EVENT_MAX);
    if (!!data + !!file + cli_has(cli, "--edit") > 1)
        return cli_fail(CLI_USAGE, "give one of --edit, --event and --file");
    if (!data && !file && !cli_has(cli, "--edit"))
        return CLI_OK;
    int rc = CLI_OK;
    if (data)
        buf_add(out, str_c(data));
    else
        rc = file ? stdin_file(file, out) : edited_event(cli, c, out);
    if (rc == CLI_OK && out->rc)
        rc = cli_fail(CLI_FAILED, "an event has at most %d bytes", EVENT_MAX);
    json_t *parsed = rc == CLI_OK ? json_parse(buf_str(out), &err) : NULL;
    if (rc == CLI_OK && !parsed)
        rc = cli_fail(CLI_FAILED, "the event is no JSON: %s", err_text(&err, err.code));
    json_decref(parsed);
    return rc;
}

static int run_replay(struct cli *cli)
{
    struct client c;
    struct client_res res;
    struct buf path = BUF_INIT, event = BUF_INIT;
    int rc = client_init(&c, cli);
    if (rc == CLI_OK)
        rc = read_event(cli, &c, &event);
    put_path(&path, "runs", cli_arg(cli, 0), "replay");
    struct client_req req = {
        .service = "perilune", .method = "POST", .path = buf_str(&path), .body = buf_str(&event)};
    if (rc == CLI_OK && (rc = client_send(&c, &req, &res)) == CLI_OK) {
        rc = client_check(&c, &res, cli_arg(cli, 0));
        json_t *answer = rc == CLI_OK ? json_parse(buf_str(&res.body), NULL) : NULL;
        if (answer && cli_has(cli, "--json"))
            out_json(json_incref(answer));
        else if (answer)
            printf("queued as run %s\n", out_str(answer, "id"));
        json_decref(answer);
        client_res_free(&res);
    }
    buf_deinit(&path);
    buf_deinit(&event);
    return rc;
}

/* --- the dead ----------------------------------------------------------------------------------
 */

/* One event by its id, those of a function, or all. */
static int change_dead(struct cli *cli, const char *method, const char *action, const char *done,
                       const char *member)
{
    struct client c;
    struct buf path = BUF_INIT;
    json_t *answer = NULL;
    const char *id = cli_arg(cli, 0), *function = cli_value(cli, "--function");
    bool all = cli_has(cli, "--all");
    if (!!id + !!function + all != 1)
        return cli_fail(CLI_USAGE, "give an ID, --function NAME or --all");
    int rc = client_init(&c, cli);
    put_path(&path, "dead", id, action);
    if (function) {
        buf_lit(&path, "?function=");
        uri_encode(&path, str_c(function), false);
    } else if (all) {
        buf_lit(&path, "?all=1");
    }
    buf_addc(&path, 0);
    if (rc == CLI_OK)
        rc = client_json(&c, "perilune", method, path.p, NULL,
                         id         ? id
                         : function ? function
                                    : member,
                         &answer);
    buf_deinit(&path);
    if (rc)
        return rc;
    if (cli_has(cli, "--json"))
        return out_json(answer);
    printf("%lld %s\n", out_int(answer, member), done);
    if (out_int(answer, "skipped"))
        printf("%lld left where they are: their function is gone\n", out_int(answer, "skipped"));
    json_decref(answer);
    return CLI_OK;
}

static int run_redrive(struct cli *cli)
{
    return change_dead(cli, "POST", "redrive", "back in the queue", "redriven");
}

static int run_drop(struct cli *cli)
{
    return change_dead(cli, "DELETE", NULL, "dropped", "dropped");
}

/* -----------------------------------------------------------------------------------------------
 */

static const struct cli_flag list_flags[] = {
    {"--state", 0, "STATE", "queued, running, waiting, done or dead", false},
    {"--source", 0, "SOURCE", "invoke, url, s3, lambda, events, scheduler or replay", false},
    {"--limit", 0, "N", "rows at most (50)", false},
    {0},
};

static const struct cli_flag dead_list_flags[] = {
    {"--limit", 0, "N", "rows at most (50)", false},
    {0},
};

static const struct cli_flag replay_flags[] = {
    {"--edit", 0, NULL, "change the event in $EDITOR first", false},
    {"--event", 'd', "JSON", "another event", false},
    {"--file", 'f', "FILE", "another event from a file, '-' for standard input", false},
    {0},
};

static const struct cli_flag dead_flags[] = {
    {"--function", 0, "NAME", "all dead events of a function", false},
    {"--all", 0, NULL, "all dead events", false},
    {0},
};

const struct cli_command cmd_runs_list = {
    .name = "runs list",
    .args = "[FUNCTION]",
    .help = "events that ran, run or are to run, newest first",
    .flags = list_flags,
    .kind = CLI_CLIENT,
    .run = run_list,
};

const struct cli_command cmd_runs_show = {
    .name = "runs show",
    .args = "ID",
    .help = "one run: its event, its tries, its result or error",
    .kind = CLI_CLIENT,
    .run = run_show,
};

const struct cli_command cmd_runs_replay = {
    .name = "runs replay",
    .args = "ID",
    .help = "send a run's event again, as it was or edited",
    .flags = replay_flags,
    .kind = CLI_CLIENT,
    .run = run_replay,
};

const struct cli_command cmd_dead_list = {
    .name = "dead list",
    .args = "[FUNCTION]",
    .help = "events that were given up",
    .flags = dead_list_flags,
    .kind = CLI_CLIENT,
    .run = run_dead_list,
};

const struct cli_command cmd_dead_show = {
    .name = "dead show",
    .args = "ID",
    .help = "one of them: its event, its tries, why it was given up",
    .kind = CLI_CLIENT,
    .run = run_dead_show,
};

const struct cli_command cmd_dead_redrive = {
    .name = "dead redrive",
    .args = "[ID]",
    .help = "put dead events back into the queue",
    .flags = dead_flags,
    .kind = CLI_CLIENT,
    .run = run_redrive,
};

const struct cli_command cmd_dead_drop = {
    .name = "dead drop",
    .args = "[ID]",
    .help = "forget dead events",
    .flags = dead_flags,
    .kind = CLI_CLIENT,
    .run = run_drop,
};
