/* cli: from argv to the function of one row.
 *
 * A command's name is one word or two; the longer match wins. Flags may stand before or after the
 * name and between the arguments; "--" ends them; "--flag=value", "--flag value", "-fvalue" and
 * "-f value" are the same. What is wrong is said in one line on stderr and exits 2; nothing here
 * asks questions. */
#include "cli/cli.h"

#include <ctype.h>
#include <stdarg.h>

#include "base/log.h"
#include "cli/near.h"

const struct cli_flag cli_client_flags[] = {
    {"--endpoint", 0, "URL", "the server (default http://127.0.0.1:1969)", true},
    {"--data", 0, "DIR", "the server's data folder, for the keys in its root.credentials", true},
    {"--timeout", 0, "SECONDS", "give up after that long (exit code 124)", false},
    {"--json", 0, NULL, "print one JSON document", false},
    {0},
};
const struct cli_flag cli_help_flag = {"--help", 'h', NULL, "show this help", false};

/* Named in the documents, not made yet: said plainly instead of "no command". */
static const char *const later[] = {"export", "top", NULL};

static int find_command(struct cli *cli, int argc, char **argv);
static int take_flag(struct cli *cli, int argc, char **argv, int *i, bool *help);
static int check_count(const struct cli *cli);

int cli_main(int argc, char **argv)
{
    static struct cli cli;
    bool help = false;
    int rc = cli_parse(&cli, argc, argv, &help);
    if (rc == CLI_OK && help)
        cli_help(cli.command);
    else if (rc == CLI_OK)
        rc = cli.command->run(&cli);
    cli_free(&cli);
    if ((fflush(stdout) != 0 || ferror(stdout)) && rc == CLI_OK)
        rc = cli_fail(CLI_FAILED, "the output could not be written");
    return rc;
}

int cli_parse(struct cli *cli, int argc, char **argv, bool *help)
{
    memset(cli, 0, sizeof *cli);
    *help = false;
    cli->args = calloc((size_t)argc + 1, sizeof *cli->args);
    if (!cli->args)
        fatal("out of memory");
    int at = find_command(cli, argc, argv);
    if (at < 0)
        return CLI_USAGE;
    bool flags = true;
    for (int i = 1; i < argc; i++) {
        if (i >= at && cli->command->kind >= CLI_RAW) {
            cli->args[cli->arg_count++] = argv[i];
        } else if (flags && strcmp(argv[i], "--") == 0) {
            flags = false;
        } else if (flags && argv[i][0] == '-' && argv[i][1]) {
            int rc = take_flag(cli, argc, argv, &i, help);
            if (rc)
                return rc;
        } else if (i >= at) {
            cli->args[cli->arg_count++] = argv[i];
        } /* else: a word of the command's name */
    }
    return *help ? CLI_OK : check_count(cli);
}

void cli_free(struct cli *cli)
{
    free(cli->args);
    cli->args = NULL;
}

/* --- the command's name ------------------------------------------------------------------------
 */

/* Index of the first word that is no flag or flag's value at or after i, argc when there is none.
 * Before the command is known only the client's flags can take a value. */
static int next_word(int argc, char **argv, int i)
{
    for (; i < argc && argv[i][0] == '-'; i++) {
        const struct cli_flag *f = cli_client_flags;
        while (f->name && strcmp(argv[i], f->name) != 0)
            f++;
        i += f->name && f->value;
    }
    return i < argc ? i : argc;
}

const struct cli_command *cli_find(const char *first, const char *second)
{
    char both[64];
    snprintf(both, sizeof both, "%s %s", first, second ? second : "");
    const struct cli_command *found = NULL;
    for (size_t i = 0; cli_commands[i]; i++) {
        if (second && strcmp(cli_commands[i]->name, both) == 0)
            return cli_commands[i];
        if (strcmp(cli_commands[i]->name, first) == 0)
            found = cli_commands[i];
    }
    return found;
}

bool cli_is_group(const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; cli_commands[i]; i++)
        if (strncmp(cli_commands[i]->name, word, n) == 0 && cli_commands[i]->name[n] == ' ')
            return true;
    return false;
}

