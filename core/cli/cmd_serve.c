/* cmd_serve: puts the parts together, runs the loop, takes them apart again.
 *
 * Order of the start: data folder and root key (still as root when started so), then the
 * unprivileged user, then store, logs, runners, and last the listener, so that whoever reaches the
 * port finds a server that works. SIGTERM and SIGINT drain: the listener closes, running
 * invocations end, the store commits what it holds. A second signal ends at once; nothing
 * acknowledged is lost either way.
 *
 * The process works inside the data folder (chdir), so that the unprivileged user needs no right to
 * reach it by its path. */
#include "cli/cmd_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/console.h"
#include "api/upkeep.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/pages.h"
#include "base/work.h"
#include "cli/readiness.h"
#include "cli/root_key.h"
#include "cli/serve_opts.h"
#include "net/http.h"
#include "proc/slice.h"
#include "proc/zygote.h"
#include "svc/blueprint.h"
#include "svc/bucket_policy.h"
#include "svc/fetcher.h"
#include "svc/hostcall.h"
#include "svc/kv_sweep.h"
#include "svc/ledger.h"
#include "svc/lifecycle.h"
#include "svc/meter.h"
#include "svc/pulse.h"
#include "svc/sampler.h"
#include "svc/schedule.h"
#include "svc/signin.h"
#include "svc/trend.h"
#include "svc/watchdog.h"

enum {
    GROUP_LOG_MAX = 64 * 1024 * 1024,
    DRAIN_MAX_MS = 910 * 1000, /* the longest a function may run, and some */
    WIRE_MS = 300,             /* for requests that were sent before the listener closed */
    LINGER_MS = 500,           /* for replies on their way once nothing runs any more */
    IDLE_MS = 2000,            /* with no more than … */
    IDLE_TURNS = 16,           /* … turns of the loop: memory is given back, */
    IDLE_TICKS = 16,           /* and after so many times that: others forget later */
};

struct server {
    struct serve_opts opts;
    uv_loop_t loop;
    struct services svc;
    struct root_key root;
    struct fetcher *fetcher;
    struct hostcalls *hostcalls;
    struct meter *meter;
    struct kv_sweep *kv_sweep;
    struct ledger_sweep *ledger_sweep;
    struct sampler *sampler;
    struct lifecycle *lifecycle;
    struct zygote *zygote; /* the pool's once that is open */
    struct http_server *http;
    struct console *console; /* NULL: none */
    int console_dir;         /* --console-dir, or -1 */
    struct deploy_env deploy;
    struct blueprint_env blueprint;
    uv_signal_t term, intr, hup;
    uv_timer_t limit; /* the drain's */
    uv_timer_t idle;
    struct work giving; /* data: set while it is under way */
    uint64_t turns;     /* when it was last looked */
    uint32_t ticks;
    bool at_rest;    /* nothing has happened since memory was given back */
    uv_timer_t wire; /* while requests may still be on the wire */
    char data[4096]; /* absolute path, for messages */
    char endpoint[512];
    int draining;  /* parts that still drain */
    int listeners; /* that still have connections */
    bool stopping, disconnected;
};

/* --- data folder and user ----------------------------------------------------------------------
 */

static int make_dirs(const char *dir)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", dir);
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(path, 0755) && errno != EEXIST)
            return -1;
        *p = '/';
    }
    return mkdir(path, 0700) && errno != EEXIST ? -1 : 0;
}

static const struct passwd *owner; /* who gets the folder; nftw has no context argument */

static int give(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return lchown(path, owner->pw_uid, owner->pw_gid);
}

/* Whom the server becomes: NULL when it stays what it is. */
static const struct passwd *choose_user(const char *name)
{
    if (geteuid() != 0)
        return NULL;
    const struct passwd *pw = name ? getpwnam(name) : getpwnam("perilune");
    if (!pw && !name)
        pw = getpwnam("nobody");
    if (!pw) {
        log_error("there is no user '%s' (--user)", name ? name : "nobody");
        return NULL;
    }
    if (pw->pw_uid == 0)
        log_warn("running as root (--user root): a break out of the jail would own the machine");
    return pw;
}

