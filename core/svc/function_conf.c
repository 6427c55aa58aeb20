/* function_conf: one row rewritten, with some of its fields replaced.
 *
 * Each writer copies the row first, refuses what is wrong, and only then writes. */
#include "svc/function_conf.h"

#include "auth/arn.h"
#include "base/clock.h"
#include "store/key.h"
#include "svc/alias.h"
#include "svc/function_inside.h"
#include "svc/function_version.h"

/* The row's copy, or the error that AWS has. */
static int open_row(struct store_txn *t, const char *region, struct str name, struct str qualifier,
                    struct buf *row, struct err *err)
{
    int rc = fn_row_copy(t, name, qualifier, row);
    return rc == E_NOT_FOUND ? fn_not_found(err, region, name, qualifier) : rc;
}

/* --- URL --------------------------------------------------------------------------------------- */

static void put_given(struct buf *out, uint16_t tag, struct str given, struct str old)
{
    struct str v = given.p ? given : rec_str(old, tag);
    if (v.n && !str_is(v, "{}"))
        rec_put_str(out, tag, v);
}

int function_url_set(struct store_txn *t, struct str name, struct str qualifier,
                     const struct fn_url *url, struct err *err)
{
    static const uint16_t replaced[] = {FN_URL_AUTH, FN_URL_CREATED, FN_URL_MODIFIED,
                                        FN_URL_CORS, FN_URL_MODE,    0};
    struct buf old = BUF_INIT, row = BUF_INIT;
    uint64_t now = (uint64_t)clock_store_ms();
    int rc = open_row(t, "", name, qualifier, &old, err);
    if (rc == 0) {
        struct str rec = buf_str(&old);
        fn_row_without(rec, replaced, &row);
        if (url) {
            put_given(&row, FN_URL_AUTH, url->auth, rec);
            put_given(&row, FN_URL_CORS, url->cors, rec);
            put_given(&row, FN_URL_MODE, url->mode, rec);
            rec_put_u64(&row, FN_URL_CREATED, rec_u64(rec, FN_URL_CREATED, now));
            rec_put_u64(&row, FN_URL_MODIFIED, now);
        }
        rc = fn_row_put(t, name, qualifier, &row);
    }
    buf_deinit(&old);
    return rc;
}

/* --- tags -------------------------------------------------------------------------------------- */

static void put_tag(struct buf *out, struct str key, struct str value)
{
    size_t mark = rec_begin(out, FN_TAG);
    rec_put_str(out, 1, key);
    rec_put_str(out, 2, value);
    rec_end(out, mark);
}

int function_tag(struct store_txn *t, const char *region, struct str name,
                 const struct fn_env *tags, size_t count, struct err *err)
{
    static const uint16_t replaced[] = {FN_TAG, 0};
    struct buf old = BUF_INIT, row = BUF_INIT;
    size_t total = count;
    struct str rest, v;
    uint16_t tag;
    int rc = open_row(t, region, name, STR(""), &old, err);
    fn_row_without(buf_str(&old), replaced, &row);
    for (size_t i = 0; i < count; i++)
        put_tag(&row, tags[i].name, tags[i].value);
    for (rest = buf_str(&old); rec_next(&rest, &tag, &v);) {
        size_t i = 0;
        while (tag == FN_TAG && i < count && !str_eq(rec_str(v, 1), tags[i].name))
            i++;
        if (tag != FN_TAG || i < count)
            continue;
        rec_put_str(&row, FN_TAG, v);
        total++;
    }
    if (rc == 0 && total > FUNCTION_TAGS_MAX)
        rc = err_set(err, E_INVALID, "Number of tags exceeds resource tag limit.");
    if (rc == 0)
        rc = fn_row_put(t, name, STR(""), &row);
    buf_deinit(&old);
    buf_deinit(&row);
    return rc;
}

