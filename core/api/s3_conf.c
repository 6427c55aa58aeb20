/* s3_conf: configurations of a bucket that are kept and answered, and those that there are none of.
 *
 * Every kind is judged before it is kept: what would have no effect here (versions, KMS keys,
 * replication, logs of access) is refused with its name, so that nobody believes in it. What tools
 * ask about without wanting it is answered as S3 answers for a bucket that never had it. */
#include "api/s3_conf.h"

#include "api/gate.h"
#include "base/rec.h"
#include "svc/bucket_policy.h"

/* --- rows ---------------------------------------------------------------------------------------
 */

struct conf_job {
    struct job job;
    struct call *c;
    enum bucket_conf kind;
    struct buf text, rules;
};

static int put_apply(struct job *job, struct store_txn *t)
{
    struct conf_job *j = (struct conf_job *)job;
    return bucket_conf_put(t, j->c->param[0], j->kind, buf_str(&j->text), buf_str(&j->rules));
}

static int delete_apply(struct job *job, struct store_txn *t)
{
    struct conf_job *j = (struct conf_job *)job;
    return bucket_conf_del(t, j->c->param[0], j->kind);
}

static void conf_done(struct job *job, int rc)
{
    struct conf_job *j = (struct conf_job *)job;
    buf_deinit(&j->text);
    buf_deinit(&j->rules);
    if (rc)
        call_error(j->c, rc, NULL);
    else
        call_empty(j->c, j->c->op->status);
}

void s3_conf_put(struct call *c, int rc, const struct err *err, enum bucket_conf kind,
                 struct buf *text, struct buf *rules)
{
    struct conf_job *j = rc ? NULL : arena_zalloc(c->arena, sizeof *j);
    if (!j || text->rc || (rules && rules->rc)) {
        buf_deinit(text);
        if (rules)
            buf_deinit(rules);
        call_error(c, rc ? rc : E_LIMIT, rc ? err : NULL);
        return;
    }
    *j = (struct conf_job){.c = c, .kind = kind, .text = *text, .rules = rules ? *rules : BUF_INIT};
    j->job.apply = put_apply;
    j->job.done = conf_done;
    store_submit(c->svc->store, &j->job);
}

void s3_conf_delete(struct call *c, enum bucket_conf kind)
{
    struct conf_job *j = arena_zalloc(c->arena, sizeof *j);
    if (!j) {
        call_error(c, E_LIMIT, NULL);
        return;
    }
    *j = (struct conf_job){.c = c, .kind = kind};
    j->job = (struct job){.apply = delete_apply, .done = conf_done, .frees_space = true};
    store_submit(c->svc->store, &j->job);
}

int s3_conf_text(struct call *c, enum bucket_conf kind, struct buf *out)
{
    struct bucket_conf_row row;
    struct store_txn *t = store_read(c->svc->store);
    int rc = bucket_conf_get(t, c->param[0], kind, &row);
    if (rc == 0)
        buf_add(out, row.text);
    store_read_end(t);
    return rc;
}

void s3_conf_answer(struct call *c, enum bucket_conf kind, const char *root, const char *otherwise,
                    int absent)
{
    struct buf doc = BUF_INIT;
    s3_xml_begin(&doc, root);
    int rc = s3_conf_text(c, kind, &doc);
    if (rc == E_NOT_FOUND && otherwise) {
        buf_add(&doc, str_c(otherwise));
        rc = 0;
    }
    if (rc) {
        buf_deinit(&doc);
        call_error(c, rc == E_NOT_FOUND ? absent : rc, NULL);
        return;
    }
    buf_printf(&doc, "</%s>", root);
    s3_xml_reply(c, &doc);
}

int s3_xml_bool(const struct xml_node *n, const char *name, bool *out)
{
    struct str text = xml_child_text(n, name);
    if (!text.p)
        return 0;
    *out = str_ieq(text, STR("true"));
    return *out || str_ieq(text, STR("false")) ? 0 : E_BAD_XML;
}

/* The body's root when it is the element of that name. */
static int read_root(struct call *c, const char *name)
{
    int rc = s3_bucket_check(c);
    if (rc)
        return rc;
    return c->xml && str_is(c->xml->name, name) ? 0 : E_BAD_XML;
}

/* --- public access block ------------------------------------------------------------------------
 */