static int become(const struct passwd *pw)
{
    struct stat st;
    owner = pw;
    if (stat(".", &st) == 0 && st.st_uid != pw->pw_uid && nftw(".", give, 16, FTW_PHYS)) {
        log_error("cannot give the data folder to %s: %s", pw->pw_name, strerror(errno));
        return -1;
    }
    if (pw->pw_uid == 0)
        return 0;
    const struct rlimit nice = {SLICE_RLIMIT_NICE, SLICE_RLIMIT_NICE};
    if (setrlimit(RLIMIT_NICE, &nice))
        errno = 0;           /* it is a wish */
    int end_with_parent = 0; /* who started us may want it so; a change of user forgets it */
    prctl(PR_GET_PDEATHSIG, &end_with_parent, 0, 0, 0);
    if (setgroups(0, NULL) || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid)) {
        log_error("cannot become %s: %s", pw->pw_name, strerror(errno));
        return -1;
    }
    prctl(PR_SET_PDEATHSIG, end_with_parent, 0, 0, 0);
    return 0;
}

/* Both are out of reach once the process works in another folder as another user. */
static int find_fetch(struct server *s, struct fetcher_opts *o)
{
    *o = (struct fetcher_opts){
        .loop = &s->loop,
        .program = fetcher_program(),
        .ca = -1,
        .idle_ms = s->opts.fetch_idle_s * 1000,
    };
    if (o->program < 0)
        log_warn("perilune-fetch is not beside perilune: functions can make no HTTP requests");
    if (s->opts.ca_file && (o->ca = open(s->opts.ca_file, O_RDONLY | O_CLOEXEC)) < 0) {
        log_error("cannot read --ca-file %s: %s", s->opts.ca_file, strerror(errno));
        return -1;
    }
    return 0;
}

static int find_console(struct server *s)
{
    const char *dir = s->opts.console_dir;
    s->console_dir = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir && s->console_dir < 0)
        log_error("cannot use --console-dir %s: %s", dir, strerror(errno));
    return dir && s->console_dir < 0 ? -1 : 0;
}

static int enter_data(struct server *s)
{
    struct err err = {0};
    if (make_dirs(s->opts.data) || chdir(s->opts.data)) {
        log_error("cannot use the data folder %s: %s", s->opts.data, strerror(errno));
        return -1;
    }
    if (!getcwd(s->data, sizeof s->data))
        snprintf(s->data, sizeof s->data, "%s", s->opts.data);
    if (root_key_load(".", &s->root, &err)) {
        log_error("%s", err.text);
        return -1;
    }
    const struct passwd *pw = choose_user(s->opts.user);
    if (geteuid() == 0 && !pw)
        return -1;
    return pw ? become(pw) : 0;
}

/* --- stop --------------------------------------------------------------------------------------
 */

static void on_limit(uv_timer_t *t)
{
    struct server *s = t->data;
    if (s->draining)
        log_warn("invocations did not end in time: stopping without them");
    uv_stop(&s->loop);
}

/* Queue or pool has ended its work. Event streams never end by themselves, so connections are given
 * only a moment more. */
static void drained(void *ctx)
{
    struct server *s = ctx;
    if (--s->draining == 0)
        uv_timer_start(&s->limit, on_limit, s->disconnected ? 0 : LINGER_MS, 0);
}

/* Whoever had sent a request by the signal is answered; from now on runs are refused, so that the end
 * comes. */
static void refuse_runs(uv_timer_t *t)
{
    struct server *s = t->data;
    uv_timer_stop(t);
    pool_drain(s->svc.pool, drained, s);
}

/* A loop that was late sees its timers before its sockets: those come first. */
static void wire_is_empty(uv_timer_t *t)
{
    uv_timer_start(t, refuse_runs, 1, 0);
}

static void disconnected(void *ctx)
{
    struct server *s = ctx;
    if (--s->listeners)
        return;
    s->disconnected = true;
    if (s->draining == 0)
        uv_stop(&s->loop);
    else if (uv_is_active((uv_handle_t *)&s->wire))
        refuse_runs(&s->wire);
}

