/* child: fork, then little more than exec. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void become(char *const argv[], int out_fd, int err_fd, const char *const *unset,
                             pid_t parent)
{
    sigset_t none;
    int null = open("/dev/null", O_RDONLY);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    for (; unset && *unset; unset++)
        unsetenv(*unset);
    if (null >= 0 && dup2(null, 0) == 0 && dup2(out_fd, 1) == 1 && dup2(err_fd, 2) == 2 &&
        prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == 0 && getppid() == parent)
        execv("/proc/self/exe", argv);
    _exit(127);
}

pid_t child_start(char *const argv[], int out_fd, int err_fd, const char *const *unset)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(argv, out_fd, err_fd, unset, parent);
    return pid;
}

bool child_ended(pid_t pid, int *code)
{
    int status;
    if (waitpid(pid, &status, WNOHANG) != pid)
        return false;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

void child_stop(pid_t pid, int patience_ms)
{
    enum { STEP_MS = 5 };
    int code;
    kill(pid, SIGTERM);
    for (int waited = 0; waited < patience_ms; waited += STEP_MS) {
        if (child_ended(pid, &code))
            return;
        usleep(STEP_MS * 1000);
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
