/* test_package: building packages in a real store: inline and blob forms, references, refusals that
 * leave nothing, bounded memory. */
#include "svc/package.h"

#include <sys/resource.h>
#include <zip.h>

#include "base/crc.h"
#include "base/hash.h"
#include "base/rec.h"
#include "store_alone.h"
#include "zipmake.h"

#if defined(__SANITIZE_ADDRESS__)
enum { GROWTH_KIB = 512 * 1024 }; /* freed memory is kept for a while */
#else
enum { GROWTH_KIB = 16 * 1024 };
#endif

struct result {
    bool done;
    int rc;
    struct package *pkg;
    struct err err;
};

static void built(void *ctx, int rc, struct package *pkg, const struct err *err)
{
    struct result *r = ctx;
    assert_false(r->done);
    r->done = true;
    r->rc = rc;
    r->pkg = pkg;
    if (err)
        r->err = *err;
    assert_true((rc == 0) == (pkg != NULL));
}

static struct result build(const struct package_source *src)
{
    struct result r = {0};
    package_build_from(f.store, src, built, &r);
    assert_false(r.done);
    while (!r.done)
        uv_run(&f.loop, UV_RUN_ONCE);
    return r;
}

static struct result build_zip(struct zm *z)
{
    struct package_source src = {.zip = buf_str(&z->zip)};
    return build(&src);
}

static size_t blobs(void)
{
    for (int i = 0; i < 50 && uv_run(&f.loop, UV_RUN_NOWAIT); i++)
        usleep(2000);
    return folder_files(f.dir, "blobs");
}

static int ref(struct store_txn *t, void *ctx)
{
    return package_ref(t, ctx);
}

static int unref(struct store_txn *t, void *ctx)
{
    return package_unref(t, ctx);
}

static bool stored(const unsigned char *sha, uint64_t *refs)
{
    struct store_txn *t = store_read(f.store);
    struct str row;
    bool there = store_get(t, T_PACKAGES, str_of((const char *)sha, 32), &row) == 0;
    *refs = there ? rec_u64(row, PACKAGE_REFS, 0) : 0;
    store_read_end(t);
    return there;
}

/* n bytes deflated, without a header: cut out of an archive that libzip has made. */
static struct buf deflated(const void *p, size_t n)
{
    struct buf out = BUF_INIT;
    zip_error_t ze;
    zip_stat_t st;
    zip_source_t *to = zip_source_buffer_create(NULL, 0, 0, &ze);
    zip_source_keep(to);
    zip_t *z = zip_open_from_source(to, ZIP_TRUNCATE, &ze);
    zip_int64_t i = zip_file_add(z, "x", zip_source_buffer(z, p, n, 0), 0);
    assert_int_equal(i, 0);
    assert_int_equal(zip_set_file_compression(z, 0, ZIP_CM_DEFLATE, 9), 0);
    assert_int_equal(zip_close(z), 0);
    assert_int_equal(zip_source_stat(to, &st), 0);
    char *all = malloc(st.size);
    assert_int_equal(zip_source_open(to), 0);
    assert_int_equal(zip_source_read(to, all, st.size), st.size);
    zip_source_close(to);
    zip_source_free(to);
    const unsigned char *h = (const unsigned char *)all;
    size_t packed = h[18] | (size_t)h[19] << 8 | (size_t)h[20] << 16 | (size_t)h[21] << 24;
    buf_add(&out, str_of(all + 30 + (h[26] | h[27] << 8) + (h[28] | h[29] << 8), packed));
    free(all);
    return out;
}

