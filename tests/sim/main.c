/* main: the steps.
 *
 *   sim [-q] [--seed FIRST] [--seeds N] [--steps N] [--jobs N]
 *
 * A seed runs in a child process; when it fails it is run again with the trace on, which tells the
 * last steps before the failure. Among the steps are crashes: what the process knew is thrown away
 * (through the same functions that a hard stop uses, so that ASan sees leaks) and another one starts
 * on what was committed. At the end, and now and then, all trouble ceases and time goes on: what was
 * owed must then come about. */
#include "sim.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "svc/ledger.h"

struct queue *queue;
struct schedules *schedules;
struct queue_opts queue_opts;
static uint64_t event_numbers;
static bool quiet; /* no line for each seed */

/* --- what clients ask for ----------------------------------------------------------------------- */

struct wish { /* a job of theirs */
    struct job job;
    enum { PUT, REDRIVE, DROP, REPLAY, EXPIRE } kind;
    struct queue_event event;
    char payload[900], chain[64], via[8], function[8];
    uint64_t number, id, next;
    struct ledger_replay replay;
};

static int wish_apply(struct job *job, struct store_txn *t)
{
    struct wish *w = (struct wish *)job;
    switch (w->kind) {
    case PUT:
        return queue_put(queue, t, &w->event);
    case REDRIVE:
        return event_row_redrive(t, w->id, w->event.function_id, queue_opts.max_rows,
                                 queue_opts.max_bytes);
    case DROP:
        return event_row_drop(t, w->id);
    case REPLAY:
        return ledger_replay(t, &w->replay);
    default:
        return ledger_expire(t, clock_store_ms() - queue_opts.keep_age_ms, 50, &w->next);
    }
}

static void wish_done(struct job *job, int rc)
{
    struct wish *w = (struct wish *)job;
    if (w->kind == PUT && !world.ending)
        MUST(event_was_born(w->number) == (rc == 0), "event %llu: %d, and it is%s there",
             (unsigned long long)w->number, rc, rc ? "" : " not");
    if (rc == 0 && w->kind != DROP && w->kind != EXPIRE)
        queue_kick(queue, w->event.function_id);
    free(w);
}

static struct wish *wish(int kind)
{
    struct wish *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->kind = kind;
    w->job = (struct job){.apply = wish_apply, .done = wish_done};
    return w;
}

static void request_id(char out[static 37], uint64_t number)
{
    snprintf(out, 37, "00000000-0000-4000-8000-%012llu", (unsigned long long)number);
}

/* An event of a client, or of a function that runs. */
static void put_event(void)
{
    const struct actor *a =
        &actors[once_in(3) ? 0 : pick(FUNCTIONS)]; /* one has most of the load */
    const struct invoke_req *cause = once_in(10) ? run_any() : NULL;
    struct wish *w = wish(PUT);
    struct queue_event *e = &w->event;
    size_t n = once_in(20) ? 400 + pick(400) : 1 + pick(20);
    w->number = ++event_numbers;
    memset(w->payload, '1', n);
    snprintf(w->function, sizeof w->function, "%s", a->name);
    request_id(e->request_id, w->number);
    e->payload = str_of(w->payload, n);
    e->function_id = a->fn ? a->fn->id : 0;
    e->function_name = str_c(w->function);
    e->source = "invoke";
    if (cause) {
        snprintf(w->via, sizeof w->via, "%.*s", STR_FMT(cause->fn->name));
        e->cause = (struct lineage){cause->hops + 1, STR(""), str_c(w->via)};
    }
    if (once_in(10))
        e->cause.hops = (uint32_t)(10 + pick(8));
    if (once_in(10)) {
        e->source = "events";
        e->source_arn = STR("arn:aws:events:us-east-1:000000000000:rule/r");
    }
    if (once_in(10))
        e->delay_ms = pick(30 * 1000);
    store_submit(disk, &w->job);
}

static void operate(void)
{
    static const int kinds[] = {REDRIVE, REDRIVE, DROP, REPLAY, EXPIRE};
    int kind = kinds[pick(5)];
    struct known *k = event_any(kind == REDRIVE || once_in(2));
    const struct actor *a = k ? actor_named(str_c(k->function)) : NULL;
    if (!k || !a->fn)
        return;
    struct wish *w = wish(kind);
    w->id = k->id;
    w->event.function_id = a->fn->id;
    if (kind == REPLAY) {
        w->number = ++event_numbers;
        w->replay = (struct ledger_replay){.id = k->id,
                                           .function_id = a->fn->id,
                                           .max_rows = queue_opts.max_rows,
                                           .max_bytes = queue_opts.max_bytes};
        request_id(w->replay.request_id, w->number);
    }
    k->redriven = k->redriven || kind == REDRIVE;
    k->dropped = k->dropped || kind == DROP;
    store_submit(disk, &w->job);
}

