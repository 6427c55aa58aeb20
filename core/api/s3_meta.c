/* s3_meta: what the head of an upload, a multipart upload or a copy says to keep beside the bytes.
 *
 * Headers that ask for something this server does not do are refused rather than dropped: a client
 * that asks for a lock or for encryption with its own key must not believe that it got it. */
#include "api/s3.h"
#include "api/s3_body.h"

static const char *const kept_headers[] = {"cache-control", "content-disposition",
                                           "content-language", "expires",
                                           "x-amz-server-side-encryption"};

/* Refused with 501 when present at all. */
static const char *const unknown_headers[] = {
    "x-amz-website-redirect-location", "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-object-lock-mode",          "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",    "x-amz-write-offset-bytes",
};

static int check_unknown(struct call *c, struct err *err)
{
    for (size_t i = 0; i < sizeof unknown_headers / sizeof *unknown_headers; i++)
        if (call_header(c, unknown_headers[i]).p)
            return err_set(err, E_NOT_IMPLEMENTED,
                           "A header you provided implies functionality that is not implemented: "
                           "%s",
                           unknown_headers[i]);
    return 0;
}

/* Those that answer at once. What would have to be restored first does not exist here. */
static int check_class(struct str given)
{
    static const char *const known[] = {"STANDARD",   "REDUCED_REDUNDANCY",  "STANDARD_IA",
                                        "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!given.p || str_is(given, known[i]))
            return 0;
    return E_STORAGE_CLASS;
}

static void read_headers(struct call *c, struct buf *pairs)
{
    struct str class = call_header(c, OBJECT_CLASS);
    if (class.n && !str_is(class, "STANDARD"))
        object_pair_put(pairs, STR(OBJECT_CLASS), class);
    for (size_t i = 0; i < sizeof kept_headers / sizeof *kept_headers; i++) {
        struct str value = call_header(c, kept_headers[i]);
        if (value.p)
            object_pair_put(pairs, str_c(kept_headers[i]), value);
    }
    struct str encoding = s3_body_encoding(c);
    if (encoding.p)
        object_pair_put(pairs, STR("content-encoding"), encoding);
}

static const char meta_prefix[] = "x-amz-meta-";

static bool is_meta(struct str header)
{
    size_t n = sizeof meta_prefix - 1;
    return header.n >= n && str_ieq(str_of(header.p, n), str_of(meta_prefix, n));
}

/* The values of all headers of that name, joined by commas; false: an earlier one had it. */
static bool join_values(struct call *c, struct str want, const char *first, struct buf *out)
{
    struct str header, value;
    bool begun = false;
    for (size_t at = 0; call_header_next(c, &at, &header, &value);) {
        if (!str_ieq(header, want))
            continue;
        if (!begun && header.p != first)
            return false;
        if (begun)
            buf_addc(out, ',');
        buf_add(out, value);
        begun = true;
    }
    return true;
}

static int read_user_meta(struct call *c, struct buf *pairs)
{
    struct str header, ignored;
    struct buf value;
    int rc = 0;
    buf_init(&value, OBJECT_USER_META_MAX);
    for (size_t at = 0; rc == 0 && call_header_next(c, &at, &header, &ignored);) {
        char name[OBJECT_USER_META_MAX];
        size_t n = header.n - (sizeof meta_prefix - 1);
        buf_clear(&value);
        if (!is_meta(header) || !join_values(c, header, header.p, &value))
            continue;
        if (n > sizeof name || value.rc)
            rc = E_META_LIMIT;
        for (size_t k = 0; k < n && rc == 0; k++) {
            char ch = header.p[sizeof meta_prefix - 1 + k];
            name[k] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
        }
        if (rc == 0)
            object_pair_put(pairs, str_of(name, n), buf_str(&value));
    }
    buf_deinit(&value);
    return rc;
}

int s3_meta_read(struct call *c, struct s3_meta *m, struct err *err)
{
    int rc = check_unknown(c, err);
    if (rc == 0)
        rc = check_class(call_header(c, OBJECT_CLASS));
    if (rc)
        return rc;
    m->content_type = call_header(c, "content-type");
    read_headers(c, &m->headers);
    rc = read_user_meta(c, &m->user_meta);
    if (rc)
        return rc;
    rc = object_meta_check(&(struct object_put_req){.content_type = m->content_type,
                                                    .headers = buf_str(&m->headers),
                                                    .user_meta = buf_str(&m->user_meta)});
    if (rc == 0)
        rc = s3_acl_headers(c);
    if (rc == 0)
        rc = s3_encryption_headers(c, err);
    if (rc == 0)
        rc = s3_tags_header(c, &m->tags, err);
    if (rc == 0 && m->tags.n)
        rc = s3_authorise_object(c, "s3:PutObjectTagging", err);
    return rc;
}

void s3_meta_free(struct s3_meta *m)
{
    buf_deinit(&m->headers);
    buf_deinit(&m->user_meta);
    buf_deinit(&m->tags);
}
