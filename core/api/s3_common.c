/* s3_common: pieces of S3's XML answers, and HTTP's conditions on an object.
 *
 * Conditions are judged as RFC 9110 §13.2.2 orders them: If-Match (or, without it,
 * If-Unmodified-Since) can refuse; then If-None-Match (or If-Modified-Since) can answer that
 * nothing is new. Times in headers have seconds only, so an object's own time is compared without
 * its milliseconds. */
#include "api/s3.h"
#include "base/clock.h"
#include "base/codec.h"
#include "svc/bucket_conf.h"
#include "svc/lifecycle.h"

void s3_xml_begin(struct buf *out, const char *name)
{
    buf_printf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s xmlns=\"" S3_XMLNS "\">",
               name);
}

void s3_xml_time(struct buf *out, const char *name, int64_t ms)
{
    char when[25];
    clock_iso8601(ms, when);
    buf_printf(out, "<%s>%s</%s>", name, when, name);
}

void s3_xml_number(struct buf *out, const char *name, uint64_t v)
{
    buf_printf(out, "<%s>", name);
    buf_u64(out, v);
    buf_printf(out, "</%s>", name);
}

void s3_xml_owner(struct buf *out, const char *name)
{
    buf_printf(out,
               "<%s><ID>" BUCKET_OWNER_ID "</ID><DisplayName>" BUCKET_OWNER_NAME
               "</DisplayName></%s>",
               name, name);
}

void s3_xml_reply(struct call *c, struct buf *doc)
{
    if (doc->rc)
        call_error(c, E_LIMIT, NULL);
    else
        call_xml(c, 200, doc);
    buf_deinit(doc);
}

int s3_bucket_check(struct call *c)
{
    return bucket_check(c->svc->store, c->param[0]);
}

int s3_encryption_headers(struct call *c, struct err *err)
{
    static const char *const keys[] = {"x-amz-server-side-encryption-customer-algorithm",
                                       "x-amz-server-side-encryption-customer-key",
                                       "x-amz-copy-source-server-side-encryption-customer-key",
                                       "x-amz-server-side-encryption-aws-kms-key-id",
                                       "x-amz-server-side-encryption-context"};
    struct str alg = call_header(c, "x-amz-server-side-encryption");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (call_header(c, keys[i]).p)
            return err_set(err, E_NOT_IMPLEMENTED,
                           "Encryption with keys of your own is not implemented: %s", keys[i]);
    if (!alg.p || str_is(alg, "AES256"))
        return 0;
    if (str_starts(alg, STR("aws:")))
        return err_set(err, E_NOT_IMPLEMENTED,
                       "There are no KMS keys here: x-amz-server-side-encryption takes AES256");
    return err_set(err, E_INVALID, "The encryption method specified is not supported");
}

void s3_encryption_answer(struct call *c)
{
    if (call_header(c, "x-amz-server-side-encryption").p)
        call_set_header(c, "x-amz-server-side-encryption", STR("AES256"));
}

int s3_authorise_bucket(struct call *c, const char *action, struct err *err)
{
    struct str arn = arena_printf(c->arena, "arn:aws:s3:::%.*s", STR_FMT(c->param[0]));
    return arn.p ? call_authorise(c, action, arn, err) : E_LIMIT;
}

int s3_authorise_object(struct call *c, const char *action, struct err *err)
{
    struct str arn = call_s3_arn(c, c->param[0], c->param[1]);
    return arn.p ? call_authorise(c, action, arn, err) : E_LIMIT;
}

/* Version ids of S3 are 32 characters of these. */
static bool is_version_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool alnum =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
        if (!alnum && ch != '.' && ch != '_' && ch != '-')
            return false;
    }
    return s.n == 32;
}

int s3_version_judge(struct str id, struct err *err)
{
    if (!id.p || str_is(id, "null"))
        return 0;
    if (id.n == 0)
        return err_set(err, E_INVALID, "Version id cannot be the empty string");
    return is_version_id(id) ? E_NO_VERSION
                             : err_set(err, E_INVALID, "Invalid version id specified");
}

int s3_version_check(struct call *c, struct err *err)
{
    return s3_version_judge(call_query(c, "versionId"), err);
}

int s3_object_check(struct call *c, struct err *err)
{
    struct object_meta m;
    struct store_txn *t = store_read(c->svc->store);
    int rc = object_get(t, c->param[0], c->param[1], &m);
    store_read_end(t);
    int version = s3_version_check(c, err);
    return version && (rc == 0 || rc == E_NO_KEY) ? version : rc;
}

