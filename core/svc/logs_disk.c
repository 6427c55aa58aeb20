/* logs_disk: segments are appended to, closed, and unlinked from the oldest end; nothing in them is
 * ever rewritten.
 *
 * A segment is closed at a block's start once it has reached segment_max, so every segment, and
 * every block in it, can be read alone. After a crash the active segment is read through once: its
 * index is made from what is sound, and the file is cut at the first record that is not. A failed
 * write is cut off again, so that d->size always ends at a record's end. */
#include "svc/logs_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/log.h"

enum { PLAIN_NAME_MAX = 200, READ_MAX = 64 << 20 };

static const char magic[LOG_MAGIC_SIZE] = "PLLOG1\r\n";

/* --- names ------------------------------------------------------------------------------------ */

bool log_group_name_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_' || c == '/' || c == '#'))
            return false;
    }
    return name.n >= 1 && name.n <= 512;
}

void log_dir_name(struct str group, char out[static LOG_DIR_MAX])
{
    if (group.n > PLAIN_NAME_MAX) {
        out[0] = 'h';
        sha256_hex(group, out + 1);
        return;
    }
    out[0] = 'g';
    for (size_t i = 0; i < group.n; i++)
        out[i + 1] = group.p[i] == '/' ? '+' : group.p[i];
    out[group.n + 1] = 0;
}

void log_segment_path(const char *dir, uint64_t first_id, const char *ext, char *out, size_t size)
{
    snprintf(out, size, "%s/%016llx%s", dir, (unsigned long long)first_id, ext);
}

bool log_segment_name(const char *file, const char *ext, uint64_t *first_id)
{
    unsigned char raw[8];
    struct str s = str_c(file);
    if (s.n != 16 + strlen(ext) || !str_ends(s, str_c(ext)) || !hex_decode(str_of(s.p, 16), raw))
        return false;
    *first_id = 0;
    for (int i = 0; i < 8; i++)
        *first_id = *first_id << 8 | raw[i];
    return true;
}

int log_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT ? E_NO_SPACE : E_IO;
}

struct log_disk *log_disk_new(const char *root, struct str name, uint64_t segment_max,
                              uint64_t group_max, _Atomic int64_t *total)
{
    char folder[LOG_DIR_MAX];
    struct log_disk *d = calloc(1, sizeof *d);
    if (!d)
        fatal("out of memory");
    log_dir_name(name, folder);
    d->name = strndup(name.p, name.n);
    d->name_n = name.n;
    if (!d->name || asprintf(&d->dir, "%s/%s", root, folder) < 0)
        fatal("out of memory");
    d->segment_max = segment_max;
    d->group_max = group_max;
    d->total = total;
    uv_mutex_init(&d->lock);
    return d;
}

static void forget_all(struct log_disk *d)
{
    free(d->segments);
    d->segments = NULL;
    d->count = d->capacity = 0;
    buf_deinit(&d->index);
    log_index_free(&d->live);
    log_meta_unref(d->meta);
    d->meta = NULL;
    d->live_open = false;
    d->bytes = 0;
    d->exists = false;
    d->sync_from = 0;
}

void log_disk_free(struct log_disk *d)
{
    forget_all(d);
    uv_mutex_destroy(&d->lock);
    free(d->name);
    free(d->dir);
    free(d);
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool read_all(int fd, struct buf *out)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size > READ_MAX)
        return false;
    char *p = buf_reserve(out, (size_t)st.st_size + 1);
    while (p && out->n < (size_t)st.st_size) {
        ssize_t n = read(fd, p + out->n, (size_t)st.st_size - out->n);
        if (n < 0)
            return false;
        if (n == 0)
            break;
        out->n += (size_t)n;
    }
    return p;
}

