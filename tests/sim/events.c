/* events: the other opinion on what may become of an event.
 *
 * It sees what the pool saw (which runs began, how they ended) and what was committed, job by job,
 * and knows the rules in words of its own: when a retry may come, what may be given up and why, who
 * is to hear of it, and what may leave the store. It shares no code with the queue but the reading of
 * fields. */
#include "sim.h"

#include <inttypes.h>

enum {
    SLOTS = 4096,
    AGE_DEFAULT_MS = 6 * 3600 * 1000,
    SLACK_MS = 100,
    EVENT_BYTES = 2500,
    RECORD_BYTES = 40000
};

struct sim_stats stats;
static struct known *by_id[SLOTS];
static size_t known_count;
static uint8_t *born; /* client's events by number */
static uint64_t born_cap;

static struct { /* of each function's lane */
    uint64_t turn, passed;
} lanes[256];

struct seen { /* a record of T_EVENTS */
    int state;
    uint64_t function_id, boot, bytes;
    uint32_t tries, crashes, defers, hops;
    int64_t accepted_ms, due_ms, ended_ms;
    struct str function, request_id, why, source, source_arn, chain;
};

static struct seen see(const struct row *r)
{
    struct str v = row_val(r);
    return (struct seen){
        .state = (int)rec_u64(v, EV_STATE, 0),
        .function_id = rec_u64(v, EV_FUNCTION_ID, 0),
        .boot = rec_u64(v, EV_BOOT, 0),
        .bytes = rec_u64(v, EV_BYTES, 0),
        .tries = (uint32_t)rec_u64(v, EV_TRIES, 0),
        .crashes = (uint32_t)rec_u64(v, EV_CRASHES, 0),
        .defers = (uint32_t)rec_u64(v, EV_DEFERS, 0),
        .hops = (uint32_t)rec_u64(v, EV_HOPS, 0),
        .accepted_ms = (int64_t)rec_u64(v, EV_ACCEPTED_MS, 0),
        .due_ms = (int64_t)rec_u64(v, EV_DUE_MS, 0),
        .ended_ms = (int64_t)rec_u64(v, EV_ENDED_MS, 0),
        .function = rec_str(v, EV_FUNCTION),
        .request_id = rec_str(v, EV_REQUEST_ID),
        .why = rec_str(v, EV_ERROR_TYPE),
        .source = rec_str(v, EV_SOURCE),
        .source_arn = rec_str(v, EV_SOURCE_ARN),
        .chain = rec_str(v, EV_CHAIN),
    };
}

static bool to_run(int state)
{
    return state == EVENT_QUEUED_ROW || state == EVENT_RUNNING_ROW || state == EVENT_WAITING_ROW;
}

/* It was running when its process ended. */
static bool lost(const struct seen *s)
{
    return s->state == EVENT_RUNNING_ROW && s->boot != store_boot(disk);
}

/* --- what is known ------------------------------------------------------------------------------ */

static struct known *known_of(uint64_t id)
{
    struct known *k = by_id[id % SLOTS];
    while (k && k->id != id)
        k = k->next;
    return k;
}

static struct known *known_by_request(const char *request_id)
{
    for (size_t i = 0; i < SLOTS; i++)
        for (struct known *k = by_id[i]; k; k = k->next)
            if (strcmp(k->request_id, request_id) == 0)
                return k;
    return NULL;
}

static const struct row *row_of(uint64_t id)
{
    struct key key = {0};
    return disk_find(T_EVENTS, key_str(key_u64(&key, id)));
}

static struct known *learn(uint64_t id, const struct seen *s)
{
    struct known *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    k->id = id;
    snprintf(k->request_id, sizeof k->request_id, "%.*s", STR_FMT(s->request_id));
    snprintf(k->function, sizeof k->function, "%.*s", STR_FMT(s->function));
    k->next = by_id[id % SLOTS];
    by_id[id % SLOTS] = k;
    known_count++;
    return k;
}

