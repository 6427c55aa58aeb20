/* zygote: the core's side. The process is made by vfork's modern form (posix_spawn) from the start
 * of the server, its reports are read from the loop. A report is a packet of fixed size from our
 * own program, yet it is checked: the zygote forks what runs user code. */
#include "proc/zygote.h"
#include "proc/zygote_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct zygote {
    uv_poll_t poll;
    struct zygote_ops ops;
    void *ctx;
    pid_t pid;
    int socket;
    bool closed;
};

/* Everything else in this process is close-on-exec; dup2 onto the fixed number clears that flag. */
static int execute(int theirs, bool weak, pid_t *pid)
{
    char core[16], mode[8], name[] = "perilune-zygote", tz[] = "TZ=UTC0";
    snprintf(core, sizeof core, "%d", (int)getpid());
    snprintf(mode, sizeof mode, "%s", weak ? "weak" : "whole");
    char *argv[] = {name, core, mode, NULL}, *env[] = {tz, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, theirs, ZYGOTE_SOCKET);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    int rc = posix_spawn(pid, "/proc/self/exe", &actions, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

static int wait_hello(struct zygote *z, uint32_t *layers, struct err *err)
{
    enum { HELLO_MS = 10 * 1000 };
    struct pollfd p = {.fd = z->socket, .events = POLLIN};
    struct zygote_note n;
    int fd, rc;
    do
        rc = poll(&p, 1, HELLO_MS);
    while (rc < 0 && errno == EINTR);
    if (rc <= 0)
        return err_set(err, E_INTERNAL, "the zygote did not answer");
    if (zygote_wire_recv(z->socket, &n, sizeof n, &fd, 1, 0) || n.kind != ZYGOTE_HELLO)
        return err_set(err, E_INTERNAL, "the zygote ended at its start");
    if (n.text[0])
        return err_set(err, E_INTERNAL, "%.*s", (int)sizeof n.text, n.text);
    *layers = n.layers;
    return 0;
}

static void receive(struct zygote *z)
{
    enum { NOTES_PER_TURN = 64 };
    for (int i = 0; i < NOTES_PER_TURN && !z->closed; i++) {
        struct zygote_note n;
        int fd;
        int rc = zygote_wire_recv(z->socket, &n, sizeof n, &fd, 1, MSG_DONTWAIT);
        if (rc == -EAGAIN)
            return;
        if (rc) {
            uv_poll_stop(&z->poll);
            z->ops.died(z->ctx);
            return;
        }
        if (n.kind == ZYGOTE_SPAWNED && fd >= 0) {
            z->ops.spawned(z->ctx, n.token, n.pid, fd);
            continue;
        }
        if (fd >= 0)
            close(fd);
        if (n.kind == ZYGOTE_EXITED)
            z->ops.exited(z->ctx, n.token, n.status, n.peak_rss);
        else if (n.kind == ZYGOTE_FAILED)
            z->ops.failed(z->ctx, n.token, n.status);
    }
}

static void readable(uv_poll_t *h, int status, int events)
{
    (void)status, (void)events;
    receive(h->data);
}

/* Without a zygote there is nothing to keep: the process goes, its parent's death takes the runners
 * along. */
static void end_process(struct zygote *z)
{
    close(z->socket);
    if (z->pid > 0) {
        kill(z->pid, SIGKILL);
        while (waitpid(z->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
}

int zygote_begin(bool weak, struct zygote **out, struct err *err)
{
    int pair[2];
    struct zygote *z = calloc(1, sizeof *z);
    if (!z || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        free(z);
        return err_set(err, E_INTERNAL, "zygote: %s", strerror(errno));
    }
    /* the child's end must not already be ZYGOTE_SOCKET: dup2 onto itself keeps close-on-exec */
    int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, ZYGOTE_SOCKET + 1);
    close(pair[1]);
    z->socket = pair[0];
    int rc = theirs < 0 ? -errno : execute(theirs, weak, &z->pid);
    if (theirs >= 0)
        close(theirs);
    if (rc) {
        end_process(z);
        free(z);
        return err_set(err, E_INTERNAL, "zygote: %s", strerror(-rc));
    }
    *out = z;
    return 0;
}

int zygote_ready(struct zygote *z, uv_loop_t *loop, const struct zygote_ops *ops, void *ctx,
                 uint32_t *layers, struct err *err)
{
    int rc = wait_hello(z, layers, err);
    if (!rc && uv_poll_init(loop, &z->poll, z->socket))
        rc = err_set(err, E_INTERNAL, "zygote: its socket cannot be watched");
    if (rc) {
        end_process(z);
        free(z);
        return rc;
    }
    z->ops = *ops;
    z->ctx = ctx;
    z->poll.data = z;
    uv_poll_start(&z->poll, UV_READABLE, readable);
    uv_unref((uv_handle_t *)&z->poll);
    return 0;
}

int zygote_spawn(struct zygote *z, uint32_t token, int memfd, int bell)
{
    struct zygote_request req = {.token = token};
    int fds[2] = {memfd, bell};
    return zygote_wire_send(z->socket, &req, sizeof req, fds, 2, MSG_DONTWAIT);
}

static void closed(uv_handle_t *h)
{
    free(h->data);
}

void zygote_close(struct zygote *z)
{
    z->closed = true;
    uv_poll_stop(&z->poll);
    end_process(z);
    uv_close((uv_handle_t *)&z->poll, closed);
}
