/* test_sigv2: AWS's own example and links made by botocore verify, as they are and with what they
 * bear moved into headers; touched anywhere they fail. Then the clock, malformed claims, methods. */
#include "auth/sigv4.h"
#include "unit.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define KEY "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&"
#define END "&Expires=1790003600"

static const int64_t now_ms = 1790000000000;

struct link {
    const char *method, *path, *query, *headers;
};

static int check(const struct link *l, const char *secret, int64_t now, struct err *err)
{
    struct sigv4_header headers[20];
    struct str rest = str_c(l->headers);
    struct sigv4_request r = {.method = str_c(l->method),
                              .path = str_c(l->path),
                              .query = str_c(l->query),
                              .headers = headers};
    struct sigv4_claim c;
    while (rest.n) {
        struct str value = str_cut(&rest, '\n'), name = str_cut(&value, ':');
        headers[r.header_count++] = (struct sigv4_header){name, value};
    }
    assert_true(sigv4_present(&r));
    int rc = sigv4_claim(&r, &c, err);
    if (rc)
        return rc;
    assert_true(c.older && c.presigned);
    assert_str(c.service, "s3");
    return sigv4_verify(&r, &c, str_c(secret), c.content_sha256, now, err);
}

static const struct link good[] = {
    {"GET", "/b/a%20b%2B%C3%BC/%C3%9F.jpg", KEY "Signature=Y3L%2Boy4nu%2FAi5YzLoPooOeO94kE%3D" END,
     "Host:h"},
    {"GET", "/b/k",
     "response-content-type=text%2Fhtml%3B%20charset%3Dutf-8&response-content-disposition="
     "attachment%3B%20filename%3D%22a%20b.txt%22&response-cache-control=no-store&" KEY
     "Signature=BXv%2BPjqL1r%2FrjtyRzErEmqQzqjM%3D" END,
     "Host:h\nUser-Agent:x"},
    {"PUT", "/b/k",
     KEY "Signature=BwZ4X8Xkgl4Ec9eo9Mea2Nz2TgM%3D&content-type=text%2Fplain&x-amz-meta-b=2%20x&"
         "x-amz-meta-a=1&content-md5=kAFQmDzST7DWlj99KOF%2Fcg%3D%3D" END,
     "Host:h"},
    {"PUT", "/b/k", KEY "Signature=BwZ4X8Xkgl4Ec9eo9Mea2Nz2TgM%3D" END,
     "X-Amz-Meta-B: 2 x \nContent-Type:text/plain\nContent-MD5:kAFQmDzST7DWlj99KOF/cg==\n"
     "x-amz-meta-A:1"},
    {"PUT", "/b/k",
     "uploadId=u%2F1%3D&partNumber=3&" KEY "Signature=lLs16%2F099AOrLY5himL2nztWBSg%3D" END, ""},
    /* a bucket, signed as "/b/" by botocore */
    {"GET", "/b", "encoding-type=url&" KEY "Signature=8mP90C8egsI61N7eTV6%2FjV9fmW0%3D" END, ""},
    {"HEAD", "/b", KEY "Signature=DMZIISsbbam0kNFCmhK4zwcOznc%3D" END, ""},
    {"DELETE", "/b/k", KEY "Signature=xVR1rcZwGn2xNxhp87Ogfm18KMs%3D" END, ""},
};
enum { GOOD = sizeof good / sizeof *good };

static void verified(void **state)
{
    (void)state;
    struct link aws = {"GET", "/johnsmith/photos/puppy.jpg",
                       KEY "Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620", ""};
    assert_int_equal(check(&aws, SECRET, 1175139620000, NULL), 0);
    for (size_t i = 0; i < GOOD; i++)
        assert_int_equal(check(&good[i], SECRET, now_ms, NULL), 0);
}

