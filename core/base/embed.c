/* embed: lookup in the table that the build makes of lua/ and blueprints/.
 *
 * A few dozen rows, read at start and when a blueprint is listed: a walk is enough. */
#include "base/embed.h"

static struct str bytes_of(const struct embed_entry *e)
{
    return str_of(e->begin, (size_t)(e->end - e->begin));
}

struct str embed_find(struct str path)
{
    for (const struct embed_entry *e = embed_table; e->path; e++)
        if (str_is(path, e->path))
            return bytes_of(e);
    return str_of(NULL, 0);
}

bool embed_at(struct str prefix, size_t i, struct str *path, struct str *bytes)
{
    for (const struct embed_entry *e = embed_table; e->path; e++) {
        if (!str_starts(str_c(e->path), prefix) || i-- > 0)
            continue;
        *path = str_c(e->path);
        *bytes = bytes_of(e);
        return true;
    }
    return false;
}
