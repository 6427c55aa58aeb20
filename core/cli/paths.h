/* paths: where the data folder is when nobody says. */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

/* PERILUNE_DATA, else /var/lib/perilune for the service (root, or the user perilune), else
 * ~/.local/share/perilune. Static storage. */
const char *paths_data(void);

#endif
