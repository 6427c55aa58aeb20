/* logs_index: what is known of a block of a segment without reading it.
 *
 * One entry a block: where it lies, the ids and times it spans, and its streams with theirs. A
 * reader skips blocks by it, and the list of streams is made from it alone. Entries of a closed
 * segment lie in a file beside it; they can always be made again from the segment. */
#ifndef SVC_LOGS_INDEX_H
#define SVC_LOGS_INDEX_H

#include "svc/logs_record.h"

struct index_stream {
    struct str name; /* borrowed from the entry, or owned by a builder */
    int64_t created_ms, first_ms, last_ms;
    uint64_t last_id; /* 0: announced, no event yet */
};

struct index_block {
    uint32_t offset, size; /* in the segment file */
    uint64_t first_id, last_id;
    int64_t min_ms, max_ms;
    uint32_t events;
    uint32_t streams; /* how many */
};

/* --- building --------------------------------------------------------------------------------- */

struct index_builder {
    struct index_block block;
    struct index_stream *streams; /* by number in the block; names malloc'd */
    size_t capacity;
};

/* Begins a block at that offset; forgets the one before. */
void log_index_begin(struct index_builder *b, uint32_t offset);
/* Takes one record into account (and size into the block's). False when it cannot stand here: a
 * stream number that was not announced or is out of turn. */
bool log_index_add(struct index_builder *b, const struct log_record *r, size_t size);
/* Back to an earlier state of the same block. */
void log_index_rollback(struct index_builder *b, const struct index_block *to);
/* Appends the block as an entry. Blocks without events give none. */
void log_index_end(const struct index_builder *b, struct buf *out);
void log_index_free(struct index_builder *b);

/* --- reading ---------------------------------------------------------------------------------- */

/* The entry at the front of *rest, which is advanced; false at the end or where it is malformed.
 * streams: the bytes log_index_stream takes one from each time. */
bool log_index_next(struct str *rest, struct index_block *block, struct str *streams);
bool log_index_stream(struct str *streams, struct index_stream *out);

#endif
