/* s3_lifecycle: the lifecycle configuration of a bucket: put, get, delete.
 *
 * Rules are judged as S3 judges them and kept twice: as the XML that GET answers, and as records for
 * the sweep (svc/lifecycle). Other classes of storage do not exist, so a rule that moves objects
 * there is refused; what concerns versions is taken and has nothing to do. */
#include "api/gate.h"
#include "api/s3_conf.h"
#include "base/clock.h"
#include "base/id.h"
#include "svc/lifecycle.h"

enum { RULES_MAX = 1000, ID_MAX = 255 };
static const int64_t DAY_MS = 24 * 3600 * 1000;

/* One rule while it is read. */
struct reading {
    struct call *c;
    struct str id;
    bool prefix_outside; /* <Prefix> of the rule itself, the older form */
    bool has_filter, has_and, has_prefix;
    struct buf tags;
    size_t tag_count;
    struct lifecycle_rule r;
    struct err *err;
};

/* --- reading ------------------------------------------------------------------------------------
 */

static int read_days(struct reading *g, const struct xml_node *n, const char *name,
                     const char *action, uint64_t *out)
{
    uint64_t days;
    struct str text = xml_child_text(n, name);
    if (!text.p)
        return 0;
    if (!str_u64(text, &days) || days == 0 || days > INT32_MAX)
        return err_set(g->err, E_INVALID, "'%s' for %s action must be a positive integer", name,
                       action);
    *out = days;
    return 0;
}

static int read_expiration(struct reading *g, const struct xml_node *n)
{
    struct str date = xml_child_text(n, "Date");
    int rc = read_days(g, n, "Days", "Expiration", &g->r.days);
    if (rc == 0)
        rc = s3_xml_bool(n, "ExpiredObjectDeleteMarker", &g->r.expired_delete_marker);
    if (rc)
        return rc;
    if (date.p) {
        if (!clock_parse(date, &g->r.date_ms))
            return E_BAD_XML;
        if (g->r.date_ms % DAY_MS)
            return err_set(g->err, E_INVALID, "'Date' must be at midnight GMT");
        g->r.has_date = true;
    }
    return (g->r.days != 0) + g->r.has_date + (xml_child(n, "ExpiredObjectDeleteMarker") != NULL) ==
                   1
               ? 0
               : E_BAD_XML;
}

static int read_size(const struct xml_node *n, uint64_t *out, bool *has)
{
    *has = true;
    return str_u64(str_trim(n->text), out) ? 0 : E_BAD_XML;
}

/* What stands in <Filter> or in its <And>. */
static int read_filter(struct reading *g, const struct xml_node *filter)
{
    int rc = 0;
    for (const struct xml_node *n = filter->child; n && rc == 0; n = n->next) {
        if (str_is(n->name, "Prefix")) {
            g->has_prefix = true;
            g->r.prefix = n->text;
        } else if (str_is(n->name, "Tag") && xml_child(n, "Key") && xml_child(n, "Value")) {
            g->tag_count++;
            object_pair_put(&g->tags, xml_child(n, "Key")->text, xml_child(n, "Value")->text);
        } else if (str_is(n->name, "ObjectSizeGreaterThan")) {
            rc = read_size(n, &g->r.larger_than, &g->r.has_larger);
        } else if (str_is(n->name, "ObjectSizeLessThan")) {
            rc = read_size(n, &g->r.smaller_than, &g->r.has_smaller);
        } else if (str_is(n->name, "And") && !g->has_and) {
            g->has_and = true;
            rc = read_filter(g, n);
        } else {
            rc = E_BAD_XML;
        }
    }
    g->r.tags = buf_str(&g->tags);
    return rc ? rc : g->tags.rc;
}

