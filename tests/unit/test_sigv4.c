/* test_sigv4: requests signed by botocore must verify, and must stop verifying when any part of
 * them is touched. Then the clock, what must be signed, malformed claims, and the kept keys. */
#include "auth/sigv4.h"
#include "auth/sigv4_canonical.h"

#include <ctype.h>

#include "base/clock.h"
#include "base/hash.h"
#include "unit.h"

#define KEY "AKIDEXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct signed_case {
    const char *service, *method, *path, *query, *headers, *payload;
};
static const struct signed_case cases[] = {
#include "sigv4_cases.inc"
};
enum { CASES = sizeof cases / sizeof *cases };

static int64_t now_ms; /* the clock of sigv4_cases.py */

/* A request whose headers come as "Name:value\n" lines. */
struct request {
    struct sigv4_request r;
    struct sigv4_header headers[120];
};

static void build(struct request *q, const char *method, const char *path, const char *query,
                  const char *headers)
{
    struct str rest = str_c(headers);
    *q = (struct request){
        .r = {.method = str_c(method), .path = str_c(path), .query = str_c(query)}};
    while (rest.n) {
        struct str value = str_cut(&rest, '\n'), name = str_cut(&value, ':');
        assert_true(q->r.header_count < 120);
        q->headers[q->r.header_count++] = (struct sigv4_header){name, value};
    }
    q->r.headers = q->headers;
}

static void build_case(struct request *q, const struct signed_case *t)
{
    build(q, t->method, t->path, t->query, t->headers);
}

static int verify_with(const struct request *q, const char *secret, const char *payload,
                       int64_t now, struct err *err)
{
    struct sigv4_claim c;
    int rc = sigv4_claim(&q->r, &c, err);
    return rc ? rc : sigv4_verify(&q->r, &c, str_c(secret), str_c(payload), now, err);
}

static void botocore(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) { /* the second with kept keys */
        for (size_t i = 0; i < CASES; i++) {
            struct request q;
            struct err err = {0};
            struct sigv4_claim c;
            build_case(&q, &cases[i]);
            assert_true(sigv4_present(&q.r));
            assert_int_equal(sigv4_claim(&q.r, &c, &err), 0);
            assert_str(c.access_key, KEY);
            assert_str(c.region, "eu-west-1");
            assert_str(c.service, cases[i].service);
            assert_int_equal(c.time_ms, now_ms);
            int rc = verify_with(&q, SECRET, cases[i].payload, now_ms, &err);
            if (rc)
                fail_msg("case %zu, %s %s?%s: %s", i, cases[i].method, cases[i].path,
                         cases[i].query, err.text);
        }
    }
}

/* true when the request no longer verifies. */
static bool fails(const struct request *q, const char *secret, const char *payload)
{
    return verify_with(q, secret, payload, now_ms, NULL) != 0;
}

