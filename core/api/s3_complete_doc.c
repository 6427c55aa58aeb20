/* s3_complete_doc: the document of CompleteMultipartUpload, read as it comes.
 *
 * It may name 10,000 parts, so it is not made into a tree: expat's events fill the list of claims, with
 * one small buffer for the text of the element at hand. Elements that are not known are passed over;
 * a DTD is refused. */
#include "api/s3_complete_doc.h"

#include <expat.h>

#include "api/call.h"
#include "base/codec.h"

enum {
    TEXT_MAX = 256, /* of an element that counts */
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

int s3_complete_read(struct str doc, struct upload_claim **claims, size_t *count, struct err *err)
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
