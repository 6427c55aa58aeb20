/* env: the data folder and the LMDB environment in it.
 *
 * DATA/lock is flocked for the life of the process, so that a second server is refused before it
 * touches anything. LMDB's own meta.mdb-lock is not used for that: it holds reader slots, is
 * rebuilt at each start here, and closing any descriptor of it would drop LMDB's locks.
 *
 * Order at a start: folder, lock, environment, then in one transaction: the format number (newer
 * data is refused before anything is changed), the boot number, the floor of store time and the
 * check of the master key. Folder entries are fsynced before that commit, so that a database that
 * says "boot 1" is never found without its key or its folders. A key that is missing while the
 * database has secrets under it is an error, never replaced. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/inside.h"

enum { LOCK_TRIES = 10 };

static const char *const names[T_COUNT] = {
    [T_META] = "meta",
    [T_FUNCTIONS] = "functions",
    [T_PACKAGES] = "packages",
    [T_TRIGGERS] = "triggers",
    [T_ROLES] = "roles",
    [T_USERS] = "users",
    [T_KEYS] = "keys",
    [T_BUCKETS] = "buckets",
    [T_OBJECTS] = "objects",
    [T_BLOBS] = "blobs",
    [T_EVENTS] = "events",
    [T_DUE] = "due",
    [T_KV] = "kv",
    [T_USAGE] = "usage",
    [T_LINKS] = "links",
    [T_BUCKET_CONF] = "bucket_conf",
    [T_KV_DUE] = "kv-due",
    [T_SECRETS] = "secrets",
    [T_UPLOADS] = "uploads",
    [T_PARTS] = "parts",
    [T_ALIASES] = "aliases",
    [T_POLICIES] = "policies",
    [T_SIGNINS] = "signins",
    [T_TEST_EVENTS] = "test_events",
    [T_SCHEDULES] = "schedules",
    [T_RUNS] = "runs",
};

static int make_folders(struct store *s, struct err *err);
static int take_lock(struct store *s, struct err *err);
static int open_lmdb(struct store *s);
static int open_tables(struct store *s, MDB_txn *txn, unsigned flags);
static int explain(struct store *s, int rc, struct err *err);
static int begin_boot(struct store *s, struct err *err);

int env_open(struct store *s, const struct store_opts *opts, struct err *err)
{
    s->dir = strdup(opts->dir);
    if (!s->dir)
        fatal("out of memory");
    size_t n = strlen(s->dir);
    while (n > 1 && s->dir[n - 1] == '/')
        s->dir[--n] = 0;
    if (n == 0 || n > STORE_PATH - 64)
        return err_set(err, E_INVALID, "the data folder's name is %s", n ? "too long" : "empty");
    s->map_size = opts->map_size & ~(uint64_t)4095;
    s->map_reserve = s->map_size / 20 < 64 << 20 ? s->map_size / 20 : 64 << 20;
    s->map_reserve = (s->map_reserve + (256 << 10)) & ~(uint64_t)4095;
    int rc = make_folders(s, err);
    char *full = realpath(s->dir, NULL);
    s->shown = full ? full : strdup(s->dir);
    if (rc == 0)
        rc = take_lock(s, err);
    if (rc)
        return rc;
    rc = open_lmdb(s);
    return rc ? explain(s, rc, err) : begin_boot(s, err);
}

void env_close(struct store *s)
{
    if (s->snapshot.txn)
        mdb_txn_abort(s->snapshot.txn);
    if (s->env)
        mdb_env_close(s->env);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    OPENSSL_cleanse(s->master_key, sizeof s->master_key);
    free(s->shown);
    free(s->dir);
}

/* The store thread, with env_lock held. */
int env_reopen(struct store *s)
{
    if (s->snapshot.txn)
        mdb_txn_abort(s->snapshot.txn);
    s->snapshot.txn = NULL;
    mdb_env_close(s->env);
    s->env = NULL;
    MDB_txn *txn;
    int rc = open_lmdb(s);
    if (rc == 0)
        rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return rc;
    rc = open_tables(s, txn, 0);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

int env_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int rc = fsync(fd) ? errno : 0;
    close(fd);
    return rc;
}

/* --- folders and lock --------------------------------------------------------------------------
 */

const char *env_table_name(int table)
{
    return names[table];
}

void env_exclusive(struct store *s, bool on)
{
    if (on) {
        s->copy_yield = true;
        pthread_mutex_lock(&s->copy_lock);
        pthread_mutex_lock(&s->env_lock);
        return;
    }
    pthread_mutex_unlock(&s->env_lock);
    pthread_mutex_unlock(&s->copy_lock);
    s->copy_yield = false;
}

/* The folder and those above it that are missing; each new entry is written to the disk. */
static int make_path(char *path)
{
    if (mkdir(path, 0700) == 0) {
        char *slash = strrchr(path, '/');
        if (!slash)
            return env_sync_dir(".");
        *slash = 0;
        int rc = env_sync_dir(*path ? path : "/");
        *slash = '/';
        return rc;
    }
    if (errno == EEXIST)
        return 0;
    char *slash = strrchr(path, '/');
    if (errno != ENOENT || !slash || slash == path)
        return errno;
    *slash = 0;
    int rc = make_path(path);
    *slash = '/';
    return rc ? rc : make_path(path);
}

