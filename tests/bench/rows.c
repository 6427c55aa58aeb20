/* rows: fills a data folder that no server has open with more rows than clients would have patience for.
 *
 *     rows functions DIR NAME COUNT     copies of the function NAME, called NAME-0000000, …
 *     rows objects DIR BUCKET COUNT     empty objects k0000000000, …
 *     rows events DIR FUNCTION COUNT    events of the function, due in an hour
 *     rows due DIR FUNCTION COUNT       events of the function, due now
 *     rows commit DIR COUNT HAVE        COUNT transactions of one row, one after the other: µs each; in a
 *                                       database that has HAVE rows, each as long as a small event's
 *
 * By the server's own code, a thousand rows a job; a server that is started on the folder cannot tell the
 * difference. */
#include <lmdb.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/rec.h"
#include "store/blob.h"
#include "store/key.h"
#include "svc/bucket_rows.h"
#include "svc/function.h"
#include "svc/object_rows.h"
#include "svc/queue_row.h"

enum { ROWS = 1000, JOBS = 4 };

static struct {
    uv_loop_t loop;
    struct store *store;
    const char *name;
    uint64_t count, next;
    struct buf record; /* the function's */
    uint64_t id;       /* the function's, or the bucket's */
    uint64_t delay_ms;
    int (*put)(struct store_txn *t, uint64_t i);
} run;

struct piece {
    struct job job;
    uint64_t from, to;
};

/* --- what is put ------------------------------------------------------------------------------ */

static struct str function_key(struct key *k, const char *name)
{
    k->n = 0;
    return key_str(key_name(key_name(k, str_c(name)), STR("$LATEST")));
}

static int put_function(struct store_txn *t, uint64_t i)
{
    char name[80];
    struct key k;
    struct buf b = BUF_INIT;
    struct str rest = buf_str(&run.record), v;
    uint16_t tag;
    uint64_t id;
    int rc = store_counter(t, "function", &id);
    snprintf(name, sizeof name, "%s-%07llu", run.name, (unsigned long long)i);
    while (rec_next(&rest, &tag, &v))
        if (tag == FN_ID)
            rec_put_u64(&b, FN_ID, id);
        else
            rec_put_str(&b, tag, tag == FN_NAME ? str_c(name) : v);
    if (rc == 0)
        rc = store_put(t, T_FUNCTIONS, function_key(&k, name), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

static int put_object(struct store_txn *t, uint64_t i)
{
    char key[24];
    struct buf b = BUF_INIT;
    struct object_meta m = {.etag = "d41d8cd98f00b204e9800998ecf8427e",
                            .modified_ms = clock_wall_ms(),
                            .content_type = STR("text/plain"),
                            .inline_body = STR("")};
    snprintf(key, sizeof key, "k%010llu", (unsigned long long)i);
    object_encode(&b, &m);
    int rc = objkey_put(t, run.id, str_c(key), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

static int put_event(struct store_txn *t, uint64_t i)
{
    struct queue_event e = {.function_id = run.id,
                            .function_name = str_c(run.name),
                            .qualifier = STR(""),
                            .payload = STR("{\"id\":1234567890}"),
                            .client_context = STR(""),
                            .source = "invoke",
                            .source_arn = STR(""),
                            .delay_ms = run.delay_ms};
    (void)i;
    id_uuid(e.request_id);
    return event_row_add(t, UINT64_MAX, UINT64_MAX, &e);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void submit(struct piece *p);

static int apply(struct job *job, struct store_txn *t)
{
    struct piece *p = (struct piece *)job;
    int rc = 0;
    for (uint64_t i = p->from; i < p->to && rc == 0; i++)
        rc = run.put(t, i);
    return rc;
}

static void done(struct job *job, int rc)
{
    if (rc)
        fatal("rows cannot be put: %s", err_row(rc)->text);
    submit((struct piece *)job);
}

static void submit(struct piece *p)
{
    if (run.next == run.count)
        return;
    p->from = run.next;
    p->to = run.count - p->from < ROWS ? run.count : p->from + ROWS;
    run.next = p->to;
    p->job = (struct job){.apply = apply, .done = done};
    store_submit(run.store, &p->job);
}

static void find(const char *what, const char *name)
{
    struct store_txn *t = store_read(run.store);
    struct bucket_row bucket;
    struct key k;
    struct str rec;
    run.name = name;
    if (strcmp(what, "objects") == 0) {
        if (bucket_row_get(t, str_c(name), &bucket))
            fatal("there is no bucket %s", name);
        run.id = bucket.id;
        run.put = put_object;
    } else {
        if (store_get(t, T_FUNCTIONS, function_key(&k, name), &rec))
            fatal("there is no function %s", name);
        buf_add(&run.record, rec);
        run.id = rec_u64(rec, FN_ID, 0);
        run.put = strcmp(what, "functions") == 0 ? put_function : put_event;
        run.delay_ms = strcmp(what, "due") == 0 ? 0 : 3600 * 1000;
    }
    store_read_end(t);
}

/* --- a transaction of one row ----------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* One transaction that puts rows first .. end. */
static void put_rows(MDB_env *env, size_t first, size_t end)
{
    char row[300] = {0};
    MDB_txn *txn;
    MDB_dbi dbi;
    bool ok = mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0;
    for (size_t i = first; i < end && ok; i++) {
        struct key id = {0};
        key_u64(&id, i);
        MDB_val k = {id.n, id.b}, v = {sizeof row, row};
        ok = mdb_put(txn, dbi, &k, &v, 0) == 0;
    }
    if (!ok || mdb_txn_commit(txn))
        fatal("a commit failed");
}

static int commits(const char *dir, size_t count, size_t have)
{
    char path[4096];
    MDB_env *env;
    double *us = calloc(count, sizeof *us);
    snprintf(path, sizeof path, "%s/commits.mdb", dir);
    if (!us || mdb_env_create(&env) || mdb_env_set_mapsize(env, 1 << 30) ||
        mdb_env_open(env, path, MDB_NOSUBDIR, 0600))
        fatal("%s cannot be made", path);
    put_rows(env, 0, have);
    for (size_t i = 0; i < count; i++) {
        uint64_t began = clock_mono_ns();
        put_rows(env, have + i, have + i + 1);
        us[i] = (double)(clock_mono_ns() - began) / 1000;
    }
    mdb_env_close(env);
    unlink(path);
    qsort(us, count, sizeof *us, by_value);
    printf("{\"p50\": %.1f, \"p90\": %.1f}\n", us[count / 2], us[count * 9 / 10]);
    return 0;
}

int main(int argc, char **argv)
{
    static struct piece pieces[JOBS];
    struct err err = {0};
    if (argc == 5 && strcmp(argv[1], "commit") == 0)
        return commits(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
    if (argc != 5) {
        fprintf(stderr,
                "rows functions|objects|events|due DIR NAME COUNT | commit DIR COUNT HAVE\n");
        return 2;
    }
    uv_loop_init(&run.loop);
    struct store_opts o = {.dir = argv[2], .map_size = 256ull << 30, .loop = &run.loop};
    if (store_open(&o, &run.store, &err))
        fatal("%s", err.text);
    find(argv[1], argv[3]);
    run.count = strtoull(argv[4], NULL, 10);
    for (int i = 0; i < JOBS; i++)
        submit(&pieces[i]);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    store_close(run.store);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    return 0;
}
