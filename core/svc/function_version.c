/* function_version: publish, walk, delete, roll back.
 *
 * A version's row is $LATEST's content (function_inside.h) under its own number, with a digest of
 * that content beside it, by which a later publish and a rollback see what is the same. Each row
 * counts one reference to its package. */
#include "svc/function_version.h"

#include "base/clock.h"
#include "base/codec.h"
#include "svc/alias.h"
#include "svc/function_inside.h"
#include "svc/package.h"
#include "svc/role.h"

/* --- walk -------------------------------------------------------------------------------------- */

void function_versions(struct store_txn *t, struct str name, struct str after,
                       bool (*each)(void *ctx, struct str version, struct str rec), void *ctx)
{
    struct store_cursor *c = store_cursor(t, T_FUNCTIONS);
    char from[FN_KEY_MAX];
    enum table table;
    struct str key = fn_key(name, after, from, &table), k, rec;
    bool more = key.p && table == T_FUNCTIONS && store_seek(c, key, &k, &rec);
    if (more && after.n && str_eq(k, key))
        more = store_next(c, &k, &rec);
    for (; more && str_eq(str_cut(&k, 0), name); more = store_next(c, &k, &rec))
        if (!each(ctx, rec_str(rec, FN_VERSION), rec))
            break;
    store_cursor_close(c);
}

/* --- publish ----------------------------------------------------------------------------------- */

static int check_sha256(struct str given, struct str latest, struct err *err)
{
    struct buf sha = BUF_INIT;
    int rc = 0;
    base64_encode(&sha, rec_str(latest, FN_PACKAGE));
    if (given.n && !str_eq(given, buf_str(&sha)))
        rc = err_set(err, E_INVALID,
                     "CodeSHA256 (%.*s) is different from current CodeSHA256 in $LATEST (%.*s). "
                     "Please try again with the CodeSHA256 in $LATEST.",
                     given.n > 64 ? 64 : (int)given.n, given.p, STR_FMT(buf_str(&sha)));
    buf_deinit(&sha);
    return rc;
}

/* Is the last version there, and is it what $LATEST is? */
static bool unchanged(struct store_txn *t, struct str name, struct str version, struct str latest)
{
    unsigned char content[32];
    struct str rec;
    fn_content(latest, content);
    return fn_row(t, name, version, &rec) == 0 &&
           str_eq(rec_str(rec, FN_CONTENT), str_of((char *)content, sizeof content));
}

static void version_row(struct buf *out, struct str latest, struct str version,
                        const struct fn_publish *p, uint64_t generation)
{
    unsigned char content[32];
    struct str v, own = rec_str(latest, FN_DESCRIPTION), rest = latest;
    uint16_t tag;
    fn_content(latest, content);
    rec_put_u64(out, FN_ID, rec_u64(latest, FN_ID, 0));
    rec_put_u64(out, FN_GENERATION, generation);
    rec_put_str(out, FN_NAME, rec_str(latest, FN_NAME));
    rec_put_str(out, FN_VERSION, version);
    while (rec_next(&rest, &tag, &v))
        if (fn_is_content(tag))
            rec_put_str(out, tag, tag == FN_DESCRIPTION && p->description.p ? p->description : v);
    if (p->description.p && !own.p)
        rec_put_str(out, FN_DESCRIPTION, p->description);
    if (p->description.p && !str_eq(p->description, own))
        rec_put_str(out, FN_OWN_DESCRIPTION, own.p ? own : STR(""));
    rec_put_u64(out, FN_MODIFIED_MS, (uint64_t)clock_store_ms());
    rec_put_str(out, FN_CONTENT, str_of((char *)content, sizeof content));
    if (p->deployed)
        rec_put_u64(out, FN_DEPLOYED, 1);
    fn_put_revision(out);
}

struct census {
    uint64_t rows, deployed;
    char oldest[24]; /* of those that a deployment made, that may go */
    struct store_txn *t;
    struct str name;
};

