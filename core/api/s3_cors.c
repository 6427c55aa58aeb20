/* s3_cors: CORS rules of a bucket: kept, answered, and put to use.
 *
 * A rule lets through an origin, methods and request headers, each perhaps with one '*' in it. The
 * first rule that fits counts. Rules are kept as the XML that GET answers and as records
 *
 *   rec of one nested rec a rule: RULE_ORIGIN, RULE_METHOD, RULE_HEADER, RULE_EXPOSE (repeated,
 *   in their order), RULE_MAX_AGE (text)
 *
 * that are walked as they lie: there is nothing to compile. A browser reads the answer's headers
 * only when they are there, so an answer that has none is a refusal. */
#include "api/s3_cors.h"

#include "api/gate_call.h"
#include "api/s3_conf.h"
#include "base/rec.h"

enum { RULE = 1 };
enum { RULE_ORIGIN = 1, RULE_METHOD, RULE_HEADER, RULE_EXPOSE, RULE_MAX_AGE };
enum { RULES_MAX = 100, ID_MAX = 255, ASKED_MAX = 100 /* headers of a preflight */ };

#define VARY "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

/* --- put ----------------------------------------------------------------------------------------
 */

static size_t stars(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '*';
    return n;
}

static int text_of(struct str s)
{
    return (int)(s.n < 100 ? s.n : 100);
}

static int check_method(struct str m, struct err *err)
{
    static const char *const known[] = {"GET", "PUT", "POST", "DELETE", "HEAD"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_is(m, known[i]))
            return 0;
    return err_set(err, E_BAD_REQUEST,
                   "Found unsupported HTTP method in CORS config. Unsupported method is %.*s",
                   text_of(m), m.p);
}

/* Header names and origins become headers of answers. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7F)
            return false;
    return s.n > 0;
}

static int check_member(uint16_t tag, struct str v, struct err *err)
{
    uint64_t seconds;
    if (tag == RULE_METHOD)
        return check_method(v, err);
    if (tag == RULE_MAX_AGE)
        return str_u64(v, &seconds) && seconds <= INT32_MAX ? 0 : E_BAD_XML;
    if (!is_plain(v))
        return E_BAD_XML;
    if (tag == RULE_EXPOSE && stars(v))
        return err_set(err, E_BAD_REQUEST,
                       "ExposeHeader \"%.*s\" contains wildcard. We currently do not support "
                       "wildcard for ExposeHeader.",
                       text_of(v), v.p);
    if (stars(v) > 1)
        return err_set(err, E_BAD_REQUEST, "%s \"%.*s\" can not have more than one wildcard.",
                       tag == RULE_ORIGIN ? "AllowedOrigin" : "AllowedHeader", text_of(v), v.p);
    return 0;
}

static const struct {
    const char *name;
    uint16_t tag;
} members[] = {
    {"AllowedOrigin", RULE_ORIGIN}, {"AllowedMethod", RULE_METHOD},  {"AllowedHeader", RULE_HEADER},
    {"ExposeHeader", RULE_EXPOSE},  {"MaxAgeSeconds", RULE_MAX_AGE},
};

static int read_rule(const struct xml_node *rule, struct buf *text, struct buf *rules,
                     struct err *err)
{
    struct str id = xml_child_text(rule, "ID");
    if (id.n > ID_MAX)
        return err_set(err, E_INVALID, "The ID of a rule has at most %d characters", ID_MAX);
    if (!xml_child(rule, "AllowedOrigin") || !xml_child(rule, "AllowedMethod"))
        return E_BAD_XML;
    if (id.n)
        xml_element(text, "ID", id);
    for (const struct xml_node *n = rule->child; n; n = n->next) {
        size_t i = 0, count = sizeof members / sizeof *members;
        while (i < count && !str_is(n->name, members[i].name))
            i++;
        if (i == count && !str_is(n->name, "ID"))
            return E_BAD_XML;
        if (i == count)
            continue;
        struct str value = str_trim(n->text);
        int rc = check_member(members[i].tag, value, err);
        if (rc)
            return rc;
        xml_element(text, members[i].name, value);
        rec_put_str(rules, members[i].tag, value);
    }
    return 0;
}

static int read_document(struct call *c, struct buf *text, struct buf *rules, struct err *err)
{
    const struct xml_node *root = c->xml;
    size_t count = 0;
    int rc = s3_bucket_check(c);
    if (rc)
        return rc;
    if (!root || !str_is(root->name, "CORSConfiguration") || !root->child)
        return E_BAD_XML;
    for (const struct xml_node *n = root->child; n && rc == 0; n = n->next) {
        if (!str_is(n->name, "CORSRule"))
            return E_BAD_XML;
        if (count++ == RULES_MAX)
            return err_set(err, E_BAD_REQUEST,
                           "The number of CORS rules should not exceed allowed limit of %d rules.",
                           RULES_MAX);
        buf_lit(text, "<CORSRule>");
        size_t mark = rec_begin(rules, RULE);
        rc = read_rule(n, text, rules, err);
        rec_end(rules, mark);
        buf_lit(text, "</CORSRule>");
    }
    return rc;
}

void s3_put_cors(struct call *c)
{
    struct err err = {0};
    struct buf text = BUF_INIT, rules = BUF_INIT;
    int rc = read_document(c, &text, &rules, &err);
    s3_conf_put(c, rc, &err, CONF_CORS, &text, &rules);
}

void s3_get_cors(struct call *c)
{
    s3_conf_answer(c, CONF_CORS, "CORSConfiguration", NULL, E_NO_CORS);
}

void s3_delete_cors(struct call *c)
{
    s3_conf_delete(c, CONF_CORS);
}

/* --- matching -----------------------------------------------------------------------------------
 */

