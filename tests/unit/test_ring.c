/* ring: order and content across wraparound between two threads, room, sleeping, hostile positions,
 * and that an entry has exactly one taker. */
#include "proc/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "unit.h"

static struct ring_shm *a, *b; /* two mappings of one memory, as core and runner have them */

static int setup(void **state)
{
    (void)state;
    int fd = ring_memfd();
    assert_true(fd >= 0);
    a = ring_map(fd);
    b = ring_map(fd);
    assert_non_null(a);
    assert_non_null(b);
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ring_unmap(a);
    ring_unmap(b);
    return 0;
}

static uint32_t rnd(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33);
}

/* --- one after the other ------------------------------------------------------------------------
 */

static void memfd_is_sealed(void **state)
{
    (void)state;
    int fd = ring_memfd();
    assert_int_equal(ftruncate(fd, 4096), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, RING_SHM_BYTES * 2), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    close(fd);
}

static void frames_come_as_written(void **state)
{
    (void)state;
    struct ring w, r;
    struct frame f;
    const unsigned char *body;
    ring_init(&w, a, RING_DATA, true);
    ring_init(&r, b, RING_DATA, false);
    assert_int_equal(ring_peek(&r, &f, &body), 0);
    assert_true(ring_empty(&r));
    assert_true(ring_write(&w, 7, 3, 99, STR("hello "), STR("world")));
    assert_true(ring_write(&w, 8, 0, 100, STR(""), STR("")));
    assert_false(ring_empty(&r));
    assert_int_equal(ring_peek(&r, &f, &body), 1);
    assert_int_equal(f.type, 7);
    assert_int_equal(f.flags, 3);
    assert_int_equal(f.id, 99);
    assert_str(str_of((const char *)body, f.length), "hello world");
    ring_pop(&r, &f);
    assert_int_equal(ring_peek(&r, &f, &body), 1);
    assert_int_equal(f.length, 0);
    ring_pop(&r, &f);
    assert_int_equal(ring_peek(&r, &f, &body), 0);
}

static void room_is_what_fits(void **state)
{
    (void)state;
    static char bytes[FRAME_BODY_MAX + 1];
    struct ring w, r;
    struct frame f;
    const unsigned char *body;
    ring_init(&w, a, RING_OUT, true);
    ring_init(&r, b, RING_OUT, false);
    assert_int_equal(ring_room(&w), FRAME_BODY_MAX);
    assert_false(ring_write(&w, 1, 0, 1, str_of(bytes, sizeof bytes), STR("")));
    for (int i = 0; i < 4; i++)
        assert_true(ring_write(&w, 1, 0, 1, str_of(bytes, FRAME_BODY_MAX), STR("")));
    assert_int_equal(ring_room(&w), -1);
    assert_false(ring_write(&w, 1, 0, 1, STR(""), STR("")));
    assert_int_equal(ring_peek(&r, &f, &body), 1);
    ring_pop(&r, &f);
    assert_int_equal(ring_room(&w), FRAME_BODY_MAX);
    assert_true(ring_write(&w, 1, 0, 1, str_of(bytes, 100), STR("")));
    /* 16384 - 112 bytes are left, 12 of them for the head */
    assert_int_equal(ring_room(&w), FRAME_MAX - 112 - 12);
    assert_true(ring_write(&w, 1, 0, 1, str_of(bytes, FRAME_MAX - 112 - 12), STR("")));
    assert_int_equal(ring_room(&w), -1);
}

/* --- two at a time ------------------------------------------------------------------------------
 */

enum { FRAMES = 60000 };

static void fill(char *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(seed + i * 31);
}

static void *writer(void *arg)
{
    (void)arg;
    struct ring w;
    uint64_t s = 42;
    static char bytes[FRAME_BODY_MAX];
    ring_init(&w, b, RING_OUT, true);
    for (uint32_t i = 0; i < FRAMES; i++) {
        uint32_t n = rnd(&s) % 8 ? rnd(&s) % 300 : rnd(&s) % (FRAME_BODY_MAX + 1);
        fill(bytes, n, i);
        while (!ring_write(&w, (uint16_t)(i & 0xffff), 0, i, str_of(bytes, n / 2),
                           str_of(bytes + n / 2, n - n / 2))) {
            atomic_store(&b->runner_waits, RING_WAIT_ROOM);
            atomic_thread_fence(memory_order_seq_cst);
            if (ring_room(&w) < (int)n)
                ring_sleep_runner(b, RING_WAIT_ROOM);
            atomic_store(&b->runner_waits, 0);
        }
    }
    return NULL;
}

static void two_threads_random_sizes(void **state)
{
    (void)state;
    pthread_t t;
    struct ring r;
    uint64_t s = 42;
    static char want[FRAME_BODY_MAX];
    ring_init(&r, a, RING_OUT, false);
    assert_int_equal(pthread_create(&t, NULL, writer, NULL), 0);
    for (uint32_t i = 0; i < FRAMES;) {
        struct frame f;
        const unsigned char *body;
        int rc = ring_peek(&r, &f, &body);
        assert_true(rc >= 0);
        if (rc == 0) {
            sched_yield();
            continue;
        }
        uint32_t n = rnd(&s) % 8 ? rnd(&s) % 300 : rnd(&s) % (FRAME_BODY_MAX + 1);
        fill(want, n, i);
        assert_int_equal(f.id, i);
        assert_int_equal(f.length, n);
        assert_memory_equal(body, want, n);
        ring_pop(&r, &f);
        ring_wake_runner(a, RING_WAIT_ROOM);
        i++;
    }
    pthread_join(t, NULL);
    assert_true(ring_empty(&r));
}

