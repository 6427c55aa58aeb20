/* zygote_main: the zygote's own life. One loop around one poll: a request on the socket makes a
 * runner, SIGCHLD makes a report, the socket's end makes an end. It holds no descriptor of a
 * runner's channel after the fork (inherited ones would triple the cost of each fork), and blocks
 * in sending when the core does not read: there is nothing else for it to do. */
#include "base/pages.h"
#include "proc/jail.h"
#include "proc/rehearsal.h"
#include "proc/slice.h"
#include "proc/zygote.h"
#include "proc/zygote_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char own_name[] = "perilune-zygote";

enum { NICE = 5 }; /* of runners, and of making them */

struct child {
    pid_t pid;
    uint32_t token;
};

static struct {
    struct jail jail;
    void (*run)(struct runner_channel *ch);
    volatile uint32_t *layers;   /* shared with the children: what the last one closed */
    struct rehearsal *rehearsal; /* likewise; NULL: none */
    pid_t self;
    struct child *children;
    size_t count, cap;
} z;

bool zygote_is(int argc, char **argv)
{
    return argc == 3 && str_is(str_c(argv[0]), own_name);
}

/* --- memory -------------------------------------------------------------------------------------
 * A page fault costs some microseconds, most of a cold start. What lies in the zygote's memory is shared
 * until somebody writes there; the pages that every function writes to are made the spare's own while
 * nobody waits (rehearsal.h). */

/* No free chunks that the child would have to sort, and some room at the heap's end. */
static void tidy_heap(void)
{
    enum { HEAP_ROOM = 64 * 1024 };
    free(malloc(HEAP_ROOM)); /* the heap is now larger by as much */
    malloc_trim(HEAP_ROOM);
}

/* Not a child that a core knows. */
static void learn(void (*play)(void))
{
    enum { PATIENCE_S = 5 };
    int status;
    pid_t pid = z.rehearsal ? fork() : -1;
    if (pid == 0) {
        alarm(PATIENCE_S); /* what never ends must not keep the zygote */
        rehearsal_learn(z.rehearsal, play);
        _exit(0);
    }
    if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
        z.rehearsal->writes = z.rehearsal->reads = 0;
}

/* What the first invocation would find missing: the clock's pages, some stack, the rings' first. */
static void touch(struct ring_shm *shm)
{
    volatile char stack[24 * 1024];
    struct timespec t;
    for (size_t i = 0; i < sizeof stack; i += 4096)
        stack[i] = 0;
    clock_gettime(CLOCK_MONOTONIC, &t);
    clock_gettime(CLOCK_REALTIME, &t);
    for (int i = 0; i < RING_COUNT; i++)
        (void)*((volatile char *)shm + RING_CTL_BYTES + 2 * i * RING_BYTES);
}

/* --- in the child -------------------------------------------------------------------------------
 */

/* Kernel's choice of victim: runners first. Not a wall, so it may fail. */
static void prefer_as_victim(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "1000", 4) < 0)
        errno = 0;
    close(fd);
}

static void child_signals(void)
{
    sigset_t none;
    /* a sanitizer has handlers for crashes; a runner's crash must look like one */
    static const int plain[] = {SIGCHLD, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigemptyset(&none);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        signal(plain[i], SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static noreturn void runner(int memfd, int bell)
{
    enum { ATTACH_FAILED = JAIL_EXIT + JAIL_LAYERS };
    struct runner_channel ch;
    prctl(PR_SET_NAME, "runner", 0, 0, 0);
    prefer_as_victim();
    if (channel_runner_attach(&ch, memfd, JAIL_BELL))
        _exit(ATTACH_FAILED);
    if (z.rehearsal)
        rehearsal_apply(z.rehearsal);
    touch(ch.shm);
    child_signals();
    slice_short(NICE); /* now that what it needs to be a spare is done */
    jail_enter(&z.jail, bell, z.self, z.layers);
    z.run(&ch);
    _exit(0);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static void note(const struct zygote_note *n, const int *fd)
{
    if (zygote_wire_send(ZYGOTE_SOCKET, n, sizeof *n, fd, fd ? 1 : 0, 0))
        _exit(1);
}

static bool remember(pid_t pid, uint32_t token)
{
    if (z.count == z.cap) {
        size_t cap = z.cap ? 2 * z.cap : 64;
        struct child *p = realloc(z.children, cap * sizeof *p);
        if (!p)
            return false;
        z.children = p;
        z.cap = cap;
    }
    z.children[z.count++] = (struct child){pid, token};
    return true;
}

static void spawn(uint32_t token, int memfd, int bell)
{
    struct zygote_note n = {.kind = ZYGOTE_FAILED, .token = token};
    pid_t pid = memfd < 0 || bell < 0 ? (errno = EBADF, -1) : fork();
    if (pid == 0)
        runner(memfd, bell);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pidfd < 0 || !remember(pid, token)) {
        n.status = errno;
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        note(&n, NULL);
    } else {
        n.kind = ZYGOTE_SPAWNED;
        n.pid = pid;
        note(&n, &pidfd);
    }
    if (pidfd >= 0)
        close(pidfd);
}

static void serve_requests(void)
{
    for (;;) {
        struct zygote_request req;
        int fds[2];
        int rc = zygote_wire_recv(ZYGOTE_SOCKET, &req, sizeof req, fds, 2, MSG_DONTWAIT);
        if (rc == -EAGAIN)
            return;
        if (rc)
            _exit(0); /* the core is gone; runners follow by their death signal */
        spawn(req.token, fds[0], fds[1]);
        for (int i = 0; i < 2; i++)
            if (fds[i] >= 0)
                close(fds[i]);
    }
}

static void reap(void)
{
    int status;
    struct rusage use;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &use)) > 0) {
        for (size_t i = 0; i < z.count; i++) {
            if (z.children[i].pid != pid)
                continue;
            struct zygote_note n = {.kind = ZYGOTE_EXITED,
                                    .token = z.children[i].token,
                                    .pid = pid,
                                    .status = status,
                                    .peak_rss = (uint64_t)use.ru_maxrss * 1024};
            z.children[i] = z.children[--z.count];
            note(&n, NULL);
            break;
        }
    }
}

