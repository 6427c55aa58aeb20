/* function: the functions of the store as the running core sees them.
 *
 * The cache is a hash table of struct fn by name and qualifier, in the order of last use. It holds a
 * reference of its own; what nobody else holds may go when there are more than CACHE_MAX entries or
 * CACHE_BYTES. A write job never touches it: the job's done tells function_changed, and the next
 * caller reads the new record.
 *
 * The bytes of a package are small and in memory, or a blob. A blob is opened when fn gets its
 * first user and stays open (pinned) as long as it has one, so that a run in flight can still load
 * its modules after an update has replaced the package. Everything here runs on the loop's thread.
 */
#include "svc/function.h"

#include "auth/arn.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rec.h"
#include "store/blob.h"
#include "svc/function_inside.h"
#include "svc/logs.h"
#include "svc/package.h"

enum { BUCKETS = 1024, CACHE_MAX = 4096, CACHE_BYTES = 16 * 1024 * 1024 };
enum { FN_ARENA_MAX = 32 * 1024 * 1024, READ_MAX = 1024 * 1024 };

struct functions {
    struct store *store;
    const char *region;
    struct fn *buckets[BUCKETS];
    struct fn *newest, *oldest;
    size_t count, bytes;
    uint64_t random;   /* never 0 */
    uint64_t reserved; /* concurrency, of all functions */
    void (*changed)(void *ctx, struct str name);
    void *changed_ctx;
};

static void read_reserved(struct functions *f)
{
    struct store_txn *t = store_read(f->store);
    f->reserved = fn_reserved_total(t);
    store_read_end(t);
}

struct functions *functions_open(struct store *s, const char *region)
{
    struct functions *f = calloc(1, sizeof *f);
    if (!f)
        fatal("out of memory");
    f->store = s;
    f->region = region;
    random_bytes(&f->random, sizeof f->random);
    f->random |= 1;
    read_reserved(f);
    return f;
}

uint64_t function_reservations(const struct functions *f)
{
    return f->reserved;
}

void functions_on_change(struct functions *f, void (*changed)(void *ctx, struct str name),
                         void *ctx)
{
    f->changed = changed;
    f->changed_ctx = ctx;
}

/* --- the table ------------------------------------------------------------------------------- */

static struct fn **bucket_of(struct functions *f, struct str name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 16777619u;
    return &f->buckets[h % BUCKETS];
}

static size_t cost(const struct fn *fn)
{
    return arena_used(fn->arena) + 4096;
}

static void list_remove(struct functions *f, struct fn *fn)
{
    *(fn->newer_ ? &fn->newer_->older_ : &f->newest) = fn->older_;
    *(fn->older_ ? &fn->older_->newer_ : &f->oldest) = fn->newer_;
}

static void list_push(struct functions *f, struct fn *fn)
{
    fn->newer_ = NULL;
    fn->older_ = f->newest;
    *(f->newest ? &f->newest->newer_ : &f->oldest) = fn;
    f->newest = fn;
}

/* Takes fn out of the table and gives up the table's reference. */
static void drop(struct functions *f, struct fn *fn)
{
    struct fn **at = bucket_of(f, fn->name);
    while (*at != fn)
        at = &(*at)->next_;
    *at = fn->next_;
    list_remove(f, fn);
    f->count--;
    f->bytes -= cost(fn);
    fn->cached_ = false;
    fn_unref(fn);
}

/* Old entries that nobody uses go; a bounded look, so that a table full of used ones costs nothing.
 */
static void evict(struct functions *f)
{
    struct fn *fn = f->oldest, *newer;
    for (int look = 0; fn && look < 16 && (f->count > CACHE_MAX || f->bytes > CACHE_BYTES);
         look++, fn = newer) {
        newer = fn->newer_;
        if (fn->refs == 1) {
            drop(f, fn);
        } else {
            list_remove(f, fn);
            list_push(f, fn);
        }
    }
}

bool functions_forget(struct functions *f)
{
    enum { LOOK = 512, FORGET = 256 };
    struct fn *fn = f->oldest, *newer;
    int forgotten = 0;
    for (int look = 0; fn && look < LOOK && forgotten < FORGET; look++, fn = newer) {
        newer = fn->newer_;
        if (fn->refs > 1)
            continue;
        drop(f, fn);
        forgotten++;
    }
    return forgotten > 0;
}

