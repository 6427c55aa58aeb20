/* ingest: the bytes of one upload on their way into the store: an object's, or a part's.
 *
 * Small bodies stay in memory, larger ones become a blob; digests are made on the way and compared
 * with what the sender promised. open, write*, then finish or abort. Nothing refers to the bytes
 * until the caller's job commits a record of them. */
#ifndef SVC_INGEST_H
#define SVC_INGEST_H

#include "base/checksum.h"
#include "base/err.h"
#include "svc/object.h"

/* Never NULL; copies the promise. Bodies of up to inline_max bytes stay in memory. */
struct ingest *ingest_open(struct objects *o, const struct body_promise *promise,
                           size_t inline_max);
/* Copies. False: enough waits, the source should pause until `drained` (what comes meanwhile is
 * still taken). Large bodies are hashed off the loop. */
bool ingest_write(struct ingest *g, struct str bytes);
/* Called from the loop after writes that answered false; ctx stays the caller's. */
void ingest_on_drained(struct ingest *g, void (*drained)(void *ctx), void *ctx);
/* Before finish: the checksum that a trailer promises; raw, of the size of promise.checksum. */
void ingest_promise_checksum(struct ingest *g, const unsigned char *raw);
/* Bytes so far. */
uint64_t ingest_size(const struct ingest *g);

struct ingest_facts { /* valid until ingest_close */
    uint64_t size;
    char etag[33]; /* hex MD5 */
    unsigned char md5[16];
    enum checksum_alg checksum; /* promise.checksum */
    unsigned char checksum_raw[CHECKSUM_MAX];
    char checksum_text[CHECKSUM_TEXT_MAX]; /* its base64 */
    struct str bytes;                      /* a small body; p NULL when in a blob */
    uint64_t blob; /* synced, without a reference: a job must blob_ref it, or it is discarded by
                      ingest_close(g, false) */
};
/* Finishes the digests, compares, syncs the blob. done(ctx, rc, facts, err): 0, E_BAD_DIGEST,
 * E_BAD_SHA256, or what the disk says; may be called before this returns. In every case the caller
 * then calls ingest_close, in `done` or later. */
void ingest_finish(struct ingest *g,
                   void (*done)(void *ctx, int rc, const struct ingest_facts *facts,
                                const struct err *err),
                   void *ctx);
/* After done. kept: a committed record refers to the blob now; else the file is removed. */
void ingest_close(struct ingest *g, bool kept);
/* Instead of finish. */
void ingest_abort(struct ingest *g);

#endif