static int read_member(struct reading *g, const struct xml_node *n)
{
    struct lifecycle_rule *r = &g->r;
    if (str_is(n->name, "ID"))
        return 0;
    if (str_is(n->name, "Status")) {
        r->enabled = str_is(str_trim(n->text), "Enabled");
        return r->enabled || str_is(str_trim(n->text), "Disabled") ? 0 : E_BAD_XML;
    }
    if (str_is(n->name, "Prefix")) {
        g->prefix_outside = true;
        r->prefix = n->text;
        return 0;
    }
    if (str_is(n->name, "Filter")) {
        g->has_filter = true;
        return read_filter(g, n);
    }
    if (str_is(n->name, "Expiration"))
        return read_expiration(g, n);
    if (str_is(n->name, "AbortIncompleteMultipartUpload"))
        return read_days(g, n, "DaysAfterInitiation", "AbortIncompleteMultipartUpload",
                         &r->abort_days);
    if (str_is(n->name, "NoncurrentVersionExpiration"))
        return read_days(g, n, "NoncurrentDays", "NoncurrentVersionExpiration",
                         &r->noncurrent_days);
    if (str_is(n->name, "Transition") || str_is(n->name, "NoncurrentVersionTransition"))
        return err_set(g->err, E_NOT_IMPLEMENTED,
                       "There is one class of storage here: %.*s is not implemented",
                       STR_FMT(n->name));
    return E_BAD_XML;
}

static int check_rule(struct reading *g)
{
    const struct lifecycle_rule *r = &g->r;
    size_t conditions = g->has_prefix + g->tag_count + r->has_larger + r->has_smaller;
    if (g->id.n > ID_MAX)
        return err_set(g->err, E_INVALID, "ID length should not exceed allowed limit of %d",
                       ID_MAX);
    if (g->prefix_outside == g->has_filter || (conditions > 1 && !g->has_and))
        return E_BAD_XML;
    if (r->prefix.n > OBJKEY_MAX)
        return err_set(g->err, E_INVALID, "The maximum size of a prefix is %d bytes", OBJKEY_MAX);
    if (!r->days && !r->has_date && !r->abort_days && !r->noncurrent_days &&
        !r->expired_delete_marker)
        return err_set(g->err, E_BAD_REQUEST,
                       "At least one action needs to be specified in a rule");
    if (r->abort_days && (g->tag_count || r->has_larger || r->has_smaller))
        return err_set(g->err, E_BAD_REQUEST,
                       "AbortIncompleteMultipartUpload cannot be specified with Tags or sizes.");
    if (r->expired_delete_marker && g->tag_count)
        return err_set(g->err, E_BAD_REQUEST,
                       "ExpiredObjectDeleteMarker cannot be specified with Tags.");
    if (r->has_larger && r->has_smaller && r->smaller_than <= r->larger_than)
        return err_set(g->err, E_BAD_REQUEST,
                       "'ObjectSizeLessThan' has to be a value greater than "
                       "'ObjectSizeGreaterThan'.");
    return 0;
}

static int read_rule(struct reading *g, const struct xml_node *rule)
{
    g->id = xml_child_text(rule, "ID");
    if (g->id.n == 0) {
        char uuid[37];
        id_uuid(uuid);
        g->id = arena_dup(g->c->arena, str_c(uuid));
    }
    if (!str_is(rule->name, "Rule") || !xml_child(rule, "Status"))
        return E_BAD_XML;
    for (const struct xml_node *n = rule->child; n; n = n->next) {
        int rc = read_member(g, n);
        if (rc)
            return rc;
    }
    return check_rule(g);
}

/* --- writing ------------------------------------------------------------------------------------
 */

