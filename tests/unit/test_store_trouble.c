/* store in trouble: the disk fails, fills and recovers; the map fills; nothing is acknowledged that
 * is not there, and no restart is needed.
 *
 * The system calls that LMDB and the blobs make are defined here, in front of libc's, and fail on
 * demand: LMDB writes pages with pwrite and writev, its meta page with pwrite to a descriptor
 * opened O_DSYNC, and flushes with fdatasync. A real full disk is a 16 MiB tmpfs. */
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "store/blob.h"
#include "store/inside.h"
#include "store_help.h"

enum place { NOWHERE, DATA_WRITE, META_WRITE, DATA_SYNC, BLOB_WRITE, BLOB_SYNC };

static _Atomic int fail_place, fail_errno, fail_left; /* fail_left: how many times, -1 for good */
static _Atomic int flushes;
static bool keep_meta; /* a failed meta write leaves its bytes in the file, as a kernel may */

static bool fails(enum place place)
{
    if (fail_place != (int)place || fail_left == 0)
        return false;
    if (fail_left > 0)
        fail_left--;
    errno = fail_errno;
    return true;
}

static void break_at(enum place place, int error, int times)
{
    fail_errno = error;
    fail_left = times;
    fail_place = (int)place;
}

static void mend(void)
{
    fail_place = NOWHERE;
}

static bool is_meta(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_DSYNC);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t writev(int fd, const struct iovec *iov, int count);
ssize_t write(int fd, const void *p, size_t n);
int fdatasync(int fd);
int fsync(int fd);

static void *libc(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = libc("pwrite");
    bool meta = is_meta(fd);
    if (meta && fail_place == META_WRITE && keep_meta)
        real(fd, p, n, at);
    if (fails(meta ? META_WRITE : DATA_WRITE))
        return -1;
    return real(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    ssize_t (*real)(int, const struct iovec *, int) = libc("writev");
    return fails(DATA_WRITE) ? -1 : real(fd, iov, count);
}

ssize_t write(int fd, const void *p, size_t n)
{
    ssize_t (*real)(int, const void *, size_t) = libc("write");
    return n >= 1000 && fails(BLOB_WRITE) ? -1 : real(fd, p, n);
}

int fdatasync(int fd)
{
    int (*real)(int) = libc("fdatasync");
    flushes++;
    return fails(DATA_SYNC) ? -1 : real(fd);
}

int fsync(int fd)
{
    int (*real)(int) = libc("fsync");
    return fails(BLOB_SYNC) ? -1 : real(fd);
}

/* -----------------------------------------------------------------------------------------------
 */

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    f = (struct fixture){0};
    mend();
    keep_meta = false;
    fixture_init(&f);
    return 0;
}

static int setup_small(void **state)
{
    (void)state;
    f = (struct fixture){.map_size = 4 << 20};
    mend();
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mend();
    fixture_deinit(&f);
    return 0;
}

static bool has(const char *key)
{
    struct str v;
    struct store_txn *t = store_read(f.store);
    int rc = store_get(t, T_KV, str_c(key), &v);
    store_read_end(t);
    return rc == 0;
}

static int put(struct store_txn *t, void *ctx)
{
    return store_put(t, T_KV, str_c(ctx), STR("x"));
}

static int del(struct store_txn *t, void *ctx)
{
    return store_del(t, T_KV, str_c(ctx));
}

/* As a caller would see it: refused now, taken again within a second after the disk is back. */
static void assert_recovers(void)
{
    uint64_t start = clock_mono_ns();
    while (!store_writable(f.store)) {
        assert_true(clock_mono_ns() - start < 1000000000u);
        usleep(10 * 1000);
    }
    assert_int_equal(call_run(&f, put, "after"), 0);
    assert_true(has("before") && has("after") && !has("refused"));
    fixture_restart(&f);
    assert_true(has("before") && has("after") && !has("refused"));
}

