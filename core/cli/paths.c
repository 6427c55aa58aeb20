/* paths: the data folder's default, shared by the server and by the commands that read its root
 * key. */
#include "cli/paths.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *paths_data(void)
{
    static char path[4096];
    const char *data = getenv("PERILUNE_DATA");
    if (data && *data)
        return data;
    const struct passwd *pw = getpwuid(geteuid());
    if (geteuid() == 0 || (pw && strcmp(pw->pw_name, "perilune") == 0))
        return "/var/lib/perilune";
    const char *home = getenv("HOME");
    snprintf(path, sizeof path, "%s/.local/share/perilune",
             home && *home ? home
             : pw          ? pw->pw_dir
                           : ".");
    return path;
}
