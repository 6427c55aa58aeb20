/* trend: a small table of rings.
 *
 * A function's row is found among the WAYS of its set, so that counting a run looks at four ids at
 * most. A slot belongs to one minute and is emptied when another comes to it. */
#include "svc/trend.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "svc/durations.h"

enum { WAYS = 4, SETS = TREND_FUNCTIONS / WAYS, CLASSES = 62, PER_DOUBLING = 2 };

struct slot {
    int64_t step; /* monotonic ms / TREND_STEP_MS; 0: never used */
    uint32_t requests, errors;
    uint64_t longest_us, memory_peak;
    uint32_t classes[CLASSES];
};

struct row {
    uint64_t function_id;
    int64_t newest_step;
    struct slot slots[TREND_POINTS];
};

struct trend {
    int64_t began_step;
    struct row *rows[SETS][WAYS];
};

static int64_t step_now(void)
{
    return (int64_t)(clock_mono_ns() / 1000000) / TREND_STEP_MS;
}

struct trend *trend_open(void)
{
    struct trend *t = calloc(1, sizeof *t);
    if (!t)
        fatal("out of memory");
    t->began_step = step_now();
    return t;
}

void trend_close(struct trend *t)
{
    for (size_t i = 0; t && i < SETS; i++)
        for (size_t k = 0; k < WAYS; k++)
            free(t->rows[i][k]);
    free(t);
}

static struct row *find(const struct trend *t, uint64_t id)
{
    struct row *const *set = t->rows[id % SETS];
    for (size_t k = 0; k < WAYS; k++)
        if (set[k] && set[k]->function_id == id)
            return set[k];
    return NULL;
}

/* A row for a function that has none: a free one, or that of the one quiet for longest. */
static struct row *make(struct trend *t, uint64_t id)
{
    struct row **set = t->rows[id % SETS], **at = &set[0];
    for (size_t k = 0; k < WAYS && *at; k++)
        if (!set[k] || set[k]->newest_step < (*at)->newest_step)
            at = &set[k];
    free(*at);
    *at = calloc(1, sizeof **at);
    if (!*at)
        fatal("out of memory");
    (*at)->function_id = id;
    return *at;
}

void trend_count(struct trend *t, const struct fn *fn, const struct invoke_result *r)
{
    if (fn->sealed || r->rc)
        return;
    int64_t step = step_now();
    struct row *row = find(t, fn->id);
    if (!row)
        row = make(t, fn->id);
    struct slot *s = &row->slots[step % TREND_POINTS];
    if (s->step != step)
        *s = (struct slot){.step = step};
    row->newest_step = step;
    s->requests++;
    s->errors += r->error;
    s->classes[duration_class(r->duration_us, PER_DOUBLING, CLASSES)]++;
    if (r->duration_us > s->longest_us)
        s->longest_us = r->duration_us;
    if (r->memory_peak > s->memory_peak)
        s->memory_peak = r->memory_peak;
}

size_t trend_points(const struct trend *t, uint64_t function_id,
                    struct trend_point out[static TREND_POINTS])
{
    const struct row *row = find(t, function_id);
    int64_t now = step_now();
    int64_t offset = clock_wall_ms() - (int64_t)(clock_mono_ns() / 1000000);
    size_t n = 0;
    for (int64_t k = now - TREND_POINTS + 1; k <= now; k++) {
        if (k < t->began_step)
            continue;
        const struct slot *s = row ? &row->slots[k % TREND_POINTS] : NULL;
        struct trend_point *p = &out[n++];
        *p = (struct trend_point){.t_ms = k * TREND_STEP_MS + offset};
        if (!s || s->step != k)
            continue;
        p->requests = s->requests;
        p->errors = s->errors;
        p->memory_peak = s->memory_peak;
        p->max_ms = (double)s->longest_us / 1000;
        p->p50_ms = duration_percentile(s->classes, CLASSES, PER_DOUBLING, 0.5);
        p->p99_ms = duration_percentile(s->classes, CLASSES, PER_DOUBLING, 0.99);
    }
    return n;
}
