/* s3_complete: CompleteMultipartUpload, from the request to the answer.
 *
 * Documents of more than 64 KiB are read on the pool. What the parts really are is
 * svc/upload_complete.c's affair. */
#include "api/gate.h"
#include "api/s3.h"
#include "api/s3_complete_doc.h"
#include "base/codec.h"
#include "base/work.h"

enum { ON_LOOP_MAX = 64 * 1024 }; /* bytes of a document that are parsed at once */

struct completion {
    struct work work;
    struct call *c;
    struct upload_complete_req req;
    int rc;
    struct err err;
};

static void answer(void *ctx, int rc, const struct object_meta *m, const struct err *err)
{
    struct call *c = ((struct completion *)ctx)->c;
    if (rc) {
        call_error(c, rc, err);
        return;
    }
    struct buf doc = BUF_INIT;
    s3_xml_begin(&doc, "CompleteMultipartUploadResult");
    buf_lit(&doc, "<Location>");
    xml_escape(&doc, call_base_url(c));
    buf_addc(&doc, '/');
    buf_add(&doc, c->param[0]);
    buf_addc(&doc, '/');
    uri_encode(&doc, c->param[1], true);
    buf_lit(&doc, "</Location>");
    xml_element(&doc, "Bucket", c->param[0]);
    xml_element(&doc, "Key", c->param[1]);
    buf_printf(&doc, "<ETag>&quot;%s&quot;</ETag>", m->etag);
    if (m->checksum_alg.n) {
        xml_element(&doc, checksum_element(checksum_of_name(m->checksum_alg)), m->checksum);
        xml_element(&doc, "ChecksumType", m->composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
    }
    buf_lit(&doc, "</CompleteMultipartUploadResult>");
    s3_expiration_of_new(c);
    s3_xml_reply(c, &doc);
}

static void parse(struct work *work)
{
    struct completion *k = work->data;
    k->rc = s3_complete_read(k->c->body, &k->req.claims, &k->req.count, &k->err);
}

static void parsed(struct work *work)
{
    struct completion *k = work->data;
    if (k->rc)
        call_error(k->c, k->rc, &k->err);
    else
        upload_complete(k->c->svc->objects, &k->req, answer, k);
}

/* base64, with the number of parts behind it or without. */
static bool is_checksum(enum checksum_alg alg, struct str value)
{
    unsigned char raw[CHECKSUM_MAX];
    uint64_t parts;
    struct str text = str_cut(&value, '-');
    return checksum_decode(alg, text, raw) && (!value.p || str_u64(value, &parts));
}

/* The object's checksum, its type and its size, when the client tells them. */
static int read_promises(struct completion *k)
{
    struct call *c = k->c;
    struct str type = call_header(c, "x-amz-checksum-type"),
               size = call_header(c, "x-amz-mp-object-size");
    for (enum checksum_alg alg = CHECKSUM_NONE + 1; alg < CHECKSUM_ALGS; alg++) {
        struct str value = call_header(c, checksum_header(alg));
        if (!value.p)
            continue;
        if (k->req.alg)
            return err_set(&k->err, E_BAD_REQUEST,
                           "Expecting a single x-amz-checksum- header. Multiple checksum Types "
                           "are not allowed.");
        if (!is_checksum(alg, value))
            return err_set(&k->err, E_BAD_REQUEST, "Value for %s header is invalid.",
                           checksum_header(alg));
        k->req.alg = alg;
        k->req.checksum = value;
    }
    if (type.n && !str_is(type, "COMPOSITE") && !str_is(type, "FULL_OBJECT"))
        return err_set(&k->err, E_BAD_REQUEST, "Value for x-amz-checksum-type header is invalid.");
    k->req.checksum_type = type;
    k->req.size = UINT64_MAX;
    if (str_starts(size, STR("-")))
        return err_set(&k->err, E_BAD_REQUEST,
                       "Value for x-amz-mp-object-size header is less than zero");
    if (size.p && (!str_u64(size, &k->req.size) || k->req.size == UINT64_MAX))
        return err_set(&k->err, E_BAD_REQUEST, "Value for x-amz-mp-object-size header is invalid.");
    return 0;
}

void s3_complete_upload(struct call *c)
{
    struct completion *k = arena_zalloc(c->arena, sizeof *k);
    if (!k) {
        call_error(c, E_LIMIT, NULL);
        return;
    }
    k->c = c;
    k->work.data = k;
    k->req = (struct upload_complete_req){.bucket = c->param[0],
                                          .key = c->param[1],
                                          .id = call_query(c, "uploadId"),
                                          .request_id = c->req->id,
                                          .peer = c->req->peer,
                                          .principal = s3_principal(c)};
    int rc = s3_write_conditions(c, &k->req.if_none_match, &k->req.if_match, &k->err);
    if (rc == 0)
        rc = read_promises(k);
    if (rc == 0 && c->body.n == 0)
        rc = err_set(&k->err, E_BAD_REQUEST, "You must specify at least one part");
    if (rc) {
        call_error(c, rc, &k->err);
    } else if (c->body.n > ON_LOOP_MAX) {
        work_start(c->svc->loop, &k->work, parse, parsed);
    } else {
        parse(&k->work);
        parsed(&k->work);
    }
}
