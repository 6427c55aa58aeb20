/* rate: one HTTP request over and over at a fixed rate, timed from when it was due.
 *
 *     rate PORT REQUESTS_PER_SECOND SECONDS CONNECTIONS FILE [nap]
 *
 * A closed loop waits for slow answers and so does not see them (coordinated omission). Here request k
 * is due at start + k / rate whatever came before; when all connections wait, it is sent late and its
 * time counts from when it was due. FILE holds the request's bytes; answers must have a
 * Content-Length and are counted as errors unless 2xx. Prints one line of JSON, times in µs.
 *
 * It never sleeps: waking up would be part of what is measured. Give it a core of its own. Where there is
 * none to give, `nap`: it sleeps until the next request is due, and comes before all others (as root) when
 * it wakes, so that it neither takes the processor from what it measures nor waits for it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64 };

struct connection {
    int fd;
    uint64_t due_ns; /* 0: idle */
    size_t have, want;
    char in[65536];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int connect_to(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a)) {
        perror("connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* 1 when an answer is complete, 0 when more is needed, -1 when the connection is of no more use. */
static int take(struct connection *c, long *errors)
{
    ssize_t n = recv(c->fd, c->in + c->have, sizeof c->in - 1 - c->have, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    c->have += (size_t)n;
    c->in[c->have] = 0;
    if (!c->want) {
        char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "\r\ncontent-length:");
        if (!end)
            return c->have == sizeof c->in - 1 ? -1 : 0;
        c->want = (size_t)(end + 4 - c->in) +
                  (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
        if (c->want >= sizeof c->in)
            return -1;
    }
    if (c->have < c->want)
        return 0;
    *errors += c->in[9] != '2';
    c->have = c->want = 0;
    return 1;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static uint64_t due_ns(uint64_t start, size_t k, double rate)
{
    return start + (uint64_t)((double)k * 1e9 / rate);
}

/* Waits until that time at most. */
static int wait_events(int ep, struct epoll_event ev[static EVENTS], uint64_t until_ns)
{
    uint64_t now = now_ns(), left = until_ns > now ? until_ns - now : 0;
    struct timespec t = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    return epoll_pwait2(ep, ev, EVENTS, &t, NULL);
}

int main(int argc, char **argv)
{
    static char request[65536];
    bool nap = argc == 7 && strcmp(argv[6], "nap") == 0;
    if (argc != 6 && !nap) {
        fprintf(stderr, "usage: rate PORT RATE SECONDS CONNECTIONS FILE [nap]\n");
        return 2;
    }
    int port = atoi(argv[1]), connections = atoi(argv[4]), idle = connections;
    double rate = atof(argv[2]), seconds = atof(argv[3]);
    FILE *f = fopen(argv[5], "rb");
    size_t size = f ? fread(request, 1, sizeof request, f) : 0;
    size_t total = (size_t)(rate * seconds), sent = 0, done = 0;
    uint32_t *took_ns = calloc(total ? total : 1, sizeof *took_ns);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    int *free_list = calloc((size_t)connections, sizeof *free_list), ep = epoll_create1(0);
    long errors = 0;
    if (!size || !total || !took_ns || !all || !free_list || ep < 0) {
        fprintf(stderr, "rate: nothing to do\n");
        return 1;
    }
    for (int i = 0; i < connections; i++) {
        struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        all[i].fd = connect_to(port);
        free_list[i] = i;
        epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &ev);
    }
    if (nap && sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}))
        fprintf(stderr, "rate: without priority\n");
    uint64_t start = now_ns(), last = start + (uint64_t)((seconds + 10) * 1e9), t;
    while (done < total && (t = now_ns()) < last) {
        while (idle && sent < total) {
            uint64_t due = due_ns(start, sent, rate);
            if (due > t)
                break;
            struct connection *c = &all[free_list[--idle]];
            c->due_ns = due;
            sent++;
            if (send(c->fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
                errors++;
        }
        struct epoll_event ev[EVENTS];
        int n = wait_events(ep, ev,
                            nap ? (idle && sent < total ? due_ns(start, sent, rate) : last) : 0);
        for (int i = 0; i < n; i++) {
            struct connection *c = &all[ev[i].data.u32];
            int got = take(c, &errors);
            if (got < 0) {
                fprintf(stderr, "rate: the server closed a connection\n");
                return 1;
            }
            if (got) {
                uint64_t ns = now_ns() - c->due_ns;
                took_ns[done++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
                free_list[idle++] = (int)ev[i].data.u32;
            }
        }
    }
    double lasted = (double)(now_ns() - start) / 1e9;
    qsort(took_ns, done, sizeof *took_ns, by_value);
#define AT(p) (done ? took_ns[(size_t)((double)(done - 1) * (p))] / 1000.0 : 0.0)
    printf("{\"rate\": %.0f, \"answers\": %zu, \"lost\": %zu, \"errors\": %ld, \"p50\": %.1f, "
           "\"p90\": %.1f, "
           "\"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
           (double)done / lasted, done, total - done, errors, AT(.5), AT(.9), AT(.99), AT(.999),
           AT(1));
    return 0;
}
