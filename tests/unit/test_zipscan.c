/* test_zipscan: layouts that are refused, each by its own lie, beside ones that pass. */
#include "svc/zipscan.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "svc/package.h"
#include "unit.h"
#include "zipmake.h"

static int scan(struct str zip, struct zipscan *out, struct err *err)
{
    struct zip_bytes z = {zip, -1, zip.n};
    return zipscan(&z, out, err);
}

/* Scans what z holds, frees it, and wants rc; the text must hold `word`. */
static void want(struct zm *z, int rc, const char *word)
{
    struct zipscan s;
    struct err err = {0};
    int got = scan(buf_str(&z->zip), &s, &err);
    if (got == 0)
        zipscan_deinit(&s);
    if (got != rc || (word && !strstr(err.text, word)))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, err.text, rc, word ? word : "");
    if (rc == E_BAD_ZIP)
        assert_true(str_starts(str_c(err_text(&err, got)),
                               STR("Could not unzip uploaded file. Please check your file, then "
                                   "try to upload again.")));
    zm_free(z);
}

static void one(const struct zm_entry *e, const char *word)
{
    struct zm z = {0};
    zm_file(&z, "handler.lua", "return 1");
    zm_add(&z, e);
    zm_end(&z, 0, 0);
    want(&z, word ? E_BAD_ZIP : 0, word);
}

static void lists(void **state)
{
    (void)state;
    struct zm z = {0};
    struct zipscan s;
    zm_file(&z, "b/x.lua", "bb");
    zm_file(&z, "lib/", "");
    zm_file(&z, "./a.lua", "a");
    zm_file(&z, "empty", "");
    zm_end(&z, 0, 0);
    assert_int_equal(scan(buf_str(&z.zip), &s, NULL), 0);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.total_entries, 4);
    assert_int_equal(s.size, 3);
    assert_int_equal(s.names_size, 5 + 7 + 5);
    assert_str(s.entries[0].name, "a.lua");
    assert_str(s.entries[0].raw, "./a.lua");
    assert_int_equal(s.entries[0].index, 2);
    assert_str(s.entries[1].name, "b/x.lua");
    assert_str(s.entries[2].name, "empty");
    zipscan_deinit(&s);

    /* the same from a file */
    char path[] = "/tmp/zipscan-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, z.zip.p, z.zip.n), z.zip.n);
    struct zip_bytes file = {{NULL, 0}, fd, z.zip.n};
    assert_int_equal(zipscan(&file, &s, NULL), 0);
    assert_int_equal(s.count, 3);
    zipscan_deinit(&s);
    close(fd);
    unlink(path);
    zm_free(&z);
}

static void empty(void **state)
{
    (void)state;
    struct zm z = {0};
    want(&z, E_BAD_ZIP, "");
    zm_end(&z, 0, 0);
    want(&z, E_INVALID, "non-empty");
    zm_file(&z, "folder/", "");
    zm_end(&z, 0, 0);
    want(&z, E_INVALID, "non-empty");
    buf_add(&z.zip, STR("this is no zip at all, only some text that is long enough"));
    want(&z, E_BAD_ZIP, "");
}