static void unlearn(struct known *k)
{
    struct known **at = &by_id[k->id % SLOTS];
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    free(k);
    known_count--;
}

void events_begin(void)
{
    stats = (struct sim_stats){0};
}

void events_boot(void)
{
    memset(lanes, 0, sizeof lanes);
    for (size_t i = 0; i < SLOTS; i++)
        for (struct known *k = by_id[i]; k; k = k->next) {
            k->failed -= k->told && k->end == RUN_ERROR; /* what was not committed has not been */
            k->running = k->told = k->redriven = k->dropped = false;
        }
}

bool event_was_born(uint64_t number)
{
    return number < born_cap && born[number];
}

static void note_birth(const struct known *k)
{
    uint64_t number;
    if (!str_u64(str_from(str_c(k->request_id), 24), &number) ||
        !str_starts(str_c(k->request_id), STR("00000000-")))
        return;
    if (number >= born_cap) {
        uint64_t cap = number * 2 + 1024;
        born = realloc(born, cap);
        if (!born)
            abort();
        memset(born + born_cap, 0, cap - born_cap);
        born_cap = cap;
    }
    MUST(!born[number], "event %" PRIu64 " is put twice", number);
    born[number] = 1;
}

struct known *event_any(bool dead)
{
    size_t n = disk_rows(T_EVENTS), at = n ? pick(n) : 0;
    for (size_t i = 0; i < 200 && i < n; i++) {
        const struct row *r = disk_row(T_EVENTS, (at + i) % n);
        struct str key = row_key(r);
        uint64_t id;
        if (key.n == 8 && key_take_u64(&key, &id) &&
            (!dead || rec_u64(row_val(r), EV_STATE, 0) == EVENT_DEAD_ROW))
            return known_of(id);
    }
    return NULL;
}

/* --- runs --------------------------------------------------------------------------------------- */

static int64_t max_age_ms(const struct fn *fn)
{
    return fn->max_age_ms ? fn->max_age_ms : AGE_DEFAULT_MS;
}

static void keep_rate(struct actor *a)
{
    int64_t second = clock_store_ms() / 1000;
    if (second != a->second) {
        a->second = second;
        a->second_runs = 0;
        a->second_slow = false;
    }
    a->second_slow = a->second_slow || world.look_ns;
    uint64_t rate = a->fn && a->fn->event_rate ? a->fn->event_rate : queue_opts.event_rate;
    if (second == a->changed_s)
        return;                     /* it has had two rates in this second */
    rate *= a->second_slow ? 2 : 1; /* a turn that was slow may have come from the one before */
    MUST(!rate || ++a->second_runs <= rate, "%s is begun more than %" PRIu64 " times in a second",
         a->name, rate);
}

/* Nobody whose turn it is may be passed over for long. A lane that was looked at has another turn. */
static void keep_turns(const struct lane *served)
{
    int64_t now_ms = clock_store_ms();
    for (size_t i = 0; i < queue->heap_n; i++) {
        const struct lane *lane = queue->heap[i];
        bool waits = lane != served && lane->next_ms < now_ms - 1 && lane_open(lane);
        uint64_t *turn = &lanes[lane->function_id % 256].turn,
                 *passed = &lanes[lane->function_id % 256].passed;
        *passed = waits && lane->turn == *turn ? *passed + 1 : 0;
        *turn = lane->turn;
        MUST(*passed <= 8 * (FUNCTIONS + 1),
             "function %" PRIu64 " was passed over %" PRIu64 " times; due %" PRId64 " ms ago",
             lane->function_id, *passed, now_ms - lane->next_ms);
    }
}