static void on_stop(uv_signal_t *h, int signum)
{
    struct server *s = h->data;
    if (s->stopping) {
        log_warn("second signal: stopping at once");
        uv_stop(&s->loop);
        return;
    }
    s->stopping = true;
    readiness_tell("STOPPING=1");
    log_info("%s: finishing what runs", signum == SIGINT ? "SIGINT" : "SIGTERM");
    s->draining = 2;
    s->listeners = s->console ? 2 : 1;
    uv_timer_start(&s->limit, on_limit, DRAIN_MAX_MS, 0);
    uv_timer_start(&s->wire, wire_is_empty, WIRE_MS, 0);
    http_drain(s->http, disconnected, s);
    if (s->console)
        console_drain(s->console, disconnected, s);
    queue_drain(s->svc.queue, drained, s);
}

static void on_hup(uv_signal_t *h, int signum)
{
    (void)h, (void)signum;
    log_info("SIGHUP: nothing to reload; code, roles and triggers take effect as they are changed");
}

/* What the start, or a burst of requests, has needed is not kept for the quiet after it. */
static void give_back(struct work *w)
{
    (void)w;
    pages_give_back();
}

static void given_back(struct work *w)
{
    w->data = NULL;
}

static void on_idle(uv_timer_t *t)
{
    struct server *s = t->data;
    struct watchdog_stats w;
    watchdog_stats(&w);
    bool quiet = w.turns - s->turns <= IDLE_TURNS;
    s->turns = w.turns;
    if (quiet && !s->at_rest && !s->giving.data) {
        s->giving.data = s; /* a large heap takes longer than a turn may */
        work_start(&s->loop, &s->giving, give_back, given_back);
    }
    /* some at a time, so that the turn is short */
    s->at_rest = quiet && !functions_forget(s->svc.functions) && ++s->ticks % IDLE_TICKS;
}

static void watch_signals(struct server *s)
{
    signal(SIGPIPE, SIG_IGN);
    uv_signal_t *h[] = {&s->term, &s->intr, &s->hup};
    int n[] = {SIGTERM, SIGINT, SIGHUP};
    for (int i = 0; i < 3; i++) {
        uv_signal_init(&s->loop, h[i]);
        h[i]->data = s;
        uv_signal_start(h[i], n[i] == SIGHUP ? on_hup : on_stop, n[i]);
    }
    uv_timer_init(&s->loop, &s->limit);
    s->limit.data = s;
    uv_timer_init(&s->loop, &s->idle);
    s->idle.data = s;
    uv_unref((uv_handle_t *)&s->idle);
    uv_timer_init(&s->loop, &s->wire);
    s->wire.data = s;
}

/* --- start -------------------------------------------------------------------------------------
 */

static uint64_t runner_memory(const struct serve_opts *o)
{
    if (o->memory)
        return o->memory;
    uint64_t have = uv_get_total_memory(), cgroup = uv_get_constrained_memory();
    return (cgroup && cgroup < have ? cgroup : have) / 2;
}

static void run_ended(void *ctx, struct fn *fn, const struct invoke_result *r)
{
    struct server *s = ctx;
    meter_count(s->meter, fn, r);
    pulse_count(s->svc.pulse, fn, r);
    trend_count(s->svc.trend, fn, r);
}

static void run_failed(void *ctx, struct fn *fn, const struct invoke_result *r)
{
    struct server *s = ctx;
    pulse_failed(s->svc.pulse, fn, r);
}

