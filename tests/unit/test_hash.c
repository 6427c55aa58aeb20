/* test_hash: published vectors of each algorithm, one-shot against streamed.
 */
#include "base/hash.h"

#include <pthread.h>

#include "base/codec.h"
#include "unit.h"

static const char *hex_of(enum hash_alg alg, struct str s)
{
    static char out[2 * HASH_MAX + 1];
    unsigned char d[HASH_MAX];
    hash_once(alg, s, d);
    hex_encode(d, hash_size(alg), out);
    return out;
}

static void vectors(void **state)
{
    (void)state;
    assert_string_equal(hex_of(HASH_MD5, STR("")), "d41d8cd98f00b204e9800998ecf8427e");
    assert_string_equal(hex_of(HASH_MD5, STR("abc")), "900150983cd24fb0d6963f7d28e17f72");
    assert_string_equal(hex_of(HASH_SHA1, STR("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_string_equal(hex_of(HASH_SHA256, STR("abc")),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(hex_of(HASH_SHA512, STR("abc")),
                        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    char hex[65];
    sha256_hex(STR(""), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void hmac_vectors(void **state)
{
    (void)state;
    unsigned char d[HASH_MAX];
    char key[131], hex[2 * HASH_MAX + 1];
    /* RFC 4231, cases 2 and 6; RFC 2202, case 2 of MD5 */
    hmac_once(HASH_SHA256, STR("Jefe"), STR("what do ya want for nothing?"), d);
    hex_encode(d, 32, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    hmac_once(HASH_SHA256, str_of(key, sizeof key),
              STR("Test Using Larger Than Block-Size Key - Hash Key First"), d);
    hex_encode(d, 32, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hmac_once(HASH_SHA512, str_of(key, sizeof key),
              STR("Test Using Larger Than Block-Size Key - Hash Key First"), d);
    hex_encode(d, 64, hex);
    assert_string_equal(hex, "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
                             "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
    hmac_once(HASH_MD5, STR("Jefe"), STR("what do ya want for nothing?"), d);
    hex_encode(d, 16, hex);
    assert_string_equal(hex, "750c783e6ab0b503eaa86e310a5db738");
}

static void streamed(void **state)
{
    (void)state;
    char text[1000];
    unsigned char once[HASH_MAX], pieces[HASH_MAX];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 31);
    for (int alg = HASH_MD5; alg <= HASH_SHA512; alg++) {
        hash_once((enum hash_alg)alg, str_of(text, sizeof text), once);
        struct hash *a = hash_new((enum hash_alg)alg), *b = hash_new(HASH_MD5);
        for (size_t at = 0; at < sizeof text; at += 7) {
            hash_update(a, text + at, sizeof text - at < 7 ? sizeof text - at : 7);
            hash_update(b, "noise", 5); /* two at a time do not mix */
        }
        hash_free(b);
        hash_final(a, pieces);
        assert_memory_equal(once, pieces, hash_size((enum hash_alg)alg));
    }
    hash_free(NULL);
}

static void *in_thread(void *out)
{
    sha256_hex(STR("abc"), out);
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    char out[4][65];
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, in_thread, out[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        assert_string_equal(out[i],
                            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

static void randomness(void **state)
{
    (void)state;
    unsigned char a[32] = {0}, b[32] = {0};
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    random_bytes(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors), cmocka_unit_test(hmac_vectors), cmocka_unit_test(streamed),
        cmocka_unit_test(threads), cmocka_unit_test(randomness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
