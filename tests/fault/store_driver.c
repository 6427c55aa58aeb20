/* store_driver: makes a store work, and looks at what a power cut left of it. For test_store_cuts.py.
 *
 *     store_driver write DIR ACKS LOG COUNT SEED
 *     store_driver check DIR
 *
 * write runs COUNT numbered jobs, up to 16 at a time, with two restarts in between. Each time one is
 * submitted or acknowledged a line goes to ACKS: "try|ack|del|gone POSITION NUMBER", POSITION being
 * the length of the shim's log at that moment. check opens the store, verifies that what a job wrote
 * is there whole or not at all, that blobs hold their bytes, that it still takes writes, and prints
 * the number of each job that is there. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "store/blob.h"
#include "store/key.h"
#include "store/objkey.h"

enum { WINDOW = 16, BUCKET = 1, KINDS = 4 };

enum kind { PAIR, BLOB, LARGE, OBJECT };

static struct {
    uv_loop_t loop;
    struct store *store;
    FILE *acks;
    const char *log;
    unsigned count, next, running;
    uint32_t seed;
} run;

static uint32_t rnd(uint32_t n)
{
    run.seed = run.seed * 1664525u + 1013904223u;
    return (run.seed >> 8) % n;
}

static void open_store(const char *dir)
{
    struct err err = {0};
    struct store_opts o = {.dir = dir, .map_size = 1ull << 30, .loop = &run.loop};
    if (store_open(&o, &run.store, &err) != 0) {
        fprintf(stderr, "does not open: %s\n", err.text);
        exit(3);
    }
    blob_sweep(run.store, NULL, NULL);
}

static void close_store(void)
{
    store_close(run.store);
    uv_run(&run.loop, UV_RUN_DEFAULT);
}

static void note(const char *what, unsigned number)
{
    struct stat st;
    if (stat(run.log, &st) != 0)
        st.st_size = 0;
    fprintf(run.acks, "%s %lld %u\n", what, (long long)st.st_size, number);
}

/* --- what job number n leaves ------------------------------------------------------------------ */

static enum kind kind_of(unsigned n)
{
    return (enum kind)(n * 2654435761u >> 8) % KINDS;
}

static size_t size_of(unsigned n)
{
    return kind_of(n) == BLOB ? 20000 + n * 7919u % 120000 : 30000 + n * 31u % 20000;
}

static char byte_of(unsigned n, size_t i)
{
    return (char)(n * 31 + i * 7 + i / 4096);
}

/* Any length up to 1,024: long ones share their first segments. */
static struct str object_key(unsigned n, char buf[static OBJKEY_MAX])
{
    size_t len = n % 3 == 0 ? 20 : n % 3 == 1 ? 600 : OBJKEY_MAX;
    memset(buf, 'k', len);
    snprintf(buf + len - 11, 12, "%010u", n);
    buf[len - 1] = 'z';
    return str_of(buf, len);
}

struct key_pair {
    char a[16], b[16];
};

static struct key_pair keys_of(unsigned n)
{
    struct key_pair k;
    snprintf(k.a, sizeof k.a, "a%08u", n);
    snprintf(k.b, sizeof k.b, "b%08u", n);
    return k;
}

/* --- write ------------------------------------------------------------------------------------- */

struct task {
    struct job job;
    unsigned n;
    uint64_t blob, size;
    bool deletes;
};

static void fill(void);

static int put(struct job *job, struct store_txn *t)
{
    struct task *x = (struct task *)job;
    struct key_pair k = keys_of(x->n);
    char buf[OBJKEY_MAX + 1];
    struct key v = {0};
    int rc = store_put(t, T_KV, str_c(k.a), str_c(k.b));
    if (rc == 0 && kind_of(x->n) == LARGE) {
        char *p = malloc(size_of(x->n));
        for (size_t i = 0; i < size_of(x->n); i++)
            p[i] = byte_of(x->n, i);
        rc = store_put(t, T_ROLES, str_c(k.b), str_of(p, size_of(x->n)));
        free(p);
    } else if (rc == 0) {
        key_u64(key_u64(&v, x->blob), x->size);
        rc = store_put(t, T_ROLES, str_c(k.b), key_str(&v));
    }
    if (rc == 0 && kind_of(x->n) == OBJECT)
        rc = objkey_put(t, BUCKET, object_key(x->n, buf), str_c(k.a));
    return rc || !x->blob ? rc : blob_ref(t, x->blob, x->size);
}

static int del(struct job *job, struct store_txn *t)
{
    struct task *x = (struct task *)job;
    struct key_pair k = keys_of(x->n);
    char buf[OBJKEY_MAX + 1];
    struct str v;
    uint64_t blob = 0;
    int rc = store_get(t, T_ROLES, str_c(k.b), &v);
    if (rc == 0 && kind_of(x->n) == BLOB && key_take_u64(&v, &blob))
        rc = blob_unref(t, blob);
    if (rc == 0)
        rc = store_del(t, T_KV, str_c(k.a));
    if (rc == 0)
        rc = store_del(t, T_ROLES, str_c(k.b));
    if (rc == 0 && kind_of(x->n) == OBJECT)
        rc = objkey_del(t, BUCKET, object_key(x->n, buf));
    return rc;
}

static void task_done(struct job *job, int rc)
{
    struct task *x = (struct task *)job;
    if (rc)
        fatal("job %u failed: %d", x->n, rc);
    note(x->deletes ? "gone" : "ack", x->n);
    if (!x->deletes && rnd(5) == 0) {
        x->deletes = true;
        x->job.apply = del;
        note("del", x->n);
        store_submit(run.store, &x->job);
        return;
    }
    free(x);
    run.running--;
    fill();
}