void s3_put_public_access_block(struct call *c)
{
    static const char *const names[] = {"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy",
                                        "RestrictPublicBuckets"};
    struct buf text = BUF_INIT, rules = BUF_INIT;
    int rc = read_root(c, "PublicAccessBlockConfiguration");
    for (uint16_t i = 0; i < 4 && rc == 0; i++) {
        bool on = false;
        rc = s3_xml_bool(c->xml, names[i], &on);
        xml_element(&text, names[i], on ? STR("true") : STR("false"));
        rec_put_u64(&rules, (uint16_t)(PUBLIC_ACCESS_BLOCK_ACLS + i), on);
    }
    s3_conf_put(c, rc, NULL, CONF_PUBLIC_ACCESS, &text, &rules);
}

void s3_get_public_access_block(struct call *c)
{
    s3_conf_answer(c, CONF_PUBLIC_ACCESS, "PublicAccessBlockConfiguration", NULL,
                   E_NO_PUBLIC_ACCESS_BLOCK);
}

void s3_delete_public_access_block(struct call *c)
{
    s3_conf_delete(c, CONF_PUBLIC_ACCESS);
}

/* --- ownership controls -------------------------------------------------------------------------
 */

/* One account owns every object, so the three rules mean the same here; the default is S3's. */
#define OWNERSHIP_DEFAULT "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>"

bool s3_ownership_known(struct str rule)
{
    return str_is(rule, "BucketOwnerEnforced") || str_is(rule, "BucketOwnerPreferred") ||
           str_is(rule, "ObjectWriter");
}

void s3_ownership_text(struct buf *out, struct str rule)
{
    buf_lit(out, "<Rule>");
    xml_element(out, "ObjectOwnership", rule);
    buf_lit(out, "</Rule>");
}

void s3_put_ownership(struct call *c)
{
    struct buf text = BUF_INIT;
    int rc = read_root(c, "OwnershipControls");
    const struct xml_node *rule = rc ? NULL : xml_child(c->xml, "Rule");
    struct str which = rule ? xml_child_text(rule, "ObjectOwnership") : STR("");
    if (rc == 0 && (!s3_ownership_known(which) || rule->next))
        rc = E_BAD_XML;
    s3_ownership_text(&text, which);
    s3_conf_put(c, rc, NULL, CONF_OWNERSHIP, &text, NULL);
}

/* Removed is something else than never set: an empty text stands for it. */
void s3_get_ownership(struct call *c)
{
    struct buf text = BUF_INIT;
    int rc = s3_conf_text(c, CONF_OWNERSHIP, &text);
    bool removed = rc == 0 && text.n == 0;
    buf_deinit(&text);
    if (removed)
        call_error(c, E_NO_OWNERSHIP, NULL);
    else
        s3_conf_answer(c, CONF_OWNERSHIP, "OwnershipControls", OWNERSHIP_DEFAULT, E_NO_OWNERSHIP);
}

void s3_delete_ownership(struct call *c)
{
    struct buf text = BUF_INIT;
    s3_conf_put(c, 0, NULL, CONF_OWNERSHIP, &text, NULL);
}

/* --- encryption ---------------------------------------------------------------------------------
 */

#define ENCRYPTION_DEFAULT                                                                         \
    "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"                \
    "</ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>"

static int read_encryption(struct call *c, struct err *err)
{
    int rc = read_root(c, "ServerSideEncryptionConfiguration");
    const struct xml_node *rule = rc ? NULL : xml_child(c->xml, "Rule");
    const struct xml_node *by = rule ? xml_child(rule, "ApplyServerSideEncryptionByDefault") : NULL;
    struct str alg = by ? xml_child_text(by, "SSEAlgorithm") : STR("");
    if (rc)
        return rc;
    if (!rule || rule->next || (by && alg.n == 0))
        return E_BAD_XML;
    if (by && str_starts(alg, STR("aws:kms")))
        return err_set(err, E_NOT_IMPLEMENTED,
                       "There are no KMS keys here: AES256 is the "
                       "algorithm that is answered");
    if (by && !str_is(alg, "AES256"))
        return E_BAD_XML;
    if (by && xml_child(by, "KMSMasterKeyID"))
        return err_set(err, E_INVALID,
                       "a KMSMasterKeyID is not applicable if the default sse "
                       "algorithm is not aws:kms or aws:kms:dsse");
    return 0;
}

void s3_put_encryption(struct call *c)
{
    struct err err = {0};
    struct buf text = BUF_INIT;
    int rc = read_encryption(c, &err);
    buf_lit(&text, ENCRYPTION_DEFAULT);
    s3_conf_put(c, rc, &err, CONF_ENCRYPTION, &text, NULL);
}

void s3_get_encryption(struct call *c)
{
    s3_conf_answer(c, CONF_ENCRYPTION, "ServerSideEncryptionConfiguration", ENCRYPTION_DEFAULT, 0);
}

void s3_delete_encryption(struct call *c)
{
    s3_conf_delete(c, CONF_ENCRYPTION);
}

