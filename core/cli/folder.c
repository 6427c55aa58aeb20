/* folder: a store without a server. The store's own lock decides who may have it. */
#include "cli/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/paths.h"

enum { MAP_SIZE_SHIFT = 38 }; /* serve's default: 256 GiB */

static const char *path_of(const struct cli *cli)
{
    const char *data = cli_value(cli, "--data");
    return data && *data ? data : paths_data();
}

bool folder_is_meant(const struct cli *cli)
{
    char path[4096];
    if (!cli_value(cli, "--data"))
        return false;
    snprintf(path, sizeof path, "%s/lock", path_of(cli));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool free = fd < 0 ? errno == ENOENT : flock(fd, LOCK_SH | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return free;
}

static int become_owner(const char *path, const struct stat *st)
{
    if (geteuid() != 0 || st->st_uid == 0)
        return CLI_OK;
    if (setgroups(0, NULL) || setresgid(st->st_gid, st->st_gid, st->st_gid) ||
        setresuid(st->st_uid, st->st_uid, st->st_uid))
        return cli_fail(CLI_FAILED, "cannot become the owner of %s: %s", path, strerror(errno));
    return CLI_OK;
}

int folder_open(const struct cli *cli, struct folder *out)
{
    struct err err = {0};
    struct stat st;
    char rows[4096];
    out->path = path_of(cli);
    snprintf(rows, sizeof rows, "%s/meta.mdb", out->path);
    if (stat(rows, &st) && (errno == ENOENT || errno == ENOTDIR))
        return cli_fail(CLI_NOT_FOUND, "there is no data folder at %s", out->path);
    int rc = stat(out->path, &st) ? cli_fail(CLI_FAILED, "%s: %s", out->path, strerror(errno))
                                  : become_owner(out->path, &st);
    if (rc)
        return rc;
    uv_loop_init(&out->loop);
    struct store_opts o = {
        .dir = out->path, .map_size = 1ull << MAP_SIZE_SHIFT, .loop = &out->loop};
    rc = store_open(&o, &out->store, &err);
    if (rc == 0)
        return CLI_OK;
    return cli_fail(rc == E_CONFLICT ? CLI_CONFLICT : CLI_FAILED, "%s", err_text(&err, rc));
}

void folder_close(struct folder *f)
{
    store_close(f->store);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uv_loop_close(&f->loop);
}
