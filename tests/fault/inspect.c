/* inspect: opens a server's data folder without the server and tells what is in it, a line each:
 *
 *     kv NAMESPACE KEY VALUE          event STATE FUNCTION PAYLOAD
 *     object BUCKET KEY ok|REASON     function NAME ok|REASON
 *
 * An object is ok when its bytes, inline or in a blob, have the MD5 of its ETag; a function when its
 * package's row is there and the bytes in row or blobs have the sizes that the row tells. Keys and
 * payloads are printed as they are: tests choose them without blanks and newlines. */
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
#include "svc/object.h"
#include "svc/package.h"
#include "svc/queue_row.h"

struct look {
    struct store *store;
    struct store_txn *t;
    struct str bucket;
};

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

static void print_object(void *ctx, const struct object_meta *m)
{
    struct look *l = ctx;
    unsigned char md5[16];
    char hex[33];
    const char *verdict = "ok";
    if (m->blob) {
        verdict = blob_size(l, m->blob, m->size);
        blob_md5(l, m->blob, md5);
    } else {
        hash_once(HASH_MD5, m->inline_body, md5);
    }
    hex_encode(md5, 16, hex);
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
    printf("function %.*s %s\n", STR_FMT(name), verdict);
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

int main(int argc, char **argv)
{
    uv_loop_t loop;
    struct err err = {0};
    struct look l = {0};
    if (argc != 2) {
        fprintf(stderr, "inspect DIR\n");
        return 2;
    }
    uv_loop_init(&loop);
    struct store_opts o = {.dir = argv[1], .map_size = 256ull << 30, .loop = &loop};
    if (store_open(&o, &l.store, &err) != 0) {
        fprintf(stderr, "does not open: %s\n", err.text);
        return 3;
    }
    blob_sweep(l.store);
    uv_run(&loop, UV_RUN_DEFAULT);
    l.t = store_read(l.store);
    print_kv(&l);
    print_events(&l);
    bucket_list(l.t, print_bucket, &l);
    function_each(l.t, STR(""), print_function, &l);
    store_read_end(l.t);
    store_close(l.store);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}
