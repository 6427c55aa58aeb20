/* tunnel: TLS for the command line, which speaks HTTP itself but no TLS.
 *
 * libcurl connects, checks the certificate and then only carries bytes (CURLOPT_CONNECT_ONLY). Both
 * directions have one block; a side that does not take what it is sent stops the other. ALPN is off:
 * what travels is HTTP/1.1. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/log.h"
#include "fetch/fetch.h"
#include "svc/fetch_wire.h"

enum { BLOCK = 64 * 1024, CONNECT_MS = 10000 };

struct half { /* bytes on their way in one direction */
    char bytes[BLOCK];
    size_t n, sent;
    bool over; /* the side they come from has ended */
};

struct tunnel {
    CURL *easy;
    curl_socket_t socket;
    struct half up, down; /* from FETCH_SOCKET; to it */
};

static void say(const char *line)
{
    size_t n = strlen(line);
    if (write(FETCH_SOCKET, line, n) != (ssize_t)n)
        log_warn("whoever asked is gone");
}

static bool blocked(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* --- the four moves: false when the tunnel is over ---------------------------------------------- */

static bool take_local(struct half *h)
{
    if (h->n || h->over)
        return true;
    ssize_t n = read(FETCH_SOCKET, h->bytes, sizeof h->bytes);
    if (n > 0)
        h->n = (size_t)n;
    return n > 0 || (n < 0 && blocked());
}

static bool give_local(struct half *h)
{
    while (h->sent < h->n) {
        ssize_t n = write(FETCH_SOCKET, h->bytes + h->sent, h->n - h->sent);
        if (n < 0)
            return blocked();
        h->sent += (size_t)n;
    }
    h->n = h->sent = 0;
    return !h->over;
}

static bool take_remote(struct tunnel *t)
{
    struct half *h = &t->down;
    if (h->n || h->over)
        return true;
    CURLcode rc = curl_easy_recv(t->easy, h->bytes, sizeof h->bytes, &h->n);
    if (rc == CURLE_AGAIN)
        return true;
    h->over = rc != CURLE_OK || h->n == 0;
    return rc == CURLE_OK;
}

static bool give_remote(struct tunnel *t)
{
    struct half *h = &t->up;
    while (h->sent < h->n) {
        size_t n = 0;
        CURLcode rc = curl_easy_send(t->easy, h->bytes + h->sent, h->n - h->sent, &n);
        if (rc == CURLE_AGAIN)
            return true;
        if (rc != CURLE_OK)
            return false;
        h->sent += n;
    }
    h->n = h->sent = 0;
    return true;
}

/* --- life -------------------------------------------------------------------------------------- */

static void carry(struct tunnel *t)
{
    for (;;) {
        size_t up = t->up.n, down = t->down.n;
        if (!take_local(&t->up) || !give_remote(t) || !take_remote(t) || !give_local(&t->down))
            return;
        if (t->up.n != up || t->down.n != down || (t->down.n == 0 && down))
            continue;
        struct pollfd p[2] = {
            {.fd = FETCH_SOCKET,
             .events = (short)((t->up.n ? 0 : POLLIN) | (t->down.n ? POLLOUT : 0))},
            {.fd = t->socket,
             .events = (short)((t->down.n ? 0 : POLLIN) | (t->up.n ? POLLOUT : 0))},
        };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
    }
}

static bool dial(struct tunnel *t, const char *host, const char *port, char *why)
{
    char url[512];
    bool six = strchr(host, ':') != NULL;
    snprintf(url, sizeof url, "https://%s%s%s:%s/", six ? "[" : "", host, six ? "]" : "", port);
    curl_easy_setopt(t->easy, CURLOPT_URL, url);
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(t->easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, why);
    trust_apply(t->easy);
    CURLcode rc = curl_easy_perform(t->easy);
    if (rc == CURLE_OK)
        rc = curl_easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &t->socket);
    if (rc != CURLE_OK && !why[0])
        snprintf(why, CURL_ERROR_SIZE, "%s", curl_easy_strerror(rc));
    return rc == CURLE_OK;
}

int tunnel_serve(const char *host, const char *port)
{
    static struct tunnel t;
    char why[CURL_ERROR_SIZE + 1] = "";
    t.easy = curl_easy_init();
    if (!t.easy)
        return 1;
    bool there = dial(&t, host, port, why);
    strncat(why, "\n", 2);
    say(there ? "ok\n" : why);
    if (there && fcntl(FETCH_SOCKET, F_SETFL, O_NONBLOCK) == 0)
        carry(&t);
    curl_easy_cleanup(t.easy);
    return there ? 0 : 1;
}
