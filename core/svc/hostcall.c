/* hostcall: the table, the question to the role, and the calls that need none.
 *
 * The arguments come from a runner that may have been taken over: the pool has checked that they
 * are a rec and the number is in range; all else is checked here and in the handlers. The order is
 * always the same: are the arguments those of the row, does the role allow it, do it. The ARN that
 * the role is asked about is built from the very fields that the handler will read.
 *
 * A handler that waits keeps a pointer to the call, never to the runner: arguments and fn stay
 * valid until the call is finished, and an abandoned call is finished like any other. */
#include "svc/hostcall.h"

#include "auth/arn.h"
#include "auth/outbound.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rec.h"
#include "svc/cache.h"
#include "svc/hostcall_tags.h"
#include "svc/kv.h"
#include "svc/pulse.h"
#include "svc/secret.h"

enum {
    ARN_MAX = OUTBOUND_URL_MAX + 1,
    GIVEN_ABOVE = 64 * 1024, /* results are handed over above that, else copied */
};

static const struct hostcall_row rows[] = {
#define X(number, name, action, resource) [number] = {number, name, action},
#include "svc/hostcall.def"
#undef X
};

static const enum hostcall_resource resources[] = {
#define X(number, name, action, resource) [number] = HOSTCALL_##resource,
#include "svc/hostcall.def"
#undef X
};

static hostcall_handler package_read, sleep_ms;

static hostcall_handler *const handlers[HC_CALL_COUNT] = {
    [HC_PACKAGE_READ] = package_read,
    [HC_SLEEP] = sleep_ms,
    [HC_S3_GET] = hostcall_s3_get,
    [HC_S3_HEAD] = hostcall_s3_head,
    [HC_S3_PUT] = hostcall_s3_put,
    [HC_S3_DELETE] = hostcall_s3_delete,
    [HC_S3_LIST] = hostcall_s3_list,
    [HC_KV_GET] = hostcall_kv_get,
    [HC_KV_SET] = hostcall_kv_set,
    [HC_KV_INCR] = hostcall_kv_incr,
    [HC_KV_DELETE] = hostcall_kv_delete,
    [HC_LAMBDA_INVOKE] = hostcall_lambda_invoke,
    [HC_LAMBDA_INVOKE_ASYNC] = hostcall_lambda_invoke_async,
    [HC_KV_LIST] = hostcall_kv_list,
    [HC_KV_COMMIT] = hostcall_kv_commit,
    [HC_SECRET_GET] = hostcall_secret_get,
    [HC_CACHE_GET] = hostcall_cache_get,
    [HC_CACHE_SET] = hostcall_cache_set,
    [HC_HTTP_REQUEST] = hostcall_http_request,
    [HC_RESPONSE_BEGIN] = hostcall_response_begin,
    [HC_RESPONSE_WRITE] = hostcall_response_write,
    [HC_S3_OPEN] = hostcall_s3_open,
    [HC_S3_READ] = hostcall_s3_read,
    [HC_S3_CREATE] = hostcall_s3_create,
    [HC_S3_WRITE] = hostcall_s3_write,
    [HC_S3_FINISH] = hostcall_s3_finish,
    [HC_S3_CLOSE] = hostcall_s3_close,
    [HC_S3_COPY] = hostcall_s3_copy,
    [HC_S3_PRESIGN] = hostcall_s3_presign,
};

const struct hostcall_row *hostcall_row(int number)
{
    return number > 0 && number < HC_CALL_COUNT ? &rows[number] : NULL;
}

struct hostcalls *hostcalls_open(const struct hostcalls_opts *o)
{
    struct hostcalls *h = calloc(1, sizeof *h);
    if (!h)
        fatal("out of memory");
    for (int i = 1; i < HC_CALL_COUNT; i++)
        ASSERT(handlers[i]);
    h->o = *o;
    h->newest = &h->waiting;
    h->cache = cache_open();
    h->retry = calloc(1, sizeof *h->retry);
    if (!h->retry)
        fatal("out of memory");
    h->retry->data = h;
    uv_timer_init(o->loop, h->retry);
    uv_unref((uv_handle_t *)h->retry);
    return h;
}

