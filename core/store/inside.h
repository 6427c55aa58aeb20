/* inside: what the files of this folder know of each other. Nobody else includes it.
 *
 *   env.c    the data folder, its lock, its master key and the LMDB environment
 *   store.c  transactions and rows
 *   writer.c the store thread: batches, commits, trouble and recovery
 *   copy.c   the rows of one moment, for backups
 *   blob.c   files beside LMDB; blob_writer.c writes them, sweep.c finds the lost ones
 *   seal.c   sealed secrets */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/work.h"
#include "store/store.h"

struct store_txn {
    struct store *store;
    MDB_txn *txn;
    bool write;
    int broken;       /* E_* of a row that LMDB would not take: the transaction is lost */
    uint64_t changes; /* rows put and deleted */
    size_t bytes;     /* of those rows */
    struct buf dead;  /* u64 ids of blobs whose last reference went, see blob.c */
};

struct store {
    char *dir;   /* as given: a server that was sent into its folder calls it "." */
    char *shown; /* the same for messages */
    uv_loop_t *loop;
    int lock_fd; /* DATA/lock, flocked for life */
    uint64_t boot;
    _Atomic uint64_t next_id;
    unsigned char master_key[32];

    MDB_env *env;
    MDB_dbi dbi[T_COUNT];
    uint64_t map_size, map_reserve; /* the reserve is mapped only for deletes in a full map */
    /* Held by the loop during a snapshot and by the store thread while it opens the environment
     * again or maps more of it: neither may happen under a snapshot. */
    pthread_mutex_t env_lock;
    struct store_txn snapshot; /* reset and renewed; the loop's */
    unsigned snapshot_depth;

    struct writer *writer;
    struct blobs *blobs;

    /* copy.c. Its snapshot is held under copy_lock, which the store thread takes for what must not
     * happen under a snapshot; copy_yield asks for it. */
    struct store_copy *copy; /* the loop's */
    pthread_mutex_t copy_lock;
    _Atomic bool copy_yield;
};

/* env.c. Both set s->env and s->dbi; env_reopen closes first and keeps the boot number. */
int env_open(struct store *s, const struct store_opts *opts, struct err *err);
int env_reopen(struct store *s);
/* What is left when env_open failed or at the end. */
void env_close(struct store *s);
/* Writes what the kernel holds of a folder's entries to the disk: 0 or an errno. */
int env_sync_dir(const char *path);
enum { ENV_FORMAT = 1 };
const char *env_table_name(int table);
/* The store thread, around what must not happen under a snapshot of the loop's or a copy's. */
void env_exclusive(struct store *s, bool on);

/* store.c */
/* E_* of an LMDB or system error. */
int store_rc(int lmdb_rc);
/* Small unsigned values in T_META. */
uint64_t store_meta_get(struct store_txn *t, const char *name, uint64_t dflt);
int store_meta_put(struct store_txn *t, const char *name, uint64_t v);

/* writer.c */
void writer_open(struct store *s);
/* Takes no more jobs, commits what is queued. Then flush until there is nothing: runs done
 * callbacks (which may submit: those jobs are shut out), tells whether there were any. */
void writer_stop(struct store *s);
bool writer_flush(struct store *s);
void writer_close(struct store *s);
void writer_submit(struct store *s, struct job *job);
bool writer_writable(const struct store *s);
/* Is the file system at or below its floor? Any thread. */
bool writer_disk_low(const struct store *s);
/* A blob was refused because of that: the store says so too until there is room again. Any thread. */
void writer_no_room(struct store *s);

/* blob.c */
enum { STORE_PATH = 4096 };
/* Of the blob's file, or of its folder. */
void blob_path(const struct store *s, uint64_t id, char path[static STORE_PATH], bool folder);
/* work_start, counted: `after` must call blobs_worked first. */
void blobs_work(struct store *s, struct work *work, void (*run)(struct work *w),
                void (*after)(struct work *w));
void blobs_worked(struct store *s);
bool blobs_pinned(struct store *s, uint64_t id);
void blobs_open(struct store *s);
/* Turns the loop until the pool has finished all that is under way; tells whether there was any. */
bool blobs_wait(struct store *s);
/* blobs_wait has been called: long work stops early. */
bool blobs_closing(const struct store *s);
void blobs_close(struct store *s);
/* Loop thread, after the commit: ids (u64) whose references are all gone. Their files stay while there
 * is a copy of the rows; blobs_release lets them go. */
void blobs_dead(struct store *s, struct str ids);
void blobs_release(struct store *s);

#endif