static void tampering(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        const struct signed_case *t = &cases[i];
        char path[512], query[1200];
        struct request q;
        build_case(&q, t);
        assert_true(fails(&q, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEZ", t->payload));
        assert_true(fails(&q, NULL, t->payload));
        assert_true(fails(&q, "", t->payload));
        assert_true(fails(&q, SECRET, HEX64));
        q.r.method = STR("DELETE");
        assert_true(fails(&q, SECRET, t->payload));
        snprintf(path, sizeof path, "%sx", t->path);
        snprintf(query, sizeof query, "%s%sx=1", t->query, *t->query ? "&" : "");
        build(&q, t->method, path, t->query, t->headers);
        assert_true(fails(&q, SECRET, t->payload));
        build(&q, t->method, t->path, query, t->headers);
        assert_true(fails(&q, SECRET, t->payload));
        for (size_t h = 0; h < q.r.header_count; h++) { /* each header's last byte */
            build_case(&q, t);
            char value[1024];
            size_t n = q.headers[h].value.n;
            memcpy(value, q.headers[h].value.p, n);
            value[n] = 'b';
            if (n && !str_ieq(q.headers[h].name, STR("x-empty")))
                value[n - 1] = value[n - 1] == '1' ? '2' : '1';
            else
                n++;
            q.headers[h].value = str_of(value, n);
            bool is_signed = str_ieq(q.headers[h].name, STR("authorization")) ||
                             strcasestr(t->headers, "SignedHeaders=") == NULL;
            char lower[64] = "";
            for (size_t k = 0; k < q.headers[h].name.n && k < 63; k++)
                lower[k] = (char)tolower((unsigned char)q.headers[h].name.p[k]);
            const char *list = strstr(t->headers, "SignedHeaders=");
            is_signed = is_signed || (list && strstr(list, lower));
            if (is_signed && !fails(&q, SECRET, t->payload))
                fail_msg("case %zu verifies with %s changed", i, lower);
        }
    }
}

static void clock_window(void **state)
{
    (void)state;
    struct request q;
    const int64_t min = 60 * 1000;
    build_case(&q, &cases[0]);
    assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms + 15 * min, NULL), 0);
    assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms - 15 * min, NULL), 0);
    assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms + 15 * min + 1, NULL), E_SKEW);
    assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms - 15 * min - 1, NULL), E_SKEW);
    for (size_t i = 0; i < CASES; i++) {
        if (!strstr(cases[i].query, "X-Amz-Expires=600&"))
            continue;
        build_case(&q, &cases[i]);
        assert_int_equal(verify_with(&q, SECRET, cases[i].payload, now_ms + 600 * 1000, NULL), 0);
        assert_int_equal(verify_with(&q, SECRET, cases[i].payload, now_ms + 600 * 1000 + 1, NULL),
                         E_EXPIRED);
        assert_int_equal(verify_with(&q, SECRET, cases[i].payload, now_ms - 16 * min, NULL),
                         E_DENIED);
        return;
    }
    fail_msg("no presigned case");
}

/* Signs with sigv4_sign: the way back, and the base for requests that botocore never makes. */
static const char *sign(struct request *q, const char *service, const char *payload)
{
    static struct buf b;
    buf_clear(&b);
    sigv4_sign(&q->r, STR(KEY), STR(SECRET), STR("eu-west-1"), str_c(service),
               STR("20261123T113204Z"), str_c(payload), &b);
    buf_addc(&b, 0);
    q->headers[q->r.header_count++] =
        (struct sigv4_header){STR("Authorization"), str_of(b.p, b.n - 1)};
    return b.p;
}

static void round_trip(void **state)
{
    (void)state;
    struct request q;
    build(&q, "PUT", "/b/%C3%BC/x+y", "b=%20&a=+&c",
          "Host:h\nX-Amz-Date:20261123T113204Z\nx-amz-content-sha256:" EMPTY_SHA
          "\nX-Amz-Meta-B:1\nx-amz-meta-b:2\nX-Amz-Meta-A: a  b \n");
    const char *got = sign(&q, "s3", EMPTY_SHA);
    assert_non_null(strstr(got, "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;"
                                "x-amz-meta-b, "));
    assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL), 0);
    build(&q, "GET", "/b//./k", "=",
          "Host:h\nX-Amz-Date:20261123T113204Z\n"); /* empty words only */
    sign(&q, "lambda", EMPTY_SHA);
    assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL), 0);
    /* the published example of AWS's documentation: GET Object with a range */
    struct sigv4_request r = {.method = STR("GET"), .path = STR("/test.txt")};
    struct sigv4_header h[] = {{STR("Host"), STR("examplebucket.s3.amazonaws.com")},
                               {STR("Range"), STR("bytes=0-9")},
                               {STR("x-amz-content-sha256"), STR(EMPTY_SHA)},
                               {STR("x-amz-date"), STR("20130524T000000Z")}};
    struct buf b = BUF_INIT;
    r.headers = h;
    r.header_count = 4;
    sigv4_sign(&r, STR("AKIAIOSFODNN7EXAMPLE"), STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
               STR("us-east-1"), STR("s3"), STR("20130524T000000Z"), STR(EMPTY_SHA), &b);
    assert_str(
        buf_str(&b),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    buf_deinit(&b);
}

