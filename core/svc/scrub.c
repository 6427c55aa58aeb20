/* scrub: a walk over buckets, open uploads, packages and blobs, in this order.
 *
 * What a blob is named by is noted on the way (eight bytes a name) and compared with T_BLOBS at the
 * end. A list of parts that several objects share is looked at for each of them: its bytes once more
 * cost time only, and each object that is damaged should be named. */
#include "svc/scrub.h"

#include <errno.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rec.h"
#include "store/key.h"
#include "svc/object_rows.h"
#include "svc/package.h"
#include "svc/upload_rows.h"

enum { RUN = 128 * 1024, PAGE = 500 };

struct scrub {
    const struct scrub_opts *o;
    struct scrub_result *r;
    struct store *rows;
    struct store_txn *t;
    struct str bucket;
    struct buf names; /* u64 ids of blobs, as often as rows name them */
    bool stopped;
    char *run; /* RUN bytes */
};

static void tell(struct scrub *s, const char *kind, struct str name, const char *why)
{
    s->r->damaged++;
    s->stopped = s->stopped || !s->o->tell(s->o->ctx, kind, name, why);
}

static void name_blob(struct scrub *s, uint64_t id)
{
    buf_add(&s->names, str_of((const char *)&id, sizeof id));
}

/* Feeds size bytes of a blob to h: NULL, or what is wrong with the file. */
static const char *read_blob(struct scrub *s, uint64_t id, uint64_t size, struct hash *h)
{
    const char *why = NULL;
    uint64_t got = 0;
    ssize_t n = 1;
    int fd = blob_file(s->rows, id);
    if (fd < 0)
        return fd == E_NOT_FOUND ? "its file is missing" : "its file cannot be opened";
    while (n && !why && !s->stopped) {
        n = read(fd, s->run, RUN);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            why = "its file cannot be read";
        if (n > 0) {
            hash_update(h, s->run, (size_t)n);
            got += (uint64_t)n;
            s->r->bytes += (uint64_t)n;
            s->stopped = store_copy_cancelled(s->o->copy) || !s->o->going(s->o->ctx, s->r);
        }
    }
    close(fd);
    return why || s->stopped || got == size ? why : "its file has another size";
}

/* Bytes in a row (p NULL: in a blob) against their digest. */
static const char *check_bytes(struct scrub *s, enum hash_alg alg, struct str inside, uint64_t blob,
                               uint64_t size, struct str want)
{
    unsigned char digest[HASH_MAX];
    struct hash *h = hash_new(alg);
    const char *why = NULL;
    if (inside.p) {
        hash_update(h, inside.p, inside.n);
        s->r->bytes += inside.n;
        why = inside.n == size ? NULL : "it has another size";
    } else {
        why = read_blob(s, blob, size, h);
        name_blob(s, blob);
    }
    hash_final(h, digest);
    if (why || s->stopped || want.n != hash_size(alg))
        return why;
    return memcmp(digest, want.p, want.n) == 0 ? NULL : "its bytes are not those that were stored";
}

/* --- objects ---------------------------------------------------------------------------------- */

static const char *check_part(struct scrub *s, const struct extent *x)
{
    s->r->parts++;
    return check_bytes(s, HASH_MD5, x->bytes, x->blob, x->size, x->md5);
}

static const char *check_parts(struct scrub *s, const struct object_meta *m)
{
    const char *why = NULL;
    size_t named = s->names.n;
    for (uint32_t i = 0; i < m->extents.count && !why && !s->stopped; i++) {
        struct extent x;
        why = extents_get(s->t, &m->extents, i, &x) ? "a part of it is missing" : check_part(s, &x);
    }
    s->names.n = named; /* its parts' rows name those */
    return why;
}

static void check_object(void *ctx, const struct object_meta *m)
{
    struct scrub *s = ctx;
    unsigned char md5[16];
    const char *why;
    if (s->stopped)
        return;
    s->r->objects++;
    if (m->extents.list)
        why = check_parts(s, m);
    else if (!hex_decode(str_c(m->etag), md5))
        why = "its record is damaged";
    else
        why = check_bytes(s, HASH_MD5, m->inline_body, m->blob, m->size,
                          str_of((const char *)md5, sizeof md5));
    if (!why)
        return;
    struct buf name = BUF_INIT;
    buf_printf(&name, "s3://%.*s/", STR_FMT(s->bucket));
    buf_add(&name, m->key);
    tell(s, "object", buf_str(&name), why);
    buf_deinit(&name);
}

static void ignore(void *ctx, struct str prefix)
{
    (void)ctx, (void)prefix;
}

