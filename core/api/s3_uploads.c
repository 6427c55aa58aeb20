/* s3_uploads: the life of a multipart upload but for its bytes: CreateMultipartUpload,
 * AbortMultipartUpload, ListParts, ListMultipartUploads. The lists are made in slices (s3_slices.h). */
#include "api/gate.h"
#include "api/s3.h"
#include "api/s3_slices.h"
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
    if (str_index(name, ',', 0) >= 0)
        return err_set(err, E_BAD_REQUEST,
                       "Invalid types are specified in x-amz-checksum-algorithm header.");
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
                       STR_FMT(type), checksum_word(*alg));
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

static void add_people(struct buf *doc, const struct upload *u)
{
    const struct object_meta m = {.headers = u->headers};
    s3_xml_owner(doc, "Initiator");
    s3_xml_owner(doc, "Owner");
    xml_element(doc, "StorageClass", object_storage_class(&m));
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
    struct s3_slices slices; /* first */
    uint64_t upload, limit, left;
    uint32_t last; /* number of the last part in the document, or the marker */
    bool truncated;
};

static void add_part(void *ctx, const struct extent *x)
{
    struct parts *p = ctx;
    struct buf *doc = &p->slices.doc;
    char md5[2 * EXTENT_MD5 + 1];
    hex_encode(x->md5.p, EXTENT_MD5, md5);
    p->last = x->number;
    p->left--;
    buf_lit(doc, "<Part>");
    s3_xml_number(doc, "PartNumber", x->number);
    s3_xml_time(doc, "LastModified", x->modified_ms);
    buf_printf(doc, "<ETag>&quot;%s&quot;</ETag>", md5);
    s3_xml_number(doc, "Size", x->size);
    if (x->checksum_alg.n)
        xml_element(doc, checksum_element(checksum_of_name(x->checksum_alg)), x->checksum);
    buf_lit(doc, "</Part>");
}

static int part_rows(struct s3_slices *s, bool *more)
{
    struct parts *p = (struct parts *)s;
    size_t n = p->left < S3_SLICE_ROWS ? (size_t)p->left : S3_SLICE_ROWS;
    struct store_txn *t = store_read(s->c->svc->store);
    int rc = upload_parts(t, p->upload, p->last, n, add_part, p, &p->truncated);
    store_read_end(t);
    *more = p->truncated && p->left;
    return rc;
}

static void parts_end(struct s3_slices *s)
{
    struct parts *p = (struct parts *)s;
    s3_xml_number(&s->doc, "NextPartNumberMarker", p->last);
    buf_printf(&s->doc, "<IsTruncated>%s</IsTruncated>",
               p->truncated && p->limit ? "true" : "false");
    buf_lit(&s->doc, "</ListPartsResult>");
}

static void nothing(struct s3_slices *s)
{
    (void)s;
}

static void begin_parts(struct parts *p, const struct upload *u)
{
    struct call *c = p->slices.c;
    struct buf *doc = &p->slices.doc;
    s3_xml_begin(doc, "ListPartsResult");
    xml_element(doc, "Bucket", c->param[0]);
    xml_element(doc, "Key", c->param[1]);
    xml_element(doc, "UploadId", call_query(c, "uploadId"));
    add_people(doc, u);
    s3_xml_number(doc, "PartNumberMarker", p->last);
    s3_xml_number(doc, "MaxParts", p->limit);
    add_checksum_kind(doc, u);
}

static int read_parts(struct parts *p, struct err *err)
{
    struct call *c = p->slices.c;
    struct upload u;
    uint64_t after = 0;
    struct str marker = call_query(c, "part-number-marker");
    int rc = read_limit(c, "max-parts", &p->limit, err);
    if (rc)
        return rc;
    if (marker.n && (!str_u64(marker, &after) || after > INT32_MAX))
        return err_set(err, E_INVALID,
                       "Argument part-number-marker must be an integer between 0 and 2147483647");
    p->left = p->limit;
    p->last = (uint32_t)after;
    struct store_txn *t = store_read(c->svc->store);
    rc = upload_get_open(t, c->param[0], c->param[1], call_query(c, "uploadId"), &u);
    if (rc == 0) {
        p->upload = u.id;
        begin_parts(p, &u);
    }
    store_read_end(t);
    return rc;
}

void s3_list_parts(struct call *c)
{
    struct err err = {0};
    struct parts *p = arena_zalloc(c->arena, sizeof *p);
    int rc = E_LIMIT;
    if (p) {
        p->slices =
            (struct s3_slices){.c = c, .rows = part_rows, .end = parts_end, .release = nothing};
        rc = read_parts(p, &err);
    }
    if (rc)
        call_error(c, rc, &err);
    else
        s3_slices_send(&p->slices);
}

/* --- ListMultipartUploads ---------------------------------------------------------------------- */

struct uploads {
    struct s3_slices slices; /* first */
    struct upload_list l;    /* what to walk next */
    uint64_t limit, left;
    bool url_encoding, truncated;
    struct buf last, after; /* last key or prefix of the slice; where the slice began */
    uint64_t last_id;
};