static void small(void **state)
{
    (void)state;
    struct zm z = {0};
    zm_file(&z, "lib/util.lua", "return 2");
    zm_file(&z, "lib/", "");
    zm_file(&z, "handler.lua", "return 1");
    zm_file(&z, "empty", "");
    zm_end(&z, 0, 0);
    struct result r = build_zip(&z);
    assert_int_equal(r.rc, 0);
    unsigned char sha[32];
    hash_once(HASH_SHA256, buf_str(&z.zip), sha);
    assert_memory_equal(sha, r.pkg->sha256, 32);
    struct str rec = buf_str(&r.pkg->rec);
    assert_true(str_eq(rec_str(rec, PACKAGE_ZIP), buf_str(&z.zip)));
    assert_str(rec_str(rec, PACKAGE_FLAT), "return 1return 2");
    assert_int_equal(rec_u64(rec, PACKAGE_FILE_COUNT, 0), 3);
    struct str file = rec_str(rec, PACKAGE_FILE); /* the first in order of names */
    assert_str(rec_str(file, 1), "empty");
    assert_false(r.pkg->has_bootstrap);
    assert_int_equal(r.pkg->warning.n, 0);

    uint64_t refs;
    assert_int_equal(call_run(&f, ref, r.pkg), 0);
    assert_int_equal(call_run(&f, ref, r.pkg), 0);
    assert_true(stored(sha, &refs));
    assert_int_equal(refs, 2);
    package_free(r.pkg);
    fixture_restart(&f);
    assert_int_equal(call_run(&f, unref, sha), 0);
    assert_true(stored(sha, &refs));
    assert_int_equal(refs, 1);
    assert_int_equal(call_run(&f, unref, sha), 0);
    assert_false(stored(sha, &refs));
    assert_int_equal(call_run(&f, unref, sha), 0); /* and again: nothing */
    assert_int_equal(blobs(), 0);
    zm_free(&z);
}

static void flags(void **state)
{
    (void)state;
    struct zm z = {0};
    zm_file(&z, "bootstrap", "#!/bin/sh");
    zm_file(&z, "x/native.so", "ELF");
    zm_end(&z, 0, 0);
    struct result r = build_zip(&z);
    assert_int_equal(r.rc, 0);
    assert_true(r.pkg->has_bootstrap);
    assert_true(r.pkg->has_native);
    assert_non_null(strstr(r.pkg->warning.p, "native"));
    assert_int_equal(rec_u64(buf_str(&r.pkg->rec), PACKAGE_BOOTSTRAP, 0), 1);
    package_free(r.pkg);
    zm_free(&z);
}

/* Content that does not compress, 3 MiB of it, so that zip and flat form are both blobs. */
static char *noise(size_t n)
{
    char *p = malloc(n);
    uint64_t x = 88172645463325252ull;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        p[i] = (char)x;
    }
    return p;
}

static void read_done(void *ctx, int rc, struct str bytes)
{
    assert_int_equal(rc, 0);
    buf_add(ctx, bytes);
}

static void check_blob(uint64_t id, struct str want)
{
    struct buf got = BUF_INIT;
    int rc, fd = blob_open(f.store, id, &rc);
    assert_true(fd >= 0);
    while (got.n < want.n) {
        size_t n = want.n - got.n < 1 << 20 ? want.n - got.n : 1 << 20, before = got.n;
        blob_read(f.store, fd, got.n, n, read_done, &got);
        while (got.n == before)
            uv_run(&f.loop, UV_RUN_ONCE);
    }
    blob_close(f.store, id, fd);
    assert_true(str_eq(buf_str(&got), want));
    buf_deinit(&got);
}

