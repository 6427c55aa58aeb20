/* cmd_dev: a server of its own for the project at hand, which deploys it anew on each save.
 *
 * The server is a child of ours on a free port, with a fresh data folder in DIR/.perilune/dev that
 * goes when we go. A save is first packed (which finds syntax errors), then the handler is loaded in
 * a jailed runner here (which finds what its top level raises); only what passes is deployed, so the
 * version before it keeps serving while a mistake is being mended. All on one loop; requests to the
 * server block it, which is a matter of milliseconds. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/deliver.h"
#include "cli/follower.h"
#include "cli/out.h"
#include "cli/root_key.h"
#include "cli/tree.h"
#include "cli/watch.h"
#include "cli/workshop.h"

enum { PORT = 1969, READY_MS = 15000, STOP_MS = 5000, PROJECTS_MAX = 50, TRY_MS = 10000 };

struct dev_project {
    char path[4096];
    char name[72];   /* of the function; "" until it was deployed once */
    char sha256[65]; /* of the package that was looked at last */
    bool serving;    /* some version is deployed */
    struct follower *follower;
};

struct dev {
    uv_loop_t loop;
    uv_signal_t intr, term, hup, chld;
    struct watch *watch;
    char dir[4096], state[4200], data[4300], listen[280];
    bool keep, stopping, printed;
    int lock_fd;
    pid_t server;
    struct client client;
    struct dev_project projects[PROJECTS_MAX];
    size_t count;
    int rc;
};

static int64_t now_ms(void)
{
    return (int64_t)(clock_mono_ns() / 1000000);
}

/* --- the folder --------------------------------------------------------------------------------
 */

static bool has_manifest(const char *folder)
{
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/function.lua", folder);
    return stat(path, &st) == 0;
}

static int add_project(void *ctx, const char *path, const char *inside, bool folder)
{
    struct dev *d = ctx;
    if (!folder || strchr(inside, '/') || !has_manifest(path))
        return 0;
    if (d->count == PROJECTS_MAX)
        return cli_fail(CLI_USAGE, "more than %d functions in %s", PROJECTS_MAX, d->dir);
    snprintf(d->projects[d->count++].path, sizeof d->projects[0].path, "%s", path);
    return 0;
}

/* The folder itself, or each folder in it that has a function.lua. */
static int find_projects(struct dev *d, const char *dir)
{
    char *real = realpath(dir, NULL);
    if (!real)
        return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s", dir,
                        strerror(errno));
    snprintf(d->dir, sizeof d->dir, "%s", real);
    free(real);
    if (has_manifest(d->dir)) {
        snprintf(d->projects[0].path, sizeof d->projects[0].path, "%s", d->dir);
        d->count = 1;
        return CLI_OK;
    }
    int rc = tree_walk(d->dir, true, add_project, d);
    if (rc == CLI_OK && d->count == 0)
        rc =
            cli_fail(CLI_USAGE,
                     "%s holds no function.lua, nor does a folder in it; 'perilune init %s' starts "
                     "a project",
                     dir, dir);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    remove(path);
    return 0;
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* DIR/.perilune/dev, else one under the user's cache when DIR cannot be written. */
static int make_state(struct dev *d)
{
    char parent[4200], sha[65];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    snprintf(parent, sizeof parent, "%s/.perilune", d->dir);
    if (mkdir(parent, 0700) != 0 && (errno == EACCES || errno == EROFS)) {
        sha256_hex(str_c(d->dir), sha);
        if (cache && *cache)
            snprintf(parent, sizeof parent, "%s/perilune-%.16s", cache, sha);
        else
            snprintf(parent, sizeof parent, "%s/.cache/perilune-%.16s", home ? home : "/tmp", sha);
        mkdir(parent, 0700);
    }
    struct stat st;
    if (lstat(parent, &st) != 0 || !S_ISDIR(st.st_mode))
        return cli_fail(CLI_FAILED, "%s cannot be made a folder for the server's data", parent);
    snprintf(d->state, sizeof d->state, "%.4180s/dev", parent);
    if (mkdir(d->state, 0711) != 0 && errno != EEXIST)
        return cli_fail(CLI_FAILED, "%s: %s", d->state, strerror(errno));
    snprintf(d->data, sizeof d->data, "%s/data", d->state);
    return CLI_OK;
}