static bool count_one(void *ctx, struct str version, struct str rec)
{
    struct census *c = ctx;
    c->rows++;
    if (!rec_u64(rec, FN_DEPLOYED, 0))
        return true;
    c->deployed++;
    if (!c->oldest[0] && !alias_uses(c->t, c->name, version, NULL))
        snprintf(c->oldest, sizeof c->oldest, "%.*s", STR_FMT(version));
    return true;
}

static int drop_version(struct store_txn *t, struct str name, struct str version)
{
    char key[FN_KEY_MAX];
    unsigned char sha[32];
    struct str rec, package;
    enum table table;
    int rc = fn_row(t, name, version, &rec);
    if (rc)
        return rc == E_NOT_FOUND ? 0 : rc;
    package = rec_str(rec, FN_PACKAGE);
    bool has = package.n == sizeof sha;
    if (has)
        memcpy(sha, package.p, sizeof sha);
    rc = store_del(t, T_FUNCTIONS, fn_key(name, version, key, &table));
    return rc == 0 && has ? package_unref(t, sha) : rc;
}

/* Both rows; `latest` is a copy. */
static int write_version(struct store_txn *t, struct str name, struct str latest,
                         struct str version, uint64_t number, const struct fn_publish *p)
{
    static const uint16_t replaced[] = {FN_LAST_VERSION, 0};
    struct buf row = BUF_INIT, own = BUF_INIT;
    struct str sha = rec_str(latest, FN_PACKAGE);
    uint64_t generation;
    int rc = store_counter(t, "generation", &generation);
    if (rc == 0)
        rc = sha.n == 32 ? package_hold(t, (const unsigned char *)sha.p) : E_INTERNAL;
    if (rc)
        return rc;
    version_row(&row, latest, version, p, generation);
    rc = fn_row_put(t, name, version, &row);
    if (rc)
        return rc;
    fn_row_without(latest, replaced, &own);
    rec_put_u64(&own, FN_LAST_VERSION, number);
    return fn_row_put(t, name, STR(""), &own);
}

static int publish(struct store_txn *t, struct str name, struct str latest,
                   const struct fn_publish *p, char version[static 24], struct err *err)
{
    struct census c = {.t = t, .name = name};
    uint64_t last = rec_u64(latest, FN_LAST_VERSION, 0);
    snprintf(version, 24, "%llu", (unsigned long long)last);
    int rc = function_check_revision(p->revision_id, latest, err);
    if (rc == 0)
        rc = check_sha256(p->code_sha256, latest, err);
    if (rc || (last && unchanged(t, name, str_c(version), latest)))
        return rc;
    function_versions(t, name, STR("$LATEST"), count_one, &c);
    bool full = c.deployed >= FUNCTION_VERSIONS_KEPT || c.rows >= FUNCTION_VERSIONS_MAX;
    if (p->deployed && full && c.oldest[0])
        rc = drop_version(t, name, str_c(c.oldest));
    else if (c.rows >= FUNCTION_VERSIONS_MAX)
        rc = err_set(err, E_CODE_STORAGE, "A function has at most %d versions: delete some first.",
                     FUNCTION_VERSIONS_MAX);
    snprintf(version, 24, "%llu", (unsigned long long)last + 1);
    return rc ? rc : write_version(t, name, latest, str_c(version), last + 1, p);
}

int function_publish(struct store_txn *t, const char *region, struct str name,
                     const struct fn_publish *p, char version[static 24], struct err *err)
{
    struct buf latest = BUF_INIT;
    int rc = fn_row_copy(t, name, STR(""), &latest);
    if (rc == E_NOT_FOUND)
        rc = fn_not_found(err, region, name, STR(""));
    if (rc == 0)
        rc = publish(t, name, buf_str(&latest), p, version, err);
    buf_deinit(&latest);
    return rc;
}

/* --- delete ------------------------------------------------------------------------------------ */

