/* store: opening and refusing, rows, batches, refusals, counters, secrets, what outlives a restart.
 */
#include "store/store.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "store/inside.h"
#include "store_alone.h"

static int refuse_open(struct err *err)
{
    struct store *s;
    *err = (struct err){0};
    struct store_opts o = {.dir = f.dir, .map_size = 1 << 30, .loop = &f.loop};
    int rc = store_open(&o, &s, err);
    assert_true(rc != 0);
    assert_true(err->text[0]);
    return rc;
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", f.dir, name);
    return path;
}

static void get(const char *key, char out[static 64])
{
    struct str v;
    struct store_txn *t = store_read(f.store);
    int rc = store_get(t, T_KV, str_c(key), &v);
    snprintf(out, 64, "%.*s", rc ? 1 : (int)v.n, rc ? "-" : v.p);
    store_read_end(t);
}

/* ctx "k=v": puts; "k": deletes. */
static int set(struct store_txn *t, void *ctx)
{
    struct str v = str_c(ctx), k = str_cut(&v, '=');
    return v.p ? store_put(t, T_KV, k, v) : store_del(t, T_KV, k);
}

static void test_folder(void **state)
{
    static const char *const private[] = {"", "blobs", "tmp", "meta.mdb", "master.key", "lock"};
    struct stat st;
    (void)state;
    for (size_t i = 0; i < sizeof private / sizeof *private; i++) {
        assert_int_equal(stat(path_of(private[i]), &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
    assert_int_equal(stat(path_of("master.key"), &st), 0);
    assert_int_equal(st.st_size, 32);
    /* missing parents are made */
    char deep[128];
    snprintf(deep, sizeof deep, "%s", path_of("a/b/c/"));
    struct store *other;
    struct store_opts o = {.dir = deep, .map_size = 1 << 20, .loop = &f.loop};
    assert_int_equal(store_open(&o, &other, NULL), 0);
    store_close(other);
}

static void test_second_server(void **state)
{
    struct err err;
    char v[64];
    (void)state;
    assert_int_equal(refuse_open(&err), E_CONFLICT);
    assert_non_null(strstr(err.text, "in use by another perilune"));
    char pid[32];
    snprintf(pid, sizeof pid, "process %d)", (int)getpid());
    assert_non_null(strstr(err.text, pid));
    assert_int_equal(call_run(&f, set, "k=v"), 0); /* the first is not disturbed */
    get("k", v);
    assert_string_equal(v, "v");
    /* nor does a child that lives on keep the folder */
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sleep", "sleep", "10", (char *)NULL);
        _exit(1);
    }
    usleep(50 * 1000);
    fixture_restart(&f);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static int put_format(struct store_txn *t, void *ctx)
{
    (void)ctx;
    return store_meta_put(t, "format", ENV_FORMAT + 1);
}

static void test_newer_format(void **state)
{
    struct err err;
    (void)state;
    uint64_t boot = store_boot(f.store);
    assert_int_equal(call_run(&f, put_format, NULL), 0);
    fixture_close(&f);
    assert_int_equal(refuse_open(&err), E_CONFLICT);
    assert_non_null(strstr(err.text, "newer"));
    assert_int_equal(refuse_open(&err), E_CONFLICT); /* and the lock was let go */
    assert_non_null(strstr(err.text, "newer"));
    /* put it back by hand */
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    uint64_t one = __builtin_bswap64(ENV_FORMAT);
    MDB_val k = {6, "format"}, v = {8, &one};
    assert_int_equal(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 4);
    assert_int_equal(mdb_env_open(env, path_of("meta.mdb"), MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    fixture_open(&f);
    assert_int_equal(store_boot(f.store), boot + 1); /* the refusals wrote nothing */
}

static void test_master_key(void **state)
{
    struct err err;
    unsigned char key[32], other[32] = {1};
    (void)state;
    memcpy(key, store_master_key(f.store), 32);
    fixture_restart(&f);
    assert_memory_equal(key, store_master_key(f.store), 32);
    fixture_close(&f);
    assert_int_equal(unlink(path_of("master.key")), 0);
    assert_int_equal(refuse_open(&err), E_NOT_FOUND);
    assert_non_null(strstr(err.text, "master.key is missing"));
    for (size_t n = 0; n <= 32; n += 16) { /* empty, cut short, another */
        int fd = open(path_of("master.key"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(fd, other, n), n);
        close(fd);
        refuse_open(&err);
        assert_non_null(strstr(err.text, "master.key"));
    }
    int fd = open(path_of("master.key"), O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, key, 32), 32);
    close(fd);
    fixture_open(&f);
}

static void test_not_a_database(void **state)
{
    struct err err;
    (void)state;
    fixture_close(&f);
    char saved[128];
    snprintf(saved, sizeof saved, "%s", path_of("saved"));
    assert_int_equal(rename(path_of("meta.mdb"), saved), 0);
    int fd = open(path_of("meta.mdb"), O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(write(fd, "this is no database\n", 20), 20);
    close(fd);
    refuse_open(&err);
    assert_non_null(strstr(err.text, "damaged"));
    assert_int_equal(rename(saved, path_of("meta.mdb")), 0);
    fixture_open(&f);
}

/* A copy that ended early, after any of its pages: refused, or as good as whole. */
static void test_cut_short(void **state)
{
    enum { PAGE = 4096, MOST = 256 };
    static char bytes[MOST * PAGE];
    char row[64];
    int refused = 0;
    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(row, sizeof row, "row%d=%d", i, i);
        assert_int_equal(call_run(&f, set, row), 0);
    }
    fixture_close(&f);
    int fd = open(path_of("meta.mdb"), O_RDWR);
    ssize_t size = read(fd, bytes, sizeof bytes);
    assert_in_range(size, 8 * PAGE, sizeof bytes - 1);
    for (off_t pages = 2; pages < size / PAGE; pages++) {
        struct err err = {0};
        struct store *s = NULL;
        struct store_opts o = {.dir = f.dir, .map_size = 1 << 30, .loop = &f.loop};
        assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
        assert_int_equal(ftruncate(fd, pages * PAGE), 0);
        if (store_open(&o, &s, &err) == 0) {
            store_close(s);
            uv_run(&f.loop, UV_RUN_DEFAULT);
            continue;
        }
        if (!strstr(err.text, "damaged"))
            fail_msg("%ld pages: %s", (long)pages, err.text);
        refused++;
    }
    assert_true(refused > 0);
    assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
    fixture_open(&f);
}

static void test_restart(void **state)
{
    char v[64];
    (void)state;
    uint64_t boot = store_boot(f.store);
    assert_true(boot >= 1);
    assert_int_equal(call_run(&f, set, "k=kept"), 0);
    uint64_t id = store_new_id(f.store);
    struct store_txn *t = store_read(f.store);
    int64_t stamp = store_time(t);
    store_read_end(t);
    assert_true(stamp > 0 && stamp <= clock_store_ms());
    /* an hour ahead of the wall, as if the clock had been set back since */
    uint64_t ahead = (uint64_t)clock_wall_ms() + 3600 * 1000;
    fixture_close(&f);
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    uint64_t be = __builtin_bswap64(ahead);
    MDB_val key = {4, "time"}, val = {8, &be};
    assert_int_equal(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 4);
    assert_int_equal(mdb_env_open(env, path_of("meta.mdb"), MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &key, &val, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    fixture_open(&f);
    assert_int_equal(store_boot(f.store), boot + 1);
    assert_true(store_new_id(f.store) > id);
    assert_true((uint64_t)clock_store_ms() > ahead);
    get("k", v);
    assert_string_equal(v, "kept");
}

/* --- who waits ---------------------------------------------------------------------------------
 */

static int note(struct store_txn *t, void *ctx)
{
    struct str v = STR("");
    char all[64];
    (void)store_get(t, T_KV, STR("order"), &v);
    snprintf(all, sizeof all, "%.*s%s", STR_FMT(v), (const char *)ctx);
    return store_put(t, T_KV, STR("order"), str_c(all));
}

/* In the order of submission, in one commit with who comes later, … */
static void test_riders_go_with_the_next(void **state)
{
    struct call a = {.job.rides = true}, b = {.job.rides = true}, c = {0};
    char v[64];
    (void)state;
    call_start(&f, &a, note, "a");
    call_start(&f, &b, note, "b");
    usleep(20 * 1000); /* the loop's timer cannot end meanwhile */
    assert_int_equal(a.runs + b.runs, 0);
    call_start(&f, &c, note, "c");
    assert_int_equal(call_wait(&f, &c), 0);
    assert_true(a.done && b.done);
    get("order", v);
    assert_string_equal(v, "abc");
}

/* … and alone after a moment, or when there are many. */
static void test_riders_do_not_wait_for_ever(void **state)
{
    static struct call many[64];
    struct call alone = {.job.rides = true};
    (void)state;
    uint64_t began_ms = uv_hrtime() / 1000000;
    call_start(&f, &alone, set, "k=1");
    assert_int_equal(call_wait(&f, &alone), 0);
    assert_true(uv_hrtime() / 1000000 - began_ms < 1000);
    for (size_t i = 0; i < 64; i++) {
        many[i] = (struct call){.job.rides = true};
        call_start(&f, &many[i], set, "k=2");
    }
    while (((volatile struct call *)many)[63].runs == 0) /* without a turn of the loop */
        usleep(1000);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(call_wait(&f, &many[i]), 0);
}

static void test_riders_at_the_end(void **state)
{
    struct call last = {.job.rides = true};
    char v[64];
    (void)state;
    call_start(&f, &last, set, "k=last");
    fixture_restart(&f);
    assert_true(last.done && last.rc == 0);
    get("k", v);
    assert_string_equal(v, "last");
}

/* --- rows --------------------------------------------------------------------------------------
 */

static int put_rows(struct store_txn *t, void *ctx)
{
    (void)ctx;
    store_put(t, T_KV, STR("a"), STR("1"));
    store_put(t, T_KV, STR("c"), STR("3"));
    store_put(t, T_KV, STR("e"), STR(""));
    return store_put(t, T_ROLES, STR("b"), STR("elsewhere"));
}

static void test_rows(void **state)
{
    struct str k, v;
    (void)state;
    assert_int_equal(call_run(&f, put_rows, NULL), 0);
    struct store_txn *t = store_read(f.store);
    assert_int_equal(store_get(t, T_KV, STR("e"), &v), 0);
    assert_int_equal(v.n, 0);
    assert_int_equal(store_get(t, T_KV, STR("b"), &v), E_NOT_FOUND);
    assert_int_equal(store_get(t, T_KV, STR(""), &v), E_NOT_FOUND);
    static char big[600];
    assert_int_equal(store_get(t, T_KV, str_of(big, 512), &v), E_NOT_FOUND);
    struct store_cursor *c = store_cursor(t, T_KV);
    assert_true(store_seek(c, STR(""), &k, &v));
    assert_str(k, "a");
    assert_true(store_next(c, &k, &v));
    assert_str(k, "c");
    assert_true(store_next(c, &k, &v) && !store_next(c, &k, &v));
    assert_true(store_seek(c, STR("b"), &k, &v));
    assert_str(k, "c");
    assert_false(store_seek(c, STR("f"), &k, &v));
    assert_false(store_seek(c, str_of(big, 512), &k, &v));
    assert_true(store_seek_before(c, STR("c"), &k, &v));
    assert_str(k, "a");
    assert_true(store_seek_before(c, STR("d"), &k, &v));
    assert_str(k, "c");
    assert_true(store_seek_before(c, STR("zz"), &k, &v));
    assert_str(k, "e");
    assert_false(store_seek_before(c, STR("a"), &k, &v));
    store_cursor_close(c);
    store_read_end(t);
}

static void test_snapshot(void **state)
{
    struct str v;
    char seen[64];
    struct call c = {0};
    (void)state;
    assert_int_equal(call_run(&f, set, "k=old"), 0);
    struct store_txn *outer = store_read(f.store);
    call_start(&f, &c, set, "k=new");
    usleep(50 * 1000); /* committed by now, not yet delivered */
    struct store_txn *inner = store_read(f.store);
    assert_int_equal(store_get(inner, T_KV, STR("k"), &v), 0);
    assert_str(v, "old");
    store_read_end(inner);
    assert_int_equal(store_get(outer, T_KV, STR("k"), &v), 0);
    assert_str(v, "old");
    store_read_end(outer);
    assert_false(c.done);
    get("k", seen);
    assert_string_equal(seen, "new");
    assert_int_equal(call_wait(&f, &c), 0);
}

static int count_one(struct store_txn *t, void *ctx)
{
    return store_counter(t, "things", ctx);
}

static void test_counter(void **state)
{
    uint64_t n = 0;
    (void)state;
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(call_run(&f, count_one, &n), 0);
        assert_int_equal(n, i);
    }
    fixture_restart(&f);
    assert_int_equal(call_run(&f, count_one, &n), 0);
    assert_int_equal(n, 4);
}

/* --- jobs --------------------------------------------------------------------------------------
 */

static size_t last_txn(void)
{
    MDB_envinfo info;
    mdb_env_info(f.store->env, &info);
    return info.me_last_txnid;
}

enum { MANY = 240 };
static int delivered[MANY];
static int deliveries;

struct numbered {
    struct job job;
    int n, rc;
};

static int numbered_apply(struct job *job, struct store_txn *t)
{
    struct numbered *j = (struct numbered *)job;
    char key[16];
    snprintf(key, sizeof key, "%06d", j->n);
    if (j->rc == E_THROTTLED)
        return j->rc; /* refuses before it writes */
    int rc = store_put(t, T_KV, str_c(key), STR("x"));
    return rc ? rc : j->rc;
}

static void numbered_done(struct job *job, int rc)
{
    struct numbered *j = (struct numbered *)job;
    assert_int_equal(rc, j->rc);
    delivered[deliveries++] = j->n;
}

static size_t run_many(int (*rc_of)(int n), bool undo)
{
    static struct numbered jobs[MANY];
    size_t before = last_txn();
    deliveries = 0;
    for (int i = 0; i < MANY; i++) {
        jobs[i] = (struct numbered){.n = i, .rc = rc_of(i)};
        jobs[i].job.apply = numbered_apply;
        jobs[i].job.done = numbered_done;
        jobs[i].job.undo = undo;
        store_submit(f.store, &jobs[i].job);
    }
    while (deliveries < MANY)
        uv_run(&f.loop, UV_RUN_ONCE);
    for (int i = 0; i < MANY; i++) {
        char key[16], v[64];
        assert_int_equal(delivered[i], i); /* in the order of submission */
        snprintf(key, sizeof key, "%06d", i);
        get(key, v);
        assert_string_equal(v, jobs[i].rc ? "-" : "x");
    }
    return last_txn() - before;
}

static int all_good(int n)
{
    (void)n;
    return 0;
}

static int some_refuse_first(int n)
{
    return n % 3 == 0 ? E_THROTTLED : 0;
}

static int some_refuse_late(int n)
{
    return n == 50 || n == 150 ? E_PRECONDITION : 0;
}

static int some_fail(int n)
{
    return n == 0 || n == 120 ? E_INTERNAL : n == MANY - 1 ? E_IO : 0;
}

static void test_group_commit(void **state)
{
    (void)state;
    assert_true(run_many(all_good, false) < MANY / 4);
}

static void test_refusals_spoil_nothing(void **state)
{
    (void)state;
    assert_true(run_many(some_refuse_first, false) < MANY / 4);
}

static void test_refusal_after_writes(void **state)
{
    (void)state;
    run_many(some_refuse_late, false);
}

static void test_refusal_after_writes_nested(void **state)
{
    (void)state;
    assert_true(run_many(some_refuse_late, true) < MANY / 4);
}

static void test_failures_take_nobody_along(void **state)
{
    (void)state;
    run_many(some_fail, false);
    assert_true(store_writable(f.store));
}

/* A row that LMDB refuses spoils the job even when the job does not look. */
static int overlook(struct store_txn *t, void *ctx)
{
    static char big[600];
    (void)ctx;
    store_put(t, T_KV, STR("half"), STR("x"));
    store_put(t, T_KV, str_of(big, 512), STR("x"));
    return 0;
}

static void test_overlooked_error(void **state)
{
    char v[64];
    (void)state;
    assert_int_equal(call_run(&f, overlook, NULL), E_INTERNAL);
    get("half", v);
    assert_string_equal(v, "-");
}

static int big_row(struct store_txn *t, void *ctx)
{
    static char bytes[6 << 20];
    return store_put(t, T_EVENTS, str_c(ctx), str_of(bytes, sizeof bytes));
}

static void test_large_batches(void **state)
{
    static struct call calls[12];
    static char keys[12][8];
    (void)state;
    for (int i = 0; i < 12; i++) {
        snprintf(keys[i], sizeof keys[i], "big%d", i);
        call_start(&f, &calls[i], big_row, keys[i]);
    }
    for (int i = 0; i < 12; i++) {
        assert_int_equal(call_wait(&f, &calls[i]), 0);
        assert_int_equal(calls[i].runs, 1);
    }
}

static struct call late;

static void submit_late(struct job *job, int rc)
{
    call_done(job, rc);
    call_start(&f, &late, set, "late=x");
}

static void test_close_commits(void **state)
{
    static struct call calls[50];
    static char texts[50][16];
    char v[64];
    (void)state;
    for (int i = 0; i < 50; i++) {
        snprintf(texts[i], sizeof texts[i], "c%d=x", i);
        call_start(&f, &calls[i], set, texts[i]);
    }
    calls[49].job.done = submit_late;
    fixture_restart(&f);
    for (int i = 0; i < 50; i++) {
        assert_true(calls[i].done && calls[i].rc == 0);
        snprintf(texts[i], sizeof texts[i], "c%d", i);
        get(texts[i], v);
        assert_string_equal(v, "x");
    }
    assert_true(late.done);
    assert_int_equal(late.rc, E_SHUTDOWN);
    get("late", v);
    assert_string_equal(v, "-");
}

static void test_idle_store_keeps_no_loop(void **state)
{
    (void)state;
    assert_int_equal(uv_run(&f.loop, UV_RUN_DEFAULT), 0); /* returns: nothing pends */
    struct call c = {0};
    call_start(&f, &c, set, "k=v");
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_true(c.done); /* but a pending job does keep it */
}

/* --- secrets -----------------------------------------------------------------------------------
 */

static void test_seal(void **state)
{
    struct buf sealed = BUF_INIT, again = BUF_INIT, plain = BUF_INIT;
    struct str secret = STR("wJalrXUtnFEMI/K7MDENG"), label = STR("key:AKIA1");
    (void)state;
    store_seal(f.store, label, secret, &sealed);
    store_seal(f.store, label, secret, &again);
    assert_true(sealed.rc == 0 && sealed.n > secret.n);
    assert_false(str_eq(buf_str(&sealed), buf_str(&again))); /* a nonce each */
    assert_int_equal(str_find(buf_str(&sealed), secret), -1);
    assert_true(store_unseal(f.store, label, buf_str(&sealed), &plain));
    assert_true(str_eq(buf_str(&plain), secret));
    buf_clear(&plain);
    assert_false(store_unseal(f.store, STR("key:AKIA2"), buf_str(&sealed), &plain));
    for (size_t n = 0; n < sealed.n; n++) /* every truncation and every flipped byte */
        assert_false(store_unseal(f.store, label, str_of(sealed.p, n), &plain));
    for (size_t i = 0; i < sealed.n; i++) {
        sealed.p[i] ^= 0x20;
        assert_false(store_unseal(f.store, label, buf_str(&sealed), &plain));
        sealed.p[i] ^= 0x20;
    }
    assert_int_equal(plain.n, 0);
    fixture_restart(&f);
    assert_true(store_unseal(f.store, label, buf_str(&sealed), &plain));
    buf_clear(&sealed);
    buf_clear(&plain);
    store_seal(f.store, STR(""), STR(""), &sealed);
    assert_true(store_unseal(f.store, STR(""), buf_str(&sealed), &plain));
    assert_int_equal(plain.n, 0);
    buf_deinit(&sealed);
    buf_deinit(&again);
    buf_deinit(&plain);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_folder),
        T(test_second_server),
        T(test_newer_format),
        T(test_master_key),
        T(test_not_a_database),
        T(test_cut_short),
        T(test_restart),
        T(test_rows),
        T(test_snapshot),
        T(test_counter),
        T(test_group_commit),
        T(test_riders_go_with_the_next),
        T(test_riders_do_not_wait_for_ever),
        T(test_riders_at_the_end),
        T(test_refusals_spoil_nothing),
        T(test_refusal_after_writes),
        T(test_refusal_after_writes_nested),
        T(test_failures_take_nobody_along),
        T(test_overlooked_error),
        T(test_large_batches),
        T(test_close_commits),
        T(test_idle_store_keeps_no_loop),
        T(test_seal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
