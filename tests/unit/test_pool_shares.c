/* pool: crowds of callers who ask again and again, and the part of the runners that each gets. */
#include "pool_help.h"

/* --- shares -------------------------------------------------------------------------------------
 */

/* Callers who ask again as soon as they are answered, until told to stop. */
struct crowd {
    struct fn *fn;
    const char *event;
    int answered, refused, asking;
    bool stop;
};

static void ask_again(void *ctx, const struct invoke_result *r);

static void crowd_ask(struct crowd *c)
{
    struct invoke_req req = {.fn = c->fn,
                             .event = str_c(c->event),
                             .client_context = STR(""),
                             .arn = c->fn->arn,
                             .attempt = 1,
                             .source = "test",
                             .done = ask_again,
                             .ctx = c};
    id_uuid(req.request_id);
    c->asking++;
    invoke(pool, &req);
}

static void ask_again(void *ctx, const struct invoke_result *r)
{
    struct crowd *c = ctx;
    c->asking--;
    c->answered += r->rc == 0;
    c->refused += r->rc != 0;
    if (!c->stop && r->rc != E_SHUTDOWN)
        crowd_ask(c);
}

static void crowd_come(struct crowd *c, int many)
{
    for (int i = 0; i < many; i++)
        crowd_ask(c);
}

/* Until as many more have been answered; not for ever. */
static void crowd_wait(const struct crowd *c, int answers)
{
    const uint64_t end = clock_mono_ns() + 15000000000u;
    for (answers += c->answered; c->answered < answers && clock_mono_ns() < end;)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(c->answered >= answers);
}

static void crowd_go(struct crowd *c)
{
    for (c->stop = true; c->asking;)
        uv_run(&loop, UV_RUN_ONCE);
}

/* One function's callers hold all runners and would take every place that becomes free; those of
 * another come through all the same, one at a time or as many. */
static void a_crowd_starves_nobody(void **state)
{
    (void)state;
    static struct crowd many, few, slow; /* those of a test that fails are still called */
    many = (struct crowd){.fn = fn_of("many", 3000), .event = "call 20"};
    few = (struct crowd){.fn = fn_of("few", 3000), .event = "call 20"};
    slow = (struct crowd){.fn = fn_of("slow", 3000), .event = "call 2000"};
    struct pool_stats s;
    crowd_come(&many, 40);
    run_ms(200);
    assert_string_equal(one(fn_of("once", 3000), "echo hello").payload, "hello");
    crowd_come(&few, 1);
    crowd_wait(&few, 3);
    crowd_come(&few, 39);
    crowd_wait(&few, 10);
    many.answered = few.answered = 0;
    crowd_wait(&few, 25);
    pool_stats(pool, &s);
    assert_true(s.runners <= pool->opts.max_runners);
    if (few.answered * 4 < many.answered || many.answered * 4 < few.answered)
        fail_msg("%d answers and %d", many.answered, few.answered);
    crowd_come(&slow, 1); /* gets its place, too */
    slow.stop = true;
    run_ms(1000);
    pool_stats(pool, &s);
    crowd_go(&slow);
    assert_int_equal(many.refused + few.refused + slow.refused, 0);
    crowd_go(&many);
    crowd_go(&few);
}

static struct fn *version_of(const struct fn *fn, uint64_t number)
{
    static char names[16][8];
    struct fn *v = fn_of("versions", 3000);
    v->id = fn->id;
    v->generation = number + 1;
    snprintf(names[number], sizeof names[number], "%d", (int)number);
    v->version = str_c(names[number]);
    return v;
}

/* However many versions of it are asked for, a function gets one function's part. */
static void shares_are_of_functions(void **state)
{
    (void)state;
    enum { VERSIONS = 8 };
    static struct crowd many[VERSIONS], other;
    struct fn *fn = fn_of("versions", 3000);
    int theirs = 0;
    for (uint64_t i = 0; i < VERSIONS; i++) {
        many[i] = (struct crowd){.fn = version_of(fn, i), .event = "call 20"};
        crowd_come(&many[i], 6);
    }
    other = (struct crowd){.fn = fn_of("other", 3000), .event = "call 20"};
    crowd_come(&other, 6);
    crowd_wait(&other, 10);
    for (int i = 0; i < VERSIONS; i++)
        many[i].answered = 0;
    other.answered = 0;
    crowd_wait(&other, 40);
    for (int i = 0; i < VERSIONS; i++)
        theirs += many[i].answered;
    if (theirs > 3 * other.answered || other.answered > 3 * theirs)
        fail_msg("%d answers of %d versions, %d of the other", theirs, VERSIONS, other.answered);
    for (int i = 0; i < VERSIONS; i++)
        assert_true(many[i].answered > 0);
    for (int i = 0; i < VERSIONS; i++)
        crowd_go(&many[i]);
    crowd_go(&other);
}

/* Nor does a version's crowd keep the function's places from a sibling. */
static void a_crowd_starves_no_sibling(void **state)
{
    (void)state;
    static struct crowd many, few;
    struct fn *fn = fn_of("versions", 3000);
    many = (struct crowd){.fn = version_of(fn, 1), .event = "call 20"};
    few = (struct crowd){.fn = version_of(fn, 2), .event = "call 20"};
    crowd_come(&many, 40);
    run_ms(200);
    crowd_come(&few, 1);
    crowd_wait(&few, 5);
    assert_int_equal(many.refused + few.refused, 0);
    crowd_go(&many);
    crowd_go(&few);
}

/* All runners but one are in long runs: the one that ends its run first makes the place. */
static void long_runs_hold_no_share_back(void **state)
{
    (void)state;
    struct fn *busy = fn_of("busy", 9000);
    static struct crowd quick;
    static struct ask slow[3], other;
    quick = (struct crowd){.fn = busy, .event = "call 20"};
    crowd_come(&quick, 8);
    for (int i = 0; i < 3; i++)
        ask(&slow[i], busy, "call 3000");
    run_ms(300);
    ask(&other, fn_of("other", 3000), "echo hello");
    wait_for(&other, 1, 2);
    assert_string_equal(other.payload, "hello");
    crowd_go(&quick);
    wait_for(slow, 3, 9);
}

int main(int argc, char **argv)
{
    if (zygote_is(argc, argv))
        return pool_zygote(argc, argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        T_OF(four, a_crowd_starves_nobody),       T_OF(one, a_crowd_starves_nobody),
        T_OF(four, shares_are_of_functions),      T_OF(one, shares_are_of_functions),
        T_OF(four, a_crowd_starves_no_sibling),   T_OF(one, a_crowd_starves_no_sibling),
        T_OF(four, long_runs_hold_no_share_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
