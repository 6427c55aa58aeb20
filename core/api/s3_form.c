/* s3_form: PostObject: an upload from a browser's form, allowed by a policy inside the form.
 *
 *   fields, collected -> the file begins: who signed the policy, does it hold, may the signer put?
 *   -> its bytes flow into svc/object_put -> its end: sizes compared, committed, answered
 *
 * A form without a policy is a stranger's, whom only the bucket's policy can let in. Nothing is
 * opened before all of that is known; what follows the file is not read. */
#include "api/form_data.h"
#include "api/gate_call.h"
#include "api/post_policy.h"
#include "api/s3.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"

enum { FIELDS_MAX = 100 };

static const uint64_t FILE_MAX = 5368709120;

struct posting {
    struct call *c;
    struct form_data form;
    struct form_field fields[FIELDS_MAX]; /* in the call's arena */
    struct form_field_list list;
    struct object_put *put; /* from the file's first byte on */
    uint64_t size, min, max;
    struct str key;
    struct buf headers, user_meta, tags;
    unsigned char checksum[CHECKSUM_MAX]; /* what a field promises of the file */
    struct err err;
    bool waits; /* the connection is paused */
};

static struct str get(const struct posting *p, const char *name)
{
    return form_field_get(&p->list, name);
}

/* --- the signature ------------------------------------------------------------------------------
 */

static int missing(struct posting *p, const char *field)
{
    return err_set(&p->err, E_INVALID, "Bucket POST must contain a field named '%s'.", field);
}

/* x-amz-credential: KEY/date/region/s3/aws4_request */
static int read_claim(struct posting *p, struct sigv4_claim *claim)
{
    struct str rest = get(p, "x-amz-credential");
    *claim = (struct sigv4_claim){.signature = get(p, "x-amz-signature")};
    if (!claim->signature.p)
        return missing(p, "x-amz-signature");
    if (!rest.p)
        return missing(p, "x-amz-credential");
    if (!get(p, "x-amz-date").p)
        return missing(p, "x-amz-date");
    claim->access_key = str_cut(&rest, '/');
    claim->date = str_cut(&rest, '/');
    claim->region = str_cut(&rest, '/');
    claim->service = str_cut(&rest, '/');
    if (claim->date.n != 8 || !str_is(claim->service, "s3") || !str_is(rest, "aws4_request"))
        return err_set(&p->err, E_INVALID, "The value of x-amz-credential is not valid.");
    return 0;
}

static bool signed_v2(struct str secret, struct str policy, struct str signature)
{
    unsigned char mac[HASH_MAX];
    struct buf want = BUF_INIT;
    hmac_once(HASH_SHA1, secret, policy, mac);
    base64_encode(&want, str_of((char *)mac, hash_size(HASH_SHA1)));
    bool good = str_eq_secret(buf_str(&want), signature);
    buf_deinit(&want);
    return good;
}

/* Who signed the policy: fills c->who. */
static int authenticate(struct posting *p, struct str policy)
{
    struct call *c = p->c;
    struct sigv4_claim claim = {.access_key = get(p, "AWSAccessKeyId")};
    struct str secret, token = get(p, "x-amz-security-token");
    bool older = claim.access_key.p != NULL;
    if (older && !get(p, "signature").p)
        return missing(p, "signature");
    int rc = older ? 0 : read_claim(p, &claim);
    if (rc)
        return rc;
    rc = identity_find(c->svc->identities, claim.access_key, token.p ? token : STR(""), c->arena,
                       &c->who, &secret);
    if (rc == E_BAD_ACCESS_KEY)
        return err_set(&p->err, rc,
                       "The AWS Access Key Id you provided does not exist in our records.");
    if (rc)
        return rc == E_BAD_TOKEN ? E_S3_BAD_TOKEN : rc == E_TOKEN_EXPIRED ? E_S3_TOKEN_EXPIRED : rc;
    bool good = older ? signed_v2(secret, policy, get(p, "signature"))
                      : sigv4_signs_text(&claim, secret, policy);
    return good ? 0 : E_BAD_SIGNATURE;
}

static int check_policy(struct posting *p)
{
    struct call *c = p->c;
    struct buf json = BUF_INIT;
    struct str policy = get(p, "policy");
    bool credentials = get(p, "signature").p || get(p, "AWSAccessKeyId").p ||
                       get(p, "x-amz-signature").p || get(p, "x-amz-credential").p;
    p->max = UINT64_MAX;
    if (!policy.p)
        return credentials ? missing(p, "policy") : 0;
    int rc = authenticate(p, policy);
    if (rc == 0 && !base64_decode(&json, policy))
        rc = err_set(&p->err, E_FORM_POLICY, "Invalid Policy: Invalid Base64 Encoding.");
    if (rc == 0)
        rc = post_policy_check(buf_str(&json), &p->list, c->param[0], clock_wall_ms(), &p->min,
                               &p->max, &p->err);
    buf_deinit(&json);
    return rc;
}

/* --- what the object is -------------------------------------------------------------------------
 */

