/* client: sockets and HTTP; the parser of answers is http-parser, which splits heads and chunks.
 *
 * A body larger than a head's worth waits for 100 Continue (for a second at most), so that a
 * refusal costs no upload. The payload's SHA-256 is always sent and signed: a file is read twice,
 * once to hash it; if it changes between the two the server notices. */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <http_parser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/tls.h"

enum { CONNECT_MS = 10000, CONTINUE_MS = 1000, EXPECT_ABOVE = 64 * 1024, CHUNK = 128 * 1024 };

struct exchange { /* one request and its answer */
    struct client *client;
    const struct client_req *req;
    struct client_res *res;
    int fd;
    pid_t tunnel; /* perilune-fetch, which does the TLS; 0: none */
    http_parser parser;
    bool complete, in_value, continued, too_large;
    char sha256[65];
};

static int64_t now_ms(void);
static int hash_body(struct exchange *x);
static int dial(struct exchange *x);
static int send_head(struct exchange *x, bool expect);
static int send_body(struct exchange *x);
static int receive(struct exchange *x, int64_t until_ms, bool stop_at_continue);
static void parser_start(struct exchange *x);
static int settle(struct exchange *x, int rc);

int client_init(struct client *c, const struct cli *cli)
{
    const char *timeout = cli_value(cli, "--timeout");
    int64_t ms = 0;
    memset(c, 0, sizeof *c);
    if (timeout && (!cli_duration(timeout, &ms) || ms <= 0))
        return cli_fail(CLI_USAGE, "--timeout '%s' should be like 10 or 500ms", timeout);
    c->deadline_ms = timeout ? now_ms() + ms : 0;
    return target_resolve(cli, &c->target);
}

int client_send(struct client *c, const struct client_req *req, struct client_res *res)
{
    struct exchange x = {.client = c, .req = req, .res = res, .fd = -1};
    bool expect = (req->body_fd > 0 ? req->body_size : req->body.n) > EXPECT_ABOVE;
    memset(res, 0, sizeof *res);
    buf_init(&res->body, CLIENT_BODY_MAX);
    buf_init(&res->head, 256 * 1024);
    parser_start(&x);
    int rc = hash_body(&x);
    if (rc == 0)
        rc = dial(&x);
    if (rc == 0)
        rc = send_head(&x, expect);
    if (rc == 0 && expect)
        rc = receive(&x, now_ms() + CONTINUE_MS, true);
    if (rc == 0 && !x.complete && res->status == 0)
        rc = send_body(&x);
    if (rc == 0)
        rc = receive(&x, 0, false);
    return settle(&x, rc);
}

static int settle(struct exchange *x, int rc)
{
    if (x->tunnel)
        tls_close(x->fd, x->tunnel);
    else if (x->fd >= 0)
        close(x->fd);
    if (rc)
        client_res_free(x->res);
    return rc;
}

void client_res_free(struct client_res *res)
{
    buf_deinit(&res->body);
    buf_deinit(&res->head);
    res->header_count = 0;
}

/* --- time and failures -------------------------------------------------------------------------
 */

static int64_t now_ms(void)
{
    return (int64_t)(clock_mono_ns() / 1000000);
}

static int timed_out(void)
{
    return cli_fail(CLI_TIMEOUT, "the --timeout ran out");
}

static int unreachable(const struct exchange *x, const char *why)
{
    if (x->client->quiet)
        return CLI_UNREACHABLE;
    return cli_fail(CLI_UNREACHABLE, "no server at %s: %s", x->client->target.url, why);
}

static int lost(const struct exchange *x, const char *why)
{
    if (x->client->quiet)
        return CLI_UNREACHABLE;
    return cli_fail(CLI_UNREACHABLE, "the server at %s broke off: %s", x->client->target.url, why);
}

/* Waits for the socket: 1 ready, 0 when until_ms (0: none) has passed, else an exit code negated.
 */
