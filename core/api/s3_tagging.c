/* s3_tagging: tags of objects and of buckets.
 *
 * A set of tags is pairs (svc/object.h), in the order given. Objects carry at most ten, buckets
 * fifty; keys differ, hold 1 to 128 characters and do not begin with "aws:", values up to 256. The
 * same rules hold for the XML of PutObjectTagging and for the x-amz-tagging header of an upload. */
#include "api/gate.h"
#include "api/s3_conf.h"
#include "base/codec.h"
#include "svc/object_tags.h"

enum { BUCKET_TAGS_MAX = 50, TAG_KEY_MAX = 128, TAG_VALUE_MAX = 256 };

/* --- rules --------------------------------------------------------------------------------------
 */

/* Characters as UTF-16 counts them; SIZE_MAX when the text is no UTF-8. */
static size_t characters(struct str s)
{
    size_t count = 0;
    while (s.n) {
        size_t n = str_utf8_sequence(s);
        if (n == 0)
            return SIZE_MAX;
        count += n == 4 ? 2 : 1;
        s = str_from(s, n);
    }
    return count;
}

/* Letters, digits, blanks and + - = . _ : / @; beyond ASCII everything is taken for a letter. */
static bool is_tag_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool alnum =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
        if (ch < 0x80 && !alnum && (ch == 0 || !strchr(" +-=._:/@", ch)))
            return false;
    }
    return true;
}

struct tag_set {
    struct buf *pairs;
    size_t count, max;
};

static bool has_key(const struct buf *pairs, struct str key)
{
    struct str rest = buf_str(pairs), name, value;
    while (object_pair_next(&rest, &name, &value))
        if (str_eq(name, key))
            return true;
    return false;
}

