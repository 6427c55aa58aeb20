/* seal: secrets at rest, AES-256-GCM under DATA/master.key.
 *
 * A sealed value is a version byte, a random 96-bit nonce, the ciphertext and a 128-bit tag. The
 * label (what the secret is and whose) is authenticated with it, so that a row copied over another
 * row does not open. Random nonces are safe for 2^32 seals under one key: far more than there will
 * be secrets. */
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/hash.h"
#include "base/log.h"
#include "store/inside.h"

enum { VERSION = 1, NONCE = 12, TAG = 16, HEAD = 1 + NONCE };

static EVP_CIPHER_CTX *context(const struct store *s, const unsigned char *nonce, int encrypt,
                               struct str label)
{
    int n;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (!c || !EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, s->master_key, nonce, encrypt) ||
        !EVP_CipherUpdate(c, NULL, &n, (const unsigned char *)(label.p ? label.p : ""),
                          (int)label.n))
        fatal("store: AES-256-GCM is not available");
    return c;
}

void store_seal(const struct store *s, struct str label, struct str plain, struct buf *out)
{
    unsigned char *p = (unsigned char *)buf_reserve(out, HEAD + plain.n + TAG);
    int n = 0;
    if (!p)
        return; /* out->rc says so */
    p[0] = VERSION;
    random_bytes(p + 1, NONCE);
    EVP_CIPHER_CTX *c = context(s, p + 1, 1, label);
    if (!EVP_CipherUpdate(c, p + HEAD, &n, (const unsigned char *)(plain.p ? plain.p : ""),
                          (int)plain.n) ||
        !EVP_CipherFinal_ex(c, p + HEAD + n, &n) ||
        !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, p + HEAD + plain.n))
        fatal("store: sealing failed");
    EVP_CIPHER_CTX_free(c);
    out->n += HEAD + plain.n + TAG;
}

bool store_unseal(const struct store *s, struct str label, struct str sealed, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)sealed.p;
    unsigned char tag[TAG];
    int n = 0, end = 0;
    if (sealed.n < HEAD + TAG || p[0] != VERSION)
        return false;
    size_t size = sealed.n - HEAD - TAG;
    unsigned char *to = (unsigned char *)buf_reserve(out, size + 1);
    if (!to)
        return false;
    memcpy(tag, p + HEAD + size, TAG);
    EVP_CIPHER_CTX *c = context(s, p + 1, 0, label);
    bool ok = EVP_CipherUpdate(c, to, &n, p + HEAD, (int)size) &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) &&
              EVP_CipherFinal_ex(c, to + n, &end);
    EVP_CIPHER_CTX_free(c);
    if (ok)
        out->n += size;
    else
        OPENSSL_cleanse(to, size);
    return ok;
}
