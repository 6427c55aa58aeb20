/* s3_delete: DeleteObjects: up to a thousand keys in one request, each with its own answer.
 *
 * Each key is authorised by itself, deleted by its own job and sends its own event, as if it had
 * been asked for alone: one that is refused takes no other with it. The jobs go to the store in
 * slices, which its group commit joins; the answer grows with each slice, so that no turn of the
 * loop is long. */
#include "api/gate.h"
#include "api/s3.h"
#include "api/xml.h"

enum { KEYS_MAX = 1000, SLICE = 100, DOCUMENT_MAX = 16 * 1024 * 1024 };

struct one {
    struct delete_many *of;
    struct str key, version; /* version.p NULL when none was named */
    struct str if_match;     /* ETag without quotes; "" : any */
    int rc;
    struct err *err; /* NULL when the table's text will do */
};

struct delete_many {
    struct call *c;
    struct one *keys;
    size_t count, next; /* first of those that are not yet asked for */
    size_t begun, open; /* first of this slice; jobs of it that are not done */
    bool quiet;
    struct buf doc;
};

/* --- the document -------------------------------------------------------------------------------
 */

static int read_object(struct delete_many *d, const struct xml_node *n)
{
    struct one *one = &d->keys[d->count];
    const struct xml_node *key = xml_child(n, "Key");
    if (!key || key->text.n == 0)
        return E_BAD_XML;
    *one = (struct one){.of = d, .key = key->text, .version = xml_child_text(n, "VersionId")};
    one->if_match = s3_delete_match(xml_child_text(n, "ETag"));
    if (xml_child(n, "LastModifiedTime") || xml_child(n, "Size"))
        one->rc = E_NOT_IMPLEMENTED; /* a condition nobody looks at would delete too much */
    d->count++;
    return 0;
}

static int read_document(struct delete_many *d)
{
    const struct xml_node *root = d->c->xml;
    struct str quiet;
    if (!root || !str_is(root->name, "Delete"))
        return E_BAD_XML;
    d->keys = arena_zalloc(d->c->arena, KEYS_MAX * sizeof *d->keys);
    if (!d->keys)
        return E_LIMIT;
    for (const struct xml_node *n = root->child; n; n = n->next) {
        int rc = 0;
        if (str_is(n->name, "Object"))
            rc = d->count < KEYS_MAX ? read_object(d, n) : E_BAD_XML;
        else if (!str_is(n->name, "Quiet"))
            rc = E_BAD_XML;
        if (rc)
            return rc;
    }
    quiet = xml_child_text(root, "Quiet");
    d->quiet = str_ieq(quiet, STR("true"));
    return d->count ? 0 : E_BAD_XML;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static void write_one(struct delete_many *d, const struct one *one)
{
    struct buf *doc = &d->doc;
    if (one->rc == 0 && d->quiet)
        return;
    buf_add(doc, one->rc ? STR("<Error>") : STR("<Deleted>"));
    xml_element(doc, "Key", one->key);
    if (one->version.p)
        xml_element(doc, "VersionId", one->version);
    if (one->rc) {
        xml_element(doc, "Code", str_c(err_row(one->rc)->s3));
        xml_element(doc, "Message", str_c(err_text(one->err, one->rc)));
    }
    buf_add(doc, one->rc ? STR("</Error>") : STR("</Deleted>"));
}

static void finish(struct delete_many *d)
{
    struct buf doc = d->doc;
    buf_lit(&doc, "</DeleteResult>");
    s3_xml_reply(d->c, &doc);
}

/* --- slices -------------------------------------------------------------------------------------
 */

static void next_slice(struct delete_many *d);

static void slice_done(struct delete_many *d)
{
    for (size_t i = d->begun; i < d->next; i++)
        write_one(d, &d->keys[i]);
    if (d->next < d->count)
        next_slice(d);
    else
        finish(d);
}

static void refuse(struct one *one, int rc, const struct err *err)
{
    one->rc = rc;
    one->err = err->code ? arena_alloc(one->of->c->arena, sizeof *one->err) : NULL;
    if (one->err)
        *one->err = *err;
}

static void deleted(void *ctx, int rc, bool existed, const struct err *err)
{
    struct one *one = ctx;
    struct delete_many *d = one->of;
    (void)existed, (void)err;
    one->rc = rc;
    if (--d->open == 0)
        slice_done(d);
}

/* May it be deleted, and is there anything that could be? Sets one->rc when not. */
static bool wanted(struct call *c, struct one *one)
{
    struct err err = {0};
    struct str arn = call_s3_arn(c, c->param[0], one->key);
    int rc = one->rc ? one->rc : arn.p ? call_authorise(c, "s3:DeleteObject", arn, &err) : E_LIMIT;
    if (rc == 0)
        rc = s3_version_judge(one->version, &err);
    if (rc == E_NO_VERSION)
        return false; /* that version is gone already */
    if (rc)
        refuse(one, rc, &err);
    return rc == 0;
}

static void next_slice(struct delete_many *d)
{
    struct call *c = d->c;
    d->begun = d->next;
    d->open = 1; /* ours, until all are asked for */
    for (; d->next < d->count && d->next < d->begun + SLICE; d->next++) {
        struct one *one = &d->keys[d->next];
        if (!wanted(c, one))
            continue;
        d->open++;
        struct object_delete_req r = {.bucket = c->param[0],
                                      .key = one->key,
                                      .if_match = one->if_match,
                                      .event = "ObjectRemoved:Delete",
                                      .request_id = c->req->id,
                                      .peer = c->req->peer,
                                      .principal = s3_principal(c)};
        object_delete_if(c->svc->objects, &r, deleted, one);
    }
    if (--d->open == 0)
        slice_done(d);
}

void s3_delete_objects(struct call *c)
{
    struct err err = {0};
    struct delete_many *d = arena_zalloc(c->arena, sizeof *d);
    int rc = d ? s3_bucket_check(c) : E_LIMIT;
    if (rc == 0 && !c->promised)
        rc = err_set(&err, E_BAD_REQUEST,
                     "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
    if (rc == 0) {
        d->c = c;
        rc = read_document(d);
    }
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    buf_init(&d->doc, DOCUMENT_MAX);
    s3_xml_begin(&d->doc, "DeleteResult");
    next_slice(d);
}
