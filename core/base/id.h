/* id: identifiers. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/str.h"

/* A random UUID (version 4) as text, 36 characters and a NUL. Taken from a pool of random
 * bytes: costs no system call on most calls. A process that forks must not have used it before. */
void id_uuid(char out[static 37]);
/* True for 8-4-4-4-12 hex digits. */
bool id_is_uuid(struct str s);
/* n random characters of [0-9a-f] and a NUL. */
void id_hex(char *out, size_t n);

#endif
