/* chunk_chain: the signatures of an upload's chunks, checked beside its way.
 *
 * Bytes and ends of chunks are told in the order of the body; the hashes are made on the pool, in
 * runs. Whoever feeds it must not let anything last before chunk_chain_end has been answered. Loop
 * thread only. */
#ifndef API_CHUNK_CHAIN_H
#define API_CHUNK_CHAIN_H

#include <uv.h>

#include "auth/sigv4.h"
#include "base/buf.h"
#include "base/work.h"

struct chunk_run {
    struct buf bytes, marks; /* marks: ends of chunks in them */
};

struct chunk_chain {
    uv_loop_t *loop;
    void (*moved)(void *ctx);
    void *ctx;
    struct sigv4_chain links;
    struct chunk_run gathered, checking;
    struct hash *chunk; /* SHA-256 of the chunk so far; the pool's while busy */
    struct work work;
    bool busy, ended, broken, no_memory;
};

/* The claim has been verified with that secret. moved(ctx): a run has been checked; ask again. */
void chunk_chain_init(struct chunk_chain *k, uv_loop_t *loop, const struct sigv4_claim *claim,
                      struct str secret, void (*moved)(void *ctx), void *ctx);
/* Copies. */
void chunk_chain_add(struct chunk_chain *k, struct str bytes);
/* The chunk ends here and bears this signature: 64 hex digits. */
void chunk_chain_mark(struct chunk_chain *k, struct str signature);
/* No more will come. */
void chunk_chain_end(struct chunk_chain *k);
/* The source should wait for `moved`. */
bool chunk_chain_behind(const struct chunk_chain *k);
/* The pool has a part of it: not to be freed. */
static inline bool chunk_chain_busy(const struct chunk_chain *k)
{
    return k->busy;
}
/* A signature was wrong, or E_INTERNAL: 0 or E_*. Final once it is not 0, or ended and not busy. */
int chunk_chain_rc(const struct chunk_chain *k);
/* After the last chunk: does the signature cover these trailer lines? */
bool chunk_chain_trailer(struct chunk_chain *k, struct str lines, struct str signature);
/* Not while busy. */
void chunk_chain_deinit(struct chunk_chain *k);

#endif
