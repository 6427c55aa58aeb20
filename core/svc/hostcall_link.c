/* hostcall_link: s3.copy and s3.presign: objects reached without their bytes passing through.
 *
 * A copy reads one object and writes another, so the role is asked about both. A link is signed as
 * the function's role, by a session made for it: whoever holds it can do that one thing, as long as
 * both the link lasts and the role still allows it. The role is asked now too, so that a function
 * does not hand out what will be refused. */
#include "auth/sigv4.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/rec.h"
#include "svc/access_key.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"
#include "svc/object_copy.h"
#include "svc/session.h"

enum { LINK_DEFAULT_S = 3600, LINK_MAX_S = 7 * 86400 };

/* --- copy --------------------------------------------------------------------------------------
 */

static int allow_object(struct hostcalls *h, struct hostcall *call, const char *action,
                        struct str bucket, struct str key, struct err *err)
{
    struct buf args = BUF_INIT;
    rec_put_str(&args, HC_BUCKET, bucket);
    rec_put_str(&args, HC_KEY, key);
    int rc = hostcall_allow(h, call, buf_str(&args), action, HOSTCALL_OBJECT, err);
    buf_deinit(&args);
    return rc;
}

static void copied(void *ctx, int rc, const struct object_meta *m, const struct err *err)
{
    struct buf result = BUF_INIT;
    if (rc == 0) {
        rec_put_str(&result, HC_ETAG, str_c(m->etag));
        rec_put_u64(&result, HC_SIZE, m->size);
    }
    hostcall_end(ctx, rc, &result, err);
}

void hostcall_s3_copy(struct hostcalls *h, struct hostcall *call)
{
    struct err err = {0};
    struct object_copy_req req = {
        .from_bucket = rec_str(call->args, HC_FROM_BUCKET),
        .from_key = rec_str(call->args, HC_FROM_KEY),
        .bucket = rec_str(call->args, HC_BUCKET),
        .key = rec_str(call->args, HC_KEY),
        .request_id = call->request_id,
        .peer = "127.0.0.1",
        .principal = "AWS:lambda.amazonaws.com",
        .cause = hostcall_cause(call),
    };
    int rc = allow_object(h, call, "s3:PutObject", req.bucket, req.key, &err);
    if (rc == 0)
        rc = allow_object(h, call, "s3:GetObject", req.from_bucket, req.from_key, &err);
    if (rc)
        hostcall_end(call, rc, NULL, &err);
    else
        object_copy(h->objects, &req, copied, call);
}

/* --- presign -----------------------------------------------------------------------------------
 */

static const struct {
    const char *method, *action;
} methods[] = {
    {"GET", "s3:GetObject"},
    {"HEAD", "s3:GetObject"},
    {"PUT", "s3:PutObject"},
    {"DELETE", "s3:DeleteObject"},
};

static const char *action_of(struct str method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (str_is(method, methods[i].method))
            return methods[i].action;
    return NULL;
}

/* Appends "https://host/bucket/key?…". */
static int sign(struct hostcalls *h, struct hostcall *call, struct str method, uint64_t expires_s,
                struct buf *url)
{
    char access_key[KEY_ID_SIZE], secret[KEY_SECRET_SIZE];
    struct buf token = BUF_INIT, path = BUF_INIT;
    struct str host = str_c(h->endpoint);
    int64_t now_ms = clock_wall_ms();
    const struct principal *role = principal_by_arn(role_principals(h->o.roles), call->fn->role);
    if (!role || !role->exists)
        return E_DENIED;
    access_key_make("ASIA", access_key, secret);
    struct session_spec spec = {
        .of = SESSION_OF_ROLE,
        .name = role->name,
        .id = role->id,
        .session_name = call->fn->name,
        .access_key = str_c(access_key),
        .secret = str_c(secret),
        .issued_ms = now_ms,
        .expires_ms = now_ms + (int64_t)expires_s * 1000,
    };
    session_token(h->o.store, &spec, &token);
    buf_printf(&path, "/%.*s/", STR_FMT(rec_str(call->args, HC_BUCKET)));
    uri_encode(&path, rec_str(call->args, HC_KEY), true);
    ptrdiff_t slashes = str_find(host, STR("://"));
    struct sigv4_header header = {STR("host"),
                                  slashes < 0 ? host : str_from(host, (size_t)slashes + 3)};
    struct sigv4_request request = {
        .method = method, .path = buf_str(&path), .headers = &header, .header_count = 1};
    buf_add(url, host);
    buf_add(url, buf_str(&path));
    buf_addc(url, '?');
    sigv4_presign(&request, str_c(access_key), str_c(secret), buf_str(&token), str_c(h->o.region),
                  STR("s3"), now_ms, expires_s, url);
    buf_deinit(&path);
    buf_deinit(&token);
    return url->rc ? E_INTERNAL : 0;
}

void hostcall_s3_presign(struct hostcalls *h, struct hostcall *call)
{
    struct err err = {0};
    struct buf url = BUF_INIT, result = BUF_INIT;
    struct str method = rec_str(call->args, HC_METHOD);
    uint64_t expires_s = rec_u64(call->args, HC_EXPIRES_S, LINK_DEFAULT_S);
    if (!method.n)
        method = STR("GET");
    const char *action = action_of(method);
    int rc = 0;
    if (!action)
        rc = err_set(&err, E_INVALID, "A link is for GET, HEAD, PUT or DELETE");
    else if (expires_s < 1 || expires_s > LINK_MAX_S)
        rc = err_set(&err, E_INVALID, "A link lasts 1 to %d seconds", LINK_MAX_S);
    if (rc == 0)
        rc = hostcall_allow(h, call, call->args, action, HOSTCALL_OBJECT, &err);
    if (rc == 0)
        rc = sign(h, call, method, expires_s, &url);
    if (rc == 0)
        rec_put_str(&result, HC_URL, buf_str(&url));
    buf_deinit(&url);
    hostcall_end(call, rc, &result, &err);
}
