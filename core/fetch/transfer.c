/* transfer: requests of the core, performed side by side on one thread with libcurl's multi interface.
 *
 * Each transfer has a connection of its own that is closed at its end: nothing of one function's (a
 * connection, a TLS session, a cookie) ever serves another. Redirects are not followed: the core
 * judges each hop. The address is checked where the socket is made, so what was resolved, what was
 * checked and what is connected to are one.
 *
 * An answer is held until it is whole. All answers together may hold HELD_MAX bytes; beyond that
 * every transfer but the oldest pauses, so that one always gets through. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "auth/outbound.h"
#include "base/log.h"
#include "base/rec.h"
#include "fetch/fetch.h"
#include "svc/fetch_wire.h"

#define HELD_MAX ((size_t)96 << 20)
enum { READ_STEP = 256 * 1024 };

struct transfer {
    struct transfer *next, *prev; /* the older is in front */
    uint32_t id;
    struct buf request; /* the frame that asks; what it says is borrowed from it */
    struct buf headers; /* FETCH_HEADER fields */
    struct buf body;
    size_t max_bytes, header_count, header_bytes;
    CURL *easy;
    struct curl_slist *lines;
    struct curl_slist *hosts; /* of a test */
    const char *refused;      /* kind of address that was not connected to */
    char address[INET6_ADDRSTRLEN];
    char why[CURL_ERROR_SIZE];
    bool private_ok, head_only, located, redirect, too_large, bad_head, paused;
    /* the answer, once it is whole: before the body, behind it */
    struct buf front, back;
    size_t written;
};

static struct {
    CURLM *multi;
    struct transfer *first, *last;          /* under way */
    struct transfer *answers, *last_answer; /* whole, to be written */
    struct buf in;
    size_t held;
    bool over;
} all;

/* --- lists -------------------------------------------------------------------------------------- */

static void append(struct transfer *t, struct transfer **first, struct transfer **last)
{
    t->next = NULL;
    t->prev = *last;
    if (*last)
        (*last)->next = t;
    else
        *first = t;
    *last = t;
}

static void take_off(struct transfer *t, struct transfer **first, struct transfer **last)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        *first = t->next;
    if (t->next)
        t->next->prev = t->prev;
    else
        *last = t->prev;
}

static void stop_easy(struct transfer *t)
{
    if (t->easy) {
        curl_multi_remove_handle(all.multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    t->easy = NULL;
    curl_slist_free_all(t->lines);
    curl_slist_free_all(t->hosts);
    t->lines = t->hosts = NULL;
}

static void drop_body(struct transfer *t)
{
    all.held -= t->body.n;
    buf_deinit(&t->body);
}

static void transfer_free(struct transfer *t)
{
    stop_easy(t);
    drop_body(t);
    buf_deinit(&t->request);
    buf_deinit(&t->headers);
    buf_deinit(&t->front);
    buf_deinit(&t->back);
    free(t);
}

/* --- the end of one ----------------------------------------------------------------------------- */

static size_t frame_begin(struct buf *b, uint16_t type, uint32_t id)
{
    struct fetch_frame f = {.type = type, .id = id};
    buf_add(b, str_of((const char *)&f, sizeof f));
    return b->n;
}

static void frame_end(struct buf *b, size_t mark, size_t more)
{
    uint32_t size = (uint32_t)(b->n - mark + more);
    memcpy(b->p + mark - sizeof(struct fetch_frame), &size, sizeof size);
}

static void put_end(struct transfer *t, enum fetch_how how, const char *text)
{
    size_t mark = frame_begin(&t->back, FETCH_END, t->id);
    rec_put_u64(&t->back, FETCH_HOW, how);
    rec_put_str(&t->back, FETCH_TEXT, str_c(text));
    frame_end(&t->back, mark, 0);
}

static void put_answer(struct transfer *t)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    size_t mark = frame_begin(&t->front, FETCH_ANSWER, t->id);
    rec_put_u64(&t->front, FETCH_STATUS, (uint64_t)status);
    buf_add(&t->front, buf_str(&t->headers));
    rec_put_u64(&t->front, FETCH_SIZE, t->body.n);
    frame_end(&t->front, mark, 0);
    mark = frame_begin(&t->front, FETCH_BODY, t->id);
    frame_end(&t->front, mark, t->body.n);
}

static void finish(struct transfer *t, enum fetch_how how, const char *text)
{
    if (how == FETCH_OK)
        put_answer(t);
    else
        drop_body(t);
    put_end(t, how, text);
    stop_easy(t);
    buf_deinit(&t->request);
    take_off(t, &all.first, &all.last);
    append(t, &all.answers, &all.last_answer);
}

static void finished(struct transfer *t, CURLcode rc)
{
    char text[CURL_ERROR_SIZE + 128];
    const char *why = t->why[0] ? t->why : curl_easy_strerror(rc);
    if (rc == CURLE_OK || (t->redirect && rc == CURLE_WRITE_ERROR)) {
        finish(t, FETCH_OK, "");
    } else if (t->too_large || rc == CURLE_FILESIZE_EXCEEDED) {
        snprintf(text, sizeof text, "the answer is larger than %zu bytes", t->max_bytes);
        finish(t, FETCH_TOO_LARGE, text);
    } else if (t->bad_head) {
        finish(t, FETCH_FAILED, "the head of the answer is too large");
    } else if (rc == CURLE_OPERATION_TIMEDOUT) {
        finish(t, FETCH_TIMEOUT, "the request did not end in time");
    } else if (t->refused) {
        snprintf(text, sizeof text, "it resolves to %s, which is %s %s address", t->address,
                 strchr("aeiou", t->refused[0]) ? "an" : "a", t->refused);
        finish(t, FETCH_REFUSED, text);
    } else {
        finish(t, FETCH_FAILED, why);
    }
}

static void collect(void)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(all.multi, &left))) {
        struct transfer *t;
        if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) == 0)
            finished(t, m->data.result);
    }
}

