/* store: LMDB and the store thread, pretended.
 *
 * A table is a sorted array of rows; there are two of each: as readers see it and as the writer has
 * changed it. A batch keeps a list of its changes, with which the writer's tables are mended when the
 * batch is undone and the readers' brought up to date when it is committed. Between the applying of
 * two jobs, the stamping of a batch and its commit anything else may happen, as it may where the
 * writer is another thread.
 *
 * What a transaction lends (keys and values) is overwritten as soon as the loan is over: at the end
 * of a snapshot, and at each write of a job. Who keeps a borrowed text too long reads rubbish here,
 * every time. */
#include "sim.h"

#include <stdlib.h>

struct table_rows {
    struct row **rows;
    size_t n, cap;
};

struct store_txn {
    bool write;
    struct buf loan;
};

struct store_cursor {
    struct store_txn *t;
    const struct table_rows *in;
    size_t at; /* of the row it stands on */
};

struct changes {
    struct change *of;
    size_t n, cap;
};

struct batch_job {
    struct job *job;
    size_t from, to; /* its changes */
};

struct store {
    uint64_t boot, next_id;
    int64_t time_ms; /* of the last commit */
    struct table_rows shown[T_COUNT], working[T_COUNT];
    struct store_txn reader, writer;
    unsigned readers, cursors;
    struct job *queued, **queued_end;
    struct job *finished, **finished_end;
    size_t pending;
    struct changes changes; /* of the batch */
    struct batch_job batch[64];
    size_t batch_n;
    int64_t stamped_ms; /* 0: the batch is still open */
    int fault;          /* E_* that the next row of a job gets */
    enum trouble trouble;
    bool closing;
};

static struct store the_disk;
struct store *disk = &the_disk;

/* --- rows and tables ---------------------------------------------------------------------------- */

static struct row *row_new(struct str key, struct str val)
{
    struct row *r = malloc(sizeof *r + key.n + val.n + 1);
    if (!r)
        abort();
    *r = (struct row){.refs = 1, .key_n = (uint32_t)key.n, .val_n = (uint32_t)val.n};
    memcpy(r->bytes, key.p, key.n);
    if (val.n)
        memcpy(r->bytes + key.n, val.p, val.n);
    return r;
}

static void row_free(struct row *r)
{
    if (r && --r->refs == 0)
        free(r);
}

static struct row *row_hold(struct row *r)
{
    if (r)
        r->refs++;
    return r;
}

