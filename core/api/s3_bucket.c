/* s3_bucket: ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation.
 *
 * One region: a location constraint that names it, or none, makes a bucket; another one is refused,
 * because the bucket would not be where the client believes. */
#include "api/gate.h"
#include "api/s3.h"
#include "api/xml.h"
#include "svc/bucket_conf.h"

enum { LIST_MAX = 10000, DOCUMENT_MAX = 4 * 1024 * 1024 };

/* --- ListBuckets --------------------------------------------------------------------------------
 */

struct listing {
    struct buf *out;
    struct str prefix, after; /* names with prefix and > after */
    size_t count, max;
    struct buf last; /* last name written, for the next page */
    bool truncated;
};

static bool list_one(void *ctx, struct str name, int64_t created_ms)
{
    struct listing *l = ctx;
    if (!str_starts(name, l->prefix) || str_cmp(name, l->after) <= 0)
        return true;
    if (l->count == l->max) {
        l->truncated = true;
        return false;
    }
    l->count++;
    buf_clear(&l->last);
    buf_add(&l->last, name);
    buf_lit(l->out, "<Bucket>");
    xml_element(l->out, "Name", name);
    s3_xml_time(l->out, "CreationDate", created_ms);
    buf_lit(l->out, "</Bucket>");
    return true;
}

void s3_list_buckets(struct call *c)
{
    struct buf doc;
    struct listing l = {.out = &doc, .max = LIST_MAX};
    uint64_t max;
    struct str given = call_query(c, "max-buckets");
    if (given.p) {
        if (!str_u64(given, &max) || max == 0 || max > LIST_MAX) {
            struct err err = {0};
            call_error(c,
                       err_set(&err, E_INVALID, "max-buckets must be between 1 and %d", LIST_MAX),
                       &err);
            return;
        }
        l.max = max;
    }
    l.prefix = call_query(c, "prefix");
    l.after = call_query(c, "continuation-token");
    buf_init(&doc, DOCUMENT_MAX);
    s3_xml_begin(&doc, "ListAllMyBucketsResult");
    s3_xml_owner(&doc, "Owner");
    buf_lit(&doc, "<Buckets>");
    struct str region = call_query(c, "bucket-region");
    struct store_txn *t = store_read(c->svc->store);
    if (!region.n || str_is(region, c->svc->region))
        bucket_list(t, list_one, &l);
    store_read_end(t);
    buf_lit(&doc, "</Buckets>");
    if (l.prefix.n)
        xml_element(&doc, "Prefix", l.prefix);
    if (l.truncated)
        xml_element(&doc, "ContinuationToken", buf_str(&l.last));
    buf_lit(&doc, "</ListAllMyBucketsResult>");
    buf_deinit(&l.last);
    s3_xml_reply(c, &doc);
}

/* --- HeadBucket, GetBucketLocation --------------------------------------------------------------
 */

void s3_head_bucket(struct call *c)
{
    int rc = s3_bucket_check(c);
    if (rc) {
        call_error(c, rc, NULL);
        return;
    }
    call_set_header(c, "x-amz-bucket-region", str_c(c->svc->region));
    call_empty(c, 200);
}

void s3_get_bucket_location(struct call *c)
{
    int rc = s3_bucket_check(c);
    if (rc) {
        call_error(c, rc, NULL);
        return;
    }
    struct buf doc = BUF_INIT;
    s3_xml_begin(&doc, "LocationConstraint");
    if (!str_is(STR("us-east-1"), c->svc->region)) /* that one has no name here */
        xml_escape(&doc, str_c(c->svc->region));
    buf_lit(&doc, "</LocationConstraint>");
    s3_xml_reply(c, &doc);
}

/* --- CreateBucket, DeleteBucket -----------------------------------------------------------------
 */

struct bucket_job {
    struct job job;
    struct call *c;
};

