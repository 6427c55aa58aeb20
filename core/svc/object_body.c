/* object_body: who owns an object's bytes, and the end of bodies that came in parts.
 *
 * A blob counts its references itself. A list of parts has a count of owners in T_UPLOADS; the parts'
 * blobs belong to the list. When the last owner goes, the transaction only moves the list's mark
 * from 'R' to 'D': a row, whatever the number of parts. What bears that mark is removed here, a
 * slice of rows a job, until nothing is left and the mark goes too; a restart takes it up again.
 *
 * A list that is being read is passed over; the last reader wakes the sweep. Nobody can come to
 * read or copy a list that bears 'D': no record names it any more, and whoever found it in an older
 * snapshot pinned it in the callback that read it.
 *
 * T_UPLOADS holds, for a list: 'U' the upload (upload_rows.h), 'R' its owners (u64), 'D' marked, 'T'
 * the parts to keep (runs) of an upload that was completed without some; and 'B' the node of a
 * bucket that went while uploads were open in it. */
#include "base/log.h"
#include "base/rec.h"
#include "store/key.h"
#include "svc/object_rows.h"
#include "svc/upload_rows.h"

enum {
    SLICE_ROWS = 250,   /* removed by one job: each costs four writes */
    SLICE_LOOKS = 1000, /* rows looked at by one job */
    PIN_BUCKETS = 64,
};

struct list_pin {
    struct list_pin *next;
    uint64_t list;
    unsigned count;
};

/* --- owners ------------------------------------------------------------------------------------ */

struct str upload_key(char kind, uint64_t list, char space[static UPLOAD_KEY])
{
    struct key k = {0};
    key_u64(key_bytes(&k, str_of(&kind, 1)), list);
    memcpy(space, k.b, UPLOAD_KEY);
    return str_of(space, UPLOAD_KEY);
}

static int owners_get(struct store_txn *t, uint64_t list, uint64_t *n)
{
    char space[UPLOAD_KEY];
    struct str v;
    int rc = store_get(t, T_UPLOADS, upload_key('R', list, space), &v);
    if (rc)
        return rc == E_NOT_FOUND ? E_INTERNAL : rc;
    return key_take_u64(&v, n) && *n ? 0 : E_INTERNAL;
}

int upload_owners_put(struct store_txn *t, uint64_t list, uint64_t n)
{
    char space[UPLOAD_KEY];
    struct key v = {0};
    return store_put(t, T_UPLOADS, upload_key('R', list, space), key_str(key_u64(&v, n)));
}

int upload_condemn(struct objects *o, struct store_txn *t, uint64_t list)
{
    char space[UPLOAD_KEY];
    int rc = store_del(t, T_UPLOADS, upload_key('R', list, space));
    if (rc == 0)
        rc = store_del(t, T_UPLOADS, upload_key('U', list, space));
    if (rc == 0)
        rc = store_put(t, T_UPLOADS, upload_key('D', list, space), STR(""));
    o->condemned = true;
    return rc;
}

int uploads_condemn(struct store_txn *t, uint64_t node)
{
    char space[UPLOAD_KEY];
    return store_put(t, T_UPLOADS, upload_key('B', node, space), STR(""));
}

int object_body_ref(struct store_txn *t, const struct object_meta *m)
{
    uint64_t n;
    if (m->blob)
        return blob_ref(t, m->blob, m->size);
    if (!m->extents.list)
        return 0;
    int rc = owners_get(t, m->extents.list, &n);
    return rc ? rc : upload_owners_put(t, m->extents.list, n + 1);
}

int object_body_drop(struct objects *o, struct store_txn *t, const struct object_meta *m)
{
    uint64_t n;
    if (m->blob)
        return blob_unref(t, m->blob);
    if (!m->extents.list)
        return 0;
    int rc = owners_get(t, m->extents.list, &n);
    if (rc)
        return rc;
    return n > 1 ? upload_owners_put(t, m->extents.list, n - 1)
                 : upload_condemn(o, t, m->extents.list);
}

void objects_committed(struct objects *o, int rc, const uint64_t *kicks, size_t n)
{
    for (size_t i = 0; i < n && rc == 0 && !o->closing; i++)
        queue_kick(o->queue, kicks[i]);
    if (o->condemned) {
        o->condemned = false;
        objects_sweep(o);
    }
}

/* --- readers ----------------------------------------------------------------------------------- */

static struct list_pin **pin_of(struct objects *o, uint64_t list)
{
    struct list_pin **p = &o->pins[list % PIN_BUCKETS];
    while (*p && (*p)->list != list)
        p = &(*p)->next;
    return p;
}

void objects_pin(struct objects *o, uint64_t list)
{
    struct list_pin **p = pin_of(o, list);
    if (!*p) {
        *p = calloc(1, sizeof **p);
        if (!*p)
            fatal("out of memory");
        (*p)->list = list;
    }
    (*p)->count++;
}

void objects_unpin(struct objects *o, uint64_t list)
{
    struct list_pin **p = pin_of(o, list), *pin = *p;
    ASSERT(pin && pin->count);
    if (--pin->count)
        return;
    *p = pin->next;
    free(pin);
    if (o->passed_over) {
        o->passed_over = false;
        objects_sweep(o);
    }
}

/* --- the sweep --------------------------------------------------------------------------------- */

struct sweep_row {
    uint32_t number;
    uint64_t blob;
};

struct object_sweep {
    struct job job;
    struct objects *o;
    bool working, again;
    uint64_t list;   /* that is being swept, 0: none */
    char mark;       /* 'D': everything goes; 'T': what is not in `keep`; 'B': a bucket's uploads */
    struct buf keep; /* runs */
    uint32_t from;   /* the first number not looked at */
    /* of the slice, when it has been applied */
    uint32_t reached;
    bool finished;
};

