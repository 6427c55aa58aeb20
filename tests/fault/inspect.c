/* inspect: opens a server's data folder without the server and tells what is in it, a line each:
 *
 *     kv NAMESPACE KEY VALUE          event STATE FUNCTION PAYLOAD
 *     object BUCKET KEY ok|REASON     function NAME ok|REASON SHA-256
 *     upload ID KEY                   part ID NUMBER ok|REASON MD5
 *     blobs ok|REASON
 *
 * An object is ok when its bytes, inline, in a blob or in parts, have the MD5 of its ETag; a function
 * when its package's row is there and the bytes in row or blobs have the sizes that the row tells.
 * Blobs are ok when the references that are counted are those that there are, and the files are
 * those of the blobs, no more and no fewer. What a start would remove is removed first, unless
 * --as-is says that a server has done so. Keys and payloads are printed as they are: tests choose
 * them without blanks and newlines. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rec.h"
#include "store/blob.h"
#include "store/key.h"
#include "svc/function.h"
#include "svc/package.h"
#include "svc/queue_row.h"
#include "svc/upload_rows.h"

struct look {
    struct store *store;
    struct store_txn *t;
    struct str bucket;
    struct buf refs; /* u64 ids of blobs, as often as a row names them */
    uint64_t lists;  /* objects whose bodies are in parts */
    struct buf held; /* the keys of their parts' rows */
};

static void refer(struct look *l, uint64_t blob)
{
    if (blob)
        buf_add(&l->refs, str_of((const char *)&blob, sizeof blob));
}

/* --- blobs ------------------------------------------------------------------------------------- */

static const char *blob_size(struct look *l, uint64_t id, uint64_t size)
{
    struct stat st;
    int rc, fd = blob_open(l->store, id, &rc);
    if (fd < 0)
        return "blob-missing";
    rc = fstat(fd, &st);
    blob_close(l->store, id, fd);
    return rc == 0 && (uint64_t)st.st_size == size ? "ok" : "blob-size";
}

static void blob_md5(struct look *l, uint64_t id, unsigned char out[static 16])
{
    char bytes[65536];
    struct hash *h = hash_new(HASH_MD5);
    int rc, fd = blob_open(l->store, id, &rc);
    for (ssize_t n; fd >= 0 && (n = read(fd, bytes, sizeof bytes)) > 0;)
        hash_update(h, bytes, (size_t)n);
    if (fd >= 0)
        blob_close(l->store, id, fd);
    hash_final(h, out);
}

/* --- objects ----------------------------------------------------------------------------------- */

static const char *check_part(struct look *l, const struct extent *x, unsigned char md5[static 16])
{
    const char *verdict = x->blob ? blob_size(l, x->blob, x->size) : "ok";
    if (x->blob)
        blob_md5(l, x->blob, md5);
    else
        hash_once(HASH_MD5, x->bytes, md5);
    return strcmp(verdict, "ok") == 0 && memcmp(md5, x->md5.p, 16) != 0 ? "other-bytes" : verdict;
}

/* Verdict on a body in parts; hex gets what its ETag should be. */
static const char *check_parts(struct look *l, const struct object_meta *m, char hex[static 48])
{
    unsigned char md5[16];
    uint64_t size = 0;
    const char *verdict = "ok";
    struct hash *h = hash_new(HASH_MD5);
    for (uint32_t i = 0; i < m->extents.count && strcmp(verdict, "ok") == 0; i++) {
        struct extent x;
        if (extents_get(l->t, &m->extents, i, &x) != 0) {
            verdict = "part-missing";
            continue;
        }
        char space[EXTENT_KEY];
        buf_add(&l->held, extent_key(m->extents.list, x.number, space));
        verdict = check_part(l, &x, md5);
        size += x.size;
        hash_update(h, md5, 16);
    }
    hash_final(h, md5);
    hex_encode(md5, 16, hex);
    snprintf(hex + 32, 16, "-%u", m->extents.count);
    return strcmp(verdict, "ok") == 0 && size != m->size ? "size" : verdict;
}

static void print_object(void *ctx, const struct object_meta *m)
{
    struct look *l = ctx;
    unsigned char md5[16];
    char hex[48];
    const char *verdict = "ok";
    if (m->extents.list) {
        verdict = check_parts(l, m, hex);
        l->lists++;
    } else if (m->blob) {
        verdict = blob_size(l, m->blob, m->size);
        blob_md5(l, m->blob, md5);
        hex_encode(md5, 16, hex);
    } else {
        hash_once(HASH_MD5, m->inline_body, md5);
        hex_encode(md5, 16, hex);
    }
    refer(l, m->blob);
    if (strcmp(verdict, "ok") == 0 && strcmp(hex, m->etag) != 0)
        verdict = "other-bytes";
    printf("object %.*s %.*s %s\n", STR_FMT(l->bucket), STR_FMT(m->key), verdict);
}

