/* rec: the one encoding of our own binary records.
 *
 * A record is a run of fields {u16 tag, u32 length, bytes}, little endian, unaligned; integers are
 * 8 bytes. A reader skips tags it does not know, so fields can be added without a new format. Used
 * for what LMDB holds, for the arguments and results of host calls, and for what LOAD hands a
 * runner. A field may repeat (a list) and may hold a record itself. Readers take hostile bytes:
 * every length is checked against what is left. */
#ifndef BASE_REC_H
#define BASE_REC_H

#include "base/buf.h"

void rec_put_str(struct buf *b, uint16_t tag, struct str v);
void rec_put_u64(struct buf *b, uint16_t tag, uint64_t v);
/* Opens a nested record: returns a mark for rec_end. Fields put between the two belong to it. */
size_t rec_begin(struct buf *b, uint16_t tag);
void rec_end(struct buf *b, size_t mark);

/* First field with that tag: its bytes (borrowed from r), or p NULL when absent or r is malformed.
 */
struct str rec_str(struct str r, uint16_t tag);
/* First field with that tag as an integer, or dflt when absent or not 8 bytes. */
uint64_t rec_u64(struct str r, uint16_t tag, uint64_t dflt);
/* Walks all fields: *rest starts as the record; false at its end or where it is malformed. */
bool rec_next(struct str *rest, uint16_t *tag, struct str *v);
/* The integer in a field's bytes as rec_next gave them, or dflt. */
uint64_t rec_int(struct str v, uint64_t dflt);
/* True when r is a well-formed run of fields. */
bool rec_valid(struct str r);

#endif
