/* commands: the list that help prints and the parser searches, in the order of a first day.
 *
 * serve and jail-test read their own arguments: they start the server's side of this binary. */
#include "cli/commands.h"

#include "cli/cmd_serve.h"
#include "cli/serve_opts.h"
#include "proc/jail.h"

/* With its name as argv[0]. */
static int run_serve(struct cli *cli)
{
    static char name[] = "serve";
    char **argv = calloc((size_t)cli->arg_count + 2, sizeof *argv);
    if (!argv)
        return CLI_FAILED;
    argv[0] = name;
    for (int i = 0; i < cli->arg_count; i++)
        argv[1 + i] = cli->args[i];
    int rc = cmd_serve(cli->arg_count + 1, argv);
    free(argv);
    return rc;
}

/* The numbers alone. */
static int run_jail_test(struct cli *cli)
{
    return jail_test(cli->arg_count, cli->args);
}

static const struct cli_command serve = {
    .name = "serve",
    .args = "[FLAGS...]",
    .help = "run the server in the foreground ('serve --help' lists its flags)",
    .kind = CLI_OWN,
    .run = run_serve,
};

static const struct cli_command jail_test_row = {
    .name = "jail-test",
    .args = "N [ARG...]",
    .help = "try one system call inside a function's jail",
    .kind = CLI_OWN,
    .run = run_jail_test,
};

const struct cli_flag *cli_flags_of(const struct cli_command *command)
{
    return command == &serve ? serve_opts_flags() : command->flags;
}

const struct cli_command *const cli_commands[] = {
    &serve,
    &cmd_init,
    &cmd_dev,
    &cmd_test,
    &cmd_check,
    &cmd_deploy,
    &cmd_invoke,
    &cmd_logs,
    &cmd_list,
    &cmd_get,
    &cmd_rm,
    &cmd_versions,
    &cmd_rollback,
    &cmd_blueprint_list,
    &cmd_blueprint_show,
    &cmd_blueprint_new,
    &cmd_blueprint_remove,
    &cmd_bucket_ls,
    &cmd_bucket_cp,
    &cmd_bucket_mb,
    &cmd_bucket_rm,
    &cmd_runs_list,
    &cmd_runs_show,
    &cmd_runs_replay,
    &cmd_dead_list,
    &cmd_dead_show,
    &cmd_dead_redrive,
    &cmd_dead_drop,
    &cmd_brake,
    &cmd_kv_get,
    &cmd_kv_set,
    &cmd_kv_list,
    &cmd_kv_rm,
    &cmd_schedule_list,
    &cmd_schedule_next,
    &cmd_schedule_run,
    &cmd_schedule_pause,
    &cmd_schedule_resume,
    &cmd_schedule_policy,
    &cmd_secret_set,
    &cmd_secret_list,
    &cmd_secret_rm,
    &cmd_usage,
    &cmd_backup,
    &cmd_restore,
    &cmd_scrub,
    &cmd_aws,
    &cmd_env,
    &cmd_console_link,
    &cmd_status,
    &cmd_doctor,
    &jail_test_row,
    &cmd_reference,
    &cmd_completions,
    &cmd_man,
    &cmd_version,
    &cmd_help,
    NULL,
};
