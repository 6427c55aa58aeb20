/* checksum: the five checksums that S3 clients send and ask back.
 *
 * Digests are raw bytes here, CRCs in network order, as their base64 on the wire has them. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include "base/str.h"

enum checksum_alg {
    CHECKSUM_NONE,
    CHECKSUM_CRC32,
    CHECKSUM_CRC32C,
    CHECKSUM_CRC64NVME,
    CHECKSUM_SHA1,
    CHECKSUM_SHA256,
    CHECKSUM_ALGS,
};
enum {
    CHECKSUM_MAX = 32,      /* bytes of the longest */
    CHECKSUM_TEXT_MAX = 45, /* its base64 and a NUL */
};

/* "CRC32C"; "" for CHECKSUM_NONE. */
const char *checksum_name(enum checksum_alg alg);
/* "crc32c", as some texts of errors have it; "null" for CHECKSUM_NONE. */
const char *checksum_word(enum checksum_alg alg);
/* "x-amz-checksum-crc32c" */
const char *checksum_header(enum checksum_alg alg);
/* "ChecksumCRC32C", as XML answers have it. */
const char *checksum_element(enum checksum_alg alg);
/* Bytes of the digest; 0 for CHECKSUM_NONE. */
size_t checksum_size(enum checksum_alg alg);
/* By name or by header's name, in any case of letters; CHECKSUM_NONE: none of the five. */
enum checksum_alg checksum_of_name(struct str name);
enum checksum_alg checksum_of_header(struct str header);

/* The raw digest behind a base64 text; false when it is not base64 of the right length. */
bool checksum_decode(enum checksum_alg alg, struct str text, unsigned char out[CHECKSUM_MAX]);
/* Base64 of a raw digest, with a NUL; its length. */
size_t checksum_encode(enum checksum_alg alg, const unsigned char *raw,
                       char out[static CHECKSUM_TEXT_MAX]);

/* A digest under way; CHECKSUM_NONE is allowed and does nothing. */
struct checksum {
    enum checksum_alg alg;
    uint64_t crc;
    struct hash *hash;
};
void checksum_init(struct checksum *s, enum checksum_alg alg);
void checksum_update(struct checksum *s, struct str bytes);
/* Writes checksum_size bytes and ends s. */
void checksum_final(struct checksum *s, unsigned char out[CHECKSUM_MAX]);
/* Ends without a digest; also after checksum_final. */
void checksum_deinit(struct checksum *s);
void checksum_once(enum checksum_alg alg, struct str bytes, unsigned char out[CHECKSUM_MAX]);

/* a becomes the digest of A followed by B, from those of both and the length of B. For the CRCs
 * only: false (and a unchanged) for the others, which cannot. The digest of nothing is zeros. */
bool checksum_combine(enum checksum_alg alg, unsigned char *a, const unsigned char *b,
                      uint64_t b_size);

#endif
