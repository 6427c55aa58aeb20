/* wire: writes down what a server and its clients say to each other, for wire.py to read.
 *
 *     WIRE_LOG=build/wire LD_PRELOAD=build/wire.so perilune serve …
 *
 * Every byte that comes from and goes to an accepted connection is copied to WIRE_LOG/PID, in the
 * order of the calls, so that whichever client made a request, stock or hand-made, is checked by the
 * same reader. A record is a struct head and the bytes; bytes beyond the caps below are counted and
 * not kept. The file is opened before the server gives up its rights, and the zygote's empty
 * environment ends the watching there. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define WIRE __attribute__((visibility("default")))

enum { OPEN = 1, IN, OUT, CLOSE }; /* in step with wire.py */

struct head {
    uint32_t kind, connection;
    uint32_t length; /* bytes that passed */
    uint32_t kept;   /* of them, those that follow */
};

enum {
    FDS = 65536,
    KEEP_CALL = 256 * 1024,
    KEEP_CONNECTION = 4 * 1024 * 1024,
    KEEP_LATER = 4096, /* of a call beyond that: heads, small bodies */
    KEEP_ALL = 256 * 1024 * 1024,
};

static struct {
    pthread_mutex_t lock;
    int fd;
    uint32_t connections;
    size_t kept;
    struct {
        uint32_t id; /* 0: not one of ours */
        uint32_t kept;
    } of[FDS];
} wire = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void)
{
    const char *dir = getenv("WIRE_LOG");
    char path[4096];
    if (!dir)
        return;
    mkdir(dir, 0777);
    snprintf(path, sizeof path, "%s/%d", dir, (int)getpid());
    wire.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

static int watched(int fd)
{
    return wire.fd >= 0 && fd >= 0 && fd < FDS && wire.of[fd].id;
}

/* One record from up to `length` bytes that lie in iov. */
static void record(int kind, int fd, const struct iovec *iov, int n, size_t length)
{
    int saved = errno;
    pthread_mutex_lock(&wire.lock);
    size_t keep = length < KEEP_CALL ? length : KEEP_CALL;
    if (wire.of[fd].kept + keep > KEEP_CONNECTION && keep > KEEP_LATER)
        keep = KEEP_LATER;
    if (wire.kept + keep > KEEP_ALL)
        keep = 0;
    wire.of[fd].kept += (uint32_t)keep;
    wire.kept += keep;
    struct head h = {(uint32_t)kind, wire.of[fd].id, (uint32_t)length, (uint32_t)keep};
    struct iovec out[64] = {{&h, sizeof h}};
    int parts = 1;
    for (int i = 0; i < n && keep && parts < 64; i++) {
        size_t take = iov[i].iov_len < keep ? iov[i].iov_len : keep;
        out[parts++] = (struct iovec){iov[i].iov_base, take};
        keep -= take;
    }
    h.kept -= (uint32_t)keep;
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real)
        real = (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    if (real(wire.fd, out, parts) < 0) /* a full disk: better no log than half a one */
        wire.fd = -1;
    pthread_mutex_unlock(&wire.lock);
    errno = saved;
}

WIRE int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    REAL(accept4);
    int got = real(fd, addr, len, flags);
    struct sockaddr_storage own;
    socklen_t own_len = sizeof own;
    if (got >= 0 && got < FDS && wire.fd >= 0 &&
        getsockname(got, (struct sockaddr *)&own, &own_len) == 0 && own.ss_family != AF_UNIX) {
        wire.of[got].id = ++wire.connections;
        wire.of[got].kept = 0;
        record(OPEN, got, NULL, 0, 0);
    }
    return got;
}

WIRE ssize_t read(int fd, void *buf, size_t n)
{
    REAL(read);
    ssize_t got = real(fd, buf, n);
    if (got > 0 && watched(fd))
        record(IN, fd, &(struct iovec){buf, (size_t)got}, 1, (size_t)got);
    return got;
}

WIRE ssize_t write(int fd, const void *buf, size_t n)
{
    REAL(write);
    ssize_t put = real(fd, buf, n);
    if (put > 0 && watched(fd)) {
        struct iovec one = {.iov_len = (size_t)put};
        memcpy(&one.iov_base, &buf, sizeof buf);
        record(OUT, fd, &one, 1, (size_t)put);
    }
    return put;
}

WIRE ssize_t writev(int fd, const struct iovec *iov, int n)
{
    REAL(writev);
    ssize_t put = real(fd, iov, n);
    if (put > 0 && watched(fd))
        record(OUT, fd, iov, n, (size_t)put);
    return put;
}

WIRE int close(int fd)
{
    REAL(close);
    if (watched(fd)) {
        record(CLOSE, fd, NULL, 0, 0);
        wire.of[fd].id = 0;
    }
    return real(fd);
}
