/* s3_put: PutObject: from the head's promises to the commit.
 *
 * Everything that can be refused from the head alone is refused before a byte of the body is taken
 * (and so before `100 Continue`). The body then flows through s3_body, which knows its forms, into
 * svc/ingest, which compares it with what was promised (payload hash, Content-MD5, checksum) before
 * anything lasts. */
#include "api/gate.h"
#include "api/s3.h"
#include "api/s3_body.h"

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
    s3_checksum_answer(c, m);
    s3_expiration_of_new(c);
    call_empty(c, 200);
}

static void body_taken(struct call *c, int rc, const struct err *err)
{
    struct object_put *put = c->user;
    if (rc == 0) {
        object_put_finish(put, put_done, c);
        return;
    }
    object_put_abort(put);
    call_error(c, rc, err);
}

void s3_put_object(struct call *c)
{
    struct err err = {0};
    struct s3_meta meta = {.content_type = {NULL, 0}};
    struct s3_body *body = NULL;
    struct object_put_req r = {.bucket = c->param[0],
                               .key = c->param[1],
                               .request_id = c->req->id,
                               .peer = c->req->peer,
                               .principal = s3_principal(c)};
    int rc = s3_key_check(r.key);
    if (rc == 0)
        rc = s3_bucket_check(c);
    if (rc == 0)
        rc = s3_body_read(c, &body, &err);
    if (rc == 0)
        rc = s3_write_conditions(c, &r.if_none_match, &r.if_match, &err);
    if (rc == 0)
        rc = s3_meta_read(c, &meta, &err);
    if (rc == 0 && !store_writable(c->svc->store))
        rc = E_NO_SPACE;
    if (rc == 0) {
        r.content_type = meta.content_type;
        r.headers = buf_str(&meta.headers);
        r.user_meta = buf_str(&meta.user_meta);
        r.tags = buf_str(&meta.tags);
        r.promise = *s3_body_promise(body);
        c->user = object_put_open(c->svc->objects, &r);
    }
    s3_meta_free(&meta);
    if (rc)
        call_error(c, rc, &err);
    else
        s3_body_take(body, object_put_ingest(c->user), body_taken);
}
