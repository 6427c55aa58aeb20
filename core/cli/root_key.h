/* root_key: the server's first identity.
 *
 * From PERILUNE_ROOT_ACCESS_KEY and PERILUNE_ROOT_SECRET_KEY, else from DATA/root.credentials (the
 * AWS shared-credentials format), which is made with a random key on the first start. */
#ifndef CLI_ROOT_KEY_H
#define CLI_ROOT_KEY_H

#include "base/err.h"

struct root_key {
    char access_key[129], secret[129];
    bool created; /* made just now: say so once */
};

/* dir is the data folder. 0, or E_* with a text. */
int root_key_load(const char *dir, struct root_key *out, struct err *err);
/* Reads an existing file only (for the command line); E_NOT_FOUND, E_DENIED when it may not be
 * read. */
int root_key_read(const char *dir, struct root_key *out, struct err *err);

#endif