/* --- addresses ---------------------------------------------------------------------------------- */

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    struct sockaddr_in four[2];
    struct sockaddr_in6 six[2];
    if (!a || a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET) {
        memcpy(&four[0], a, sizeof *four);
        memcpy(&four[1], b, sizeof *four);
        return four[0].sin_addr.s_addr == four[1].sin_addr.s_addr;
    }
    if (a->sa_family != AF_INET6)
        return false;
    memcpy(&six[0], a, sizeof *six);
    memcpy(&six[1], b, sizeof *six);
    return memcmp(&six[0].sin6_addr, &six[1].sin6_addr, sizeof six->sin6_addr) == 0;
}

/* An address of this machine: what listens there need not expect a function. */
static bool is_own(const struct sockaddr *address)
{
    struct ifaddrs *list = NULL;
    bool found = false;
    if (getifaddrs(&list))
        return true;
    for (struct ifaddrs *i = list; i && !found; i = i->ifa_next)
        found = same_address(i->ifa_addr, address);
    freeifaddrs(list);
    return found;
}

static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = ctx;
    const char *kind = outbound_not_public(&a->addr);
    if (purpose != CURLSOCKTYPE_IPCXN)
        return CURL_SOCKET_BAD;
    if (!kind && is_own(&a->addr))
        kind = "own";
    if (kind && !t->private_ok) {
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        memcpy(&four, &a->addr, sizeof four);
        memcpy(&six, &a->addr, a->addrlen < sizeof six ? a->addrlen : sizeof six);
        inet_ntop(a->family, a->family == AF_INET ? (void *)&four.sin_addr : (void *)&six.sin6_addr,
                  t->address, sizeof t->address);
        t->refused = kind;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
}

/* --- what comes --------------------------------------------------------------------------------- */

static void put_header(struct transfer *t, struct str line, size_t colon)
{
    char name[256];
    struct str value = str_trim(str_from(line, colon + 1));
    size_t n = colon < sizeof name ? colon : sizeof name;
    for (size_t i = 0; i < n; i++)
        name[i] = (char)(line.p[i] >= 'A' && line.p[i] <= 'Z' ? line.p[i] + 32 : line.p[i]);
    size_t mark = rec_begin(&t->headers, FETCH_HEADER);
    rec_put_str(&t->headers, 1, str_of(name, n));
    rec_put_str(&t->headers, 2, value);
    rec_end(&t->headers, mark);
    t->located |= str_is(str_of(name, n), "location");
}

static size_t on_header(char *p, size_t one, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct str line = str_of(p, n);
    (void)one;
    t->header_bytes += n;
    if (str_starts(line, STR("HTTP/"))) { /* also after a 100: only the last head counts */
        buf_clear(&t->headers);
        t->header_count = 0;
        t->located = false;
    } else {
        while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
            line.n--;
        ptrdiff_t colon = str_index(line, ':', 0);
        if (colon > 0) {
            t->header_count++;
            put_header(t, line, (size_t)colon);
        }
    }
    t->bad_head = t->header_count > FETCH_HEADERS_MAX || t->header_bytes > FETCH_HEADER_BYTES_MAX;
    return t->bad_head ? 0 : n;
}

