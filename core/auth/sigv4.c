/* sigv4: Signature Version 4, both ways.
 *
 * The canonical request is built in one buffer and hashed; the string to sign and the MAC follow.
 * Where AWS's rules leave a choice, this file does what the stock clients do: runs of blanks in a
 * header value become one, repeated headers are joined by commas in the order of arrival, query
 * parameters are decoded and encoded again before they are sorted ('+' being a blank), a path of S3
 * is decoded and encoded once, every other service's path is normalised and encoded twice.
 *
 * Deriving a signing key is four HMACs, more than the rest of a check together, so the last ones
 * are kept. Only keys of requests that proved good are kept: strangers cannot push them out. A
 * request of an unknown key runs the same steps with a made-up secret, and may use any kept key of
 * the same scope, so that it costs what a wrong signature costs.
 *
 * Nothing here looks at a clock or a key store: time and secret are handed in. */
#include "auth/sigv4.h"

#include <openssl/crypto.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"

enum { SKEW_MS = 15 * 60 * 1000, EXPIRES_MAX_S = 604800, SIGNED_MAX = 100, QUERY_MAX = 2000 };

#define ALGORITHM "AWS4-HMAC-SHA256"

/* --- reading the claim ------------------------------------------------------------------------
 */

static struct str header(const struct sigv4_request *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (str_ieq(r->headers[i].name, str_c(name)))
            return r->headers[i].value;
    return (struct str){NULL, 0};
}

static size_t header_times(const struct sigv4_request *r, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < r->header_count; i++)
        n += str_ieq(r->headers[i].name, str_c(name));
    return n;
}

/* The raw value of a query parameter; p NULL when absent. */
static struct str query_value(struct str query, const char *name)
{
    while (query.n) {
        struct str value = str_cut(&query, '&'), key = str_cut(&value, '=');
        if (str_is(key, name))
            return value.p ? value : STR("");
    }
    return (struct str){NULL, 0};
}

bool sigv4_present(const struct sigv4_request *r)
{
    return str_starts(header(r, "authorization"), STR(ALGORITHM)) ||
           query_value(r->query, "X-Amz-Algorithm").p || query_value(r->query, "X-Amz-Signature").p;
}

static bool digits(struct str s, size_t n)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n == n;
}

/* "20261123T113204Z", nothing looser. */
static bool amz_date(struct str s, int64_t *ms)
{
    return s.n == 16 && digits(str_of(s.p, 8), 8) && s.p[8] == 'T' &&
           digits(str_of(s.p + 9, 6), 6) && s.p[15] == 'Z' && clock_parse(s, ms);
}

static bool lower_hex(struct str s, size_t n)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == n;
}

/* "AK/20261123/us-east-1/lambda/aws4_request", already without percent-encoding but for the
 * slashes, which a query may carry as %2F. */
static bool read_credential(struct str s, bool encoded, struct sigv4_claim *out)
{
    struct str part[5];
    for (int i = 0; i < 5; i++) {
        ptrdiff_t end = encoded ? str_find(s, STR("%2F")) : -1, low = -1;
        size_t width = 3;
        if (encoded && end < 0)
            end = str_find(s, STR("%2f"));
        low = str_index(s, '/', 0);
        if (end < 0 || (low >= 0 && low < end))
            end = low, width = 1;
        if (i == 4)
            part[i] = s;
        else if (end < 0)
            return false;
        else {
            part[i] = str_of(s.p, (size_t)end);
            s = str_from(s, (size_t)end + width);
        }
        if (part[i].n == 0 || part[i].n > 128)
            return false;
    }
    out->access_key = part[0];
    out->date = part[1];
    out->region = part[2];
    out->service = part[3];
    return digits(part[1], 8) && str_is(part[4], "aws4_request");
}

