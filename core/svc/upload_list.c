/* upload_list: a page of the uploads that are open in a bucket.
 *
 * The order is that of their keys, as a listing of objects has it, and of their beginnings within a
 * key. The bucket's order (upload_rows.h) tells keys and ids; each upload's own row the rest. */
#include "svc/bucket_rows.h"
#include "svc/object_rows.h"
#include "svc/upload_rows.h"

struct page {
    struct store_txn *t;
    const struct upload_list *l;
    void (*entry)(void *ctx, const struct upload *u);
    void *ctx;
    size_t count;
    bool full;
    struct buf *last_key;
    uint64_t *last_id;
};

/* Takes one more into the page, or finds that it is full. */
static bool take(struct page *p, struct str key, uint64_t id)
{
    if (p->count == p->l->limit) {
        p->full = true;
        return false;
    }
    p->count++;
    buf_clear(p->last_key);
    buf_add(p->last_key, key);
    *p->last_id = id;
    return true;
}

/* All uploads of one key, or those above the id where the last page ended. */
static int add_key(struct page *p, struct str key, struct str ids)
{
    uint64_t id, above = str_eq(key, p->l->after) ? p->l->after_id : 0;
    for (size_t i = 0; (id = upload_listed(ids, i)); i++) {
        struct upload u;
        if (id <= above)
            continue;
        if (!take(p, key, id))
            break;
        int rc = upload_row_get(p->t, id, &u);
        if (rc)
            return rc == E_NO_UPLOAD ? E_INTERNAL : rc;
        p->entry(p->ctx, &u);
    }
    return 0;
}

int upload_list(struct store_txn *t, const struct upload_list *l,
                void (*entry)(void *ctx, const struct upload *u),
                void (*common)(void *ctx, struct str prefix), void *ctx, bool *truncated,
                struct buf *last_key, uint64_t *last_id)
{
    struct bucket_row row;
    struct key_walk w = {.prefix = l->prefix, .delimiter = l->delimiter};
    struct page p = {
        .t = t, .l = l, .entry = entry, .ctx = ctx, .last_key = last_key, .last_id = last_id};
    *truncated = false;
    *last_id = 0;
    int rc = bucket_row_get(t, l->bucket, &row);
    if (rc || !row.uploads || l->limit == 0 || l->prefix.n > OBJKEY_MAX)
        return rc;
    key_walk_init(&w, t, row.uploads, l->after, l->after_id != 0);
    for (; rc == 0 && !p.full && key_walk_at(&w); key_walk_next(&w)) {
        if (w.group.n == 0)
            rc = add_key(&p, w.key, w.rec);
        else if (take(&p, w.group, 0))
            common(ctx, w.group);
    }
    key_walk_deinit(&w);
    *truncated = p.full;
    return rc ? rc : last_key->rc;
}