/* One of us a folder: the other's data would go. */
static int take_lock(struct dev *d)
{
    char path[4300], pid[32] = "";
    snprintf(path, sizeof path, "%s/lock", d->state);
    d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0)
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = read(d->lock_fd, pid, sizeof pid - 1);
        pid[n > 0 ? n : 0] = 0;
        close(d->lock_fd);
        d->lock_fd = -1; /* what is there is the other's */
        return cli_fail(CLI_CONFLICT, "another 'perilune dev' runs in this folder (pid %s)", pid);
    }
    int n = snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (ftruncate(d->lock_fd, 0) != 0 || write(d->lock_fd, pid, (size_t)n) != n)
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    if (!d->keep)
        remove_tree(d->data);
    return CLI_OK;
}

/* --- the server --------------------------------------------------------------------------------
 */

static int port_of(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, found = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &size) == 0)
        found = ntohs(a.sin_port);
    if (fd >= 0)
        close(fd);
    return found;
}

static void print_log_end(const char *path)
{
    char text[2048];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    off_t from = size > (off_t)sizeof text ? size - (off_t)sizeof text : 0;
    ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof text, from);
    if (n > 0)
        fwrite(text, 1, (size_t)n, stderr);
    if (fd >= 0)
        close(fd);
}

static int server_gone(const struct dev *d, const char *what, int code)
{
    char path[4300];
    snprintf(path, sizeof path, "%s/server.log", d->state);
    print_log_end(path);
    return cli_fail(CLI_FAILED, "the server %s (exit code %d)", what, code);
}

static int start_server(struct dev *d)
{
    static const char *const unset[] = {"PERILUNE_ROOT_ACCESS_KEY", "PERILUNE_ROOT_SECRET_KEY",
                                        "PERILUNE_CONSOLE_LISTEN", NULL};
    char program[] = "perilune", serve[] = "serve", data[] = "--data", at[] = "--listen", log[4300];
    char *argv[] = {program, serve, data, d->data, at, d->listen, NULL};
    snprintf(log, sizeof log, "%s/server.log", d->state);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return cli_fail(CLI_FAILED, "%s: %s", log, strerror(errno));
    d->server = child_start(argv, fd, fd, unset);
    close(fd);
    return d->server > 0 ? CLI_OK : cli_fail(CLI_FAILED, "fork: %s", strerror(errno));
}

/* Our requests and the followers' go there, with the key that the server has just made. */
static int take_keys(struct dev *d)
{
    struct root_key key;
    struct err err = {0};
    struct target *t = &d->client.target;
    if (root_key_read(d->data, &key, &err) != 0)
        return cli_fail(CLI_FAILED, "%s", err.text);
    memcpy(t->access_key, key.access_key, sizeof t->access_key);
    memcpy(t->secret, key.secret, sizeof t->secret);
    snprintf(t->region, sizeof t->region, "us-east-1");
    snprintf(t->keys_from, sizeof t->keys_from, "the folder of 'perilune dev'");
    setenv("AWS_ACCESS_KEY_ID", key.access_key, 1);
    setenv("AWS_SECRET_ACCESS_KEY", key.secret, 1);
    unsetenv("AWS_SESSION_TOKEN");
    setenv("PERILUNE_ENDPOINT", t->url, 1);
    return CLI_OK;
}

static int wait_ready(struct dev *d)
{
    struct client_req req = {.service = "perilune", .method = "GET", .path = STR("/healthz")};
    const char *why = "";
    int code;
    if (!target_parse_url(d->listen, &d->client.target, &why))
        return cli_fail(CLI_USAGE, "--listen '%s': %s", d->listen, why);
    d->client.quiet = true;
    for (int64_t until = now_ms() + READY_MS; now_ms() < until; usleep(2000)) {
        struct client_res res;
        if (child_ended(d->server, &code)) {
            d->server = 0;
            return server_gone(d, "could not start", code);
        }
        if (client_send(&d->client, &req, &res) != 0)
            continue;
        int status = res.status;
        client_res_free(&res);
        if (status == 200) {
            d->client.quiet = false;
            return take_keys(d);
        }
    }
    return server_gone(d, "does not answer", -1);
}