int function_untag(struct store_txn *t, const char *region, struct str name, const struct str *keys,
                   size_t count, struct err *err)
{
    static const uint16_t replaced[] = {FN_TAG, 0};
    struct buf old = BUF_INIT, row = BUF_INIT;
    struct str rest, v;
    uint16_t tag;
    int rc = open_row(t, region, name, STR(""), &old, err);
    fn_row_without(buf_str(&old), replaced, &row);
    for (rest = buf_str(&old); rec_next(&rest, &tag, &v);) {
        size_t i = 0;
        while (tag == FN_TAG && i < count && !str_eq(rec_str(v, 1), keys[i]))
            i++;
        if (tag == FN_TAG && i == count)
            rec_put_str(&row, FN_TAG, v);
    }
    if (rc == 0)
        rc = fn_row_put(t, name, STR(""), &row);
    buf_deinit(&old);
    buf_deinit(&row);
    return rc;
}

/* --- concurrency ------------------------------------------------------------------------------- */

struct sum {
    struct str except;
    uint64_t n;
};

static bool add_reserved(void *ctx, struct str name, struct str rec)
{
    (void)name;
    *(uint64_t *)ctx += rec_u64(rec, FN_RESERVED, 0);
    return true;
}

uint64_t fn_reserved_total(struct store_txn *t)
{
    struct str v;
    uint64_t n = 0;
    if (store_get(t, T_META, STR("reserved"), &v) == 0 && key_take_u64(&v, &n))
        return n;
    function_each(t, STR(""), add_reserved, &n);
    return n;
}

int fn_reserved_change(struct store_txn *t, uint64_t before, uint64_t after)
{
    struct key k = {0};
    return store_put(t, T_META, STR("reserved"),
                     key_str(key_u64(&k, fn_reserved_total(t) - before + after)));
}

int fn_reserved_keep(struct store_txn *t)
{
    struct str v;
    return store_get(t, T_META, STR("reserved"), &v) ? fn_reserved_change(t, 0, 0) : 0;
}

uint64_t function_unreserved_min(uint64_t limit)
{
    uint64_t share = limit / FUNCTION_UNRESERVED_SHARE;
    return share < FUNCTION_UNRESERVED_MIN ? share : FUNCTION_UNRESERVED_MIN;
}

static bool add_provisioned(void *ctx, struct str qualifier, struct str rec)
{
    struct sum *s = ctx;
    if (!str_eq(qualifier, s->except))
        s->n += rec_u64(rec_str(rec, FN_PROVISIONED), 1, 0);
    return true;
}

uint64_t function_provisioned(struct store_txn *t, struct str name, struct str except)
{
    struct sum s = {except, 0};
    function_versions(t, name, STR(""), add_provisioned, &s);
    alias_each(t, name, STR(""), add_provisioned, &s);
    return s.n;
}

static int check_reserve(struct store_txn *t, struct str name, uint64_t reserved, uint64_t before,
                         uint64_t limit, struct err *err)
{
    uint64_t others = fn_reserved_total(t) - before, least = function_unreserved_min(limit);
    uint64_t provisioned = function_provisioned(t, name, STR(""));
    if (reserved > limit || reserved + others + least > limit)
        return err_set(err, E_INVALID,
                       "Specified ReservedConcurrentExecutions for function decreases account's "
                       "UnreservedConcurrentExecution below its minimum value of [%llu].",
                       (unsigned long long)least);
    if (provisioned > reserved)
        return err_set(err, E_INVALID,
                       " ReservedConcurrentExecutions  %llu should not be lower than function's "
                       "total provisioned concurrency [%llu].",
                       (unsigned long long)reserved, (unsigned long long)provisioned);
    return 0;
}

int function_reserve(struct store_txn *t, const char *region, struct str name, int64_t reserved,
                     uint64_t limit, struct err *err)
{
    static const uint16_t replaced[] = {FN_RESERVED, 0};
    struct buf old = BUF_INIT, row = BUF_INIT;
    int rc = open_row(t, region, name, STR(""), &old, err);
    uint64_t before = rec_u64(buf_str(&old), FN_RESERVED, 0);
    if (rc == 0 && reserved >= 0)
        rc = check_reserve(t, name, (uint64_t)reserved, before, limit, err);
    if (rc == 0)
        rc = fn_reserved_change(t, before, reserved < 0 ? 0 : (uint64_t)reserved);
    if (rc == 0) {
        fn_row_without(buf_str(&old), replaced, &row);
        if (reserved >= 0)
            rec_put_u64(&row, FN_RESERVED, (uint64_t)reserved);
        rc = fn_row_put(t, name, STR(""), &row);
    }
    buf_deinit(&old);
    return rc;
}

