/* tls: one child a connection. It gets the stream as its standard input, of our environment only where
 * the certificates are, and ends with the stream. */
#include "cli/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "svc/fetcher.h"

/* NAME=value as it stands in our environment; NULL when it is not there. */
static char *inherited(struct buf *b, const char *name)
{
    const char *value = getenv(name);
    if (!value || !*value)
        return NULL;
    buf_printf(b, "%s=%s", name, value);
    buf_addc(b, 0);
    return b->p;
}

static int start(int program, int theirs, const char *host, const char *port, pid_t *pid)
{
    struct buf bundle = BUF_INIT, file = BUF_INIT;
    char path[32], name[] = "perilune-fetch", mode[] = "--tunnel", h[256], p[8];
    char *argv[] = {name, mode, h, p, NULL}, *env[3] = {NULL};
    size_t n = 0;
    posix_spawn_file_actions_t a;
    snprintf(h, sizeof h, "%s", host);
    snprintf(p, sizeof p, "%s", port);
    snprintf(path, sizeof path, "/proc/self/fd/%d", program);
    if ((env[n] = inherited(&bundle, "AWS_CA_BUNDLE")))
        n++;
    if ((env[n] = inherited(&file, "SSL_CERT_FILE")))
        n++;
    posix_spawn_file_actions_init(&a);
    posix_spawn_file_actions_adddup2(&a, theirs, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&a, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawn(pid, path, &a, NULL, argv, env);
    posix_spawn_file_actions_destroy(&a);
    buf_deinit(&bundle);
    buf_deinit(&file);
    return rc;
}

int tls_dial(const char *host, const char *port, pid_t *pid)
{
    int pair[2], program = fetcher_program(), rc = -1;
    if (program < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        /* dup2 onto itself would keep close-on-exec */
        int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        rc = theirs < 0 ? -1 : start(program, theirs, host, port, pid);
        close(pair[1]);
        if (theirs >= 0)
            close(theirs);
        if (rc || fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
            close(pair[0]);
    }
    close(program);
    return rc ? -1 : pair[0];
}

void tls_close(int fd, pid_t pid)
{
    close(fd);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