/* --- deploying ---------------------------------------------------------------------------------
 */

static const char *short_name(const struct dev_project *p)
{
    const char *slash = strrchr(p->path, '/');
    return p->name[0] ? p->name : slash ? slash + 1 : p->path;
}

static void __attribute__((format(printf, 3, 4)))
say(const struct dev_project *p, enum out_colour colour, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    follower_stamp(clock_wall_ms(), short_name(p));
    out_colour(colour);
    out_text(buf_str(&text));
    out_colour(OUT_PLAIN);
    putchar('\n');
    fflush(stdout);
    buf_deinit(&text);
}

/* The handler's file, run in a runner here. Trouble after host calls may be theirs alone (there is
 * nothing in the stores that are played here), so only trouble without any counts. */
static bool loads(const struct dev_project *p)
{
    struct workshop *w = workshop_open();
    struct project files;
    struct err err = {0};
    json_t *result = NULL;
    bool fine = true;
    if (!w || project_read(p->path, &files) != 0) {
        workshop_close(w);
        return true;
    }
    struct sealed s = {files.files, files.count, "dev", "dev.try", TRY_MS, 512, true};
    struct fn *fn = sealed_fn(&s);
    if (fn &&
        workshop_call(w, fn, json_pack("{s:s, s:b}", "op", "try_handler", "manifest", 1), &result,
                      &err) == 0 &&
        json_is_object(json_object_get(result, "problem")) && out_int(result, "calls") == 0) {
        say(p, OUT_RED, "%s", out_str(json_object_get(result, "problem"), "message"));
        fine = false;
    } else if (fn && err.code) {
        say(p, OUT_RED, "%s", err.text);
        fine = false;
    }
    json_decref(result);
    if (fn)
        fn_unref(fn);
    project_free(&files);
    workshop_close(w);
    return fine;
}

static void print_deployed(struct dev *d, struct dev_project *p, const json_t *report, bool first)
{
    const char *url = out_str(report, "url");
    snprintf(p->name, sizeof p->name, "%s", out_str(report, "name"));
    say(p, OUT_BOLD, "%s in %lld ms", first ? "deployed" : "reloaded", out_int(report, "ms"));
    if (first)
        say(p, OUT_DIM, "call it with: perilune invoke %s --endpoint %s --data %s", p->name,
            d->client.target.url, d->data);
    if (first && *url)
        say(p, OUT_DIM, "its URL: %s", url);
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(report, "warnings"), i, warning)
        say(p, OUT_YELLOW, "%s", json_string_value(warning));
}

static void reload(struct dev *d, struct dev_project *p)
{
    struct buf zip = BUF_INIT;
    json_t *body = json_object(), *report = NULL;
    char sha[65] = "";
    int64_t began_ms = clock_wall_ms();
    bool first = !p->serving;
    fflush(stdout);
    int rc = deliver_pack(p->path, NULL, body, &zip);
    if (rc == CLI_OK) {
        sha256_hex(buf_str(&zip), sha);
        if (strcmp(sha, p->sha256) == 0) { /* saved, but not changed */
            buf_deinit(&zip);
            json_decref(body);
            return;
        }
        rc = loads(p) ? CLI_OK : CLI_FAILED;
    }
    snprintf(p->sha256, sizeof p->sha256, "%s", sha);
    if (rc == CLI_OK)
        rc = deliver_send(&d->client, body, &zip, false, &report);
    else
        json_decref(body);
    buf_deinit(&zip);
    if (rc == CLI_OK) {
        p->serving = true;
        print_deployed(d, p, report, first);
        if (!p->follower)
            p->follower = follower_open(&d->loop, p->name, began_ms);
    } else {
        say(p, OUT_YELLOW, "%s",
            first ? "not deployed yet: waiting for a change"
                  : "the version before it keeps serving");
    }
    json_decref(report);
}

