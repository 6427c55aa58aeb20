/* copy: the rows of one moment, whatever is written meanwhile; files stay for it; it gives way. */
#include "store/copy.h"

#include <dirent.h>

#include "store/blob.h"
#include "store/inside.h"
#include "store_alone.h"

enum { PAIRS = 40 };

static bool exists(uint64_t id)
{
    char path[STORE_PATH];
    blob_path(f.store, id, path, false);
    return access(path, F_OK) == 0;
}

static size_t temporaries(void)
{
    char path[128];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/tmp", f.dir);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* All pairs get the same value, in two tables. */
static int put_pairs(struct store_txn *t, void *ctx)
{
    char value[1000];
    int rc = 0;
    memset(value, *(const char *)ctx, sizeof value);
    for (int i = 0; i < PAIRS && rc == 0; i++) {
        char key[16];
        snprintf(key, sizeof key, "p%d", i);
        rc = store_put(t, T_KV, str_c(key), str_of(value, sizeof value));
        if (rc == 0)
            rc = store_put(t, T_ROLES, str_c(key), str_of(value, sizeof value));
    }
    return rc;
}

/* How many pairs there are; all have one value. */
static int count_pairs(struct store *s)
{
    struct store_txn *t = store_read(s);
    struct str a, b;
    char first = 0;
    int n = 0;
    for (int i = 0; i < PAIRS; i++) {
        char key[16];
        snprintf(key, sizeof key, "p%d", i);
        if (store_get(t, T_KV, str_c(key), &a) != 0)
            continue;
        assert_int_equal(store_get(t, T_ROLES, str_c(key), &b), 0);
        first = first ? first : a.p[0];
        assert_true(str_eq(a, b) && a.n == 1000 && a.p[0] == first);
        n++;
    }
    store_read_end(t);
    return n;
}

struct making {
    struct store_copy *copy;
    int rc;
    _Atomic bool done;
};

static void *make(void *arg)
{
    struct making *m = arg;
    m->rc = store_copy_make(m->copy, NULL);
    m->done = true;
    return NULL;
}

static void test_one_moment(void **state)
{
    (void)state;
    for (char round = 'a'; round < 'k'; round++) {
        struct making m = {0};
        struct err err = {0};
        pthread_t thread;
        assert_int_equal(call_run(&f, put_pairs, (char[]){round}), 0);
        assert_int_equal(store_copy_begin(f.store, &m.copy, &err), 0);
        pthread_create(&thread, NULL, make, &m);
        for (char v = 'A'; !m.done; v = v == 'Z' ? 'A' : (char)(v + 1))
            assert_int_equal(call_run(&f, put_pairs, &v), 0);
        pthread_join(thread, NULL);
        assert_int_equal(m.rc, 0);
        assert_int_equal(count_pairs(store_copy_rows(m.copy)), PAIRS);
        assert_int_equal(temporaries(), 1);
        store_copy_end(m.copy);
        assert_int_equal(temporaries(), 0);
    }
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    struct store_copy *a, *b;
    struct err err = {0};
    assert_int_equal(store_copy_begin(f.store, &a, &err), 0);
    assert_int_equal(store_copy_begin(f.store, &b, &err), E_CONFLICT);
    store_copy_end(a);
    assert_int_equal(store_copy_begin(f.store, &b, &err), 0);
    store_copy_end(b);
}

/* --- files ------------------------------------------------------------------------------------ */

static void on_written(void *ctx, int rc, uint64_t id, uint64_t size)
{
    (void)size;
    assert_int_equal(rc, 0);
    *(uint64_t *)ctx = id;
}

static int ref(struct store_txn *t, void *ctx)
{
    return blob_ref(t, *(uint64_t *)ctx, 3);
}

static int unref(struct store_txn *t, void *ctx)
{
    return blob_unref(t, *(uint64_t *)ctx);
}

static int count_blobs(void *ctx, uint64_t id, uint64_t size, uint64_t refs)
{
    assert_true(exists(id) && size == 3 && refs == 1);
    *(int *)ctx += 1;
    return 0;
}

static uint64_t new_blob(void)
{
    uint64_t id = 0;
    struct blob_writer *w = blob_create(f.store);
    blob_write(w, STR("abc"));
    blob_finish(w, on_written, &id);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(call_run(&f, ref, &id), 0);
    return id;
}

static void test_files_stay(void **state)
{
    (void)state;
    struct store_copy *c;
    struct err err = {0};
    int n = 0;
    uint64_t before = new_blob(), gone = new_blob();
    assert_int_equal(call_run(&f, unref, &gone), 0);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_false(exists(gone));
    assert_int_equal(store_copy_begin(f.store, &c, &err), 0);
    assert_int_equal(store_copy_make(c, &err), 0);
    uint64_t after = new_blob();
    assert_int_equal(call_run(&f, unref, &before), 0);
    assert_int_equal(call_run(&f, unref, &after), 0);
    blob_sweep(f.store, NULL, NULL);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_true(exists(before)); /* deleted, and still read by whoever has the copy */
    struct store_txn *t = store_read(store_copy_rows(c));
    assert_int_equal(blob_each(t, count_blobs, &n), 0);
    store_read_end(t);
    assert_int_equal(n, 1);
    store_copy_end(c);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_false(exists(before) || exists(after));
}

/* --- giving way ------------------------------------------------------------------------------- */

static int put_many(struct store_txn *t, void *ctx)
{
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++) {
        char key[32];
        snprintf(key, sizeof key, "m%d-%d", *(int *)ctx, i);
        rc = store_put(t, T_KV, str_c(key), STR("some value that fills a little of a page"));
    }
    return rc;
}

