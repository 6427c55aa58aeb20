/* schedule: places in time, with clocks that the test sets, and a queue that takes or refuses.
 *
 * The simulator (tests/sim) finds what goes wrong with them; here is what it found. */
#include "svc/schedule.h"

#include "base/clock.h"
#include "base/rec.h"
#include "store_help.h"
#include "svc/queue_row.h"
#include "target_help.h"

enum { DAY_S = 86400 };
#define NOON_S 1767441600 /* 2026-01-03T12:00:00Z */
#define EACH_MINUTE "cron(* * * * ? *)"

static _Atomic int64_t wall_s,
    set_back_to_s; /* the clock is set when an event is put; 0: it is not */
static _Atomic int events;
static _Atomic bool refuse;
static _Atomic int64_t look_ns, looked_ns; /* so much passes at each look at the clock; and did */
static char last_time[21];
static bool kicked[3];                    /* by function id */
static uint64_t missed, overlap, targets; /* of the rule */

int64_t clock_read_ns(clockid_t which)
{
    struct timespec t;
    if (which == CLOCK_REALTIME)
        return wall_s * 1000000000;
    clock_gettime(which, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec + (looked_ns += look_ns);
}

int queue_put(struct queue *q, struct store_txn *t, const struct queue_event *e)
{
    (void)q;
    if (refuse)
        return E_THROTTLED;
    ptrdiff_t at = str_find(e->payload, STR("\"time\":\""));
    assert_true(at > 0);
    snprintf(last_time, sizeof last_time, "%.20s", e->payload.p + at + 8);
    if (set_back_to_s)
        wall_s = set_back_to_s;
    set_back_to_s = 0;
    events++;
    return event_row_add(t, 1000, 1 << 20, e);
}

void queue_kick(struct queue *q, uint64_t function_id)
{
    (void)q;
    kicked[function_id] = true;
}

/* ----------------------------------------------------------------------------------------------- */

static struct fixture f;
static struct schedules *schedules;
static uv_timer_t beat; /* keeps the loop turning: the schedules' own timer keeps none alive */
static const struct schedule_name rule = {
    {SCHEDULE_KIND_RULE, sizeof SCHEDULE_KIND_RULE - 1}, {"default", 7}, {"r", 1}};

static void on_beat(uv_timer_t *timer)
{
    (void)timer;
}

static int setup(void **state)
{
    (void)state;
    wall_s = NOON_S;
    set_back_to_s = events = 0;
    look_ns = roles_asked = 0;
    refuse = kicked[1] = kicked[2] = false;
    missed = MISSED_ONCE;
    overlap = OVERLAP_RUN;
    targets = 1;
    f = (struct fixture){0};
    fixture_init(&f);
    schedules = schedules_open(
        &(struct schedules_opts){.loop = &f.loop, .store = f.store, .region = "us-east-1"});
    schedules_start(schedules);
    uv_timer_init(&f.loop, &beat);
    uv_timer_start(&beat, on_beat, 1, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    schedules_stop(schedules);
    uv_close((uv_handle_t *)&beat, NULL);
    fixture_deinit(&f);
    schedules_close(schedules);
    return 0;
}

/* A rule that is due each minute, anew or instead of the one that is there; 0 or what the store says. */
static int put_rule(struct store_txn *t, void *ctx)
{
    struct buf rec = BUF_INIT;
    struct str row = {NULL, 0};
    (void)ctx;
    (void)schedule_get(t, &rule, &row);
    rec_put_u64(&rec, SCHEDULE_CREATED_MS, (uint64_t)clock_wall_ms());
    schedule_put_place(&rec, STR(EACH_MINUTE), row);
    rec_put_str(&rec, SCHEDULE_EXPR, STR(EACH_MINUTE));
    rec_put_u64(&rec, SCHEDULE_MISSED_POLICY, missed);
    rec_put_u64(&rec, SCHEDULE_OVERLAP_POLICY, overlap);
    for (uint64_t i = 1; i <= targets; i++) {
        char arn[64];
        snprintf(arn, sizeof arn, "arn:aws:lambda:us-east-1:000000000000:function:f%d", (int)i);
        size_t mark = rec_begin(&rec, SCHEDULE_TARGET);
        rec_put_str(&rec, TARGET_ARN, str_c(arn));
        rec_end(&rec, mark);
    }
    int rc = schedule_put(t, &rule, buf_str(&rec));
    buf_deinit(&rec);
    return rc;
}

static int64_t field(uint16_t tag)
{
    struct str rec;
    struct store_txn *t = store_read(f.store);
    assert_int_equal(schedule_get(t, &rule, &rec), 0);
    int64_t v = (int64_t)rec_u64(rec, tag, 0);
    store_read_end(t);
    return v;
}

/* The loop turns so often, or until the rule's place is that. */
static void turns(int n, int64_t place_s)
{
    while (n-- && field(SCHEDULE_LAST_S) != place_s)
        uv_run(&f.loop, UV_RUN_ONCE);
}

/* The clock is set, and the schedules look at it: until the rule's place is there. */
static void at(int64_t now_s, int64_t place_s)
{
    wall_s = now_s;
    schedules_changed(schedules, &rule);
    turns(1000, place_s);
    assert_int_equal(field(SCHEDULE_LAST_S), place_s);
}

static void ran(int n, const char *time)
{
    assert_int_equal(events, n);
    assert_string_equal(last_time, time);
}

/* The clock goes forward a day and back while what was missed meanwhile is made up for, a run at a
 * time since the queue was full: what was given up lies ahead again, and is run. */
static void test_set_back_while_making_up(void **state)
{
    (void)state;
    assert_int_equal(call_run(&f, put_rule, NULL), 0);
    refuse = true;
    wall_s = NOON_S + 60;
    schedules_changed(schedules, &rule);
    turns(20, 0); /* refused */
    refuse = false;
    set_back_to_s = NOON_S + 90;
    at(NOON_S + DAY_S, NOON_S + 60);
    ran(1, "2026-01-03T12:01:00Z");
    assert_int_equal(field(SCHEDULE_SKIPPED_TO_S), NOON_S + DAY_S - 60);
    at(NOON_S + 120, NOON_S + 120);
    ran(2, "2026-01-03T12:02:00Z");
}

/* Who changes a rule after the clock went forward and back has it run from now on. */
static void test_changed_after_set_back(void **state)
{
    (void)state;
    assert_int_equal(call_run(&f, put_rule, NULL), 0);
    at(NOON_S + DAY_S, NOON_S + DAY_S);
    ran(3, "2026-01-04T12:00:00Z"); /* the first that was missed, and those of the last minute */
    wall_s = NOON_S + 300;
    assert_int_equal(call_run(&f, put_rule, NULL), 0);
    assert_int_equal(field(SCHEDULE_SKIPPED_FROM_S), NOON_S + 61);
    assert_int_equal(field(SCHEDULE_SKIPPED_TO_S), NOON_S + 301);
    at(NOON_S + 360, NOON_S + 360);
    ran(4, "2026-01-03T12:06:00Z");
    at(NOON_S + 240, NOON_S + 360); /* set back once more, before the change: that was given up */
    turns(20, 0);
    ran(6, "2026-01-03T12:04:00Z");
}

/* A run that came late gave nothing up, so what lies before the rule is still known as not run: with the
 * clock set back there, it is. */
static void test_set_back_before_the_rule(void **state)
{
    (void)state;
    assert_int_equal(call_run(&f, put_rule, NULL), 0);
    at(NOON_S + 130, NOON_S + 130);
    ran(2, "2026-01-03T12:02:00Z");
    assert_int_equal(field(SCHEDULE_SKIPPED_TO_S), NOON_S + 1);
    at(NOON_S - DAY_S + 60, NOON_S + 130);
    turns(20, 0);
    ran(4, "2026-01-02T12:01:00Z"); /* and the one a minute before */
}

/* While a run is on its way none is put beside it, however often that was so before. */
static void test_no_overlap(void **state)
{
    (void)state;
    overlap = OVERLAP_SKIP;
    targets = 2;
    assert_int_equal(call_run(&f, put_rule, NULL), 0);
    at(NOON_S + 60, NOON_S + 60);
    ran(2, "2026-01-03T12:01:00Z");
    at(NOON_S + 120, NOON_S + 120);
    at(NOON_S + 180, NOON_S + 180);
    ran(2, "2026-01-03T12:01:00Z");
}

static int put_others(struct store_txn *t, void *ctx)
{
    int rc = 0;
    (void)ctx;
    for (int i = 0; i < 500 && rc == 0; i++)
        rc = event_row_add(t, 1000, 1 << 20,
                           &(struct queue_event){.function_id = 1,
                                                 .function_name = STR("f1"),
                                                 .qualifier = STR(""),
                                                 .payload = STR("{}"),
                                                 .source = "invoke"});
    return rc;
}

/* Nor when it waits behind many others. */
static void test_no_overlap_behind_many(void **state)
{
    (void)state;
    overlap = OVERLAP_SKIP;
    assert_int_equal(call_run(&f, put_others, NULL), 0);
    assert_int_equal(call_run(&f, put_rule, NULL), 0);
    at(NOON_S + 60, NOON_S + 60);
    ran(1, "2026-01-03T12:01:00Z");
    at(NOON_S + 120, NOON_S + 120);
    ran(1, "2026-01-03T12:01:00Z");
}

/* The queue is told of each function that got events, however many another one got. */
static void test_all_targets_are_kicked(void **state)
{
    (void)state;
    missed = MISSED_ALL;
    targets = 2;
    assert_int_equal(call_run(&f, put_rule, NULL), 0);
    at(NOON_S + 600, NOON_S + 600);
    ran(20, "2026-01-03T12:10:00Z");
    assert_true(kicked[1] && kicked[2]);
}

enum { MANY = 200 };

static int put_schedules(struct store_txn *t, void *ctx)
{
    int rc = 0;
    for (int i = 0; i < MANY && rc == 0; i++) {
        char name[8];
        struct buf rec = BUF_INIT;
        struct str row = {NULL, 0};
        snprintf(name, sizeof name, "s%03d", i);
        schedule_put_place(&rec, STR(EACH_MINUTE), row);
        rec_put_str(&rec, SCHEDULE_EXPR, STR(EACH_MINUTE));
        size_t mark = rec_begin(&rec, SCHEDULE_TARGET);
        rec_put_str(&rec, TARGET_ARN, STR("arn:aws:lambda:us-east-1:000000000000:function:f1"));
        rec_put_str(&rec, TARGET_ROLE, STR("arn:aws:iam::000000000000:role/r"));
        rec_end(&rec, mark);
        rc = schedule_put(
            t, &(struct schedule_name){STR(SCHEDULE_KIND_SCHEDULE), STR("default"), str_c(name)},
            buf_str(&rec));
        buf_deinit(&rec);
    }
    (void)ctx;
    return rc;
}

/* All are due at once, on a slow machine: no turn of the loop begins more than a few. */
static void test_many_at_once(void **state)
{
    int most = 0;
    (void)state;
    assert_int_equal(call_run(&f, put_schedules, NULL), 0);
    schedules_start(schedules); /* as if there had been a restart */
    for (int i = 0; i < 20; i++)
        uv_run(&f.loop, UV_RUN_ONCE);
    wall_s = NOON_S + 60;
    look_ns = 100 * 1000;
    for (int i = 0; i < 3000 && events < MANY; i++) {
        int before = roles_asked;
        uv_run(&f.loop, UV_RUN_ONCE);
        most = roles_asked - before > most ? roles_asked - before : most;
    }
    assert_int_equal(events, MANY);
    assert_in_range(most, 1, 40); /* libuv may run a timer twice in one call */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_set_back_while_making_up),
        T(test_changed_after_set_back),
        T(test_set_back_before_the_rule),
        T(test_no_overlap),
        T(test_no_overlap_behind_many),
        T(test_all_targets_are_kicked),
        T(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
