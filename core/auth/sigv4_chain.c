/* sigv4_chain: what signs the chunks of an upload.
 *
 * Each chunk's signature is made over the one before it and the chunk's hash, the first over the
 * head's, so chunks cannot be left out, repeated or put in another order. The last chunk is empty;
 * where trailers follow, one more link covers their lines. */
#include <openssl/crypto.h>

#include "auth/sigv4.h"
#include "auth/sigv4_canonical.h"
#include "base/codec.h"
#include "base/hash.h"

#define NO_HEADERS "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

void sigv4_chain_init(struct sigv4_chain *ch, const struct sigv4_claim *c, struct str secret)
{
    sigv4_key(c, secret, ch->key);
    memcpy(ch->stamp, c->stamp, sizeof ch->stamp);
    snprintf(ch->scope, sizeof ch->scope, "%.*s/%.*s/%.*s/aws4_request", STR_FMT(c->date),
             STR_FMT(c->region), STR_FMT(c->service));
    memset(ch->previous, '0', sizeof ch->previous);
    if (c->signature.n == sizeof ch->previous)
        memcpy(ch->previous, c->signature.p, sizeof ch->previous);
}

static bool link_is(struct sigv4_chain *ch, const char *algorithm, const char *headers,
                    const unsigned char sha256[32], struct str signature)
{
    char text[768], hex[65], want[65];
    unsigned char mac[32];
    hex_encode(sha256, 32, hex);
    int n = snprintf(text, sizeof text, "%s\n%s\n%s\n%.64s\n%s%s", algorithm, ch->stamp, ch->scope,
                     ch->previous, headers, hex);
    hmac_once(HASH_SHA256, str_of((char *)ch->key, sizeof ch->key), str_of(text, (size_t)n), mac);
    hex_encode(mac, sizeof mac, want);
    memcpy(ch->previous, want, sizeof ch->previous);
    return str_eq_secret(str_of(want, 64), signature);
}

bool sigv4_chain_chunk(struct sigv4_chain *ch, const unsigned char sha256[32], struct str signature)
{
    return link_is(ch, "AWS4-HMAC-SHA256-PAYLOAD", NO_HEADERS "\n", sha256, signature);
}

bool sigv4_chain_trailer(struct sigv4_chain *ch, const unsigned char sha256[32],
                         struct str signature)
{
    return link_is(ch, "AWS4-HMAC-SHA256-TRAILER", "", sha256, signature);
}

void sigv4_chain_wipe(struct sigv4_chain *ch)
{
    OPENSSL_cleanse(ch, sizeof *ch);
}
