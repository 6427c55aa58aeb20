/* sigv4_claim: what a request says about who signed it, read and checked for form only.
 *
 * Two places may carry the claim, the Authorization header or the query of a presigned link, never
 * both. The reader is strict: a field that comes twice, one that is not known, a time in a loose
 * format or a scope of another day is an error here, so that the verifier works on nothing it would
 * have to guess about. Everything handed out is borrowed from the request. */
#include "auth/sigv2.h"
#include "auth/sigv4.h"
#include "auth/sigv4_canonical.h"
#include "base/clock.h"

enum { EXPIRES_MAX_S = 604800 };

#define ALGORITHM "AWS4-HMAC-SHA256"

static struct str header(const struct sigv4_request *r, const char *name)
{
    struct str want = str_c(name);
    for (size_t i = 0; i < r->header_count; i++)
        if (str_ieq(r->headers[i].name, want))
            return r->headers[i].value;
    return (struct str){NULL, 0};
}

static size_t header_times(const struct sigv4_request *r, const char *name)
{
    struct str want = str_c(name);
    size_t n = 0;
    for (size_t i = 0; i < r->header_count; i++)
        n += str_ieq(r->headers[i].name, want);
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
           query_value(r->query, "X-Amz-Algorithm").p ||
           query_value(r->query, "X-Amz-Signature").p || sigv2_present(r);
}

static bool digits(struct str s, size_t n)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n == n;
}

static int number(const char *p, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (p[i] - '0');
    return v;
}

/* "20261123T113204Z", nothing looser. */
static bool amz_date(struct str s, struct sigv4_claim *out)
{
    if (s.n != 16 || !digits(str_of(s.p, 8), 8) || s.p[8] != 'T' ||
        !digits(str_of(s.p + 9, 6), 6) || s.p[15] != 'Z')
        return false;
    int month = number(s.p + 4, 2), day = number(s.p + 6, 2);
    int hour = number(s.p + 9, 2), minute = number(s.p + 11, 2), second = number(s.p + 13, 2);
    if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60)
        return false;
    out->time_ms = clock_join(number(s.p, 4), month, day, hour, minute, second);
    if (day > 28)
        sigv4_stamp(out->time_ms, out->stamp);
    if (day > 28 && memcmp(out->stamp, s.p, 8) != 0)
        return false; /* no such day */
    memcpy(out->stamp, s.p, s.n);
    out->stamp[s.n] = 0;
    return true;
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
        if (part[i].n == 0 || part[i].n > SIGV4_PART_MAX)
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
    struct str stamp = header(r, "x-amz-date"), date = stamp.p ? stamp : header(r, "date");
    bool good = header_times(r, "x-amz-date") <= 1 && date.p && amz_date(date, out);
    if (!good && !stamp.p && date.p && clock_parse(date, &out->time_ms)) {
        sigv4_stamp(out->time_ms, out->stamp);
        good = true;
    }
    if (!good)
        return str_is(out->service, "s3")
                   ? err_set(err, E_DENIED,
                             "AWS authentication requires a valid Date or x-amz-date header")
                   : err_set(
                         err, E_BAD_AUTH,
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
    if (!amz_date(date, out))
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

int sigv4_claim(const struct sigv4_request *r, struct sigv4_claim *out, struct err *err)
{
    struct str authorization = header(r, "authorization");
    bool in_query =
        query_value(r->query, "X-Amz-Algorithm").p || query_value(r->query, "X-Amz-Signature").p;
    bool older = sigv2_present(r);
    *out = (struct sigv4_claim){.content_sha256 = header(r, "x-amz-content-sha256"),
                                .session_token = header(r, "x-amz-security-token")};
    if (!authorization.p && !in_query && !older)
        return err_set(err, E_NO_AUTH, "Missing Authentication Token");
    if ((authorization.p != NULL) + in_query + older > 1 || header_times(r, "authorization") > 1)
        return err_set(err, E_BAD_AUTH,
                       "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                       "Signature query string parameter or the Authorization header should be "
                       "specified");
    if (header_times(r, "x-amz-content-sha256") > 1)
        return err_set(err, E_BAD_AUTH, "x-amz-content-sha256 must be given once.");
    if (older)
        return sigv2_claim(r, out, err);
    if (!in_query && !str_starts(authorization, STR(ALGORITHM)))
        return err_set(err, str_starts(authorization, STR("AWS ")) ? E_BAD_REQUEST : E_BAD_AUTH,
                       "The authorization mechanism you have provided is not supported. Please use "
                       "AWS4-HMAC-SHA256.");
    int rc = in_query ? claim_from_query(r, out, err) : claim_from_header(authorization, out, err);
    if (rc == 0 && !in_query)
        rc = header_time(r, out, err);
    if (rc)
        return rc;
    if (!str_eq(out->date, str_of(out->stamp, 8))) /* the scope's day is the time's */
        return err_set(err, in_query ? E_BAD_AUTH_QUERY : E_BAD_AUTH,
                       "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of "
                       "the request's date.");
    if (in_query && !out->content_sha256.p)
        out->content_sha256 = query_value(r->query, "X-Amz-Content-Sha256");
    if (in_query && !out->content_sha256.p && str_is(out->service, "s3"))
        out->content_sha256 = STR("UNSIGNED-PAYLOAD");
    return 0;
}
