/* codec: hex, base64 and percent-encoding on byte runs. All decoders are strict: they return false
 * on the first byte that the encoding does not allow. */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/buf.h"

/* Lower-case hex of n bytes into out (2n bytes and a NUL). */
void hex_encode(const void *in, size_t n, char *out);
/* s.n / 2 bytes into out; false on odd length or a non-hex digit (either case accepted). */
bool hex_decode(struct str s, void *out);

/* Appends standard padded base64 (RFC 4648 §4). */
void base64_encode(struct buf *out, struct str in);
/* Appends the bytes; padding required, no blanks, canonical; false leaves out as it was. */
bool base64_decode(struct buf *out, struct str in);
/* The URL-safe alphabet without padding (§5); decoding accepts padding or none. */
void base64url_encode(struct buf *out, struct str in);
bool base64url_decode(struct buf *out, struct str in);

/* AWS's UriEncode: unreserved A-Za-z0-9-._~ stay, '/' stays when keep_slash, all else is %XX. */
void uri_encode(struct buf *out, struct str in, bool keep_slash);
/* application/x-www-form-urlencoded as S3 event keys have it: space is '+', '/' stays. */
void form_encode(struct buf *out, struct str in);
/* Percent-decoding; plus_is_space for form data. false on a broken escape; out then holds a part.
 */
bool uri_decode(struct buf *out, struct str in, bool plus_is_space);

#endif
