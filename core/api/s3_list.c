/* s3_list: ListObjects, both versions, over svc/object's one walk.
 *
 * A continuation token is the last key (or group) of the page before, as base64url: opaque to
 * clients, nothing to remember here, and still right when objects come and go in between. With
 * encoding-type=url a space is %20, which clients decode the same whether or not they think of '+'
 * as a space. */
#include "api/gate.h"
#include "api/s3.h"
#include "base/codec.h"

enum { PAGE_MAX = 1000, DOCUMENT_MAX = 8 * 1024 * 1024 };

struct page {
    struct buf rows; /* <Contents> and <CommonPrefixes>, in key order */
    bool url_encoding, owner;
    size_t count;
};

static void add_text(struct buf *out, const struct page *p, const char *name, struct str s)
{
    if (!p->url_encoding) {
        xml_element(out, name, s);
        return;
    }
    buf_printf(out, "<%s>", name);
    uri_encode(out, s, true);
    buf_printf(out, "</%s>", name);
}

static void add_object(void *ctx, const struct object_meta *m)
{
    struct page *p = ctx;
    struct buf *out = &p->rows;
    p->count++;
    buf_lit(out, "<Contents>");
    add_text(out, p, "Key", m->key);
    s3_xml_time(out, "LastModified", m->modified_ms);
    buf_printf(out, "<ETag>&quot;%s&quot;</ETag>", m->etag);
    if (m->checksum_alg.n) {
        xml_element(out, "ChecksumAlgorithm", m->checksum_alg);
        buf_lit(out, "<ChecksumType>FULL_OBJECT</ChecksumType>");
    }
    s3_xml_number(out, "Size", m->size);
    if (p->owner)
        s3_xml_owner(out, "Owner");
    buf_lit(out, "<StorageClass>STANDARD</StorageClass></Contents>");
}

static void add_group(void *ctx, struct str prefix)
{
    struct page *p = ctx;
    p->count++;
    buf_lit(&p->rows, "<CommonPrefixes>");
    add_text(&p->rows, p, "Prefix", prefix);
    buf_lit(&p->rows, "</CommonPrefixes>");
}

/* The parameters both versions share. */
static int read_common(struct call *c, struct object_list *l, struct page *p, uint64_t *max_keys,
                       struct err *err)
{
    struct str encoding = call_query(c, "encoding-type"), max = call_query(c, "max-keys");
    if (encoding.n && !str_is(encoding, "url"))
        return err_set(err, E_INVALID, "Invalid Encoding Method specified in Request");
    *max_keys = PAGE_MAX;
    if (max.n && (!str_u64(max, max_keys) || *max_keys > INT32_MAX))
        return err_set(err, E_INVALID,
                       "Argument max-keys must be an integer between 0 and 2147483647");
    if (*max_keys > PAGE_MAX)
        *max_keys = PAGE_MAX;
    p->url_encoding = encoding.n > 0;
    l->bucket = c->param[0];
    l->prefix = call_query(c, "prefix");
    l->delimiter = call_query(c, "delimiter");
    l->limit = *max_keys;
    return 0;
}

static int walk(struct call *c, const struct object_list *l, struct page *p, bool *truncated,
                struct buf *last)
{
    buf_init(&p->rows, DOCUMENT_MAX);
    struct store_txn *t = store_read(c->svc->store);
    int rc = object_list(t, l, add_object, add_group, p, truncated, last);
    store_read_end(t);
    return rc ? rc : p->rows.rc;
}

static void begin_document(struct buf *doc, const struct object_list *l, const struct page *p,
                           uint64_t max_keys, bool truncated)
{
    buf_init(doc, DOCUMENT_MAX + 65536);
    s3_xml_begin(doc, "ListBucketResult");
    xml_element(doc, "Name", l->bucket);
    add_text(doc, p, "Prefix", l->prefix);
    if (l->delimiter.n)
        add_text(doc, p, "Delimiter", l->delimiter);
    s3_xml_number(doc, "MaxKeys", max_keys);
    if (p->url_encoding)
        buf_lit(doc, "<EncodingType>url</EncodingType>");
    buf_printf(doc, "<IsTruncated>%s</IsTruncated>", truncated ? "true" : "false");
}

static void end_document(struct call *c, struct buf *doc, struct page *p)
{
    buf_add(doc, buf_str(&p->rows));
    buf_lit(doc, "</ListBucketResult>");
    s3_xml_reply(c, doc);
}

/* --- version 2 ----------------------------------------------------------------------------------
 */

/* Where the page starts: the token when there is one, else start-after. */
static int read_start(struct call *c, struct object_list *l, struct err *err)
{
    struct str token = call_query(c, "continuation-token");
    struct buf key;
    l->after = call_query(c, "start-after");
    if (!token.p)
        return 0;
    buf_init(&key, OBJKEY_MAX + 1);
    bool ok = token.n > 0 && base64url_decode(&key, token) && key.n > 0;
    if (ok)
        l->after = arena_dup(c->arena, buf_str(&key));
    buf_deinit(&key);
    return ok ? 0 : err_set(err, E_INVALID, "The continuation token provided is incorrect");
}

void s3_list_objects_v2(struct call *c)
{
    struct object_list l = {0};
    struct page p = {0};
    struct err err = {0};
    struct buf doc = BUF_INIT, last = BUF_INIT;
    uint64_t max_keys;
    bool truncated = false;
    int rc = read_common(c, &l, &p, &max_keys, &err);
    if (rc == 0)
        rc = read_start(c, &l, &err);
    p.owner = str_is(call_query(c, "fetch-owner"), "true");
    if (rc == 0)
        rc = walk(c, &l, &p, &truncated, &last);
    if (rc) {
        call_error(c, rc, &err);
        goto out;
    }
    begin_document(&doc, &l, &p, max_keys, truncated);
    s3_xml_number(&doc, "KeyCount", p.count);
    struct str token = call_query(c, "continuation-token"), after = call_query(c, "start-after");
    if (token.p)
        xml_element(&doc, "ContinuationToken", token);
    if (after.n)
        add_text(&doc, &p, "StartAfter", after);
    if (truncated) {
        buf_lit(&doc, "<NextContinuationToken>");
        base64url_encode(&doc, buf_str(&last));
        buf_lit(&doc, "</NextContinuationToken>");
    }
    end_document(c, &doc, &p);
out:
    buf_deinit(&p.rows);
    buf_deinit(&last);
}

/* --- version 1 ----------------------------------------------------------------------------------
 */

void s3_list_objects(struct call *c)
{
    struct object_list l = {0};
    struct page p = {.owner = true};
    struct err err = {0};
    struct buf doc = BUF_INIT, last = BUF_INIT;
    uint64_t max_keys;
    bool truncated = false;
    int rc = read_common(c, &l, &p, &max_keys, &err);
    l.after = call_query(c, "marker");
    if (rc == 0)
        rc = walk(c, &l, &p, &truncated, &last);
    if (rc) {
        call_error(c, rc, &err);
        goto out;
    }
    begin_document(&doc, &l, &p, max_keys, truncated);
    add_text(&doc, &p, "Marker", l.after);
    if (truncated && l.delimiter.n)
        add_text(&doc, &p, "NextMarker", buf_str(&last));
    end_document(c, &doc, &p);
out:
    buf_deinit(&p.rows);
    buf_deinit(&last);
}
