/* policy_doc: a policy document as policy_read.c leaves it and policy.c asks it. Inside core/auth only.
 */
#ifndef AUTH_POLICY_DOC_H
#define AUTH_POLICY_DOC_H

#include "auth/policy.h"
#include "base/arena.h"

enum { ACTION_MAX = 128 };

struct patterns {
    struct str *v;
    size_t n;
};

enum policy_operator {
    OP_UNKNOWN,
    OP_STRING_EQUALS,
    OP_STRING_LIKE,
    OP_ARN, /* ArnEquals and ArnLike are the same operator to AWS */
    OP_BOOL,
    OP_NULL,
};

struct condition {
    enum policy_operator op;
    struct str key; /* lower case */
    struct patterns values;
};

struct principal {
    enum { WHO_ANY, WHO_AWS, WHO_SERVICE, WHO_OTHER } kind;
    struct str id;
};

struct statement {
    bool deny;
    bool known; /* every element is understood: what is not known cannot allow */
    bool not_action, not_resource;
    struct patterns actions, resources;
    struct principal *who;
    size_t who_count;
    struct condition *conditions;
    size_t condition_count;
};

struct policy {
    struct arena *arena; /* holds the policy itself */
    enum policy_kind kind;
    struct statement *statements;
    size_t count;
};

#endif
