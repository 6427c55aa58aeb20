/* notify: the notifications of a bucket in the store, and the events they send.
 *
 * A configuration is replaced as a whole and judged as a whole before anything is written: every
 * function must exist and its policy must let s3.amazonaws.com invoke it for this bucket and this
 * account, and no two rules may want the same change. bucket_notify runs inside the job that
 * changes an object, so the record and its events are one transaction: answered means both, not
 * answered means both or neither.
 *
 * A function that is gone when an object changes still gets its row (under id 0): the queue finds
 * out at delivery and keeps the event in the dead list, where its owner can see it. */
#include "auth/arn.h"
#include "auth/policy.h"
#include "base/hash.h"
#include "base/rec.h"
#include "svc/bucket.h"
#include "svc/bucket_rows.h"
#include "svc/function.h"

enum { TRIGGER_KEY = 12 };

static struct str trigger_key(uint64_t bucket_id, uint32_t number, char out[TRIGGER_KEY])
{
    uint64_t id = __builtin_bswap64(bucket_id);
    uint32_t n = __builtin_bswap32(number);
    memcpy(out, &id, 8);
    memcpy(out + 8, &n, 4);
    return str_of(out, TRIGGER_KEY);
}

/* Walks the bucket's rows; each answers false to stop. Trigger and its strings are borrowed. */
static int walk(struct store_txn *t, uint64_t bucket_id,
                bool (*each)(void *ctx, const struct trigger *tr), void *ctx)
{
    char space[TRIGGER_KEY];
    struct str from = trigger_key(bucket_id, 0, space), key, rec;
    struct store_cursor *c = store_cursor(t, T_TRIGGERS);
    int rc = 0;
    for (bool more = store_seek(c, from, &key, &rec); more; more = store_next(c, &key, &rec)) {
        struct trigger tr;
        if (!str_starts(key, str_of(space, 8)))
            break;
        if (!trigger_decode(rec, &tr)) {
            rc = E_INTERNAL;
            break;
        }
        if (!each(ctx, &tr))
            break;
    }
    store_cursor_close(c);
    return rc;
}

int bucket_triggers(struct store_txn *t, struct str bucket,
                    bool (*each)(void *ctx, const struct trigger *tr), void *ctx)
{
    struct bucket_row row;
    int rc = bucket_row_get(t, bucket, &row);
    if (rc || row.triggers == 0)
        return rc;
    return walk(t, row.id, each, ctx);
}

int bucket_rows_clear_triggers(struct store_txn *t, uint64_t id)
{
    for (uint32_t i = 0; i < TRIGGERS_MAX; i++) {
        char space[TRIGGER_KEY];
        int rc = store_del(t, T_TRIGGERS, trigger_key(id, i, space));
        if (rc)
            return rc;
    }
    return 0;
}

/* --- judging a configuration --------------------------------------------------------------------
 */

static int bad_destination(struct err *err, const struct trigger *tr)
{
    err_set(err, E_INVALID, "Unable to validate the following destination configurations");
    if (err) {
        snprintf(err->arg_name, sizeof err->arg_name, "%.*s, null", STR_FMT(tr->function_arn));
        snprintf(err->arg_value, sizeof err->arg_value, "Not authorized to invoke function [%.*s]",
                 STR_FMT(tr->function_arn));
    }
    return E_INVALID;
}

/* May S3, acting for this bucket, invoke the function? */
static bool function_lets_s3(struct str policy_json, struct str function_arn, struct str bucket)
{
    char source[64 + 16];
    snprintf(source, sizeof source, "arn:aws:s3:::%.*s", STR_FMT(bucket));
    const struct policy_key keys[] = {
        {STR("aws:sourcearn"), str_c(source)},
        {STR("aws:sourceaccount"), STR(ACCOUNT_ID)},
    };
    struct policy_query q = {
        .action = STR("lambda:InvokeFunction"),
        .resource = function_arn,
        .principal_service = STR("s3.amazonaws.com"),
        .keys = keys,
        .key_count = 2,
    };
    struct policy *p = policy_json.n ? policy_parse(policy_json, POLICY_RESOURCE, NULL) : NULL;
    bool ok = p && policy_eval(p, &q) == POLICY_ALLOW;
    policy_free(p);
    return ok;
}