static void print_common(void *ctx, struct str prefix)
{
    (void)ctx;
    (void)prefix;
}

static bool print_bucket(void *ctx, struct str name, int64_t created_ms)
{
    struct look *l = ctx;
    struct buf last = BUF_INIT;
    bool more = true;
    (void)created_ms;
    l->bucket = name;
    while (more) {
        struct buf after = last;
        struct object_list list = {
            .bucket = name, .after = after.n ? buf_str(&after) : STR(""), .limit = 1000};
        last = BUF_INIT;
        if (object_list(l->t, &list, print_object, print_common, l, &more, &last) != 0)
            more = false;
        buf_deinit(&after);
    }
    buf_deinit(&last);
    return true;
}

/* --- functions --------------------------------------------------------------------------------- */

static const char *part(struct look *l, struct str rec, uint16_t size_tag, uint16_t inline_tag,
                        uint16_t blob_tag)
{
    struct str bytes = rec_str(rec, inline_tag);
    uint64_t size = rec_u64(rec, size_tag, 0);
    if (bytes.p)
        return bytes.n == size ? "ok" : "inline-size";
    return blob_size(l, rec_u64(rec, blob_tag, 0), size);
}

static bool print_function(void *ctx, struct str name, struct str rec)
{
    struct look *l = ctx;
    struct str package;
    const char *verdict = "package-missing";
    if (store_get(l->t, T_PACKAGES, rec_str(rec, FN_PACKAGE), &package) == 0) {
        verdict = part(l, package, PACKAGE_ZIP_SIZE, PACKAGE_ZIP, PACKAGE_ZIP_BLOB);
        if (strcmp(verdict, "ok") == 0)
            verdict = part(l, package, PACKAGE_FLAT_SIZE, PACKAGE_FLAT, PACKAGE_FLAT_BLOB);
    }
    char hex[65] = "-";
    struct str sha256 = rec_str(rec, FN_PACKAGE);
    if (sha256.n == 32)
        hex_encode(sha256.p, 32, hex);
    printf("function %.*s %s %s\n", STR_FMT(name), verdict, hex);
    return true;
}

/* --- rows -------------------------------------------------------------------------------------- */

static void print_kv(struct look *l)
{
    enum { KV_VALUE_TAG = 3 }; /* svc/kv.c */
    struct store_cursor *c = store_cursor(l->t, T_KV);
    struct str k, v, ns;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok; ok = store_next(c, &k, &v))
        if (key_take_name(&k, &ns))
            printf("kv %.*s %.*s %.*s\n", STR_FMT(ns), STR_FMT(k),
                   STR_FMT(rec_str(v, KV_VALUE_TAG)));
    store_cursor_close(c);
}

static void print_events(struct look *l)
{
    static const char *const states[] = {"none", "queued", "running", "waiting", "dead"};
    struct store_cursor *c = store_cursor(l->t, T_DUE);
    struct str k, v, payload;
    uint64_t lane, due, id;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok; ok = store_next(c, &k, &v)) {
        struct event_row row;
        if (!key_take_u64(&k, &lane) || !key_take_u64(&k, &due) || !key_take_u64(&k, &id) ||
            event_row_get(l->t, id, &row) != 0 || event_row_payload(l->t, id, &payload) != 0 ||
            row.state < EVENT_QUEUED_ROW || row.state > EVENT_DEAD_ROW ||
            (uint64_t)row.due_ms != due) {
            fprintf(stderr, "a due row without its event\n");
            exit(4);
        }
        printf("event %s %.*s %.*s\n", states[row.state], STR_FMT(row.function), STR_FMT(payload));
    }
    store_cursor_close(c);
}

/* --- uploads ----------------------------------------------------------------------------------- */

/* Uploads that are open; how many owners and marks of the sweep there are besides. */
static void print_uploads(struct look *l, uint64_t *owned, size_t *marks)
{
    struct store_cursor *c = store_cursor(l->t, T_UPLOADS);
    struct str k, v;
    uint64_t id, owners;
    *owned = *marks = 0;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok; ok = store_next(c, &k, &v)) {
        struct upload u;
        char kind = k.p[0];
        k = str_from(k, 1);
        if (kind == 'R' && key_take_u64(&v, &owners))
            *owned += owners;
        *marks += kind != 'R' && kind != 'U';
        if (kind == 'U' && key_take_u64(&k, &id) && upload_decode(v, &u) && u.etag.n == 0)
            printf("upload u%016llx %.*s\n", (unsigned long long)id, STR_FMT(u.key));
    }
    store_cursor_close(c);
}

static bool is_held(const struct look *l, struct str key)
{
    for (size_t at = 0; at < l->held.n; at += EXTENT_KEY)
        if (memcmp(l->held.p + at, key.p, EXTENT_KEY) == 0)
            return true;
    return false;
}

