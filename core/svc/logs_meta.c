/* logs_meta: two small files per group, replaced as a whole: written beside, synced, renamed. */
#include "svc/logs_meta.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/rec.h"
#include "svc/logs_disk.h"

enum { GROUP_CREATED = 1, GROUP_NAME, GROUP_RETENTION, GROUP_TAG };
enum { STREAMS_MARK = 1 };
enum { MARK_NAME = 1, MARK_CREATED, MARK_GONE };

/* --- making ------------------------------------------------------------------------------------- */

struct log_meta *log_meta_new(struct str name, int64_t created_ms)
{
    struct arena *a = arena_small(4 * LOG_META_BYTES_MAX); /* of each group in memory */
    struct log_meta *m = arena_zalloc(a, sizeof *m);
    m->arena = a;
    m->refs = 1;
    m->name = arena_dup(a, name);
    m->created_ms = created_ms;
    return m;
}

struct log_meta *log_meta_ref(struct log_meta *m)
{
    if (m)
        atomic_fetch_add(&m->refs, 1);
    return m;
}

void log_meta_unref(struct log_meta *m)
{
    if (m && atomic_fetch_sub(&m->refs, 1) == 1)
        arena_free(m->arena);
}

struct log_meta *log_meta_copy(const struct log_meta *m)
{
    struct log_meta *c = log_meta_new(m->name, m->created_ms);
    c->retention_days = m->retention_days;
    for (size_t i = 0; i < m->tag_count; i++)
        log_meta_set_tag(c, m->tags[i]);
    c->marks = arena_alloc(c->arena, (m->mark_count + 1) * sizeof *c->marks);
    for (size_t i = 0; c->marks && i < m->mark_count; i++) {
        c->marks[i] = m->marks[i];
        c->marks[i].name = arena_dup(c->arena, m->marks[i].name);
        c->mark_count += c->marks[i].name.p != NULL;
    }
    return c;
}

/* --- sorted lists ------------------------------------------------------------------------------- */

