/* sigv4: Signature Version 4, both ways.
 *
 * sigv4_claim.c reads what a request claims, sigv4_canonical.c writes the text that is signed; here
 * are the keys, the check and the signature itself.
 *
 * Deriving a signing key is four HMACs, more than the rest of a check together, so the last ones are
 * kept. Only keys of requests that proved good are kept: strangers cannot push them out. A request
 * of an unknown key runs the same steps with a made-up secret, and may use any kept key of the same
 * scope, so that it costs what a wrong signature costs.
 *
 * Nothing here looks at a clock or a key store: time and secret are handed in. */
#include "auth/sigv4.h"

#include <openssl/crypto.h>
#include <pthread.h>

#include "auth/sigv2.h"
#include "auth/sigv4_canonical.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"

enum {
    SKEW_MS = 15 * 60 * 1000,
    TEXT_SIZE = 1000, /* most canonical requests; malloc keeps as much at hand */
};

#define ALGORITHM "AWS4-HMAC-SHA256"

/* --- signing keys -----------------------------------------------------------------------------
 */

struct signing_key {
    struct str date, region, service, access_key, secret; /* in text */
    char text[768];
    unsigned char key[32];
    uint64_t used; /* larger: more recently; 0: empty */
};
enum { CACHE_SIZE = 32 };
static struct signing_key cache[CACHE_SIZE];
static uint64_t cache_clock;
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;

static void derive(struct str secret, struct str date, struct str region, struct str service,
                   unsigned char key[32])
{
    char first[300];
    size_t n = secret.n < sizeof first - 4 ? secret.n : sizeof first - 4;
    memcpy(first, "AWS4", 4);
    if (n)
        memcpy(first + 4, secret.p, n);
    hmac_once(HASH_SHA256, str_of(first, n + 4), date, key);
    hmac_once(HASH_SHA256, str_of((char *)key, 32), region, key);
    hmac_once(HASH_SHA256, str_of((char *)key, 32), service, key);
    hmac_once(HASH_SHA256, str_of((char *)key, 32), STR("aws4_request"), key);
    OPENSSL_cleanse(first, sizeof first);
}

/* The parts one after the other and a NUL; the length, or `size` when they do not fit. Every request
 * passes here several times: printf was a fifth of a check. */
static size_t join(char *out, size_t size, const struct str *parts, size_t count)
{
    size_t n = 0, i = 0;
    for (; i < count && parts[i].n < size - n; i++) {
        if (parts[i].n)
            memcpy(out + n, parts[i].p, parts[i].n);
        n += parts[i].n;
    }
    out[n] = '\0';
    return i < count ? size : n;
}
#define JOIN(out, ...)                                                                             \
    join(out, sizeof(out), (const struct str[]){__VA_ARGS__},                                      \
         sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))

/* The key of the claim's scope and that secret, from the cache; secret p NULL: anybody's will do. */
static bool cache_find(const struct sigv4_claim *c, struct str secret, unsigned char key[32])
{
    bool found = false;
    pthread_mutex_lock(&cache_lock);
    for (int i = 0; i < CACHE_SIZE && !found; i++) {
        struct signing_key *k = &cache[i];
        if (!k->used || !str_eq(k->date, c->date) || !str_eq(k->region, c->region) ||
            !str_eq(k->service, c->service) ||
            (secret.p &&
             (!str_eq(k->access_key, c->access_key) || !str_eq_secret(k->secret, secret))))
            continue;
        k->used = ++cache_clock;
        memcpy(key, k->key, sizeof k->key);
        found = true;
    }
    pthread_mutex_unlock(&cache_lock);
    return found;
}

static struct str keep_text(struct signing_key *k, size_t *used, struct str s)
{
    char *at = k->text + *used;
    if (s.n)
        memcpy(at, s.p, s.n);
    *used += s.n;
    return str_of(at, s.n);
}

static void cache_keep(const struct sigv4_claim *c, struct str secret, const unsigned char key[32])
{
    size_t used = 0;
    struct signing_key *k = &cache[0];
    if (c->date.n + c->region.n + c->service.n + c->access_key.n + secret.n > sizeof k->text)
        return;
    pthread_mutex_lock(&cache_lock);
    for (int i = 1; i < CACHE_SIZE; i++)
        if (cache[i].used < k->used)
            k = &cache[i];
    k->date = keep_text(k, &used, c->date);
    k->region = keep_text(k, &used, c->region);
    k->service = keep_text(k, &used, c->service);
    k->access_key = keep_text(k, &used, c->access_key);
    k->secret = keep_text(k, &used, secret);
    memcpy(k->key, key, sizeof k->key);
    k->used = ++cache_clock;
    pthread_mutex_unlock(&cache_lock);
}

void sigv4_key(const struct sigv4_claim *c, struct str secret, unsigned char key[32])
{
    if (!cache_find(c, secret, key))
        derive(secret, c->date, c->region, c->service, key);
}

