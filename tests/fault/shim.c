/* shim: writes down what a program does to the files of one folder, for powercut.py to replay.
 *
 *     POWERCUT_DIR=/dev/shm/data POWERCUT_LOG=/tmp/log LD_PRELOAD=build/fault/shim.so perilune serve …
 *
 * Every change of a file or folder below POWERCUT_DIR becomes a record of the log, in the order in
 * which the program made them, with the bytes. What reaches the disk when is the replayer's affair;
 * this file only has to be honest about order, so a call is recorded twice: before it is made (its
 * bytes may be on the disk from here on, whole, in part or not at all) and after it returned (an
 * fsync that begins later covers it). The folder must not exist, or be empty, at the start.
 *
 * A file is known by its inode number as long as it is below the folder, whatever descriptor it is
 * reached by; a number that is used again begins with a CREATE record. Not seen: stdio's own
 * writes, mmap'ed pages, sendfile and copy_file_range into a file, system calls made without libc.
 *
 * The log's length after an acknowledgement arrived is a position that covers all that the program
 * did for it: that is how a test ties what it was promised to the log. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHIM __attribute__((visibility("default")))

enum type {             /* in step with powercut.py */
            CREATE = 1, /* ino, path */
            WRITE,      /* ino, offset, bytes; flag 1: O_DSYNC */
            TRUNCATE,   /* ino, size */
            SYNC,       /* ino; flag 1: of a folder, path */
            DONE,   /* token of a WRITE, TRUNCATE or SYNC; offset: bytes, or -1 when it failed */
            MKDIR,  /* path */
            RENAME, /* old NUL new */
            LINK,   /* old NUL new */
            UNLINK, /* path */
};

struct head {
    uint32_t type, flags;
    uint64_t token; /* number of the record */
    uint64_t ino;
    int64_t offset;
    uint64_t n; /* bytes that follow */
};

enum { SLOTS = 1 << 14 };

static struct {
    pthread_mutex_t lock;
    int fd;
    char dir[PATH_MAX];
    size_t dir_n;
    uint64_t records;
    uint64_t known[SLOTS]; /* inode numbers below dir, open addressing; 1: was here */
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static void die(const char *why)
{
    dprintf(2, "shim: %s: %s\n", why, strerror(errno));
    abort();
}

__attribute__((constructor)) static void start(void)
{
    const char *dir = getenv("POWERCUT_DIR"), *log = getenv("POWERCUT_LOG");
    if (!dir || !log)
        return;
    if (!realpath(dir, shim.dir)) { /* does not exist yet: its parent does */
        char parent[PATH_MAX], *slash;
        snprintf(parent, sizeof parent, "%s", dir);
        slash = strrchr(parent, '/');
        if (!slash || slash == parent)
            die("POWERCUT_DIR must be an absolute path");
        *slash = 0;
        if (!realpath(parent, shim.dir))
            die(parent);
        size_t n = strlen(shim.dir);
        snprintf(shim.dir + n, sizeof shim.dir - n, "/%s", slash + 1);
    }
    shim.dir_n = strlen(shim.dir);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    shim.fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 700); /* out of the program's way */
    if (shim.fd < 0)
        die(log);
    close(fd);
}

/* --- the log ----------------------------------------------------------------------------------- */

/* Returns the record's number. errno is kept. */
static uint64_t record(enum type type, uint32_t flags, uint64_t ino, int64_t offset,
                       const struct iovec *iov, int count, size_t n)
{
    int kept = errno;
    struct iovec all[64];
    pthread_mutex_lock(&shim.lock);
    struct head h = {type, flags, shim.records++, ino, offset, n};
    all[0] = (struct iovec){&h, sizeof h};
    int used = 1;
    size_t left = n;
    for (int i = 0; i < count; i++) {
        size_t take = iov[i].iov_len < left ? iov[i].iov_len : left;
        all[used++] = (struct iovec){iov[i].iov_base, take};
        left -= take;
        if (used == 64 || i + 1 == count) {
            size_t want = 0;
            for (int j = 0; j < used; j++)
                want += all[j].iov_len;
            if (syscall(SYS_writev, shim.fd, all, used) != (long)want)
                die("the log cannot be written");
            used = 0;
        }
    }
    if (used && syscall(SYS_writev, shim.fd, all, used) != sizeof h)
        die("the log cannot be written");
    pthread_mutex_unlock(&shim.lock);
    errno = kept;
    return h.token;
}

