/* function_inside: what the files that write function rows share. Nobody outside includes this.
 *
 *     function.c          the cache
 *     function_rows.c     create, update, delete; reading rows
 *     function_policy.c   resource policies
 *     function_version.c  versions: publish, list, delete, roll back
 *     function_conf.c     what else is set on a row: tags, concurrency, URL, asynchronous calls
 *     alias.c             aliases */
#ifndef SVC_FUNCTION_INSIDE_H
#define SVC_FUNCTION_INSIDE_H

#include "base/rec.h"
#include "svc/function.h"

enum { FN_KEY_MAX = 256 };

/* A version's number, 1 … 9999999999, without leading zeros; false for any other qualifier. */
bool fn_number(struct str qualifier, uint64_t *n);
/* Where the row of a qualifier ("" is $LATEST) lies; p NULL when no row can have that key. */
struct str fn_key(struct str name, struct str qualifier, char key[static FN_KEY_MAX],
                  enum table *table);
/* The row itself, without following an alias. E_NOT_FOUND. */
int fn_row(struct store_txn *t, struct str name, struct str qualifier, struct str *rec);
/* Its copy: what a transaction lends ends with its next write. */
int fn_row_copy(struct store_txn *t, struct str name, struct str qualifier, struct buf *copy);
/* Writes rec and frees it. */
int fn_row_put(struct store_txn *t, struct str name, struct str qualifier, struct buf *rec);
/* All fields of rec that are none of `tags` (which end in 0), then a new FN_REVISION. */
void fn_row_without(struct str rec, const uint16_t *tags, struct buf *out);
/* A new FN_REVISION. */
void fn_put_revision(struct buf *out);
/* The fields of code and configuration, and nothing that belongs to a row or its name. */
bool fn_is_content(uint16_t tag);
/* Digest of a row's content; the order of its environment does not matter. */
void fn_content(struct str rec, unsigned char out[static 32]);
/* E_INVALID when events of the function `self` cannot be delivered to that ARN; "" is none. */
int fn_check_destination(struct store_txn *t, const char *region, struct str self, struct str arn,
                         struct err *err);
/* In any transaction: what all functions have reserved together. T_META "reserved" holds it; a store
 * that has never held it is counted. */
uint64_t fn_reserved_total(struct store_txn *t);
/* From now on it is held there. */
int fn_reserved_keep(struct store_txn *t);
/* Changes it: `before` was part of it, `after` is. */
int fn_reserved_change(struct store_txn *t, uint64_t before, uint64_t after);
/* E_NOT_FOUND with AWS's text. */
int fn_not_found(struct err *err, const char *region, struct str name, struct str qualifier);

#endif
