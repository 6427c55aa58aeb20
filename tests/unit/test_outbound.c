/* Spellings of URLs and addresses, and what policies say about them. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "auth/outbound.h"
#include "auth/policy.h"

/* --- one spelling ------------------------------------------------------------------------------ */

static const struct {
    const char *given, *canonical;
} same[] = {
    {"http://a.example", "http://a.example/"},
    {"HTTP://A.Example/B", "http://a.example/B"},
    {"https://a.example:443/x", "https://a.example/x"},
    {"http://a.example:80", "http://a.example/"},
    {"http://a.example:/x", "http://a.example/x"},
    {"http://a.example:443/", "http://a.example:443/"},
    {"https://a.example:80/", "https://a.example:80/"},
    {"http://a.example:00081/", "http://a.example:81/"},
    {"http://a.example./x", "http://a.example/x"},
    {"http://a_b-c.example/", "http://a_b-c.example/"},
    {"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"},
    {"http://a.example?q", "http://a.example/?q"},
    {"http://a.example/?q#f?x", "http://a.example/?q"},
    {"http://a.example#f@b", "http://a.example/"},
    {"http://a.example/a@b:c", "http://a.example/a@b:c"},
    /* addresses */
    {"http://127.0.0.1/", "http://127.0.0.1/"},
    {"http://2130706433/", "http://127.0.0.1/"},
    {"http://0x7f000001/", "http://127.0.0.1/"},
    {"http://0X7F.1/", "http://127.0.0.1/"},
    {"http://017700000001/", "http://127.0.0.1/"},
    {"http://0177.0.0.01/", "http://127.0.0.1/"},
    {"http://127.1/", "http://127.0.0.1/"},
    {"http://127.0.1/", "http://127.0.0.1/"},
    {"http://127.0.0.1./", "http://127.0.0.1/"},
    {"http://0/", "http://0.0.0.0/"},
    {"http://0x/", "http://0.0.0.0/"},
    {"http://169.254.43518/", "http://169.254.169.254/"},
    {"http://[::1]/", "http://[::1]/"},
    {"http://[0:0:0:0:0:0:0:1]:8080/", "http://[::1]:8080/"},
    {"http://[::FFFF:127.0.0.1]/", "http://127.0.0.1/"},
    {"http://[::ffff:7f00:1]/", "http://127.0.0.1/"},
    {"http://[2001:DB8::A]/", "http://[2001:db8::a]/"},
    /* paths */
    {"http://h/a/./b", "http://h/a/b"},
    {"http://h/a/../b", "http://h/b"},
    {"http://h/a/b/..", "http://h/a/"},
    {"http://h/a/.", "http://h/a/"},
    {"http://h/..", "http://h/"},
    {"http://h/../../x", "http://h/x"},
    {"http://h/a/%2e%2E/b", "http://h/b"},
    {"http://h/a/.%2e/b", "http://h/b"},
    {"http://h/a//b", "http://h/a//b"},
    {"http://h/a/..//b", "http://h//b"},
    {"http://h/%61%2f%7e%41", "http://h/a%2F~A"},
    {"http://h/%zz%", "http://h/%25zz%25"},
    {"http://h/a b\"<>", "http://h/a%20b%22%3C%3E"},
    {"http://h/\xc3\xa9", "http://h/%C3%A9"},
    {"http://h/a\\..\\b", "http://h/a%5C..%5Cb"},
    {"http://h/p?a=../b&c=%41 d", "http://h/p?a=../b&c=A%20d"},
    {"http://h/p?", "http://h/p?"},
    {"http://h/...", "http://h/..."},
};

static void spellings_become_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct outbound u, again;
        struct err err = {0};
        if (outbound_parse(str_c(same[i].given), &u, &err))
            fail_msg("%s: %s", same[i].given, err.text);
        assert_str(str_of(u.url, u.url_n), same[i].canonical);
        assert_int_equal(outbound_parse(str_of(u.url, u.url_n), &again, NULL), 0);
        assert_string_equal(again.url, u.url); /* stays what it is */
        assert_string_equal(again.host, u.host);
        assert_int_equal(again.port, u.port);
    }
}