static bool is_redirect(struct transfer *t)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return t->located &&
           (status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}

static size_t on_body(char *p, size_t one, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    (void)one;
    if (t->body.n == 0 && is_redirect(t)) { /* nobody will read it */
        t->redirect = true;
        return 0;
    }
    if (n > t->max_bytes - t->body.n) {
        t->too_large = true;
        return 0;
    }
    if (all.held + n > HELD_MAX && t != all.first) {
        t->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    buf_add(&t->body, str_of(p, n));
    if (t->body.rc)
        return 0;
    all.held += n;
    return n;
}

static void resume(void)
{
    for (struct transfer *t = all.first, *next; t; t = next) {
        next = t->next;
        if (t->paused && (all.held < HELD_MAX || t == all.first)) {
            t->paused = false;
            curl_easy_pause(t->easy, CURLPAUSE_CONT);
        }
    }
}

/* --- the start of one --------------------------------------------------------------------------- */

/* libcurl must see in the URL what the core has judged. */
static bool agrees(struct str rec, const char *url)
{
    char *host = NULL, *port = NULL, text[8];
    CURLU *u = curl_url();
    struct str want = rec_str(rec, FETCH_HOST);
    snprintf(text, sizeof text, "%u", (unsigned)(rec_u64(rec, FETCH_PORT, 0) & 0xffff));
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    struct str got = str_c(host);
    if (got.n > 2 && got.p[0] == '[')
        got = str_of(got.p + 1, got.n - 2);
    ok = ok && str_eq(got, want) && strcmp(port, text) == 0;
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return ok;
}

#ifdef PERILUNE_FAULTS
/* "HOST:PORT:ADDRESS" in the environment stands for what a resolver would say. */
static void name_hosts(struct transfer *t)
{
    const char *row = getenv("PERILUNE_FETCH_HOST");
    if (row)
        t->hosts = curl_slist_append(NULL, row);
    curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->hosts);
}
#else
static void name_hosts(struct transfer *t)
{
    (void)t;
}
#endif

static void add_lines(struct transfer *t, struct str rec)
{
    struct str rest = rec, line;
    uint16_t tag;
    bool typed = false, coded = false;
    char text[FETCH_REST_MAX];
    while (rec_next(&rest, &tag, &line)) {
        if (tag != FETCH_HEADER || line.n >= sizeof text)
            continue;
        snprintf(text, sizeof text, "%.*s", STR_FMT(line));
        size_t colon = strcspn(text, ":");
        typed |= str_ieq(str_of(text, colon), STR("content-type"));
        coded |= str_ieq(str_of(text, colon), STR("accept-encoding"));
        if (text[colon] && text[colon + strspn(text + colon, ": ")] == 0)
            memcpy(text + colon, ";", 2); /* libcurl's way to send a header without a value */
        t->lines = curl_slist_append(t->lines, text);
    }
    t->lines = curl_slist_append(t->lines, "Expect:");
    if (!typed)
        t->lines = curl_slist_append(t->lines, "Content-Type:");
    if (!coded)
        curl_easy_setopt(t->easy, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->lines);
}

static void set_method(struct transfer *t, struct str rec)
{
    struct str method = rec_str(rec, FETCH_METHOD), body = rec_str(rec, FETCH_CONTENT);
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)(method.n < 31 ? method.n : 31), method.p);
    t->head_only = strcmp(name, "HEAD") == 0;
    if (t->head_only) {
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (body.p || strcmp(name, "POST") == 0 || strcmp(name, "PUT") == 0 ||
        strcmp(name, "PATCH") == 0) {
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, body.p ? body.p : "");
    }
    curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, name);
}

static void set_up(struct transfer *t, struct str rec, const char *url)
{
    long ms = (long)rec_u64(rec, FETCH_TIMEOUT_MS, 1);
    CURL *e = t->easy;
    curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver's thread */
    curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, ms);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, ms);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->why);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "perilune");
    trust_apply(e);
    name_hosts(t);
    set_method(t, rec);
    add_lines(t, rec);
    if (!t->head_only)
        curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->max_bytes);
}