static int claim_from_header(struct str value, struct sigv4_claim *out, struct err *err)
{
    struct str rest = str_from(value, sizeof ALGORITHM - 1), credential = {NULL, 0};
    if (rest.n == 0 || (*rest.p != ' ' && *rest.p != '\t'))
        return err_set(err, E_BAD_AUTH, "The authorization mechanism is not supported.");
    while (rest.n) {
        struct str v = str_trim(str_cut(&rest, ',')), name = str_cut(&v, '=');
        struct str *slot = str_is(name, "Credential")      ? &credential
                           : str_is(name, "SignedHeaders") ? &out->signed_headers
                           : str_is(name, "Signature")     ? &out->signature
                                                           : NULL;
        if (!slot || slot->p || !v.p)
            return err_set(err, E_BAD_AUTH, "The authorization header is malformed.");
        *slot = v;
    }
    if (!credential.p)
        return err_set(err, E_BAD_AUTH, "Authorization header requires 'Credential' parameter.");
    if (!out->signature.p)
        return err_set(err, E_BAD_AUTH, "Authorization header requires 'Signature' parameter.");
    if (!out->signed_headers.p)
        return err_set(err, E_BAD_AUTH, "Authorization header requires 'SignedHeaders' parameter.");
    if (!read_credential(credential, false, out))
        return err_set(err, E_BAD_AUTH,
                       "The authorization header is malformed; the Credential is mal-formed; "
                       "expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".");
    return 0;
}

static int header_time(const struct sigv4_request *r, struct sigv4_claim *out, struct err *err)
{
    struct str stamp = header(r, "x-amz-date"), date = header(r, "date");
    if (header_times(r, "x-amz-date") > 1 ||
        (stamp.p
             ? !amz_date(stamp, &out->time_ms)
             : !date.p || (!amz_date(date, &out->time_ms) && !clock_parse(date, &out->time_ms))))
        return err_set(err, E_BAD_AUTH,
                       "Authorization header requires a valid 'X-Amz-Date' or 'Date' header.");
    return 0;
}

static int claim_from_query(const struct sigv4_request *r, struct sigv4_claim *out, struct err *err)
{
    struct str expires = query_value(r->query, "X-Amz-Expires");
    struct str date = query_value(r->query, "X-Amz-Date");
    struct str credential = query_value(r->query, "X-Amz-Credential");
    uint64_t seconds = 0;
    out->presigned = true;
    out->signed_headers = query_value(r->query, "X-Amz-SignedHeaders");
    out->signature = query_value(r->query, "X-Amz-Signature");
    out->session_token = query_value(r->query, "X-Amz-Security-Token");
    if (!str_is(query_value(r->query, "X-Amz-Algorithm"), ALGORITHM))
        return err_set(err, E_BAD_AUTH_QUERY, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
    if (!credential.p || !out->signature.p || !date.p || !out->signed_headers.p || !expires.p)
        return err_set(err, E_BAD_AUTH_QUERY,
                       "Query-string authentication version 4 requires the X-Amz-Algorithm, "
                       "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
                       "X-Amz-Expires parameters.");
    if (!read_credential(credential, true, out))
        return err_set(err, E_BAD_AUTH_QUERY,
                       "Error parsing the X-Amz-Credential parameter; the Credential is "
                       "mal-formed; expecting "
                       "\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".");
    if (!amz_date(date, &out->time_ms))
        return err_set(err, E_BAD_AUTH_QUERY,
                       "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
    if (!str_u64(expires, &seconds))
        return err_set(err, E_BAD_AUTH_QUERY, "X-Amz-Expires should be a number");
    if (seconds > EXPIRES_MAX_S)
        return err_set(err, E_BAD_AUTH_QUERY,
                       "X-Amz-Expires must be less than a week (in seconds); that is, the given "
                       "X-Amz-Expires must be less than 604800 seconds");
    if (seconds < 1)
        return err_set(err, E_BAD_AUTH_QUERY, "X-Amz-Expires must be at least 1 second");
    out->expires_s = (int64_t)seconds;
    return 0;
}

/* The scope's date must be the day of the request's time. */
static bool same_day(const struct sigv4_claim *c)
{
    struct clock_parts t;
    char day[16];
    clock_split(c->time_ms, &t);
    snprintf(day, sizeof day, "%04d%02d%02d", t.year % 10000, t.month % 100, t.day % 100);
    return str_is(c->date, day);
}

int sigv4_claim(const struct sigv4_request *r, struct sigv4_claim *out, struct err *err)
{
    struct str authorization = header(r, "authorization");
    bool in_query =
        query_value(r->query, "X-Amz-Algorithm").p || query_value(r->query, "X-Amz-Signature").p;
    *out = (struct sigv4_claim){.content_sha256 = header(r, "x-amz-content-sha256"),
                                .session_token = header(r, "x-amz-security-token")};
    if (!authorization.p && !in_query)
        return err_set(err, E_NO_AUTH, "Missing Authentication Token");
    if ((authorization.p && in_query) || header_times(r, "authorization") > 1)
        return err_set(err, E_BAD_AUTH,
                       "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                       "Signature query string parameter or the Authorization header should be "
                       "specified");
    if (header_times(r, "x-amz-content-sha256") > 1)
        return err_set(err, E_BAD_AUTH, "x-amz-content-sha256 must be given once.");
    if (!in_query && !str_starts(authorization, STR(ALGORITHM)))
        return err_set(err, E_BAD_AUTH,
                       "The authorization mechanism you have provided is not supported. Please use "
                       "AWS4-HMAC-SHA256.");
    int rc = in_query ? claim_from_query(r, out, err) : claim_from_header(authorization, out, err);
    if (rc == 0 && !in_query)
        rc = header_time(r, out, err);
    if (rc)
        return rc;
    if (!same_day(out))
        return err_set(err, in_query ? E_BAD_AUTH_QUERY : E_BAD_AUTH,
                       "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of "
                       "the request's date.");
    if (in_query && !out->content_sha256.p)
        out->content_sha256 = query_value(r->query, "X-Amz-Content-Sha256");
    if (in_query && !out->content_sha256.p && str_is(out->service, "s3"))
        out->content_sha256 = STR("UNSIGNED-PAYLOAD");
    return 0;
}

/* --- the canonical request --------------------------------------------------------------------
 */

struct span { /* of a buffer that may move */
    size_t at, n;
};

struct param {
    struct span name, value;
    const struct buf *in;
};

static int span_cmp(const struct buf *b, struct span x, struct span y)
{
    return str_cmp(str_of(b->p + x.at, x.n), str_of(b->p + y.at, y.n));
}

static int param_cmp(const void *a, const void *b)
{
    const struct param *x = a, *y = b;
    int d = span_cmp(x->in, x->name, y->name);
    return d ? d : span_cmp(x->in, x->value, y->value);
}

/* Appends s, decoded and encoded again. false on a broken escape. */
static bool recode(struct buf *out, struct buf *tmp, struct str s, bool plus, bool slash,
                   struct span *where)
{
    size_t at = out->n;
    buf_clear(tmp);
    if (!uri_decode(tmp, s, plus))
        return false;
    uri_encode(out, buf_str(tmp), slash);
    *where = (struct span){at, out->n - at};
    return true;
}

static bool add_query(struct buf *out, struct str query)
{
    bool ok = false;
    size_t n = 0, max = 1;
    for (size_t i = 0; i < query.n; i++)
        max += query.p[i] == '&';
    if (max > QUERY_MAX)
        return false;
    struct param *list = calloc(max, sizeof *list);
    struct buf words = BUF_INIT, tmp = BUF_INIT;
    while (list && query.n) {
        struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');
        if ((name.n == 0 && !value.p) || str_is(name, "X-Amz-Signature"))
            continue;
        struct param *p = &list[n++];
        p->in = &words;
        if (!recode(&words, &tmp, name, true, false, &p->name) ||
            !recode(&words, &tmp, value, true, false, &p->value))
            goto out;
    }
    if (!list || words.rc)
        goto out;
    qsort(list, n, sizeof *list, param_cmp);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(out, '&');
        buf_add(out, str_of(words.p + list[i].name.at, list[i].name.n));
        buf_addc(out, '=');
        buf_add(out, str_of(words.p + list[i].value.at, list[i].value.n));
    }
    ok = true;
out:
    free(list);
    buf_deinit(&words);
    buf_deinit(&tmp);
    return ok;
}

/* "/a/./b//../c" -> "/a/c": what every service but S3 signs. */
static void normalise(struct buf *out, struct str path)
{
    size_t base = out->n;
    bool slash_end = path.n && path.p[path.n - 1] == '/';
    struct str rest = path;
    while (rest.p) {
        struct str seg = str_cut(&rest, '/');
        if (seg.n == 0 || str_is(seg, "."))
            continue;
        if (str_is(seg, "..")) {
            while (out->n > base && out->p[--out->n] != '/')
                ;
            continue;
        }
        buf_addc(out, '/');
        buf_add(out, seg);
    }
    if (out->n == base || slash_end)
        buf_addc(out, '/');
}

static bool add_path(struct buf *out, struct str path, bool s3)
{
    struct buf tmp = BUF_INIT;
    struct span ignored;
    bool ok = true;
    if (s3) {
        ok = recode(out, &tmp, path.n ? path : STR("/"), false, true, &ignored);
    } else {
        normalise(&tmp, path);
        uri_encode(out, buf_str(&tmp), true);
    }
    buf_deinit(&tmp);
    return ok;
}

/* Trimmed, runs of blanks as one. */
static void add_value(struct buf *out, struct str v)
{
    bool blank = false, any = false;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (c == ' ' || c == '\t') {
            blank = any;
            continue;
        }
        if (blank)
            buf_addc(out, ' ');
        buf_addc(out, c);
        blank = false;
        any = true;
    }
}

/* "name:value,value\n"; false when the request has no such header. */
static bool add_header(struct buf *out, const struct sigv4_request *r, struct str name)
{
    bool found = false;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!str_ieq(r->headers[i].name, name))
            continue;
        if (!found)
            buf_add(out, name);
        buf_addc(out, found ? ',' : ':');
        add_value(out, r->headers[i].value);
        found = true;
    }
    buf_addc(out, '\n');
    return found;
}

