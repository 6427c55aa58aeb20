/* luadoc: what functions can call, read from the definitions that editors read (the files of lua/meta).
 *
 * The definitions are the one source: the reference of `perilune reference` and the list that the
 * console completes from are made from them when they are asked for. Understood are the
 * annotations used there: class, field, param, return; the rest is skipped.
 *
 *   [{"name": "s3", "text": …, "fields": [FIELD], "functions": [FUNCTION],
 *     "classes": [{"name": "perilune.s3.Writer", "text", "fields": [FIELD], "methods": [FUNCTION]}]}]
 *   FIELD     {"name", "type", "text"}; a name that ends in "?" may be absent
 *   FUNCTION  {"name": "s3.get", "signature": "s3.get(bucket, key, opts?)", "text",
 *              "params": [FIELD], "returns": [FIELD]} */
#ifndef SVC_LUADOC_H
#define SVC_LUADOC_H

#include <jansson.h>

#include "base/str.h"

/* All modules in the order of their names; the caller's reference. */
json_t *luadoc_all(void);
/* One file's definitions. */
json_t *luadoc_parse(struct str name, struct str source);

#endif
