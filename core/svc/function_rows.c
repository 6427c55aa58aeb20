/* function_rows: the records of functions, written inside jobs.
 *
 * Each writer first finds every reason to refuse and only then writes, so that a refusal leaves the
 * transaction as it was. A row holds everything of one version: configuration, the package it uses
 * (counted there), resource policy and URL. An update copies what it does not change. */
#include "auth/arn.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/rec.h"
#include "svc/function.h"
#include "svc/package.h"
#include "svc/role.h"

enum { KEY_MAX = 256 };

/* NAME NUL QUALIFIER NUL; p NULL when it is too long to be a name. */
static struct str key_of(struct str name, struct str qualifier, char key[static KEY_MAX])
{
    struct str q = qualifier.n ? qualifier : STR("$LATEST");
    if (name.n == 0 || name.n + q.n + 2 > KEY_MAX || memchr(name.p, 0, name.n))
        return (struct str){NULL, 0};
    memcpy(key, name.p, name.n);
    key[name.n] = 0;
    memcpy(key + name.n + 1, q.p, q.n);
    key[name.n + 1 + q.n] = 0;
    return str_of(key, name.n + q.n + 2);
}

static void put_uuid(struct buf *out, uint16_t tag)
{
    unsigned char r[16];
    char hex[33], uuid[37];
    random_bytes(r, sizeof r); /* the pool of id.h belongs to the loop's thread */
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    hex_encode(r, sizeof r, hex);
    snprintf(uuid, sizeof uuid, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    rec_put_str(out, tag, str_c(uuid));
}

static int put_row(struct store_txn *t, struct str name, struct buf *rec)
{
    char key[KEY_MAX];
    int rc =
        rec->rc ? E_INTERNAL : store_put(t, T_FUNCTIONS, key_of(name, STR(""), key), buf_str(rec));
    buf_deinit(rec);
    return rc;
}

/* --- reading --------------------------------------------------------------------------------- */

int function_record(struct store_txn *t, const char *region, struct str name, struct str qualifier,
                    struct str *rec, struct err *err)
{
    char k[KEY_MAX];
    struct str key = key_of(name, qualifier, k);
    int rc = key.p ? store_get(t, T_FUNCTIONS, key, rec) : E_NOT_FOUND;
    if (rc == E_NOT_FOUND)
        return err_set(err, rc,
                       "Function not found: arn:aws:lambda:%s:" ACCOUNT_ID ":function:%.*s%s%.*s",
                       region, STR_FMT(name), qualifier.n ? ":" : "", STR_FMT(qualifier));
    return rc;
}

bool function_exists(struct store_txn *t, struct str name)
{
    struct str rec;
    return function_record(t, "", name, STR(""), &rec, NULL) == 0;
}

int function_find(struct store_txn *t, struct str name, struct str qualifier, uint64_t *id,
                  struct str *policy_json)
{
    struct str rec;
    int rc = function_record(t, "", name, qualifier, &rec, NULL);
    if (rc)
        return rc;
    *id = rec_u64(rec, FN_ID, 0);
    struct str policy = rec_str(rec, FN_POLICY_JSON);
    *policy_json = policy.p ? policy : STR("");
    return 0;
}

void function_each(struct store_txn *t, struct str after,
                   bool (*each)(void *ctx, struct str name, struct str rec), void *ctx)
{
    struct store_cursor *c = store_cursor(t, T_FUNCTIONS);
    char from[KEY_MAX];
    struct str key = STR(""), k, rec;
    if (after.n && after.n < KEY_MAX - 1) { /* names hold no byte below 2 */
        memcpy(from, after.p, after.n);
        from[after.n] = 1;
        key = str_of(from, after.n + 1);
    }
    for (bool more = store_seek(c, key, &k, &rec); more; more = store_next(c, &k, &rec)) {
        struct str name = str_cut(&k, 0);
        if (str_is(str_cut(&k, 0), "$LATEST") && !each(ctx, name, rec))
            break;
    }
    store_cursor_close(c);
}

/* --- create and update ----------------------------------------------------------------------- */

/* A provided* runtime brings its own bootstrap; we have nothing to run it with. */
static int check_bootstrap(struct str runtime, bool has_bootstrap, struct err *err)
{
    if (!has_bootstrap || !str_starts(runtime, STR("provided")))
        return 0;
    return err_set(err, E_INVALID,
                   "The package holds a file named bootstrap: runtime '%.*s' runs Lua handlers "
                   "only. Supported runtimes: lua, luajit, lua5.1, and provided* for packages "
                   "without a bootstrap",
                   STR_FMT(runtime));
}

static struct str pick(struct str given, struct str old, struct str dflt)
{
    return given.p ? given : old.p ? old : dflt;
}

static void put_env(struct buf *out, const struct fn_spec *s, struct str old)
{
    struct str v;
    uint16_t tag;
    for (size_t i = 0; s->env_set && i < s->env_count; i++) {
        size_t mark = rec_begin(out, FN_ENV);
        rec_put_str(out, 1, s->env[i].name);
        rec_put_str(out, 2, s->env[i].value);
        rec_end(out, mark);
    }
    while (!s->env_set && rec_next(&old, &tag, &v))
        if (tag == FN_ENV)
            rec_put_str(out, tag, v);
}

/* The row that spec makes of old (empty on create). */
static void write_row(struct buf *out, const struct fn_spec *s, struct str old, uint64_t id,
                      uint64_t generation)
{
    struct str none = {NULL, 0}, rest = old, v;
    uint16_t tag;
    rec_put_u64(out, FN_ID, id);
    rec_put_u64(out, FN_GENERATION, generation);
    rec_put_str(out, FN_NAME, s->name);
    rec_put_str(out, FN_VERSION, STR("$LATEST"));
    rec_put_str(out, FN_RUNTIME, pick(s->runtime, rec_str(old, FN_RUNTIME), STR("lua")));
    rec_put_str(out, FN_ROLE, pick(s->role, rec_str(old, FN_ROLE), none));
    rec_put_str(out, FN_HANDLER, pick(s->handler, rec_str(old, FN_HANDLER), none));
    rec_put_str(out, FN_DESCRIPTION, pick(s->description, rec_str(old, FN_DESCRIPTION), none));
    rec_put_u64(out, FN_TIMEOUT_S, s->timeout_s ? s->timeout_s : rec_u64(old, FN_TIMEOUT_S, 3));
    rec_put_u64(out, FN_MEMORY_MB, s->memory_mb ? s->memory_mb : rec_u64(old, FN_MEMORY_MB, 128));
    put_env(out, s, old);
    rec_put_str(out, FN_LOG_FORMAT, pick(s->log_format, rec_str(old, FN_LOG_FORMAT), STR("Text")));
    if (s->package) {
        rec_put_str(out, FN_PACKAGE, str_of((const char *)s->package->sha256, 32));
        rec_put_u64(out, FN_CODE_SIZE, s->package->zip_size);
    } else {
        rec_put_str(out, FN_PACKAGE, rec_str(old, FN_PACKAGE));
        rec_put_u64(out, FN_CODE_SIZE, rec_u64(old, FN_CODE_SIZE, 0));
    }
    rec_put_u64(out, FN_MODIFIED_MS, (uint64_t)clock_store_ms());
    put_uuid(out, FN_REVISION);
    while (rec_next(&rest, &tag, &v))
        if (tag >= FN_POLICY)
            rec_put_str(out, tag, v);
}

int function_create(struct store_txn *t, const char *region, const struct fn_spec *spec,
                    struct err *err)
{
    struct buf rec = BUF_INIT;
    uint64_t id, generation;
    (void)region;
    int rc = fn_spec_check(spec, true, err);
    if (rc)
        return rc;
    if (!spec->package)
        return err_set(err, E_INVALID, "Please provide a source for function code.");
    if (function_exists(t, spec->name))
        return err_set(err, E_EXISTS, "Function already exist: %.*s", STR_FMT(spec->name));
    rc = check_bootstrap(spec->runtime, spec->package->has_bootstrap, err);
    if (rc == 0)
        rc = role_assumable_by_lambda(t, spec->role, err);
    if (rc == 0)
        rc = store_counter(t, "function", &id);
    if (rc == 0)
        rc = store_counter(t, "generation", &generation);
    if (rc == 0)
        rc = package_ref(t, spec->package);
    if (rc)
        return rc;
    write_row(&rec, spec, STR(""), id, generation);
    return put_row(t, spec->name, &rec);
}

/* Was it the revision that the caller has seen? */
static int check_revision(struct str given, struct str current, struct err *err)
{
    if (!given.n || str_eq(given, current))
        return 0;
    return err_set(err, E_PRECONDITION,
                   "The Revision Id provided does not match the latest Revision Id. Call the "
                   "GetFunction/GetAlias API to retrieve the latest Revision Id");
}

static bool stored_bootstrap(struct store_txn *t, struct str sha)
{
    struct str row;
    return store_get(t, T_PACKAGES, sha, &row) == 0 && rec_u64(row, PACKAGE_BOOTSTRAP, 0) == 1;
}

int function_update(struct store_txn *t, const char *region, const struct fn_spec *spec,
                    struct err *err)
{
    struct buf old = BUF_INIT, rec = BUF_INIT;
    struct str row;
    uint64_t generation;
    int rc = fn_spec_check(spec, false, err);
    if (rc == 0)
        rc = function_record(t, region, spec->name, STR(""), &row, err);
    if (rc)
        return rc;
    buf_add(&old, row); /* what a transaction lends ends with its next write */
    row = buf_str(&old);
    struct str sha = rec_str(row, FN_PACKAGE);
    struct str runtime = spec->runtime.p ? spec->runtime : rec_str(row, FN_RUNTIME);
    rc = check_revision(spec->revision_id, rec_str(row, FN_REVISION), err);
    if (rc == 0)
        rc = check_bootstrap(
            runtime, spec->package ? spec->package->has_bootstrap : stored_bootstrap(t, sha), err);
    if (rc == 0 && spec->role.p)
        rc = role_assumable_by_lambda(t, spec->role, err);
    if (rc == 0)
        rc = store_counter(t, "generation", &generation);
    if (rc == 0 && spec->package)
        rc = package_ref(t, spec->package);
    if (rc == 0 && spec->package && sha.n == 32)
        rc = package_unref(t, (const unsigned char *)sha.p);
    if (rc == 0) {
        write_row(&rec, spec, row, rec_u64(row, FN_ID, 0), generation);
        rc = put_row(t, spec->name, &rec);
    }
    buf_deinit(&old);
    return rc;
}

int function_delete(struct store_txn *t, struct str name, struct err *err)
{
    (void)err;
    char key[KEY_MAX];
    struct str rec;
    unsigned char sha[32];
    int rc = function_record(t, "", name, STR(""), &rec, NULL);
    if (rc)
        return rc;
    struct str package = rec_str(rec, FN_PACKAGE);
    bool has = package.n == sizeof sha;
    if (has)
        memcpy(sha, package.p, sizeof sha);
    rc = store_del(t, T_FUNCTIONS, key_of(name, STR(""), key));
    return rc == 0 && has ? package_unref(t, sha) : rc;
}

/* --- policy and URL -------------------------------------------------------------------------- */

/* The row without its policy, and the statements joined with commas (without `sid`; *found). */
static void split_policy(struct str rec, struct str sid, struct buf *rest, struct buf *rows,
                         struct buf *joined, bool *found)
{
    struct str v;
    uint16_t tag;
    *found = false;
    while (rec_next(&rec, &tag, &v)) {
        if (tag != FN_POLICY && tag != FN_POLICY_JSON && tag != FN_POLICY_REVISION) {
            rec_put_str(rest, tag, v);
        } else if (tag == FN_POLICY && str_eq(rec_str(v, 1), sid)) {
            *found = true;
        } else if (tag == FN_POLICY) {
            rec_put_str(rows, tag, v);
            if (joined->n)
                buf_addc(joined, ',');
            buf_add(joined, rec_str(v, 2));
        }
    }
}

static void add_statement(struct buf *rows, struct buf *joined, struct str sid, struct str text)
{
    size_t mark = rec_begin(rows, FN_POLICY);
    rec_put_str(rows, 1, sid);
    rec_put_str(rows, 2, text);
    rec_end(rows, mark);
    if (joined->n)
        buf_addc(joined, ',');
    buf_add(joined, text);
}

/* Writes the row with these statements. */
static int put_policy(struct store_txn *t, struct str name, struct buf *rest, struct buf *rows,
                      struct buf *joined, struct err *err)
{
    struct buf doc = BUF_INIT;
    int rc = 0;
    if (joined->n)
        buf_printf(&doc, "{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[%.*s]}",
                   STR_FMT(buf_str(joined)));
    if (doc.n > FUNCTION_POLICY_MAX)
        rc = err_set(err, E_POLICY_LENGTH,
                     "The final policy size (%zu) is bigger than the limit (%d).", doc.n,
                     FUNCTION_POLICY_MAX);
    struct policy *p = NULL;
    if (rc == 0 && doc.n && !(p = policy_parse(buf_str(&doc), POLICY_RESOURCE, err)))
        rc = E_BAD_POLICY;
    policy_free(p);
    if (rc == 0) {
        buf_add(rest, buf_str(rows));
        if (doc.n) {
            rec_put_str(rest, FN_POLICY_JSON, buf_str(&doc));
            put_uuid(rest, FN_POLICY_REVISION);
        }
        rc = put_row(t, name, rest);
    }
    buf_deinit(&doc);
    return rc;
}

int function_policy_add(struct store_txn *t, struct str name, struct str sid, struct str statement,
                        struct err *err)
{
    struct buf rest = BUF_INIT, rows = BUF_INIT, joined = BUF_INIT;
    struct str rec;
    bool found;
    int rc = function_record(t, "", name, STR(""), &rec, NULL);
    if (rc)
        return rc;
    split_policy(rec, sid, &rest, &rows, &joined, &found);
    if (found) {
        rc = err_set(err, E_EXISTS,
                     "The statement id (%.*s) provided already exists. Please provide a new "
                     "statement id, or remove the existing statement.",
                     STR_FMT(sid));
    } else {
        add_statement(&rows, &joined, sid, statement);
        rc = put_policy(t, name, &rest, &rows, &joined, err);
    }
    buf_deinit(&rest);
    buf_deinit(&rows);
    buf_deinit(&joined);
    return rc;
}

int function_policy_remove(struct store_txn *t, struct str name, struct str sid, struct err *err)
{
    struct buf rest = BUF_INIT, rows = BUF_INIT, joined = BUF_INIT;
    struct str rec;
    bool found;
    int rc = function_record(t, "", name, STR(""), &rec, NULL);
    if (rc)
        return rc;
    split_policy(rec, sid, &rest, &rows, &joined, &found);
    rc = found ? put_policy(t, name, &rest, &rows, &joined, err)
               : err_set(err, E_NOT_FOUND, "Statement %.*s is not found in resource policy.",
                         STR_FMT(sid));
    buf_deinit(&rest);
    buf_deinit(&rows);
    buf_deinit(&joined);
    return rc;
}

int function_url_set(struct store_txn *t, struct str name, struct str auth, struct err *err)
{
    (void)err;
    struct buf rec = BUF_INIT;
    struct str row, v;
    uint16_t tag;
    uint64_t now = (uint64_t)clock_store_ms();
    int rc = function_record(t, "", name, STR(""), &row, NULL);
    if (rc)
        return rc;
    uint64_t created = rec_u64(row, FN_URL_CREATED, now);
    while (rec_next(&row, &tag, &v))
        if (tag != FN_URL_AUTH && tag != FN_URL_CREATED && tag != FN_URL_MODIFIED)
            rec_put_str(&rec, tag, v);
    if (auth.p) {
        rec_put_str(&rec, FN_URL_AUTH, auth);
        rec_put_u64(&rec, FN_URL_CREATED, created);
        rec_put_u64(&rec, FN_URL_MODIFIED, now);
    }
    return put_row(t, name, &rec);
}
