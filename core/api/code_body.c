/* code_body: from body bytes to a zip in memory or in a blob, without holding the body.
 *
 * The digest of the whole body is made on the way and checked before anything is acted upon; until
 * then the zip is an unreferenced blob that any refusal discards. When the disk is slower than the
 * client, the connection is paused. */
#include "api/code_body.h"

#include "base/codec.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "net/http.h"

enum { PAUSE = 1024 * 1024 };

struct code_body {
    struct call *c;
    void (*done)(struct call *c, int rc, const struct package_source *src, const struct err *err);
    struct hash *hash;
    struct code_filter filter;
    struct buf small;           /* the zip while it is small */
    struct blob_writer *writer; /* else */
    struct package_source src;
    struct err err;
};

static struct code_body *of(struct http_req *req)
{
    return ((struct call *)req->user)->user;
}

static void resume(void *ctx)
{
    struct code_body *b = ctx;
    http_body_resume(b->c->req);
}

static void zip_bytes(void *ctx, struct str bytes)
{
    struct code_body *b = ctx;
    if (!b->writer && b->small.n + bytes.n <= PACKAGE_INLINE_MAX) {
        buf_add(&b->small, bytes);
        return;
    }
    if (!b->writer) {
        b->writer = blob_create(b->c->svc->store);
        blob_on_drained(b->writer, resume, b);
        blob_write(b->writer, buf_str(&b->small));
        buf_clear(&b->small);
    }
    if (blob_write(b->writer, bytes) > PAUSE)
        http_body_pause(b->c->req);
}

static void zip_again(void *ctx)
{
    struct code_body *b = ctx;
    if (b->writer)
        blob_abort(b->writer);
    b->writer = NULL;
    buf_clear(&b->small);
}

/* Ends with done; what src points to lies in the arena. */
static void finish(struct code_body *b, int rc)
{
    struct call *c = b->c;
    struct package_source src = b->src;
    struct err err = b->err;
    if (b->writer)
        blob_abort(b->writer);
    if (rc == 0 && b->filter.found && !src.blob) {
        src.zip = arena_dup(c->arena, buf_str(&b->small));
        rc = src.zip.p ? 0 : E_LIMIT;
    }
    hash_free(b->hash);
    code_filter_deinit(&b->filter);
    buf_deinit(&b->small);
    c->user = NULL;
    b->done(c, rc, rc ? NULL : &src, rc ? &err : NULL);
}

static void blob_done(void *ctx, int rc, uint64_t id, uint64_t size)
{
    struct code_body *b = ctx;
    (void)size;
    b->writer = NULL;
    b->src.blob = rc ? 0 : id;
    b->src.own_blob = true;
    finish(b, rc);
}

static int check_whole(struct code_body *b)
{
    unsigned char digest[32];
    char hex[65];
    struct call *c = b->c;
    hash_final(b->hash, digest);
    b->hash = NULL;
    hex_encode(digest, sizeof digest, hex);
    int rc = call_body_check(c, str_of(hex, 64), &b->err);
    if (rc)
        return rc;
    code_filter_end(&b->filter);
    if (b->filter.rc == E_INVALID)
        return err_set(&b->err, E_BAD_ZIP, "%s", err_row(E_BAD_ZIP)->text);
    if (b->filter.rc == E_LIMIT)
        return err_set(&b->err, E_LIMIT, "The members beside the code are too large");
    struct str text = buf_str(&b->filter.json);
    c->json = json_parse(text.n ? text : STR("{}"), &b->err);
    if (!c->json)
        return E_BAD_JSON;
    return json_is_object(c->json) ? 0
                                   : err_set(&b->err, E_BAD_JSON,
                                             "Could not parse request body into json: an object is "
                                             "expected");
}

static void on_data(struct http_req *req, struct str bytes)
{
    struct code_body *b = of(req);
    hash_update(b->hash, bytes.p, bytes.n);
    code_filter_feed(&b->filter, bytes);
}

static void on_end(struct http_req *req, int rc)
{
    struct code_body *b = of(req);
    if (rc == E_LIMIT)
        err_set(&b->err, rc, "Request must be smaller than %llu bytes for the %s operation",
                (unsigned long long)b->c->op->body_limit, b->c->op->name);
    if (rc == 0)
        rc = check_whole(b);
    if (rc == 0 && b->writer)
        blob_finish(b->writer, blob_done, b);
    else
        finish(b, rc);
}

void code_body_take(struct call *c, bool nested,
                    void (*done)(struct call *c, int rc, const struct package_source *src,
                                 const struct err *err))
{
    static const struct http_sink sink = {on_data, on_end};
    struct code_body *b = arena_zalloc(c->arena, sizeof *b);
    if (!b) {
        done(c, E_LIMIT, NULL, NULL);
        return;
    }
    b->c = c;
    b->done = done;
    b->hash = hash_new(HASH_SHA256);
    code_filter_init(&b->filter, nested);
    b->filter.zip = zip_bytes;
    b->filter.again = zip_again;
    b->filter.ctx = b;
    c->user = b;
    http_body_stream(c->req, c->op->body_limit, &sink);
}
