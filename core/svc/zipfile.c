/* zipfile: libzip over memory buffers. */
#include "svc/zipfile.h"

#include <zip.h>

enum { EPOCH = 315532800 }; /* 1980-01-01, the earliest time a zip can hold */

static int add_entry(zip_t *z, const struct zipfile_entry *e)
{
    char path[256];
    if (e->path.n >= sizeof path)
        return E_INTERNAL;
    memcpy(path, e->path.p, e->path.n);
    path[e->path.n] = 0;
    zip_source_t *s = zip_source_buffer(z, e->bytes.p, e->bytes.n, 0);
    zip_int64_t i = s ? zip_file_add(z, path, s, ZIP_FL_ENC_UTF_8) : -1;
    if (i < 0) {
        zip_source_free(s);
        return E_INTERNAL;
    }
    return zip_file_set_mtime(z, (zip_uint64_t)i, EPOCH, 0) ? E_INTERNAL : 0;
}

static int copy_out(zip_source_t *src, struct buf *out)
{
    zip_stat_t st;
    if (zip_source_stat(src, &st) || zip_source_open(src))
        return E_INTERNAL;
    char *p = buf_reserve(out, st.size);
    zip_int64_t n = p ? zip_source_read(src, p, st.size) : -1;
    zip_source_close(src);
    if (n < 0 || (zip_uint64_t)n != st.size)
        return E_INTERNAL;
    out->n += st.size;
    return 0;
}

int zipfile_write(const struct zipfile_entry *entries, size_t n, struct buf *out)
{
    zip_error_t ze;
    zip_error_init(&ze);
    zip_source_t *src = zip_source_buffer_create(NULL, 0, 0, &ze);
    zip_t *z = src ? zip_open_from_source(src, ZIP_TRUNCATE, &ze) : NULL;
    if (!z) {
        zip_source_free(src);
        return E_INTERNAL;
    }
    zip_source_keep(src);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_entry(z, &entries[i]);
    if (rc || zip_close(z)) {
        zip_discard(z);
        rc = E_INTERNAL;
    } else {
        rc = copy_out(src, out);
    }
    zip_source_free(src);
    return rc;
}

int zipfile_read(struct str zip, const char *path, size_t limit, struct buf *out)
{
    zip_error_t ze;
    zip_error_init(&ze);
    zip_source_t *src = zip_source_buffer_create(zip.p, zip.n, 0, &ze);
    zip_t *z = src ? zip_open_from_source(src, ZIP_RDONLY, &ze) : NULL;
    if (!z) {
        zip_source_free(src);
        return E_BAD_ZIP;
    }
    zip_stat_t st;
    int rc = zip_stat(z, path, 0, &st) ? E_NOT_FOUND : st.size > limit ? E_LIMIT : 0;
    zip_file_t *f = rc == 0 ? zip_fopen(z, path, 0) : NULL;
    char *p = f ? buf_reserve(out, st.size + 1) : NULL;
    if (p && zip_fread(f, p, st.size) == (zip_int64_t)st.size)
        out->n += st.size;
    else if (rc == 0)
        rc = E_BAD_ZIP;
    if (f)
        zip_fclose(f);
    zip_discard(z);
    return rc;
}
