/* cmd_env: the same server for other tools: exports for a shell, or the aws command run directly.
 *
 * Releases of the aws command before 2.13 (and 1.29) do not read AWS_ENDPOINT_URL; `perilune aws`
 * names the endpoint on its command line and so works with all of them. */
#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/target.h"

static int need_keys(const struct target *t)
{
    if (t->access_key[0])
        return CLI_OK;
    return cli_fail(CLI_DENIED, "no keys: %s", t->keys_from);
}

/* export NAME='value' for any POSIX shell. */
static void print_export(const char *name, const char *value)
{
    printf("export %s='", name);
    for (; *value; value++) {
        if (*value == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*value);
    }
    puts("'");
}

struct setting {
    const char *name, *value;
};

enum { SETTINGS = 7 };

static void settings(const struct target *t, struct setting out[static SETTINGS])
{
    out[0] = (struct setting){"AWS_ACCESS_KEY_ID", t->access_key};
    out[1] = (struct setting){"AWS_SECRET_ACCESS_KEY", t->secret};
    out[2] = (struct setting){"AWS_SESSION_TOKEN", t->token};
    out[3] = (struct setting){"AWS_REGION", t->region};
    out[4] = (struct setting){"AWS_DEFAULT_REGION", t->region};
    out[5] = (struct setting){"AWS_ENDPOINT_URL", t->url};
    out[6] = (struct setting){"PERILUNE_ENDPOINT", t->url};
}

/* The target, which has keys, and its settings; or an exit code. */
static int resolve(struct cli *cli, struct target *t, struct setting list[SETTINGS])
{
    int rc = target_resolve(cli, t);
    if (rc == CLI_OK)
        rc = need_keys(t);
    if (rc == CLI_OK)
        settings(t, list);
    return rc;
}

static int run_env(struct cli *cli)
{
    struct target t;
    struct setting list[SETTINGS];
    int rc = resolve(cli, &t, list);
    if (rc)
        return rc;
    if (cli_has(cli, "--json")) {
        json_t *doc = json_object();
        for (size_t i = 0; i < SETTINGS; i++)
            if (*list[i].value)
                json_object_set_new(doc, list[i].name, json_string(list[i].value));
        return out_json(doc);
    }
    puts("# eval \"$(perilune env)\"   (an aws command before 2.13 also needs\n"
         "# --endpoint-url \"$AWS_ENDPOINT_URL\"; 'perilune aws' does that by itself)");
    for (size_t i = 0; i < SETTINGS; i++) {
        if (*list[i].value)
            print_export(list[i].name, list[i].value);
        else
            printf("unset %s\n", list[i].name);
    }
    return CLI_OK;
}

static int run_aws(struct cli *cli)
{
    struct target t;
    struct setting list[SETTINGS];
    int rc = resolve(cli, &t, list);
    if (rc)
        return rc;
    for (size_t i = 0; i < SETTINGS; i++) {
        if (*list[i].value)
            setenv(list[i].name, list[i].value, 1);
        else
            unsetenv(list[i].name);
    }
    unsetenv("AWS_PROFILE"); /* a profile's region and output are for another cloud */
    char **args = calloc((size_t)cli->arg_count + 4, sizeof *args);
    if (!args)
        fatal("out of memory");
    args[0] = (char[]){"aws"};
    args[1] = (char[]){"--endpoint-url"};
    args[2] = t.url;
    for (int i = 0; i < cli->arg_count; i++)
        args[3 + i] = cli->args[i];
    execvp("aws", args);
    int error = errno;
    free(args);
    if (error == ENOENT)
        return cli_fail(CLI_FAILED, "the aws command is not installed; on Debian it is in the "
                                    "package awscli");
    return cli_fail(CLI_FAILED, "aws: %s", strerror(error));
}

const struct cli_command cmd_env = {
    .name = "env",
    .args = "",
    .help = "print exports that point the aws command and SDKs here",
    .more = "  eval \"$(perilune env)\"",
    .kind = CLI_CLIENT,
    .run = run_env,
};

const struct cli_command cmd_aws = {
    .name = "aws",
    .args = "ARGS...",
    .help = "run the installed aws command against this server",
    .more = "  perilune aws s3 ls\n"
            "  perilune aws logs filter-log-events --log-group-name /aws/lambda/NAME\n\n"
            "Flags of ours stand before the word aws.",
    .kind = CLI_RAW,
    .run = run_aws,
};
