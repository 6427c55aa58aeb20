/* bucket_conf: rows of configurations.
 *
 * The bucket's own row holds a bit for each kind that is set, so that the questions every request
 * asks (is there a policy? are there CORS rules?) end there for most buckets. */
#include "svc/bucket_conf.h"

#include "base/rec.h"
#include "store/key.h"
#include "svc/bucket_rows.h"

enum { CONF_VERSION = 1, CONF_TEXT, CONF_RULES };
#define CONF_COUNTER "bucket_conf"

static struct str row_key(struct key *k, uint64_t bucket_id, enum bucket_conf kind)
{
    k->n = 0;
    return key_str(key_u32(key_u64(k, bucket_id), kind));
}

int bucket_conf_get(struct store_txn *t, struct str bucket, enum bucket_conf kind,
                    struct bucket_conf_row *out)
{
    struct bucket_row row;
    struct key k;
    struct str rec;
    int rc = bucket_row_get(t, bucket, &row);
    if (rc == 0 && !(row.confs & 1u << kind))
        rc = E_NOT_FOUND;
    if (rc == 0)
        rc = store_get(t, T_BUCKET_CONF, row_key(&k, row.id, kind), &rec);
    if (rc)
        return rc;
    *out = (struct bucket_conf_row){.version = rec_u64(rec, CONF_VERSION, 0),
                                    .text = rec_str(rec, CONF_TEXT),
                                    .rules = rec_str(rec, CONF_RULES)};
    return out->version && out->text.p ? 0 : E_INTERNAL;
}

int bucket_conf_put(struct store_txn *t, struct str bucket, enum bucket_conf kind, struct str text,
                    struct str rules)
{
    struct bucket_row row;
    struct key k;
    struct buf rec = BUF_INIT;
    uint64_t version;
    int rc = bucket_row_get(t, bucket, &row);
    if (rc)
        return rc;
    rc = store_counter(t, CONF_COUNTER, &version);
    rec_put_u64(&rec, CONF_VERSION, version);
    rec_put_str(&rec, CONF_TEXT, text);
    if (rules.n)
        rec_put_str(&rec, CONF_RULES, rules);
    if (rc == 0)
        rc = rec.rc ? E_INTERNAL
                    : store_put(t, T_BUCKET_CONF, row_key(&k, row.id, kind), buf_str(&rec));
    buf_deinit(&rec);
    row.confs |= 1u << kind;
    return rc ? rc : bucket_row_put(t, bucket, &row);
}

int bucket_conf_del(struct store_txn *t, struct str bucket, enum bucket_conf kind)
{
    struct bucket_row row;
    struct key k;
    int rc = bucket_row_get(t, bucket, &row);
    if (rc || !(row.confs & 1u << kind))
        return rc;
    row.confs &= ~(1u << kind);
    rc = store_del(t, T_BUCKET_CONF, row_key(&k, row.id, kind));
    return rc ? rc : bucket_row_put(t, bucket, &row);
}

int bucket_conf_clear(struct store_txn *t, uint64_t bucket_id)
{
    int rc = 0;
    for (int kind = 1; kind < CONF_END && rc == 0; kind++) {
        struct key k;
        rc = store_del(t, T_BUCKET_CONF, row_key(&k, bucket_id, (enum bucket_conf)kind));
    }
    return rc;
}
