/* cli_alone: lets a test link the command line without the server behind `perilune serve`. */
#ifndef CLI_ALONE_H
#define CLI_ALONE_H

#include "cli/cmd_serve.h"

int cmd_serve(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 77;
}

#endif
