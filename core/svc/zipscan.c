/* zipscan: the strict reading of a zip's layout.
 *
 * libzip unpacks, but is made to open what is broken, and says nothing of where entries lie. So the
 * directory is read here first, by hand, and every claim is compared with a second place that makes
 * it: counts with the walk, sizes and names with the local headers, offsets with their neighbours.
 * package.c then requires libzip to see the same list. The directory is the only part held in
 * memory (at most DIRECTORY_MAX). */
#include "svc/zipscan.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "svc/package.h"

enum {
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    COMMENT_MAX = 65535,
    NAME_MAX_ = 1024,
    DIRECTORY_MAX = 16 * 1024 * 1024,
    ENTRIES_MAX = 65535,
};

static uint16_t u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const unsigned char *p)
{
    return (uint64_t)u32(p) | (uint64_t)u32(p + 4) << 32;
}

int zip_refuse(struct err *err, struct str name, const char *reason)
{
    char shown[81];
    size_t n = 0;
    for (; n < name.n && n < sizeof shown - 1; n++) {
        unsigned char c = (unsigned char)name.p[n];
        shown[n] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    shown[n] = 0;
    if (!reason)
        return err_set(err, E_BAD_ZIP, "%s", err_row(E_BAD_ZIP)->text);
    if (!n)
        return err_set(err, E_BAD_ZIP, "%s It %s.", err_row(E_BAD_ZIP)->text, reason);
    return err_set(err, E_BAD_ZIP, "%s The entry \"%s\" %s.", err_row(E_BAD_ZIP)->text, shown,
                   reason);
}

static int broken(struct err *err, const char *reason)
{
    return zip_refuse(err, STR(""), reason);
}

int zip_bytes_read(const struct zip_bytes *z, uint64_t at, void *p, size_t n)
{
    if (at > z->size || n > z->size - at)
        return E_BAD_ZIP;
    if (z->mem.p) {
        memcpy(p, z->mem.p + at, n);
        return 0;
    }
    for (size_t got = 0; got < n;) {
        ssize_t r = pread(z->fd, (char *)p + got, n - got, (off_t)(at + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return E_IO;
        got += (size_t)r;
    }
    return 0;
}

/* --- the end of the archive ------------------------------------------------------------------ */

struct directory {
    uint64_t at, size, count;
};

/* The 64-bit end record, when a locator stands right before the end record: its values must be
 * those of the end record wherever that one states any. *end_at becomes where the directory must
 * end. */
static int read_end64(const struct zip_bytes *z, uint64_t *end_at, struct directory *d,
                      const unsigned char *end, struct err *err)
{
    unsigned char locator[LOCATOR_SIZE], r[END64_SIZE];
    bool needed = u16(end + 10) == 0xffff || d->size == 0xffffffff || d->at == 0xffffffff;
    if (*end_at < LOCATOR_SIZE || zip_bytes_read(z, *end_at - LOCATOR_SIZE, locator, LOCATOR_SIZE))
        return needed ? broken(err, NULL) : 0;
    if (u32(locator) != 0x07064b50)
        return needed && (d->size == 0xffffffff || d->at == 0xffffffff) ? broken(err, NULL) : 0;
    uint64_t at = u64(locator + 8);
    if (u32(locator + 4) != 0 || u32(locator + 16) > 1 || at > *end_at - LOCATOR_SIZE ||
        *end_at - LOCATOR_SIZE - at < END64_SIZE)
        return broken(err, NULL);
    int rc = zip_bytes_read(z, at, r, END64_SIZE);
    if (rc)
        return rc;
    uint64_t count = u64(r + 32), size = u64(r + 40), start = u64(r + 48);
    if (u32(r) != 0x06064b50 || u64(r + 4) != *end_at - LOCATOR_SIZE - at - 12 || u32(r + 16) ||
        u32(r + 20) || u64(r + 24) != count || (u16(end + 10) != 0xffff && d->count != count) ||
        (d->size != 0xffffffff && d->size != size) || (d->at != 0xffffffff && d->at != start))
        return broken(err, "contradicts itself about its size");
    *d = (struct directory){start, size, count};
    *end_at = at;
    return 0;
}

static int find_directory(const struct zip_bytes *z, struct directory *d, struct err *err)
{
    if (z->size < END_SIZE)
        return broken(err, NULL);
    size_t n = z->size < END_SIZE + COMMENT_MAX ? (size_t)z->size : END_SIZE + COMMENT_MAX;
    unsigned char *tail = malloc(n);
    if (!tail)
        return err_set(err, E_LIMIT, "Out of memory.");
    int rc = zip_bytes_read(z, z->size - n, tail, n);
    const unsigned char *end = NULL;
    for (size_t i = n - END_SIZE + 1; rc == 0 && i-- > 0 && !end;)
        if (u32(tail + i) == 0x06054b50 && u16(tail + i + 20) == n - i - END_SIZE)
            end = tail + i;
    if (rc == 0 && !end)
        rc = broken(err, NULL);
    if (rc == 0) {
        uint64_t end_at = z->size - n + (uint64_t)(end - tail);
        *d = (struct directory){u32(end + 16), u32(end + 12), u16(end + 10)};
        if (u16(end + 4) || u16(end + 6) || u16(end + 8) != u16(end + 10))
            rc = broken(err, "spans several disks");
        else
            rc = read_end64(z, &end_at, d, end, err);
        if (rc == 0 && d->count > ENTRIES_MAX)
            rc = broken(err, "holds more than 65535 entries");
        if (rc == 0 && (d->at > end_at || d->size != end_at - d->at))
            rc = broken(err, NULL);
        if (rc == 0 && (d->size > DIRECTORY_MAX || d->size < d->count * CENTRAL_SIZE))
            rc = broken(err, NULL);
    }
    free(tail);
    return rc;
}

/* --- one entry ------------------------------------------------------------------------------- */

/* Why a name may not be in a package, or NULL. */
static const char *name_fault(struct str name)
{
    if (name.n == 0 || name.n > NAME_MAX_)
        return "has no name, or one of more than 1024 bytes";
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c == '\\' || c < 0x20 || c == 0x7f)
            return "has a backslash, NUL or control byte in its name";
    }
    bool letter = (name.p[0] | 32) >= 'a' && (name.p[0] | 32) <= 'z';
    if (name.p[0] == '/' || (name.n > 1 && letter && name.p[1] == ':'))
        return "has an absolute name";
    struct str rest = name;
    if (str_ends(rest, STR("/")))
        rest.n--;
    while (rest.p) {
        struct str part = str_cut(&rest, '/');
        if (str_is(part, ".."))
            return "leaves the package";
        if (part.n == 0 || str_is(part, "."))
            return "has an empty part in its name";
    }
    return NULL;
}

/* Values that did not fit 32 bits, from the extra field with id 1. */
static bool read_extra64(const unsigned char *p, size_t n, struct zip_entry *e, uint32_t *disk)
{
    while (n >= 4) {
        size_t id = u16(p), len = u16(p + 2);
        if (len > n - 4)
            return false;
        if (id == 1) {
            uint64_t *want[] = {&e->size, &e->packed, &e->header_at};
            const unsigned char *v = p + 4;
            for (size_t i = 0; i < 3; i++) {
                if (*want[i] != 0xffffffff)
                    continue;
                if (len < 8)
                    return false;
                *want[i] = u64(v);
                v += 8;
                len -= 8;
            }
            if (*disk == 0xffff && len >= 4)
                *disk = u32(v);
            return true;
        }
        p += 4 + len;
        n -= 4 + len;
    }
    return n == 0 && e->size != 0xffffffff && e->packed != 0xffffffff && e->header_at != 0xffffffff;
}

/* What the entry is, by its Unix mode (if it bears one) and its name. */
static const char *kind_fault(const unsigned char *c, bool folder, const struct zip_entry *e)
{
    uint16_t flags = u16(c + 8), method = u16(c + 10);
    uint32_t type = (u32(c + 38) >> 16) & S_IFMT;
    if (flags & (1 | 1 << 6 | 1 << 13) || method == 99)
        return "is encrypted";
    if ((method != 0 && method != 8) || flags & 1 << 5)
        return "is compressed in a way that is not supported";
    if (type == S_IFLNK)
        return "is a link";
    if (type != 0 && type != S_IFREG && type != S_IFDIR)
        return "is a device, pipe or socket";
    if (folder && (e->size || type == S_IFREG))
        return "is a folder with content";
    if (!folder && type == S_IFDIR)
        return "is a folder without a slash";
    if (method == 0 && e->packed != e->size)
        return "lies about its size";
    return NULL;
}

/* The local header says the same as the directory; *end is where the entry's data ends. */
static int check_local(const struct zip_bytes *z, const unsigned char *c, const struct zip_entry *e,
                       uint64_t directory_at, uint64_t *end, struct err *err)
{
    unsigned char h[LOCAL_SIZE];
    char name[NAME_MAX_ + 2];
    if (e->header_at > directory_at || directory_at - e->header_at < LOCAL_SIZE + e->raw.n)
        return zip_refuse(err, e->raw, "lies outside of the archive");
    int rc = zip_bytes_read(z, e->header_at, h, sizeof h);
    if (rc == 0)
        rc = zip_bytes_read(z, e->header_at + LOCAL_SIZE, name, e->raw.n);
    if (rc)
        return rc;
    bool later = u16(h + 6) & 1 << 3; /* sizes follow the data */
    uint32_t packed = u32(h + 18), size = u32(h + 22);
    if (u32(h) != 0x04034b50 || u16(h + 26) != e->raw.n || memcmp(name, e->raw.p, e->raw.n) != 0 ||
        u16(h + 8) != e->method || (u16(h + 6) & (1 | 1 << 3)) != (u16(c + 8) & (1 | 1 << 3)))
        return zip_refuse(err, e->raw, "has two headers that differ");
    if (!later && ((packed != 0xffffffff && packed != e->packed) ||
                   (size != 0xffffffff && size != e->size) || u32(h + 14) != e->crc))
        return zip_refuse(err, e->raw, "has two headers that differ");
    uint64_t start = e->header_at + LOCAL_SIZE + e->raw.n + u16(h + 28);
    if (start > directory_at || e->packed > directory_at - start)
        return zip_refuse(err, e->raw, "lies outside of the archive");
    *end = start + e->packed;
    return 0;
}

/* --- the walk -------------------------------------------------------------------------------- */

struct span {
    uint64_t start, end;
};

struct walk {
    const struct zip_bytes *z;
    struct directory d;
    struct zipscan *out;
    struct span *spans;
    struct zip_entry *all; /* folders too: their names count as taken */
    size_t all_count;
    char *names_end;
};

static int read_entry(struct walk *w, const unsigned char *c, size_t left, size_t *used,
                      struct err *err)
{
    if (left < CENTRAL_SIZE || u32(c) != 0x02014b50)
        return broken(err, NULL);
    size_t name_n = u16(c + 28), extra_n = u16(c + 30), comment_n = u16(c + 32);
    *used = CENTRAL_SIZE + name_n + extra_n + comment_n;
    if (*used > left)
        return broken(err, NULL);
    struct zip_entry e = {
        .raw = str_of((const char *)c + CENTRAL_SIZE, name_n),
        .index = (uint32_t)w->all_count,
        .crc = u32(c + 16),
        .method = u16(c + 10),
        .packed = u32(c + 20),
        .size = u32(c + 24),
        .header_at = u32(c + 42),
    };
    uint32_t disk = u16(c + 34);
    const char *fault = name_fault(e.raw);
    e.name = e.raw;
    while (fault && str_starts(e.name, STR("./"))) {
        e.name = str_from(e.name, 2);
        fault = e.name.n ? name_fault(e.name) : "has an empty part in its name";
    }
    if (fault)
        return zip_refuse(err, e.raw, fault);
    if (!read_extra64(c + CENTRAL_SIZE + name_n, extra_n, &e, &disk) || disk != 0)
        return zip_refuse(err, e.raw, "lies about its size");
    bool folder = str_ends(e.raw, STR("/"));
    if ((fault = kind_fault(c, folder, &e)))
        return zip_refuse(err, e.raw, fault);
    int rc = check_local(w->z, c, &e, w->d.at, &w->spans[w->all_count].end, err);
    if (rc)
        return rc;
    w->spans[w->all_count].start = e.header_at;
    w->out->size += e.size; /* at most once too large: refused below */
    memcpy(w->names_end, e.raw.p, name_n);
    e.name = str_of(w->names_end + (e.name.p - e.raw.p), e.name.n);
    e.raw = str_of(w->names_end, name_n);
    w->names_end += name_n;
    if (folder)
        e.name.n--;
    else
        w->out->names_size += e.name.n;
    w->all[w->all_count++] = e;
    return e.size > PACKAGE_UNPACKED_MAX || w->out->size > PACKAGE_UNPACKED_MAX
               ? err_set(err, E_INVALID, "Unzipped size must be smaller than %d bytes",
                         PACKAGE_UNPACKED_MAX)
               : 0;
}

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static int by_name(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    return str_cmp(x->name, y->name);
}

/* What holds between entries: no shared bytes, no name twice, no absurd ratio. */
static int check_together(struct walk *w, struct err *err)
{
    qsort(w->spans, w->all_count, sizeof *w->spans, by_start);
    uint64_t packed = w->all_count ? w->spans[0].end - w->spans[0].start : 0;
    for (size_t i = 1; i < w->all_count; i++) {
        if (w->spans[i].start < w->spans[i - 1].end)
            return broken(err, "has entries that overlap");
        packed += w->spans[i].end - w->spans[i].start;
    }
    if (w->out->size > 64u * 1024 * 1024 && w->out->size / 250 > packed)
        return broken(err, "unpacks to more than 250 times its size");
    qsort(w->all, w->all_count, sizeof *w->all, by_name);
    for (size_t i = 1; i < w->all_count; i++)
        if (str_eq(w->all[i].name, w->all[i - 1].name))
            return zip_refuse(err, w->all[i].name, "is there twice");
    return 0;
}

static int scan_directory(struct walk *w, const unsigned char *c, struct err *err)
{
    size_t left = (size_t)w->d.size, used = 0;
    for (uint64_t i = 0; i < w->d.count; i++) {
        int rc = read_entry(w, c, left, &used, err);
        if (rc)
            return rc;
        c += used;
        left -= used;
    }
    if (left)
        return broken(err, NULL);
    int rc = check_together(w, err);
    if (rc)
        return rc;
    struct zipscan *o = w->out;
    o->total_entries = w->all_count;
    o->entries = w->all;
    for (size_t i = 0; i < w->all_count; i++)
        if (!str_ends(w->all[i].raw, STR("/")))
            o->entries[o->count++] = w->all[i];
    return o->count ? 0 : err_set(err, E_INVALID, "Uploaded file must be a non-empty zip");
}

int zipscan(const struct zip_bytes *z, struct zipscan *out, struct err *err)
{
    struct walk w = {.z = z, .out = out};
    *out = (struct zipscan){0};
    int rc = find_directory(z, &w.d, err);
    if (rc)
        return rc;
    size_t n = (size_t)w.d.size, count = (size_t)w.d.count;
    unsigned char *c = malloc(n + 1);
    w.spans = calloc(count + 1, sizeof *w.spans);
    w.all = calloc(count + 1, sizeof *w.all);
    out->names = w.names_end = malloc(n + 1);
    if (!c || !w.spans || !w.all || !out->names)
        rc = err_set(err, E_LIMIT, "Out of memory.");
    if (rc == 0)
        rc = zip_bytes_read(z, w.d.at, c, n);
    if (rc == 0)
        rc = scan_directory(&w, c, err);
    free(c);
    free(w.spans);
    out->entries = w.all;
    if (rc)
        zipscan_deinit(out);
    return rc;
}

void zipscan_deinit(struct zipscan *s)
{
    free(s->entries);
    free(s->names);
    *s = (struct zipscan){0};
}