static bool is_kept(const struct object_sweep *w, uint32_t number)
{
    struct extents e = {.count = EXTENTS_MAX, .runs = buf_str(&w->keep)};
    return w->mark == 'T' && extents_holds(&e, number);
}

/* Collects what is to go, from the sweep's position on. */
static size_t collect(struct object_sweep *w, struct store_txn *t,
                      struct sweep_row rows[static SLICE_ROWS])
{
    char space[EXTENT_KEY];
    struct str k, v;
    struct extent x;
    size_t n = 0, looks = 0;
    struct store_cursor *c = store_cursor(t, T_PARTS);
    bool more = store_seek(c, extent_key(w->list, w->from, space), &k, &v);
    for (; more && n < SLICE_ROWS && looks++ < SLICE_LOOKS; more = store_next(c, &k, &v)) {
        uint64_t list;
        uint32_t number;
        if (!key_take_u64(&k, &list) || !key_take_u32(&k, &number) || list != w->list)
            break;
        w->reached = number + 1;
        if (number && is_kept(w, number))
            continue;
        rows[n].number = number;
        rows[n++].blob = number && extent_decode(v, &x) ? x.blob : 0;
    }
    w->finished = n < SLICE_ROWS && looks <= SLICE_LOOKS;
    store_cursor_close(c);
    return n;
}

static int sweep_parts(struct object_sweep *w, struct store_txn *t)
{
    struct sweep_row rows[SLICE_ROWS];
    char space[EXTENT_KEY];
    int rc = 0;
    w->reached = w->from;
    size_t n = collect(w, t, rows);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = store_del(t, T_PARTS, extent_key(w->list, rows[i].number, space));
        if (rc == 0 && rows[i].blob)
            rc = blob_unref(t, rows[i].blob);
    }
    if (rc == 0 && w->finished && w->mark == 'D') /* they need not be kept any more either */
        rc = store_del(t, T_UPLOADS, upload_key('T', w->list, space));
    return rc;
}

static int sweep_apply(struct job *job, struct store_txn *t)
{
    struct object_sweep *w = (struct object_sweep *)job;
    char space[UPLOAD_KEY];
    int rc = w->mark == 'B' ? uploads_clear(w->o, t, w->list, SLICE_ROWS, &w->finished)
                            : sweep_parts(w, t);
    if (rc == 0 && w->finished)
        rc = store_del(t, T_UPLOADS, upload_key(w->mark, w->list, space));
    return rc == 0 || rc == E_NO_SPACE || rc == E_IO ? rc : E_INTERNAL;
}

static void sweep_free(struct objects *o)
{
    buf_deinit(&o->sweep->keep);
    free(o->sweep);
    free(o->pins);
    free(o);
}

static void sweep_next(struct object_sweep *w);

static void sweep_done(struct job *job, int rc)
{
    struct object_sweep *w = (struct object_sweep *)job;
    w->working = false;
    if (w->o->closed) {
        sweep_free(w->o);
        return;
    }
    if (w->o->closing)
        return;
    if (rc) { /* the store is in trouble: another occasion will come */
        log_warn("objects: the parts of an upload are not removed yet: %s", err_row(rc)->text);
        w->list = 0;
        return;
    }
    w->from = w->reached;
    if (w->finished)
        w->list = 0;
    sweep_next(w);
}

static void sweep_submit(struct object_sweep *w)
{
    w->working = true;
    w->job = (struct job){.apply = sweep_apply, .done = sweep_done, .frees_space = true};
    store_submit(w->o->store, &w->job);
}

/* The first list that bears this mark and may be swept. */
static bool find_marked(struct object_sweep *w, struct store_txn *t, char mark)
{
    char space[UPLOAD_KEY];
    struct str k, v;
    bool found = false;
    struct store_cursor *c = store_cursor(t, T_UPLOADS);
    bool more = store_seek(c, upload_key(mark, 0, space), &k, &v);
    for (; more && k.n == UPLOAD_KEY && k.p[0] == mark && !found; more = store_next(c, &k, &v)) {
        k = str_from(k, 1);
        key_take_u64(&k, &w->list);
        found = mark != 'D' || !*pin_of(w->o, w->list);
        w->o->passed_over |= !found;
        buf_clear(&w->keep);
        if (found && mark == 'T')
            buf_add(&w->keep, v);
    }
    store_cursor_close(c);
    w->mark = mark;
    w->from = 0;
    return found;
}

static void sweep_next(struct object_sweep *w)
{
    if (!w->list) {
        struct store_txn *t = store_read(w->o->store);
        if (!find_marked(w, t, 'B') && !find_marked(w, t, 'D') && !find_marked(w, t, 'T'))
            w->list = 0;
        store_read_end(t);
    }
    if (w->list)
        sweep_submit(w);
}

void objects_sweep(struct objects *o)
{
    if (!o->sweep->working && !o->closing)
        sweep_next(o->sweep);
}

/* --- the service ------------------------------------------------------------------------------- */

struct objects *objects_open(uv_loop_t *loop, struct store *s, struct queue *q, const char *region)
{
    struct objects *o = calloc(1, sizeof *o);
    if (!o || !(o->sweep = calloc(1, sizeof *o->sweep)) ||
        !(o->pins = calloc(PIN_BUCKETS, sizeof *o->pins)))
        fatal("out of memory");
    o->loop = loop;
    o->store = s;
    o->queue = q;
    o->region = region;
    o->sweep->o = o;
    objects_sweep(o);
    return o;
}

void objects_stop(struct objects *o)
{
    o->closing = true;
}

void objects_close(struct objects *o)
{
    objects_stop(o);
    o->closed = true;
    if (!o->sweep->working)
        sweep_free(o);
}
