/* s3_part_copy: UploadPartCopy: a part whose bytes are an object's, or some of them.
 *
 * The source is read through svc/object_read and goes the way of every part, a run at a time, at
 * the pace of what takes it in. It is held meanwhile: overwriting or deleting it changes nothing. */
#include "api/gate.h"
#include "api/s3.h"
#include "api/s3_copy.h"
#include "api/s3_part.h"
#include "base/clock.h"
#include "svc/ingest.h"
#include "svc/object_read.h"

enum { RUN = 128 * 1024 };
#define COPY_MAX (5ull << 30)

struct copying {
    struct call *c;
    struct object_read *read;
    struct upload_part *part;
};

/* --- the bytes --------------------------------------------------------------------------------- */

static void copied(void *ctx, int rc, const struct ingest_facts *f, const struct err *err)
{
    struct call *c = ctx;
    if (rc) {
        call_error(c, rc, err);
        return;
    }
    struct buf doc = BUF_INIT;
    s3_xml_begin(&doc, "CopyPartResult");
    s3_xml_time(&doc, "LastModified", clock_wall_ms());
    buf_printf(&doc, "<ETag>&quot;%s&quot;</ETag>", f->etag);
    if (f->checksum)
        xml_element(&doc, checksum_element(f->checksum), str_c(f->checksum_text));
    buf_lit(&doc, "</CopyPartResult>");
    s3_xml_reply(c, &doc);
}

static void copy_next(void *ctx);

static void got(void *ctx, int rc, struct str bytes)
{
    struct copying *p = ctx;
    if (rc == 0 && p->c->req->gone)
        rc = E_ABORTED;
    if (rc) {
        object_read_close(p->read);
        upload_part_abort(p->part);
        call_error(p->c, rc, NULL);
    } else if (ingest_write(upload_part_ingest(p->part), bytes)) {
        copy_next(p);
    } /* else: when it is drained */
}

static void copy_next(void *ctx)
{
    struct copying *p = ctx;
    if (object_read_left(p->read)) {
        object_read_next(p->read, RUN, got, p);
        return;
    }
    object_read_close(p->read);
    upload_part_finish(p->part, copied, p->c);
}

/* --- the source -------------------------------------------------------------------------------- */

/* bytes=first-last, both given, both within the source. */
static int read_range(struct call *c, uint64_t size, uint64_t *first, uint64_t *count,
                      struct err *err)
{
    struct str range = call_header(c, "x-amz-copy-source-range"), to;
    uint64_t last;
    *first = 0;
    *count = size;
    if (range.p) {
        to = str_starts(range, STR("bytes=")) ? str_from(range, 6) : STR("");
        struct str from = str_cut(&to, '-');
        if (!to.p || !str_u64(from, first) || !str_u64(to, &last) || last < *first)
            return err_set(err, E_INVALID,
                           "The x-amz-copy-source-range value must be of the form bytes=first-last "
                           "where first and last are the zero-based offsets of the first and last "
                           "bytes to copy");
        if (last >= size)
            return err_set(err, E_INVALID,
                           "Range specified is not valid for source object of size: %llu",
                           (unsigned long long)size);
        *count = last - *first + 1;
    }
    if (*count > COPY_MAX)
        return err_set(err, E_BAD_REQUEST,
                       "The specified copy source is larger than the maximum allowable size for a "
                       "copy source: %llu",
                       (unsigned long long)COPY_MAX);
    return 0;
}

static int open_source(struct copying *p, struct err *err)
{
    struct call *c = p->c;
    struct object_meta m;
    struct s3_copy_source from;
    uint64_t first, count;
    int rc = s3_copy_source(c, &from, err);
    if (rc)
        return rc;
    struct store_txn *t = store_read(c->svc->store);
    rc = s3_copy_find(c, &from, t, &m, err);
    if (rc == 0)
        rc = read_range(c, m.size, &first, &count, err);
    if (rc == 0)
        p->read = object_read_open(c->svc->objects, &m, first, count, &rc);
    store_read_end(t);
    return rc;
}

void s3_upload_part_copy(struct call *c)
{
    struct err err = {0};
    struct s3_part to;
    struct copying *p = arena_zalloc(c->arena, sizeof *p);
    int rc = p ? s3_part_read(c, &to, &err) : E_LIMIT;
    if (rc == 0 && !store_writable(c->svc->store))
        rc = E_NO_SPACE;
    if (rc == 0) {
        p->c = c;
        rc = open_source(p, &err);
    }
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    const struct body_promise promise = {.checksum = to.checksum};
    p->part =
        upload_part_open(c->svc->objects, c->param[0], c->param[1], to.upload, to.number, &promise);
    ingest_on_drained(upload_part_ingest(p->part), copy_next, p);
    copy_next(p);
}