/* Everything but the named header is signed by ourselves, then one more is added unsigned. */
static int with_unsigned(const char *name, const char *value)
{
    struct request q;
    build(&q, "GET", "/", "", "Host:h\nX-Amz-Date:20261123T113204Z\n");
    sign(&q, "s3", EMPTY_SHA);
    q.headers[q.r.header_count++] = (struct sigv4_header){str_c(name), str_c(value)};
    return verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL);
}

static void signed_headers(void **state)
{
    (void)state;
    struct request q;
    assert_int_equal(with_unsigned("User-Agent", "x"), 0);
    assert_int_equal(with_unsigned("x-amz-content-sha256", EMPTY_SHA), 0);
    assert_int_equal(with_unsigned("X-Amz-Decoded-Content-Length", "1"), 0);
    assert_int_equal(with_unsigned("X-Amz-Trailer", "x"), 0);
    assert_int_equal(with_unsigned("x-amz-sdk-checksum-algorithm", "CRC32"), 0);
    assert_int_equal(with_unsigned("x-amz-copy-source", "b/k"), E_DENIED);
    assert_int_equal(with_unsigned("X-AMZ-Meta-Any", "x"), E_DENIED);
    assert_int_equal(with_unsigned("x-amz-", ""), E_DENIED);
    assert_int_equal(with_unsigned("Host", "second"), E_BAD_SIGNATURE);
    build(&q, "GET", "/", "", "X-Amz-Date:20261123T113204Z\nAccept:x\n"); /* host is not signed */
    sign(&q, "s3", EMPTY_SHA);
    assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL), E_BAD_AUTH);
}

/* A proxy that knows the length takes Transfer-Encoding out; older SDKs have signed it. */
static void signed_hop_by_hop(void **state)
{
    (void)state;
    const struct str names[] = {STR("host"), STR("transfer-encoding")}, other = STR("te");
    struct sigv4_header h[] = {{STR("Host"), STR("h")}, {STR("Transfer-Encoding"), STR("chunked")}};
    struct sigv4_request r = {.method = STR("PUT"), .path = STR("/k"), .headers = h};
    struct buf with = BUF_INIT, without = BUF_INIT;
    r.header_count = 2;
    assert_true(sigv4_canonical(&with, &r, names, 2, STR("s3"), STR(EMPTY_SHA)));
    r.header_count = 1;
    assert_true(sigv4_canonical(&without, &r, names, 2, STR("s3"), STR(EMPTY_SHA)));
    assert_true(str_eq(buf_str(&with), buf_str(&without)));
    assert_false(sigv4_canonical(&without, &r, &other, 1, STR("s3"), STR(EMPTY_SHA)));
    buf_deinit(&with);
    buf_deinit(&without);
}

/* `Date` serves where X-Amz-Date is absent. */
static void date_header(void **state)
{
    (void)state;
    static const char *const dates[] = {"Mon, 23 Nov 2026 11:32:04 GMT", "20261123T113204Z"};
    for (size_t i = 0; i < 2; i++) {
        struct request q;
        char headers[100];
        snprintf(headers, sizeof headers, "Host:h\nDate:%s\n", dates[i]);
        build(&q, "GET", "/b/k", "", headers);
        sign(&q, "s3", EMPTY_SHA);
        assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL), 0);
        q.headers[1].value = STR("Mon, 23 Nov 2026 11:32:05 GMT");
        assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL), E_BAD_SIGNATURE);
    }
}

#define SCOPE KEY "/20261123/eu-west-1/s3/aws4_request"
#define SIG "Signature=" HEX64