static void fail_for_good(enum place place, int error, int want)
{
    assert_int_equal(call_run(&f, put, "before"), 0);
    break_at(place, error, -1);
    assert_int_equal(call_run(&f, put, "refused"), want);
    assert_false(store_writable(f.store));
    assert_int_equal(call_run(&f, put, "refused"), want);
    assert_true(has("before") && !has("refused")); /* reads go on */
    usleep(300 * 1000);                            /* through a probe that fails */
    assert_int_equal(call_run(&f, put, "refused"), want);
    assert_true(has("before") && !has("refused"));
    mend();
    assert_recovers();
}

static void test_data_write(void **state)
{
    (void)state;
    fail_for_good(DATA_WRITE, ENOSPC, E_NO_SPACE);
}

static void test_data_write_io(void **state)
{
    (void)state;
    fail_for_good(DATA_WRITE, EIO, E_IO);
}

static void test_data_sync(void **state)
{
    (void)state;
    fail_for_good(DATA_SYNC, EIO, E_IO);
}

static void test_meta_write(void **state)
{
    (void)state;
    fail_for_good(META_WRITE, EIO, E_IO);
}

static void test_meta_write_full(void **state)
{
    (void)state;
    fail_for_good(META_WRITE, ENOSPC, E_NO_SPACE);
}

/* The error came but the page is there: then it counts, and is acknowledged once it is flushed. */
static void test_meta_write_that_stays(void **state)
{
    (void)state;
    assert_int_equal(call_run(&f, put, "before"), 0);
    keep_meta = true;
    break_at(META_WRITE, EIO, 1);
    int rc = call_run(&f, put, "maybe");
    mend();
    if (rc == 0)
        assert_true(has("maybe"));
    assert_recovers();
    assert_int_equal(has("maybe"), rc == 0);
}

/* One passing error: the batch is undone, its jobs run again, and nobody hears of it. */
static void passing(enum place place)
{
    struct call calls[40] = {0};
    char keys[40][8];
    for (int i = 0; i < 40; i++) {
        snprintf(keys[i], sizeof keys[i], "p%d", i);
        if (i == 10)
            break_at(place, EIO, 1);
        call_start(&f, &calls[i], put, keys[i]);
    }
    for (int i = 0; i < 40; i++)
        assert_int_equal(call_wait(&f, &calls[i]), 0);
    for (int i = 0; i < 40; i++)
        assert_true(has(keys[i]));
    assert_int_equal(fail_left, 0);
    assert_true(store_writable(f.store));
}

static void test_passing_errors(void **state)
{
    (void)state;
    passing(DATA_WRITE);
    passing(DATA_SYNC);
    passing(META_WRITE);
    assert_int_equal(call_run(&f, put, "before"), 0);
    assert_recovers();
}

static _Atomic bool gathered;

static int wait_for_others(struct store_txn *t, void *ctx)
{
    while (!gathered)
        usleep(1000);
    return put(t, ctx);
}

/* What the queue writes is tried while the disk fails, one by one. Once it is well they are a batch
 * again: hundreds of flushes one after the other would keep everybody else waiting for seconds. */
static void test_well_again_at_once(void **state)
{
    struct call first = {0}, calls[100] = {0};
    char keys[100][8];
    int refused = 0;
    (void)state;
    gathered = false;
    call_start(&f, &first, wait_for_others, "first");
    for (int i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof keys[i], "p%d", i);
        calls[i].job.frees_space = true;
        call_start(&f, &calls[i], put, keys[i]);
    }
    break_at(DATA_WRITE, ENOSPC, 7); /* four commits and probes, then some of them alone */
    flushes = 0;
    gathered = true;
    assert_int_equal(call_wait(&f, &first), E_NO_SPACE);
    for (int i = 0; i < 100; i++) {
        int rc = call_wait(&f, &calls[i]);
        assert_int_equal(has(keys[i]), rc == 0);
        refused += rc != 0;
    }
    assert_int_equal(fail_left, 0);
    assert_in_range(refused, 1, 7);
    assert_in_range(flushes, 1, 40);
    assert_true(store_writable(f.store));
}

