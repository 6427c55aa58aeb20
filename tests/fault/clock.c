/* clock: preloaded, it moves wall and boot time of one program by what a file says: two int64 of
 * milliseconds (wall, boot). CLOCK_MONOTONIC stays: no administrator can set it either. A test waits
 * for a retry in two minutes by writing sixteen bytes. CLOCK_MOVED names the file. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int (*real)(clockid_t, struct timespec *);
static const int64_t *moved_ms;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("CLOCK_MOVED");
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, 2 * sizeof *moved_ms, PROT_READ, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED)
        moved_ms = p;
    close(fd);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t which, struct timespec *t)
{
    int rc = real(which, t);
    if (rc || !moved_ms || (which != CLOCK_REALTIME && which != CLOCK_BOOTTIME))
        return rc;
    int64_t ns = t->tv_nsec +
                 __atomic_load_n(&moved_ms[which == CLOCK_BOOTTIME], __ATOMIC_RELAXED) * 1000000;
    t->tv_sec += ns / 1000000000;
    t->tv_nsec = ns % 1000000000;
    if (t->tv_nsec < 0) {
        t->tv_nsec += 1000000000;
        t->tv_sec--;
    }
    return 0;
}