static const char *const refused[] = {
    "",
    "a.example",
    "//a.example/",
    "http:",
    "http:/",
    "http://",
    "http:///x",
    "http:a.example",
    "http:/a.example",
    "ftp://a.example/",
    "file:///etc/passwd",
    "gopher://a.example/",
    "dict://a.example/",
    "javascript://a.example/",
    "https ://a.example/",
    " http://a.example/",
    "http://user@a.example/",
    "http://user:word@a.example/",
    "http://a.example@127.0.0.1/",
    "http://@a.example/",
    "http://a.example\\@b.example/",
    "http://a.example\\.b/",
    "http://a example/",
    "http://a%2eexample/",
    "http://%31%32%37.0.0.1/",
    "http://a..b/",
    "http://.a/",
    "http://a../",
    "http://./",
    "http://a.example:0/",
    "http://a.example:65536/",
    "http://a.example:x/",
    "http://a.example:80:80/",
    "http://a.example:+80/",
    "http://a.example: 80/",
    "http://1.2.3.4.5/",
    "http://1.2.3.256/",
    "http://256.1/x",
    "http://1.16777216/",
    "http://4294967296/",
    "http://0x100000000/",
    "http://08.1/",
    "http://1.2.3.08/",
    "http://a.1/",
    "http://a.0x7f/",
    "http://1..1/",
    "http://b\xc3\xbc"
    "cher.example/",
    "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.1/",
    "http://a.example\xe3\x80\x82"
    "b/",
    "http://[::1/",
    "http://::1/",
    "http://[::1]x/",
    "http://[::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[127.0.0.1]/",
    "http://[]/",
    "http://[1::2::3]/",
    "http://a.example/\r\nHost: b",
    "http://a.example/\tx",
    "http://a.exam\nple/",
    "http://a,b/",
    "http://a*/",
};

static void what_is_no_url_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct outbound u;
        struct err err = {0};
        int rc = outbound_parse(str_c(refused[i]), &u, &err);
        if (rc != E_INVALID)
            fail_msg("%s: %d %s", refused[i], rc, u.url);
        assert_true(err.text[0]);
    }
    struct outbound u;
    assert_int_equal(outbound_parse(str_of("http://a\0b/", 11), &u, NULL), E_INVALID);
    assert_int_equal(outbound_parse(str_of("http://h/\0", 10), &u, NULL), E_INVALID);
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    struct outbound u;
    static char big[OUTBOUND_URL_MAX + 100] = "http://h/";
    memset(big + 9, ' ', sizeof big - 10);
    for (size_t n = OUTBOUND_URL_MAX / 3 - 20; n < sizeof big; n += 37)
        outbound_parse(str_of(big, n), &u, NULL); /* the sanitizer looks on */
    assert_int_equal(outbound_parse(str_of(big, OUTBOUND_URL_MAX), &u, NULL), E_INVALID);
    memset(big + 7, 'a', 300);
    big[7 + 64] = big[7 + 128] = big[7 + 192] = '.';
    big[7 + 255] = '/';
    assert_int_equal(outbound_parse(str_of(big, 7 + 256), &u, NULL), E_INVALID);
    big[7 + 64] = 'a';
    assert_int_equal(outbound_parse(str_of(big, 7 + 100), &u, NULL), E_INVALID);
}

static void redirects_are_joined(void **state)
{
    (void)state;
    static const struct {
        const char *location, *want; /* NULL: refused */
    } rows[] = {
        {"/x", "https://h.example:8443/x"},
        {"x", "https://h.example:8443/a/x"},
        {"../x?y", "https://h.example:8443/x?y"},
        {"../../x", "https://h.example:8443/x"},
        {"?z", "https://h.example:8443/a/b?z"},
        {"#z", "https://h.example:8443/a/b?q=/1"},
        {"//other.example/x", "https://other.example/x"},
        {"http://other.example", "http://other.example/"},
        {" /x ", "https://h.example:8443/x"},
        {"x:y", NULL},
        {"//user@other.example/", NULL},
        {"file:///etc/passwd", NULL},
        {"", NULL},
        {"/a b", "https://h.example:8443/a%20b"},
        {"//127.1/", "https://127.0.0.1/"},
    };
    struct outbound base, to;
    assert_int_equal(outbound_parse(STR("https://h.example:8443/a/b?q=/1"), &base, NULL), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rc = outbound_join(&base, str_c(rows[i].location), &to, NULL);
        if ((rc == 0) != (rows[i].want != NULL))
            fail_msg("%s: %d", rows[i].location, rc);
        if (rows[i].want)
            assert_string_equal(to.url, rows[i].want);
    }
}