static uint64_t record_text(enum type type, uint32_t flags, uint64_t ino, const char *a,
                            const char *b)
{
    struct iovec iov[] = {{(void *)(uintptr_t)a, strlen(a)},
                          {(void *)(uintptr_t) "", 1},
                          {(void *)(uintptr_t)b, b ? strlen(b) : 0}};
    return record(type, flags, ino, 0, iov, b ? 3 : 1,
                  iov[0].iov_len + (b ? 1 + iov[2].iov_len : 0));
}

static void done(uint64_t token, int64_t result)
{
    int kept = errno;
    pthread_mutex_lock(&shim.lock);
    struct head h = {DONE, 0, token, 0, result, 0};
    shim.records++;
    if (syscall(SYS_write, shim.fd, &h, sizeof h) != sizeof h)
        die("the log cannot be written");
    pthread_mutex_unlock(&shim.lock);
    errno = kept;
}

/* --- which files ------------------------------------------------------------------------------- */

static uint64_t *slot_of(uint64_t ino)
{
    size_t i = (ino * 0x9e3779b97f4a7c15u) >> 50;
    uint64_t *hole = NULL;
    for (;; i = (i + 1) % SLOTS) {
        if (shim.known[i] == 1 && !hole)
            hole = &shim.known[i];
        if (shim.known[i] == ino)
            return &shim.known[i];
        if (shim.known[i] == 0)
            return hole ? hole : &shim.known[i];
    }
}

static void know(uint64_t ino, bool yes)
{
    pthread_mutex_lock(&shim.lock);
    uint64_t *slot = slot_of(ino);
    if (yes)
        *slot = ino;
    else if (*slot == ino)
        *slot = 1;
    pthread_mutex_unlock(&shim.lock);
}

/* The inode of a descriptor that is a file of ours, else 0. */
static uint64_t file_of(int fd)
{
    struct stat st;
    if (shim.fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    pthread_mutex_lock(&shim.lock);
    bool ours = *slot_of(st.st_ino) == st.st_ino;
    pthread_mutex_unlock(&shim.lock);
    return ours ? st.st_ino : 0;
}

/* The path below the folder ("" for itself) of a path as the program gave it; NULL: elsewhere. */
static const char *below(int dirfd, const char *path, char out[static PATH_MAX])
{
    char full[2 * PATH_MAX], proc[64];
    ssize_t n = 0;
    if (shim.fd < 0 || !path)
        return NULL;
    if (path[0] != '/') {
        if (dirfd == AT_FDCWD) {
            if (!getcwd(full, PATH_MAX))
                return NULL;
            n = (ssize_t)strlen(full);
        } else {
            snprintf(proc, sizeof proc, "/proc/self/fd/%d", dirfd);
            n = readlink(proc, full, PATH_MAX - 1);
        }
        if (n < 0)
            return NULL;
        full[n++] = '/';
    }
    snprintf(full + n, sizeof full - (size_t)n, "%s", path);
    /* without empty, "." and ".." parts; no links are followed below the folder */
    size_t at = 0;
    for (char *rest = full, *part; (part = strsep(&rest, "/"));) {
        if (!*part || strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            while (at && out[--at] != '/')
                ;
            continue;
        }
        size_t len = strlen(part);
        if (at + len + 2 > PATH_MAX)
            return NULL;
        out[at++] = '/';
        memcpy(out + at, part, len);
        at += len;
    }
    out[at] = 0;
    if (strncmp(out, shim.dir, shim.dir_n) != 0 || (out[shim.dir_n] != '/' && out[shim.dir_n] != 0))
        return NULL;
    return out[shim.dir_n] ? out + shim.dir_n + 1 : out + shim.dir_n;
}

/* --- opening ----------------------------------------------------------------------------------- */

static int opened(int dirfd, const char *path, int flags, mode_t mode,
                  int (*real)(int, const char *, int, ...))
{
    char buf[PATH_MAX];
    struct stat st;
    const char *name = below(dirfd, path, buf);
    bool was = name && fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = real(dirfd, path, flags, mode);
    int kept = errno;
    if (fd >= 0 && name && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        know(st.st_ino, true);
        if (!was) {
            record_text(CREATE, 0, st.st_ino, name, NULL);
        } else if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY) {
            uint64_t token = record(TRUNCATE, 0, st.st_ino, 0, NULL, 0, 0);
            done(token, 0);
        }
    }
    errno = kept;
    return fd;
}

#define MODE_OF(flags, last)                                                                       \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                         \
        va_list ap;                                                                                \
        va_start(ap, last);                                                                        \
        mode = va_arg(ap, mode_t);                                                                 \
        va_end(ap);                                                                                \
    }

SHIM int openat(int dirfd, const char *path, int flags, ...)
{
    REAL(openat);
    MODE_OF(flags, flags)
    return opened(dirfd, path, flags, mode, real);
}

