/* near: which known word was probably meant. */
#ifndef CLI_NEAR_H
#define CLI_NEAR_H

#include "base/str.h"

/* Counts the letters put in, left out, changed or swapped with their neighbour between two words.
 * Words longer than NEAR_MAX are as far apart as can be (NEAR_MAX). */
enum { NEAR_MAX = 32 };
size_t near_distance(const char *a, const char *b);

/* The best guess so far; offer candidates, then ask. */
struct near {
    const char *word; /* what was typed */
    const char *best; /* "" until something is near enough */
    size_t distance;
};
void near_offer(struct near *n, const char *candidate);

#endif
