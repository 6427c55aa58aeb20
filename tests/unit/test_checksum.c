/* test_checksum: published vectors of all five, every length and alignment against one byte at a
 * time, combination against hashing the whole, and texts that are no checksum. */
#include "base/checksum.h"
#include "base/crc.h"
#include "unit.h"

static const char *text_of(enum checksum_alg alg, struct str s)
{
    static char text[CHECKSUM_TEXT_MAX];
    unsigned char raw[CHECKSUM_MAX];
    checksum_once(alg, s, raw);
    checksum_encode(alg, raw, text);
    return text;
}

static void vectors(void **state)
{
    (void)state;
    struct str digits = STR("123456789"), dummy = STR("dummy data");
    assert_int_equal(crc_update(CRC_32, 0, digits.p, 9), 0xCBF43926u);
    assert_int_equal(crc_update(CRC_32C, 0, digits.p, 9), 0xE3069283u);
    assert_true(crc_update(CRC_64NVME, 0, digits.p, 9) == 0xAE8B14860A799888u);
    assert_string_equal(text_of(CHECKSUM_CRC32, dummy), "QWaN2w==");
    assert_string_equal(text_of(CHECKSUM_CRC32C, dummy), "R/I7iQ==");
    assert_string_equal(text_of(CHECKSUM_CRC64NVME, dummy), "dPVWc2vU1+Q=");
    assert_string_equal(text_of(CHECKSUM_SHA1, dummy), "YR/1TvTYOJz5gtqVFoBJBtmTibY=");
    assert_string_equal(text_of(CHECKSUM_SHA256, dummy),
                        "eXuwq/95jXIAr3aF3KeQHt/8Ur8mUA1b2XKCZY7iQVI=");
    assert_string_equal(text_of(CHECKSUM_CRC32, STR("")), "AAAAAA==");
    assert_string_equal(text_of(CHECKSUM_CRC64NVME, STR("")), "AAAAAAAAAAA=");
    assert_string_equal(text_of(CHECKSUM_NONE, dummy), "");
}

static void fill(unsigned char *p, size_t n)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        p[i] = (unsigned char)x;
    }
}

/* One byte a call takes neither the wide loop nor the folding. */
static uint64_t slowly(enum crc_kind kind, const unsigned char *p, size_t n)
{
    uint64_t crc = 0;
    for (size_t i = 0; i < n; i++)
        crc = crc_update(kind, crc, p + i, 1);
    return crc;
}

static void every_length(void **state)
{
    (void)state;
    unsigned char data[700];
    fill(data, sizeof data);
    for (enum crc_kind kind = CRC_32; kind <= CRC_64NVME; kind++) {
        for (size_t from = 0; from < 17; from += 4) {
            for (size_t n = 0; n + from <= sizeof data; n += n < 300 ? 1 : 13) {
                uint64_t want = slowly(kind, data + from, n), got;
                assert_true(crc_update(kind, 0, data + from, n) == want);
                got = crc_update(kind, 0, data + from, n / 3);
                assert_true(crc_update(kind, got, data + from + n / 3, n - n / 3) == want);
            }
        }
    }
}

static void combined(void **state)
{
    (void)state;
    static unsigned char data[70000];
    static const size_t cuts[] = {0, 1, 7, 64, 4097, 65536, sizeof data};
    fill(data, sizeof data);
    for (enum checksum_alg alg = CHECKSUM_CRC32; alg <= CHECKSUM_CRC64NVME; alg++) {
        unsigned char whole[CHECKSUM_MAX], a[CHECKSUM_MAX], b[CHECKSUM_MAX];
        checksum_once(alg, str_of((char *)data, sizeof data), whole);
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
            size_t rest = sizeof data - cuts[i];
            checksum_once(alg, str_of((char *)data, cuts[i]), a);
            checksum_once(alg, str_of((char *)data + cuts[i], rest), b);
            assert_true(checksum_combine(alg, a, b, rest));
            assert_memory_equal(a, whole, checksum_size(alg));
        }
    }
    unsigned char a[CHECKSUM_MAX] = {1}, b[CHECKSUM_MAX] = {2};
    assert_false(checksum_combine(CHECKSUM_SHA1, a, b, 5));
    assert_false(checksum_combine(CHECKSUM_SHA256, a, b, 5));
    assert_false(checksum_combine(CHECKSUM_NONE, a, b, 5));
    assert_int_equal(a[0], 1);
}

