/* guard: the policy that a resource has of its own.
 *
 * A function's (AddPermission), a bucket's, a role's trust. Whoever judges a request, the gate or a
 * host call, asks here with the ARN and joins what it gets with the caller's policies
 * (policy_decide). One place knows which resources have policies. Loop thread only. */
#ifndef SVC_GUARD_H
#define SVC_GUARD_H

#include "auth/policy.h"
#include "svc/bucket_policy.h"
#include "svc/function.h"
#include "svc/role.h"

/* Where policies lie; a part that is NULL has none. */
struct guards {
    struct store *store;
    struct functions *functions;
    struct bucket_policies *buckets;
    const char *region;
};

struct guard {
    struct policy_guard policy; /* .policy NULL: the resource has none */
    struct fn *fn_;
    struct policy *own_;
};
/* Fills *out; guard_end when the decision is made, and nothing else is asked before. stranger: nobody
 * signs. */
void guard_find(const struct guards *g, struct str action, struct str resource, bool stranger,
                struct guard *out);
void guard_end(struct guard *out);

#endif