/* --- versioning ---------------------------------------------------------------------------------
 */

void s3_put_versioning(struct call *c)
{
    struct err err = {0};
    struct buf text = BUF_INIT;
    int rc = read_root(c, "VersioningConfiguration");
    struct str status = rc ? STR("") : xml_child_text(c->xml, "Status");
    struct str mfa = rc ? STR("") : xml_child_text(c->xml, "MfaDelete");
    if (rc == 0 && (str_is(status, "Enabled") || str_is(mfa, "Enabled")))
        rc = err_set(&err, E_NOT_IMPLEMENTED,
                     "Object versions are not implemented: versioning cannot be enabled");
    else if (rc == 0 && !str_is(status, "Suspended"))
        rc = E_BAD_XML;
    buf_lit(&text, "<Status>Suspended</Status>");
    s3_conf_put(c, rc, &err, CONF_VERSIONING, &text, NULL);
}

void s3_get_versioning(struct call *c)
{
    s3_conf_answer(c, CONF_VERSIONING, "VersioningConfiguration", "", 0);
}

/* --- what there is none of ----------------------------------------------------------------------
 */

/* The document that says "not configured", or the error. */
static void answer_fixed(struct call *c, const char *root, const char *inner, int absent)
{
    int rc = s3_bucket_check(c);
    if (rc || absent) {
        call_error(c, rc ? rc : absent, NULL);
        return;
    }
    struct buf doc = BUF_INIT;
    s3_xml_begin(&doc, root);
    buf_printf(&doc, "%s</%s>", inner, root);
    s3_xml_reply(c, &doc);
}

void s3_get_accelerate(struct call *c)
{
    answer_fixed(c, "AccelerateConfiguration", "", 0);
}

void s3_get_request_payment(struct call *c)
{
    answer_fixed(c, "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>", 0);
}

void s3_get_logging(struct call *c)
{
    answer_fixed(c, "BucketLoggingStatus", "", 0);
}

void s3_get_website(struct call *c)
{
    answer_fixed(c, "", "", E_NO_WEBSITE);
}

void s3_get_replication(struct call *c)
{
    answer_fixed(c, "", "", E_NO_REPLICATION);
}

void s3_get_object_lock(struct call *c)
{
    answer_fixed(c, "", "", E_NO_OBJECT_LOCK);
}

/* ?inventory, ?metrics, … : an empty list, or the one asked for by id, which is not there. */
static void answer_list(struct call *c, const char *root)
{
    answer_fixed(c, root, "<IsTruncated>false</IsTruncated>",
                 call_query(c, "id").p ? E_NO_CONFIGURATION : 0);
}

void s3_list_analytics(struct call *c)
{
    answer_list(c, "ListBucketAnalyticsConfigurationResult");
}

void s3_list_inventory(struct call *c)
{
    answer_list(c, "ListInventoryConfigurationsResult");
}

void s3_list_metrics(struct call *c)
{
    answer_list(c, "ListMetricsConfigurationsResult");
}

void s3_list_tiering(struct call *c)
{
    answer_list(c, "ListBucketIntelligentTieringConfigurationsOutput");
}

/* Removing what there is none of. */
void s3_delete_nothing(struct call *c)
{
    int rc = s3_bucket_check(c);
    if (rc)
        call_error(c, rc, NULL);
    else
        call_empty(c, c->op->status);
}

/* What may be set to what it is: the body's only member, when it is there, has this value. */
static void put_default(struct call *c, const char *root, const char *member, const char *value)
{
    struct err err = {0};
    int rc = read_root(c, root);
    struct str given = rc ? STR("") : xml_child_text(c->xml, member);
    if (rc == 0 && c->xml->child && !(value && str_is(given, value)))
        rc = err_set(&err, E_NOT_IMPLEMENTED, "%s: only the default is implemented", root);
    if (rc)
        call_error(c, rc, &err);
    else
        call_empty(c, c->op->status);
}

void s3_put_accelerate(struct call *c)
{
    put_default(c, "AccelerateConfiguration", "Status", "Suspended");
}

void s3_put_request_payment(struct call *c)
{
    put_default(c, "RequestPaymentConfiguration", "Payer", "BucketOwner");
}

void s3_put_logging(struct call *c)
{
    put_default(c, "BucketLoggingStatus", "", NULL);
}

void s3_get_object_hold(struct call *c)
{
    struct err err = {0};
    int rc = s3_bucket_check(c);
    if (rc == 0)
        rc = err_set(&err, E_BAD_REQUEST, "Bucket is missing Object Lock Configuration");
    call_error(c, rc, &err);
}