static void malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Bearer x",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256X Credential=" SCOPE ", SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=" SCOPE ", " SIG,
        "AWS4-HMAC-SHA256 SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" SCOPE ", Credential=" SCOPE ", SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=host, " SIG ", More=1",
        "AWS4-HMAC-SHA256 Credential=" KEY ", SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" KEY "/20261123/eu-west-1/s3, SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" KEY "/20261123//s3/aws4_request, SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=/20261123/r/s3/aws4_request, SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" KEY "/2026112/r/s3/aws4_request, SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" KEY "/20261124/r/s3/aws4_request, SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" KEY "/20261123/r/s3/aws5_request, SignedHeaders=host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=, " SIG,
        "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=host;, " SIG,
        "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=x;host, " SIG,
        "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=host;host, " SIG,
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct request q;
        build(&q, "GET", "/", "", "Host:h\nX-Amz-Date:20261123T113204Z\n");
        q.headers[q.r.header_count++] = (struct sigv4_header){STR("Authorization"), str_c(bad[i])};
        int rc = verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL);
        if (rc != E_BAD_AUTH)
            fail_msg("%s: %d", bad[i], rc);
    }
    static const char *const good =
        "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=host;x-amz-date," SIG;
    static const struct {
        const char *headers, *query;
        int rc;
    } t[] = {
        {"Host:h\nX-Amz-Date:20261123T113204Z\n", "", E_BAD_SIGNATURE},
        {"Host:h\n", "", E_DENIED},
        {"Host:h\nX-Amz-Date:\n", "", E_DENIED},
        {"Host:h\nX-Amz-Date:yesterday\n", "", E_DENIED},
        {"Host:h\nX-Amz-Date:20261323T113204Z\n", "", E_DENIED},
        {"Host:h\nX-Amz-Date:20260231T113204Z\n", "", E_DENIED},
        {"Host:h\nX-Amz-Date:20261199T113204Z\n", "", E_DENIED},
        {"Host:h\nX-Amz-Date:+026112 T113204Z\n", "", E_DENIED},
        {"Host:h\nX-Amz-Date:20261123T113204Z\nX-Amz-Date:20261123T113204Z\n", "", E_DENIED},
        {"Host:h\nX-Amz-Date:20261123T113204Z\nAuthorization:AWS4-HMAC-SHA256 x\n", "", E_BAD_AUTH},
        {"Host:h\nX-Amz-Date:20261123T113204Z\n", "X-Amz-Algorithm=AWS4-HMAC-SHA256", E_BAD_AUTH},
        {"Host:h\nX-Amz-Date:20261123T113204Z\n", "X-Amz-Signature=1", E_BAD_AUTH},
        {"Host:h\nX-Amz-Date:20261123T113204Z\n", "broken=%", E_BAD_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct request q;
        build(&q, "GET", "/", t[i].query, t[i].headers);
        q.headers[q.r.header_count++] = (struct sigv4_header){STR("Authorization"), str_c(good)};
        int rc = verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL);
        if (rc != t[i].rc)
            fail_msg("%s?%s: %d, want %d", t[i].headers, t[i].query, rc, t[i].rc);
    }
    struct request none;
    struct sigv4_claim c;
    build(&none, "GET", "/", "a=b", "Host:h\n");
    assert_false(sigv4_present(&none.r));
    assert_int_equal(sigv4_claim(&none.r, &c, NULL), E_NO_AUTH);
}

#define Q_ALG "X-Amz-Algorithm=AWS4-HMAC-SHA256"
#define Q_CRED "&X-Amz-Credential=" KEY "%2F20261123%2Feu-west-1%2Fs3%2Faws4_request"
#define Q_REST "&X-Amz-Date=20261123T113204Z&X-Amz-SignedHeaders=host&X-Amz-Signature=" HEX64

