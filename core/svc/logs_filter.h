/* logs_filter: CloudWatch filter patterns over the text of an event.
 *
 *   word "a phrase"   all of them occur (case matters)
 *   ?word ?"phrase"   at least one of those marked so occurs
 *   -word -"phrase"   none of those marked so occurs
 *
 *   { $.field = value }  see logs_filter_json.h
 *   %expression%         see logs_regex.h
 *
 * Inside quotes \" and \\ stand for themselves. Patterns on columns ([ … ]) are
 * refused. */
#ifndef SVC_LOGS_FILTER_H
#define SVC_LOGS_FILTER_H

#include "base/arena.h"
#include "base/err.h"

struct log_filter;

/* Compiled into the arena; NULL (with *rc 0) for a pattern that everything matches, or NULL with
 * *rc E_INVALID and err. */
const struct log_filter *log_filter_parse(struct arena *a, struct str pattern, int *rc,
                                          struct err *err);
/* NULL matches everything. */
bool log_filter_match(const struct log_filter *f, struct str text);
/* Does it cost more than a search for words? */
bool log_filter_is_slow(const struct log_filter *f);

#endif
