/* test_target: which server, and whose keys: URLs, environment, credential files. */
#include "cli/target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_alone.h"
#include "unit.h"

static void urls(void **state)
{
    (void)state;
    static const char *const good[][4] = {
        {"https://x", "x", "443", "x"},
        {"https://x:443/", "x", "443", "x"},
        {"https://x:80", "x", "80", "x:80"},
        {"https://[::1]:8443", "::1", "8443", "[::1]:8443"},
        /* given, host, port, Host header */
        {"http://127.0.0.1:1969", "127.0.0.1", "1969", "127.0.0.1:1969"},
        {"http://127.0.0.1:1969/", "127.0.0.1", "1969", "127.0.0.1:1969"},
        {"localhost:8000", "localhost", "8000", "localhost:8000"},
        {"http://moon.example", "moon.example", "80", "moon.example"},
        {"http://[::1]:1969", "::1", "1969", "[::1]:1969"},
        {"http://[::1]", "::1", "80", "[::1]"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct target t = {0};
        const char *why;
        if (!target_parse_url(good[i][0], &t, &why))
            fail_msg("%s: %s", good[i][0], why);
        assert_string_equal(t.host, good[i][1]);
        assert_string_equal(t.port, good[i][2]);
        assert_string_equal(t.authority, good[i][3]);
        assert_str(str_from(str_c(t.url), t.tls ? 8 : 7), good[i][3]);
        assert_int_equal(t.tls, strncmp(t.url, "https:", 6) == 0);
    }
    static const char *const bad[] = {
        "",           "http://",          "https://",    "ftp://x",         "http://x/path",
        "http://x:0", "http://x:65536",   "http://x:",   "http://x:1:2",    "http://a b",
        "http://:80", "http://user@x",    "http://[::1", "http://[::1]x:1", "http://x?y",
        "http://x#y", "http://x\r\nA: b", "http://[]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct target t;
        const char *why = NULL;
        if (target_parse_url(bad[i], &t, &why))
            fail_msg("'%s' should be refused", bad[i]);
        assert_non_null(why);
    }
}

static int resolve(const char *flag, const char *value, struct target *t)
{
    char *argv[] = {(char[]){"perilune"}, (char[]){"list"}, strdup(flag), strdup(value)};
    struct cli cli;
    bool help;
    int rc = cli_parse(&cli, 4, argv, &help);
    if (rc == 0)
        rc = target_resolve(&cli, t);
    cli_free(&cli);
    free(argv[2]);
    free(argv[3]);
    return rc;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void keys(void **state)
{
    (void)state;
    char folder[] = "/tmp/perilune-target-XXXXXX", path[64];
    struct target t;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/root.credentials", folder);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
    unsetenv("AWS_REGION");
    unsetenv("AWS_DEFAULT_REGION");

    assert_int_equal(resolve("--data", folder, &t), CLI_OK); /* no keys is no failure yet */
    assert_string_equal(t.access_key, "");
    assert_non_null(strstr(t.keys_from, path));
    assert_string_equal(t.region, "us-east-1");
    assert_string_equal(t.url, "http://127.0.0.1:1969");

    write_file(path, "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = a/b+c==\n");
    assert_int_equal(resolve("--data", folder, &t), CLI_OK);
    assert_string_equal(t.access_key, "AKIAFILE");
    assert_string_equal(t.secret, "a/b+c==");

    write_file(path, "[default]\naws_access_key_id = AKIAFILE\n");
    assert_int_equal(resolve("--data", folder, &t), CLI_OK);
    assert_string_equal(t.access_key, "");
    assert_non_null(strstr(t.keys_from, "holds no"));

    setenv("AWS_ACCESS_KEY_ID", "AKIAENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    setenv("AWS_SESSION_TOKEN", "token", 1);
    setenv("AWS_DEFAULT_REGION", "moon-1", 1);
    assert_int_equal(resolve("--data", folder, &t), CLI_OK);
    assert_string_equal(t.access_key, "AKIAENV");
    assert_string_equal(t.token, "token");
    assert_string_equal(t.region, "moon-1");
    setenv("AWS_REGION", "moon-2", 1);
    assert_int_equal(resolve("--endpoint", "http://h:1", &t), CLI_OK);
    assert_string_equal(t.region, "moon-2");
    assert_string_equal(t.url, "http://h:1");
    assert_int_equal(resolve("--endpoint", "nonsense://h", &t), CLI_USAGE);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
