/* s3_list: ListObjects, both versions, and ListObjectVersions, over svc/object's one walk.
 *
 * A page is made in slices (s3_slices.h), each from its own snapshot and on from the last key of the
 * one before; what is known only at its end (IsTruncated, the next token) comes last.
 *
 * A continuation token is the last key (or group) of the page before, as base64url: opaque to
 * clients, nothing to remember here, and still right when objects come and go in between. With
 * encoding-type=url a space is %20, which clients decode the same whether or not they think of '+'
 * as a space.
 *
 * Tools that empty a bucket ask for its versions whatever its state: each object has one, "null",
 * the latest. */
#include "api/gate.h"
#include "api/s3.h"
#include "api/s3_slices.h"
#include "base/codec.h"

enum { PAGE_MAX = 1000, DOCUMENT_MAX = 4 * 1024 * 1024 };

enum shape { OBJECTS_V1, OBJECTS_V2, VERSIONS };

struct listing {
    struct s3_slices slices; /* first */
    enum shape shape;
    struct object_list l; /* what to walk next */
    uint64_t max_keys, left;
    size_t count;
    bool url_encoding, owner, truncated;
    bool last_is_key; /* not a group */
    struct buf last;  /* last key or group; l.after after the first slice */
    struct buf after;
};

/* --- rows --------------------------------------------------------------------------------------- */

static void add_text(struct listing *s, const char *name, struct str text)
{
    if (!s->url_encoding) {
        xml_element(&s->slices.doc, name, text);
        return;
    }
    buf_printf(&s->slices.doc, "<%s>", name);
    uri_encode(&s->slices.doc, text, true);
    buf_printf(&s->slices.doc, "</%s>", name);
}

