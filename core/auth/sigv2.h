/* sigv2: links signed in the older form: ?AWSAccessKeyId=…&Expires=…&Signature=…. Inside core/auth
 * only: sigv4.h's claim and verify know both.
 *
 * Older SDKs still make such links by default for an endpoint of one's own. They are taken for S3's
 * GET, HEAD, PUT and DELETE; the older form in an Authorization header is not. */
#ifndef AUTH_SIGV2_H
#define AUTH_SIGV2_H

#include "auth/sigv4.h"

/* Does the query bear such a claim? */
bool sigv2_present(const struct sigv4_request *r);
/* Reads it: time_ms 0, expires_s the link's end in seconds since 1970. E_BAD_REQUEST, E_DENIED. */
int sigv2_claim(const struct sigv4_request *r, struct sigv4_claim *out, struct err *err);
/* secret p NULL as for sigv4_verify. 0, E_EXPIRED, E_BAD_SIGNATURE. */
int sigv2_verify(const struct sigv4_request *r, const struct sigv4_claim *c, struct str secret,
                 int64_t now_ms, struct err *err);

#endif
