/* test_bundle: what goes into a package, that it is the same each time, and what is refused. */
#include "cli/bundle.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "cli/cli.h"
#include "cli_alone.h"
#include "unit.h"

static char top[64];

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", top, name);
    for (char *slash = strchr(path + strlen(top) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(top, sizeof top, "/tmp/perilune-bundle-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    return system(command);
}

/* "name=content;" of every entry, in the archive's order. */
static void list(const struct buf *zip, struct buf *out)
{
    zip_error_t e;
    zip_source_t *s = zip_source_buffer_create(zip->p, zip->n, 0, &e);
    zip_t *z = zip_open_from_source(s, ZIP_RDONLY | ZIP_CHECKCONS, &e);
    assert_non_null(z);
    for (zip_int64_t i = 0; i < zip_get_num_entries(z, 0); i++) {
        char text[256];
        zip_file_t *f = zip_fopen_index(z, (zip_uint64_t)i, 0);
        zip_int64_t n = zip_fread(f, text, sizeof text);
        buf_printf(out, "%s=%.*s;", zip_get_name(z, (zip_uint64_t)i, 0), (int)n, text);
        zip_fclose(f);
    }
    zip_discard(z);
}

static void folder(void **state)
{
    (void)state;
    struct buf zip, again, names = BUF_INIT;
    put("handler.lua", "return {}");
    put("function.lua", "return { name = 'x' }");
    put("lib/a/b.lua", "-- b");
    put("data/empty.txt", "");
    put(".git/config", "hidden");
    put(".env", "SECRET=1");
    char link[256];
    snprintf(link, sizeof link, "%s/passwd", top);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_int_equal(bundle_folder(top, &zip), 0);
    list(&zip, &names);
    assert_str(buf_str(&names), "data/empty.txt=;function.lua=return { name = 'x' };"
                                "handler.lua=return {};lib/a/b.lua=-- b;");
    snprintf(link, sizeof link, "touch -d '2001-01-01' '%s'/handler.lua", top);
    assert_int_equal(system(link), 0);
    assert_int_equal(bundle_folder(top, &again), 0);
    assert_true(str_eq(buf_str(&zip), buf_str(&again))); /* times do not matter */
    buf_deinit(&zip);
    buf_deinit(&again);
    buf_deinit(&names);
}

static void refused(void **state)
{
    (void)state;
    struct buf zip;
    char path[256];
    assert_int_equal(bundle_folder(top, &zip), CLI_USAGE); /* empty */
    assert_null(zip.p);
    put("handler.lua", "local x = = 1");
    assert_int_equal(bundle_folder(top, &zip), CLI_FAILED); /* does not compile */
    put("handler.lua", "\033LJ\002");
    assert_int_equal(bundle_folder(top, &zip), CLI_FAILED); /* bytecode */
    put("handler.lua", "return {}");
    snprintf(path, sizeof path, "%s/pipe", top);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(bundle_folder(top, &zip), CLI_FAILED); /* neither file nor folder */
    snprintf(path, sizeof path, "%s/none.lua", top);
    assert_int_equal(bundle_file(path, "none.lua", &zip), CLI_NOT_FOUND);
    assert_null(zip.p);
}

static void one_file(void **state)
{
    (void)state;
    struct buf zip, names = BUF_INIT;
    char path[256];
    put("hello.lua", "return 1");
    snprintf(path, sizeof path, "%s/hello.lua", top);
    assert_int_equal(bundle_file(path, "other.lua", &zip), 0);
    list(&zip, &names);
    assert_str(buf_str(&names), "other.lua=return 1;");
    buf_deinit(&zip);
    buf_deinit(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
