/* bucket: bucket records.
 *
 * A bucket is one row of T_BUCKETS under its name and an id that its object rows and notifications
 * are keyed by; the id comes from the same counter as the inner nodes of object keys, since both
 * open rows of T_OBJECTS. Names follow S3's published rules, less those that this server's own
 * paths need: an unsigned GET /healthz must never be an object of a bucket called healthz.
 *
 * A bucket is removed only when no object row begins with its id, so nothing is ever orphaned; its
 * notifications and configurations go with it. */
#include "svc/bucket.h"

#include "base/clock.h"
#include "base/rec.h"
#include "store/objkey.h"
#include "svc/bucket_conf.h"
#include "svc/bucket_rows.h"
#include "svc/object_rows.h"

static const char *const own_routes[] = {"url", "healthz", "metrics", "perilune"};
static const char *const reserved_prefixes[] = {"xn--", "sthree-", "amzn-s3-demo-"};
static const char *const reserved_suffixes[] = {"-s3alias", "--ol-s3", ".mrap", "--x-s3",
                                                "--table-s3"};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c);
}

/* "2015-03-31": how every path of the Lambda API begins. */
static bool is_api_date(struct str name)
{
    static const char shape[] = "dddd-dd-dd";
    if (name.n != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (shape[i] == 'd' ? !is_digit(name.p[i]) : name.p[i] != '-')
            return false;
    return true;
}

/* Four dotted groups of digits, whatever their values. */
static bool is_ip_form(struct str name)
{
    size_t dots = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '.')
            dots++;
        else if (!is_digit(name.p[i]))
            return false;
    }
    return dots == 3;
}

static bool is_reserved(struct str name)
{
    for (size_t i = 0; i < sizeof own_routes / sizeof *own_routes; i++)
        if (str_is(name, own_routes[i]))
            return true;
    for (size_t i = 0; i < sizeof reserved_prefixes / sizeof *reserved_prefixes; i++)
        if (str_starts(name, str_c(reserved_prefixes[i])))
            return true;
    for (size_t i = 0; i < sizeof reserved_suffixes / sizeof *reserved_suffixes; i++)
        if (str_ends(name, str_c(reserved_suffixes[i])))
            return true;
    return is_api_date(name);
}

int bucket_name_check(struct str name)
{
    if (name.n < 3 || name.n > 63)
        return E_BUCKET_NAME;
    if (!is_letter_or_digit(name.p[0]) || !is_letter_or_digit(name.p[name.n - 1]))
        return E_BUCKET_NAME;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!is_letter_or_digit(c) && c != '-' && c != '.')
            return E_BUCKET_NAME;
        char next = i + 1 < name.n ? name.p[i + 1] : 'x';
        if ((c == '.' && !is_letter_or_digit(next)) || (c == '-' && next == '.'))
            return E_BUCKET_NAME; /* each label is one of a host name */
    }
    return is_ip_form(name) || is_reserved(name) ? E_BUCKET_NAME : 0;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

/* NAME\0 in a buffer of the caller; false when the name is too long to be one. */
static bool name_key(struct str name, char out[64 + 1], struct str *key)
{
    if (name.n == 0 || name.n > 63)
        return false;
    memcpy(out, name.p, name.n);
    out[name.n] = '\0';
    *key = str_of(out, name.n + 1);
    return true;
}

int bucket_row_get(struct store_txn *t, struct str name, struct bucket_row *out)
{
    char space[65];
    struct str key, rec;
    if (!name_key(name, space, &key))
        return E_NO_BUCKET;
    int rc = store_get(t, T_BUCKETS, key, &rec);
    if (rc)
        return rc == E_NOT_FOUND ? E_NO_BUCKET : rc;
    out->id = rec_u64(rec, BUCKET_ID, 0);
    out->created_ms = (int64_t)rec_u64(rec, BUCKET_CREATED_MS, 0);
    out->triggers = rec_u64(rec, BUCKET_TRIGGERS, 0);
    out->confs = rec_u64(rec, BUCKET_CONFS, 0);
    out->uploads = rec_u64(rec, BUCKET_UPLOADS, 0);
    return out->id ? 0 : E_INTERNAL;
}

