/* parts: what stands round the queue: functions with their configuration, roles, logs, and a pool
 * that keeps to its functions' concurrency and whose runs end when the simulator says so. */
#include "sim.h"

#include "auth/policy.h"
#include "log_fake.h"
#include "svc/role.h"

enum { RUNS = 2048 };
#define ARN "arn:aws:lambda:us-east-1:000000000000:function:"

struct version { /* what a struct fn borrows from */
    struct fn fn;
    char name[8], arn[80], role[8], success[80], failure[80], letter[80];
};

struct actor actors[FUNCTIONS];
static struct invoke_req runs[RUNS];
static size_t run_count;
static uint64_t function_ids;

/* --- functions ---------------------------------------------------------------------------------- */

void fn_ref(struct fn *fn)
{
    fn->refs++;
}

void fn_unref(struct fn *fn)
{
    MUST(fn->refs > 0, "a function is let go that nobody holds");
    if (--fn->refs)
        return;
    if (fn->policy)
        policy_free(fn->policy);
    free(fn);
}

bool fn_admits(const struct fn *fn)
{
    return fn->policy != NULL;
}

static struct policy *open_policy(const char *arn)
{
    char text[512];
    struct err err = {0};
    int n = snprintf(text, sizeof text,
                     "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                     "\"Principal\":{\"Service\":\"events.amazonaws.com\"},\"Action\":"
                     "\"lambda:InvokeFunction\",\"Resource\":\"%s\"}]}",
                     arn);
    struct policy *p = policy_parse(str_of(text, (size_t)n), POLICY_RESOURCE, &err);
    MUST(p, "the policy: %s", err.text);
    return p;
}

static struct str target(char arn[static 80], unsigned one_in)
{
    if (world.calm || !once_in(one_in))
        return STR("");
    snprintf(arn, 80, ARN "f%d", (int)pick(FUNCTIONS));
    return str_c(arn);
}

/* The time until which it was so. */
static void note(struct actor *a)
{
    if (!a->fn)
        a->gone_ns = world.boot_ns;
    if (a->fn && !a->fn->policy)
        a->denied_ns = world.boot_ns;
    if (a->fn && a->fn->limited)
        a->shut_ns = world.boot_ns;
}

/* Another configuration of it, under that id. */
static void configure(struct actor *a, uint64_t id)
{
    static const int64_t ages_ms[] = {0, 60 * 1000, 300 * 1000, 3600 * 1000};
    static const unsigned limits[] = {0, 1, 3, 10, 1000, 1000};
    struct version *v = calloc(1, sizeof *v);
    if (!v)
        abort();
    if (a->fn)
        fn_unref(a->fn);
    snprintf(v->name, sizeof v->name, "%s", a->name);
    snprintf(v->arn, sizeof v->arn, ARN "%s", a->name);
    snprintf(v->role, sizeof v->role, "%s", a->name);
    v->fn = (struct fn){.refs = 1,
                        .id = id,
                        .name = str_c(v->name),
                        .arn = str_c(v->arn),
                        .role = str_c(v->role),
                        .version = STR("$LATEST"),
                        .qualifier = STR("$LATEST"),
                        .log_group = STR("/aws/lambda/f"),
                        .retries_set = once_in(2),
                        .retries = (uint32_t)pick(3),
                        .max_age_ms = ages_ms[pick(4)],
                        .event_rate = !world.calm && once_in(4) ? 1 + pick(10) : 0,
                        .loops = once_in(10)};
    v->fn.on_success = target(v->success, 4);
    v->fn.on_failure = target(v->failure, 3);
    v->fn.dead_letter = target(v->letter, 4);
    v->fn.policy = world.calm || !once_in(5) ? open_policy(v->arn) : NULL;
    a->fn = &v->fn;
    a->limit = world.calm ? 1000 : limits[pick(6)];
    a->fn->limited = a->limit == 0 && once_in(4);
    note(a);
    a->fails = world.calm ? 0 : (unsigned)pick(8);
    a->role_denies = !world.calm && once_in(6);
    a->changed_ns = world.boot_ns;
    a->changed_s = clock_store_ms() / 1000;
    if (a->fn->max_age_ms && a->fn->max_age_ms < a->age_ms_least)
        a->age_ms_least = a->fn->max_age_ms;
}

static void delete (struct actor *a)
{
    fn_unref(a->fn);
    a->fn = NULL;
    a->changed_ns = world.boot_ns;
}

void parts_begin(void)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        struct actor *a = &actors[i];
        *a = (struct actor){
            .age_ms_least = 6 * 3600 * 1000, .gone_ns = -1, .denied_ns = -1, .shut_ns = -1};
        snprintf(a->name, sizeof a->name, "f%d", i);
        configure(a, ++function_ids);
    }
}

void parts_boot(void)
{
    MUST(run_count == 0, "runs outlive their process");
    for (struct actor *a = actors; a < actors + FUNCTIONS; a++)
        a->second_runs = 0;
}