struct clash {
    struct store_txn *t;
    struct str name, version;
    bool any;
};

static bool find_clash(void *ctx, struct str alias, struct str rec)
{
    struct clash *c = ctx;
    (void)alias;
    c->any = str_eq(rec_str(rec, FN_VERSION), c->version) && rec_str(rec, FN_PROVISIONED).p;
    return !c->any;
}

/* A version gets its executions by its number or by an alias, not by both. */
static int check_clash(struct store_txn *t, struct str name, struct str row, struct err *err)
{
    struct clash c = {t, name, rec_str(row, FN_VERSION), false};
    struct str version;
    if (rec_str(row, FN_ALIAS).p) {
        if (fn_row(t, name, c.version, &version) == 0 && rec_str(version, FN_PROVISIONED).p)
            return err_set(err, E_CONFLICT,
                           "Alias can't be used for Provisioned Concurrency configuration on an "
                           "already Provisioned version");
        return 0;
    }
    alias_each(t, name, STR(""), find_clash, &c);
    return c.any ? err_set(err, E_CONFLICT, "Version is pointed by a Provisioned Concurrency alias")
                 : 0;
}

static int check_provision(struct store_txn *t, struct str name, struct str qualifier,
                           struct str row, uint64_t executions, uint64_t limit, struct err *err)
{
    struct str latest;
    uint64_t others = function_provisioned(t, name, qualifier);
    uint64_t least = function_unreserved_min(limit);
    int64_t reserved = -1;
    if (fn_row(t, name, STR(""), &latest) == 0)
        reserved = (int64_t)rec_u64(latest, FN_RESERVED, UINT64_MAX);
    if (reserved >= 0 && executions + others > (uint64_t)reserved)
        return err_set(err, E_INVALID,
                       "Requested Provisioned Concurrency should not be greater than the "
                       "reservedConcurrentExecution for function");
    if (executions > limit)
        return err_set(err, E_INVALID,
                       "Specified ConcurrentExecutions for function is greater than account's "
                       "unreserved concurrency [%llu].",
                       (unsigned long long)limit);
    if (reserved < 0 && executions + others + fn_reserved_total(t) + least > limit)
        return err_set(err, E_INVALID,
                       "Specified ConcurrentExecutions for function decreases account's "
                       "UnreservedConcurrentExecution below its minimum value of [%llu].",
                       (unsigned long long)least);
    return check_clash(t, name, row, err);
}

int function_provision(struct store_txn *t, const char *region, struct str name,
                       struct str qualifier, uint64_t executions, uint64_t limit, struct err *err)
{
    static const uint16_t replaced[] = {FN_PROVISIONED, 0};
    struct buf old = BUF_INIT, row = BUF_INIT;
    int rc = open_row(t, region, name, qualifier, &old, err);
    if (rc == 0 && executions)
        rc = check_provision(t, name, qualifier, buf_str(&old), executions, limit, err);
    if (rc == 0) {
        fn_row_without(buf_str(&old), replaced, &row);
        if (executions) {
            size_t mark = rec_begin(&row, FN_PROVISIONED);
            rec_put_u64(&row, 1, executions);
            rec_put_u64(&row, 2, (uint64_t)clock_store_ms());
            rec_end(&row, mark);
        }
        rc = fn_row_put(t, name, qualifier, &row);
    }
    buf_deinit(&old);
    return rc;
}

/* --- asynchronous calls ------------------------------------------------------------------------ */