static void names(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "../x", "a/../../x", "..",   "/etc/passwd", "a\\b", "C:/x",        "a//b",   "a/./b",
        "a\nb", "./../x",    "a/..", "./",          "../",  "\\\\host\\x", "x/../y", "\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        one(&(struct zm_entry){.name = str_c(bad[i]), .data = STR("x")}, "The entry");
    one(&(struct zm_entry){.name = STR("a\0b"), .data = STR("x")}, "NUL");
    one(&(struct zm_entry){.name = STR(""), .data = STR("x")}, "no name");
    char long_name[1025];
    memset(long_name, 'a', sizeof long_name);
    one(&(struct zm_entry){.name = str_of(long_name, 1025), .data = STR("x")}, "1024");
    one(&(struct zm_entry){.name = str_of(long_name, 1024), .data = STR("x")}, NULL);
    static const char *const good[] = {"..a", "a..", "a/...", "caf\xc3\xa9", ".hidden", "a b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        one(&(struct zm_entry){.name = str_c(good[i]), .data = STR("x")}, NULL);
}

static void twice(void **state)
{
    (void)state;
    one(&(struct zm_entry){.name = STR("handler.lua"), .data = STR("x")}, "twice");
    one(&(struct zm_entry){.name = STR("./handler.lua"), .data = STR("x")}, "twice");
    one(&(struct zm_entry){.name = STR("././handler.lua"), .data = STR("x")}, "twice");
    one(&(struct zm_entry){.name = STR("handler.lua/"), .data = STR("")}, "twice");
}

static void kinds(void **state)
{
    (void)state;
    struct str x = STR("x"), name = STR("n");
    one(&(struct zm_entry){.name = name, .data = x, .mode = S_IFLNK | 0777}, "link");
    one(&(struct zm_entry){.name = name, .data = x, .mode = S_IFCHR | 0600}, "device");
    one(&(struct zm_entry){.name = name, .data = x, .mode = S_IFBLK | 0600}, "device");
    one(&(struct zm_entry){.name = name, .data = x, .mode = S_IFIFO | 0600}, "device");
    one(&(struct zm_entry){.name = name, .data = x, .mode = S_IFSOCK | 0600}, "device");
    one(&(struct zm_entry){.name = name, .data = x, .mode = S_IFDIR | 0755}, "folder");
    one(&(struct zm_entry){.name = STR("d/"), .data = x}, "folder");
    one(&(struct zm_entry){.name = name, .data = x, .mode = S_IFREG | 0644}, NULL);
    one(&(struct zm_entry){.name = STR("d/"), .data = STR(""), .mode = S_IFDIR | 0755}, NULL);
    one(&(struct zm_entry){.name = name, .data = x, .flags = 1}, "encrypted");
    one(&(struct zm_entry){.name = name, .data = x, .flags = 1 | 1 << 6}, "encrypted");
    one(&(struct zm_entry){.name = name, .data = x, .flags = 1 << 13}, "encrypted");
    one(&(struct zm_entry){.name = name, .data = x, .method = 99}, "encrypted");
    one(&(struct zm_entry){.name = name, .data = x, .method = 12}, "not supported");
    one(&(struct zm_entry){.name = name, .data = x, .method = 93}, "not supported");
}

static void sizes(void **state)
{
    (void)state;
    struct str x = STR("xyz"), name = STR("n");
    one(&(struct zm_entry){.name = name, .data = x, .size = 7}, "lies about its size");
    one(&(struct zm_entry){.name = name, .data = x, .method = 8, .size = 9, .local_size = 8},
        "differ");
    one(&(struct zm_entry){.name = name, .data = x, .local_name = STR("m")}, "differ");
    one(
        &(struct zm_entry){
            .name = name, .data = x, .packed_shown = 0x7fffffff, .size_shown = 0x7fffffff},
        "");
    one(&(struct zm_entry){.name = name, .data = x, .at = 0x7fffff00}, "outside");

    struct zm z = {0};
    zm_add(&z, &(struct zm_entry){
                   .name = name, .data = x, .method = 8, .size = PACKAGE_UNPACKED_MAX + 1u});
    zm_end(&z, 0, 0);
    want(&z, E_INVALID, "Unzipped size must be smaller than 262144000 bytes");

    for (int i = 0; i < 5; i++) { /* each is allowed, all together are not */
        char n[16];
        snprintf(n, sizeof n, "f%d", i);
        zm_add(&z, &(struct zm_entry){
                       .name = str_c(n), .data = x, .method = 8, .size = 60u * 1024 * 1024});
    }
    zm_end(&z, 0, 0);
    want(&z, E_INVALID, "Unzipped size");

    zm_add(&z,
           &(struct zm_entry){.name = name, .data = x, .method = 8, .size = 100u * 1024 * 1024});
    zm_end(&z, 0, 0);
    want(&z, E_BAD_ZIP, "250 times");
}

static void overlaps(void **state)
{
    (void)state;
    struct zm z = {0};
    /* two entries of the directory, one local header */
    zm_add(&z, &(struct zm_entry){.name = STR("a"), .data = STR("data")});
    zm_directory(&z, &(struct zm_entry){.name = STR("b"), .data = STR("data")}, 0);
    zm_end(&z, 0, 0);
    want(&z, E_BAD_ZIP, "differ");

    /* an entry that lies inside the data of another, quoted as it were */
    struct zm inner = {0};
    zm_file(&inner, "b", "inside");
    struct str quoted = buf_str(&inner.zip);
    zm_add(&z, &(struct zm_entry){.name = STR("a"), .data = quoted});
    zm_directory(&z, &(struct zm_entry){.name = STR("b"), .data = STR("inside")}, 30 + 1);
    zm_end(&z, 0, 0);
    want(&z, E_BAD_ZIP, "overlap");
    zm_free(&inner);
}

static void ends(void **state)
{
    (void)state;
    struct zm z = {0};
    zm_file(&z, "a", "x");
    zm_end(&z, 2, 0);
    want(&z, E_BAD_ZIP, "");
    zm_file(&z, "a", "x");
    zm_file(&z, "b", "x");
    zm_end(&z, 1, 0);
    want(&z, E_BAD_ZIP, "");
    zm_file(&z, "a", "x");
    zm_end(&z, 0, -1);
    want(&z, E_BAD_ZIP, "");
    zm_file(&z, "a", "x");
    zm_end(&z, 0, 1);
    want(&z, E_BAD_ZIP, "");
    zm_file(&z, "a", "x");
    zm_end(&z, 0, 0);
    buf_addc(&z.zip, 'x'); /* behind the end */
    want(&z, E_BAD_ZIP, "");
    zm_file(&z, "a", "x");
    zm_end(&z, 0, 0);
    z.zip.p[z.zip.n - 18] = 1; /* a second disk */
    want(&z, E_BAD_ZIP, "disks");
}

static void sixty_four(void **state)
{
    (void)state;
    struct zm z = {0};
    zm_file(&z, "a", "x");
    zm_end64(&z, 1, 0xffff);
    want(&z, 0, NULL);
    zm_file(&z, "a", "x");
    zm_end64(&z, 1, 1);
    want(&z, 0, NULL);
    zm_file(&z, "a", "x");
    zm_end64(&z, 2, 1);
    want(&z, E_BAD_ZIP, "contradicts");
    zm_file(&z, "a", "x");
    zm_end64(&z, 0x100000000ull, 0xffff);
    want(&z, E_BAD_ZIP, "65535");
    zm_file(&z, "a", "x");
    zm_end64(&z, UINT64_MAX, 0xffff);
    want(&z, E_BAD_ZIP, "65535");

    /* sizes in the extra field: true, missing, absurd */
    struct buf extra = BUF_INIT;
    zm_u16(&extra, 1);
    zm_u16(&extra, 8);
    zm_u64(&extra, 3);
    struct zm_entry e = {.name = STR("n"), .data = STR("xyz"), .size_shown = 0xffffffff};
    e.extra = buf_str(&extra);
    one(&e, NULL);
    e.extra = STR("");
    one(&e, "lies about its size");
    e.extra = str_of(extra.p, 8); /* cut */
    one(&e, "lies about its size");
    memset(extra.p + 4, 0xff, 8);
    e.extra = buf_str(&extra);
    one(&e, "lies about its size");
    buf_deinit(&extra);
}

static void many(void **state)
{
    (void)state;
    struct zm z = {0};
    struct zipscan s;
    for (int i = 0; i < 65535; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%05d", i * 7 % 65535);
        zm_file(&z, name, "");
    }
    struct zm copy = {0};
    buf_add(&copy.zip, buf_str(&z.zip));
    buf_add(&copy.directory, buf_str(&z.directory));
    copy.count = z.count;
    zm_end(&z, 0, 0);
    assert_int_equal(scan(buf_str(&z.zip), &s, NULL), 0);
    assert_int_equal(s.count, 65535);
    assert_str(s.entries[65534].name, "f65534");
    zipscan_deinit(&s);
    zm_free(&z);
    zm_file(&copy, "one too many", "");
    zm_end64(&copy, copy.count, 0xffff);
    want(&copy, E_BAD_ZIP, "65535");
}

/* Every cut and every flipped byte of a good zip: no crash, and a cut is never good. */
static void torn(void **state)
{
    (void)state;
    struct zm z = {0};
    struct zipscan s;
    zm_file(&z, "handler.lua", "return function() end");
    zm_file(&z, "lib/x.lua", "return 1");
    zm_end(&z, 0, 0);
    for (size_t n = 0; n < z.zip.n; n++) {
        char *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past it */
        memcpy(exact, z.zip.p, n);
        assert_int_not_equal(scan(str_of(exact, n), &s, NULL), 0);
        free(exact);
    }
    for (size_t i = 0; i < z.zip.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            z.zip.p[i] ^= (char)(1 << bit);
            if (scan(buf_str(&z.zip), &s, NULL) == 0)
                zipscan_deinit(&s);
            z.zip.p[i] ^= (char)(1 << bit);
        }
    zm_free(&z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists), cmocka_unit_test(empty),      cmocka_unit_test(names),
        cmocka_unit_test(twice), cmocka_unit_test(kinds),      cmocka_unit_test(sizes),
        cmocka_unit_test(ends),  cmocka_unit_test(sixty_four), cmocka_unit_test(overlaps),
        cmocka_unit_test(many),  cmocka_unit_test(torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