/* The key with ${filename} replaced by the last part of what the browser called the file. */
static int make_key(struct posting *p, struct str filename)
{
    static const char hole[] = "${filename}";
    struct call *c = p->c;
    struct str key = get(p, "key"), rest = filename;
    while (rest.p) {
        filename = rest;
        str_cut(&rest, '/');
    }
    if (!key.p)
        return missing(p, "key");
    ptrdiff_t at = str_find(key, STR(hole));
    p->key = at < 0 ? key
                    : arena_printf(c->arena, "%.*s%.*s%.*s", (int)at, key.p, STR_FMT(filename),
                                   STR_FMT(str_from(key, (size_t)at + sizeof hole - 1)));
    if (p->key.n == 0)
        return err_set(&p->err, E_INVALID, "User key must have a length greater than 0.");
    for (size_t i = 0; i < p->list.n; i++) /* the policy is about the key that there will be */
        if (str_ieq(p->fields[i].name, STR("key")))
            p->fields[i].value = p->key;
    c->param[1] = p->key;
    return s3_key_check(p->key);
}

static int read_meta(struct posting *p)
{
    static const char *const kept[] = {"cache-control", "content-disposition", "content-encoding",
                                       "content-language", "expires"};
    static const char prefix[] = "x-amz-meta-";
    struct str acl = get(p, "acl"), tagging = get(p, "tagging"), value;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if ((value = get(p, kept[i])).p)
            object_pair_put(&p->headers, str_c(kept[i]), value);
    for (size_t i = 0; i < p->list.n; i++) {
        struct str name = p->fields[i].name;
        size_t skip = sizeof prefix - 1;
        if (name.n <= skip || !str_ieq(str_of(name.p, skip), STR(prefix)))
            continue;
        char *low = arena_alloc(p->c->arena, name.n);
        if (!low)
            return E_LIMIT;
        for (size_t k = skip; k < name.n; k++)
            low[k] = (char)(name.p[k] >= 'A' && name.p[k] <= 'Z' ? name.p[k] + 32 : name.p[k]);
        object_pair_put(&p->user_meta, str_of(low + skip, name.n - skip), p->fields[i].value);
    }
    if (acl.p && !s3_acl_fits(acl))
        return E_NO_ACL;
    int rc = tagging.p ? s3_tags_xml(p->c, tagging, &p->tags, &p->err) : 0;
    if (rc == 0 && p->tags.n)
        rc = s3_authorise_object(p->c, "s3:PutObjectTagging", &p->err);
    return rc;
}

/* A field named as the header would be: x-amz-checksum-sha256 and its like. */
static int read_promise(struct posting *p, struct body_promise *promise)
{
    for (int i = CHECKSUM_NONE + 1; i < CHECKSUM_ALGS; i++) {
        enum checksum_alg alg = (enum checksum_alg)i;
        struct str text = get(p, checksum_header(alg));
        if (!text.p)
            continue;
        if (promise->checksum != CHECKSUM_NONE)
            return err_set(&p->err, E_BAD_REQUEST, "A form can promise one checksum only.");
        if (!checksum_decode(alg, text, p->checksum))
            return err_set(&p->err, E_BAD_REQUEST, "Value for %s field is invalid.",
                           checksum_header(alg));
        promise->checksum = alg;
        promise->checksum_raw = str_of((char *)p->checksum, checksum_size(alg));
    }
    return 0;
}

/* --- the form's parts ---------------------------------------------------------------------------
 */

static int on_field(void *ctx, struct str name, struct str value)
{
    struct posting *p = ctx;
    if (p->list.n == FIELDS_MAX)
        return E_BAD_FORM;
    struct form_field *f = &p->fields[p->list.n];
    f->name = arena_dup(p->c->arena, name);
    f->value = arena_dup(p->c->arena, value);
    p->list = (struct form_field_list){p->fields, p->list.n + 1};
    return f->name.p && f->value.p ? 0 : E_LIMIT;
}

static void drained(void *ctx)
{
    struct posting *p = ctx;
    p->waits = false;
    http_body_resume(p->c->req);
}

static int on_file(void *ctx, struct str filename, struct str content_type)
{
    struct posting *p = ctx;
    struct call *c = p->c;
    struct str given = get(p, "content-type");
    int rc = make_key(p, filename);
    if (rc == 0)
        rc = check_policy(p);
    if (rc == 0)
        rc = s3_authorise_object(c, "s3:PutObject", &p->err);
    if (rc == 0)
        rc = s3_bucket_check(c);
    if (rc == 0)
        rc = read_meta(p);
    struct object_put_req r = {.bucket = c->param[0],
                               .key = p->key,
                               .content_type = given.p ? given : content_type,
                               .headers = buf_str(&p->headers),
                               .user_meta = buf_str(&p->user_meta),
                               .tags = buf_str(&p->tags),
                               .event = "ObjectCreated:Post",
                               .request_id = c->req->id,
                               .peer = c->req->peer,
                               .principal = s3_principal(c)};
    if (rc == 0)
        rc = read_promise(p, &r.promise);
    if (rc == 0)
        rc = object_meta_check(&r);
    if (rc == 0 && !store_writable(c->svc->store))
        rc = E_NO_SPACE;
    if (rc)
        return rc;
    p->put = object_put_open(c->svc->objects, &r);
    object_put_on_drained(p->put, drained, p);
    return 0;
}