static int open_pool(struct server *s, struct err *err)
{
    struct services *v = &s->svc;
    v->pulse = pulse_open();
    v->trend = trend_open();
    struct hostcalls_opts h = {
        .loop = &s->loop,
        .store = v->store,
        .functions = v->functions,
        .roles = v->roles,
        .region = v->region,
        .fetcher = s->fetcher,
        .pulse = v->pulse,
    };
    s->hostcalls = hostcalls_open(&h);
    s->meter = meter_open(&s->loop, v->store);
    s->sampler = sampler_start(v->store, s->opts.runs_sample);
    struct pool_opts p = {
        .loop = &s->loop,
        .functions = v->functions,
        .logs = v->logs,
        .region = v->region,
        .max_runners = (uint32_t)s->opts.max_runners,
        .concurrency = s->opts.concurrency,
        .memory = runner_memory(&s->opts),
        .idle_timeout_ms = (uint32_t)s->opts.idle_timeout_s * 1000,
        .jit = str_is(str_c(s->opts.jit), "on"),
        .zygote = s->zygote,
        .allow_weak_jail = s->opts.allow_weak_jail,
        .hostcall = hostcall_dispatch,
        .hostcall_ctx = s->hostcalls,
        .metered = run_ended,
        .metered_ctx = s,
        .ended = s->sampler ? sampler_take : NULL,
        .ended_ctx = s->sampler,
        .failed = run_failed,
        .failed_ctx = s,
    };
    return pool_open(&p, &v->pool, err);
}

static int open_parts(struct server *s, struct err *err)
{
    struct services *v = &s->svc;
    int rc = zygote_begin(s->opts.allow_weak_jail, &s->zygote, err); /* no store is open yet */
    if (rc)
        return rc;
    struct store_opts so = {.dir = ".", .map_size = s->opts.store_max, .loop = &s->loop};
    rc = store_open(&so, &v->store, err);
    if (rc)
        return rc;
    v->logs = logs_open(&s->loop, "logs", s->opts.log_max, GROUP_LOG_MAX, err);
    if (!v->logs)
        return E_IO;
    v->functions = functions_open(v->store, v->region);
    v->roles = roles_open(v->store, v->region);
    struct identities_opts io = {.loop = &s->loop,
                                 .store = v->store,
                                 .roles = v->roles,
                                 .root_access_key = v->root_access_key,
                                 .root_secret = v->root_secret};
    v->identities = identities_open(&io);
    if ((rc = open_pool(s, err)))
        return rc;
    struct queue_opts qo = {
        .loop = &s->loop,
        .store = v->store,
        .functions = v->functions,
        .pool = v->pool,
        .logs = v->logs,
        .roles = v->roles,
        .max_rows = s->opts.queue_max_rows,
        .max_bytes = s->opts.queue_max_bytes,
        .event_rate = s->opts.event_rate,
        .keep_rows = s->opts.runs_keep,
        .keep_age_ms = (int64_t)s->opts.runs_age_s * 1000,
    };
    v->queue = queue_open(&qo);
    v->signins = signins_open(v->store);
    struct schedules_opts ko = {.loop = &s->loop,
                                .store = v->store,
                                .functions = v->functions,
                                .queue = v->queue,
                                .roles = v->roles,
                                .region = v->region};
    v->schedules = schedules_open(&ko);
    v->objects = objects_open(&s->loop, v->store, v->queue, v->region);
    v->policies = bucket_policies_open(v->store);
    v->guards = (struct guards){v->store, v->functions, v->policies, v->region};
    hostcalls_connect(s->hostcalls, v->objects, v->queue, v->policies);
    s->deploy = (struct deploy_env){v->pool, v->store,     v->functions, v->roles,
                                    v->logs, v->schedules, v->region};
    s->blueprint = (struct blueprint_env){v->pool, &s->deploy, s->endpoint};
    v->deploy = &s->deploy;
    v->blueprint = &s->blueprint;
    return 0;
}

static bool is_loopback(const char *address)
{
    struct str a = str_c(address);
    return str_starts(a, STR("127.")) || str_starts(a, STR("localhost:")) ||
           str_starts(a, STR("[::1]"));
}

/* The URL in links: as told, else where it listens; for "any address" that of this machine. */
static void set_endpoint(struct server *s)
{
    char url[512];
    struct str host = str_c(s->opts.listen);
    for (size_t i = host.n; i > 0; i--)
        if (host.p[i - 1] == ':') {
            host.n = i - 1;
            break;
        }
    if (host.n == 0 || str_is(host, "0.0.0.0") || str_is(host, "[::]"))
        host = STR("127.0.0.1");
    snprintf(url, sizeof url, "http://%.*s:%d", STR_FMT(host), http_port(s->http));
    const char *told = s->opts.public_url;
    size_t n = told ? strlen(told) : 0;
    while (n && told[n - 1] == '/')
        n--;
    if (n)
        snprintf(url, sizeof url, "%.*s", (int)n, told);
    hostcalls_endpoint(s->hostcalls, url);
    snprintf(s->endpoint, sizeof s->endpoint, "%s", url);
    s->svc.endpoint = s->endpoint;
    s->svc.public_url = n ? s->endpoint : "";
}

