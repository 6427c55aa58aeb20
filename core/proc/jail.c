/* jail: applies the layers. The order matters: Landlock and seccomp need no_new_privs, Landlock's
 * rule set is a descriptor that the next layer closes, the parent check comes after everything that
 * clears a death signal, and the filter is last because it forbids all the calls made here.
 *
 * The filter itself is in jail_filter.c. */
#include "proc/jail.h"
#include "proc/jail_filter.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- Landlock, by its raw system calls: the header of Debian 12 ends at the first version
 * ---------
 */

struct landlock_rules { /* struct landlock_ruleset_attr of ABI 6 */
    uint64_t fs, net, scoped;
};
enum { LANDLOCK_CREATE = 444, LANDLOCK_RESTRICT = 446, LANDLOCK_GET_VERSION = 1 };

/* Everything that version `abi` of Landlock can forbid; *size is what that version reads. */
static struct landlock_rules landlock_all(int abi, size_t *size)
{
    /* file rights known to ABI 1, 2 (refer), 3 and 4 (truncate), 5 and later (device ioctl) */
    static const int fs_bits[] = {13, 14, 15, 15, 16};
    int known = abi < 5 ? abi : 5;
    struct landlock_rules r = {.fs = (1ULL << fs_bits[known - 1]) - 1};
    *size = 8;
    if (abi >= 4) {
        r.net = 3; /* bind and connect TCP */
        *size = 16;
    }
    if (abi >= 6) {
        r.scoped = 3; /* abstract unix sockets, signals */
        *size = 24;
    }
    return r;
}

static int landlock_make(void)
{
    long abi = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_GET_VERSION);
    if (abi < 1)
        return -1;
    size_t size;
    struct landlock_rules r = landlock_all((int)abi, &size);
    return (int)syscall(LANDLOCK_CREATE, &r, size, 0);
}

/* --- preparing ----------------------------------------------------------------------------------
 */

int jail_prepare(struct jail *j, bool weak, struct err *err)
{
    *j = (struct jail){.weak = weak, .landlock = -1};
    bool has_landlock = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_GET_VERSION) >= 1;
    if (has_landlock && (j->landlock = landlock_make()) < 0 && !weak)
        return err_set(err, E_INTERNAL, "jail layer landlock: %s", strerror(errno));
    int rc = jail_filter_compile(&j->filter, &j->filter_len);
    if (rc && !weak) {
        jail_release(j);
        return err_set(err, E_INTERNAL, "jail layer seccomp: %s", strerror(-rc));
    }
    return 0;
}

void jail_release(struct jail *j)
{
    free(j->filter);
    if (j->landlock >= 0)
        close(j->landlock);
    *j = (struct jail){.landlock = -1};
}

/* --- the layers: each true when it is in force --------------------------------------------------
 */

static bool no_new_privs(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static bool landlock(const struct jail *j)
{
    return syscall(LANDLOCK_RESTRICT, j->landlock, 0) == 0;
}

static bool descriptors(int bell)
{
    if (bell != JAIL_BELL && dup2(bell, JAIL_BELL) < 0)
        return false;
    /* a sanitizer's report needs standard error */
    unsigned last = JAIL_FILTER_SANITIZER ? 1 : 2;
    return syscall(SYS_close_range, 0, last, 0) == 0 &&
           syscall(SYS_close_range, JAIL_BELL + 1, ~0U, 0) == 0;
}

static bool capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
        ; /* without CAP_SETPCAP this does nothing; no_new_privs makes the set moot */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &head, none) == 0;
}

/* Measured: with + 96 MiB alone it would bite before the allocator's cap from 512 MB up. */
static rlim_t address_space(uint32_t memory_mb)
{
    rlim_t limit = (rlim_t)memory_mb << 20;
    return limit + limit * 35 / 100 + ((rlim_t)96 << 20);
}

