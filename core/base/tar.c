/* tar: 512-byte blocks: a header, the file, zeros up to the next block; two empty blocks at the end.
 *
 * The reader takes hostile bytes: a header's checksum, numbers and lengths are judged before they
 * are used, names are returned as they stand (what they may be is the caller's to say). */
#include "base/tar.h"

#include <string.h>

#include "base/codec.h"

struct header { /* one block */
    char name[100], mode[8], uid[8], gid[8], size[12], time[12], sum[8], type, link[100];
    char magic[8], user[32], group[32], dev_major[8], dev_minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK, "a header is a block");

static const char zeros[TAR_BLOCK];

/* --- numbers ---------------------------------------------------------------------------------- */

static void put_number(char *field, size_t width, uint64_t v)
{
    char text[32];
    if (v >> (3 * (width - 1)) == 0) {
        snprintf(text, sizeof text, "%0*llo", (int)(width - 1), (unsigned long long)v);
        memcpy(field, text, width);
        return;
    }
    memset(field, 0, width);
    for (size_t i = width; i-- > width - 8; v >>= 8)
        field[i] = (char)v;
    field[0] = (char)0x80;
}

static bool take_number(const char *field, size_t width, uint64_t *v)
{
    *v = 0;
    if ((unsigned char)field[0] == 0x80) {
        for (size_t i = 1; i < width; i++) {
            if (*v >> 56)
                return false;
            *v = *v << 8 | (unsigned char)field[i];
        }
        return true;
    }
    size_t i = 0;
    while (i < width && field[i] == ' ')
        i++;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++)
        *v = *v << 3 | (uint64_t)(field[i] - '0');
    return i == width || field[i] == 0 || field[i] == ' ';
}

static unsigned sum_of(const struct header *h)
{
    const unsigned char *p = (const unsigned char *)h;
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof *h; i++)
        sum += i >= offsetof(struct header, sum) && i < offsetof(struct header, type) ? ' ' : p[i];
    return sum;
}

