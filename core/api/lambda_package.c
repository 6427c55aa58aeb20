/* lambda_package: links to function packages, and the downloads behind them.
 *
 * GetFunction's Location names a package by its SHA-256 and bears its own proof: an end and a MAC of
 * both, under a key derived from the server's master key. So whoever was allowed to ask for the
 * function can fetch its zip with any HTTP client for ten minutes, and nobody can make a link to
 * another package or a longer time. Nothing is looked up before the MAC is right. */
#include "api/gate.h"
#include "api/lambda.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/rec.h"
#include "svc/package.h"

enum { LINK_S = 600, READ_RUN = 256 * 1024 };

struct download {
    struct http_req *req;
    struct store *store;
    uint64_t blob, at, size;
    int fd;
};

/* --- links ------------------------------------------------------------------------------------- */

static void sign(struct store *s, struct str sha256_hex, uint64_t expires_s, char hex[static 65])
{
    struct str master = str_of((const char *)store_master_key(s), 32);
    unsigned char key[32], mac[32];
    char text[128];
    int n = snprintf(text, sizeof text, "%.*s\n%llu", STR_FMT(sha256_hex),
                     (unsigned long long)expires_s);
    hmac_once(HASH_SHA256, master, STR("perilune package links"), key);
    hmac_once(HASH_SHA256, str_of((char *)key, sizeof key), str_of(text, (size_t)n), mac);
    hex_encode(mac, sizeof mac, hex);
}

struct str lambda_package_link(struct call *c, struct str rec)
{
    struct str sha = rec_str(rec, FN_PACKAGE);
    uint64_t expires_s = (uint64_t)(clock_wall_ms() / 1000) + LINK_S;
    char hex[65], mac[65];
    if (sha.n != 32)
        return STR("");
    hex_encode((const unsigned char *)sha.p, sha.n, hex);
    sign(c->svc->store, str_c(hex), expires_s, mac);
    return arena_printf(c->arena, "%.*s" LAMBDA_PACKAGES "%s?Expires=%llu&Signature=%s",
                        STR_FMT(call_base_url(c)), hex, (unsigned long long)expires_s, mac);
}

/* "…/SHA?Expires=N&Signature=MAC" in just this form; the package's key into sha. */
static const char *read_link(struct store *s, const struct http_req *req,
                             unsigned char sha[static 32])
{
    struct str hex = str_from(req->path, sizeof LAMBDA_PACKAGES - 1), rest = req->query;
    struct str expires = str_cut(&rest, '&'), mac = rest;
    uint64_t expires_s;
    char want[65];
    if (hex.n != 64 || !str_starts(expires, STR("Expires=")) ||
        !str_starts(mac, STR("Signature=")) || !str_u64(str_from(expires, 8), &expires_s))
        return "Access Denied";
    sign(s, hex, expires_s, want);
    if (!str_eq_secret(str_from(mac, 10), str_of(want, 64)) || !hex_decode(hex, sha))
        return "Access Denied";
    return clock_wall_ms() / 1000 > (int64_t)expires_s ? "Request has expired" : NULL;
}

/* --- downloads --------------------------------------------------------------------------------- */

static void refuse(struct http_req *req, int status, const char *code, const char *text)
{
    char body[256];
    struct http_header headers[] = {{STR("Content-Type"), STR("application/xml")},
                                    {STR("x-amzn-RequestId"), str_c(req->id)}};
    int n = snprintf(body, sizeof body, "<Error><Code>%s</Code><Message>%s</Message></Error>", code,
                     text);
    http_reply(req, status, headers, 2, str_of(body, (size_t)n));
}

static void read_next(struct download *d);

static void end(struct download *d, bool ok)
{
    blob_close(d->store, d->blob, d->fd);
    http_reply_end(d->req, ok);
}

static void drained(struct http_req *req)
{
    read_next(req->user);
}

static void got(void *ctx, int rc, struct str bytes)
{
    struct download *d = ctx;
    if (rc || bytes.n == 0 || d->req->gone) {
        end(d, false);
        return;
    }
    d->at += bytes.n;
    if (http_reply_write(d->req, bytes) > READ_RUN && d->at < d->size)
        http_reply_drained(d->req, drained);
    else
        read_next(d);
}

static void read_next(struct download *d)
{
    uint64_t left = d->size - d->at;
    if (left == 0 || d->req->gone)
        end(d, left == 0);
    else
        blob_read(d->store, d->fd, d->at, left < READ_RUN ? (size_t)left : READ_RUN, got, d);
}

static void send_blob(struct services *svc, struct http_req *req, uint64_t blob, uint64_t size,
                      const struct http_header *headers, size_t count)
{
    struct download *d = arena_zalloc(req->arena, sizeof *d);
    int rc = 0;
    if (d)
        *d = (struct download){
            .req = req, .store = svc->store, .blob = blob, .size = size, .fd = -1};
    if (!d || (d->fd = blob_open(svc->store, blob, &rc)) < 0) {
        refuse(req, 503, "ServiceUnavailable", "Please retry.");
        return;
    }
    req->user = d;
    http_reply_begin(req, 200, headers, count, (int64_t)size);
    if (str_is(req->method, "HEAD"))
        end(d, true);
    else
        read_next(d);
}

void lambda_package_request(struct services *svc, struct http_req *req)
{
    unsigned char sha[32];
    struct str row, zip = STR("");
    const char *why = read_link(svc->store, req, sha);
    struct http_header headers[] = {{STR("Content-Type"), STR("application/zip")},
                                    {STR("x-amzn-RequestId"), str_c(req->id)}};
    uint64_t blob = 0, size = 0;
    if (why) {
        refuse(req, 403, "AccessDenied", why);
        return;
    }
    struct store_txn *t = store_read(svc->store);
    int rc = store_get(t, T_PACKAGES, str_of((char *)sha, sizeof sha), &row);
    if (rc == 0) {
        blob = rec_u64(row, PACKAGE_ZIP_BLOB, 0);
        size = rec_u64(row, PACKAGE_ZIP_SIZE, 0);
        zip = arena_dup(req->arena, rec_str(row, PACKAGE_ZIP));
    }
    store_read_end(t);
    if (rc)
        refuse(req, 404, "NoSuchKey", "The specified key does not exist.");
    else if (blob)
        send_blob(svc, req, blob, size, headers, 2);
    else
        http_reply(req, 200, headers, 2, zip);
}