static void on_change(void *ctx)
{
    struct dev *d = ctx;
    for (size_t i = 0; i < d->count && !d->stopping; i++)
        reload(d, &d->projects[i]);
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void close_signal(uv_signal_t *h)
{
    if (!uv_is_closing((uv_handle_t *)h))
        uv_close((uv_handle_t *)h, NULL);
}

static void stop(struct dev *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    for (size_t i = 0; i < d->count; i++)
        if (d->projects[i].follower)
            follower_close(d->projects[i].follower);
    if (d->watch)
        watch_close(d->watch);
    if (d->server > 0)
        child_stop(d->server, STOP_MS);
    d->server = 0;
    close_signal(&d->intr);
    close_signal(&d->term);
    close_signal(&d->hup);
    close_signal(&d->chld);
}

static void on_stop(uv_signal_t *h, int signum)
{
    struct dev *d = h->data;
    if (signum == SIGINT && isatty(1))
        putchar('\n'); /* after the terminal's ^C */
    fflush(stdout);
    stop(d);
}

static void on_child(uv_signal_t *h, int signum)
{
    struct dev *d = h->data;
    int code;
    (void)signum;
    if (d->stopping || !child_ended(d->server, &code))
        return;
    d->server = 0;
    d->rc = server_gone(d, "has ended", code);
    stop(d);
}

static void watch_signals(struct dev *d)
{
    uv_signal_t *const handles[] = {&d->intr, &d->term, &d->hup, &d->chld};
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < 4; i++) {
        uv_signal_init(&d->loop, handles[i]);
        handles[i]->data = d;
        uv_signal_start(handles[i], numbers[i] == SIGCHLD ? on_child : on_stop, numbers[i]);
    }
}

static void clean_up(struct dev *d)
{
    if (!d->keep && d->lock_fd >= 0) {
        char parent[4200];
        remove_tree(d->state);
        snprintf(parent, sizeof parent, "%s", d->state);
        *strrchr(parent, '/') = 0;
        rmdir(parent); /* stays when something else is in it */
    }
    if (d->lock_fd >= 0)
        close(d->lock_fd);
}

/* --- the command -------------------------------------------------------------------------------
 */

static int choose_listen(struct cli *cli, struct dev *d)
{
    const char *given = cli_value(cli, "--listen");
    int port = given ? 0 : port_of(PORT);
    if (!given && port == 0)
        port = port_of(0);
    if (given)
        snprintf(d->listen, sizeof d->listen, "%s", given);
    else
        snprintf(d->listen, sizeof d->listen, "127.0.0.1:%d", port);
    return given || port ? CLI_OK : cli_fail(CLI_FAILED, "no port is free on 127.0.0.1");
}

static int begin(struct cli *cli, struct dev *d)
{
    int rc = find_projects(d, cli_arg(cli, 0) ? cli_arg(cli, 0) : ".");
    if (rc == CLI_OK)
        rc = make_state(d);
    if (rc == CLI_OK)
        rc = take_lock(d);
    if (rc == CLI_OK)
        rc = choose_listen(cli, d);
    if (rc == CLI_OK)
        rc = start_server(d);
    if (rc == CLI_OK)
        rc = wait_ready(d);
    return rc;
}

static int run_dev(struct cli *cli)
{
    static struct dev dev;
    struct dev *d = &dev;
    d->keep = cli_has(cli, "--keep");
    d->lock_fd = -1;
    uv_loop_init(&d->loop);
    watch_signals(d);
    d->rc = begin(cli, d);
    if (d->rc == CLI_OK) {
        printf("serving %s at %s; Ctrl-C ends it\n", d->dir, d->client.target.url);
        d->watch = watch_open(&d->loop, d->dir, on_change, d);
        d->rc = d->watch ? CLI_OK : CLI_FAILED;
    }
    if (d->rc == CLI_OK)
        on_change(d);
    else
        stop(d);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    clean_up(d);
    return d->rc;
}

static const struct cli_flag flags[] = {
    {"--listen", 0, "HOST:PORT", "where its server listens (127.0.0.1:1969 when free)", false},
    {"--keep", 0, NULL, "keep the server's data in DIR/.perilune/dev for the next time", false},
    {0},
};

const struct cli_command cmd_dev = {
    .name = "dev",
    .args = "[DIR]",
    .help = "serve a project from a server of its own, deployed anew on each save",
    .more =
        "DIR has a function.lua, or folders that have one each. Log lines are shown as they come.\n"
        "A save with a mistake is told with its line, and the version before it keeps serving.",
    .flags = flags,
    .kind = CLI_LOCAL,
    .run = run_dev,
};
