/* cmd_help: what people read about commands, from the same rows that parsing reads. */
#include "cli/commands.h"

static void print_flags(const struct cli_flag *f)
{
    for (; f && f->name; f++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s",
                 f->letter ? (char[]){'-', f->letter, ',', ' ', 0} : "", f->name,
                 f->value ? " " : "", f->value ? f->value : "");
        printf("  %-24s %s\n", left, f->help);
    }
}

static void print_commands(const char *prefix)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        char left[64];
        if (strncmp(cli_commands[i]->name, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(left, sizeof left, "%s %s", cli_commands[i]->name, cli_commands[i]->args);
        printf("  %-32s %s\n", left, cli_commands[i]->help);
    }
}

static void help_all(void)
{
    puts("perilune: functions, buckets, triggers, roles and logs on one small server\n");
    print_commands("");
    puts("\nCommands that talk to a server also take:");
    print_flags(cli_client_flags);
    puts("\n'perilune help COMMAND' says more.\n"
         "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 conflict,\n"
         "6 server unreachable, 124 --timeout ran out");
}

void cli_help(const struct cli_command *c)
{
    if (!c || strcmp(c->name, "help") == 0) {
        help_all();
        return;
    }
    printf("perilune %s%s%s\n  %s\n", c->name, *c->args ? " " : "", c->args, c->help);
    if (c->more)
        printf("\n%s\n", c->more);
    if (cli_flags_of(c) || cli_is_client(c))
        puts("\nFlags:");
    print_flags(cli_flags_of(c));
    if (cli_is_client(c))
        print_flags(cli_client_flags);
}

static int run_help(struct cli *cli)
{
    const char *first = cli_arg(cli, 0), *second = cli_arg(cli, 1);
    const struct cli_command *c = first ? cli_find(first, second) : NULL;
    char prefix[64];
    if (first && !c && !cli_is_group(first))
        return cli_unknown(first, second);
    snprintf(prefix, sizeof prefix, "%s ", first ? first : "");
    if (first && !c)
        print_commands(prefix);
    else
        cli_help(c);
    return CLI_OK;
}

const struct cli_command cmd_help = {
    .name = "help",
    .args = "[COMMAND...]",
    .help = "list the commands, or explain one",
    .kind = CLI_LOCAL,
    .run = run_help,
};
