/* objkey: long keys as paths of segments.
 *
 * A row's value is its child node id (8 bytes, big endian, 0 for none), a byte that tells whether a
 * record is there, and the record. Only a row whose segment is full (480 bytes) can have a child.
 * The record of such a row comes before everything below its child, and the next row of its node
 * differs within those 480 bytes: so walking rows depth first gives the byte order of whole keys.
 *
 * Nodes are numbered from one counter with the top bit set, so that they never meet a bucket's id.
 * A node goes with its last row, and then its parent's row too if nothing else is in it: an empty
 * bucket has no rows at all.
 *
 * The iterator keeps no position of LMDB's between levels: the current key names every level's row,
 * so going up is a seek. */
#include "store/objkey.h"

#include "base/log.h"
#include "store/key.h"

enum { LEVELS = 3, HEAD = 9 };
#define NODE_BIT (1ull << 63)

struct row {
    uint64_t child;
    struct str rec; /* p NULL: none */
};

static struct str segment(struct str key, int level)
{
    size_t at = (size_t)level * OBJKEY_SEGMENT;
    size_t n = key.n <= at ? 0 : key.n - at;
    return str_of(key.p + (n ? at : 0), n < OBJKEY_SEGMENT ? n : OBJKEY_SEGMENT);
}

static int levels_of(struct str key)
{
    return key.n ? (int)((key.n - 1) / OBJKEY_SEGMENT) + 1 : 1;
}

static struct str row_key(struct key *k, uint64_t node, struct str seg)
{
    k->n = 0;
    return key_str(key_bytes(key_u64(k, node), seg));
}

static struct row row_parse(struct str v)
{
    struct row r = {0};
    if (key_take_u64(&v, &r.child) && v.n && v.p[0])
        r.rec = str_from(v, 1);
    return r;
}

static int row_get(struct store_txn *t, uint64_t node, struct str seg, struct row *r)
{
    struct key k;
    struct str v;
    int rc = store_get(t, T_OBJECTS, row_key(&k, node, seg), &v);
    *r = rc ? (struct row){0} : row_parse(v);
    return rc;
}

static int row_put(struct store_txn *t, uint64_t node, struct str seg, const struct row *r)
{
    struct key k, head = {0};
    struct buf b = BUF_INIT;
    buf_add(&b, key_str(key_u64(&head, r->child)));
    buf_addc(&b, r->rec.p != NULL);
    buf_add(&b, r->rec);
    int rc = b.rc ? b.rc : store_put(t, T_OBJECTS, row_key(&k, node, seg), buf_str(&b));
    buf_deinit(&b);
    return rc;
}

int objkey_get(struct store_txn *t, uint64_t bucket, struct str key, struct str *rec)
{
    uint64_t node = bucket;
    struct row r;
    if (key.n == 0 || key.n > OBJKEY_MAX)
        return E_NOT_FOUND;
    for (int level = 0, last = levels_of(key) - 1;; level++) {
        int rc = row_get(t, node, segment(key, level), &r);
        if (rc)
            return rc;
        if (level == last)
            break;
        node = r.child;
        if (!node)
            return E_NOT_FOUND;
    }
    *rec = r.rec;
    return r.rec.p ? 0 : E_NOT_FOUND;
}

/* The child of a full row, made when missing. */
static int child_of(struct store_txn *t, uint64_t node, struct str seg, uint64_t *child)
{
    struct row r;
    int rc = row_get(t, node, seg, &r);
    *child = r.child;
    if (r.child || (rc && rc != E_NOT_FOUND))
        return r.child ? 0 : rc;
    rc = store_counter(t, "object-node", child);
    *child |= NODE_BIT;
    if (rc)
        return rc;
    row_get(t, node, seg, &r); /* again: what it lent ended with the counter's write */
    r.child = *child;
    return row_put(t, node, seg, &r);
}

int objkey_put(struct store_txn *t, uint64_t bucket, struct str key, struct str rec)
{
    uint64_t node = bucket;
    struct row r;
    int last = levels_of(key) - 1, rc = 0;
    ASSERT(!(bucket & NODE_BIT));
    if (key.n == 0 || key.n > OBJKEY_MAX)
        return E_KEY_TOO_LONG;
    for (int level = 0; level < last && rc == 0; level++)
        rc = child_of(t, node, segment(key, level), &node);
    if (rc)
        return rc;
    rc = row_get(t, node, segment(key, last), &r);
    if (rc && rc != E_NOT_FOUND)
        return rc;
    r.rec = str_of(rec.p ? rec.p : "", rec.n);
    return row_put(t, node, segment(key, last), &r);
}

static bool node_empty(struct store_txn *t, uint64_t node)
{
    struct key k;
    struct str found, v, prefix = row_key(&k, node, STR(""));
    struct store_cursor *c = store_cursor(t, T_OBJECTS);
    bool any = store_seek(c, prefix, &found, &v) && str_starts(found, prefix);
    store_cursor_close(c);
    return !any;
}

