/* logs_filter_json: CloudWatch filter patterns over the fields of an event that is a JSON text.
 *
 *   { $.level = "ERROR" && ($.code >= 500 || $.tags[0] != debug*) }
 *
 *   $.a.b[0]  $.a[*].b  $["a b"]     a value; [*] any element
 *   = !=                             text (a star is any run of bytes), number, or %expression%
 *   < <= > >=                        numbers
 *   EXISTS  NOT EXISTS  IS NULL  IS TRUE  IS FALSE
 *   && before ||, parentheses
 *
 * A comparison with something that is not there is false, != too. Pure functions. */
#ifndef SVC_LOGS_FILTER_JSON_H
#define SVC_LOGS_FILTER_JSON_H

#include "base/arena.h"

struct json_filter;

/* The whole pattern, braces included, compiled into the arena; it must live as long. NULL with *why
 * when it is none. */
const struct json_filter *json_filter_parse(struct arena *a, struct str pattern, const char **why);
bool json_filter_match(const struct json_filter *f, struct str text);

#endif
