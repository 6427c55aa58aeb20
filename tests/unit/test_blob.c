/* blob: contents, back-pressure, references, pins, discarding, and the sweep after a crash. */
#include "store/blob.h"

#include <dirent.h>

#include "store/inside.h"
#include "store_alone.h"

static void turn(void)
{
    uv_run(&f.loop, UV_RUN_DEFAULT); /* until nothing pends */
}

static bool exists(uint64_t id)
{
    char path[STORE_PATH];
    blob_path(f.store, id, path, false);
    return access(path, F_OK) == 0;
}

struct result {
    bool done;
    int rc;
    uint64_t id, size;
};

static void on_written(void *ctx, int rc, uint64_t id, uint64_t size)
{
    struct result *r = ctx;
    assert_false(r->done);
    *r = (struct result){true, rc, id, size};
}

/* Byte i of every blob. */
static char byte_at(size_t i)
{
    return (char)(i * 31 + i / 977);
}

static struct result write_blob(size_t size, size_t chunk)
{
    struct result r = {0};
    struct blob_writer *w = blob_create(f.store);
    char *p = malloc(chunk);
    for (size_t at = 0; at < size; at += chunk) {
        size_t n = size - at < chunk ? size - at : chunk;
        for (size_t i = 0; i < n; i++)
            p[i] = byte_at(at + i);
        blob_write(w, str_of(p, n));
    }
    free(p);
    blob_finish(w, on_written, &r);
    turn();
    assert_true(r.done);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.size, size);
    return r;
}

struct read_result {
    int calls, rc;
    struct buf bytes;
};

static void on_read(void *ctx, int rc, struct str bytes)
{
    struct read_result *r = ctx;
    r->calls++;
    r->rc = rc;
    buf_clear(&r->bytes);
    buf_add(&r->bytes, bytes);
}

static void check_bytes(uint64_t id, size_t size)
{
    struct read_result r = {0};
    int rc, fd = blob_open(f.store, id, &rc);
    assert_true(fd >= 0 && rc == 0);
    for (size_t at = 0; at < size; at += 100001) {
        size_t n = size - at < 100001 ? size - at : 100001;
        blob_read(f.store, fd, at, n, on_read, &r);
        turn();
        assert_int_equal(r.rc, 0);
        assert_int_equal(r.bytes.n, n);
        for (size_t i = 0; i < n; i++)
            if (r.bytes.p[i] != byte_at(at + i))
                fail_msg("byte %zu differs", at + i);
    }
    r.calls = 0;
    blob_read(f.store, fd, size, 1, on_read, &r); /* past the end */
    turn();
    assert_true(r.calls == 1 && r.rc == E_IO && r.bytes.n == 0);
    buf_deinit(&r.bytes);
    blob_close(f.store, id, fd);
}

static void test_contents(void **state)
{
    static const size_t sizes[] = {0, 1, 16385, 262143, 262144, 262145, 524288, 3000000};
    uint64_t last = 0;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct result r = write_blob(sizes[i], i % 2 ? 65536 : 999983);
        assert_true(r.id > last && r.id >> 40 == store_boot(f.store));
        last = r.id;
        check_bytes(r.id, sizes[i]);
    }
    int rc;
    assert_int_equal(blob_open(f.store, last + 1, &rc), -1);
    assert_int_equal(rc, E_NOT_FOUND);
}

static void on_drained(void *ctx)
{
    ++*(int *)ctx;
}

static void test_back_pressure(void **state)
{
    static char bytes[100 * 1024];
    int drained = 0, pauses = 0;
    struct result r = {0};
    (void)state;
    struct blob_writer *w = blob_create(f.store);
    blob_on_drained(w, on_drained, &drained);
    assert_int_equal(blob_write(w, str_of(bytes, 1000)), 1000);
    turn();
    assert_int_equal(drained, 0); /* it was never asked to pause */
    for (size_t sent = 0; sent < 40 * sizeof bytes;) {
        size_t waiting = blob_write(w, str_of(bytes, sizeof bytes));
        sent += sizeof bytes;
        assert_true(waiting <= 1024 * 1024 + sizeof bytes);
        if (waiting > 1024 * 1024) {
            int before = drained;
            pauses++;
            while (drained == before)
                uv_run(&f.loop, UV_RUN_ONCE);
        }
    }
    assert_true(pauses >= 2 && drained == pauses);
    blob_finish(w, on_written, &r);
    turn();
    assert_true(r.done && r.rc == 0 && r.size == 1000 + 40 * sizeof bytes);
}

