/* pulse: rings of counters, indexed by time.
 *
 * A slot belongs to one step of the clock and is emptied when another step comes to it, so nothing
 * turns while nothing runs. Time is monotonic; only what is told is wall time. */
#include "svc/pulse.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pages.h"
#include "svc/durations.h"
#include "svc/role.h"

enum { CLASSES = 160, CLASSES_PER_DOUBLING = 6, SLOTS = PULSE_POINTS + 2, SECONDS = 64 };

struct slot {
    int64_t step; /* monotonic ms / PULSE_STEP_MS */
    uint32_t requests, errors;
    uint32_t classes[CLASSES];
};

struct second {
    int64_t at; /* monotonic s */
    uint32_t requests, errors;
};

struct pulse {
    int64_t began_step;
    struct slot slots[SLOTS];
    struct second seconds[SECONDS];
    uint64_t next_seq;
    struct pulse_run runs[PULSE_RUNS];
    struct pulse_failure failures[PULSE_FAILURES];
    size_t failure_count;
    struct pulse_denial denials[PULSE_DENIALS];
};

static int64_t mono_ms(void)
{
    return (int64_t)(clock_mono_ns() / 1000000);
}

struct pulse *pulse_open(void)
{
    struct pulse *p = pages_zero(sizeof *p);
    if (!p)
        fatal("out of memory");
    p->began_step = mono_ms() / PULSE_STEP_MS;
    p->next_seq = (uint64_t)clock_wall_ms() * 1000; /* no server makes a million runs a second */
    return p;
}

void pulse_close(struct pulse *p)
{
    pages_zero_free(p, sizeof *p);
}

static struct slot *slot_at(struct pulse *p, int64_t step)
{
    struct slot *s = &p->slots[step % SLOTS];
    if (s->step != step) {
        memset(s, 0, sizeof *s);
        s->step = step;
    }
    return s;
}

static void copy_text(char *to, size_t size, struct str s)
{
    size_t n = s.n < size ? s.n : size - 1;
    if (n)
        memcpy(to, s.p, n);
    to[n] = 0;
}

static void note_run(struct pulse *p, const struct fn *fn, const struct invoke_result *r)
{
    struct pulse_run *run = &p->runs[p->next_seq % PULSE_RUNS];
    *run = (struct pulse_run){.seq = p->next_seq++,
                              .timestamp_ms = r->ended_ms,
                              .error = r->error,
                              .duration_us = r->duration_us,
                              .init_us = r->init_us,
                              .billed_ms = r->billed_ms,
                              .memory_peak = r->memory_peak};
    copy_text(run->function, sizeof run->function, fn->name);
    copy_text(run->version, sizeof run->version, fn->version);
    copy_text(run->request_id, sizeof run->request_id, str_c(r->request_id));
    copy_text(run->source, sizeof run->source, str_c(r->source));
}

const struct pulse_run *pulse_run_after(const struct pulse *p, uint64_t seq)
{
    if (seq + 1 < p->next_seq - PULSE_RUNS || seq >= p->next_seq)
        seq = p->next_seq - PULSE_RUNS - 1; /* long ago, or of a clock that was set back */
    while (++seq < p->next_seq)
        if (p->runs[seq % PULSE_RUNS].seq == seq)
            return &p->runs[seq % PULSE_RUNS];
    return NULL;
}

void pulse_count(struct pulse *p, const struct fn *fn, const struct invoke_result *r)
{
    if (fn->sealed || r->rc)
        return;
    int64_t now = mono_ms(), second = now / 1000;
    struct slot *s = slot_at(p, now / PULSE_STEP_MS);
    struct second *c = &p->seconds[second % SECONDS];
    if (c->at != second)
        *c = (struct second){.at = second};
    s->requests++;
    s->errors += r->error;
    s->classes[duration_class(r->duration_us, CLASSES_PER_DOUBLING, CLASSES)]++;
    c->requests++;
    c->errors += r->error;
    note_run(p, fn, r);
}

static double percentile(const uint32_t *classes, double part)
{
    return duration_percentile(classes, CLASSES, CLASSES_PER_DOUBLING, part);
}

