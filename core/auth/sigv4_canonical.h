/* sigv4_canonical: the canonical request. Inside core/auth only. */
#ifndef AUTH_SIGV4_CANONICAL_H
#define AUTH_SIGV4_CANONICAL_H

#include "auth/sigv4.h"

enum {
    SIGV4_NAMES_MAX = 100,
    SIGV4_PART_MAX = 128, /* bytes of a credential's part: texts over scopes are sized by it */
};

/* Names as a claim has them: lower case, in order, each once, separated by ';' (in a query "%3B").
 * Fills names[SIGV4_NAMES_MAX], borrowed; their number, or 0 when they are not so. */
size_t sigv4_signed_names(struct str s, struct str *names);
/* Appends the canonical request over these headers; false when the request cannot be signed so (a
 * header is missing, an escape is broken). */
bool sigv4_canonical(struct buf *out, const struct sigv4_request *r, const struct str *names,
                     size_t count, struct str service, struct str payload_hash);

/* sigv4.c: the signing key of the claim's scope, from the cache when it is there. */
void sigv4_key(const struct sigv4_claim *c, struct str secret, unsigned char key[32]);
/* "20261123T113204Z" */
void sigv4_stamp(int64_t ms, char out[static 32]);

#endif
