/* store: LMDB, one writer thread, group commit.
 *
 * Readers run on the loop's thread inside a snapshot that never outlives the callback that opened
 * it. Writers hand a job to the store thread: it applies a batch of jobs in one transaction,
 * commits (default durability flags), and only then are their `done` callbacks run on the loop. So
 * whatever `done(0)` acknowledges is on the disk. A job that fails takes nobody with it: the batch
 * is rolled back and its jobs run again one by one. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"

enum table {
    T_META,        /* text -> small values: format number, boot number, store time, id counters */
    T_FUNCTIONS,   /* NAME\0VERSION\0 -> rec of FN_* (svc/function) */
    T_PACKAGES,    /* sha256 (32) -> rec: zip and unpacked form, inline or blob ids, references */
    T_TRIGGERS,    /* bucket id (u64) + number -> rec */
    T_ROLES,       /* NAME\0 -> rec */
    T_USERS,       /* NAME\0 -> rec */
    T_KEYS,        /* access key id -> rec, secret sealed */
    T_BUCKETS,     /* NAME\0 -> rec */
    T_OBJECTS,     /* object-key rows, see objkey.h */
    T_BLOBS,       /* blob id (u64) -> rec: size, references */
    T_EVENTS,      /* event id (u64) -> rec; event id + "p" -> payload (svc/queue_row) */
    T_DUE,         /* function id (u64) + due ms (u64) + event id (u64) -> "" */
    T_KV,          /* NAMESPACE\0KEY -> rec */
    T_USAGE,       /* function id (u64) + day (u32) -> rec */
    T_LINKS,       /* what was made together: NAME\0 -> rec (blueprint and deploy manifests) */
    T_BUCKET_CONF, /* bucket id (u64) + kind (u32) -> rec (svc/bucket_conf) */
    T_KV_DUE,      /* expiry (u64 ms of store time) + key of T_KV -> "" */
    T_SECRETS,     /* NAME\0 -> rec, value sealed */
    T_UPLOADS,     /* kind + upload id (u64) -> rec (svc/object_body) */
    T_PARTS,       /* upload id (u64) + part number (u32) -> rec (svc/extents) */
    T_ALIASES,     /* NAME\0ALIAS\0 -> rec of FN_* (svc/function) */
    T_POLICIES,    /* NAME\0 -> rec (svc/managed) */
    T_SIGNINS,     /* SHA-256 of a console session's token -> rec (svc/signin) */
    T_TEST_EVENTS, /* function id (u64) + NAME\0 -> rec (svc/test_event) */
    T_SCHEDULES,   /* KIND\0GROUP\0NAME\0 -> rec (svc/schedule) */
    T_RUNS,        /* function id (u64) + class + time + event id -> "" (svc/queue_row) */
    T_COUNT
};

struct store;
struct store_txn;
struct store_cursor;

struct store_opts {
    const char *dir;   /* created 0700 when missing; holds meta.mdb, blobs/, tmp/, master.key */
    uint64_t map_size; /* bytes */
    uv_loop_t *loop;   /* done callbacks run here */
};

/* Opens or creates. err names what is wrong: folder in use by another server, newer format, no
 * permission. Starts the store thread. Sets the floor of store time. */
int store_open(const struct store_opts *opts, struct store **out, struct err *err);
/* Commits what is queued, joins the thread, runs the done callbacks that are left, closes. None
 * runs after this returns. Not from within a callback of the loop (it waits for the pool by turning
 * it); the loop must turn once more afterwards to let go of a handle. Jobs submitted meanwhile get
 * E_SHUTDOWN. */
void store_close(struct store *s);
const char *store_dir(const struct store *s);
uv_loop_t *store_loop(const struct store *s);
/* Grows by one at each open; never 0. */
uint64_t store_boot(const struct store *s);
/* An id that no other call, in this or an earlier boot, has given: boot number << 40 | count. Ids
 * grow. Any thread; costs nothing, so an id may be thrown away. */
uint64_t store_new_id(struct store *s);
/* The boot that gave it. */
static inline uint64_t store_id_boot(uint64_t id)
{
    return id >> 40;
}
/* False while the disk is full or failing: writes are refused with E_NO_SPACE or E_IO. */
bool store_writable(const struct store *s);
/* 32-byte key under which secrets are sealed (DATA/master.key). */
const unsigned char *store_master_key(const struct store *s);

/* --- reading (loop thread) ------------------------------------------------------------------- */

/* A snapshot; ends in the same callback. Nested ones share the outermost's view. Aborts only on a
 * broken invariant. */
struct store_txn *store_read(struct store *s);
void store_read_end(struct store_txn *t);
/* 0 and *val (valid until the transaction ends or, in a write job, until its next write), or
 * E_NOT_FOUND, or E_IO. */
int store_get(struct store_txn *t, enum table table, struct str key, struct str *val);
struct store_cursor *store_cursor(struct store_txn *t, enum table table);
void store_cursor_close(struct store_cursor *c);
/* First row with key >= key; then the following ones. False at the end. Borrowed as store_get's. */
bool store_seek(struct store_cursor *c, struct str key, struct str *k, struct str *v);
bool store_next(struct store_cursor *c, struct str *k, struct str *v);
/* Last row with key < key. */
bool store_seek_before(struct store_cursor *c, struct str key, struct str *k, struct str *v);

/* --- writing --------------------------------------------------------------------------------- */

struct job {
    /* Store thread. Returns 0; or a clean refusal (a negative E_* other than E_IO, E_NO_SPACE,
     * E_INTERNAL) having written NOTHING; or one of those three, and the transaction is undone. May
     * run more than once, so it must not consume its inputs. <= 1,000 rows. */
    int (*apply)(struct job *job, struct store_txn *t);
    /* Loop thread, after the commit or with the refusal. Owns the job from here. */
    void (*done)(struct job *job, int rc);
    /* store's */
    struct job *next;
    int rc;
    bool undo; /* set by the caller: apply runs in a nested transaction, so that a refusal may come
                  after writes: they are undone */
    bool frees_space; /* set by the caller: still taken when the disk is nearly full */
    bool rides;       /* set by the caller: nobody waits for it. It shares the next commit that
                         somebody waits for, or has its own after some milliseconds */
};
/* Loop thread. The job's memory is the store's until done. Jobs are applied in the order of
 * submission. A refusal after writes costs the whole batch a second run unless `undo` is set. */
void store_submit(struct store *s, struct job *job);

/* Inside apply: */
int store_put(struct store_txn *t, enum table table, struct str key, struct str val);
/* 0 also when absent. */
int store_del(struct store_txn *t, enum table table, struct str key);
/* Next value of a named counter (1, 2, …), e.g. "function". */
int store_counter(struct store_txn *t, const char *name, uint64_t *out);
struct store *store_of(struct store_txn *t);
/* Store time when this snapshot's last batch was committed: whatever a later batch stamps with
 * clock_store_ms is at or after it. */
int64_t store_time(struct store_txn *t);

/* --- sealed secrets --------------------------------------------------------------------------- */

/* AES-256-GCM under the master key, bound to `label`: nonce, bytes, tag appended to out. */
void store_seal(const struct store *s, struct str label, struct str plain, struct buf *out);
/* False when it was not sealed by this key and label. */
bool store_unseal(const struct store *s, struct str label, struct str sealed, struct buf *out);

#endif
