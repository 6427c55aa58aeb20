/* restore: reading a backup, to judge it or to make a data folder of it.
 *
 * An archive is hostile until its last byte was read: its names must be those that a backup has, so
 * nothing is written elsewhere; what is made lies in a folder beside the wanted one, which is renamed
 * when the sums were right, all is on the disk, the rows open, and every file that they name is there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/log.h"
#include "store/blob.h"
#include "svc/backup.h"

enum { RUN = 128 * 1024 };

struct restore {
    struct tar_reader tar;
    struct backup_facts *facts;
    struct err *err;
    char part[4096]; /* the folder being made; "" when there is none to be */
    bool rows;       /* meta.mdb was there */
    uint64_t promised;
    char *run; /* RUN bytes */
};

/* --- names ------------------------------------------------------------------------------------ */

static bool is_blob(struct str name)
{
    unsigned char id[8], folder;
    return name.n == 25 && str_starts(name, STR("blobs/")) && name.p[8] == '/' &&
           hex_decode(str_of(name.p + 6, 2), &folder) && hex_decode(str_from(name, 9), id) &&
           id[7] == folder;
}

/* logs/GROUP/FILE of plain characters. */
static bool is_log(struct str name)
{
    size_t slashes = 0;
    if (!str_starts(name, STR("logs/")))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        slashes += c == '/';
        if (c == '/' ? i + 1 == name.n || name.p[i + 1] == '.' || name.p[i + 1] == '/'
                     : (unsigned char)c <= ' ' || c == 0x7f)
            return false;
    }
    return slashes == 2;
}

static bool is_known(struct str name)
{
    return str_is(name, "meta.mdb") || str_is(name, "master.key") ||
           str_is(name, "root.credentials") || is_blob(name) || is_log(name);
}

/* --- files ------------------------------------------------------------------------------------ */

static int failed(struct restore *r, const char *path)
{
    return err_set(r->err, errno == ENOSPC || errno == EDQUOT ? E_NO_SPACE : E_IO, "%s: %s", path,
                   strerror(errno));
}

/* The folders above a path. */
static int make_above(struct restore *r, char *path)
{
    for (char *p = path + strlen(r->part) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        int rc = mkdir(path, 0700) && errno != EEXIST ? failed(r, path) : 0;
        *p = '/';
        if (rc)
            return rc;
    }
    return 0;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno != EINTR)
            return -1;
        p += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return 0;
}

