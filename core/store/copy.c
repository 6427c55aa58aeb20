/* copy: table by table, in order of the keys, into full pages: the copy is never larger than the
 * rows are and holds no page that was deleted.
 *
 * It is made by cursors and not by mdb_env_copy so that it can stop between two rows: the store
 * thread may have to map more or to open the environment again, which must not happen under a
 * snapshot, and must not wait for a slow disk. It sets copy_yield, takes copy_lock, and the copy is
 * given up. The file needs no flush: a crash ends whoever wanted it. */
#include "store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "store/blob.h"
#include "store/inside.h"

enum { COMMIT_BYTES = 16 << 20, LOOK_ROWS = 256 };

struct store_copy {
    struct store *store, *rows;
    char file[64]; /* below the data folder */
    _Atomic bool cancelled;
    uint64_t looked; /* rows since the last look */
};

struct target {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    size_t bytes; /* put and not committed */
};

int store_copy_begin(struct store *s, struct store_copy **out, struct err *err)
{
    if (s->copy)
        return err_set(err, E_CONFLICT, "a backup or scrub is under way already");
    struct store_copy *c = calloc(1, sizeof *c);
    if (!c)
        fatal("out of memory");
    c->store = s;
    snprintf(c->file, sizeof c->file, "tmp/rows-%016llx", (unsigned long long)store_new_id(s));
    s->copy = *out = c;
    return 0;
}

void store_copy_cancel(struct store_copy *c)
{
    c->cancelled = true;
}

bool store_copy_cancelled(const struct store_copy *c)
{
    return c->cancelled;
}

static void path_of(const struct store_copy *c, char path[static STORE_PATH])
{
    snprintf(path, STORE_PATH, "%s/%s", c->store->dir, c->file);
}

/* 0, or why the copy ends here. */
static int look(struct store_copy *c)
{
    if (c->looked++ % LOOK_ROWS)
        return 0;
    if (c->cancelled)
        return E_ABORTED;
    return c->store->copy_yield ? E_IO : 0;
}

static int target_begin(struct target *to, const char *table, unsigned flags)
{
    int rc = mdb_txn_begin(to->env, NULL, 0, &to->txn);
    if (rc == 0)
        rc = mdb_dbi_open(to->txn, table, flags, &to->dbi);
    to->bytes = 0;
    return rc;
}

static int target_commit(struct target *to)
{
    int rc = mdb_txn_commit(to->txn);
    to->txn = NULL;
    return rc;
}

static int copy_rows(struct store_copy *c, MDB_cursor *from, struct target *to, const char *table)
{
    MDB_val k, v;
    int rc;
    while ((rc = mdb_cursor_get(from, &k, &v, MDB_NEXT)) == 0) {
        if ((rc = look(c)))
            return rc;
        rc = mdb_put(to->txn, to->dbi, &k, &v, MDB_APPEND);
        to->bytes += k.mv_size + v.mv_size;
        if (rc == 0 && to->bytes >= COMMIT_BYTES) {
            rc = target_commit(to);
            if (rc == 0 && writer_disk_low(c->store))
                return E_NO_SPACE;
            if (rc == 0)
                rc = target_begin(to, table, 0);
        }
        if (rc)
            return store_rc(rc);
    }
    return rc == MDB_NOTFOUND ? 0 : store_rc(rc);
}

static int copy_table(struct store_copy *c, MDB_txn *txn, struct target *to, int table)
{
    MDB_cursor *from;
    const char *name = env_table_name(table);
    int rc = mdb_cursor_open(txn, c->store->dbi[table], &from);
    if (rc)
        return store_rc(rc);
    rc = store_rc(target_begin(to, name, MDB_CREATE));
    if (rc == 0)
        rc = copy_rows(c, from, to, name);
    if (rc == 0)
        rc = store_rc(target_commit(to));
    mdb_cursor_close(from);
    return rc;
}

static int copy_tables(struct store_copy *c, struct target *to)
{
    MDB_txn *txn;
    int rc = store_rc(mdb_txn_begin(c->store->env, NULL, MDB_RDONLY, &txn));
    if (rc)
        return rc;
    for (int i = 0; i < T_COUNT && rc == 0; i++)
        rc = copy_table(c, txn, to, i);
    mdb_txn_abort(txn);
    return rc;
}

int store_copy_make(struct store_copy *c, struct err *err)
{
    struct store *s = c->store;
    struct target to = {0};
    char path[STORE_PATH];
    path_of(c, path);
    int rc = writer_disk_low(s) ? E_NO_SPACE : store_rc(mdb_env_create(&to.env));
    if (rc == 0) {
        mdb_env_set_maxdbs(to.env, T_COUNT);
        mdb_env_set_mapsize(to.env, s->map_size);
        rc = store_rc(mdb_env_open(to.env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOLOCK, 0600));
    }
    if (rc == 0) {
        pthread_mutex_lock(&s->copy_lock);
        rc = copy_tables(c, &to);
        pthread_mutex_unlock(&s->copy_lock);
    }
    if (to.txn)
        mdb_txn_abort(to.txn);
    if (to.env)
        mdb_env_close(to.env);
    if (rc == 0)
        rc = store_rows_open(s->dir, c->file, &c->rows);
    return rc ? err_set(err, rc, "the rows cannot be copied: %s",
                        rc == E_ABORTED ? "it was stopped" : err_row(rc)->text)
              : 0;
}

struct store *store_copy_rows(struct store_copy *c)
{
    return c->rows;
}

int store_copy_fd(struct store_copy *c, uint64_t *size)
{
    char path[STORE_PATH];
    struct stat st;
    path_of(c, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0) {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

void store_copy_end(struct store_copy *c)
{
    char path[STORE_PATH];
    struct store *s = c->store;
    if (c->rows)
        store_rows_close(c->rows);
    path_of(c, path);
    unlink(path);
    s->copy = NULL;
    free(c);
    blobs_release(s);
}

/* --- rows alone ------------------------------------------------------------------------------- */

int store_rows_open(const char *dir, const char *file, struct store **out)
{
    char path[STORE_PATH];
    MDB_txn *txn = NULL;
    struct store *s = calloc(1, sizeof *s);
    if (!s || !(s->dir = strdup(dir)))
        fatal("out of memory");
    s->lock_fd = -1;
    pthread_mutex_init(&s->env_lock, NULL);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    int rc = mdb_env_create(&s->env);
    if (rc == 0) {
        mdb_env_set_maxdbs(s->env, T_COUNT);
        rc = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0);
    }
    if (rc == 0)
        rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    for (int i = 0; i < T_COUNT && rc == 0; i++)
        rc = mdb_dbi_open(txn, env_table_name(i), 0, &s->dbi[i]);
    if (rc == 0)
        rc = mdb_txn_commit(txn); /* keeps the tables' handles */
    else if (txn)
        mdb_txn_abort(txn);
    if (rc == 0) {
        *out = s;
        return 0;
    }
    store_rows_close(s);
    return rc == MDB_INVALID || rc == MDB_NOTFOUND || rc == MDB_VERSION_MISMATCH ? E_INVALID
                                                                                 : store_rc(rc);
}

void store_rows_close(struct store *s)
{
    env_close(s);
    free(s);
}
