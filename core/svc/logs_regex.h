/* logs_regex: the regular expressions that filter patterns know: %…%.
 *
 *   literals  .  [a-z]  [^a-z]  \d \w \s (and \D \W \S)  \ before anything else  ^  $
 *   ?  *  +  {m}  {m,}  {m,n}  behind one of them; | between alternatives; no parentheses
 *
 * Found anywhere in the text unless anchored. All positions are followed at once, so that no pattern
 * costs more than its length for each byte of the text. Pure functions. */
#ifndef SVC_LOGS_REGEX_H
#define SVC_LOGS_REGEX_H

#include "base/arena.h"

struct log_regex;

/* What stands between the percent signs. NULL with *why when it is none. */
const struct log_regex *log_regex_parse(struct arena *a, struct str pattern, const char **why);
bool log_regex_match(const struct log_regex *r, struct str text);

#endif
