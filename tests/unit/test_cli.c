/* test_cli: the parser against the real table: names of one and two words, flags anywhere, counts.
 */
#include "cli/cli.h"

#include "cli_alone.h"
#include "unit.h"

enum { WORDS_MAX = 24 };

/* Parses "perilune " + line, split at blanks; "_" stands for an empty argument. */
struct line {
    struct cli cli;
    char text[512];
    char *argv[WORDS_MAX + 1];
    int argc;
    bool help;
    int rc;
};

static struct line *parse(const char *text)
{
    static struct line l;
    cli_free(&l.cli);
    memset(&l, 0, sizeof l);
    snprintf(l.text, sizeof l.text, "perilune %s", text);
    for (char *word = strtok(l.text, " "); word && l.argc < WORDS_MAX; word = strtok(NULL, " ")) {
        if (strcmp(word, "_") == 0)
            *word = 0;
        l.argv[l.argc++] = word;
    }
    l.rc = cli_parse(&l.cli, l.argc, l.argv, &l.help);
    return &l;
}

static void names(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"list", "list"},
        {"bucket ls", "bucket ls"},
        {"bucket --json ls", "bucket ls"},
        {"--endpoint http://x bucket ls b", "bucket ls"},
        {"--json get x", "get"},
        {"blueprint new s3-upload", "blueprint new"},
        {"get list", "get"}, /* an argument that is also a command's name */
        {"rm ls", "rm"},
        {"--version", "version"},
        {"help bucket ls", "help"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct line *l = parse(good[i][0]);
        if (l->rc != CLI_OK || strcmp(l->cli.command->name, good[i][1]) != 0)
            fail_msg("%s: rc %d, command %s", good[i][0], l->rc,
                     l->cli.command ? l->cli.command->name : "none");
    }
    static const char *const bad[] = {
        "",       "bucket",     "bucket nope",  "nope",    "walks list",   "blueprint",
        "ls",     "bucketls x", "--json",       "_",       "bucket _",     "--endpoint",
        "list x", "get",        "get a b",      "deploy",  "bucket cp a",  "bucket cp a b c",
        "mb b",   "get --nope", "list --since", "logs -f", "invoke x - y",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(bad[i])->rc != CLI_USAGE)
            fail_msg("'%s' should be refused", bad[i]);
}

static void flags(void **state)
{
    (void)state;
    struct line *l = parse("logs -f f --since=5m --level warn --since 7m");
    assert_int_equal(l->rc, CLI_OK);
    assert_string_equal(cli_arg(&l->cli, 0), "f");
    assert_true(cli_has(&l->cli, "--follow"));
    assert_string_equal(cli_value(&l->cli, "--since"), "7m"); /* the last one counts */
    assert_string_equal(cli_value(&l->cli, "--level"), "warn");
    assert_null(cli_value(&l->cli, "--request"));
    l = parse("invoke x -d{} --async");
    assert_string_equal(cli_value(&l->cli, "--payload"), "{}");
    l = parse("invoke x -d -1"); /* a value may look like a flag */
    assert_string_equal(cli_value(&l->cli, "--payload"), "-1");
    l = parse("invoke x -");
    assert_string_equal(cli_arg(&l->cli, 1), "-");
    l = parse("get -- --json");
    assert_string_equal(cli_arg(&l->cli, 0), "--json");
    assert_false(cli_has(&l->cli, "--json"));
    assert_int_equal(parse("list --json=yes")->rc, CLI_USAGE);
    assert_int_equal(parse("logs x --since")->rc, CLI_USAGE);
    l = parse("blueprint new b --set a=1 --set b=2=3");
    assert_string_equal(cli_nth(&l->cli, "--set", 0), "a=1");
    assert_string_equal(cli_nth(&l->cli, "--set", 1), "b=2=3");
    assert_null(cli_nth(&l->cli, "--set", 2));
    assert_true(parse("get --help")->help);
    assert_int_equal(parse("get --help")->rc, CLI_OK); /* though its argument is missing */
}