/* Names as the claim has them: each lower case, sorted, separated by ';' (in a query "%3B"). */
static size_t split_signed(struct str s, struct str *names)
{
    size_t n = 0;
    while (s.n && n < SIGNED_MAX) {
        ptrdiff_t end = str_index(s, ';', 0);
        size_t width = 1;
        if (end < 0 && (end = str_find(s, STR("%3B"))) < 0)
            end = str_find(s, STR("%3b"));
        if (end >= 0 && s.p[end] == '%')
            width = 3;
        names[n] = end < 0 ? s : str_of(s.p, (size_t)end);
        if (names[n].n == 0 || (n && str_cmp(names[n - 1], names[n]) >= 0))
            return 0;
        n++;
        if (end < 0)
            return n;
        s = str_from(s, (size_t)end + width);
    }
    return 0;
}

/* Appends the canonical request. false when the request cannot be signed like that. */
static bool canonical(struct buf *out, const struct sigv4_request *r, const struct str *names,
                      size_t count, struct str service, struct str payload_hash)
{
    buf_add(out, r->method);
    buf_addc(out, '\n');
    if (!add_path(out, r->path, str_is(service, "s3")))
        return false;
    buf_addc(out, '\n');
    if (r->query.n && !add_query(out, r->query))
        return false;
    buf_addc(out, '\n');
    for (size_t i = 0; i < count; i++)
        if (!add_header(out, r, names[i]))
            return false;
    buf_addc(out, '\n');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_addc(out, ';');
        buf_add(out, names[i]);
    }
    buf_addc(out, '\n');
    buf_add(out, payload_hash);
    return out->rc == 0;
}

