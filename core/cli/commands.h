/* commands: every command's row, each defined in the file named after it. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct cli_command cmd_aws, cmd_backup, cmd_blueprint_list, cmd_blueprint_new,
    cmd_blueprint_remove, cmd_blueprint_show, cmd_bucket_cp, cmd_bucket_ls, cmd_bucket_mb,
    cmd_bucket_rm, cmd_brake, cmd_check, cmd_completions, cmd_console_link, cmd_dead_drop,
    cmd_dead_list, cmd_dead_redrive, cmd_dead_show, cmd_deploy, cmd_dev, cmd_doctor, cmd_env,
    cmd_get, cmd_help, cmd_init, cmd_invoke, cmd_kv_get, cmd_kv_list, cmd_kv_rm, cmd_kv_set,
    cmd_list, cmd_logs, cmd_man, cmd_reference, cmd_restore, cmd_rm, cmd_rollback, cmd_runs_list,
    cmd_runs_replay, cmd_runs_show, cmd_schedule_list, cmd_schedule_next, cmd_schedule_pause,
    cmd_schedule_policy, cmd_schedule_resume, cmd_schedule_run, cmd_scrub, cmd_secret_list,
    cmd_secret_rm, cmd_secret_set, cmd_status, cmd_test, cmd_usage, cmd_version, cmd_versions;

#endif