static void insert(struct functions *f, struct fn *fn)
{
    struct fn **at = bucket_of(f, fn->name);
    fn->next_ = *at;
    *at = fn;
    list_push(f, fn);
    fn->cached_ = true;
    fn->home_ = f;
    f->count++;
    f->bytes += cost(fn);
    evict(f);
}

static struct fn *find(struct functions *f, struct str name, struct str qualifier)
{
    struct fn *fn = *bucket_of(f, name);
    while (fn && !(str_eq(fn->name, name) && str_eq(fn->qualifier, qualifier)))
        fn = fn->next_;
    return fn;
}

void functions_close(struct functions *f)
{
    while (f->oldest)
        drop(f, f->oldest);
    free(f);
}

void function_changed(struct functions *f, struct str name)
{
    struct fn *fn, *next;
    for (fn = *bucket_of(f, name); fn; fn = next) {
        next = fn->next_;
        if (str_eq(fn->name, name))
            drop(f, fn);
    }
    read_reserved(f);
    if (f->changed)
        f->changed(f->changed_ctx, name);
}

/* --- references ------------------------------------------------------------------------------ */

static void unpin(struct fn *fn)
{
    if (!fn->flat_open_)
        return;
    blob_close(fn->home_->store, fn->flat_blob_, fn->flat_fd_);
    fn->flat_open_ = false;
}

static int pin(struct functions *f, struct fn *fn)
{
    int rc = 0;
    if (fn->flat_open_ || fn->flat_blob_ == 0)
        return 0;
    fn->flat_fd_ = blob_open(f->store, fn->flat_blob_, &rc);
    if (fn->flat_fd_ < 0)
        return rc ? rc : E_IO;
    fn->flat_open_ = true;
    return 0;
}

void fn_ref(struct fn *fn)
{
    fn->refs++;
}

static void destroy(struct fn *fn)
{
    policy_free(fn->policy);
    json_decref(fn->url_cors);
    arena_free(fn->arena);
}

void fn_unref(struct fn *fn)
{
    ASSERT(fn->refs > 0);
    fn->refs--;
    if (fn->refs == (fn->cached_ ? 1 : 0))
        unpin(fn);
    if (fn->refs > 0)
        return;
    if (fn->other_) {
        fn->other_->cached_ = false;
        fn_unref(fn->other_);
    }
    destroy(fn);
}

/* --- loading --------------------------------------------------------------------------------- */

static void load_env(struct fn *fn, struct str rec)
{
    struct str rest = rec, v;
    uint16_t tag;
    size_t n = 0;
    while (rec_next(&rest, &tag, &v))
        n += tag == FN_ENV;
    struct fn_env *env = n ? arena_zalloc(fn->arena, n * sizeof *env) : NULL;
    if (!env)
        return;
    for (rest = rec; rec_next(&rest, &tag, &v);) {
        if (tag != FN_ENV)
            continue;
        env[fn->env_count].name = arena_dup(fn->arena, rec_str(v, 1));
        env[fn->env_count++].value = arena_dup(fn->arena, rec_str(v, 2));
    }
    fn->env = env;
}

/* The package's index, names in one run; and its bytes when they are in the row. */
static bool load_package(struct fn *fn, struct str row)
{
    size_t count = (size_t)rec_u64(row, PACKAGE_FILE_COUNT, 0);
    struct fn_file *files = arena_zalloc(fn->arena, (count + 1) * sizeof *files);
    char *names = arena_alloc(fn->arena, (size_t)rec_u64(row, PACKAGE_NAMES_SIZE, 0) + 1);
    struct str rest = row, v;
    uint16_t tag;
    if (!files || !names)
        return false;
    while (fn->file_count < count && rec_next(&rest, &tag, &v)) {
        if (tag != PACKAGE_FILE)
            continue;
        struct str path = rec_str(v, 1);
        memcpy(names, path.p, path.n);
        files[fn->file_count++] = (struct fn_file){
            .path = str_of(names, path.n), .offset = rec_u64(v, 2, 0), .size = rec_u64(v, 3, 0)};
        names += path.n;
    }
    fn->files = files;
    fn->flat_blob_ = rec_u64(row, PACKAGE_FLAT_BLOB, 0);
    if (!fn->flat_blob_)
        fn->flat_ = arena_dup(fn->arena, rec_str(row, PACKAGE_FLAT));
    return fn->file_count == count && (fn->flat_blob_ || fn->flat_.p);
}

