/* s3_copy: CopyObject: what is copied, whether it may be, and what the copy keeps.
 *
 * The source is judged in a snapshot (is it there, may the caller read it, do the conditions hold)
 * and copied by a job that asks for exactly that state of it; when it has changed meanwhile, it is
 * judged again. A checksum that the source does not have is made by reading it once, in runs of a
 * size that the loop can hash; no byte is written. */
#include "api/s3_copy.h"

#include "api/gate.h"
#include "base/codec.h"
#include "svc/object_copy.h"
#include "svc/object_read.h"

enum { HASH_RUN = 64 * 1024, TRIES = 5 };

static const uint64_t SOURCE_MAX = 5368709120;

/* --- the source ---------------------------------------------------------------------------------
 */

int s3_copy_source(struct call *c, struct s3_copy_source *out, struct err *err)
{
    struct buf text = BUF_INIT;
    struct str given = call_header(c, "x-amz-copy-source"), version = {NULL, 0};
    ptrdiff_t at = str_find(given, STR("?versionId="));
    if (at >= 0) {
        version = str_from(given, (size_t)at + 11);
        given.n = (size_t)at;
    }
    bool ok = uri_decode(&text, given, false);
    struct str rest = ok ? arena_dup(c->arena, buf_str(&text)) : str_of(NULL, 0);
    buf_deinit(&text);
    if (str_starts(rest, STR("/")))
        rest = str_from(rest, 1);
    out->bucket = str_cut(&rest, '/');
    out->key = rest;
    if (out->bucket.n == 0 || out->key.n == 0)
        return err_set(err, E_INVALID,
                       "Copy Source must mention the source bucket and key: "
                       "sourcebucket/sourcekey");
    return s3_version_judge(version, err);
}

static int conditions_hold(struct call *c, const struct object_meta *m)
{
    struct s3_conditions k = {call_header(c, "x-amz-copy-source-if-match"),
                              call_header(c, "x-amz-copy-source-if-none-match"),
                              call_header(c, "x-amz-copy-source-if-modified-since"),
                              call_header(c, "x-amz-copy-source-if-unmodified-since")};
    return s3_conditions_judge(&k, str_c(m->etag), m->modified_ms) == 200 ? 0 : E_PRECONDITION;
}

int s3_copy_find(struct call *c, const struct s3_copy_source *s, struct store_txn *t,
                 struct object_meta *m, struct err *err)
{
    struct str bucket = call_s3_arn(c, s->bucket, (struct str){NULL, 0});
    struct str object = call_s3_arn(c, s->bucket, s->key);
    if (!bucket.p || !object.p)
        return E_LIMIT;
    int rc = call_authorise(c, "s3:GetObject", object, err);
    if (rc == 0)
        rc = object_get(t, s->bucket, s->key, m);
    if (rc == E_NO_KEY && call_authorise(c, "s3:ListBucket", bucket, NULL))
        rc = err_set(err, E_DENIED, "Access Denied");
    if (rc == E_NO_BUCKET)
        snprintf(err->resource, sizeof err->resource, "/%.*s", STR_FMT(s->bucket));
    return rc ? rc : conditions_hold(c, m);
}

/* --- the call -----------------------------------------------------------------------------------
 */

struct copying {
    struct call *c;
    struct s3_copy_source source;
    struct object_copy_req req;
    struct s3_meta meta;
    enum checksum_alg want; /* CHECKSUM_NONE: whatever the source has */
    int tries;
    struct object_read *read; /* while a checksum is made */
    struct checksum sum;
    char etag[sizeof((struct object_meta *)0)->etag], text[CHECKSUM_TEXT_MAX];
};

static void judge(struct copying *p);

static void copying_end(struct copying *p, int rc, const struct err *err)
{
    s3_meta_free(&p->meta);
    call_error(p->c, rc, err);
}

