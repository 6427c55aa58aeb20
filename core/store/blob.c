/* blob: references, pins, reading and removing of the files beside LMDB.
 *
 * What is too large for a row lies in a file of its own, written by blob_writer.c and never changed
 * or renamed. T_BLOBS counts the rows that refer to it; when the count falls to zero the row goes
 * with that transaction and the file after its commit, so a row never names a file that is missing,
 * and a crash leaves at worst a file that no row names (sweep.c finds those).
 *
 * Pins are the loop's: an open blob keeps its file until the last blob_close, even when its last
 * reference goes meanwhile. Unlinking and reading are done on the pool (base/work.h). */
#include "store/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rec.h"
#include "store/copy.h"
#include "store/inside.h"
#include "store/key.h"

enum { BUCKETS = 256 };
enum { BLOB_SIZE = 1, BLOB_REFS }; /* T_BLOBS record */

struct pin {
    struct pin *next;
    uint64_t id;
    unsigned count;
    bool dead; /* no references: unlink at the last unpin */
};

struct blobs {
    size_t under_way; /* requests in the pool */
    bool closing;
    struct buf held; /* u64 ids: their files go when the copy of the rows has ended */
    struct pin *pins[BUCKETS];
};

void blob_path(const struct store *s, uint64_t id, char path[static STORE_PATH], bool folder)
{
    int n = snprintf(path, STORE_PATH, "%s/blobs/%02x", s->dir, (unsigned)(id & 0xff));
    if (!folder)
        snprintf(path + n, STORE_PATH - (size_t)n, "/%016llx", (unsigned long long)id);
}

void blobs_work(struct store *s, struct work *work, void (*run)(struct work *w),
                void (*after)(struct work *w))
{
    s->blobs->under_way++;
    work_start(s->loop, work, run, after);
}

void blobs_worked(struct store *s)
{
    s->blobs->under_way--;
}

void blobs_open(struct store *s)
{
    s->blobs = calloc(1, sizeof *s->blobs);
    if (!s->blobs)
        fatal("out of memory");
}

bool blobs_wait(struct store *s)
{
    bool any = s->blobs->under_way;
    s->blobs->closing = true;
    while (s->blobs->under_way)
        uv_run(s->loop, UV_RUN_ONCE);
    return any;
}

bool blobs_closing(const struct store *s)
{
    return s->blobs->closing;
}

void blobs_close(struct store *s)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct pin *p = s->blobs->pins[i], *next; p; p = next) {
            next = p->next;
            free(p);
        }
    buf_deinit(&s->blobs->held);
    free(s->blobs);
}

/* --- references --------------------------------------------------------------------------------
 */

