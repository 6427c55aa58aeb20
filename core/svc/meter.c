/* meter: a small open-addressed table of counters, folded once a second.
 *
 * The fold hands the table's rows to one write job and starts afresh; when the job fails its rows
 * are added back, so that a full disk loses no usage while the server lives. Slots are found by
 * function id and day; the table
 * doubles at half load. What is older than USAGE_DAYS goes as newer days come. */
#include "svc/meter.h"

#include <stdlib.h>

#include "base/log.h"
#include "store/key.h"

enum { FOLD_MS = 1000, TABLE_MIN = 64, ROWS_MAX = 1000, LOOKS_MAX = 2000 };

struct row {
    uint64_t function_id;
    uint32_t day;
    char name[FUNCTION_NAME_MAX + 1];
    uint64_t v[USAGE_COUNT_ + 1]; /* by USAGE_* */
};

struct meter {
    uv_timer_t timer;
    struct store *store;
    struct row *rows;
    size_t count, cap; /* cap is a power of two */
    bool stopped;
};

struct fold {
    struct job job;
    struct meter *meter;
    size_t count;
    struct row rows[];
};

static void on_tick(uv_timer_t *t);
static struct row *row_of(struct meter *m, uint64_t function_id, uint32_t day);
static bool read_row(struct str at, struct str rec, struct usage_row *out);

struct meter *meter_open(uv_loop_t *loop, struct store *s)
{
    struct meter *m = calloc(1, sizeof *m);
    if (!m || !(m->rows = calloc(TABLE_MIN, sizeof *m->rows)))
        fatal("out of memory");
    m->cap = TABLE_MIN;
    m->store = s;
    uv_timer_init(loop, &m->timer);
    m->timer.data = m;
    uv_timer_start(&m->timer, on_tick, FOLD_MS, FOLD_MS);
    uv_unref((uv_handle_t *)&m->timer);
    return m;
}

void meter_count(void *meter, struct fn *fn, const struct invoke_result *r)
{
    struct meter *m = meter;
    if (fn->sealed || r->rc)
        return;
    struct row *row = row_of(m, fn->id, (uint32_t)(r->ended_ms / 86400000));
    if (row->v[USAGE_REQUESTS]++ == 0)
        snprintf(row->name, sizeof row->name, "%.*s", STR_FMT(fn->name));
    row->v[USAGE_ERRORS] += r->error;
    row->v[USAGE_BILLED_MS] += r->billed_ms;
    row->v[USAGE_MB_MS] += r->billed_ms * fn->memory_mb;
    row->v[USAGE_DURATION_US] += r->duration_us;
    if (row->v[USAGE_PEAK_BYTES] < r->memory_peak)
        row->v[USAGE_PEAK_BYTES] = r->memory_peak;
}

static void merge(uint64_t *into, const uint64_t *v)
{
    for (int i = USAGE_REQUESTS; i < USAGE_PEAK_BYTES; i++)
        into[i] += v[i];
    if (into[USAGE_PEAK_BYTES] < v[USAGE_PEAK_BYTES])
        into[USAGE_PEAK_BYTES] = v[USAGE_PEAK_BYTES];
}

static struct row *probe(struct row *rows, size_t cap, uint64_t function_id, uint32_t day)
{
    size_t i = (size_t)((function_id * 0x9e3779b97f4a7c15u) >> 32 ^ day) & (cap - 1);
    while (rows[i].v[USAGE_REQUESTS] && (rows[i].function_id != function_id || rows[i].day != day))
        i = (i + 1) & (cap - 1);
    return &rows[i];
}

static struct row *row_of(struct meter *m, uint64_t function_id, uint32_t day)
{
    struct row *row = probe(m->rows, m->cap, function_id, day);
    if (row->v[USAGE_REQUESTS])
        return row;
    if (++m->count * 2 > m->cap) {
        size_t cap = m->cap * 2;
        struct row *rows = calloc(cap, sizeof *rows);
        if (!rows)
            fatal("out of memory");
        for (size_t i = 0; i < m->cap; i++)
            if (m->rows[i].v[USAGE_REQUESTS])
                *probe(rows, cap, m->rows[i].function_id, m->rows[i].day) = m->rows[i];
        free(m->rows);
        m->rows = rows;
        m->cap = cap;
        row = probe(rows, cap, function_id, day);
    }
    row->function_id = function_id;
    row->day = day;
    return row;
}

static struct str key_of(struct key *k, uint64_t function_id, uint32_t day)
{
    k->n = 0;
    return key_str(key_u32(key_u64(k, function_id), day));
}

/* A function's new day: its oldest one goes. Only one, so that a clock which is set to a wrong year for
 * a while costs little. */
static int trim(struct store_txn *t, uint64_t function_id, uint32_t day)
{
    struct key key;
    struct str at, rec;
    struct usage_row old;
    struct store_cursor *c = store_cursor(t, T_USAGE);
    bool any = store_seek(c, key_of(&key, function_id, 0), &at, &rec) && read_row(at, rec, &old);
    store_cursor_close(c);
    return any && old.function_id == function_id && old.day + USAGE_DAYS <= day
               ? store_del(t, T_USAGE, key_of(&key, function_id, old.day))
               : 0;
}

