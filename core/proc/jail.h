/* jail: what a runner can no longer do before it sees the first byte of user code.
 *
 * The zygote prepares a jail once (compiles the system call filter, makes the empty Landlock rule
 * set); each forked runner enters it. Layers, in the order they are applied:
 *
 *     no_new_privs   no set-id program or file capability ever adds a right
 *     landlock       no file can be opened or changed, no TCP port used, no process outside signalled
 *     descriptors    all closed but the bell
 *     capabilities   none effective, permitted, inheritable or ambient
 *     rlimits        no process, file, core dump, locked page; stack 96 MiB; address space
 *     dumpable       nobody of the same user may trace it or read its memory
 *     parent         dies with the zygote
 *     seccomp        an allow-list of system calls; anything else kills the process
 *
 * It fails closed: a layer that cannot be applied ends the process, and its name travels back in
 * the exit status. Landlock alone may be absent, where the kernel does not have it. `weak` (the
 * administrator's --allow-weak-jail) goes on without a layer that fails; what is in force is
 * recorded as a set of bits either way. */
#ifndef PROC_JAIL_H
#define PROC_JAIL_H

#include <linux/filter.h>
#include <signal.h>
#include <sys/types.h>

#include "base/err.h"

enum {
    JAIL_BELL = 3,                  /* the bell's number inside the jail */
    JAIL_DEADLINE_SIGNAL = SIGUSR1, /* its handler is in place when the jail is entered */
    JAIL_EXIT = 100,                /* exit status of a failed layer: JAIL_EXIT + its index */
};

enum jail_layer { /* in the order in which they are applied */
                  JAIL_NO_NEW_PRIVS,
                  JAIL_LANDLOCK,
                  JAIL_DESCRIPTORS,
                  JAIL_CAPABILITIES,
                  JAIL_RLIMITS,
                  JAIL_DUMPABLE,
                  JAIL_PARENT,
                  JAIL_SECCOMP,
                  JAIL_LAYERS
};

struct jail {
    struct sock_filter *filter; /* compiled once */
    unsigned short filter_len;
    int landlock;     /* rule set, -1: the kernel has none */
    bool weak;        /* go on without a layer that fails */
    uint32_t without; /* bits of layers that are left out: for tests of the others, else 0 */
};

/* Compiles the filter and makes the rule set. 0, or E_INTERNAL with the layer's name in err. */
int jail_prepare(struct jail *j, bool weak, struct err *err);
void jail_release(struct jail *j);

/* Closes the jail around this process, whose bell is descriptor `bell` and whose parent must be
 * `parent`. `inside` receives one bit per layer in force, as it is applied (the last bit before the
 * filter is). Ends the process with JAIL_EXIT + layer when a layer fails. */
void jail_enter(const struct jail *j, int bell, pid_t parent, volatile uint32_t *inside);

/* Lowers RLIMIT_AS from inside to what a function of memory_mb needs beside its allocator's cap. */
void jail_limit_memory(uint32_t memory_mb);

/* "no_new_privs", …; NULL past the end. */
const char *jail_layer_name(unsigned layer);
/* The layers of a set of bits, separated by commas. */
void jail_layers_text(uint32_t layers, char *out, size_t n);
/* The layer that an exit status names, or -1. */
int jail_failed_layer(int wait_status);

/* `perilune jail-test N [ARG…]`: makes system call N with up to six numeric arguments (default 0)
 * from inside a real jail and prints one line: "N name allowed" (and what it returned) or "N name
 * killed". Exit status: 0 allowed, 4 killed, 1 the jail could not be entered, 2 usage. */
int jail_test(int argc, char **argv);

#endif
