/* extents: the body of an object that came in parts.
 *
 * Its bytes stay where the parts put them: T_PARTS, keyed `list (u64) + part number (u32)`, holds a
 * rec for each, with the bytes or the blob they lie in. The object's record says which of those
 * rows make the object and where every 64th of them begins, so that any offset is found by reading
 * at most 64 rows, however many parts there are. The list is the id of the upload; its row in
 * T_UPLOADS counts the objects that share it (copies do), so that copying, overwriting and deleting
 * cost the same for one part and for 10,000.
 *
 * A list whose last owner goes is only marked in that transaction. Its rows and blobs are removed
 * afterwards, some at a time, on and across restarts, and not while somebody reads it. */
#ifndef SVC_EXTENTS_H
#define SVC_EXTENTS_H

#include "store/store.h"

enum {
    EXTENTS_MAX = 10000, /* parts of an object, and the highest number of one */
    EXTENTS_STRIDE = 64, /* parts from one known offset to the next */
    EXTENT_MD5 = 16,     /* bytes */
};

struct extents {      /* strings borrowed as the record they were read from */
    uint64_t list;    /* 0: the body is not in parts */
    uint32_t count;   /* of parts */
    struct str runs;  /* {u16 first, u16 how many} little endian: which numbers, in their order */
    struct str index; /* u64 little endian: offsets of parts 0, 64, 128, … */
};

/* Appends a record's fields; reads them back. Bytes of an own store, still judged: E_INTERNAL. */
void extents_encode(struct buf *rec, const struct extents *e);
int extents_decode(struct str rec, struct extents *out);

/* Makes runs and index while the parts are named in rising order; the buffers are the caller's. */
struct extents_maker {
    struct buf runs, index;
    uint32_t count, last;
    uint64_t size; /* so far */
};
void extents_add(struct extents_maker *m, uint32_t number, uint64_t size);

/* The number of the i-th part (i < count). */
uint32_t extents_number(const struct extents *e, uint32_t i);
/* Is the part of that number one of them? */
bool extents_holds(const struct extents *e, uint32_t number);

struct extent {
    uint32_t number;
    uint64_t size;
    int64_t modified_ms;
    struct str md5;                    /* 16 raw bytes */
    struct str checksum_alg, checksum; /* "CRC32", base64; "" none */
    struct str bytes;                  /* small parts; p NULL when in a blob */
    uint64_t blob;                     /* 0 when not */
};
/* The T_PARTS record of x; false when rec is none. */
void extent_encode(struct buf *rec, const struct extent *x);
bool extent_decode(struct str rec, struct extent *out);
/* The row's key in `space`. */
enum { EXTENT_KEY = 12 };
struct str extent_key(uint64_t list, uint32_t number, char space[static EXTENT_KEY]);

/* The i-th part's row, borrowed from t. E_INTERNAL when it is not there. */
int extents_get(struct store_txn *t, const struct extents *e, uint32_t i, struct extent *out);
/* The same, and where it begins. */
int extents_place(struct store_txn *t, const struct extents *e, uint32_t i, struct extent *out,
                  uint64_t *begins);
/* Which part holds the byte at `offset` (below the object's size), and where that part begins. */
int extents_find(struct store_txn *t, const struct extents *e, uint64_t offset, uint32_t *i,
                 uint64_t *begins);

#endif