static int listen_api(struct server *s)
{
    char why[256];
    s->http = http_listen(&s->loop, s->opts.listen, gate_request, &s->svc, why, sizeof why);
    if (!s->http) {
        log_error("%s", why);
        return -1;
    }
    ptrdiff_t colon = -1;
    struct str a = str_c(s->opts.listen);
    for (size_t i = 0; i < a.n; i++)
        if (a.p[i] == ':')
            colon = (ptrdiff_t)i;
    log_info("listening on http://%.*s:%d", (int)(colon < 0 ? (ptrdiff_t)a.n : colon), a.p,
             http_port(s->http));
    log_info("data in %s; root key in its root.credentials", s->data);
    set_endpoint(s);
    if (s->root.created &&
        !readiness_wanted()) /* a service's messages are kept, and read by others */
        log_info("first start: AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s", s->root.access_key,
                 s->root.secret);
    log_info("jail: %s", pool_jail_layers(s->svc.pool));
    if (!is_loopback(s->opts.listen) && !s->opts.behind_tls_proxy)
        log_warn("%s is not loopback: put a TLS proxy before it (--behind-tls-proxy silences this)",
                 s->opts.listen);
    return 0;
}

/* "HOST:PORT" of the console: as told, its own port when the API has its own, else the next one. false:
 * no console is wanted. */
static bool console_address(struct server *s, char *out, size_t size)
{
    const char *told = s->opts.console_listen;
    struct str api = str_c(s->opts.listen);
    if (told) {
        snprintf(out, size, "%s", told);
        return !str_is(str_c(told), "none");
    }
    while (api.n && api.p[api.n - 1] != ':')
        api.n--;
    snprintf(out, size, "%.*s%d", STR_FMT(api), http_port(s->http) + 1);
    return http_port(s->http) < 65535;
}

/* The console can be done without, unless it was asked for. */
static int listen_console(struct server *s)
{
    char address[256], why[256];
    s->svc.console_url = "";
    if (!console_address(s, address, sizeof address))
        return 0;
    struct console_opts o = {&s->svc, address, s->opts.console_url, s->console_dir};
    s->console = console_open(&o, why, sizeof why);
    if (!s->console && s->opts.console_listen) {
        log_error("console: %s", why);
        return -1;
    }
    if (!s->console) {
        log_warn("no console: %s", why);
        return 0;
    }
    log_info("console on %s; 'perilune console-link' prints a link that signs in",
             console_url(s->console));
    if (s->root.created && !readiness_wanted()) {
        struct buf url = BUF_INIT;
        console_link(&s->svc, s->svc.root_access_key, &url);
        log_info("first start: sign in once, within 15 minutes, with %.*s", STR_FMT(buf_str(&url)));
        buf_deinit(&url);
    }
    if (!is_loopback(address) && !s->opts.behind_tls_proxy)
        log_warn("the console's %s is not loopback: keys and sessions pass it readable; put a TLS "
                 "proxy before it (--behind-tls-proxy silences this)",
                 address);
    return 0;
}