/* Six digits, NUL, blank: what everybody writes, though less is asked for. */
static void seal(const struct header *h, char sum[static 8])
{
    char text[9];
    snprintf(text, sizeof text, "%06o", sum_of(h) & 0777777);
    memcpy(sum, text, 7);
    sum[7] = ' ';
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool put(struct tar_writer *w, struct str s)
{
    w->failed = w->failed || !w->put(w->ctx, s);
    return !w->failed;
}

static bool put_pad(struct tar_writer *w, uint64_t size)
{
    size_t rest = (size_t)(size % TAR_BLOCK);
    return !rest || put(w, str_of(zeros, TAR_BLOCK - rest));
}

static bool put_header(struct tar_writer *w, struct str name, char type, uint64_t size)
{
    struct header h = {.type = type, .magic = "ustar"};
    memcpy(h.magic + 6, "00", 2);
    memcpy(h.name, name.p, name.n < sizeof h.name ? name.n : sizeof h.name);
    put_number(h.mode, sizeof h.mode, 0600);
    put_number(h.uid, sizeof h.uid, 0);
    put_number(h.gid, sizeof h.gid, 0);
    put_number(h.size, sizeof h.size, size);
    put_number(h.time, sizeof h.time, (uint64_t)w->time_s);
    seal(&h, h.sum);
    return put(w, str_of((const char *)&h, sizeof h));
}

/* "LENGTH path=NAME\n", the length counting itself. */
static bool put_long_name(struct tar_writer *w, struct str name)
{
    struct buf b = BUF_INIT;
    size_t rest = strlen(" path=\n") + name.n, n = rest + 1;
    for (size_t digits = 1, ten = 10; n >= ten; ten *= 10)
        n = rest + ++digits;
    buf_printf(&b, "%zu path=%.*s\n", n, STR_FMT(name));
    bool ok = put_header(w, STR("pax"), 'x', b.n) && put(w, buf_str(&b)) && put_pad(w, b.n);
    buf_deinit(&b);
    return ok;
}

static void close_file(struct tar_writer *w)
{
    unsigned char digest[32];
    char hex[65];
    if (!w->hash)
        return;
    hash_final(w->hash, digest);
    w->hash = NULL;
    hex_encode(digest, sizeof digest, hex);
    buf_printf(&w->sums, "%s  %.*s\n", hex, STR_FMT(buf_str(&w->name)));
}

bool tar_file(struct tar_writer *w, const char *name, uint64_t size)
{
    struct str s = str_c(name);
    close_file(w);
    buf_clear(&w->name);
    buf_add(&w->name, s);
    w->hash = hash_new(HASH_SHA256);
    w->size = w->left = size;
    if (s.n > sizeof((struct header *)0)->name && !put_long_name(w, s))
        return false;
    return put_header(w, s, '0', size);
}

bool tar_bytes(struct tar_writer *w, struct str bytes)
{
    hash_update(w->hash, bytes.p, bytes.n);
    w->left -= bytes.n;
    return put(w, bytes) && (w->left || put_pad(w, w->size));
}

bool tar_end(struct tar_writer *w)
{
    close_file(w);
    bool ok = w->sums.rc == 0 && put_header(w, STR(TAR_SUMS), '0', w->sums.n) &&
              put(w, buf_str(&w->sums)) && put_pad(w, w->sums.n);
    return ok && put(w, str_of(zeros, TAR_BLOCK)) && put(w, str_of(zeros, TAR_BLOCK));
}

void tar_deinit(struct tar_writer *w)
{
    hash_free(w->hash);
    buf_deinit(&w->sums);
    buf_deinit(&w->name);
}

/* --- reading ---------------------------------------------------------------------------------- */

static int bad(struct err *err, const char *why)
{
    return err_set(err, E_INVALID, "it is no whole backup: %s", why);
}

/* n bytes or an error; 0 bytes are an error too. */
static int get_all(struct tar_reader *r, char *p, size_t n, struct err *err)
{
    while (n) {
        ssize_t got = r->get(r->ctx, p, n);
        if (got < 0)
            return err_set(err, E_IO, "it cannot be read to its end");
        if (got == 0)
            return bad(err, "it ends too early");
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

ssize_t tar_read(struct tar_reader *r, char *p, size_t n, struct err *err)
{
    if (r->left == 0)
        return 0;
    n = r->left < n ? (size_t)r->left : n;
    int rc = get_all(r, p, n, err);
    if (rc)
        return rc;
    r->left -= n;
    if (r->in_sums)
        buf_add(&r->listed, str_of(p, n));
    else if (r->hash)
        hash_update(r->hash, p, n);
    return (ssize_t)n;
}

/* Past what is left of the file; its sum is noted. */
static int leave_file(struct tar_reader *r, struct err *err)
{
    char block[4096], hex[65];
    unsigned char digest[32];
    ssize_t n;
    while ((n = tar_read(r, block, sizeof block, err)) > 0)
        ;
    if (n < 0)
        return (int)n;
    if (r->hash) {
        hash_final(r->hash, digest);
        r->hash = NULL;
        hex_encode(digest, sizeof digest, hex);
        buf_printf(&r->sums, "%s  %s\n", hex, r->name);
    }
    size_t pad = (size_t)r->pad;
    r->pad = 0;
    int rc = pad ? get_all(r, block, pad, err) : 0;
    return rc == 0 && memcmp(block, zeros, pad) != 0 ? bad(err, "there is something between files")
                                                     : rc;
}

static int take_header(struct tar_reader *r, struct header *h, struct err *err)
{
    char sum[8];
    int rc = get_all(r, (char *)h, sizeof *h, err);
    if (rc)
        return rc;
    if (memcmp(h, zeros, sizeof *h) == 0)
        return 0;
    seal(h, sum);
    if (memcmp(h->sum, sum, sizeof sum) != 0 || memcmp(h->magic, "ustar", 5) != 0 ||
        !take_number(h->size, sizeof h->size, &r->left))
        return bad(err, "a header in it is damaged");
    r->pad = (TAR_BLOCK - r->left % TAR_BLOCK) % TAR_BLOCK;
    return 1;
}

/* A pax header's path into r->name; that alone may be in it. */
static int take_long_name(struct tar_reader *r, struct err *err)
{
    char text[TAR_NAME_MAX + 32];
    size_t n = (size_t)r->left;
    if (r->left >= sizeof text)
        return bad(err, "a name in it is too long");
    int rc = get_all(r, text, n, err);
    r->left = 0;
    text[n] = 0;
    if (rc)
        return rc;
    char *path = strstr(text, " path=");
    if (!path || text[n - 1] != '\n' || n - (size_t)(path - text) > sizeof r->name ||
        strtoul(text, NULL, 10) != n || strspn(text, "0123456789") != (size_t)(path - text))
        return bad(err, "a name in it is damaged");
    text[n - 1] = 0;
    snprintf(r->name, sizeof r->name, "%s", path + 6);
    return leave_file(r, err);
}

static int at_end(struct tar_reader *r, struct err *err)
{
    if (!r->in_sums)
        return bad(err, "its checksums are missing");
    if (!str_eq(buf_str(&r->sums), buf_str(&r->listed)))
        return bad(err, "its bytes do not have the checksums in it");
    return 0;
}

int tar_next(struct tar_reader *r, struct err *err)
{
    struct header h;
    bool named = false;
    int rc = leave_file(r, err);
    while (rc == 0 && (rc = take_header(r, &h, err)) == 1 && h.type == 'x' && !named) {
        rc = take_long_name(r, err);
        named = true;
    }
    if (rc != 1)
        return rc == 0 ? at_end(r, err) : rc;
    if ((h.type != '0' && h.type != 0) || r->in_sums)
        return bad(err, "there is something else in it");
    if (!named)
        snprintf(r->name, sizeof r->name, "%.100s", h.name);
    r->in_sums = strcmp(r->name, TAR_SUMS) == 0;
    if (!r->in_sums)
        r->hash = hash_new(HASH_SHA256);
    return 1;
}

void tar_reader_deinit(struct tar_reader *r)
{
    hash_free(r->hash);
    buf_deinit(&r->sums);
    buf_deinit(&r->listed);
}
