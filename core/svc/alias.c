/* alias: rows of T_ALIASES.
 *
 * An alias always names versions that exist: creating and updating check that, and a version that
 * an alias names is not deleted (function_version.c). */
#include "svc/alias.h"

#include "auth/arn.h"
#include "svc/function_inside.h"

/* --- reading ----------------------------------------------------------------------------------- */

int alias_get(struct store_txn *t, const char *region, struct str function, struct str name,
              struct str *rec, struct err *err)
{
    int rc = fn_row(t, function, name, rec);
    if (rc == 0 && !rec_str(*rec, FN_ALIAS).p)
        rc = E_NOT_FOUND; /* a version */
    if (rc == E_NOT_FOUND)
        return err_set(err, rc,
                       "Cannot find alias arn: arn:aws:lambda:%s:" ACCOUNT_ID ":function:%.*s:%.*s",
                       region, STR_FMT(function), STR_FMT(name));
    return rc;
}

struct str alias_other(struct str rec, uint32_t *weight)
{
    struct str r = rec_str(rec, FN_WEIGHT);
    *weight = (uint32_t)rec_u64(r, 2, 0);
    return rec_str(r, 1);
}

void alias_each(struct store_txn *t, struct str function, struct str after,
                bool (*each)(void *ctx, struct str name, struct str rec), void *ctx)
{
    struct store_cursor *c = store_cursor(t, T_ALIASES);
    char from[FN_KEY_MAX];
    struct str k, rec;
    if (function.n + after.n + 2 <= FN_KEY_MAX) {
        memcpy(from, function.p, function.n);
        from[function.n] = 0;
        if (after.n)
            memcpy(from + function.n + 1, after.p, after.n);
        from[function.n + 1 + after.n] = 1; /* behind `after`'s NUL */
        size_t n = function.n + 1 + (after.n ? after.n + 1 : 0);
        bool more = store_seek(c, str_of(from, n), &k, &rec);
        for (; more && str_eq(str_cut(&k, 0), function); more = store_next(c, &k, &rec))
            if (!each(ctx, rec_str(rec, FN_ALIAS), rec))
                break;
    }
    store_cursor_close(c);
}

struct use {
    struct str version;
    struct buf *names;
    bool any;
};

static bool note_use(void *ctx, struct str name, struct str rec)
{
    struct use *u = ctx;
    uint32_t weight;
    if (!str_eq(rec_str(rec, FN_VERSION), u->version) &&
        !str_eq(alias_other(rec, &weight), u->version))
        return true;
    if (u->names && u->any)
        buf_lit(u->names, ", ");
    if (u->names)
        buf_add(u->names, name);
    u->any = true;
    return u->names != NULL;
}

bool alias_uses(struct store_txn *t, struct str function, struct str version, struct buf *names)
{
    struct use u = {version, names, false};
    alias_each(t, function, STR(""), note_use, &u);
    return u.any;
}

/* --- writing ----------------------------------------------------------------------------------- */

/* A version that is there: "$LATEST" or a number. */
static int check_version(struct store_txn *t, const char *region, struct str function,
                         struct str version, struct err *err)
{
    struct str rec;
    uint64_t n;
    if (!str_is(version, "$LATEST") && !fn_number(version, &n))
        return fn_not_found(err, region, function, version);
    return function_row(t, region, function, version, &rec, err);
}

static int check_routing(struct store_txn *t, const char *region, const struct alias_spec *s,
                         struct str version, struct str other, struct err *err)
{
    if (!other.n)
        return 0;
    if (str_eq(other, version))
        return err_set(err, E_INVALID,
                       "Invalid function version %.*s. Function version %.*s is already included "
                       "in routing configuration.",
                       STR_FMT(version), STR_FMT(version));
    if (str_is(version, "$LATEST"))
        return err_set(err, E_INVALID,
                       "$LATEST is not supported for an alias pointing to more than 1 version");
    return check_version(t, region, s->function, other, err);
}

static void put_routing(struct buf *out, struct str other, uint32_t weight)
{
    if (!other.n)
        return;
    size_t mark = rec_begin(out, FN_WEIGHT);
    rec_put_str(out, 1, other);
    rec_put_u64(out, 2, weight);
    rec_end(out, mark);
}

static bool count(void *ctx, struct str name, struct str rec)
{
    (void)name;
    (void)rec;
    ++*(size_t *)ctx;
    return true;
}

int alias_create(struct store_txn *t, const char *region, const struct alias_spec *s,
                 struct err *err)
{
    struct buf row = BUF_INIT;
    struct str rec;
    size_t n = 0;
    int rc = function_row(t, region, s->function, STR(""), &rec, err);
    if (rc)
        return rc;
    uint64_t id = rec_u64(rec, FN_ID, 0);
    rc = check_version(t, region, s->function, s->version, err);
    if (rc == 0)
        rc = check_routing(t, region, s, s->version, s->other, err);
    if (rc)
        return rc;
    if (fn_row(t, s->function, s->name, &rec) == 0)
        return err_set(err, E_EXISTS,
                       "Alias already exists: arn:aws:lambda:%s:" ACCOUNT_ID ":function:%.*s:%.*s",
                       region, STR_FMT(s->function), STR_FMT(s->name));
    alias_each(t, s->function, STR(""), count, &n);
    if (n >= ALIASES_MAX)
        return err_set(err, E_INVALID, "A function has at most %d aliases.", ALIASES_MAX);
    rec_put_u64(&row, FN_ID, id);
    rec_put_str(&row, FN_NAME, s->function);
    rec_put_str(&row, FN_ALIAS, s->name);
    rec_put_str(&row, FN_VERSION, s->version);
    rec_put_str(&row, FN_DESCRIPTION, s->description.p ? s->description : STR(""));
    put_routing(&row, s->other, s->weight);
    fn_put_revision(&row);
    return fn_row_put(t, s->function, s->name, &row);
}

static int update(struct store_txn *t, const char *region, const struct alias_spec *s,
                  struct str old, struct err *err)
{
    static const uint16_t replaced[] = {FN_VERSION, FN_DESCRIPTION, FN_WEIGHT, 0};
    struct buf row = BUF_INIT;
    struct str version = s->version.p ? s->version : rec_str(old, FN_VERSION);
    uint32_t weight = s->weight;
    struct str other = s->routing ? s->other : alias_other(old, &weight);
    int rc = function_check_revision(s->revision_id, old, err);
    if (rc == 0)
        rc = check_version(t, region, s->function, version, err);
    if (rc == 0)
        rc = check_routing(t, region, s, version, other, err);
    if (rc)
        return rc;
    fn_row_without(old, replaced, &row);
    rec_put_str(&row, FN_VERSION, version);
    rec_put_str(&row, FN_DESCRIPTION,
                s->description.p ? s->description : rec_str(old, FN_DESCRIPTION));
    put_routing(&row, other, weight);
    return fn_row_put(t, s->function, s->name, &row);
}

int alias_update(struct store_txn *t, const char *region, const struct alias_spec *s,
                 struct err *err)
{
    struct buf old = BUF_INIT;
    struct str rec;
    int rc = alias_get(t, region, s->function, s->name, &rec, err);
    if (rc)
        return rc;
    buf_add(&old, rec);
    rc = old.rc ? old.rc : update(t, region, s, buf_str(&old), err);
    buf_deinit(&old);
    return rc;
}

int alias_delete(struct store_txn *t, struct str function, struct str name)
{
    char k[FN_KEY_MAX];
    enum table table;
    struct str key = fn_key(function, name, k, &table);
    return key.p && table == T_ALIASES ? store_del(t, table, key) : 0;
}
