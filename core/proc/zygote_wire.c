/* zygote_wire: sendmsg and recvmsg with descriptors, in one place for both ends. */
#include "proc/zygote_wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

enum { FDS_MAX = 2 };

int zygote_wire_send(int fd, const void *p, size_t size, const int *fds, int n, int flags)
{
    _Alignas(struct cmsghdr) char space[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = size};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n > 0) {
        m.msg_control = space;
        m.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
    }
    ssize_t r;
    do
        r = sendmsg(fd, &m, flags | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int zygote_wire_recv(int fd, void *p, size_t size, int *fds, int n, int flags)
{
    _Alignas(struct cmsghdr) char space[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
    struct iovec iov = {.iov_base = p, .iov_len = size};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = space,
                       .msg_controllen = CMSG_SPACE(FDS_MAX * sizeof(int))};
    for (int i = 0; i < n; i++)
        fds[i] = -1;
    ssize_t r;
    do
        r = recvmsg(fd, &m, flags | MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        int got = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < got; i++) {
            int one;
            memcpy(&one, CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof one);
            if (i < n)
                fds[i] = one;
            else
                close(one);
        }
    }
    if (r == 0)
        return -EPIPE;
    return (size_t)r == size ? 0 : -EBADMSG;
}
