/* body: decoders for the two framings of a request body.
 *
 * Pure: bytes in, runs of body bytes out, in place. The chunked decoder accepts the grammar and
 * nothing beside it: 1 to 8 hex digits, extensions without control bytes, CRLF where CRLF belongs,
 * trailers that are well-formed header lines (checked, then dropped). */
#ifndef NET_BODY_H
#define NET_BODY_H

#include "base/str.h"

enum body_state {
    BODY_LENGTH,
    BODY_SIZE,
    BODY_EXT,
    BODY_SIZE_LF,
    BODY_CHUNK,
    BODY_CHUNK_CR,
    BODY_CHUNK_LF,
    BODY_TRAILER,
    BODY_TRAILER_NAME,
    BODY_TRAILER_VALUE,
    BODY_TRAILER_LF,
    BODY_LAST_LF,
    BODY_ENDED,
    BODY_BROKEN,
};

struct body {
    uint64_t left;  /* bytes of the body or of the chunk still to come */
    uint32_t extra; /* bytes of extensions and trailers so far in this chunk */
    uint8_t digits; /* of the chunk size */
    uint8_t state;  /* enum body_state */
};

enum body_rc {
    BODY_MORE, /* everything taken, the body goes on */
    BODY_DATA, /* *out holds body bytes (borrowed from *in) */
    BODY_END,  /* the body is whole; what is left in *in belongs to the next request */
    BODY_BAD,  /* malformed: final */
};

/* content_length -1: chunked. A length of 0 has ended at once. */
void body_init(struct body *b, int64_t content_length);
/* Takes bytes from the front of *in. After the last byte of a body with a length, body_ended says
 * so without another call. */
enum body_rc body_next(struct body *b, struct str *in, struct str *out);

static inline bool body_ended(const struct body *b)
{
    return b->state == BODY_ENDED;
}

#endif
