/* upload_help: a bucket in a real store and uploads in it, waited for. The queue is the test's own:
 * it counts, or refuses. */
#ifndef UPLOAD_HELP_H
#define UPLOAD_HELP_H

#include "base/hash.h"
#include "store_help.h"
#include "svc/ingest.h"
#include "svc/object_read.h"
#include "svc/object_rows.h"
#include "svc/upload_rows.h"

static struct {
    int puts, kicks;
    bool refuse;
    char payload[4096];
} queue;

int queue_put(struct queue *q, struct store_txn *t, const struct queue_event *e)
{
    (void)q;
    (void)t;
    if (queue.refuse)
        return E_THROTTLED;
    queue.puts++;
    snprintf(queue.payload, sizeof queue.payload, "%.*s", STR_FMT(e->payload));
    return 0;
}

void queue_kick(struct queue *q, uint64_t function_id)
{
    (void)q;
    (void)function_id;
    queue.kicks++;
}

struct world {
    struct fixture f;
    struct objects *objects;
};

static int make_bucket(struct store_txn *t, void *ctx)
{
    uint64_t id;
    return bucket_create(t, str_c(ctx), &id);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    char name[] = "photos";
    fixture_init(&w->f);
    w->objects = objects_open(&w->f.loop, w->f.store, NULL, "us-east-1");
    assert_int_equal(call_run(&w->f, make_bucket, name), 0);
    memset(&queue, 0, sizeof queue);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    objects_close(w->objects);
    fixture_deinit(&w->f);
    free(w);
    return 0;
}

static inline void restart(struct world *w)
{
    objects_close(w->objects);
    fixture_restart(&w->f);
    w->objects = objects_open(&w->f.loop, w->f.store, NULL, "us-east-1");
}

static inline struct str pattern(size_t n)
{
    static char *bytes;
    static size_t size;
    if (size < n) {
        bytes = realloc(bytes, n);
        for (size_t i = size; i < n; i++)
            bytes[i] = (char)((i * 2654435761u) >> 13);
        size = n;
    }
    return str_of(bytes, n);
}

/* --- what callbacks tell ---------------------------------------------------------------------- */

struct outcome {
    bool done;
    int rc;
    uint64_t id, size;
    char etag[48], checksum[64];
    bool composite;
};

static inline void wait_for(struct world *w, struct outcome *o)
{
    while (!o->done)
        uv_run(&w->f.loop, UV_RUN_ONCE);
}

static inline void created(void *ctx, int rc, uint64_t id)
{
    *(struct outcome *)ctx = (struct outcome){.done = true, .rc = rc, .id = id};
}

static inline uint64_t begin_with(struct world *w, const char *key, enum checksum_alg alg,
                                  bool composite)
{
    struct outcome o = {0};
    const struct object_put_req r = {
        .bucket = STR("photos"), .key = str_c(key), .content_type = STR("image/png")};
    upload_create(w->objects, &r, alg, composite, created, &o);
    wait_for(w, &o);
    assert_int_equal(o.rc, 0);
    return o.id;
}

static inline void part_done(void *ctx, int rc, const struct ingest_facts *f, const struct err *e)
{
    struct outcome *o = ctx;
    (void)e;
    *o = (struct outcome){.done = true, .rc = rc};
    if (rc == 0)
        memcpy(o->etag, f->etag, sizeof f->etag);
}

static inline struct outcome part(struct world *w, const char *key, uint64_t id, uint32_t number,
                                  enum checksum_alg alg, struct str body)
{
    struct outcome o = {0};
    const struct body_promise promise = {.checksum = alg};
    struct upload_part *p =
        upload_part_open(w->objects, STR("photos"), str_c(key), id, number, &promise);
    while (body.n) {
        struct str run = str_of(body.p, body.n < 60000 ? body.n : 60000);
        body = str_from(body, run.n);
        ingest_write(upload_part_ingest(p), run); /* what is told to wait is taken too */
    }
    upload_part_finish(p, part_done, &o);
    wait_for(w, &o);
    return o;
}

static inline void completed(void *ctx, int rc, const struct object_meta *m, const struct err *e)
{
    struct outcome *o = ctx;
    (void)e;
    *o = (struct outcome){.done = true, .rc = rc};
    if (rc)
        return;
    o->size = m->size;
    o->composite = m->composite;
    memcpy(o->etag, m->etag, sizeof o->etag);
    snprintf(o->checksum, sizeof o->checksum, "%.*s", STR_FMT(m->checksum));
}