/* --- patterns ---------------------------------------------------------------------------------- */

static const struct {
    const char *pattern, *url;
    bool covers, literally;
} patterns[] = {
    {"*", "https://a.example/x", true, false},
    {"https://a.example/*", "https://a.example/x/y", true, true},
    {"https://A.EXAMPLE/*", "https://a.example/x", true, true},
    {"https://a.example:443/*", "https://a.example/x", true, true},
    {"https://a.example/*", "http://a.example/x", false, false},
    {"http://a.example/*", "http://a.example:8080/x", false, false},
    {"http://a.example:8080/*", "http://a.example:8080/x", true, true},
    {"http://a.example:*/*", "http://a.example:8080/x", true, true},
    {"http://127.0.0.1:8080/*", "http://127.0.0.1:8080/", true, true},
    {"https://*.example/*", "https://a.b.example/x", true, false},
    {"https://*.example/*", "https://evil.test/x.example/y", false, false},
    {"https://*.example/*", "https://evil.test:8443/x.example/y", false, false},
    {"https://*/*", "https://a.example:8443/", false, false},
    {"https://*:8443/*", "https://a.example:8443/", true, false},
    {"https://*", "https://a.example/x", true, false},
    {"https://a.example", "https://a.example/", true, true},
    {"https://a.example", "https://a.example/x", false, false},
    {"https://a.example/x", "https://a.example/x", true, true},
    {"https://a.example/x", "https://a.example/xy", false, false},
    {"https://a.exampl?/x", "https://a.example/x", true, false},
    {"https://a.example*", "https://a.example/x", true, false},
    {"http://[::1]:80/*", "http://[::1]/x", true, true},
    {"http://[::1]/*", "http://[::2]/x", false, false},
    {"http://10.0.0.*/*", "http://10.0.0.7/x", true, false},
    {"arn:aws:s3:::b", "https://a.example/x", false, false},
};

static void patterns_stay_in_their_part(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct str p = str_c(patterns[i].pattern), u = str_c(patterns[i].url);
        if (outbound_match(p, u, false) != patterns[i].covers ||
            outbound_match(p, u, true) != patterns[i].literally)
            fail_msg("%s and %s", patterns[i].pattern, patterns[i].url);
    }
}

static enum policy_effect ask(const char *statements, const char *url, bool literal)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"Version\":\"2012-10-17\",\"Statement\":[%s]}", statements);
    struct policy *p = policy_parse(str_c(text), POLICY_IDENTITY, NULL);
    struct policy_query q = {
        .action = STR("perilune:HttpRequest"), .resource = str_c(url), .literal_host = literal};
    assert_non_null(p);
    enum policy_effect e = policy_eval(p, &q);
    policy_free(p);
    return e;
}

#define ALLOW(r) "{\"Effect\":\"Allow\",\"Action\":\"perilune:HttpRequest\",\"Resource\":" r "}"
#define DENY(r) "{\"Effect\":\"Deny\",\"Action\":\"perilune:*\",\"Resource\":" r "}"

static void policies_are_asked_about_urls(void **state)
{
    (void)state;
    assert_int_equal(ask(ALLOW("\"*\""), "http://10.0.0.1/", false), POLICY_ALLOW);
    assert_int_equal(ask(ALLOW("\"*\""), "http://10.0.0.1/", true), POLICY_NONE);
    assert_int_equal(ask(ALLOW("[\"*\",\"http://10.0.0.1/*\"]"), "http://10.0.0.1/", true),
                     POLICY_ALLOW);
    assert_int_equal(
        ask(ALLOW("\"*\"") "," DENY("\"http://10.0.0.*/*\""), "http://10.0.0.1/", false),
        POLICY_DENY);
    assert_int_equal(
        ask(ALLOW("\"http://10.0.0.1/*\"") "," DENY("\"*\""), "http://10.0.0.1/", true),
        POLICY_DENY);
    const char *but =
        "{\"Effect\":\"Allow\",\"Action\":\"*\",\"NotResource\":\"https://a.example/*\"}";
    assert_int_equal(ask(but, "https://a.example/x", false), POLICY_NONE);
    assert_int_equal(ask(but, "https://b.example/x", false), POLICY_ALLOW);
    assert_int_equal(ask(but, "https://b.example/x", true), POLICY_NONE);
}