static void add_object(void *ctx, const struct object_meta *m)
{
    struct listing *s = ctx;
    s->count++;
    s->last_is_key = true;
    buf_add(&s->slices.doc, s->shape == VERSIONS ? STR("<Version>") : STR("<Contents>"));
    add_text(s, "Key", m->key);
    if (s->shape == VERSIONS)
        buf_lit(&s->slices.doc, "<VersionId>null</VersionId><IsLatest>true</IsLatest>");
    s3_xml_time(&s->slices.doc, "LastModified", m->modified_ms);
    buf_printf(&s->slices.doc, "<ETag>&quot;%s&quot;</ETag>", m->etag);
    if (m->checksum_alg.n) {
        xml_element(&s->slices.doc, "ChecksumAlgorithm", m->checksum_alg);
        xml_element(&s->slices.doc, "ChecksumType",
                    m->composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
    }
    s3_xml_number(&s->slices.doc, "Size", m->size);
    if (s->owner)
        s3_xml_owner(&s->slices.doc, "Owner");
    xml_element(&s->slices.doc, "StorageClass", object_storage_class(m));
    buf_add(&s->slices.doc, s->shape == VERSIONS ? STR("</Version>") : STR("</Contents>"));
}

static void add_group(void *ctx, struct str prefix)
{
    struct listing *s = ctx;
    s->count++;
    s->last_is_key = false;
    buf_lit(&s->slices.doc, "<CommonPrefixes>");
    add_text(s, "Prefix", prefix);
    buf_lit(&s->slices.doc, "</CommonPrefixes>");
}

/* --- the document's two ends -------------------------------------------------------------------- */

static void begin_document(struct listing *s)
{
    struct call *c = s->slices.c;
    s3_xml_begin(&s->slices.doc, s->shape == VERSIONS ? "ListVersionsResult" : "ListBucketResult");
    xml_element(&s->slices.doc, "Name", s->l.bucket);
    add_text(s, "Prefix", s->l.prefix);
    if (s->l.delimiter.n)
        add_text(s, "Delimiter", s->l.delimiter);
    s3_xml_number(&s->slices.doc, "MaxKeys", s->max_keys);
    if (s->url_encoding)
        buf_lit(&s->slices.doc, "<EncodingType>url</EncodingType>");
    if (s->shape != OBJECTS_V2) {
        add_text(s, s->shape == VERSIONS ? "KeyMarker" : "Marker", s->l.after);
        if (s->shape == VERSIONS)
            xml_element(&s->slices.doc, "VersionIdMarker", call_query(c, "version-id-marker"));
        return;
    }
    struct str token = call_query(c, "continuation-token"), after = call_query(c, "start-after");
    if (token.p)
        xml_element(&s->slices.doc, "ContinuationToken", token);
    if (after.n)
        add_text(s, "StartAfter", after);
}

static void end_document(struct s3_slices *slices)
{
    struct listing *s = (struct listing *)slices;
    buf_printf(&s->slices.doc, "<IsTruncated>%s</IsTruncated>", s->truncated ? "true" : "false");
    if (s->shape == OBJECTS_V2)
        s3_xml_number(&s->slices.doc, "KeyCount", s->count);
    if (s->truncated && s->shape == VERSIONS) {
        add_text(s, "NextKeyMarker", buf_str(&s->last));
        if (s->last_is_key)
            buf_lit(&s->slices.doc, "<NextVersionIdMarker>null</NextVersionIdMarker>");
    } else if (s->truncated && s->shape == OBJECTS_V2) {
        buf_lit(&s->slices.doc, "<NextContinuationToken>");
        base64url_encode(&s->slices.doc, buf_str(&s->last));
        buf_lit(&s->slices.doc, "</NextContinuationToken>");
    } else if (s->truncated && s->l.delimiter.n) {
        add_text(s, "NextMarker", buf_str(&s->last));
    }
    buf_add(&s->slices.doc,
            s->shape == VERSIONS ? STR("</ListVersionsResult>") : STR("</ListBucketResult>"));
}

/* --- slices ------------------------------------------------------------------------------------- */

static int next_rows(struct s3_slices *slices, bool *more)
{
    struct listing *s = (struct listing *)slices;
    size_t before = s->count;
    s->l.limit = s->left < S3_SLICE_ROWS ? s->left : S3_SLICE_ROWS;
    struct store_txn *t = store_read(slices->c->svc->store);
    int rc = object_list(t, &s->l, add_object, add_group, s, &s->truncated, &s->last);
    store_read_end(t);
    s->left -= s->count - before;
    *more = s->truncated && s->left > 0;
    if (rc == 0 && *more) {
        struct buf swap = s->after;
        s->after = s->last;
        s->last = swap;
        s->l.after = buf_str(&s->after);
    }
    return rc;
}

static void release(struct s3_slices *slices)
{
    struct listing *s = (struct listing *)slices;
    buf_deinit(&s->last);
    buf_deinit(&s->after);
}

/* --- the request -------------------------------------------------------------------------------- */

/* The parameters both versions share. */
static int read_common(struct listing *s, struct err *err)
{
    struct call *c = s->slices.c;
    struct str encoding = call_query(c, "encoding-type"), max = call_query(c, "max-keys");
    if (encoding.n && !str_is(encoding, "url"))
        return err_set(err, E_INVALID, "Invalid Encoding Method specified in Request");
    s->max_keys = PAGE_MAX;
    if (max.n && (!str_u64(max, &s->max_keys) || s->max_keys > INT32_MAX))
        return err_set(err, E_INVALID,
                       "Argument max-keys must be an integer between 0 and 2147483647");
    if (s->max_keys > PAGE_MAX)
        s->max_keys = PAGE_MAX;
    s->left = s->max_keys;
    s->url_encoding = encoding.n > 0;
    s->l.bucket = c->param[0];
    s->l.prefix = call_query(c, "prefix");
    s->l.delimiter = call_query(c, "delimiter");
    return 0;
}

/* Where a page of version 2 starts: the token when there is one, else start-after. */
static int read_start(struct listing *s, struct err *err)
{
    struct str token = call_query(s->slices.c, "continuation-token");
    s->l.after = call_query(s->slices.c, "start-after");
    if (!token.p)
        return 0;
    if (token.n == 0 || !base64url_decode(&s->after, token) || s->after.n == 0)
        return err_set(err, E_INVALID, "The continuation token provided is incorrect");
    s->l.after = buf_str(&s->after);
    return 0;
}

/* Where a page of versions starts. The version named can only be the one there is. */
static int read_markers(struct listing *s, struct err *err)
{
    struct str version = call_query(s->slices.c, "version-id-marker");
    s->l.after = call_query(s->slices.c, "key-marker");
    if (!version.p)
        return 0;
    if (version.n == 0)
        return err_set(err, E_INVALID, "A version-id marker cannot be empty.");
    if (s->l.after.n == 0)
        return err_set(err, E_INVALID,
                       "A version-id marker cannot be specified without a key marker.");
    return str_is(version, "null") ? 0 : err_set(err, E_INVALID, "Invalid version id specified");
}

static void list(struct call *c, enum shape shape)
{
    struct err err = {0};
    struct listing *s = arena_zalloc(c->arena, sizeof *s);
    if (!s) {
        call_error(c, E_LIMIT, NULL);
        return;
    }
    s->slices =
        (struct s3_slices){.c = c, .rows = next_rows, .end = end_document, .release = release};
    s->shape = shape;
    s->owner = shape != OBJECTS_V2 || str_is(call_query(c, "fetch-owner"), "true");
    buf_init(&s->slices.doc, DOCUMENT_MAX);
    int rc = read_common(s, &err);
    if (rc == 0 && shape == OBJECTS_V2)
        rc = read_start(s, &err);
    else if (rc == 0 && shape == VERSIONS)
        rc = read_markers(s, &err);
    else if (rc == 0)
        s->l.after = call_query(c, "marker");
    if (rc) {
        buf_deinit(&s->after);
        call_error(c, rc, &err);
        return;
    }
    begin_document(s);
    s3_slices_send(&s->slices);
}

void s3_list_objects_v2(struct call *c)
{
    list(c, OBJECTS_V2);
}

void s3_list_objects(struct call *c)
{
    list(c, OBJECTS_V1);
}

void s3_list_object_versions(struct call *c)
{
    list(c, VERSIONS);
}
