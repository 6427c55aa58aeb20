/* s3_put: PutObject: from the head's promises to the commit.
 *
 * Everything that can be refused from the head alone is refused before a byte of the body is taken
 * (and so before `100 Continue`). The body then flows into svc/object, pausing the connection while
 * too much of it waits; what the head promised about it (payload hash, Content-MD5, CRC-32, size)
 * is compared there before anything lasts.
 *
 * Headers that ask for something this server does not do are refused rather than dropped: a client
 * that asks for a tag, a lock or encryption must not believe that it got it. */
#include "api/gate.h"
#include "api/s3.h"
#include "base/codec.h"

struct upload {
    struct call *c;
    struct object_put *put;
    struct buf headers, user_meta, tags;
    bool want_checksum;
};

static const char *const kept_headers[] = {"cache-control",    "content-disposition",
                                           "content-encoding", "content-language",
                                           "expires",          "x-amz-server-side-encryption"};

/* Refused with 501 when present at all. */
static const char *const unknown_headers[] = {
    "x-amz-copy-source",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",
    "x-amz-write-offset-bytes",
    "x-amz-trailer",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
};

static int check_unknown(struct call *c, struct err *err)
{
    for (size_t i = 0; i < sizeof unknown_headers / sizeof *unknown_headers; i++)
        if (call_header(c, unknown_headers[i]).p)
            return err_set(err, E_NOT_IMPLEMENTED,
                           "A header you provided implies functionality that is not implemented: "
                           "%s",
                           unknown_headers[i]);
    if (str_find(call_header(c, "content-encoding"), STR("aws-chunked")) >= 0 ||
        str_starts(call_header(c, "x-amz-content-sha256"), STR("STREAMING-")))
        return err_set(err, E_NOT_IMPLEMENTED, "aws-chunked bodies are not implemented");
    return 0;
}

/* --- the head's promises ------------------------------------------------------------------------
 */

/* Base64 of exactly n bytes into the arena; false else. */
static bool decode_digest(struct call *c, struct str text, size_t n, struct str *out)
{
    struct buf b;
    buf_init(&b, 64);
    bool ok = base64_decode(&b, text) && b.rc == 0 && b.n == n;
    if (ok)
        *out = arena_dup(c->arena, buf_str(&b));
    buf_deinit(&b);
    return ok && out->p;
}

static int read_digests(struct upload *u, struct object_put_req *r, struct err *err)
{
    struct call *c = u->c;
    struct str md5 = call_header(c, "content-md5"), crc = call_header(c, "x-amz-checksum-crc32");
    struct str alg = call_header(c, "x-amz-sdk-checksum-algorithm");
    if (md5.p && !decode_digest(c, md5, 16, &r->promise.md5))
        return E_INVALID_DIGEST;
    if (crc.p && !decode_digest(c, crc, 4, &r->promise.checksum_raw))
        return err_set(err, E_BAD_REQUEST, "Value for x-amz-checksum-crc32 header is invalid.");
    if (alg.n && !str_ieq(alg, STR("CRC32")))
        return err_set(err, E_NOT_IMPLEMENTED, "Of the checksums, CRC32 is implemented");
    if (alg.n && !crc.p)
        return err_set(err, E_BAD_REQUEST,
                       "x-amz-sdk-checksum-algorithm specified, but no corresponding "
                       "x-amz-checksum-* or x-amz-trailer headers were found.");
    u->want_checksum = crc.p != NULL;
    if (crc.p)
        r->promise.checksum = CHECKSUM_CRC32;
    if (c->expect_sha256.p) {
        char *raw = arena_alloc(c->arena, 32);
        if (!raw || c->expect_sha256.n != 64 || !hex_decode(c->expect_sha256, raw))
            return E_BAD_SHA256;
        r->promise.sha256 = str_of(raw, 32);
    }
    return 0;
}

static int read_conditions(struct call *c, struct object_put_req *r, struct err *err)
{
    struct str none = call_header(c, "if-none-match"), match = call_header(c, "if-match");
    if ((none.p && !str_is(none, "*")) || (match.p && (match.n == 0 || str_is(match, "*"))))
        return err_set(err, E_NOT_IMPLEMENTED,
                       "A header you provided implies functionality that is not implemented");
    r->if_none_match = none.p != NULL;
    if (match.n >= 2 && match.p[0] == '"' && match.p[match.n - 1] == '"')
        match = str_of(match.p + 1, match.n - 2);
    r->if_match = match;
    return 0;
}

