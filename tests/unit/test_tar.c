/* tar: what was written is read again, whatever the names and sizes; anything else is no archive. */
#include "base/tar.h"

#include "unit.h"

struct archive {
    struct buf bytes;
    size_t at, step; /* step: most that one get gives */
};

static bool put(void *ctx, struct str s)
{
    struct archive *a = ctx;
    buf_add(&a->bytes, s);
    return true;
}

static bool put_nothing(void *ctx, struct str s)
{
    (void)ctx, (void)s;
    return false;
}

static ssize_t get(void *ctx, char *p, size_t n)
{
    struct archive *a = ctx;
    size_t left = a->bytes.n - a->at;
    n = n < left ? n : left;
    n = n < a->step ? n : a->step;
    memcpy(p, a->bytes.p + a->at, n);
    a->at += n;
    return (ssize_t)n;
}

static const size_t sizes[] = {0, 1, 511, 512, 513, 1024, 70000};
enum { FILES = sizeof sizes / sizeof *sizes };

/* Names of 1, 99, 100, 101, … bytes. */
static void name_of(size_t i, char name[static TAR_NAME_MAX])
{
    static const size_t lengths[FILES] = {1, 99, 100, 101, 255, 500, 990};
    memset(name, 'a' + (int)i, lengths[i]);
    name[lengths[i]] = 0;
}

static char byte_of(size_t i, size_t at)
{
    return (char)(i * 31 + at * 7 + at / 512);
}

static void make(struct archive *a)
{
    struct tar_writer w = {.put = put, .ctx = a, .time_s = 1700000000};
    char name[TAR_NAME_MAX], piece[1000];
    *a = (struct archive){.step = 4096};
    for (size_t i = 0; i < FILES; i++) {
        name_of(i, name);
        assert_true(tar_file(&w, name, sizes[i]));
        for (size_t at = 0; at < sizes[i]; at += sizeof piece) {
            size_t n = sizes[i] - at < sizeof piece ? sizes[i] - at : sizeof piece;
            for (size_t k = 0; k < n; k++)
                piece[k] = byte_of(i, at + k);
            assert_true(tar_bytes(&w, str_of(piece, n)));
        }
    }
    assert_true(tar_end(&w));
    tar_deinit(&w);
    assert_int_equal(a->bytes.n % TAR_BLOCK, 0);
}

/* 0, or the first error. Files are compared when `compare`. */
static int read_all(struct archive *a, bool compare)
{
    struct tar_reader r = {.get = get, .ctx = a};
    struct err err = {0};
    char name[TAR_NAME_MAX], piece[777];
    size_t i = 0;
    int rc;
    a->at = 0;
    while ((rc = tar_next(&r, &err)) == 1) {
        size_t at = 0;
        ssize_t n;
        if (strcmp(r.name, TAR_SUMS) == 0)
            continue;
        if (compare) {
            name_of(i, name);
            assert_string_equal(r.name, name);
            assert_int_equal(r.left, sizes[i]);
        }
        while ((n = tar_read(&r, piece, sizeof piece, &err)) > 0)
            for (size_t k = 0; k < (size_t)n; k++, at++)
                if (compare)
                    assert_int_equal(piece[k], byte_of(i, at));
        if (n < 0) {
            rc = (int)n;
            break;
        }
        i++;
    }
    if (compare)
        assert_int_equal(i, FILES);
    tar_reader_deinit(&r);
    return rc;
}

static void test_round(void **state)
{
    (void)state;
    struct archive a;
    make(&a);
    for (a.step = 1; a.step < 3000; a.step = a.step * 3 + 1)
        assert_int_equal(read_all(&a, true), 0);
    buf_deinit(&a.bytes);
}

/* Who passes files over gets their sums compared all the same. */
static void test_passed_over(void **state)
{
    (void)state;
    struct archive a;
    struct err err = {0};
    make(&a);
    struct tar_reader r = {.get = get, .ctx = &a};
    int rc, n = 0;
    while ((rc = tar_next(&r, &err)) == 1)
        n++;
    assert_int_equal(rc, 0);
    assert_int_equal(n, FILES + 1);
    tar_reader_deinit(&r);
    buf_deinit(&a.bytes);
}

static void test_every_byte_counts(void **state)
{
    (void)state;
    struct archive a;
    make(&a);
    /* the last block is the second of two empty ones: its absence is nobody's loss */
    for (size_t i = 0; i < a.bytes.n - TAR_BLOCK; i += i < 4096 ? 1 : 97) {
        a.bytes.p[i] ^= 1;
        if (read_all(&a, false) != E_INVALID)
            fail_msg("byte %zu does not count", i);
        a.bytes.p[i] ^= 1;
    }
    for (size_t n = 0; n < a.bytes.n - TAR_BLOCK; n += n < 4096 ? 1 : 97) {
        struct archive cut = {.bytes = a.bytes, .step = 4096};
        cut.bytes.n = n;
        assert_int_equal(read_all(&cut, false), E_INVALID);
    }
    assert_int_equal(read_all(&a, true), 0);
    buf_deinit(&a.bytes);
}

/* Past what eleven octal digits hold. */
static void test_large_size(void **state)
{
    (void)state;
    struct archive a = {.step = 4096};
    struct err err = {0};
    struct tar_writer w = {.put = put, .ctx = &a};
    assert_true(tar_file(&w, "large", (12ull << 30) + 5));
    tar_deinit(&w);
    struct tar_reader r = {.get = get, .ctx = &a};
    assert_int_equal(tar_next(&r, &err), 1);
    assert_true(r.left == (12ull << 30) + 5);
    tar_reader_deinit(&r);
    buf_deinit(&a.bytes);
}

static void test_unwanted(void **state)
{
    (void)state;
    struct tar_writer w = {.put = put_nothing};
    assert_false(tar_file(&w, "a", 1));
    assert_false(tar_bytes(&w, STR("a")));
    assert_false(tar_end(&w));
    tar_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_large_size),
        cmocka_unit_test(test_unwanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