static void close_parts(struct server *s)
{
    struct services *v = &s->svc;
    uv_timer_stop(&s->wire); /* the last connection may go when the pool it drains is gone */
    if (s->http)
        http_close(s->http);
    if (s->console)
        console_close(s->console);
    if (v->pool)
        pool_close(v->pool);
    if (v->queue)
        queue_close(v->queue);
    if (v->schedules)
        schedules_stop(v->schedules);
    if (s->meter)
        meter_stop(s->meter);
    if (s->lifecycle)
        lifecycle_stop(s->lifecycle);
    if (v->objects)
        objects_stop(v->objects);
    if (v->policies)
        bucket_policies_close(v->policies);
    if (s->fetcher)
        fetcher_close(s->fetcher);
    if (s->hostcalls)
        hostcalls_close(s->hostcalls);
    if (s->kv_sweep)
        kv_sweep_stop(s->kv_sweep);
    ledger_sweep_stop(s->ledger_sweep);
    sampler_stop(s->sampler);
    if (v->logs)
        logs_close(v->logs);
    uv_run(&s->loop, UV_RUN_NOWAIT);
    signins_close(v->signins);
    upkeep_stop(v);
    if (v->identities)
        identities_close(v->identities);
    if (v->roles)
        roles_close(v->roles);
    if (v->functions)
        functions_close(v->functions);
    if (v->store)
        store_close(v->store);
    work_leave(&s->loop);
    if (v->schedules)
        schedules_close(v->schedules);
    if (v->queue)
        queue_free(v->queue);
    if (v->objects)
        objects_close(v->objects);
    if (s->http)
        http_free(s->http);
    if (s->console)
        console_free(s->console);
    if (s->meter)
        meter_free(s->meter);
    pulse_close(v->pulse);
    trend_close(v->trend);
    json_decref(v->settings);
}

/* As many descriptors as there may be, and the kernel's table for them while there is no thread yet: in a
 * process with threads it waits for a grace period of its own (4 to 20 ms) whenever that table has to
 * grow, at 64, 128, 256 …, and whoever makes the descriptor, the loop, waits with it. */
static void widen_files(void)
{
    enum { TABLE = 32768 }; /* 8 bytes each */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files))
        return;
    int last = files.rlim_cur < TABLE ? (int)files.rlim_cur - 1 : TABLE - 1;
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, last);
    if (fd >= 0)
        close(fd);
}

int cmd_serve(int argc, char **argv)
{
    static struct server s;
    struct err err = {0};
    int rc = serve_opts_parse(argc, argv, &s.opts);
    if (rc)
        return rc == 3 ? 0 : rc;
    log_init("perilune", s.opts.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    widen_files();
    umask(0077);
    struct fetcher_opts fetch;
    if (find_fetch(&s, &fetch) || find_console(&s) || enter_data(&s))
        return 1;
    uv_loop_init(&s.loop);
    work_keep(&s.loop);
    s.fetcher = fetcher_open(&fetch);
    s.svc.loop = &s.loop;
    s.svc.region = s.opts.region;
    s.svc.domain = str_c(s.opts.domain);
    s.svc.trusted_proxy = str_c(s.opts.trusted_proxy);
    s.svc.behind_tls_proxy = s.opts.behind_tls_proxy;
    s.svc.concurrency = s.opts.concurrency;
    s.svc.root_access_key = str_c(s.root.access_key);
    s.svc.root_secret = str_c(s.root.secret);
    s.svc.started_ms = clock_wall_ms();
    s.svc.settings = serve_opts_json(&s.opts);
    s.svc.lifecycle_day_ms = (int64_t)s.opts.lifecycle_day_s * 1000;
    watch_signals(&s);
    rc = open_parts(&s, &err);
    if (rc)
        log_error("%s", err_text(&err, rc));
    else
        rc = listen_api(&s);
    if (rc == 0)
        rc = listen_console(&s);
    if (rc == 0) {
        watchdog_start(&s.loop);
        blob_sweep(s.svc.store, NULL, NULL);
        queue_start(s.svc.queue);
        schedules_start(s.svc.schedules);
        s.kv_sweep = kv_sweep_start(s.svc.store);
        s.ledger_sweep = ledger_sweep_start(s.svc.store, (int64_t)s.opts.runs_age_s * 1000);
        s.lifecycle = lifecycle_start(s.svc.objects, s.svc.store, s.svc.lifecycle_day_ms);
        readiness_tell("READY=1");
        uv_timer_start(&s.idle, on_idle, IDLE_MS, IDLE_MS);
        slice_short(0); /* the threads for files and hashes are there already */
        uv_run(&s.loop, UV_RUN_DEFAULT);
    }
    close_parts(&s);
    return rc ? 1 : 0;
}