void hostcalls_connect(struct hostcalls *h, struct objects *objects, struct queue *queue,
                       struct bucket_policies *buckets)
{
    h->guards = (struct guards){h->o.store, h->o.functions, buckets, h->o.region};
    h->objects = objects;
    h->queue = queue;
}

void hostcalls_endpoint(struct hostcalls *h, const char *url)
{
    snprintf(h->endpoint, sizeof h->endpoint, "%s", url);
}

static void retry_closed(uv_handle_t *timer)
{
    free(timer);
}

void hostcalls_close(struct hostcalls *h)
{
    uv_close((uv_handle_t *)h->retry, retry_closed);
    cache_close(h->cache);
    free(h);
}

void hostcall_end(struct hostcall *call, int rc, struct buf *result, const struct err *err)
{
    struct str none = {NULL, 0};
    if (rc == 0 && result && result->rc)
        rc = E_LIMIT;
    if (rc == 0 && result && result->n > GIVEN_ABOVE) {
        hostcall_give(call, result);
        return;
    }
    hostcall_finish(call, rc, rc == 0 && result ? buf_str(result) : none, rc ? err : NULL);
    if (result)
        buf_deinit(result);
}

/* --- may it? --------------------------------------------------------------------------------- */

int hostcall_function_name(struct hostcalls *h, struct str args, struct str *name,
                           struct str *qualifier, struct err *err)
{
    struct str given = rec_str(args, HC_FUNCTION), q = rec_str(args, HC_QUALIFIER);
    int rc = arn_function(given, str_c(h->o.region), name, qualifier);
    if (rc == E_NOT_FOUND)
        return err_set(err, rc, "Function not found: %.*s", STR_FMT(given));
    if (rc)
        return err_set(err, E_INVALID, "'%.*s' is no name of a function", STR_FMT(given));
    if (q.n && qualifier->n && !str_eq(q, *qualifier))
        return err_set(err, E_INVALID,
                       "The derived qualifier from the function name does not match the specified "
                       "qualifier.");
    if (q.n) { /* checked like the one in a name */
        char both[256];
        struct str n2;
        int n = snprintf(both, sizeof both, "%.*s:%.*s", STR_FMT(*name), STR_FMT(q));
        if (n < 0 || (size_t)n >= sizeof both ||
            arn_function(str_of(both, (size_t)n), str_c(h->o.region), &n2, qualifier) != 0)
            return err_set(err, E_INVALID, "'%.*s' is no qualifier", STR_FMT(q));
        *qualifier = q;
    }
    if (!qualifier->p)
        *qualifier = STR("");
    return 0;
}