int cli_unknown(const char *word, const char *second)
{
    struct near n = {.word = word, .best = ""};
    size_t words = strlen(word);
    bool group = cli_is_group(word);
    char first[64];
    for (size_t i = 0; later[i]; i++)
        if (strcmp(later[i], word) == 0)
            return cli_fail(CLI_USAGE, "'%s' is not in this version yet", word);
    if (group && !second)
        return cli_fail(CLI_USAGE, "'%s' needs a second word; 'perilune help %s' lists them", word,
                        word);
    if (group)
        n.word = second;
    for (size_t i = 0; cli_commands[i]; i++) {
        const char *name = cli_commands[i]->name;
        if (!group && !strchr(name, ' '))
            near_offer(&n, name);
        else if (group && strncmp(name, word, words) == 0 && name[words] == ' ')
            near_offer(&n, name + words + 1);
    }
    if (!group && !*n.best) /* a group's own name, misspelt */
        for (size_t i = 0; cli_commands[i] && !*n.best; i++) {
            snprintf(first, sizeof first, "%s", cli_commands[i]->name);
            *strchrnul(first, ' ') = 0;
            near_offer(&n, first);
        }
    const char *before = group ? word : "", *blank = group ? " " : "";
    if (*n.best)
        return cli_fail(CLI_USAGE, "there is no command '%s%s%s'; did you mean 'perilune %s%s%s'?",
                        before, blank, n.word, before, blank, n.best);
    return cli_fail(CLI_USAGE,
                    "there is no command '%s%s%s'; 'perilune help%s%s' lists what there is", before,
                    blank, n.word, blank, before);
}

/* Index of the first argument after the command's name, or -1 after a message. */
static int find_command(struct cli *cli, int argc, char **argv)
{
    int first = next_word(argc, argv, 1);
    if (first == argc) {
        for (int i = 1; i < argc; i++)
            if (strcmp(argv[i], "--version") == 0)
                return cli->command = cli_find("version", NULL), argc;
        cli->command = cli_find("help", NULL);
        bool asked = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
        if (asked)
            return argc;
        fputs("perilune: no command given; 'perilune help' lists them\n", stderr);
        return -1;
    }
    int second = next_word(argc, argv, first + 1);
    const char *word2 = second < argc ? argv[second] : NULL;
    cli->command = cli_find(argv[first], word2);
    if (!cli->command) {
        cli_unknown(argv[first], word2);
        return -1;
    }
    return strchr(cli->command->name, ' ') ? second + 1 : first + 1;
}

/* --- flags -------------------------------------------------------------------------------------
 */

bool cli_is_client(const struct cli_command *c)
{
    return c->kind == CLI_CLIENT || c->kind == CLI_RAW;
}

static const struct cli_flag *search(const struct cli_flag *f, const char *name, size_t n)
{
    for (; f && f->name; f++)
        if ((strlen(f->name) == n && memcmp(f->name, name, n) == 0) ||
            (f->letter && n == 2 && name[0] == '-' && name[1] == f->letter))
            return f;
    return NULL;
}

static const struct cli_flag *find_flag(const struct cli_command *c, const char *name, size_t n)
{
    const struct cli_flag *f = search(c->flags, name, n);
    if (!f && cli_is_client(c))
        f = search(cli_client_flags, name, n);
    if (!f && ((n == 6 && memcmp(name, "--help", 6) == 0) || (n == 2 && name[1] == 'h')))
        f = &cli_help_flag;
    return f;
}

static int unknown_flag(const struct cli_command *c, struct str flag)
{
    char word[64];
    struct near n = {.word = word, .best = ""};
    if (c->kind == CLI_OWN)
        return cli_fail(CLI_USAGE, "the flags of '%s' stand after its name", c->name);
    snprintf(word, sizeof word, "%.*s", STR_FMT(flag));
    for (const struct cli_flag *f = c->flags; f && f->name; f++)
        near_offer(&n, f->name);
    for (const struct cli_flag *f = cli_client_flags; f->name && cli_is_client(c); f++)
        near_offer(&n, f->name);
    if (*n.best && flag.n > 2)
        return cli_fail(CLI_USAGE, "'%s' has no flag %s; did you mean %s?", c->name, word, n.best);
    return cli_fail(CLI_USAGE, "'%s' has no flag %s; 'perilune help %s' lists them", c->name, word,
                    c->name);
}

