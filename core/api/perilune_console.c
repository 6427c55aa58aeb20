/* perilune_console: calls made for the console, and the link that opens it. */
#include "api/console.h"
#include "auth/sigv4.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "svc/signin.h"

enum { SHARE_DEFAULT_S = 3600, SHARE_MAX_S = 7 * 86400 };

/* A link that signs in as the caller, so that nobody can make one for more than he may do. */
void perilune_console_link(struct call *c)
{
    struct err err = {0};
    struct buf url = BUF_INIT;
    int rc = 0;
    if (!*c->svc->console_url)
        rc = err_set(&err, E_CONFLICT, "This server runs without a console (--console-listen).");
    else if (c->who.token.n || c->who.access_key.n > SIGNIN_KEY_MAX)
        rc = err_set(&err, E_INVALID, "A link can be made with a permanent access key only.");
    if (rc) {
        call_error(c, rc, &err);
        return;
    }
    console_link(c->svc, c->who.access_key, &url);
    call_json(c, 200,
              json_pack("{s:o, s:I}", "url", json_text(buf_str(&url)), "expires_ms",
                        (json_int_t)(clock_store_ms() + SIGNIN_LINK_MS)));
    buf_deinit(&url);
}

/* Appends the presigned URL of an object at the API's address. */
static int presign(struct call *c, struct str bucket, struct str key, int64_t expires_s,
                   struct buf *url)
{
    struct identity who;
    struct str secret, host = str_c(c->svc->endpoint);
    struct buf path = BUF_INIT;
    int rc =
        identity_find(c->svc->identities, c->who.access_key, c->who.token, c->arena, &who, &secret);
    if (rc)
        return rc;
    ptrdiff_t scheme = str_find(host, STR("://"));
    struct sigv4_header header = {STR("host"),
                                  scheme < 0 ? host : str_from(host, (size_t)scheme + 3)};
    buf_printf(&path, "/%.*s/", STR_FMT(bucket));
    uri_encode(&path, key, true);
    struct sigv4_request request = {
        .method = STR("GET"), .path = buf_str(&path), .headers = &header, .header_count = 1};
    buf_add(url, host);
    buf_add(url, buf_str(&path));
    buf_addc(url, '?');
    sigv4_presign(&request, c->who.access_key, secret, c->who.token, str_c(c->svc->region),
                  STR("s3"), clock_wall_ms(), (uint64_t)expires_s, url);
    buf_deinit(&path);
    return 0;
}

/* {"bucket","key","expires_s"?}: what the link gives, the caller must be able to get himself. */
void perilune_share(struct call *c)
{
    struct err err = {0};
    struct str bucket = {NULL, 0}, key = {NULL, 0}, arn;
    struct buf url = BUF_INIT;
    int64_t expires_s = SHARE_DEFAULT_S;
    int rc;
    if ((rc = json_member_str(c->json, "bucket", &bucket, &err)) ||
        (rc = json_member_str(c->json, "key", &key, &err)) ||
        (rc = json_member_int(c->json, "expires_s", &expires_s, &err)))
        goto out;
    if (bucket.n == 0 || key.n == 0 || key.n > 1024)
        rc = err_set(&err, E_INVALID, "'bucket' and 'key' name the object to share");
    else if (expires_s < 1 || expires_s > SHARE_MAX_S)
        rc = err_set(&err, E_INVALID, "'expires_s' is 1 to %d", SHARE_MAX_S);
    if (rc)
        goto out;
    arn = arena_printf(c->arena, "arn:aws:s3:::%.*s/%.*s", STR_FMT(bucket), STR_FMT(key));
    rc = arn.p ? call_authorise(c, "s3:GetObject", arn, &err) : E_LIMIT;
    if (rc == 0)
        rc = presign(c, bucket, key, expires_s, &url);
out:
    if (rc)
        call_error(c, rc, &err);
    else
        call_json(c, 200, json_pack("{s:o}", "url", json_text(buf_str(&url))));
    buf_deinit(&url);
}