static void add_text(struct uploads *s, const char *name, struct str text)
{
    if (!s->url_encoding) {
        xml_element(&s->slices.doc, name, text);
        return;
    }
    buf_printf(&s->slices.doc, "<%s>", name);
    uri_encode(&s->slices.doc, text, true);
    buf_printf(&s->slices.doc, "</%s>", name);
}

static void add_upload(void *ctx, const struct upload *u)
{
    struct uploads *s = ctx;
    struct buf *doc = &s->slices.doc;
    char id[UPLOAD_ID_MAX];
    upload_id_text(u->id, id);
    s->left--;
    buf_lit(doc, "<Upload>");
    add_text(s, "Key", u->key);
    xml_element(doc, "UploadId", str_c(id));
    add_people(doc, u);
    s3_xml_time(doc, "Initiated", u->initiated_ms);
    add_checksum_kind(doc, u);
    buf_lit(doc, "</Upload>");
}

static void add_group(void *ctx, struct str prefix)
{
    struct uploads *s = ctx;
    s->left--;
    buf_lit(&s->slices.doc, "<CommonPrefixes>");
    add_text(s, "Prefix", prefix);
    buf_lit(&s->slices.doc, "</CommonPrefixes>");
}

static int upload_rows(struct s3_slices *slices, bool *more)
{
    struct uploads *s = (struct uploads *)slices;
    s->l.limit = s->left < S3_SLICE_ROWS ? (size_t)s->left : S3_SLICE_ROWS;
    struct store_txn *t = store_read(slices->c->svc->store);
    int rc = upload_list(t, &s->l, add_upload, add_group, s, &s->truncated, &s->last, &s->last_id);
    store_read_end(t);
    *more = s->truncated && s->left;
    if (*more) {
        struct buf swap = s->after;
        s->after = s->last;
        s->last = swap;
        s->l.after = buf_str(&s->after);
        s->l.after_id = s->last_id;
    }
    return rc;
}

static void uploads_end(struct s3_slices *slices)
{
    struct uploads *s = (struct uploads *)slices;
    char id[UPLOAD_ID_MAX];
    upload_id_text(s->last_id, id);
    if (s->truncated) {
        add_text(s, "NextKeyMarker", buf_str(&s->last));
        xml_element(&slices->doc, "NextUploadIdMarker", s->last_id ? str_c(id) : STR(""));
    }
    buf_printf(&slices->doc, "<IsTruncated>%s</IsTruncated>", s->truncated ? "true" : "false");
    buf_lit(&slices->doc, "</ListMultipartUploadsResult>");
}

static void uploads_release(struct s3_slices *slices)
{
    struct uploads *s = (struct uploads *)slices;
    buf_deinit(&s->last);
    buf_deinit(&s->after);
}

static void begin_uploads(struct uploads *s)
{
    struct call *c = s->slices.c;
    struct buf *doc = &s->slices.doc;
    s3_xml_begin(doc, "ListMultipartUploadsResult");
    xml_element(doc, "Bucket", s->l.bucket);
    add_text(s, "KeyMarker", s->l.after);
    xml_element(doc, "UploadIdMarker", call_query(c, "upload-id-marker"));
    if (s->l.prefix.n)
        add_text(s, "Prefix", s->l.prefix);
    if (s->l.delimiter.n)
        add_text(s, "Delimiter", s->l.delimiter);
    if (s->url_encoding)
        buf_lit(doc, "<EncodingType>url</EncodingType>");
    s3_xml_number(doc, "MaxUploads", s->limit);
}

static int read_uploads(struct uploads *s, struct err *err)
{
    struct call *c = s->slices.c;
    struct str encoding = call_query(c, "encoding-type"), id = call_query(c, "upload-id-marker");
    int rc = read_limit(c, "max-uploads", &s->limit, err);
    if (rc)
        return rc;
    if (encoding.n && !str_is(encoding, "url"))
        return err_set(err, E_INVALID, "Invalid Encoding Method specified in Request");
    s->url_encoding = encoding.n > 0;
    s->left = s->limit;
    s->l = (struct upload_list){.bucket = c->param[0],
                                .prefix = call_query(c, "prefix"),
                                .delimiter = call_query(c, "delimiter"),
                                .after = call_query(c, "key-marker")};
    if (id.n && s->l.after.n && (s->l.after_id = upload_id_read(id)) == 0)
        return err_set(err, E_INVALID, "Invalid uploadId marker");
    return 0;
}

void s3_list_uploads(struct call *c)
{
    struct err err = {0};
    struct uploads *s = arena_zalloc(c->arena, sizeof *s);
    int rc = E_LIMIT;
    if (s) {
        s->slices = (struct s3_slices){
            .c = c, .rows = upload_rows, .end = uploads_end, .release = uploads_release};
        rc = read_uploads(s, &err);
    }
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    begin_uploads(s);
    s3_slices_send(&s->slices);
}
