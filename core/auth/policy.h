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

enum policy_effect { POLICY_NONE, POLICY_ALLOW, POLICY_DENY };

/* What is asked. Absent values are the empty str. */
struct policy_query {
    struct str action;            /* "s3:GetObject" */
    struct str resource;          /* ARN or canonical URL (outbound.h); "*" where there is none */
    struct str principal;         /* caller's ARN, or "" */
    struct str principal_service; /* "s3.amazonaws.com", or "" */
    /* condition keys: lower-case names ("aws:sourcearn"), values */
    const struct policy_key {
        struct str name, value;
    } * keys;
    size_t key_count;
    bool
        literal_host; /* the resource is a URL, and only an Allow that spells out its host counts */
};
/* Effect of one document. */
enum policy_effect policy_eval(const struct policy *p, const struct policy_query *q);
/* Deny if any denies, else allow if any allows. */
enum policy_effect policy_eval_all(struct policy *const *p, size_t n, const struct policy_query *q);
/* The text AWS gives for a refusal: who may not do what on which resource, and whether it is a Deny
 * or the lack of an Allow. Returns E_DENIED. */
int policy_denied(struct err *err, struct str principal, struct str action, struct str resource,
                  enum policy_effect effect);

#endif