void event_begins(const struct invoke_req *req, struct actor *a)
{
    struct known *k = known_by_request(req->request_id);
    MUST(k, "%s runs and is not in the store", req->request_id);
    struct seen s = see(row_of(k->id));
    trace("%s: %s begins, try %u", a->name, k->request_id, req->attempt);
    int64_t age_ms = clock_store_ms() - s.accepted_ms;
    MUST(to_run(s.state), "%s runs in state %d", k->request_id, s.state);
    MUST(!k->running, "%s runs twice at once", k->request_id);
    MUST(!k->told, "%s runs again before its result is stored", k->request_id);
    MUST(s.due_ms <= clock_store_ms(), "%s runs before it is due", k->request_id);
    MUST(k->failed <= 2, "%s runs after %u failures", k->request_id, k->failed);
    MUST(s.crashes + lost(&s) < CRASHES_MAX, "%s has brought down ten processes", k->request_id);
    MUST(s.hops < INVOKE_HOPS_MAX || req->fn->loops, "%s runs after %u hops", k->request_id,
         s.hops);
    MUST(age_ms <= max_age_ms(req->fn) + SLACK_MS, "%s is too old: %" PRId64 " ms", k->request_id,
         age_ms);
    MUST(!s.source_arn.n || fn_admits(req->fn), "%s may not invoke %s", k->request_id, a->name);
    MUST(!req->fn->limited, "%s runs, and %s may not", k->request_id, a->name);
    MUST(req->fn->id == s.function_id, "%s runs another function", k->request_id);
    MUST(req->attempt == s.tries + lost(&s) + 1, "%s: attempt %u after %u tries", k->request_id,
         req->attempt, s.tries);
    k->running = true;
    keep_rate(a);
    for (size_t i = 0; i < 1024; i++)
        for (struct lane *l = queue->lanes[i]; l; l = l->hash_next)
            if (l->function_id == s.function_id)
                keep_turns(l);
}

static void hears(char out[static 8], struct str arn)
{
    out[0] = 0;
    if (arn.n > 2)
        snprintf(out, 8, "%.*s", STR_FMT(str_from(arn, arn.n - 2)));
}

/* Whom its configuration wants to hear of the outcome. */
static void note_hearers(struct known *k, const struct fn *fn)
{
    bool nobody = actor_named(fn->name)->role_denies;
    hears(k->success, nobody ? STR("") : fn->on_success);
    hears(k->failure, nobody ? STR("") : fn->on_failure);
    hears(k->letter, nobody ? STR("") : fn->dead_letter);
}

void event_ends(const struct invoke_req *req, enum run_end end)
{
    if (world.ending)
        return;
    struct known *k = known_by_request(req->request_id);
    MUST(k && k->running && !k->told, "%s ends and did not run", req->request_id);
    k->running = false;
    k->told = end != RUN_THROTTLED && end != RUN_REFUSED;
    k->end = end;
    k->told_ms = clock_store_ms();
    k->retries = req->fn->retries_set ? req->fn->retries : 2;
    k->max_age_ms = max_age_ms(req->fn);
    k->failed += end == RUN_ERROR;
    note_hearers(k, req->fn);
}

/* --- one row changes ---------------------------------------------------------------------------- */

static void check_put_off(const struct known *k, const struct seen *o, const struct seen *n)
{
    static const int64_t function_s[] = {60, 120};
    int64_t wait_ms = n->due_ms - k->told_ms, want_ms = 1000;
    MUST(k->told && (k->end == RUN_ERROR || k->end == RUN_PLATFORM), "%s is put off for nothing",
         k->request_id);
    if (k->end == RUN_ERROR) {
        MUST(k->failed >= 1 && k->failed <= k->retries, "%s is retried after %u failures of %u + 1",
             k->request_id, k->failed, k->retries);
        want_ms = function_s[k->failed - 1] * 1000;
    } else {
        for (uint32_t i = 0; i < o->defers && want_ms < 300 * 1000; i++)
            want_ms *= 2;
        want_ms = want_ms > 300 * 1000 ? 300 * 1000 : want_ms;
    }
    MUST(wait_ms >= want_ms && wait_ms <= want_ms + SLACK_MS,
         "%s waits %" PRId64 " ms, not %" PRId64, k->request_id, wait_ms, want_ms);
    MUST(k->told_ms + want_ms - n->accepted_ms <= k->max_age_ms + SLACK_MS,
         "%s waits longer than it may live", k->request_id);
    stats.put_off++;
}

