/* jail_filter: an allow-list, kept as data. What is not in it kills the process.
 *
 * The list was measured: a runner works with these and each of them has been seen in use, or is
 * what the C library falls back to where the vDSO has no fast path. Six calls are allowed in one
 * form only:
 *
 *     mmap, mprotect   never writable and executable at once (LuaJIT writes its code, then turns
 *                      the page executable); mmap never executable at all
 *     futex            FUTEX_WAIT, the runner's sleep (the core wakes it); and what the C library's
 *                      once-only initialisers do among themselves (the first error that LuaJIT
 *                      throws sets up the unwinder)
 *     madvise          MADV_DONTNEED: the C library gives memory back; MADV_HUGEPAGE: large blocks
 *     write            to the bell
 *     prlimit64        this process's RLIMIT_AS, without reading the old value
 *
 * No call here names a file, a process or a socket. */
#include "proc/jail_filter.h"
#include "proc/jail.h"

#include <errno.h>
#include <linux/futex.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static const int plain[] = {
    SCMP_SYS(brk),             /* the C library's heap */
    SCMP_SYS(munmap),          /* … */
    SCMP_SYS(mremap),          /* … */
    SCMP_SYS(clock_gettime),   /* CPU time always; the others without a vDSO */
    SCMP_SYS(gettimeofday),    /* without a vDSO */
    SCMP_SYS(time),            /* without a vDSO */
    SCMP_SYS(getrandom),       /* crypto.random, LuaJIT's seeds */
    SCMP_SYS(rt_sigreturn),    /* leaving the deadline's handler */
    SCMP_SYS(restart_syscall), /* a sleep that a signal interrupted */
    SCMP_SYS(exit_group),      /* the end */
};

#if JAIL_FILTER_SANITIZER
static const int sanitizer[] = {
    SCMP_SYS(madvise),     SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(sigaltstack), SCMP_SYS(getpid),       SCMP_SYS(gettid),
    SCMP_SYS(sched_yield), SCMP_SYS(openat),       SCMP_SYS(open),
    SCMP_SYS(read),        SCMP_SYS(close),        SCMP_SYS(readlink),
    SCMP_SYS(newfstatat),  SCMP_SYS(stat),         SCMP_SYS(fstat),
    SCMP_SYS(getrlimit),   SCMP_SYS(write),        SCMP_SYS(sched_getaffinity),
    SCMP_SYS(ioctl),
};
#endif

static int allow_forms(scmp_filter_ctx ctx)
{
    enum { WX = PROT_WRITE | PROT_EXEC };
    int rc =
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, JAIL_BELL));
    static const unsigned advice[] = {MADV_DONTNEED, MADV_HUGEPAGE};
    for (size_t i = 0; !rc && i < sizeof advice / sizeof *advice; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(madvise), 1,
                              SCMP_A2(SCMP_CMP_EQ, advice[i]));
    static const unsigned futex_ops[] = {FUTEX_WAIT, FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE};
    for (size_t i = 0; !rc && i < sizeof futex_ops / sizeof *futex_ops; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(futex), 1,
                              SCMP_A1(SCMP_CMP_EQ, futex_ops[i]));
    if (!rc)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!rc) /* two rules: not executable, or executable and not writable */
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!rc)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, WX, PROT_EXEC));
    if (!rc)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 3, SCMP_A0(SCMP_CMP_EQ, 0),
                              SCMP_A1(SCMP_CMP_EQ, RLIMIT_AS), SCMP_A3(SCMP_CMP_EQ, 0));
    return rc;
}

static int allow(scmp_filter_ctx ctx)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, plain[i], 0);
        if (rc)
            return rc;
    }
#if JAIL_FILTER_SANITIZER
    for (size_t i = 0; i < sizeof sanitizer / sizeof *sanitizer; i++)
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, sanitizer[i], 0);
#endif
    /* the two of every round trip are looked at first */
    seccomp_syscall_priority(ctx, SCMP_SYS(futex), 255);
    seccomp_syscall_priority(ctx, SCMP_SYS(write), 254);
    return allow_forms(ctx);
}

/* libseccomp writes the program to a descriptor only. */
static int export(scmp_filter_ctx ctx, struct sock_filter **prog, unsigned short *len)
{
    enum { PROGRAM_MAX = 4096 * sizeof(struct sock_filter) }; /* the kernel's own limit */
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = seccomp_export_bpf(ctx, fd);
    off_t n = rc ? 0 : lseek(fd, 0, SEEK_END);
    if (!rc && (n <= 0 || n > PROGRAM_MAX))
        rc = -EINVAL;
    if (!rc && !(*prog = malloc((size_t)n)))
        rc = -ENOMEM;
    if (!rc && pread(fd, *prog, (size_t)n, 0) != n) {
        free(*prog);
        *prog = NULL;
        rc = -EIO;
    }
    if (!rc)
        *len = (unsigned short)((size_t)n / sizeof **prog);
    close(fd);
    return rc;
}

int jail_filter_compile(struct sock_filter **prog, unsigned short *len)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!ctx)
        return -ENOMEM;
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!rc)
        rc = allow(ctx);
    if (!rc)
        rc = export(ctx, prog, len);
    seccomp_release(ctx);
    return rc;
}
