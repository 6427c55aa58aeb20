/* test_work: the pool's threads, and how what they have done comes back to the loops. */
#include "base/work.h"

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

static void nothing(struct work *w)
{
    (void)w;
}

static void count(struct work *w)
{
    ++*(int *)w->data;
}

static void wait_for_it(struct work *w)
{
    while (sem_wait(w->data) != 0)
        ;
}

/* --- one loop ----------------------------------------------------------------------------------- */

static void loop_ends_when_its_jobs_have(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    int runs = 0, afters = 0;
    struct work w[3];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) {
            w[i].data = &afters;
            work_start(&loop, &w[i], nothing, count);
        }
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(afters, 3 * ++runs);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void loop_with_jobs_under_way_is_not_closed(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    sem_t go;
    sem_init(&go, 0, 0);
    struct work w = {.data = &go};
    work_start(&loop, &w, wait_for_it, nothing);
    assert_int_not_equal(uv_run(&loop, UV_RUN_NOWAIT), 0);
    assert_int_equal(uv_loop_close(&loop), UV_EBUSY);
    sem_post(&go);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    sem_destroy(&go);
}

static void kept_loop_ends_too(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    work_keep(&loop);
    int afters = 0;
    struct work w = {.data = &afters};
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    for (int i = 1; i <= 3; i++) {
        work_start(&loop, &w, nothing, count);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(afters, i);
    }
    work_start(&loop, &w, nothing, count);
    work_leave(&loop); /* with a job under way */
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(afters, 4);
    assert_int_equal(uv_loop_close(&loop), 0);
    uv_loop_init(&loop);
    work_keep(&loop);
    work_leave(&loop); /* and without */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

struct chain {
    uv_loop_t *loop;
    struct work work, other;
    int left, others;
};

static void chain_next(struct work *w)
{
    struct chain *c = w->data;
    if (w == &c->other)
        c->others++;
    else if (--c->left) {
        work_start(c->loop, w, nothing, chain_next);
        if (c->left == 5)
            work_start(c->loop, &c->other, nothing, chain_next);
    }
}

static void job_starts_others_and_itself(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct chain c = {.loop = &loop, .left = 1000};
    c.work.data = c.other.data = &c;
    work_start(&loop, &c.work, nothing, chain_next);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(c.left, 0);
    assert_int_equal(c.others, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
}

struct nested {
    uv_loop_t *loop;
    struct work outer, inner;
    int afters;
};

static void turn_the_loop(struct work *w)
{
    struct nested *n = w->data;
    n->inner.data = &n->afters;
    work_start(n->loop, &n->inner, nothing, count);
    while (n->afters == 0)
        uv_run(n->loop, UV_RUN_ONCE);
    uv_run(n->loop, UV_RUN_NOWAIT);
}

static void after_may_turn_the_loop(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct nested n = {.loop = &loop};
    n.outer.data = &n;
    work_start(&loop, &n.outer, nothing, turn_the_loop);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(n.afters, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* --- order and turns ---------------------------------------------------------------------------- */

struct ordered {
    struct work work;
    atomic_int *clock;
    int began;
};

static void note_time(struct work *w)
{
    struct ordered *o = w->data;
    o->began = atomic_fetch_add(o->clock, 1);
}

/* While so many of the pool's threads are busy, jobs that are given in order have begun in it. */
static void begin_in_order(int threads_busy, void (*run)(struct work *w),
                           void (*start)(uv_loop_t *loop, struct work *w,
                                         void (*run)(struct work *w),
                                         void (*after)(struct work *w)))
{
    enum { N = 50 };
    uv_loop_t loop;
    uv_loop_init(&loop);
    sem_t go;
    sem_init(&go, 0, 0);
    struct work busy[WORK_THREADS];
    for (int i = 0; i < threads_busy; i++) {
        busy[i].data = &go;
        work_start(&loop, &busy[i], wait_for_it, nothing);
    }
    atomic_int clock = 0;
    struct ordered o[N];
    int done = 0;
    struct work last = {.data = &done};
    for (int i = 0; i < N; i++) {
        o[i] = (struct ordered){.work.data = &o[i], .clock = &clock};
        start(&loop, &o[i].work, run, nothing);
    }
    start(&loop, &last, nothing, count);
    while (!done)
        uv_run(&loop, UV_RUN_ONCE);
    for (int i = 0; i < N; i++)
        assert_int_equal(o[i].began, i);
    for (int i = 0; i < threads_busy; i++)
        sem_post(&go);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    sem_destroy(&go);
}

static void jobs_begin_in_order(void **state)
{
    (void)state;
    begin_in_order(WORK_THREADS - 1, note_time, work_start); /* one thread is left */
}

static atomic_bool one_runs, two_ran, as_nice;

static void alone_and_nicer(struct work *w)
{
    if (atomic_exchange(&one_runs, true))
        atomic_store(&two_ran, true);
    note_time(w);
    usleep(200); /* another thread would have time to come in between */
    int nice = getpriority(PRIO_PROCESS, 0);
    if (nice < 5 || nice < getpriority(PRIO_PROCESS, (id_t)getpid()))
        atomic_store(&as_nice, true);
    atomic_store(&one_runs, false);
}

static void later_jobs_run_one_by_one_beside_the_others(void **state)
{
    (void)state;
    begin_in_order(WORK_THREADS, alone_and_nicer, work_start_later);
    assert_false(two_ran);
    assert_false(as_nice);
}

static void spin_a_little(struct work *w)
{
    uint64_t end = clock_mono_ns() + 100 * 1000;
    while (clock_mono_ns() < end)
        ;
    count(w);
}

static void turn_has_its_end(void **state)
{
    (void)state;
    enum { N = 100 };
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct work w[N];
    int done = 0, turns = 0;
    for (int i = 0; i < N; i++) {
        w[i].data = &done;
        work_start(&loop, &w[i], nothing, spin_a_little);
    }
    struct timespec all_have_run = {.tv_nsec = 50 * 1000 * 1000};
    nanosleep(&all_have_run, NULL);
    while (done < N) {
        int before = done;
        uv_run(&loop, UV_RUN_ONCE);
        assert_true(done - before <= 6); /* half a millisecond of them */
        turns++;
    }
    assert_true(turns >= N / 6);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void take_a_turn(struct work *w)
{
    uint64_t end = clock_mono_ns() + 1000 * 1000;
    while (clock_mono_ns() < end)
        ;
    count(w);
}

/* One ends between two turns, and the second is full of what the first has left. */
static void none_is_left_behind(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct timespec have_run = {.tv_nsec = 20 * 1000 * 1000};
    int done = 0;
    struct work w[3] = {{.data = &done}, {.data = &done}, {.data = &done}};
    alarm(10);
    work_start(&loop, &w[0], nothing, take_a_turn);
    work_start(&loop, &w[1], nothing, take_a_turn);
    nanosleep(&have_run, NULL);
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(done, 1);
    work_start(&loop, &w[2], nothing, take_a_turn);
    nanosleep(&have_run, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(done, 3);
    assert_int_equal(uv_loop_close(&loop), 0);
    alarm(0);
}

/* --- several loops ------------------------------------------------------------------------------ */

enum { LOOPS = 4, JOBS = 64, ROUNDS = 200 };

struct side {
    pthread_t thread, self;
    uv_loop_t loop;
    struct work work[JOBS];
    int left[JOBS];
    long sum, wrong;
    _Atomic long ran;
};

static void add_here(struct work *w)
{
    struct side *s = w->data;
    s->ran++;
}

static void back_here(struct work *w)
{
    struct side *s = w->data;
    s->wrong += !pthread_equal(pthread_self(), s->self);
    s->sum++;
    if (--s->left[w - s->work])
        work_start(&s->loop, w, add_here, back_here);
}

static void *side_main(void *arg)
{
    struct side *s = arg;
    s->self = pthread_self();
    for (int round = 0; round < 3; round++) {
        uv_loop_init(&s->loop);
        for (int i = 0; i < JOBS; i++) {
            s->left[i] = ROUNDS;
            s->work[i].data = s;
            work_start(&s->loop, &s->work[i], add_here, back_here);
        }
        s->wrong += uv_run(&s->loop, UV_RUN_DEFAULT) != 0;
        s->wrong += uv_loop_close(&s->loop) != 0;
    }
    return NULL;
}

static void each_loop_has_its_own_jobs(void **state)
{
    (void)state;
    static struct side sides[LOOPS];
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&sides[i].thread, NULL, side_main, &sides[i]), 0);
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(sides[i].thread, NULL);
        assert_int_equal(sides[i].wrong, 0);
        assert_int_equal(sides[i].sum, 3 * JOBS * ROUNDS);
        assert_int_equal(sides[i].ran, 3 * JOBS * ROUNDS);
    }
}

static int descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void loops_that_come_and_go_take_nothing(void **state)
{
    (void)state;
    int before = 0, after;
    for (int i = 0; i < 200; i++) {
        uv_loop_t loop;
        struct work w;
        uv_loop_init(&loop);
        work_start(&loop, &w, nothing, nothing);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
        if (i == 0)
            before = descriptors();
    }
    after = descriptors();
    assert_int_equal(after, before);
}

static void child_has_its_own_pool(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    work_keep(&loop);
    pid_t child = fork();
    if (child == 0) {
        uv_loop_t own;
        int afters = 0;
        struct work w = {.data = &afters};
        alarm(10);
        uv_loop_init(&own);
        work_start(&own, &w, nothing, count);
        uv_run(&own, UV_RUN_DEFAULT);
        _exit(afters);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    work_leave(&loop);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loop_ends_when_its_jobs_have),
        cmocka_unit_test(loop_with_jobs_under_way_is_not_closed),
        cmocka_unit_test(kept_loop_ends_too),
        cmocka_unit_test(job_starts_others_and_itself),
        cmocka_unit_test(after_may_turn_the_loop),
        cmocka_unit_test(jobs_begin_in_order),
        cmocka_unit_test(later_jobs_run_one_by_one_beside_the_others),
        cmocka_unit_test(turn_has_its_end),
        cmocka_unit_test(none_is_left_behind),
        cmocka_unit_test(each_loop_has_its_own_jobs),
        cmocka_unit_test(loops_that_come_and_go_take_nothing),
        cmocka_unit_test(child_has_its_own_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
