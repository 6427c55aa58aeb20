/* hash: libcrypto's digests behind five small functions.
 *
 * OpenSSL 3 looks an algorithm up by name each time it is given EVP_sha256(); that lookup costs
 * more than hashing a short text, so the four algorithms are fetched once. A one-shot digest keeps
 * its context per thread for the same reason. A verified request takes five SHA-256 of a few blocks,
 * and there EVP costs as much as the blocks do: those go through SHA256_Init and its like, which
 * OpenSSL 3 discourages and keeps. HMAC is the textbook construction: MAC contexts of OpenSSL cost
 * another lookup. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hash.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <sys/random.h>

#include "base/codec.h"
#include "base/log.h"

static const struct {
    const char *name;
    size_t size, block;
} algs[] = {
    [HASH_MD5] = {"MD5", 16, 64},
    [HASH_SHA1] = {"SHA1", 20, 64},
    [HASH_SHA256] = {"SHA256", 32, 64},
    [HASH_SHA512] = {"SHA512", 64, 128},
};
enum { ALG_COUNT = sizeof algs / sizeof *algs, BLOCK_MAX = 128 };

static EVP_MD *fetched[ALG_COUNT];
static pthread_key_t scratch_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_scratch(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void setup(void)
{
    for (int i = 0; i < ALG_COUNT; i++) {
        fetched[i] = EVP_MD_fetch(NULL, algs[i].name, NULL);
        if (!fetched[i])
            fatal("libcrypto has no %s", algs[i].name);
    }
    if (pthread_key_create(&scratch_key, free_scratch) != 0)
        fatal("no thread-specific key left");
}

static EVP_MD_CTX *new_context(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx)
        fatal("out of memory");
    return ctx;
}

/* This thread's context for one-shot digests, initialised for alg. */
static EVP_MD_CTX *scratch(enum hash_alg alg)
{
    static _Thread_local EVP_MD_CTX *mine;
    pthread_once(&once, setup);
    if (!mine) {
        mine = new_context();
        pthread_setspecific(scratch_key, mine);
    }
    if (EVP_DigestInit_ex2(mine, fetched[alg], NULL) != 1)
        fatal("libcrypto cannot start %s", algs[alg].name);
    return mine;
}

static void update(EVP_MD_CTX *ctx, const void *p, size_t n)
{
    if (n && EVP_DigestUpdate(ctx, p, n) != 1)
        fatal("libcrypto cannot hash");
}

static void final(EVP_MD_CTX *ctx, void *out)
{
    if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        fatal("libcrypto cannot hash");
}

size_t hash_size(enum hash_alg alg)
{
    return algs[alg].size;
}

/* Two pieces one after the other; s.p is NULL where there is no second. */
static void digest(enum hash_alg alg, struct str first, struct str s, void *out)
{
    if (alg == HASH_SHA256) {
        SHA256_CTX sha;
        SHA256_Init(&sha);
        SHA256_Update(&sha, first.p, first.n);
        SHA256_Update(&sha, s.p, s.n);
        SHA256_Final(out, &sha);
        return;
    }
    EVP_MD_CTX *ctx = scratch(alg);
    update(ctx, first.p, first.n);
    update(ctx, s.p, s.n);
    final(ctx, out);
}

void hash_once(enum hash_alg alg, struct str s, void *out)
{
    digest(alg, s, (struct str){NULL, 0}, out);
}

void sha256_hex(struct str s, char out[static 65])
{
    unsigned char sha256[32];
    hash_once(HASH_SHA256, s, sha256);
    hex_encode(sha256, sizeof sha256, out);
}

void hmac_once(enum hash_alg alg, struct str key, struct str msg, void *out)
{
    unsigned char pad[BLOCK_MAX] = {0}, inner[HASH_MAX];
    size_t block = algs[alg].block, size = algs[alg].size;
    struct str padded = str_of((const char *)pad, block);
    if (key.n > block)
        hash_once(alg, key, pad);
    else if (key.n)
        memcpy(pad, key.p, key.n);
    for (size_t i = 0; i < BLOCK_MAX; i++)
        pad[i] ^= 0x36;
    digest(alg, padded, msg, inner);
    for (size_t i = 0; i < BLOCK_MAX; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    digest(alg, padded, str_of((const char *)inner, size), out);
    OPENSSL_cleanse(pad, block);
    OPENSSL_cleanse(inner, size);
}

/* A struct hash is an EVP_MD_CTX under another name. */
struct hash *hash_new(enum hash_alg alg)
{
    pthread_once(&once, setup);
    EVP_MD_CTX *ctx = new_context();
    if (EVP_DigestInit_ex2(ctx, fetched[alg], NULL) != 1)
        fatal("libcrypto cannot start %s", algs[alg].name);
    return (struct hash *)ctx;
}

void hash_update(struct hash *h, const void *p, size_t n)
{
    update((EVP_MD_CTX *)h, p, n);
}

void hash_final(struct hash *h, void *out)
{
    final((EVP_MD_CTX *)h, out);
    hash_free(h);
}

void hash_free(struct hash *h)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)h);
}

void random_bytes(void *p, size_t n)
{
    char *at = p;
    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fatal("getrandom: %s", strerror(errno));
        at += got;
        n -= (size_t)got;
    }
}
