/* cmd_completions: what a shell offers after TAB, written from the table of commands.
 *
 * Each script first finds the command among the words already typed (one word or two, flags and
 * their values left out), then offers what its row says: flags, or what the argument is called:
 * NAME asks the server for its functions, BLUEPRINT for its templates, anything else is a file. The
 * server is asked for at most a second and its absence is silent. */
#include "cli/commands.h"

/* Text inside a shell's single quotes. fish wants its own escapes there. */
static void quoted(const char *text, bool fish)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            fputs(fish ? "\\'" : "'\\''", stdout);
        else if (*text == '\\' && fish)
            fputs("\\\\", stdout);
        else
            putchar(*text);
    }
    putchar('\'');
}

/* Calls each flag of the command, its own before the common ones. */
static void each_flag(const struct cli_command *c,
                      void (*each)(const struct cli_command *c, const struct cli_flag *f))
{
    for (const struct cli_flag *f = cli_flags_of(c); f && f->name; f++)
        each(c, f);
    for (const struct cli_flag *f = cli_client_flags; f->name && cli_is_client(c); f++)
        each(c, f);
    if (c->kind == CLI_CLIENT || c->kind == CLI_LOCAL || c->flags != cli_flags_of(c))
        each(c, &cli_help_flag);
}

/* The first words of commands, each once, with what help says of it. */
static void each_first(void (*each)(const char *word, const char *help))
{
    char seen[2048] = " ";
    for (size_t i = 0; cli_commands[i]; i++) {
        char word[64], marked[80], more[96];
        const char *name = cli_commands[i]->name, *blank = strchrnul(name, ' ');
        snprintf(word, sizeof word, "%.*s", (int)(blank - name), name);
        snprintf(marked, sizeof marked, " %s ", word);
        if (strstr(seen, marked))
            continue;
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s ", word);
        snprintf(more, sizeof more, "%s commands", word);
        each(word, *blank ? more : cli_commands[i]->help);
    }
}

/* --- bash --------------------------------------------------------------------------------------
 */

static void bash_flag(const struct cli_command *c, const struct cli_flag *f)
{
    (void)c;
    printf(" %s", f->name);
    if (f->letter)
        printf(" -%c", f->letter);
}

static void bash_value(const struct cli_command *c, const struct cli_flag *f)
{
    if (!f->value)
        return;
    printf("    '%s %s'", c->name, f->name);
    if (f->letter)
        printf(" | '%s -%c'", c->name, f->letter);
    printf(") echo ");
    quoted(f->value, false);
    puts(" ;;");
}

static void bash_word(const char *word, const char *help)
{
    (void)help;
    printf("%s ", word);
}

/* What uses those tables. */
static const char bash_rest[] =
    "_perilune() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} command='' word value words='' i\n"
    "    COMPREPLY=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        case $word in\n"
    "        --endpoint | --data | --timeout) ((i++)) ;;\n"
    "        -*) ;;\n"
    "        *)\n"
    "            if [[ -z $command ]]; then\n"
    "                command=$word\n"
    "            elif __perilune_arguments \"$command $word\" >/dev/null; then\n"
    "                command+=\" $word\"\n"
    "                break\n"
    "            else\n"
    "                break\n"
    "            fi\n"
    "            ;;\n"
    "        esac\n"
    "    done\n"
    "    value=$(__perilune_value \"$command ${COMP_WORDS[COMP_CWORD - 1]}\")\n"
    "    if [[ -n $value ]]; then\n"
    "        word=$value\n"
    "    elif [[ -z $command ]]; then\n"
    "        words=$__perilune_commands\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        words=$(__perilune_flags \"$command\")\n"
    "    elif ! word=$(__perilune_arguments \"$command\"); then\n"
    "        words=$(__perilune_second \"$command\")\n"
    "    fi\n"
    "    if [[ -z $words ]]; then\n"
    "        case $word in\n"
    "        *COMMAND*) words=$__perilune_commands ;;\n"
    "        *SHELL*) words='bash zsh fish' ;;\n"
    "        *LEVEL*) words='trace debug info warn error fatal' ;;\n"
    "        *BLUEPRINT*) words=$(perilune --timeout 1 blueprint list --names 2>/dev/null) ;;\n"
    "        *NAMESPACE*) words=$(perilune --timeout 1 kv list 2>/dev/null) ;;\n"
    "        *FILE* | *DIR* | *PATH*) ;;\n"
    "        *NAME*) words=$(perilune --timeout 1 list --names 2>/dev/null) ;;\n"
    "        esac\n"
    "    fi\n"
    "    if [[ -n $words ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "    else\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "        compopt -o filenames 2>/dev/null\n"
    "    fi\n"
    "}\n"
    "complete -F _perilune perilune\n";