/* May a caller without credentials use the URL? */
static bool policy_opens_url(const struct fn *fn)
{
    struct policy_key auth = {STR("lambda:functionurlauthtype"), fn->url_auth};
    bool latest = str_is(fn->qualifier, "$LATEST");
    struct str arn =
        latest ? fn->arn
               : arena_printf(fn->arena, "%.*s:%.*s", STR_FMT(fn->arn), STR_FMT(fn->qualifier));
    struct policy_query q = {
        .action = STR("lambda:InvokeFunctionUrl"),
        .resource = arn,
        .keys = &auth,
        .key_count = 1,
    };
    return fn->policy && policy_eval(fn->policy, &q) == POLICY_ALLOW;
}

/* What was set on the row that the qualifier names, and on the function. */
static void load_conf(struct fn *fn, struct str row, struct str latest)
{
    struct arena *a = fn->arena;
    struct str async = rec_str(row, FN_ASYNC);
    fn->policy_json = arena_dup(a, rec_str(row, FN_POLICY_JSON));
    if (fn->policy_json.n)
        fn->policy = policy_parse(fn->policy_json, POLICY_RESOURCE, NULL);
    fn->url_auth = arena_dup(a, rec_str(row, FN_URL_AUTH));
    if (rec_str(row, FN_URL_CORS).n)
        fn->url_cors = json_parse(rec_str(row, FN_URL_CORS), NULL);
    fn->url_streams = str_is(rec_str(row, FN_URL_MODE), "RESPONSE_STREAM");
    fn->url = fn->url_auth.n > 0;
    fn->url_open = str_is(fn->url_auth, "NONE") && policy_opens_url(fn);
    fn->loops = str_is(rec_str(latest, FN_RECURSIVE_LOOP), "Allow");
    str_u64(rec_str(latest, FN_EVENT_RATE), &fn->event_rate); /* else it stays 0 */
    fn->limited = rec_str(latest, FN_RESERVED).p != NULL;
    fn->reserved = (uint32_t)rec_u64(latest, FN_RESERVED, 0);
    fn->retries_set = rec_str(async, FN_ASYNC_RETRIES).p != NULL;
    fn->retries = (uint32_t)rec_u64(async, FN_ASYNC_RETRIES, 0);
    fn->max_age_ms = (int64_t)rec_u64(async, FN_ASYNC_MAX_AGE_S, 0) * 1000;
    fn->on_success = arena_dup(a, rec_str(async, FN_ASYNC_ON_SUCCESS));
    fn->on_failure = arena_dup(a, rec_str(async, FN_ASYNC_ON_FAILURE));
}

/* The rows that a struct fn is made of; borrowed. */
struct rows {
    struct str version, package;
    struct str named;  /* the row that the qualifier names: the version's, or an alias's */
    struct str latest; /* $LATEST's */
};

/* Of logs in JSON: INFO when nothing is said. */
static uint8_t log_level(struct str rec, uint16_t tag)
{
    enum log_severity level = LOG_INFO;
    log_severity_parse(rec_str(rec, tag), &level);
    return (uint8_t)level;
}

