/* store: opening, snapshots and rows.
 *
 * One snapshot serves the whole loop thread: its transaction object is made once and from then on
 * reset and renewed, which costs no lock of LMDB's and no allocation. Snapshots nest (a callback
 * that reads may call something that reads), the inner ones see what the outermost saw.
 *
 * In a write job the first row that LMDB refuses spoils the transaction: `broken` remembers why, so
 * that a job which overlooks the return value cannot be committed by mistake. */
#include "store/store.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/inside.h"
#include "store/key.h"

struct store_cursor {
    MDB_cursor *cursor;
};

int store_open(const struct store_opts *opts, struct store **out, struct err *err)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        fatal("out of memory");
    s->loop = opts->loop;
    s->lock_fd = -1;
    pthread_mutex_init(&s->env_lock, NULL);
    pthread_mutex_init(&s->copy_lock, NULL);
    int rc = env_open(s, opts, err);
    if (rc) {
        env_close(s);
        free(s);
        return rc;
    }
    s->next_id = s->boot << 40;
    blobs_open(s);
    writer_open(s);
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    bool more = true;
    writer_stop(s);
    while (more) {
        more = blobs_wait(s);
        more = writer_flush(s) || more;
    }
    blobs_close(s);
    writer_close(s);
    env_close(s);
    free(s);
}

uv_loop_t *store_loop(const struct store *s)
{
    return s->loop;
}

const char *store_dir(const struct store *s)
{
    return s->dir;
}

uint64_t store_boot(const struct store *s)
{
    return s->boot;
}

uint64_t store_new_id(struct store *s)
{
    return ++s->next_id;
}

bool store_writable(const struct store *s)
{
    return writer_writable(s);
}

const unsigned char *store_master_key(const struct store *s)
{
    return s->master_key;
}

void store_submit(struct store *s, struct job *job)
{
    writer_submit(s, job);
}

struct store *store_of(struct store_txn *t)
{
    return t->store;
}

int store_rc(int lmdb_rc)
{
    switch (lmdb_rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return E_NOT_FOUND;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
        return E_NO_SPACE;
    case MDB_BAD_VALSIZE:
    case MDB_TXN_FULL:
        return E_INTERNAL;
    default:
        return E_IO;
    }
}

/* --- snapshots ---------------------------------------------------------------------------------
 */

/* After a meta page could not be written LMDB wants to be opened again; the store thread does that
 * as soon as it notices. Until then a snapshot cannot begin, so this waits for it. */
static void renew(struct store *s)
{
    struct store_txn *t = &s->snapshot;
    for (int tries = 0;; tries++) {
        pthread_mutex_lock(&s->env_lock);
        int rc = t->txn ? mdb_txn_renew(t->txn) : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->txn);
        if (rc == 0)
            return;
        if (rc != MDB_PANIC || tries == 1000)
            fatal("store: no snapshot: %s", mdb_strerror(rc));
        pthread_mutex_unlock(&s->env_lock);
        usleep(1000);
    }
}

struct store_txn *store_read(struct store *s)
{
    if (s->snapshot_depth++ == 0) {
        s->snapshot.store = s;
        renew(s);
    }
    return &s->snapshot;
}

void store_read_end(struct store_txn *t)
{
    struct store *s = t->store;
    ASSERT(!t->write && s->snapshot_depth);
    if (--s->snapshot_depth == 0) {
        mdb_txn_reset(t->txn);
        pthread_mutex_unlock(&s->env_lock);
    }
}

/* --- rows --------------------------------------------------------------------------------------
 */

static MDB_val val_of(struct str s)
{
    /* LMDB takes a pointer to what it only reads. */
    return (MDB_val){s.n, (void *)(uintptr_t)(s.p ? s.p : "")};
}

static struct str str_of_val(MDB_val v)
{
    return str_of(v.mv_data, v.mv_size);
}

int store_get(struct store_txn *t, enum table table, struct str key, struct str *val)
{
    MDB_val k = val_of(key), v;
    if (key.n == 0 || key.n > KEY_MAX)
        return E_NOT_FOUND;
    int rc = mdb_get(t->txn, t->store->dbi[table], &k, &v);
    if (rc == 0)
        *val = str_of_val(v);
    return store_rc(rc);
}

struct store_cursor *store_cursor(struct store_txn *t, enum table table)
{
    struct store_cursor *c = malloc(sizeof *c);
    if (!c)
        fatal("out of memory");
    int rc = mdb_cursor_open(t->txn, t->store->dbi[table], &c->cursor);
    if (rc)
        fatal("store: no cursor: %s", mdb_strerror(rc));
    return c;
}

void store_cursor_close(struct store_cursor *c)
{
    mdb_cursor_close(c->cursor);
    free(c);
}

static bool move(struct store_cursor *c, MDB_cursor_op op, struct str key, struct str *k,
                 struct str *v)
{
    MDB_val kv = val_of(key), vv;
    if (mdb_cursor_get(c->cursor, &kv, &vv, op) != 0)
        return false;
    *k = str_of_val(kv);
    *v = str_of_val(vv);
    return true;
}

bool store_seek(struct store_cursor *c, struct str key, struct str *k, struct str *v)
{
    if (key.n > KEY_MAX)
        return false;
    return move(c, key.n ? MDB_SET_RANGE : MDB_FIRST, key, k, v);
}

bool store_next(struct store_cursor *c, struct str *k, struct str *v)
{
    return move(c, MDB_NEXT, STR(""), k, v);
}

bool store_seek_before(struct store_cursor *c, struct str key, struct str *k, struct str *v)
{
    if (key.n == 0 || key.n > KEY_MAX)
        return false;
    return move(c, move(c, MDB_SET_RANGE, key, k, v) ? MDB_PREV : MDB_LAST, STR(""), k, v);
}

static int changed(struct store_txn *t, struct str key, struct str val, int rc)
{
    t->changes++;
    t->bytes += key.n + val.n;
    if (rc && !t->broken)
        t->broken = rc;
    return rc;
}

int store_put(struct store_txn *t, enum table table, struct str key, struct str val)
{
    ASSERT(t->write);
    MDB_val k = val_of(key), v = val_of(val);
    return changed(t, key, val, store_rc(mdb_put(t->txn, t->store->dbi[table], &k, &v, 0)));
}

int store_del(struct store_txn *t, enum table table, struct str key)
{
    ASSERT(t->write);
    MDB_val k = val_of(key);
    if (key.n == 0 || key.n > KEY_MAX)
        return 0;
    int rc = mdb_del(t->txn, t->store->dbi[table], &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : changed(t, key, STR(""), store_rc(rc));
}

/* --- small numbers in T_META -------------------------------------------------------------------
 */

uint64_t store_meta_get(struct store_txn *t, const char *name, uint64_t dflt)
{
    struct str v;
    uint64_t n;
    return store_get(t, T_META, str_c(name), &v) == 0 && key_take_u64(&v, &n) ? n : dflt;
}

int store_meta_put(struct store_txn *t, const char *name, uint64_t v)
{
    struct key k = {0};
    return store_put(t, T_META, str_c(name), key_str(key_u64(&k, v)));
}

int store_counter(struct store_txn *t, const char *name, uint64_t *out)
{
    char key[64];
    snprintf(key, sizeof key, "n:%s", name);
    *out = store_meta_get(t, key, 0) + 1;
    return store_meta_put(t, key, *out);
}

int64_t store_time(struct store_txn *t)
{
    return (int64_t)store_meta_get(t, "time", 0);
}