/* Where the name is, or belongs. */
static size_t mark_at(const struct log_meta *m, struct str name, bool *found)
{
    size_t low = 0, high = m->mark_count;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = str_cmp(m->marks[middle].name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct log_mark *log_meta_mark(const struct log_meta *m, struct str name)
{
    bool found = false;
    size_t i = m ? mark_at(m, name, &found) : 0;
    return found ? &m->marks[i] : NULL;
}

int log_meta_set_mark(struct log_meta *m, struct log_mark mark)
{
    bool found;
    size_t i = mark_at(m, mark.name, &found);
    if (!found) {
        if (m->mark_count >= LOG_MARKS_MAX)
            return E_QUOTA;
        struct log_mark *more = arena_alloc(m->arena, (m->mark_count + 1) * sizeof *more);
        struct str name = arena_dup(m->arena, mark.name);
        if (!more || !name.p)
            return E_QUOTA;
        if (i)
            memcpy(more, m->marks, i * sizeof *more);
        if (i < m->mark_count)
            memcpy(more + i + 1, m->marks + i, (m->mark_count - i) * sizeof *more);
        m->marks = more;
        m->mark_count++;
        m->marks[i].name = name;
    }
    m->marks[i].created_ms = mark.created_ms;
    m->marks[i].gone = mark.gone;
    return 0;
}

int log_meta_set_tag(struct log_meta *m, struct log_tag tag)
{
    struct log_tag own = {arena_dup(m->arena, tag.key), arena_dup(m->arena, tag.value)};
    size_t i = 0;
    if (!own.key.p || !own.value.p)
        return E_QUOTA;
    if (!m->tags)
        m->tags = arena_alloc(m->arena, LOG_TAGS_MAX * sizeof *m->tags);
    while (m->tags && i < m->tag_count && str_cmp(m->tags[i].key, tag.key) < 0)
        i++;
    if (i == m->tag_count || !str_eq(m->tags[i].key, tag.key)) {
        if (!m->tags || m->tag_count == LOG_TAGS_MAX)
            return E_TAGS;
        memmove(m->tags + i + 1, m->tags + i, (m->tag_count - i) * sizeof *m->tags);
        m->tag_count++;
    }
    m->tags[i] = own;
    return 0;
}

void log_meta_drop_tag(struct log_meta *m, struct str key)
{
    for (size_t i = 0; i < m->tag_count; i++)
        if (str_eq(m->tags[i].key, key)) {
            m->tag_count--;
            memmove(m->tags + i, m->tags + i + 1, (m->tag_count - i) * sizeof *m->tags);
            return;
        }
}

int64_t log_meta_start(const struct log_meta *m, int64_t now_ms)
{
    int64_t start = m && m->retention_days ? now_ms - m->retention_days * (int64_t)86400000 : 0;
    return start > 0 ? start : 0;
}

/* --- reading ------------------------------------------------------------------------------------ */

static bool read_file(const char *dir, const char *name, struct buf *out)
{
    char path[1024];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && st.st_size <= LOG_META_BYTES_MAX;
    char *p = ok ? buf_reserve(out, (size_t)st.st_size + 1) : NULL;
    ssize_t n = p ? read(fd, p, (size_t)st.st_size) : -1;
    close(fd);
    out->n += n > 0 ? (size_t)n : 0;
    return n >= 0 && rec_valid(buf_str(out));
}

static void read_marks(struct log_meta *m, const char *dir)
{
    struct buf bytes = BUF_INIT;
    struct str rest, v;
    uint16_t tag;
    size_t n = 0;
    if (read_file(dir, "streams", &bytes)) {
        for (rest = buf_str(&bytes); rec_next(&rest, &tag, &v);)
            n += tag == STREAMS_MARK;
        m->marks = arena_alloc(m->arena, (n + 1) * sizeof *m->marks);
        for (rest = buf_str(&bytes); m->marks && rec_next(&rest, &tag, &v);) {
            struct log_mark mark = {rec_str(v, MARK_NAME), (int64_t)rec_u64(v, MARK_CREATED, 0),
                                    rec_u64(v, MARK_GONE, 0)};
            if (tag == STREAMS_MARK && mark.name.n && m->mark_count < LOG_MARKS_MAX &&
                (m->mark_count == 0 || str_cmp(m->marks[m->mark_count - 1].name, mark.name) < 0) &&
                (mark.name = arena_dup(m->arena, mark.name)).p)
                m->marks[m->mark_count++] = mark; /* they lie in order */
        }
    }
    buf_deinit(&bytes);
}

struct log_meta *log_meta_load(const char *dir, bool head_only)
{
    struct buf bytes = BUF_INIT;
    struct log_meta *m = NULL;
    struct str rest, v;
    uint16_t tag;
    if (read_file(dir, "group", &bytes)) {
        struct str rec = buf_str(&bytes), name = rec_str(rec, GROUP_NAME);
        if (name.p && log_group_name_ok(name)) {
            m = log_meta_new(name, (int64_t)rec_u64(rec, GROUP_CREATED, 0));
            m->retention_days = (uint32_t)rec_u64(rec, GROUP_RETENTION, 0);
            for (rest = rec; rec_next(&rest, &tag, &v);)
                if (tag == GROUP_TAG)
                    log_meta_set_tag(m, (struct log_tag){rec_str(v, 1), rec_str(v, 2)});
        }
    }
    buf_deinit(&bytes);
    if (m && !head_only)
        read_marks(m, dir);
    return m;
}

/* --- writing ------------------------------------------------------------------------------------ */

static int replace(const char *dir, const char *name, const struct buf *bytes, bool sync)
{
    char fresh[1024], path[1024];
    snprintf(fresh, sizeof fresh, "%s/%s.new", dir, name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (bytes->rc || bytes->n > LOG_META_BYTES_MAX)
        return E_LIMIT;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc = 0;
    if (fd < 0)
        return log_errno();
    for (size_t at = 0; rc == 0 && at < bytes->n;) {
        ssize_t n = write(fd, bytes->p + at, bytes->n - at);
        if (n < 0 && errno != EINTR)
            rc = log_errno();
        at += n > 0 ? (size_t)n : 0;
    }
    if (rc == 0 && sync && fdatasync(fd) < 0)
        rc = log_errno();
    if (close(fd) < 0 && rc == 0)
        rc = log_errno();
    if (rc == 0 && rename(fresh, path) < 0)
        rc = log_errno();
    if (rc)
        unlink(fresh);
    return rc;
}

static void put_group(const struct log_meta *m, struct buf *out)
{
    rec_put_u64(out, GROUP_CREATED, (uint64_t)m->created_ms);
    rec_put_str(out, GROUP_NAME, m->name);
    if (m->retention_days)
        rec_put_u64(out, GROUP_RETENTION, m->retention_days);
    for (size_t i = 0; i < m->tag_count; i++) {
        size_t mark = rec_begin(out, GROUP_TAG);
        rec_put_str(out, 1, m->tags[i].key);
        rec_put_str(out, 2, m->tags[i].value);
        rec_end(out, mark);
    }
}

static void put_marks(const struct log_meta *m, uint64_t oldest, struct buf *out)
{
    for (size_t i = 0; i < m->mark_count; i++) {
        const struct log_mark *k = &m->marks[i];
        if (k->created_ms == 0 && k->gone < oldest)
            continue;
        size_t mark = rec_begin(out, STREAMS_MARK);
        rec_put_str(out, MARK_NAME, k->name);
        rec_put_u64(out, MARK_CREATED, (uint64_t)k->created_ms);
        rec_put_u64(out, MARK_GONE, k->gone);
        rec_end(out, mark);
    }
}

int log_meta_save(const struct log_meta *m, const char *dir, uint64_t oldest, bool sync)
{
    struct buf group = BUF_INIT, streams = BUF_INIT;
    put_group(m, &group);
    put_marks(m, oldest, &streams);
    int rc = replace(dir, "group", &group, sync);
    if (rc == 0 && m->mark_count)
        rc = replace(dir, "streams", &streams, sync);
    int fd = rc || !sync ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        if (fsync(fd) < 0)
            rc = E_IO;
        close(fd);
    }
    buf_deinit(&group);
    buf_deinit(&streams);
    return rc;
}