static void test_abort_and_discard(void **state)
{
    static char bytes[700000];
    struct result r = {0};
    (void)state;
    uint64_t first = store_new_id(f.store);
    blob_abort(blob_create(f.store)); /* before any byte */
    struct blob_writer *w = blob_create(f.store);
    blob_write(w, str_of(bytes, sizeof bytes));
    blob_abort(w); /* while the pool writes */
    w = blob_create(f.store);
    blob_write(w, str_of(bytes, sizeof bytes));
    turn();
    blob_abort(w); /* between two writes */
    w = blob_create(f.store);
    blob_write(w, str_of(bytes, sizeof bytes));
    blob_finish(w, on_written, &r);
    blob_abort(w); /* while it is being finished: nobody is told */
    turn();
    assert_false(r.done);
    r = write_blob(5, 5);
    assert_true(exists(r.id));
    blob_discard(f.store, r.id);
    turn();
    for (uint64_t id = first; id <= r.id; id++)
        assert_false(exists(id));
}

/* --- references --------------------------------------------------------------------------------
 */

struct refs {
    uint64_t id;
    int before, unref, after; /* refs, then unrefs, then refs */
    int rc;
};

static int do_refs(struct store_txn *t, void *ctx)
{
    struct refs *x = ctx;
    int rc = 0;
    for (int i = 0; i < x->before && rc == 0; i++)
        rc = blob_ref(t, x->id, 5);
    for (int i = 0; i < x->unref && rc == 0; i++)
        rc = blob_unref(t, x->id);
    for (int i = 0; i < x->after && rc == 0; i++)
        rc = blob_ref(t, x->id, 5);
    return rc ? rc : x->rc;
}

static int refs(uint64_t id, int before, int unref, int after, int rc)
{
    struct refs x = {id, before, unref, after, rc};
    struct call c = {.job.undo = true};
    call_start(&f, &c, do_refs, &x);
    rc = call_wait(&f, &c);
    turn();
    return rc;
}

static void test_references(void **state)
{
    (void)state;
    struct result r = write_blob(5, 5);
    assert_int_equal(refs(r.id, 2, 0, 0, 0), 0);
    assert_int_equal(refs(r.id, 0, 1, 0, 0), 0);
    assert_true(exists(r.id));
    assert_int_equal(refs(r.id, 0, 1, 0, E_CONFLICT), E_CONFLICT); /* undone: so is the death */
    assert_true(exists(r.id));
    assert_int_equal(refs(r.id, 0, 1, 1, 0), 0); /* moved from one row to another */
    assert_true(exists(r.id));
    assert_int_equal(refs(r.id, 0, 1, 0, E_INTERNAL), E_INTERNAL); /* failed */
    assert_true(exists(r.id));
    fixture_restart(&f);
    assert_int_equal(refs(r.id, 0, 1, 0, 0), 0);
    assert_false(exists(r.id));
    assert_int_equal(refs(r.id, 0, 1, 0, 0), E_INTERNAL); /* there was none to drop */
}

static int sleep_a_little(struct store_txn *t, void *ctx)
{
    (void)t;
    (void)ctx;
    usleep(50 * 1000);
    return 0;
}

/* Several blobs in one batch, some of its jobs undone: exactly the dead go. */
static void test_deaths_in_one_batch(void **state)
{
    enum { N = 12 };
    static struct refs x[N];
    static struct call calls[N];
    uint64_t ids[N];
    (void)state;
    for (int i = 0; i < N; i++) {
        ids[i] = write_blob(5, 5).id;
        assert_int_equal(refs(ids[i], 1, 0, 0, 0), 0);
    }
    struct call slow = {0}; /* all that follow wait for it and are one batch */
    call_start(&f, &slow, sleep_a_little, NULL);
    for (int i = 0; i < N; i++) {
        int after = i % 3 == 1;               /* moved */
        int rc = i % 3 == 2 ? E_CONFLICT : 0; /* undone */
        x[i] = (struct refs){ids[i], 0, 1, after, rc};
        calls[i] = (struct call){.job.undo = true};
        call_start(&f, &calls[i], do_refs, &x[i]);
    }
    /* undone after it gave life back to what earlier jobs of the batch killed */
    struct refs last = {ids[0], 1, 0, 0, E_CONFLICT}, again = {ids[3], 1, 0, 0, 0};
    struct call undone = {.job.undo = true}, revived = {.job.undo = true};
    call_start(&f, &undone, do_refs, &last);
    call_start(&f, &revived, do_refs, &again);
    assert_int_equal(call_wait(&f, &slow), 0);
    assert_int_equal(call_wait(&f, &undone), E_CONFLICT);
    assert_int_equal(call_wait(&f, &revived), 0);
    turn();
    for (int i = 0; i < N; i++)
        assert_int_equal(exists(ids[i]), i % 3 != 0 || i == 3);
}

