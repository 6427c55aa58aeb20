/* tree: scandir, folder by folder; reading follows no link. */
#include "cli/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"

enum { DEPTH_MAX = 32, READ_STEP = 64 * 1024 };

struct walk {
    tree_each *each;
    void *ctx;
    bool quiet;
};

static int walk_folder(struct walk *w, const char *path, const char *inside, int depth);

int tree_walk(const char *folder, bool quiet, tree_each *each, void *ctx)
{
    struct walk w = {each, ctx, quiet};
    return walk_folder(&w, folder, "", 0);
}

static int walk_entry(struct walk *w, const char *folder, const char *above, const char *name,
                      int depth)
{
    char path[4096], inside[1024];
    struct stat st;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path ||
        (size_t)snprintf(inside, sizeof inside, "%s%s%s", above, *above ? "/" : "", name) >=
            sizeof inside)
        return cli_fail(CLI_FAILED, "%s/%s: the path is too long", folder, name);
    if (lstat(path, &st) != 0)
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return walk_folder(w, path, inside, depth + 1);
    if (S_ISREG(st.st_mode))
        return w->each(w->ctx, path, inside, false);
    if (!S_ISLNK(st.st_mode))
        return cli_fail(CLI_FAILED, "%s is neither a file nor a folder", path);
    if (!w->quiet)
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

static int walk_folder(struct walk *w, const char *path, const char *inside, int depth)
{
    struct dirent **list = NULL;
    int rc = w->each(w->ctx, path, inside, true);
    if (rc)
        return rc;
    int n = depth > DEPTH_MAX ? -1 : scandir(path, &list, visible, by_name);
    if (n < 0)
        return cli_fail(CLI_FAILED, "%s: %s", path,
                        depth > DEPTH_MAX ? "folders are nested too deep" : strerror(errno));
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = walk_entry(w, path, inside, list[i]->d_name, depth);
        free(list[i]);
    }
    free(list);
    return rc;
}

int tree_read(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
    if (fd < 0)
        return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s", path,
                        strerror(errno));
    for (;;) {
        char *to = buf_reserve(out, READ_STEP);
        ssize_t n = to ? read(fd, to, READ_STEP) : 0;
        if (!to)
            rc = cli_fail(CLI_FAILED, "%s is too large", path);
        else if (n < 0)
            rc = cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
        if (n <= 0)
            break;
        out->n += (size_t)n;
    }
    close(fd);
    return rc;
}

/* --- a project in memory -----------------------------------------------------------------------
 */

/* While reading, paths and bytes are offsets into one buffer, which moves as it grows. */
struct reading {
    struct buf bytes;
    struct {
        size_t path, path_size, at, size;
    } * files;
    size_t count, cap;
};

static int add_file(void *ctx, const char *path, const char *inside, bool folder)
{
    struct reading *r = ctx;
    if (folder)
        return 0;
    if (r->count == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 64;
        r->files = realloc(r->files, r->cap * sizeof *r->files);
        if (!r->files)
            fatal("out of memory");
    }
    size_t name = r->bytes.n;
    buf_add(&r->bytes, str_c(inside));
    size_t at = r->bytes.n;
    int rc = tree_read(path, &r->bytes);
    if (rc == 0) {
        r->files[r->count].path = name;
        r->files[r->count].path_size = at - name;
        r->files[r->count].at = at;
        r->files[r->count++].size = r->bytes.n - at;
    }
    return rc;
}

int project_read(const char *path, struct project *out)
{
    struct reading r = {.files = NULL};
    struct stat st;
    *out = (struct project){0};
    buf_init(&r.bytes, PROJECT_BYTES_MAX);
    int rc = stat(path, &st) == 0 ? 0
                                  : cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s",
                                             path, strerror(errno));
    const char *slash = strrchr(path, '/');
    if (rc == 0)
        rc = S_ISDIR(st.st_mode) ? tree_walk(path, true, add_file, &r)
                                 : add_file(&r, path, slash ? slash + 1 : path, false);
    out->files = rc ? NULL : calloc(r.count + 1, sizeof *out->files);
    for (size_t i = 0; rc == 0 && out->files && i < r.count; i++)
        out->files[out->count++] = (struct zipfile_entry){
            str_of(r.bytes.p + r.files[i].path, r.files[i].path_size),
            str_of(r.bytes.p + r.files[i].at, r.files[i].size),
        };
    free(r.files);
    if (rc)
        buf_deinit(&r.bytes);
    out->bytes_ = rc ? NULL : r.bytes.p;
    return rc;
}

void project_free(struct project *p)
{
    free(p->files);
    free(p->bytes_);
    *p = (struct project){0};
}

struct str project_file(const struct project *p, const char *path)
{
    for (size_t i = 0; i < p->count; i++)
        if (str_is(p->files[i].path, path))
            return p->files[i].bytes.p ? p->files[i].bytes : STR("");
    return str_of(NULL, 0);
}
