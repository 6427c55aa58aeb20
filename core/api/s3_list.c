/* s3_list: ListObjects, both versions, and ListObjectVersions, over svc/object's one walk.
 *
 * A page is made in slices, one a turn of the loop, each from its own snapshot and on from the last
 * key of the one before, so that a thousand long keys neither hold up the loop nor lie in memory
 * together. A page of one slice leaves as a whole; a longer one is streamed, what is known only at
 * its end (IsTruncated, the next token) coming last: the order of elements means nothing to XML's
 * readers.
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
#include "base/codec.h"

enum { PAGE_MAX = 1000, SLICE = 64, DOCUMENT_MAX = 4 * 1024 * 1024 };

enum shape { OBJECTS_V1, OBJECTS_V2, VERSIONS };

struct listing {
    struct call *c;
    enum shape shape;
    struct object_list l; /* what to walk next */
    uint64_t max_keys, left;
    size_t count;
    bool url_encoding, owner, truncated, streaming;
    bool last_is_key; /* not a group */
    struct buf doc;   /* not yet sent */
    struct buf last;  /* last key or group; l.after after the first slice */
    struct buf after;
};

/* --- rows --------------------------------------------------------------------------------------- */

static void add_text(struct listing *s, const char *name, struct str text)
{
    if (!s->url_encoding) {
        xml_element(&s->doc, name, text);
        return;
    }
    buf_printf(&s->doc, "<%s>", name);
    uri_encode(&s->doc, text, true);
    buf_printf(&s->doc, "</%s>", name);
}