static struct bucket_job *job_new(struct call *c,
                                  int (*apply)(struct job *job, struct store_txn *t),
                                  void (*done)(struct job *job, int rc))
{
    struct bucket_job *j = arena_zalloc(c->arena, sizeof *j);
    if (!j) {
        call_error(c, E_LIMIT, NULL);
        return NULL;
    }
    j->c = c;
    j->job.apply = apply;
    j->job.done = done;
    return j;
}

static int create_apply(struct job *job, struct store_txn *t)
{
    uint64_t id;
    struct call *c = ((struct bucket_job *)job)->c;
    struct str owner = call_header(c, "x-amz-object-ownership");
    int rc = bucket_create(t, c->param[0], &id);
    if (rc || !owner.p)
        return rc;
    struct buf text = BUF_INIT;
    s3_ownership_text(&text, owner);
    rc = bucket_conf_put(t, c->param[0], CONF_OWNERSHIP, buf_str(&text), STR(""));
    buf_deinit(&text);
    return rc ? E_INTERNAL : 0;
}

static void create_done(struct job *job, int rc)
{
    struct call *c = ((struct bucket_job *)job)->c;
    if (rc) {
        call_error(c, rc, NULL);
        return;
    }
    struct str location = arena_printf(c->arena, "/%.*s", STR_FMT(c->param[0]));
    if (location.p)
        call_set_header(c, "Location", location);
    call_empty(c, 200);
}

/* The body is empty or a CreateBucketConfiguration. */
static int check_location(struct call *c, struct err *err)
{
    struct xml_node *root;
    if (c->body.n == 0)
        return 0;
    int rc = xml_parse(c->arena, c->body, &root);
    if (rc)
        return rc;
    if (!str_is(root->name, "CreateBucketConfiguration"))
        return E_BAD_XML;
    if (xml_child(root, "Bucket") || xml_child(root, "Location") || xml_child(root, "Tags"))
        return err_set(err, E_NOT_IMPLEMENTED,
                       "Directory buckets and tags of new buckets are not implemented");
    struct str where = xml_child_text(root, "LocationConstraint");
    if (where.n == 0 || str_is(where, c->svc->region))
        return 0;
    return err_set(err, E_LOCATION,
                   "The %.*s location constraint is incompatible for the region specific endpoint "
                   "this request was sent to.",
                   (int)(where.n < 64 ? where.n : 64), where.p);
}

void s3_create_bucket(struct call *c)
{
    struct err err = {0};
    int rc = bucket_name_check(c->param[0]);
    if (rc == 0)
        rc = check_location(c, &err);
    if (rc == 0 && s3_acl_headers(c))
        rc = E_BUCKET_ACL;
    if (rc == 0 && call_header(c, "x-amz-object-ownership").p &&
        !s3_ownership_known(call_header(c, "x-amz-object-ownership")))
        rc = err_set(&err, E_INVALID, "Invalid x-amz-object-ownership header");
    if (rc == 0 && str_ieq(call_header(c, "x-amz-bucket-object-lock-enabled"), STR("true")))
        rc = err_set(&err, E_NOT_IMPLEMENTED, "Object lock is not implemented");
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    struct bucket_job *j = job_new(c, create_apply, create_done);
    if (j)
        store_submit(c->svc->store, &j->job);
}

static int delete_apply(struct job *job, struct store_txn *t)
{
    return bucket_delete(t, ((struct bucket_job *)job)->c->param[0]);
}

static void delete_done(struct job *job, int rc)
{
    struct call *c = ((struct bucket_job *)job)->c;
    if (rc) {
        call_error(c, rc, NULL);
    } else {
        objects_sweep(c->svc->objects); /* uploads that were open in it */
        call_empty(c, 204);
    }
}

void s3_delete_bucket(struct call *c)
{
    struct bucket_job *j = job_new(c, delete_apply, delete_done);
    if (!j)
        return;
    j->job.frees_space = true;
    store_submit(c->svc->store, &j->job);
}