/* The ARN of what the call wants to touch, in space. A key may hold any byte, NUL too. */
static int build_arn(struct hostcalls *h, struct str args, enum hostcall_resource kind,
                     char arn[static ARN_MAX], struct str *out, struct err *err)
{
    struct str bucket = rec_str(args, HC_BUCKET), key = rec_str(args, HC_KEY);
    struct str ns = rec_str(args, HC_NAMESPACE), name, qualifier;
    int n = 0, rc = 0;
    if (kind == HOSTCALL_OBJECT || kind == HOSTCALL_BUCKET) {
        bool object = kind == HOSTCALL_OBJECT;
        rc = bucket_name_check(bucket);
        if (rc)
            return err_set(err, rc, "'%.*s' is no name of a bucket", STR_FMT(bucket));
        if (object && (key.n == 0 || key.n > OBJKEY_MAX))
            return err_set(err, E_INVALID, "A key has 1 to %d bytes", OBJKEY_MAX);
        n = snprintf(arn, ARN_MAX, "arn:aws:s3:::%.*s%s", STR_FMT(bucket), object ? "/" : "");
        if (object) {
            memcpy(arn + n, key.p, key.n);
            n += (int)key.n;
        }
    } else if (kind == HOSTCALL_KV) {
        if (kv_namespace_check(ns) != 0)
            return err_set(err, E_INVALID, "'%.*s' is no name of a kv namespace", STR_FMT(ns));
        n = snprintf(arn, ARN_MAX, "arn:aws:perilune:%s:" ACCOUNT_ID ":kv/%.*s", h->o.region,
                     STR_FMT(ns));
    } else if (kind == HOSTCALL_FUNCTION) {
        rc = hostcall_function_name(h, args, &name, &qualifier, err);
        if (rc)
            return rc;
        n = snprintf(arn, ARN_MAX, "arn:aws:lambda:%s:" ACCOUNT_ID ":function:%.*s%s%.*s",
                     h->o.region, STR_FMT(name), qualifier.n ? ":" : "", STR_FMT(qualifier));
    } else if (kind == HOSTCALL_SECRET) {
        name = rec_str(args, HC_NAME);
        if (secret_name_check(name) != 0)
            return err_set(err, E_INVALID, "'%.*s' is no name of a secret",
                           (int)(name.n < 200 ? name.n : 200), name.p);
        n = snprintf(arn, ARN_MAX, "arn:aws:perilune:%s:" ACCOUNT_ID ":secret/%.*s", h->o.region,
                     STR_FMT(name));
    } else if (kind == HOSTCALL_URL) {
        struct outbound url;
        rc = outbound_parse(rec_str(args, HC_URL), &url, err);
        if (rc)
            return rc;
        n = snprintf(arn, ARN_MAX, "%.*s", (int)url.scope_n, url.url);
    }
    *out = str_of(arn, (size_t)n);
    return n < 0 || n >= ARN_MAX ? err_set(err, E_INVALID, "The name is too long") : 0;
}

/* Tells the function and its log what is missing, so that the owner can grant it. */
static int deny(struct hostcall *call, const char *action, struct str arn, bool explicit_deny,
                struct err *err)
{
    struct str role = role_name_of(call->fn->role);
    struct buf line = BUF_INIT;
    if (!role.p)
        role = call->fn->role;
    if (explicit_deny) {
        buf_printf(&line, "AccessDenied: a Deny statement of role \"%.*s\" refuses \"%s\" on ",
                   STR_FMT(role), action);
        json_quote(&line, arn);
    } else {
        buf_printf(&line,
                   "AccessDenied: role \"%.*s\" lacks the statement "
                   "{\"Effect\":\"Allow\",\"Action\":\"%s\",\"Resource\":",
                   STR_FMT(role), action);
        json_quote(&line, arn);
        buf_addc(&line, '}');
    }
    hostcall_log(call, buf_str(&line));
    buf_deinit(&line);
    int shown = arn.n > 400 ? 400 : (int)arn.n;
    return err_set(err, E_DENIED, "\"%s\" on \"%.*s\" is %s role \"%.*s\"", action, shown, arn.p,
                   explicit_deny ? "refused by a Deny statement of" : "not allowed by",
                   STR_FMT(role));
}

int hostcall_allow(struct hostcalls *h, struct hostcall *call, struct str args, const char *action,
                   enum hostcall_resource kind, struct err *err)
{
    char space[ARN_MAX];
    bool explicit_deny = false;
    struct str arn, prefix = rec_str(args, HC_PREFIX);
    int rc = build_arn(h, args, kind, space, &arn, err);
    if (rc)
        return rc;
    struct str delimiter = rec_str(args, HC_DELIMITER);
    struct policy_key keys[] = {{STR("lambda:sourcefunctionarn"), call->fn->arn},
                                {STR("s3:prefix"), prefix.p ? prefix : STR("")},
                                {STR("s3:delimiter"), delimiter}};
    struct policy_query q = {
        .action = str_c(action),
        .resource = arn,
        .keys = keys,
        .key_count = call->number != HC_S3_LIST ? 1
                     : delimiter.p              ? 3
                                                : 2,
    };
    struct guard guard;
    guard_find(&h->guards, q.action, arn, false, &guard);
    rc = role_check(h->o.roles, call->fn->role, call->fn->name, &guard.policy, &q, &explicit_deny,
                    err);
    guard_end(&guard);
    if (rc == E_DENIED && !explicit_deny && h->o.pulse)
        pulse_denied(h->o.pulse, call->fn, call->request_id, action, arn);
    return rc == E_DENIED ? deny(call, action, arn, explicit_deny, err) : rc;
}