static void large(void **state)
{
    (void)state;
    enum { N = 3 * 1024 * 1024 + 17 };
    char *data = noise(N);
    struct buf packed = deflated(data, N);
    struct zm z = {0};
    zm_file(&z, "z.lua", "tail");
    zm_add(&z, &(struct zm_entry){.name = STR("data"),
                                  .data = buf_str(&packed),
                                  .method = 8,
                                  .size = N,
                                  .crc = crc32_update(0, data, N)});
    zm_end(&z, 0, 0);
    struct result r = build_zip(&z), again = build_zip(&z);
    assert_int_equal(r.rc, 0);
    assert_int_equal(again.rc, 0);
    struct str rec = buf_str(&r.pkg->rec);
    uint64_t zip_id = rec_u64(rec, PACKAGE_ZIP_BLOB, 0), refs;
    uint64_t flat_id = rec_u64(rec, PACKAGE_FLAT_BLOB, 0);
    assert_true(zip_id && flat_id);
    assert_int_equal(blobs(), 4);
    struct buf flat = BUF_INIT;
    buf_add(&flat, str_of(data, N));
    buf_lit(&flat, "tail");
    check_blob(flat_id, buf_str(&flat));
    check_blob(zip_id, buf_str(&z.zip));

    /* the same zip twice: one row, the other's blobs go */
    assert_int_equal(call_run(&f, ref, r.pkg), 0);
    assert_int_equal(call_run(&f, ref, again.pkg), 0);
    unsigned char sha[32];
    memcpy(sha, r.pkg->sha256, 32);
    package_free(r.pkg);
    package_free(again.pkg);
    assert_int_equal(blobs(), 2);
    assert_true(stored(sha, &refs));
    assert_int_equal(refs, 2);
    assert_int_equal(call_run(&f, unref, sha), 0);
    assert_int_equal(blobs(), 2);
    assert_int_equal(call_run(&f, unref, sha), 0);
    assert_int_equal(blobs(), 0);

    /* never referenced: all of it goes */
    r = build_zip(&z);
    package_free(r.pkg);
    assert_int_equal(blobs(), 0);
    buf_deinit(&flat);
    buf_deinit(&packed);
    free(data);
    zm_free(&z);
}

struct blob_result {
    bool done;
    uint64_t id;
};

static void blob_done(void *ctx, int rc, uint64_t id, uint64_t size)
{
    struct blob_result *b = ctx;
    (void)size;
    assert_int_equal(rc, 0);
    *b = (struct blob_result){true, id};
}

static uint64_t to_blob(struct str bytes)
{
    struct blob_result b = {0};
    struct blob_writer *w = blob_create(f.store);
    blob_write(w, bytes);
    blob_finish(w, blob_done, &b);
    while (!b.done)
        uv_run(&f.loop, UV_RUN_ONCE);
    return b.id;
}

static void from_blob(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *data = noise(N);
    struct zm z = {0};
    zm_add(&z, &(struct zm_entry){.name = STR("data"), .data = str_of(data, N)});
    zm_end(&z, 0, 0);

    /* given away: it becomes the package's zip */
    uint64_t id = to_blob(buf_str(&z.zip));
    struct package_source src = {.blob = id, .own_blob = true};
    struct result r = build(&src);
    assert_int_equal(r.rc, 0);
    assert_int_equal(rec_u64(buf_str(&r.pkg->rec), PACKAGE_ZIP_BLOB, 0), id);
    assert_int_equal(blobs(), 2);
    package_free(r.pkg);
    assert_int_equal(blobs(), 0);

    /* somebody else's: copied */
    id = to_blob(buf_str(&z.zip));
    src = (struct package_source){.blob = id};
    r = build(&src);
    assert_int_equal(r.rc, 0);
    assert_int_not_equal(rec_u64(buf_str(&r.pkg->rec), PACKAGE_ZIP_BLOB, 0), id);
    assert_int_equal(blobs(), 3);
    package_free(r.pkg);
    assert_int_equal(blobs(), 1);
    blob_discard(f.store, id);

    /* given away and broken, or gone */
    z.zip.p[40] ^= 1;
    src = (struct package_source){.blob = to_blob(buf_str(&z.zip)), .own_blob = true};
    r = build(&src);
    assert_int_equal(r.rc, E_BAD_ZIP);
    src = (struct package_source){.blob = 0x1234567, .own_blob = true};
    r = build(&src);
    assert_int_equal(r.rc, E_NOT_FOUND);
    assert_int_equal(blobs(), 0);
    free(data);
    zm_free(&z);
}

static void refused(struct zm *z, int rc, const char *word)
{
    zm_end(z, 0, 0);
    struct result r = build_zip(z);
    if (r.rc != rc || (word && !strstr(r.err.text, word)))
        fail_msg("got %d \"%s\", want %d \"%s\"", r.rc, r.err.text, rc, word);
    assert_int_equal(blobs(), 0);
    zm_free(z);
}