/* --- processes ---------------------------------------------------------------------------------- */

static void boot(void)
{
    static char roles;
    world.ending = false;
    disk_boot();
    events_boot();
    parts_boot();
    loop_begin();
    queue_opts.loop = &sim_loop;
    queue_opts.store = disk;
    queue_opts.roles = (struct roles *)&roles; /* only asked whether there are any */
    queue_opts.event_rate = once_in(4) ? 1 + pick(20) : 0;
    queue = queue_open(&queue_opts);
    struct schedules_opts so = {.loop = &sim_loop,
                                .store = disk,
                                .queue = queue,
                                .roles = queue_opts.roles,
                                .region = "us-east-1"};
    schedules = schedules_open(&so);
    queue_start(queue);
    schedules_start(schedules);
    trace("a process starts, boot %llu", (unsigned long long)store_boot(disk));
}

/* The rest of it, as cmd_serve has it. */
static void take_apart(void)
{
    schedules_stop(schedules);
    queue_close(queue);
    runs_end_all(RUN_REFUSED);
    disk_crash();
    loop_turn();
    loop_turn();
    schedules_close(schedules);
    queue_free(queue);
    MUST(loop_next_ns() == INT64_MAX && !disk_jobs(), "a process leaves something behind");
}

static void crash(void)
{
    trace("crash");
    stats.crashes++;
    world.ending = true;
    take_apart();
    if (once_in(4)) { /* the machine too; its clock may be wrong */
        world.boot_ns += (int64_t)pick(600) * 1000000000;
        world.wall_ns += (int64_t)pick(600) * 1000000000;
    }
    boot();
}

/* It ends again and again, before anything that runs has come to its end. */
static void crash_often(void)
{
    for (int i = 0; i <= CRASHES_MAX; i++) {
        crash();
        for (int k = 0; k < 5; k++) {
            loop_turn();
            disk_flush();
        }
    }
}

static void on_drained(void *ctx)
{
    *(bool *)ctx = true;
}

/* SIGTERM, and perhaps another. */
static void stop(void)
{
    bool drained = false;
    bool patient = once_in(2);
    trace("stop%s", patient ? "" : ", at once");
    queue_drain(queue, on_drained, &drained);
    for (int i = 0; i < (patient ? 100000 : 20) && !drained; i++) {
        if (runs_live() && once_in(2))
            runs_end_one();
        disk_step();
        loop_turn();
    }
    MUST(drained || !patient, "the queue does not drain");
    disk_flush();
    world.ending = true;
    take_apart();
    boot();
}

/* --- steps -------------------------------------------------------------------------------------- */

static void advance(void)
{
    static const int64_t most_ms[] = {3, 3, 20, 20, 20, 200, 1000, 1000, 5000, 60000};
    int64_t ms = (int64_t)pick((uint64_t)most_ms[pick(10)]);
    if (once_in(3000))
        ms = (int64_t)pick(4 * 3600 * 1000);
    int64_t next = loop_next_ns();
    if (once_in(2) && next != INT64_MAX && next > world.boot_ns)
        ms = (next - world.boot_ns) / 1000000; /* the loop sleeps until then */
    pass_ms(ms);
}

/* Somebody sets the wall clock; and later back. */
static void set_clock(void)
{
    static const int64_t jumps_s[] = {10, -10, 3600, -3600, 86400, -86400};
    static int64_t jumped_s;
    int64_t by_s = jumped_s ? -jumped_s : jumps_s[pick(6)];
    jumped_s = jumped_s ? 0 : by_s;
    world.wall_ns += by_s * 1000000000;
    trace("the clock is set by %lld s", (long long)by_s);
}

static void seldom(void)
{
    switch (pick(16)) {
    case 0:
        if (once_in(30))
            crash_often();
        else
            crash();
        break;
    case 1:
        if (once_in(4))
            stop();
        break;
    case 2:
        if (once_in(3))
            disk_trouble(once_in(2) ? DISK_FULL : DISK_BROKEN);
        trace("the disk: %d", (int)disk_in_trouble());
        break;
    case 3:
    case 4:
        disk_trouble(FINE);
        break;
    case 5:
    case 6:
    case 7:
        parts_change();
        break;
    case 8:
        world.look_ns = once_in(3) ? (int64_t)pick(300) * 1000 : 0; /* a slow machine */
        break;
    case 9:
    case 10:
        plans_change();
        break;
    case 11:
        set_clock();
        break;
    default:
        operate();
        break;
    }
}

static void step(void)
{
    uint64_t what = pick(100);
    if (what < 22)
        loop_turn();
    else if (what < 62)
        disk_step();
    else if (what < 78 && runs_live())
        runs_end_one();
    else if (what < 86)
        put_event();
    else if (what < 97)
        advance();
    else if (once_in(2))
        seldom();
}

