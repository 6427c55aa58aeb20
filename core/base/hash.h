/* hash: digests through libcrypto.
 *
 * One-shot and streaming forms. Contexts come from libcrypto and are freed by *_free or by a final.
 * Nothing here fails but for lack of memory, which aborts. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

enum hash_alg { HASH_MD5, HASH_SHA1, HASH_SHA256, HASH_SHA512 };
enum { HASH_MAX = 64 };

/* Digest size in bytes. */
size_t hash_size(enum hash_alg alg);
/* Digest of s into out (hash_size bytes). */
void hash_once(enum hash_alg alg, struct str s, void *out);
/* SHA-256 of s as 64 lower-case hex digits and a NUL. */
void sha256_hex(struct str s, char out[static 65]);
void hmac_once(enum hash_alg alg, struct str key, struct str msg, void *out);

struct hash;
struct hash *hash_new(enum hash_alg alg);
void hash_update(struct hash *h, const void *p, size_t n);
/* Writes the digest and frees h. */
void hash_final(struct hash *h, void *out);
/* Frees without a digest; NULL is allowed. */
void hash_free(struct hash *h);

/* Fills p with n unpredictable bytes; aborts when the kernel has none. */
void random_bytes(void *p, size_t n);

#endif
