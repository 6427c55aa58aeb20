/* cmd_man: the manual page, in the language of man(7), written from the table of commands. */
#include "base/log.h"
#include "base/version.h"
#include "cli/commands.h"

static const char revised[] =
    "2026-11-27"; /* when the text that is not in the table last changed */

/* One character beyond ASCII, as every roff knows it; answers its bytes. */
static size_t wide(const char *s)
{
    size_t n = str_utf8_sequence(str_c(s));
    ASSERT(n > 1); /* the table is UTF-8 */
    unsigned code = (unsigned char)*s & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        code = code << 6 | ((unsigned char)s[i] & 0x3f);
    printf("\\[u%04X]", code);
    return n;
}

/* Running text: hyphens are minus signs, and no line becomes a request. */
static void text(const char *s)
{
    bool start = true;
    for (; *s; s++) {
        if (start && (*s == '.' || *s == '\''))
            fputs("\\&", stdout);
        if (*s == '-')
            fputs("\\-", stdout);
        else if (*s == '\\')
            fputs("\\e", stdout);
        else if ((unsigned char)*s >= 0x80)
            s += wide(s) - 1;
        else
            putchar(*s);
        start = *s == '\n';
    }
}

static void line(const char *s)
{
    text(s);
    putchar('\n');
}

static void flags(const struct cli_flag *f)
{
    for (; f && f->name; f++) {
        fputs(".TP\n\\fB", stdout);
        if (f->letter)
            printf("\\-%c\\fR, \\fB", f->letter);
        text(f->name);
        fputs("\\fR", stdout);
        if (f->value) {
            fputs(" \\fI", stdout);
            text(f->value);
            fputs("\\fR", stdout);
        }
        putchar('\n');
        line(f->help);
    }
}

static void command(const struct cli_command *c)
{
    fputs(".SS \"perilune ", stdout);
    text(c->name);
    if (*c->args)
        putchar(' ');
    text(c->args);
    puts("\"");
    line(c->help);
    if (c->more) {
        puts(".PP\n.nf");
        for (const char *p = c->more; *p;) {
            char one[256];
            size_t n = strcspn(p, "\n");
            snprintf(one, sizeof one, "%.*s", (int)n, p);
            line(*one ? one : " "); /* an empty line would be a request of its own */
            p += n + (p[n] != 0);
        }
        puts(".fi");
    }
    flags(cli_flags_of(c));
}

static const char about[] =
    ".SH DESCRIPTION\n"
    "Perilune runs functions written in Lua on one small server, with buckets,\n"
    "triggers, roles and logs, behind the calls of AWS Lambda, S3, IAM and\n"
    "CloudWatch Logs.\n"
    "This command starts the server and talks to it; the\n"
    ".B aws\n"
    "command and the AWS SDKs talk to it as well.\n"
    ".PP\n"
    "Flags may stand before or after the command's name; \\fB\\-\\-\\fR ends them.\n"
    "\\fB\\-\\-flag=value\\fR and \\fB\\-\\-flag value\\fR are the same.\n"
    "Nothing is asked unless standard input is a terminal.\n";

static const char after[] =
    ".SH ENVIRONMENT\n"
    ".TP\n.B PERILUNE_ENDPOINT\nthe server, when there is no \\fB\\-\\-endpoint\\fR\n"
    ".TP\n.B PERILUNE_DATA\nthe data folder, when there is no \\fB\\-\\-data\\fR\n"
    ".TP\n.BR AWS_ACCESS_KEY_ID \", \" AWS_SECRET_ACCESS_KEY \", \" AWS_SESSION_TOKEN\n"
    "the keys to sign with, before those in the data folder\n"
    ".TP\n.BR AWS_REGION \", \" AWS_DEFAULT_REGION\nthe region to sign for\n"
    ".TP\n.B NO_COLOR\nwhen set and not empty, no colours\n"
    ".PP\nEach flag of \\fBperilune serve\\fR is also read from \\fBPERILUNE_\\fIFLAG\\fR.\n"
    ".SH FILES\n"
    ".TP\n.I DATA/root.credentials\nthe first identity, in the format of the AWS tools\n"
    ".TP\n.I DATA/master.key\nwhat seals secrets\n"
    ".PP\nDATA is /var/lib/perilune for the service and ~/.local/share/perilune for a\n"
    "person.\n"
    ".SH EXIT STATUS\n"
    ".TP\n0\nsuccess\n"
    ".TP\n1\nfailure; a function's own error too\n"
    ".TP\n2\nwrong usage\n"
    ".TP\n3\nnot found\n"
    ".TP\n4\ndenied\n"
    ".TP\n5\nconflict\n"
    ".TP\n6\nno server answers\n"
    ".TP\n124\n\\fB\\-\\-timeout\\fR ran out\n"
    ".SH SEE ALSO\n"
    ".BR aws (1)\n";

static int run_man(struct cli *cli)
{
    (void)cli;
    printf(".TH PERILUNE 1 \"%s\" \"perilune %s\" \"User Commands\"\n", revised, PERILUNE_VERSION);
    puts(".SH NAME\n"
         "perilune \\- functions, buckets, triggers, roles and logs on one small server\n"
         ".SH SYNOPSIS\n"
         ".B perilune\n"
         "\\fICOMMAND\\fR [\\fIFLAGS\\fR] [\\fIARGUMENTS\\fR]");
    fputs(about, stdout);
    puts(".SH COMMANDS");
    for (size_t i = 0; cli_commands[i]; i++)
        command(cli_commands[i]);
    puts(".SH COMMON FLAGS\nEvery command that talks to a server takes these too.");
    flags(cli_client_flags);
    puts("Every command takes \\fB\\-\\-help\\fR.");
    fputs(after, stdout);
    return CLI_OK;
}

const struct cli_command cmd_man = {
    .name = "man",
    .args = "",
    .help = "print the manual page",
    .more = "  perilune man | man -l -",
    .kind = CLI_LOCAL,
    .run = run_man,
};
