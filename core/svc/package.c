/* package: building one, as a walk of small steps.
 *
 * Each step of work (scan, unpack up to a MiB, read up to a MiB) runs on the pool; between two
 * steps the loop's thread hands what was made to a blob writer and waits while that one is behind.
 * So neither a large zip nor a large content is ever in memory as a whole. zipscan has judged the
 * layout before libzip opens the archive; libzip must then list the very same entries, and every
 * byte it unpacks is counted and checked against size and CRC.
 *
 *   CHECK -> UNPACK <-> writer -> ZIP <-> writer -> CLOSE -> done
 */
#include "svc/package.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/rec.h"
#include "base/work.h"
#include "svc/zipscan.h"

enum { CHUNK = 1024 * 1024, BACKLOG_MAX = 1024 * 1024 };

enum phase { CHECK, UNPACK, FLAT_DONE, ZIP, ZIP_DONE, CLOSE };

struct build {
    struct work work;
    struct store *store;
    struct package_source src;
    char *copy; /* package_build's */
    struct zip_bytes zip;
    struct zipscan scan;
    zip_t *archive;
    zip_file_t *file; /* open entry */
    size_t entry;     /* index in scan.entries */
    uint64_t entry_at, zip_at;
    char *chunk; /* CHUNK bytes */
    size_t chunk_n;
    struct buf small_flat, small_zip;
    struct blob_writer *writer;
    uint64_t flat_blob, zip_blob;
    enum phase phase;
    bool waiting; /* for the writer */
    int rc;
    struct err err;
    struct package *pkg;
    package_done *done;
    void *ctx;
};

static void step(struct build *b);

/* --- on the pool ----------------------------------------------------------------------------- */

static int hash_zip(struct build *b)
{
    if (b->zip.mem.p) {
        hash_once(HASH_SHA256, b->zip.mem, b->pkg->sha256);
        return 0;
    }
    struct hash *h = hash_new(HASH_SHA256);
    int rc = 0;
    for (uint64_t at = 0; at < b->zip.size && rc == 0;) {
        uint64_t left = b->zip.size - at;
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        rc = zip_bytes_read(&b->zip, at, b->chunk, n);
        if (rc == 0)
            hash_update(h, b->chunk, n);
        at += n;
    }
    hash_final(h, b->pkg->sha256);
    return rc;
}

static int open_archive(struct build *b)
{
    zip_error_t ze;
    zip_error_init(&ze);
    zip_source_t *src = NULL;
    if (b->zip.mem.p) {
        src = zip_source_buffer_create(b->zip.mem.p, b->zip.mem.n, 0, &ze);
    } else {
        int fd = dup(b->zip.fd);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");
        if (f)
            src = zip_source_filep_create(f, 0, -1, &ze);
        if (!src && f)
            fclose(f);
        else if (!src && fd >= 0)
            close(fd);
    }
    if (src) {
        b->archive = zip_open_from_source(src, ZIP_RDONLY, &ze);
        if (!b->archive)
            zip_source_free(src);
    }
    zip_error_fini(&ze);
    return b->archive ? 0 : zip_refuse(&b->err, STR(""), NULL);
}

/* libzip sees what zipscan saw. */
static int compare_lists(struct build *b)
{
    if (zip_get_num_entries(b->archive, 0) != (zip_int64_t)b->scan.total_entries)
        return zip_refuse(&b->err, STR(""), NULL);
    for (size_t i = 0; i < b->scan.count; i++) {
        const struct zip_entry *e = &b->scan.entries[i];
        const char *name = zip_get_name(b->archive, e->index, ZIP_FL_ENC_RAW);
        zip_stat_t st;
        if (!name || !str_eq(e->raw, str_c(name)) ||
            zip_stat_index(b->archive, e->index, ZIP_FL_ENC_RAW, &st) != 0 || st.size != e->size ||
            st.comp_size != e->packed || st.crc != e->crc || st.comp_method != e->method)
            return zip_refuse(&b->err, e->raw, "reads differently in two ways");
    }
    return 0;
}

/* Index and flags into the record: for many files, too long for the loop. */
static void write_index(struct build *b)
{
    struct package *p = b->pkg;
    uint64_t at = 0;
    for (size_t i = 0; i < b->scan.count; i++) {
        const struct zip_entry *e = &b->scan.entries[i];
        size_t mark = rec_begin(&p->rec, PACKAGE_FILE);
        rec_put_str(&p->rec, 1, e->name);
        rec_put_u64(&p->rec, 2, at);
        rec_put_u64(&p->rec, 3, e->size);
        rec_end(&p->rec, mark);
        at += e->size;
        p->has_bootstrap |= str_is(e->name, "bootstrap");
        p->has_native |= str_ends(e->name, STR(".so")) || str_find(e->name, STR(".so.")) >= 0;
    }
}