static void write_filter(struct buf *out, const struct reading *g)
{
    const struct lifecycle_rule *r = &g->r;
    struct str tags = r->tags, name, value;
    if (g->prefix_outside) {
        xml_element(out, "Prefix", r->prefix);
        return;
    }
    buf_add(out, g->has_and ? STR("<Filter><And>") : STR("<Filter>"));
    if (g->has_prefix)
        xml_element(out, "Prefix", r->prefix);
    while (object_pair_next(&tags, &name, &value)) {
        buf_lit(out, "<Tag>");
        xml_element(out, "Key", name);
        xml_element(out, "Value", value);
        buf_lit(out, "</Tag>");
    }
    if (r->has_larger)
        s3_xml_number(out, "ObjectSizeGreaterThan", r->larger_than);
    if (r->has_smaller)
        s3_xml_number(out, "ObjectSizeLessThan", r->smaller_than);
    buf_add(out, g->has_and ? STR("</And></Filter>") : STR("</Filter>"));
}

static void write_days(struct buf *out, const char *action, const char *name, uint64_t days)
{
    if (days)
        buf_printf(out, "<%s><%s>%llu</%s></%s>", action, name, (unsigned long long)days, name,
                   action);
}

static void write_rule(struct buf *out, const struct reading *g)
{
    const struct lifecycle_rule *r = &g->r;
    buf_lit(out, "<Rule>");
    xml_element(out, "ID", g->id);
    write_filter(out, g);
    xml_element(out, "Status", r->enabled ? STR("Enabled") : STR("Disabled"));
    write_days(out, "Expiration", "Days", r->days);
    if (r->has_date) {
        buf_lit(out, "<Expiration>");
        s3_xml_time(out, "Date", r->date_ms);
        buf_lit(out, "</Expiration>");
    }
    if (r->expired_delete_marker)
        buf_lit(out, "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
                     "</Expiration>");
    write_days(out, "AbortIncompleteMultipartUpload", "DaysAfterInitiation", r->abort_days);
    write_days(out, "NoncurrentVersionExpiration", "NoncurrentDays", r->noncurrent_days);
    buf_lit(out, "</Rule>");
}

/* --- the calls ----------------------------------------------------------------------------------
 */

/* Notes the rule's id in `seen`, an object; false when it was there already. */
static bool is_new(json_t *seen, const struct xml_node *rule)
{
    struct str id = xml_child_text(rule, "ID");
    if (id.n == 0)
        return true;
    if (json_object_getn(seen, id.p, id.n))
        return false;
    json_object_setn_new_nocheck(seen, id.p, id.n, json_true());
    return true;
}

static int read_document(struct call *c, struct buf *text, struct buf *rules, struct err *err)
{
    const struct xml_node *root = c->xml;
    size_t count = 0;
    int rc = s3_bucket_check(c);
    if (rc)
        return rc;
    if (!root || !str_is(root->name, "LifecycleConfiguration") || !root->child)
        return E_BAD_XML;
    json_t *seen = json_object();
    for (const struct xml_node *n = root->child; n && rc == 0; n = n->next) {
        struct reading g = {.c = c, .err = err};
        if (count++ == RULES_MAX)
            rc = E_BAD_XML;
        else if (!is_new(seen, n))
            rc = err_set(err, E_INVALID,
                         "Rule ID must be unique. Found same ID for more than one rule");
        else
            rc = read_rule(&g, n);
        if (rc == 0) {
            write_rule(text, &g);
            g.r.id = g.id;
            lifecycle_encode(rules, &g.r);
        }
        buf_deinit(&g.tags);
    }
    json_decref(seen);
    return rc;
}

void s3_put_lifecycle(struct call *c)
{
    struct err err = {0};
    struct buf text = BUF_INIT, rules = BUF_INIT;
    int rc = read_document(c, &text, &rules, &err);
    s3_conf_put(c, rc, &err, CONF_LIFECYCLE, &text, &rules);
}

void s3_get_lifecycle(struct call *c)
{
    s3_conf_answer(c, CONF_LIFECYCLE, "LifecycleConfiguration", NULL, E_NO_LIFECYCLE);
}

void s3_delete_lifecycle(struct call *c)
{
    s3_conf_delete(c, CONF_LIFECYCLE);
}
