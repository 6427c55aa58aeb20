/* recent: the last things asked for by name, so that they need not be read and compiled again.
 *
 * A bounded table of entries that the user embeds in its own structs. When it is full the one not
 * asked for longest makes room (by second chance). An entry lives until it is removed or makes room:
 * nobody keeps a pointer over another call. Loop thread only. */
#ifndef SVC_RECENT_H
#define SVC_RECENT_H

#include "base/str.h"

struct recent;

struct recent_entry {
    struct str name; /* the user's memory, for as long as the entry is in */
    bool asked;
    struct recent_entry *next;
};

/* At most `max` entries; drop is called for each that goes, and frees it. */
struct recent *recent_new(size_t max, void (*drop)(void *ctx, struct recent_entry *e), void *ctx);
/* Drops all. NULL is allowed. */
void recent_free(struct recent *r);
/* NULL when there is none of that name. */
struct recent_entry *recent_find(struct recent *r, struct str name);
/* Adds one that recent_find did not find. */
void recent_add(struct recent *r, struct recent_entry *e);
/* Drops the one of that name, if any; drops all. */
void recent_remove(struct recent *r, struct str name);
void recent_clear(struct recent *r);
/* Calls each for every entry; it may not add or remove. */
void recent_each(struct recent *r, void (*each)(void *ctx, struct recent_entry *e), void *ctx);

#endif