/* Is that a reason to give it up? */
static bool good_reason(const struct known *k, const struct seen *o, const struct seen *n)
{
    const struct actor *a = actor_named(str_c(k->function));
    struct str why = n->why;
    int64_t age_ms = clock_store_ms() - n->accepted_ms;
    if (str_is(why, "RetriesExhausted"))
        return k->told && k->end == RUN_ERROR && k->failed > k->retries;
    if (str_is(why, "EventAgeExceeded")) {
        stats.too_old++;
        return k->told ? k->end != RUN_OK && age_ms + 300 * 1000 > k->max_age_ms
                       : age_ms > a->age_ms_least;
    }
    if (k->told)
        return false;
    if (str_is(why, "FunctionNotFound"))
        return a->gone_ns >= k->changed_ns || !a->fn || a->fn->id != n->function_id;
    if (str_is(why, "AccessDenied"))
        return n->source_arn.n && a->denied_ns >= k->changed_ns;
    if (str_is(why, "ZeroReservedConcurrency"))
        return a->shut_ns >= k->changed_ns;
    if (str_is(why, "PoisonEvent")) {
        stats.poison++;
        return o->crashes + lost(o) >= CRASHES_MAX;
    }
    stats.loops++;
    return str_is(why, "RecursiveInvocationException") && n->hops >= INVOKE_HOPS_MAX;
}

static void check_tries(const struct known *k, const struct seen *o, const struct seen *n)
{
    bool ran =
        k->told && n->state != EVENT_RUNNING_ROW && (k->end == RUN_OK || k->end == RUN_ERROR);
    MUST(n->tries == o->tries + lost(o) + ran, "%s: %u tries after %u", k->request_id, n->tries,
         o->tries);
    MUST(n->crashes == o->crashes + lost(o), "%s: %u crashes after %u", k->request_id, n->crashes,
         o->crashes);
    MUST(n->crashes <= CRASHES_MAX && n->tries - n->crashes <= 3, "%s: %u tries, %u crashes",
         k->request_id, n->tries, n->crashes);
}

static void moves(struct known *k, const struct seen *o, const struct seen *n)
{
    trace("%s: %d -> %d", k->request_id, o->state, n->state);
    if (o->state == EVENT_DEAD_ROW) {
        MUST(k->redriven && n->state == EVENT_QUEUED_ROW && !n->tries && !n->crashes &&
                 !n->defers && !n->hops,
             "%s is back from the dead", k->request_id);
        k->redriven = false;
        k->failed = 0;
        k->changed_ns = world.boot_ns;
        return;
    }
    MUST(to_run(o->state), "%s has ended and changes", k->request_id);
    check_tries(k, o, n);
    switch (n->state) {
    case EVENT_RUNNING_ROW:
        MUST(n->boot == store_boot(disk) && n->due_ms == o->due_ms, "%s runs nowhere",
             k->request_id);
        return; /* its result is still to come */
    case EVENT_WAITING_ROW:
    case EVENT_QUEUED_ROW:
        if (n->due_ms != o->due_ms)
            check_put_off(k, o, n);
        else
            MUST(!k->told, "%s is as before after a run that counts", k->request_id);
        break;
    case EVENT_DONE_ROW:
        MUST(k->told && k->end == RUN_OK, "%s is done and has not succeeded", k->request_id);
        stats.done++;
        break;
    case EVENT_DEAD_ROW:
        MUST(good_reason(k, o, n), "%s is dead of %.*s: %u failures, told %d, end %d",
             k->request_id, STR_FMT(n->why), k->failed, k->told, (int)k->end);
        stats.dead++;
        break;
    default:
        broken("%s is in state %d", k->request_id, n->state);
    }
    k->told = false;
    k->changed_ns = world.boot_ns;
}

