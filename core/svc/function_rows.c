/* function_rows: the records of functions, written inside jobs.
 *
 * Each writer first finds every reason to refuse and only then writes, so that a refusal leaves the
 * transaction as it was. A row holds everything of one version: configuration, the package it uses
 * (counted there), resource policy and URL. An update copies what it does not change. A version's
 * number lies in its key with leading zeros, so that versions follow $LATEST in their order. */
#include "auth/arn.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"
#include "svc/function_inside.h"
#include "svc/package.h"
#include "svc/role.h"
#include "svc/test_event.h"

enum { NUMBER_DIGITS = 10 };

/* --- rows -------------------------------------------------------------------------------------- */

bool fn_number(struct str qualifier, uint64_t *n)
{
    return qualifier.n && qualifier.n <= NUMBER_DIGITS && *qualifier.p != '0' &&
           str_u64(qualifier, n);
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

struct str fn_key(struct str name, struct str qualifier, char key[static FN_KEY_MAX],
                  enum table *table)
{
    struct str none = {NULL, 0}, q = qualifier.n ? qualifier : STR("$LATEST");
    uint64_t n;
    char padded[NUMBER_DIGITS + 1];
    *table = T_FUNCTIONS;
    if (fn_number(q, &n)) {
        snprintf(padded, sizeof padded, "%0*llu", NUMBER_DIGITS, (unsigned long long)n);
        q = str_of(padded, NUMBER_DIGITS);
    } else if (all_digits(q)) {
        return none;
    } else if (!str_is(q, "$LATEST")) {
        *table = T_ALIASES;
    }
    if (name.n == 0 || name.n + q.n + 2 > FN_KEY_MAX || memchr(name.p, 0, name.n) ||
        memchr(q.p, 0, q.n))
        return none;
    memcpy(key, name.p, name.n);
    key[name.n] = 0;
    memcpy(key + name.n + 1, q.p, q.n);
    key[name.n + 1 + q.n] = 0;
    return str_of(key, name.n + q.n + 2);
}

int fn_row(struct store_txn *t, struct str name, struct str qualifier, struct str *rec)
{
    char k[FN_KEY_MAX];
    enum table table;
    struct str key = fn_key(name, qualifier, k, &table);
    return key.p ? store_get(t, table, key, rec) : E_NOT_FOUND;
}

int fn_row_copy(struct store_txn *t, struct str name, struct str qualifier, struct buf *copy)
{
    struct str rec;
    int rc = fn_row(t, name, qualifier, &rec);
    if (rc)
        return rc;
    buf_add(copy, rec);
    return copy->rc;
}

int fn_row_put(struct store_txn *t, struct str name, struct str qualifier, struct buf *rec)
{
    char k[FN_KEY_MAX];
    enum table table;
    struct str key = fn_key(name, qualifier, k, &table);
    int rc = rec->rc || !key.p ? E_INTERNAL : store_put(t, table, key, buf_str(rec));
    buf_deinit(rec);
    return rc;
}

void fn_row_without(struct str rec, const uint16_t *tags, struct buf *out)
{
    struct str v;
    uint16_t tag;
    while (rec_next(&rec, &tag, &v)) {
        const uint16_t *drop = tags;
        while (*drop && *drop != tag)
            drop++;
        if (!*drop && tag != FN_REVISION)
            rec_put_str(out, tag, v);
    }
    fn_put_revision(out);
}

void fn_put_revision(struct buf *out)
{
    unsigned char r[16];
    char hex[33], uuid[37];
    random_bytes(r, sizeof r); /* the pool of id.h belongs to the loop's thread */
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    hex_encode(r, sizeof r, hex);
    snprintf(uuid, sizeof uuid, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    rec_put_str(out, FN_REVISION, str_c(uuid));
}

int function_check_revision(struct str given, struct str rec, struct err *err)
{
    if (!given.n || str_eq(given, rec_str(rec, FN_REVISION)))
        return 0;
    return err_set(err, E_PRECONDITION,
                   "The Revision Id provided does not match the latest Revision Id. Call the "
                   "GetFunction/GetAlias API to retrieve the latest Revision Id");
}

/* --- content ----------------------------------------------------------------------------------- */

bool fn_is_content(uint16_t tag)
{
    switch (tag) {
    case FN_RUNTIME:
    case FN_ROLE:
    case FN_HANDLER:
    case FN_DESCRIPTION:
    case FN_TIMEOUT_S:
    case FN_MEMORY_MB:
    case FN_ENV:
    case FN_LOG_FORMAT:
    case FN_PACKAGE:
    case FN_CODE_SIZE:
    case FN_DEAD_LETTER:
    case FN_TRACING:
    case FN_EPHEMERAL_MB:
    case FN_LOG_GROUP:
    case FN_LOG_APP_LEVEL:
    case FN_LOG_SYSTEM_LEVEL:
    case FN_ARCHITECTURE:
        return true;
    }
    return false;
}

/* The digests of all fields, added up: their order does not matter, and none comes twice. */
void fn_content(struct str rec, unsigned char out[static 32])
{
    struct str v;
    uint16_t tag;
    memset(out, 0, 32);
    while (rec_next(&rec, &tag, &v)) {
        struct buf field = BUF_INIT;
        unsigned char digest[32];
        if (!fn_is_content(tag) || !v.n)
            continue;
        rec_put_str(&field, tag, v);
        hash_once(HASH_SHA256, buf_str(&field), digest);
        for (size_t i = 0; i < sizeof digest; i++)
            out[i] ^= digest[i];
        buf_deinit(&field);
    }
}

/* --- reading ----------------------------------------------------------------------------------- */

int fn_not_found(struct err *err, const char *region, struct str name, struct str qualifier)
{
    return err_set(err, E_NOT_FOUND,
                   "Function not found: arn:aws:lambda:%s:" ACCOUNT_ID ":function:%.*s%s%.*s",
                   region, STR_FMT(name), qualifier.n ? ":" : "", STR_FMT(qualifier));
}

int function_row(struct store_txn *t, const char *region, struct str name, struct str qualifier,
                 struct str *rec, struct err *err)
{
    int rc = fn_row(t, name, qualifier, rec);
    return rc == E_NOT_FOUND ? fn_not_found(err, region, name, qualifier) : rc;
}

int function_record(struct store_txn *t, const char *region, struct str name, struct str qualifier,
                    struct str *rec, struct err *err)
{
    int rc = fn_row(t, name, qualifier, rec);
    if (rc == 0 && rec_str(*rec, FN_ALIAS).p)
        rc = fn_row(t, name, rec_str(*rec, FN_VERSION), rec);
    return rc == E_NOT_FOUND ? fn_not_found(err, region, name, qualifier) : rc;
}

bool function_exists(struct store_txn *t, struct str name)
{
    struct str rec;
    return fn_row(t, name, STR(""), &rec) == 0;
}

int function_find(struct store_txn *t, struct str name, struct str qualifier, uint64_t *id,
                  struct str *policy_json)
{
    struct str rec;
    int rc = fn_row(t, name, qualifier, &rec);
    if (rc)
        return rc;
    *id = rec_u64(rec, FN_ID, 0);
    struct str policy = rec_str(rec, FN_POLICY_JSON);
    *policy_json = policy.p ? policy : STR("");
    return 0;
}

/* NAME and a byte that sorts behind all rows of NAME and before every longer name (names hold no
 * byte below 2). */
static struct str key_behind(struct str name, char key[static FN_KEY_MAX])
{
    if (!name.n || name.n >= FN_KEY_MAX - 1)
        return STR("");
    memcpy(key, name.p, name.n);
    key[name.n] = 1;
    return str_of(key, name.n + 1);
}

void function_each(struct store_txn *t, struct str after,
                   bool (*each)(void *ctx, struct str name, struct str rec), void *ctx)
{
    struct store_cursor *c = store_cursor(t, T_FUNCTIONS);
    char from[FN_KEY_MAX];
    struct str k, rec;
    bool more = store_seek(c, key_behind(after, from), &k, &rec);
    while (more) {
        struct str name = str_cut(&k, 0);
        if (str_is(str_cut(&k, 0), "$LATEST") && !each(ctx, name, rec))
            break;
        more = store_seek(c, key_behind(name, from), &k, &rec);
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

/* A text that is left out where it is empty. */
static void put_pick(struct buf *out, uint16_t tag, struct str given, struct str old)
{
    struct str v = pick(given, rec_str(old, tag), STR(""));
    if (v.n)
        rec_put_str(out, tag, v);
}

static void put_package(struct buf *out, const struct package *p, struct str old)
{
    rec_put_str(out, FN_PACKAGE,
                p ? str_of((const char *)p->sha256, 32) : rec_str(old, FN_PACKAGE));
    rec_put_u64(out, FN_CODE_SIZE, p ? p->zip_size : rec_u64(old, FN_CODE_SIZE, 0));
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
    put_package(out, s->package, old);
    put_pick(out, FN_DEAD_LETTER, s->dead_letter, old);
    put_pick(out, FN_TRACING, s->tracing, old);
    put_pick(out, FN_LOG_GROUP, s->log_group, old);
    put_pick(out, FN_LOG_APP_LEVEL, s->app_log_level, old);
    put_pick(out, FN_LOG_SYSTEM_LEVEL, s->system_log_level, old);
    put_pick(out, FN_ARCHITECTURE, s->architecture, old);
    uint64_t ephemeral = s->ephemeral_mb ? s->ephemeral_mb : rec_u64(old, FN_EPHEMERAL_MB, 0);
    if (ephemeral)
        rec_put_u64(out, FN_EPHEMERAL_MB, ephemeral);
    rec_put_u64(out, FN_MODIFIED_MS, (uint64_t)clock_store_ms());
    fn_put_revision(out);
    for (size_t i = 0; i < s->tag_count; i++) {
        size_t mark = rec_begin(out, FN_TAG);
        rec_put_str(out, 1, s->tags[i].name);
        rec_put_str(out, 2, s->tags[i].value);
        rec_end(out, mark);
    }
    while (rec_next(&rest, &tag, &v))
        if (tag >= FN_POLICY && !fn_is_content(tag))
            rec_put_str(out, tag, v);
}

int function_create(struct store_txn *t, const char *region, const struct fn_spec *spec,
                    struct err *err)
{
    struct buf rec = BUF_INIT;
    uint64_t id, generation;
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
        rc = fn_check_destination(t, region, spec->name, spec->dead_letter, err);
    if (rc == 0)
        rc = store_counter(t, "function", &id);
    if (rc == 0)
        rc = store_counter(t, "generation", &generation);
    if (rc == 0)
        rc = fn_reserved_keep(t);
    if (rc == 0)
        rc = package_ref(t, spec->package);
    if (rc)
        return rc;
    write_row(&rec, spec, STR(""), id, generation);
    return fn_row_put(t, spec->name, STR(""), &rec);
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
    rc = function_check_revision(spec->revision_id, row, err);
    if (rc == 0)
        rc = check_bootstrap(
            runtime, spec->package ? spec->package->has_bootstrap : stored_bootstrap(t, sha), err);
    if (rc == 0 && spec->role.p)
        rc = role_assumable_by_lambda(t, spec->role, err);
    if (rc == 0)
        rc = fn_check_destination(t, region, spec->name, spec->dead_letter, err);
    if (rc == 0)
        rc = store_counter(t, "generation", &generation);
    if (rc == 0 && spec->package)
        rc = package_ref(t, spec->package);
    if (rc == 0 && spec->package && sha.n == 32)
        rc = package_unref(t, (const unsigned char *)sha.p);
    if (rc == 0) {
        write_row(&rec, spec, row, rec_u64(row, FN_ID, 0), generation);
        rc = fn_row_put(t, spec->name, STR(""), &rec);
    }
    buf_deinit(&old);
    return rc;
}

/* --- delete ------------------------------------------------------------------------------------ */

/* All keys of a table that begin with NAME NUL, one behind the other with their lengths, and the
 * packages that their rows use. */
static void collect(struct store_txn *t, enum table table, struct str name, struct buf *keys,
                    struct buf *packages)
{
    struct store_cursor *c = store_cursor(t, table);
    char from[FN_KEY_MAX];
    struct str k, rec, prefix = str_of(from, name.n + 1);
    memcpy(from, name.p, name.n);
    from[name.n] = 0;
    for (bool more = store_seek(c, prefix, &k, &rec); more && str_starts(k, prefix);
         more = store_next(c, &k, &rec)) {
        struct str sha = rec_str(rec, FN_PACKAGE);
        rec_put_str(keys, 1, k);
        if (sha.n == 32)
            buf_add(packages, sha);
    }
    store_cursor_close(c);
}

static int delete_rows(struct store_txn *t, enum table table, struct str name)
{
    struct buf keys = BUF_INIT, packages = BUF_INIT;
    struct str rest, key;
    uint16_t tag;
    collect(t, table, name, &keys, &packages);
    rest = buf_str(&keys);
    int rc = keys.rc || packages.rc ? E_INTERNAL : 0;
    while (rc == 0 && rec_next(&rest, &tag, &key))
        rc = store_del(t, table, key);
    for (size_t i = 0; rc == 0 && i < packages.n; i += 32)
        rc = package_unref(t, (const unsigned char *)packages.p + i);
    buf_deinit(&keys);
    buf_deinit(&packages);
    return rc;
}

int function_delete(struct store_txn *t, struct str name, struct err *err)
{
    struct str rec;
    (void)err;
    int rc = name.n && name.n < FN_KEY_MAX - 1 ? fn_row(t, name, STR(""), &rec) : E_NOT_FOUND;
    uint64_t id = rc ? 0 : rec_u64(rec, FN_ID, 0);
    uint64_t reserved = rc ? 0 : rec_u64(rec, FN_RESERVED, 0);
    if (reserved)
        rc = fn_reserved_change(t, reserved, 0);
    if (rc == 0)
        rc = delete_rows(t, T_FUNCTIONS, name);
    if (rc == 0)
        rc = test_event_drop(t, id);
    return rc ? rc : delete_rows(t, T_ALIASES, name);
}