static int check(struct build *b)
{
    struct stat st;
    if (!b->zip.mem.p) {
        if (fstat(b->zip.fd, &st) != 0)
            return E_IO;
        b->zip.size = (uint64_t)st.st_size;
    }
    if (b->zip.size == 0)
        return err_set(&b->err, E_INVALID, "Uploaded file must be a non-empty zip");
    if (b->zip.size > PACKAGE_ZIP_MAX)
        return err_set(&b->err, E_LIMIT, "The zip must be smaller than %d bytes", PACKAGE_ZIP_MAX);
    int rc = hash_zip(b);
    if (rc == 0)
        rc = zipscan(&b->zip, &b->scan, &b->err);
    if (rc == 0)
        rc = open_archive(b);
    if (rc == 0)
        rc = compare_lists(b);
    if (rc == 0 && b->zip.size <= PACKAGE_INLINE_MAX) {
        char *p = buf_reserve(&b->small_zip, (size_t)b->zip.size);
        rc = p ? zip_bytes_read(&b->zip, 0, p, (size_t)b->zip.size) : E_LIMIT;
        b->small_zip.n = (size_t)b->zip.size;
    }
    if (rc == 0)
        write_index(b);
    return rc;
}

/* Some more bytes of the open entry into the chunk; at its end closes it. */
static int unpack_some(struct build *b)
{
    const struct zip_entry *e = &b->scan.entries[b->entry];
    if (!b->file) {
        b->file = zip_fopen_index(b->archive, e->index, 0);
        b->entry_at = 0;
        if (!b->file)
            return zip_refuse(&b->err, e->raw, "cannot be unpacked");
    }
    char *to = b->chunk + b->chunk_n, probe;
    uint64_t left = e->size - b->entry_at;
    size_t n = left < CHUNK - b->chunk_n ? (size_t)left : CHUNK - b->chunk_n;
    /* The read past the end is what makes libzip compare size and CRC. */
    zip_int64_t got = zip_fread(b->file, left ? to : &probe, left ? n : 1);
    if (got < 0 || (left && got == 0) || (!left && got > 0))
        return zip_refuse(&b->err, e->raw, "is damaged");
    if (left == 0) {
        zip_fclose(b->file);
        b->file = NULL;
        b->entry++;
        return 0;
    }
    if (b->entry_at == 0 && *to == 0x1b && str_ends(e->name, STR(".lua")))
        return zip_refuse(&b->err, e->raw, "is bytecode: only Lua source can be loaded");
    b->entry_at += (uint64_t)got;
    b->chunk_n += (size_t)got;
    return 0;
}

static int fill_from_zip(struct build *b)
{
    uint64_t left = b->zip.size - b->zip_at;
    b->chunk_n = left < CHUNK ? (size_t)left : CHUNK;
    int rc = zip_bytes_read(&b->zip, b->zip_at, b->chunk, b->chunk_n);
    b->zip_at += b->chunk_n;
    return rc;
}

/* Freeing many entries takes long too. */
static void close_all(struct build *b)
{
    if (b->file)
        zip_fclose(b->file);
    if (b->archive)
        zip_discard(b->archive);
    b->file = NULL;
    b->archive = NULL;
    free(b->scan.entries);
    free(b->scan.names);
    b->scan.entries = NULL;
    b->scan.names = NULL;
}

static void work(struct work *w)
{
    struct build *b = w->data;
    b->chunk_n = 0;
    if (b->phase == CLOSE)
        close_all(b);
    else if (b->rc)
        return; /* the zip could not be opened */
    else if (b->phase == CHECK)
        b->rc = check(b);
    else if (b->phase == UNPACK)
        while (b->rc == 0 && b->chunk_n < CHUNK && b->entry < b->scan.count)
            b->rc = unpack_some(b);
    else
        b->rc = fill_from_zip(b);
}

/* --- on the loop ----------------------------------------------------------------------------- */

static void write_record(struct build *b)
{
    struct package *p = b->pkg;
    struct buf *rec = &p->rec;
    p->zip_size = b->zip.size;
    if (p->has_native)
        buf_lit(&p->warning, "The package holds native modules (.so), which cannot be loaded.");
    rec_put_str(rec, PACKAGE_SHA256, str_of((const char *)p->sha256, 32));
    rec_put_u64(rec, PACKAGE_REFS, 0);
    rec_put_u64(rec, PACKAGE_ZIP_SIZE, b->zip.size);
    rec_put_u64(rec, PACKAGE_FLAT_SIZE, b->scan.size);
    rec_put_u64(rec, PACKAGE_FILE_COUNT, b->scan.count);
    rec_put_u64(rec, PACKAGE_NAMES_SIZE, b->scan.names_size);
    if (p->has_bootstrap)
        rec_put_u64(rec, PACKAGE_BOOTSTRAP, 1);
    if (p->has_native)
        rec_put_u64(rec, PACKAGE_NATIVE, 1);
    if (b->zip_blob)
        rec_put_u64(rec, PACKAGE_ZIP_BLOB, b->zip_blob);
    else
        rec_put_str(rec, PACKAGE_ZIP, buf_str(&b->small_zip));
    if (b->flat_blob)
        rec_put_u64(rec, PACKAGE_FLAT_BLOB, b->flat_blob);
    else
        rec_put_str(rec, PACKAGE_FLAT, buf_str(&b->small_flat));
    if (rec->rc)
        b->rc = err_set(&b->err, E_LIMIT, "Out of memory.");
}