static void raw_arguments(void **state)
{
    (void)state;
    struct line *l = parse("--endpoint http://h aws s3 ls --json -- --help");
    assert_int_equal(l->rc, CLI_OK);
    assert_int_equal(l->cli.arg_count, 5);
    assert_string_equal(cli_arg(&l->cli, 2), "--json");
    assert_string_equal(cli_arg(&l->cli, 4), "--help");
    assert_string_equal(cli_value(&l->cli, "--endpoint"), "http://h");
    assert_false(cli_has(&l->cli, "--json"));
    assert_false(l->help);
    char *argv[] = {(char[]){"perilune"}, (char[]){"serve"}, (char[]){"--data"}, NULL};
    assert_int_equal(cli_main(3, argv), 77);
}

static void environment(void **state)
{
    (void)state;
    setenv("PERILUNE_ENDPOINT", "http://from-environment", 1);
    setenv("PERILUNE_SINCE", "1h", 1); /* not a flag that reads the environment */
    struct line *l = parse("logs x");
    assert_string_equal(cli_value(&l->cli, "--endpoint"), "http://from-environment");
    assert_null(cli_value(&l->cli, "--since"));
    assert_null(cli_value(&l->cli, "--json"));
    l = parse("logs x --endpoint http://given");
    assert_string_equal(cli_value(&l->cli, "--endpoint"), "http://given");
    setenv("PERILUNE_ENDPOINT", "", 1);
    assert_null(cli_value(&parse("logs x")->cli, "--endpoint"));
    unsetenv("PERILUNE_ENDPOINT");
    unsetenv("PERILUNE_SINCE");
}

static void too_many_flags(void **state)
{
    (void)state;
    char *argv[2 * CLI_VALUES_MAX + 8];
    char program[] = "perilune", list[] = "list", json[] = "--json";
    int argc = 0;
    argv[argc++] = program;
    argv[argc++] = list;
    while (argc < CLI_VALUES_MAX + 2)
        argv[argc++] = json;
    struct cli cli;
    bool help;
    assert_int_equal(cli_parse(&cli, argc, argv, &help), CLI_OK);
    cli_free(&cli);
    argv[argc++] = json;
    assert_int_equal(cli_parse(&cli, argc, argv, &help), CLI_USAGE);
    cli_free(&cli);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"90", 90000},     {"90s", 90000}, {"10m", 600000}, {"2h", 7200000},
                {"7d", 604800000}, {"250ms", 250}, {"0", 0}};
    static const char *const bad[] = {"",    "m",           "-1",  "1.5h", "10 m",
                                      "10x", "99999999999", "1hh", "+1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ms = -1;
        assert_true(cli_duration(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms;
        if (cli_duration(bad[i], &ms))
            fail_msg("'%s' should be refused", bad[i]);
    }
}

/* Every row can be found by its name, has what help prints, and no two flags share a letter. */
static void the_table(void **state)
{
    (void)state;
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *c = cli_commands[i];
        char first[64];
        const char *blank = strchr(c->name, ' ');
        snprintf(first, sizeof first, "%.*s", blank ? (int)(blank - c->name) : 63, c->name);
        assert_ptr_equal(cli_find(first, blank ? blank + 1 : NULL), c);
        assert_true(c->args && c->help && *c->help && c->run);
        for (const struct cli_flag *f = c->flags; f && f->name; f++) {
            assert_true(f->help && strncmp(f->name, "--", 2) == 0);
            for (const struct cli_flag *g = f + 1; g->name; g++)
                assert_true(strcmp(f->name, g->name) != 0 &&
                            (!f->letter || f->letter != g->letter));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),          cmocka_unit_test(flags),
        cmocka_unit_test(raw_arguments),  cmocka_unit_test(environment),
        cmocka_unit_test(too_many_flags), cmocka_unit_test(durations),
        cmocka_unit_test(the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
