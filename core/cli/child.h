/* child: this program, started again as another command.
 *
 * It gets a group of its own, so that Ctrl-C at the terminal reaches only us and we end it in order;
 * and it is told to end when we are gone, however we went. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* argv[0] is the program's name for messages; stdin is empty. unset
 * (NULL for none) names variables the child does not inherit. The pid, or -1 with errno. */
pid_t child_start(char *const argv[], int out_fd, int err_fd, const char *const *unset);
/* Has it ended? Its exit code (128 + signal) in *code then. */
bool child_ended(pid_t pid, int *code);
/* SIGTERM, then SIGKILL when it is not gone after that long. */
void child_stop(pid_t pid, int patience_ms);

#endif
