/* cmd_init: a new project that deploys, passes its tests and is clean as it is.
 *
 * Its files travel in the binary as lua/project/ (those whose names begin with a dot bear another
 * name there); "@NAME@" in them becomes the function's name. The modules' definitions for editors
 * (lua/meta/) are copied into .perilune-types, where .luarc.json points; as a hidden folder it is
 * not packaged. Nothing that exists is overwritten: either all is new, or nothing is written. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/embed.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/out.h"

static const char from[] = "lua/project/", types[] = "lua/meta/";

static const char *const renamed[][2] = {
    {"gitignore.txt", ".gitignore"},
    {"luacheckrc.txt", ".luacheckrc"},
    {"luarc.json", ".luarc.json"},
    {"types.txt", ".perilune-types/test.lua"},
};

/* The i-th file of a project: where it goes, below the folder. */
static bool file_at(size_t i, char *to, size_t size, struct str *bytes)
{
    struct str path;
    size_t own = 0;
    while (embed_at(str_c(from), own, &path, bytes))
        own++;
    if (i >= own) {
        if (!embed_at(str_c(types), i - own, &path, bytes))
            return false;
        path = str_from(path, strlen(types));
        snprintf(to, size, ".perilune-types/%.*s", STR_FMT(path));
        return true;
    }
    embed_at(str_c(from), i, &path, bytes);
    path = str_from(path, strlen(from));
    snprintf(to, size, "%.*s", STR_FMT(path));
    for (size_t k = 0; k < sizeof renamed / sizeof *renamed; k++)
        if (strcmp(to, renamed[k][0]) == 0)
            snprintf(to, size, "%s", renamed[k][1]);
    return true;
}

/* The function is called after the folder, as far as that can name one. */
static int choose_name(const char *dir, const char *given, char name[static 65])
{
    char *real = given ? NULL : realpath(dir, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL, *p = given   ? given
                                                               : slash ? slash + 1
                                                                       : "";
    size_t n = 0;
    for (; *p && n < 64; p++) {
        bool fits = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= '0' && *p <= '9') || *p == '-' || *p == '_';
        if (!fits && given)
            return cli_fail(CLI_USAGE,
                            "'%s' cannot name a function: use A-Z, a-z, 0-9, '-' and '_'", given);
        if (fits || n)
            name[n++] = fits ? *p : '-';
    }
    while (n && name[n - 1] == '-' && !given)
        n--;
    name[n] = 0;
    free(real);
    if (given && (*p || n == 0))
        return cli_fail(CLI_USAGE, "a function's name has 1 to 64 characters");
    if (n == 0)
        snprintf(name, 65, "hello");
    return CLI_OK;
}

/* DIR and the folders above it, as mkdir -p makes them. */
static int make_folders(const char *path)
{
    char part[4096];
    if ((size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part)
        return cli_fail(CLI_USAGE, "the path is too long");
    for (char *p = part + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char was = *p;
        *p = 0;
        struct stat st;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return cli_fail(CLI_FAILED, "%s: %s", part, strerror(errno));
        if (stat(part, &st) == 0 && !S_ISDIR(st.st_mode))
            return cli_fail(CLI_CONFLICT, "%s is not a folder", part);
        *p = was;
        if (!was)
            return CLI_OK;
    }
}

static int nothing_there(const char *dir)
{
    char to[512], path[4096];
    struct str bytes;
    struct stat st;
    for (size_t i = 0; file_at(i, to, sizeof to, &bytes); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, to);
        if (lstat(path, &st) == 0)
            return cli_fail(CLI_CONFLICT, "%s exists already; nothing was written", path);
    }
    return CLI_OK;
}

static int write_file(const char *path, struct str bytes, const char *name)
{
    static const char mark[] = "@NAME@";
    struct buf text = BUF_INIT;
    ptrdiff_t at;
    while ((at = str_find(bytes, STR("@NAME@"))) >= 0) {
        buf_add(&text, str_of(bytes.p, (size_t)at));
        buf_add(&text, str_c(name));
        bytes = str_from(bytes, (size_t)at + strlen(mark));
    }
    buf_add(&text, bytes);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), rc = CLI_OK;
    for (size_t done = 0; fd >= 0 && rc == CLI_OK && done < text.n;) {
        ssize_t n = write(fd, text.p + done, text.n - done);
        if (n < 0 && errno != EINTR)
            rc = cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    if (fd < 0 || (close(fd) != 0 && rc == CLI_OK))
        rc = cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    buf_deinit(&text);
    return rc;
}

static int write_all(const char *dir, const char *name, json_t *files)
{
    char to[512], path[4096], folder[4096];
    struct str bytes;
    int rc = CLI_OK;
    for (size_t i = 0; rc == CLI_OK && file_at(i, to, sizeof to, &bytes); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, to);
        snprintf(folder, sizeof folder, "%s", path);
        *strrchr(folder, '/') = 0;
        rc = make_folders(folder);
        if (rc == CLI_OK)
            rc = write_file(path, bytes, name);
        if (rc == CLI_OK)
            json_array_append_new(files, json_string(to));
    }
    return rc;
}

static void print_made(const char *dir, const char *name, const json_t *files)
{
    size_t i;
    json_t *file;
    bool here = strcmp(dir, ".") == 0;
    json_array_foreach(files, i, file) if (strncmp(json_string_value(file), ".perilune-types", 15))
        printf("  %s%s%s\n", here ? "" : dir, here ? "" : "/", json_string_value(file));
    printf("\n%s is ready. Next:\n\n", name);
    if (!here)
        printf("  cd %s\n", dir);
    puts("  perilune dev        a server of its own, reloaded on each save\n"
         "  perilune test       run the specs\n"
         "  perilune deploy .   onto the server");
}

static int run_init(struct cli *cli)
{
    char dir[3500], name[65];
    size_t n = (size_t)snprintf(dir, sizeof dir, "%s", cli_arg(cli, 0) ? cli_arg(cli, 0) : ".");
    if (n >= sizeof dir)
        return cli_fail(CLI_USAGE, "the path is too long");
    while (n > 1 && dir[n - 1] == '/')
        dir[--n] = 0;
    json_t *files = json_array();
    int rc = *dir ? nothing_there(dir) : cli_fail(CLI_USAGE, "DIR is empty");
    if (rc == CLI_OK)
        rc = make_folders(dir);
    if (rc == CLI_OK)
        rc = choose_name(dir, cli_value(cli, "--name"), name);
    if (rc == CLI_OK)
        rc = write_all(dir, name, files);
    if (rc == CLI_OK && cli_has(cli, "--json"))
        return out_json(json_pack("{s:s, s:s, s:o}", "name", name, "path", dir, "files", files));
    if (rc == CLI_OK)
        print_made(dir, name, files);
    json_decref(files);
    return rc;
}

static const struct cli_flag flags[] = {
    {"--name", 0, "NAME", "call the function this (default: after the folder)", false},
    {"--json", 0, NULL, "print one JSON document", false},
    {0},
};

const struct cli_command cmd_init = {
    .name = "init",
    .args = "[DIR]",
    .help = "start a project: function, specs, settings for editor and linter",
    .more = "Overwrites nothing: exits 5 when one of its files is there already.",
    .flags = flags,
    .kind = CLI_LOCAL,
    .run = run_init,
};
