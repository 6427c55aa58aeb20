/* s3_complete: CompleteMultipartUpload, from its document to the answer.
 *
 * The document may name 10,000 parts, so it is not made into a tree: expat's events fill the list of
 * claims as they come, with one small buffer for the text of the element at hand. Documents of more
 * than 64 KiB are read on the pool. What the parts really are is svc/upload_complete.c's affair. */
#include <expat.h>

#include "api/gate.h"
#include "api/s3.h"
#include "base/codec.h"
#include "svc/upload.h"

enum {
    ON_LOOP_MAX = 64 * 1024, /* bytes of a document that are parsed at once */
    TEXT_MAX = 256,          /* of an element that counts */
    DEPTH_MAX = 8,
};

struct reading {
    XML_Parser parser;
    struct upload_claim *claims;
    size_t count, room;
    struct upload_claim part; /* the one at hand */
    bool has_number, has_etag;
    int depth; /* 1: in the root, 2: in a Part, 3: in one of its fields */
    bool in_part;
    char text[TEXT_MAX];
    size_t n;
    int rc;
    struct err *err;
};

/* --- the document ------------------------------------------------------------------------------ */

static void refuse(struct reading *r, int rc)
{
    if (r->rc == 0)
        r->rc = rc;
    XML_StopParser(r->parser, XML_FALSE);
}

