/* bundle: walks, compiles, zips. libzip writes into a source that grows in memory. */
/* before our own: these headers name functions that base/str.h poisons */
#include <lauxlib.h>
#include <lua.h>

#include "cli/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/log.h"
#include "cli/cli.h"

struct bundle {
    zip_t *zip;
    zip_source_t *source;
    lua_State *lua; /* compiles only; has no libraries */
    size_t files;
    uint64_t bytes;
};

static int start(struct bundle *b);
static int finish(struct bundle *b, int rc, struct buf *out);
static int add_file(struct bundle *b, const char *path, const char *entry);
static int add_folder(struct bundle *b, const char *path, const char *entry, int depth);

int bundle_folder(const char *folder, struct buf *zip)
{
    struct bundle b = {0};
    int rc = start(&b);
    if (rc == 0)
        rc = add_folder(&b, folder, "", 0);
    if (rc == 0 && b.files == 0)
        rc = cli_fail(CLI_USAGE, "%s holds no files", folder);
    return finish(&b, rc, zip);
}

int bundle_file(const char *path, const char *entry, struct buf *zip)
{
    struct bundle b = {0};
    int rc = start(&b);
    if (rc == 0)
        rc = add_file(&b, path, entry);
    return finish(&b, rc, zip);
}

/* --- the zip -----------------------------------------------------------------------------------
 */

static int start(struct bundle *b)
{
    zip_error_t error;
    zip_error_init(&error);
    b->lua = luaL_newstate();
    b->source = zip_source_buffer_create(NULL, 0, 0, &error);
    if (!b->lua || !b->source)
        fatal("out of memory");
    zip_source_keep(b->source); /* zip_close and zip_discard drop one */
    b->zip = zip_open_from_source(b->source, ZIP_CREATE | ZIP_TRUNCATE, &error);
    return b->zip ? 0 : cli_fail(CLI_FAILED, "zip: %s", zip_error_strerror(&error));
}

static int read_out(zip_source_t *source, struct buf *out)
{
    zip_stat_t st;
    buf_init(out, 0);
    if (zip_source_open(source) != 0 || zip_source_stat(source, &st) != 0)
        return -1;
    char *to = buf_reserve(out, st.size);
    zip_int64_t n = to ? zip_source_read(source, to, st.size) : -1;
    if (n > 0)
        out->n = (size_t)n;
    zip_source_close(source);
    return n == (zip_int64_t)st.size ? 0 : -1;
}

static int finish(struct bundle *b, int rc, struct buf *out)
{
    *out = BUF_INIT;
    if (rc == 0 && zip_close(b->zip) != 0)
        rc = cli_fail(CLI_FAILED, "zip: %s", zip_strerror(b->zip));
    else if (rc == 0)
        b->zip = NULL;
    if (b->zip)
        zip_discard(b->zip);
    if (rc == 0 && read_out(b->source, out) != 0)
        rc = cli_fail(CLI_FAILED, "zip: the archive could not be read back");
    zip_source_free(b->source);
    lua_close(b->lua);
    if (rc)
        buf_deinit(out);
    return rc;
}

/* --- files -------------------------------------------------------------------------------------
 */

static int compile(struct bundle *b, const char *entry, struct str text)
{
    char name[1100];
    snprintf(name, sizeof name, "@%s", entry);
    if (str_starts(text, STR("\033")))
        return cli_fail(CLI_FAILED, "%s: bytecode cannot be deployed, only source text", entry);
    if (luaL_loadbufferx(b->lua, text.p, text.n, name, "t") != 0)
        return cli_fail(CLI_FAILED, "%s", lua_tostring(b->lua, -1));
    lua_settop(b->lua, 0);
    return 0;
}

static int read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
    if (fd < 0)
        return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s", path,
                        strerror(errno));
    buf_init(out, BUNDLE_BYTES_MAX);
    for (;;) {
        char *to = buf_reserve(out, 64 * 1024);
        ssize_t n = to ? read(fd, to, 64 * 1024) : 0;
        if (!to)
            rc = cli_fail(CLI_FAILED, "%s is too large", path);
        else if (n < 0)
            rc = cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
        if (n <= 0)
            break;
        out->n += (size_t)n;
    }
    close(fd);
    if (rc)
        buf_deinit(out);
    return rc;
}

static int add_file(struct bundle *b, const char *path, const char *entry)
{
    struct buf text;
    int rc = read_file(path, &text);
    if (rc)
        return rc;
    b->files++;
    b->bytes += text.n;
    if (b->files > BUNDLE_FILES_MAX || b->bytes > BUNDLE_BYTES_MAX)
        rc = cli_fail(CLI_FAILED, "too much for a package: more than %d files or %d MiB",
                      BUNDLE_FILES_MAX, BUNDLE_BYTES_MAX >> 20);
    if (rc == 0 && str_ends(str_c(entry), STR(".lua")))
        rc = compile(b, entry, buf_str(&text));
    if (rc) {
        buf_deinit(&text);
        return rc;
    }
    if (text.n == 0) /* libzip takes no ownership of no bytes */
        buf_deinit(&text);
    zip_source_t *s = zip_source_buffer(b->zip, text.p, text.n, 1);
    zip_int64_t i = s ? zip_file_add(b->zip, entry, s, ZIP_FL_ENC_UTF_8) : -1;
    if (i < 0) {
        zip_source_free(s);
        return cli_fail(CLI_FAILED, "zip: %s: %s", entry, zip_strerror(b->zip));
    }
    enum { FIXED_TIME = 315532800 }; /* 1980-01-01: the first day that zip knows */
    zip_file_set_mtime(b->zip, (zip_uint64_t)i, FIXED_TIME, 0);
    zip_file_set_external_attributes(b->zip, (zip_uint64_t)i, 0, ZIP_OPSYS_UNIX, 0100644u << 16);
    return 0;
}

static int add_entry(struct bundle *b, const char *folder, const char *entry, const char *name,
                     int depth)
{
    char path[4096], inside[1024];
    struct stat st;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path ||
        (size_t)snprintf(inside, sizeof inside, "%s%s%s", entry, *entry ? "/" : "", name) >=
            sizeof inside)
        return cli_fail(CLI_FAILED, "%s/%s: the path is too long", folder, name);
    if (lstat(path, &st) != 0)
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return add_folder(b, path, inside, depth + 1);
    if (S_ISREG(st.st_mode))
        return add_file(b, path, inside);
    if (!S_ISLNK(st.st_mode))
        return cli_fail(CLI_FAILED, "%s is neither a file nor a folder", path);
    fprintf(stderr, "perilune: %s is a symbolic link: left out\n", path);
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static int add_folder(struct bundle *b, const char *path, const char *entry, int depth)
{
    struct dirent **list = NULL;
    int n = depth > 32 ? -1 : scandir(path, &list, visible, by_name), rc = 0;
    if (n < 0)
        return cli_fail(CLI_FAILED, "%s: %s", path,
                        depth > 32 ? "folders are nested too deep" : strerror(errno));
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = add_entry(b, path, entry, list[i]->d_name, depth);
        free(list[i]);
    }
    free(list);
    return rc;
}
