/* cmd_backup: the whole data folder into one file, and back.
 *
 * A running server streams it (api/upkeep.h); without one the folder is read here, by the same code.
 * A file gets its name when it is whole, on the disk, and has been read back. restore needs no server
 * and touches no folder that has something in it. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/folder.h"
#include "cli/out.h"
#include "svc/backup.h"

struct output {
    const char *file; /* "-": stdout */
    char part[4096];
    int fd;
    bool any; /* bytes have come */
    int error;
};

/* --- where it goes ----------------------------------------------------------------------------- */

static bool put(void *ctx, struct str bytes)
{
    struct output *o = ctx;
    o->any = true;
    while (bytes.n && !o->error) {
        ssize_t n = write(o->fd, bytes.p, bytes.n);
        if (n > 0)
            bytes = str_from(bytes, (size_t)n);
        else if (errno != EINTR)
            o->error = errno;
    }
    return !o->error;
}

static int output_open(struct output *o, const char *file)
{
    *o = (struct output){.file = file, .fd = 1};
    if (strcmp(file, "-") == 0)
        return isatty(1) ? cli_fail(CLI_USAGE, "a backup is no text: send it into a file or a pipe")
                         : CLI_OK;
    if (snprintf(o->part, sizeof o->part, "%s.part", file) >= (int)sizeof o->part)
        return cli_fail(CLI_USAGE, "the file's name is too long");
    o->fd = open(o->part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return o->fd < 0 ? cli_fail(CLI_FAILED, "%s: %s", o->part, strerror(errno)) : CLI_OK;
}

static ssize_t get(void *ctx, char *p, size_t n)
{
    ssize_t got;
    do
        got = read(*(int *)ctx, p, n);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Reads it back, then gives it its name. */
static int output_end(struct output *o, struct backup_facts *facts)
{
    struct err err = {0};
    if (lseek(o->fd, 0, SEEK_SET) || backup_read(get, &o->fd, NULL, facts, &err))
        return cli_fail(CLI_FAILED, "%s cannot be read back: %s", o->part, err.text);
    if (fsync(o->fd) || rename(o->part, o->file))
        return cli_fail(CLI_FAILED, "%s: %s", o->file, strerror(errno));
    o->part[0] = 0;
    return CLI_OK;
}

static void output_close(struct output *o)
{
    if (o->fd > 2)
        close(o->fd);
    if (o->part[0])
        unlink(o->part);
}

/* --- backup ------------------------------------------------------------------------------------ */

static int from_folder(struct cli *cli, struct output *out)
{
    struct folder f;
    struct store_copy *copy;
    struct err err = {0};
    int rc = folder_open(cli, &f);
    if (rc)
        return rc;
    rc = store_copy_begin(f.store, &copy, &err);
    if (rc == 0) {
        struct backup_opts o = {.copy = copy,
                                .dir = f.path,
                                .without_key = cli_has(cli, "--without-key"),
                                .put = put,
                                .ctx = out};
        rc = backup_write(&o, &err);
        store_copy_end(copy);
    }
    folder_close(&f);
    return rc ? cli_fail(CLI_FAILED, "%s", out->error ? strerror(out->error) : err_text(&err, rc))
              : CLI_OK;
}

static int from_server(struct cli *cli, struct output *out, bool needed)
{
    const struct client_req req = {.service = "perilune",
                                   .method = "GET",
                                   .path = STR("/perilune/v1/backup"),
                                   .query = cli_has(cli, "--without-key") ? STR("without_key=1")
                                                                          : STR(""),
                                   .sink = put,
                                   .sink_ctx = out};
    int rc = client_stream(cli, &req, "backup", needed, &out->any);
    return rc == CLI_OK && out->error ? cli_fail(CLI_FAILED, "%s", strerror(out->error)) : rc;
}

static int print_facts(struct cli *cli, const char *file, const struct backup_facts *f)
{
    if (cli_has(cli, "--json"))
        return out_json(json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "file", file, "made", f->made,
                                  "files", (json_int_t)f->files, "blobs", (json_int_t)f->blobs,
                                  "bytes", (json_int_t)f->bytes, "key", f->key));
    printf("%s: %llu files, %s, made %s%s\n", file, (unsigned long long)f->files,
           out_size(f->bytes), f->made, f->key ? "" : ", without master.key");
    return CLI_OK;
}

static int run_backup(struct cli *cli)
{
    struct output out;
    struct backup_facts facts;
    bool needed = cli_value(cli, "--endpoint") != NULL;
    int rc = output_open(&out, cli_arg(cli, 0));
    if (rc)
        return rc;
    if (!needed && folder_is_meant(cli))
        rc = from_folder(cli, &out);
    else if ((rc = from_server(cli, &out, needed)) == CLI_UNREACHABLE && !needed && !out.any)
        rc = from_folder(cli, &out);
    if (rc == CLI_OK && out.part[0] && (rc = output_end(&out, &facts)) == CLI_OK)
        rc = print_facts(cli, out.file, &facts);
    output_close(&out);
    return rc;
}

/* --- restore ----------------------------------------------------------------------------------- */

static int exit_code(int rc)
{
    return rc == E_CONFLICT ? CLI_CONFLICT : CLI_FAILED;
}

static int run_restore(struct cli *cli)
{
    const char *file = cli_arg(cli, 0), *dir = cli_value(cli, "--data");
    struct backup_facts facts;
    struct err err = {0};
    bool check = cli_has(cli, "--check");
    if (!check && (!dir || !*dir))
        return cli_fail(CLI_USAGE, "restore needs --data DIR, a folder that is not there yet");
    int fd = strcmp(file, "-") == 0 ? 0 : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s", file,
                        strerror(errno));
    int rc = backup_read(get, &fd, check ? NULL : dir, &facts, &err);
    if (fd > 0)
        close(fd);
    if (rc)
        return cli_fail(exit_code(rc), "%s: %s", file, err_text(&err, rc));
    rc = print_facts(cli, check ? file : dir, &facts);
    if (!check && !facts.key)
        fprintf(stderr, "The server starts on it once its master.key is put there too.\n");
    return rc;
}

static const struct cli_flag backup_flags[] = {
    {"--without-key", 0, NULL, "leave out master.key and root.credentials", false},
    {0},
};

static const struct cli_flag restore_flags[] = {
    {"--data", 0, "DIR", "the data folder to make", true},
    {"--check", 0, NULL, "only read the backup and judge it", false},
    {"--json", 0, NULL, "print one JSON document", false},
    {0},
};

const struct cli_command cmd_backup = {
    .name = "backup",
    .args = "FILE",
    .help = "back up everything into one file ('-': standard output)",
    .more = "The server goes on meanwhile; the backup is of one moment. It holds master.key and\n"
            "root.credentials, so it is as secret as the data folder. When no server answers, or\n"
            "--data names a folder that none has open, the folder is read directly.\n",
    .flags = backup_flags,
    .kind = CLI_CLIENT,
    .run = run_backup,
};

const struct cli_command cmd_restore = {
    .name = "restore",
    .args = "FILE",
    .help = "make a data folder of a backup ('-': standard input), or judge one",
    .flags = restore_flags,
    .kind = CLI_LOCAL,
    .run = run_restore,
};
