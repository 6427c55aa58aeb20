/* arn: names of things, and how a function may be called by name. Pure functions. */
#ifndef AUTH_ARN_H
#define AUTH_ARN_H

#include "base/buf.h"

#define ACCOUNT_ID "000000000000"

struct arn {
    struct str partition, service, region, account, resource; /* borrowed */
};
/* "arn:aws:lambda:us-east-1:000000000000:function:name" into its six parts; false when it is none.
 */
bool arn_parse(struct str s, struct arn *out);

/* A function as the Lambda API names it: "name", "name:qualifier", "ACCOUNT:function:name[:q]",
 * "function:name[:q]" or a full ARN. name must match [A-Za-z0-9-_]{1,64}, the qualifier
 * $LATEST or [A-Za-z0-9-_]{1,128}; qualifier p NULL when there is none. E_NOT_FOUND for another
 * region or account, E_VALIDATION else. */
int arn_function(struct str s, struct str region, struct str *name, struct str *qualifier);
/* AWS's wildcards: '*' any run, '?' one byte. Never exponential: see arn.c. */
bool arn_match(struct str pattern, struct str s);
/* The same with other bytes as the wildcards, for patterns in which '*' may be itself. */
bool wild_match(struct str pattern, struct str s, char run, char one);

#endif
