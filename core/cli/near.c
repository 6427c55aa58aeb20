/* near: the distance of Damerau and Levenshtein, by three rows of its matrix. */
#include "cli/near.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t near_distance(const char *a, const char *b)
{
    size_t rows[3][NEAR_MAX + 1], n = strlen(a), m = strlen(b);
    if (n > NEAR_MAX || m > NEAR_MAX)
        return NEAR_MAX;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(above[j] + 1, row[j - 1] + 1);
            row[j] = least(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

/* One slip for every three letters, and a word whose beginning was typed, is near enough. */
void near_offer(struct near *n, const char *candidate)
{
    size_t typed = strlen(n->word), distance = near_distance(n->word, candidate);
    bool begun = typed >= 3 && strncmp(n->word, candidate, typed) == 0;
    bool close = distance <= (typed + 2) / 3;
    if (begun)
        distance = 1;
    if ((close || begun) && (!*n->best || distance < n->distance)) {
        n->best = candidate;
        n->distance = distance;
    }
}