/* Reading goes on while the environment is opened again under it. */
static void test_reads_through_panic(void **state)
{
    struct call c = {0};
    (void)state;
    assert_int_equal(call_run(&f, put, "before"), 0);
    for (int round = 0; round < 5; round++) {
        break_at(META_WRITE, EIO, 1);
        call_start(&f, &c, put, "again");
        while (!c.done) {
            for (int i = 0; i < 20; i++)
                assert_true(has("before"));
            uv_run(&f.loop, UV_RUN_NOWAIT);
        }
        assert_int_equal(c.rc, 0);
    }
}

/* --- a full map --------------------------------------------------------------------------------
 */

static int put_big(struct store_txn *t, void *ctx)
{
    static char bytes[20000];
    return store_put(t, T_KV, str_c(ctx), str_of(bytes, sizeof bytes));
}

static int run_freeing(int (*apply)(struct store_txn *t, void *ctx), void *ctx)
{
    struct call c = {.job.frees_space = true};
    call_start(&f, &c, apply, ctx);
    return call_wait(&f, &c);
}

static void test_full_map(void **state)
{
    char key[16];
    int n = 0, rc;
    (void)state;
    assert_int_equal(call_run(&f, put, "before"), 0);
    for (;; n++) {
        snprintf(key, sizeof key, "big%06d", n);
        rc = call_run(&f, put_big, key);
        if (rc)
            break;
        assert_true(n < 400);
    }
    assert_true(n > 50);
    assert_int_equal(rc, E_NO_SPACE);
    assert_false(has(key));
    assert_int_equal(call_run(&f, put_big, "refused"), E_NO_SPACE);
    assert_false(store_writable(f.store));
    assert_true(has("before"));
    assert_false(has("refused"));
    for (int i = 0; i < n; i++) { /* one by one: each needs pages before it frees any */
        snprintf(key, sizeof key, "big%06d", i);
        assert_int_equal(run_freeing(del, key), 0);
        assert_false(has(key));
    }
    assert_recovers();
    for (int i = 0; i < n / 2; i++) {
        snprintf(key, sizeof key, "big%06d", i);
        assert_int_equal(call_run(&f, put_big, key), 0);
    }
}

static int put_small(struct store_txn *t, void *ctx)
{
    static char bytes[1000];
    char key[16];
    int rc = 0;
    for (int i = 0; i < 20 && rc == 0; i++) {
        snprintf(key, sizeof key, "s%08d", *(int *)ctx + i);
        rc = store_put(t, T_KV, str_c(key), str_of(bytes, sizeof bytes));
    }
    return rc;
}

/* A row here and there: each from a page of its own, which LMDB copies before anything is free. */
struct wide {
    int step, offset;
};

static int del_wide(struct store_txn *t, void *ctx)
{
    struct wide *w = ctx;
    char key[16];
    int rc = 0;
    for (int i = 0; i < 40 && rc == 0; i++) {
        snprintf(key, sizeof key, "s%08d", i * w->step + w->offset);
        rc = store_del(t, T_KV, str_c(key));
    }
    return rc;
}

static void test_full_map_wide_delete(void **state)
{
    struct wide w = {0};
    int n = 0, rc;
    (void)state;
    assert_int_equal(call_run(&f, put, "before"), 0);
    while ((rc = call_run(&f, put_small, &n)) == 0) {
        n += 20;
        assert_true(n < 10000);
    }
    assert_int_equal(rc, E_NO_SPACE);
    w.step = n / 40;
    assert_int_equal(run_freeing(del_wide, &w), 0);
    assert_false(has("s00000000"));
    assert_true(has("s00000001"));
    while (++w.offset < w.step)
        assert_int_equal(run_freeing(del_wide, &w), 0);
    assert_recovers();
}

/* One job that is too large is refused; the others are not held up by it. */
static int put_huge(struct store_txn *t, void *ctx)
{
    static char bytes[5 << 20];
    return store_put(t, T_KV, str_c(ctx), str_of(bytes, sizeof bytes));
}