/* All is well from now on: what is owed comes about within the longest wait there is. */
static void calm(void)
{
    trace("calm");
    world.calm = true;
    world.look_ns = 0;
    disk_trouble(FINE);
    parts_calm();
    plans_calm();
    queue_opts.event_rate = 0;
    queue->o.event_rate = 0;
    for (int second = 0; second < 700; second++) {
        for (int i = 0; i < 40 && (loop_next_ns() <= world.boot_ns || disk_jobs() || runs_live());
             i++) {
            loop_turn();
            disk_flush();
            while (runs_live())
                runs_end_one();
        }
        pass_ms(1000);
    }
    loop_turn();
    disk_flush();
    events_audit();
    events_settled();
    plans_settled();
    world.calm = false;
    parts_change();
}

static void run_seed(uint64_t seed, uint64_t steps, bool tracing)
{
    world_begin(seed, tracing);
    log_init("sim", LOG_LEVEL_ERROR);
    queue_opts = (struct queue_opts){.max_rows = 40 + pick(400),
                                     .max_bytes = 60000 + pick(400000),
                                     .keep_rows = pick(3) * 15,
                                     .keep_age_ms = 3600 * 1000};
    disk_begin();
    events_begin();
    parts_begin();
    plans_begin();
    boot();
    for (world.step = 1; world.step <= steps; world.step++) {
        step();
        if (world.step % 1000 == 0)
            events_audit();
        if (world.step % 50000 == 0)
            calm();
    }
    calm();
    world.ending = true;
    take_apart();
    if (quiet)
        return;
    printf("seed %llu: %llu steps, %llu accepted, %llu runs, %llu done, %llu dead, %llu put off, "
           "%llu throttled, %llu sent on, %llu fired, %llu crashes, %llu poison, %llu loops\n",
           (unsigned long long)seed, (unsigned long long)steps, (unsigned long long)stats.accepted,
           (unsigned long long)stats.runs, (unsigned long long)stats.done,
           (unsigned long long)stats.dead, (unsigned long long)stats.put_off,
           (unsigned long long)stats.throttled, (unsigned long long)stats.sent,
           (unsigned long long)stats.fired, (unsigned long long)stats.crashes,
           (unsigned long long)stats.poison, (unsigned long long)stats.loops);
}

/* --- seeds -------------------------------------------------------------------------------------- */

static pid_t begin_seed(uint64_t seed, uint64_t steps, bool tracing)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    if (pid == 0) {
        run_seed(seed, steps, tracing);
        exit(0);
    }
    return pid;
}

static uint64_t number(char **argv, int i)
{
    uint64_t n;
    if (!argv[i] || !str_u64(str_c(argv[i]), &n)) {
        fprintf(stderr, "usage: sim [-q] [--seed FIRST] [--seeds N] [--steps N] [--jobs N]\n");
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 20, steps = 1000000, jobs = 1, failed = 0;
    struct {
        pid_t pid;
        uint64_t seed;
    } live[64];
    if (argc > 1 && strcmp(argv[1], "-q") == 0) {
        quiet = true;
        argc--;
        argv++;
    }
    for (int i = 1; i < argc; i += 2) {
        uint64_t n = number(argv, i + 1);
        if (strcmp(argv[i], "--seed") == 0)
            first = n;
        else if (strcmp(argv[i], "--seeds") == 0)
            count = n;
        else if (strcmp(argv[i], "--steps") == 0)
            steps = n;
        else if (strcmp(argv[i], "--jobs") == 0 && n >= 1 && n <= 64)
            jobs = n;
        else
            number(argv, argc);
    }
    uint64_t begun = 0, live_n = 0;
    while (begun < count || live_n) {
        while (begun < count && live_n < jobs) {
            live[live_n].seed = first + begun++;
            live[live_n].pid = begin_seed(live[live_n].seed, steps, false);
            live_n++;
        }
        int status = 0;
        pid_t pid = wait(&status);
        for (uint64_t i = 0; i < live_n; i++) {
            if (live[i].pid != pid)
                continue;
            uint64_t seed = live[i].seed;
            live[i] = live[--live_n];
            if (status == 0)
                break;
            failed++;
            fprintf(stderr, "--- seed %llu failed; once more, with its last steps:\n",
                    (unsigned long long)seed);
            waitpid(begin_seed(seed, steps, true), NULL, 0);
            fprintf(stderr, "--- again: SEED=%llu STEPS=%llu make sim\n", (unsigned long long)seed,
                    (unsigned long long)steps);
        }
    }
    printf("sim: %llu of %llu seeds held, %llu steps each\n", (unsigned long long)(count - failed),
           (unsigned long long)count, (unsigned long long)steps);
    return failed ? 1 : 0;
}