static void is_born(uint64_t id, const struct seen *n)
{
    struct known *k = known_of(id);
    MUST(!k && n->state == EVENT_QUEUED_ROW && !n->tries && !n->crashes && !n->defers,
         "%.*s begins in the middle", STR_FMT(n->request_id));
    k = learn(id, n);
    k->changed_ns = world.boot_ns;
    note_birth(k);
    stats.accepted++;
    trace("%s for %s is accepted from %.*s", k->request_id, k->function, STR_FMT(n->source));
}

struct sums {
    uint64_t rows, bytes, waiting, dead_rows, dead_bytes, done;
};

/* As the queue counts. */
static struct sums totals(void)
{
    struct sums q = {0};
    struct str v = row_val(disk_find(T_META, STR("queue")));
    if (v.n)
        MUST(key_take_u64(&v, &q.rows) && key_take_u64(&v, &q.bytes) &&
                 key_take_u64(&v, &q.waiting) && key_take_u64(&v, &q.dead_rows) &&
                 key_take_u64(&v, &q.dead_bytes),
             "the totals are cut");
    return q;
}

/* Of the ended events of its kind it must be the oldest, and too many or too old. */
static void check_leaving(const struct known *k, const struct seen *o)
{
    struct key key;
    bool dead = o->state == EVENT_DEAD_ROW;
    if (k->dropped)
        return;
    MUST(dead || o->state == EVENT_DONE_ROW, "%s vanishes in state %d", k->request_id, o->state);
    struct str prefix = event_run_key(&key, o->function_id, dead ? RUN_DEAD : RUN_DONE, 0, 0);
    if (dead) {
        key.n = 0;
        prefix = key_str(key_u64(&key, EVENT_DEAD));
    } else {
        prefix.n = 12;
    }
    int64_t age_ms = clock_store_ms() - o->ended_ms;
    size_t others = 0, older = 0, n = disk_rows(dead ? T_DUE : T_RUNS);
    for (size_t i = 0; i < n; i++) {
        struct str at = row_key(disk_row(dead ? T_DUE : T_RUNS, i));
        uint64_t ms = 0;
        if (!str_starts(at, prefix) || at.n == prefix.n)
            continue;
        at = str_from(at, prefix.n);
        others++;
        older += key_take_u64(&at, &ms) && (int64_t)ms < o->ended_ms;
    }
    MUST(older == 0, "%s leaves before %zu that are older", k->request_id, older);
    size_t limit = dead ? queue_opts.max_rows / 4 : queue_opts.keep_rows;
    bool full = dead && totals().dead_bytes + 8 * EVENT_BYTES > queue_opts.max_bytes / 4;
    MUST(others >= limit || full || (!dead && age_ms >= queue_opts.keep_age_ms),
         "%s leaves though there are only %zu of %zu", k->request_id, others, limit);
}

static void leaves(struct known *k, const struct seen *o)
{
    trace("%s leaves in state %d", k->request_id, o->state);
    if (to_run(o->state) && k->told && k->end == RUN_OK && queue_opts.keep_rows == 0)
        stats.done++;
    else
        check_leaving(k, o);
    unlearn(k);
}

/* --- a job -------------------------------------------------------------------------------------- */

/* Where the index says that it is. */
static void check_place(uint64_t id)
{
    const struct row *r = row_of(id);
    struct key due = {0}, run;
    if (!r)
        return;
    struct seen s = see(r);
    bool dead = s.state == EVENT_DEAD_ROW, done = s.state == EVENT_DONE_ROW;
    key_u64(key_u64(key_u64(&due, dead ? EVENT_DEAD : s.function_id), (uint64_t)s.due_ms), id);
    MUST(!disk_find(T_DUE, key_str(&due)) == done, "event %" PRIx64 " (%d) is not where it is due",
         id, s.state);
    event_run_key(&run, s.function_id, dead ? RUN_DEAD : RUN_DONE, s.ended_ms, id);
    MUST(!disk_find(T_RUNS, key_str(&run)) == !(dead || done),
         "event %" PRIx64 " (%d) is not filed", id, s.state);
}