static void test_too_large_for_map(void **state)
{
    (void)state;
    assert_int_equal(call_run(&f, put, "before"), 0);
    assert_int_equal(call_run(&f, put_huge, "refused"), E_NO_SPACE);
    assert_true(store_writable(f.store));
    assert_recovers();
}

/* --- blobs -------------------------------------------------------------------------------------
 */

struct writing {
    bool done;
    int rc;
    uint64_t id, size;
};

static void on_written(void *ctx, int rc, uint64_t id, uint64_t size)
{
    *(struct writing *)ctx = (struct writing){true, rc, id, size};
}

static struct writing write_blob(size_t size)
{
    static char bytes[100000];
    struct writing r = {0};
    struct blob_writer *w = blob_create(f.store);
    for (size_t n = 0; n < size; n += sizeof bytes)
        blob_write(w, str_of(bytes, size - n < sizeof bytes ? size - n : sizeof bytes));
    blob_finish(w, on_written, &r);
    while (!r.done)
        uv_run(&f.loop, UV_RUN_ONCE);
    return r;
}

static size_t files, folders;

static int count_file(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)path;
    (void)at;
    (void)st;
    files += flag == FTW_F;
    folders += flag == FTW_D;
    return 0;
}

static size_t blob_files(void)
{
    char path[128];
    files = folders = 0;
    snprintf(path, sizeof path, "%s/blobs", f.dir);
    nftw(path, count_file, 16, FTW_PHYS);
    return files;
}

static void test_blob_errors(void **state)
{
    (void)state;
    static const struct {
        enum place place;
        int error, rc, after;
    } rows[] = {
        {BLOB_WRITE, EIO, E_IO, 0}, {BLOB_WRITE, ENOSPC, E_NO_SPACE, 0},
        {BLOB_SYNC, EIO, E_IO, 0},  {BLOB_SYNC, ENOSPC, E_NO_SPACE, 0},
        {BLOB_WRITE, EINTR, 0, 1}, /* interrupted calls are repeated */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        break_at(rows[i].place, rows[i].error, 1);
        assert_int_equal(write_blob(900000).rc, rows[i].rc);
        assert_int_equal(fail_left, 0);
        mend();
        assert_int_equal(blob_files(), rows[i].after);
    }
    assert_int_equal(write_blob(900000).rc, 0);
}

/* --- a real full disk --------------------------------------------------------------------------
 */

static int ballast(const char *dir, bool fill)
{
    char path[128], bytes[4096] = {1};
    snprintf(path, sizeof path, "%s/ballast", dir);
    if (!fill)
        return unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    while (write(fd, bytes, sizeof bytes) > 0)
        ;
    return close(fd);
}

static uint64_t disk_left(const char *dir)
{
    struct statvfs v;
    assert_int_equal(statvfs(dir, &v), 0);
    return (uint64_t)v.f_bavail * v.f_frsize;
}

static void full_disk(const char *dir)
{
    char key[16];
    int n, rc = 0;
    f = (struct fixture){0};
    snprintf(f.dir, sizeof f.dir, "%s/data", dir);
    assert_int_equal(uv_loop_init(&f.loop), 0);
    fixture_open(&f);
    assert_int_equal(call_run(&f, put, "before"), 0);
    for (n = 0; n < 150; n++) {
        snprintf(key, sizeof key, "big%06d", n);
        assert_int_equal(call_run(&f, put_big, key), 0);
    }
    ballast(dir, true); /* somebody else takes the rest, to the last byte */
    assert_int_equal(disk_left(dir), 0);
    assert_int_equal(call_run(&f, put, "refused"), E_NO_SPACE);
    assert_false(store_writable(f.store));
    assert_int_equal(write_blob(900000).rc, E_NO_SPACE);
    assert_int_equal(blob_files(), 0);
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "big%06d", i);
        assert_int_equal(run_freeing(del, key), 0);
        assert_false(has(key));
    }
    assert_recovers(); /* the deletes left pages for rows, if not for files */
    assert_int_equal(write_blob(900000).rc, E_NO_SPACE);
    ballast(dir, false);
    assert_int_equal(write_blob(900000).rc, 0);
    for (n = 0; n < 2000 && rc == 0; n++) { /* now we fill it ourselves, to the floor */
        snprintf(key, sizeof key, "big%06d", n);
        rc = call_run(&f, put_big, key);
    }
    assert_int_equal(rc, E_NO_SPACE);
    assert_true(disk_left(dir) > 500000 && disk_left(dir) < 1000000);
    fixture_close(&f);
}