static void add_object(void *ctx, const struct object_meta *m)
{
    struct listing *s = ctx;
    s->count++;
    s->last_is_key = true;
    buf_add(&s->doc, s->shape == VERSIONS ? STR("<Version>") : STR("<Contents>"));
    add_text(s, "Key", m->key);
    if (s->shape == VERSIONS)
        buf_lit(&s->doc, "<VersionId>null</VersionId><IsLatest>true</IsLatest>");
    s3_xml_time(&s->doc, "LastModified", m->modified_ms);
    buf_printf(&s->doc, "<ETag>&quot;%s&quot;</ETag>", m->etag);
    if (m->checksum_alg.n) {
        xml_element(&s->doc, "ChecksumAlgorithm", m->checksum_alg);
        xml_element(&s->doc, "ChecksumType", m->composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
    }
    s3_xml_number(&s->doc, "Size", m->size);
    if (s->owner)
        s3_xml_owner(&s->doc, "Owner");
    xml_element(&s->doc, "StorageClass", object_storage_class(m));
    buf_add(&s->doc, s->shape == VERSIONS ? STR("</Version>") : STR("</Contents>"));
}

static void add_group(void *ctx, struct str prefix)
{
    struct listing *s = ctx;
    s->count++;
    s->last_is_key = false;
    buf_lit(&s->doc, "<CommonPrefixes>");
    add_text(s, "Prefix", prefix);
    buf_lit(&s->doc, "</CommonPrefixes>");
}

/* --- the document's two ends -------------------------------------------------------------------- */

static void begin_document(struct listing *s)
{
    struct call *c = s->c;
    s3_xml_begin(&s->doc, s->shape == VERSIONS ? "ListVersionsResult" : "ListBucketResult");
    xml_element(&s->doc, "Name", s->l.bucket);
    add_text(s, "Prefix", s->l.prefix);
    if (s->l.delimiter.n)
        add_text(s, "Delimiter", s->l.delimiter);
    s3_xml_number(&s->doc, "MaxKeys", s->max_keys);
    if (s->url_encoding)
        buf_lit(&s->doc, "<EncodingType>url</EncodingType>");
    if (s->shape != OBJECTS_V2) {
        add_text(s, s->shape == VERSIONS ? "KeyMarker" : "Marker", s->l.after);
        if (s->shape == VERSIONS)
            xml_element(&s->doc, "VersionIdMarker", call_query(c, "version-id-marker"));
        return;
    }
    struct str token = call_query(c, "continuation-token"), after = call_query(c, "start-after");
    if (token.p)
        xml_element(&s->doc, "ContinuationToken", token);
    if (after.n)
        add_text(s, "StartAfter", after);
}

static void end_document(struct listing *s)
{
    buf_printf(&s->doc, "<IsTruncated>%s</IsTruncated>", s->truncated ? "true" : "false");
    if (s->shape == OBJECTS_V2)
        s3_xml_number(&s->doc, "KeyCount", s->count);
    if (s->truncated && s->shape == VERSIONS) {
        add_text(s, "NextKeyMarker", buf_str(&s->last));
        if (s->last_is_key)
            buf_lit(&s->doc, "<NextVersionIdMarker>null</NextVersionIdMarker>");
    } else if (s->truncated && s->shape == OBJECTS_V2) {
        buf_lit(&s->doc, "<NextContinuationToken>");
        base64url_encode(&s->doc, buf_str(&s->last));
        buf_lit(&s->doc, "</NextContinuationToken>");
    } else if (s->truncated && s->l.delimiter.n) {
        add_text(s, "NextMarker", buf_str(&s->last));
    }
    buf_add(&s->doc,
            s->shape == VERSIONS ? STR("</ListVersionsResult>") : STR("</ListBucketResult>"));
}

/* --- slices ------------------------------------------------------------------------------------- */

static void next_slice(struct listing *s);

static void listing_end(struct listing *s, int rc)
{
    struct buf doc = s->doc;
    buf_deinit(&s->last);
    buf_deinit(&s->after);
    if (s->streaming) {
        if (rc == 0)
            http_reply_write(s->c->req, buf_str(&doc));
        call_stream_end(s->c, rc == 0);
        buf_deinit(&doc);
    } else if (rc) {
        call_error(s->c, rc, NULL);
        buf_deinit(&doc);
    } else {
        s3_xml_reply(s->c, &doc);
    }
}

static void slice_sent(struct http_req *req)
{
    struct listing *s = ((struct call *)req->user)->user;
    if (req->gone)
        listing_end(s, E_ABORTED);
    else
        next_slice(s);
}

/* Sends what there is and goes on in another turn. */
static void send_slice(struct listing *s)
{
    if (!s->streaming)
        call_stream_begin(s->c, 200, "application/xml", -1);
    s->streaming = true;
    http_reply_write(s->c->req, buf_str(&s->doc));
    buf_clear(&s->doc);
    struct buf swap = s->after;
    s->after = s->last;
    s->last = swap;
    s->l.after = buf_str(&s->after);
    http_reply_drained(s->c->req, slice_sent);
}

static void next_slice(struct listing *s)
{
    size_t before = s->count;
    s->l.limit = s->left < SLICE ? s->left : SLICE;
    struct store_txn *t = store_read(s->c->svc->store);
    int rc = object_list(t, &s->l, add_object, add_group, s, &s->truncated, &s->last);
    store_read_end(t);
    s->left -= s->count - before;
    if (rc == 0 && s->truncated && s->left > 0) {
        send_slice(s);
        return;
    }
    if (rc == 0)
        end_document(s);
    listing_end(s, rc ? rc : s->doc.rc);
}

/* --- the request -------------------------------------------------------------------------------- */

/* The parameters both versions share. */
static int read_common(struct listing *s, struct err *err)
{
    struct call *c = s->c;
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
    struct str token = call_query(s->c, "continuation-token");
    s->l.after = call_query(s->c, "start-after");
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
    struct str version = call_query(s->c, "version-id-marker");
    s->l.after = call_query(s->c, "key-marker");
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
    s->c = c;
    s->shape = shape;
    s->owner = shape != OBJECTS_V2 || str_is(call_query(c, "fetch-owner"), "true");
    c->user = s;
    buf_init(&s->doc, DOCUMENT_MAX);
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
    next_slice(s);
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
