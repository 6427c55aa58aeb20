/* jail_filter: the system calls that a runner may make, as a BPF program. */
#ifndef PROC_JAIL_FILTER_H
#define PROC_JAIL_FILTER_H

#include <linux/filter.h>

/* A build with AddressSanitizer needs more calls and standard error, which may be a file: its filter
 * lets them pass, files may grow, and the layer is then called "seccomp-sanitizer". Release builds
 * have none of it. */
#ifdef __SANITIZE_ADDRESS__
#define JAIL_FILTER_SANITIZER 1
#else
#define JAIL_FILTER_SANITIZER 0
#endif

/* Compiles the list into *prog (malloc'd, *len instructions). 0 or -errno. */
int jail_filter_compile(struct sock_filter **prog, unsigned short *len);

#endif
