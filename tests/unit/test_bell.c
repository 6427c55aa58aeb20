/* bell: when a runner rings for what it has said. Times are handed in, so nothing here depends on how
 * fast the machine is. */
#include "proc/channel_runner.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

enum { US = 1000, QUICK = 10 * US, SLOW = 5000 * US };

static struct ring_shm *shm; /* the core's mapping */
static struct ring work;     /* the core's end */
static struct runner_channel ch;
static int bell;

static int setup(void **state)
{
    (void)state;
    int fd = ring_memfd();
    assert_true(fd >= 0);
    bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    shm = ring_map(fd);
    assert_non_null(shm);
    assert_int_equal(channel_runner_attach(&ch, fd, bell), 0);
    close(fd);
    ring_init(&work, shm, RING_WORK, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(bell);
    ring_unmap(ch.shm);
    ring_unmap(shm);
    return 0;
}

static void more_work(void)
{
    assert_true(ring_write(&work, FRAME_INVOKE, 0, 1, STR(""), STR("")));
}

static void take_work(void)
{
    struct runner_frame f;
    assert_true(channel_runner_poll(&ch, true, &f));
    channel_runner_pop(&ch);
}

/* How often the bell was rung since the last look. */
static uint64_t rung(void)
{
    uint64_t n = 0;
    return read(bell, &n, sizeof n) < 0 ? 0 : n;
}

static void reply(uint64_t began_ns, uint64_t now_ns)
{
    channel_runner_reply(&ch, 1, STR("head"), STR("answer"), began_ns, now_ns);
}

static void an_awake_core_needs_none(void **state)
{
    (void)state;
    atomic_store(&shm->core_sleeps, RING_CORE_AWAKE);
    reply(0, SLOW);
    channel_runner_send(&ch, FRAME_LOG, 0, 1, STR("x"), STR("y"));
    assert_int_equal(rung(), 0);
}

static void a_sleeper_is_rung_for_each(void **state)
{
    (void)state;
    more_work();
    for (int i = 0; i < 3; i++) {
        atomic_store(&shm->core_sleeps, RING_CORE_SLEEPS);
        reply(0, QUICK);
        assert_int_equal(rung(), 1);
        assert_int_equal(atomic_load(&shm->core_sleeps), RING_CORE_AWAKE);
    }
}

static void quick_replies_ring_once(void **state)
{
    (void)state;
    atomic_store(&shm->core_sleeps, RING_CORE_NAPS);
    more_work();
    more_work();
    reply(0, QUICK);
    take_work();
    reply(QUICK, 2 * QUICK);
    assert_int_equal(rung(), 0);
    take_work();
    reply(2 * QUICK, 3 * QUICK); /* nothing left to do: the last one rings */
    assert_int_equal(rung(), 1);
}

static void slow_replies_ring(void **state)
{
    (void)state;
    atomic_store(&shm->core_sleeps, RING_CORE_NAPS);
    more_work();
    reply(0, SLOW);
    assert_int_equal(rung(), 1);
    atomic_store(&shm->core_sleeps, RING_CORE_NAPS);
    uint64_t at = SLOW, n = 0;
    for (; !rung(); at += QUICK, n++) { /* many quick ones: the first does not wait for all */
        assert_true(n < 100);
        reply(at, at + QUICK);
    }
    assert_true(n > 1);
}

static void other_frames_ring_for_what_is_owed(void **state)
{
    (void)state;
    atomic_store(&shm->core_sleeps, RING_CORE_NAPS);
    more_work();
    reply(0, QUICK);
    assert_int_equal(rung(), 0);
    channel_runner_send(&ch, FRAME_CALL, 0, 2, STR("x"), STR("y"));
    assert_int_equal(rung(), 1);
}

/* The entry for which it was put off turns out to be revoked: nothing is said about it. */
static void sleep_rings_for_what_is_owed(void **state)
{
    (void)state;
    struct runner_frame f;
    struct pollfd p = {.fd = bell, .events = POLLIN};
    atomic_store(&shm->core_sleeps, RING_CORE_NAPS);
    more_work();
    reply(0, QUICK);
    take_work();
    assert_int_equal(rung(), 0);
    pid_t pid = fork();
    if (pid == 0) {
        channel_runner_next(&ch, true, &f);
        _exit(0);
    }
    int ready = poll(&p, 1, 60 * 1000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(ready, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_awake_core_needs_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sleeper_is_rung_for_each, setup, teardown),
        cmocka_unit_test_setup_teardown(quick_replies_ring_once, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_replies_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(other_frames_ring_for_what_is_owed, setup, teardown),
        cmocka_unit_test_setup_teardown(sleep_rings_for_what_is_owed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