/* The place of the first row at or after the key. */
static size_t place_of(const struct table_rows *t, struct str key, bool *there)
{
    size_t low = 0, high = t->n;
    *there = false;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = str_cmp(row_key(t->rows[mid]), key);
        if (order == 0) {
            *there = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Puts a row in (held once more), or takes that key's out. */
static void table_set(struct table_rows *t, struct str key, struct row *new)
{
    bool there;
    size_t at = place_of(t, key, &there);
    if (there && new) {
        row_hold(new);
        row_free(t->rows[at]);
        t->rows[at] = new;
    } else if (there) {
        row_free(t->rows[at]);
        memmove(t->rows + at, t->rows + at + 1, (--t->n - at) * sizeof *t->rows);
    } else if (new) {
        if (t->n == t->cap) {
            t->cap = t->cap ? 2 * t->cap : 64;
            t->rows = realloc(t->rows, t->cap * sizeof *t->rows);
            if (!t->rows)
                abort();
        }
        memmove(t->rows + at + 1, t->rows + at, (t->n++ - at) * sizeof *t->rows);
        t->rows[at] = row_hold(new);
    }
}

size_t disk_rows(enum table table)
{
    return disk->shown[table].n;
}

const struct row *disk_row(enum table table, size_t i)
{
    return disk->shown[table].rows[i];
}

const struct row *disk_find(enum table table, struct str key)
{
    bool there;
    size_t at = place_of(&disk->shown[table], key, &there);
    return there ? disk->shown[table].rows[at] : NULL;
}

/* --- reading ------------------------------------------------------------------------------------ */

static void loan_over(struct store_txn *t)
{
    if (t->loan.n)
        memset(t->loan.p, 0xee, t->loan.n);
    t->loan.n = 0;
}

static struct str lend(struct store_txn *t, struct str s)
{
    enum { LOANS = 4 << 20 };
    if (!t->loan.p && !buf_reserve(&t->loan, LOANS))
        abort();
    MUST(t->loan.n + s.n <= LOANS, "a snapshot reads more than %d bytes", LOANS);
    char *at = t->loan.p + t->loan.n;
    if (s.n)
        memcpy(at, s.p, s.n);
    t->loan.n += s.n;
    return str_of(at, s.n);
}

static const struct table_rows *rows_of(const struct store_txn *t, enum table table)
{
    return t->write ? &disk->working[table] : &disk->shown[table];
}

struct store_txn *store_read(struct store *s)
{
    s->readers++;
    return &s->reader;
}

void store_read_end(struct store_txn *t)
{
    MUST(disk->readers > 0, "a snapshot is ended twice");
    if (--disk->readers == 0)
        loan_over(t);
}

int store_get(struct store_txn *t, enum table table, struct str key, struct str *val)
{
    bool there;
    const struct table_rows *in = rows_of(t, table);
    size_t at = place_of(in, key, &there);
    if (!there)
        return E_NOT_FOUND;
    *val = lend(t, row_val(in->rows[at]));
    return 0;
}

struct store_cursor *store_cursor(struct store_txn *t, enum table table)
{
    struct store_cursor *c = malloc(sizeof *c);
    if (!c)
        abort();
    *c = (struct store_cursor){.t = t, .in = rows_of(t, table), .at = SIZE_MAX};
    disk->cursors += t->write;
    return c;
}

void store_cursor_close(struct store_cursor *c)
{
    disk->cursors -= c->t->write;
    free(c);
}

static bool stand(struct store_cursor *c, size_t at, struct str *k, struct str *v)
{
    if (at >= c->in->n)
        return false;
    c->at = at;
    *k = lend(c->t, row_key(c->in->rows[at]));
    *v = lend(c->t, row_val(c->in->rows[at]));
    return true;
}

bool store_seek(struct store_cursor *c, struct str key, struct str *k, struct str *v)
{
    bool there;
    return stand(c, key.n ? place_of(c->in, key, &there) : 0, k, v);
}

bool store_next(struct store_cursor *c, struct str *k, struct str *v)
{
    return stand(c, c->at == SIZE_MAX ? 0 : c->at + 1, k, v);
}

bool store_seek_before(struct store_cursor *c, struct str key, struct str *k, struct str *v)
{
    bool there;
    size_t at = place_of(c->in, key, &there);
    return at > 0 && stand(c, at - 1, k, v);
}

int64_t store_time(struct store_txn *t)
{
    (void)t;
    return disk->time_ms;
}

/* --- writing ------------------------------------------------------------------------------------ */

static int write_row(struct store_txn *t, enum table table, struct str key, struct row *new)
{
    bool there;
    MUST(t->write && !disk->cursors, "a row is written in a snapshot or under an open cursor");
    size_t at = place_of(&disk->working[table], key, &there);
    struct row *old = there ? row_hold(disk->working[table].rows[at]) : NULL;
    struct changes *c = &disk->changes;
    if (disk->fault) {
        row_free(old);
        row_free(new);
        return disk->fault;
    }
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 256;
        c->of = realloc(c->of, c->cap * sizeof *c->of);
        if (!c->of)
            abort();
    }
    c->of[c->n++] = (struct change){table, old, new};
    table_set(&disk->working[table], new ? row_key(new) : row_key(old), new);
    loan_over(t);
    return 0;
}

int store_put(struct store_txn *t, enum table table, struct str key, struct str val)
{
    MUST(key.n > 0 && key.n <= KEY_MAX, "a key of %zu bytes", key.n);
    struct row *new = row_new(key, val);
    return write_row(t, table, row_key(new), new);
}

int store_del(struct store_txn *t, enum table table, struct str key)
{
    bool there;
    place_of(&disk->working[table], key, &there);
    return there ? write_row(t, table, key, NULL) : 0;
}

struct store *store_of(struct store_txn *t)
{
    (void)t;
    return disk;
}

uv_loop_t *store_loop(const struct store *s)
{
    (void)s;
    return &sim_loop;
}

uint64_t store_boot(const struct store *s)
{
    return s->boot;
}

uint64_t store_new_id(struct store *s)
{
    return ++s->next_id;
}

/* --- jobs --------------------------------------------------------------------------------------- */

static void push(struct job *job, struct job ***end)
{
    job->next = NULL;
    **end = job;
    *end = &job->next;
}

static struct job *pop(struct job **head, struct job ***end)
{
    struct job *job = *head;
    if (job && !(*head = job->next))
        *end = head;
    return job;
}

static void finish(struct job *job, int rc)
{
    job->rc = rc;
    push(job, &disk->finished_end);
}

void store_submit(struct store *s, struct job *job)
{
    s->pending++;
    if (s->closing)
        finish(job, E_SHUTDOWN);
    else
        push(job, &s->queued_end);
}

/* The changes behind that place are undone. */
static void undo(size_t from)
{
    struct changes *c = &disk->changes;
    while (c->n > from) {
        struct change *one = &c->of[--c->n];
        table_set(&disk->working[one->table], row_key(one->old ? one->old : one->new), one->old);
        row_free(one->old);
        row_free(one->new);
    }
}

static bool is_failure(int rc)
{
    return rc == E_IO || rc == E_NO_SPACE || rc == E_INTERNAL;
}

static int run(struct job *job)
{
    size_t from = disk->changes.n;
    if (disk->trouble == DISK_BROKEN || (disk->trouble == DISK_FULL && !job->frees_space))
        return disk->trouble == DISK_FULL ? E_NO_SPACE : E_IO;
    disk->fault = !world.calm && disk->trouble == FINE && once_in(2000) ? E_NO_SPACE : 0;
    int rc = job->apply(job, &disk->writer);
    loan_over(&disk->writer);
    MUST(!disk->cursors, "a job leaves a cursor open");
    MUST(!disk->fault || is_failure(rc) || disk->changes.n == from,
         "a job overlooks that a row was not taken");
    disk->fault = 0;
    MUST(!rc || is_failure(rc) || job->undo || disk->changes.n == from,
         "a refusal (%d) after writes", rc);
    if (rc)
        undo(from);
    return rc;
}

static void apply_next(void)
{
    struct job *job = pop(&disk->queued, &disk->queued_end);
    size_t from = disk->changes.n;
    int rc = run(job);
    if (rc)
        finish(job, rc);
    else
        disk->batch[disk->batch_n++] = (struct batch_job){job, from, disk->changes.n};
}

static void commit(void)
{
    struct changes *c = &disk->changes;
    if (disk->trouble == DISK_BROKEN) {
        undo(0);
        for (size_t i = 0; i < disk->batch_n; i++)
            finish(disk->batch[i].job, E_IO);
        disk->batch_n = 0;
        disk->stamped_ms = 0;
        return;
    }
    disk->time_ms = disk->stamped_ms;
    for (size_t i = 0; i < disk->batch_n; i++) {
        const struct batch_job *b = &disk->batch[i];
        for (size_t k = b->from; k < b->to; k++) {
            struct change *one = &c->of[k];
            table_set(&disk->shown[one->table], row_key(one->old ? one->old : one->new), one->new);
        }
        events_committed(c->of + b->from, b->to - b->from);
        plans_committed(c->of + b->from, b->to - b->from);
        finish(b->job, 0);
    }
    for (size_t k = 0; k < c->n; k++) {
        row_free(c->of[k].old);
        row_free(c->of[k].new);
    }
    c->n = disk->batch_n = 0;
    disk->stamped_ms = 0;
}

static bool deliver(void)
{
    struct job *job = pop(&disk->finished, &disk->finished_end);
    if (!job)
        return false;
    disk->pending--;
    job->done(job, job->rc);
    return true;
}

void disk_step(void)
{
    bool room = disk->batch_n < 64 && !disk->stamped_ms;
    switch (pick(4)) {
    case 0:
    case 1:
        if (disk->queued && room) {
            apply_next();
            return;
        }
        break;
    case 2:
        if (disk->batch_n && !disk->stamped_ms) {
            disk->stamped_ms = clock_store_ms();
            return;
        }
        break;
    default:
        break;
    }
    if (disk->stamped_ms)
        commit();
    else if (!deliver() && disk->queued && room)
        apply_next();
}

void disk_flush(void)
{
    do {
        while (disk->queued && disk->batch_n < 64 && !disk->stamped_ms)
            apply_next();
        if (disk->batch_n) {
            disk->stamped_ms = clock_store_ms();
            commit();
        }
    } while (deliver() || disk->queued);
}

size_t disk_jobs(void)
{
    return disk->pending;
}

void disk_trouble(enum trouble t)
{
    disk->trouble = t;
}

enum trouble disk_in_trouble(void)
{
    return disk->trouble;
}

/* --- life --------------------------------------------------------------------------------------- */

void disk_begin(void)
{
    disk->queued_end = &disk->queued;
    disk->finished_end = &disk->finished;
    disk->writer.write = true;
}

void disk_boot(void)
{
    disk->boot++;
    disk->next_id = disk->boot << 40;
    disk->closing = false;
    disk->trouble = FINE;
    clock_store_floor(disk->time_ms);
    disk->time_ms = clock_store_ms(); /* opening it commits the number of the boot */
}

void disk_crash(void)
{
    struct job *job;
    undo(0);
    for (size_t i = 0; i < disk->batch_n; i++)
        finish(disk->batch[i].job, E_SHUTDOWN);
    disk->batch_n = 0;
    disk->stamped_ms = 0;
    disk->closing = true;
    while ((job = pop(&disk->queued, &disk->queued_end)))
        finish(job, E_SHUTDOWN);
    for (job = disk->finished; job; job = job->next)
        job->rc = E_SHUTDOWN; /* also those that are committed: nobody was told */
    while (deliver())
        ;
}