/* --- addresses --------------------------------------------------------------------------------- */

static const struct {
    const char *address, *kind; /* NULL: public */
} addresses[] = {
    {"0.0.0.0", "unspecified"},
    {"0.1.2.3", "unspecified"},
    {"1.1.1.1", NULL},
    {"9.255.255.255", NULL},
    {"10.0.0.0", "private"},
    {"10.255.255.255", "private"},
    {"11.0.0.0", NULL},
    {"100.63.255.255", NULL},
    {"100.64.0.0", "private"},
    {"100.100.100.200", "private"},
    {"100.128.0.0", NULL},
    {"126.255.255.255", NULL},
    {"127.0.0.1", "loopback"},
    {"127.255.255.254", "loopback"},
    {"128.0.0.1", NULL},
    {"169.253.255.255", NULL},
    {"169.254.169.254", "link-local"},
    {"169.255.0.0", NULL},
    {"172.15.255.255", NULL},
    {"172.16.0.1", "private"},
    {"172.31.255.255", "private"},
    {"172.32.0.0", NULL},
    {"192.0.0.192", "reserved"},
    {"192.0.1.0", NULL},
    {"192.0.2.1", "documentation"},
    {"192.88.99.1", "reserved"},
    {"192.167.255.255", NULL},
    {"192.168.0.1", "private"},
    {"192.169.0.0", NULL},
    {"198.17.255.255", NULL},
    {"198.19.0.1", "reserved"},
    {"198.20.0.0", NULL},
    {"198.51.100.9", "documentation"},
    {"203.0.113.9", "documentation"},
    {"223.255.255.255", NULL},
    {"224.0.0.1", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.1", "reserved"},
    {"255.255.255.255", "reserved"},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::2", "reserved"},
    {"::7f00:1", "reserved"},
    {"::ffff:127.0.0.1", "loopback"},
    {"::ffff:10.1.2.3", "private"},
    {"::ffff:8.8.8.8", NULL},
    {"::ffff:0:127.0.0.1", "reserved"},
    {"64:ff9b::8.8.8.8", NULL},
    {"64:ff9b::127.0.0.1", "loopback"},
    {"64:ff9b::169.254.169.254", "link-local"},
    {"64:ff9b:1::8.8.8.8", "reserved"},
    {"100::1", "reserved"},
    {"2001::1", "reserved"},
    {"2001:0:7f00:1::", "reserved"},
    {"2001:10::1", "reserved"},
    {"2001:20::1", "reserved"},
    {"2001:200::1", NULL},
    {"2001:4860:4860::8888", NULL},
    {"2001:db8::1", "documentation"},
    {"2002:7f00:1::", "loopback"},
    {"2002:a00:1::1", "private"},
    {"2002:808:808::1", NULL},
    {"2600::5efe:10.0.0.1", "private"},
    {"2600::200:5efe:8.8.8.8", NULL},
    {"2606:4700::1111", NULL},
    {"3fff::1", "documentation"},
    {"3fff:1000::1", NULL},
    {"4000::1", "reserved"},
    {"5f00::1", "reserved"},
    {"fc00::1", "private"},
    {"fd00:ec2::254", "private"},
    {"fdff::1", "private"},
    {"fe80::1", "link-local"},
    {"febf::1", "link-local"},
    {"fec0::1", "private"},
    {"ff02::1", "multicast"},
    {"fe00::1", "reserved"},
};

static void addresses_have_a_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct sockaddr_in four = {.sin_family = AF_INET};
        struct sockaddr_in6 six = {.sin6_family = AF_INET6};
        const char *text = addresses[i].address, *want = addresses[i].kind, *got;
        if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
            got = outbound_not_public((const struct sockaddr *)&four);
        } else {
            assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
            got = outbound_not_public((const struct sockaddr *)&six);
        }
        if (!got != !want || (got && strcmp(got, want) != 0))
            fail_msg("%s is %s, not %s", text, got ? got : "public", want ? want : "public");
    }
    struct sockaddr local = {.sa_family = AF_UNIX};
    assert_string_equal(outbound_not_public(&local), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_become_one),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(redirects_are_joined),
        cmocka_unit_test(patterns_stay_in_their_part),
        cmocka_unit_test(policies_are_asked_about_urls),
        cmocka_unit_test(addresses_have_a_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