static void submit(struct task *x)
{
    x->job.apply = put;
    x->job.done = task_done;
    note("try", x->n);
    store_submit(run.store, &x->job);
}

static void written(void *ctx, int rc, uint64_t id, uint64_t size)
{
    struct task *x = ctx;
    if (rc)
        fatal("blob %u failed: %d", x->n, rc);
    x->blob = id;
    x->size = size;
    submit(x);
}

static void write_blob(struct task *x)
{
    struct blob_writer *w = blob_create(run.store);
    char piece[5000];
    for (size_t at = 0; at < size_of(x->n); at += sizeof piece) {
        size_t n = size_of(x->n) - at < sizeof piece ? size_of(x->n) - at : sizeof piece;
        for (size_t i = 0; i < n; i++)
            piece[i] = byte_of(x->n, at + i);
        blob_write(w, str_of(piece, n));
    }
    blob_finish(w, written, x);
}

static void fill(void)
{
    /* a restart waits for all that runs */
    while (run.running < WINDOW && run.next < run.count) {
        struct task *x = calloc(1, sizeof *x);
        x->n = run.next++;
        run.running++;
        if (kind_of(x->n) == BLOB)
            write_blob(x);
        else
            submit(x);
    }
}

static int do_write(char **arg)
{
    unsigned total = (unsigned)atoi(arg[3]);
    run.acks = fopen(arg[1], "w");
    run.log = arg[2];
    run.seed = (uint32_t)atoi(arg[4]);
    if (!run.acks)
        fatal("%s cannot be written", arg[1]);
    for (unsigned part = 1; part <= 3; part++) {
        run.count = total * part / 3;
        open_store(arg[0]);
        fill();
        uv_run(&run.loop, UV_RUN_DEFAULT);
        close_store();
    }
    return fclose(run.acks) == 0 ? 0 : 1;
}

/* --- check ------------------------------------------------------------------------------------- */

static void bad(const char *what, unsigned n)
{
    fprintf(stderr, "job %u: %s\n", n, what);
    exit(4);
}

static void check_blob(unsigned n, struct str v)
{
    static char bytes[500000];
    uint64_t id, size;
    int rc;
    if (!key_take_u64(&v, &id) || !key_take_u64(&v, &size) || size != size_of(n))
        bad("its row is not what was written", n);
    int fd = blob_open(run.store, id, &rc);
    if (fd < 0)
        bad("its blob is missing", n);
    if (read(fd, bytes, sizeof bytes) != (ssize_t)size)
        bad("its blob is short", n);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte_of(n, i))
            bad("its blob holds other bytes", n);
    blob_close(run.store, id, fd);
}

static void check_job(struct store_txn *t, unsigned n)
{
    struct key_pair k = keys_of(n);
    char buf[OBJKEY_MAX + 1];
    struct str v, rec;
    if (store_get(t, T_ROLES, str_c(k.b), &v) != 0)
        bad("one row of two is there", n);
    if (kind_of(n) == BLOB)
        check_blob(n, v);
    if (kind_of(n) == LARGE) {
        if (v.n != size_of(n))
            bad("its large row has another size", n);
        for (size_t i = 0; i < v.n; i++)
            if (v.p[i] != byte_of(n, i))
                bad("its large row holds other bytes", n);
    }
    if (kind_of(n) == OBJECT &&
        (objkey_get(t, BUCKET, object_key(n, buf), &rec) != 0 || !str_eq(rec, str_c(k.a))))
        bad("its object is not there", n);
    printf("%u\n", n);
}

static size_t count_objects(struct store_txn *t)
{
    struct objkey_iter it;
    struct str key, rec;
    size_t n = 0;
    objkey_iter_init(&it, t, BUCKET);
    for (bool ok = objkey_seek(&it, STR(""), &key, &rec); ok; ok = objkey_next(&it, &key, &rec))
        n++;
    objkey_iter_deinit(&it);
    return n;
}

static void check_rows(void)
{
    struct store_txn *t = store_read(run.store);
    struct store_cursor *c = store_cursor(t, T_KV), *other = store_cursor(t, T_ROLES);
    struct str k, v;
    size_t jobs = 0, objects = 0, pairs = 0;
    for (bool ok = store_seek(c, STR("a"), &k, &v); ok && k.p[0] == 'a';
         ok = store_next(c, &k, &v)) {
        unsigned n = (unsigned)strtoul(k.p + 1, NULL, 10);
        check_job(t, n);
        jobs++;
        objects += kind_of(n) == OBJECT;
    }
    for (bool ok = store_seek(other, STR("b"), &k, &v); ok; ok = store_next(other, &k, &v))
        pairs++;
    if (pairs != jobs || count_objects(t) != objects)
        bad("there are rows without their other rows", 0);
    store_cursor_close(c);
    store_cursor_close(other);
    store_read_end(t);
}

static int put_mark(struct job *job, struct store_txn *t)
{
    (void)job;
    return store_put(t, T_KV, STR("checked"), STR("x"));
}

static void mark_done(struct job *job, int rc)
{
    (void)job;
    if (rc)
        bad("it takes no more writes", 0);
    run.running++;
}

static int do_check(char **arg)
{
    struct job mark = {.apply = put_mark, .done = mark_done};
    open_store(arg[0]);
    uv_run(&run.loop, UV_RUN_DEFAULT); /* the sweep's work is done */
    check_rows();
    store_submit(run.store, &mark);
    close_store();
    return run.running == 1 ? 0 : 5;
}

int main(int argc, char **argv)
{
    uv_loop_init(&run.loop);
    if (argc == 7 && strcmp(argv[1], "write") == 0)
        return do_write(argv + 2);
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        return do_check(argv + 2);
    fprintf(stderr, "store_driver write DIR ACKS LOG COUNT SEED | check DIR\n");
    return 2;
}