static int check_destination(struct store_txn *t, const char *region, struct str bucket,
                             const struct trigger *tr, bool skip_validation, struct err *err)
{
    struct arn arn;
    struct str name, qualifier, policy;
    uint64_t id;
    if (!arn_parse(tr->function_arn, &arn) || !str_is(arn.service, "lambda"))
        return err_set(err, E_INVALID, "The ARN could not be parsed");
    int rc = arn_function(tr->function_arn, str_c(region), &name, &qualifier);
    if (rc == E_NOT_FOUND)
        return bad_destination(err, tr);
    if (rc)
        return err_set(err, E_INVALID, "The ARN could not be parsed");
    if (skip_validation)
        return 0;
    rc = function_find(t, name, qualifier, &id, &policy);
    if (rc == E_NOT_FOUND)
        return bad_destination(err, tr);
    if (rc)
        return rc;
    return function_lets_s3(policy, tr->function_arn, bucket) ? 0 : bad_destination(err, tr);
}

static int check_rule(const struct trigger *tr, struct err *err)
{
    if (tr->id.n == 0 || tr->id.n > TRIGGER_ID_MAX)
        return err_set(err, E_INVALID, "The configuration id must have 1 to 255 characters");
    if (tr->prefix.n > TRIGGER_FILTER_MAX || tr->suffix.n > TRIGGER_FILTER_MAX)
        return err_set(err, E_INVALID, "The size of a filter rule value cannot exceed 1024 bytes");
    if (tr->event_count == 0)
        return err_set(err, E_BAD_XML, "%s", err_row(E_BAD_XML)->text);
    for (size_t i = 0; i < tr->event_count; i++)
        if (!trigger_event_known(tr->events[i])) {
            struct str e = tr->events[i];
            e.n = e.n < 100 ? e.n : 100;
            return err_set(err, E_INVALID, "The event '%.*s' is not supported for notifications",
                           STR_FMT(e));
        }
    return 0;
}

static int check_pairs(const struct trigger *tr, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
            if (str_eq(tr[i].id, tr[k].id))
                return err_set(err, E_INVALID,
                               "Same ID used for multiple configurations. IDs must be unique");
            if (trigger_overlaps(&tr[i], &tr[k]))
                return err_set(err, E_INVALID,
                               "Configuration is ambiguously defined. Cannot have overlapping "
                               "suffixes in two rules if the prefixes are overlapping for the "
                               "same event type.");
        }
    return 0;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static int write_rows(struct store_txn *t, struct str bucket, struct bucket_row *row,
                      const struct trigger *tr, size_t n)
{
    int rc = row->triggers ? bucket_rows_clear_triggers(t, row->id) : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        char space[TRIGGER_KEY];
        struct buf rec = BUF_INIT;
        trigger_encode(&rec, &tr[i]);
        rc = rec.rc ? E_INTERNAL
                    : store_put(t, T_TRIGGERS, trigger_key(row->id, (uint32_t)i, space),
                                buf_str(&rec));
        buf_deinit(&rec);
    }
    row->triggers = n;
    return rc ? rc : bucket_row_put(t, bucket, row);
}

int bucket_triggers_put(struct store_txn *t, const char *region, struct str bucket,
                        const struct trigger *tr, size_t n, bool skip_validation, struct err *err)
{
    struct bucket_row row;
    int rc = bucket_row_get(t, bucket, &row);
    if (rc == 0 && n > TRIGGERS_MAX)
        rc = err_set(err, E_INVALID, "A bucket takes at most %d notifications", TRIGGERS_MAX);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = check_rule(&tr[i], err);
    if (rc == 0)
        rc = check_pairs(tr, n, err);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = check_destination(t, region, bucket, &tr[i], skip_validation, err);
    return rc ? rc : write_rows(t, bucket, &row, tr, n);
}

/* The bucket's notifications, copied out of the transaction so that it can be written to. */
struct copied {
    struct buf bytes;         /* records, one after the other */
    size_t end[TRIGGERS_MAX]; /* where each ends */
    size_t n;
    struct trigger list[TRIGGERS_MAX + 1]; /* decoded from bytes; one more for bucket_trigger_add */
};

static bool copy_one(void *ctx, const struct trigger *tr)
{
    struct copied *c = ctx;
    if (c->n == TRIGGERS_MAX)
        return false;
    trigger_encode(&c->bytes, tr);
    c->end[c->n++] = c->bytes.n;
    return true;
}

/* Reads all but the one called `except`. */
static int copy_others(struct store_txn *t, struct str bucket, struct str except,
                       struct copied *out)
{
    *out = (struct copied){.bytes = BUF_INIT};
    int rc = bucket_triggers(t, bucket, copy_one, out);
    if (rc == 0 && out->bytes.rc)
        rc = E_INTERNAL;
    if (rc)
        return rc;
    size_t from = 0, kept = 0;
    for (size_t i = 0; i < out->n; i++) {
        struct trigger *tr = &out->list[kept];
        if (!trigger_decode(str_of(out->bytes.p + from, out->end[i] - from), tr))
            return E_INTERNAL;
        if (!str_eq(tr->id, except))
            kept++;
        from = out->end[i];
    }
    out->n = kept;
    return 0;
}

