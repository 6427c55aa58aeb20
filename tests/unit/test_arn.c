/* test_arn: every form of a function's name, what is none, and wildcards against a slow matcher. */
#include "auth/arn.h"

#include "base/clock.h"
#include "base/err.h"
#include "unit.h"

#define REGION STR("us-east-1")
#define FN "arn:aws:lambda:us-east-1:" ACCOUNT_ID ":function:"

static void parts(void **state)
{
    (void)state;
    struct arn a;
    assert_true(arn_parse(STR("arn:aws:s3:::bucket/a:b/c"), &a));
    assert_str(a.service, "s3");
    assert_int_equal(a.region.n, 0);
    assert_int_equal(a.account.n, 0);
    assert_str(a.resource, "bucket/a:b/c");
    static const char *const bad[] = {"",
                                      "arn",
                                      "arn:",
                                      "arn:aws",
                                      "arn:aws:s3",
                                      "arn:aws:s3::",
                                      "arn:aws:s3:::",
                                      "arn::s3:::b",
                                      "arn:aws::::b",
                                      "xarn:aws:s3:::b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (arn_parse(str_c(bad[i]), &a))
            fail_msg("accepted %s", bad[i]);
}

static void functions(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int rc;
        const char *name, *qualifier;
    } t[] = {
        {"f", 0, "f", ""},
        {"f:prod", 0, "f", "prod"},
        {"f:$LATEST", 0, "f", "$LATEST"},
        {"f:12", 0, "f", "12"},
        {"function:f", 0, "f", ""},
        {"function:f:1", 0, "f", "1"},
        {"function", 0, "function", ""},
        {ACCOUNT_ID ":function:f", 0, "f", ""},
        {ACCOUNT_ID ":function:f:q", 0, "f", "q"},
        {ACCOUNT_ID, 0, ACCOUNT_ID, ""},
        {FN "f", 0, "f", ""},
        {FN "f:$LATEST", 0, "f", "$LATEST"},
        {"123456789012:function:f", E_NOT_FOUND, "f", ""},
        {"arn:aws:lambda:eu-west-1:" ACCOUNT_ID ":function:f", E_NOT_FOUND, "f", ""},
        {"arn:aws:lambda:us-east-1:123456789012:function:f:q", E_NOT_FOUND, "f", "q"},
        {"arn:aws-cn:lambda:us-east-1:" ACCOUNT_ID ":function:f", E_NOT_FOUND, "f", ""},
        {"", E_VALIDATION, NULL, NULL},
        {":", E_VALIDATION, NULL, NULL},
        {"f:", E_VALIDATION, NULL, NULL},
        {"f:a:b", E_VALIDATION, NULL, NULL},
        {"f b", E_VALIDATION, NULL, NULL},
        {"f/../g", E_VALIDATION, NULL, NULL},
        {"f.g", E_VALIDATION, NULL, NULL},
        {"f:$LATESTX", E_VALIDATION, NULL, NULL},
        {"f:a$", E_VALIDATION, NULL, NULL},
        {"12:function:f", E_VALIDATION, NULL, NULL},
        {FN, E_VALIDATION, NULL, NULL},
        {FN "f:", E_VALIDATION, NULL, NULL},
        {"arn:aws:s3:::function:f", E_VALIDATION, NULL, NULL},
        {"arn:aws:lambda:us-east-1:" ACCOUNT_ID ":layer:f", E_VALIDATION, NULL, NULL},
        {"arn:aws:lambda:us-east-1:1:function:f", E_VALIDATION, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct str name, qualifier;
        int rc = arn_function(str_c(t[i].in), REGION, &name, &qualifier);
        if (rc != t[i].rc)
            fail_msg("%s: %d, want %d", t[i].in, rc, t[i].rc);
        if (t[i].name) {
            assert_str(name, t[i].name);
            assert_str(qualifier, t[i].qualifier);
        }
    }
    char name[130];
    struct str n, q;
    memset(name, 'a', sizeof name);
    assert_int_equal(arn_function(str_of(name, 64), REGION, &n, &q), 0);
    assert_int_equal(arn_function(str_of(name, 65), REGION, &n, &q), E_VALIDATION);
}

static bool slow(const char *p, const char *s)
{
    if (*p == 0)
        return *s == 0;
    if (*p == '*')
        return slow(p + 1, s) || (*s && slow(p, s + 1));
    return *s && (*p == '?' || *p == *s) && slow(p + 1, s + 1);
}

/* All patterns of up to 5 bytes over "ab*?" against all texts of up to 5 over "ab". */
static void wildcards_exhaustive(void **state)
{
    (void)state;
    static const char abc[] = "ab*?";
    for (int plen = 0; plen <= 5; plen++) {
        for (int pn = 0; pn < 1 << (2 * plen); pn++) {
            char p[6] = "", s[6] = "";
            for (int i = 0; i < plen; i++)
                p[i] = abc[pn >> (2 * i) & 3];
            for (int slen = 0; slen <= 5; slen++) {
                for (int sn = 0; sn < 1 << slen; sn++) {
                    for (int i = 0; i < slen; i++)
                        s[i] = abc[sn >> i & 1];
                    s[slen] = 0;
                    if (arn_match(str_of(p, (size_t)plen), str_c(s)) != slow(p, s))
                        fail_msg("pattern %s on %s", p, s);
                }
            }
        }
    }
}

static void wildcards(void **state)
{
    (void)state;
    assert_true(arn_match(STR("arn:aws:s3:::b/*"), STR("arn:aws:s3:::b/")));
    assert_true(arn_match(STR("*"), STR("")));
    assert_true(arn_match(STR("*"), (struct str){NULL, 0}));
    assert_false(arn_match(STR("arn:aws:s3:::b/*"), STR("arn:aws:s3:::b")));
    assert_false(arn_match(STR("a?"), STR("a")));
    assert_true(arn_match(STR("a*b"), STR("a\0b")));
    /* a pattern made to back up */
    static char p[2048], s[1200];
    for (size_t i = 0; i < sizeof p; i += 2)
        p[i] = '*', p[i + 1] = '?';
    p[sizeof p - 1] = 'b';
    memset(s, 'a', sizeof s);
    uint64_t t0 = clock_mono_ns();
    assert_false(arn_match(str_of(p, sizeof p), str_of(s, sizeof s)));
    assert_false(arn_match(STR("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*ab"), str_of(s, sizeof s)));
    assert_true(clock_mono_ns() - t0 < 20 * 1000 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(functions),
        cmocka_unit_test(wildcards_exhaustive),
        cmocka_unit_test(wildcards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
