/* failing: a disk that fails while somebody says so, for a whole server.
 *
 *     FAILING_DIR=/tmp/x/data FAILING_FILE=/tmp/x/control LD_PRELOAD=build/fault/failing.so perilune serve …
 *
 * FAILING_FILE holds two bytes, mapped, so that a test breaks and mends the disk by writing them: which
 * calls fail (the sum of the numbers below) and with which errno. Files outside of FAILING_DIR are
 * sound. Calls fail without having done anything, but for META_KEPT, whose bytes are written first:
 * what a kernel may do with a page whose write-back failed. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHIM __attribute__((visibility("default")))

enum call { /* in step with test_disk.py */
            FDATASYNC = 1,
            FSYNC = 2,
            PAGES = 4, /* pwrite, writev: LMDB's pages */
            META = 8,  /* pwrite with O_DSYNC: LMDB's meta page */
            WRITE = 16,
            META_KEPT = 32,
};

static const volatile unsigned char *control;
static char dir[PATH_MAX];
static size_t dir_n;

#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("FAILING_FILE"), *data = getenv("FAILING_DIR");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || !data)
        return;
    void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED) {
        dprintf(2, "failing: %s cannot be mapped\n", path);
        abort();
    }
    control = p;
    snprintf(dir, sizeof dir, "%s/", data);
    dir_n = strlen(dir);
}

static bool is_ours(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return strncmp(path, dir, dir_n) == 0;
}

static bool fails(enum call call, int fd)
{
    int error = errno;
    if (!control || !(control[0] & call) || !is_ours(fd)) {
        errno = error;
        return false;
    }
    errno = control[1];
    return true;
}

static enum call kind_of(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_DSYNC) ? META : PAGES;
}

SHIM int fdatasync(int fd)
{
    REAL(fdatasync);
    return control && fails(FDATASYNC, fd) ? -1 : real(fd);
}

SHIM int fsync(int fd)
{
    REAL(fsync);
    return control && fails(FSYNC, fd) ? -1 : real(fd);
}

SHIM ssize_t write(int fd, const void *p, size_t n)
{
    REAL(write);
    return control && fails(WRITE, fd) ? -1 : real(fd, p, n);
}

SHIM ssize_t writev(int fd, const struct iovec *iov, int count)
{
    REAL(writev);
    return control && fails(PAGES, fd) ? -1 : real(fd, iov, count);
}

static ssize_t write_at(int fd, const void *p, size_t n, off_t at,
                        ssize_t (*real)(int, const void *, size_t, off_t))
{
    if (!control || !control[0])
        return real(fd, p, n, at);
    enum call kind = kind_of(fd);
    if (kind == META && fails(META_KEPT, fd)) {
        real(fd, p, n, at);
        errno = control[1];
        return -1;
    }
    return fails(kind, fd) ? -1 : real(fd, p, n, at);
}

SHIM ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    REAL(pwrite);
    return write_at(fd, p, n, at, real);
}

SHIM ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    REAL(pwrite);
    return write_at(fd, p, n, at, real);
}