/* A claim on a part of these bytes. */
static inline struct upload_claim claim_of(uint32_t number, struct str body)
{
    struct upload_claim c = {.number = number};
    hash_once(HASH_MD5, body, c.md5);
    return c;
}

static inline void complete_start(struct world *w, const char *key, uint64_t id,
                                  const struct upload_claim *claims, size_t n,
                                  struct upload_complete_req r, struct outcome *o)
{
    char text[UPLOAD_ID_MAX];
    upload_id_text(id, text);
    r.bucket = STR("photos");
    r.key = str_c(key);
    r.id = str_c(text);
    r.claims = malloc(n * sizeof *claims);
    memcpy(r.claims, claims, n * sizeof *claims);
    r.count = n;
    if (!r.size)
        r.size = UINT64_MAX;
    r.request_id = "id";
    r.peer = "::1";
    r.principal = "root";
    upload_complete(w->objects, &r, completed, o);
}

static inline struct outcome complete(struct world *w, const char *key, uint64_t id,
                                      const struct upload_claim *claims, size_t n)
{
    struct outcome o = {0};
    complete_start(w, key, id, claims, n, (struct upload_complete_req){0}, &o);
    wait_for(w, &o);
    return o;
}

static inline void aborted(void *ctx, int rc)
{
    *(struct outcome *)ctx = (struct outcome){.done = true, .rc = rc};
}

static inline int abort_upload(struct world *w, const char *key, uint64_t id)
{
    struct outcome o = {0};
    char text[UPLOAD_ID_MAX];
    upload_id_text(id, text);
    upload_abort(w->objects, STR("photos"), str_c(key), str_c(text), aborted, &o);
    wait_for(w, &o);
    return o.rc;
}

static inline void removed(void *ctx, int rc, bool existed, const struct err *err)
{
    (void)existed;
    (void)err;
    *(struct outcome *)ctx = (struct outcome){.done = true, .rc = rc};
}

static inline void del(struct world *w, const char *key)
{
    struct outcome o = {0};
    object_delete(w->objects, STR("photos"), str_c(key), "id", "::1", "root", removed, &o);
    wait_for(w, &o);
    assert_int_equal(o.rc, 0);
}

/* --- what is left ------------------------------------------------------------------------------ */

static inline size_t rows(struct world *w, enum table table)
{
    struct str k, v;
    size_t n = 0;
    struct store_txn *t = store_read(w->f.store);
    struct store_cursor *c = store_cursor(t, table);
    for (bool more = store_seek(c, STR(""), &k, &v); more; more = store_next(c, &k, &v))
        n++;
    store_cursor_close(c);
    store_read_end(t);
    return n;
}

/* Turns the loop until the table has that many rows; fails after ten seconds. */
static inline void await_rows(struct world *w, enum table table, size_t want)
{
    for (int i = 0; i < 10000 && rows(w, table) != want; i++) {
        uv_run(&w->f.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(rows(w, table), want);
}

static int files;
static int count_file(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)path;
    (void)st;
    (void)f;
    files += flag == FTW_F;
    return 0;
}

static inline int blob_files(struct world *w)
{
    char dir[128];
    snprintf(dir, sizeof dir, "%s/blobs", w->f.dir);
    files = 0;
    nftw(dir, count_file, 8, FTW_PHYS);
    return files;
}

/* The same for the files of blobs. */
static inline void await_files(struct world *w, int want)
{
    for (int i = 0; i < 10000 && blob_files(w) != want; i++) {
        uv_run(&w->f.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(blob_files(w), want);
}

/* Lets whatever is under way happen. */
static inline void settle(struct world *w)
{
    for (int i = 0; i < 30; i++) {
        uv_run(&w->f.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

/* --- reading ----------------------------------------------------------------------------------- */

struct reader {
    struct object_read *r;
    struct buf bytes;
    bool got;
    int rc;
};

static inline void reader_got(void *ctx, int rc, struct str bytes)
{
    struct reader *r = ctx;
    r->got = true;
    r->rc = rc;
    buf_add(&r->bytes, bytes);
}

static inline bool reader_next(struct world *w, struct reader *r, size_t max)
{
    size_t before = r->bytes.n;
    r->got = false;
    object_read_next(r->r, max, reader_got, r);
    while (!r->got)
        uv_run(&w->f.loop, UV_RUN_ONCE);
    assert_int_equal(r->rc, 0);
    assert_true(r->bytes.n - before <= max);
    return r->bytes.n > before;
}

#endif
