/* hostcall_kv: kv.get, kv.list, kv.set, kv.incr and kv.delete for functions; transactions are in
 * hostcall_commit.c.
 *
 * A read is answered at once from a snapshot; a write is one job and is answered after its commit,
 * so that what a function was told is stored is stored. */
#include "svc/kv.h"

#include "base/log.h"
#include "base/rec.h"
#include "svc/hostcall.h"
#include "svc/hostcall_tags.h"

enum { LIST_BYTES_MAX = 512 * 1024 };

struct write {
    struct job job;
    struct hostcall *call;
    uint64_t version;
    int64_t number;
    bool existed;
};

static int check_key(struct hostcall *call, struct err *err)
{
    struct str key = rec_str(call->args, HC_KEY);
    return key.n == 0 || key.n > KV_KEY_MAX
               ? err_set(err, E_INVALID, "A kv key has 1 to %d bytes", KV_KEY_MAX)
               : 0;
}

void hostcall_kv_get(struct hostcalls *h, struct hostcall *call)
{
    struct buf result = BUF_INIT;
    struct err err = {0};
    struct kv_item item;
    int rc = check_key(call, &err);
    if (rc == 0) {
        struct store_txn *t = store_read(h->o.store);
        rc = kv_get(t, rec_str(call->args, HC_NAMESPACE), rec_str(call->args, HC_KEY), &item);
        if (rc == 0) {
            rec_put_u64(&result, HC_EXISTS, 1);
            rec_put_str(&result, HC_VALUE, item.value);
            rec_put_u64(&result, HC_VERSION, item.version);
        } else if (rc == E_NOT_FOUND) {
            rec_put_u64(&result, HC_EXISTS, 0);
            rc = 0;
        }
        store_read_end(t);
    }
    hostcall_end(call, rc, &result, &err);
}

static void list_entry(void *ctx, struct str key, const struct kv_item *item)
{
    struct buf *result = ctx;
    size_t mark = rec_begin(result, HC_ENTRY);
    rec_put_str(result, HC_KEY, key);
    rec_put_str(result, HC_VALUE, item->value);
    rec_put_u64(result, HC_VERSION, item->version);
    rec_end(result, mark);
}

void hostcall_kv_list(struct hostcalls *h, struct hostcall *call)
{
    struct buf result = BUF_INIT, last = BUF_INIT;
    uint64_t limit = rec_u64(call->args, HC_LIMIT, KV_LIST_MAX);
    struct kv_list l = {
        .ns = rec_str(call->args, HC_NAMESPACE),
        .prefix = rec_str(call->args, HC_PREFIX),
        .after = rec_str(call->args, HC_CURSOR),
        .limit = limit == 0 || limit > KV_LIST_MAX ? KV_LIST_MAX : (size_t)limit,
        .max_bytes = LIST_BYTES_MAX,
    };
    bool truncated = false;
    struct err err = {0};
    struct store_txn *t = store_read(h->o.store);
    int rc = kv_list(t, &l, list_entry, &result, &truncated, &last);
    store_read_end(t);
    if (rc == E_INVALID)
        err_set(&err, rc, "A prefix has at most %d bytes", KV_KEY_MAX);
    if (rc == 0 && truncated)
        rec_put_str(&result, HC_CURSOR, buf_str(&last));
    buf_deinit(&last);
    hostcall_end(call, rc, &result, &err);
}

static int apply(struct job *job, struct store_txn *t)
{
    struct write *w = (struct write *)job;
    struct str args = w->call->args;
    struct str ns = rec_str(args, HC_NAMESPACE), key = rec_str(args, HC_KEY);
    uint64_t if_version = rec_u64(args, HC_IF_VERSION, 0);
    switch (w->call->number) {
    case HC_KV_SET:
        return kv_set(t, ns, key, rec_str(args, HC_VALUE), rec_u64(args, HC_TTL_MS, 0),
                      rec_u64(args, HC_IF_ABSENT, 0) == 1, if_version, &w->version);
    case HC_KV_INCR:
        return kv_incr(t, ns, key, (int64_t)rec_u64(args, HC_N, 1),
                       (int64_t)rec_u64(args, HC_INIT, 0), &w->number);
    default:
        return kv_delete(t, ns, key, if_version, &w->existed);
    }
}

static void done(struct job *job, int rc)
{
    struct write *w = (struct write *)job;
    struct buf result = BUF_INIT;
    struct err err = {0};
    int number = w->call->number;
    if (rc == 0 && number == HC_KV_SET)
        rec_put_u64(&result, HC_VERSION, w->version);
    else if (rc == 0 && number == HC_KV_INCR)
        rec_put_u64(&result, HC_N, (uint64_t)w->number);
    else if (rc == 0)
        rec_put_u64(&result, HC_EXISTS, w->existed);
    else if (rc == E_INVALID && number == HC_KV_INCR)
        err_set(&err, rc, "The value is no integer, or the sum does not fit 64 bits");
    hostcall_end(w->call, rc, &result, &err);
    free(w);
}

static void submit(struct hostcalls *h, struct hostcall *call)
{
    struct err err = {0};
    int rc = check_key(call, &err);
    if (rc == 0 && rec_str(call->args, HC_VALUE).n > KV_VALUE_MAX)
        rc = err_set(&err, E_LIMIT, "A kv value has at most %d bytes", KV_VALUE_MAX);
    if (rc) {
        hostcall_end(call, rc, NULL, &err);
        return;
    }
    struct write *w = calloc(1, sizeof *w);
    if (!w)
        fatal("out of memory");
    w->job =
        (struct job){.apply = apply, .done = done, .frees_space = call->number == HC_KV_DELETE};
    w->call = call;
    store_submit(h->o.store, &w->job);
}

void hostcall_kv_set(struct hostcalls *h, struct hostcall *call)
{
    submit(h, call);
}

void hostcall_kv_incr(struct hostcalls *h, struct hostcall *call)
{
    submit(h, call);
}

void hostcall_kv_delete(struct hostcalls *h, struct hostcall *call)
{
    submit(h, call);
}