SHIM int openat64(int dirfd, const char *path, int flags, ...)
{
    REAL(openat64);
    MODE_OF(flags, flags)
    return opened(dirfd, path, flags, mode, real);
}

SHIM int open(const char *path, int flags, ...)
{
    REAL(openat);
    (void)real;
    MODE_OF(flags, flags)
    return opened(AT_FDCWD, path, flags, mode, real);
}

SHIM int open64(const char *path, int flags, ...)
{
    REAL(openat);
    MODE_OF(flags, flags)
    return opened(AT_FDCWD, path, flags, mode, real);
}

SHIM int creat(const char *path, mode_t mode)
{
    return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* --- writing ----------------------------------------------------------------------------------- */

/* at < 0: where the descriptor stands. */
static uint64_t before_write(int fd, const struct iovec *iov, int count, off_t at, uint64_t ino)
{
    size_t n = 0;
    int flags = fcntl(fd, F_GETFL);
    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    if (at < 0)
        at = lseek(fd, 0, flags & O_APPEND ? SEEK_END : SEEK_CUR);
    return record(WRITE, (flags & O_DSYNC) != 0, ino, at, iov, count, n);
}

SHIM ssize_t write(int fd, const void *p, size_t n)
{
    REAL(write);
    struct iovec iov = {(void *)(uintptr_t)p, n};
    uint64_t ino = file_of(fd);
    if (!ino)
        return real(fd, p, n);
    uint64_t token = before_write(fd, &iov, 1, -1, ino);
    ssize_t rc = real(fd, p, n);
    done(token, rc);
    return rc;
}

SHIM ssize_t writev(int fd, const struct iovec *iov, int count)
{
    REAL(writev);
    uint64_t ino = file_of(fd);
    if (!ino)
        return real(fd, iov, count);
    uint64_t token = before_write(fd, iov, count, -1, ino);
    ssize_t rc = real(fd, iov, count);
    done(token, rc);
    return rc;
}

static ssize_t write_at(int fd, const void *p, size_t n, off_t at,
                        ssize_t (*real)(int, const void *, size_t, off_t))
{
    struct iovec iov = {(void *)(uintptr_t)p, n};
    uint64_t ino = file_of(fd);
    if (!ino)
        return real(fd, p, n, at);
    uint64_t token = before_write(fd, &iov, 1, at, ino);
    ssize_t rc = real(fd, p, n, at);
    done(token, rc);
    return rc;
}

SHIM ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    REAL(pwrite);
    return write_at(fd, p, n, at, real);
}

SHIM ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    REAL(pwrite64);
    return write_at(fd, p, n, at, real);
}

static ssize_t writev_at(int fd, const struct iovec *iov, int count, off_t at,
                         ssize_t (*real)(int, const struct iovec *, int, off_t))
{
    uint64_t ino = file_of(fd);
    if (!ino)
        return real(fd, iov, count, at);
    uint64_t token = before_write(fd, iov, count, at, ino);
    ssize_t rc = real(fd, iov, count, at);
    done(token, rc);
    return rc;
}

SHIM ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    REAL(pwritev);
    return writev_at(fd, iov, count, at, real);
}

SHIM ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t at)
{
    REAL(pwritev64);
    return writev_at(fd, iov, count, at, real);
}

/* --- sizes ------------------------------------------------------------------------------------- */

SHIM int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    uint64_t ino = file_of(fd);
    if (!ino)
        return real(fd, size);
    uint64_t token = record(TRUNCATE, 0, ino, size, NULL, 0, 0);
    int rc = real(fd, size);
    done(token, rc);
    return rc;
}

SHIM int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

/* Only the growth matters: that of posix_fallocate and of fallocate without flags. */
static void grown(int fd, uint64_t ino, off_t end)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_size == end)
        done(record(TRUNCATE, 0, ino, end, NULL, 0, 0), 0);
}

SHIM int fallocate(int fd, int mode, off_t at, off_t n)
{
    REAL(fallocate);
    uint64_t ino = file_of(fd);
    int rc = real(fd, mode, at, n);
    if (ino && rc == 0 && mode == 0)
        grown(fd, ino, at + n);
    return rc;
}

SHIM int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
    return fallocate(fd, mode, at, n);
}

SHIM int posix_fallocate(int fd, off_t at, off_t n)
{
    REAL(posix_fallocate);
    uint64_t ino = file_of(fd);
    int rc = real(fd, at, n);
    if (ino && rc == 0)
        grown(fd, ino, at + n);
    return rc;
}

SHIM int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    return posix_fallocate(fd, at, n);
}