static void answer(struct copying *p, const struct object_meta *m)
{
    struct call *c = p->c;
    struct buf doc = BUF_INIT;
    s3_xml_begin(&doc, "CopyObjectResult");
    s3_xml_time(&doc, "LastModified", m->modified_ms);
    buf_printf(&doc, "<ETag>&quot;%s&quot;</ETag>", m->etag);
    enum checksum_alg alg = checksum_of_name(m->checksum_alg);
    if (alg != CHECKSUM_NONE) {
        xml_element(&doc, checksum_element(alg), m->checksum);
        xml_element(&doc, "ChecksumType", m->composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
    }
    buf_lit(&doc, "</CopyObjectResult>");
    s3_encryption_answer(c);
    s3_meta_free(&p->meta);
    s3_expiration_of_new(c);
    s3_xml_reply(c, &doc);
}

static void copied(void *ctx, int rc, const struct object_meta *m, const struct err *err)
{
    struct copying *p = ctx;
    if (rc == E_CONFLICT && ++p->tries < TRIES)
        judge(p);
    else if (rc)
        copying_end(p, rc, err);
    else
        answer(p, m);
}

/* --- a checksum that the source lacks -----------------------------------------------------------
 */

static void hash_run(void *ctx, int rc, struct str bytes);

static void hash_end(struct copying *p)
{
    unsigned char raw[CHECKSUM_MAX];
    checksum_final(&p->sum, raw);
    checksum_encode(p->want, raw, p->text);
    p->req.checksum_alg = str_c(checksum_name(p->want));
    p->req.checksum = str_c(p->text);
    object_copy(p->c->svc->objects, &p->req, copied, p);
}

static void hash_run(void *ctx, int rc, struct str bytes)
{
    struct copying *p = ctx;
    bool over = rc || p->c->req->gone || bytes.n == 0;
    checksum_update(&p->sum, bytes);
    if (!over && object_read_left(p->read) > 0) {
        object_read_next(p->read, HASH_RUN, hash_run, p);
        return;
    }
    object_read_close(p->read);
    p->read = NULL;
    if (rc == 0 && !p->c->req->gone) {
        hash_end(p);
        return;
    }
    checksum_deinit(&p->sum);
    copying_end(p, rc ? rc : E_ABORTED, NULL);
}

/* --- judging ------------------------------------------------------------------------------------
 */

static int check_itself(struct copying *p, const struct object_meta *m, struct err *err)
{
    struct call *c = p->c;
    if (m->size > SOURCE_MAX)
        return err_set(err, E_BAD_REQUEST,
                       "The specified copy source is larger than the maximum allowable size for a "
                       "copy source: 5368709120");
    if (!str_eq(p->source.bucket, c->param[0]) || !str_eq(p->source.key, c->param[1]))
        return 0;
    if (p->req.replace_meta || call_header(c, "x-amz-storage-class").p ||
        call_header(c, "x-amz-server-side-encryption").p ||
        (p->want != CHECKSUM_NONE && !str_is(m->checksum_alg, checksum_name(p->want))))
        return 0;
    return err_set(err, E_BAD_REQUEST,
                   "This copy request is illegal because it is trying to copy an object to itself "
                   "without changing the object's metadata, storage class, website redirect "
                   "location or encryption attributes.");
}

static void judge(struct copying *p)
{
    struct call *c = p->c;
    struct err err = {0};
    struct object_meta m;
    bool hashes = false;
    struct store_txn *t = store_read(c->svc->store);
    int rc = s3_copy_find(c, &p->source, t, &m, &err);
    if (rc == 0)
        rc = check_itself(p, &m, &err);
    if (rc == 0) {
        memcpy(p->etag, m.etag, sizeof p->etag);
        p->req.expect_etag = str_c(p->etag);
        p->req.expect_modified_ms = m.modified_ms;
        hashes = p->want != CHECKSUM_NONE &&
                 (m.composite || !str_is(m.checksum_alg, checksum_name(p->want)));
    }
    if (rc == 0 && hashes && m.size) {
        p->read = object_read_open(c->svc->objects, &m, 0, m.size, &rc);
        if (!p->read)
            rc = rc ? rc : E_INTERNAL;
    }
    store_read_end(t);
    if (rc) {
        copying_end(p, rc, &err);
        return;
    }
    if (hashes)
        checksum_init(&p->sum, p->want);
    if (p->read)
        object_read_next(p->read, HASH_RUN, hash_run, p);
    else if (hashes)
        hash_end(p);
    else
        object_copy(c->svc->objects, &p->req, copied, p);
}

/* --- the request --------------------------------------------------------------------------------
 */

/* COPY, REPLACE or nothing. */
static int read_directive(struct call *c, const char *header, bool *replace, struct err *err)
{
    struct str given = call_header(c, header);
    *replace = str_is(given, "REPLACE");
    if (!given.p || *replace || str_is(given, "COPY"))
        return 0;
    return err_set(err, E_INVALID, "Unknown %s directive.",
                   strstr(header, "tagging") ? "tagging" : "metadata");
}

static int read_request(struct copying *p, struct err *err)
{
    struct call *c = p->c;
    struct object_copy_req *r = &p->req;
    struct str alg = call_header(c, "x-amz-checksum-algorithm");
    *r = (struct object_copy_req){.bucket = c->param[0],
                                  .key = c->param[1],
                                  .request_id = c->req->id,
                                  .peer = c->req->peer,
                                  .principal = s3_principal(c)};
    int rc = s3_key_check(c->param[1]);
    if (rc == 0)
        rc = s3_bucket_check(c);
    if (rc == 0)
        rc = s3_copy_source(c, &p->source, err);
    if (rc == 0)
        rc = read_directive(c, "x-amz-metadata-directive", &r->replace_meta, err);
    if (rc == 0)
        rc = read_directive(c, "x-amz-tagging-directive", &r->replace_tags, err);
    if (rc == 0)
        rc = s3_write_conditions(c, &r->if_none_match, &r->if_match, err);
    if (rc == 0)
        rc = s3_meta_read(c, &p->meta, err);
    p->want = checksum_of_name(alg);
    if (rc == 0 && alg.p && p->want == CHECKSUM_NONE)
        rc = err_set(err, E_BAD_REQUEST,
                     "Checksum algorithm provided is unsupported. Please try again with any of "
                     "the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    r->from_bucket = p->source.bucket;
    r->from_key = p->source.key;
    r->content_type = p->meta.content_type;
    r->headers = buf_str(&p->meta.headers);
    r->user_meta = buf_str(&p->meta.user_meta);
    r->storage_class = call_header(c, OBJECT_CLASS);
    r->tags = buf_str(&p->meta.tags);
    return rc;
}

void s3_copy_object(struct call *c)
{
    struct err err = {0};
    struct copying *p = arena_zalloc(c->arena, sizeof *p);
    if (!p) {
        call_error(c, E_LIMIT, NULL);
        return;
    }
    p->c = c;
    int rc = read_request(p, &err);
    if (rc)
        copying_end(p, rc, &err);
    else
        judge(p);
}