static off_t rows_file(void)
{
    char path[FOLDER_MAX + 16];
    struct stat st;
    snprintf(path, sizeof path, "%s/meta.mdb", f.dir);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* At the floor rows go where rows were. The file that holds them never shrinks: if it grew then, it
 * would have all of the disk after it was filled often enough. */
static void disk_at_its_floor(const char *dir)
{
    char key[16], path[128];
    static char bytes[16384];
    int n, rc = 0;
    f = (struct fixture){0};
    snprintf(f.dir, sizeof f.dir, "%s/data", dir);
    assert_int_equal(uv_loop_init(&f.loop), 0);
    fixture_open(&f);
    for (n = 0; n < 150; n++) {
        snprintf(key, sizeof key, "big%06d", n);
        assert_int_equal(call_run(&f, put_big, key), 0);
    }
    while (n-- > 0) {
        snprintf(key, sizeof key, "big%06d", n);
        assert_int_equal(run_freeing(del, key), 0);
    }
    snprintf(path, sizeof path, "%s/other", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    while (disk_left(dir) >= (16 << 20) / 20)
        assert_true(write(fd, bytes, sizeof bytes) > 0);
    close(fd);
    off_t size = rows_file();
    for (n = 0; rc == 0; n++) {
        assert_true(n < 150);
        snprintf(key, sizeof key, "big%06d", n);
        rc = call_run(&f, put_big, key);
    }
    assert_int_equal(rc, E_NO_SPACE);
    assert_in_range(n, 80, 149);
    assert_int_equal(rows_file(), size);
    fixture_close(&f);
}

static bool say(const char *path, const char *text)
{
    FILE *to = fopen(path, "w");
    bool said = to && fputs(text, to) >= 0;
    return to && fclose(to) == 0 && said;
}

/* A mount namespace; who is not root gets one in a user namespace, as its root, or files there would
 * be nobody's. */
static bool own_mounts(void)
{
    char users[64], groups[64];
    snprintf(users, sizeof users, "0 %u 1", (unsigned)geteuid());
    snprintf(groups, sizeof groups, "0 %u 1", (unsigned)getegid());
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && say("/proc/self/setgroups", "deny") &&
           say("/proc/self/uid_map", users) && say("/proc/self/gid_map", groups);
}

static void on_small_disk(void (*run)(const char *dir))
{
    char dir[] = "/tmp/perilune-full-XXXXXX";
    assert_non_null(mkdtemp(dir));
    pid_t child = fork();
    if (child == 0) {
        if (!own_mounts() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
            mount("none", dir, "tmpfs", 0, "size=16m"))
            _exit(77);
        run(dir);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    rmdir(dir);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("no tmpfs can be mounted here: not a root, and no user namespaces\n");
        skip();
    }
    assert_int_equal(status, 0);
}

static void test_full_disk(void **state)
{
    (void)state;
    on_small_disk(full_disk);
}

static void test_disk_at_its_floor(void **state)
{
    (void)state;
    on_small_disk(disk_at_its_floor);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_data_write),
        T(test_data_write_io),
        T(test_data_sync),
        T(test_meta_write),
        T(test_meta_write_full),
        T(test_meta_write_that_stays),
        T(test_passing_errors),
        T(test_well_again_at_once),
        T(test_reads_through_panic),
        cmocka_unit_test_setup_teardown(test_full_map, setup_small, teardown),
        cmocka_unit_test_setup_teardown(test_full_map_wide_delete, setup_small, teardown),
        cmocka_unit_test_setup_teardown(test_too_large_for_map, setup_small, teardown),
        T(test_blob_errors),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_disk_at_its_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
