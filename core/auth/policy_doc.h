/* policy_doc: a policy document as policy_read.c leaves it and policy.c asks it. Inside core/auth
 * only.
 *
 * In compiled texts the wildcards are two bytes that no UTF-8 text holds, so that a literal star
 * (written "${*}", or out of a variable) is never mistaken for one. */
#ifndef AUTH_POLICY_DOC_H
#define AUTH_POLICY_DOC_H

#include "auth/policy.h"
#include "base/arena.h"

enum { ACTION_MAX = 128, WILD_RUN = '\xFF', WILD_ONE = '\xFE' };

/* A text with wildcards and variables, cut so that the usual ones cost one comparison. */
struct pattern {
    enum {
        PATTERN_NEVER,
        PATTERN_ANY,
        PATTERN_EXACT,
        PATTERN_PREFIX,
        PATTERN_GLOB,
        PATTERN_VARS
    } kind;
    struct str text;      /* PREFIX: without its star */
    struct str source;    /* as written, for what has a matcher of its own; filled by the reader */
    struct piece *pieces; /* VARS */
    size_t piece_count;
};
struct piece {
    bool variable;
    struct str text;     /* literal and wildcards, or the variable's key in lower case */
    struct str fallback; /* of a variable; p NULL: none */
};
struct patterns {
    struct pattern *v;
    size_t n;
};

enum pattern_flags {
    PATTERN_LITERAL = 1,   /* no wildcards: '*' and '?' are themselves */
    PATTERN_VARIABLES = 2, /* "${key}" is one */
    PATTERN_REACH = 4,     /* a variable nobody knows stands for any text (else: matches nothing) */
    PATTERN_LOWER = 8,     /* compared without case: text is lowered */
};
/* False when the arena is full. *unknown is set when a variable's key is not known. */
bool pattern_compile(struct arena *a, struct str text, int flags, struct pattern *out,
                     bool *unknown);
/* *unresolved is set when a variable has no value (then nothing matches). */
bool pattern_match(const struct pattern *p, struct str s, const struct policy_query *q,
                   bool *unresolved);
/* The text with its variables filled in, in space or borrowed; false: unresolved or too long. */
enum { PATTERN_SPACE = 2048 };
bool pattern_expand(const struct pattern *p, const struct policy_query *q,
                    char space[static PATTERN_SPACE], struct str *out);
/* Wildcards as above. */
bool pattern_wild(struct str pattern, struct str s);

enum policy_operator {
    OP_UNKNOWN,
    OP_STRING,
    OP_STRING_LIKE,
    OP_STRING_NO_CASE,
    OP_ARN, /* ArnEquals and ArnLike are the same operator to AWS */
    OP_NUMBER_EQ,
    OP_NUMBER_LT,
    OP_NUMBER_LE,
    OP_NUMBER_GT,
    OP_NUMBER_GE,
    OP_DATE_EQ,
    OP_DATE_LT,
    OP_DATE_LE,
    OP_DATE_GT,
    OP_DATE_GE,
    OP_BOOL,
    OP_IP,
    OP_BINARY,
    OP_NULL,
};

struct operand {
    struct pattern pattern; /* strings, ARNs, BINARY's bytes */
    double number;
    int64_t ms;              /* dates */
    unsigned char ip[16];    /* IPv4 as ::ffff:a.b.c.d */
    unsigned char ip_prefix; /* bits of the 128 */
    bool truth;
};

struct condition {
    enum policy_operator op;
    bool negated, if_exists;
    enum { SET_NONE, SET_ALL, SET_ANY } set;
    struct str key; /* lower case */
    struct operand *values;
    size_t count;
};

/* "ForAllValues:StringNotEqualsIfExists" into op, negated, if_exists, set; OP_UNKNOWN when it is
 * none. */
void condition_operator(struct str name, struct condition *out);
/* One value of the document. E_BAD_POLICY when the operator cannot take it, E_LIMIT. */
int condition_operand(struct arena *a, const struct condition *c, struct str text, int flags,
                      struct operand *out, bool *unknown);
bool condition_met(const struct condition *c, const struct policy_query *q, bool *unresolved);
/* Keys whose values callers hand in whenever they exist, or which never exist here. */
bool condition_key_known(struct str lower);

struct policy_who {
    enum { WHO_ANY, WHO_AWS, WHO_SERVICE, WHO_OTHER } kind;
    struct str id;
    struct str account; /* of an id that means a whole account, else "" */
};

struct statement {
    bool deny;
    bool known; /* every element is understood: what is not known cannot allow */
    bool not_action, not_resource, not_principal;
    struct patterns actions, resources;
    struct policy_who *who;
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

/* Values of a key, from the query's list, then from its finder. */
size_t policy_values(const struct policy_query *q, struct str key, struct str *values, size_t max);

#endif