static void test_pins(void **state)
{
    int rc, fd, fd2;
    (void)state;
    struct result r = write_blob(5, 5);
    assert_int_equal(refs(r.id, 1, 0, 0, 0), 0);
    fd = blob_open(f.store, r.id, &rc);
    fd2 = blob_open(f.store, r.id, &rc);
    assert_true(fd >= 0 && fd2 >= 0);
    assert_int_equal(refs(r.id, 0, 1, 0, 0), 0);
    assert_true(exists(r.id));
    blob_close(f.store, r.id, fd);
    turn();
    assert_true(exists(r.id));
    blob_close(f.store, r.id, fd2);
    turn();
    assert_false(exists(r.id));
    r = write_blob(5, 5); /* a pin alone removes nothing */
    assert_int_equal(refs(r.id, 1, 0, 0, 0), 0);
    blob_close(f.store, r.id, blob_open(f.store, r.id, &rc));
    turn();
    assert_true(exists(r.id));
}

/* --- sweep -------------------------------------------------------------------------------------
 */

static void touch(const char *name, time_t age)
{
    char path[256];
    struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    snprintf(path, sizeof path, "%s/%s", f.dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    futimens(fd, times);
    close(fd);
}

static bool there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f.dir, name);
    return access(path, F_OK) == 0;
}

static void test_sweep(void **state)
{
    enum { N = 700 }; /* some folders hold several slices' worth when N > 256 ids share one */
    uint64_t kept[8];
    char path[STORE_PATH], name[64];
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        kept[i] = write_blob(5, 5).id;
        assert_int_equal(refs(kept[i], 1, 0, 0, 0), 0);
    }
    uint64_t lost = write_blob(5, 5).id, base = store_boot(f.store) << 40;
    for (uint64_t i = 0; i < N; i++) { /* many in one folder */
        blob_path(f.store, base + (1 << 20) + (i << 8) + (lost & 0xff), path, false);
        close(open(path, O_WRONLY | O_CREAT, 0600));
    }
    snprintf(name, sizeof name, "blobs/%02x/README", (unsigned)(lost & 0xff));
    touch(name, 1000);
    touch("tmp/old", 1000);
    blob_sweep(f.store, NULL, NULL); /* same boot: might all be under way */
    turn();
    assert_true(exists(lost));
    fixture_restart(&f);
    uint64_t fresh = write_blob(5, 5).id;
    int rc, fd = blob_open(f.store, lost, &rc); /* somebody still reads it */
    blob_sweep(f.store, NULL, NULL);
    turn();
    for (size_t i = 0; i < 8; i++)
        assert_true(exists(kept[i]));
    assert_true(exists(fresh) && there(name) && exists(lost) && !there("tmp/old"));
    for (uint64_t i = 0; i < N; i++)
        assert_false(exists(base + (1 << 20) + (i << 8) + (lost & 0xff)));
    blob_close(f.store, lost, fd);
    blob_sweep(f.store, NULL, NULL);
    turn();
    assert_false(exists(lost));
    for (size_t i = 0; i < 8; i++)
        check_bytes(kept[i], 5);
}

static void test_close_while_busy(void **state)
{
    static char bytes[700000];
    struct result r = {0};
    (void)state;
    struct blob_writer *w = blob_create(f.store);
    blob_write(w, str_of(bytes, sizeof bytes));
    blob_finish(w, on_written, &r);
    blob_sweep(f.store, NULL, NULL);
    fixture_restart(&f);
    assert_true(r.done && r.rc == 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_contents),   T(test_back_pressure),       T(test_abort_and_discard),
        T(test_references), T(test_deaths_in_one_batch), T(test_pins),
        T(test_sweep),      T(test_close_while_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