static void damage(void **state)
{
    (void)state;
    struct zm z = {0};
    char text[] = "some text that is compressed, some text that is compressed";
    struct buf packed = deflated(text, sizeof text - 1);
    uint32_t crc = crc32_update(0, text, sizeof text - 1);
    struct zm_entry e = {.name = STR("a.txt"),
                         .data = buf_str(&packed),
                         .method = 8,
                         .size = sizeof text - 1,
                         .crc = crc};
    zm_add(&z, &e);
    zm_end(&z, 0, 0);
    struct result r = build_zip(&z);
    assert_int_equal(r.rc, 0);
    assert_str(rec_str(buf_str(&r.pkg->rec), PACKAGE_FLAT), text);
    package_free(r.pkg);
    zm_free(&z);

    e.crc = crc ^ 1;
    zm_add(&z, &e);
    refused(&z, E_BAD_ZIP, "damaged");
    e.crc = crc;
    e.size = sizeof text; /* says more than it holds */
    zm_add(&z, &e);
    refused(&z, E_BAD_ZIP, "damaged");
    e.size = 5; /* says less */
    zm_add(&z, &e);
    refused(&z, E_BAD_ZIP, "damaged");
    e.size = sizeof text - 1;
    packed.p[3] ^= 0x55;
    zm_add(&z, &e);
    refused(&z, E_BAD_ZIP, "damaged");
    buf_deinit(&packed);

    zm_add(&z, &(struct zm_entry){.name = STR("h.lua"), .data = STR("\x1bLJ\x02xx")});
    refused(&z, E_BAD_ZIP, "bytecode");
    zm_file(&z, "../h.lua", "x");
    refused(&z, E_BAD_ZIP, "leaves the package");
    refused(&z, E_INVALID, "non-empty");
    zm_add(&z, &(struct zm_entry){.name = STR("not.txt"), .data = STR("\x1bLJ\x02xx")});
    zm_end(&z, 0, 0);
    r = build_zip(&z); /* data may be anything */
    assert_int_equal(r.rc, 0);
    package_free(r.pkg);
    zm_free(&z);

    struct package_source src = {.zip = STR("")};
    r = build(&src);
    assert_int_equal(r.rc, E_INVALID);
    char *big = calloc(1, PACKAGE_ZIP_MAX + 1);
    src.zip = str_of(big, PACKAGE_ZIP_MAX + 1);
    r = build(&src);
    assert_int_equal(r.rc, E_LIMIT);
    free(big);
}

/* An entry that says 1 MiB and unpacks to 200 MiB is stopped at its first byte too many. */
static void bomb(void **state)
{
    (void)state;
    enum { N = 200 * 1024 * 1024 };
    char *zeros = calloc(1, N);
    struct buf packed = deflated(zeros, N);
    free(zeros);
    struct zm z = {0};
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    zm_add(&z, &(struct zm_entry){.name = STR("bomb"),
                                  .data = buf_str(&packed),
                                  .method = 8,
                                  .size = 1024 * 1024,
                                  .crc = 1});
    refused(&z, E_BAD_ZIP, "damaged");
    zm_add(&z,
           &(struct zm_entry){
               .name = STR("bomb"), .data = buf_str(&packed), .method = 8, .size = N, .crc = 1});
    refused(&z, E_BAD_ZIP, "250 times");
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, GROWTH_KIB);
    buf_deinit(&packed);
}

/* 60 MiB of content through a package: what is held at once stays small. */
static void bounded(void **state)
{
    (void)state;
    enum { N = 60 * 1024 * 1024 };
    char *data = calloc(1, N);
    for (size_t i = 0; i < N; i += 64)
        data[i] = (char)(i * 2654435761u >> 24);
    struct buf packed = deflated(data, N);
    uint32_t crc = crc32_update(0, data, N);
    struct zm z = {0};
    zm_add(&z,
           &(struct zm_entry){
               .name = STR("data"), .data = buf_str(&packed), .method = 8, .size = N, .crc = crc});
    zm_end(&z, 0, 0);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    struct result r = build_zip(&z);
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(r.rc, 0);
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, GROWTH_KIB);
    package_free(r.pkg);
    assert_int_equal(blobs(), 0);
    free(data);
    buf_deinit(&packed);
    zm_free(&z);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(bounded), T(bomb),      T(small), T(flags),
                                       T(large),   T(from_blob), T(damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
