/* console_page: a handful of built files, packed by gzip in the binary.
 *
 * Names under /assets/ hold a hash of their content, so browsers keep them for good; the page that
 * names them is never kept, so a new version is seen at once. It is the answer to every other path:
 * which view that is, the page knows. The few clients that do not take gzip get the files unpacked,
 * which is done once for each. From a folder (--console-dir) files go out as they are and are read on
 * the loop: that is for one developer. */
#include "api/console_page.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include "base/embed.h"
#include "base/hash.h"
#include "base/log.h"

enum { PLAIN_MAX = 8 << 20 };

struct file {
    struct str packed, plain; /* plain: p NULL until asked for */
    char etag[20];            /* with its quotes, of the packed bytes */
};

static const char absent[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Perilune</title>"
    "<h1>This server was built without the web console</h1>"
    "<p>Its build found no node and npm. Install them (Debian: nodejs and npm), run make again and "
    "start the new build/perilune.</p>"
    "<p>Everything the console does, the perilune and aws commands do too: perilune help.</p>";

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".woff2", "font/woff2"},
    {".json", "application/json"},
    {".png", "image/png"},
    {".map", "application/json"},
};

static struct str type_of(struct str name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (str_ends(name, str_c(types[i].suffix)))
            return str_c(types[i].type);
    return STR("application/octet-stream");
}

/* --- embedded ---------------------------------------------------------------------------------- */

/* One for each row of the table, filled when it is asked for. */
static struct file *file_at(size_t i)
{
    static struct file *files;
    size_t n = 0;
    while (!files && embed_console[n].path)
        n++;
    if (!files && !(files = calloc(n + 1, sizeof *files)))
        fatal("out of memory");
    return &files[i];
}

static struct file *file_of(struct str name)
{
    for (size_t i = 0; embed_console[i].path; i++) {
        const struct embed_entry *e = &embed_console[i];
        struct str path = str_c(e->path);
        if (path.n != name.n + 3 || !str_starts(path, name))
            continue;
        struct file *f = file_at(i);
        if (!f->packed.p) {
            char hex[65];
            f->packed = str_of(e->begin, (size_t)(e->end - e->begin));
            sha256_hex(f->packed, hex);
            snprintf(f->etag, sizeof f->etag, "\"%.16s\"", hex);
        }
        return f;
    }
    return NULL;
}

static void unpack(struct file *f)
{
    struct buf b;
    char piece[16 * 1024];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)f->packed.p, .avail_in = (uInt)f->packed.n};
    int rc = inflateInit2(&z, 16 + MAX_WBITS);
    buf_init(&b, PLAIN_MAX);
    while (rc == Z_OK) {
        z.next_out = (Bytef *)piece;
        z.avail_out = sizeof piece;
        rc = inflate(&z, Z_NO_FLUSH);
        buf_add(&b, str_of(piece, sizeof piece - z.avail_out));
    }
    inflateEnd(&z);
    if (rc != Z_STREAM_END || b.rc)
        fatal("an embedded file of the console is broken");
    f->plain = buf_str(&b); /* for as long as the program runs */
}

/* Accept-Encoding: does it name gzip, and not to refuse it? Absent: anything will do. */
static bool takes_gzip(const struct http_req *req)
{
    struct str rest = http_header(req, "accept-encoding");
    if (!rest.p)
        return true;
    while (rest.p) {
        struct str params = str_cut(&rest, ','), coding = str_trim(str_cut(&params, ';'));
        struct str q = str_trim(params.p ? params : STR(""));
        bool refused = str_is(q, "q=0") || str_starts(q, STR("q=0.0"));
        if (str_ieq(coding, STR("gzip")) || str_is(coding, "*"))
            return !refused;
    }
    return false;
}

static void send_file(struct http_req *req, struct str name, struct str body, const char *etag,
                      bool gzip)
{
    bool asset = str_starts(name, STR("assets/"));
    struct str known = http_header(req, "if-none-match");
    struct http_header h[5];
    size_t n = 0;
    h[n++] = (struct http_header){STR("Content-Type"), type_of(name)};
    h[n++] = (struct http_header){STR("Cache-Control"),
                                  asset && etag ? STR("public, max-age=31536000, immutable")
                                                : STR("no-store")};
    if (etag) {
        h[n++] = (struct http_header){STR("ETag"), str_c(etag)};
        h[n++] = (struct http_header){STR("Vary"), STR("Accept-Encoding")};
    }
    if (gzip)
        h[n++] = (struct http_header){STR("Content-Encoding"), STR("gzip")};
    if (etag && known.p && str_find(known, str_c(etag)) >= 0)
        http_reply(req, 304, h + 1, n - 1, STR(""));
    else
        http_reply(req, 200, h, n, body);
}

static bool send_embedded(struct http_req *req, struct str name)
{
    struct file *f = file_of(name);
    bool gzip = takes_gzip(req);
    if (!f)
        return false;
    if (!gzip && !f->plain.p)
        unpack(f);
    char etag[32]; /* one for each coding */
    snprintf(etag, sizeof etag, "%.17s%s\"", f->etag, gzip ? "" : "-plain");
    send_file(req, name, gzip ? f->packed : f->plain, etag, gzip);
    return true;
}

/* --- from a folder ----------------------------------------------------------------------------- */

static bool send_from(struct http_req *req, int dir, struct str name)
{
    char path[256];
    struct buf b;
    ssize_t n;
    snprintf(path, sizeof path, "%.*s", (int)(name.n < sizeof path ? name.n : 0), name.p);
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    buf_init(&b, PLAIN_MAX);
    while (buf_reserve(&b, 64 * 1024) && (n = read(fd, b.p + b.n, 64 * 1024)) > 0)
        b.n += (size_t)n;
    close(fd);
    bool whole = b.rc == 0;
    if (whole)
        send_file(req, name, buf_str(&b), NULL, false);
    buf_deinit(&b);
    return whole;
}

/* --- which ------------------------------------------------------------------------------------- */

/* "assets/NAME": letters, digits and "-_." only, none in front that hides. */
static bool is_asset(struct str name)
{
    struct str file = name;
    str_cut(&file, '/');
    if (!str_starts(name, STR("assets/")) || file.n == 0 || file.p[0] == '.')
        return false;
    for (size_t i = 0; i < file.n; i++) {
        char c = file.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == 0 || !strchr("-_.", c)))
            return false;
    }
    return true;
}

void console_page(struct http_req *req, int dir)
{
    struct http_header text[] = {{STR("Content-Type"), STR("text/plain; charset=utf-8")},
                                 {STR("Cache-Control"), STR("no-store")}};
    struct http_header html[] = {{STR("Content-Type"), STR("text/html; charset=utf-8")},
                                 {STR("Cache-Control"), STR("no-store")}};
    struct str name = str_from(req->path, 1);
    bool asset = str_starts(req->path, STR("/assets/"));
    if (!asset)
        name = STR("index.html");
    bool sent = (!asset || is_asset(name)) &&
                (dir >= 0 ? send_from(req, dir, name) : send_embedded(req, name));
    if (sent)
        return;
    if (asset)
        http_reply(req, 404, text, 2, STR("There is no such file.\n"));
    else
        http_reply(req, 200, html, 2, str_of(absent, sizeof absent - 1));
}
