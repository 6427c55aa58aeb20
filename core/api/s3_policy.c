/* s3_policy: the policy of a bucket: put, get, delete, and whether it is public.
 *
 * The document is kept as it came, byte for byte. What it means is asked at every request, by
 * call_authorise. */
#include "api/gate.h"
#include "api/s3_conf.h"
#include "svc/bucket_policy.h"

static int check(struct call *c, struct err *err)
{
    int rc = s3_bucket_check(c);
    if (rc == 0)
        rc = bucket_policy_check(c->body, c->param[0], err);
    if (rc || !bucket_policy_is_public(c->body))
        return rc;
    struct store_txn *t = store_read(c->svc->store);
    bool blocked = bucket_public_access_blocked(t, c->param[0], PUBLIC_ACCESS_BLOCK_POLICY);
    store_read_end(t);
    return blocked ? err_set(err, E_DENIED,
                             "Access Denied: public policies are blocked by the "
                             "BlockPublicPolicy block public access setting.")
                   : 0;
}

void s3_put_policy(struct call *c)
{
    struct err err = {0};
    struct buf text = BUF_INIT;
    int rc = check(c, &err);
    buf_add(&text, c->body);
    s3_conf_put(c, rc, &err, CONF_POLICY, &text, NULL);
}

void s3_get_policy(struct call *c)
{
    struct buf text = BUF_INIT;
    int rc = s3_conf_text(c, CONF_POLICY, &text);
    if (rc || text.rc)
        call_error(c, rc == E_NOT_FOUND ? E_NO_BUCKET_POLICY : rc ? rc : text.rc, NULL);
    else
        call_bytes(c, 200, "application/json", buf_str(&text));
    buf_deinit(&text);
}

void s3_delete_policy(struct call *c)
{
    s3_conf_delete(c, CONF_POLICY);
}

void s3_get_policy_status(struct call *c)
{
    struct buf text = BUF_INIT, doc = BUF_INIT;
    int rc = s3_conf_text(c, CONF_POLICY, &text);
    if (rc) {
        call_error(c, rc == E_NOT_FOUND ? E_NO_BUCKET_POLICY : rc, NULL);
        return;
    }
    s3_xml_begin(&doc, "PolicyStatus");
    buf_printf(&doc, "<IsPublic>%s</IsPublic></PolicyStatus>",
               bucket_policy_is_public(buf_str(&text)) ? "true" : "false");
    buf_deinit(&text);
    s3_xml_reply(c, &doc);
}