static int add_tag(struct tag_set *set, struct str key, struct str value, struct err *err)
{
    size_t n = characters(key), v = characters(value);
    if (n == 0 || n > TAG_KEY_MAX || !is_tag_text(key))
        return err_set(err, E_BAD_TAG, "The TagKey you have provided is invalid");
    if (v > TAG_VALUE_MAX || !is_tag_text(value))
        return err_set(err, E_BAD_TAG, "The TagValue you have provided is invalid");
    if (n >= 4 && str_ieq(str_of(key.p, 4), STR("aws:")))
        return err_set(err, E_BAD_TAG, "System tags cannot be added/updated by requester");
    if (has_key(set->pairs, key))
        return err_set(err, E_BAD_TAG, "Cannot provide multiple Tags with the same key");
    if (set->count++ == set->max)
        return set->max == OBJECT_TAGS_MAX
                   ? err_set(err, E_BAD_TAG, "Object tags cannot be greater than %d",
                             OBJECT_TAGS_MAX)
                   : err_set(err, E_BAD_TAG, "Bucket tag count cannot be greater than %zu",
                             set->max);
    object_pair_put(set->pairs, key, value);
    return set->pairs->rc;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static int read_tagging(struct call *c, size_t max, struct buf *pairs, struct err *err)
{
    struct tag_set set = {.pairs = pairs, .max = max};
    const struct xml_node *list;
    if (!c->xml || !str_is(c->xml->name, "Tagging") || !(list = xml_child(c->xml, "TagSet")))
        return E_BAD_XML;
    for (const struct xml_node *tag = list->child; tag; tag = tag->next) {
        const struct xml_node *key = xml_child(tag, "Key"), *value = xml_child(tag, "Value");
        if (!str_is(tag->name, "Tag") || !key || !value)
            return E_BAD_XML;
        int rc = add_tag(&set, key->text, value->text, err);
        if (rc)
            return rc;
    }
    return 0;
}

int s3_tags_header(struct call *c, struct buf *pairs, struct err *err)
{
    struct tag_set set = {.pairs = pairs, .max = OBJECT_TAGS_MAX};
    struct str rest = call_header(c, "x-amz-tagging");
    int rc = 0;
    while (rc == 0 && rest.n) {
        struct buf key = BUF_INIT, value = BUF_INIT;
        struct str v = str_cut(&rest, '&'), k = str_cut(&v, '=');
        if (!uri_decode(&key, k, true) || !uri_decode(&value, v, true))
            rc = err_set(err, E_INVALID,
                         "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded "
                         "URL query parameters without tag name duplicates.");
        else if (key.n || v.p)
            rc = add_tag(&set, buf_str(&key), buf_str(&value), err);
        buf_deinit(&key);
        buf_deinit(&value);
    }
    return rc;
}

int s3_tags_xml(struct call *c, struct str text, struct buf *pairs, struct err *err)
{
    struct xml_node *root;
    int rc = xml_parse(c->arena, text, &root);
    if (rc)
        return rc;
    c->xml = root;
    return read_tagging(c, OBJECT_TAGS_MAX, pairs, err);
}

static void write_tags(struct buf *out, struct str pairs)
{
    struct str name, value;
    buf_lit(out, "<TagSet>");
    while (object_pair_next(&pairs, &name, &value)) {
        buf_lit(out, "<Tag>");
        xml_element(out, "Key", name);
        xml_element(out, "Value", value);
        buf_lit(out, "</Tag>");
    }
    buf_lit(out, "</TagSet>");
}

/* --- buckets ------------------------------------------------------------------------------------
 */

void s3_put_bucket_tagging(struct call *c)
{
    struct err err = {0};
    struct buf pairs = BUF_INIT, text = BUF_INIT;
    int rc = s3_bucket_check(c);
    if (rc == 0)
        rc = read_tagging(c, BUCKET_TAGS_MAX, &pairs, &err);
    write_tags(&text, buf_str(&pairs));
    s3_conf_put(c, rc, &err, CONF_TAGGING, &text, &pairs);
}

void s3_get_bucket_tagging(struct call *c)
{
    s3_conf_answer(c, CONF_TAGGING, "Tagging", NULL, E_NO_TAGS);
}

void s3_delete_bucket_tagging(struct call *c)
{
    s3_conf_delete(c, CONF_TAGGING);
}

/* --- objects ------------------------------------------------------------------------------------
 */

static void tagged(void *ctx, int rc, const struct err *err)
{
    struct call *c = ctx;
    if (rc)
        call_error(c, rc, err);
    else
        call_empty(c, c->op->status);
}

static void set_tags(struct call *c, bool put, struct str pairs)
{
    object_set_tags(c->svc->objects, c->param[0], c->param[1], put, pairs, c->req->id, c->req->peer,
                    s3_principal(c), tagged, c);
}

void s3_put_object_tagging(struct call *c)
{
    struct err err = {0};
    struct buf pairs = BUF_INIT;
    int rc = s3_object_check(c, &err);
    if (rc == 0)
        rc = read_tagging(c, OBJECT_TAGS_MAX, &pairs, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        set_tags(c, true, buf_str(&pairs));
    buf_deinit(&pairs);
}

void s3_delete_object_tagging(struct call *c)
{
    struct err err = {0};
    int rc = s3_object_check(c, &err);
    if (rc)
        call_error(c, rc, &err);
    else
        set_tags(c, false, STR(""));
}

void s3_get_object_tagging(struct call *c)
{
    struct err err = {0};
    struct object_meta m;
    struct buf doc = BUF_INIT;
    int rc = s3_version_check(c, &err);
    s3_xml_begin(&doc, "Tagging");
    struct store_txn *t = store_read(c->svc->store);
    if (rc == 0)
        rc = object_get(t, c->param[0], c->param[1], &m);
    if (rc == 0)
        write_tags(&doc, m.tags);
    store_read_end(t);
    if (rc) {
        buf_deinit(&doc);
        call_error(c, rc, &err);
        return;
    }
    buf_lit(&doc, "</Tagging>");
    s3_xml_reply(c, &doc);
}
