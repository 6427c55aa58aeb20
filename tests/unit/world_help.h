/* world_help: a bucket, "photos", in a real store. The queue is the test's own: it keeps what it was
 * given last, or refuses. */
#ifndef WORLD_HELP_H
#define WORLD_HELP_H

#include "store_help.h"
#include "svc/object.h"
#include "svc/queue.h"

static struct {
    int puts, kicks;
    bool refuse;
    char payload[4096];
    char function[80], source[80], request_id[37];
} queue;

int queue_put(struct queue *q, struct store_txn *t, const struct queue_event *e)
{
    (void)q;
    (void)t;
    if (queue.refuse)
        return E_THROTTLED;
    queue.puts++;
    snprintf(queue.payload, sizeof queue.payload, "%.*s", STR_FMT(e->payload));
    snprintf(queue.function, sizeof queue.function, "%.*s", STR_FMT(e->function_name));
    snprintf(queue.source, sizeof queue.source, "%.*s", STR_FMT(e->source_arn));
    memcpy(queue.request_id, e->request_id, sizeof queue.request_id);
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
    (void)ctx;
    return bucket_create(t, STR("photos"), &id);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    fixture_init(&w->f);
    w->objects = objects_open(&w->f.loop, w->f.store, NULL, "us-east-1");
    assert_int_equal(call_run(&w->f, make_bucket, NULL), 0);
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

/* n bytes, the same at every call. */
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

static inline size_t rows(struct world *w, enum table table)
{
    return fixture_rows(&w->f, table);
}

#endif