int function_version_delete(struct store_txn *t, const char *region, struct str name,
                            struct str version, struct err *err)
{
    struct buf users = BUF_INIT;
    struct str rec;
    uint64_t n;
    int rc = fn_row(t, name, version, &rec);
    if (str_is(version, "$LATEST"))
        return err_set(err, E_INVALID,
                       "$LATEST version cannot be deleted without deleting the function.");
    if (rc)
        return rc == E_NOT_FOUND ? fn_not_found(err, region, name, version) : rc;
    if (!fn_number(version, &n))
        return err_set(err, E_INVALID, "Deletion of aliases is not currently supported.");
    if (alias_uses(t, name, version, &users))
        rc = err_set(err, E_CONFLICT,
                     "Unable to delete version %.*s because the following aliases reference it: "
                     "[%.*s]",
                     STR_FMT(version), users.n > 300 ? 300 : (int)users.n, users.p);
    buf_deinit(&users);
    return rc ? rc : drop_version(t, name, version);
}

/* --- roll back --------------------------------------------------------------------------------- */

struct search {
    struct str content; /* of $LATEST */
    uint64_t like;      /* the last version with that content, 0 none */
    uint64_t before;    /* the last one with another content before that one */
    uint64_t last;      /* with another content than $LATEST's */
};

static bool look_at(void *ctx, struct str version, struct str rec)
{
    struct search *s = ctx;
    uint64_t n = 0;
    fn_number(version, &n);
    if (str_eq(rec_str(rec, FN_CONTENT), s->content)) {
        s->like = n;
        s->before = s->last;
    } else {
        s->last = n;
    }
    return true;
}

/* $LATEST's row with the content of the version's. */
static void rolled_row(struct buf *out, struct str latest, struct str version, uint64_t generation)
{
    struct str v, own = rec_str(version, FN_OWN_DESCRIPTION);
    uint16_t tag;
    while (rec_next(&latest, &tag, &v))
        if (!fn_is_content(tag) && tag != FN_GENERATION && tag != FN_MODIFIED_MS &&
            tag != FN_REVISION)
            rec_put_str(out, tag, v);
    rec_put_u64(out, FN_GENERATION, generation);
    while (rec_next(&version, &tag, &v))
        if (fn_is_content(tag))
            rec_put_str(out, tag, tag == FN_DESCRIPTION && own.p ? own : v);
    rec_put_u64(out, FN_MODIFIED_MS, (uint64_t)clock_store_ms());
    fn_put_revision(out);
}

static int roll(struct store_txn *t, struct str name, struct str latest, struct str version,
                struct err *err)
{
    struct str old = rec_str(latest, FN_PACKAGE), new = rec_str(version, FN_PACKAGE);
    struct buf row = BUF_INIT;
    uint64_t generation;
    int rc = role_assumable_by_lambda(t, rec_str(version, FN_ROLE), err);
    if (rc == 0)
        rc = store_counter(t, "generation", &generation);
    if (rc == 0)
        rc = new.n == 32 ? package_hold(t, (const unsigned char *)new.p) : E_INTERNAL;
    if (rc == 0 && old.n == 32)
        rc = package_unref(t, (const unsigned char *)old.p);
    if (rc)
        return rc;
    rolled_row(&row, latest, version, generation);
    return fn_row_put(t, name, STR(""), &row);
}

int function_rollback(struct store_txn *t, const char *region, struct str name, uint64_t *from,
                      uint64_t *to, struct err *err)
{
    struct buf latest = BUF_INIT, version = BUF_INIT;
    unsigned char content[32];
    struct search s = {.content = str_of((char *)content, sizeof content)};
    char number[24];
    int rc = fn_row_copy(t, name, STR(""), &latest);
    if (rc)
        return rc == E_NOT_FOUND ? fn_not_found(err, region, name, STR("")) : rc;
    fn_content(buf_str(&latest), content);
    function_versions(t, name, STR("$LATEST"), look_at, &s);
    *from = s.like;
    if (!*to)
        *to = s.like ? s.before : s.last;
    snprintf(number, sizeof number, "%llu", (unsigned long long)*to);
    rc = *to ? fn_row_copy(t, name, str_c(number), &version)
             : err_set(err, E_CONFLICT, "There is no earlier version of %.*s to go back to.",
                       STR_FMT(name));
    if (rc == E_NOT_FOUND)
        rc = fn_not_found(err, region, name, str_c(number));
    if (rc == 0)
        rc = roll(t, name, buf_str(&latest), buf_str(&version), err);
    buf_deinit(&latest);
    buf_deinit(&version);
    return rc;
}