void parts_change(void)
{
    struct actor *a = &actors[pick(FUNCTIONS)];
    note(a);
    if (!a->fn) {
        configure(a, ++function_ids); /* another one under its name */
    } else if (once_in(8)) {
        delete (a);
    } else {
        configure(a, a->fn->id);
    }
    trace("%s: %s, limit %u, fails %u in 10", a->name, a->fn ? "configured" : "deleted", a->limit,
          a->fails);
    note(a);
    if (a->fn && queue)
        queue_resume(queue, a->fn->id);
}

void parts_calm(void)
{
    for (struct actor *a = actors; a < actors + FUNCTIONS; a++) {
        note(a);
        configure(a, a->fn ? a->fn->id : ++function_ids);
        if (queue)
            queue_resume(queue, a->fn->id);
    }
}

struct actor *actor_named(struct str name)
{
    size_t i = name.n == 2 && name.p[0] == 'f' ? (size_t)(name.p[1] - '0') : FUNCTIONS;
    MUST(i < FUNCTIONS, "there is no function %.*s", STR_FMT(name));
    note(&actors[i]);
    return &actors[i];
}

int function_get(struct functions *f, struct str name, struct str qualifier, struct fn **out,
                 struct err *err)
{
    struct actor *a = actor_named(name);
    (void)f;
    (void)qualifier;
    if (!a->fn)
        return err_set(err, E_NOT_FOUND, "Function not found: %.*s", STR_FMT(name));
    fn_ref(*out = a->fn);
    return 0;
}

bool function_exists(struct store_txn *t, struct str name)
{
    (void)t;
    return actor_named(name)->fn != NULL;
}

int function_find(struct store_txn *t, struct str name, struct str qualifier, uint64_t *id,
                  struct str *policy_json)
{
    struct actor *a = actor_named(name);
    (void)t;
    (void)qualifier;
    if (!a->fn)
        return E_NOT_FOUND;
    *id = a->fn->id;
    *policy_json = STR("");
    return 0;
}

int role_allows(struct roles *r, struct str role_arn, struct str action, struct str resource,
                struct err *err)
{
    (void)r;
    (void)action;
    (void)resource;
    return actor_named(role_arn)->role_denies ? err_set(err, E_DENIED, "it may not") : 0;
}

/* --- the pool ----------------------------------------------------------------------------------- */

static void answer(const struct invoke_req *req, enum run_end end)
{
    static char large[6000];
    struct invoke_result r = {.payload = STR("{\"ok\":true}"),
                              .error_type = STR(""),
                              .version = STR("$LATEST"),
                              .duration_us = 1 + pick(5000)};
    if (!large[0]) {
        memset(large, '1', sizeof large);
    }
    if (end == RUN_OK && once_in(20))
        r.payload = str_of(large, sizeof large);
    if (end == RUN_ERROR) {
        r.error = true;
        r.error_type = STR("Runtime.LuaError");
        r.payload = STR("{\"errorMessage\":\"no\"}");
    }
    r.platform_failure = end == RUN_PLATFORM;
    r.rc = end == RUN_THROTTLED ? E_THROTTLED : end == RUN_REFUSED ? E_SHUTDOWN : 0;
    event_ends(req, end);
    req->done(req->ctx, &r);
}

void invoke(struct pool *p, const struct invoke_req *req)
{
    struct actor *a = actor_named(req->fn->name);
    (void)p;
    event_begins(req, a);
    if (a->live >= a->limit || run_count == RUNS) {
        trace("%s throttled", a->name);
        stats.throttled++;
        answer(req, RUN_THROTTLED);
        return;
    }
    if (!world.calm && once_in(100)) {
        answer(req, RUN_PLATFORM); /* no runner could be made */
        return;
    }
    a->live++;
    stats.runs++;
    runs[run_count++] = *req;
    MUST(a->live <= LANE_WINDOW_MAX && run_count <= FLIGHTS_MAX, "%u runs of %s, %zu in all",
         a->live, a->name, run_count);
}

size_t runs_live(void)
{
    return run_count;
}

const struct invoke_req *run_any(void)
{
    return run_count ? &runs[pick(run_count)] : NULL;
}

static void end_run(size_t i, enum run_end end)
{
    struct invoke_req req = runs[i];
    actor_named(req.fn->name)->live--;
    runs[i] = runs[--run_count];
    answer(&req, end);
}

void runs_end_one(void)
{
    size_t i = pick(run_count);
    struct actor *a = actor_named(runs[i].fn->name);
    enum run_end end = pick(10) < a->fails ? RUN_ERROR : RUN_OK;
    if (!world.calm && once_in(60))
        end = once_in(2) ? RUN_PLATFORM : RUN_THROTTLED; /* late: it had waited for a runner */
    trace("%s: %s ends with %d", a->name, runs[i].request_id, (int)end);
    end_run(i, end);
}

void runs_end_all(enum run_end end)
{
    while (run_count)
        end_run(run_count - 1, end);
}
