/* slice: sched_setattr by its number; the C library has no wrapper before glibc 2.41.
 *
 * Measured with a spinning process on every core, a hello at 2,000/s: p90 0.55 ms before, 0.25 after.
 * A hello at 64 connections on one processor costs the same (16.0 and 15.5 us of it). */
#include "proc/slice.h"

#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHORT_NS = 100 * 1000, LONG_NS = 20 * 1000 * 1000 }; /* the least there is; some ticks */
enum { NICER = 10, NICEST = 19 };

struct attr { /* struct sched_attr of its first version */
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* ns; of SCHED_OTHER the first is the slice */
};

static bool set(pid_t pid, int nice, uint64_t slice_ns)
{
    struct attr a = {.size = sizeof a, .nice = nice, .runtime = slice_ns};
    return syscall(SYS_sched_setattr, pid, &a, 0) == 0;
}

void slice_short(int nice)
{
    int now = getpriority(PRIO_PROCESS, 0);
    nice = nice > now ? nice : now;
    if (!set(0, nice, SHORT_NS) && setpriority(PRIO_PROCESS, 0, nice))
        errno = 0; /* it is a wish */
}

void slice_set(pid_t pid, bool is_long, int nice)
{
    uint64_t slice_ns = is_long ? LONG_NS : SHORT_NS;
    if (!set(pid, nice, slice_ns) && !set(pid, slice_nice(pid), slice_ns))
        errno = 0;
}

int slice_nice(pid_t pid)
{
    return getpriority(PRIO_PROCESS, (id_t)pid);
}

int slice_nicer(int nice)
{
    return nice < NICEST - NICER ? nice + NICER : NICEST;
}