static const char *without_prefix(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void start(void *ctx, const char *name, const char **attributes)
{
    struct reading *r = ctx;
    (void)attributes;
    name = without_prefix(name);
    if (r->rc)
        return;
    r->depth++;
    r->n = 0;
    if (r->depth > DEPTH_MAX || (r->depth == 1 && strcmp(name, "CompleteMultipartUpload") != 0)) {
        refuse(r, E_BAD_XML);
    } else if (r->depth == 2) {
        r->in_part = strcmp(name, "Part") == 0;
        r->part = (struct upload_claim){0};
        r->has_number = r->has_etag = false;
    }
}

static void text(void *ctx, const char *p, int n)
{
    struct reading *r = ctx;
    for (int i = 0; i < n && r->n < TEXT_MAX; i++)
        if (p[i] != ' ' && p[i] != '\n' && p[i] != '\r' && p[i] != '\t')
            r->text[r->n++] = p[i];
}

static int read_number(struct reading *r, struct str s)
{
    uint64_t n;
    if (s.n > 1 && s.p[0] == '-' && str_u64(str_from(s, 1), &n))
        n = 0;
    else if (!str_u64(s, &n))
        return E_BAD_XML;
    if (n == 0)
        return err_set(r->err, E_INVALID, "PartNumber must be >= 1");
    if (n > EXTENTS_MAX)
        return err_set(r->err, E_INVALID,
                       "Part number must be an integer between 1 and 10000, inclusive");
    r->part.number = (uint32_t)n;
    r->has_number = true;
    return 0;
}

/* An ETag that is none of ours names no part; zeros match no MD5 either. */
static void read_etag(struct reading *r, struct str s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        s = str_of(s.p + 1, s.n - 2);
    if (s.n != 2 * EXTENT_MD5 || !hex_decode(s, r->part.md5))
        memset(r->part.md5, 0, EXTENT_MD5);
    r->has_etag = true;
}

static int bad_checksum(struct reading *r, enum checksum_alg alg, struct str s)
{
    struct buf b = BUF_INIT;
    err_set(r->err, E_INVALID, "Invalid Base64 or multiple checksums present in request");
    buf_printf(&b, "<ArgumentName>Checksum</ArgumentName><ArgumentValue>%s:", checksum_name(alg));
    xml_escape(&b, s);
    buf_lit(&b, ";</ArgumentValue>");
    if (b.rc == 0 && b.n < sizeof r->err->detail)
        memcpy(r->err->detail, b.p, b.n); /* the rest of it is zeros */
    buf_deinit(&b);
    return E_INVALID;
}

static int read_checksum(struct reading *r, const char *name, struct str s)
{
    for (enum checksum_alg alg = CHECKSUM_NONE + 1; alg < CHECKSUM_ALGS; alg++) {
        if (strcmp(name, checksum_element(alg)) != 0)
            continue;
        if (r->part.alg || !checksum_decode(alg, s, r->part.checksum))
            return bad_checksum(r, alg, s);
        r->part.alg = (uint8_t)alg;
    }
    return 0;
}

static int end_field(struct reading *r, const char *name)
{
    struct str s = str_of(r->text, r->n);
    if (strcmp(name, "PartNumber") == 0)
        return read_number(r, s);
    if (strcmp(name, "ETag") == 0)
        read_etag(r, s);
    return read_checksum(r, name, s);
}

static int end_part(struct reading *r)
{
    if (!r->has_number || !r->has_etag || r->count == EXTENTS_MAX)
        return E_BAD_XML;
    if (r->count && r->part.number <= r->claims[r->count - 1].number)
        return E_PART_ORDER;
    if (r->count == r->room) {
        size_t room = r->room ? r->room * 2 : 16;
        struct upload_claim *more = realloc(r->claims, room * sizeof *more);
        if (!more)
            return E_LIMIT;
        r->claims = more;
        r->room = room;
    }
    r->claims[r->count++] = r->part;
    return 0;
}

static void end(void *ctx, const char *name)
{
    struct reading *r = ctx;
    int rc = 0;
    if (r->rc)
        return;
    if (r->depth == 3 && r->in_part)
        rc = end_field(r, without_prefix(name));
    else if (r->depth == 2 && r->in_part)
        rc = end_part(r);
    r->depth--;
    r->n = 0;
    if (rc)
        refuse(r, rc);
}

static void doctype(void *ctx, const char *name, const char *system_id, const char *public_id,
                    int has_internal_subset)
{
    (void)name, (void)system_id, (void)public_id, (void)has_internal_subset;
    refuse(ctx, E_BAD_XML);
}

/* 0 and the claims, malloc'd; E_BAD_XML, E_PART_ORDER, E_INVALID, E_BAD_REQUEST. */
static int read_document(struct str doc, struct upload_claim **claims, size_t *count,
                         struct err *err)
{
    struct reading r = {.err = err};
    r.parser = XML_ParserCreate(NULL);
    if (!r.parser)
        return E_INTERNAL;
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, start, end);
    XML_SetCharacterDataHandler(r.parser, text);
    XML_SetStartDoctypeDeclHandler(r.parser, doctype);
    bool ok = XML_Parse(r.parser, doc.p, (int)doc.n, XML_TRUE) == XML_STATUS_OK;
    XML_ParserFree(r.parser);
    if (r.rc == 0 && !ok)
        r.rc = E_BAD_XML;
    if (r.rc == 0 && r.count == 0)
        r.rc = err_set(err, E_BAD_REQUEST, "You must specify at least one part");
    if (r.rc) {
        free(r.claims);
        r.claims = NULL;
    }
    *claims = r.claims;
    *count = r.count;
    return r.rc;
}

/* --- the request ------------------------------------------------------------------------------- */

struct completion {
    uv_work_t work;
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
    struct str host = call_header(c, "host");
    s3_xml_begin(&doc, "CompleteMultipartUploadResult");
    buf_lit(&doc, "<Location>http://");
    xml_escape(&doc, host.n ? host : STR("localhost"));
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
    s3_xml_reply(c, &doc);
}

static void parse(uv_work_t *work)
{
    struct completion *k = work->data;
    k->rc = read_document(k->c->body, &k->req.claims, &k->req.count, &k->err);
}

static void parsed(uv_work_t *work, int status)
{
    struct completion *k = work->data;
    (void)status;
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
        uv_queue_work(c->svc->loop, &k->work, parse, parsed);
    } else {
        parse(&k->work);
        parsed(&k->work, 0);
    }
}