static int make_folders(struct store *s, struct err *err)
{
    static const char *const subs[] = {"", "/blobs", "/tmp"};
    char path[STORE_PATH];
    for (size_t i = 0; i < sizeof subs / sizeof *subs; i++) {
        snprintf(path, sizeof path, "%s%s", s->dir, subs[i]);
        int rc = make_path(path);
        struct stat st;
        if (rc == 0 && (stat(path, &st) || !S_ISDIR(st.st_mode)))
            rc = ENOTDIR;
        if (rc == 0 && access(path, R_OK | W_OK | X_OK))
            rc = errno;
        if (rc)
            return err_set(err, rc == ENOSPC ? E_NO_SPACE : E_IO,
                           "the data folder %s cannot be used: %s", path, strerror(rc));
    }
    return 0;
}

static int take_lock(struct store *s, struct err *err)
{
    char path[STORE_PATH], text[32] = "";
    snprintf(path, sizeof path, "%s/lock", s->dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return err_set(err, E_IO, "%s cannot be opened: %s", path, strerror(errno));
    /* A server that was just killed may still be letting go of its memory. */
    for (int i = 0; flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (i == LOCK_TRIES) {
            ssize_t n = read(s->lock_fd, text, sizeof text - 1);
            return err_set(err, E_CONFLICT,
                           "the data folder %s is in use by another perilune (process %.*s)",
                           s->shown, n > 0 ? (int)strcspn(text, "\n") : 1, n > 0 ? text : "?");
        }
        usleep(20 * 1000);
    }
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(s->lock_fd, 0) == 0 && pwrite(s->lock_fd, text, (size_t)n, 0) < 0)
        log_warn("%s: %s", path, strerror(errno)); /* only the refusal's text is poorer for it */
    return 0;
}

/* --- LMDB --------------------------------------------------------------------------------------
 */

/* flags: MDB_CREATE, or 0 when all are there. */
static int open_tables(struct store *s, MDB_txn *txn, unsigned flags)
{
    int rc = 0;
    for (int i = 0; i < T_COUNT && rc == 0; i++)
        rc = mdb_dbi_open(txn, names[i], flags, &s->dbi[i]);
    return rc;
}

/* An environment as LMDB makes it in `file`, not opened yet. */
static int new_env(struct store *s, const char *file, MDB_env **env)
{
    char path[STORE_PATH];
    snprintf(path, sizeof path, "%s/%s-lock", s->dir, file);
    unlink(path); /* ours is the only process here, so nobody's slots are in it */
    int rc = mdb_env_create(env);
    if (rc)
        return rc;
    mdb_env_set_maxdbs(*env, T_COUNT);
    mdb_env_set_mapsize(*env, s->map_size);
    snprintf(path, sizeof path, "%s/%s", s->dir, file);
    rc = mdb_env_open(*env, path, MDB_NOSUBDIR | MDB_NOTLS, 0600);
    if (rc) {
        mdb_env_close(*env);
        *env = NULL;
    }
    return rc;
}

/* On the first start. LMDB writes the two pages that make a file a database without a flush, so a
 * power cut in the first milliseconds could leave one that never opens again: it is made under
 * another name and renamed once a transaction is on the disk. */
static int create_lmdb(struct store *s)
{
    char path[STORE_PATH], part[STORE_PATH];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    snprintf(path, sizeof path, "%s/meta.mdb", s->dir);
    snprintf(part, sizeof part, "%s/meta.mdb.new", s->dir);
    if (access(path, F_OK) == 0)
        return 0;
    unlink(part);
    int rc = new_env(s, "meta.mdb.new", &env);
    if (rc)
        return rc;
    rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, names[T_META], MDB_CREATE, &dbi);
        if (rc)
            mdb_txn_abort(txn);
        else
            rc = mdb_txn_commit(txn);
    }
    if (rc == 0)
        rc = mdb_env_sync(env, 1);
    mdb_env_close(env);
    if (rc == 0 && rename(part, path) != 0)
        rc = errno;
    snprintf(part, sizeof part, "%s/meta.mdb.new-lock", s->dir);
    unlink(part);
    return rc ? rc : env_sync_dir(s->dir);
}

/* A file that was cut is read beyond its end, which is SIGBUS: with a hole there LMDB finds pages that
 * are none, and says so. (One that ends early need not be damaged: pages taken and given back within a
 * transaction are never written.) */
static int fill_up(MDB_env *env, int fd)
{
    MDB_envinfo info;
    MDB_stat about;
    struct stat file;
    int rc = mdb_env_info(env, &info);
    if (rc == 0)
        rc = mdb_env_stat(env, &about);
    if (rc == 0 && fstat(fd, &file) != 0)
        rc = errno;
    if (rc)
        return rc;
    off_t size = ((off_t)info.me_last_pgno + 1) * (off_t)about.ms_psize;
    return file.st_size >= size || ftruncate(fd, size) == 0 ? 0 : errno;
}

