/* s3_body: how a streaming S3 handler takes its body, whatever form it comes in.
 *
 *   read   the head's promises are judged; nothing of the body has been asked for
 *   take   the body flows, decoded, into an ingest; its chunks' signatures and its trailer are checked
 *   taken  told once: all that came is right but for the digests, which ingest_finish compares
 *
 * PutObject and UploadPart alike: one s3_body_read, an ingest opened with s3_body_promise, one
 * s3_body_take. */
#ifndef API_S3_BODY_H
#define API_S3_BODY_H

#include "api/call.h"
#include "svc/ingest.h"

struct s3_body;

/* Reads x-amz-content-sha256's form, the lengths, Content-MD5, x-amz-checksum-*, x-amz-trailer and
 * x-amz-sdk-checksum-algorithm. 0, or what to answer: E_INVALID_DIGEST, E_BAD_REQUEST with AWS's
 * text, E_LENGTH_REQUIRED, E_LIMIT. In the request's arena. */
int s3_body_read(struct call *c, struct s3_body **out, struct err *err);
/* What the head promises, for ingest_open or object_put_req; the checksum's value may follow as a
 * trailer. `checksum` may be set where it is CHECKSUM_NONE, to have one made. Valid with the call. */
struct body_promise *s3_body_promise(struct s3_body *b);
/* Content-Encoding as it is to be stored: without aws-chunked; p NULL: none. */
struct str s3_body_encoding(struct call *c);
/* taken(c, rc, err) is called once, maybe before this returns. 0: all bytes are in `to`, which is the
 * caller's to finish. Else the caller aborts `to` and answers: E_ABORTED (IncompleteBody),
 * E_BAD_SIGNATURE, E_BAD_TRAILER, E_BAD_REQUEST, E_LIMIT, E_BODY_TIMEOUT. */
void s3_body_take(struct s3_body *b, struct ingest *to,
                  void (*taken)(struct call *c, int rc, const struct err *err));

#endif
