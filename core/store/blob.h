/* blob: immutable files under DATA/blobs/xx/ID, created under their final id.
 *
 * Write, fsync file and folder, then the LMDB commit that refers to the id; no rename. Ids hold the
 * boot number, so that a sweep after start removes only unreferenced files of earlier boots.
 * References are counted in T_BLOBS; the file goes when the count falls to zero and nobody has it
 * pinned. */
#ifndef STORE_BLOB_H
#define STORE_BLOB_H

#include "store/store.h"

struct blob_writer;

enum { BLOB_READ_MAX = 1024 * 1024, BLOB_PIECE = 64 * 1024 };

/* A run of a blob's bytes in memory, shared by who writes it and who hashes it. */
struct blob_piece {
    struct blob_piece *next; /* the writer's */
    int refs;
    size_t n;
    char bytes[BLOB_PIECE];
};

/* Starts a new blob (the file is created on the pool at the first write). Never NULL. */
struct blob_writer *blob_create(struct store *s);
/* Queues a copy of bytes to be written; returns the bytes now waiting. The caller pauses its source
 * above 1 MiB and resumes in `drained`. */
size_t blob_write(struct blob_writer *w, struct str bytes);
/* Another bound than 1 MiB, for callers that hold memory of their own for the same bytes. At least
 * 256 KiB. */
void blob_pause_above(struct blob_writer *w, size_t bytes);
void blob_on_drained(struct blob_writer *w, void (*drained)(void *ctx), void *ctx);
/* Shows the bytes a second time, in pieces that will not change, to who hashes them: `full` is called
 * within blob_write and blob_end and gets a reference, which blob_piece_done gives back (any thread).
 * Before the first write. */
void blob_on_piece(struct blob_writer *w, void (*full)(void *ctx, struct blob_piece *p), void *ctx);
void blob_piece_done(struct blob_piece *p);
/* No more bytes will come: the last piece is shown and written; blob_finish or blob_abort follows. */
void blob_end(struct blob_writer *w);
/* Writes the rest, fsyncs file and folder on the pool, then done(ctx, rc, id, size). The writer is
 * gone after done. On rc != 0 the file has been removed. The file has no reference yet: the next
 * job must blob_ref it, or blob_discard is called. */
void blob_finish(struct blob_writer *w, void (*done)(void *ctx, int rc, uint64_t id, uint64_t size),
                 void *ctx);
/* Drops an unfinished writer and its file. */
void blob_abort(struct blob_writer *w);
/* Removes a finished but unreferenced blob (its job was refused). */
void blob_discard(struct store *s, uint64_t id);

/* In a job: one more or one fewer reference. The unlink happens after the commit. */
int blob_ref(struct store_txn *t, uint64_t id, uint64_t size);
int blob_unref(struct store_txn *t, uint64_t id);

/* Loop thread: opens for reading and pins; -1 when it is not there (E_* in *rc). blob_close unpins.
 */
int blob_open(struct store *s, uint64_t id, int *rc);
void blob_close(struct store *s, uint64_t id, int fd);
/* Any thread, where something else keeps the file (a copy of the rows, copy.h): a descriptor, or
 * E_NOT_FOUND or E_IO. */
int blob_file(const struct store *s, uint64_t id);
/* All blobs that rows name, in order of their ids, until each() answers otherwise than 0: that. */
int blob_each(struct store_txn *t,
              int (*each)(void *ctx, uint64_t id, uint64_t size, uint64_t refs), void *ctx);
/* Reads size bytes at offset on the pool; done(ctx, rc, bytes) with bytes valid during the call.
 * size <= 1 MiB. */
void blob_read(struct store *s, int fd, uint64_t offset, size_t size,
               void (*done)(void *ctx, int rc, struct str bytes), void *ctx);
/* The same into memory of the caller, which stays until done is called. What goes into fresh memory
 * is read this way: its page faults are the pool's then, and not the loop's. */
void blob_read_into(struct store *s, int fd, uint64_t offset, char *to, size_t size,
                    void (*done)(void *ctx, int rc, struct str bytes), void *ctx);

/* Removes unreferenced files of earlier boots, on the pool, a folder at a time: after a start, and when
 * asked to. done (may be NULL) hears how many; it comes before store_close returns. */
void blob_sweep(struct store *s, void (*done)(void *ctx, size_t removed), void *ctx);

#endif
