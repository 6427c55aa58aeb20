/* cli: the perilune command: one table of commands, which drives parsing and help alike.
 *
 * A command is a row: its name (one or two words), its positional arguments as they are written in
 * the help ("NAME [VERSION]"), its flags and its function. Parsing reads the same rows as help
 * prints, so that the two cannot disagree. Rows live beside the code they describe (cmd_*.c) and
 * are listed once, in commands.c. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/str.h"

/* What the process exits with; scripts rely on these. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* a function's own error too */
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_DENIED = 4,
    CLI_CONFLICT = 5,
    CLI_UNREACHABLE = 6,
    CLI_TIMEOUT = 124,
};

struct cli_flag {
    const char *name;  /* "--since" */
    char letter;       /* 'f' for -f, 0 for none */
    const char *value; /* what the help calls its value ("10m"); NULL: a switch */
    const char *help;
    bool env; /* when not given, PERILUNE_SINCE is asked */
};

struct cli;

struct cli_command {
    const char *name; /* "deploy", "blueprint new" */
    const char
        *args; /* "NAME [VERSION]"; "" for none; a word that ends in "..." takes all the rest */
    const char *help;             /* one line, no full stop */
    const char *more;             /* further lines for the command's own help, or NULL */
    const struct cli_flag *flags; /* ends with a row whose name is NULL; NULL for none */
    enum {
        CLI_CLIENT, /* talks to the server: takes --endpoint, --data, --timeout and --json too */
        CLI_LOCAL,  /* takes its own flags only (and --help) */
        CLI_RAW,    /* all that follows the name is passed on unread (client flags may precede) */
        CLI_OWN,    /* the same, and nothing may precede */
    } kind;
    int (*run)(struct cli *cli); /* answers an exit code */
};

/* All commands, in the order of the help; ends with NULL. */
extern const struct cli_command *const cli_commands[];
/* What every CLI_CLIENT and CLI_RAW command takes besides its own; ends as flags do. */
extern const struct cli_flag cli_client_flags[];
extern const struct cli_flag cli_help_flag;
/* Does the command take those? */
bool cli_is_client(const struct cli_command *command);
/* A command's own flags; those of serve too, which it reads itself. NULL for none. */
const struct cli_flag *cli_flags_of(const struct cli_command *command);

enum { CLI_VALUES_MAX = 128 };

struct cli { /* one parsed command line; strings are argv's or the environment's */
    const struct cli_command *command;
    char **args; /* positional arguments */
    int arg_count;
    struct cli_given {
        const struct cli_flag *flag;
        const char *value; /* "" for a switch */
    } given[CLI_VALUES_MAX];
    int given_count;
};

/* Reads the command line, runs its command, answers the exit code. */
int cli_main(int argc, char **argv);
/* Parsing alone (for tests): 0, or CLI_USAGE after a message on stderr. help is set when --help was
 * given. cli_free releases what it holds. */
int cli_parse(struct cli *cli, int argc, char **argv, bool *help);
void cli_free(struct cli *cli);

/* Value of the flag (the last one given), else its environment variable if it has one, else NULL. A
 * switch that was given answers "". Asking for a flag the command does not have is a bug (aborts).
 */
const char *cli_value(const struct cli *cli, const char *name);
bool cli_has(const struct cli *cli, const char *name);
/* i-th value of a flag that may be repeated, NULL past the last. */
const char *cli_nth(const struct cli *cli, const char *name, int i);
/* Positional argument, NULL when it was not given. */
const char *cli_arg(const struct cli *cli, int i);

/* "perilune: …" on stderr with a newline; answers code, so that `return cli_fail(…)` works. Control
 * bytes in the text are shown escaped. */
int cli_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "90", "90s", "10m", "2h", "7d", "250ms" into milliseconds. */
bool cli_duration(const char *text, int64_t *ms);

/* Help of one command (all when NULL) on stdout. */
void cli_help(const struct cli_command *command);
/* The command named by the words, or NULL. */
const struct cli_command *cli_find(const char *first, const char *second);
/* Do commands of two words begin with this one? */
bool cli_is_group(const char *word);
/* Says that there is no such command, and which one is near; answers CLI_USAGE. second may be NULL.
 */
int cli_unknown(const char *first, const char *second);

#endif
