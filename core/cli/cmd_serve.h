/* cmd_serve: `perilune serve`, the server in the foreground. */
#ifndef CLI_CMD_SERVE_H
#define CLI_CMD_SERVE_H

/* argv[0] is "serve". Returns the process's exit code: 0 after a drained SIGTERM, 1 when something
 * could not be started, 2 for a usage error. */
int cmd_serve(int argc, char **argv);

#endif