/* The file at hand, into the folder or nowhere. */
static int take_file(struct restore *r)
{
    char path[sizeof r->part + TAR_NAME_MAX + 2] = "";
    int fd = -1, rc = 0;
    ssize_t n = 0;
    if (r->part[0]) {
        snprintf(path, sizeof path, "%s/%s", r->part, r->tar.name);
        if ((rc = make_above(r, path)))
            return rc;
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return failed(r, path);
    }
    while (rc == 0 && (n = tar_read(&r->tar, r->run, RUN, r->err)) > 0) {
        r->facts->bytes += (uint64_t)n;
        if (fd >= 0 && write_all(fd, r->run, (size_t)n))
            rc = failed(r, path);
    }
    if (rc == 0 && n < 0)
        rc = (int)n;
    if (rc == 0 && fd >= 0 && fsync(fd))
        rc = failed(r, path);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* "name value" lines. */
static int take_facts(struct restore *r)
{
    char text[512];
    ssize_t n = tar_read(&r->tar, text, sizeof text - 1, r->err);
    uint64_t format = 0;
    if (n < 0)
        return (int)n;
    struct str rest = str_of(text, (size_t)n);
    while (rest.n) {
        struct str value = str_cut(&rest, '\n'), name = str_cut(&value, ' ');
        if (str_is(name, "format"))
            str_u64(value, &format);
        else if (str_is(name, "blobs"))
            str_u64(value, &r->promised);
        else if (str_is(name, "key"))
            r->facts->key = str_is(value, "yes");
        else if (str_is(name, "made"))
            snprintf(r->facts->made, sizeof r->facts->made, "%.*s", STR_FMT(value));
    }
    if (format == 0 || format > BACKUP_FORMAT)
        return err_set(r->err, E_INVALID, "it is of format %llu; this perilune knows up to %d",
                       (unsigned long long)format, BACKUP_FORMAT);
    return 0;
}

static int take_all(struct restore *r)
{
    int rc = tar_next(&r->tar, r->err);
    if (rc == 1 && strcmp(r->tar.name, "perilune-backup") != 0)
        rc = 0;
    if (rc <= 0)
        return rc ? rc : err_set(r->err, E_INVALID, "it is no backup of perilune's");
    rc = take_facts(r);
    while (rc == 0 && (rc = tar_next(&r->tar, r->err)) == 1) {
        struct str name = str_c(r->tar.name);
        if (str_is(name, TAR_SUMS)) {
            rc = 0;
            continue;
        }
        if (!is_known(name))
            return err_set(r->err, E_INVALID, "there is something else in it: %s", r->tar.name);
        r->rows = r->rows || str_is(name, "meta.mdb");
        r->facts->blobs += is_blob(name);
        r->facts->files++;
        rc = take_file(r);
    }
    if (rc == 0 && (!r->rows || r->facts->blobs != r->promised))
        rc = err_set(r->err, E_INVALID, "files are missing in it");
    return rc;
}

/* --- the folder ------------------------------------------------------------------------------- */

static int look_at(void *ctx, uint64_t id, uint64_t size, uint64_t refs)
{
    struct store *s = ctx;
    struct stat st;
    int fd = blob_file(s, id);
    (void)refs;
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size == size;
    if (fd >= 0)
        close(fd);
    return ok ? 0 : E_INVALID;
}

/* The rows open, and what they name is there. */
static int check_rows(struct restore *r)
{
    struct store *s;
    int rc = store_rows_open(r->part, "meta.mdb", &s);
    if (rc == 0) {
        struct store_txn *t = store_read(s);
        rc = blob_each(t, look_at, s);
        store_read_end(t);
        store_rows_close(s);
    }
    return rc ? err_set(r->err, E_INVALID, "its rows and its files do not fit together") : 0;
}

static int sync_folder(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)ftw;
    int fd = type == FTW_D ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int rc = fd >= 0 && fsync(fd) ? -1 : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

/* The folder that the walk begins with, and no other. */
static int sync_top(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return sync_folder(path, st, type, ftw) ? -1 : 1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* A name of our own beside the wanted one; that may be there when it is empty. */
static int begin_folder(struct restore *r, const char *dir)
{
    struct dirent *e;
    DIR *d = opendir(dir);
    bool empty = true;
    while (d && (e = readdir(d)))
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    if (d)
        closedir(d);
    else if (errno != ENOENT)
        return failed(r, dir);
    if (!empty)
        return err_set(r->err, E_CONFLICT,
                       "%s is not empty: restore into a folder that is not there", dir);
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n > sizeof r->part - 32)
        return err_set(r->err, E_INVALID, "the folder's name is too long");
    snprintf(r->part, sizeof r->part, "%.*s.restoring-%d", (int)n, dir, (int)getpid());
    if (mkdir(r->part, 0700)) {
        int rc = failed(r, r->part);
        r->part[0] = 0;
        return rc;
    }
    return 0;
}

static int end_folder(struct restore *r, const char *dir, int rc)
{
    if (rc == 0)
        rc = check_rows(r);
    if (rc == 0 && nftw(r->part, sync_folder, 16, FTW_PHYS))
        rc = failed(r, r->part);
    if (rc == 0 && rename(r->part, dir))
        rc = failed(r, dir);
    if (rc == 0) {
        snprintf(r->part, sizeof r->part, "%s/..", dir);
        return nftw(r->part, sync_top, 1, FTW_PHYS) < 0 ? failed(r, dir) : 0;
    }
    if (rc)
        nftw(r->part, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return rc;
}

int backup_read(ssize_t (*get)(void *ctx, char *p, size_t n), void *ctx, const char *dir,
                struct backup_facts *out, struct err *err)
{
    struct restore r = {.facts = out, .err = err, .tar = {.get = get, .ctx = ctx}};
    *out = (struct backup_facts){0};
    int rc = dir ? begin_folder(&r, dir) : 0;
    if (rc)
        return rc;
    r.run = malloc(RUN);
    if (!r.run)
        fatal("out of memory");
    rc = take_all(&r);
    if (dir)
        rc = end_folder(&r, dir, rc);
    tar_reader_deinit(&r.tar);
    free(r.run);
    return rc;
}