enum { ENTRIES = 100000 };
static _Atomic uint32_t go, tried, taken_there;

static void *starter(void *arg)
{
    (void)arg;
    for (uint32_t id = 1; id <= ENTRIES; id++) {
        while (atomic_load(&go) < id)
            sched_yield();
        if (ring_entry_take(b, id % FRAME_SLOTS, id, ENTRY_STARTED))
            atomic_fetch_add(&taken_there, 1);
        atomic_store(&tried, id);
    }
    return NULL;
}

/* Core and runner race for each entry; each goes to exactly one of them. */
static void entry_has_one_taker(void **state)
{
    (void)state;
    pthread_t t;
    uint32_t taken_here = 0;
    assert_int_equal(pthread_create(&t, NULL, starter, NULL), 0);
    for (uint32_t id = 1; id <= ENTRIES; id++) {
        uint32_t slot = id % FRAME_SLOTS;
        atomic_store(&a->entry[slot], entry_word(id, ENTRY_QUEUED));
        atomic_store(&go, id);
        for (uint32_t spin = id % 64; spin > 0; spin--) /* now one is first, now the other */
            atomic_thread_fence(memory_order_seq_cst);
        if (id % 5 == 0)
            sched_yield();
        bool mine = ring_entry_take(a, slot, id, ENTRY_REVOKED);
        taken_here += mine;
        while (atomic_load(&tried) < id)
            sched_yield();
        assert_int_equal(atomic_load(&a->entry[slot]),
                         entry_word(id, mine ? ENTRY_REVOKED : ENTRY_STARTED));
        assert_false(ring_entry_take(a, slot, id, ENTRY_STARTED));
    }
    pthread_join(t, NULL);
    assert_int_equal(taken_here + taken_there, ENTRIES);
    assert_true(taken_here > 0 && taken_there > 0);
}

static void entry_of_another_id_is_not_taken(void **state)
{
    (void)state;
    atomic_store(&a->entry[5], entry_word(77, ENTRY_QUEUED));
    assert_false(ring_entry_take(b, 5, 76, ENTRY_STARTED));
    assert_false(ring_entry_take(b, FRAME_SLOTS, 77, ENTRY_STARTED));
    assert_true(ring_entry_take(b, 5, 77, ENTRY_STARTED));
    assert_false(ring_entry_take(a, 5, 77, ENTRY_REVOKED));
}

/* --- hostile ------------------------------------------------------------------------------------
 */

static void lies_are_seen(void **state)
{
    (void)state;
    struct frame f;
    const unsigned char *body;
    static const uint32_t heads[] = {1, 4, RING_BYTES + 8, 0x80000000u, 0xfffffff8u, 0xffffffffu};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct ring r;
        ring_init(&r, a, RING_OUT, false);
        atomic_store(&b->pos[RING_OUT].head, heads[i]);
        assert_int_equal(ring_peek(&r, &f, &body), E_INVALID);
    }
    /* lengths that pass the frame's or the ring's end */
    static const uint32_t lengths[] = {FRAME_BODY_MAX + 1, 21, 0xffffffffu, 0xfffffff4u, 1 << 20};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct ring r;
        struct frame lie = {.length = lengths[i], .type = FRAME_LOG};
        ring_init(&r, a, RING_OUT, false);
        memcpy((unsigned char *)b + RING_CTL_BYTES + 2 * RING_OUT * RING_BYTES, &lie, sizeof lie);
        atomic_store(&b->pos[RING_OUT].head, 32);
        assert_int_equal(ring_peek(&r, &f, &body), E_INVALID);
    }
}

/* Whatever the reader claims, the writer writes inside its ring or not at all. */
static void writer_survives_any_tail(void **state)
{
    (void)state;
    static char bytes[FRAME_BODY_MAX];
    uint64_t s = 7;
    struct ring w;
    ring_init(&w, a, RING_DATA, true);
    memset((unsigned char *)b + RING_CTL_BYTES + 2 * RING_OUT * RING_BYTES, 0x5a, RING_BYTES);
    for (int i = 0; i < 20000; i++) {
        atomic_store(&b->pos[RING_DATA].tail, rnd(&s) << 1 ^ rnd(&s));
        ring_write(&w, 1, 0, 1, str_of(bytes, rnd(&s) % FRAME_BODY_MAX), STR(""));
        ring_room(&w);
    }
    atomic_store(&b->pos[RING_DATA].tail, w.at + 64);
    assert_true(ring_broken(&w));
    for (int i = 0; i < RING_BYTES; i++) /* the neighbour is untouched */
        assert_int_equal(((unsigned char *)b)[RING_CTL_BYTES + 2 * RING_OUT * RING_BYTES + i],
                         0x5a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memfd_is_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_come_as_written, setup, teardown),
        cmocka_unit_test_setup_teardown(room_is_what_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(two_threads_random_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(entry_has_one_taker, setup, teardown),
        cmocka_unit_test_setup_teardown(entry_of_another_id_is_not_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(lies_are_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(writer_survives_any_tail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
