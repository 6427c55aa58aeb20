/* function_version: published versions: immutable copies of $LATEST's code and configuration.
 *
 * All of these run inside jobs, but the walk, which needs any transaction. */
#ifndef SVC_FUNCTION_VERSION_H
#define SVC_FUNCTION_VERSION_H

#include "svc/function.h"

enum {
    FUNCTION_VERSIONS_MAX = 1000, /* of one function */
    FUNCTION_VERSIONS_KEPT = 50,  /* of those that deployments made */
};

struct fn_publish {
    struct str description; /* of the version; p NULL: $LATEST's */
    struct str code_sha256; /* base64; when set, $LATEST must have it */
    struct str revision_id; /* when set, $LATEST must have it */
    bool deployed;          /* a deployment asks: older ones of deployments go beyond the limit */
};
/* Publishes $LATEST. Nothing is made when it is what the last version is; *version (a number's
 * text) is that one then. E_NOT_FOUND, E_PRECONDITION, E_INVALID, E_CODE_STORAGE. */
int function_publish(struct store_txn *t, const char *region, struct str name,
                     const struct fn_publish *p, char version[static 24], struct err *err);
/* Calls each for the versions of a function after `after` ("" begins with $LATEST), in their order,
 * until it returns false; borrowed from t. */
void function_versions(struct store_txn *t, struct str name, struct str after,
                       bool (*each)(void *ctx, struct str version, struct str rec), void *ctx);
/* Deletes a version that no alias names, else E_CONFLICT. E_NOT_FOUND, E_INVALID ($LATEST or an
 * alias). */
int function_version_delete(struct store_txn *t, const char *region, struct str name,
                            struct str version, struct err *err);
/* Gives $LATEST the code and configuration of an earlier version; to 0: of the version published
 * before the one that $LATEST is like, or of the last one when it is like none. What belongs to the
 * function (policy, URL, tags, limits) stays. *from: the version that $LATEST was like, 0 none; *to:
 * the one that it is like now. E_NOT_FOUND, E_INVALID (its role is gone). */
int function_rollback(struct store_txn *t, const char *region, struct str name, uint64_t *from,
                      uint64_t *to, struct err *err);

#endif