static struct fn *load(struct functions *f, const struct rows *rows, struct str qualifier)
{
    struct arena *a = arena_new(FN_ARENA_MAX);
    struct fn *fn = arena_zalloc(a, sizeof *fn);
    struct str rec = rows->version, package = rec_str(rec, FN_PACKAGE);
    struct str name = arena_dup(a, rec_str(rec, FN_NAME)), group = rec_str(rec, FN_LOG_GROUP);
    struct buf sha = BUF_INIT;
    base64_encode(&sha, package);
    *fn = (struct fn){
        .arena = a,
        .id = rec_u64(rec, FN_ID, 0),
        .generation = rec_u64(rec, FN_GENERATION, 0),
        .name = name,
        .version = arena_dup(a, rec_str(rec, FN_VERSION)),
        .qualifier = arena_dup(a, qualifier),
        .arn = arena_printf(a, "arn:aws:lambda:%s:" ACCOUNT_ID ":function:%.*s", f->region,
                            STR_FMT(name)),
        .runtime = arena_dup(a, rec_str(rec, FN_RUNTIME)),
        .role = arena_dup(a, rec_str(rec, FN_ROLE)),
        .handler = arena_dup(a, rec_str(rec, FN_HANDLER)),
        .description = arena_dup(a, rec_str(rec, FN_DESCRIPTION)),
        .timeout_ms = (uint32_t)rec_u64(rec, FN_TIMEOUT_S, 3) * 1000,
        .memory_mb = (uint32_t)rec_u64(rec, FN_MEMORY_MB, 128),
        .code_sha256 = arena_dup(a, buf_str(&sha)),
        .code_size = rec_u64(rec, FN_CODE_SIZE, 0),
        .modified_ms = (int64_t)rec_u64(rec, FN_MODIFIED_MS, 0),
        .revision_id = arena_dup(a, rec_str(rec, FN_REVISION)),
        .log_group =
            group.n ? arena_dup(a, group) : arena_printf(a, "/aws/lambda/%.*s", STR_FMT(name)),
        .log_json = str_is(rec_str(rec, FN_LOG_FORMAT), "JSON"),
        .log_app_level = log_level(rec, FN_LOG_APP_LEVEL),
        .log_system_level = log_level(rec, FN_LOG_SYSTEM_LEVEL),
        .dead_letter = arena_dup(a, rec_str(rec, FN_DEAD_LETTER)),
    };
    buf_deinit(&sha);
    if (package.n == sizeof fn->package)
        memcpy(fn->package, package.p, package.n);
    load_env(fn, rec);
    load_conf(fn, rows->named, rows->latest);
    if (load_package(fn, rows->package))
        return fn;
    destroy(fn);
    return NULL;
}

/* The struct of one version, its policy and so on from rows->named. */
static int load_version(struct functions *f, struct store_txn *t, struct rows *rows,
                        struct str version, struct str qualifier, struct fn **out, struct err *err)
{
    struct str name = rec_str(rows->latest, FN_NAME);
    int rc = function_record(t, f->region, name, version, &rows->version, err);
    if (rc)
        return rc;
    rc = store_get(t, T_PACKAGES, rec_str(rows->version, FN_PACKAGE), &rows->package);
    *out = rc ? NULL : load(f, rows, qualifier);
    return *out ? 0 : rc == E_IO ? E_IO : E_INTERNAL;
}

/* The second version of an alias hangs on the first, which holds it as the cache would. */
static int load_other(struct functions *f, struct store_txn *t, struct rows *rows, struct fn *fn)
{
    struct str weight = rec_str(rows->named, FN_WEIGHT), version = rec_str(weight, 1);
    struct fn *other = NULL;
    int rc = version.n ? load_version(f, t, rows, version, fn->qualifier, &other, NULL) : 0;
    if (other) {
        other->refs = 1;
        other->cached_ = true;
        other->home_ = f;
        fn->other_ = other;
        fn->weight_ = (uint32_t)rec_u64(weight, 2, 0);
    }
    return rc;
}

static int load_stored(struct functions *f, struct str name, struct str qualifier, struct fn **out,
                       struct err *err)
{
    struct store_txn *t = store_read(f->store);
    struct rows rows = {0};
    struct str q = qualifier.n ? qualifier : STR("$LATEST");
    *out = NULL;
    int rc = function_row(t, f->region, name, qualifier, &rows.named, err);
    if (rc == 0)
        rc = function_row(t, f->region, name, STR(""), &rows.latest, err);
    if (rc == 0)
        rc = load_version(f, t, &rows, rec_str(rows.named, FN_VERSION), q, out, err);
    if (rc == 0 && (rc = load_other(f, t, &rows, *out)) != 0) {
        (*out)->refs = 1;
        fn_unref(*out);
        *out = NULL;
    }
    store_read_end(t);
    return rc;
}

/* Which of an alias's two versions takes this call. */
static struct fn *choose(struct functions *f, struct fn *fn)
{
    f->random ^= f->random << 13; /* xorshift */
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random % FUNCTION_WEIGHT_ALL < fn->weight_ ? fn->other_ : fn;
}

