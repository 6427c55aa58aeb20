/* store_help: a store in a fresh folder, and jobs written as functions, for the tests that need a
 * real one. The loop turns until a job is done. */
#ifndef STORE_HELP_H
#define STORE_HELP_H

#include <fcntl.h>

#include "folder_help.h"
#include "store/store.h"

struct fixture {
    uv_loop_t loop;
    char dir[FOLDER_MAX];
    struct store *store;
    uint64_t map_size;
};

static inline void fixture_open(struct fixture *f)
{
    struct err err = {0};
    struct store_opts o = {
        .dir = f->dir, .map_size = f->map_size ? f->map_size : 1ull << 30, .loop = &f->loop};
    if (store_open(&o, &f->store, &err) != 0)
        fail_msg("store_open: %s", err.text);
}

static inline void fixture_close(struct fixture *f)
{
    store_close(f->store);
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

static inline void fixture_init(struct fixture *f)
{
    folder_make(f->dir);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    fixture_open(f);
}

static inline void fixture_deinit(struct fixture *f)
{
    fixture_close(f);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    folder_remove(f->dir);
}

/* Closes and opens again, as a restart does. */
static inline void fixture_restart(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static inline size_t fixture_rows(struct fixture *f, enum table table)
{
    struct str k, v;
    size_t n = 0;
    struct store_txn *t = store_read(f->store);
    struct store_cursor *c = store_cursor(t, table);
    for (bool more = store_seek(c, STR(""), &k, &v); more; more = store_next(c, &k, &v))
        n++;
    store_cursor_close(c);
    store_read_end(t);
    return n;
}

struct call {
    struct job job;
    int (*apply)(struct store_txn *t, void *ctx);
    void *ctx;
    bool done;
    int rc, runs;
};

static int call_apply(struct job *job, struct store_txn *t)
{
    struct call *c = (struct call *)job;
    c->runs++;
    return c->apply(t, c->ctx);
}

static void call_done(struct job *job, int rc)
{
    struct call *c = (struct call *)job;
    c->done = true;
    c->rc = rc;
}

/* Submits; c lives until c->done. */
static inline void call_start(struct fixture *f, struct call *c,
                              int (*apply)(struct store_txn *t, void *ctx), void *ctx)
{
    c->job.apply = call_apply;
    c->job.done = call_done;
    c->apply = apply;
    c->ctx = ctx;
    c->done = false;
    c->runs = 0;
    store_submit(f->store, &c->job);
}

static inline int call_wait(struct fixture *f, struct call *c)
{
    while (!c->done)
        uv_run(&f->loop, UV_RUN_ONCE);
    return c->rc;
}

/* Runs one job to its end. */
static inline int call_run(struct fixture *f, int (*apply)(struct store_txn *t, void *ctx),
                           void *ctx)
{
    struct call c = {0};
    call_start(f, &c, apply, ctx);
    return call_wait(f, &c);
}

#endif