static void bash(void)
{
    puts("# bash completion for perilune, made by 'perilune completions bash'\n"
         "__perilune_flags() {\n    case $1 in");
    for (size_t i = 0; cli_commands[i]; i++) {
        printf("    '%s') echo '", cli_commands[i]->name);
        each_flag(cli_commands[i], bash_flag);
        puts("' ;;");
    }
    puts("    esac\n}\n"
         "# what the value of a flag is called; nothing for a switch\n"
         "__perilune_value() {\n    case $1 in");
    for (size_t i = 0; cli_commands[i]; i++)
        each_flag(cli_commands[i], bash_value);
    puts("    esac\n}\n"
         "__perilune_arguments() {\n    case $1 in");
    for (size_t i = 0; cli_commands[i]; i++)
        printf("    '%s') echo '%s' ;;\n", cli_commands[i]->name, cli_commands[i]->args);
    puts("    *) return 1 ;;\n    esac\n}\n"
         "__perilune_second() {\n    case $1 in");
    for (size_t i = 0; cli_commands[i]; i++) {
        const char *name = cli_commands[i]->name, *blank = strchr(name, ' ');
        if (blank)
            printf("    '%.*s') echo '%s' ;;&\n", (int)(blank - name), name, blank + 1);
    }
    puts("    esac\n}");
    printf("__perilune_commands='");
    each_first(bash_word);
    puts("'");
    fputs(bash_rest, stdout);
}

/* --- zsh ---------------------------------------------------------------------------------------
 */

/* A description inside _arguments' brackets, itself inside single quotes. */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (strchr("[]:\\", *text))
            putchar('\\');
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    }
}

/* What completes a value or argument of that name. */
static const char *zsh_action(const char *what)
{
    static const char *const actions[][2] = {
        {"COMMAND", "->commands"},
        {"SHELL", "(bash zsh fish)"},
        {"LEVEL", "(trace debug info warn error fatal)"},
        {"BLUEPRINT", "($(perilune --timeout 1 blueprint list --names 2>/dev/null))"},
        {"NAMESPACE", "($(perilune --timeout 1 kv list 2>/dev/null))"},
        {"FILE", "_files"},
        {"PATH", "_files"},
        {"DIR", "_files -/"},
        {"NAME", "($(perilune --timeout 1 list --names 2>/dev/null))"},
    };
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strstr(what, actions[i][0]))
            return actions[i][1];
    return "_files";
}

static void zsh_flag(const struct cli_command *c, const struct cli_flag *f)
{
    (void)c;
    for (int letter = 0, forms = f->letter ? 2 : 1; letter < forms; letter++) {
        fputs(" \\\n            '*", stdout);
        if (letter)
            printf("-%c", f->letter);
        else
            printf("%s%s", f->name, f->value ? "=" : "");
        putchar('[');
        zsh_text(f->help);
        putchar(']');
        if (f->value) {
            putchar(':');
            zsh_text(f->value);
            printf(":%s", zsh_action(f->value));
        }
        putchar('\'');
    }
}

static void zsh_word(const char *word, const char *help)
{
    fputs("        '", stdout);
    zsh_text(word);
    putchar(':');
    zsh_text(help);
    puts("'");
}

static void zsh_command(const struct cli_command *c)
{
    printf("    '%s')\n        _arguments -S", c->name);
    each_flag(c, zsh_flag);
    if (c->kind == CLI_RAW)
        fputs(" \\\n            '*::arguments:_normal'", stdout);
    else if (*c->args) {
        fputs(" \\\n            '*:", stdout);
        zsh_text(c->args);
        printf(":%s'", zsh_action(c->args));
    }
    puts("\n        ;;");
}

/* Second words of the group that command i begins, when it is the first of it. */
static void zsh_group(size_t i)
{
    const char *name = cli_commands[i]->name, *blank = strchr(name, ' ');
    size_t n = blank ? (size_t)(blank + 1 - name) : 0;
    for (size_t k = 0; k < i && n; k++)
        if (strncmp(cli_commands[k]->name, name, n) == 0)
            n = 0;
    if (n == 0)
        return;
    printf("    '%.*s')\n        candidates=(\n", (int)n - 1, name);
    for (size_t k = i; cli_commands[k]; k++)
        if (strncmp(cli_commands[k]->name, name, n) == 0)
            zsh_word(cli_commands[k]->name + n, cli_commands[k]->help);
    puts("        )\n        _describe command candidates\n        ;;");
}

static void zsh(void)
{
    puts("#compdef perilune\n"
         "# made by 'perilune completions zsh'\n"
         "_perilune() {\n"
         "    local -a commands candidates\n"
         "    local command='' state\n"
         "    integer i at=0\n"
         "    commands=(");
    each_first(zsh_word);
    fputs("    )\n"
          "    for ((i = 2; i < CURRENT; i++)); do\n"
          "        case $words[i] in\n"
          "        --endpoint | --data | --timeout) ((i++)) ;;\n"
          "        -*) ;;\n"
          "        *)\n"
          "            if [[ -z $command ]]; then\n"
          "                command=$words[i] at=i\n"
          "            else\n"
          "                case \"$command $words[i]\" in\n"
          "                ",
          stdout);
    const char * or = "";
    for (size_t i = 0; cli_commands[i]; i++)
        if (strchr(cli_commands[i]->name, ' ')) {
            printf("%s'%s'", or, cli_commands[i]->name);
            or = " | ";
        }
    puts(") command+=\" $words[i]\" at=i ;;\n"
         "                esac\n"
         "                break\n"
         "            fi\n"
         "            ;;\n"
         "        esac\n"
         "    done\n"
         "    if ((at)); then\n"
         "        words=(\"$command\" \"${(@)words[at+1,-1]}\")\n"
         "        ((CURRENT -= at - 1))\n"
         "    fi\n"
         "    case $command in\n"
         "    '') _describe command commands ;;");
    for (size_t i = 0; cli_commands[i]; i++) {
        zsh_group(i);
        zsh_command(cli_commands[i]);
    }
    puts("    esac\n"
         "    [[ $state == commands ]] && _describe command commands\n"
         "}\n"
         "if [[ $funcstack[1] == _perilune ]]; then _perilune \"$@\"; else compdef _perilune "
         "perilune; fi");
}

