/* policy: IAM policy documents, compiled once and asked often. Pure functions, no store.
 *
 * Default deny; an explicit Deny wins; a statement with an element, operator or key that is not
 * understood never allows (an un-understood Deny still denies). */
#ifndef AUTH_POLICY_H
#define AUTH_POLICY_H

#include "base/err.h"

struct policy;

enum policy_kind {
    POLICY_IDENTITY, /* Resource required, Principal forbidden */
    POLICY_RESOURCE, /* Principal required (function and bucket policies) */
    POLICY_TRUST,    /* Principal required, no Resource (AssumeRolePolicyDocument) */
};

/* NULL with err (E_BAD_POLICY) when the text is no policy document AWS would take. Copies what it
 * needs. */
struct policy *policy_parse(struct str json, enum policy_kind kind, struct err *err);
void policy_free(struct policy *p);

/* POLICY_DELEGATE comes from resource policies only: the statement names the caller's whole account,
 * so the caller's own policies decide. Ordered by what wins. */
enum policy_effect { POLICY_NONE, POLICY_DELEGATE, POLICY_ALLOW, POLICY_DENY };

/* What is asked. Absent values are the empty str. */
struct policy_query {
    struct str action;            /* "s3:GetObject" */
    struct str resource;          /* ARN or canonical URL (outbound.h); "*" where there is none */
    struct str principal;         /* caller's ARN (of a role's session: the session's), or "" */
    struct str principal_role;    /* a role's session may also be named by the role's ARN */
    struct str principal_service; /* "s3.amazonaws.com", or "" */
    bool named_only;              /* only what names `principal` itself counts as an Allow */
    bool
        literal_host; /* the resource is a URL, and only an Allow that spells out its host counts */
    /* condition keys: lower-case names ("aws:sourcearn"), values; a name may repeat */
    const struct policy_key {
        struct str name, value;
    } * keys;
    size_t key_count;
    /* Keys that are worked out when a condition or variable asks for them: writes up to `max` values
     * of the (lower-case) name, answers how many; 0: absent. NULL: none. */
    size_t (*find)(void *ctx, struct str name, struct str *values, size_t max);
    void *find_ctx;
};
enum { POLICY_VALUES_MAX = 50 };
/* Effect of one document. */
enum policy_effect policy_eval(const struct policy *p, const struct policy_query *q);
/* Deny if any denies, else allow if any allows. */
enum policy_effect policy_eval_all(struct policy *const *p, size_t n, const struct policy_query *q);

/* --- joining (one account) -------------------------------------------------------------------- */

/* A caller's own side. */
struct policy_caller {
    bool root; /* may do everything that no resource policy denies */
    struct policy *const *policies;
    size_t count;
    bool limited; /* a session with policies of its own: both must allow */
    struct policy *const *session;
    size_t session_count;
};
/* The resource's side. */
struct policy_guard {
    const struct policy *policy; /* NULL: none */
    bool must;                   /* its Allow is needed (a role's trust) */
    bool owner_exempt; /* its Deny does not bind root (AWS: calls about a bucket's policy) */
};
/* Whose word decided. */
enum policy_side { POLICY_BY_IDENTITY, POLICY_BY_RESOURCE, POLICY_BY_SESSION };
/* AWS's rules for one account: any Deny wins; else the caller's policies or the resource's must allow
 * (trust policies: the resource's must); a session's own policies limit both, but for a resource
 * policy that names the session itself. POLICY_ALLOW, POLICY_DENY or POLICY_NONE. */
enum policy_effect policy_decide(const struct policy_caller *who, const struct policy_guard *guard,
                                 const struct policy_query *q, enum policy_side *side);
/* The text AWS gives for a refusal: who may not do what on which resource, and whether it is a Deny
 * or the lack of an Allow. Returns E_DENIED. */
int policy_denied(struct err *err, struct str principal, struct str action, struct str resource,
                  enum policy_effect effect, enum policy_side side);

#endif