static int open_lmdb(struct store *s)
{
    int fd, rc = create_lmdb(s);
    if (rc == 0)
        rc = new_env(s, "meta.mdb", &s->env);
    if (rc == 0) {
        mdb_env_get_fd(s->env, &fd);
        fcntl(fd, F_SETFD, FD_CLOEXEC); /* LMDB leaves this one open over exec */
        rc = fill_up(s->env, fd);
    }
    return rc;
}

static int explain(struct store *s, int rc, struct err *err)
{
    const char *why = mdb_strerror(rc);
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED ||
        rc == MDB_PAGE_NOTFOUND || rc == MDB_BAD_TXN) /* the last: what came before found it so */
        why = "it is damaged or was not made by perilune";
    else if (rc == ENOSPC || rc == EDQUOT)
        why = "the disk is full";
    return err_set(err, store_rc(rc), "%s/meta.mdb cannot be opened: %s", s->shown, why);
}

/* --- the first transaction of a boot -----------------------------------------------------------
 */

/* Reads DATA/master.key, or makes it when `fresh`. */
static int load_key(struct store *s, bool fresh, struct err *err)
{
    char path[STORE_PATH], part[STORE_PATH];
    snprintf(path, sizeof path, "%s/master.key", s->dir);
    snprintf(part, sizeof part, "%s/master.key.new", s->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && !fresh)
        return err_set(
            err, E_NOT_FOUND,
            "%s/master.key is missing: the secrets in this data folder cannot be read without it; "
            "put it back from a backup",
            s->shown);
    if (fd < 0 && errno == ENOENT) {
        random_bytes(s->master_key, sizeof s->master_key);
        unlink(part);
        fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        bool ok = fd >= 0 && write(fd, s->master_key, sizeof s->master_key) == 32 &&
                  fsync(fd) == 0 && rename(part, path) == 0;
        int rc = ok ? env_sync_dir(s->dir) : errno;
        if (fd >= 0)
            close(fd);
        return rc ? err_set(err, store_rc(rc), "%s/master.key cannot be written: %s", s->shown,
                            strerror(rc))
                  : 0;
    }
    ssize_t n = fd < 0 ? -1 : read(fd, s->master_key, sizeof s->master_key);
    int rc = n < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (n != sizeof s->master_key)
        return err_set(err, E_IO, "%s/master.key cannot be read: %s", s->shown,
                       rc ? strerror(rc) : "it is not 32 bytes long");
    return 0;
}

/* The database remembers a digest of the key it was sealed with. */
static int check_key(struct store_txn *t, bool fresh, struct err *err)
{
    unsigned char mac[32];
    struct str name = STR("key-check"), kept, want = str_of((char *)mac, sizeof mac);
    hmac_once(HASH_SHA256, str_of((const char *)t->store->master_key, 32), STR("perilune"), mac);
    if (fresh)
        return store_put(t, T_META, name, want);
    if (store_get(t, T_META, name, &kept) == 0 && str_eq_secret(kept, want))
        return 0;
    return err_set(err, E_INVALID, "%s/master.key does not belong to this data folder",
                   t->store->shown);
}

static int boot_rows(struct store_txn *t, struct err *err)
{
    struct store *s = t->store;
    struct str v;
    int rc = mdb_dbi_open(t->txn, names[T_META], MDB_CREATE, &s->dbi[T_META]);
    if (rc)
        return explain(s, rc, err);
    uint64_t format = store_meta_get(t, "format", ENV_FORMAT);
    bool fresh = store_get(t, T_META, STR("key-check"), &v) == E_NOT_FOUND;
    if (format > ENV_FORMAT)
        return err_set(err, E_CONFLICT,
                       "the data folder %s has format %llu, written by a newer perilune; this one "
                       "knows formats up to %d",
                       s->shown, (unsigned long long)format, ENV_FORMAT);
    rc = open_tables(s, t->txn, MDB_CREATE);
    if (rc)
        return explain(s, rc, err);
    rc = load_key(s, fresh, err);
    if (rc == 0)
        rc = check_key(t, fresh, err);
    if (rc)
        return rc;
    clock_store_floor(store_time(t));
    s->boot = store_meta_get(t, "boot", 0) + 1;
    store_meta_put(t, "format", ENV_FORMAT);
    store_meta_put(t, "boot", s->boot);
    store_meta_put(t, "time", (uint64_t)clock_store_ms());
    return t->broken;
}

static int begin_boot(struct store *s, struct err *err)
{
    struct store_txn t = {.store = s, .write = true};
    int rc = mdb_txn_begin(s->env, NULL, 0, &t.txn);
    if (rc)
        return explain(s, rc, err);
    rc = boot_rows(&t, err);
    if (rc) {
        mdb_txn_abort(t.txn);
        if (err && err->code)
            return rc;
        return rc == E_IO ? explain(s, MDB_CORRUPTED, err) /* a page is none */
                          : err_set(err, rc, "%s", err_row(rc)->text);
    }
    rc = mdb_txn_commit(t.txn);
    return rc ? explain(s, rc, err) : 0;
}