static void read_metadata(struct upload *u, struct object_put_req *r)
{
    struct call *c = u->c;
    static const char prefix[] = "x-amz-meta-";
    for (size_t i = 0; i < sizeof kept_headers / sizeof *kept_headers; i++) {
        struct str value = call_header(c, kept_headers[i]);
        if (value.p)
            object_pair_put(&u->headers, str_c(kept_headers[i]), value);
    }
    for (size_t i = 0; i < c->req->header_count; i++) {
        const struct http_header *h = &c->req->headers[i];
        char name[256];
        size_t n = h->name.n - (sizeof prefix - 1);
        if (h->name.n < sizeof prefix - 1 || n >= sizeof name ||
            !str_ieq(str_of(h->name.p, sizeof prefix - 1), STR(prefix)))
            continue;
        for (size_t k = 0; k < n; k++) {
            char ch = h->name.p[sizeof prefix - 1 + k];
            name[k] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
        }
        object_pair_put(&u->user_meta, str_of(name, n), h->value);
    }
    r->content_type = call_header(c, "content-type");
    r->headers = buf_str(&u->headers);
    r->user_meta = buf_str(&u->user_meta);
}

/* --- the body -----------------------------------------------------------------------------------
 */

static void put_done(void *ctx, int rc, const struct object_meta *m, const struct err *err)
{
    struct call *c = ctx;
    if (rc) {
        call_error(c, rc, err);
        return;
    }
    struct str etag = arena_printf(c->arena, "\"%s\"", m->etag);
    call_set_header(c, "ETag", etag);
    s3_encryption_answer(c);
    if (m->checksum_alg.n) {
        call_set_header(c, "x-amz-checksum-crc32", m->checksum);
        call_set_header(c, "x-amz-checksum-type", STR("FULL_OBJECT"));
    }
    call_empty(c, 200);
}

static struct upload *upload_of(struct http_req *req)
{
    return ((struct call *)req->user)->user;
}

static void body_data(struct http_req *req, struct str bytes)
{
    if (!object_put_write(upload_of(req)->put, bytes))
        http_body_pause(req);
}

static void body_drained(void *ctx)
{
    http_body_resume(((struct call *)ctx)->req);
}

static void body_end(struct http_req *req, int rc)
{
    struct upload *u = upload_of(req);
    if (rc == 0) {
        object_put_finish(u->put, put_done, u->c);
        return;
    }
    object_put_abort(u->put);
    call_error(u->c, rc, NULL);
}

static const struct http_sink body_sink = {body_data, body_end};

/* Key bytes leave in XML and in events: UTF-8 only. */
static int check_key(struct str key)
{
    if (key.n > OBJKEY_MAX)
        return E_KEY_TOO_LONG;
    return str_utf8(key) ? 0 : E_BAD_URI;
}

void s3_put_object(struct call *c)
{
    struct err err = {0};
    struct object_put_req r = {.bucket = c->param[0],
                               .key = c->param[1],
                               .request_id = c->req->id,
                               .peer = c->req->peer,
                               .principal = s3_principal(c)};
    struct upload *u = arena_zalloc(c->arena, sizeof *u);
    int rc = u ? 0 : E_LIMIT;
    if (rc == 0) {
        u->c = c;
        c->user = u;
        rc = check_key(r.key);
    }
    if (rc == 0)
        rc = s3_bucket_check(c);
    if (rc == 0)
        rc = check_unknown(c, &err);
    if (rc == 0)
        rc = read_digests(u, &r, &err);
    if (rc == 0)
        rc = read_conditions(c, &r, &err);
    if (rc == 0) {
        read_metadata(u, &r);
        rc = object_meta_check(&r);
    }
    if (rc == 0)
        rc = s3_acl_headers(c);
    if (rc == 0)
        rc = s3_encryption_headers(c, &err);
    if (rc == 0)
        rc = s3_tags_header(c, &u->tags, &err);
    if (rc == 0 && u->tags.n)
        rc = s3_authorise_object(c, "s3:PutObjectTagging", &err);
    r.tags = buf_str(&u->tags);
    if (rc == 0 && c->req->content_length == 0 && !call_header(c, "content-length").p)
        rc = E_LENGTH_REQUIRED;
    if (rc == 0 && c->req->content_length > 0 &&
        (uint64_t)c->req->content_length > c->op->body_limit)
        rc = err_set(&err, E_LIMIT, "Your proposed upload exceeds the maximum allowed size");
    if (rc == 0 && !store_writable(c->svc->store))
        rc = E_NO_SPACE;
    if (rc == 0) {
        u->put = object_put_open(c->svc->objects, &r);
        object_put_on_drained(u->put, body_drained, c);
    }
    if (u) {
        buf_deinit(&u->headers);
        buf_deinit(&u->user_meta);
        buf_deinit(&u->tags);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        http_body_stream(c->req, c->op->body_limit, &body_sink);
}