static void finish(struct build *b)
{
    if (b->rc == 0)
        write_record(b);
    close_all(b);
    if (b->zip.fd >= 0)
        blob_close(b->store, b->src.blob, b->zip.fd);
    if (b->src.own_blob && (b->rc || b->zip_blob != b->src.blob))
        blob_discard(b->store, b->src.blob);
    if (b->rc && b->zip_blob && b->zip_blob != b->src.blob)
        blob_discard(b->store, b->zip_blob);
    if (b->rc && b->flat_blob)
        blob_discard(b->store, b->flat_blob);
    buf_deinit(&b->small_flat);
    buf_deinit(&b->small_zip);
    free(b->chunk);
    free(b->copy);
    if (b->rc) {
        buf_deinit(&b->pkg->rec);
        buf_deinit(&b->pkg->warning);
        free(b->pkg);
        b->pkg = NULL;
    }
    b->done(b->ctx, b->rc, b->pkg, b->rc ? &b->err : NULL);
    free(b);
}

static void worked(struct work *w)
{
    step(w->data);
}

static void to_pool(struct build *b)
{
    work_start(store_loop(b->store), &b->work, work, worked);
}

static void drained(void *ctx)
{
    struct build *b = ctx;
    if (!b->waiting)
        return;
    b->waiting = false;
    to_pool(b);
}

/* Hands the chunk to the writer; the next one is made when the writer has kept up. */
static void pass_on(struct build *b)
{
    if (!b->writer)
        b->writer = blob_create(b->store);
    size_t behind = blob_write(b->writer, str_of(b->chunk, b->chunk_n));
    if (behind <= BACKLOG_MAX) {
        to_pool(b);
        return;
    }
    b->waiting = true;
    blob_on_drained(b->writer, drained, b);
}

static void blob_written(void *ctx, int rc, uint64_t id, uint64_t size)
{
    struct build *b = ctx;
    (void)size;
    b->writer = NULL;
    if (rc)
        b->rc = rc;
    else if (b->phase == FLAT_DONE)
        b->flat_blob = id;
    else
        b->zip_blob = id;
    step(b);
}

static void finish_writer(struct build *b, enum phase next)
{
    b->phase = next;
    blob_finish(b->writer, blob_written, b);
}

static void start_close(struct build *b)
{
    if (b->writer)
        blob_abort(b->writer);
    b->writer = NULL;
    b->phase = CLOSE;
    to_pool(b);
}

static void start_zip(struct build *b)
{
    if (b->zip.size <= PACKAGE_INLINE_MAX || b->src.own_blob) {
        if (b->zip.size > PACKAGE_INLINE_MAX)
            b->zip_blob = b->src.blob;
        start_close(b);
        return;
    }
    b->phase = ZIP;
    to_pool(b);
}

/* The one switch: what follows the step that has just ended. */
static void step(struct build *b)
{
    if (b->rc && b->phase != CLOSE) {
        start_close(b);
        return;
    }
    switch (b->phase) {
    case CHECK:
        b->phase = UNPACK;
        to_pool(b);
        break;
    case UNPACK:
        if (b->scan.size <= PACKAGE_INLINE_MAX) { /* one chunk held it all */
            buf_add(&b->small_flat, str_of(b->chunk, b->chunk_n));
            start_zip(b);
        } else if (b->entry < b->scan.count || b->chunk_n) {
            pass_on(b);
        } else {
            finish_writer(b, FLAT_DONE);
        }
        break;
    case FLAT_DONE:
        start_zip(b);
        break;
    case ZIP:
        if (b->chunk_n)
            pass_on(b);
        else
            finish_writer(b, ZIP_DONE);
        break;
    case ZIP_DONE:
        start_close(b);
        break;
    case CLOSE:
        finish(b);
    }
}