/* Where an outer limit is lower already, that one stays. */
static bool limit(int resource, rlim_t value)
{
    struct rlimit r = {value, value}, now;
    if (setrlimit(resource, &r) == 0)
        return true;
    if (getrlimit(resource, &now) || now.rlim_max > value)
        return false;
    r.rlim_cur = r.rlim_max = now.rlim_max;
    return setrlimit(resource, &r) == 0;
}

static bool rlimits(void)
{
    enum { MEMORY_MAX_MB = 10240 };
    return limit(RLIMIT_NPROC, 0) && limit(RLIMIT_CORE, 0) &&
           (JAIL_FILTER_SANITIZER || limit(RLIMIT_FSIZE, 0)) && /* its report may go to a file */
           limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0) &&
           limit(RLIMIT_NOFILE, JAIL_BELL + 1) && limit(RLIMIT_STACK, 96 << 20) &&
           (JAIL_FILTER_SANITIZER || limit(RLIMIT_AS, address_space(MEMORY_MAX_MB)));
}

static bool parent_is(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent;
}

static bool seccomp(const struct jail *j)
{
    struct sock_fprog prog = {.len = j->filter_len, .filter = j->filter};
    return j->filter && prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, &prog, 0, 0) == 0;
}

static bool apply(const struct jail *j, unsigned layer, int bell, pid_t parent)
{
    switch (layer) {
    case JAIL_NO_NEW_PRIVS:
        return no_new_privs();
    case JAIL_LANDLOCK:
        return landlock(j);
    case JAIL_DESCRIPTORS:
        return descriptors(bell);
    case JAIL_CAPABILITIES:
        return capabilities();
    case JAIL_RLIMITS:
        return rlimits();
    case JAIL_DUMPABLE:
        return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
    case JAIL_PARENT:
        return parent_is(parent);
    case JAIL_SECCOMP:
        return seccomp(j);
    }
    return false;
}

void jail_enter(const struct jail *j, int bell, pid_t parent, volatile uint32_t *inside)
{
    *inside = 0;
    for (unsigned i = 0; i < JAIL_LAYERS; i++) {
        if (j->without & 1U << i || (i == JAIL_LANDLOCK && j->landlock < 0))
            continue;
        *inside |= 1U << i; /* before it is, because behind the last one it could not be told */
        if (apply(j, i, bell, parent))
            continue;
        *inside &= ~(1U << i);
        if (!j->weak)
            _exit(JAIL_EXIT + (int)i);
    }
}

void jail_limit_memory(uint32_t memory_mb)
{
    if (JAIL_FILTER_SANITIZER) /* its shadow memory is far larger than any limit */
        return;
    struct rlimit r = {address_space(memory_mb), address_space(memory_mb)};
    if (setrlimit(RLIMIT_AS, &r))
        return; /* an outer limit was lower already */
}

/* --- names --------------------------------------------------------------------------------------
 */

static const char *const names[JAIL_LAYERS] = {
    "no_new_privs", "landlock",
    "descriptors",  "capabilities",
    "rlimits",      "dumpable",
    "parent",       JAIL_FILTER_SANITIZER ? "seccomp-sanitizer" : "seccomp",
};

const char *jail_layer_name(unsigned which)
{
    return which < JAIL_LAYERS ? names[which] : NULL;
}

void jail_layers_text(uint32_t layers, char *out, size_t n)
{
    size_t used = 0;
    out[0] = 0;
    for (unsigned i = 0; i < JAIL_LAYERS; i++) {
        if (!(layers & 1U << i))
            continue;
        int m = snprintf(out + used, n - used, "%s%s", used ? "," : "", names[i]);
        if (m < 0 || (size_t)m >= n - used)
            return;
        used += (size_t)m;
    }
}

int jail_failed_layer(int wait_status)
{
    int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) - JAIL_EXIT : -1;
    return code >= 0 && code < JAIL_LAYERS ? code : -1;
}
