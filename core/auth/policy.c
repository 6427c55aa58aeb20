/* policy: what a policy document says about one request.
 *
 * Default deny, and an explicit Deny wins. A statement that is not wholly understood (see
 * policy_read.c) cannot allow; as a Deny its conditions count as met. The parts are asked in the order
 * of their price: action, resource, principal, conditions. Nothing is allocated; the asked action is
 * lowered on the stack. */
#include "auth/arn.h"
#include "auth/outbound.h"
#include "auth/policy_doc.h"

static bool any_matches(const struct patterns *a, struct str s)
{
    for (size_t i = 0; i < a->n; i++)
        if (arn_match(a->v[i], s))
            return true;
    return false;
}

static bool is_url(struct str s)
{
    return str_starts(s, STR("http://")) || str_starts(s, STR("https://"));
}

/* URLs have a matcher of their own: there a star must not reach from the host into the path. */
static bool resource_matches(const struct statement *st, const struct policy_query *q)
{
    if (!is_url(q->resource))
        return any_matches(&st->resources, q->resource) != st->not_resource;
    bool literal = q->literal_host && !st->deny, found = false;
    for (size_t i = 0; i < st->resources.n && !found; i++)
        found = outbound_match(st->resources.v[i], q->resource, literal);
    return literal ? found && !st->not_resource : found != st->not_resource;
}

/* The account id of a principal element: "000000000000" or "arn:aws:iam::000000000000:root". */
static struct str whole_account(struct str id)
{
    struct arn a;
    uint64_t number;
    if (id.n == 12 && str_u64(id, &number))
        return id;
    return arn_parse(id, &a) && str_is(a.service, "iam") && str_is(a.resource, "root")
               ? a.account
               : (struct str){NULL, 0};
}

static bool principal_matches(const struct statement *st, const struct policy_query *q)
{
    struct arn caller;
    for (size_t i = 0; i < st->who_count; i++) {
        const struct principal *w = &st->who[i];
        struct str account = w->kind == WHO_AWS ? whole_account(w->id) : (struct str){NULL, 0};
        if (w->kind == WHO_ANY)
            return true;
        if (w->kind == WHO_SERVICE && q->principal_service.n && str_eq(w->id, q->principal_service))
            return true;
        if (w->kind == WHO_OTHER && st->deny)
            return true;
        if (w->kind != WHO_AWS || q->principal.n == 0)
            continue;
        if (str_eq(w->id, q->principal))
            return true;
        /* An account as principal leaves the decision to the callers' own policies: by itself it
         * lets in the root only, but keeps out everybody. */
        if (account.p && arn_parse(q->principal, &caller) && str_eq(account, caller.account) &&
            (st->deny || str_is(caller.resource, "root")))
            return true;
    }
    return false;
}

/* Each of the six parts by itself, so that a star does not reach over a colon into the next. */
static bool arn_like(struct str pattern, struct str s)
{
    struct arn p, a;
    if (!arn_parse(pattern, &p) || !arn_parse(s, &a))
        return false;
    return arn_match(p.partition, a.partition) && arn_match(p.service, a.service) &&
           arn_match(p.region, a.region) && arn_match(p.account, a.account) &&
           arn_match(p.resource, a.resource);
}

static bool value_matches(enum policy_operator op, struct str want, struct str got)
{
    switch (op) {
    case OP_STRING_EQUALS:
        return str_eq(want, got);
    case OP_STRING_LIKE:
        return arn_match(want, got);
    case OP_ARN:
        return arn_like(want, got);
    case OP_BOOL:
        return str_ieq(want, got);
    case OP_NULL:
    case OP_UNKNOWN:
        break;
    }
    return false;
}

static bool condition_met(const struct condition *c, const struct policy_query *q)
{
    const struct policy_key *found = NULL;
    for (size_t i = 0; i < q->key_count && !found; i++)
        if (str_eq(q->keys[i].name, c->key))
            found = &q->keys[i];
    for (size_t i = 0; i < c->values.n; i++) {
        struct str want = c->values.v[i];
        if (c->op == OP_NULL ? str_ieq(want, found ? STR("false") : STR("true"))
                             : found && value_matches(c->op, want, found->value))
            return true;
    }
    return false;
}

static bool conditions_met(const struct statement *st, const struct policy_query *q)
{
    if (!st->known)
        return true; /* only a Deny comes here */
    for (size_t i = 0; i < st->condition_count; i++)
        if (!condition_met(&st->conditions[i], q))
            return false;
    return true;
}

enum policy_effect policy_eval(const struct policy *p, const struct policy_query *q)
{
    char low[ACTION_MAX];
    enum policy_effect effect = POLICY_NONE;
    if (q->action.n > sizeof low)
        return POLICY_DENY;
    for (size_t i = 0; i < q->action.n; i++) {
        char c = q->action.p[i];
        low[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    struct str action = str_of(low, q->action.n);
    for (size_t i = 0; i < p->count; i++) {
        const struct statement *st = &p->statements[i];
        if (!st->deny && (effect == POLICY_ALLOW || !st->known))
            continue;
        if (any_matches(&st->actions, action) == st->not_action)
            continue;
        if (p->kind != POLICY_TRUST && !resource_matches(st, q))
            continue;
        if (st->who_count ? !principal_matches(st, q) : p->kind != POLICY_IDENTITY)
            continue;
        if (!conditions_met(st, q))
            continue;
        if (st->deny)
            return POLICY_DENY;
        effect = POLICY_ALLOW;
    }
    return effect;
}

enum policy_effect policy_eval_all(struct policy *const *p, size_t n, const struct policy_query *q)
{
    enum policy_effect all = POLICY_NONE;
    for (size_t i = 0; i < n; i++) {
        enum policy_effect one = policy_eval(p[i], q);
        if (one == POLICY_DENY)
            return POLICY_DENY;
        if (one == POLICY_ALLOW)
            all = POLICY_ALLOW;
    }
    return all;
}

int policy_denied(struct err *err, struct str principal, struct str action, struct str resource,
                  enum policy_effect effect)
{
    struct str shown = str_of(resource.p, resource.n < 300 ? resource.n : 300);
    struct str who = principal.n ? principal : STR("anonymous");
    if (effect == POLICY_DENY)
        return err_set(err, E_DENIED,
                       "User: %.*s is not authorized to perform: %.*s on resource: %.*s with an "
                       "explicit deny in an identity-based policy",
                       STR_FMT(who), STR_FMT(action), STR_FMT(shown));
    return err_set(err, E_DENIED,
                   "User: %.*s is not authorized to perform: %.*s on resource: %.*s because no "
                   "identity-based policy allows the %.*s action",
                   STR_FMT(who), STR_FMT(action), STR_FMT(shown), STR_FMT(action));
}
