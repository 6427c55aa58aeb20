/* cmd_doctor: what commonly goes wrong, looked at one by one, each with what to do about it.
 *
 * Exits as the first check that failed would: 6 no server, 4 no good keys, 1 anything else. A
 * warning changes nothing. */
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/version.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/paths.h"
#include "cli/workshop.h"

struct doctor {
    json_t *checks;
    int rc; /* of the first failure */
};

enum state { FINE, WARNING, FAILED };
static const char *const states[] = {"ok", "warning", "failed"};

/* hint (NULL: none) says what to do. */
static void note(struct doctor *d, const char *check, enum state state, const char *hint,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void note(struct doctor *d, const char *check, enum state state, const char *hint,
                 const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    json_t *row = json_pack("{s:s, s:s, s:o}", "check", check, "state", states[state], "detail",
                            json_text(buf_str(&text)));
    json_object_set_new(row, "hint", hint ? json_string(hint) : json_null());
    json_array_append_new(d->checks, row);
    buf_deinit(&text);
    if (state == FAILED && d->rc == CLI_OK)
        d->rc = CLI_FAILED;
}

static void check_runtime(struct doctor *d)
{
    struct workshop *w = workshop_open();
    if (w)
        note(d, "runtime", FINE, NULL, "perilune %s makes its jail on this machine",
             PERILUNE_VERSION);
    else
        note(d, "runtime", FAILED,
             "what is missing is said above; PERILUNE_ALLOW_WEAK_JAIL=yes "
             "goes on without it",
             "a function's jail cannot be made here");
    workshop_close(w);
}

/* "Fri, 27 Nov 2026 18:03:11 GMT" against our clock. */
static void check_clock(struct doctor *d, struct str date)
{
    enum { SKEW_MAX_S = 300, NOTICEABLE_S = 30 };
    char text[40];
    struct tm tm = {0};
    snprintf(text, sizeof text, "%.*s", STR_FMT(date));
    if (!date.p || !strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        return;
    long long skew = (long long)(timegm(&tm) - clock_wall_ms() / 1000);
    long long apart = skew < 0 ? -skew : skew;
    note(d, "clock",
         apart > SKEW_MAX_S     ? FAILED
         : apart > NOTICEABLE_S ? WARNING
                                : FINE,
         apart > NOTICEABLE_S ? "set the clocks: signatures are good for five minutes" : NULL,
         "the server's clock is %lld s %s ours", apart, skew < 0 ? "behind" : "ahead of");
}

static bool check_server(struct doctor *d, struct client *c)
{
    struct client_res res;
    struct client_req req = {.service = "perilune", .method = "GET", .path = STR("/healthz")};
    uint64_t start = clock_mono_ns();
    c->quiet = true;
    if (client_send(c, &req, &res) != 0) {
        note(d, "server", FAILED,
             "start one with 'perilune serve --data DIR', or name another with --endpoint",
             "nothing answers at %s", c->target.url);
        d->rc = CLI_UNREACHABLE;
        return false;
    }
    double ms = (double)(clock_mono_ns() - start) / 1e6;
    if (res.status == 200)
        note(d, "server", FINE, NULL, "%s answers in %.1f ms", c->target.url, ms);
    else
        note(d, "server", res.status == 503 ? WARNING : FAILED,
             "see its log; read-only means that its disk is full or failing", "%s answers %d: %.*s",
             c->target.url, res.status, STR_FMT(buf_str(&res.body)));
    check_clock(d, client_header(&res, "date"));
    client_res_free(&res);
    return true;
}

/* The server's status, read with our keys; NULL when they are no good. */
static json_t *check_keys(struct doctor *d, struct client *c)
{
    struct client_res res;
    struct client_req req = {
        .service = "perilune", .method = "GET", .path = STR("/perilune/v1/status")};
    json_t *status = NULL;
    if (client_send(c, &req, &res) != 0)
        return NULL;
    if (res.status == 200) {
        status = json_parse(buf_str(&res.body), NULL);
        note(d, "keys", FINE, NULL, "accepted; from %s", c->target.keys_from);
    } else {
        note(d, "keys", FAILED,
             "use those of root.credentials in the server's data folder: --data DIR",
             "refused (%d); %s%s", res.status, c->target.access_key[0] ? "from " : "",
             c->target.keys_from);
        if (d->rc == CLI_OK || d->rc == CLI_FAILED)
            d->rc = CLI_DENIED;
    }
    client_res_free(&res);
    return status;
}

static void check_status(struct doctor *d, const json_t *status)
{
    const char *jail = out_str(status, "jail");
    const json_t *queue = json_object_get(status, "queue"), *loop = json_object_get(status, "loop");
    bool landlock = strstr(jail, "landlock") != NULL;
    note(d, "jail", landlock ? FINE : WARNING,
         landlock ? NULL : "a kernel from 5.13 on has Landlock, which keeps functions from files",
         "the server's functions run behind %s", jail);
    note(d, "queue", out_int(queue, "dead") ? WARNING : FINE,
         out_int(queue, "dead") ? "events that failed for good wait in the dead list" : NULL,
         "%lld queued, %lld waiting to be tried again, %lld dead", out_int(queue, "queued"),
         out_int(queue, "waiting"), out_int(queue, "dead"));
    note(d, "loop", out_int(loop, "longest_us") > 100000 ? WARNING : FINE, NULL,
         "%lld of %lld turns took more than 2 ms (%lld of the processor), the longest %.1f ms "
         "(%.1f)",
         out_int(loop, "over_2ms"), out_int(loop, "turns"), out_int(loop, "cpu_over_2ms"),
         (double)out_int(loop, "longest_us") / 1000,
         (double)out_int(loop, "cpu_longest_us") / 1000);
}

/* The data folder, when it is on this machine and we may look. */
static void check_disk(struct doctor *d, struct cli *cli)
{
    struct statvfs fs;
    const char *data = cli_value(cli, "--data") ? cli_value(cli, "--data") : paths_data();
    if (statvfs(data, &fs) != 0)
        return;
    uint64_t all = (uint64_t)fs.f_blocks * fs.f_frsize, left = (uint64_t)fs.f_bavail * fs.f_frsize;
    bool low = left < all / 20 && left < (64 << 20);
    bool near = left < all / 10;
    note(d, "disk",
         low    ? FAILED
         : near ? WARNING
                : FINE,
         near ? "below 5 % and 64 MiB the server takes no writes" : NULL, "%s has %s of %s left",
         data, out_size(left), out_size(all));
}

static void check_aws(struct doctor *d)
{
    const char *path = getenv("PATH");
    struct str rest = str_c(path ? path : "");
    while (rest.n) {
        char program[4096];
        struct str folder = str_cut(&rest, ':');
        snprintf(program, sizeof program, "%.*s/aws", STR_FMT(folder));
        if (access(program, X_OK) == 0) {
            note(d, "aws", FINE, NULL, "%s; 'perilune aws …' runs it against this server", program);
            return;
        }
    }
    note(d, "aws", WARNING, "only 'perilune aws' needs it; on Debian: apt install awscli",
         "the aws command is not installed");
}

static void print_checks(const json_t *checks)
{
    static const enum out_colour colours[] = {OUT_GREEN, OUT_YELLOW, OUT_RED};
    size_t i;
    json_t *c;
    json_array_foreach(checks, i, c)
    {
        enum state s = FINE;
        while (strcmp(states[s], out_str(c, "state")) != 0)
            s++;
        out_colour(colours[s]);
        printf("%-8s", states[s]);
        out_colour(OUT_PLAIN);
        printf(" %-8s ", out_str(c, "check"));
        out_text(str_c(out_str(c, "detail")));
        if (*out_str(c, "hint"))
            printf("\n%18s%s", "", out_str(c, "hint"));
        putchar('\n');
    }
}

static int run_doctor(struct cli *cli)
{
    struct doctor d = {.checks = json_array()};
    struct client c;
    int rc = client_init(&c, cli);
    if (rc == CLI_OK) {
        check_runtime(&d);
        json_t *status = check_server(&d, &c) ? check_keys(&d, &c) : NULL;
        if (status)
            check_status(&d, status);
        json_decref(status);
        check_disk(&d, cli);
        check_aws(&d);
        rc = d.rc;
        if (cli_has(cli, "--json"))
            out_json(json_pack("{s:O}", "checks", d.checks));
        else
            print_checks(d.checks);
    }
    json_decref(d.checks);
    return rc;
}

const struct cli_command cmd_doctor = {
    .name = "doctor",
    .args = "",
    .help = "look for what commonly goes wrong, and say what to do",
    .kind = CLI_CLIENT,
    .run = run_doctor,
};