void pulse_now(struct pulse *p, struct pulse_now *out)
{
    int64_t now = mono_ms(), second = now / 1000, step = now / PULSE_STEP_MS;
    uint32_t classes[CLASSES] = {0};
    uint64_t requests = 0, errors = 0;
    for (size_t i = 0; i < SECONDS; i++) {
        const struct second *c = &p->seconds[i];
        if (c->at > second - PULSE_WINDOW_S && c->at <= second) {
            requests += c->requests;
            errors += c->errors;
        }
    }
    for (int64_t k = step - PULSE_WINDOW_S * 1000 / PULSE_STEP_MS + 1; k <= step; k++)
        for (size_t i = 0; k >= 0 && i < CLASSES; i++)
            classes[i] += slot_at(p, k)->classes[i];
    *out = (struct pulse_now){
        .rate = (double)requests / PULSE_WINDOW_S,
        .error_rate = requests ? (double)errors / (double)requests : 0,
        .p50_ms = percentile(classes, 0.5),
        .p99_ms = percentile(classes, 0.99),
    };
}

size_t pulse_points(struct pulse *p, int64_t after_ms, struct pulse_point out[static PULSE_POINTS])
{
    int64_t now = mono_ms(), step = now / PULSE_STEP_MS, offset = clock_wall_ms() - now;
    size_t n = 0;
    for (int64_t k = step - PULSE_POINTS; k < step; k++) {
        int64_t t = k * PULSE_STEP_MS + offset;
        if (k < p->began_step || t <= after_ms + PULSE_STEP_MS / 2)
            continue;
        const struct slot *s = slot_at(p, k);
        out[n++] = (struct pulse_point){t, s->requests, s->errors, percentile(s->classes, 0.5),
                                        percentile(s->classes, 0.99)};
    }
    return n;
}

/* --- failures ---------------------------------------------------------------------------------- */

void pulse_failed(struct pulse *p, const struct fn *fn, const struct invoke_result *r)
{
    enum { PARSED_MAX = 64 * 1024 };
    struct err err = {0};
    if (fn->sealed)
        return;
    struct pulse_failure *f = &p->failures[p->failure_count++ % PULSE_FAILURES];
    *f = (struct pulse_failure){.timestamp_ms = clock_wall_ms()};
    copy_text(f->function, sizeof f->function, fn->name);
    copy_text(f->request_id, sizeof f->request_id, str_c(r->request_id));
    copy_text(f->error, sizeof f->error, r->error_type);
    json_t *o = r->payload.n <= PARSED_MAX ? json_parse(r->payload, &err) : NULL;
    copy_text(f->message, sizeof f->message, json_bytes(json_object_get(o, "errorMessage")));
    if (!f->error[0])
        copy_text(f->error, sizeof f->error, json_bytes(json_object_get(o, "errorType")));
    json_decref(o);
}

const struct pulse_failure *pulse_failure(const struct pulse *p, size_t i)
{
    if (i >= PULSE_FAILURES || i >= p->failure_count)
        return NULL;
    return &p->failures[(p->failure_count - 1 - i) % PULSE_FAILURES];
}

/* --- denials ----------------------------------------------------------------------------------- */

void pulse_denied(struct pulse *p, const struct fn *fn, const char *request_id, const char *action,
                  struct str resource)
{
    struct pulse_denial *d = &p->denials[0];
    struct str role = role_name_of(fn->role);
    if (fn->sealed || resource.n >= sizeof d->resource || role.n >= sizeof d->role)
        return;
    for (size_t i = 0; i < PULSE_DENIALS; i++) {
        struct pulse_denial *e = &p->denials[i];
        if (e->function_id == fn->id) {
            d = e;
            break;
        }
        if (e->timestamp_ms < d->timestamp_ms)
            d = e; /* the oldest makes room */
    }
    *d = (struct pulse_denial){
        .function_id = fn->id, .timestamp_ms = clock_wall_ms(), .action = action};
    copy_text(d->request_id, sizeof d->request_id, str_c(request_id));
    copy_text(d->role, sizeof d->role, role);
    copy_text(d->resource, sizeof d->resource, resource);
}

const struct pulse_denial *pulse_denial(const struct pulse *p, uint64_t function_id)
{
    for (size_t i = 0; i < PULSE_DENIALS; i++)
        if (function_id && p->denials[i].function_id == function_id)
            return &p->denials[i];
    return NULL;
}