/* Of one that was stopped as a loop nobody hears whom its chain has been through. */
static void check_lineage(const struct known *k, const struct seen *end, const struct seen *sent)
{
    char chain[4096], name[16];
    bool stopped = end->hops >= INVOKE_HOPS_MAX && sent->hops == 0;
    MUST(stopped ||
             (sent->hops == end->hops + 1 && !str_is(end->why, "RecursiveInvocationException")),
         "%s: what it sends on bears another number of hops", k->request_id);
    snprintf(chain, sizeof chain, " %.*s > %.*s ", STR_FMT(end->chain), STR_FMT(end->function));
    snprintf(name, sizeof name, " %.*s ", STR_FMT(sent->function));
    MUST(!stopped || !strstr(chain, name), "%s: a loop goes on over%s", k->request_id, name);
}

/* What was written beside the end of an event. */
static void check_sent(const struct known *k, const struct seen *end, const struct change *c,
                       size_t n)
{
    bool success = end->state == EVENT_DONE_ROW;
    char condition[64], origin[96];
    unsigned records = 0, letters = 0;
    snprintf(condition, sizeof condition, "\"condition\":\"%.*s\"", success ? 7 : (int)end->why.n,
             success ? "Success" : end->why.p);
    snprintf(origin, sizeof origin, "\"requestContext\":{\"requestId\":\"%s\"", k->request_id);
    for (size_t i = 0; i < n; i++) {
        if (c[i].table != T_EVENTS || c[i].old)
            continue;
        if (row_key(c[i].new).n != 9) {
            struct seen sent = see(c[i].new);
            check_lineage(k, end, &sent);
            continue;
        }
        struct str text = row_val(c[i].new);
        if (str_find(text, str_c(origin)) < 0) {
            letters++;
            continue;
        }
        records++;
        MUST(str_find(text, str_c(condition)) > 0, "%s: another condition than %s: %.*s",
             k->request_id, condition, STR_FMT(text));
    }
    stats.sent += records + letters;
    bool record = success ? k->success[0] : k->failure[0], letter = !success && k->letter[0];
    if (!k->told) /* it was given up without a run: its configuration may have changed meanwhile */
        return;
    MUST(records <= record && letters <= letter, "%s: %u records and %u letters are sent",
         k->request_id, records, letters);
    struct sums now = totals();
    if (now.rows + 4 >= queue_opts.max_rows || now.bytes + RECORD_BYTES >= queue_opts.max_bytes)
        return; /* no room for them */
    if (record && !records) {
        const struct actor *to = actor_named(str_c(success ? k->success : k->failure));
        MUST(!to->fn || to->changed_ns >= k->changed_ns, "%s: nobody hears of its end",
             k->request_id);
    }
}

static void end_of(const struct change *c, const struct change *all, size_t n)
{
    struct seen s = see(c->new);
    struct str key = row_key(c->new);
    uint64_t id;
    if (!c->old || !to_run((int)rec_u64(row_val(c->old), EV_STATE, 0)) || to_run(s.state) ||
        !key_take_u64(&key, &id))
        return;
    const struct known *k = known_of(id);
    if (k)
        check_sent(k, &s, all, n);
}

void events_committed(const struct change *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c[i].table == T_EVENTS && c[i].new &&row_key(c[i].new).n == 8)
            end_of(&c[i], c, n);
    for (size_t i = 0; i < n; i++) {
        struct str key = row_key(c[i].new ? c[i].new : c[i].old);
        uint64_t id;
        if (c[i].table != T_EVENTS || key.n != 8 || !key_take_u64(&key, &id))
            continue;
        struct seen o = {0}, s = {0};
        if (c[i].old)
            o = see(c[i].old);
        if (c[i].new)
            s = see(c[i].new);
        if (!c[i].old) {
            is_born(id, &s);
            continue;
        }
        struct known *k = known_of(id);
        MUST(k, "event %" PRIx64 " is unknown", id);
        if (c[i].new)
            moves(k, &o, &s);
        else
            leaves(k, &o);
    }
    for (size_t i = 0; i < n; i++) {
        struct str key = row_key(c[i].new ? c[i].new : c[i].old);
        uint64_t id;
        if (c[i].table == T_EVENTS && key.n == 8 && key_take_u64(&key, &id))
            check_place(id);
    }
}