int s3_key_check(struct str key)
{
    if (key.n > OBJKEY_MAX)
        return E_KEY_TOO_LONG;
    return str_utf8(key) ? 0 : E_BAD_URI;
}

bool s3_bucket_missing(struct call *c)
{
    return c->param[0].n && s3_bucket_check(c) == E_NO_BUCKET;
}

const char *s3_principal(struct call *c)
{
    struct str copy = arena_dup(c->arena, c->who.user_id);
    return copy.p ? copy.p : "";
}

void s3_checksum_answer(struct call *c, const struct object_meta *m)
{
    enum checksum_alg alg = checksum_of_name(m->checksum_alg);
    if (alg == CHECKSUM_NONE)
        return;
    call_set_header(c, checksum_header(alg), m->checksum);
    call_set_header(c, "x-amz-checksum-type", m->composite ? STR("COMPOSITE") : STR("FULL_OBJECT"));
}

void s3_expiration_answer(struct call *c, struct store_txn *t, const struct object_meta *m)
{
    struct bucket_conf_row row;
    struct object_meta named = *m;
    struct str id;
    struct buf value = BUF_INIT;
    char when[30];
    int64_t end_ms;
    named.key = c->param[1];
    if (bucket_conf_get(t, c->param[0], CONF_LIFECYCLE, &row) ||
        !lifecycle_object_end(row.rules, &named, c->svc->lifecycle_day_ms, &end_ms, &id))
        return;
    clock_http(end_ms, when);
    buf_printf(&value, "expiry-date=\"%s\", rule-id=\"", when);
    uri_encode(&value, id, false);
    buf_addc(&value, '"');
    call_set_header(c, "x-amz-expiration", arena_dup(c->arena, buf_str(&value)));
    buf_deinit(&value);
}

void s3_expiration_of_new(struct call *c)
{
    struct object_meta m;
    struct store_txn *t = store_read(c->svc->store);
    if (object_get(t, c->param[0], c->param[1], &m) == 0)
        s3_expiration_answer(c, t, &m);
    store_read_end(t);
}

/* --- conditions ---------------------------------------------------------------------------------
 */

struct str s3_unquoted(struct str etag)
{
    if (etag.n >= 2 && etag.p[0] == '"' && etag.p[etag.n - 1] == '"')
        return str_of(etag.p + 1, etag.n - 2);
    return etag;
}

struct str s3_delete_match(struct str given)
{
    return str_is(given, "*") ? STR("") : s3_unquoted(given);
}

int s3_write_conditions(struct call *c, bool *none, struct str *match, struct err *err)
{
    struct str n = call_header(c, "if-none-match"), m = call_header(c, "if-match");
    if ((n.p && !str_is(n, "*")) || (m.p && (m.n == 0 || str_is(m, "*"))))
        return err_set(err, E_NOT_IMPLEMENTED,
                       "A header you provided implies functionality that is not implemented");
    *none = n.p != NULL;
    *match = s3_unquoted(m);
    return 0;
}

/* Is etag one of the list's? Weak marks do not matter for whole objects. "*" is any. */
static bool etag_listed(struct str list, struct str etag)
{
    while (list.p) {
        struct str one = str_trim(str_cut(&list, ','));
        if (str_is(one, "*"))
            return true;
        if (str_starts(one, STR("W/")))
            one = str_from(one, 2);
        if (one.n >= 2 && one.p[0] == '"' && one.p[one.n - 1] == '"')
            one = str_of(one.p + 1, one.n - 2);
        if (str_eq(one, etag))
            return true;
    }
    return false;
}

int s3_conditions_judge(const struct s3_conditions *k, struct str etag, int64_t modified_ms)
{
    int64_t then, modified = modified_ms - modified_ms % 1000;
    if (k->if_match.p) {
        if (!etag_listed(k->if_match, etag))
            return 412;
    } else if (k->if_unmodified_since.p && clock_parse(k->if_unmodified_since, &then)) {
        if (modified > then)
            return 412;
    }
    if (k->if_none_match.p)
        return etag_listed(k->if_none_match, etag) ? 304 : 200;
    if (k->if_modified_since.p && clock_parse(k->if_modified_since, &then) && modified <= then)
        return 304;
    return 200;
}
