/* guard: from an ARN to the policy that lies on that resource.
 *
 * A function's policy is compiled with the function and borrowed with a reference to it, a bucket's is
 * svc/bucket_policy's, which keeps the last ones. A role's trust is asked rarely and compiled each
 * time. */
#include "svc/guard.h"

#include "auth/arn.h"

/* The calls by which an owner who locked the door gets in again. */
static bool about_policy(struct str action)
{
    return str_is(action, "s3:GetBucketPolicy") || str_is(action, "s3:PutBucketPolicy") ||
           str_is(action, "s3:DeleteBucketPolicy");
}

void guard_find(const struct guards *g, struct str action, struct str resource, bool stranger,
                struct guard *out)
{
    struct str name, qualifier;
    struct arn a;
    memset(out, 0, sizeof *out);
    if (str_starts(resource, STR("arn:aws:lambda:")) && g->functions) {
        if (arn_function(resource, str_c(g->region), &name, &qualifier) == 0 &&
            function_get(g->functions, name, qualifier, &out->fn_, NULL) == 0)
            out->policy.policy = out->fn_->policy;
        else
            out->fn_ = NULL;
        return;
    }
    if (!arn_parse(resource, &a))
        return;
    if (str_is(a.service, "s3")) {
        out->policy.policy = bucket_policy_find(g->buckets, resource, stranger);
        out->policy.owner_exempt = about_policy(action);
    } else if (str_is(a.service, "iam") && str_is(action, "sts:AssumeRole") && g->store) {
        out->policy.policy = out->own_ = role_trust(g->store, resource);
        out->policy.must = true;
    }
}

void guard_end(struct guard *out)
{
    if (out->fn_)
        fn_unref(out->fn_);
    policy_free(out->own_);
}
