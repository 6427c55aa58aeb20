/* folder: the data folder itself, for commands that also work while no server runs. */
#ifndef CLI_FOLDER_H
#define CLI_FOLDER_H

#include "cli/cli.h"
#include "store/store.h"

struct folder {
    const char *path;
    uv_loop_t loop;
    struct store *store;
};

/* Does the command mean the folder? It does when --data names one that no server has open. */
bool folder_is_meant(const struct cli *cli);
/* Opens it, as its owner when root asks, so that no file of root's is left in it. 0, or an exit code
 * after a message. */
int folder_open(const struct cli *cli, struct folder *out);
void folder_close(struct folder *f);

#endif