static void touched(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD; i++) {
        struct link l = good[i];
        assert_int_equal(check(&l, "another", now_ms, NULL), E_BAD_SIGNATURE);
        assert_int_equal(check(&l, NULL, now_ms, NULL), E_BAD_SIGNATURE);
        l.method = l.method[0] == 'G' ? "HEAD" : "GET";
        assert_int_equal(check(&l, SECRET, now_ms, NULL), E_BAD_SIGNATURE);
        l = good[i];
        l.path = "/b/other";
        assert_int_equal(check(&l, SECRET, now_ms, NULL), E_BAD_SIGNATURE);
        l = good[i];
        l.headers = "x-amz-acl:public-read";
        assert_int_equal(check(&l, SECRET, now_ms, NULL), E_BAD_SIGNATURE);
        l.headers = "Content-Type:text/html";
        assert_int_equal(check(&l, SECRET, now_ms, NULL), E_BAD_SIGNATURE);
        /* every byte of the query that is not the name of a parameter without meaning */
        size_t n = strlen(l.query);
        l = good[i];
        char *query = strdup(l.query), *from = strstr(query, "Signature=");
        l.query = query;
        for (char *p = from + 10; p < query + n && *p != '&' && *p != '%'; p++) {
            *p ^= 1;
            assert_int_not_equal(check(&l, SECRET, now_ms, NULL), 0);
            *p ^= 1;
        }
        query[n - 1] ^= 1;
        assert_int_equal(check(&l, SECRET, now_ms, NULL), E_BAD_SIGNATURE);
        free(query);
    }
    /* an override that was not signed */
    struct link l = {"DELETE", "/b/k",
                     "response-content-type=x&" KEY "Signature=xVR1rcZwGn2xNxhp87Ogfm18KMs%3D" END,
                     ""};
    assert_int_equal(check(&l, SECRET, now_ms, NULL), E_BAD_SIGNATURE);
    l.query = "acl&" KEY "Signature=xVR1rcZwGn2xNxhp87Ogfm18KMs%3D" END;
    assert_int_equal(check(&l, SECRET, now_ms, NULL), E_BAD_SIGNATURE);
    l.query = "x-amz-acl=private&" KEY "Signature=xVR1rcZwGn2xNxhp87Ogfm18KMs%3D" END;
    assert_int_equal(check(&l, SECRET, now_ms, NULL), E_BAD_SIGNATURE);
    l.query = "list-type=2&" KEY "Signature=xVR1rcZwGn2xNxhp87Ogfm18KMs%3D" END; /* signs no more */
    assert_int_equal(check(&l, SECRET, now_ms, NULL), 0);
}

static void clock_window(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(check(&good[0], SECRET, 1790003600999, &err), 0);
    assert_int_equal(check(&good[0], SECRET, 1790003601000, &err), E_EXPIRED);
    assert_string_equal(err.text, "Request has expired");
}

static void malformed(void **state)
{
    (void)state;
    static const struct {
        const char *method, *query, *headers;
        int want;
    } bad[] = {
        {"GET", "AWSAccessKeyId=A", "", E_DENIED},
        {"GET", "AWSAccessKeyId=A&Signature=x", "", E_DENIED},
        {"GET", "AWSAccessKeyId=A&Expires=1790003600", "", E_DENIED},
        {"GET", "Signature=x&Expires=1790003600", "", E_DENIED},
        {"GET", "AWSAccessKeyId=&Signature=x&Expires=1790003600", "", E_DENIED},
        {"GET", "AWSAccessKeyId=A&Signature=x&Expires=soon", "", E_DENIED},
        {"GET", "AWSAccessKeyId=A&Signature=x&Expires=-1", "", E_DENIED},
        {"GET", "AWSAccessKeyId=A&Signature=x&Expires=9999999999999", "", E_DENIED},
        {"GET", "AWSAccessKeyId=A&Signature=x&Expires=1", "", E_EXPIRED},
        {"GET", "AWSAccessKeyId=A&Signature=%ZZ&Expires=1790003600", "", E_BAD_SIGNATURE},
        {"GET", "AWSAccessKeyId=A&Signature=x&Expires=1790003600&content-md5=%", "",
         E_BAD_SIGNATURE},
        {"GET", "AWSAccessKeyId=A&Signature=x&Expires=1790003600&x-amz-a=%", "", E_BAD_SIGNATURE},
        {"GET", "AWSAccessKeyId=A&Signature=x&Expires=1790003600&uploadId=%", "", E_BAD_SIGNATURE},
        {"POST", "AWSAccessKeyId=A&Signature=x&Expires=1790003600", "", E_BAD_REQUEST},
        {"OPTIONS", "AWSAccessKeyId=A&Signature=x&Expires=1790003600", "", E_BAD_REQUEST},
        {"GET", "AWSAccessKeyId=A&Signature=x&Expires=1790003600", "Authorization:AWS a:b",
         E_BAD_AUTH},
        {"GET", "AWSAccessKeyId=A&Signature=x&Expires=1790003600&X-Amz-Signature=0", "",
         E_BAD_AUTH},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct link l = {bad[i].method, "/b/k", bad[i].query, bad[i].headers};
        assert_int_equal(check(&l, SECRET, now_ms, NULL), bad[i].want);
    }
    struct buf many = BUF_INIT;
    buf_lit(&many, "AWSAccessKeyId=A&Signature=x&Expires=1790003600");
    for (int i = 0; i < 100; i++)
        buf_printf(&many, "&x-amz-meta-%d=v", i);
    buf_addc(&many, '\0');
    struct link l = {"GET", "/b/k", many.p, ""};
    assert_int_equal(check(&l, SECRET, now_ms, NULL), E_BAD_SIGNATURE);
    buf_deinit(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verified),
        cmocka_unit_test(touched),
        cmocka_unit_test(clock_window),
        cmocka_unit_test(malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
