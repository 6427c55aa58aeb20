/* sigv2: HMAC-SHA1 over
 *
 *   METHOD \n Content-MD5 \n Content-Type \n Expires \n x-amz-…:value \n … path[?sub=resources]
 *
 * A link may bear x-amz-* headers, Content-MD5 and Content-Type in its query: what the SDKs do when
 * they are given such parameters. A header of the request stands before the link's, so a value is
 * either signed or makes the signature fail. */
#include "auth/sigv2.h"

#include <openssl/crypto.h>

#include "base/codec.h"
#include "base/hash.h"

enum { AMZ_MAX = 64, SUBS_MAX = 32, EXPIRES_DIGITS_MAX = 12 };

/* Parameters that belong to the resource's name, in byte order. */
static const char *const sub_resources[] = {"accelerate",
                                            "acl",
                                            "analytics",
                                            "cors",
                                            "defaultObjectAcl",
                                            "delete",
                                            "inventory",
                                            "lifecycle",
                                            "location",
                                            "logging",
                                            "metrics",
                                            "notification",
                                            "object-lock",
                                            "partNumber",
                                            "policy",
                                            "replication",
                                            "requestPayment",
                                            "response-cache-control",
                                            "response-content-disposition",
                                            "response-content-encoding",
                                            "response-content-language",
                                            "response-content-type",
                                            "response-expires",
                                            "restore",
                                            "select",
                                            "select-type",
                                            "storageClass",
                                            "tagging",
                                            "torrent",
                                            "uploadId",
                                            "uploads",
                                            "versionId",
                                            "versioning",
                                            "versions",
                                            "website"};

static struct str header(const struct sigv4_request *r, struct str name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (str_ieq(r->headers[i].name, name))
            return r->headers[i].value;
    return (struct str){NULL, 0};
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

bool sigv2_present(const struct sigv4_request *r)
{
    return query_value(r->query, "AWSAccessKeyId").p ||
           (query_value(r->query, "Signature").p && query_value(r->query, "Expires").p);
}

int sigv2_claim(const struct sigv4_request *r, struct sigv4_claim *out, struct err *err)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE"};
    struct str expires = query_value(r->query, "Expires");
    uint64_t seconds;
    bool taken = false;
    out->older = out->presigned = true;
    out->service = STR("s3");
    out->access_key = query_value(r->query, "AWSAccessKeyId");
    out->signature = query_value(r->query, "Signature");
    if (!out->session_token.p)
        out->session_token = query_value(r->query, "x-amz-security-token");
    if (!out->content_sha256.p)
        out->content_sha256 = STR("UNSIGNED-PAYLOAD");
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        taken |= str_is(r->method, methods[i]);
    if (!taken)
        return err_set(err, E_BAD_REQUEST,
                       "The authorization mechanism you have provided is not supported. Please use "
                       "AWS4-HMAC-SHA256.");
    if (!out->access_key.n || !out->signature.n || !expires.n)
        return err_set(err, E_DENIED,
                       "Query-string authentication requires the Signature, Expires and "
                       "AWSAccessKeyId parameters");
    if (expires.n > EXPIRES_DIGITS_MAX || !str_u64(expires, &seconds))
        return err_set(err, E_DENIED, "Invalid date (should be seconds since epoch): %.*s",
                       (int)(expires.n < 64 ? expires.n : 64), expires.p);
    out->time_ms = 0;
    out->expires_s = (int64_t)seconds;
    return 0;
}

/* --- the text -----------------------------------------------------------------------------------
 */

struct amz {
    struct str name;  /* as given */
    struct str value; /* of a header, or raw of a parameter */
    bool in_query;
};

static int lower_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];
        x = x >= 'A' && x <= 'Z' ? x + 32 : x;
        y = y >= 'A' && y <= 'Z' ? y + 32 : y;
        if (x != y)
            return x < y ? -1 : 1;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

/* Stable for equal names: those lie in the order of arrival. */
static int amz_cmp(const void *a, const void *b)
{
    const struct amz *x = a, *y = b;
    int d = lower_cmp(x->name, y->name);
    return d ? d : x->value.p < y->value.p ? -1 : x->value.p > y->value.p;
}

static bool is_amz(struct str name)
{
    return name.n > 6 && str_ieq(str_of(name.p, 6), STR("x-amz-"));
}

static bool add_decoded(struct buf *out, struct str raw)
{
    return uri_decode(out, raw, false);
}

