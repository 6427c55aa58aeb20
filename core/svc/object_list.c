/* object_list: a page of a bucket in key order.
 *
 * With a delimiter, keys that share prefix..delimiter are one entry, and the walk seeks past such a
 * group instead of reading it: a page costs O(page * log n) whatever the groups hold. A page that
 * ended on a group is continued by naming that group, so `after` equal to a group's own name skips
 * the whole group. */
#include "svc/bucket_rows.h"
#include "svc/object.h"
#include "svc/object_rows.h"

struct walk {
    struct objkey_iter it;
    const struct object_list *l;
    struct str key, rec; /* current row */
    bool more;
    char space[OBJKEY_MAX + 1]; /* seek keys */
};

/* The group that a key belongs to: prefix up to and with the first delimiter after it; empty when
 * it is none. */
static struct str group_of(const struct object_list *l, struct str key)
{
    if (l->delimiter.n == 0 || !str_starts(key, l->prefix))
        return STR("");
    ptrdiff_t i = str_find(str_from(key, l->prefix.n), l->delimiter);
    return i < 0 ? STR("") : str_of(key.p, l->prefix.n + (size_t)i + l->delimiter.n);
}

/* Moves to the first key that does not begin with group. */
static void seek_past(struct walk *w, struct str group)
{
    size_t n = group.n;
    memcpy(w->space, group.p, n);
    while (n && (unsigned char)w->space[n - 1] == 0xFF)
        n--;
    if (n == 0) {
        w->more = false;
        return;
    }
    w->space[n - 1] = (char)((unsigned char)w->space[n - 1] + 1);
    w->more = objkey_seek(&w->it, str_of(w->space, n), &w->key, &w->rec);
}

static void seek_first(struct walk *w)
{
    const struct object_list *l = w->l;
    struct str after = l->after;
    if (after.n > OBJKEY_MAX)
        after.n = OBJKEY_MAX; /* no longer key exists: keys from here on are greater or equal */
    if (after.n == 0 || str_cmp(after, l->prefix) < 0) {
        w->more = objkey_seek(&w->it, l->prefix, &w->key, &w->rec);
        return;
    }
    struct str group = group_of(l, after);
    if (group.n && group.n == after.n) {
        seek_past(w, group);
        return;
    }
    w->more = objkey_seek(&w->it, after, &w->key, &w->rec);
    if (w->more && str_eq(w->key, after) && after.n == l->after.n)
        w->more = objkey_next(&w->it, &w->key, &w->rec);
}

int object_list(struct store_txn *t, const struct object_list *l,
                void (*entry)(void *ctx, const struct object_meta *m),
                void (*common)(void *ctx, struct str prefix), void *ctx, bool *truncated,
                struct buf *last)
{
    struct bucket_row row;
    struct walk w = {.l = l};
    size_t count = 0;
    *truncated = false;
    int rc = bucket_row_get(t, l->bucket, &row);
    if (rc || l->limit == 0 || l->prefix.n > OBJKEY_MAX)
        return rc;
    objkey_iter_init(&w.it, t, row.id);
    seek_first(&w);
    while (w.more && str_starts(w.key, l->prefix)) {
        struct object_meta m;
        if (count++ == l->limit) {
            *truncated = true;
            break;
        }
        struct str group = group_of(l, w.key);
        buf_clear(last);
        if (group.n) {
            buf_add(last, group);
            common(ctx, group);
            seek_past(&w, buf_str(last));
            continue;
        }
        buf_add(last, w.key);
        if (!object_decode(w.rec, &m)) {
            rc = E_INTERNAL;
            break;
        }
        m.key = w.key;
        entry(ctx, &m);
        w.more = objkey_next(&w.it, &w.key, &w.rec);
    }
    objkey_iter_deinit(&w.it);
    return rc ? rc : last->rc;
}