static int fold_apply(struct job *job, struct store_txn *t)
{
    struct fold *f = (struct fold *)job;
    struct buf b = BUF_INIT;
    int rc = 0;
    for (size_t i = 0; i < f->count && rc == 0; i++) {
        struct key key;
        struct str old;
        uint64_t v[USAGE_COUNT_ + 1] = {0};
        struct str k = key_of(&key, f->rows[i].function_id, f->rows[i].day);
        rc = store_get(t, T_USAGE, k, &old);
        if (rc == 0)
            for (uint16_t tag = USAGE_REQUESTS; tag <= USAGE_COUNT_; tag++)
                v[tag] = rec_u64(old, tag, 0);
        else if (rc != E_NOT_FOUND || (rc = trim(t, f->rows[i].function_id, f->rows[i].day)))
            break;
        merge(v, f->rows[i].v);
        buf_clear(&b);
        for (uint16_t tag = USAGE_REQUESTS; tag <= USAGE_COUNT_; tag++)
            rec_put_u64(&b, tag, v[tag]);
        rec_put_str(&b, USAGE_NAME, str_c(f->rows[i].name));
        rc = store_put(t, T_USAGE, k, buf_str(&b));
    }
    buf_deinit(&b);
    return rc;
}

static void fold_done(struct job *job, int rc)
{
    struct fold *f = (struct fold *)job;
    if (rc && !f->meter->stopped) /* keep counting in memory until the store takes it */
        for (size_t i = 0; i < f->count; i++) {
            struct row *row = row_of(f->meter, f->rows[i].function_id, f->rows[i].day);
            memcpy(row->name, f->rows[i].name, sizeof row->name);
            merge(row->v, f->rows[i].v);
        }
    free(f);
}

static void fold(struct meter *m)
{
    if (m->count == 0)
        return;
    size_t n = m->count < ROWS_MAX ? m->count : ROWS_MAX;
    struct fold *f = calloc(1, sizeof *f + n * sizeof *f->rows);
    struct row *rows = calloc(m->cap, sizeof *rows);
    if (!f || !rows)
        fatal("out of memory");
    size_t left = 0;
    for (size_t i = 0; i < m->cap; i++) {
        const struct row *row = &m->rows[i];
        if (!row->v[USAGE_REQUESTS])
            continue;
        if (f->count < n) {
            f->rows[f->count++] = *row;
        } else {
            *probe(rows, m->cap, row->function_id, row->day) = *row;
            left++;
        }
    }
    free(m->rows);
    m->rows = rows;
    m->count = left;
    f->meter = m;
    f->job.apply = fold_apply;
    f->job.done = fold_done;
    store_submit(m->store, &f->job);
}

static void on_tick(uv_timer_t *t)
{
    fold(t->data);
}

void meter_stop(struct meter *m)
{
    while (m->count)
        fold(m);
    m->stopped = true;
    uv_close((uv_handle_t *)&m->timer, NULL);
}

void meter_free(struct meter *m)
{
    free(m->rows);
    free(m);
}

/* --- reading ------------------------------------------------------------------------------------
 */

static bool read_row(struct str at, struct str rec, struct usage_row *out)
{
    if (!key_take_u64(&at, &out->function_id) || !key_take_u32(&at, &out->day))
        return false;
    for (uint16_t tag = USAGE_REQUESTS; tag <= USAGE_COUNT_; tag++)
        out->v[tag] = rec_u64(rec, tag, 0);
    out->function = rec_str(rec, USAGE_NAME);
    return true;
}

void usage_list(struct store_txn *t, const struct usage_query *q, struct usage_cursor *c,
                void (*each)(void *ctx, const struct usage_row *r), void *ctx)
{
    struct store_cursor *cursor = store_cursor(t, T_USAGE);
    struct key k;
    struct str at, rec;
    struct usage_row r;
    size_t count = 0;
    uint64_t function_id = c->function_id;
    uint32_t day = c->day > q->from ? c->day : q->from;
    c->more = false;
    bool there = store_seek(cursor, key_of(&k, function_id, day), &at, &rec);
    for (size_t looks = 0; there && read_row(at, rec, &r); looks++) {
        c->function_id = r.function_id;
        c->day = r.day;
        if (count == q->limit || looks == LOOKS_MAX) {
            c->more = true;
            break;
        }
        if (r.day < q->from || r.day > q->to) { /* to this function's first, or the next one's */
            function_id = r.day < q->from ? r.function_id : r.function_id + 1;
            there = store_seek(cursor, key_of(&k, function_id, q->from), &at, &rec);
            continue;
        }
        if (!q->function.n || str_eq(q->function, r.function)) {
            each(ctx, &r);
            count++;
        }
        there = store_next(cursor, &at, &rec);
    }
    store_cursor_close(cursor);
}