struct question {
    struct str origin, method;
    struct str headers; /* of a preflight: those that the page wants to send; p NULL for none */
};

/* At most one '*' in pattern; without case when fold. */
static bool matches(struct str pattern, struct str s, bool fold)
{
    ptrdiff_t star = str_index(pattern, '*', 0);
    if (star < 0)
        return fold ? str_ieq(pattern, s) : str_eq(pattern, s);
    struct str head = str_of(pattern.p, (size_t)star), tail = str_from(pattern, (size_t)star + 1);
    if (s.n < head.n + tail.n)
        return false;
    struct str start = str_of(s.p, head.n), end = str_from(s, s.n - tail.n);
    return fold ? str_ieq(head, start) && str_ieq(tail, end)
                : str_eq(head, start) && str_eq(tail, end);
}

/* The member of that kind that fits s; p NULL: none does. */
static struct str member_for(struct str rule, uint16_t kind, struct str s)
{
    uint16_t tag;
    struct str v;
    while (rec_next(&rule, &tag, &v))
        if (tag == kind && matches(v, s, kind == RULE_HEADER))
            return v;
    return str_of(NULL, 0);
}

static bool headers_fit(struct str rule, struct str wanted)
{
    for (int i = 0; wanted.p; i++) {
        if (i == ASKED_MAX)
            return false;
        struct str one = str_trim(str_cut(&wanted, ','));
        if (one.n && !member_for(rule, RULE_HEADER, one).p)
            return false;
    }
    return true;
}

/* The first rule that fits; p NULL: none does. */
static struct str rule_for(struct str rules, const struct question *q)
{
    uint16_t tag;
    struct str rule;
    while (rec_next(&rules, &tag, &rule))
        if (member_for(rule, RULE_ORIGIN, q->origin).p &&
            member_for(rule, RULE_METHOD, q->method).p && headers_fit(rule, q->headers))
            return rule;
    return str_of(NULL, 0);
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void set_list(struct call *c, const char *name, struct str rule, uint16_t kind)
{
    struct buf list = BUF_INIT;
    uint16_t tag;
    struct str v;
    while (rec_next(&rule, &tag, &v)) {
        if (tag != kind)
            continue;
        if (list.n)
            buf_lit(&list, ", ");
        buf_add(&list, v);
    }
    if (list.n && list.rc == 0)
        call_set_header(c, name, buf_str(&list));
    buf_deinit(&list);
}

static void set_headers(struct call *c, struct str rule, const struct question *q)
{
    bool anybody = str_is(member_for(rule, RULE_ORIGIN, q->origin), "*");
    struct str age = rec_str(rule, RULE_MAX_AGE);
    call_set_header(c, "Access-Control-Allow-Origin", anybody ? STR("*") : q->origin);
    set_list(c, "Access-Control-Allow-Methods", rule, RULE_METHOD);
    if (q->headers.n)
        call_set_header(c, "Access-Control-Allow-Headers", q->headers);
    set_list(c, "Access-Control-Expose-Headers", rule, RULE_EXPOSE);
    if (age.n)
        call_set_header(c, "Access-Control-Max-Age", age);
    if (!anybody)
        call_set_header(c, "Access-Control-Allow-Credentials", STR("true"));
    call_set_header(c, "Vary", STR(VARY));
}

/* Finds the rule and sets its headers. 0, E_NO_BUCKET, E_NOT_FOUND (no rules), E_CORS_DENIED. */
static int apply(struct call *c, const struct question *q)
{
    struct bucket_conf_row row;
    struct store_txn *t = store_read(c->svc->store);
    int rc = bucket_conf_get(t, c->param[0], CONF_CORS, &row);
    struct str rule = rc ? str_of(NULL, 0) : rule_for(row.rules, q);
    if (rc == 0 && !rule.p)
        rc = E_CORS_DENIED;
    if (rc == 0)
        set_headers(c, rule, q);
    store_read_end(t);
    return rc;
}

void s3_cors_headers(struct call *c)
{
    struct question q = {.origin = call_header(c, "origin"), .method = c->req->method};
    if (q.origin.n && c->param[0].n)
        apply(c, &q);
}

void s3_cors_preflight(struct call *c)
{
    struct err err = {0};
    struct question q = {.origin = call_header(c, "origin"),
                         .method = call_header(c, "access-control-request-method"),
                         .headers = call_header(c, "access-control-request-headers")};
    int rc;
    if (q.origin.n == 0)
        rc = err_set(&err, E_BAD_CORS, "Insufficient information. Origin request header needed.");
    else if (q.method.n == 0)
        rc = err_set(&err, E_BAD_CORS, "Invalid Access-Control-Request-Method: null");
    else if (c->param[0].n == 0)
        rc = E_CORS_DENIED;
    else
        rc = apply(c, &q);
    if (rc == E_NOT_FOUND)
        rc = err_set(&err, E_CORS_DENIED, "CORSResponse: CORS is not enabled for this bucket.");
    if (rc)
        call_error(c, rc, &err);
    else
        call_empty(c, 200);
}