int bucket_row_put(struct store_txn *t, struct str name, const struct bucket_row *row)
{
    char space[65];
    struct str key;
    if (!name_key(name, space, &key))
        return E_BUCKET_NAME;
    struct buf rec = BUF_INIT;
    rec_put_u64(&rec, BUCKET_ID, row->id);
    rec_put_u64(&rec, BUCKET_CREATED_MS, (uint64_t)row->created_ms);
    rec_put_u64(&rec, BUCKET_TRIGGERS, row->triggers);
    if (row->confs)
        rec_put_u64(&rec, BUCKET_CONFS, row->confs);
    if (row->uploads)
        rec_put_u64(&rec, BUCKET_UPLOADS, row->uploads);
    int rc = rec.rc ? E_INTERNAL : store_put(t, T_BUCKETS, key, buf_str(&rec));
    buf_deinit(&rec);
    return rc;
}

int bucket_get(struct store_txn *t, struct str name, uint64_t *id, int64_t *created_ms)
{
    struct bucket_row row;
    int rc = bucket_row_get(t, name, &row);
    if (rc == 0) {
        *id = row.id;
        *created_ms = row.created_ms;
    }
    return rc;
}

int bucket_check(struct store *s, struct str name)
{
    struct bucket_row row;
    struct store_txn *t = store_read(s);
    int rc = bucket_row_get(t, name, &row);
    store_read_end(t);
    return rc;
}

void bucket_list(struct store_txn *t, bool (*each)(void *ctx, struct str name, int64_t created_ms),
                 void *ctx)
{
    struct store_cursor *c = store_cursor(t, T_BUCKETS);
    struct str key, rec;
    for (bool more = store_seek(c, STR(""), &key, &rec); more; more = store_next(c, &key, &rec)) {
        struct str name = str_of(key.p, key.n - 1);
        if (!each(ctx, name, (int64_t)rec_u64(rec, BUCKET_CREATED_MS, 0)))
            break;
    }
    store_cursor_close(c);
}

int bucket_create(struct store_txn *t, struct str name, uint64_t *id)
{
    struct bucket_row row;
    int rc = bucket_name_check(name);
    if (rc)
        return rc;
    rc = bucket_row_get(t, name, &row);
    if (rc != E_NO_BUCKET)
        return rc ? rc : E_BUCKET_OWNED;
    row = (struct bucket_row){.created_ms = clock_wall_ms()};
    rc = store_counter(t, OBJKEY_NODE_COUNTER, &row.id);
    if (rc == 0)
        rc = bucket_row_put(t, name, &row);
    if (rc == 0)
        *id = row.id;
    return rc;
}

static bool is_empty(struct store_txn *t, uint64_t id)
{
    struct objkey_iter it;
    struct str key, rec;
    objkey_iter_init(&it, t, id);
    bool any = objkey_seek(&it, STR(""), &key, &rec);
    objkey_iter_deinit(&it);
    return !any;
}

int bucket_delete(struct store_txn *t, struct str name)
{
    struct bucket_row row;
    char space[65];
    struct str key;
    int rc = bucket_row_get(t, name, &row);
    if (rc)
        return rc;
    if (!is_empty(t, row.id))
        return E_BUCKET_NOT_EMPTY;
    name_key(name, space, &key);
    rc = bucket_rows_clear_triggers(t, row.id);
    if (rc == 0 && row.confs)
        rc = bucket_conf_clear(t, row.id);
    if (rc == 0 && row.uploads)
        rc = uploads_condemn(t, row.uploads);
    return rc ? rc : store_del(t, T_BUCKETS, key);
}
