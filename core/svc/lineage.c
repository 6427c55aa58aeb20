/* lineage: a chain grows by one link a run, and forgets its beginning when it is long. */
#include "svc/lineage.h"

#define ARROW " > "
enum { LINK_MAX = 256 }; /* room for a function, a bucket and their arrows */

void lineage_write(struct buf *out, const struct lineage *l)
{
    struct str old = l->chain;
    if (old.n > LINEAGE_MAX - LINK_MAX) {
        ptrdiff_t cut = str_index(old, '>', old.n - (LINEAGE_MAX - LINK_MAX));
        buf_lit(out, "...");
        old = cut < 1 ? STR("") : str_from(old, (size_t)cut - 1);
    }
    buf_add(out, old);
    if (!l->via.n)
        return;
    if (out->n)
        buf_lit(out, ARROW);
    buf_add(out, l->via);
}

bool lineage_has(const struct lineage *l, struct str function)
{
    struct str rest = l->chain;
    bool found = str_eq(l->via, function);
    while (!found && rest.n)
        found = str_eq(str_trim(str_cut(&rest, '>')), function);
    return found;
}