static void malformed_query(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        int rc;
    } t[] = {
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=60", E_BAD_SIGNATURE},
        {Q_ALG "&X-Amz-Credential=" KEY "/20261123/eu-west-1/s3/aws4_request" Q_REST
               "&X-Amz-Expires=60",
         E_BAD_SIGNATURE},
        {Q_ALG Q_CRED Q_REST, E_BAD_AUTH_QUERY},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=0", E_BAD_AUTH_QUERY},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=604801", E_BAD_AUTH_QUERY},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=-5", E_BAD_AUTH_QUERY},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=99999999999999999999", E_BAD_AUTH_QUERY},
        {Q_ALG Q_CRED Q_REST "&X-Amz-Expires=1e3", E_BAD_AUTH_QUERY},
        {"X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256" Q_CRED Q_REST "&X-Amz-Expires=60",
         E_BAD_AUTH_QUERY},
        {"X-Amz-Signature=1", E_BAD_AUTH_QUERY},
        {Q_ALG, E_BAD_AUTH_QUERY},
        {Q_ALG "&X-Amz-Credential=x" Q_REST "&X-Amz-Expires=60", E_BAD_AUTH_QUERY},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct request q;
        build(&q, "GET", "/b/k", t[i].query, "Host:h\n");
        int rc = verify_with(&q, SECRET, "UNSIGNED-PAYLOAD", now_ms, NULL);
        if (rc != t[i].rc)
            fail_msg("%s: %d, want %d", t[i].query, rc, t[i].rc);
    }
}

/* More scopes than are kept; and a changed secret must not be covered by a kept key. */
static void kept_keys(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct request q;
        char region[16];
        struct buf b = BUF_INIT;
        snprintf(region, sizeof region, "r-%d", i % 50);
        build(&q, "GET", "/", "", "Host:h\nX-Amz-Date:20261123T113204Z\n");
        sigv4_sign(&q.r, STR(KEY), STR(SECRET), str_c(region), STR("s3"), STR("20261123T113204Z"),
                   STR(EMPTY_SHA), &b);
        q.headers[q.r.header_count++] = (struct sigv4_header){STR("Authorization"), buf_str(&b)};
        assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL), 0);
        assert_int_equal(verify_with(&q, "other", EMPTY_SHA, now_ms, NULL), E_BAD_SIGNATURE);
        assert_int_equal(verify_with(&q, NULL, EMPTY_SHA, now_ms, NULL), E_BAD_SIGNATURE);
        buf_deinit(&b);
    }
}

static void big(void **state)
{
    (void)state;
    struct buf query = BUF_INIT;
    struct request q;
    for (int i = 0; i < 5000; i++)
        buf_lit(&query, "a&");
    buf_addc(&query, 0);
    build(&q, "GET", "/", query.p, "Host:h\nX-Amz-Date:20261123T113204Z\n");
    sign(&q, "s3", EMPTY_SHA);
    assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms, NULL), E_BAD_SIGNATURE);
    buf_deinit(&query);
    build_case(&q, &cases[2]);
    enum { N = 2000 };
    uint64_t t0 = clock_mono_ns();
    for (int i = 0; i < N; i++)
        assert_int_equal(verify_with(&q, SECRET, cases[2].payload, now_ms, NULL), 0);
    print_message("           one check: %llu ns\n",
                  (unsigned long long)((clock_mono_ns() - t0) / N));
}

static void older_header(void **state)
{
    (void)state;
    struct request q;
    struct err err = {0};
    build(&q, "GET", "/", "",
          "Host:h\nDate:Mon, 23 Nov 2026 11:32:04 GMT\nAuthorization:AWS " KEY ":s");
    assert_int_equal(verify_with(&q, SECRET, EMPTY_SHA, now_ms, &err), E_BAD_REQUEST);
    assert_non_null(strstr(err.text, "Please use AWS4-HMAC-SHA256"));
}

/* --- chunks -------------------------------------------------------------------------------------
 */

static void chunk_hash(size_t n, unsigned char sha256[32])
{
    struct hash *h = hash_new(HASH_SHA256);
    while (n--)
        hash_update(h, "a", 1);
    hash_final(h, sha256);
}