static bool add_amz(struct buf *out, const struct sigv4_request *r)
{
    struct amz list[AMZ_MAX];
    size_t n = 0;
    struct str query = r->query;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!is_amz(r->headers[i].name))
            continue;
        if (n == AMZ_MAX)
            return false;
        list[n++] = (struct amz){r->headers[i].name, r->headers[i].value, false};
    }
    while (query.n) {
        struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');
        if (!is_amz(name) || header(r, name).p)
            continue;
        if (n == AMZ_MAX)
            return false;
        list[n++] = (struct amz){name, value, true};
    }
    qsort(list, n, sizeof *list, amz_cmp);
    for (size_t i = 0; i < n; i++) {
        bool again = i && lower_cmp(list[i - 1].name, list[i].name) == 0;
        for (size_t k = 0; k < list[i].name.n && !again; k++) {
            char c = list[i].name.p[k];
            buf_addc(out, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
        }
        buf_addc(out, again ? ',' : ':');
        if (!list[i].in_query)
            buf_add(out, str_trim(list[i].value));
        else if (!add_decoded(out, list[i].value))
            return false;
        if (i + 1 == n || lower_cmp(list[i].name, list[i + 1].name) != 0)
            buf_addc(out, '\n');
    }
    return true;
}

/* The header's value, or else the link's, and a line end. */
static bool add_line(struct buf *out, const struct sigv4_request *r, const char *name)
{
    struct str value = header(r, str_c(name));
    bool ok = true;
    if (value.p)
        buf_add(out, str_trim(value));
    else
        ok = add_decoded(out, query_value(r->query, name));
    buf_addc(out, '\n');
    return ok;
}

/* "/bucket" without a key: some clients sign it as "/bucket/". */
static bool is_bucket(struct str path)
{
    return path.n > 1 && str_index(path, '/', 1) < 0;
}

/* Sub-resources in order; each name once, as clients send them. */
static bool add_resource(struct buf *out, const struct sigv4_request *r, bool slash)
{
    bool first = true;
    if (r->host_bucket.n) {
        buf_addc(out, '/');
        buf_add(out, r->host_bucket);
    }
    buf_add(out, r->path);
    if (slash)
        buf_addc(out, '/');
    for (size_t i = 0; i < sizeof sub_resources / sizeof *sub_resources; i++) {
        struct str query = r->query;
        while (query.n) {
            struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');
            if (!str_is(name, sub_resources[i]))
                continue;
            buf_addc(out, first ? '?' : '&');
            first = false;
            buf_add(out, name);
            if (!value.p)
                continue;
            buf_addc(out, '=');
            if (!add_decoded(out, value))
                return false;
        }
    }
    return true;
}

static bool add_text(struct buf *out, const struct sigv4_request *r, bool slash)
{
    buf_add(out, r->method);
    buf_addc(out, '\n');
    if (!add_line(out, r, "content-md5") || !add_line(out, r, "content-type"))
        return false;
    buf_add(out, query_value(r->query, "Expires"));
    buf_addc(out, '\n');
    return add_amz(out, r) && add_resource(out, r, slash) && out->rc == 0;
}

/* Is this the signature of the request under that secret? */
static bool signs(const struct sigv4_request *r, struct str secret, struct str signature,
                  bool slash)
{
    unsigned char mac[HASH_MAX];
    struct buf text = BUF_INIT, want = BUF_INIT;
    bool ok = add_text(&text, r, slash);
    hmac_once(HASH_SHA1, secret, buf_str(&text), mac);
    base64_encode(&want, str_of((char *)mac, hash_size(HASH_SHA1)));
    ok &= str_eq_secret(buf_str(&want), signature);
    OPENSSL_cleanse(mac, sizeof mac);
    buf_deinit(&text);
    buf_deinit(&want);
    return ok;
}

int sigv2_verify(const struct sigv4_request *r, const struct sigv4_claim *c, struct str secret,
                 int64_t now_ms, struct err *err)
{
    struct buf given = BUF_INIT;
    bool unknown = secret.p == NULL;
    if (now_ms / 1000 > c->expires_s)
        return err_set(err, E_EXPIRED, "Request has expired");
    if (unknown)
        secret = STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    bool ok = uri_decode(&given, c->signature, false);
    bool good = signs(r, secret, buf_str(&given), false);
    if (is_bucket(r->path))
        good |= signs(r, secret, buf_str(&given), true);
    buf_deinit(&given);
    return ok && good && !unknown
               ? 0
               : err_set(err, E_BAD_SIGNATURE, "%s", err_row(E_BAD_SIGNATURE)->text);
}
