/* cage: what perilune-fetch gives up before it talks to strangers.
 *
 * It has the server's user, whose files include the keys, so files are the first thing to go: with
 * Landlock nothing can be written anywhere, and only what a resolver and a TLS library read can be
 * read. No program can be executed, no process looked into, no port listened on. Unlike a runner it
 * needs sockets and threads, so this is a list of what is forbidden. A layer that the kernel does not
 * have is left out: the first line of defence is that nothing worth having is in this process. */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "fetch/fetch.h"
#include "proc/jail_filter.h"
#include "svc/fetch_wire.h"

/* --- limits ------------------------------------------------------------------------------------ */

enum { FILES_MAX = 1024 };
#define MEMORY_MAX ((rlim_t)1 << 30)

static void limit(int resource, rlim_t value)
{
    struct rlimit r = {value, value}, now;
    if (getrlimit(resource, &now) == 0 && now.rlim_max < value)
        r.rlim_cur = r.rlim_max = now.rlim_max;
    if (setrlimit(resource, &r))
        log_warn("a limit cannot be set: %s", strerror(errno));
}

static void limits(void)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NOFILE, FILES_MAX);
    if (!JAIL_FILTER_SANITIZER) /* its shadow memory is far larger than any limit */
        limit(RLIMIT_AS, MEMORY_MAX);
}

/* --- Landlock, by its raw system calls, as proc/jail.c ------------------------------------------ */

enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446 };
enum { READ_FILE = 1 << 2, READ_DIR = 1 << 3, ALL_OF_FIRST_VERSION = (1 << 13) - 1 };

struct beneath { /* struct landlock_path_beneath_attr */
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static void landlock(void)
{
    static const char *const readable[] = {"/etc", "/usr", "/lib", "/lib64", "/run", "/dev"};
    uint64_t handled = ALL_OF_FIRST_VERSION;
    int rules = (int)syscall(LANDLOCK_CREATE, &handled, sizeof handled, 0);
    if (rules < 0)
        return;
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++) {
        struct beneath b = {READ_FILE | READ_DIR, open(readable[i], O_PATH | O_CLOEXEC)};
        if (b.parent < 0)
            continue;
        syscall(LANDLOCK_ADD, rules, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &b, 0);
        close(b.parent);
    }
    syscall(LANDLOCK_RESTRICT, rules, 0);
    close(rules);
}

/* --- system calls ------------------------------------------------------------------------------ */

static const int forbidden[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kill),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(bpf),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(chroot),
    SCMP_SYS(pivot_root),
    SCMP_SYS(personality),
    SCMP_SYS(kexec_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(memfd_create),
};

static void filter(void)
{
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
    int rc = c ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < sizeof forbidden / sizeof *forbidden; i++)
        rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), forbidden[i], 0);
    if (rc == 0)
        rc = seccomp_load(c);
    if (rc)
        log_warn("system calls cannot be filtered");
    seccomp_release(c);
}

void cage_enter(void)
{
    if (chdir("/") || syscall(SYS_close_range, FETCH_CA, ~0U, 0))
        log_warn("descriptors cannot be closed: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        log_warn("new privileges cannot be ruled out: %s", strerror(errno));
    limits();
    if (JAIL_FILTER_SANITIZER) /* which looks into its own process at the end */
        return;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    landlock();
    filter();
}
