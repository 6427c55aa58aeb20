/* bundle: compiles, zips. libzip writes into a source that grows in memory. */
/* before our own: these headers name functions that base/str.h poisons */
#include <lauxlib.h>
#include <lua.h>

#include "cli/bundle.h"

#include <zip.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/tree.h"

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
static int add_entry(void *ctx, const char *path, const char *inside, bool folder);

int bundle_folder(const char *folder, struct buf *zip)
{
    struct bundle b = {0};
    int rc = start(&b);
    if (rc == 0)
        rc = tree_walk(folder, false, add_entry, &b);
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

static int add_file(struct bundle *b, const char *path, const char *entry)
{
    struct buf text;
    buf_init(&text, BUNDLE_BYTES_MAX);
    int rc = tree_read(path, &text);
    if (rc) {
        buf_deinit(&text);
        return rc;
    }
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

static int add_entry(void *ctx, const char *path, const char *inside, bool folder)
{
    return folder ? 0 : add_file(ctx, path, inside);
}