/* --- start --------------------------------------------------------------------------------------
 */

/* A child that does nothing but close the jail tells which layers hold. */
static void try_jail(struct zygote_note *hello)
{
    pid_t pid = fork();
    if (pid == 0) {
        child_signals();
        jail_enter(&z.jail, ZYGOTE_SOCKET, z.self, z.layers);
        _exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        snprintf(hello->text, sizeof hello->text, "fork: %s", strerror(errno));
        return;
    }
    hello->layers = *z.layers;
    int layer = jail_failed_layer(status);
    if (layer >= 0)
        snprintf(hello->text, sizeof hello->text, "jail layer %s cannot be applied",
                 jail_layer_name((unsigned)layer));
    else if (status)
        snprintf(hello->text, sizeof hello->text, "the trial jail ended with status %#x", status);
}

static void on_child(int sig)
{
    (void)sig; /* its job is to interrupt ppoll */
}

/* Only the socket (and standard error) stay; SIGCHLD comes during ppoll only. */
static void settle_in(pid_t core, sigset_t *during_poll)
{
    sigset_t block;
    struct sigaction sa = {.sa_handler = on_child};
    prctl(PR_SET_NAME, "zygote", 0, 0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || getppid() != core)
        _exit(0);
    syscall(SYS_close_range, ZYGOTE_SOCKET + 1, ~0U, 0);
    tzset();
    sigaction(SIGCHLD, &sa, NULL);
    /* what is sent to the whole group is the core's to handle; runners inherit this */
    static const int ignored[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&block);
    sigaddset(&block, SIGCHLD);
    sigprocmask(SIG_BLOCK, &block, NULL);
    sigemptyset(during_poll);
}

int zygote_main(int argc, char **argv, const struct zygote_program *program)
{
    struct zygote_note hello = {.kind = ZYGOTE_HELLO};
    struct err err = {0};
    sigset_t during_poll;
    bool weak = argc == 3 && str_is(str_c(argv[2]), "weak");
    settle_in((pid_t)strtol(argv[1], NULL, 10), &during_poll);
    z.self = getpid();
    z.run = program->run;
    z.layers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (z.layers == MAP_FAILED)
        return 1;
    if (program->prepare)
        program->prepare();
    if (jail_prepare(&z.jail, weak, &err))
        snprintf(hello.text, sizeof hello.text, "%.*s", (int)sizeof hello.text - 1, err.text);
    else
        try_jail(&hello);
    note(&hello, NULL);
    if (hello.text[0])
        return 1;
    if (setpriority(PRIO_PROCESS, 0, NICE)) /* answers come before spares */
        errno = 0;
    pages_give_back();
    tidy_heap();
    if (program->rehearse) {
        z.rehearsal = rehearsal_new();
        learn(program->rehearse);
    }
    for (;;) {
        struct pollfd p = {.fd = ZYGOTE_SOCKET, .events = POLLIN};
        if (ppoll(&p, 1, NULL, &during_poll) > 0)
            serve_requests();
        reap();
    }
}