/* --- signing keys -----------------------------------------------------------------------------
 */

struct signing_key {
    char scope[192]; /* "date/region/service" */
    char owner[384]; /* access key, '\n', secret */
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

/* Texts that do not fit are not cached: false. */
static bool cache_names(const struct sigv4_claim *c, struct str secret, struct signing_key *k)
{
    int a = snprintf(k->scope, sizeof k->scope, "%.*s/%.*s/%.*s", STR_FMT(c->date),
                     STR_FMT(c->region), STR_FMT(c->service));
    int b =
        snprintf(k->owner, sizeof k->owner, "%.*s\n%.*s", STR_FMT(c->access_key), STR_FMT(secret));
    return a > 0 && (size_t)a < sizeof k->scope && b > 0 && (size_t)b < sizeof k->owner;
}

/* Fills k->key from the cache; unknown: any owner will do. */
static bool cache_find(struct signing_key *k, bool unknown)
{
    bool found = false;
    pthread_mutex_lock(&cache_lock);
    for (int i = 0; i < CACHE_SIZE && !found; i++) {
        struct signing_key *e = &cache[i];
        if (!e->used || strcmp(e->scope, k->scope) != 0 ||
            (!unknown && !str_eq_secret(str_c(e->owner), str_c(k->owner))))
            continue;
        e->used = ++cache_clock;
        memcpy(k->key, e->key, sizeof k->key);
        found = true;
    }
    pthread_mutex_unlock(&cache_lock);
    return found;
}

static void cache_keep(struct signing_key *k)
{
    pthread_mutex_lock(&cache_lock);
    struct signing_key *oldest = &cache[0];
    for (int i = 1; i < CACHE_SIZE; i++)
        if (cache[i].used < oldest->used)
            oldest = &cache[i];
    k->used = ++cache_clock;
    *oldest = *k;
    pthread_mutex_unlock(&cache_lock);
}

/* --- checking ---------------------------------------------------------------------------------
 */

/* "20261123T113204Z" of the claim's time. */
static void stamp_of(int64_t ms, char out[static 32])
{
    struct clock_parts t;
    clock_split(ms, &t);
    snprintf(out, 32, "%04d%02d%02dT%02d%02d%02dZ", t.year % 10000, t.month % 100, t.day % 100,
             t.hour % 100, t.minute % 100, t.second % 100);
}

/* Hex signature of the canonical request under a signing key. */
static void sign_text(const unsigned char key[32], struct str canonical_request, const char *stamp,
                      const char *scope, char out[static 65])
{
    char hex[65], text[512];
    unsigned char mac[32];
    sha256_hex(canonical_request, hex);
    int n = snprintf(text, sizeof text, ALGORITHM "\n%s\n%s/aws4_request\n%s", stamp, scope, hex);
    hmac_once(HASH_SHA256, str_of((const char *)key, 32), str_of(text, (size_t)n), mac);
    hex_encode(mac, sizeof mac, out);
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
        bool free = name.n < 6 || !str_ieq(str_of(name.p, 6), STR("x-amz-"));
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

int sigv4_verify(const struct sigv4_request *r, const struct sigv4_claim *c, struct str secret,
                 struct str payload_hash, int64_t now_ms, struct err *err)
{
    struct str names[SIGNED_MAX];
    struct signing_key k = {.used = 0};
    char stamp[32], want[65];
    struct buf text = BUF_INIT;
    bool unknown = secret.p == NULL;
    size_t count = split_signed(c->signed_headers, names);
    if (count == 0 || c->signed_headers.n > 4096)
        return err_set(err, c->presigned ? E_BAD_AUTH_QUERY : E_BAD_AUTH,
                       "SignedHeaders must be lower case names in order, separated by semicolons.");
    int rc = check_signed(r, names, count, err);
    if (rc == 0)
        rc = check_clock(c, now_ms, err);
    if (rc)
        return rc;
    if (unknown)
        secret = STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    buf_reserve(&text, 2048);
    bool ok = canonical(&text, r, names, count, c->service, payload_hash);
    bool named = cache_names(c, secret, &k), cached = named && cache_find(&k, unknown);
    if (!cached)
        derive(secret, c->date, c->region, c->service, k.key);
    stamp_of(c->time_ms, stamp);
    sign_text(k.key, buf_str(&text), stamp, k.scope, want);
    bool equal = str_eq_secret(str_of(want, 64), c->signature);
    if (!ok || !named || unknown || !equal || !lower_hex(c->signature, 64))
        rc = err_set(err, E_BAD_SIGNATURE, "%s", err_row(E_BAD_SIGNATURE)->text);
    else if (!cached)
        cache_keep(&k);
    OPENSSL_cleanse(&k, sizeof k);
    buf_deinit(&text);
    return rc;
}

/* --- signing ----------------------------------------------------------------------------------
 */

static int name_cmp(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    return str_cmp(*x, *y);
}

void sigv4_sign(const struct sigv4_request *r, struct str access_key, struct str secret,
                struct str region, struct str service, struct str stamp, struct str payload_hash,
                struct buf *authorization)
{
    struct str names[SIGNED_MAX];
    char lower[SIGNED_MAX * 64], signature[65], scope[192], date[32];
    size_t count = 0, used = 0;
    struct buf text = BUF_INIT;
    unsigned char key[32];
    for (size_t i = 0; i < r->header_count && count < SIGNED_MAX; i++) {
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
    canonical(&text, r, names, count, service, payload_hash);
    struct str day = str_of(stamp.p, stamp.n < 8 ? stamp.n : 8);
    snprintf(scope, sizeof scope, "%.*s/%.*s/%.*s", STR_FMT(day), STR_FMT(region),
             STR_FMT(service));
    snprintf(date, sizeof date, "%.*s", STR_FMT(stamp));
    derive(secret, day, region, service, key);
    sign_text(key, buf_str(&text), date, scope, signature);
    buf_printf(authorization,
               ALGORITHM " Credential=%.*s/%s/aws4_request, SignedHeaders=", STR_FMT(access_key),
               scope);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_addc(authorization, ';');
        buf_add(authorization, names[i]);
    }
    buf_printf(authorization, ", Signature=%s", signature);
    OPENSSL_cleanse(key, sizeof key);
    buf_deinit(&text);
}