static void test_cancelled(void **state)
{
    (void)state;
    struct store_copy *c;
    struct err err = {0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(call_run(&f, put_many, &i), 0);
    assert_int_equal(store_copy_begin(f.store, &c, &err), 0);
    assert_false(store_copy_cancelled(c));
    store_copy_cancel(c);
    assert_true(store_copy_cancelled(c));
    assert_int_equal(store_copy_make(c, &err), E_ABORTED);
    store_copy_end(c);
    assert_int_equal(temporaries(), 0);
}

/* What must not happen under a snapshot waits for a copy no longer than a few rows. */
static void test_gives_way(void **state)
{
    (void)state;
    bool yielded = false;
    for (int i = 0; i < 60; i++)
        assert_int_equal(call_run(&f, put_many, &i), 0);
    for (int i = 0; i < 200 && !yielded; i++) {
        struct making m = {0};
        struct err err = {0};
        pthread_t thread;
        assert_int_equal(store_copy_begin(f.store, &m.copy, &err), 0);
        pthread_create(&thread, NULL, make, &m);
        usleep((useconds_t)(i % 20) * 500);
        env_exclusive(f.store, true);
        env_exclusive(f.store, false);
        pthread_join(thread, NULL);
        assert_true(m.rc == 0 || m.rc == E_IO);
        yielded = m.rc == E_IO;
        store_copy_end(m.copy);
    }
    assert_true(yielded);
    assert_int_equal(temporaries(), 0);
}

/* --- rows alone ------------------------------------------------------------------------------- */

static void test_no_rows(void **state)
{
    (void)state;
    struct store *s;
    char path[128];
    assert_int_equal(store_rows_open(f.dir, "nothing", &s), E_IO);
    snprintf(path, sizeof path, "%s/tmp/garbage", f.dir);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 20000; i++)
        fputc(i * 7 & 255, file);
    fclose(file);
    assert_int_equal(store_rows_open(f.dir, "tmp/garbage", &s), E_INVALID);
    unlink(path);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_one_moment), T(test_one_at_a_time), T(test_files_stay),
        T(test_cancelled),  T(test_gives_way),     T(test_no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
