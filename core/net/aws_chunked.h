/* aws_chunked: decoder of the content coding that S3 clients wrap an upload in.
 *
 * Pure and incremental: bytes in, runs of body bytes, ends of chunks and trailer lines out.
 *
 *   HEX[;chunk-signature=64HEX] CRLF bytes CRLF … 0[;chunk-signature=64HEX] CRLF
 *   [name:value[LF] CRLF]… CRLF
 *
 * It may come with a Content-Length or inside a chunked transfer coding, which net has then taken
 * off already. Nothing beside the grammar is accepted. Two habits of clients are in it: a LF before
 * a trailer line's CRLF (AWS's own examples, minio-go), and one more CRLF at the very end. */
#ifndef NET_AWS_CHUNKED_H
#define NET_AWS_CHUNKED_H

#include "base/str.h"

enum { AWS_CHUNKED_LINE_MAX = 512, AWS_CHUNKED_TRAILERS_MAX = 8, AWS_CHUNKED_SIGNATURE = 64 };

struct aws_chunked {
    uint64_t left; /* bytes of the chunk still to come */
    uint8_t state, digits, trailers;
    bool is_signed, has_trailer;
    bool last;                       /* this is the chunk of no bytes */
    uint16_t n;                      /* bytes in line */
    uint16_t cut;                    /* of a trailer: where its colon is */
    char line[AWS_CHUNKED_LINE_MAX]; /* extension of a chunk, or a trailer */
    struct str name, value; /* after AWS_CHUNKED_TRAILER: of the line, until the next call */
};

enum aws_chunked_rc {
    AWS_CHUNKED_MORE,    /* everything taken */
    AWS_CHUNKED_DATA,    /* *out holds body bytes (borrowed from *in) */
    AWS_CHUNKED_CHUNK,   /* a chunk is whole; when signed, *out holds the signature it bears */
    AWS_CHUNKED_TRAILER, /* d->name and d->value */
    AWS_CHUNKED_BAD,     /* malformed: final */
};

/* is_signed: every chunk must bear a signature (without, any extension is passed over).
 * has_trailer: lines may follow the last chunk. */
void aws_chunked_init(struct aws_chunked *d, bool is_signed, bool has_trailer);
/* Takes bytes from the front of *in. */
enum aws_chunked_rc aws_chunked_next(struct aws_chunked *d, struct str *in, struct str *out);
/* Has all of it been read? Asked when no more bytes come. */
bool aws_chunked_ended(const struct aws_chunked *d);
/* What was malformed lies behind the last chunk. */
bool aws_chunked_in_trailer(const struct aws_chunked *d);

#endif
