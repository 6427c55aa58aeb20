/* backup: writing one.
 *
 * Rows first, as a copy (store/copy.h); then the files that the copied rows name are looked for, all of
 * them, before the first byte goes out: a store with a hole in it gives no archive that hides it.
 * Log segments only grow, so each goes out in the length that it had when it was opened; what a
 * segment's end lacks is cut off by whoever opens it, as after a crash. */
#include "svc/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "store/blob.h"

enum { RUN = 128 * 1024 };

struct backup {
    const struct backup_opts *o;
    struct store *rows;
    struct tar_writer tar;
    struct err *err;
    uint64_t blobs, bytes;
    char *run; /* RUN bytes */
};

static int stopped(struct backup *b)
{
    return err_set(b->err, E_ABORTED, "the backup was stopped");
}

static bool unwanted(const struct backup *b)
{
    return b->tar.failed || store_copy_cancelled(b->o->copy);
}

/* size bytes of fd, which is closed; a file that has become shorter is filled up when `grows` says that
 * only its end can be missing. */
static int put_file(struct backup *b, const char *name, int fd, uint64_t size, bool grows)
{
    int rc = tar_file(&b->tar, name, size) ? 0 : stopped(b);
    for (uint64_t left = size; left && rc == 0;) {
        ssize_t n = read(fd, b->run, left < RUN ? (size_t)left : RUN);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 && grows) {
            n = left < RUN ? (ssize_t)left : RUN;
            memset(b->run, 0, (size_t)n);
        }
        if (n <= 0)
            rc = err_set(b->err, E_IO, "%s cannot be read: %s", name,
                         n ? strerror(errno) : "it is shorter than it was");
        else if (!tar_bytes(&b->tar, str_of(b->run, (size_t)n)) || unwanted(b))
            rc = stopped(b);
        left -= n > 0 ? (uint64_t)n : 0;
    }
    close(fd);
    return rc;
}

/* --- blobs ------------------------------------------------------------------------------------ */

static int look_for(void *ctx, uint64_t id, uint64_t size, uint64_t refs)
{
    struct backup *b = ctx;
    struct stat st;
    int fd = blob_file(b->rows, id);
    (void)refs;
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size == size;
    if (fd >= 0)
        close(fd);
    b->blobs++;
    b->bytes += size;
    if (store_copy_cancelled(b->o->copy))
        return stopped(b);
    return ok ? 0
              : err_set(b->err, E_IO,
                        "blob %016llx of %llu bytes %s: 'perilune scrub' tells what it belongs to",
                        (unsigned long long)id, (unsigned long long)size,
                        fd == E_NOT_FOUND ? "is missing" : "has another size or cannot be read");
}

static int put_blob(void *ctx, uint64_t id, uint64_t size, uint64_t refs)
{
    struct backup *b = ctx;
    char name[64];
    int fd = blob_file(b->rows, id);
    (void)refs;
    snprintf(name, sizeof name, "blobs/%02x/%016llx", (unsigned)(id & 0xff),
             (unsigned long long)id);
    return fd < 0 ? err_set(b->err, E_IO, "%s cannot be read", name)
                  : put_file(b, name, fd, size, false);
}

static int each_blob(struct backup *b,
                     int (*each)(void *ctx, uint64_t id, uint64_t size, uint64_t refs))
{
    struct store_txn *t = store_read(b->rows);
    int rc = blob_each(t, each, b);
    store_read_end(t);
    return rc;
}

/* --- the rest of the folder ------------------------------------------------------------------- */

static int put_facts(struct backup *b)
{
    char text[256], time[32];
    struct clock_parts p;
    clock_split(clock_wall_ms(), &p);
    snprintf(time, sizeof time, "%04d-%02d-%02dT%02d:%02d:%02dZ", p.year, p.month, p.day, p.hour,
             p.minute, p.second);
    int n = snprintf(text, sizeof text,
                     "format %d\nmade %s\nversion %s\nblobs %llu\nbytes %llu\nkey %s\n",
                     BACKUP_FORMAT, time, PERILUNE_VERSION, (unsigned long long)b->blobs,
                     (unsigned long long)b->bytes, b->o->without_key ? "no" : "yes");
    b->tar.time_s = clock_wall_ms() / 1000;
    return tar_file(&b->tar, "perilune-backup", (uint64_t)n) &&
                   tar_bytes(&b->tar, str_of(text, (size_t)n))
               ? 0
               : stopped(b);
}

static int put_rows(struct backup *b)
{
    uint64_t size;
    int fd = store_copy_fd(b->o->copy, &size);
    return fd < 0 ? err_set(b->err, E_IO, "the copied rows cannot be read")
                  : put_file(b, "meta.mdb", fd, size, false);
}

/* One that is not there is left out. */
static int put_path(struct backup *b, const char *name)
{
    char path[4096];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", b->o->dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(b->err, E_IO, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return put_file(b, name, fd, (uint64_t)st.st_size, true);
    close(fd);
    return 0;
}

/* logs/GROUP/FILE: two levels, as svc/logs_disk.h has them. */
static int put_logs(struct backup *b, const char *name, int depth)
{
    char path[4096], below[512];
    struct dirent *e;
    int rc = 0;
    snprintf(path, sizeof path, "%s/%s", b->o->dir, name);
    DIR *dir = opendir(path);
    while (dir && rc == 0 && (e = readdir(dir))) {
        if (e->d_name[0] == '.' ||
            snprintf(below, sizeof below, "%s/%s", name, e->d_name) >= (int)sizeof below)
            continue;
        rc = depth ? put_path(b, below) : put_logs(b, below, 1);
    }
    if (dir)
        closedir(dir);
    return rc;
}

static int put_all(struct backup *b)
{
    int rc = each_blob(b, look_for);
    if (rc || (rc = put_facts(b)) || (rc = put_rows(b)))
        return rc;
    if (!b->o->without_key &&
        ((rc = put_path(b, "master.key")) || (rc = put_path(b, "root.credentials"))))
        return rc;
    if ((rc = each_blob(b, put_blob)) || (rc = put_logs(b, "logs", 0)))
        return rc;
    return tar_end(&b->tar) ? 0 : stopped(b);
}

int backup_write(const struct backup_opts *o, struct err *err)
{
    struct backup b = {.o = o, .err = err, .tar = {.put = o->put, .ctx = o->ctx}};
    int rc = store_copy_make(o->copy, err);
    if (rc)
        return rc;
    b.rows = store_copy_rows(o->copy);
    b.run = malloc(RUN);
    if (!b.run)
        fatal("out of memory");
    rc = put_all(&b);
    tar_deinit(&b.tar);
    free(b.run);
    return rc;
}