/* Index entries of the sound blocks of a segment's bytes; returns how many bytes are sound. */
static size_t scan(struct str bytes, struct buf *index, uint64_t *last_id)
{
    struct index_builder b = {0};
    struct log_record r;
    size_t at = LOG_MAGIC_SIZE, size;
    if (bytes.n < LOG_MAGIC_SIZE || memcmp(bytes.p, magic, LOG_MAGIC_SIZE) != 0)
        return 0;
    while ((size = log_record_get(str_from(bytes, at), true, &r)) != 0) {
        if (r.kind == LOG_KIND_STREAM && r.stream == 0) {
            log_index_end(&b, index);
            log_index_begin(&b, (uint32_t)at);
        }
        if (!log_index_add(&b, &r, size))
            break;
        if (r.id > *last_id)
            *last_id = r.id;
        at += size;
    }
    log_index_end(&b, index);
    log_index_free(&b);
    return at;
}

static void add_segment(struct log_disk *d, struct log_segment s)
{
    if (d->count == d->capacity) {
        size_t n = d->capacity ? 2 * d->capacity : 8;
        struct log_segment *p = realloc(d->segments, n * sizeof *p);
        if (!p)
            fatal("out of memory");
        d->segments = p;
        d->capacity = n;
    }
    d->segments[d->count++] = s;
}

static int by_id(const void *a, const void *b)
{
    const struct log_segment *x = a, *y = b;
    return x->first_id < y->first_id ? -1 : x->first_id > y->first_id;
}