int function_get(struct functions *f, struct str name, struct str qualifier, struct fn **out,
                 struct err *err)
{
    struct fn *fn = find(f, name, qualifier.n ? qualifier : STR("$LATEST")), *other;
    if (fn && pin(f, fn) != 0) { /* replaced, and function_changed has yet to say so */
        drop(f, fn);
        fn = NULL;
    }
    if (!fn) {
        int rc = load_stored(f, name, qualifier, &fn, err);
        if (rc)
            return rc;
        fn->refs = 2;
        insert(f, fn);
        pin(f, fn); /* a failure shows when a file is read */
    } else {
        fn->refs++;
        if (f->newest != fn) {
            list_remove(f, fn);
            list_push(f, fn);
        }
    }
    *out = fn;
    if (fn->other_ && (other = choose(f, fn)) != fn) {
        fn_ref(other);
        pin(f, other);
        fn_unref(fn);
        *out = other;
    }
    return 0;
}

bool function_current(struct functions *f, const struct fn *fn)
{
    struct store_txn *t = store_read(f->store);
    struct str rec;
    bool same = function_row(t, f->region, fn->name, fn->version, &rec, NULL) == 0 &&
                rec_u64(rec, FN_ID, 0) == fn->id &&
                rec_u64(rec, FN_GENERATION, 0) == fn->generation;
    store_read_end(t);
    return same;
}

/* --- files ----------------------------------------------------------------------------------- */

struct reading {
    struct functions *f;
    struct fn *fn;
    uint64_t at;
    size_t left;
    struct buf bytes;
    void (*done)(void *ctx, int rc, struct str bytes);
    void *ctx;
};

static void read_some(struct reading *r);

static void read_done(void *ctx, int rc, struct str bytes)
{
    struct reading *r = ctx;
    if (rc == 0 && bytes.n != 0 && bytes.n < r->left) {
        buf_add(&r->bytes, bytes);
        r->at += bytes.n;
        r->left -= bytes.n;
        if (r->bytes.rc == 0) {
            read_some(r);
            return;
        }
        rc = r->bytes.rc;
    } else if (rc == 0 && bytes.n != r->left) {
        rc = E_IO;
    }
    if (rc == 0 && r->bytes.n) {
        buf_add(&r->bytes, bytes);
        rc = r->bytes.rc;
        bytes = buf_str(&r->bytes);
    }
    r->done(r->ctx, rc, rc ? (struct str){NULL, 0} : bytes);
    buf_deinit(&r->bytes);
    fn_unref(r->fn);
    free(r);
}

static void read_some(struct reading *r)
{
    blob_read(r->f->store, r->fn->flat_fd_, r->at, r->left < READ_MAX ? r->left : READ_MAX,
              read_done, r);
}

static const struct fn_file *file_find(const struct fn *fn, struct str path)
{
    if (fn->sealed) {
        for (size_t i = 0; i < fn->file_count; i++)
            if (str_eq(fn->files[i].path, path))
                return &fn->files[i];
        return NULL;
    }
    size_t low = 0, high = fn->file_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int d = str_cmp(fn->files[mid].path, path);
        if (d == 0)
            return &fn->files[mid];
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

void function_file(struct functions *f, struct fn *fn, struct str path,
                   void (*done)(void *ctx, int rc, struct str bytes), void *ctx)
{
    struct str none = {NULL, 0}, all = fn->sealed ? fn->inline_source : fn->flat_;
    const struct fn_file *file = file_find(fn, path);
    if (!file) {
        done(ctx, E_NOT_FOUND, none);
        return;
    }
    if (file->size > FUNCTION_FILE_MAX) {
        done(ctx, E_LIMIT, none);
        return;
    }
    if (all.p || file->size == 0) {
        bool there = file->offset <= all.n && file->size <= all.n - file->offset;
        if (file->size == 0)
            done(ctx, 0, STR(""));
        else
            done(ctx, there ? 0 : E_INTERNAL,
                 there ? str_of(all.p + file->offset, (size_t)file->size) : none);
        return;
    }
    int rc = pin(f, fn);
    struct reading *r = rc ? NULL : calloc(1, sizeof *r);
    if (!r) {
        done(ctx, rc ? rc : E_INTERNAL, none);
        return;
    }
    *r = (struct reading){
        .f = f, .fn = fn, .at = file->offset, .left = (size_t)file->size, .done = done, .ctx = ctx};
    buf_init(&r->bytes, FUNCTION_FILE_MAX);
    fn_ref(fn);
    read_some(r);
}