/* The two examples of AWS's documentation: 65,536 and 1,024 times 'a', then nothing. */
static void chunks(void **state)
{
    (void)state;
    static const size_t sizes[] = {65536, 1024, 0};
    static const char *const plain[] = {
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"};
    static const char *const with_trailer[] = {
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"};
    struct str secret = STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    for (int form = 0; form < 2; form++) {
        const char *const *want = form ? with_trailer : plain;
        struct sigv4_claim claim = {.access_key = STR("AKIAIOSFODNN7EXAMPLE"),
                                    .date = STR("20130524"),
                                    .region = STR("us-east-1"),
                                    .service = STR("s3"),
                                    .signature = str_c(want[0]),
                                    .stamp = "20130524T000000Z"};
        struct sigv4_chain chain, broken;
        unsigned char sha256[32];
        sigv4_chain_init(&chain, &claim, secret);
        for (int i = 0; i < 3; i++) {
            chunk_hash(sizes[i], sha256);
            broken = chain;
            assert_false(sigv4_chain_chunk(&broken, sha256, str_c(want[0])));
            broken = chain;
            sha256[31] ^= 1;
            assert_false(sigv4_chain_chunk(&broken, sha256, str_c(want[i + 1])));
            sha256[31] ^= 1;
            assert_true(sigv4_chain_chunk(&chain, sha256, str_c(want[i + 1])));
            assert_false(sigv4_chain_chunk(&broken, sha256, str_c(want[i + 1])));
        }
        hash_once(HASH_SHA256, STR("x-amz-checksum-crc32c:sOO8/Q==\n"), sha256);
        assert_int_equal(
            sigv4_chain_trailer(
                &chain, sha256,
                STR("d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435")),
            form);
        sigv4_chain_wipe(&chain);
    }
}

static void links_that_are_signed_verify(void **state)
{
    (void)state;
    struct sigv4_header host = {STR("host"), STR("files.example.com:1969")};
    struct sigv4_request r = {
        .method = STR("GET"), .path = STR("/b/a%20b%2B"), .headers = &host, .header_count = 1};
    struct sigv4_claim c = {.presigned = false};
    struct buf query = BUF_INIT;
    struct err err = {0};
    int64_t now = 1795779124000;
    for (int with_token = 0; with_token < 2; with_token++) {
        struct str token = with_token ? STR("a+b/c==") : STR("");
        buf_clear(&query);
        sigv4_presign(&r, STR("ASIATEST"), STR("secret"), token, STR("us-east-1"), STR("s3"), now,
                      60, &query);
        struct sigv4_request got = r;
        got.query = buf_str(&query);
        assert_int_equal(sigv4_claim(&got, &c, &err), 0);
        assert_true(c.presigned && c.expires_s == 60 && str_is(c.access_key, "ASIATEST"));
        assert_int_equal(c.session_token.n > 0, with_token);
        struct str hash = STR("UNSIGNED-PAYLOAD"), secret = STR("secret");
        assert_int_equal(sigv4_verify(&got, &c, secret, hash, now + 59000, &err), 0);
        assert_int_equal(sigv4_verify(&got, &c, secret, hash, now + 61000, &err), E_EXPIRED);
        assert_int_equal(sigv4_verify(&got, &c, STR("other"), hash, now, &err), E_BAD_SIGNATURE);
        got.path = STR("/b/other");
        assert_int_equal(sigv4_verify(&got, &c, secret, hash, now, &err), E_BAD_SIGNATURE);
    }
    buf_deinit(&query);
}

int main(void)
{
    now_ms = clock_join(2026, 11, 23, 11, 32, 4);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(botocore),
        cmocka_unit_test(tampering),
        cmocka_unit_test(clock_window),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(signed_headers),
        cmocka_unit_test(signed_hop_by_hop),
        cmocka_unit_test(date_header),
        cmocka_unit_test(malformed),
        cmocka_unit_test(malformed_query),
        cmocka_unit_test(kept_keys),
        cmocka_unit_test(big),
        cmocka_unit_test(older_header),
        cmocka_unit_test(chunks),
        cmocka_unit_test(links_that_are_signed_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
