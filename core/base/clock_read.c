/* clock_read: what the operating system's clocks say. The only place in the core that asks them, so
 * that time can be another one where a test needs it: the simulator (tests/sim) has its own
 * clock_read_ns, and a build with -DPERILUNE_FAULTS adds what a control file says.
 *
 * PERILUNE_CLOCK_FILE names that file: two int64 in the machine's order, milliseconds to add to
 * CLOCK_REALTIME (wall time) and to CLOCK_BOOTTIME (which store time follows). It is mapped, so a
 * test sets the clock of a running server by writing eight bytes. CLOCK_MONOTONIC, by which
 * deadlines are kept, cannot be set: no administrator can set it either. */
#include "base/clock.h"

#ifdef PERILUNE_FAULTS

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

static const _Atomic int64_t *moved_ms; /* wall, boot; NULL: nobody moves time */

static void map_file(void)
{
    const char *path = getenv("PERILUNE_CLOCK_FILE");
    if (!path)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *p = mmap(NULL, 2 * sizeof *moved_ms, PROT_READ, MAP_SHARED, fd, 0);
    if (fd < 0 || p == MAP_FAILED)
        fatal("PERILUNE_CLOCK_FILE: %s cannot be mapped", path);
    close(fd);
    moved_ms = p;
}

static int64_t moved_ns(clockid_t which)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, map_file);
    if (!moved_ms || (which != CLOCK_REALTIME && which != CLOCK_BOOTTIME))
        return 0;
    return moved_ms[which == CLOCK_BOOTTIME] * 1000000;
}

#else

static int64_t moved_ns(clockid_t which)
{
    (void)which;
    return 0;
}

#endif

int64_t clock_read_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + moved_ns(which);
}