static int on_data(void *ctx, struct str bytes)
{
    struct posting *p = ctx;
    p->size += bytes.n;
    if (p->size > p->max || p->size > FILE_MAX)
        return E_FORM_LARGE;
    if (!object_put_write(p->put, bytes))
        p->waits = true;
    return 0;
}

static const struct form_data_sink sink = {on_field, on_file, on_data};

/* --- the answer ---------------------------------------------------------------------------------
 */

static void posting_free(struct posting *p)
{
    form_data_deinit(&p->form);
    buf_deinit(&p->headers);
    buf_deinit(&p->user_meta);
    buf_deinit(&p->tags);
}

static void refuse(struct posting *p, int rc)
{
    struct err err = p->err;
    if (p->put)
        object_put_abort(p->put);
    posting_free(p);
    call_error(p->c, rc, &err);
}

/* A web address that can stand in a header? */
static bool is_target(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7F)
            return false;
    return str_starts(s, STR("http://")) || str_starts(s, STR("https://"));
}

static void redirect(struct posting *p, struct str target, const char *etag)
{
    struct call *c = p->c;
    struct buf to = BUF_INIT;
    buf_add(&to, target);
    buf_addc(&to, str_index(target, '?', 0) < 0 ? '?' : '&');
    buf_lit(&to, "bucket=");
    uri_encode(&to, c->param[0], false);
    buf_lit(&to, "&key=");
    uri_encode(&to, p->key, false);
    buf_printf(&to, "&etag=%%22%s%%22", etag);
    call_set_header(c, "Location", buf_str(&to));
    buf_deinit(&to);
    call_empty(c, 303);
}

static void answer_xml(struct posting *p, struct str location, const char *etag)
{
    struct buf doc = BUF_INIT;
    buf_lit(&doc, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse>");
    xml_element(&doc, "Location", location);
    xml_element(&doc, "Bucket", p->c->param[0]);
    xml_element(&doc, "Key", p->key);
    buf_printf(&doc, "<ETag>&quot;%s&quot;</ETag></PostResponse>", etag);
    call_xml(p->c, 201, &doc);
    buf_deinit(&doc);
}

static void committed(void *ctx, int rc, const struct object_meta *m, const struct err *err)
{
    struct posting *p = ctx;
    struct call *c = p->c;
    struct str target = get(p, "success_action_redirect"), status = get(p, "success_action_status");
    struct buf path = BUF_INIT;
    if (rc) {
        posting_free(p);
        call_error(c, rc, err);
        return;
    }
    if (!target.p)
        target = get(p, "redirect");
    uri_encode(&path, p->key, true);
    struct str location = arena_printf(c->arena, "%.*s/%.*s/%.*s", STR_FMT(call_base_url(c)),
                                       STR_FMT(c->param[0]), STR_FMT(buf_str(&path)));
    buf_deinit(&path);
    posting_free(p);
    call_set_header(c, "ETag", arena_printf(c->arena, "\"%s\"", m->etag));
    if (is_target(target)) {
        redirect(p, target, m->etag);
        return;
    }
    call_set_header(c, "Location", location);
    if (str_is(status, "201"))
        answer_xml(p, location, m->etag);
    else
        call_empty(c, str_is(status, "200") ? 200 : 204);
}

/* --- the body -----------------------------------------------------------------------------------
 */

static struct posting *posting_of(struct http_req *req)
{
    return ((struct call *)req->user)->user;
}

static void body_data(struct http_req *req, struct str bytes)
{
    struct posting *p = posting_of(req);
    int rc = form_data_feed(&p->form, bytes);
    if (rc)
        refuse(p, rc);
    else if (p->waits)
        http_body_pause(req);
}

static void body_end(struct http_req *req, int rc)
{
    struct posting *p = posting_of(req);
    if (rc == 0)
        rc = form_data_end(&p->form);
    if (rc == 0 && p->size < p->min)
        rc = E_FORM_SMALL;
    if (rc) {
        refuse(p, rc);
        return;
    }
    struct object_put *put = p->put;
    p->put = NULL;
    object_put_finish(put, committed, p);
}

static const struct http_sink body_sink = {body_data, body_end};

void s3_post_object(struct call *c)
{
    struct err err = {0};
    struct posting *p = arena_zalloc(c->arena, sizeof *p);
    struct str boundary = form_data_boundary(call_header(c, "content-type"));
    int rc = p ? 0 : E_LIMIT;
    if (rc == 0 && !boundary.p)
        rc = err_set(&err, E_PRECONDITION,
                     "Bucket POST must be of the enclosure-type multipart/form-data");
    if (rc == 0 && c->who.kind != IDENTITY_ANONYMOUS)
        rc = E_METHOD; /* a form is signed inside */
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    p->c = c;
    c->user = p;
    form_data_init(&p->form, boundary, &sink, p);
    http_body_stream(c->req, c->op->body_limit, &body_sink);
}
