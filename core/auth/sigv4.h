/* sigv4: AWS Signature Version 4, verifying and signing. Pure functions on buffers.
 *
 * S3 paths are signed encoded once, as they lie on the wire, and never normalised; the other
 * services' paths are normalised and encoded once more.
 * Derived signing keys are cached per key, day, region and service, bounded. MACs are compared in
 * constant time. */
#ifndef AUTH_SIGV4_H
#define AUTH_SIGV4_H

#include "base/buf.h"
#include "base/err.h"

struct sigv4_header {
    struct str name, value;
};

/* The parts of one request that a signature covers; borrowed. */
struct sigv4_request {
    struct str method;
    struct str path;  /* as on the wire, percent-encoded */
    struct str query; /* as on the wire */
    const struct sigv4_header *headers;
    size_t header_count;
    struct str host_bucket; /* the bucket that the host names; "" for none. Older links cover it */
};

/* What the Authorization header (or, when `presigned`, the query) says; borrowed from the request.
 */
struct sigv4_claim {
    bool presigned;
    bool older; /* a link in the form before version 4 (sigv2.h): date, region are empty */
    struct str access_key, date /* YYYYMMDD */, region, service;
    struct str signed_headers; /* "host;x-amz-date" */
    struct str signature;      /* hex */
    int64_t time_ms;           /* X-Amz-Date or Date */
    char stamp[32];            /* that time as it is signed: "20261123T113204Z" */
    int64_t expires_s;         /* presigned only */
    struct str content_sha256; /* as given; presigned S3 without one: "UNSIGNED-PAYLOAD"; p NULL
                                  when absent: the body's own hash is what was signed */
    struct str session_token;
};

/* True when the request bears any SigV4 credential (header or query), or an older link's. */
bool sigv4_present(const struct sigv4_request *r);
/* Reads the claim. E_BAD_AUTH / E_BAD_AUTH_QUERY with text when malformed, E_NO_AUTH when absent.
 */
int sigv4_claim(const struct sigv4_request *r, struct sigv4_claim *out, struct err *err);
/* Checks signed headers (host, every x-amz-* but the exempt ones), the clock window (15 min) and
 * the signature over payload_hash (the header's value, or the hex SHA-256 of the body for services
 * whose clients do not send one). secret p NULL (unknown key) takes the same time and fails. 0,
 * E_SKEW, E_EXPIRED, E_BAD_AUTH(_QUERY), E_BAD_SIGNATURE, or E_DENIED when an x-amz-* header is not
 * signed or a presigned time lies ahead. Any thread. */
int sigv4_verify(const struct sigv4_request *r, const struct sigv4_claim *c, struct str secret,
                 struct str payload_hash, int64_t now_ms, struct err *err);
/* Is the claim's signature that of a text of its own, the policy of a form? */
bool sigv4_signs_text(const struct sigv4_claim *c, struct str secret, struct str text);
/* Signs: appends the value of the Authorization header. headers must hold host and x-amz-date (and
 * x-amz-content-sha256 for s3); all of them are signed. payload_hash is hex. */
void sigv4_sign(const struct sigv4_request *r, struct str access_key, struct str secret,
                struct str region, struct str service, struct str amz_date /* 20261123T113204Z */,
                struct str payload_hash, struct buf *authorization);

/* A link: appends the query of a request of r's method, path and Host (r's only header), whose body
 * nobody signs, good for expires_s from now_ms on. token: of a session, "" none. */
void sigv4_presign(const struct sigv4_request *r, struct str access_key, struct str secret,
                   struct str token, struct str region, struct str service, int64_t now_ms,
                   uint64_t expires_s, struct buf *query);

/* The signatures of an upload's chunks, each made over the one before; the first follows the head's.
 * Holds a key: sigv4_chain_wipe when done. */
struct sigv4_chain {
    unsigned char key[32];
    char scope[192], stamp[32];
    char previous[64]; /* hex */
};
/* The claim has been verified with that secret. */
void sigv4_chain_init(struct sigv4_chain *ch, const struct sigv4_claim *c, struct str secret);
/* Is this (64 hex digits) the signature of the next chunk, or of the trailer's lines, with that
 * SHA-256? True: the chain has moved on. Any thread. */
bool sigv4_chain_chunk(struct sigv4_chain *ch, const unsigned char sha256[32],
                       struct str signature);
bool sigv4_chain_trailer(struct sigv4_chain *ch, const unsigned char sha256[32],
                         struct str signature);
void sigv4_chain_wipe(struct sigv4_chain *ch);

#endif