int bucket_trigger_add(struct store_txn *t, const char *region, struct str bucket,
                       const struct trigger *tr, struct err *err)
{
    struct copied c;
    struct bucket_row row;
    int rc = copy_others(t, bucket, tr->id, &c);
    if (rc == 0)
        rc = bucket_row_get(t, bucket, &row);
    if (rc == 0)
        rc = check_rule(tr, err);
    if (rc == 0 && c.n == TRIGGERS_MAX)
        rc = err_set(err, E_INVALID, "A bucket takes at most %d notifications", TRIGGERS_MAX);
    if (rc == 0) {
        c.list[c.n++] = *tr;
        rc = check_pairs(c.list, c.n, err);
    }
    if (rc == 0)
        rc = check_destination(t, region, bucket, tr, false, err);
    if (rc == 0)
        rc = write_rows(t, bucket, &row, c.list, c.n);
    buf_deinit(&c.bytes);
    return rc;
}

int bucket_trigger_remove(struct store_txn *t, struct str bucket, struct str id)
{
    struct copied c;
    struct bucket_row row;
    int rc = copy_others(t, bucket, id, &c);
    if (rc == 0)
        rc = bucket_row_get(t, bucket, &row);
    if (rc == 0 && c.n != row.triggers)
        rc = write_rows(t, bucket, &row, c.list, c.n);
    buf_deinit(&c.bytes);
    return rc;
}

/* --- sending ------------------------------------------------------------------------------------
 */

/* id_uuid belongs to the loop's thread; jobs run on the store's. */
static void random_uuid(char out[static 37])
{
    unsigned char b[16];
    random_bytes(b, sizeof b);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-4%x%02x-%x%x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6] & 15, b[7], 8 | (b[8] & 3), b[8] >> 4, b[9], b[10],
             b[11], b[12], b[13], b[14], b[15]);
}

struct delivery {
    struct store_txn *t;
    struct queue *q;
    const char *region;
    const struct bucket_event *e;
    struct copied matches;
};

static bool keep_match(void *ctx, const struct trigger *tr)
{
    struct delivery *d = ctx;
    return trigger_matches(tr, str_c(d->e->name), d->e->key) ? copy_one(&d->matches, tr) : true;
}

static int send_one(struct delivery *d, const struct trigger *tr, uint64_t *function_id)
{
    char source[64 + 16];
    struct str name, qualifier, policy;
    struct queue_event ev = {.source = "s3", .cause = d->e->cause};
    int rc = arn_function(tr->function_arn, str_c(d->region), &name, &qualifier);
    if (rc)
        return E_INTERNAL; /* it was checked when it was stored */
    rc = function_find(d->t, name, qualifier, function_id, &policy);
    if (rc == E_NOT_FOUND)
        *function_id = 0;
    else if (rc)
        return rc;

    struct buf payload = BUF_INIT;
    trigger_event_json(&payload, d->region, tr, d->e);
    snprintf(source, sizeof source, "arn:aws:s3:::%.*s", STR_FMT(d->e->bucket));
    random_uuid(ev.request_id);
    ev.function_id = *function_id;
    ev.function_name = name;
    ev.qualifier = qualifier;
    ev.payload = buf_str(&payload);
    ev.source_arn = str_c(source);
    rc = payload.rc ? E_INTERNAL : queue_put(d->q, d->t, &ev);
    buf_deinit(&payload);
    return rc;
}

int bucket_notify(struct store_txn *t, struct queue *q, const char *region,
                  const struct bucket_event *e, uint64_t *kicks, size_t max, size_t *count)
{
    struct bucket_row row;
    *count = 0;
    int rc = bucket_row_get(t, e->bucket, &row);
    if (rc || row.triggers == 0)
        return rc;
    struct delivery d = {t, q, region, e, {.bytes = BUF_INIT}};
    rc = walk(t, row.id, keep_match, &d);
    if (rc == 0 && d.matches.bytes.rc)
        rc = E_INTERNAL;
    size_t from = 0;
    for (size_t i = 0; i < d.matches.n && rc == 0; i++) {
        struct trigger tr;
        uint64_t id = 0;
        trigger_decode(str_of(d.matches.bytes.p + from, d.matches.end[i] - from), &tr);
        from = d.matches.end[i];
        rc = send_one(&d, &tr, &id);
        if (rc && i > 0)
            rc = E_INTERNAL; /* earlier ones are written: the transaction must go */
        if (rc == 0 && *count < max)
            kicks[(*count)++] = id;
    }
    buf_deinit(&d.matches.bytes);
    return rc;
}