int fn_check_destination(struct store_txn *t, const char *region, struct str self, struct str arn,
                         struct err *err)
{
    struct str name, qualifier, rec;
    struct arn parts;
    if (!arn.n)
        return 0;
    bool parsed = arn_parse(arn, &parts);
    if (parsed && (str_is(parts.service, "sqs") || str_is(parts.service, "sns") ||
                   str_is(parts.service, "events") || str_is(parts.service, "s3")))
        return err_set(err, E_INVALID,
                       "The destination ARN %.*s is invalid: this server delivers to functions "
                       "only, and has no %.*s.",
                       arn.n > 300 ? 300 : (int)arn.n, arn.p, STR_FMT(parts.service));
    if (parsed && str_is(parts.service, "perilune"))
        return err_set(err, E_INVALID,
                       "The destination %.*s is invalid: webhooks are not served yet; name a "
                       "function that makes the request.",
                       arn.n > 300 ? 300 : (int)arn.n, arn.p);
    if (!parsed || arn_function(arn, str_c(region), &name, &qualifier) != 0 ||
        fn_row(t, name, qualifier, &rec) != 0)
        return err_set(err, E_INVALID, "The destination ARN %.*s is invalid.",
                       arn.n > 300 ? 300 : (int)arn.n, arn.p);
    return str_eq(name, self) ? err_set(err, E_INVALID,
                                        "You can't specify the function as a destination for "
                                        "itself.")
                              : 0;
}

static void put_async(struct buf *row, const struct fn_async *a, struct str old)
{
    size_t mark = rec_begin(row, FN_ASYNC);
    uint64_t none = UINT64_MAX;
    uint64_t retries = a->retries_set ? a->retries : rec_u64(old, FN_ASYNC_RETRIES, none);
    uint64_t age = a->age_set ? a->max_age_s : rec_u64(old, FN_ASYNC_MAX_AGE_S, none);
    struct str success = a->success_set ? a->on_success : rec_str(old, FN_ASYNC_ON_SUCCESS);
    struct str failure = a->failure_set ? a->on_failure : rec_str(old, FN_ASYNC_ON_FAILURE);
    if (retries != none)
        rec_put_u64(row, FN_ASYNC_RETRIES, retries);
    if (age != none)
        rec_put_u64(row, FN_ASYNC_MAX_AGE_S, age);
    if (success.n)
        rec_put_str(row, FN_ASYNC_ON_SUCCESS, success);
    if (failure.n)
        rec_put_str(row, FN_ASYNC_ON_FAILURE, failure);
    rec_put_u64(row, FN_ASYNC_MODIFIED_MS, (uint64_t)clock_wall_ms());
    rec_end(row, mark);
}

static int async_row(struct store_txn *t, const char *region, struct str name, struct str qualifier,
                     const struct fn_async *async, bool merge, struct str old, struct err *err)
{
    static const uint16_t replaced[] = {FN_ASYNC, 0};
    struct buf row = BUF_INIT;
    struct str had = rec_str(old, FN_ASYNC), q = qualifier.n ? qualifier : STR("$LATEST");
    if (!had.p && (merge || !async))
        return err_set(err, E_NOT_FOUND,
                       "The function arn:aws:lambda:%s:" ACCOUNT_ID
                       ":function:%.*s:%.*s doesn't have an EventInvokeConfig",
                       region, STR_FMT(name), STR_FMT(q));
    int rc = async ? fn_check_destination(t, region, name, async->on_success, err) : 0;
    if (rc == 0 && async)
        rc = fn_check_destination(t, region, name, async->on_failure, err);
    if (rc)
        return rc;
    fn_row_without(old, replaced, &row);
    if (async)
        put_async(&row, async, merge ? had : STR(""));
    return fn_row_put(t, name, qualifier, &row);
}

int function_async_set(struct store_txn *t, const char *region, struct str name,
                       struct str qualifier, const struct fn_async *async, bool merge,
                       struct err *err)
{
    struct buf old = BUF_INIT;
    int rc = fn_row_copy(t, name, qualifier, &old);
    if (rc == E_NOT_FOUND)
        rc = err_set(err, rc, "The function doesn't exist.");
    if (rc == 0)
        rc = async_row(t, region, name, qualifier, async, merge, buf_str(&old), err);
    buf_deinit(&old);
    return rc;
}

/* --- single texts ------------------------------------------------------------------------------ */

int function_text_set(struct store_txn *t, const char *region, struct str name, uint16_t tag,
                      struct str value, struct err *err)
{
    const uint16_t replaced[] = {tag, 0};
    struct buf old = BUF_INIT, row = BUF_INIT;
    int rc = open_row(t, region, name, STR(""), &old, err);
    if (rc == 0) {
        fn_row_without(buf_str(&old), replaced, &row);
        rec_put_str(&row, tag, value);
        rc = fn_row_put(t, name, STR(""), &row);
    }
    buf_deinit(&old);
    return rc;
}
