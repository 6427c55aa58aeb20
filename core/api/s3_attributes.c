/* s3_attributes: GetObjectAttributes: what is known of an object, in XML, as far as it is asked for.
 *
 * Parts are listed for objects that came in parts and have a checksum, a page of at most a thousand,
 * as S3 does; of the others only their number is told. */
#include "api/gate.h"
#include "api/s3.h"
#include "base/clock.h"

enum { PARTS_MAX = 1000 };

enum attribute { A_ETAG = 1, A_CHECKSUM = 2, A_PARTS = 4, A_CLASS = 8, A_SIZE = 16 };

struct asked {
    unsigned what;
    uint64_t max_parts, after; /* parts with numbers > after */
};

static int read_names(struct call *c, unsigned *what, struct err *err)
{
    static const char *const names[] = {"ETag", "Checksum", "ObjectParts", "StorageClass",
                                        "ObjectSize"};
    struct str header, value;
    *what = 0;
    for (size_t at = 0; call_header_next(c, &at, &header, &value);) {
        while (str_ieq(header, STR("x-amz-object-attributes")) && value.p) {
            struct str one = str_trim(str_cut(&value, ','));
            size_t i = 0;
            while (i < 5 && !str_is(one, names[i]))
                i++;
            if (i == 5)
                return err_set(err, E_INVALID, "Invalid attribute name specified.");
            *what |= 1u << i;
        }
    }
    return *what ? 0
                 : err_set(err, E_BAD_REQUEST,
                           "The x-amz-object-attributes header specifying the attributes to be "
                           "retrieved is either missing or empty");
}

static int read_number(struct call *c, const char *name, uint64_t max, uint64_t *out,
                       struct err *err)
{
    struct str given = call_header(c, name);
    if (!given.p)
        return 0;
    if (!str_u64(given, out) || *out > INT32_MAX)
        return err_set(err, E_INVALID, "Provided %s not an integer or within integer range", name);
    *out = *out < max ? *out : max;
    return 0;
}

static int read_asked(struct call *c, struct asked *a, struct err *err)
{
    *a = (struct asked){.max_parts = PARTS_MAX};
    int rc = read_names(c, &a->what, err);
    if (rc == 0)
        rc = read_number(c, "x-amz-max-parts", PARTS_MAX, &a->max_parts, err);
    return rc ? rc : read_number(c, "x-amz-part-number-marker", EXTENTS_MAX, &a->after, err);
}

static void write_checksum(struct buf *doc, struct str name, struct str text)
{
    enum checksum_alg alg = checksum_of_name(name);
    if (alg != CHECKSUM_NONE)
        xml_element(doc, checksum_element(alg), text);
}

/* Index of the first part whose number is above. */
static uint32_t first_above(const struct extents *e, uint64_t number)
{
    uint32_t from = 0, to = e->count;
    while (from < to) {
        uint32_t mid = from + (to - from) / 2;
        if (extents_number(e, mid) > number)
            to = mid;
        else
            from = mid + 1;
    }
    return from;
}

static int write_parts(struct store_txn *t, const struct object_meta *m, const struct asked *a,
                       struct buf *doc)
{
    uint64_t last = a->after;
    uint32_t i = first_above(&m->extents, a->after), end = m->extents.count;
    bool more = end - i > a->max_parts;
    if (more)
        end = i + (uint32_t)a->max_parts;
    buf_lit(doc, "<ObjectParts>");
    s3_xml_number(doc, "PartsCount", m->extents.count);
    for (; i < end && m->checksum_alg.n; i++) {
        struct extent x;
        int rc = extents_get(t, &m->extents, i, &x);
        if (rc)
            return rc;
        last = x.number;
        buf_lit(doc, "<Part>");
        s3_xml_number(doc, "PartNumber", x.number);
        s3_xml_number(doc, "Size", x.size);
        write_checksum(doc, x.checksum_alg, x.checksum);
        buf_lit(doc, "</Part>");
    }
    if (m->checksum_alg.n) {
        s3_xml_number(doc, "PartNumberMarker", a->after);
        s3_xml_number(doc, "NextPartNumberMarker", last);
        s3_xml_number(doc, "MaxParts", a->max_parts);
        buf_printf(doc, "<IsTruncated>%s</IsTruncated>", more ? "true" : "false");
    }
    buf_lit(doc, "</ObjectParts>");
    return 0;
}

static int write_document(struct call *c, struct store_txn *t, const struct object_meta *m,
                          const struct asked *a, struct buf *doc)
{
    char when[30];
    int rc = 0;
    clock_http(m->modified_ms, when);
    call_set_header(c, "Last-Modified", str_c(when));
    s3_xml_begin(doc, "GetObjectAttributesResponse");
    if (a->what & A_ETAG)
        xml_element(doc, "ETag", str_c(m->etag));
    if (a->what & A_CHECKSUM && m->checksum_alg.n) {
        buf_lit(doc, "<Checksum>");
        write_checksum(doc, m->checksum_alg, m->checksum);
        xml_element(doc, "ChecksumType", m->composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
        buf_lit(doc, "</Checksum>");
    }
    if (a->what & A_PARTS && m->extents.list)
        rc = write_parts(t, m, a, doc);
    if (a->what & A_CLASS)
        xml_element(doc, "StorageClass", object_storage_class(m));
    if (a->what & A_SIZE)
        s3_xml_number(doc, "ObjectSize", m->size);
    buf_lit(doc, "</GetObjectAttributesResponse>");
    return rc;
}

void s3_get_object_attributes(struct call *c)
{
    struct err err = {0};
    struct asked a;
    struct object_meta m;
    struct buf doc = BUF_INIT;
    int rc = s3_authorise_object(c, "s3:GetObject", &err);
    if (rc == 0)
        rc = s3_object_check(c, &err);
    if (rc == 0)
        rc = read_asked(c, &a, &err);
    struct store_txn *t = store_read(c->svc->store);
    if (rc == 0)
        rc = object_get(t, c->param[0], c->param[1], &m);
    if (rc == 0)
        rc = write_document(c, t, &m, &a, &doc);
    store_read_end(t);
    if (rc) {
        buf_deinit(&doc);
        call_error(c, rc, &err);
        return;
    }
    s3_xml_reply(c, &doc);
}
