/* s3_uploads: the life of a multipart upload but for its bytes: CreateMultipartUpload,
 * AbortMultipartUpload, ListParts, ListMultipartUploads. */
#include "api/gate.h"
#include "api/s3.h"
#include "base/codec.h"
#include "svc/upload.h"

enum { PAGE_MAX = 1000 };

/* --- create ------------------------------------------------------------------------------------ */

static void created(void *ctx, int rc, uint64_t id)
{
    struct call *c = ctx;
    char text[UPLOAD_ID_MAX];
    if (rc) {
        call_error(c, rc, NULL);
        return;
    }
    struct buf doc = BUF_INIT;
    upload_id_text(id, text);
    s3_encryption_answer(c);
    s3_xml_begin(&doc, "InitiateMultipartUploadResult");
    xml_element(&doc, "Bucket", c->param[0]);
    xml_element(&doc, "Key", c->param[1]);
    xml_element(&doc, "UploadId", str_c(text));
    buf_lit(&doc, "</InitiateMultipartUploadResult>");
    s3_xml_reply(c, &doc);
}

/* Which checksum the parts and the object will have. SHA digests cannot be put together from those
 * of parts, CRC64NVME is always of all bytes, and the two older CRCs may be either. */
static int read_checksum(struct call *c, enum checksum_alg *alg, bool *composite, struct err *err)
{
    struct str name = call_header(c, "x-amz-checksum-algorithm"),
               type = call_header(c, "x-amz-checksum-type");
    *alg = checksum_of_name(name);
    if (name.n && !*alg)
        return err_set(err, E_BAD_REQUEST,
                       "Checksum algorithm provided is unsupported. Please try again with any of "
                       "the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    if (type.n && !str_is(type, "COMPOSITE") && !str_is(type, "FULL_OBJECT"))
        return err_set(err, E_BAD_REQUEST, "Value for x-amz-checksum-type header is invalid.");
    if (type.n && !*alg)
        return err_set(err, E_BAD_REQUEST,
                       "The x-amz-checksum-type header can only be used with the "
                       "x-amz-checksum-algorithm header.");
    *composite = *alg && *alg != CHECKSUM_CRC64NVME && !str_is(type, "FULL_OBJECT");
    bool sha = *alg == CHECKSUM_SHA1 || *alg == CHECKSUM_SHA256;
    if ((sha && str_is(type, "FULL_OBJECT")) ||
        (*alg == CHECKSUM_CRC64NVME && str_is(type, "COMPOSITE")))
        return err_set(err, E_BAD_REQUEST,
                       "The %.*s checksum type cannot be used with the %s checksum algorithm.",
                       STR_FMT(type), checksum_name(*alg));
    if (*alg) {
        call_set_header(c, "x-amz-checksum-algorithm", str_c(checksum_name(*alg)));
        call_set_header(c, "x-amz-checksum-type",
                        *composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
    }
    return 0;
}

void s3_create_upload(struct call *c)
{
    struct err err = {0};
    struct s3_meta meta = {.content_type = {NULL, 0}};
    struct object_put_req r = {.bucket = c->param[0], .key = c->param[1]};
    enum checksum_alg alg = CHECKSUM_NONE;
    bool composite = false;
    int rc = s3_key_check(r.key);
    if (rc == 0)
        rc = s3_bucket_check(c);
    if (rc == 0)
        rc = s3_meta_read(c, &meta, &err);
    if (rc == 0)
        rc = read_checksum(c, &alg, &composite, &err);
    if (rc == 0) {
        r.content_type = meta.content_type;
        r.headers = buf_str(&meta.headers);
        r.user_meta = buf_str(&meta.user_meta);
        r.tags = buf_str(&meta.tags);
        upload_create(c->svc->objects, &r, alg, composite, created, c);
    } else {
        call_error(c, rc, &err);
    }
    s3_meta_free(&meta);
}

/* --- abort ------------------------------------------------------------------------------------- */

static void aborted(void *ctx, int rc)
{
    if (rc)
        call_error(ctx, rc, NULL);
    else
        call_empty(ctx, 204);
}

void s3_abort_upload(struct call *c)
{
    upload_abort(c->svc->objects, c->param[0], c->param[1], call_query(c, "uploadId"), aborted, c);
}

/* --- what both lists share --------------------------------------------------------------------- */

static int read_limit(struct call *c, const char *name, uint64_t *limit, struct err *err)
{
    struct str given = call_query(c, name);
    *limit = PAGE_MAX;
    if (given.n && (!str_u64(given, limit) || *limit > INT32_MAX))
        return err_set(err, E_INVALID, "Argument %s must be an integer between 0 and 2147483647",
                       name);
    if (*limit > PAGE_MAX)
        *limit = PAGE_MAX;
    return 0;
}

static void add_people(struct buf *doc)
{
    s3_xml_owner(doc, "Initiator");
    s3_xml_owner(doc, "Owner");
    buf_lit(doc, "<StorageClass>STANDARD</StorageClass>");
}

static void add_checksum_kind(struct buf *doc, const struct upload *u)
{
    if (!u->checksum)
        return;
    xml_element(doc, "ChecksumAlgorithm", str_c(checksum_name(u->checksum)));
    xml_element(doc, "ChecksumType", u->composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
}

/* --- ListParts --------------------------------------------------------------------------------- */

struct parts {
    struct buf doc, rows;
    uint32_t last;
};

static void add_part(void *ctx, const struct extent *x)
{
    struct parts *p = ctx;
    struct buf *doc = &p->rows;
    char md5[2 * EXTENT_MD5 + 1];
    hex_encode(x->md5.p, EXTENT_MD5, md5);
    p->last = x->number;
    buf_lit(doc, "<Part>");
    s3_xml_number(doc, "PartNumber", x->number);
    s3_xml_time(doc, "LastModified", x->modified_ms);
    buf_printf(doc, "<ETag>&quot;%s&quot;</ETag>", md5);
    s3_xml_number(doc, "Size", x->size);
    if (x->checksum_alg.n)
        xml_element(doc, checksum_element(checksum_of_name(x->checksum_alg)), x->checksum);
    buf_lit(doc, "</Part>");
}

static void write_parts(struct call *c, struct parts *p, const struct upload *u, uint64_t after,
                        uint64_t limit, bool truncated)
{
    struct buf *doc = &p->doc;
    s3_xml_begin(doc, "ListPartsResult");
    xml_element(doc, "Bucket", c->param[0]);
    xml_element(doc, "Key", c->param[1]);
    xml_element(doc, "UploadId", call_query(c, "uploadId"));
    add_people(doc);
    s3_xml_number(doc, "PartNumberMarker", after);
    s3_xml_number(doc, "NextPartNumberMarker", p->last);
    s3_xml_number(doc, "MaxParts", limit);
    buf_printf(doc, "<IsTruncated>%s</IsTruncated>", truncated ? "true" : "false");
    add_checksum_kind(doc, u);
    buf_add(doc, buf_str(&p->rows));
    buf_lit(doc, "</ListPartsResult>");
}

void s3_list_parts(struct call *c)
{
    struct err err = {0};
    struct upload u;
    struct parts p = {.doc = BUF_INIT, .rows = BUF_INIT};
    uint64_t limit, after = 0;
    bool truncated = false;
    struct str marker = call_query(c, "part-number-marker");
    int rc = read_limit(c, "max-parts", &limit, &err);
    if (rc == 0 && marker.n && (!str_u64(marker, &after) || after > INT32_MAX))
        rc = err_set(&err, E_INVALID,
                     "Argument part-number-marker must be an integer between 0 and "
                     "2147483647");
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct store_txn *t = store_read(c->svc->store);
    rc = upload_get_open(t, c->param[0], c->param[1], call_query(c, "uploadId"), &u);
    if (rc == 0)
        rc = upload_parts(t, u.id, (uint32_t)after, (size_t)limit, add_part, &p, &truncated);
    if (rc == 0)
        write_parts(c, &p, &u, after, limit, truncated && limit);
    store_read_end(t);
    buf_deinit(&p.rows);
    if (rc) {
        buf_deinit(&p.doc);
        call_error(c, rc, NULL);
        return;
    }
    s3_xml_reply(c, &p.doc);
}

/* --- ListMultipartUploads ---------------------------------------------------------------------- */

struct uploads {
    struct buf doc, rows;
    bool url_encoding;
};

static void add_text(const struct uploads *s, struct buf *out, const char *name, struct str text)
{
    if (!s->url_encoding) {
        xml_element(out, name, text);
        return;
    }
    buf_printf(out, "<%s>", name);
    uri_encode(out, text, true);
    buf_printf(out, "</%s>", name);
}

static void add_upload(void *ctx, const struct upload *u)
{
    struct uploads *s = ctx;
    char id[UPLOAD_ID_MAX];
    upload_id_text(u->id, id);
    buf_lit(&s->rows, "<Upload>");
    add_text(s, &s->rows, "Key", u->key);
    xml_element(&s->rows, "UploadId", str_c(id));
    add_people(&s->rows);
    s3_xml_time(&s->rows, "Initiated", u->initiated_ms);
    add_checksum_kind(&s->rows, u);
    buf_lit(&s->rows, "</Upload>");
}

static void add_group(void *ctx, struct str prefix)
{
    struct uploads *s = ctx;
    buf_lit(&s->rows, "<CommonPrefixes>");
    add_text(s, &s->rows, "Prefix", prefix);
    buf_lit(&s->rows, "</CommonPrefixes>");
}

static void write_uploads(struct call *c, struct uploads *s, const struct upload_list *l,
                          bool truncated, struct str last_key, uint64_t last_id)
{
    struct buf *doc = &s->doc;
    char id[UPLOAD_ID_MAX];
    upload_id_text(last_id, id);
    s3_xml_begin(doc, "ListMultipartUploadsResult");
    xml_element(doc, "Bucket", l->bucket);
    add_text(s, doc, "KeyMarker", l->after);
    xml_element(doc, "UploadIdMarker", call_query(c, "upload-id-marker"));
    if (truncated) {
        add_text(s, doc, "NextKeyMarker", last_key);
        xml_element(doc, "NextUploadIdMarker", last_id ? str_c(id) : STR(""));
    }
    if (l->prefix.n)
        add_text(s, doc, "Prefix", l->prefix);
    if (l->delimiter.n)
        add_text(s, doc, "Delimiter", l->delimiter);
    if (s->url_encoding)
        buf_lit(doc, "<EncodingType>url</EncodingType>");
    s3_xml_number(doc, "MaxUploads", l->limit);
    buf_printf(doc, "<IsTruncated>%s</IsTruncated>", truncated ? "true" : "false");
    buf_add(doc, buf_str(&s->rows));
    buf_lit(doc, "</ListMultipartUploadsResult>");
}

static int read_list(struct call *c, struct upload_list *l, struct uploads *s, struct err *err)
{
    uint64_t limit;
    struct str encoding = call_query(c, "encoding-type"), id = call_query(c, "upload-id-marker");
    int rc = read_limit(c, "max-uploads", &limit, err);
    if (rc)
        return rc;
    if (encoding.n && !str_is(encoding, "url"))
        return err_set(err, E_INVALID, "Invalid Encoding Method specified in Request");
    s->url_encoding = encoding.n > 0;
    *l = (struct upload_list){.bucket = c->param[0],
                              .prefix = call_query(c, "prefix"),
                              .delimiter = call_query(c, "delimiter"),
                              .after = call_query(c, "key-marker"),
                              .limit = (size_t)limit};
    if (id.n && l->after.n && (l->after_id = upload_id_read(id)) == 0)
        return err_set(err, E_INVALID, "Invalid uploadId marker");
    return 0;
}

void s3_list_uploads(struct call *c)
{
    struct err err = {0};
    struct upload_list l;
    struct uploads s = {.doc = BUF_INIT, .rows = BUF_INIT};
    struct buf last_key = BUF_INIT;
    uint64_t last_id;
    bool truncated;
    int rc = read_list(c, &l, &s, &err);
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct store_txn *t = store_read(c->svc->store);
    rc = upload_list(t, &l, add_upload, add_group, &s, &truncated, &last_key, &last_id);
    store_read_end(t);
    if (rc == 0)
        write_uploads(c, &s, &l, truncated, buf_str(&last_key), last_id);
    buf_deinit(&last_key);
    buf_deinit(&s.rows);
    if (rc) {
        buf_deinit(&s.doc);
        call_error(c, rc, NULL);
        return;
    }
    s3_xml_reply(c, &s.doc);
}