static int take_flag(struct cli *cli, int argc, char **argv, int *i, bool *help)
{
    const char *word = argv[*i], *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    size_t n = word[1] != '-' ? 2 : equals ? (size_t)(equals - word) : strlen(word);
    const struct cli_flag *f = find_flag(cli->command, word, n);
    if (!f && strcmp(word, "--version") == 0 && strcmp(cli->command->name, "version") == 0)
        return CLI_OK;
    if (!f)
        return unknown_flag(cli->command, str_of(word, n));
    const char *attached = equals ? equals + 1 : word[1] != '-' && word[2] ? word + 2 : NULL;
    if (f == &cli_help_flag) {
        *help = true;
        return CLI_OK;
    }
    if (!f->value && attached)
        return cli_fail(CLI_USAGE, "%.*s takes no value", (int)n, word);
    if (f->value && !attached && *i + 1 >= argc)
        return cli_fail(CLI_USAGE, "%s needs a value: %s %s", f->name, f->name, f->value);
    if (cli->given_count == CLI_VALUES_MAX)
        return cli_fail(CLI_USAGE, "more than %d flags", CLI_VALUES_MAX);
    const char *value = !f->value ? "" : attached ? attached : argv[++*i];
    cli->given[cli->given_count++] = (struct cli_given){f, value};
    return CLI_OK;
}

/* --- arguments ---------------------------------------------------------------------------------
 */

/* Reads a spec like "FROM TO [MORE]" or "[ARGS...]": how few and how many (-1: any). */
static void count_spec(const char *spec, int *least, int *most)
{
    *least = *most = 0;
    int depth = 0;
    bool in_word = false;
    for (const char *p = spec; *p; p++) {
        if (*p == ' ' && depth == 0) {
            in_word = false;
            continue;
        }
        if (!in_word) {
            in_word = true;
            *most += *most >= 0;
            *least += *p != '[';
        }
        depth += (*p == '[') - (*p == ']');
        if (strncmp(p, "...", 3) == 0)
            *most = -1;
    }
}

static int check_count(const struct cli *cli)
{
    int least, most;
    count_spec(cli->command->args, &least, &most);
    if (cli->arg_count >= least && (most < 0 || cli->arg_count <= most))
        return CLI_OK;
    return cli_fail(CLI_USAGE, "%s: perilune %s%s%s",
                    cli->arg_count < least ? "an argument is missing" : "too many arguments",
                    cli->command->name, *cli->command->args ? " " : "", cli->command->args);
}

const char *cli_arg(const struct cli *cli, int i)
{
    return i < cli->arg_count ? cli->args[i] : NULL;
}

const char *cli_nth(const struct cli *cli, const char *name, int i)
{
    for (int k = 0; k < cli->given_count; k++)
        if (strcmp(cli->given[k].flag->name, name) == 0 && i-- == 0)
            return cli->given[k].value;
    return NULL;
}

static const char *from_environment(const char *flag)
{
    char name[64];
    int n = snprintf(name, sizeof name, "PERILUNE_%s", flag + 2);
    for (int i = 0; i < n && i < (int)sizeof name - 1; i++)
        name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

const char *cli_value(const struct cli *cli, const char *name)
{
    for (int k = cli->given_count - 1; k >= 0; k--)
        if (strcmp(cli->given[k].flag->name, name) == 0)
            return cli->given[k].value;
    const struct cli_flag *f = find_flag(cli->command, name, strlen(name));
    ASSERT(f);
    return f->env ? from_environment(name) : NULL;
}

bool cli_has(const struct cli *cli, const char *name)
{
    return cli_value(cli, name) != NULL;
}

/* --- messages and small readers ----------------------------------------------------------------
 */

int cli_fail(int code, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fflush(stdout);
    fputs("perilune: ", stderr);
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t')
            fprintf(stderr, "\\x%02x", (unsigned char)*p);
        else
            fputc(*p, stderr);
    }
    fputc('\n', stderr);
    return code;
}

bool cli_duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t digits = strspn(text, "0123456789");
    uint64_t n;
    if (!str_u64(str_of(text, digits), &n) || n > 100 * 1000 * 1000)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(text + digits, units[i].unit) == 0)
            return *ms = (int64_t)(n * units[i].ms), true;
    return false;
}