/* --- checking ---------------------------------------------------------------------------------
 */

void sigv4_stamp(int64_t ms, char out[static 32])
{
    struct clock_parts t;
    clock_split(ms, &t);
    const int fields[][2] = {{t.year, 4}, {t.month, 2},  {t.day, 2},
                             {t.hour, 2}, {t.minute, 2}, {t.second, 2}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        unsigned v = (unsigned)fields[i][0];
        for (int k = fields[i][1]; k--; v /= 10)
            out[k] = (char)('0' + v % 10);
        out += fields[i][1];
        if (i == 2)
            *out++ = 'T';
    }
    memcpy(out, "Z", 2);
}

/* What a signing key is for. Each part is at most SIGV4_PART_MAX bytes. */
struct scope {
    struct str date, region, service;
};

/* Hex signature of the canonical request under a signing key. */
static void sign_text(const unsigned char key[32], struct str canonical_request, struct str stamp,
                      const struct scope *s, char out[static 65])
{
    char hex[65], text[512];
    unsigned char mac[32];
    sha256_hex(canonical_request, hex);
    size_t n = JOIN(text, STR(ALGORITHM "\n"), stamp, STR("\n"), s->date, STR("/"), s->region,
                    STR("/"), s->service, STR("/aws4_request\n"), str_of(hex, 64));
    hmac_once(HASH_SHA256, str_of((const char *)key, 32), str_of(text, n), mac);
    hex_encode(mac, sizeof mac, out);
}

static bool lower_hex(struct str s, size_t n)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == n;
}

static bool is_signed(const struct str *names, size_t count, struct str header_name)
{
    for (size_t i = 0; i < count; i++)
        if (str_ieq(names[i], header_name))
            return true;
    return false;
}

/* host and every x-amz-* header but those that the body's way decides. */
static int check_signed(const struct sigv4_request *r, const struct str *names, size_t count,
                        struct err *err)
{
    static const char *const exempt[] = {"x-amz-content-sha256", "x-amz-decoded-content-length",
                                         "x-amz-trailer", "x-amz-checksum-algorithm",
                                         "x-amz-sdk-checksum-algorithm"};
    if (!is_signed(names, count, STR("host")))
        return err_set(err, E_BAD_AUTH,
                       "'Host' or ':authority' must be a 'SignedHeader' in the "
                       "AWS Authorization.");
    for (size_t i = 0; i < r->header_count; i++) {
        struct str name = r->headers[i].name;
        bool free =
            name.n < 6 || (*name.p | 0x20) != 'x' || !str_ieq(str_of(name.p, 6), STR("x-amz-"));
        for (size_t k = 0; k < sizeof exempt / sizeof *exempt && !free; k++)
            free = str_ieq(name, str_c(exempt[k]));
        if (!free && !is_signed(names, count, name))
            return err_set(err, E_DENIED,
                           "There were headers present in the request which were not signed: %.*s",
                           (int)(name.n < 100 ? name.n : 100), name.p);
    }
    return 0;
}

static int check_clock(const struct sigv4_claim *c, int64_t now_ms, struct err *err)
{
    int64_t late = now_ms - c->time_ms;
    if (late < -SKEW_MS)
        return c->presigned ? err_set(err, E_DENIED, "Request is not yet valid")
                            : err_set(err, E_SKEW, "%s", err_row(E_SKEW)->text);
    if (c->presigned && late > c->expires_s * 1000)
        return err_set(err, E_EXPIRED, "Request has expired");
    if (!c->presigned && late > SKEW_MS)
        return err_set(err, E_SKEW, "%s", err_row(E_SKEW)->text);
    return 0;
}

bool sigv4_signs_text(const struct sigv4_claim *c, struct str secret, struct str text)
{
    unsigned char key[32], mac[HASH_MAX];
    char hex[2 * 32 + 1];
    sigv4_key(c, secret, key);
    hmac_once(HASH_SHA256, str_of((char *)key, 32), text, mac);
    hex_encode(mac, 32, hex);
    OPENSSL_cleanse(key, sizeof key);
    return str_eq_secret(str_of(hex, 64), c->signature);
}

