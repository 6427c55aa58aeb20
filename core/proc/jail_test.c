/* jail_test: asks the jail itself. A child enters exactly the jail that runners get and makes one
 * system call; what became of it is told by how the child ended and by a page shared with it,
 * because from inside nothing can be written. Calls that do not return (exit_group, rt_sigreturn)
 * count as allowed: only SIGSYS is the filter's answer. */
#include "proc/jail.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct trial {
    volatile uint32_t layers;
    volatile int returned; /* the call came back */
    volatile long result;
    volatile int error;
};

static void child(const struct jail *j, pid_t parent, struct trial *t, long nr, const long *a)
{
    int bell = eventfd(0, EFD_NONBLOCK);
    jail_enter(j, bell, parent, &t->layers);
    errno = 0;
    long r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    t->error = errno;
    t->result = r;
    t->returned = 1;
    _exit(0);
}

static int report(long nr, const struct trial *t, int status)
{
    enum { ALLOWED = 0, FAILED = 1, KILLED = 4 };
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)nr);
    int failed = t->returned ? -1 : jail_failed_layer(status);
    int rc = ALLOWED;
    if (!(t->layers & 1U << JAIL_SECCOMP)) {
        printf("%ld %s jail not entered: layer %s\n", nr, name ? name : "-",
               failed < 0 ? "-" : jail_layer_name((unsigned)failed));
        rc = FAILED;
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
        printf("%ld %s killed\n", nr, name ? name : "-");
        rc = KILLED;
    } else if (!t->returned) {
        printf("%ld %s allowed, did not return\n", nr, name ? name : "-");
    } else if (t->result == -1) {
        printf("%ld %s allowed, %s\n", nr, name ? name : "-", strerror(t->error));
    } else {
        printf("%ld %s allowed, %ld\n", nr, name ? name : "-", t->result);
    }
    free(name);
    return rc;
}

int jail_test(int argc, char **argv)
{
    long v[7] = {0};
    char *end = NULL;
    for (int i = 0; i < argc && i < 7; i++) {
        v[i] = strtol(argv[i], &end, 0);
        if (end == argv[i] || *end)
            argc = 0;
    }
    if (argc < 1 || argc > 7) {
        fprintf(stderr, "usage: perilune jail-test N [ARG…]\n");
        return 2;
    }
    struct err err = {0};
    struct jail j;
    struct trial *t =
        mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED || jail_prepare(&j, false, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        child(&j, self, t, v[0], v + 1);
    int status = 0, rc = 1;
    if (pid > 0 && waitpid(pid, &status, 0) == pid)
        rc = report(v[0], t, status);
    jail_release(&j);
    munmap(t, sizeof *t);
    return rc;
}