/* 6 GiB of zeros after "a", against a loop that never sees them together. */
static void combined_far(void **state)
{
    (void)state;
    uint64_t zeros = 0, mib = 0;
    static unsigned char zero[1 << 20];
    mib = crc_update(CRC_64NVME, 0, zero, sizeof zero);
    for (int i = 0; i < 6144; i++)
        zeros = crc_combine(CRC_64NVME, zeros, mib, sizeof zero);
    uint64_t a = crc_update(CRC_64NVME, 0, "a", 1), one = a;
    for (int i = 0; i < 6144; i++)
        one = crc_combine(CRC_64NVME, one, mib, sizeof zero);
    assert_true(crc_combine(CRC_64NVME, a, zeros, (uint64_t)6144 << 20) == one);
}

static void streamed(void **state)
{
    (void)state;
    unsigned char a[CHECKSUM_MAX], b[CHECKSUM_MAX];
    for (enum checksum_alg alg = CHECKSUM_NONE; alg < CHECKSUM_ALGS; alg++) {
        struct checksum s;
        checksum_init(&s, alg);
        checksum_update(&s, STR("dummy "));
        checksum_update(&s, STR(""));
        checksum_update(&s, STR("data"));
        checksum_final(&s, a);
        checksum_deinit(&s);
        checksum_once(alg, STR("dummy data"), b);
        assert_memory_equal(a, b, checksum_size(alg));
        checksum_init(&s, alg);
        checksum_update(&s, STR("left"));
        checksum_deinit(&s);
    }
}

static void names(void **state)
{
    (void)state;
    assert_int_equal(checksum_of_name(STR("crc64Nvme")), CHECKSUM_CRC64NVME);
    assert_int_equal(checksum_of_name(STR("CRC32C")), CHECKSUM_CRC32C);
    assert_int_equal(checksum_of_name(STR("MD5")), CHECKSUM_NONE);
    assert_int_equal(checksum_of_name(STR("")), CHECKSUM_NONE);
    assert_int_equal(checksum_of_header(STR("X-Amz-Checksum-Sha256")), CHECKSUM_SHA256);
    assert_int_equal(checksum_of_header(STR("x-amz-checksum-")), CHECKSUM_NONE);
    assert_int_equal(checksum_of_header(STR("x-amz-checksum-type")), CHECKSUM_NONE);
    assert_string_equal(checksum_element(CHECKSUM_SHA1), "ChecksumSHA1");
    for (enum checksum_alg a = CHECKSUM_CRC32; a < CHECKSUM_ALGS; a++) {
        assert_int_equal(checksum_of_name(str_c(checksum_name(a))), a);
        assert_int_equal(checksum_of_header(str_c(checksum_header(a))), a);
    }
}

static void decoded(void **state)
{
    (void)state;
    unsigned char raw[CHECKSUM_MAX];
    char text[CHECKSUM_TEXT_MAX];
    assert_true(checksum_decode(CHECKSUM_CRC32, STR("QWaN2w=="), raw));
    assert_int_equal(checksum_encode(CHECKSUM_CRC32, raw, text), 8);
    assert_string_equal(text, "QWaN2w==");
    static const char *const bad[] = {"",
                                      "QWaN2w",
                                      "QWaN2w=",
                                      "QWaN2x==",
                                      "QWaN2w==X",
                                      "QWaN2wAA",
                                      "dPVWc2vU1+Q=",
                                      "!!!!!!==",
                                      "QWaN 2w==",
                                      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(checksum_decode(CHECKSUM_CRC32, str_c(bad[i]), raw));
    assert_false(checksum_decode(CHECKSUM_NONE, STR(""), raw));
    assert_true(
        checksum_decode(CHECKSUM_SHA256, STR("eXuwq/95jXIAr3aF3KeQHt/8Ur8mUA1b2XKCZY7iQVI="), raw));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),      cmocka_unit_test(every_length), cmocka_unit_test(combined),
        cmocka_unit_test(combined_far), cmocka_unit_test(streamed),     cmocka_unit_test(names),
        cmocka_unit_test(decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