static bool check_bucket(void *ctx, struct str name, int64_t created_ms)
{
    struct scrub *s = ctx;
    struct buf after = BUF_INIT, last = BUF_INIT;
    bool more = true;
    (void)created_ms;
    s->bucket = name;
    while (more && !s->stopped) {
        struct object_list list = {
            .bucket = name, .after = after.n ? buf_str(&after) : STR(""), .limit = PAGE};
        buf_clear(&last);
        if (object_list(s->t, &list, check_object, ignore, s, &more, &last) != 0)
            break;
        struct buf swap = after;
        after = last;
        last = swap;
        s->stopped = s->stopped || !s->o->going(s->o->ctx, s->r);
    }
    buf_deinit(&after);
    buf_deinit(&last);
    return !s->stopped;
}

/* The rows of all parts; the bytes of those whose upload is still open, the others' were looked at with
 * their objects. */
static void check_uploads(struct scrub *s)
{
    struct store_cursor *c = store_cursor(s->t, T_PARTS);
    struct str k, v;
    uint64_t id;
    uint32_t number;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok && !s->stopped; ok = store_next(c, &k, &v)) {
        struct upload u;
        struct extent x;
        if (!key_take_u64(&k, &id) || !key_take_u32(&k, &number) || number == 0 ||
            !extent_decode(v, &x))
            continue;
        bool open = upload_row_get(s->t, id, &u) == 0 && u.etag.n == 0;
        if (!open && x.blob)
            name_blob(s, x.blob);
        const char *why = open ? check_part(s, &x) : NULL;
        struct buf name = BUF_INIT;
        buf_printf(&name, "%.*s, part %u", STR_FMT(open ? u.key : STR("")), number);
        if (why)
            tell(s, "upload", buf_str(&name), why);
        buf_deinit(&name);
    }
    store_cursor_close(c);
}

/* --- packages and counts ---------------------------------------------------------------------- */

static void check_package(struct scrub *s, struct str sha256, struct str rec)
{
    char hex[65];
    struct str flat = rec_str(rec, PACKAGE_FLAT);
    const char *why =
        check_bytes(s, HASH_SHA256, rec_str(rec, PACKAGE_ZIP), rec_u64(rec, PACKAGE_ZIP_BLOB, 0),
                    rec_u64(rec, PACKAGE_ZIP_SIZE, 0), sha256);
    const char *unpacked = check_bytes(s, HASH_SHA256, flat, rec_u64(rec, PACKAGE_FLAT_BLOB, 0),
                                       rec_u64(rec, PACKAGE_FLAT_SIZE, 0), STR(""));
    s->r->packages++;
    hex_encode(sha256.p, sha256.n < 32 ? sha256.n : 32, hex);
    if (why || unpacked)
        tell(s, "package", str_c(hex), why ? why : unpacked);
}

static void check_packages(struct scrub *s)
{
    struct store_cursor *c = store_cursor(s->t, T_PACKAGES);
    struct str k, v;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok && !s->stopped; ok = store_next(c, &k, &v))
        check_package(s, k, v);
    store_cursor_close(c);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

struct count {
    struct scrub *s;
    size_t at; /* in names */
};

static int compare_count(void *ctx, uint64_t id, uint64_t size, uint64_t refs)
{
    struct count *c = ctx;
    struct scrub *s = c->s;
    uint64_t one, named = 0;
    char name[32];
    (void)size;
    s->r->blobs++;
    for (; c->at < s->names.n; c->at += sizeof one) {
        memcpy(&one, s->names.p + c->at, sizeof one);
        if (one > id)
            break;
        if (one < id) {
            snprintf(name, sizeof name, "%016llx", (unsigned long long)one);
            tell(s, "blob", str_c(name), "it is named and has no row");
        }
        named += one == id;
    }
    snprintf(name, sizeof name, "%016llx", (unsigned long long)id);
    if (named != refs)
        tell(s, "blob", str_c(name), "it is named more or less often than is counted");
    return s->stopped ? E_ABORTED : 0;
}

int scrub_run(const struct scrub_opts *o, struct scrub_result *out)
{
    struct scrub s = {.o = o, .r = out, .rows = store_copy_rows(o->copy), .run = malloc(RUN)};
    struct count count = {.s = &s};
    if (!s.run)
        fatal("out of memory");
    *out = (struct scrub_result){0};
    s.t = store_read(s.rows);
    bucket_list(s.t, check_bucket, &s);
    if (!s.stopped)
        check_uploads(&s);
    if (!s.stopped)
        check_packages(&s);
    if (!s.stopped && s.names.n)
        qsort(s.names.p, s.names.n / sizeof(uint64_t), sizeof(uint64_t), by_value);
    if (!s.stopped)
        blob_each(s.t, compare_count, &count);
    store_read_end(s.t);
    buf_deinit(&s.names);
    free(s.run);
    return s.stopped ? E_ABORTED : 0;
}