int objkey_del(struct store_txn *t, uint64_t bucket, struct str key)
{
    uint64_t node[LEVELS] = {bucket};
    struct key k;
    struct row r;
    int last = levels_of(key) - 1, rc;
    if (key.n == 0 || key.n > OBJKEY_MAX)
        return 0;
    for (int level = 0; level < last; level++) {
        rc = row_get(t, node[level], segment(key, level), &r);
        if (rc || !r.child)
            return rc == E_NOT_FOUND ? 0 : rc;
        node[level + 1] = r.child;
    }
    rc = row_get(t, node[last], segment(key, last), &r);
    if (rc)
        return rc == E_NOT_FOUND ? 0 : rc;
    r.rec = (struct str){0};
    for (int level = last;; level--) {
        if (r.child || r.rec.p)
            return row_put(t, node[level], segment(key, level), &r);
        rc = store_del(t, T_OBJECTS, row_key(&k, node[level], segment(key, level)));
        if (rc || level == 0 || !node_empty(t, node[level]))
            return rc;
        rc = row_get(t, node[level - 1], segment(key, level - 1), &r);
        if (rc)
            return rc;
        r.child = 0;
    }
}

/* --- iterating ---------------------------------------------------------------------------------
 */

void objkey_iter_init(struct objkey_iter *it, struct store_txn *t, uint64_t bucket)
{
    *it = (struct objkey_iter){.txn = t, .bucket = bucket, .node = {bucket}};
    it->cursor = store_cursor(t, T_OBJECTS);
}

void objkey_iter_deinit(struct objkey_iter *it)
{
    store_cursor_close(it->cursor);
}

/* Makes the row under the cursor the current one; false when it belongs to another node. */
static bool settle(struct objkey_iter *it, struct str k, struct str v, struct row *r)
{
    uint64_t node;
    size_t at = (size_t)it->depth * OBJKEY_SEGMENT;
    if (!key_take_u64(&k, &node) || node != it->node[it->depth] || k.n > sizeof it->key - at)
        return false;
    memcpy(it->key + at, k.p, k.n);
    it->n = at + k.n;
    *r = row_parse(v);
    it->child = r->child;
    return true;
}

/* First row of the current level's node whose segment is >= seg. */
static bool seek_level(struct objkey_iter *it, struct str seg, struct row *r)
{
    struct key key;
    struct str k, v;
    return store_seek(it->cursor, row_key(&key, it->node[it->depth], seg), &k, &v) &&
           settle(it, k, v, r);
}

/* The row after the current one that is not below it; climbs while levels end. `here`: the cursor
 * is on the current row; else the level has nothing more and it climbs at once. */
static bool pass(struct objkey_iter *it, bool here, struct row *r)
{
    struct str k, v;
    for (;; here = true) {
        if (here && store_next(it->cursor, &k, &v) && settle(it, k, v, r))
            return true;
        if (it->depth == 0)
            return false;
        it->depth--;
        it->n = (size_t)(it->depth + 1) * OBJKEY_SEGMENT;
        if (!seek_level(it, segment(str_of(it->key, it->n), it->depth), r))
            return false; /* the parent went meanwhile: only in a job that deletes as it walks */
    }
}

/* The next row in depth-first order. */
static bool step(struct objkey_iter *it, struct row *r)
{
    if (!it->child || it->depth + 1 == LEVELS)
        return pass(it, true, r);
    it->node[it->depth + 1] = it->child;
    it->depth++;
    return seek_level(it, STR(""), r) || pass(it, false, r);
}

/* From a row that is wanted, to the first record at it or after it. */
static bool find_record(struct objkey_iter *it, struct row *r, struct str *key, struct str *rec)
{
    while (!r->rec.p)
        if (!step(it, r))
            return false;
    *key = str_of(it->key, it->n);
    *rec = r->rec;
    return true;
}

bool objkey_seek(struct objkey_iter *it, struct str from, struct str *key, struct str *rec)
{
    struct row r;
    if (from.n > OBJKEY_MAX + 1)
        from.n = OBJKEY_MAX + 1; /* no key tells the difference */
    for (it->depth = 0;; it->depth++) {
        struct str seg = segment(from, it->depth);
        size_t end = (size_t)(it->depth + 1) * OBJKEY_SEGMENT;
        if (!seek_level(it, seg, &r)) {
            if (!pass(it, false, &r))
                return false;
            break;
        }
        if (from.n <= end || !str_eq(segment(str_of(it->key, it->n), it->depth), seg))
            break;
        /* `from` lies below this very row, whose own record comes before it. */
        if (!it->child || it->depth + 1 == LEVELS) {
            if (!pass(it, true, &r))
                return false;
            break;
        }
        it->node[it->depth + 1] = it->child;
    }
    return find_record(it, &r, key, rec);
}

bool objkey_next(struct objkey_iter *it, struct str *key, struct str *rec)
{
    struct row r;
    return step(it, &r) && find_record(it, &r, key, rec);
}
