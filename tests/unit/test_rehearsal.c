/* test_rehearsal: what a play writes to is found, and touching it changes nothing, or is passed over when
 * it has gone. */
#include "proc/rehearsal.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

enum { PAGE = 4096, PAGES = 8 };

static _Alignas(PAGE) char stage[PAGES * PAGE] = "scenery";
static char *heap;

static void play(void)
{
    stage[1 * PAGE + 7] = 'x';
    stage[5 * PAGE] = 'y';
    heap[3 * PAGE] = 'z';
}

static bool has(const struct rehearsal *r, const char *p)
{
    for (uint32_t i = 0; i < r->writes; i++)
        if (r->page[i] == ((uintptr_t)p & ~(uintptr_t)(PAGE - 1)))
            return true;
    return false;
}

static long faults(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_minflt;
}

static int in_child(void (*run)(struct rehearsal *r), struct rehearsal *r)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        run(r);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void learn(struct rehearsal *r)
{
    rehearsal_learn(r, play);
}

/* A spare: once it has touched the pages, the play costs no fault. */
static void perform(struct rehearsal *r)
{
    rehearsal_apply(r);
    if (strcmp(stage, "scenery") != 0 || stage[1 * PAGE + 7] || stage[5 * PAGE] || heap[3 * PAGE])
        _exit(1);
    faults(); /* its own code and stack */
    long before = faults();
    play();
    _exit(faults() == before ? 0 : 2);
}

/* A spare of a zygote that has given something back meanwhile. */
static void perform_with_less(struct rehearsal *r)
{
    munmap(heap, PAGES * PAGE);
    rehearsal_apply(r);
}

static void learned(void **state)
{
    (void)state;
    struct rehearsal *r = rehearsal_new();
    if (!r)
        skip(); /* under a sanitizer */
    heap = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(heap, 0, PAGES * PAGE);
    assert_int_equal(in_child(learn, r), 0);
    assert_true(has(r, stage + 1 * PAGE));
    assert_true(has(r, stage + 5 * PAGE));
    assert_true(has(r, heap + 3 * PAGE));
    assert_false(has(r, stage + 2 * PAGE));
    assert_true(r->reads > 0);
    assert_true(r->writes + r->reads < REHEARSAL_PAGES);
    assert_int_equal(in_child(perform, r), 0);
    assert_int_equal(in_child(perform_with_less, r), 0);
    munmap(heap, PAGES * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(learned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