int sigv4_verify(const struct sigv4_request *r, const struct sigv4_claim *c, struct str secret,
                 struct str payload_hash, int64_t now_ms, struct err *err)
{
    struct str names[SIGV4_NAMES_MAX];
    unsigned char key[32];
    char want[65];
    struct buf text = BUF_INIT;
    bool unknown = secret.p == NULL;
    if (c->older)
        return sigv2_verify(r, c, secret, now_ms, err);
    size_t count = sigv4_signed_names(c->signed_headers, names);
    if (count == 0 || c->signed_headers.n > 4096)
        return err_set(err, c->presigned ? E_BAD_AUTH_QUERY : E_BAD_AUTH,
                       "SignedHeaders must be lower case names in order, separated by semicolons.");
    int rc = check_signed(r, names, count, err);
    if (rc == 0)
        rc = check_clock(c, now_ms, err);
    if (rc)
        return rc;
    buf_reserve(&text, TEXT_SIZE);
    bool ok = sigv4_canonical(&text, r, names, count, c->service, payload_hash);
    bool cached = cache_find(c, secret, key);
    if (!cached)
        derive(unknown ? STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY") : secret, c->date,
               c->region, c->service, key);
    sign_text(key, buf_str(&text), str_c(c->stamp), &(struct scope){c->date, c->region, c->service},
              want);
    bool equal = str_eq_secret(str_of(want, 64), c->signature);
    if (!ok || unknown || !equal || !lower_hex(c->signature, 64))
        rc = err_set(err, E_BAD_SIGNATURE, "%s", err_row(E_BAD_SIGNATURE)->text);
    else if (!cached)
        cache_keep(c, secret, key);
    OPENSSL_cleanse(key, sizeof key);
    buf_deinit(&text);
    return rc;
}

/* --- signing ----------------------------------------------------------------------------------
 */

static struct str part(struct str s)
{
    return str_of(s.p, s.n < SIGV4_PART_MAX ? s.n : SIGV4_PART_MAX);
}

static int name_cmp(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    return str_cmp(*x, *y);
}

void sigv4_sign(const struct sigv4_request *r, struct str access_key, struct str secret,
                struct str region, struct str service, struct str stamp, struct str payload_hash,
                struct buf *authorization)
{
    struct str names[SIGV4_NAMES_MAX];
    char lower[SIGV4_NAMES_MAX * 64], signature[65];
    size_t count = 0, used = 0;
    struct buf text = BUF_INIT;
    unsigned char key[32];
    for (size_t i = 0; i < r->header_count && count < SIGV4_NAMES_MAX; i++) {
        struct str name = r->headers[i].name;
        if (used + name.n > sizeof lower || is_signed(names, count, name))
            continue;
        for (size_t k = 0; k < name.n; k++)
            lower[used + k] =
                (char)(name.p[k] >= 'A' && name.p[k] <= 'Z' ? name.p[k] + 32 : name.p[k]);
        names[count++] = str_of(lower + used, name.n);
        used += name.n;
    }
    qsort(names, count, sizeof *names, name_cmp);
    sigv4_canonical(&text, r, names, count, service, payload_hash);
    struct scope scope = {part(str_of(stamp.p, stamp.n < 8 ? stamp.n : 8)), part(region),
                          part(service)};
    derive(secret, scope.date, scope.region, scope.service, key);
    sign_text(key, buf_str(&text), part(stamp), &scope, signature);
    buf_printf(
        authorization, ALGORITHM " Credential=%.*s/%.*s/%.*s/%.*s/aws4_request, SignedHeaders=",
        STR_FMT(access_key), STR_FMT(scope.date), STR_FMT(scope.region), STR_FMT(scope.service));
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_addc(authorization, ';');
        buf_add(authorization, names[i]);
    }
    buf_printf(authorization, ", Signature=%s", signature);
    OPENSSL_cleanse(key, sizeof key);
    buf_deinit(&text);
}

void sigv4_presign(const struct sigv4_request *r, struct str access_key, struct str secret,
                   struct str token, struct str region, struct str service, int64_t now_ms,
                   uint64_t expires_s, struct buf *query)
{
    struct sigv4_request signing = *r;
    struct str host = STR("host");
    char stamp[32], signature[65];
    struct scope scope = {str_of(stamp, 8), part(region), part(service)};
    struct buf text = BUF_INIT, credential = BUF_INIT;
    unsigned char key[32];
    size_t begin = query->n;
    sigv4_stamp(now_ms, stamp);
    buf_printf(&credential, "%.*s/%.*s/%.*s/%.*s/aws4_request", STR_FMT(access_key),
               STR_FMT(scope.date), STR_FMT(scope.region), STR_FMT(scope.service));
    buf_lit(query, "X-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=");
    uri_encode(query, buf_str(&credential), false);
    buf_printf(query, "&X-Amz-Date=%s&X-Amz-Expires=%llu", stamp, (unsigned long long)expires_s);
    if (token.n) {
        buf_lit(query, "&X-Amz-Security-Token=");
        uri_encode(query, token, false);
    }
    buf_lit(query, "&X-Amz-SignedHeaders=host"); /* the names are in order, as they are signed */
    signing.query = str_of(query->p + begin, query->n - begin);
    sigv4_canonical(&text, &signing, &host, 1, service, STR("UNSIGNED-PAYLOAD"));
    derive(secret, scope.date, scope.region, scope.service, key);
    sign_text(key, buf_str(&text), str_c(stamp), &scope, signature);
    buf_printf(query, "&X-Amz-Signature=%s", signature);
    OPENSSL_cleanse(key, sizeof key);
    buf_deinit(&credential);
    buf_deinit(&text);
}