/* --- everything --------------------------------------------------------------------------------- */

static struct sums count(void)
{
    struct sums sum = {0};
    for (size_t i = 0; i < disk_rows(T_EVENTS); i++) {
        const struct row *r = disk_row(T_EVENTS, i);
        struct str key = row_key(r);
        uint64_t id = 0;
        if (key.n != 8 || !key_take_u64(&key, &id))
            continue;
        struct seen s = see(r);
        struct key p = {0};
        MUST(known_of(id), "event %" PRIx64 " came from nowhere", id);
        MUST(disk_find(T_EVENTS, key_str(key_bytes(key_u64(&p, id), STR("p")))),
             "event %" PRIx64 " has no payload", id);
        check_place(id);
        sum.rows += to_run(s.state);
        sum.bytes += to_run(s.state) ? s.bytes : 0;
        sum.waiting += s.state == EVENT_WAITING_ROW;
        sum.dead_rows += s.state == EVENT_DEAD_ROW;
        sum.dead_bytes += s.state == EVENT_DEAD_ROW ? s.bytes : 0;
        sum.done += s.state == EVENT_DONE_ROW;
    }
    return sum;
}

void events_audit(void)
{
    struct sums sum = count(), told = totals();
    size_t counters = 0;
    told.done = sum.done;
    MUST(memcmp(&sum, &told, sizeof sum) == 0,
         "totals say %" PRIu64 " rows, %" PRIu64 " bytes, %" PRIu64 " waiting, %" PRIu64
         " dead; there are %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64,
         told.rows, told.bytes, told.waiting, told.dead_rows, sum.rows, sum.bytes, sum.waiting,
         sum.dead_rows);
    for (size_t i = 0; i < disk_rows(T_RUNS); i++)
        counters += row_key(disk_row(T_RUNS, i)).n == 12;
    MUST(disk_rows(T_EVENTS) == 2 * known_count, "%zu rows of %zu events", disk_rows(T_EVENTS),
         known_count);
    MUST(disk_rows(T_DUE) == sum.rows + sum.dead_rows, "%zu rows in T_DUE", disk_rows(T_DUE));
    MUST(disk_rows(T_RUNS) == sum.done + sum.dead_rows + counters, "%zu rows in T_RUNS",
         disk_rows(T_RUNS));
    MUST(sum.rows <= queue_opts.max_rows && sum.bytes <= queue_opts.max_bytes,
         "%" PRIu64 " rows of %" PRIu64 " bytes wait", sum.rows, sum.bytes);
    MUST(sum.dead_rows <= queue_opts.max_rows / 4 + 1, "%" PRIu64 " are dead", sum.dead_rows);
    MUST(sum.done <= queue_opts.keep_rows * (stats.accepted ? 64 * FUNCTIONS : 1),
         "the ledger grows");
}

void events_settled(void)
{
    for (size_t i = 0; i < disk_rows(T_EVENTS); i++) {
        const struct row *r = disk_row(T_EVENTS, i);
        if (row_key(r).n != 8)
            continue;
        struct seen s = see(r);
        MUST(!to_run(s.state) || s.due_ms > clock_store_ms() - 2000,
             "%.*s of %.*s (%" PRIu64 ") waits for ever: state %d, due %" PRId64
             " ms ago, %u tries",
             STR_FMT(s.request_id), STR_FMT(s.function), s.function_id, s.state,
             clock_store_ms() - s.due_ms, s.tries);
    }
}
