/* object_gather: a run is read, written, and only then the next one read; so a copy of any size holds
 * two runs. */
#include "svc/object_gather.h"

#include "base/log.h"

enum { RUN = 256 * 1024 };

struct gathering {
    struct object_read *read;
    struct blob_writer *blob;
    void (*done)(void *ctx, int rc, uint64_t blob);
    void *ctx;
};

static void finished(void *ctx, int rc, uint64_t id, uint64_t size)
{
    struct gathering *g = ctx;
    (void)size;
    g->done(g->ctx, rc, rc ? 0 : id);
    free(g);
}

static void step(void *ctx);

static void got(void *ctx, int rc, struct str bytes)
{
    struct gathering *g = ctx;
    if (rc) {
        object_read_close(g->read);
        blob_abort(g->blob);
        g->done(g->ctx, rc, 0);
        free(g);
    } else if (blob_write(g->blob, bytes) <= RUN) {
        step(g);
    } /* else: when it is drained */
}

static void step(void *ctx)
{
    struct gathering *g = ctx;
    if (object_read_left(g->read)) {
        object_read_next(g->read, RUN, got, g);
        return;
    }
    object_read_close(g->read);
    blob_finish(g->blob, finished, g);
}

void object_gather(struct store *s, struct object_read *r,
                   void (*done)(void *ctx, int rc, uint64_t blob), void *ctx)
{
    struct gathering *g = calloc(1, sizeof *g);
    if (!g)
        fatal("out of memory");
    *g = (struct gathering){.read = r, .blob = blob_create(s), .done = done, .ctx = ctx};
    blob_pause_above(g->blob, RUN);
    blob_on_drained(g->blob, step, g);
    step(g);
}