static void begin(uint32_t id, struct str rec)
{
    char url[OUTBOUND_URL_MAX + 1];
    struct transfer *t = calloc(1, sizeof *t);
    if (!t)
        fatal("out of memory");
    t->id = id;
    append(t, &all.first, &all.last);
    buf_add(&t->request, rec);
    rec = buf_str(&t->request);
    struct str text = rec_str(rec, FETCH_URL);
    if (t->request.rc || text.n >= sizeof url) {
        finish(t, FETCH_FAILED, "there is no memory for it");
        return;
    }
    snprintf(url, sizeof url, "%.*s", STR_FMT(text));
    t->max_bytes = rec_u64(rec, FETCH_MAX_BYTES, 0);
    t->private_ok = rec_u64(rec, FETCH_PRIVATE, 0) == 1;
    t->easy = agrees(rec, url) ? curl_easy_init() : NULL;
    if (!t->easy) {
        finish(t, FETCH_FAILED, "its URL is read in more than one way");
        return;
    }
    set_up(t, rec, url);
    curl_multi_add_handle(all.multi, t->easy);
}

static void cancel(uint32_t id)
{
    for (struct transfer *t = all.first; t; t = t->next)
        if (t->id == id) {
            take_off(t, &all.first, &all.last);
            transfer_free(t);
            return;
        }
}

/* --- the socket --------------------------------------------------------------------------------- */

static void read_frames(void)
{
    struct fetch_frame f;
    size_t at = 0;
    while (all.in.n - at >= sizeof f) {
        memcpy(&f, all.in.p + at, sizeof f);
        if (f.size > FETCH_REQUEST_MAX)
            fatal("the core sent a frame of %u bytes", f.size);
        if (all.in.n - at - sizeof f < f.size)
            break;
        struct str body = str_of(all.in.p + at + sizeof f, f.size);
        if (f.type == FETCH_REQUEST)
            begin(f.id, body);
        else if (f.type == FETCH_CANCEL)
            cancel(f.id);
        at += sizeof f + f.size;
    }
    buf_drop(&all.in, at);
    if (all.in.n == 0 && all.in.cap > READ_STEP)
        buf_deinit(&all.in);
}

static void read_socket(void)
{
    char *p = buf_reserve(&all.in, READ_STEP);
    if (!p)
        fatal("out of memory");
    ssize_t n = read(FETCH_SOCKET, p, READ_STEP);
    if (n > 0) {
        all.in.n += (size_t)n;
        read_frames();
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        all.over = true; /* the core has ended, or has no use for us */
    }
}

/* What is left of an answer at `written`: its front, its body or its back. */
static struct str rest_of(const struct transfer *t)
{
    size_t at = t->written;
    const struct buf *parts[] = {&t->front, &t->body, &t->back};
    for (size_t i = 0; i < 3; i++) {
        if (at < parts[i]->n)
            return str_from(buf_str(parts[i]), at);
        at -= parts[i]->n;
    }
    return STR("");
}

static void write_answers(void)
{
    struct transfer *t;
    while ((t = all.answers)) {
        struct str rest = rest_of(t);
        if (rest.n == 0) {
            take_off(t, &all.answers, &all.last_answer);
            transfer_free(t);
            continue;
        }
        ssize_t n = write(FETCH_SOCKET, rest.p, rest.n);
        if (n < 0) {
            all.over |= errno != EAGAIN && errno != EINTR;
            return;
        }
        t->written += (size_t)n;
    }
}

static void wait_for_something(void)
{
    enum { TICK_MS = 1000 };
    struct curl_waitfd core = {
        .fd = FETCH_SOCKET,
        .events = (short)(CURL_WAIT_POLLIN | (all.answers ? CURL_WAIT_POLLOUT : 0)),
    };
    curl_multi_poll(all.multi, &core, 1, TICK_MS, NULL);
    if (core.revents & CURL_WAIT_POLLIN)
        read_socket();
}

int transfer_serve(void)
{
    int running;
    all.multi = curl_multi_init();
    if (!all.multi || fcntl(FETCH_SOCKET, F_SETFL, O_NONBLOCK) < 0)
        return 1;
    while (!all.over) {
        wait_for_something();
        curl_multi_perform(all.multi, &running);
        collect();
        write_answers();
        resume();
    }
    /* Threads may still wait for a resolver: nobody waits for them. */
    _exit(0);
}