/* All parts; each must be an open upload's or an object's. Tells how many are not. */
static size_t print_parts(struct look *l)
{
    struct store_cursor *c = store_cursor(l->t, T_PARTS);
    struct str k, v;
    uint64_t id;
    uint32_t number;
    size_t lost = 0;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok; ok = store_next(c, &k, &v)) {
        struct upload u;
        struct extent x;
        unsigned char md5[16];
        char hex[33];
        struct str key = k;
        if (!key_take_u64(&k, &id) || !key_take_u32(&k, &number) ||
            upload_row_get(l->t, id, &u) != 0)
            lost++;
        else if (number && (!extent_decode(v, &x) || (u.etag.n && !is_held(l, key))))
            lost++;
        else if (number) {
            const char *verdict = check_part(l, &x, md5);
            hex_encode(md5, 16, hex);
            printf("part u%016llx %u %s %s\n", (unsigned long long)id, number, verdict, hex);
            refer(l, x.blob);
        }
    }
    store_cursor_close(c);
    return lost;
}

/* --- blobs against all that names them --------------------------------------------------------- */

static void refer_packages(struct look *l)
{
    struct store_cursor *c = store_cursor(l->t, T_PACKAGES);
    struct str k, v;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok; ok = store_next(c, &k, &v)) {
        refer(l, rec_u64(v, PACKAGE_ZIP_BLOB, 0));
        refer(l, rec_u64(v, PACKAGE_FLAT_BLOB, 0));
    }
    store_cursor_close(c);
}

static uint64_t count_refs(const struct look *l, uint64_t id)
{
    uint64_t n = 0, one;
    for (size_t i = 0; i < l->refs.n; i += sizeof one) {
        memcpy(&one, l->refs.p + i, sizeof one);
        n += one == id;
    }
    return n;
}

static size_t count_files(const char *dir)
{
    char path[512];
    size_t n = 0;
    for (unsigned i = 0; i < 256; i++) {
        snprintf(path, sizeof path, "%s/blobs/%02x", dir, i);
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));)
            n += e->d_name[0] != '.';
        if (d)
            closedir(d);
    }
    return n;
}

static const char *check_blobs(struct look *l, const char *dir)
{
    enum { SIZE_TAG = 1, REFS_TAG }; /* store/blob.c */
    struct store_cursor *c = store_cursor(l->t, T_BLOBS);
    const char *verdict = "ok";
    struct str k, v;
    uint64_t id, sum = 0;
    size_t blobs = 0;
    for (bool ok = store_seek(c, STR(""), &k, &v); ok; ok = store_next(c, &k, &v)) {
        uint64_t refs = rec_u64(v, REFS_TAG, 0);
        blobs++;
        sum += refs;
        if (!key_take_u64(&k, &id) || count_refs(l, id) != refs)
            verdict = "references";
        else if (strcmp(blob_size(l, id, rec_u64(v, SIZE_TAG, 0)), "ok") != 0)
            verdict = "file";
    }
    store_cursor_close(c);
    if (sum != l->refs.n / sizeof id)
        return "references-without-blob";
    return strcmp(verdict, "ok") == 0 && blobs != count_files(dir) ? "orphans" : verdict;
}

static void audit(struct look *l, const char *dir)
{
    uint64_t owned;
    size_t marks;
    print_uploads(l, &owned, &marks);
    size_t lost = print_parts(l);
    refer_packages(l);
    const char *verdict = check_blobs(l, dir);
    printf("blobs %s\n", lost                ? "parts-of-nobody"
                         : marks             ? "not-swept"
                         : owned != l->lists ? "lists"
                                             : verdict);
}

int main(int argc, char **argv)
{
    uv_loop_t loop;
    struct err err = {0};
    struct look l = {0};
    bool as_is = argc == 3 && strcmp(argv[2], "--as-is") == 0;
    if (argc != 2 && !as_is) {
        fprintf(stderr, "inspect DIR [--as-is]\n");
        return 2;
    }
    uv_loop_init(&loop);
    struct store_opts o = {.dir = argv[1], .map_size = 256ull << 30, .loop = &loop};
    if (store_open(&o, &l.store, &err) != 0) {
        fprintf(stderr, "does not open: %s\n", err.text);
        return 3;
    }
    if (!as_is) {
        struct objects *objects = objects_open(&loop, l.store, NULL, "us-east-1");
        blob_sweep(l.store, NULL, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
        objects_close(objects);
    }
    l.t = store_read(l.store);
    print_kv(&l);
    print_events(&l);
    bucket_list(l.t, print_bucket, &l);
    function_each(l.t, STR(""), print_function, &l);
    audit(&l, argv[1]);
    store_read_end(l.t);
    buf_deinit(&l.refs);
    buf_deinit(&l.held);
    store_close(l.store);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}