static int authorise(struct hostcalls *h, struct hostcall *call, struct err *err)
{
    const struct hostcall_row *row = &rows[call->number];
    enum hostcall_resource kind = resources[call->number];
    if (kind == HOSTCALL_NONE)
        return 0;
    if (call->fn->sealed)
        return err_set(err, E_DENIED, "%s cannot be called here", row->name);
    if (kind == HOSTCALL_EACH)
        return 0;
    return hostcall_allow(h, call, call->args, row->action, kind, err);
}

void hostcall_dispatch(void *ctx, struct hostcall *call)
{
    struct hostcalls *h = ctx;
    struct err err = {0};
    ASSERT(call->number > 0 && call->number < HC_CALL_COUNT);
    int rc = authorise(h, call, &err);
    if (rc)
        hostcall_end(call, rc, NULL, &err);
    else
        handlers[call->number](h, call);
}

/* --- package.read, time.sleep ------------------------------------------------------------------
 */

static void package_file(void *ctx, int rc, struct str bytes)
{
    struct hostcall *call = ctx;
    struct buf result = BUF_INIT;
    struct err err = {0};
    struct str name = rec_str(call->args, HC_NAME);
    if (rc == 0)
        rec_put_str(&result, HC_BODY, bytes);
    else if (rc == E_NOT_FOUND)
        err_set(&err, rc, "There is no file \"%.*s\" in the package", STR_FMT(name));
    else if (rc == E_LIMIT)
        err_set(&err, rc, "The file \"%.*s\" is larger than %d bytes", STR_FMT(name),
                FUNCTION_FILE_MAX);
    hostcall_end(call, rc, &result, &err);
}

static void package_read(struct hostcalls *h, struct hostcall *call)
{
    function_file(h->o.functions, call->fn, rec_str(call->args, HC_NAME), package_file, call);
}

struct sleeper {
    uv_timer_t timer;
    struct hostcall *call;
};

static void sleep_closed(uv_handle_t *timer)
{
    free(timer->data);
}

static void sleep_over(uv_timer_t *timer)
{
    struct sleeper *s = timer->data;
    struct hostcall *call = s->call;
    call->cancel = NULL;
    hostcall_end(call, call->abandoned ? E_ABORTED : 0, NULL, NULL);
    uv_close((uv_handle_t *)timer, sleep_closed);
}

/* Not finished in here: the caller may be walking its calls. */
static void sleep_cancel(struct hostcall *call)
{
    struct sleeper *s = call->user;
    uv_timer_start(&s->timer, sleep_over, 0, 0);
}

static void sleep_ms(struct hostcalls *h, struct hostcall *call)
{
    uint64_t ms = rec_u64(call->args, HC_MS, 0);
    struct err err = {0};
    if (ms > HOSTCALL_SLEEP_MAX_MS) {
        int rc =
            err_set(&err, E_INVALID, "A sleep lasts at most %d s", HOSTCALL_SLEEP_MAX_MS / 1000);
        hostcall_end(call, rc, NULL, &err);
        return;
    }
    struct sleeper *s = calloc(1, sizeof *s);
    if (!s)
        fatal("out of memory");
    s->call = call;
    s->timer.data = s;
    uv_timer_init(h->o.loop, &s->timer);
    call->user = s;
    call->cancel = sleep_cancel;
    uv_update_time(h->o.loop); /* else the sleep would begin with the turn of the loop */
    uv_timer_start(&s->timer, sleep_over, ms, 0);
}
