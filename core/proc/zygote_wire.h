/* zygote_wire: the packets on the socket between core and zygote (SOCK_SEQPACKET, both ends are
 * this program). */
#ifndef PROC_ZYGOTE_WIRE_H
#define PROC_ZYGOTE_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { ZYGOTE_SOCKET = 3 }; /* its descriptor in the zygote */

struct zygote_request { /* with two descriptors: memfd, bell */
    uint32_t token;
};

enum { ZYGOTE_HELLO, ZYGOTE_SPAWNED, ZYGOTE_EXITED, ZYGOTE_FAILED };
struct zygote_note {
    uint32_t kind;
    uint32_t token;
    int32_t pid;       /* SPAWNED, which carries one descriptor: the pidfd */
    int32_t status;    /* EXITED: wait status; FAILED: errno */
    uint32_t layers;   /* HELLO */
    uint32_t pad;      /* */
    uint64_t peak_rss; /* EXITED: bytes */
    char text[128];    /* HELLO: empty, or why no jail can be closed */
};

/* Sends one packet with n descriptors (at most 2). 0 or -errno. */
int zygote_wire_send(int fd, const void *p, size_t size, const int *fds, int n, int flags);
/* Receives one packet of exactly `size` bytes; missing descriptors are -1. 0, -errno, or -EPIPE at
 * the end. */
int zygote_wire_recv(int fd, void *p, size_t size, int *fds, int n, int flags);

#endif
