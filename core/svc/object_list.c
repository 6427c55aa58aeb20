/* object_list: a page of a bucket in key order.
 *
 * With a delimiter, keys that share prefix..delimiter are one entry, and the walk seeks past such a
 * group instead of reading it: a page costs O(page * log n) whatever the groups hold. A page that
 * ended on a group is continued by naming that group, so `after` equal to a group's own name skips
 * the whole group. */
#include "svc/bucket_rows.h"
#include "svc/object.h"
#include "svc/object_rows.h"

/* The group that a key belongs to: prefix up to and with the first delimiter after it; empty when
 * it is none. */
static struct str group_of(const struct key_walk *w, struct str key)
{
    if (w->delimiter.n == 0 || !str_starts(key, w->prefix))
        return STR("");
    ptrdiff_t i = str_find(str_from(key, w->prefix.n), w->delimiter);
    return i < 0 ? STR("") : str_of(key.p, w->prefix.n + (size_t)i + w->delimiter.n);
}

/* Moves to the first key that does not begin with group. */
static void seek_past(struct key_walk *w, struct str group)
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

void key_walk_init(struct key_walk *w, struct store_txn *t, uint64_t node, struct str after,
                   bool inclusive)
{
    size_t given = after.n;
    objkey_iter_init(&w->it, t, node);
    if (after.n > OBJKEY_MAX)
        after.n = OBJKEY_MAX; /* no longer key exists: keys from here on are greater or equal */
    if (after.n == 0 || str_cmp(after, w->prefix) < 0) {
        w->more = objkey_seek(&w->it, w->prefix, &w->key, &w->rec);
        return;
    }
    struct str group = group_of(w, after);
    if (group.n && group.n == after.n) {
        seek_past(w, group);
        return;
    }
    w->more = objkey_seek(&w->it, after, &w->key, &w->rec);
    if (!inclusive && w->more && str_eq(w->key, after) && after.n == given)
        w->more = objkey_next(&w->it, &w->key, &w->rec);
}

bool key_walk_at(struct key_walk *w)
{
    if (!w->more || !str_starts(w->key, w->prefix))
        return false;
    w->group = group_of(w, w->key);
    return true;
}

void key_walk_next(struct key_walk *w)
{
    char group[OBJKEY_MAX];
    struct str copy = str_of(group, w->group.n);
    if (w->group.n == 0) {
        w->more = objkey_next(&w->it, &w->key, &w->rec);
        return;
    }
    memcpy(group, w->group.p, w->group.n); /* it lies in the iterator */
    seek_past(w, copy);
}

void key_walk_deinit(struct key_walk *w)
{
    objkey_iter_deinit(&w->it);
}

int object_list(struct store_txn *t, const struct object_list *l,
                void (*entry)(void *ctx, const struct object_meta *m),
                void (*common)(void *ctx, struct str prefix), void *ctx, bool *truncated,
                struct buf *last)
{
    struct bucket_row row;
    struct key_walk w = {.prefix = l->prefix, .delimiter = l->delimiter};
    size_t count = 0;
    *truncated = false;
    int rc = bucket_row_get(t, l->bucket, &row);
    if (rc || l->limit == 0 || l->prefix.n > OBJKEY_MAX)
        return rc;
    key_walk_init(&w, t, row.id, l->after, false);
    for (; rc == 0 && key_walk_at(&w); key_walk_next(&w)) {
        struct object_meta m;
        if (count++ == l->limit) {
            *truncated = true;
            break;
        }
        buf_clear(last);
        buf_add(last, w.group.n ? w.group : w.key);
        if (w.group.n) {
            common(ctx, w.group);
            continue;
        }
        if (!object_decode(w.rec, &m)) {
            rc = E_INTERNAL;
            break;
        }
        m.key = w.key;
        entry(ctx, &m);
    }
    key_walk_deinit(&w);
    return rc ? rc : last->rc;
}
