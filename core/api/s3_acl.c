/* s3_acl: access control lists: there is one, "the owner may do everything", and it cannot change.
 *
 * That is how S3 itself answers for a bucket whose owner is enforced. Setting that very list is
 * therefore fine, in any of its forms; any other is refused by name, since nobody should believe
 * that a grant or a public-read has had an effect. Bucket policies are the way to let others in. */
#include "api/gate.h"
#include "api/s3.h"
#include "api/xml.h"

static void answer(struct call *c)
{
    struct buf doc = BUF_INIT;
    s3_xml_begin(&doc, "AccessControlPolicy");
    s3_xml_owner(&doc, "Owner");
    buf_lit(&doc,
            "<AccessControlList><Grant><Grantee "
            "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
            "xsi:type=\"CanonicalUser\"><ID>" BUCKET_OWNER_ID "</ID><DisplayName>" BUCKET_OWNER_NAME
            "</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant>"
            "</AccessControlList></AccessControlPolicy>");
    s3_xml_reply(c, &doc);
}

void s3_get_bucket_acl(struct call *c)
{
    int rc = s3_bucket_check(c);
    if (rc)
        call_error(c, rc, NULL);
    else
        answer(c);
}

void s3_get_object_acl(struct call *c)
{
    struct err err = {0};
    int rc = s3_object_check(c, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        answer(c);
}

/* --- put ----------------------------------------------------------------------------------------
 */

/* id="…", id="…": all of them the owner? */
static bool grants_owner(struct str header)
{
    while (header.p) {
        struct str value = str_trim(str_cut(&header, ',')), kind = str_cut(&value, '=');
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = str_of(value.p + 1, value.n - 2);
        if (!str_is(str_trim(kind), "id") || !str_is(value, BUCKET_OWNER_ID))
            return false;
    }
    return true;
}

bool s3_acl_fits(struct str canned)
{
    return str_is(canned, "private") || str_is(canned, "bucket-owner-full-control");
}

int s3_acl_headers(struct call *c)
{
    static const char *const grants[] = {"x-amz-grant-read", "x-amz-grant-write",
                                         "x-amz-grant-read-acp", "x-amz-grant-write-acp"};
    struct str canned = call_header(c, "x-amz-acl");
    struct str full = call_header(c, "x-amz-grant-full-control");
    if (canned.p && !s3_acl_fits(canned))
        return E_NO_ACL;
    if (full.p && !grants_owner(full))
        return E_NO_ACL;
    for (size_t i = 0; i < sizeof grants / sizeof *grants; i++)
        if (call_header(c, grants[i]).p)
            return E_NO_ACL;
    return 0;
}

/* A list that grants the owner everything and nobody anything. */
static int read_list(const struct xml_node *root)
{
    const struct xml_node *list = xml_child(root, "AccessControlList");
    struct str permission;
    if (!str_is(root->name, "AccessControlPolicy") || !list)
        return E_BAD_ACL;
    if (!list->child)
        return E_NO_ACL;
    for (const struct xml_node *g = list->child; g; g = g->next) {
        const struct xml_node *grantee = xml_child(g, "Grantee");
        permission = xml_child_text(g, "Permission");
        if (!str_is(g->name, "Grant") || !grantee || permission.n == 0)
            return E_BAD_ACL;
        if (!str_is(xml_child_text(grantee, "ID"), BUCKET_OWNER_ID) ||
            !str_is(permission, "FULL_CONTROL"))
            return E_NO_ACL;
    }
    return 0;
}

static void put(struct call *c, int rc, const struct err *err)
{
    if (rc == 0)
        rc = s3_acl_headers(c);
    if (rc == 0 && c->xml)
        rc = read_list(c->xml);
    else if (rc == 0 && !call_header(c, "x-amz-acl").p &&
             !call_header(c, "x-amz-grant-full-control").p)
        rc = E_BAD_ACL;
    if (rc)
        call_error(c, rc, err);
    else
        call_empty(c, 200);
}

void s3_put_bucket_acl(struct call *c)
{
    put(c, s3_bucket_check(c), NULL);
}

void s3_put_object_acl(struct call *c)
{
    struct err err = {0};
    put(c, s3_object_check(c, &err), &err);
}
