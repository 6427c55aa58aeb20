/* channel_set: when the loop stays awake for a runner, and a runner for the core. Nothing here depends on
 * how fast the machine is: what needs luck in time is tried until it comes. */
#include "proc/channel.h"
#include "proc/channel_runner.h"

#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

enum { TRIES = 1000 };

static uv_loop_t loop;
static struct channels *set;
static struct channel *core;
static struct runner_channel runner;

static void on_call(void *ctx, uint32_t id, const struct frame_call *c, struct str args,
                    char *owned)
{
    (void)ctx, (void)c, (void)args, (void)owned;
    channel_send(core, FRAME_RESULT, id, FRAME_F_CALL, STR("0123456789ab"), STR(""), NULL);
}

static void on_broken(void *ctx, const char *what)
{
    (void)ctx;
    fail_msg("broken: %s", what);
}

static int setup(void **state)
{
    (void)state;
    const struct channel_ops ops = {.call = on_call, .broken = on_broken};
    uv_loop_init(&loop);
    set = channels_new(&loop, &ops);
    core = channel_open(set, NULL);
    assert_non_null(core);
    assert_int_equal(channel_runner_attach(&runner, channel_memfd(core), channel_bell(core)), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    channel_close(core);
    channels_free(set);
    uv_run(&loop, UV_RUN_DEFAULT);
    ring_unmap(runner.shm);
    return uv_loop_close(&loop);
}

/* A call and its answer; then whether the loop would sleep. */
static bool asleep_after_call(void)
{
    struct frame_call head = {.invocation = 1, .number = 1};
    struct runner_frame f;
    channel_runner_send(&runner, FRAME_CALL, 0, 1, str_of((const char *)&head, sizeof head),
                        STR(""));
    while (!channel_runner_poll(&runner, false, &f))
        uv_run(&loop, UV_RUN_NOWAIT);
    channel_runner_pop(&runner);
    uv_run(&loop, UV_RUN_NOWAIT);
    return uv_backend_timeout(&loop) != 0;
}

static void stays_awake_for_the_next_of_quick_calls(void **state)
{
    (void)state;
    bool slept = true;
    channels_near(set, true);
    for (int i = 0; i < TRIES && slept; i++)
        slept = asleep_after_call();
    assert_false(slept);
    assert_int_equal(atomic_load(&runner.shm->core_sleeps), RING_CORE_NEAR);
    for (uint64_t until = uv_hrtime() + 5000000000u; !slept && uv_hrtime() < until;) {
        uv_run(&loop, UV_RUN_NOWAIT); /* nothing comes: it does not stay so */
        slept = uv_backend_timeout(&loop) != 0;
    }
    assert_true(slept);
}

/* One more byte of an answer that does not end; then whether the loop would sleep. */
static bool asleep_amid_answer(void)
{
    channel_runner_send(&runner, FRAME_CHUNK, FRAME_F_INVOCATION, 1, STR("x"), STR(""));
    while (channel_speaks(core))
        uv_run(&loop, UV_RUN_NOWAIT);
    return uv_backend_timeout(&loop) != 0;
}

static void stays_awake_amid_a_large_answer(void **state)
{
    (void)state;
    struct frame_reply head = {.size = TRIES + 1};
    bool slept = true;
    channels_near(set, true);
    channel_runner_send(&runner, FRAME_REPLY, 0, 1, str_of((const char *)&head, sizeof head),
                        STR(""));
    for (int i = 0; i < TRIES && slept; i++)
        slept = asleep_amid_answer();
    assert_false(slept);
    channels_near(set, false);
    assert_true(asleep_amid_answer());
}

/* The ring is full; a runner that has taken some is sent the rest without another waking. */
static void stays_awake_amid_a_large_result(void **state)
{
    (void)state;
    static char large[4 * RING_BYTES];
    const uint32_t all = sizeof large;
    bool slept = true;
    channels_near(set, true);
    channel_send(core, FRAME_RESULT, 1, FRAME_F_CALL, STR("0123456789ab"),
                 str_of(large, sizeof large), NULL);
    channel_runner_send(&runner, FRAME_CREDIT, FRAME_F_CALL, 1, str_of((const char *)&all, 4),
                        STR(""));
    struct runner_frame f;
    size_t got = 0;
    while (got < sizeof large) {
        uv_run(&loop, UV_RUN_NOWAIT);
        slept &= uv_backend_timeout(&loop) != 0;
        if (!channel_runner_poll(&runner, false, &f))
            continue;
        got += f.body.n - (f.type == FRAME_RESULT ? 12 : 0);
        channel_runner_pop(&runner);
    }
    assert_false(slept);
}

static void sleeps_after_a_first_call(void **state)
{
    (void)state;
    channels_near(set, true);
    assert_true(asleep_after_call());
}

static void sleeps_without_a_processor_to_spare(void **state)
{
    (void)state;
    channels_near(set, false);
    for (int i = 0; i < 100; i++)
        assert_true(asleep_after_call());
}

/* Waits in a child, awake at first, for a result that the core is slow to send. */
static void a_runner_gives_up_waiting_awake(void **state)
{
    (void)state;
    struct runner_frame f;
    atomic_store(&runner.shm->core_sleeps, RING_CORE_NEAR);
    pid_t pid = fork();
    if (pid == 0) {
        channel_runner_next(&runner, false, &f);
        _exit(f.type == FRAME_RESULT ? 0 : 1);
    }
    int status, left = 5000;
    while (atomic_load(&runner.shm->runner_waits) != RING_WAIT_DATA && --left > 0)
        usleep(1000);
    assert_true(left > 0);
    channel_send(core, FRAME_RESULT, 1, FRAME_F_CALL, STR("0123456789ab"), STR(""), NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stays_awake_for_the_next_of_quick_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(stays_awake_amid_a_large_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(stays_awake_amid_a_large_result, setup, teardown),
        cmocka_unit_test_setup_teardown(sleeps_after_a_first_call, setup, teardown),
        cmocka_unit_test_setup_teardown(sleeps_without_a_processor_to_spare, setup, teardown),
        cmocka_unit_test_setup_teardown(a_runner_gives_up_waiting_awake, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