static int put_refs(struct store_txn *t, struct str key, uint64_t size, uint64_t refs)
{
    struct buf b = BUF_INIT;
    rec_put_u64(&b, BLOB_SIZE, size);
    rec_put_u64(&b, BLOB_REFS, refs);
    int rc = b.rc ? b.rc : store_put(t, T_BLOBS, key, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

/* The list of deaths only grows within a transaction, so that undoing a job is cutting it: a blob
 * that lost its last reference and found another is entered again, as alive. */
#define ALIVE (1ull << 63)

static uint64_t entry(struct str ids, size_t i)
{
    uint64_t id;
    memcpy(&id, ids.p + i * sizeof id, sizeof id);
    return id;
}

static bool listed(struct str ids, size_t from, uint64_t id)
{
    for (size_t i = from; i < ids.n / sizeof id; i++)
        if (entry(ids, i) == id)
            return true;
    return false;
}

static void enter(struct store_txn *t, uint64_t id)
{
    buf_add(&t->dead, str_of((const char *)&id, sizeof id));
}

int blob_ref(struct store_txn *t, uint64_t id, uint64_t size)
{
    struct key k = {0};
    struct str row, key = key_str(key_u64(&k, id));
    int rc = store_get(t, T_BLOBS, key, &row);
    if (rc == 0)
        return put_refs(t, key, rec_u64(row, BLOB_SIZE, size), rec_u64(row, BLOB_REFS, 0) + 1);
    if (rc != E_NOT_FOUND)
        return rc;
    if (listed(buf_str(&t->dead), 0, id))
        enter(t, id | ALIVE);
    return put_refs(t, key, size, 1);
}

int blob_unref(struct store_txn *t, uint64_t id)
{
    struct key k = {0};
    struct str row, key = key_str(key_u64(&k, id));
    int rc = store_get(t, T_BLOBS, key, &row);
    if (rc)
        return rc == E_NOT_FOUND ? E_INTERNAL : rc;
    uint64_t refs = rec_u64(row, BLOB_REFS, 0), size = rec_u64(row, BLOB_SIZE, 0);
    if (refs > 1)
        return put_refs(t, key, size, refs - 1);
    enter(t, id);
    return store_del(t, T_BLOBS, key);
}

/* --- removing ----------------------------------------------------------------------------------
 */

struct removal {
    struct work work;
    struct store *store;
    struct buf ids;
};

static void unlink_files(struct work *work)
{
    struct removal *r = work->data;
    char path[STORE_PATH];
    uint64_t id;
    for (size_t i = 0; i < r->ids.n; i += sizeof id) {
        memcpy(&id, r->ids.p + i, sizeof id);
        blob_path(r->store, id, path, false);
        if (unlink(path) != 0 && errno != ENOENT)
            log_warn("store: %s: %s", path, strerror(errno));
    }
}

static void after_unlink(struct work *work)
{
    struct removal *r = work->data;
    blobs_worked(r->store);
    buf_deinit(&r->ids);
    free(r);
}

static struct pin **pin_of(struct store *s, uint64_t id)
{
    struct pin **p = &s->blobs->pins[(id * 0x9e3779b97f4a7c15u) >> 56];
    while (*p && (*p)->id != id)
        p = &(*p)->next;
    return p;
}

void blobs_dead(struct store *s, struct str ids)
{
    struct removal *r = calloc(1, sizeof *r);
    if (!r)
        fatal("out of memory");
    r->store = s;
    r->work.data = r;
    for (size_t i = 0; i < ids.n / sizeof(uint64_t); i++) {
        uint64_t id = entry(ids, i);
        if ((id & ALIVE) || listed(ids, i + 1, id | ALIVE))
            continue;
        struct pin *pin = *pin_of(s, id);
        if (pin)
            pin->dead = true;
        else if (s->copy)
            buf_add(&s->blobs->held, str_of((const char *)&id, sizeof id));
        else
            buf_add(&r->ids, str_of((const char *)&id, sizeof id));
    }
    if (s->copy && s->blobs->held.n && writer_disk_low(s))
        store_copy_cancel(s->copy); /* space is needed more than a backup */
    blobs_work(s, &r->work, unlink_files, after_unlink);
}

void blobs_release(struct store *s)
{
    struct buf ids = s->blobs->held;
    s->blobs->held = BUF_INIT;
    if (ids.n)
        blobs_dead(s, buf_str(&ids));
    buf_deinit(&ids);
}

bool blobs_pinned(struct store *s, uint64_t id)
{
    return *pin_of(s, id) != NULL;
}

void blob_discard(struct store *s, uint64_t id)
{
    blobs_dead(s, str_of((const char *)&id, sizeof id));
}

/* --- reading -----------------------------------------------------------------------------------
 */

int blob_file(const struct store *s, uint64_t id)
{
    char path[STORE_PATH];
    blob_path(s, id, path, false);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 ? fd : errno == ENOENT ? E_NOT_FOUND : E_IO;
}

int blob_each(struct store_txn *t,
              int (*each)(void *ctx, uint64_t id, uint64_t size, uint64_t refs), void *ctx)
{
    struct store_cursor *c = store_cursor(t, T_BLOBS);
    struct str k, v;
    uint64_t id;
    int rc = 0;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok && rc == 0; ok = store_next(c, &k, &v))
        if (key_take_u64(&k, &id))
            rc = each(ctx, id, rec_u64(v, BLOB_SIZE, 0), rec_u64(v, BLOB_REFS, 0));
    store_cursor_close(c);
    return rc;
}

int blob_open(struct store *s, uint64_t id, int *rc)
{
    int fd = blob_file(s, id);
    *rc = fd >= 0 ? 0 : fd;
    if (fd < 0)
        return -1;
    struct pin **p = pin_of(s, id);
    if (!*p) {
        *p = calloc(1, sizeof **p);
        if (!*p)
            fatal("out of memory");
        (*p)->id = id;
    }
    (*p)->count++;
    return fd;
}

void blob_close(struct store *s, uint64_t id, int fd)
{
    struct pin **p = pin_of(s, id), *pin = *p;
    ASSERT(pin && pin->count);
    close(fd);
    if (--pin->count)
        return;
    bool dead = pin->dead;
    *p = pin->next;
    free(pin);
    if (dead)
        blob_discard(s, id);
}

struct reading {
    struct work work;
    struct store *store;
    int fd, rc;
    uint64_t offset;
    char *to;
    size_t size;
    void (*done)(void *ctx, int rc, struct str bytes);
    void *ctx;
    char bytes[]; /* of its own, or none */
};

static void read_bytes(struct work *work)
{
    struct reading *r = work->data;
    size_t at = 0;
    while (at < r->size && r->rc == 0) {
        ssize_t n = pread(r->fd, r->to + at, r->size - at, (off_t)(r->offset + at));
        if (n > 0)
            at += (size_t)n;
        else if (n == 0 || errno != EINTR)
            r->rc = E_IO; /* shorter than its row says, or the disk fails */
    }
}

static void after_read(struct work *work)
{
    struct reading *r = work->data;
    blobs_worked(r->store);
    r->done(r->ctx, r->rc, str_of(r->to, r->rc ? 0 : r->size));
    free(r);
}

void blob_read_into(struct store *s, int fd, uint64_t offset, char *to, size_t size,
                    void (*done)(void *ctx, int rc, struct str bytes), void *ctx)
{
    ASSERT(size <= BLOB_READ_MAX);
    struct reading *r = malloc(sizeof *r + (to ? 0 : size));
    if (!r)
        fatal("out of memory");
    *r = (struct reading){.store = s,
                          .fd = fd,
                          .offset = offset,
                          .to = to ? to : r->bytes,
                          .size = size,
                          .done = done,
                          .ctx = ctx};
    r->work.data = r;
    blobs_work(s, &r->work, read_bytes, after_read);
}

void blob_read(struct store *s, int fd, uint64_t offset, size_t size,
               void (*done)(void *ctx, int rc, struct str bytes), void *ctx)
{
    blob_read_into(s, fd, offset, NULL, size, done, ctx);
}