static void start(struct store *s, const struct package_source *src, char *copy, package_done *done,
                  void *ctx)
{
    struct build *b = calloc(1, sizeof *b);
    char *chunk = malloc(CHUNK);
    struct package *pkg = calloc(1, sizeof *pkg);
    if (!b || !chunk || !pkg)
        fatal("out of memory");
    *b = (struct build){.store = s,
                        .src = *src,
                        .copy = copy,
                        .zip = {src->zip, -1, src->zip.n},
                        .chunk = chunk,
                        .pkg = pkg,
                        .done = done,
                        .ctx = ctx};
    b->work.data = b;
    pkg->store = s;
    if (!src->zip.p)
        b->zip.fd = blob_open(s, src->blob, &b->rc);
    to_pool(b);
}

void package_build_from(struct store *s, const struct package_source *src, package_done *done,
                        void *ctx)
{
    start(s, src, NULL, done, ctx);
}

void package_build(struct store *s, struct str zip, package_done *done, void *ctx)
{
    char *copy = malloc(zip.n + 1);
    if (!copy)
        fatal("out of memory");
    if (zip.n)
        memcpy(copy, zip.p, zip.n);
    struct package_source src = {.zip = str_of(copy, zip.n)};
    start(s, &src, copy, done, ctx);
}

/* --- references ------------------------------------------------------------------------------ */

static struct str key_of(const unsigned char *sha256)
{
    return str_of((const char *)sha256, 32);
}

void package_free(struct package *p)
{
    if (!p)
        return;
    struct store_txn *t = store_read(p->store);
    struct str row = {0}, own = buf_str(&p->rec);
    bool there = store_get(t, T_PACKAGES, key_of(p->sha256), &row) == 0;
    uint16_t tags[] = {PACKAGE_ZIP_BLOB, PACKAGE_FLAT_BLOB};
    uint64_t unused[2] = {0, 0};
    for (size_t i = 0; i < 2; i++) {
        uint64_t id = rec_u64(own, tags[i], 0);
        if (id && !(there && rec_u64(row, tags[i], 0) == id))
            unused[i] = id;
    }
    store_read_end(t);
    for (size_t i = 0; i < 2; i++)
        if (unused[i])
            blob_discard(p->store, unused[i]);
    buf_deinit(&p->rec);
    buf_deinit(&p->warning);
    free(p);
}

/* Writes rec with another count of references. */
static int put_refs(struct store_txn *t, struct str rec, uint64_t refs)
{
    struct buf copy = BUF_INIT;
    struct str rest = rec, v;
    uint16_t tag;
    while (rec_next(&rest, &tag, &v)) {
        if (tag == PACKAGE_REFS)
            rec_put_u64(&copy, tag, refs);
        else
            rec_put_str(&copy, tag, v);
    }
    struct str sha = rec_str(buf_str(&copy), PACKAGE_SHA256);
    int rc = copy.rc || sha.n != 32 ? E_INTERNAL : store_put(t, T_PACKAGES, sha, buf_str(&copy));
    buf_deinit(&copy);
    return rc;
}

int package_ref(struct store_txn *t, const struct package *p)
{
    struct str rec = buf_str(&p->rec), row;
    int rc = store_get(t, T_PACKAGES, key_of(p->sha256), &row);
    if (rc == 0)
        return put_refs(t, row, rec_u64(row, PACKAGE_REFS, 0) + 1);
    if (rc != E_NOT_FOUND)
        return rc;
    uint64_t zip = rec_u64(rec, PACKAGE_ZIP_BLOB, 0), flat = rec_u64(rec, PACKAGE_FLAT_BLOB, 0);
    rc = put_refs(t, rec, 1);
    if (rc == 0 && zip)
        rc = blob_ref(t, zip, rec_u64(rec, PACKAGE_ZIP_SIZE, 0));
    if (rc == 0 && flat)
        rc = blob_ref(t, flat, rec_u64(rec, PACKAGE_FLAT_SIZE, 0));
    return rc;
}

int package_hold(struct store_txn *t, const unsigned char sha256[static 32])
{
    struct str row;
    int rc = store_get(t, T_PACKAGES, key_of(sha256), &row);
    if (rc)
        return rc == E_NOT_FOUND ? E_INTERNAL : rc;
    return put_refs(t, row, rec_u64(row, PACKAGE_REFS, 0) + 1);
}

int package_unref(struct store_txn *t, const unsigned char sha256[static 32])
{
    struct str row;
    int rc = store_get(t, T_PACKAGES, key_of(sha256), &row);
    if (rc)
        return rc == E_NOT_FOUND ? 0 : rc;
    uint64_t refs = rec_u64(row, PACKAGE_REFS, 0);
    if (refs > 1)
        return put_refs(t, row, refs - 1);
    uint64_t zip = rec_u64(row, PACKAGE_ZIP_BLOB, 0), flat = rec_u64(row, PACKAGE_FLAT_BLOB, 0);
    rc = store_del(t, T_PACKAGES, key_of(sha256));
    if (rc == 0 && zip)
        rc = blob_unref(t, zip);
    if (rc == 0 && flat)
        rc = blob_unref(t, flat);
    return rc;
}