/* --- flushing ---------------------------------------------------------------------------------- */

static int synced(int fd, int (*real)(int))
{
    struct stat st;
    char proc[64], path[PATH_MAX], buf[PATH_MAX];
    uint64_t ino = file_of(fd), token = 0;
    const char *name = NULL;
    if (!ino && shim.fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(proc, path, sizeof path - 1);
        path[n < 0 ? 0 : n] = 0;
        name = below(AT_FDCWD, path, buf);
    }
    if (!ino && !name)
        return real(fd);
    token = name ? record_text(SYNC, 1, 0, name, NULL) : record(SYNC, 0, ino, 0, NULL, 0, 0);
    int rc = real(fd);
    done(token, rc);
    return rc;
}

SHIM int fsync(int fd)
{
    REAL(fsync);
    return synced(fd, real);
}

SHIM int fdatasync(int fd)
{
    REAL(fdatasync);
    return synced(fd, real);
}

/* --- names -------------------------------------------------------------------------------------
 * Each is recorded after it was done: a folder's fsync that began before it must not cover it. */

SHIM int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    char buf[PATH_MAX];
    const char *name = below(AT_FDCWD, path, buf);
    int rc = real(path, mode);
    if (rc == 0 && name && *name) /* the folder itself is always there */
        record_text(MKDIR, 0, 0, name, NULL);
    return rc;
}

SHIM int mkdirat(int dirfd, const char *path, mode_t mode)
{
    REAL(mkdirat);
    char buf[PATH_MAX];
    const char *name = below(dirfd, path, buf);
    int rc = real(dirfd, path, mode);
    if (rc == 0 && name && *name) /* the folder itself is always there */
        record_text(MKDIR, 0, 0, name, NULL);
    return rc;
}

static int renamed(int fd_a, const char *a, int fd_b, const char *b, unsigned flags)
{
    char buf_a[PATH_MAX], buf_b[PATH_MAX];
    struct stat moved, replaced;
    const char *old = below(fd_a, a, buf_a), *new = below(fd_b, b, buf_b);
    bool replaces = new &&fstatat(fd_b, b, &replaced, AT_SYMLINK_NOFOLLOW) == 0;
    bool moves = old && fstatat(fd_a, a, &moved, AT_SYMLINK_NOFOLLOW) == 0;
    bool dies = replaces && moves && replaced.st_ino != moved.st_ino && replaced.st_nlink == 1;
    if (dies)
        know(replaced.st_ino, false); /* before: its number may be another file's at once */
    int rc = (int)syscall(SYS_renameat2, fd_a, a, fd_b, b, flags);
    if (rc != 0 && dies)
        know(replaced.st_ino, true);
    if (rc == 0 && old && new) {
        record_text(RENAME, 0, 0, old, new);
    } else if (rc == 0 && (old || new)) {
        die("a rename across the folder's edge cannot be recorded");
    }
    return rc;
}

SHIM int rename(const char *a, const char *b)
{
    return renamed(AT_FDCWD, a, AT_FDCWD, b, 0);
}

SHIM int renameat(int fd_a, const char *a, int fd_b, const char *b)
{
    return renamed(fd_a, a, fd_b, b, 0);
}

SHIM int renameat2(int fd_a, const char *a, int fd_b, const char *b, unsigned flags)
{
    return renamed(fd_a, a, fd_b, b, flags);
}

SHIM int linkat(int fd_a, const char *a, int fd_b, const char *b, int flags)
{
    REAL(linkat);
    char buf_a[PATH_MAX], buf_b[PATH_MAX];
    const char *old = below(fd_a, a, buf_a), *new = below(fd_b, b, buf_b);
    int rc = real(fd_a, a, fd_b, b, flags);
    if (rc == 0 && old && new)
        record_text(LINK, 0, 0, old, new);
    return rc;
}

SHIM int link(const char *a, const char *b)
{
    return linkat(AT_FDCWD, a, AT_FDCWD, b, 0);
}

SHIM int unlinkat(int dirfd, const char *path, int flags)
{
    REAL(unlinkat);
    char buf[PATH_MAX];
    struct stat st;
    const char *name = below(dirfd, path, buf);
    bool last = name && fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(st.st_mode) && st.st_nlink == 1;
    if (last)
        know(st.st_ino, false); /* before: its number may be another file's at once */
    int rc = real(dirfd, path, flags);
    if (rc == 0 && name)
        record_text(UNLINK, 0, 0, name, NULL);
    else if (last)
        know(st.st_ino, true);
    return rc;
}

SHIM int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

SHIM int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

SHIM int remove(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) ? rmdir(path) : unlink(path);
}
