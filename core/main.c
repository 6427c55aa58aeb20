/* main: which of its roles this process plays.
 *
 * One binary is the command line, the server and, executed again by the server, the zygote that
 * forks runners. Layers reach upwards only through what is handed down here: the zygote is given
 * the runner's entry. */
#include "cli/cli.h"
#include "proc/zygote.h"
#include "runner/runner.h"

static const struct zygote_program runner = {
    .prepare = runner_prepare, .rehearse = runner_rehearse, .run = runner_main};

int main(int argc, char **argv)
{
    if (zygote_is(argc, argv))
        return zygote_main(argc, argv, &runner);
    return cli_main(argc, argv);
}
