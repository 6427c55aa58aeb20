/* target_help: what whoever puts events asks about their targets, pretended: "f1" is the function of id 1, and every
 * role may invoke it. */
#ifndef TARGET_HELP_H
#define TARGET_HELP_H

#include "svc/function.h"
#include "svc/role.h"

static int roles_asked;

int function_find(struct store_txn *t, struct str name, struct str qualifier, uint64_t *id,
                  struct str *policy_json)
{
    (void)t;
    (void)qualifier;
    (void)policy_json;
    *id = (uint64_t)(name.p[1] - '0');
    return 0;
}

int role_allows(struct roles *r, struct str role, struct str action, struct str resource,
                struct err *err)
{
    (void)r;
    (void)role;
    (void)action;
    (void)resource;
    (void)err;
    roles_asked++;
    return 0;
}

#endif
