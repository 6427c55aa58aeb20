/* schedules: the parts that rules and schedules have in common. */
#include "api/schedules.h"

#include "auth/arn.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rec.h"

static int apply(struct job *job, struct store_txn *t)
{
    struct schedules_job *j = (struct schedules_job *)job;
    struct str row = {NULL, 0};
    int rc = schedule_get(t, &j->name, &row);
    if (rc && rc != E_NOT_FOUND)
        return rc;
    buf_clear(&j->rec);
    rc = j->change(j, row);
    if (rc)
        return rc;
    return j->rec.n ? schedule_put(t, &j->name, buf_str(&j->rec)) : schedule_del(t, &j->name);
}

static void done(struct job *job, int rc)
{
    struct schedules_job *j = (struct schedules_job *)job;
    struct call *c = j->c;
    buf_deinit(&j->rec);
    if (rc) {
        call_error(c, rc, j->err.code ? &j->err : NULL);
        return;
    }
    schedules_changed(c->svc->schedules, &j->name);
    if (j->reply)
        j->reply(j);
    else
        call_json(c, c->op->status, json_object());
}

struct schedules_job *schedules_job(struct call *c, const char *kind, struct str group,
                                    struct str name)
{
    struct schedules_job *j = arena_zalloc(c->arena, sizeof *j);
    if (!j) {
        call_error(c, E_LIMIT, NULL);
        return NULL;
    }
    j->job = (struct job){.apply = apply, .done = done};
    j->c = c;
    j->name = (struct schedule_name){str_c(kind), group, name};
    j->rec = BUF_INIT;
    return j;
}

void schedules_submit(struct schedules_job *j)
{
    store_submit(j->c->svc->store, &j->job);
}

void schedules_keep(struct buf *out, struct str row, const uint16_t *but)
{
    uint16_t tag;
    struct str v;
    while (rec_next(&row, &tag, &v)) {
        bool drop = false;
        for (const uint16_t *p = but; *p && !drop; p++)
            drop = *p == tag;
        if (!drop)
            rec_put_str(out, tag, v);
    }
}

int schedules_set_state(struct schedules_job *j, struct str row, bool disabled)
{
    static const uint16_t set[] = {SCHEDULE_DISABLED, SCHEDULE_MODIFIED_MS, SCHEDULE_PLACE, 0};
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    schedules_keep(&j->rec, row, set);
    if (disabled)
        rec_put_u64(&j->rec, SCHEDULE_DISABLED, 1);
    schedule_put_place(&j->rec, rec_str(row, SCHEDULE_EXPR), row);
    rec_put_u64(&j->rec, SCHEDULE_MODIFIED_MS, now_ms);
    return j->rec.rc;
}

int schedules_check_zone(struct str zone, struct err *err)
{
    struct zone *z = zone.n ? zone_load(zone) : NULL;
    zone_free(z);
    return !zone.n || z ? 0
                        : err_set(err, E_RULE_INVALID, "Invalid ScheduleExpressionTimezone %.*s.",
                                  zone.n > 80 ? 80 : (int)zone.n, zone.p);
}

int schedules_check_target(struct call *c, struct str arn, struct err *err)
{
    struct arn parts;
    struct str name, qualifier;
    if (arn_parse(arn, &parts) && str_is(parts.service, "lambda") &&
        arn_function(arn, str_c(c->svc->region), &name, &qualifier) == 0)
        return 0;
    return err_set(
        err, E_RULE_INVALID,
        "Provided Arn is not in correct format or not served here: targets are functions "
        "of this server. Arn: %.*s",
        arn.n > 200 ? 200 : (int)arn.n, arn.p ? arn.p : "");
}

static int check_range(const char *where, const char *member, int64_t value, int64_t least,
                       int64_t most, struct err *err)
{
    if (value == SCHEDULES_NOT_GIVEN || (value >= least && value <= most))
        return 0;
    return err_set(err, E_RULE_INVALID,
                   "1 validation error detected: Value '%lld' at '%s.retryPolicy.%s' failed to "
                   "satisfy constraint: Member must have value %s than or equal to %lld",
                   (long long)value, where, member, value < least ? "greater" : "less",
                   (long long)(value < least ? least : most));
}

int schedules_read_retry(const json_t *target, const char *where, struct schedules_retry *out,
                         struct err *err)
{
    json_t *policy = NULL;
    *out = (struct schedules_retry){SCHEDULES_NOT_GIVEN, SCHEDULES_NOT_GIVEN};
    int rc = json_member_object(target, "RetryPolicy", &policy, err);
    if (rc == 0 && policy)
        rc = json_member_int(policy, "MaximumRetryAttempts", &out->retries, err);
    if (rc == 0 && policy)
        rc = json_member_int(policy, "MaximumEventAgeInSeconds", &out->max_age_s, err);
    if (rc == 0)
        rc = check_range(where, "maximumRetryAttempts", out->retries, 0, 185, err);
    if (rc == 0)
        rc = check_range(where, "maximumEventAgeInSeconds", out->max_age_s, 60, 86400, err);
    return rc;
}

void schedules_put_retry(struct buf *out, const struct schedules_retry *retry)
{
    if (retry->retries != SCHEDULES_NOT_GIVEN)
        rec_put_u64(out, TARGET_RETRIES, (uint64_t)retry->retries);
    if (retry->max_age_s != SCHEDULES_NOT_GIVEN)
        rec_put_u64(out, TARGET_MAX_AGE_S, (uint64_t)retry->max_age_s);
}

int schedules_check_name(struct str name, const char *member, struct err *err)
{
    bool ok = name.n > 0 && name.n <= 64;
    for (size_t i = 0; i < name.n && ok; i++) {
        char c = name.p[i];
        ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
             c == '.' || c == '_' || c == '-';
    }
    return ok ? 0
              : err_set(err, E_RULE_INVALID,
                        "1 validation error detected: Value '%.*s' at '%s' failed to satisfy "
                        "constraint: Member must satisfy regular expression pattern: "
                        "[\\.\\-_A-Za-z0-9]+",
                        name.n > 80 ? 80 : (int)name.n, name.p ? name.p : "", member);
}

struct page {
    struct str prefix, last; /* last: of the store */
    bool (*each)(void *ctx, const struct schedule_name *n, struct str rec);
    void *ctx;
};

static bool page_one(void *ctx, const struct schedule_name *n, struct str rec)
{
    struct page *p = ctx;
    if (!str_starts(n->name, p->prefix) || !p->each(p->ctx, n, rec))
        return false; /* names are in order: none of the prefix is behind one that is not */
    p->last = n->name;
    return true;
}

struct str schedules_page(struct call *c, const char *kind, struct str prefix, struct str token,
                          bool (*each)(void *ctx, const struct schedule_name *n, struct str rec),
                          void *ctx)
{
    struct page p = {.prefix = prefix, .each = each, .ctx = ctx};
    bool behind = token.n && str_cmp(token, prefix) >= 0;
    struct schedule_name from = {str_c(kind), STR("default"), behind ? token : prefix};
    struct store_txn *t = store_read(c->svc->store);
    schedule_each(t, from.kind, &from, behind, page_one, &p);
    struct str last = arena_dup(c->arena, p.last);
    store_read_end(t);
    return last;
}

struct str schedules_arn(struct call *c, const struct schedule_name *n)
{
    struct buf b = BUF_INIT;
    schedule_arn(&b, c->svc->region, n);
    struct str arn = arena_dup(c->arena, buf_str(&b));
    buf_deinit(&b);
    return arn;
}