static uint64_t file_size(const char *dir, uint64_t first_id, const char *ext)
{
    char path[1024];
    struct stat st;
    log_segment_path(dir, first_id, ext, path, sizeof path);
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Reads the active segment through and cuts it. */
static int recover(struct log_disk *d, struct log_segment *s, uint64_t *last_id)
{
    char path[1024];
    struct buf bytes = BUF_INIT;
    int rc = 0;
    log_segment_path(d->dir, s->first_id, ".log", path, sizeof path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? E_NOT_FOUND : E_IO;
    buf_clear(&d->index);
    if (read_all(fd, &bytes)) {
        size_t good = scan(buf_str(&bytes), &d->index, last_id);
        if (good < LOG_MAGIC_SIZE) {
            unlink(path); /* made just before the crash, or not ours */
            rc = E_NOT_FOUND;
        } else if (good < bytes.n && ftruncate(fd, (off_t)good) < 0) {
            rc = E_IO;
        }
        s->size = good;
    } else {
        rc = E_IO;
    }
    buf_deinit(&bytes);
    close(fd);
    return rc;
}

static void list_segments(struct log_disk *d, DIR *dir)
{
    struct dirent *e;
    while ((e = readdir(dir))) {
        struct log_segment s = {0};
        if (log_segment_name(e->d_name, ".log", &s.first_id)) {
            s.size = file_size(d->dir, s.first_id, ".log");
            s.index_size = file_size(d->dir, s.first_id, ".idx");
            add_segment(d, s);
        }
    }
    if (d->count)
        qsort(d->segments, d->count, sizeof *d->segments, by_id);
}

int log_disk_open(struct log_disk *d, uint64_t *last_id)
{
    int rc = 0;
    *last_id = 0;
    DIR *dir = opendir(d->dir);
    if (!dir)
        return errno == ENOENT ? 0 : E_IO;
    struct log_meta *meta = log_meta_load(d->dir, false);
    uv_mutex_lock(&d->lock);
    d->exists = true;
    d->meta = meta ? meta : log_meta_new(str_of(d->name, d->name_n), 0);
    list_segments(d, dir);
    closedir(dir);
    while (d->count && (rc = recover(d, &d->segments[d->count - 1], last_id)) == E_NOT_FOUND)
        d->count--;
    if (rc == E_NOT_FOUND)
        rc = 0;
    for (size_t i = 0; i < d->count; i++) {
        d->bytes += d->segments[i].size + d->segments[i].index_size;
        if (d->segments[i].first_id > *last_id)
            *last_id = d->segments[i].first_id;
        d->sync_from = d->segments[i].first_id;
    }
    uv_mutex_unlock(&d->lock);
    return rc;
}

/* --- creating and removing -------------------------------------------------------------------- */

static int write_all(int fd, const char *p, size_t n, off_t at)
{
    while (n) {
        ssize_t k = pwrite(fd, p, n, at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return log_errno();
        p += k;
        n -= (size_t)k;
        at += k;
    }
    return 0;
}

static int write_file(const char *path, struct str bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return log_errno();
    int rc = write_all(fd, bytes.p, bytes.n, 0);
    if (close(fd) < 0 && rc == 0)
        rc = log_errno();
    if (rc)
        unlink(path);
    return rc;
}

int log_disk_create(struct log_disk *d, int64_t now_ms, bool sync)
{
    if (mkdir(d->dir, 0700) < 0)
        return errno == EEXIST ? E_EXISTS : log_errno();
    struct log_meta *meta = log_meta_new(str_of(d->name, d->name_n), now_ms);
    int rc = log_meta_save(meta, d->dir, 0, sync);
    if (rc) {
        log_meta_unref(meta);
        rmdir(d->dir);
        return rc;
    }
    uv_mutex_lock(&d->lock);
    d->exists = true;
    log_meta_unref(d->meta);
    d->meta = meta;
    d->dir_synced = false;
    uv_mutex_unlock(&d->lock);
    return 0;
}

struct log_meta *log_disk_meta(struct log_disk *d)
{
    uv_mutex_lock(&d->lock);
    struct log_meta *m = log_meta_ref(d->meta);
    uv_mutex_unlock(&d->lock);
    return m ? m : log_meta_new(str_of(d->name, d->name_n), 0);
}

int log_disk_set_meta(struct log_disk *d, struct log_meta *m)
{
    int rc = d->exists ? 0 : log_disk_create(d, m->created_ms, true);
    if (rc == 0)
        rc = log_meta_save(m, d->dir, d->count ? d->segments[0].first_id : 0, true);
    if (rc) {
        log_meta_unref(m);
        return rc;
    }
    uv_mutex_lock(&d->lock);
    log_meta_unref(d->meta);
    d->meta = m;
    uv_mutex_unlock(&d->lock);
    return 0;
}

int log_disk_remove(struct log_disk *d)
{
    char path[1024];
    struct dirent *e;
    DIR *dir = opendir(d->dir);
    if (dir) {
        while ((e = readdir(dir))) {
            snprintf(path, sizeof path, "%s/%s", d->dir, e->d_name);
            if (e->d_name[0] != '.')
                unlink(path);
        }
        closedir(dir);
    }
    bool failed = rmdir(d->dir) < 0 && errno != ENOENT;
    uv_mutex_lock(&d->lock);
    atomic_fetch_sub(d->total, (int64_t)d->bytes);
    forget_all(d);
    uv_mutex_unlock(&d->lock);
    return failed ? E_IO : 0;
}

/* --- appending -------------------------------------------------------------------------------- */

/* As the store does: the last of the space is for deletes and for what must be committed. */
static bool space_is_low(const char *dir)
{
    struct statvfs v;
    if (statvfs(dir, &v) < 0)
        return false;
    uint64_t all = (uint64_t)v.f_blocks * v.f_frsize, free_ = (uint64_t)v.f_bavail * v.f_frsize;
    uint64_t floor = all / 20 < (64u << 20) ? all / 20 : 64u << 20;
    return free_ < floor;
}

static void account(struct log_disk *d, int64_t bytes)
{
    d->bytes = (uint64_t)((int64_t)d->bytes + bytes);
    atomic_fetch_add(d->total, bytes);
}

static void close_segment(struct log_disk *d)
{
    char path[1024];
    struct log_segment *s = &d->segments[d->count - 1];
    log_segment_path(d->dir, s->first_id, ".idx", path, sizeof path);
    if (write_file(path, buf_str(&d->index)) == 0) { /* else it is made again when needed */
        s->index_size = d->index.n;
        account(d, (int64_t)d->index.n);
    }
    buf_deinit(&d->index);
}

static int new_segment(struct log_disk *d, uint64_t first_id)
{
    char path[1024];
    log_segment_path(d->dir, first_id, ".log", path, sizeof path);
    int rc = write_file(path, str_of(magic, sizeof magic));
    if (rc)
        return rc;
    uv_mutex_lock(&d->lock);
    if (d->count)
        close_segment(d);
    add_segment(d, (struct log_segment){first_id, LOG_MAGIC_SIZE, 0});
    account(d, LOG_MAGIC_SIZE);
    d->dir_synced = false;
    uv_mutex_unlock(&d->lock);
    return 0;
}

static void end_block(struct log_disk *d)
{
    if (!d->live_open)
        return;
    d->live_open = false;
    uv_mutex_lock(&d->lock);
    log_index_end(&d->live, &d->index);
    uv_mutex_unlock(&d->lock);
    log_index_begin(&d->live, 0);
}

static int begin_block(struct log_disk *d, const struct log_piece *piece)
{
    end_block(d);
    if (d->count == 0 || d->segments[d->count - 1].size >= d->segment_max) {
        int rc = new_segment(d, piece->first_id);
        if (rc)
            return rc;
    }
    log_index_begin(&d->live, (uint32_t)d->segments[d->count - 1].size);
    d->live_open = true;
    return 0;
}

/* Seals the piece's records into a copy; what is written is exactly what readers of memory see. */
static void seal(struct log_disk *d, const char *from, char *copy, size_t n)
{
    struct log_record r;
    size_t size;
    memcpy(copy, from, n);
    for (size_t at = 0; at < n; at += size) {
        size = log_record_skim(str_of(copy + at, n - at), &r);
        ASSERT(size);
        log_record_seal(copy + at, size);
        log_index_add(&d->live, &r, size);
    }
}

/* Writes n bytes behind the active segment's last whole record, or leaves everything as it was. */
static int write_records(struct log_disk *d, const char *from, size_t n)
{
    char path[1024];
    struct log_segment *s = &d->segments[d->count - 1];
    struct index_block before = d->live.block;
    log_segment_path(d->dir, s->first_id, ".log", path, sizeof path);
    int rc, fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? E_NOT_FOUND : log_errno();
    char *copy = malloc(n);
    if (copy) {
        seal(d, from, copy, n);
        rc = write_all(fd, copy, n, (off_t)s->size);
        free(copy);
    } else {
        rc = E_IO;
    }
    if (rc) {
        log_index_rollback(&d->live, &before);
        if (ftruncate(fd, (off_t)s->size) < 0)
            log_warn("logs: %s cannot be cut after a failed write", path);
    } else {
        uv_mutex_lock(&d->lock);
        s->size += n;
        account(d, (int64_t)n);
        uv_mutex_unlock(&d->lock);
    }
    close(fd);
    return rc;
}

static int append_piece(struct log_disk *d, const struct log_piece *piece)
{
    /* a block whose beginning is not on the disk (any more) is written from its start */
    size_t from = d->live_open ? piece->from : 0;
    int rc = 0;
    if (from == 0)
        rc = begin_block(d, piece);
    if (rc == 0 && piece->to > from)
        rc = write_records(d, piece->all + from, piece->to - from);
    if (rc == E_NOT_FOUND) { /* somebody has removed the files */
        uv_mutex_lock(&d->lock);
        atomic_fetch_sub(d->total, (int64_t)d->bytes);
        forget_all(d);
        uv_mutex_unlock(&d->lock);
        rc = E_IO;
    }
    if (rc == 0 && piece->sealed)
        end_block(d);
    return rc;
}

static void unlink_segment(struct log_disk *d, const struct log_segment *s)
{
    char path[1024];
    log_segment_path(d->dir, s->first_id, ".log", path, sizeof path);
    unlink(path);
    log_segment_path(d->dir, s->first_id, ".idx", path, sizeof path);
    unlink(path);
}

/* Drops the oldest segments: past group_max all but the active one; when told to give, that one
 * too. A block that is still in memory is then written anew from its start. */
static void trim(struct log_disk *d)
{
    while (d->give ? d->count : d->bytes > d->group_max && d->count > 1) {
        struct log_segment oldest = d->segments[0];
        uv_mutex_lock(&d->lock);
        d->count--;
        memmove(d->segments, d->segments + 1, d->count * sizeof *d->segments);
        account(d, -(int64_t)(oldest.size + oldest.index_size));
        if (d->count == 0) {
            buf_clear(&d->index);
            d->live_open = false;
        }
        uv_mutex_unlock(&d->lock);
        unlink_segment(d, &oldest);
        d->give -= d->give != 0;
    }
    d->give = 0;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : E_IO;
    int rc = fdatasync(fd) < 0 ? E_IO : 0;
    close(fd);
    return rc;
}

int log_disk_sync(struct log_disk *d)
{
    char path[1024];
    size_t n = 0;
    int rc = 0;
    uv_mutex_lock(&d->lock);
    uint64_t *ids = malloc((d->count + 1) * sizeof *ids), from = d->sync_from;
    if (!ids)
        fatal("out of memory");
    for (size_t i = 0; i < d->count; i++)
        if (d->segments[i].first_id >= from)
            ids[n++] = d->segments[i].first_id;
    bool folder = d->exists && !d->dir_synced;
    d->dir_synced = true; /* a new segment meanwhile says otherwise */
    uv_mutex_unlock(&d->lock);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        log_segment_path(d->dir, ids[i], ".log", path, sizeof path);
        rc = sync_path(path, O_WRONLY);
    }
    if (rc == 0 && folder)
        rc = sync_path(d->dir, O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof path, "%s/..", d->dir);
    if (rc == 0 && folder)
        rc = sync_path(path, O_RDONLY | O_DIRECTORY);
    uv_mutex_lock(&d->lock);
    if (rc == 0 && n)
        d->sync_from = ids[n - 1];
    if (rc && folder)
        d->dir_synced = false;
    uv_mutex_unlock(&d->lock);
    free(ids);
    return rc;
}

int log_disk_append(struct log_disk *d, struct log_piece *pieces, size_t count, int64_t now_ms,
                    size_t *written)
{
    int rc = 0;
    *written = 0;
    if (count && !d->exists)
        rc = log_disk_create(d, now_ms, false);
    if (rc == E_EXISTS)
        rc = 0;
    if (rc == 0 && count && space_is_low(d->dir))
        rc = E_NO_SPACE;
    while (rc == 0 && *written < count) {
        rc = append_piece(d, &pieces[*written]);
        if (rc == 0)
            ++*written;
    }
    trim(d);
    return rc;
}

/* --- views ------------------------------------------------------------------------------------ */

void log_view_take(struct log_disk *d, struct log_view *v)
{
    *v = (struct log_view){0};
    uv_mutex_lock(&d->lock);
    v->exists = d->exists;
    v->meta = log_meta_ref(d->meta);
    v->count = d->count;
    v->segments = malloc((d->count + 1) * sizeof *v->segments);
    if (!v->segments)
        fatal("out of memory");
    if (d->count)
        memcpy(v->segments, d->segments, d->count * sizeof *v->segments);
    buf_add(&v->index, buf_str(&d->index));
    uv_mutex_unlock(&d->lock);
}

void log_view_free(struct log_view *v)
{
    free(v->segments);
    buf_deinit(&v->index);
    log_meta_unref(v->meta);
}

int log_view_fd(const struct log_disk *d, const struct log_view *v, size_t i)
{
    char path[1024];
    log_segment_path(d->dir, v->segments[i].first_id, ".log", path, sizeof path);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void log_view_index(const struct log_disk *d, const struct log_view *v, size_t i, struct buf *out)
{
    char path[1024];
    struct buf bytes = BUF_INIT;
    uint64_t last = 0;
    buf_clear(out);
    if (i + 1 == v->count) {
        buf_add(out, buf_str(&v->index));
        return;
    }
    log_segment_path(d->dir, v->segments[i].first_id, ".idx", path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        read_all(fd, out);
        close(fd);
    } else if ((fd = log_view_fd(d, v, i)) >= 0) {
        if (read_all(fd, &bytes))
            scan(buf_str(&bytes), out, &last);
        close(fd);
        buf_deinit(&bytes);
    }
}
