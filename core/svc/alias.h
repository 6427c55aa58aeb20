/* alias: names for versions, each of one version or of two that share its calls by weight.
 *
 * The row is one of T_ALIASES (function.h). */
#ifndef SVC_ALIAS_H
#define SVC_ALIAS_H

#include "svc/function.h"

enum { ALIASES_MAX = 1000 /* of one function */ };

struct alias_spec { /* p NULL: unchanged on update */
    struct str function, name;
    struct str version; /* "$LATEST" or a number; required on create */
    struct str description;
    bool routing;     /* the two below are given; other empty: no second version */
    struct str other; /* number of the second version */
    uint32_t weight;  /* its share, in FUNCTION_WEIGHT_ALL */
    struct str revision_id;
};
/* In a job. E_NOT_FOUND (function, version or alias), E_EXISTS, E_INVALID, E_PRECONDITION. */
int alias_create(struct store_txn *t, const char *region, const struct alias_spec *spec,
                 struct err *err);
int alias_update(struct store_txn *t, const char *region, const struct alias_spec *spec,
                 struct err *err);
/* 0 also when there is no such alias. */
int alias_delete(struct store_txn *t, struct str function, struct str name);
/* In any transaction: the row; E_NOT_FOUND with AWS's text. */
int alias_get(struct store_txn *t, const char *region, struct str function, struct str name,
              struct str *rec, struct err *err);
/* In any transaction: does any alias of the function name that version? Their names, with ", "
 * between them, are appended to names (NULL: the first answers). */
bool alias_uses(struct store_txn *t, struct str function, struct str version, struct buf *names);
/* Calls each for the aliases of a function after `after` ("": all), in their order, until it
 * returns false; borrowed from t. */
void alias_each(struct store_txn *t, struct str function, struct str after,
                bool (*each)(void *ctx, struct str name, struct str rec), void *ctx);
/* The second version of a row and its weight; p NULL: none. */
struct str alias_other(struct str rec, uint32_t *weight);

#endif
