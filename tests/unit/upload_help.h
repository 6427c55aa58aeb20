/* upload_help: uploads in the bucket of world_help.h, waited for. */
#ifndef UPLOAD_HELP_H
#define UPLOAD_HELP_H

#include "base/hash.h"
#include "svc/ingest.h"
#include "svc/object_read.h"
#include "svc/object_rows.h"
#include "svc/upload_rows.h"
#include "world_help.h"

static inline void restart(struct world *w)
{
    objects_close(w->objects);
    fixture_restart(&w->f);
    w->objects = objects_open(&w->f.loop, w->f.store, NULL, "us-east-1");
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

/* Turns the loop until the table has that many rows; fails after ten seconds. */
static inline void await_rows(struct world *w, enum table table, size_t want)
{
    for (int i = 0; i < 10000 && rows(w, table) != want; i++) {
        uv_run(&w->f.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(rows(w, table), want);
}

static inline int blob_files(struct world *w)
{
    return (int)folder_files(w->f.dir, "blobs");
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