static int wait_for(struct exchange *x, short events, int64_t until_ms)
{
    for (;;) {
        int64_t deadline = x->client->deadline_ms, now = now_ms(), limit = until_ms;
        if (deadline && (!limit || deadline < limit))
            limit = deadline;
        if (limit && now >= limit)
            return limit == deadline ? -timed_out() : 0;
        struct pollfd p = {.fd = x->fd, .events = events};
        int64_t left = limit ? limit - now : -1;
        int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0)
            return 1;
        if (n < 0 && errno != EINTR)
            return -lost(x, strerror(errno));
    }
}

/* --- connecting --------------------------------------------------------------------------------
 */

static int try_address(struct exchange *x, const struct addrinfo *a, int *error)
{
    x->fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (x->fd < 0) {
        *error = errno;
        return 0;
    }
    if (connect(x->fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS) {
        *error = errno;
        return 0;
    }
    int ready = wait_for(x, POLLOUT, now_ms() + CONNECT_MS);
    if (ready < 0)
        return ready;
    socklen_t size = sizeof *error;
    *error = ETIMEDOUT;
    if (ready > 0 && getsockopt(x->fd, SOL_SOCKET, SO_ERROR, error, &size) != 0)
        *error = errno;
    return *error == 0;
}

/* The tunnel's first line. */
static int dial_tls(struct exchange *x)
{
    const struct target *t = &x->client->target;
    char line[300];
    size_t n = 0;
    x->fd = tls_dial(t->host, t->port, &x->tunnel);
    if (x->fd < 0) {
        x->tunnel = 0;
        return unreachable(x, "perilune-fetch, which does TLS, cannot be started");
    }
    for (;;) {
        int ready = wait_for(x, POLLIN, 0);
        if (ready < 0)
            return -ready;
        ssize_t got = recv(x->fd, line + n, 1, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0 || n == sizeof line - 1)
            return unreachable(x, "perilune-fetch ended");
        if (line[n] == '\n')
            break;
        n++;
    }
    line[n] = 0;
    return strcmp(line, "ok") == 0 ? 0 : unreachable(x, line);
}

static int dial(struct exchange *x)
{
    const struct target *t = &x->client->target;
    if (t->tls)
        return dial_tls(x);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int error = getaddrinfo(t->host, t->port, &hints, &list), ok = 0;
    if (error)
        return unreachable(x, gai_strerror(error));
    for (struct addrinfo *a = list; a && ok == 0; a = a->ai_next) {
        ok = try_address(x, a, &error);
        if (ok != 1 && x->fd >= 0) {
            close(x->fd);
            x->fd = -1;
        }
    }
    freeaddrinfo(list);
    if (ok < 0)
        return -ok;
    if (ok == 0)
        return unreachable(x, strerror(error));
    int on = 1;
    setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(x->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return 0;
}

/* --- sending -----------------------------------------------------------------------------------
 */

static int hash_file(struct exchange *x)
{
    const struct client_req *req = x->req;
    unsigned char digest[32];
    char *block = malloc(CHUNK);
    if (!block)
        fatal("out of memory");
    off_t start = lseek(req->body_fd, 0, SEEK_CUR);
    struct hash *h = hash_new(HASH_SHA256);
    uint64_t left = req->body_size;
    while (left > 0) {
        ssize_t n = pread(req->body_fd, block, left < CHUNK ? left : CHUNK,
                          start + (off_t)(req->body_size - left));
        if (n <= 0)
            break;
        hash_update(h, block, (size_t)n);
        left -= (uint64_t)n;
    }
    free(block);
    hash_final(h, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(x->sha256 + 2 * i, 3, "%02x", digest[i]);
    return left ? cli_fail(CLI_FAILED, "the file could not be read to its end") : 0;
}

static int hash_body(struct exchange *x)
{
    if (x->req->body_fd > 0)
        return hash_file(x);
    sha256_hex(x->req->body, x->sha256);
    return 0;
}

static int send_all(struct exchange *x, struct str s)
{
    while (s.n) {
        ssize_t n = send(x->fd, s.p, s.n, MSG_NOSIGNAL);
        if (n > 0) {
            s = str_from(s, (size_t)n);
        } else if (errno == EAGAIN) {
            int ready = wait_for(x, POLLOUT, 0);
            if (ready < 0)
                return -ready;
        } else if (errno != EINTR) {
            /* It may have answered before it stopped reading: see what it said. */
            return errno == EPIPE || errno == ECONNRESET ? -1 : lost(x, strerror(errno));
        }
    }
    return 0;
}

static void put_header(struct buf *b, struct str name, struct str value)
{
    buf_add(b, name);
    buf_lit(b, ": ");
    buf_add(b, value);
    buf_lit(b, "\r\n");
}

static int send_head(struct exchange *x, bool expect)
{
    enum { MORE = 4 };
    const struct client_req *req = x->req;
    const struct target *t = &x->client->target;
    struct sigv4_header *h = calloc(req->header_count + MORE, sizeof *h);
    struct clock_parts p;
    char date[64];
    if (!h)
        fatal("out of memory");
    clock_split(clock_wall_ms(), &p);
    snprintf(date, sizeof date, "%04d%02d%02dT%02d%02d%02dZ", p.year, p.month, p.day, p.hour,
             p.minute, p.second);
    size_t n = 0;
    h[n++] = (struct sigv4_header){STR("host"), str_c(t->authority)};
    h[n++] = (struct sigv4_header){STR("x-amz-date"), str_c(date)};
    h[n++] = (struct sigv4_header){STR("x-amz-content-sha256"), str_c(x->sha256)};
    if (t->token[0])
        h[n++] = (struct sigv4_header){STR("x-amz-security-token"), str_c(t->token)};
    for (size_t i = 0; i < req->header_count; i++)
        h[n++] = req->headers[i];

    struct buf head = BUF_INIT, auth = BUF_INIT;
    buf_printf(&head, "%s %.*s%s%.*s HTTP/1.1\r\n", req->method, STR_FMT(req->path),
               req->query.n ? "?" : "", STR_FMT(req->query));
    for (size_t i = 0; i < n; i++)
        put_header(&head, h[i].name, h[i].value);
    if (t->access_key[0]) {
        struct sigv4_request r = {.method = str_c(req->method),
                                  .path = req->path,
                                  .query = req->query,
                                  .headers = h,
                                  .header_count = n};
        sigv4_sign(&r, str_c(t->access_key), str_c(t->secret), str_c(t->region),
                   str_c(req->service), str_c(date), str_c(x->sha256), &auth);
        put_header(&head, STR("Authorization"), buf_str(&auth));
    }
    uint64_t size = req->body_fd > 0 ? req->body_size : req->body.n;
    if (size || strcmp(req->method, "PUT") == 0 || strcmp(req->method, "POST") == 0)
        buf_printf(&head, "Content-Length: %llu\r\n", (unsigned long long)size);
    buf_printf(&head, "%sUser-Agent: perilune\r\nConnection: close\r\n\r\n",
               expect ? "Expect: 100-continue\r\n" : "");
    int rc = head.rc || auth.rc ? CLI_FAILED : send_all(x, buf_str(&head));
    free(h);
    buf_deinit(&head);
    buf_deinit(&auth);
    return rc < 0 ? 0 : rc;
}

static int send_body(struct exchange *x)
{
    const struct client_req *req = x->req;
    if (req->body_fd <= 0) {
        int rc = send_all(x, req->body);
        return rc < 0 ? 0 : rc;
    }
    char *block = malloc(CHUNK);
    if (!block)
        fatal("out of memory");
    int rc = 0;
    for (uint64_t left = req->body_size; left > 0 && rc == 0;) {
        ssize_t n = read(req->body_fd, block, left < CHUNK ? left : CHUNK);
        if (n > 0)
            rc = send_all(x, str_of(block, (size_t)n));
        else if (n == 0 || errno != EINTR)
            rc = cli_fail(CLI_FAILED, "the file could not be read to its end");
        left -= n > 0 ? (uint64_t)n : 0;
    }
    free(block);
    return rc < 0 ? 0 : rc;
}

/* --- receiving ---------------------------------------------------------------------------------
 */

static int on_field(http_parser *p, const char *at, size_t n)
{
    struct exchange *x = p->data;
    struct client_res *res = x->res;
    if (x->in_value || res->header_count == 0) {
        if (res->header_count == CLIENT_HEADERS_MAX)
            return -1;
        res->headers[res->header_count++] = (struct client_header){.name = res->head.n};
        x->in_value = false;
    }
    buf_add(&res->head, str_of(at, n));
    res->headers[res->header_count - 1].name_size += n;
    return res->head.rc;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct exchange *x = p->data;
    struct client_res *res = x->res;
    struct client_header *h = &res->headers[res->header_count - 1];
    if (!x->in_value)
        h->value = res->head.n;
    x->in_value = true;
    buf_add(&res->head, str_of(at, n));
    h->value_size += n;
    return res->head.rc;
}

static int on_headers(http_parser *p)
{
    struct exchange *x = p->data;
    if (p->status_code / 100 == 1)
        return 0;
    x->res->status = (int)p->status_code;
    return strcmp(x->req->method, "HEAD") == 0; /* 1: there is no body */
}

static int on_body(http_parser *p, const char *at, size_t n)
{
    struct exchange *x = p->data;
    if (x->req->sink && x->res->status / 100 == 2) {
        x->res->cut = x->res->cut || !x->req->sink(x->req->sink_ctx, str_of(at, n));
        return x->res->cut;
    }
    buf_add(&x->res->body, str_of(at, n));
    x->too_large = x->res->body.rc != 0;
    return x->too_large;
}

static int on_complete(http_parser *p)
{
    struct exchange *x = p->data;
    if (p->status_code / 100 == 1) {
        x->continued = true;
        x->res->header_count = x->res->head.n = 0;
        x->in_value = false;
        return 0;
    }
    x->complete = true;
    http_parser_pause(p, 1); /* what follows an answer is none of ours */
    return 0;
}

static const http_parser_settings settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

static void parser_start(struct exchange *x)
{
    http_parser_init(&x->parser, HTTP_RESPONSE);
    x->parser.data = x;
}

/* Reads until the answer is complete, until_ms has passed, or 100 Continue when asked for. */
static int receive(struct exchange *x, int64_t until_ms, bool stop_at_continue)
{
    char block[64 * 1024];
    while (!x->complete && !(stop_at_continue && x->continued)) {
        int ready = wait_for(x, POLLIN, until_ms);
        if (ready <= 0)
            return -ready;
        ssize_t n = recv(x->fd, block, sizeof block, 0);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return lost(x, strerror(errno));
        size_t used = http_parser_execute(&x->parser, &settings, block, (size_t)n);
        if (x->res->cut || x->complete)
            return 0;
        if (x->too_large)
            return cli_fail(CLI_FAILED, "the answer is larger than %d MiB", CLIENT_BODY_MAX >> 20);
        if (HTTP_PARSER_ERRNO(&x->parser) != HPE_OK || used != (size_t)n)
            return lost(x, "what it answered is not HTTP");
        if (n == 0)
            return lost(x, "the connection ended before the answer was complete");
    }
    return 0;
}

struct str client_header(const struct client_res *res, const char *name)
{
    for (size_t i = 0; i < res->header_count; i++) {
        const struct client_header *h = &res->headers[i];
        if (str_ieq(str_of(res->head.p + h->name, h->name_size), str_c(name)))
            return str_of(res->head.p + h->value, h->value_size);
    }
    return str_of(NULL, 0);
}

/* --- judging the answer ------------------------------------------------------------------------
 */

struct problem {
    char code[128], text[1024];
};

static void keep(char *to, size_t size, struct str s)
{
    snprintf(to, size, "%.*s", (int)(s.n < size ? s.n : size - 1), s.p ? s.p : "");
}

/* Text of the first <name> element, entities left alone but the usual five. */
static void xml_text(struct str xml, const char *name, char *to, size_t size)
{
    char open[64];
    snprintf(open, sizeof open, "<%s>", name);
    ptrdiff_t at = str_find(xml, str_c(open));
    struct str rest = at < 0 ? STR("") : str_from(xml, (size_t)at + strlen(open));
    ptrdiff_t end = str_index(rest, '<', 0);
    static const char *const entities[][2] = {
        {"&quot;", "\""}, {"&apos;", "'"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}};
    rest.n = end < 0 ? 0 : (size_t)end;
    size_t n = 0;
    while (rest.n && n + 1 < size) {
        size_t skip = 1;
        to[n] = *rest.p;
        for (size_t i = 0; i < 5 && *rest.p == '&'; i++)
            if (str_starts(rest, str_c(entities[i][0]))) {
                to[n] = entities[i][1][0];
                skip = strlen(entities[i][0]);
                break;
            }
        n++;
        rest = str_from(rest, skip);
    }
    to[n] = 0;
}

static void read_problem(const struct client_res *res, struct problem *p)
{
    struct str body = buf_str(&res->body), type = client_header(res, "x-amzn-errortype");
    memset(p, 0, sizeof *p);
    if (str_starts(body, STR("<"))) {
        xml_text(body, "Code", p->code, sizeof p->code);
        xml_text(body, "Message", p->text, sizeof p->text);
        return;
    }
    json_t *json = body.n ? json_parse(body, NULL) : NULL;
    struct str text = json_bytes(json_object_get(json, "message"));
    if (!text.p)
        text = json_bytes(json_object_get(json, "Message"));
    if (!type.p)
        type = json_bytes(json_object_get(json, "__type"));
    keep(p->text, sizeof p->text, text);
    type = str_cut(&type, ':');
    keep(p->code, sizeof p->code, type);
    json_decref(json);
}

int client_exit_code(const struct client_res *res)
{
    struct problem p;
    read_problem(res, &p);
    struct str code = str_c(p.code);
    if (res->status / 100 == 2)
        return CLI_OK;
    if (res->status == 404 || str_is(code, "ResourceNotFoundException"))
        return CLI_NOT_FOUND;
    if (res->status == 401 || res->status == 403)
        return CLI_DENIED;
    if (res->status == 409 || str_is(code, "ResourceAlreadyExistsException"))
        return CLI_CONFLICT;
    return CLI_FAILED;
}

int client_check(const struct client *c, const struct client_res *res, const char *what)
{
    struct problem p;
    int code = client_exit_code(res);
    if (code == CLI_OK)
        return CLI_OK;
    read_problem(res, &p);
    if (!p.text[0])
        snprintf(p.text, sizeof p.text, "the server answered %d", res->status);
    cli_fail(code, "%s: %s%s%s%s", what, p.text, p.code[0] ? " (" : "", p.code,
             p.code[0] ? ")" : "");
    if (code == CLI_DENIED && !c->target.access_key[0])
        cli_fail(code, "the request was not signed: %s", c->target.keys_from);
    else if (code == CLI_DENIED)
        cli_fail(code, "the keys came from %s", c->target.keys_from);
    return code;
}

int client_json(struct client *c, const char *service, const char *method, const char *path,
                json_t *body, const char *what, json_t **out)
{
    struct buf text = BUF_INIT;
    struct client_res res;
    struct sigv4_header type = {STR("content-type"), STR("application/json")};
    struct str whole = str_c(path), query = whole, only = str_cut(&query, '?');
    if (body)
        json_write(&text, body);
    json_decref(body);
    struct client_req req = {
        .service = service,
        .method = method,
        .path = only,
        .query = query,
        .headers = &type,
        .header_count = text.n ? 1 : 0,
        .body = buf_str(&text),
    };
    int rc = client_send(c, &req, &res);
    buf_deinit(&text);
    if (rc)
        return rc;
    rc = client_check(c, &res, what);
    if (rc == CLI_OK && out) {
        *out = res.body.n ? json_parse(buf_str(&res.body), NULL) : json_object();
        if (!*out)
            rc = cli_fail(CLI_FAILED, "%s: the server's answer is not JSON", what);
    }
    client_res_free(&res);
    return rc;
}

int client_stream(const struct cli *cli, const struct client_req *req, const char *what,
                  bool needed, const bool *any)
{
    struct client c;
    struct client_res res;
    int rc = client_init(&c, cli);
    if (rc)
        return rc;
    c.quiet = !needed;
    rc = client_send(&c, req, &res);
    if (rc)
        return rc == CLI_UNREACHABLE && c.quiet && *any
                   ? cli_fail(CLI_UNREACHABLE, "the server at %s broke off", c.target.url)
                   : rc;
    rc = client_check(&c, &res, what);
    client_res_free(&res);
    return rc;
}