/* --- fish --------------------------------------------------------------------------------------
 */

static void fish_flag(const struct cli_command *c, const struct cli_flag *f)
{
    printf("complete -c perilune -n \"__perilune_at '%s'\" -l %s", c->name, f->name + 2);
    if (f->letter)
        printf(" -s %c", f->letter);
    if (f->value)
        fputs(strstr(f->value, "FILE") || strstr(f->value, "DIR") ? " -r -F" : " -x", stdout);
    if (f->value && strcmp(f->value, "LEVEL") == 0)
        fputs(" -a 'trace debug info warn error fatal'", stdout);
    fputs(" -d ", stdout);
    quoted(f->help, true);
    putchar('\n');
}

static void fish_arguments(const struct cli_command *c)
{
    static const char *const kinds[][2] = {
        {"COMMAND", " -a '(perilune help | string match -rg \"^  ([a-z-]+)\")'"},
        {"SHELL", " -a 'bash zsh fish'"},
        {"BLUEPRINT", " -a '(perilune --timeout 1 blueprint list --names 2>/dev/null)'"},
        {"NAMESPACE", " -a '(perilune --timeout 1 kv list 2>/dev/null)'"},
        {"PATH", " -F"},
        {"DIR", " -F"},
        {"FILE", " -F"},
        {"FROM", " -F"},
        {"NAME", " -a '(perilune --timeout 1 list --names 2>/dev/null)'"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(c->args, kinds[i][0])) {
            printf("complete -c perilune -n \"__perilune_at '%s'\"%s\n", c->name, kinds[i][1]);
            return;
        }
}

static void fish_word(const char *word, const char *help)
{
    printf("complete -c perilune -n \"__perilune_at ''\" -a %s -d ", word);
    quoted(help, true);
    putchar('\n');
}

static void fish(void)
{
    fputs("# fish completion for perilune, made by 'perilune completions fish'\n"
          "function __perilune_at\n"
          "    set -l command\n"
          "    set -l skip 0\n"
          "    for word in (commandline -opc)[2..-1]\n"
          "        if test $skip = 1\n"
          "            set skip 0\n"
          "            continue\n"
          "        end\n"
          "        switch $word\n"
          "            case --endpoint --data --timeout\n"
          "                set skip 1\n"
          "            case '-*'\n"
          "            case '*'\n"
          "                if test -z \"$command\"\n"
          "                    set command $word\n"
          "                else\n"
          "                    switch \"$command $word\"\n"
          "                        case",
          stdout);
    for (size_t i = 0; cli_commands[i]; i++)
        if (strchr(cli_commands[i]->name, ' '))
            printf(" '%s'", cli_commands[i]->name);
    puts("\n                            set command \"$command $word\"\n"
         "                    end\n"
         "                    break\n"
         "                end\n"
         "        end\n"
         "    end\n"
         "    test \"$command\" = \"$argv[1]\"\n"
         "end\n"
         "complete -c perilune -f");
    each_first(fish_word);
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *c = cli_commands[i];
        const char *blank = strchr(c->name, ' ');
        if (blank) {
            printf("complete -c perilune -n \"__perilune_at '%.*s'\" -a %s -d ",
                   (int)(blank - c->name), c->name, blank + 1);
            quoted(c->help, true);
            putchar('\n');
        }
        each_flag(c, fish_flag);
        fish_arguments(c);
    }
}

/* --- the command -------------------------------------------------------------------------------
 */

static int run_completions(struct cli *cli)
{
    static const struct {
        const char *shell;
        void (*write)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    const char *shell = cli_arg(cli, 0);
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shell, shells[i].shell) == 0) {
            shells[i].write();
            return CLI_OK;
        }
    return cli_fail(CLI_USAGE, "there are completions for bash, zsh and fish, none for '%s'",
                    shell);
}

const struct cli_command cmd_completions = {
    .name = "completions",
    .args = "SHELL",
    .help = "print what bash, zsh or fish needs to complete commands and flags",
    .more = "  eval \"$(perilune completions bash)\"                 in ~/.bashrc\n"
            "  perilune completions zsh > ~/.zfunc/_perilune       in a folder of $fpath\n"
            "  perilune completions fish > ~/.config/fish/completions/perilune.fish",
    .kind = CLI_LOCAL,
    .run = run_completions,
};
