/* s3_part: UploadPart.
 *
 * The way of PutObject with another end: the same forms of bodies, the same checks, and then a row
 * of the upload instead of an object. */
#include "api/s3_part.h"

#include "api/gate.h"
#include "api/s3.h"
#include "api/s3_body.h"

int s3_part_read(struct call *c, struct s3_part *p, struct err *err)
{
    struct upload u;
    uint64_t number;
    if (!str_u64(call_query(c, "partNumber"), &number) || number == 0 || number > EXTENTS_MAX)
        return err_set(err, E_INVALID,
                       "Part number must be an integer between 1 and 10000, inclusive");
    struct store_txn *t = store_read(c->svc->store);
    int rc = upload_get_open(t, c->param[0], c->param[1], call_query(c, "uploadId"), &u);
    if (rc == 0)
        *p = (struct s3_part){.upload = u.id,
                              .number = (uint32_t)number,
                              .checksum = u.checksum,
                              .composite = u.composite};
    store_read_end(t);
    return rc;
}

static void put_done(void *ctx, int rc, const struct ingest_facts *f, const struct err *err)
{
    struct call *c = ctx;
    if (rc) {
        call_error(c, rc, err);
        return;
    }
    call_set_header(c, "ETag", arena_printf(c->arena, "\"%s\"", f->etag));
    if (f->checksum)
        call_set_header(c, checksum_header(f->checksum), str_c(f->checksum_text));
    call_empty(c, 200);
}

static void body_taken(struct call *c, int rc, const struct err *err)
{
    struct upload_part *part = c->user;
    if (rc == 0) {
        upload_part_finish(part, put_done, c);
        return;
    }
    upload_part_abort(part);
    call_error(c, rc, err);
}

/* Parts of an upload with a checksum come with it; where the object's checksum is of all bytes they
 * need not, and it is made here. */
static int check_checksum(const struct s3_part *p, struct body_promise *promise, struct err *err)
{
    if (!promise->checksum && !p->composite)
        promise->checksum = p->checksum;
    if (p->checksum && promise->checksum != p->checksum)
        return err_set(err, E_BAD_REQUEST,
                       "Checksum Type mismatch occurred, expected checksum Type: %s, actual "
                       "checksum Type: %s",
                       checksum_word(p->checksum), checksum_word(promise->checksum));
    return 0;
}

void s3_upload_part(struct call *c)
{
    struct err err = {0};
    struct s3_part p;
    struct s3_body *body = NULL;
    int rc = s3_part_read(c, &p, &err);
    if (rc == 0)
        rc = s3_body_read(c, &body, &err);
    if (rc == 0)
        rc = check_checksum(&p, s3_body_promise(body), &err);
    if (rc == 0 && !store_writable(c->svc->store))
        rc = E_NO_SPACE;
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    c->user = upload_part_open(c->svc->objects, c->param[0], c->param[1], p.upload, p.number,
                               s3_body_promise(body));
    s3_body_take(body, upload_part_ingest(c->user), body_taken);
}
